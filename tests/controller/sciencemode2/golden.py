"""The golden frames of ScienceMode 2, to which the emulator's codec is held as well, in the words of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from controller.devices import sciencemode2_frames as wire
from controller.devices.sciencemode2_frames import Fault, Mode, Result, Setting

Fields = dict[str, Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "sciencemode2"


class Row(NamedTuple):
    """A frame: what it is, its bytes, its number, and what it says; None where that is no command of the document."""

    name: str
    data: bytes
    number: int
    frame: wire.Frame | None


def bits(channels: list[int]) -> int:
    """The mask of these channels."""
    return sum(1 << channel - 1 for channel in channels)


def listed(told: Fields) -> wire.Frame:
    """The command that makes a list."""
    codes = (told["t2_us"] - 1_500) // 500, (told["t1_us"] - 1_000) // 500
    active, rare = bits(told["active"]), bits(told["low_frequency"])
    return wire.InitChannelListMode(told["low_frequency_factor"], active, rare, *codes, told["execution"])


SAID: dict[int, Callable[[Fields], wire.Frame]] = {
    1: lambda told: wire.Init(told["version"]),
    2: lambda told: wire.InitAck(Result(told["result"])),
    3: lambda told: wire.UnknownCommand(told["unknown"]),
    4: lambda _: wire.Watchdog(),
    10: lambda _: wire.GetStimulationMode(),
    11: lambda told: wire.GetStimulationModeAck(Result(told["result"]), Mode(told["mode"])),
    30: listed,
    31: lambda told: wire.InitChannelListModeAck(Result(told["result"])),
    32: lambda told: wire.StartChannelListMode(
        tuple(Setting(pulse["mode"], pulse["width_us"], pulse["ma"]) for pulse in told["pulses"])
    ),
    33: lambda told: wire.StartChannelListModeAck(Result(told["result"])),
    34: lambda _: wire.StopChannelListMode(),
    35: lambda told: wire.StopChannelListModeAck(Result(told["result"])),
    36: lambda told: wire.SinglePulse(told["index"], told["width_us"], told["ma"]),
    37: lambda told: wire.SinglePulseAck(Result(told["result"])),
    38: lambda told: wire.StimulationError(Fault(told["trouble"])),
}


def said(told: Fields) -> wire.Frame | None:
    """What the fields of a row mean."""
    read = SAID.get(told["command"])
    return read(told) if read else None


def rows(name: str, direction: str) -> list[Row]:
    """The rows of a file, one way."""
    table = json.loads((GOLDEN / name).read_text(encoding="ascii"))
    return [
        Row(row["name"], bytes.fromhex(row["hex"]), row["fields"]["number"], said(row["fields"]))
        for row in table
        if row["direction"] == direction
    ]


TO_HOST = rows("frames.json", "device")
TO_DEVICE = rows("frames.json", "host")
VENDOR = rows("vendor.json", "host")
"""What pysciencemode writes: it escapes bytes that need it not, and changes others without an escape."""
