"""Our ScienceMode 2 codec against the golden frames, an independent check sum, and bytes that nobody meant."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.devices import sciencemode2_frames as wire
from controller.devices.sciencemode2_codec import LONGEST, Flawed, Received, Receiver, check_sum, encode
from controller.devices.sciencemode2_frames import Fault, Mode, Result, Setting
from safety.messages import Flaw
from tests.controller.sciencemode2.golden import TO_DEVICE, TO_HOST, VENDOR, Row
from tests.controller.sciencemode2.rehastim import body_of, crc8, sealed

named = pytest.mark.parametrize
EVERY = [*((row, wire.HOST) for row in TO_DEVICE), *((row, wire.DEVICE) for row in TO_HOST)]


def ids(row: Any) -> str | None:  # noqa: ANN401 - a row of any table
    return row.name if isinstance(row, Row) else None


def damage(data: bytes, kinds: wire.Kinds = wire.DEVICE) -> list[Flaw]:
    """What a receiver says of bytes in which there is no frame."""
    got = Receiver(kinds).feed(data)
    flaws = [one.flaw for one in got if isinstance(one, Flawed)]
    assert len(flaws) == len(got)
    return flaws


# Golden frames


@named(("row", "kinds"), EVERY, ids=ids)
def test_a_golden_frame_is_read(row: Row, kinds: wire.Kinds) -> None:
    assert Receiver(kinds).feed(row.data) == [Received(row.number, row.frame)]


@named("row", TO_DEVICE, ids=ids)
def test_a_golden_frame_is_written(row: Row) -> None:
    assert isinstance(row.frame, wire.HostFrame)
    assert encode(row.number, row.frame) == row.data


@named("row", VENDOR, ids=ids)
def test_the_vendors_own_forms_are_read_or_named(row: Row) -> None:
    (got,) = Receiver(wire.HOST).feed(row.data)
    if row.frame is None:
        # The command was changed with no escape in front of it: it is another one.
        assert got == Flawed(Flaw.UNKNOWN, row.number, "the unknown command 95")
    else:
        assert got == Received(row.number, row.frame)


def test_the_golden_frames_hold_every_command_of_the_document() -> None:
    assert {row.frame.NUMBER for row in TO_DEVICE if row.frame} == set(wire.HOST)
    assert {row.frame.NUMBER for row in TO_HOST if row.frame} == set(wire.DEVICE)


def test_every_command_of_the_document_is_known() -> None:
    assert sorted(wire.HOST) == [2, 4, 10, 30, 32, 34, 36]
    assert sorted(wire.DEVICE) == [1, 3, 11, 31, 33, 35, 37, 38]


# The check sum and the escapes


@given(st.binary(max_size=80))
@example(b"123456789")
def test_the_check_sum_is_the_one_of_long_division(body: bytes) -> None:
    assert check_sum(body) == crc8(body)


def test_the_check_sum_has_its_catalogued_check_value() -> None:
    assert check_sum(b"123456789") == 0xF4


NUMBERS = st.integers(0, 255)
SETTINGS = st.builds(Setting, NUMBERS, st.integers(0, 65_535), NUMBERS)
HOST_FRAMES: st.SearchStrategy[wire.HostFrame] = st.one_of(
    st.builds(wire.InitAck, st.sampled_from(Result)),
    st.sampled_from([wire.Watchdog(), wire.GetStimulationMode(), wire.StopChannelListMode()]),
    st.builds(wire.InitChannelListMode, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 65_535), NUMBERS),
    st.builds(wire.StartChannelListMode, st.lists(SETTINGS, min_size=1, max_size=6).map(tuple)),
    st.builds(wire.SinglePulse, NUMBERS, st.integers(0, 65_535), NUMBERS),
)


@given(NUMBERS, HOST_FRAMES)
@example(0x81, wire.InitChannelListMode(0xF0, 0x0F, 0x81, 0xF0, 0x0F81, 0xF0))
def test_what_is_written_is_read_back(number: int, frame: wire.HostFrame) -> None:
    data = encode(number, frame)
    assert Receiver(wire.HOST).feed(data) == [Received(number, frame)]
    assert body_of(data) == bytes((number, frame.NUMBER)) + frame.to_data()


@given(NUMBERS, HOST_FRAMES, st.data())
def test_a_receiver_takes_any_escaped_byte(number: int, frame: wire.HostFrame, data: st.DataObject) -> None:
    plain = bytes((number, frame.NUMBER)) + frame.to_data()
    also = data.draw(st.frozensets(st.sampled_from(sorted(set(plain)))))
    assert Receiver(wire.HOST).feed(sealed(plain, also)) == [Received(number, frame)]


def test_numbers_at_their_bounds_fit_the_wire_and_no_others_do() -> None:
    for frame in (
        wire.InitChannelListMode(256, 0, 0, 0, 0, 0),
        wire.InitChannelListMode(0, -1, 0, 0, 0, 0),
        wire.InitChannelListMode(0, 0, 0, 0, 65_536, 0),
        wire.StartChannelListMode((Setting(0, 65_536, 0),)),
        wire.StartChannelListMode((Setting(0, 0, 256),)),
        wire.SinglePulse(0, 0, -1),
    ):
        with pytest.raises(struct.error):
            encode(1, frame)


def test_delimiters_in_the_head_end_nothing() -> None:
    # A check sum of A5, 5A or D4 travels as an escape and a raw delimiter.
    raw = {0xA5: 0, 0x5A: 0, 0xD4: 0}
    for number in range(256):
        for ua in range(256):
            frame = wire.StartChannelListMode((Setting(0, 300, ua),))
            data = encode(number, frame)
            if data[2] ^ 0x55 in raw:
                raw[data[2] ^ 0x55] += 1
                assert Receiver(wire.HOST).feed(data) == [Received(number, frame)]
    assert all(raw.values())


# Damage


@pytest.mark.hazard("H16")
@named(("row", "kinds"), EVERY, ids=ids)
def test_no_turned_bit_is_ever_read_as_a_frame(row: Row, kinds: wire.Kinds) -> None:
    sound = row.data
    for bit in range(8 * len(sound)):
        worn = bytearray(sound)
        worn[bit // 8] ^= 1 << bit % 8
        # What is left open is closed by the frame behind it.
        got = Receiver(kinds).feed(bytes(worn) + sound)
        assert [one for one in got if isinstance(one, Received)] in ([Received(row.number, row.frame)], []), bit
        assert Flaw.DAMAGED in {one.flaw for one in got if isinstance(one, Flawed)}, bit


@pytest.mark.hazard("H16")
@named(("row", "kinds"), EVERY, ids=ids)
def test_no_lost_byte_is_ever_read_as_a_frame(row: Row, kinds: wire.Kinds) -> None:
    sound = row.data
    for at in range(len(sound)):
        got = Receiver(kinds).feed(sound[:at] + sound[at + 1 :] + sound)
        assert [one for one in got if isinstance(one, Received)] in ([Received(row.number, row.frame)], []), at
        assert any(isinstance(one, Flawed) for one in got), at


def test_a_frame_cut_in_half_is_ended_by_two_begins_wherever_it_was_cut() -> None:
    stop = bytes.fromhex("f081fa815705220f")
    for _, sound, _, _ in TO_DEVICE:
        for at in range(len(sound)):
            got = Receiver(wire.HOST).feed(sound[:at] + b"\xf0" + stop)
            assert [one for one in got if isinstance(one, Received)] == [Received(5, wire.StopChannelListMode())]


def test_noise_is_one_flaw_however_long_it_is() -> None:
    receiver = Receiver(wire.DEVICE)
    sound = TO_HOST[0].data
    assert [one.flaw for one in receiver.feed(b"\x00" * 5_000) if isinstance(one, Flawed)] == [Flaw.DAMAGED]
    assert receiver.feed(b"\x01\x81\x0f") == []
    assert receiver.feed(sound) == [Received(0, wire.Init(1))]
    (flaw,) = receiver.feed(b"\x02")
    assert flaw == Flawed(Flaw.DAMAGED, None, "0x02 between frames")


def test_a_frame_without_an_end_is_given_up_and_what_stands_in_it_is_found() -> None:
    sound = TO_HOST[0].data
    receiver = Receiver(wire.DEVICE)
    # Each of its begins is escaped for the frame that never ends, and stands free once that is given up.
    assert receiver.feed(b"\xf0" + b"\x00" * (LONGEST - 2)) == []
    assert receiver.feed(b"\x81") == []
    (given_up,) = receiver.feed(sound[:1])
    assert given_up == Flawed(Flaw.DAMAGED, None, f"more than {LONGEST} bytes without an end")
    assert receiver.feed(sound[1:]) == [Received(0, wire.Init(1))]


def test_the_longest_frame_is_read_and_one_byte_more_is_not() -> None:
    frame = wire.StartChannelListMode((*[Setting(0xF0, 0xF0F0, 0xF0)] * 7, Setting(1, 0x0203, 4)))
    plain = bytes((0xF0, 32)) + frame.to_data()
    assert len(sealed(plain)) == LONGEST
    assert Receiver(wire.HOST).feed(sealed(plain)) == [Received(0xF0, frame)]
    assert not any(isinstance(one, Received) for one in Receiver(wire.HOST).feed(sealed(plain, {4})))


@named("length", range(8))
def test_a_frame_that_is_too_short_is_damaged(length: int) -> None:
    assert damage(b"\xf0" + bytes(max(0, length - 2)) + b"\x0f" * (length > 1)) == (
        [Flaw.DAMAGED] if length > 1 else []
    )


@named(
    "data",
    [
        "f0004781560001010f",
        "f0814700560001010f",
        "f0814681560001010f",
        "f0814781570001010f",
        sealed(b"").hex(),
        sealed(b"\x01").hex(),
        sealed(b"\x0f").hex(),
    ],
    ids=["no escape at the sum", "no escape at the length", "sum", "length", "empty", "number alone", "escaped alone"],
)
def test_a_head_that_is_wrong_is_damage(data: str) -> None:
    assert damage(bytes.fromhex(data)) == [Flaw.DAMAGED]


# Fields


@named("kind", wire.DEVICE.values(), ids=lambda kind: kind.__name__)
@named("data", [b"", b"\x00", b"\x00\x00", b"\x00\x00\x00", b"\x80", b"\x00\x03", b"\xff\x00", b"\xfd"])
def test_a_device_frame_of_the_wrong_form_is_unknown(kind: type[wire.Frame], data: bytes) -> None:
    (got,) = Receiver(wire.DEVICE).feed(sealed(bytes((9, kind.NUMBER)) + data))
    allowed = {
        wire.Init: {b"\x00", b"\x80", b"\xfd"},
        wire.UnknownCommand: {b"\x00", b"\x80", b"\xfd"},
        wire.GetStimulationModeAck: {b"\x00\x00", b"\xfd"},
        wire.StimulationError: {b"\xfd"},
    }
    if data in allowed.get(kind, {b"\x00", b"\xfd"}):
        assert isinstance(got, Received)
        assert (got.number, type(got.frame), got.frame.to_data()) == (9, kind, data)
    else:
        own = kind in {wire.Init, wire.StimulationError}
        assert isinstance(got, Flawed)
        assert (got.flaw, got.number) == (Flaw.UNKNOWN, None if own else 9)


@named("result", range(-128, 128))
def test_every_result_is_read_as_signed_or_is_unknown(result: int) -> None:
    (got,) = Receiver(wire.DEVICE).feed(sealed(struct.pack(">BBb", 4, 33, result)))
    if result in {0, -1, -2, -3, -5, -7, -8}:
        assert got == Received(4, wire.StartChannelListModeAck(Result(result)))
    else:
        assert isinstance(got, Flawed)
        assert (got.flaw, got.number) == (Flaw.UNKNOWN, 4)


@named("fault", range(-128, 128))
def test_every_fault_is_read_as_signed_or_is_unknown(fault: int) -> None:
    (got,) = Receiver(wire.DEVICE).feed(sealed(struct.pack(">BBb", 4, 38, fault)))
    if fault in {-1, -2, -3}:
        assert got == Received(4, wire.StimulationError(Fault(fault)))
    else:
        assert isinstance(got, Flawed)
        assert (got.flaw, got.number) == (Flaw.UNKNOWN, None)


@named("mode", range(256))
def test_every_mode_is_read_or_is_unknown(mode: int) -> None:
    (got,) = Receiver(wire.DEVICE).feed(sealed(bytes((4, 11, 0, mode))))
    if mode in {0, 1, 2}:
        assert got == Received(4, wire.GetStimulationModeAck(Result.OK, Mode(mode)))
    else:
        assert isinstance(got, Flawed)


# Any bytes


PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([row.data for row in TO_HOST]),
    st.sampled_from([b"\xf0", b"\x0f", b"\x81", b"\x81\xf0", b"\x81\x0f", b"\x00" * 70, b"\x81" * 70]),
)


@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(1, 9), max_size=30))
def test_any_bytes_in_any_pieces_are_frames_or_flaws_and_little_is_held(data: bytes, sizes: list[int]) -> None:
    whole = Receiver(wire.DEVICE).feed(data)
    receiver, got, at = Receiver(wire.DEVICE), list[Received | Flawed](), 0
    for size in [*sizes, len(data)]:
        got += receiver.feed(data[at : at + size])
        at += size
        assert len(receiver._held) <= LONGEST
    assert got == whole
    assert all(one.frame.NUMBER in wire.DEVICE for one in got if isinstance(one, Received))
    assert all(one.flaw in {Flaw.DAMAGED, Flaw.UNKNOWN} for one in got if isinstance(one, Flawed))
    # After any of it, two begins find the next frame.
    sound = TO_HOST[0].data
    assert receiver.feed(b"\xf0" + sound)[-1:] == [Received(0, wire.Init(1))]
