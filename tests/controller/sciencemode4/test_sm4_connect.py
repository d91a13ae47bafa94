"""The ScienceMode 4 driver against a scripted P24: who it accepts, and from which state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from controller.devices import DRIVERS
from controller.devices.base import Stimulator
from controller.devices.sciencemode4_facts import CAPABILITIES
from safety import messages
from safety.effects import Arm, Ask, Drive, Feed, Probe
from safety.messages import DeviceDown, DeviceState, DeviceUp
from safety.times import SCIENCEMODE4
from safety.waveform import OFF, Train
from tests.controller.peer import until
from tests.controller.sciencemode4.bench import BRISK, ENVELOPES, PATIENT, PICTURE, Bench, Make, fails, status
from tests.controller.sciencemode4.p24 import (
    CONNECT,
    DEVICE_ID,
    LOW,
    LOW_STOP,
    MID,
    MID_STOP,
    NOTHING,
    P24,
    RUNNING,
    STATUS,
    VERSION,
    PtyP24,
    frame,
)


async def test_a_good_device_is_connected_and_told_in_full(make: Make) -> None:
    bench: Bench = await make(connected=False)
    up = await bench.driver.connect()
    assert [number for number, _, _ in bench.device.tape] == [1, 2, 3]
    assert (bench.device.commands(), bench.events) == (CONNECT, [])
    assert up == DeviceUp(
        messages.Identity(model="p24", serial="EMU0000001", firmware="1.2.3", protocol=4, emulator=True, boot=0),
        CAPABILITIES,
        status(DeviceState.STOPPED),
    )


@pytest.mark.rule("X7")
def test_what_a_p24_cannot_measure_is_not_fitted() -> None:
    caps = CAPABILITIES
    assert not any((caps.numeric_impedance, caps.readback, caps.patient_stop, caps.relay, caps.balance, caps.echo))
    assert not any((caps.temperature, caps.supply_min_mv, caps.supply_max_mv, caps.rails_mv))
    assert (caps.electrode_flag_from_ua, caps.reprobe, caps.probe_pulses) == (15_000, True, 2)
    assert caps.dead_man_ms == SCIENCEMODE4.dead_man_ms


@pytest.mark.parametrize(
    ("level", "asked"),
    [
        (NOTHING, CONNECT),
        (LOW, [STATUS, LOW_STOP, *CONNECT]),
        (MID, [STATUS, MID_STOP, *CONNECT]),
        (RUNNING, [STATUS, MID_STOP, *CONNECT]),
    ],
)
async def test_whatever_level_is_on_is_stopped_first(make: Make, level: int, asked: list[int]) -> None:
    bench: Bench = await make(P24(level=level), connected=False)
    up = await bench.driver.connect()
    assert bench.device.commands() == asked
    assert (bench.device.level, up.status.state) == (NOTHING, DeviceState.STOPPED)


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize("level", [LOW, MID, RUNNING])
async def test_a_device_that_does_not_stop_is_refused_and_told_to_stop_once_more(make: Make, level: int) -> None:
    bench: Bench = await make(P24(level=level), connected=False)
    bench.device.says = {
        stop: lambda asked: [bench.device.ack(asked, b"\0")] for stop in (LOW_STOP, MID_STOP)
    }  # it says that it has stopped, and goes on
    with fails("DEV.NOT_STOPPED"):
        await bench.driver.connect()
    await bench.settled()
    assert bench.device.commands()[:3] == [STATUS, LOW_STOP if level == LOW else MID_STOP, STATUS]
    assert bench.device.commands()[3:5] == [MID_STOP, LOW_STOP]


@pytest.mark.parametrize(
    "piece", [b"\xf0", b"\xf0\x81", frame(5, 32, bytes(40))[:20], b"\xf0\x81\x55\x81\x81", b"junk"]
)
async def test_half_a_frame_on_the_line_does_not_swallow_the_first_request(make: Make, piece: bytes) -> None:
    bench: Bench = await make(P24(), connected=False)
    bench.device.takes(piece)
    await bench.driver.connect()
    assert bench.device.commands() == CONNECT


async def test_a_device_that_is_deaf_at_first_is_asked_twice(make: Make) -> None:
    bench: Bench = await make(connected=False, times=replace(SCIENCEMODE4, init_ack_ms=100))
    tries = iter([False, True])
    bench.device.says[STATUS] = lambda asked: bench.device.answer(asked) if next(tries) else []
    await bench.driver.connect()
    assert bench.device.commands() == [STATUS, *CONNECT]


@pytest.mark.hazard("H12")
async def test_a_silent_device_is_named_and_told_to_stop(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.device.mute(*range(100))
    with fails("DEV.SILENT"):
        await bench.driver.connect()
    assert bench.device.commands() == [STATUS, STATUS, MID_STOP, LOW_STOP]
    assert bench.events == []


async def test_a_device_that_only_gives_noise_is_damaged(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.device.says = dict.fromkeys(range(100), lambda _: [b"\xf0noise\x0f"])
    with fails("DEV.DAMAGED"):
        await bench.driver.connect()
    assert bench.events == []


@pytest.mark.parametrize(
    ("device", "code"),
    [
        (P24(version=bytes([0, 1, 2, 3, 3, 0, 0, 1, 2, 3, 4, 1, 1])), "DEV.PROTOCOL"),
        (P24(version=bytes([0, 1, 2, 3, 5, 0, 0, 1, 2, 3, 4, 1, 1])), "DEV.PROTOCOL"),
        (P24(version=bytes(12)), "DEV.PROTOCOL"),
        (P24(version=b"\x04"), "DEV.NAK"),
        (P24(id=b"\xff" * 10), "DEV.PROTOCOL"),
        (P24(id=b"short"), "DEV.PROTOCOL"),
        (P24(level=4), "DEV.PROTOCOL"),
    ],
)
async def test_a_device_that_cannot_be_worked_with_is_refused_and_stopped(make: Make, device: P24, code: str) -> None:
    bench: Bench = await make(device, connected=False)
    with fails(code):
        await bench.driver.connect()
    await bench.settled()
    assert [one for one in bench.device.commands() if one in {MID_STOP, LOW_STOP}] == [MID_STOP, LOW_STOP]
    assert bench.events == []


@pytest.mark.parametrize("command", [STATUS, DEVICE_ID, VERSION, MID_STOP])
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (lambda number, command: frame(number, command + 1, b"\x04"), "DEV.NAK"),
        (lambda number, _: frame(number, 66, b"\x01"), "DEV.NAK"),
        (lambda number, _: frame(number, 67, b"\x0b"), "DEV.NAK"),
        (lambda number, _: frame(number, 33, b"\0"), "DEV.PROTOCOL"),
        (lambda number, command: frame(number, command + 1), "DEV.PROTOCOL"),
        (lambda number, command: frame(number, command + 1, b"\xff"), "DEV.PROTOCOL"),
        (lambda number, command: frame(number, command + 1, bytes(200)), "DEV.PROTOCOL"),
        (lambda number, _: frame(number, 999, b"\0"), "DEV.PROTOCOL"),
    ],
)
async def test_a_wrong_answer_while_connecting_is_refused(make: Make, command: int, said: object, code: str) -> None:
    bench: Bench = await make(P24(level=MID), connected=False)
    bench.device.says[command] = lambda asked: [said(asked.number, asked.command)]  # type: ignore[operator]
    with fails(code):
        await bench.driver.connect()
    assert bench.events == []


async def test_an_answer_of_another_number_is_no_answer(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.device.says[DEVICE_ID] = lambda asked: bench.device.answer(asked._replace(number=asked.number + 20))
    with fails("DEV.SILENT"):
        await bench.driver.connect()


async def test_a_stop_that_says_not_initialised_is_good_enough_to_be_asked_how_it_is(make: Make) -> None:
    bench: Bench = await make(P24(level=MID), connected=False)

    def stops(_: object) -> list[bytes]:
        bench.device.level = NOTHING
        return [frame(bench.device.tape[-1].number, MID_STOP + 1, b"\x07")]

    bench.device.says[MID_STOP] = stops
    assert (await bench.driver.connect()).status.state is DeviceState.STOPPED


async def test_a_line_that_ends_while_connecting_is_told_both_ways(make: Make) -> None:
    bench: Bench = await make(connected=False)

    def gone(_: object) -> list[bytes]:
        bench.line.drop("unplugged")
        return []

    bench.device.says[DEVICE_ID] = gone
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert [type(event) for event in bench.events] == [DeviceDown]
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert len(bench.events) == 1


async def test_a_cancelled_connect_stops_the_device(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.device.mute(DEVICE_ID)
    connecting = asyncio.create_task(bench.driver.connect())
    await until(lambda: DEVICE_ID in bench.device.commands())
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await bench.settled()
    assert MID_STOP in bench.device.commands()


async def test_a_device_is_connected_again_on_the_same_line_and_is_not_armed_any_more(running: Bench) -> None:
    up = await running.driver.connect()
    assert running.device.commands() == [STATUS, MID_STOP, *CONNECT]
    assert (up.status.state, running.events) == (DeviceState.STOPPED, [])
    for order in (Drive(running.grant(), PICTURE), Feed(running.grant())):
        with fails("SYS.INTERNAL"):
            running.driver.send(order)
    await running.armed()


async def test_nothing_but_silence_is_possible_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    orders = [Ask(), Arm(bench.grant(), ENVELOPES, 1), Drive(bench.grant(), OFF), Feed(bench.grant())]
    for order in (*orders, Probe(bench.grant(), Train(1, 1_000, 300, 0, 0))):
        with fails("SYS.INTERNAL"):
            bench.driver.send(order)
    with fails("SYS.INTERNAL"):
        bench.driver.quantise(OFF)
    bench.driver.silence(cut=False)
    await bench.settled()
    assert (bench.device.commands()[:2], bench.events) == ([MID_STOP, LOW_STOP], [])


async def test_there_is_no_self_test(bench: Bench) -> None:
    with fails("DEV.UNFIT"):
        await bench.driver.selftest()


# On a real line


@pytest.fixture
async def pty() -> AsyncIterator[PtyP24]:
    peer = PtyP24(P24())
    yield peer
    peer.hang_up()


async def test_the_registry_makes_drivers(pty: PtyP24) -> None:
    driver: Stimulator = await DRIVERS["sciencemode4"](pty.port, PATIENT, lambda _: None)
    assert (await driver.connect()).identity.model == "p24"
    await driver.close()
    await until(lambda: MID_STOP in pty.device.commands())


@pytest.mark.hazard("H40")
async def test_a_line_that_is_pulled_is_told_and_nothing_raises(pty: PtyP24) -> None:
    events: list[messages.Event] = []
    driver = await DRIVERS["sciencemode4"](pty.port, PATIENT, events.append)
    await driver.connect()
    pty.hang_up()
    for _ in range(3):
        driver.send(Ask())
        driver.silence(cut=False)
    await until(lambda: events)
    assert [type(event) for event in events] == [DeviceDown]
    driver.silence(cut=True)
    await driver.close()
    assert len(events) == 1
