"""The client that integrators, the command line and the tests use: send a command, get its answer, hear what happens.

    async with Client("localhost", 1883, site="ward3", principal="clinician-1") as client:
        await client.ask("dev1", "device.claim")
        answer = await client.ask("dev1", "session.start")

What a command must say it `expect`s is taken from the device's latest state. A client lives as long as its connections:
once they are lost everything raises BrokerError, and a new client is to be made.
"""

import asyncio
import json
import secrets
import ssl
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Self, TypeVar

from . import clock
from .broker import Address, BrokerError, Connection
from .contract.answers import (
    AnswerMessage,
    CapabilitiesMessage,
    EventMessage,
    ServiceMessage,
    Statement,
    SummaryMessage,
    TelemetryMessage,
)
from .contract.bodies import QUESTION
from .contract.envelope import Arrival, utc_ms, utc_text
from .contract.topics import ALL, Topics
from .identity.jws import sign
from .identity.keys import Key, Secret
from .identity.statement import is_said_by
from .outbox import Outgoing

EXPIRES_MS = 5_000
"""How long after sending a command may still be obeyed; the service's own limits allow less (engineering default)."""
TIMEOUT_S = 10.0
STALE_MS = 15_000
"""An older state or event is not believed: the service states its devices anew every 5 s (engineering default)."""
BACKLOG = 1_000
"""Statements kept for a reader that is slow; the oldest go first and are counted (engineering default)."""

MUST_EXPECT = frozenset({"session.arm", "session.start", "session.resume", "calibration.begin"})
"""Verbs that must say what their sender saw; so must an adjustment upwards."""


Found = TypeVar("Found")


class Said(NamedTuple):
    """A statement, and which device it is about (`_service`: a service)."""

    device: str
    message: Statement


class Doubt(Statement):
    """What was said of a device was not signed by its service, so that nobody knows how it is."""

    topic: str


class NoAnswerError(TimeoutError):
    """A command was sent and nobody answered; what became of it is not known."""


class Client:
    """One principal's voice and ears at a site; `username` and `password` are for the broker, if it asks.

    With a `key` every command is signed. With `service_key`, the public half of the service's own, nothing counts that
    the service has not signed, or that is old; telemetry is never signed, and for display only.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        site: str,
        principal: str,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        prefix: str = "stim",
        telemetry: bool = False,
        key: Secret | None = None,
        service_key: Key | None = None,
    ) -> None:
        self.missed = 0
        """Statements that readers of `events` were too slow for."""
        self.unbelieved = 0
        """Statements that the service had not signed, or that were old."""
        self._address = Address(host=host, port=port, username=username, password=password, tls=tls)
        self._topics = Topics(site, prefix)
        self._principal = principal
        self._key = key
        self._service_key = service_key
        self._branches = (f"ack/{principal}", "state", "event", *(("tele",) if telemetry else ()))
        self._stack = AsyncExitStack()
        self._out: Connection
        self._answers: dict[str, AnswerMessage | None] = {}
        self._states: dict[str, Said] = {}
        self._readers: list[deque[Said]] = []
        self._news = asyncio.Event()
        self._lost: BrokerError | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            name = f"{self._principal}-{secrets.token_hex(4)}"
            # Two connections, for the reason given in broker.py.
            ears = await stack.enter_async_context(Connection(self._address, f"{name}-in", self._hear))
            self._out = await stack.enter_async_context(Connection(self._address, f"{name}-out", self._hear))
            filters = [self._topics.all_of(branch) for branch in self._branches]
            await ears.subscribe([*filters, self._topics.service("+")], commands=False)
            for connection in (ears, self._out):
                stack.callback(asyncio.create_task(self._watch(connection)).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def ask(
        self,
        device: str,
        verb: str,
        body: Mapping[str, Any] | None = None,
        *,
        expect: Mapping[str, int | str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> AnswerMessage:
        """Send a command and wait for its final answer, or give the interim one that it got in time.

        Raises NoAnswerError where none came, BrokerError where the connection is lost.
        """
        command_id = uuid7()
        self._answers[command_id] = None
        try:
            async with asyncio.timeout(timeout_s):
                if expect is None and must_expect(verb, body or {}):
                    expect = _seen(await self._until(lambda: self.summary(device)))
                payload = self._envelope(command_id, device, verb, body or {}, expect or {})
                topic = self._topics.command(device, self._principal, verb)
                # Not waited for: the library would not notice, while it waits, that the connection is lost.
                signature = sign(self._key, topic, payload) if self._key else None
                command = Outgoing(topic, payload, signature=signature)
                sending = asyncio.create_task(self._out.publish(command))
                sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())
                try:
                    return await self._until(lambda: self._final(command_id))
                finally:
                    sending.cancel()
        except TimeoutError:
            interim = self._answers[command_id]
            if interim:
                return interim
            raise NoAnswerError(self._why_silent(device, verb, timeout_s)) from None
        finally:
            del self._answers[command_id]

    async def explain(
        self, device: str, verb: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> AnswerMessage:
        """Ask what would become of a command; nothing is done. Raises as `ask` does."""
        return await self.ask(device, QUESTION, {"verb": verb, "body": dict(body or {})}, timeout_s=timeout_s)

    async def stop(self, device: str) -> AnswerMessage:
        """Stop a device."""
        return await self.ask(device, "session.stop")

    async def stop_all(self) -> AnswerMessage:
        """Stop every device of the site; the first answer is given."""
        return await self.ask(ALL, "stop")

    def summary(self, device: str) -> SummaryMessage | None:
        """Give the latest state of a device, or None where none was heard, or is to be believed now."""
        said = self._states.get(self._topics.summary(device))
        if said is None or not isinstance(said.message, SummaryMessage):
            return None
        return None if self._service_key and is_old(said.message.as_of) else said.message

    def events(self) -> AsyncGenerator[Said, None]:
        """Give the states that are known, then all that is said from this call on; ends with BrokerError."""
        mine = deque(self._states.values(), BACKLOG)
        self._readers.append(mine)
        return self._read(mine)

    # Hearing

    def _hear(self, arrival: Arrival) -> None:
        if self._service_key and not self._is_believed(arrival, self._service_key):
            self.unbelieved += 1
            self._doubt(arrival.topic)
            self._news.set()
            return
        match self._topics.levels(arrival.topic):
            case (_, "ack", _, _):
                answer = AnswerMessage.read(arrival.payload)
                if answer.command_id in self._answers:
                    self._answers[answer.command_id] = answer
            case (device, "state", "summary"):
                self._tell(Said(device, SummaryMessage.read(arrival.payload)), arrival.topic)
            case (device, "state", "capabilities"):
                self._tell(Said(device, CapabilitiesMessage.read(arrival.payload)), arrival.topic)
            case ("_service", _, "state"):
                self._tell(Said("_service", ServiceMessage.read(arrival.payload)), arrival.topic)
            case (device, "event", _):
                self._tell(Said(device, EventMessage.read(arrival.payload)))
            case (device, "tele", _):
                self._tell(Said(device, TelemetryMessage.read(arrival.payload)))
        self._news.set()

    def _is_believed(self, arrival: Arrival, key: Key) -> bool:
        """Tell whether a statement is the service's own, and no copy of an old one."""
        match self._topics.levels(arrival.topic):
            case ("_service", _, "state") | (_, "tele", _):
                return True
            case (_, "event", _):
                return is_said_by(key, arrival) and not is_old(EventMessage.read(arrival.payload).at)
            case (_, "state", "summary"):
                known = self._states.get(arrival.topic)
                before = known.message.as_of if known and isinstance(known.message, SummaryMessage) else ""
                return is_said_by(key, arrival) and SummaryMessage.read(arrival.payload).as_of >= before
        return is_said_by(key, arrival)

    def _doubt(self, topic: str) -> None:
        """Forget what is known under a topic that somebody else has published to."""
        match self._topics.levels(topic):
            case (device, "state", "summary" | "capabilities"):
                self._states.pop(topic, None)
                self._tell(Said(device, Doubt(topic=topic)))

    def _tell(self, said: Said, state_topic: str = "") -> None:
        if state_topic:
            self._states[state_topic] = said
        for reader in self._readers:
            self.missed += len(reader) == reader.maxlen
            reader.append(said)

    async def _read(self, mine: deque[Said]) -> AsyncGenerator[Said, None]:
        try:
            while True:
                yield await self._until(lambda: mine.popleft() if mine else None)
        finally:
            # By identity: two readers that have heard the same are equal.
            self._readers = [reader for reader in self._readers if reader is not mine]

    async def _watch(self, connection: Connection) -> None:
        try:
            await connection.lost()
        except BrokerError as error:
            self._lost = error
            self._news.set()

    async def _until(self, find: Callable[[], Found | None]) -> Found:
        """Wait until something is found among what was heard."""
        while True:
            found = find()
            if found is not None:
                return found
            if self._lost:
                raise BrokerError(str(self._lost))
            self._news.clear()
            await self._news.wait()

    # Saying

    def _final(self, command_id: str) -> AnswerMessage | None:
        answer = self._answers[command_id]
        return answer if answer and answer.is_final else None

    def _envelope(
        self, command_id: str, device: str, verb: str, body: Mapping[str, object], expect: Mapping[str, object]
    ) -> bytes:
        wall_ms = clock.now().wall_ms
        envelope = {
            "schema": "stim.command/1",
            "command_id": command_id,
            "verb": verb,
            "site": self._topics.site,
            "device": device,
            "issuer": self._principal,
            "issued_at": utc_text(wall_ms),
            "expires_at": utc_text(wall_ms + EXPIRES_MS),
            "expect": expect,
            "body": body,
        }
        return json.dumps(envelope).encode()

    def _why_silent(self, device: str, verb: str, timeout_s: float) -> str:
        services = [said.message for said in self._states.values() if isinstance(said.message, ServiceMessage)]
        online = ", ".join(service.instance for service in services if service.state in {"online", "draining"})
        known = "is known" if self.summary(device) else "was never heard of"
        return (
            f"no answer to {verb} within {timeout_s:g} s. At site {self._topics.site} device {device} {known}; "
            f"services online: {online or 'none'}. Likely causes: the broker does not let this login publish as "
            f"{self._principal} (it refuses without a word), no service serves the device, or a name is misspelt."
            + (
                f" {self.unbelieved} statements were not signed by the service that is known."
                if self.unbelieved
                else ""
            )
        )


def is_old(at: str) -> bool:
    """Tell whether something was said too long ago to count as how it is."""
    return clock.now().wall_ms - utc_ms(at) > STALE_MS


def must_expect(verb: str, body: Mapping[str, Any]) -> bool:
    """Tell whether a command, or the one that is asked about, must say what its sender saw."""
    if verb == QUESTION:
        return must_expect(body["verb"], body["body"])
    delta = body.get("delta_ua")
    return verb in MUST_EXPECT or (isinstance(delta, int) and delta > 0)


def _seen(summary: SummaryMessage) -> dict[str, int | str]:
    return {
        "boot_id": summary.boot_id,
        "session_id": summary.session_id or "",
        "state_version": summary.state_version,
    }


def uuid7() -> str:
    """Make an id that sorts by time: 48 bits of ms since 1970, version 7, 74 random bits."""
    stamp, high, low = clock.now().wall_ms, secrets.randbits(12), secrets.randbits(62)
    return str(uuid.UUID(int=stamp << 80 | 7 << 76 | high << 64 | 2 << 62 | low))
