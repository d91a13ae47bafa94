"""Too much, too often, too soon, or where it is not felt: what a session, a day and a muscle may have, and do get."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from hil.body import Skin
from tests.hazards.papers import HOUR_MS, PULSE_NC, nmes, rx
from tests.hazards.story import story
from tests.hazards.ward import Said, Ward

DAY_MS = 24 * HOUR_MS
MINUTES = "minutes of real time"
S1 = {"sensation": "S1"}
TEN_MINUTES = {"on_ms": 718_000, "therapy_ms": 720_000}


async def refuses(ward: Ward, code: str, rule: str, patient: str = "p-1", **of: object) -> None:
    """See that a prescription like this is not even prepared."""
    ref = ward.prescribe(rx(ward.wall_ms, **({"version": len(ward.asked) + 1} | of)))
    body = {"prescription_id": ref, "patient_ref": patient}
    assert (of, await ward.refused("session.prepare", body)) == (of, (code, rule))


async def completed(ward: Ward, ref: str, patient: str = "p-1", **to: int) -> None:
    """Give a short treatment to its end."""
    await ward.running(ref, patient, **to)
    async with ward.as_ever("session.completed", "stop.confirmed", "session.closed"):
        await ward.until(lambda: ward.summary()["session_id"] is None)
    await ward.booked()


def short(ward: Ward, name: str, **of: object) -> str:
    """TENS of five seconds."""
    return ward.prescribe(rx(ward.wall_ms, id=name, on_ms=3_000, therapy_ms=5_000, **of))


# H05


@story(
    "H05",
    rules="G07 G08 G11 G19",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.CHARGE [G11]
    session.prepare: rejected LIM.TOLERANCE [G08]
    session.prepare: rejected LIM.DURATION [G04]
    session.prepare: rejected PAD.SMALL [G07]
    session.prepare: rejected LIM.TOLERANCE [G08]
""",
)
async def test_h05_skin_that_feels_less_gets_less_and_what_it_may_have_it_gets(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    high = {"sensory_ua": 8_000, "motor_ua": 25_000, "maximal_ua": 62_600}
    await refuses(ward, "LIM.CHARGE", "G11", **S1, ua=48_000, max_ua=48_000, width_us=313, thresholds=high)
    await refuses(ward, "LIM.TOLERANCE", "G08", **S1, ua=30_100, max_ua=40_000)
    await refuses(ward, "LIM.DURATION", "G04", **S1, on_ms=1_800_000, therapy_ms=1_802_000)
    await refuses(ward, "PAD.SMALL", "G07", sensation="S2", ua=10_000)
    await refuses(ward, "LIM.TOLERANCE", "G08", sensation="S2", ua=18_100, area_mm2=5_000)
    ward.silent()
    await ward.running(ward.prescribe(rx(ward.wall_ms, **S1, ua=30_000)), ua=30_000)
    await ward.steady(ua=30_000)


@story("H05", rules="G08", skin=Skin(area_cm2=50.0), golden="")
async def test_h05_skin_that_feels_nothing_is_treated_within_its_caps(ward: Ward) -> None:
    await ward.flowing(rx(ward.wall_ms, sensation="S2", ua=18_000, area_mm2=5_000), ua=18_000)


@story(
    "H05",
    "H38",
    rules="M06 M37",
    virtual_only=MINUTES,
    limits={"presence_ms": 30_000, "skin_check_ms": 80_000},
    golden="""
    presence.confirm: succeeded OK
    fault.latched SES.PRESENCE [M06]
    session.paused (medium) SES.PRESENCE [M06]
    stop.confirmed
    presence.confirm: succeeded OK
    session.resume: succeeded OK
    session.resumed
    fault.latched SES.SKIN_CHECK [M37]
    session.paused (medium) SES.SKIN_CHECK [M37]
    stop.confirmed
    session.resume: rejected SES.SKIN_CHECK [M37]
    session.skin_check: succeeded OK
    session.resume: succeeded OK
    session.resumed
""",
)
async def test_h05_somebody_is_there_and_looks_or_it_pauses(ward: Ward) -> None:
    """Here somebody must be there each 30 s, and look at the skin each 80 s; as shipped: 5 and 10 minutes."""
    await ward.flowing(rx(ward.wall_ms, **S1, **TEN_MINUTES))
    await asyncio.sleep(27)
    await ward.must("presence.confirm")
    confirmed_us = ward.now_us
    await ward.steady(28)
    await ward.hears("session.paused")
    await ward.zero(confirmed_us, 30_100_000)
    await ward.must("presence.confirm")
    await ward.cleared()
    await ward.measured()
    resumed_us = ward.now_us
    await ward.must("session.resume")
    await ward.flows(since_us=resumed_us)
    await ward.until(lambda: [event["kind"] for event in ward.events].count("stop.confirmed") == 2)
    await ward.cleared()
    assert await ward.refused("session.resume") == ("SES.SKIN_CHECK", "M37")
    await ward.must("session.skin_check", {"ok": True})
    await ward.measured()
    resumed_us = ward.now_us
    await ward.must("session.resume")
    await ward.flows(since_us=resumed_us)


# H18, H37


@story("H18", rules="M21 G28", golden="")
async def test_h18_a_session_ends_by_itself_and_is_charged_what_it_gave(ward: Ward) -> None:
    await ward.turned_on()
    await completed(ward, short(ward, "rx-1"))
    pulses = ward.pulses()
    assert pulses[-1].at_us - pulses[0].at_us <= 5_000_000 + 100_000
    # Three seconds of plateau and two of ramps, but for what lies below the threshold of the scope.
    delivered_nc = ward.bench.scope.charge_nc(1)
    assert delivered_nc == pytest.approx(160 * PULSE_NC, rel=0.05)
    (row,) = ward.ledger()
    assert delivered_nc <= row["charged_nc"] <= 1.05 * delivered_nc
    assert (row["completed"], row["evidence"]) == (1, "readback")
    assert row["charged_nc"] < row["reserved_nc"]


@story(
    "H18",
    rules="G28",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected DOSE.SESSION [G28]
    session.prepare: rejected LIM.DURATION [G04 G28]
""",
)
async def test_h18_what_is_more_than_a_session_may_give_is_not_begun(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    full = {"ua": 30_000, "period_us": 10_000, "on_ms": 3_598_000, "therapy_ms": 3_600_000}
    await refuses(ward, "DOSE.SESSION", "G28", **full)
    await refuses(ward, "LIM.DURATION", "G04", on_ms=3_600_000, therapy_ms=3_602_000)
    ward.silent()
    half = rx(ward.wall_ms, **(full | {"on_ms": 1_798_000, "therapy_ms": 1_800_000}))
    await ward.running(ward.prescribe(half), ua=30_000, period_us=10_000)
    await ward.steady(ua=30_000, period_us=10_000)


@story(
    "H18",
    rules="M21",
    virtual_only=MINUTES,
    golden="""
    session.paused
    session.pause: succeeded OK
    stop.confirmed
    fault.latched DOSE.TIME [M21]
    session.stopped (medium) DOSE.TIME [M21]
    stop.confirmed
    session.closed
""",
)
async def test_h18_a_session_that_is_paused_for_too_long_is_over(ward: Ward) -> None:
    await ward.flowing()
    started_us = ward.pulses()[0].at_us
    await ward.must("session.pause")
    paused_us = ward.now_us
    await ward.hears("session.closed")
    assert 89_500_000 <= ward.now_us - started_us <= 90_500_000
    await ward.zero(paused_us, 20_000)


@story(
    "H37",
    "H18",
    rules="M21 G13",
    virtual_only=MINUTES,
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.CHARGE_DENSITY [G13]
    session.completed
    stop.confirmed
    session.closed
""",
)
async def test_h37_a_long_treatment_is_given_whole_and_no_longer(ward: Ward) -> None:
    """What bounds the heat here is time and density.

    No emulated device feels the skin's temperature, and no body has a model of its heat: M22 is for tests/safety.
    """
    await ward.turned_on()
    await ward.claimed()
    await refuses(ward, "LIM.CHARGE_DENSITY", "G13", area_mm2=900, small_pad_reason="toes", ua=53_000, max_ua=54_000,
                  width_us=400, period_us=8_334)  # fmt: skip
    await ward.running(ward.prescribe())
    await ward.until(lambda: ward.summary()["session_id"] is None)
    await ward.booked()
    total = ward.bench.scope.total(1)
    assert total.charge_nc == pytest.approx(59 * 40 * PULSE_NC, rel=0.01)
    assert total.density < 0.2
    (row,) = ward.ledger()
    assert total.charge_nc <= row["charged_nc"] <= 1.05 * total.charge_nc


# H19, H47


@story(
    "H19",
    rules="L01",
    golden="""
    session.arm: rejected DOSE.DAY [L01]
""",
)
async def test_h19_a_place_has_four_treatments_a_day_and_more_the_next(ward: Ward) -> None:
    await ward.turned_on()
    for number in range(4):
        await ward.running(short(ward, f"rx-{number}"))
        await ward.stopped()
    before_us = ward.now_us
    await ward.prepared(short(ward, "rx-4"))
    await ward.measured()
    assert await ward.refused("session.arm") == ("DOSE.DAY", "L01")
    ward.silent(before_us)
    await ward.stopped()
    ward.fault("clock_jump", ms=DAY_MS)
    await ward.running("rx-4@1")
    await ward.stopped()


@story(
    "H19",
    rules="L07 L08",
    golden="""
    session.stopped (medium) SYS.RESTARTED [X6]
    device.claim: succeeded OK
    session.stopped (medium) SYS.RESTARTED [X6]
    device.claim: succeeded OK
    session.stopped (medium) SYS.RESTARTED [X6]
    device.claim: succeeded OK
""",
)
async def test_h19_a_session_that_a_crash_has_cut_off_counts_in_full(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    for number, wait_s in enumerate((0.0, 0.31, 0.77), 1):
        await ward.running()
        await asyncio.sleep(wait_s)
        ward.kill()
        await asyncio.sleep(1)
        rows = ward.ledger()
        assert len(rows) == number
        assert rows[-1]["charged_nc"] is None
        await ward.turned_on()
        await ward.booked()
        last = ward.ledger()[-1]
        assert (last["charged_nc"], last["evidence"]) == (last["reserved_nc"], "reservation")
        await ward.claimed()
        await ward.cleared()
    await ward.running()


@story("H19", rules="L08", golden="")
async def test_h19_a_session_whose_end_the_device_has_told_is_charged_what_it_gave(ward: Ward) -> None:
    await ward.flowing()
    await ward.stopped()
    await ward.booked()
    delivered_nc = ward.bench.scope.charge_nc(1)
    (row,) = ward.ledger()
    assert delivered_nc <= row["charged_nc"] <= 1.05 * delivered_nc
    assert row["charged_nc"] < row["reserved_nc"] / 5


@story("H47", "H26", rules="X10 M34", golden="")
async def test_h47_two_controllers_do_not_treat_one_patient_at_once(ward: Ward) -> None:
    """Two controllers that share a ledger; a patient who is known to two sites by two ledgers is not covered."""
    await ward.flowing()
    other = ward.second("dev2")
    await other.turned_on()
    other.prescribe(rx(ward.wall_ms, id="rx-2"))
    await other.prepared("rx-2@1", device="dev2")
    await other.measured("dev2")
    assert (await other.refused("session.arm", device="dev2"))[0] == "SES.HELD"
    other.silent()
    await ward.steady()
    other.prescribe(rx(ward.wall_ms, id="rx-3", patient="p-2"))
    await other.stopped("dev2")
    await other.running("rx-3@1", "p-2", "dev2")
    await other.steady(device="dev2")
    await ward.steady()
    await other.stopped("dev2")
    await ward.stopped()
    await other.running("rx-2@1", device="dev2")
    await other.steady(device="dev2")


# H20, H21


@story(
    "H20",
    rules="G17",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected FAT.DUTY [G17]
    session.prepare: rejected FAT.ON_TIME [G17]
""",
)
async def test_h20_a_muscle_rests_three_times_as_long_as_it_works(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    await refuses(ward, "FAT.DUTY", "G17", **nmes(off_ms=5_999))
    await refuses(ward, "FAT.ON_TIME", "G17", **nmes(on_ms=10_001, off_ms=40_000))
    ward.silent()
    await ward.running(ward.prescribe(rx(ward.wall_ms, **nmes())))
    started_us = ward.pulses()[0].at_us
    await ward.flows(since_us=started_us + 8_000_000)
    pulses = ward.pulses()
    gaps = [after.at_us - before.at_us for before, after in pairwise(pulses)]
    assert len([gap for gap in gaps if gap > 30_000]) == 1
    assert 6_000_000 <= max(gaps) <= 6_500_000


@story(
    "H20",
    rules="M36",
    virtual_only=MINUTES,
    limits={"effort_hold_ms": 30_000, "effort_pause_ms": 60_000},
    golden="""
    session.held (low) FAT.RATING [M36]
    session.adjust: rejected FAT.RATING [G27 G18]
    fault.latched FAT.RATING [M36]
    session.paused (medium) FAT.RATING [M36]
    stop.confirmed
    session.rate: succeeded OK
    session.resume: succeeded OK
    session.resumed
""",
)
async def test_h20_the_patient_is_asked_for_the_effort_or_it_pauses(ward: Ward) -> None:
    """Here after 30 s, and 60 s; as shipped: 5 and 10 minutes."""
    await ward.turned_on()
    long = ward.prescribe(rx(ward.wall_ms, **nmes(therapy_ms=720_000, off_ms=8_000)))
    await ward.running(long)
    started_us = ward.now_us
    await ward.hears("session.held")
    assert 28_000_000 <= ward.now_us - started_us <= 31_000_000
    assert (await ward.refused("session.adjust", {"channel": 1, "delta_ua": 500}))[1] in {"G27", "G18"}
    await ward.hears("session.paused")
    assert 58_000_000 <= ward.now_us - started_us <= 61_000_000
    paused_us = ward.now_us
    await asyncio.sleep(5)
    ward.silent(paused_us)
    await ward.must("session.rate", {"what": "effort", "score": 5})
    await ward.cleared()
    await ward.measured()
    resumed_us = ward.now_us
    await ward.must("session.resume")
    await ward.flows(since_us=resumed_us)


@story(
    "H21",
    rules="G26 L02",
    golden="""
    session.arm: rejected DOSE.FIRST [G26]
    session.arm: rejected FAT.REST [L02]
""",
)
async def test_h21_an_untrained_muscle_is_given_half_and_two_days(ward: Ward) -> None:
    await ward.turned_on()
    much = ward.prescribe(rx(ward.wall_ms, id="rx-2", **nmes(therapy_ms=900_000)))
    await ward.prepared(much)
    await ward.measured()
    assert await ward.refused("session.arm") == ("DOSE.FIRST", "G26")
    ward.silent()
    await ward.stopped()
    half = ward.prescribe(rx(ward.wall_ms, **nmes(therapy_ms=600_000)))
    await ward.running(half)
    await ward.stopped()
    await ward.booked()
    ward.fault("clock_jump", ms=47 * HOUR_MS)
    soon_us = ward.now_us
    await ward.prepared(ward.prescribe(rx(ward.wall_ms, id="rx-3", **nmes())))
    await ward.measured()
    assert await ward.refused("session.arm") == ("FAT.REST", "L02")
    ward.silent(soon_us)
    await ward.stopped()
    ward.fault("clock_jump", ms=2 * HOUR_MS)
    await ward.running("rx-3@1")


@story(
    "H21",
    rules="L06",
    golden="""
    session.arm: rejected LIM.GROWTH [L06]
""",
)
async def test_h21_the_current_grows_a_little_from_session_to_session(ward: Ward) -> None:
    await ward.turned_on()
    await completed(ward, short(ward, "rx-1"))
    higher_us = ward.now_us
    await ward.prepared(short(ward, "rx-2", ua=23_100))
    await ward.measured()
    assert await ward.refused("session.arm") == ("LIM.GROWTH", "L06")
    ward.silent(higher_us)
    await ward.stopped()
    await completed(ward, short(ward, "rx-3", ua=23_000), ua=23_000)


# H34, H46


@story(
    "H34",
    rules="L11",
    golden="""
    session.arm: rejected PAD.EXPIRED [L11]
    session.arm: rejected PAD.WORN [L11]
    session.arm: rejected PAD.UNKNOWN [L11]
    session.arm: rejected PAD.WORN [L11]
""",
)
async def test_h34_pads_that_are_worn_or_old_or_unknown_are_not_used_again(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    for barcode, days in (("GOOD", 1), ("OLD", -1), ("WORN", 1)):
        ward.write("INSERT INTO pads VALUES (?, ?)", barcode, ward.wall_ms + days * DAY_MS)
    for number in range(15):
        ward.write("INSERT INTO pad_uses VALUES ('WORN', ?, ?)", f"s-{number}", ward.wall_ms)
    for number in range(14):
        ward.write("INSERT INTO pad_uses VALUES ('GOOD', ?, ?)", f"s-{number}", ward.wall_ms)
    for barcode, code in (("OLD", "PAD.EXPIRED"), ("WORN", "PAD.WORN"), ("STRAY", "PAD.UNKNOWN")):
        await ward.prepared(pads=on(barcode))
        await ward.measured()
        assert await ward.refused("session.arm") == (code, "L11")
        await ward.stopped()
    ward.silent()
    await ward.armed(pads=on("GOOD"))
    await ward.started()
    await ward.steady()
    await ward.stopped()
    used_us = ward.now_us
    await ward.prepared(pads=on("GOOD"))
    await ward.measured()
    assert await ward.refused("session.arm") == ("PAD.WORN", "L11")
    ward.silent(used_us)


def on(barcode: str) -> list[Said]:
    return [{"channel": 1, "barcodes": [barcode]}]


@story(
    "H34",
    rules="M10",
    golden="""
    session.held (low) IMP.DRIFT [M10]
    fault.latched IMP.DRIFT [M10]
    session.paused (medium) IMP.DRIFT [M10]
    stop.confirmed
""",
)
async def test_h34_gel_that_dries_ends_it(ward: Ward) -> None:
    await ward.flowing()
    dries_us = ward.fault("dry_out", dryness=3.0, over_ms=10_000)
    await ward.hears("stop.confirmed")
    await ward.zero(dries_us, 9_000_000)


@story(
    "H46",
    rules="G20",
    skin=Skin(area_cm2=9.0),
    golden="""
    impedance.check: succeeded IMP.HIGH [G20]
    impedance.measured (low) IMP.HIGH [G20]
    session.arm: rejected IMP.HIGH [G20]
""",
)
async def test_h46_pads_that_are_smaller_than_was_written_are_seen_by_their_resistance(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.prepared()
    await ward.ask("impedance.check", {})
    assert await ward.refused("session.arm") == ("IMP.HIGH", "G20")
    ward.silent()
    await ward.stopped()
    right = rx(ward.wall_ms, id="rx-2", area_mm2=900, small_pad_reason="toes")
    await ward.running(ward.prescribe(right))
    await ward.steady()


@story("H46", devices=("dev1",), golden="")
async def test_h46_leads_that_are_exchanged_are_for_people_to_see(ward: Ward) -> None:
    """Nothing in a controller can tell one good pad from another; what is given stays what was prescribed."""
    await ward.turned_on()
    ward.fault("swapped_leads")
    await ward.running(ward.prescribe(), channel=2)
    await ward.steady(channel=2)
    assert ward.pulses(1) == []
