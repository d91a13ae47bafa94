"""The bytes of the native protocol, on the device's side: docs/native-protocol.md sections 1, 3 and 4."""

from __future__ import annotations

import struct
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple
from zlib import crc32

from hil.devices.native_words import (
    Arm,
    Ask,
    Code,
    Cut,
    Drive,
    Envelope,
    Event,
    Feed,
    Hello,
    Identity,
    Nak,
    Probe,
    Probed,
    Refused,
    Reply,
    Request,
    SelfTest,
    SelfTested,
    Status,
    Stop,
)
from hil.devices.output import Train

CUT_TYPE = 0x08

LONGEST_BODY = 512
LONGEST_CODED = 515
"""A body of 512 bytes takes at most 516 with its delimiter."""

_CHECK = struct.Struct("<I")
_LIST = struct.Struct("<IIB")
_ENVELOPE = struct.Struct("<BIHIQ")
_TRAIN = struct.Struct("<BIHHI")
_FEED = struct.Struct("<II")
_PROBE = struct.Struct("<IIBIH")
_IDENTITY = struct.Struct("<BB16s16s16sHBIIHHHIIHIHII")
_STATUS = struct.Struct("<IIIIBHBHIIHBB")
_BLOCK = struct.Struct("<BBIHHIIIIQBB")
_PROBED = struct.Struct("<BIIB")
_EVENT = struct.Struct("<BBH")

# Not `dataclasses.astuple`: it copies deeply, and a device that is polled says STATUS ten times a second.
_status_head = attrgetter(*(field.name for field in fields(Status) if field.name != "channels"))
_identity = attrgetter(*(field.name for field in fields(Identity)))
_probed = attrgetter(*(field.name for field in fields(Probed)))
_event = attrgetter(*(field.name for field in fields(Event)))

_BARE: dict[int, Request] = {0x01: Hello(), 0x05: Stop(), 0x07: Ask(), CUT_TYPE: Cut(), 0x09: SelfTest()}


class Body(NamedTuple):
    """What a whole frame holds."""

    type: int
    seq: int
    payload: bytes


def stuff(body: bytes) -> bytes:
    """COBS, without the delimiter."""
    out = bytearray()
    runs = body.split(b"\x00")
    for number, run in enumerate(runs, 1):
        rest = run
        while len(rest) >= 254:
            out += b"\xff" + rest[:254]
            rest = rest[254:]
        # A full block that ends the body needs no empty one behind it.
        if rest or not run or number < len(runs):
            out += bytes((len(rest) + 1,)) + rest
    return bytes(out)


def unstuff(coded: bytes) -> bytes | None:
    """The body of a COBS block that holds no zero; None when it is not one."""
    out = bytearray()
    at = 0
    while at < len(coded):
        code = coded[at]
        run = coded[at + 1 : at + code]
        if len(run) != code - 1:
            return None
        out += run
        at += code
        if code < 255 and at < len(coded):
            out.append(0)
    return bytes(out)


def encode(reply: Reply, seq: int) -> bytes:
    """A frame of the device with its delimiter."""
    kind, payload = _packed(reply)
    body = bytes((kind, seq)) + payload
    return stuff(body + _CHECK.pack(crc32(body))) + b"\x00"


def _packed(reply: Reply) -> tuple[int, bytes]:
    match reply:
        case Status(channels=blocks):
            head = _STATUS.pack(*_status_head(reply), len(blocks), 0)
            return 0x82, head + b"".join(_BLOCK.pack(*block) for block in blocks)
        case Identity():
            fields = (value.encode("ascii") if isinstance(value, str) else value for value in _identity(reply))
            return 0x81, _IDENTITY.pack(*fields)
        case Probed():
            return 0x83, _PROBED.pack(*_probed(reply))
        case SelfTested():
            return 0x84, bytes((reply.result,))
        case Event():
            return 0x8E, _EVENT.pack(*_event(reply))
        case Nak():
            return 0x8F, bytes((reply.refused_type, reply.code))


def parse(kind: int, payload: bytes) -> Request:
    """The request of a host frame; raises Refused for an unknown type or a wrong length."""
    if bare := _BARE.get(kind):
        if payload and not isinstance(bare, (Stop, Cut)):
            raise Refused(Code.WRONG_LENGTH)
        return bare
    match kind:
        case 0x02:
            permit, lifetime_ms, rows = _list(payload, _ENVELOPE)
            return Arm(permit, lifetime_ms, tuple(map(Envelope._make, _ENVELOPE.iter_unpack(rows))))
        case 0x03:
            permit, grant, rows = _list(payload, _TRAIN)
            return Drive(permit, grant, tuple(map(Train._make, _TRAIN.iter_unpack(rows))))
        case 0x04:
            return Feed(*_FEED.unpack(_of_length(payload, _FEED.size)))
        case 0x06:
            return Probe(*_PROBE.unpack(_of_length(payload, _PROBE.size)))
        case _:
            raise Refused(Code.UNKNOWN_TYPE)


def _list(payload: bytes, row: struct.Struct) -> tuple[int, int, bytes]:
    if len(payload) < _LIST.size:
        raise Refused(Code.WRONG_LENGTH)
    first, second, count = _LIST.unpack_from(payload)
    rows = _of_length(payload, _LIST.size + count * row.size)[_LIST.size :]
    return first, second, rows


def _of_length(payload: bytes, length: int) -> bytes:
    if len(payload) != length:
        raise Refused(Code.WRONG_LENGTH)
    return payload


class Deframer:
    """Bytes in, bodies out; holds at most one frame, whatever arrives."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._overflowed = False

    def push(self, data: bytes) -> list[Body | None]:
        """Bodies that are whole now, in order; None stands for a damaged one."""
        found: list[Body | None] = []
        *ended, rest = data.split(b"\x00")
        for piece in ended:
            found += self._hold(piece)
            if self._held and not self._overflowed:
                found.append(_checked(bytes(self._held)))
            self._held.clear()
            self._overflowed = False
        return found + self._hold(rest)

    def _hold(self, piece: bytes) -> list[None]:
        if self._overflowed:
            return []
        if len(self._held) + len(piece) > LONGEST_CODED:
            self._held.clear()
            self._overflowed = True
            return [None]
        self._held += piece
        return []


def _checked(coded: bytes) -> Body | None:
    body = unstuff(coded)
    if body is None or not 6 <= len(body) <= LONGEST_BODY:
        return None
    if crc32(body[:-4]) != _CHECK.unpack(body[-4:])[0]:
        return None
    return Body(body[0], body[1], body[2:-4])
