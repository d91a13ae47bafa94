"""The line in safety/facts.py: a device that comes, goes, resets, disobeys, garbles; the patient's stop."""

from __future__ import annotations

import pytest
from rig import (
    CAPS,
    IDENTITY,
    ArmSession,
    Check,
    Claim,
    IdealDevice,
    Pause,
    Phase,
    Prepare,
    Rig,
    Sensation,
    Stop,
    held_back,
    on_the_way,
    only,
    replace,
    rx,
    standing,
)

from safety.effects import Arm, Ask, Drive, Feed, Probe, Silence
from safety.messages import (
    DeviceDown,
    DeviceState,
    DeviceUp,
    Flaw,
    Garbled,
    Heard,
    PatientStop,
    Probed,
)
from safety.verdict import Clear, Reason, Scope, Severity

REACHED = list(Phase)
IN_SESSION = [Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED]
ENERGISING = Arm | Drive | Feed | Probe


# The line


@pytest.mark.rule("G23")
@pytest.mark.hazard("H23")
@pytest.mark.hazard("H35")
@pytest.mark.parametrize("wrong", [{"model": "somebody-elses"}, {"emulator": False}])
def test_a_device_that_does_not_belong_here_is_locked_for_maintenance(wrong: dict[str, object]) -> None:
    rig = Rig()
    rig.device.identity = replace(IDENTITY, **wrong)
    rig.up()
    assert [latch[1:5] for latch in rig.station.latches] == [(Scope.DEVICE, "G23", Clear.MAINTENANCE, "")]
    rig.must(Claim())
    assert rig.codes(Prepare(rx(), "rx-1@1", "p-1")) == ["G23", "G27"]
    rig.give(DeviceDown("unplugged"))
    rig.up()
    assert rig.latched() == ["G23"]


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("phase", "then", "outcome", "evidence"),
    [
        (Phase.OFFLINE, Phase.OFFLINE, None, None),
        (Phase.IDLE, Phase.OFFLINE, None, None),
        (Phase.PREPARED, Phase.OFFLINE, "stopped", None),
        (Phase.ARMED, Phase.UNCERTAIN, "stopped", "reservation"),
        (Phase.RUNNING, Phase.UNCERTAIN, "stopped", "reservation"),
        (Phase.PAUSED, Phase.OFFLINE, "stopped", "reservation"),
        (Phase.UNCERTAIN, Phase.UNCERTAIN, "stopped", "reservation"),
    ],
)
def test_a_lost_line_ends_a_session_and_leaves_what_flowed_in_doubt(
    phase: Phase, then: Phase, outcome: str | None, evidence: str | None
) -> None:
    rig = standing(phase)
    before = rig.latched()
    effects = rig.give(DeviceDown("unplugged"))
    assert (rig.phase, rig.station.device) == (then, None)
    assert rig.latched() == before + ([] if outcome is None else ["M04"])
    assert (effects[0] == Silence(cut=False)) is (outcome is not None)
    (event,) = rig.events("device.lost")
    assert (event.priority, event.details) == ("low" if outcome is None else "medium", (("why", "unplugged"),))
    if then is Phase.UNCERTAIN:
        assert rig.notes("close") == []
        rig.device.ignores_stop, rig.device.state, rig.device.trains = False, DeviceState.STOPPED, {}
        rig.up()
    assert [note.outcome for note in rig.notes("close")] == ([] if outcome is None else [outcome])
    assert [(note.evidence, note.charged) for note in rig.notes("settle")] == ([(evidence, ())] if evidence else [])
    assert rig.phase is (Phase.IDLE if then is Phase.UNCERTAIN else Phase.OFFLINE)


@pytest.mark.rule("L08")
@pytest.mark.parametrize("wish", [ArmSession(), Check(())])
def test_a_line_lost_while_a_frame_was_on_its_way_leaves_doubt(wish: object) -> None:
    rig = on_the_way(Phase.PREPARED, wish)
    rig.give(DeviceDown("unplugged"))
    assert (rig.phase, rig.station.waiting) == (Phase.UNCERTAIN, None)
    assert rig.station.stopping.evidence == "reservation"


@pytest.mark.rule("M29")
def test_a_line_lost_while_nothing_flows_calls_nobody_and_one_lost_in_a_session_does() -> None:
    for phase, alarms in ((Phase.PREPARED, 0), (Phase.PAUSED, 0), (Phase.RUNNING, 1)):
        rig = standing(phase)
        rig.give(DeviceDown("unplugged"))
        rig.tick(20)
        assert len(rig.events("alarm.raised")) == alarms


@pytest.mark.rule("M29")
def test_a_device_that_comes_back_running_confirms_nothing() -> None:
    rig = standing(Phase.RUNNING)
    rig.give(DeviceDown("unplugged"))
    rig.up()
    assert rig.device.state is DeviceState.STOPPED
    rig = standing(Phase.UNCERTAIN)
    rig.give(DeviceDown("unplugged"))
    rig.answering = False
    rig.up()
    assert (rig.phase, rig.station.device is None, rig.events("stop.confirmed")) == (Phase.UNCERTAIN, False, [])
    rig.device.state = DeviceState.CUT
    rig.hear()
    assert (rig.phase, len(rig.events("stop.confirmed"))) == (Phase.IDLE, 1)


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13")
@pytest.mark.parametrize("phase", IN_SESSION)
def test_a_device_that_is_identified_anew_within_a_session_has_restarted(phase: Phase) -> None:
    rig = standing(phase)
    rig.answering = False
    armed = rig.station.session.permit is not None
    up = DeviceUp(IDENTITY, CAPS, rig.device.status(rig.mono_ms)._replace(state=DeviceState.STOPPED))
    assert rig.give(up)[0] == Silence(cut=False)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, ["M30"])
    assert [note.evidence for note in rig.notes("settle")] == (["reservation"] if armed else [])


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
@pytest.mark.parametrize("word", [{"boot": 8}, {"uptime_ms": 1}])
def test_a_reset_in_a_session_is_charged_in_full(phase: Phase, word: dict[str, int]) -> None:
    rig = standing(phase)
    rig.device.changes = dict(word)
    effects = rig.hear()
    assert effects[0] == Silence(cut=False)
    assert rig.latched() == ["M30"]
    rig.tick(3)
    assert [(note.evidence, note.charged) for note in rig.notes("settle")] == [("reservation", ())]
    assert rig.phase is Phase.IDLE


@pytest.mark.rule("L08")
@pytest.mark.hazard("H13")
def test_a_reset_while_the_stop_is_unconfirmed_is_charged_in_full() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.device.ignores_stop = False
    rig.device.changes = {"boot": 8, "permit": 0, "state": DeviceState.STOPPED}
    rig.hear()
    assert [(note.evidence, note.charged) for note in rig.notes("settle")] == [("reservation", ())]


@pytest.mark.rule("L08")
def test_a_device_that_is_identified_anew_has_forgotten_what_it_counted() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.give(DeviceUp(IDENTITY, CAPS, rig.device.status(rig.mono_ms)._replace(state=DeviceState.STOPPED)))
    assert (rig.phase, [note.evidence for note in rig.notes("settle")]) == (Phase.IDLE, ["reservation"])


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize("state", [DeviceState.STOPPED, DeviceState.CUT])
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING])
def test_a_device_that_stopped_by_itself_ends_the_session(phase: Phase, state: DeviceState) -> None:
    rig = standing(phase)
    rig.answering = False
    rig.device.changes = {"state": state, "faults": 1}
    effects = rig.hear()
    assert effects[0] == Silence(cut=False)
    (event,) = rig.events("session.stopped")
    assert event.reasons == (Reason("M04", Severity.STOP, "DEV.WATCHDOG", 0, 1, 0, "fault bits"),)
    assert rig.phase is Phase.UNCERTAIN
    rig.hear()
    assert [note.evidence for note in rig.notes("settle")] == ["readback"]


@pytest.mark.rule("M04")
@pytest.mark.rule("M27")
@pytest.mark.hazard("H11")
def test_a_dead_man_that_acted_is_not_taken_for_a_device_that_disobeys() -> None:
    rig = standing(Phase.RUNNING)
    rig.device.obey(Silence(cut=False))
    rig.device.given.clear()
    rig.hear()
    (event,) = rig.events("session.stopped")
    assert [reason.rule for reason in event.reasons] == ["M04"]
    assert [latch.clear for latch in rig.station.latches] == [Clear.NEW_SESSION]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H12")
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED, Phase.ARMED, Phase.PAUSED])
def test_current_that_nobody_granted_is_cut_off_at_once(phase: Phase) -> None:
    rig = standing(phase)
    rig.answering = False
    was_armed = rig.station.session is not None and rig.station.session.permit is not None
    rig.device.sample_changes[2] = only(fresh=True, measured_ua=2_000)
    assert rig.hear() == ()
    rig.device.sample_changes[2] = only(fresh=True, measured_ua=2_001)
    assert rig.hear()[:2] == (Silence(cut=True), Silence(cut=False))
    (alarm,) = rig.events("alarm.raised")
    reason = Reason("M29", Severity.LOCK, "DEV.STRAY_CURRENT", 2, 2_001, 2_000, "uA")
    assert (alarm.priority, alarm.reasons) == ("high", (reason,))
    assert [latch[1:4] for latch in rig.station.latches] == [(Scope.DEVICE, "M29", Clear.MAINTENANCE)]
    assert rig.phase is (Phase.IDLE if phase is Phase.IDLE else Phase.UNCERTAIN)
    rig.device.sample_changes.clear()
    rig.device.state = DeviceState.CUT
    rig.hear()
    assert (rig.phase, len(rig.events("stop.confirmed"))) == (Phase.IDLE, 1 + (phase is Phase.PAUSED))
    assert len(rig.events("alarm.raised")) == 1
    assert [note.evidence for note in rig.notes("settle")] == (["reservation"] if was_armed else [])


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize("wish", [Pause(), Stop()])
def test_a_device_that_obeys_only_the_cut_is_locked_and_its_session_is_over(wish: object) -> None:
    rig = standing(Phase.RUNNING)
    rig.device.ignores_stop = True
    rig.must(wish)
    rig.tick(4)
    assert rig.events("alarm.raised") == []
    rig.device.ignores_stop = False
    rig.tick(3)
    (alarm,) = rig.events("alarm.raised")
    reason = Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, 250, 250, "ms")
    assert (alarm.priority, alarm.reasons) == ("high", (reason,))
    assert (rig.phase, rig.device.trains) == (Phase.IDLE, {})
    assert rig.latched() == (["M29"] if wish == Pause() else ["STOP", "M29"])
    assert [close.rule for close in rig.notes("close")] == ["M29" if wish == Pause() else "STOP"]


@pytest.mark.rule("X3")
def test_a_word_before_any_device_is_nothing() -> None:
    rig = Rig()
    before = rig.station
    assert rig.hear() == ()
    assert rig.station == before


@pytest.mark.rule("X5")
@pytest.mark.hazard("H10")
def test_a_late_word_after_a_stop_neither_confirms_nor_moves_anything() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.answering = False
    grant = next(e.grant.seq for e in reversed(rig.log) if isinstance(e, Drive | Feed))
    for seq in (grant, 0, 10**6):
        assert rig.hear(seq) == ()
        assert (rig.phase, rig.station.stopping is None) == (Phase.UNCERTAIN, False)
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=False))
    rig.hear()
    assert rig.phase is Phase.IDLE
    assert rig.hear(grant) == ()
    assert (rig.phase, rig.station.session) == (Phase.IDLE, None)


@pytest.mark.rule("X7")
def test_a_word_without_samples_or_with_some_of_them_keeps_what_was_known() -> None:
    rig = standing(Phase.RUNNING)
    before = rig.station.session
    status = rig.device.status(rig.mono_ms)
    assert rig.give(Heard(0, status, ())) == ()
    assert rig.station.session is before
    rig.give(Heard(0, status, (rig.device.samples()[1],)))
    assert rig.station.session == before


@pytest.mark.rule("M18")
def test_only_a_word_about_this_permit_counts_as_charge() -> None:
    rig = standing(Phase.RUNNING)
    seen = rig.station.session.course.seen_nc
    rig.device.sample_changes[1] = only(charge_nc=seen[0] + 24_000)
    rig.device.changes = {"permit": 999}
    rig.hear()
    assert rig.station.session.course.seen_nc == seen
    rig.device.changes = {}
    rig.hear()
    assert rig.station.session.course.seen_nc == (seen[0] + 24_000,)
    rig.device.sample_changes[1] = only(charge_nc=1)
    rig.hear()
    assert rig.station.session.course.seen_nc == (seen[0] + 24_000,)


@pytest.mark.rule("M27")
def test_an_echo_is_judged_only_by_the_answer_to_the_last_picture() -> None:
    rig = standing(Phase.RUNNING)
    rig.answering = False
    rig.tick(2)
    grant = rig.station.beat.unanswered
    assert grant
    rig.device.sample_changes[1] = only(gap_us=99)
    rig.hear(0)
    rig.hear(grant - 1)
    assert (rig.phase, rig.station.beat.unanswered) == (Phase.RUNNING, grant)
    rig.hear(grant)
    assert (rig.phase, rig.latched()) == (Phase.UNCERTAIN, ["M27"])
    answered = standing(Phase.RUNNING)
    answered.answering = False
    answered.device.sample_changes[1] = only(gap_us=99)
    answered.hear(1)
    assert (answered.phase, answered.latched()) == (Phase.UNCERTAIN, ["M27"])


@pytest.mark.rule("M27")
@pytest.mark.rule("X7")
def test_a_device_that_does_not_echo_is_not_judged_by_an_echo() -> None:
    for echoes in (False, True):
        rig = Rig(device=IdealDevice(caps=replace(CAPS, echo=echoes))).running()
        rig.device.sample_changes[1] = only(ua=0, width_us=0, gap_us=0, period_us=0)
        rig.tick(4)
        assert rig.latched() == (["M27"] if echoes else [])
        assert (rig.phase is Phase.RUNNING) is not echoes


@pytest.mark.rule("M01")
@pytest.mark.rule("M07")
def test_the_span_of_what_a_pulse_may_have_been_told_closes_with_the_devices_answer() -> None:
    rig = standing(Phase.RUNNING)
    rig.tick(16)

    def span() -> tuple[int, int, int]:
        channel = rig.station.session.channels[0]
        return channel.train.ua, channel.low_ua, channel.high_ua

    assert span() == (19_000, 19_000, 19_000)
    rig.answering = False
    rig.tick()
    assert span() == (18_000, 18_000, 19_000)
    rig.tick(2)
    assert span() == (16_000, 16_000, 19_000)
    rig.hear(rig.station.beat.unanswered - 1)
    assert span() == (16_000, 16_000, 19_000)
    rig.hear(rig.station.beat.unanswered)
    assert span() == (16_000, 16_000, 16_000)


@pytest.mark.rule("G23")
def test_a_device_that_comes_says_who_it_is() -> None:
    rig = Rig()
    rig.up()
    (event,) = rig.events("device.online")
    assert event.details == (("model", "stimwarden-native"), ("serial", "E1"), ("firmware", "1.0"))
    assert (rig.phase, rig.station.beat.heard_ms, rig.latched()) == (Phase.IDLE, rig.mono_ms, [])


# What is wrong


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize(("apart_ms", "phase"), [(999, Phase.PAUSED), (1_000, Phase.RUNNING)])
def test_flaws_count_within_one_second(apart_ms: int, phase: Phase) -> None:
    rig = standing(Phase.RUNNING)
    rig.give(Garbled(Flaw.DAMAGED, 0, "crc"))
    rig.mono_ms += apart_ms
    rig.give(Garbled(Flaw.DAMAGED, 0, "crc"))
    assert rig.phase is phase


@pytest.mark.rule("M26")
@pytest.mark.parametrize("phase", [Phase.OFFLINE, Phase.IDLE, Phase.UNCERTAIN])
def test_noise_without_anything_to_stop_stops_nothing(phase: Phase) -> None:
    rig = standing(phase)
    before = rig.station
    for _ in range(4):
        assert rig.give(Garbled(Flaw.UNKNOWN, 0, "0x77")) == ()
    assert (rig.phase, rig.station.latches) == (phase, before.latches)
    assert len(rig.station.beat.flaws) == 4


@pytest.mark.rule("M26")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING])
def test_a_refused_frame_that_energises_stops(phase: Phase) -> None:
    rig = standing(phase)
    rig.answering = False
    rig.tick(2)
    grant = rig.station.beat.unanswered
    rig.give(Garbled(Flaw.REFUSED, grant + 1, "NAK 6"))
    assert rig.phase is phase
    rig.mono_ms += 1_000
    effects = rig.give(Garbled(Flaw.REFUSED, grant, "NAK 6"))
    assert effects[0] == Silence(cut=False)
    (event,) = rig.events("session.stopped")
    assert event.reasons == (Reason("M26", Severity.STOP, "DEV.NAK", 0, 1, 0, "words"),)


@pytest.mark.rule("M26")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING])
def test_a_refused_question_stops_nothing(phase: Phase) -> None:
    rig = standing(phase)
    assert rig.station.beat.unanswered == 0
    assert rig.give(Garbled(Flaw.REFUSED, 0, "NAK 1")) == ()
    assert rig.phase is phase


@pytest.mark.rule("M26")
def test_a_refused_arming_fails_the_wish_and_nothing_else_does() -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    command, grant = rig.station.waiting.command, rig.station.waiting.grant
    rig.give(Garbled(Flaw.DAMAGED, grant, "crc"))
    rig.mono_ms += 1_000
    assert rig.give(Garbled(Flaw.REFUSED, grant + 1, "NAK 6")) == ()
    assert rig.station.waiting is not None
    rig.mono_ms += 1_000
    (tell,) = rig.give(Garbled(Flaw.REFUSED, grant, "NAK 9"))
    assert (tell.message.command, tell.message.status, tell.message.code) == (command, "failed", "DEV.NAK")
    assert (rig.phase, rig.station.waiting) == (Phase.PREPARED, None)
    rig = held_back(Phase.PREPARED, ArmSession())
    assert rig.give(Garbled(Flaw.REFUSED, 0, "NAK 1")) == ()
    assert rig.station.waiting is not None


@pytest.mark.rule("M26")
@pytest.mark.parametrize(("phase", "left"), [(Phase.ARMED, 0), (Phase.RUNNING, None)])
def test_a_damaged_answer_leaves_a_running_picture_in_doubt(phase: Phase, left: int | None) -> None:
    rig = standing(phase)
    rig.answering = False
    rig.tick(2)
    grant = rig.station.beat.unanswered
    assert rig.give(Garbled(Flaw.DAMAGED, grant, "crc")) == ()
    assert rig.station.beat.unanswered == (grant if left is None else left)


@pytest.mark.rule("G24")
@pytest.mark.hazard("H33")
@pytest.mark.parametrize("by_device", [True, False])
def test_where_nothing_flows_a_press_of_the_stop_is_its_trial(by_device: bool) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, patient_stop=by_device)))
    rig.trying = False
    rig.prepared(rx(sensation=Sensation.S1))
    assert rig.codes(ArmSession()) == ["G24"]
    for _ in range(2):
        if by_device:
            rig.try_stop()
        else:
            assert rig.give(PatientStop())[0] == Silence(cut=False)
    assert (rig.phase, rig.latched(), len(rig.events("stop.tried"))) == (Phase.PREPARED, [], 1)
    rig.must(ArmSession())


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
@pytest.mark.parametrize("by_device", [True, False])
def test_a_press_while_a_test_pulse_is_on_its_way_stops(by_device: bool) -> None:
    rig = on_the_way(Phase.PREPARED, Check(()))
    rig.answering = True
    rig.try_stop() if by_device else rig.give(PatientStop())
    assert rig.latched() == ["M23"]
    assert (rig.phase, rig.station.session) == (Phase.IDLE, None)


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
@pytest.mark.hazard("H41")
@pytest.mark.parametrize("phase", [phase for phase in REACHED if phase is not Phase.PREPARED])
def test_the_patient_stops_everything_at_once_in_every_phase(phase: Phase) -> None:
    rig = standing(phase)
    was_open = rig.station.session is not None
    rig.device.ignores_stop = False
    effects = rig.give(PatientStop())
    assert effects[0] == Silence(cut=False)
    assert not [effect for effect in effects if isinstance(effect, ENERGISING)]
    assert (rig.device.trains, rig.station.session) == ({}, None)
    assert ("M23" in rig.latched()) is was_open
    assert rig.phase is (Phase.OFFLINE if phase is Phase.OFFLINE else Phase.IDLE)
    mark = len(rig.log)
    rig.tick(20)
    assert not [effect for effect in rig.log[mark:] if isinstance(effect, ENERGISING)]
    assert (Ask() in rig.log[mark:]) is (phase is not Phase.OFFLINE)


@pytest.mark.rule("M23")
def test_the_patient_may_stop_in_the_middle_of_a_check() -> None:
    rig = on_the_way(Phase.PREPARED, Check(()))
    effects = rig.give(PatientStop())
    assert effects[0] == Silence(cut=False)
    assert (rig.phase, rig.station.waiting) == (Phase.UNCERTAIN, None)
    rig.give(Probed(rig.steps[-2][1][0].grant.seq, 1, 1_500, False, False))
    assert not [effect for effect in rig.last if isinstance(effect, ENERGISING)]
