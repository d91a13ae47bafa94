"""A desk with all that stands behind it, but for the broker and the stimulators: what it publishes is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from controller.contract.accept import Door
from controller.contract.envelope import Arrival
from controller.desk import Desk, memory, unchanged
from controller.devices.native import open_native
from controller.identity import BrokerStamp, Principal, Proof
from controller.identity.challenge import Challenges
from controller.journal import Journal
from controller.outbox import Outgoing
from controller.recorder import Recorder
from controller.records import Records
from controller.station import Actor, Port
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.papers import Papers
from controller.voice import Voice
from safety.admit import admit
from safety.messages import Now
from tests.controller.ward import config
from tests.controller.wire import ID, NOW, PRINCIPALS, TOPICS, Fields, arrival, fields

DEVICES = ("dev1", "dev2")
STAMP = BrokerStamp()


class Published(NamedTuple):
    """A message as it was handed to the broker."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None

    @property
    def said(self) -> dict[str, Any]:
        """What it says."""
        read: dict[str, Any] = json.loads(self.payload)
        return read


class Outbox:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[Published] = []

    def __call__(self, item: Outgoing) -> None:
        self.sent.append(Published(*item[:5]))

    def take(self) -> list[Published]:
        """Give what was published since the last time."""
        taken, self.sent = self.sent, []
        return taken

    def under(self, branch: str) -> list[Published]:
        """What was published under a branch of any device, such as `ack`."""
        return [one for one in self.sent if one.topic.split("/")[4] == branch]


class Reception:
    """The real door, desk, voice, journal and hearts; the stations' lines are never opened."""

    def __init__(
        self,
        folder: Path,
        boot_id: str = "b-4",
        principals: Mapping[str, Principal] = PRINCIPALS,
        proof: Proof = STAMP,
        reread: Callable[[bool], bool] = unchanged,
    ) -> None:
        self.now = NOW
        self.outbox = Outbox()
        self.folder = folder
        self.boot_id = boot_id
        self.failures: list[Exception] = []
        self.journal = Journal.open(folder / "journal.db", "ward3", "p1", NOW, self.failures.append)
        self.ledger = Ledger(folder / "ledger.db", admit, may_create=self.journal.is_new)
        self.clinic = Clinic(folder / "ledger.db")
        self.records = Records(self.clinic, Papers(folder / "ledger.db"), self.ledger)
        self.challenges = Challenges(principals, partial(token_hex, 4))
        self.voice = Voice(TOPICS, boot_id, self.outbox, self.challenges)
        recorder = Recorder(folder / "tapes", self.failures.append)
        port, clock = Port("", open_native), self.clock
        self.actors = {
            device: Actor(
                config(device), boot_id, port, self.journal, self.ledger, self.records, recorder, self.voice, clock
            )
            for device in DEVICES
        }
        known, nonces = memory(self.journal), self.challenges.seen_by
        self.door = Door(TOPICS, frozenset(DEVICES), principals, proof, known, nonces)
        self.desk = Desk(
            self.door, self.journal, self.voice, self.actors, self.records, boot_id, self.clock, self.challenges, reread
        )

    def clock(self) -> Now:
        """The time, which stands still unless a test moves it."""
        return self.now

    async def open(self) -> None:
        """Start every station."""
        for actor in self.actors.values():
            await actor.boot()
        self.outbox.take()

    async def close(self) -> None:
        """End it as the service does."""
        for actor in self.actors.values():
            await actor.close()
        await self.journal.close()

    def ask(self, verb: str, /, *, reply: str | None = None, retained: bool = False, **changes: Any) -> list[Published]:  # noqa: ANN401 - fields
        """Hand in a right command, changed; gives what was published because of it."""
        return self.give(fields(verb, **changes), reply=reply, retained=retained)

    def give(self, content: Fields | bytes, topic: str | None = None, **of: Any) -> list[Published]:  # noqa: ANN401 - the arrival's
        """Hand in any message on the connection that it belongs to."""
        return self.hand(arrival(content, topic, **of))

    def hand(self, message: Arrival) -> list[Published]:
        """Hand in a message as it is."""
        self.desk.on_stop(message) if is_stop(message) else self.desk.on_command(message)
        return self.outbox.take()


def is_stop(message: Arrival) -> bool:
    """Tell by which connection a message would come."""
    return message.topic.endswith(("/stop", "/session.stop"))


def numbered(number: int) -> str:
    """A command id."""
    return f"{ID[:-4]}{number:04x}"


def answers(published: list[Published]) -> list[tuple[str, str, str]]:
    """Topic, status and code of each answer."""
    return [(one.topic, one.said["status"], one.said["code"]) for one in published if "/ack/" in one.topic]
