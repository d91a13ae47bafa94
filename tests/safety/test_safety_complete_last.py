"""safety/complete.py: what counts as a list and as a rule's name, and in which order it says what is wrong."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from safety import complete
from safety.complete import REFERENCE, gaps
from safety.rules import monitor
from safety.rules.registry import RULES

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40")]


def test_a_rule_that_was_put_aside_under_another_name_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    aside = tuple(judge for judge in monitor.TICK if judge.__name__.startswith("m20"))
    monkeypatch.setattr(monitor, "TICK", tuple(judge for judge in monitor.TICK if judge not in aside))
    monkeypatch.setattr(monitor, "aside", aside, raising=False)
    assert len(aside) == 1
    assert gaps() == ("nobody asks M20",)


@pytest.mark.parametrize("name", ["m8x", "mx8", "m", ""])
def test_a_judge_whose_name_has_no_number_of_a_rule_stands_for_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "TICK", (*monitor.TICK, SimpleNamespace(__name__=name)))
    assert gaps() == ()


def test_rules_that_are_registered_twice_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "RULES", (*RULES, *RULES))
    assert gaps() == tuple(f"{rule} is registered twice" for rule in sorted(REFERENCE))


def test_rules_that_nobody_registered_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "RULES", ())
    judged = sorted(rule for rule in REFERENCE if rule[0] != "X")
    missing = (f"{rule} is not registered" for rule in REFERENCE)
    assert gaps() == (*missing, *(f"{rule} is asked and not registered" for rule in judged))
