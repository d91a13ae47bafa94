"""The ScienceMode 2 driver against a scripted RehaStim2 on a real pty: stopping it, and losing it."""

from __future__ import annotations

import asyncio

import pytest

from safety.effects import Ask, Drive, Feed
from safety.messages import DeviceDown, DeviceState, Heard
from safety.waveform import OFF, Picture
from tests.controller.peer import until
from tests.controller.sciencemode2.bench import ON, Bench, Make, fails, heard
from tests.controller.sciencemode2.rehastim import AT_START, MODE, START, STARTED, STOP, Frame, RehaStim


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("state", ["idle", "armed", "running"])
async def test_a_stop_in_any_state_is_one_frame_and_then_the_device_is_asked_what_it_does(
    bench: Bench, state: str
) -> None:
    if state != "idle":
        await bench.arm()
    if state == "running":
        await bench.drive()
    bench.device.tape.clear()
    bench.driver.silence(cut=False)
    assert await bench.told() == heard(DeviceState.STOPPED)
    assert (bench.device.commands(), bench.device.mode) == ([STOP, MODE], AT_START)
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), OFF))


@pytest.mark.hazard("H10")
async def test_silence_overtakes_what_waits(bench: Bench) -> None:
    device, sent = bench.device, 0
    device.mute(MODE)
    device.ignore()
    while not bench.driver._line._backlog:  # type: ignore[attr-defined]
        bench.driver.send(Ask())
        sent += 1
    bench.driver.silence(cut=False)
    device.listen()
    await until(lambda: STOP in device.commands())
    assert device.commands()[-1] == STOP
    # A pty keeps 4 KiB out of reach: 512 questions of 8 bytes.
    assert device.commands().count(MODE) <= 512 < sent
    assert device.damaged == 0


@pytest.mark.hazard("H10")
async def test_silence_is_legal_at_any_time_and_stops_each_time(bench: Bench) -> None:
    for _ in range(3):
        bench.driver.silence(cut=False)
        bench.driver.send(Feed(bench.grant()))
        bench.driver.silence(cut=False)
        await until(lambda: bench.device.commands().count(STOP) == 2 and bench.device.commands()[-1] == MODE)
        await until(lambda: heard(DeviceState.STOPPED) in bench.events)
        await bench.settled()
        bench.device.tape.clear()
        bench.events.clear()


@pytest.mark.rule("M29")
@pytest.mark.hazard("H11", "H12")
async def test_until_a_stop_is_obeyed_the_question_is_the_stop(bench: Bench) -> None:
    stops = bench.device.mute(STOP)
    bench.driver.silence(cut=False)
    for count in (2, 3):
        bench.driver.send(Ask())
        await until(lambda: len(stops) == count)  # noqa: B023
    assert bench.device.commands() == [STOP, STOP, STOP]
    del bench.device.says[STOP]
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED)
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED)
    assert bench.device.commands()[3:] == [STOP, MODE, MODE]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_stop_that_is_answered_and_not_obeyed_is_not_confirmed(bench: Bench) -> None:
    await bench.arm()
    await bench.drive()
    device = bench.device

    def lies(asked: Frame) -> list[bytes]:
        said = device.answer(asked)
        device.mode = STARTED
        return said

    device.tape.clear()
    device.says[STOP] = lies
    bench.driver.silence(cut=False)
    assert await bench.told() == heard(DeviceState.RUNNING)
    assert await bench.sends(Ask()) == heard(DeviceState.RUNNING)
    del device.says[STOP]
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED)
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED)
    assert device.commands() == [STOP, MODE, STOP, MODE, STOP, MODE, MODE]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_an_answer_to_what_was_asked_before_a_stop_does_not_end_the_stopping(bench: Bench) -> None:
    asked, stops = bench.device.mute(MODE), bench.device.mute(STOP)
    bench.driver.send(Ask())
    await until(lambda: asked)
    bench.driver.silence(cut=False)
    await until(lambda: stops)
    bench.device.say(*bench.device.answer(asked[0]))
    assert await bench.told() == heard(DeviceState.STOPPED)
    bench.driver.send(Ask())
    await until(lambda: len(stops) == 2)
    assert bench.device.commands() == [MODE, STOP, STOP]


async def test_what_was_driven_before_the_silence_is_still_heard(bench: Bench) -> None:
    await bench.arm()
    kept = bench.device.mute(START)
    bench.driver.send(Drive(bench.grant(), Picture((ON,))))
    await until(lambda: kept)
    bench.driver.silence(cut=False)
    bench.device.say(*bench.device.answer(kept[0]))
    await until(lambda: len(bench.events) == 2)
    assert sorted(one.grant for one in bench.events if isinstance(one, Heard)) == [0, 2]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H12")
async def test_cut_stops_and_gives_up_the_line_to_the_watchdog(bench: Bench) -> None:
    bench.driver.silence(cut=True)
    bench.driver.silence(cut=True)
    bench.driver.silence(cut=False)
    down = await bench.told()
    await until(lambda: bench.device.tape)
    await bench.driver.close()
    assert isinstance(down, DeviceDown)
    assert down.why.endswith("given up, to leave the device to its watchdog")
    assert (bench.device.commands(), bench.events) == ([STOP], [])


@pytest.mark.hazard("H12")
async def test_cut_does_the_same_to_a_device_that_is_not_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.driver.silence(cut=True)
    assert isinstance(await bench.told(), DeviceDown)
    await until(lambda: bench.device.commands() == [STOP])


# The end of the line


@pytest.mark.hazard("H10")
async def test_a_lost_line_is_told_once_and_nothing_raises(bench: Bench) -> None:
    bench.device.hang_up()
    for number in range(3):
        bench.driver.send(Ask())
        bench.driver.send(Feed(bench.grant()))
        bench.driver.silence(cut=bool(number % 2))
        assert bench.driver.quantise(Picture((ON,))) == Picture((ON,))
    assert isinstance(await bench.told(), DeviceDown)
    bench.driver.silence(cut=True)
    await bench.driver.close()
    assert bench.events == []


async def test_a_device_that_does_not_drain_is_lost_not_hoarded_for(bench: Bench) -> None:
    bench.device.ignore()
    for _ in range(10_000):
        bench.driver.send(Ask())
    assert isinstance(await bench.told(), DeviceDown)


async def test_close_stops_the_device_and_ends_the_hearing(bench: Bench) -> None:
    await bench.driver.close()
    await until(lambda: bench.device.tape)
    bench.device.hang_up()
    await asyncio.sleep(0.01)
    assert (bench.device.commands(), bench.events) == ([STOP], [])


async def test_an_init_on_a_line_that_goes_is_answered_to_nobody(make: Make) -> None:
    device = RehaStim()
    bench: Bench = await make(device)
    device.begin()
    device.hang_up()
    await until(lambda: any(isinstance(event, DeviceDown) for event in bench.events))
