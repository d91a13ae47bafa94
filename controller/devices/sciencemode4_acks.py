"""What a P24 answers: every acknowledgement of a request (sciencemode4_frames.py), read from its payload as bytes.

Reading a payload that is not of its kind raises ValueError or struct.error.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple, Self

from .sciencemode4_frames import (
    CHANNELS,
    CONNECTOR_CHANNELS,
    KINDS,
    GetCurrentData,
    GetDeviceId,
    GetStimStatus,
    GetVersion,
    LowPulse,
    Measure,
)

SAMPLES = 128


class Result(IntEnum):
    """The first byte of every acknowledgement."""

    OK = 0
    TRANSFER = 1
    PARAMETER = 2
    PROTOCOL = 3
    STIM_TIMEOUT = 4
    EMG_TIMEOUT = 5
    EMG_REGISTER = 6
    NOT_INITIALISED = 7
    HIGH_VOLTAGE = 8
    DEMUX_TIMEOUT = 9
    ELECTRODE = 10
    INVALID_COMMAND = 11
    DEMUX_PARAMETER = 12
    DEMUX_NOT_INITIALISED = 13
    DEMUX_TRANSFER = 14
    DEMUX_UNKNOWN_ACK = 15
    PULSE_TIMEOUT = 16
    FUEL_GAUGE = 17
    LIVE_SIGNAL = 18
    FILE_TIMEOUT = 19
    FILE_NOT_FOUND = 20
    BUSY = 21
    FILE = 22
    FLASH_ERASE = 23
    FLASH_WRITE = 24
    UNKNOWN_CONTROLLER = 25
    FIRMWARE_TOO_LARGE = 26
    FUEL_GAUGE_NOT_PROGRAMMED = 27
    PULSE_LOW_CURRENT = 28


class Level(IntEnum):
    """What is initialised: nothing, single pulses by the host, or patterns that the device repeats."""

    NOTHING = 0
    LOW = 1
    MID = 2
    MID_RUNNING = 3


class Fault(IntEnum):
    """What is wrong with a channel of the mid level."""

    NOTHING = 0
    ELECTRODE = 1
    PULSE_TIMEOUT = 2
    LOW_CURRENT = 3


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement that says no more than its result."""

    command: int
    result: Result

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload."""
        (result,) = data
        return cls(command, Result(result))


@dataclass(frozen=True, slots=True)
class DeviceId(Ack):
    """Who the device is."""

    id: str

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload."""
        result, text = struct.unpack(">B10s", data)
        name = text.decode("ascii").rstrip("\0 ")
        if not name.isprintable() or not name:
            raise ValueError(f"the id {text!r}")
        return cls(command, Result(result), name)


@dataclass(frozen=True, slots=True)
class Version(Ack):
    """Its firmware and protocol; the hash of the firmware is not kept."""

    firmware: tuple[int, int, int]
    protocol: tuple[int, int, int]

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload."""
        result, *six, _hash, _kind, _valid = struct.unpack(">B6B4sBB", data)
        return cls(command, Result(result), tuple(six[:3]), tuple(six[3:]))


@dataclass(frozen=True, slots=True)
class StimStatus(Ack):
    """Which level is initialised."""

    level: Level

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload."""
        result, level, _high_voltage = data
        return cls(command, Result(result), Level(level))


@dataclass(frozen=True, slots=True)
class Pulsed(Ack):
    """A pulse of the low level was given: what was sampled, in hundredths of a mA or a V, magnitudes only."""

    LAYOUT: ClassVar[struct.Struct] = struct.Struct(f">H{SAMPLES}H")
    channel: int
    measured: Measure
    every_us: int
    samples: tuple[int, ...]

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload."""
        result, place, kind = data[:3]
        connector, index = place >> 4, place & 15
        if connector > 1 or index >= CONNECTOR_CHANNELS:
            raise ValueError(f"channel {index} of connector {connector}")
        measured, channel = Measure(kind), connector * CONNECTOR_CHANNELS + index + 1
        if measured is Measure.NOTHING:
            struct.unpack("", data[3:])
            return cls(command, Result(result), channel, measured, 0, ())
        every_us, *samples = cls.LAYOUT.unpack(data[3:])
        return cls(command, Result(result), channel, measured, every_us, tuple(samples))


@dataclass(frozen=True, slots=True)
class CurrentData(Ack):
    """Which channels are active, and what is wrong with each of the eight."""

    active: int
    faults: tuple[Fault, ...]

    @classmethod
    def from_payload(cls, command: int, data: bytes) -> Self:
        """Read the payload; an unknown fault raises ValueError."""
        result, selection, active, *four = data
        if selection != GetCurrentData.SELECTION or len(four) != CHANNELS // 2:
            raise ValueError(f"selection {selection} in {len(data)} bytes")
        faults = tuple(Fault(nibble) for byte in four for nibble in (byte & 15, byte >> 4))
        return cls(command, Result(result), active, faults)


class Complaint(NamedTuple):
    """What the device says where it could not take a frame (GENERAL_ERROR, UNKNOWN_COMMAND)."""

    command: int
    result: Result


GENERAL_ERROR, UNKNOWN_COMMAND = 66, 67
ACKS: Mapping[int, type[Ack]] = {kind.COMMAND + 1: Ack for kind in KINDS} | {
    GetDeviceId.COMMAND + 1: DeviceId,
    GetVersion.COMMAND + 1: Version,
    GetStimStatus.COMMAND + 1: StimStatus,
    LowPulse.COMMAND + 1: Pulsed,
    GetCurrentData.COMMAND + 1: CurrentData,
}
"""What acknowledges a request has the number after its own."""


def read_answer(command: int, payload: bytes) -> Ack | Complaint:
    """Read an acknowledgement or a complaint; one that failed may say no more. Raises as reading."""
    if command in {GENERAL_ERROR, UNKNOWN_COMMAND}:
        (result,) = payload
        return Complaint(command, Result(result))
    if command not in ACKS:
        raise ValueError(f"the unknown command {command}")
    try:
        return ACKS[command].from_payload(command, payload)
    except (ValueError, struct.error):
        # Nowhere stands what follows the result of a failure: it may end there, or go on in any way.
        if payload[:1] in {b"", b"\0"}:
            raise
        return Ack(command, Result(payload[0]))
