"""The serial tape: every chunk at the host's end of the line, with its time."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple, TypeAlias

Direction: TypeAlias = Literal["to_device", "to_host"]

LENGTH = 100_000
"""Chunks kept: over an hour of frames and answers at a frame every 100 ms. Engineering default."""


class Chunk(NamedTuple):
    """Bytes as the host wrote or got them, at a time of the boot clock."""

    at_us: int
    direction: Direction
    data: bytes


def agreed(one: bytes, other: bytes) -> int:
    """How many bytes are the same from the beginning on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


class Tape:
    """A bounded record of the line."""

    def __init__(self, length: int = LENGTH) -> None:
        self._chunks: deque[Chunk] = deque(maxlen=length)
        self._noted = 0

    def note(self, at_us: int, direction: Direction, data: bytes) -> None:
        """Record one chunk."""
        self._chunks.append(Chunk(at_us, direction, data))
        self._noted += 1

    def since(self, since_us: int = 0) -> list[Chunk]:
        """The chunks at or after a time, oldest first, as far as the tape holds them."""
        return [chunk for chunk in self._chunks if chunk.at_us >= since_us]

    @property
    def dropped(self) -> int:
        """Chunks that the tape no longer holds."""
        return self._noted - len(self._chunks)
