"""The second door: may this patient's history take this reservation, or this correction?

Called by the ledger inside its transaction.
"""

from safety.effects import PermitRequest
from safety.history import Correction, History
from safety.rules import ledger
from safety.verdict import Asking, Reason, found_by, put_to


def admit(history: History, request: PermitRequest, now_wall_ms: int) -> tuple[Reason, ...]:
    """Judge a reservation against the patient's records; an empty verdict admits. Test-pulse permits are not judged."""
    return tuple(found_by(weighed(history, request, now_wall_ms)))


def weighed(history: History, request: PermitRequest, now_wall_ms: int) -> tuple[Asking, ...]:
    """Give every rule that `admit` asks about a reservation, and what it found; a stranger's history ends it."""
    if request.probe:
        return ()
    whole = Asking(ledger.l09, (history, request), ledger.l09(history, request))
    if whole.found is not None:
        return (whole,)
    pasts = [ledger.past(history, request, channel, now_wall_ms) for channel in request.channels]
    return (whole, *(asking for past in pasts for asking in put_to(ledger.LEDGER, past)))


def admit_correction(history: History, correction: Correction, now_wall_ms: int) -> tuple[Reason, ...]:
    """Judge an entry that corrects what was counted (L13); an empty verdict admits it."""
    return ledger.l13(history, correction, now_wall_ms)
