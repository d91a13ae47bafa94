"""tests/proof/traced.py: a hazard without a test that passes is seen, and so is a rule that nothing implements."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.traced import evidence, judged, passing
from tests.safety_case.case import Case, assemble
from tests.safety_case.collect import Evidence

SAMPLE = """
import pytest

def test_good():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_half(number):
    assert number == 1

@pytest.fixture
def broken():
    raise RuntimeError

def test_never(broken):
    pass
"""


def case(*tests: Evidence) -> Case:
    return assemble(list(tests), {})


def test_what_passes_in_all_of_its_cases_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "test_sample_of_traced.py").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    name = "test_sample_of_traced.py"
    assert passing([f"{name}::test_good", f"{name}::test_half", f"{name}::test_never"]) == {f"{name}::test_good"}


def test_the_tests_of_the_core_come_first_and_few_are_taken():
    found = case(
        Evidence("tests/hil/test_b.py", "test_2", ("H04",)),
        Evidence("tests/other/test_e.py", "test_5", ("H04",)),
        Evidence("tests/safety/test_a.py", "test_1", ("H04", "M09")),
        Evidence("tests/scenarios/test_c.py", "test_3", ("H04",)),
        Evidence("tests/safety/test_d.py", "test_4", ("M09",)),
    )
    assert evidence(found, "H04") == [
        "tests/safety/test_a.py::test_1", "tests/hil/test_b.py::test_2", "tests/scenarios/test_c.py::test_3",
    ]  # fmt: skip


def test_a_hazard_without_tests_of_its_own_has_those_of_its_rules():
    found = case(Evidence("tests/safety/test_d.py", "test_4", ("M09",)))
    assert evidence(found, "H04") == ["tests/safety/test_d.py::test_4"]
    assert evidence(found, "H01") == []


def test_figures_of_a_whole_case():
    result = judged({"H01": ["a::t"], "H02": ["a::t", "b::u"]}, {"a::t", "b::u"}, (), 90)
    assert result.wrong == []
    assert result.figures == {
        "rules in the table": 90, "rules implemented": 90, "hazards": 2, "hazards whose tests pass": 2,
    }  # fmt: skip
    assert result.lines[2:] == ["| H01 | `t` |", "| H02 | `t`, `u` |"]


def test_each_gap_is_told():
    result = judged({"H01": [], "H02": ["a::t", "b::u"]}, {"a::t"}, ("G01 judges nothing",), 90)
    assert result.wrong == ["not implemented: G01 judges nothing", "H01: no test", "H02: did not pass: b::u"]
    assert (result.figures["rules implemented"], result.figures["hazards whose tests pass"]) == (89, 0)
