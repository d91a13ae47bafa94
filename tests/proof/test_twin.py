"""The twin sees any difference of a whole Step, and a difference that nobody has explained is an objection."""

from __future__ import annotations

import subprocess
import sys

import pytest

from safety import machine
from safety.machine import Step
from safety.messages import Event, Now, Tick
from safety.state import Station
from tests.proof.mutants import ROOT
from tests.proof.twin import Taken, first_difference, objections, taken

pytestmark = [pytest.mark.rule("X12"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def steps() -> list[Taken]:
    return taken(range(1), 200)


def test_the_recorded_sessions_and_lives_of_the_adversary_are_taken_again_alike(steps: list[Taken]) -> None:
    assert len(steps) > 500
    assert {type(each.event).__name__ for each in steps} >= {"Booted", "Asked", "Tick", "Heard", "Committed"}
    assert first_difference(steps) == ""


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"wake_at_ms": -1}, "wake_at_ms"),
        ({"effects": ()}, "effects"),
        ({"station": None, "effects": ()}, "station, effects"),
    ],
)
def test_the_first_step_that_differs_is_named_with_what_differs_in_it(
    steps: list[Taken], monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], parts: str
) -> None:
    shipped = machine.step
    first = next(number for number, each in enumerate(steps) if isinstance(each.event, Tick) and each.step.effects)

    def step(station: Station, event: Event, now: Now) -> Step:
        done = shipped(station, event, now)
        return done._replace(**changes) if isinstance(event, Tick) and done.effects else done  # type: ignore[arg-type]

    monkeypatch.setattr(machine, "step", step)
    assert first_difference(steps) == f"step {first} of {len(steps)}, Tick: {parts}"


def test_a_step_that_breaks_differs(steps: list[Taken], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(station: Station, event: Event, now: Now) -> Step:
        raise ValueError("nothing works")

    monkeypatch.setattr(machine, "step", step)
    assert first_difference(steps).endswith("ValueError('nothing works')")


MUTANTS = """
from tests.proof.mutants import load
from tests.proof.twin import compared
keys = {
    "safety/dose.py play: 0 in drive_ppm = 0 => -1",
    "safety/units.py ceil_div: -dividend // divisor => -dividend * divisor",
    "safety/dose.py (import): 200 in SLACK_MS = 200 => 201",
}
rooms = load()
mutants = [each for room in rooms.values() for each in room.mutants() if each.key in keys]
seen = compared(mutants, rooms, 1, range(1), 200)
print([(key.partition(" ")[0], bool(where), key in seen.run) for key, where in sorted(seen.where.items())])
"""


def test_a_mutant_is_compared_with_everything_imported_anew() -> None:
    found = subprocess.run(
        [sys.executable, "-c", MUTANTS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    dose, units = ("safety/dose.py", False, True), ("safety/units.py", True, True)
    assert found == str([dose, dose, units])


def test_a_difference_has_to_be_explained_and_an_explained_one_to_be_there() -> None:
    where = {"alike": "", "known": "step 3 of 9, Tick: station", "new": "step 4 of 9, Heard: effects", "idle": ""}
    assert objections(where, {"known": "why", "idle": "why", "gone": "why"}) == [
        "differs in a whole Step, and nobody says why that cannot be seen: new (step 4 of 9, Heard: effects)",
        "said to differ in a Step, and none does: gone",
        "said to differ in a Step, and none does: idle",
    ]
