"""What a P24 is asked: the requests of ScienceMode 4 that it is driven by, and their payloads as bytes.

They go both ways, so that a driver can read what it is about to send. Reading a payload that is not of its kind raises
ValueError or struct.error, and so does writing what does not fit its field.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple, Self

CHANNELS = 8
CONNECTOR_CHANNELS = 4
"""Channels 1 to 4 are on the yellow connector (0), 5 to 8 on the green one (1)."""
STEP_UA, ZERO_CODE, MAX_UA = 500, 300, 130_000
"""A point's current is sent as steps above -150 mA; the hardware gives at most 130 mA either way."""
MAX_POINTS, MAX_POINT_US = 16, 4_095
HALF_US, QUARTER_US, MAX_CODE = 500, 250, 32_767
"""A period is so many half or quarter milliseconds."""


class Measure(IntEnum):
    """What a pulse of the low level is sampled for."""

    NOTHING = 0
    CURRENT = 1
    VOLTAGE = 2


class Point(NamedTuple):
    """A piece of a pulse."""

    width_us: int
    ua: int


class Pattern(NamedTuple):
    """What one channel repeats; `unit_us` is the half or the quarter millisecond that its period is counted in."""

    channel: int
    period_us: int
    unit_us: int
    ramp: int
    points: tuple[Point, ...]


# Requests


class Bare:
    """A request without payload."""

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
class GetDeviceId(Bare):
    """Who are you."""

    COMMAND: ClassVar[int] = 52


@dataclass(frozen=True, slots=True)
class GetVersion(Bare):
    """Which firmware and protocol do you have."""

    COMMAND: ClassVar[int] = 68


@dataclass(frozen=True, slots=True)
class GetStimStatus(Bare):
    """Which level is initialised; changes nothing, feeds nothing."""

    COMMAND: ClassVar[int] = 62


@dataclass(frozen=True, slots=True)
class LowInit:
    """Go to the low level, with the standard high voltage (150 V)."""

    COMMAND: ClassVar[int] = 0
    measure: Measure

    def to_payload(self) -> bytes:
        """Write the payload."""
        return bytes((self.measure << 4,))

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        (byte,) = data
        if byte & 0b1000_1111:
            raise ValueError(f"low init {byte:#04x}")
        return cls(Measure(byte >> 4))


@dataclass(frozen=True, slots=True)
class LowPulse:
    """Give one pulse, now."""

    COMMAND: ClassVar[int] = 2
    channel: int
    points: tuple[Point, ...]

    def to_payload(self) -> bytes:
        """Write the payload."""
        connector, channel = place_of(self.channel)
        return bytes((0x80 | channel << 5 | connector << 4 | count_of(self.points) - 1,)) + points_to(self.points)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        if not data or not data[0] & 0x80:
            raise ValueError("a pulse that is not to be given")
        channel = (data[0] >> 4 & 1) * CONNECTOR_CHANNELS + (data[0] >> 5 & 3) + 1
        return cls(channel, points_from(data[1:], (data[0] & 15) + 1))


@dataclass(frozen=True, slots=True)
class LowStop(Bare):
    """Leave the low level; high voltage off."""

    COMMAND: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class MidInit:
    """Go to the mid level; high voltage on. `all_stop`: an error of one channel stops them all."""

    COMMAND: ClassVar[int] = 30
    all_stop: bool

    def to_payload(self) -> bytes:
        """Write the payload."""
        return bytes((self.all_stop,))

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        (byte,) = data
        if byte > 1:
            raise ValueError(f"mid init {byte:#04x}")
        return cls(bool(byte))


@dataclass(frozen=True, slots=True)
class MidUpdate:
    """Repeat these patterns, ascending by channel; a channel that is not named is off."""

    COMMAND: ClassVar[int] = 32
    HEAD: ClassVar[struct.Struct] = struct.Struct(">BH")
    patterns: tuple[Pattern, ...]

    def to_payload(self) -> bytes:
        """Write the payload."""
        out, last = bytes((mask_of(pattern.channel for pattern in self.patterns),)), 0
        for channel, period_us, unit_us, ramp, points in self.patterns:
            code, rest = divmod(period_us, unit_us)
            if channel <= last or rest or code > MAX_CODE or not 0 <= ramp <= 15:
                raise ValueError(f"channel {channel}: {period_us} us in units of {unit_us} us, ramp {ramp}")
            out += self.HEAD.pack(count_of(points) - 1 << 4 | ramp, code << 1 | UNITS_US.index(unit_us))
            out, last = out + points_to(points), channel
        return out

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        patterns, at = [], 1
        (mask,) = data[:1]
        for channel in channels_of(mask):
            head, period = cls.HEAD.unpack_from(data, at)
            count, unit_us = (head >> 4) + 1, UNITS_US[period & 1]
            at += cls.HEAD.size
            points = points_from(data[at : at + count * POINT.size], count)
            at += count * POINT.size
            patterns.append(Pattern(channel, (period >> 1) * unit_us, unit_us, head & 15, points))
        if at != len(data):
            raise ValueError(f"{len(data)} bytes for an update of {at}")
        return cls(tuple(patterns))


@dataclass(frozen=True, slots=True)
class MidStop(Bare):
    """Leave the mid level; high voltage off."""

    COMMAND: ClassVar[int] = 34


@dataclass(frozen=True, slots=True)
class GetCurrentData:
    """How are the channels; keeps the patterns going for another dead-man period."""

    COMMAND: ClassVar[int] = 36
    SELECTION: ClassVar[int] = 4

    def to_payload(self) -> bytes:
        """Write the payload."""
        return bytes((self.SELECTION,))

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """Read the payload."""
        if data != bytes((cls.SELECTION,)):
            raise ValueError(f"current data {data.hex()}")
        return cls()


Request = (
    GetDeviceId | GetVersion | GetStimStatus | LowInit | LowPulse | LowStop | MidInit | MidUpdate | MidStop
    | GetCurrentData
)  # fmt: skip

KINDS: tuple[type[Request], ...] = (
    GetDeviceId, GetVersion, GetStimStatus, LowInit, LowPulse, LowStop, MidInit, MidUpdate, MidStop, GetCurrentData,
)  # fmt: skip
REQUESTS: Mapping[int, type[Request]] = {kind.COMMAND: kind for kind in KINDS}
POINT = struct.Struct(">I")
UNITS_US = (HALF_US, QUARTER_US)


def read_request(command: int, payload: bytes) -> Request:
    """Read a request. Raises ValueError, struct.error."""
    if command not in REQUESTS:
        raise ValueError(f"the unknown command {command}")
    return REQUESTS[command].from_payload(payload)


def place_of(channel: int) -> tuple[int, int]:
    """Give a channel's connector and its place there. Raises ValueError."""
    if not 1 <= channel <= CHANNELS:
        raise ValueError(f"channel {channel}")
    return divmod(channel - 1, CONNECTOR_CHANNELS)


def mask_of(channels: Iterable[int]) -> int:
    """Give the bits of channels. Raises ValueError."""
    mask = 0
    for channel in channels:
        connector, index = place_of(channel)
        mask |= 1 << connector * CONNECTOR_CHANNELS + index
    return mask


def channels_of(mask: int) -> list[int]:
    """Give the channels of a mask, ascending."""
    return [channel for channel in range(1, CHANNELS + 1) if mask >> channel - 1 & 1]


def count_of(points: tuple[Point, ...]) -> int:
    """Count the points of a pulse. Raises ValueError."""
    if not 1 <= len(points) <= MAX_POINTS:
        raise ValueError(f"{len(points)} points")
    return len(points)


def points_to(points: tuple[Point, ...]) -> bytes:
    """Write the points of a pulse. Raises ValueError."""
    out = b""
    for width_us, ua in points:
        if not 0 <= width_us <= MAX_POINT_US or abs(ua) > MAX_UA or ua % STEP_UA:
            raise ValueError(f"a point of {width_us} us and {ua} uA")
        out += POINT.pack(width_us << 20 | ua // STEP_UA + ZERO_CODE << 10)
    return out


def points_from(data: bytes, count: int) -> tuple[Point, ...]:
    """Read the points of a pulse. Raises ValueError."""
    if len(data) != count * POINT.size:
        raise ValueError(f"{len(data)} bytes for {count} points")
    points = []
    for (word,) in POINT.iter_unpack(data):
        ua = ((word >> 10 & 0x3FF) - ZERO_CODE) * STEP_UA
        if word & 0x3FF or abs(ua) > MAX_UA:
            raise ValueError(f"the point {word:#010x}")
        points.append(Point(word >> 20, ua))
    return tuple(points)
