"""Framing of ScienceMode 4, without I/O: bytes in, packets out, and back.

A frame is F0, its whole length, a CRC-16/XMODEM of the escaped body, the escaped body, 0F. The body begins with the
packet's number (6 bits) and its command (10 bits). In the body F0, 0F and 81 are sent as 81 and the byte XOR 55; the
four bytes of length and CRC always are, so that raw delimiters do occur behind an 81: the byte after an 81 is never
one. Whatever arrives is either a packet or a flaw: no bytes can raise.
"""

from binascii import crc_hqx
from typing import NamedTuple

START, STOP, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
SHORTEST, LONGEST = 12, 1_200
"""A frame with its delimiters and escapes."""
BODY_AT, HEAD = 9, 2
NUMBERS, COMMANDS = 64, 1_024


class Packet(NamedTuple):
    """What a frame carries."""

    number: int
    command: int
    payload: bytes


class Damaged(NamedTuple):
    """Bytes that are no frame."""

    what: str


class Receiver:
    """Cuts a stream of bytes into packets. Holds at most one frame's bytes."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._escaped = False
        self._astray = False

    def feed(self, data: bytes) -> list[Packet | Damaged]:
        """Take bytes; give what ended in them, in order. Damage is told once, where it begins or is found."""
        found: list[Packet | Damaged] = []
        for byte in data:
            if self._held:
                self._collect(byte, found)
            elif byte == START:
                self._begin(b"\xf0")
            elif not self._astray:
                self._astray = True
                found.append(Damaged("bytes outside of a frame"))
        return found

    def _begin(self, held: bytes) -> None:
        self._held[:] = held
        # A run of escapes escape each other; what came before it does not matter.
        self._escaped = (len(held) - len(held.rstrip(b"\x81"))) % 2 == 1
        self._astray = False

    def _collect(self, byte: int, found: list[Packet | Damaged]) -> None:
        if byte == START and not self._escaped:
            if len(self._held) > 1:
                found.append(Damaged(f"a frame was cut off after {len(self._held)} bytes"))
            self._begin(b"\xf0")
            return
        self._held.append(byte)
        ends = byte == STOP and not self._escaped
        self._escaped = byte == ESCAPE and not self._escaped
        if ends:
            found += pieces_of(bytes(self._held))
            self._held.clear()
            self._astray = isinstance(found[-1], Damaged)
        elif len(self._held) >= LONGEST:
            found.append(Damaged(f"{LONGEST} bytes without an end"))
            held, at = bytes(self._held), self._held.find(START, 1)
            while at > 0 and not may_begin(held[at:]):
                at = held.find(START, at + 1)
            self._held.clear()
            self._astray = True
            if at > 0:
                self._begin(held[at:])


def encode(packet: Packet) -> bytes:
    """Write a frame. Raises ValueError for what does not fit one."""
    number, command, payload = packet
    if not (0 <= number < NUMBERS and 0 <= command < COMMANDS):
        raise ValueError(f"packet {number}, command {command}")
    body = escaped((number << 10 | command).to_bytes(2, "big") + payload)
    length = BODY_AT + len(body) + 1
    if length > LONGEST:
        raise ValueError(f"a frame of {length} bytes")
    return bytes((START, *always(length), *always(crc_hqx(body, 0)), *body, STOP))


def pieces_of(frame: bytes) -> list[Packet | Damaged]:
    """Read the bytes from a start to an end; where they are no frame, one may still have begun inside."""
    packet = packet_of(frame)
    if packet is not None:
        return [packet]
    found: list[Packet | Damaged] = [Damaged(f"{len(frame)} bytes that are no frame")]
    at = frame.find(START, 1)
    while at > 0:
        packet = packet_of(frame[at:])
        if packet is not None:
            return [*found, packet]
        at = frame.find(START, at + 1)
    return found


def packet_of(frame: bytes) -> Packet | None:
    """Read a whole frame; None where its length, its escapes or its CRC is wrong."""
    if not (SHORTEST <= len(frame) <= LONGEST) or length_of(frame) != len(frame):
        return None
    escaped_body = frame[BODY_AT:-1]
    if frame[5] != ESCAPE or frame[7] != ESCAPE or bytes((frame[6] ^ KEY, frame[8] ^ KEY)) != crc(escaped_body):
        return None
    body = unescaped(escaped_body)
    if body is None or len(body) < HEAD:
        return None
    head = int.from_bytes(body[:2], "big")
    return Packet(head >> 10, head & (COMMANDS - 1), body[2:])


def may_begin(piece: bytes) -> bool:
    """Tell whether these bytes, from a start on, may be the first of a frame that goes on behind them."""
    return len(piece) < BODY_AT or (len(piece) < length_of(piece) <= LONGEST)


def length_of(frame: bytes) -> int:
    """Read the length that a frame gives itself; 0 where it is not written as it must be."""
    if frame[1] != ESCAPE or frame[3] != ESCAPE:
        return 0
    return (frame[2] ^ KEY) << 8 | frame[4] ^ KEY


def crc(escaped_body: bytes) -> bytes:
    """CRC-16/XMODEM: polynomial 1021, from 0, not reflected."""
    return crc_hqx(escaped_body, 0).to_bytes(2, "big")


def always(number: int) -> tuple[int, int, int, int]:
    """Write a number of the header: both of its bytes are escaped, whatever they are."""
    return ESCAPE, number >> 8 ^ KEY, ESCAPE, number & 0xFF ^ KEY


def escaped(body: bytes) -> bytes:
    """Take the three special bytes out of a body."""
    out = bytearray()
    for byte in body:
        out += bytes((ESCAPE, byte ^ KEY)) if byte in {START, STOP, ESCAPE} else bytes((byte,))
    return bytes(out)


def unescaped(body: bytes) -> bytes | None:
    """Put them back, whatever was escaped; None where one stands there as it is, or an escape ends the body."""
    out, pieces = bytearray(), iter(body)
    for byte in pieces:
        if byte in {START, STOP}:
            return None
        if byte != ESCAPE:
            out.append(byte)
            continue
        following = next(pieces, None)
        if following is None:
            return None
        out.append(following ^ KEY)
    return bytes(out)
