"""safety/complete.py: a core that lacks a rule, or asks one that it does not know, says so."""

from __future__ import annotations

import pytest

from safety import complete, wishes
from safety.complete import gaps
from safety.rules import ledger, monitor
from safety.rules.registry import RULES, Rule

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40")]


def test_the_core_is_whole():
    assert gaps() == ()


def test_the_reference_has_ninety_ids():
    assert len(complete.REFERENCE) == len(set(complete.REFERENCE)) == 29 + 36 + 13 + 12


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_a_rule_that_is_not_registered_is_missed(rule: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(complete, "RULES", tuple(each for each in RULES if each.id != rule))
    asked = (f"{rule} is asked and not registered",) if rule[0] != "X" else ()
    assert gaps() == (f"{rule} is not registered", *asked)


def test_a_rule_of_nowhere_and_one_that_stands_twice_are_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(complete, "RULES", (*RULES, RULES[0], Rule("X13", "H40", "", "Nothing.")))
    assert gaps() == ("X13 is registered and not in the reference", "G01 is registered twice")


@pytest.mark.parametrize(
    ("room", "name", "rule"),
    [(monitor, "TICK", "M25"), (monitor, "HEARD", "M07"), (ledger, "LEDGER", "L03"), (wishes, "WISH_RULES", "G01")],
)
def test_a_list_that_lost_a_rule_is_seen(room: object, name: str, rule: str, monkeypatch: pytest.MonkeyPatch):
    lists = [key for key, value in vars(room).items() if key.isupper() and isinstance(value, tuple)]
    assert name in lists
    for each in lists:
        kept = tuple(judge for judge in getattr(room, each) if not is_of(judge, rule))
        monkeypatch.setattr(room, each, kept)
    assert gaps() == (f"nobody asks {rule}",)


def is_of(judge: object, rule: str) -> bool:
    return getattr(judge, "__name__", "").startswith(rule.lower())


def test_a_rule_that_nobody_registered_is_seen(monkeypatch: pytest.MonkeyPatch):
    def m80(_watch: object) -> None: ...

    monkeypatch.setattr(monitor, "TICK", (*monitor.TICK, m80))
    assert gaps() == ("M80 is asked and not registered",)
