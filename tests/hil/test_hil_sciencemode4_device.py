"""The emulated P24: what it says of itself, levels that exclude each other, results, and the high voltage."""

from __future__ import annotations

import pytest

from hil.body import Skin
from hil.devices.sciencemode4_words import Identity
from tests.hil.host import START_US
from tests.hil.host4 import (
    BATTERY,
    BUSY,
    CURRENT_DATA,
    DEVICE_ID,
    GENERAL_ERROR,
    HIGH_VOLTAGE,
    INVALID,
    LOW_INIT,
    LOW_PULSE,
    LOW_STOP,
    MID_INIT,
    MID_STOP,
    MID_UPDATE,
    NOT_INITIALISED,
    OK,
    PARAMETER,
    RESET,
    STATUS,
    TRANSFER,
    UNKNOWN,
    VERSION,
    Host4,
    Said,
    frame4,
    pattern,
    pulse,
    update,
)

pytestmark = pytest.mark.hazard("H35")

NONE, LOW, INITIALISED, RUNNING = range(4)
OFF, FULL = 1, 6


@pytest.fixture
def host() -> Host4:
    return Host4()


# --- what it says of itself -------------------------------------------------------------------------------------------


def test_identity():
    host = Host4(identity=Identity("P24-000042", (1, 2, 3), (4, 0, 0), bytes.fromhex("deadbeef"), 1, True))
    assert host.ask(DEVICE_ID) == b"\x00P24-000042"
    assert host.ask(VERSION) == bytes((0, 1, 2, 3, 4, 0, 0, 0xDE, 0xAD, 0xBE, 0xEF, 1, 1))
    assert host.status() == (NONE, OFF)


def test_the_number_of_a_request_comes_back(host: Host4):
    for number in range(64):
        assert host.send(frame4(STATUS, b"", number)) == [Said(number, STATUS + 1, bytes((OK, NONE, OFF)))]


def test_requests_in_one_piece_are_answered_in_order(host: Host4):
    said = host.send(frame4(STATUS, b"", 1) + frame4(DEVICE_ID, b"", 2) + frame4(STATUS, b"", 3))
    assert [one[:2] for one in said] == [(1, STATUS + 1), (2, DEVICE_ID + 1), (3, STATUS + 1)]


@pytest.mark.parametrize("command", [1, 3, 6, 29, 33, 50, 53, BATTERY, 60, 64, 66, 67, 100, 120, 160, 171, 1_023])
def test_what_a_p24_does_not_know(host: Host4, command: int):
    assert host.send(frame4(command, b"", 13)) == [Said(13, UNKNOWN, bytes((INVALID,)))]
    host.bench.device.switches["error_number"] = "zero"
    assert host.send(frame4(command, b"\x01\x02", 13)) == [Said(0, UNKNOWN, bytes((INVALID,)))]


def test_a_battery_by_switch():
    assert Host4(battery=True).ask(BATTERY) == bytes((OK, 87)) + (3_900).to_bytes(2, "big")


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(("switch", "number"), [("echo", 33), ("zero", 0)])
def test_a_damaged_frame_gets_a_general_error_and_is_not_obeyed(switch: str, number: int):
    host = Host4(error_number=switch)
    fed_us = host.run()
    stop = frame4(MID_STOP, b"", 33)
    assert host.send(stop[:8] + bytes((stop[8] ^ 1,)) + stop[9:]) == [Said(number, GENERAL_ERROR, bytes((TRANSFER,)))]
    assert host.send(stop[:-1] + b"\x00\x0f") == [Said(0, GENERAL_ERROR, bytes((TRANSFER,)))]
    assert host.status()[0] == RUNNING
    host.wait(45_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]
    assert host.bench.device.inside(host.now_us)["damaged"] == 2


def test_noise_gets_no_answer(host: Host4):
    assert host.send(b"\x00\xff" * 50 + b"\xf0\x0f") == []
    assert host.status() == (NONE, OFF)
    assert host.bench.device.inside(host.now_us)["noise"] == 102


# --- levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "payload", "length"),
    [
        (LOW_PULSE, pulse(), 3),
        (LOW_STOP, b"", 1),
        (MID_UPDATE, update(pattern()), 1),
        (MID_STOP, b"", 1),
        (CURRENT_DATA, b"\x04", 7),
    ],
)
def test_before_an_init_nothing_works(host: Host4, command: int, payload: bytes, length: int):
    answer = host.ask(command, payload)
    assert (answer[0], len(answer)) == (NOT_INITIALISED, length)
    assert host.status() == (NONE, OFF)
    host.wait(1_000_000)
    assert host.pulses(START_US) == []


@pytest.mark.parametrize(
    ("enter", "state", "others"),
    [
        ((LOW_INIT, b"\x00"), LOW, [(MID_INIT, b"\x00"), (MID_UPDATE, update(pattern())), (CURRENT_DATA, b"\x04"),
                                    (MID_STOP, b"")]),
        ((MID_INIT, b"\x00"), INITIALISED, [(LOW_INIT, b"\x00"), (LOW_PULSE, pulse()), (LOW_STOP, b"")]),
    ],
)  # fmt: skip
def test_levels_exclude_each_other(host: Host4, enter: tuple[int, bytes], state: int, others: list[tuple[int, bytes]]):
    assert host.result(*enter) == OK
    for command, payload in others:
        assert host.result(command, payload) == NOT_INITIALISED
        assert host.status() == (state, FULL)


@pytest.mark.parametrize(("init", "stop"), [(LOW_INIT, LOW_STOP), (MID_INIT, MID_STOP)])
def test_a_stop_opens_the_way_to_the_other_level(host: Host4, init: int, stop: int):
    assert host.result(init, b"\x00") == OK
    assert host.result(stop) == OK
    assert host.status() == (NONE, OFF)
    assert host.result(MID_INIT if init == LOW_INIT else LOW_INIT, b"\x00") == OK


@pytest.mark.parametrize("stop", [LOW_STOP, MID_STOP])
def test_a_stop_of_nothing(stop: int):
    assert Host4().result(stop) == NOT_INITIALISED
    assert Host4(idle_stop=0).result(stop) == OK


def test_a_stop_of_the_other_level_stops_nothing(host: Host4):
    fed_us = host.run()
    assert host.result(LOW_STOP) == NOT_INITIALISED
    host.wait(45_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]


def test_an_init_of_the_level_that_is_on_starts_it_anew(host: Host4):
    fed_us = host.run()
    host.wait(45_000)
    assert host.result(MID_INIT, b"\x01") == OK
    assert host.status() == (INITIALISED, FULL)
    host.wait(1_000_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]


def test_or_is_refused_by_switch():
    host = Host4(reinit="refuse")
    fed_us = host.run()
    assert host.result(MID_INIT, b"\x00") == NOT_INITIALISED
    host.wait(45_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]


@pytest.mark.parametrize(
    ("command", "payload", "result"),
    [
        (LOW_INIT, b"", TRANSFER),
        (LOW_INIT, b"\x00\x00", TRANSFER),
        (LOW_INIT, b"\x01", PARAMETER),
        (LOW_INIT, b"\x80", PARAMETER),
        (LOW_INIT, b"\x0e", PARAMETER),
        (LOW_INIT, b"\x40", PARAMETER),
        (MID_INIT, b"", TRANSFER),
        (MID_INIT, b"\x02", PARAMETER),
        (STATUS, b"\x00", TRANSFER),
        (DEVICE_ID, b"\x00", TRANSFER),
        (CURRENT_DATA, b"", TRANSFER),
        (LOW_PULSE, b"", TRANSFER),
        (MID_UPDATE, b"", TRANSFER),
        (MID_UPDATE, b"\x01", TRANSFER),
        (MID_UPDATE, update(pattern())[:-1], TRANSFER),
        (MID_UPDATE, update(pattern()) + b"\x00", TRANSFER),
    ],
)
def test_what_is_wrong_before_any_level(host: Host4, command: int, payload: bytes, result: int):
    assert host.result(command, payload) == result
    assert host.status() == (NONE, OFF)


def test_a_reset_ends_everything(host: Host4):
    fed_us = host.run()
    host.wait(45_000)
    assert host.ask(RESET) == b"\x00"
    assert host.status() == (NONE, OFF)
    host.wait(1_000_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]


def test_the_answer_to_a_reset_may_never_come():
    host = Host4(reset_ack=False)
    host.run()
    assert host.is_silent(RESET)
    assert host.status() == (NONE, OFF)


# --- high voltage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "payload", "busy_us"), [(LOW_INIT, b"\x00", 40_000), (MID_INIT, b"\x00", 80_000)])
def test_an_init_answers_when_the_high_voltage_is_on(host: Host4, command: int, payload: bytes, busy_us: int):
    assert host.is_silent(command, payload)
    assert host.bench.next_deadline_us() == START_US + busy_us
    assert host.wait(busy_us - 1) == []
    assert host.wait(1) == [Said(63, command + 1, b"\x00")]
    assert host.status()[1] == FULL


def test_requests_wait_for_the_high_voltage_in_order(host: Host4):
    assert host.is_silent(MID_INIT, b"\x00")
    host.now_us += 10_000
    assert host.send(frame4(MID_UPDATE, update(pattern()), 1) + frame4(STATUS, b"", 2)) == []
    said = host.jump(200_000)
    assert [(one.number, one.command, one.payload[0]) for one in said] == [(63, 31, OK), (1, 33, OK), (2, 63, OK)]
    # The update took effect when its turn came.
    assert host.times(START_US) == list(range(80_000, 210_001, 20_000))
    assert host.status() == (RUNNING, FULL)


def test_one_request_too_many_is_told_that_the_device_is_busy():
    host = Host4(queue=2)
    assert host.is_silent(MID_INIT, b"\x00")
    assert host.is_silent(STATUS)
    assert host.is_silent(900)
    assert host.send(frame4(STATUS, b"", 5) + frame4(LOW_PULSE, pulse(), 6) + frame4(901, b"", 7)) == [
        Said(5, STATUS + 1, bytes((BUSY, 0, 0))),
        Said(6, LOW_PULSE + 1, bytes((BUSY, 0, 0))),
        Said(7, 902, bytes((BUSY,))),
    ]
    assert [one.command for one in host.jump(80_000)] == [MID_INIT + 1, STATUS + 1, UNKNOWN]


@pytest.mark.parametrize(
    ("code", "status", "volt"), [(0, 6, 150), (2, 2, 30), (3, 3, 60), (4, 4, 90), (5, 5, 120), (6, 6, 150)]
)
def test_the_high_voltage_limits_the_current(host: Host4, code: int, status: int, volt: int):
    host.bench.bodies[0].skin = Skin(resistor_ohm=5_000.0)
    assert host.result(LOW_INIT, bytes((code << 1,))) == OK
    assert host.status() == (LOW, status)
    at_us = host.now_us
    assert host.result(LOW_PULSE, pulse(shape=[(200, 28), (200, -28)])) in {OK, 10, 28}
    assert host.pulses(at_us) == [(0, min(14_000, volt * 200))]


def test_without_high_voltage_there_is_no_pulse(host: Host4):
    assert host.result(LOW_INIT, b"\x02") == OK
    assert host.status() == (LOW, OFF)
    assert host.result(LOW_PULSE, pulse()) == HIGH_VOLTAGE
    assert host.result(LOW_PULSE, pulse(execute=False)) == OK
    assert host.pulses(START_US) == []
