"""The bench as a whole in virtual time: who acts when, the tape, and the gap between readback and scope."""

from __future__ import annotations

import pytest

from hil.body import Skin
from hil.settings import BadSetting
from tests.hil.host import ASK, PLAIN, START_US, STATUS, STOP, Host, decoded, frame

pytestmark = pytest.mark.hazard("H35")

TRAIN = (1, 20_000, 300, 0, 20_000)


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_quiet_bench_has_nothing_to_do(host: Host):
    host.wait(0)
    assert host.bench.next_deadline_us() is None


def test_the_next_deadline_is_the_next_pulse_or_the_dead_man(host: Host):
    host.arm()
    assert host.bench.next_deadline_us() == START_US + 500_000
    host.drive(1, TRAIN)
    assert host.bench.next_deadline_us() == START_US + 20_000
    host.wait(490_000)
    assert host.bench.next_deadline_us() == START_US + 500_000


def test_the_tape_holds_what_the_host_wrote_and_got(host: Host):
    host.wait(0)
    host.wait(1_000)
    asked = frame(ASK, 9)
    host.send(asked)
    booted, to_device, to_host = host.bench.tape.since()
    assert (booted.at_us, booted.direction) == (START_US, "to_host")
    assert to_device == (START_US + 1_000, "to_device", asked)
    assert (to_host.at_us, to_host.direction) == (START_US + 1_000, "to_host")
    assert decoded(to_host.data)[0]["type"] == STATUS
    assert host.bench.tape.since(START_US + 1) == [to_device, to_host]
    assert host.bench.tape.dropped == 0


def test_the_tape_is_bounded(host: Host):
    for _ in range(60_000):
        host.bench.tape.note(0, "to_host", b"x")
        host.bench.tape.note(1, "to_device", b"y")
    assert len(host.bench.tape.since()) == 100_000
    assert host.bench.tape.dropped == 20_000


def test_acts_happen_at_their_time_between_the_pulses(host: Host):
    host.run(TRAIN)
    host.bench.at(START_US + 30_000, lambda: host.bench.device.model.press(host.bench.now_us))
    host.bench.at(START_US + 30_000, host.bench.device.model.release)
    host.jump(1_000_000)
    assert host.pulses() == [0, 20_000]
    assert [event["kind"] for event in host.events] == [4, 1, 2]


def test_late_time_keeps_the_order_of_acts_arrivals_and_pulses(host: Host):
    host.run(TRAIN)
    with host.bench.faults.injected("split", direction="to_device", size=1, gap_us=10_000):
        host.send(frame(STOP, 77))
    length = len(frame(STOP, 77))
    host.jump(1_000_000)
    # The last byte arrives after length - 1 gaps; a pulse of that microsecond comes first.
    last_us = (length - 1) * 10_000
    assert host.pulses() == list(range(0, last_us + 1, 20_000))
    assert host.status()["faults"] == 0


def test_an_act_comes_before_a_frame_of_the_same_microsecond(host: Host):
    host.run(TRAIN)
    with host.bench.faults.injected("split", direction="to_device", size=100, gap_us=0):
        host.bench.at(host.now_us + 5_000, lambda: host.bench.device.model.press(host.bench.now_us))
        host.now_us += 5_000
        assert host.feed(2)["code"] == 3
    host.bench.device.model.release()
    host.run(TRAIN)
    with host.bench.faults.injected("split", direction="to_device", size=7, gap_us=1_000):
        # The second and last piece of ASK arrives together with the press, and tells of it.
        host.bench.at(host.now_us + 1_000, lambda: host.bench.device.model.press(host.bench.now_us))
        assert host.send(frame(ASK, 1)) == []
        (status,) = host.wait(1_000)
    assert status["button"] & 1 == 1


@pytest.mark.hazard("H14")
def test_over_delivery_shows_at_the_scope_and_not_in_the_readback(host: Host):
    host.run(TRAIN)
    host.wait(20_000)
    honest = host.block()
    with host.bench.faults.injected("over_delivery", gain=1.5):
        host.wait(20_000)
        block = host.block()
    assert block["measured_ua"] == honest["measured_ua"] == 20_000
    assert block["ohm"] == honest["ohm"]
    assert block["charge_nc"] == 3 * 12_000
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 20_000, 30_000]
    assert host.bench.scope.charge_nc(1) == 2 * 12_000 + 18_000


@pytest.mark.hazard("H04")
def test_readback_equals_the_scope_on_a_sound_device():
    host = Host(Skin(), Skin(area_cm2=9.0))
    host.run(TRAIN, (2, 60_000, 400, 50, 10_000))
    host.keep(range(2, 10))
    for channel in (1, 2):
        block, total = host.block(channel), host.bench.scope.total(channel)
        assert block["pulses"] == total.pulses
        # Each pulse is measured to a picocoulomb, the sum is told in whole nanocoulombs.
        assert block["charge_nc"] == pytest.approx(total.charge_nc, abs=1 + total.pulses / 1000)


def test_density_follows_a_peel():
    host = Host()
    host.run((1, 40_000, 300, 0, 20_000))
    host.wait(100_000)
    assert round(host.bench.scope.total(1).density, 2) == 0.28
    with host.bench.faults.injected("peel", end=0.5, over_ms=0):
        host.wait(100_000)
    assert round(host.bench.scope.total(1).density, 2) == 0.55


@pytest.mark.parametrize(("channel", "indices"), [(None, [0, 1]), (1, [0]), (2, [1])])
def test_channels(host: Host, channel: int | None, indices: list[int]):
    assert host.bench.channels(channel) == indices


@pytest.mark.parametrize("channel", [0, 3, -1])
def test_a_channel_that_is_not_there(host: Host, channel: int):
    with pytest.raises(BadSetting, match="expected a channel from 1 to 2"):
        host.bench.channels(channel)


@pytest.mark.parametrize("how", ["wait", "jump"])
def test_hydration_runs_on_the_clock_of_the_bench(how: str):
    host = Host(Skin(yield_ma_cm2=None))
    ohms: list[int] = []
    for _ in range(3):
        ohms.append(host.probe(len(ohms) + 1)["ohm"])
        getattr(host, how)(180_000_000)
    factors = [1, 1 - 0.3 * 0.63212, 1 - 0.3 * 0.86466]
    assert ohms == [round(1564.35 * factor) for factor in factors]


def test_a_worn_skin_is_the_skin_that_was_put_on():
    host = Host(PLAIN)
    assert host.bench.bodies[0].at(host.now_us) is PLAIN
