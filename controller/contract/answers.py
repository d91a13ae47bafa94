"""What the service says on the wire: answers, events, state and telemetry, from the heart's words to JSON.

Readers ignore fields they do not know, so that the service may say more later. Commands are read strictly.
"""

from typing import Annotated, Literal, Self

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


class Statement(BaseModel):
    """Anything the service says."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, serialize_by_alias=True, validate_by_name=True)

    def to_bytes(self) -> bytes:
        """Give the payload."""
        return self.model_dump_json().encode()

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Read a payload. Raises ValueError where it is none of these."""
        return cls.model_validate_json(payload)


class FieldFault(Statement):
    """One fault of form in a command."""

    field: str
    problem: str


class ReasonSaid(Statement):
    """One reason of a rule; `requested` (asked or measured) and `limit` are in `unit`, or None without figures."""

    rule: str
    code: str
    severity: str
    channel: int
    requested: int | None
    limit: int | None
    unit: str
    text: str

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

    `code` and a negative margin stand where it speaks against the wish; figures are None where it has none.
    """

    rule: str
    text: str
    passed: bool
    code: str | None
    channel: int
    requested: int | None
    limit: int | None
    unit: str
    margin: int | None


class Explanation(Statement):
    """What would become of a wish, and every rule that would be asked; what is against it stands first."""

    verb: str
    obeyed: bool
    code: str
    rules: list[RuleSaid]


class AnswerMessage(Statement):
    """The answer to a command. `rule`, `limit`, `requested` and `unit` are those of the binding reason, the first."""

    schema_: Literal["stim.answer/1"] = Field(default="stim.answer/1", alias="schema")
    command_id: str | None
    status: Status
    code: str
    text: str
    rule: str | None = None
    limit: int | None = None
    requested: int | None = None
    unit: str | None = None
    reasons: list[ReasonSaid] = []
    fields: list[FieldFault] = []
    details: dict[str, int | str] = {}
    explained: Explanation | None = None
    audit_seq: int | None = None
    boot_id: str
    at: Utc

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
    def is_final(self) -> bool:
        """Tell whether no other answer will follow."""
        return self.status in FINAL


class EventMessage(Statement):
    """Something that happened. `event_seq` has no gaps within a boot, so that a reader knows what it missed."""

    schema_: Literal["stim.event/1"] = Field(default="stim.event/1", alias="schema")
    event_seq: int
    site: str
    device: str
    kind: str
    priority: Priority
    rule: str | None
    code: str
    text: str
    reasons: list[ReasonSaid]
    details: dict[str, int | str]
    boot_id: str
    at: Utc

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

    latch_id: str
    scope: str
    rule: str
    clear: str
    since: Utc

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

    kind: str
    priority: Priority
    rule: str | None
    code: str
    text: str
    since: Utc


class ChannelSaid(Statement):
    """A channel of the session: its set-point, the top of its window, and what it was given so far."""

    channel: int
    setpoint_ua: int
    max_ua: int
    ohm: int | None
    spent_nc: int
    on_ms: int


class SummaryMessage(Statement):
    """How a device is: retained, and the state that `expect` refers to. It names no patient.

    `limits` are those in force in the session; `inactive` are the rules that lack a measurement on this device.
    """

    schema_: Literal["stim.summary/1"] = Field(default="stim.summary/1", alias="schema")
    site: str
    device: str
    phase: str
    state_version: int
    session_id: str | None
    prescription_id: str | None
    claimed_by: str | None
    armed: bool
    played_ms: int
    therapy_ms: int
    channels: list[ChannelSaid]
    limits: dict[str, int]
    inactive: list[str] = []
    latches: list[LatchSaid]
    alarms: list[AlarmSaid]
    boot_id: str
    as_of: Utc


class CapabilitiesMessage(Statement):
    """What a device can do and measure, and what may be asked of it: retained.

    `not_fitted` are measurements that it cannot make, `inactive` the rules that are silent for the want of them.
    """

    schema_: Literal["stim.capabilities/1"] = Field(default="stim.capabilities/1", alias="schema")
    schema_version: Literal[1] = 1
    site: str
    device: str
    model: str
    serial: str
    firmware: str
    emulator: bool
    channels: int
    max_ua: int
    step_ua: int
    width_us: tuple[int, int]
    period_us: tuple[int, int]
    compliance_mv: int
    dead_man_ms: int
    numeric_impedance: bool
    readback: bool
    patient_stop: bool
    not_fitted: list[str] = []
    inactive: list[str] = []
    verbs: list[str]
    boot_id: str
    as_of: Utc

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


class TelemetryMessage(Statement):
    """What one channel delivers, for display only; `sample` counts up, so that a reader sees a gap."""

    schema_: Literal["stim.telemetry/1"] = Field(default="stim.telemetry/1", alias="schema")
    channel: Annotated[int, Field(ge=1, le=8)]
    sample: int
    commanded_ua: int
    delivered_ua: int | None
    charge_nc: int
    ohm: int | None
    boot_id: str
    at: Utc


class ServiceMessage(Statement):
    """Whether a service is there: retained, and its last will. A will was written before it came true: `at` is None.

    `offline` says that the service is gone, never that current has stopped: that is the device's own dead man's word.
    """

    schema_: Literal["stim.service/1"] = Field(default="stim.service/1", alias="schema")
    instance: str
    state: ServiceState
    will: bool
    boot_id: str
    at: Utc | None
