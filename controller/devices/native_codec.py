"""Framing of the native serial protocol (docs/native-protocol.md), without I/O: bytes in, frames out, and back.

Whatever arrives is either a frame or a flaw: no bytes can raise.
"""

import struct
import zlib
from typing import NamedTuple

from safety.messages import Flaw

from .native_frames import DeviceFrame, Event, HostFrame, Kinds

LONGEST_BODY = 512
LONGEST_CHUNK = 515
"""What stuffing makes of the longest body, without the delimiter."""

HEAD = struct.Struct("<BB")
CRC = struct.Struct("<I")
FULL_BLOCK = 254


class Received(NamedTuple):
    """A frame that can be used."""

    seq: int
    frame: HostFrame | DeviceFrame


class Flawed(NamedTuple):
    """A frame that cannot be used: DAMAGED, or sound and UNKNOWN; `seq` where it can be trusted to name a request."""

    flaw: Flaw
    seq: int | None
    what: str


class Receiver:
    """Cuts a stream of bytes into frames; `kinds` are those of the far side. Holds at most one frame's bytes."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._held = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Received | Flawed]:
        """Take bytes; give what ended in them, in order."""
        found: list[Received | Flawed] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._hold(piece, found)
            if self._held:
                found.append(decode(bytes(self._held), self._kinds))
            self._held.clear()
            self._skipping = False
        self._hold(rest, found)
        return found

    def _hold(self, piece: bytes, found: list[Received | Flawed]) -> None:
        if self._skipping:
            return
        self._held += piece
        if len(self._held) > LONGEST_CHUNK:
            self._held.clear()
            self._skipping = True
            found.append(Flawed(Flaw.DAMAGED, None, f"more than {LONGEST_CHUNK} bytes without an end"))


def encode(seq: int, frame: HostFrame) -> bytes:
    """Write a whole frame with its delimiter. Raises struct.error for a number that does not fit its field."""
    head = HEAD.pack(frame.TYPE, seq) + frame.to_payload()
    return stuffed(head + CRC.pack(zlib.crc32(head))) + b"\0"


def decode(chunk: bytes, kinds: Kinds) -> Received | Flawed:
    """Read the bytes between two delimiters."""
    body = unstuffed(chunk)
    if body is None or not HEAD.size + CRC.size <= len(body) <= LONGEST_BODY:
        return Flawed(Flaw.DAMAGED, None, f"{len(chunk)} bytes that are no frame")
    head, crc = body[: -CRC.size], body[-CRC.size :]
    if CRC.pack(zlib.crc32(head)) != crc:
        return Flawed(Flaw.DAMAGED, None, f"wrong check sum in a frame of {len(body)} bytes")
    number, seq = HEAD.unpack_from(head)
    if number not in kinds:
        return Flawed(Flaw.UNKNOWN, seq, f"frame of the unknown type 0x{number:02x}")
    kind = kinds[number]
    try:
        return Received(seq, kind.from_payload(head[HEAD.size :]))
    except (struct.error, ValueError) as error:
        # An EVENT answers nothing: its seq is the device's own.
        return Flawed(Flaw.UNKNOWN, None if kind is Event else seq, f"{kind.__name__.upper()}: {error}")


def stuffed(body: bytes) -> bytes:
    """Take the zeros out of a body (consistent-overhead byte stuffing)."""
    out = bytearray()
    for piece in body.split(b"\0"):
        at = 0
        while len(piece) - at >= FULL_BLOCK:
            out += b"\xff" + piece[at : at + FULL_BLOCK]
            at += FULL_BLOCK
        out.append(len(piece) - at + 1)
        out += piece[at:]
    return bytes(out)


def unstuffed(chunk: bytes) -> bytes | None:
    """Put the zeros back; None where a zero is still there, or the blocks do not fit the chunk."""
    if 0 in chunk:
        return None
    body = bytearray()
    at = 0
    while at < len(chunk):
        code = chunk[at]
        end = at + code
        if end > len(chunk):
            return None
        body += chunk[at + 1 : end]
        at = end
        if code <= FULL_BLOCK and at < len(chunk):
            body.append(0)
    return bytes(body)
