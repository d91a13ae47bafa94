"""A mistake of ours, planted anywhere in a station: the output stops, a lock stays, nothing arms by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from controller import programme
from controller import station as module
from controller.recorder import End, read_tape
from hil.devices.native_words import Fault
from safety import machine
from safety.messages import ArmSession, Asked, Check, Claim, Committed, Heard, Prepare, Start, Stop, Tick, Wish
from safety.state import Phase
from safety.verdict import Clear, Scope
from tests.controller.logbook import held
from tests.controller.peer import until
from tests.controller.ward import Ward, therapy
from tests.golden.native import layout

ENERGISING = {layout.ARM, layout.DRIVE, layout.FEED, layout.PROBE}


class PlantedError(Exception):
    """What the tests plant."""


def planted(*_: object, **__: object) -> NoReturn:
    raise PlantedError


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = Ward(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", (0.1, 0.3))


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, not printed: a trace with all its values takes longer than what is tested."""
    with capture_logs() as lines:
        yield lines


def stepping_over(patch: pytest.MonkeyPatch, word: type, times: int = 1) -> None:
    """Let the heart fail at the next words of a kind."""
    step, left = machine.step, [times]

    def bad(station: Any, event: Any, now: Any) -> machine.Step:  # noqa: ANN401 - the heart's own
        if isinstance(event, word) and left[0]:
            left[0] -= 1
            raise PlantedError
        return step(station, event, now)

    patch.setattr(machine, "step", bad)


def once(target: object, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Let one call of a method fail; the next ones work."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        real = getattr(target, name)
        called: list[bool] = []

        def bad(*args: object, **named: object) -> Any:  # noqa: ANN401 - whatever it is
            if called:
                return real(*args, **named)
            called.append(True)
            raise PlantedError

        patch.setattr(target, name, bad)

    return plant


def always(target: object, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Let every call of a method fail."""
    return lambda patch: patch.setattr(target, name, planted)


def driver_of(ward: Ward) -> object:
    return ward.actor._performer.driver


PLANTS: dict[str, Callable[[Ward], Callable[[pytest.MonkeyPatch], None]]] = {
    "the heart at a tick": lambda _: lambda patch: stepping_over(patch, Tick),
    "the heart at the device's word": lambda _: lambda patch: stepping_over(patch, Heard),
    "the heart at everything": lambda _: always(machine, "step"),
    "the programme": lambda _: once(programme, "picture"),
    "the programme, always": lambda _: always(programme, "picture"),
    "the rounding to the device's steps": lambda ward: once(driver_of(ward), "quantise"),
    "the performer": lambda ward: once(ward.actor._performer, "perform"),
    "the performer, always": lambda ward: always(ward.actor._performer, "perform"),
    "the driver": lambda ward: always(driver_of(ward), "send"),
    "the recorder": lambda ward: always(ward.actor._tape, "write"),
    "the audience of what flows": lambda ward: always(ward, "readback"),
    "the journal's clock": lambda ward: always(ward.journal, "unsynced_since_ms"),
    "the clock": lambda ward: once(ward.actor, "_clock"),
}


async def has_failed_safely(ward: Ward, frames: int) -> None:
    """It is off, locked, connected again, and nothing energising was sent after the stop."""
    await ward.is_off()
    await ward.reaches(Phase.IDLE)
    station = ward.actor.station
    assert (station.session, station.waiting, station.holder) == (None, None, None)
    locks = [latch for latch in station.latches if latch.rule == "SYS"]
    assert [(lock.scope, lock.clear) for lock in locks] == [(Scope.SESSION, Clear.ACK_QUALIFIED)]
    assert [latch for latch in ward.journal.facts("dev1").latches if latch.rule == "SYS"] == locks
    assert not ENERGISING & set(ward.types()[frames:])
    await ward.is_off()


async def stop_after(ward: Ward, frames: int) -> int:
    """Wait for the first stop after a moment, and say where on the line it is."""
    await until(lambda: layout.STOP in ward.types()[frames:])
    return frames + ward.types()[frames:].index(layout.STOP)


@pytest.mark.hazard("H11")
@pytest.mark.hazard("H40")
@pytest.mark.parametrize("plant", PLANTS)
async def test_it_stops_the_output_and_locks(ward: Ward, plant: str) -> None:
    await ward.running()
    seen = len(ward.types())
    with pytest.MonkeyPatch.context() as patch:
        PLANTS[plant](ward)(patch)
        stop = await stop_after(ward, seen)
        await ward.is_off()
    await has_failed_safely(ward, stop)
    rx = therapy()
    await ward.must(Claim())
    refused = await ward.ask(Prepare(rx, rx.ref, rx.patient))
    assert (refused.status, refused.code) == ("rejected", "FLT.LATCHED")
    await ward.turn_off()
    await ward.turn_on()
    await until(lambda: ward.actor.is_at_rest)
    assert sorted(latch.rule for latch in ward.actor.station.latches) == ["SYS", "X6"]
    ((_, reserved_nc, charged_nc, evidence),) = ward.charged()
    assert (charged_nc, evidence) == (reserved_nc, "reservation")
    await ward.reaches(Phase.IDLE)


@pytest.mark.hazard("H10")
async def test_the_stop_is_sent_and_the_driver_let_go_of_before_anything_else(ward: Ward) -> None:
    await ward.running()
    driver, done = ward.actor._performer.driver, list[str]()
    assert driver is not None
    silence = driver.silence

    def noted(*, cut: bool) -> None:
        done.append(f"silence {cut}")
        silence(cut=cut)

    def shown(*_: object) -> None:
        done.append(f"state {ward.actor._performer.driver}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "silence", noted)
        patch.setattr(ward, "state", shown)
        stepping_over(patch, Tick)
        ward.actor.tick()
        assert done == ["silence False", "state None"]
    await ward.is_off()


async def test_the_tape_of_a_failed_session_ends_there(ward: Ward) -> None:
    await ward.running()
    session, tape = ward.actor.station.session, ward.actor._tape
    assert session is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tape, "write", planted)
        await until(lambda: ward.events("alarm.raised"))
        await ward.reaches(Phase.IDLE)
    await until(lambda: not ward.actor._closing)
    *_, end = read_tape(ward.folder / "tapes" / f"{session.id}.ndjson")
    assert isinstance(end, End)
    assert len(ward.events("alarm.raised")) == 1


@pytest.mark.parametrize("name", ["state", "event", "answer"])
async def test_an_audience_that_fails_at_a_wish_stops_the_output_and_locks(ward: Ward, name: str) -> None:
    await ward.running()
    seen = len(ward.types())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ward, name, planted)
        ward.begin(Stop())
        stop = await stop_after(ward, seen)
        await ward.is_off()
        await asyncio.sleep(0.5)
    await has_failed_safely(ward, stop)


async def test_an_audience_that_fails_at_the_device_is_asked_again_and_again_at_intervals(ward: Ward) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ward, "device", planted)
        ward.emulator.line.pull()
        ward.emulator.line.put()
        opened = ward.opened
        await until(lambda: ward.opened >= opened + 4)
    await ward.reaches(Phase.IDLE)
    assert [kind for kind, _ in ward.kinds()] == ["latch"]
    assert [latch.rule for latch in ward.actor.station.latches] == ["SYS"]


@pytest.mark.hazard("H11")
async def test_a_failure_that_lasts_fills_neither_journal_nor_log(
    ward: Ward, logged: list[MutableMapping[str, Any]]
) -> None:
    await ward.running()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "step", planted)
        tried = ward.opened
        await until(lambda: ward.opened >= tried + 3)
    await ward.reaches(Phase.IDLE)
    assert [kind for kind, _ in ward.kinds()].count("latch") == 1
    assert [line["event"] for line in logged] == ["station.failed"]
    assert isinstance(logged[0]["exc_info"], PlantedError)


@pytest.mark.hazard("H11")
async def test_a_driver_that_cannot_even_stop_is_let_go_of_and_the_dead_man_ends_it(tmp_path: Path) -> None:
    ward = Ward(tmp_path, dead_man_ms=500)
    await ward.open()
    await ward.running()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver_of(ward), "silence", planted)
        stepping_over(patch, Tick)
        await until(lambda: any(latch.rule == "SYS" for latch in ward.actor.station.latches))
        seen = len(ward.types())
        await ward.is_off()
        assert not ENERGISING & set(ward.types()[seen:])
    assert Fault.DEAD_MAN in ward.bench.device.model.faults
    await ward.close()


async def test_without_a_session_it_locks_as_well(ward: Ward) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Tick)
        await until(lambda: ward.events("alarm.raised"))
    (alarm,) = ward.events("alarm.raised")
    assert (alarm.rule, alarm.code, alarm.priority) == ("SYS", "SYS.INTERNAL", "high")
    await until(ward.kinds)
    assert [kind for kind, _ in ward.kinds()] == ["latch"]
    await ward.reaches(Phase.IDLE)


async def test_a_lock_that_the_journal_does_not_take_stands_all_the_same(ward: Ward) -> None:
    await ward.running()
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Tick)
        patch.setattr(ward.journal, "append", planted)
        await ward.is_off()
    assert "SYS" in {latch.rule for latch in ward.actor.station.latches}
    await ward.reaches(Phase.IDLE)
    await ward.is_off()


# Who was waiting


@pytest.mark.parametrize("wish", [Check(()), ArmSession()])
async def test_who_asked_is_answered(ward: Ward, wish: Wish) -> None:
    await ward.prepared()
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Asked)
        answer = await ward.ask(wish)
    assert (answer.status, answer.code) == ("failed", "SYS.INTERNAL")
    assert [reason.rule for reason in answer.reasons] == ["SYS"]
    assert ward.actor.station.session is None


@pytest.mark.hazard("H31")
async def test_who_waited_for_the_journal_is_answered_and_what_it_then_commits_energises_nothing(ward: Ward) -> None:
    await ward.prepared()
    blocker = held(ward.folder / "journal.db")
    arm = ward.begin(ArmSession())
    await until(ward.charged)
    seen = len(ward.types())
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Tick)
        answer = await ward.final(arm)
    assert [said.status for said in ward.answers(arm)] == ["accepted", "failed"]
    assert answer.code == "SYS.INTERNAL"
    blocker.close()
    await until(lambda: ward.actor.is_at_rest)
    await has_failed_safely(ward, seen)
    ((_, reserved_nc, charged_nc, _),) = ward.charged()
    assert charged_nc == reserved_nc


@pytest.mark.hazard("H31")
async def test_ids_go_on_so_that_nothing_late_is_taken_for_something_new(ward: Ward) -> None:
    """A rise is with the ledger while the station fails: its id lies far above all that the journal knows."""
    await ward.running()
    await until(lambda: ward.pulses()[-1].first_ua == 20_000)
    failed = ward.actor.station
    assert failed.tally.next_id > ward.journal.facts("dev1").next_id + 5
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Tick)
        await until(lambda: ward.actor.station.session is None)
    now = ward.actor.station
    assert now.tally.next_id > failed.tally.next_id
    assert now.tally.version > failed.tally.version
    assert min(latch.id for latch in now.latches) >= failed.tally.next_id
    await ward.is_off()
    seen = len(ward.types())
    for entry in range(failed.tally.next_id):
        ward.actor.post(Committed(entry))
    await has_failed_safely(ward, seen)


async def test_a_ledger_that_breaks_stops_the_station(ward: Ward) -> None:
    await ward.prepared()
    gate = threading.Event()

    def judge(*_: object) -> NoReturn:
        gate.wait()
        raise PlantedError

    ward.ledger._admit = judge
    arm = ward.begin(ArmSession())
    gate.set()
    answer = await ward.final(arm)
    assert (answer.status, answer.code) == ("failed", "SYS.INTERNAL")
    await has_failed_safely(ward, len(ward.types()))
    assert layout.ARM not in ward.types()


async def test_other_stations_go_on(ward: Ward, tmp_path: Path) -> None:
    """Failing is one station's own affair: the task that keeps it going does not end."""
    await ward.running()
    with pytest.MonkeyPatch.context() as patch:
        stepping_over(patch, Tick, times=3)
        await ward.is_off()
    assert not ward._running.done()
    await ward.reaches(Phase.IDLE)
    answer = await ward.ask(Start())
    assert (answer.status, answer.code) == ("rejected", "SES.STATE")
