"""M rules: while a session is on. Each says at most one reason, the worst it sees; a quiet rule returns None."""

from safety.impedance import OPEN_OHM, REFERENCE_MM2
from safety.limits import Modality
from safety.messages import DeviceState, Flaw, Sample
from safety.rules.gate import g08, g09, g10, g11, g12, g13, g14, g15, g16
from safety.rules.views import Lane, Look, Noise, Watch, Word
from safety.units import ceil_div
from safety.verdict import Reason, Severity
from safety.waveform import Train

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
PPM = 1_000_000
SLACK_MS = 200
"""How far a plateau may run over, or a rest fall short, before M20 trips (compiled; safety reference 7.2)."""

PULSE = (g08, g09, g10, g11, g12, g13, g14, g15, g16)
"""The gate rules that judge a pulse; M02 asks them again of every picture."""

# Every tick


def m02(w: Watch) -> Reason | None:
    """The gate's pulse rules and the prescribed train hold for every picture that would flow.

    If not, our own code is wrong. Channels ascend, each once: what is judged is then what a device does.
    """
    if w.wanted is w.station.beat.picture or w.wanted == w.station.beat.picture or w.station.device is None:
        return None
    # Ages are judged as of arming: a calibration that grows old in a session is the next gate's business.
    last, armed_wall_ms = 0, w.wall_ms - (w.now_ms - w.session.course.armed_ms)
    for train in w.wanted.trains:
        setting = next((s for s in w.session.settings if s.plan.channel == train.channel), None)
        if setting is None or train.channel <= last:
            return Reason("M02", LOCK, "SYS.INTERNAL", train.channel, train.channel, last, "channel")
        last = train.channel
        if train.width_us > setting.plan.width_us:
            return Reason("M02", LOCK, "LIM.PULSE_WIDTH", last, train.width_us, setting.plan.width_us, "us")
        if train.period_us < setting.plan.period_us:
            return Reason("M02", LOCK, "LIM.FREQUENCY", last, train.period_us, setting.plan.period_us, "us")
        lane = Lane(w.session.rx, setting.plan, train, w.limits, w.station.device.caps, armed_wall_ms)
        for judge in PULSE:
            found = judge(lane)
            if found is not None:
                return Reason("M02", LOCK, found.code, train.channel, found.asked, found.allowed, found.unit)
    return None


def m03(w: Watch) -> Reason | None:
    """No channel stands above its ramp line: set-point times the time since zero over the ramp, and one device step."""
    if w.station.device is None:
        return None
    ramp_ms, step_ua = max(w.session.rx.programme.ramp_up_ms, 1), w.station.device.caps.step_ua
    trains = {train.channel: train for train in w.wanted.trains}
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        train = trains.get(setting.plan.channel)
        if train is None:
            continue
        risen_ms = w.late_ms + w.station.beat.held_ms if channel.train is None else channel.since_zero_ms
        allowed = setting.setpoint_ua * risen_ms // ramp_ms + step_ua
        if train.ua > min(allowed, setting.setpoint_ua):
            return Reason("M03", STOP, "LIM.STEP", train.channel, train.ua, min(allowed, setting.setpoint_ua), "uA")
    return None


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
        age_ms = min(w.now_ms - channel.contact.fresh_ms, channel.since_zero_ms)
        if age_ms > allowed:
            return Reason("M04", STOP, "IMP.STALE", channel.train.channel, age_ms, allowed, "ms")
    return None


def m05(w: Watch) -> Reason | None:
    """The client that claimed the device has renewed its claim."""
    holder = w.station.holder
    if holder is not None and w.now_ms <= holder.expires_ms:
        return None
    late_ms = w.now_ms - holder.expires_ms if holder else 0
    return Reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, late_ms, 0, "ms")


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

    Below the first mark nothing may be raised, below the second it rests for four minutes.
    """
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        if channel.mu_ppm < w.limits.mu_pause_ppm:
            return Reason("M19", PAUSE, "FAT.REST", setting.plan.channel, channel.mu_ppm, w.limits.mu_pause_ppm, "ppm")
        if channel.mu_ppm < w.limits.mu_hold_ppm:
            return Reason("M19", HOLD, "FAT.REST", setting.plan.channel, channel.mu_ppm, w.limits.mu_hold_ppm, "ppm")
    return None


def m20(w: Watch) -> Reason | None:
    """NMES keeps its rhythm: no plateau longer and no rest shorter than planned, by more than 0.2 s."""
    programme = w.session.rx.programme
    if programme.modality is not Modality.NMES:
        return None
    starting = {train.channel for train in w.wanted.trains}
    for setting, channel in zip(w.session.settings, w.session.channels, strict=True):
        number = setting.plan.channel
        if channel.plateau_ms > programme.on_ms + SLACK_MS:
            return Reason("M20", STOP, "FAT.ON_TIME", number, channel.plateau_ms, programme.on_ms + SLACK_MS, "ms")
        if channel.train is None and number in starting and channel.rest_ms < programme.off_ms - SLACK_MS:
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


def m25(w: Watch) -> Reason | None:
    """The safety loop itself keeps time."""
    late_ms, limits = w.late_ms, w.limits
    if late_ms <= limits.tick_hold_ms:
        return None
    if late_ms > limits.tick_stop_ms:
        return Reason("M25", STOP, "SYS.OVERLOAD", 0, late_ms, limits.tick_stop_ms, "ms")
    if late_ms > limits.tick_pause_ms:
        return Reason("M25", PAUSE, "SYS.OVERLOAD", 0, late_ms, limits.tick_pause_ms, "ms")
    return Reason("M25", HOLD, "SYS.OVERLOAD", 0, late_ms, limits.tick_hold_ms, "ms")


# Every channel of every word of the device


def m01(k: Look) -> Reason | None:
    """No more current than was set, twice in a row."""
    if k.after.in_a_row[1] < 2:
        return None
    return Reason("M01", LOCK, "DEV.READBACK_MISMATCH", k.sample.channel, k.sample.measured_ua, k.sample.ua, "uA")


def m07(k: Look) -> Reason | None:
    """Open: a lead or pad is off. At once, on one reading."""
    sample = k.sample
    if not sample.fresh or k.train is None:
        return None
    limit = OPEN_OHM * REFERENCE_MM2 // k.setting.plan.area_mm2
    baseline = k.before.baseline_ohm
    limit = max(limit, 3 * baseline) if baseline else limit
    if (
        sample.open
        or (k.caps.numeric_impedance and sample.ohm > limit)
        or (k.caps.readback and sample.measured_ua * 2 < k.low_ua)
    ):
        return Reason("M07", STOP, "IMP.OPEN", sample.channel, sample.ohm, limit, "ohm")
    return None


def m08(k: Look) -> Reason | None:
    """Short: bridged pads or a crushed lead, twice in a row."""
    if k.after.in_a_row[0] < 2:
        return None
    return Reason("M08", LOCK, "IMP.SHORT", k.sample.channel, k.sample.ohm, 100, "ohm")


def three_of_five(ohms: tuple[int, ...], limit: int) -> bool:
    """Tell whether at least three of the last five readings lie above the limit."""
    return sum(ohm > limit for ohm in ohms) >= 3


def m09(k: Look) -> Reason | None:
    """Poor contact: impedance above the absolute limit for this pad area."""
    limit = k.limits.poor_ohm * REFERENCE_MM2 // k.setting.plan.area_mm2
    if k.after is k.before or not three_of_five(k.after.recent, limit):
        return None
    return Reason("M09", PAUSE, "IMP.HIGH", k.sample.channel, k.sample.ohm, limit, "ohm")


def m10(k: Look) -> Reason | None:
    """Peeling: impedance above its own baseline by the factor of the sensation class."""
    if k.after is k.before or not k.after.baseline_ohm:
        return None
    limit = k.after.baseline_ohm * k.limits.ratio_ppm // PPM
    if not three_of_five(k.after.recent, limit):
        return None
    return Reason("M10", PAUSE, "IMP.DRIFT", k.sample.channel, k.sample.ohm, limit, "ohm")


def m11(k: Look) -> Reason | None:
    """Step: impedance jumps between neighbouring plateau readings. At once."""
    recent = k.after.recent
    if k.after is k.before or len(recent) < 2 or recent is k.before.recent:
        return None
    change, last = abs(recent[-1] - recent[-2]), recent[-2]
    if change * PPM <= last * k.limits.jump_ppm:
        return None
    return Reason("M11", PAUSE, "IMP.DRIFT", k.sample.channel, change, last * k.limits.jump_ppm // PPM, "ohm")


def m12(k: Look) -> Reason | None:
    """Drying: impedance rises by more than a tenth a minute, two minutes running."""
    if len(k.after.minutes) < 3:
        return None
    first, second, third = (ohm for _, ohm in k.after.minutes)
    factor = PPM + k.limits.drift_ppm
    if second * PPM > first * factor and third * PPM > second * factor:
        return Reason("M12", HOLD, "IMP.DRIFT", k.sample.channel, third, second * factor // PPM, "ohm")
    return None


def m13(k: Look) -> Reason | None:
    """Fall: impedance drops fast within 10 s, as when gel or sweat forms a bridge."""
    if k.after is k.before or not k.after.medians:
        return None
    peak = max(ohm for _, ohm in k.after.medians)
    floor = peak * (PPM - k.limits.fall_ppm) // PPM
    if sum(ohm < floor for ohm in k.after.recent) < 3:
        return None
    return Reason("M13", PAUSE, "IMP.FALL", k.sample.channel, k.sample.ohm, floor, "ohm")


def m14(k: Look) -> Reason | None:
    """Clipping: the set current is not reached, and would jump up when the pad is pressed on."""
    clipped = k.sample.clipped
    if clipped >= k.limits.clip_pause:
        return Reason("M14", PAUSE, "IMP.CLIP", k.sample.channel, clipped, k.limits.clip_pause, "pulses")
    if clipped >= k.limits.clip_hold:
        return Reason("M14", HOLD, "IMP.CLIP", k.sample.channel, clipped, k.limits.clip_hold, "pulses")
    return None


NOTHING = Train(0, 0, 0, 0, 0)


def m27(k: Look) -> Reason | None:
    """The device does what it was told: the picture that it echoes is the picture that was sent."""
    if not k.settled:
        return None
    told, echo = k.train or NOTHING, k.sample
    if (echo.ua, echo.width_us, echo.gap_us, echo.period_us) == told[1:]:
        return None
    return Reason("M27", LOCK, "DEV.READBACK_MISMATCH", echo.channel, echo.ua, told.ua, "uA")


# Every word of the device, as a whole


def m04_stopped(word: Word) -> Reason | None:
    """A device that was armed says it is stopped: its dead man or its envelope has acted before us."""
    if word.after.state in (DeviceState.ARMED, DeviceState.RUNNING):
        return None
    return Reason("M04", STOP, "DEV.WATCHDOG", 0, word.after.faults, 0, "fault bits")


def m23_button(word: Word) -> Reason | None:
    """The patient's button is down, or was pressed since the last word."""
    if not word.after.button and word.after.presses == word.before.presses:
        return None
    return Reason("M23", STOP, "SES.PATIENT_STOP")


def m27_still(word: Word) -> Reason | None:
    """A device that nothing was granted to is off."""
    if word.after.state not in (DeviceState.ARMED, DeviceState.RUNNING):
        return None
    return Reason("M27", LOCK, "DEV.READBACK_MISMATCH")


def m28(word: Word) -> Reason | None:
    """Supply voltage inside its band; far outside it the device cannot be trusted at all."""
    low, high = word.caps.supply_min_mv, word.caps.supply_max_mv
    if low is None or high is None or low <= word.after.supply_mv <= high:
        return None
    severity = STOP if word.after.supply_mv * 10 < low * 9 or word.after.supply_mv * 10 > high * 11 else PAUSE
    allowed = low if word.after.supply_mv < low else high
    return Reason("M28", severity, "DEV.SUPPLY", 0, word.after.supply_mv, allowed, "mV")


def m30(word: Word) -> Reason | None:
    """The device has not restarted: same boot number, uptime and frame counter do not run backwards."""
    before, after = word.before, word.after
    if after.boot == before.boot and after.uptime_ms >= before.uptime_ms and after.frames >= before.frames:
        return None
    return Reason("M30", STOP, "DEV.RESET", 0, after.uptime_ms, before.uptime_ms, "ms")


def m26(noise: Noise) -> Reason | None:
    """What the device sends can be read, and it does not refuse.

    Twice in a second pauses, three times or one unknown word stops.
    """
    count = len(noise.times)
    if noise.flaw is Flaw.UNKNOWN or (noise.flaw is Flaw.REFUSED and noise.energising):
        code = "DEV.PROTOCOL" if noise.flaw is Flaw.UNKNOWN else "DEV.NAK"
        return Reason("M26", STOP, code, 0, 1, 0, "words")
    if count >= 3:
        return Reason("M26", STOP, "DEV.PROTOCOL", 0, count, 2, "words")
    if count == 2:
        return Reason("M26", PAUSE, "DEV.PROTOCOL", 0, count, 1, "words")
    return None


STOP_AGAIN_MS = 100
CUT_MS = 250
ALARM_MS = 500


STRAY_UA = 2_000
"""Test pulses are at most this; more than this without a grant is therapy that nobody permitted."""


def m29_stray(samples: tuple[Sample, ...]) -> Reason | None:
    """No pulse is given while nothing is granted: a stage that sticks gives them, whatever its firmware says."""
    for sample in samples:
        if sample.fresh and sample.measured_ua > STRAY_UA:
            return Reason("M29", LOCK, "DEV.STRAY_CURRENT", sample.channel, sample.measured_ua, STRAY_UA, "uA")
    return None


def m29(waited_ms: int) -> Reason | None:
    """A stop is confirmed by the device within 500 ms; after that somebody must look."""
    if waited_ms < ALARM_MS:
        return None
    return Reason("M29", LOCK, "DEV.STOP_UNCONFIRMED", 0, waited_ms, ALARM_MS, "ms")


TICK = (m25, m04, m03, m02, m18, m20, m21, m19, m05)
TICK_ARMED = (m25, m04, m21, m05)
TICK_PAUSED = (m04, m21)
TICK_PREPARED = (m04,)
HEARD = (m01, m08, m27, m07, m11, m09, m10, m13, m14, m12)
WORD = (m30, m23_button, m04_stopped, m28)
WORD_STILL = (m30, m23_button, m28)
WORD_UNGRANTED = (m27_still,)
