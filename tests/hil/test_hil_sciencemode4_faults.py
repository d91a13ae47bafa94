"""The faults of the bench on a P24: each does what its row says and leaves nothing; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hil.devices.device import NotThisDevice
from hil.faults import FAULTS
from tests.hil.host4 import (
    CURRENT_DATA,
    DEVICE_ID,
    GENERAL_ERROR,
    LOW_INIT,
    MID_INIT,
    MID_STOP,
    MID_UPDATE,
    NOT_INITIALISED,
    OK,
    RESET,
    STATUS,
    Host4,
    Said,
    frame4,
    pattern,
    update,
)

pytestmark = pytest.mark.hazard("H35")

OTHERS_ONLY = ["wrong_echo", "failed_self_test", "blind_skin_check", "module_error"]
FITTING = [name for name, entry in FAULTS.items() if entry.layer != "host" and name not in OTHERS_ONLY]


@pytest.fixture
def host() -> Host4:
    """A P24 that gives 20 mA at 50 Hz on channel 1; its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = Host4()
    host.run()
    host.wait(45_000)
    return host


def since(host: Host4) -> int:
    """When the update of the fixture was."""
    return host.bench.scope.pulses(1)[0].at_us


def answers_normally(host: Host4) -> None:
    """What every test ends with: the device is as it was before anything was injected."""
    host.send(b"\x0f")
    host.jump(10_000_000)
    assert host.bench.faults.standing() == []
    assert host.ask(DEVICE_ID) == b"\x00EMU0000001"
    host.result(MID_STOP)
    assert host.status() == (0, 1)
    host.bench.scope.reset()
    fed_us = host.run()
    host.wait(45_000)
    assert host.data() == (OK, [1], [0] * 8)
    assert [trace.net_nc for trace in host.bench.scope.pulses(1)] == [0.0] * 3
    assert host.pulses(fed_us) == [(0, 20_000), (20_000, 20_000), (40_000, 20_000)]
    assert host.result(MID_STOP) == OK
    host.wait(100_000)
    assert len(host.times(fed_us)) == 3


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FITTING)
def test_each_fault_is_restored_when_its_context_breaks(host: Host4, fault: str):
    def breaking() -> None:
        with host.bench.faults.injected(fault):
            host.pass_by(50_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    answers_normally(host)


def test_all_faults_at_once_and_none_is_left(host: Host4):
    for fault in FITTING:
        host.bench.faults.inject(fault)
    host.pass_by(1_000_000)
    host.bench.receive(frame4(STATUS) + frame4(MID_STOP), host.now_us)
    host.bench.faults.clear_all()
    host.pass_by(1_000_000)
    answers_normally(host)


@pytest.mark.parametrize("fault", OTHERS_ONLY)
def test_a_fault_that_a_p24_cannot_have_is_refused(host: Host4, fault: str):
    with pytest.raises(NotThisDevice) as caught:
        host.bench.faults.inject(fault)
    assert str(caught.value) == (f"fault='{fault}': a sciencemode4 device has none; it has {', '.join(FITTING)}")
    assert host.bench.faults.standing() == []


# --- output -----------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H14")
def test_over_delivery_is_seen_by_the_scope_alone(host: Host4):
    with host.bench.faults.injected("over_delivery", channel=1, gain=1.3):
        host.wait(20_000)
        assert host.data() == (OK, [1], [0] * 8)
    assert host.bench.scope.total(1).max_ua == 26_000
    answers_normally(host)


@pytest.mark.hazard("H14")
def test_a_weak_dac_is_a_low_current(host: Host4):
    with host.bench.faults.injected("dac_gain", gain=0.9):
        host.wait(20_000)
        assert host.data() == (OK, [], [3, 0, 0, 0, 0, 0, 0, 0])
    answers_normally(host)


@pytest.mark.hazard("H14")
def test_a_strong_dac_is_nobody_s_error(host: Host4):
    with host.bench.faults.injected("dac_gain", gain=1.3):
        host.wait(20_000)
        assert host.data() == (OK, [1], [0] * 8)
    assert host.bench.scope.total(1).max_ua == 26_000
    answers_normally(host)


@pytest.mark.hazard("H15")
def test_missing_phase_2(host: Host4):
    with host.bench.faults.injected("missing_phase_2"):
        host.wait(20_000)
    assert host.bench.scope.total(1).net_nc == 4_000.0
    answers_normally(host)


def end_by_stop(host: Host4) -> None:
    assert host.result(MID_STOP) == OK


def end_by_update(host: Host4) -> None:
    assert host.result(MID_UPDATE, update()) == OK


def end_by_reset(host: Host4) -> None:
    assert host.result(RESET) == OK


def end_by_dead_man(host: Host4) -> None:
    host.wait(2_000_000)
    assert host.data()[1] == []


def end_by_power(host: Host4) -> None:
    with host.bench.faults.injected("supply", mv=0):
        host.wait(0)


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("end", [end_by_stop, end_by_update, end_by_reset, end_by_dead_man, end_by_power])
def test_nothing_ends_a_stuck_output(host: Host4, end: Callable[[Host4], None]):
    with host.bench.faults.injected("stuck_output"):
        end(host)
        before = host.bench.scope.total(1).pulses
        host.wait(10_000_000)
        assert host.bench.scope.total(1).pulses == before + 500
        assert host.bench.device.inside(host.now_us)["is_live"]
        # And the device says that it is off.
        assert host.status()[0] != 3
    assert not host.bench.stage.is_live
    answers_normally(host)


def test_a_stuck_output_follows_no_update(host: Host4):
    with host.bench.faults.injected("stuck_output"):
        assert host.result(MID_UPDATE, update(pattern(1, [(200, 60), (200, -60)]), pattern(2))) == OK
        host.wait(100_000)
        assert host.bench.scope.total(1).max_ua == 20_000
        assert host.bench.scope.total(2).pulses == 0
    host.wait(20_000)
    assert host.bench.scope.total(1).max_ua == 30_000
    answers_normally(host)


def test_pulses_that_nobody_told_are_no_channel_s_error(host: Host4):
    with host.bench.faults.injected("stuck_output"):
        assert host.result(MID_STOP) == OK
        assert host.result(MID_INIT, b"\x00") == OK
        with host.bench.faults.injected("short", ohm=20_000.0):
            host.wait(100_000)
        assert host.data() == (OK, [], [0] * 8)
    answers_normally(host)


# --- firmware ---------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H10")
def test_ignored_stop(host: Host4):
    start_us = since(host)
    with host.bench.faults.injected("ignored_stop"):
        assert host.result(MID_STOP) == OK
        assert host.status() == (3, 6)
        host.wait(3_000_000)
    assert host.times(start_us)[-1] == 1_980_000
    answers_normally(host)


@pytest.mark.hazard("H10")
def test_silent_stop(host: Host4):
    with host.bench.faults.injected("silent_stop"):
        assert host.is_silent(MID_STOP)
        assert host.status() == (3, 6)
    answers_normally(host)


@pytest.mark.hazard("H12")
@pytest.mark.parametrize(("output", "last_us"), [(True, 1_980_000), (False, 40_000)])
def test_hung_firmware(host: Host4, last_us: int, *, output: bool):
    start_us = since(host)
    with host.bench.faults.injected("hung_firmware", output=output):
        for command in (STATUS, MID_STOP, CURRENT_DATA, 900):
            assert host.is_silent(command)
        assert host.send(frame4(STATUS)[:-2] + b"\x00\x0f") == []
        host.wait(5_000_000)
    assert host.times(start_us)[-1] == last_us
    answers_normally(host)


@pytest.mark.hazard("H12")
def test_hung_firmware_and_no_dead_man(host: Host4):
    start_us = since(host)
    with host.bench.faults.injected("lost_dead_man"), host.bench.faults.injected("hung_firmware"):
        host.wait(10_000_000)
    assert len(host.times(start_us)) == 503
    answers_normally(host)


@pytest.mark.hazard("H12")
def test_what_waits_when_the_firmware_hangs_is_lost(host: Host4):
    assert host.result(MID_STOP) == OK
    assert host.is_silent(MID_INIT, b"\x00")
    assert host.is_silent(MID_UPDATE, update(pattern()))
    with host.bench.faults.injected("hung_firmware"):
        assert host.wait(100_000) == []
    assert host.wait(100_000) == []
    assert host.status() == (2, 6)
    answers_normally(host)


@pytest.mark.hazard("H11")
def test_lost_dead_man(host: Host4):
    start_us = since(host)
    with host.bench.faults.injected("lost_dead_man"):
        host.wait(10_000_000)
        assert len(host.times(start_us)) == 503
    host.wait(0)
    assert host.data() == (OK, [], [0] * 8)
    answers_normally(host)


@pytest.mark.hazard("H13")
@pytest.mark.parametrize("power_cycle", [False, True])
def test_device_reset(host: Host4, *, power_cycle: bool):
    start_us = since(host)
    with host.bench.faults.injected("device_reset", power_cycle=power_cycle):
        assert host.status() == (0, 1)
        assert host.result(CURRENT_DATA, b"\x04") == NOT_INITIALISED
        host.wait(100_000)
    assert host.times(start_us) == [0, 20_000, 40_000]
    answers_normally(host)


def test_a_reset_forgets_half_a_frame_and_all_that_waits(host: Host4):
    assert host.result(MID_STOP) == OK
    assert host.is_silent(MID_INIT, b"\x00")
    assert host.is_silent(STATUS)
    whole = frame4(STATUS)
    assert host.send(whole[:5]) == []
    host.bench.faults.inject("device_reset")
    host.bench.faults.clear_all()
    assert host.send(whole[5:]) == []
    assert host.wait(200_000) == []
    answers_normally(host)


@pytest.mark.hazard("H13")
@pytest.mark.hazard("H50")
@pytest.mark.parametrize("mv", [0, 4_399, 5_501])
def test_a_brown_out(host: Host4, mv: int):
    start_us = since(host)
    with host.bench.faults.injected("supply", mv=mv):
        assert host.bench.device.badge()["state"] == "OFF"
        for command in (STATUS, MID_STOP, LOW_INIT):
            assert host.is_silent(command)
        host.wait(100_000)
    assert host.status() == (0, 1)
    assert host.times(start_us) == [0, 20_000, 40_000]
    answers_normally(host)


@pytest.mark.hazard("H50")
@pytest.mark.parametrize("mv", [4_400, 5_500])
def test_a_supply_within_its_band_is_none(host: Host4, mv: int):
    with host.bench.faults.injected("supply", mv=mv):
        assert host.status() == (3, 6)
    answers_normally(host)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H22")
def test_wrong_id(host: Host4):
    with host.bench.faults.injected("wrong_id"):
        assert host.ask(DEVICE_ID) == b"\x00XMU0000001"
        with host.bench.faults.injected("wrong_id", model="I24 ångström"):
            assert host.ask(DEVICE_ID) == b"\x00I24 ?ngstr"
        with host.bench.faults.injected("wrong_id", model="I24"):
            assert host.ask(DEVICE_ID) == b"\x00I24       "
    answers_normally(host)


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, Said(0, STATUS + 1, b"\x00\x03\x06")),
        ({"number": 0, "command": 2}, Said(63, STATUS + 3, b"\x00\x03\x06")),
        ({"number": 0, "result": 10}, Said(63, STATUS + 1, b"\x0a\x03\x06")),
        ({"number": 0, "cut": 2}, Said(63, STATUS + 1, b"\x00")),
        ({"number": 0, "cut": 9}, Said(63, STATUS + 1, b"")),
    ],
)
def test_wrong_answer(host: Host4, settings: dict[str, int], said: Said):
    with host.bench.faults.injected("wrong_answer", **settings):
        assert host.send(frame4(STATUS, b"", 63)) == [said]
    answers_normally(host)


@pytest.mark.hazard("H10")
def test_slow_answers(host: Host4):
    with host.bench.faults.injected("slow_answers", delay_ms=70):
        assert host.is_silent(MID_STOP)
        assert host.wait(69_999) == []
        assert host.wait(1) == [Said(63, MID_STOP + 1, b"\x00")]
    # The device itself was not slow.
    assert host.bench.scope.total(1).pulses == 3
    answers_normally(host)


# --- the line ---------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
def test_dead_line(host: Host4):
    start_us = since(host)
    with host.bench.faults.injected("dead_line"):
        assert host.is_silent(MID_STOP)
        host.wait(3_000_000)
    assert host.times(start_us)[-1] == 1_980_000
    answers_normally(host)


@pytest.mark.hazard("H16")
def test_whole_frames_are_dropped_though_they_hold_raw_delimiters(host: Host4):
    # Row 12 of the golden frames: a raw F0 in its checksum.
    tricky = frame4(CURRENT_DATA, b"\x04", 10)
    assert b"\x81\xf0" in tricky
    with host.bench.faults.injected("drop", direction="to_device", nth=2):
        assert [one.number for one in host.send(frame4(STATUS, b"", 1) + tricky + frame4(STATUS, b"", 3))] == [1, 3]
    assert [one.number for one in host.send(tricky)] == [10]
    answers_normally(host)


@pytest.mark.hazard("H16")
def test_corrupt_frames_are_told_or_ignored_and_never_obeyed(host: Host4):
    for byte in range(len(frame4(MID_STOP))):
        for bit in range(8):
            with host.bench.faults.injected("corrupt", direction="to_device", byte=byte, bit=bit):
                assert {one.command for one in host.send(frame4(MID_STOP))} <= {GENERAL_ERROR}
            # A damaged stop byte leaves the frame open; the next start ends it.
            assert host.status() == (3, 6)
    answers_normally(host)


def test_split(host: Host4):
    with host.bench.faults.injected("split", direction="both", size=1, gap_us=87):
        assert host.is_silent(STATUS)
        length = len(frame4(STATUS))
        got = bytearray()
        for _ in range(100):
            host.now_us += 87
            piece = host.bench.advance(host.now_us)
            assert len(piece) <= 1
            got += piece
        assert length == 12
        assert len(got) == 15
    answers_normally(host)
