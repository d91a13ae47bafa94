"""The walk is complete, reaches what it must, and each of its guards bites."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain

import pytest

from safety import machine
from safety.effects import Drive, Feed, Silence
from safety.messages import PatientStop
from safety.prescription import Dose
from safety.rules import ledger, monitor
from safety.state import Phase
from safety.verdict import Severity
from safety.waveform import OFF
from tests.proof import door, run, walks
from tests.proof.door import Door
from tests.proof.result import Result
from tests.proof.slices import SLICES
from tests.proof.slices.dose import ACCOUNT
from tests.proof.slices.gate import ARMED, DEVICES, GATE
from tests.proof.slices.papers import STARTERS, TRYING, VOUCHED_WHEN
from tests.proof.slices.parts import DAILY, GO, QUICK_RAMP, idle, only, short, walked_up
from tests.proof.slices.times import late
from tests.proof.stage import TWISTS, Stage, tick, twisted
from tests.proof.walk import Edge, Slice, Walk, walk
from tests.proof.walks import missed, objections, summed

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40")]

Patch = pytest.MonkeyPatch
SMALL = Slice(
    "small",
    "A second of therapy: ticks on time, late, and with a picture that stands too high; pause, stop, patient.",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *GO),),
    {
        "tick": tick(100),
        "late": tick(201),
        "above": twisted(100, TWISTS["above"]),
        "more": twisted(100, TWISTS["huge"]),
        "pause": DAILY["pause"],
        "stop": DAILY["stop"],
        "patient": DAILY["patient"],
    },
    scope=only(Phase.RUNNING),
    edges=(Edge("the end", "M25", 200, late, Severity.PAUSE),),
)
QUICK = (GATE, ARMED, DEVICES, VOUCHED_WHEN, STARTERS, TRYING, ACCOUNT)


@pytest.mark.parametrize("quotient", QUICK, ids=[each.name for each in QUICK])
def test_a_quick_slice_is_walked_to_its_end_and_nothing_is_wrong(quotient: Slice) -> None:
    walked = walk(quotient)
    assert objections([walked], [quotient], whole=False) == []
    assert walked.complete


@pytest.mark.hazard("H08")
def test_current_flows_in_the_walk_and_ends_in_it() -> None:
    walked = walk(SMALL)
    assert walked.faults == ()
    assert walked.flowing > 5
    assert {Phase.RUNNING, Phase.PAUSED, Phase.IDLE} <= set(walked.phases)
    assert {"M25", "M03", "M02", "M23", "STOP"} <= set(walked.binding)


def test_every_slice_says_what_it_is_and_no_two_have_one_name() -> None:
    names = [each.name for each in SLICES]
    assert len(set(names)) == len(names)
    for each in SLICES:
        assert len(each.prose.split()) > 10, each.name
        assert set(each.expects) <= set(each.moves), each.name
        assert len({edge.name for edge in each.edges}) == len(each.edges), each.name


# What was not reached


def test_what_is_not_reached_is_an_objection() -> None:
    found = objections([walk(SMALL)], [SMALL])
    assert "no walk reaches calibrating" in found
    assert "in no walk does G20 bind" in found
    assert "no walk reaches running" not in found
    assert "in no walk does M25 bind" not in found


def test_a_rule_that_is_told_to_be_judged_elsewhere_may_not_bind_here() -> None:
    walked = walk(SMALL)
    walked.binding.update(["L03"])
    assert "L03 binds here, and is told to be judged elsewhere" in missed([walked])


def test_what_is_judged_elsewhere_must_be_a_rule(monkeypatch: Patch) -> None:
    monkeypatch.setitem(walks.ELSEWHERE, "L99", "nowhere")
    assert "L99 is told to be judged elsewhere, and is no rule" in missed([walk(SMALL)])


def test_a_walk_without_current_is_an_objection() -> None:
    assert "no current flows in any walk" in missed([walk(STARTERS)])
    assert "no current flows in any walk" not in missed([walk(SMALL)])


def test_a_frontier_that_is_left_is_an_objection() -> None:
    cut = Walk(SMALL).go(most=3)
    assert "small: a frontier is left" in objections([cut], [SMALL], whole=False)


def test_a_bound_on_depth_is_kept_and_leaves_no_frontier() -> None:
    once, twice = (walk(SMALL._replace(depth=depth)) for depth in (1, 2))
    assert once.complete
    assert twice.complete
    assert once.states < twice.states < walk(SMALL).states
    assert once.states <= 1 + len(SMALL.moves)


# Edges


def edged(mark: int, least: Severity = Severity.PAUSE) -> list[str]:
    """Walk ticks of 200 and 201 ms with an edge between them, or elsewhere."""
    quotient = SMALL._replace(
        moves={"tick": tick(200), "late": tick(201)}, depth=2, edges=(Edge("late", "M25", mark, late, least),)
    )
    return objections([walk(quotient)], [quotient], whole=False)


def test_an_edge_of_which_one_side_is_seen_is_an_objection() -> None:
    assert "small: the end shows [(1, True)] and not both sides" in objections([walk(SMALL)], [SMALL], whole=False)
    assert edged(200) == []


def test_an_edge_that_nothing_comes_to_is_an_objection() -> None:
    assert edged(5_000) == ["small: late shows [] and not both sides"]


def test_a_rule_that_speaks_a_unit_early_or_late_or_not_as_hard_is_an_objection() -> None:
    assert edged(201) == ["small: late shows [(0, True)] and not both sides"]
    assert edged(199) == ["small: late shows [(1, False)] and not both sides"]
    assert edged(200, Severity.STOP) == ["small: late shows [(0, False), (1, False)] and not both sides"]


def test_every_prescription_of_the_gate_is_expected_to_pass_or_to_fail_by_one_rule() -> None:
    wrong = GATE._replace(expects=dict.fromkeys(GATE.expects, ""))
    assert any("nothing must bind" in text for text in objections([walk(wrong)], [wrong], whole=False))


# The stage


def test_the_figures_and_the_table_are_the_walks_own() -> None:
    walked = [walk(ACCOUNT), walk(STARTERS)]
    found = summed(walked, [ACCOUNT, STARTERS], whole=False)
    assert found.wrong == []
    assert found.figures["states"] == walked[0].states + walked[1].states
    assert found.figures["transitions"] == walked[0].transitions + walked[1].transitions
    assert found.figures["states with current flowing"] == walked[0].flowing > 0
    assert found.figures["edges seen on both sides"] == len(ACCOUNT.edges)
    assert found.lines[2].startswith(f"| account | {walked[0].states} |")
    assert any(line.startswith("- **starters**: Every role") for line in found.lines)


def test_the_stage_of_a_quick_proof_walks_the_quick_slices(monkeypatch: Patch) -> None:
    few = (STARTERS, SMALL._replace(quick=False))
    monkeypatch.setattr(walks, "SLICES", few)
    monkeypatch.setattr(walks, "run", lambda slices: [walk(each) for each in slices])
    assert walks.stage(quick=True).figures["slices"] == 1
    monkeypatch.setattr(door, "judged", lambda: Door(7, 3, Counter({"L03": 4}), ("L03 is silent",)))
    whole = walks.stage(quick=False)
    assert whole.figures["slices"] == 2
    assert whole.figures["histories judged at the second door"] == 7
    assert "in no walk does G20 bind" in whole.wrong
    assert "L03 is silent" in whole.wrong
    assert run.proved("tests.proof.walks", quick=True) == walks.stage(quick=True) != Result("", {}, [], [])


def test_two_runs_on_the_same_code_say_the_same_whatever_the_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-m", "tests.proof.walks", "starters", "account", "skin falls"],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1
    assert "states with current flowing" in said.pop()


# The second door


@pytest.mark.rule("L10", "L11", "L12")
@pytest.mark.hazard("H19")
def test_every_verdict_of_the_second_door_is_the_one_that_must_be() -> None:
    some = list(door.known(every=11))
    found = door.judged(iter(some))
    assert found.wrong == ()
    assert found.histories == len(some) > 400
    assert 0 < found.admitted < len(some) / 4
    assert {"L06", "L09", "L10", "L11", "L12", "G26", "G27"} == set(found.binding)


@pytest.mark.rule("L01", "L02", "L03", "L04", "L05")
@pytest.mark.hazard("H19")
def test_every_count_of_the_second_door_is_the_one_that_must_be() -> None:
    found = door.judged(door.given(every=11))
    assert found.wrong == ()
    assert {"L01", "L02", "L03", "L04", "L05"} == set(found.binding)


@pytest.mark.parametrize("rule", ["l01", "l02", "l03", "l04", "l05", "l06", "l10", "l11", "l12", "g26", "g27_montage"])
@pytest.mark.hazard("H19")
def test_a_rule_that_the_second_door_does_not_ask_is_found(rule: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(ledger, "LEDGER", tuple(judge for judge in ledger.LEDGER if judge.__name__ != rule))
    cases = chain(door.given(every=11), door.known(every=11))
    assert door.judged(cases).wrong


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
def test_a_reservation_that_the_second_door_does_not_count_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ledger, "counted", lambda record: record.charged or Dose())
    assert door.judged(door.given(every=11)).wrong


# Does the oracle bite?


def without(name: str) -> Callable[[Patch], None]:
    """Leave a rule out of what is asked at a tick."""

    def plant(monkeypatch: Patch) -> None:
        monkeypatch.setattr(monitor, "TICK", tuple(rule for rule in monitor.TICK if rule.__name__ != name))

    return plant


def stepped(change: Callable[[machine.Step, Stage], machine.Step]) -> Callable[[Patch], None]:
    """Change what every step gives."""

    def plant(monkeypatch: Patch) -> None:
        shipped = machine.step
        monkeypatch.setattr(machine, "step", lambda station, event, now: change(shipped(station, event, now), station))

    return plant


def drives_more(done: machine.Step, _before: object) -> machine.Step:
    """Send a device step more than the picture says."""
    effects = tuple(
        Drive(effect.grant, OFF._replace(trains=tuple(t._replace(ua=t.ua + 300) for t in effect.picture.trains)))
        if isinstance(effect, Drive)
        else effect
        for effect in done.effects
    )
    return done._replace(effects=effects)


def lets_starve(done: machine.Step, _before: object) -> machine.Step:
    """Forget to keep the device alive."""
    return done._replace(effects=tuple(effect for effect in done.effects if not isinstance(effect, Feed)))


def never_drives(done: machine.Step, _before: object) -> machine.Step:
    """Give no current at all: every one-sided invariant holds."""
    beat = done.station.beat._replace(picture=OFF)
    effects = tuple(effect for effect in done.effects if not isinstance(effect, Drive))
    return done._replace(station=done.station._replace(beat=beat), effects=effects)


def silences_last(done: machine.Step, _before: object) -> machine.Step:
    """Stop the output after everything else."""
    return done._replace(effects=tuple(sorted(done.effects, key=lambda effect: isinstance(effect, Silence))))


def forgets_latches(done: machine.Step, _before: object) -> machine.Step:
    """Raise no latch."""
    return done._replace(station=done.station._replace(latches=()))


def deaf(monkeypatch: Patch) -> None:
    """Hear the patient's button, and do nothing."""
    monkeypatch.setitem(machine.HANDLERS, PatientStop, lambda _turn, _event: None)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        pytest.param(without("m25"), "M25", id="m25"),
        pytest.param(without("m03"), "M03", id="m03"),
        pytest.param(without("m02"), "M02", id="m02"),
        pytest.param(stepped(never_drives), "must flow", id="never drives"),
        pytest.param(stepped(drives_more), "ramp line", id="drives more"),
        pytest.param(stepped(lets_starve), "kept alive", id="lets starve"),
        pytest.param(stepped(silences_last), "order", id="silences last"),
        pytest.param(stepped(forgets_latches), "latch", id="forgets latches"),
        pytest.param(deaf, "stop", id="deaf"),
    ],
)
def test_a_planted_violation_is_found(plant: Callable[[Patch], None], said: str, monkeypatch: Patch) -> None:
    start = SMALL.start()
    plant(monkeypatch)
    found = objections([walk(SMALL._replace(start=lambda: start))], [SMALL], whole=False)
    assert [text for text in found if said in text]
