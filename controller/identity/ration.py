"""How often somebody may be told no, and how often somebody may ask."""

from collections import Counter
from collections.abc import Container

from safety.effects import Event
from safety.messages import Now


class Seconds:
    """Counts, for each name, how often something happened in the present second.

    Names that nobody knows share one count, so that the table stays as small as the list of principals.
    """

    def __init__(self, known: Container[str], most: int) -> None:
        self._known = known
        self._most = most
        self._spent: dict[str, tuple[int, int]] = {}

    def known(self, name: str) -> str:
        """Give the name under which it is counted."""
        return name if name in self._known else ""

    def take(self, name: str, now: Now) -> bool:
        """Count once more; False where that is more than may be."""
        name, second = self.known(name), now.mono_ms // 1000
        since, spent = self._spent.get(name, (second, 0))
        spent = spent if since == second else 0
        self._spent[name] = second, spent + 1
        return spent < self._most


class Ration:
    """Refusals that may be answered: so many a second for each principal; the rest is counted.

    Without it a client that sends junk makes the service send as much.
    """

    PER_SECOND = 10

    def __init__(self, principals: Container[str]) -> None:
        self._seconds = Seconds(principals, self.PER_SECOND)
        self._unanswered: Counter[str] = Counter()

    def allows(self, principal: str, now: Now) -> bool:
        """Spend one answer to this principal; False: count the refusal and stay silent."""
        allowed = self._seconds.take(principal, now)
        if not allowed:
            self._unanswered[self._seconds.known(principal)] += 1
        return allowed

    def report(self) -> tuple[Event, ...]:
        """Tell, once, how many refusals of each principal were not answered since the last report."""
        unanswered, self._unanswered = self._unanswered, Counter()
        return tuple(
            Event(
                kind="command.rejected",
                code="CMD.RATE",
                priority="low",
                details=(("principal", principal), ("count", count)),
            )
            for principal, count in unanswered.items()
        )
