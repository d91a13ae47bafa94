"""Nonces: given to machines, for one state of one device, once, and for half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.contract.accept import Accepted
from controller.contract.envelope import Arrival
from controller.identity import Principal, Role, Signatures
from controller.identity.challenge import LASTS_MS, Challenges, written
from safety.messages import Expect, Now
from tests.controller.reception import Published, Reception, answers, numbered
from tests.controller.signed import LINE, PEOPLE, key, keys, signed
from tests.controller.wire import ID, NOW, TOPICS, Fields, arrival, code_of, fields

PLC = Principal("plc7", Role.AUTOMATION, frozenset({"dev1"}), keys(key(LINE)))
OTHER = Principal("plc8", Role.AUTOMATION, frozenset({"*"}))
CLOCKLESS = {"issued_at": None, "expires_at": None}


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def desk(tmp_path: Path) -> Any:  # noqa: ANN401 - an asynchronous generator
    made = Reception(tmp_path, principals={**PEOPLE, "plc7": PLC, "plc8": OTHER}, proof=Signatures())
    await made.open()
    made.desk.mind()
    yield made
    await made.close()


def machine(verb: str, nonce: str | None = None, number: int = 1, **of: Any) -> Fields:  # noqa: ANN401
    """A command of a PLC that has no clock."""
    content = fields(verb, command_id=numbered(number), issuer="plc7", **of)
    if nonce is not None:
        del content["issued_at"], content["expires_at"]
        content["nonce"] = nonce
    return content


def shown(published: list[Published], who: str = "plc7", device: str = "dev1") -> list[str]:
    """The nonces that were shown to somebody."""
    return [each.said["nonce"] for each in published if each.topic == TOPICS.challenge(device, who)]


def newest(desk: Reception) -> str:
    """What a PLC reads."""
    given = desk.challenges._given["dev1", "plc7"]
    return given.nonce


# Who is given one


async def test_every_machine_is_shown_a_nonce_of_each_of_its_devices_and_nobody_else_is(tmp_path: Path) -> None:
    desk = Reception(tmp_path, principals={**PEOPLE, "plc7": PLC, "plc8": OTHER}, proof=Signatures())
    for actor in desk.actors.values():
        await actor.boot()
    kept = {one.topic: one for one in desk.outbox.take() if "/challenge/" in one.topic}
    assert set(kept) == {
        topic
        for device, who in (("dev1", "plc7"), ("dev1", "plc8"), ("dev2", "plc8"))
        for topic in (TOPICS.challenge(device, who), TOPICS.challenge_text(device, who))
    }
    assert {(one.qos, one.retain) for one in kept.values()} == {(1, True)}
    whole, text = kept[TOPICS.challenge("dev1", "plc7")], kept[TOPICS.challenge_text("dev1", "plc7")]
    station = desk.actors["dev1"].station
    assert whole.said == {
        "schema": "stim.challenge/1", "device": "dev1", "principal": "plc7", "nonce": text.payload.decode(),
        "session_id": "", "state_version": station.tally.version, "expires_in_ms": LASTS_MS, "boot_id": "b-4",
        "at": whole.said["at"],
    }  # fmt: skip
    await desk.close()


def test_a_nonce_is_written_so_that_it_can_be_copied() -> None:
    assert written("7f3c91d0") == "7F3C-91D0"


# What it stands for


async def test_a_nonce_stands_for_the_times_and_for_what_was_seen(desk: Reception) -> None:
    nonce = newest(desk)
    outcome = desk.door.accept(arrival(machine("session.start", nonce)), NOW)
    assert isinstance(outcome, Accepted)
    station = desk.actors["dev1"].station
    assert (outcome.command.issued_wall_ms, outcome.command.expires_wall_ms) == (NOW.wall_ms, NOW.wall_ms + 5_000)
    assert outcome.command.expect == Expect(boot_id="b-4", session_id="", state_version=station.tally.version)
    assert outcome.nonce == nonce


@pytest.mark.parametrize("missing", [("issued_at",), ("expires_at",), ("issued_at", "expires_at")])
async def test_without_a_nonce_the_times_are_missed(desk: Reception, missing: tuple[str, ...]) -> None:
    content = {name: value for name, value in fields(issuer="plc7").items() if name not in missing}
    (sent,) = desk.give(content, TOPICS.command("dev1", "plc7", "session.start"))
    assert (sent.said["code"], [fault["field"] for fault in sent.said["fields"]]) == ("CMD.SCHEMA", list(missing))


async def test_a_machine_that_does_not_sign_needs_one_for_all_that_lets_something_begin_or_go_on(
    desk: Reception,
) -> None:
    def code(verb: str, **of: Any) -> str:  # noqa: ANN401
        return code_of(desk.door.accept(arrival(machine(verb, **of)), NOW))

    prepare = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
    assert {
        "claim": code("device.claim"), "renew": code("device.renew"), "start": code("session.start"),
        "prepare": code("session.prepare", body=prepare), "release": code("device.release"),
        "pause": code("session.pause"), "status": code("service.status"),
    } == {
        "claim": "CMD.NONCE", "renew": "CMD.NONCE", "start": "CMD.NONCE", "prepare": "CMD.NONCE", "release": "Accepted",
        "pause": "Accepted", "status": "Inquiry",
    }  # fmt: skip
    assert code_of(desk.door.accept(signed(machine("session.start"), LINE), NOW)) == "Accepted"


async def test_a_nonce_does_not_make_up_for_a_persons_signature(desk: Reception) -> None:
    content = fields() | {"nonce": newest(desk)}
    assert code_of(desk.door.accept(arrival(content), NOW)) == "AUTH.BAD_SIGNATURE"
    assert code_of(desk.door.accept(signed(content), NOW)) == "CMD.NONCE"


# When it holds no more


async def test_a_nonce_is_good_for_one_command(desk: Reception) -> None:
    nonce = newest(desk)
    sent = desk.give(machine("device.claim", nonce))
    assert answers(sent) == [(TOPICS.ack("dev1", "plc7", numbered(1)), "succeeded", "OK")]
    assert shown(sent)[-1] == newest(desk) != nonce
    again = desk.give(machine("session.start", nonce, 2))
    assert answers(again) == [(TOPICS.ack("dev1", "plc7", numbered(2)), "rejected", "CMD.NONCE")]


async def test_a_nonce_is_used_up_by_a_command_that_is_refused(desk: Reception) -> None:
    nonce = newest(desk)
    first = desk.give(machine("session.start", nonce))
    assert answers(first)[0][2] == "SES.STATE"
    assert answers(desk.give(machine("session.start", nonce, 2)))[0][2] == "CMD.NONCE"
    assert shown(first) == [newest(desk)]


async def test_the_same_bytes_again_get_the_stored_answer(desk: Reception) -> None:
    message = machine("session.start", newest(desk))
    first = [one for one in desk.give(message) if "/ack/" in one.topic]
    assert desk.give(message) == first


async def test_a_renewal_does_not_use_it_up(desk: Reception) -> None:
    desk.give(machine("device.claim", newest(desk)))
    nonce = newest(desk)
    for number in (2, 3):
        assert answers(desk.give(machine("device.renew", nonce, number)))[0][1] == "succeeded"
    assert newest(desk) == nonce


async def test_a_nonce_lasts_half_a_minute(desk: Reception) -> None:
    def at(later_ms: int) -> str:
        return code_of(desk.door.accept(arrival(machine("session.start", nonce)), Now(NOW.mono_ms + later_ms, 0)))

    nonce = newest(desk)
    assert [at(LASTS_MS - 1), at(LASTS_MS)] == ["Accepted", "CMD.NONCE"]
    desk.now = Now(NOW.mono_ms + LASTS_MS - 1, NOW.wall_ms)
    desk.desk.mind()
    assert (shown(desk.outbox.take()), newest(desk)) == ([], nonce)
    desk.now = Now(NOW.mono_ms + LASTS_MS, NOW.wall_ms)
    desk.desk.mind()
    assert shown(desk.outbox.take()) == [newest(desk)] != [nonce]


async def test_a_nonce_dies_with_the_state_that_it_was_given_for(desk: Reception) -> None:
    nonce = newest(desk)
    clinician = signed(fields("device.claim"))
    sent = desk.hand(clinician)
    assert shown(sent) == [newest(desk)] != [nonce]
    assert answers(desk.give(machine("session.start", nonce)))[0][2] == "CMD.NONCE"


async def test_a_nonce_is_one_devices_and_one_principals(desk: Reception) -> None:
    nonce = newest(desk)
    for of in ({"issuer": "plc8"}, {"device": "dev2", "issuer": "plc8"}):
        content = machine("session.start", nonce) | of
        topic = TOPICS.command(content["device"], "plc8", "session.start")
        assert code_of(desk.door.accept(arrival(content, topic), NOW)) == "CMD.NONCE"


async def test_a_nonce_does_not_outlive_the_service(tmp_path: Path, desk: Reception) -> None:
    message: Arrival = arrival(machine("session.start", newest(desk)))
    (tmp_path / "again").mkdir()
    after = Reception(tmp_path / "again", boot_id="b-5", principals={"plc7": PLC}, proof=Signatures())
    await after.open()
    after.desk.mind()
    assert code_of(after.door.accept(message, NOW)) == "CMD.NONCE"
    await after.close()


async def test_a_question_does_not_use_it_up(desk: Reception) -> None:
    nonce = newest(desk)
    desk.give(machine("service.explain", nonce, body={"verb": "session.start", "body": {}}))
    await desk.desk.looked_up()
    assert answers(desk.outbox.take())[-1][1:] == ("succeeded", "OK")
    assert newest(desk) == nonce


@pytest.mark.parametrize("nonce", ["", "7F3C", "é", "x" * 64])
async def test_what_was_never_given_out_opens_nothing(desk: Reception, nonce: str) -> None:
    assert code_of(desk.door.accept(arrival(machine("session.start", nonce)), NOW)) == "CMD.NONCE"


def test_nobody_gives_out_nonces_that_were_never_asked_for() -> None:
    assert Challenges({}, str).seen_by("dev1", "plc7", "", NOW) is None
    assert ID
