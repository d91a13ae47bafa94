"""The oscilloscope on the electrode leads: it sees the current that reaches the body, downstream of every fault."""

from __future__ import annotations

from collections import deque
from math import sqrt
from typing import NamedTuple

from hil.body import Pulse

DEPTH = 200_000
"""Pulses kept per channel: more than half an hour at 100 Hz. Engineering default."""


class Trace(NamedTuple):
    """One pulse as measured: start on the boot clock, peak of each phase, absolute and net charge of both."""

    at_us: int
    first_ua: int
    second_ua: int
    charge_nc: float
    net_nc: float


class Total(NamedTuple):
    """All that a channel delivered since the scope was reset.

    `density` is the greatest r.m.s. density in mA/cm2 between two consecutive pulses less than 1 s apart.
    """

    pulses: int = 0
    charge_nc: float = 0.0
    net_nc: float = 0.0
    max_ua: int = 0
    density: float = 0.0
    last_us: int | None = None


class Scope:
    """Pulses and their integrals per channel, numbered from 1; a bounded ring each, totals over everything."""

    def __init__(self, channels: int, depth: int = DEPTH) -> None:
        self._depth = depth
        self._rings: list[deque[Trace]] = []
        self._totals = [Total()] * channels
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._rings = [deque(maxlen=self._depth) for _ in self._totals]
        self._totals = [Total()] * len(self._totals)

    def record(self, channel: int, at_us: int, pulse: Pulse) -> None:
        """Take in one pulse of electrode current; a pulse that carried nothing is none."""
        first, second, area_cm2 = pulse
        charge_nc = first.charge_nc + second.charge_nc
        if charge_nc == 0:
            return
        net_nc = first.charge_nc - second.charge_nc
        trace = Trace(at_us, round(first.peak_ua), round(second.peak_ua), charge_nc, net_nc)
        self._rings[channel - 1].append(trace)
        pulses, total_nc, total_net_nc, max_ua, density, last_us = self._totals[channel - 1]
        if area_cm2 and last_us is not None and 0 < at_us - last_us < 1_000_000:
            rms_ma = sqrt((first.square + second.square) / (at_us - last_us)) / 1e3
            density = max(density, rms_ma / area_cm2)
        self._totals[channel - 1] = Total(
            pulses + 1,
            total_nc + charge_nc,
            total_net_nc + net_nc,
            max(max_ua, trace.first_ua, trace.second_ua),
            density,
            at_us,
        )

    def pulses(self, channel: int, since_us: int = 0) -> list[Trace]:
        """The pulses that began at or after a time, oldest first, as far as the ring holds them."""
        found = []
        for trace in reversed(self._rings[channel - 1]):
            if trace.at_us < since_us:
                break
            found.append(trace)
        return found[::-1]

    def dropped(self, channel: int) -> int:
        """Pulses that the totals count and the ring no longer holds."""
        return self._totals[channel - 1].pulses - len(self._rings[channel - 1])

    def total(self, channel: int) -> Total:
        """Everything since the last reset."""
        return self._totals[channel - 1]

    def charge_nc(self, channel: int) -> float:
        """Absolute charge of both phases."""
        return self._totals[channel - 1].charge_nc

    def last_pulse_us(self, channel: int) -> int | None:
        """Start of the last pulse; None when there was none."""
        return self._totals[channel - 1].last_us
