"""M rules of a tick: what the session has given and may still give, the rhythm, and the beat of the loop itself."""

from safety.dose import SLACK_MS, near_ms
from safety.fatigue import RESTED_PPM
from safety.limits import Modality, Sensation
from safety.rules.pulse import g08, g09, g10, g11, g12, g13, g14, g15, g16
from safety.rules.trial import g08_trial
from safety.rules.views import Lane, Watch, is_held
from safety.units import ceil_div
from safety.verdict import Reason, Severity

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
PPM = 1_000_000
UNEVEN_MS = 10_000
"""How long a pair may differ from its twin before M15 trips (safety reference 7.2)."""

PULSE = (g08, g09, g10, g11, g12, g13, g14, g15, g16)
"""The gate rules that judge a pulse; M02 asks them again of every picture."""
PULSE_TRIAL = (g08_trial, *PULSE[1:])
"""The same for a calibration, which is looking for the thresholds that G08 would bind by."""


def m25(w: Watch) -> Reason | None:
    """The safety loop itself keeps time; what holds lets go where it is half as late."""
    late_ms, limits, hold_ms = w.late_ms, w.limits, w.limits.tick_hold_ms
    if w.station.holds and is_held(w.station.holds, "M25", 0):
        hold_ms = (hold_ms + w.station.config.times.tick_ms) // 2
    if late_ms <= hold_ms:
        return None
    if late_ms > limits.tick_stop_ms:
        return Reason("M25", STOP, "SYS.OVERLOAD", 0, late_ms, limits.tick_stop_ms, "ms")
    if late_ms > limits.tick_pause_ms:
        return Reason("M25", PAUSE, "SYS.OVERLOAD", 0, late_ms, limits.tick_pause_ms, "ms")
    return Reason("M25", HOLD, "SYS.OVERLOAD", 0, late_ms, hold_ms, "ms")


def m04(w: Watch) -> Reason | None:
    """The device's last word is young; silence is not consent. Also each fitted measurement of a channel that is on."""
    times, limits = w.station.config.times, w.limits
    age_ms = w.now_ms - w.station.beat.heard_ms
    for severity, allowed in (
        (STOP, min(times.silence_stop_ms, limits.silence_stop_ms)),
        (PAUSE, min(times.silence_pause_ms, limits.silence_pause_ms)),
        (HOLD, min(times.silence_hold_ms, limits.silence_hold_ms)),
    ):
        if age_ms > allowed:
            return Reason("M04", severity, "DEV.LOST", 0, age_ms, allowed, "ms")
    if w.station.device is None or not w.station.device.caps.numeric_impedance:
        return None
    for channel in w.session.channels:
        if channel.train is None:
            continue
        allowed = 2 * ceil_div(channel.train.period_us, 1000) + times.silence_pause_ms
        age_ms = min(w.now_ms - channel.contact.fresh_ms, channel.pull_ms)
        if age_ms > allowed:
            return Reason("M04", STOP, "IMP.STALE", channel.train.channel, age_ms, allowed, "ms")
    return None


def m03(w: Watch) -> Reason | None:
    """No channel stands above its ramp line: set-point times the time since the ramp left zero over the ramp.

    A ramp has left zero before the device can show it: that time counts, as if it stood one device step higher.
    """
    if w.station.device is None:
        return None
    step_ua = w.station.device.caps.step_ua
    ramp_ms = max(w.session.programme.ramp_up_ms, 1)
    trains = {train.channel: train for train in w.wanted.trains}
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        train = trains.get(setting.plan.channel)
        if train is None:
            continue
        risen_ms = channel.since_zero_ms
        if channel.train is None:
            risen_ms = w.late_ms + w.station.beat.held_ms + near_ms(ramp_ms, setting.setpoint_ua, step_ua)
        allowed = setting.setpoint_ua * risen_ms // ramp_ms
        if train.ua > min(allowed, setting.setpoint_ua):
            return Reason("M03", STOP, "LIM.STEP", train.channel, train.ua, min(allowed, setting.setpoint_ua), "uA")
    return None


def m02(w: Watch) -> Reason | None:
    """The gate's pulse rules and the prescribed train hold for every picture that would flow.

    If not, our own code is wrong. Channels ascend, each once: what is judged is then what a device does.
    """
    if w.wanted == w.station.beat.picture or w.station.device is None:
        return None
    # Ages are judged as of arming: a calibration that grows old in a session is the next gate's business.
    last, armed_wall_ms, trial = 0, w.wall_ms - (w.now_ms - w.session.course.armed_ms), w.session.trial
    for train in w.wanted.trains:
        setting = next((s for s in w.session.settings if s.plan.channel == train.channel), None)
        stray = trial is not None and train.channel != trial.channel
        if setting is None or train.channel <= last or stray:
            return Reason("M02", LOCK, "SYS.INTERNAL", train.channel, train.channel, last, "channel")
        last = train.channel
        if train.width_us > setting.plan.width_us:
            return Reason("M02", LOCK, "LIM.PULSE_WIDTH", last, train.width_us, setting.plan.width_us, "us")
        if train.period_us < setting.plan.period_us:
            return Reason("M02", LOCK, "LIM.FREQUENCY", last, train.period_us, setting.plan.period_us, "us")
        lane = Lane(w.session.rx, setting.plan, train, w.limits, w.station.device.caps, armed_wall_ms)
        for judge in PULSE if trial is None else PULSE_TRIAL:
            found = judge(lane)
            if found is not None:
                return Reason("M02", LOCK, found.code, train.channel, found.asked, found.allowed, found.unit)
    return None


def m18(w: Watch) -> Reason | None:
    """Dose of the session per channel, counted up.

    Charge, I2t, on-time; pause at 95 % of a cap, stop at the cap or at the reservation's end.
    """
    permit, limits, course = w.session.permit, w.limits, w.session.course
    found = None
    for index, (setting, channel) in enumerate(zip(w.session.settings, w.session.channels, strict=True)):
        number = setting.plan.channel
        nc, i2t, on_ms = channel.spent
        nc = max(nc, course.base_nc[index] + course.seen_nc[index])
        if permit is not None and nc > permit.reserve[index].nc:
            return Reason("M18", STOP, "DOSE.SESSION", number, nc, permit.reserve[index].nc, "nC")
        for asked, cap, unit in (
            (nc, limits.session_nc, "nC"),
            (i2t, limits.session_i2t, "uA^2 us"),
            (on_ms, limits.session_on_ms, "ms"),
        ):
            if asked >= cap:
                return Reason("M18", STOP, "DOSE.SESSION", number, asked, cap, unit)
            if asked * PPM >= cap * limits.dose_share_ppm:
                found = Reason("M18", PAUSE, "DOSE.SESSION", number, asked, cap * limits.dose_share_ppm // PPM, unit)
    return found


def m19(w: Watch) -> Reason | None:
    """The fatigue bound of each muscle.

    Below the first mark nothing may be raised until it is back half of the way, below the second it rests for four
    minutes.
    """
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        if channel.mu_ppm < w.limits.mu_pause_ppm:
            return Reason("M19", PAUSE, "FAT.REST", setting.plan.channel, channel.mu_ppm, w.limits.mu_pause_ppm, "ppm")
        hold_ppm = w.limits.mu_hold_ppm
        if is_held(w.station.holds, "M19", setting.plan.channel):
            hold_ppm = (hold_ppm + RESTED_PPM) // 2
        if channel.mu_ppm < hold_ppm:
            return Reason("M19", HOLD, "FAT.REST", setting.plan.channel, channel.mu_ppm, hold_ppm, "ppm")
    return None


def m20(w: Watch) -> Reason | None:
    """NMES keeps its rhythm: no plateau or contraction longer, no rest shorter than planned, by more than 0.2 s.

    A ramp passes the last device step below the set-point: that counts as plateau, and is allowed for. A contraction
    that was at zero for a moment in its rise (the set-point was lowered) has had no rest, and needs none yet.
    """
    programme = w.session.rx.programme
    if programme.modality is not Modality.NMES or w.station.device is None:
        return None
    ramps_ms, step_ua = programme.ramp_up_ms + programme.ramp_down_ms, w.station.device.caps.step_ua
    starting = {train.channel for train in w.wanted.trains}
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        number = setting.plan.channel
        if channel.pull_ms > programme.active_ms + SLACK_MS:
            return Reason("M20", STOP, "FAT.ON_TIME", number, channel.pull_ms, programme.active_ms + SLACK_MS, "ms")
        allowed = programme.on_ms + SLACK_MS + near_ms(ramps_ms, setting.setpoint_ua, step_ua)
        if channel.plateau_ms > allowed:
            return Reason("M20", STOP, "FAT.ON_TIME", number, channel.plateau_ms, allowed, "ms")
        begins = channel.train is None and number in starting and channel.pull_ms > programme.ramp_up_ms
        if begins and channel.rest_ms < programme.off_ms - SLACK_MS:
            return Reason("M20", STOP, "FAT.DUTY", number, channel.rest_ms, programme.off_ms - SLACK_MS, "ms")
    return None


def m21(w: Watch) -> Reason | None:
    """The session ends: played therapy time, and one and a half times of it on the wall."""
    course, planned_ms = w.session.course, min(w.session.rx.programme.therapy_ms, w.limits.therapy_ms)
    if course.played_ms > planned_ms:
        return Reason("M21", STOP, "DOSE.TIME", 0, course.played_ms, planned_ms, "ms")
    if w.session.permit is not None and w.now_ms > w.session.permit.ends_mono_ms:
        return Reason("M21", STOP, "DOSE.TIME", 0, w.now_ms, w.session.permit.ends_mono_ms, "ms")
    if course.first_run_ms and (w.now_ms - course.first_run_ms) * 2 > planned_ms * 3:
        return Reason("M21", STOP, "DOSE.TIME", 0, w.now_ms - course.first_run_ms, planned_ms * 3 // 2, "ms")
    return None


def m15(w: Watch) -> Reason | None:
    """Like pairs on both sides age alike: one that departs from its twin for 10 s is losing contact, or is bridged."""
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        since_ms = channel.contact.past.uneven_ms
        if since_ms and w.now_ms - since_ms > UNEVEN_MS:
            severity = HOLD if w.session.rx.sensation is Sensation.S0 else PAUSE
            asked = w.now_ms - since_ms
            return Reason("M15", severity, "IMP.UNEVEN", setting.plan.channel, asked, UNEVEN_MS, "ms")
    return None


def m31(w: Watch) -> Reason | None:
    """The wall clock keeps step with the boot clock: rests and doses are counted across sessions by it."""
    step_ms = abs(w.wall_ms - w.now_ms - w.session.course.clock_ms)
    if step_ms <= w.limits.clock_step_ms:
        return None
    return Reason("M31", PAUSE, "SYS.CLOCK", 0, step_ms, w.limits.clock_step_ms, "ms")


def m32(w: Watch) -> Reason | None:
    """What happens reaches the disk; what cannot be recorded is not done."""
    if w.unsynced_ms <= w.limits.journal_ms:
        return None
    return Reason("M32", STOP, "SYS.AUDIT_UNWRITABLE", 0, w.unsynced_ms, w.limits.journal_ms, "ms")


def m34(w: Watch) -> Reason | None:
    """The session's hold on its patient has not run out; a newer token stops at once (facts.fenced)."""
    ends_ms = w.session.care.hold_ends_ms
    if not ends_ms or w.now_ms < ends_ms:
        return None
    return Reason("M34", STOP, "SES.FENCED", 0, w.now_ms, ends_ms, "ms")


def m35(w: Watch) -> Reason | None:
    """NMES: no contraction begins beyond those of a set, and none beyond those of a session."""
    programme = w.session.rx.programme
    if programme.modality is not Modality.NMES:
        return None
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        of_set, of_session = channel.pulls
        if of_set < w.limits.pulls_set and of_session < w.limits.pulls_session:
            continue
        number = setting.plan.channel
        starting = channel.train is None and any(train.channel == number for train in w.wanted.trains)
        if not starting or channel.rest_ms < programme.off_ms - SLACK_MS:
            continue
        if of_session >= w.limits.pulls_session:
            return Reason("M35", STOP, "FAT.SET", number, of_session + 1, w.limits.pulls_session, "contractions")
        return Reason("M35", PAUSE, "FAT.SET", number, of_set + 1, w.limits.pulls_set, "contractions")
    return None
