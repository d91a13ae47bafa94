"""safety/machine.py: each time to the millisecond, and what each tick says, word for word."""

from __future__ import annotations

import pytest
from button import at_level
from clinic import NMES
from rig import (
    OFF,
    WELL,
    ArmSession,
    Check,
    Phase,
    Picture,
    Release,
    Resume,
    Rig,
    Stop,
    config,
    held_back,
    on_the_way,
    standing,
)

from safety import machine
from safety.effects import Answer, Ask, Closing, Drive, Effect, Entry, Event, Feed, Grant, Note, Silence, Tell
from safety.messages import UNKNOWN, Booted, CalibrationStep, EntryKind, Health, Latch, Now, Tick
from safety.state import Count, Hold, Stopping
from safety.times import NATIVE
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("X9"), pytest.mark.hazard("H40")]

SESSION = "s-dev1-b1-1"


def ticked(rig: Rig, ms: int = 50) -> tuple[Effect, ...]:
    """Let one tick pass; gives the effects of its own step."""
    mark = len(rig.steps)
    rig.tick(ms=ms)
    return rig.steps[mark][1]


def told(kind: str, reasons: tuple[Reason, ...] = (), priority: str = "none", **details: int | str) -> Tell:
    rule, code = (reasons[0].rule, reasons[0].code) if reasons else ("", "OK")
    return Tell(
        Event(kind=kind, rule=rule, code=code, priority=priority, reasons=reasons, details=tuple(details.items()))
    )


# A step


def test_a_step_takes_numbers_in_their_order_and_wakes_a_tick_later() -> None:
    done = machine.step(machine.fresh(config()), Booted("b1", "s-9", 3, (), 40), Now(7, 9))
    assert done.station.tally == Count(44, 1)
    assert done.wake_at_ms == 7 + NATIVE.tick_ms
    again = machine.step(done.station, Booted("b1", "", 0, done.station.latches, 44), Now(8, 9))
    assert again.station.tally == Count(44, 1)


def test_a_tick_brings_the_services_health() -> None:
    rig = Rig()
    assert rig.station.health == WELL
    ill = Health(clock_synced=True, ledger=False, audit=True)
    done = machine.step(rig.station, Tick(OFF, 0, ill), rig.now)
    assert (done.station.health, done.effects) == (ill, ())
    assert machine.fresh(config()).health == UNKNOWN


# The pace


def test_an_idle_device_is_asked_every_200_ms() -> None:
    rig = standing(Phase.IDLE)
    rig.tick(4)
    sent_ms = rig.station.beat.sent_ms
    assert sent_ms == rig.mono_ms
    assert ticked(rig, 199) == ()
    assert ticked(rig, 1) == (Ask(),)
    assert (rig.station.beat.sent_ms, rig.station.beat.unanswered) == (sent_ms + 200, 0)


@pytest.mark.rule("M29")
def test_a_device_that_does_not_stop_is_asked_with_every_keep_alive() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.answering = False
    rig.tick()
    sent_ms, every_ms = rig.station.beat.sent_ms, NATIVE.keep_alive_ms
    assert Ask() not in ticked(rig, sent_ms + every_ms - 1 - rig.mono_ms)
    assert Ask() in ticked(rig, 1)


def test_an_armed_device_is_fed_inside_its_permit() -> None:
    rig = standing(Phase.ARMED)
    rig.tick(2)
    rig.answering = False
    before, number, permit = rig.station.beat, rig.station.tally.next_id, rig.station.session.permit
    assert before.sent_ms == rig.mono_ms
    assert ticked(rig) == ()
    assert ticked(rig) == (Feed(Grant(permit.id, number, rig.mono_ms + 200)),)
    assert rig.station.beat == before._replace(tick_ms=rig.mono_ms, sent_ms=rig.mono_ms, unanswered=number)


def test_a_picture_that_changes_is_driven_and_one_that_stands_is_fed_with_a_number_of_its_own() -> None:
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    before, number, permit = rig.station.beat, rig.station.tally.next_id, rig.station.session.permit
    wanted = before.picture
    assert ticked(rig) == (Feed(Grant(permit.id, number, rig.mono_ms + 200)),)
    assert rig.station.beat == before._replace(tick_ms=rig.mono_ms, sent_ms=rig.mono_ms, unanswered=number)
    rig.hear(number)
    rig.mono_ms += 50
    done = machine.step(rig.station, Tick(OFF, 0, WELL), rig.now)
    assert done.effects == (Drive(Grant(permit.id, number + 1, rig.mono_ms + 200), OFF),)
    assert done.station.beat == rig.station.beat._replace(
        tick_ms=rig.mono_ms, sent_ms=rig.mono_ms, unanswered=number + 1, picture=OFF, held_ms=0
    )
    assert wanted != OFF


@pytest.mark.rule("M04")
@pytest.mark.parametrize(("ms", "again"), [(NATIVE.ack_ms, False), (NATIVE.ack_ms + 1, True)])
def test_an_unanswered_frame_is_given_its_time_and_then_the_whole_picture_is_sent_again(ms: int, again: bool) -> None:
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    rig.tick()
    frame = rig.station.beat
    assert (frame.unanswered > 0, frame.sent_ms) == (True, rig.mono_ms)
    effects = ticked(rig, ms)
    assert [type(effect) for effect in effects] == [Drive] * again
    if again:
        assert effects[0].picture == frame.picture
    assert rig.station.beat.unanswered == (effects[0].grant.seq if again else frame.unanswered)
    assert rig.station.beat.held_ms == 0


@pytest.mark.rule("M03")
@pytest.mark.hazard("H49")
def test_a_change_that_waits_for_an_answer_is_remembered_as_held_and_forgotten_when_it_is_sent() -> None:
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    rig.tick()
    for ms in (30, 50):
        held = machine.step(rig.station, Tick(OFF, 0, WELL), Now(rig.mono_ms + ms, rig.wall_ms)).station
        assert (held.beat.held_ms, held.beat.unanswered) == (ms, rig.station.beat.unanswered)
    twice = machine.step(held, Tick(OFF, 0, WELL), Now(rig.mono_ms + 50, rig.wall_ms)).station
    assert twice.beat.held_ms == 50
    sent = machine.step(held, Tick(OFF, 0, WELL), Now(rig.mono_ms + 51, rig.wall_ms)).station
    assert (sent.beat.held_ms, sent.beat.picture) == (0, OFF)


@pytest.mark.rule("M03")
def test_a_ramp_has_been_rising_for_as_long_as_its_first_train_was_held_back() -> None:
    rig = Rig().running(NMES)
    rig.station = rig.station._replace(beat=rig.station.beat._replace(held_ms=30))
    rig.mono_ms += 50
    wanted = Picture((NMES.channels[0].train(1_000),))
    done = machine.step(rig.station, Tick(wanted, 0, WELL), rig.now)
    # And for the 5 ms in which a ramp of 1 s to 20 mA stays below the device's first step of 0.1 mA.
    assert [channel.since_zero_ms for channel in done.station.session.channels] == [50 + 30 + 5, 0]
    assert [effect.picture for effect in done.effects] == [wanted]


# Holds


@pytest.mark.rule("M14")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize(("ms", "stands"), [(1_999, True), (2_000, True), (2_001, False)])
def test_a_hold_outlives_its_rules_last_word_by_two_seconds(ms: int, stands: bool) -> None:
    rig = standing(Phase.RUNNING)
    hold = Hold(Reason("M14", Severity.HOLD, "IMP.CLIP", 1), rig.mono_ms + 50 - ms)
    rig.station = rig.station._replace(holds=(hold,))
    rig.tick()
    assert rig.station.holds == ((hold,) if stands else ())


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("rule", "channel", "silent_ms", "stands"),
    [
        ("M10", 3, 1_000, False), ("M10", 3, 1_001, True), ("M09", 3, 1_001, True), ("M10", 1, 1_001, False),
        ("M14", 3, 1_001, False), ("M12", 3, 1_001, False),
    ],
)  # fmt: skip
def test_a_hold_on_a_pad_stays_while_that_pad_gives_no_reading(
    rule: str, channel: int, silent_ms: int, stands: bool
) -> None:
    rig = Rig().running(NMES, ticks=45)
    session, at_ms = rig.station.session, rig.mono_ms + 50
    thigh, calf = session.channels
    quiet = calf._replace(contact=calf.contact._replace(recent_ms=(at_ms - 3_000, at_ms - 2_000, at_ms - silent_ms)))
    hold = Hold(Reason(rule, Severity.HOLD, "IMP.DRIFT", channel), at_ms - 2_001)
    rig.station = rig.station._replace(holds=(hold,), session=session._replace(channels=(thigh, quiet)))
    rig.answering = False
    rig.tick()
    assert rig.station.holds == ((hold._replace(last_ms=at_ms),) if stands else ())


@pytest.mark.rule("M10")
def test_where_nothing_runs_a_pad_need_not_speak_for_its_hold_to_go() -> None:
    rig = standing(Phase.PAUSED)
    hold = Hold(Reason("M10", Severity.HOLD, "IMP.DRIFT", 1), rig.mono_ms + 50 - 2_001)
    rig.station = rig.station._replace(holds=(hold, hold._replace(last_ms=rig.mono_ms)))
    rig.tick()
    assert rig.station.holds == (hold._replace(last_ms=rig.mono_ms - 50),)


# What waits too long


@pytest.mark.rule("M32")
@pytest.mark.parametrize(("ms", "waits"), [(5_000, True), (5_001, False)])
def test_the_journal_has_five_seconds(ms: int, waits: bool) -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    command = rig.station.waiting.command
    rig.station = rig.station._replace(waiting=rig.station.waiting._replace(since_ms=rig.mono_ms + 50 - ms))
    effects = ticked(rig)
    why = (Reason("", Severity.REFUSE, "SYS.AUDIT_UNWRITABLE"),)
    failed = Tell(Answer(command=command, status="failed", code="SYS.AUDIT_UNWRITABLE", reasons=why))
    assert effects == (() if waits else (failed,))
    assert (rig.station.waiting is not None, rig.phase) == (waits, Phase.PREPARED)


@pytest.mark.rule("M04")
@pytest.mark.parametrize(("ms", "waits"), [(500, True), (501, False)])
@pytest.mark.parametrize("wish", [Check(()), ArmSession()])
def test_the_device_has_half_a_second(wish: object, ms: int, waits: bool) -> None:
    rig = on_the_way(Phase.PREPARED, wish)
    command = rig.station.waiting.command
    rig.station = rig.station._replace(waiting=rig.station.waiting._replace(since_ms=rig.mono_ms + 50 - ms))
    effects = ticked(rig)
    if waits:
        assert (effects, rig.station.waiting is not None) == ((), True)
        return
    why = (Reason("", Severity.REFUSE, "DEV.LOST"),)
    assert Tell(Answer(command=command, status="failed", code="DEV.LOST", reasons=why)) in effects
    lost = Reason("M04", Severity.STOP, "DEV.LOST", 0, 501, 500, "ms")
    stopped = [e.message.reasons for e in effects if isinstance(e, Tell) and isinstance(e.message, Event)]
    assert stopped == ([] if wish == Check(()) else [(lost,), (lost,)])
    assert rig.phase is (Phase.PREPARED if wish == Check(()) else Phase.UNCERTAIN)


@pytest.mark.rule("M05")
def test_an_abandoned_session_says_so_and_is_closed() -> None:
    rig = standing(Phase.PREPARED)
    rig.must(Release())
    number = rig.station.tally.next_id
    assert ticked(rig) == (
        told("session.stopped", session_id=SESSION),
        told("session.closed", session_id=SESSION, outcome="abandoned", evidence="readback"),
        Note(Entry(number, EntryKind.CLOSE, Closing(session=SESSION, outcome="abandoned", rule=""))),
    )
    assert (rig.phase, rig.station.session) == (Phase.IDLE, None)


@pytest.mark.rule("M05")
def test_a_prepared_session_is_not_abandoned_while_a_stop_is_not_confirmed() -> None:
    rig = standing(Phase.PREPARED)
    rig.must(Release())
    sent = Stopping(rig.mono_ms, 1, False, False, "", "M11", "")
    rig.station = rig.station._replace(stopping=sent)
    rig.answering = False
    rig.tick()
    assert (rig.phase, rig.notes("close")) == (Phase.PREPARED, [])


# A stop that is not obeyed


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_an_alarm_is_raised_latched_and_told_once() -> None:
    rig = standing(Phase.UNCERTAIN)
    since_ms = rig.station.stopping.since_ms
    rig.answering = False
    assert ticked(rig, 100)[:1] == (Silence(cut=False),)
    assert rig.station.stopping == Stopping(since_ms, 2, False, False, "stopped", "STOP", "readback")
    assert ticked(rig, 100)[:1] == (Silence(cut=False),)
    assert rig.station.stopping == Stopping(since_ms, 3, False, False, "stopped", "STOP", "readback")
    assert ticked(rig, 49) == ()
    assert ticked(rig, 1)[:1] == (Silence(cut=True),)
    assert rig.station.stopping == Stopping(since_ms, 3, True, False, "stopped", "STOP", "readback")
    assert Silence(cut=True) not in ticked(rig, 249)
    number = rig.station.tally.next_id
    found = Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, 500, 500, "ms")
    latch = Latch(number, Scope.DEVICE, "M29", Clear.MAINTENANCE, "", rig.wall_ms + 1)
    assert [effect for effect in ticked(rig, 1) if not isinstance(effect, Ask)] == [
        told("alarm.raised", (found,), "high"),
        told("fault.latched", (found,), latch=number, clear="maintenance", scope="device"),
        Note(Entry(number + 1, EntryKind.LATCH, latch)),
    ]
    assert rig.station.stopping == Stopping(since_ms, 3, True, True, "stopped", "STOP", "readback")
    assert [effect for effect in ticked(rig, 100) if not isinstance(effect, Ask)] == []


@pytest.mark.rule("X5")
def test_a_device_that_answers_the_resume_late_is_not_asked_meanwhile() -> None:
    rig = on_the_way(Phase.PAUSED, Resume())
    sent_ms = rig.station.beat.sent_ms
    assert not [effect for _ in range(9) for effect in ticked(rig) if isinstance(effect, Ask)]
    assert rig.station.beat.sent_ms == sent_ms


@pytest.mark.rule("M29")
def test_a_stop_said_again_keeps_the_time_of_the_first() -> None:
    rig = standing(Phase.UNCERTAIN)
    since_ms = rig.station.stopping.since_ms
    rig.tick()
    rig.must(Stop())
    assert rig.station.stopping.since_ms == since_ms


@pytest.mark.rule("M29")
def test_a_cut_that_comes_late_leaves_no_try_to_be_made() -> None:
    rig = standing(Phase.UNCERTAIN)
    since_ms = rig.station.stopping.since_ms
    rig.answering = False
    assert ticked(rig, 260)[:1] == (Silence(cut=True),)
    assert rig.station.stopping == Stopping(since_ms, 3, True, False, "stopped", "STOP", "readback")
    assert not [effect for effect in ticked(rig, 100) if isinstance(effect, Silence)]


@pytest.mark.rule("M21")
@pytest.mark.parametrize(("played_ms", "is_over"), [(59_949, False), (59_950, True), (59_990, True)])
def test_a_therapy_that_has_been_played_is_completed_and_not_a_millisecond_more_is_counted(
    played_ms: int, is_over: bool
) -> None:
    rig = standing(Phase.RUNNING)
    session = rig.station.session
    rig.station = rig.station._replace(session=session._replace(course=session.course._replace(played_ms=played_ms)))
    rig.mono_ms += 50
    done = machine.step(rig.station, Tick(OFF, 0, WELL), rig.now)
    if not is_over:
        assert (done.station.phase, done.station.session.course.played_ms) == (Phase.RUNNING, 59_999)
        return
    assert done.effects == (Silence(cut=False), told("session.completed", session_id=SESSION, by=""))
    assert (done.station.phase, done.station.session.course.played_ms) == (Phase.UNCERTAIN, 60_000)
    assert done.station.stopping == Stopping(rig.mono_ms, 1, False, False, "completed", "", "readback")


def test_a_tick_counts_its_time_on_every_clock_of_the_session() -> None:
    rig = Rig().running(NMES, ticks=45)
    before = rig.station.session
    rig.mono_ms += 60
    done = machine.step(rig.station, Tick(rig.station.beat.picture, 0, WELL), rig.now)
    course = before.course
    assert done.station.session == before._replace(
        course=course._replace(played_ms=course.played_ms + 60, since_resume_ms=course.since_resume_ms + 60),
        channels=done.station.session.channels,
    )
    # In 60 ms the thigh has had two pulses of 20 mA and 300 us, 25 ms apart.
    thigh, was = done.station.session.channels[0], before.channels[0]
    assert thigh.spent == (was.spent[0] + 24_000, was.spent[1] + 480_000_000_000, was.spent[2] + 60)
    assert done.station.beat.tick_ms == rig.mono_ms


@pytest.mark.rule("M35")
def test_a_programmes_contraction_counts_as_a_pull_and_a_calibrations_burst_does_not() -> None:
    rig = Rig().running(NMES, ticks=45)
    assert [channel.pulls for channel in rig.station.session.channels] == [(1, 1), (1, 1)]
    trial = at_level(Rig().calibrating(), 10_000)
    trial.must(CalibrationStep(0))
    trial.tick(6)
    assert trial.station.beat.picture.trains
    assert [channel.pulls for channel in trial.station.session.channels] == [(0, 0)]
