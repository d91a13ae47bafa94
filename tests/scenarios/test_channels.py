"""Two channels, two devices: each gets what was planned, a zero is for all channels of a device, and for no other."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from house import DEAD_MAN_US, STEADY, House, event, now_us, steady, therapy, until

PULSE_NC = 2 * 20_000 * 300 // 1_000
"""Both phases of 20 mA and 300 us."""
CYCLE_NC = PULSE_NC * 40 * (500 + 2_000 + 500) // 1_000
"""40 Hz over a plateau of 2 s and two ramps of 1 s, of which each gives half."""


async def both(*asked: Any) -> None:  # noqa: ANN401 - awaitables of any kind
    """Do things at the same time."""
    await asyncio.gather(*asked)


@pytest.mark.rule("L08")
@pytest.mark.rule("M18")
@pytest.mark.rule("M20")
@pytest.mark.hazard("H18")
@pytest.mark.hazard("H23")
async def test_each_channel_of_two_devices_is_given_what_was_planned_and_charged_for_it(house: House):
    house.add_bed("dev2")
    house.configure()
    # Ten seconds a cycle, channel 2 half a cycle later: two contractions of one muscle, between them one of the other.
    house.prescribe(therapy("rx-2", "p-1", therapy_ms=14_000, channels=2, delay_ms=5_000))
    house.prescribe(therapy("rx-3", "p-2", therapy_ms=6_000))
    house.start()
    async with house.client() as client:
        await both(
            house.running(client, "dev1", rx="rx-2@1", patient="p-1"),
            house.running(client, "dev2", rx="rx-3@1", patient="p-2"),
        )
        await until(lambda: [row["evidence"] for row in house.charged()] == ["readback"] * 3)
        for device in ("dev1", "dev2"):
            await house.ready(client, device)
        assert (house.latched("dev1"), house.latched("dev2")) == ([], [])
    planned = {("dev1", 1): 2 * CYCLE_NC, ("dev1", 2): CYCLE_NC, ("dev2", 1): CYCLE_NC}
    charged = {(row["device"], row["channel"]): row["charged_nc"] for row in house.charged()}
    assert charged.keys() == planned.keys()
    for (device, channel), planned_nc in planned.items():
        delivered_nc = await house.beds[device].delivered_nc(channel)
        assert 0.95 * planned_nc <= delivered_nc <= charged[device, channel] <= 1.05 * delivered_nc
    assert await house.beds["dev2"].delivered_nc(2) == 0
    # Reciprocal: while one muscle works the other rests.
    first, second = [await house.beds["dev1"].therapy_after(0, channel) for channel in (1, 2)]
    begin, end = max(pairwise(pulse["at_us"] for pulse in first), key=lambda rest: rest[1] - rest[0])
    assert end - begin > 5_000_000
    assert all(begin < pulse["at_us"] < end for pulse in second)


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
@pytest.mark.hazard("H23")
async def test_a_pause_and_a_fault_zero_every_channel_of_one_device_and_none_of_the_other(house: House):
    house.add_bed("dev2")
    house.configure()
    house.prescribe(steady("rx-2", "p-1", channels=2))
    house.prescribe(steady("rx-3", "p-2"))
    house.start()
    one, other = house.beds["dev1"], house.beds["dev2"]
    async with house.client() as client:
        await both(
            house.running(client, "dev1", rx="rx-2@1", patient="p-1"),
            house.running(client, "dev2", rx="rx-3@1", patient="p-2"),
        )
        for device, channel in (("dev1", 1), ("dev1", 2), ("dev2", 1)):
            await house.flowing(device, channel, peak_ua=20_000)
        begun_us = now_us()
        await house.must(client, "dev1", "session.pause")
        paused_us = now_us() + DEAD_MAN_US
        await asyncio.sleep(1)
        assert [await one.pulses(channel, paused_us) for channel in (1, 2)] == [[], []]

        resumed_us = now_us()
        await house.resumed(client)
        for channel in (1, 2):
            await house.flowing("dev1", channel, peak_ua=20_000, since_us=resumed_us)
        await one.do("fault.inject", fault="snap_off", channel=2)
        await until(lambda: (s := client.summary("dev1")) is not None and s.latches)
        stopped_us = now_us() + DEAD_MAN_US
        await asyncio.sleep(1)
        assert [await one.pulses(channel, stopped_us) for channel in (1, 2)] == [[], []]
        summary = client.summary("dev1")
        assert summary is not None
        assert {latch.rule for latch in summary.latches} <= {"M07", "M11"}
        assert await other.rhythm(begun_us) == {STEADY}
        untouched = client.summary("dev2")
        assert untouched is not None
        assert (untouched.phase, untouched.latches) == ("running", [])


@pytest.mark.rule("G18")
@pytest.mark.rule("G28")
@pytest.mark.rule("M03")
@pytest.mark.hazard("H08")
async def test_a_set_point_rises_by_1_ma_a_second_and_falls_at_once(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client, house.client("handset-1") as handset:
        await house.running(client, rx="rx-2@1")
        early = await client.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": 1_000})
        assert (early.code, early.rule) == ("LIM.STEP", "G18")
        await house.flowing(peak_ua=20_000)
        answer = await house.raised(client, 2_000)
        assert (answer.code, answer.requested, answer.limit, answer.unit) == ("LIM.STEP", 2_000, 1_000, "uA")
        risen_us = now_us()
        assert (await house.raised(client, 1_000)).details == {"setpoint_ua": 21_000}
        again = await client.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": 1_000})
        assert (again.code, again.limit, again.unit) == ("LIM.STEP", 1_000, "ms")
        await house.flowing(peak_ua=21_000)
        assert {pulse["first_ua"] for pulse in await bed.pulses(1, risen_us)} == {20_000, 21_000}

        refused = await handset.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": 100})
        assert (refused.status, refused.code) == ("rejected", "AUTH.ROLE")
        lowered = await handset.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": -6_000})
        assert (lowered.status, lowered.details) == ("succeeded", {"setpoint_ua": 15_000})
        lowered_us = now_us()
        await asyncio.sleep(0.5)
        assert {pulse["first_ua"] for pulse in await bed.pulses(1, lowered_us + 200_000)} == {15_000}
        below = await handset.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": -15_000})
        assert (below.status, below.code, below.rule) == ("rejected", "LIM.CURRENT", "G08")
        summary = client.summary("dev1")
        assert summary is not None
        assert (summary.phase, [channel.setpoint_ua for channel in summary.channels]) == ("running", [15_000])


@pytest.mark.rule("M04")
@pytest.mark.rule("G27")
@pytest.mark.hazard("H11")
async def test_while_a_rule_holds_nothing_rises_and_the_therapy_goes_on(house: House):
    bed = house.beds["dev1"]
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client:
        held = asyncio.create_task(event(client, "session.held"))
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        begun_us = now_us()
        await bed.do("fault.inject", fault="slow_answers", delay_ms=270)
        told = await held
        await bed.do("fault.clear")
        await asyncio.sleep(0.5)
        refused = await client.ask("dev1", "session.adjust", {"channel": 1, "delta_ua": 1_000})
        assert (refused.status, refused.rule) == ("rejected", "G27")
        assert (told.rule, told.code) in {("M04", "DEV.LOST"), ("M25", "SYS.OVERLOAD")}
        # What lowers is not held, and the hold ends by itself.
        await house.must(client, "dev1", "session.adjust", {"channel": 1, "delta_ua": -100})
        assert (await house.raised(client, 100)).details == {"setpoint_ua": 20_000}
        assert await bed.rhythm(begun_us) <= {STEADY, (19_900, 25_000)}
