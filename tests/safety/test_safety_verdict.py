"""safety/verdict.py: severities, their order, the clear class of each latch and who may clear it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.verdict import MAY_CLEAR, Clear, Reason, Scope, Severity, clear_class, worst_first

pytestmark = pytest.mark.rule("X4")

reasons = st.lists(st.builds(Reason, st.sampled_from(["G08", "M01", "M04"]), st.sampled_from(Severity), st.just("X")))


def test_severities_rise_in_the_order_of_the_reference():
    assert [s.name for s in sorted(Severity)] == ["COUNT", "REFUSE", "HOLD", "PAUSE", "STOP", "LOCK"]
    assert sorted(Severity) == [0, 1, 2, 3, 4, 5]


def test_a_reason_says_rule_severity_code_and_where_it_binds():
    assert Reason("G08", Severity.REFUSE, "LIM.CURRENT", 2, 81_000, 80_000, "uA")._asdict() == {
        "rule": "G08", "severity": Severity.REFUSE, "code": "LIM.CURRENT", "channel": 2,
        "asked": 81_000, "allowed": 80_000, "unit": "uA",
    }  # fmt: skip
    assert Reason("G23", Severity.REFUSE, "DEV.LOST")[3:] == (0, 0, 0, "")


@given(reasons)
def test_worst_first_sorts_by_severity_and_keeps_the_order_of_equals(found: list[Reason]):
    ordered = worst_first(found)
    assert ordered == tuple(
        reason for severity in sorted(Severity, reverse=True) for reason in found if reason.severity is severity
    )


@pytest.mark.hazard("H31")
@pytest.mark.parametrize(
    ("severity", "scope", "clear"),
    [
        (Severity.COUNT, Scope.SESSION, Clear.AUTO),
        (Severity.REFUSE, Scope.SESSION, Clear.AUTO),
        (Severity.HOLD, Scope.SESSION, Clear.AUTO),
        (Severity.HOLD, Scope.DEVICE, Clear.AUTO),
        (Severity.PAUSE, Scope.SESSION, Clear.ACK_OPERATOR),
        (Severity.PAUSE, Scope.DEVICE, Clear.ACK_OPERATOR),
        (Severity.STOP, Scope.SESSION, Clear.NEW_SESSION),
        (Severity.STOP, Scope.DEVICE, Clear.NEW_SESSION),
        (Severity.LOCK, Scope.SESSION, Clear.ACK_QUALIFIED),
        (Severity.LOCK, Scope.MONTAGE, Clear.ACK_QUALIFIED),
        (Severity.LOCK, Scope.DEVICE, Clear.MAINTENANCE),
    ],
)
def test_the_clear_class_follows_severity_and_scope(severity: Severity, scope: Scope, clear: Clear):
    assert clear_class(severity, scope) is clear


def test_who_may_clear_what():
    assert {clear.value: sorted(roles) for clear, roles in MAY_CLEAR.items()} == {
        "auto": [],
        "ack_operator": ["biomed", "physio", "prescriber"],
        "new_session": ["biomed", "physio", "prescriber"],
        "ack_qualified": ["prescriber"],
        "maintenance": ["biomed"],
    }


def test_every_clear_class_has_its_roles():
    assert set(MAY_CLEAR) == set(Clear)
