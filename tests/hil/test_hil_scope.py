"""The scope counts what reached the body and forgets nothing silently."""

from __future__ import annotations

from math import sqrt

import pytest

from hil.body import NOTHING, Phase, Pulse
from hil.scope import Scope, Total, Trace

pytestmark = pytest.mark.hazard("H35")


def phase(ua: float, width_us: float = 300.0) -> Phase:
    """A phase that was held."""
    return NOTHING._replace(peak_ua=ua, end_ua=ua, charge_nc=ua * width_us / 1e3, square=ua * ua * width_us)


def pulse(ua: float, second_ua: float | None = None, area_cm2: float | None = 25.0) -> Pulse:
    return Pulse(phase(ua), phase(ua if second_ua is None else second_ua), area_cm2)


def test_nothing_was_seen_at_first():
    scope = Scope(2)
    assert [scope.total(channel) for channel in (1, 2)] == [Total()] * 2
    assert scope.pulses(1) == []
    assert scope.last_pulse_us(1) is None
    assert scope.charge_nc(1) == 0


def test_pulses_and_totals_per_channel():
    scope = Scope(2)
    scope.record(1, 1_000, pulse(20_000))
    scope.record(2, 1_500, pulse(5_000))
    scope.record(1, 21_000, pulse(30_000, 10_000))
    assert scope.pulses(1) == [Trace(1_000, 20_000, 20_000, 12_000, 0), Trace(21_000, 30_000, 10_000, 12_000, 6_000)]
    assert scope.pulses(2) == [Trace(1_500, 5_000, 5_000, 3_000, 0)]
    total = scope.total(1)
    assert (total.pulses, total.charge_nc, total.net_nc, total.max_ua, total.last_us) == (
        2,
        24_000,
        6_000,
        30_000,
        21_000,
    )
    assert scope.charge_nc(2) == 3_000
    assert scope.last_pulse_us(2) == 1_500


def test_a_second_phase_that_is_too_strong_counts_in_the_peak_and_in_the_net_charge():
    scope = Scope(1)
    scope.record(1, 0, pulse(10_000, 40_000))
    assert scope.total(1).max_ua == 40_000
    assert scope.total(1).net_nc == -9_000


def test_no_current_is_no_pulse():
    scope = Scope(1)
    scope.record(1, 1_000, Pulse(NOTHING, NOTHING, 25.0))
    assert scope.total(1) == Total()
    assert scope.last_pulse_us(1) is None


@pytest.mark.parametrize(("since_us", "seen"), [(0, [10, 20, 30]), (20, [20, 30]), (21, [30]), (31, [])])
def test_pulses_since(since_us: int, seen: list[int]):
    scope = Scope(1)
    for at_us in (10, 20, 30):
        scope.record(1, at_us, pulse(1_000))
    assert [trace.at_us for trace in scope.pulses(1, since_us)] == seen


def test_the_ring_is_bounded_and_says_what_it_dropped():
    scope = Scope(1, depth=3)
    for at_us in range(5):
        scope.record(1, at_us, pulse(1_000))
    assert [trace.at_us for trace in scope.pulses(1)] == [2, 3, 4]
    assert scope.dropped(1) == 2
    assert scope.total(1).pulses == 5
    assert scope.charge_nc(1) == 5 * 600


def test_density_is_the_rms_between_two_pulses_over_the_area_that_touches():
    scope = Scope(1)
    scope.record(1, 0, pulse(40_000))
    assert scope.total(1).density == 0
    scope.record(1, 20_000, pulse(40_000))
    # The safety reference 1.2: 40 mA, 300 us, 50 Hz on 25 cm2 is 6.9 mA r.m.s. and 0.28 mA/cm2.
    assert scope.total(1).density == pytest.approx(40 * sqrt(2 * 300e-6 * 50) / 25)
    assert round(scope.total(1).density, 2) == 0.28
    scope.record(1, 40_000, pulse(40_000, area_cm2=12.5))
    assert round(scope.total(1).density, 2) == 0.55
    scope.record(1, 60_000, pulse(40_000))
    assert round(scope.total(1).density, 2) == 0.55


@pytest.mark.parametrize(("gap_us", "is_train"), [(999_999, True), (1_000_000, False)])
def test_pulses_far_apart_are_no_train(gap_us: int, is_train: bool):
    scope = Scope(1)
    scope.record(1, 0, pulse(40_000))
    scope.record(1, gap_us, pulse(40_000))
    assert (scope.total(1).density > 0) is is_train


def test_two_pulses_in_one_microsecond_are_counted_and_no_train():
    scope = Scope(1)
    scope.record(1, 5, pulse(40_000))
    scope.record(1, 5, pulse(40_000))
    assert (scope.total(1).pulses, scope.total(1).density) == (2, 0)


def test_a_load_without_skin_has_no_density():
    scope = Scope(1)
    for at_us in (0, 20_000):
        scope.record(1, at_us, pulse(40_000, area_cm2=None))
    assert scope.total(1).density == 0


def test_reset_forgets_everything():
    scope = Scope(2, depth=1)
    for at_us in (1, 2):
        scope.record(2, at_us, pulse(1_000))
    scope.reset()
    assert scope.total(2) == Total()
    assert scope.pulses(2) == []
    assert scope.dropped(2) == 0
