"""The emulated P24 by the microsecond: levels, results, patterns, ramps, dead man, high voltage."""

from __future__ import annotations

from typing import Any

import pytest

from hil.body import Skin
from hil.devices.sciencemode4_words import Identity
from tests.hil.host import PLAIN, START_US
from tests.hil.host4 import (
    BATTERY,
    BUSY,
    CHARGE_NC,
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


# --- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("code", "quarters", "period_us"),
    [(58, False, 29_000), (115, True, 28_750), (57, False, 28_500), (40, False, 20_000), (1_000, True, 250_000)],
)
def test_the_period_in_both_scales(host: Host4, code: int, period_us: int, *, quarters: bool):
    fed_us = host.run(pattern(code=code, quarters=quarters))
    host.wait(1_000_000)
    assert host.times(fed_us) == list(range(0, 1_000_001, period_us))


def test_the_first_pulse_comes_with_the_update_and_each_is_what_was_told(host: Host4):
    fed_us = host.run()
    host.wait(0)
    (trace,) = host.bench.scope.pulses(1, fed_us)
    assert trace == (fed_us, 20_000, 20_000, CHARGE_NC, 0.0)


def test_each_channel_has_its_own_period(host: Host4):
    fed_us = host.run(pattern(1, code=40), pattern(8, code=50), pattern(5, [(100, 20), (100, -20)], code=200))
    host.wait(200_000)
    assert host.times(fed_us, 1) == list(range(0, 200_001, 20_000))
    assert host.times(fed_us, 8) == list(range(0, 200_001, 25_000))
    assert host.pulses(fed_us, 5) == [(0, 10_000), (100_000, 10_000), (200_000, 10_000)]
    assert host.data() == (OK, [1, 5, 8], [0] * 8)


def test_a_replaced_pattern_keeps_its_rhythm(host: Host4):
    fed_us = host.run()
    host.wait(45_000)
    assert host.result(MID_UPDATE, update(pattern(shape=[(200, 10), (200, -10)], code=100))) == OK
    host.wait(100_000)
    assert host.pulses(fed_us) == [(0, 20_000), (20_000, 20_000), (40_000, 20_000), (60_000, 5_000), (110_000, 5_000)]


def test_a_channel_that_is_left_out_is_off_and_a_new_one_starts_at_once(host: Host4):
    fed_us = host.run(pattern(1), pattern(2))
    host.wait(45_000)
    assert host.result(MID_UPDATE, update(pattern(2), pattern(3))) == OK
    host.wait(30_000)
    assert host.times(fed_us, 1) == [0, 20_000, 40_000]
    assert host.times(fed_us, 2) == [0, 20_000, 40_000, 60_000]
    assert host.times(fed_us, 3) == [45_000, 65_000]


def test_a_mask_of_zero_turns_everything_off_and_the_level_stays(host: Host4):
    fed_us = host.run()
    host.wait(45_000)
    assert host.result(MID_UPDATE, update()) == OK
    host.wait(10_000_000)
    assert host.times(fed_us) == [0, 20_000, 40_000]
    assert host.status() == (INITIALISED, FULL)
    assert host.data() == (OK, [], [0] * 8)
    assert host.result(MID_UPDATE, update(pattern())) == OK
    assert host.status() == (RUNNING, FULL)


def test_a_stop_ends_the_pulses_and_the_high_voltage(host: Host4):
    fed_us = host.run()
    host.wait(40_000)
    assert host.result(MID_STOP) == OK
    assert host.status() == (NONE, OFF)
    host.wait(1_000_000)
    # A pulse of that microsecond comes before the request.
    assert host.times(fed_us) == [0, 20_000, 40_000]
    assert host.result(CURRENT_DATA, b"\x04") == NOT_INITIALISED


def test_short_points_act_as_ten_microseconds(host: Host4):
    fed_us = host.run(pattern(shape=[(0, 40), (9, -40), (10, 20), (10, -20)]))
    host.wait(0)
    assert host.bench.scope.pulses(1, fed_us)[0].charge_nc == 200 + 200 + 100 + 100


def test_sixteen_points(host: Host4):
    shape = [(50, half_ma) for step in range(8) for half_ma in (10 + step, -10 - step)]
    fed_us = host.run(pattern(shape=shape))
    host.wait(0)
    (trace,) = host.bench.scope.pulses(1, fed_us)
    assert (trace.first_ua, trace.second_ua, trace.net_nc) == (8_500, 8_500, 0.0)
    assert trace.charge_nc == sum(50 * abs(half_ma) / 2 for _, half_ma in shape)


@pytest.mark.hazard("H15")
def test_a_pulse_with_one_phase_is_not_refused(host: Host4):
    """The true device gives what it is told; that a driver tells only balanced pulses is the driver's business."""
    fed_us = host.run(pattern(shape=[(200, 40)]))
    host.wait(0)
    assert host.bench.scope.pulses(1, fed_us)[0].net_nc == 4_000.0


# --- ramps ------------------------------------------------------------------------------------------------------------

FULL_UA = 20_000


@pytest.mark.parametrize(
    ("switch", "ramp", "rising"),
    [
        ("below", 0, []),
        ("below", 1, [10_000]),
        ("below", 3, [5_000, 10_000, 15_000]),
        ("reach", 4, [5_000, 10_000, 15_000, 20_000]),
        ("below", 15, [1_250 * step for step in range(1, 16)]),
    ],
)
def test_a_ramp(switch: str, ramp: int, rising: list[int]):
    host = Host4(ramp=switch)
    fed_us = host.run(pattern(ramp=ramp))
    host.wait(400_000)
    expected = rising + [FULL_UA] * (21 - len(rising))
    assert host.pulses(fed_us) == [(20_000 * index, ua) for index, ua in enumerate(expected)]


def test_an_update_does_not_begin_the_ramp_anew(host: Host4):
    fed_us = host.run(pattern(ramp=3))
    host.wait(25_000)
    assert host.result(MID_UPDATE, update(pattern(ramp=3))) == OK
    host.wait(60_000)
    assert [ua for _, ua in host.pulses(fed_us)] == [5_000, 10_000, 15_000, 20_000, 20_000]


@pytest.mark.hazard("H06")
@pytest.mark.parametrize("how", ["left_out", "dead_man"])
def test_a_channel_that_is_switched_on_again_ramps_again(host: Host4, how: str):
    host.run(pattern(ramp=3))
    host.wait(200_000)
    if how == "left_out":
        assert host.result(MID_UPDATE, update(pattern(2))) == OK
    host.wait(2_000_000)
    again_us = host.now_us
    assert host.result(MID_UPDATE, update(pattern(ramp=3))) == OK
    host.wait(60_000)
    assert host.pulses(again_us) == [(0, 5_000), (20_000, 10_000), (40_000, 15_000), (60_000, 20_000)]


# --- what an update may not be ----------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("one", "result"),
    [
        (pattern(shape=[(200, 260), (200, -260)]), OK),
        (pattern(shape=[(200, 261), (200, -261)]), PARAMETER),
        (pattern(shape=[(200, -261)]), PARAMETER),
        (pattern(shape=[(200, -300)]), PARAMETER),
        (pattern(shape=[(200, 300)]), PARAMETER),
        (pattern(shape=[(200, 301)]), PARAMETER),
        (pattern(code=0), PARAMETER),
        (pattern(shape=[(10, 40)], code=1), OK),
        (pattern(shape=[(10, 40)], code=1, quarters=True), OK),
        (pattern(code=32_766), OK),
        (pattern(code=32_767), PARAMETER),
        (pattern(code=32_766, quarters=True), OK),
        # 200 + 100 + 200 + 60 us must be below the period.
        (pattern(code=1), PARAMETER),
        (pattern(code=2), OK),
        (pattern(shape=[(440, 40)], code=1), PARAMETER),
        (pattern(shape=[(439, 40)], code=1), OK),
        (pattern(shape=[(4_095, 20), (4_095, -20)], code=16), PARAMETER),
        (pattern(shape=[(4_095, 20), (4_095, -20)], code=17), OK),
    ],
)
def test_the_edges_of_an_update(one: tuple[int, bytes], result: int):
    host = Host4(Skin(resistor_ohm=500.0))
    assert host.result(MID_INIT, b"\x00") == OK
    assert host.result(MID_UPDATE, update(one)) == result
    assert host.status()[0] == (RUNNING if result == OK else INITIALISED)


@pytest.mark.parametrize("bit", range(10))
def test_reserved_bits_are_refused(host: Host4, bit: int):
    channel, data = pattern()
    spoiled = bytearray(data)
    spoiled[6 - bit // 8] |= 1 << bit % 8
    assert host.result(MID_INIT, b"\x00") == OK
    assert host.result(MID_UPDATE, update((channel, bytes(spoiled)))) == PARAMETER


def test_the_duty_check_is_over_all_channels():
    # Eight times 560 us: 4.48 ms.
    for code, result in ((8, PARAMETER), (9, OK)):
        host = Host4()
        assert host.result(MID_INIT, b"\x00") == OK
        assert host.result(MID_UPDATE, update(*(pattern(channel, code=code) for channel in range(1, 9)))) == result
    host = Host4(duty_check=False)
    host.run(*(pattern(channel, code=8) for channel in range(1, 9)))
    assert host.status() == (RUNNING, FULL)


def test_a_refused_update_changes_nothing(host: Host4):
    fed_us = host.run()
    host.wait(45_000)
    assert host.result(MID_UPDATE, update(pattern(2), pattern(3, [(200, 300)]))) == PARAMETER
    assert host.data() == (OK, [1], [0] * 8)
    host.wait(20_000)
    assert host.times(fed_us) == [0, 20_000, 40_000, 60_000]
    assert host.times(fed_us, 2) == []


# --- dead man ---------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("how", ["wait", "jump"])
def test_the_dead_man_ends_the_pulses_exactly_two_seconds_after_the_update(host: Host4, how: str):
    fed_us = host.run(pattern(code=2))
    getattr(host, how)(1_999_999)
    assert host.status() == (RUNNING, FULL)
    getattr(host, how)(1)
    assert host.status() == (INITIALISED, FULL)
    getattr(host, how)(10_000_000)
    # 1 kHz: 2000 pulses, and none in the microsecond in which the time is over.
    assert host.times(fed_us) == list(range(0, 2_000_000, 1_000))


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("feed", ["data", "update"])
def test_both_ways_to_feed_it(host: Host4, feed: str):
    fed_us = host.run()
    for _ in range(5):
        host.wait(1_900_000)
        if feed == "data":
            assert host.data() == (OK, [1], [0] * 8)
        else:
            assert host.result(MID_UPDATE, update(pattern())) == OK
    host.wait(3_000_000)
    assert host.times(fed_us) == list(range(0, 5 * 1_900_000 + 2_000_000, 20_000))


@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (STATUS, b""),
        (DEVICE_ID, b""),
        (LOW_STOP, b""),
        (CURRENT_DATA, b"\x03"),
        (MID_UPDATE, update(pattern(code=0))),
        (900, b""),
    ],
)
def test_nothing_else_feeds_it(host: Host4, command: int, payload: bytes):
    fed_us = host.run()
    host.wait(1_900_000)
    host.send(frame4(command, payload))
    host.wait(1_000_000)
    assert host.times(fed_us)[-1] == 1_980_000


@pytest.mark.hazard("H11")
@pytest.mark.hazard("H13")
def test_after_the_dead_man_only_an_update_brings_the_pulses_back(host: Host4):
    fed_us = host.run()
    host.wait(2_500_000)
    for _ in range(20):
        assert host.data() == (OK, [], [0] * 8)
        host.wait(100_000)
    assert host.status() == (INITIALISED, FULL)
    assert host.times(fed_us)[-1] == 1_980_000
    again_us = host.now_us
    assert host.result(MID_UPDATE, update(pattern())) == OK
    assert host.status() == (RUNNING, FULL)
    host.wait(45_000)
    assert host.times(again_us) == [0, 20_000, 40_000]


@pytest.mark.parametrize(
    ("switches", "status", "result"),
    [
        ({}, INITIALISED, OK),
        ({"status_after_dead_man": 3}, RUNNING, OK),
        ({"status_after_dead_man": 0, "data_after_dead_man": 4}, NONE, 4),
    ],
)
def test_what_is_said_after_the_dead_man(switches: dict[str, Any], status: int, result: int):
    host = Host4(**switches)
    host.run()
    host.wait(2_000_000)
    assert host.status() == (status, FULL)
    assert host.data() == (result, [], [0] * 8)
    # The first update says it is over; so does a stop.
    assert host.result(MID_UPDATE, update(pattern())) == OK
    assert (host.status(), host.data()) == ((RUNNING, FULL), (OK, [1], [0] * 8))
    host.wait(2_000_000)
    assert host.result(MID_STOP) == OK
    assert host.status() == (NONE, OFF)


def test_another_time_by_switch_and_by_the_back_door():
    host = Host4(dead_man_ms=500)
    fed_us = host.run()
    host.wait(100_000)
    host.bench.device.switches["dead_man_ms"] = 300
    host.wait(1_000_000)
    assert host.times(fed_us)[-1] == 280_000


def test_a_refused_update_feeds_by_switch():
    host = Host4(refused_feeds=True)
    fed_us = host.run()
    host.wait(1_900_000)
    assert host.result(MID_UPDATE, update(pattern(code=0))) == PARAMETER
    host.wait(3_000_000)
    assert host.times(fed_us)[-1] == 3_880_000


# --- get current data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", [0, 1, 2, 3, 5, 255])
def test_other_selections_are_refused(host: Host4, selection: int):
    host.run()
    answer = host.ask(CURRENT_DATA, bytes((selection,)))
    assert (answer[0], len(answer)) == (PARAMETER, 7)


def test_the_older_selections_by_switch():
    host = Host4(PLAIN, old_selections=True)
    host.bench.bodies[5].skin = Skin(lead_off=True)
    host.run(pattern(1), pattern(6))
    host.wait(0)
    assert host.ask(CURRENT_DATA, b"\x02") == bytes((OK, 2, 0x10))
    assert host.ask(CURRENT_DATA, b"\x03") == bytes((OK, 3, 0x10, 0x12))
    assert host.result(CURRENT_DATA, b"\x05") == PARAMETER
