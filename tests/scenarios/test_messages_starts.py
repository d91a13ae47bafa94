"""A start that is late, repeated, astray, blind or not its sender's to give starts nothing; its sound twin does."""

from __future__ import annotations

import asyncio
import json

import pytest
from byhand import Fields, Hand, command, topic_of
from house import House, held, now_us, steady, until
from papers import therapy

from controller import clock
from controller.client import Client
from controller.contract.answers import SummaryMessage
from controller.contract.envelope import utc_text


def seen(client: Client, device: str = "dev1") -> SummaryMessage:
    """The latest state of a device."""
    summary = client.summary(device)
    assert summary is not None
    return summary


def times(issued_ms: int, expires_ms: int) -> Fields:
    """When a command was made and how long it is good, counted from now."""
    wall_ms = clock.now().wall_ms
    return {"issued_at": utc_text(wall_ms + issued_ms), "expires_at": utc_text(wall_ms + expires_ms)}


def wrong_starts(state: SummaryMessage, used: str) -> list[tuple[str, Fields]]:
    """Starts with one fault each, and the code that each of them gets."""
    right = command("session.start", state)["expect"]
    blind = [{name: value for name, value in right.items() if name != left_out} for left_out in right]
    other = [
        right | change
        for change in ({"boot_id": "b-0"}, {"session_id": "s-0"}, {"state_version": state.state_version - 1})
    ]
    return [
        ("CMD.EXPIRED", times(-10_000, -5_000)),
        ("CMD.EXPIRED", times(-4_000, 1_000)),
        ("CMD.EXPIRED", times(-1_000, -500)),
        ("CMD.CLOCK_SKEW", times(10_000, 15_000)),
        *(("CMD.PRECONDITION", {"expect": expect}) for expect in ({}, *blind, *other)),
        ("CMD.NONCE", {"nonce": "7F3K-91", "expect": {}}),
        ("CMD.SCHEMA", {"body": {"amplitude_ua": 20_000}}),
        ("CMD.ID_REUSED", {"command_id": used}),
        ("AUTH.ROLE", {"issuer": "handset-1"}),
        ("AUTH.ROLE", {"issuer": "prescriber-1"}),
        ("AUTH.ROLE", {"issuer": "auditor-1"}),
        ("AUTH.ROLE", {"role": "prescriber"}),
        ("AUTH.SCOPE", {"issuer": "physio-3"}),
        ("SES.CLAIM_HELD", {"issuer": "physio-2"}),
    ]


@pytest.mark.rule("G02")
@pytest.mark.hazard("H24")
@pytest.mark.hazard("H25")
async def test_a_start_with_a_fault_starts_nothing_and_a_repeated_one_nothing_more(house: House):
    house.add_bed("dev2")
    house.configure()
    house.prescribe(steady("rx-2", "p-1"))
    house.prescribe(steady("rx-3", "p-2"))
    house.start()
    bed, neighbour = house.beds["dev1"], house.beds["dev2"]
    async with house.client() as client, Hand.at(house) as hand:
        await house.armed(client, "dev1", rx="rx-2@1", patient="p-1")
        await house.armed(client, "dev2", rx="rx-3@1", patient="p-2")
        used = command("session.pause", **times(-60_000, -55_000))
        assert (await hand.ask(used)).code == "CMD.EXPIRED"
        for code, changes in wrong_starts(seen(client), used["command_id"]):
            answer = await hand.ask(command("session.start", seen(client), **changes))
            assert (changes, answer.status, answer.code) == (changes, "rejected", code)
        twin = command("session.start", seen(client))
        raw = json.dumps(twin).encode()
        astray = await hand.ask(raw, topic_of(twin | {"device": "dev2"}))
        assert (astray.status, astray.code) == ("rejected", "CMD.TOPIC_MISMATCH")
        for device in ("dev1", "dev2"):
            explained = (await client.explain(device, "session.start")).explained
            assert explained is not None
            assert (explained.verb, explained.obeyed, explained.code) == ("session.start", True, "OK")
            assert {"G08", "G20", "G23"} <= {rule.rule for rule in explained.rules}
        await asyncio.sleep(0.5)
        assert [await one.therapy_after(0) for one in (bed, neighbour)] == [[], []]
        assert [seen(client, device).phase for device in ("dev1", "dev2")] == ["armed", "armed"]

        started = await hand.ask(raw, topic_of(twin))
        assert (started.status, started.code) == ("succeeded", "OK")
        await house.flowing(peak_ua=20_000)

        # The same bytes again get the same answer, and other bytes under the same id none but a refusal.
        again = await hand.ask(raw, topic_of(twin))
        assert again == started
        reused = await hand.ask(command("session.start", seen(client), command_id=twin["command_id"]))
        assert (reused.status, reused.code) == ("rejected", "CMD.ID_REUSED")

        # Armed anew, the device waits for a start of its own.
        await client.stop("dev1")
        await house.ready(client)
        await house.cleared(client)
        await house.armed(client, "dev1", rx="rx-2@1", patient="p-1")
        armed_us = now_us()
        assert await hand.ask(raw, topic_of(twin)) == started
        await asyncio.sleep(0.5)
        assert (await bed.therapy_after(armed_us), seen(client).phase) == ([], "armed")
        assert await neighbour.therapy_after(0) == []


@pytest.mark.rule("G02")
@pytest.mark.rule("X6")
@pytest.mark.hazard("H25")
@pytest.mark.hazard("H31")
async def test_answers_outlive_the_service_and_what_it_had_begun_has_failed(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client, Hand.at(house) as hand:
        await house.armed(client, rx="rx-2@1")
        twin = command("session.start", seen(client))
        raw = json.dumps(twin).encode()
        started = await hand.ask(raw, topic_of(twin))
        await client.stop("dev1")
        await house.ready(client)
        await house.cleared(client)
        await house.prepared(client, rx="rx-2@1")

        # An arming that waits for the ledger when the service dies.
        begun = command("session.arm", seen(client))
        begun_raw = json.dumps(begun).encode()
        with held(house.folder / "ledger-journal.sqlite"):
            number = await hand.send(begun_raw, topic_of(begun))
            await until(lambda: hand.answers(number))
            await until(lambda: begun["command_id"] in house.remembered())
            house.kill()
        assert [answer.status for answer in hand.answers(number)] == ["accepted"]

        house.start()
        await house.ready(client)
        orphan = await hand.ask(begun_raw, topic_of(begun))
        assert (orphan.status, orphan.code) == ("failed", "SYS.RESTARTED")
        await until(lambda: [latch.rule for latch in seen(client).latches] == ["X6"])
        await house.must(client, "dev1", "device.claim")
        await house.cleared(client)
        await house.armed(client, rx="rx-2@1")
        armed_us = now_us()
        assert await hand.ask(raw, topic_of(twin)) == started
        assert await hand.ask(begun_raw, topic_of(begun)) == orphan
        reused = await hand.ask(command("session.start", seen(client), command_id=twin["command_id"]))
        assert (reused.status, reused.code) == ("rejected", "CMD.ID_REUSED")
        await asyncio.sleep(0.5)
        assert (await bed.therapy_after(armed_us), seen(client).phase) == ([], "armed")


@pytest.mark.server("mosquitto")
@pytest.mark.rule("G02")
@pytest.mark.hazard("H24")
@pytest.mark.hazard("H25")
async def test_a_retained_start_starts_nothing_now_or_later(mosquitto_house: House):
    house, bed = mosquitto_house, mosquitto_house.beds["dev1"]
    house.prescribe(therapy("rx-2", "p-2"))
    house.start()
    async with house.client() as client, Hand.at(house) as hand:
        await house.armed(client)
        kept = command("session.start", seen(client))
        refused = await hand.ask(kept, retain=True)
        assert (refused.status, refused.code) == ("rejected", "CMD.RETAINED")
        await asyncio.sleep(0.5)
        assert (await bed.therapy_after(0), seen(client).phase) == ([], "armed")
        started = await hand.ask(command("session.start", seen(client)))
        assert (started.status, started.code) == ("succeeded", "OK")
        await house.flowing()
        house.kill()

        # The broker still has it, but a service that begins is not told.
        house.start()
        await house.ready(client)
        await until(lambda: [latch.rule for latch in seen(client).latches] == ["X6"])
        await house.must(client, "dev1", "device.claim")
        await house.cleared(client)
        await house.armed(client, rx="rx-2@1", patient="p-2")
        armed_us = now_us()
        await asyncio.sleep(0.5)
        assert (await bed.therapy_after(armed_us), seen(client).phase) == ([], "armed")
