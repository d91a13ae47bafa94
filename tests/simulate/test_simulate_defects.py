"""Each defect breaks its invariant in a clinic in which the controller without it breaks none."""

from __future__ import annotations

import pytest

from controller.virtual import make, staff
from hil.simulate.clinic import Outcome, play
from hil.simulate.plan import Act, Schedule
from tests.simulate.planted import DEFECTS, planted
from tests.simulate.small import AT_MS, ask, clinic, fault

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H40")]

AGAIN = Act(40_000, "bed-1", "visit", {"rx": "rx-1"})
CASES: dict[str, tuple[Schedule, str]] = {
    "latch_skipped": (clinic(fault("snap_off", 500)), "what stops is latched"),
    "permit_early": (clinic(), "permit before current"),
    "settlement_lost": (clinic(AGAIN, open_ms=60_000), "not counted twice"),
    "update_lost": (clinic(), "given is counted"),
    "dead_man_forgotten": (clinic(fault("half_open", 4_000, direction="to_host")), "zero after a fault"),
    "cap_off_by_one": (
        clinic(ask(AT_MS, "adjust", channel=1, delta_ua=1_000), ask(10_000, "adjust", channel=1, delta_ua=501)),
        "never above the cap",
    ),
}


def invariants(outcome: Outcome) -> set[str]:
    return {violation.invariant for violation in outcome.violations}


def test_there_is_a_case_for_every_defect():
    assert CASES.keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_defect_breaks_an_invariant_that_holds_without_it(name: str):
    schedule, invariant = CASES[name]
    sound = play(schedule, make, staff)
    assert sound.violations == ()
    assert sound.tally["sessions"] >= 1
    assert sound.tally["pulses"] > 100
    with planted(name) as broken:
        assert invariant in invariants(play(schedule, broken, staff))
