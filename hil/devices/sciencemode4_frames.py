"""The frames of ScienceMode 4 on the device's side: what a receiver must do, byte by byte.

A frame is F0, the length (two bytes), the CRC (two bytes), the body, 0F. The four header bytes are always escaped, the
body where it must be. An escaped byte may look like a delimiter, so that the byte behind an escape is taken blindly:

    idle       F0 -> collecting
    collecting 81 -> take the next byte, whatever it is
               F0 -> drop what was collected, start anew
               0F -> the frame is complete: header, length, CRC
               more than the longest frame -> drop one byte, search again
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import NamedTuple

START, STOP, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
SHORTEST, LONGEST = 12, 1_200
HEAD = 9
"""Bytes before the body: the start, and four escaped ones."""

COMMANDS = 1_024
NUMBERS = 64


class Frame(NamedTuple):
    """What a sound frame holds."""

    number: int
    command: int
    payload: bytes = b""


class Damaged(NamedTuple):
    """A frame that has the form of one, and a wrong length or CRC; `number` is None where it could not be read."""

    number: int | None


def escaped(data: bytes) -> bytes:
    """A body as it travels: only what could be taken for a delimiter or an escape is escaped."""
    out = bytearray()
    for byte in data:
        out += bytes((ESCAPE, byte ^ KEY)) if byte in {START, STOP, ESCAPE} else bytes((byte,))
    return bytes(out)


def unescaped(data: bytes) -> bytes:
    """A body without its escapes, whatever was escaped in it."""
    out = bytearray()
    is_escaped = False
    for byte in data:
        if byte == ESCAPE and not is_escaped:
            is_escaped = True
        else:
            out.append(byte ^ KEY if is_escaped else byte)
            is_escaped = False
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """A frame as it travels."""
    body = escaped((frame.number << 10 | frame.command).to_bytes(2, "big") + frame.payload)
    # CRC-16/XMODEM over the escaped body.
    head = (HEAD + len(body) + 1).to_bytes(2, "big") + crc_hqx(body, 0).to_bytes(2, "big")
    return bytes((START, *(part for byte in head for part in (ESCAPE, byte ^ KEY)))) + body + bytes((STOP,))


class Receiver:
    """Bytes in, frames out; it holds at most one frame, and counts the bytes that belong to none."""

    def __init__(self) -> None:
        self.noise = 0
        self._held = bytearray()
        self._is_blind = False

    def push(self, data: bytes) -> list[Frame | Damaged]:
        """Frames that are complete now, in order."""
        found: list[Frame | Damaged] = []
        for byte in data:
            if got := self._take(byte):
                found.append(got)
            elif len(self._held) > LONGEST:
                found += self._search_again()
        return found

    def _take(self, byte: int) -> Frame | Damaged | None:
        if byte == START and not self._is_blind:
            self._drop()
            self._held.append(byte)
            return None
        if not self._held:
            self.noise += 1
            return None
        self._held.append(byte)
        is_end = byte == STOP and not self._is_blind and len(self._held) <= LONGEST
        self._is_blind = byte == ESCAPE and not self._is_blind
        if not is_end:
            return None
        got = _checked(bytes(self._held))
        if got is None:
            self._drop()
        self._held.clear()
        return got

    def _drop(self) -> None:
        self.noise += len(self._held)
        self._held.clear()
        self._is_blind = False

    def _search_again(self) -> list[Frame | Damaged]:
        # A start that was taken blindly may be a true one: an escape byte of noise stood before it.
        rest = bytes(self._held)
        self._held.clear()
        self._is_blind = False
        at = rest.find(bytes((START, ESCAPE)), 1)
        self.noise += at if at > 0 else len(rest)
        return self.push(rest[at:]) if at > 0 else []


def _checked(whole: bytes) -> Frame | Damaged | None:
    if len(whole) < SHORTEST or any(whole[at] != ESCAPE for at in range(1, HEAD, 2)):
        return None
    length, crc = (int.from_bytes(bytes(whole[at] ^ KEY for at in pair), "big") for pair in ((2, 4), (6, 8)))
    if length != len(whole):
        return Damaged(None)
    body = unescaped(whole[HEAD:-1])
    if len(body) < 2:
        return Damaged(None)
    prefix = int.from_bytes(body[:2], "big")
    number, command = prefix >> 10, prefix % COMMANDS
    if crc != crc_hqx(whole[HEAD:-1], 0):
        return Damaged(number)
    return Frame(number, command, body[2:])
