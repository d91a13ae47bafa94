"""safety/turn.py: the ways down, their latches, their numbers, and what a session is charged at the end."""

from __future__ import annotations

import pytest
from rig import (
    OFF,
    Adjust,
    ArmSession,
    Check,
    ClearLatch,
    Modality,
    Pause,
    Phase,
    Prepare,
    Programme,
    Resume,
    Rig,
    Start,
    Stop,
    config,
    held_back,
    replace,
    rx,
    standing,
)

from safety.effects import Arm, Closing, Commit, Drive, Feed, Grant, Note, Probe, Settlement, Silence, Tell
from safety.impedance import at_rest
from safety.messages import Asked, DeviceState
from safety.state import FRESH, Hold, Stopping
from safety.times import SCIENCEMODE4
from safety.turn import Turn, sure, wished
from safety.verdict import Clear, Reason, Scope, Severity

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
ENERGISING = Arm | Drive | Feed | Probe
LONG = Programme(modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000,
                 therapy_ms=1_200_000)  # fmt: skip


def turn_of(rig: Rig) -> Turn:
    return Turn(rig.station, rig.now)


def go_on(rig: Rig) -> None:
    """Acknowledge what stands, measure again, and resume."""
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "looked at it"))
    rig.must(Check(()))
    assert rig.ask(Resume()).status == "succeeded"


# What must be there


@pytest.mark.hazard("H40")
def test_what_is_missing_where_it_cannot_be_is_a_defect() -> None:
    assert (sure(0), sure("")) == (0, "")
    with pytest.raises(TypeError):
        sure(None)


@pytest.mark.rule("X3")
def test_a_wish_is_what_its_verb_says_or_a_defect() -> None:
    command = Rig().command(Check((1,)))
    assert wished(command, type(command.wish)) == Check((1,))
    with pytest.raises(TypeError):
        wished(command, type(Stop()))


# Numbers


@pytest.mark.rule("X10")
def test_numbers_rise_strictly_and_are_used_once() -> None:
    rig = standing(Phase.RUNNING)
    rig.must(Adjust(1, 1_000))
    rig.must(Pause())
    go_on(rig)
    rig.tick(60)
    rig.must(Stop())
    grants = [e.grant.seq for e in rig.log if isinstance(e, ENERGISING)]
    entries = [e.entry.id for e in rig.log if isinstance(e, Note | Commit)]
    assert grants == sorted(set(grants))
    assert len(entries) == len(set(entries))
    assert set(grants).isdisjoint(entries)
    assert max(grants + entries) < rig.station.tally.next_id


@pytest.mark.rule("X9")
@pytest.mark.parametrize(("times", "lasts_ms"), [(config().times, 200), (SCIENCEMODE4, 400)])
def test_a_grant_ends_before_the_device_is_missed(times: object, lasts_ms: int) -> None:
    rig = Rig(replace(config(), times=times)).armed()
    rig.must(Start())
    kinds = set()
    for _ in range(40):
        mark = len(rig.log)
        rig.tick()
        for effect in rig.log[mark:]:
            assert effect.grant == Grant(rig.station.session.permit.id, effect.grant.seq, rig.mono_ms + lasts_ms)
            kinds.add(type(effect))
    assert kinds == {Drive, Feed}
    starting = [effect for effect in rig.log if isinstance(effect, Arm | Probe)]
    assert [effect.grant.expires_mono_ms for effect in starting] == [rig.mono_ms - 2_000 + lasts_ms] * 4
    permits = [entry.body.permit.id for entry in (e.entry for e in rig.log if isinstance(e, Commit))]
    assert [effect.grant.permit for effect in starting] == [permits[0]] * 3 + [permits[1]]


@pytest.mark.rule("X9")
def test_a_turn_makes_grants_from_the_time_of_its_event() -> None:
    rig = Rig()
    turn = turn_of(rig)
    assert turn.grant(7) == Grant(7, 1, rig.mono_ms + 200)
    assert turn.grant(7) == Grant(7, 2, rig.mono_ms + 200)
    assert rig.station.tally.next_id == 1


# The worst of all reasons

A_HOLD = Reason("M14", HOLD, "IMP.CLIP", 1, 3, 3, "pulses")
A_PAUSE = Reason("M11", PAUSE, "IMP.DRIFT", 1, 400, 375, "ohm")
A_STOP = Reason("M07", STOP, "IMP.OPEN", 1, 9_000, 8_000, "ohm")
A_LOCK = Reason("M08", LOCK, "IMP.SHORT", 1, 50, 100, "ohm")


@pytest.mark.rule("X4")
@pytest.mark.parametrize(
    ("reasons", "kind", "latched"),
    [
        ((A_HOLD,), "session.held", []),
        ((A_HOLD, A_PAUSE), "session.paused", [("M11", Clear.ACK_OPERATOR)]),
        ((A_PAUSE, A_HOLD, A_STOP), "session.stopped", [("M11", Clear.ACK_OPERATOR), ("M07", Clear.NEW_SESSION)]),
        ((A_STOP, A_LOCK), "session.stopped", [("M07", Clear.NEW_SESSION), ("M08", Clear.ACK_QUALIFIED)]),
    ],
)
def test_the_worst_reason_acts_and_all_reasons_are_told_and_latched(
    reasons: tuple[Reason, ...], kind: str, latched: list[tuple[str, Clear]]
) -> None:
    turn = turn_of(standing(Phase.RUNNING))
    assert turn.judge(reasons) is (kind != "session.held")
    told = [e.message for e in turn.effects if isinstance(e, Tell)]
    first = reasons[0]
    assert [(m.reasons, m.rule, m.code) for m in told if m.kind == kind] == [(reasons, first.rule, first.code)]
    assert (turn.station.stopping.rule if turn.station.stopping else None) == (first.rule if latched else None)
    assert [(latch.rule, latch.clear) for latch in turn.station.latches] == latched
    assert [n.entry.body for n in turn.effects if isinstance(n, Note)] == list(turn.station.latches)
    assert [m.details for m in told if m.kind == "fault.latched"] == [
        (("latch", latch.id), ("clear", latch.clear.value), ("scope", latch.scope.value))
        for latch in turn.station.latches
    ]


@pytest.mark.rule("X4")
def test_a_hold_is_told_once_and_kept_with_its_last_word() -> None:
    rig = standing(Phase.RUNNING)
    first, other = turn_of(rig), A_HOLD._replace(rule="M12")
    first.hold((A_HOLD,))
    assert len(first.effects) == 1
    rig.station, rig.mono_ms = first.station, rig.mono_ms + 50
    second = turn_of(rig)
    second.hold((A_HOLD._replace(asked=4), other))
    assert [e.message.reasons for e in second.effects] == [(other,)]
    assert second.station.holds == (Hold(A_HOLD._replace(asked=4), rig.mono_ms), Hold(other, rig.mono_ms))
    rig.station, rig.mono_ms = second.station, rig.mono_ms + 50
    third = turn_of(rig)
    third.hold((other,))
    assert third.effects == []
    assert third.station.holds == (Hold(A_HOLD._replace(asked=4), rig.mono_ms - 50), Hold(other, rig.mono_ms))


@pytest.mark.rule("X5")
def test_a_latch_that_stands_is_not_raised_again_but_its_like_elsewhere_is() -> None:
    rig = standing(Phase.RUNNING)
    turn = turn_of(rig)
    turn.latch((A_HOLD, A_PAUSE, A_PAUSE, A_LOCK, A_LOCK._replace(channel=9), A_LOCK))
    assert [(x.scope, x.rule, x.key) for x in turn.station.latches] == [
        (Scope.SESSION, "M11", ""),
        (Scope.MONTAGE, "M08", "p-1/left-quadriceps"),
        (Scope.MONTAGE, "M08", ""),
    ]
    assert [x.since_wall_ms for x in turn.station.latches] == [rig.wall_ms] * 3
    idle = turn_of(standing(Phase.IDLE))
    idle.latch((A_LOCK,))
    assert idle.station.latches[0].key == ""


# Pauses


@pytest.mark.rule("M28")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize(("apart_ms", "is_stop"), [(599_999, True), (600_000, False)])
def test_the_fourth_pause_in_ten_minutes_is_a_stop(apart_ms: int, is_stop: bool) -> None:
    rig = Rig().plateau(rx(programme=LONG))
    for _ in range(3):
        rig.give_pause()
        assert rig.phase is Phase.PAUSED
        go_on(rig)
        rig.tick(20)
    assert len(rig.station.session.course.pauses) == 3
    rig.mono_ms = rig.station.session.course.pauses[0] + apart_ms
    rig.give_pause()
    if is_stop:
        (event,) = rig.events("session.stopped")
        assert event.reasons == (Reason("M28", STOP, "DEV.SUPPLY", 0, 10_000, 10_800, "mV"),)
        assert [(x.rule, x.clear) for x in rig.station.latches] == [("M28", Clear.NEW_SESSION)]
        assert (rig.phase, rig.station.session) == (Phase.IDLE, None)
    else:
        assert (rig.phase, rig.events("session.stopped")) == (Phase.PAUSED, [])
        assert len(rig.station.session.course.pauses) == 3


@pytest.mark.rule("X4")
def test_pauses_that_were_asked_for_do_not_count() -> None:
    rig = standing(Phase.RUNNING)
    for _ in range(5):
        assert rig.must(Pause()).status == "succeeded"
        assert rig.station.session.course.pauses == ()
        go_on(rig)
        rig.tick(2)
    assert (rig.phase, rig.latched()) == (Phase.RUNNING, [])
    assert [e.details[1] for e in rig.events("session.paused")] == [("by", "physio-1")] * 5


@pytest.mark.rule("X5")
@pytest.mark.hazard("H06")
def test_a_paused_session_resumes_from_zero_by_ramp_for_the_rest_of_its_dose() -> None:
    rig = standing(Phase.RUNNING)
    rig.tick(4)
    played_ms = rig.station.session.course.played_ms
    rig.give_pause()
    assert (rig.phase, rig.station.beat.picture, rig.device.trains) == (Phase.PAUSED, OFF, {})
    given = rig.station.session.channels[0].spent
    permit, counted = rig.station.session.permit, rig.device.total_nc[1]
    rig.tick(100)
    assert rig.ask(Resume()).code == "FLT.LATCHED"
    assert (rig.station.session.course.played_ms, rig.device.trains) == (played_ms, {})
    go_on(rig)
    assert (rig.phase, rig.station.beat.picture, rig.device.trains) == (Phase.RUNNING, OFF, {})
    course = rig.station.session.course
    assert (course.base_nc, course.seen_nc, rig.station.session.permit) == ((counted,), (0,), permit)
    assert rig.station.session.channels[0].spent == given
    heights = []
    for _ in range(8):
        rig.tick()
        heights.append(rig.station.beat.picture.trains[0].ua)
    assert heights == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000]
    assert rig.station.session.course.played_ms == played_ms + 400
    arm = [e for e in rig.log if isinstance(e, Arm)][-1]
    assert arm.envelopes[0].max_charge_nc == permit.envelopes[0].max_charge_nc - counted - 12_000


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
def test_a_pause_for_fatigue_is_a_rest_of_four_minutes_in_which_the_muscle_recovers() -> None:
    rig = Rig().plateau(rx(programme=LONG))
    session = rig.station.session
    tired = session.channels[0]._replace(mu_ppm=500_000)
    rig.station = rig.station._replace(session=session._replace(channels=(tired,)))
    rig.tick()
    began_ms = rig.mono_ms
    assert (rig.phase, rig.latched(), rig.station.session.course.rest_from_ms) == (Phase.PAUSED, ["M19"], began_ms)
    rig.must(ClearLatch(rig.station.latches[0].id, "tired"))
    while rig.mono_ms - began_ms < 239_950:
        rig.tick()
    rig.must(Check(()))
    assert rig.ask(Resume()).reasons == (Reason("M19", Severity.REFUSE, "FAT.REST", 0, 239_950, 240_000, "ms"),)
    rig.tick()
    assert rig.must(Resume()).status == "succeeded"
    assert rig.station.session.course.rest_from_ms == 0
    assert rig.station.session.channels[0].mu_ppm > 990_000
    rig.tick(200)
    assert (rig.phase, rig.station.holds) == (Phase.RUNNING, ())


@pytest.mark.rule("M19")
def test_a_muscle_recovers_only_where_the_device_has_confirmed_zero() -> None:
    rig = standing(Phase.RUNNING)
    rig.device.ignores_stop = True
    rig.must(Pause())
    before = rig.station.session.channels
    rig.tick(2)
    assert rig.station.session.channels == before
    rig.device.ignores_stop = False
    rig.tick(2)
    assert rig.station.stopping is None
    mu_ppm = rig.station.session.channels[0].mu_ppm
    rig.tick()
    assert rig.station.session.channels[0].mu_ppm == mu_ppm + (1_000_000 - mu_ppm) * 50 // 50_000


@pytest.mark.rule("X5")
def test_a_pause_quiets_every_channel_and_fails_the_rise_on_its_way() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    command = rig.station.waiting.command
    rig.answering = False
    rig.tick(2)
    assert rig.station.beat.unanswered
    before = rig.station.session.channels[0]
    rig.must(Pause())
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "SES.PHASE_CHANGED")
    assert (rig.station.waiting, rig.station.beat.unanswered, rig.station.beat.picture) == (None, 0, OFF)
    nc, i2t, on_ms = before.spent
    kept = {
        "spent": (nc + 12_000, i2t + 240_000_000_000, on_ms),
        "mu_ppm": before.mu_ppm,
        "contact": at_rest(before.contact),
        "pulls": (1, 1),
    }
    assert rig.station.session.channels == (FRESH._replace(**kept),)
    assert before.contact.baseline_ohm == rig.station.session.channels[0].contact.baseline_ohm == 1_500


@pytest.mark.rule("X4")
def test_a_stop_forgets_what_was_held() -> None:
    rig = standing(Phase.RUNNING)
    turn = turn_of(rig)
    turn.hold((A_HOLD,))
    turn.stop((A_STOP,))
    assert turn.station.holds == ()


@pytest.mark.rule("X4")
def test_the_first_reason_of_a_refusal_binds() -> None:
    rig = standing(Phase.IDLE)
    turn, command = turn_of(rig), rig.command(Stop())
    turn.refuse(command, A_STOP, A_PAUSE)
    (tell,) = turn.effects
    assert (tell.message.status, tell.message.code, tell.message.reasons) == (
        "rejected",
        "IMP.OPEN",
        (A_STOP, A_PAUSE),
    )


@pytest.mark.rule("X3")
@pytest.mark.hazard("H49")
def test_a_session_that_was_paused_before_it_started_begins_when_it_is_resumed() -> None:
    rig = standing(Phase.ARMED)
    rig.must(Pause())
    assert (rig.phase, rig.device.state) == (Phase.PAUSED, DeviceState.STOPPED)
    rig.must(Check(()))
    rig.tick(4)
    rig.must(Resume())
    assert (rig.phase, rig.device.trains) == (Phase.RUNNING, {})
    assert rig.station.session.course.first_run_ms == rig.mono_ms
    assert (len(rig.events("session.started")), rig.events("session.resumed")) == (1, [])
    rig.tick(10)
    assert rig.device.trains[1].ua == 10_000


@pytest.mark.rule("X4")
@pytest.mark.hazard("H40")
def test_of_all_that_is_found_at_once_the_hardest_acts_and_the_rest_is_told() -> None:
    rig = Rig().plateau()
    rig.device.sample_changes[1] = {"clipped": 3, "open": True}
    rig.tick(2)
    (event,) = rig.events("session.stopped")
    assert [(r.rule, r.severity) for r in event.reasons] == [("M07", STOP), ("M14", HOLD)]
    assert (rig.phase, rig.device.trains, rig.latched()) == (Phase.IDLE, {}, ["M07"])
    assert rig.events("session.held") == []


@pytest.mark.rule("X4")
@pytest.mark.rule("M28")
@pytest.mark.hazard("H49")
def test_at_the_fourth_pause_what_only_holds_goes_on_holding() -> None:
    rig = Rig().plateau(rx(programme=LONG))
    course = rig.station.session.course._replace(pauses=(rig.mono_ms,) * 3)
    rig.station = rig.station._replace(session=rig.station.session._replace(course=course))
    rig.device.changes["supply_mv"] = 10_000
    rig.device.sample_changes[1] = {"clipped": 3}
    rig.tick()
    (event,) = rig.events("session.stopped")
    assert [(r.rule, r.severity) for r in event.reasons] == [("M28", STOP), ("M14", Severity.HOLD)]
    assert rig.latched() == ["M28"]


@pytest.mark.rule("X3")
def test_where_there_is_no_session_there_is_nothing_to_close_and_to_pause_is_a_defect() -> None:
    rig = standing(Phase.IDLE)
    turn = turn_of(rig)
    with pytest.raises(TypeError):
        turn.pause((A_PAUSE,))
    turn.close("stopped", "", "readback")
    turn.drop_waiting("SES.PHASE_CHANGED")
    assert (turn.effects, turn.station) == ([], rig.station)


@pytest.mark.rule("X5")
@pytest.mark.rule("M28")
def test_a_pause_where_nothing_flows_silences_once_and_fails_the_wish_on_its_way() -> None:
    rig = standing(Phase.PAUSED)
    rig.device.changes["supply_mv"] = 10_000
    mark = len(rig.silences())
    for _ in range(5):
        rig.hear()
        rig.tick(4)
    assert (rig.phase, rig.latched(), len(rig.silences())) == (Phase.PAUSED, ["M28"], mark + 1)
    assert rig.station.session.course.pauses == ()

    for stopping in (False, True):
        rig = standing(Phase.PREPARED)
        rig.answering, rig.committing = False, stopping
        command = rig.command(ArmSession())
        rig.give(Asked(command))
        turn = turn_of(rig)
        assert turn.judge((A_PAUSE,)) is True
        assert Silence(cut=False) in turn.effects
        assert (turn.station.phase, turn.station.waiting) == (Phase.PREPARED, None)
        sent = Stopping(rig.mono_ms, 1, False, False, "", "M11", "") if stopping else None
        assert (turn.station.stopping, turn.station.beat.unanswered) == (sent, 0)


# Stops


@pytest.mark.hazard("H10")
def test_a_stop_without_a_device_and_without_current_closes_at_once() -> None:
    rig = standing(Phase.PAUSED)
    rig.station = rig.station._replace(device=None)
    turn = turn_of(rig)
    turn.stop((A_STOP,))
    assert turn.effects[0] == Silence(cut=False)
    assert (turn.station.phase, turn.station.session, turn.station.stopping) == (Phase.OFFLINE, None, None)
    bodies = [e.entry.body for e in turn.effects if isinstance(e, Note)]
    assert bodies[1:] == [
        Settlement(session="s-dev1-b1-1", evidence="reservation", charged=(), played_ms=2_250, ua=((1, 20_000),)),
        Closing(session="s-dev1-b1-1", outcome="stopped", rule="M07"),
    ]
    idle = turn_of(Rig())
    idle.stop(())
    assert (idle.effects, idle.station.phase) == ([Silence(cut=False)], Phase.OFFLINE)


@pytest.mark.rule("X5")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    "who", [{}, {"principal": "a-stranger", "role": "none"}, {"retained": True}, {"issued_wall_ms": 0}]
)
def test_a_stop_is_obeyed_in_every_phase_whoever_asks(phase: Phase, who: dict[str, object]) -> None:
    rig = standing(phase)
    before, was_open = rig.latched(), rig.station.session is not None
    rig.device.ignores_stop = False
    command = rig.command(Stop(), **who)
    effects = rig.give(Asked(command))
    assert effects[0] == Silence(cut=False)
    assert not [effect for effect in effects if isinstance(effect, ENERGISING)]
    assert rig.answer(command.id).status == "succeeded"
    assert (rig.device.trains, rig.station.session) == ({}, None)
    assert rig.phase is (Phase.OFFLINE if phase is Phase.OFFLINE else Phase.IDLE)
    assert rig.latched() == ["STOP"] if was_open else rig.latched() == before == []
    if was_open:
        assert rig.station.latches[-1].clear is Clear.NEW_SESSION
        assert [close.outcome for close in rig.notes("close")] == ["stopped"]
    mark = len(rig.log)
    rig.tick(20)
    assert not [effect for effect in rig.log[mark:] if isinstance(effect, ENERGISING)]


@pytest.mark.hazard("H10")
def test_a_stop_that_is_said_twice_stops_twice_and_closes_once() -> None:
    rig = standing(Phase.UNCERTAIN)
    since_ms = rig.station.stopping.since_ms
    rig.tick()
    assert rig.give(Asked(rig.command(Stop())))[0] == Silence(cut=False)
    assert (rig.station.stopping.since_ms, rig.latched()) == (since_ms, ["STOP"])
    rig.device.ignores_stop = False
    rig.must(Stop())
    assert [close.outcome for close in rig.notes("close")] == ["stopped"]
    assert rig.events("stop.confirmed")[0].details == (("waited_ms", 50),)


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("wish", [ArmSession(), Check(())])
def test_a_stop_while_a_wish_is_on_its_way_fails_the_wish(wish: object) -> None:
    for committing in (False, True):
        rig = standing(Phase.PREPARED)
        rig.committing, rig.answering = committing, False
        command = rig.command(wish)
        rig.give(Asked(command))
        assert rig.station.waiting is not None
        stop = rig.give(Asked(rig.command(Stop())))
        assert stop[0] == Silence(cut=False)
        assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "SES.PHASE_CHANGED")
        assert (rig.phase, rig.station.waiting) == (Phase.UNCERTAIN, None)
        rig.hear()
        assert rig.phase is (Phase.UNCERTAIN if rig.device.state is DeviceState.ARMED else Phase.IDLE)


@pytest.mark.hazard("H49")
def test_a_session_that_played_to_its_end_closes_without_a_latch() -> None:
    rig = standing(Phase.RUNNING)
    rig.tick(1_200)
    assert (rig.phase, rig.station.session, rig.latched()) == (Phase.IDLE, None, [])
    assert rig.notes("close") == [Closing(session="s-dev1-b1-1", outcome="completed", rule="")]
    (event,) = rig.events("session.completed")
    assert (event.priority, event.reasons, event.rule, event.code) == ("none", (), "", "OK")
    assert rig.must(Prepare(rx(), "rx-1@1", "p-1")).status == "succeeded"


@pytest.mark.rule("L08")
def test_a_pause_that_becomes_a_stop_is_charged_as_a_stop() -> None:
    rig = standing(Phase.RUNNING)
    rig.device.ignores_stop = True
    rig.give_pause()
    assert (rig.station.stopping.outcome, rig.phase) == ("", Phase.PAUSED)
    since_ms = rig.station.stopping.since_ms
    rig.tick()
    rig.must(Stop())
    assert rig.station.stopping[:1] + rig.station.stopping[4:] == (since_ms, "stopped", "STOP", "readback")
    rig.device.ignores_stop = False
    rig.tick(4)
    assert [close.rule for close in rig.notes("close")] == ["STOP"]
