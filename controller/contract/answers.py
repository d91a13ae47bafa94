"""What the service says on the wire: answers, events, state and telemetry, from the heart's words to JSON.

Readers ignore fields they do not know, so that the service may say more later. Commands are read strictly.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from safety.effects import Answer, Event
from safety.messages import Capabilities, Identity, Latch, Now
from safety.rules.registry import RULES
from safety.verdict import Reason
from safety.wishes import missing

from . import codes
from .accept import Refusal
from .bodies import VERBS
from .envelope import Utc, utc_text

Status = Literal["accepted", "rejected", "in_progress", "succeeded", "failed", "timed_out"]
FINAL = frozenset({"rejected", "succeeded", "failed", "timed_out"})
"""The statuses after which a command is answered for good."""

Priority = Literal["none", "low", "medium", "high"]
ServiceState = Literal["starting", "online", "draining", "offline"]
FORM = "What this payload is, and the version of its form."


class Statement(BaseModel):
    """Anything the service says."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        serialize_by_alias=True,
        validate_by_name=True,
        json_schema_serialization_defaults_required=True,  # what has a default is said, too
    )

    def to_bytes(self) -> bytes:
        """Give the payload."""
        return self.model_dump_json().encode()

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Read a payload. Raises ValueError where it is none of these."""
        return cls.model_validate_json(payload)


class FieldFault(Statement):
    """One fault of form in a command."""

    field: str = Field(description="Where in the payload, levels joined by dots; empty: the whole payload.")
    problem: str = Field(description="What is wrong; it never repeats the value.")


class ReasonSaid(Statement):
    """One reason of a rule; `requested` (asked or measured) and `limit` are in `unit`, or null without figures."""

    rule: str = Field(description="The id of the safety rule; empty where none is behind it.")
    code: str = Field(description="What it is, stable: program against it.")
    severity: str = Field(description="How hard the rule acts: count, refuse, hold, pause, stop or lock.")
    channel: int = Field(description="The channel it is about; 0: the whole device.")
    requested: int | None = Field(description="What was asked or measured, in `unit`; null without figures.")
    limit: int | None = Field(description="Where the limit is, in `unit`; null without figures.")
    unit: str = Field(description="The unit of `requested` and `limit`; empty where there are none.")
    text: str = Field(description="Why, and what to do next, for people; the wording may change.")

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """Say a reason."""
        return cls(
            rule=reason.rule,
            code=reason.code,
            severity=reason.severity.name.lower(),
            channel=reason.channel,
            requested=reason.asked if reason.unit else None,
            limit=reason.allowed if reason.unit else None,
            unit=reason.unit,
            text=codes.text(reason.code, reason=reason),
        )


class RuleSaid(Statement):
    """A rule that was asked about a wish: what it measured, its limit, and what is left (negative: too much).

    `code` and a negative margin stand where it speaks against the wish; figures are null where it has none.
    """

    rule: str = Field(description="The id of the safety rule.")
    text: str = Field(description="What the rule guards, for people; the wording may change.")
    passed: bool = Field(description="Whether it has nothing against the wish.")
    code: str | None = Field(description="What it has against the wish; null where it has nothing.")
    channel: int = Field(description="The channel it is about; 0: the whole device.")
    requested: int | None = Field(description="What was asked or measured, in `unit`; null without figures.")
    limit: int | None = Field(description="Where the limit is, in `unit`; null without figures.")
    unit: str = Field(description="The unit of the figures; empty where there are none.")
    margin: int | None = Field(
        description="What is left up to the limit, in `unit`; negative: so much too much; null without figures."
    )


class Explanation(Statement):
    """What would become of a wish, and every rule that would be asked; what is against it stands first."""

    verb: str = Field(description="The verb that was asked about.")
    obeyed: bool = Field(description="Whether it would be obeyed now.")
    code: str = Field(description="Why not; OK where it would be obeyed.")
    rules: list[RuleSaid] = Field(description="Every rule that was asked, what is against the wish first.")


class AnswerMessage(Statement):
    """The answer to a command. `rule`, `limit`, `requested` and `unit` are those of the binding reason, the first."""

    schema_: Literal["stim.answer/1"] = Field(default="stim.answer/1", alias="schema", description=FORM)
    command_id: str | None = Field(description="The command that is answered; null where its id could not be read.")
    status: Status = Field(
        description="What became of it; after rejected, succeeded, failed and timed_out no other answer follows."
    )
    code: str = Field(description="What it is, stable: program against it. OK: nothing is against it.")
    text: str = Field(description="What became of it, why, and what to do next, for people; the wording may change.")
    rule: str | None = Field(
        default=None, description="The id of the binding safety rule; null where none is behind the code."
    )
    limit: int | None = Field(
        default=None, description="Where the binding rule's limit is, in `unit`; null without figures."
    )
    requested: int | None = Field(
        default=None, description="What was asked or measured against it, in `unit`; null without figures."
    )
    unit: str | None = Field(default=None, description="The unit of `limit` and `requested`; null without figures.")
    reasons: list[ReasonSaid] = Field(
        default=[], description="Every reason, the worst first; the first is the binding one."
    )
    fields: list[FieldFault] = Field(default=[], description="Every fault of form, where the message is no command.")
    details: dict[str, int | str] = Field(
        default={}, description="What the verb answers besides, by name; readers ignore names that they do not know."
    )
    explained: Explanation | None = Field(
        default=None, description="The answer to service.explain; null for every other verb."
    )
    audit_seq: int | None = Field(
        default=None, description="The row of the journal that says the same; null where there is none."
    )
    boot_id: str = Field(description="The run of the service that speaks.")
    at: Utc = Field(description="When it was said, UTC.")

    @classmethod
    def of(cls, answer: Answer, *, boot_id: str, now: Now, audit_seq: int | None = None) -> Self:
        """Say the heart's answer; `audit_seq` is the journal's row, where there is one."""
        reasons = [ReasonSaid.of(reason) for reason in answer.reasons]
        binding = reasons[0] if reasons else None
        return cls(
            command_id=answer.command.id or None,
            status=answer.status,  # type: ignore[arg-type] # pydantic judges it
            code=answer.code,
            text=codes.text(answer.code, answer.status, answer.reasons[0] if reasons else None),
            rule=binding.rule or None if binding else None,
            limit=binding.limit if binding else None,
            requested=binding.requested if binding else None,
            unit=binding.unit or None if binding else None,
            reasons=reasons,
            details=dict(answer.details),
            audit_seq=audit_seq,
            boot_id=boot_id,
            at=utc_text(now.wall_ms),
        )

    @classmethod
    def refusing(cls, refusal: Refusal, *, boot_id: str, now: Now) -> Self:
        """Say that a message was no command, and everything that is wrong with its form."""
        return cls(
            command_id=refusal.asker.command_id or None,
            status="rejected",
            code=refusal.code,
            text=codes.text(refusal.code, "rejected"),
            fields=[FieldFault(field=fault.field, problem=fault.problem) for fault in refusal.faults],
            boot_id=boot_id,
            at=utc_text(now.wall_ms),
        )

    @property
    def plain(self) -> bytes:
        """Say it in a line of plain text, whose first two words a machine can compare."""
        return f"{self.status.upper()} {self.code} {self.text}".rstrip().encode("ascii", "replace")

    @property
    def is_final(self) -> bool:
        """Tell whether no other answer will follow."""
        return self.status in FINAL


class EventMessage(Statement):
    """Something that happened. `event_seq` has no gaps within a boot, so that a reader knows what it missed."""

    schema_: Literal["stim.event/1"] = Field(default="stim.event/1", alias="schema", description=FORM)
    event_seq: int = Field(
        description="Rises by one from each event of this device to the next within a boot; a gap is a loss."
    )
    site: str = Field(description="The site of the device.")
    device: str = Field(description="The device it happened to.")
    kind: str = Field(description="What happened; readers ignore kinds that they do not know.")
    priority: Priority = Field(description="How soon a person should look: none, low, medium or high.")
    rule: str | None = Field(description="The id of the safety rule behind it; null where none is.")
    code: str = Field(description="Why, stable: program against it. OK: nothing is wrong.")
    text: str = Field(description="Why, and what to do next, for people; the wording may change.")
    reasons: list[ReasonSaid] = Field(description="Every reason, the worst first.")
    details: dict[str, int | str] = Field(
        description="What belongs to the kind, by name; readers ignore names that they do not know."
    )
    boot_id: str = Field(description="The run of the service that speaks.")
    at: Utc = Field(description="When it happened, UTC.")

    @classmethod
    def of(cls, event: Event, *, site: str, device: str, event_seq: int, boot_id: str, now: Now) -> Self:
        """Say the heart's event."""
        return cls(
            event_seq=event_seq,
            site=site,
            device=device,
            kind=event.kind,
            priority=event.priority,  # type: ignore[arg-type] # pydantic judges it
            rule=event.rule or None,
            code=event.code,
            text=codes.text(event.code, reason=event.reasons[0] if event.reasons else None),
            reasons=[ReasonSaid.of(reason) for reason in event.reasons],
            details=dict(event.details),
            boot_id=boot_id,
            at=utc_text(now.wall_ms),
        )


class LatchSaid(Statement):
    """A latch that stands; its key (patient and site) stays inside."""

    latch_id: str = Field(description="What `latch.clear` names.")
    scope: str = Field(description="What it holds fast: session, device, montage or patient.")
    rule: str = Field(description="The id of the safety rule that set it.")
    clear: str = Field(description="What removes it: auto, ack_operator, new_session, ack_qualified or maintenance.")
    since: Utc = Field(description="Since when it stands, UTC.")

    @classmethod
    def of(cls, latch: Latch) -> Self:
        """Say a latch."""
        return cls(
            latch_id=f"l-{latch.id}",
            scope=latch.scope.value,
            rule=latch.rule,
            clear=latch.clear.value,
            since=utc_text(latch.since_wall_ms),
        )


class AlarmSaid(Statement):
    """An alarm that is active."""

    kind: str = Field(description="The kind of event that raised it.")
    priority: Priority = Field(description="How soon a person should look.")
    rule: str | None = Field(description="The id of the safety rule behind it; null where none is.")
    code: str = Field(description="Why, stable: program against it.")
    text: str = Field(description="Why, and what to do next, for people; the wording may change.")
    since: Utc = Field(description="Since when it is active, UTC.")


class ChannelSaid(Statement):
    """A channel of the session: its set-point, the top of its window, and what it was given so far."""

    channel: int = Field(description="The number of the channel, from 1.")
    setpoint_ua: int = Field(description="The current that the plateau has; ramps and rests are below it.")
    max_ua: int = Field(description="The highest set-point of this session.")
    ohm: int | None = Field(description="The skin as it was last measured; null where it was not.")
    spent_nc: int = Field(description="The charge that this session counts against the channel's dose so far.")
    on_ms: int = Field(description="How long current was on in this session so far.")


class SummaryMessage(Statement):
    """How a device is: retained, and the state that `expect` refers to. It names no patient.

    `limits` are those in force in the session; `inactive` are the rules that lack a measurement on this device.
    """

    schema_: Literal["stim.summary/1"] = Field(default="stim.summary/1", alias="schema", description=FORM)
    site: str = Field(description="The site of the device.")
    device: str = Field(description="The device.")
    phase: str = Field(
        description="Where it stands: offline, idle, prepared, calibrating, armed, running, paused or uncertain."
    )
    state_version: int = Field(description="Rises with each change; what `expect.state_version` must be.")
    session_id: str | None = Field(
        description="The session; what `expect.session_id` must be. Null where there is none."
    )
    prescription_id: str | None = Field(description="The prescription, `name@version`; null without a session.")
    claimed_by: str | None = Field(description="The principal that has claimed the device; null where nobody has.")
    armed: bool = Field(description="Whether the device may be made to put out current.")
    played_ms: int = Field(description="How much of the programme was played.")
    therapy_ms: int = Field(description="How long the programme is; 0 without a session.")
    channels: list[ChannelSaid] = Field(description="The channels of the session.")
    limits: dict[str, int] = Field(
        description="The limits in force in the session, by name; the end of a name says the unit."
    )
    inactive: list[str] = Field(
        default=[], description="The rules that are silent because the device cannot measure what they need."
    )
    latches: list[LatchSaid] = Field(description="What keeps the output at zero.")
    alarms: list[AlarmSaid] = Field(description="What a person should look at.")
    boot_id: str = Field(description="The run of the service that speaks; what `expect.boot_id` must be.")
    as_of: Utc = Field(description="When it was so, UTC.")


class CapabilitiesMessage(Statement):
    """What a device can do and measure, and what may be asked of it: retained.

    `not_fitted` are measurements that it cannot make, `inactive` the rules that are silent for the want of them.
    """

    schema_: Literal["stim.capabilities/1"] = Field(default="stim.capabilities/1", alias="schema", description=FORM)
    schema_version: Literal[1] = Field(default=1, description="The version of the wire that the service speaks.")
    site: str = Field(description="The site of the device.")
    device: str = Field(description="The device.")
    model: str = Field(description="What the device says that it is.")
    serial: str = Field(description="Its serial number.")
    firmware: str = Field(description="The version of its firmware.")
    emulator: bool = Field(description="Whether it is an emulated device.")
    channels: int = Field(description="How many channels it has.")
    max_ua: int = Field(description="The highest current that it can put out.")
    step_ua: int = Field(description="The step in which it can set the current.")
    width_us: tuple[int, int] = Field(description="The shortest and the longest pulse.")
    period_us: tuple[int, int] = Field(
        description="The shortest and the longest time from pulse to pulse of a channel."
    )
    compliance_mv: int = Field(description="The highest voltage that it can put out.")
    dead_man_ms: int = Field(description="After so long without a word from the service the device stops by itself.")
    numeric_impedance: bool = Field(description="Whether it measures the skin in ohms.")
    readback: bool = Field(description="Whether it says what it really puts out.")
    patient_stop: bool = Field(description="Whether it has a stop button for the patient.")
    not_fitted: list[str] = Field(default=[], description="The measurements that it cannot make.")
    inactive: list[str] = Field(default=[], description="The rules that are silent for the want of them.")
    verbs: list[str] = Field(description="What may be asked in this version.")
    boot_id: str = Field(description="The run of the service that speaks.")
    as_of: Utc = Field(description="When it was so, UTC.")

    @classmethod
    def of(cls, identity: Identity, caps: Capabilities, *, site: str, device: str, boot_id: str, now: Now) -> Self:
        """Say what the device that answers on the line can do."""
        return cls(
            site=site,
            device=device,
            model=identity.model,
            serial=identity.serial,
            firmware=identity.firmware,
            emulator=identity.emulator,
            channels=caps.channels,
            max_ua=caps.max_ua,
            step_ua=caps.step_ua,
            width_us=(caps.min_width_us, caps.max_width_us),
            period_us=(caps.min_period_us, caps.max_period_us),
            compliance_mv=caps.compliance_mv,
            dead_man_ms=caps.dead_man_ms,
            numeric_impedance=caps.numeric_impedance,
            readback=caps.readback,
            patient_stop=caps.patient_stop,
            not_fitted=list(missing(caps)),
            inactive=inactive(caps),
            verbs=list(VERBS),
            boot_id=boot_id,
            as_of=utc_text(now.wall_ms),
        )


def inactive(caps: Capabilities) -> list[str]:
    """Name the rules that need a measurement which this device does not make (X7)."""
    unfitted = missing(caps)
    return [rule.id for rule in RULES if rule.needs in unfitted]


class ChallengeMessage(Statement):
    """A nonce for a client without a clock: retained. It is good for one command that is sent before it changes.

    A renewal of the claim does not use it up. `session_id` and `state_version` are what it stands for.
    """

    schema_: Literal["stim.challenge/1"] = Field(default="stim.challenge/1", alias="schema", description=FORM)
    device: str = Field(description="The device that it is good for.")
    principal: str = Field(description="Who may use it.")
    nonce: str = Field(description="The word to put into a command's `nonce`.")
    session_id: str = Field(description="The session that it stands for; empty where there is none.")
    state_version: int = Field(description="The version of the device's state that it stands for.")
    expires_in_ms: int = Field(description="How long after `at` it may be used, where it does not change before.")
    boot_id: str = Field(description="The run of the service that gave it out.")
    at: Utc = Field(description="When it was given out, UTC.")


class TelemetryMessage(Statement):
    """What one channel delivers, for display only; `sample` counts up, so that a reader sees a gap."""

    schema_: Literal["stim.telemetry/1"] = Field(default="stim.telemetry/1", alias="schema", description=FORM)
    channel: int = Field(ge=1, le=8, description="The number of the channel.")
    sample: int = Field(description="Counts up by one from message to message of this channel; a gap is a loss.")
    commanded_ua: int = Field(description="The current that the service has the device put out.")
    delivered_ua: int | None = Field(description="What the device says it puts out; null where it says nothing.")
    charge_nc: int = Field(description="The charge that the device delivered on this channel since it was last armed.")
    ohm: int | None = Field(description="The skin as the device measures it; null where it does not.")
    boot_id: str = Field(description="The run of the service that speaks.")
    at: Utc = Field(description="When the service heard it, UTC.")


class ServiceMessage(Statement):
    """Whether a service is there: retained, and its last will. A will was written before it came true: `at` is null.

    `offline` says that the service is gone, never that current has stopped: that is the device's own dead man's word.
    """

    schema_: Literal["stim.service/1"] = Field(default="stim.service/1", alias="schema", description=FORM)
    instance: str = Field(description="The name of the service at its site.")
    state: ServiceState = Field(description="starting, online, draining (it ends and begins nothing new) or offline.")
    will: bool = Field(
        description="Whether the broker says it in the service's place, because the service is gone without a word."
    )
    boot_id: str = Field(description="The run of the service that it is about.")
    at: Utc | None = Field(description="When it was said, UTC; null in a will.")
