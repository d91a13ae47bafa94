"""safety/wishes.py: which rules each wish is asked, and each gate rule alone, all others off, behind `step`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
from rig import (
    CAPS,
    IDENTITY,
    VOUCHED,
    WALL_MS,
    WELL,
    Adjust,
    ArmSession,
    Attest,
    Calibration,
    Check,
    Claim,
    ClearLatch,
    IdealDevice,
    Pause,
    Phase,
    Prepare,
    Rate,
    Rated,
    Release,
    Renew,
    Resume,
    Rig,
    Sensation,
    Start,
    Stop,
    plan,
    rx,
    standing,
)

from safety import wishes
from safety.attestation import Attestation
from safety.effects import Tell
from safety.messages import Latch
from safety.prescription import Prescription
from safety.rules import gate, papers, people, pulse, skin
from safety.rules.wish import g01, g01_rating, g02
from safety.state import Papers, Station
from safety.verdict import Clear, Reason, Scope, Severity

GROUPS = (
    "WISH_RULES", "SESSION_RULES", "CHECK_RULES", "ENERGISE_RULES", "PAPER_RULES", "FIT_RULES", "PULSE", "BLIND_RULES",
    "SKIN_RULES",
)  # fmt: skip
Wish = object


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def untouched(after: Station, before: Station) -> bool:
    """Tell whether nothing but the series of numbers has moved; a refused Prepare has taken one."""
    return after._replace(tally=after.tally._replace(next_id=before.tally.next_id)) == before


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every gate rule switched off."""
    for group in GROUPS:
        monkeypatch.setattr(wishes, group, ())
    return monkeypatch


# Which rules a wish is asked

RISE = "WISH_RULES SESSION_RULES ENERGISE_RULES FIT_RULES PULSE BLIND_RULES"
ALL = "WISH_RULES SESSION_RULES ENERGISE_RULES FIT_RULES PULSE BLIND_RULES SKIN_RULES PAPER_RULES"
ASKED = {
    "claim": (Phase.IDLE, Claim(), "WISH_RULES"),
    "renew": (Phase.IDLE, Renew(), "WISH_RULES"),
    "release": (Phase.IDLE, Release(), "WISH_RULES"),
    "prepare": (Phase.IDLE, Prepare(rx(), "rx-1@1", "p-1"), RISE),
    "check": (Phase.PREPARED, Check(()), "WISH_RULES SESSION_RULES CHECK_RULES"),
    "arm": (Phase.PREPARED, ArmSession(), ALL),
    "start": (Phase.ARMED, Start(), ALL),
    "rise": (Phase.RUNNING, Adjust(1, 1_000), RISE + " PAPER_RULES"),
    "fall": (Phase.RUNNING, Adjust(1, -1_000), "WISH_RULES"),
    "pause": (Phase.RUNNING, Pause(), "WISH_RULES"),
    "resume": (Phase.PAUSED, Resume(), ALL),
    "clear": (Phase.IDLE, ClearLatch(5, "why"), "WISH_RULES"),
    "stop": (Phase.RUNNING, Stop(), ""),
}


def ready(name: str) -> Rig:
    """Bring a rig to where this wish would be granted."""
    rig = standing(ASKED[name][0])
    if name == "resume":
        rig.must(Check(()))
    elif name == "clear":
        latch = Latch(5, Scope.SESSION, "M07", Clear.ACK_OPERATOR, "", WALL_MS)
        rig.station = rig.station._replace(latches=(latch,))
    return rig


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", ASKED)
def test_each_wish_is_asked_its_groups_of_rules_and_no_other(silent: pytest.MonkeyPatch, name: str, group: str):
    rig, wish = ready(name), ASKED[name][1]
    says = refuse("X99", "X.STUB", 7)
    silent.setattr(wishes, group, (lambda _: None, lambda _: says))
    before, answer = rig.station, rig.ask(wish)
    if group in ASKED[name][2].split():
        assert (answer.status, answer.code, answer.reasons) == ("rejected", "X.STUB", (says,))
        assert untouched(rig.station, before)
        assert rig.last == (Tell(answer),)
    else:
        assert (answer.status, answer.reasons) == ("succeeded", ())


@pytest.mark.rule("X4")
def test_all_reasons_come_in_the_order_of_the_groups_and_channels(silent: pytest.MonkeyPatch):
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))
    for group in GROUPS:
        silent.setattr(wishes, group, (lambda _, group=group: refuse(group, group),))
    per_channel = ["FIT_RULES", "PULSE", "BLIND_RULES", "SKIN_RULES"]  # after all that is asked once
    found = [reason.rule for reason in rig.ask(ArmSession()).reasons]
    assert found == ["WISH_RULES", "SESSION_RULES", "ENERGISE_RULES", "PAPER_RULES", *per_channel, *per_channel]


@pytest.mark.rule("G28")
def test_the_rules_see_the_session_as_it_would_be(silent: pytest.MonkeyPatch):
    rig, seen = standing(Phase.RUNNING), []
    silent.setattr(wishes, "ENERGISE_RULES", (seen.append,))
    silent.setattr(wishes, "PULSE", (seen.append,))
    silent.setattr(wishes, "SKIN_RULES", (seen.append,))
    silent.setattr(wishes, "BLIND_RULES", (seen.append,))
    rig.must(Adjust(1, 1_000))
    g, lane, skin = seen
    assert (g.channel, g.rise_ua, g.session.settings[0].setpoint_ua, g.now) == (1, 1_000, 21_000, rig.now)
    assert g.station.session.settings[0].setpoint_ua == 20_000
    assert (lane.train, lane.limits, lane.caps, lane.wall_ms) == (
        plan().train(21_000),
        g.session.limits,
        CAPS,
        rig.wall_ms,
    )
    assert (skin.setting.setpoint_ua, skin.reading.ohms, skin.now_ms) == (21_000, (1_500,) * 3, rig.mono_ms)


@pytest.mark.rule("G18")
def test_the_rules_of_a_wish_that_raises_nothing_see_no_rise(silent: pytest.MonkeyPatch):
    rig, seen = standing(Phase.PREPARED), []
    silent.setattr(wishes, "ENERGISE_RULES", (seen.append,))
    rig.must(ArmSession())
    assert [(g.channel, g.rise_ua) for g in seen] == [(0, 0)]


@pytest.mark.rule("G28")
@pytest.mark.hazard("H08")
def test_each_microampere_up_is_judged_and_reserved_and_nothing_else_is(silent: pytest.MonkeyPatch):
    judged: list[object] = []
    silent.setattr(wishes, "ENERGISE_RULES", (judged.append,))
    rig = standing(Phase.RUNNING)
    judged.clear()
    permits = len(rig.notes("permit"))
    for delta_ua in (-1, 0, True):
        rig.must(Adjust(1, delta_ua))
    assert (len(rig.notes("permit")), judged) == (permits, [])
    rig.must(Adjust(1, 1))
    assert (len(rig.notes("permit")), len(judged)) == (permits + 1, 1)


# Each rule alone

STRONG = Calibration(
    at_wall_ms=WALL_MS - 1_000,
    pair="a",
    area_mm2=2_500,
    width_us=300,
    sensory_ua=None,
    motor_ua=15_000,
    maximal_ua=200_000,
)


class Case(NamedTuple):
    """A rule, its group, what it must say, and how a rig comes to ask for what it forbids."""

    rule: Callable[..., Reason | None]
    group: str
    reason: Reason
    ask: Callable[[], tuple[Rig, Wish]]
    retained: bool = False


def prescribing(prescription: Prescription | None = None, **caps: object) -> Callable[[], tuple[Rig, Wish]]:
    """Ask to prepare this prescription on a device with these capabilities."""

    def ask() -> tuple[Rig, Wish]:
        rig = Rig(device=IdealDevice(caps=replace(CAPS, **caps)))
        rig.up()
        rig.must(Claim())
        wanted = prescription or rx()
        return rig, Prepare(wanted, wanted.ref, wanted.patient)

    return ask


def shaped(**changes: object) -> Callable[[], tuple[Rig, Wish]]:
    return prescribing(rx(plan(max_ua=200_000, calibration=STRONG, **changes)))


def arming(**device: object) -> Callable[[], tuple[Rig, Wish]]:
    """Ask to arm on a device that is like this."""
    return lambda: (Rig(device=IdealDevice(**device)).prepared(), ArmSession())  # type: ignore[arg-type]


def expired() -> tuple[Rig, Wish]:
    rig = Rig().prepared(rx(valid_until_wall_ms=WALL_MS + 9))
    rig.wall_ms += 10
    return rig, ArmSession()


def latched() -> tuple[Rig, Wish]:
    rig = Rig().prepared()
    rig.station = rig.station._replace(
        latches=(Latch(31, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/left-quadriceps", 0),)
    )
    return rig, Check(())


def unable() -> tuple[Rig, Wish]:
    rig = Rig().prepared()
    device = rig.station.device
    assert device is not None
    rig.station = rig.station._replace(device=device._replace(caps=replace(CAPS, probe_pulses=0)))
    return rig, Check(())


def tired() -> tuple[Rig, Wish]:
    rig = ready("resume")
    session = rig.station.session
    assert session is not None
    course = session.course._replace(rest_from_ms=rig.mono_ms - 239_999)
    rig.station = rig.station._replace(session=session._replace(course=course))
    return rig, Resume()


def rating(score: int) -> Callable[[], tuple[Rig, Wish]]:
    return lambda: (standing(Phase.RUNNING), Rate(Rated.EFFORT, score))


def unasked() -> tuple[Rig, Wish]:
    rig = ready("resume")
    session = rig.station.session
    assert session is not None
    course = session.course._replace(first_run_ms=rig.mono_ms - 600_001)
    rig.station = rig.station._replace(session=session._replace(course=course))
    return rig, Resume()


def doubtful() -> tuple[Rig, Wish]:
    rig = standing(Phase.PAUSED)
    session = rig.station.session
    assert session is not None
    channel = session.channels[0]
    past = channel.contact.past._replace(doubt_ms=rig.mono_ms)
    channels = (channel._replace(contact=channel.contact._replace(past=past)),)
    rig.station = rig.station._replace(session=session._replace(channels=channels))
    rig.tick()
    rig.device.ohm[1] = 1_876
    rig.must(Check(()))
    return rig, Resume()


def unwell() -> tuple[Rig, Wish]:
    rig = ready("arm")
    rig.station = rig.station._replace(health=WELL._replace(clock_synced=False))
    return rig, ArmSession()


def unvouched(attestation: Attestation | None, *, tried: bool = True) -> Callable[[], tuple[Rig, Wish]]:
    """Ask to arm with these papers."""

    def ask() -> tuple[Rig, Wish]:
        rig = ready("arm")
        rig.station = rig.station._replace(session=rig.station.session._replace(papers=Papers(attestation, tried)))
        return rig, ArmSession()

    return ask


def forgotten() -> tuple[Rig, Wish]:
    rig = ready("start")
    rig.mono_ms += 60_001
    rig.must(Claim())
    return rig, Start()


FAST = plan(ua=5_000, max_ua=5_000, width_us=400, gap_us=10_000, period_us=12_500)
BLIND = {"numeric_impedance": False, "electrode_flag_from_ua": 20_001}
SHAPE = rx().programme
CASES = [
    Case(
        g01, "WISH_RULES", refuse("G01", "CMD.SCHEMA", 0, 0, 0, "channel"),
        lambda: (ready("check"), Check((2,))),
    ),
    Case(
        g02, "WISH_RULES", refuse("G02", "CMD.RETAINED"),
        lambda: (ready("arm"), ArmSession()), retained=True,
    ),
    Case(
        papers.g01_answers, "WISH_RULES", refuse("G01", "CMD.SCHEMA", 0, 0, 0, "answers"),
        lambda: (ready("arm"), Attest((("tall", "no"),))),
    ),
    Case(papers.g03, "PAPER_RULES", refuse("G03", "SES.OVERDUE", 0, 60_001, 60_000, "ms"), forgotten),
    Case(papers.g05, "PAPER_RULES", refuse("G05", "ATT.MISSING"), unvouched(None)),
    Case(papers.g24, "PAPER_RULES", refuse("G24", "SES.STOP_UNTRIED"), unvouched(VOUCHED, tried=False)),
    Case(papers.g25, "ENERGISE_RULES", refuse("G25", "SYS.CLOCK_UNSET"), unwell),
    Case(papers.g06, "FIT_RULES", refuse("G06", "MON.MISSING", 1), prescribing(rx(plan(montage=None)))),
    Case(
        papers.g07, "FIT_RULES", refuse("G07", "PAD.SMALL", 1, 1_599, 1_600, "mm2"),
        prescribing(rx(plan(area_mm2=1_599))),
    ),
    Case(
        papers.g22, "ENERGISE_RULES", refuse("G22", "LIM.PULSE_TIME", 0, 864_000, 800_000, "ppm"),
        prescribing(rx(FAST)),
    ),
    Case(gate.g04, "ENERGISE_RULES", refuse("G04", "RX.EXPIRED", 0, WALL_MS + 10, WALL_MS + 9, "ms"), expired),
    Case(
        pulse.g08, "PULSE", refuse("G08", "LIM.TOLERANCE", 1, 60_001, 60_000, "uA"),
        lambda: (Rig().prepared(rx(plan(ua=60_001, max_ua=80_000, calibration=None))), ArmSession()),
    ),
    Case(pulse.g09, "PULSE", refuse("G09", "LIM.PULSE_WIDTH", 1, 401, 400, "us"), shaped(width_us=401)),
    Case(pulse.g10, "PULSE", refuse("G10", "LIM.FREQUENCY", 1, 12_499, 12_500, "us"), shaped(period_us=12_499)),
    Case(pulse.g11, "PULSE", refuse("G11", "LIM.CHARGE", 1, 30_001, 30_000, "nC"), shaped(ua=75_001, width_us=400)),
    Case(
        pulse.g12, "PULSE", refuse("G12", "LIM.RMS", 1, 20_001, 20_000, "uA"),
        shaped(ua=100_001, width_us=400, period_us=20_000)
    ),
    Case(
        pulse.g13, "PULSE", refuse("G13", "LIM.CHARGE_DENSITY", 1, 1_001, 1_000, "uA/cm2"),
        shaped(ua=125_001, width_us=400, period_us=20_000),
    ),
    Case(
        pulse.g14, "PULSE", refuse("G14", "LIM.POWER", 1, 50_001, 50_000, "uW/cm2"),
        shaped(ua=125_001, width_us=400, period_us=25_000, area_mm2=500),
    ),
    Case(pulse.g15, "PULSE", refuse("G15", "LIM.ENERGY", 1, 5_001, 5_000, "uJ"), shaped(ua=100_001, width_us=500)),
    Case(
        pulse.g16, "PULSE", refuse("G16", "LIM.CHARGE_BALANCE", 1, 10_001, 10_000, "ppm"),
        prescribing(mismatch_ppm=10_001)
    ),
    Case(
        gate.g17, "ENERGISE_RULES", refuse("G17", "FAT.DUTY", 0, 5_999, 6_000, "ms"),
        prescribing(rx(programme=replace(SHAPE, off_ms=5_999))),
    ),
    Case(
        gate.g18, "ENERGISE_RULES", refuse("G18", "LIM.STEP", 0, 999, 1_000, "ms"),
        prescribing(rx(programme=replace(SHAPE, ramp_up_ms=999))),
    ),
    Case(skin.g20, "SKIN_RULES", refuse("G20", "IMP.LOW", 1, 299, 300, "ohm"), arming(ohm={1: 299})),
    Case(
        skin.g21, "BLIND_RULES", refuse("G21", "LIM.HEADROOM", 1, 30_000, 29_999, "mV"),
        arming(caps=replace(CAPS, compliance_mv=37_499)),
    ),
    Case(
        gate.g23, "SESSION_RULES", refuse("G23", "RX.DEVICE_MISMATCH"),
        arming(identity=replace(IDENTITY, emulator=False))
    ),
    Case(
        pulse.g23_fit, "FIT_RULES", refuse("G23", "RX.DEVICE_MISMATCH", 1, 20_000, 19_999, "uA"),
        prescribing(max_ua=19_999)
    ),
    Case(gate.g27, "SESSION_RULES", refuse("G27", "FLT.LATCHED", 0, 31, 0, "latch"), latched),
    Case(
        gate.g28, "ENERGISE_RULES", refuse("G28", "DOSE.SESSION", 1, 12_436_200, 12_435_500, "nC"),
        prescribing(rx(limits=(("session_nc", 13_090_000),))),
    ),
    Case(skin.g20_check, "CHECK_RULES", refuse("G20", "IMP.UNMEASURED"), unable),
    Case(
        skin.g29, "BLIND_RULES", refuse("G29", "IMP.BLIND", 1, 20_000, 20_001, "uA"),
        prescribing(rx(sensation=Sensation.S1), **BLIND),
    ),
    Case(g01_rating, "WISH_RULES", refuse("G01", "CMD.SCHEMA", 0, 0, 10, "of 10"), rating(11)),
    Case(people.m06_resume, "ENERGISE_RULES", refuse("M36", "FAT.RATING", 0, 600_001, 600_000, "ms"), unasked),
    Case(skin.m10_back, "SKIN_RULES", refuse("M10", "IMP.DRIFT", 1, 1_876, 1_875, "ohm"), doubtful),
    Case(gate.m19_rest, "ENERGISE_RULES", refuse("M19", "FAT.REST", 0, 239_999, 240_000, "ms"), tired),
]  # fmt: skip


def params() -> list[object]:
    """One parameter a case, marked with the rule that it proves."""
    return [pytest.param(case, id=case.rule.__name__, marks=pytest.mark.rule(case.reason.rule)) for case in CASES]


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", params())
def test_each_rule_alone_is_what_step_refuses_with(silent: pytest.MonkeyPatch, case: Case):
    rig, wish = case.ask()
    silent.setattr(wishes, case.group, (case.rule,))
    before, answer = rig.station, rig.ask(wish, retained=case.retained)
    assert (answer.status, answer.code, answer.reasons) == ("rejected", case.reason.code, (case.reason,))
    assert untouched(rig.station, before)
    assert rig.last == (Tell(answer),)


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", params())
def test_without_any_rule_the_same_wish_is_obeyed(silent: pytest.MonkeyPatch, case: Case):
    rig, wish = case.ask()
    if case.rule is g01:
        wish = Check(())  # a channel that the session does not have cannot be probed at all
    assert rig.ask(wish, retained=case.retained).status == "succeeded"


@pytest.mark.hazard("H40")
@pytest.mark.parametrize("case", params())
def test_with_all_rules_on_the_rule_is_among_the_reasons(case: Case, monkeypatch: pytest.MonkeyPatch):
    on = {group: getattr(wishes, group) for group in GROUPS}
    for group in GROUPS:
        monkeypatch.setattr(wishes, group, ())
    rig, wish = case.ask()
    for group, rules in on.items():
        monkeypatch.setattr(wishes, group, rules)
    assert case.reason in rig.ask(wish, retained=case.retained).reasons


@pytest.mark.rule("X12")
def test_every_gate_rule_has_its_case():
    groups = {group: tuple(case.rule for case in CASES if case.group == group) for group in GROUPS}
    assert {group: set(rules) for group, rules in groups.items()} == {g: set(getattr(wishes, g)) for g in GROUPS}


@pytest.mark.hazard("H08")
def test_a_wild_wish_is_refused_whole_with_every_reason():
    wild = plan(ua=150_000, max_ua=200_000, width_us=600, period_us=8_000, area_mm2=900, calibration=None)
    rig, wish = prescribing(
        rx(wild, sensation=Sensation.S1, programme=replace(SHAPE, ramp_up_ms=10, off_ms=100)), **BLIND
    )()
    before, answer = rig.station, rig.ask(wish)
    rules = [reason.rule for reason in answer.reasons]
    assert rules == ["G17", "G18", "G28", "G23", "G07", "G08", "G09", "G10", "G11", "G12", "G13", "G14", "G15", "G16"]
    assert untouched(rig.station, before)


@pytest.mark.rule("X11")
@pytest.mark.rule("G11")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize(("ua", "reasons"), [(75_000, 0), (75_001, 1)])
def test_what_does_not_come_out_even_is_rounded_towards_more_dose(ua: int, reasons: int):
    rig, wish = shaped(ua=ua, width_us=400)()  # 30,000.0 and 30,000.4 nC a phase
    expected = [refuse("G11", "LIM.CHARGE", 1, 30_001, 30_000, "nC")] * reasons
    assert [reason for reason in rig.ask(wish).reasons if reason.rule == "G11"] == expected
