"""`make proof` and `make proof-quick`: the stages of the proof one after another, and the file that keeps the result.

    python -m tests.proof.run [--quick] [--only STAGE]

A stage is a function `stage(*, quick) -> Result` in a module of this folder, and runs in a process of its own. Only a
full run of all stages writes docs/proof/proof.md and proof.json; a figure may then not differ between two runs
on the same code. The mutation stage keeps its verdicts in .proof/ for as long as the code is the same: remove that
folder for a run that owes nothing to an earlier one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.proof.result import Result

ROOT: Final = Path(__file__).resolve().parents[2]
KEPT: Final = ROOT / "docs/proof"


class Stage(NamedTuple):
    """A part of the proof, the module that does it, and whether a quick run has it."""

    name: str
    module: str
    quick: bool


STAGES: Final = (
    Stage("bite", "tests.proof.bite", quick=True),
    Stage("traced", "tests.proof.traced", quick=False),
    Stage("coverage", "tests.proof.owned", quick=False),
    Stage("mutation", "tests.proof.mutation", quick=True),
    Stage("conditions", "tests.proof.conditions", quick=False),
    Stage("walk", "tests.proof.walks", quick=True),
    Stage("adversary", "tests.proof.search", quick=False),
)


def proved(module: str, *, quick: bool) -> Result:
    """Run one stage; a stage that breaks is wrong, whatever the others say."""
    try:
        result: Result = importlib.import_module(module).stage(quick=quick)
    except Exception as problem:  # noqa: BLE001 - said in the result
        return Result(module, {}, [], [f"did not run to its end: {problem!r}"])
    return result


def alone(module: str, *, quick: bool) -> Result:
    """Run one stage in a fresh process, which holds nothing of the stages before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(proved, module, quick=quick).result()


def page(results: dict[str, Result]) -> str:
    """The result as Markdown."""
    lines = ["# The proof", "", "Written by `make proof`; figures of the code beside it.", ""]
    for name, result in results.items():
        lines += [f"## {name}", ""]
        lines += [f"- {figure}: {value:,}" for figure, value in result.figures.items()]
        lines += ["", *result.lines, ""]
    return "\n".join(lines).rstrip() + "\n"


def keep(results: dict[str, Result], folder: Path = KEPT) -> None:
    """Write the result to its files."""
    figures = {name: result.figures for name, result in results.items()}
    folder.mkdir(exist_ok=True)
    (folder / "proof.md").write_text(page(results), encoding="utf-8")
    (folder / "proof.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description="The proof of safety/")
    parser.add_argument("--quick", action="store_true", help="a sample, in less than two minutes")
    parser.add_argument("--only", choices=[stage.name for stage in STAGES], help="one stage; no file is written")
    chosen = parser.parse_args(arguments)
    results: dict[str, Result] = {}
    for stage in STAGES:
        if (chosen.only and stage.name != chosen.only) or (chosen.quick and not stage.quick):
            continue
        began = time.monotonic()
        results[stage.name] = result = alone(stage.module, quick=chosen.quick)
        figures = ", ".join(f"{figure} {value:,}" for figure, value in result.figures.items())
        sys.stdout.write(f"{stage.name} ({time.monotonic() - began:.0f} s): {figures}\n")
        for complaint in result.wrong:
            sys.stdout.write(f"  WRONG: {complaint}\n")
        sys.stdout.flush()
    wrong = sum(len(result.wrong) for result in results.values())
    if not (wrong or chosen.quick or chosen.only):
        keep(results)
    sys.stdout.write(f"proof: {'holds' if not wrong else f'{wrong} objections'}\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
