"""Runs made by hand, for tests of the report."""

from __future__ import annotations

from datetime import UTC, datetime

from hil.evidence import Bench, Channel, Environment, Injection, Measurement, Run, Step, Test
from hil.scope import Trace

BEGIN_US = 5_000_000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def case_of(name: str = "test_a", marks: str = "H01 G01", outcome: str = "passed", **more: object) -> Test:
    ids = marks.split()
    values = {
        "id": f"test_x.py::{name}",
        "hazards": tuple(id_ for id_ in ids if id_.startswith("H")),
        "rules": tuple(id_ for id_ in ids if not id_.startswith("H")),
        "outcome": outcome,
    }
    return Test(**(values | more))


def run_of(*tests: Test, scope: str = "emulator", is_dev: bool = False, **more: object) -> Run:
    values = {
        "suite": "suite",
        "began_at": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
        "took_ms": 1_500,
        "seed": 4,
        "is_dev": is_dev,
        "environment": Environment(commit=COMMIT, is_clean=not is_dev, versions={"pytest": "9.0"}, clock="virtual"),
        "bench": Bench(kind="virtual", url="virtual", device="native", scope=scope),
        "tests": tests,
    }
    return Run(**(values | more))


def measured(value: float, name: str = "stop latency", at_most: float = 100) -> Measurement:
    return Measurement(name=name, value=value, unit="ms", limit="at_most", high=at_most, passed=value <= at_most)


def pulse(at_ms: float, ua: int, second_ua: int | None = None) -> Trace:
    """A pulse of 300 us a phase, so many milliseconds after the test began."""
    second = ua if second_ua is None else second_ua
    return Trace(BEGIN_US + round(at_ms * 1000), ua, second, (ua + second) * 0.3, (ua - second) * 0.3)


def step(at_ms: float, ua: int) -> Step:
    return Step(BEGIN_US + round(at_ms * 1000), ua)


def peel(from_ms: float, until_ms: float | None, fault: str = "peel", **settings: int) -> Injection:
    until_us = None if until_ms is None else BEGIN_US + round(until_ms * 1000)
    return Injection(fault=fault, settings=settings, at_us=BEGIN_US + round(from_ms * 1000), until_us=until_us)


def channel(
    *pulses: Trace, limit_ua: int | None = 30_000, commanded: tuple[Step, ...] = (), dropped: int = 0
) -> Channel:
    return Channel(number=1, pulses=pulses, commanded=commanded, limit_ua=limit_ua, dropped=dropped)
