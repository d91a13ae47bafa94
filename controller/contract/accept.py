"""The door: everything that arrives becomes one outcome, judged in a fixed order of steps, each with a code of its own.

Size, form, topic and body agree, sender known, proof, command id known, role and scope. What remains (retained, age,
`expect`, the rules) is the heart's to judge. A stop is different: it is obeyed whatever is wrong with it, and what was
wrong is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from controller.identity import Principal, Proof, Seen
from safety.messages import Command, Expect, Now, Stop

from .bodies import STATUS, Body, wish_of
from .envelope import Arrival, Envelope, Fault, Question, RefusedError, read, utc_ms
from .topics import ALL, STOPS, CommandTopic, Topics, is_id


class Asker(NamedTuple):
    """Who asked what, and where the answer goes.

    `principal` is empty where there is nobody to answer, `command_id` where it could not be read; `response_topic` is
    set only where this principal may have it.
    """

    device: str
    principal: str
    command_id: str
    response_topic: str | None
    correlation: bytes | None

    def answer_topics(self, topics: Topics) -> tuple[str, ...]:
        """Give the topics on which to answer: the principal's own, and the one it asked for."""
        if not self.principal:
            return ()
        own = topics.ack(self.device, self.principal, self.command_id)
        return (own,) if self.response_topic in {None, own} else (own, str(self.response_topic))


@dataclass(frozen=True, slots=True)
class Refusal:
    """No command; the service answers it by itself."""

    asker: Asker
    code: str
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command for a station. `digest` is to be known under its id before it is acted upon."""

    asker: Asker
    command: Command
    digest: str


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The service is asked how it is."""

    asker: Asker
    digest: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Somebody asks what would become of this command, which nobody shall obey."""

    asker: Asker
    command: Command


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same message came before: it is answered, not acted upon. `answer` is None while the first is under way."""

    asker: Asker
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class StopNow:
    """Stop, whatever else is wrong. `asker.device` is `_all` for every device of the site.

    `irregular` is the code of the first thing wrong, empty where nothing was. An irregular stop is told in an alarm
    that names its principal; what could not be read of it is empty.
    """

    asker: Asker
    command: Command
    digest: str
    irregular: str


Outcome = Refusal | Accepted | WhatIf | Inquiry | Repeat | StopNow


@dataclass(frozen=True, slots=True)
class Door:
    """What it takes to judge an arrival: the site's topics, the devices served here, and who and what is known."""

    topics: Topics
    devices: frozenset[str]
    principals: Mapping[str, Principal]
    proof: Proof
    seen: Callable[[str, str], Seen | None]

    def accept(self, arrival: Arrival, now: Now) -> Outcome:
        """Judge a message. Every message has an outcome; none raises."""
        where = self.topics.read_command(arrival.topic)
        if where is None or (where.device not in self.devices and (where.device, where.verb in STOPS) != (ALL, True)):
            return Refusal(asker=Asker("", "", "", None, None), code="CMD.TOPIC_MISMATCH")
        if where.verb in STOPS:
            return self._stop(where, arrival, now)
        command_id = ""
        try:
            envelope, body = read(arrival.payload)
            command_id = envelope.command_id
            return self._command(where, arrival, envelope, body)
        except RefusedError as error:
            asker = self._asker(where, arrival, command_id or error.command_id)
            return Refusal(asker=asker, code=error.code, faults=error.faults)

    def _asker(self, where: CommandTopic, arrival: Arrival, command_id: str) -> Asker:
        principal = where.principal if is_id(where.principal) else ""
        reply = arrival.response_topic
        if reply is not None and not self.topics.may_reply(reply, where.device, principal):
            reply = None
        return Asker(where.device, principal, command_id, reply, arrival.correlation)

    def _command(self, where: CommandTopic, arrival: Arrival, envelope: Envelope, body: Body | Question) -> Outcome:
        principal = self._sender(where, arrival, envelope)
        asker, digest = self._asker(where, arrival, envelope.command_id), digest_of(arrival)
        seen = self._known(asker, digest)
        if seen:
            return Repeat(asker=asker, answer=seen.answer)
        verb, meant = body if isinstance(body, Question) else (envelope.verb, body)
        wish = None if verb == STATUS else wish_of(verb, meant)
        if not principal.may_ask(verb, wish) or envelope.role not in {None, principal.role}:
            raise RefusedError("AUTH.ROLE")
        if not principal.may_use(where.device):
            raise RefusedError("AUTH.SCOPE")
        if envelope.nonce is not None:
            raise RefusedError("CMD.NONCE", (Fault("nonce", "not served"),))
        if wish is None:
            return Inquiry(asker=asker, digest=digest)
        command = Command(
            id=asker.command_id,
            principal=principal.name,
            role=principal.role.value,
            issued_wall_ms=utc_ms(envelope.issued_at),
            expires_wall_ms=utc_ms(envelope.expires_at),
            retained=arrival.retained,
            expect=envelope.heart_expect,
            wish=wish,
        )
        if isinstance(body, Question):
            return WhatIf(asker=asker, command=command)
        return Accepted(asker=asker, command=command, digest=digest)

    def _stop(self, where: CommandTopic, arrival: Arrival, now: Now) -> StopNow:
        command_id, irregular, digest = "", "", digest_of(arrival)
        issued = expires = now.wall_ms
        try:
            envelope, _ = read(arrival.payload)
            command_id = envelope.command_id
            issued, expires = utc_ms(envelope.issued_at), utc_ms(envelope.expires_at)
            self._sender(where, arrival, envelope)
            self._known(self._asker(where, arrival, command_id), digest)
        except RefusedError as error:
            command_id, irregular = command_id or error.command_id, error.code
        if not irregular and (arrival.retained or now.wall_ms > expires):
            irregular = "CMD.RETAINED" if arrival.retained else "CMD.EXPIRED"
        asker, principal = self._asker(where, arrival, command_id), self.principals.get(where.principal)
        command = Command(
            id=command_id,
            principal=asker.principal,
            role=principal.role.value if principal else "",
            issued_wall_ms=issued,
            expires_wall_ms=expires,
            retained=arrival.retained,
            expect=Expect(),
            wish=Stop(),
        )
        return StopNow(asker=asker, command=command, digest=digest, irregular=irregular)

    def _sender(self, where: CommandTopic, arrival: Arrival, envelope: Envelope) -> Principal:
        said = {"site": envelope.site, "device": envelope.device, "verb": envelope.verb}
        meant = {"site": self.topics.site, "device": where.device, "verb": where.verb}
        unlike = tuple(Fault(name, f"the topic says {meant[name]}") for name in said if said[name] != meant[name])
        if unlike:
            raise RefusedError("CMD.TOPIC_MISMATCH", unlike)
        if envelope.issuer != where.principal:
            raise RefusedError("AUTH.PRINCIPAL_MISMATCH", (Fault("issuer", f"the topic says {where.principal}"),))
        reply = arrival.response_topic
        if reply is not None and not self.topics.may_reply(reply, where.device, where.principal):
            raise RefusedError("CMD.BAD_RESPONSE_TOPIC")
        principal = self.principals.get(where.principal)
        if principal is None:
            raise RefusedError("AUTH.UNKNOWN_KEY")
        objection = self.proof.objection(principal, arrival)
        if objection:
            raise RefusedError(objection)
        return principal

    def _known(self, asker: Asker, digest: str) -> Seen | None:
        seen = self.seen(asker.principal, asker.command_id)
        if seen and seen.digest != digest:
            raise RefusedError("CMD.ID_REUSED")
        return seen


def digest_of(arrival: Arrival) -> str:
    """Give the fingerprint of a message: SHA-256 over topic, NUL and payload, in hex."""
    return sha256(arrival.topic.encode() + b"\0" + arrival.payload).hexdigest()
