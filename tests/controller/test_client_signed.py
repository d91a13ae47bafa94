"""Signed commands over real brokers: the property beside the payload gets through, and nothing else opens the door."""

from __future__ import annotations

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from controller.broker import Address, Connection
from controller.client import Client
from controller.contract.accept import digest_of
from controller.identity import Signatures
from controller.identity.keys import Secret
from controller.outbox import Outgoing
from tests.conftest import Server, Until
from tests.controller.desk import Desk
from tests.controller.signed import CLINICIAN, OTHER, PEOPLE, sealed, signed
from tests.controller.wire import fields


def desk_of(server: Server) -> Desk:
    return Desk(address_of(server), principals=PEOPLE, proof=Signatures())


def address_of(server: Server) -> Address:
    return Address(host=server.host, port=server.port)


def client_of(server: Server, key: Secret | None, principal: str = "clinician-1") -> Client:
    return Client(server.host, server.port, site="ward3", principal=principal, key=key)


async def test_a_client_with_a_key_is_obeyed(any_broker: Server) -> None:
    async with desk_of(any_broker).open() as desk, client_of(any_broker, CLINICIAN) as client:
        answer = await client.ask("dev1", "session.pause")
        assert (answer.status, answer.code) == ("succeeded", "OK")
        assert [command.principal for command in desk.commands] == ["clinician-1"]


async def test_a_client_without_one_or_with_anothers_is_told_why_not(any_broker: Server) -> None:
    async with desk_of(any_broker).open() as desk:
        for key, code in ((None, "AUTH.BAD_SIGNATURE"), (OTHER, "AUTH.UNKNOWN_KEY")):
            async with client_of(any_broker, key) as client:
                assert (await client.ask("dev1", "session.pause")).code == code
        assert desk.commands == []


async def test_a_stop_needs_no_key(any_broker: Server) -> None:
    async with desk_of(any_broker).open() as desk, client_of(any_broker, None) as client:
        assert (await client.stop("dev1")).status == "succeeded"
        assert [stop.irregular for stop in desk.stops] == ["AUTH.BAD_SIGNATURE"]


async def test_a_client_of_mqtt_3_sends_the_command_inside_its_signature(any_broker: Server, until: Until) -> None:
    message = sealed(fields("session.pause"))
    version = aiomqtt.ProtocolVersion.V311 if type(any_broker).__name__ == "Mosquitto" else aiomqtt.ProtocolVersion.V5
    async with desk_of(any_broker).open() as desk:
        async with aiomqtt.Client(any_broker.host, any_broker.port, protocol=version) as old:
            await old.publish(message.topic, message.payload, qos=1)
            await until(lambda: len(desk.commands) == 1)
        assert desk.commands[0].principal == "clinician-1"


async def test_the_same_bytes_sent_again_are_not_done_again(any_broker: Server, until: Until) -> None:
    message = signed(fields("session.pause"))
    item = Outgoing(message.topic, message.payload, 1, retain=False, signature=message.signature)
    heard: list[bytes] = []
    async with (
        desk_of(any_broker).open() as desk,
        Connection(address_of(any_broker), "copier", lambda arrival: heard.append(arrival.payload)) as sender,
    ):
        await sender.subscribe(["stim/v1/ward3/+/ack/#"], commands=False)
        for number in (1, 2):
            await sender.publish(item)
            await until(lambda wanted=number: len(heard) == wanted)
        assert heard[0] == heard[1]
        assert len(desk.commands) == 1
        # The same bytes where they were not meant for.
        await sender.publish(item._replace(topic=message.topic.replace("dev1", "dev2")))
        await until(lambda: len(desk.refusals) == 1)
        assert (desk.refusals[0].code, len(desk.commands)) == ("CMD.TOPIC_MISMATCH", 1)
    assert digest_of(message) == digest_of(message._replace(signature=None))


async def test_of_two_signatures_none_counts(any_broker: Server, until: Until) -> None:
    message = signed(fields("session.pause"))
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [("sig", str(message.signature)), ("sig", str(message.signature))]
    async with (
        desk_of(any_broker).open() as desk,
        aiomqtt.Client(any_broker.host, any_broker.port, protocol=aiomqtt.ProtocolVersion.V5) as sender,
    ):
        await sender.publish(message.topic, message.payload, qos=1, properties=properties)
        await until(lambda: len(desk.refusals) == 1)
        assert desk.refusals[0].code == "AUTH.BAD_SIGNATURE"
