"""Bytes of the native protocol: stuffing, framing, the order of refusals, and that no bytes whatever do harm."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from hil.devices.native_frames import LONGEST_CODED, Body, Deframer, stuff, unstuff
from tests.hil.host import (
    ARM,
    ARMED,
    ASK,
    CUT,
    DRIVE,
    FEED,
    HELLO,
    NAK,
    PROBE,
    RUNNING,
    SELFTEST,
    STATUS,
    STOP,
    STOPPED,
    Host,
    arm_payload,
    drive_payload,
    frame,
)

pytestmark = pytest.mark.hazard("H35")

RUNS = [b"", b"\x00", b"\x00\x00", b"a", b"a\x00", b"\x00a", b"a\x00b"]
RUNS += [b"x" * n + tail for n in (253, 254, 255, 507, 508, 509, 512) for tail in (b"", b"\x00", b"y", b"\x00y")]


@pytest.mark.parametrize("body", RUNS, ids=lambda body: f"{len(body)}-{body[-2:].hex()}")
def test_stuffing_is_that_of_the_third_party(body: bytes):
    assert stuff(body) == cobs.encode(body)
    assert unstuff(stuff(body)) == body


@given(st.binary(max_size=600))
def test_stuffing_round_trip(body: bytes):
    assert stuff(body) == cobs.encode(body)
    assert unstuff(stuff(body)) == body
    assert 0 not in stuff(body)


@given(st.binary(min_size=1, max_size=600).map(lambda data: data.replace(b"\x00", b"\x01")))
def test_unstuffing_agrees_with_the_third_party_on_any_block(coded: bytes):
    try:
        expected = bytes(cobs.decode(coded))
    except cobs.DecodeError:
        expected = None
    assert unstuff(coded) == expected


@given(st.binary(max_size=3_000), st.lists(st.integers(0, 3_000), max_size=20))
def test_pieces_make_no_difference(data: bytes, cuts: list[int]):
    whole, pieces, bytewise = Deframer(), Deframer(), Deframer()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = whole.push(data)
    assert [body for low, high in pairwise(edges) for body in pieces.push(data[low:high])] == expected
    assert [body for byte in data for body in bytewise.push(bytes((byte,)))] == expected


@given(st.lists(st.binary(min_size=1, max_size=2_000), max_size=10))
def test_memory_is_bounded_whatever_arrives(pieces: list[bytes]):
    deframer = Deframer()
    for piece in pieces:
        deframer.push(piece)
        assert len(deframer._held) <= LONGEST_CODED


@pytest.mark.parametrize(("length", "found"), [(515, 0), (516, 1), (517, 1), (10_000, 1)])
def test_too_much_without_a_zero_is_one_error_at_once(length: int, found: int):
    deframer = Deframer()
    assert deframer.push(b"\x01" * length) == [None] * found
    # The end of the piece that was dropped is no second error, and the next frame is sound.
    ended = deframer.push(b"\x00" + frame(ASK, 3))
    assert ended == [None] * (1 - found) + [Body(ASK, 3, b"")]


@pytest.mark.parametrize(("payload", "is_whole"), [(505, True), (506, True), (507, False), (508, False)])
@pytest.mark.parametrize("fill", [b"\x00", b"\x01"])
def test_the_longest_body(payload: int, fill: bytes, *, is_whole: bool):
    (body,) = Deframer().push(frame(STOP, 1, fill * payload))
    assert (body is not None) is is_whole


def soiled(data: bytes) -> st.SearchStrategy[bytes]:
    """Real frames among junk, so that the device's deeper rooms are reached, too."""
    return st.lists(st.sampled_from([data]) | st.binary(max_size=40), max_size=12).map(b"".join)


SESSION = (
    frame(ARM, 1, arm_payload(7, 60_000, (1, 50_000, 500, 8_000, 10**9)))
    + frame(DRIVE, 2, drive_payload(7, 1, (1, 50_000, 500, 0, 8_000)))
    + frame(FEED, 3, struct.pack("<II", 7, 2))
)


@given(soiled(SESSION), st.integers(0, 1_000_000))
def test_no_bytes_ever_raise_and_bytewise_equals_whole(data: bytes, later_us: int):
    whole, bytewise = Host(), Host()
    for host in (whole, bytewise):
        host.wait(0)
    said = whole.bench.receive(data, whole.now_us)
    assert b"".join(bytewise.bench.receive(bytes((byte,)), bytewise.now_us) for byte in data) == said
    whole.jump(later_us)
    bytewise.wait(later_us)
    for host in (whole, bytewise):
        host.send(b"\x00")
    assert whole.status() == bytewise.status()
    assert whole.pulses() == bytewise.pulses()


KINDS = st.integers(0, 255) | st.sampled_from([HELLO, ARM, DRIVE, FEED, STOP, PROBE, ASK, CUT, SELFTEST])


@given(st.lists(st.tuples(KINDS, st.integers(0, 255), st.binary(max_size=60)), min_size=1, max_size=8))
def test_every_sound_frame_has_one_answer_with_its_number(frames: list[tuple[int, int, bytes]]):
    host = Host()
    for kind, seq, payload in frames:
        (answer,) = host.send(frame(kind, seq, payload))
        assert answer["seq"] == seq
        if answer["type"] == NAK:
            assert answer["refused"] == kind
            assert kind not in {STOP, CUT}
    assert host.status()["frames"] == len(frames) + 1
    assert host.status()["errors"] == 0


@pytest.mark.hazard("H16")
def test_no_single_bit_of_a_drive_can_be_turned_unseen():
    clean = frame(DRIVE, 2, drive_payload(7, 1, (1, 20_000, 300, 0, 20_000)))
    for bit in range(8 * len(clean)):
        host = Host()
        host.arm()
        spoiled = bytearray(clean)
        spoiled[bit // 8] ^= 1 << bit % 8
        answers = host.send(bytes(spoiled) + b"\x00")
        status = host.status()
        assert answers == []
        assert status["state"] == ARMED
        assert status["errors"] >= 1


# --- the order of checks ----------------------------------------------------------------------------------------------

LONG_LIST = (9, 2**32 - 1, 65_535, 65_535, 2**32 - 1)
BAD_DRIVE = drive_payload(8, 1, LONG_LIST)
BAD_ARM = arm_payload(7, 0, (9, 2**32 - 1, 65_535, 0, 0))


def code(host: Host, kind: int, payload: bytes) -> int:
    answer = host.ask(kind, payload)
    assert answer["type"] == NAK
    assert answer["refused"] == kind
    found: int = answer["code"]
    return found


def test_drive_is_judged_in_the_order_of_the_specification():
    """One frame that is wrong in every way; each repair uncovers the next reason."""
    host = Host()
    host.ask(CUT)
    assert code(host, 0x0A, BAD_DRIVE) == 1
    assert code(host, DRIVE, BAD_DRIVE + b"\x00") == 2
    assert code(host, DRIVE, BAD_DRIVE) == 7
    host = Host()
    host.bench.device.model.press(host.now_us)
    assert code(host, DRIVE, BAD_DRIVE) == 3
    host.bench.device.model.release()
    host.run()
    assert code(host, DRIVE, BAD_DRIVE) == 4
    assert code(host, DRIVE, drive_payload(7, 1, LONG_LIST)) == 6
    assert code(host, DRIVE, drive_payload(7, 2, LONG_LIST)) == 10
    assert host.status()["state"] == RUNNING
    assert code(host, DRIVE, drive_payload(7, 2, (1, *LONG_LIST[1:]))) == 5
    assert host.status()["state"] == STOPPED


def test_feed_is_judged_in_the_order_of_the_specification():
    host = Host()
    host.ask(CUT)
    assert code(host, FEED, struct.pack("<II", 8, 0)[:-1]) == 2
    assert code(host, FEED, struct.pack("<II", 8, 0)) == 7
    host = Host()
    assert code(host, FEED, struct.pack("<II", 8, 0)) == 3
    host.run()
    assert code(host, FEED, struct.pack("<II", 8, 0)) == 4
    assert code(host, FEED, struct.pack("<II", 7, 1)) == 6
    assert host.feed(2)["type"] == STATUS


def test_arm_is_judged_in_the_order_of_the_specification():
    host = Host()
    host.ask(CUT)
    assert code(host, ARM, BAD_ARM[:-1]) == 2
    assert code(host, ARM, BAD_ARM) == 7
    host = Host()
    host.run()
    assert code(host, ARM, BAD_ARM) == 3
    host.ask(STOP)
    with host.bench.faults.injected("failed_self_test"):
        host.ask(SELFTEST)
    host.bench.device.model.press(host.now_us)
    assert code(host, ARM, BAD_ARM) == 8
    host.ask(SELFTEST)
    assert code(host, ARM, BAD_ARM) == 9
    host.bench.device.model.release()
    assert code(host, ARM, BAD_ARM) == 10
    assert code(host, ARM, arm_payload(7, 0, (1, 2**32 - 1, 65_535, 0, 0))) == 5
    assert host.arm()["state"] == ARMED


def test_probe_is_judged_in_the_order_of_the_specification():
    def probe(grant: int, channel: int, ua: int) -> bytes:
        return struct.pack("<IIBIH", 6, grant, channel, ua, 300)

    host = Host()
    host.ask(CUT)
    assert code(host, PROBE, probe(1, 9, 9_000) + b"\x00") == 2
    assert code(host, PROBE, probe(1, 9, 9_000)) == 7
    host = Host()
    host.ask(PROBE, probe(1, 1, 1_000))
    host.run()
    assert code(host, PROBE, probe(1, 9, 9_000)) == 3
    host.ask(STOP)
    host.bench.device.model.press(host.now_us)
    assert code(host, PROBE, probe(1, 9, 9_000)) == 9
    host.bench.device.model.release()
    assert code(host, PROBE, probe(1, 9, 9_000)) == 6
    assert code(host, PROBE, probe(2, 9, 9_000)) == 10
    assert code(host, PROBE, probe(2, 1, 9_000)) == 5


@pytest.mark.parametrize("channels", [(0,), (3,), (1, 1), (2, 1), (1, 3), (255,)])
def test_channel_lists(channels: tuple[int, ...]):
    host = Host()
    envelopes = [(channel, 1_000, 300, 8_000, 10**6) for channel in channels]
    assert code(host, ARM, arm_payload(7, 60_000, *envelopes)) == 10
    assert host.status()["state"] == STOPPED
    host.run()
    trains = [(channel, 1_000, 300, 0, 8_000) for channel in channels]
    assert code(host, DRIVE, drive_payload(7, 2, *trains)) == 10
    assert host.status()["state"] == RUNNING
    host.ask(STOP)
    assert code(host, PROBE, struct.pack("<IIBIH", 6, 1, 0, 1_000, 300)) == 10


def test_stop_and_cut_are_obeyed_with_any_payload():
    for kind, state in ((STOP, 0), (CUT, 3)):
        host = Host()
        host.run()
        assert host.ask(kind, b"\x00\x01\x02" * 100)["state"] == state


def test_events_have_a_count_of_their_own():
    host = Host()
    for _ in range(300):
        host.bench.device.model.press(host.now_us)
        host.bench.device.model.release()
        host.wait(0)
    assert [event["seq"] for event in host.events] == [n % 256 for n in range(601)]


def test_a_crc_that_is_right_by_another_polynomial_is_wrong():
    head = bytes((STOP, 9))
    body = head + struct.pack("<I", zlib.adler32(head))
    assert Deframer().push(bytes(cobs.encode(body)) + b"\x00") == [None]
