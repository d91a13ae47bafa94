"""safety/impedance.py to the last unit: equal currents, the tenth more, the minute, and the limit of M01."""

from __future__ import annotations

import pytest

from safety import impedance
from safety.impedance import UNSENSED, Contact, Past, Span, is_over, observe, remember
from safety.messages import Sample

pytestmark = pytest.mark.hazard("H04")

PLATEAU = Span(20_000, 20_000, 20_000, 10_000)
SAMPLE = Sample(1, 20_000, 300, 100, 25_000, 20_000, 1_500, 1, 12_000, 0, True, False, False, False)


@pytest.mark.rule("M09")
def test_its_figures_are_those_of_the_reference():
    assert (impedance.REFERENCE_MM2, impedance.OPEN_OHM, impedance.NO_CURRENT_OHM) == (2_500, 8_000, 2**32 - 1)
    assert (impedance.SHORT_OHM, impedance.SHORT_LEFT_OHM, impedance.BACK_PERCENT) == (100, 250, 80)
    assert (impedance.BUCKET, impedance.SECOND_MS, impedance.WINDOW_MS, impedance.MINUTE_MS) == (
        10, 1_000, 10_000, 60_000,
    )  # fmt: skip


@pytest.mark.rule("X7")
def test_of_a_pad_that_was_never_read_nothing_is_known():
    assert Contact(
        baseline_ohm=0, baseline_ua=0, recent=(), bucket=(), medians=(), minutes=(), in_a_row=(0, 0), fresh_ms=0,
        learned=(), recent_ms=(), balance=(0, 0, 0, 0), past=Past(probe_ohm=0, doubt_ms=0, uneven_ms=0),
    ) == UNSENSED  # fmt: skip
    assert impedance.EVEN == (0, 0, 0, 0)


@pytest.mark.rule("M10")
def test_a_baseline_of_the_same_current_that_reads_higher_says_nothing_new():
    assert remember(((10_000, 100),), 10_000, 150) == ((10_000, 100),)
    assert remember(((10_000, 150),), 10_000, 100) == ((10_000, 100),)


@pytest.mark.rule("M01")
@pytest.mark.hazard("H14")
def test_the_share_of_m01_is_rounded_down():
    allowed_ua = 20_003 + 2_266  # 20_003 x 0.113333 = 2_266.999_999
    assert not is_over(allowed_ua, 20_003, 13_333)
    assert is_over(allowed_ua + 1, 20_003, 13_333)


@pytest.mark.rule("M10")
@pytest.mark.parametrize(("learned_ua", "bound_ohm"), [(21_999, 900), (22_000, 900), (22_001, 0)])
def test_a_new_baseline_is_bound_by_what_a_tenth_more_current_has_read(learned_ua: int, bound_ohm: int):
    contact = UNSENSED._replace(baseline_ohm=1_000, baseline_ua=40_000, learned=((learned_ua, 900),))
    assert observe(contact, SAMPLE, PLATEAU, 5).baseline_ohm == bound_ohm


@pytest.mark.rule("M12")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(("now_ms", "minutes"), [(119_999, 2), (120_000, 3)])
def test_a_minute_is_counted_from_the_last_one(now_ms: int, minutes: int):
    contact = UNSENSED._replace(
        baseline_ohm=1_500, baseline_ua=20_000, bucket=(1_500,) * 9, minutes=((0, 1_500), (60_000, 1_500))
    )
    assert len(observe(contact, SAMPLE, PLATEAU, now_ms).minutes) == minutes
