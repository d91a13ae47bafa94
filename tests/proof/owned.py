"""Each module of safety/ is covered, every branch of it, by its own test files alone.

The files of a module are those of its name, tests/safety/test_safety_<module>*.py; OTHERS names those whose name says
something else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.proof.judge import own_tests
from tests.proof.mutants import ROOT, modules
from tests.proof.result import Result, table

OTHERS: Final[dict[str, tuple[str, ...]]] = {
    "safety/admit.py": ("ledger_more",),
    "safety/calibrate.py": ("trial",),
    "safety/facts.py": ("heard", "people", "reprobe", "settle", "skin"),
    "safety/machine.py": ("calibrate", "rhythm"),
    "safety/permits.py": ("reserve", "wishes_up", "wishes_running"),
    "safety/rules/gate.py": ("continue",),
    "safety/rules/people.py": ("wishes",),
    "safety/rules/pulse.py": ("gate_pulse",),
    "safety/rules/skin.py": ("reprobe",),
    "safety/rules/views.py": ("heard", "tick"),
    "safety/wishes.py": ("calibrate", "trial", "continue", "skin_rails"),
}


def files_of(path: str, names: list[str]) -> list[str]:
    """The test files of one module."""
    others = {f"test_safety_{stem}.py" for stem in OTHERS.get(path, ())}
    return sorted({*own_tests(path, names), *(name for name in names if Path(name).name in others)})


def missing(path: str, files: list[str]) -> list[str]:
    """Lines and branches of a module that its own files leave out."""
    if not files:
        return ["no test file of its own"]
    with tempfile.TemporaryDirectory() as folder:
        data, report = f"--data-file={folder}/data", Path(folder) / "report.json"
        own = [sys.executable, "-m", "coverage"]
        run = [
            *own,
            "run",
            data,
            "--branch",
            f"--include={path}",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *files,
        ]
        quiet = {"cwd": ROOT, "env": os.environ | {"COVERAGE_RCFILE": os.devnull}, "capture_output": True, "text": True}
        tried = subprocess.run(run, check=False, **quiet)  # type: ignore[call-overload]
        if tried.returncode:
            return [f"its own tests fail: {tried.stdout.strip().splitlines()[-1:]}"]
        subprocess.run([*own, "json", data, "-o", str(report)], check=False, **quiet)  # type: ignore[call-overload]
        if not report.exists():
            return ["its own tests do not run it"]
        found = json.loads(report.read_text(encoding="utf-8"))["files"][path]
    lines = [f"line {line}" for line in found["missing_lines"]]
    return [*lines, *(f"branch {start} to {end}" for start, end in found["missing_branches"])]


def stage(*, quick: bool) -> Result:
    """The stage of the proof."""
    del quick
    names = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "tests/safety").rglob("test_*.py"))
    paths = [path for path in modules() if not path.endswith("__init__.py")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(paths, pool.map(lambda path: missing(path, files_of(path, names)), paths), strict=True))
    wrong = [f"{path}: {', '.join(lacks)}" for path, lacks in found.items() if lacks]
    rows = [(f"`{path}`", "none" if not lacks else "; ".join(lacks)) for path, lacks in found.items()]
    figures = {"modules": len(paths), "covered wholly by their own tests": sum(not lacks for lacks in found.values())}
    return Result("coverage", figures, table(["module", "left out by its own tests"], rows), wrong)
