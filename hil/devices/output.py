"""The output stage of an emulated stimulator: from the picture it was told to the current in the body.

    pulse -> DAC -> sense resistor -> [over-delivery] -> supply, relay -> leads -> body -> scope

Its times are those of the device's own clock; bodies and scope have true time. What a device can measure of itself is
what its sense resistor sees; only the scope sees the rest of the chain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import copysign
from typing import Generic, NamedTuple, Protocol, TypeVar

from hil.body import Body, Step
from hil.drift import DriftingClock
from hil.knob import Knob
from hil.scope import Scope


class Pattern(Protocol):
    """A pulse that is repeated on one channel."""

    @property
    def channel(self) -> int:
        """Numbered from 1."""

    @property
    def period_us(self) -> int:
        """From one pulse to the next."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The pulse."""


P = TypeVar("P", bound=Pattern)


class Train(NamedTuple):
    """A symmetric, biphasic, rectangular pulse train on one channel."""

    channel: int
    ua: int
    width_us: int
    gap_us: int
    period_us: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """Both phases, and the gap between them."""
        first, second = Step(self.ua, self.width_us), Step(-self.ua, self.width_us)
        return (first, Step(0, self.gap_us), second) if self.gap_us else (first, second)


class Sensed(NamedTuple):
    """One pulse at the sense resistor: peak and end of the first phase, the charge of each."""

    peak_ua: int
    end_ua: float
    end_mv: float
    first_pc: int
    second_pc: int


class Output(ABC):
    """Gives single pulses; when and which, its kinds know. A fault may stick it to what it gives."""

    def __init__(self, bodies: Sequence[Body], scope: Scope, compliance_mv: int) -> None:
        self.dac_gain = [Knob(1.0) for _ in bodies]
        self.over_delivery = [Knob(1.0) for _ in bodies]
        self.second_phase = [Knob(1.0) for _ in bodies]
        self.stuck_ua: list[Knob[int | None]] = [Knob(None) for _ in bodies]
        self.leads = [Knob(index) for index in range(len(bodies))]
        self.powered = Knob(True)
        self.clock = DriftingClock()
        self.relay_closed = True
        self.compliance_mv = compliance_mv
        self._bodies = bodies
        self._scope = scope
        self._stuck = 0

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """True while pulses are given, whatever the device believes."""

    @abstractmethod
    def end(self, now_us: int) -> None:
        """Give nothing more, unless it is stuck."""

    @abstractmethod
    def _follow(self, now_us: int) -> None:
        """Give what it was told last."""

    @property
    def is_stuck(self) -> bool:
        """True while a fault holds it."""
        return self._stuck > 0

    def stick(self) -> None:
        """Hold what is given, or the first that comes."""
        self._stuck += 1

    def unstick(self, now_us: int) -> None:
        """Undo one `stick`; after the last one the stage gives what it was told meanwhile."""
        self._stuck -= 1
        if not self._stuck:
            self._follow(now_us)

    def give(self, at_us: int, train: Pattern) -> Sensed:
        """Give one pulse now, outside any rhythm."""
        if not (self.relay_closed and self.powered.value):
            return Sensed(0, 0.0, float(self.compliance_mv), 0, 0)
        true_us = self.clock.true(at_us)
        lead = self.leads[train.channel - 1].value
        seen = delivered = self._bodies[lead].pulse(true_us, self._driven(train), self.compliance_mv)
        gain = self.over_delivery[train.channel - 1].value
        if gain != 1.0:
            delivered = self._bodies[lead].pulse(true_us, self._driven(train, gain), self.compliance_mv)
        self._scope.record(lead + 1, true_us, delivered)
        first = seen.first
        first_pc, second_pc = (round(phase.charge_nc * 1000) for phase in (first, seen.second))
        return Sensed(round(first.peak_ua), first.end_ua, first.end_mv, first_pc, second_pc)

    def samples(self, at_us: int, train: Pattern, times_us: Sequence[float]) -> list[tuple[float, float]]:
        """Current in uA and voltage in mV at the sense resistor, without signs, at times of a pulse given now."""
        if not (self.relay_closed and self.powered.value):
            return [(0.0, 0.0)] * len(times_us)
        body = self._bodies[self.leads[train.channel - 1].value]
        true_us, times = self.clock.true(at_us), [self.clock.lasts(us) for us in times_us]
        return body.samples(true_us, self._driven(train), self.compliance_mv, times)

    def _driven(self, train: Pattern, over: float = 1.0) -> Sequence[Step]:
        """What the stage makes of a pulse: the DAC's current, and the second phase as far as it is given."""
        index = train.channel - 1
        gain, part = self.dac_gain[index].value * over, self.second_phase[index].value
        stuck_ua, lasts = self.stuck_ua[index].value, self.clock.lasts
        if (gain, part, stuck_ua, lasts(1)) == (1.0, 1.0, None, 1):
            return train.steps
        is_up = next((ua > 0 for ua, _ in train.steps if ua), True)
        driven = []
        for ua, us in train.steps:
            given_ua = ua * gain if stuck_ua is None or not ua else copysign(stuck_ua, ua) * over
            driven.append(Step(given_ua, lasts(us if ua == 0 or (ua > 0) == is_up else us * part)))
        return driven


class OutputStage(Output, Generic[P]):
    """Gives the pulses of a picture at their times, whoever told it so."""

    def __init__(self, bodies: Sequence[Body], scope: Scope, compliance_mv: int) -> None:
        super().__init__(bodies, scope, compliance_mv)
        self._told: tuple[P, ...] = ()
        self._trains: dict[int, P] = {}
        self._next_us: dict[int, int] = {}

    def show(self, trains: Sequence[P], now_us: int) -> None:
        """Give this picture from now on; a channel that runs keeps its rhythm, one that starts does so at once."""
        self._told = tuple(trains)
        if not (self._stuck and self._trains):
            self._follow(now_us)

    def end(self, now_us: int) -> None:
        """Give nothing more, unless it is stuck."""
        self.show((), now_us)

    @property
    def is_live(self) -> bool:
        """True while pulses are given, whatever the device believes."""
        return bool(self._trains)

    def due(self) -> tuple[int, P] | None:
        """The next pulse: when, and of which train."""
        if not self._next_us:
            return None
        at_us, channel = min((at_us, channel) for channel, at_us in self._next_us.items())
        return at_us, self._trains[channel]

    def step(self, at_us: int, train: Pattern) -> Sensed:
        """Give the pulse that is due and set the time of the one after it."""
        self._next_us[train.channel] = at_us + train.period_us
        return self.give(at_us, train)

    def _follow(self, now_us: int) -> None:
        self._trains = {train.channel: train for train in self._told}
        self._next_us = {channel: self._next_us.get(channel, now_us) for channel in self._trains}
