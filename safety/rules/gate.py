"""G rules of the session as it would be, and of the device that would give it.

Before a session, and again before every wish that could let current flow or raise it. A gate rule refuses; it never
changes a figure. The wish itself is judged in wish.py, the pulse in pulse.py, the skin in skin.py.
"""

from safety.dose import given_by, is_plateau
from safety.fatigue import REST_MS
from safety.limits import Modality
from safety.messages import DeviceState
from safety.prescription import NMES_FAST_US, late_dose, worst_dose
from safety.rules.views import Gate
from safety.state import Phase, Session
from safety.units import ceil_div
from safety.verdict import Reason, Scope, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
ACCURACY_PPM = 200_000
"""A device that measures worse than this would blind M01 (IEC 60601-2-10 201.12.1.102 asks for 20 %, from memory)."""


def g04(g: Gate) -> Reason | None:
    """The prescription stands: not expired, no longer than this class of patient may be treated at once."""
    if g.session is None:
        return None
    rx = g.session.rx
    if g.now.wall_ms > rx.valid_until_wall_ms:
        return Reason("G04", REFUSE, "RX.EXPIRED", 0, g.now.wall_ms, rx.valid_until_wall_ms, "ms")
    if rx.programme.therapy_ms > g.session.limits.therapy_ms:
        return Reason("G04", REFUSE, "LIM.DURATION", 0, rx.programme.therapy_ms, g.session.limits.therapy_ms, "ms")
    return None


def g17(g: Gate) -> Reason | None:
    """Duty law.

    NMES above 10 Hz: a bounded plateau and at least so much rest for each on-time; TENS may be continuous.
    """
    if g.session is None or g.session.rx.programme.modality is Modality.TENS:
        return None
    programme, limits = g.session.rx.programme, g.session.limits
    if all(plan.period_us >= NMES_FAST_US for plan in g.session.rx.channels):
        return None
    if programme.on_ms > limits.on_ms:
        return Reason("G17", REFUSE, "FAT.ON_TIME", 0, programme.on_ms, limits.on_ms, "ms")
    if programme.off_ms * PPM < programme.on_ms * limits.rest_ratio_ppm:
        allowed_ms = ceil_div(programme.on_ms * limits.rest_ratio_ppm, PPM)
        return Reason("G17", REFUSE, "FAT.DUTY", 0, programme.off_ms, allowed_ms, "ms")
    return None


def g18(g: Gate) -> Reason | None:
    """Speeds.

    The programme ramps at least so long from zero; a set-point rises by at most 1 mA, once a second, on the
    plateau.
    """
    if g.session is None:
        return None
    limits, programme = g.session.limits, g.session.rx.programme
    if programme.ramp_up_ms < limits.ramp_ms:
        return Reason("G18", REFUSE, "LIM.STEP", 0, programme.ramp_up_ms, limits.ramp_ms, "ms")
    if g.rise_ua <= 0:
        return None
    if g.rise_ua > limits.rise_ua:
        return Reason("G18", REFUSE, "LIM.STEP", g.channel, g.rise_ua, limits.rise_ua, "uA")
    for setting, channel in zip(g.session.settings, g.session.channels, strict=True):
        if setting.plan.channel != g.channel:
            continue
        wait_ms = ceil_div(g.rise_ua * 1000, limits.rise_ua_per_s)
        if g.now.mono_ms - setting.raised_ms < wait_ms:
            return Reason("G18", REFUSE, "LIM.STEP", g.channel, g.now.mono_ms - setting.raised_ms, wait_ms, "ms")
        step_ua = g.station.device.caps.step_ua if g.station.device else 0
        ua = channel.train.ua if channel.train else 0
        if not is_plateau(ua, setting.setpoint_ua - g.rise_ua, step_ua):
            return Reason("G18", REFUSE, "LIM.STEP", g.channel, 0, 1, "ms on the plateau")
    return None


def g23(g: Gate) -> Reason | None:
    """The device is known, of the kind this site expects, has spoken lately, and is stopped (or armed by us)."""
    device, config = g.station.device, g.station.config
    if device is None:
        return Reason("G23", REFUSE, "DEV.LOST")
    silent_ms = g.now.mono_ms - g.station.beat.heard_ms
    if silent_ms > config.times.silence_hold_ms:
        return Reason("G23", REFUSE, "DEV.LOST", 0, silent_ms, config.times.silence_hold_ms, "ms")
    if device.identity.model not in config.models or device.identity.emulator is not config.emulator:
        return Reason("G23", REFUSE, "RX.DEVICE_MISMATCH")
    if device.caps.accuracy_ppm > ACCURACY_PPM:
        return Reason("G23", REFUSE, "RX.DEVICE_MISMATCH", 0, device.caps.accuracy_ppm, ACCURACY_PPM, "ppm")
    armed = g.station.phase in (Phase.ARMED, Phase.RUNNING, Phase.CALIBRATING)
    if (device.status.state is not DeviceState.STOPPED and not armed) or g.station.stopping is not None:
        return Reason("G23", REFUSE, "DEV.WATCHDOG")
    return None


def g27(g: Gate) -> Reason | None:
    """No latch stands for the device, the session, this patient or this patient's site; and no rule holds."""
    keys = montage_keys(g.session.rx.patient, g.session) if g.session else ()
    for latch in g.station.latches:
        if latch.scope not in (Scope.MONTAGE, Scope.PATIENT) or latch.key in keys:
            return Reason("G27", REFUSE, "FLT.LATCHED", 0, latch.id, 0, "latch")
    for hold in g.station.holds:
        return Reason(
            "G27",
            REFUSE,
            hold.reason.code,
            hold.reason.channel,
            hold.reason.asked,
            hold.reason.allowed,
            hold.reason.unit,
        )
    return None


def montage_keys(patient: str, session: Session) -> tuple[str, ...]:
    """Name a session's patient, and each of the patient's sites, as their latches are keyed."""
    return (patient, *(f"{patient}/{setting.plan.site}" for setting in session.settings))


def g28(g: Gate) -> Reason | None:
    """The worst dose of what is left, with what was given and what a lost stop gives, fits into 95 % of each cap."""
    if g.session is None:
        return None
    limits, programme = g.session.limits, g.session.rx.programme
    left_ms = max(0, programme.therapy_ms - g.session.course.played_ms)
    for index, setting in enumerate(g.session.settings):
        dose = worst_dose(setting.plan, programme, setting.setpoint_ua, left_ms)
        late = late_dose(setting.plan.train(setting.setpoint_ua), g.station.dead_man_ms)
        whole = given_by(g.session, index) + dose + late
        for asked, cap, unit in (
            (whole.nc, limits.session_nc, "nC"),
            (whole.i2t, limits.session_i2t, "uA^2 us"),
            (whole.on_ms, limits.session_on_ms, "ms"),
        ):
            if asked * PPM > cap * limits.dose_share_ppm:
                allowed = cap * limits.dose_share_ppm // PPM
                return Reason("G28", REFUSE, "DOSE.SESSION", setting.plan.channel, asked, allowed, unit)
    return None


def m19_rest(g: Gate) -> Reason | None:
    """M19's latched rest: after a pause for fatigue nothing runs for four minutes."""
    if g.session is None or g.session.course.rest_from_ms == 0:
        return None
    rested_ms = g.now.mono_ms - g.session.course.rest_from_ms
    if rested_ms < REST_MS:
        return Reason("M19", REFUSE, "FAT.REST", 0, rested_ms, REST_MS, "ms")
    return None
