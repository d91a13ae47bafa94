"""Effects done: in order, the stop first, nothing energising before its permission is durable or after its time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller import perform
from controller.devices.base import Order
from controller.devices.native import LINE, NativeDriver
from controller.journal import Journal
from controller.link import Link
from controller.perform import Performer
from controller.records import Records
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.papers import Papers
from safety.effects import (
    Answer,
    Arm,
    Ask,
    CalibrationRecord,
    Clearing,
    Commit,
    Drive,
    Effect,
    Entry,
    Envelope,
    Event,
    Feed,
    Grant,
    Note,
    Probe,
    Silence,
    Tell,
)
from safety.messages import Command as Asking
from safety.messages import Committed, Denied, EntryKind, Expect, Flaw, Garbled, Heard, Latch, Now, Probed, Stop
from safety.messages import Event as Fact
from safety.prescription import Calibration
from safety.times import NATIVE
from safety.verdict import Clear, Reason, Scope, Severity
from safety.waveform import OFF, Picture, Train
from tests.controller.bookings import NO, Judge, dose, request, rows, settlement
from tests.controller.logbook import held, latch, opening
from tests.controller.native.bench import PATIENT
from tests.controller.peer import Peer, read_frame
from tests.golden.native import layout

Until = Callable[[Callable[[], object]], Awaitable[None]]

NOW = Now(1_000_000, 1_700_000_000_000)
COMMAND = Asking(
    id="c-1",
    principal="dr",
    role="physio",
    issued_wall_ms=0,
    expires_wall_ms=0,
    retained=False,
    expect=Expect(),
    wish=Stop(),
)
HELD = Committed(9, 1, NOW.mono_ms + 60_000 + 60_000 - 5_000)
"""The permit of `permit()`: its hold is the first, and ends 60 s after it here, less 5 s."""
ANSWER, TOLD = Answer(command=COMMAND, status="succeeded", code="OK"), Event(kind="session.stopped")
ON = Train(1, 20_000, 300, 100, 25_000)
MONTAGE = Latch(5, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/calf-l", 7)


def grant(seq: int = 1, lasts_ms: int = 200) -> Grant:
    return Grant(9, seq, NOW.mono_ms + lasts_ms)


ARMING = Arm(grant(), (Envelope(1, 40_000, 400, 25_000, 1_000_000_000),), 60_000)
ENERGISING: list[Effect] = [
    ARMING,
    Drive(grant(), Picture((ON,))),
    Feed(grant()),
    Probe(grant(), Train(1, 1_000, 300, 0, 1_000_000)),
]
FRAMES = {Arm: layout.ARM, Drive: layout.DRIVE, Feed: layout.FEED, Probe: layout.PROBE}


def permit(session: str = "s-1", entry: int = 9, *, probe: bool = False) -> Commit:
    asked = request(session, permit=entry, probe=probe)
    ends = asked.permit._replace(ends_mono_ms=NOW.mono_ms + 60_000)
    return Commit(Entry(entry, EntryKind.PERMIT, replace(asked, permit=ends)))


def settle(session: str, entry: int, nc: int = 40) -> Note:
    return Note(Entry(entry, EntryKind.SETTLE, settlement(session, "readback", (1, dose(nc)))))


class NotedJournal(Journal):
    """A journal that says when it is asked to write."""

    deeds: list[str]

    def append(self, device: str, entry: Entry, now: Now, done: Callable[[], None] | None = None) -> None:
        super().append(device, entry, now, done)
        self.deeds.append(f"journal {entry.kind}")


class NotedDriver(NativeDriver):
    """A driver that says what it is asked."""

    deeds: list[str]

    def silence(self, *, cut: bool) -> None:
        super().silence(cut=cut)
        self.deeds.append(f"silence {cut}")

    def send(self, effect: Order) -> None:
        super().send(effect)
        self.deeds.append(type(effect).__name__.lower())


class Hand:
    """A performer with a driver on a scripted device, a journal and a ledger on files, and all that it did and told."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.deeds: list[str] = []
        self.failures: list[Exception] = []
        self.posted: list[Fact] = []
        self.said: list[tuple[str, Answer | Event, Now]] = []
        self.judge, self.peer = Judge(), Peer()
        self.journal_path, self.ledger_path = folder / "journal.db", folder / "ledger.db"
        self.journal = NotedJournal.open(self.journal_path, "ward3", "p1", NOW, self.failures.append)
        self.journal.deeds = self.deeds
        self.ledger = Ledger(self.ledger_path, self.judge, may_create=True)
        records = Records(Clinic(self.ledger_path), Papers(self.ledger_path), self.ledger)
        self.performer = Performer(
            "dev1",
            NATIVE,
            self.journal,
            self.ledger,
            records,
            self,
            lambda: self.now,
            self.posted.append,
            self.failures.append,
        )

    async def connect(self) -> None:
        driver = NotedDriver(PATIENT, self.posted.append)
        driver.deeds = self.deeds
        driver.attach(await Link.open(self.peer.port, LINE, on_bytes=driver.received, on_lost=driver.lost))
        await driver.connect()
        self.performer.driver = driver
        self.deeds.clear()
        self.peer.tape.clear()

    async def close(self) -> None:
        if self.performer.driver is not None:
            await self.performer.driver.close()
        self.peer.hang_up()
        await self.journal.close()

    def answer(self, device: str, answer: Answer, now: Now) -> None:
        self.said.append((device, answer, now))
        self.deeds.append("answer")

    def event(self, device: str, event: Event, now: Now) -> None:
        self.said.append((device, event, now))
        self.deeds.append("event")

    def do(self, *effects: Effect) -> None:
        self.performer.perform(effects, NOW)

    def told(self) -> list[Fact]:
        """What the heart was told, but for the device's words."""
        return [fact for fact in self.posted if not isinstance(fact, Heard | Probed)]

    def kinds(self) -> list[str]:
        """The kinds of the journal's durable entries."""
        with closing(sqlite3.connect(self.journal_path)) as reader:
            return [kind for (kind,) in reader.execute("SELECT kind FROM journal WHERE seq > 1 ORDER BY seq")]

    def charged(self) -> list[tuple[object, ...]]:
        return rows(self.ledger_path, "session, reserved_nc, charged_nc")


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    made = Hand(tmp_path)
    await made.connect()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perform, "RETRY_S", 0.05)


# The order


async def test_effects_are_done_in_their_order(hand: Hand) -> None:
    noted, committed = Note(opening(4)), Commit(Entry(6, EntryKind.PERMIT, request(probe=True)))
    hand.do(Silence(cut=False), Tell(ANSWER), Tell(TOLD), noted, committed, Ask(), Drive(grant(), OFF))
    assert hand.deeds == [
        "silence False", "answer", "event", "journal open", "journal permit", "ask", "drive",
    ]  # fmt: skip
    assert hand.said == [("dev1", ANSWER, NOW), ("dev1", TOLD, NOW)]


@pytest.mark.hazard("H10")
async def test_a_stop_is_on_the_line_when_perform_returns(hand: Hand) -> None:
    hand.peer.ignore()
    blocker = held(hand.journal_path)
    hand.do(Silence(cut=True), Tell(TOLD), Note(opening(4)))
    stop, cut = (read_frame(chunk) for chunk in os.read(hand.peer.far, 4_096).strip(b"\0").split(b"\0"))
    assert stop is not None
    assert cut is not None
    assert (stop[0], cut[0]) == (layout.STOP, layout.CUT)
    blocker.close()


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_after_a_cut_and_no_other_stop_the_device_is_left_to_its_dead_man(hand: Hand) -> None:
    left = []
    for cut in (False, True, False):
        hand.do(Silence(cut=cut))
        left.append(hand.performer.has_cut)
    assert left == [False, True, True]


async def test_without_a_driver_nothing_happens(hand: Hand) -> None:
    driver, hand.performer.driver = hand.performer.driver, None
    hand.do(Silence(cut=True), Ask(), *ENERGISING)
    hand.performer.silence(cut=True)
    assert (hand.deeds, hand.told(), hand.performer.expired) == ([], [], 0)
    hand.performer.driver = driver


# Time


@pytest.mark.rule("M25")
@pytest.mark.hazard("H27")
@pytest.mark.parametrize("effect", ENERGISING, ids=lambda effect: type(effect).__name__)
async def test_a_grant_holds_until_its_end_by_the_clock_at_the_write(hand: Hand, effect: Effect, until: Until) -> None:
    hand.now = Now(NOW.mono_ms + 200, NOW.wall_ms)
    hand.do(effect)
    assert (hand.deeds, hand.performer.expired) == ([], 1)
    hand.now = Now(NOW.mono_ms + 10_000, NOW.wall_ms)
    hand.do(effect)
    assert (hand.deeds, hand.performer.expired) == ([], 2)
    hand.now = Now(NOW.mono_ms + 199, NOW.wall_ms)
    hand.do(effect)
    assert (len(hand.deeds), hand.performer.expired) == (1, 2)
    await until(lambda: hand.peer.tape)
    assert hand.peer.types() == [FRAMES[type(effect)]]


@pytest.mark.hazard("H27")
async def test_the_clock_is_read_after_all_that_comes_before(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> None:
        hand.now = Now(NOW.mono_ms + 200, NOW.wall_ms)

    monkeypatch.setattr(hand, "answer", slow)
    hand.do(Silence(cut=False), Tell(ANSWER), Ask(), Drive(grant(), OFF))
    assert (hand.deeds, hand.performer.expired) == (["silence False", "ask"], 1)


# Permission


async def test_a_permit_is_reserved_then_journalled_then_committed(hand: Hand, until: Until) -> None:
    hand.do(permit())
    assert hand.deeds == []
    await until(hand.told)
    assert hand.told() == [HELD]
    assert (hand.deeds, hand.kinds(), hand.charged()) == (["journal permit"], ["permit"], [("s-1", 100, None)])
    assert [asked.session for _, asked, _ in hand.judge.asked] == ["s-1"]


@pytest.mark.rule("X10")
@pytest.mark.hazard("H26")
async def test_a_hold_ends_a_minute_after_the_longest_permit_less_five_seconds(hand: Hand, until: Until) -> None:
    hand.do(permit())
    await until(hand.told)
    for told, entry, moved_ms, lasts_ms, ends_ms in (
        (2, 11, 10_000, 40_000, 115_000),
        (3, 12, 30_000, 70_000, 125_000),
    ):
        asked = request("s-1", permit=entry)
        lasting = asked.permit._replace(ends_mono_ms=NOW.mono_ms + lasts_ms)
        hand.now = Now(NOW.mono_ms + moved_ms, NOW.wall_ms + moved_ms)
        hand.do(Commit(Entry(entry, EntryKind.PERMIT, replace(asked, permit=lasting))))
        await hand.performer.settled()
        await until(lambda told=told: len(hand.told()) == told)
        assert hand.told()[-1] == Committed(entry, 1, NOW.mono_ms + ends_ms)


@pytest.mark.rule("M34")
@pytest.mark.hazard("H26")
async def test_a_newer_token_is_seen_and_a_ledger_that_cannot_say_is_no_newer_token(hand: Hand, until: Until) -> None:
    assert await hand.performer.newer_token("s-1", "p-1") == 0
    hand.do(permit())
    await until(hand.told)
    assert await hand.performer.newer_token("s-1", "p-1") == 0
    other = Ledger(hand.ledger_path, hand.judge, may_create=False)
    await other.reserve("dev2", request("s-2"), NOW.wall_ms + 120_000)
    assert await hand.performer.newer_token("s-1", "p-1") == 2
    assert await hand.performer.newer_token("s-9", "p-1") == 0
    away = hand.ledger_path.rename(hand.ledger_path.with_name("away.db"))
    assert await hand.performer.newer_token("s-1", "p-1") == 0
    away.rename(hand.ledger_path)


async def test_test_pulses_reserve_nothing_and_are_journalled_all_the_same(hand: Hand, until: Until) -> None:
    hand.do(permit(probe=True))
    await until(hand.told)
    assert (hand.told(), hand.kinds(), hand.charged()) == ([Committed(9)], ["permit"], [])


@pytest.mark.rule("L03")
async def test_what_the_history_does_not_admit_is_denied_and_never_journalled(hand: Hand, until: Until) -> None:
    hand.judge.verdict = NO
    hand.do(permit())
    await until(hand.told)
    assert (hand.told(), hand.deeds, hand.kinds(), hand.charged()) == ([Denied(9, NO)], [], [], [])


@pytest.mark.hazard("H31")
@pytest.mark.parametrize("probe", [False, True])
async def test_while_the_journal_is_held_nothing_is_committed(hand: Hand, until: Until, probe: bool) -> None:
    blocker = held(hand.journal_path)
    hand.do(permit(probe=probe))
    await until(lambda: hand.deeds)
    await asyncio.sleep(0.7)
    assert (hand.told(), hand.deeds) == ([], ["journal permit"])
    blocker.close()
    await until(hand.told)
    assert hand.told() == [Committed(9) if probe else HELD]


async def test_without_a_ledger_a_permit_is_denied(hand: Hand, until: Until) -> None:
    hand.ledger_path.rename(hand.ledger_path.with_name("away.db"))
    with capture_logs() as lines:
        hand.do(permit())
        await until(hand.told)
    assert hand.told() == [Denied(9, (Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE"),))]
    assert hand.kinds() == []
    assert [(line["event"], line["log_level"]) for line in lines] == [("ledger.refused", "error")]


async def test_a_ledger_that_contradicts_denies(hand: Hand, until: Until) -> None:
    hand.do(permit(), settle("s-1", 10))
    await hand.performer.settled()
    hand.posted.clear()
    hand.do(permit(entry=11))
    await until(hand.told)
    assert hand.told() == [Denied(11, (Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE"),))]
    assert hand.charged() == [("s-1", 100, 40)]


@pytest.mark.parametrize("probe", [False, True])
async def test_a_journal_that_takes_nothing_denies(hand: Hand, until: Until, probe: bool) -> None:
    await hand.journal.close()
    hand.do(permit(probe=probe))
    await until(hand.told)
    assert hand.told() == [Denied(9, (Reason("", Severity.REFUSE, "SYS.AUDIT_UNWRITABLE"),))]


# Records


async def test_a_note_that_the_journal_does_not_take_is_told_and_charges_nothing(hand: Hand) -> None:
    hand.do(permit())
    await hand.performer.settled()
    await hand.journal.close()
    hand.do(settle("s-1", 10), Ask())
    await hand.performer.settled()
    ((device, event, _),) = hand.said
    assert isinstance(event, Event)
    assert (device, event.kind, event.code, event.priority) == (
        "dev1",
        "alarm.raised",
        "SYS.AUDIT_UNWRITABLE",
        "medium",
    )
    assert event.details == (("why", "the journal is closed"),)
    assert hand.charged() == [("s-1", 100, None)]
    assert hand.deeds[-1] == "ask"


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
async def test_a_session_is_charged_when_its_settlement_is_durable(hand: Hand, until: Until) -> None:
    hand.do(permit())
    await until(hand.told)
    blocker = held(hand.journal_path)
    hand.do(settle("s-1", 10))
    await asyncio.sleep(0.7)
    assert (hand.charged(), hand.performer.is_settled) == ([("s-1", 100, None)], False)
    blocker.close()
    await hand.performer.settled()
    assert (hand.charged(), hand.performer.is_settled) == ([("s-1", 100, 40)], True)


@pytest.mark.hazard("H19")
async def test_what_the_ledger_cannot_take_is_told_later_in_the_same_order(hand: Hand, until: Until) -> None:
    hand.do(permit())
    await until(hand.told)
    away = hand.ledger_path.with_name("away.db")
    hand.ledger_path.rename(away)
    hand.do(settle("s-1", 10), Note(Entry(11, EntryKind.LATCH, MONTAGE)))
    await until(lambda: len(hand.kinds()) == 3)
    assert (hand.performer.is_settled, hand.told()) == (False, [HELD])
    away.rename(hand.ledger_path)
    await hand.performer.settled()
    hand.do(permit("s-2", 12), settle("s-2", 13, 7))
    await hand.performer.settled()
    assert hand.charged() == [("s-1", 100, 40), ("s-2", 100, 7)]
    (_, second) = hand.judge.asked
    assert [(record.session, record.charged) for record in second[0].records] == [("s-1", dose(40))]
    assert second[0].locked_sites == ("calf-l",)


UNAVAILABLE = (Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE"),)


@pytest.mark.hazard("H19")
async def test_while_the_ledger_is_owed_something_a_permit_is_denied_at_once_and_not_given_later(
    hand: Hand, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform, "RETRY_S", 3_600)
    hand.do(permit())
    await until(hand.told)
    hand.ledger_path.rename(hand.ledger_path.with_name("away.db"))
    hand.do(settle("s-1", 10), permit("s-2", 12), permit("s-3", 13), settle("s-2", 14))
    await until(lambda: len(hand.told()) == 3)
    assert hand.told() == [HELD, Denied(12, UNAVAILABLE), Denied(13, UNAVAILABLE)]
    hand.do(permit("s-4", 15))
    assert hand.told()[3:] == [Denied(15, UNAVAILABLE)]
    assert [asked.session for _, asked, _ in hand.judge.asked] == ["s-1"]
    assert not hand.performer.is_settled


async def test_a_settlement_that_the_ledger_refuses_is_left_and_the_next_goes_on(hand: Hand) -> None:
    hand.do(permit(), Note(Entry(10, EntryKind.SETTLE, settlement("s-1", "readback", (2, dose(5))))), settle("s-1", 11))
    await hand.performer.settled()
    assert hand.charged() == [("s-1", 100, 40)]
    assert hand.failures == []


async def test_whatever_else_goes_wrong_in_the_ledger_is_a_failure_and_the_next_goes_on(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def planted(*_: object) -> None:
        raise ZeroDivisionError

    hand.do(permit())
    await hand.performer.settled()
    with monkeypatch.context() as patch:
        patch.setattr(hand.ledger, "settle", planted)
        hand.do(settle("s-1", 10))
        await hand.performer.settled()
    assert [type(failure) for failure in hand.failures] == [ZeroDivisionError]
    hand.do(settle("s-1", 11))
    await hand.performer.settled()
    assert hand.charged() == [("s-1", 100, 40)]


@pytest.mark.rule("G27")
@pytest.mark.hazard("H02")
async def test_a_patient_latch_locks_every_site_until_it_is_cleared(hand: Hand) -> None:
    whole = Latch(5, Scope.PATIENT, "G05", Clear.ACK_QUALIFIED, "p-1", 7)
    hand.do(Note(Entry(5, EntryKind.LATCH, whole)))
    await hand.performer.settled()
    assert (await hand.ledger.history("p-1", NOW.wall_ms)).locked_sites == ("",)
    hand.do(Note(Entry(7, EntryKind.CLEAR, Clearing(latch=whole, principal="dr", reason="looked at"))))
    await hand.performer.settled()
    assert (await hand.ledger.history("p-1", NOW.wall_ms)).locked_sites == ()


@pytest.mark.hazard("H17")
async def test_a_montage_latch_locks_the_patients_site_until_it_is_cleared(hand: Hand) -> None:
    hand.do(Note(Entry(5, EntryKind.LATCH, MONTAGE)), Note(latch(6)))
    await hand.performer.settled()
    assert (await hand.ledger.history("p-1", NOW.wall_ms)).locked_sites == ("calf-l",)
    await hand.performer.lock(MONTAGE)
    hand.do(Note(Entry(7, EntryKind.CLEAR, Clearing(latch=MONTAGE, principal="dr", reason="looked at"))))
    await hand.performer.settled()
    assert (await hand.ledger.history("p-1", NOW.wall_ms)).locked_sites == ()


async def test_who_will_not_wait_for_the_ledger_leaves_it_open(hand: Hand) -> None:
    hand.do(permit())
    await hand.performer.settled()
    away = hand.ledger_path.with_name("away.db")
    hand.ledger_path.rename(away)
    hand.do(settle("s-1", 10))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await hand.performer.settled()
    away.rename(hand.ledger_path)
    await asyncio.sleep(0.2)
    assert (hand.charged(), hand.performer.is_settled) == ([("s-1", 100, None)], False)


# A driver that does not do it


@pytest.mark.parametrize(
    ("effect", "seq", "why"),
    [
        (Drive(grant(3), Picture((ON._replace(ua=20_001),))), 3, "rounded"),
        (Drive(grant(4), Picture((ON._replace(channel=9),))), 4, "channel = 9"),
        (Probe(grant(5), Train(1, 2_001, 300, 0, 1_000_000)), 5, "ua = 2001"),
        (Arm(grant(6), ARMING.envelopes, 2**40), 6, "does not fit the wire"),
    ],
)
async def test_what_the_driver_refuses_is_told_with_its_grant(hand: Hand, effect: Effect, seq: int, why: str) -> None:
    hand.do(effect)
    (told,) = hand.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (Flaw.REFUSED, seq)
    assert why in told.what
    assert hand.peer.tape == []


async def test_a_second_frame_before_the_answer_is_refused(hand: Hand, until: Until) -> None:
    hand.peer.mute(layout.FEED)
    hand.do(Feed(grant(1)), Feed(grant(2)))
    (told,) = hand.told()
    assert isinstance(told, Garbled)
    assert told.grant == 2
    await until(lambda: hand.peer.tape)
    assert hand.peer.types() == [layout.FEED]


async def test_a_question_that_the_driver_refuses_names_no_grant(hand: Hand) -> None:
    driver = NativeDriver(PATIENT, hand.posted.append)
    connected, hand.performer.driver = hand.performer.driver, driver
    hand.do(Ask())
    assert hand.told() == [Garbled(Flaw.REFUSED, 0, "the device is not connected")]
    hand.performer.driver = connected


async def test_any_other_exception_of_the_driver_is_the_callers(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(effect: Order) -> None:
        raise ZeroDivisionError(effect)

    monkeypatch.setattr(hand.performer.driver, "send", planted)
    with pytest.raises(ZeroDivisionError):
        hand.do(Ask())
    assert hand.told() == []


@pytest.mark.rule("G19")
async def test_thresholds_that_were_found_are_kept_when_their_record_is_durable(hand: Hand) -> None:
    found = Calibration(
        at_wall_ms=NOW.wall_ms, pair="a", area_mm2=2_500, width_us=300, sensory_ua=8_000, motor_ua=15_000,
        maximal_ua=38_000,
    )  # fmt: skip
    record = CalibrationRecord(
        session="s-1", patient="p-1", site="left-calf", channel=1, principal="physio-1", calibration=found
    )
    hand.do(Note(Entry(10, EntryKind.CALIBRATION, record)))
    assert not hand.performer.is_settled
    await hand.performer.settled()
    assert Papers(hand.ledger_path).calibration("p-1", "left-calf", "a") == found
