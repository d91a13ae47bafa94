"""safety/calibrate.py to the last field: what a burst begins with, what a press writes, what is felt and answered."""

from __future__ import annotations

import pytest
from button import at_level, find, trial_of
from rig import (
    OFF,
    WELL,
    CalibrationBegin,
    Modality,
    Programme,
    Rig,
    plan,
    rx,
)

from safety import calibrate
from safety.messages import CalibrationEnd, CalibrationMark, CalibrationStep, Threshold, Tick
from safety.state import Mark, Trial
from safety.turn import Turn

pytestmark = [pytest.mark.rule("G19"), pytest.mark.hazard("H45")]

SENSORY, MOTOR, MAXIMAL = Threshold


def wishes(rig: Rig) -> list[str]:
    """What was written about wishes, newest last."""
    return [note.detail for note in rig.notes("wish")]


def beside() -> Rig:
    """A prepared session of two channels."""
    return Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))


@pytest.mark.rule("G18")
def test_a_set_point_moves_alone_and_only_a_rise_changes_when_it_was_raised():
    session = beside().station.session
    first, second = session.settings
    session = session._replace(settings=(first, second._replace(raised_ms=7)))
    for raised_ms, expected_ms in ((None, 7), (0, 0), (9, 9)):
        moved = calibrate.at(session, 2, 5_000, raised_ms)
        assert moved.settings == (first, second._replace(setpoint_ua=5_000, raised_ms=expected_ms))


def test_the_wish_is_accepted_with_the_number_of_its_permit_and_told_again_when_it_has_begun():
    rig = Rig().prepared()
    rig.must(CalibrationBegin(1))
    permit = rig.station.session.permit.id
    said = [(each.status, each.code, each.details) for each in rig.said if hasattr(each, "status")][-2:]
    assert said == [
        ("accepted", "OK", (("permit", permit),)),
        ("succeeded", "OK", (("session_id", rig.station.session.id),)),
    ]


@pytest.mark.rule("G18")
def test_a_calibration_begins_with_a_burst_that_has_not_been_and_a_set_point_of_nothing():
    rig = beside()
    rig.must(CalibrationBegin(2))
    shape = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=3_000, ramp_down_ms=0, off_ms=1, therapy_ms=900_000
    )
    assert trial_of(rig) == Trial(2, shape, held_ms=0, began_ms=0, ended_ms=0, is_loud=False, felt_ua=0, marks=())
    second = rig.station.session.settings[1]
    assert (second.setpoint_ua, second.raised_ms) == (0, 0)


@pytest.mark.parametrize(("ua", "is_loud"), [(20_000, False), (20_001, True)])
def test_a_burst_begins_now_and_nothing_has_been_felt_in_it(ua: int, *, is_loud: bool):
    rig = at_level(Rig().calibrating(), ua)
    session = rig.station.session
    rig.station = rig.station._replace(session=session._replace(trial=trial_of(rig)._replace(felt_ua=9_000)))
    before = trial_of(rig)
    rig.must(CalibrationStep(0))
    now_ms = rig.mono_ms
    assert trial_of(rig) == before._replace(held_ms=now_ms, began_ms=now_ms, is_loud=is_loud, felt_ua=0)


@pytest.mark.rule("X2")
def test_a_press_that_raises_or_lowers_is_written_with_its_set_point_and_a_renewal_is_not():
    rig = at_level(Rig().calibrating(), 10_000)
    before = wishes(rig)
    rig.must(CalibrationStep(0))
    assert (wishes(rig), rig.station.session.settings[0].raised_ms) == (before, 0)
    rig.must(CalibrationStep(1_000))
    assert rig.station.session.settings[0].raised_ms == rig.mono_ms
    rig.must(CalibrationStep(-4_000))
    assert wishes(rig) == [*before, "channel=1 setpoint_ua=11000", "channel=1 setpoint_ua=7000"]


@pytest.mark.rule("X2")
def test_the_end_is_written_and_an_end_before_all_is_found_is_a_success_that_says_so():
    rig = Rig().calibrating()
    before = wishes(rig)
    answer = rig.ask(CalibrationEnd())
    assert (answer.status, answer.code, answer.details) == ("succeeded", "CAL.INCOMPLETE", ())
    assert wishes(rig) == [*before, "channel=1"]


@pytest.mark.hazard("H33")
def test_a_press_that_is_refused_while_current_flows_holds_no_button():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    held_ms = trial_of(rig).held_ms
    rig.tick(5)
    assert rig.codes(CalibrationStep(1_001)) == ["G18"]
    assert trial_of(rig).held_ms == held_ms


# What is felt


def test_a_set_point_of_the_devices_first_step_is_not_felt_without_a_pulse():
    rig = at_level(Rig().calibrating(), 100)
    rig.must(CalibrationStep(0))
    rig.tick(2)
    assert trial_of(rig).felt_ua == 0


@pytest.mark.parametrize(("flowing_ua", "felt_ua"), [(9_900, 0), (9_901, 10_000), (10_000, 10_000), (None, 0)])
def test_what_stands_within_one_step_of_the_set_point_is_felt(flowing_ua: int | None, felt_ua: int):
    rig = at_level(Rig().calibrating(rx(plan(), plan(channel=2, site="right-calf")), 2), 10_000)
    rig.must(CalibrationStep(0))
    session = rig.station.session
    train = None if flowing_ua is None else plan(channel=2).train(flowing_ua)
    first, second = session.channels
    session = session._replace(channels=(first, second._replace(train=train)))
    for began_ms, expected_ua in ((session.trial.began_ms, felt_ua), (0, 0)):
        trial = session.trial._replace(began_ms=began_ms)
        turn = Turn(rig.station._replace(session=session._replace(trial=trial)), rig.now)
        calibrate.burst(turn, Tick(OFF, 0, WELL), 50)
        assert turn.station.session.trial.felt_ua == expected_ua


def test_an_absence_is_no_repeat_that_could_lie_too_far_apart():
    rig = Rig().calibrating()
    find(rig, SENSORY, 10_000)
    turn = Turn(at_level(rig, 5_000).station, rig.now)
    wish = CalibrationMark(SENSORY, absent=True)
    calibrate.mark(turn, rig.command(wish), rig.station.session, wish)
    assert turn.station.session.trial.marks == (Mark(SENSORY, 10_000), Mark(SENSORY, None))
    assert turn.effects[-1].message.code == "OK"


@pytest.mark.hazard("H42")
def test_a_muscle_that_never_twitches_has_a_motor_threshold_of_nothing():
    rig = Rig().calibrating()
    find(rig, SENSORY, 8_000)
    find(rig, SENSORY, 8_000)
    rig.must(CalibrationMark(MOTOR, absent=True))
    find(rig, MAXIMAL, 38_000)
    find(rig, MAXIMAL, 38_000)
    assert rig.must(CalibrationEnd()).details == (("sensory_ua", 8_000), ("motor_ua", 0), ("maximal_ua", 38_000))
    known = rig.station.session.settings[0].plan.calibration
    assert (known.sensory_ua, known.motor_ua, known.maximal_ua) == (8_000, None, 38_000)
