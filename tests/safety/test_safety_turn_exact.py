"""safety/turn.py: what a hold, a pause, a stop and a refusal say and leave behind, word for word."""

from __future__ import annotations

import pytest
from button import at_level
from clinic import NMES
from rig import (
    CAPS,
    OFF,
    ArmSession,
    IdealDevice,
    Phase,
    Rig,
    Stop,
    held_back,
    on_the_way,
    replace,
    standing,
)

from safety.effects import Answer, Closing, Effect, Entry, Event, Note, Settlement, Silence, Tell
from safety.impedance import at_rest, doubted
from safety.messages import CalibrationStep, EntryKind, Latch
from safety.state import FRESH, Hold, Stopping
from safety.turn import Turn
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("X4"), pytest.mark.rule("X5")]

SESSION = "s-dev1-b1-1"
HELD = Reason("M14", Severity.HOLD, "IMP.CLIP", 1, 3, 3, "pulses")
JUMP = Reason("M11", Severity.PAUSE, "IMP.DRIFT", 3, 400, 375, "ohm")
TIRED = Reason("M19", Severity.PAUSE, "FAT.PAUSE", 1, 499_999, 500_000, "ppm")
OPEN = Reason("M07", Severity.STOP, "IMP.OPEN", 1, 9_000, 8_000, "ohm")
SHORT = Reason("M08", Severity.LOCK, "IMP.SHORT", 3, 50, 100, "ohm")


def turn_of(rig: Rig) -> Turn:
    return Turn(rig.station, rig.now)


def told(kind: str, reasons: tuple[Reason, ...], priority: str, **details: int | str) -> Tell:
    rule, code = (reasons[0].rule, reasons[0].code) if reasons else ("", "OK")
    return Tell(
        Event(kind=kind, rule=rule, code=code, priority=priority, reasons=reasons, details=tuple(details.items()))
    )


def latched(reason: Reason, latch: Latch) -> list[Effect]:
    """What is noted and told of a latch that comes with the number before its entry's."""
    return [
        Note(Entry(latch.id + 1, EntryKind.LATCH, latch)),
        told("fault.latched", (reason,), "none", latch=latch.id, clear=latch.clear.value, scope=latch.scope.value),
    ]


def between() -> Rig:
    """Two channels on their plateau, 30 ms after a tick and with a frame unanswered."""
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    rig.tick(2)
    rig.mono_ms += 30
    assert rig.station.beat.unanswered
    session, beat = rig.station.session, rig.station.beat
    raised = session.settings[0]._replace(raised_ms=5), session.settings[1]._replace(setpoint_ua=12_000)
    rig.station = rig.station._replace(session=session._replace(settings=raised), beat=beat._replace(held_ms=50))
    return rig


# A hold and a refusal


def test_a_hold_is_told_with_low_priority_and_does_nothing_else() -> None:
    rig = standing(Phase.RUNNING)
    turn = turn_of(rig)
    assert turn.judge((HELD,)) is False
    assert turn.effects == [told("session.held", (HELD,), "low")]
    assert turn.station == rig.station._replace(holds=turn.station.holds)


def test_a_wish_that_did_not_come_to_pass_is_answered_with_its_code() -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    turn, command = turn_of(rig), rig.station.waiting.command
    turn.drop_waiting("DEV.NAK")
    why = (Reason("", Severity.REFUSE, "DEV.NAK"),)
    assert turn.effects == [Tell(Answer(command=command, status="failed", code="DEV.NAK", reasons=why))]
    assert turn.station == rig.station._replace(waiting=None)


# Pauses


def test_a_pause_by_a_rule_of_the_skin_doubts_that_pad_and_counts_what_flowed_since_the_tick() -> None:
    rig = between()
    before, number, now_ms = rig.station, rig.station.tally.next_id, rig.mono_ms
    turn = turn_of(rig)
    assert turn.judge((JUMP, HELD)) is True
    latch = Latch(number, Scope.SESSION, "M11", Clear.ACK_OPERATOR, "", rig.wall_ms)
    assert turn.effects == [
        Silence(cut=False),
        *latched(JUMP, latch),
        told("session.paused", (JUMP, HELD), "medium", session_id=SESSION, by=""),
    ]
    session = before.session
    thigh, calf = session.channels
    # 30 ms of 40 Hz hold one pulse of 20 mA and 300 us; of 33 Hz, with what was left of a period, one of 12.3 mA. One
    # more may fall while the order is on its way.
    quiet = {"contact": at_rest(thigh.contact), "mu_ppm": turn.station.session.channels[0].mu_ppm}
    spent = thigh.spent[0] + 24_000, thigh.spent[1] + 480_000_000_000, thigh.spent[2] + 30
    assert turn.station.session.channels[0] == FRESH._replace(spent=spent, pulls=thigh.pulls, **quiet)
    contact = doubted(at_rest(calf.contact), now_ms)
    assert turn.station.session.channels[1].contact == contact
    assert turn.station.session.settings == session.settings
    assert turn.station.session.course == session.course._replace(pauses=(now_ms,))
    assert turn.station.stopping == Stopping(now_ms, 1, False, False, "", "M11", "")
    assert turn.station.beat == before.beat._replace(picture=OFF, unanswered=0, held_ms=0)
    assert (turn.station.phase, turn.station.latches, turn.station.waiting) == (Phase.PAUSED, (latch,), None)


@pytest.mark.rule("M19")
def test_a_muscle_that_rests_has_not_recovered_before_its_tick() -> None:
    rig = Rig().plateau()
    while rig.station.beat.picture.trains:
        rig.tick()
    rig.mono_ms += 60
    channel = rig.station.session.channels[0]
    assert channel.mu_ppm < 1_000_000
    turn = turn_of(rig)
    turn.pause((TIRED,))
    assert turn.station.session.channels[0].mu_ppm == channel.mu_ppm
    assert turn.station.session.channels[0].spent == channel.spent


@pytest.mark.rule("M19")
@pytest.mark.parametrize(("rule", "rests"), [("M19", True), ("M35", True), ("M28", False), ("M11", False)])
def test_only_a_pause_for_fatigue_is_a_rest(rule: str, rests: bool) -> None:
    rig = between()
    turn = turn_of(rig)
    turn.pause((HELD, TIRED._replace(rule=rule)))
    assert turn.station.session.course.rest_from_ms == (rig.mono_ms if rests else 0)


@pytest.mark.rule("M10")
@pytest.mark.parametrize("rule", ["M09", "M10", "M11", "M13", "M17", "M12", "M15", "M28"])
def test_a_rule_of_the_skin_puts_its_own_pad_in_doubt_and_no_other(rule: str) -> None:
    rig = between()
    turn = turn_of(rig)
    turn.pause((JUMP._replace(rule=rule),))
    doubts = [channel.contact.past.doubt_ms for channel in turn.station.session.channels]
    assert doubts == [0, rig.mono_ms if rule in {"M09", "M10", "M11", "M13", "M17"} else 0]


def test_pauses_are_counted_for_ten_minutes_and_the_fourth_of_them_stops() -> None:
    for apart_ms, is_stop in ((599_999, True), (600_000, False)):
        rig = between()
        course, session = rig.station.session.course, rig.station.session
        pauses = (rig.mono_ms - apart_ms, rig.mono_ms - 2, rig.mono_ms - 1)
        rig.station = rig.station._replace(session=session._replace(course=course._replace(pauses=pauses)))
        turn = turn_of(rig)
        turn.pause((TIRED, HELD))
        assert turn.station.phase is (Phase.UNCERTAIN if is_stop else Phase.PAUSED)
        if is_stop:
            (stopped,) = [
                e.message for e in turn.effects if isinstance(e, Tell) and e.message.kind == "session.stopped"
            ]
            assert stopped.reasons == (TIRED._replace(severity=Severity.STOP), HELD)
        else:
            assert turn.station.session.course.pauses == (*pauses[1:], rig.mono_ms)


def test_a_pause_that_is_asked_for_is_no_fourth() -> None:
    rig = between()
    course, session = rig.station.session.course, rig.station.session
    recent = course._replace(pauses=(rig.mono_ms - 3, rig.mono_ms - 2, rig.mono_ms - 1))
    rig.station = rig.station._replace(session=session._replace(course=recent))
    turn = turn_of(rig)
    turn.pause((), rig.command(Stop()))
    assert turn.effects == [
        Silence(cut=False), told("session.paused", (), "none", session_id=SESSION, by="physio-1"),
    ]  # fmt: skip
    assert (turn.station.phase, turn.station.session.course) == (Phase.PAUSED, recent)


@pytest.mark.rule("M25")
def test_a_calibration_that_is_paused_is_over_and_the_session_stands_where_it_was_prepared() -> None:
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    rig.tick(3)
    number = rig.station.tally.next_id
    late = Reason("M25", Severity.PAUSE, "SYS.OVERLOAD", 0, 201, 200, "ms")
    session = rig.station.session
    raised = session.settings[0]._replace(raised_ms=rig.mono_ms - 9)
    rig.station = rig.station._replace(session=session._replace(settings=(raised,)))
    assert raised.setpoint_ua == 10_000
    turn = turn_of(rig)
    turn.judge((late,))
    latch = Latch(number, Scope.SESSION, "M25", Clear.ACK_OPERATOR, "", rig.wall_ms)
    assert turn.effects == [
        Silence(cut=False),
        *latched(late, latch),
        told("calibration.ended", (late,), "medium", session_id=SESSION, by=""),
    ]
    setting = rig.station.session.settings[0]
    assert turn.station.session.settings == (setting._replace(setpoint_ua=20_000, raised_ms=0),)
    assert (turn.station.phase, turn.station.session.trial) == (Phase.PREPARED, None)


def test_where_nothing_flows_a_pause_latches_and_fails_the_wish_whose_frame_is_out() -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    command, number, before = rig.station.waiting.command, rig.station.tally.next_id, rig.station
    turn = turn_of(rig)
    turn.judge((JUMP, HELD))
    latch = Latch(number, Scope.SESSION, "M11", Clear.ACK_OPERATOR, "", rig.wall_ms)
    why = (Reason("", Severity.REFUSE, "SES.PHASE_CHANGED"),)
    assert turn.effects == [
        *latched(JUMP, latch),
        Silence(cut=False),
        Tell(Answer(command=command, status="failed", code="SES.PHASE_CHANGED", reasons=why)),
    ]
    assert turn.station == before._replace(
        latches=(latch,), waiting=None, stopping=Stopping(rig.mono_ms, 1, False, False, "", "M11", ""),
        beat=before.beat._replace(unanswered=0),
    )  # fmt: skip
    again = Turn(turn.station, rig.now)
    again.judge((JUMP,))
    assert (again.effects, again.station) == ([], turn.station)


def test_a_wish_whose_frame_is_out_fails_although_the_latch_stands_already() -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    latch = Latch(99, Scope.SESSION, "M11", Clear.ACK_OPERATOR, "", rig.wall_ms)
    rig.station = rig.station._replace(latches=(latch,))
    turn = turn_of(rig)
    turn.judge((JUMP,))
    assert turn.effects[0] == Silence(cut=False)
    assert (turn.station.waiting, turn.station.latches) == (None, (latch,))


def test_what_does_not_lock_is_latched_for_the_session_whatever_its_rule_locks() -> None:
    turn = turn_of(between())
    turn.latch((SHORT._replace(severity=Severity.STOP), SHORT._replace(severity=Severity.PAUSE), SHORT))
    turn.latch((SHORT._replace(rule="M30"),))
    assert [(latch.scope, latch.clear, latch.key) for latch in turn.station.latches] == [
        (Scope.SESSION, Clear.NEW_SESSION, ""),
        (Scope.SESSION, Clear.ACK_OPERATOR, ""),
        (Scope.MONTAGE, Clear.ACK_QUALIFIED, "p-1/right-calf"),
        (Scope.SESSION, Clear.ACK_QUALIFIED, ""),
    ]


# Stops


@pytest.mark.rule("M07")
@pytest.mark.rule("M08")
@pytest.mark.parametrize(
    ("reasons", "priority"), [((OPEN,), "medium"), ((OPEN, SHORT), "high"), ((), "none")], ids=["stop", "lock", "asked"]
)
def test_a_stop_is_told_by_how_hard_it_is_and_keeps_nothing_running(reasons: tuple[Reason, ...], priority: str) -> None:
    rig = between()
    before, number, now_ms = rig.station, rig.station.tally.next_id, rig.mono_ms
    turn = turn_of(rig)
    turn.stop(reasons, "completed", "physio-1")
    latches = [
        Latch(number, Scope.SESSION, "M07", Clear.NEW_SESSION, "", rig.wall_ms),
        Latch(number + 2, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/right-calf", rig.wall_ms),
    ][: len(reasons)]
    said = [each for reason, latch in zip(reasons, latches, strict=True) for each in latched(reason, latch)]
    assert turn.effects == [
        Silence(cut=False),
        *said,
        told("session.completed", reasons, priority, session_id=SESSION, by="physio-1"),
    ]
    rule = "M07" if reasons else ""
    assert turn.station == before._replace(
        phase=Phase.UNCERTAIN, latches=tuple(latches), session=turn.station.session, holds=(),
        stopping=Stopping(now_ms, 1, False, False, "completed", rule, "readback"),
        beat=before.beat._replace(picture=OFF, unanswered=0, held_ms=0),
    )  # fmt: skip
    assert [channel.train for channel in turn.station.session.channels] == [None, None]


@pytest.mark.rule("L08")
def test_the_first_stop_says_how_a_session_has_ended_and_a_pause_under_way_becomes_one() -> None:
    rig = between()
    paused = turn_of(rig)
    paused.pause((TIRED,))
    rig.mono_ms += 10
    stopped = Turn(paused.station._replace(device=None), rig.now)
    stopped.stop((OPEN,))
    assert stopped.station.stopping == Stopping(rig.mono_ms - 10, 1, False, False, "stopped", "M07", "reservation")
    rig.mono_ms += 10
    again = Turn(stopped.station, rig.now)
    again.stop((SHORT,), "completed")
    assert again.station.stopping == stopped.station.stopping


@pytest.mark.rule("L08")
@pytest.mark.parametrize(("readback", "evidence"), [(True, "readback"), (False, "applied")])
def test_the_evidence_is_the_devices_count_where_it_has_one(readback: bool, evidence: str) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=readback)))
    rig.up()
    assert turn_of(rig).evidence() == evidence
    assert turn_of(Rig()).evidence() == "reservation"


@pytest.mark.rule("L08")
def test_a_session_that_never_was_armed_closes_and_settles_nothing() -> None:
    rig = standing(Phase.PREPARED)
    rig.station = rig.station._replace(holds=(Hold(HELD, rig.mono_ms),))
    number, turn = rig.station.tally.next_id, turn_of(rig)
    turn.close("abandoned", "M05", "readback")
    assert turn.effects == [
        Note(Entry(number, EntryKind.CLOSE, Closing(session=SESSION, outcome="abandoned", rule="M05"))),
        told("session.closed", (), "none", session_id=SESSION, outcome="abandoned", evidence="readback"),
    ]
    assert turn.station == rig.station._replace(phase=Phase.IDLE, session=None, holds=())
    gone = Turn(rig.station._replace(device=None), rig.now)
    gone.close("abandoned", "", "reservation")
    assert gone.station.phase is Phase.OFFLINE


@pytest.mark.rule("L08")
def test_a_session_that_was_played_to_its_end_settles_as_completed_by_each_kind_of_evidence() -> None:
    rig = between()
    session = rig.station.session
    for evidence, nc in (
        ("readback", [-(-session.course.seen_nc[n] * 101 // 100) for n in (0, 1)]),
        ("applied", [-(-channel.spent[0] * 102 // 100) for channel in session.channels]),
    ):
        turn = turn_of(rig)
        turn.close("completed", "", evidence)
        settled = turn.effects[0].entry.body
        assert [dose.nc for _, dose in settled.charged] == nc
        assert settled == Settlement(
            session=SESSION, evidence=evidence, charged=settled.charged, completed=True, played_ms=2_350,
            ua=((1, 20_000), (3, 12_000)),
        )  # fmt: skip
    turn = turn_of(rig)
    turn.close("stopped", "M07", "reservation")
    assert turn.effects[0].entry.body == Settlement(
        session=SESSION, evidence="reservation", charged=(), played_ms=2_350, ua=((1, 20_000), (3, 12_000))
    )


def test_whom_a_lock_is_for() -> None:
    turn = turn_of(between())
    assert [turn.key(scope, 3) for scope in Scope] == ["", "", "p-1/right-calf", "p-1"]
    assert [turn.key(Scope.MONTAGE, number) for number in (1, 2)] == ["p-1/left-quadriceps", ""]
    assert [turn_of(Rig()).key(scope, 1) for scope in Scope] == [""] * 4


def test_a_stop_of_a_device_on_which_nothing_flows_waits_for_its_word_too() -> None:
    rig = standing(Phase.IDLE)
    rig.answering = False
    rig.must(Stop())
    assert rig.station.stopping == Stopping(rig.mono_ms, 1, False, False, "stopped", "", "readback")
    assert rig.station.session is None
