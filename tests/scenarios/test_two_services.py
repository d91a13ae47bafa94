"""Other services want the same journal, name or line: each is turned away in words, the first goes on."""

from __future__ import annotations

import asyncio
import json
import subprocess

import pytest
from house import STEADY, House, now_us, steady, until
from wiretape import frames

from tests.golden.native.layout import HELLO


async def ended(house: House, process: subprocess.Popen[bytes], log: str) -> tuple[int, list[str]]:
    """Wait for a service that gives up; its status, and what it said in words."""
    await until(lambda: process.poll() is not None)
    said = (house.folder / log).read_text(encoding="utf-8").splitlines()
    return process.returncode, [line for line in said if not line.startswith("{")]


@pytest.mark.rule("G23")
@pytest.mark.hazard("H23")
@pytest.mark.hazard("H26")
async def test_a_second_service_is_turned_away_and_the_first_is_undisturbed(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client, house.client(site="ward4") as other:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        begun_us, before = now_us(), client.summary("dev1")
        assert before is not None

        house.configure(name="same-journal.toml", site="ward4")
        journal = house.folder / "journal.sqlite"
        assert await ended(house, house.serve("same-journal.toml", "1.log"), "1.log") == (
            1,
            [f"{journal} belongs to another process"],
        )

        house.configure(name="same-name.toml", journal="second.sqlite")
        assert await ended(house, house.serve("same-name.toml", "2.log"), "2.log") == (
            1,
            [f"instance 'ward3' is taken by boot {before.boot_id}"],
        )

        house.configure(name="same-line.toml", site="ward4", journal="third.sqlite")
        second = house.serve("same-line.toml", "3.log")
        await until(lambda: house.logged("service.ready", "3.log") and house.logged("device.absent", "3.log"))
        await asyncio.sleep(2)
        (absent,) = [line for line in house.log("3.log") if line["event"] == "device.absent"]
        assert (absent["device"], absent["port"], absent["code"]) == ("dev1", str(bed.link), "LINK.BUSY")
        assert absent["why"] == f"{bed.link}: another program has it open; close that program, then connect again"
        offline = other.summary("dev1")
        assert offline is not None
        assert (offline.phase, offline.session_id, offline.claimed_by) == ("offline", None, None)
        assert (await other.ask("dev1", "device.claim")).status == "succeeded"
        asked = await other.ask("dev1", "session.prepare", {"prescription_id": "rx-2@1", "patient_ref": "p-1"})
        assert (asked.status, asked.code) == ("rejected", "SES.STATE")

        assert await bed.rhythm(begun_us) == {STEADY}
        after = client.summary("dev1")
        assert after is not None
        assert (after.phase, after.session_id, after.state_version) == (
            "running",
            before.session_id,
            before.state_version,
        )
        assert [one.kind for one in frames(await bed.tape())].count(HELLO) == 1
        second.terminate()
        assert await ended(house, second, "3.log") == (0, [])
    assert (
        json.loads((house.folder / "service.log").read_text(encoding="utf-8").splitlines()[-1])["event"]
        == "service.ready"
    )
