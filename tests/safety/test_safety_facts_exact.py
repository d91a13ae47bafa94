"""safety/facts.py: what each word of the journal and of the device says and leaves behind, word for word."""

from __future__ import annotations

import pytest
from clinic import NMES
from rig import (
    CAPS,
    IDENTITY,
    Adjust,
    ArmSession,
    CalibrationBegin,
    Check,
    Claim,
    IdealDevice,
    Pause,
    Phase,
    Resume,
    Rig,
    Stop,
    held_back,
    on_the_way,
    only,
    replace,
    standing,
)

from safety.effects import Answer, Effect, Entry, Event, Note, Probe, Silence, Tell
from safety.messages import (
    Asked,
    Committed,
    Denied,
    DeviceDown,
    DeviceState,
    DeviceUp,
    EntryKind,
    Fenced,
    Flaw,
    Garbled,
    Heard,
    Latch,
    PatientStop,
    Probed,
)
from safety.state import Device, Hold, Purpose, Reading, Stopping
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("X4"), pytest.mark.hazard("H40")]

SESSION = "s-dev1-b1-1"


def told(kind: str, reasons: tuple[Reason, ...] = (), priority: str = "none", **details: int | str) -> Tell:
    rule, code = (reasons[0].rule, reasons[0].code) if reasons else ("", "OK")
    return Tell(
        Event(kind=kind, rule=rule, code=code, priority=priority, reasons=reasons, details=tuple(details.items()))
    )


def stopped(rig: Rig, reason: Reason, number: int) -> tuple[Effect, ...]:
    """What a stop by a rule says, in the order of the effects; the note comes last."""
    latch = Latch(number, Scope.SESSION, reason.rule, Clear.NEW_SESSION, "", rig.wall_ms)
    return (
        Silence(cut=False),
        told("fault.latched", (reason,), latch=number, clear="new_session", scope="session"),
        told("session.stopped", (reason,), "medium", session_id=SESSION, by=""),
        Note(Entry(number + 1, EntryKind.LATCH, latch)),
    )


# The journal


@pytest.mark.rule("G28")
@pytest.mark.hazard("H25")
def test_an_entry_that_nobody_waits_for_moves_nothing() -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    before = rig.station
    for event in (Committed(rig.held[-1] - 1), Committed(rig.held[-1] + 1), Denied(rig.held[-1] + 1, ())):
        assert rig.give(event) == ()
        assert rig.station == before
    idle = standing(Phase.IDLE)
    before = idle.station
    for event in (Committed(1), Denied(1, ())):
        assert idle.give(event) == ()
        assert idle.station == before


def test_a_durable_entry_that_brings_no_token_leaves_the_hold_on_the_patient_as_it_is() -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    rig.answering = False
    session = rig.station.session
    care = session.care._replace(token=5, hold_ends_ms=9)
    rig.station = rig.station._replace(session=session._replace(care=care))
    rig.give(Committed(rig.held[-1], 0, 77))
    assert rig.station.session.care == care


@pytest.mark.rule("X10")
@pytest.mark.rule("M34")
@pytest.mark.parametrize(("phase", "wish"), [(Phase.PREPARED, Check(())), (Phase.RUNNING, Adjust(1, 1_000))])
def test_a_token_that_comes_with_any_entry_is_kept(phase: Phase, wish: object) -> None:
    rig = held_back(phase, wish)
    rig.answering = False
    care = rig.station.session.care
    rig.give(Committed(rig.held[-1], 7, 9_000))
    assert rig.station.session.care == care._replace(token=7, hold_ends_ms=9_000)


@pytest.mark.rule("M14")
def test_a_rise_that_becomes_durable_under_holds_fails_with_the_first_of_them_and_keeps_the_token() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    command = rig.station.waiting.command
    holds = (Hold(Reason("M14", Severity.HOLD, "IMP.CLIP"), 1), Hold(Reason("M12", Severity.HOLD, "IMP.DRIFT"), 1))
    rig.station = rig.station._replace(holds=holds)
    before = rig.station
    why = (Reason("", Severity.REFUSE, "IMP.CLIP"),)
    assert rig.give(Committed(rig.held[-1], 7, 9_000)) == (
        Tell(Answer(command=command, status="failed", code="IMP.CLIP", reasons=why)),
    )
    care = before.session.care._replace(token=7, hold_ends_ms=9_000)
    assert rig.station == before._replace(waiting=None, session=before.session._replace(care=care))


@pytest.mark.rule("L03")
@pytest.mark.parametrize("wish", [ArmSession(), CalibrationBegin(1)])
def test_a_reservation_that_is_denied_leaves_a_session_that_was_never_armed(wish: object) -> None:
    rig = held_back(Phase.PREPARED, wish)
    before, command = rig.station, rig.station.waiting.command
    assert before.session.course.armed_ms == rig.mono_ms
    why = (Reason("L03", Severity.REFUSE, "DOSE.DAY", 1, 2, 1, "nC"),)
    assert rig.give(Denied(rig.held[-1], why)) == (
        Tell(Answer(command=command, status="rejected", code="DOSE.DAY", reasons=why)),
    )
    session = before.session
    course = session.course._replace(armed_ms=0)
    assert rig.station == before._replace(waiting=None, session=session._replace(course=course))


@pytest.mark.rule("L03")
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PREPARED])
def test_what_else_is_denied_leaves_the_session_as_it_is(phase: Phase) -> None:
    rig = held_back(phase, Adjust(1, 1_000) if phase is Phase.RUNNING else Check(()))
    session = rig.station.session
    session = session._replace(course=session.course._replace(armed_ms=7))
    rig.station = rig.station._replace(session=session)
    before = rig.station
    rig.give(Denied(rig.held[-1], (Reason("L03", Severity.REFUSE, "DOSE.DAY"),)))
    assert rig.station == before._replace(waiting=None)


@pytest.mark.rule("L08")
def test_a_session_that_has_a_permit_stays_armed_when_another_is_denied() -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    session = rig.station.session._replace(permit=rig.station.waiting.permit)
    rig.station = rig.station._replace(session=session)
    rig.give(Denied(rig.held[-1], (Reason("L03", Severity.REFUSE, "DOSE.DAY"),)))
    assert rig.station.session == session


@pytest.mark.rule("M34")
def test_a_fence_stops_with_both_tokens() -> None:
    rig = standing(Phase.PAUSED)
    rig.answering = False
    number = rig.station.tally.next_id
    reason = Reason("M34", Severity.STOP, "SES.FENCED", 0, 8, 0, "token")
    assert rig.give(Fenced(8)) == stopped(rig, reason, number)


# The line


@pytest.mark.rule("G23")
def test_a_device_that_comes_is_taken_in_with_its_word() -> None:
    rig = Rig()
    rig.station = rig.station._replace(beat=rig.station.beat._replace(unanswered=5))
    before = rig.station
    rig.mono_ms += 7
    status = rig.device.status(rig.mono_ms)
    assert rig.give(DeviceUp(IDENTITY, CAPS, status)) == (
        told("device.online", model="stimwarden-native", serial="E1", firmware="1.0"),
    )
    assert rig.station == before._replace(
        phase=Phase.IDLE,
        device=Device(IDENTITY, CAPS, status),
        beat=before.beat._replace(heard_ms=rig.mono_ms, sent_ms=rig.mono_ms, unanswered=0),
        tally=before.tally._replace(version=before.tally.version + 1),
    )


@pytest.mark.rule("G23")
@pytest.mark.parametrize("wrong", [{"model": "somebody-elses"}, {"emulator": False}])
def test_a_device_that_does_not_belong_here_is_latched_before_it_is_told(wrong: dict[str, object]) -> None:
    rig = Rig()
    number, identity = rig.station.tally.next_id, replace(IDENTITY, **wrong)
    reason = Reason("G23", Severity.LOCK, "RX.DEVICE_MISMATCH")
    latch = Latch(number, Scope.DEVICE, "G23", Clear.MAINTENANCE, "", rig.wall_ms)
    assert rig.give(DeviceUp(identity, CAPS, rig.device.status(rig.mono_ms))) == (
        told("fault.latched", (reason,), latch=number, clear="maintenance", scope="device"),
        told("device.online", model=identity.model, serial="E1", firmware="1.0"),
        Note(Entry(number + 1, EntryKind.LATCH, latch)),
    )


@pytest.mark.rule("M30")
def test_a_device_that_is_identified_anew_stops_its_session_with_the_rules_words() -> None:
    rig = standing(Phase.RUNNING)
    status = rig.device.status(rig.mono_ms)._replace(state=DeviceState.RUNNING)
    rig.answering = False
    number = rig.station.tally.next_id
    effects = rig.give(DeviceUp(IDENTITY, CAPS, status))
    silence, latched, ended, note = stopped(rig, Reason("M30", Severity.STOP, "DEV.RESET"), number)
    online = told("device.online", model="stimwarden-native", serial="E1", firmware="1.0")
    assert effects == (silence, latched, ended, online, note)
    assert rig.station.stopping == Stopping(rig.mono_ms, 1, False, False, "stopped", "M30", "reservation")


@pytest.mark.rule("M04")
def test_a_line_that_is_lost_in_a_session_says_so_and_leaves_doubt() -> None:
    rig = standing(Phase.RUNNING)
    number, reason = rig.station.tally.next_id, Reason("M04", Severity.STOP, "DEV.LOST")
    silence, latched, ended, note = stopped(rig, reason, number)
    assert rig.give(DeviceDown("unplugged")) == (
        silence, latched, ended, told("device.lost", (reason,), "medium", why="unplugged"), note,
    )  # fmt: skip
    assert (rig.phase, rig.station.device) == (Phase.UNCERTAIN, None)
    assert rig.station.stopping == Stopping(rig.mono_ms, 1, False, False, "stopped", "M04", "reservation")


@pytest.mark.rule("M04")
def test_a_line_that_is_lost_without_a_session_says_only_that() -> None:
    rig = standing(Phase.IDLE)
    before = rig.station
    reason = Reason("M04", Severity.STOP, "DEV.LOST")
    assert rig.give(DeviceDown("unplugged")) == (told("device.lost", (reason,), "low", why="unplugged"),)
    version = before.tally.version + 1
    assert rig.station == before._replace(
        phase=Phase.OFFLINE, device=None, tally=before.tally._replace(version=version)
    )


def test_a_word_is_kept_and_answers_the_frame_that_it_names() -> None:
    rig = standing(Phase.ARMED)
    rig.answering = False
    rig.tick(2)
    before, frame = rig.station, rig.station.beat.unanswered
    assert frame > 0
    for grant, left in ((0, frame), (frame - 1, frame), (frame + 1, frame), (frame, 0)):
        rig.mono_ms += 1
        status = rig.device.status(rig.mono_ms)
        assert rig.give(Heard(grant, status, ())) == ()
        assert rig.station.device == Device(IDENTITY, CAPS, status)
        assert rig.station.beat == before.beat._replace(heard_ms=rig.mono_ms, unanswered=left)


@pytest.mark.rule("M30")
@pytest.mark.rule("L08")
def test_a_reset_leaves_doubt_whatever_else_the_word_says() -> None:
    rig = standing(Phase.RUNNING)
    rig.answering = False
    rig.device.changes = {"boot": 8, "supply_mv": 10_000}
    rig.hear()
    assert rig.latched() == ["M30", "M28"]
    assert rig.station.stopping.evidence == "reservation"


@pytest.mark.rule("M29")
def test_a_device_through_which_stray_current_flows_has_been_cut_and_called_about() -> None:
    rig = standing(Phase.ARMED)
    rig.answering = False
    rig.device.sample_changes[2] = only(fresh=True, measured_ua=2_001)
    rig.hear()
    assert rig.station.stopping == Stopping(rig.mono_ms, 3, True, True, "stopped", "M29", "reservation")


@pytest.mark.rule("L08")
@pytest.mark.parametrize("readback", [True, False])
def test_a_last_word_that_counts_for_less_than_all_is_charged_by_what_was_applied(readback: bool) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=readback))).running(NMES, ticks=45)
    session = rig.station.session
    course = session.course._replace(base_nc=(1_000, 2_000), seen_nc=(0, 999_999))
    rig.station = rig.station._replace(session=session._replace(course=course))
    rig.answering = False
    rig.ask(Pause())
    status = rig.device.status(rig.mono_ms)
    rig.give(Heard(0, status, ()))
    spent = [channel.spent[0] for channel in rig.station.session.channels]
    assert rig.station.session.course.seen_nc == (spent[0] - 1_000, 999_999)
    assert rig.station.stopping is None


@pytest.mark.rule("L08")
@pytest.mark.parametrize(
    ("channels", "permit", "evidence"),
    [((1, 3), 0, "readback"), ((1, 2, 3), 0, "readback"), ((1, 2), 0, "applied"), ((1, 3), 1, "applied")],
)
def test_a_last_word_counts_that_tells_of_just_the_sessions_channels_under_its_permit(
    channels: tuple[int, ...], permit: int, evidence: str
) -> None:
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    rig.ask(Stop())
    low = rig.station.session.channels[0].spent[0] - 7
    rig.device.sample_changes = {1: only(charge_nc=9_000_000), 3: only(charge_nc=low)}
    status = rig.device.status(rig.mono_ms)
    samples = tuple(sample for sample in rig.device.samples() if sample.channel in channels)
    spent = [channel.spent[0] for channel in rig.station.session.channels]
    rig.give(Heard(0, status._replace(permit=status.permit + permit), samples))
    (settled,) = rig.notes("settle")
    told = [-(-nc * 101 // 100) for nc in (9_000_000, low)]
    counted = told if evidence == "readback" else [-(-nc * 102 // 100) for nc in spent]
    assert (settled.evidence, [dose.nc for _, dose in settled.charged]) == (evidence, counted)


@pytest.mark.rule("L08")
@pytest.mark.parametrize("evidence", ["reservation", "applied", "readback"])
def test_what_is_in_doubt_stays_in_doubt_when_a_word_counts_for_less_than_all(evidence: str) -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.station = rig.station._replace(stopping=rig.station.stopping._replace(evidence=evidence))
    rig.device.state = DeviceState.STOPPED
    rig.give(Heard(0, rig.device.status(rig.mono_ms), ()))
    (settled,) = rig.notes("settle")
    assert settled.evidence == ("applied" if evidence == "readback" else evidence)


@pytest.mark.rule("M29")
def test_what_was_applied_counts_only_where_the_first_stop_was_obeyed() -> None:
    for tries, evidence, counts in (
        (1, "applied", "applied"),
        (2, "applied", "reservation"),
        (2, "readback", "readback"),
    ):
        rig = standing(Phase.UNCERTAIN)
        stopping = rig.station.stopping._replace(tries=tries, evidence=evidence)
        rig.station = rig.station._replace(stopping=stopping)
        rig.device.ignores_stop = False
        rig.device.obey(Silence(cut=False))
        rig.mono_ms += 9
        rig.hear()
        assert rig.last[:1] == (told("stop.confirmed", waited_ms=9),)
        assert [note.evidence for note in rig.notes("settle")] == [counts]


# The skin


@pytest.mark.rule("G20")
def test_each_test_pulse_is_kept_and_the_next_one_given() -> None:
    rig = Rig().prepared(NMES)
    rig.committing = rig.answering = False
    rig.give(Asked(rig.command(Check((3,)))))
    rig.mono_ms += 4
    rig.give(Committed(rig.held[-1]))
    before, first = rig.station, rig.station.waiting.grant
    rig.mono_ms += 5
    (probe,) = rig.give(Probed(first, 3, 1_400, False, False))
    assert isinstance(probe, Probe)
    assert (probe.grant.seq, probe.grant.permit, probe.train.channel) == (first + 1, before.waiting.permit.id, 3)
    assert rig.station.waiting == before.waiting._replace(
        purpose=Purpose.PROBES, entry=0, grant=first + 1, channels=(3, 3), since_ms=rig.mono_ms
    )
    now_ms = rig.mono_ms
    assert rig.station.beat == before.beat._replace(heard_ms=now_ms, sent_ms=now_ms, unanswered=first + 1)
    assert rig.station.session.readings == (*before.session.readings, Reading(3, (1_400,), now_ms))


@pytest.mark.rule("G20")
def test_what_a_check_finds_is_said_of_each_channel_and_only_sound_skin_is_remembered() -> None:
    rig = Rig().prepared(NMES)
    before = rig.station.session
    assert [setting.check_ohm for setting in before.settings] == [1_500, 1_500]
    rig.device.ohm = {1: 1_200, 3: 3_001}
    rig.mono_ms += 9
    answer = rig.ask(Check(()))
    # The calf's pads have 25 cm2 as well, so that 3 kohm is the limit there too.
    reason = Reason("G20", Severity.REFUSE, "IMP.HIGH", 3, 3_001, 3_000, "ohm")
    details = (("ohm_1", 1_200), ("ohm_3", 3_001))
    assert (answer.status, answer.code, answer.reasons, answer.details) == (
        "succeeded", "IMP.HIGH", (reason,), details,
    )  # fmt: skip
    assert (
        rig.events("impedance.measured")[-1]
        == told("impedance.measured", (reason,), "low", session_id=SESSION, ohm_1=1_200, ohm_3=3_001).message
    )
    session = rig.station.session
    assert [setting.check_ohm for setting in session.settings] == [1_200, 1_500]
    assert [channel.contact.past.probe_ohm for channel in session.channels] == [1_200, 1_500]
    assert session.readings == tuple(Reading(n, (rig.device.ohm[n],) * 3, rig.mono_ms) for n in (1, 3))


# What is wrong


@pytest.mark.rule("M26")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING, Phase.PREPARED])
def test_a_flaw_is_remembered_for_a_second_and_frees_its_frame_where_nothing_flows(phase: Phase) -> None:
    rig = standing(phase)
    beat = rig.station.beat._replace(unanswered=77, flaws=(rig.mono_ms - 1_000, rig.mono_ms - 999))
    rig.station = rig.station._replace(beat=beat)
    for grant, left in ((76, 77), (0, 77), (77, 77 if phase is Phase.RUNNING else 0)):
        one = Rig()
        one.station, one.mono_ms, one.wall_ms = rig.station, rig.mono_ms, rig.wall_ms
        one.answering = False
        one.station = one.station._replace(beat=beat._replace(flaws=(rig.mono_ms - 1_000,)))
        assert one.give(Garbled(Flaw.DAMAGED, grant, "crc")) == ()
        assert one.station == rig.station._replace(beat=beat._replace(flaws=(rig.mono_ms,), unanswered=left))


@pytest.mark.rule("M26")
@pytest.mark.parametrize(("flaw", "fails"), [(Flaw.REFUSED, True), (Flaw.DAMAGED, False), (Flaw.TIMEOUT, False)])
def test_only_a_refusal_of_its_own_frame_fails_a_wish(flaw: Flaw, fails: bool) -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    command, grant = rig.station.waiting.command, rig.station.waiting.grant
    effects = rig.give(Garbled(flaw, grant, "NAK"))
    why = (Reason("", Severity.REFUSE, "DEV.NAK"),)
    assert effects == ((Tell(Answer(command=command, status="failed", code="DEV.NAK", reasons=why)),) * fails)
    assert (rig.station.waiting is None) is fails


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
def test_the_patients_stop_says_whose_it_was() -> None:
    rig = standing(Phase.RUNNING)
    rig.answering = False
    number = rig.station.tally.next_id
    reason = Reason("M23", Severity.STOP, "SES.PATIENT_STOP")
    assert rig.give(PatientStop()) == stopped(rig, reason, number)
    idle = Rig()
    assert idle.give(PatientStop()) == (Silence(cut=False),)


@pytest.mark.rule("G24")
@pytest.mark.parametrize("by_device", [True, False])
def test_a_press_where_nothing_flows_is_a_trial_and_silences(by_device: bool) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, patient_stop=by_device)))
    rig.trying = False
    rig.prepared()
    rig.answering = False
    trial = (told("stop.tried", session_id=SESSION),) * (not by_device)
    assert rig.give(PatientStop()) == (Silence(cut=False), *trial)
    assert rig.station.session.papers.stop_tried is not by_device
    assert rig.give(PatientStop()) == (Silence(cut=False),)


@pytest.mark.rule("M19")
def test_a_session_that_was_paused_before_it_ran_is_started_by_its_resume() -> None:
    rig = standing(Phase.ARMED)
    rig.must(Pause())
    rig.must(Check(()))
    rig.mono_ms += 30
    rig.must(Resume())
    assert [event.kind for event in rig.events("session.started") + rig.events("session.resumed")] == [
        "session.started"
    ]
    assert rig.station.session.course.first_run_ms == rig.mono_ms
    rig.tick(3)
    rig.must(Pause())
    rig.must(Check(()))
    rig.must(Resume())
    assert rig.station.session.course.first_run_ms == rig.mono_ms - 150
    assert len(rig.events("session.resumed")) == 1


@pytest.mark.rule("X3")
def test_a_device_that_comes_in_doubt_changes_no_phase() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.answering = False
    stopping = rig.station.stopping
    assert rig.give(DeviceUp(IDENTITY, CAPS, rig.device.status(rig.mono_ms))) == (
        told("device.online", model="stimwarden-native", serial="E1", firmware="1.0"),
    )
    assert (rig.phase, rig.latched()) == (Phase.UNCERTAIN, ["STOP"])
    assert rig.station.stopping == stopping._replace(evidence="reservation")


@pytest.mark.rule("L08")
def test_a_line_that_is_lost_under_a_stop_leaves_it_in_doubt_at_once() -> None:
    rig = standing(Phase.UNCERTAIN)
    stopping = rig.station.stopping
    rig.give(DeviceDown("unplugged"))
    assert rig.station.stopping == stopping._replace(evidence="reservation")


@pytest.mark.rule("X3")
def test_a_stop_without_a_session_leads_nowhere() -> None:
    idle = standing(Phase.IDLE)
    idle.must(Claim())
    idle.must(Stop())
    assert idle.phase is Phase.IDLE
