"""A serial cable in memory: each byte takes the time that its bits take, each way by itself.

A chunk arrives when its last bit has. What a host has written and then throws away is cut at the byte that is on the
wire just then. All that happens to the host happens in the context in which it opened its end.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import NamedTuple

OnBytes = Callable[[bytes], None]
OnLost = Callable[[str], None]


class Pace(NamedTuple):
    """How fast a line is; `bits` a byte: 10 with one start, eight data and one stop bit."""

    baud: int
    bits: int = 10

    def takes_us(self, length: int) -> int:
        """How long so many bytes take, rounded up."""
        return -(-length * self.bits * 1_000_000 // self.baud)

    def sends(self, us: int) -> int:
        """How many bytes are gone or on the wire after so long."""
        return -(-us * self.baud // (self.bits * 1_000_000))


class Flight(NamedTuple):
    """A chunk on its way since `begin_us`."""

    begin_us: int
    data: bytes
    landing: asyncio.TimerHandle


class Lane:
    """One direction of a cable; needs a running event loop."""

    def __init__(self, pace: Pace, deliver: OnBytes, context: Context) -> None:
        self._pace = pace
        self._deliver = deliver
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._flights: deque[Flight] = deque()
        self._free_us = 0

    @property
    def is_busy(self) -> bool:
        """True while something is on its way."""
        return bool(self._flights)

    def put(self, data: bytes) -> None:
        """Send bytes behind what is on its way."""
        now_us = self._now_us()
        begin_us = max(now_us, self._free_us)
        self._send(begin_us, data)

    def discard(self) -> None:
        """Throw away what is not on the wire yet."""
        now_us = self._now_us()
        flights, self._flights, self._free_us = self._flights, deque(), 0
        for begin_us, data, landing in flights:
            landing.cancel()
            if begin_us < now_us:
                self._send(begin_us, data[: self._pace.sends(now_us - begin_us)])

    def lose(self) -> None:
        """Let nothing that is on its way arrive."""
        for flight in self._flights:
            flight.landing.cancel()
        self._flights.clear()
        self._free_us = 0

    def _send(self, begin_us: int, data: bytes) -> None:
        self._free_us = begin_us + self._pace.takes_us(len(data))
        after_s = (self._free_us - self._now_us()) / 1_000_000
        self._flights.append(Flight(begin_us, data, self._loop.call_later(after_s, self._land, context=self._context)))

    def _land(self) -> None:
        self._deliver(self._flights.popleft().data)

    def _now_us(self) -> int:
        return round(self._loop.time() * 1_000_000)


class HostEnd:
    """A host's end of a cable, open until it is closed or the cable is pulled."""

    def __init__(self, to_device: Lane, pace: Pace, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self.context = copy_context()
        self.inbound = Lane(pace, on_bytes, self.context)
        self.on_lost = on_lost
        self.is_open = True
        self._to_device = to_device

    def write(self, data: bytes) -> None:
        """Hand bytes over; raises OSError when the line is gone."""
        if not self.is_open:
            raise OSError(errno.EIO, "the line is gone")
        self._to_device.put(data)

    def discard(self) -> None:
        """Throw away what is not on the wire yet."""
        if self.is_open:
            self._to_device.discard()

    def lose(self) -> None:
        """Let nothing of what was handed over arrive."""
        if self.is_open:
            self._to_device.lose()

    def close(self) -> None:
        """Release the line; what was handed over is still sent."""
        self.is_open = False
        self.inbound.lose()


class Cable:
    """The line: a `wire.Line` for the emulator, and `open` for one host at a time; needs a running event loop."""

    def __init__(self, pace: Pace) -> None:
        self.on_bytes: OnBytes = _unheard
        self.is_up = False
        self.to_device = Lane(pace, self._at_device, copy_context())
        self.host: HostEnd | None = None
        self._pace = pace

    def open(self, on_bytes: OnBytes, on_lost: OnLost) -> HostEnd:
        """Open the host's end; raises OSError where it is pulled, or open already."""
        if not self.is_up:
            raise OSError(errno.ENOENT, "nothing is plugged in")
        if self.host is not None and self.host.is_open:
            raise OSError(errno.EBUSY, "it is open already")
        self.host = HostEnd(self.to_device, self._pace, on_bytes, on_lost)
        return self.host

    def write(self, data: bytes) -> None:
        """Send bytes to the host; where none listens they are lost."""
        if self.host is not None and self.host.is_open:
            self.host.inbound.put(data)

    def put(self) -> None:
        """Connect the line."""
        self.is_up = True

    def pull(self) -> None:
        """Take the line away; nothing that is on its way arrives, and the host hears of it once."""
        self.is_up = False
        self.to_device.lose()
        if self.host is not None and self.host.is_open:
            self.host.close()
            asyncio.get_running_loop().call_soon(self.host.on_lost, "it was hung up", context=self.host.context)

    close = pull

    def _at_device(self, data: bytes) -> None:
        self.on_bytes(data)


def _unheard(_: bytes) -> None:
    pass
