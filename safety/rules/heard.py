"""M rules of the readback: every channel of every word of the device, the current and the skin under the pads."""

from safety.impedance import BACK_PERCENT, OPEN_OHM, median, scaled_ohm
from safety.limits import Sensation
from safety.rules.views import Look, is_held
from safety.units import ceil_div
from safety.verdict import Reason, Severity
from safety.waveform import density_exceeds, direct_ua, pulse_i2t, root_up

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
PPM = 1_000_000
NOTHING = (0, 0, 0, 0)
"""What a device echoes for a channel that is off: no current, no width, no gap, no period."""
STEP_MS = 100
"""Within so long a jump is a step, however many readings it takes (M11; safety reference 2.3)."""
BALANCE_PPM, DIRECT_UA = 20_000, 100
"""M16 (compiled): 2 %, an engineering default; 100 uA, FDA draft guidance 2010 (from memory)."""
BODY_OHM = 250
"""What of an impedance is the body's, not the pad's (safety reference 2.2; engineering default: 150 to 500)."""
CONTACT_UA_CM2 = 2_000
"""M17's stop (compiled): the density that asks for an operator's attention, IEC 60601-2-10 via AS 60601.2.10:2018."""
COOL_MDEG, HOT_MDEG = 33_000, 41_000
"""Skin at rest (general figure, from memory), and M22's stop: IEC 60601-1 table 24 (from memory)."""


def m01(k: Look) -> Reason | None:
    """No more current than was set, twice in a row."""
    if k.after.in_a_row[1] < 2:
        return None
    return Reason("M01", LOCK, "DEV.READBACK_MISMATCH", k.sample.channel, k.sample.measured_ua, k.sample.ua, "uA")


def m27(k: Look) -> Reason | None:
    """The device does what it was told: the picture that it echoes is the picture that was sent."""
    if not k.settled:
        return None
    told, echo = k.train[1:] if k.train else NOTHING, k.sample
    if (echo.ua, echo.width_us, echo.gap_us, echo.period_us) == told:
        return None
    return Reason("M27", LOCK, "DEV.READBACK_MISMATCH", echo.channel, echo.ua, told[0], "uA")


def m07(k: Look) -> Reason | None:
    """Open: a lead or pad is off. At once, on one reading."""
    sample = k.sample
    if not sample.fresh or k.train is None:
        return None
    limit = max(scaled_ohm(OPEN_OHM, k.setting.plan.area_mm2), 3 * k.before.baseline_ohm)
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


def are_over(k: Look, limit: int) -> bool:
    """Tell whether three of the last five readings lie above a limit, and there is a new one.

    Class S2, whose limits lie close to the motion of a contraction, waits for all five: their median then decides.
    """
    ohms = k.after.recent
    if k.after is k.before or (k.sensation is Sensation.S2 and len(ohms) < 5):
        return False
    return sum(ohm > limit for ohm in ohms) >= 3


def lingers(k: Look, rule: str, inner: int) -> bool:
    """Tell whether a hold of this rule stays, because the last reading is not back inside its inner threshold."""
    return k.after.recent[-1:] > (inner,) and is_held(k.holds, rule, k.sample.channel)


def m09(k: Look) -> Reason | None:
    """Poor contact: impedance above the absolute limit for this pad area; fair contact holds."""
    area_mm2 = k.setting.plan.area_mm2
    limit = scaled_ohm(k.limits.poor_ohm, area_mm2)
    if are_over(k, limit):
        return Reason("M09", PAUSE, "IMP.HIGH", k.sample.channel, k.sample.ohm, limit, "ohm")
    fair = scaled_ohm(k.limits.check_high_ohm, area_mm2)
    if are_over(k, fair) or lingers(k, "M09", fair * BACK_PERCENT // 100):
        return Reason("M09", HOLD, "IMP.HIGH", k.sample.channel, k.sample.ohm, fair, "ohm")
    return None


def m10(k: Look) -> Reason | None:
    """Peeling: impedance above its own baseline by the factor of the sensation class; at 0.6 of the way it holds."""
    baseline = k.after.baseline_ohm
    if not baseline or k.after is k.before:
        return None
    limit, excess_ppm = baseline * k.limits.ratio_ppm // PPM, k.limits.ratio_ppm - PPM
    if are_over(k, limit):
        return Reason("M10", PAUSE, "IMP.DRIFT", k.sample.channel, k.sample.ohm, limit, "ohm")
    fair, inner = (baseline * (PPM + excess_ppm * share // 10) // PPM for share in (6, 3))
    if are_over(k, fair) or lingers(k, "M10", inner):
        return Reason("M10", HOLD, "IMP.DRIFT", k.sample.channel, k.sample.ohm, fair, "ohm")
    return None


def m11(k: Look) -> Reason | None:
    """Step: impedance jumps between neighbouring plateau readings, or within 100 ms. At once."""
    ohms, times = k.after.recent, k.after.recent_ms
    if not ohms or ohms is k.before.recent:
        return None
    (ohm, at_ms), *earlier = reversed(tuple(zip(ohms, times, strict=True)))
    for place, (last, last_ms) in enumerate(earlier):
        if place and at_ms - last_ms > STEP_MS:
            return None
        if abs(ohm - last) * PPM > last * k.limits.jump_ppm:
            allowed = last * k.limits.jump_ppm // PPM
            return Reason("M11", PAUSE, "IMP.DRIFT", k.sample.channel, abs(ohm - last), allowed, "ohm")
    return None


def m12(k: Look) -> Reason | None:
    """Drying: impedance rises by more than a tenth a minute, two minutes running; a hold stays at half of it."""
    if len(k.after.minutes) < 3:
        return None
    first, second, third = (ohm for _, ohm in k.after.minutes)
    held = is_held(k.holds, "M12", k.sample.channel)
    factor = PPM + (k.limits.drift_ppm // 2 if held else k.limits.drift_ppm)
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
    held = is_held(k.holds, "M14", k.sample.channel)
    allowed = (k.limits.clip_hold + 1) // 2 if held else k.limits.clip_hold
    if clipped >= allowed:
        return Reason("M14", HOLD, "IMP.CLIP", k.sample.channel, clipped, allowed, "pulses")
    return None


def m16(k: Look) -> Reason | None:
    """Both phases carry the same charge: over a second they differ by little, and leave little direct current."""
    sample = k.sample
    if not k.caps.balance or not sample.fresh:
        return None
    if sample.imbalance_ppm is None:
        return Reason("M16", LOCK, "DEV.IMBALANCE", sample.channel)
    mean_ppm = k.after.balance[3]
    if mean_ppm > BALANCE_PPM:
        return Reason("M16", LOCK, "DEV.IMBALANCE", sample.channel, mean_ppm, BALANCE_PPM, "ppm")
    if k.train is not None and (direct := direct_ua(k.train, mean_ppm)) > DIRECT_UA:
        return Reason("M16", LOCK, "DEV.IMBALANCE", sample.channel, direct, DIRECT_UA, "uA")
    return None


def m17(k: Look) -> Reason | None:
    """Density under what is left of a pad: its contact is estimated from how far the plateau's impedance has risen.

    All of a pad's impedance but the body's grows as its contact shrinks. No step of an impedance rule looks at the
    current, so this one does.
    """
    ohms, baseline = k.after.recent, k.after.baseline_ohm
    if k.after is k.before or not baseline or len(ohms) < 3 or k.train is None:
        return None
    ohm = median(ohms)
    if ohm <= baseline:
        return None
    body = min(BODY_OHM, baseline // 2)
    area_mm2 = max(k.setting.plan.area_mm2 * (baseline - body) // (ohm - body), 1)
    if not density_exceeds(k.train, area_mm2, k.limits.contact_ua_cm2):
        return None
    asked = root_up(ceil_div(pulse_i2t(k.train) * 10_000, k.train.period_us * area_mm2 * area_mm2))
    severity, allowed = PAUSE, k.limits.contact_ua_cm2
    if density_exceeds(k.train, area_mm2, CONTACT_UA_CM2):
        severity, allowed = STOP, CONTACT_UA_CM2
    return Reason("M17", severity, "IMP.DENSITY", k.sample.channel, asked, allowed, "uA/cm2")


def m22(k: Look) -> Reason | None:
    """The skin under the pads stays cool, where the device can feel it."""
    if not k.caps.temperature:
        return None
    channel, mdeg, limits = k.sample.channel, k.sample.skin_mdeg, k.limits
    if mdeg is None:
        return Reason("M22", STOP, "IMP.WARM", channel) if k.sample.fresh else None
    hold_mdeg = limits.skin_hold_mdeg
    if is_held(k.holds, "M22", channel):
        hold_mdeg = (hold_mdeg + COOL_MDEG) // 2
    for severity, allowed in ((STOP, HOT_MDEG), (PAUSE, limits.skin_pause_mdeg), (HOLD, hold_mdeg)):
        if mdeg >= allowed:
            return Reason("M22", severity, "IMP.WARM", channel, mdeg, allowed, "mdeg")
    return None
