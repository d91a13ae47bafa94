"""The twin of an explained survivor: is any whole Step another one than that of the shipped code?

That a survivor does no harm was said by a person, who may be wrong. So the recorded sessions and some lives of the
adversary are played once by the shipped code, and what went into each step is kept with what came out. Then every step
is taken again under each explained survivor, from the same station: the station, the effects and the time to wake must
be equal. Where they are not, its entry in survivors.toml has to say under `differs` why nobody can see that.

That nothing differs is no proof that nothing can: the summary counts the survivors whose line these steps run at all.
What the ledger decides by itself (`admit`) is no step.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest import mock

import coverage

from tests.proof import judge
from tests.proof.mutants import Module, Mutant

if TYPE_CHECKING:
    from safety.machine import Step
    from safety.messages import Event, Now
    from safety.state import Station

SEEDS: Final = range(4)
LIFE: Final = 1_500
"""How many lives of the adversary are played, and how many steps of each."""
LIMIT_S: Final = 120.0


class Taken(NamedTuple):
    """A step that was taken: what went in, and what came out."""

    station: Station
    event: Event
    now: Now
    step: Step


class Seen(NamedTuple):
    """What the steps say of the explained survivors: where each first differs, empty where it does not."""

    steps: int
    where: dict[str, str]
    run: frozenset[str]
    """Those whose line was run."""


def taken(seeds: Sequence[int], life: int) -> list[Taken]:
    """Play the recorded sessions and lives of the adversary; gives every step."""
    machine = importlib.import_module("safety.machine")
    search, verdicts = (importlib.import_module(f"tests.proof.{name}") for name in ("search", "verdicts"))
    shipped, found = machine.step, []

    def step(station: Station, event: Event, now: Now) -> Step:
        done: Step = shipped(station, event, now)
        found.append(Taken(station, event, now, done))
        return done

    with mock.patch.object(machine, "step", step):
        for name in verdicts.names():
            list(verdicts.play(verdicts.read(verdicts.SESSIONS / f"{name}.ndjson.gz")))
        for seed in seeds:
            search.Life(seed).live(life)
    return found


def recorded_into(file: Path, seeds: Sequence[int], life: int) -> int:
    """Write the steps and the lines of safety/ that they run; in a child, so that a fork can import mutants."""
    recorder = coverage.Coverage(data_file=None, branch=False, source=["safety"], config_file=False)
    with recorder.collect():
        steps = taken(seeds, life)
    data = recorder.get_data()
    lines = {
        (Path(name).relative_to(judge.ROOT).as_posix(), line)
        for name in data.measured_files()
        for line in data.lines(name) or ()
    }
    file.write_bytes(pickle.dumps((len(steps), lines, pickle.dumps(steps))))
    return 0


def first_difference(steps: Sequence[Taken]) -> str:
    """Take every step again; says where and in what the first one differs, empty where none does."""
    step = importlib.import_module("safety.machine").step
    for number, (station, event, now, before) in enumerate(steps):
        place = f"step {number} of {len(steps)}, {type(event).__name__}"
        try:
            after = step(station, event, now)
        except Exception as problem:  # noqa: BLE001 - that it breaks is the difference
            return f"{place}: {problem!r}"
        parts = [part for part in before._fields if getattr(before, part) != getattr(after, part)]
        if parts:
            return f"{place}: {', '.join(parts)}"
    return ""


def replayed(mutant: Mutant, room: Module, steps: bytes, tell: int) -> int:
    """Import the package with a mutant in it, and take the steps again."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    judge.plant(mutant, room)
    where = first_difference(pickle.loads(steps))  # noqa: S301 - written by our own child
    os.write(tell, where.encode()[:4_000])
    return judge.EXIT_KILLED if where else judge.EXIT_SURVIVED


def compared(
    mutants: Sequence[Mutant],
    rooms: Mapping[str, Module],
    jobs: int,
    seeds: Sequence[int] = SEEDS,
    life: int = LIFE,
) -> Seen:
    """Compare each of these mutants with the shipped code, step by step."""
    if any(name.partition(".")[0] == "safety" for name in sys.modules):
        raise RuntimeError("safety/ is imported already: a fork would hold the shipped code")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps"
        if os.waitpid(judge.in_child(partial(recorded_into, file, seeds, life)), 0)[1]:
            raise RuntimeError("the sessions could not be played without a mutant")
        number, lines, steps = pickle.loads(file.read_bytes())  # noqa: S301 - written by our own child
    where: dict[str, str] = {}

    def done(outcome: judge.Outcome) -> None:
        where[outcome.mutant.key] = "" if outcome.verdict == judge.SURVIVED else outcome.by or outcome.verdict

    pool = judge.Pool(jobs, done)
    for mutant in mutants:
        pool.give(mutant, partial(replayed, mutant, rooms[mutant.path], steps))
    pool.finish()
    run = {
        each.key
        for each in mutants
        if not each.function or any((each.path, line) in lines for line in range(each.first, each.last + 1))
    }
    return Seen(number, where, frozenset(run))


def objections(where: Mapping[str, str], differs: Mapping[str, str]) -> list[str]:
    """Which differences nobody has explained, and which explained ones are not there."""
    unsaid = [
        f"differs in a whole Step, and nobody says why that cannot be seen: {key} ({place})"
        for key, place in sorted(where.items())
        if place and key not in differs
    ]
    idle = [f"said to differ in a Step, and none does: {key}" for key in sorted(differs) if not where.get(key)]
    return unsaid + idle
