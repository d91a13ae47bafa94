"""What a report concludes: the verdict, the gaps of the matrix, quantiles, the difference to a baseline, JUnit XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from hil.evidence import Injection, Run
from hil.report.figures import Changed, Figures, Moved, changed, figures, moved
from hil.report.junit import junit
from hil.report.kills import Kills, Mutant
from hil.report.matrix import Hazard, Requirements, Row, Rule, matrix, named, natural, silent
from hil.report.verdict import Verdict, judge
from tests.hil.runs import case_of, measured, run_of

pytestmark = pytest.mark.hazard("H35")

GOOD, BAD = case_of("test_good"), case_of("test_bad", outcome="failed")


@pytest.mark.parametrize(
    ("run", "passed", "words"),
    [
        (run_of(GOOD), True, "Passed: 1 of 1 tests, 0 skipped."),
        (run_of(GOOD, case_of("test_s", outcome="skipped")), True, "Passed: 1 of 2 tests, 1 skipped."),
        (run_of(), False, "Failed: no test was run."),
        (run_of(case_of("test_s", outcome="skipped")), False, "Failed: all of 1 tests were skipped."),
        (run_of(GOOD, BAD), False, "Failed: of 2 tests 1 failed."),
        (
            run_of(GOOD, BAD, case_of("test_e", outcome="error")),
            False,
            "Failed: of 3 tests 1 failed, 1 could not be run (error).",
        ),
        (
            run_of(GOOD, case_of("test_s", outcome="skipped", first_cause="no answer")),
            False,
            "Failed: of 2 tests 1 met a broken bench. First cause: no answer",
        ),
        (
            run_of(case_of(measurements=(measured(99), measured(101)))),
            False,
            "Failed: of 1 tests 1 measurements of passed tests lie beyond their limits.",
        ),
        (run_of(GOOD, exit_status=1), False, "Failed: no test failed, but pytest ended with status 1."),
    ],
)
def test_what_is_not_shown_to_be_well_is_not_well(run: Run, passed: bool, words: str):
    assert judge(run) == Verdict(passed, words)


# The matrix


REQUIRED = Requirements(
    hazards=(Hazard(id="H01", rules=("G01", "G02")), Hazard(id="H02", rules=("G02",)), Hazard(id="H03")),
    rules=(Rule(id="G01"), Rule(id="G02"), Rule(id="G03")),
)


def test_every_gap_of_the_matrix_is_told():
    one, two, three = case_of("t1", "G01"), case_of("t2", "G02", "failed"), case_of("t3", "G02", "skipped")
    own, late = case_of("t4", "H03"), case_of("t5", "G03")
    assert matrix(run_of(one, two, three, own, late), REQUIRED) == [
        Row("H01", "G01", (one,), ()),
        Row("H01", "G02", (two, three), ("1 failed", "1 skipped")),
        Row("H02", "G02", (two, three), ("1 failed", "1 skipped")),
        Row("H03", "", (own,), ("no rule stands against it",)),
        Row("", "G03", (late,), ("stands against no hazard",)),
    ]
    assert matrix(run_of(), REQUIRED) == [
        Row("H01", "G01", (), ("no test",)),
        Row("H01", "G02", (), ("no test",)),
        Row("H02", "G02", (), ("no test",)),
        Row("H03", "", (), ("no rule stands against it", "no test")),
        Row("", "G03", (), ("stands against no hazard", "no test")),
    ]


def test_evidence_for_a_hazard_itself_stands_beside_that_of_its_rules():
    both, own = case_of("t1", "H02 G02"), case_of("t2", "H02")
    rows = [row for row in matrix(run_of(both, own), REQUIRED) if row.hazard == "H02"]
    assert rows == [Row("H02", "G02", (both,), ()), Row("H02", "", (own,), ())]


def test_an_error_is_a_gap():
    failing = case_of("t1", "G01", "error")
    assert matrix(run_of(failing), REQUIRED)[0] == Row("H01", "G01", (failing,), ("1 error",))


def test_what_nobody_required_is_told():
    odd = case_of("t1", "H99 G10 G9")
    assert matrix(run_of(odd), REQUIRED)[-3:] == [
        Row("H99", "", (odd,), ("is not required",)),
        Row("", "G9", (odd,), ("is not required",)),
        Row("", "G10", (odd,), ("is not required",)),
    ]


def test_without_a_list_the_markers_make_the_rows():
    run = run_of(case_of("t1", "H10 G02 G01"), case_of("t2", "H9"), case_of("t3", "X3"))
    assert named(run) == Requirements(
        hazards=(Hazard(id="H9"), Hazard(id="H10", rules=("G01", "G02"))),
        rules=(Rule(id="G01"), Rule(id="G02"), Rule(id="X3")),
    )
    assert [(row.hazard, row.rule, row.gaps) for row in matrix(run, named(run))] == [
        ("H9", "", ("no rule stands against it",)),
        ("H10", "G01", ()),
        ("H10", "G02", ()),
        ("", "X3", ("stands against no hazard",)),
    ]


def test_a_suite_without_any_rule_has_hazards_and_tests():
    one = case_of("t1", "H01")
    assert matrix(run_of(one), named(run_of(one))) == [Row("H01", "", (one,), ())]
    assert matrix(run_of(), Requirements(hazards=(Hazard(id="H01"),))) == [Row("H01", "", (), ("no test",))]


def test_a_test_that_names_nothing_is_told():
    nothing = case_of("t1", "")
    assert silent(run_of(nothing, case_of("t2", "H01"), case_of("t3", "G01"))) == [nothing]


def test_ids_are_sorted_as_people_count():
    assert sorted(["X10", "X2", "M06", "G29", "X2b"], key=natural) == ["G29", "M06", "X2", "X2b", "X10"]


@pytest.mark.parametrize(
    "text", ['{"hazard": []}', '{"version": 2}', '{"format": "other"}', "[]", "", '{"hazards": [{}]}']
)
def test_what_is_no_list_of_requirements_is_refused(text: str):
    with pytest.raises(ValidationError):
        Requirements.model_validate_json(text)


# Figures


@pytest.mark.parametrize(
    ("many", "ranks"),
    [
        (1, (1, 1, 1, 1, 1)),
        (2, (1, 1, 2, 2, 2)),
        (100, (1, 50, 99, 100, 100)),
        (1_000, (1, 500, 990, 999, 1_000)),
        (2_001, (1, 1_001, 1_981, 1_999, 2_001)),
    ],
)
def test_a_quantile_is_a_value_that_was_measured(many: int, ranks: tuple[int, ...]):
    of = Figures("a", "ms", tuple(range(1, many + 1)), (), 0)
    assert tuple(of.quantile(per_mille) for per_mille in (0, 500, 990, 999, 1000)) == ranks


def test_figures_of_one_name_and_unit_are_brought_together():
    free = measured(7, "charge").model_copy(update={"limit": "none", "high": None, "unit": "nC"})
    run = run_of(
        case_of("t1", measurements=(measured(50), free)),
        case_of("t2", measurements=(measured(120), measured(30, at_most=40), measured(40))),
    )
    assert figures(run) == [
        Figures("charge", "nC", (7,), (), 0),
        Figures("stop latency", "ms", (30, 40, 50, 120), ((None, 100), (None, 40)), 1),
    ]


# The baseline


def test_tests_that_ended_otherwise():
    before = run_of(case_of("same"), case_of("worse"), case_of("gone"))
    now = run_of(case_of("new"), case_of("worse", outcome="failed"), case_of("same"))
    assert changed(before, now) == [
        Changed("test_x.py::new", None, "passed"),
        Changed("test_x.py::worse", "passed", "failed"),
        Changed("test_x.py::gone", "passed", None),
    ]
    assert changed(before, before) == []


@pytest.mark.parametrize(
    ("old", "new", "is_moved"),
    [
        ((50,), (50,), False),
        ((50,), (55,), False),
        ((50,), (55.5,), True),
        ((50,), (44,), True),
        ((0,), (0,), False),
        ((0,), (0.1,), True),
        ((-50,), (-54,), False),
        ((99,), (101,), True),
        ((50, 60), (50, 60), False),
        ((50, 60), (50, 70), True),
        ((50, 60), (60, 50), True),
        ((50,), (), True),
        ((), (50,), True),
    ],
)
def test_figures_that_moved(old: tuple[float, ...], new: tuple[float, ...], is_moved: bool):
    before, now = (run_of(case_of(measurements=tuple(map(measured, values)))) for values in (old, new))
    assert bool(moved(before, now)) is is_moved


def test_a_figure_that_moved_is_told_with_its_test():
    before = run_of(case_of("t1", measurements=(measured(50),)), case_of("gone", measurements=(measured(50),)))
    now = run_of(case_of("t1", measurements=(measured(60),)), case_of("new", measurements=(measured(50),)))
    assert moved(before, now) == [Moved("test_x.py::t1", "stop latency", "ms", measured(50), measured(60))]


# Mutants


def test_mutants_are_read_in_either_shape():
    text = json.dumps(
        {
            "format": "stimwarden-hil kills",
            "version": 1,
            "mutants": [{"id": "a", "killed_by": "t1"}, {"id": "b", "text": "lost stop", "killed_by": None}],
        }
    )
    kills = Kills.model_validate_json(text).root
    assert kills.alive == (Mutant(id="b", text="lost stop", killed_by=None),)
    assert Kills.model_validate_json('{"mutation": {"killed": 12}}').root == {"mutation": {"killed": 12}}


@pytest.mark.parametrize("text", ["[]", '{"mutation": 12}', '{"format": "stimwarden-hil kills", "mutants": []}', "{"])
def test_what_is_no_list_of_mutants_is_refused(text: str):
    with pytest.raises(ValidationError):
        Kills.model_validate_json(text)


# JUnit XML


def test_junit_has_rules_and_hazards_as_properties():
    run = run_of(
        case_of("test_a[x::y]", "H01 G01 G02", injections=(Injection(fault="peel", at_us=1),), took_ms=20),
        case_of("test_b", "", "failed", failure="trace\nE  assert 1\x00 == 2 & <3>", reproduce="pytest x"),
        case_of("test_c", outcome="error", measurements=(measured(50),)),
        case_of("test_d", outcome="skipped", first_cause="no answer"),
        is_dev=True,
    )
    suite = ET.fromstring(junit(run)).find("testsuite")  # noqa: S314 - our own text
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "suite", "tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "1.500",
    }  # fmt: skip
    assert suite.get("timestamp") == "2026-03-04T05:06:07+00:00"
    facts = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
    assert facts["evidence"] == "no, made with --dev"
    cases = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("test_x.py", "test_a[x::y]"), ("test_x.py", "test_b"), ("test_x.py", "test_c"), ("test_x.py", "test_d"),
    ]  # fmt: skip
    properties = [
        [(each.get("name"), each.get("value")) for each in case.findall("properties/property")] for case in cases
    ]
    assert properties == [
        [("rule", "G01"), ("rule", "G02"), ("hazard", "H01"), ("fault", "peel")],
        [],
        [("rule", "G01"), ("hazard", "H01"), ("measured.stop latency", "50 ms")],
        [("rule", "G01"), ("hazard", "H01")],
    ]
    assert [[child.tag for child in case if child.tag != "properties"] for case in cases] == [
        [], ["failure", "system-out"], ["error"], ["skipped"],
    ]  # fmt: skip
    failure = cases[1].find("failure")
    assert (failure.get("message"), failure.text) == (
        "E  assert 1#x00 == 2 & <3>",
        "trace\nE  assert 1#x00 == 2 & <3>",
    )
    assert cases[1].find("system-out").text == "pytest x"
    assert cases[3].find("skipped").get("message") == "no answer"
