"""safety/impedance.py: which readings are compared, how the baseline follows, what is remembered and forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety import impedance
from safety.impedance import (
    EVEN,
    NO_CURRENT_OHM,
    UNSENSED,
    Contact,
    Past,
    Span,
    at_rest,
    doubted,
    is_over,
    median,
    observe,
    paired,
    probed,
    remember,
    scaled_ohm,
    weighed,
)
from safety.messages import Sample

pytestmark = pytest.mark.hazard("H04")

PAST = Past(0, 0, 0)
PLATEAU = Span(20_000, 20_000, 20_000, 10_000)


def sample(ohm: int = 1_500, **changes: object) -> Sample:
    base = Sample(1, 20_000, 300, 100, 25_000, 20_000, ohm, 1, 12_000, 0, True, False, False, False)
    return base._replace(**changes)  # type: ignore[arg-type]


def fed(contact: Contact, ohms: list[int], start_ms: int = 0, every_ms: int = 25) -> Contact:
    """Feed plateau readings one by one."""
    for index, ohm in enumerate(ohms):
        contact = observe(contact, sample(ohm), PLATEAU, start_ms + index * every_ms)
    return contact


# Small things


def test_the_figures_of_the_reference():
    assert (impedance.REFERENCE_MM2, impedance.OPEN_OHM, impedance.SHORT_OHM) == (2_500, 8_000, 100)
    assert (impedance.WINDOW_MS, impedance.MINUTE_MS, impedance.BUCKET) == (10_000, 60_000, 10)
    assert Contact(0, 0, (), (), (), (), (0, 0), 0, (), (), (0, 0, 0, 0), Past(0, 0, 0)) == UNSENSED


@pytest.mark.parametrize(
    ("values", "middle"), [((5,), 5), ((1, 2), 2), ((3, 1, 2), 2), ((4, 1, 3, 2), 3), ((9, 1, 1, 9, 5, 5), 5)]
)
def test_the_median_is_the_middle_or_the_upper_of_two(values: tuple[int, ...], middle: int):
    assert median(values) == middle


@pytest.mark.rule("M09")
@pytest.mark.rule("G20")
@pytest.mark.parametrize(
    ("area_mm2", "scaled"),
    [(2_500, 3_000), (1_250, 6_000), (5_000, 1_500), (2_499, 3_001), (2_501, 2_998), (4_500, 1_666)],
)
def test_an_upper_limit_scales_with_25_over_the_area_rounded_down(area_mm2: int, scaled: int):
    assert scaled_ohm(3_000, area_mm2) == scaled


@pytest.mark.rule("M01")
@pytest.mark.hazard("H14")
@pytest.mark.parametrize(
    ("high_ua", "accuracy_ppm", "allowed_ua"),
    [
        (0, 10_000, 2_000),
        (10_000, 0, 12_000),
        (20_000, 0, 22_000),
        (20_000, 10_000, 22_200),
        (18_181, 10_000, 20_181),
        (18_190, 10_000, 20_190),
        (18_191, 10_000, 20_192),
        (80_000, 10_000, 88_800),
        (80_000, 50_000, 92_000),
        (1_000_000, 0, 1_100_000),
    ],
)
def test_over_is_more_than_two_ma_or_a_tenth_and_the_accuracy(high_ua: int, accuracy_ppm: int, allowed_ua: int):
    assert [is_over(allowed_ua + off, high_ua, accuracy_ppm) for off in (-1, 0, 1)] == [False, False, True]


# What is taken in


def test_an_old_reading_changes_nothing():
    contact = fed(UNSENSED, [1_500] * 3)
    assert observe(contact, sample(50, fresh=False, measured_ua=99_000), PLATEAU, 999) is contact


def test_the_first_plateau_reading_sets_the_current_to_compare_with():
    assert observe(UNSENSED, sample(1_500), PLATEAU, 7) == Contact(
        baseline_ohm=0,
        baseline_ua=20_000,
        recent=(1_500,),
        bucket=(1_500,),
        medians=(),
        minutes=(),
        in_a_row=(0, 0),
        fresh_ms=7,
        learned=(),
        recent_ms=(7,),
        balance=(0, 0, 0, 0),
        past=Past(0, 0, 0),
    )


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_the_baseline_is_the_median_of_ten_plateau_readings():
    ohms = [1_500, 1_510, 1_490, 1_505, 1_495, 1_600, 1_400, 1_501, 1_502, 1_503]
    before, after = fed(UNSENSED, ohms[:9]), fed(UNSENSED, ohms)
    assert (before.baseline_ohm, before.bucket) == (0, tuple(ohms[:9]))
    assert after == Contact(
        baseline_ohm=1_502, baseline_ua=20_000, recent=(1_600, 1_400, 1_501, 1_502, 1_503), bucket=(),
        medians=((225, 1_502),), minutes=((225, 1_502),), in_a_row=(0, 0), fresh_ms=225, learned=(),
        recent_ms=(125, 150, 175, 200, 225), balance=(0, 0, 0, 0), past=Past(0, 0, 0),
    )  # fmt: skip


@pytest.mark.rule("M10")
@pytest.mark.parametrize(("low_ua", "is_compared"), [(17_999, False), (18_000, True), (20_000, True)])
def test_readings_of_a_ramp_are_not_compared(low_ua: int, is_compared: bool):
    contact = fed(UNSENSED, [1_500] * 3)
    after = observe(contact, sample(2_194), PLATEAU._replace(low_ua=low_ua), 500)
    assert after.recent == ((1_500, 1_500, 1_500, 2_194) if is_compared else (1_500, 1_500, 1_500))
    assert after.fresh_ms == 500


def test_a_reading_without_current_is_not_compared():
    contact = fed(UNSENSED, [1_500] * 3)
    assert observe(contact, sample(NO_CURRENT_OHM), PLATEAU, 500) == contact._replace(fresh_ms=500)
    assert observe(contact, sample(NO_CURRENT_OHM - 1), PLATEAU, 500).recent[-1] == NO_CURRENT_OHM - 1
    assert NO_CURRENT_OHM == 2**32 - 1


@pytest.mark.rule("M11")
@pytest.mark.parametrize(
    ("ua", "baseline_ohm"), [(17_999, 0), (18_000, None), (22_000, None), (22_001, 1_500), (40_000, 1_500)]
)
def test_currents_further_apart_than_a_tenth_begin_anew(ua: int, baseline_ohm: int | None):
    contact = fed(UNSENSED, [1_500] * 12)
    span = Span(ua, ua, ua, 10_000)
    after = observe(contact, sample(1_800, ua=ua, measured_ua=ua), span, 500)
    if baseline_ohm is None:
        assert after == contact._replace(
            recent=(*contact.recent[1:], 1_800), recent_ms=(*contact.recent_ms[1:], 500),
            bucket=(1_500, 1_500, 1_800), fresh_ms=500,
        )  # fmt: skip
    else:
        assert after == Contact(
            baseline_ohm, ua, (1_800,), (1_800,), (), (), (0, 0), 500, ((20_000, 1_500),), (500,), EVEN, PAST
        )


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_a_rise_of_the_set_point_does_not_hide_a_peeling_pad():
    contact = fed(UNSENSED, [1_500] * 10)
    higher = Span(23_000, 23_000, 23_000, 10_000)
    for index in range(20):
        contact = observe(contact, sample(2_200, ua=23_000), higher, 1_000 + index * 25)
    assert (contact.baseline_ua, contact.baseline_ohm) == (23_000, 1_500)


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_lowering_the_set_point_and_raising_it_again_does_not_hide_a_peeling_pad():
    contact = fed(UNSENSED, [1_500] * 10)
    for ua, ohm in ((10_000, 2_600), (20_000, 2_200)):
        for index in range(20):
            contact = observe(contact, sample(ohm, ua=ua), Span(ua, ua, ua, 10_000), 1_000 + index * 25)
    assert (contact.baseline_ua, contact.baseline_ohm) == (20_000, 1_500)
    assert contact.learned == ((20_000, 1_500), (10_000, 2_600))


@pytest.mark.rule("M10")
@pytest.mark.parametrize(
    ("ua", "bound_ohm"),
    [(9_000, 0), (9_090, 0), (9_091, 2_600), (18_000, 2_600), (18_181, 2_600), (18_182, 1_500), (40_000, 1_500)],
)
def test_a_current_is_bounded_by_what_less_or_like_current_has_read(ua: int, bound_ohm: int):
    before = UNSENSED._replace(baseline_ua=1, learned=((20_000, 1_500), (10_000, 2_600)))
    assert observe(before, sample(3_000, ua=ua), Span(ua, ua, ua, 10_000), 0).baseline_ohm == bound_ohm


@pytest.mark.parametrize(
    ("ua", "ohm", "learned"),
    [
        (30_000, 1_500, ((20_000, 1_500), (10_000, 2_600))),
        (30_000, 1_499, ((20_000, 1_500), (10_000, 2_600), (30_000, 1_499))),
        (20_000, 1_499, ((10_000, 2_600), (20_000, 1_499))),
        (10_000, 1_500, ((10_000, 1_500),)),
        (9_999, 2_600, ((20_000, 1_500), (9_999, 2_600))),
        (9_999, 2_601, ((20_000, 1_500), (10_000, 2_600), (9_999, 2_601))),
        (5_000, 0, ((20_000, 1_500), (10_000, 2_600))),
    ],
)
def test_only_baselines_that_say_more_than_the_others_are_remembered(
    ua: int, ohm: int, learned: tuple[tuple[int, int], ...]
):
    assert remember(((20_000, 1_500), (10_000, 2_600)), ua, ohm) == learned


def test_the_last_five_readings_are_kept():
    assert fed(UNSENSED, [1, 2, 3, 4, 5]).recent == (1, 2, 3, 4, 5)
    assert fed(UNSENSED, [1, 2, 3, 4, 5, 6]).recent == (2, 3, 4, 5, 6)


# The baseline afterwards


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_the_baseline_follows_downwards_and_never_upwards():
    contact = fed(UNSENSED, [1_500] * 10)
    down = fed(contact, [1_200] * 10, 20_000)
    assert down.baseline_ohm == 1_200
    up = fed(down, [1_700] * 10, 40_000)
    assert (up.baseline_ohm, up.medians) == (1_200, ((40_225, 1_700),))


@pytest.mark.rule("M10")
def test_the_baseline_follows_the_median_of_ten_seconds_not_one_bucket():
    contact = fed(fed(UNSENSED, [1_500] * 10), [1_500] * 10, 1_000)
    one = fed(contact, [1_200] * 10, 2_000)
    assert (one.baseline_ohm, [ohm for _, ohm in one.medians]) == (1_500, [1_500, 1_500, 1_200])
    two = fed(one, [1_200] * 10, 3_000)
    assert (two.baseline_ohm, len(two.medians)) == (1_500, 4)
    assert fed(two, [1_200] * 10, 4_000).baseline_ohm == 1_200


@pytest.mark.rule("M13")
@pytest.mark.parametrize(("age_ms", "kept"), [(9_999, 2), (10_000, 2), (10_001, 1)])
def test_medians_older_than_ten_seconds_are_forgotten(age_ms: int, kept: int):
    contact = fed(UNSENSED, [1_500] * 10)
    assert contact.medians == ((225, 1_500),)
    assert len(fed(contact, [1_500] * 10, age_ms, every_ms=25).medians) == kept


@pytest.mark.rule("M12")
@pytest.mark.parametrize(("later_ms", "kept"), [(59_999, 1), (60_000, 2)])
def test_a_minute_lies_between_the_points_of_the_drift(later_ms: int, kept: int):
    contact = fed(UNSENSED, [1_500] * 10)
    assert len(fed(contact, [1_600] * 10, later_ms).minutes) == kept


@pytest.mark.rule("M12")
def test_three_points_of_the_drift_are_kept():
    contact = UNSENSED
    for minute, ohm in enumerate((1_000, 1_100, 1_200, 1_300)):
        contact = fed(contact, [ohm] * 10, minute * 60_000)
    assert contact.minutes == ((60_225, 1_100), (120_225, 1_200), (180_225, 1_300))


# Shorts and over-current


@pytest.mark.rule("M08")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(
    ("ohm", "flag", "row"),
    [(99, False, 2), (100, False, 1), (250, False, 1), (251, False, 0), (1_500, True, 2), (0, False, 2), (0, True, 2)],
)
def test_shorts_are_counted_in_a_row(ohm: int, flag: bool, row: int):
    contact = observe(UNSENSED, sample(99), PLATEAU, 0)
    assert contact.in_a_row == (1, 0)
    assert observe(contact, sample(ohm, short=flag), PLATEAU, 25).in_a_row == (row, 0)


@pytest.mark.rule("M01")
@pytest.mark.hazard("H14")
@pytest.mark.parametrize(("measured_ua", "row"), [(22_200, 0), (22_201, 2)])
def test_over_currents_are_counted_in_a_row(measured_ua: int, row: int):
    contact = observe(UNSENSED, sample(measured_ua=22_201), PLATEAU, 0)
    assert contact.in_a_row == (0, 1)
    assert observe(contact, sample(measured_ua=measured_ua), PLATEAU, 25).in_a_row == (0, row)


@pytest.mark.rule("M01")
def test_over_current_is_judged_by_the_highest_current_of_the_span():
    span = Span(20_000, 30_000, 30_000, 10_000)
    assert observe(UNSENSED, sample(measured_ua=33_300), span, 0).in_a_row == (0, 0)
    assert observe(UNSENSED, sample(measured_ua=33_301), span, 0).in_a_row == (0, 1)


@pytest.mark.rule("M08")
@pytest.mark.rule("M01")
def test_shorts_and_over_currents_count_in_a_ramp_too():
    ramp = Span(1_000, 2_000, 20_000, 10_000)
    assert observe(UNSENSED, sample(99, measured_ua=4_001), ramp, 3) == UNSENSED._replace(in_a_row=(1, 1), fresh_ms=3)


# A pause


@pytest.mark.rule("M11")
@pytest.mark.hazard("H06")
def test_a_pause_forgets_what_neighbours_tell_and_keeps_the_baseline():
    contact = fed(UNSENSED, [1_500] * 12)._replace(in_a_row=(1, 1))
    assert at_rest(contact) == Contact(
        1_500, 20_000, (), (), (), ((225, 1_500),), (0, 0), contact.fresh_ms, (), (), EVEN, PAST
    )


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
@given(st.lists(st.integers(200, 6_000), min_size=20, max_size=80))
def test_the_baseline_only_ever_falls(ohms: list[int]):
    contact, last = fed(UNSENSED, ohms[:10]), None
    for index, ohm in enumerate(ohms[10:]):
        last, contact = contact.baseline_ohm, observe(contact, sample(ohm), PLATEAU, 1_000 + index * 100)
        assert contact.baseline_ohm <= last
    assert min(ohms) <= contact.baseline_ohm <= max(ohms)


# The charge of the phases


@pytest.mark.rule("M16")
@pytest.mark.hazard("H15")
def test_each_second_of_readings_gives_a_mean_of_the_imbalance():
    balance = EVEN
    for at_ms, ppm in ((5_000, 10_000), (5_400, 20_000), (5_999, 20_001)):
        balance = weighed(balance, ppm, at_ms)
    assert balance == (5_000, 50_001, 3, 0)
    assert weighed(balance, 7, 6_000) == (6_000, 7, 1, 16_667)
    assert weighed(balance, None, 6_000) is balance
    assert weighed((5_000, 3, 3, 9), 0, 9_000) == (9_000, 0, 1, 1)


@pytest.mark.rule("M16")
@pytest.mark.parametrize(
    "reading", [sample(2_194, imbalance_ppm=5), sample(ua=9_000, imbalance_ppm=5), sample(imbalance_ppm=5)]
)
def test_every_reading_weighs_in_ramps_too(reading: Sample):
    for span in (PLATEAU, PLATEAU._replace(low_ua=1_000)):
        assert observe(fed(UNSENSED, [1_500] * 9), reading, span, 500).balance == (500, 5, 1, 0)


# What changes seldom


@pytest.mark.rule("M10")
@pytest.mark.parametrize(("ohms", "kept"), [((1_500,), 1_500), ((1_500, 1_400), 1_400), ((1_400, 1_500), 1_400)])
def test_the_lowest_check_is_remembered(ohms: tuple[int, ...], kept: int):
    contact = UNSENSED
    for ohm in ohms:
        contact = probed(contact, ohm)
    assert contact == UNSENSED._replace(past=Past(kept, 0, 0))


def test_readings_leave_the_past_alone():
    past = Past(1_400, 7, 8)
    contact = fed(UNSENSED._replace(past=past), [1_500] * 25)
    assert contact.past == at_rest(contact).past == past
    assert doubted(contact, 99).past == Past(1_400, 99, 8)
    assert observe(contact, sample(ua=40_000), Span(40_000, 40_000, 40_000, 0), 9).past == past
    assert observe(contact, sample(NO_CURRENT_OHM), PLATEAU, 9).past == past


def side(ohm: int, ua: int = 20_000, since_ms: int = 0) -> Contact:
    return UNSENSED._replace(baseline_ua=ua, medians=((0, 1), (1, ohm)), past=Past(0, 0, since_ms))


@pytest.mark.rule("M15")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(
    ("mine", "other", "uneven"),
    [
        (side(1_600), side(1_000), False),
        (side(1_601), side(1_000), True),
        (side(1_000), side(1_600), False),
        (side(1_000), side(1_601), True),
        # Less current reads higher by itself; more does not.
        (side(1_601, ua=18_000), side(1_000), True),
        (side(1_601, ua=17_999), side(1_000), False),
        (side(1_000), side(1_601, ua=17_999), False),
        (side(1_601, ua=30_000), side(1_000), True),
        (side(1_601)._replace(medians=()), side(1_000), False),
        (side(1_601), side(1_000)._replace(medians=()), False),
    ],
)
def test_a_pair_is_uneven_when_it_or_its_twin_reads_higher_by_more_than_the_ratio(
    mine: Contact, other: Contact, uneven: bool
):
    assert paired(mine, other, 1_600_000, 77).past.uneven_ms == (77 if uneven else 0)


@pytest.mark.rule("M15")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize(("ohm", "since_ms"), [(1_601, 55), (1_301, 55), (1_300, 0)])
def test_an_uneven_pair_has_to_come_back_half_of_the_way(ohm: int, since_ms: int):
    assert paired(side(ohm, since_ms=55), side(1_000), 1_600_000, 77).past.uneven_ms == since_ms
    even = side(1_000)
    assert paired(even, even, 1_600_000, 77) is even
