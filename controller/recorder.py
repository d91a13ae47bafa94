"""The flight recorder: every event of a session and what the heart answered, in the order in which it happened.

A tape is a file of JSON lines, written behind the station's back and never synced: what does not fit or cannot be
written is dropped, and the tape says how much and where. Nothing here raises into the station.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import quote

from safety.effects import Effect
from safety.messages import Event, Now
from safety.state import Station

from .host import Thread, Worker
from .words import WordError, dumps, form, loads

SCHEMA = 2
BATCH = 64
"""Lines that make a write worth its while: some 3 s of one device's ticks."""
CAPACITY = 4096
"""Lines that may wait for the disk (engineering default: 3 minutes of one device's ticks)."""
LARGEST_BYTES = 256 * 2**20
"""Where a tape ends (engineering default: the longest session takes a tenth of it)."""


class Begin(NamedTuple):
    """The first line; `station` is what stood before the first moment, from which `step` can play the tape again."""

    schema: int
    device: str
    session: str
    station: Station | None = None


class Moment(NamedTuple):
    """An event, and the effects of the step that it caused."""

    now: Now
    event: Event
    effects: tuple[Effect, ...]


class Gap(NamedTuple):
    """Here so many moments are missing."""

    dropped: int


class End(NamedTuple):
    """The last line: how many moments are on the tape, and how many are missing in all."""

    moments: int
    dropped: int


Line = Begin | Moment | Gap | End
LINE = form(Line, named=False)


class Recording(NamedTuple):
    """A tape that is done: its file's name and SHA-256, how many moments it holds, and how many it lacks."""

    name: str
    digest: str
    moments: int
    dropped: int


def line_of(line: Line) -> bytes:
    """Write one line. Raises WordError for a word that has no form."""
    return dumps(LINE.write(line)).encode() + b"\n"


def read_tape(path: Path) -> Iterator[Line]:
    """Read a tape line by line. Raises WordError at a line that no recorder wrote, as the last one after a crash."""
    with path.open(encoding="ascii") as tape:
        for text in tape:
            yield cast("Line", LINE.read(loads(text)))


class TapeFile:
    """The file of a tape, in the hands of the worker. After an error it holds what it held before."""

    def __init__(self, path: Path, begin: Begin) -> None:
        self.path = path
        self._begin = line_of(begin)
        self._descriptor: int | None = None
        self._size = 0
        self._hash = sha256()

    def write(self, lines: list[bytes]) -> None:
        """Add lines at the end, all or none. Raises OSError."""
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        data = b"".join(lines if self._size else [self._begin, *lines])
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], self._size + written)
        self._size += written
        self._hash.update(data)

    def close(self) -> None:
        """Cut off what a failed write left behind, and close. Raises OSError."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.ftruncate(descriptor, self._size)
            os.close(descriptor)

    def digest(self) -> str:
        """Give the SHA-256 of the file."""
        return self._hash.hexdigest()


class Tape:
    """The recording of one session. Its methods belong to the event loop; none waits for the disk, none raises."""

    def __init__(self, file: TapeFile, worker: Worker, on_error: Callable[[Exception], None]) -> None:
        self._file = file
        self._worker = worker
        self._on_error = on_error
        self._is_reported = False
        self._waiting: list[bytes | Gap] = []
        self._room = LARGEST_BYTES
        self._moments = 0
        self._dropped = 0
        self._flushing: asyncio.Task[None] | None = None

    def write(self, now: Now, event: Event, effects: tuple[Effect, ...]) -> None:
        """Record an event and what the step answered; drop it where there is no room."""
        try:
            line = line_of(Moment(now, event, effects))
        except WordError as error:
            self._report(error)
            self._drop()
            return
        if len(self._waiting) >= CAPACITY or len(line) > self._room:
            self._drop()
            return
        self._room -= len(line)
        self._waiting.append(line)
        if len(self._waiting) >= BATCH and (self._flushing is None or self._flushing.done()):
            self._flushing = asyncio.create_task(self._flush())

    async def close(self) -> Recording:
        """Write what waits, end the tape, and say what it holds."""
        if self._flushing is not None:
            await self._flushing
        await self._flush()
        # After a failure a gap still waits.
        end = End(self._moments, self._dropped)
        await self._do(
            self._file.write, [line_of(line) for line in (*self._waiting, end) if not isinstance(line, bytes)]
        )
        await self._do(self._file.close)
        return Recording(self._file.path.name, self._file.digest(), self._moments, self._dropped)

    async def _flush(self) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        moments = sum(isinstance(line, bytes) for line in batch)
        lines = [line if isinstance(line, bytes) else line_of(line) for line in batch]
        if await self._do(self._file.write, lines):
            self._moments += moments
        else:
            self._dropped += moments
            gaps = sum(line.dropped for line in batch if isinstance(line, Gap))
            self._waiting.insert(0, Gap(gaps + moments))

    async def _do(self, call: Callable[..., None], *args: object) -> bool:
        try:
            await self._worker.do(call, *args)
        except OSError as error:
            self._report(error)
            return False
        return True

    def _drop(self) -> None:
        self._dropped += 1
        if self._waiting and isinstance(gap := self._waiting[-1], Gap):
            self._waiting[-1] = Gap(gap.dropped + 1)
        else:
            self._waiting.append(Gap(1))

    def _report(self, error: Exception) -> None:
        if not self._is_reported:
            self._is_reported = True
            self._on_error(error)


class Recorder:
    """The recorder of all devices of an instance."""

    def __init__(
        self, directory: Path, on_error: Callable[[Exception], None], worker: Callable[[str], Worker] = Thread
    ) -> None:
        """Keep tapes in `directory`; `on_error` is called on the loop with the first error of each tape."""
        self._directory = directory
        self._on_error = on_error
        self._worker = worker("recorder")

    def begin(self, device: str, session: str, before: Station | None = None) -> Tape:
        """Begin the tape of a session, from what the station was before it.

        The file is named after the session and made with the first line.
        """
        path = self._directory / f"{quote(session, safe='')}.ndjson"
        return Tape(TapeFile(path, Begin(SCHEMA, device, session, before)), self._worker, self._on_error)
