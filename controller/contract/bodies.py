"""What each verb carries, and the wish that it makes in the heart's words."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from safety.messages import (
    Adjust,
    Adverse,
    ArmSession,
    Attest,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Check,
    Claim,
    ClearLatch,
    Pause,
    Prepare,
    Present,
    Rate,
    Rated,
    Release,
    Renew,
    Report,
    Resume,
    SkinCheck,
    Start,
    Stop,
    Threshold,
    Verb,
    Wish,
)

from .topics import ID

STATUS = "service.status"
"""The verb that asks the service, not a station."""
QUESTION = "service.explain"
"""The verb that asks what would become of a wish."""


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


ChannelNumber = Annotated[int, Field(ge=1, le=8, description="The number of the channel.")]
Question = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
Barcode = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class Wire(BaseModel):
    """A part of a command: strict types, and no field that is not named here."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NoBody(Wire):
    """The body of a verb that says everything by itself."""


class PadsBody(Wire):
    """The pads on one channel, by what their barcodes say."""

    channel: ChannelNumber
    barcodes: list[Barcode] = Field(
        min_length=1, max_length=4, description="What the barcode of each of its pads says."
    )


class PrepareBody(Wire):
    """Which version of which prescription, for whom, with which pads; all are opaque references, never a name.

    `continues` asks for what is left of a treatment that was broken off.
    """

    prescription_id: str = Field(
        pattern=r"^[a-z0-9-]{1,32}@[1-9][0-9]{0,6}$", description="The prescription, `name@version`."
    )
    patient_ref: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$", description="An opaque reference of the patient, never a name."
    )
    pads: list[PadsBody] = Field(default_factory=list, max_length=8, description="Which pads are on the patient.")
    continues: bool = Field(
        default=False, description="Go on with what is left of the treatment that was broken off in the last half hour."
    )


class AttestBody(Wire):
    """The answers about contraindications, by question; which questions there are is judged later (G01)."""

    answers: dict[Question, Literal["yes", "no", "unknown"]] = Field(
        max_length=64,
        json_schema_extra={"additionalProperties": False},
        description="Each question about contraindications, by its name, and its answer.",
    )


class ReleaseBody(Wire):
    """Who gets the claim at once, so that nothing pauses in between; nobody where it is left out."""

    to: Annotated[str, Field(pattern=f"^{ID}$")] | None = Field(
        default=None, description="Who has the claim from then on; may be left out."
    )


class StartBody(Wire):
    """The prescription that its sender means to start: where the session has another one, nothing starts."""

    prescription_id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}(@[1-9][0-9]{0,6})?$")] | None = Field(
        default=None, description="Name, or name@version, of the prescription that is meant; may be left out."
    )


class CheckBody(Wire):
    """The channels to measure; none named means all of the session."""

    channels: Annotated[list[ChannelNumber], AfterValidator(_each_once)] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"uniqueItems": True},
        description="The channels to measure, each once; none: all of the session.",
    )


class AdjustBody(Wire):
    """By how much a channel's set-point shall move, in uA; the range is the wire's, what is allowed is judged later."""

    channel: ChannelNumber
    delta_ua: Annotated[int, AfterValidator(_not_zero)] = Field(
        ge=-200_000,
        le=200_000,
        json_schema_extra={"not": {"const": 0}},
        description="By how much the set-point shall move; upwards at most 1,000, at most once a second.",
    )


class BeginBody(Wire):
    """The channel whose thresholds are looked for."""

    channel: ChannelNumber


class StepBody(Wire):
    """The button is held (0), or pressed for so much more or less, in uA."""

    delta_ua: int = Field(
        ge=-200_000, le=200_000, description="0: the button is held; else by how much the current shall move."
    )


class MarkBody(Wire):
    """Which threshold stands at the present current, or that this patient has none."""

    threshold: Literal["sensory", "motor", "maximal"] = Field(description="Which threshold was reached.")
    absent: bool = Field(default=False, description="The patient has no such threshold.")


class RateBody(Wire):
    """What the patient says, from 0 (none) to 10 (the worst that can be thought of)."""

    what: Literal["effort", "pain"] = Field(description="What was rated.")
    score: int = Field(ge=0, le=10, description="0: none; 10: the worst that can be thought of.")


class SkinBody(Wire):
    """How the skin around and under the pads looks."""

    ok: bool = Field(description="Whether all of it looks as it should.")


class ReportBody(Wire):
    """What went wrong with the patient."""

    kind: Literal["burning", "pain", "syncope", "skin", "other"] = Field(description="What went wrong.")


class ClearBody(Wire):
    """Which latch, and why it may go."""

    latch_id: str = Field(pattern=r"^l-[1-9][0-9]{0,15}$", description="The latch, as the summary names it.")
    reason: Annotated[str, AfterValidator(_in_words)] = Field(
        max_length=200,
        json_schema_extra={"pattern": r"^(?!\s*$)[^\u0000-\u001f\u007f-\u00a0]+$"},
        description="Why it may go, in words, on one line.",
    )


CareBody = AttestBody | RateBody | SkinBody | ReportBody
Body = (
    NoBody
    | ReleaseBody
    | PrepareBody
    | StartBody
    | CheckBody
    | AdjustBody
    | BeginBody
    | StepBody
    | MarkBody
    | CareBody
    | ClearBody
)

_SIMPLE: dict[str, Wish] = {
    wish.verb: wish
    for wish in (
        *(Claim(), Renew(), Release(), Present(), CalibrationEnd()),
        *(ArmSession(), Start(), Pause(), Resume(), Stop()),
    )
}
WISHES: dict[str, type[Body]] = {
    **dict.fromkeys(_SIMPLE, NoBody),
    Verb.PREPARE: PrepareBody,
    Verb.RELEASE: ReleaseBody,
    Verb.START: StartBody,
    Verb.ATTEST: AttestBody,
    Verb.CHECK: CheckBody,
    Verb.ADJUST: AdjustBody,
    Verb.CAL_BEGIN: BeginBody,
    Verb.CAL_STEP: StepBody,
    Verb.CAL_MARK: MarkBody,
    Verb.RATE: RateBody,
    Verb.SKIN: SkinBody,
    Verb.REPORT: ReportBody,
    Verb.CLEAR: ClearBody,
}
"""Every verb of a station and the form of its body."""

BODIES: dict[str, type[Body]] = {**WISHES, "stop": NoBody, STATUS: NoBody}
"""Every verb of the wire whose body has one form; that of a question holds another verb's."""

VERBS = tuple(sorted({*BODIES, QUESTION}))
"""Every verb of the wire."""


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
        case AttestBody() | RateBody() | SkinBody() | ReportBody():
            return care_of(body)
        case ClearBody():
            return ClearLatch(int(body.latch_id.removeprefix("l-")), body.reason.strip())
        case NoBody() | ReleaseBody() | StartBody():
            return _SIMPLE[verb]


def care_of(body: CareBody) -> Wish:
    """Give what is said of the patient."""
    match body:
        case AttestBody():
            return Attest(tuple(body.answers.items()))
        case RateBody():
            return Rate(Rated(body.what), body.score)
        case SkinBody():
            return SkinCheck(body.ok)
        case ReportBody():
            return Report(Adverse(body.kind))
