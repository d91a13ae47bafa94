"""The walk is complete, reaches what it must, and its oracle bites."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safety import machine
from safety.effects import Drive, Silence
from safety.messages import PatientStop
from safety.rules import monitor
from safety.state import Phase
from safety.waveform import OFF
from tests.proof import slices
from tests.proof.slices import ACCOUNT, GATE, GO, QUICK_RAMP, idle, only, short, walked_up
from tests.proof.stage import TWISTS, Stage, tick, twisted
from tests.proof.walk import Edge, Slice, Walk, objections, walk

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40"), pytest.mark.timeout(300)]

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
        "pause": slices.DAILY["pause"],
        "stop": slices.DAILY["stop"],
        "patient": slices.DAILY["patient"],
    },
    scope=only(Phase.RUNNING),
    edges=(Edge("the end", "M25", 200, slices.late, slices.Severity.PAUSE),),
)


@pytest.mark.parametrize("quotient", [GATE, ACCOUNT], ids=["gate", "account"])
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


def test_what_is_not_reached_is_an_objection() -> None:
    found = objections([walk(SMALL)], [SMALL])
    assert "no walk reaches calibrating" in found
    assert "in no walk does G20 bind" in found
    assert "small: the end shows [(1, True)] and not both sides" in found


def test_a_frontier_that_is_left_is_an_objection() -> None:
    cut = Walk(SMALL).go(most=3)
    assert "small: a frontier is left" in objections([cut], [SMALL], whole=False)


def test_every_prescription_of_the_gate_is_expected_to_pass_or_to_fail_by_one_rule() -> None:
    wrong = GATE._replace(expects=dict.fromkeys(GATE.expects, ""))
    assert any("nothing must bind" in text for text in objections([walk(wrong)], [wrong], whole=False))


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
