"""The controller's own computer: killed, frozen, its clock set, its disk full; and two controllers on one line."""

from __future__ import annotations

import asyncio

from tests.hazards.papers import HOUR_MS, nmes, rx
from tests.hazards.story import story
from tests.hazards.ward import DEAD_MAN_US, TICK_US, Ward

DEAD_MAN = DEAD_MAN_US["native"]
KEEP_ALIVE_US = 100_000
PERIOD_US = 25_000


# H11


@story("H11", rules="X9", golden="")
async def test_h11_a_controller_that_dies_is_ended_by_the_dead_man(ward: Ward) -> None:
    await ward.flowing()
    killed_us = ward.now_us
    ward.kill()
    await ward.zero(killed_us, DEAD_MAN)
    assert ward.pulses(since_us=killed_us + DEAD_MAN - 2 * KEEP_ALIVE_US - 2 * PERIOD_US) != []


@story(
    "H11",
    rules="M25",
    golden="""
    fault.latched SYS.OVERLOAD [M25]
    fault.latched DEV.LOST [M04]
    session.stopped (medium) SYS.OVERLOAD [M25 M04]
    stop.confirmed
    session.closed
""",
)
async def test_h11_a_controller_that_stands_still_is_ended_by_the_dead_man_and_stops_when_it_goes_on(
    ward: Ward,
) -> None:
    await ward.flowing()
    frozen_us = ward.fault("late_tick", ms=3_000)
    await ward.zero(frozen_us, DEAD_MAN)
    await ward.hears("session.closed")
    await ward.zero(frozen_us, DEAD_MAN)


@story(
    "H11",
    rules="M25",
    virtual_only="a tick that is late by so much and no more",
    golden="""
    session.held (low) SYS.OVERLOAD [M25]
    fault.latched SYS.OVERLOAD [M25]
    session.paused (medium) SYS.OVERLOAD [M25]
    stop.confirmed
""",
)
async def test_h11_a_tick_that_is_a_little_late_is_borne_and_one_that_is_later_pauses(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("late_tick", ms=90)
    await ward.steady(2)
    ward.fault("late_tick", ms=230)
    await ward.hears("session.paused")
    late_us = ward.now_us
    await ward.zero(late_us, TICK_US)


@story(
    "H11",
    rules="M04",
    golden="""
    session.held (low) DEV.LOST [M04]
    fault.latched DEV.LOST [M04]
    session.paused (medium) DEV.LOST [M04]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.stopped (high) DEV.STOP_UNCONFIRMED [M29]
""",
)
async def test_h11_a_line_on_which_the_controller_hears_nothing_ends_it(ward: Ward) -> None:
    await ward.flowing()
    deaf_us = ward.fault("half_open", direction="to_host")
    await ward.hears("session.paused")
    await ward.zero(deaf_us, 500_000 + KEEP_ALIVE_US + 2 * TICK_US)
    assert "M29 maintenance" in ward.latches()


# H31


@story(
    "H31",
    rules="X6 X5",
    golden="""
    session.stopped (medium) SYS.RESTARTED [X6]
    device.claim: succeeded OK
    session.start: rejected SES.STATE [-]
    session.prepare: rejected FLT.LATCHED [G27]
""",
)
async def test_h31_a_controller_that_comes_back_begins_nothing_by_itself(ward: Ward) -> None:
    await ward.flowing()
    ward.kill()
    await asyncio.sleep(2)
    killed_us = ward.now_us
    await ward.turned_on()
    await asyncio.sleep(2)
    ward.silent(killed_us)
    assert ward.latches() == ["X6 new_session"]
    await ward.claimed()
    assert await ward.refused("session.start") == ("SES.STATE", None)
    await ward.refused("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"})
    ((reserved_nc, charged_nc),) = [(row["reserved_nc"], row["charged_nc"]) for row in ward.ledger()]
    assert charged_nc == reserved_nc
    ward.silent(killed_us)
    await ward.again()


@story(
    "H31",
    rules="X5 X6",
    over_ua=26_000,
    golden="""
    fault.latched DEV.READBACK_MISMATCH [M01]
    session.stopped (high) DEV.READBACK_MISMATCH [M01]
    stop.confirmed
    session.closed
    device.claim: succeeded OK
    session.prepare: rejected FLT.LATCHED [G27]
""",
)
async def test_h31_a_latch_outlives_the_controller(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("dac_gain", gain=1.3)
    await ward.hears("session.closed")
    await asyncio.sleep(1)
    ward.mend()
    stood = ward.latches()
    ward.kill()
    stopped_us = ward.now_us
    await ward.turned_on()
    assert ward.latches() == stood
    await ward.claimed()
    assert await ward.refused("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"}) == (
        "FLT.LATCHED", "G27",
    )  # fmt: skip
    ward.silent(stopped_us)
    await ward.handed("biomed-1")
    await ward.running()
    await ward.steady()


@story(
    "H31",
    rules="X6",
    golden="""
    session.start: rejected SES.STATE [-]
    device.claim: succeeded OK
    session.stopped (medium) SYS.RESTARTED [X6]
    session.start: rejected SES.STATE [-]
    device.claim: succeeded OK
    session.stopped (medium) SYS.RESTARTED [X6]
    session.start: rejected SES.STATE [-]
    device.claim: succeeded OK
    session.paused
    session.pause: succeeded OK
    stop.confirmed
    session.stopped (medium) SYS.RESTARTED [X6]
    device.claim: succeeded OK
""",
)
async def test_h31_whatever_phase_it_dies_in_nothing_flows_when_it_is_back(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    for way in (ward.opened, ward.prepared, ward.armed):
        await way()
        ward.kill()
        await ward.turned_on()
        assert await ward.refused("session.start") == ("SES.STATE", None)
        await ward.claimed()
        await ward.cleared()
    ward.silent()
    await ward.running()
    await ward.must("session.pause")
    await ward.hears("stop.confirmed")
    paused_us = ward.now_us
    ward.kill()
    await ward.turned_on()
    await asyncio.sleep(1)
    ward.silent(paused_us)
    await ward.claimed()
    await ward.again()


# H27


@story(
    "H27",
    rules="M31",
    golden="""
    fault.latched SYS.CLOCK [M31]
    session.paused (medium) SYS.CLOCK [M31]
    stop.confirmed
    session.resume: succeeded OK
    session.resumed
""",
)
async def test_h27_a_clock_that_is_set_pauses_and_what_is_left_is_given(ward: Ward) -> None:
    await ward.flowing()
    set_us = ward.fault("clock_jump", ms=HOUR_MS)
    await ward.hears("stop.confirmed")
    await ward.zero(set_us, 2 * TICK_US)
    await ward.cleared()
    resumed_us = ward.now_us
    await ward.must("session.resume")
    await ward.flows(since_us=resumed_us)
    await ward.steady()


@story(
    "H27",
    rules="M31",
    golden="""
    fault.latched SYS.CLOCK [M31]
    session.paused (medium) SYS.CLOCK [M31]
    stop.confirmed
""",
)
async def test_h27_a_clock_that_is_set_back_pauses(ward: Ward) -> None:
    await ward.flowing()
    set_us = ward.fault("clock_jump", ms=-HOUR_MS)
    await ward.hears("stop.confirmed")
    await ward.zero(set_us, 2 * TICK_US)


@story("H27", rules="M31", golden="")
async def test_h27_a_clock_that_is_corrected_by_two_seconds_is_well(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("clock_jump", ms=1_900)
    await ward.steady(2)
    ward.mend()
    await ward.steady(2)


@story(
    "H27",
    rules="L02",
    golden="""
    session.arm: rejected FAT.REST [L02]
""",
)
async def test_h27_a_clock_that_was_set_back_does_not_shorten_a_rest(ward: Ward) -> None:
    """What was given then lies in the future: nothing of its rest is over."""
    await ward.turned_on()
    await ward.running(ward.prescribe(rx(ward.wall_ms, **nmes())))
    await ward.stopped()
    again = ward.prescribe(rx(ward.wall_ms, id="rx-2", **nmes()))
    ward.fault("clock_jump", ms=-2 * HOUR_MS)
    given_us = ward.now_us
    await ward.prepared(again)
    await ward.measured()
    assert await ward.refused("session.arm") == ("FAT.REST", "L02")
    ward.silent(given_us)
    await ward.stopped()
    ward.fault("clock_jump", ms=51 * HOUR_MS)
    await ward.running(again)


# H39


@story(
    "H39",
    rules="M32 G25",
    golden="""
    presence.confirm: succeeded OK
    fault.latched SYS.AUDIT_UNWRITABLE [M32]
    session.stopped (medium) SYS.AUDIT_UNWRITABLE [M32]
    stop.confirmed
    session.closed
    session.prepare: rejected DOSE.LEDGER_UNAVAILABLE [-]
""",
)
async def test_h39_what_cannot_be_written_down_is_not_given(ward: Ward) -> None:
    await ward.flowing()
    full_us = ward.fault("disk_full")
    ward.post(ward.command("presence.confirm"))
    await ward.hears("session.stopped")
    await ward.zero(full_us, 1_000_000)
    await ward.until(lambda: ward.summary()["phase"] == "idle")
    body = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("DOSE.LEDGER_UNAVAILABLE", None)
    ward.mend()
    await asyncio.sleep(2)
    await ward.again()


@story(
    "H39",
    rules="M32",
    golden="""
    presence.confirm: succeeded OK
    fault.latched SYS.AUDIT_UNWRITABLE [M32]
    session.stopped (medium) SYS.AUDIT_UNWRITABLE [M32]
    stop.confirmed
    session.closed
""",
)
async def test_h39_a_disk_that_is_read_only_ends_it(ward: Ward) -> None:
    await ward.flowing()
    still_us = ward.fault("read_only_disk")
    ward.post(ward.command("presence.confirm"))
    await ward.hears("session.stopped")
    await ward.zero(still_us, 1_000_000)


# H26


@story("H26", rules="X10", golden="")
async def test_h26_a_second_controller_never_gets_the_line(ward: Ward) -> None:
    await ward.flowing()
    other = ward.second()
    await other.on()
    await asyncio.sleep(3)
    assert other.summary()["phase"] == "offline"
    assert any("LINK.BUSY" in line for line in other.logged())
    await ward.steady()
    await other.close()
    await ward.steady()
