"""M rules about the people of a session: whoever holds the device, and whoever has to look after the patient.

Whoever starts a session is with the patient, has asked and has looked: all times run from there at the earliest.
"""

from safety.limits import Modality, Sensation
from safety.rules.views import Gate, Watch
from safety.verdict import Reason, Severity
from safety.waveform import OFF

HOLD, PAUSE = Severity.HOLD, Severity.PAUSE


def m05(w: Watch) -> Reason | None:
    """The client that claimed the device has renewed its claim."""
    holder = w.station.holder
    if holder is not None and w.now_ms <= holder.expires_ms:
        return None
    late_ms = w.now_ms - holder.expires_ms if holder else 0
    return Reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, late_ms, 0, "ms")


def since_ms(w: Watch, last_ms: int) -> int:
    """Give how long ago something was done last, the start of the session being the first time; 0 before that."""
    first_ms = w.session.course.first_run_ms
    return w.now_ms - max(last_ms, first_ms) if first_ms else 0


def m06(w: Watch) -> Reason | None:
    """Somebody is with a patient whose skin does not feel well, or whose pads the device cannot measure."""
    device = w.station.device
    if w.session.rx.sensation is Sensation.S0 and (device is None or device.caps.numeric_impedance):
        return None
    age_ms, allowed = (
        since_ms(w, w.session.care.present_ms),
        min(w.station.config.times.presence_ms, w.limits.presence_ms),
    )
    return Reason("M06", PAUSE, "SES.PRESENCE", 0, age_ms, allowed, "ms") if age_ms > allowed else None


def m36(w: Watch) -> Reason | None:
    """NMES: the patient is asked for the effort, for no sensor here feels a muscle tire."""
    if w.session.rx.programme.modality is not Modality.NMES:
        return None
    age_ms, limits = since_ms(w, w.session.care.effort_ms), w.limits
    if age_ms <= limits.effort_hold_ms:
        return None
    severity, allowed = (
        (PAUSE, limits.effort_pause_ms) if age_ms > limits.effort_pause_ms else (HOLD, limits.effort_hold_ms)
    )
    return Reason("M36", severity, "FAT.RATING", 0, age_ms, allowed, "ms")


def m37(w: Watch) -> Reason | None:
    """Skin that does not feel well is looked at, the more often the less it feels."""
    if w.session.rx.sensation is Sensation.S0:
        return None
    age_ms, allowed = since_ms(w, w.session.care.skin_ms), w.limits.skin_check_ms
    return Reason("M37", PAUSE, "SES.SKIN_CHECK", 0, age_ms, allowed, "ms") if age_ms > allowed else None


def m06_resume(g: Gate) -> Reason | None:
    """Nothing runs on while a confirmation, a rating or a look at the skin is due that would pause it at once."""
    if g.session is None:
        return None
    w = Watch(g.station, g.session, g.session.limits, OFF, g.now.mono_ms, g.now.wall_ms, 0, 0)
    for judge in (m06, m36, m37):
        found = judge(w)
        if found is not None and found.severity is PAUSE:
            return found._replace(severity=Severity.REFUSE)
    return None
