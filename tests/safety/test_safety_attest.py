"""safety/attest.py, and the papers through `step`: what is vouched for, the trial of the stop, the service's health."""

from __future__ import annotations

import pytest
from rig import (
    CAPS,
    OFF,
    VOUCHED,
    WELL,
    ArmSession,
    Attest,
    Check,
    Claim,
    IdealDevice,
    Modality,
    Pause,
    Phase,
    Resume,
    Rig,
    Sensation,
    Start,
    plan,
    replace,
    rx,
)
from test_safety_montage import pads

from safety import attest, messages
from safety.attestation import Attestation
from safety.effects import AttestationRecord, Closing, Silence
from safety.limits import CLASS_CAPS, meet
from safety.messages import UNKNOWN, Health, PatientStop, Prepare, Tick
from safety.turn import Turn
from safety.verdict import Clear, Reason, Scope, Severity

CALM = dict(VOUCHED.answers)


def answers(**changes: str) -> tuple[tuple[str, str], ...]:
    return tuple((CALM | changes).items())


def strict(prescription: object = None, *, papers: Attestation | None = None, device: IdealDevice | None = None) -> Rig:
    """A rig whose session was prepared with these papers and whose stop nobody has tried yet; checked."""
    rig = Rig(device=device)
    rig.trying = False
    rig.up()
    rig.must(Claim())
    treated = prescription or rx()
    rig.must(Prepare(treated, treated.ref, treated.patient, attestation=papers))  # type: ignore[attr-defined]
    rig.must(Check(()))
    return rig


def reasons(rig: Rig, wish: object) -> list[tuple[str, str]]:
    return [(reason.rule, reason.code) for reason in rig.ask(wish).reasons]


# The attestation


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
def test_nothing_is_armed_before_somebody_has_vouched() -> None:
    rig = strict()
    rig.try_stop()
    assert reasons(rig, ArmSession()) == [("G05", "ATT.MISSING")]
    answer = rig.must(Attest(answers()))
    assert (answer.code, answer.reasons, dict(answer.details)) == ("OK", (), {"sensation": "S0"})
    rig.must(ArmSession())
    rig.must(Start())


@pytest.mark.rule("G05")
def test_what_was_vouched_for_is_kept_and_written_down() -> None:
    rig = strict()
    mark = rig.station
    rig.must(Attest(answers()), principal="physio-1")
    vouched = Attestation(at_wall_ms=rig.wall_ms, by="physio-1", answers=answers())
    session = rig.station.session
    assert session is not None
    assert mark.session is not None
    assert session == mark.session._replace(papers=mark.session.papers._replace(attestation=vouched))
    assert rig.notes("attest") == [AttestationRecord(session=session.id, patient="p-1", attestation=vouched)]


@pytest.mark.rule("G05")
def test_the_latest_known_of_the_patient_is_enough() -> None:
    rig = strict(papers=VOUCHED)
    rig.try_stop()
    rig.must(ArmSession())


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
@pytest.mark.parametrize("item", ["pregnancy", "infection", "standing", "denervated"])
@pytest.mark.parametrize("said", ["unknown", None])
def test_an_open_answer_is_told_and_keeps_from_arming(item: str, said: str | None) -> None:
    rig = strict(papers=VOUCHED)
    rig.try_stop()
    given = answers(**{item: said}) if said else tuple(pair for pair in answers() if pair[0] != item)
    told = Reason("G05", Severity.REFUSE, "ATT.UNKNOWN", unit=item)
    answer = rig.must(Attest(given))
    assert (answer.code, answer.reasons) == ("ATT.UNKNOWN", (told,))
    assert rig.ask(ArmSession()).reasons == (told,)
    assert (rig.phase, rig.station.latches) == (Phase.PREPARED, ())
    rig.must(Attest(answers()))
    rig.must(ArmSession())


@pytest.mark.rule("G05")
@pytest.mark.hazard("H44")
@pytest.mark.parametrize("item", ["infection", "ulcer", "diathermy", "standing"])
def test_what_is_wrong_here_or_now_keeps_from_arming_and_locks_nobody(item: str) -> None:
    rig = strict()
    rig.try_stop()
    assert rig.must(Attest(answers(**{item: "yes"}))).code == "ATT.CONTRAINDICATED"
    assert reasons(rig, ArmSession()) == [("G05", "ATT.CONTRAINDICATED")]
    assert (rig.phase, rig.station.latches) == (Phase.PREPARED, ())


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
@pytest.mark.hazard("H41")
@pytest.mark.parametrize("item", ["active_implant", "pregnancy", "dysreflexia"])
def test_an_absolute_contraindication_ends_the_session_and_locks_the_patient(item: str) -> None:
    rig = strict()
    answer = rig.ask(Attest(answers(**{item: "yes"})))
    lock = Reason("G05", Severity.LOCK, "ATT.CONTRAINDICATED", unit=item)
    assert (answer.status, answer.code) == ("succeeded", "ATT.CONTRAINDICATED")
    assert rig.phase is Phase.IDLE
    assert [tuple(latch[1:5]) for latch in rig.station.latches] == [(Scope.PATIENT, "G05", Clear.ACK_QUALIFIED, "p-1")]
    assert rig.events("session.stopped")[0].reasons == (lock,)
    assert [(body.outcome, body.rule) for body in rig.notes("close") if isinstance(body, Closing)] == [
        ("stopped", "G05")
    ]
    assert len(rig.notes("attest")) == 1


@pytest.mark.rule("G27")
@pytest.mark.rule("G05")
def test_a_locked_patient_is_not_prepared_and_another_is() -> None:
    rig = strict()
    rig.ask(Attest(answers(bleeding="yes")))
    assert reasons(rig, Prepare(rx(), "rx-1@1", "p-1")) == [("G27", "FLT.LATCHED")]
    latch = rig.station.latches[0]
    assert rig.ask(messages.ClearLatch(latch.id, "looked at it")).code == "AUTH.ROLE"
    other = rx(patient="p-2")
    rig.must(Prepare(other, other.ref, "p-2"))
    rig.must(messages.ClearLatch(latch.id, "the bleeding has stopped"), role="prescriber")
    assert rig.station.latches == ()


@pytest.mark.rule("G05")
def test_an_attestation_that_ends_a_pause_is_judged_at_the_resume() -> None:
    rig = Rig().plateau()
    rig.must(Pause())
    rig.tick(2)
    assert rig.must(Attest(answers(standing="yes"))).code == "ATT.CONTRAINDICATED"
    assert reasons(rig, Resume()) == [("G05", "ATT.CONTRAINDICATED")]
    rig.must(Attest(answers()))
    rig.must(Check(()))
    rig.must(Resume())


@pytest.mark.rule("G05")
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.ARMED, Phase.RUNNING])
def test_where_an_attestation_changes_nothing_it_is_not_heard(phase: Phase) -> None:
    rig = Rig()
    rig.up()
    rig.must(Claim())
    if phase is not Phase.IDLE:
        rig = Rig().armed() if phase is Phase.ARMED else Rig().running()
    assert rig.phase is phase
    assert reasons(rig, Attest(answers())) == [("", "SES.STATE")]


@pytest.mark.rule("G01")
def test_an_answer_to_no_question_is_refused_whole() -> None:
    rig = strict()
    before = rig.station
    assert reasons(rig, Attest((*answers(), ("hiccups", "no")))) == [("G01", "CMD.SCHEMA")]
    assert rig.station == before
    assert rig.notes("attest") == []


@pytest.mark.rule("G05")
def test_attest_is_for_an_attestation_in_a_session() -> None:
    for rig, wish in ((strict(), Start()), (Rig(), Attest(()))):
        with pytest.raises(TypeError):
            attest.attest(Turn(rig.station, rig.now), rig.command(wish))


# The class of sensation


@pytest.mark.rule("G05")
@pytest.mark.rule("X8")
@pytest.mark.hazard("H05")
def test_fragile_skin_makes_the_session_one_class_stricter_and_nothing_makes_it_laxer() -> None:
    rig = strict()
    assert rig.station.session is not None
    before = rig.station.session.limits
    answer = rig.must(Attest(answers(fragile_skin="yes")))
    assert (answer.code, dict(answer.details)) == ("OK", {"sensation": "S1"})
    session = rig.station.session
    caps = CLASS_CAPS[Modality.NMES, Sensation.S1]
    assert session.rx == replace(rx(), sensation=Sensation.S1)
    changed = {name: caps[name] for name in caps if getattr(before, name) != caps[name]}
    assert session.limits == replace(
        before, **{name: min(getattr(before, name), value) for name, value in changed.items()}
    )
    assert session.limits.density_ua_cm2 == 500
    rig.must(Attest(answers(fragile_skin="no")))
    assert rig.station.session.limits == session.limits
    assert rig.station.session.rx.sensation is Sensation.S1
    rig.must(Attest(answers(fragile_skin="yes")))
    assert rig.station.session.rx.sensation is Sensation.S2


@pytest.mark.rule("G05")
@pytest.mark.hazard("H05")
def test_what_is_known_when_the_session_opens_counts_from_then() -> None:
    fragile = replace(VOUCHED, answers=answers(fragile_skin="yes"))
    rig = strict(papers=fragile)
    session = rig.station.session
    assert session is not None
    assert (session.rx.sensation, session.limits.phase_charge_nc) == (Sensation.S1, 15_000)
    for _ in range(2):  # said again, it counts once
        rig.must(Attest(answers(fragile_skin="yes")))
        assert rig.station.session.rx.sensation is Sensation.S1  # type: ignore[union-attr]
    sole = rx(plan(montage=pads("left lower-leg", "left foot-sole")))
    session = strict(sole).station.session
    assert session is not None
    assert (session.rx.sensation, session.limits.therapy_ms) == (Sensation.S1, 1_200_000)


@pytest.mark.rule("X8", "X7", "G13")
@pytest.mark.hazard("H04", "H05")
@pytest.mark.parametrize(
    ("sensation", "measures", "density"),
    [
        (Sensation.S0, True, 1_000), (Sensation.S0, False, 1_000), (Sensation.S1, True, 500),
        (Sensation.S1, False, 250), (Sensation.S2, True, 250), (Sensation.S2, False, 250),
    ],
)  # fmt: skip
def test_on_a_device_that_sees_no_pad_peel_skin_that_feels_little_gets_half_the_density(
    sensation: Sensation, measures: bool, density: int
) -> None:
    caps = replace(CAPS, numeric_impedance=measures, electrode_flag_from_ua=0)
    rig = Rig(device=IdealDevice(caps=caps))
    rig.up()
    limits = attest.limits_of(Turn(rig.station, rig.now), rx(sensation=sensation))
    site = rig.config.limits[Modality.NMES]
    layers = [CLASS_CAPS[Modality.NMES, sensation], {"density_ua_cm2": density}]
    assert limits == meet(site, *layers)
    assert limits.density_ua_cm2 == density


# The patient's stop


@pytest.mark.rule("G24")
@pytest.mark.hazard("H33")
def test_the_stop_is_pressed_and_let_go_before_anything_is_armed() -> None:
    rig = strict(papers=VOUCHED)
    assert reasons(rig, ArmSession()) == [("G24", "SES.STOP_UNTRIED")]
    rig.device.changes["button"] = True
    rig.device.presses += 1
    rig.hear()
    assert rig.events("stop.tried") == []
    assert reasons(rig, ArmSession()) == [("G24", "SES.STOP_HELD")]
    rig.device.changes["button"] = False
    rig.hear()
    assert [event.kind for event in rig.events("stop.tried")] == ["stop.tried"]
    assert (rig.phase, rig.station.latches) == (Phase.PREPARED, ())
    rig.must(ArmSession())


@pytest.mark.rule("G24")
@pytest.mark.hazard("H33")
def test_a_press_that_was_over_before_the_device_spoke_is_a_trial_too() -> None:
    rig = strict(papers=VOUCHED)
    rig.device.presses += 1
    rig.hear()
    rig.hear()
    assert len(rig.events("stop.tried")) == 1
    rig.must(ArmSession())


@pytest.mark.rule("G24")
@pytest.mark.rule("X7")
def test_a_stop_at_the_bedside_is_a_trial_where_the_device_has_none() -> None:
    device = IdealDevice(caps=replace(CAPS, patient_stop=False))
    calibrated = rx(sensation=Sensation.S1)
    rig = strict(calibrated, papers=VOUCHED, device=device)
    assert reasons(rig, ArmSession()) == [("G24", "SES.STOP_UNTRIED")]
    before = len(rig.silences())
    rig.give(PatientStop())
    assert rig.silences()[before:] == [Silence(cut=False)]
    assert rig.phase is Phase.PREPARED
    rig.must(ArmSession())


@pytest.mark.rule("G24")
@pytest.mark.hazard("H33")
def test_a_device_that_has_a_stop_is_tried_by_its_own() -> None:
    rig = strict(papers=VOUCHED)
    before = len(rig.silences())
    rig.give(PatientStop())
    assert rig.silences()[before:] == [Silence(cut=False)]
    assert (rig.phase, rig.events("stop.tried")) == (Phase.PREPARED, [])
    assert reasons(rig, ArmSession()) == [("G24", "SES.STOP_UNTRIED")]


@pytest.mark.rule("X7")
def test_without_a_stop_somebody_who_feels_may_be_treated_and_it_is_said() -> None:
    device = IdealDevice(caps=replace(CAPS, patient_stop=False))
    rig = strict(papers=VOUCHED, device=device)
    prepared = next(answer for answer in rig.said if dict(getattr(answer, "details", ())).get("not_fitted"))
    assert "patient stop" in dict(prepared.details)["not_fitted"]
    rig.must(ArmSession())


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
@pytest.mark.parametrize("at_bedside", [True, False])
def test_later_a_press_is_a_stop_and_no_trial(phase: Phase, at_bedside: bool) -> None:
    rig = Rig().armed() if phase is Phase.ARMED else Rig().plateau()
    if phase is Phase.PAUSED:
        rig.must(Pause())
        rig.tick(2)
    assert rig.phase is phase
    if at_bedside:
        rig.give(PatientStop())
    else:
        rig.try_stop()
    assert rig.events("session.stopped")[0].rule == "M23"
    assert rig.phase in {Phase.UNCERTAIN, Phase.IDLE}


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
def test_a_press_while_something_is_on_its_way_up_is_a_stop() -> None:
    rig = strict(papers=VOUCHED)
    rig.try_stop()
    rig.committing = False
    rig.ask(ArmSession())
    assert rig.station.waiting is not None
    rig.give(PatientStop())
    assert rig.events("session.stopped")[0].rule == "M23"


# The service's health


@pytest.mark.rule("G25")
@pytest.mark.hazard("H27")
@pytest.mark.hazard("H39")
def test_nobody_has_said_yet_that_the_service_is_well() -> None:
    rig = Rig()
    rig.station = rig.station._replace(health=UNKNOWN)
    rig.up()
    rig.must(Claim())
    assert reasons(rig, Prepare(rx(), "rx-1@1", "p-1")) == [("G25", "SYS.CLOCK_UNSET")]
    rig.tick()
    rig.must(Prepare(rx(), "rx-1@1", "p-1"))


@pytest.mark.rule("G25")
@pytest.mark.hazard("H39")
@pytest.mark.parametrize("name", WELL._fields)
def test_what_the_last_tick_said_counts(name: str) -> None:
    rig = Rig().armed()
    ill = WELL._replace(**{name: False})
    rig.give(Tick(OFF, 0, ill))
    assert rig.station.health == ill
    assert [rule for rule, _ in reasons(rig, Start())] == ["G25"]
    rig.give(Tick(OFF, 0, WELL))
    rig.must(Start())


@pytest.mark.rule("G25")
def test_a_programme_that_runs_is_not_ended_by_it() -> None:
    rig = Rig().plateau()
    rig.mono_ms, rig.wall_ms = rig.mono_ms + 50, rig.wall_ms + 50
    rig.give(Tick(rig.wanted(), 0, Health(clock_synced=False, ledger=False, audit=False)))
    assert rig.phase is Phase.RUNNING
