"""Framing of ScienceMode 2 (SCIENCEMODE.md 0 and B1), without I/O: bytes in, frames out, and back.

    idle        F0: collecting; anything else is noise
    collecting  81: the next byte is taken blindly, it is never a delimiter
                F0: what was collected is dropped, and collecting begins anew
                0F: the frame is complete
                more than 69 bytes: the first one is dropped, and the search begins again behind it

Check sum and length in the head are always escaped, so raw delimiters do stand inside sound frames: nothing may be cut
at them by sight. Whatever arrives is either a frame or a flaw: no bytes can raise.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from safety.messages import Flaw

from .sciencemode2_frames import OF_ITS_OWN, Frame, HostFrame, Kinds

BEGIN, END, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
MARKED = frozenset((BEGIN, END, ESCAPE))
"""The bytes that a sender escapes in a body; a receiver takes any byte escaped."""

LONGEST = 69
HEAD = 5
SHORTEST = HEAD + 2 + 1
"""A head, the two bytes of number and command, and the end."""
BODY = struct.Struct(">BB")


class Received(NamedTuple):
    """A frame that can be used."""

    number: int
    frame: Frame


class Flawed(NamedTuple):
    """A frame that cannot be used: DAMAGED, or sound and UNKNOWN; `number` where it surely names a command."""

    flaw: Flaw
    number: int | None
    what: str


class Receiver:
    """Cuts a stream of bytes into frames; `kinds` are those of the far side. Holds at most one frame's bytes."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._held = bytearray()
        self._escaped = False
        self._noisy = False

    def feed(self, data: Iterable[int]) -> list[Received | Flawed]:
        """Take bytes; give what ended in them, in order."""
        found: list[Received | Flawed] = []
        for byte in data:
            if self._held:
                self._collect(byte, found)
            elif byte == BEGIN:
                self._held.append(byte)
                self._noisy = False
            elif not self._noisy:
                self._noisy = True
                found.append(Flawed(Flaw.DAMAGED, None, f"0x{byte:02x} between frames"))
        return found

    def _collect(self, byte: int, found: list[Received | Flawed]) -> None:
        held = self._held
        if byte == BEGIN and not self._escaped:
            found.append(Flawed(Flaw.DAMAGED, None, f"a frame that ends after {len(held)} bytes"))
            del held[1:]
            return
        held.append(byte)
        if len(held) > LONGEST:
            found.append(Flawed(Flaw.DAMAGED, None, f"more than {LONGEST} bytes without an end"))
            again = bytes(held[1:])
            held.clear()
            self._escaped, self._noisy = False, True
            found += self.feed(again)
        elif byte == END and not self._escaped:
            found.append(decode(bytes(held), self._kinds))
            held.clear()
        else:
            self._escaped = byte == ESCAPE and not self._escaped


def encode(number: int, frame: HostFrame) -> bytes:
    """Write a whole frame. Raises struct.error for a number that does not fit its field."""
    body = escaped(BODY.pack(number, frame.NUMBER) + frame.to_data())
    return bytes((BEGIN, ESCAPE, check_sum(body) ^ KEY, ESCAPE, len(body) ^ KEY)) + body + bytes((END,))


def decode(chunk: bytes, kinds: Kinds) -> Received | Flawed:
    """Read the bytes from one delimiter to the other."""
    if len(chunk) < SHORTEST or chunk[1] != ESCAPE or chunk[3] != ESCAPE:
        return Flawed(Flaw.DAMAGED, None, f"{len(chunk)} bytes that are no frame")
    told_sum, told_length, body = chunk[2] ^ KEY, chunk[4] ^ KEY, chunk[HEAD:-1]
    if len(body) != told_length:
        return Flawed(Flaw.DAMAGED, None, f"{len(body)} bytes in a frame of {told_length}")
    if check_sum(body) != told_sum:
        return Flawed(Flaw.DAMAGED, None, f"wrong check sum in a frame of {len(body)} bytes")
    plain = unescaped(body)
    if len(plain) < BODY.size:
        return Flawed(Flaw.DAMAGED, None, "a frame without a command")
    number, command = BODY.unpack_from(plain)
    if command not in kinds:
        return Flawed(Flaw.UNKNOWN, number, f"the unknown command {command}")
    kind = kinds[command]
    try:
        return Received(number, kind.from_data(plain[BODY.size :]))
    except (struct.error, ValueError) as error:
        return Flawed(Flaw.UNKNOWN, None if kind in OF_ITS_OWN else number, f"{kind.__name__}: {error}")


def escaped(body: bytes) -> bytes:
    """Take the three marked bytes out of a body."""
    out = bytearray()
    for byte in body:
        out += bytes((ESCAPE, byte ^ KEY)) if byte in MARKED else bytes((byte,))
    return bytes(out)


def unescaped(body: bytes) -> bytes:
    """Put the escaped bytes back; a body never ends in an escape, for the receiver takes the byte behind it as well."""
    out, bytes_in = bytearray(), iter(body)
    for byte in bytes_in:
        out.append(next(bytes_in) ^ KEY if byte == ESCAPE else byte)
    return bytes(out)


def check_sum(body: bytes) -> int:
    """CRC-8 with the polynomial 0x07, from 0, neither reflected nor inverted (CRC-8/SMBUS)."""
    crc = 0
    for byte in body:
        crc = TABLE[crc ^ byte]
    return crc


def shifted(byte: int) -> int:
    """Divide one byte by the polynomial."""
    for _ in range(8):
        byte = (byte << 1 ^ 0x07) & 0xFF if byte & 0x80 else byte << 1
    return byte


TABLE = bytes(shifted(byte) for byte in range(256))
