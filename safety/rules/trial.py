"""G rules of a calibration: the thresholds that a session relies on, and each press of the button that finds them.

A calibration is stimulation. The button is held; a second without a renewal is zero. Bursts last 3 s at most, above
20 mA 2 s at most and 4 s apart: with these the fatigue bound stays above 0.62 (safety reference 3.3).
"""

from typing import Final, NamedTuple

from safety.dose import given_by
from safety.limits import Limits, Modality, Sensation
from safety.messages import CalibrationBegin, CalibrationMark, CalibrationStep, Command, Now, Threshold
from safety.prescription import Dose, late_dose
from safety.rules.views import Gate, Lane
from safety.state import Mark, Session, Setting, Trial
from safety.units import ceil_div, is_whole
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
HELD_MS = 1_000
"""A second without a renewal is zero (compiled; safety reference 3.3)."""
BURST_MS = 3_000
LOUD_UA = 20_000
"""The current above which the fatigue bound counts recruitment (Riener's figures in cocofest)."""
LOUD_BURST_MS = 2_000
APART_MS = 4_000
SPREAD_PPM = 150_000
"""How far two repeats of a threshold may lie apart (compiled; safety reference 3.3)."""
REPEATS = 2
ORDER: Final = (Threshold.SENSORY, Threshold.MOTOR, Threshold.MAXIMAL)


# What a session relies on


def is_calibrated(lane: Lane) -> bool:
    """Tell whether this channel's thresholds hold: found with these pads and this width, and not too long ago."""
    found, plan, limits = lane.plan.calibration, lane.plan, lane.limits
    if found is None or (found.pair, found.area_mm2, found.width_us) != (plan.pair, plan.area_mm2, plan.width_us):
        return False
    return -limits.clock_skew_ms <= lane.wall_ms - found.at_wall_ms <= limits.calibration_ms


def g19(lane: Lane) -> Reason | None:
    """A muscle is stimulated through skin that feels little only on thresholds that hold."""
    if lane.rx.sensation is Sensation.S0 or lane.rx.programme.modality is Modality.TENS or is_calibrated(lane):
        return None
    found, number = lane.plan.calibration, lane.plan.channel
    if found is None:
        return Reason("G19", REFUSE, "CAL.MISSING", number)
    for asked, allowed, unit in (
        (lane.plan.area_mm2, found.area_mm2, "mm2"),
        (lane.plan.width_us, found.width_us, "us"),
    ):
        if asked != allowed:
            return Reason("G19", REFUSE, "CAL.OTHER_PADS", number, asked, allowed, unit)
    if found.pair != lane.plan.pair:
        return Reason("G19", REFUSE, "CAL.OTHER_PADS", number)
    return Reason("G19", REFUSE, "CAL.OLD", number, lane.wall_ms - found.at_wall_ms, lane.limits.calibration_ms, "ms")


def g08_window(lane: Lane) -> Reason | None:
    """Amplitude within device, site, class and prescribed window: the thresholds may still be found."""
    return within(lane, min(ceiling_ua(lane), lane.plan.max_ua))


def g08_trial(lane: Lane) -> Reason | None:
    """Amplitude of a calibration: device, site and class bound it, not the thresholds that it is looking for."""
    return within(lane, ceiling_ua(lane))


def ceiling_ua(lane: Lane) -> int:
    """Give the highest amplitude of device, site, class and prescription's limits, without a calibration."""
    return min(lane.caps.max_ua, lane.limits.amplitude_ua)


def within(lane: Lane, allowed_ua: int) -> Reason | None:
    """Refuse an amplitude above this."""
    if 0 < lane.train.ua <= allowed_ua:
        return None
    return Reason("G08", REFUSE, "LIM.CURRENT", lane.plan.channel, lane.train.ua, allowed_ua, "uA")


# The button


class Push(NamedTuple):
    """What a wish of a calibration is about: the session and its trial, the channel as it would be, and its place."""

    session: Session
    trial: Trial
    setting: Setting
    place: int


def pushed(g: Gate) -> Push | None:
    """Give the calibration that a wish is about; None where there is none."""
    session = g.session
    if session is None or session.trial is None:
        return None
    index = next(i for i, s in enumerate(session.settings) if session.trial.channel == s.plan.channel)
    return Push(session, session.trial, session.settings[index], index)


def age_ms(now: Now, command: Command) -> int:
    """Tell how long ago the button was down, by its sender's clock; a word from the future is as old as now."""
    return max(0, now.wall_ms - command.issued_wall_ms)


def g01_trial(g: Gate) -> Reason | None:
    """The channel belongs to the session; a press is a whole number in a range that makes sense."""
    wish = g.command.wish
    if isinstance(wish, CalibrationStep) and not is_whole(wish.delta_ua, -200_000, 200_000):
        return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 200_000, "uA")
    known = {setting.plan.channel for setting in g.session.settings} if g.session else set()
    if isinstance(wish, CalibrationBegin) and (type(wish.channel) is not int or wish.channel not in known):
        return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "channel")
    return None


def g02_button(g: Gate) -> Reason | None:
    """A renewal that was under way for a second says nothing about the button now."""
    late_ms = age_ms(g.now, g.command)
    if late_ms < HELD_MS:
        return None
    return Reason("G02", REFUSE, "CMD.EXPIRED", 0, late_ms, HELD_MS, "ms")


def g18_press(g: Gate) -> Reason | None:
    """A press raises by at most 1 mA, at most once a second."""
    found = pushed(g)
    if found is None:
        return None
    setting, limits = found.setting, found.session.limits
    if g.rise_ua > limits.rise_ua:
        return Reason("G18", REFUSE, "LIM.STEP", g.channel, g.rise_ua, limits.rise_ua, "uA")
    waited_ms, wait_ms = g.now.mono_ms - setting.raised_ms, ceil_div(g.rise_ua * 1000, limits.rise_ua_per_s)
    if waited_ms < wait_ms:
        return Reason("G18", REFUSE, "LIM.STEP", g.channel, waited_ms, wait_ms, "ms")
    return None


def g19_let_go(g: Gate) -> Reason | None:
    """A burst begins after the button was let go, and one that began below 20 mA stays there."""
    found = pushed(g)
    if found is None:
        return None
    trial, setting = found.trial, found.setting
    up_ms = g.now.mono_ms - trial.held_ms
    if not trial.began_ms and up_ms < HELD_MS:
        return Reason("G19", REFUSE, "CAL.HELD", g.channel, up_ms, HELD_MS, "ms")
    if trial.began_ms and not trial.is_loud and setting.setpoint_ua > LOUD_UA:
        return Reason("G19", REFUSE, "CAL.HELD", g.channel, setting.setpoint_ua, LOUD_UA, "uA")
    return None


def g19_apart(g: Gate) -> Reason | None:
    """Above 20 mA bursts are 4 s apart."""
    found = pushed(g)
    if found is None:
        return None
    trial, setting = found.trial, found.setting
    rested_ms = g.now.mono_ms - trial.ended_ms
    if trial.began_ms or rested_ms >= APART_MS or not (trial.is_loud or setting.setpoint_ua > LOUD_UA):
        return None
    return Reason("G19", REFUSE, "CAL.REST", g.channel, rested_ms, APART_MS, "ms")


def g19_sought(g: Gate) -> Reason | None:
    """Nothing is raised when every threshold was found."""
    found = pushed(g)
    if found is None or g.rise_ua <= 0 or sought(found.trial.marks) is not None:
        return None
    return Reason("G19", REFUSE, "CAL.FOUND", g.channel)


def g28_trial(g: Gate) -> Reason | None:
    """What a calibration reserves fits, with what was given, into 95 % of each of the session's caps."""
    session = g.session
    if session is None:
        return None
    share, limits = trial_dose(session.limits), session.limits
    for index, setting in enumerate(session.settings):
        if setting.plan.channel != g.channel:
            continue
        given = given_by(session, index)
        for asked, cap, unit in (
            (given.nc + share.nc, limits.session_nc, "nC"),
            (given.i2t + share.i2t, limits.session_i2t, "uA^2 us"),
            (given.on_ms + share.on_ms, limits.session_on_ms, "ms"),
        ):
            if asked * PPM > cap * limits.dose_share_ppm:
                allowed = cap * limits.dose_share_ppm // PPM
                return Reason("G28", REFUSE, "DOSE.SESSION", g.channel, asked, allowed, unit)
    return None


def trial_dose(limits: Limits) -> Dose:
    """Give what a calibration reserves: its share of each of the session's caps."""
    share = limits.calibration_ppm
    nc, i2t, on_ms = limits.session_nc, limits.session_i2t, limits.session_on_ms
    return Dose(nc=nc * share // PPM, i2t=i2t * share // PPM, on_ms=on_ms * share // PPM)


def g28_burst(g: Gate) -> Reason | None:
    """A whole burst at this amplitude fits into what is left of the calibration's reservation."""
    found = pushed(g)
    if found is None or found.session.permit is None:
        return None
    given, reserve = given_by(found.session, found.place), found.session.permit.reserve[found.place]
    burst = burst_dose(found.setting, g.station.dead_man_ms)
    for asked, allowed, unit in (
        (given.nc + burst.nc, reserve.nc, "nC"),
        (given.i2t + burst.i2t, reserve.i2t, "uA^2 us"),
        (given.on_ms + burst.on_ms, reserve.on_ms, "ms"),
    ):
        if asked > allowed:
            return Reason("G28", REFUSE, "DOSE.SESSION", g.channel, asked, allowed, unit)
    return None


def burst_dose(setting: Setting, dead_man_ms: int) -> Dose:
    """Give the worst that one burst can deliver: no ramp, and on until the dead man if its end is not heard."""
    return late_dose(setting.plan.train(setting.setpoint_ua), BURST_MS + dead_man_ms)


# The thresholds


def of(marks: tuple[Mark, ...], threshold: Threshold) -> tuple[int | None, ...]:
    """Give the repeats of a threshold."""
    return tuple(mark.ua for mark in marks if mark.threshold is threshold)


def sought(marks: tuple[Mark, ...]) -> Threshold | None:
    """Give the threshold that is looked for next, None when all are found.

    Who does not feel the current has no tolerance that could warn: the maximal threshold is then not looked for.
    """
    numb = of(marks, Threshold.SENSORY) == (None,)
    for threshold in ORDER[:2] if numb else ORDER:
        repeats = of(marks, threshold)
        if repeats != (None,) and len(repeats) < REPEATS:
            return threshold
    return None


def threshold_ua(marks: tuple[Mark, ...], threshold: Threshold) -> int | None:
    """Give the lowest of a threshold's repeats, on which every cap is then built; None where there is none."""
    return min((ua for ua in of(marks, threshold) if ua is not None), default=None)


def is_spread(one_ua: int, other_ua: int) -> bool:
    """Tell whether two repeats lie too far apart to be one threshold."""
    return abs(one_ua - other_ua) * PPM > min(one_ua, other_ua) * SPREAD_PPM


def g19_order(g: Gate) -> Reason | None:
    """Thresholds are found in the order sensory, motor, maximal, none below the one before it."""
    found, wish = pushed(g), g.command.wish
    if found is None or not isinstance(wish, CalibrationMark):
        return None
    trial, setting = found.trial, found.setting
    if wish.threshold is not sought(trial.marks) or (wish.absent and of(trial.marks, wish.threshold)):
        return Reason("G19", REFUSE, "CAL.ORDER", g.channel)
    others = [mark.ua for mark in trial.marks if mark.threshold is not wish.threshold]
    above = [ua for ua in others if ua is not None and ua > setting.setpoint_ua]
    if above and not wish.absent:
        return Reason("G19", REFUSE, "CAL.ORDER", g.channel, setting.setpoint_ua, max(above), "uA")
    return None


def g19_given(g: Gate) -> Reason | None:
    """A threshold stands only where the current has stood: on a burst's plateau at this very set-point."""
    found, wish = pushed(g), g.command.wish
    if found is None or not isinstance(wish, CalibrationMark) or wish.absent:
        return None
    trial, setting = found.trial, found.setting
    if 0 < trial.felt_ua == setting.setpoint_ua:
        return None
    return Reason("G19", REFUSE, "CAL.NOT_GIVEN", g.channel, setting.setpoint_ua, trial.felt_ua, "uA")


TRIAL_BEGIN = (g01_trial, g28_trial)
TRIAL_LOWER = (g01_trial,)
TRIAL_STEP = (g01_trial, g02_button, g18_press, g19_let_go, g19_apart, g19_sought, g28_burst)
TRIAL_HOLD = (g01_trial, g02_button)
TRIAL_MARK = (g19_order, g19_given)
