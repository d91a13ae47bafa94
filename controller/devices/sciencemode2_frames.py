"""Frames of ScienceMode 2, which the RehaStim2 speaks (HASOMED, description and protocol 1.24; SCIENCEMODE.md B).

One frozen dataclass for each command, with its number and the layout of its data; currents are whole milliamperes
here, because the wire's are. The commands of a MOTOmed are not among them. From a device, `from_data` raises
ValueError or struct.error for anything else than its layout.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple, Self

CHANNELS = 8


class Result(IntEnum):
    """What an answer says of the command."""

    OK = 0
    TRANSFER = -1
    PARAMETER = -2
    WRONG_MODE = -3
    VERSION = -5
    MOTOMED_BUSY = -7
    BUSY = -8


class Mode(IntEnum):
    """Where the device stands: only in STARTED do pulses flow."""

    START = 0
    INITIALISED = 1
    STARTED = 2


class Fault(IntEnum):
    """Why the device has stopped by itself."""

    SWITCH = -1
    ELECTRODE = -2
    MODULE = -3


class Setting(NamedTuple):
    """What one channel of the list gives: one to three pulses (`mode` 0 to 2) in each period."""

    mode: int
    width_us: int
    current_ma: int


@dataclass(frozen=True, slots=True)
class Bare:
    """A command without data."""

    NUMBER: ClassVar[int]

    def to_data(self) -> bytes:
        """Write the data."""
        return b""

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data."""
        if data:
            raise ValueError(f"{len(data)} bytes too many")
        return cls()


@dataclass(frozen=True, slots=True)
class Resulting:
    """An answer of a result alone."""

    NUMBER: ClassVar[int]
    result: Result

    def to_data(self) -> bytes:
        """Write the data."""
        return struct.pack(">b", self.result)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data; an unknown result raises ValueError."""
        return cls(Result(*struct.unpack(">b", data)))


# From the host


@dataclass(frozen=True, slots=True)
class InitAck(Resulting):
    """We speak this version, or not; carries the number of the Init that it answers."""

    NUMBER: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Watchdog(Bare):
    """Nothing but a sign of life; it has no answer, so nobody knows whether it arrived."""

    NUMBER: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class GetStimulationMode(Bare):
    """Where do you stand; like any sound frame it feeds the watchdog."""

    NUMBER: ClassVar[int] = 10


@dataclass(frozen=True, slots=True)
class InitChannelListMode:
    """Take these channels (bit 0 is channel 1) and this period; START to INITIALISED."""

    NUMBER: ClassVar[int] = 30
    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">BBBBHB")
    skips: int
    mask: int
    skipping_mask: int
    inter_code: int
    main_code: int
    execution: int

    def to_data(self) -> bytes:
        """Write the data. Raises struct.error for a number that does not fit its field."""
        return self.LAYOUT.pack(
            self.skips, self.mask, self.skipping_mask, self.inter_code, self.main_code, self.execution
        )

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data."""
        return cls(*cls.LAYOUT.unpack(data))


@dataclass(frozen=True, slots=True)
class StartChannelListMode:
    """Give this on each channel of the list, ascending, from now on; INITIALISED or STARTED to STARTED."""

    NUMBER: ClassVar[int] = 32
    ROW: ClassVar[struct.Struct] = struct.Struct(">BHB")
    settings: tuple[Setting, ...]

    def to_data(self) -> bytes:
        """Write the data. Raises struct.error for a number that does not fit its field."""
        return b"".join([self.ROW.pack(*setting) for setting in self.settings])

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data, of one to eight channels."""
        if not 0 < len(data) <= CHANNELS * cls.ROW.size:
            raise ValueError(f"{len(data)} bytes for a list of channels")
        return cls(tuple([Setting(*row) for row in cls.ROW.iter_unpack(data)]))


@dataclass(frozen=True, slots=True)
class StopChannelListMode(Bare):
    """Stop; any mode to START."""

    NUMBER: ClassVar[int] = 34


@dataclass(frozen=True, slots=True)
class SinglePulse:
    """Give one pulse now, on a channel counted from 0; in START only."""

    NUMBER: ClassVar[int] = 36
    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">BHB")
    index: int
    width_us: int
    current_ma: int

    def to_data(self) -> bytes:
        """Write the data. Raises struct.error for a number that does not fit its field."""
        return self.LAYOUT.pack(self.index, self.width_us, self.current_ma)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data."""
        return cls(*cls.LAYOUT.unpack(data))


# From the device


@dataclass(frozen=True, slots=True)
class Init:
    """I have begun anew, and speak this version; said every 500 ms until it is answered. Has the device's number."""

    NUMBER: ClassVar[int] = 1
    version: int

    def to_data(self) -> bytes:
        """Write the data."""
        return struct.pack(">B", self.version)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data."""
        return cls(*struct.unpack(">B", data))


@dataclass(frozen=True, slots=True)
class UnknownCommand:
    """I know no such command."""

    NUMBER: ClassVar[int] = 3
    command: int

    def to_data(self) -> bytes:
        """Write the data."""
        return struct.pack(">B", self.command)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data."""
        return cls(*struct.unpack(">B", data))


@dataclass(frozen=True, slots=True)
class GetStimulationModeAck:
    """Where the device stands; None where it does not say, for the result is not OK."""

    NUMBER: ClassVar[int] = 11
    result: Result
    mode: Mode | None

    def to_data(self) -> bytes:
        """Write the data."""
        return struct.pack(">b", self.result) + (b"" if self.mode is None else struct.pack(">B", self.mode))

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data; an unknown result or mode raises ValueError."""
        (number,) = struct.unpack_from(">b", data)
        result = Result(number)
        if result is not Result.OK and len(data) == 1:
            return cls(result, None)
        if result is not Result.OK or len(data) != 2:
            raise ValueError(f"{len(data)} bytes with the result {result.name}")
        return cls(result, Mode(data[1]))


@dataclass(frozen=True, slots=True)
class InitChannelListModeAck(Resulting):
    """Answers InitChannelListMode."""

    NUMBER: ClassVar[int] = 31


@dataclass(frozen=True, slots=True)
class StartChannelListModeAck(Resulting):
    """Answers StartChannelListMode."""

    NUMBER: ClassVar[int] = 33


@dataclass(frozen=True, slots=True)
class StopChannelListModeAck(Resulting):
    """Answers StopChannelListMode."""

    NUMBER: ClassVar[int] = 35


@dataclass(frozen=True, slots=True)
class SinglePulseAck(Resulting):
    """Answers SinglePulse."""

    NUMBER: ClassVar[int] = 37


@dataclass(frozen=True, slots=True)
class StimulationError:
    """I have stopped by myself, and stand in START. Has the device's number."""

    NUMBER: ClassVar[int] = 38
    fault: Fault

    def to_data(self) -> bytes:
        """Write the data."""
        return struct.pack(">b", self.fault)

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Read the data; an unknown fault raises ValueError."""
        return cls(Fault(*struct.unpack(">b", data)))


HostFrame = (
    InitAck
    | Watchdog
    | GetStimulationMode
    | InitChannelListMode
    | StartChannelListMode
    | StopChannelListMode
    | SinglePulse
)
Ack = GetStimulationModeAck | InitChannelListModeAck | StartChannelListModeAck | StopChannelListModeAck | SinglePulseAck
DeviceFrame = Init | UnknownCommand | StimulationError | Ack
Frame = HostFrame | DeviceFrame
Kinds = Mapping[int, type[Frame]]

HOST: Kinds = {
    kind.NUMBER: kind
    for kind in (
        InitAck,
        Watchdog,
        GetStimulationMode,
        InitChannelListMode,
        StartChannelListMode,
        StopChannelListMode,
        SinglePulse,
    )
}
DEVICE: Kinds = {
    kind.NUMBER: kind
    for kind in (
        Init,
        UnknownCommand,
        GetStimulationModeAck,
        InitChannelListModeAck,
        StartChannelListModeAck,
        StopChannelListModeAck,
        SinglePulseAck,
        StimulationError,
    )
}
OF_ITS_OWN = (Init, StimulationError)
"""What the device says unasked: the number on it is its own, and names none of our commands."""
