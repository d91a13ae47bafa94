"""A command's payload: bytes -> checked envelope and body.

It judges form only; whether a wish is obeyed, and whether it is too old, is the heart's business.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from controller.words import WordError, loads
from safety.messages import Expect

from .bodies import BODIES, QUESTION, WISHES, Body, Wire
from .topics import ID

MAX_BYTES = 8192
FRESH_MS = 5_000
"""How long what is as young as its arrival may still be obeyed: as long as a client's others (engineering default)."""
MAX_BRACKETS = 64
"""Opening brackets in a payload, strings included: a command needs four, and nesting is bounded before it is parsed."""
MAX_FIELDS = 8
"""Faults of form that an answer lists; a payload may hold thousands."""

EPOCH = datetime.fromtimestamp(0, UTC)
ISO = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$"
COMMAND_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


class Arrival(NamedTuple):
    """A message as the broker delivered it; `retained` is what its sender set where the broker passes that on.

    `signature` is the user property `sig`; where there are several it is empty, which is no signature.
    """

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None
    signature: str | None = None


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
    seconds, ms = divmod(wall_ms, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    # Most of what is said in a second bears the same one.
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def _dated(text: str) -> str:
    utc_ms(text)
    return text


Id = Annotated[str, Field(pattern=f"^{ID}$")]
Utc = Annotated[str, Field(pattern=ISO), AfterValidator(_dated)]
W = TypeVar("W", bound=Wire)


class Expectation(Wire):
    """What the sender saw when it asked."""

    boot_id: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="The run of the service, from the summary."
    )
    session_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The session, from the summary; empty: there is none."
    )
    state_version: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None, description="The version of the state, from the summary."
    )


class Envelope(Wire):
    """What every command carries around its body; `body` is judged by its verb's own form.

    Only a `nonce` can stand for the times: it says by itself that the command is young.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["nonce"], "properties": {"nonce": {"type": "string"}}},
            "else": {
                "required": ["issued_at", "expires_at"],
                "properties": {"issued_at": {"type": "string"}, "expires_at": {"type": "string"}},
            },
        }
    )

    schema_: Literal["stim.command/1"] = Field(
        alias="schema", description="What this payload is, and the version of its form."
    )
    command_id: str = Field(pattern=COMMAND_ID, description="A UUID of version 7, new for each command.")
    verb: str = Field(max_length=64, description="What is asked; the last level of the topic.")
    site: Id = Field(description="The site; as in the topic.")
    device: str = Field(pattern=f"^({ID}|_all)$", description="The device, as in the topic; `_all`: every one.")
    issuer: Id = Field(description="Who asks; the principal in the topic.")
    role: Id | None = Field(default=None, description="The sender's role; may be left out, the service knows it.")
    issued_at: Utc | None = Field(
        default=None,
        description="When it was asked, UTC; at most 2 s ahead of the service's clock. Left out only beside a nonce.",
    )
    expires_at: Utc | None = Field(
        default=None, description="After this it is not obeyed any more, UTC. Left out only beside a nonce."
    )
    nonce: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="The newest nonce that the sender was given for this device, instead of a clock.",
    )
    expect: Expectation = Field(default=Expectation(), description="What the sender saw when it asked.")
    body: dict[str, object] = Field(default_factory=dict, description="The verb's own fields.")

    @property
    def heart_expect(self) -> Expect:
        """Give the expectation in the heart's words."""
        seen = self.expect
        return Expect(boot_id=seen.boot_id, session_id=seen.session_id, state_version=seen.state_version)


class QuestionBody(Wire):
    """The verb and the body of the wish that is asked about."""

    verb: str = Field(max_length=64, description="The verb that is asked about; none that stops or asks.")
    body: dict[str, object] = Field(default_factory=dict, description="That verb's own fields.")


class Question(NamedTuple):
    """What somebody wants to know of a wish that is not to be obeyed: what would become of it?"""

    verb: str
    body: Body


def carries(payload: bytes) -> bool:
    """Tell whether a payload is a signature with a command in it: base64url of `{"` begins with these letters."""
    return payload.startswith(b"ey")


def read(payload: bytes) -> tuple[Envelope, Body | Question]:
    """Read a payload. Raises RefusedError with CMD.TOO_LARGE, CMD.SCHEMA or CMD.UNKNOWN_VERB, and all that is wrong.

    What is carried by a signature is read as well; whether that holds is another step's question.
    """
    if len(payload) > MAX_BYTES:
        raise RefusedError("CMD.TOO_LARGE", (Fault("", f"{len(payload)} bytes; at most {MAX_BYTES}"),))
    return judge(_parse(_carried(payload) if carries(payload) else payload))


def judge(data: dict[str, object]) -> tuple[Envelope, Body | Question]:
    """Judge what a payload says. Raises RefusedError with CMD.SCHEMA or CMD.UNKNOWN_VERB, and all that is wrong."""
    envelope = _form(Envelope, data, ())
    times = {"issued_at": envelope.issued_at, "expires_at": envelope.expires_at}
    if envelope.nonce is None and None in times.values():
        faults = tuple(Fault(name, "is missing, and there is no nonce") for name, at in times.items() if at is None)
        raise RefusedError("CMD.SCHEMA", faults, envelope.command_id)
    try:
        if envelope.verb != QUESTION:
            return envelope, _body(BODIES, envelope.verb, envelope.body, ())
        asked = _form(QuestionBody, envelope.body, ("body",))
        return envelope, Question(asked.verb, _body(WISHES, asked.verb, asked.body, ("body",)))
    except RefusedError as error:
        raise RefusedError(error.code, error.faults, envelope.command_id) from None


def _body(bodies: Mapping[str, type[Body]], verb: str, data: dict[str, object], at: tuple[str, ...]) -> Body:
    if verb not in bodies:
        raise RefusedError("CMD.UNKNOWN_VERB", (Fault(".".join((*at, "verb")), "not a verb of this version"),))
    return _form(bodies[verb], data, (*at, "body"))


def _carried(payload: bytes) -> bytes:
    _, _, rest = payload.partition(b".")
    inner, _, _ = rest.partition(b".")
    try:
        return base64.b64decode(inner + b"=" * (-len(inner) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise RefusedError("CMD.SCHEMA", (Fault("", "not a signature with a command in it"),)) from None


def _parse(payload: bytes) -> dict[str, object]:
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
