"""The judgement over a mutation run: nothing that lives unexplained, no stale explanation, no blind runner passes."""

from __future__ import annotations

import pytest

from tests.proof.judge import KILLED, SURVIVED, TIMED_OUT, Outcome
from tests.proof.mutants import Mutant, load
from tests.proof.mutation import EXPLAINED, Book, book, objections, sampled, survivors
from tests.proof.result import Result, table
from tests.proof.run import STAGES, page, proved

pytestmark = pytest.mark.rule("X12")

REVIEWED = Book({"lives": "because nobody can see it"}, ("bad",), ("lives",), frozenset({"safety/a.py"}))


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
