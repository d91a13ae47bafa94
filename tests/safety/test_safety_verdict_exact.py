"""safety/verdict.py: rules are asked in order, each once, and what they found is kept in that order."""

from __future__ import annotations

import pytest

from safety.verdict import Asking, Clear, Reason, Scope, Severity, clear_class, found_by, put_to

pytestmark = [pytest.mark.rule("X4"), pytest.mark.hazard("H40")]


def quiet(view: int) -> Reason | None:
    return None


def loud(view: int) -> Reason | None:
    return Reason("G08", Severity.REFUSE, "LIM.CURRENT", 1, view)


def test_each_rule_is_asked_about_the_same_view_and_all_that_was_found_is_given_in_order():
    asked = put_to((quiet, loud, quiet), 7)
    assert asked == [Asking(quiet, 7, None), Asking(loud, 7, loud(7)), Asking(quiet, 7, None)]
    assert found_by(asked) == [loud(7)]
    assert found_by(put_to((loud, quiet, loud), 3)) == [loud(3), loud(3)]


def test_the_words_of_scopes_and_clear_classes_are_stable():
    assert [scope.value for scope in Scope] == ["session", "device", "montage", "patient"]
    assert [clear.value for clear in Clear] == ["auto", "ack_operator", "new_session", "ack_qualified", "maintenance"]
    assert [(severity.name, severity.value) for severity in Severity] == [
        ("COUNT", 0), ("REFUSE", 1), ("HOLD", 2), ("PAUSE", 3), ("STOP", 4), ("LOCK", 5),
    ]  # fmt: skip


@pytest.mark.parametrize("severity", Severity)
def test_a_lock_is_cleared_by_its_scope_and_all_else_by_how_hard_it_acts(severity: Severity):
    rest = {Severity.STOP: Clear.NEW_SESSION, Severity.PAUSE: Clear.ACK_OPERATOR}.get(severity, Clear.AUTO)
    lock = severity is Severity.LOCK
    for scope in Scope:
        expected = Clear.MAINTENANCE if scope is Scope.DEVICE else Clear.ACK_QUALIFIED
        assert clear_class(severity, scope) is (expected if lock else rest)


def test_a_reason_without_figures_is_about_no_channel_and_names_no_unit():
    assert Reason._field_defaults == {"channel": 0, "asked": 0, "allowed": 0, "unit": ""}
