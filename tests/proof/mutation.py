"""The mutation run: every mutant of safety/ against tests/safety, and its survivors against the explained ones.

The verdicts of a full run are kept in .proof/ under the digest of safety/, of what its tests share and of the runner,
so that a run that was interrupted goes on where it was; any change of these discards them. A kill stands as long as the
file of the test that killed is the same, a survival as long as no test has changed. A canary, and what was stopped by
the time limit or crashed, is tried anew each time.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.proof import judge, twin
from tests.proof.mutants import ROOT, Module, Mutant, load
from tests.proof.result import Result, table

TESTS: Final = "tests/safety"
EXPLAINED: Final = Path(__file__).with_name("survivors.toml")
CACHE: Final = ROOT / ".proof"
RUNNER: Final = (
    "controller/policy.toml",
    "tests/conftest.py",
    *(f"tests/proof/{name}.py" for name in ("mutants", "judge", "mutation")),
)
"""What a verdict rests on besides the core and its tests: the shipped policy, and what runs the tests."""
SAMPLE, SAMPLE_AT_IMPORT, SEED = 100, 6, 20_261_124


class Book(NamedTuple):
    """What was reviewed: why a survivor is no gap, and by whom the runner itself is tried."""

    survivors: dict[str, str]
    must_die: tuple[str, ...]
    must_live: tuple[str, ...]
    settled: frozenset[str]
    """Modules without an unexplained survivor, from which a sample is drawn."""
    differs: dict[str, str]
    """Survivors with which a Step is another one, and why nobody can see that."""


def book(text: str) -> Book:
    """Read the list of explained survivors; an explanation is at least a clause."""
    entries = tomllib.loads(text)
    survivors = {each["key"]: each["why"] for each in entries.get("survivor", [])}
    if len(survivors) != len(entries.get("survivor", [])):
        raise ValueError("a survivor is explained twice")
    if short := [key for key, why in survivors.items() if len(why) < 20]:
        raise ValueError(f"no explanation worth the name: {short}")
    canaries = entries["canaries"]
    return Book(
        survivors,
        tuple(canaries["die"]),
        tuple(canaries["live"]),
        frozenset(entries["settled"]),
        {each["key"]: each["differs"] for each in entries.get("survivor", []) if "differs" in each},
    )


def sampled(mutants: Sequence[Mutant], reviewed: Book, seed: int = SEED) -> list[Mutant]:
    """Draw some mutants of settled modules, and take every canary; explained survivors are left to the full run."""
    canaries = {*reviewed.must_die, *reviewed.must_live}
    known = canaries | reviewed.survivors.keys()
    pool = [each for each in mutants if each.path in reviewed.settled and each.key not in known]
    draw = random.Random(seed)  # noqa: S311 - a sample, no secret
    inside = [each for each in pool if each.function]
    at_import = [each for each in pool if not each.function]
    drawn = {
        *draw.sample(inside, min(SAMPLE, len(inside))),
        *draw.sample(at_import, min(SAMPLE_AT_IMPORT, len(at_import))),
    }
    return [each for each in mutants if each in drawn or each.key in canaries]


def objections(outcomes: Iterable[judge.Outcome], reviewed: Book, *, complete: bool) -> list[str]:
    """What is wrong with a run: unexplained survivors, stale explanations, a runner that does not see."""
    verdicts = {each.mutant.key: each.verdict for each in outcomes}
    lived = {key for key, verdict in verdicts.items() if verdict == judge.SURVIVED}
    wrong = [f"survives and is not explained: {key}" for key in sorted(lived - reviewed.survivors.keys())]
    wrong += [
        f"canary should die, and is {verdicts.get(key, 'not there')}: {key}"
        for key in reviewed.must_die
        if verdicts.get(key) != judge.KILLED
    ]
    wrong += [
        f"canary should live, and is {verdicts.get(key, 'not there')}: {key}"
        for key in reviewed.must_live
        if verdicts.get(key) != judge.SURVIVED
    ]
    if complete:
        wrong += [
            f"explained as a survivor, but {verdicts.get(key, 'not there')}: {key}"
            for key in sorted(reviewed.survivors.keys() - lived)
        ]
    return wrong


def own_files(mutants: Sequence[Mutant]) -> list[str]:
    """The test files that belong to the modules of these mutants."""
    files = files_of_tests()
    return sorted({file for path in {each.path for each in mutants} for file in judge.own_tests(path, files)})


def files_of_tests() -> list[str]:
    """Every file with tests of safety/."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / TESTS).rglob("test_*.py"))


def log_file(cache: Path = CACHE) -> Path:
    """Where the verdicts on this very code are kept; what was said of other code is thrown away."""
    shared = [each for each in (ROOT / TESTS).rglob("*.py") if not each.name.startswith("test_")]
    stamp = judge.digest_of([*(ROOT / "safety").rglob("*.py"), *shared, *(ROOT / each for each in RUNNER)], sys.version)
    file = cache / f"verdicts-{stamp}.ndjson"
    cache.mkdir(exist_ok=True)
    for other in {*cache.glob("verdicts-*.ndjson")} - {file}:
        other.unlink()
    return file


class Stamps:
    """What each verdict rests on, besides what the log's name says."""

    def __init__(self, files: Iterable[str]) -> None:
        self.of = {file: judge.digest_of([ROOT / file]) for file in files}
        self.all = judge.digest_of(ROOT / file for file in self.of)

    def under(self, outcome: judge.Outcome) -> str:
        """Name the state of the test that killed, or of all tests for a survivor."""
        return self.all if outcome.verdict == judge.SURVIVED else self.of.get(outcome.by.partition("::")[0], "")


def known(file: Path, mutants: Sequence[Mutant], again: Collection[str], stamps: Stamps) -> list[judge.Outcome]:
    """Read the verdicts that stand: killed or survived by the same tests, and none that is to be tried again."""
    by_key = {each.key: each for each in mutants if each.key not in again}
    said: dict[str, judge.Outcome] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # a line that was broken off
            key, verdict, by, stamp = json.loads(line)
            if key not in by_key or verdict not in {judge.KILLED, judge.SURVIVED}:
                continue
            outcome = judge.Outcome(by_key[key], verdict, by)
            if stamp and stamp == stamps.under(outcome):
                said[key] = outcome
    return list(said.values())


def run(
    mutants: Sequence[Mutant],
    rooms: dict[str, Module],
    tests: Sequence[str],
    jobs: int,
    file: Path | None = None,
    again: Collection[str] = (),
) -> list[judge.Outcome]:
    """Try mutants, with a bar of progress on standard error; `file` keeps the verdicts, but for those to try again."""
    stamps = Stamps(files_of_tests())
    outcomes = known(file, mutants, again, stamps) if file and file.exists() else []
    tried = {each.mutant.key for each in outcomes}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        (file or Path(os.devnull)).open("a", encoding="utf-8") as log,
        os.fdopen(os.dup(2), "w") as own,
        Progress(*columns, console=Console(file=own)) as progress,
    ):
        task = progress.add_task("mutants", total=len(mutants), completed=len(tried))

        def done(outcome: judge.Outcome) -> None:
            outcomes.append(outcome)
            log.write(json.dumps([outcome.mutant.key, outcome.verdict, outcome.by, stamps.under(outcome)]) + "\n")
            log.flush()
            lived = sum(each.verdict == judge.SURVIVED for each in outcomes)
            progress.update(task, advance=1, description=f"mutants, {lived} survive")

        left = [each for each in mutants if each.key not in tried]
        judge.judge_imports([each for each in left if not each.function], rooms, jobs, files_of_tests(), done)
        inside = [each for each in left if each.function]
        seen = judge.judge_functions(inside, rooms, jobs, tests, done, CACHE)
    if seen.failed:
        raise RuntimeError(f"these fail without any mutant: {', '.join(seen.failed)}")
    return sorted(outcomes, key=lambda each: each.mutant.key)


def stage(*, quick: bool) -> Result:
    """The stage of the proof."""
    rooms = load()
    mutants = [each for room in rooms.values() for each in room.mutants()]
    reviewed = book(EXPLAINED.read_text(encoding="utf-8"))
    jobs = os.cpu_count() or 1
    if quick:
        chosen = sampled(mutants, reviewed)
        return told(mutants, run(chosen, rooms, own_files(chosen), jobs), reviewed, None)
    twins = twin.compared([each for each in mutants if each.key in reviewed.survivors], rooms, jobs)
    canaries = {*reviewed.must_die, *reviewed.must_live}
    return told(mutants, run(mutants, rooms, [TESTS], jobs, log_file(), canaries), reviewed, twins)


def told(
    mutants: Sequence[Mutant], outcomes: Sequence[judge.Outcome], reviewed: Book, twins: twin.Seen | None
) -> Result:
    """The stage's result: figures, what became of each module and of each survivor, and what is wrong."""
    counts = Counter(each.verdict for each in outcomes)
    figures = {
        "mutants generated": len(mutants),
        "mutants tried": len(outcomes),
        "killed by a failing test": counts[judge.KILLED],
        "stopped by the time limit": counts[judge.TIMED_OUT],
        "crashed": counts[judge.CRASHED],
        "survived": counts[judge.SURVIVED],
        "survivors explained": sum(
            each.mutant.key in reviewed.survivors for each in outcomes if each.verdict == judge.SURVIVED
        ),
    }
    wrong = objections(outcomes, reviewed, complete=twins is not None)
    if twins is not None:
        figures |= {
            "steps taken again under each explained survivor": twins.steps,
            "explained survivors whose line these steps run": len(twins.run),
            "explained survivors with another step": sum(map(bool, twins.where.values())),
        }
        wrong += twin.objections(twins.where, reviewed.differs)
    return Result("mutation", figures, [*by_module(outcomes), "", *survivors(outcomes, reviewed)], wrong)


def by_module(outcomes: Sequence[judge.Outcome]) -> list[str]:
    """How each module fared."""
    rows = []
    for path in sorted({each.mutant.path for each in outcomes}):
        counts = Counter(each.verdict for each in outcomes if each.mutant.path == path)
        rows.append([f"`{path}`", counts.total(), *(counts[verdict] for verdict in judge.CLASSES)])
    counts = Counter(each.verdict for each in outcomes)
    rows.append(["all", counts.total(), *(counts[verdict] for verdict in judge.CLASSES)])
    return table(["module", "mutants", *judge.CLASSES], rows)


def survivors(outcomes: Sequence[judge.Outcome], reviewed: Book) -> list[str]:
    """Each survivor with its explanation."""
    lived = [each.mutant.key for each in outcomes if each.verdict == judge.SURVIVED]
    lines = ["### Survivors", ""]
    for key in lived:
        words = [reviewed.survivors.get(key, "**not explained**"), reviewed.differs.get(key, "")]
        lines += [f"- `{key}`: {' '.join(filter(None, words))}"]
    return [*lines, *([] if lived else ["None."])]
