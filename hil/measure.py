"""Measurements with a unit and a limit; a time counts only if the bench's own clock took it.

    measure("peak", mA, trace.first_ua * uA).at_most(20.4)
    measure("stop_latency", ms, clock.since(asked_us)).at_most(100)
    with measure("stop_latency", ms).at_most(100):
        await controller.stop()

How long a machine under load took is no property of a controller: a time by the wall's clock is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

from hil.evidence import Measurement

Base: TypeAlias = Literal["virtual", "emulator", "host", "instrument"]
"""Whose clock a time was taken by. The host's is the wall's."""

Ends: TypeAlias = tuple[float | None, float | None]


class NotMeasurableError(ValueError):
    """A figure that cannot be judged, and why."""


class LimitMissedError(AssertionError):
    """A measurement outside its limit."""


class Quantity(NamedTuple):
    """A figure with its unit; not for times, which come as a Span."""

    value: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its name, of what it is one, and how many of the smallest of them it holds."""

    name: str
    of: str
    holds: int = 1

    def __rmul__(self, value: float) -> Quantity:
        return Quantity(value, self)


us, ms, s = Unit("us", "time"), Unit("ms", "time", 1_000), Unit("s", "time", 1_000_000)
uA, mA = Unit("uA", "current"), Unit("mA", "current", 1_000)  # noqa: N816 - as everybody writes them
nC, uC = Unit("nC", "charge"), Unit("uC", "charge", 1_000)  # noqa: N816
mA_cm2 = Unit("mA/cm2", "current density")  # noqa: N816
mV, V = Unit("mV", "voltage"), Unit("V", "voltage", 1_000)  # noqa: N816
ohm, kohm = Unit("ohm", "resistance"), Unit("kohm", "resistance", 1_000)
percent, count = Unit("%", "ratio"), Unit("", "number")


class Span(NamedTuple):
    """A time between two moments of one clock."""

    us: int
    base: Base


class Ticking(Protocol):
    """A clock."""

    @property
    def base(self) -> Base:
        """Whose it is."""

    @property
    def now_us(self) -> int:
        """What it shows."""


class Gauge:
    """One measurement: a value and a limit, or a limit and a block whose time is the value."""

    def __init__(self, sheet: Sheet, name: str, unit: Unit, value: float | Quantity | Span | None) -> None:
        self._sheet = sheet
        self._name = name
        self._unit = unit
        self._value = value
        self._limit: Literal["none", "at_most", "at_least", "within", "exactly"] = "none"
        self._ends: Ends = None, None
        self._began_us = 0

    def at_most(self, high: float) -> Gauge:
        """Pass up to this value; raises LimitMissedError and NotMeasurableError, as the other limits do."""
        __tracebackhide__ = True
        self._limit = "at_most"
        return self._limited(None, high)

    def at_least(self, low: float) -> Gauge:
        """Pass from this value on."""
        __tracebackhide__ = True
        self._limit = "at_least"
        return self._limited(low, None)

    def between(self, low: float, high: float) -> Gauge:
        """Pass from one value to another, both included."""
        __tracebackhide__ = True
        self._limit = "within"
        return self._limited(low, high)

    def equals(self, value: float) -> Gauge:
        """Pass at this very value."""
        __tracebackhide__ = True
        self._limit = "exactly"
        return self._limited(value, value)

    def noted(self) -> Gauge:
        """Pass whatever it is, and be on record."""
        return self._limited(None, None)

    def __enter__(self) -> Self:
        if self._value is not None or self._unit.of != "time":
            raise NotMeasurableError(f"{self._name}: a block gives a time, and no other value")
        self._began_us = self._sheet.clock.now_us
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        __tracebackhide__ = True
        self._sheet.pending.remove(self)
        if kind is None:
            self._value = Span(self._sheet.clock.now_us - self._began_us, self._sheet.clock.base)
            self._judge(self._value)

    def __str__(self) -> str:
        return self._name

    def _limited(self, low: float | None, high: float | None) -> Gauge:
        __tracebackhide__ = True
        self._ends = low, high
        if self._value is not None:
            self._sheet.pending.remove(self)
            self._judge(self._value)
        return self

    def _judge(self, given: float | Quantity | Span) -> None:
        __tracebackhide__ = True
        value = self._read(given)
        low, high = self._ends
        passed = (low is None or low <= value) and (high is None or value <= high)
        self._sheet.keep(
            Measurement(
                name=self._name, value=value, unit=self._unit.name, limit=self._limit, low=low, high=high, passed=passed
            )
        )
        if not passed:
            raise LimitMissedError(f"{self._name}: {value:.12g}{self._tail}, expected {self._expected}")

    def _read(self, given: float | Quantity | Span) -> float:
        is_time = self._unit.of == "time"
        if isinstance(given, Span):
            if not is_time:
                raise NotMeasurableError(f"{self._name}: a time is not told in {self._unit.name}")
            if given.base == "host":
                raise NotMeasurableError(
                    f"{self._name}: a real port has only the clock of this host, and what a busy host takes is no"
                    " property of the controller; judge times between pulses (scope.span), or on an emulated bench"
                )
            return given.us / self._unit.holds
        if is_time:
            raise NotMeasurableError(
                f"{self._name}: {given!r} may be any clock's; a time comes from the bench's clock: clock.since,"
                " clock.span, scope.span, or the block of `with measure(...)`"
            )
        value = given
        if isinstance(given, Quantity):
            if given.unit.of != self._unit.of:
                raise NotMeasurableError(f"{self._name}: {given.unit.name} is not told in {self._unit.name}")
            value = given.value * given.unit.holds / self._unit.holds
        if not isinstance(value, int | float) or not isfinite(value):
            raise NotMeasurableError(f"{self._name}: {value!r} is no finite number")
        return float(value)

    @property
    def _tail(self) -> str:
        return f" {self._unit.name}" if self._unit.name else ""

    @property
    def _expected(self) -> str:
        low, high = ("" if end is None else f"{end:.12g}{self._tail}" for end in self._ends)
        words = {"at_most": f"at most {high}", "at_least": f"at least {low}", "within": f"{low} to {high}"}
        return words.get(self._limit, f"exactly {low}")


@dataclass(slots=True)
class Sheet:
    """All measurements of one test; `pending` are those that have no value or no limit yet."""

    clock: Ticking
    keep: Callable[[Measurement], None]
    pending: list[Gauge] = field(default_factory=list)

    def __call__(self, name: str, unit: Unit, value: float | Quantity | Span | None = None) -> Gauge:
        """Begin a measurement: what it is, in which unit, and its value unless a block gives it."""
        gauge = Gauge(self, name, unit, value)
        self.pending.append(gauge)
        return gauge
