"""safety/verdict.py: rules are asked in order, each once, and what they found is kept in that order."""

from __future__ import annotations

import pytest

from safety.verdict import Asking, Reason, Severity, found_by, put_to

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
