"""Each defect breaks its invariant in a clinic in which the controller without it breaks none."""

from __future__ import annotations

import json
from functools import cache

import pytest

from controller.virtual import make, staff
from hil.simulate.clinic import Outcome, play
from hil.simulate.plan import Act, Schedule, from_json
from tests.simulate.planted import DEFECTS, planted
from tests.simulate.small import AT_MS, ask, clinic, fault

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H40")]

AGAIN = Act(20_000, "bed-1", "visit", {"rx": "rx-1"})
SLOW = Act(500, "", "slow disk", {"before_ms": 100, "after_ms": 0, "for_ms": 20_000})
"""Where a disk takes two milliseconds, a device takes longer to be armed."""
CASES: dict[str, tuple[Schedule, str]] = {
    "latch_skipped": (clinic(fault("snap_off", 500)), "what stops is latched"),
    "permit_early": (clinic(SLOW), "permit before current"),
    "settlement_lost": (clinic(AGAIN, open_ms=24_000), "not counted twice"),
    "update_lost": (clinic(), "given is counted"),
    "dead_man_forgotten": (clinic(fault("half_open", 4_000, direction="to_host")), "zero after a fault"),
    "answer_lost": (clinic(ask(AT_MS, "present")), "answered"),
    "answer_twice": (clinic(), "answered once"),
    "life_undead": (
        clinic(Act(AT_MS, "", "kill", {"in_flight": "lands", "down_ms": 2_000})),
        "one life drives a device",
    ),
    "cap_off_by_one": (
        clinic(ask(AT_MS, "adjust", channel=1, delta_ua=1_000), ask(10_000, "adjust", channel=1, delta_ua=501)),
        "never above the cap",
    ),
}


@cache
def played(text: str) -> Outcome:
    return play(from_json(json.loads(text)), make, staff)


def play_sound(schedule: Schedule) -> Outcome:
    return played(json.dumps(schedule.to_json()))


def invariants(outcome: Outcome) -> set[str]:
    return {violation.invariant for violation in outcome.violations}


def test_there_is_a_case_for_every_defect():
    assert CASES.keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_defect_breaks_an_invariant_that_holds_without_it(name: str):
    schedule, invariant = CASES[name]
    sound = play_sound(schedule)
    assert sound.violations == ()
    assert sound.tally["sessions"] >= 1
    assert sound.tally["pulses"] > 100
    with planted(name) as broken:
        assert invariant in invariants(play(schedule, broken, staff))
