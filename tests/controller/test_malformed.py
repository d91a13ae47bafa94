"""Payloads that are no commands: each is refused by its code, none is lost, none raises."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.contract.accept import Accepted, Refusal, StopNow
from controller.contract.answers import AnswerMessage
from tests.controller.wire import ID, NOW, TOPICS, Fields, arrival, code_of, door, encoded, fields, malformed

MALFORMED = list(malformed())


def test_at_least_200_malformed_payloads_are_each_refused_by_their_code() -> None:
    assert len({payload for _, payload in MALFORMED}) >= 200
    topic = TOPICS.command("dev1", "clinician-1", "session.start")
    found = [(code_of(door().accept(arrival(payload, topic), NOW)), payload) for _, payload in MALFORMED]
    assert found == MALFORMED


def test_every_refusal_can_be_said_and_is_not_longer_than_what_it_refuses_by_much() -> None:
    topic = TOPICS.command("dev1", "clinician-1", "session.start")
    long_names = json.dumps(fields() | {f"{number:03}" + "\ud800" * 90: 1 for number in range(12)}).encode()
    for payload in [payload for _, payload in MALFORMED] + [long_names]:
        outcome = door().accept(arrival(payload, topic), NOW)
        assert isinstance(outcome, Refusal)
        said = AnswerMessage.refusing(outcome, boot_id="b-4", now=NOW).to_bytes()
        assert json.loads(said)["status"] == "rejected"
        assert len(said) < 4096


def test_the_id_is_named_wherever_it_could_be_read() -> None:
    cases: list[tuple[Fields, str]] = [
        ({"colour": 1}, ID),
        ({"verb": "x"}, ID),
        ({"body": {"x": 1}}, ID),
        ({"command_id": "7"}, ""),
    ]
    for changes, command_id in cases:
        outcome = door().accept(arrival(encoded(fields() | changes)), NOW)
        assert (code_of(outcome)[:4], outcome.asker.command_id) == ("CMD.", command_id)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode),
    )
)
def test_no_payload_raises(payload: bytes) -> None:
    for verb in ("session.start", "session.stop"):
        message = arrival(payload, TOPICS.command("dev1", "clinician-1", verb))
        assert isinstance(door().accept(message, NOW), Refusal if verb == "session.start" else StopNow)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_single_change_of_a_right_command_raises(data: st.DataObject) -> None:
    payload = bytearray(encoded(fields("session.adjust", body={"channel": 1, "delta_ua": -1000})))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    outcome = door().accept(arrival(bytes(payload), TOPICS.command("dev1", "clinician-1", "session.adjust")), NOW)
    assert isinstance(outcome, Accepted | Refusal)
