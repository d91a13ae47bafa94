"""How a site is set up: unsafe limits, limits that change, a bench in a clinic, a rule not asked, calm hours."""

from __future__ import annotations

import asyncio
import os

from tests.hazards.papers import nmes, rx, write_policy
from tests.hazards.story import story
from tests.hazards.ward import Ward

CALM_MINUTES = int(os.environ.get("CALM_MINUTES", "2"))
"""Of ordinary treatment: 20 hours, 1200, take minutes of a processor, and are for a night."""


@story("H29", rules="X1", golden="")
async def test_h29_a_site_that_would_allow_more_than_anybody_may_is_not_served(ward: Ward) -> None:
    for name, value in (
        ("amplitude_ua", 100_001), ("width_us", 501), ("phase_charge_nc", 50_001), ("rise_ua", 1_001),
        ("silence_stop_ms", 1_001), ("check_low_ohm", 149), ("jump_ppm", 400_001),
    ):  # fmt: skip
        write_policy(ward.folder, {name: value})
        await ward.does_not_start()
    assert ward.sent()["arm"] == 0
    write_policy(ward.folder, {})
    await ward.flowing()


@story(
    "H29",
    rules="X8",
    limits={"amplitude_ua": 15_000},
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.CURRENT [G08]
""",
)
async def test_h29_a_site_may_allow_less_and_that_much_is_given(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    body = {"prescription_id": ward.prescribe(), "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("LIM.CURRENT", "G08")
    ward.silent()
    await ward.running(ward.prescribe(rx(ward.wall_ms, version=2, ua=15_000)), ua=15_000)
    await ward.steady(ua=15_000)


@story(
    "H29",
    rules="X8",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.CURRENT [G08]
    session.prepare: rejected LIM.CURRENT [G08]
""",
)
async def test_h29_a_prescription_only_makes_limits_tighter(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    tight = rx(ward.wall_ms, limits={"amplitude_ua": 19_999})
    body = {"prescription_id": ward.prescribe(tight), "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("LIM.CURRENT", "G08")
    loose = rx(ward.wall_ms, version=2, limits={"amplitude_ua": 100_000}, ua=80_100, max_ua=100_000,
               thresholds={"sensory_ua": 8_000, "motor_ua": 15_000, "maximal_ua": 100_000})  # fmt: skip
    body = {"prescription_id": ward.prescribe(loose), "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("LIM.CURRENT", "G08")
    ward.silent()
    await ward.running(ward.prescribe(rx(ward.wall_ms, version=3, limits={"amplitude_ua": 20_000})))
    await ward.steady()


@story(
    "H30",
    rules="X8",
    limits={"amplitude_ua": 20_000},
    golden="""
    session.adjust: rejected LIM.CURRENT [G08]
    stop.confirmed
    session.adjust: succeeded OK
""",
)
async def test_h30_limits_that_are_changed_meanwhile_are_those_of_the_next_life(ward: Ward) -> None:
    await ward.flowing()
    before = ward.summary()["limits"]
    write_policy(ward.folder, {"amplitude_ua": 30_000})
    assert await ward.refused("session.adjust", {"channel": 1, "delta_ua": 500}) == ("LIM.CURRENT", "G08")
    await ward.steady(2)
    assert (ward.summary()["limits"], before["amplitude_ua"]) == (before, 20_000)
    await ward.stopped()
    await ward.off()
    await ward.turned_on()
    await ward.running()
    assert ward.summary()["limits"] == before | {"amplitude_ua": 30_000}
    await ward.must("session.adjust", {"channel": 1, "delta_ua": 500})
    await ward.flows(20_500)


@story(
    "H35",
    rules="G23",
    profile="clinical",
    golden="""
    fault.latched RX.DEVICE_MISMATCH [G23]
    device.claim: succeeded OK
    session.prepare: rejected RX.DEVICE_MISMATCH [G23 G27]
""",
)
async def test_h35_an_emulator_is_not_used_where_people_are_treated(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.claimed()
    body = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("RX.DEVICE_MISMATCH", "G23")
    if ward.is_real:
        # Whether this computer's clock is synchronised, which a clinic asks for, is no part of the story.
        ward.say([line.replace(" G25", "") for line in ward.told()])
    assert ward.sent()["arm"] + ward.sent()["probe"] == 0
    ward.silent()


@story(
    "H35",
    rules="G23",
    golden="""
    fault.latched RX.DEVICE_MISMATCH [G23]
    device.claim: succeeded OK
    session.prepare: rejected RX.DEVICE_MISMATCH [G23 G27]
    stop.confirmed
    device.claim: succeeded OK
""",
)
async def test_h35_a_true_device_is_not_used_where_a_bench_is_meant_and_an_emulator_is(ward: Ward) -> None:
    ward.fault("wrong_id", emulator=False)
    await ward.turned_on()
    ward.prescribe()
    await ward.claimed()
    body = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("RX.DEVICE_MISMATCH", "G23")
    assert ward.sent()["arm"] + ward.sent()["probe"] == 0
    ward.silent()
    await ward.off()
    ward.mend()
    await ward.turned_on()
    await ward.claimed()
    await ward.handed("biomed-1")
    await ward.running()
    await ward.steady()


@story(
    "H35",
    rules="G23",
    golden="""
    fault.latched RX.DEVICE_MISMATCH [G23]
    device.online
    device.claim: succeeded OK
    session.prepare: rejected RX.DEVICE_MISMATCH [G23 G27]
""",
)
async def test_h35_a_model_that_nobody_knows_is_not_used(ward: Ward) -> None:
    ward.fault("wrong_id", emulator=True, model="stranger")
    await ward.on()
    await asyncio.sleep(2)
    ward.prescribe()
    if ward.summary()["phase"] == "idle":
        await ward.claimed()
        body = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
        assert await ward.refused("session.prepare", body) == ("RX.DEVICE_MISMATCH", "G23")
    ward.silent()


@story("H40", rules="X12 X3", limits={"jump_ppm": None}, golden="")
async def test_h40_without_one_of_its_limits_the_service_does_not_start(ward: Ward) -> None:
    """A rule that is missing from the register is a matter of tests/controller/test_app.py: no site can remove one."""
    await ward.does_not_start()
    assert ward.sent()["arm"] == 0
    write_policy(ward.folder, {})
    await ward.flowing()


@story(
    "H40",
    rules="X9",
    golden="""
    fault.latched SYS.OVERLOAD [M25]
    fault.latched DEV.LOST [M04]
    session.stopped (medium) SYS.OVERLOAD [M25 M04]
    stop.confirmed
    session.closed
""",
)
async def test_h40_no_rule_is_asked_and_nothing_is_kept_alive_where_the_core_stands_still(ward: Ward) -> None:
    await ward.flowing()
    still_us = ward.fault("late_tick", ms=2_000)
    fed = ward.sent()["feed"]
    await asyncio.sleep(1.9)
    assert ward.sent()["feed"] - fed <= 1
    await ward.hears("session.closed")
    await ward.zero(still_us, 500_000)


@story("H49", rules="X4", virtual_only="minutes, or hours, of real time", golden="")
async def test_h49_ordinary_treatment_passes_without_an_alarm_for_nothing(ward: Ward) -> None:
    """A patient who moves and whose skin gets moist; each treatment is half an hour at most. One trip in 20 hours."""
    await ward.turned_on()
    ward.fault("motion", depth=0.05, hz=0.5, seed=7)
    trips, left_ms = list[str](), CALM_MINUTES * 60_000
    while left_ms > 0:
        of = {"id": f"rx-{left_ms}", "patient": f"p-{left_ms}", "therapy_ms": min(left_ms, 1_800_000)}
        left_ms -= of["therapy_ms"]
        await ward.running(ward.prescribe(rx(ward.wall_ms, on_ms=of["therapy_ms"] - 2_000, **of)), of["patient"])
        await ward.until(lambda: not ward.summary()["session_id"], 1_900)
        trips += [line for line in ward.told() if line not in WELL]
    assert len(trips) <= CALM_MINUTES // 1_200
    assert ward.bench.scope.total(1).pulses > CALM_MINUTES * 60 * 39


WELL = ("session.completed", "stop.confirmed", "session.closed")


@story(
    "H49",
    rules="M36",
    virtual_only="a minute of real time",
    limits={"effort_hold_ms": 30_000},
    golden="""
    session.rate: succeeded OK
    session.completed
    stop.confirmed
    session.closed
""",
)
async def test_h49_a_muscle_is_trained_without_an_alarm_for_nothing(ward: Ward) -> None:
    await ward.turned_on()
    ward.fault("motion", depth=0.1, hz=1.0, seed=9)
    await ward.running(ward.prescribe(rx(ward.wall_ms, **nmes(therapy_ms=40_000))))
    await asyncio.sleep(27)
    await ward.must("session.rate", {"what": "effort", "score": 4})
    await ward.until(lambda: not ward.summary()["session_id"])
    assert abs(len(ward.pulses()) - 4 * 152) < 4 * 8
