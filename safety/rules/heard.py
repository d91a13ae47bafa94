"""M rules of the readback: every channel of every word of the device, the current and the skin under the pads."""

from safety.impedance import OPEN_OHM, REFERENCE_MM2
from safety.rules.views import Look
from safety.verdict import Reason, Severity
from safety.waveform import Train

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
PPM = 1_000_000
NOTHING = Train(0, 0, 0, 0, 0)
"""What a device echoes for a channel that is off."""


def m01(k: Look) -> Reason | None:
    """No more current than was set, twice in a row."""
    if k.after.in_a_row[1] < 2:
        return None
    return Reason("M01", LOCK, "DEV.READBACK_MISMATCH", k.sample.channel, k.sample.measured_ua, k.sample.ua, "uA")


def m27(k: Look) -> Reason | None:
    """The device does what it was told: the picture that it echoes is the picture that was sent."""
    if not k.settled:
        return None
    told, echo = k.train or NOTHING, k.sample
    if (echo.ua, echo.width_us, echo.gap_us, echo.period_us) == told[1:]:
        return None
    return Reason("M27", LOCK, "DEV.READBACK_MISMATCH", echo.channel, echo.ua, told.ua, "uA")


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
    clipped = k.sample.clipped if k.sample.fresh else 0
    if clipped >= k.limits.clip_pause:
        return Reason("M14", PAUSE, "IMP.CLIP", k.sample.channel, clipped, k.limits.clip_pause, "pulses")
    if clipped >= k.limits.clip_hold:
        return Reason("M14", HOLD, "IMP.CLIP", k.sample.channel, clipped, k.limits.clip_hold, "pulses")
    return None
