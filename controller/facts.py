"""What a device's journal entries add up to: all that the heart is told when it starts."""

from typing import NamedTuple

from safety.effects import Body, Clearing, Closing, Opening, PermitRequest
from safety.messages import EntryKind, Latch

TELLING = frozenset({EntryKind.OPEN, EntryKind.PERMIT, EntryKind.LATCH, EntryKind.CLEAR, EntryKind.CLOSE})
"""The kinds of entry whose body changes the facts; of the others only the id counts."""


class BootFacts(NamedTuple):
    """What the last run left behind.

    The session that has no close ("" if none) and its last permit (0 if none), the latches that stand, and an id
    above every id ever used.
    """

    open_session: str
    open_permit: int
    latches: tuple[Latch, ...]
    next_id: int


class Standing:
    """The facts of one device, kept up to date entry by entry."""

    def __init__(self) -> None:
        self._permits: dict[str, int] = {}
        self._latches: dict[int, Latch] = {}
        self._last_id = 0

    def add(self, entry: int, body: Body | None) -> None:
        """Take the next entry; `body` may be None for a kind that is not TELLING."""
        used = entry
        match body:
            case Opening():
                self._permits[body.session] = 0
            case PermitRequest():
                used = max(entry, body.permit.id)
                # A permit that was on its way when its session ended opens nothing.
                if body.session in self._permits:
                    self._permits[body.session] = body.permit.id
            case Closing():
                self._permits.pop(body.session, None)
            case Latch():
                used = max(entry, body.id)
                self._latches[body.id] = body
            case Clearing():
                self._latches.pop(body.latch.id, None)
        self._last_id = max(self._last_id, used)

    def facts(self) -> BootFacts:
        """Give the facts as they stand; of several open sessions the last opened."""
        session, permit = next(reversed(self._permits.items()), ("", 0))
        return BootFacts(session, permit, tuple(self._latches.values()), self._last_id + 1)
