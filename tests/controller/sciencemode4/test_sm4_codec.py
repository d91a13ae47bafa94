"""Framing of ScienceMode 4: golden frames, any bytes, every split, each bit flipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.devices.sciencemode4_codec import LONGEST, Damaged, Packet, Receiver, encode
from tests.controller.sciencemode4.golden import ROWS, Row
from tests.controller.sciencemode4.p24 import crc, frame

GOLDEN = Path(__file__).parents[2] / "golden" / "sciencemode4"
packets = st.builds(Packet, st.integers(0, 63), st.integers(0, 1_023), st.binary(max_size=300))
special = st.lists(st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0xA5, 0x5A, 0xD4, 0x00]), max_size=60).map(bytes)
noisy = st.builds(Packet, st.sampled_from([0, 3, 15, 32, 60, 63]), st.integers(0, 1_023), special)
ids = [f"{row.row} {row.what}" for row in ROWS]


def test_there_are_all_of_the_golden_frames() -> None:
    assert [row.row for row in ROWS] == list(range(1, 33))


@pytest.mark.parametrize("golden", ROWS, ids=ids)
def test_a_golden_frame_is_read_and_written(golden: Row) -> None:
    packet = Packet(golden.number, golden.command, golden.payload)
    assert Receiver().feed(golden.frame) == [packet]
    assert encode(packet) == golden.frame


@pytest.mark.parametrize("golden", ROWS, ids=ids)
def test_the_tests_own_frames_are_the_golden_ones(golden: Row) -> None:
    assert frame(golden.number, golden.command, golden.payload) == golden.frame


@given(st.one_of(packets, noisy))
def test_what_is_written_is_read_and_is_what_the_document_says(packet: Packet) -> None:
    data = encode(packet)
    assert data == frame(*packet)
    assert Receiver().feed(data) == [packet]


@given(st.lists(st.one_of(packets, noisy), max_size=4), st.data())
def test_it_does_not_matter_how_the_bytes_are_split(several: list[Packet], data: st.DataObject) -> None:
    line = b"".join(map(encode, several))
    receiver, got, at = Receiver(), list[Packet | Damaged](), 0
    while at < len(line):
        size = data.draw(st.integers(1, 40))
        got += receiver.feed(line[at : at + size])
        at += size
    assert got == several


@pytest.mark.hazard("H16")
@pytest.mark.parametrize("golden", ROWS, ids=ids)
def test_no_bit_can_flip_unseen(golden: Row) -> None:
    for at in range(len(golden.frame) * 8):
        flipped = bytearray(golden.frame)
        flipped[at // 8] ^= 1 << at % 8
        receiver = Receiver()
        # A start behind it shows what has no end any more.
        got = receiver.feed(bytes(flipped) + b"\xf0\xf0")
        assert got, at
        assert all(isinstance(item, Damaged) for item in got), (at, got)


@given(st.binary(max_size=2_000))
def test_any_bytes_are_packets_or_damage_and_memory_is_bounded(data: bytes) -> None:
    receiver = Receiver()
    for item in receiver.feed(data):
        assert isinstance(item, Damaged) or 0 <= item.number < 64
    assert len(receiver._held) <= LONGEST
    # What is lost is told: without a word of it, all that came may be the beginning of a frame.
    assert Receiver().feed(data) or data[:1] in {b"", b"\xf0"}


@given(st.one_of(st.binary(max_size=1_300), special), st.one_of(packets, noisy))
def test_junk_before_a_frame_does_not_lose_it(junk: bytes, packet: Packet) -> None:
    got = Receiver().feed(junk + encode(packet))
    assert got[-1] == packet


@given(st.one_of(packets, noisy), st.integers(0, 400), st.one_of(packets, noisy))
def test_a_frame_behind_one_that_was_cut_off_is_not_lost(first: Packet, length: int, second: Packet) -> None:
    whole = encode(first)
    piece = whole[: min(length, len(whole) - 1)]
    got = Receiver().feed(piece + encode(second))
    assert got[-1] == second
    assert len(got) == 1 + (len(piece) > 1)


def test_damage_is_told_once_for_what_stands_outside_of_a_frame() -> None:
    good = encode(Packet(1, 52, b""))
    receiver = Receiver()
    assert receiver.feed(b"junk") == [Damaged("bytes outside of a frame")]
    assert receiver.feed(b"more") == []
    assert receiver.feed(good + b"junk" + good) == [
        Packet(1, 52, b""), Damaged("bytes outside of a frame"), Packet(1, 52, b""),
    ]  # fmt: skip
    spoilt = good[:-3] + b"\0" + good[-2:]
    assert receiver.feed(spoilt + b"junk" + good) == [
        Damaged(f"{len(good)} bytes that are no frame"),
        Packet(1, 52, b""),
    ]


def test_a_start_on_its_own_is_no_damage() -> None:
    assert Receiver().feed(b"\xf0\xf0\xf0" + encode(Packet(1, 52, b""))) == [Packet(1, 52, b"")]


def test_a_frame_may_be_as_long_as_the_document_says_and_no_longer() -> None:
    longest = Packet(1, 2, bytes(LONGEST - 12))
    assert len(encode(longest)) == LONGEST
    assert Receiver().feed(encode(longest)) == [longest]
    with pytest.raises(ValueError, match="1201 bytes"):
        encode(Packet(1, 2, bytes(LONGEST - 11)))
    too_long = frame(1, 2, bytes(LONGEST - 11))
    after = Packet(2, 52, b"")
    assert Receiver().feed(too_long + encode(after)) == [Damaged("1200 bytes without an end"), after]


@pytest.mark.parametrize("packet", [Packet(64, 0, b""), Packet(-1, 0, b""), Packet(0, 1_024, b""), Packet(0, -1, b"")])
def test_what_does_not_fit_a_frame_is_not_written(packet: Packet) -> None:
    with pytest.raises(ValueError, match="packet"):
        encode(packet)


def sealed(escaped_body: bytes) -> bytes:
    """A frame around a body that is escaped already."""
    number = [len(escaped_body) + 10, crc(escaped_body)]
    head = b"".join(bytes([0x81, each >> 8 ^ 0x55, 0x81, each & 255 ^ 0x55]) for each in number)
    return b"\xf0" + head + escaped_body + b"\x0f"


@pytest.mark.parametrize("body", [b"", b"\x04", b"\x04\x34\x81"])
def test_a_sound_frame_without_a_whole_body_is_damage(body: bytes) -> None:
    got = Receiver().feed(sealed(body) + b"\xf0\xf0")
    assert got
    assert all(isinstance(item, Damaged) for item in got)


@pytest.mark.parametrize("byte", range(256))
def test_any_escaped_byte_is_taken(byte: int) -> None:
    # Another sender may escape more than it must.
    assert Receiver().feed(sealed(b"\x04\x34\x81" + bytes([byte ^ 0x55]))) == [Packet(1, 52, bytes([byte]))]


def test_the_emulators_author_has_read_the_same_rows() -> None:
    rows = json.loads((GOLDEN / "frames.json").read_text(encoding="ascii"))
    theirs = [(row["row"], bytes.fromhex(row["hex"]), row["number"], row["command"]) for row in rows]
    assert theirs == [(row.row, row.frame, row.number, row.command) for row in ROWS]
