"""The ScienceMode 2 driver against a scripted RehaStim2 on a real pty: what it makes of what the device says."""

from __future__ import annotations

import pytest

from controller.devices.sciencemode2 import REMEMBERED
from safety.effects import Arm, Ask, Drive, Feed
from safety.messages import DeviceState, Flaw, Garbled, Heard, PatientStop
from safety.waveform import OFF, Picture
from tests.controller.peer import until
from tests.controller.sciencemode2.bench import ALSO, ENVELOPE, ON, Bench, Make, fails, heard
from tests.controller.sciencemode2.rehastim import (
    AT_START,
    ELECTRODE,
    ERROR,
    INITIALISED,
    LIST,
    MODE,
    MODULE,
    PULSE,
    START,
    STARTED,
    STOP,
    SWITCH,
    frame,
)

# What a mode means


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11", "H12")
@pytest.mark.parametrize(
    ("mode", "state"),
    [(STARTED, DeviceState.RUNNING), (INITIALISED, DeviceState.STOPPED), (AT_START, DeviceState.STOPPED)],
)
async def test_once_driven_a_device_that_is_not_started_has_stopped_by_itself(
    bench: Bench, mode: int, state: DeviceState
) -> None:
    await bench.arm()
    await bench.drive()
    bench.device.mode = mode
    assert await bench.sends(Feed(bench.grant())) == heard(state, 3)
    if state is DeviceState.STOPPED:
        with fails("SYS.INTERNAL"):
            bench.driver.send(Drive(bench.grant(), OFF))
    else:
        await bench.drive()


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("mode", "state"),
    [(STARTED, DeviceState.RUNNING), (INITIALISED, DeviceState.ARMED), (AT_START, DeviceState.STOPPED)],
)
async def test_once_armed_a_device_says_whether_it_still_is(bench: Bench, mode: int, state: DeviceState) -> None:
    await bench.arm()
    bench.device.mode = mode
    assert await bench.sends(Feed(bench.grant())) == heard(state, 2)


@pytest.mark.rule("M27")
@pytest.mark.parametrize(
    ("mode", "state"),
    [(STARTED, DeviceState.RUNNING), (INITIALISED, DeviceState.ARMED), (AT_START, DeviceState.STOPPED)],
)
async def test_a_device_that_nobody_armed_says_what_it_does(bench: Bench, mode: int, state: DeviceState) -> None:
    bench.device.mode = mode
    assert await bench.sends(Ask()) == heard(state)


async def test_an_old_answer_brings_nothing_into_force(bench: Bench) -> None:
    arms = bench.device.mute(LIST)
    bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    await until(lambda: arms)
    bench.driver.silence(cut=False)
    await bench.told()
    bench.device.say(frame(LIST + 1, arms[0][1], 0))
    assert await bench.told() == heard(DeviceState.ARMED, 1)
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), OFF))


async def test_a_question_from_before_the_arming_does_not_disarm(bench: Bench) -> None:
    asked = bench.device.mute(MODE)
    bench.driver.send(Ask())
    await until(lambda: asked)
    bench.device.says[LIST] = lambda one: [
        frame(MODE + 1, asked[0][1], 0, AT_START),
        *bench.device.answer(one),
    ]
    bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    await bench.hears(heard(DeviceState.STOPPED), heard(DeviceState.ARMED, 1))
    await bench.drive(ON)


async def test_an_old_start_does_not_count_as_driven(bench: Bench) -> None:
    await bench.arm()
    starts = bench.device.mute(START)
    bench.driver.send(Drive(bench.grant(), Picture((ON,))))
    await until(lambda: starts)
    bench.driver.silence(cut=False)
    await bench.told()
    await bench.arm()
    bench.device.say(frame(START + 1, starts[0][1], 0))
    assert await bench.told() == heard(DeviceState.RUNNING, 2)
    assert await bench.sends(Feed(bench.grant())) == heard(DeviceState.ARMED, 4)


# What it says by itself


async def brought_to(bench: Bench, state: str) -> None:
    if state != "idle":
        await bench.arm()
    if state == "running":
        await bench.drive()
    bench.device.tape.clear()


STATES = pytest.mark.parametrize("state", ["idle", "armed", "running"])


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
@STATES
async def test_the_emergency_switch_is_the_patients_stop_in_any_state(bench: Bench, state: str) -> None:
    await brought_to(bench, state)
    bench.device.fails(SWITCH)
    await bench.hears(PatientStop())
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), OFF))
    await bench.settled()
    assert bench.device.commands() == [MODE]


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
async def test_the_emergency_switch_is_heard_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.device.fails(SWITCH)
    await bench.hears(PatientStop())


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
@STATES
async def test_an_electrode_error_may_be_any_electrode_that_is_driven(bench: Bench, state: str) -> None:
    await brought_to(bench, state)
    bench.device.fails(ELECTRODE)
    opened = (1, 3) if state == "running" else ()
    assert await bench.told() == heard(DeviceState.STOPPED, opened=opened)
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), OFF))


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_an_electrode_that_has_no_current_is_not_accused(bench: Bench) -> None:
    await bench.arm()
    await bench.drive(ALSO)
    bench.device.fails(ELECTRODE)
    assert await bench.told() == heard(DeviceState.STOPPED, opened=(3,))


@pytest.mark.rule("M04")
@pytest.mark.hazard("H14")
@STATES
async def test_a_fault_of_the_module_stays_until_the_device_begins_anew(bench: Bench, state: str) -> None:
    await brought_to(bench, state)
    bench.device.fails(MODULE)
    assert await bench.told() == heard(DeviceState.STOPPED, faults=1)
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED, faults=1)
    bench.device.begin()
    assert await bench.told() == heard(DeviceState.STOPPED, boot=1)


@pytest.mark.rule("M26")
@pytest.mark.parametrize("fault", [0, -4, 1, 127])
async def test_an_unknown_fault_is_unknown(bench: Bench, fault: int) -> None:
    bench.device.say(frame(ERROR, 200, fault))
    told = await bench.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (Flaw.UNKNOWN, 0)


async def test_an_error_takes_no_command_for_its_own_number(bench: Bench) -> None:
    bench.device.mute(MODE)
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: bench.device.tape)
    number = bench.device.tape[0][1]
    bench.device.say(frame(ERROR, number, -4), frame(ERROR, number, ELECTRODE), frame(MODE + 1, number, 0, AT_START))
    await until(lambda: len(bench.events) == 3)
    assert bench.events[1:] == [heard(DeviceState.STOPPED), heard(DeviceState.STOPPED, 1)]


# Answers are matched by command, number, form, length and check sum


UNKNOWN = {
    "nothing was asked": (None, frame(MODE + 1, 99, 0, 0), "GetStimulationModeAck 99 answers nothing that was asked"),
    "another command's": (MODE, frame(STOP + 1, 4, 0), "StopChannelListModeAck 4 is no answer to GetStimulationMode"),
    "a pulse's": (MODE, frame(PULSE + 1, 4, 0), "SinglePulseAck 4 is no answer to GetStimulationMode"),
    "unknown command": (MODE, frame(3, 4, MODE), "it does not know the command 10"),
    "no such command": (MODE, frame(200, 4), "the unknown command 200"),
    "no such mode": (MODE, frame(MODE + 1, 4, 0, 3), "GetStimulationModeAck: 3 is not a valid Mode"),
    "too long": (
        MODE,
        frame(MODE + 1, 4, 0, 0, 0),
        "GetStimulationModeAck: 3 bytes with the result OK",
    ),
    "too short": (MODE, frame(MODE + 1, 4, 0), "GetStimulationModeAck: 1 bytes with the result OK"),
}


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize(("asked", "said", "what"), UNKNOWN.values(), ids=UNKNOWN.keys())
async def test_what_answers_nothing_is_reported_not_dropped(
    bench: Bench, asked: int | None, said: bytes, what: str
) -> None:
    if asked is None:
        bench.device.say(said)
        assert await bench.told() == Garbled(Flaw.UNKNOWN, 0, what)
        return
    bench.device.says[asked] = lambda _: [said]
    bench.driver.send(Feed(bench.grant()))
    assert await bench.told() == Garbled(Flaw.UNKNOWN, 1, what)


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize("at", [2, 4, 5, 6, 7, 8])
async def test_a_damaged_answer_is_no_answer(bench: Bench, at: int) -> None:
    def worn(number: int) -> bytes:
        data = bytearray(frame(MODE + 1, number, 0, 0))
        data[at] ^= 2
        return bytes(data)

    bench.device.says[MODE] = lambda asked: [worn(asked[1])]
    bench.driver.send(Feed(bench.grant()))
    told = await bench.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (Flaw.DAMAGED, 0)


@pytest.mark.rule("M26")
async def test_a_damaged_command_whose_number_was_damaged_too_is_only_damage(bench: Bench) -> None:
    bench.device.say(frame(START + 1, 99, -1))
    assert await bench.told() == Garbled(Flaw.DAMAGED, 0, "StartChannelListModeAck 99: what it heard was damaged")


@pytest.mark.hazard("H16")
async def test_an_answer_that_comes_twice_is_unknown_the_second_time(bench: Bench) -> None:
    bench.device.says[MODE] = lambda asked: [frame(MODE + 1, asked[1], 0, 0)] * 2
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: len(bench.events) == 2)
    assert bench.events[0] == heard(DeviceState.STOPPED, 1)
    assert isinstance(bench.events[1], Garbled)


@pytest.mark.parametrize(("others", "known"), [(REMEMBERED - 1, True), (REMEMBERED, False), (260, False)])
async def test_an_answer_that_is_too_late_is_unknown(bench: Bench, others: int, known: bool) -> None:
    kept = bench.device.mute(MODE)
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: kept)
    number = kept[0][1]
    del bench.device.says[MODE]
    for _ in range(others):
        await bench.settled()
    bench.device.say(frame(MODE + 1, number, 0, 0))
    assert isinstance(await bench.told(), Heard if known else Garbled)


@pytest.mark.hazard("H16")
async def test_whatever_comes_in_pieces_is_heard_whole(bench: Bench) -> None:
    kept = bench.device.mute(MODE)
    bench.driver.send(Feed(bench.grant()))
    await until(lambda: kept)
    for byte in frame(MODE + 1, kept[0][1], 0, 2):
        bench.device.say(bytes([byte]))
    assert await bench.told() == heard(DeviceState.RUNNING, 1)


async def test_nothing_is_told_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.device.say(b"noise", frame(MODE + 1, 9, 0, 0), frame(ERROR, 1, MODULE), frame(ERROR, 2, ELECTRODE))
    await bench.driver.connect()
    assert bench.events == []
