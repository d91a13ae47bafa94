"""Every fault of the bench in the plateau of a running session.

The right rule acts, and no current follows, also when the fault goes away.
"""

from __future__ import annotations

import asyncio

import pytest
from house import DEAD_MAN_US, House, now_us, steady, until

STORIES = [
    pytest.param(
        "snap_off", {}, {"M07", "M11"}, marks=[pytest.mark.rule("M07"), pytest.mark.hazard("H06")], id="snap_off"
    ),
    pytest.param(
        "peel",
        {"end": 0.2, "over_ms": 3_000},
        {"M07", "M09", "M10", "M11"},
        marks=[pytest.mark.rule("M10"), pytest.mark.hazard("H04")],
        id="peel",
    ),
    pytest.param("short", {}, {"M08", "M11"}, marks=[pytest.mark.rule("M08"), pytest.mark.hazard("H17")], id="short"),
    pytest.param(
        "dead_line", {}, {"M04", "M29"}, marks=[pytest.mark.rule("M04"), pytest.mark.hazard("H11")], id="dead_line"
    ),
    pytest.param(
        "corrupt",
        {"direction": "to_host"},
        {"M26", "M04", "M29"},
        marks=[pytest.mark.rule("M26"), pytest.mark.hazard("H16")],
        id="corrupt-from-device",
    ),
    pytest.param(
        "corrupt",
        {"direction": "to_device"},
        {"M04", "M29"},
        marks=[pytest.mark.rule("M04"), pytest.mark.hazard("H16")],
        id="corrupt-to-device",
    ),
    pytest.param(
        "dac_gain", {"gain": 1.3}, {"M01"}, marks=[pytest.mark.rule("M01"), pytest.mark.hazard("H14")], id="dac_gain"
    ),
    pytest.param(
        "device_reset",
        {},
        {"M30", "M04", "M26"},
        marks=[pytest.mark.rule("M30"), pytest.mark.hazard("H13")],
        id="device_reset",
    ),
    pytest.param(
        "hung_firmware",
        {},
        {"M04", "M29"},
        marks=[pytest.mark.rule("M29"), pytest.mark.hazard("H12")],
        id="hung_firmware",
    ),
    pytest.param(
        "wrong_echo", {}, {"M27"}, marks=[pytest.mark.rule("M27"), pytest.mark.hazard("H16")], id="wrong_echo"
    ),
    pytest.param(
        "missing_phase_2",
        {},
        {"M16"},
        marks=[pytest.mark.rule("M16"), pytest.mark.hazard("H15")],
        id="missing_phase_2",
    ),
    pytest.param(
        "missing_phase_2",
        {"fraction": 0.97},
        {"M16"},
        marks=[pytest.mark.rule("M16"), pytest.mark.hazard("H15")],
        id="short_phase_2",
    ),
    pytest.param(
        "supply", {}, {"M28", "M04", "M26"}, marks=[pytest.mark.rule("M28"), pytest.mark.hazard("H50")], id="supply"
    ),
]


@pytest.mark.parametrize(("fault", "settings", "rules"), STORIES)
async def test_a_fault_in_the_plateau(house: House, fault: str, settings: dict[str, object], rules: set[str]):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        await bed.do("fault.inject", fault=fault, **settings)
        await until(lambda: (s := client.summary("dev1")) is not None and s.latches)
        stopped_us = now_us()
        await asyncio.sleep(1)
        assert await bed.therapy_after(stopped_us + DEAD_MAN_US) == []
        await bed.do("fault.clear")
        await asyncio.sleep(1)
        assert await bed.therapy_after(stopped_us + DEAD_MAN_US) == []
        summary = client.summary("dev1")
        assert summary is not None
        assert {latch.rule for latch in summary.latches} <= rules
        refused = await client.ask("dev1", "session.start")
        assert refused.status == "rejected"


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize("fault", ["ignored_stop", "silent_stop", "stuck_output"])
async def test_a_device_that_does_not_stop_is_cut_and_locked(house: House, fault: str):
    bed = house.beds["dev1"]
    house.start()
    async with house.client() as client:
        await house.running(client)
        await house.flowing()
        await bed.do("fault.inject", fault=fault)
        asked_us = now_us()
        await client.stop("dev1")
        await until(lambda: (s := client.summary("dev1")) is not None and "M29" in {latch.rule for latch in s.latches})
        await asyncio.sleep(1)
        assert await bed.therapy_after(asked_us + 2_000_000) == []
        summary = client.summary("dev1")
        assert summary is not None
        assert {latch.rule: latch.clear for latch in summary.latches}["M29"] == "maintenance"
        assert {alarm.priority for alarm in summary.alarms} >= {"high"}


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
async def test_the_patients_button_stops(house: House):
    bed = house.beds["dev1"]
    house.start()
    async with house.client() as client:
        await house.running(client)
        await house.flowing()
        await bed.do("button.press")
        pressed_us = now_us()
        await until(lambda: (s := client.summary("dev1")) is not None and s.phase == "idle")
        await bed.do("button.release")
        await asyncio.sleep(1)
        assert await bed.therapy_after(pressed_us) == []
        summary = client.summary("dev1")
        assert summary is not None
        assert [latch.rule for latch in summary.latches] == ["M23"]


@pytest.mark.hazard("H14")
async def test_the_scope_sees_what_the_readback_cannot(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        await bed.do("fault.inject", fault="over_delivery", gain=1.3)
        injected_us = now_us()
        await asyncio.sleep(0.5)
        assert await bed.rhythm(injected_us) == {(26_000, 25_000)}
        summary = client.summary("dev1")
        assert summary is not None
        assert summary.phase == "running"


@pytest.mark.hazard("H49")
async def test_split_bytes_change_nothing(house: House):
    bed = house.beds["dev1"]
    house.start()
    async with house.client() as client:
        await bed.do("fault.inject", fault="split", size=3, gap_us=100)
        await house.running(client)
        await house.flowing()
        await asyncio.sleep(1)
        summary = client.summary("dev1")
        assert summary is not None
        assert (summary.phase, summary.latches) == ("running", [])
