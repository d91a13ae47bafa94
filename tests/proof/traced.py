"""Each rule of the table is implemented, and each hazard has tests that pass: what the safety case says, run.

Of the tests that are evidence for a hazard (its own, or those of a rule that stands against it) the first few are run,
those of the core before those of the bench and of whole scenarios.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from safety.complete import gaps
from tests.proof.result import Result, table
from tests.safety_case.case import Case, assemble
from tests.safety_case.collect import Evidence, collect
from tests.safety_case.prose import PAGES

FOLDERS: Final = ("tests/safety/", "tests/hil/", "tests/controller/", "tests/scenarios/")
"""Whose tests are run first."""
FEW: Final = 3


class Outcomes:
    """A plugin that remembers which test functions passed in all of their cases."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.not_passed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("[")[0]
        if report.when == "call" and report.passed:
            self.ran.add(name)
        elif not report.passed:
            self.not_passed.add(name)

    @property
    def passed(self) -> set[str]:
        return self.ran - self.not_passed


def turn(test: Evidence) -> tuple[int, str, str]:
    """When a test is taken: by its folder, then by its name."""
    place = next((n for n, folder in enumerate(FOLDERS) if test.path.startswith(folder)), len(FOLDERS))
    return place, test.path, test.name


def evidence(case: Case, hazard: str) -> list[str]:
    """The tests that are run for a hazard."""
    own = case.tests_of(hazard) or [test for rule in case.rules_of(hazard) for test in case.tests_of(rule.id)]
    return [f"{test.path}::{test.name}" for test in sorted(own, key=turn)[:FEW]]


def passing(names: Sequence[str]) -> set[str]:
    """Run these tests; gives those that passed."""
    outcomes = Outcomes()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        pytest.main(["-q", "-p", "no:cacheprovider", *names], plugins=[outcomes])
    return outcomes.passed


def judged(chosen: dict[str, list[str]], passed: set[str], lacks: Sequence[str], rules: int) -> Result:
    """Say how many rules stand and which hazards have evidence that passes."""
    bad = {hazard: [name for name in names if name not in passed] for hazard, names in chosen.items()}
    wrong = [f"not implemented: {lack}" for lack in lacks]
    wrong += [f"{hazard}: no test" for hazard, names in chosen.items() if not names]
    wrong += [f"{hazard}: did not pass: {', '.join(names)}" for hazard, names in bad.items() if names]
    figures = {
        "rules in the table": rules,
        "rules implemented": rules - len(lacks),
        "hazards": len(chosen),
        "hazards whose tests pass": sum(bool(names) and not bad[hazard] for hazard, names in chosen.items()),
    }
    rows = [(hazard, ", ".join(f"`{name.partition('::')[2]}`" for name in names)) for hazard, names in chosen.items()]
    return Result("traced", figures, table(["hazard", "tests run for it"], rows), wrong)


def stage(*, quick: bool) -> Result:
    """The stage of the proof."""
    del quick
    case = assemble(collect("tests"), PAGES)
    chosen = {hazard.id: evidence(case, hazard.id) for hazard in case.hazards}
    names = sorted({name for names in chosen.values() for name in names})
    return judged(chosen, passing(names), gaps(), len(case.rules))
