"""The broker goes away in a session and comes back: a pause that nobody asks for, and nothing by itself after it."""

from __future__ import annotations

import asyncio

import pytest
from house import DEAD_MAN_US, House, Server, now_us, steady, until


@pytest.mark.rule("M05")
@pytest.mark.rule("G27")
@pytest.mark.hazard("H25")
@pytest.mark.hazard("H32")
async def test_a_session_without_a_broker_is_paused_and_goes_on_only_when_it_is_asked_to(
    any_broker: Server, any_house: House
):
    house, bed = any_house, any_house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        running = client.summary("dev1")
        assert running is not None
        any_broker.kill()
        killed_us = now_us()
    await until(lambda: house.latched("dev1"))
    (latch,) = house.latched("dev1")
    assert (latch["body"]["rule"], latch["body"]["clear"]) == ("M05", "ack_operator")
    # The loss of the broker is not what pauses: while the claim lasts the patient is treated as before.
    assert [p["first_ua"] for p in await bed.therapy_after(killed_us)][:20] == [20_000] * 20
    paused_us = latch["mono_ms"] * 1000 + DEAD_MAN_US
    await asyncio.sleep(1)
    assert await bed.therapy_after(paused_us) == []

    any_broker.start()
    await until(lambda: house.logged("service.ready") == 2)
    async with house.client() as client:
        paused = await house.shows(client, "dev1", "paused")
        assert (paused.session_id, paused.boot_id) == (running.session_id, running.boot_id)
        assert [latch.rule for latch in paused.latches] == ["M05"]
        assert (await client.ask("dev1", "session.resume")).code == "SES.CLAIM_EXPIRED"
        await house.must(client, "dev1", "device.claim")
        house.keep_claim(client)
        assert (await client.ask("dev1", "session.resume")).code == "FLT.LATCHED"
        await house.cleared(client)
        await asyncio.sleep(0.5)
        assert await bed.therapy_after(paused_us) == []

        resumed_us = now_us()
        await house.resumed(client)
        ramp = [pulse["first_ua"] for pulse in await house.flowing(peak_ua=20_000, since_us=resumed_us)]
        assert ramp == sorted(ramp)
        assert ramp[0] < 5_000
        await client.stop("dev1")
        await until(lambda: house.charged()[0]["evidence"])
    resuming = next(row["body"] for row in house.journal() if row["body"].get("verb") == "session.resume")
    assert int(resuming["detail"].removeprefix("played_ms=")) > 1_000
    (charged,) = house.charged()
    delivered = await bed.delivered_nc()
    assert delivered <= charged["charged_nc"] <= 1.05 * delivered
