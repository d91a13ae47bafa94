"""A controller that can write no JSON: its words, what they mean, and the line that it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import Rig
from structlog.testing import capture_logs

from controller.contract.accept import Accepted, Inquiry, StopNow
from controller.contract.envelope import MAX_BYTES, Arrival
from controller.contract.plain import FORMS, is_plain
from controller.desk import is_meant
from controller.identity import Signatures
from safety.messages import Now
from tests.controller.reception import Published, Reception
from tests.controller.signed import PEOPLE
from tests.controller.wire import NOW, TOPICS, arrival, code_of, fields

TEXT = TOPICS.ack_text("dev1", "plc7")
VERBS_OF = {
    "CLAIM": "device.claim", "RENEW": "device.renew", "RELEASE": "device.release", "START": "session.start",
    "PAUSE": "session.pause", "STOP": "session.stop", "STATUS": "service.status",
}  # fmt: skip


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Reception]:
    made = Reception(tmp_path, principals=PEOPLE, proof=Signatures())
    await made.open()
    made.desk.mind()
    made.outbox.take()
    yield made
    await made.close()


def nonce(desk: Reception) -> str:
    return desk.challenges._given["dev1", "plc7"].nonce


def text(words: str, verb: str = "", **of: Any) -> Arrival:  # noqa: ANN401
    """What a PLC publishes."""
    topic = TOPICS.command("dev1", "plc7", verb or VERBS_OF[words.split(maxsplit=1)[0]])
    return arrival(words.encode(), topic, **of)


def read_by_plc(published: list[Published]) -> list[bytes]:
    return [each.payload for each in published if each.topic == TEXT]


def test_a_text_is_told_from_json_and_from_a_signature() -> None:
    assert is_plain(b"PAUSE")
    assert not any(is_plain(each) for each in (b"", b"{}", b" {}", b"eyJ", b"null", b"\xff", b"7"))


async def test_a_text_means_what_its_json_means(desk: Reception) -> None:
    words, word = f"START rx-77 {nonce(desk)}", nonce(desk)
    as_text = desk.door.accept(text(words), NOW)
    content = fields(issuer="plc7", nonce=word, body={"prescription_id": "rx-77"})
    as_json = desk.door.accept(arrival(content), NOW)
    assert isinstance(as_text, Accepted)
    assert isinstance(as_json, Accepted)
    assert (as_text.command.wish, as_text.command.expect, as_text.nonce, as_text.rx) == (
        as_json.command.wish, as_json.command.expect, as_json.nonce, as_json.rx,
    )  # fmt: skip
    assert (as_text.rx, as_text.asker.is_plain, as_json.asker.is_plain) == ("rx-77", True, False)


async def test_every_word_is_its_verb(desk: Reception) -> None:
    outcomes = {}
    for word, verb in VERBS_OF.items():
        form = FORMS[verb]
        words = " ".join([word, *(["rx-77@1"] if form.field else []), *([nonce(desk)] if form.has_nonce else [])])
        outcomes[word] = desk.door.accept(text(words), NOW)
    assert {word: type(outcome) for word, outcome in outcomes.items()} == {
        "CLAIM": Accepted, "RENEW": Accepted, "RELEASE": Accepted, "START": Accepted, "PAUSE": Accepted,
        "STOP": StopNow, "STATUS": Inquiry,
    }  # fmt: skip
    stop = outcomes["STOP"]
    assert isinstance(stop, StopNow)
    assert (stop.irregular, stop.asker.is_plain) == ("", True)
    verbs = {word: outcome.command.verb for word, outcome in outcomes.items() if isinstance(outcome, Accepted)}
    assert verbs == {word: VERBS_OF[word] for word in verbs}
    everywhere = desk.door.accept(arrival(b"STOP", TOPICS.command("_all", "plc7", "stop")), NOW)
    assert isinstance(everywhere, StopNow)
    assert everywhere.irregular == ""


WRONG = [
    ("START", "session.start", "the text of session.start is START prescription_id nonce"),
    ("START rx-77", "session.start", "the text of session.start is START prescription_id nonce"),
    ("START rx-77 A B", "session.start", "the text of session.start is START prescription_id nonce"),
    ("PAUSE", "session.start", "the text of session.start is START prescription_id nonce"),
    ("PAUSE now", "session.pause", "the text of session.pause is PAUSE"),
    ("Pause", "session.pause", "the text of session.pause is PAUSE"),
    ("ARM", "session.arm", "this verb has no text: write JSON"),
    ("ADJUST 1 1000", "session.adjust", "this verb has no text: write JSON"),
]


@pytest.mark.parametrize(("words", "verb", "problem"), WRONG)
async def test_what_is_no_text_of_its_topic_is_refused_in_words(
    desk: Reception, words: str, verb: str, problem: str
) -> None:
    sent = desk.hand(text(words, verb))
    assert [each.said["fields"] for each in sent if each.topic != TEXT] == [[{"field": "", "problem": problem}]]
    assert [line.split()[:2] for line in read_by_plc(sent)] == [[b"REJECTED", b"CMD.SCHEMA"]]


async def test_a_name_that_is_none_and_a_text_that_is_too_long_are_refused(desk: Reception) -> None:
    assert code_of(desk.door.accept(text(f"START rx/77 {nonce(desk)}"), NOW)) == "CMD.SCHEMA"
    assert code_of(desk.door.accept(text("PAUSE" + " " * MAX_BYTES), NOW)) == "CMD.TOO_LARGE"
    assert code_of(desk.door.accept(text(f"CLAIM {nonce(desk)}\r\n"), NOW)) == "Accepted"
    assert code_of(desk.door.accept(text(f"CLAIM {nonce(desk)}\xff"), NOW)) == "CMD.NONCE"


async def test_a_person_proves_nothing_by_a_text(desk: Reception) -> None:
    outcome = desk.door.accept(arrival(b"PAUSE", TOPICS.command("dev1", "clinician-1", "session.pause")), NOW)
    assert code_of(outcome) == "AUTH.BAD_SIGNATURE"


# The line that is answered


async def test_a_text_is_answered_in_a_line_and_on_record(desk: Reception) -> None:
    sent = desk.hand(text(f"CLAIM {nonce(desk)}"))
    assert read_by_plc(sent) == [b"SUCCEEDED OK Done."]
    (whole,) = [each.said for each in sent if "/ack/" in each.topic and each.topic != TEXT]
    assert (whole["status"], whole["code"]) == ("succeeded", "OK")


async def test_a_response_topic_gets_the_line(desk: Reception) -> None:
    reply = TOPICS.ack("dev1", "plc7", "line-4")
    sent = desk.hand(text("PAUSE", reply=reply, correlation=b"7"))
    assert read_by_plc(sent) == []
    assert [(each.payload.split()[:2], each.correlation) for each in sent if each.topic == reply] == [
        ([b"REJECTED", b"SES.STATE"], b"7")
    ]


async def test_the_same_text_again_is_the_same_command_where_it_bears_a_nonce(desk: Reception) -> None:
    message = text(f"START rx-77 {nonce(desk)}")
    first = [each for each in desk.hand(message) if "/ack/" in each.topic]
    assert [each for each in desk.hand(message) if "/ack/" in each.topic] == first
    assert read_by_plc(first)[0].split()[:2] == [b"REJECTED", b"SES.STATE"] or b"CMD.PRECONDITION" in first[1].payload


async def test_the_same_text_again_is_a_new_command_where_it_bears_none(desk: Reception) -> None:
    ids = set()
    for later_ms in (0, 1, 60_000):
        outcome = desk.door.accept(text("PAUSE"), Now(NOW.mono_ms + later_ms, NOW.wall_ms + later_ms))
        assert isinstance(outcome, Accepted)
        ids.add(outcome.command.id)
    assert len(ids) == 3


async def test_a_claim_is_kept_by_text(desk: Reception) -> None:
    desk.hand(text(f"CLAIM {nonce(desk)}"))
    for second in range(1, 4):
        desk.now = Now(NOW.mono_ms + 1_000 * second, NOW.wall_ms + 1_000 * second)
        assert read_by_plc(desk.hand(text(f"RENEW {nonce(desk)}"))) == [b"SUCCEEDED OK Done."]
    holder = desk.actors["dev1"].station.holder
    assert holder is not None
    assert (holder.principal, holder.expires_ms > NOW.mono_ms + 60_000) == ("plc7", True)


# The prescription that is meant


async def test_only_the_prescription_that_was_prepared_can_be_started(desk: Reception) -> None:
    desk.hand(text(f"CLAIM {nonce(desk)}"))
    assert read_by_plc(desk.hand(text(f"START rx-77 {nonce(desk)}")))[0].split()[:2] == [
        b"REJECTED", b"CMD.PRECONDITION",
    ]  # fmt: skip


def test_a_prescription_is_meant_by_its_name_or_by_its_version() -> None:
    session, none = Rig().armed().station, Rig().station
    assert [is_meant(rx, session) for rx in ("", "rx-1", "rx-1@1")] == [True, True, True]
    assert [is_meant(rx, session) for rx in ("rx-1@2", "rx-2", "rx")] == [False, False, False]
    assert [is_meant(rx, none) for rx in ("", "rx-1")] == [True, False]
