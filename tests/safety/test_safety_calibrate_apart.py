"""safety/calibrate.py: what of a therapy does not bind a calibration, and what is nothing without one."""

from __future__ import annotations

import pytest
from button import at_level, flowing_ua, hold, rest
from rig import (
    OFF,
    WELL,
    Modality,
    Phase,
    Programme,
    Rig,
    plan,
    rx,
    standing,
)

from safety import calibrate
from safety.messages import (
    CalibrationMark,
    CalibrationStep,
    Threshold,
    Tick,
)
from safety.rules import trial as rules
from safety.turn import Turn

pytestmark = [pytest.mark.rule("G19"), pytest.mark.hazard("H45")]


@pytest.mark.rule("G17")
def test_the_programme_of_the_prescription_does_not_bind_a_calibration():
    shape = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=30_000, therapy_ms=60_000
    )
    rig = at_level(Rig().calibrating(rx(plan(), programme=shape)), 10_000)
    for _ in range(3):
        hold(rig, 30)
        assert flowing_ua(rig) == 10_000
        rest(rig, 2_000)
    assert rig.latched() == []


def test_a_second_burst_is_seen_by_its_own_pulses():
    """The measurements of the last burst are seconds old when the next begins (M04)."""
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 50)
    rest(rig, 20_000)
    hold(rig, 50)
    assert (rig.phase, rig.latched()) == (Phase.CALIBRATING, [])


# What a turn does without a calibration


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED])
def test_without_a_calibration_nothing_of_it_happens(phase: Phase):
    rig = standing(phase)
    turn = Turn(rig.station, rig.now)
    session = standing(Phase.PREPARED).station.session
    command = rig.command(CalibrationStep(0))
    calibrate.press(turn, command, session, 0)
    calibrate.still_down(turn, command)
    calibrate.lower(turn, command, session, -1)
    calibrate.mark(turn, command, session, CalibrationMark(Threshold.SENSORY, absent=True))
    calibrate.end(turn, command, session)
    assert calibrate.burst(turn, Tick(OFF, 0, WELL), 50) is None
    assert (turn.effects, turn.station) == ([], rig.station)


def test_its_figures_are_those_of_the_reference():
    assert (rules.HELD_MS, rules.BURST_MS, rules.LOUD_UA, rules.LOUD_BURST_MS) == (1_000, 3_000, 20_000, 2_000)
    assert (rules.APART_MS, rules.SPREAD_PPM, rules.REPEATS, calibrate.AGAIN_PERCENT) == (4_000, 150_000, 2, 70)
    assert (calibrate.FIRST_UA, calibrate.LASTS_MS) == (1_000, 900_000)
