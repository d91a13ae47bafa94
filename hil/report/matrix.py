"""Hazard, rule, test, evidence in rows, and the gaps in it.

What there has to be may be told in a file: hazards with the rules that stand against each, and rules with their texts.
Without one the rows are what the markers of the tests name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from hil.evidence import Run, Test


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Hazard(_Model):
    """A hazard and the rules against it."""

    id: str
    text: str = ""
    rules: tuple[str, ...] = ()


class Rule(_Model):
    """A rule."""

    id: str
    text: str = ""


class Requirements(_Model):
    """What there has to be evidence for: the file `hazards.json` of a suite."""

    format: Literal["stimwarden-hil requirements"] = "stimwarden-hil requirements"
    version: Literal[1] = 1
    hazards: tuple[Hazard, ...] = ()
    rules: tuple[Rule, ...] = ()


class Row(NamedTuple):
    """A rule against a hazard; "" where there is none. Whatever is missing stands in `gaps`."""

    hazard: str
    rule: str
    tests: tuple[Test, ...]
    gaps: tuple[str, ...]


def named(run: Run) -> Requirements:
    """The requirements that the markers of the tests name: a hazard's rules are those that stand beside it."""
    beside: dict[str, set[str]] = {}
    for test in run.tests:
        for hazard in test.hazards:
            beside.setdefault(hazard, set()).update(test.rules)
    hazards = (Hazard(id=id_, rules=tuple(sorted(beside[id_], key=natural))) for id_ in sorted(beside, key=natural))
    rules = sorted({rule for test in run.tests for rule in test.rules}, key=natural)
    return Requirements(hazards=tuple(hazards), rules=tuple(Rule(id=rule) for rule in rules))


def matrix(run: Run, requirements: Requirements) -> list[Row]:
    """The rows: every hazard with each of its rules, rules without a hazard, and ids that nobody asked for."""
    return [*_asked(run, requirements), *_strangers(run, requirements)]


def silent(run: Run) -> list[Test]:
    """Tests that say neither a rule nor a hazard."""
    return [test for test in run.tests if not (test.rules or test.hazards)]


def natural(id_: str) -> tuple[object, ...]:
    """A key that sorts X2 before X10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", id_))


def _asked(run: Run, requirements: Requirements) -> Iterator[Row]:
    # A suite that knows no rules at all has a matrix of hazards and tests.
    has_rules = bool(requirements.rules or any(hazard.rules for hazard in requirements.hazards))
    for hazard in requirements.hazards:
        for rule in hazard.rules:
            tests = tuple(test for test in run.tests if rule in test.rules)
            yield Row(hazard.id, rule, tests, _gaps(tests))
        own = tuple(test for test in run.tests if hazard.id in test.hazards and not set(hazard.rules) & set(test.rules))
        if own or not hazard.rules:
            lonely = () if hazard.rules or not has_rules else ("no rule stands against it",)
            yield Row(hazard.id, "", own, lonely + _gaps(own))
    against = {rule for hazard in requirements.hazards for rule in hazard.rules}
    for one in requirements.rules:
        if one.id not in against:
            tests = tuple(test for test in run.tests if one.id in test.rules)
            yield Row("", one.id, tests, ("stands against no hazard", *_gaps(tests)))


def _strangers(run: Run, requirements: Requirements) -> Iterator[Row]:
    hazards = {hazard.id for hazard in requirements.hazards}
    rules = {rule.id for rule in requirements.rules} | {rule for one in requirements.hazards for rule in one.rules}
    for id_ in sorted({id_ for test in run.tests for id_ in test.hazards} - hazards, key=natural):
        yield Row(id_, "", tuple(test for test in run.tests if id_ in test.hazards), ("is not required",))
    for id_ in sorted({id_ for test in run.tests for id_ in test.rules} - rules, key=natural):
        yield Row("", id_, tuple(test for test in run.tests if id_ in test.rules), ("is not required",))


def _gaps(tests: tuple[Test, ...]) -> tuple[str, ...]:
    if not tests:
        return ("no test",)
    counts = {bad: sum(test.outcome == bad for test in tests) for bad in ("failed", "error", "skipped")}
    return tuple(f"{count} {bad}" for bad, count in counts.items() if count)
