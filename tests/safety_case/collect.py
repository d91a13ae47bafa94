"""Which tests there are, and which rules and hazards each is evidence for. Collected, never run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
BOUND = ("tests/safety", "tests/scenarios", "tests/hazards", "tests/hil")
"""Where every test has to name what it is evidence for."""


class Evidence(NamedTuple):
    """A test function: its file, its name, and the ids of its markers (of all its cases together)."""

    path: str
    name: str
    ids: tuple[str, ...]


class Collector:
    """A plugin that remembers the markers of what pytest collects; a function with unmarked cases has no id."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[frozenset[str]]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = getattr(item, "originalname", None) or item.name
            key = item.path.relative_to(session.config.rootpath).as_posix(), name
            marks = (*item.iter_markers("rule"), *item.iter_markers("hazard"))
            self.found.setdefault(key, []).append(frozenset(str(each) for mark in marks for each in mark.args))

    def evidence(self) -> list[Evidence]:
        return [
            Evidence(*key, tuple(sorted(frozenset.union(*cases))) if all(cases) else ())
            for key, cases in self.found.items()
        ]


def collect(*folders: str) -> list[Evidence]:
    """Collect the tests of these folders in a process of its own, so that nothing here is imported twice."""
    code = "from tests.safety_case.collect import main; main()"
    run = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stdout + run.stderr)
    return [Evidence(path, name, tuple(ids)) for path, name, ids in json.loads(run.stdout.splitlines()[-1])]


def main() -> None:
    """Print what was collected as one line of JSON, the last of the output."""
    collector = Collector()
    status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[collector])
    if not status:
        print(json.dumps(collector.evidence()))  # noqa: T201 - the answer
    sys.exit(int(status))
