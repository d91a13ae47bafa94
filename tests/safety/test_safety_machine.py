"""safety/machine.py: ticks and frames, a stop that is not obeyed, what waits too long, the state version."""

from __future__ import annotations

import pytest
from rig import (
    OFF,
    WELL,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Phase,
    Picture,
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
    Train,
    config,
    on_the_way,
    only,
    replace,
    standing,
)

from safety import machine
from safety.effects import Answer, Arm, Ask, Commit, Drive, Effect, Feed, Note, Probe, Silence, Tell
from safety.messages import (
    UNKNOWN,
    Asked,
    Committed,
    DeviceDown,
    Expect,
    Now,
    PatientStop,
    Tick,
)
from safety.state import QUIET, Count, Station
from safety.times import SCIENCEMODE4
from safety.turn import Turn
from safety.verdict import Reason, Severity

ENERGISING = Arm | Drive | Feed | Probe
RANK = {Silence: 0, Tell: 1, Note: 2, Commit: 3, Ask: 4, Arm: 5, Drive: 5, Feed: 5, Probe: 5}


def ticked(rig: Rig, ms: int = 50) -> list[Effect]:
    """Let one tick pass; gives the effects of its own step."""
    mark = len(rig.steps)
    rig.tick(ms=ms)
    return list(rig.steps[mark][1])


def a_whole_session() -> Rig:
    """Go through everything once: check, arm, start, raise, pause, resume, a stop, a device that ignores it."""
    rig = standing(Phase.RUNNING)
    rig.must(Adjust(1, 1_000))
    rig.must(Pause())
    rig.must(Check(()))
    rig.ask(Resume())
    rig.tick(60)
    rig.device.ignores_stop = True
    rig.device.sample_changes[1] = only(open=True)
    rig.tick(200)
    return rig


# A step


@pytest.mark.rule("X3")
def test_a_fresh_station_is_empty() -> None:
    settings_ = config()
    assert machine.fresh(settings_) == Station(
        settings_, "", Phase.OFFLINE, None, None, None, None, None, (), (), QUIET, Count(1, 0), UNKNOWN
    )


@pytest.mark.rule("X5")
@pytest.mark.hazard("H10")
def test_effects_stand_in_the_order_in_which_they_are_performed() -> None:
    seen = set()
    for _, effects in a_whole_session().steps:
        ranks = [RANK[type(effect)] for effect in effects]
        assert ranks == sorted(ranks)
        assert ranks.count(5) <= 1
        assert not {3, 5} <= set(ranks)
        seen |= set(map(type, effects))
    assert seen == set(RANK)


@pytest.mark.rule("M25")
def test_a_step_wants_the_next_one_a_tick_later() -> None:
    rig = standing(Phase.RUNNING)
    assert (
        machine.step(rig.station, Tick(OFF, 0, WELL), Now(rig.mono_ms + 50, rig.wall_ms)).wake_at_ms
        == rig.mono_ms + 100
    )
    assert machine.step(machine.fresh(config()), PatientStop(), Now(0, 0)).wake_at_ms == 50


# The state version


def shown(station: Station) -> tuple[object, ...]:
    """What people see of a station, read by the test itself."""
    session = station.session
    return (
        station.boot_id,
        station.phase.value,
        tuple(latch.id for latch in station.latches),
        station.device is not None,
        station.holder and station.holder.principal,
        session and (session.id, [setting.setpoint_ua for setting in session.settings]),
    )


class Watched(Rig):
    """A rig that checks the version at every step."""

    rises = 0

    def give(self, event: object) -> tuple[Effect, ...]:
        """Step, and compare the version with what people see."""
        before = self.station
        done = machine.step(before, event, self.now)  # type: ignore[arg-type]
        rose = done.station.tally.version - before.tally.version
        assert rose == (shown(done.station) != shown(before)), type(event)
        self.rises += rose
        return super().give(event)


@pytest.mark.hazard("H48")
def test_the_version_rises_exactly_when_what_people_see_changes() -> None:
    rig = Watched()
    rig.plateau()
    assert rig.rises == 6  # boot, device, claim, prepared, armed, running
    version = rig.station.tally.version
    rig.tick(2)
    rig.must(Renew())
    rig.must(Claim())
    assert rig.station.tally.version == version
    rig.must(Adjust(1, -1_000))
    assert rig.station.tally.version == version + 1
    rig.give(PatientStop())
    rig.must(ClearLatch(rig.station.latches[0].id, "asked the patient"))
    rig.must(Release())
    rig.give(DeviceDown("unplugged"))
    assert rig.station.tally.version == version + 1 + 5  # stopped and latched, closed, cleared, released, offline
    assert rig.phase is Phase.OFFLINE


@pytest.mark.hazard("H48")
def test_the_version_rises_when_a_device_leaves_or_comes_back_in_doubt() -> None:
    rig = Watched()
    rig.plateau()
    rig.device.ignores_stop = True
    rig.must(Stop())
    rig.answering = False
    version = rig.station.tally.version
    rig.give(DeviceDown("unplugged"))
    rig.up()
    rig.give(DeviceDown("unplugged"))
    assert (rig.phase, rig.station.tally.version) == (Phase.UNCERTAIN, version + 3)


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
def test_a_wish_that_expects_an_older_state_is_refused() -> None:
    rig = standing(Phase.ARMED)
    version = rig.station.tally.version
    stale = Expect(boot_id="b1", session_id="s-dev1-b1-1", state_version=version - 1)
    answer = rig.ask(Start(), expect=stale)
    assert answer.reasons == (
        Reason("G02", Severity.REFUSE, "CMD.PRECONDITION", 0, version - 1, version, "state version"),
    )
    assert rig.phase is Phase.ARMED
    assert rig.must(Start()).status == "succeeded"


@pytest.mark.rule("M21")
def test_a_session_ends_when_its_therapy_has_been_played() -> None:
    rig = standing(Phase.RUNNING)
    rig.tick((60_000 - rig.station.session.course.played_ms) // 50 - 1)
    assert (rig.phase, rig.station.session.course.played_ms) == (Phase.RUNNING, 59_950)
    assert ticked(rig)[0] == Silence(cut=False)
    assert (rig.phase, [close.outcome for close in rig.notes("close")]) == (Phase.IDLE, ["completed"])


# The pace of frames


def frames(rig: Rig, ticks: int) -> list[tuple[int, type]]:
    """Let time pass; gives the time and kind of each frame to the device."""
    found, since_ms = [], rig.mono_ms
    for _ in range(ticks):
        mark = len(rig.log)
        rig.tick()
        found += [(rig.mono_ms - since_ms, type(e)) for e in rig.log[mark:] if isinstance(e, ENERGISING | Ask)]
    return found


@pytest.mark.rule("X9")
def test_each_phase_has_its_own_beat() -> None:
    assert frames(on_the_way(Phase.PREPARED, Check(())), 10) == []
    assert frames(Rig(), 20) == []
    assert frames(standing(Phase.IDLE), 20) == [(ms, Ask) for ms in range(200, 1_001, 200)]
    assert frames(standing(Phase.PREPARED), 20) == [(ms, Ask) for ms in range(200, 1_001, 200)]
    assert frames(standing(Phase.ARMED), 20) == [(ms, Feed) for ms in range(100, 1_001, 100)]
    assert [ms for ms, kind in frames(standing(Phase.UNCERTAIN), 20) if kind is Ask] == [*range(50, 1_001, 100)]
    assert [kind for _, kind in frames(standing(Phase.PAUSED), 20)] == [Ask] * 5


@pytest.mark.rule("X9")
@pytest.mark.parametrize(("times", "every_ms"), [(config().times, 100), (SCIENCEMODE4, 200)])
def test_a_picture_that_changes_is_driven_and_one_that_stands_is_fed(times: object, every_ms: int) -> None:
    rig = Rig(replace(config(), times=times)).armed()
    rig.must(Start())
    assert (rig.station.beat.picture, rig.device.trains) == (OFF, {})
    assert frames(rig, 20) == [(ms, Drive) for ms in range(50, 1_001, 50)]
    assert frames(rig, 40) == [(ms, Feed) for ms in range(every_ms, 2_001, every_ms)]
    assert frames(rig, 20) == [(ms, Drive) for ms in range(50, 1_001, 50)]
    assert frames(rig, 120) == [(ms, Feed) for ms in range(every_ms, 6_001, every_ms)]


@pytest.mark.rule("X9")
@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.RUNNING])
@pytest.mark.parametrize(("ms", "fed"), [(74, False), (75, True), (76, True)])
def test_a_tick_that_comes_early_feeds_if_the_next_would_be_late(phase: Phase, ms: int, fed: bool) -> None:
    rig = standing(phase)
    while rig.station.beat.sent_ms != rig.mono_ms:
        rig.tick()
    assert any(isinstance(effect, Feed) for effect in ticked(rig, ms)) is fed


@pytest.mark.rule("X9")
@pytest.mark.hazard("H11")
@pytest.mark.hazard("H40")
def test_nothing_that_is_said_keeps_a_device_alive() -> None:
    rig = standing(Phase.RUNNING)
    mark = len(rig.log)
    for _ in range(10):
        rig.mono_ms, rig.wall_ms = rig.mono_ms + 100, rig.wall_ms + 100
        for wish in (Claim(), Renew(), Present(), Rate(Rated.EFFORT, 4), SkinCheck(ok=True), Adjust(1, -100)):
            rig.must(wish)
        rig.hear()
    assert [effect for effect in rig.log[mark:] if isinstance(effect, ENERGISING)] == []
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("M25")
@pytest.mark.hazard("H11")
def test_a_tick_that_a_rule_stops_drives_nothing() -> None:
    rig = standing(Phase.RUNNING)
    effects = ticked(rig, 251)
    assert effects[0] == Silence(cut=False)
    assert not [effect for effect in effects if isinstance(effect, ENERGISING)]
    assert (rig.phase, rig.latched()) == (Phase.IDLE, ["M25"])


@pytest.mark.rule("M25")
def test_a_missed_tick_is_not_replayed() -> None:
    rig = Rig().armed()
    rig.must(Start())
    (drive,) = ticked(rig, 100)
    assert drive.picture.trains[0].ua == 2_000
    assert rig.station.session.course.played_ms == 100


@pytest.mark.hazard("H12")
def test_one_energising_frame_may_be_unanswered_and_a_picture_in_doubt_is_sent_again_whole() -> None:
    rig = standing(Phase.RUNNING)
    rig.answering = False
    assert frames(rig, 6) == [(50, Feed), (150, Drive), (250, Drive)]
    resent = [e for e in rig.log if isinstance(e, Drive)][-2:]
    assert [e.picture for e in resent] == [rig.station.beat.picture] * 2
    rig.hear(resent[-1].grant.seq)
    rig.answering = True
    rig.tick(2)
    assert (rig.phase, rig.latched()) == (Phase.RUNNING, [])


class Lossy(Rig):
    """A line that loses one frame: the device neither hears nor answers it."""

    lost = 0
    count = 0

    def perform(self, effect: Effect) -> None:
        """Be the shell for one effect, unless it is the one that is lost."""
        self.count += isinstance(effect, ENERGISING)
        if not (isinstance(effect, ENERGISING) and self.count == self.lost):
            super().perform(effect)


JUST_BEFORE_THE_SECOND_RAMP = 124


def play_with_one_lost(lost: int) -> Lossy:
    """Play 12.5 s, into the second plateau; the frame with this number never arrives."""
    rig = Lossy()
    rig.lost = lost
    rig.running()
    for _ in range(250):
        rig.tick()
        if not rig.station.beat.unanswered:
            assert rig.device.trains == {train.channel: train for train in rig.station.beat.picture.trains}
    return rig


@pytest.mark.rule("M27")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize("lost", [n for n in range(6, 140, 3) if n != JUST_BEFORE_THE_SECOND_RAMP])
def test_a_single_lost_frame_neither_locks_the_device_nor_keeps_an_old_picture(lost: int) -> None:
    rig = play_with_one_lost(lost)
    assert (rig.phase, rig.latched(), rig.count > lost) == (Phase.RUNNING, [], True)


@pytest.mark.rule("M03")
@pytest.mark.hazard("H49")
def test_a_frame_lost_just_before_a_ramp_does_not_stop_it() -> None:
    rig = play_with_one_lost(JUST_BEFORE_THE_SECOND_RAMP)
    assert (rig.phase, rig.latched()) == (Phase.RUNNING, [])


# What waits too long


@pytest.mark.rule("X5")
def test_a_wish_waits_five_seconds_for_the_journal() -> None:
    rig = standing(Phase.PREPARED)
    rig.committing = False
    command = rig.command(ArmSession())
    rig.give(Asked(command))
    rig.tick(100)
    assert rig.station.waiting is not None
    rig.tick()
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "SYS.AUDIT_UNWRITABLE")
    assert (rig.phase, rig.station.waiting) == (Phase.PREPARED, None)
    assert rig.give(Committed(rig.held[-1])) == ()


@pytest.mark.rule("M04")
@pytest.mark.parametrize(
    ("phase", "wish", "leads"),
    [
        (Phase.PREPARED, ArmSession(), Phase.UNCERTAIN),
        (Phase.PAUSED, Resume(), Phase.UNCERTAIN),
        (Phase.PREPARED, Check(()), Phase.PREPARED),
    ],
)
def test_a_wish_waits_half_a_second_for_the_device(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, wish: object, leads: Phase
) -> None:
    for rules in ("TICK_PREPARED", "TICK_PAUSED"):
        monkeypatch.setattr(machine.monitor, rules, ())
    rig = standing(phase)
    rig.answering = False
    command = rig.command(wish)
    rig.give(Asked(command))
    rig.tick(10)
    assert (rig.phase, rig.station.waiting is None) == (phase, False)
    rig.tick()
    assert (rig.answer(command.id).status, rig.answer(command.id).code) == ("failed", "DEV.LOST")
    assert (rig.phase, rig.station.waiting) == (leads, None)
    if leads is Phase.UNCERTAIN:
        reason = Reason("M04", Severity.STOP, "DEV.LOST", 0, 550, 500, "ms")
        assert rig.events("session.stopped")[-1].reasons == (reason,)


@pytest.mark.hazard("H18")
@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ARMED])
def test_a_session_that_does_not_run_stands_still(phase: Phase) -> None:
    rig = standing(phase)
    before = rig.station.session
    rig.tick(40)
    assert rig.station.session == before


@pytest.mark.rule("M04")
@pytest.mark.hazard("H12")
def test_an_armed_device_that_falls_silent_is_fed_no_more() -> None:
    rig = standing(Phase.ARMED)
    rig.answering = False
    assert [kind for _, kind in frames(rig, 11)] == [Feed] * 5
    assert (rig.phase, rig.latched()) == (Phase.PAUSED, ["M04"])
    assert Feed not in [kind for _, kind in frames(rig, 10)]


@pytest.mark.rule("G03")
def test_an_armed_session_is_started_within_a_minute_or_ends() -> None:
    rig = standing(Phase.ARMED)
    rig.tick(1_200)
    assert rig.phase is Phase.ARMED
    assert ticked(rig)[0] == Silence(cut=False)
    (event,) = rig.events("session.stopped")
    assert event.reasons == (Reason("G03", Severity.STOP, "SES.STATE", 0, 60_050, 60_000, "ms"),)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, ["G03"])


@pytest.mark.rule("M05")
def test_a_prepared_session_that_nobody_claims_is_abandoned() -> None:
    rig = standing(Phase.PREPARED)
    expires_ms = rig.station.holder.expires_ms
    rig.tick((expires_ms - rig.mono_ms) // 50, renew=False)
    assert (rig.phase, rig.mono_ms) == (Phase.PREPARED, expires_ms)
    rig.tick(renew=False)
    assert (rig.phase, rig.latched()) == (Phase.IDLE, [])
    assert [close.outcome for close in rig.notes("close")] == ["abandoned"]
    rig = standing(Phase.PREPARED)
    rig.must(Release())
    rig.tick()
    assert rig.phase is Phase.IDLE


@pytest.mark.rule("M05")
@pytest.mark.hazard("H32")
def test_a_paused_session_waits_for_whoever_claims_it_next() -> None:
    rig = standing(Phase.PAUSED)
    assert rig.station.stopping is None
    rig.must(Release())
    rig.tick(200, renew=False)
    assert (rig.phase, rig.notes("close")) == (Phase.PAUSED, [])


@pytest.mark.rule("M05")
def test_a_wish_on_its_way_keeps_a_prepared_session() -> None:
    rig = standing(Phase.PREPARED)
    rig.committing = False
    rig.give(Asked(rig.command(ArmSession())))
    rig.must(Release())
    rig.tick(2)
    assert rig.phase is Phase.PREPARED


@pytest.mark.hazard("H49")
@pytest.mark.parametrize(("ago_ms", "stands"), [(1_950, True), (2_000, True), (2_050, False)])
def test_a_hold_outlives_its_cause_by_two_seconds(ago_ms: int, stands: bool) -> None:
    rig = standing(Phase.RUNNING)
    turn = Turn(rig.station, rig.now)
    turn.hold((Reason("M12", Severity.HOLD, "IMP.DRIFT"),))
    rig.station = turn.station
    rig.tick(ago_ms // 50)
    assert bool(rig.station.holds) is stands


@pytest.mark.rule("X3")
def test_a_station_that_runs_without_a_session_a_permit_or_a_device_is_a_defect_and_gives_no_step() -> None:
    rig = standing(Phase.RUNNING)
    session = rig.station.session
    picture = Picture((Train(1, 20_000, 300, 100, 25_000),))
    for station in (
        rig.station._replace(session=None),
        rig.station._replace(session=session._replace(permit=None)),
        rig.station._replace(device=None),
    ):
        with pytest.raises(TypeError):
            machine.step(station, Tick(picture, 0, WELL), Now(rig.mono_ms + 50, rig.wall_ms))


@pytest.mark.rule("X4")
@pytest.mark.parametrize("wish", [Adjust(1, 1_000), Adjust(1, 2_000_000), Pause(), Stop(), Start(), Claim()])
def test_an_explanation_is_the_step_itself_and_names_every_rule_that_was_asked(wish: object):
    rig = standing(Phase.RUNNING)
    event = Asked(rig.command(wish))
    done, asked = machine.explained(rig.station, event, rig.now)
    assert done == machine.step(rig.station, event, rig.now)
    answers = [e.message for e in done.effects if isinstance(e, Tell) and isinstance(e.message, Answer)]
    assert [each.found for each in asked if each.found] == [r for a in answers for r in a.reasons if r.rule]
    assert [each.judge(each.view) for each in asked] == [each.found for each in asked]


@pytest.mark.rule("X4")
def test_an_explained_rise_shows_the_rules_of_wish_session_pulse_and_skin():
    rig = standing(Phase.RUNNING)
    _, asked = machine.explained(rig.station, Asked(rig.command(Adjust(1, 1_000))), rig.now)
    assert {"g01", "g02", "g08", "g16", "g18", "g21", "g23", "g23_fit", "g27", "g28", "g29"} <= {
        each.judge.__name__ for each in asked
    }
    assert {"Gate", "Lane", "Skin"} == {type(each.view).__name__ for each in asked}
