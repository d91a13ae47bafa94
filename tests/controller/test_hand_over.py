"""From a person who arms to a machine that starts: the claim is handed over, and nothing pauses in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller import clock
from controller.contract.accept import Door
from controller.contract.envelope import utc_text
from controller.desk import Desk, memory
from controller.identity import Principal, Role, Signatures
from controller.identity.challenge import Challenges
from controller.identity.keys import Span
from controller.voice import Voice
from safety.messages import ArmSession
from safety.state import Phase
from tests.controller.peer import until
from tests.controller.reception import Outbox, Reception, answers, numbered
from tests.controller.signed import CLINICIAN, PEOPLE, key, keys, signed
from tests.controller.ward import Ward
from tests.controller.wire import NOW, TOPICS, arrival, fields


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Reception]:
    people = {
        **PEOPLE,
        "abroad": Principal("abroad", Role.AUTOMATION, frozenset({"dev2"})),
        "gone": Principal("gone", Role.AUTOMATION, frozenset({"*"}), span=Span(None, NOW.wall_ms)),
    }
    made = Reception(tmp_path, principals=people, proof=Signatures())
    await made.open()
    yield made
    await made.close()


def holder(desk: Reception) -> str:
    found = desk.actors["dev1"].station.holder
    return found.principal if found else ""


def release(to: str, number: int = 2) -> dict[str, object]:
    return fields("device.release", command_id=numbered(number), body={"to": to})


async def test_a_claim_is_handed_over(desk: Reception) -> None:
    desk.hand(signed(fields("device.claim")))
    assert answers(desk.hand(signed(release("plc7")))) == [
        (TOPICS.ack("dev1", "clinician-1", numbered(2)), "succeeded", "OK")
    ]
    assert holder(desk) == "plc7"


@pytest.mark.parametrize("to", ["nobody", "abroad", "gone", "dismissed", "bedside"])
async def test_only_who_could_claim_it_gets_it(desk: Reception, to: str) -> None:
    desk.hand(signed(fields("device.claim")))
    (told,) = desk.hand(signed(release(to)))
    assert (told.said["code"], told.said["fields"]) == (
        "CMD.SCHEMA", [{"field": "body.to", "problem": "nobody of this name may claim this device"}],
    )  # fmt: skip
    assert holder(desk) == "clinician-1"


async def test_who_does_not_hold_it_hands_nothing_over(desk: Reception) -> None:
    assert answers(desk.hand(signed(release("plc7"))))[0][1:] == ("rejected", "SES.CLAIM_EXPIRED")
    assert holder(desk) == ""
    desk.hand(arrival(b"PAUSE", TOPICS.command("dev1", "plc7", "session.pause")))
    assert holder(desk) == ""


@pytest.mark.rule("G03", "M05")
@pytest.mark.hazard("H24")
async def test_a_machine_starts_what_a_person_has_armed_and_nothing_else(tmp_path: Path) -> None:
    """Over the whole way: armed by a person, handed over, started by a line of text, paused by another."""
    people = {
        "dr": Principal("dr", Role.PHYSIO, frozenset({"dev1"}), keys(key(CLINICIAN))),
        "plc7": Principal("plc7", Role.AUTOMATION, frozenset({"dev1"})),
    }
    outbox, ward, numbers = Outbox(), Ward(tmp_path), iter(range(1_000_000))
    challenges = Challenges(people, lambda: f"{next(numbers):08d}")
    ward.voice = Voice(TOPICS, "b-1", outbox, challenges)
    await ward.open()
    await ward.prepared()
    door = Door(TOPICS, frozenset({"dev1"}), people, Signatures(), memory(ward.journal), challenges.seen_by)
    desk = Desk(door, ward.journal, ward.voice, {"dev1": ward.actor}, ward.records, ward.boot_id, clock.now, challenges)

    def line(words: str, verb: str) -> bytes:
        """What the machine sends, and reads."""
        nonce = [each.payload for each in outbox.sent if each.topic == TOPICS.challenge_text("dev1", "plc7")][-1]
        before = len(outbox.sent)
        text = words.replace("NONCE", nonce.decode()).encode()
        desk.on_command(arrival(text, TOPICS.command("dev1", "plc7", verb)))
        return b" ".join(
            each.payload[:13] for each in outbox.sent[before:] if each.topic == TOPICS.ack_text("dev1", "plc7")
        )

    assert line("START rx-1 NONCE", "session.start").startswith(b"REJECTED SES.")
    await ward.must(ArmSession())
    assert line("START rx-1 NONCE", "session.start") == b"REJECTED SES."
    now_ms = clock.now().wall_ms
    times = {"issued_at": utc_text(now_ms), "expires_at": utc_text(now_ms + 3_000)}
    desk.on_command(signed(fields("device.release", issuer="dr", body={"to": "plc7"}, **times)))
    assert ward.actor.station.phase is Phase.ARMED
    assert line("RENEW NONCE", "device.renew") == b"SUCCEEDED OK "
    assert line("START rx-2 NONCE", "session.start") == b"REJECTED CMD."
    assert line("START rx-1@1 NONCE", "session.start") == b"SUCCEEDED OK "
    await until(ward.pulses)
    assert ward.actor.station.phase is Phase.RUNNING
    line("PAUSE", "session.pause")
    await ward.reaches(Phase.PAUSED)
    await ward.is_off()
    await ward.close()
