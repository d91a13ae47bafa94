"""The arithmetic of a symmetric biphasic pulse train, in integers.

A train gives +ua for width_us, nothing for gap_us, -ua for width_us, and again every period_us. Limits on root-mean-
square figures are judged on
squares, so no root and no float decides about safety. Formulas: safety reference 1.2.
"""

from typing import NamedTuple

from safety.units import ceil_div

LOAD_OHM = 500
"""The load on which pulse energy and power are judged (IEC 60601-2-10, quoted from memory)."""


class Train(NamedTuple):
    """One channel's pulse train as this device can give it: current and width rounded down, period rounded up."""

    channel: int
    ua: int
    width_us: int
    gap_us: int
    period_us: int


class Picture(NamedTuple):
    """The whole output of a device; a channel that has no train here is off. Trains ascend by channel."""

    trains: tuple[Train, ...]


OFF = Picture(())


def phase_nc(train: Train) -> int:
    """Charge of one phase in nC, rounded up."""
    return ceil_div(train.ua * train.width_us, 1000)


def pulse_nc(train: Train) -> int:
    """Absolute charge of one pulse (both phases) in nC, rounded up."""
    return ceil_div(2 * train.ua * train.width_us, 1000)


def pulse_i2t(train: Train) -> int:
    """Integral of the squared current over one pulse, in uA^2 us (1 A^2 s is 10^18)."""
    return 2 * train.ua * train.ua * train.width_us


def rms_exceeds(train: Train, limit_ua: int) -> bool:
    """Tell whether the on-train r.m.s. current is above the limit: 2 I^2 w > limit^2 * period."""
    return pulse_i2t(train) > limit_ua * limit_ua * train.period_us


def density_exceeds(train: Train, area_mm2: int, limit_ua_cm2: int) -> bool:
    """Tell whether r.m.s. current over the smaller pad's area is above the limit in uA per cm^2."""
    allowed_ua_x100 = limit_ua_cm2 * area_mm2
    return pulse_i2t(train) * 10_000 > allowed_ua_x100 * allowed_ua_x100 * train.period_us


def power_exceeds(train: Train, area_mm2: int, limit_uw_cm2: int) -> bool:
    """Tell whether on-train power into 500 ohm over the pad's area is above the limit in uW per cm^2."""
    return LOAD_OHM * pulse_i2t(train) * 100 > limit_uw_cm2 * area_mm2 * train.period_us * 1_000_000


def energy_exceeds(train: Train, limit_uj: int) -> bool:
    """Tell whether one pulse into 500 ohm carries more than the limit in uJ."""
    return LOAD_OHM * pulse_i2t(train) > limit_uj * 1_000_000_000_000


def rms_ua(train: Train) -> int:
    """On-train r.m.s. current in uA, rounded up; for people and for reasons, never for a decision."""
    return root_up(ceil_div(pulse_i2t(train), train.period_us))


def direct_ua(train: Train, mismatch_ppm: int) -> int:
    """Worst net direct current in uA when the phases differ by mismatch_ppm, rounded up."""
    return ceil_div(train.ua * train.width_us * mismatch_ppm, train.period_us * 1_000_000)


def root_up(square: int) -> int:
    """Smallest integer whose square is at least `square` (Newton's method)."""
    if square <= 0:
        return 0
    root = square
    while True:
        better = (root + square // root) // 2
        if better >= root:
            return root if root * root >= square else root + 1
        root = better
