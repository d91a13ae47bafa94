"""Messages written by hand: right, wrong, late, retained, by whoever; and every answer that comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from house import House, until

from controller import clock
from controller.broker import Address, Connection
from controller.client import uuid7
from controller.contract.answers import AnswerMessage, SummaryMessage
from controller.contract.envelope import Arrival, utc_text
from controller.contract.topics import Topics
from controller.outbox import Outgoing

TOPICS = Topics("ward3")
Fields = dict[str, Any]


def command(verb: str, seen: SummaryMessage | None = None, /, **changes: object) -> Fields:
    """A right command of physio-1, who saw this state of the device, with changes."""
    wall_ms = clock.now().wall_ms
    expect = (
        {"boot_id": seen.boot_id, "session_id": seen.session_id, "state_version": seen.state_version} if seen else {}
    )
    return {
        "schema": "stim.command/1",
        "command_id": uuid7(),
        "verb": verb,
        "site": "ward3",
        "device": seen.device if seen else "dev1",
        "issuer": "physio-1",
        "issued_at": utc_text(wall_ms),
        "expires_at": utc_text(wall_ms + 5_000),
        "expect": expect,
        "body": {},
    } | changes


def topic_of(fields: Fields) -> str:
    """The topic that belongs to a command."""
    return TOPICS.command(fields["device"], fields["issuer"], fields["verb"])


class Hand:
    """Writes messages and keeps every answer under the number of the message."""

    def __init__(self) -> None:
        self.sent = 0
        self._answers: list[tuple[int, AnswerMessage]] = []
        self._out: Connection

    @classmethod
    @asynccontextmanager
    async def at(cls, house: House) -> AsyncIterator[Hand]:
        """Write at the broker of a house."""
        address, hand = Address(host=house.host, port=house.port), cls()
        async with (
            Connection(address, "hand-in", hand._hear) as ears,
            Connection(address, "hand-out", hand._hear) as out,
        ):
            await ears.subscribe([TOPICS.all_of("ack")], commands=False)
            hand._out = out
            yield hand

    def _hear(self, arrival: Arrival) -> None:
        if arrival.correlation is not None:
            self._answers.append((int(arrival.correlation), AnswerMessage.read(arrival.payload)))

    async def send(self, content: Fields | bytes, topic: str | None = None, *, retain: bool = False) -> int:
        """Send a message; gives its number."""
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        where = topic_of(content) if topic is None and isinstance(content, dict) else topic
        assert where is not None
        self.sent += 1
        await self._out.publish(Outgoing(where, payload, 1, retain, b"%d" % self.sent))
        return self.sent

    def answers(self, number: int) -> list[AnswerMessage]:
        """What was answered to a message so far."""
        return [answer for of, answer in self._answers if of == number]

    async def ask(self, content: Fields | bytes, topic: str | None = None, *, retain: bool = False) -> AnswerMessage:
        """Send a message and wait for its final answer."""
        number = await self.send(content, topic, retain=retain)
        await until(lambda: any(answer.is_final for answer in self.answers(number)))
        return next(answer for answer in self.answers(number) if answer.is_final)
