"""A run in which nothing happened is no success."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from controller.virtual import staff
from hil.faults import FAULTS
from hil.simulate import tally
from hil.simulate.draw import CANNOT

pytestmark = pytest.mark.hazard("H35")
STAFF = staff("ward")
HOUR = 3_600_000
GOOD = Counter(
    {"open ms": 20 * HOUR, "running ms": 6 * HOUR, "plain ms": 3 * HOUR, "plain sessions": 100}
    | {"plain sessions completed": 95, "nuisance": 1, "sessions": 200, "crashes": 3}
    | {f"fault {name}": 1 for name in FAULTS if name not in CANNOT}
    | {f"rule {rule}": 20 for rule in STAFF.rules if rule not in STAFF.beyond}
)  # fmt: skip


def without(name: str, count: int) -> list[str]:
    return [line.what for line in tally.lines(Counter({**GOOD, name: count}), STAFF) if not line.holds]


def test_what_has_seen_enough_holds_everywhere():
    assert [line.what for line in tally.lines(GOOD, STAFF) if not line.holds] == []


@pytest.mark.parametrize(
    ("name", "count", "what"),
    [
        ("open ms", 20 * HOUR - 1, "hours of a bed"),
        ("running ms", 6 * HOUR - 1, "running"),
        ("plain sessions completed", 94, "plain sessions completed"),
        ("nuisance", 2, "nuisance trips"),
        ("fault snap_off", 0, "kinds of fault"),
        ("rule G01", 19, "rules that won 20 times"),
    ],
)
def test_each_requirement_fails_by_one(name: str, count: int, what: str):
    assert without(name, count) == [what]


def test_twice_the_clean_hours_allow_two_trips():
    assert [
        line.what
        for line in tally.lines(Counter({**GOOD, "nuisance": 2, "plain ms": 40 * HOUR}), STAFF)
        if not line.holds
    ] == []


def test_a_run_without_anything_fails():
    assert {line.what for line in tally.lines(Counter(), STAFF) if not line.holds} >= {
        "hours of a bed", "plain sessions completed", "kinds of fault", "rules that won 20 times",
    }  # fmt: skip


def test_the_table_says_what_is_missing_and_what_is_not_required():
    out = io.StringIO()
    seen = Counter({**GOOD, "fault snap_off": 0, "rule G01": 3})
    tally.show(Console(file=out, width=200), seen, STAFF, tally.lines(seen, STAFF))
    text = out.getvalue()
    assert "not snap_off" in text
    assert "not G01 (3)" in text
    for rule, why in STAFF.beyond.items():
        assert f"not required: {rule}: {why}" in text
    assert f"not injected: memory_pressure: {CANNOT['memory_pressure']}" in text


def test_faults_and_crashes_are_counted():
    assert tally.faults(Counter({"fault drop": 3, "fault pull": 2, "crashes": 4, "sessions": 7})) == 9
