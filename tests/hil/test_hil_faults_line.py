"""What may happen to bytes and frames on the line: measured on the bytes that arrive, and gone when it ends."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.way import Overtaken, PerFrame, Piece, Way, delimited, each_bit, in_pieces, repeated, sampled, zero_ended
from tests.hil.host import (
    ARM,
    ASK,
    RUN_TRAIN,
    RUNNING,
    STATUS,
    STOP,
    STOPPED,
    Host,
    answers_normally,
    arm_payload,
    decoded,
    frame,
    silent,
)
from tests.hil.test_hil_way import DELIMITED, FRAMES, TRICKY, drained

pytestmark = pytest.mark.hazard("H35")


@pytest.fixture
def host() -> Host:
    """A device that runs 20 mA at 50 Hz on channel 1; its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = Host()
    host.run(RUN_TRAIN)
    host.wait(45_000)
    return host


def got(host: Host, us: int) -> list[tuple[int, bytes]]:
    """What the host gets within a time, with microseconds from now on."""
    start_us, end_us = host.now_us, host.now_us + us
    found = []
    while (due_us := host.bench.next_deadline_us()) is not None and due_us <= end_us:
        host.now_us = max(host.now_us, due_us)
        if data := host.bench.advance(host.now_us):
            found.append((host.now_us - start_us, data))
    host.now_us = end_us
    return found


# --- half-open --------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H10")
def test_a_half_open_line_still_carries_a_stop(host: Host):
    with host.bench.faults.injected("half_open"):
        assert silent(host, STOP)
        host.wait(100_000)
    assert host.pulses() == [0, 20_000, 40_000]
    assert host.status()["state"] == STOPPED
    answers_normally(host)


@pytest.mark.hazard("H11")
def test_a_line_that_is_open_towards_the_host_alone_ends_in_the_dead_man(host: Host):
    with host.bench.faults.injected("half_open", direction="to_device"):
        assert silent(host, STOP)
        host.wait(600_000)
        # The device tells its fault: that way is open.
        assert [event["kind"] for event in host.events] == [4, 3]
    assert host.pulses()[-1] == 480_000
    answers_normally(host)


# --- duplicate --------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
def test_an_answer_comes_twice(host: Host):
    with host.bench.faults.injected("duplicate", direction="to_host", nth=1):
        first, second = host.send(frame(ASK, 5))
        assert first == second
        assert len(host.send(frame(ASK, 5))) == 1
    answers_normally(host)


@pytest.mark.hazard("H08")
def test_a_drive_that_comes_four_times_acts_once(host: Host):
    with host.bench.faults.injected("duplicate", direction="to_device", copies=3):
        before = host.bench.device.model.frames
        host.send(frame(STOP, 5))
        assert host.bench.device.model.frames == before + 4
        answers = host.send(frame(ARM, 6, arm_payload(8, 60_000, (1, 50_000, 500, 8_000, 10**9))))
        # Once it is armed, it is in another state.
        assert [one["type"] == STATUS for one in answers] == [True, False, False, False]
    answers_normally(host)


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("place", "frames"), [(zero_ended, [b"\x03ab\x00", b"\x03cd\x00"]), (delimited, [DELIMITED, TRICKY])]
)
def test_each_frame_is_repeated_whole_whatever_the_pieces(place: Any, frames: list[bytes], size: int):  # noqa: ANN401
    twice = PerFrame(place(), lambda: True, repeated(2))
    pieces = [twice(piece) for piece in in_pieces(size, 0)(Piece(0, b"".join(frames)))]
    assert b"".join(piece.data for (piece,) in pieces) == b"".join(each * 3 for each in frames)


def test_half_a_frame_is_repeated_when_it_is_whole():
    twice = PerFrame(zero_ended(), lambda: True, repeated(1))
    assert [piece.data for data in (b"\x03a", b"b\x00\x02") for piece in twice(Piece(0, data))] == [
        b"\x03a",
        b"b\x00\x03ab\x00\x02",
    ]


# --- delay and reorder ------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H12")
def test_delay_in_both_directions(host: Host):
    with host.bench.faults.injected("delay", delay_ms=30):
        assert silent(host, ASK)
        ((at_us, data),) = got(host, 100_000)
        assert (at_us, decoded(data)[0]["type"]) == (60_000, STATUS)
    answers_normally(host)


def test_what_is_on_its_way_when_a_delay_ends_still_arrives(host: Host):
    with host.bench.faults.injected("delay", direction="to_host", delay_ms=30):
        assert silent(host, ASK)
        host.wait(10_000)
    ((at_us, data),) = got(host, 100_000)
    assert (at_us, decoded(data)[0]["type"]) == (20_000, STATUS)
    answers_normally(host)


def test_jitter_keeps_the_order_and_follows_the_seed():
    def times(bench_seed: int, **settings: Any) -> list[int]:  # noqa: ANN401 - settings
        host = Host(seed=bench_seed)
        host.wait(0)
        with host.bench.faults.injected("delay", direction="to_host", delay_ms=10, jitter_ms=20, **settings):
            for seq in range(10):
                host.bench.receive(frame(ASK, seq), host.now_us)
            heard = got(host, 100_000)
        said = [(at_us, one["seq"]) for at_us, data in heard for one in decoded(data)]
        assert [seq for _, seq in said] == list(range(10))
        assert all(10_000 <= at_us <= 30_000 for at_us, _ in said)
        return [at_us for at_us, _ in said]

    assert times(1) == times(1) != times(2)
    assert times(1, seed=3) == times(2, seed=3) != times(1)


@pytest.mark.hazard("H08")
def test_an_older_frame_arrives_behind_a_newer_one(host: Host):
    with host.bench.faults.injected("reorder", direction="to_device", nth=1, late_ms=30):
        assert silent(host, STOP)
        host.wait(10_000)
        assert host.feed(2)["state"] == RUNNING
        # The stop of before comes 20 ms later.
        host.bench.advance(host.now_us + 20_000)
    host.now_us += 20_000
    assert host.status()["state"] == STOPPED
    assert host.pulses() == [0, 20_000, 40_000, 60_000]
    answers_normally(host)


def test_overtaken_frames_keep_their_bytes_together_and_the_others_their_order():
    way = Way()
    turns = iter([True, False, True])
    with way.manipulated(Overtaken(zero_ended(), lambda: next(turns), 100)):
        way.push(FRAMES[:6], 0)
        way.push(FRAMES[6:], 10)
    assert drained(way) == [(0, b"\x03c"), (10, b"d\x00"), (100, b"\x03ab\x00"), (110, b"\x03ef\x00")]


# --- corrupt each bit -------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
def test_the_walk_turns_every_bit_once_and_begins_anew():
    whole = b"\x03ab\x00"
    walk = PerFrame(zero_ended(), lambda: True, each_bit())
    seen = [walk(Piece(0, whole))[0].data for _ in range(2 * (8 * len(whole) + 1))]
    masks = [int.from_bytes(whole) ^ int.from_bytes(data) for data in seen]
    one_walk = [1 << (8 * (len(whole) - 1 - bit // 8) + bit % 8) for bit in range(8 * len(whole))]
    assert masks == [*one_walk, 0] * 2


@pytest.mark.hazard("H16")
def test_the_walk_on_a_device_changes_nothing(host: Host):
    host.status()
    before = host.status()
    walked = 8 * len(frame(STOP, 1))
    with host.bench.faults.injected("corrupt_each_bit", direction="to_device"):
        for _ in range(walked):
            # A flipped delimiter would join two frames: a zero before each keeps them apart.
            assert host.bench.receive(b"\x00" + frame(STOP, 1), host.now_us) == b""
    host.send(b"\x00")
    after = host.status()
    assert (after["state"], after["channels"]) == (RUNNING, before["channels"])
    assert after["errors"] >= walked
    answers_normally(host)


def test_the_walk_strikes_only_every_so_many_frames(host: Host):
    with host.bench.faults.injected("corrupt_each_bit", direction="to_device", every=4):
        answered = [len(host.send(b"\x00" + frame(ASK, 1))) for _ in range(12)]
    assert answered == [1, 1, 1, 0] * 3
    answers_normally(host)


# --- baud rate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "read"), [(0.96, True), (1.0, True), (1.04, True), (0.93, False), (1.07, False)])
def test_a_receiver_reads_what_differs_little(ratio: float, read: bool):
    everything = bytes(range(256))
    assert (sampled(everything, ratio) == everything) is read


def test_half_and_double_the_rate():
    # The line: 0 1111 0000 1. Read twice as fast, start and ones are one byte, zeros and stop another.
    assert sampled(b"\x0f", 2.0) == b"\xfe\x80"
    # Half as fast, every second level is read, and the idle line behind.
    assert sampled(b"\x0f", 0.5) == b"\xf9"
    assert len(sampled(b"\x55" * 100, 0.5)) < 100 < len(sampled(b"\x55" * 100, 2.0))


@given(st.binary(max_size=40), st.floats(0.1, 10.0))
def test_any_bytes_at_any_rate_are_read_in_the_time_they_take(data: bytes, ratio: float):
    found = sampled(data, ratio)
    assert len(found) <= 10 * len(data)
    # Each byte takes nine and a half of the receiver's bits, and there are so many of the sender's.
    assert len(found) * 9.5 / ratio <= 10 * len(data) + 9.5 / ratio


@pytest.mark.hazard("H16")
@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.5, 2.0, 10.0])
def test_no_frame_is_understood_at_another_rate(host: Host, ratio: float):
    with host.bench.faults.injected("baud_mismatch", ratio=ratio):
        before = host.bench.device.model.frames
        assert host.bench.receive(frame(STOP, 1), host.now_us) == b""
        assert host.bench.device.model.frames == before
    host.send(b"\x00")
    assert host.status()["state"] == RUNNING
    answers_normally(host)


def test_a_small_difference_is_nothing(host: Host):
    with host.bench.faults.injected("baud_mismatch", ratio=1.03):
        assert host.ask(STOP)["state"] == STOPPED
    answers_normally(host)


# --- flood ------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H16")
def test_noise_in_both_directions_at_its_rate_and_a_stop_still_gets_through(host: Host):
    with host.bench.faults.injected("flood", rate=20_000):
        assert len(host.pass_by(100_000)) == 11 * 200
        assert host.bench.device.model.errors > 0
        host.bench.receive(b"\x00" + frame(STOP, 1), host.now_us)
        host.pass_by(100_000)
    assert host.pass_by(100_000) == b""
    assert host.pulses() == [0, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000]
    host.send(b"\x00")
    assert host.status()["state"] == STOPPED
    answers_normally(host)


def test_the_last_answer_again_and_again(host: Host):
    with host.bench.faults.injected("flood", direction="to_host", rate=10_000, content="frames"):
        assert host.pass_by(50_000) == b""
        (said,) = host.send(frame(ASK, 7))
        flooded = decoded(host.pass_by(100_000))
    assert len(flooded) == 10 * -(-100 // len(host.bench.receive(frame(ASK, 7), host.now_us)))
    assert all(one == said for one in flooded)
    answers_normally(host)


@pytest.mark.hazard("H08")
def test_a_command_of_before_again_and_again_acts_no_second_time(host: Host):
    with host.bench.faults.injected("flood", direction="to_device", rate=1_000, content="frames"):
        assert host.feed(2)["state"] == RUNNING
        host.pass_by(600_000)
    # The grant was used up: the copies did not feed the dead man.
    assert host.pulses()[-1] == 540_000
    answers_normally(host)


def test_a_flood_follows_its_seed():
    def noise(seed: int) -> bytes:
        host = Host()
        host.wait(0)
        with host.bench.faults.injected("flood", direction="to_host", seed=seed):
            return host.pass_by(20_000)

    assert noise(3) == noise(3) != noise(4)
    assert noise(3) == b"".join(_gushes(3, 3))


def _gushes(seed: int, count: int) -> list[bytes]:
    dice = Random(seed)  # noqa: S311 - repeatable
    return [dice.randbytes(100) for _ in range(count)]
