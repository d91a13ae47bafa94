"""The clock of a device that is fast or slow; all times that a device takes and gives are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hil.knob import Knob

MILLION = 1_000_000


class DriftingClock:
    """Runs with true time unless it drifts; it never jumps, and keeps what it has gained or lost."""

    def __init__(self) -> None:
        self._true_us = self._own_us = 0
        self._ppm = Knob(0)

    @contextmanager
    def drifting(self, ppm: int, now_us: Callable[[], int]) -> Iterator[None]:
        """Be so many millionths fast while the context lasts; `now_us` gives true time when it begins and ends."""
        self._fix(now_us())
        with self._ppm.covered(ppm):
            try:
                yield
            finally:
                self._fix(now_us())

    def own(self, true_us: int) -> int:
        """What it shows at a true time."""
        return self._own_us + (true_us - self._true_us) * (MILLION + self._ppm.value) // MILLION

    def true(self, own_us: int) -> int:
        """The first true microsecond at which it shows this time."""
        return self._true_us - (self._own_us - own_us) * MILLION // (MILLION + self._ppm.value)

    def lasts(self, own_us: float) -> float:
        """How long so many of its microseconds truly are."""
        return own_us * MILLION / (MILLION + self._ppm.value) if self._ppm.value else own_us

    def _fix(self, now_us: int) -> None:
        self._own_us, self._true_us = self.own(now_us), now_us
