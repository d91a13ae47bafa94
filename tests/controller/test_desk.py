"""The desk: one outcome for every message, a stop before all else, answers that are remembered, floods that are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from controller import clock
from controller import desk as module
from controller.contract.accept import Asker, Door, digest_of
from controller.contract.envelope import utc_text
from controller.desk import Desk, memory
from controller.identity import BrokerStamp
from controller.journal import JournalFullError
from controller.prescriptions import instantiate
from controller.voice import Voice
from safety.messages import ArmSession, Asked, Now
from tests.controller.logbook import held
from tests.controller.peer import until
from tests.controller.reception import Outbox, Reception, answers, numbered
from tests.controller.ward import Ward
from tests.controller.wire import ID, NOW, PRINCIPALS, TOPICS, arrival, fields
from tests.golden.native import layout

Lines = list[MutableMapping[str, Any]]

ACK = TOPICS.ack("dev1", "clinician-1", ID)


@pytest.fixture(autouse=True)
def logged() -> Iterator[Lines]:
    """What was logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Reception]:
    made = Reception(tmp_path)
    await made.open()
    yield made
    await made.close()


# Every outcome


async def test_a_command_is_handed_on_and_answered_where_its_asker_listens(desk: Reception) -> None:
    reply = TOPICS.ack("dev1", "clinician-1", "mine")
    sent = desk.give(fields("device.claim"), reply=reply, correlation=b"77")
    assert [(one.topic, one.qos, one.retain, one.correlation) for one in sent] == [
        (TOPICS.summary("dev1"), 1, True, None), (ACK, 1, False, b"77"), (reply, 1, False, b"77"),
    ]  # fmt: skip
    assert sent[1].payload == sent[2].payload
    assert sent[1].said | {"text": ""} == {
        "schema": "stim.answer/1", "command_id": ID, "status": "succeeded", "code": "OK", "text": "", "rule": None,
        "limit": None, "requested": None, "unit": None, "reasons": [], "fields": [],
        "details": {"expires_in_ms": 60_000}, "explained": None, "audit_seq": None, "boot_id": "b-4",
        "at": utc_text(NOW.wall_ms),
    }  # fmt: skip
    holder = desk.actors["dev1"].station.holder
    assert holder is not None
    assert holder.principal == "clinician-1"


async def test_the_summary_comes_before_the_answer_that_speaks_of_it(desk: Reception) -> None:
    summary, answer = desk.ask("device.claim")
    assert (summary.topic, summary.said["claimed_by"]) == (TOPICS.summary("dev1"), "clinician-1")
    assert (answer.topic, answer.said["status"]) == (ACK, "succeeded")


async def test_what_is_no_command_is_refused_in_words(desk: Reception) -> None:
    (sent,) = desk.ask("session.adjust", body={"channel": 1})
    assert (sent.topic, sent.said["status"], sent.said["code"]) == (ACK, "rejected", "CMD.SCHEMA")
    assert [fault["field"] for fault in sent.said["fields"]] == ["body.delta_ua"]
    assert answers(desk.give(b"{", TOPICS.command("dev1", "clinician-1", "session.start"))) == [
        (TOPICS.ack("dev1", "clinician-1", ""), "rejected", "CMD.SCHEMA")
    ]


async def test_what_the_heart_refuses_is_answered_and_remembered(desk: Reception) -> None:
    first = desk.ask("session.start")
    assert answers(first) == [(ACK, "rejected", "SES.STATE")]
    assert desk.ask("session.start") == first


async def test_the_same_message_again_gets_the_stored_answer_and_does_nothing(desk: Reception) -> None:
    first = desk.ask("device.claim")
    desk.now = Now(NOW.mono_ms + 3_000, NOW.wall_ms + 3_000)
    held = desk.actors["dev1"].station.holder
    assert desk.ask("device.claim") == first[1:]
    assert desk.actors["dev1"].station.holder is held


async def test_another_message_under_a_known_id_is_refused(desk: Reception) -> None:
    desk.ask("device.claim")
    assert answers(desk.ask("device.release")) == [(ACK, "rejected", "CMD.ID_REUSED")]


async def test_while_the_first_is_under_way_a_repeat_gets_no_answer(desk: Reception) -> None:
    message = arrival(fields("device.claim"))
    desk.journal.remember("clinician-1", ID, digest_of(message), None, NOW)
    assert desk.ask("device.claim") == []


async def test_a_renewal_is_not_remembered(desk: Reception) -> None:
    desk.ask("device.claim")
    desk.now = Now(NOW.mono_ms + 2_000, NOW.wall_ms + 2_000)
    for _ in range(2):
        (answer,) = answers(desk.ask("device.renew", command_id=numbered(1)))
        assert answer[1:] == ("succeeded", "OK")
    assert desk.journal.recall("clinician-1", numbered(1)) is None


async def test_a_held_button_is_not_remembered_and_a_press_is(desk: Reception) -> None:
    desk.ask("device.claim")
    for number, delta_ua, is_kept in ((1, 0, False), (2, 1_000, True), (3, -1_000, True)):
        desk.ask("calibration.step", command_id=numbered(number), body={"delta_ua": delta_ua})
        assert (desk.journal.recall("clinician-1", numbered(number)) is not None) is is_kept


async def test_the_service_says_how_its_devices_are(desk: Reception) -> None:
    desk.ask("device.claim")
    (sent,) = desk.give(fields("service.status", command_id=numbered(1), issuer="visitor"))
    assert (sent.topic, sent.said["status"]) == (TOPICS.ack("dev1", "visitor", numbered(1)), "succeeded")
    assert sent.said["details"] == {
        "devices": 2, "dev1.phase": "offline", "dev1.claimed_by": "clinician-1", "dev1.latches": 0,
        "dev2.phase": "offline", "dev2.claimed_by": "", "dev2.latches": 0,
    }  # fmt: skip


async def test_what_is_addressed_to_nobody_here_is_dropped(desk: Reception) -> None:
    assert desk.ask("device.claim", device="dev3") == []
    assert desk.give(fields("device.claim"), "stim/v1/ward3/dev1/cmd") == []


async def test_while_the_record_cannot_be_written_nothing_is_begun(desk: Reception) -> None:
    await desk.journal.close()
    assert answers(desk.ask("device.claim")) == [(ACK, "rejected", "SYS.AUDIT_UNWRITABLE")]
    assert desk.actors["dev1"].station.holder is None


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(desk: Reception, logged: Lines) -> None:
    remember = desk.journal.remember

    def full(principal: str, command_id: str, digest: str, answer_json: str | None, now: Now) -> None:
        if answer_json is not None:
            raise JournalFullError("4096 items wait for the disk")
        remember(principal, command_id, digest, answer_json, now)

    desk.journal.remember = full  # type: ignore[method-assign]
    assert answers(desk.ask("device.claim")) == [(ACK, "succeeded", "OK")]
    assert [line["event"] for line in logged] == ["answer.not_kept"]


RX = instantiate("calf", "p-1", NOW.wall_ms)
PREPARE = {"prescription_id": RX.ref, "patient_ref": "p-1"}


async def test_a_prescription_is_looked_up_before_it_is_asked_and_nobody_waits(desk: Reception) -> None:
    desk.clinic.add(RX, NOW.wall_ms)
    assert desk.ask("session.prepare", body=PREPARE) == []
    assert answers(desk.ask("device.claim", command_id=numbered(1))) == [
        (TOPICS.ack("dev1", "clinician-1", numbered(1)), "succeeded", "OK")
    ]
    await desk.desk.looked_up()
    assert answers(desk.outbox.take()) == [(ACK, "rejected", "SES.STATE")]


async def test_records_that_cannot_be_read_are_told_in_words(desk: Reception, logged: Lines) -> None:
    (desk.folder / "ledger.db").rename(desk.folder / "away.db")
    desk.ask("session.prepare", body=PREPARE)
    await desk.desk.looked_up()
    assert answers(desk.outbox.take()) == [(ACK, "rejected", "DOSE.LEDGER_UNAVAILABLE")]
    assert [line["event"] for line in logged] == ["records.unavailable"]
    (desk.folder / "away.db").rename(desk.folder / "ledger.db")
    known = desk.journal.recall("clinician-1", ID)
    assert known is not None
    assert "DOSE.LEDGER_UNAVAILABLE" in str(known[1])


async def test_a_lookup_that_breaks_is_told_and_the_command_is_answered(desk: Reception, logged: Lines) -> None:
    class Broken:
        async def complete(self, *_: object) -> None:
            raise RuntimeError("a defect of our own")

    desk.desk._records = Broken()  # type: ignore[assignment]
    desk.ask("session.prepare", body=PREPARE)
    await desk.desk.looked_up()
    assert answers(desk.outbox.take()) == [(ACK, "rejected", "SYS.INTERNAL")]
    assert [line["event"] for line in logged] == ["records.failed"]


async def test_what_was_looked_up_when_the_service_had_begun_to_end_is_refused(desk: Reception) -> None:
    desk.ask("session.prepare", body=PREPARE)
    desk.desk.drain()
    desk.outbox.take()
    await desk.desk.looked_up()
    assert answers(desk.outbox.take()) == [(ACK, "rejected", "SYS.DRAINING")]


# Stops


async def test_a_stop_is_obeyed_and_answered(desk: Reception) -> None:
    assert answers(desk.ask("session.stop")) == [(ACK, "succeeded", "OK")]


async def test_a_stop_that_comes_again_is_obeyed_again(desk: Reception) -> None:
    for _ in range(2):
        assert answers(desk.ask("session.stop")) == [(ACK, "succeeded", "OK")]
    assert desk.journal.recall("clinician-1", ID) is None


async def test_a_stop_of_all_is_answered_by_each_and_for_all(desk: Reception) -> None:
    assert answers(desk.ask("stop", device="_all")) == [
        (TOPICS.ack("dev1", "clinician-1", ID), "succeeded", "OK"),
        (TOPICS.ack("dev2", "clinician-1", ID), "succeeded", "OK"),
        (TOPICS.ack("_all", "clinician-1", ID), "succeeded", "OK"),
    ]


@pytest.mark.hazard("H33")
async def test_an_irregular_stop_is_obeyed_and_raises_an_alarm_that_names_its_principal(desk: Reception) -> None:
    sent = desk.ask("session.stop", retained=True)
    assert answers(sent) == [(ACK, "succeeded", "OK")]
    (alarm,) = [one for one in sent if one.topic == TOPICS.event("dev1", "alarm.raised")]
    assert (alarm.said["code"], alarm.said["priority"]) == ("CMD.RETAINED", "medium")
    assert alarm.said["details"] == {"principal": "clinician-1"}


async def test_an_irregular_stop_of_all_raises_it_for_each(desk: Reception) -> None:
    sent = desk.give(b"", TOPICS.command("_all", "stranger", "stop"))
    assert [one.topic for one in sent if "/event/" in one.topic] == [
        TOPICS.event("dev1", "alarm.raised"), TOPICS.event("dev2", "alarm.raised"),
    ]  # fmt: skip
    assert [topic for topic, _, _ in answers(sent)] == [
        TOPICS.ack(device, "stranger", "") for device in ("dev1", "dev2", "_all")
    ]


async def test_a_nameless_stop_is_obeyed_and_answered_nowhere(desk: Reception) -> None:
    sent = desk.give(b"", TOPICS.command("dev1", "Ward.Sister", "stop"))
    assert answers(sent) == []
    assert [one.said["details"] for one in sent if "/event/" in one.topic] == [{"principal": ""}]


def planted(*_: object) -> NoReturn:
    raise ZeroDivisionError


@pytest.mark.hazard("H10")
@pytest.mark.parametrize("part", ["the door", "the voice"])
async def test_a_mistake_of_ours_in_a_stop_stops_everything(
    desk: Reception, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    stopped: list[tuple[str, str]] = []
    for name, actor in desk.actors.items():
        monkeypatch.setattr(actor, "post", lambda event, name=name: stopped.append((name, event.command.principal)))
    target, name = {"the door": (Door, "accept"), "the voice": (desk.voice, "expect")}[part]
    monkeypatch.setattr(target, name, planted)
    with pytest.raises(ZeroDivisionError):
        desk.desk.on_stop(arrival(fields("session.stop")))
    assert stopped == [("dev1", "service"), ("dev2", "service")]


async def test_the_end_of_the_service_stops_all_and_lets_nothing_begin(desk: Reception) -> None:
    desk.ask("device.claim")
    desk.desk.drain()
    assert answers(desk.ask("device.release", command_id=numbered(1))) == [
        (TOPICS.ack("dev1", "clinician-1", numbered(1)), "rejected", "SYS.DRAINING")
    ]
    assert answers(desk.ask("session.stop", command_id=numbered(2)))[0][1:] == ("succeeded", "OK")
    assert answers(desk.ask("service.status", command_id=numbered(3)))[0][1:] == ("succeeded", "OK")


@pytest.mark.hazard("H10")
async def test_a_stop_stands_behind_no_command(tmp_path: Path) -> None:
    """Two hundred commands are handed in at one go, and then a stop: it is the next frame on the line."""
    outbox, ward = Outbox(), Ward(tmp_path)
    ward.voice = Voice(TOPICS, "b-1", outbox)
    await ward.open()
    await ward.running()
    door = Door(TOPICS, frozenset({"dev1"}), PRINCIPALS, BrokerStamp(), memory(ward.journal))
    desk = Desk(door, ward.journal, ward.voice, {"dev1": ward.actor}, ward.records, ward.boot_id, clock.now)
    now_ms = clock.now().wall_ms
    times = {"issued_at": utc_text(now_ms), "expires_at": utc_text(now_ms + 10_000)}
    before = len(ward.types())
    for number in range(200):
        desk.on_command(arrival(fields("session.start", command_id=numbered(number), **times)))
    desk.on_stop(arrival(fields("session.stop", command_id=numbered(200), **times)))
    said = [one for one in outbox.sent if one.topic.endswith(numbered(200))]
    assert [(one.said["status"], one.said["code"]) for one in said] == [("succeeded", "OK")]
    assert len([one for one in outbox.sent if one.topic.startswith(TOPICS.ack("dev1", "clinician-1", ID[:-4]))]) == 201
    await until(lambda: len(ward.types()) > before)
    assert ward.types()[before] == layout.STOP
    await ward.is_off()
    await ward.close()


# Floods


async def test_ten_refusals_a_second_are_answered_and_logged_and_the_rest_is_counted(
    desk: Reception, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        desk.ask("session.begin", command_id=numbered(number))
    for _ in range(15):
        desk.give(b"", TOPICS.command("dev3", "stranger", "session.start"))
    assert [line["code"] for line in logged] == ["CMD.UNKNOWN_VERB"] * 10 + ["CMD.TOPIC_MISMATCH"] * 10
    logged.clear()
    desk.now = Now(NOW.mono_ms + 1_000, NOW.wall_ms)
    assert len(desk.ask("session.begin")) == 1
    assert [line["event"] for line in logged] == ["command.refused"]
    logged.clear()
    monkeypatch.setattr(module, "REPORT_S", 0.01)
    reporting = asyncio.create_task(desk.desk.report())
    await until(lambda: len(logged) >= 2)
    await asyncio.sleep(0.1)
    reporting.cancel()
    with suppress(asyncio.CancelledError):
        await reporting
    assert [(line["event"], line["principal"], line["count"]) for line in logged] == [
        ("commands.unanswered", "clinician-1", 15), ("commands.unanswered", "", 5),
    ]  # fmt: skip


async def test_a_flood_of_refusals_leaves_no_trace_in_the_journal(desk: Reception) -> None:
    for number in range(50):
        desk.ask("session.begin", command_id=numbered(number))
    assert desk.journal.unanswered() == ()
    assert desk.journal.recall("clinician-1", numbered(0)) is None


# After a crash


async def test_what_had_begun_is_answered_for_good_after_a_restart(tmp_path: Path) -> None:
    first = Reception(tmp_path)
    message = arrival(fields("session.start"))
    first.journal.remember("clinician-1", ID, digest_of(message), None, NOW)
    await first.close()
    again = Reception(tmp_path, boot_id="b-5")
    again.desk.answer_orphans()
    await again.open()
    (sent,) = again.ask("session.start")
    assert (sent.topic, sent.said["status"], sent.said["code"]) == (ACK, "failed", "SYS.RESTARTED")
    assert (sent.said["boot_id"], sent.said["command_id"]) == ("b-5", ID)
    assert again.ask("session.start") == [sent]
    assert again.journal.unanswered() == ()
    await again.close()


async def test_what_was_accepted_and_never_done_is_no_answer_for_good(tmp_path: Path) -> None:
    """The arming waits for the journal when the service dies: `accepted` must not be all that a repeat ever hears."""
    outbox, ward = Outbox(), Ward(tmp_path)
    ward.voice = Voice(TOPICS, "b-1", outbox)
    await ward.open()
    await ward.prepared()
    arm = ward.command(ArmSession())
    ward.journal.remember(arm.principal, arm.id, "digest", None, clock.now())
    asker, kept = Asker("dev1", arm.principal, arm.id, None, None), list[bytes]()
    ward.voice.expect("dev1", asker, kept.append)
    blocker = held(tmp_path / "journal.db")
    ward.actor.post(Asked(arm))
    assert [one.said["status"] for one in outbox.under("ack")] == ["accepted"]
    assert kept == []
    assert ward.journal.unanswered() == ((arm.principal, arm.id),)
    blocker.close()
    await ward.final(arm.id)
    assert [one.said["status"] for one in outbox.under("ack")] == ["accepted", "succeeded"]
    assert kept == [outbox.under("ack")[1].payload]
    await ward.close()


# What the broker's shell tells


async def test_what_the_shell_tells_is_logged(desk: Reception, logged: Lines) -> None:
    desk.desk.on_up()
    desk.desk.on_down("gone")
    desk.desk.on_conflict("b-9")
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("service.ready", "info"), ("service.deaf", "warning"), ("service.conflict", "error"),
    ]  # fmt: skip
