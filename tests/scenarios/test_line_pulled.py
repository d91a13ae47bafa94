"""The plug of the serial line is pulled in a session and put back: nobody knows what flowed, so everything counts."""

from __future__ import annotations

import asyncio

import pytest
from house import DEAD_MAN_US, House, now_us, steady, until


@pytest.mark.rule("M04")
@pytest.mark.rule("M29")
@pytest.mark.rule("L08")
@pytest.mark.rule("G27")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H11")
@pytest.mark.hazard("H19")
async def test_a_line_that_was_pulled_locks_the_device_until_maintenance_has_looked(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client, house.client("biomed-1") as biomed:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        await bed.do("line.pull")
        silent_us = now_us() + DEAD_MAN_US
        await until(lambda: (s := client.summary("dev1")) is not None and len(s.latches) == 2)
        lost = client.summary("dev1")
        assert lost is not None
        assert (lost.phase, {latch.rule: latch.clear for latch in lost.latches}) == (
            "uncertain",
            {"M04": "new_session", "M29": "maintenance"},
        )
        assert [row["charged_nc"] for row in house.charged()] == [None]

        await bed.do("line.put")
        await house.shows(client, "dev1", "idle")
        await until(lambda: house.charged()[0]["evidence"])
        (charged,) = house.charged()
        assert (charged["charged_nc"], charged["evidence"]) == (charged["reserved_nc"], "reservation")
        assert charged["charged_nc"] > await bed.delivered_nc()
        await asyncio.sleep(0.5)
        assert await bed.therapy_after(silent_us) == []

        asked = await client.ask("dev1", "session.prepare", {"prescription_id": "rx-2@1", "patient_ref": "p-1"})
        assert (asked.status, asked.code, asked.rule) == ("rejected", "FLT.LATCHED", "G27")
        idle = client.summary("dev1")
        assert idle is not None
        lock = next(latch.latch_id for latch in idle.latches if latch.rule == "M29")
        asked = await client.ask("dev1", "latch.clear", {"latch_id": lock, "reason": "it is back"})
        assert (asked.status, asked.code) == ("rejected", "AUTH.ROLE")
        await house.must(client, "dev1", "device.release")
        await house.must(biomed, "dev1", "device.claim")
        await until(lambda: (s := biomed.summary("dev1")) is not None and len(s.latches) == 2)
        await house.cleared(biomed)
        await house.must(biomed, "dev1", "device.release")
        assert await bed.therapy_after(silent_us) == []

        again_us = now_us()
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000, since_us=again_us)
        await client.stop("dev1")
        await until(lambda: house.charged()[1]["evidence"] == "readback")
