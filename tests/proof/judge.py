"""Runs the tests of tests/safety against one mutant after another, each in a forked child.

pytest collects once; then a child is forked for each mutant, in which the mutated code is put in force and the tests
run until the first one fails. A first run without a mutant records how long each test takes and which lines of
safety/ it runs, so that a mutant meets the tests that run its line: those first that lately killed a mutant in the same
function, then those of the module's own test files, then the others, quickest first. Whole therapies and random
clinics are left out: a mutant that only they would kill has no exact test, and counts as a survivor.

A mutant is killed when a test fails; time-outs (by CPU time, ten times what the test takes) and crashes are classes of
their own. Only the tests judge: that a mutant behaves differently from the shipped code counts for nothing, unless a
test says that it is wrong.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, NamedTuple

import coverage
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tests.proof.mutants import ROOT, Module, Mutant, dotted, swap

LONG_WAYS: Final = ("golden", "reserve", "walk", "fuzz", "adversary")
KILLED, SURVIVED, TIMED_OUT, CRASHED = "killed", "survived", "timed out", "crashed"
CLASSES: Final = (KILLED, TIMED_OUT, CRASHED, SURVIVED)
EXIT_KILLED, EXIT_SURVIVED = 10, 11
LEAST_CPU_S, TIMES_CPU, UNKNOWN_S, LEAST_START_S = 1.0, 10, 1.0, 60.0
WALL_S = 600
MEMORY = 2 << 30
ARGUMENTS: Final = (
    "-q", "-p", "no:cacheprovider", "--assert=plain", "--tb=no", "--capture=no", "-o", "timeout=0",
)  # fmt: skip


class Seen(NamedTuple):
    """What a run without a mutant says of each test, by its id."""

    seconds: dict[str, float]
    tests: dict[tuple[str, int], frozenset[str]]
    """Tests that run a line of a module."""
    failed: tuple[str, ...]


class Outcome(NamedTuple):
    """What became of one mutant."""

    mutant: Mutant
    verdict: str
    by: str = ""


Done = Callable[[Outcome], None]


class Loop:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, work: Callable[[list[pytest.Item]], None]) -> None:
        self.work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.work(session.items)
        return True


class Uncollected:
    """Takes the place of pytest's own collection: what is done with the session is done before any test is imported."""

    def __init__(self, work: Callable[[pytest.Session], None]) -> None:
        self.work = work

    def pytest_collection(self, session: pytest.Session) -> bool:
        self.work(session)
        return True


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Send what is printed meanwhile nowhere."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def collected(targets: Sequence[str], work: Callable[[list[pytest.Item]], None]) -> int:
    """Collect tests and do something with them, inside pytest."""
    return started(targets, Loop(work))


def opened(targets: Sequence[str], work: Callable[[pytest.Session], None]) -> int:
    """Do something inside pytest, where tests may be collected and none is yet."""
    return started(targets, Uncollected(work))


def started(targets: Sequence[str], plugin: Loop | Uncollected) -> int:
    """Start pytest with a part of it replaced."""
    settings.register_profile(
        "proof", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("proof")
    return int(pytest.main([*ARGUMENTS, f"--rootdir={ROOT}", *targets], plugins=[plugin]))


def passes(item: pytest.Item) -> bool:
    """Run one test, with its fixtures set up and taken down."""
    return not any(report.failed for report in runtestprotocol(item, nextitem=None, log=False))


def in_child(work: Callable[[], int], limit_s: float = WALL_S) -> int:
    """Fork; the child ends with what `work` says and never comes back. Gives the child's id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(int(limit_s))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = work()
    finally:
        os._exit(code)


def until_one_fails(items: Iterable[pytest.Item], seconds: dict[str, float], tell: int) -> int:
    """Run tests until one fails, and write its id."""
    for item in items:
        budget_s = max(LEAST_CPU_S, TIMES_CPU * seconds.get(item.nodeid, UNKNOWN_S))
        signal.setitimer(signal.ITIMER_PROF, budget_s)
        if not passes(item):
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(tell, item.nodeid.encode())
            return EXIT_KILLED
    return EXIT_SURVIVED


def observe(items: list[pytest.Item], jobs: int, cache: Path | None = None) -> Seen:
    """Run every test once, in children, under coverage with one context a test; what was seen once is kept."""
    stamp = digest(jobs, [item.nodeid for item in items])
    kept = cache / f"seen-{stamp}" if cache else None
    if kept and kept.exists():
        seen: Seen = pickle.loads(kept.read_bytes())  # noqa: S301 - written by ourselves
        return seen
    with tempfile.TemporaryDirectory() as folder:
        shares = {Path(folder) / str(share): items[share::jobs] for share in range(jobs)}
        children = [in_child(partial(observed_into, *each)) for each in shares.items()]
        ends = [os.waitpid(child, 0)[1] for child in children]
        if any(ends):
            raise RuntimeError("the tests could not be run once without a mutant")
        parts: list[Seen] = [pickle.loads(share.read_bytes()) for share in shares]  # noqa: S301 - from our children
    tests: defaultdict[tuple[str, int], frozenset[str]] = defaultdict(frozenset)
    for line, names in (entry for part in parts for entry in part.tests.items()):
        tests[line] |= names
    seconds = {name: spent for part in parts for name, spent in part.seconds.items()}
    seen = Seen(seconds, dict(tests), tuple(name for part in parts for name in part.failed))
    if kept and not seen.failed:
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(pickle.dumps(seen))
    return seen


def digest(*more: object) -> str:
    """Name the state of safety/ and of its tests."""
    tests = (ROOT / "tests/safety").rglob("*.py")
    return digest_of([*(ROOT / "safety").rglob("*.py"), *tests], *more)


def digest_of(files: Iterable[Path], *more: object) -> str:
    """Name the state of some files."""
    state = hashlib.sha256(repr(more).encode())
    for path in sorted(files):
        state.update(os.path.relpath(path, ROOT).encode() + path.read_bytes())
    return state.hexdigest()[:16]


def observed_into(file: Path, items: list[pytest.Item]) -> int:
    """Run tests under coverage and write what was seen."""
    file.write_bytes(pickle.dumps(observed(items)))
    return 0


def observed(items: list[pytest.Item]) -> Seen:
    """Run every test under coverage, in this process."""
    recorder = coverage.Coverage(data_file=None, branch=False, source=["safety"], config_file=False)
    seconds, failed = {}, []
    recorder.start()
    for item in items:
        recorder.switch_context(item.nodeid)
        began = time.process_time()
        if not passes(item):
            failed.append(item.nodeid)
        seconds[item.nodeid] = time.process_time() - began
    recorder.stop()
    data, tests = recorder.get_data(), {}
    for file in data.measured_files():
        path = Path(file).relative_to(ROOT).as_posix()
        for line, contexts in data.contexts_by_lineno(file).items():
            tests[path, line] = frozenset(contexts) - {""}
    return Seen(seconds, tests, tuple(failed))


def exact(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests that judge mutants: all but the long ways."""
    return [each for each in items if each.path.stem.removeprefix("test_safety_").split("_")[0] not in LONG_WAYS]


def own_tests(path: str, files: Iterable[str]) -> list[str]:
    """The test files that a module owns, by name: tests/safety/test_safety_*<module>*.py."""
    stem = "init" if path.endswith("__init__.py") else Path(path).stem
    return sorted(file for file in files if stem in Path(file).stem.removeprefix("test_safety_").split("_"))


class Pool:
    """Forks children for tasks, a few at a time, and says what became of each."""

    def __init__(self, jobs: int, done: Done) -> None:
        self.jobs = jobs
        self.done = done
        self.running: dict[int, tuple[Mutant, int]] = {}

    def give(self, mutant: Mutant, work: Callable[[int], int]) -> None:
        """Start one task as soon as there is room."""
        while len(self.running) >= self.jobs:
            self.reap()
        hear, tell = os.pipe()
        child = in_child(lambda: work(tell))
        os.close(tell)
        self.running[child] = mutant, hear

    def reap(self) -> None:
        """Wait for the next child to end."""
        child, status = os.waitpid(-1, 0)
        mutant, hear = self.running.pop(child)
        with os.fdopen(hear, "rb") as pipe:
            by = pipe.read().decode()
        self.done(Outcome(mutant, verdict(status), by))

    def finish(self) -> None:
        """Wait for all of them."""
        while self.running:
            self.reap()


def verdict(status: int) -> str:
    """What the end of a child says of its mutant."""
    if os.WIFSIGNALED(status):
        return TIMED_OUT if os.WTERMSIG(status) in {signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU} else CRASHED
    return {EXIT_KILLED: KILLED, EXIT_SURVIVED: SURVIVED}.get(os.WEXITSTATUS(status), CRASHED)


class Order:
    """Which tests a mutant meets, and in which order."""

    def __init__(self, items: list[pytest.Item], seen: Seen) -> None:
        self.items = {item.nodeid: item for item in items}
        self.seen = seen
        self.killers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def learn(self, outcome: Outcome) -> None:
        """Remember who kills in a function."""
        killers = self.killers[outcome.mutant.path, outcome.mutant.function]
        if outcome.by and outcome.by not in killers[:8]:
            killers.insert(0, outcome.by)

    def of(self, mutant: Mutant) -> list[pytest.Item]:
        """The tests that run the lines of a mutant: lately deadly ones, then the quickest."""
        lines = range(mutant.first, mutant.last + 1)
        met = {test for line in lines for test in self.seen.tests.get((mutant.path, line), ())}
        lately = {test: place for place, test in enumerate(self.killers[mutant.path, mutant.function][:8])}
        owned = self.owned(mutant.path)

        def turn(test: str) -> tuple[int, bool, float, str]:
            return lately.get(test, len(lately)), test.partition("::")[0] not in owned, self.seen.seconds[test], test

        ordered = sorted(met, key=turn)
        return [self.items[test] for test in ordered]

    def owned(self, path: str) -> frozenset[str]:
        """The test files that belong to a module."""
        return frozenset(own_tests(path, {test.partition("::")[0] for test in self.items}))


def judge_functions(
    mutants: Sequence[Mutant],
    rooms: dict[str, Module],
    jobs: int,
    tests: Sequence[str],
    done: Done,
    cache: Path | None = None,
) -> Seen:
    """Try every mutant that stands in a function; gives what was seen of the tests. Runs inside one pytest."""
    result: list[Seen] = []

    def work(items: list[pytest.Item]) -> None:
        items = exact(items)
        seen = observe(items, jobs, cache)
        result.append(seen)
        if seen.failed:
            return
        order = Order(items, seen)

        def learnt(outcome: Outcome) -> None:
            order.learn(outcome)
            done(outcome)

        gc.collect()
        gc.freeze()
        pool = Pool(jobs, learnt)
        for mutant in mutants:
            tests_of = order.of(mutant)

            def attempt(tell: int, mutant: Mutant = mutant, tests_of: list[pytest.Item] = tests_of) -> int:
                swap(rooms[mutant.path], mutant)()
                return until_one_fails(tests_of, seen.seconds, tell)

            pool.give(mutant, attempt)
        pool.finish()

    with hushed():
        collected(tests, work)
    if not result:
        raise RuntimeError(f"the tests in {', '.join(tests)} could not be collected")
    return result[0]


class Planted(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Gives one module's code mutated, when it is imported."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        super().__init__(name, str(path))
        self.planted = code

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self.planted


def plant(mutant: Mutant, room: Module) -> None:
    """Let the module of a mutant be imported with it; nothing of safety/ may have been imported."""
    sys.meta_path.insert(0, Planted(dotted(mutant.path), ROOT / mutant.path, room.compiled(mutant.edit)))


def judge_imports(
    mutants: Sequence[Mutant], rooms: dict[str, Module], jobs: int, files: Sequence[str], done: Done
) -> None:
    """Try every mutant of what runs at import, with safety/ and the test files imported anew in each child.

    pytest is started once, and each child collects for itself.
    """
    if any(name.partition(".")[0] == "safety" for name in sys.modules):
        raise RuntimeError("safety/ is imported already: a fork would hold the shipped code")
    deadly: defaultdict[str, list[str]] = defaultdict(list)

    def learnt(outcome: Outcome) -> None:
        if outcome.by and outcome.by not in deadly[outcome.mutant.path]:
            deadly[outcome.mutant.path].append(outcome.by)
        done(outcome)

    def work(session: pytest.Session) -> None:
        gc.collect()
        gc.freeze()
        pool = Pool(jobs, learnt)
        for mutant in mutants:
            killers = deadly[mutant.path]
            elsewhere = list(dict.fromkeys(killer.partition("::")[0] for killer in killers))[:2]
            first = list(dict.fromkeys([*own_tests(mutant.path, files), *elsewhere]))
            rounds = [each for each in (first, list(files)) if each]
            anew = Anew(session, rounds, {killer: place for place, killer in enumerate(killers)})

            def attempt(tell: int, mutant: Mutant = mutant, anew: Anew = anew) -> int:
                signal.setitimer(signal.ITIMER_PROF, LEAST_START_S)
                plant(mutant, rooms[mutant.path])
                return anew.judge(tell)

            pool.give(mutant, attempt)
        pool.finish()

    with compiled_once(), hushed():
        opened(files, work)


class Anew(NamedTuple):
    """A child that has imported nothing of safety/ yet: pytest's session, and what to run in which order."""

    session: pytest.Session
    rounds: list[list[str]]
    """Test files: those first that will probably do, then all."""
    killers: dict[str, int]
    """Tests that killed a mutant of this module, in the order in which they are tried."""

    def judge(self, tell: int) -> int:
        """Collect and run the tests, until one fails."""
        tried: set[str] = set()
        for files in self.rounds:
            signal.setitimer(signal.ITIMER_PROF, LEAST_START_S)
            self.session.perform_collect(files)
            if self.session.testsfailed:
                os.write(tell, f"{files[0]}::cannot be collected".encode())
                return EXIT_KILLED
            left = [each for each in exact(self.session.items) if each.nodeid not in tried]
            tried.update(each.nodeid for each in left)
            if until_one_fails(sorted(left, key=self.turn), {}, tell) == EXIT_KILLED:
                return EXIT_KILLED
        return EXIT_SURVIVED

    def turn(self, item: pytest.Item) -> int:
        """When a test has its turn: first those that killed a mutant of this module, then in the order of the files."""
        return self.killers.get(item.nodeid, len(self.killers))


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Let children share what each of them compiles, wherever the machine forbids to keep it."""
    before = sys.pycache_prefix, sys.dont_write_bytecode
    with tempfile.TemporaryDirectory() as folder:
        sys.pycache_prefix, sys.dont_write_bytecode = folder, False
        try:
            yield
        finally:
            sys.pycache_prefix, sys.dont_write_bytecode = before
