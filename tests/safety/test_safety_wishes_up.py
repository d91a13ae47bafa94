"""safety/wishes.py: the way up, prepare, check, arm and start, with permits, records and answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    CAPS,
    MONO_MS,
    WALL_MS,
    ArmSession,
    Check,
    Claim,
    IdealDevice,
    Phase,
    Picture,
    Prepare,
    Rig,
    Start,
    Train,
    Verb,
    plan,
    rx,
    standing,
)

from safety import permits
from safety.effects import (
    Answer,
    Arm,
    ChannelRequest,
    Commit,
    Drive,
    Entry,
    Envelope,
    Event,
    Grant,
    Note,
    Opening,
    Permit,
    PermitRequest,
    Probe,
    Tell,
    WishRecord,
)
from safety.limits import CLASS_CAPS, Modality, Sensation, meet
from safety.messages import Asked, Committed, Denied, EntryKind
from safety.prescription import Dose
from safety.state import FRESH, Course, Purpose, Reading, Setting
from safety.verdict import Reason, Severity


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def bare(code: str) -> tuple[Reason, ...]:
    """What a refusal carries where no rule speaks."""
    return (refuse("", code),)


PREPARE = Prepare(rx(), "rx-1@1", "p-1")


# Prepare


@pytest.mark.rule("X2")
@pytest.mark.rule("X8")
def test_a_prepared_session_is_a_snapshot():
    rig = Rig()
    rig.up()
    rig.must(Claim())
    asked = rx(
        plan(), plan(channel=2, site="right-calf", ua=12_000), limits=(("amplitude_ua", 25_000), ("ramp_ms", 600))
    )
    number = rig.station.tally.next_id
    answer = rig.must(Prepare(asked, asked.ref, "p-1"))
    session = rig.station.session
    assert session is not None
    assert session.id == f"s-dev1-b1-{number}"
    assert answer.details == (("session_id", session.id), ("not_fitted", "temperature"))
    assert (rig.phase, session.rx) == (Phase.PREPARED, asked)
    class_caps = CLASS_CAPS[Modality.NMES, Sensation.S0]
    assert session.limits == meet(rig.config.limits[Modality.NMES], class_caps, {"amplitude_ua": 25_000})
    assert session.settings == (Setting(asked.channels[0], 20_000, 0), Setting(asked.channels[1], 12_000, 0))
    assert (session.readings, session.permit, session.channels) == ((), None, (FRESH, FRESH))
    assert session.course == Course(0, 0, 0, 0, (), 0, (0, 0), (0, 0), WALL_MS - MONO_MS)
    assert rig.notes("open") == [
        Opening(session=session.id, rx="rx-1@1", rx_digest="d1", patient="p-1", principal="physio-1", policy="p1")
    ]
    assert rig.events("session.prepared")[-1].details == (("session_id", session.id), ("rx", "rx-1@1"))


@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("modality", "sensation", "amplitude_ua"),
    [("nmes", "S0", 80_000), ("nmes", "S1", 50_000), ("nmes", "S2", 30_000), ("tens", "S1", 50_000)],
)
def test_the_class_of_the_patient_tightens_the_sites_limits(modality: str, sensation: str, amplitude_ua: int):
    rig = Rig()
    rig.up()
    rig.must(Claim())
    shape = replace(rx().programme, modality=Modality(modality))
    asked = rx(plan(ua=16_000, area_mm2=5_000), programme=shape, sensation=Sensation(sensation))
    rig.must(Prepare(asked, asked.ref, "p-1"))
    assert rig.station.session is not None
    assert rig.station.session.limits.amplitude_ua == amplitude_ua


@pytest.mark.hazard("H29")
def test_a_prescription_cannot_loosen_a_limit():
    wide = (("amplitude_ua", 99_000), ("ramp_ms", 1), ("rest_ratio_ppm", 0), ("session_nc", 2**60))
    rig = Rig().prepared(rx(limits=wide))
    assert rig.station.session is not None
    assert rig.station.session.limits == Rig().prepared().station.session.limits  # type: ignore[union-attr]


@pytest.mark.rule("G04")
@pytest.mark.hazard("H22")
@pytest.mark.parametrize(
    ("asked", "patient", "code"),
    [(None, "p-1", "RX.UNKNOWN"), (rx(), "p-2", "RX.PATIENT_MISMATCH"), (rx(), "", "RX.PATIENT_MISMATCH")],
)
def test_a_prescription_is_known_and_the_patients_own(asked: object, patient: str, code: str):
    rig = standing(Phase.IDLE)
    before = rig.station
    answer = rig.ask(Prepare(asked, "rx-1@1", patient))  # type: ignore[arg-type]
    assert (answer.status, answer.code, answer.reasons) == ("rejected", code, (refuse("G04", code),))
    assert rig.station == before


@pytest.mark.rule("X7")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "temperature"),
        ({"temperature": True}, ""),
        ({"numeric_impedance": False}, "impedance, temperature"),
        ({"electrode_flag_from_ua": None, "temperature": True}, ""),
        ({"readback": False, "temperature": True}, "readback"),
        ({"echo": False, "temperature": True}, "echo"),
        ({"patient_stop": False, "temperature": True}, "patient stop"),
        ({"supply_min_mv": None, "temperature": True}, "supply"),
        ({"balance": False, "temperature": True}, "balance"),
        ({"numeric_impedance": False, "electrode_flag_from_ua": None, "temperature": True}, "impedance, electrode"),
        (
            {
                "numeric_impedance": False, "electrode_flag_from_ua": None, "readback": False, "patient_stop": False,
                "supply_min_mv": None, "balance": False,
            },
            "impedance, electrode, readback, patient stop, supply, balance, temperature",
        ),
    ],
)  # fmt: skip
def test_what_the_device_cannot_measure_is_said_when_a_session_opens(changes: dict[str, object], expected: str):
    rig = Rig(device=IdealDevice(caps=replace(CAPS, **changes)))
    rig.up()
    rig.must(Claim())
    assert rig.must(PREPARE).details[1] == ("not_fitted", expected)


# Check


@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
def test_a_check_is_three_pulses_of_one_milliampere_a_channel_each_under_a_permit():
    rig = Rig(device=IdealDevice(ohm={1: 1_500, 3: 2_000}))
    rig.up()
    rig.must(Claim())
    asked = rx(plan(), plan(channel=3, site="right-calf", width_us=400))
    rig.must(Prepare(asked, asked.ref, "p-1"))
    session = rig.station.session
    assert session is not None
    entry = rig.station.tally.next_id
    answer = rig.must(Check(()))
    permit = Permit(
        id=entry, session=session.id, rx_digest="d1",
        envelopes=(Envelope(1, 1_000, 300, 1_000_000, 1_800), Envelope(3, 1_000, 400, 1_000_000, 2_400)),
        reserve=(Dose(), Dose()), ends_mono_ms=MONO_MS + 10_000,
    )  # fmt: skip
    request = PermitRequest(
        permit=permit, session=session.id, patient="p-1", rx="rx-1@1", rx_digest="d1", modality=Modality.NMES,
        on_time_ms=12_000, probe=True, limits=session.limits,
        channels=(
            ChannelRequest(channel=1, site="left-quadriceps", pair="a", reserve=Dose(), ua=20_000),
            ChannelRequest(channel=3, site="right-calf", pair="a", reserve=Dose(), ua=20_000),
        ),
    )  # fmt: skip
    acts = [effect for effect in rig.log if isinstance(effect, Commit | Probe)]
    assert acts[0] == Commit(Entry(entry, EntryKind.PERMIT, request))
    one, three = Train(1, 1_000, 300, 0, 1_000_000), Train(3, 1_000, 400, 0, 1_000_000)
    assert [effect.train for effect in acts[1:]] == [one, one, one, three, three, three]
    assert [effect.grant for effect in acts[1:]] == [
        Grant(entry, entry + n, MONO_MS + 200) for n in range(1, 7)
    ]  # fmt: skip
    assert (answer.code, answer.details) == ("OK", (("ohm_1", 1_500), ("ohm_3", 2_000)))
    after = rig.station.session
    assert after is not None
    assert after.readings == (Reading(1, (1_500,) * 3, MONO_MS), Reading(3, (2_000,) * 3, MONO_MS))
    assert rig.station.waiting is None


@pytest.mark.rule("G28")
def test_no_pulse_before_its_permit_is_durable():
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(PREPARE)
    rig.committing = False
    command = rig.command(Check(()))
    rig.give(Asked(command))
    assert [type(effect) for effect in rig.last] == [Commit]
    rig.tick(20)
    assert not [effect for effect in rig.log if isinstance(effect, Probe)]
    waiting = rig.station.waiting
    assert waiting is not None
    assert (waiting.purpose, waiting.entry, waiting.grant) == (Purpose.CHECK_PERMIT, rig.held[0], 0)
    rig.give(Denied(rig.held[0], (refuse("L99", "SYS.AUDIT_UNWRITABLE"),)))
    assert rig.answer(command.id).reasons == (refuse("L99", "SYS.AUDIT_UNWRITABLE"),)
    assert not [effect for effect in rig.log if isinstance(effect, Probe)]


@pytest.mark.rule("G20")
def test_a_check_of_some_channels_keeps_the_others_readings():
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))
    rig.tick(2)
    rig.device.ohm = {1: 1_600, 2: 1_700}
    assert rig.must(Check((2,))).details == (("ohm_1", 1_500), ("ohm_2", 1_700))
    assert rig.station.session is not None
    assert rig.station.session.readings == (Reading(1, (1_500,) * 3, MONO_MS), Reading(2, (1_700,) * 3, MONO_MS + 100))


@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
def test_a_check_forgets_the_old_readings_before_the_new_ones_come():
    rig = Rig().prepared()
    rig.committing = False
    rig.give(Asked(rig.command(Check(()))))
    assert rig.station.session is not None
    assert rig.station.session.readings == ()


@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
def test_a_check_that_finds_bad_skin_says_so_and_arming_is_refused():
    rig = Rig(device=IdealDevice(ohm={1: 9_000})).prepared()
    found = refuse("G20", "IMP.OPEN", 1, 9_000, 3_000, "ohm")
    checks = [m for m in rig.said if isinstance(m, Answer) and isinstance(m.command.wish, Check)]
    assert (checks[-1].status, checks[-1].code, checks[-1].reasons) == ("succeeded", "IMP.OPEN", (found,))
    assert rig.events("impedance.measured")[-1].reasons == (found,)
    assert found in rig.ask(ArmSession()).reasons


@pytest.mark.rule("G20")
@pytest.mark.parametrize(("width_us", "probed_us"), [(50, 50), (300, 300), (500, 500), (501, 500), (10_000, 500)])
def test_a_test_pulse_has_the_therapys_width_and_never_more_than_half_a_millisecond(width_us: int, probed_us: int):
    rig = Rig().prepared()
    session = rig.station.session
    assert session is not None
    setting = Setting(plan(width_us=width_us, period_us=60_000), 20_000, 0)
    train = permits.probe_train(session._replace(settings=(setting,)), 1)
    assert train == Train(1, 1_000, probed_us, 0, 1_000_000)


# Arm


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_arming_reserves_first_and_then_gives_the_device_its_envelope():
    rig = Rig().prepared()
    session = rig.station.session
    assert session is not None
    number = rig.station.tally.next_id
    rig.must(ArmSession())
    permit = Permit(
        id=number, session=session.id, rx_digest="d1",
        # the envelope reaches to the top of the window: 966 pulses of 18 uC, 21 of a stop that is not heard, and 5 %
        envelopes=(Envelope(1, 30_000, 300, 25_000, 18_654_300),),
        reserve=(Dose(nc=12_436_200, i2t=248_724_000_000_000, on_ms=24_500),),
        ends_mono_ms=MONO_MS + 60_000 + 90_000,
    )  # fmt: skip
    acts = [effect for effect in rig.log if isinstance(effect, Commit | Arm)][-2:]
    assert isinstance(acts[0], Commit)
    assert isinstance(acts[0].entry.body, PermitRequest)
    assert (acts[0].entry.id, acts[0].entry.body.permit, acts[0].entry.body.probe) == (number, permit, False)
    assert acts[1] == Arm(Grant(number, number + 1, MONO_MS + 200), permit.envelopes, 150_000)
    answers = [m for m in rig.said if isinstance(m, Answer)][-2:]
    assert [(a.status, a.details) for a in answers] == [
        ("accepted", (("permit", number),)), ("succeeded", (("session_id", session.id),)),
    ]  # fmt: skip
    after = rig.station.session
    assert after is not None
    assert (rig.phase, after.permit, after.course.armed_ms) == (Phase.ARMED, permit, MONO_MS)


@pytest.mark.rule("G28")
def test_the_envelope_never_holds_more_charge_than_the_sessions_cap():
    rig = Rig().armed(rx(limits=(("session_nc", 15_000_000),)))
    assert rig.station.session is not None
    assert rig.station.session.permit is not None
    assert rig.station.session.permit.envelopes == (Envelope(1, 30_000, 300, 25_000, 15_000_000),)


@pytest.mark.hazard("H11")
def test_nothing_is_armed_before_the_permit_is_durable():
    rig = standing(Phase.PREPARED)
    rig.committing = False
    rig.ask(ArmSession())
    assert [type(effect) for effect in rig.last] == [Tell, Commit]
    rig.tick(10)
    assert not [effect for effect in rig.log if isinstance(effect, Arm)]
    waiting = rig.station.waiting
    assert waiting is not None
    assert (waiting.purpose, waiting.entry, waiting.channels, waiting.setpoint_ua) == (
        Purpose.ARM_PERMIT,
        rig.held[0],
        (),
        0,
    )
    rig.give(Committed(rig.held[0]))
    assert len([effect for effect in rig.log if isinstance(effect, Arm)]) == 1
    assert rig.phase is Phase.ARMED


# Start


@pytest.mark.rule("G18")
@pytest.mark.hazard("H08")
def test_a_start_carries_no_current_of_its_own():
    rig = Rig().armed()
    rig.tick(4)
    session = rig.station.session
    assert session is not None
    command = rig.command(Start())
    rig.give(Asked(command))
    answer = rig.answer(command.id)
    record = WishRecord(
        session=session.id, command=command.id, principal="physio-1", verb=Verb.START, detail="played_ms=0"
    )
    started = Event(kind="session.started", details=(("session_id", session.id),))
    assert rig.last == (Tell(answer), Tell(started), Note(Entry(rig.station.tally.next_id - 1, EntryKind.WISH, record)))
    assert (answer.status, answer.details) == ("succeeded", (("session_id", session.id),))
    assert (rig.phase, rig.station.beat.picture, rig.station.beat.tick_ms) == (Phase.RUNNING, Picture(()), rig.mono_ms)
    assert rig.station.session is not None
    assert rig.station.session.course == session.course._replace(
        first_run_ms=rig.mono_ms, clock_ms=rig.wall_ms - rig.mono_ms
    )
    rig.tick()
    drives = [effect for effect in rig.log if isinstance(effect, Drive)]
    assert drives[0].picture == Picture((Train(1, 1_000, 300, 100, 25_000),))
