"""What waits to be published: bounded, in order, and never in the way of whoever has something to say.

State (retained): only the latest of a topic counts, so a topic waits once, is never dropped, and is owed again after
every reconnect. Messages (QoS 1: answers, events) are bounded; the oldest is dropped and counted. Telemetry (QoS 0) is
bounded too and goes only when nothing else waits, so that it is the first to suffer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

MESSAGES = 1_000
TELEMETRY = 200
"""How many may wait (engineering defaults)."""
MAX_BYTES = 16_384
"""Longest payload: the embedded broker hangs up on more than 20,480 bytes, and would again after each reconnect."""


class Outgoing(NamedTuple):
    """Something to publish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None
    signature: str | None = None


Publish = Callable[[Outgoing], None]
"""Where messages go; never waits."""


class Outbox:
    """The queue between all who publish and the one connection that does. For the event loop's thread only."""

    def __init__(self, messages: int = MESSAGES, telemetry: int = TELEMETRY) -> None:
        self.dropped_messages = 0
        self.dropped_telemetry = 0
        self._room = messages
        self._queue: deque[Outgoing] = deque()
        self._telemetry: deque[Outgoing] = deque(maxlen=telemetry)
        self._state: dict[str, Outgoing] = {}
        self._owed: set[str] = set()
        self._waiting = asyncio.Semaphore(0)

    def __len__(self) -> int:
        return len(self._queue) + len(self._telemetry)

    def put(self, item: Outgoing) -> None:
        """Take something in, without waiting."""
        if len(item.payload) > MAX_BYTES:
            self.dropped_messages += 1
        elif item.qos == 0 and not item.retain:
            self.dropped_telemetry += len(self._telemetry) == self._telemetry.maxlen
            self._telemetry.append(item)
            self._waiting.release()
        else:
            if item.retain:
                self._state[item.topic] = item
            self._enqueue(item, last=True)

    async def get(self) -> Outgoing:
        """Wait for the next to publish; publish it before anything else is waited for, or the order is lost."""
        while True:
            # There are at least as many permits as items; one left over by a dropped item finds nothing and is used up.
            await self._waiting.acquire()
            if self._queue:
                item = self._queue.popleft()
                if not item.retain:
                    self._room += 1
                    return item
                self._owed.discard(item.topic)
                return self._state[item.topic]
            if self._telemetry:
                return self._telemetry.popleft()

    def give_back(self, unconfirmed: Iterable[Outgoing]) -> None:
        """Take back to the front, in order, what was on its way when the connection was lost, and owe all state."""
        for item in reversed([item for item in unconfirmed if item.qos and not item.retain]):
            self._enqueue(item, last=False)
        for item in reversed(self._state.values()):
            self._enqueue(item, last=False)

    def _enqueue(self, item: Outgoing, *, last: bool) -> None:
        if item.retain:
            if item.topic in self._owed:
                return
            self._owed.add(item.topic)
        elif self._room:
            self._room -= 1
        else:
            self.dropped_messages += 1
            if not last:
                return
            del self._queue[next(index for index, old in enumerate(self._queue) if not old.retain)]
        if last:
            self._queue.append(item)
        else:
            self._queue.appendleft(item)
        self._waiting.release()
