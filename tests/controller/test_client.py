"""The client and the service's door over real brokers: one command, one certain answer, whatever was sent."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.broker import Address, BrokerError, Connection
from controller.client import BACKLOG, Client, NoAnswerError, uuid7
from controller.contract.answers import (
    AnswerMessage,
    CapabilitiesMessage,
    EventMessage,
    ServiceMessage,
    SummaryMessage,
    TelemetryMessage,
)
from controller.contract.envelope import COMMAND_ID, Arrival
from controller.identity import Ration
from controller.outbox import Outgoing
from safety.effects import Event
from safety.messages import Adjust, Expect, Now
from tests.conftest import Mosquitto, Server, Until
from tests.controller.desk import Desk
from tests.controller.wire import CAPS, IDENTITY, encoded, fields, malformed

SEEN = Expect(boot_id="b-4", session_id="s-19", state_version=77)


def address_of(server: Server) -> Address:
    return Address(host=server.host, port=server.port)


def client_of(server: Server, principal: str = "clinician-1", *, telemetry: bool = False) -> Client:
    return Client(server.host, server.port, site="ward3", principal=principal, telemetry=telemetry)


# Asking


async def test_a_command_is_obeyed_once_and_answered(any_broker: Server) -> None:
    async with Desk(address_of(any_broker)).open() as desk, client_of(any_broker) as client:
        answer = await client.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": -1000})
        assert (answer.status, answer.code, answer.text, answer.boot_id) == ("succeeded", "OK", "Done.", "b-4")
        assert [(command.id, command.principal, command.wish) for command in desk.commands] == [
            (answer.command_id, "clinician-1", Adjust(1, -1000))
        ]


async def test_many_at_once_get_each_their_own_answer(any_broker: Server) -> None:
    async with Desk(address_of(any_broker)).open() as desk, client_of(any_broker) as client:
        async with client_of(any_broker) as same_person:
            deltas = range(-40, 0)
            asked = [
                (client, same_person)[delta % 2].ask("dev1", "session.adjust", {"channel": 1, "delta_ua": delta})
                for delta in deltas
            ]
            answers = await asyncio.gather(*asked)
        wishes = {command.id: command.wish for command in desk.commands}
        assert [wishes[str(answer.command_id)] for answer in answers] == [Adjust(1, delta) for delta in deltas]


async def test_what_may_raise_current_says_what_was_seen(any_broker: Server, until: Until) -> None:
    async with Desk(address_of(any_broker)).open() as desk, client_of(any_broker) as client:
        desk.show("dev1", 76)
        waiting = asyncio.create_task(client.ask("dev2", "session.arm"))
        await until(lambda: client.summary("dev1"))
        desk.show("dev1", 77)
        await until(lambda: (state := client.summary("dev1")) and state.state_version == 77)
        for verb, body in [
            ("session.start", {}),
            ("session.resume", {}),
            ("session.adjust", {"channel": 1, "delta_ua": 1}),
            ("session.adjust", {"channel": 1, "delta_ua": -1}),
            ("session.pause", {}),
        ]:
            await client.ask("dev1", verb, body)
        await client.ask("dev1", "session.start", expect={"session_id": "s-2"})
        assert [command.expect for command in desk.commands] == [
            *[SEEN] * 3,
            *[Expect()] * 2,
            Expect(session_id="s-2"),
        ]
        assert not waiting.done()
        desk.show("dev2", 77)
        await waiting
        assert desk.commands[-1].expect == SEEN


async def test_a_refusal_says_why(any_broker: Server) -> None:
    async with Desk(address_of(any_broker)).open(), client_of(any_broker, "visitor") as client:
        role = await client.ask("dev1", "device.claim")
        form = await client.ask("dev1", "session.adjust", {"channel": 9})
        assert (role.status, role.code) == ("rejected", "AUTH.ROLE")
        assert (form.code, [fault.field for fault in form.fields]) == ("CMD.SCHEMA", ["body.channel", "body.delta_ua"])


async def test_an_interim_answer_is_given_only_where_no_final_one_comes(any_broker: Server) -> None:
    async with Desk(address_of(any_broker)).open() as desk, client_of(any_broker) as client:
        desk.statuses = ("accepted", "in_progress", "succeeded")
        assert (await client.ask("dev1", "device.claim")).status == "succeeded"
        desk.statuses = ("accepted",)
        assert (await client.ask("dev1", "device.claim", timeout_s=1)).status == "accepted"


async def test_stops_need_no_state_and_reach_one_or_all(any_broker: Server) -> None:
    async with Desk(address_of(any_broker)).open() as desk, client_of(any_broker, "visitor") as client:
        answers = [await client.stop("dev2"), await client.stop_all()]
        assert [answer.status for answer in answers] == ["succeeded", "succeeded"]
        assert [(stop.asker.device, stop.asker.principal, stop.irregular) for stop in desk.stops] == [
            ("dev2", "visitor", ""),
            ("_all", "visitor", ""),
        ]


async def test_silence_names_its_likely_causes(broker: Server) -> None:
    async with client_of(broker) as client:
        with pytest.raises(NoAnswerError, match="device dev1 was never heard of; services online: none"):
            await client.ask("dev1", "device.claim", timeout_s=0.5)
        async with Desk(address_of(broker)).open():
            with pytest.raises(NoAnswerError, match="services online: desk"):
                await client.ask("dev9", "device.claim", timeout_s=0.5)


ACCESS = """
pattern write stim/v1/+/+/cmd/%u/#
pattern read  stim/v1/+/+/ack/%u/#
topic read stim/v1/ward3/+/state/#
user stimsvc
topic readwrite stim/v1/ward3/#
"""


@pytest.mark.server("mosquitto")
async def test_a_publish_that_the_access_list_refuses_is_told_as_silence(
    tmp_path: Path, mosquitto_with: Callable[[str], Mosquitto]
) -> None:
    access = tmp_path / "access"
    access.write_text(ACCESS, encoding="ascii")
    server = mosquitto_with(f"allow_anonymous true\nacl_file {access}")
    address = Address(host=server.host, port=server.port, username="stimsvc")

    def client(username: str) -> Client:
        return Client(server.host, server.port, site="ward3", principal="clinician-1", username=username)

    async with Desk(address).open() as desk:
        async with client("clinician-1") as itself:
            assert (await itself.ask("dev1", "device.claim")).status == "succeeded"
        async with client("visitor") as pretender:
            with pytest.raises(NoAnswerError, match="refuses without a word"):
                await pretender.ask("dev1", "device.claim", timeout_s=1)
        assert len(desk.commands) == 1


async def test_a_lost_broker_ends_what_is_under_way(any_broker: Server, until: Until) -> None:
    async with client_of(any_broker) as client:
        asked = asyncio.create_task(client.ask("dev1", "device.claim", timeout_s=60))
        heard = asyncio.create_task(anext(client.events()))
        await until(lambda: client._readers)
        any_broker.kill()
        for task in (asked, heard):
            with pytest.raises(BrokerError):
                await task
        with pytest.raises(BrokerError):
            await client.stop("dev1")


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [uuid7() for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(COMMAND_ID, each) for each in ids)
    stamps = [each[:13] for each in ids]
    assert stamps == sorted(stamps)


# Hearing


async def test_events_begin_with_what_is_known_and_go_on_in_order(any_broker: Server, until: Until) -> None:
    async with Desk(address_of(any_broker)).open() as desk:
        shown = desk.show("dev1", 1)
        device = CapabilitiesMessage.of(IDENTITY, CAPS, site="ward3", device="dev1", boot_id="b-4", now=Now(0, 0))
        desk.broker.publish(Outgoing(desk.topics.capabilities("dev1"), device.to_bytes(), retain=True))
        async with client_of(any_broker, telemetry=True) as client, client_of(any_broker) as deaf:
            await until(lambda: len(client._states) == len(deaf._states) == 3)
            stream, deaf_stream = client.events(), deaf.events()
            first = {type((await anext(stream)).message) for _ in range(3)}
            assert first == {SummaryMessage, CapabilitiesMessage, ServiceMessage}
            sample = TelemetryMessage(
                channel=2,
                sample=7,
                commanded_ua=1,
                delivered_ua=1,
                charge_nc=1,
                ohm=None,
                boot_id="b-4",
                at=shown.as_of,
            )
            desk.broker.publish(Outgoing(desk.topics.telemetry("dev1", 2), sample.to_bytes(), qos=0))
            assert await anext(stream) == ("dev1", sample)
            events = [
                EventMessage.of(
                    Event(kind="session.started"),
                    site="ward3",
                    device="dev2",
                    event_seq=n,
                    boot_id="b-4",
                    now=Now(0, 0),
                )
                for n in range(20)
            ]
            for event in events:
                desk.broker.publish(Outgoing(desk.topics.event("dev2", event.kind), event.to_bytes()))
            assert [await anext(stream) for _ in events] == [("dev2", event) for event in events]
            assert [type((await anext(deaf_stream)).message) for _ in range(4)][3] is EventMessage
            assert (client.missed, deaf.missed) == (0, 0)


async def test_a_slow_reader_loses_the_oldest_and_knows_how_many(broker: Server) -> None:
    client = client_of(broker)
    stream = client.events()
    for number in range(BACKLOG + 5):
        said = ServiceMessage(instance="a", state="online", will=False, boot_id=str(number), at=None)
        client._hear(Arrival("stim/v1/ward3/_service/a/state", said.to_bytes(), False, None, None))
    first = (await anext(stream)).message
    assert isinstance(first, ServiceMessage)
    assert (first.boot_id, client.missed) == ("5", 5)


async def test_a_reader_that_leaves_takes_no_other_with_it(broker: Server) -> None:
    client = client_of(broker)
    stays, leaves = client.events(), client.events()

    def say(number: int) -> None:
        said = ServiceMessage(instance="a", state="online", will=False, boot_id=str(number), at=None)
        client._hear(Arrival("stim/v1/ward3/_service/a/state", said.to_bytes(), False, None, None))

    say(1)
    assert await anext(stays) == await anext(leaves)
    await leaves.aclose()
    say(2)
    message = (await anext(stays)).message
    assert isinstance(message, ServiceMessage)
    assert message.boot_id == "2"


# What no client of ours would send


async def test_every_malformed_payload_is_answered_by_its_code_and_none_is_lost(
    any_broker: Server, until: Until
) -> None:
    sent = [(code, payload) for code, payload in malformed() if payload]
    heard: list[Arrival] = []
    async with Desk(address_of(any_broker)).open() as desk:
        topic = desk.topics.command("dev1", "clinician-1", "session.start")
        async with Connection(address_of(any_broker), "junk", heard.append) as sender:
            await sender.subscribe([desk.topics.all_of("ack/clinician-1")], commands=False)
            for number, (_, payload) in enumerate(sent):
                await sender.publish(Outgoing(topic, payload, correlation=b"%d" % number))
            await until(lambda: len(heard) >= len(sent))
        answers = {int(each.correlation or b"-1"): AnswerMessage.read(each.payload) for each in heard}
        assert len(sent) >= 200
        assert [answers[number].code for number in range(len(sent))] == [code for code, _ in sent]
        assert {answer.status for answer in answers.values()} == {"rejected"}
        assert (len(heard), len(desk.refusals), desk.commands) == (len(sent), len(sent), [])


async def test_junk_beyond_ten_a_second_is_counted_not_answered(any_broker: Server, until: Until) -> None:
    heard: list[Arrival] = []
    async with Desk(address_of(any_broker)).open() as desk:
        desk.now = lambda: Now(5_000, 0)
        desk.ration = Ration({"junk-1": 0, "junk-2": 0})
        async with Connection(address_of(any_broker), "junk", heard.append) as sender:
            await sender.subscribe([desk.topics.all_of("ack")], commands=False)
            for sender_name, count in (("junk-1", 25), ("junk-2", 3), ("stranger", 12)):
                for _ in range(count):
                    topic = desk.topics.command("dev1", sender_name, "session.start")
                    await sender.publish(Outgoing(topic, b"junk"))
            await until(lambda: len(desk.refusals) == 40 and len(heard) >= 23)
            assert Counter(each.topic.split("/")[5] for each in heard) == {"junk-1": 10, "junk-2": 3, "stranger": 10}
        assert [dict(event.details) for event in desk.ration.report()] == [
            {"principal": "junk-1", "count": 15},
            {"principal": "", "count": 2},
        ]


async def test_a_message_that_comes_twice_is_done_once_and_answered_alike(any_broker: Server, until: Until) -> None:
    heard: list[Arrival] = []
    async with Desk(address_of(any_broker)).open() as desk:
        payload = encoded(fields("session.pause"))
        other = encoded(fields("session.pause", expires_at="2026-11-22T14:50:06.000Z"))
        topic = desk.topics.command("dev1", "clinician-1", "session.pause")
        async with Connection(address_of(any_broker), "again", heard.append) as sender:
            await sender.subscribe([desk.topics.all_of("ack/clinician-1")], commands=False)
            for each in (payload, payload, other, payload):
                await sender.publish(Outgoing(topic, each))
            await until(lambda: len(heard) == 4)
        answers = [each.payload for each in heard]
        assert answers[0] == answers[1] == answers[3]
        assert [AnswerMessage.read(answer).code for answer in answers] == ["OK", "OK", "CMD.ID_REUSED", "OK"]
        assert len(desk.commands) == 1


async def test_the_answer_also_goes_to_a_response_topic_of_ones_own(any_broker: Server, until: Until) -> None:
    heard: list[Arrival] = []
    async with Desk(address_of(any_broker)).open() as desk:
        async with Connection(address_of(any_broker), "ears", heard.append) as ears:
            await ears.subscribe(["stim/v1/ward3/+/ack/#", "stim/v1/ward3/dev1/state/#"], commands=False)
            own, foreign = "stim/v1/ward3/dev1/ack/clinician-1/desk", "stim/v1/ward3/dev1/state/summary"
            async with aiomqtt.Client(any_broker.host, any_broker.port, protocol=aiomqtt.ProtocolVersion.V5) as raw:
                for number, reply in enumerate((own, foreign)):
                    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                    properties.ResponseTopic = reply
                    properties.CorrelationData = b"c%d" % number
                    command = fields("session.pause", command_id=uuid7())
                    topic = desk.topics.command("dev1", "clinician-1", "session.pause")
                    await raw.publish(topic, encoded(command), qos=1, properties=properties)
            await until(lambda: len(heard) >= 3)
        found = [
            (each.topic.rpartition("/")[0], AnswerMessage.read(each.payload).code, each.correlation) for each in heard
        ]
        mine = "stim/v1/ward3/dev1/ack/clinician-1"
        assert found == [(mine, "OK", b"c0"), (mine, "OK", b"c0"), (mine, "CMD.BAD_RESPONSE_TOPIC", b"c1")]
        assert [each.topic for each in heard][1] == own
        assert len(desk.commands) == 1


async def test_a_stop_of_any_shape_is_obeyed_under_junk(any_broker: Server, until: Until) -> None:
    async with Desk(address_of(any_broker)).open() as desk:
        async with Connection(address_of(any_broker), "junk", lambda _: None) as sender:
            stop = desk.topics.command("dev1", "clinician-1", "session.stop")
            junk = desk.topics.command("dev1", "junk-1", "session.start")
            for payload in (b"", b"stop", b"{" * 9_000, encoded(fields("session.stop"))):
                for _ in range(50):
                    await sender.publish(Outgoing(junk, b"junk", qos=0, retain=False))
                await sender.publish(Outgoing(stop, payload))
            await until(lambda: len(desk.stops) == 4)
        irregular = ["CMD.SCHEMA", "CMD.SCHEMA", "CMD.TOO_LARGE", "CMD.EXPIRED"]
        assert [stop.irregular for stop in desk.stops] == irregular
