"""A scripted P24, and frames written out once more: it shares no code with the codec that it is used to judge."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from controller.link import LinkError
from tests.controller.peer import Pty

DEVICE_ID, VERSION, STATUS = 52, 68, 62
LOW_INIT, LOW_PULSE, LOW_STOP = 0, 2, 4
MID_INIT, MID_UPDATE, MID_STOP, CURRENT_DATA = 30, 32, 34, 36
GENERAL_ERROR, UNKNOWN_COMMAND = 66, 67
ENERGISING = {LOW_INIT, LOW_PULSE, MID_INIT, MID_UPDATE, CURRENT_DATA}
CONNECT = [STATUS, DEVICE_ID, VERSION]
NOTHING, LOW, MID, RUNNING = range(4)


class Frame(NamedTuple):
    number: int
    command: int
    payload: bytes


def crc(data: bytes) -> int:
    """CRC-16/XMODEM, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def frame(number: int, command: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    body = bytes([number << 2 | command >> 8, command & 255]) + payload
    for special in (0x81, 0xF0, 0x0F):
        body = body.replace(bytes([special]), bytes([0x81, special ^ 0x55]))
    length = len(body) + 10
    head = [
        0x81,
        length >> 8 ^ 0x55,
        0x81,
        length & 255 ^ 0x55,
        0x81,
        crc(body) >> 8 ^ 0x55,
        0x81,
        crc(body) & 255 ^ 0x55,
    ]
    return bytes([0xF0, *head]) + body + b"\x0f"


def opened(piece: bytes) -> Frame | None:
    """What a frame says; None where it is none."""
    if len(piece) < 12 or piece[1::2][:4] != b"\x81" * 4 or piece[-1] != 0x0F:
        return None
    length, check = ((piece[at] ^ 0x55) << 8 | piece[at + 2] ^ 0x55 for at in (2, 6))
    escaped = piece[9:-1]
    if length != len(piece) or check != crc(escaped):
        return None
    body, pieces = bytearray(), iter(escaped)
    for byte in pieces:
        body.append(next(pieces) ^ 0x55 if byte == 0x81 else byte)
    return Frame(body[0] >> 2, (body[0] & 3) << 8 | body[1], bytes(body[2:]))


def cut(held: bytearray) -> list[bytes]:
    """Take whole pieces out of what was received, as the document's little state machine does."""
    pieces, at, start = [], 0, -1
    while at < len(held):
        if start < 0:
            start = at if held[at] == 0xF0 else -1
        elif held[at] == 0x81:
            at += 1
        elif held[at] == 0xF0:
            start = at
        elif held[at] == 0x0F:
            pieces.append(bytes(held[start : at + 1]))
            start = -1
        at += 1
    del held[: start if start >= 0 else len(held)]
    return pieces


class P24:
    """A device that answers like a good one, or as `says[command]` tells it; `tape` is what it understood."""

    def __init__(self, **other: Any) -> None:  # noqa: ANN401 - bytes and integers
        self.id: bytes = other.get("id", b"EMU0000001")
        self.version: bytes = other.get("version", bytes([0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 1, 1]))
        self.level: int = other.get("level", NOTHING)
        self.active = 0
        self.faults: dict[int, int] = {}
        self.measure = 0
        self.ohm = 1_500
        self.says: dict[int, Callable[[Frame], list[bytes]]] = {}
        self.tape: list[Frame] = []
        self.damaged = 0
        self._held = bytearray()

    def commands(self) -> list[int]:
        return [command for _, command, _ in self.tape]

    def mute(self, *commands: int) -> list[Frame]:
        """Answer no frame of these commands; gives the frames that come, as they come."""
        kept: list[Frame] = []

        def keep(asked: Frame) -> list[bytes]:
            kept.append(asked)
            return []

        self.says |= dict.fromkeys(commands, keep)
        return kept

    def refuse(self, command: int, result: int) -> None:
        self.says[command] = lambda asked: [self.ack(asked, bytes([result]))]

    def takes(self, data: bytes) -> list[bytes]:
        """Take bytes; gives what the device says to them."""
        self._held += data
        said: list[bytes] = []
        for piece in cut(self._held):
            asked = opened(piece)
            if asked is None:
                self.damaged += 1
                continue
            self.tape.append(asked)
            said += self.says.get(asked.command, self.answer)(asked)
        return said

    def ack(self, asked: Frame, payload: bytes) -> bytes:
        return frame(asked.number, asked.command + 1, payload)

    def answer(self, asked: Frame) -> list[bytes]:
        payload = b"\0"
        match asked.command:
            case 52:
                payload += self.id
            case 68:
                payload = self.version
            case 62:
                payload = bytes([0, self.level, 1 if self.level == NOTHING else 6])
            case 0 if self.level in {NOTHING, LOW}:
                self.level, self.measure = LOW, asked.payload[0] >> 4
            case 2 if self.level == LOW:
                payload = self.pulse(asked)
            case 30 if self.level in {NOTHING, MID}:
                self.level, self.active = MID, 0
            case 32 if self.level in {MID, RUNNING}:
                self.active = asked.payload[0]
                self.level = RUNNING if self.active else MID
            case 36 if self.level in {MID, RUNNING}:
                payload = self.data()
            case 4 | 34:
                self.level, self.active = NOTHING, 0
            case _:
                payload = b"\7"
        return [self.ack(asked, payload)]

    def data(self, **other: int) -> bytes:
        nibbles = [self.faults.get(channel, 0) for channel in range(1, 9)]
        four = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
        return bytes([other.get("result", 0), 4, other.get("active", self.active)]) + four

    def pulse(self, asked: Frame) -> bytes:
        """The samples of a test pulse, every 5 us: they grow through a phase, and the second is all nines."""
        place, width_us = asked.payload[0], int.from_bytes(asked.payload[1:5], "big") >> 20
        ua = ((int.from_bytes(asked.payload[1:5], "big") >> 10 & 1023) - 300) * 500
        per_sample = {1: ua // 10, 2: ua * self.ohm // 10_000}[self.measure]
        end = width_us // 5
        samples = [per_sample if n >= end - 3 else per_sample // 2 for n in range(end)] + [9_999] * 128
        return bytes([0, (place >> 4 & 1) << 4 | place >> 5 & 3, self.measure, 0, 5]) + b"".join(
            value.to_bytes(2, "big") for value in samples[:128]
        )


class MemoryLine:
    """A line to a scripted device, without a kernel: what the device says comes on the next turn of the loop."""

    def __init__(self, device: P24) -> None:
        self.device = device
        self.written: list[bytes] = []
        self.discards = 0
        self.is_held = False
        """What is written waits here, and a discard throws it away."""
        self.waiting = bytearray()
        self.gone = ""
        self.closed = False
        self.received: Callable[[bytes], None]
        self.lost: Callable[[str], None]

    def write(self, data: bytes) -> None:
        if self.gone or self.closed:
            raise LinkError("LINK.LOST", self.gone)
        self.written.append(data)
        self.waiting += data
        if not self.is_held:
            self.release()

    def release(self) -> None:
        data = bytes(self.waiting)
        self.waiting.clear()
        self.say(*self.device.takes(data))

    def say(self, *frames: bytes) -> None:
        for one in frames:
            asyncio.get_running_loop().call_soon(self._deliver, one)

    def _deliver(self, data: bytes) -> None:
        if not (self.gone or self.closed):
            self.received(data)

    def discard(self) -> None:
        self.discards += 1
        self.waiting.clear()

    def drop(self, why: str) -> None:
        if not self.gone:
            self.gone = why
            asyncio.get_running_loop().call_soon(self.lost, f"line: the line is lost: {why}")

    async def close(self) -> None:
        self.closed = True


class PtyP24(Pty):
    """A scripted device on a real pty."""

    def __init__(self, device: P24) -> None:
        self.device = device
        super().__init__()

    def heard(self, data: bytes) -> None:
        self.say(self.device.takes(data))

    def say(self, frames: Iterable[bytes]) -> None:
        for one in frames:
            os.write(self.far, one)
