"""The bytes of ScienceMode 2, on the device's side: RehaStim2 "Description and Protocol" 1.24.

    frame = F0 | 81 crc^55 | 81 length^55 | body | 0F
    body  = number | command | data, each byte that is F0, 0F or 81 sent as 81 byte^55

CRC-8 and length are those of the body as it is sent, escapes included. The two header figures are escaped whatever
they are, so a raw F0, 0F or 81 may stand behind an 81 inside a whole frame: the byte after an 81 is never a delimiter.
"""

from __future__ import annotations

from typing import NamedTuple

START, STOP, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55

LONGEST_FRAME = 69
HEAD = 5
"""Start byte and the two escaped figures."""

_ESCAPED = frozenset((START, STOP, ESCAPE))


class Frame(NamedTuple):
    """What stood between two delimiters; one that is not sound tells its number and command as they arrived."""

    number: int
    command: int
    data: bytes
    is_sound: bool = True


def crc8(data: bytes) -> int:
    """CRC-8/SMBUS: polynomial 0x07, initial value 0, not reflected, no final XOR."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def stuff(body: bytes) -> bytes:
    """The body as it is sent: no delimiter and no lone escape byte in it."""
    return b"".join(bytes((ESCAPE, byte ^ KEY)) if byte in _ESCAPED else bytes((byte,)) for byte in body)


def unstuff(stuffed: bytes) -> bytes:
    """The body as it is meant, whatever bytes were escaped; some hosts escape more than they need."""
    rest = iter(stuffed)
    # The receiver lets no escape byte end a body: there is always a next one.
    return bytes(next(rest) ^ KEY if byte == ESCAPE else byte for byte in rest)


def encode(number: int, command: int, data: bytes = b"") -> bytes:
    """A frame of the device."""
    body = stuff(bytes((number, command)) + data)
    return bytes((START, ESCAPE, crc8(body) ^ KEY, ESCAPE, len(body) ^ KEY)) + body + bytes((STOP,))


class Deframer:
    """Bytes in, frames out; holds at most one frame, whatever arrives, and counts the bytes that belong to none."""

    def __init__(self) -> None:
        self.noise = 0
        self._held = bytearray()
        self._is_escaped = False

    def push(self, data: bytes) -> list[Frame]:
        """Frames that are whole now, in order, damaged ones among them."""
        return [frame for byte in data if (frame := self._take(byte))]

    def _take(self, byte: int) -> Frame | None:
        if self._is_escaped:
            self._is_escaped = False
        elif byte == START:
            self.noise += len(self._held)
            self._held.clear()
        elif self._held:
            self._is_escaped = byte == ESCAPE
            if byte == STOP:
                return self._ended()
        else:
            self.noise += 1
            return None
        self._held.append(byte)
        if len(self._held) == LONGEST_FRAME:
            self._search_again()
        return None

    def _ended(self) -> Frame | None:
        raw = bytes(self._held)
        self._held.clear()
        stuffed = raw[HEAD:]
        body = unstuff(stuffed) if raw[1:2] == raw[3:4] == bytes((ESCAPE,)) else b""
        if len(body) < 2:
            self.noise += len(raw) + 1
            return None
        is_sound = (raw[2] ^ KEY, raw[4] ^ KEY) == (crc8(stuffed), len(stuffed))
        return Frame(body[0], body[1], body[2:], is_sound)

    def _search_again(self) -> None:
        """No frame is that long: its start was none. The next one may be, even where it was taken for escaped."""
        at = self._held.find(START, 1)
        dropped = at if at > 0 else len(self._held)
        self.noise += dropped
        del self._held[:dropped]
        self._is_escaped = self._is_escaped and bool(self._held)
