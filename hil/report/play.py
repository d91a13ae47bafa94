"""Runs a suite by pytest in a process of its own, with a bar, and reads the evidence that it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hil.evidence import Run
from hil.report.refused import Refused

PERCENT = re.compile(rb"\[ *(\d+)%\]")
LINES = 30
"""The last lines of pytest that are shown when it left no evidence."""


class Asked(NamedTuple):
    """What to run, on what; a scope of None is the bench's own."""

    suite: Path
    bench: str
    device: str
    seed: int = 0
    scope: str | None = None
    arguments: Sequence[str] = ()

    def command(self, evidence: Path) -> list[str]:
        """The command line of pytest."""
        scope = [] if self.scope is None else [f"--bench-scope={self.scope}"]
        return [
            *(sys.executable, "-m", "pytest", str(self.suite), "-v", "--color=no"),
            *(f"--bench={self.bench}", f"--bench-device={self.device}", f"--bench-seed={self.seed}", *scope),
            *(f"--bench-evidence={evidence}", *self.arguments),
        ]


def play(asked: Asked, log: Path, console: Console) -> Run:
    """Run the suite, with what pytest prints in a file; raises Refused where it leaves no evidence."""
    with tempfile.TemporaryDirectory(prefix="stimwarden-hil-") as folder:
        evidence = Path(folder) / "evidence.json"
        status = _run(asked.command(evidence), log, console)
        try:
            run = Run.model_validate_json(evidence.read_bytes())
        except FileNotFoundError as error:
            said = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:])
            raise Refused("no_evidence", f"pytest ended with status {status} and left none behind\n{said}") from error
        except ValidationError as error:
            raise Refused("no_evidence", f"what pytest left behind is none: {error}") from error
    return run.model_copy(update={"exit_status": status})


def _run(command: Sequence[str], log: Path, console: Console) -> int:
    # Compiled files would make a tree unclean that nobody has touched.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with (
        log.open("wb") as out,
        Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
        ) as progress,
        subprocess.Popen(  # noqa: S603 - pytest, by this interpreter
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        task = progress.add_task("tests", total=100)
        try:
            for line in process.stdout or ():
                out.write(line)
                if found := PERCENT.findall(line):
                    progress.update(task, completed=int(found[-1]))
        except BaseException:
            process.terminate()
            raise
    return process.returncode
