"""Entries, a journal with what it reported, and a process of its own that keeps one: for the tests of the journal."""

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.journal import Journal
from safety.effects import Clearing, Closing, Entry, Opening, Permit, PermitRequest, Settlement, WishRecord
from safety.limits import HARD, Modality
from safety.messages import EntryKind, Latch, Now, Verb
from safety.verdict import Clear, Scope

POLICY = "p1"
"""The digest of the policy that these journals are written under."""
Until = Callable[[Callable[[], object]], Awaitable[None]]


def at(ms: int) -> Now:
    return Now(mono_ms=ms, wall_ms=1_700_000_000_000 + ms)


def wish(number: int, detail: str = "1 -1000") -> Entry:
    body = WishRecord(session="s-1", command=f"c-{number}", principal="p", verb=Verb.ADJUST, detail=detail)
    return Entry(number, EntryKind.WISH, body)


def opening(number: int, session: str = "s-1") -> Entry:
    body = Opening(session=session, rx="rx-1@1", rx_digest="ab", patient="p-1", principal="dr", policy=POLICY)
    return Entry(number, EntryKind.OPEN, body)


def permit(number: int, session: str, permit_id: int) -> Entry:
    body = PermitRequest(
        permit=Permit(permit_id, session, "ab", (), (), 1),
        session=session,
        patient="p-1",
        rx="rx-1@1",
        rx_digest="ab",
        modality=Modality.TENS,
        on_time_ms=1,
        probe=False,
        limits=HARD[Modality.TENS],
        channels=(),
    )
    return Entry(number, EntryKind.PERMIT, body)


def latch_of(number: int) -> Latch:
    return Latch(number, Scope.DEVICE, "M07", Clear.MAINTENANCE, "", 5)


def latch(number: int, latch_id: int | None = None) -> Entry:
    return Entry(number, EntryKind.LATCH, latch_of(latch_id or number))


def clearing(number: int, latch_id: int) -> Entry:
    return Entry(number, EntryKind.CLEAR, Clearing(latch=latch_of(latch_id), principal="bio", reason="looked at"))


def settling(number: int, session: str = "s-1") -> Entry:
    return Entry(number, EntryKind.SETTLE, Settlement(session=session, evidence="applied", charged=()))


def closing(number: int, session: str = "s-1") -> Entry:
    return Entry(number, EntryKind.CLOSE, Closing(session=session, outcome="completed", rule=""))


class Bench:
    """A journal with what it reported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.journal = self.open()

    def open(self, now: Now | None = None) -> Journal:
        self.journal = Journal.open(self.path, "ward3", POLICY, now or at(0), self.errors.append)
        return self.journal

    def append(self, entry: Entry, device: str = "dev1", ms: int | None = None) -> None:
        now = at(entry.id if ms is None else ms)
        self.journal.append(device, entry, now, lambda: self.done.append(entry.id))

    def rows(self) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.path) as reader:
            columns = "seq, device, entry, mono_ms, wall_ms, policy, kind, body"
            rows = reader.execute(f"SELECT {columns} FROM journal").fetchall()  # noqa: S608
        reader.close()
        return rows


def held(path: Path) -> sqlite3.Connection:
    """Take the database's write lock, so that no commit can get through until this connection is closed."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


CHILD = """
import asyncio, os, sys
from pathlib import Path
from controller.journal import Journal
from safety.effects import Entry, Opening, WishRecord
from safety.messages import EntryKind, Now, Verb

async def main():
    journal = Journal.open(Path(sys.argv[1]), "ward3", "p1", Now(0, 0), print)
    {body}

asyncio.run(main())
"""


async def child(path: Path, body: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD.format(body=body), path, stdout=asyncio.subprocess.PIPE
    )


async def lines_of(process: asyncio.subprocess.Process, count: int) -> list[str]:
    assert process.stdout is not None
    return [(await process.stdout.readline()).decode().strip() for _ in range(count)]
