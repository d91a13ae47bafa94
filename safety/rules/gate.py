"""G rules.

Before a session, and again before every wish that could let current flow or raise it. A gate rule refuses; it never
changes a figure.
"""

from safety.dose import is_plateau
from safety.fatigue import REST_MS
from safety.impedance import OPEN_OHM, SHORT_OHM, scaled_ohm
from safety.limits import Modality, Sensation
from safety.messages import Adjust, Check, ClearLatch, DeviceState, Prepare, Verb
from safety.prescription import NMES_FAST_US, worst_dose
from safety.rules.views import Gate, Lane, Skin
from safety.state import Phase, Session
from safety.units import ceil_div, is_whole
from safety.verdict import Reason, Scope, Severity
from safety.waveform import (
    density_exceeds,
    direct_ua,
    energy_exceeds,
    phase_nc,
    power_exceeds,
    pulse_i2t,
    rms_exceeds,
    rms_ua,
    root_up,
)

REFUSE = Severity.REFUSE
PPM = 1_000_000
ACCURACY_PPM = 200_000
"""A device that measures worse than this would blind M01 (IEC 60601-2-10 201.12.1.102 asks for 20 %, from memory)."""
CALIBRATION_MS = 7 * 86_400_000
"""Age at which a calibration no longer counts (G19's default; engineering default)."""

# The wish itself


def g01(g: Gate) -> Reason | None:
    """Every number of the wish is whole and in a range that makes sense; every channel belongs to the session."""
    wish = g.command.wish
    channels: tuple[int, ...] = ()
    if isinstance(wish, Adjust):
        if not is_whole(wish.delta_ua, -200_000, 200_000) or wish.delta_ua == 0:
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 200_000, "uA")
        channels = (wish.channel,)
    elif isinstance(wish, Check):
        channels = wish.channels
    elif isinstance(wish, Prepare):
        channels = tuple(channel for channel, _ in wish.pads)
        barcodes = [barcode for _, each in wish.pads for barcode in each]
        if len(set(channels)) < len(channels) or len(set(barcodes)) < len(barcodes) or not all(barcodes):
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "pads")
        longest_ms = g.session.rx.programme.therapy_ms - 1 if g.session else 0
        if not is_whole(wish.played_ms, 0, longest_ms):
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, wish.played_ms, longest_ms, "ms")
    elif isinstance(wish, ClearLatch) and not wish.reason.strip():
        return Reason("G01", REFUSE, "CMD.SCHEMA")
    known = {setting.plan.channel for setting in g.session.settings} if g.session else set()
    for channel in channels:
        if type(channel) is not int or channel not in known:
            return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "channel")
    return None


MUST_EXPECT = frozenset({Verb.ARM, Verb.START, Verb.RESUME})


def g02(g: Gate) -> Reason | None:
    """The wish is young, not retained, and its sender saw the state that we are in.

    Where current would flow it must say what it saw.
    """
    command, limits, station = g.command, g.station.config.general, g.station
    age_ms = g.now.wall_ms - command.issued_wall_ms
    if command.retained:
        return Reason("G02", REFUSE, "CMD.RETAINED")
    if age_ms < -limits.clock_skew_ms:
        return Reason("G02", REFUSE, "CMD.CLOCK_SKEW", 0, -age_ms, limits.clock_skew_ms, "ms")
    if age_ms > limits.command_age_ms:
        return Reason("G02", REFUSE, "CMD.EXPIRED", 0, age_ms, limits.command_age_ms, "ms")
    if g.now.wall_ms > command.expires_wall_ms:
        return Reason("G02", REFUSE, "CMD.EXPIRED", 0, g.now.wall_ms - command.expires_wall_ms, 0, "ms")
    seen, session_id = command.expect, station.session.id if station.session else ""
    if (command.verb in MUST_EXPECT or g.rise_ua > 0) and None in (seen.boot_id, seen.session_id, seen.state_version):
        return Reason("G02", REFUSE, "CMD.PRECONDITION")
    if seen.boot_id not in (None, station.boot_id) or seen.session_id not in (None, session_id):
        return Reason("G02", REFUSE, "CMD.PRECONDITION")
    if seen.state_version not in (None, station.tally.version):
        return Reason(
            "G02", REFUSE, "CMD.PRECONDITION", 0, seen.state_version or 0, station.tally.version, "state version"
        )
    return None


# The session as it would be


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
    armed = g.station.phase in (Phase.ARMED, Phase.RUNNING)
    if (device.status.state is not DeviceState.STOPPED and not armed) or g.station.stopping is not None:
        return Reason("G23", REFUSE, "DEV.WATCHDOG")
    return None


def g27(g: Gate) -> Reason | None:
    """No latch stands for the device, the session, or this patient's site; and no rule holds."""
    for latch in g.station.latches:
        if latch.scope is not Scope.MONTAGE or (
            g.session and latch.key in montage_keys(g.session.rx.patient, g.session)
        ):
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
    """Name each patient-and-site of a session, as a montage latch is keyed."""
    return tuple(f"{patient}/{setting.plan.site}" for setting in session.settings)


def g28(g: Gate) -> Reason | None:
    """The worst dose of what is left, with what was given, fits into 95 % of each of the session's caps."""
    if g.session is None:
        return None
    limits, course = g.session.limits, g.session.course
    programme = g.session.rx.programme
    left_ms = max(0, programme.therapy_ms - course.played_ms)
    for index, (setting, channel) in enumerate(zip(g.session.settings, g.session.channels, strict=True)):
        dose = worst_dose(setting.plan, programme, setting.setpoint_ua, left_ms)
        nc, i2t, on_ms = channel.spent
        given_nc = max(nc, course.base_nc[index] + course.seen_nc[index])
        for asked, cap, unit in (
            (given_nc + dose.nc, limits.session_nc, "nC"),
            (i2t + dose.i2t, limits.session_i2t, "uA^2 us"),
            (on_ms + dose.on_ms, limits.session_on_ms, "ms"),
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


# The pulse, judged before it is allowed and again whenever the picture changes (M02)


def cap_ua(lane: Lane) -> int:
    """Give the highest amplitude allowed on this channel.

    Device, site, prescription window, sensation class, calibration; 0 if none may flow. A calibration that is too
    old, or from the future, permits nothing more and still binds.
    """
    plan, limits, rx = lane.plan, lane.limits, lane.rx
    cap = min(lane.caps.max_ua, limits.amplitude_ua, plan.max_ua)
    calibration = plan.calibration
    motor, maximal = (calibration.motor_ua, calibration.maximal_ua) if calibration else (None, None)
    counts = calibration is not None and (
        -limits.clock_skew_ms <= lane.wall_ms - calibration.at_wall_ms <= CALIBRATION_MS
    )
    if rx.programme.modality is Modality.TENS and maximal is not None:
        cap = min(cap, maximal * limits.tens_tolerance_ppm // PPM)
    if rx.sensation is Sensation.S0:
        cap = cap if maximal is None else min(cap, maximal)
        return cap if counts and maximal is not None else min(cap, limits.uncalibrated_ua)
    needs_motor = rx.programme.modality is Modality.NMES
    if needs_motor and (not counts or motor is None or (maximal is None and rx.sensation is Sensation.S1)):
        return 0
    if maximal is not None:
        cap = min(cap, maximal * 8 // 10)
    if motor is not None:
        cap = min(cap, motor * 2 if rx.sensation is Sensation.S1 else motor * 12 // 10)
    return cap


def g08(lane: Lane) -> Reason | None:
    """Amplitude within device, site, window, class and calibration."""
    allowed = cap_ua(lane)
    if 0 < lane.train.ua <= allowed:
        return None
    code = "LIM.TOLERANCE" if allowed < min(lane.caps.max_ua, lane.limits.amplitude_ua) else "LIM.CURRENT"
    return Reason("G08", REFUSE, code, lane.plan.channel, lane.train.ua, allowed, "uA")


def g09(lane: Lane) -> Reason | None:
    """Pulse width within bounds."""
    asked, low, high = lane.train.width_us, lane.limits.width_min_us, lane.limits.width_us
    if low <= asked <= high:
        return None
    return Reason("G09", REFUSE, "LIM.PULSE_WIDTH", lane.plan.channel, asked, min(max(asked, low), high), "us")


def g10(lane: Lane) -> Reason | None:
    """Pulse rate within bounds, judged on the period."""
    asked, low, high = lane.train.period_us, lane.limits.period_min_us, lane.limits.period_max_us
    if low <= asked <= high:
        return None
    return Reason("G10", REFUSE, "LIM.FREQUENCY", lane.plan.channel, asked, min(max(asked, low), high), "us")


def g11(lane: Lane) -> Reason | None:
    """Charge of one phase."""
    if phase_nc(lane.train) <= lane.limits.phase_charge_nc:
        return None
    return Reason(
        "G11", REFUSE, "LIM.CHARGE", lane.plan.channel, phase_nc(lane.train), lane.limits.phase_charge_nc, "nC"
    )


def g12(lane: Lane) -> Reason | None:
    """Root-mean-square current of the train."""
    if not rms_exceeds(lane.train, lane.limits.rms_ua):
        return None
    return Reason("G12", REFUSE, "LIM.RMS", lane.plan.channel, rms_ua(lane.train), lane.limits.rms_ua, "uA")


def g13(lane: Lane) -> Reason | None:
    """Root-mean-square current density under the smaller pad."""
    limit = lane.limits.density_ua_cm2
    if not density_exceeds(lane.train, lane.plan.area_mm2, limit):
        return None
    area = lane.plan.area_mm2
    asked = root_up(ceil_div(pulse_i2t(lane.train) * 10_000, lane.train.period_us * area * area))
    return Reason("G13", REFUSE, "LIM.CHARGE_DENSITY", lane.plan.channel, asked, limit, "uA/cm2")


def g14(lane: Lane) -> Reason | None:
    """Power density into 500 ohm under the smaller pad."""
    limit = lane.limits.power_uw_cm2
    if not power_exceeds(lane.train, lane.plan.area_mm2, limit):
        return None
    asked = ceil_div(500 * pulse_i2t(lane.train) * 100, lane.plan.area_mm2 * lane.train.period_us * 1_000_000)
    return Reason("G14", REFUSE, "LIM.POWER", lane.plan.channel, asked, limit, "uW/cm2")


def g15(lane: Lane) -> Reason | None:
    """Energy of one pulse into 500 ohm."""
    if not energy_exceeds(lane.train, lane.limits.pulse_energy_uj):
        return None
    asked = ceil_div(500 * pulse_i2t(lane.train), 1_000_000_000_000)
    return Reason("G15", REFUSE, "LIM.ENERGY", lane.plan.channel, asked, lane.limits.pulse_energy_uj, "uJ")


def g16(lane: Lane) -> Reason | None:
    """Charge balance.

    Both phases are equal by design; the device's worst mismatch leaves only so much direct current.
    """
    limits, mismatch_ppm = lane.limits, lane.caps.mismatch_ppm
    if mismatch_ppm > limits.mismatch_ppm:
        return Reason("G16", REFUSE, "LIM.CHARGE_BALANCE", lane.plan.channel, mismatch_ppm, limits.mismatch_ppm, "ppm")
    asked = direct_ua(lane.train, mismatch_ppm)
    if asked > limits.direct_ua:
        return Reason("G16", REFUSE, "LIM.CHARGE_BALANCE", lane.plan.channel, asked, limits.direct_ua, "uA")
    return None


def g23_fit(lane: Lane) -> Reason | None:
    """The device can give this train at all: its channel, current, width and period lie in its range."""
    caps, train = lane.caps, lane.train
    for asked, low, high, unit in (
        (train.channel, 1, caps.channels, "channel"),
        (train.ua, caps.step_ua, caps.max_ua, "uA"),
        (train.width_us, caps.min_width_us, caps.max_width_us, "us"),
        (train.period_us, caps.min_period_us, caps.max_period_us, "us"),
    ):
        if not low <= asked <= high:
            allowed = min(max(asked, low), high)
            return Reason("G23", REFUSE, "RX.DEVICE_MISMATCH", train.channel, asked, allowed, unit)
    return None


# The skin


def g20(skin: Skin) -> Reason | None:
    """Three fresh test readings, alike, neither too low nor too high for this pad area."""
    channel, limits = skin.setting.plan.channel, skin.limits
    if skin.reading is None or len(skin.reading.ohms) < 3:
        return Reason("G20", REFUSE, "IMP.STALE", channel, 0, 3, "readings")
    age_ms, ohms = skin.now_ms - skin.reading.at_ms, skin.reading.ohms
    if age_ms > limits.check_age_ms:
        return Reason("G20", REFUSE, "IMP.STALE", channel, age_ms, limits.check_age_ms, "ms")
    low, high, ceiling = min(ohms), max(ohms), scaled_ohm(limits.check_high_ohm, skin.setting.plan.area_mm2)
    if high > ceiling:
        open_ohm = scaled_ohm(OPEN_OHM, skin.setting.plan.area_mm2)
        return Reason("G20", REFUSE, "IMP.OPEN" if high > open_ohm else "IMP.HIGH", channel, high, ceiling, "ohm")
    if low < limits.check_low_ohm:
        return Reason(
            "G20", REFUSE, "IMP.SHORT" if low < SHORT_OHM else "IMP.LOW", channel, low, limits.check_low_ohm, "ohm"
        )
    if (high - low) * PPM > limits.check_spread_ppm * low:
        return Reason("G20", REFUSE, "IMP.UNSTEADY", channel, (high - low) * PPM // low, limits.check_spread_ppm, "ppm")
    return None


def g21(skin: Skin) -> Reason | None:
    """The device's voltage covers current times measured impedance with room to spare."""
    if skin.reading is None or not skin.reading.ohms:
        return None
    asked_mv = ceil_div(skin.setting.setpoint_ua * max(skin.reading.ohms), 1000)
    allowed_mv = skin.caps.compliance_mv * skin.limits.headroom_ppm // PPM
    if asked_mv <= allowed_mv:
        return None
    return Reason("G21", REFUSE, "LIM.HEADROOM", skin.setting.plan.channel, asked_mv, allowed_mv, "mV")


def g29(skin: Skin) -> Reason | None:
    """The device can judge the electrode at the session's current.

    Otherwise nobody who cannot feel it well is treated.
    """
    flag_ua = skin.caps.electrode_flag_from_ua
    blind = not skin.caps.numeric_impedance and (flag_ua is None or skin.setting.setpoint_ua < flag_ua)
    if blind and skin.rx.sensation is not Sensation.S0:
        return Reason(
            "G29", REFUSE, "IMP.BLIND", skin.setting.plan.channel, skin.setting.setpoint_ua, flag_ua or 0, "uA"
        )
    return None
