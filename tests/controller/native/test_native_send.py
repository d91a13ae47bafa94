"""The native driver against a scripted device on a real pty: what it writes, and that it writes it once."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.devices.base import DeviceError, NotRepresentable, Order
from controller.devices.native_codec import encode
from safety.effects import Arm, Ask, Drive, Feed, Grant, Probe
from safety.messages import Flaw, Garbled, Heard
from safety.times import NATIVE
from safety.waveform import OFF, Picture, Train
from tests.controller.native.bench import ENERGISING, ENVELOPE, ON, PATIENT, Bench, Make, fails
from tests.controller.peer import Bytewise, Delayed, Lossy, Peer, until
from tests.golden.native import layout
from tests.golden.native.layout import frame, payload

ORDERS: list[tuple[Callable[[Grant], Order], int, dict[str, Any]]] = [
    (
        lambda grant: Arm(grant, (ENVELOPE,), 60_000),
        layout.ARM,
        {"permit": 7, "lifetime_ms": 60_000, "envelopes": [layout.envelope(1)]},
    ),
    (
        lambda grant: Drive(grant, Picture((ON, ON._replace(channel=2, ua=500)))),
        layout.DRIVE,
        {"permit": 7, "grant": 1, "trains": [layout.train(1), layout.train(2, ua=500)]},
    ),
    (lambda grant: Drive(grant, OFF), layout.DRIVE, {"permit": 7, "grant": 1, "trains": []}),
    (Feed, layout.FEED, {"permit": 7, "grant": 1}),
    (
        lambda grant: Probe(grant, Train(2, 1_999, 309, 0, 5_000_000)),
        layout.PROBE,
        {"permit": 7, "grant": 1, "channel": 2, "ua": 1_500, "width_us": 300},
    ),
    (
        lambda grant: Probe(grant, Train(1, 2_000, 500, 0, 0)),
        layout.PROBE,
        {"permit": 7, "grant": 1, "channel": 1, "ua": 2_000, "width_us": 500},
    ),
    (lambda _: Ask(), layout.ASK, {}),
]
order_ids = ["ARM", "DRIVE", "DRIVE off", "FEED", "PROBE", "PROBE at most", "ASK"]


@pytest.mark.parametrize(("order", "type_", "fields"), ORDERS, ids=order_ids)
async def test_each_order_is_one_frame_written_once(
    bench: Bench, order: Callable[[Grant], Order], type_: int, fields: dict[str, Any]
) -> None:
    bench.driver.send(order(bench.grant()))
    await bench.told()
    await bench.settled()
    assert bench.peer.tape == [(type_, 4, payload(type_, **fields)), (layout.ASK, 5, b"")]


@pytest.mark.parametrize(
    "order",
    [
        lambda grant: Drive(grant, Picture((ON._replace(ua=100_500),))),
        lambda grant: Drive(grant, Picture((ON._replace(channel=3),))),
        lambda grant: Probe(grant, Train(1, 2_001, 300, 0, 25_000)),
        lambda grant: Probe(grant, Train(1, 499, 300, 0, 25_000)),
        lambda grant: Probe(grant, Train(1, 1_000, 501, 0, 25_000)),
        lambda grant: Probe(grant, Train(1, 1_000, 49, 0, 25_000)),
        lambda grant: Probe(grant, Train(3, 1_000, 300, 0, 25_000)),
    ],
)
async def test_what_the_device_cannot_give_is_never_written(bench: Bench, order: Callable[[Grant], Order]) -> None:
    with pytest.raises(NotRepresentable):
        bench.driver.send(order(bench.grant()))
    await bench.settled()
    assert bench.peer.types() == [layout.ASK]


@pytest.mark.parametrize(
    "order",
    [
        lambda grant: Drive(grant, Picture((ON._replace(ua=20_001),))),
        lambda grant: Drive(grant, Picture((ON._replace(ua=499),))),
        lambda grant: Feed(grant._replace(seq=1 << 32)),
        lambda grant: Feed(grant._replace(permit=-1)),
        lambda grant: Arm(grant, (ENVELOPE,), 1 << 32),
        lambda grant: Arm(grant, (ENVELOPE._replace(max_charge_nc=1 << 64),), 60_000),
        lambda grant: Arm(grant, tuple(ENVELOPE._replace(channel=n) for n in range(1, 28)), 60_000),
    ],
)
async def test_a_frame_that_is_our_own_mistake_is_never_written(bench: Bench, order: Callable[[Grant], Order]) -> None:
    with fails("SYS.INTERNAL"):
        bench.driver.send(order(bench.grant()))
    await bench.settled()
    assert bench.peer.types() == [layout.ASK]


async def test_a_frame_is_read_back_before_it_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "controller.devices.native.encode"
    monkeypatch.setattr(wrong, lambda seq, one: encode(seq, replace(one, grant=one.grant + 1)))
    with fails("SYS.INTERNAL"):
        bench.driver.send(Feed(bench.grant()))
    monkeypatch.undo()
    await bench.settled()
    assert bench.peer.types() == [layout.ASK]


async def test_nothing_but_silence_is_possible_before_the_device_is_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    for order, _, _ in ORDERS:
        with fails("SYS.INTERNAL"):
            bench.driver.send(order(bench.grant()))
    with fails("SYS.INTERNAL"):
        bench.driver.quantise(OFF)
    with fails("SYS.INTERNAL"):
        await bench.driver.selftest()
    bench.driver.silence(cut=False)
    await until(lambda: bench.peer.tape)
    assert (bench.peer.types(), bench.events) == ([layout.STOP], [])


async def test_a_picture_is_rounded_to_this_device(bench: Bench) -> None:
    asked = Picture((ON._replace(ua=20_499, width_us=309), ON._replace(channel=2, ua=100)))
    assert bench.driver.quantise(asked) == Picture((ON,))


# At most one energising frame without an answer


@pytest.mark.parametrize(
    ("first", "budget_ms"),
    [
        (lambda grant: Arm(grant, (ENVELOPE,), 60_000), 500),
        (lambda grant: Drive(grant, OFF), 50),
        (Feed, 50),
        (lambda grant: Probe(grant, Train(1, 1_000, 300, 0, 25_000)), 500),
    ],
    ids=["ARM", "DRIVE", "FEED", "PROBE"],
)
async def test_an_energising_frame_waits_for_the_answer_or_the_budget_of_the_one_before(
    make: Make, first: Callable[[Grant], Order], budget_ms: int
) -> None:
    bench: Bench = await make(times=NATIVE if budget_ms == 500 else PATIENT)
    bench.peer.mute(*ENERGISING)
    bench.driver.send(first(bench.grant()))
    for after_ms in (0, 1, budget_ms - 1):
        with fails("SYS.INTERNAL"):
            bench.driver.send(Feed(bench.grant(after_ms)))
    bench.driver.send(Feed(bench.grant(1)))
    await bench.settled()
    assert len(bench.peer.types()) == 3


async def test_an_answer_lets_the_next_frame_go(bench: Bench) -> None:
    for _ in range(5):
        bench.driver.send(Feed(bench.grant(0)))
        await bench.told()


@pytest.mark.parametrize("said", ["nak", "unknown"])
async def test_a_refusal_is_an_answer_too(bench: Bench, said: str) -> None:
    answers = {"nak": {"refused_type": layout.FEED, "code": 4}, "unknown": {"refused_type": layout.FEED, "code": 99}}
    bench.peer.says[layout.FEED] = lambda asked: [frame(layout.NAK, asked[1], **answers[said])]
    for _ in range(3):
        bench.driver.send(Feed(bench.grant(0)))
        await bench.told()


async def test_an_answer_to_a_later_question_ends_the_waiting(bench: Bench) -> None:
    bench.peer.mute(layout.FEED)
    bench.driver.send(Feed(bench.grant(0)))
    await bench.settled()
    bench.driver.send(Feed(bench.grant(0)))


async def test_an_answer_to_an_earlier_question_does_not(bench: Bench) -> None:
    asked = bench.peer.mute(layout.ASK)
    bench.peer.says[layout.FEED] = lambda _: [bench.peer.status(asked[0][1])]
    bench.driver.send(Ask())
    bench.driver.send(Feed(bench.grant(0)))
    await bench.told()
    with fails("SYS.INTERNAL"):
        bench.driver.send(Feed(bench.grant(0)))


async def test_silence_ends_the_waiting(bench: Bench) -> None:
    bench.peer.mute(layout.FEED)
    bench.driver.send(Feed(bench.grant(0)))
    bench.driver.silence(cut=False)
    bench.driver.send(Arm(bench.grant(0), (ENVELOPE,), 60_000))


# The same session over four kinds of line


@pytest.mark.parametrize("kind", [Peer, Bytewise, Delayed, Lossy])
async def test_nothing_that_energises_is_ever_sent_twice(make: Make, kind: type[Peer]) -> None:
    times = replace(NATIVE, init_ack_ms=200) if kind is Lossy else PATIENT
    bench: Bench = await make(kind(), connected=False, times=times)
    driver, peer, events = bench.driver, bench.peer, bench.events
    for _ in range(50):
        try:
            await driver.connect()
        except DeviceError:
            continue
        break
    peer.tape.clear()
    events.clear()

    def spoke(grant: int) -> Callable[[], bool]:
        return lambda: any(isinstance(event, Heard) and event.grant in {grant, 0} for event in events)

    orders: list[Order] = [Arm(bench.grant(), (ENVELOPE,), 60_000)]
    orders += [Drive(bench.grant(), Picture((ON._replace(ua=500 * step),))) for step in range(1, 11)]
    orders += [Feed(bench.grant()) for _ in range(30)]
    for order in orders:
        driver.send(order)
        assert not isinstance(order, Ask)
        # As the core does it: an answer, or the budget is over and the device is asked until it speaks.
        for _ in range(50):
            try:
                await until(spoke(order.grant.seq), 0.1 if kind is Lossy else 30)
                break
            except TimeoutError:
                driver.send(Ask())
        events[:] = [event for event in events if not (isinstance(event, Heard) and event.grant == 0)]

    grants = [
        struct.unpack_from("<II", load)[1] if type_ != layout.ARM else 1
        for type_, _, load in peer.tape
        if type_ in ENERGISING
    ]
    assert grants == sorted(set(grants))
    if isinstance(peer, Lossy):
        assert peer.losses > 0
        assert [
            e for e in events if not isinstance(e, Heard | Garbled) or getattr(e, "flaw", None) is Flaw.UNKNOWN
        ] == []
    else:
        assert grants == list(range(1, len(orders) + 1))
        assert [event.grant for event in events if isinstance(event, Heard)] == grants
        assert len(events) == len(grants)
