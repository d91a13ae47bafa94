"""safety/rules/trial.py: the thresholds a session relies on, and each rule of the button, at both sides of its edge."""

from __future__ import annotations

import pytest
from button import at_level, find, hold, level_ua, rest, trial_of, whole
from rig import (
    CAPS,
    WALL_MS,
    ArmSession,
    Calibration,
    CalibrationBegin,
    Check,
    Claim,
    Modality,
    Phase,
    Prepare,
    Programme,
    Rig,
    Sensation,
    config,
    plan,
    replace,
    rx,
    standing,
)

from safety import calibrate, wishes
from safety.limits import HARD
from safety.messages import CalibrationEnd, CalibrationMark, CalibrationStep, Expect, Latch, Threshold
from safety.prescription import Dose
from safety.rules import trial
from safety.rules.views import Gate, Lane
from safety.state import Hold, Mark
from safety.turn import Turn
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("G19"), pytest.mark.hazard("H05")]

SENSORY, MOTOR, MAXIMAL = Threshold
WEEK_MS = 604_800_000


def refuse(rule: str, code: str, *rest_of: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest_of)  # type: ignore[arg-type]


# What a session relies on

LIMITS = replace(HARD[Modality.NMES], calibration_ms=WEEK_MS)


def lane(modality: Modality = Modality.NMES, sensation: Sensation = Sensation.S1, **found: object) -> Lane:
    known = replace(plan().calibration, **({"at_wall_ms": WALL_MS} | found))
    here = replace(plan(), calibration=known)
    shape = replace(rx().programme, modality=modality)
    return Lane(rx(here, programme=shape, sensation=sensation), here, here.train(20_000), LIMITS, CAPS, WALL_MS)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, None),
        ({"at_wall_ms": WALL_MS - WEEK_MS}, None),
        ({"at_wall_ms": WALL_MS - WEEK_MS - 1}, ("CAL.OLD", 1, WEEK_MS + 1, WEEK_MS, "ms")),
        ({"at_wall_ms": WALL_MS + 2_000}, None),
        ({"at_wall_ms": WALL_MS + 2_001}, ("CAL.OLD", 1, -2_001, WEEK_MS, "ms")),
        ({"pair": "b"}, ("CAL.OTHER_PADS", 1)),
        ({"area_mm2": 2_499}, ("CAL.OTHER_PADS", 1, 2_500, 2_499, "mm2")),
        ({"area_mm2": 2_501}, ("CAL.OTHER_PADS", 1, 2_500, 2_501, "mm2")),
        ({"width_us": 299}, ("CAL.OTHER_PADS", 1, 300, 299, "us")),
        ({"width_us": 301}, ("CAL.OTHER_PADS", 1, 300, 301, "us")),
    ],
)
def test_g19_the_thresholds_hold(found: dict[str, object], reason: tuple[object, ...] | None):
    here = lane(**found)
    assert trial.g19(here) == (refuse("G19", *reason) if reason else None)
    assert trial.is_calibrated(here) is (reason is None)


def test_g19_the_thresholds_are_there():
    here = lane()
    bare = here._replace(plan=replace(here.plan, calibration=None))
    assert trial.g19(bare) == refuse("G19", "CAL.MISSING", 1)
    assert not trial.is_calibrated(bare)


@pytest.mark.parametrize(
    ("modality", "sensation", "needs"),
    [
        ("nmes", "S0", False), ("nmes", "S1", True), ("nmes", "S2", True),
        ("tens", "S0", False), ("tens", "S1", False), ("tens", "S2", False),
    ],
)  # fmt: skip
def test_g19_only_a_muscle_under_skin_that_feels_little_needs_them(modality: str, sensation: str, *, needs: bool):
    here = lane(Modality(modality), Sensation(sensation), pair="b")
    assert (trial.g19(here) is not None) is needs


@pytest.mark.rule("G08")
def test_g08_before_the_thresholds_are_found_the_window_binds_and_in_a_calibration_the_class():
    for ua, window, class_cap in (
        (1, True, True),
        (30_000, True, True),
        (30_001, False, True),
        (50_001, False, False),
        (0, False, False),
    ):
        here = lane()._replace(train=plan().train(ua), limits=replace(LIMITS, amplitude_ua=50_000))
        assert trial.g08_window(here) == (None if window else refuse("G08", "LIM.CURRENT", 1, ua, 30_000, "uA"))
        assert trial.g08_trial(here) == (None if class_cap else refuse("G08", "LIM.CURRENT", 1, ua, 50_000, "uA"))
        assert trial.ceiling_ua(here._replace(caps=replace(CAPS, max_ua=40_000))) == 40_000


@pytest.mark.rule("G08")
@pytest.mark.parametrize("found", [{"pair": "b"}, {"area_mm2": 2_499}, {"width_us": 301}])
def test_thresholds_of_other_pads_permit_nothing_more_and_still_bind(found: dict[str, object]):
    strong = replace(plan(ua=60_001, max_ua=80_000).calibration, maximal_ua=80_000, **found)
    rig = Rig().prepared(rx(replace(plan(ua=60_001, max_ua=80_000), calibration=strong)))
    assert rig.codes(ArmSession()) == ["G08"]
    weak = replace(strong, maximal_ua=19_999)
    rig = Rig().prepared(rx(replace(plan(), calibration=weak)))
    assert rig.codes(ArmSession()) == ["G08"]


@pytest.mark.parametrize("sensation", ["S1", "S2"])
def test_a_session_without_thresholds_is_prepared_calibrated_and_only_then_armed(sensation: str):
    rig = Rig().prepared(rx(plan(ua=15_000, area_mm2=5_000, calibration=None), sensation=Sensation(sensation)))
    assert rig.codes(ArmSession()) == ["G19", "G08"]
    rig.must(CalibrationBegin(1))
    whole(rig, sensory=6_000, motor=14_000, maximal=25_000)
    rig.must(CalibrationEnd())
    rig.tick(2)
    rig.must(Check(()))
    rig.must(ArmSession())


# The button


@pytest.mark.rule("G01")
@pytest.mark.parametrize("channel", [0, 2, 8, True, "1", None])
def test_a_calibration_of_no_channel_of_the_session_is_refused(channel: object):
    rig = standing(Phase.PREPARED)
    assert rig.ask(CalibrationBegin(channel)).reasons == (refuse("G01", "CMD.SCHEMA", 0, 0, 0, "channel"),)  # type: ignore[arg-type]


@pytest.mark.rule("G01")
@pytest.mark.parametrize("delta_ua", [True, 1.5, 200_001, -200_001])
def test_a_press_that_is_no_whole_number_changes_nothing(delta_ua: object):
    rig = at_level(Rig().calibrating(), 10_000)
    assert rig.codes(CalibrationStep(delta_ua))[0] == "G01"  # type: ignore[arg-type]
    assert (level_ua(rig), trial_of(rig).began_ms) == (10_000, 0)


@pytest.mark.rule("G01")
def test_the_widest_presses_have_a_form_and_are_judged_by_their_size():
    rig = at_level(Rig().calibrating(), 10_000)
    assert "G01" not in rig.codes(CalibrationStep(200_000))
    rig.must(CalibrationStep(-200_000))
    assert level_ua(rig) == 0


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
@pytest.mark.parametrize(("age_ms", "is_old"), [(999, False), (1_000, True), (-2_000, False)])
def test_a_renewal_that_was_under_way_for_a_second_is_none(age_ms: int, *, is_old: bool):
    rig = at_level(Rig().calibrating(), 10_000)
    reasons = rig.ask(CalibrationStep(0), issued_wall_ms=rig.wall_ms - age_ms).reasons
    assert reasons == ((refuse("G02", "CMD.EXPIRED", 0, 1_000, 1_000, "ms"),) if is_old else ())
    assert trial_of(rig).held_ms == rig.mono_ms - max(0, age_ms)


@pytest.mark.rule("G02")
@pytest.mark.hazard("H25")
def test_an_old_renewal_does_not_prolong_a_burst():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    held_ms = trial_of(rig).held_ms
    rig.tick(5)
    assert rig.codes(CalibrationStep(0), issued_wall_ms=rig.wall_ms - 1_000) == ["G02"]
    assert trial_of(rig).held_ms == held_ms


@pytest.mark.rule("G02")
def test_a_press_says_what_its_sender_saw_and_a_renewal_need_not():
    rig = at_level(Rig().calibrating(), 10_000)
    assert rig.codes(CalibrationStep(1_000), expect=Expect()) == ["G02"]
    rest(rig, 1_000)
    rig.must(CalibrationStep(0), expect=Expect())
    assert Rig().prepared().codes(CalibrationBegin(1), expect=Expect()) == ["G02"]


@pytest.mark.rule("G18")
@pytest.mark.parametrize(
    ("delta_ua", "waited_ms", "reason"),
    [
        (1_000, 1_000, None),
        (1_001, 1_001, ("LIM.STEP", 1, 1_001, 1_000, "uA")),
        (1_000, 950, ("LIM.STEP", 1, 950, 1_000, "ms")),
        (500, 500, None),
        (500, 450, ("LIM.STEP", 1, 450, 500, "ms")),
    ],
)
def test_a_press_is_a_milliampere_and_a_second(delta_ua: int, waited_ms: int, reason: tuple[object, ...] | None):
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(1_000))
    rig.tick(waited_ms // 100)
    rig.must(CalibrationStep(0))
    rig.tick(waited_ms // 50 - waited_ms // 100)
    rig.mono_ms += waited_ms % 50
    assert rig.ask(CalibrationStep(delta_ua)).reasons == ((refuse("G18", *reason),) if reason else ())
    assert level_ua(rig) == 11_000 + (0 if reason else delta_ua)


@pytest.mark.hazard("H33")
def test_a_burst_begins_only_after_the_button_was_let_go():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 60)
    assert trial_of(rig).began_ms == 0
    for _ in range(30):
        assert rig.codes(CalibrationStep(0)) == ["G19"]
        rig.tick(4)
    rig.tick(15)
    assert rig.ask(CalibrationStep(0)).reasons == (refuse("G19", "CAL.HELD", 1, 950, 1_000, "ms"),)
    rig.tick(20)
    rig.must(CalibrationStep(0))
    assert trial_of(rig).began_ms == rig.mono_ms


@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("ua", "is_refused"), [(19_000, False), (19_001, True)])
def test_a_burst_that_began_quiet_stays_quiet(ua: int, *, is_refused: bool):
    rig = at_level(Rig().calibrating(), ua)
    rig.must(CalibrationStep(0))
    reasons = rig.ask(CalibrationStep(1_000)).reasons
    assert reasons == ((refuse("G19", "CAL.HELD", 1, ua + 1_000, 20_000, "uA"),) if is_refused else ())


@pytest.mark.hazard("H20")
def test_a_loud_burst_may_be_raised():
    rig = at_level(Rig().calibrating(), 20_001)
    rig.must(CalibrationStep(0))
    assert trial_of(rig).is_loud
    rig.must(CalibrationStep(1_000))


@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("before_ua", "ua", "needs_rest"),
    [(20_000, 20_000, False), (20_000, 20_001, True), (20_001, 20_000, True), (30_000, 30_000, True)],
)
def test_loud_bursts_are_four_seconds_apart(before_ua: int, ua: int, *, needs_rest: bool):
    rig = at_level(Rig().calibrating(), before_ua)
    rig.must(CalibrationStep(0))
    while trial_of(rig).began_ms:
        rig.tick()
    at_level(rig, ua)
    rig.tick(79)
    expected = (refuse("G19", "CAL.REST", 1, 3_950, 4_000, "ms"),) if needs_rest else ()
    assert rig.ask(CalibrationStep(0)).reasons == expected
    rig.tick(21)
    assert rig.ask(CalibrationStep(0)).reasons == ()


def test_nothing_is_raised_when_all_is_found_and_what_is_may_be_felt_again():
    rig = whole(Rig().calibrating())
    assert rig.ask(CalibrationStep(1_000)).reasons == (refuse("G19", "CAL.FOUND", 1),)
    rest(rig)
    rig.must(CalibrationStep(0))


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_what_a_calibration_reserves_is_a_share_of_each_cap():
    limits = replace(LIMITS, session_nc=800, session_i2t=1_000, session_on_ms=601, calibration_ppm=400_000)
    assert trial.trial_dose(limits) == Dose(nc=320, i2t=400, on_ms=240)


def gate(rig: Rig, wish: object, **changes: object) -> Gate:
    session = rig.station.session
    return Gate(rig.station, rig.command(wish), session, rig.now, 1, 0)._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        ((440_000_000, 0, 0), None),
        ((440_000_001, 0, 0), (760_000_001, 760_000_000, "nC")),
        ((0, 55 * 10**15, 0), None),
        ((0, 55 * 10**15 + 1, 0), (95 * 10**15 + 1, 95 * 10**15, "uA^2 us")),
        ((0, 0, 335_500), None),
        ((0, 0, 335_501), (579_501, 579_500, "ms")),
    ],
)
def test_a_calibration_fits_with_what_was_given_into_the_session(
    spent: tuple[int, int, int], reason: tuple[object, ...] | None
):
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))
    session = rig.station.session
    first, second = session.channels
    given = session._replace(channels=(first._replace(spent=spent), second._replace(spent=(10**12, 0, 0))))
    found = trial.g28_trial(gate(rig, CalibrationBegin(1), session=given))
    assert found == (refuse("G28", "DOSE.SESSION", 1, *reason) if reason else None)
    rig.station = rig.station._replace(session=given)
    assert rig.codes(CalibrationBegin(1)) == (["G28"] if reason else [])


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize("unit", ["nC", "uA^2 us", "ms"])
@pytest.mark.parametrize("over", [0, 1])
def test_a_whole_burst_fits_into_what_is_left_of_the_reservation(unit: str, over: int):
    rig = at_level(Rig().calibrating(), 10_000)
    session = rig.station.session
    reserve, index = session.permit.reserve[0], ["nC", "uA^2 us", "ms"].index(unit)
    # 3 s and half a second to the dead man at 25 ms are 140 pulses, one more, and 5 % on top: 148.05 pulses of 6 uC.
    burst = (888_300, 141 * 2 * 10**8 * 300 * 105 // 100, 3_500)
    assert trial.burst_dose(session.settings[0], 500) == Dose(nc=burst[0], i2t=burst[1], on_ms=burst[2])
    whole_of = (reserve.nc, reserve.i2t, reserve.on_ms)
    spent = tuple(whole_of[i] - burst[i] + over if i == index else 0 for i in range(3))
    channel = session.channels[0]._replace(spent=spent)
    rig.station = rig.station._replace(session=session._replace(channels=(channel,)))
    expected = (refuse("G28", "DOSE.SESSION", 1, whole_of[index] + 1, whole_of[index], unit),) if over else ()
    assert rig.ask(CalibrationStep(0)).reasons == expected


# The order


def test_thresholds_are_marked_in_their_order():
    rig = at_level(Rig().calibrating(), 10_000)
    hold(rig, 30)
    for threshold in (MOTOR, MAXIMAL):
        for absent in (False, True):
            assert rig.ask(CalibrationMark(threshold, absent)).reasons == (refuse("G19", "CAL.ORDER", 1),)
    rig.must(CalibrationMark(SENSORY, absent=False))
    assert rig.ask(CalibrationMark(SENSORY, absent=True)).reasons == (refuse("G19", "CAL.ORDER", 1),)


@pytest.mark.parametrize(("ua", "is_refused"), [(8_400, True), (8_500, False)])
def test_no_threshold_lies_below_the_one_before_it(ua: int, *, is_refused: bool):
    rig = Rig().calibrating()
    find(rig, SENSORY, 8_500)
    find(rig, SENSORY, 8_000)
    at_level(rig, ua)
    hold(rig, 30)
    reasons = rig.ask(CalibrationMark(MOTOR, absent=False)).reasons
    assert reasons == ((refuse("G19", "CAL.ORDER", 1, ua, 8_500, "uA"),) if is_refused else ())


def test_a_current_that_has_not_stood_is_no_threshold():
    rig = at_level(Rig().calibrating(), 10_000)
    mark = CalibrationMark(SENSORY, absent=False)
    assert rig.ask(mark).reasons == (refuse("G19", "CAL.NOT_GIVEN", 1, 10_000, 0, "uA"),)
    hold(rig, 20)
    assert rig.ask(mark).reasons == (refuse("G19", "CAL.NOT_GIVEN", 1, 10_000, 0, "uA"),)
    hold(rig, 2)
    rig.must(CalibrationStep(1_000))
    assert rig.ask(mark).reasons == (refuse("G19", "CAL.NOT_GIVEN", 1, 11_000, 10_000, "uA"),)
    rig.tick(2)
    rig.must(mark)


def test_a_current_stands_for_one_threshold_only_until_it_has_stood_again():
    rig = Rig().calibrating()
    find(rig, SENSORY, 10_000)
    find(rig, SENSORY, 10_000)
    motor = CalibrationMark(MOTOR, absent=False)
    assert rig.ask(motor).reasons == (refuse("G19", "CAL.NOT_GIVEN", 1, 10_000, 0, "uA"),)
    hold(rig, 30)
    rig.must(motor)


def test_a_set_point_of_nothing_is_no_threshold():
    rig = Rig().calibrating()
    assert rig.codes(CalibrationMark(SENSORY, absent=False)) == ["G19"]


@pytest.mark.parametrize(
    ("one", "other", "spread"), [(10_000, 11_500, False), (10_000, 11_501, True), (8_500, 8_500, False)]
)
def test_repeats_agree_within_fifteen_percent_of_the_lower(one: int, other: int, *, spread: bool):
    assert trial.is_spread(one, other) is trial.is_spread(other, one) is spread


def marks(*pairs: tuple[Threshold, int | None]) -> tuple[Mark, ...]:
    return tuple(Mark(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("found", "following"),
    [
        ((), SENSORY),
        (((SENSORY, 1),), SENSORY),
        (((SENSORY, 1), (SENSORY, 1)), MOTOR),
        (((SENSORY, None),), MOTOR),
        (((SENSORY, None), (MOTOR, 2)), MOTOR),
        (((SENSORY, None), (MOTOR, None)), None),
        (((SENSORY, None), (MOTOR, 2), (MOTOR, 2)), None),
        (((SENSORY, 1), (SENSORY, 1), (MOTOR, None)), MAXIMAL),
        (((SENSORY, 1), (SENSORY, 1), (MOTOR, None), (MAXIMAL, 3)), MAXIMAL),
        (((SENSORY, 1), (SENSORY, 1), (MOTOR, None), (MAXIMAL, None)), None),
        (((SENSORY, 1), (SENSORY, 1), (MOTOR, 2), (MOTOR, 2), (MAXIMAL, 3), (MAXIMAL, 3)), None),
    ],
)
def test_what_is_sought_next(found: tuple[tuple[Threshold, int | None], ...], following: Threshold | None):
    assert trial.sought(marks(*found)) is following


def test_a_threshold_is_the_lower_of_its_repeats():
    found = marks((SENSORY, 9), (SENSORY, 8), (MOTOR, None))
    assert [trial.threshold_ua(found, threshold) for threshold in Threshold] == [8, None, None]
    assert trial.threshold_ua(marks((SENSORY, None), (SENSORY, 5)), SENSORY) == 5


# What is asked at all


@pytest.mark.rule("G27")
@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
def test_a_calibration_needs_what_any_current_needs():
    unchecked = Rig()
    unchecked.up()
    unchecked.must(Claim())
    unchecked.must(Prepare(rx(), "rx-1@1", "p-1"))
    assert unchecked.codes(CalibrationBegin(1)) == ["G20"]
    latched = Rig().prepared()
    latched.station = latched.station._replace(
        latches=(Latch(5, Scope.SESSION, "M07", Clear.ACK_OPERATOR, "", WALL_MS),)
    )
    assert latched.codes(CalibrationBegin(1)) == ["G27"]
    old = Rig().prepared(rx(valid_until_wall_ms=WALL_MS))
    old.wall_ms += 1
    assert old.codes(CalibrationBegin(1)) == ["G04"]
    elsewhere = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf")))
    elsewhere.device.ohm[2] = 9_000
    elsewhere.must(Check((2,)))
    elsewhere.must(CalibrationBegin(1))


@pytest.mark.rule("G11")
@pytest.mark.rule("G13")
@pytest.mark.rule("G08")
@pytest.mark.parametrize(
    ("changes", "ua", "rule"),
    [
        ({"width_us": 400, "period_us": 50_000}, 75_000, "G11"),
        ({"area_mm2": 900, "small_pad_reason": "a child's hand"}, 58_000, "G13"),
        ({}, 80_000, "G08"),
    ],
)
def test_a_press_is_judged_by_the_pulse_that_it_would_give(changes: dict[str, object], ua: int, rule: str):
    rig = at_level(Rig().calibrating(rx(plan(ua=10_000, **changes))), ua)
    assert rule in rig.codes(CalibrationStep(1_000))
    assert level_ua(rig) == ua


@pytest.mark.rule("M25")
def test_while_a_rule_holds_no_press_raises_and_a_held_button_stays_held():
    rig = at_level(Rig().calibrating(), 10_000)
    rig.must(CalibrationStep(0))
    hold_of = Hold(Reason("M25", Severity.HOLD, "SYS.OVERLOAD"), rig.mono_ms)
    rig.station = rig.station._replace(holds=(hold_of,))
    assert rig.codes(CalibrationStep(1_000)) == ["G27"]
    rig.must(CalibrationStep(0))


@pytest.mark.rule("X3")
@pytest.mark.parametrize("handler", ["calibration_begin", "calibration_step", "calibration_mark"])
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED])
def test_a_handler_that_is_given_another_wish_says_so(handler: str, phase: Phase):
    rig = standing(phase)
    turn = Turn(rig.station, rig.now)
    with pytest.raises(TypeError):
        getattr(wishes, handler)(turn, rig.command(Check(())))
    assert (turn.station, turn.effects) == (rig.station, [])


@pytest.mark.rule("G02")
def test_an_end_that_is_kept_by_a_broker_ends_nothing():
    rig = Rig().calibrating()
    before = rig.station
    assert rig.codes(CalibrationEnd(), retained=True) == ["G02"]
    assert rig.station == before


@pytest.mark.rule("X3")
def test_a_calibration_that_is_none_cannot_end():
    rig = standing(Phase.PREPARED)
    turn = Turn(rig.station, rig.now)
    wishes.calibration_end(turn, rig.command(CalibrationEnd()))
    assert (turn.station, turn.effects) == (rig.station, [])


@pytest.mark.hazard("H40")
def test_without_a_calibration_its_rules_say_nothing():
    rig = standing(Phase.PREPARED)
    for wish, rules in (
        (CalibrationStep(1_000), trial.TRIAL_STEP),
        (CalibrationMark(SENSORY, absent=False), trial.TRIAL_MARK),
    ):
        seen = gate(rig, wish, rise_ua=1_000)
        for judge in rules:
            assert judge(seen) is None
            assert judge(seen._replace(session=None)) is None
    assert trial.g28_trial(seen._replace(session=None)) is None
    assert trial.g01_trial(seen._replace(session=None)) is None
    calibrating = at_level(Rig().calibrating(), 10_000)
    assert trial.g19_order(gate(calibrating, CalibrationStep(0))) is None
    assert trial.g19_given(gate(calibrating, CalibrationStep(0))) is None
    session = calibrating.station.session
    assert trial.g28_burst(gate(calibrating, CalibrationStep(0), session=session._replace(permit=None))) is None
    assert calibrate.level_ua(session, session.trial) == 10_000


@pytest.mark.rule("X4")
@pytest.mark.hazard("H40")
def test_what_each_wish_of_a_calibration_is_asked_and_in_which_order():
    rules = {name: [judge.__name__ for judge in getattr(trial, name)] for name in dir(trial) if name[:6] == "TRIAL_"}
    assert rules == {
        "TRIAL_BEGIN": ["g01_trial", "g28_trial"],
        "TRIAL_LOWER": ["g01_trial"],
        "TRIAL_STEP": [
            "g01_trial", "g02_button", "g18_press", "g19_let_go", "g19_apart", "g19_sought", "g28_burst",
        ],
        "TRIAL_HOLD": ["g01_trial", "g02_button"],
        "TRIAL_MARK": ["g19_order", "g19_given"],
    }  # fmt: skip
    assert (trial.REFUSE, trial.PPM, trial.ORDER) == (Severity.REFUSE, 1_000_000, (SENSORY, MOTOR, MAXIMAL))


@pytest.mark.rule("G17")
def test_no_programme_forbids_the_calibration_that_it_waits_for():
    shape = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
    )
    rig = Rig(config()).prepared(rx(plan(), programme=shape))
    judges = set(wishes.TRIAL_RULES)
    assert judges == set(wishes.ENERGISE_RULES) - {wishes.gate.g17, wishes.gate.g18, wishes.gate.g28}
    assert rig.must(CalibrationBegin(1)).status == "succeeded"
    assert isinstance(rig.station.session.settings[0].plan.calibration, Calibration)
