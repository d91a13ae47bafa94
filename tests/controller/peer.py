"""A scripted native device at the far end of a real pty; its frames come from the golden generator, not our codec."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import tty
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from cobs import cobs

from tests.golden.native.layout import (
    ARM,
    CUT,
    DRIVE,
    FEED,
    HELLO,
    IDENTITY,
    PROBE,
    PROBED,
    SELFTEST,
    SELFTESTED,
    STATUS,
    STOP,
    block,
    frame,
)

Frame = tuple[int, int, bytes]
"""Type, seq, payload."""

DEVICE = {
    "protocol_major": 1,
    "protocol_minor": 0,
    "model": "peer-2",
    "serial": "0001",
    "firmware": "1.0.0",
    "flags": 0b1111111,
    "channels": 2,
    "max_ua": 100_000,
    "step_ua": 500,
    "min_width_us": 50,
    "max_width_us": 500,
    "width_step_us": 10,
    "min_period_us": 8_334,
    "max_period_us": 1_000_000,
    "period_step_us": 1,
    "compliance_mv": 150_000,
    "dead_man_ms": 500,
    "accuracy_ppm": 20_000,
    "boot": 4,
}


async def until(condition: Callable[[], object], seconds: float = 40) -> None:
    """Wait for something to become true; a slow machine gets most of the time that a test has."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the kernel or another process makes it true
            await asyncio.sleep(0.002)


def read_frame(chunk: bytes) -> Frame | None:
    """Read what stands between two zeros, by the third-party decoder."""
    try:
        body = cobs.decode(chunk)
    except cobs.DecodeError:
        return None
    if len(body) < 6 or struct.unpack("<I", body[-4:])[0] != zlib.crc32(body[:-4]):
        return None
    return body[0], body[1], body[2:-4]


class Pty:
    """A raw pty: `port` is for the code under test, the far end is read here, into `got`, and written."""

    def __init__(self) -> None:
        # A descriptor of the near end stays open, so that the far end is not hung up while nobody has the port open.
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        os.set_blocking(self.far, False)
        self.port = os.ttyname(self.near)
        self.got = bytearray()
        self.listen()

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(self.far, self._readable)

    def ignore(self) -> None:
        """Take nothing from the line any more, so that it fills up."""
        asyncio.get_running_loop().remove_reader(self.far)

    def _readable(self) -> None:
        try:
            data = os.read(self.far, 65_536)
        except OSError:
            return
        self.heard(data)

    def heard(self, data: bytes) -> None:
        self.got += data

    def hang_up(self) -> None:
        """Pull the plug: the near end sees its line end."""
        if self.far >= 0:
            self.ignore()
            os.close(self.far)
            os.close(self.near)
            self.far = -1


class Peer(Pty):
    """A device that answers like a good one, or as `says[type]` tells it; `tape` is what it understood."""

    def __init__(self, **identity: int | str) -> None:
        super().__init__()
        self.identity: dict[str, Any] = {**DEVICE, **identity}
        self.state, self.permit, self.grant = 0, 0, 0
        self.says: dict[int, Callable[[Frame], list[bytes]]] = {}
        self.tape: list[Frame] = []
        self.damaged = 0

    def mute(self, *types: int) -> list[Frame]:
        """Answer no frame of these types; gives the frames that come, as they come."""
        kept: list[Frame] = []

        def keep(asked: Frame) -> list[bytes]:
            kept.append(asked)
            return []

        self.says |= dict.fromkeys(types, keep)
        return kept

    def types(self) -> list[int]:
        return [type_ for type_, _, _ in self.tape]

    def heard(self, data: bytes) -> None:
        self.got += data
        *ended, rest = bytes(self.got).split(b"\0")
        self.got[:] = rest
        for chunk in filter(None, ended):
            one = read_frame(chunk)
            if one is None:
                self.damaged += 1
                continue
            self.tape.append(one)
            self.say(*self.says.get(one[0], self.answer)(one))

    def say(self, *frames: bytes) -> None:
        """Send; how is up to the kind of line."""
        for one in frames:
            os.write(self.far, one)

    def answer(self, asked: Frame) -> list[bytes]:
        type_, seq, load = asked
        if type_ == HELLO:
            return [frame(IDENTITY, seq, **self.identity)]
        if type_ == PROBE:
            return [frame(PROBED, seq, channel=load[8], ohm=1_562, measured_ua=1_000, flags=8)]
        if type_ == SELFTEST:
            return [frame(SELFTESTED, seq, result=0)]
        if type_ == ARM:
            self.permit, self.grant = struct.unpack_from("<I", load)[0], 0
        if type_ in {DRIVE, FEED}:
            self.grant = struct.unpack_from("<I", load, 4)[0]
        self.state = {STOP: 0, ARM: 1, DRIVE: 2, CUT: 3}.get(type_, self.state)
        return [self.status(seq)]

    def status(self, seq: int, **other: Any) -> bytes:  # noqa: ANN401 - integers and rows
        fields = {
            "boot": self.identity["boot"],
            "uptime_ms": 61_250,
            "frames": len(self.tape),
            "errors": self.damaged,
            "state": self.state,
            "faults": 0,
            "button": 0,
            "supply_mv": 12_040,
            "permit": self.permit,
            "grant": self.grant,
            "fed_ago_ms": 0,
            "channels_status": [block(channel) for channel in range(1, self.identity["channels"] + 1)],
        }
        return frame(STATUS, seq, **{**fields, **other})


class Bytewise(Peer):
    """What it says comes a byte at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[int] = deque()

    def say(self, *frames: bytes) -> None:
        idle = not self.queue
        self.queue.extend(b"".join(frames))
        if idle:
            self.step()

    def step(self) -> None:
        if self.queue and self.far >= 0:
            os.write(self.far, bytes([self.queue.popleft()]))
            asyncio.get_running_loop().call_soon(self.step)


class Delayed(Peer):
    """What it says comes 30 ms late, in order."""

    def say(self, *frames: bytes) -> None:
        asyncio.get_running_loop().call_later(0.03, self.late, b"".join(frames))

    def late(self, data: bytes) -> None:
        if self.far >= 0:
            os.write(self.far, data)


class Lossy(Peer):
    """One frame in five is lost on either way: wholly, or by one byte in it."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(20)  # noqa: S311 - chance, no secret
        self.losses = 0

    def worn(self, data: bytes) -> bytes:
        if self.random.random() >= 0.2:
            return data
        self.losses += 1
        at = self.random.randrange(len(data))
        return self.random.choice([b"", data[:at] + data[at + 1 :]])

    def say(self, *frames: bytes) -> None:
        super().say(*map(self.worn, frames))

    def heard(self, data: bytes) -> None:
        super().heard(self.worn(data))
