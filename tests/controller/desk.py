"""A small service: the real door and the real shell, with a table of answers where a station would be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from controller import clock
from controller.broker import Address, Broker
from controller.contract.accept import Accepted, Asker, Door, Inquiry, Refusal, Repeat, StopNow
from controller.contract.answers import AnswerMessage, SummaryMessage
from controller.contract.envelope import Arrival, utc_text
from controller.contract.topics import Topics
from controller.identity import BrokerStamp, Principal, Proof, Ration, Role, Seen
from controller.outbox import Outgoing
from safety.effects import Answer
from safety.messages import Command, Now

DEVICES = frozenset({"dev1", "dev2"})
PRINCIPALS = {
    principal.name: principal
    for principal in (
        Principal("clinician-1", Role.PHYSIO, DEVICES),
        Principal("visitor", Role.AUDITOR, frozenset({"*"})),
        *(Principal(f"junk-{number}", Role.PHYSIO, DEVICES) for number in range(10)),
    )
}

STAMP = BrokerStamp()


class Desk:
    """Answers every wish with `statuses`, one after the other, and a repeat from memory."""

    def __init__(
        self,
        address: Address,
        site: str = "ward3",
        principals: Mapping[str, Principal] = PRINCIPALS,
        proof: Proof = STAMP,
    ) -> None:
        self.topics = Topics(site)
        self.commands: list[Command] = []
        self.stops: list[StopNow] = []
        self.refusals: list[Refusal] = []
        self.statuses: tuple[str, ...] = ("succeeded",)
        self.ration: Ration | None = None
        self.now = clock.now
        self._seen: dict[tuple[str, str], Seen] = {}
        self._door = Door(
            topics=self.topics,
            devices=DEVICES,
            principals=principals,
            proof=proof,
            seen=lambda *key: self._seen.get(key),
        )
        self.broker = Broker(address, self.topics, sorted(DEVICES), instance="desk", boot_id="b-4", handler=self)

    def on_stop(self, arrival: Arrival) -> None:
        self.on_command(arrival)

    def on_command(self, arrival: Arrival) -> None:
        now = self.now()
        match self._door.accept(arrival, now):
            case StopNow() as stop:
                self.stops.append(stop)
                self._answer(stop.asker, Answer(command=stop.command, status="succeeded", code="OK"), now)
            case Accepted(asker, command, digest):
                self.commands.append(command)
                self._seen[asker.principal, asker.command_id] = Seen(digest, None)
                for status in self.statuses:
                    payload = self._answer(asker, Answer(command=command, status=status, code="OK"), now)
                    self._seen[asker.principal, asker.command_id] = Seen(digest, payload)
            case Refusal(asker) as refusal:
                self.refusals.append(refusal)
                if self.ration is None or self.ration.allows(asker.principal, now):
                    self._send(asker, AnswerMessage.refusing(refusal, boot_id="b-4", now=now).to_bytes())
            case Repeat(asker, answer):
                self._send(asker, answer or b"")
            case Inquiry():
                pass

    def on_up(self) -> None:
        pass

    def on_down(self, why: str) -> None:
        pass

    def on_conflict(self, boot_id: str) -> None:
        pass

    def show(self, device: str, state_version: int) -> SummaryMessage:
        """Publish a state of a device."""
        summary = SummaryMessage(
            site=self.topics.site,
            device=device,
            phase="armed",
            state_version=state_version,
            session_id="s-19",
            prescription_id="rx-77@3",
            claimed_by="clinician-1",
            armed=True,
            played_ms=0,
            therapy_ms=0,
            channels=[],
            limits={},
            latches=[],
            alarms=[],
            boot_id="b-4",
            as_of=utc_text(self.now().wall_ms),
        )
        self.broker.publish(Outgoing(self.topics.summary(device), summary.to_bytes(), retain=True))
        return summary

    def _answer(self, asker: Asker, answer: Answer, now: Now) -> bytes:
        payload = AnswerMessage.of(answer, boot_id="b-4", now=now).to_bytes()
        self._send(asker, payload)
        return payload

    def _send(self, asker: Asker, payload: bytes) -> None:
        for topic in asker.answer_topics(self.topics):
            self.broker.publish(Outgoing(topic, payload, correlation=asker.correlation))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Desk]:
        """Serve, from when it can be reached."""
        task = asyncio.create_task(self.broker.run())
        try:
            while not self.broker.is_up and not task.done():  # noqa: ASYNC110 - the shell has no event to wait on
                await asyncio.sleep(0.01)
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
