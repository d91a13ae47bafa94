"""A stop is obeyed whatever is wrong with it, by the device that it names and no other; one for the site by all."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from byhand import TOPICS, Fields, Hand, command, topic_of
from house import DEAD_MAN_US, STEADY, House, now_us, steady, until

from controller.client import Client
from controller.contract.answers import EventMessage

STOP = TOPICS.command("dev1", "physio-1", "session.stop")
LONG_AGO = {"issued_at": "2026-01-01T00:00:00.000Z", "expires_at": "2026-01-01T00:00:05.000Z"}


def bytes_of(fields: Fields) -> bytes:
    return json.dumps(fields).encode()


REPLAYED = bytes_of(command("session.stop", **LONG_AGO))
WRONG: list[tuple[str, str, bytes]] = [
    ("CMD.SCHEMA", STOP, b"\xff\x00 stop!"),
    ("CMD.EXPIRED", STOP, REPLAYED),
    ("CMD.EXPIRED", STOP, REPLAYED),
    ("CMD.TOO_LARGE", STOP, b"[" * 9_000),
    ("AUTH.UNKNOWN_KEY", TOPICS.command("dev1", "nobody", "stop"), bytes_of(command("stop", issuer="nobody"))),
]


async def overhear(client: Client, heard: list[EventMessage]) -> None:
    """Keep every event of dev1."""
    async with contextlib.aclosing(client.events()) as events:
        async for device, message in events:
            if device == "dev1" and isinstance(message, EventMessage):
                heard.append(message)


async def at_zero(house: House, client: Client, device: str = "dev1") -> None:
    """See that a device has stopped and nothing flows any more."""
    stopped_us = now_us() + DEAD_MAN_US
    await until(lambda: (s := client.summary(device)) is not None and s.phase == "idle")
    summary = client.summary(device)
    assert summary is not None
    assert [latch.rule for latch in summary.latches] == ["STOP"]
    await asyncio.sleep(0.7)
    assert await house.beds[device].pulses(1, stopped_us) == []


@pytest.mark.rule("G02")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H23")
async def test_a_stop_is_obeyed_whatever_is_wrong_with_it(house: House):
    house.add_bed("dev2")
    house.configure()
    house.prescribe(steady("rx-2", "p-1"))
    house.prescribe(steady("rx-3", "p-2"))
    house.start()
    heard: list[EventMessage] = []
    async with house.client() as client, Hand.at(house) as hand:
        overhearing = asyncio.create_task(overhear(client, heard))
        await house.running(client, "dev2", rx="rx-3@1", patient="p-2")
        await house.flowing("dev2", peak_ua=20_000)
        begun_us = now_us()
        for code, topic, payload in WRONG:
            heard.clear()
            await house.running(client, "dev1", rx="rx-2@1", patient="p-1")
            await house.flowing(peak_ua=5_000, since_us=now_us())
            answer = await hand.ask(payload, topic)
            assert (answer.status, answer.code) == ("succeeded", "OK")
            await at_zero(house, client)
            (alarm,) = [one for one in heard if one.kind == "alarm.raised"]
            assert (alarm.code, alarm.priority) == (code, "medium")
            assert alarm.details == {"principal": topic.split("/")[5]}
            await house.cleared(client)
        assert await house.beds["dev2"].rhythm(begun_us) == {STEADY}

        # One stop for the site, by somebody who may do nothing else.
        await house.running(client, "dev1", rx="rx-2@1", patient="p-1")
        await house.flowing(peak_ua=5_000, since_us=now_us())
        everywhere = command("stop", device="_all", issuer="auditor-1")
        number = await hand.send(everywhere, topic_of(everywhere))
        await until(lambda: len(hand.answers(number)) == 3)
        answers = sorted((one.status, one.details.get("devices", 0)) for one in hand.answers(number))
        assert answers == [("succeeded", 0), ("succeeded", 0), ("succeeded", 2)]
        await asyncio.gather(at_zero(house, client, "dev1"), at_zero(house, client, "dev2"))
        overhearing.cancel()


@pytest.mark.server("mosquitto")
@pytest.mark.rule("G02")
@pytest.mark.hazard("H10")
async def test_a_retained_stop_is_obeyed(mosquitto_house: House):
    house = mosquitto_house
    house.prescribe(steady("rx-2"))
    house.start()
    heard: list[EventMessage] = []
    async with house.client() as client, Hand.at(house) as hand:
        overhearing = asyncio.create_task(overhear(client, heard))
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=5_000)
        answer = await hand.ask(command("session.stop"), retain=True)
        assert (answer.status, answer.code) == ("succeeded", "OK")
        await at_zero(house, client)
        assert [one.code for one in heard if one.kind == "alarm.raised"] == ["CMD.RETAINED"]
        overhearing.cancel()
