"""The second door: may this patient's history take this reservation? Called by the ledger inside its transaction."""

from safety.effects import PermitRequest
from safety.history import History
from safety.rules import ledger
from safety.verdict import Reason


def admit(history: History, request: PermitRequest, now_wall_ms: int) -> tuple[Reason, ...]:
    """Judge a reservation against the patient's records; an empty verdict admits. Test-pulse permits are not judged."""
    if request.probe:
        return ()
    stranger = ledger.l09(history, request)
    if stranger is not None:
        return (stranger,)
    reasons = []
    for channel in request.channels:
        seen = ledger.past(history, request, channel, now_wall_ms)
        reasons += [found for judge in ledger.LEDGER if (found := judge(seen)) is not None]
    return tuple(reasons)
