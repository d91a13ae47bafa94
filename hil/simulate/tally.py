"""Whether a run has seen enough for its silence to mean something, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from hil.faults import FAULTS
from hil.simulate.draw import CANNOT
from hil.simulate.staff import Staff

HOUR_MS = 3_600_000
ENOUGH_H = 20
"""A run of so many hours of a bed has to have seen everything."""
RUNNING, COMPLETED, WINS, NUISANCE_H = 0.30, 0.95, 20, 20
"""Of the time, of the plain sessions, of each rule, and the hours for one nuisance trip (issue of the simulation)."""


class Line(NamedTuple):
    """What is counted, what is required of it, and whether it holds."""

    what: str
    found: str
    required: str
    holds: bool


def lines(tally: Counter[str], staff: Staff) -> list[Line]:
    """Everything that is required of a run of enough hours."""
    open_ms, running_ms = tally["open ms"], tally["running ms"]
    plain, completed = tally["plain sessions"], tally["plain sessions completed"]
    # Somebody who never gets a session would never trip, either: hours in which one runs count, without a fault.
    clean_h = tally["plain ms"] / HOUR_MS
    allowed = max(1, int(clean_h / NUISANCE_H))
    faults = [name for name in FAULTS if name not in CANNOT]
    missing = [name for name in faults if not tally[f"fault {name}"]]
    reachable = [rule for rule in staff.rules if rule not in staff.beyond]
    seldom = [f"{rule} ({tally[f'rule {rule}']})" for rule in reachable if tally[f"rule {rule}"] < WINS]
    return [
        Line("hours of a bed", f"{open_ms / HOUR_MS:.2f}", f">= {ENOUGH_H}", open_ms >= ENOUGH_H * HOUR_MS),
        Line("running", f"{running_ms / max(1, open_ms):.1%}", f">= {RUNNING:.0%}", running_ms >= RUNNING * open_ms),
        Line(
            "plain sessions completed",
            f"{completed} of {plain}",
            f">= {COMPLETED:.0%}",
            plain > 0 and completed >= COMPLETED * plain,
        ),
        Line(
            "nuisance trips",
            f"{tally['nuisance']} in {clean_h:.1f} clean hours",
            f"<= {allowed}",
            tally["nuisance"] <= allowed,
        ),
        Line("kinds of fault", _of(len(faults) - len(missing), len(faults), missing), "all", not missing),
        Line(
            f"rules that won {WINS} times", _of(len(reachable) - len(seldom), len(reachable), seldom), "all", not seldom
        ),
    ]


def show(console: Console, tally: Counter[str], staff: Staff, lines_: Sequence[Line]) -> None:
    """Print what was seen."""
    table = Table("what", "found", "required", "", title="Was enough seen?")
    for what, found, required, holds in lines_:
        table.add_row(what, found, required, "yes" if holds else "no")
    console.print(table)
    rest = {
        "sessions": tally["sessions"], "pulses": tally["pulses"], "orders": tally["orders"], "faults": faults(tally),
        "lives": tally["lives"], "crashes": tally["crashes"],
    }  # fmt: skip
    console.print(", ".join(f"{count} {name}" for name, count in rest.items()))
    for rule, why in staff.beyond.items():
        won = f"; won {tally[f'rule {rule}']} times all the same" if tally[f"rule {rule}"] else ""
        console.print(f"not required: {rule}: {why}{won}", markup=False, highlight=False)
    for fault, why in CANNOT.items():
        console.print(f"not injected: {fault}: {why}", markup=False, highlight=False)


def faults(tally: Counter[str]) -> int:
    """How many faults were injected."""
    return sum(count for name, count in tally.items() if name.startswith("fault ")) + tally["crashes"]


def _of(found: int, all_: int, missing: Sequence[str]) -> str:
    return f"{found} of {all_}" + (f"; not {', '.join(missing)}" if missing else "")
