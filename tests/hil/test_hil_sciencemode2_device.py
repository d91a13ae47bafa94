"""The emulated RehaStim2 in virtual time: handshake, modes, watchdog, lists by the microsecond, skin check."""

from __future__ import annotations

from itertools import product

import pytest

from hil.body import Skin
from hil.devices.sciencemode2_list import fits
from hil.devices.sciencemode2_words import Channels, Pulse
from tests.hil.host import PLAIN
from tests.hil.sciencemode2_host import (
    BUSY,
    ELECTRODE,
    ERROR,
    GET_MODE,
    INIT,
    INIT_ACK,
    INIT_LIST,
    INITIALISED,
    MODULE,
    OK,
    PARAMETER,
    SINGLE,
    START,
    START_LIST,
    STARTED,
    STOP_LIST,
    SWITCH,
    TRANSFER,
    UNKNOWN,
    WATCHDOG,
    WRONG_MODE,
    Host,
    frame,
    list_data,
    row,
)

pytestmark = pytest.mark.hazard("H35")

OFF = Skin(lead_off=True)
SINGLE_DATA = b"\x00" + row()[1:]


@pytest.fixture
def host() -> Host:
    return Host()


# --- handshake --------------------------------------------------------------------------------------------------------


def test_init_is_said_at_once_and_every_half_second_until_it_is_answered():
    host = Host(connect=False)
    host.wait(1_999_999)
    assert host.unasked(INIT) == [(0, 1), (500_000, 1), (1_000_000, 1), (1_500_000, 1)]
    assert [heard.number for _, heard in host.said] == [0, 1, 2, 3]
    host.connect()
    host.wait(1_000_000)
    assert len(host.said) == 4


def test_a_host_that_refuses_the_version_is_asked_again():
    host = Host(connect=False)
    host.wait(0)
    assert host.send(frame(0, INIT_ACK, b"\xfb")) == []
    host.wait(500_000)
    assert host.unasked(INIT) == [(0, 1), (500_000, 1)]
    assert not host.model.is_connected


@pytest.mark.parametrize("data", [b"", b"\x00\x00"])
def test_an_init_ack_of_another_length_is_none(data: bytes):
    host = Host(connect=False)
    host.wait(0)
    assert host.send(frame(0, INIT_ACK, data)) == []
    assert not host.model.is_connected


@pytest.mark.parametrize(("init_ack_number", "connected"), [("any", [True, True]), ("last", [False, True])])
def test_the_number_of_an_init_ack_may_matter(init_ack_number: str, connected: list[bool]):
    found = []
    for number in (0, 1):
        host = Host(connect=False, init_ack_number=init_ack_number)
        host.wait(700_000)
        host.send(frame(number, INIT_ACK, b"\x00"))
        found.append(host.model.is_connected)
    assert found == connected


EVERYTHING = {
    GET_MODE: b"",
    INIT_LIST: list_data(1),
    START_LIST: row(),
    STOP_LIST: b"",
    SINGLE: SINGLE_DATA,
    WATCHDOG: b"",
    0x5F: b"",
}


def test_before_init_ack_nothing_is_answered_and_nothing_done():
    host = Host(connect=False)
    for command, data in EVERYTHING.items():
        assert host.send(frame(9, command, data)) == []
        assert host.send(frame(9, command, data).replace(b"\xf0\x81", b"\xf0\x81\x81")) == []
    host.connect()
    assert host.mode() == START
    assert host.pulses() == []


def test_before_init_ack_a_device_may_obey_and_is_then_watched():
    host = Host(connect=False, before_init_ack="answered")
    host.run()
    host.wait(1_300_000)
    assert host.pulses() == list(range(0, 1_200_000, 20_000))
    assert host.mode() == START
    # Init went on meanwhile, and is said anew when the watchdog ends the output.
    assert [at for at, _ in host.unasked(INIT)] == [0, 500_000, 1_000_000, 1_200_000]


def test_a_second_init_ack_changes_nothing(host: Host):
    host.run()
    assert host.send(frame(0, INIT_ACK, b"\xfb")) == []
    assert host.mode() == STARTED


# --- modes: every command in every mode -------------------------------------------------------------------------------


def into(mode: int, **switches: str) -> Host:
    host = Host(**switches)
    if mode != START:
        host.result(INIT_LIST, list_data(1))
    if mode == STARTED:
        host.result(START_LIST, row())
    assert host.mode() == mode
    return host


TABLE = {
    (START, GET_MODE): (OK, START),
    (START, INIT_LIST): (OK, INITIALISED),
    (START, START_LIST): (WRONG_MODE, START),
    (START, STOP_LIST): (OK, START),
    (START, SINGLE): (OK, START),
    (INITIALISED, GET_MODE): (OK, INITIALISED),
    (INITIALISED, INIT_LIST): (WRONG_MODE, INITIALISED),
    (INITIALISED, START_LIST): (OK, STARTED),
    (INITIALISED, STOP_LIST): (OK, START),
    (INITIALISED, SINGLE): (WRONG_MODE, INITIALISED),
    (STARTED, GET_MODE): (OK, STARTED),
    (STARTED, INIT_LIST): (WRONG_MODE, STARTED),
    (STARTED, START_LIST): (OK, STARTED),
    (STARTED, STOP_LIST): (OK, START),
    (STARTED, SINGLE): (WRONG_MODE, STARTED),
}


def test_the_table_is_complete():
    commands = {command for command, _ in EVERYTHING.items()} - {WATCHDOG, 0x5F}
    assert set(TABLE) == set(product((START, INITIALISED, STARTED), commands))


@pytest.mark.parametrize(("before", "command"), TABLE, ids=str)
def test_every_command_in_every_mode(before: int, command: int):
    host = into(before)
    result, after = TABLE[before, command]
    assert host.result(command, EVERYTHING[command]) == result
    assert host.mode() == after


@pytest.mark.parametrize("mode", [START, INITIALISED, STARTED])
@pytest.mark.parametrize("command", [0, INIT, UNKNOWN, 5, 11, 12, 31, 33, 35, 37, ERROR, 50, 0x5F, 90, 255])
def test_an_unknown_command_is_told_in_every_mode(mode: int, command: int):
    host = into(mode)
    (answer,) = host.send(frame(99, command, b"\x01"))
    assert answer == (99, UNKNOWN, bytes((command,)))
    assert host.mode() == mode


def test_a_device_may_take_another_list_while_initialised():
    host = into(INITIALISED, init_while_initialised="accepted")
    assert host.result(INIT_LIST, list_data(5, 6)) == OK
    assert host.result(START_LIST, row()) == PARAMETER
    assert host.result(START_LIST, row() + row()) == OK
    assert host.result(INIT_LIST, list_data(5, 6)) == WRONG_MODE
    assert host.mode() == STARTED


@pytest.mark.parametrize("mode", [START, INITIALISED, STARTED])
def test_the_mode_is_judged_before_the_parameters(mode: int):
    host = into(mode)
    for command in (INIT_LIST, START_LIST, SINGLE):
        expected = PARAMETER if TABLE[mode, command][0] == OK else WRONG_MODE
        assert host.result(command, b"\xff" * 40) == expected
    assert host.mode() == mode


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (list_data(1), OK),
        (list_data(1)[:-1], PARAMETER),
        (list_data(1) + b"\x00", PARAMETER),
        (b"", PARAMETER),
        (list_data(*range(1, 9), skips=7, rare=255, t2=255, t1=2048), OK),
        (list_data(1, skips=8), PARAMETER),
        (list_data(), PARAMETER),
        (list_data(1, rare=0xFE), OK),
        (list_data(1, t1=2049), PARAMETER),
        (list_data(1, t1=65535), PARAMETER),
        (list_data(1, t1=14), OK),
        (list_data(1, t1=13), PARAMETER),
        (list_data(1, t1=1), PARAMETER),
        (list_data(1, t1=0), OK),
        (list_data(1, execution=1), PARAMETER),
        (list_data(1, execution=2), PARAMETER),
    ],
)
def test_the_parameters_of_a_list(host: Host, data: bytes, result: int):
    assert host.result(INIT_LIST, data) == result
    assert host.mode() == (INITIALISED if result == OK else START)


@pytest.mark.parametrize(
    ("rows", "result"),
    [
        (row() + row(), OK),
        (row(), PARAMETER),
        (row() * 3, PARAMETER),
        (row() + row()[:-1], PARAMETER),
        (b"", PARAMETER),
        (row(130, 500, 2) * 2, OK),
        (row() + row(131), PARAMETER),
        (row() + row(255), PARAMETER),
        (row() + row(1, 501), PARAMETER),
        (row() + row(1, 65535), PARAMETER),
        (row() + row(1, 0), OK),
        (row() + row(1, 100, 3), PARAMETER),
        (row() + row(1, 100, 255), PARAMETER),
    ],
)
def test_the_parameters_of_a_start(host: Host, rows: bytes, result: int):
    host.result(INIT_LIST, list_data(3, 7, t2=3))
    assert host.result(START_LIST, rows) == result
    assert host.mode() == (STARTED if result == OK else INITIALISED)
    host.wait(10_000)
    assert bool(host.pulses(3)) is (result == OK)


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"\x07" + row()[1:], OK),
        (b"\x08" + row()[1:], PARAMETER),
        (b"\x00" + row(131)[1:], PARAMETER),
        (b"\x00" + row(1, 501)[1:], PARAMETER),
        (SINGLE_DATA[:-1], PARAMETER),
        (SINGLE_DATA + b"\x00", PARAMETER),
        (b"", PARAMETER),
    ],
)
def test_the_parameters_of_a_single_pulse(host: Host, data: bytes, result: int):
    assert host.result(SINGLE, data) == result
    assert [host.bench.scope.total(channel).pulses for channel in range(1, 9)] == [0] * 7 + [int(result == OK)]


def test_a_mode_is_not_asked_for_with_data(host: Host):
    assert host.result(GET_MODE, b"\x00") == TRANSFER


def test_a_stop_is_obeyed_with_any_data(host: Host):
    host.run()
    assert host.result(STOP_LIST, bytes(range(40))) == OK
    host.wait(100_000)
    assert host.pulses() == [0]


EIGHT = tuple(range(1, 9))
ONE, TWO, THREE = (Pulse(groups, 300, 1_000) for groups in (1, 2, 3))


@pytest.mark.parametrize(
    ("active", "between_us", "every_us", "pulse", "is_room"),
    [
        (EIGHT, 1_500, 8_000, ONE, True),
        (EIGHT, 9_000, 8_000, ONE, False),
        (EIGHT, 6_000, 12_000, TWO, True),
        (EIGHT, 5_999, 12_000, TWO, False),
        (EIGHT, 6_000, 11_999, TWO, False),
        (EIGHT, 6_000, 18_000, THREE, True),
        (EIGHT, 6_000, 17_999, THREE, False),
        (EIGHT, 6_000, 0, THREE, True),
        ((1, 2, 3, 4), 6_000, 0, TWO, True),
        ((1, 2, 3, 4), 4_500, 0, TWO, False),
        ((1, 2, 5, 6), 3_000, 0, TWO, True),
        ((1, 2, 5, 6), 2_999, 0, TWO, False),
        ((8,), 1_500, 8_000, THREE, True),
    ],
)
def test_groups_and_slots_need_room(
    host: Host, active: tuple[int, ...], between_us: int, every_us: int, pulse: Pulse, *, is_room: bool
):
    channels = Channels(0, active, frozenset(), between_us, every_us)
    # The longest of the channels counts.
    pulses = dict.fromkeys(active, ONE) | {active[-1]: pulse}
    assert fits(channels, pulses) is is_room


def test_a_list_without_room_is_refused_and_the_one_before_goes_on(host: Host):
    host.run(t2=37, t1=38)
    assert host.result(START_LIST, row(mode=1)) == PARAMETER
    assert host.mode() == STARTED
    host.wait(40_000)
    assert host.pulses() == [0, 20_000, 40_000]


# --- pulses -----------------------------------------------------------------------------------------------------------


def test_a_pulse_is_balanced_with_a_gap(host: Host):
    host.run(row(40, 250))
    (trace,) = host.bench.scope.pulses(1)
    assert (trace.first_ua, trace.second_ua, trace.charge_nc, trace.net_nc) == (40_000, 40_000, 20_000, 0)


@pytest.mark.parametrize(("width_us", "charge_nc"), [(0, 800), (19, 800), (20, 800), (21, 840), (500, 20_000)])
def test_a_short_pulse_is_given_with_the_least_width(host: Host, width_us: int, charge_nc: int):
    host.run(row(20, width_us))
    assert host.bench.scope.charge_nc(1) == charge_nc


def test_a_source_serves_its_channels_in_slots_and_both_work_at_once(host: Host):
    host.run(*[row()] * 8)
    host.wait(19_999)
    assert [host.pulses(channel) for channel in EIGHT] == [[0], [1_500], [3_000], [4_500]] * 2


def test_only_active_channels_take_a_slot(host: Host):
    host.result(INIT_LIST, list_data(2, 4, 7))
    host.result(START_LIST, row() * 3)
    host.wait(21_500)
    assert [host.pulses(channel) for channel in (2, 4, 7)] == [[0, 20_000], [1_500, 21_500], [0, 20_000]]


def test_a_channel_without_current_keeps_its_slot(host: Host):
    host.run(row(), row(0), row())
    host.wait(5_000)
    assert [host.pulses(channel) for channel in (1, 2, 3)] == [[0], [], [3_000]]


@pytest.mark.parametrize(
    ("code", "every_us"), [(14, 8_000), (38, 20_000), (56, 29_000), (57, 29_500), (2048, 1_025_000)]
)
def test_the_main_interval(host: Host, code: int, every_us: int):
    host.run(t1=code)
    host.wait(every_us - 1)
    assert host.pulses() == [0]
    host.wait(1)
    assert host.pulses() == [0, every_us]


@pytest.mark.parametrize(("mode", "count"), [(0, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(("code", "between_us"), [(0, 1_500), (1, 2_000), (13, 8_000), (255, 129_000)])
def test_doublets_and_triplets(host: Host, mode: int, count: int, code: int, between_us: int):
    host.run(row(mode=mode), t2=code, t1=1_000)
    host.wait(500_999)
    assert host.pulses() == [group * between_us for group in range(count)]


def test_channels_of_different_groups_share_a_list(host: Host):
    host.run(row(mode=2), row(), row(mode=1), t2=13, t1=98)
    host.wait(50_000)
    assert host.pulses(1) == [0, 8_000, 16_000, 50_000]
    assert host.pulses(2) == [1_500]
    assert host.pulses(3) == [3_000, 11_000]


@pytest.mark.parametrize("skips", range(8))
def test_a_rare_channel_is_passed_over(host: Host, skips: int):
    host.run(row(), row(), skips=skips, rare=0b10)
    host.keep(2_000_000)
    assert host.pulses(1) == list(range(0, 2_000_001, 20_000))
    assert host.pulses(2) == list(range(1_500, 2_000_001, 20_000 * (skips + 1)))


def test_a_list_of_rare_channels_alone_keeps_its_rhythm(host: Host):
    host.run(skips=2, rare=1)
    host.wait(130_000)
    assert host.pulses() == [0, 60_000, 120_000]


def test_an_update_counts_from_the_next_list_on_and_keeps_the_rhythm(host: Host):
    host.run(row(20, mode=1), row(20), t2=13)
    host.wait(1_000)
    assert host.result(START_LIST, row(30) + row(0)) == OK
    host.wait(39_000)
    assert host.pulses(1) == [0, 8_000, 20_000, 40_000]
    assert host.pulses(2) == [1_500]
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 20_000, 30_000, 30_000]


def test_the_last_of_several_updates_counts_and_skips_go_on(host: Host):
    host.run(row(), row(), skips=1, rare=0b10)
    for ma in (30, 40, 50):
        host.wait(5_000)
        host.result(START_LIST, row(ma) + row(ma))
    host.wait(25_000)
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 50_000, 50_000]
    assert [trace.first_ua for trace in host.bench.scope.pulses(2)] == [20_000]
    host.wait(1_500)
    assert [trace.first_ua for trace in host.bench.scope.pulses(2)] == [20_000, 50_000]


@pytest.mark.parametrize("step_us", [1_000_000, 7_919, 20_000, 500])
def test_pulses_are_at_their_times_however_late_time_is_told(step_us: int):
    host = Host()
    host.run(row(mode=1), row(), t2=9, t1=38)
    for _ in range(100_000 // step_us + 1):
        host.jump(step_us)
    both = [at for list_us in range(0, 100_000, 20_000) for at in (list_us, list_us + 6_000)]
    assert [at for at in host.pulses(1) if at < 100_000] == both
    assert [at for at in host.pulses(2) if at < 100_000] == [1_500, 21_500, 41_500, 61_500, 81_500]


def test_each_start_runs_a_single_list_once(host: Host):
    host.run(row(mode=1), row(), t2=9, t1=0)
    host.wait(5_999)
    # The last slot has not begun.
    assert host.result(START_LIST, row(50) + row(50)) == BUSY
    host.wait(3_000)
    assert host.result(START_LIST, row(50) + row(50)) == BUSY
    host.wait(1)
    assert host.pulses(1) == [0, 6_000]
    host.wait(500_000)
    assert host.mode() == STARTED
    assert (host.pulses(1), host.pulses(2)) == ([0, 6_000], [1_500])
    assert host.result(START_LIST, row() + row()) == OK
    host.wait(500_000)
    assert (host.pulses(1), host.pulses(2)) == ([0, 6_000, 509_000], [1_500, 510_500])


def test_a_single_list_may_be_stopped_half_way(host: Host):
    host.run(row(mode=2), t2=13, t1=0)
    host.wait(9_000)
    host.result(STOP_LIST)
    host.wait(50_000)
    assert host.pulses() == [0, 8_000]
    host.run(t1=0)
    assert host.pulses() == [0, 8_000, 59_000]


def test_a_single_pulse_is_one_pulse(host: Host):
    assert host.result(SINGLE, b"\x04" + row(60, 400)[1:]) == OK
    host.wait(1_000_000)
    assert host.pulses(5) == [0]
    assert host.bench.scope.total(5).charge_nc == 48_000
    assert host.result(SINGLE, b"\x04" + row(0, 400)[1:]) == OK
    assert host.pulses(5) == [0]


def test_a_list_starts_anew_after_a_stop(host: Host):
    host.run(row(), row(), skips=7, rare=0b10)
    host.wait(45_000)
    host.result(STOP_LIST)
    host.wait(5_000)
    host.run(row(), row(), skips=7, rare=0b10)
    host.wait(20_000)
    assert host.pulses(1) == [0, 20_000, 40_000, 50_000, 70_000]
    assert host.pulses(2) == [1_500, 51_500]


# --- watchdog ---------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("how", ["wait", "jump"])
def test_the_watchdog_acts_at_its_exact_time(host: Host, how: str):
    host.run(t1=18)
    host.wait(3_000)
    host.send(frame(0, WATCHDOG))
    getattr(host, how)(10_000_000)
    # Fed at 3 ms: the pulse at 1200 ms is given, the one at 1210 ms is not.
    assert host.pulses()[-1] == 1_200_000
    assert len(host.pulses()) == 121
    assert not host.model.is_connected
    assert host.model.mode == START


@pytest.mark.hazard("H11")
@pytest.mark.parametrize(("after_us", "mode"), [(1_199_999, STARTED), (1_200_000, None)])
def test_the_last_moment_to_feed(host: Host, after_us: int, mode: int | None):
    host.run(t1=1_198)
    host.wait(after_us)
    assert [answer.data[1] for answer in host.send(frame(5, GET_MODE))] == ([] if mode is None else [mode])
    host.wait(1_000)
    # A pulse due in the very microsecond of the watchdog is not given.
    assert host.pulses() == ([0, 600_000] if mode is None else [0, 600_000, 1_200_000])


@pytest.mark.hazard("H11")
def test_init_comes_back_and_nothing_resumes_until_the_whole_way_is_gone_again(host: Host):
    host.run()
    host.wait(2_300_000)
    assert host.unasked(INIT) == [(0, 1), (1_200_000, 1), (1_700_000, 1), (2_200_000, 1)]
    assert [heard.number for _, heard in host.said] == [0, 1, 2, 3]
    before = host.pulses()
    assert before[-1] == 1_180_000
    for command, data in EVERYTHING.items():
        assert host.send(frame(9, command, data)) == []
    host.connect()
    assert host.mode() == START
    assert host.result(START_LIST, row()) == WRONG_MODE
    host.keep(2_000_000)
    assert host.pulses() == before
    host.run()
    assert len(host.pulses()) == len(before) + 1


@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("data", "feeds"),
    [
        (frame(1, WATCHDOG), True),
        (frame(1, WATCHDOG, b"\x01"), True),
        (frame(1, GET_MODE), True),
        (frame(1, START_LIST, row()), True),
        (frame(1, START_LIST, row(255)), True),
        (frame(1, INIT_LIST, list_data(1)), True),
        (frame(1, 0x5F), True),
        (frame(1, INIT_ACK, b"\x00"), True),
        (frame(1, WATCHDOG)[:-1], False),
        (frame(1, WATCHDOG).replace(b"\x57", b"\x56"), False),
        (b"\xf0\x0f" * 10, False),
        (b"", False),
    ],
)
def test_every_frame_without_error_feeds_and_nothing_else_does(host: Host, data: bytes, *, feeds: bool):
    host.run(t1=2_048)
    host.wait(1_000_000)
    host.send(data)
    host.wait(1_199_999)
    assert host.model.is_connected is feeds
    host.wait(1)
    assert not host.model.is_connected


def test_a_connected_device_starves_in_every_mode():
    for mode in (START, INITIALISED, STARTED):
        host = into(mode)
        host.wait(1_199_999)
        assert host.model.is_connected
        host.wait(1)
        assert not host.model.is_connected
        assert host.unasked(INIT)[-1] == (1_200_000, 1)


def test_the_count_of_what_is_said_unasked_wraps():
    host = Host(connect=False)
    host.wait(300 * 500_000)
    assert [heard.number for _, heard in host.said] == [n % 256 for n in range(301)]


# --- skin check, emergency switch, module -----------------------------------------------------------------------------


@pytest.mark.hazard("H06")
def test_a_pulse_that_finds_no_skin_is_not_given_and_ends_everything():
    host = Host(PLAIN, OFF, PLAIN)
    host.run(row(), row(), row())
    assert host.unasked(ERROR) == []
    host.wait(100_000)
    assert host.unasked(ERROR) == [(1_500, ELECTRODE)]
    assert [host.pulses(channel) for channel in (1, 2, 3)] == [[0], [], []]
    assert host.mode() == START
    assert host.result(START_LIST, row() * 3) == WRONG_MODE
    # The handshake stands.
    assert len(host.unasked(INIT)) == 1


@pytest.mark.hazard("H06")
def test_a_channel_without_current_is_not_looked_at():
    host = Host(OFF)
    host.run(row(0))
    host.wait(100_000)
    assert host.unasked(ERROR) == []
    assert host.result(START_LIST, row(1)) == OK
    host.wait(20_000)
    assert host.unasked(ERROR) == [(120_000, ELECTRODE)]


@pytest.mark.hazard("H06")
def test_a_single_pulse_looks_at_the_skin_and_its_answer_comes_first():
    host = Host(OFF)
    host.wait(1_000)
    answers = host.bench.receive(frame(9, SINGLE, SINGLE_DATA), host.now_us)
    assert answers == frame(9, SINGLE + 1, b"\x00") + frame(1, ERROR, b"\xfe")
    assert host.pulses() == []


@pytest.mark.hazard("H06")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(
    ("ohm", "is_given"), [(99.0, False), (100.0, True), (500.0, True), (10_000.0, True), (10_001.0, False)]
)
def test_the_range_of_the_skin_check(ohm: float, *, is_given: bool):
    host = Host(Skin(resistor_ohm=ohm))
    host.run(row(5))
    assert host.pulses() == ([0] if is_given else [])
    assert host.unasked(ERROR) == ([] if is_given else [(0, ELECTRODE)])


@pytest.mark.hazard("H04")
def test_a_pad_that_lifts_is_noticed_late(host: Host):
    """The check is go or no go: half of a pad may be gone before it says anything."""
    host.bench.bodies[0].skin = Skin(contact=0.3)
    host.run()
    host.wait(40_000)
    assert host.pulses() == [0, 20_000, 40_000]
    assert host.unasked(ERROR) == []


@pytest.mark.hazard("H31")
@pytest.mark.parametrize("mode", [START, INITIALISED, STARTED])
def test_the_emergency_switch_stops_and_tells_what_it_stopped(mode: int):
    host = into(mode)
    host.wait(30_000)
    before = host.pulses()
    host.press()
    host.wait(100_000)
    assert host.unasked(ERROR) == ([] if mode == START else [(30_000, SWITCH)])
    assert host.mode() == START
    assert host.pulses() == before


@pytest.mark.hazard("H31")
def test_no_pulse_is_given_while_the_switch_is_down(host: Host):
    host.press()
    host.press()
    assert host.result(SINGLE, SINGLE_DATA) == OK
    assert host.unasked(ERROR) == [(0, SWITCH)]
    host.wait(10_000)
    host.run()
    assert host.unasked(ERROR) == [(0, SWITCH), (10_000, SWITCH)]
    assert host.mode() == START
    host.model.release()
    host.wait(10_000)
    assert host.pulses() == []
    host.run()
    assert host.pulses() == [20_000]


def test_numbers_of_init_and_errors_are_one_count(host: Host):
    host.run()
    host.press()
    host.wait(1_200_000)
    assert [(heard.number, heard.command) for _, heard in host.said] == [(0, INIT), (1, ERROR), (2, INIT)]


def test_a_module_error_comes_with_the_next_pulse_too(host: Host):
    host.run()
    host.wait(5_000)
    with host.model.module_failed.covered(True):
        host.model.sense(host.now_us)
        host.wait(0)
        host.wait(5_000)
        assert host.unasked(ERROR) == [(5_000, MODULE)]
        host.run()
        assert host.unasked(ERROR) == [(5_000, MODULE), (10_000, MODULE)]
    assert host.mode() == START
    assert host.pulses() == [0]
