"""The receiver of the emulated P24: any bytes are frames or noise, whatever the pieces; nothing damaged is taken."""

from __future__ import annotations

import json
from binascii import crc_hqx
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.devices.sciencemode4_frames import LONGEST, Damaged, Frame, Receiver, encode, escaped, unescaped
from hil.devices.sciencemode4_words import Refused, parse
from tests.hil.host4 import Said, crc, decoded4, frame4, update

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H16")]

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "sciencemode4" / "frames.json").read_text(encoding="ascii")
)
WHOLE = [bytes.fromhex(row["hex"]) for row in GOLDEN]
PAYLOADS = st.binary(max_size=549)
FRAMES = st.builds(Frame, st.integers(0, 63), st.integers(0, 1_023), PAYLOADS)
TRICKY = st.lists(st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0xA5, 0x5A, 0xD4, 0x00]), max_size=60).map(bytes)
JUNK = st.one_of(st.binary(max_size=60), TRICKY, st.sampled_from(WHOLE).map(lambda whole: whole[:-1]))
QUIET = st.binary(max_size=60).map(lambda data: bytes(byte for byte in data if byte != 0xF0))
"""Noise that begins no frame."""


def found(data: bytes) -> list[Frame | Damaged]:
    return Receiver().push(data)


@given(st.binary(max_size=300))
def test_the_two_ways_to_reckon_the_checksum_agree(data: bytes):
    assert crc(data) == crc_hqx(data, 0)


def test_the_checksum_of_the_usual_example():
    assert crc(b"123456789") == 0x31C3


@given(FRAMES)
def test_what_is_written_is_read_by_both(frame: Frame):
    whole = encode(frame)
    assert found(whole) == [frame]
    assert decoded4(whole) == [Said(*frame)]
    assert frame4(frame.command, frame.payload, frame.number) == whole


@given(FRAMES)
def test_any_escaped_byte_is_taken(frame: Frame):
    assert found(frame4(frame.command, frame.payload, frame.number, always=True)) == [frame]


@pytest.mark.parametrize("last", range(256))
def test_any_byte_may_be_the_last_and_escaped(last: int):
    """D4 is the tricky one: it travels as 81 81, and the second is no escape of the stop byte."""
    whole = frame4(36, bytes((last,)), 35, always=True)
    assert found(whole + whole) == [Frame(35, 36, bytes((last,)))] * 2


@given(st.binary(max_size=100))
def test_escapes_go_in_and_come_out(data: bytes):
    out = escaped(data)
    assert unescaped(out) == data
    assert not set(out) & {0xF0, 0x0F} or b"\x81" in out
    assert len(out) == len(data) + sum(byte in b"\xf0\x0f\x81" for byte in data)


def test_only_three_bytes_are_escaped():
    assert escaped(bytes(range(256))).count(b"\x81") == 3
    assert [escaped(bytes((byte,))).hex() for byte in (0xF0, 0x0F, 0x81, 0x55, 0x0A)] == [
        "81a5", "815a", "81d4", "55", "0a",
    ]  # fmt: skip


@given(st.lists(st.one_of(FRAMES.map(encode), JUNK), max_size=6), st.lists(st.integers(1, 40), min_size=1))
def test_pieces_do_not_matter(chunks: list[bytes], sizes: list[int]):
    data = b"".join(chunks)
    whole, pieces = Receiver(), Receiver()
    expected = whole.push(data)
    got = []
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        got += pieces.push(data[at : at + size])
        at += size
    assert got == expected
    assert pieces.noise == whole.noise


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"row {row['row']}")
def test_every_split_of_every_golden_frame(row: dict[str, str]):
    whole = bytes.fromhex(row["hex"])
    expected = found(whole)
    for cut in range(len(whole) + 1):
        receiver = Receiver()
        assert receiver.push(whole[:cut]) + receiver.push(whole[cut:]) == expected
    assert [one for byte in whole for one in (receiver.push(bytes((byte,))))] == expected
    assert receiver.noise == 0


@given(st.binary(max_size=3_000))
def test_any_bytes_are_frames_or_noise(data: bytes):
    receiver = Receiver()
    for got in receiver.push(data):
        assert isinstance(got, Frame | Damaged)
    held = len(receiver._held)
    assert held <= LONGEST
    assert receiver.noise + held <= len(data)


@settings(max_examples=300)
@given(st.lists(TRICKY, min_size=10, max_size=80))
def test_tricky_bytes_are_frames_or_noise(chunks: list[bytes]):
    data = b"".join(chunks)
    receiver = Receiver()
    damaged = [got for got in receiver.push(data) if isinstance(got, Damaged)]
    assert receiver.noise + len(receiver._held) + 12 * len(damaged) <= len(data)


@given(QUIET, FRAMES, QUIET)
def test_noise_before_a_frame_is_counted_and_costs_nothing(before: bytes, frame: Frame, after: bytes):
    receiver = Receiver()
    assert receiver.push(before + encode(frame) + after) == [frame]
    assert receiver.noise == len(before) + len(after)


@given(st.sampled_from(WHOLE), st.integers(1, 60), FRAMES)
def test_a_frame_that_is_cut_short_costs_only_itself(cut: bytes, length: int, frame: Frame):
    part = cut[: min(length, len(cut) - 1)]
    # Half an escape swallows the next start: what follows is lost, and no more than that.
    receiver = Receiver()
    got = receiver.push(part + encode(frame) + encode(frame))
    assert got[-1] == frame
    assert all(one == frame or isinstance(one, Damaged) for one in got)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"row {row['row']}")
def test_no_turned_bit_makes_another_frame(row: dict[str, str]):
    whole = bytes.fromhex(row["hex"])
    (true,) = found(whole)
    for at in range(len(whole)):
        for bit in range(8):
            spoiled = whole[:at] + bytes((whole[at] ^ 1 << bit,)) + whole[at + 1 :]
            assert [one for one in found(spoiled) if isinstance(one, Frame)] == []
            # And with the next frame behind it: nothing but that one is taken.
            taken = [one for one in found(spoiled + whole + whole) if isinstance(one, Frame)]
            assert taken in ([true], [true, true])


@given(FRAMES, st.data())
def test_no_turned_bit_of_any_frame_is_taken(frame: Frame, data: st.DataObject):
    whole = encode(frame)
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    spoiled = whole[:at] + bytes((whole[at] ^ 1 << bit,)) + whole[at + 1 :]
    assert not any(isinstance(one, Frame) for one in found(spoiled))


def test_a_wrong_checksum_tells_the_number_and_a_wrong_length_does_not():
    sound = frame4(52, b"", 33)
    body = sound[9:-1]
    assert found(sound[:8] + bytes((sound[8] ^ 1,)) + body + b"\x0f") == [Damaged(33)]
    assert found(sound[:4] + bytes((sound[4] ^ 1,)) + sound[5:]) == [Damaged(None)]
    assert found(sound[:-1] + b"\x00\x0f") == [Damaged(None)]


def test_a_prefix_that_is_half_there_is_damaged():
    body = b"\x81\x55"
    head = bytes((0, 12, crc(body) >> 8, crc(body) & 0xFF))
    whole = b"\xf0" + b"".join(bytes((0x81, byte ^ 0x55)) for byte in head) + body + b"\x0f"
    assert len(whole) == 12
    assert found(whole) == [Damaged(None)]


@pytest.mark.parametrize("whole", ["f00f", "f0f0f00f", "f0810f", "f0815581598158810f", "f0815581590081588158840f"])
def test_what_has_not_the_form_of_a_frame_is_noise(whole: str):
    receiver = Receiver()
    data = bytes.fromhex(whole)
    assert receiver.push(data) == []
    assert receiver.push(frame4(52)) == [Frame(1, 52)]
    assert receiver.noise == len(data)


def test_the_longest_frame_and_one_byte_more():
    longest = frame4(32, b"\x01" * (LONGEST - 12))
    assert len(longest) == LONGEST
    assert found(longest) == [Frame(1, 32, b"\x01" * (LONGEST - 12))]
    receiver = Receiver()
    assert receiver.push(frame4(32, b"\x01" * (LONGEST - 11))) == []
    assert receiver.noise == LONGEST + 1
    assert receiver.push(longest) != []


def test_a_start_behind_an_escape_of_noise_is_found_when_the_search_begins_again():
    receiver = Receiver()
    hidden = frame4(52, b"", 7)
    # The noise begins a frame and ends with an escape, so that the true start is taken blindly; it is too long when
    # half of the true frame has come.
    noise = b"\xf0" + b"\x01" * (LONGEST - 7) + b"\x81"
    assert receiver.push(noise + hidden) == [Frame(7, 52)]
    assert receiver.noise == len(noise)
    assert receiver.push(frame4(52, b"", 8)) == [Frame(8, 52)]


def refusal(command: int, payload: bytes) -> int | None:
    """The result with which a payload is refused; None: it is a request."""
    try:
        parse(command, payload)
    except Refused as refused:
        return refused.result
    return None


@given(st.integers(0, 1_023), PAYLOADS)
def test_any_payload_is_a_request_or_refused(command: int, payload: bytes):
    assert refusal(command, payload) in {None, 1, 11}


@given(st.binary(max_size=200))
def test_any_update_is_a_request_or_refused(payload: bytes):
    code = refusal(32, payload)
    assert code in {None, 1}
    if code is None:
        channels = [one.channel for one in parse(32, payload).patterns]
        assert channels == sorted(set(channels))
        assert sum(1 << (channel - 1) for channel in channels) == payload[0]


def test_an_update_of_all_channels_and_all_points_is_the_longest():
    many = [(channel, bytes((15 << 4, 0, 200)) + b"\x01" * 64) for channel in range(1, 9)]
    assert len(update(*many)) + 12 == 549
    assert len(parse(32, update(*many)).patterns) == 8
