"""safety/prescription.py to the last unit: the ends of each range, where a broken treatment goes on, the worst dose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import pytest
from rig import plan, rx

from safety.limits import Modality
from safety.montage import Montage, Region, Side
from safety.prescription import NMES_FAST_US, PPM, Dose, Plan, PrescriptionError, Programme, late_dose, worst_dose

pytestmark = pytest.mark.hazard("H22")

NMES = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
)
TENS = Programme(modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000)


@pytest.mark.rule("G17")
def test_its_figures_are_those_of_the_reference():
    assert (PPM, NMES_FAST_US) == (1_000_000, 100_000)


@pytest.mark.rule("X8")
@pytest.mark.parametrize("kind", [NMES, plan(), plan().calibration, rx(), Dose()])
def test_what_a_clinician_has_allowed_cannot_be_changed(kind: object):
    name = fields(kind)[0].name  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        setattr(kind, name, getattr(kind, name))


@pytest.mark.rule("X3")
def test_what_a_prescription_does_not_say_is_nothing_and_the_warm_up_begins_at_half():
    bare = Plan(
        channel=1, site="left-calf", pair="a", ua=1, max_ua=1, width_us=1, gap_us=0, period_us=3, area_mm2=1
    )  # fmt: skip
    assert (bare.delay_ms, bare.calibration, bare.montage, bare.small_pad_reason, bare.twin) == (0, None, None, "", 0)
    assert (NMES.warm_up_ms, NMES.cool_down_ms, NMES.warm_ppm) == (0, 0, 500_000)
    assert Dose() == Dose(nc=0, i2t=0, on_ms=0)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("max_ua", 1, 200_000), ("width_us", 1, 10_000), ("period_us", 1, 60_000_000), ("area_mm2", 1, 1_000_000)],
)
def test_a_plan_says_what_it_expected_of_a_number_past_its_range(name: str, low: int, high: int):
    room = {"ua": 1, "calibration": None} | ({} if name == "period_us" else {"period_us": 60_000_000})
    for value in (low - 1, high + 1):
        with pytest.raises(PrescriptionError, match=f"^{name}: {value} is not a whole number from {low} to {high}$"):
            plan(**(room | {name: value}))


@pytest.mark.rule("G01")
@pytest.mark.parametrize(("name", "edges"), [("width_us", (1, 10_000)), ("area_mm2", (1, 1_000_000))])
def test_a_plan_takes_both_ends_of_a_range(name: str, edges: tuple[int, int]):
    for value in edges:
        assert getattr(plan(**{"calibration": None, "period_us": 60_000_000, name: value}), name) == value


def spaced(spacing_mm: int) -> Plan:
    """A channel whose pads lie so far apart."""
    return plan(montage=Montage(Region.THIGH, Side.LEFT, Region.THIGH, Side.LEFT, spacing_mm))


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("name", "made", "high"), [("twin", lambda number: plan(twin=number), 8), ("spacing_mm", spaced, 2_000)]
)
def test_a_twin_and_a_spacing_begin_at_nothing(name: str, made: Callable[[int], Plan], high: int):
    for value in (0, high):
        made(value)
    for value in (-1, high + 1):
        with pytest.raises(PrescriptionError, match=f"^{name}: {value} is not a whole number from 0 to {high}$"):
            made(value)


@pytest.mark.rule("M15")
@pytest.mark.parametrize(
    ("twins", "is_coherent"),
    [
        ((0, 0), True),
        ((2, 1), True),
        ((2, 0), True),
        ((1, 0), False),
        ((0, 2), False),
        ((3, 0), False),
        ((0, 8), False),
    ],
)
def test_a_twin_is_another_channel_of_the_prescription(twins: tuple[int, int], *, is_coherent: bool):
    channels = [plan(channel=number, twin=twin) for number, twin in enumerate(twins, 1)]
    if is_coherent:
        assert tuple(each.twin for each in rx(*channels).channels) == twins
        return
    with pytest.raises(PrescriptionError, match=r"^twin: a twin is another channel"):
        rx(*channels)


@pytest.mark.rule("L13")
@pytest.mark.parametrize(
    ("programme", "played_ms", "onward_ms"),
    [
        (NMES, 0, 0), (NMES, 1, 10_000), (NMES, 9_999, 10_000), (NMES, 10_000, 10_000), (NMES, 10_001, 20_000),
        (TENS, 0, 0), (TENS, 12_345, 12_345),
    ],
)  # fmt: skip
def test_a_cycle_that_was_begun_is_lost_and_a_continuous_therapy_goes_on_where_it_was(
    programme: Programme, played_ms: int, onward_ms: int
):
    assert programme.onward_ms(played_ms) == onward_ms


@pytest.mark.rule("L13")
def test_the_last_moment_after_which_something_is_left():
    assert (NMES.latest_ms, TENS.latest_ms) == (50_000, 59_999)


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_the_worst_dose_is_rounded_up():
    # 2 cycles of 4 s: 161 pulses each of 303 nC and 2 x 503^2 x 301 uA^2 us
    assert worst_dose(plan(ua=503, width_us=301, calibration=None), NMES, 503, 20_000) == Dose(
        nc=-(-322 * 303 * 105 // 100), i2t=-(-322 * 152_311_418 * 105 // 100), on_ms=8_000
    )


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(("late_ms", "pulses"), [(0, 1), (1, 2), (100, 5), (101, 6)])
def test_what_comes_late_is_every_pulse_of_its_time_and_one_more(late_ms: int, pulses: int):
    # 303 nC and 2 x 503^2 x 301 uA^2 us a pulse, and 5 %
    train = plan(width_us=301, calibration=None).train(503)
    assert late_dose(train, late_ms) == Dose(
        nc=-(-pulses * 303 * 105 // 100), i2t=-(-pulses * 152_311_418 * 105 // 100), on_ms=late_ms
    )


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_doses_add_up_part_by_part():
    assert Dose(nc=1, i2t=20, on_ms=300) + Dose(nc=4_000, i2t=50_000, on_ms=600_000) == Dose(
        nc=4_001, i2t=50_020, on_ms=600_300
    )
