"""The words of the native serial protocol (docs/native-protocol.md): every frame, and its payload as bytes.

Host frames go both ways, so that a driver can read what it is about to send; device frames are only read. Reading a
payload that is not of its type raises struct.error or ValueError; writing a number that does not fit its field raises
struct.error.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple, Self

from safety.effects import Envelope
from safety.waveform import Train


class State(IntEnum):
    """State of the device."""

    STOPPED = 0
    ARMED = 1
    RUNNING = 2
    CUT = 3


class Fitted(IntEnum):
    """Bits of what the device has."""

    EMULATOR = 1
    RELAY = 2
    PATIENT_STOP = 4
    NUMERIC_IMPEDANCE = 8
    READBACK = 16
    SUPPLY = 32
    BALANCE = 64


class Contact(IntEnum):
    """Bits of how a channel's last pulse met the skin, and whether it is newer than the last STATUS."""

    OPEN = 1
    SHORT = 2
    CLIP = 4
    FRESH = 8


class EventKind(IntEnum):
    """What the device tells without being asked."""

    PRESSED = 1
    RELEASED = 2
    FAULT = 3
    BOOTED = 4
    ELECTRODE = 5


class NakCode(IntEnum):
    """Why the device refused a frame."""

    UNKNOWN_TYPE = 1
    WRONG_LENGTH = 2
    WRONG_STATE = 3
    WRONG_PERMIT = 4
    OUT_OF_RANGE = 5
    GRANT_NOT_GREATER = 6
    CUT = 7
    SELFTEST_FAILED = 8
    PATIENT_STOP = 9
    CHANNEL_LIST = 10


# Frames from the host


class Bare:
    """A frame without payload."""

    __slots__ = ()

    def to_payload(self) -> bytes:
        """Write the payload."""
        return b""

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        struct.unpack("", data)
        return cls()


@dataclass(frozen=True, slots=True)
class Hello(Bare):
    """Who is there; output stops, faults are cleared."""

    TYPE: ClassVar[int] = 0x01


@dataclass(frozen=True, slots=True)
class Arm:
    """Accept trains inside these envelopes, for lifetime_ms."""

    TYPE: ClassVar[int] = 0x02
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<IIB")
    ROW: ClassVar[struct.Struct] = struct.Struct("<BIHIQ")
    permit: int
    lifetime_ms: int
    envelopes: tuple[Envelope, ...]

    def to_payload(self) -> bytes:
        """Write the payload."""
        head = self.LAYOUT.pack(self.permit, self.lifetime_ms, len(self.envelopes))
        return head + b"".join(self.ROW.pack(*envelope) for envelope in self.envelopes)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        permit, lifetime_ms, count = cls.LAYOUT.unpack_from(data)
        rows = rows_of(cls.ROW, count, data[cls.LAYOUT.size :])
        return cls(permit, lifetime_ms, tuple(Envelope(*row) for row in rows))


@dataclass(frozen=True, slots=True)
class Drive:
    """Make these trains the whole output."""

    TYPE: ClassVar[int] = 0x03
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<IIB")
    ROW: ClassVar[struct.Struct] = struct.Struct("<BIHHI")
    permit: int
    grant: int
    trains: tuple[Train, ...]

    def to_payload(self) -> bytes:
        """Write the payload."""
        head = self.LAYOUT.pack(self.permit, self.grant, len(self.trains))
        return head + b"".join(self.ROW.pack(*train) for train in self.trains)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        permit, grant, count = cls.LAYOUT.unpack_from(data)
        rows = rows_of(cls.ROW, count, data[cls.LAYOUT.size :])
        return cls(permit, grant, tuple(Train(*row) for row in rows))


@dataclass(frozen=True, slots=True)
class Feed:
    """Keep the output as it is for another dead-man period."""

    TYPE: ClassVar[int] = 0x04
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<II")
    permit: int
    grant: int

    def to_payload(self) -> bytes:
        """Write the payload."""
        return self.LAYOUT.pack(self.permit, self.grant)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        return cls(*cls.LAYOUT.unpack(data))


@dataclass(frozen=True, slots=True)
class Stop(Bare):
    """Output off."""

    TYPE: ClassVar[int] = 0x05


@dataclass(frozen=True, slots=True)
class Probe:
    """Give one test pulse and measure it."""

    TYPE: ClassVar[int] = 0x06
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<IIBIH")
    permit: int
    grant: int
    channel: int
    ua: int
    width_us: int

    def to_payload(self) -> bytes:
        """Write the payload."""
        return self.LAYOUT.pack(self.permit, self.grant, self.channel, self.ua, self.width_us)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        return cls(*cls.LAYOUT.unpack(data))


@dataclass(frozen=True, slots=True)
class Ask(Bare):
    """How are you; changes nothing."""

    TYPE: ClassVar[int] = 0x07


@dataclass(frozen=True, slots=True)
class Cut(Bare):
    """Open the output relay, until the next power cycle."""

    TYPE: ClassVar[int] = 0x08


@dataclass(frozen=True, slots=True)
class SelfTest(Bare):
    """Test yourself, in STOPPED only."""

    TYPE: ClassVar[int] = 0x09


# Frames from the device


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is and what it can do."""

    TYPE: ClassVar[int] = 0x81
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BB16s16s16sHBIIHHHIIHIHII")
    protocol_major: int
    protocol_minor: int
    model: str
    serial: str
    firmware: str
    flags: int
    channels: int
    max_ua: int
    step_ua: int
    min_width_us: int
    max_width_us: int
    width_step_us: int
    min_period_us: int
    max_period_us: int
    period_step_us: int
    compliance_mv: int
    dead_man_ms: int
    accuracy_ppm: int
    boot: int

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        major, minor, model, serial, firmware, *rest = cls.LAYOUT.unpack(data)
        return cls(major, minor, text_of(model), text_of(serial), text_of(firmware), *rest)


class Block(NamedTuple):
    """One channel of a STATUS."""

    channel: int
    flags: int
    set_ua: int
    set_width_us: int
    set_gap_us: int
    set_period_us: int
    measured_ua: int
    ohm: int
    pulses: int
    charge_nc: int
    clipped: int
    imbalance: int


@dataclass(frozen=True, slots=True)
class Status:
    """The device's word about itself and about each of its channels."""

    TYPE: ClassVar[int] = 0x82
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<IIIIBHBHIIHBB")
    ROW: ClassVar[struct.Struct] = struct.Struct("<BBIHHIIIIQBB")
    boot: int
    uptime_ms: int
    frames: int
    errors: int
    state: State
    faults: int
    button: int
    supply_mv: int
    permit: int
    grant: int
    fed_ago_ms: int
    channels: tuple[Block, ...]

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload; an unknown state raises ValueError."""
        *values, count, _reserved = cls.LAYOUT.unpack_from(data)
        values[4] = State(values[4])
        values.append(tuple(Block(*row) for row in rows_of(cls.ROW, count, data[cls.LAYOUT.size :])))
        return cls(*values)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a test pulse measured."""

    TYPE: ClassVar[int] = 0x83
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BIIB")
    channel: int
    ohm: int
    measured_ua: int
    flags: int

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        return cls(*cls.LAYOUT.unpack(data))


@dataclass(frozen=True, slots=True)
class SelfTested:
    """The result of a self-test, 0 when passed."""

    TYPE: ClassVar[int] = 0x84
    result: int

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        return cls(*struct.unpack("<B", data))


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened at the device."""

    TYPE: ClassVar[int] = 0x8E
    kind: EventKind
    channel: int
    faults: int

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload; an unknown kind raises ValueError."""
        kind, channel, faults = struct.unpack("<BBH", data)
        return cls(EventKind(kind), channel, faults)


@dataclass(frozen=True, slots=True)
class Nak:
    """The device refused a frame."""

    TYPE: ClassVar[int] = 0x8F
    refused_type: int
    code: NakCode

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload; an unknown code raises ValueError."""
        refused_type, code = struct.unpack("<BB", data)
        return cls(refused_type, NakCode(code))


def rows_of(layout: struct.Struct, count: int, data: bytes) -> list[tuple[int, ...]]:
    """Read the rows of a list. Raises ValueError when there are not `count` of them."""
    if len(data) != count * layout.size:
        raise ValueError(f"{len(data)} bytes for {count} rows of {layout.size}")
    return list(layout.iter_unpack(data))


def text_of(field: bytes) -> str:
    """Read a text padded with zeros. Raises ValueError for anything but printable ASCII."""
    text = field.rstrip(b"\0").decode("ascii")
    if not text.isprintable():
        raise ValueError(f"{text!r} is no printable text")
    return text


HostFrame = Hello | Arm | Drive | Feed | Stop | Probe | Ask | Cut | SelfTest
DeviceFrame = Identity | Status | Probed | SelfTested | Event | Nak
Kinds = Mapping[int, type[HostFrame | DeviceFrame]]

HOST: Kinds = {kind.TYPE: kind for kind in (Hello, Arm, Drive, Feed, Stop, Probe, Ask, Cut, SelfTest)}
DEVICE: Kinds = {kind.TYPE: kind for kind in (Identity, Status, Probed, SelfTested, Event, Nak)}
