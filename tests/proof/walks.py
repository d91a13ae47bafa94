"""All slices, walked to their ends: what they must have reached together, and the stage of the proof.

    python -m tests.proof.walks [--quick] [SLICE ...]

A walk that reaches nothing proves nothing, so it is asserted what was reached: every phase, every rule as the one that
binds, both sides of every edge, and that current flowed. Rules that look at a patient's history are walked beside, at
the second door (door.py).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from safety.rules.registry import RULES
from safety.state import Phase
from tests.proof import door
from tests.proof.result import Result, table
from tests.proof.slices import SLICES
from tests.proof.walk import Slice, Walked, walk

ELSEWHERE: Final = {
    **dict.fromkeys(
        ("G26", "L01", "L02", "L03", "L04", "L05", "L06", "L09", "L10", "L11", "L12"),
        "asked by `admit` of a patient's history, which no step sees: walked at the second door (door.py)",
    ),
    **dict.fromkeys(("L07", "L08"), "say how a total is counted and what a session is charged, and refuse nothing"),
    "L13": "asked of a correction, which no session makes (tests/safety)",
    **dict.fromkeys(
        ("X1", "X2", "X3", "X4", "X5", "X7", "X8", "X9", "X10", "X11", "X12"),
        "a property of the whole: it has no finding of its own",
    ),
}
"""Rules that no step can report, and why."""


def objections(walked: Iterable[Walked], slices: Iterable[Slice], *, whole: bool = True) -> list[str]:
    """Say what the walks should have reached and have not, and what was wrong on the way."""
    walked, by_name = list(walked), {quotient.name: quotient for quotient in slices}
    found = []
    for each in walked:
        found += [f"{each.name}: {'; '.join(faults)} after {' > '.join(way)}" for faults, way in each.faults]
        found += [] if each.complete or each.faults else [f"{each.name}: a frontier is left"]
        for edge in by_name[each.name].edges:
            sides = each.sides.get(edge.name, frozenset())
            if sides != {(0, False), (1, True)}:
                found.append(f"{each.name}: {edge.name} shows {sorted(sides)} and not both sides")
    return found + (missed(walked) if whole else [])


def missed(walked: Sequence[Walked]) -> list[str]:
    """Say which phases and rules no walk has reached; a rule that is told to bind elsewhere, and binds here, too."""
    phases, binding = Counter[str](), Counter[str]()
    for each in walked:
        phases.update(each.phases)
        binding.update(each.binding)
    ids = [rule.id for rule in RULES]
    found = [f"no walk reaches {phase}" for phase in Phase if not phases[phase]]
    found += [f"in no walk does {rule} bind" for rule in ids if not binding[rule] and rule not in ELSEWHERE]
    found += [f"{rule} binds here, and is told to be judged elsewhere" for rule in ELSEWHERE if binding[rule]]
    found += [f"{rule} is told to be judged elsewhere, and is no rule" for rule in ELSEWHERE if rule not in ids]
    return found if any(each.flowing for each in walked) else [*found, "no current flows in any walk"]


def by_name(name: str) -> Walked:
    """Walk the slice of this name; the unit of work of a process."""
    return walk(next(each for each in SLICES if each.name == name))


def run(slices: Sequence[Slice]) -> list[Walked]:
    """Walk these slices in as many processes as there are processors, with a bar of progress on standard error."""
    columns = (
        TextColumn("walk"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
    )
    context, walked = multiprocessing.get_context("fork"), []
    with Progress(*columns, console=Console(stderr=True)) as bar, context.Pool(os.cpu_count()) as pool:
        task = bar.add_task("walk", total=len(slices), at="")
        for each in pool.imap_unordered(by_name, [each.name for each in slices]):
            walked.append(each)
            bar.update(task, advance=1, at=each.name)
    names = [each.name for each in slices]
    return sorted(walked, key=lambda each: names.index(each.name))


def stage(*, quick: bool) -> Result:
    """The stage of the proof."""
    slices = [each for each in SLICES if each.quick or not quick]
    found = summed(run(slices), slices, whole=not quick)
    return found if quick else beside(found, door.judged())


def beside(found: Result, judged: door.Door) -> Result:
    """Lay the histories that were judged at the second door beside what was walked."""
    figures = found.figures | {
        "histories judged at the second door": judged.histories,
        "of which admitted": judged.admitted,
        "rules that bind at the second door": len(judged.binding),
    }
    rows = sorted(judged.binding.items())
    lines = ["", "The second door, walked:", "", *table(["rule", "histories that it refuses first"], rows)]
    return Result(found.title, figures, [*found.lines, *lines], [*found.wrong, *judged.wrong])


def summed(walked: Sequence[Walked], slices: Sequence[Slice], *, whole: bool) -> Result:
    """Add up what was walked."""
    binding = sum((each.binding for each in walked), Counter[str]())
    phases = sum((each.phases for each in walked), Counter[str]())
    ids = [rule.id for rule in RULES]
    both = {(0, False), (1, True)}
    figures = {
        "slices": len(walked),
        "states": sum(each.states for each in walked),
        "transitions": sum(each.transitions for each in walked),
        "states with current flowing": sum(each.flowing for each in walked),
        "phases": len(phases),
        "rules": len(ids),
        "rules that bind": sum(binding[rule] > 0 for rule in ids),
        "rules judged elsewhere": len(ELSEWHERE),
        "edges seen on both sides": sum(sides == both for each in walked for sides in each.sides.values()),
    }
    return Result("Walk", figures, lines(walked, slices), objections(walked, slices, whole=whole))


def lines(walked: Sequence[Walked], slices: Sequence[Slice]) -> list[str]:
    """Tell of each slice what was walked; then what each quotient is, and what is judged elsewhere."""
    edges = {each.name: len(each.edges) for each in slices}
    rows = [(each.name, each.states, each.transitions, each.flowing, edges[each.name]) for each in walked]
    prose = [f"- **{each.name}**: {' '.join(each.prose.split())}" for each in slices]
    reasons = dict.fromkeys(ELSEWHERE.values())
    elsewhere = [
        f"- {', '.join(rule for rule, why in ELSEWHERE.items() if why == reason)}: {reason}" for reason in reasons
    ]
    return [
        *table(["slice", "states", "transitions", "with current", "edges"], rows),
        "", "What each slice walks:", "", *prose, "", "Rules that no step reports:", "", *elsewhere,
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk the slices that are named, or all; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description="The exhaustive walk of `step`")
    parser.add_argument("--quick", action="store_true", help="the slices that take a few seconds together")
    parser.add_argument("slices", nargs="*", help="walk these")
    given = parser.parse_args(arguments)
    chosen = [each for each in SLICES if each.name in given.slices] or [e for e in SLICES if e.quick or not given.quick]
    whole = len(chosen) == len(SLICES)
    found = summed(run(chosen), chosen, whole=whole)
    found = beside(found, door.judged()) if whole else found
    for line in (*found.lines[: len(chosen) + 2], *(f"{name}: {value:,}" for name, value in found.figures.items())):
        sys.stdout.write(f"{line}\n")
    for complaint in found.wrong:
        sys.stdout.write(f"WRONG: {complaint}\n")
    return min(len(found.wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
