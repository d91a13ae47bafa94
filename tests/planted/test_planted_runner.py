"""The runner: what is no defect is refused, what changes nothing is not caught, both tables say what became of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.campaign import trial_of
from tests.planted.defect import LIST, Defect, NoDefectError, defects, planted
from tests.planted.page import (
    EXPLAINED,
    NAMES,
    Campaign,
    defect_rows,
    explained,
    mutant_rows,
    objections,
    page,
    story_of,
    survivors,
)
from tests.planted.shell import drawn, load
from tests.planted.trial import Outcome, Trial, is_story, run
from tests.proof.judge import CRASHED, KILLED, SURVIVED, TIMED_OUT
from tests.proof.mutants import ROOT, Mutant

pytestmark = pytest.mark.hazard("H40")

LISTED = defects(LIST.read_text(encoding="utf-8"))
STORY = "tests/planted/test_planted_asked.py::test_a_clock_that_was_set_pauses"
OWN = "tests/controller/test_perform.py::test_a"


def defect(**of: str) -> Defect:
    return LISTED[0]._replace(
        **{"before": "late_ms < 0", "after": "late_ms < 1", "path": "controller/perform.py", **of}
    )


def test_there_are_defects_enough_each_with_a_hazard_that_there_is_and_one_is_none():
    assert sum(bool(each.hazard) for each in LISTED) >= 30
    assert {each.hazard for each in LISTED} <= {"", *NAMES}
    assert [each.id for each in LISTED if not each.hazard] == ["nothing-changed"]
    assert all(each.first for each in LISTED if each.hazard)
    assert all(is_story(name) for each in LISTED for name in each.first)


def test_every_defect_can_be_planted():
    for each in LISTED:
        planted(each)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (defect(before="late_ms < 7"), "stands 0 times"),
        (defect(before="self"), "times in"),
        (defect(after="(late_ms < 0)"), "changes nothing"),
        (defect(before="RETRY_S = 1.0", after="RETRY_S = 2.0"), "more than what functions do"),
        (
            defect(before="def _energise(self, effect", after="def _energize(self, effect"),
            "more than what functions do",
        ),
    ],
)
def test_what_cannot_be_planted_or_changes_nothing_is_refused(wrong: Defect, why: str):
    with pytest.raises(NoDefectError, match=why):
        planted(wrong)


def test_a_defect_whose_story_is_gone_is_refused():
    with pytest.raises(NoDefectError, match="there is no story tests/planted/x"):
        trial_of(defect()._replace(first=("tests/planted/x",)), {}, only_first=True)


def test_two_defects_of_one_id_are_refused():
    text = '[[defect]]\nid = "a"\nwhat = ""\nhazard = ""\nfile = ""\nbefore = ""\nafter = ""\nfirst = []\n'
    assert len(defects(text)) == 1
    with pytest.raises(ValueError, match="one id"):
        defects(text * 2)


SUITE = """
import time
import judged

def test_passes():
    assert True

def test_looks():
    assert judged.figure() == 1

def test_waits():
    while judged.figure() == 3:
        pass
"""


@pytest.mark.parametrize(
    ("figure", "verdict", "by"),
    [(1, SURVIVED, ""), (2, KILLED, "test_looks"), (3, KILLED, "test_looks")],
)
def test_a_fault_is_put_in_force_in_a_child_and_seen_by_the_first_test_that_fails(
    figure: int, verdict: str, by: str, tmp_path: Path
):
    said = campaign_of(tmp_path, figure, "items")
    assert said == f"{verdict} {by}"


def test_a_test_that_does_not_come_to_an_end_is_named_and_counts(tmp_path: Path):
    assert campaign_of(tmp_path, 3, "[item for item in items if 'waits' in item.nodeid]") == f"{TIMED_OUT} test_waits"


def campaign_of(folder: Path, figure: int, chosen: str) -> str:
    """Try one fault on a small suite, in a process of its own: pytest is not started in pytest."""
    (folder / "judged.py").write_text("def figure():\n    return 1\n", encoding="utf-8")
    (folder / "test_small.py").write_text(SUITE, encoding="utf-8")
    script = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(folder)!r}]
import judged
from tests.planted import trial
from tests.proof import judge
trial.LEAST_S, trial.UNKNOWN_S = 0.2, 0.2
found = []
def put():
    judged.figure.__code__ = (lambda: {figure}).__code__
def work(items):
    trial.run([trial.Trial("f", put, {chosen})], {{}}, 1, found.append)
judge.ROOT = {str(folder)!r}
with judge.hushed():
    judge.collected([{str(folder / "test_small.py")!r}, "-c", "/dev/null"], work)
assert judged.figure() == 1
print(found[0].verdict, found[0].by.rpartition("::")[2])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def test_a_test_that_fails_without_any_fault_judges_nothing_is_named_and_is_tried_anew(tmp_path: Path):
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller/__init__.py").write_text("def figure():\n    return 1\n", encoding="utf-8")
    suite = SUITE.replace("judged", "controller").replace("== 1", "== tries()")
    tries = "def tries():\n    with open('tries', 'a+') as file:\n        file.write('.')\n        return file.tell()\n"
    (tmp_path / "test_small.py").write_text(suite.replace("import controller", f"import controller\n\n{tries}"))
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]
from tests.planted import seen
from tests.proof import judge
judge.ROOT = seen.ROOT = Path({str(tmp_path)!r})
seen.CACHE = seen.ROOT / "kept"
Path("tries").write_text(".")
found = []
def work(items):
    found.extend(seen.observe(items, 1) for _ in range(2))
    Path("tries").write_text("")
    found.extend(seen.observe(items, 1) for _ in range(2))
with judge.hushed():
    judge.collected(["test_small.py", "-c", "/dev/null"], work)
for each in found:
    print(*each.failed, *sorted(each.seconds), *sorted(each.tests["controller/__init__.py", 2]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    looks, passes, waits = (f"test_small.py::test_{name}" for name in ("looks", "passes", "waits"))
    fails, holds = f"{looks} {passes} {waits} {waits}", f"{looks} {passes} {waits} {looks} {waits}"
    assert done.stdout.splitlines() == [fails, fails, holds, holds]


def test_a_child_that_breaks_down_is_no_proof():
    said: list[Outcome] = []

    def put() -> None:
        raise RuntimeError

    run([Trial("f", put, [])], {}, 1, said.append)
    assert [(each.verdict, each.is_caught) for each in said] == [(CRASHED, False)]


def test_mutants_are_drawn_alike_from_one_seed_and_reach_coroutines():
    rooms = load()
    assert drawn(rooms, 20, 1) == drawn(rooms, 20, 1) != drawn(rooms, 20, 2)
    functions = {mutant.function for room in rooms.values() for mutant in room.mutants()}
    assert {"Journal._write_all", "Actor._fails_on_line", "Performer._work", "NativeDriver._identify"} <= functions
    assert {path.partition("/")[0] for path in rooms} == {"controller"}


def mutant(key: str) -> Mutant:
    return Mutant(f"controller/{key}.py f: a => b", f"controller/{key}.py", "f", "constant", 7, 7, 0)


def campaign(**ends: tuple[str, str]) -> Campaign:
    """One defect, one change that is none, and mutants as they ended."""
    listed = [LISTED[0], next(each for each in LISTED if not each.hazard)]
    caught = {each.id: Outcome(each.id, *ends.pop(each.id.replace("-", "_"), default)) for each, default in
              zip(listed, ((KILLED, STORY), (SURVIVED, "")), strict=True)}  # fmt: skip
    mutants = [mutant(name) for name in ends]
    killed = {each.key: Outcome(each.key, *end) for each, end in zip(mutants, ends.values(), strict=True)}
    return Campaign(listed, caught, mutants, killed, 4_000, 1)


def test_a_campaign_in_which_all_holds_has_no_objection():
    assert objections(campaign(a=(KILLED, STORY), b=(TIMED_OUT, OWN))) == []


@pytest.mark.parametrize(
    ("given", "objection"),
    [
        (campaign(before_the_permit=(SURVIVED, "")), "caught by no story: before-the-permit"),
        (campaign(before_the_permit=(CRASHED, "")), "caught by no story: before-the-permit"),
        (campaign(nothing_changed=(KILLED, STORY)), f"no defect, and yet caught: nothing-changed by {STORY}"),
        (campaign(a=(SURVIVED, ""), b=(KILLED, OWN)), "50 % of the mutants were killed, at least 90 % should be"),
        (campaign(a=(CRASHED, "")), "0 % of the mutants were killed, at least 90 % should be"),
        (campaign()._replace(mutants=[mutant("a")] * 1), "was not tried: controller/a.py f: a => b"),
        (campaign()._replace(caught={}), "was not tried: before-the-permit"),
    ],
)
def test_what_does_not_hold_is_objected_to(given: Campaign, objection: str):
    assert objection in objections(given)


def test_the_tables_say_by_which_story_and_by_which_kind_of_test():
    tried = campaign(a=(KILLED, STORY), b=(KILLED, OWN), c=(SURVIVED, ""), d=(TIMED_OUT, OWN))
    assert [row[3] for row in defect_rows(tried)] == ["a clock that was set pauses", "no story, as it should be"]
    assert mutant_rows(tried)[-1] == ["all", "4", "1", "1", "1", "1"]
    assert mutant_rows(tried)[0] == ["controller/a.py", "1", "1", "0", "0", "0"]
    assert survivors(tried) == [("controller/c.py:7", "f: a => b", "")]
    text = page(tried)
    assert "- controller/c.py:7 `f: a => b`: not explained" in text
    assert "75 % were killed." in text
    assert story_of("tests/a.py::test_one_two[x-1]") == "one two (x-1)"


def test_a_survivor_is_explained_once_and_with_a_reason():
    text = '[[survivor]]\nkey = "a"\nwhy = "nobody can see it, for nobody asks"\n'
    assert explained(text) == {"a": "nobody can see it, for nobody asks"}
    mutants = {mutant.key for room in load().values() for mutant in room.mutants()}
    assert explained(EXPLAINED.read_text(encoding="utf-8")).keys() <= mutants
    for wrong in (text * 2, text.replace(", for nobody asks", "")):
        with pytest.raises(ValueError, match="explained"):
            explained(wrong)


@pytest.mark.timeout(1_200)
def test_every_planted_defect_is_caught_by_its_story_and_a_sample_of_mutants_by_its_tests():
    command = [sys.executable, "-m", "tests.planted", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "planted: holds"), (
        done.stdout[-4_000:] + done.stderr[-2_000:]
    )
