"""A station on real parts: a session, a line that comes and goes, the ticks, the end and the next beginning."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rig import Modality
from structlog.testing import capture_logs

from controller import clock, perform
from controller import station as module
from controller.devices.native import open_native
from controller.host import Host
from controller.recorder import Begin, End, Line, Moment, read_tape
from safety import machine
from safety.effects import Clearing, Effect, Entry, Event, Note
from safety.history import AdverseLock
from safety.messages import (
    WELL,
    Adjust,
    ArmSession,
    Asked,
    Check,
    Claim,
    DeviceDown,
    EntryKind,
    Latch,
    Pause,
    Prepare,
    Resume,
    Start,
    Stop,
)
from safety.prescription import Programme
from safety.state import Phase
from safety.verdict import Clear, Scope
from tests.controller.logbook import at, held
from tests.controller.peer import Peer, until
from tests.controller.ward import Ward, therapy
from tests.golden.native import layout

ENERGISING = {layout.ARM, layout.DRIVE, layout.FEED, layout.PROBE}
SHORT = Programme(modality=Modality.NMES, ramp_up_ms=1_000, on_ms=500, ramp_down_ms=500, off_ms=1_500, therapy_ms=3_500)


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = Ward(tmp_path)
    await made.open()
    yield made
    await made.close()


# A session


async def test_a_whole_session(ward: Ward) -> None:
    await ward.prepared(therapy(SHORT))
    assert ward.pulses() == []
    await ward.must(ArmSession())
    ((session, reserved_nc, charged_nc, _),) = ward.charged()
    assert charged_nc is None
    await ward.must(Start())
    await ward.reaches(Phase.IDLE)
    await until(lambda: ward.actor.is_at_rest)
    delivered_nc = sum(trace.charge_nc for trace in ward.pulses())
    planned_nc = 40 * (0.5 + 0.75) * 12_000
    ((_, _, charged_nc, evidence),) = ward.charged()
    assert charged_nc is not None
    assert 0.95 * planned_nc <= delivered_nc <= charged_nc <= 1.05 * delivered_nc
    assert charged_nc <= reserved_nc
    assert (evidence, max(trace.first_ua for trace in ward.pulses())) == ("readback", 20_000)
    assert [kind for kind, _ in ward.kinds()] == ["open", "attest", "permit", "permit", "wish", "settle", "close"]
    assert [said.kind for said in ward.said if isinstance(said, Event)] == [
        "device.online", "session.prepared", "stop.tried", "impedance.measured", "session.armed", "session.started",
        "session.completed", "stop.confirmed", "session.closed",
    ]  # fmt: skip
    lines = list(read_tape(ward.folder / "tapes" / f"{session}.ndjson"))
    assert (type(lines[0]), type(lines[-1])) == (Begin, End)
    moments = [line for line in lines if isinstance(line, Moment)]
    assert lines[-1] == End(len(moments), 0)
    assert (type(moments[0].event), moments[0].event.command.verb) == (Asked, "session.prepare")  # type: ignore[union-attr]
    assert played_again(lines) == [moment.effects for moment in moments]


def played_again(lines: list[Line]) -> list[tuple[Effect, ...]]:
    """What `step` does with a tape, from the station that it begins with."""
    found = []
    for line in lines:
        if isinstance(line, Begin):
            station = line.station
        elif isinstance(line, Moment):
            assert station is not None
            station, effects, _ = machine.step(station, line.event, line.now)
            found.append(effects)
    return found


async def test_what_flows_is_told_in_a_session_only(ward: Ward) -> None:
    await asyncio.sleep(0.5)
    assert ward.words == []
    await ward.running()
    await until(lambda: len(ward.words) >= 5)


async def test_every_wish_of_a_session(ward: Ward) -> None:
    await ward.running()
    await until(lambda: ward.pulses()[-1].first_ua == 20_000)
    await ward.must(Adjust(1, -5_000))
    await until(lambda: ward.pulses()[-1].first_ua == 15_000)
    await ward.must(Adjust(1, 1_000))
    await until(lambda: ward.pulses()[-1].first_ua == 16_000)
    await ward.must(Pause())
    await ward.is_off()
    await ward.must(Check(()), Resume())
    await until(lambda: ward.pulses()[-1].first_ua == 16_000)
    await ward.must(Stop())
    await ward.is_off()
    await ward.reaches(Phase.IDLE)


async def test_state_is_shown_before_the_answer_that_speaks_of_it(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, object]] = []
    monkeypatch.setattr(ward, "state", lambda station, _: heard.append(("state", station.phase)))
    monkeypatch.setattr(ward, "answer", lambda _, answer, __: heard.append(("answer", answer.status)))
    rx = therapy()
    ward.begin(Claim())
    ward.begin(Prepare(rx, rx.ref, rx.patient))
    assert heard == [
        ("state", Phase.IDLE), ("answer", "succeeded"), ("state", Phase.PREPARED), ("answer", "succeeded"),
    ]  # fmt: skip


@pytest.mark.hazard("H10")
async def test_a_stop_is_on_the_line_when_post_returns(ward: Ward) -> None:
    await ward.running()
    blocker = held(ward.folder / "journal.db")
    before = len(ward.types())
    ward.begin(Stop())
    # One turn of the loop, for the emulator to read what is there.
    await asyncio.sleep(0)
    await until(lambda: layout.STOP in ward.types()[before:])
    # A frame of the last tick may still have been on the line.
    assert ward.types()[before : before + 2].count(layout.STOP) == 1
    await ward.is_off()
    blocker.close()


# Permission


@pytest.mark.hazard("H31")
async def test_while_the_journal_is_held_nothing_energising_is_sent(ward: Ward) -> None:
    await ward.vouched()
    blocker = held(ward.folder / "journal.db")
    check = ward.begin(Check(()))
    await asyncio.sleep(1)
    assert not ENERGISING & set(ward.types())
    blocker.close()
    assert (await ward.final(check)).status == "succeeded"
    await until(lambda: ward.actor.station.health == WELL)
    blocker = held(ward.folder / "journal.db")
    arm = ward.begin(ArmSession())
    await asyncio.sleep(1)
    assert ENERGISING & set(ward.types()) == {layout.PROBE}
    blocker.close()
    assert (await ward.final(arm)).status == "succeeded"
    assert layout.ARM in ward.types()


@pytest.mark.hazard("H31")
async def test_what_was_committed_after_the_stop_energises_nothing(ward: Ward) -> None:
    await ward.prepared()
    blocker = held(ward.folder / "journal.db")
    arm, stop = ward.begin(ArmSession()), ward.begin(Stop())
    assert [(await ward.final(each)).code for each in (arm, stop)] == ["SES.PHASE_CHANGED", "OK"]
    blocker.close()
    await until(lambda: ward.actor.is_at_rest and ward.actor.station.phase is Phase.IDLE)
    assert layout.ARM not in ward.types()
    assert [(charged, evidence) for _, _, charged, evidence in ward.charged()] == [(0, "readback")]


# The line


async def test_the_device_is_shown_when_it_is_there(ward: Ward) -> None:
    (up,) = ward.capable
    assert (up.identity.model, up.caps.channels) == ("native-bench", 2)
    assert [station.phase for station in ward.states] == [Phase.OFFLINE, Phase.IDLE]


async def test_a_line_that_is_pulled_is_opened_again_when_it_is_back(ward: Ward) -> None:
    ward.emulator.line.pull()
    await ward.reaches(Phase.OFFLINE)
    tries = ward.opened
    await until(lambda: ward.opened >= tries + 2)
    ward.emulator.line.put()
    await ward.reaches(Phase.IDLE)
    assert [event.kind for event in ward.events("device.online", "device.lost")] == [
        "device.online", "device.lost", "device.online",
    ]  # fmt: skip
    await ward.running()


async def test_the_waits_between_attempts_grow_to_the_last_and_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        if delay >= 10:
            waited.append(delay)
            delay = 0.001
        await sleep(delay)

    monkeypatch.setattr(module, "BACKOFF_S", (11, 12, 13))
    monkeypatch.setattr(asyncio, "sleep", noted)
    ward = Ward(tmp_path)
    await ward.turn_on()
    await until(lambda: len(waited) >= 5)
    assert waited[:5] == [11, 12, 13, 13, 13]
    ward.emulator.start()
    await ward.reaches(Phase.IDLE)
    ward.emulator.line.pull()
    waited.clear()
    await until(lambda: len(waited) >= 3)
    assert waited[:3] == [11, 12, 13]
    await ward.close()


@pytest.mark.rule("M04")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H11")
async def test_a_line_that_is_pulled_in_a_session_ends_it_at_its_whole_reservation(tmp_path: Path) -> None:
    ward = Ward(tmp_path, dead_man_ms=500)
    await ward.open()
    await ward.running()
    ward.emulator.line.pull()
    await ward.reaches(Phase.UNCERTAIN)
    await ward.is_off()
    ward.emulator.line.put()
    await ward.reaches(Phase.IDLE)
    await until(lambda: ward.actor.is_at_rest)
    ((_, reserved_nc, charged_nc, evidence),) = ward.charged()
    assert (charged_nc, evidence) == (reserved_nc, "reservation")
    assert "M04" in {latch.rule for latch in ward.actor.station.latches}
    await ward.is_off()
    await ward.close()


async def test_a_silent_device_outside_a_session_is_opened_anew(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_MS", 400)
    token = ward.bench.faults.inject("hung_firmware")
    await ward.reaches(Phase.OFFLINE)
    tries = ward.opened
    await until(lambda: ward.opened > tries)
    ward.bench.faults.clear(token)
    monkeypatch.setattr(module, "SILENT_MS", 60_000)
    await ward.reaches(Phase.IDLE)
    assert [dict(event.details) for event in ward.events("device.lost")] == [{"why": "the device says nothing"}]


async def test_a_loss_that_comes_while_it_connects_is_not_forgotten(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[bool] = []

    async def opened(port: str, times: Any, on_event: Callable[..., None], host: Host) -> Any:  # noqa: ANN401 - the driver's own
        driver = await open_native(port, times, on_event, host)
        connect = driver.connect

        async def connected() -> Any:  # noqa: ANN401
            up = await connect()
            if not lost:
                lost.append(True)
                on_event(DeviceDown("at the worst moment"))
            return up

        monkeypatch.setattr(driver, "connect", connected)
        return driver

    monkeypatch.setattr(ward.actor, "_port", module.Port(ward.actor._port.name, opened))
    ward.emulator.line.pull()
    await ward.reaches(Phase.OFFLINE)
    ward.emulator.line.put()
    await until(lambda: lost)
    await until(lambda: len(ward.capable) == 3)
    await ward.running()


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_device_that_will_not_stop_when_it_is_opened_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LET_GO_S", 0.1)
    peer, ward = Peer(), Ward(tmp_path)
    peer.says[layout.ASK] = lambda asked: [peer.status(asked[1], state=2)]
    await ward.turn_on()
    ward.actor._port = module.Port(peer.port, open_native)
    await until(lambda: layout.CUT in peer.types())
    assert peer.types()[:4] == [layout.STOP, layout.HELLO, layout.ASK, layout.STOP]
    assert ward.actor.station.phase is Phase.OFFLINE
    # It is left to its dead man from now on, until it was seen stopped.
    assert ward.actor._performer.has_cut
    del peer.says[layout.ASK]
    await ward.reaches(Phase.IDLE)
    assert not ward.actor._performer.has_cut
    await ward.close()
    peer.hang_up()


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_device_that_is_refused_for_anything_else_is_stopped_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.1,))
    peer, ward = Peer(), Ward(tmp_path)
    peer.says[layout.ASK] = lambda asked: [peer.status(asked[1], state=9)]
    await ward.turn_on()
    ward.actor._port = module.Port(peer.port, open_native)
    await until(lambda: peer.types().count(layout.HELLO) == 2)
    assert peer.types()[:4] == [layout.STOP, layout.HELLO, layout.ASK, layout.STOP]
    assert layout.CUT not in peer.types()
    await ward.close()
    peer.hang_up()


async def test_a_device_that_is_not_there_is_logged_once_with_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.1,))
    ward = Ward(tmp_path)
    with capture_logs() as lines:
        await ward.turn_on()
        await until(lambda: [line["event"] for line in lines] == ["device.absent"])
        ward.emulator.start()
        await ward.reaches(Phase.IDLE)
    (absent,) = lines
    assert (absent["device"], absent["port"]) == ("dev1", str(tmp_path / "line"))
    await ward.close()


# Time


@pytest.mark.rule("M25")
@pytest.mark.hazard("H40")
async def test_ticks_that_were_missed_are_not_made_up_for(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[float] = []
    tick = ward.actor.tick

    def noted() -> None:
        ticks.append(time.monotonic())
        tick()

    monkeypatch.setattr(ward.actor, "tick", noted)
    await until(lambda: len(ticks) >= 3)
    time.sleep(1)  # noqa: ASYNC251 - the loop is to be held up
    began, before = time.monotonic(), len(ticks)
    await until(lambda: len(ticks) >= before + 5)
    assert len(ticks) - before <= (ticks[-1] - began) / 0.05 + 2


async def test_a_tick_says_how_old_the_oldest_unwritten_entry_is(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    unsynced: list[int] = []
    step = machine.step

    def noted(station: Any, event: Any, now: Any) -> Any:  # noqa: ANN401
        if hasattr(event, "unsynced_ms"):
            unsynced.append(event.unsynced_ms)
        return step(station, event, now)

    monkeypatch.setattr(machine, "step", noted)
    await until(lambda: unsynced)
    assert set(unsynced) == {0}
    blocker = held(ward.folder / "journal.db")
    rx = therapy()
    ward.begin(Claim())
    ward.begin(Prepare(rx, rx.ref, rx.patient))
    await until(lambda: unsynced[-1] > 300)
    blocker.close()
    await until(lambda: unsynced[-1] == 0)


@pytest.mark.rule("G25")
@pytest.mark.hazard("H39")
async def test_a_tick_says_that_the_journal_or_the_ledger_cannot_be_written(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform, "RETRY_S", 0.05)
    await until(lambda: ward.actor.station.health == WELL)
    monkeypatch.setattr(module, "UNSYNCED_MS", 100)
    blocker = held(ward.folder / "journal.db")
    await ward.ask(Claim())
    rx = therapy()
    ward.begin(Prepare(rx, rx.ref, rx.patient))
    await until(lambda: ward.actor.station.health == WELL._replace(audit=False))
    blocker.close()
    await until(lambda: ward.actor.station.health == WELL)
    away = ward.folder / "away.db"
    (ward.folder / "ledger.db").rename(away)
    lock = Latch(9, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/calf-l", 0)
    ward.actor._performer.perform((Note(Entry(900, EntryKind.LATCH, lock)),), clock.now())
    await until(lambda: ward.actor.station.health == WELL._replace(ledger=False))
    away.rename(ward.folder / "ledger.db")
    await until(lambda: ward.actor.station.health == WELL)


@pytest.mark.rule("G25")
@pytest.mark.hazard("H27")
async def test_a_tick_says_that_the_clock_is_not_right(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    await until(lambda: ward.actor.station.health == WELL)
    monkeypatch.setattr(
        module,
        "is_right",
        lambda moment, *, bench, is_disciplined: (
            (moment.wall_ms < 0, bench, is_disciplined) == (False, False, clock.is_disciplined)
        ),
    )
    await until(lambda: ward.actor.station.health == WELL._replace(clock_synced=False))


# The end, and the next beginning


async def test_an_end_after_a_stop_leaves_nothing_open(ward: Ward) -> None:
    await ward.running()
    ward.begin(Stop())
    await until(lambda: ward.actor.is_at_rest)
    await ward.turn_off()
    ((_, _, charged_nc, evidence),) = ward.charged()
    assert evidence == "readback"
    assert charged_nc is not None
    assert charged_nc > 0
    await ward.turn_on()
    await ward.reaches(Phase.IDLE)
    assert [latch.rule for latch in ward.actor.station.latches] == ["STOP"]


async def test_an_end_waits_for_a_ledger_that_was_away(ward: Ward) -> None:
    await ward.running()
    ledger = ward.folder / "ledger.db"
    away = ledger.rename(ledger.with_name("away.db"))
    ward.begin(Stop())
    await ward.reaches(Phase.IDLE)
    assert not ward.actor.is_at_rest
    asyncio.get_running_loop().call_later(0.3, away.rename, ledger)
    await ward.turn_off()
    assert [evidence for _, _, _, evidence in ward.charged()] == ["readback"]
    await ward.turn_on()


@pytest.mark.rule("X6")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H31")
async def test_an_end_in_a_session_stops_at_once_and_counts_it_in_full_at_the_next_start(ward: Ward) -> None:
    await ward.running()
    await ward.turn_off()
    await ward.is_off()
    ((session, reserved_nc, charged_nc, _),) = ward.charged()
    assert charged_nc is None
    await ward.turn_on()
    await ward.reaches(Phase.IDLE)
    await until(lambda: ward.actor.is_at_rest)
    assert ward.charged() == [(session, reserved_nc, reserved_nc, "reservation")]
    assert [latch.rule for latch in ward.actor.station.latches] == ["X6"]
    assert [event.code for event in ward.events("session.stopped")] == ["SYS.RESTARTED"]
    await ward.is_off()


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
async def test_what_the_ledger_never_heard_of_is_caught_up_with_at_the_next_start(ward: Ward) -> None:
    await ward.running()
    ledger = ward.folder / "ledger.db"
    away = ledger.rename(ledger.with_name("away.db"))
    ward.begin(Stop())
    await ward.reaches(Phase.IDLE)
    module_settle_s, module.SETTLE_S = module.SETTLE_S, 0.2
    await ward.turn_off()
    module.SETTLE_S = module_settle_s
    away.rename(ledger)
    ((session, reserved_nc, charged_nc, _),) = ward.charged()
    assert charged_nc is None
    await ward.turn_on()
    assert ward.charged() == [(session, reserved_nc, reserved_nc, "reservation")]
    await ward.reaches(Phase.IDLE)


@pytest.mark.hazard("H17")
async def test_a_locked_site_is_locked_again_for_every_device_at_the_next_start(ward: Ward) -> None:
    lock = Latch(90, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/left-thigh", at(0).wall_ms)
    ward.journal.append("dev1", Entry(90, EntryKind.LATCH, lock), at(0))
    await ward.turn_off()
    with sqlite3.connect(ward.folder / "ledger.db") as writer:
        assert writer.execute("SELECT count(*) FROM locks").fetchone() == (0,)
    writer.close()
    await ward.turn_on()
    assert (await ward.ledger.history("p-1", at(0).wall_ms)).locked_sites == ("left-thigh",)
    assert ward.actor.station.latches == (lock,)


@pytest.mark.rule("M34")
@pytest.mark.hazard("H26")
async def test_a_session_whose_hold_was_taken_over_stops(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.05)
    await ward.running()
    with closing(sqlite3.connect(ward.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("UPDATE holds SET token = token + 1, session = 's-else' WHERE kind = 'patient'")
    await until(lambda: ward.events("session.stopped"))
    (stopped,) = ward.events("session.stopped")
    assert (stopped.rule, stopped.code) == ("M34", "SES.FENCED")
    await ward.is_off()


@pytest.mark.rule("G27")
@pytest.mark.rule("L10")
@pytest.mark.hazard("H31")
async def test_a_site_whose_latch_was_cleared_is_unlocked_at_the_next_start_where_the_ledger_was_never_told(
    ward: Ward,
) -> None:
    locks = [
        Latch(number, Scope.MONTAGE, rule, Clear.ACK_QUALIFIED, "p-1/left-thigh", at(0).wall_ms)
        for number, rule in ((90, "M08"), (91, "M24"), (92, "M08"))
    ]
    for lock in locks:
        ward.journal.append("dev1", Entry(lock.id, EntryKind.LATCH, lock), at(0))
        await ward.ledger.lock("dev1", "p-1", "left-thigh", lock)
    for number, lock in enumerate(locks[:2]):
        clearing = Clearing(latch=lock, principal="dr", reason="looked at it")
        ward.journal.append("dev1", Entry(93 + number, EntryKind.CLEAR, clearing), at(0))
    other = locks[0]._replace(id=95)
    await ward.ledger.lock("dev2", "p-1", "right-thigh", other)
    await ward.turn_off()
    await ward.turn_on()
    history = await ward.ledger.history("p-1", at(0).wall_ms)
    assert history.locked_sites == ("left-thigh", "right-thigh")
    assert history.adverse == (AdverseLock("left-thigh", at(0).wall_ms, released=True),)
    assert [await ward.ledger.locks(device) for device in ("dev1", "dev2")] == [(92,), (95,)]


async def test_ids_and_latches_go_on_from_the_journal(ward: Ward) -> None:
    await ward.running()
    ward.begin(Stop())
    await ward.reaches(Phase.IDLE)
    latches = ward.actor.station.latches
    await ward.turn_off()
    known = ward.journal.facts("dev1")
    await ward.turn_on()
    assert ward.actor.station.latches == latches == known.latches
    assert ward.actor.station.tally.next_id == known.next_id


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
async def test_what_was_vouched_for_comes_with_the_patients_next_session(ward: Ward) -> None:
    await ward.prepared()
    session = ward.actor.station.session
    assert session is not None
    await until(lambda: ward.actor.is_at_rest)
    wish = await ward.records.complete(Prepare(None, "rx-1@1", "p-1"), at(0).wall_ms)
    assert wish.attestation == session.papers.attestation is not None
