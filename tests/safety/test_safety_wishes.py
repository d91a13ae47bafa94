"""safety/wishes.py: the phase table, the claim, wishes that wait for one another, latches."""

from __future__ import annotations

import pytest
from rig import (
    MONO_MS,
    VOUCHED,
    WALL_MS,
    Adjust,
    ArmSession,
    Attest,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Phase,
    Prepare,
    Present,
    Rate,
    Rated,
    Release,
    Renew,
    Resume,
    Rig,
    SkinCheck,
    Start,
    Stop,
    Verb,
    config,
    rx,
    standing,
)

from safety import wishes
from safety.effects import (
    Clearing,
    Closing,
    Settlement,
    Tell,
)
from safety.messages import (
    Adverse,
    Asked,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Committed,
    Latch,
    Report,
    Threshold,
)
from safety.state import Holder
from safety.turn import Turn
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = pytest.mark.rule("X3")


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def bare(code: str) -> tuple[Reason, ...]:
    """What a refusal carries where no rule speaks."""
    return (refuse("", code),)


# The phase table

WISHES = {
    "claim": Claim(),
    "renew": Renew(),
    "release": Release(),
    "prepare": Prepare(rx(), "rx-1@1", "p-1"),
    "present": Present(),
    "rate": Rate(Rated.EFFORT, 4),
    "skin": SkinCheck(ok=True),
    "report": Report(Adverse.BURNING),
    "check": Check(()),
    "attest": Attest(VOUCHED.answers),
    "cal_begin": CalibrationBegin(1),
    "cal_step": CalibrationStep(1_000),
    "cal_mark": CalibrationMark(Threshold.SENSORY, absent=True),
    "cal_end": CalibrationEnd(),
    "arm": ArmSession(),
    "start": Start(),
    "adjust": Adjust(1, -1_000),
    "pause": Pause(),
    "resume": Resume(),
    "stop": Stop(),
    "clear": ClearLatch(999, "why"),
}
TABLE = {
    # phase: the wishes that are legal there; whatever is missing is refused with SES.STATE
    "offline": "claim renew release stop clear",
    "idle": "claim renew release stop clear prepare",
    "prepared": "claim renew release stop clear present rate skin report attest check cal_begin arm",
    "calibrating": "claim renew release stop clear present rate skin report cal_step cal_mark cal_end pause",
    "armed": "claim renew release stop clear present rate skin report start pause",
    "running": "claim renew release stop clear present rate skin report adjust pause",
    "paused": "claim renew release stop clear present rate skin report attest check resume",
    "uncertain": "claim renew release stop clear report",
}


def standing_with_a_claim(phase: Phase) -> Rig:
    rig = standing(phase)
    rig.must(Claim())
    if phase is Phase.PAUSED:
        rig.must(Check(()))
    return rig


def test_the_table_speaks_of_every_phase_and_every_verb():
    assert set(TABLE) == {phase.value for phase in Phase}
    assert [wish.verb for wish in WISHES.values()] == list(Verb)


@pytest.mark.hazard("H08")
@pytest.mark.hazard("H12")
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("name", WISHES)
def test_each_wish_in_each_phase(phase: Phase, name: str):
    rig = standing_with_a_claim(phase)
    before = rig.station
    answer = rig.ask(WISHES[name])
    if name not in TABLE[phase.value].split():
        assert (answer.status, answer.code, answer.reasons) == ("rejected", "SES.STATE", bare("SES.STATE"))
        assert rig.station == before
        assert rig.last == (Tell(answer),)
    elif name == "cal_end":
        assert (answer.status, answer.code, answer.reasons) == ("succeeded", "CAL.INCOMPLETE", ())
    elif name == "clear":
        assert (answer.status, answer.code) == ("rejected", "FLT.UNKNOWN")
        assert answer.reasons == (refuse("", "FLT.UNKNOWN", 0, 999),)
    else:
        assert (answer.status, answer.code, answer.reasons) == ("succeeded", "OK", ())


PLACES = {
    "prepare": Phase.PREPARED, "arm": Phase.ARMED, "start": Phase.RUNNING, "pause": Phase.PAUSED,
    "resume": Phase.RUNNING,
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
def test_where_a_legal_wish_leads(phase: Phase, name: str):
    if name in TABLE[phase.value].split():
        rig = standing_with_a_claim(phase)
        rig.must(WISHES[name])
        assert rig.phase is PLACES[name]


# The claim


def test_a_claim_lasts_five_seconds():
    rig = Rig()
    assert rig.must(Claim()).details == (("expires_in_ms", 5_000),)
    assert rig.station.holder == Holder("physio-1", MONO_MS + 5_000)


@pytest.mark.parametrize(("site_ms", "expected"), [(4_999, 4_999), (5_000, 5_000), (5_001, 5_000), (15_000, 5_000)])
def test_the_site_may_shorten_a_claim_and_not_lengthen_it(site_ms: int, expected: int):
    assert Rig(config(nmes={"claim_ms": site_ms})).must(Claim()).details == (("expires_in_ms", expected),)


@pytest.mark.rule("M05")
@pytest.mark.parametrize("later_ms", [0, 4_999, 5_000])
def test_a_claim_holds_to_its_last_millisecond(later_ms: int):
    rig = Rig()
    rig.must(Claim())
    rig.mono_ms += later_ms
    assert rig.ask(Claim(), principal="other").code == "SES.CLAIM_HELD"
    assert rig.must(Renew()).details == (("expires_in_ms", 5_000),)
    assert rig.station.holder == Holder("physio-1", MONO_MS + later_ms + 5_000)


@pytest.mark.rule("M05")
def test_an_expired_claim_is_anybodys():
    rig = Rig()
    rig.must(Claim())
    rig.mono_ms += 5_001
    answer = rig.ask(Renew())
    assert (answer.status, answer.reasons) == ("rejected", bare("SES.CLAIM_EXPIRED"))
    rig.must(Claim(), principal="other")
    assert rig.station.holder == Holder("other", rig.mono_ms + 5_000)
    assert rig.ask(Renew()).reasons == bare("SES.CLAIM_HELD")
    assert rig.ask(Release()).reasons == bare("SES.CLAIM_HELD")


def test_ones_own_claim_may_be_claimed_again():
    rig = Rig()
    rig.must(Claim())
    rig.mono_ms += 100
    rig.must(Claim())
    assert rig.station.holder == Holder("physio-1", MONO_MS + 5_100)


@pytest.mark.rule("M05")
@pytest.mark.hazard("H32")
def test_giving_the_claim_back_pauses_what_runs():
    rig = Rig().plateau()
    assert rig.must(Release()).details == ()
    assert (rig.station.holder, rig.phase) == (None, Phase.RUNNING)
    rig.tick()
    assert (rig.phase, rig.latched()) == (Phase.PAUSED, ["M05"])


CLAIMED = [
    (Phase.IDLE, "renew"),
    (Phase.IDLE, "release"),
    (Phase.IDLE, "prepare"),
    (Phase.IDLE, "clear"),
    (Phase.PREPARED, "check"),
    (Phase.PREPARED, "arm"),
    (Phase.ARMED, "start"),
    (Phase.PAUSED, "resume"),
]


@pytest.mark.hazard("H24")
@pytest.mark.parametrize(("phase", "name"), CLAIMED)
def test_these_wishes_need_the_claim(phase: Phase, name: str):
    rig = standing_with_a_claim(phase)
    before = rig.station
    assert rig.ask(WISHES[name], principal="other").reasons == bare("SES.CLAIM_HELD")
    assert rig.station == before
    rig.station = rig.station._replace(holder=None)
    assert rig.ask(WISHES[name]).reasons == bare("SES.CLAIM_EXPIRED")


@pytest.mark.hazard("H33")
@pytest.mark.parametrize("held", [True, False])
def test_what_leads_towards_zero_needs_no_claim(held: bool):
    for wish in (Adjust(1, -1_000), Pause(), Stop()):
        rig = Rig().plateau()
        rig.station = rig.station if held else rig.station._replace(holder=None)
        rig.must(wish, principal="patient-1", role="handset")
    rig = Rig().plateau()
    for delta_ua in (0, 1, 1_000):
        assert rig.ask(Adjust(1, delta_ua), principal="patient-1").reasons == bare("SES.CLAIM_HELD")


# While another wish is on its way


@pytest.mark.hazard("H08")
def test_a_second_wish_waits_for_the_first():
    rig = standing_with_a_claim(Phase.PREPARED)
    rig.committing = False
    assert rig.ask(ArmSession()).status == "accepted"
    before = rig.station
    for wish in (ArmSession(), Check(())):
        assert rig.ask(wish).reasons == bare("SES.PHASE_CHANGED")
        assert rig.station == before
    for name in ("claim", "renew", "clear"):
        assert rig.ask(WISHES[name]).code in {"OK", "FLT.UNKNOWN"}
        assert rig.station.waiting == before.waiting
    rig.must(Release())


@pytest.mark.hazard("H33")
@pytest.mark.parametrize("wish", [Pause(), Stop()])
def test_a_pause_and_a_stop_end_a_rise_on_its_way(wish: object):
    rig = Rig().plateau()
    rig.committing = False
    command = rig.command(Adjust(1, 1_000))
    rig.give(Asked(command))
    rig.must(wish)
    answer = rig.answer(command.id)
    assert (answer.status, answer.code, answer.reasons) == ("failed", "SES.PHASE_CHANGED", bare("SES.PHASE_CHANGED"))
    rig.give(Committed(rig.held[0]))
    assert rig.station.waiting is None
    session = rig.station.session
    assert session is None or session.settings[0].setpoint_ua == 20_000


@pytest.mark.hazard("H08")
@pytest.mark.hazard("H33")
def test_lowering_is_heard_at_once_and_ends_a_rise_on_its_way():
    rig = Rig().plateau()
    rig.committing = False
    command = rig.command(Adjust(1, 1_000))
    rig.give(Asked(command))
    assert rig.ask(Adjust(1, 500)).reasons == bare("SES.PHASE_CHANGED")
    assert rig.must(Adjust(1, -4_000), principal="patient-1").details == (("setpoint_ua", 16_000),)
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "SES.PHASE_CHANGED")
    rig.give(Committed(rig.held[0]))
    assert rig.station.session is not None
    assert rig.station.session.settings[0].setpoint_ua == 16_000


# Clear


def latched(rig: Rig, clear: Clear, rule: str = "M07") -> Latch:
    latch = Latch(77, Scope.DEVICE if clear is Clear.MAINTENANCE else Scope.SESSION, rule, clear, "", WALL_MS)
    rig.station = rig.station._replace(
        latches=(latch, Latch(78, Scope.SESSION, "M99", Clear.ACK_OPERATOR, "", WALL_MS))
    )
    return latch


ROLES = ("physio", "prescriber", "biomed", "automation", "handset", "auditor", "")
MAY = {
    Clear.AUTO: "",
    Clear.ACK_OPERATOR: "physio prescriber biomed",
    Clear.NEW_SESSION: "physio prescriber biomed",
    Clear.ACK_QUALIFIED: "prescriber",
    Clear.MAINTENANCE: "biomed",
}


@pytest.mark.hazard("H31")
@pytest.mark.parametrize("clear", Clear)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_clear_which_latch(clear: Clear, role: str):
    rig = standing(Phase.IDLE)
    latch = latched(rig, clear)
    answer = rig.ask(ClearLatch(77, "pad replaced"), role=role)
    if role in MAY[clear].split():
        assert (answer.status, answer.details) == ("succeeded", (("latch", 77),))
        assert [x.id for x in rig.station.latches] == [78]
        assert rig.notes("clear") == [Clearing(latch=latch, principal="physio-1", reason="pad replaced")]
        assert rig.events("fault.cleared")[-1].details == (("latch", 77), ("by", "physio-1"))
    else:
        assert answer.reasons == (refuse("M07", "AUTH.ROLE", 0, 77),)
        assert [x.id for x in rig.station.latches] == [77, 78]


@pytest.mark.hazard("H31")
def test_a_clear_names_a_standing_latch_and_a_reason():
    rig = standing(Phase.IDLE)
    latched(rig, Clear.ACK_OPERATOR)
    assert rig.ask(ClearLatch(79, "why")).reasons == (refuse("", "FLT.UNKNOWN", 0, 79),)
    assert rig.ask(ClearLatch(77, " ")).reasons == (refuse("G01", "CMD.SCHEMA"),)
    assert [x.id for x in rig.station.latches] == [77, 78]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_no_latch_is_cleared_while_a_stop_is_unconfirmed_except_by_who_looked_at_the_device():
    rig = standing(Phase.UNCERTAIN)
    stop = rig.station.latches[0]
    assert stop.rule == "STOP"
    assert rig.ask(ClearLatch(stop.id, "why")).reasons == (refuse("STOP", "FLT.STANDING", 0, stop.id),)
    rig.tick(12)
    alarm = next(x for x in rig.station.latches if x.rule == "M29")
    assert rig.ask(ClearLatch(stop.id, "why")).reasons == (refuse("STOP", "FLT.STANDING", 0, stop.id),)
    assert rig.ask(ClearLatch(alarm.id, "why")).reasons == (refuse("M29", "AUTH.ROLE", 0, alarm.id),)
    session = rig.station.session
    assert session is not None
    rig.must(ClearLatch(alarm.id, "unplugged"), role="biomed")
    assert (rig.phase, rig.station.session, rig.station.stopping) == (Phase.IDLE, None, None)
    unknown = Settlement(session=session.id, evidence="reservation", charged=(), played_ms=2_250, ua=((1, 20_000),))
    assert rig.notes("settle") == [unknown]
    assert rig.notes("close") == [Closing(session=session.id, outcome="stopped", rule="STOP")]
    assert rig.latched() == ["STOP"]


# What the phase table keeps from ever happening


@pytest.mark.parametrize(
    ("handler", "wish"),
    [
        (wishes.prepare, Claim()), (wishes.check, Claim()), (wishes.check, Check(())), (wishes.adjust, Adjust(1, -1)),
        (wishes.adjust, Claim()), (wishes.arm, ArmSession()), (wishes.start, Start()), (wishes.pause, Pause()),
        (wishes.resume, Resume()), (wishes.clear, Claim()), (wishes.calibration_end, CalibrationEnd()),
    ],
)  # fmt: skip
def test_a_wish_in_the_wrong_hands_is_a_defect(handler: object, wish: object):
    rig = standing(Phase.IDLE)
    turn = Turn(rig.station, rig.now)
    with pytest.raises(TypeError):
        handler(turn, rig.command(wish))  # type: ignore[operator]
    assert (turn.station, turn.effects) == (rig.station, [])
