"""The golden cases of safety reference 7.3b and more of its 3.2: ordinary therapies are accepted and run to their end.

Refusing what patients need is a harm too. Each case has two earlier sessions on the site, judged by `admit`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

import pytest
from rig import (
    CAPS,
    WALL_MS,
    ArmSession,
    Calibration,
    Check,
    Claim,
    ClearLatch,
    IdealDevice,
    Modality,
    Phase,
    Prepare,
    Programme,
    Resume,
    Rig,
    Sensation,
    Start,
    plan,
    record,
    rx,
)

from safety.effects import Closing, Permit, Settlement
from safety.history import History
from safety.prescription import Dose, Plan, Prescription
from safety.units import ceil_div
from safety.verdict import Reason, Severity

pytestmark = pytest.mark.hazard("H49")

S0, S1, S2 = Sensation.S0, Sensation.S1, Sensation.S2
DAY_MS = 86_400_000
ATTENDED_MS = 280_000
"""How often somebody looks after the patient in these therapies: every 5 min at the latest is asked for."""
FELT = Calibration(
    at_wall_ms=WALL_MS - DAY_MS,
    pair="a",
    area_mm2=2_500,
    width_us=300,
    sensory_ua=8_000,
    motor_ua=15_000,
    maximal_ua=38_000,
)
STRONG = replace(FELT, motor_ua=30_000, maximal_ua=80_000)
NUMB = replace(FELT, sensory_ua=None, maximal_ua=None)


def nmes(on_s: int, off_s: int, minutes: int) -> Programme:
    """Plateau and rest, with ramps of a second between them."""
    return Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=on_s * 1_000, ramp_down_ms=1_000, off_ms=off_s * 1_000,
        therapy_ms=minutes * 60_000,
    )  # fmt: skip


def tens(minutes: int) -> Programme:
    """Continuous, after a ramp of a second."""
    return Programme(
        modality=Modality.TENS, ramp_up_ms=1_000, on_ms=minutes * 60_000 - 1_000, ramp_down_ms=0, off_ms=0,
        therapy_ms=minutes * 60_000,
    )  # fmt: skip


def channel(ma: int, width_us: int, hertz: int, area_cm2: int, calibration: Calibration, **changes: object) -> Plan:
    fields = {"ua": ma * 1_000, "max_ua": ma * 1_000, "width_us": width_us, "area_mm2": area_cm2 * 100}
    return plan(period_us=ceil_div(1_000_000, hertz), calibration=calibration, **fields, **changes)


def case(sensation: Sensation, programme: Programme, *channels: Plan) -> Prescription:
    return rx(*channels, programme=programme, sensation=sensation, id="rx-golden")


QUADRICEPS = case(S0, nmes(10, 50, 15), channel(80, 300, 50, 45, STRONG))
NEUROPATHY_S0 = case(S0, tens(30), channel(30, 200, 100, 25, FELT))
NEUROPATHY_S1 = case(S1, tens(30), channel(30, 200, 100, 25, FELT))
CALF = case(S1, nmes(5, 15, 15), channel(30, 300, 35, 25, FELT))
CALF_12 = case(S1, nmes(5, 15, 15), channel(12, 300, 35, 25, FELT))

GOLDEN = {
    "quadriceps strengthening": QUADRICEPS,
    "diabetic neuropathy TENS, S0": NEUROPATHY_S0,
    "diabetic neuropathy TENS, S1": NEUROPATHY_S1,
    "calf NMES, reduced sensation": CALF,
    "calf NMES, reduced sensation, 12 mA": CALF_12,
}
MORE = {
    "quadriceps after operation, 10/30": case(S0, nmes(10, 30, 10), channel(65, 300, 50, 45, STRONG)),
    "quadriceps, 5/15 at 80 mA": case(S0, nmes(5, 15, 15), channel(80, 300, 50, 45, STRONG)),
    "calf NMES of the trial in neuropathy, 5/15 for 30 min": case(
        S0, nmes(5, 15, 30), channel(30, 300, 35, 25, FELT)
    ),
    "neuropathy TENS of both legs": case(
        S0, tens(30), channel(15, 200, 80, 25, FELT), channel(15, 200, 80, 25, FELT, channel=2, site="right-calf"),
    ),
    "quadriceps, wide pulses": case(S0, nmes(10, 30, 15), channel(70, 400, 40, 50, STRONG)),
    "both calves in turn, S1": case(
        S1, nmes(5, 15, 20), channel(28, 300, 35, 25, FELT),
        channel(28, 300, 35, 25, FELT, channel=2, site="right-calf", delay_ms=11_000),
    ),
    "calf blood flow": case(S0, nmes(5, 15, 20), channel(20, 200, 36, 25, FELT)),
    "calf of skin that feels nothing": case(S2, nmes(5, 15, 15), channel(18, 300, 35, 50, NUMB)),
    "neuropathy TENS at 80 Hz": case(S0, tens(30), channel(15, 200, 80, 25, FELT)),
    "neuropathy TENS at 2 Hz": case(S1, tens(30), channel(30, 200, 2, 25, FELT)),
    "post-herpetic neuralgia": case(S0, tens(30), channel(25, 250, 100, 25, FELT)),
    "acute zoster": case(S0, tens(30), channel(5, 200, 30, 16, FELT)),
    "low TENS, visible twitch": case(S0, tens(30), channel(30, 250, 4, 25, FELT)),
    "peroneal twitch": case(S0, tens(30), channel(27, 400, 1, 25, FELT)),
}  # fmt: skip
ALL = GOLDEN | MORE


def bench(prescription: Prescription, **caps: object) -> Rig:
    """A rig in IDLE whose patient has had two sessions on each site."""
    sites = [(p.site, p.ua) for p in prescription.channels]
    loads = {p.channel: 1_600 * 2_500 // p.area_mm2 for p in prescription.channels}
    rig = Rig(device=IdealDevice(caps=replace(CAPS, **caps), ohm=loads))
    modality = prescription.programme.modality
    rig.history = History(
        patient="p-1",
        records=tuple(
            record(days * DAY_MS, session=f"s-{days}-{site}", site=site, ua=ua, modality=modality, rx="rx-golden@1")
            for days in (2, 4)
            for site, ua in sites
        ),
        locked_sites=(),
    )
    rig.up()
    rig.must(Claim())
    return rig


class Course(NamedTuple):
    """How a run went: where it ended, what it was charged and what the device gave, the lowest mu of any channel."""

    ended: tuple[Phase, list[str], list[str]]
    closing: list[object]
    permit: Permit
    settled: list[object]
    given_nc: dict[int, int]
    mu_ppm: int


def rest_between_sets(rig: Rig) -> None:
    """Rest for four minutes, then go on: what the guide says after sixty contractions."""
    rig.must(ClearLatch(rig.station.latches[0].id, "end of a set"))
    rig.tick(2_401, ms=100)
    rig.attend()
    rig.must(Check(()))
    rig.must(Resume())


@functools.cache
def played(name: str) -> Course:
    """Play a prescription from claim to close."""
    prescription = ALL[name]
    tick_ms = 50 if name in GOLDEN else 100
    rig, lowest = bench(prescription), 1_000_000
    rig.must(Prepare(prescription, prescription.ref, "p-1"))
    rig.must(Check(()))
    rig.must(ArmSession())
    rig.must(Start())
    assert rig.station.session is not None
    assert rig.station.session.permit is not None
    permit = rig.station.session.permit
    for tick in range(1, prescription.programme.therapy_ms // tick_ms + 2):
        if tick * tick_ms % ATTENDED_MS == 0:
            rig.attend()
        rig.tick(ms=tick_ms)
        if rig.station.session is None:
            break
        if rig.latched() == ["M35"]:
            rest_between_sets(rig)
        lowest = min(lowest, *(c.mu_ppm for c in rig.station.session.channels))
    ended = (rig.phase, rig.latched(), [e.rule for e in (*rig.events("session.held"), *rig.events("session.paused"))])
    return Course(ended, rig.notes("close"), permit, rig.notes("settle"), rig.device.total_nc, lowest)


@pytest.mark.hazard("H49")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize("name", ALL)
def test_an_ordinary_therapy_runs_to_its_end_and_is_charged_what_was_given(name: str):
    course = played(name)
    sets = ["M35"] if ALL[name].programme.cycles > 60 and ALL[name].programme.off_ms else []
    assert course.ended == (Phase.IDLE, [], sets)
    (closing,), (settled,) = course.closing, course.settled
    assert isinstance(closing, Closing)
    assert (closing.outcome, closing.rule) == ("completed", "")
    assert isinstance(settled, Settlement)
    assert settled.evidence == "readback"
    for reserved, (number, charged) in zip(course.permit.reserve, settled.charged, strict=True):
        assert charged.nc == ceil_div(course.given_nc[number] * 101, 100)
        assert charged.nc <= reserved.nc
        assert charged.i2t <= reserved.i2t
        assert charged.on_ms <= reserved.on_ms


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize("name", ALL)
def test_no_ordinary_therapy_comes_near_exhaustion(name: str):
    assert played(name).mu_ppm >= 600_000


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("name", "floor_ppm"),
    [
        ("quadriceps strengthening", 674_000),
        ("quadriceps, 5/15 at 80 mA", 644_000),
        ("quadriceps, wide pulses", 610_000),
    ],
)
def test_the_fatigue_floors_of_the_reference(name: str, floor_ppm: int):
    assert played(name).mu_ppm == pytest.approx(floor_ppm, abs=3_000)


@pytest.mark.parametrize(
    ("name", "planned_nc"),
    [
        # plateau and half of each ramp, by hand: pulses x 2 I w
        ("quadriceps strengthening", 15 * 11 * 50 * 48_000),
        ("diabetic neuropathy TENS, S0", 1_799_500 // 10 * 12_000),
        ("calf NMES, reduced sensation", 41 * 6 * 35 * 18_000),
    ],
)
def test_what_a_golden_case_gives(name: str, planned_nc: int):
    assert played(name).given_nc[1] == pytest.approx(planned_nc, rel=0.01)


# What the shipped policy refuses of the reference's table, and why


REFUSED = {
    "quadriceps 10/20: too little rest": (
        case(S0, nmes(10, 20, 10), channel(65, 300, 50, 45, STRONG)),
        Reason("G17", Severity.REFUSE, "FAT.DUTY", 0, 20_000, 30_000, "ms"),
    ),
    "quadriceps 6/10: too little rest": (
        case(S0, nmes(6, 10, 10), channel(65, 300, 50, 45, STRONG)),
        Reason("G17", Severity.REFUSE, "FAT.DUTY", 0, 10_000, 18_000, "ms"),
    ),
    "quadriceps 5/10: too little rest": (
        case(S0, nmes(5, 10, 10), channel(65, 300, 50, 45, STRONG)),
        Reason("G17", Severity.REFUSE, "FAT.DUTY", 0, 10_000, 15_000, "ms"),
    ),
    "quadriceps 15/45: held for too long, though the rest is long enough": (
        case(S0, nmes(15, 45, 10), channel(65, 300, 50, 45, STRONG)),
        Reason("G17", Severity.REFUSE, "FAT.ON_TIME", 0, 15_000, 10_000, "ms"),
    ),
    "quadriceps with 600 us: a site may allow 500 at most": (
        case(S0, nmes(10, 50, 10), channel(40, 600, 50, 45, STRONG)),
        Reason("G09", Severity.REFUSE, "LIM.PULSE_WIDTH", 1, 600, 400, "us"),
    ),
    "peroneal twitch for four hours: longer than any session": (
        case(S0, tens(240), channel(27, 400, 1, 25, FELT)),
        Reason("G04", Severity.REFUSE, "LIM.DURATION", 0, 14_400_000, 3_600_000, "ms"),
    ),
    "calf NMES for 30 min where sensation is reduced: longer than its class may have": (
        case(S1, nmes(5, 15, 30), channel(30, 300, 35, 25, FELT)),
        Reason("G04", Severity.REFUSE, "LIM.DURATION", 0, 1_800_000, 1_200_000, "ms"),
    ),
}


@pytest.mark.rule("G17")
@pytest.mark.rule("G04")
@pytest.mark.rule("G09")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_shipped_policy_refuses_has_its_reason(name: str):
    prescription, why = REFUSED[name]
    assert why in bench(prescription).ask(Prepare(prescription, prescription.ref, "p-1")).reasons


TRIAL = ALL["calf NMES of the trial in neuropathy, 5/15 for 30 min"]
"""82 cycles of 22 s: 410 s on the plateau, 574 s with the ramps."""
HALF_DAY_MS = DAY_MS // 2


def twice_a_day(count: int) -> Rig:
    """A rig whose patient has had this many sessions of the trial, one each half day."""
    rig = bench(TRIAL)
    given = Dose(nc=270_000_000, i2t=8_000_000_000_000_000, on_ms=574_000)
    before = {"ua": 30_000, "rx": "rx-golden@1", "site": "left-quadriceps"}
    rig.history = History(
        patient="p-1", locked_sites=(),
        records=tuple(
            record(HALF_DAY_MS * n, session=f"s-{n}", charged=given, reserved=given, **before)
            for n in range(count, 0, -1)
        ),
    )  # fmt: skip
    rig.must(Prepare(TRIAL, TRIAL.ref, "p-1"))
    rig.must(Check(()))
    return rig


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.rule("L05")
@pytest.mark.hazard("H49")
def test_the_trial_in_neuropathy_counts_as_light_and_may_be_given_twice_a_day():
    assert TRIAL.programme.plateau_ms == 410_000
    assert twice_a_day(6).ask(ArmSession()).status == "succeeded"


@pytest.mark.rule("L04")
@pytest.mark.hazard("H19")
def test_the_eighth_session_of_the_trial_in_a_week_is_refused_by_its_on_time():
    """Seven times a session's on-time is a week's, ramps included; a site that gives 14 raises `week_on_ms`."""
    asked = Reason("L04", Severity.REFUSE, "DOSE.WEEK", 1, 7 * 574_000 + 574_500, 4_270_000, "ms")
    assert twice_a_day(7).ask(ArmSession()).reasons == (asked,)


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize("before", [0, 1, 2])
def test_quadriceps_strengthening_begins_with_less_than_its_whole_programme(before: int):
    rig = bench(QUADRICEPS)
    rig.history = History(
        patient="p-1", locked_sites=(), records=tuple(record((3 + n) * DAY_MS, ua=80_000) for n in range(before))
    )
    rig.must(Prepare(QUADRICEPS, QUADRICEPS.ref, "p-1"))
    rig.must(Check(()))
    assert [reason.rule for reason in rig.ask(ArmSession()).reasons] == ([] if before == 2 else ["G26"])


@pytest.mark.rule("L06")
@pytest.mark.hazard("H21")
def test_a_therapy_goes_up_by_a_tenth_from_session_to_session():
    rig = bench(QUADRICEPS)
    last = (record(3 * DAY_MS, ua=72_727), record(5 * DAY_MS, ua=80_000))
    rig.history = History(patient="p-1", records=last, locked_sites=())
    rig.must(Prepare(QUADRICEPS, QUADRICEPS.ref, "p-1"))
    rig.must(Check(()))
    assert [reason.rule for reason in rig.ask(ArmSession()).reasons] == ["L06"]


BLIND = Reason("G29", Severity.REFUSE, "IMP.BLIND", 1, 12_000, 15_000, "uA")
MID_LEVEL = {"numeric_impedance": False, "electrode_flag_from_ua": 15_000}


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H05")
def test_twelve_milliampere_on_a_device_that_is_blind_below_fifteen_is_refused_for_that_reason_alone():
    rig = bench(CALF_12, **MID_LEVEL)
    answer = rig.ask(Prepare(CALF_12, CALF_12.ref, "p-1"))
    assert (answer.status, answer.code, answer.reasons) == ("rejected", "IMP.BLIND", (BLIND,))
    assert rig.phase is Phase.IDLE


@pytest.mark.rule("G29")
@pytest.mark.parametrize("name", [n for n in GOLDEN if n != "calf NMES, reduced sensation, 12 mA"])
def test_the_other_golden_cases_are_accepted_on_such_a_device(name: str):
    prescription = GOLDEN[name]
    rig = bench(prescription, **MID_LEVEL)
    rig.must(Prepare(prescription, prescription.ref, "p-1"))
    rig.must(Check(()))
    rig.must(ArmSession())
    rig.must(Start())


@pytest.mark.rule("L02")
@pytest.mark.hazard("H21")
def test_the_same_therapy_a_day_too_early_is_refused():
    rig = bench(QUADRICEPS)
    before = (record(DAY_MS, ua=80_000), record(4 * DAY_MS, ua=80_000))
    rig.history = History(patient="p-1", records=before, locked_sites=())
    rig.must(Prepare(QUADRICEPS, QUADRICEPS.ref, "p-1"))
    rig.must(Check(()))
    two_days = Reason("L02", Severity.REFUSE, "FAT.REST", 1, DAY_MS, 2 * DAY_MS, "ms")
    assert rig.ask(ArmSession()).reasons == (two_days,)


@pytest.mark.rule("L02")
@pytest.mark.hazard("H21")
def test_a_continuation_gives_only_what_was_left():
    rig = bench(QUADRICEPS)
    whole = record(60_000, rx="rx-golden@1", ua=80_000, charged=Dose(nc=396_000_000, on_ms=180_000))
    rig.history = History(patient="p-1", records=(whole, record(4 * DAY_MS)), locked_sites=())
    rig.must(Prepare(QUADRICEPS, QUADRICEPS.ref, "p-1"))
    rig.must(Check(()))
    assert [reason.rule for reason in rig.ask(ArmSession()).reasons] == ["L02"]
