"""The emulated P24 by the microsecond: patterns, ramps, what an update may be, the dead man, the keep-alive."""

from __future__ import annotations

from typing import Any

import pytest

from hil.body import Skin
from tests.hil.host import PLAIN
from tests.hil.host4 import (
    CHARGE_NC,
    CURRENT_DATA,
    DEVICE_ID,
    LOW_STOP,
    MID_INIT,
    MID_STOP,
    MID_UPDATE,
    NOT_INITIALISED,
    OK,
    PARAMETER,
    STATUS,
    Host4,
    frame4,
    pattern,
    update,
)

pytestmark = pytest.mark.hazard("H35")

NONE, LOW, INITIALISED, RUNNING = range(4)
OFF, FULL = 1, 6


@pytest.fixture
def host() -> Host4:
    return Host4()


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
    assert host.bench.device.badge()["state"] == "MID"
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
