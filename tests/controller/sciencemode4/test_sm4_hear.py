"""The ScienceMode 4 driver against a scripted P24: what it hears, and what the core is told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.devices.base import Order
from controller.devices.sciencemode4 import REMEMBERED
from controller.devices.sciencemode4_acks import Result
from safety import messages
from safety.effects import Arm, Ask, Drive, Feed, Grant, Probe
from safety.messages import DeviceState, Flaw, Heard, Sample
from safety.waveform import OFF, Picture, Train
from tests.controller.sciencemode4.bench import ENVELOPES, ON, PICTURE, TWO, Bench, garbled, status
from tests.controller.sciencemode4.p24 import (
    CURRENT_DATA,
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
    Frame,
    frame,
)

PROBE = Train(6, 1_000, 300, 0, 1_000_000)


def sample(channel: int, **changes: object) -> Sample:
    """What is told of a channel that has nothing to tell."""
    quiet = Sample(
        channel=channel, ua=0, width_us=0, gap_us=0, period_us=0, measured_ua=0, ohm=4_294_967_295, pulses=0,
        charge_nc=0, clipped=0, fresh=False, open=False, short=False, clip=False,
    )  # fmt: skip
    return quiet._replace(**changes)  # type: ignore[arg-type]


async def feed(bench: Bench, *, after_ms: int = 200) -> messages.Event:
    bench.now_ms += after_ms
    return await bench.does(Feed(bench.grant()))


def heard(event: messages.Event) -> Heard:
    assert isinstance(event, Heard), event
    return event


@pytest.mark.rule("X7")
async def test_a_word_on_the_channels_is_told_in_full(running: Bench) -> None:
    running.device.faults = {2: 1, 8: 3}
    running.device.active = 0b01
    assert await feed(running) == Heard(
        running.seq,
        status(DeviceState.RUNNING, 0x3000_0010),
        (
            sample(1, fresh=True),
            sample(2, fresh=True, open=True),
            *(sample(channel) for channel in range(3, 8)),
            sample(8, fresh=True, clip=True, clipped=1),
        ),
    )


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
@pytest.mark.parametrize("result", [0, 10])
async def test_an_electrode_that_has_stopped_everything_is_told_as_open_and_stopped(
    running: Bench, result: int
) -> None:
    running.device.faults = {2: 1}
    running.device.says[CURRENT_DATA] = lambda asked: [
        running.device.ack(asked, running.device.data(active=0, result=result))
    ]
    word = heard(await feed(running))
    assert word.status.state is DeviceState.STOPPED
    assert [one.channel for one in word.samples if one.open] == [2]


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
async def test_low_current_counts_the_pulses_between_the_words_that_say_so(running: Bench) -> None:
    running.device.faults = {1: 3}
    clipped = [heard(await feed(running, after_ms=after_ms)).samples[0].clipped for after_ms in (0, 0, 28, 1, 200)]
    # One pulse every 28.5 ms on channel 1.
    assert clipped == [1, 1, 1, 2, 9]
    running.device.faults = {}
    assert heard(await feed(running)).samples[0].clipped == 0
    running.device.faults = {1: 3}
    assert heard(await feed(running)).samples[0].clipped == 1
    assert heard(await feed(running, after_ms=100_000)).samples[0].clipped == 255


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
async def test_a_dead_man_that_has_acted_is_told_as_stopped(running: Bench) -> None:
    running.device.active, running.device.level = 0, MID
    word = heard(await feed(running))
    assert (word.status.state, any(one.open or one.clip for one in word.samples)) == (DeviceState.STOPPED, False)


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize("picture", [PICTURE, Picture((ON._replace(ua=500),)), OFF])
async def test_a_new_picture_does_not_bring_back_what_the_dead_man_has_ended(running: Bench, picture: Picture) -> None:
    running.device.active, running.device.level = 0, MID
    word = heard(await running.does(Drive(running.grant(), picture)))
    assert word.status.state is DeviceState.STOPPED
    assert (running.device.commands(), running.device.active) == ([CURRENT_DATA], 0)


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_a_new_picture_does_not_bring_back_what_an_electrode_has_ended(running: Bench) -> None:
    # While a ramp plays there is a picture every 50 ms and no keep-alive at all.
    running.device.faults, running.device.active = {2: 1}, 0b01
    word = heard(await running.does(Drive(running.grant(), Picture((ON, TWO._replace(ua=13_000))))))
    assert [one.channel for one in word.samples if one.open] == [2]
    assert running.device.commands() == [CURRENT_DATA]


async def test_a_picture_goes_on_while_a_channel_clips(running: Bench) -> None:
    running.device.faults = {1: 3}
    word = heard(await running.does(Drive(running.grant(), Picture((ON,)))))
    assert (word.status.state, word.samples[0].clip) == (DeviceState.RUNNING, True)
    assert running.device.commands() == [CURRENT_DATA, MID_UPDATE]


# What contradicts what was driven


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("active", "faults"),
    [(0b111, {}), (0b100, {}), (0b01, {}), (0b10, {}), (0b01, {1: 1}), (0b111, {2: 1}), (0b1000_0011, {})],
)
async def test_channels_that_were_not_driven_or_are_missing_without_a_reason_are_told(
    running: Bench, active: int, faults: dict[int, int]
) -> None:
    running.device.active, running.device.faults = active, faults
    event = garbled(await feed(running))
    assert (event.flaw, event.grant) == (Flaw.UNKNOWN, running.seq)
    assert event.what.endswith("[1, 2] were driven")


@pytest.mark.rule("M26")
async def test_a_channel_that_runs_while_nothing_is_driven_is_told(armed: Bench) -> None:
    armed.device.active, armed.device.level = 0b1, RUNNING
    assert garbled(await feed(armed)).flaw is Flaw.UNKNOWN


async def test_a_picture_whose_ack_was_lost_may_be_in_force_or_not(running: Bench) -> None:
    running.device.says[MID_UPDATE] = lambda asked: running.device.answer(asked)[:0]
    running.driver.send(Drive(running.grant(), Picture((ON,))))
    await running.settled()
    del running.device.says[MID_UPDATE]
    for active in (0b01, 0b11):
        running.device.active = active
        running.now_ms += 1_000
        assert heard(await feed(running)).status.state is DeviceState.RUNNING
    await running.does(Drive(running.grant(), Picture((TWO,))))
    assert heard(await feed(running)).status.state is DeviceState.RUNNING
    running.device.active = 0b11
    assert garbled(await feed(running)).flaw is Flaw.UNKNOWN


async def test_what_may_have_been_driven_is_named_in_order(bench: Bench) -> None:
    await bench.armed()
    await bench.does(Drive(bench.grant(), Picture((ON._replace(channel=4),))))
    bench.device.says[MID_UPDATE] = lambda _: []
    bench.driver.send(Drive(bench.grant(), Picture((ON,))))
    await bench.settled()
    bench.device.active = 0b10
    bench.now_ms += 1_000
    assert garbled(await feed(bench)).what == "channels [2] are on, [1] or [4] were driven"


# Every way in which an ack can be wrong

ORDERS: list[tuple[str, int, Callable[[Grant], Order], bool]] = [
    ("ask", STATUS, lambda _: Ask(), False),
    ("arm", MID_INIT, lambda grant: Arm(grant, ENVELOPES, 1), False),
    ("look before a picture", CURRENT_DATA, lambda grant: Drive(grant, PICTURE), True),
    ("picture", MID_UPDATE, lambda grant: Drive(grant, PICTURE), True),
    ("feed", CURRENT_DATA, Feed, True),
    ("probe: init", LOW_INIT, lambda grant: Probe(grant, PROBE), False),
    ("probe: pulse", LOW_PULSE, lambda grant: Probe(grant, PROBE), False),
    ("probe: stop", LOW_STOP, lambda grant: Probe(grant, PROBE), False),
    ("probe: leaving mid", MID_STOP, lambda grant: Probe(grant, PROBE), True),
    ("probe: mid again", MID_INIT, lambda grant: Probe(grant, PROBE), True),
]
names = [name for name, *_ in ORDERS]


async def told(bench: Bench, order: Callable[[Grant], Order], needs_armed: bool) -> messages.Garbled:
    if needs_armed:
        says, bench.device.says = bench.device.says, {}
        await bench.armed()
        bench.device.says = says
    asks = order(bench.grant())
    bench.events.clear()
    bench.driver.send(asks)
    await bench.settled()
    # A stop that is refused is said once more, and refused once more.
    wrong = [event for event in bench.events if isinstance(event, messages.Garbled)]
    assert len(wrong) == 1 + (bench.device.commands()[-2:] == [LOW_STOP, LOW_STOP])
    event = wrong[0]
    assert event.grant == (0 if isinstance(asks, Ask) else bench.seq)
    return event


@pytest.mark.rule("M26")
@pytest.mark.parametrize(("command", "order", "needs_armed"), [one[1:] for one in ORDERS], ids=names)
@pytest.mark.parametrize("result", [result for result in Result if result is not Result.OK])
async def test_every_refusal_reaches_the_core(
    bench: Bench, command: int, order: Callable[[Grant], Order], needs_armed: bool, result: Result
) -> None:
    if result is Result.ELECTRODE and command == LOW_PULSE:
        return  # an open electrode, which test_sm4_send.py shows
    if result is Result.NOT_INITIALISED and command in {LOW_STOP, MID_STOP}:
        return  # nothing was on
    bench.device.refuse(command, result)
    event = await told(bench, order, needs_armed)
    assert event.flaw is Flaw.REFUSED
    assert result.name in event.what


@pytest.mark.rule("M26")
@pytest.mark.parametrize(("command", "order", "needs_armed"), [one[1:] for one in ORDERS], ids=names)
@pytest.mark.parametrize(
    ("said", "flaw"),
    [
        (lambda asked: frame(asked.number, 66, b"\x01"), Flaw.REFUSED),
        (lambda asked: frame(asked.number, 67, b"\x0b"), Flaw.REFUSED),
        (lambda asked: frame(asked.number, asked.command + 1), Flaw.UNKNOWN),
        (lambda asked: frame(asked.number, asked.command + 1, b"\x1d"), Flaw.UNKNOWN),
        (lambda asked: frame(asked.number, asked.command + 1, bytes(90)), Flaw.UNKNOWN),
        (lambda asked: frame(asked.number, asked.command + 3, b"\0"), Flaw.UNKNOWN),
        (lambda asked: frame(asked.number, asked.command, b""), Flaw.UNKNOWN),
        (lambda asked: frame(asked.number, 999, b""), Flaw.UNKNOWN),
    ],
)
async def test_every_wrong_ack_reaches_the_core(
    bench: Bench,
    command: int,
    order: Callable[[Grant], Order],
    needs_armed: bool,
    said: Callable[[Frame], bytes],
    flaw: Flaw,
) -> None:
    bench.device.says[command] = lambda asked: [said(asked)]
    assert (await told(bench, order, needs_armed)).flaw is flaw


@pytest.mark.rule("M26")
@pytest.mark.parametrize(("command", "order", "needs_armed"), [one[1:] for one in ORDERS], ids=names)
async def test_an_ack_of_another_number_answers_nothing(
    bench: Bench, command: int, order: Callable[[Grant], Order], needs_armed: bool
) -> None:
    bench.device.says[command] = lambda asked: bench.device.answer(asked._replace(number=(asked.number + 20) % 64))
    if needs_armed:
        says, bench.device.says = bench.device.says, {}
        await bench.armed()
        bench.device.says = says
    event = garbled(await bench.does(order(bench.grant())))
    assert (event.flaw, event.grant) == (Flaw.UNKNOWN, 0)
    assert event.what.endswith("answers nothing that was asked")


@pytest.mark.parametrize(
    "payload",
    [
        bytes([0, 0x10, 1, 0, 5]) + bytes(256),  # another channel
        bytes([0, 0x11, 2, 0, 5]) + bytes(256),  # volts for milliamperes
        bytes([0, 0x11, 0]),  # nothing measured
        bytes([0, 0x11, 1, 0, 0]) + bytes(256),  # no interval
        bytes([0, 0x11, 1, 0, 1]) + bytes(256),  # they end before the phase
    ],
)
async def test_a_measurement_of_something_else_is_no_ohms(bench: Bench, payload: bytes) -> None:
    bench.device.says[LOW_PULSE] = lambda asked: [bench.device.ack(asked, payload)]
    event = garbled(await bench.does(Probe(bench.grant(), PROBE)))
    assert (event.flaw, event.grant) == (Flaw.UNKNOWN, bench.seq)
    assert bench.device.commands() == [STATUS, LOW_INIT, LOW_PULSE, LOW_STOP]
    assert bench.device.level == NOTHING


@pytest.mark.parametrize(("faults", "what"), [({3: 2}, "channel 3 does not reach its period"), ({}, "on no channel")])
async def test_a_fault_that_is_not_the_skins_is_a_refusal(running: Bench, faults: dict[int, int], what: str) -> None:
    running.device.faults = faults
    running.device.says[CURRENT_DATA] = lambda asked: [running.device.ack(asked, running.device.data(result=16))]
    event = garbled(await feed(running))
    assert event.flaw is Flaw.REFUSED
    assert event.what.endswith(what)


@pytest.mark.rule("M26")
@pytest.mark.parametrize("result", [result for result in Result if result not in {0, 10, 16, 28}])
async def test_a_refusal_that_goes_on_to_speak_of_the_skin_is_a_refusal(running: Bench, result: Result) -> None:
    running.device.faults = {1: 1}
    running.device.says[CURRENT_DATA] = lambda asked: [running.device.ack(asked, running.device.data(result=result))]
    event = garbled(await feed(running))
    assert (event.flaw, event.what) == (Flaw.REFUSED, f"GetCurrentData was refused: {result.name}")


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13")
@pytest.mark.hazard("H50")
async def test_a_device_that_has_restarted_refuses_and_is_not_initialised_again(running: Bench) -> None:
    running.device.level, running.device.active = NOTHING, 0
    for order in (Feed(running.grant()), Drive(running.grant(), PICTURE)):
        event = garbled(await running.does(order))
        assert (event.flaw, event.what) == (Flaw.REFUSED, "GetCurrentData was refused: NOT_INITIALISED")
    assert (running.device.commands(), running.device.level) == ([CURRENT_DATA] * 2, NOTHING)


# What comes unasked, late or damaged


@pytest.mark.rule("M26")
async def test_a_complaint_about_nothing_that_was_asked_is_unknown(running: Bench) -> None:
    for command in (66, 67):
        running.line.say(frame(0, command, b"\x04"))
        await running.settled()
        event = garbled(running.events.pop())
        assert (event.flaw, event.grant) == (Flaw.UNKNOWN, 0)
        assert "STIM_TIMEOUT" in event.what


@pytest.mark.rule("M26")
async def test_damage_is_told_and_loses_nothing(running: Bench) -> None:
    answer = running.device.answer
    running.device.says[CURRENT_DATA] = lambda asked: [b"junk\xf0\x81\x55", *answer(asked)]
    running.driver.send(Feed(running.grant()))
    await running.settled()
    first, second, word = running.events
    assert (garbled(first).flaw, garbled(second).flaw) == (Flaw.DAMAGED, Flaw.DAMAGED)
    assert heard(word).grant == running.seq


async def test_what_comes_a_byte_at_a_time_is_understood(running: Bench) -> None:
    answer = running.device.answer
    running.device.says[CURRENT_DATA] = lambda asked: [bytes([byte]) for byte in answer(asked)[0]]
    assert heard(await feed(running)).status.state is DeviceState.RUNNING


@pytest.mark.parametrize(("others", "known"), [(0, True), (REMEMBERED - 1, True), (REMEMBERED, False)])
async def test_an_answer_that_is_late_is_known_for_a_while_and_changes_nothing(
    running: Bench, others: int, known: bool
) -> None:
    kept = running.device.mute(CURRENT_DATA)
    running.driver.send(Feed(running.grant()))
    await running.settled()
    for _ in range(others):
        running.driver.send(Ask())
        await running.settled()
    running.events.clear()
    running.line.say(*running.device.answer(kept[0]))
    await running.settled()
    if others == 0:
        assert heard(running.events.pop()).grant == running.seq
    elif known:
        assert running.events == []
    else:
        assert garbled(running.events.pop()).flaw is Flaw.UNKNOWN


async def test_a_late_refusal_is_told_with_its_grant(running: Bench) -> None:
    kept = running.device.mute(CURRENT_DATA)
    running.driver.send(Feed(running.grant()))
    await running.settled()
    running.driver.send(Ask())
    await running.settled()
    running.events.clear()
    running.line.say(running.device.ack(kept[0], b"\x07"))
    await running.settled()
    event = garbled(running.events.pop())
    assert (event.flaw, event.grant) == (Flaw.REFUSED, running.seq)
