"""What the frames of a tape are called, and where they begin and end, for each kind of device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from hil.devices import sciencemode2_frames, sciencemode2_words, sciencemode4_frames, sciencemode4_words
from hil.devices.native_frames import unstuff
from hil.tape import Chunk, Direction
from hil.way import Place, delimited, zero_ended

NATIVE = {
    0x01: "HELLO", 0x02: "ARM", 0x03: "DRIVE", 0x04: "FEED", 0x05: "STOP", 0x06: "PROBE", 0x07: "ASK", 0x08: "CUT",
    0x09: "SELFTEST", 0x81: "IDENTITY", 0x82: "STATUS", 0x83: "PROBED", 0x84: "SELFTESTED", 0x8E: "EVENT", 0x8F: "NAK",
}  # fmt: skip
"""Types of docs/native-protocol.md section 3 and 4."""


class Unit(NamedTuple):
    """A frame, bytes between frames, or a chunk where the kind of device is not known.

    `at_us` is the time of its last byte, `offset` the place of its first one among all bytes of its direction.
    """

    at_us: int
    direction: Direction
    offset: int
    data: bytes
    name: str


class Speech(NamedTuple):
    """How a kind of device speaks."""

    place: Callable[[], Place]
    name: Callable[[bytes], str]


def _native(frame: bytes) -> str:
    body = unstuff(frame[:-1])
    return NATIVE.get(body[0], f"type {body[0]:#04x}") if body else "damaged"


def _sciencemode4(frame: bytes) -> str:
    for found in sciencemode4_frames.Receiver().push(frame):
        if isinstance(found, sciencemode4_frames.Frame):
            return _commanded(found.command, sciencemode4_words.Command)
    return "damaged"


def _sciencemode2(frame: bytes) -> str:
    for found in sciencemode2_frames.Deframer().push(frame):
        if found.is_sound:
            return _commanded(found.command, sciencemode2_words.Command)
    return "damaged"


def _commanded(number: int, commands: type[sciencemode2_words.Command | sciencemode4_words.Command]) -> str:
    with suppress(ValueError):
        return commands(number).name
    with suppress(ValueError):
        return f"{commands(number - 1).name} answer"
    return f"command {number}"


SPEECH = {
    "native": Speech(zero_ended, _native),
    "sciencemode4": Speech(delimited, _sciencemode4),
    "sciencemode2": Speech(delimited, _sciencemode2),
}


def units(chunks: Iterable[Chunk], direction: Direction, kind: str | None) -> list[Unit]:
    """One direction of a tape, cut into frames where the kind of device is known."""
    speech = SPEECH.get(kind or "")
    found: list[Unit] = []
    held, offset, last_us = bytearray(), 0, 0

    def end(at_us: int, *, is_frame: bool) -> None:
        nonlocal offset
        if held:
            data = bytes(held)
            name = speech.name(data) if speech and is_frame else "bytes"
            found.append(Unit(at_us, direction, offset, data, name))
            offset += len(data)
            held.clear()

    place = speech.place() if speech else None
    for at_us, _, data in (chunk for chunk in chunks if chunk.direction == direction):
        if place is None:
            held += data
            end(at_us, is_frame=False)
            continue
        for byte in data:
            spot = place(byte)
            if spot.at == 0:
                end(last_us, is_frame=False)
            held.append(byte)
            last_us = at_us
            if spot.is_last:
                end(at_us, is_frame=True)
    end(last_us, is_frame=False)
    return found
