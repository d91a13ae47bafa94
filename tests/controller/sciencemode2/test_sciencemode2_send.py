"""The ScienceMode 2 driver against a scripted RehaStim2 on a real pty: what it writes, and that it writes it once."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.devices import sciencemode2_frames as wire
from controller.devices.base import DeviceError, NotRepresentable, Order
from controller.devices.sciencemode2_codec import encode
from safety.effects import Arm, Ask, Drive, Envelope, Feed, Grant, Probe
from safety.messages import DeviceState, Flaw, Garbled, Heard
from safety.times import SCIENCEMODE2
from safety.waveform import OFF, Picture, Train
from tests.controller.peer import until
from tests.controller.sciencemode2.bench import ALSO, ENVELOPE, ON, OTHER, PATIENT, Bench, Make, fails, heard
from tests.controller.sciencemode2.rehastim import LIST, MODE, START, STOP, Bytewise, Delayed, Lossy, RehaStim, frame

# Arm


ARMS = [
    ((ENVELOPE,), (0, 1, 0, 0, 0, 48, 0)),
    ((ENVELOPE, OTHER), (0, 0b101, 0, 0, 0, 48, 0)),
    ((OTHER, ENVELOPE), (0, 0b101, 0, 0, 0, 48, 0)),
    ((ENVELOPE._replace(min_period_us=8_000),), (0, 1, 0, 0, 0, 14, 0)),
    ((ENVELOPE._replace(min_period_us=28_571),), (0, 1, 0, 0, 0, 56, 0)),
    ((ENVELOPE._replace(min_period_us=28_500),), (0, 1, 0, 0, 0, 55, 0)),
    ((ENVELOPE._replace(min_period_us=28_501),), (0, 1, 0, 0, 0, 56, 0)),
    ((ENVELOPE._replace(min_period_us=1_025_000),), (0, 1, 0, 0, 8, 0, 0)),
    (tuple(ENVELOPE._replace(channel=n, min_period_us=12_000) for n in range(1, 9)), (0, 255, 0, 0, 0, 22, 0)),
    ((ENVELOPE, OTHER._replace(min_period_us=24_501)), (0, 0b101, 0, 0, 0, 48, 0)),
]


@pytest.mark.parametrize(("envelopes", "load"), ARMS)
async def test_an_arm_is_one_list_of_its_channels_with_their_period(
    bench: Bench, envelopes: tuple[Envelope, ...], load: tuple[int, ...]
) -> None:
    assert await bench.arm(*envelopes) == heard(DeviceState.ARMED, 1)
    assert bench.device.tape == [(LIST, 4, bytes(load))]


@pytest.mark.parametrize(
    ("envelopes", "field", "value", "low", "high"),
    [
        ((ENVELOPE._replace(channel=0),), "channel", 0, 1, 8),
        ((ENVELOPE._replace(channel=9),), "channel", 9, 1, 8),
        ((ENVELOPE._replace(min_period_us=7_999),), "period_us", 7_999, 8_000, 1_025_000),
        ((ENVELOPE._replace(min_period_us=1_025_001),), "period_us", 1_025_001, 8_000, 1_025_000),
        ((ENVELOPE, OTHER._replace(min_period_us=25_001)), "period_us", 25_500, 25_000, 25_000),
        (
            tuple(ENVELOPE._replace(channel=n, min_period_us=11_999) for n in range(1, 9)),
            "period_us",
            11_999,
            12_000,
            1_025_000,
        ),
    ],
)
async def test_an_arm_that_is_no_list_is_never_written(
    bench: Bench, envelopes: tuple[Envelope, ...], field: str, value: int, low: int, high: int
) -> None:
    with pytest.raises(NotRepresentable) as raised:
        bench.driver.send(Arm(bench.grant(), envelopes, 60_000))
    error = raised.value
    assert (error.field, error.value, error.low, error.high) == (field, value, low, high)
    await bench.settled()
    assert bench.device.commands() == [MODE]


@pytest.mark.parametrize("envelopes", [(), (ENVELOPE, ENVELOPE._replace(max_ua=1_000))])
async def test_an_arm_of_no_channel_or_of_one_twice_is_our_own_mistake(
    bench: Bench, envelopes: tuple[Envelope, ...]
) -> None:
    with fails("SYS.INTERNAL"):
        bench.driver.send(Arm(bench.grant(), envelopes, 60_000))
    await bench.settled()
    assert bench.device.commands() == [MODE]


# Drive


PICTURES = [
    ((ON, ALSO), [(0, 300, 20), (0, 200, 12)]),
    ((ON,), [(0, 300, 20), (0, 0, 0)]),
    ((ALSO,), [(0, 0, 0), (0, 200, 12)]),
    ((), [(0, 0, 0), (0, 0, 0)]),
    ((ON._replace(ua=40_000, width_us=400),), [(0, 400, 40), (0, 0, 0)]),
    ((ON._replace(ua=1_000, width_us=20),), [(0, 20, 1), (0, 0, 0)]),
]


@pytest.mark.parametrize(("trains", "rows"), PICTURES)
async def test_a_picture_tells_each_channel_of_the_list_and_what_it_does_not_name_is_off(
    bench: Bench, trains: tuple[Train, ...], rows: list[tuple[int, int, int]]
) -> None:
    await bench.arm()
    bench.driver.send(Drive(bench.grant(), Picture(trains)))
    assert await bench.told() == heard(DeviceState.RUNNING, 2)
    assert bench.device.tape[1:] == [(START, 5, b"".join(struct.pack(">BHB", *row) for row in rows))]


@pytest.mark.rule("M03")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("train", "field", "value", "low", "high"),
    [
        (ON._replace(ua=41_000), "ua", 41_000, 0, 40_000),
        (ON._replace(width_us=401), "width_us", 401, 0, 400),
        (ON._replace(period_us=25_500), "period_us", 25_500, 25_000, 25_000),
        (ON._replace(period_us=24_500), "period_us", 24_500, 25_000, 25_000),
        (ON._replace(ua=131_000), "ua", 131_000, 0, 130_000),
        (ON._replace(gap_us=0), "gap_us", 0, 100, 100),
        (ON._replace(gap_us=101), "gap_us", 101, 100, 100),
    ],
)
async def test_what_the_envelope_or_the_device_does_not_allow_is_never_written(
    bench: Bench, train: Train, field: str, value: int, low: int, high: int
) -> None:
    await bench.arm()
    bench.device.tape.clear()
    with pytest.raises(NotRepresentable) as raised:
        bench.driver.send(Drive(bench.grant(), Picture((train,))))
    error = raised.value
    assert (error.channel, error.field, error.value, error.low, error.high) == (1, field, value, low, high)
    await bench.settled()
    assert bench.device.commands() == [MODE]


@pytest.mark.parametrize(
    "trains",
    [(ON._replace(ua=20_001),), (ON._replace(ua=999),), (ON._replace(period_us=24_999),), (ALSO._replace(channel=2),)],
    ids=["between two steps", "below a step", "period between two steps", "not armed"],
)
async def test_a_picture_that_is_our_own_mistake_is_never_written(bench: Bench, trains: tuple[Train, ...]) -> None:
    await bench.arm()
    bench.device.tape.clear()
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), Picture(trains)))
    await bench.settled()
    assert bench.device.commands() == [MODE]


@pytest.mark.hazard("H13")
async def test_nothing_is_driven_that_was_not_armed_and_answered(bench: Bench) -> None:
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(), OFF))
    bench.device.mute(LIST)
    bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant(10_000), OFF))
    await bench.settled()
    assert bench.device.commands() == [LIST, MODE]


@pytest.mark.hazard("H48")
async def test_nothing_is_driven_under_another_permit_than_the_armed_one(bench: Bench) -> None:
    await bench.arm()
    with fails("SYS.INTERNAL"):
        bench.driver.send(Drive(bench.grant()._replace(permit=8), OFF))
    await bench.settled()
    assert bench.device.commands() == [LIST, MODE]


async def test_a_feed_asks_where_the_device_stands_and_nothing_else(bench: Bench) -> None:
    await bench.arm()
    assert await bench.sends(Feed(bench.grant())) == heard(DeviceState.ARMED, 2)
    await bench.drive()
    assert await bench.sends(Feed(bench.grant())) == heard(DeviceState.RUNNING, 4)
    assert bench.device.commands() == [LIST, MODE, START, MODE]


async def test_a_question_has_no_grant(bench: Bench) -> None:
    assert await bench.sends(Ask()) == heard(DeviceState.STOPPED)
    assert bench.device.tape == [(MODE, 4, b"")]


async def test_the_skin_cannot_be_measured(bench: Bench) -> None:
    with fails("DEV.UNFIT"):
        bench.driver.send(Probe(bench.grant(), ON._replace(ua=1_000)))
    await bench.settled()
    assert bench.device.commands() == [MODE]


async def test_a_frame_is_read_back_before_it_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(number: int, one: wire.HostFrame) -> bytes:
        assert isinstance(one, wire.InitChannelListMode)
        return encode(number, replace(one, main_code=one.main_code + 1))

    monkeypatch.setattr("controller.devices.sciencemode2.encode", wrong)
    with fails("SYS.INTERNAL"):
        bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    monkeypatch.undo()
    await bench.settled()
    assert bench.device.commands() == [MODE]


async def test_nothing_but_silence_is_possible_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    grant = bench.grant()
    orders: list[Order] = [Ask(), Arm(grant, (ENVELOPE,), 1), Drive(grant, OFF), Feed(grant), Probe(grant, ON)]
    for order in orders:
        with fails("SYS.INTERNAL"):
            bench.driver.send(order)
    with fails("SYS.INTERNAL"):
        bench.driver.quantise(OFF)
    bench.driver.silence(cut=False)
    await until(lambda: bench.device.tape)
    assert (bench.device.commands(), bench.events) == ([STOP], [])


# At most one energising frame without an answer


@pytest.mark.hazard("H48")
async def test_an_arm_waits_for_its_answer_or_half_a_second(make: Make) -> None:
    bench: Bench = await make(times=SCIENCEMODE2)
    bench.device.mute(LIST)
    bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    for after_ms in (0, 1, 499):
        with fails("SYS.INTERNAL"):
            bench.driver.send(Arm(bench.grant(after_ms), (ENVELOPE,), 60_000))
    bench.driver.send(Arm(bench.grant(1), (ENVELOPE,), 60_000))
    await bench.settled()
    assert bench.device.commands() == [LIST, LIST, MODE]


@pytest.mark.hazard("H48")
@pytest.mark.parametrize("order", [lambda grant: Drive(grant, OFF), Feed], ids=["drive", "feed"])
async def test_an_energising_frame_waits_for_the_answer_or_100_ms(
    bench: Bench, order: Callable[[Grant], Order]
) -> None:
    await bench.arm()
    bench.device.mute(START, MODE)
    bench.device.tape.clear()
    bench.driver.send(order(bench.grant()))
    for after_ms in (0, 1, 99):
        with fails("SYS.INTERNAL"):
            bench.driver.send(Feed(bench.grant(after_ms)))
    bench.driver.send(Feed(bench.grant(1)))
    await until(lambda: len(bench.device.tape) == 2)


async def test_an_answer_lets_the_next_frame_go(bench: Bench) -> None:
    await bench.arm()
    for _ in range(5):
        bench.driver.send(Drive(bench.grant(0), OFF))
        await bench.told()


async def test_silence_ends_the_waiting(bench: Bench) -> None:
    bench.device.mute(LIST)
    bench.driver.send(Arm(bench.grant(0), (ENVELOPE,), 60_000))
    bench.driver.silence(cut=False)
    bench.driver.send(Arm(bench.grant(0), (ENVELOPE,), 60_000))


# Quantising: at each bound, and one unit beyond


BOUNDS: list[tuple[str, int, int | None]] = [
    ("channel", 0, None),
    ("channel", 1, 1),
    ("channel", 8, 8),
    ("channel", 9, None),
    ("ua", -1, None),
    ("ua", 1_000, 1_000),
    ("ua", 1_999, 1_000),
    ("ua", 2_000, 2_000),
    ("ua", 129_999, 129_000),
    ("ua", 130_000, 130_000),
    ("ua", 130_001, None),
    ("width_us", 19, None),
    ("width_us", 20, 20),
    ("width_us", 21, 21),
    ("width_us", 499, 499),
    ("width_us", 500, 500),
    ("width_us", 501, None),
    ("gap_us", 99, None),
    ("gap_us", 100, 100),
    ("gap_us", 101, None),
    ("period_us", 7_999, None),
    ("period_us", 8_000, 8_000),
    ("period_us", 8_001, 8_500),
    ("period_us", 8_499, 8_500),
    ("period_us", 8_500, 8_500),
    ("period_us", 28_571, 29_000),
    ("period_us", 1_024_999, 1_025_000),
    ("period_us", 1_025_000, 1_025_000),
    ("period_us", 1_025_001, None),
]


@pytest.mark.rule("X11")
@pytest.mark.hazard("H08", "H28")
@pytest.mark.parametrize(("field", "asked", "given"), BOUNDS)
async def test_a_train_is_rounded_towards_less_or_refused(
    bench: Bench, field: str, asked: int, given: int | None
) -> None:
    train = ON._replace(**{field: asked})
    if given is None:
        with pytest.raises(NotRepresentable) as raised:
            bench.driver.quantise(Picture((train,)))
        assert (raised.value.field, raised.value.value) == (field, asked)
    else:
        assert bench.driver.quantise(Picture((train,))) == Picture((ON._replace(**{field: given}),))


async def test_less_than_a_step_of_current_is_off(bench: Bench) -> None:
    assert bench.driver.quantise(Picture((ON._replace(ua=999), ALSO))) == Picture((ALSO,))
    assert bench.driver.quantise(OFF) == OFF


@pytest.mark.rule("G22")
@pytest.mark.parametrize(("period_us", "fits"), [(24_501, True), (25_000, True), (24_500, False), (25_001, False)])
async def test_all_channels_of_a_picture_have_one_period(bench: Bench, period_us: int, fits: bool) -> None:
    picture = Picture((ON, ALSO._replace(period_us=period_us)))
    if fits:
        assert bench.driver.quantise(picture) == Picture((ON, ALSO))
    else:
        with pytest.raises(NotRepresentable) as raised:
            bench.driver.quantise(picture)
        assert (raised.value.channel, raised.value.field, raised.value.high) == (3, "period_us", 25_000)


# Refusals


RESULTS: dict[int, Flaw] = {
    -1: Flaw.DAMAGED,
    -2: Flaw.REFUSED,
    -3: Flaw.REFUSED,
    -5: Flaw.REFUSED,
    -7: Flaw.REFUSED,
    -8: Flaw.REFUSED,
    -4: Flaw.UNKNOWN,
    -6: Flaw.UNKNOWN,
    -9: Flaw.UNKNOWN,
    1: Flaw.UNKNOWN,
}


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("command", [LIST, START, MODE, STOP])
async def test_every_result_but_ok_is_told_of_the_frame_that_it_answers(
    bench: Bench, command: int, result: int
) -> None:
    await bench.arm()
    await bench.drive()
    bench.device.says[command] = lambda asked: [frame(command + 1, asked[1], result)]
    grant = bench.grant()
    orders: dict[int, Callable[[], None]] = {
        LIST: lambda: bench.driver.send(Arm(grant, (ENVELOPE,), 60_000)),
        START: lambda: bench.driver.send(Drive(grant, Picture((ON,)))),
        MODE: lambda: bench.driver.send(Feed(grant)),
        STOP: lambda: bench.driver.silence(cut=False),
    }
    orders[command]()
    told = await bench.told()
    assert isinstance(told, Garbled)
    assert (told.flaw, told.grant) == (RESULTS[result], 0 if command == STOP else grant.seq)


# The same session over four kinds of line


@pytest.mark.hazard("H48")
@pytest.mark.parametrize("kind", [RehaStim, Bytewise, Delayed, Lossy])
async def test_nothing_that_energises_is_ever_sent_twice(make: Make, kind: type[RehaStim]) -> None:
    device = kind()
    lossy = isinstance(device, Lossy)
    bench: Bench = await make(
        device, connected=False, times=replace(SCIENCEMODE2, init_ack_ms=200) if lossy else PATIENT
    )
    driver, events = bench.driver, bench.events
    for _ in range(50):
        try:
            await driver.connect()
        except DeviceError:
            continue
        break
    device.tape.clear()
    events.clear()

    async def is_heard(order: Order, grant: int) -> bool:
        """As the core does it: an answer, or the budget is over and the device is asked until it speaks."""
        driver.send(order)
        for _ in range(50):
            try:
                await until(lambda: any(isinstance(event, Heard) for event in events), 0.1 if lossy else 30)
            except TimeoutError:
                driver.send(Ask())
                continue
            told = [event.grant for event in events if isinstance(event, Heard)]
            flaws = [event.flaw for event in events if isinstance(event, Garbled)]
            assert Flaw.UNKNOWN not in flaws
            events.clear()
            return grant in told
        raise AssertionError(order)

    while not await is_heard(Arm(grant := bench.grant(), (ENVELOPE,), 60_000), grant.seq):
        driver.silence(cut=False)
        await asyncio.sleep(0.1)
    device.tape.clear()
    sent = 0
    for step in range(1, 21):
        await is_heard(Drive(grant := bench.grant(), Picture((ON._replace(ua=1_000 * step),))), grant.seq)
        await is_heard(Feed(grant := bench.grant()), grant.seq)
        sent += 1
    given = [load[3] for command, _, load in device.tape if command == START]
    assert given == sorted(set(given))
    if isinstance(device, Lossy):
        assert device.losses > 0
    else:
        assert given == list(range(1, sent + 1))
