"""safety/waveform.py: every formula against exact fractions, every limit at its edge, the reference's table."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, isqrt
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safety.waveform import (
    LOAD_OHM,
    OFF,
    Picture,
    Train,
    density_exceeds,
    direct_ua,
    energy_exceeds,
    phase_nc,
    power_exceeds,
    pulse_i2t,
    pulse_nc,
    rms_exceeds,
    rms_ua,
    root_up,
)

pytestmark = pytest.mark.hazard("H28")

trains = st.builds(
    Train,
    st.integers(1, 8),
    st.integers(0, 200_000),
    st.integers(1, 1_000),
    st.integers(0, 500),
    st.integers(2_500, 1_000_000),
)


def train(ua: int, width_us: int, period_us: int) -> Train:
    return Train(1, ua, width_us, 100, period_us)


def rms_square(t: Train) -> Fraction:
    """Squared r.m.s. current in uA^2: two phases of I^2 w in each period."""
    return Fraction(2 * t.ua**2 * t.width_us, t.period_us)


def test_off_is_a_picture_without_trains():
    assert OFF == Picture(()) == ((),)
    assert LOAD_OHM == 500


def test_a_train_names_its_figures():
    assert Train(3, 20_000, 300, 100, 25_000)._asdict() == {
        "channel": 3, "ua": 20_000, "width_us": 300, "gap_us": 100, "period_us": 25_000,
    }  # fmt: skip


class Row(NamedTuple):
    """One row of the table in safety reference 1.2."""

    ua: int
    width_us: int
    hertz: int
    rms_ua: int
    phase_nc: int
    energy_uj: int
    power_uw: int
    density_x100: int


TABLE = (
    Row(40_000, 300, 50, 6_900, 12_000, 480, 24_000, 28),
    Row(80_000, 300, 50, 13_900, 24_000, 1_920, 96_000, 55),
    Row(100_000, 400, 50, 20_000, 40_000, 4_000, 200_000, 80),
    Row(130_000, 500, 100, 41_100, 65_000, 8_450, 845_000, 164),
)


@pytest.mark.parametrize("row", TABLE)
def test_the_table_of_the_safety_reference(row: Row):
    t = train(row.ua, row.width_us, 1_000_000 // row.hertz)
    assert round(rms_ua(t), -2) == row.rms_ua
    assert phase_nc(t) == row.phase_nc
    assert pulse_nc(t) == 2 * row.phase_nc
    assert [energy_exceeds(t, row.energy_uj + off) for off in (-1, 0, 1)] == [True, False, False]
    assert [power_exceeds(t, 2_500, row.power_uw // 25 + off) for off in (-1, 0, 1)] == [True, False, False]
    assert round(rms_ua(t) / 25 / 10) == row.density_x100


@pytest.mark.rule("G11")
@pytest.mark.rule("M18")
@pytest.mark.hazard("H28")
@given(trains)
def test_charge_is_the_exact_product_rounded_up(t: Train):
    assert phase_nc(t) == ceil(Fraction(t.ua * t.width_us, 1000))
    assert pulse_nc(t) == ceil(Fraction(2 * t.ua * t.width_us, 1000))
    assert pulse_i2t(t) == 2 * t.ua * t.ua * t.width_us


@pytest.mark.rule("G12")
@given(trains, st.integers(0, 200_000))
def test_rms_is_judged_exactly_on_squares(t: Train, limit_ua: int):
    assert rms_exceeds(t, limit_ua) is (rms_square(t) > limit_ua**2)


@pytest.mark.rule("G12")
@given(trains)
def test_the_rms_shown_to_people_is_the_smallest_limit_that_accepts(t: Train):
    shown = rms_ua(t)
    assert not rms_exceeds(t, shown)
    assert shown == 0 or rms_exceeds(t, shown - 1)


@pytest.mark.rule("G13")
@pytest.mark.hazard("H04")
@given(trains, st.integers(500, 20_000), st.integers(1, 3_000))
def test_density_is_judged_exactly(t: Train, area_mm2: int, limit: int):
    assert density_exceeds(t, area_mm2, limit) is (rms_square(t) > (limit * Fraction(area_mm2, 100)) ** 2)


@pytest.mark.rule("G14")
@given(trains, st.integers(500, 20_000), st.integers(1, 300_000))
def test_power_is_judged_exactly(t: Train, area_mm2: int, limit: int):
    watt_per_cm2_e6 = 500 * rms_square(t) / 10**6 / Fraction(area_mm2, 100)
    assert power_exceeds(t, area_mm2, limit) is (watt_per_cm2_e6 > limit)


@pytest.mark.rule("G15")
@given(trains, st.integers(0, 30_000))
def test_energy_is_judged_exactly(t: Train, limit_uj: int):
    joule_e6 = 500 * Fraction(2 * t.ua**2 * t.width_us, 10**12) / 10**6 * 10**6
    assert energy_exceeds(t, limit_uj) is (joule_e6 > limit_uj)


@pytest.mark.rule("G16")
@pytest.mark.hazard("H15")
@given(trains, st.integers(0, 50_000))
def test_direct_current_is_the_mismatch_of_the_charge_rounded_up(t: Train, mismatch_ppm: int):
    assert direct_ua(t, mismatch_ppm) == ceil(Fraction(t.ua * t.width_us * mismatch_ppm, t.period_us * 10**6))


@pytest.mark.rule("G16")
@pytest.mark.parametrize(
    ("ua", "width_us", "period_us", "ppm", "expected"),
    [(80_000, 300, 20_000, 10_000, 12), (100_000, 400, 20_000, 10_000, 20)],
)
def test_direct_current_of_the_reference(ua: int, width_us: int, period_us: int, ppm: int, expected: int):
    assert direct_ua(train(ua, width_us, period_us), ppm) == expected


@pytest.mark.parametrize(
    ("exceeds", "at_limit"),
    [
        (lambda t: rms_exceeds(t, 20_000), train(100_000, 400, 20_000)),
        (lambda t: rms_exceeds(t, 50_000), train(145_000, 500, 8_410)),
        (lambda t: density_exceeds(t, 2_500, 1_000), train(125_000, 400, 20_000)),
        (lambda t: density_exceeds(t, 1_250, 2_000), train(125_000, 400, 20_000)),
        (lambda t: power_exceeds(t, 2_500, 50_000), train(250_000, 400, 20_000)),
        (lambda t: power_exceeds(t, 500, 250_000), train(250_000, 400, 20_000)),
    ],
    ids=["rms", "rms hard", "density", "density hard", "power", "power hard"],
)
def test_each_argument_alone_crosses_the_limit(exceeds, at_limit: Train):
    ua, width_us, period_us = at_limit.ua, at_limit.width_us, at_limit.period_us
    assert not exceeds(at_limit)
    assert not exceeds(train(ua - 1, width_us, period_us))
    assert not exceeds(train(ua, width_us - 1, period_us))
    assert not exceeds(train(ua, width_us, period_us + 1))
    assert exceeds(train(ua + 1, width_us, period_us))
    assert exceeds(train(ua, width_us + 1, period_us))
    assert exceeds(train(ua, width_us, period_us - 1))


def test_a_smaller_pad_crosses_the_density_and_power_limits():
    at_limit = train(125_000, 400, 20_000)
    assert [density_exceeds(at_limit, area, 1_000) for area in (2_499, 2_500, 2_501)] == [True, False, False]
    assert [power_exceeds(train(250_000, 400, 20_000), area, 50_000) for area in (2_499, 2_500, 2_501)] == [
        True,
        False,
        False,
    ]


def test_energy_at_its_limits():
    assert [energy_exceeds(train(ua, 500, 25_000), 5_000) for ua in (99_999, 100_000, 100_001)] == [False, False, True]
    assert [energy_exceeds(train(ua, 500, 25_000), 20_000) for ua in (199_999, 200_000, 200_001)] == [
        False,
        False,
        True,
    ]
    assert [energy_exceeds(train(100_000, width, 25_000), 5_000) for width in (499, 500, 501)] == [False, False, True]


HUGE = 10**9


def test_no_constant_of_the_formulas_is_off_by_one():
    """At a thousand million times the current the last digit of every constant tells."""
    at_limit = train(125_000 * HUGE, 400, 20_000)
    more = train(125_000 * HUGE + 1, 400, 20_000)
    assert [rms_exceeds(t, 25_000 * HUGE) for t in (at_limit, more)] == [False, True]
    assert [density_exceeds(t, 2_500, 1_000 * HUGE) for t in (at_limit, more)] == [False, True]
    assert [power_exceeds(t, 2_500, 12_500 * HUGE**2) for t in (at_limit, more)] == [False, True]
    assert [energy_exceeds(t, 6_250 * HUGE**2) for t in (at_limit, more)] == [False, True]
    assert [direct_ua(t, 10_000) for t in (at_limit, more)] == [25 * HUGE, 25 * HUGE + 1]
    assert [phase_nc(t) for t in (at_limit, more)] == [50_000 * HUGE, 50_000 * HUGE + 1]
    assert [pulse_nc(t) for t in (at_limit, more)] == [100_000 * HUGE, 100_000 * HUGE + 1]


def test_the_gap_changes_no_figure():
    narrow, wide = Train(1, 20_000, 300, 0, 25_000), Train(1, 20_000, 300, 400, 25_000)
    assert [f(narrow) for f in (phase_nc, pulse_nc, pulse_i2t, rms_ua)] == [
        f(wide) for f in (phase_nc, pulse_nc, pulse_i2t, rms_ua)
    ]


@pytest.mark.parametrize("square", [-1, 0, 1, 2, 3, 4, 5, 15, 16, 17, 10**10 - 1, 10**10, 10**10 + 1])
def test_root_at_squares_and_beside_them(square: int):
    assert root_up(square) == (0 if square <= 0 else isqrt(square - 1) + 1)


@given(st.integers(1, 10**40))
def test_root_is_the_smallest_integer_whose_square_reaches(square: int):
    root = root_up(square)
    assert (root - 1) ** 2 < square <= root**2


@given(trains, trains)
def test_more_current_never_lowers_a_figure(one: Train, other: Train):
    assume(one.ua <= other.ua)
    other = other._replace(width_us=one.width_us, period_us=one.period_us)
    assert phase_nc(one) <= phase_nc(other)
    assert pulse_i2t(one) <= pulse_i2t(other)
    assert rms_ua(one) <= rms_ua(other)
