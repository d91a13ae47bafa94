"""The ScienceMode 2 driver against a scripted RehaStim2 on a real pty: who it accepts, from each of its states."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.devices.base import DeviceError, Stimulator
from controller.devices.sciencemode2 import TRIES, ScienceMode2Driver, open_sciencemode2
from controller.link import LinkError
from safety import messages
from safety.effects import Ask, Drive
from safety.messages import Capabilities, DeviceDown, DeviceState, DeviceUp, Event, Flaw, Garbled
from safety.times import SCIENCEMODE2
from safety.waveform import OFF
from tests.controller.peer import until
from tests.controller.sciencemode2.bench import BRISK, CONNECT, PATIENT, Bench, Make, fails, heard, status
from tests.controller.sciencemode2.rehastim import (
    AT_START,
    INIT,
    INIT_ACK,
    INITIALISED,
    LIST,
    MODE,
    STARTED,
    STOP,
    Frame,
    RehaStim,
    frame,
)

CAPS = Capabilities(
    channels=8,
    max_ua=130_000,
    step_ua=1_000,
    min_width_us=20,
    max_width_us=500,
    width_step_us=1,
    min_period_us=8_000,
    max_period_us=1_025_000,
    period_step_us=500,
    compliance_mv=0,
    dead_man_ms=1_200,
    accuracy_ppm=200_000,
    mismatch_ppm=10_000,
    numeric_impedance=False,
    electrode_flag_from_ua=0,
    readback=False,
    patient_stop=False,
    relay=False,
    supply_min_mv=None,
    supply_max_mv=None,
    balance=False,
    temperature=False,
    rails_mv=(),
    reprobe=False,
    echo=False,
    min_gap_us=100,
    max_gap_us=100,
    mute_us=1_400,
    one_period=True,
    probe_pulses=0,
)


def up(boot: int) -> DeviceUp:
    identity = messages.Identity(
        model="rehastim2", serial="unknown", firmware="unknown", protocol=1, emulator=True, boot=boot
    )
    return DeviceUp(identity, CAPS, status(DeviceState.STOPPED, boot))


@pytest.mark.rule("G23")
@pytest.mark.hazard("H13", "H35")
@pytest.mark.parametrize("mode", [AT_START, INITIALISED, STARTED])
async def test_a_device_in_use_says_no_init_and_is_stopped_first(make: Make, mode: int) -> None:
    bench: Bench = await make(connected=False)
    bench.device.mode = mode
    assert await bench.driver.connect() == up(0)
    assert (bench.device.commands(), bench.device.mode, bench.events) == (CONNECT, AT_START, [])


@pytest.mark.rule("G23")
@pytest.mark.hazard("H13")
async def test_a_device_just_switched_on_is_greeted_and_stopped(make: Make) -> None:
    bench: Bench = await make(RehaStim(begins=True), connected=False)
    told = await bench.driver.connect()
    assert told == up(told.identity.boot)
    assert told.identity.boot >= 1
    assert bench.device.tape[0][0] == INIT_ACK
    assert bench.device.tape[0][2] == b"\x00"
    assert [command for command in bench.device.commands() if command != INIT_ACK][-2:] == [STOP, MODE]
    assert bench.events == []


async def test_an_init_is_answered_with_its_own_number(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.device.own = 77
    bench.device.begin()
    await bench.driver.connect()
    assert bench.device.tape[0] == (INIT_ACK, 77, b"\x00")


@pytest.mark.hazard("H13")
async def test_inits_that_nobody_read_are_answered_by_the_last_one(make: Make) -> None:
    device = RehaStim()
    bench: Bench = await make(device, connected=False, times=replace(SCIENCEMODE2, init_ack_ms=2_000))
    device.waits = True
    device.say(*[frame(INIT, number, 1) for number in range(40)])
    assert await bench.driver.connect() == up(40)
    answered = [number for command, number, _ in device.tape if command == INIT_ACK]
    # They may come in more than one piece: then the first piece is answered as well.
    assert answered[-1] == 39
    assert len(answered) <= 2


async def test_an_old_init_that_the_device_no_longer_counts_does_not_mislead(make: Make) -> None:
    device = RehaStim(again_s=0.3)
    bench: Bench = await make(device, connected=False, times=replace(SCIENCEMODE2, init_ack_ms=2_000))
    device.own, device.waits = 6, True
    # This device takes an answer only to its last Init.
    device.says[INIT_ACK] = lambda asked: device.answer(asked) if asked[1] != 5 else []
    device.say(frame(INIT, 5, 1))
    asyncio.get_running_loop().call_later(0.3, device.begin)
    told = await bench.driver.connect()
    assert told == up(told.identity.boot)
    answered = [number for command, number, _ in device.tape if command == INIT_ACK]
    assert (answered[0], len(answered)) == (5, 2)


@pytest.mark.parametrize("version", [0, 2, 255])
async def test_another_version_of_the_protocol_is_refused_on_both_sides(make: Make, version: int) -> None:
    bench: Bench = await make(connected=False)
    bench.device.version = version
    bench.device.begin()
    with fails("DEV.PROTOCOL"):
        await bench.driver.connect()
    # The stop may have overtaken the first answer; as the device asks again, it is told again.
    await until(lambda: INIT_ACK in bench.device.commands())
    assert {load for command, _, load in bench.device.tape if command == INIT_ACK} == {b"\xfb"}
    assert bench.events == []


async def test_a_device_that_restarts_while_it_is_identified_is_greeted_again(make: Make) -> None:
    bench: Bench = await make(connected=False)
    tries = iter([False, True, True])

    def restarts(asked: Frame) -> list[bytes]:
        if next(tries):
            return bench.device.answer(asked)
        bench.device.begin()
        return []

    bench.device.says[MODE] = restarts
    told = await bench.driver.connect()
    assert told == up(told.identity.boot)
    assert told.identity.boot >= 1


@pytest.mark.parametrize("mode", [INITIALISED, STARTED])
@pytest.mark.hazard("H12")
async def test_a_device_that_does_not_stop_is_not_accepted(make: Make, mode: int) -> None:
    bench: Bench = await make(connected=False)
    bench.device.says[MODE] = lambda asked: [frame(MODE + 1, asked[1], 0, mode)]
    with fails("DEV.NOT_STOPPED"):
        await bench.driver.connect()
    await until(lambda: bench.device.commands() == [*CONNECT, STOP])


@pytest.mark.hazard("H12")
async def test_a_silent_device_is_named_after_three_tries_and_told_to_stop_once_more(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.device.mute(*range(256))
    with fails("DEV.SILENT"):
        await bench.driver.connect()
    await until(lambda: len(bench.device.tape) == TRIES + 2)
    assert (set(bench.device.commands()), bench.events) == ({STOP}, [])


async def test_a_device_that_only_gives_noise_is_damaged(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.device.says = dict.fromkeys(range(256), lambda _: [b"\xf0noise\x0f"])
    with fails("DEV.DAMAGED"):
        await bench.driver.connect()
    assert bench.events == []


WRONG: list[tuple[int, tuple[int, ...], str]] = [
    (STOP + 1, (-1,), "DEV.DAMAGED"),
    (STOP + 1, (-2,), "DEV.NAK"),
    (STOP + 1, (-3,), "DEV.NAK"),
    (STOP + 1, (-8,), "DEV.NAK"),
    (STOP + 1, (-4,), "DEV.PROTOCOL"),
    (STOP + 1, (0, 0), "DEV.PROTOCOL"),
    (MODE + 1, (0, 0), "DEV.PROTOCOL"),
    (LIST + 1, (0,), "DEV.PROTOCOL"),
    (3, (STOP,), "DEV.PROTOCOL"),
    (99, (0,), "DEV.PROTOCOL"),
]


@pytest.mark.parametrize(("command", "load", "code"), WRONG)
async def test_a_wrong_answer_to_the_stop_is_refused(
    make: Make, command: int, load: tuple[int, ...], code: str
) -> None:
    bench: Bench = await make(connected=False)
    bench.device.says[STOP] = lambda asked: [frame(command, asked[1], *load)]
    with fails(code):
        await bench.driver.connect()
    assert bench.events == []


@pytest.mark.parametrize("result", [-1, -8])
async def test_a_device_that_does_not_say_where_it_stands_is_refused(make: Make, result: int) -> None:
    bench: Bench = await make(connected=False)
    bench.device.says[MODE] = lambda asked: [frame(MODE + 1, asked[1], result)]
    with pytest.raises(DeviceError):
        await bench.driver.connect()


async def test_half_a_frame_on_the_line_does_not_swallow_the_first_stop(make: Make) -> None:
    for half in (b"\xf0", b"\xf0\x81", b"\xf0\x81\x10\x81\x56\x01\x20", b"\xf0\x81\x10\x81\x56\x01\x81"):
        bench: Bench = await make(RehaStim(), connected=False)
        bench.device.heard(half)
        await bench.driver.connect()
        assert (bench.device.commands(), bench.device.damaged) == (CONNECT, 0)


async def test_a_line_that_ends_while_connecting_is_told_both_ways(make: Make) -> None:
    bench: Bench = await make(connected=False)

    def gone(_: Frame) -> list[bytes]:
        bench.device.hang_up()
        return []

    bench.device.says[MODE] = gone
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert [type(event) for event in bench.events] == [DeviceDown]
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert len(bench.events) == 1


async def test_a_cancelled_connect_stops_the_device(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.device.mute(MODE)
    connecting = asyncio.create_task(bench.driver.connect())
    await until(lambda: MODE in bench.device.commands())
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: bench.device.commands() == [*CONNECT, STOP])


async def test_a_device_is_connected_again_on_the_same_line_and_is_not_armed_then(bench: Bench) -> None:
    await bench.arm()
    await bench.drive()
    bench.device.tape.clear()
    assert await bench.driver.connect() == up(0)
    assert (bench.device.commands(), bench.device.mode) == (CONNECT, AT_START)
    bench.driver.send(Ask())
    assert await bench.told() == heard(DeviceState.STOPPED)


async def test_it_is_a_stimulator_that_cannot_test_itself(bench: Bench) -> None:
    driver: Stimulator = bench.driver
    with fails("DEV.UNFIT"):
        await driver.selftest()
    await bench.settled()
    assert bench.device.commands() == [MODE]


async def test_a_port_that_is_not_there_is_an_error_of_the_line() -> None:
    with pytest.raises(LinkError, check=lambda error: error.code == "LINK.ABSENT"):
        await open_sciencemode2("/dev/not-there", PATIENT, lambda _: None)


class Wire:
    """A line in memory that keeps what was written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def discard(self) -> None:
        self.written.clear()

    def drop(self, why: str) -> None:
        raise AssertionError(why)

    async def close(self) -> None:
        pass


@pytest.mark.rule("G23")
@pytest.mark.hazard("H35")
@pytest.mark.parametrize("emulator", [True, False])
async def test_only_the_line_can_tell_an_emulator(emulator: bool) -> None:
    driver = ScienceMode2Driver(PATIENT, lambda _: None)
    driver.attach(Wire(), emulator=emulator)
    connecting = asyncio.create_task(driver.connect())
    await asyncio.sleep(0)
    driver.received(frame(STOP + 1, 2, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    driver.received(frame(MODE + 1, 3, 0, AT_START))
    assert (await connecting).identity.emulator is emulator


# Init, once the device is known


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13", "H50")
@pytest.mark.parametrize("state", ["idle", "armed", "running"])
async def test_an_init_in_any_state_is_a_restart_and_disarms(bench: Bench, state: str) -> None:
    if state != "idle":
        await bench.arm()
    if state == "running":
        await bench.drive()
    bench.device.tape.clear()
    bench.device.begin()
    assert await bench.told() == heard(DeviceState.STOPPED, boot=1)
    await until(lambda: bench.device.commands() == [INIT_ACK])
    grant = bench.grant()
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(grant, OFF))
    await bench.arm()
    assert await bench.drive() == heard(DeviceState.RUNNING, bench.seq, boot=1)
    assert bench.device.commands() == [INIT_ACK, LIST, 32]


@pytest.mark.hazard("H13")
async def test_an_init_is_answered_before_the_stop_that_it_sets_off(make: Make) -> None:
    bench: Bench = await make()

    def stops(event: Event) -> None:
        if not bench.events:
            bench.driver.silence(cut=False)
        bench.events.append(event)

    bench.driver._on_event = stops
    bench.device.begin()
    await bench.hears(heard(DeviceState.STOPPED, boot=1), heard(DeviceState.STOPPED, boot=1))
    assert (bench.device.commands(), bench.device.ignored) == ([INIT_ACK, STOP, MODE], [])


async def test_a_device_that_babbles_inits_does_not_make_the_driver_babble(bench: Bench) -> None:
    for number in range(100):
        bench.device.say(frame(INIT, number, 1))
        await until(lambda: len(bench.events) > number)  # noqa: B023
    assert bench.device.commands() == [INIT_ACK]
    bench.driver.send(Ask())
    await until(lambda: len(bench.device.tape) == 3)
    assert bench.device.tape[1:] == [(INIT_ACK, 99, b"\x00"), (MODE, 4, b"")]


async def test_another_version_in_a_later_init_is_unknown_and_refused(bench: Bench) -> None:
    bench.device.say(frame(INIT, 9, 2))
    told = await bench.told()
    assert told == Garbled(Flaw.UNKNOWN, 0, "it speaks version 2 of the protocol, this driver version 1")
    await until(lambda: bench.device.tape == [(INIT_ACK, 9, b"\xfb")])
