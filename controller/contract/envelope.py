"""A command's payload: bytes -> checked envelope -> the heart's wish.

It judges form only; whether a wish is obeyed, and whether it is too old, is the heart's business.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from controller.words import WordError, loads
from safety.messages import (
    Adjust,
    ArmSession,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Check,
    Claim,
    ClearLatch,
    Expect,
    Pause,
    Prepare,
    Release,
    Renew,
    Resume,
    Start,
    Stop,
    Threshold,
    Verb,
    Wish,
)

from .topics import ID

MAX_BYTES = 8192
MAX_BRACKETS = 64
"""Opening brackets in a payload, strings included: a command needs four, and nesting is bounded before it is parsed."""
MAX_FIELDS = 8
"""Faults of form that an answer lists; a payload may hold thousands."""

STATUS = "service.status"
"""The verb that asks the service, not a station."""

EPOCH = datetime.fromtimestamp(0, UTC)
ISO = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$"
COMMAND_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


class Arrival(NamedTuple):
    """A message as the broker delivered it; `retained` is what its sender set where the broker passes that on."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


class Fault(NamedTuple):
    """One fault of form: where in the payload, and what is wrong. It never repeats the value."""

    field: str
    problem: str


class RefusedError(ValueError):
    """A message is no command. `code` says at which step; `command_id` is empty where it could not be read."""

    def __init__(self, code: str, faults: tuple[Fault, ...] = (), command_id: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.faults = faults
        self.command_id = command_id


def utc_ms(text: str) -> int:
    """Read an RFC 3339 UTC time in ms since 1970. Raises ValueError for a date that is none."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def utc_text(wall_ms: int) -> str:
    """Write ms since 1970 as RFC 3339 UTC time with milliseconds."""
    return (EPOCH + timedelta(milliseconds=wall_ms)).strftime(f"%Y-%m-%dT%H:%M:%S.{wall_ms % 1000:03d}Z")


def _dated(text: str) -> str:
    utc_ms(text)
    return text


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError("0 changes nothing")
    return value


def _in_words(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("a reason in words, without control characters")
    return text


def _each_once(channels: list[int]) -> list[int]:
    if len(set(channels)) != len(channels):
        raise ValueError("each channel once")
    return channels


Id = Annotated[str, Field(pattern=f"^{ID}$")]
Utc = Annotated[str, Field(pattern=ISO), AfterValidator(_dated)]
ChannelNumber = Annotated[int, Field(ge=1, le=8)]
Barcode = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class Wire(BaseModel):
    """A part of a command: strict types, and no field that is not named here."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


W = TypeVar("W", bound=Wire)


class Expectation(Wire):
    """What the sender saw when it asked."""

    boot_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    session_id: Annotated[str, Field(max_length=64)] | None = None
    state_version: Annotated[int, Field(ge=0, le=2**53)] | None = None


class Envelope(Wire):
    """What every command carries around its body; `body` is judged by its verb's own form."""

    schema_: Literal["stim.command/1"] = Field(alias="schema")
    command_id: Annotated[str, Field(pattern=COMMAND_ID)]
    verb: Annotated[str, Field(max_length=64)]
    site: Id
    device: Annotated[str, Field(pattern=f"^({ID}|_all)$")]
    issuer: Id
    role: Id | None = None
    issued_at: Utc
    expires_at: Utc
    nonce: Annotated[str, Field(max_length=64)] | None = None
    expect: Expectation = Expectation()
    body: dict[str, object] = Field(default_factory=dict)

    @property
    def heart_expect(self) -> Expect:
        """Give the expectation in the heart's words."""
        seen = self.expect
        return Expect(boot_id=seen.boot_id, session_id=seen.session_id, state_version=seen.state_version)


class NoBody(Wire):
    """The body of a verb that says everything by itself."""


class PadsBody(Wire):
    """The pads on one channel, by what their barcodes say."""

    channel: ChannelNumber
    barcodes: Annotated[list[Barcode], Field(min_length=1, max_length=4)]


class PrepareBody(Wire):
    """Which version of which prescription, for whom, with which pads; all are opaque references, never a name.

    `continues` asks for what is left of a treatment that was broken off.
    """

    prescription_id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}@[1-9][0-9]{0,6}$")]
    patient_ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    pads: Annotated[list[PadsBody], Field(max_length=8)] = Field(default_factory=list)
    continues: bool = False


class CheckBody(Wire):
    """The channels to measure; none named means all of the session."""

    channels: Annotated[list[ChannelNumber], Field(max_length=8), AfterValidator(_each_once)] = Field(
        default_factory=list
    )


class AdjustBody(Wire):
    """By how much a channel's set-point shall move, in uA; the range is the wire's, what is allowed is judged later."""

    channel: ChannelNumber
    delta_ua: Annotated[int, Field(ge=-200_000, le=200_000), AfterValidator(_not_zero)]


class BeginBody(Wire):
    """The channel whose thresholds are looked for."""

    channel: ChannelNumber


class StepBody(Wire):
    """The button is held (0), or pressed for so much more or less, in uA."""

    delta_ua: Annotated[int, Field(ge=-200_000, le=200_000)]


class MarkBody(Wire):
    """Which threshold stands at the present current, or that this patient has none."""

    threshold: Literal["sensory", "motor", "maximal"]
    absent: bool = False


class ClearBody(Wire):
    """Which latch, and why it may go."""

    latch_id: Annotated[str, Field(pattern=r"^l-[1-9][0-9]{0,15}$")]
    reason: Annotated[str, Field(max_length=200), AfterValidator(_in_words)]


Body = NoBody | PrepareBody | CheckBody | AdjustBody | BeginBody | StepBody | MarkBody | ClearBody

_SIMPLE: dict[str, Wish] = {
    wish.verb: wish
    for wish in (Claim(), Renew(), Release(), CalibrationEnd(), ArmSession(), Start(), Pause(), Resume(), Stop())
}
BODIES: dict[str, type[Body]] = {
    **dict.fromkeys(_SIMPLE, NoBody),
    "stop": NoBody,
    STATUS: NoBody,
    Verb.PREPARE: PrepareBody,
    Verb.CHECK: CheckBody,
    Verb.ADJUST: AdjustBody,
    Verb.CAL_BEGIN: BeginBody,
    Verb.CAL_STEP: StepBody,
    Verb.CAL_MARK: MarkBody,
    Verb.CLEAR: ClearBody,
}
"""Every verb of the wire and the form of its body."""


def read(payload: bytes) -> tuple[Envelope, Body]:
    """Read a payload. Raises RefusedError with CMD.TOO_LARGE, CMD.SCHEMA or CMD.UNKNOWN_VERB, and all that is wrong."""
    data = _parse(payload)
    envelope = _form(Envelope, data, ())
    if envelope.verb not in BODIES:
        raise RefusedError("CMD.UNKNOWN_VERB", (Fault("verb", "not a verb of this version"),), envelope.command_id)
    try:
        return envelope, _form(BODIES[envelope.verb], envelope.body, ("body",))
    except RefusedError as error:
        raise RefusedError(error.code, error.faults, envelope.command_id) from None


def wish_of(verb: str, body: Body) -> Wish:
    """Give what is wished; the prescription that is named is still to be looked up."""
    match body:
        case PrepareBody():
            pads = tuple((each.channel, tuple(each.barcodes)) for each in body.pads)
            return Prepare(None, body.prescription_id, body.patient_ref, pads=pads, continues=body.continues)
        case CheckBody():
            return Check(tuple(body.channels))
        case AdjustBody():
            return Adjust(body.channel, body.delta_ua)
        case BeginBody():
            return CalibrationBegin(body.channel)
        case StepBody():
            return CalibrationStep(body.delta_ua)
        case MarkBody():
            return CalibrationMark(Threshold(body.threshold), body.absent)
        case ClearBody():
            return ClearLatch(int(body.latch_id.removeprefix("l-")), body.reason.strip())
        case NoBody():
            return _SIMPLE[verb]


def _parse(payload: bytes) -> dict[str, object]:
    if len(payload) > MAX_BYTES:
        raise RefusedError("CMD.TOO_LARGE", (Fault("", f"{len(payload)} bytes; at most {MAX_BYTES}"),))
    if payload.count(b"{") + payload.count(b"[") > MAX_BRACKETS:
        raise RefusedError("CMD.SCHEMA", (Fault("", f"more than {MAX_BRACKETS} objects and lists"),))
    try:
        data = loads(payload.decode())
    except (UnicodeDecodeError, WordError):
        problem = "not JSON as this wire has it: UTF-8, each key once, whole numbers only"
        raise RefusedError("CMD.SCHEMA", (Fault("", problem),)) from None
    if not isinstance(data, dict):
        raise RefusedError("CMD.SCHEMA", (Fault("", "not a JSON object"),))
    return data


def _form(model: type[W], data: dict[str, object], at: tuple[str, ...]) -> W:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = tuple(
            Fault(_plain(".".join(str(level) for level in (*at, *item["loc"]))), item["msg"])
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_FIELDS]
        )
    found = data.get("command_id")
    is_named = isinstance(found, str) and re.fullmatch(COMMAND_ID, found) is not None
    raise RefusedError("CMD.SCHEMA", faults, str(found) if is_named else "")


def _plain(name: str) -> str:
    """A field's name comes from the sender: any length, and characters that no answer could carry."""
    return name[:80].encode("ascii", "backslashreplace").decode()
