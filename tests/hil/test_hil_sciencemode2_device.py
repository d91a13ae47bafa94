"""The emulated RehaStim2 in virtual time: handshake, modes, parameters."""

from __future__ import annotations

from itertools import product

import pytest

from tests.hil.host2 import (
    ERROR,
    EVERYTHING,
    GET_MODE,
    INIT,
    INIT_ACK,
    INIT_LIST,
    INITIALISED,
    OK,
    PARAMETER,
    SINGLE,
    SINGLE_DATA,
    START,
    START_LIST,
    STARTED,
    STOP_LIST,
    TRANSFER,
    UNKNOWN,
    WATCHDOG,
    WRONG_MODE,
    Host,
    frame,
    into,
    list_data,
    row,
)

pytestmark = pytest.mark.hazard("H35")


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


def test_before_init_ack_nothing_is_answered_and_nothing_done():
    host = Host(connect=False)
    for command, data in EVERYTHING.items():
        sound = frame(9, command, data)
        assert host.send(sound) == []
        assert host.send(sound[:2] + bytes((sound[2] ^ 4,)) + sound[3:]) == []
    assert (host.bench.device.frames, host.bench.device.errors) == (7, 7)
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
