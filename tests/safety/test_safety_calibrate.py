"""safety/calibrate.py: thresholds under a held button, by `step`: the burst, the way down, what is kept and booked."""

from __future__ import annotations

import pytest
from button import at_level, find, flowing_ua, hold, level_ua, rest, trial_of, whole
from rig import (
    OFF,
    WELL,
    ArmSession,
    Calibration,
    CalibrationBegin,
    Check,
    Claim,
    Pause,
    Phase,
    Picture,
    Rig,
    Sensation,
    Start,
    Stop,
    Train,
    held_back,
    on_the_way,
    plan,
    replace,
    rx,
)

from safety import calibrate
from safety.effects import Arm, CalibrationRecord, Drive, Envelope, Feed, Silence
from safety.messages import (
    Asked,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Committed,
    Denied,
    DeviceDown,
    Prepare,
    Threshold,
    Tick,
)
from safety.prescription import Dose
from safety.state import Mark
from safety.turn import Turn
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("G19"), pytest.mark.hazard("H45")]

SENSORY, MOTOR, MAXIMAL = Threshold
CAPS_UA = {"S0": 80_000, "S1": 50_000, "S2": 30_000}


# Permission


@pytest.mark.rule("G28")
@pytest.mark.rule("L03")
def test_a_calibration_begins_with_a_permit_of_its_own_and_then_an_armed_device():
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))
    rig.must(CalibrationBegin(2))
    request = rig.notes("permit")[-1]
    share = Dose(nc=320_000_000, i2t=40_000_000_000_000_000, on_ms=244_000)
    assert [(c.channel, c.site, c.reserve, c.ua) for c in request.channels] == [(2, "right-calf", share, 0)]
    assert (request.probe, request.on_time_ms) == (False, 0)
    assert request.permit.reserve == (Dose(), share)
    arm = [effect for effect in rig.log if isinstance(effect, Arm)][-1]
    assert arm.envelopes == (Envelope(2, 80_000, 300, 25_000, 320_000_000),)
    assert (arm.grant.permit, arm.lifetime_ms) == (request.permit.id, 900_000)
    assert (rig.phase, trial_of(rig).channel, rig.station.beat.picture) == (Phase.CALIBRATING, 2, OFF)
    assert [s.setpoint_ua for s in rig.station.session.settings] == [20_000, 0]
    assert rig.events("calibration.begun")[-1].details[1] == ("channel", 2)
    assert rig.notes("wish")[-1].detail == "channel=2"


@pytest.mark.parametrize(("sensation", "cap_ua"), CAPS_UA.items())
def test_the_device_is_armed_to_the_cap_of_the_class_and_no_further(sensation: str, cap_ua: int):
    rig = Rig().calibrating(rx(plan(ua=15_000, area_mm2=5_000), sensation=Sensation(sensation)))
    arm = [effect for effect in rig.log if isinstance(effect, Arm)][-1]
    assert [envelope.max_ua for envelope in arm.envelopes] == [cap_ua]


@pytest.mark.rule("G28")
def test_nothing_is_armed_before_the_permit_is_durable():
    rig = held_back(Phase.PREPARED, CalibrationBegin(1))
    assert not [effect for effect in rig.log if isinstance(effect, Arm)]
    rig.committing = True
    rig.give(Committed(rig.held[-1]))
    assert rig.phase is Phase.CALIBRATING


def test_a_refused_permit_leaves_the_session_prepared_and_uncharged():
    rig = held_back(Phase.PREPARED, CalibrationBegin(1))
    rig.give(Denied(rig.held[-1], (Reason("L03", Severity.REFUSE, "DOSE.DAY"),)))
    session = rig.station.session
    assert (rig.phase, session.course.armed_ms, session.trial) == (Phase.PREPARED, 0, None)
    rig.must(Stop())
    assert rig.notes("settle") == []


def test_a_refused_permit_after_a_calibration_still_settles_what_was_given():
    rig = whole(Rig().calibrating())
    rig.must(CalibrationEnd())
    rig.tick(2)
    rig.must(Check(()))
    rig.committing = False
    rig.give(Asked(rig.command(ArmSession())))
    rig.give(Denied(rig.held[-1], (Reason("L03", Severity.REFUSE, "DOSE.DAY"),)))
    rig.must(Stop())
    ((channel, dose),) = rig.notes("settle")[-1].charged
    assert (channel, dose.nc >= rig.device.total_nc[1] > 0) == (1, True)


@pytest.mark.rule("M04")
def test_a_device_that_does_not_arm_in_time_ends_it():
    rig = on_the_way(Phase.PREPARED, CalibrationBegin(1))
    asked = rig.station.waiting.command.id
    rig.tick(12)
    assert (rig.phase, rig.station.waiting, rig.latched()) == (Phase.PREPARED, None, ["M04"])
    assert (rig.answer(asked).status, rig.answer(asked).code) == ("failed", "SES.PHASE_CHANGED")
    assert Silence(cut=False) in rig.log


# The burst


@pytest.mark.rule("M03")
@pytest.mark.rule("G18")
def test_a_press_ramps_from_zero_to_its_milliampere_in_a_second():
    rig = at_level(Rig().calibrating(), 9_000)
    assert rig.must(CalibrationStep(1_000)).details == (("setpoint_ua", 10_000),)
    seen = []
    for tick in range(25):
        if tick and tick % 5 == 0:
            rig.must(CalibrationStep(0))
        rig.tick()
        seen.append(flowing_ua(rig))
    assert seen == [500 * n for n in range(1, 21)] + [10_000] * 5
    assert rig.latched() == []


@pytest.mark.hazard("H33")
@pytest.mark.parametrize("held_ms", [0, 150, 500])
def test_a_second_without_a_renewal_is_zero(held_ms: int):
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    rig.tick(held_ms // 50)
    if held_ms:
        rig.must(CalibrationStep(0))
    rig.tick(19)
    assert flowing_ua(rig) > 0
    rig.tick()
    assert flowing_ua(rig) == 0
    assert [effect.picture for effect in rig.log if isinstance(effect, Drive)][-1] == OFF
    rig.tick(40)
    assert (flowing_ua(rig), rig.latched()) == (0, [])


@pytest.mark.hazard("H25")
def test_a_renewal_counts_from_when_it_was_sent():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    rig.tick(10)
    rig.must(CalibrationStep(0), issued_wall_ms=rig.wall_ms - 400)
    assert trial_of(rig).held_ms == rig.mono_ms - 400
    rig.tick(11)
    assert flowing_ua(rig) > 0
    rig.tick()
    assert flowing_ua(rig) == 0


def test_an_older_renewal_does_not_make_the_button_older():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    held_ms = trial_of(rig).held_ms
    rig.must(CalibrationStep(0), issued_wall_ms=rig.wall_ms - 400)
    assert trial_of(rig).held_ms == held_ms


@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("ua", "ms"), [(20_000, 3_000), (20_100, 2_000)])
def test_a_burst_has_an_end_of_its_own(ua: int, ms: int):
    rig = at_level(Rig().calibrating(), ua)
    hold(rig, ms // 50 - 1)
    assert flowing_ua(rig) == ua
    rig.tick()
    assert flowing_ua(rig) == 0
    assert (trial_of(rig).began_ms, trial_of(rig).ended_ms) == (0, rig.mono_ms)


@pytest.mark.rule("X9")
def test_whatever_the_programme_proposes_nothing_flows_without_the_button():
    rig = Rig().calibrating()
    rig.mono_ms += 50
    rig.wall_ms += 50
    rig.give(Tick(Picture((Train(1, 100, 300, 100, 25_000),)), 0, WELL))
    assert (rig.station.beat.picture, rig.latched()) == (OFF, [])


@pytest.mark.rule("M02")
@pytest.mark.parametrize(
    "train",
    [Train(2, 100, 300, 100, 25_000), Train(1, 100, 301, 100, 25_000), Train(1, 100, 300, 100, 24_990)],
)
def test_a_burst_on_another_channel_or_of_another_shape_is_our_own_mistake(train: Train):
    rig = at_level(Rig().calibrating(rx(plan(), plan(channel=2, site="right-calf"))), 10_000)
    rig.must(CalibrationStep(0))
    rig.mono_ms += 50
    rig.wall_ms += 50
    rig.give(Tick(Picture((train,)), 0, WELL))
    assert rig.latched() == ["M02"]
    assert isinstance(rig.last[0], Silence) or Silence(cut=False) in rig.log[-12:]


@pytest.mark.rule("M03")
def test_a_burst_above_its_line_is_stopped():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    rig.mono_ms += 50
    rig.wall_ms += 50
    rig.give(Tick(Picture((plan().train(700),)), 0, WELL))
    assert rig.latched() == ["M03"]


def test_a_set_point_above_what_therapy_may_give_is_legal_in_a_calibration():
    rig = at_level(Rig().calibrating(), 65_000)
    hold(rig, 25)
    assert (flowing_ua(rig), rig.latched(), plan().max_ua) == (65_000, [], 30_000)


def test_lowering_is_heard_at_once_from_anybody_and_zero_ends_the_burst():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 30)
    answer = rig.must(CalibrationStep(-4_000), principal="handset-1")
    assert (answer.details, level_ua(rig)) == ((("setpoint_ua", 6_000),), 6_000)
    rig.tick()
    assert flowing_ua(rig) == 6_000
    rig.must(CalibrationStep(-7_000))
    assert (level_ua(rig), trial_of(rig).began_ms) == (0, 0)
    rig.tick()
    assert (flowing_ua(rig), rig.latched()) == (0, [])


def test_lowering_to_zero_between_bursts_is_no_burst():
    rig = at_level(Rig().calibrating(), 500)
    rig.must(CalibrationStep(-500))
    assert (level_ua(rig), trial_of(rig).ended_ms) == (0, 0)


def test_the_armed_device_is_fed_between_bursts():
    rig = Rig().calibrating()
    before = len(rig.log)
    rig.tick(20)
    assert sum(isinstance(effect, Feed) for effect in rig.log[before:]) == 10
    assert rig.phase is Phase.CALIBRATING


# The thresholds


def test_a_mark_ends_the_burst_and_the_second_ascent_begins_at_seven_tenths():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 30)
    answer = rig.must(CalibrationMark(SENSORY, absent=False))
    assert answer.details == (("repeats", 1), ("setpoint_ua", 7_000), ("next", "sensory"))
    rig.tick()
    assert (flowing_ua(rig), trial_of(rig).marks) == (0, (Mark(SENSORY, 10_000),))
    assert rig.notes("wish")[-1].detail == "channel=1 sensory=10000"


def test_two_repeats_that_agree_find_a_threshold_and_the_ascent_goes_on():
    rig = Rig().calibrating()
    find(rig, SENSORY, 10_000)
    answer = find(rig, SENSORY, 11_500)
    assert answer.details == (("repeats", 2), ("setpoint_ua", 11_500), ("next", "motor"))
    assert answer.code == "OK"


def test_two_repeats_that_disagree_begin_again_with_the_later_one():
    rig = Rig().calibrating()
    find(rig, SENSORY, 10_000)
    answer = find(rig, SENSORY, 11_501)
    assert (answer.code, answer.details[0], answer.details[2]) == ("CAL.SPREAD", ("repeats", 1), ("next", "sensory"))
    assert trial_of(rig).marks == (Mark(SENSORY, 11_501),)
    assert find(rig, SENSORY, 11_000).details[2] == ("next", "motor")


def test_an_absent_threshold_is_found_at_once_and_leaves_the_set_point():
    rig = at_level(Rig().calibrating(), 5_000)
    answer = rig.must(CalibrationMark(SENSORY, absent=True))
    assert answer.details == (("repeats", 1), ("setpoint_ua", 5_000), ("next", "motor"))
    assert rig.notes("wish")[-1].detail == "channel=1 sensory=absent"


@pytest.mark.hazard("H05")
def test_who_feels_nothing_has_no_maximal_threshold():
    rig = Rig().calibrating()
    rig.must(CalibrationMark(SENSORY, absent=True))
    find(rig, MOTOR, 15_000)
    assert find(rig, MOTOR, 16_000).details[2] == ("next", "end")
    assert rig.must(CalibrationEnd()).details == (("sensory_ua", 0), ("motor_ua", 15_000), ("maximal_ua", 0))


def test_the_end_keeps_the_lower_of_two_repeats_in_the_journal_and_in_this_session():
    rig = Rig().calibrating()
    for threshold, ua in ((SENSORY, 8_000), (MOTOR, 15_000), (MAXIMAL, 38_000)):
        find(rig, threshold, ua)
        find(rig, threshold, ua - 500)
    found = Calibration(
        at_wall_ms=rig.wall_ms, pair="a", area_mm2=2_500, width_us=300,
        sensory_ua=7_500, motor_ua=14_500, maximal_ua=37_500,
    )  # fmt: skip
    answer = rig.must(CalibrationEnd())
    assert answer.details == (("sensory_ua", 7_500), ("motor_ua", 14_500), ("maximal_ua", 37_500))
    session = rig.station.session
    assert rig.notes("calibration") == [
        CalibrationRecord(
            session=session.id, patient="p-1", site="left-quadriceps", channel=1, principal="physio-1",
            calibration=found,
        )
    ]  # fmt: skip
    setting = session.settings[0]
    assert (setting.plan.calibration, setting.setpoint_ua, session.trial) == (found, 20_000, None)
    assert session.rx.channels[0].calibration != found


def test_the_end_zeroes_goes_back_to_prepared_and_disarms():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 30)
    rig.give(Asked(command := rig.command(CalibrationEnd())))
    assert isinstance(rig.steps[-2][1][0], Silence)
    assert (rig.answer(command.id).code, rig.notes("calibration")) == ("CAL.INCOMPLETE", [])
    assert (rig.phase, rig.station.session.trial, rig.device.trains) == (Phase.PREPARED, None, {})
    assert rig.events("calibration.ended")[-1].priority == "none"
    assert rig.station.stopping is None


@pytest.mark.rule("G08")
def test_the_thresholds_found_bind_what_is_armed_next():
    rig = whole(Rig().calibrating(), maximal=19_900)
    rig.must(CalibrationEnd())
    rig.tick(2)
    rig.must(Check(()))
    assert rig.codes(ArmSession()) == ["G08"]


def test_a_session_that_was_calibrated_runs_and_is_charged_for_both():
    rig = whole(Rig().calibrating())
    rig.must(CalibrationEnd())
    given = rig.station.session.channels[0].spent[0]
    rig.tick(2)
    rig.must(Check(()))
    rig.must(ArmSession())
    reserve = rig.station.session.permit.reserve[0].nc
    rig.must(Start())
    rig.tick(80)
    rig.must(Stop())
    ((_, dose),) = rig.notes("settle")[-1].charged
    assert given > 0
    assert reserve >= dose.nc >= rig.device.total_nc[1] > given // 2


def test_another_channel_may_be_calibrated_in_the_same_session():
    rig = whole(Rig().calibrating(rx(plan(), plan(channel=2, site="right-calf"))))
    rig.must(CalibrationEnd())
    rig.tick(2)
    rig.must(Check(()))
    given = rig.station.session.channels[0].spent[0]
    rig.must(CalibrationBegin(2))
    permit = rig.station.session.permit
    assert (permit.reserve[0].nc >= given > 0, permit.envelopes[0].max_ua) == (True, 0)
    rig.must(Stop())
    charged = dict(rig.notes("settle")[-1].charged)
    assert charged[1].nc >= rig.device.total_nc[1]


@pytest.mark.hazard("H28")
def test_of_two_channels_only_the_one_that_is_calibrated_is_raised_marked_and_kept():
    rig = Rig().calibrating(rx(plan(), plan(channel=2, site="right-calf", pair="b", area_mm2=3_000)), 2)
    first = rig.station.session.settings[0]
    rest(rig)
    assert rig.must(CalibrationStep(1_000)).details == (("setpoint_ua", 1_000),)
    assert rig.must(CalibrationStep(-400)).details == (("setpoint_ua", 600),)
    rest(rig)
    whole(rig)
    rig.must(CalibrationEnd())
    found = Calibration(
        at_wall_ms=rig.wall_ms, pair="b", area_mm2=3_000, width_us=300,
        sensory_ua=8_000, motor_ua=15_000, maximal_ua=38_000,
    )  # fmt: skip
    (record,) = rig.notes("calibration")
    assert (record.channel, record.site, record.calibration) == (2, "right-calf", found)
    assert rig.station.session.settings[0] == first
    assert rig.station.session.settings[1].plan.calibration == found


def test_repeats_that_disagree_leave_the_thresholds_before_them():
    rig = Rig().calibrating()
    find(rig, SENSORY, 8_000)
    find(rig, SENSORY, 8_000)
    find(rig, MOTOR, 15_000)
    assert find(rig, MOTOR, 18_000).code == "CAL.SPREAD"
    assert trial_of(rig).marks == (Mark(SENSORY, 8_000), Mark(SENSORY, 8_000), Mark(MOTOR, 18_000))


@pytest.mark.rule("M25")
@pytest.mark.hazard("H40")
def test_a_rule_that_only_holds_leaves_the_burst_as_it_is():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 30)
    rig.mono_ms += 101
    rig.wall_ms += 101
    turn = Turn(rig.station, rig.now)
    wanted = Picture((plan().train(10_000),))
    assert calibrate.burst(turn, Tick(wanted, 0, WELL), 101) == Tick(wanted, 0, WELL)
    assert [each.reason.rule for each in turn.station.holds] == ["M25"]


@pytest.mark.rule("G23")
@pytest.mark.hazard("H40")
def test_without_a_device_a_calibration_permits_no_current_and_drives_none():
    rig = Rig().prepared()
    turn = Turn(rig.station._replace(device=None), rig.now)
    calibrate.begin(turn, rig.command(CalibrationBegin(1)), rig.station.session, 1)
    assert turn.station.waiting.permit.envelopes == (Envelope(1, 0, 300, 25_000, 320_000_000),)
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    turn = Turn(rig.station._replace(device=None), rig.now)
    assert calibrate.burst(turn, Tick(Picture((plan().train(500),)), 0, WELL), 50) is None


def test_newer_thresholds_of_earlier_sessions_count_and_older_ones_do_not():
    prescription = rx(plan())
    known = prescription.channels[0].calibration
    for later_ms, counts in ((1, True), (0, True), (-1, False)):
        rig = Rig()
        rig.up()
        rig.must(Claim())
        other = replace(known, at_wall_ms=known.at_wall_ms + later_ms, maximal_ua=50_000)
        rig.must(Prepare(prescription, prescription.ref, "p-1", ((1, other), (7, other))))
        assert (rig.station.session.settings[0].plan.calibration == other) is counts


def test_thresholds_of_earlier_sessions_count_where_the_prescription_has_none():
    prescription = rx(plan(calibration=None))
    found = plan().calibration
    rig = Rig()
    rig.up()
    rig.must(Claim())
    rig.must(Prepare(prescription, prescription.ref, "p-1", ((1, found),)))
    assert rig.station.session.settings[0].plan.calibration == found


# The ways down


def holding(ua: int = 10_000) -> Rig:
    rig = at_level(Rig().calibrating(), ua)
    hold(rig, 20)
    assert flowing_ua(rig) == ua
    return rig


@pytest.mark.rule("X5")
@pytest.mark.parametrize("way", ["stop", "button", "pause", "claim", "supply", "line"])
def test_every_way_down_is_zero_in_the_same_step(way: str):
    rig = holding()
    before = len(rig.silences())
    if way == "stop":
        rig.must(Stop())
    elif way == "button":
        rig.device.changes["presses"] = 2
        rig.hear()
    elif way == "pause":
        rig.must(Pause(), principal="patient-1")
    elif way == "claim":
        rig.station = rig.station._replace(holder=None)
        rig.tick(renew=False)
    elif way == "supply":
        rig.give_pause()
    else:
        rig.give(DeviceDown("unplugged"))
    assert len(rig.silences()) > before
    assert rig.station.beat.picture == OFF
    session = rig.station.session
    assert session is None or session.trial is None
    assert session is None or session.settings[0].setpoint_ua == 20_000
    expected = {"stop": Phase.IDLE, "button": Phase.IDLE, "line": Phase.UNCERTAIN}
    assert rig.phase is expected.get(way, Phase.PREPARED)
    rules_latched = {"button": ["M23"], "claim": ["M05"], "supply": ["M28"], "line": ["M04"], "stop": ["STOP"]}
    assert rig.latched() == rules_latched.get(way, [])


@pytest.mark.rule("M05")
def test_a_calibration_whose_claim_is_gone_is_zero_and_then_closed_by_the_devices_word():
    rig = holding()
    rig.answering = False
    rig.station = rig.station._replace(holder=None)
    rig.tick(renew=False)
    assert (rig.phase, rig.station.stopping is not None) == (Phase.PREPARED, True)
    rig.tick(renew=False)
    assert rig.phase is Phase.PREPARED
    rig.answering = True
    rig.hear()
    rig.tick(renew=False)
    assert (rig.phase, rig.notes("close")[-1].outcome) == (Phase.IDLE, "abandoned")
    ((_, dose),) = rig.notes("settle")[-1].charged
    assert dose.nc >= rig.device.total_nc[1] > 0


@pytest.mark.rule("M21")
def test_a_calibration_that_lasts_too_long_is_stopped():
    rig = Rig().calibrating()
    rig.tick(18_000)
    assert rig.phase is Phase.CALIBRATING
    rig.tick()
    assert rig.latched() == ["M21"]


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
def test_loud_bursts_at_their_fastest_keep_the_muscle_above_the_mark():
    rig = at_level(Rig().calibrating(), 38_000)
    lowest = 1_000_000
    for _ in range(24):
        hold(rig, 40)
        lowest = min(lowest, rig.station.session.channels[0].mu_ppm)
        rest(rig, 4_000)
    assert 620_000 <= lowest < 800_000
    assert (rig.phase, rig.latched()) == (Phase.CALIBRATING, [])


@pytest.mark.rule("M19")
def test_quiet_bursts_do_not_tire_a_muscle():
    rig = at_level(Rig().calibrating(), 20_000)
    hold(rig, 50)
    assert rig.station.session.channels[0].mu_ppm == 1_000_000
    at_level(rig, 20_100)


@pytest.mark.rule("M19")
def test_a_tired_muscle_ends_the_calibration_and_rests():
    rig = holding(38_000)
    session = rig.station.session
    tired = session.channels[0]._replace(mu_ppm=490_000)
    rig.station = rig.station._replace(session=session._replace(channels=(tired,)))
    rig.tick()
    assert (rig.phase, rig.latched()) == (Phase.PREPARED, ["M19"])
    assert rig.station.session.course.rest_from_ms == rig.mono_ms


@pytest.mark.rule("M35")
def test_bursts_are_no_contractions_of_the_therapy():
    rig = whole(Rig().calibrating())
    assert rig.station.session.channels[0].pulls == (0, 0)


@pytest.mark.rule("M18")
def test_a_calibration_that_outgrows_its_reservation_is_stopped():
    rig = holding()
    session = rig.station.session
    reserve = session.permit.reserve[0]
    spent = session.channels[0]._replace(spent=(reserve.nc + 1, 0, 0))
    rig.station = rig.station._replace(session=session._replace(channels=(spent,)))
    rig.tick()
    assert rig.latched() == ["M18"]


@pytest.mark.rule("M07")
@pytest.mark.rule("M01")
@pytest.mark.rule("M27")
@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"open": True}, "M07"), ({"measured_ua": 13_000}, "M01"), ({"width_us": 301}, "M27")],
)
def test_the_readback_is_judged_as_in_a_session(changes: dict[str, object], rule: str):
    rig = holding()
    rig.device.sample_changes[1] = changes
    rig.tick(6)
    assert rig.latched()[0] == rule
    assert rig.phase in {Phase.UNCERTAIN, Phase.IDLE}
