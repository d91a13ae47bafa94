"""What was measured under one name, over all tests: quantiles, and what moved since a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hil.evidence import Measurement, Run

MOVED = 0.1
"""A figure has moved when it differs by more than this share of what it was. Engineering default."""


class Figures(NamedTuple):
    """All values of a name and a unit, in order, and the limits that they were held against."""

    name: str
    unit: str
    values: tuple[float, ...]
    limits: tuple[tuple[float | None, float | None], ...]
    beyond: int

    def quantile(self, per_mille: int) -> float:
        """The smallest value that so many of all do not exceed (nearest rank): always one that was measured."""
        rank = -(-len(self.values) * per_mille // 1000)
        return self.values[max(rank, 1) - 1]


class Moved(NamedTuple):
    """A figure of one test, before and now; None: it was not measured."""

    test: str
    name: str
    unit: str
    before: Measurement | None
    now: Measurement | None


class Changed(NamedTuple):
    """A test that ended otherwise than before; None: it was not there."""

    test: str
    before: str | None
    now: str | None


def figures(run: Run) -> list[Figures]:
    """Everything that was measured, by name."""
    found: dict[tuple[str, str], list[Measurement]] = {}
    for test in run.tests:
        for each in test.measurements:
            found.setdefault((each.name, each.unit), []).append(each)
    return [
        Figures(
            name,
            unit,
            tuple(sorted(each.value for each in all_)),
            tuple(dict.fromkeys((each.low, each.high) for each in all_ if each.limit != "none")),
            sum(not each.passed for each in all_),
        )
        for (name, unit), all_ in sorted(found.items())
    ]


def changed(before: Run, now: Run) -> list[Changed]:
    """The tests whose outcome is not what it was, in the order of this run, then those that are gone."""
    old = {test.id: test.outcome for test in before.tests}
    new = {test.id: test.outcome for test in now.tests}
    return [Changed(id_, old.get(id_), new.get(id_)) for id_ in new | old if old.get(id_) != new.get(id_)]


def moved(before: Run, now: Run) -> list[Moved]:
    """The figures that differ by more than a tenth, or lie on the other side of their limit; of tests in both runs."""
    return [
        Moved(*key, old, new)
        for key, old, new in _pairs(before, now)
        if old is None or new is None or old.passed != new.passed or abs(new.value - old.value) > MOVED * abs(old.value)
    ]


def _pairs(before: Run, now: Run) -> Iterator[tuple[tuple[str, str, str], Measurement | None, Measurement | None]]:
    old, new = _all(before), _all(now)
    both = {test.id for test in before.tests} & {test.id for test in now.tests}
    for key in new | old:
        if key[0] in both:
            yield key[:3], old.get(key), new.get(key)


def _all(run: Run) -> dict[tuple[str, str, str, int], Measurement]:
    """By test, name and unit, and which of several of one name it is."""
    found: dict[tuple[str, str, str, int], Measurement] = {}
    for test in run.tests:
        seen: dict[tuple[str, str], int] = {}
        for each in test.measurements:
            number = seen[each.name, each.unit] = seen.get((each.name, each.unit), 0) + 1
            found[test.id, each.name, each.unit, number] = each
    return found
