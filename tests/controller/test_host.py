"""What the service takes from its computer: a worker that blocks nobody; what it makes of a disk that takes nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.host import HOST, Thread
from controller.journal import Journal
from controller.recorder import Recorder
from controller.records import Records
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.papers import Papers
from controller.store.tables import LedgerUnavailableError
from controller.virtual import Log, MemoryLine
from safety.admit import admit
from safety.messages import WELL, Prepare, Tick
from safety.waveform import OFF
from tests.controller.logbook import POLICY, Until, at, wish


class Full:
    """A worker on a disk that is full, until it is well."""

    is_well = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def do(self, call: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - as any worker
        await asyncio.sleep(0)
        if not self.is_well:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args)


async def test_a_thread_gives_results_and_errors_one_call_after_the_other_and_blocks_nobody() -> None:
    worker, gate, said = Thread("test"), threading.Event(), list[str]()

    def waits() -> str:
        gate.wait()
        said.append("first")
        return threading.current_thread().name

    def fails() -> None:
        said.append("second")
        raise KeyError("planted")

    first, second = asyncio.create_task(worker.do(waits)), asyncio.create_task(worker.do(fails))
    await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    assert (await first).startswith("test")
    with pytest.raises(KeyError, match="planted"):
        await second
    assert said == ["first", "second"]


def test_this_computer_gives_no_word_twice() -> None:
    words = {HOST.token() for _ in range(100)}
    assert len(words) == 100
    assert {len(word) for word in words} == {8}


@pytest.mark.hazard("H39")
async def test_a_full_disk_makes_the_ledger_unavailable_and_fails_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path, admit, may_create=True, worker=Full)
    records = Records(Clinic(path), Papers(path), ledger, Full)
    for asked in (
        ledger.token("p-1", "dev1"),
        ledger.open_sessions("dev1"),
        records.complete(Prepare(None, "rx-1@1", "p-1"), 0),
    ):
        with pytest.raises(LedgerUnavailableError, match="No space left"):
            await asked


@pytest.mark.hazard("H39")
async def test_a_full_disk_holds_the_journal_up_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    errors: list[Exception] = []
    done: list[int] = []
    journal = Journal.open(tmp_path / "journal.db", "ward3", POLICY, at(0), errors.append, Full)
    journal.append("dev1", wish(1), at(1), lambda: done.append(1))
    await until(lambda: errors)
    assert (done, journal.unsynced_since_ms()) == ([], 1)
    monkeypatch.setattr(Full, "is_well", True)
    journal.append("dev1", wish(2), at(2), lambda: done.append(2))
    await until(lambda: len(done) == 2)
    assert (done, journal.unsynced_since_ms(), len(errors)) == ([1, 2], None, 1)
    await journal.close()


async def test_a_journal_that_is_abandoned_has_let_go_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    dead = Journal.open(path, "ward3", POLICY, at(0), print)
    dead.abandon()
    journal = Journal.open(path, "ward3", POLICY, at(0), print)
    await journal.close()
    await dead.close()


@pytest.mark.hazard("H39")
async def test_a_full_disk_costs_a_tape_its_moments_and_nothing_else(tmp_path: Path) -> None:
    errors: list[Exception] = []
    tape = Recorder(tmp_path, errors.append, Full).begin("dev1", "s-1")
    tape.write(at(1), Tick(OFF, 0, WELL), ())
    recording = await tape.close()
    assert (recording.moments, recording.dropped, len(errors)) == (0, 1, 1)


# What a world in memory gives is known by the tests under tests/virtual; here its edges


class Wire:
    """A serial port that notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data.decode())

    def discard(self) -> None:
        self.done.append("discard")

    def close(self) -> None:
        self.done.append("close")


async def test_a_line_that_is_given_up_on_purpose_is_reported_once_and_one_that_is_closed_never() -> None:
    for closes in (False, True):
        lost: list[str] = []
        line, line_end = MemoryLine("bed1", lost.append), Wire()
        line.serial = line_end
        line.write(b"stop")
        line.discard()
        line.drop("given up")
        if closes:
            await line.close()
        assert lost == []
        await asyncio.sleep(0)
        assert lost == ([] if closes else ["bed1: the line is lost: given up"])
        assert line_end.done == ["stop", "discard", "close", "close"][: 4 if closes else 3]


def test_outside_of_any_world_a_log_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Log().warning("a line")
    assert capsys.readouterr().out == "a line\n"
