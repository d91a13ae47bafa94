"""The service dies: the output ends by the device's dead man, the reservation counts as delivered, nothing resumes."""

from __future__ import annotations

import asyncio
import signal

import pytest
from house import DEAD_MAN_US, House, now_us


@pytest.mark.rule("X6")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H11")
@pytest.mark.hazard("H31")
@pytest.mark.parametrize("phase", ["prepared", "armed", "ramp", "plateau", "rest", "paused"])
async def test_kill_in_every_phase(house: House, phase: str):
    house.start()
    async with house.client() as client:
        if phase == "prepared":
            await house.prepared(client)
        elif phase == "armed":
            await house.armed(client)
        else:
            await house.running(client)
            if phase == "ramp":
                await house.flowing(peak_ua=5_000)
            else:
                await house.flowing()
            if phase == "rest":
                pulses = len(await house.beds["dev1"].pulses())
                while True:
                    await asyncio.sleep(0.5)
                    again = len(await house.beds["dev1"].pulses())
                    if again == pulses:
                        break
                    pulses = again
            if phase == "paused":
                await house.must(client, "dev1", "session.pause")
        house.kill()
    killed_us = now_us()
    await asyncio.sleep(1.0)
    assert await house.beds["dev1"].therapy_after(killed_us + DEAD_MAN_US) == []
    reserved = house.charged()
    assert [row["charged_nc"] for row in reserved] == [None] * len(reserved)

    house.start()
    async with house.client() as client:
        await house.ready(client)
        summary = client.summary("dev1")
        assert summary is not None
        assert summary.session_id is None
        assert [latch.rule for latch in summary.latches] == ["X6"]
        await asyncio.sleep(1)
    assert await house.beds["dev1"].therapy_after(killed_us + DEAD_MAN_US) == []
    after = house.charged()
    assert [row["charged_nc"] for row in after] == [row["reserved_nc"] for row in reserved]
    assert len(after) == (0 if phase == "prepared" else 1)
    delivered = sum(pulse["charge_nc"] for pulse in await house.beds["dev1"].pulses())
    assert all(row["charged_nc"] >= delivered for row in after)


@pytest.mark.rule("M25")
@pytest.mark.hazard("H27")
async def test_a_frozen_service_that_wakes_does_not_drive(house: House):
    house.start()
    async with house.client() as client:
        await house.running(client)
        await house.flowing()
        house.kill(signal.SIGSTOP)
        frozen_us = now_us()
        await asyncio.sleep(3)
        house.kill(signal.SIGCONT)
        await house.shows(client, "dev1", "idle", "paused")
        await asyncio.sleep(1)
        assert await house.beds["dev1"].therapy_after(frozen_us + DEAD_MAN_US) == []
        summary = client.summary("dev1")
        assert summary is not None
        assert summary.phase in {"idle", "paused"}
        assert summary.latches
