"""Somebody's leave ends while the service runs: claims go at once, and what ran is paused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller import clock
from controller import desk as module
from controller.contract.accept import Door
from controller.desk import COMMANDS_PER_SECOND, RESTATE_EVERY, Desk, memory
from controller.identity import Principal, Role, Signatures
from controller.identity.keys import Span
from controller.identity.register import Register
from controller.tomlfile import FileError
from controller.voice import Voice
from safety.messages import Now
from safety.state import Phase
from tests.controller.peer import until
from tests.controller.reception import Outbox, Published, Reception, answers, numbered
from tests.controller.signed import CLINICIAN, DEVICES, NEXT, OTHER, PEOPLE, key, keys, signed
from tests.controller.ward import Ward
from tests.controller.wire import NOW, TOPICS, Fields, fields

Lines = list[MutableMapping[str, Any]]
WHO = "clinician-1"


@pytest.fixture(autouse=True)
def logged() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def people() -> dict[str, Principal]:
    """Who may ask; a test may change it at any time."""
    return dict(PEOPLE)


@pytest.fixture
async def desk(tmp_path: Path, people: dict[str, Principal]) -> AsyncIterator[Reception]:
    made = Reception(tmp_path, principals=people, proof=Signatures())
    await made.open()
    yield made
    await made.close()


def alarms(published: list[Published]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (each.said["device"], each.said["code"], each.said["details"])
        for each in published
        if each.topic.endswith("/event/alarm.raised")
    ]


def holder(desk: Reception) -> str:
    found = desk.actors["dev1"].station.holder
    return found.principal if found else ""


Change = Callable[[dict[str, Principal]], None]


def revoked(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], revoked=True)


def removed(people: dict[str, Principal]) -> None:
    del people[WHO]


def run_out(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], span=Span(None, NOW.wall_ms))


def key_revoked(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], keys=keys(key(CLINICIAN, revoked=True), key(NEXT)))


def key_run_out(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], keys=keys(key(CLINICIAN, span=Span(None, NOW.wall_ms)), key(NEXT)))


def key_removed(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], keys=keys(key(NEXT)))


def other_key_revoked(people: dict[str, Principal]) -> None:
    people[WHO] = replace(people[WHO], keys=keys(key(CLINICIAN), key(NEXT, revoked=True)))


def somebody_else_revoked(people: dict[str, Principal]) -> None:
    people["clinician-2"] = replace(people["clinician-2"], revoked=True)


@pytest.mark.parametrize("change", [revoked, removed, run_out, key_revoked, key_run_out, key_removed])
async def test_whose_leave_has_ended_holds_nothing(
    desk: Reception, people: dict[str, Principal], change: Change, logged: Lines
) -> None:
    desk.hand(signed(fields("device.claim")))
    desk.desk.mind()
    assert (holder(desk), alarms(desk.outbox.take())) == (WHO, [])
    change(people)
    desk.desk.mind()
    assert holder(desk) == ""
    assert alarms(desk.outbox.take()) == [("dev1", "AUTH.REVOKED", {"principal": WHO})]
    assert [line["event"] for line in logged] == ["principal.dismissed"]
    desk.desk.mind()
    assert alarms(desk.outbox.take()) == []
    other = desk.hand(signed(fields("device.claim", issuer="clinician-2", command_id=numbered(2)), OTHER))
    assert answers(other)[0][1:] == ("succeeded", "OK")


@pytest.mark.parametrize("change", [other_key_revoked, somebody_else_revoked])
async def test_what_does_not_concern_the_holder_changes_nothing(
    desk: Reception, people: dict[str, Principal], change: Change
) -> None:
    desk.hand(signed(fields("device.claim")))
    change(people)
    desk.desk.mind()
    assert (holder(desk), alarms(desk.outbox.take())) == (WHO, [])


async def test_a_revoked_claim_cannot_be_renewed_in_the_moment_before_it_is_taken(
    desk: Reception, people: dict[str, Principal]
) -> None:
    desk.hand(signed(fields("device.claim")))
    revoked(people)
    renewal = desk.hand(signed(fields("device.renew", command_id=numbered(2))))
    assert answers(renewal)[0][1:] == ("rejected", "AUTH.REVOKED")


async def test_a_claim_that_has_run_out_is_not_taken_again(desk: Reception, people: dict[str, Principal]) -> None:
    desk.hand(signed(fields("device.claim")))
    held = desk.actors["dev1"].station.holder
    assert held is not None
    desk.now = Now(held.expires_ms + 1, NOW.wall_ms)
    revoked(people)
    desk.desk.mind()
    assert alarms(desk.outbox.take()) == []


@pytest.mark.rule("M05")
@pytest.mark.hazard("H24")
async def test_a_session_of_somebody_who_is_revoked_is_paused_and_the_current_ends(tmp_path: Path) -> None:
    outbox, ward = Outbox(), Ward(tmp_path)
    ward.voice = Voice(TOPICS, "b-1", outbox)
    await ward.open()
    await ward.running()
    held = ward.actor.station.holder
    assert held is not None
    people = {held.principal: Principal(held.principal, Role.PHYSIO, DEVICES)}
    door = Door(TOPICS, frozenset({"dev1"}), people, Signatures(), memory(ward.journal))
    desk = Desk(door, ward.journal, ward.voice, {"dev1": ward.actor}, ward.records, ward.boot_id, clock.now)
    desk.mind()
    assert (ward.actor.station.phase, ward.actor.station.holder) == (Phase.RUNNING, held)
    people[held.principal] = replace(people[held.principal], revoked=True)
    desk.mind()
    await until(lambda: ward.actor.station.phase is Phase.PAUSED)
    await ward.is_off()
    paused = [each.said for each in outbox.sent if each.topic.endswith("/event/session.paused")]
    assert [each["rule"] for each in paused] == ["M05"]
    await ward.close()


# The file


RIGHT = '[[principal]]\nname = "clinician-1"\nrole = "auditor"\ndevices = ["*"]\n'


async def test_a_file_that_has_become_wrong_is_told_once_and_changes_nothing(tmp_path: Path, logged: Lines) -> None:
    path = tmp_path / "principals.toml"
    path.write_text(RIGHT, encoding="utf-8")
    register = Register(path, Signatures())
    desk = Reception(tmp_path, principals=register, reread=register.refresh)
    await desk.open()
    desk.desk.mind()
    assert (logged, alarms(desk.outbox.take())) == ([], [])
    path.write_text("[[principal]]\n", encoding="utf-8")
    for _ in range(2):
        desk.desk.mind()
    assert [line["event"] for line in logged] == ["principals.wrong"]
    assert [(device, code) for device, code, _ in alarms(desk.outbox.take())] == [
        ("dev1", "SYS.PRINCIPALS"), ("dev2", "SYS.PRINCIPALS"),
    ]  # fmt: skip
    assert set(register) == {"clinician-1"}
    path.write_text(RIGHT.replace("clinician-1", "visitor"), encoding="utf-8")
    desk.desk.mind()
    assert [line["event"] for line in logged] == ["principals.wrong", "principals.read"]
    assert set(register) == {"visitor"}
    desk.desk.mind(anyway=True)
    assert logged[-1] == {"event": "principals.read", "log_level": "info", "count": 1}
    await desk.close()


async def test_looking_after_it_goes_on_whatever_fails(
    desk: Reception, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIND_S", 0.001)
    calls: list[bool] = []

    def planted(anyway: bool) -> bool:
        calls.append(anyway)
        if len(calls) == 1:
            raise FileError(["no file"])
        if len(calls) == 2:
            raise ZeroDivisionError
        return False

    desk.desk._reread = planted
    minding = asyncio.create_task(desk.desk.minding())
    await until(lambda: len(calls) > RESTATE_EVERY)
    minding.cancel()
    with suppress(asyncio.CancelledError):
        await minding
    assert [line["event"] for line in logged] == ["principals.wrong", "desk.failing"]
    assert [each.topic for each in desk.outbox.take() if each.topic.endswith("/summary")][:2] == [
        TOPICS.summary("dev1"), TOPICS.summary("dev2"),
    ]  # fmt: skip


# How much one may ask


def status(number: int) -> Fields:
    return fields("service.status", command_id=numbered(number))


async def test_one_sender_may_ask_only_so_much_in_a_second_and_may_always_stop(desk: Reception) -> None:
    codes = []
    for number in range(COMMANDS_PER_SECOND + 12):
        codes += [code for _, _, code in answers(desk.hand(signed(status(number))))]
    assert codes == ["OK"] * COMMANDS_PER_SECOND + ["CMD.RATE"] * 10
    assert answers(desk.hand(signed(fields("session.stop", command_id=numbered(999)))))[0][1:] == ("succeeded", "OK")
    other = signed(status(0) | {"issuer": "clinician-2"}, OTHER)
    assert answers(desk.hand(other))[0][2] == "OK"
    desk.now = Now(NOW.mono_ms + 1_000, NOW.wall_ms)
    assert answers(desk.hand(signed(status(1_000))))[0][2] == "OK"


async def test_who_cannot_sign_does_not_use_up_what_another_may_ask(desk: Reception) -> None:
    for number in range(COMMANDS_PER_SECOND + 1):
        desk.give(status(number))
    assert answers(desk.hand(signed(status(0))))[0][2] == "OK"
