"""The bench in real time: pty or memory on one side, the bench on the other, a timer for what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from hil.bench import Bench
from hil.clock import boottime_us
from hil.wire import Line


class Speaker(Protocol):
    """What sits at the device's end of a line; time comes in as an argument."""

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that the host sends now; gives the bytes that the host gets up to now."""

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives the bytes that the host gets."""

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""


S = TypeVar("S", bound=Speaker)


class OnLine(Generic[S]):
    """Runs a speaker on a line. Bytes are answered in the callback that reads them, the rest comes at its own time."""

    def __init__(self, speaker: S, line: Line, clock_us: Callable[[], int] = boottime_us) -> None:
        self.speaker = speaker
        self.line = line
        self._clock_us = clock_us
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Connect the line; needs a running event loop."""
        self.line.on_bytes = self._heard
        self.line.put()
        self.touch()

    def stop(self) -> None:
        """Take everything down."""
        if self._timer:
            self._timer.cancel()
        self.line.close()

    def touch(self) -> int:
        """Bring the bench up to now; gives the time."""
        now_us = self._clock_us()
        self._deliver(self.speaker.advance(now_us), now_us)
        return now_us

    def _heard(self, data: bytes) -> None:
        now_us = self._clock_us()
        self._deliver(self.speaker.receive(data, now_us), now_us)

    def _deliver(self, data: bytes, now_us: int) -> None:
        if data:
            self.line.write(data)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due_us = self.speaker.next_deadline_us()
        if due_us is not None:
            self._timer = asyncio.get_running_loop().call_later((due_us - now_us) / 1e6, self.touch)


class Emulator(OnLine[Bench]):
    """Runs a bench on a line."""

    @property
    def bench(self) -> Bench:
        """What it runs."""
        return self.speaker
