"""The faults that are planted: each kind is made, none is made where it would mean nothing, and the source stays."""

from __future__ import annotations

import ast

import pytest

from tests.proof.judge import own_tests, verdict
from tests.proof.mutants import Module, code_of, dotted, load

pytestmark = pytest.mark.rule("X12")

SOURCE = '''
"""Words about a module."""
LIMIT = 5
def made(n: int) -> int:
    return n
TABLE = (made(1), made(2))
def judge(a: int, b: int = 7) -> bool:
    """Words about a function."""
    if a < b and not a == 3:
        raise ValueError("words of an exception")
    return min(a, LIMIT) + 1 > b
'''


def keys(source: str = SOURCE) -> set[str]:
    return {each.key for each in Module("safety/room.py", source, {}).mutants()}


def test_each_kind_of_fault_is_made_and_named_by_what_it_changes():
    assert {
        "safety/room.py (import): 5 in LIMIT = 5 => 6",
        "safety/room.py (import): 7 in a: int, b: int=7 => 8",
        "safety/room.py (import): (made(1), made(2)) => without made(1)",
        "safety/room.py judge: a < b => a <= b",
        "safety/room.py judge: a < b => a >= b",
        "safety/room.py judge: a < b and (not a == 3) => a < b or not a == 3",
        "safety/room.py judge: a < b and (not a == 3) => a < b",
        "safety/room.py judge: a < b and (not a == 3) => True",
        "safety/room.py judge: not a == 3 => a == 3",
        "safety/room.py judge: min(a, LIMIT) => max(a, LIMIT)",
        "safety/room.py judge: min(a, LIMIT) + 1 => min(a, LIMIT) - 1",
        "safety/room.py judge: 1 in min(a, LIMIT) + 1 => 0",
        "safety/room.py judge: return min(a, LIMIT) + 1 > b => return None",
    } <= keys()


def test_words_and_types_are_left_alone():
    assert not [key for key in keys() if "words" in key.lower() or "int'" in key]


def test_a_function_that_runs_at_import_is_judged_with_the_import():
    kinds = {each.key: each.function for each in Module("safety/room.py", SOURCE, {}).mutants()}
    assert kinds["safety/room.py made: return n => return None"] == ""
    assert kinds["safety/room.py judge: a < b => a <= b"] == "judge"


def test_a_key_stays_when_lines_are_put_before_it():
    assert keys(SOURCE) == keys("\n\n\n" + SOURCE)


def test_each_mutant_compiles_to_other_code_and_the_tree_is_left_as_it_was():
    module = Module("safety/room.py", SOURCE, {})
    before, shipped = ast.dump(module.tree), module.compiled()
    for each in module.mutants():
        assert module.compiled(each.edit) != shipped
    assert ast.dump(module.tree) == before
    assert code_of(shipped, "judge") is not None
    assert code_of(shipped, "nobody") is None


def test_every_module_of_the_core_has_mutants_and_no_two_share_a_key():
    mutants = [each for room in load().values() for each in room.mutants()]
    assert len({each.key for each in mutants}) == len(mutants)
    assert {"safety/machine.py", "safety/units.py", "safety/rules/pulse.py"} <= {each.path for each in mutants}


def test_a_module_owns_the_test_files_of_its_name():
    files = [f"tests/safety/test_safety_{name}.py" for name in ("dose", "dose_exact", "turn", "golden")]
    assert own_tests("safety/dose.py", files) == files[:2]
    assert dotted("safety/rules/__init__.py") == "safety.rules"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (10 << 8, "killed"),
        (11 << 8, "survived"),
        (27, "timed out"),
        (14, "timed out"),
        (11, "crashed"),
        (1 << 8, "crashed"),
    ],
)
def test_how_a_child_ends_says_what_became_of_the_mutant(status: int, said: str):
    assert verdict(status) == said
