"""The recorder of conditions sees what it should, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.proof.conditions import Record, equipped, flips, instrumented, objections

pytestmark = pytest.mark.rule("X12")

SOURCE = """
def judge(low, value, high, is_open, latches):
    if low <= value <= high and not is_open:
        return "allow"
    return "refuse" if latches or is_open else "hold"

def named(found):
    return found or "nothing"

def kept(found):
    return [each for each in found if each and each > 1]
"""


def recorded(*calls: tuple[object, ...]) -> Record:
    """Run `judge` of SOURCE under a recorder."""
    record = Record()
    room: dict[str, object] = dict(equipped(record))
    exec(compile(instrumented(SOURCE, "judge.py", record), "judge.py", "exec"), room)  # noqa: S102 - the text above
    judge, kept, named = room["judge"], room["kept"], room["named"]
    assert callable(judge)
    assert callable(kept)
    assert callable(named)
    for call in calls:
        judge(*call)
    kept([0, 1, 2])
    assert named("") == "nothing"
    return record


ALL = (
    (1, 2, 3, False, False), (3, 2, 3, False, False), (1, 4, 3, False, True), (1, 2, 3, True, False),
)  # fmt: skip


def test_the_conditions_of_each_decision_are_found_in_the_order_in_which_they_are_asked() -> None:
    assert [(each.function, each.conditions) for each in recorded().decisions] == [
        ("judge", ("low <= value", "value <= high", "is_open")),
        ("judge", ("latches", "is_open")),
        ("kept", ("each", "each > 1")),
    ]


def test_cases_that_flip_each_condition_alone_leave_nothing_open() -> None:
    assert recorded(*ALL).unshown() == {}


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        (0, ["low <= value", "value <= high", "is_open"]),
        (1, ["low <= value", "latches", "is_open"]),
        (2, ["value <= high", "latches"]),
        (3, ["is_open", "is_open"]),
    ],
)
def test_a_case_that_is_missing_leaves_its_condition_open(left_out: int, missing: list[str]) -> None:
    cases = [case for number, case in enumerate(ALL) if number != left_out]
    assert recorded(*cases).unshown() == {"judge.py:judge": missing}


def test_what_two_processes_have_seen_is_laid_together_and_shows_what_neither_has_shown() -> None:
    together = Record()
    for part in (ALL[:2], ALL[2:]):
        share = recorded(*part)
        assert share.unshown() != {}
        together.add(json.loads(json.dumps(share.written())))
    assert together.unshown() == {}
    assert together.decisions == recorded().decisions


def test_two_decisions_of_one_line_are_two() -> None:
    record = Record()
    instrumented("found = [1 if a else 2, 1 if a else 2]", "line.py", record)
    share = Record()
    share.add(json.loads(json.dumps(record.written())))
    assert share.decisions == record.decisions
    assert len(share.decisions) == 2


def test_the_recorded_code_does_what_the_source_does() -> None:
    plain: dict[str, object] = {}
    exec(SOURCE, plain)  # noqa: S102 - the text above
    record = Record()
    room: dict[str, object] = dict(equipped(record))
    exec(compile(instrumented(SOURCE, "judge.py", record), "judge.py", "exec"), room)  # noqa: S102
    cases = [(1, value, 3, is_open, latches) for value in range(5) for is_open in (0, 1) for latches in ((), (1,))]
    judged = [[where["judge"](*case) for case in cases] for where in (plain, room)]  # type: ignore[operator]
    assert judged[0] == judged[1]


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ({((True, None), True), ((False, True), False)}, True),
        ({((True, True), True), ((False, False), False)}, False),
        ({((True, True), True), ((False, True), True)}, False),
        ({((True, True), True)}, False),
    ],
)
def test_a_condition_is_shown_only_where_nothing_else_differs(
    seen: set[tuple[tuple[bool | None, ...], bool]], shown: bool
) -> None:
    assert flips(0, seen) is shown


def test_an_open_condition_and_an_idle_excuse_are_both_objected_to() -> None:
    found = objections({"a.py:f": ["x", "y"]}, {"a.py:f": {"y": "why"}, "b.py:g": {"z": "why"}})
    assert found == ["a.py:f: `x` never flipped its decision alone", "b.py:g: `z` is excused and needs no excuse"]
