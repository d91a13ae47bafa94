"""The plan of a programme, against figures worked out by hand and against the code that plays programmes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.demo.planned import ON, RAMP_DOWN, RAMP_UP, REST, Stretch, stretches
from controller.programme import height_ppm
from safety.limits import Modality
from safety.prescription import PPM, Plan, Programme
from tests.controller.demo_material import PLAN, PLATEAU_PC, PROGRAMME, PULSE_PC


def total(plan: Plan, programme: Programme) -> Fraction:
    return sum((stretch.pc for stretch in stretches(plan, programme)), Fraction(0))


def test_two_cycles_of_the_demo_are_planned_phase_by_phase() -> None:
    ramp_pc = Fraction(PLATEAU_PC, 4)
    assert stretches(PLAN, PROGRAMME) == (
        Stretch(1, RAMP_UP, 0, 1_000, 20_000, ramp_pc),
        Stretch(1, ON, 1_000, 3_000, 20_000, Fraction(PLATEAU_PC)),
        Stretch(1, RAMP_DOWN, 3_000, 4_000, 20_000, ramp_pc),
        Stretch(1, REST, 4_000, 10_000, 0, Fraction(0)),
        Stretch(2, RAMP_UP, 10_000, 11_000, 20_000, ramp_pc),
        Stretch(2, ON, 11_000, 13_000, 20_000, Fraction(PLATEAU_PC)),
        Stretch(2, RAMP_DOWN, 13_000, 14_000, 20_000, ramp_pc),
        Stretch(2, REST, 14_000, 18_000, 0, Fraction(0)),
    )
    assert total(PLAN, PROGRAMME) == 3 * PLATEAU_PC == 2_880_000_000


@pytest.mark.parametrize(
    ("therapy_ms", "last"),
    [
        # A quarter of the way up the ramp: half of 5 mA for 250 ms is 10 pulses of 2.5 mA.
        (10_250, Stretch(2, RAMP_UP, 10_000, 10_250, 5_000, Fraction(10 * 2 * 2_500 * 300))),
        (12_000, Stretch(2, ON, 11_000, 12_000, 20_000, Fraction(40 * PULSE_PC))),
        # Half of the way down: from 20 to 10 mA, 15 mA on average for 20 pulses.
        (13_500, Stretch(2, RAMP_DOWN, 13_000, 13_500, 20_000, Fraction(20 * 2 * 15_000 * 300))),
        (10_001, Stretch(2, RAMP_UP, 10_000, 10_001, 20, Fraction(2 * 10 * 300 * 1_000, 25_000))),
        (10_000, Stretch(1, REST, 4_000, 10_000, 0, Fraction(0))),
    ],
)
def test_the_last_phase_is_cut_where_the_therapy_ends(therapy_ms: int, last: Stretch) -> None:
    assert stretches(PLAN, replace(PROGRAMME, therapy_ms=therapy_ms))[-1] == last


def test_a_phase_without_length_is_left_out() -> None:
    abrupt = replace(PROGRAMME, ramp_down_ms=0, therapy_ms=9_000)
    assert [stretch.phase for stretch in stretches(PLAN, abrupt)] == [RAMP_UP, ON, REST]


@pytest.mark.parametrize("therapy_ms", [9_000, 10_000, 10_500, 12_345, 13_999, 18_000])
def test_the_plan_is_the_integral_of_what_the_programme_plays(therapy_ms: int) -> None:
    programme = replace(PROGRAMME, therapy_ms=therapy_ms)
    # The shape is linear between whole milliseconds, so the trapezium rule is exact; at the very end it drops to zero.
    heights = [height_ppm(programme, PLAN, ms) for ms in range(therapy_ms)]
    heights.append(height_ppm(replace(programme, therapy_ms=therapy_ms + 1), PLAN, therapy_ms))
    area_ppm_ms = Fraction(sum(heights) * 2 - heights[0] - heights[-1], 2)
    assert total(PLAN, programme) == area_ppm_ms * PULSE_PC * 1_000 / PPM / PLAN.period_us


@given(
    up=st.integers(0, 3_000), on=st.integers(1, 5_000), down=st.integers(0, 3_000), off=st.integers(1, 9_000),
    more=st.integers(0, 30_000), ua=st.integers(1, 30_000),
)  # fmt: skip
def test_the_phases_follow_each_other_to_the_end_and_never_exceed_the_set_point(
    up: int, on: int, down: int, off: int, more: int, ua: int
) -> None:
    therapy_ms = max(up, on, down, off, 1_000) + more
    programme = replace(PROGRAMME, ramp_up_ms=up, on_ms=on, ramp_down_ms=down, off_ms=off, therapy_ms=therapy_ms)
    found = stretches(replace(PLAN, ua=ua), programme)
    assert [stretch.begin_ms for stretch in found] == [0, *(stretch.end_ms for stretch in found[:-1])]
    assert found[-1].end_ms == therapy_ms
    for stretch in found:
        lasting_ms = stretch.end_ms - stretch.begin_ms
        assert 0 <= stretch.pc <= Fraction(2 * ua * PLAN.width_us * lasting_ms * 1_000, PLAN.period_us)
        assert 0 <= stretch.peak_ua <= ua


@pytest.mark.parametrize(
    "programme",
    [
        replace(PROGRAMME, warm_up_ms=1),
        replace(PROGRAMME, cool_down_ms=1),
        replace(PROGRAMME, modality=Modality.TENS, off_ms=0),
    ],
)
def test_a_programme_with_more_to_it_is_refused(programme: Programme) -> None:
    with pytest.raises(ValueError, match="plain cycles"):
        stretches(PLAN, programme)


def test_a_delayed_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="plain cycles"):
        stretches(replace(PLAN, delay_ms=5_000), PROGRAMME)
