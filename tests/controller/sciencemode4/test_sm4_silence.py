"""The ScienceMode 4 driver against a scripted P24: stopping it in every state, and losing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safety.effects import Arm, Ask, Drive, Feed, Probe
from safety.messages import DeviceDown, DeviceState, Event, Flaw, Heard
from safety.waveform import OFF, Train
from tests.controller.sciencemode4.bench import ENVELOPES, PICTURE, Bench, Make, fails, garbled, status
from tests.controller.sciencemode4.p24 import (
    CURRENT_DATA,
    ENERGISING,
    LOW,
    LOW_INIT,
    LOW_PULSE,
    LOW_STOP,
    MID,
    MID_INIT,
    MID_STOP,
    MID_UPDATE,
    NOTHING,
    RUNNING,
    STATUS,
    frame,
)

PROBE = Train(6, 1_000, 300, 0, 1_000_000)


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_stop_is_followed_by_the_devices_own_word(running: Bench) -> None:
    running.driver.silence(cut=False)
    assert running.device.commands() == [MID_STOP]
    await running.settled()
    assert running.device.commands() == [MID_STOP, STATUS]
    assert running.events == [Heard(0, status(DeviceState.STOPPED), ())]
    assert running.device.level == NOTHING


async def idle(_: Bench) -> None:
    """Nothing is on."""


async def is_armed(bench: Bench) -> None:
    await bench.armed()


async def is_running(bench: Bench) -> None:
    await bench.running()


def halfway(muted: int, armed: bool, order: Callable[[Bench], object]) -> Callable[[Bench], object]:
    """A script that waits for an answer that does not come."""

    async def reach(bench: Bench) -> None:
        if armed:
            await bench.armed()
        bench.device.mute(muted)
        bench.driver.send(order(bench))  # type: ignore[arg-type]
        await bench.settled()
        bench.device.says.clear()

    return reach


HALFWAY = {
    "arming": halfway(MID_INIT, False, lambda bench: Arm(bench.grant(), ENVELOPES, 1)),
    "looking": halfway(CURRENT_DATA, True, lambda bench: Drive(bench.grant(), PICTURE)),
    "driving": halfway(MID_UPDATE, True, lambda bench: Drive(bench.grant(), PICTURE)),
    "feeding": halfway(CURRENT_DATA, True, lambda bench: Feed(bench.grant())),
    "going low": halfway(LOW_INIT, False, lambda bench: Probe(bench.grant(), PROBE)),
    "pulsing": halfway(LOW_PULSE, False, lambda bench: Probe(bench.grant(), PROBE)),
    "leaving low": halfway(LOW_STOP, False, lambda bench: Probe(bench.grant(), PROBE)),
    "leaving mid": halfway(MID_STOP, True, lambda bench: Probe(bench.grant(), PROBE)),
    "going low from mid": halfway(LOW_INIT, True, lambda bench: Probe(bench.grant(), PROBE)),
    "going back to mid": halfway(MID_INIT, True, lambda bench: Probe(bench.grant(), PROBE)),
    "asking": halfway(STATUS, False, lambda _: Ask()),
}
STATES = {"idle": idle, "armed": is_armed, "running": is_running} | HALFWAY
LOW_MAY_BE_ON = {"going low", "pulsing", "leaving low", "going low from mid"}


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize("state", STATES)
async def test_silence_is_legal_in_every_state_and_nothing_energises_after_it(bench: Bench, state: str) -> None:
    await STATES[state](bench)  # type: ignore[misc]
    bench.device.tape.clear()
    bench.events.clear()
    bench.driver.silence(cut=False)
    assert bench.device.commands() == ([MID_STOP, LOW_STOP] if state in LOW_MAY_BE_ON else [MID_STOP])
    await bench.settled()
    assert not set(bench.device.commands()) & ENERGISING
    assert (bench.device.level, bench.device.active) == (NOTHING, 0)
    assert bench.events == [Heard(0, status(DeviceState.STOPPED), ())]


@pytest.mark.rule("X9")
@pytest.mark.parametrize("state", HALFWAY)
async def test_an_answer_that_comes_after_the_stop_does_not_go_on_with_anything(bench: Bench, state: str) -> None:
    await STATES[state](bench)  # type: ignore[misc]
    last = bench.device.tape[-1]
    bench.driver.silence(cut=False)
    bench.device.tape.clear()
    bench.line.say(frame(last.number, last.command + 1, b"\0"))
    await bench.settled()
    assert not set(bench.device.commands()) & ENERGISING


@pytest.mark.rule("X9")
@pytest.mark.parametrize("probes", [False, True])
@pytest.mark.parametrize("level", [NOTHING, LOW, MID, RUNNING])
async def test_a_stop_that_the_core_says_in_the_middle_of_a_script_ends_it(
    bench: Bench, level: int, probes: bool
) -> None:
    """A script tells what the device says before it goes on, and the core may answer with a stop on the spot."""
    hear = bench.driver._on_event
    bench.device.level = level

    def stop(event: Event) -> None:
        hear(event)
        if len(bench.events) == 1:
            bench.driver.silence(cut=False)

    bench.driver._on_event = stop
    bench.driver.send(Probe(bench.grant(), PROBE) if probes else Arm(bench.grant(), ENVELOPES, 1))
    await bench.settled()
    assert not set(bench.device.commands()) & ENERGISING
    assert bench.device.commands()[0] == STATUS
    assert bench.device.commands()[-1] == STATUS
    assert bench.events[-1] == Heard(0, status(DeviceState.STOPPED), ())
    with fails("SYS.INTERNAL"):
        bench.driver.send(Feed(bench.grant()))


@pytest.mark.parametrize("order", [Drive, Feed])
async def test_after_a_stop_only_a_new_arming_drives(running: Bench, order: type[Drive | Feed]) -> None:
    running.driver.silence(cut=False)
    await running.settled()
    running.clear()
    with fails("SYS.INTERNAL"):
        running.driver.send(Drive(running.grant(), PICTURE) if order is Drive else Feed(running.grant()))
    await running.settled()
    assert running.device.tape == []
    await running.running()


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("cut_at", range(30))
async def test_a_stop_is_understood_behind_a_frame_that_was_cut_in_half(running: Bench, cut_at: int) -> None:
    """The discard leaves any part of a frame on the wire, an escape at its end among them."""
    running.line.is_held = True
    running.driver.send(Drive(running.grant(), PICTURE))
    running.device.takes(bytes(running.line.waiting[:cut_at]))
    running.line.is_held = False
    running.driver.silence(cut=False)
    await running.settled()
    assert running.line.discards == 1
    assert running.device.commands()[-2:] == [MID_STOP, STATUS]
    assert running.device.level == NOTHING
    assert MID_UPDATE not in running.device.commands()


@pytest.mark.parametrize("escape", [b"\xf0\x81", b"\xf0\x81\x55\x81\x55\x81", b"\xf0"])
async def test_a_stop_is_understood_behind_an_escape(running: Bench, escape: bytes) -> None:
    running.device.takes(escape)
    running.driver.silence(cut=False)
    assert running.device.commands() == [MID_STOP]


async def test_what_waits_is_thrown_away_before_the_stop(running: Bench) -> None:
    running.line.is_held = True
    running.driver.send(Feed(running.grant()))
    running.driver.silence(cut=False)
    running.line.is_held = False
    running.line.release()
    await running.settled()
    assert running.device.commands() == [MID_STOP, STATUS]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_stop_that_is_not_answered_is_written_again_each_time(running: Bench) -> None:
    running.device.mute(MID_STOP)
    for times in range(1, 4):
        running.driver.silence(cut=False)
        await running.settled()
        assert running.device.commands() == [MID_STOP] * times
    assert await running.state() is DeviceState.RUNNING


@pytest.mark.rule("M29")
async def test_a_device_that_stops_only_in_words_is_told_as_it_is(running: Bench) -> None:
    running.device.says[MID_STOP] = lambda asked: [running.device.ack(asked, b"\0")]
    running.driver.silence(cut=False)
    await running.settled()
    assert running.events == [Heard(0, status(DeviceState.RUNNING), ())]


@pytest.mark.rule("M26")
async def test_a_refused_stop_reaches_the_core(running: Bench) -> None:
    running.device.refuse(MID_STOP, 4)
    running.driver.silence(cut=False)
    await running.settled()
    event = garbled(running.events.pop())
    assert (event.flaw, event.grant) == (Flaw.REFUSED, 0)


async def test_a_stop_of_a_level_that_is_not_on_is_no_refusal(bench: Bench) -> None:
    bench.device.mute(LOW_PULSE)
    bench.driver.send(Probe(bench.grant(), PROBE))
    await bench.settled()
    bench.device.refuse(MID_STOP, 7)
    bench.events.clear()
    bench.driver.silence(cut=False)
    await bench.settled()
    assert bench.events == [Heard(0, status(DeviceState.STOPPED), ())]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_cut_stops_and_gives_up_the_line_for_there_is_no_relay(running: Bench) -> None:
    running.driver.silence(cut=True)
    running.driver.silence(cut=True)
    running.driver.silence(cut=False)
    await running.settled()
    (down,) = running.events
    assert isinstance(down, DeviceDown)
    assert down.why.endswith("given up, to leave the device to its dead man")
    assert running.device.commands() == [MID_STOP]


async def test_cut_does_all_it_can_to_a_device_that_is_not_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.driver.silence(cut=True)
    await bench.settled()
    assert bench.device.commands() == [MID_STOP, LOW_STOP]
    assert [type(event) for event in bench.events] == [DeviceDown]


@pytest.mark.hazard("H40")
async def test_after_a_lost_line_nothing_is_armed(running: Bench) -> None:
    running.line.drop("unplugged")
    await running.settled()
    assert [type(event) for event in running.events] == [DeviceDown]
    with fails("SYS.INTERNAL"):
        running.driver.send(Drive(running.grant(), OFF))
    running.driver.send(Ask())
    running.driver.silence(cut=False)
    assert len(running.events) == 1


async def test_close_stops_the_device_and_ends_the_hearing(running: Bench) -> None:
    await running.driver.close()
    await running.settled()
    assert (running.device.commands(), running.events, running.line.closed) == ([MID_STOP], [], True)
    assert running.device.level != RUNNING
