"""Two tapes side by side: bytes to the byte, times within a tolerance, each direction by itself."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from hil.frame_names import Unit, units
from hil.tape import Direction, agreed
from hil.tape_file import SerialTape

DIRECTIONS: tuple[Direction, ...] = ("to_device", "to_host")
SHOWN = 24
"""Bytes of a frame that a line shows."""


class Difference(NamedTuple):
    """Where two tapes part: the first byte, among all of its direction on the first tape, and the time.

    Times count from the beginning of each tape. With the same bytes on both sides the times differ.
    """

    at_us: int
    direction: Direction
    offset: int
    one: Unit | None
    other: Unit | None

    @property
    def text(self) -> str:
        """As a person reads it: one line, or two."""
        if self.one and self.other and self.one.data == self.other.data:
            apart_ms = (self.other.at_us - self.one.at_us) / 1000
            return f"~ {_told(self.one)}\n  {abs(apart_ms):.3f} ms {'later' if apart_ms > 0 else 'earlier'}"
        sides = (("-", self.one), ("+", self.other))
        return "\n".join(f"{sign} {_told(unit)}" for sign, unit in sides if unit)


def _told(unit: Unit) -> str:
    shown = unit.data[:SHOWN].hex() + (f"... ({len(unit.data)} bytes)" if len(unit.data) > SHOWN else "")
    return f"{unit.at_us / 1000:12.3f} ms  {unit.direction:9}  {unit.name:16} {shown}"


def differences(one: SerialTape, other: SerialTape, tolerance_us: int) -> list[Difference]:
    """Where they part, in the order of time."""
    kind = one.head.device if one.head.device == other.head.device else None
    found: list[Difference] = []
    for direction in DIRECTIONS:
        ours, theirs = (_from_zero(tape, direction, kind) for tape in (one, other))
        for left, right in _paired(ours, theirs):
            if left and right:
                found += _between(left, right, tolerance_us)
            elif there := left or right:
                found.append(Difference(there.at_us, direction, there.offset, left, right))
    return sorted(found, key=lambda parted: (parted.at_us, parted.direction))


def _between(left: Unit, right: Unit, tolerance_us: int) -> list[Difference]:
    if left.data != right.data:
        return [Difference(left.at_us, left.direction, left.offset + agreed(left.data, right.data), left, right)]
    if abs(right.at_us - left.at_us) > tolerance_us:
        return [Difference(left.at_us, left.direction, left.offset, left, right)]
    return []


def _from_zero(tape: SerialTape, direction: Direction, kind: str | None) -> list[Unit]:
    zero_us = tape.chunks[0].at_us if tape.chunks else 0
    return [unit._replace(at_us=unit.at_us - zero_us) for unit in units(tape.chunks, direction, kind)]


def _paired(ours: list[Unit], theirs: list[Unit]) -> Iterator[tuple[Unit | None, Unit | None]]:
    """Each unit with its like; what has none, with what stands in its place, or with nothing."""
    matcher = SequenceMatcher(None, [unit.data for unit in ours], [unit.data for unit in theirs], autojunk=False)
    for _, start, end, begin, finish in matcher.get_opcodes():
        shared = min(end - start, finish - begin)
        yield from zip(ours[start : start + shared], theirs[begin : begin + shared], strict=True)
        yield from ((unit, None) for unit in ours[start + shared : end])
        yield from ((None, unit) for unit in theirs[begin + shared : finish])
