"""G rules of the skin under the pads: what was measured before current may flow, and what can be measured at all."""

from safety.impedance import BACK_PERCENT, OPEN_OHM, SHORT_OHM, median, scaled_ohm
from safety.limits import Sensation
from safety.messages import Capabilities, Probed
from safety.prescription import Prescription
from safety.rules.views import Gate, Skin, Watch
from safety.state import Session, Setting
from safety.units import ceil_div
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
REPROBE_MS = 60_000
"""How long an electrode may go unseen (compiled; safety reference 2.3 and 7.1)."""
RISEN = 2
"""How many times the last check's median a check of the same session may read (compiled; safety reference 7.1)."""


def g20(skin: Skin) -> Reason | None:
    """Three fresh test readings, alike, neither too low nor too high for this area, nor far above the last check.

    A device that can measure none is asked for none: whom it may treat is then for G29 to say.
    """
    channel, limits = skin.setting.plan.channel, skin.limits
    if not skin.caps.probe_pulses:
        return None
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


def g20_check(g: Gate) -> Reason | None:
    """A check of the skin is asked of a device that can measure it."""
    device = g.station.device
    if device is None or device.caps.probe_pulses:
        return None
    return Reason("G20", REFUSE, "IMP.UNMEASURED")


def g21(skin: Skin) -> Reason | None:
    """The device's voltage covers current times measured impedance with room to spare."""
    if skin.reading is None or not skin.reading.ohms:
        return None
    asked_mv = ceil_div(skin.setting.setpoint_ua * max(skin.reading.ohms), 1000)
    allowed_mv = max(skin.caps.rails_mv, default=skin.caps.compliance_mv) * skin.limits.headroom_ppm // PPM
    if asked_mv <= allowed_mv:
        return None
    return Reason("G21", REFUSE, "LIM.HEADROOM", skin.setting.plan.channel, asked_mv, allowed_mv, "mV")


def is_unseen(setting: Setting, caps: Capabilities, rx: Prescription) -> bool:
    """Tell whether pulses at this set-point cannot show the electrode, under skin that would not feel it burn."""
    flag_ua = caps.electrode_flag_from_ua
    blind = not caps.numeric_impedance and (flag_ua is None or setting.setpoint_ua < flag_ua)
    return blind and rx.sensation is not Sensation.S0


def rail_mv(skin: Skin) -> int:
    """Give the lowest of the device's voltages that covers this current, or its top one; 0 where it has no choice.

    The lower the rail, the less the hardware can give however wrong the software is (safety reference 5.3).
    """
    ohms = skin.reading.ohms if skin.reading is not None else ()
    if not skin.caps.rails_mv or not ohms:
        return 0
    asked_mv = ceil_div(skin.setting.setpoint_ua * max(ohms), 1000)
    fitting = [rail for rail in skin.caps.rails_mv if asked_mv <= rail * skin.limits.rail_ppm // PPM]
    return min(fitting, default=max(skin.caps.rails_mv))


def g29(skin: Skin) -> Reason | None:
    """The device can judge the electrode at the session's current, or measures it in rests that come often enough.

    Otherwise nobody who cannot feel it well is treated. A device that does not measure the pads while it stimulates
    sees a lead that is off, but no pad that peels: nobody who feels nothing is treated on it (safety reference 7.3b),
    and on one that measures no skin at all nobody who feels little, whatever the current.
    """
    peels_unseen = not skin.caps.numeric_impedance and skin.rx.sensation is Sensation.S2
    if peels_unseen or (skin.rx.sensation is not Sensation.S0 and not skin.caps.probe_pulses):
        return Reason("G29", REFUSE, "IMP.UNMEASURED", skin.setting.plan.channel)
    if not is_unseen(skin.setting, skin.caps, skin.rx):
        return None
    programme = skin.rx.programme
    if skin.caps.reprobe and programme.off_ms > 0 and programme.active_ms < REPROBE_MS:
        return None
    channel, flag_ua = skin.setting.plan.channel, skin.caps.electrode_flag_from_ua or 0
    return Reason("G29", REFUSE, "IMP.BLIND", channel, skin.setting.setpoint_ua, flag_ua, "uA")


def unseen_channels(session: Session, caps: Capabilities) -> tuple[int, ...]:
    """Name the channels that may flow and whose pulses do not show their electrode."""
    flowing = [s for s in session.settings if session.trial is None or session.trial.channel == s.plan.channel]
    return tuple(setting.plan.channel for setting in flowing if is_unseen(setting, caps, session.rx))


def g29_overdue(w: Watch) -> Reason | None:
    """An electrode that pulses cannot show was measured within the last minute."""
    device = w.station.device
    if device is None:
        return None
    unseen = unseen_channels(w.session, device.caps)
    for reading in w.session.readings:
        age_ms = w.now_ms - reading.seen_ms
        if reading.channel in unseen and age_ms > REPROBE_MS:
            return Reason("G29", Severity.PAUSE, "IMP.BLIND", reading.channel, age_ms, REPROBE_MS, "ms")
    return None


def g29_found(skin: Skin, pulse: Probed) -> Reason | None:
    """Judge a test pulse between trains as M07 to M10 judge a train's.

    Its baseline is the median of the last sound check, without which nothing flows (G20).
    """
    channel, area_mm2, ohm = skin.setting.plan.channel, skin.setting.plan.area_mm2, pulse.ohm
    open_ohm, poor_ohm = scaled_ohm(OPEN_OHM, area_mm2), scaled_ohm(skin.limits.poor_ohm, area_mm2)
    if pulse.open or ohm > open_ohm:
        return Reason("M07", Severity.STOP, "IMP.OPEN", channel, ohm, open_ohm, "ohm")
    if pulse.short or ohm < SHORT_OHM:
        return Reason("M08", Severity.LOCK, "IMP.SHORT", channel, ohm, SHORT_OHM, "ohm")
    if ohm > poor_ohm:
        return Reason("M09", Severity.PAUSE, "IMP.HIGH", channel, ohm, poor_ohm, "ohm")
    most_ohm = skin.setting.check_ohm * skin.limits.ratio_ppm // PPM
    if ohm > most_ohm:
        return Reason("M10", Severity.PAUSE, "IMP.DRIFT", channel, ohm, most_ohm, "ohm")
    return None


def m10_back(skin: Skin) -> Reason | None:
    """After a pause by a rule of the skin: a check since then finds the pad back inside half of the way."""
    past, limits, reading = skin.contact.past, skin.limits, skin.reading
    if not past.doubt_ms:
        return None
    channel = skin.setting.plan.channel
    if reading is None or reading.at_ms < past.doubt_ms:
        return Reason("M10", REFUSE, "IMP.STALE", channel, 0, 3, "readings")
    excess_ppm = (limits.ratio_ppm - PPM) // 2
    highest = scaled_ohm(limits.poor_ohm, skin.setting.plan.area_mm2) * BACK_PERCENT // 100
    inner = min(highest, past.probe_ohm * (PPM + excess_ppm) // PPM)
    if max(reading.ohms) <= inner:
        return None
    return Reason("M10", REFUSE, "IMP.DRIFT", channel, max(reading.ohms), inner, "ohm")
