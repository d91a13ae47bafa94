"""safety/wishes.py and safety/facts.py: what is left of a button, of a lock, of twins and of a check."""

from __future__ import annotations

import pytest
from button import at_level, trial_of
from rig import Check, ClearLatch, Phase, Rig, only, plan, rx, standing

from safety.messages import CalibrationStep, Latch
from safety.prescription import Dose
from safety.verdict import Clear, Reason, Scope, Severity

# The button


@pytest.mark.rule("G19", "G28")
@pytest.mark.hazard("H45")
def test_a_burst_that_began_in_the_clocks_first_millisecond_is_held_on_whatever_a_new_one_would_need() -> None:
    rig = at_level(standing(Phase.CALIBRATING), 1_000)
    trial, session = trial_of(rig)._replace(began_ms=1, held_ms=rig.mono_ms - 200), rig.station.session
    spent = session.permit._replace(reserve=(Dose(),))
    rig.station = rig.station._replace(session=session._replace(trial=trial, permit=spent))
    answer = rig.ask(CalibrationStep(0))
    assert (answer.status, answer.reasons, answer.details) == ("succeeded", (), (("setpoint_ua", 1_000),))
    assert (trial_of(rig).began_ms, trial_of(rig).held_ms) == (1, rig.mono_ms)


@pytest.mark.rule("G01", "G19")
@pytest.mark.hazard("H45")
@pytest.mark.parametrize("delta_ua", [500.5, True])
def test_a_press_that_is_no_whole_number_raises_nothing_is_refused_for_that_alone_and_has_the_button_down(
    delta_ua: float,
) -> None:
    rig = at_level(standing(Phase.CALIBRATING), 1_000)
    session = rig.station.session
    raised = tuple(setting._replace(raised_ms=rig.mono_ms) for setting in session.settings)
    rig.station = rig.station._replace(session=session._replace(settings=raised))
    answer = rig.ask(CalibrationStep(delta_ua))  # type: ignore[arg-type]
    assert answer.reasons == (Reason("G01", Severity.REFUSE, "CMD.SCHEMA", 0, 0, 200_000, "uA"),)
    assert rig.station.session.settings == raised
    assert (trial_of(rig).began_ms, trial_of(rig).held_ms) == (0, rig.mono_ms)


@pytest.mark.rule("G01", "M05")
@pytest.mark.hazard("H28", "H45")
@pytest.mark.parametrize("delta_ua", [500.5, -0.5, True])
def test_a_press_that_is_no_whole_number_does_not_hold_a_burst_on(delta_ua: float) -> None:
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    answer = rig.ask(CalibrationStep(delta_ua))  # type: ignore[arg-type]
    assert (answer.status, answer.reasons[0].code) == ("rejected", "CMD.SCHEMA")
    rig.mono_ms += 100
    before = rig.station.session.trial
    stranger = rig.ask(CalibrationStep(delta_ua), principal="somebody")  # type: ignore[arg-type]
    assert (stranger.status, stranger.code) == ("rejected", "SES.CLAIM_HELD")
    assert rig.station.session.trial == before


# A lock


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_an_older_lock_of_the_stop_is_not_cleared_while_a_new_stop_has_not_failed_yet() -> None:
    rig = standing(Phase.UNCERTAIN)
    lock = Latch(77, Scope.DEVICE, "M29", Clear.MAINTENANCE, "", rig.wall_ms)
    rig.station = rig.station._replace(latches=(*rig.station.latches, lock))
    before = rig.station
    answer = rig.ask(ClearLatch(77, "looked at the device"), role="biomed")
    assert answer.reasons == (Reason("M29", Severity.REFUSE, "FLT.STANDING", 0, 77),)
    assert (rig.phase, rig.station.stopping, rig.station.latches) == (
        Phase.UNCERTAIN,
        before.stopping,
        before.latches,
    )


# What the device says


@pytest.mark.rule("M15")
@pytest.mark.hazard("H04")
def test_twins_are_not_compared_by_what_is_heard_while_nothing_runs() -> None:
    rig = Rig().prepared(rx(plan(twin=2), plan(channel=2, site="right-quadriceps")))
    session = rig.station.session
    channels = tuple(
        channel._replace(contact=channel.contact._replace(past=channel.contact.past._replace(uneven_ms=77)))
        for channel in session.channels
    )
    rig.station = rig.station._replace(session=session._replace(channels=channels))
    rig.device.sample_changes = {number: only(fresh=True) for number in (1, 2)}
    rig.hear()
    assert rig.station.session.channels == channels


@pytest.mark.rule("G20")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("ohms", "codes"),
    [((3_001, 299), ["IMP.HIGH", "IMP.LOW"]), ((299, 3_001), ["IMP.LOW", "IMP.HIGH"])],
)
def test_a_check_that_finds_two_faults_is_answered_with_the_first_channels(
    ohms: tuple[int, int], codes: list[str]
) -> None:
    rig = Rig()
    rig.device.ohm = dict(zip((1, 2), ohms, strict=True))
    rig.prepared(rx(plan(), plan(channel=2, site="right-quadriceps")))
    answer = rig.ask(Check(()))
    assert ([reason.code for reason in answer.reasons], answer.code) == (codes, codes[0])
