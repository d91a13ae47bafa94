"""Each fault does to a RehaStim2 what its row says and leaves nothing behind; what cannot be is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hil.devices.device import NotThisDevice
from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.verbs import answer
from hil.wire import NullModem
from tests.hil.host import PLAIN
from tests.hil.host2 import (
    ELECTRODE,
    ERROR,
    GET_MODE,
    INIT,
    INIT_LIST,
    MODULE,
    OK,
    SINGLE,
    SINGLE_DATA,
    START,
    START_LIST,
    STARTED,
    STOP_LIST,
    WATCHDOG,
    Host,
    frame,
    list_data,
    row,
)

pytestmark = pytest.mark.hazard("H35")

HAS = [entry.id for entry in Host().bench.faults.possible()]
HOST = {name for name, entry in FAULTS.items() if entry.layer == "host"}


@pytest.fixture
def host() -> Host:
    """A device that gives 20 mA at 50 Hz on channel 1; its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = Host()
    host.run()
    host.wait(45_000)
    return host


def works_normally(host: Host) -> None:
    """What every test ends with: the device is as it was before anything was injected."""
    assert host.bench.faults.standing() == []
    host.wait(2_000_000)
    host.send(b"\x0f")
    assert not host.model.is_connected
    host.connect()
    assert host.mode() == START
    assert host.said[-1][1].data == b"\x01"
    host.bench.scope.reset()
    now_us = host.now_us - 5_000_000
    host.run()
    host.wait(45_000)
    assert host.pulses() == [now_us, now_us + 20_000, now_us + 40_000]
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000] * 3
    assert [trace.net_nc for trace in host.bench.scope.pulses(1)] == [0] * 3
    assert host.result(STOP_LIST) == OK
    host.wait(100_000)
    assert len(host.pulses()) == 3


# --- which ------------------------------------------------------------------------------------------------------------


def test_what_the_device_cannot_have():
    assert set(FAULTS) - set(HAS) - HOST == {"wrong_echo", "failed_self_test", "channel_error"}


@pytest.mark.parametrize("fault", ["wrong_echo", "failed_self_test", "channel_error"])
async def test_a_fault_that_cannot_be_is_refused_by_a_code(host: Host, fault: str):
    with pytest.raises(NotThisDevice, match=f"fault='{fault}': a sciencemode2 device has none; it has peel, "):
        host.bench.faults.inject(fault)
    emulator = Emulator(host.bench, NullModem(lambda _: None), lambda: host.now_us)
    said = answer(emulator, json.dumps({"id": 4, "do": "fault.inject", "fault": fault}).encode())
    assert (said["id"], said["ok"], said["code"]) == (4, False, "not_this_device")
    emulator.stop()
    works_normally(host)


@pytest.mark.parametrize("fault", HAS)
def test_each_fault_is_restored_by_its_token(host: Host, fault: str):
    token = host.bench.faults.inject(fault)
    assert [one.token for one in host.bench.faults.standing()] == [token]
    host.pass_by(50_000)
    host.bench.faults.clear(token)
    works_normally(host)


def test_all_faults_at_once_and_none_is_left(host: Host):
    for fault in HAS:
        host.bench.faults.inject(fault)
    host.pass_by(1_000_000)
    host.bench.receive(frame(1, STOP_LIST), host.now_us)
    host.bench.faults.clear_all()
    works_normally(host)


# --- device -----------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H14")
@pytest.mark.parametrize("fault", ["over_delivery", "dac_gain"])
def test_more_current_than_told_is_seen_by_the_scope_alone(host: Host, fault: str):
    with host.bench.faults.injected(fault, channel=1, gain=1.3):
        host.wait(20_000)
        assert host.mode() == STARTED
    assert host.bench.scope.total(1).max_ua == 26_000
    works_normally(host)


@pytest.mark.hazard("H15")
def test_a_missing_phase(host: Host):
    with host.bench.faults.injected("missing_phase_2", fraction=0.5):
        host.wait(20_000)
    assert host.bench.scope.pulses(1)[-1].net_nc == 3_000
    works_normally(host)


def end_by_stop(host: Host) -> None:
    assert host.result(STOP_LIST) == OK


def end_by_watchdog(host: Host) -> None:
    host.wait(1_200_000)


def end_by_switch(host: Host) -> None:
    host.press()
    host.model.release()


def end_by_reset(host: Host) -> None:
    host.bench.device.reset(host.now_us, power=True)
    host.wait(0)


ENDS = [end_by_stop, end_by_watchdog, end_by_switch, end_by_reset]


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("end", ENDS)
def test_nothing_ends_a_stuck_output_and_the_device_does_not_know(host: Host, end: Callable[[Host], None]):
    with host.bench.faults.injected("stuck_output"):
        end(host)
        before = host.bench.scope.total(1).pulses
        host.wait(100_000)
        assert host.bench.scope.total(1).pulses == before + 5
        assert host.model.mode == START
        assert host.bench.device.inside(host.now_us)["is_live"]
        # It goes on where no skin is found.
        with host.bench.faults.injected("snap_off"):
            host.wait(40_000)
    host.wait(100_000)
    assert len(host.unasked(ERROR)) == int(end is end_by_switch)
    assert not host.bench.device.inside(host.now_us)["is_live"]
    works_normally(host)


@pytest.mark.hazard("H10")
def test_a_stuck_output_keeps_its_list_and_follows_when_it_comes_free(host: Host):
    with host.bench.faults.injected("stuck_output"), host.bench.faults.injected("stuck_output"):
        host.result(START_LIST, row(50))
        host.wait(20_000)
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000] * 4
    host.wait(20_000)
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000] * 4 + [50_000]
    works_normally(host)


@pytest.mark.hazard("H10")
def test_an_output_that_sticks_before_it_begins(host: Host):
    host.result(STOP_LIST)
    with host.bench.faults.injected("stuck_output"):
        host.wait(100_000)
        assert len(host.pulses()) == 3
        host.run(row(30))
        host.result(STOP_LIST)
        host.wait(20_000)
        assert [trace.first_ua for trace in host.bench.scope.pulses(1)][3:] == [30_000] * 2
    works_normally(host)


@pytest.mark.hazard("H10")
def test_ignored_stop(host: Host):
    with host.bench.faults.injected("ignored_stop"):
        assert host.result(STOP_LIST) == OK
        assert host.mode() == STARTED
        host.wait(1_300_000)
        # The watchdog, fed by the question at 45 ms.
        assert host.pulses()[-1] == 1_240_000
    works_normally(host)


@pytest.mark.hazard("H10")
def test_silent_stop(host: Host):
    with host.bench.faults.injected("silent_stop"):
        assert host.send(frame(9, STOP_LIST)) == []
        assert host.mode() == STARTED
    assert host.result(STOP_LIST) == OK
    works_normally(host)


@pytest.mark.hazard("H13")
def test_a_restart_is_told_by_init_with_a_new_count(host: Host):
    with host.bench.faults.injected("device_reset"):
        host.wait(700_000)
    assert len(host.pulses()) == 3
    assert [(at_us - 5_000_000, heard.number, heard.command) for at_us, heard in host.said] == [
        (0, 0, INIT),
        (45_000, 0, INIT),
        (545_000, 1, INIT),
    ]
    assert host.send(frame(9, GET_MODE)) == []
    works_normally(host)


@pytest.mark.hazard("H13")
def test_half_a_frame_does_not_outlive_a_restart(host: Host):
    half = frame(7, GET_MODE)
    host.send(half[:5])
    host.bench.faults.inject("device_reset")
    host.bench.faults.clear_all()
    host.wait(0)
    host.send(half[5:])
    assert host.bench.device.inside(host.now_us)["noise"] == len(half) - 5
    works_normally(host)


@pytest.mark.hazard("H12")
@pytest.mark.parametrize(("output", "pulses"), [(True, 60), (False, 3)])
def test_hung_firmware_starves_whatever_it_is_fed(host: Host, pulses: int, *, output: bool):
    with host.bench.faults.injected("hung_firmware", output=output):
        for command, data in ((GET_MODE, b""), (WATCHDOG, b""), (STOP_LIST, b""), (START_LIST, row(50))):
            host.wait(200_000)
            assert host.send(frame(9, command, data)) == []
        host.wait(2_000_000)
        # 1200 ms after the Start, the last frame that was heard; and no Init, as nobody is there to say it.
        assert host.pulses() == list(range(0, 20_000 * pulses, 20_000))
        assert len(host.said) == 1
    host.wait(500_000)
    assert len(host.unasked(INIT)) == 2
    works_normally(host)


@pytest.mark.hazard("H11")
def test_lost_dead_man(host: Host):
    with host.bench.faults.injected("lost_dead_man"):
        host.wait(5_000_000)
        assert len(host.pulses()) == 253
        assert host.mode() == STARTED
    host.wait(1_300_000)
    # The question at 5045 ms was the last frame.
    assert host.pulses()[-1] == 6_240_000
    works_normally(host)


@pytest.mark.hazard("H11")
def test_a_dead_man_that_comes_back_late_acts_at_once(host: Host):
    with host.bench.faults.injected("lost_dead_man"):
        host.wait(5_000_000)
    host.wait(100_000)
    assert host.pulses()[-1] == 5_040_000
    works_normally(host)


@pytest.mark.hazard("H12")
def test_module_error(host: Host):
    with host.bench.faults.injected("module_error"):
        host.wait(0)
        assert host.unasked(ERROR) == [(45_000, MODULE)]
        assert host.mode() == START
        host.wait(5_000)
        assert host.result(SINGLE, SINGLE_DATA) == OK
        assert host.unasked(ERROR) == [(45_000, MODULE), (50_000, MODULE)]
    assert len(host.pulses()) == 3
    works_normally(host)


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, frame(1, GET_MODE + 1, b"\x00\x02")),
        ({"number": 0, "command": 22}, frame(0, START_LIST + 1, b"\x00\x02")),
        ({"number": 0, "result": 0xF8}, frame(0, GET_MODE + 1, b"\xf8\x02")),
        ({"number": 15, "cut": 1}, frame(15, GET_MODE + 1, b"\x00")),
        ({"number": 255, "cut": 9}, frame(255, GET_MODE + 1)),
    ],
)
def test_wrong_answer(host: Host, settings: dict[str, int], expected: bytes):
    with host.bench.faults.injected("wrong_answer", **settings):
        assert host.bench.receive(frame(0, GET_MODE), host.now_us) == expected
    assert host.mode() == STARTED
    works_normally(host)


@pytest.mark.hazard("H06")
def test_blind_skin_check(host: Host):
    with host.bench.faults.injected("blind_skin_check"):
        with host.bench.faults.injected("peel", end=0.02, over_ms=0):
            host.wait(20_000)
        assert host.mode() == STARTED
        assert len(host.pulses()) == 4
        # Into an open lead nothing flows, and nothing is told.
        with host.bench.faults.injected("snap_off"):
            host.wait(20_000)
        assert host.mode() == STARTED
        assert len(host.pulses()) == 4
    works_normally(host)


def test_wrong_id_is_another_version_of_the_protocol():
    host = Host(connect=False)
    host.wait(0)
    with host.bench.faults.injected("wrong_id"):
        host.wait(500_000)
    assert host.said[-1][1].data == b"\x02"
    host.wait(500_000)
    assert host.said[-1][1].data == b"\x01"


@pytest.mark.hazard("H50")
@pytest.mark.parametrize(("mv", "is_on"), [(10_799, False), (10_800, True), (13_200, True), (13_201, False)])
def test_a_supply_out_of_its_band_is_a_loss_of_power(host: Host, mv: int, *, is_on: bool):
    host.send(frame(9, GET_MODE)[:4])
    with host.bench.faults.injected("supply", mv=mv):
        host.wait(600_000)
        assert host.bench.device.badge()["state"] == ("STARTED" if is_on else "OFF")
        assert len(host.pulses()) == (33 if is_on else 3)
        # Nothing is said, and nothing heard.
        assert len(host.said) == 1
        assert bool(host.send(b"\x0f" + frame(9, GET_MODE))) is is_on
    host.wait(0)
    if not is_on:
        assert [(at_us - 5_000_000, heard.number) for at_us, heard in host.said] == [(0, 0), (645_000, 0)]
    works_normally(host)


# --- body -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H06")
@pytest.mark.parametrize("fault", ["snap_off", "short"])
def test_a_lead_that_opens_or_touches_is_told_at_the_next_pulse(host: Host, fault: str):
    with host.bench.faults.injected(fault, channel=1):
        host.wait(100_000)
    assert host.unasked(ERROR) == [(60_000, ELECTRODE)]
    assert host.pulses() == [0, 20_000, 40_000]
    works_normally(host)


@pytest.mark.hazard("H04")
def test_a_peel_is_told_when_hardly_anything_is_left():
    host = Host(PLAIN)
    host.run()
    with host.bench.faults.injected("peel", end=0.0, over_ms=1_000):
        host.wait(1_100_000)
    ((at_us, code),) = host.unasked(ERROR)
    assert code == ELECTRODE
    # 10 kohm at the end of 100 us: 25 cm2 have come down to 1.5.
    assert at_us == 940_000
    assert host.bench.scope.total(1).max_ua == 20_000
    works_normally(host)


# --- wire -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H10")
def test_dead_line(host: Host):
    with host.bench.faults.injected("dead_line"):
        for _ in range(10):
            assert host.send(frame(9, WATCHDOG)) == []
            host.wait(200_000)
        assert host.pulses()[-1] == 1_180_000
    works_normally(host)


@pytest.mark.hazard("H16")
@pytest.mark.parametrize("byte", range(8))
def test_corrupt_counts_frames_by_their_delimiters(host: Host, byte: int):
    with host.bench.faults.injected("corrupt", direction="to_device", nth=2, byte=byte, bit=2):
        answers = host.send(frame(10, GET_MODE) + frame(15, GET_MODE) + frame(0x81, GET_MODE) + frame(4, GET_MODE))
    # The third may be eaten by a start byte or an end that is gone.
    sound = [one.number for one in answers if one.data == b"\x00\x02"]
    assert sound[0] == 10
    assert sound[-1] == 4
    assert 15 not in sound
    works_normally(host)


@pytest.mark.hazard("H16")
def test_drop_takes_a_whole_frame(host: Host):
    with host.bench.faults.injected("drop", direction="to_device", nth=2):
        answers = host.send(frame(10, GET_MODE) + frame(15, GET_MODE) + frame(0x81, GET_MODE))
    assert [one.number for one in answers] == [10, 0x81]
    works_normally(host)


@pytest.mark.hazard("H16")
def test_split_makes_no_difference_to_the_device(host: Host):
    with host.bench.faults.injected("split", direction="to_device", size=1, gap_us=1_000):
        assert host.send(frame(5, STOP_LIST)) == []
        host.bench.to_host.pop(0)
        answers = host.bench.advance(host.now_us + 7_000)
        assert answers == frame(5, STOP_LIST + 1, b"\x00")
        host.now_us += 7_000
    works_normally(host)


def test_slow_answers_are_whole(host: Host):
    with host.bench.faults.injected("slow_answers", delay_ms=30):
        assert host.send(frame(5, GET_MODE)) == []
        assert host.bench.advance(host.now_us + 29_999) == b""
        assert host.bench.advance(host.now_us + 30_000) == frame(5, GET_MODE + 1, b"\x00\x02")
        host.now_us += 30_000
    works_normally(host)


def test_a_list_may_begin_again_after_every_end(host: Host):
    for end in ENDS:
        end(host)
        host.wait(100_000)
        if not host.model.is_connected:
            host.connect()
        assert host.result(INIT_LIST, list_data(1)) == OK
        assert host.result(START_LIST, row()) == OK
    works_normally(host)
