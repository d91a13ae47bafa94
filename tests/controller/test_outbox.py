"""The queue of what waits to be published: order, bounds, what is dropped first, what is owed after a reconnect."""

from __future__ import annotations

from controller.outbox import MAX_BYTES, Outbox, Outgoing


def state(topic: str, payload: bytes) -> Outgoing:
    return Outgoing(topic, payload, qos=1, retain=True)


def message(payload: bytes) -> Outgoing:
    return Outgoing("event", payload, qos=1, retain=False)


def telemetry(payload: bytes) -> Outgoing:
    return Outgoing("tele", payload, qos=0, retain=False)


async def all_of(outbox: Outbox) -> list[bytes]:
    return [(await outbox.get()).payload for _ in range(len(outbox))]


async def test_state_and_messages_go_in_order_and_telemetry_when_nothing_else_waits() -> None:
    outbox = Outbox()
    for item in (telemetry(b"t1"), state("a", b"s1"), message(b"m1"), telemetry(b"t2"), message(b"m2")):
        outbox.put(item)
    assert await all_of(outbox) == [b"s1", b"m1", b"m2", b"t1", b"t2"]
    assert (outbox.dropped_messages, outbox.dropped_telemetry) == (0, 0)


async def test_of_a_topics_state_only_the_latest_goes_and_before_what_came_after_the_first() -> None:
    outbox = Outbox()
    for item in (state("a", b"a1"), message(b"answer"), state("b", b"b1"), state("a", b"a2")):
        outbox.put(item)
    assert await all_of(outbox) == [b"a2", b"answer", b"b1"]


async def test_beyond_the_bound_the_oldest_message_is_dropped_and_counted_never_state() -> None:
    outbox = Outbox(messages=3)
    outbox.put(state("a", b"s"))
    for number in range(5):
        outbox.put(message(b"m%d" % number))
    assert outbox.dropped_messages == 2
    assert await all_of(outbox) == [b"s", b"m2", b"m3", b"m4"]
    outbox.put(message(b"m5"))
    assert outbox.dropped_messages == 2
    assert await all_of(outbox) == [b"m5"]


async def test_beyond_its_bound_telemetry_is_dropped_and_counted_alone() -> None:
    outbox = Outbox(telemetry=2)
    outbox.put(message(b"m"))
    for number in range(5):
        outbox.put(telemetry(b"t%d" % number))
    assert (outbox.dropped_messages, outbox.dropped_telemetry) == (0, 3)
    assert await all_of(outbox) == [b"m", b"t3", b"t4"]


async def test_what_no_broker_takes_is_dropped_and_counted_at_once() -> None:
    outbox = Outbox()
    for item in (message(b"x" * (MAX_BYTES + 1)), state("a", b"x" * (MAX_BYTES + 1)), message(b"x" * MAX_BYTES)):
        outbox.put(item)
    assert outbox.dropped_messages == 2
    assert await all_of(outbox) == [b"x" * MAX_BYTES]


async def test_after_a_loss_all_state_is_owed_then_what_was_on_its_way_then_what_waited() -> None:
    outbox = Outbox()
    for item in (
        state("a", b"a1"),
        state("b", b"b1"),
        message(b"m1"),
        message(b"m2"),
        telemetry(b"t1"),
        message(b"m3"),
    ):
        outbox.put(item)
    flight = [await outbox.get() for _ in range(4)]
    outbox.put(state("b", b"b2"))
    outbox.give_back([*flight, telemetry(b"lost")])
    assert await all_of(outbox) == [b"a1", b"m1", b"m2", b"m3", b"b2", b"t1"]
    outbox.give_back([])
    assert await all_of(outbox) == [b"a1", b"b2"]


async def test_what_is_given_back_to_a_full_queue_is_the_oldest_and_goes() -> None:
    outbox = Outbox(messages=2)
    for number in range(2):
        outbox.put(message(b"m%d" % number))
    flight = [await outbox.get() for _ in range(2)]
    outbox.put(message(b"m2"))
    outbox.give_back(flight)
    assert outbox.dropped_messages == 1
    assert await all_of(outbox) == [b"m1", b"m2"]
