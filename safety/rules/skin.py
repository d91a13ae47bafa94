"""G rules of the skin under the pads: what was measured before current may flow, and what can be measured at all."""

from safety.impedance import OPEN_OHM, SHORT_OHM, median, scaled_ohm
from safety.limits import Sensation
from safety.rules.views import Skin
from safety.units import ceil_div
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
RISEN = 2
"""How many times the last check's median a check of the same session may read (compiled; safety reference 7.1)."""


def g20(skin: Skin) -> Reason | None:
    """Three fresh test readings, alike, neither too low nor too high for this area, nor far above the last check."""
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
    before_ohm = skin.setting.check_ohm
    if before_ohm and median(ohms) > RISEN * before_ohm:
        return Reason("G20", REFUSE, "IMP.RISEN", channel, median(ohms), RISEN * before_ohm, "ohm")
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
