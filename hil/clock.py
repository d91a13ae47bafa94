"""The bench's only clock."""

import time


def boottime_us() -> int:
    """Microseconds since boot, suspend included: the base of every absolute time of the bench."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
