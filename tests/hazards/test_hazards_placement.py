"""Where current must never pass, whom it must never meet: refused before a byte that enables anything is sent."""

from __future__ import annotations

import asyncio
from itertools import pairwise, product

from tests.hazards.papers import CALM, channel, nmes, rx
from tests.hazards.story import story
from tests.hazards.ward import Ward

DAY_MS = 86_400_000
ENABLING = ("arm", "drive", "feed", "probe")
LEGS = ("buttock", "thigh", "knee", "lower-leg", "foot", "foot-sole")
ARMS = ("shoulder", "upper-arm", "forearm", "hand")


def enabled(ward: Ward) -> int:
    """How many frames were sent that prepare or keep up current."""
    return sum(ward.sent()[kind] for kind in ENABLING)


async def denied(ward: Ward, montages: list[tuple[str, str, str, str]]) -> None:
    """See that nobody prepares a session with pads like these."""
    before = ward.told()
    for number, montage in enumerate(montages, 2):
        ref = ward.prescribe(rx(ward.wall_ms, version=number, montage=montage))
        body = {"prescription_id": ref, "patient_ref": "p-1"}
        assert (montage, await ward.refused("session.prepare", body)) == (montage, ("MON.DENIED", "G06"))
    # So many times the same is one line of the story.
    line = "session.prepare: rejected MON.DENIED [G06]"
    assert ward.told() == [line] * len(montages)
    ward.say([*before, line])
    assert enabled(ward) == 0
    ward.silent()


@story(
    "H01",
    rules="G06",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected MON.DENIED [G06]
""",
)
async def test_h01_no_pair_of_pads_has_the_heart_between_and_one_limb_is_treated(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    chest = [("chest", "left", "upper-back", "left"), ("chest", "middle", "chest", "middle")]
    chest += [(place, "left", other, "left") for place, other in product(("chest", "upper-back"), (*LEGS, *ARMS))]
    arms = [(place, "left", other, "right") for place, other in product(ARMS, ARMS)]
    from_arm = [(place, "right", other, "right") for place, other in product(ARMS, (*LEGS, "lower-back", "abdomen"))]
    await denied(ward, chest + arms + from_arm)
    await ward.running(ward.prescribe())
    await ward.steady()


@story(
    "H01",
    rules="G22",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected MON.CROSSING [G22]
    session.prepare: rejected MON.CROSSING [G22]
""",
)
async def test_h01_two_pairs_do_not_cross_the_chest_and_two_thighs_go_together(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    both = [("forearm", "left", "hand", "left"), ("forearm", "right", "hand", "right")]
    limbs = [("forearm", "left", "hand", "left"), ("thigh", "left", "thigh", "left")]
    for number, pairs in enumerate((both, limbs)):
        channels = [channel(ward.wall_ms, n, montage=pair) for n, pair in enumerate(pairs, 1)]
        ref = ward.prescribe(rx(ward.wall_ms, id=f"cross-{number}", channels=channels))
        body = {"prescription_id": ref, "patient_ref": "p-1"}
        assert await ward.refused("session.prepare", body) == ("MON.CROSSING", "G22")
    assert enabled(ward) == 0
    sides = ((1, "left"), (2, "right"))
    thighs = [channel(ward.wall_ms, n, montage=("thigh", side, "thigh", side)) for n, side in sides]
    await ward.running(ward.prescribe(rx(ward.wall_ms, channels=thighs)))
    await ward.flows(channel=2)
    await ward.steady()
    await ward.steady(channel=2)


@story(
    "H02",
    rules="G05",
    golden="""
    session.arm: rejected ATT.MISSING [G05 G24 G20]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05 G24 G20]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    fault.latched ATT.CONTRAINDICATED [G05]
    session.stopped (high) ATT.CONTRAINDICATED [G05]
    stop.confirmed
    session.closed
    session.prepare: rejected FLT.LATCHED [G27]
""",
)
async def test_h02_an_active_implant_locks_the_patient_and_nobody_else(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    ward.prescribe(rx(ward.wall_ms, id="rx-2", patient="p-2"))
    await ward.opened()
    assert await ward.refused("session.arm") == ("ATT.MISSING", "G05")
    await ward.ask("session.attest", {"answers": CALM | {"active_implant": "unknown"}})
    assert await ward.refused("session.arm") == ("ATT.UNKNOWN", "G05")
    await ward.ask("session.attest", {"answers": CALM | {"active_implant": "yes"}})
    await ward.hears("session.closed")
    body = {"prescription_id": "rx-1@1", "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("FLT.LATCHED", "G27")
    assert enabled(ward) == 0
    ward.silent()
    await ward.running("rx-2@1", "p-2")
    await ward.steady()


@story(
    "H02",
    rules="G05",
    golden="""
    session.arm: succeeded OK
    session.armed
    session.arm: rejected ATT.EXPIRED [G05 G24]
""",
)
async def test_h02_answers_are_asked_anew_after_a_day(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.prepared()
    await ward.stopped()
    ward.fault("clock_jump", ms=DAY_MS - 60_000)
    await ward.opened()
    await ward.tries_stop()
    await ward.measured()
    await ward.must("session.arm")
    await ward.hears("session.armed")
    await ward.stopped()
    ward.fault("clock_jump", ms=120_000)
    await ward.opened()
    await ward.measured()
    assert await ward.refused("session.arm") == ("ATT.EXPIRED", "G05")
    ward.silent()
    await ward.stopped()
    await ward.running()
    await ward.steady()


@story(
    "H03",
    rules="G06",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected MON.DENIED [G06]
""",
)
async def test_h03_no_pad_sits_at_head_or_neck_and_a_shoulder_is_treated(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    never = ("head", "eye", "mouth", "neck")
    pairs = [(a, "left", b, "left") for a in never for b in (*never, *ARMS, "thigh")]
    await denied(ward, pairs + [(b, "right", a, "right") for a in never for b in ARMS])
    arm = rx(ward.wall_ms, montage=("shoulder", "left", "upper-arm", "left"))
    await ward.running(ward.prescribe(arm))
    await ward.steady()


@story(
    "H44",
    rules="G05 G06",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected MON.DENIED [G06]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
""",
)
async def test_h44_an_open_foot_is_not_treated_and_a_whole_one_is(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe(rx(ward.wall_ms, montage=("foot-sole", "left", "lower-leg", "left")))
    across = rx(ward.wall_ms, id="rx-2", montage=("foot-sole", "left", "foot-sole", "right"))
    await ward.claimed()
    body = {"prescription_id": ward.prescribe(across), "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("MON.DENIED", "G06")
    await ward.prepared()
    await ward.ask("session.attest", {"answers": CALM | {"ulcer": "yes"}})
    await ward.measured()
    assert await ward.refused("session.arm") == ("ATT.CONTRAINDICATED", "G05")
    ward.silent()
    await ward.stopped()
    await ward.running()
    await ward.steady()


@story(
    "H43",
    "H36",
    "H41",
    "H42",
    "H44",
    rules="G05",
    golden="""
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    session.arm: rejected ATT.CONTRAINDICATED [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded ATT.UNKNOWN [G05]
    session.arm: rejected ATT.UNKNOWN [G05]
    session.attest: succeeded OK
    session.arm: succeeded OK
    session.armed
    session.start: succeeded OK
    session.started
""",
)
async def test_h43_whatever_forbids_it_here_and_now_is_asked_and_a_calm_patient_is_treated(ward: Ward) -> None:
    """Who stands may fall, who lies near a diathermy gets more than was set, and so on: each question by itself."""
    await ward.turned_on()
    ward.prescribe()
    await ward.prepared()
    await ward.measured()
    for item in ("standing", "diathermy", "fracture", "ulcer", "wet_or_driving", "monitored"):
        for said in ("yes", "unknown"):
            await ward.ask("session.attest", {"answers": CALM | {item: said}})
            code = "ATT.UNKNOWN" if said == "unknown" else "ATT.CONTRAINDICATED"
            assert (item, await ward.refused("session.arm")) == (item, (code, "G05"))
    left_out = {item: said for item, said in CALM.items() if item != "standing"}
    await ward.ask("session.attest", {"answers": left_out})
    assert await ward.refused("session.arm") == ("ATT.UNKNOWN", "G05")
    assert ward.sent()["arm"] + ward.sent()["drive"] == 0
    ward.silent()
    await ward.must("session.attest", {"answers": CALM})
    await ward.must("session.arm")
    asked_us = ward.now_us
    await ward.must("session.start")
    await ward.flows()
    # It is told before the first pulse, and comes up over the whole ramp.
    pulses = ward.pulses()
    assert asked_us < pulses[0].at_us
    assert pulses[0].first_ua < 3_000
    assert max(after.first_ua - before.first_ua for before, after in pairwise(pulses)) <= 2_000
    full_us = next(pulse.at_us for pulse in pulses if pulse.first_ua == 20_000)
    assert 900_000 <= full_us - asked_us <= 1_300_000


@story(
    "H41",
    rules="G05 M23",
    golden="""
    session.attest: succeeded ATT.CONTRAINDICATED [G05]
    fault.latched ATT.CONTRAINDICATED [G05]
    session.stopped (high) ATT.CONTRAINDICATED [G05]
    stop.confirmed
    session.closed
    fault.latched SES.PATIENT_STOP [M23]
    session.stopped (medium) SES.PATIENT_STOP [M23]
    stop.confirmed
    session.closed
""",
)
async def test_h41_a_high_spinal_injury_is_never_treated_and_whoever_feels_ill_can_end_it(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe(rx(ward.wall_ms, id="rx-2", patient="p-2"))
    await ward.opened("rx-2@1", "p-2")
    await ward.ask("session.attest", {"answers": CALM | {"dysreflexia": "yes"}})
    await ward.hears("session.closed")
    ward.silent()
    await ward.running(ward.prescribe())
    pressed_us = ward.press()
    await ward.hears("session.closed")
    await asyncio.sleep(1)
    ward.let_go()
    await ward.zero(pressed_us, 0)
    assert ward.latches()[-1] == "M23 new_session"


@story(
    "H42",
    rules="G18",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.STEP [G18]
    session.prepare: rejected LIM.STEP [G18]
    session.prepare: rejected LIM.STEP [G18]
    session.adjust: rejected LIM.STEP [G18]
    session.adjust: succeeded OK
    session.adjust: rejected LIM.STEP [G18]
""",
)
async def test_h42_a_muscle_is_never_jerked_and_a_slow_rise_is_given(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    for number, ramp_ms in enumerate((999, 500, 100)):
        steep = rx(ward.wall_ms, id=f"rx-{number}", **nmes(ramp_up_ms=ramp_ms))
        body = {"prescription_id": ward.prescribe(steep), "patient_ref": "p-1"}
        assert await ward.refused("session.prepare", body) == ("LIM.STEP", "G18")
    await ward.running(ward.prescribe(rx(ward.wall_ms, id="rx-9")))
    assert await ward.refused("session.adjust", {"channel": 1, "delta_ua": 1_001}) == ("LIM.STEP", "G18")
    await asyncio.sleep(1)
    await ward.must("session.adjust", {"channel": 1, "delta_ua": 1_000})
    assert await ward.refused("session.adjust", {"channel": 1, "delta_ua": 100}) == ("LIM.STEP", "G18")
    await ward.flows(21_000)
    await ward.steady(ua=21_000)
    risen = ward.pulses()
    steps = [after.first_ua - before.first_ua for before, after in pairwise(risen)]
    assert max(steps) <= 2_000
