"""safety/facts.py: the journal's and the device's words in every phase, late ones and wrong ones among them."""

from __future__ import annotations

import pytest
from rig import (
    MONO_MS,
    OFF,
    WALL_MS,
    WELL,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    Modality,
    Pause,
    Phase,
    Prepare,
    Programme,
    Resume,
    Rig,
    Start,
    Stop,
    config,
    held_back,
    on_the_way,
    only,
    rx,
    standing,
)

from safety import machine
from safety.effects import Arm, Closing, Drive, Feed, Note, Probe, Settlement, Silence, Tell
from safety.messages import (
    Asked,
    Booted,
    Committed,
    Denied,
    DeviceState,
    Fenced,
    Heard,
    Latch,
    Now,
    PatientStop,
    Probed,
    Tick,
)
from safety.state import Purpose
from safety.verdict import Clear, Reason, Scope, Severity

REACHED = list(Phase)
ENERGISING = Arm | Drive | Feed | Probe
RESERVE_NC = 12_436_200
"""6 cycles x (4 s x 40 Hz + 1) pulses x 12,000 nC, and 5 %."""


def checking() -> Rig:
    """Bring a rig to a check whose permit the journal keeps back."""
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(Prepare(rx(), "rx-1@1", "p-1"))
    rig.committing = False
    rig.give(Asked(rig.command(Check(()))))
    return rig


# The journal


@pytest.mark.rule("X3")
def test_a_clean_boot_knows_nothing_and_says_nothing() -> None:
    done = machine.step(machine.fresh(config()), Booted("b2", "", 0, (), 77), Now(MONO_MS, WALL_MS))
    assert done.effects == ()
    assert (done.station.phase, done.station.boot_id, done.station.latches) == (Phase.OFFLINE, "b2", ())
    assert done.station.tally.next_id == 77
    lock = Latch(5, Scope.DEVICE, "M27", Clear.MAINTENANCE, "", WALL_MS - 1)
    locked = machine.step(machine.fresh(config()), Booted("b2", "", 0, (lock,), 77), Now(MONO_MS, WALL_MS))
    assert (locked.station.latches, locked.effects) == ((lock,), ())
    empty = machine.step(machine.fresh(config()), Booted("b2", "", 0, (), 0), Now(MONO_MS, WALL_MS))
    assert empty.station.tally.next_id == 1


@pytest.mark.rule("X6")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H31")
def test_a_crash_in_a_session_stays_stopped_and_counts_as_delivered() -> None:
    old = Latch(5, Scope.DEVICE, "M27", Clear.MAINTENANCE, "", WALL_MS - 1)
    fresh = machine.fresh(config())
    done = machine.step(fresh, Booted("b1", "s-b0-1", 3, (old,), 40), Now(MONO_MS, WALL_MS))
    crash = Latch(40, Scope.SESSION, "X6", Clear.NEW_SESSION, "", WALL_MS)
    assert done.station.latches == (old, crash)
    tell, *notes = done.effects
    assert (tell.message.kind, tell.message.priority, tell.message.rule) == ("session.stopped", "medium", "X6")
    assert tell.message.reasons == (Reason("X6", Severity.STOP, "SYS.RESTARTED"),)
    assert [type(effect) for effect in done.effects] == [Tell, Note, Note, Note]
    assert [(note.entry.id, note.entry.kind.value, note.entry.body) for note in notes] == [
        (41, "latch", crash),
        (42, "settle", Settlement(session="s-b0-1", evidence="reservation", charged=())),
        (43, "close", Closing(session="s-b0-1", outcome="crashed", rule="X6")),
    ]
    assert done.station.phase is Phase.OFFLINE


@pytest.mark.rule("X6")
@pytest.mark.hazard("H31")
def test_after_a_crash_nothing_starts_until_somebody_has_acknowledged() -> None:
    rig = Rig()
    rig.station = machine.fresh(rig.config)._replace(health=WELL)
    rig.give(Booted("b1", "s-b0-1", 3, (), 40))
    rig.up()
    rig.must(Claim())
    assert rig.codes(Prepare(rx(), "rx-1@1", "p-1")) == ["G27"]
    rig.tick(40)
    assert not [effect for effect in rig.log if isinstance(effect, ENERGISING)]
    rig.must(ClearLatch(40, "looked at the patient"))
    assert rig.must(Prepare(rx(), "rx-1@1", "p-1")).status == "succeeded"


@pytest.mark.hazard("H25")
@pytest.mark.parametrize("phase", REACHED)
def test_an_answer_of_the_journal_that_nobody_waits_for_changes_nothing(phase: Phase) -> None:
    rig = standing(phase)
    before = rig.station
    for event in (Committed(1), Committed(999_999), Denied(1, (Reason("L03", Severity.REFUSE, "DOSE.DAY"),))):
        assert rig.give(event) == ()
        assert rig.station == before


@pytest.mark.rule("G28")
def test_only_the_entry_that_is_waited_for_moves_anything() -> None:
    for rig in (held_back(Phase.PREPARED, ArmSession()), held_back(Phase.RUNNING, Adjust(1, 1_000)), checking()):
        before = rig.station
        for event in (Committed(rig.held[-1] - 1), Committed(rig.held[-1] + 1), Denied(rig.held[-1] + 1, ())):
            assert rig.give(event) == ()
            assert rig.station == before


@pytest.mark.rule("X5")
@pytest.mark.parametrize("late", [Committed, lambda entry: Denied(entry, (Reason("L03", Severity.REFUSE, "x"),))])
@pytest.mark.parametrize("down", [lambda rig: rig.must(Stop()), lambda rig: rig.give(PatientStop())])
def test_an_answer_after_a_stop_arms_and_probes_nothing(late: object, down: object) -> None:
    for rig in (held_back(Phase.PREPARED, ArmSession()), held_back(Phase.RUNNING, Adjust(1, 1_000)), checking()):
        wish = rig.station.waiting.command
        down(rig)
        assert (rig.answer(wish.id).status, rig.answer(wish.id).code) == ("failed", "SES.PHASE_CHANGED")
        mark, before = len(rig.log), rig.station
        assert rig.give(late(rig.held[-1])) == ()
        rig.tick(20)
        assert rig.station.latches == before.latches
        assert not [effect for effect in rig.log[mark:] if isinstance(effect, ENERGISING)]
        assert (rig.phase, rig.device.trains) == (Phase.IDLE, {})


@pytest.mark.hazard("H19")
def test_a_denied_permit_is_refused_with_the_ledgers_reasons_and_arms_nothing() -> None:
    why = (Reason("L03", Severity.REFUSE, "DOSE.DAY", 1, 2, 1, "nC"), Reason("L01", Severity.REFUSE, "DOSE.DAY"))
    for rig in (held_back(Phase.PREPARED, ArmSession()), held_back(Phase.RUNNING, Adjust(1, 1_000))):
        phase, command = rig.phase, rig.station.waiting.command
        (tell,) = rig.give(Denied(rig.held[-1], why))
        assert (tell.message.command, tell.message.status, tell.message.reasons) == (command, "rejected", why)
        assert (rig.phase, rig.station.waiting) == (phase, None)
        assert rig.station.session.settings[0].setpoint_ua == 20_000
        assert rig.give(Committed(rig.held[-1])) == ()
        assert (rig.station.session.course.armed_ms == 0) is (phase is Phase.PREPARED)


@pytest.mark.rule("G20")
def test_a_committed_check_gives_three_probes_a_channel_one_by_one() -> None:
    rig = checking()
    rig.answering = False
    (probe,) = rig.give(Committed(rig.held[-1]))
    assert (probe.train.ua, probe.train.width_us, probe.grant.expires_mono_ms) == (1_000, 300, rig.mono_ms + 200)
    for ohm in (1_400, 1_500):
        assert rig.station.waiting.purpose is Purpose.PROBES
        (probe,) = rig.give(Probed(rig.station.waiting.grant, 1, ohm, False, False))
        assert isinstance(probe, Probe)
    last = rig.give(Probed(rig.station.waiting.grant, 1, 1_450, False, False))
    assert [type(effect) for effect in last] == [Tell, Tell]
    answer, event = (effect.message for effect in last)
    assert (answer.status, answer.code, answer.details) == ("succeeded", "OK", (("ohm_1", 1_450),))
    assert (event.kind, event.priority, event.reasons) == ("impedance.measured", "none", ())
    assert rig.station.session.readings[0].ohms == (1_400, 1_500, 1_450)
    assert (rig.station.waiting, rig.station.beat.unanswered) == (None, 0)


@pytest.mark.rule("G20")
def test_a_check_that_finds_bad_skin_says_so() -> None:
    rig = checking()
    rig.committing = True
    rig.device.ohm[1] = 3_001
    rig.give(Committed(rig.held[-1]))
    answer = rig.answer(rig.steps[-1][1][0].message.command.id)
    reason = Reason("G20", Severity.REFUSE, "IMP.HIGH", 1, 3_001, 3_000, "ohm")
    assert (answer.status, answer.code, answer.reasons) == ("succeeded", "IMP.HIGH", (reason,))
    assert (rig.events("impedance.measured")[-1].priority, rig.phase) == ("low", Phase.PREPARED)


@pytest.mark.rule("G28")
def test_a_rise_takes_place_when_its_permit_is_durable_and_keeps_the_arming() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    old = rig.station.session.permit
    assert rig.station.session.settings[0].setpoint_ua == 20_000
    effects = rig.give(Committed(rig.held[-1]))
    assert [type(effect) for effect in effects] == [Tell, Note]
    session = rig.station.session
    assert (session.settings[0].setpoint_ua, session.settings[0].raised_ms) == (21_000, rig.mono_ms)
    assert (session.permit.id, rig.station.waiting) == (old.id, None)
    assert session.permit.reserve[0].nc > old.reserve[0].nc
    assert effects[1].entry.body.detail == "channel=1 setpoint_ua=21000"


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
def test_a_rise_that_becomes_durable_under_a_hold_does_not_take_place() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    rig.device.sample_changes[1] = only(clipped=3)
    rig.hear()
    command = rig.station.waiting.command
    (tell,) = rig.give(Committed(rig.held[-1]))
    assert (tell.message.command, tell.message.status, tell.message.code) == (command, "failed", "IMP.CLIP")
    assert (rig.phase, rig.station.waiting) == (Phase.RUNNING, None)
    assert rig.station.session.settings[0].setpoint_ua == 20_000


# Arming


def armed_word(rig: Rig, **changes: object) -> Heard:
    status = rig.device.status(rig.mono_ms)._replace(state=DeviceState.ARMED, **changes)
    return Heard(rig.station.waiting.grant, status, ())


@pytest.mark.rule("G23")
def test_only_the_answer_to_our_arming_frame_arms() -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    status = rig.device.status(rig.mono_ms)
    grant = rig.station.waiting.grant
    for event in (Heard(grant - 1, status, ()), Heard(0, status, ()), Heard(grant + 1, status, ())):
        rig.give(event)
        assert rig.phase is Phase.PREPARED
    rig.give(Heard(grant, status._replace(state=DeviceState.STOPPED), ()))
    assert rig.phase is Phase.PREPARED
    rig.mono_ms += 40
    rig.give(armed_word(rig))
    assert (rig.phase, rig.station.session.course.armed_ms) == (Phase.ARMED, rig.mono_ms)
    assert [event.kind for event in rig.events("session.armed")] == ["session.armed"]


@pytest.mark.hazard("H08")
def test_a_device_that_says_armed_unasked_arms_nothing() -> None:
    for rig in (held_back(Phase.PREPARED, ArmSession()), held_back(Phase.RUNNING, Adjust(1, 1_000)), checking()):
        phase = rig.phase
        rig.answering = False
        rig.give(armed_word(rig))
        assert rig.phase is (phase if phase is Phase.RUNNING else Phase.UNCERTAIN)
        assert rig.latched() == ([] if phase is Phase.RUNNING else ["M27"])
        assert rig.station.session.settings[0].setpoint_ua == 20_000


@pytest.mark.hazard("H06")
def test_a_resumed_session_runs_from_zero_when_the_device_is_armed_again() -> None:
    rig = on_the_way(Phase.PAUSED, Resume())
    assert rig.phase is Phase.PAUSED
    rig.give(armed_word(rig))
    assert (rig.phase, rig.station.beat.picture, rig.device.trains) == (Phase.RUNNING, OFF, {})
    assert rig.station.session.course.since_resume_ms == 0
    assert [event.kind for event in rig.events("session.resumed")] == ["session.resumed"]


@pytest.mark.rule("M28")
@pytest.mark.rule("X5")
def test_a_word_that_arms_and_pauses_at_once_pauses() -> None:
    rig = on_the_way(Phase.PAUSED, Resume())
    command = rig.station.waiting.command
    effects = rig.give(armed_word(rig, supply_mv=10_799))
    assert effects[0] == Silence(cut=False)
    assert (rig.phase, rig.latched(), rig.station.waiting) == (Phase.PAUSED, ["M28"], None)
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "SES.PHASE_CHANGED")
    rig.answering = True
    rig.tick(4)
    assert (rig.phase, rig.station.stopping) == (Phase.PAUSED, None)


# The skin


@pytest.mark.rule("G20")
def test_a_measurement_that_was_not_asked_for_is_not_taken() -> None:
    rig = checking()
    before = rig.station
    assert rig.give(Probed(0, 1, 1_500, False, False)) == ()
    assert rig.station == before
    rig.answering = False
    rig.give(Committed(rig.held[-1]))
    before, grant = rig.station, rig.station.waiting.grant
    for event in (Probed(grant + 1, 1, 1_500, False, False), Probed(grant, 2, 1_500, False, False)):
        assert rig.give(event) == ()
        assert rig.station == before
    rig = on_the_way(Phase.PREPARED, ArmSession())
    before = rig.station
    assert rig.give(Probed(before.waiting.grant, 1, 1_500, False, False)) == ()
    assert rig.station == before


@pytest.mark.rule("G28")
def test_the_reservation_is_what_was_planned() -> None:
    rig = standing(Phase.ARMED)
    assert rig.station.session.permit.reserve[0].nc == RESERVE_NC
    assert rig.must(Start()).status == "succeeded"
    assert rig.must(Pause()).status == "succeeded"


@pytest.mark.rule("X3")
@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
@pytest.mark.parametrize(("after_ms", "given"), [(9_999, True), (10_000, False), (10_001, False)])
def test_no_test_pulse_is_given_once_its_permit_has_ended(after_ms: int, given: bool) -> None:
    rig = checking()
    command, rig.answering = rig.station.waiting.command, False
    rig.mono_ms += after_ms
    rig.give(Committed(rig.held[-1]))
    assert [type(effect) for effect in rig.last if isinstance(effect, Probe)] == [Probe] * given
    if not given:
        assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "CMD.EXPIRED")
        assert (rig.station.waiting, rig.phase) == (None, Phase.PREPARED)
        return
    rig.mono_ms += 1
    rig.give(Probed(rig.last[-1].grant.seq, 1, 1_500, False, False))
    assert [effect for effect in rig.last if isinstance(effect, Probe)] == []
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "CMD.EXPIRED")


# The hold on the patient


@pytest.mark.rule("M34")
@pytest.mark.rule("X10")
@pytest.mark.hazard("H26")
@pytest.mark.hazard("H47")
def test_a_permit_brings_its_token_and_the_end_of_the_hold_and_stops_when_that_has_come() -> None:
    rig = held_back(Phase.PREPARED, ArmSession())
    rig.committing = True
    rig.give(Committed(rig.held[-1], 7, rig.mono_ms + 1_000))
    assert rig.station.session.care[-2:] == (7, rig.mono_ms + 1_000)
    rig.must(Start())
    rig.tick(19)
    assert rig.phase is Phase.RUNNING
    rig.tick()
    (stopped,) = rig.events("session.stopped")
    assert [(reason.rule, reason.severity) for reason in stopped.reasons] == [("M34", Severity.STOP)]


@pytest.mark.rule("M34")
@pytest.mark.hazard("H26")
@pytest.mark.parametrize(("token", "stops"), [(6, False), (7, False), (8, True)])
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
def test_a_newer_token_stops_at_once(phase: Phase, token: int, stops: bool) -> None:
    rig = standing(phase)
    session = rig.station.session
    rig.station = rig.station._replace(session=session._replace(care=session.care._replace(token=7)))
    effects = rig.give(Fenced(token))
    if not stops:
        assert (effects, rig.phase) == ((), phase)
        return
    assert effects[0] == Silence(cut=False)
    (stopped,) = rig.events("session.stopped")
    assert stopped.reasons == (Reason("M34", Severity.STOP, "SES.FENCED", 0, 8, 7, "token"),)
    assert (rig.phase, rig.device.trains) == (Phase.IDLE, {})


@pytest.mark.rule("M34")
@pytest.mark.parametrize("phase", [Phase.OFFLINE, Phase.IDLE, Phase.UNCERTAIN])
def test_a_newer_token_means_nothing_where_there_is_nothing_to_stop(phase: Phase) -> None:
    assert standing(phase).give(Fenced(99)) == ()


@pytest.mark.rule("M31")
@pytest.mark.hazard("H27")
def test_after_a_clock_was_set_a_session_goes_on_by_the_new_time() -> None:
    rig = standing(Phase.RUNNING)
    rig.wall_ms += 3_600_000
    rig.tick()
    assert (rig.phase, rig.latched()) == (Phase.PAUSED, ["M31"])
    rig.must(ClearLatch(rig.station.latches[0].id, "summer time"))
    rig.must(Check(()))
    rig.must(Resume())
    rig.tick(20)
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("M32")
@pytest.mark.hazard("H39")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING])
def test_what_cannot_be_recorded_ends(phase: Phase) -> None:
    rig = standing(phase)
    rig.mono_ms, rig.wall_ms = rig.mono_ms + 50, rig.wall_ms + 50
    assert rig.give(Tick(rig.wanted(), 500, WELL)) is not None
    assert rig.phase is phase
    rig.mono_ms, rig.wall_ms = rig.mono_ms + 50, rig.wall_ms + 50
    assert rig.give(Tick(rig.wanted(), 501, WELL))[0] == Silence(cut=False)
    assert rig.latched() == ["M32"]


@pytest.mark.rule("M35")
@pytest.mark.hazard("H20")
def test_contractions_are_counted_and_a_set_is_followed_by_a_rest_of_four_minutes() -> None:
    short = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=1_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=1_200_000
    )
    rig = Rig().running(rx(programme=short))
    while rig.phase is Phase.RUNNING:
        rig.tick()
        if rig.station.session.course.played_ms % 240_000 == 0:
            rig.attend()
    assert (rig.latched(), rig.station.session.channels[0].pulls) == (["M35"], (60, 60))
    assert rig.station.session.course.played_ms == 60 * 9_000 + 50
    rig.must(ClearLatch(rig.station.latches[0].id, "rested"))
    rig.attend()
    rig.must(Check(()))
    assert rig.codes(Resume()) == ["M19"]
    rig.tick(4_801)
    rig.attend()
    rig.must(Check(()))
    rig.must(Resume())
    assert rig.station.session.channels[0].pulls == (0, 60)
    while rig.station.session is not None:
        rig.tick()
        if rig.station.session and rig.station.session.course.played_ms % 240_000 == 0:
            rig.attend()
    (stopped,) = rig.events("session.stopped")
    assert [(r.rule, r.asked, r.allowed) for r in stopped.reasons] == [("M35", 91, 90)]
