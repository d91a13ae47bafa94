"""Tries one fault after another, each in a forked child, until a test fails there.

pytest collects once, and the children inherit what it has collected. A child that spends ten times the processor time
of a test on it, or a minute where that is not known, or waits four minutes in it, is ended; the test that it was at
counts as the one that saw it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import pytest

from tests.proof.judge import EXIT_KILLED, EXIT_SURVIVED, KILLED, TIMED_OUT, in_child, passes, verdict

TIMES, LEAST_S, UNKNOWN_S = 10, 20.0, 60.0
WALL_S = 240
"""For one test. Real time is the machine's business; this only ends what waits for ever."""
LONGEST_S = 7_200
CAUGHT: Final = (KILLED, TIMED_OUT)
STORIES: Final = ("tests/virtual", "tests/hazards", "tests/planted")
"""Where a test stands that tells a story of the whole controller in virtual time."""
NOT_TOLD: Final = ("_pty.py", "hash_seeds", "[pty]", "/test_planted_runner", "/test_hazards_all")
"""Tests there that are told in real time or by other processes, or are about the stories themselves."""


class Trial(NamedTuple):
    """A fault, how it is put in force, and the tests that it meets."""

    name: str
    put: Callable[[], None]
    tests: list[pytest.Item]


class Outcome(NamedTuple):
    """What became of it; `by` is the test that failed."""

    name: str
    verdict: str
    by: str

    @property
    def is_caught(self) -> bool:
        """Tell whether a test failed; a child that merely broke down is no proof of anything."""
        return self.verdict in CAUGHT


def is_story(test: str) -> bool:
    """Tell whether a test tells a story of the whole controller, by its id."""
    return test.startswith(STORIES) and not any(word in test for word in NOT_TOLD)


Attempt = Callable[[Trial, Mapping[str, float], int], int]
"""Puts a fault in force and runs tests; tells the test that failed, and how it ended."""


def run(
    trials: Iterable[Trial],
    seconds: Mapping[str, float],
    jobs: int,
    done: Callable[[Outcome], None],
    attempt: Attempt | None = None,
) -> None:
    """Try all of them, so many at once."""
    attempt = attempt or tried
    running: dict[int, tuple[str, int]] = {}

    def reap() -> None:
        child, status = os.waitpid(-1, 0)
        name, hear = running.pop(child)
        with os.fdopen(hear, "rb") as pipe:
            by = pipe.read().decode()
        done(Outcome(name, verdict(status), by))

    for trial in trials:
        while len(running) >= jobs:
            reap()
        hear, tell = os.pipe()
        child = in_child(lambda trial=trial, tell=tell: attempt(trial, seconds, tell), LONGEST_S)  # type: ignore[misc]
        os.close(tell)
        running[child] = trial.name, hear
    while running:
        reap()


def tried(trial: Trial, seconds: Mapping[str, float], tell: int) -> int:
    """Put the fault in force and run tests until one fails, whose id is written."""
    trial.put()
    for test in trial.tests:
        name = test.nodeid

        def over(number: int, _: object, name: str = name) -> None:
            os.write(tell, name.encode())
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        signal.signal(signal.SIGPROF, over)
        signal.signal(signal.SIGALRM, over)
        signal.alarm(WALL_S)
        signal.setitimer(signal.ITIMER_PROF, max(LEAST_S, TIMES * seconds.get(name, UNKNOWN_S / TIMES)))
        if not passes(test):
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            os.write(tell, name.encode())
            return EXIT_KILLED
    return EXIT_SURVIVED
