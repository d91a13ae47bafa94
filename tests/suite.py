"""`make test`: all tests in parts that run side by side, then what they have covered, and a sample of the proof.

    python -m tests.suite

Most tests wait, for a dead man, a broker, or a process that was killed, and leave the processor to others meanwhile.
What a part has printed is shown as a whole when it ends; every part runs even if another fails, so that one look shows
all there is to mend. The last line is the sum of all.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.summary import summary

ROOT: Final = Path(__file__).resolve().parents[1]
PYTEST: Final = ("-m", "pytest")
PLAYS: Final = (
    "tests/safety/test_safety_golden.py",
    "tests/safety/test_safety_reserve.py",
    "tests/safety/test_safety_stateful.py",
    "tests/safety/test_safety_walk.py",
)
"""Whole treatments and random courses of the core. Counting what they cover costs 2.5 times their own time, and what
they cover is covered without them."""
FOLDERS: Final = ("tests/safety", "tests/scenarios", "tests/controller", "tests/hil", "tests/hazards")


def without(*paths: str) -> tuple[str, ...]:
    """Leave these out."""
    return tuple(f"--ignore={path}" for path in paths)


PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "scenarios": (*PYTEST, "tests/scenarios"),
    "controller": (*PYTEST, "tests/controller"),
    "safety": ("-m", "coverage", "run", *PYTEST, "tests/safety", *without(*PLAYS)),
    "others": (*PYTEST, "tests", *without(*FOLDERS)),
    "hil": (*PYTEST, "tests/hil"),
    "plays": (*PYTEST, *PLAYS),
    "hazards": (*PYTEST, "tests/hazards", "-n3"),
}
"""Each test runs once. The stories of hazards take precedence over other processes where they may: they come last, when
what is timed by a clock has ended."""
AFTERWARDS: Final = (
    ("-m", "coverage", "report", "--fail-under=100"),
    ("-m", "tests.proof.run", "--quick"),
)
AT_ONCE: Final = 3
"""Parts that run at the same time: with more, what is timed by a clock comes too late on two cores."""
LOOK_S: Final = 0.5
PERCENT: Final = re.compile(r"\[ *(\d+)%\]")


class Part(NamedTuple):
    """Some of the tests in a process of their own, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def percent(self) -> int:
        """How far it has come, as pytest says."""
        found = PERCENT.findall(self.output.read_text(encoding="utf-8", errors="replace"))
        return int(found[-1]) if found else 0


def begin(name: str, arguments: Sequence[str], folder: Path) -> Part:
    """Start a part."""
    output = folder / f"{name}.txt"
    command = [sys.executable, *arguments, f"--junit-xml={folder / name}.xml"]
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    return Part(name, process, output)


def play(waiting: Sequence[tuple[str, Sequence[str]]], folder: Path, running: list[Part], console: Console) -> bool:
    """Run all parts, some at once, with a bar for each; tells whether all are well. `running` holds those not ended."""
    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    left, is_well = list(waiting), True
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {name: progress.add_task(name, total=100) for name, _ in waiting}
        while left or running:
            while left and len(running) < AT_ONCE:
                running.append(begin(*left.pop(0), folder))
            time.sleep(LOOK_S)
            for part in list(running):
                progress.update(tasks[part.name], completed=part.percent)
                if part.process.poll() is None:
                    continue
                running.remove(part)
                progress.stop_task(tasks[part.name])
                is_well &= part.process.returncode == 0
                text = part.output.read_text(encoding="utf-8", errors="replace")
                console.print(f"--- {part.name} ---\n{text}", markup=False, highlight=False, soft_wrap=True)
    return is_well


def main(parts: Mapping[str, tuple[str, ...]] = PARTS, afterwards: Sequence[tuple[str, ...]] = AFTERWARDS) -> int:
    """Run everything; 0 if all is well."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="stimwarden-tests-") as folder:
        running: list[Part] = []
        try:
            is_well = play([*parts.items()], Path(folder), running, console)
        finally:
            for part in running:
                part.process.terminate()
                part.process.wait()
        for arguments in afterwards:
            is_well &= subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode == 0
        sys.stdout.write(summary([Path(folder) / f"{name}.xml" for name in parts]) + "\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
