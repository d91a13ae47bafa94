"""safety/rules/trial.py to the last unit: each rule of the button by itself, asked of a session that is made for it."""

from __future__ import annotations

import pytest
from button import at_level
from rig import Rig, plan, replace, rx

from safety.limits import Limits
from safety.messages import CalibrationMark, CalibrationStep, Threshold
from safety.prescription import Dose
from safety.rules import trial
from safety.rules.views import Gate
from safety.state import Mark, Session
from safety.verdict import Reason, Severity

pytestmark = [pytest.mark.rule("G19"), pytest.mark.hazard("H45")]

SENSORY, MOTOR, MAXIMAL = Threshold
NOW_MS = 1_000_000


def refused(rule: str, code: str, *figures: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, 2, *figures)  # type: ignore[arg-type]


def pressed(
    wish: object = CalibrationStep(0),
    rise_ua: int = 0,
    ua: int = 10_000,
    raised_ms: int = 0,
    limits: dict[str, int] | None = None,
    **changes: object,
) -> Gate:
    """A wish about the second of two channels, at a set-point, with a trial of this kind."""
    rig = at_level(Rig().calibrating(rx(plan(), plan(channel=2, site="right-calf")), 2), ua)
    session = rig.station.session
    assert session is not None
    first, second = session.settings
    session = session._replace(
        settings=(first, second._replace(raised_ms=raised_ms)),
        trial=session.trial._replace(**changes),
        limits=replace(session.limits, **limits or {}),
    )
    return Gate(rig.station, rig.command(wish), session, rig.now._replace(mono_ms=NOW_MS), 2, rise_ua)


def test_its_figures_are_those_of_the_reference():
    assert (trial.HELD_MS, trial.BURST_MS, trial.LOUD_BURST_MS, trial.APART_MS) == (1_000, 3_000, 2_000, 4_000)
    assert (trial.LOUD_UA, trial.SPREAD_PPM, trial.REPEATS) == (20_000, 150_000, 2)


def test_the_wish_is_about_the_channel_of_the_trial():
    seen = pressed()
    found = trial.pushed(seen)
    session: Session = seen.session
    assert found == (session, session.trial, session.settings[1], 1)


@pytest.mark.rule("G01")
@pytest.mark.parametrize(("delta_ua", "has_form"), [(200_000, True), (200_001, False), (-200_000, True), (True, False)])
def test_g01_a_press_is_a_whole_number_of_a_size_that_makes_sense(delta_ua: int, *, has_form: bool):
    found = trial.g01_trial(pressed(CalibrationStep(delta_ua)))
    assert found == (None if has_form else Reason("G01", Severity.REFUSE, "CMD.SCHEMA", 0, 0, 200_000, "uA"))


@pytest.mark.rule("G18")
@pytest.mark.parametrize(
    ("rise_ua", "waited_ms", "reason"),
    [
        (500, 714, ("LIM.STEP", 714, 715, "ms")),
        (500, 715, None),
        (900, 10_000, None),
        (901, 10_000, ("LIM.STEP", 901, 900, "uA")),
        (0, 0, None),
    ],
)
def test_g18_a_rise_waits_for_as_long_as_it_takes_rounded_up(
    rise_ua: int, waited_ms: int, reason: tuple[object, ...] | None
):
    seen = pressed(rise_ua=rise_ua, raised_ms=NOW_MS - waited_ms, limits={"rise_ua": 900, "rise_ua_per_s": 700})
    assert trial.g18_press(seen) == (refused("G18", *reason) if reason else None)


@pytest.mark.hazard("H33")
@pytest.mark.parametrize(
    ("up_ms", "began_ms", "is_loud", "ua", "reason"),
    [
        (999, 0, False, 10_000, ("CAL.HELD", 999, 1_000, "ms")),
        (1_000, 0, False, 10_000, None),
        (999, 5, False, 20_000, None),
        (999, 5, False, 20_001, ("CAL.HELD", 20_001, 20_000, "uA")),
        (999, 5, True, 20_001, None),
        (1_000, 0, False, 20_001, None),
    ],
)
def test_g19_the_button_was_let_go_and_what_began_quiet_stays_quiet(
    up_ms: int, began_ms: int, ua: int, reason: tuple[object, ...] | None, *, is_loud: bool
):
    seen = pressed(ua=ua, held_ms=NOW_MS - up_ms, began_ms=began_ms, is_loud=is_loud)
    assert trial.g19_let_go(seen) == (refused("G19", *reason) if reason else None)


@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("rested_ms", "began_ms", "is_loud", "ua", "needs_rest"),
    [
        (3_999, 0, True, 10_000, True),
        (4_000, 0, True, 10_000, False),
        (3_999, 0, False, 20_001, True),
        (3_999, 0, False, 20_000, False),
        (3_999, 5, True, 20_001, False),
    ],
)
def test_g19_loud_bursts_are_apart(rested_ms: int, began_ms: int, ua: int, *, is_loud: bool, needs_rest: bool):
    seen = pressed(ua=ua, ended_ms=NOW_MS - rested_ms, began_ms=began_ms, is_loud=is_loud)
    assert trial.g19_apart(seen) == (refused("G19", "CAL.REST", rested_ms, 4_000, "ms") if needs_rest else None)


@pytest.mark.parametrize(("rise_ua", "is_refused"), [(-1, False), (0, False), (1, True)])
def test_g19_nothing_is_raised_when_all_is_found(rise_ua: int, *, is_refused: bool):
    marks = (Mark(SENSORY, None), Mark(MOTOR, None))
    assert trial.g19_sought(pressed(rise_ua=rise_ua, marks=marks)) == (
        refused("G19", "CAL.FOUND") if is_refused else None
    )


@pytest.mark.parametrize(
    ("wish", "marks", "ua", "reason"),
    [
        (CalibrationMark(SENSORY, absent=False), (), 1, None),
        (CalibrationMark(MOTOR, absent=False), (), 1, ("CAL.ORDER",)),
        (CalibrationMark(SENSORY, absent=True), (), 1, None),
        (CalibrationMark(SENSORY, absent=True), (Mark(SENSORY, 5),), 1, ("CAL.ORDER",)),
        (CalibrationMark(SENSORY, absent=False), (Mark(SENSORY, 5),), 1, None),
        (CalibrationMark(MOTOR, absent=False), (Mark(SENSORY, 9), Mark(SENSORY, 8)), 9, None),
        (CalibrationMark(MOTOR, absent=False), (Mark(SENSORY, 9), Mark(SENSORY, 8)), 8, ("CAL.ORDER", 8, 9, "uA")),
        (CalibrationMark(MOTOR, absent=False), (Mark(SENSORY, 9), Mark(SENSORY, 10)), 8, ("CAL.ORDER", 8, 10, "uA")),
        (CalibrationMark(MOTOR, absent=True), (Mark(SENSORY, 9), Mark(SENSORY, 8)), 8, None),
        (CalibrationMark(MOTOR, absent=False), (Mark(SENSORY, None),), 0, None),
    ],
)
def test_g19_a_threshold_is_the_one_that_is_sought_and_none_lies_below_the_one_before(
    wish: CalibrationMark, marks: tuple[Mark, ...], ua: int, reason: tuple[object, ...] | None
):
    assert trial.g19_order(pressed(wish, ua=ua, marks=marks)) == (refused("G19", *reason) if reason else None)


@pytest.mark.parametrize(
    ("ua", "felt_ua", "is_given"), [(10_000, 10_000, True), (10_000, 9_999, False), (0, 0, False), (1, 1, True)]
)
def test_g19_a_threshold_was_felt_at_this_set_point(ua: int, felt_ua: int, *, is_given: bool):
    expected = None if is_given else refused("G19", "CAL.NOT_GIVEN", ua, felt_ua, "uA")
    assert trial.g19_given(pressed(CalibrationMark(SENSORY, absent=False), ua=ua, felt_ua=felt_ua)) == expected
    assert trial.g19_given(pressed(CalibrationMark(SENSORY, absent=True), ua=ua, felt_ua=felt_ua)) is None


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_g28_what_is_reserved_is_rounded_down_and_what_a_burst_gives_up():
    limits = pressed().session.limits
    odd: Limits = replace(limits, session_nc=1_001, session_i2t=2_003, session_on_ms=3_007, calibration_ppm=333_333)
    assert trial.trial_dose(odd) == Dose(nc=333, i2t=667, on_ms=1_002)
    setting = pressed().session.settings[1]._replace(setpoint_ua=503)
    setting = setting._replace(plan=plan(channel=2, width_us=301, period_us=25_630))
    # 117.05 periods of 25.63 ms in 3 s are 118 pulses, and one more: 119 of 303 nC and of 2 x 503^2 x 301 uA^2 us
    assert trial.burst_dose(setting, 0) == Dose(
        nc=-(-119 * 303 * 105 // 100), i2t=-(-119 * 152_311_418 * 105 // 100), on_ms=3_000
    )
    assert trial.burst_dose(setting, 1) == replace(trial.burst_dose(setting, 0), on_ms=3_001)


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        ((0, 0, 0), None),
        ((190, 0, 0), None),
        ((191, 0, 0), (951, 950, "nC")),
        ((0, 190, 0), None),
        ((0, 191, 0), (951, 950, "uA^2 us")),
        ((0, 0, 190), None),
        ((0, 0, 191), (951, 950, "ms")),
    ],
)
def test_g28_a_calibration_fits_with_what_was_given_into_each_cap(
    spent: tuple[int, int, int], reason: tuple[object, ...] | None
):
    caps = {"session_nc": 1_000, "session_i2t": 1_000, "session_on_ms": 1_000}
    seen = pressed(limits=caps | {"calibration_ppm": 760_000, "dose_share_ppm": 950_000})
    session = seen.session
    channels = (session.channels[0]._replace(spent=(10**9,) * 3), session.channels[1]._replace(spent=spent))
    found = trial.g28_trial(seen._replace(session=session._replace(channels=channels)))
    assert found == (refused("G28", "DOSE.SESSION", *reason) if reason else None)
