"""What is said, where, in which order, and how often: answers, events, retained state, telemetry."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from rig import CAPS, IDENTITY, WALL_MS, IdealDevice, Rig, config, only, plan, rx

from controller.contract.accept import Asker
from controller.contract.answers import SummaryMessage, inactive
from controller.contract.envelope import utc_text
from controller.voice import TELEMETRY_MS, Voice, alarm
from safety.effects import Answer, Event
from safety.messages import (
    Claim,
    Command,
    DeviceUp,
    Expect,
    Heard,
    Latch,
    Now,
    Prepare,
    Start,
)
from safety.verdict import Clear, Reason, Scope, Severity
from safety.waveform import Picture
from tests.controller.reception import Outbox, Published
from tests.controller.wire import ID, TOPICS

NOW = Now(1_000_000, WALL_MS)
COMMAND = Command(
    id=ID, principal="clinician-1", role="physio", issued_wall_ms=0, expires_wall_ms=0, retained=False, expect=Expect(),
    wish=Start(),
)  # fmt: skip
ASKER = Asker("dev1", "clinician-1", ID, None, None)
REPLY = TOPICS.ack("dev1", "clinician-1", "mine")
ACK = TOPICS.ack("dev1", "clinician-1", ID)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def voice(outbox: Outbox) -> Voice:
    return Voice(TOPICS, "b-4", outbox)


def answer(status: str, code: str = "OK", *reasons: Reason, **details: int | str) -> Answer:
    return Answer(command=COMMAND, status=status, code=code, reasons=reasons, details=tuple(details.items()))


# Answers


def test_an_answer_that_nobody_waits_for_is_not_sent(voice: Voice, outbox: Outbox) -> None:
    voice.answer("dev1", answer("succeeded"), NOW)
    voice.expect("dev2", ASKER._replace(device="dev2"), lambda _: None)
    voice.answer("dev1", answer("succeeded"), NOW)
    assert outbox.sent == []


def test_interim_answers_are_sent_and_the_final_one_is_sent_and_kept_and_is_the_last(
    voice: Voice, outbox: Outbox
) -> None:
    kept: list[bytes] = []
    voice.expect("dev1", ASKER._replace(response_topic=REPLY, correlation=b"7"), kept.append)
    for status in ("accepted", "in_progress", "succeeded", "failed"):
        voice.answer("dev1", answer(status), NOW)
    assert [(one.topic, one.said["status"], one.correlation) for one in outbox.sent] == [
        (topic, status, b"7") for status in ("accepted", "in_progress", "succeeded") for topic in (ACK, REPLY)
    ]
    assert kept == [outbox.sent[-1].payload]
    assert {(one.qos, one.retain) for one in outbox.sent} == {(1, False)}


@pytest.mark.parametrize("status", ["rejected", "succeeded", "failed", "timed_out"])
def test_every_final_status_is_kept_before_it_is_sent(voice: Voice, outbox: Outbox, status: str) -> None:
    sent_before: list[int] = []
    voice.expect("dev1", ASKER, lambda _: sent_before.append(len(outbox.sent)))
    voice.answer("dev1", answer(status), NOW)
    assert (sent_before, len(outbox.sent)) == ([0], 1)


def test_an_answer_says_what_the_heart_said(voice: Voice, outbox: Outbox) -> None:
    over = Reason("M18", Severity.STOP, "DOSE.SESSION", 1, 846_200, 800_000, "nC")
    voice.expect("dev1", ASKER, lambda _: None)
    voice.answer("dev1", answer("rejected", "DOSE.SESSION", over, permit=7), NOW)
    (sent,) = outbox.sent
    said = sent.said
    assert (said["rule"], said["requested"], said["limit"], said["unit"]) == ("M18", 846_200, 800_000, "nC")
    assert (said["boot_id"], said["at"], said["details"]) == ("b-4", utc_text(WALL_MS), {"permit": 7})


def test_two_devices_may_be_asked_under_one_id(voice: Voice, outbox: Outbox) -> None:
    for device in ("dev1", "dev2"):
        voice.expect(device, ASKER._replace(device=device), lambda _: None)
    voice.answer("dev2", answer("succeeded"), NOW)
    voice.answer("dev1", answer("failed"), NOW)
    assert [(one.topic, one.said["status"]) for one in outbox.sent] == [
        (TOPICS.ack("dev2", "clinician-1", ID), "succeeded"), (ACK, "failed"),
    ]  # fmt: skip


# Events


def test_the_numbers_of_events_have_no_gap_and_each_device_has_its_own(voice: Voice, outbox: Outbox) -> None:
    for device in ("dev1", "dev2", "dev1", "dev1", "dev2"):
        voice.event(device, Event(kind="session.started"), NOW)
    assert [(one.said["device"], one.said["event_seq"]) for one in outbox.sent] == [
        ("dev1", 1), ("dev2", 1), ("dev1", 2), ("dev1", 3), ("dev2", 2),
    ]  # fmt: skip
    assert {(one.topic, one.qos, one.retain) for one in outbox.sent} == {
        (TOPICS.event(device, "session.started"), 1, False) for device in ("dev1", "dev2")
    }


def test_an_event_says_what_the_heart_said(voice: Voice, outbox: Outbox) -> None:
    open_pad = Reason("M07", Severity.STOP, "IMP.OPEN", 1, 90_000, 40_000, "ohm")
    voice.event(
        "dev1", Event(kind="session.stopped", rule="M07", code="IMP.OPEN", priority="medium", reasons=(open_pad,)), NOW
    )
    (sent,) = outbox.sent
    said = sent.said
    assert {key: said[key] for key in ("site", "device", "kind", "priority", "rule", "code", "boot_id")} == {
        "site": "ward3", "device": "dev1", "kind": "session.stopped", "priority": "medium", "rule": "M07",
        "code": "IMP.OPEN", "boot_id": "b-4",
    }  # fmt: skip
    assert [(reason["rule"], reason["channel"]) for reason in said["reasons"]] == [("M07", 1)]


# State


def shown(voice: Voice, outbox: Outbox, rig: Rig) -> SummaryMessage:
    """What is shown of a station, retained."""
    voice.state(rig.station, rig.now)
    (sent,) = outbox.take()
    assert (sent.topic, sent.qos, sent.retain) == (TOPICS.summary("dev1"), 1, True)
    return SummaryMessage.read(sent.payload)


def test_a_station_without_a_session(voice: Voice, outbox: Outbox) -> None:
    rig = Rig()
    said = shown(voice, outbox, rig)
    assert (said.phase, said.armed, said.session_id, said.prescription_id, said.claimed_by) == (
        "offline", False, None, None, None,
    )  # fmt: skip
    assert (said.channels, said.limits, said.latches, said.alarms) == ([], {}, [], [])
    assert (said.boot_id, said.state_version, said.as_of) == ("b-4", rig.station.tally.version, utc_text(rig.wall_ms))


def test_a_session_that_runs(voice: Voice, outbox: Outbox) -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=2, site="right-quadriceps", ua=10_000)))
    session = rig.station.session
    assert session is not None
    said = shown(voice, outbox, rig)
    assert (said.phase, said.armed, said.session_id, said.prescription_id, said.claimed_by) == (
        "running", True, session.id, "rx-1@1", "physio-1",
    )  # fmt: skip
    assert (said.played_ms, said.therapy_ms) == (45 * 50, 60_000)
    assert [channel.model_dump() for channel in said.channels] == [
        {
            "channel": number, "setpoint_ua": ua, "max_ua": 30_000, "ohm": 1_500, "spent_nc": channel.spent[0],
            "on_ms": channel.spent[2],
        }
        for number, ua, channel in zip((1, 2), (20_000, 10_000), session.channels, strict=True)
    ]  # fmt: skip
    assert said.channels[0].spent_nc == 2 * said.channels[1].spent_nc > 0
    assert said.limits["amplitude_ua"] == 80_000
    assert said.inactive == inactive(CAPS)
    assert "p-1" not in said.model_dump_json()


def test_a_session_before_its_check_has_no_ohms(voice: Voice, outbox: Outbox) -> None:
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(Prepare(rx(), "rx-1@1", "p-1"))
    said = shown(voice, outbox, rig)
    assert (said.phase, said.armed, [channel.ohm for channel in said.channels]) == ("prepared", False, [None])


def test_a_latch_is_an_alarm_until_it_is_cleared(voice: Voice, outbox: Outbox) -> None:
    rig = Rig().plateau()
    rig.give_pause()
    said = shown(voice, outbox, rig)
    assert [(latch.rule, latch.clear) for latch in said.latches] == [("M28", "ack_operator")]
    assert [(one.rule, one.code, one.priority, one.since) for one in said.alarms] == [
        ("M28", "FLT.LATCHED", "medium", said.latches[0].since)
    ]


@pytest.mark.parametrize(
    ("clear", "priority"),
    [
        (Clear.AUTO, "medium"), (Clear.ACK_OPERATOR, "medium"), (Clear.NEW_SESSION, "medium"),
        (Clear.ACK_QUALIFIED, "high"), (Clear.MAINTENANCE, "high"),
    ],
)  # fmt: skip
def test_who_must_clear_a_latch_tells_how_urgent_its_alarm_is(clear: Clear, priority: str) -> None:
    said = alarm(Latch(7, Scope.DEVICE, "M29", clear, "", WALL_MS))
    assert (said.kind, said.priority, said.rule, said.since) == ("fault.latched", priority, "M29", utc_text(WALL_MS))


def test_what_a_device_can_do_is_shown_retained(voice: Voice, outbox: Outbox) -> None:
    voice.device("dev1", DeviceUp(IDENTITY, CAPS, IdealDevice().status(0)), NOW)
    (sent,) = outbox.sent
    assert (sent.topic, sent.qos, sent.retain) == (TOPICS.capabilities("dev1"), 1, True)
    assert {key: sent.said[key] for key in ("model", "serial", "channels", "max_ua", "dead_man_ms")} == {
        "model": "stimwarden-native", "serial": "E1", "channels": 8, "max_ua": 100_000, "dead_man_ms": 500,
    }  # fmt: skip


# Telemetry


class Flow:
    """A session on two channels, and the device's words about it at times of the test's choice."""

    def __init__(self, voice: Voice, outbox: Outbox) -> None:
        self.voice, self.outbox = voice, outbox
        self.rig = Rig().plateau(rx(plan(), plan(channel=2, site="right-quadriceps", ua=10_000)))

    def hear(self, at_ms: int, **changes: object) -> list[Published]:
        """Let the device speak; gives what is published."""
        device = self.rig.device
        device.given = {1, 2}
        device.sample_changes = {2: changes}
        heard = Heard(1, device.status(at_ms), device.samples())
        self.voice.readback(self.rig.station, heard, Now(at_ms, WALL_MS + at_ms))
        return self.outbox.take()


@pytest.fixture
def flow(voice: Voice, outbox: Outbox) -> Flow:
    return Flow(voice, outbox)


def test_every_channel_of_the_session_is_told_and_no_other(flow: Flow) -> None:
    first, second = flow.hear(1_000)
    assert [(one.topic, one.qos, one.retain) for one in (first, second)] == [
        (TOPICS.telemetry("dev1", channel), 0, False) for channel in (1, 2)
    ]
    charge_nc = flow.rig.device.charge_nc[1]
    assert first.said == {
        "schema": "stim.telemetry/1", "channel": 1, "sample": 1, "commanded_ua": 20_000, "delivered_ua": 20_000,
        "charge_nc": charge_nc, "ohm": 1_500, "boot_id": "b-4", "at": utc_text(WALL_MS + 1_000),
    }  # fmt: skip
    assert (second.said["commanded_ua"], second.said["delivered_ua"]) == (10_000, 10_000)


def test_what_was_not_measured_is_not_told(flow: Flow) -> None:
    _, second = flow.hear(1_000, **only(fresh=False))
    assert (second.said["delivered_ua"], second.said["ohm"]) == (0, None)
    _, second = flow.hear(2_000, **only(open=True))
    assert (second.said["delivered_ua"], second.said["ohm"]) == (10_000, None)


def test_between_two_pictures_nothing_is_commanded(flow: Flow) -> None:
    station = flow.rig.station
    flow.rig.station = station._replace(beat=station.beat._replace(picture=Picture(())))
    assert [one.said["commanded_ua"] for one in flow.hear(1_000)] == [0, 0]


@pytest.mark.parametrize("every_ms", [10, 50, 100])
def test_a_device_that_speaks_often_is_told_ten_times_a_second(flow: Flow, every_ms: int) -> None:
    told = [at_ms for at_ms in range(5_000, 15_000, every_ms) if flow.hear(at_ms)]
    assert len(told) in {100, 101}
    assert {late - early for early, late in pairwise(told)} <= {80, 90, 100, 110}


def test_jitter_loses_no_word(flow: Flow) -> None:
    moments = [5_000 + 100 * number + (-20, 0, 20, 5, -5)[number % 5] for number in range(200)]
    assert [at_ms for at_ms in moments if not flow.hear(at_ms)] == []


def test_after_silence_it_does_not_make_up_for_what_was_not_said(flow: Flow) -> None:
    flow.hear(1_000)
    told = [at_ms for at_ms in range(60_000, 61_000, 10) if flow.hear(at_ms)]
    assert len(told) <= 1_000 // TELEMETRY_MS + 1


def test_samples_are_numbered_without_a_gap_and_each_device_has_its_own_time(flow: Flow) -> None:
    first = [
        one.said["sample"] for at_ms in range(1_000, 2_000, 50) for one in flow.hear(at_ms) if one.said["channel"] == 2
    ]
    assert first == list(range(1, len(first) + 1))
    flow.rig.station = flow.rig.station._replace(config=replace(config(), device="dev2"))
    assert [one.said["sample"] for one in flow.hear(1_990)] == [1, 1]


def test_without_a_session_nothing_is_told(voice: Voice, outbox: Outbox) -> None:
    rig = Rig()
    rig.up()
    voice.readback(rig.station, Heard(0, rig.device.status(0), rig.device.samples()), NOW)
    assert outbox.sent == []
