"""M rules about the people of a session: whoever holds the device, and whoever has to look after the patient."""

from safety.rules.views import Watch
from safety.verdict import Reason, Severity

PAUSE = Severity.PAUSE


def m05(w: Watch) -> Reason | None:
    """The client that claimed the device has renewed its claim."""
    holder = w.station.holder
    if holder is not None and w.now_ms <= holder.expires_ms:
        return None
    late_ms = w.now_ms - holder.expires_ms if holder else 0
    return Reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, late_ms, 0, "ms")
