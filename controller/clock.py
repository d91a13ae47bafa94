"""The only clock: the boot clock, which also counts suspended time, and UTC."""

import ctypes
import time
from collections.abc import Callable

from safety.messages import Now

TIME_ERROR = 5
"""What adjtimex(2) answers where nothing disciplines the clock."""
TIMEX_BYTES = 512
"""More than struct timex has on any Linux; all zeros ask and set nothing."""
EARLIEST_MS = 1_767_225_600_000
"""2026-01-01, before this program was written: a clock that says less was never set."""


def now() -> Now:
    """Read both clocks, in ms."""
    return Now(mono_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, wall_ms=time.time_ns() // 1_000_000)


def running_s() -> float:
    """Read a clock that only ever runs, in s: for how long something took, never for a deadline."""
    return time.monotonic()


def is_disciplined() -> bool:
    """Tell whether the kernel says that something keeps its clock right (an NTP client or a reference clock)."""
    try:
        return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)) not in (-1, TIME_ERROR))
    except AttributeError:
        return False


def is_right(moment: Now, *, bench: bool, is_disciplined: Callable[[], bool]) -> bool:
    """Tell whether the wall clock may be believed (G25).

    On a bench, where nobody is treated, it is enough that the clock was ever set; else the kernel must vouch for it.
    """
    return moment.wall_ms >= EARLIEST_MS and (bench or is_disciplined())
