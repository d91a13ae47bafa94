"""safety/wishes.py: adjust, pause, resume and stop, with permits, records and answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    CAPS,
    WALL_MS,
    Adjust,
    Calibration,
    Check,
    IdealDevice,
    Pause,
    Phase,
    Resume,
    Rig,
    Sensation,
    Stop,
    Verb,
    plan,
    rx,
    standing,
)

from safety.effects import (
    Answer,
    Arm,
    Closing,
    Commit,
    Envelope,
    Note,
    PermitRequest,
    Silence,
    Tell,
    WishRecord,
)
from safety.limits import Modality
from safety.messages import Asked, Committed, Expect
from safety.prescription import Dose, Programme
from safety.state import Purpose, Waiting
from safety.verdict import Clear, Reason, Scope, Severity

LONG = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=10_000, ramp_down_ms=1_000, off_ms=30_000, therapy_ms=120_000
)
"""Long plateaus: room for several adjustments."""


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def bare(code: str) -> tuple[Reason, ...]:
    """What a refusal carries where no rule speaks."""
    return (refuse("", code),)


def doings(rig: Rig, verb: Verb) -> list[type]:
    """Kinds of the effects of the step that took in the last wish of this verb."""
    steps = (effects for event, effects in rig.steps if isinstance(event, Asked) and event.command.verb is verb)
    return [type(effect) for effect in list(steps)[-1]]


# Adjust


@pytest.mark.hazard("H08")
def test_lowering_acts_at_once_and_is_recorded():
    rig = Rig().plateau()
    command = rig.command(Adjust(1, -7_500), expect=Expect())
    rig.give(Asked(command))
    assert [type(effect) for effect in rig.last] == [Tell, Note]
    assert rig.answer(command.id).details == (("setpoint_ua", 12_500),)
    session = rig.station.session
    assert session is not None
    assert session.settings[0].setpoint_ua == 12_500
    assert rig.notes("wish")[-1] == WishRecord(
        session=session.id,
        command=command.id,
        principal="physio-1",
        verb=Verb.ADJUST,
        detail="channel=1 setpoint_ua=12500",
    )
    rig.tick()
    assert rig.device.trains[1].ua == 12_500


@pytest.mark.rule("G08")
@pytest.mark.parametrize(("delta_ua", "left_ua"), [(-19_999, 1), (-20_000, None), (-20_001, None)])
def test_lowering_ends_above_zero_and_zero_is_a_pause(delta_ua: int, left_ua: int | None):
    rig = Rig().plateau()
    answer = rig.ask(Adjust(1, delta_ua))
    if left_ua is None:
        assert answer.reasons == (refuse("G08", "LIM.CURRENT", 1, 20_000 + delta_ua, 1, "uA"),)
        left_ua = 20_000
    assert rig.station.session is not None
    assert rig.station.session.settings[0].setpoint_ua == left_ua


@pytest.mark.rule("G18")
@pytest.mark.rule("G28")
@pytest.mark.hazard("H08")
def test_a_rise_reserves_first_and_then_stands():
    rig = Rig().plateau(rx(programme=LONG))
    session = rig.station.session
    assert session is not None
    assert session.permit is not None
    rig.committing = False
    command = rig.command(Adjust(1, 1_000))
    rig.give(Asked(command))
    assert [type(effect) for effect in rig.last] == [Commit]
    body = rig.notes("permit")[-1]
    assert isinstance(body, PermitRequest)
    left_ms = 120_000 - 2_250
    spent_nc, spent_i2t, spent_ms = session.channels[0].spent
    # 3 cycles (117.75 s of 42 s) of 480 + 1 pulses at 21 mA, 21 of a stop that is not heard, and 5 %;
    # what was given, and the 1 % by which the device may be wrong
    assert body.permit.reserve == (
        Dose(nc=-(-spent_nc * 101 // 100) + 19_368_720, i2t=spent_i2t + 406_743_120_000_000, on_ms=spent_ms + 36_500),
    )
    assert -(-left_ms // 42_000) == 3
    assert rig.station.session is not None
    assert rig.station.session.settings == session.settings
    waiting = rig.station.waiting
    assert waiting == Waiting(
        command, Purpose.RISE_PERMIT, rig.held[0], 0, rig.mono_ms, body.permit, channels=(1,), setpoint_ua=21_000
    )
    rig.tick(2)
    rig.give(Committed(rig.held[0]))
    assert rig.answer(command.id).details == (("setpoint_ua", 21_000),)
    after = rig.station.session
    assert after.settings == (session.settings[0]._replace(setpoint_ua=21_000, raised_ms=rig.mono_ms),)
    assert after.permit == body.permit._replace(id=session.permit.id, ends_mono_ms=session.permit.ends_mono_ms)
    assert rig.notes("wish")[-1].detail == "channel=1 setpoint_ua=21000"  # type: ignore[attr-defined]
    rig.tick()
    assert rig.device.trains[1].ua == 21_000


@pytest.mark.rule("G28")
def test_a_later_rise_reserves_only_what_is_left():
    rig = Rig().plateau(rx(programme=LONG))
    rig.tick(840)  # the plateau of the second of three cycles
    session = rig.station.session
    assert session is not None
    spent_nc, _, spent_ms = session.channels[0].spent
    rig.must(Adjust(1, 1_000))
    body = rig.notes("permit")[-1]
    assert isinstance(body, PermitRequest)
    # 75.75 s are left: two cycles of 480 + 1 pulses at 21 mA, 21 of a stop that is not heard, and 5 %
    assert body.permit.reserve[0].nc == -(-spent_nc * 101 // 100) + 13_005_090
    assert body.permit.reserve[0].on_ms == spent_ms + 24_500


@pytest.mark.rule("G28")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H18")
def test_a_rise_counts_what_the_device_measured_where_that_is_more():
    rig = Rig().plateau(rx(programme=LONG))
    session = rig.station.session
    assert session is not None
    course = session.course._replace(base_nc=(1_000_000,), seen_nc=(200_000_000,))
    rig.station = rig.station._replace(session=session._replace(course=course))
    rig.must(Adjust(1, 1_000))
    body = rig.notes("permit")[-1]
    assert isinstance(body, PermitRequest)
    assert body.permit.reserve[0].nc == 203_010_000 + 19_368_720
    assert body.permit.envelopes[0].max_charge_nc == 201_000_000 + 27_669_600


@pytest.mark.rule("G18")
@pytest.mark.hazard("H08")
def test_a_second_rise_waits_a_second_and_a_large_one_is_refused():
    rig = Rig().plateau(rx(programme=LONG))
    rig.tick(20)
    rig.must(Adjust(1, 1_000))
    rig.tick(19)
    assert rig.ask(Adjust(1, 1_000)).reasons == (refuse("G18", "LIM.STEP", 1, 950, 1_000, "ms"),)
    rig.tick(1)
    assert rig.must(Adjust(1, 1_000)).details == (("setpoint_ua", 22_000),)
    rig.tick(20)
    assert rig.ask(Adjust(1, 1_001)).reasons == (refuse("G18", "LIM.STEP", 1, 1_001, 1_000, "uA"),)


@pytest.mark.rule("G18")
def test_a_rise_outside_the_plateau_is_refused():
    rig = Rig().running(ticks=10)
    assert rig.ask(Adjust(1, 100)).reasons == (refuse("G18", "LIM.STEP", 1, 0, 1, "ms on the plateau"),)


@pytest.mark.rule("G08")
def test_a_rise_stays_inside_the_prescribed_window():
    rig = Rig().plateau(rx(plan(max_ua=20_900)))
    assert rig.ask(Adjust(1, 901)).reasons == (refuse("G08", "LIM.TOLERANCE", 1, 20_901, 20_900, "uA"),)
    assert rig.must(Adjust(1, 900)).details == (("setpoint_ua", 20_900),)


@pytest.mark.rule("G21")
@pytest.mark.hazard("H09")
def test_a_rise_stays_inside_the_devices_voltage():
    weak = replace(CAPS, compliance_mv=38_000)  # 30.4 V with room, 20 mA over 1,500 ohm is 30 V
    rig = Rig(device=IdealDevice(caps=weak)).plateau()
    assert rig.ask(Adjust(1, 267)).reasons == (refuse("G21", "LIM.HEADROOM", 1, 30_401, 30_400, "mV"),)
    assert rig.must(Adjust(1, 266)).details == (("setpoint_ua", 20_266),)


@pytest.mark.hazard("H23")
def test_an_adjustment_moves_one_channel():
    rig = Rig().plateau(rx(plan(), plan(channel=2, site="right-calf")))
    rig.must(Adjust(2, -1_000))
    rig.must(Adjust(1, 500))
    assert rig.station.session is not None
    assert [setting.setpoint_ua for setting in rig.station.session.settings] == [20_500, 19_000]


@pytest.mark.rule("G01")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize("delta_ua", [0, True, 1.5, -1.5, 10**12, -(10**12)])
def test_an_adjustment_that_is_no_whole_number_changes_nothing(delta_ua: int):
    rig = Rig().plateau()
    before = rig.station
    assert rig.ask(Adjust(1, delta_ua)).reasons[0] == refuse("G01", "CMD.SCHEMA", 0, 0, 200_000, "uA")
    assert rig.station == before


@pytest.mark.rule("G08")
@pytest.mark.rule("M02")
@pytest.mark.hazard("H49")
def test_a_calibration_that_grows_old_in_a_session_ends_rises_and_not_the_session():
    week_ms = 7 * 86_400_000
    felt = Calibration(
        at_wall_ms=WALL_MS + 2_000 - week_ms,
        pair="a",
        area_mm2=2_500,
        width_us=300,
        sensory_ua=None,
        motor_ua=15_000,
        maximal_ua=38_000,
    )
    rig = Rig().plateau(rx(plan(calibration=felt), sensation=Sensation.S1))
    rig.tick(5)
    aged_ms = rig.wall_ms - felt.at_wall_ms
    assert rig.ask(Adjust(1, 100)).reasons == (
        refuse("G19", "CAL.OLD", 1, aged_ms, week_ms, "ms"),
        refuse("G08", "LIM.TOLERANCE", 1, 20_100, 0, "uA"),
    )
    rig.tick(1_200)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, [])
    assert rig.notes("close")[-1].outcome == "completed"  # type: ignore[attr-defined]


# Pause, resume, stop


@pytest.mark.rule("X5")
def test_a_pause_zeroes_keeps_the_session_and_latches_nothing():
    rig = Rig().plateau()
    command = rig.command(Pause(), principal="patient-1")
    rig.give(Asked(command))
    session = rig.station.session
    assert session is not None
    assert doings(rig, Verb.PAUSE)[0] is Silence
    assert rig.events("session.paused")[-1].details == (("session_id", session.id), ("by", "patient-1"))
    assert rig.notes("wish")[-1] == WishRecord(
        session=session.id, command=command.id, principal="patient-1", verb=Verb.PAUSE, detail=""
    )
    assert (rig.phase, rig.latched(), rig.device.trains) == (Phase.PAUSED, [], {})


@pytest.mark.rule("G20")
@pytest.mark.hazard("H06")
def test_a_resume_arms_for_the_rest_and_ramps_from_zero():
    rig = Rig().plateau()
    rig.must(Pause())
    rig.tick(10)
    session = rig.station.session
    assert session is not None
    assert session.permit is not None
    given = rig.device.charge_nc[1]
    assert given > 0
    rig.must(Check(()))
    rig.committing = False
    command = rig.command(Resume())
    rig.give(Asked(command))
    arm = next(effect for effect in rig.log[::-1] if isinstance(effect, Arm))
    counted = max(given, session.channels[0].spent[0])
    assert arm.envelopes == (Envelope(1, 30_000, 300, 25_000, 18_654_300 - counted),)
    assert arm.lifetime_ms == session.permit.ends_mono_ms - rig.mono_ms
    assert arm.grant.permit == session.permit.id
    assert rig.held == []
    answers = [m.status for m in rig.said if isinstance(m, Answer) and m.command.id == command.id]
    assert (answers, rig.phase) == (["accepted", "succeeded"], Phase.RUNNING)
    after = rig.station.session
    assert after is not None
    assert after.course == session.course._replace(base_nc=(given,), seen_nc=(0,), since_resume_ms=0, rest_from_ms=0)
    assert rig.events("session.resumed")[-1].details == (("session_id", session.id),)
    rig.tick()
    assert rig.device.trains[1].ua == 1_000


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("applied_nc", "before_nc", "now_nc", "left_nc"),
    [
        (100, 0, 200, 18_654_100),
        (300, 0, 200, 18_654_000),
        (300, 150, 200, 18_653_950),
        (0, 0, 18_654_299, 1),
        (0, 0, 18_654_300, 0),
        (0, 0, 18_654_301, 0),
        (18_654_301, 0, 0, 0),
    ],
)
def test_the_envelope_of_a_resume_is_less_what_was_given(applied_nc: int, before_nc: int, now_nc: int, left_nc: int):
    rig = Rig().plateau()
    rig.must(Pause())
    rig.must(Check(()))
    session = rig.station.session
    assert session is not None
    channel = session.channels[0]._replace(spent=(applied_nc, 0, 0))
    course = session.course._replace(base_nc=(before_nc,), seen_nc=(now_nc,))
    rig.station = rig.station._replace(session=session._replace(course=course, channels=(channel,)))
    rig.answering = False
    rig.give(Asked(rig.command(Resume())))
    arm = next(effect for effect in rig.log[::-1] if isinstance(effect, Arm))
    assert arm.envelopes == (Envelope(1, 30_000, 300, 25_000, left_nc),)


@pytest.mark.hazard("H10")
def test_a_resume_waits_for_the_devices_word():
    rig = Rig().plateau()
    rig.must(Pause())
    rig.must(Check(()))
    rig.answering = False
    command = rig.command(Resume())
    rig.give(Asked(command))
    session = rig.station.session
    assert session is not None
    assert session.permit is not None
    grant = rig.station.beat.unanswered
    assert rig.station.waiting == Waiting(
        command, Purpose.REARMED, 0, grant, rig.mono_ms, session.permit, channels=(), setpoint_ua=0
    )
    assert (rig.phase, rig.station.beat.sent_ms) == (Phase.PAUSED, rig.mono_ms)


@pytest.mark.rule("G28")
def test_a_resumed_session_is_not_given_a_second_reservation():
    rig = Rig().plateau()
    rig.must(Pause())
    rig.tick()
    rig.must(Check(()))
    permits = len([body for body in rig.notes("permit") if not body.probe])  # type: ignore[attr-defined]
    rig.must(Resume())
    assert len([body for body in rig.notes("permit") if not body.probe]) == permits == 1  # type: ignore[attr-defined]


@pytest.mark.rule("X3")
def test_what_has_no_permit_cannot_be_resumed():
    rig = Rig().armed()
    rig.must(Pause())
    rig.must(Check(()))
    session = rig.station.session
    assert session is not None
    rig.station = rig.station._replace(session=session._replace(permit=None))
    answer = rig.ask(Resume())
    assert (answer.status, answer.reasons, rig.phase) == ("rejected", bare("SES.STATE"), Phase.PAUSED)


@pytest.mark.rule("G20")
@pytest.mark.hazard("H06")
def test_a_resume_needs_a_fresh_check():
    rig = Rig().plateau(rx(programme=LONG))
    rig.must(Pause())
    rig.tick(2_356)
    stale = refuse("G20", "IMP.STALE", 1, 120_050, 120_000, "ms")
    assert [rig.ask(Resume()).reasons for _ in range(2)] == [(stale,)] * 2
    rig.must(Check(()))
    rig.must(Resume())


@pytest.mark.hazard("H24")
@pytest.mark.hazard("H33")
@pytest.mark.parametrize("phase", Phase)
def test_a_stop_is_obeyed_from_anybody_however_old_and_wherever(phase: Phase):
    rig = standing(phase)
    answer = rig.ask(
        Stop(), principal="nobody", role="", retained=True, issued_wall_ms=0, expires_wall_ms=0,
        expect=Expect(boot_id="b0", session_id="s-0", state_version=-1),
    )  # fmt: skip
    assert (answer.status, answer.code) == ("succeeded", "OK")
    assert doings(rig, Verb.STOP)[0] is Silence


@pytest.mark.hazard("H10")
def test_a_stop_ends_the_session_and_latches_until_acknowledged():
    rig = Rig().plateau()
    session = rig.station.session
    assert session is not None
    rig.must(Stop(), principal="nurse-2")
    assert (rig.phase, rig.station.session, rig.device.trains) == (Phase.IDLE, None, {})
    assert [(x.scope, x.rule, x.clear) for x in rig.station.latches] == [(Scope.SESSION, "STOP", Clear.NEW_SESSION)]
    stopped = rig.events("session.stopped")[-1]
    assert (stopped.code, stopped.details) == ("SES.STOPPED", (("session_id", session.id), ("by", "nurse-2")))
    assert rig.notes("close") == [Closing(session=session.id, outcome="stopped", rule="STOP")]
    assert rig.notes("wish")[-1].session == session.id  # type: ignore[attr-defined]


@pytest.mark.hazard("H10")
def test_a_stop_without_a_session_silences_and_latches_nothing():
    rig = standing(Phase.IDLE)
    rig.must(Stop())
    assert (rig.latched(), rig.phase) == ([], Phase.IDLE)
    assert doings(rig, Verb.STOP) == [Silence, Tell, Note]
    assert rig.notes("wish")[-1].session == ""  # type: ignore[attr-defined]
