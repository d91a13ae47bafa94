"""One direction of the serial line, and what may happen to bytes on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count, groupby
from random import Random
from typing import NamedTuple, TypeAlias


class Piece(NamedTuple):
    """Bytes that arrive together, so many microseconds after they were sent; others overtake one that is loose."""

    after_us: int
    data: bytes
    is_loose: bool = False


class Spot(NamedTuple):
    """Where a byte stands: its index in its frame, -1 between frames."""

    at: int
    is_last: bool = False


BETWEEN = Spot(-1)

Manipulator: TypeAlias = Callable[[Piece], list[Piece]]
Choice: TypeAlias = Callable[[], bool]
Place: TypeAlias = Callable[[int], Spot]
"""Called with each byte of a line in order."""
Spoil: TypeAlias = Callable[[Spot, int], bytes]
"""Called with each byte of a chosen frame: what is left of it."""


class Way:
    """Carries bytes in order; manipulators may drop, change, split or delay them."""

    def __init__(self) -> None:
        self._manipulators: list[Manipulator] = []
        self._pieces: list[tuple[int, int, bytes]] = []
        self._order = count()
        self._last_us = 0

    @contextmanager
    def manipulated(self, manipulator: Manipulator) -> Iterator[None]:
        """Put a manipulator on the way while the context lasts."""
        self._manipulators.append(manipulator)
        try:
            yield
        finally:
            self._manipulators = [other for other in self._manipulators if other is not manipulator]

    def push(self, data: bytes, now_us: int) -> None:
        """Send bytes."""
        pieces = [Piece(0, data)]
        for manipulator in self._manipulators:
            pieces = [out for piece in pieces for out in manipulator(piece)]
        for after_us, left, is_loose in pieces:
            if not left:
                continue
            at_us = now_us + after_us
            if not is_loose:
                at_us = self._last_us = max(self._last_us, at_us)
            heappush(self._pieces, (at_us, next(self._order), left))

    def next_us(self) -> int | None:
        """When the next bytes arrive."""
        return self._pieces[0][0] if self._pieces else None

    def pop(self, now_us: int) -> bytes:
        """All bytes that have arrived by now."""
        arrived = b""
        while self._pieces and self._pieces[0][0] <= now_us:
            arrived += heappop(self._pieces)[2]
        return arrived


def swallow(_: Piece) -> list[Piece]:
    """Nothing arrives."""
    return []


def in_pieces(size: int, gap_us: int) -> Manipulator:
    """Pieces of at most `size` bytes, `gap_us` apart."""

    def manipulator(piece: Piece) -> list[Piece]:
        starts = range(0, len(piece.data), size)
        return [
            piece._replace(after_us=piece.after_us + n * gap_us, data=piece.data[at : at + size])
            for n, at in enumerate(starts)
        ]

    return manipulator


def later(delay_us: int, jitter_us: int = 0, random: Random | None = None) -> Manipulator:
    """Everything arrives later, in order; by up to `jitter_us` more, as the dice say."""

    def manipulator(piece: Piece) -> list[Piece]:
        more_us = random.randrange(jitter_us + 1) if random and jitter_us else 0
        return [piece._replace(after_us=piece.after_us + delay_us + more_us)]

    return manipulator


def misread(ratio: float) -> Manipulator:
    """Bytes as a receiver reads them whose baud rate is so many times the sender's."""
    return lambda piece: [piece._replace(data=sampled(piece.data, ratio))]


def sampled(data: bytes, ratio: float) -> bytes:
    """Bytes sent without a pause, one start and one stop bit each, read in the middle of the receiver's own bits.

    Time is counted in bits of the sender. A stop bit that is read as 0 does not keep the byte from being taken.
    """
    line = [level for byte in data for level in (0, *(byte >> bit & 1 for bit in range(8)), 1)]

    def level(at: float) -> int:
        return line[int(at)] if at < len(line) else 1

    found = bytearray()
    start = 0
    while start < len(line):
        found.append(sum(level(start + (bit + 1.5) / ratio) << bit for bit in range(8)))
        free = start + 9.5 / ratio
        edges = range(int(free) + 1, len(line))
        start = next((at for at in edges if line[at - 1] and not line[at]), len(line))
    return bytes(found)


def choice(nth: int, chance: float, random: Random) -> Choice:
    """Called once a frame: true for the nth frame from now, or with nth = 0 for each frame by chance."""
    seen = 0

    def chosen() -> bool:
        nonlocal seen
        seen += 1
        return seen == nth if nth else random.random() < chance

    return chosen


def zero_ended() -> Place:
    """Frames that a zero ends, and that hold none; a zero between frames is no frame."""
    index = 0

    def place(byte: int) -> Spot:
        nonlocal index
        here = Spot(index, is_last=not byte) if index or byte else BETWEEN
        index = index + 1 if byte else 0
        return here

    return place


def delimited(start: int = 0xF0, stop: int = 0x0F, escape: int = 0x81) -> Place:
    """Frames between a start and a stop byte; the byte behind an escape is neither, a second start begins anew."""
    index, blind = -1, False

    def place(byte: int) -> Spot:
        nonlocal index, blind
        if byte == start and not blind:
            index = 0
            return Spot(0)
        if index < 0:
            return BETWEEN
        index += 1
        here = Spot(index, is_last=byte == stop and not blind)
        if here.is_last:
            index = -1
        blind = byte == escape and not blind and index >= 0
        return here

    return place


class Picked:
    """Follows the frames of a line; called with each byte, it gives the spot of one that is in a chosen frame."""

    def __init__(self, place: Place, chosen: Choice) -> None:
        self._place = place
        self._chosen = chosen
        self._is_chosen = False

    def __call__(self, byte: int) -> Spot | None:
        """The spot of this byte, None where it is left alone."""
        spot = self._place(byte)
        if spot.at == 0:
            self._is_chosen = self._chosen()
        return spot if self._is_chosen and spot.at >= 0 else None


class PerFrame:
    """Spoils the chosen frames, byte by byte."""

    def __init__(self, place: Place, chosen: Choice, spoil: Spoil) -> None:
        self._picked = Picked(place, chosen)
        self._spoil = spoil

    def __call__(self, piece: Piece) -> list[Piece]:
        """Pass one piece on."""
        out = bytearray()
        for byte in piece.data:
            spot = self._picked(byte)
            out += self._spoil(spot, byte) if spot else bytes((byte,))
        return [piece._replace(data=bytes(out))]


class Overtaken:
    """Lets the chosen frames arrive later, each by itself: what is sent behind one overtakes it."""

    def __init__(self, place: Place, chosen: Choice, late_us: int) -> None:
        self._picked = Picked(place, chosen)
        self._late_us = late_us

    def __call__(self, piece: Piece) -> list[Piece]:
        """Pass one piece on."""
        out = []
        for is_late, run in groupby(piece.data, lambda byte: self._picked(byte) is not None):
            part = piece._replace(data=bytes(run))
            late = part._replace(after_us=part.after_us + self._late_us, is_loose=True)
            out.append(late if is_late else part)
        return out


def lost(_: Spot, __: int) -> bytes:
    """Nothing is left of a frame."""
    return b""


def repeated(copies: int) -> Spoil:
    """So many copies of a frame behind it."""
    held = bytearray()

    def spoil(spot: Spot, byte: int) -> bytes:
        if spot.at == 0:
            held.clear()
        held.append(byte)
        return bytes((byte,)) + bytes(held) * (copies if spot.is_last else 0)

    return spoil


def flipped(at: int, bit: int, random: Random) -> Spoil:
    """Turn one bit of byte `at` of a frame; -1: one of the first seven, which every frame has."""
    target = at

    def spoil(spot: Spot, byte: int) -> bytes:
        nonlocal target
        if spot.at == 0 and at < 0:
            target = random.randrange(7)
        return bytes((byte ^ 1 << bit if spot.at == target else byte,))

    return spoil


def each_bit() -> Spoil:
    """Turn the first bit of the first frame, the next bit of the next; one that ends before passes, and starts anew."""
    at = -1

    def spoil(spot: Spot, byte: int) -> bytes:
        nonlocal at
        at += spot.at == 0
        index, bit = divmod(at, 8)
        if spot.is_last and spot.at < index:
            at = -1
        return bytes((byte ^ 1 << bit if spot.at == index else byte,))

    return spoil
