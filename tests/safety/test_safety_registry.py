"""safety/rules/registry.py: every rule of the safety reference is there once, and names its hazards."""

from __future__ import annotations

import ast
import inspect

import pytest

from safety import care, facts, machine, wishes
from safety.rules import gate, heard, ledger, line, monitor, papers, people, pulse, skin, tick, trial, wish
from safety.rules.hazards import HAZARDS
from safety.rules.registry import LOCK_SCOPE, RULES
from safety.verdict import Scope

pytestmark = pytest.mark.rule("X12")

IDS = [rule.id for rule in RULES]
GATE = {f"G{n:02}" for n in range(1, 30)}
MONITOR = {f"M{n:02}" for n in range(1, 38)} - {"M33"}
LEDGER = {f"L{n:02}" for n in range(1, 14)}
STRUCTURE = {f"X{n}" for n in range(1, 13)}


@pytest.mark.hazard("H40")
def test_every_rule_of_the_reference_is_there_once():
    assert len(IDS) == len(set(IDS))
    assert set(IDS) == GATE | MONITOR | LEDGER | STRUCTURE


def test_the_rules_stand_in_the_order_of_the_reference():
    assert sorted(IDS, key=lambda i: ("GMLX".index(i[0]), int(i[1:]))) == IDS


@pytest.mark.hazard("H40")
def test_every_entry_names_hazards_and_says_what_it_guards():
    for rule in RULES:
        assert rule.hazards.split()
        assert set(rule.hazards.split()) <= {hazard.id for hazard in HAZARDS}
        assert rule.text.endswith(".")
        assert rule.needs in {
            "",
            "impedance",
            "electrode",
            "readback",
            "clip",
            "patient stop",
            "echo",
            "supply",
            "balance",
            "temperature",
        }


def spoken(module: object) -> set[str]:
    """Rule ids that a module's source gives as the first argument of a Reason."""
    calls = (node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call))  # type: ignore[arg-type]
    firsts = (
        call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Reason" and call.args
    )
    return {first.value for first in firsts if isinstance(first, ast.Constant) and first.value}


@pytest.mark.hazard("H40")
def test_what_the_rules_can_say_is_what_is_registered():
    rooms = (wish, gate, papers, pulse, skin, trial, tick, people, heard, line, ledger, wishes, facts, machine, care)
    said = {rule for room in rooms for rule in spoken(room)}
    accounting = {"L07", "L08"}  # they count, and say nothing by themselves
    not_registered = {"STOP"}  # a person's own stop
    assert said == (set(IDS) - accounting - STRUCTURE) | {"X6"} | not_registered


@pytest.mark.hazard("H40")
def test_each_built_rule_is_asked_somewhere():
    asked = (
        *wishes.WISH_RULES, *wishes.SESSION_RULES, *wishes.ENERGISE_RULES, *wishes.FIT_RULES, *wishes.PULSE,
        *wishes.PAPER_RULES, *wishes.SKIN_RULES, *wishes.BLIND_RULES, *wishes.CALIBRATED_RULES,
        *ledger.LEDGER, *monitor.TICK, *monitor.HEARD, *monitor.WORD,
    )  # fmt: skip
    names = {rule.__name__.split("_")[0].upper() for rule in asked}
    # care.adverse, facts.garbled, machine.insist; ledger.counted, admit, what the ledger asks before a correction
    elsewhere = {"M24", "M26", "M29", "L07", "L08", "L09", "L13"}
    assert names | elsewhere == set(IDS) - STRUCTURE


@pytest.mark.hazard("H14")
@pytest.mark.hazard("H17")
def test_a_lock_of_these_rules_holds_more_than_the_session():
    assert LOCK_SCOPE == {
        "G05": Scope.PATIENT,
        "G23": Scope.DEVICE, "M01": Scope.DEVICE, "M27": Scope.DEVICE, "M29": Scope.DEVICE, "M08": Scope.MONTAGE,
        "M16": Scope.DEVICE, "M24": Scope.MONTAGE,
    }  # fmt: skip
