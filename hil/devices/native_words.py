"""The words of the native protocol, without bytes: docs/native-protocol.md sections 2 to 4."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple, TypeAlias

from hil.devices.output import Train

U16 = 0xFFFF
U32 = 0xFFFF_FFFF


class State(IntEnum):
    """States of the device."""

    STOPPED = 0
    ARMED = 1
    RUNNING = 2
    CUT = 3


class Fault(IntFlag):
    """Fault bits of STATUS and EVENT."""

    NONE = 0
    DEAD_MAN = 1
    PATIENT_STOP = 2
    ENVELOPE = 4
    ENVELOPE_END = 8
    SUPPLY = 16
    INTERNAL = 32


class Flag(IntFlag):
    """Flags of a channel block and of PROBED."""

    NONE = 0
    OPEN = 1
    SHORT = 2
    CLIP = 4
    FRESH = 8


class Fitted(IntFlag):
    """Flags of IDENTITY: what the device has."""

    EMULATOR = 1
    RELAY = 2
    PATIENT_STOP = 4
    IMPEDANCE = 8
    READBACK = 16
    SUPPLY = 32
    BALANCE = 64


class Code(IntEnum):
    """Why a frame is refused."""

    UNKNOWN_TYPE = 1
    WRONG_LENGTH = 2
    WRONG_STATE = 3
    WRONG_PERMIT = 4
    OUT_OF_RANGE = 5
    GRANT_NOT_GREATER = 6
    CUT = 7
    SELF_TEST = 8
    PATIENT_STOP = 9
    CHANNEL_LIST = 10


class Happening(IntEnum):
    """Kinds of EVENT."""

    PRESSED = 1
    RELEASED = 2
    FAULT = 3
    BOOTED = 4
    ELECTRODE = 5


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """A request that gets a NAK."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


class Envelope(NamedTuple):
    """What one channel may do until the next ARM."""

    channel: int
    max_ua: int
    max_width_us: int
    min_period_us: int
    max_charge_nc: int


@dataclass(frozen=True, slots=True)
class Hello:
    """HELLO: stop, forget the faults, say who you are."""


@dataclass(frozen=True, slots=True)
class Arm:
    """ARM: work under this permit inside these envelopes."""

    permit: int
    lifetime_ms: int
    envelopes: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True)
class Drive:
    """DRIVE: the whole output."""

    permit: int
    grant: int
    trains: tuple[Train, ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """FEED: go on."""

    permit: int
    grant: int


@dataclass(frozen=True, slots=True)
class Stop:
    """STOP."""


@dataclass(frozen=True, slots=True)
class Probe:
    """PROBE: one weak pulse."""

    permit: int
    grant: int
    channel: int
    ua: int
    width_us: int


@dataclass(frozen=True, slots=True)
class Ask:
    """ASK."""


@dataclass(frozen=True, slots=True)
class Cut:
    """CUT: open the relay for good."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """SELFTEST."""


Request: TypeAlias = Hello | Arm | Drive | Feed | Stop | Probe | Ask | Cut | SelfTest


@dataclass(frozen=True, slots=True)
class Identity:
    """IDENTITY; the defaults are this repository's emulated device (engineering defaults)."""

    protocol_major: int = 1
    protocol_minor: int = 0
    model: str = "native-bench"
    serial: str = "EMU-0001"
    firmware: str = "1.0.0"
    flags: int = Fitted(127)
    channels: int = 2
    max_ua: int = 100_000
    step_ua: int = 100
    min_width_us: int = 20
    max_width_us: int = 500
    width_step_us: int = 1
    min_period_us: int = 8_000
    max_period_us: int = 1_000_000
    period_step_us: int = 10
    compliance_mv: int = 150_000
    dead_man_ms: int = 500
    accuracy_ppm: int = 10_000
    boot: int = 1


class Block(NamedTuple):
    """A channel in STATUS."""

    channel: int
    flags: int = 0
    set_ua: int = 0
    set_width_us: int = 0
    set_gap_us: int = 0
    set_period_us: int = 0
    measured_ua: int = 0
    ohm: int = U32
    pulses: int = 0
    charge_nc: int = 0
    clipped: int = 0
    imbalance: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS."""

    boot: int
    uptime_ms: int
    frames: int
    errors: int
    state: int
    faults: int
    button: int
    supply_mv: int
    permit: int
    grant: int
    fed_ago_ms: int
    channels: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Probed:
    """PROBED."""

    channel: int
    ohm: int
    measured_ua: int
    flags: int


@dataclass(frozen=True, slots=True)
class SelfTested:
    """SELFTESTED: 0 passed, else bits for memory, output stage, relay, measurement."""

    result: int


@dataclass(frozen=True, slots=True)
class Event:
    """EVENT."""

    kind: int
    channel: int
    faults: int


@dataclass(frozen=True, slots=True)
class Nak:
    """NAK."""

    refused_type: int
    code: int


Reply: TypeAlias = Identity | Status | Probed | SelfTested | Event | Nak
