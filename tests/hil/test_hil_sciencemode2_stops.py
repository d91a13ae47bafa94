"""What ends the output of the emulated RehaStim2: watchdog, skin check, emergency switch, module."""

from __future__ import annotations

import pytest

from hil.body import Skin
from tests.hil.host import PLAIN
from tests.hil.host2 import (
    ELECTRODE,
    ERROR,
    EVERYTHING,
    GET_MODE,
    INIT,
    INIT_ACK,
    INIT_LIST,
    INITIALISED,
    MODULE,
    OK,
    SINGLE,
    SINGLE_DATA,
    START,
    START_LIST,
    STARTED,
    SWITCH,
    WATCHDOG,
    WRONG_MODE,
    Host,
    frame,
    into,
    list_data,
    row,
)

pytestmark = pytest.mark.hazard("H35")

OFF = Skin(lead_off=True)


@pytest.fixture
def host() -> Host:
    return Host()


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
@pytest.mark.hazard("H31")
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


@pytest.mark.hazard("H33")
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


@pytest.mark.hazard("H33")
def test_the_emergency_switch_may_be_told_in_start_mode(host: Host):
    host.bench.device.switches["idle_switch"] = True
    host.press()
    assert host.unasked(ERROR) == [(0, SWITCH)]


@pytest.mark.hazard("H06")
def test_the_range_of_the_skin_check_is_a_switch():
    host = Host(Skin(resistor_ohm=500.0))
    for low, high, is_given in ((501, 10_000, False), (100, 499, False), (500, 500, True)):
        host.bench.device.switches |= {"skin_low_ohm": low, "skin_high_ohm": high}
        host.result(SINGLE, SINGLE_DATA)
        assert bool(host.pulses()) is is_given


@pytest.mark.hazard("H33")
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
