"""The golden frames of ScienceMode 2 (SCIENCEMODE.md B5): what it is, the frame, its number, and what it says."""

from __future__ import annotations

from controller.devices import sciencemode2_frames as wire
from controller.devices.sciencemode2_frames import Fault, Mode, Result, Setting

TO_HOST: list[tuple[str, str, int, wire.DeviceFrame]] = [
    ("Init, version 1", "f0814781560001010f", 0, wire.Init(1)),
    ("UnknownCommand, 5f", "f0814d815603035f0f", 3, wire.UnknownCommand(0x5F)),
    ("InitChannelListModeAck, ok", "f081178156021f000f", 2, wire.InitChannelListModeAck(Result.OK)),
    ("StartChannelListModeAck, ok", "f0815381560321000f", 3, wire.StartChannelListModeAck(Result.OK)),
    (
        "StartChannelListModeAck, wrong mode",
        "f081ae81560321fd0f",
        3,
        wire.StartChannelListModeAck(Result.WRONG_MODE),
    ),
    ("StopChannelListModeAck, ok", "f0810481560523000f", 5, wire.StopChannelListModeAck(Result.OK)),
    ("SinglePulseAck, ok", "f081c781560625000f", 6, wire.SinglePulseAck(Result.OK)),
    ("StimulationError, electrode", "f0816781560726fe0f", 7, wire.StimulationError(Fault.ELECTRODE)),
    ("StimulationError, switch", "f0812781560826ff0f", 8, wire.StimulationError(Fault.SWITCH)),
    (
        "GetStimulationModeAck, started",
        "f081118151090b00020f",
        9,
        wire.GetStimulationModeAck(Result.OK, Mode.STARTED),
    ),
]

TO_DEVICE: list[tuple[str, str, int, wire.HostFrame]] = [
    ("InitAck, ok", "f0817f81560002000f", 0, wire.InitAck(Result.OK)),
    ("InitAck, wrong version", "f081fb81560102fb0f", 1, wire.InitAck(Result.VERSION)),
    ("Watchdog", "f0815c815701040f", 1, wire.Watchdog()),
    ("GetStimulationMode", "f0817681" + "57010a0f", 1, wire.GetStimulationMode()),
    (
        "InitChannelListMode, channels 1 and 3, 29 ms",
        "f081a8815c021e000500010038000f",
        2,
        wire.InitChannelListMode(0, 0b101, 0, 1, 56, 0),
    ),
    (
        "InitChannelListMode, 8 channels, the 8th skips 7, 1025 ms",
        "f081c9815c021e07ff80ff0800000f",
        2,
        wire.InitChannelListMode(7, 0xFF, 0x80, 255, 2_048, 0),
    ),
    (
        "StartChannelListMode, 12 and 20 mA",
        "f081f6815f03200000c80c00012c140f",
        3,
        wire.StartChannelListMode((Setting(0, 200, 12), Setting(0, 300, 20))),
    ),
    (
        "StartChannelListMode, 15 mA: an escaped 0F",
        "f081f6815203200000c8815a0f",
        3,
        wire.StartChannelListMode((Setting(0, 200, 15),)),
    ),
    (
        "StartChannelListMode, a doublet of 129 mA: escaped F0 and 81",
        "f081bf815d0420010081a581d40f",
        4,
        wire.StartChannelListMode((Setting(1, 240, 129),)),
    ),
    (
        "StartChannelListMode, 85 mA",
        "f081a3815303200000c8550f",
        3,
        wire.StartChannelListMode((Setting(0, 200, 85),)),
    ),
    (
        "StartChannelListMode, 10 mA",
        "f08139815303200000c80a0f",
        3,
        wire.StartChannelListMode((Setting(0, 200, 10),)),
    ),
    ("StopChannelListMode", "f081fa815705220f", 5, wire.StopChannelListMode()),
    ("SinglePulse, index 2", "f081bd815306240200fa190f", 6, wire.SinglePulse(2, 250, 25)),
]

OTHER_FORMS: list[tuple[str, str, int, wire.HostFrame]] = [
    ("85 mA, escaped", "f08177815203200000c881000f", 3, wire.StartChannelListMode((Setting(0, 200, 85),))),
    ("10 mA, escaped", "f081ed815203200000c8815f0f", 3, wire.StartChannelListMode((Setting(0, 200, 10),))),
]
"""What pysciencemode writes: it escapes bytes that need it not."""

GARBLED_COMMAND = "f081da8157015f0f"
"""What pysciencemode writes for GetStimulationMode: the command is changed, with no escape in front of it."""
