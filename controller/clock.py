"""The only clock: the boot clock, which also counts suspended time, and UTC."""

import time

from safety.messages import Now


def now() -> Now:
    """Read both clocks, in ms."""
    return Now(mono_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, wall_ms=time.time_ns() // 1_000_000)
