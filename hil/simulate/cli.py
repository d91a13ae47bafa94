"""`stimwarden-hil simulate`."""

# ruff: noqa: PLC0415 - a command opens the rooms that it needs, so that --help answers at once

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    target: Annotated[str, typer.Option(help="module:factory, see docs/simulation.md.")],
    hours: Annotated[float, typer.Option(min=0.01, help="How many hours beds are open in all.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="What all clinics are drawn from.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; what comes out is the same.")] = 1,
    tape: Annotated[Path | None, typer.Option(help="File to make where something is broken.")] = None,
) -> None:
    """Play random clinics in virtual time, and hunt for faults of a controller.

    Ends with 0 if all invariants held (and, in 20 hours and more, enough was seen), with 1 if not.
    """
    from rich.console import Console

    from hil.simulate import run, tally
    from hil.simulate.target import BadTarget, found

    asked, console = run.Asked(target, hours, seed, jobs, tape), Console()
    try:
        staff = found(target)[1]("ward")
    except BadTarget as bad:
        raise typer.BadParameter(str(bad)) from bad
    result = run.simulate(asked, console)
    for outcome in result.broken:
        run.explain(asked, outcome, console)
    lines = tally.lines(result.tally, staff)
    tally.show(console, result.tally, staff, lines)
    console.print(f"digest {result.digest}", highlight=False)
    is_enough = hours < tally.ENOUGH_H or all(line.holds for line in lines)
    console.print(f"seed {seed}: {len(result.broken)} clinics with violations")
    raise typer.Exit(0 if is_enough and not result.broken else 1)
