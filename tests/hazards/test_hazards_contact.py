"""Pads and leads: current crowds, comes back, jumps back, crosses a bridge; and where contact is good it flows."""

from __future__ import annotations

import asyncio

from hil.body import Skin
from tests.hazards.papers import rx
from tests.hazards.story import story
from tests.hazards.ward import TICK_US, Ward

ZERO_US = 100_000 + TICK_US
"""The device tells of its pads ten times a second, and a tick later at most it is told."""
STRONG = {"ua": 50_000, "max_ua": 50_000, "period_us": 12_500}
"""0.44 mA/cm2 under a whole pad: above 2 mA/cm2 under a fifth of it."""
STRONG_FLOW = {"ua": 50_000, "period_us": 12_500}


@story(
    "H04",
    rules="M10 M17",
    over_ua=50_000,
    golden="""
    session.held (low) IMP.DRIFT [M10]
    fault.latched IMP.DRIFT [M10]
    session.paused (medium) IMP.DRIFT [M10]
    stop.confirmed
""",
)
async def test_h04_a_pad_that_peels_in_ten_seconds_carries_nothing_before_it_burns(ward: Ward) -> None:
    await ward.flowing(rx(ward.wall_ms, **STRONG), **STRONG_FLOW)
    peeled_us = ward.fault("peel", end=0.2, over_ms=10_000)
    await ward.hears("stop.confirmed")
    await ward.zero(peeled_us, 7_000_000)
    assert 0.4 < ward.bench.scope.total(1).density < 1
    ward.mend()
    await ward.stopped()
    await ward.again(**STRONG_FLOW)


@story(
    "H04",
    rules="M11",
    over_ua=50_000,
    golden="""
    fault.latched IMP.DRIFT [M11]
    session.paused (medium) IMP.DRIFT [M11]
    stop.confirmed
    session.resume: rejected FLT.LATCHED [G27 M10]
""",
)
async def test_h04_a_pad_that_is_torn_to_a_fifth_is_told_by_the_next_reading(ward: Ward) -> None:
    await ward.flowing(rx(ward.wall_ms, **STRONG), **STRONG_FLOW)
    torn_us = ward.fault("peel", end=0.2, over_ms=0)
    await ward.hears("stop.confirmed")
    await ward.zero(torn_us, ZERO_US)
    assert await ward.refused("session.resume") == ("FLT.LATCHED", "G27")


@story(
    "H04",
    rules="G07 G13",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected PAD.SMALL [G07]
    session.prepare: rejected PAD.SMALL [G07]
    session.prepare: rejected PAD.CLOSE [G07]
    session.prepare: rejected LIM.CHARGE_DENSITY [G13]
""",
)
async def test_h04_a_pad_is_as_large_as_its_current_asks_and_one_that_is_just_so_is_used(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    small = {"area_mm2": 899, "small_pad_reason": "toes"}
    for number, pad in enumerate(({"area_mm2": 1_599}, small, {"spacing_mm": 24}), 2):
        ref = ward.prescribe(rx(ward.wall_ms, id=f"rx-{number}", **pad))
        await ward.ask("session.prepare", {"prescription_id": ref, "patient_ref": "p-1"})
    dense = rx(ward.wall_ms, id="rx-5", area_mm2=1_600, ua=53_000, max_ua=54_000, width_us=400, period_us=8_334)
    await ward.ask("session.prepare", {"prescription_id": ward.prescribe(dense), "patient_ref": "p-1"})
    ward.silent()
    assert ward.sent()["arm"] + ward.sent()["drive"] + ward.sent()["probe"] == 0
    least = rx(ward.wall_ms, id="rx-6", area_mm2=900, small_pad_reason="toes", spacing_mm=25)
    await ward.running(ward.prescribe(least))
    await ward.steady()


@story("H04", rules="M10 M11", golden="")
async def test_h04_a_patient_who_moves_is_treated_on(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("motion", depth=0.1, hz=1.0, seed=5)
    await ward.steady(4)


@story(
    "H06",
    rules="M07 X5",
    golden="""
    fault.latched IMP.OPEN [M07]
    session.stopped (medium) IMP.OPEN [M07]
    stop.confirmed
    session.closed
    session.start: rejected SES.STATE [-]
""",
)
async def test_h06_an_open_lead_ends_it_and_contact_brings_nothing_back(ward: Ward) -> None:
    await ward.flowing()
    opened_us = ward.fault("snap_off")
    await ward.hears("session.closed")
    await asyncio.sleep(1)
    ward.mend()
    await ward.zero(opened_us, 0)
    assert ward.latches() == ["M07 new_session"]
    assert await ward.refused("session.start") == ("SES.STATE", None)
    await ward.again()


@story(
    "H06",
    rules="M07",
    golden="""
    fault.latched IMP.OPEN [M07]
    session.stopped (medium) IMP.OPEN [M07]
    stop.confirmed
    session.closed
""",
)
async def test_h06_a_lead_that_is_loose_for_a_moment_ends_it_for_good(ward: Ward) -> None:
    await ward.flowing()
    opened_us = ward.fault("intermittent", open_ms=50, every_ms=1_000)
    await ward.hears("session.closed")
    await ward.zero(opened_us, ZERO_US)
    again_us = opened_us + 50_000
    assert len(ward.pulses(since_us=again_us)) <= 4


@story(
    "H06",
    rules="M07",
    golden="""
    fault.latched IMP.OPEN [M07]
    session.stopped (medium) IMP.OPEN [M07]
    stop.confirmed
    session.closed
""",
)
async def test_h06_a_lead_that_is_open_for_five_seconds_gives_no_first_pulse(ward: Ward) -> None:
    await ward.flowing()
    opened_us = ward.fault("intermittent", open_ms=5_000, every_ms=60_000)
    await ward.hears("session.closed")
    await ward.zero(opened_us, 0)


@story(
    "H07",
    rules="G20",
    golden="""
    impedance.check: succeeded IMP.OPEN [G20]
    impedance.measured (low) IMP.OPEN [G20]
    session.arm: rejected LIM.HEADROOM [G21 G20]
""",
)
async def test_h07_nothing_starts_without_a_load_and_plugged_in_it_does(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    ward.fault("snap_off")
    await ward.prepared()
    await ward.ask("impedance.check", {})
    assert await ward.refused("session.arm") == ("LIM.HEADROOM", "G21")
    assert ward.sent()["arm"] + ward.sent()["drive"] == 0
    ward.mend()
    await asyncio.sleep(1)
    ward.silent()
    await ward.stopped()
    await ward.running()
    await ward.steady()


DRY = Skin(body_ohm=1_500.0, hydration=0.0, yield_ma_cm2=None)
"""So much under the pads that 40 mA is all that 150 V give with room to spare."""


@story(
    "H09",
    rules="G21",
    over_ua=40_000,
    skin=DRY,
    golden="""
    session.arm: rejected LIM.HEADROOM [G21]
""",
)
async def test_h09_what_the_voltage_cannot_reach_is_refused_and_what_it_can_is_given_whole(ward: Ward) -> None:
    await ward.turned_on()
    await ward.prepared(ward.prescribe(rx(ward.wall_ms, id="rx-2", ua=50_000, max_ua=50_000)))
    await ward.measured()
    assert await ward.refused("session.arm") == ("LIM.HEADROOM", "G21")
    await ward.stopped()
    await ward.running(ward.prescribe(rx(ward.wall_ms, ua=40_000, max_ua=40_000)), ua=40_000)
    await ward.steady(ua=40_000)


@story(
    "H09",
    rules="M14",
    over_ua=40_000,
    skin=DRY,
    golden="""
    session.held (low) IMP.HIGH [M09]
    session.held (low) IMP.DRIFT [M10]
    session.held (low) IMP.CLIP [M14]
    fault.latched IMP.CLIP [M14]
    session.paused (medium) IMP.HIGH [M09 M10 M14]
    stop.confirmed
""",
)
async def test_h09_a_pad_that_is_pressed_on_at_the_rail_does_not_make_the_current_jump(ward: Ward) -> None:
    await ward.flowing(rx(ward.wall_ms, ua=40_000, max_ua=40_000), ua=40_000)
    dried_us = ward.fault("dry_out", dryness=3.0, over_ms=10_000)
    await ward.hears("stop.confirmed")
    pressed_us = ward.now_us
    ward.mend()
    await asyncio.sleep(2)
    whole_nc = 2 * 40_000 * 300 / 1_000
    clipped = [pulse.charge_nc / whole_nc for pulse in ward.pulses(since_us=dried_us) if pulse.charge_nc < whole_nc]
    # 2 mA of 40 mA.
    assert 0.95 <= min(clipped) < 1
    await ward.zero(pressed_us, 0)


@story(
    "H17",
    rules="M08",
    golden="""
    session.start: succeeded OK
    session.started
    fault.latched IMP.SHORT [M08]
    session.stopped (high) IMP.SHORT [M08]
    stop.confirmed
    session.closed
    latch.clear: rejected AUTH.ROLE [M08]
    session.prepare: rejected FLT.LATCHED [G27]
    device.release: succeeded OK
    device.claim: succeeded OK
    latch.clear: succeeded OK
    fault.cleared
    device.release: succeeded OK
""",
)
async def test_h17_a_short_ends_it_and_locks_the_place_until_a_clinician_has_looked(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.armed()
    shorted_us = ward.fault("short", ohm=20.0)
    await ward.must("session.start")
    await ward.hears("session.closed")
    await asyncio.sleep(1)
    ward.mend()
    await asyncio.sleep(1)
    assert len(ward.pulses(since_us=shorted_us)) <= 12
    assert ward.pulses(since_us=ward.now_us - 1_500_000) == []
    (latch,) = ward.summary()["latches"]
    assert (latch["rule"], latch["scope"], latch["clear"]) == ("M08", "montage", "ack_qualified")
    clear = {"latch_id": latch["latch_id"], "reason": "dried it"}
    assert await ward.refused("latch.clear", clear) == ("AUTH.ROLE", "M08")
    await ward.ask("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"})
    await ward.must("device.release")
    ward.unclaimed()
    await ward.must("device.claim", by="prescriber-1")
    await ward.must("latch.clear", clear, by="prescriber-1")
    await ward.must("device.release", by="prescriber-1")
    await ward.running()
    await ward.steady()


@story(
    "H17",
    rules="M11",
    golden="""
    fault.latched IMP.DRIFT [M11]
    session.paused (medium) IMP.DRIFT [M11]
    stop.confirmed
""",
)
async def test_h17_a_short_on_the_plateau_ends_it_at_the_next_reading(ward: Ward) -> None:
    await ward.flowing()
    shorted_us = ward.fault("short", ohm=20.0)
    await ward.hears("stop.confirmed")
    await ward.zero(shorted_us, ZERO_US)


@story(
    "H17",
    rules="M13",
    golden="""
    fault.latched IMP.FALL [M13]
    session.paused (medium) IMP.FALL [M13]
    stop.confirmed
""",
)
async def test_h17_a_bridge_of_sweat_pauses_it_and_a_little_sweat_does_not(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("bridge", scale=0.85, over_ms=2_000)
    await ward.steady(4)
    wet_us = ward.fault("bridge", scale=0.4, over_ms=6_000)
    await ward.hears("stop.confirmed")
    await ward.zero(wet_us, 5_000_000)


@story(
    "H17",
    rules="G20",
    golden="""
    impedance.check: succeeded IMP.SHORT [G20]
    impedance.measured (low) IMP.SHORT [G20]
    session.arm: rejected IMP.SHORT [G20]
    impedance.check: succeeded IMP.LOW [G20]
    impedance.measured (low) IMP.LOW [G20]
    session.arm: rejected IMP.LOW [G20]
""",
)
async def test_h17_pads_that_touch_are_refused_before_anything_flows(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    ward.fault("short", ohm=50.0)
    await ward.prepared()
    await ward.ask("impedance.check", {})
    assert await ward.refused("session.arm") == ("IMP.SHORT", "G20")
    ward.mend()
    ward.fault("test_load", ohm=299.0)
    await ward.ask("impedance.check", {})
    assert await ward.refused("session.arm") == ("IMP.LOW", "G20")
    assert ward.sent()["arm"] + ward.sent()["drive"] == 0
    ward.silent()
    ward.mend()
    ward.fault("test_load", ohm=500.0)
    await ward.stopped()
    await ward.running()
    await ward.steady()
