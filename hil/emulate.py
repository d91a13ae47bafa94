"""The bench in real time: pty or memory on one side, the bench on the other, a timer for what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hil.bench import Bench
from hil.clock import boottime_us
from hil.wire import Line


class Emulator:
    """Runs a bench on a line. Frames are answered in the callback that reads them; pulses happen at their own times."""

    def __init__(self, bench: Bench, line: Line, clock_us: Callable[[], int] = boottime_us) -> None:
        self.bench = bench
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
        self._deliver(self.bench.advance(now_us), now_us)
        return now_us

    def _heard(self, data: bytes) -> None:
        now_us = self._clock_us()
        self._deliver(self.bench.receive(data, now_us), now_us)

    def _deliver(self, data: bytes, now_us: int) -> None:
        if data:
            self.line.write(data)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due_us = self.bench.next_deadline_us()
        if due_us is not None:
            self._timer = asyncio.get_running_loop().call_later((due_us - now_us) / 1e6, self.touch)
