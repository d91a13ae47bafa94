"""Our codec against the golden frames, the third-party COBS, and bytes that nobody meant."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from cobs import cobs
from hypothesis import example, given
from hypothesis import strategies as st

from controller.devices import native_frames as wire
from controller.devices.native_codec import (
    LONGEST_CHUNK,
    Flawed,
    Received,
    Receiver,
    decode,
    encode,
    stuffed,
    unstuffed,
)
from safety.effects import Envelope
from safety.messages import Flaw
from safety.waveform import Train

GOLDEN = Path(__file__).parents[1] / "golden" / "native"
FRAMES: list[dict[str, Any]] = json.loads((GOLDEN / "frames.json").read_text(encoding="ascii"))
MALFORMED: dict[str, list[dict[str, Any]]] = json.loads((GOLDEN / "malformed.json").read_text(encoding="ascii"))
HOST = [row for row in FRAMES if row["direction"] == "host"]
DEVICE = [row for row in FRAMES if row["direction"] == "device"]

named = pytest.mark.parametrize


def ids(row: dict[str, Any]) -> str:
    return str(row["name"])


def kinds_of(row: dict[str, Any]) -> wire.Kinds:
    return wire.HOST if row["direction"] == "host" else wire.DEVICE


def as_fields(seq: int, frame: wire.HostFrame | wire.DeviceFrame) -> dict[str, Any]:
    """A frame in the words of the golden file."""
    assert is_dataclass(frame)
    told = {"type": frame.TYPE, "seq": seq, **{field.name: getattr(frame, field.name) for field in fields(frame)}}
    for name, value in told.items():
        if isinstance(value, tuple):
            told[name] = [row._asdict() for row in value]
    if "channels" in told and isinstance(told["channels"], list):
        told["channels_status"] = told.pop("channels")
    return told


# Golden frames


@named("row", FRAMES, ids=ids)
def test_a_golden_frame_is_read(row: dict[str, Any]) -> None:
    (got,) = Receiver(kinds_of(row)).feed(bytes.fromhex(row["hex"]))
    assert isinstance(got, Received)
    assert as_fields(*got) == row["fields"]


@named("row", HOST, ids=ids)
def test_a_golden_host_frame_is_written(row: dict[str, Any]) -> None:
    told = dict(row["fields"])
    kind, seq = wire.HOST[told.pop("type")], told.pop("seq")
    if "envelopes" in told:
        told["envelopes"] = tuple(Envelope(**one) for one in told["envelopes"])
    if "trains" in told:
        told["trains"] = tuple(Train(**one) for one in told["trains"])
    frame = kind(**told)
    assert not isinstance(frame, wire.DeviceFrame)
    assert encode(seq, frame).hex() == row["hex"]


@named("row", MALFORMED["to_host"], ids=ids)
def test_what_cannot_be_used_is_reported_as_golden(row: dict[str, Any]) -> None:
    got = Receiver(wire.DEVICE).feed(bytes.fromhex(row["hex"]))
    assert [one.flaw.value for one in got if isinstance(one, Flawed)] == row["reports"]
    assert len(got) == len(row["reports"])


def test_every_type_of_the_specification_is_known() -> None:
    assert (sorted(wire.HOST), sorted(wire.DEVICE)) == (list(range(1, 10)), [0x81, 0x82, 0x83, 0x84, 0x8E, 0x8F])


@pytest.mark.hazard("H16")
@named("row", FRAMES, ids=ids)
def test_no_turned_bit_is_ever_read_as_a_frame(row: dict[str, Any]) -> None:
    sound = bytes.fromhex(row["hex"])
    for bit in range(8 * (len(sound) - 1)):
        worn = bytearray(sound)
        worn[bit // 8] ^= 1 << bit % 8
        got = Receiver(kinds_of(row)).feed(bytes(worn))
        assert got
        assert {one.flaw for one in got if isinstance(one, Flawed)} == {Flaw.DAMAGED}
        assert not any(isinstance(one, Received) for one in got)


@named("row", FRAMES, ids=ids)
def test_no_lost_byte_is_ever_read_as_a_frame(row: dict[str, Any]) -> None:
    sound = bytes.fromhex(row["hex"])
    for at in range(len(sound) - 1):
        got = Receiver(kinds_of(row)).feed(sound[:at] + sound[at + 1 :])
        assert [type(one) for one in got] == [Flawed]


# Fields


def test_status_in_full() -> None:
    row = next(row for row in DEVICE if row["name"] == "STATUS: running, clipped")
    (got,) = Receiver(wire.DEVICE).feed(bytes.fromhex(row["hex"]))
    on = wire.Block(1, 12, 20_000, 300, 100, 25_000, 11_200, 13_392, 80, 953_760, 255, 0)
    off = wire.Block(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert got == Received(
        10,
        wire.Status(
            boot=4,
            uptime_ms=61_250,
            frames=12,
            errors=0,
            state=wire.State.RUNNING,
            faults=0,
            button=0,
            supply_mv=12_040,
            permit=7,
            grant=3,
            fed_ago_ms=47,
            channels=(on, off),
        ),
    )


def sound_chunk(type_: int, seq: int, load: bytes) -> bytes:
    """A frame without its delimiter whose check sum is right, whatever it says."""
    head = bytes([type_, seq]) + load
    return bytes(cobs.encode(head + struct.pack("<I", zlib.crc32(head))))


@named("kind", wire.DEVICE.values(), ids=lambda kind: kind.__name__)
@named("length", [*range(13), 33, 34, 35, 69, 70, 71, 90, 91, 92, 506])
def test_a_wrong_length_is_unknown(kind: type[wire.DeviceFrame], length: int) -> None:
    # Every byte is a good value wherever a value is checked, so that only the length can be wrong.
    right = {wire.Identity: 91, wire.Status: 70, wire.Probed: 10, wire.SelfTested: 1, wire.Event: 4, wire.Nak: 2}
    load = (b"1" if kind is wire.Identity else b"\x01") * length
    got = decode(sound_chunk(kind.TYPE, 9, load), wire.DEVICE)
    if length == right[kind]:
        assert isinstance(got, Received)
        return
    assert isinstance(got, Flawed)
    assert (got.flaw, got.seq) == (Flaw.UNKNOWN, None if kind is wire.Event else 9)
    assert got.what.startswith(f"{kind.__name__.upper()}: ")


@named("rows", [0, 1, 2, 8])
@named("said", [0, 1, 2, 8, 255])
def test_a_status_holds_as_many_channels_as_it_says(rows: int, said: int) -> None:
    load = bytes(32) + bytes([said, 0]) + bytes(36 * rows)
    got = decode(sound_chunk(wire.Status.TYPE, 9, load), wire.DEVICE)
    if rows == said:
        assert isinstance(got, Received)
        assert isinstance(got.frame, wire.Status)
        assert len(got.frame.channels) == rows
    else:
        assert got == Flawed(Flaw.UNKNOWN, 9, f"STATUS: {36 * rows} bytes for {said} rows of 36")


@named(
    ("type_", "load", "known"),
    [
        *((0x8F, bytes([3, code]), 1 <= code <= 10) for code in range(256)),
        *((0x8E, bytes([kind, 0, 0, 0]), 1 <= kind <= 5) for kind in range(256)),
        *((0x82, bytes(16) + bytes([state]) + bytes(17), state <= 3) for state in range(256)),
        *((type_, b"", False) for type_ in range(256) if type_ not in wire.DEVICE),
    ],
)
def test_only_words_of_the_specification_are_known(type_: int, load: bytes, known: bool) -> None:
    got = decode(sound_chunk(type_, 9, load), wire.DEVICE)
    assert isinstance(got, Received if known else Flawed)
    if isinstance(got, Flawed):
        assert (got.flaw, got.seq) == (Flaw.UNKNOWN, None if type_ == 0x8E else 9)


@named("text", [b"caf\xe9", b"a\0b", b"a\nb", b"\x7f", b"\x1b[2J"])
@named("at", [2, 18, 34])
def test_a_text_that_is_no_text_is_unknown(text: bytes, at: int) -> None:
    load = bytes(at) + text.ljust(16, b"\0") + bytes(91 - at - 16)
    got = decode(sound_chunk(0x81, 9, load), wire.DEVICE)
    assert isinstance(got, Flawed)
    assert got.flaw is Flaw.UNKNOWN


@named(
    "frame",
    [
        wire.Feed(1 << 32, 1),
        wire.Feed(1, -1),
        wire.Probe(1, 1, 256, 1_000, 300),
        wire.Probe(1, 1, 1, 1_000, 65_536),
        wire.Drive(1, 1, (Train(1, 1 << 32, 300, 0, 25_000),)),
        wire.Drive(1, 1, (Train(1, 1_000, 300, 65_536, 25_000),)),
        wire.Drive(1, 1, (Train(0, 0, 0, 0, 0),) * 256),
        wire.Arm(1, 1 << 32, ()),
        wire.Arm(1, 1, (Envelope(1, 1, 1, 1, 1 << 64),)),
        wire.Arm(1, 1.5, ()),  # type: ignore[arg-type]
    ],
)
def test_a_number_that_does_not_fit_is_never_wrapped(frame: wire.HostFrame) -> None:
    with pytest.raises(struct.error):
        encode(1, frame)


# Streams


def test_frames_on_both_sides_of_damage_are_read() -> None:
    good = bytes.fromhex(next(row["hex"] for row in DEVICE if row["name"] == "SELFTESTED: passed"))
    got = Receiver(wire.DEVICE).feed(b"\0\0" + good + b"\x05junk\0" + good + good[:4] + b"\0" + good)
    assert [type(one) for one in got] == [Received, Flawed, Received, Flawed, Received]


@named("length", [LONGEST_CHUNK, LONGEST_CHUNK + 1, 5_000, 100_000])
def test_memory_is_bounded_and_too_long_a_run_is_one_flaw(length: int) -> None:
    receiver = Receiver(wire.DEVICE)
    got = []
    for _ in range(length):
        got += receiver.feed(b"\xff")
        assert len(receiver._held) <= LONGEST_CHUNK
    assert len(got) == (length > LONGEST_CHUNK)
    good = bytes.fromhex(DEVICE[0]["hex"])
    got += receiver.feed(b"\xff\0" + good)
    assert [type(one) for one in got] == [Flawed, Received]


def test_the_longest_body_is_read_and_one_byte_more_is_not() -> None:
    for rows, length, readable in ((38, 509, True), (39, 522, False)):
        frame = wire.Drive(1, 1, (Train(1, 1, 1, 1, 1),) * rows)
        chunk = encode(1, frame)[:-1]
        body = unstuffed(chunk)
        assert body is not None
        assert len(body) == length
        assert isinstance(decode(chunk, wire.HOST), Received if readable else Flawed)
    for length, readable in ((512, True), (513, False)):
        chunk = sound_chunk(0x33, 9, b"\x01" * (length - 6))
        got = decode(chunk, wire.DEVICE)
        assert isinstance(got, Flawed)
        assert got.flaw is (Flaw.UNKNOWN if readable else Flaw.DAMAGED)


numbers = {size: st.integers(0, (1 << 8 * size) - 1) for size in (1, 2, 4, 8)}
u8, u16, u32, u64 = numbers[1], numbers[2], numbers[4], numbers[8]
trains = st.builds(Train, channel=u8, ua=u32, width_us=u16, gap_us=u16, period_us=u32)
envelopes = st.builds(Envelope, channel=u8, max_ua=u32, max_width_us=u16, min_period_us=u32, max_charge_nc=u64)
host_frames: st.SearchStrategy[wire.HostFrame] = st.one_of(
    st.sampled_from([wire.Hello(), wire.Stop(), wire.Ask(), wire.Cut(), wire.SelfTest()]),
    st.builds(wire.Arm, permit=u32, lifetime_ms=u32, envelopes=st.lists(envelopes, max_size=26).map(tuple)),
    st.builds(wire.Drive, permit=u32, grant=u32, trains=st.lists(trains, max_size=38).map(tuple)),
    st.builds(wire.Feed, permit=u32, grant=u32),
    st.builds(wire.Probe, permit=u32, grant=u32, channel=u8, ua=u32, width_us=u16),
)


@given(u8, host_frames)
def test_a_host_frame_reads_back_as_it_was_meant(seq: int, frame: wire.HostFrame) -> None:
    data = encode(seq, frame)
    assert data.count(0) == 1
    assert Receiver(wire.HOST).feed(data) == [Received(seq, frame)]


@given(st.binary(max_size=1_200))
@example(b"\x01" * 254)
@example(b"\x01" * 253)
@example(b"\x01" * 253 + b"\0\x01")
@example(b"\x01" * 508 + b"\0")
@example(b"\0" + b"\x01" * 254 + b"\0" + b"\x01" * 254)
def test_stuffing_is_that_of_others(body: bytes) -> None:
    chunk = stuffed(body)
    assert 0 not in chunk
    assert cobs.decode(chunk) == body
    assert unstuffed(chunk) == body
    assert unstuffed(cobs.encode(body)) == body


@given(st.binary(max_size=700))
@example(b"\x13" + bytes(18))
@example(b"\x03\x01")
def test_unstuffing_refuses_what_others_refuse(chunk: bytes) -> None:
    try:
        expected = cobs.decode(chunk)
    except cobs.DecodeError:
        expected = None
    assert unstuffed(chunk) == (expected if chunk else b"")


streams = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([bytes.fromhex(row["hex"]) for row in FRAMES]),
        st.builds(lambda type_, load: sound_chunk(type_, 7, load) + b"\0", u8, st.binary(max_size=120)),
        st.just(b"\0"),
    ),
    max_size=12,
).map(b"".join)


@given(streams, st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_no_bytes_raise_and_how_they_are_cut_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    for kinds in (wire.DEVICE, wire.HOST):
        whole = Receiver(kinds).feed(stream)
        receiver, got, at = Receiver(kinds), list[Received | Flawed](), 0
        while at < len(stream):
            for cut in cuts:
                got += receiver.feed(stream[at : at + cut])
                at += cut
        assert got == whole


@given(st.binary(max_size=600))
def test_no_chunk_raises(chunk: bytes) -> None:
    for kinds in (wire.DEVICE, wire.HOST):
        assert isinstance(decode(chunk, kinds), Received | Flawed)
