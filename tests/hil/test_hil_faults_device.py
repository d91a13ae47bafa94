"""Each fault of the device does what its row says, and nothing of it is left when it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hil.host import (
    ARMED,
    ASK,
    CUT,
    CUT_OFF,
    DEAD_MAN,
    ENVELOPE_END,
    HELLO,
    NAK,
    RUN_TRAIN,
    RUNNING,
    SELFTEST,
    STATUS,
    STOP,
    STOPPED,
    Host,
    answers_normally,
    silent,
)

pytestmark = pytest.mark.hazard("H35")


@pytest.fixture
def host() -> Host:
    """A device that runs 20 mA at 50 Hz on channel 1; its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = Host()
    host.run(RUN_TRAIN)
    host.wait(45_000)
    return host


@pytest.mark.hazard("H14")
def test_over_delivery_on_one_channel(host: Host):
    host.drive(2, RUN_TRAIN, (2, 10_000, 300, 0, 20_000))
    with host.bench.faults.injected("over_delivery", channel=2, gain=1.3):
        host.wait(20_000)
        assert [host.block(channel)["measured_ua"] for channel in (1, 2)] == [20_000, 10_000]
    assert host.bench.scope.total(1).max_ua == 20_000
    assert host.bench.scope.total(2).max_ua == 13_000
    answers_normally(host)


@pytest.mark.hazard("H14")
def test_dac_gain(host: Host):
    with host.bench.faults.injected("dac_gain", gain=1.3):
        host.wait(20_000)
        block = host.block()
        assert (block["set_ua"], block["measured_ua"]) == (20_000, 26_000)
    assert host.bench.scope.total(1).max_ua == 26_000
    answers_normally(host)


def end_by_stop(host: Host) -> None:
    assert host.ask(STOP)["state"] == STOPPED


def end_by_hello(host: Host) -> None:
    host.ask(HELLO)


def end_by_drive(host: Host) -> None:
    assert host.drive(2)["state"] == ARMED


def end_by_dead_man(host: Host) -> None:
    host.wait(500_000)
    assert host.status()["faults"] == DEAD_MAN


def end_by_patient(host: Host) -> None:
    host.bench.device.model.press(host.now_us)
    host.bench.device.model.release()
    host.wait(0)


def end_by_reset(host: Host) -> None:
    host.bench.device.reset(host.now_us, power=True)
    host.wait(0)


@pytest.mark.hazard("H10")
@pytest.mark.parametrize(
    "end", [end_by_stop, end_by_hello, end_by_drive, end_by_dead_man, end_by_patient, end_by_reset]
)
def test_nothing_but_cut_beats_a_stuck_output(host: Host, end: Callable[[Host], None]):
    with host.bench.faults.injected("stuck_output"):
        end(host)
        host.wait(100_000)
        before = host.bench.scope.total(1).pulses
        host.wait(100_000)
        assert host.bench.scope.total(1).pulses == before + 5
        # The readback is honest: nothing is set, current flows.
        block = host.block()
        assert (block["set_ua"], block["measured_ua"]) == (0, 20_000)
        assert host.ask(CUT)["state"] == CUT_OFF
        last = host.bench.scope.last_pulse_us(1)
        host.wait(1_000_000)
        assert host.bench.scope.last_pulse_us(1) == last
        assert host.block()["measured_ua"] == 0
    assert not host.bench.stage.is_live
    host.bench.device.reset(host.now_us, power=True)
    answers_normally(host)


def test_a_self_test_finds_a_stuck_output(host: Host):
    with host.bench.faults.injected("stuck_output"):
        host.ask(STOP)
        assert host.ask(SELFTEST)["result"] == 2
        assert host.arm()["code"] == 8
    assert host.ask(SELFTEST)["result"] == 0
    answers_normally(host)


def test_a_stuck_output_ignores_the_envelope_of_the_next_session(host: Host):
    with host.bench.faults.injected("stuck_output"):
        host.ask(STOP)
        host.arm((2, 1_000, 300, 8_000, 10**6))
        host.drive(1, (2, 1_000, 300, 0, 20_000))
        host.wait(100_000)
        # The firmware sees charge on a channel without an envelope and trips; the stage does not care.
        assert host.status()["state"] == STOPPED
        assert host.bench.scope.total(2).pulses == 0
        assert len(host.pulses()) == 8
    answers_normally(host)


@pytest.mark.hazard("H10")
def test_ignored_stop(host: Host):
    with host.bench.faults.injected("ignored_stop"):
        assert host.ask(STOP)["state"] == RUNNING
        host.wait(1_000_000)
    assert host.pulses()[-1] == 480_000
    assert host.status()["faults"] == DEAD_MAN
    answers_normally(host)


@pytest.mark.hazard("H10")
def test_silent_stop(host: Host):
    with host.bench.faults.injected("silent_stop"):
        assert silent(host, STOP)
        assert host.status()["state"] == RUNNING
        assert host.feed(2)["type"] == STATUS
        assert host.ask(CUT)["state"] == CUT_OFF
    host.bench.device.reset(host.now_us, power=True)
    answers_normally(host)


@pytest.mark.hazard("H13")
def test_device_reset(host: Host):
    with host.bench.faults.injected("device_reset"):
        status = host.status()
        assert (status["boot"], status["uptime_ms"], status["state"]) == (2, 0, STOPPED)
        host.wait(100_000)
    assert host.pulses() == [0, 20_000, 40_000]
    assert host.status()["boot"] == 2
    answers_normally(host)


@pytest.mark.parametrize(("power_cycle", "state"), [(False, CUT_OFF), (True, STOPPED)])
def test_a_reset_after_cut(host: Host, state: int, *, power_cycle: bool):
    host.ask(CUT)
    host.bench.faults.inject("device_reset", power_cycle=power_cycle)
    assert host.status()["state"] == state


@pytest.mark.hazard("H12")
def test_hung_firmware(host: Host):
    with host.bench.faults.injected("hung_firmware"):
        for kind in (STOP, HELLO, ASK):
            assert silent(host, kind)
        host.wait(1_000_000)
        assert [event["kind"] for event in host.events] == [4]
    assert host.pulses()[-1] == 480_000
    assert (host.status()["state"], host.status()["faults"]) == (STOPPED, DEAD_MAN)
    answers_normally(host)


@pytest.mark.hazard("H12")
def test_cut_and_patient_stop_work_while_the_firmware_hangs(host: Host):
    with host.bench.faults.injected("hung_firmware"):
        assert silent(host, CUT, b"\x01\x02")
        host.wait(100_000)
    assert host.status()["state"] == CUT_OFF
    assert host.pulses() == [0, 20_000, 40_000]
    host.bench.device.reset(host.now_us, power=True)
    host.run(RUN_TRAIN)
    host.wait(5_000)
    with host.bench.faults.injected("hung_firmware"):
        host.bench.device.model.press(host.now_us)
        host.bench.device.model.release()
        host.wait(100_000)
    assert host.status()["state"] == STOPPED
    assert host.bench.scope.total(1).pulses == 4
    answers_normally(host)


@pytest.mark.hazard("H12")
def test_hung_firmware_without_output(host: Host):
    with host.bench.faults.injected("hung_firmware", output=False):
        host.wait(100_000)
        assert silent(host, ASK)
    assert host.pulses() == [0, 20_000, 40_000]
    answers_normally(host)


@pytest.mark.hazard("H11")
def test_a_lost_dead_man_leaves_the_envelope(host: Host):
    host.ask(STOP)
    host.arm((1, 100_000, 500, 8_000, 10**12), lifetime_ms=2_000)
    host.drive(1, RUN_TRAIN)
    with host.bench.faults.injected("lost_dead_man"):
        host.wait(1_900_000)
        assert host.status()["state"] == RUNNING
        host.wait(200_000)
    # 2 s at 50 Hz from the second start, and the three pulses before it.
    assert host.bench.scope.total(1).pulses == 103
    assert host.status()["faults"] == ENVELOPE_END
    answers_normally(host)


@pytest.mark.hazard("H12")
def test_a_hung_device_without_dead_man_gives_pulses_for_ever(host: Host):
    with host.bench.faults.injected("lost_dead_man"), host.bench.faults.injected("hung_firmware"):
        host.wait(10_000_000)
        assert host.bench.scope.last_pulse_us(1) == host.now_us - 5_000
    host.wait(0)
    assert host.status()["faults"] == DEAD_MAN
    answers_normally(host)


def test_hung_firmware_keeps_no_lifetime_and_no_budget():
    host = Host()
    host.arm((1, 100_000, 500, 8_000, 24_000), lifetime_ms=100)
    host.drive(1, RUN_TRAIN)
    with host.bench.faults.injected("hung_firmware"):
        host.wait(200_000)
        assert host.bench.scope.total(1).pulses == 11
    host.wait(0)
    assert host.status()["state"] == STOPPED
    answers_normally(host)


@pytest.mark.hazard("H15")
@pytest.mark.parametrize(
    ("fraction", "net_nc", "imbalance"), [(0.0, 6_000, 255), (0.5, 3_000, 255), (0.97, 180, 30), (0.9799, 120.6, 21)]
)
def test_missing_phase_2(host: Host, fraction: float, net_nc: float, imbalance: int):
    assert host.block()["imbalance"] == 0
    with host.bench.faults.injected("missing_phase_2", fraction=fraction):
        host.wait(20_000)
        block = host.block()
        assert (block["charge_nc"], block["imbalance"]) == (-(-(48_000 - net_nc) // 1), imbalance)
        assert host.block(2)["imbalance"] == 0
    assert host.bench.scope.total(1).net_nc == pytest.approx(net_nc)
    answers_normally(host)


def test_wrong_echo(host: Host):
    with host.bench.faults.injected("wrong_echo", offset_ua=-500):
        assert host.block()["set_ua"] == 19_500
        assert host.block(2)["set_ua"] == 0
        host.wait(20_000)
    assert host.block()["set_ua"] == 20_000
    assert host.bench.scope.total(1).max_ua == 20_000
    answers_normally(host)


@pytest.mark.hazard("H50")
def test_supply(host: Host):
    with host.bench.faults.injected("supply", mv=9_000):
        host.wait(0)
        assert (host.events[-1]["kind"], host.events[-1]["faults"]) == (3, 16)
        host.wait(100_000)
        assert host.arm()["code"] == 8
    assert host.pulses() == [0, 20_000, 40_000]
    answers_normally(host)


@pytest.mark.hazard("H35")
def test_wrong_id(host: Host):
    with host.bench.faults.injected("wrong_id"):
        assert host.ask(HELLO)["flags"] == 126
        with host.bench.faults.injected("wrong_id", model="another", emulator=True):
            identity = host.ask(HELLO)
            assert (identity["flags"], identity["model"], identity["serial"]) == (127, "another", "EMU-0001")
        assert host.ask(HELLO)["model"] == "native-bench"
    assert host.ask(HELLO)["flags"] == 127
    answers_normally(host)


def test_a_model_name_that_does_not_fit_is_cut_to_fit(host: Host):
    with host.bench.faults.injected("wrong_id", model="ångström-" * 5):
        assert host.ask(HELLO)["model"] == "?ngstr?m-?ngstr?"


def test_failed_self_test(host: Host):
    host.ask(STOP)
    with host.bench.faults.injected("failed_self_test", result=4):
        assert host.ask(SELFTEST)["result"] == 4
    assert host.arm()["type"] == NAK
    assert host.ask(SELFTEST)["result"] == 0
    answers_normally(host)


def test_slow_answers(host: Host):
    with host.bench.faults.injected("slow_answers", delay_ms=70):
        assert silent(host, STOP)
        assert host.wait(69_999) == []
        (late,) = host.wait(1)
        assert (late["type"], late["seq"], late["state"]) == (STATUS, 99, STOPPED)
    # The device itself was not slow.
    assert host.pulses() == [0, 20_000, 40_000]
    answers_normally(host)
