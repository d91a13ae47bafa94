"""One direction of the serial line, and what may happen to bytes on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple, TypeAlias


class Piece(NamedTuple):
    """Bytes that arrive together, so many microseconds after they were sent."""

    after_us: int
    data: bytes


Manipulator: TypeAlias = Callable[[Piece], list[Piece]]
Choice: TypeAlias = Callable[[], bool]
Place: TypeAlias = Callable[[int], int]
"""Called with each byte of a line in order: its index in its frame, or -1 between frames."""


class Way:
    """Carries bytes in order; manipulators may drop, change, split or delay them."""

    def __init__(self) -> None:
        self._manipulators: list[Manipulator] = []
        self._pieces: deque[tuple[int, bytes]] = deque()

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
        for after_us, left in pieces:
            if left:
                earliest_us = self._pieces[-1][0] if self._pieces else now_us
                self._pieces.append((max(earliest_us, now_us + after_us), left))

    def next_us(self) -> int | None:
        """When the next bytes arrive."""
        return self._pieces[0][0] if self._pieces else None

    def pop(self, now_us: int) -> bytes:
        """All bytes that have arrived by now."""
        arrived = b""
        while self._pieces and self._pieces[0][0] <= now_us:
            arrived += self._pieces.popleft()[1]
        return arrived


def swallow(_: Piece) -> list[Piece]:
    """Nothing arrives."""
    return []


def in_pieces(size: int, gap_us: int) -> Manipulator:
    """Pieces of at most `size` bytes, `gap_us` apart."""

    def manipulator(piece: Piece) -> list[Piece]:
        starts = range(0, len(piece.data), size)
        return [Piece(piece.after_us + n * gap_us, piece.data[at : at + size]) for n, at in enumerate(starts)]

    return manipulator


def delay(delay_us: int) -> Manipulator:
    """Everything arrives later."""
    return lambda piece: [Piece(piece.after_us + delay_us, piece.data)]


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

    def place(byte: int) -> int:
        nonlocal index
        here = index if index or byte else -1
        index = index + 1 if byte else 0
        return here

    return place


def delimited(start: int = 0xF0, stop: int = 0x0F, escape: int = 0x81) -> Place:
    """Frames between a start and a stop byte; the byte behind an escape is neither, a second start begins anew."""
    index, blind = -1, False

    def place(byte: int) -> int:
        nonlocal index, blind
        if byte == start and not blind:
            index = 0
            return 0
        if index < 0:
            return -1
        index += 1
        here = index
        if byte == stop and not blind:
            index = -1
        blind = byte == escape and not blind and index >= 0
        return here

    return place


class PerFrame:
    """Spoils some frames: `spoil` maps the index and value of each byte of a chosen frame to what is left of it."""

    def __init__(self, place: Place, chosen: Choice, spoil: Callable[[int, int], bytes]) -> None:
        self._place = place
        self._chosen = chosen
        self._spoil = spoil
        self._spoiling = False

    def __call__(self, piece: Piece) -> list[Piece]:
        """Pass one piece on."""
        out = bytearray()
        for byte in piece.data:
            index = self._place(byte)
            if index == 0:
                self._spoiling = self._chosen()
            out += self._spoil(index, byte) if self._spoiling and index >= 0 else bytes((byte,))
        return [Piece(piece.after_us, bytes(out))]


def flipped(at: int, bit: int, random: Random) -> Callable[[int, int], bytes]:
    """Turn one bit of byte `at` of a frame; -1: one of the first seven, which every frame has."""
    target = at

    def spoil(index: int, byte: int) -> bytes:
        nonlocal target
        if index == 0 and at < 0:
            target = random.randrange(7)
        return bytes((byte ^ 1 << bit if index == target else byte,))

    return spoil
