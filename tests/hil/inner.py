"""Suites that are run by the tests of the plugin, as a user would run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hil.evidence import Run, Test

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

HEAD = """
import asyncio, time
import pytest
from hil.body import Skin
from hil.measure import count, mA, ms, uA
from hil.stand import Plan
from tests.hil.far import Talk

@pytest.fixture
def bench_plan():
    return Plan(channels=2, skins=[Skin(hydration=0.0, yield_ma_cm2=None)] * 2)
"""
"""Every inner suite begins with this: `Talk` is its controller."""


class Inner:
    """One suite, and what became of it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makefile(".ini", pytest=INI)

    def run(self, body: str, *options: str, name: str = "test_inner") -> pytest.RunResult:
        """Write the suite and run it in this process."""
        self.pytester.makepyfile(**{name: HEAD + body})
        return self.pytester.runpytest_inprocess("-p", "no:cacheprovider", "-ra", *options)

    def evidence(self, body: str, *options: str) -> Run:
        """Run the suite, and read what it left."""
        return self.evidence_at(self.path / "evidence.json", body, *options)

    def evidence_at(self, file: Path, body: str, *options: str) -> Run:
        """The same, where the file is to lie elsewhere."""
        self.run(body, f"--bench-evidence={file}", *options)
        return read(file)

    def only(self, body: str, *options: str) -> Test:
        """The evidence of a suite of one test."""
        (test,) = self.evidence(body, *options).tests
        return test


def read(path: Path) -> Run:
    """Evidence from its file; it is what its models say, and JSON that anybody reads."""
    text = path.read_text(encoding="utf-8")
    run = Run.model_validate_json(text)
    assert json.loads(text) == json.loads(run.model_dump_json())
    return run


def properties(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The properties of each test in a JUnit file."""
    found: dict[str, Any] = {}
    for case in ET.parse(path).iter("testcase"):  # noqa: S314 - of our own making
        found[case.attrib["name"]] = [(one.attrib["name"], one.attrib["value"]) for one in case.iter("property")]
    return found
