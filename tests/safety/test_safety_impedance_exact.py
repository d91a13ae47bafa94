"""safety/impedance.py to the last unit: equal currents, the tenth more, the minute, and the limit of M01."""

from __future__ import annotations

import pytest

from safety import impedance
from safety.impedance import (
    UNSENSED,
    Contact,
    Past,
    Span,
    at_rest,
    is_over,
    is_uneven,
    observe,
    paired,
    remember,
    weighed,
)
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


@pytest.mark.rule("M08")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(("ohm", "shorts"), [(99, 2), (100, 1), (250, 1), (251, 0)])
def test_below_100_ohm_is_a_short_above_250_is_none_and_between_them_nothing_is_said(ohm: int, shorts: int):
    before = UNSENSED._replace(in_a_row=(1, 0))
    assert observe(before, SAMPLE._replace(ohm=ohm), PLATEAU, 5).in_a_row == (shorts, 0)


@pytest.mark.rule("M10")
@pytest.mark.parametrize(("low_ua", "is_taken"), [(17_999, False), (18_000, True), (18_001, True)])
def test_a_pulse_counts_from_nine_tenths_of_the_set_point(low_ua: int, *, is_taken: bool):
    seen = observe(UNSENSED, SAMPLE, PLATEAU._replace(low_ua=low_ua), 5)
    assert (seen.baseline_ua, seen.recent) == ((20_000, (1_500,)) if is_taken else (0, ()))


@pytest.mark.rule("M10")
@pytest.mark.parametrize(("ua", "begins_anew"), [(17_999, True), (18_000, False), (22_000, False), (22_001, True)])
def test_a_baseline_holds_for_a_tenth_more_or_less_current(ua: int, *, begins_anew: bool):
    before = UNSENSED._replace(baseline_ohm=1_500, baseline_ua=20_000)
    assert (observe(before, SAMPLE._replace(ua=ua), PLATEAU, 5).baseline_ua == ua) is begins_anew


@pytest.mark.rule("M16")
@pytest.mark.hazard("H15")
def test_the_mean_imbalance_of_a_second_is_rounded_up():
    assert weighed((0, 5, 2, 0), 7, 999) == (0, 12, 3, 0)
    assert weighed((0, 5, 2, 0), 7, 1_000) == (1_000, 7, 1, 3)


def test_a_pause_leaves_of_a_pad_what_does_not_depend_on_its_neighbours():
    full = Contact(
        baseline_ohm=1_500, baseline_ua=20_000, recent=(1,), bucket=(2,), medians=((3, 4),), minutes=((5, 6),),
        in_a_row=(1, 2), fresh_ms=7, learned=((8, 9),), recent_ms=(10,), balance=(1, 2, 3, 4), past=Past(1, 2, 3),
    )  # fmt: skip
    assert at_rest(full) == full._replace(
        recent=(), bucket=(), medians=(), in_a_row=(0, 0), recent_ms=(), balance=(0, 0, 0, 0)
    )


# A pair and its twin


def reads(*medians: int) -> Contact:
    """A pad whose last medians are these."""
    return UNSENSED._replace(baseline_ua=20_000, medians=tuple(enumerate(medians)))


@pytest.mark.rule("M15")
@pytest.mark.parametrize(
    ("one", "other", "ratio_ppm", "expected"),
    [
        ((1_000, 1_000, 2_000), (1_000, 5_000, 1_000), 1_600_000, True),
        ((2_000, 2_000, 1_000), (1_000, 500, 1_000), 1_600_000, False),
        ((1_600,), (1_000,), 1_600_000, False),
        ((1_600,), (1_000,), 1_599_999, True),
    ],
)
def test_the_last_medians_of_two_twins_are_compared(
    one: tuple[int, ...], other: tuple[int, ...], ratio_ppm: int, *, expected: bool
):
    assert is_uneven(reads(*one), reads(*other), ratio_ppm) is expected


@pytest.mark.rule("M15")
def test_twins_that_were_uneven_come_back_half_of_the_way_rounded_down():
    uneven = reads(1_300)._replace(past=Past(0, 0, 7))
    assert paired(uneven, reads(1_000), 1_599_999, 9) == uneven
    assert paired(uneven, reads(1_000), 1_600_000, 9).past.uneven_ms == 0
