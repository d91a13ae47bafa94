"""A HASOMED P24 in the house: the same session over MQTT, on a device that measures less and is asked more."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from house import CALM, House, Server, event, now_us, steady, therapy, until

from controller.client import Client

DEAD_MAN_US = 2_000_000


@pytest.fixture
async def p24_house(broker: Server, tmp_path: Path) -> AsyncIterator[House]:
    """A P24, its prescriptions, the service started."""
    home = House(tmp_path, broker.host, broker.port)
    home.add_bed(device="sciencemode4")
    home.configure()
    home.prescribe(steady("rx-1"))
    home.prescribe(therapy("rx-2"))
    home.start()
    yield home
    await home.close()


async def running(house: House, client: Client, rx: str = "rx-1@1") -> None:
    """Bring it to RUNNING: it has no button to try, and skin that feels asks for none."""
    await house.claimed(client)
    prepared = await house.must(client, "dev1", "session.prepare", {"prescription_id": rx, "patient_ref": "p-1"})
    missing = "impedance, readback, echo, patient stop, supply, balance, temperature"
    assert prepared.details["not_fitted"] == missing
    await house.must(client, "dev1", "session.attest", {"answers": CALM})
    checked = await house.must(client, "dev1", "impedance.check", {})
    assert checked.code == "OK", checked
    await house.must(client, "dev1", "session.arm")
    await house.must(client, "dev1", "session.start")


@pytest.mark.rule("X7")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H11")
async def test_a_session_on_a_p24_gives_what_was_prescribed_and_is_charged_for_it(p24_house: House):
    house, bed = p24_house, p24_house.beds["dev1"]
    async with house.client() as client:
        await running(house, client)
        plateau = await house.flowing(peak_ua=20_000)
        since_us = plateau[-1]["at_us"]
        await until_later(since_us + 2_000_000)
        await house.must(client, "dev1", "session.stop")
        stopped = await house.shows(client, "dev1", "idle")
        assert [latch.rule for latch in stopped.latches] == ["STOP"]
    pulses = await bed.pulses()
    therapy_pulses = [pulse for pulse in pulses if pulse["first_ua"] > 2_000]
    peaks = [pulse["first_ua"] for pulse in therapy_pulses]
    assert peaks == sorted(peaks)
    assert max(peaks) == 20_000
    on_plateau = [pulse for pulse in therapy_pulses if pulse["at_us"] >= since_us]
    assert {later["at_us"] - earlier["at_us"] for earlier, later in pairwise(on_plateau)} == {25_000}
    await until(lambda: house.charged()[0]["evidence"])
    (charged,) = house.charged()
    assert charged["evidence"] == "applied"
    # What was applied is counted up, and test pulses are no dose.
    given_nc = await bed.delivered_nc()
    assert 0.95 * given_nc <= charged["charged_nc"] <= 1.2 * given_nc


@pytest.mark.rule("G29")
@pytest.mark.rule("M29")
async def test_contractions_and_rests_on_a_p24(p24_house: House):
    house, bed = p24_house, p24_house.beds["dev1"]
    async with house.client() as client:
        await running(house, client, "rx-2@1")
        first = await house.flowing(peak_ua=20_000)
        # Through a rest into the next contraction.
        later_us = first[-1]["at_us"] + 6_000_000
        await until_later(later_us)
        assert [p for p in await house.flowing(peak_ua=20_000, since_us=later_us) if p["first_ua"] >= 20_000]
        assert client.summary("dev1").phase == "running"  # type: ignore[union-attr]
        await house.must(client, "dev1", "session.pause")
        await house.shows(client, "dev1", "paused")
        paused_us = now_us()
        await house.resumed(client)
        await house.flowing(peak_ua=20_000, since_us=paused_us)
    assert await bed.therapy_after(paused_us)


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_a_pad_that_falls_off_a_p24_stops_the_session_by_its_name(p24_house: House):
    house, bed = p24_house, p24_house.beds["dev1"]
    async with house.client() as client:
        await running(house, client)
        await house.flowing(peak_ua=20_000)
        await bed.do("fault.inject", fault="snap_off", channel=1)
        stopped = await event(client, "session.stopped")
        assert "IMP.OPEN" in {reason.code for reason in stopped.reasons}
        ended_us = now_us()
        idle = await house.shows(client, "dev1", "idle")
        assert "M07" in {latch.rule for latch in idle.latches} | {stopped.rule}
    assert await bed.therapy_after(ended_us) == []


@pytest.mark.rule("X9")
@pytest.mark.hazard("H11")
async def test_when_the_service_is_killed_the_p24_ends_by_itself_and_stays_off(p24_house: House):
    house, bed = p24_house, p24_house.beds["dev1"]
    async with house.client() as client:
        await running(house, client)
        await house.flowing(peak_ua=20_000)
        house.kill(signal.SIGKILL)
        killed_us = now_us()
        await until_later(killed_us + DEAD_MAN_US + 500_000)
        assert await bed.therapy_after(killed_us + DEAD_MAN_US) == []
        house.start()
        await house.ready(client)
    assert await bed.therapy_after(killed_us + DEAD_MAN_US) == []


@pytest.mark.rule("M04")
@pytest.mark.hazard("H12")
async def test_a_p24_that_hangs_ends_the_session(p24_house: House):
    house, bed = p24_house, p24_house.beds["dev1"]
    async with house.client() as client:
        await running(house, client)
        await house.flowing(peak_ua=20_000)
        await bed.do("fault.inject", fault="hung_firmware", output=True)
        alarm = await event(client, "alarm.raised")
        assert alarm.rule in {"M04", "M29"}
        hung_us = now_us()
        await until_later(hung_us + DEAD_MAN_US + 500_000)
    assert await bed.therapy_after(hung_us + DEAD_MAN_US) == []


async def until_later(moment_us: int) -> None:
    """Wait until the scope's clock is further than this."""
    await until(lambda: now_us() > moment_us)
