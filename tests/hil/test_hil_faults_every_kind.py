"""Faults that each kind of stimulator can have, on each kind: measured by the scope, and gone when they end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import pytest

from hil.body import Skin
from hil.devices.output import Train
from hil.scope import Trace
from tests.hil import host2
from tests.hil.host import ASK, PLAIN, RUN_TRAIN, STOP, Host, answers_normally, frame
from tests.hil.host4 import CURRENT_DATA, MID_STOP, Host4, frame4

pytestmark = pytest.mark.hazard("H35")

TRAIN = Train(*RUN_TRAIN)

AnyHost: TypeAlias = Host | Host4 | host2.Host


def native(*skins: Skin) -> AnyHost:
    host = Host(*(skins or (PLAIN, PLAIN)))
    host.run(RUN_TRAIN)
    return host


def sciencemode4(*skins: Skin) -> AnyHost:
    host = Host4(*skins)
    host.run()
    return host


def sciencemode2(*skins: Skin) -> AnyHost:
    host = host2.Host(*skins)
    host.run()
    return host


Running: TypeAlias = Callable[..., AnyHost]


@pytest.fixture(params=[native, sciencemode4, sciencemode2])
def running(request: pytest.FixtureRequest) -> Running:
    """Starts a device of a kind that gives 20 mA at 50 Hz on channel 1."""
    made: Running = request.param
    return made


@pytest.fixture
def host(running: Running) -> AnyHost:
    """Its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = running()
    host.wait(45_000)
    return host


def traces(host: AnyHost, channel: int = 1) -> list[Trace]:
    return host.bench.scope.pulses(channel)


def times(host: AnyHost, channel: int = 1) -> list[int]:
    """Microseconds after the first pulse of channel 1."""
    return [trace.at_us - traces(host)[0].at_us for trace in traces(host, channel)]


def gives_as_before(host: AnyHost) -> None:
    """The next pulses are those of the beginning."""
    host.bench.scope.reset()
    host.wait(60_000)
    assert [(trace.first_ua, trace.net_nc) for trace in traces(host)] == [(20_000, 0.0)] * 3
    assert {after.at_us - before.at_us for before, after in pairwise(traces(host))} == {20_000}
    assert [host.bench.scope.total(channel).pulses for channel in range(2, len(host.bench.bodies) + 1)] == [0] * (
        len(host.bench.bodies) - 1
    )


# --- device -----------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H14")
def test_a_stuck_dac_gives_its_own_current(host: AnyHost):
    with host.bench.faults.injected("stuck_dac", channel=1, ua=31_000):
        host.wait(40_000)
    assert [trace.first_ua for trace in traces(host)] == [20_000] * 3 + [31_000] * 2
    assert [trace.second_ua for trace in traces(host)] == [20_000] * 3 + [31_000] * 2
    assert [trace.net_nc for trace in traces(host)] == [0.0] * 5
    gives_as_before(host)


def test_a_dac_that_is_stuck_at_nothing(host: AnyHost):
    with host.bench.faults.injected("stuck_dac", ua=0), host.bench.faults.injected("dac_gain", gain=2.0):
        before = host.bench.scope.total(1)
        assert host.bench.stage.give(0, TRAIN).peak_ua == 0
        assert host.bench.scope.total(1) == before


def test_over_delivery_adds_to_a_stuck_dac(host: AnyHost):
    faults = host.bench.faults
    with faults.injected("stuck_dac", ua=30_000), faults.injected("over_delivery", gain=1.1):
        assert host.bench.stage.give(host.now_us, TRAIN).peak_ua == 30_000
    assert host.bench.scope.total(1).max_ua == 33_000


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("ppm", "pulses"),
    [
        # 20,000 us of its own last 16,000 true ones, and from 45 ms on 15 of the 20 are still to come.
        (250_000, [0, 20_000, 40_000, 57_000, 73_000, 89_000]),
        (-500_000, [0, 20_000, 40_000, 75_000]),
        (0, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
    ],
)
def test_a_drifted_clock_gives_pulses_at_other_times(host: AnyHost, ppm: int, pulses: list[int]):
    with host.bench.faults.injected("drifted_clock", ppm=ppm):
        host.wait(56_000)
    assert times(host) == pulses
    gives_as_before(host)


@pytest.mark.hazard("H16")
def test_a_drifted_clock_makes_pulses_longer(host: AnyHost):
    before_nc = traces(host)[0].charge_nc
    with host.bench.faults.injected("drifted_clock", ppm=-500_000):
        host.wait(56_000)
    assert traces(host)[-1].charge_nc == pytest.approx(2 * before_nc)
    assert traces(host)[-1].net_nc == 0.0
    gives_as_before(host)


@pytest.mark.hazard("H11")
@pytest.mark.parametrize(("ppm", "part"), [(1_000_000, 0.5), (0, 1.0), (-200_000, 1.25)])
def test_a_drifted_clock_moves_the_dead_man(running: Running, ppm: int, part: float):
    host = running()
    dead_man_us = {"native": 500_000, "sciencemode4": 2_000_000, "sciencemode2": 1_200_000}[host.bench.device.kind]
    with host.bench.faults.injected("drifted_clock", ppm=ppm):
        host.wait(3_000_000)
        # The last pulse is the last before the dead man: both are counted by the same clock.
        assert times(host)[-1] == round((dead_man_us - 20_000) * part)
    assert not host.bench.stage.is_live


def test_a_clock_that_has_drifted_never_jumps(host: AnyHost):
    bench = host.bench
    seen = [bench.own_us]
    for ppm in (1_000_000, -500_000, 333_333):
        with bench.faults.injected("drifted_clock", ppm=ppm):
            seen.append(bench.own_us)
            host.wait(30_000)
            seen.append(bench.own_us)
    gone = [after - before for before, after in pairwise(seen)]
    assert gone == [0, 60_000, 0, 15_000, 0, 39_999]
    assert bench.own_us - host.now_us == 24_999


@pytest.mark.hazard("H50")
@pytest.mark.hazard("H13")
def test_a_brown_out_is_silence_and_a_new_beginning(host: AnyHost):
    with host.bench.faults.injected("brown_out"):
        for request in _requests(host):
            assert host.bench.receive(request, host.now_us) == b""
        assert host.pass_by(600_000) == b""
    assert times(host) == [0, 20_000, 40_000]
    assert not host.bench.stage.is_live
    said = host.pass_by(0)
    # A native device and a RehaStim2 say that they have started; a P24 says nothing unasked.
    assert (said != b"") is (host.bench.device.kind != "sciencemode4")
    assert host.bench.device.badge()["state"] in {"STOPPED", "NONE", "START"}


@pytest.mark.hazard("H50")
def test_without_power_a_stuck_output_gives_nothing(host: AnyHost):
    with host.bench.faults.injected("stuck_output"):
        with host.bench.faults.injected("brown_out"):
            host.pass_by(100_000)
            assert times(host) == [0, 20_000, 40_000]
        host.pass_by(40_000)
        assert len(times(host)) == 5
    assert not host.bench.stage.is_live


def _requests(host: AnyHost) -> list[bytes]:
    if isinstance(host, Host):
        return [frame(ASK, 1), frame(STOP, 2)]
    if isinstance(host, Host4):
        return [frame4(CURRENT_DATA, b"\x04"), frame4(MID_STOP)]
    return [host2.frame(1, host2.GET_MODE), host2.frame(2, host2.STOP_LIST)]


# --- body -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H23")
def test_swapped_leads_bring_the_current_to_the_other_pads(running: Running):
    other = Skin(resistor_ohm=700.0)
    host = running(PLAIN, other)
    host.wait(45_000)
    with host.bench.faults.injected("swapped_leads"):
        host.wait(40_000)
        sensed = host.bench.stage.give(host.now_us, TRAIN)
        assert sensed.end_mv / sensed.end_ua * 1000 == pytest.approx(700)
    assert times(host) == [0, 20_000, 40_000]
    assert times(host, 2)[:2] == [60_000, 80_000]
    gives_as_before(host)


def test_leads_that_are_swapped_twice_are_where_they_were(host: AnyHost):
    with host.bench.faults.injected("swapped_leads"), host.bench.faults.injected("swapped_leads", channel=2, other=1):
        host.wait(40_000)
    assert times(host) == [0, 20_000, 40_000, 60_000, 80_000]
    gives_as_before(host)


@pytest.mark.hazard("H17")
def test_a_test_load_is_a_plain_resistor(host: AnyHost):
    with host.bench.faults.injected("test_load", channel=1):
        for width_us in (100, 400):
            sensed = host.bench.stage.give(host.now_us, TRAIN._replace(width_us=width_us))
            assert sensed.end_mv / sensed.end_ua * 1000 == pytest.approx(500)
        assert host.bench.bodies[1].at(host.now_us) is PLAIN
    assert host.bench.bodies[0].at(host.now_us) is PLAIN
    gives_as_before(host)


@pytest.mark.hazard("H49")
def test_motion_wobbles_slowly_within_its_depth(host: AnyHost):
    with host.bench.faults.injected("motion", depth=0.1, hz=1.0, seed=4):
        scales = [host.bench.bodies[0].at(host.now_us + ms * 1_000).scale for ms in range(20_000)]
        other = [host.bench.bodies[1].at(host.now_us + ms * 1_000).scale for ms in range(20_000)]
    assert 0.9 <= min(scales) < 0.93
    assert 1.07 < max(scales) <= 1.1
    # Three tones of at most 1.7 Hz: the mean of their slopes, and never a step.
    steepest = 0.1 * 6.2832 * (0.6 + 1.0 + 1.7) / 3 / 1_000
    assert max(abs(after - before) for before, after in pairwise(scales)) <= steepest
    assert scales != other
    assert host.bench.bodies[0].at(host.now_us) is PLAIN
    gives_as_before(host)


def test_motion_follows_its_seed_and_the_bench_s():
    def scales(bench_seed: int, **settings: int) -> list[float]:
        host = Host(seed=bench_seed)
        with host.bench.faults.injected("motion", **settings):
            return [host.bench.bodies[0].at(host.now_us + ms * 1_000).scale for ms in range(0, 2_000, 50)]

    assert scales(1) == scales(1) != scales(2)
    assert scales(1, seed=9) == scales(2, seed=9) != scales(1)
    host = Host()
    host.run(RUN_TRAIN)
    with host.bench.faults.injected("motion", depth=0.3, hz=3.0):
        ohms = []
        for grant in range(2, 12):
            host.wait(40_000)
            host.feed(grant)
            ohms.append(host.block()["ohm"])
    assert len(set(ohms)) == 10
    assert 1_564 * 0.7 <= min(ohms) < 1_564 < max(ohms) <= 1_564 * 1.3
    answers_normally(host)
