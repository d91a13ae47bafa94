"""The door: everything that arrives becomes one outcome, judged in a fixed order of steps, each with a code of its own.

Size, form, topic and body agree, sender known, proof, command id known, role and scope, nonce. What remains (retained,
age, `expect`, the rules) is the heart's to judge. A stop is different: it is obeyed whatever is wrong with it, and what
was wrong is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from controller.identity import Principal, Proof, Proven, Seen, Tier
from controller.identity.roles import HARMLESS
from safety.messages import Claim, Command, Expect, Now, Stop, Verb

from .bodies import STATUS, Body, ReleaseBody, StartBody, wish_of
from .envelope import FRESH_MS, Arrival, Envelope, Fault, Question, RefusedError, read, utc_ms
from .plain import is_plain, read_plain
from .topics import ALL, STOPS, CommandTopic, Topics, is_id

Nonces = Callable[[str, str, str, Now], Expect | None]
"""What a principal saw that names this nonce of this device; None where nobody gave it out, or too long ago."""


class Asker(NamedTuple):
    """Who asked what, and where the answer goes.

    `principal` is empty where there is nobody to answer, `command_id` where it could not be read; `response_topic` is
    set only where this principal may have it. `kid` is the key that has signed, empty where none has; `is_plain` tells
    that whoever asked writes, and reads, plain text.
    """

    device: str
    principal: str
    command_id: str
    response_topic: str | None
    correlation: bytes | None
    kid: str = ""
    is_plain: bool = False

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
    """A command for a station. `digest` is to be known under its id before it is acted upon.

    `nonce` is spent once it is acted upon (empty: it bore none); `rx` is the prescription that is meant to start,
    `heir` who gets the claim that is given back.
    """

    asker: Asker
    command: Command
    digest: str
    nonce: str = ""
    rx: str = ""
    heir: str = ""


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


def no_nonces(_device: str, _principal: str, _nonce: str, _now: Now) -> None:
    """Know no nonce: nobody gives any out."""


@dataclass(frozen=True, slots=True)
class Door:
    """What it takes to judge an arrival: the site's topics, the devices served here, and who and what is known."""

    topics: Topics
    devices: frozenset[str]
    principals: Mapping[str, Principal]
    proof: Proof
    seen: Callable[[str, str], Seen | None]
    nonces: Nonces = no_nonces

    def accept(self, arrival: Arrival, now: Now) -> Outcome:
        """Judge a message. Every message has an outcome; none raises."""
        where = self.topics.read_command(arrival.topic)
        if where is None or (where.device not in self.devices and (where.device, where.verb in STOPS) != (ALL, True)):
            return Refusal(asker=Asker("", "", "", None, None), code="CMD.TOPIC_MISMATCH")
        if where.verb in STOPS:
            return self._stop(where, arrival, now)
        command_id = ""
        try:
            envelope, body = self._read(where, arrival, now)
            command_id = envelope.command_id
            return self._command(where, arrival, envelope, body, now)
        except RefusedError as error:
            asker = self._asker(where, arrival, command_id or error.command_id)
            return Refusal(asker=asker, code=error.code, faults=error.faults)

    def _asker(self, where: CommandTopic, arrival: Arrival, command_id: str) -> Asker:
        principal = where.principal if is_id(where.principal) else ""
        reply = arrival.response_topic
        if reply is not None and not self.topics.may_reply(reply, where.device, principal):
            reply = None
        return Asker(
            where.device, principal, command_id, reply, arrival.correlation, is_plain=is_plain(arrival.payload)
        )

    def _read(self, where: CommandTopic, arrival: Arrival, now: Now) -> tuple[Envelope, Body | Question]:
        if is_plain(arrival.payload):
            return read_plain(arrival, where, self.topics.site, now)
        return read(arrival.payload)

    def _command(
        self, where: CommandTopic, arrival: Arrival, envelope: Envelope, body: Body | Question, now: Now
    ) -> Outcome:
        principal, proven = self._sender(where, arrival, envelope, now)
        asker = self._asker(where, arrival, envelope.command_id)._replace(kid=proven.kid)
        digest = digest_of(arrival)
        seen = self._known(asker, digest)
        if seen:
            return Repeat(asker=asker, answer=seen.answer)
        verb, meant = body if isinstance(body, Question) else (envelope.verb, body)
        wish = None if verb == STATUS else wish_of(verb, meant)
        if not principal.may_ask(verb, wish) or envelope.role not in {None, principal.role}:
            raise RefusedError("AUTH.ROLE")
        if not principal.may_use(where.device):
            raise RefusedError("AUTH.SCOPE")
        expect = self._expect(where, envelope, now)
        if expect is None:
            if proven.tier < self.proof.needed(principal) and verb not in HARMLESS:
                raise RefusedError("CMD.NONCE", (Fault("nonce", "is missing, and there is no signature"),))
            expect = envelope.heart_expect
        if wish is None:
            return Inquiry(asker=asker, digest=digest)
        issued, expires = times_of(envelope, now)
        command = Command(
            id=asker.command_id,
            principal=principal.name,
            role=principal.role.value,
            issued_wall_ms=issued,
            expires_wall_ms=expires,
            retained=arrival.retained,
            expect=expect,
            wish=wish,
        )
        if isinstance(body, Question):
            return WhatIf(asker=asker, command=command)
        rx = meant.prescription_id if isinstance(meant, StartBody) else None
        heir = self._heir(where.device, meant, now)
        return Accepted(asker=asker, command=command, digest=digest, nonce=envelope.nonce or "", rx=rx or "", heir=heir)

    def _heir(self, device: str, meant: Body, now: Now) -> str:
        """Give who gets the claim that is given back; nobody may who could not claim the device."""
        if not isinstance(meant, ReleaseBody) or meant.to is None:
            return ""
        heir = self.principals.get(meant.to)
        if heir is None or not (
            heir.is_good(now.wall_ms) and heir.may_use(device) and heir.may_ask(Verb.CLAIM, Claim())
        ):
            raise RefusedError("CMD.SCHEMA", (Fault("body.to", "nobody of this name may claim this device"),))
        return heir.name

    def _expect(self, where: CommandTopic, envelope: Envelope, now: Now) -> Expect | None:
        """Give what the sender has seen by its nonce; None where it bears none."""
        if envelope.nonce is None:
            return None
        expect = self.nonces(where.device, where.principal, envelope.nonce, now)
        if expect is None:
            raise RefusedError("CMD.NONCE", (Fault("nonce", "not the latest one given out"),))
        return expect

    def _stop(self, where: CommandTopic, arrival: Arrival, now: Now) -> StopNow:
        command_id, irregular, digest = "", "", digest_of(arrival)
        issued = expires = now.wall_ms
        try:
            envelope, _ = self._read(where, arrival, now)
            command_id = envelope.command_id
            issued, expires = times_of(envelope, now)
            self._sender(where, arrival, envelope, now)
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

    def _sender(self, where: CommandTopic, arrival: Arrival, envelope: Envelope, now: Now) -> tuple[Principal, Proven]:
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
        proven, needed = self.proof.proven(principal, arrival, now.wall_ms), self.proof.needed(principal)
        if proven.tier < needed and needed > Tier.T1_NONCE:
            found = "the signature is a shared key's" if proven.kid else "there is no signature"
            raise RefusedError("AUTH.BAD_SIGNATURE", (Fault("sig", f"{found}; this role needs {needed.word}"),))
        return principal, proven

    def _known(self, asker: Asker, digest: str) -> Seen | None:
        seen = self.seen(asker.principal, asker.command_id)
        if seen and seen.digest != digest:
            raise RefusedError("CMD.ID_REUSED")
        return seen


def times_of(envelope: Envelope, now: Now) -> tuple[int, int]:
    """Tell when a command was issued and when it expires, in ms since 1970; one that bears a nonce is young."""
    if envelope.nonce is not None or envelope.issued_at is None or envelope.expires_at is None:
        return now.wall_ms, now.wall_ms + FRESH_MS
    return utc_ms(envelope.issued_at), utc_ms(envelope.expires_at)


def digest_of(arrival: Arrival) -> str:
    """Give the fingerprint of a message: SHA-256 over topic, NUL and payload, in hex."""
    return sha256(arrival.topic.encode() + b"\0" + arrival.payload).hexdigest()
