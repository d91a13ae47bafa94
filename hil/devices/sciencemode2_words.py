"""The words of ScienceMode 2, without bytes: commands, results, and what a list of channels is told."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

CHANNELS = 8
MAX_MA = 130
MIN_WIDTH_US, MAX_WIDTH_US = 20, 500
"""A shorter pulse is given with the least width."""

VERSION = 1
"""The protocol version that Init tells."""


class Command(IntEnum):
    """Commands that the emulated device knows; it has no MOTOmed, whose numbers are unknown to it."""

    INIT = 1
    INIT_ACK = 2
    UNKNOWN = 3
    WATCHDOG = 4
    GET_MODE = 10
    INIT_LIST = 30
    START_LIST = 32
    STOP_LIST = 34
    SINGLE_PULSE = 36
    STIMULATION_ERROR = 38


class Result(IntEnum):
    """Result codes of acknowledgements, signed bytes."""

    OK = 0
    TRANSFER = -1
    PARAMETER = -2
    WRONG_MODE = -3
    VERSION = -5
    BUSY = -8


class Mode(IntEnum):
    """What GetStimulationMode tells."""

    START = 0
    INITIALISED = 1
    STARTED = 2


class Trouble(IntEnum):
    """Why the device has stopped by itself: StimulationError, a signed byte."""

    EMERGENCY_SWITCH = -1
    ELECTRODE = -2
    MODULE = -3


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """A command that gets a result other than 0."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.name)
        self.result = result


class Pulse(NamedTuple):
    """What a channel gives each time: `groups` pulses of this width and current."""

    groups: int
    width_us: int
    ua: int


class Channels(NamedTuple):
    """The list that InitChannelListMode sets up.

    `active` and `rare` are channel numbers, ascending; a rare channel is passed over `skips` times after each time it
    is served. `between_us` lies between the pulses of a doublet, `every_us` between lists; 0: one list for each Start.
    """

    skips: int
    active: tuple[int, ...]
    rare: frozenset[int]
    between_us: int
    every_us: int


def numbers(mask: int) -> tuple[int, ...]:
    """Channel numbers of a mask; bit 0 is channel 1."""
    return tuple(channel for channel in range(1, CHANNELS + 1) if mask >> channel - 1 & 1)


def read_channels(data: bytes) -> Channels:
    """The data of InitChannelListMode; raises Refused.

    Fastest list 8 ms, as the firmware has it; the execution that the document calls unimplemented is refused.
    """
    if len(data) != 7:
        raise Refused(Result.PARAMETER)
    skips, active, rare, between, every_high, every_low, execution = data
    every = every_high << 8 | every_low
    if skips > 7 or not active or every > 2048 or 0 < every < 14 or execution:
        raise Refused(Result.PARAMETER)
    every_us = (every + 2) * 500 if every else 0
    return Channels(skips, numbers(active), frozenset(numbers(rare)), (between + 3) * 500, every_us)


def read_pulses(data: bytes, active: tuple[int, ...]) -> dict[int, Pulse]:
    """The data of StartChannelListMode for these channels; raises Refused."""
    if len(data) != 4 * len(active):
        raise Refused(Result.PARAMETER)
    rows = (data[at : at + 4] for at in range(0, len(data), 4))
    return {channel: _pulse(*row) for channel, row in zip(active, rows, strict=True)}


def read_single(data: bytes) -> tuple[int, Pulse]:
    """The data of SinglePulse: the channel number and its pulse; raises Refused."""
    if len(data) != 4 or data[0] >= CHANNELS:
        raise Refused(Result.PARAMETER)
    return data[0] + 1, _pulse(0, *data[1:])


def _pulse(mode: int, width_high: int, width_low: int, ma: int) -> Pulse:
    width_us = width_high << 8 | width_low
    if mode > 2 or width_us > MAX_WIDTH_US or ma > MAX_MA:
        raise Refused(Result.PARAMETER)
    return Pulse(mode + 1, max(width_us, MIN_WIDTH_US), ma * 1000)
