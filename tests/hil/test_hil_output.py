"""The output stage: what the sense resistor sees, what the body gets, and who can end it."""

from __future__ import annotations

import pytest

from hil.body import Body, Skin
from hil.devices.output import OutputStage, Sensed, Train
from hil.scope import Scope
from tests.hil.host import PLAIN

pytestmark = pytest.mark.hazard("H35")

TRAIN = Train(1, 20_000, 300, 0, 20_000)
OTHER = Train(2, 10_000, 200, 0, 30_000)


class Stage:
    """A stage, its bodies and its scope."""

    def __init__(self, *skins: Skin) -> None:
        self.scope = Scope(len(skins))
        self.stage = OutputStage([Body(skin, 0) for skin in skins], self.scope, 150_000)

    def until(self, end_us: int) -> list[tuple[int, int]]:
        """Step through the pulses up to a time; gives (time, channel)."""
        given = []
        while (due := self.stage.due()) and due[0] <= end_us:
            self.stage.step(*due)
            given.append((due[0], due[1].channel))
        return given


@pytest.fixture
def bench() -> Stage:
    return Stage(PLAIN, PLAIN)


def test_nothing_is_due_at_first(bench: Stage):
    assert bench.stage.due() is None
    assert not bench.stage.is_live


def test_pulses_in_the_order_of_time_and_channel(bench: Stage):
    bench.stage.show([OTHER, TRAIN], 1_000)
    assert bench.stage.is_live
    assert bench.until(61_000) == [
        (1_000, 1),
        (1_000, 2),
        (21_000, 1),
        (31_000, 2),
        (41_000, 1),
        (61_000, 1),
        (61_000, 2),
    ]


def test_a_pulse_as_sensed(bench: Stage):
    sensed = bench.stage.give(0, TRAIN)
    # 20 mA at the end of 300 us on 1,564.35 ohm.
    assert sensed._replace(end_mv=round(sensed.end_mv)) == Sensed(20_000, 20_000.0, 31_287, 6_000_000, 6_000_000)
    assert bench.scope.charge_nc(1) == 12_000


def test_a_pulse_outside_the_rhythm_leaves_the_rhythm(bench: Stage):
    bench.stage.show([TRAIN], 0)
    bench.stage.give(5_000, TRAIN)
    assert bench.stage.due() == (0, TRAIN)


@pytest.mark.hazard("H14")
def test_the_dac_is_in_front_of_the_sense_resistor(bench: Stage):
    with bench.stage.dac_gain[0].covered(1.3):
        assert bench.stage.give(0, TRAIN).peak_ua == 26_000
    assert bench.stage.give(20_000, TRAIN).peak_ua == 20_000
    assert [trace.first_ua for trace in bench.scope.pulses(1)] == [26_000, 20_000]


@pytest.mark.hazard("H14")
def test_over_delivery_is_behind_it_so_that_only_the_scope_sees_it(bench: Stage):
    honest = bench.stage.give(0, TRAIN)
    with bench.stage.over_delivery[0].covered(1.3):
        assert bench.stage.give(20_000, TRAIN) == honest
    assert [trace.first_ua for trace in bench.scope.pulses(1)] == [20_000, 26_000]
    assert bench.scope.charge_nc(1) == 12_000 + 15_600


def test_gains_are_per_channel(bench: Stage):
    with bench.stage.over_delivery[0].covered(2.0), bench.stage.dac_gain[0].covered(2.0):
        bench.stage.give(0, OTHER)
        bench.stage.give(0, TRAIN)
    assert bench.scope.total(2).max_ua == 10_000
    assert bench.scope.total(1).max_ua == 80_000


@pytest.mark.hazard("H15")
@pytest.mark.parametrize(("fraction", "net_nc"), [(0.0, 6_000), (0.5, 3_000), (1.0, 0)])
def test_the_second_phase_may_be_short(bench: Stage, fraction: float, net_nc: float):
    with bench.stage.second_phase[0].covered(fraction):
        sensed = bench.stage.give(0, TRAIN)
    assert bench.scope.total(1).net_nc == net_nc
    assert (sensed.first_pc, sensed.second_pc) == (6_000_000, (6_000 - net_nc) * 1_000)


def test_an_open_relay_ends_everything(bench: Stage):
    bench.stage.relay_closed = False
    bench.stage.show([TRAIN], 0)
    assert bench.stage.step(0, TRAIN) == Sensed(0, 0.0, 150_000.0, 0, 0)
    assert bench.scope.last_pulse_us(1) is None


def test_a_stuck_stage_keeps_its_picture(bench: Stage):
    bench.stage.show([TRAIN], 0)
    bench.stage.stick()
    bench.stage.show([], 10_000)
    bench.stage.show([OTHER], 15_000)
    assert bench.until(45_000) == [(0, 1), (20_000, 1), (40_000, 1)]
    # Let go, it shows what it was told last, from then on.
    bench.stage.unstick(50_000)
    assert bench.until(90_000) == [(50_000, 2), (80_000, 2)]


def test_a_stuck_stage_that_shows_nothing_takes_the_first_picture(bench: Stage):
    bench.stage.stick()
    bench.stage.show([], 0)
    bench.stage.show([TRAIN], 1_000)
    bench.stage.show([], 2_000)
    assert bench.until(21_000) == [(1_000, 1), (21_000, 1)]
    bench.stage.unstick(30_000)
    assert not bench.stage.is_live


def test_stuck_twice_is_let_go_twice(bench: Stage):
    bench.stage.show([TRAIN], 0)
    bench.stage.stick()
    bench.stage.stick()
    bench.stage.show([], 0)
    bench.stage.unstick(0)
    assert bench.stage.is_live
    bench.stage.unstick(0)
    assert not bench.stage.is_live


def test_what_runs_on_when_let_go_keeps_its_rhythm(bench: Stage):
    bench.stage.show([TRAIN], 0)
    bench.until(0)
    bench.stage.stick()
    bench.stage.show([TRAIN._replace(ua=5_000)], 1_000)
    bench.until(20_000)
    bench.stage.unstick(30_000)
    bench.until(40_000)
    assert [(trace.at_us, trace.first_ua) for trace in bench.scope.pulses(1)] == [
        (0, 20_000),
        (20_000, 20_000),
        (40_000, 5_000),
    ]
