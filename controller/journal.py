"""What was decided and permitted: append-only, chained, and durable before anyone is told that it is.

One worker writes, and all that waits goes into one transaction, in the order in which it was asked for. A commit that
fails is tried again until it succeeds: nothing is lost, nothing overtakes, nothing is told to be done before it is.
"""

import asyncio
import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from safety.effects import Entry
from safety.messages import EntryKind, Now
from safety.units import is_whole

from .chain import ANSWERS_KEPT_MS, Draft, JournalCorruptError, JournalError, JournalFile, Remembered
from .entries import body_json, read_entry
from .facts import TELLING, BootFacts, Standing
from .host import Thread, Worker
from .words import WordError

CAPACITY = 4096
"""Items that may wait for the disk (engineering default: more than a ward writes in the second before M32 stops it)."""
STOP_RESERVE = 1024
"""Places that only STOPLIKE entries may take, so that a flood of wishes cannot keep a stop out of the journal."""
STOPLIKE = frozenset({EntryKind.LATCH, EntryKind.SETTLE, EntryKind.CLOSE})
RETRY_S = 0.1
LARGEST = 2**63 - 1
"""The largest integer that SQLite keeps."""


class JournalFullError(JournalError):
    """Too much waits for the disk: this was not taken."""


class Item(NamedTuple):
    """What waits for the disk, since when, and who wants to know that it is there."""

    record: Draft | Remembered
    mono_ms: int
    done: Callable[[], None] | None


class Journal:
    """The journal of one instance. Its methods belong to the event loop, and none of them waits for the disk."""

    def __init__(self, file: JournalFile, on_error: Callable[[Exception], None], worker: Worker) -> None:
        self.is_new = file.is_new
        self._file = file
        self._on_error = on_error
        self._standing: defaultdict[str, Standing] = defaultdict(Standing)
        self._answers: dict[tuple[str, str], Remembered] = {}
        self._queue: deque[Item] = deque()
        self._changed = asyncio.Event()
        self._is_closing = False
        self._worker = worker
        self._writing: asyncio.Task[None]

    @classmethod
    def open(
        cls,
        path: Path,
        instance: str,
        policy: str,
        now: Now,
        on_error: Callable[[Exception], None],
        worker: Callable[[str], Worker] = Thread,
    ) -> Self:
        """Open or make the file, check its whole chain, and start to write; needs a running event loop.

        Every row bears the digest of the site's `policy` (X2).
        `on_error` is called on the loop when commits begin to fail. Raises JournalInUseError where another process has
        the file, JournalCorruptError where it is not as it was written, else JournalError where it cannot be used.
        """
        journal = cls(JournalFile(path, instance, policy, now), on_error, worker("journal"))
        try:
            journal._recall_all(now)
        except JournalError:
            journal._file.close()
            raise
        journal._writing = asyncio.create_task(journal._write_and_close(), name="journal")
        return journal

    def _recall_all(self, now: Now) -> None:
        for row in self._file.replay():
            try:
                body = read_entry(row.entry, row.kind, row.body).body if row.kind in TELLING else None
            except WordError as error:
                raise JournalCorruptError(row.seq, str(error)) from error
            self._standing[row.device].add(row.entry, body)
        for answer in self._file.answers(now.wall_ms - ANSWERS_KEPT_MS):
            self._answers[answer.principal, answer.command_id] = answer

    def append(self, device: str, entry: Entry, now: Now, done: Callable[[], None] | None = None) -> None:
        """Write an entry; `done` is called on the loop when it is durable.

        Raises JournalFullError where too much waits, ValueError for what cannot be written, JournalError after close.
        """
        policy, kind = self._file.policy, entry.kind.value
        draft = Draft(device, entry.id, now.mono_ms, now.wall_ms, policy, kind, body_json(entry))
        self._put(draft, now, done, CAPACITY if entry.kind in STOPLIKE else CAPACITY - STOP_RESERVE)
        self._standing[device].add(entry.id, entry.body)

    def unsynced_since_ms(self) -> int | None:
        """Give the boot-clock time in ms of the oldest item that is not durable yet."""
        return self._queue[0].mono_ms if self._queue else None

    def facts(self, device: str) -> BootFacts:
        """Add up the device's entries, with those that are not durable yet."""
        return self._standing[device].facts()

    def remember(self, principal: str, command_id: str, digest: str, answer_json: str | None, now: Now) -> None:
        """Keep a command's answer for 24 h; None says that the command has begun.

        Raises ValueError for an id that was used for another digest or begun before, and else what append raises.
        """
        known = self._answers.get((principal, command_id))
        if known is not None and (known.digest != digest or answer_json is None):
            raise ValueError(f"{principal} has used the command id {command_id} before")
        answer = Remembered(principal, command_id, digest, answer_json, now.wall_ms)
        self._put(answer, now, None, CAPACITY - STOP_RESERVE)
        self._forget(now.wall_ms - ANSWERS_KEPT_MS)
        self._answers.pop((principal, command_id), None)
        self._answers[principal, command_id] = answer

    def recall(self, principal: str, command_id: str) -> tuple[str, str | None] | None:
        """Give digest and answer of a command of the last 24 h; the answer is None while it has only begun."""
        known = self._answers.get((principal, command_id))
        return None if known is None else (known.digest, known.answer)

    def unanswered(self) -> tuple[tuple[str, str], ...]:
        """List principal and id of the commands that have begun and have no answer: after a start, SYS.RESTARTED."""
        return tuple(key for key, known in self._answers.items() if known.answer is None)

    def _forget(self, before_wall_ms: int) -> None:
        # Insertion order is order of time, so the oldest are the first.
        while self._answers and next(iter(self._answers.values())).wall_ms < before_wall_ms:
            del self._answers[next(iter(self._answers))]

    def _put(self, record: Draft | Remembered, now: Now, done: Callable[[], None] | None, places: int) -> None:
        # What the database cannot keep must fail here: in the writer it would hold up all that follows.
        for field in (*now, *record):
            if isinstance(field, str):
                field.encode()
            elif field is not None and not is_whole(field, 0, LARGEST):
                raise ValueError(f"{field!r} in {record} is out of range")
        if self._is_closing:
            raise JournalError("the journal is closed")
        if len(self._queue) >= places:
            raise JournalFullError(f"{len(self._queue)} items wait for the disk")
        self._queue.append(Item(record, now.mono_ms, done))
        self._changed.set()

    async def close(self) -> None:
        """Write what waits and close the file; what a last try cannot write is told to on_error."""
        self._is_closing = True
        self._changed.set()
        await self._writing
        if self._queue:
            self._on_error(JournalError(f"{len(self._queue)} items were never written"))

    def abandon(self) -> None:
        """Let go of the file as a process does that dies: what waits is lost."""
        self._file.close()

    async def _write_and_close(self) -> None:
        try:
            await self._write_all()
        finally:
            await self._worker.do(self._file.close)

    async def _write_all(self) -> None:
        is_failing = False
        while batch := await self._next(RETRY_S if is_failing else 0):
            try:
                await self._worker.do(self._file.write, [item.record for item in batch])
            except (sqlite3.Error, OSError, JournalError) as error:
                if not is_failing:
                    asyncio.get_running_loop().call_soon(self._on_error, error)
                if self._is_closing:
                    return
                is_failing = True
                continue
            is_failing = False
            for item in batch:
                self._queue.popleft()
                if item.done is not None:
                    asyncio.get_running_loop().call_soon(item.done)

    async def _next(self, pause_s: float) -> list[Item]:
        """Wait for something to write; nothing is left only when the journal closes."""
        self._changed.clear()
        if pause_s and not self._is_closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()
        while not self._queue and not self._is_closing:
            self._changed.clear()
            await self._changed.wait()
        return list(self._queue)
