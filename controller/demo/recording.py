"""What was commanded and what came out, on one clock: the serial tape as our codec reads it, and the scope's pulses."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import accumulate
from typing import NamedTuple

from safety.prescription import Plan, Programme

from .planned import ON, RAMP_DOWN, RAMP_UP, REST, Stretch, stretches
from .told import Command

THERAPY_UA = 2_000
"""A pulse above this is therapy; the test pulses of the impedance check lie at or below it."""
PLATEAU_PERCENT = 99
"""From this share of the set-point on a command belongs to the plateau: the device's steps round it down."""
GONE = "after the stop"
"""The phase that no programme plans."""
BEFORE = (0, REST)
"""Cycle and phase at which a session begins."""


class Pulse(NamedTuple):
    """One pulse that reached the body: start on the boot clock, peak current, absolute charge of both phases."""

    at_us: int
    peak_ua: int
    pc: int


class Measured(NamedTuple):
    """One phase as it was given: the highest current commanded, the highest measured, how many pulses, their charge."""

    cycle: int
    phase: str
    commanded_ua: int
    measured_ua: int
    pulses: int
    pc: int


class Row(NamedTuple):
    """A planned phase beside the measured one; `measured` is None where it was never commanded."""

    planned: Stretch
    measured: Measured | None


@dataclass(frozen=True)
class Recording:
    """One channel of one session, from its first arming to `end_us`, when it was last looked at."""

    plan: Plan
    programme: Programme
    commands: tuple[Command, ...]
    pulses: tuple[Pulse, ...]
    end_us: int

    @cached_property
    def start_us(self) -> int | None:
        """The moment at which the programme stood at zero, told by the first current on its ramp; None without one."""
        first = next((command for command in self.commands if command.ua), None)
        if first is None or first.ua is None:
            return None
        return first.at_us - self.programme.ramp_up_ms * 1000 * first.ua // self.plan.ua

    @cached_property
    def stop_us(self) -> int | None:
        """The moment of the first stop after current was commanded; None where there was none."""
        if self.start_us is None:
            return None
        return next((at_us for at_us, ua in self.commands if ua is None and at_us > self.start_us), None)

    @cached_property
    def therapy(self) -> tuple[Pulse, ...]:
        """The pulses from the first command on, without the test pulses before it."""
        begin_us = self.commands[0].at_us if self.commands else self.end_us
        return tuple(pulse for pulse in self.pulses if pulse.at_us >= begin_us)

    @property
    def delivered_pc(self) -> int:
        """The charge of all therapy."""
        return sum(pulse.pc for pulse in self.therapy)

    def after(self, at_us: int) -> tuple[Pulse, ...]:
        """Give the pulses above 2 mA that began later than a moment."""
        return tuple(pulse for pulse in self.pulses if pulse.at_us > at_us and pulse.peak_ua > THERAPY_UA)

    def phases(self) -> tuple[Measured, ...]:
        """Cut the session where its commands changed phase; a pulse belongs to the phase of the command it obeyed."""
        told_ua = [command.ua for command in self.commands]
        marks = list(accumulate(told_ua, partial(next_phase, setpoint_ua=self.plan.ua), initial=BEFORE))[1:]
        begins_us = [command.at_us for command in self.commands]
        order = list(dict.fromkeys(marks))
        told = dict.fromkeys(order, 0)
        for mark, ua in zip(marks, told_ua, strict=True):
            told[mark] = max(told[mark], ua or 0)
        given: dict[tuple[int, str], list[Pulse]] = {mark: [] for mark in order}
        for pulse in self.therapy:
            given[marks[bisect_right(begins_us, pulse.at_us) - 1]].append(pulse)
        return tuple(
            Measured(*mark, told[mark], peak(given[mark]), len(given[mark]), sum(pulse.pc for pulse in given[mark]))
            for mark in order
        )

    def rows(self) -> tuple[Row, ...]:
        """Lay what was planned beside what was measured, phase by phase; the last row is the time after the stop."""
        measured = self.phases()
        by_place = {(each.cycle, each.phase): each for each in measured}
        planned = [Row(each, by_place.get((each.cycle, each.phase))) for each in stretches(self.plan, self.programme)]
        end_ms = self.programme.therapy_ms
        last = measured[-1] if measured and measured[-1].phase == GONE else None
        return (*planned, Row(Stretch(last.cycle if last else 0, GONE, end_ms, end_ms, 0, Fraction(0)), last))


def next_phase(before: tuple[int, str], ua: int | None, setpoint_ua: int) -> tuple[int, str]:
    """Tell cycle and phase after a command, from those before it."""
    cycle, phase = before
    if ua is None or phase == GONE:
        return cycle, GONE if cycle else REST
    if ua == 0:
        return cycle, REST
    cycle += phase == REST
    if ua * 100 >= setpoint_ua * PLATEAU_PERCENT:
        return cycle, ON
    return cycle, RAMP_DOWN if phase in {ON, RAMP_DOWN} else RAMP_UP


def peak(pulses: Iterable[Pulse]) -> int:
    """Give the highest current of some pulses; 0 where there are none."""
    return max((pulse.peak_ua for pulse in pulses), default=0)
