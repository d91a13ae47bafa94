"""A hand on the button: how the tests of a calibration press, hold and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safety import calibrate
from safety.messages import CalibrationMark, CalibrationStep, Threshold

if TYPE_CHECKING:
    from rig import Rig

    from safety.effects import Answer
    from safety.state import Trial

SENSORY, MOTOR, MAXIMAL = Threshold


def trial_of(rig: Rig) -> Trial:
    session = rig.station.session
    assert session is not None
    assert session.trial is not None
    return session.trial


def level_ua(rig: Rig) -> int:
    session, number = rig.station.session, trial_of(rig).channel
    assert session is not None
    return next(setting.setpoint_ua for setting in session.settings if setting.plan.channel == number)


def flowing_ua(rig: Rig) -> int:
    trains = rig.station.beat.picture.trains
    return trains[0].ua if trains else 0


def at_level(rig: Rig, ua: int) -> Rig:
    """Put the button's set-point where a long ascent would have brought it; the button is up and the muscle rested."""
    session = rig.station.session
    assert session is not None
    rig.station = rig.station._replace(session=calibrate.at(session, trial_of(rig).channel, ua, 0))
    return rig


def hold(rig: Rig, ticks: int, delta_ua: int = 0) -> None:
    """Keep the button down, renewed at every fourth tick."""
    for tick in range(ticks):
        if tick % 4 == 0:
            rig.must(CalibrationStep(delta_ua if tick == 0 else 0))
        rig.tick()


def rest(rig: Rig, ms: int = 5_000) -> None:
    """Let the button go."""
    rig.tick(ms // 50)


def find(rig: Rig, threshold: Threshold, ua: int) -> Answer:
    """Find a threshold once, at this current."""
    at_level(rig, ua)
    hold(rig, 30)
    found = rig.must(CalibrationMark(threshold, absent=False))
    rest(rig)
    return found


def whole(rig: Rig, sensory: int = 8_000, motor: int = 15_000, maximal: int = 38_000) -> Rig:
    """Find all three thresholds twice."""
    for threshold, ua in ((SENSORY, sensory), (MOTOR, motor), (MAXIMAL, maximal)):
        find(rig, threshold, ua)
        find(rig, threshold, ua)
    return rig
