"""G rules of the pulse: judged before it is allowed, and again whenever the picture changes (M02)."""

from safety.limits import Modality, Sensation
from safety.rules.trial import ceiling_ua, is_calibrated
from safety.rules.views import Lane
from safety.units import ceil_div
from safety.verdict import Reason, Severity
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
PHASE_SLOPE_NC_US = 28
"""Charge of a phase that a microsecond of width adds (FDA draft guidance 2010: 20 + 28 t uC, from memory)."""


def cap_ua(lane: Lane) -> int:
    """Give the highest amplitude allowed on this channel: what may be given, inside the prescription's window."""
    return min(most_ua(lane), lane.plan.max_ua)


def most_ua(lane: Lane) -> int:
    """Give the highest amplitude that any prescription could have here.

    Device, site, sensation class, calibration; 0 if none may flow. A calibration that does not hold (G19) permits
    nothing more and still binds.
    """
    limits, rx, calibration = lane.limits, lane.rx, lane.plan.calibration
    cap = ceiling_ua(lane)
    motor, maximal = (calibration.motor_ua, calibration.maximal_ua) if calibration else (None, None)
    counts = is_calibrated(lane)
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
    """Amplitude within device, site, window, class and calibration; for NMES that leaves room to move the muscle."""
    allowed, most, calibration = cap_ua(lane), most_ua(lane), lane.plan.calibration
    motor_ua = calibration.motor_ua if calibration and lane.rx.programme.modality is Modality.NMES else None
    if motor_ua is not None and 0 < most < motor_ua:
        return Reason("G08", REFUSE, "LIM.WINDOW", lane.plan.channel, motor_ua, most, "uA")
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
    limits = lane.limits
    allowed = min(limits.phase_charge_nc, limits.phase_base_nc + PHASE_SLOPE_NC_US * lane.train.width_us)
    if phase_nc(lane.train) <= allowed:
        return None
    return Reason("G11", REFUSE, "LIM.CHARGE", lane.plan.channel, phase_nc(lane.train), allowed, "nC")


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
    """The device can give this train at all: its channel, current, width, gap and period lie in its range."""
    caps, train = lane.caps, lane.train
    for asked, low, high, unit in (
        (train.channel, 1, caps.channels, "channel"),
        (train.ua, caps.step_ua, caps.max_ua, "uA"),
        (train.width_us, caps.min_width_us, caps.max_width_us, "us"),
        (train.gap_us, caps.min_gap_us, caps.max_gap_us, "us"),
        (train.period_us, caps.min_period_us, caps.max_period_us, "us"),
    ):
        if not low <= asked <= high:
            allowed = min(max(asked, low), high)
            return Reason("G23", REFUSE, "RX.DEVICE_MISMATCH", train.channel, asked, allowed, unit)
    return None
