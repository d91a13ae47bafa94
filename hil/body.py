"""The electrode-skin load of one channel: series resistance, and a skin layer of resistance and capacity in parallel.

The model and its figures are those of the safety reference 2.2 (engineering defaults, to be tuned to data). Physics in
SI units and floats; currents come in as microamperes and leave as microamperes and nanocoulombs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from math import exp, log, sqrt
from typing import Any, NamedTuple, TypeAlias

from hil.settings import Setting, Value


class Load(NamedTuple):
    """R_s + (R_p || C_p); a pure resistor has no parallel part."""

    series_ohm: float
    parallel_ohm: float
    farad: float


class Phase(NamedTuple):
    """What one phase of a current source did to a load; magnitudes, whatever the direction of the phase.

    `square` is the integral of the squared current in uA2 us, `cap_v` the voltage left on the skin's capacity.
    """

    peak_ua: float
    end_ua: float
    charge_nc: float
    end_mv: float
    square: float
    cap_v: float
    clipped: bool


class Step(NamedTuple):
    """A part of a pulse: a constant current with its sign, for so many microseconds."""

    ua: float
    us: float


class Pulse(NamedTuple):
    """The phases of a pulse and the contact area that carried them (None: no skin).

    `first` is all that flows in the direction of the first current, `second` all that flows against it.
    """

    first: Phase
    second: Phase
    area_cm2: float | None


NOTHING = Phase(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, clipped=False)


def drive(load: Load | None, ua: float, width_us: float, compliance_mv: float, cap_v: float = 0.0) -> Phase:
    """A constant-current phase that clips at the compliance voltage, from `cap_v` on the skin's capacity.

    While the source holds, the capacity charges towards I*R_p; once the rail is reached the source is a voltage, and
    the current moves exponentially towards rail / (R_s + R_p). It changes from one to the other once at most: the
    capacity moves in one direction, and the same way in both. Both parts are exact.
    """
    if width_us == 0:
        return NOTHING._replace(cap_v=cap_v)
    if ua == 0:
        left_v = cap_v * exp(-width_us * 1e-6 / (load.parallel_ohm * load.farad)) if cap_v and load else 0.0
        return NOTHING._replace(end_mv=left_v * 1e3, cap_v=left_v)
    if load is None:
        return NOTHING._replace(end_mv=compliance_mv, clipped=True)
    amp, seconds, rail = ua * 1e-6, width_us * 1e-6, compliance_mv * 1e-3
    series, parallel, farad = load
    if parallel == 0:
        steady_ua = min(ua, rail / series * 1e6)
        square = steady_ua * steady_ua * width_us
        end_mv = steady_ua * series / 1e3
        return Phase(steady_ua, steady_ua, steady_ua * width_us / 1e3, end_mv, square, 0.0, clipped=steady_ua < ua)

    tau = parallel * farad
    target = amp * parallel
    within = _held(load, ua, width_us, cap_v)
    if amp * series + max(cap_v, within.cap_v) <= rail:
        return within

    held, cap_clip = 0.0, cap_v
    if amp * series + cap_v < rail:
        cap_clip = rail - amp * series
        held = tau * log((cap_v - target) / (cap_clip - target))
    rest = seconds - held
    settle = rail * parallel / (series + parallel)
    fall = farad * series * parallel / (series + parallel)
    floor, excess = rail / (series + parallel), (settle - cap_clip) / series
    if not held and amp < floor:
        # From a stronger step of the same direction: the rail is left as soon as the capacity has fallen far enough.
        freed_v = rail - amp * series
        freed_us = fall * log((cap_v - settle) / (freed_v - settle)) * 1e6
        if freed_us < width_us:
            before = drive(load, ua, freed_us, compliance_mv, cap_v)
            return joined([before, _held(load, ua, width_us - freed_us, freed_v)])
    left = exp(-rest / fall)
    coulomb = amp * held + floor * rest + excess * fall * (1 - left)
    square = amp * amp * held + floor * floor * rest
    square += 2 * floor * excess * fall * (1 - left) + excess * excess * fall / 2 * (1 - left * left)
    return Phase(
        peak_ua=ua if held else (floor + max(excess, excess * left)) * 1e6,
        end_ua=(floor + excess * left) * 1e6,
        charge_nc=coulomb * 1e9,
        end_mv=compliance_mv,
        square=square * 1e18,
        cap_v=settle + (cap_clip - settle) * left,
        clipped=True,
    )


def _held(load: Load, ua: float, width_us: float, cap_v: float) -> Phase:
    """A phase in which the source holds its current, whatever voltage that takes."""
    series, parallel, farad = load
    target = ua * 1e-6 * parallel
    cap_end = target + (cap_v - target) * exp(-width_us * 1e-6 / (parallel * farad))
    end_mv = (ua * 1e-6 * series + cap_end) * 1e3
    return Phase(ua, ua, ua * width_us / 1e3, end_mv, ua * ua * width_us, cap_end, clipped=False)


def joined(phases: Sequence[Phase]) -> Phase:
    """Phases of one direction, one after the other, as one."""
    if len(phases) < 2:
        return phases[0] if phases else NOTHING
    return phases[-1]._replace(
        peak_ua=max(phase.peak_ua for phase in phases),
        charge_nc=sum(phase.charge_nc for phase in phases),
        square=sum(phase.square for phase in phases),
        clipped=any(phase.clipped for phase in phases),
    )


def _quantity(default: Value, text: str, low: float = 0.0, high: float = 1e6) -> Any:  # noqa: ANN401 - a field
    kind = float if default is None else type(default)
    return field(default=default, metadata={"setting": Setting(kind, default, text, low, high)})


@dataclass(frozen=True, slots=True)
class Skin:
    """A pair of equal pads on skin, or a plain resistor in its place. Defaults: safety reference 2.2."""

    area_cm2: float = _quantity(25.0, "area of one pad", 0.1, 1000.0)
    contact: float = _quantity(1.0, "fraction of the pad that touches", 0.0, 1.0)
    dryness: float = _quantity(1.0, "1 moist gel, 10 dry", 1.0, 100.0)
    hydration: float = _quantity(0.3, "part of the impedance that is lost as the skin gets moist", 0.0, 0.9)
    hydration_s: float = _quantity(180.0, "time constant of that", 1.0)
    scale: float = _quantity(1.0, "factor on the whole impedance (sweat, a gel bridge)", 0.01, 100.0)
    body_ohm: float = _quantity(250.0, "tissue between the pads", 1.0)
    series_ohm_cm2: float = _quantity(2_500.0, "gel and deep skin")
    parallel_ohm_cm2: float = _quantity(100_000.0, "outer skin: 50,000 young and wet, 300,000 old and dry", 1.0, 1e7)
    nf_cm2: float = _quantity(20.0, "capacity of the outer skin", 0.1, 1000.0)
    yield_ma_cm2: float | None = _quantity(0.5, "peak density that halves the outer skin's resistance", 0.01)
    lead_off: bool = _quantity(False, "the lead is open", 0, 1)
    resistor_ohm: float | None = _quantity(None, "a resistor instead of the skin: a test load or a short", 0.1)

    @property
    def contact_cm2(self) -> float | None:
        """The area that carries the current; None where there is no skin."""
        return None if self.resistor_ohm is not None else self.area_cm2 * self.contact

    def load(self, ua: float, compliance_mv: float, worn_us: int) -> Load | None:
        """The load that a pulse of this current meets; None is an open circuit.

        The outer skin gives way to the current density, so the load depends on the peak current of the pulse.
        """
        if self.lead_off:
            return None
        if self.resistor_ohm is not None:
            return Load(self.resistor_ohm, 0.0, 0.0)
        contact_cm2 = self.area_cm2 * self.contact
        if contact_cm2 == 0:
            return None
        factor = self.scale * (1 - self.hydration * (1 - exp(-worn_us / (self.hydration_s * 1e6))))
        both = 2 * self.dryness / contact_cm2
        series = (self.body_ohm + self.series_ohm_cm2 * both) * factor
        parallel = self.parallel_ohm_cm2 * both * factor
        if self.yield_ma_cm2 is not None:
            peak_ma = min(ua / 1e3, compliance_mv / series)
            parallel /= 1 + peak_ma / contact_cm2 / self.yield_ma_cm2
        return Load(series, parallel, self.nf_cm2 * 1e-9 * contact_cm2 / 2 / sqrt(self.dryness) / factor)


SETTINGS: dict[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Skin)}

Change: TypeAlias = Callable[[Skin, int], Skin]


class Body:
    """One channel's electrodes on a body over time; `skin` is how it was set up, faults change what is seen of it."""

    def __init__(self, skin: Skin, worn_since_us: int) -> None:
        self.skin = skin
        self._worn_since_us = worn_since_us
        self._changes: list[Change] = []

    def at(self, now_us: int) -> Skin:
        """The skin as it is now."""
        skin = self.skin
        for change in self._changes:
            skin = change(skin, now_us)
        return skin

    @contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Let a change, a function of the skin and of the time, act while the context lasts."""
        self._changes.append(change)
        try:
            yield
        finally:
            self._changes = [other for other in self._changes if other is not change]

    def pulse(self, at_us: int, steps: Sequence[Step], compliance_mv: float) -> Pulse:
        """A pulse of a constant-current source, step by step.

        Every pulse starts from a discharged skin: its time constant is 2 ms, and the shortest period of therapy 8 ms.
        """
        skin, load = self._meets(at_us, steps, compliance_mv)
        up: list[Phase] = []
        down: list[Phase] = []
        for (ua, _), _, phase in _through(load, steps, compliance_mv):
            if ua:
                (up if ua > 0 else down).append(phase)
        first, second = joined(up), joined(down)
        if down and next(ua for ua, _ in steps if ua) < 0:
            first, second = second, first
        return Pulse(first, second, skin.contact_cm2)

    def samples(
        self, at_us: int, steps: Sequence[Step], compliance_mv: float, times_us: Sequence[float]
    ) -> list[tuple[float, float]]:
        """Magnitudes of current in uA and voltage in mV at times of the same pulse, in ascending order."""
        _, load = self._meets(at_us, steps, compliance_mv)
        found = []
        start_us, left = 0.0, list(times_us)
        for step, cap_v, _ in _through(load, steps, compliance_mv):
            while left and left[0] <= start_us + step.us:
                part = drive(load, abs(step.ua), left.pop(0) - start_us, compliance_mv, cap_v)
                found.append((part.end_ua, abs(part.end_mv)))
            start_us += step.us
        return found + [(0.0, 0.0)] * len(left)

    def _meets(self, at_us: int, steps: Sequence[Step], compliance_mv: float) -> tuple[Skin, Load | None]:
        skin = self.at(at_us)
        peak_ua = max([abs(ua) for ua, _ in steps], default=0.0)
        return skin, skin.load(peak_ua, compliance_mv, at_us - self._worn_since_us)


def _through(load: Load | None, steps: Sequence[Step], compliance_mv: float) -> Iterator[tuple[Step, float, Phase]]:
    """Each step with the capacity's voltage before it, in the step's own direction, and what it did."""
    cap_v = 0.0
    for step in steps:
        sign = -1.0 if step.ua < 0 else 1.0
        phase = drive(load, abs(step.ua), step.us, compliance_mv, sign * cap_v)
        yield step, sign * cap_v, phase
        cap_v = sign * phase.cap_v
