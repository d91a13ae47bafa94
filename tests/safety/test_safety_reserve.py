"""What is reserved is never less than what an ideal device gives, whatever the programme, paused or not."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rig import Adjust, Calibration, Check, Modality, Pause, Phase, Programme, Resume, Rig, plan, rx

from safety.effects import Arm, PermitRequest, Settlement
from safety.prescription import Prescription

WALL_MS = 1_800_000_000_000
FELT = Calibration(
    at_wall_ms=WALL_MS, pair="a", area_mm2=2_500, width_us=300, sensory_ua=None, motor_ua=15_000, maximal_ua=80_000
)


@st.composite
def prescriptions(draw: st.DrawFn) -> Prescription:
    """Anything that the gate accepts, some seconds long, on one or two channels."""
    modality = draw(st.sampled_from(Modality))
    on_ms = draw(st.integers(200, 2_000))
    rest_ms = draw(st.integers(3 * on_ms, 8_000))
    off_ms = 0 if modality is Modality.TENS and draw(st.booleans()) else rest_ms
    shape = Programme(
        modality=modality, ramp_up_ms=draw(st.integers(1_000, 2_000)), on_ms=on_ms,
        ramp_down_ms=draw(st.integers(0, 1_000)), off_ms=off_ms, therapy_ms=draw(st.integers(8_000, 20_000)),
    )  # fmt: skip
    channels = []
    for number in range(1, draw(st.integers(1, 2)) + 1):
        ua, width_us = draw(st.integers(1_000, 60_000)), draw(st.integers(50, 400))
        delay_ms = draw(st.integers(0, shape.cycle_ms - 1)) if off_ms else 0
        channels.append(
            plan(
                channel=number, site=f"site-{number}", ua=ua, max_ua=ua + 2_000, width_us=width_us, delay_ms=delay_ms,
                period_us=draw(st.integers(12_500, 400_000)), calibration=FELT,
            )
        )  # fmt: skip
    return rx(*channels, programme=shape)


quick = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def settled(rig: Rig) -> Settlement:
    (found,) = rig.notes("settle")
    assert isinstance(found, Settlement)
    return found


def reserved_nc(rig: Rig) -> dict[int, int]:
    """What the last permit of the session reserves, per channel."""
    permits = [b for b in rig.notes("permit") if isinstance(b, PermitRequest) and not b.probe]
    return {c.channel: c.reserve.nc for c in permits[-1].channels}


def accepted(prescription: Prescription) -> Rig:
    """A rig that runs this, or the example is thrown away because the gate refuses it."""
    rig = Rig()
    rig.device.ohm = {1: 800, 2: 800}
    try:
        return rig.running(prescription)
    except AssertionError:
        assume(False)
        raise


@pytest.mark.rule("G28")
@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@quick
@given(prescriptions(), st.sampled_from([50, 60, 75, 100]))
def test_the_reservation_covers_what_an_ideal_device_gives(prescription: Prescription, tick_ms: int):
    rig = accepted(prescription)
    arm = next(effect for effect in rig.log if isinstance(effect, Arm))
    reserve = reserved_nc(rig)
    rig.tick(prescription.programme.therapy_ms // tick_ms + 2, ms=tick_ms)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, [])
    assert rig.notes("close")[0].outcome == "completed"  # type: ignore[attr-defined]
    for number, charged in settled(rig).charged:
        given_nc = rig.device.total_nc.get(number, 0)
        assert charged.nc == math.ceil(given_nc * 1_010_000 / 1_000_000)
        assert given_nc <= charged.nc <= reserve[number]
    for envelope in arm.envelopes:
        assert reserve[envelope.channel] <= envelope.max_charge_nc
        assert rig.device.total_nc.get(envelope.channel, 0) <= envelope.max_charge_nc


@pytest.mark.rule("G28")
@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@quick
@given(prescriptions(), st.lists(st.integers(1, 80), min_size=1, max_size=3))
def test_pauses_and_rises_stay_inside_what_is_reserved(prescription: Prescription, runs: list[int]):
    rig = accepted(prescription)
    for ticks in runs:
        rig.tick(ticks)
        if rig.phase is not Phase.RUNNING:
            break
        rig.ask(Adjust(1, 500))
        rig.must(Pause())
        assert rig.device.trains == {}
        rig.tick()
        rig.must(Check(()))
        if rig.ask(Resume()).status != "succeeded":
            break
    rig.tick(prescription.programme.therapy_ms // 50 + 2)
    if rig.phase is Phase.PAUSED:
        return
    assert (rig.phase, rig.latched()) == (Phase.IDLE, [])
    reserve = reserved_nc(rig)
    for number, charged in settled(rig).charged:
        assert rig.device.total_nc.get(number, 0) <= charged.nc <= reserve[number]
