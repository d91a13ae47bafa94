"""Where figures lie in a picture: even ticks, panels one above the other, columns as wide as a pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

WIDTH, LEFT, RIGHT = 960, 70, 14
INSIDE = WIDTH - LEFT - RIGHT


class Panel(NamedTuple):
    """A strip of the picture: its upper edge and height in pixels, and the values at its lower and upper edge."""

    top: float
    height: float
    low: float
    high: float
    step: float

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    def y(self, value: float) -> float:
        """Place a value."""
        return round(self.bottom - (value - self.low) / (self.high - self.low) * self.height, 1)

    def ticks(self) -> Iterator[float]:
        """The values that get a line."""
        first = round(self.low / self.step)
        yield from (number * self.step for number in range(first, round(self.high / self.step) + 1))


class Span(NamedTuple):
    """The time that a picture shows, in microseconds."""

    begin_us: int
    end_us: int

    def x(self, at_us: int) -> float:
        """Place a moment; what lies outside is placed at the edge."""
        share = (at_us - self.begin_us) / max(self.end_us - self.begin_us, 1)
        return round(LEFT + min(max(share, 0), 1) * INSIDE, 1)


def panel(top: float, height: float, values: Iterable[float], wanted: int) -> Panel:
    """A panel that holds zero and all values, with about so many ticks at 1, 2 or 5 times a power of ten."""
    held = [0.0, *values]
    low, high = min(held), max(held)
    if low == high:
        high = low + 1
    step = nice((high - low) / wanted)
    return Panel(top, height, math.floor(low / step) * step, math.ceil(high / step) * step, step)


def nice(rough: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * figure for figure in (1, 2, 5, 10) if power * figure >= rough * (1 - 1e-9))


def columns(span: Span, points: Iterable[tuple[int, float]]) -> Iterator[tuple[float, list[float]]]:
    """The values of each column of pixels, in the order of time: nothing that is drawn can hide between two."""
    for x, group in groupby(((math.floor(span.x(at_us)), value) for at_us, value in points), key=lambda pair: pair[0]):
        yield x, [value for _, value in group]


def engineering(value: float, unit: str) -> str:
    """A figure for people, from the small unit of the bench: 12171600 nC is 12.17 mC."""
    for prefix, power in (("", 9), ("m", 6), ("\u00b5", 3), ("n", 0)):
        if abs(value) >= 10**power or not power:
            return f"{round(value / 10**power, 3) + 0.0:.4g} {prefix}{unit}"
    raise AssertionError
