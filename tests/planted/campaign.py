"""What is tried on what: planted defects on the stories, random mutants on stories and on the controller's own tests.

A defect meets first the stories that are known to catch it, then all others, the quickest first. A mutant meets the
tests that run its line, as a run without any fault has seen them: those of its own module first, then the quickest.
What runs at import is put in force in a child that imports the controller anew, and meets the tests of its own module,
then all stories.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.planted.defect import Defect, NoDefectError, planted
from tests.planted.seen import OWN, Seen, Verdicts, in_budget, observe, targets
from tests.planted.trial import STORIES, Outcome, Trial, is_story, run, tried
from tests.proof.judge import EXIT_KILLED, EXIT_SURVIVED, collected, hushed, opened, plant
from tests.proof.mutants import ROOT, Module, Mutant, swap

ELSEWHERE: Final = (
    "test_broker", "test_cli", "test_clock", "test_demo", "test_explain", "test_host", "test_identity", "test_inputs",
    "test_logs", "test_policy", "test_prescriptions", "test_presence", "test_settings",
)  # fmt: skip
"""Tests of the controller that reach none of the mutated modules, or reach them in other processes."""
PRELOADED: Final = (
    "aiomqtt",
    "cobs.cobs",
    "hil.world",
    "hypothesis",
    "pydantic_settings",
    "serialx",
    "sqlalchemy",
    "typer",
)
"""What children that import the controller anew need not import anew."""
BUDGET_S: Final = 60.0
"""Of processor time for the tests of one mutant, as they took under coverage: what they do not see has survived."""

Done = Callable[[Outcome], None]


def judges_of(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests that judge a mutant: stories, and the controller's own that reach it here."""
    return [item for item in items if is_story(item.nodeid) or is_own(item)]


def is_own(item: pytest.Item) -> bool:
    """Tell whether a test is one of the controller's own that judge a mutant."""
    is_away = item.path.name.startswith(ELSEWHERE) or item.get_closest_marker("server") is not None
    return item.nodeid.startswith(OWN) and not is_away


# Defects


def plant_all(defects: Sequence[Defect], jobs: int, done: Done, *, only_first: bool) -> None:
    """Plant each defect and let stories be told until one fails; `only_first` leaves it to those that are known."""
    known = list(dict.fromkeys(name.partition("::")[0] for each in defects for name in each.first))

    def work(items: list[pytest.Item]) -> None:
        gc.collect()
        gc.freeze()
        stories = {item.nodeid: item for item in items if is_story(item.nodeid)}
        run([trial_of(each, stories, only_first=only_first) for each in defects], {}, jobs, done)

    with hushed():
        collected(known if only_first else targets(*STORIES), work)


def trial_of(defect: Defect, stories: Mapping[str, pytest.Item], *, only_first: bool) -> Trial:
    """Make ready to plant a defect. Raises NoDefectError, also where one of its stories is not told any more."""
    gone = [name for name in defect.first if name not in stories]
    if gone:
        raise NoDefectError(f"{defect.id}: there is no story {gone[0]}")
    others = [] if only_first else [name for name in sorted(stories, key=is_long) if name not in defect.first]
    return Trial(defect.id, planted(defect), [stories[name] for name in (*defect.first, *others)])


def is_long(story: str) -> bool:
    """Tell a story of a whole session; it has its turn when all short ones are told."""
    return "test_virtual_session" in story or "bit" in story


# Mutants


def mutate(mutants: Sequence[Mutant], rooms: Mapping[str, Module], jobs: int, done: Done) -> tuple[str, ...]:
    """Try mutants until a test fails; gives the tests that fail without any. The controller is not imported yet."""
    verdicts, stand = Verdicts(), set[str]()
    for outcome in verdicts.of(mutants):
        stand.add(outcome.name)
        done(outcome)

    def kept(outcome: Outcome) -> None:
        verdicts.keep(outcome)
        done(outcome)

    left = [mutant for mutant in mutants if mutant.key not in stand]
    inside = [mutant for mutant in left if mutant.function]
    at_import([mutant for mutant in left if not mutant.function], rooms, jobs, kept)
    failed: list[str] = []

    def work(items: list[pytest.Item]) -> None:
        judges = {item.nodeid: item for item in judges_of(items)}
        seen = observe(list(judges.values()), jobs)
        failed.extend(seen.failed)
        gc.collect()
        gc.freeze()
        trials = [Trial(each.key, swap(rooms[each.path], each), in_order(each, judges, seen)) for each in inside]
        run(trials, seen.seconds, jobs, kept)

    if inside:
        with hushed():
            collected(targets(*OWN, *STORIES), work)
    return tuple(failed)


def in_order(mutant: Mutant, judges: Mapping[str, pytest.Item], seen: Seen) -> list[pytest.Item]:
    """The tests that run the lines of a mutant: those of its module first, then the quickest."""
    lines = range(mutant.first, mutant.last + 1)
    met = {test for line in lines for test in seen.tests.get((mutant.path, line), ())}
    ordered = sorted(met, key=lambda name: (not owns(name, mutant), seen.seconds[name], name))
    return [judges[name] for name in in_budget(ordered, seen.seconds, BUDGET_S)]


def owns(test: str, mutant: Mutant) -> bool:
    """Tell whether a test belongs to a module, by its name."""
    return Path(mutant.path).stem.partition("_")[0] in test.partition("::")[0]


def at_import(mutants: Sequence[Mutant], rooms: Mapping[str, Module], jobs: int, done: Done) -> None:
    """Try mutants of what runs at import."""
    if any(name.partition(".")[0] == "controller" for name in sys.modules):
        raise RuntimeError("controller/ is imported already: a fork would hold the shipped code")
    for name in PRELOADED:
        importlib.import_module(name)

    def work(session: pytest.Session) -> None:
        gc.collect()
        gc.freeze()
        trials = [Trial(each.key, partial(plant, each, rooms[each.path]), []) for each in mutants]
        by_key = {each.key: each for each in mutants}
        run(trials, {}, jobs, done, lambda trial, _, tell: anew(session, by_key[trial.name], trial, tell))

    with hushed():
        opened(targets(*OWN), work)


def anew(session: pytest.Session, mutant: Mutant, trial: Trial, tell: int) -> int:
    """Import and collect with a mutant in force, and run its module's own tests, then all stories."""
    trial.put()
    every = [path.relative_to(ROOT).as_posix() for folder in targets(*OWN, *STORIES) for path in files_of(folder)]
    own = [file for file in every if owns(file, mutant)]
    for files in filter(None, (own, [file for file in every if is_story(file) and file not in own])):
        signal.setitimer(signal.ITIMER_PROF, 120)
        if not can_be_collected(session, files):
            os.write(tell, f"{files[0]}::cannot be collected".encode())
            return EXIT_KILLED
        if tried(Trial(trial.name, lambda: None, judges_of(session.items)), {}, tell) == EXIT_KILLED:
            return EXIT_KILLED
    return EXIT_SURVIVED


def can_be_collected(session: pytest.Session, files: Sequence[str]) -> bool:
    """Collect some files; tells whether all that they import can be imported."""
    try:
        session.perform_collect(files)
    except pytest.UsageError:
        # A package of tests that cannot be imported has no tests.
        return False
    return not session.testsfailed


def files_of(folder: str) -> list[Path]:
    """The test files of a folder that hold judges."""
    return sorted(path for path in (ROOT / folder).rglob("test_*.py") if not path.name.startswith(ELSEWHERE))


def try_known(known: Mapping[str, str], rooms: Mapping[str, Module], jobs: int, done: Done) -> None:
    """Try mutants on the very tests that killed them before."""
    mutants = {mutant.key: mutant for room in rooms.values() for mutant in room.mutants() if mutant.key in known}

    def work(items: list[pytest.Item]) -> None:
        tests = {item.nodeid: item for item in items}
        trials = [Trial(key, swap(rooms[each.path], each), [tests[known[key]]]) for key, each in mutants.items()]
        run(trials, {}, jobs, done)

    with hushed():
        collected(sorted(set(known.values())), work)
