"""`make planted`: plant every defect, draw random mutants, print both tables, and keep the page when everything holds.

    python -m tests.planted [--mutants N] [--seed S] [--jobs J] [--only ID ...] [--quick]

`--quick` tells only the stories that are known to catch, and tries no mutants but those whose killer is kept. What was
seen of a mutant is kept in .proof/ for as long as controller, core, bench and tests are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.planted.campaign import mutate, plant_all, try_known
from tests.planted.defect import LIST, defects
from tests.planted.page import KEPT, Campaign, objections, page, printed
from tests.planted.shell import drawn, load
from tests.planted.trial import Outcome

MUTANTS, SEED, SAMPLE = 200, 20_261_128, 10
KILLERS: Final = Path(__file__).with_name("killers.json")
"""Which test killed a mutant of the kept page: what a quick run tries again."""
Done = Callable[[Outcome], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; 0 if everything holds."""
    parser = argparse.ArgumentParser(description="Defects planted in the controller, and random mutants of its shell")
    parser.add_argument("--mutants", type=int, default=MUTANTS, help="how many to draw")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", help="a defect by its id, and no mutants; nothing is kept")
    parser.add_argument("--quick", action="store_true", help="the stories and tests that are known to see it")
    chosen = parser.parse_args(arguments)
    console = Console()
    campaign, failed = tried(chosen)
    for shown in printed(campaign):
        console.print(shown)
    wrong = [*objections(campaign), *(f"fails without any fault: {test}" for test in failed)]
    for complaint in wrong:
        console.print(f"WRONG: {complaint}", markup=False, soft_wrap=True)
    if not (wrong or chosen.quick or chosen.only):
        KEPT.write_text(page(campaign), encoding="utf-8")
        kills = {key: outcome.by for key, outcome in sorted(campaign.killed.items()) if outcome.is_caught}
        KILLERS.write_text(json.dumps(kills, indent=1) + "\n", encoding="utf-8")
    console.print(f"planted: {'holds' if not wrong else f'{len(wrong)} objections'}")
    return min(len(wrong), 1)


def tried(chosen: argparse.Namespace) -> tuple[Campaign, tuple[str, ...]]:
    """Try all that was chosen; gives the tests that fail without any fault, too."""
    rooms = load()
    everything = [mutant for room in rooms.values() for mutant in room.mutants()]
    listed = [each for each in defects(LIST.read_text(encoding="utf-8")) if not chosen.only or each.id in chosen.only]
    known: dict[str, str] = {}
    if chosen.quick and KILLERS.exists():
        names = {mutant.key for mutant in everything if mutant.function}
        kept = {key: by for key, by in json.loads(KILLERS.read_text(encoding="utf-8")).items() if key in names}
        known = {key: kept[key] for key in Random(chosen.seed).sample(sorted(kept), min(SAMPLE, len(kept)))}  # noqa: S311
    if chosen.quick or chosen.only:
        mutants = [mutant for mutant in everything if mutant.key in known]
    else:
        mutants = drawn(rooms, chosen.mutants, chosen.seed)
    caught: dict[str, Outcome] = {}
    killed: dict[str, Outcome] = {}
    failed: tuple[str, ...] = ()
    columns = (TextColumn("{task.description:34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # pytest is hushed meanwhile, and standard error with it.
    with os.fdopen(os.dup(2), "w") as own, Progress(*columns, console=Console(file=own)) as progress:

        def counted(name: str, total: int, outcomes: dict[str, Outcome]) -> Done:
            task = progress.add_task(name, total=total)

            def done(outcome: Outcome) -> None:
                outcomes[outcome.name] = outcome
                lived = sum(not each.is_caught for each in outcomes.values())
                progress.update(task, advance=1, description=f"{name}, {lived} not seen")

            return done

        if chosen.quick and known:
            try_known(known, rooms, chosen.jobs, counted("mutants", len(known), killed))
        elif mutants:
            failed = mutate(mutants, rooms, chosen.jobs, counted("mutants", len(mutants), killed))
        plant_all(listed, chosen.jobs, counted("defects", len(listed), caught), only_first=chosen.quick)
    return Campaign(listed, caught, mutants, killed, len(everything), chosen.seed), failed


if __name__ == "__main__":
    sys.exit(main())
