"""A scripted RehaStim2 at the far end of a real pty. It makes and reads its frames by itself, not by our codec."""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import Callable, Collection

from tests.controller.peer import Pty

INIT, INIT_ACK, UNKNOWN, MODE, LIST, START, STOP, PULSE, ERROR = 1, 2, 3, 10, 30, 32, 34, 36, 38
SWITCH, ELECTRODE, MODULE = -1, -2, -3
AT_START, INITIALISED, STARTED = 0, 1, 2
ENERGISING = {LIST, START, PULSE}

Frame = tuple[int, int, bytes]
"""Command, number, data."""


def crc8(body: bytes) -> int:
    """CRC-8/SMBUS by long division, bit by bit."""
    rest = 0
    for bit in ((byte >> place) & 1 for byte in [*body, 0] for place in range(7, -1, -1)):
        rest = rest << 1 | bit
        if rest & 0x100:
            rest ^= 0x107
    return rest


def sealed(plain: bytes, also: Collection[int] = ()) -> bytes:
    """A frame around number, command and data; `also` are bytes to escape besides the three."""
    marked = {0xF0, 0x0F, 0x81, *also}
    body = b"".join(bytes([0x81, byte ^ 0x55]) if byte in marked else bytes([byte]) for byte in plain)
    return bytes([0xF0, 0x81, crc8(body) ^ 0x55, 0x81, len(body) ^ 0x55, *body, 0x0F])


def frame(command: int, number: int, *data: int) -> bytes:
    """A frame with these signed or unsigned bytes as its data."""
    return sealed(bytes([number, command, *(value & 0xFF for value in data)]))


def body_of(data: bytes) -> bytes:
    """Number, command and data of a sound frame."""
    assert (data[0], data[1], data[3], data[-1]) == (0xF0, 0x81, 0x81, 0x0F)
    body = data[5:-1]
    assert (data[2] ^ 0x55, data[4] ^ 0x55) == (crc8(body), len(body))
    plain, rest = bytearray(), deque(body)
    while rest:
        byte = rest.popleft()
        assert byte not in {0xF0, 0x0F}
        plain.append(rest.popleft() ^ 0x55 if byte == 0x81 else byte)
    return bytes(plain)


class RehaStim(Pty):
    """A device that answers like a good one, or as `says[command]` tells it; `tape` is what it understood.

    `begins` tells that it was just switched on: it says Init, again after each `again_s`, and hears nothing else.
    """

    def __init__(self, *, begins: bool = False, again_s: float = 0.05) -> None:
        super().__init__()
        self.mode, self.own = AT_START, 0
        self.list: tuple[int, int] = (0, 0)
        self.says: dict[int, Callable[[Frame], list[bytes]]] = {}
        self.tape: list[Frame] = []
        self.ignored: list[Frame] = []
        self.damaged = 0
        self.again_s = again_s
        self.waits = False
        self.version = 1
        if begins:
            self.begin()

    def begin(self) -> None:
        """Switched on, or its watchdog has acted."""
        self.mode, self.waits = AT_START, True
        self.repeat()

    def repeat(self) -> None:
        if self.waits and self.far >= 0:
            self.say(frame(INIT, self.own, self.version))
            self.own = (self.own + 1) % 256
            asyncio.get_running_loop().call_later(self.again_s, self.repeat)

    def mute(self, *commands: int) -> list[Frame]:
        """Answer no frame of these commands; gives the frames that come, as they come."""
        kept: list[Frame] = []

        def keep(asked: Frame) -> list[bytes]:
            kept.append(asked)
            return []

        self.says |= dict.fromkeys(commands, keep)
        return kept

    def commands(self) -> list[int]:
        return [command for command, _, _ in self.tape]

    def heard(self, data: bytes) -> None:
        self.got += data
        while (found := self.cut()) is not None:
            if not found:
                self.damaged += 1
                continue
            one = (found[1], found[0], found[2:])
            if self.waits and one[0] != INIT_ACK:
                self.ignored.append(one)
                continue
            self.tape.append(one)
            self.say(*self.says.get(one[0], self.answer)(one))

    def cut(self) -> bytes | None:
        """The next frame's body, empty where it is damaged; None where nothing has ended yet."""
        begun, blind = -1, False
        for at, byte in enumerate(self.got):
            if begun >= 0 and blind:
                blind = False
            elif byte == 0xF0:
                begun = at
            elif begun >= 0 and byte == 0x81:
                blind = True
            elif begun >= 0 and byte == 0x0F:
                chunk = bytes(self.got[begun : at + 1])
                del self.got[: at + 1]
                try:
                    return body_of(chunk)
                except (AssertionError, IndexError):
                    return b""
        return None

    def say(self, *frames: bytes) -> None:
        """Send; how is up to the kind of line."""
        for one in frames:
            os.write(self.far, one)

    def fails(self, fault: int) -> None:
        """Stop by itself, and say why."""
        self.mode = AT_START
        self.say(frame(ERROR, self.own, fault))
        self.own = (self.own + 1) % 256

    def answer(self, asked: Frame) -> list[bytes]:
        command, number, load = asked
        if command == INIT_ACK:
            self.waits = self.waits and load != b"\x00"
            return []
        if command == MODE:
            return [frame(MODE + 1, number, 0, self.mode)]
        right = {LIST: (AT_START,), START: (INITIALISED, STARTED), STOP: (AT_START, INITIALISED, STARTED)}
        if command not in right:
            return [frame(UNKNOWN, number, command)]
        if self.mode not in right[command]:
            return [frame(command + 1, number, -3)]
        self.mode = {LIST: INITIALISED, START: STARTED, STOP: AT_START}[command]
        return [frame(command + 1, number, 0)]


class Bytewise(RehaStim):
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


class Delayed(RehaStim):
    """What it says comes 30 ms late, in order."""

    def say(self, *frames: bytes) -> None:
        asyncio.get_running_loop().call_later(0.03, self.late, b"".join(frames))

    def late(self, data: bytes) -> None:
        if self.far >= 0:
            os.write(self.far, data)


class Lossy(RehaStim):
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
