"""A stop is obeyed whatever is wrong with it, and what was wrong is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.contract.accept import Asker, StopNow, digest_of
from controller.contract.envelope import utc_text
from controller.identity import Seen
from safety.messages import Stop
from tests.controller.wire import ID, NOW, TOPICS, Fields, arrival, door, fields

REUSED = {("clinician-1", ID): Seen("another", None)}


def stop_fields(**changes: object) -> Fields:
    return fields("session.stop", **changes)


STOPPED: list[tuple[str, str, Callable[[], tuple[Fields | bytes, bool]]]] = [
    ("", ID, lambda: (stop_fields(), False)),
    ("", ID, lambda: (stop_fields(expires_at=utc_text(NOW.wall_ms)), False)),
    ("CMD.EXPIRED", ID, lambda: (stop_fields(expires_at=utc_text(NOW.wall_ms - 1)), False)),
    ("CMD.RETAINED", ID, lambda: (stop_fields(), True)),
    ("CMD.SCHEMA", "", lambda: (b"", False)),
    ("CMD.SCHEMA", "", lambda: (b"\xff" * 50, True)),
    ("CMD.TOO_LARGE", "", lambda: (b"{" * 50_000, False)),
    ("CMD.SCHEMA", ID, lambda: (stop_fields(body={"gently": 1}), False)),
    ("CMD.UNKNOWN_VERB", ID, lambda: (stop_fields(verb="session.halt"), False)),
    ("CMD.TOPIC_MISMATCH", ID, lambda: (stop_fields(device="dev2"), False)),
    ("CMD.TOPIC_MISMATCH", ID, lambda: (fields("session.start"), False)),
    ("AUTH.PRINCIPAL_MISMATCH", ID, lambda: (stop_fields(issuer="visitor"), False)),
]


@pytest.mark.parametrize(("irregular", "command_id", "make"), STOPPED)
def test_a_stop_is_obeyed_whatever_is_wrong_with_it(
    irregular: str, command_id: str, make: Callable[[], tuple[Fields | bytes, bool]]
) -> None:
    content, retained = make()
    outcome = door().accept(
        arrival(content, TOPICS.command("dev1", "clinician-1", "session.stop"), retained=retained), NOW
    )
    assert isinstance(outcome, StopNow)
    assert (outcome.irregular, outcome.asker) == (irregular, Asker("dev1", "clinician-1", command_id, None, None))
    assert (outcome.command.id, outcome.command.principal, outcome.command.wish) == (command_id, "clinician-1", Stop())


def test_a_stop_with_a_used_id_is_obeyed_and_only_a_true_repeat_is_regular() -> None:
    message = arrival(stop_fields())
    again = door({("clinician-1", ID): Seen(digest_of(message), b"stored")}).accept(message, NOW)
    reused = door(REUSED).accept(message, NOW)
    assert [outcome.irregular for outcome in (again, reused) if isinstance(outcome, StopNow)] == ["", "CMD.ID_REUSED"]


@pytest.mark.parametrize(
    ("principal", "named", "role", "irregular"),
    [
        ("visitor", "visitor", "auditor", ""),
        ("bedside", "bedside", "handset", ""),
        ("stranger", "stranger", "", "AUTH.UNKNOWN_KEY"),
        ("Ward.Sister", "", "", "CMD.SCHEMA"),
    ],
)
def test_anybody_may_stop(principal: str, named: str, role: str, irregular: str) -> None:
    outcome = door().accept(arrival(stop_fields(issuer=principal)), NOW)
    assert isinstance(outcome, StopNow)
    assert (outcome.command.principal, outcome.command.role, outcome.irregular) == (named, role, irregular)


def test_a_stop_with_a_foreign_response_topic_is_obeyed_and_answered_at_home() -> None:
    outcome = door().accept(arrival(stop_fields(), reply="stim/v1/ward3/dev1/state/summary"), NOW)
    assert isinstance(outcome, StopNow)
    assert outcome.irregular == "CMD.BAD_RESPONSE_TOPIC"
    assert outcome.asker.answer_topics(TOPICS) == (TOPICS.ack("dev1", "clinician-1", ID),)


@pytest.mark.parametrize(
    ("device", "verb"), [("_all", "stop"), ("_all", "session.stop"), ("dev1", "stop"), ("dev3", "session.stop")]
)
def test_both_words_stop_one_device_or_all(device: str, verb: str) -> None:
    outcome = door().accept(arrival(fields(verb, device=device)), NOW)
    assert isinstance(outcome, StopNow)
    assert (outcome.asker.device, outcome.irregular) == (device, "")
