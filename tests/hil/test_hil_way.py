"""One direction of the line: order, delay, and frames that are lost or spoiled."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.way import PerFrame, Piece, Way, choice, delimited, flipped, in_pieces, later, swallow, zero_ended

pytestmark = pytest.mark.hazard("H35")

FRAMES = b"\x03ab\x00\x03cd\x00\x03ef\x00"
DICE = Random(0)  # noqa: S311 - repeatable


def drained(way: Way) -> list[tuple[int, bytes]]:
    """Everything that is on the way, with its times."""
    found = []
    while (at_us := way.next_us()) is not None:
        found.append((at_us, way.pop(at_us)))
    return found


def test_bytes_arrive_at_once():
    way = Way()
    way.push(b"abc", 100)
    assert way.next_us() == 100
    assert way.pop(99) == b""
    assert way.pop(100) == b"abc"
    assert way.next_us() is None


def test_bytes_of_one_time_arrive_together_in_order():
    way = Way()
    way.push(b"abc", 100)
    way.push(b"def", 100)
    assert drained(way) == [(100, b"abcdef")]


def test_later():
    way = Way()
    with way.manipulated(later(50)):
        way.push(b"late", 100)
    way.push(b"next", 120)
    # What was sent later does not overtake.
    assert drained(way) == [(150, b"latenext")]


def test_pieces():
    way = Way()
    with way.manipulated(in_pieces(2, 87)):
        way.push(b"abcde", 1_000)
    assert drained(way) == [(1_000, b"ab"), (1_087, b"cd"), (1_174, b"e")]


def test_manipulators_follow_one_another():
    way = Way()
    with way.manipulated(in_pieces(1, 10)), way.manipulated(later(5)):
        way.push(b"ab", 0)
    assert drained(way) == [(5, b"a"), (15, b"b")]


def test_a_dead_way_carries_nothing_until_it_is_restored():
    way = Way()

    def breaking() -> None:
        with way.manipulated(swallow):
            way.push(b"lost", 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    way.push(b"kept", 1)
    assert drained(way) == [(1, b"kept")]


@pytest.mark.parametrize(("nth", "left"), [(1, b"\x03cd\x00\x03ef\x00"), (2, b"\x03ab\x00\x03ef\x00"), (4, FRAMES)])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_nth_frame_is_dropped_whatever_the_pieces(nth: int, left: bytes, size: int):
    drop = PerFrame(zero_ended(), choice(nth, 1.0, DICE), lambda _, __: b"")
    pieces = [drop(piece) for piece in in_pieces(size, 0)(Piece(0, FRAMES))]
    assert b"".join(piece.data for (piece,) in pieces) == left


def test_zeros_between_frames_are_no_frames():
    drop = PerFrame(zero_ended(), choice(1, 1.0, DICE), lambda _, __: b"")
    assert drop(Piece(0, b"\x00\x00" + FRAMES)) == [Piece(0, b"\x00\x00\x03cd\x00\x03ef\x00")]


@pytest.mark.parametrize(("chance", "left"), [(0.0, FRAMES), (1.0, b"")])
def test_by_chance(chance: float, left: bytes):
    assert PerFrame(zero_ended(), choice(0, chance, DICE), lambda _, __: b"")(Piece(7, FRAMES)) == [Piece(7, left)]


def test_chance_is_repeatable():
    def spoiled() -> list[Piece]:
        dice = Random(5)  # noqa: S311 - repeatable
        return PerFrame(zero_ended(), choice(0, 0.5, dice), flipped(-1, 2, dice))(Piece(0, FRAMES * 20))

    assert spoiled() == spoiled()
    assert spoiled() != [Piece(0, FRAMES * 20)]


@pytest.mark.parametrize(("at", "bit", "second"), [(0, 0, b"\x02cd\x00"), (1, 1, b"\x03ad\x00"), (3, 7, b"\x03cd\x80")])
def test_one_bit_of_the_second_frame(at: int, bit: int, second: bytes):
    corrupt = PerFrame(zero_ended(), choice(2, 1.0, DICE), flipped(at, bit, DICE))
    assert corrupt(Piece(0, FRAMES)) == [Piece(0, b"\x03ab\x00" + second + b"\x03ef\x00")]


DELIMITED = bytes.fromhex("f0815581598158810b8161083e0f")
TRICKY = bytes.fromhex("f08155815881f081942824040f")


@pytest.mark.parametrize("whole", [DELIMITED, TRICKY])
def test_the_places_of_a_frame_between_delimiters(whole: bytes):
    place = delimited()
    found = [place(byte).at for byte in b"\x00\x0f\x81" + whole + b"\x81" + whole]
    assert found == [-1, -1, -1, *range(len(whole)), -1, *range(len(whole))]


def test_a_second_start_begins_anew_and_one_behind_an_escape_does_not():
    place = delimited()
    assert [place(byte).at for byte in b"\xf0\x81\xf0\xf0\x81\x0f\x81\x81\x0f\x01"] == [0, 1, 2, 0, 1, 2, 3, 4, 5, -1]


@pytest.mark.parametrize(
    ("nth", "left"), [(1, TRICKY + DELIMITED), (2, DELIMITED + DELIMITED), (3, DELIMITED + TRICKY)]
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_nth_frame_between_delimiters_is_dropped(nth: int, left: bytes, size: int):
    drop = PerFrame(delimited(), choice(nth, 1.0, DICE), lambda _, __: b"")
    pieces = [drop(piece) for piece in in_pieces(size, 0)(Piece(0, DELIMITED + TRICKY + DELIMITED))]
    assert b"".join(piece.data for (piece,) in pieces) == left


@given(st.binary(min_size=8, max_size=60).map(lambda data: data.replace(b"\x00", b"\x01") + b"\x00"), st.integers(0, 7))
def test_a_frame_that_is_corrupted_anywhere_differs_in_one_bit(data: bytes, bit: int):
    corrupt = PerFrame(zero_ended(), choice(1, 1.0, DICE), flipped(-1, bit, Random(1)))  # noqa: S311 - repeatable
    ((_, out, _),) = corrupt(Piece(0, data))
    differing = [low ^ high for low, high in zip(data, out, strict=True) if low != high]
    assert differing == [1 << bit]
