"""The words of ScienceMode 4, and the payloads that carry them; what is allowed in them is the model's business.

Numbers of commands and results, and the layout of every payload: the P24's instructions for use, and the two libraries
of its maker where these say more. Every payload byte 0 of an answer is a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from hil.body import Step

CHANNELS = 8
POINTS = 16
SAMPLES = 128
ZERO_CODE = 300
STEP_UA = 500
"""A current is coded as 2 * mA + 300."""


class Command(IntEnum):
    """Requests; the answer to each has the next number."""

    LOW_INIT = 0
    LOW_PULSE = 2
    LOW_STOP = 4
    MID_INIT = 30
    MID_UPDATE = 32
    MID_STOP = 34
    CURRENT_DATA = 36
    DEVICE_ID = 52
    BATTERY = 54
    RESET = 58
    STATUS = 62
    VERSION = 68


GENERAL_ERROR = 66
UNKNOWN_COMMAND = 67


class Result(IntEnum):
    """Results, as far as this device gives them."""

    OK = 0
    TRANSFER = 1
    PARAMETER = 2
    NOT_INITIALISED = 7
    HIGH_VOLTAGE = 8
    ELECTRODE = 10
    INVALID_COMMAND = 11
    PULSE_TIMEOUT = 16
    BUSY = 21
    LOW_CURRENT = 28


class ChannelError(IntEnum):
    """What a channel of the mid level has."""

    NONE = 0
    ELECTRODE = 1
    PULSE_TIMEOUT = 2
    LOW_CURRENT = 3

    @property
    def result(self) -> Result:
        """The same as a result of a whole request."""
        return (Result.OK, Result.ELECTRODE, Result.PULSE_TIMEOUT, Result.LOW_CURRENT)[self]


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """A request that is answered with a result other than OK, or that nobody knows."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.name)
        self.result = result


class Point(NamedTuple):
    """A part of a pulse as the wire tells it; `reserved` are the ten bits that must be zero."""

    us: int
    ua: int
    reserved: int = 0


class Ask(NamedTuple):
    """A request without a payload."""

    command: Command


class LowInit(NamedTuple):
    """Go to the low level: high voltage, measurement, and the two bits that must be zero."""

    high_voltage: int
    measure: int
    reserved: int = 0


class LowPulse(NamedTuple):
    """One pulse now, if `execute`."""

    execute: bool
    channel: int
    points: tuple[Point, ...]


class MidInit(NamedTuple):
    """Go to the mid level; `options` beyond bit 0 must be zero."""

    options: int


class Pattern(NamedTuple):
    """A pulse that the device repeats, after `ramp` weaker ones."""

    channel: int
    ramp: int
    period_us: int
    points: tuple[Point, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The pulse for the output stage; a point shorter than 10 us acts as one of 10 us."""
        return tuple(Step(point.ua, max(point.us, 10)) for point in self.points)

    @property
    def width_us(self) -> int:
        """How long the pulse takes."""
        return sum(max(point.us, 10) for point in self.points)

    def weakened(self, part: int, whole: int) -> Pattern:
        """The same with a part of its currents, cut to whole microamperes."""
        cut = (
            point._replace(ua=(abs(point.ua) * part // whole) * (1 if point.ua > 0 else -1)) for point in self.points
        )
        return self._replace(points=tuple(cut))


class MidUpdate(NamedTuple):
    """Give these patterns from now on, and no other."""

    patterns: tuple[Pattern, ...]


class CurrentData(NamedTuple):
    """Go on, and tell how it goes."""

    selection: int


Request: TypeAlias = Ask | LowInit | LowPulse | MidInit | MidUpdate | CurrentData


def parse(number: int, payload: bytes) -> Request:
    """The request of a host's frame; raises Refused for an unknown command or a wrong length."""
    try:
        command = Command(number)
    except ValueError:
        raise Refused(Result.INVALID_COMMAND) from None
    match command:
        case Command.LOW_INIT:
            (byte,) = _of_length(payload, 1)
            return LowInit(byte >> 1 & 7, byte >> 4 & 7, byte & 0x81)
        case Command.LOW_PULSE:
            return _low_pulse(payload)
        case Command.MID_INIT:
            return MidInit(*_of_length(payload, 1))
        case Command.MID_UPDATE:
            return _update(payload)
        case Command.CURRENT_DATA:
            return CurrentData(*_of_length(payload, 1))
        case _:
            _of_length(payload, 0)
            return Ask(command)


def _of_length(payload: bytes, length: int) -> bytes:
    if len(payload) != length:
        raise Refused(Result.TRANSFER)
    return payload


def _points(data: bytes) -> tuple[Point, ...]:
    words = (int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4))
    return tuple(Point(word >> 20, ((word >> 10 & 0x3FF) - ZERO_CODE) * STEP_UA, word & 0x3FF) for word in words)


def _low_pulse(payload: bytes) -> LowPulse:
    if not payload:
        raise Refused(Result.TRANSFER)
    head = payload[0]
    execute, count = bool(head & 0x80), (head & 15) + 1
    # One library sends no points where nothing is to be executed, the other does.
    if execute or len(payload) > 1:
        _of_length(payload, 1 + 4 * count)
    channel = (head >> 4 & 1) * 4 + (head >> 5 & 3) + 1
    return LowPulse(execute, channel, _points(payload[1:]))


def _update(payload: bytes) -> MidUpdate:
    patterns = []
    mask, rest = payload[:1], payload[1:]
    for channel in range(1, CHANNELS + 1):
        if mask and mask[0] >> (channel - 1) & 1:
            if len(rest) < 3:
                raise Refused(Result.TRANSFER)
            end = 3 + 4 * ((rest[0] >> 4) + 1)
            code = int.from_bytes(rest[1:3], "big")
            period_us = (code >> 1) * (250 if code & 1 else 500)
            points = _points(_of_length(rest[3:end], end - 3))
            patterns.append(Pattern(channel, rest[0] & 15, period_us, points))
            rest = rest[end:]
    if not mask or rest:
        raise Refused(Result.TRANSFER)
    return MidUpdate(tuple(patterns))


class Identity(NamedTuple):
    """Who the device is; versions are major, minor, revision."""

    device_id: str = "EMU0000001"
    firmware: tuple[int, int, int] = (1, 0, 0)
    protocol: tuple[int, int, int] = (4, 0, 0)
    build_hash: bytes = b"\0\0\0\0"
    hash_kind: int = 0
    hash_valid: bool = False

    def id_answer(self) -> bytes:
        """Answer to DEVICE_ID."""
        return bytes((Result.OK,)) + self.device_id.encode("ascii")

    def version_answer(self) -> bytes:
        """Answer to VERSION."""
        numbers = bytes((Result.OK, *self.firmware, *self.protocol))
        return numbers + self.build_hash + bytes((self.hash_kind, self.hash_valid))


def status_answer(level: int, high_voltage: int) -> bytes:
    """Answer to STATUS."""
    return bytes((Result.OK, level, high_voltage))


def battery_answer(percent: int, mv: int) -> bytes:
    """Answer to BATTERY."""
    return bytes((Result.OK, percent)) + mv.to_bytes(2, "big")


def pulse_answer(result: int, channel: int, measure: int = 0, every_us: int = 0, samples: Sequence[int] = ()) -> bytes:
    """Answer to LOW_PULSE; samples are hundredths of a milliampere or of a volt."""
    connector, colour = divmod(channel - 1, 4)
    head = bytes((result, connector << 4 | colour, measure))
    if not measure:
        return head
    return head + b"".join(min(value, 0xFFFF).to_bytes(2, "big") for value in (every_us, *samples))


def current_data_answer(result: int, active: Sequence[int], errors: Sequence[int]) -> bytes:
    """Answer to CURRENT_DATA 4: the channels that are active, and the error of each of all eight."""
    nibbles = sum(error << 4 * index for index, error in enumerate(errors))
    return bytes((result, 4, _mask(active))) + nibbles.to_bytes(4, "little")


def old_data_answer(selection: int, *, is_running: bool, lifted: Sequence[int]) -> bytes:
    """Answer to CURRENT_DATA 2 and 3: for the first four channels, or all, whether it runs and who has no electrode."""
    mask = _mask(lifted)
    quarters = (mask & 15, mask >> 4)[: selection - 1]
    return bytes((Result.OK, selection, *(is_running << 4 | quarter for quarter in quarters)))


def _mask(channels: Sequence[int]) -> int:
    return sum(1 << (channel - 1) for channel in channels)


ANSWER_LENGTH: dict[int, int] = {
    Command.LOW_PULSE: 3,
    Command.CURRENT_DATA: 7,
    Command.DEVICE_ID: 11,
    Command.BATTERY: 4,
    Command.STATUS: 3,
    Command.VERSION: 13,
}
"""Payloads that are longer than their result."""


def refusal(command: int, result: Result) -> bytes:
    """A payload that says no in the length that the answer always has."""
    return bytes((result,)).ljust(ANSWER_LENGTH.get(command, 1), b"\0")
