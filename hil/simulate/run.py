"""Runs many clinics, in several processes, and tells what came of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hil.simulate import tally as tallied
from hil.simulate import tape
from hil.simulate.clinic import Outcome, play
from hil.simulate.draw import OPEN_MS, draw
from hil.simulate.plan import Schedule
from hil.simulate.shrink import shrunk
from hil.simulate.target import found

HOUR_MS = 3_600_000
SHORTEST_MS = 120_000
"""A clinic is open for at least so long, in a run that is shorter than one."""


class Asked(NamedTuple):
    """What to simulate: hours of beds on a target, from a seed, in so many processes; a tape of what is broken."""

    target: str
    hours: float
    seed: int
    jobs: int = 1
    tape: Path | None = None


class Result(NamedTuple):
    """What came of a run; `digest` is that of all its clinics, in their order."""

    tally: Counter[str]
    broken: tuple[Outcome, ...]
    notes: tuple[str, ...]
    digest: str


class _Task(NamedTuple):
    target: str
    seed: int
    number: int
    open_ms: int


def simulate(asked: Asked, console: Console) -> Result:
    """Play clinics until their beds have been open for so many hours; stops at the first that is broken."""
    found(asked.target)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn(),
    )  # fmt: skip
    tally: Counter[str] = Counter()
    notes: list[str] = []
    broken: list[Outcome] = []
    digest = sha256()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=asked.hours)
        for outcome in _outcomes(asked):
            tally += outcome.tally
            notes += outcome.notes
            digest.update(outcome.digest.encode())
            hours = tally["open ms"] / HOUR_MS
            words = (
                f"{hours:.2f} of {asked.hours:g} h, {tallied.faults(tally)} faults, {tally['sessions']} sessions, "
                f"{len(outcome.violations)} violations"
            )
            progress.update(bar, completed=hours, description=words)
            if outcome.violations:
                broken.append(outcome)
                break
            if hours >= asked.hours:
                break
    return Result(tally, tuple(broken), tuple(notes), digest.hexdigest())


def _outcomes(asked: Asked) -> Iterator[Outcome]:
    """Clinics one after the other; with several processes they are played ahead, and given in their order."""
    open_ms = min(OPEN_MS, max(SHORTEST_MS, int(asked.hours * HOUR_MS)))
    number = 0
    if asked.jobs == 1:
        while True:
            yield _played(_Task(asked.target, asked.seed, number, open_ms))
            number += 1
    with get_context("spawn").Pool(asked.jobs) as pool:
        waiting: deque[AsyncResult[Outcome]] = deque()
        while True:
            while len(waiting) < 2 * asked.jobs:
                waiting.append(pool.apply_async(_played, (_Task(asked.target, asked.seed, number, open_ms),)))
                number += 1
            yield waiting.popleft().get()


def _played(task: _Task) -> Outcome:
    make, hire = found(task.target)
    return play(draw(task.seed, task.number, hire("ward").tighter, task.open_ms), make, hire)


def explain(asked: Asked, outcome: Outcome, console: Console) -> Outcome:
    """Shrink what is broken, print it in words, and write its tape; gives what the shrunk clinic was like."""
    make, hire = found(asked.target)
    first = outcome.violations[0]
    at_ms = (first.at_us - outcome.began_us) // 1000

    def is_broken(schedule: Schedule) -> bool:
        return any(each.invariant == first.invariant for each in play(schedule, make, hire).violations)

    small = shrunk(outcome.schedule, at_ms, is_broken)
    last = play(small, make, hire, keep=True)
    for violation in last.violations[:5]:
        at_s = (violation.at_us - last.began_us) / 1_000_000
        console.print(
            f"violation: {violation.invariant} at {violation.device}, {at_s:.3f} s: {violation.text}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{len(outcome.schedule.acts)} acts, shrunk to {len(small.acts)}:")
    for line in small.words():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if asked.tape:
        tape.write(asked.tape, asked.target, last)
        console.print(f"tape: {asked.tape}; play it again: stimwarden-hil replay {asked.tape}", soft_wrap=True)
    return last
