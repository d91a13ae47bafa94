"""The judgement over a mutation run: nothing that lives unexplained, no stale explanation, no blind runner passes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.proof import judge, mutation
from tests.proof.judge import CRASHED, KILLED, SURVIVED, TIMED_OUT, Outcome, Seen
from tests.proof.mutants import ROOT, Mutant, load
from tests.proof.mutation import EXPLAINED, Book, Stamps, book, known, log_file, objections, run, sampled, survivors
from tests.proof.result import Result, table
from tests.proof.run import STAGES, page, proved

pytestmark = [pytest.mark.rule("X12"), pytest.mark.timeout(600)]

REVIEWED = Book({"lives": "because nobody can see it"}, ("bad",), ("lives",), frozenset({"safety/a.py"}), {})


FATIGUE = "tests/safety/test_safety_fatigue.py"
AT_IMPORT = f"""
from tests.proof.judge import judge_imports
from tests.proof.mutants import load
rooms = load()
edited = next(each for each in rooms["safety/fatigue.py"].mutants() if each.key.endswith("50 in STEP_MS = 50 => 51"))
pool = [edited._replace(key="shipped", edit=None), edited._replace(key="mutated")]
found = []
judge_imports(pool, rooms, 1, ["{FATIGUE}"], found.append)
for each in found:
    print(each.mutant.key, each.verdict, each.by.partition("::")[0])
"""


def mutant(key: str, path: str = "safety/a.py", function: str = "f") -> Mutant:
    return Mutant(key, path, function, "constant", 1, 1, 0)


def outcomes(**verdicts: str) -> list[Outcome]:
    return [Outcome(mutant(key), verdict) for key, verdict in ({"lives": SURVIVED, "bad": KILLED} | verdicts).items()]


def test_a_run_in_which_all_is_as_reviewed_has_no_objection():
    assert objections(outcomes(other=KILLED, slow=TIMED_OUT), REVIEWED, complete=True) == []


@pytest.mark.parametrize(
    ("verdicts", "objection"),
    [
        ({"other": SURVIVED}, "survives and is not explained: other"),
        ({"bad": SURVIVED}, "canary should die, and is survived: bad"),
        ({"bad": TIMED_OUT}, "canary should die, and is timed out: bad"),
        ({"lives": KILLED}, "canary should live, and is killed: lives"),
        ({"lives": KILLED}, "explained as a survivor, but killed: lives"),
    ],
)
def test_what_is_not_as_reviewed_is_an_objection(verdicts: dict[str, str], objection: str):
    assert objection in objections(outcomes(**verdicts), REVIEWED, complete=True)


def test_an_explanation_of_a_mutant_that_is_gone_is_an_objection_of_the_full_run_only():
    gone = REVIEWED._replace(survivors=REVIEWED.survivors | {"gone": "it was explained once"})
    assert objections(outcomes(), gone, complete=False) == []
    assert objections(outcomes(), gone, complete=True) == ["explained as a survivor, but not there: gone"]


def test_an_explanation_must_say_something_and_be_the_only_one():
    empty = 'settled = []\n[canaries]\ndie = []\nlive = []\n[[survivor]]\nkey = "k"\nwhy = "equivalent"\n'
    with pytest.raises(ValueError, match="no explanation worth the name"):
        book(empty)
    with pytest.raises(ValueError, match="explained twice"):
        book(empty + '[[survivor]]\nkey = "k"\nwhy = "equivalent, because it is rounded"\n')


def test_an_entry_may_say_why_another_step_cannot_be_seen():
    entry = '[[survivor]]\nkey = "k"\nwhy = "equivalent, because it is rounded"\ndiffers = "nobody reads that field"\n'
    assert book(f"settled = []\n[canaries]\ndie = []\nlive = []\n{entry}").differs == {"k": "nobody reads that field"}


# A run that was interrupted

EXACT, OTHER = "tests/safety/test_safety_units.py", "tests/safety/test_safety_dose.py"


def test_only_verdicts_of_a_test_stand_and_neither_canaries_nor_broken_lines(tmp_path: Path):
    stamps = Stamps([EXACT, OTHER])
    said = [
        ["a", KILLED, f"{EXACT}::t", stamps.of[EXACT]], ["b", SURVIVED, "", stamps.all], ["c", TIMED_OUT, "", ""],
        ["d", CRASHED, "", ""], ["gone", KILLED, f"{EXACT}::t", stamps.of[EXACT]],
        ["bad", KILLED, f"{EXACT}::t", stamps.of[EXACT]],
    ]  # fmt: skip
    file = tmp_path / "verdicts"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in said) + '["e", "kil')
    pool = [mutant(key) for key in ("a", "b", "c", "d", "e", "bad")]
    assert known(file, pool, {"bad"}, stamps) == [
        Outcome(pool[0], KILLED, f"{EXACT}::t"), Outcome(pool[1], SURVIVED),
    ]  # fmt: skip


def test_a_kill_stands_as_long_as_its_test_is_the_same_and_a_survival_as_long_as_all_are(tmp_path: Path):
    stamps, pool = Stamps([EXACT, OTHER]), [mutant("a"), mutant("b"), mutant("c"), mutant("d")]
    outcomes = [
        Outcome(pool[0], KILLED, f"{EXACT}::t"), Outcome(pool[1], KILLED, f"{OTHER}::t"), Outcome(pool[2], SURVIVED),
        Outcome(pool[3], KILLED, "tests/safety/test_gone.py::t"),
    ]  # fmt: skip
    file = tmp_path / "verdicts"
    rows = [[each.mutant.key, each.verdict, each.by, stamps.under(each)] for each in outcomes]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert known(file, pool, (), stamps) == outcomes[:3]
    changed = Stamps([EXACT, OTHER])
    changed.of[OTHER] = changed.all = "another state"
    assert known(file, pool, (), changed) == outcomes[:1]


def test_verdicts_on_other_code_are_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = log_file(tmp_path)
    file.write_text("{}\n")
    assert log_file(tmp_path) == file
    assert file.exists()
    runner = tmp_path / "runner.py"
    runner.write_text("another runner")
    monkeypatch.setattr(mutation, "RUNNER", (*mutation.RUNNER, str(runner)))
    assert log_file(tmp_path) != file
    assert not file.exists()
    assert {(ROOT / each).is_file() for each in mutation.RUNNER} == {True}


def test_a_run_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pool = [mutant("canary"), mutant("first"), mutant("table", function=""), mutant("last")]
    tried: list[str] = []

    def judged(mutants: Sequence[Mutant], done: judge.Done) -> None:
        for each in mutants:
            if each.key == "last" and "last" not in tried:
                tried.append("last")
                raise KeyboardInterrupt
            tried.append(each.key)
            done(Outcome(each, KILLED, f"{EXACT}::t"))

    def judged_at_import(mutants: Sequence[Mutant], *others: object) -> None:
        judged(mutants, others[-1])  # type: ignore[arg-type]

    def judged_inside(mutants: Sequence[Mutant], *others: object) -> Seen:
        judged(mutants, others[-2])  # type: ignore[arg-type]
        return Seen({}, {}, ())

    monkeypatch.setattr(judge, "judge_imports", judged_at_import)
    monkeypatch.setattr(judge, "judge_functions", judged_inside)
    file = tmp_path / "verdicts"
    with pytest.raises(KeyboardInterrupt):
        run(pool, {}, [], 1, file, {"canary"})
    found = run(pool, {}, [], 1, file, {"canary"})
    assert tried == ["table", "canary", "first", "last", "canary", "last"]
    assert [each.mutant.key for each in found] == ["canary", "first", "last", "table"]


def test_what_runs_at_import_is_judged_with_everything_imported_anew():
    """One mutant that the test of its module sees, and a module as it is shipped, which no test may see."""
    found = subprocess.run(
        [sys.executable, "-c", AT_IMPORT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert found == ["shipped", SURVIVED, "mutated", KILLED, FATIGUE]


def test_a_sample_holds_the_canaries_and_nothing_unsettled_or_explained():
    pool = [mutant("lives"), mutant("bad"), mutant("x"), mutant("y", "safety/b.py"), mutant("z", function="")]
    assert [each.key for each in sampled(pool, REVIEWED)] == ["lives", "bad", "x", "z"]


def test_the_reviewed_list_names_mutants_that_are_there():
    reviewed = book(EXPLAINED.read_text(encoding="utf-8"))
    there = {each.key for room in load().values() for each in room.mutants()}
    assert {*reviewed.survivors, *reviewed.must_die, *reviewed.must_live} <= there
    assert set(reviewed.must_live) <= reviewed.survivors.keys()


def test_a_survivor_without_an_explanation_is_marked_in_the_file():
    assert survivors(outcomes(other=SURVIVED), REVIEWED)[2:] == [
        "- `lives`: because nobody can see it",
        "- `other`: **not explained**",
    ]


def test_a_stage_that_breaks_is_wrong():
    assert proved("tests.proof.nowhere", quick=True).wrong
    assert len({stage.name for stage in STAGES}) == len(STAGES)


def test_the_page_holds_figures_and_lines_of_each_stage():
    text = page({"walk": Result("walk", {"states": 12_021}, table(["a"], [["b|c"]]), [])})
    assert "## walk\n\n- states: 12,021\n\n| a |\n| --- |\n| b\\|c |\n" in text
