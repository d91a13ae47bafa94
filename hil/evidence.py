"""What a run of a suite leaves behind: the models of `evidence.json`, from which its JSON Schema is made.

Every time `*_us` is in microseconds of the bench's clock. Numbers are finite, unknown keys are refused, and what a
measurement says of its limit has to be true.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from hil.scope import Trace
from hil.settings import Value
from hil.tape import Direction

Count = Annotated[int, Field(ge=0)]
Outcome = Literal["passed", "failed", "skipped", "error"]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Injection(_Model):
    """A fault as it was injected; `until_us` None: it stood to the end of the test."""

    fault: str
    settings: dict[str, Value] = {}
    at_us: int
    until_us: int | None = None


class Measurement(_Model):
    """A figure against its limit; both ends belong to what is allowed, None: no end on this side."""

    name: str
    value: float
    unit: str
    limit: Literal["none", "at_most", "at_least", "within", "exactly"] = "none"
    low: float | None = None
    high: float | None = None
    passed: bool = True

    @model_validator(mode="after")
    def _is_true(self) -> Self:
        ends = self.low is not None, self.high is not None
        if ends != (self.limit not in {"none", "at_most"}, self.limit not in {"none", "at_least"}):
            raise ValueError(f"limit {self.limit!r} does not go with low {self.low} and high {self.high}")
        if self.limit == "exactly" and self.low != self.high:
            raise ValueError(f"exactly: low {self.low} is not high {self.high}")
        inside = (self.low is None or self.low <= self.value) and (self.high is None or self.value <= self.high)
        if self.passed != inside:
            raise ValueError(f"{self.value:g} against {self.low} to {self.high}: passed cannot be {self.passed}")
        return self


class Step(NamedTuple):
    """What the controller commanded from a time on, as the bytes on the line say."""

    at_us: int
    ua: int


class Channel(_Model):
    """Commanded and delivered current of a channel; `dropped` counts pulses that the scope no longer held."""

    number: Annotated[int, Field(ge=1)]
    pulses: tuple[Trace, ...] = ()
    commanded: tuple[Step, ...] = ()
    limit_ua: int | None = None
    dropped: Count = 0


class Chunk(_Model):
    """Bytes at the host's end of the line, and what they mean in words where somebody can tell."""

    model_config = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    at_us: int
    direction: Direction
    data: bytes
    words: str = ""


class Message(_Model):
    """A message on the broker, as the test saw it."""

    at_us: int
    direction: Literal["sent", "received"]
    topic: str
    payload: str


class Entry(_Model):
    """A row of the controller's journal."""

    number: Count
    at_us: int | None = None
    text: str


class Journal(_Model):
    """A slice of the controller's journal, and whether its chain holds."""

    chain: Literal["whole", "broken", "unchecked"]
    text: str = ""
    entries: tuple[Entry, ...] = ()


class Attachment(_Model):
    """Anything else that a test wants to keep."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    media_type: str = "text/plain"
    data: bytes


class Test(_Model):
    """One test. `first_cause`: what broke the bench before it; `reproduce`: the line that does it again."""

    __test__ = False  # no test of pytest's, whatever its name

    id: str
    text: str = ""
    hazards: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    outcome: Outcome
    took_ms: Count = 0
    failure: str = ""
    first_cause: str = ""
    reproduce: str = ""
    injections: tuple[Injection, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    channels: tuple[Channel, ...] = ()
    serial: tuple[Chunk, ...] = ()
    mqtt: tuple[Message, ...] = ()
    journal: Journal | None = None
    attachments: tuple[Attachment, ...] = ()


class Environment(_Model):
    """Under what the run was made; `commit` and `is_clean` None: it cannot be told.

    The clock is of the event loop (virtual), of the emulator (CLOCK_BOOTTIME), or of the host beside a real device.
    """

    commit: str | None
    is_clean: bool | None
    versions: dict[str, str] = {}
    platform: str = ""
    limits: str | None = None
    clock: Literal["virtual", "emulator", "host"]


class Bench(_Model):
    """On what it was made; without a scope the report is protocol evidence only."""

    kind: Literal["virtual", "pty", "serial", "tcp"]
    url: str
    device: str
    scope: Literal["emulator", "none", "csv", "adc"]


class Run(_Model):
    """A run of a suite; `took_ms` everywhere is wall time, `deselected` counts tests that were left out.

    `exit_status` is that of pytest: 0 only if it found nothing wrong, in the tests or around them.
    """

    format: Literal["stimwarden-hil evidence"] = "stimwarden-hil evidence"
    version: Literal[1] = 1
    suite: str
    began_at: AwareDatetime
    took_ms: Count = 0
    seed: int
    is_dev: bool
    environment: Environment
    bench: Bench
    deselected: Count = 0
    exit_status: int = 0
    tests: tuple[Test, ...]

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        counts = Counter(test.id for test in self.tests)
        if twice := [id_ for id_, count in counts.items() if count > 1]:
            raise ValueError(f"tests named twice: {', '.join(twice)}")
        return self
