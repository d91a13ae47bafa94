"""What the tests of a run report, in whichever process they ran: evidence, and how a failure is done again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hil.account import run_of
from hil.evidence import Test
from hil.stand import Spec

DESELECTED = "bench_deselected"


class Recorder:
    """What one run has seen."""

    def __init__(self, bench: Spec, file: Path | None) -> None:
        self._bench = bench
        self._file = file
        self._began_at = datetime.now(UTC)
        self._deselected = 0
        self._again: dict[str, None] = {}
        self._tests: dict[str, Test] = {}

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count what was left out."""
        self._deselected += len(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected: a run without its tests is no clean one."""
        if report.failed:
            name = report.nodeid or "collection"
            self._tests[name] = Test(id=name, outcome="error", failure=str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one report; of a test that was tried again, the one that did not pass stays."""
        if again := getattr(report, "bench_again", ""):
            self._again[again] = None
        if test := getattr(report, "bench_test", ""):
            known = self._tests.get(report.nodeid)
            if known is None or known.outcome == "passed":
                self._tests[report.nodeid] = Test.model_validate_json(test)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - pytest-xdist has no types
        """Take over what a worker left out; each collects all the tests, so that all leave out the same."""
        self._deselected = max(self._deselected, getattr(node, "workeroutput", {}).get(DESELECTED, 0))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the evidence; a worker leaves that to its master."""
        config = session.config
        if hasattr(config, "workeroutput"):
            config.workeroutput[DESELECTED] = self._deselected
        elif self._file:
            took_ms = round((datetime.now(UTC) - self._began_at).total_seconds() * 1_000)
            suite = " ".join(map(str, config.args))
            tests = tuple(self._tests.values())
            run = run_of(
                self._bench, suite, config.rootpath, self._began_at, took_ms, self._deselected, int(exitstatus), tests
            )
            self._file.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how each failure is done again."""
        if self._again:
            terminalreporter.section("to do it again")
            for line in self._again:
                terminalreporter.write_line(line)
