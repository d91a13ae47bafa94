"""What stays known between campaigns, in .proof/: what each test runs, and what became of each mutant.

How long a test takes and which lines of the controller it runs is kept by its file; a kill stands as long as the file
of the test that killed is the same, a survival as long as no test has changed. All of it falls with any change of the
controller, the core, the bench, or what tests share.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import coverage
import pytest

from tests.planted.trial import STORIES, Outcome, Trial, run
from tests.proof.judge import EXIT_SURVIVED, SURVIVED, digest_of, passes
from tests.proof.mutants import ROOT, Mutant
from tests.proof.mutation import Stamps, known

OWN: Final = ("tests/controller", "tests/contract")
CACHE: Final = ROOT / ".proof"
SOURCES: Final = ("controller", "safety", "hil")


class Seen(NamedTuple):
    """What a run without a fault says: how long each test takes, which tests run a line, and which fail.

    A test that fails judges nothing, and nothing else is said of it.
    """

    seconds: dict[str, float]
    tests: dict[tuple[str, int], frozenset[str]]
    failed: tuple[str, ...]


def targets(*folders: str) -> list[str]:
    """Those of some folders that are there."""
    return [folder for folder in folders if (ROOT / folder).exists()]


def state() -> str:
    """Name the state of what all tests rest on."""
    paths = [path for folder in (*SOURCES, *targets(*OWN, *STORIES)) for path in (ROOT / folder).rglob("*.py")]
    return digest_of([path for path in paths if not is_test(path) and not is_runner(path)], sys.version)


def is_test(path: Path) -> bool:
    """Tell a file with tests."""
    return path.name.startswith("test_")


def is_runner(path: Path) -> bool:
    """Tell a file of this runner, on which no test rests."""
    return path.parent == Path(__file__).parent and path.name != "telling.py"


def observe(items: Sequence[pytest.Item], jobs: int) -> Seen:
    """Run every test once without a fault, under coverage, but for those of which it is kept."""
    files: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.nodeid.partition("::")[0]].append(item)
    stamp = state()
    kept = {
        file: CACHE / f"seen-{digest_of([ROOT / file], stamp, [item.nodeid for item in files[file]])}" for file in files
    }
    CACHE.mkdir(exist_ok=True)
    left = [Trial(file, lambda: None, tests) for file, tests in files.items() if not kept[file].exists()]
    outcomes: list[Outcome] = []
    run(left, {}, jobs, outcomes.append, lambda trial, *_: observed(trial, kept[trial.name]))
    failed = [f"{each.name}: {each.verdict}" for each in outcomes if each.verdict != SURVIVED]
    seconds, tests = dict[str, float](), defaultdict[tuple[str, int], set[str]](set)
    for part in (path for path in kept.values() if path.exists()):
        spent, lines, failing = pickle.loads(part.read_bytes())  # noqa: S301 - written by ourselves
        if failing:
            # It may have been the machine: the next campaign sees for itself.
            part.unlink()
        failed += failing
        seconds |= spent
        for line, names in lines.items():
            tests[line] |= names
    return Seen(seconds, {line: frozenset(names) for line, names in tests.items()}, tuple(failed))


def observed(trial: Trial, kept: Path) -> int:
    """Run the tests of a file under coverage and keep what was seen, and which of them fail."""
    recorder = coverage.Coverage(data_file=None, branch=False, source=["controller"], config_file=False)
    seconds, failing = {}, []
    recorder.start()
    for item in trial.tests:
        recorder.switch_context(item.nodeid)
        began = time.process_time()
        if passes(item):
            seconds[item.nodeid] = time.process_time() - began
        else:
            failing.append(item.nodeid)
    recorder.stop()
    data, lines = recorder.get_data(), {}
    for source in data.measured_files():
        path = Path(source).relative_to(ROOT).as_posix()
        for line, contexts in data.contexts_by_lineno(source).items():
            lines[path, line] = set(contexts) & seconds.keys()
    kept.write_bytes(pickle.dumps((seconds, lines, failing)))
    return EXIT_SURVIVED


class Verdicts:
    """What became of mutants, line by line in a file, so that a campaign that was broken off goes on where it was."""

    def __init__(self) -> None:
        CACHE.mkdir(exist_ok=True)
        self.file = CACHE / f"planted-{state()}.ndjson"
        folders = targets(*OWN, *STORIES)
        files = sorted(
            path.relative_to(ROOT).as_posix() for each in folders for path in (ROOT / each).rglob("test_*.py")
        )
        self.stamps = Stamps(files)

    def of(self, mutants: Sequence[Mutant]) -> Iterable[Outcome]:
        """What stands: kills and survivals, not what was ended by a time limit."""
        if self.file.exists():
            for each in known(self.file, mutants, (), self.stamps):
                yield Outcome(each.mutant.key, each.verdict, each.by)

    def keep(self, outcome: Outcome) -> None:
        """Write one down."""
        line = json.dumps([*outcome, self.stamps.under(outcome)])
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def in_budget(names: Sequence[str], seconds: Mapping[str, float], budget_s: float) -> list[str]:
    """The first so many, as long as they take no longer than that together."""
    chosen, spent_s = [], 0.0
    for name in names:
        spent_s += seconds[name]
        if spent_s > budget_s:
            break
        chosen.append(name)
    return chosen
