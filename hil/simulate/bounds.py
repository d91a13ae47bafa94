"""How long current may go on after something happened, and what no controller can do anything about."""

from __future__ import annotations

from collections.abc import Mapping

STOP_US = 110_000
"""From the order to stop to the last pulse: 100 ms (safety reference M23), and the frame on the slowest line."""
DEAD_MAN_US = {"native": 500_000, "sciencemode4": 2_000_000, "sciencemode2": 1_200_000}
"""After the last frame that a device has understood its output ends by itself (docs/devices.md)."""
LASTS_US = 5_000_000
"""How long a fault that is over is still felt: bytes that wait, answers that come late. Engineering default."""
SILENCE_US = 1_000_000
"""A controller stops on telemetry that is so old (safety reference M04)."""

BEYOND_COUNT: Mapping[str, str] = {
    "over_delivery": "the readback is upstream of what is given",
    "drifted_clock": "more pulses come than the device says",
    "swapped_leads": "another channel's pads carry it",
    "stuck_dac": "a device without readback gives it unseen",
    "dac_gain": "a device without readback gives it unseen",
    "stuck_output": "a device says that it has stopped, and has not",
}
"""Faults by which a device gives what nobody can count, and why."""
BEYOND_CAP: Mapping[str, str] = {
    "over_delivery": "the readback is upstream of what is given",
    "dac_gain": "two pulses pass before it is seen",
    "stuck_dac": "two pulses pass before it is seen",
    "swapped_leads": "another channel's pads carry it",
    "corrupt": "a device whose frames have no checksum of weight may read another figure",
}
"""Faults by which a device gives more than it was told, and why."""

CUT_US = 2_500_000
"""A stop that is not obeyed: repeated, at 250 ms the relay or the line is let go (safety reference M29), then the dead
man, at the longest 2 s, and as much again as the cut for what was on its way. Engineering default."""
BEYOND_STOP: Mapping[str, int | None] = {
    "stuck_output": None,  # only an open relay ends it, and not every device has one
    "lost_dead_man": None,  # only a stop that arrives ends it
    "ignored_stop": CUT_US,
    "silent_stop": CUT_US,
    "hung_firmware": CUT_US,
    "delay": CUT_US,
}
"""How much longer than otherwise a device may go on after a stop, as long as it has such a fault; None: for ever."""


def bound_us(fault: str, kind: str, of: Mapping[str, object]) -> int | None:
    """How long current may flow under a fault that stands alone; None: it may go on, or nobody can see it."""
    dead_us, is_native = DEAD_MAN_US[kind], kind == "native"
    match fault:
        case "dead_line" | "baud_mismatch" | "hung_firmware" | "pull":
            # No frame is understood any more: the dead man, and the frame that was on its way.
            return dead_us + 50_000
        case "half_open":
            return dead_us + 50_000 if of.get("direction") == "to_device" else SILENCE_US + STOP_US + 100_000
        case "device_reset" | "brown_out" | "module_error":
            return 50_000
        case "wrong_echo" if is_native:
            return SILENCE_US
        case "missing_phase_2" if is_native:
            return 2 * SILENCE_US
        case "short" if is_native:
            return 2 * SILENCE_US
    return None
