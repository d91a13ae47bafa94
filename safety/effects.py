"""Every word the heart can say, in the order in which the shell performs them.

Silence comes first and waits for nothing. What energises (Arm, Drive, Feed, Probe) comes last, carries a grant, and
never stands in the same step
as the Commit that permits it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from safety.attestation import Attestation
from safety.limits import Limits, Modality
from safety.messages import Command, EntryKind, Latch, Verb
from safety.prescription import Calibration, Dose
from safety.verdict import Reason
from safety.waveform import Picture, Train


class Envelope(NamedTuple):
    """The bounds that a device enforces by itself on one channel from its arming on."""

    channel: int
    max_ua: int
    max_width_us: int
    min_period_us: int
    max_charge_nc: int


class Grant(NamedTuple):
    """Volatile permission for one energising frame inside a durable permit; void after expires_mono_ms."""

    permit: int
    seq: int
    expires_mono_ms: int


class Permit(NamedTuple):
    """Durable permission: the highest set-point and the reserved dose per channel, until `ends_mono_ms`."""

    id: int
    session: str
    rx_digest: str
    envelopes: tuple[Envelope, ...]
    reserve: tuple[Dose, ...]
    ends_mono_ms: int


# Bodies of journal entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A session begins: who asked, for whom, under which prescription, and under which policy of the site (X2)."""

    session: str
    rx: str
    rx_digest: str
    patient: str
    principal: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRequest:
    """What one channel of a permit asks of the patient's history.

    `ua` is the set-point, `ohm` the median of the skin's check (0: not measured), `pads` the barcodes of its pads.
    """

    channel: int
    site: str
    pair: str
    reserve: Dose
    ua: int = 0
    ohm: int = 0
    pads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRequest:
    """What a permit asks the ledger to reserve; a test-pulse permit (`probe`) asks no dose and no history.

    `on_time_ms` is the time on the plateau that the programme plans, by which light programmes are known (0: it is a
    calibration); `skin_checked` tells that somebody has looked at the skin in this session and found it well.
    """

    permit: Permit
    session: str
    patient: str
    rx: str
    rx_digest: str
    modality: Modality
    on_time_ms: int
    probe: bool
    limits: Limits
    channels: tuple[ChannelRequest, ...]
    skin_checked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a session is charged.

    Per channel, with the evidence for it (`readback`, `applied`, or `reservation` where there is none).
    `completed` tells that the whole programme was played, `played_ms` how far it came, `ua` the set-point that each
    channel had at the end.
    """

    session: str
    evidence: str
    charged: tuple[tuple[int, Dose], ...]
    completed: bool = False
    played_ms: int = 0
    ua: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A session has ended: how, and by which rule."""

    session: str
    outcome: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """A latch was removed: which, by whom, why."""

    latch: Latch
    principal: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WishRecord:
    """An accepted wish that needed no new permission."""

    session: str
    command: str
    principal: str
    verb: Verb
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """Thresholds were found: in which session, on whom and where."""

    session: str
    patient: str
    site: str
    channel: int
    principal: str
    calibration: Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """Somebody vouched for a patient: in which session, for whom, and what was answered."""

    session: str
    patient: str
    attestation: Attestation


Body = (
    Opening
    | PermitRequest
    | Latch
    | Clearing
    | Settlement
    | Closing
    | WishRecord
    | CalibrationRecord
    | AttestationRecord
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the journal."""

    id: int
    kind: EntryKind
    body: Body


# Messages to people


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The one certain answer to a command: rejected with all reasons, accepted for now, succeeded, or failed."""

    command: Command
    status: str
    code: str
    reasons: tuple[Reason, ...] = ()
    details: tuple[tuple[str, int | str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something people and programs may want to know; `priority` is none, low, medium or high."""

    kind: str
    rule: str = ""
    code: str = "OK"
    priority: str = "none"
    reasons: tuple[Reason, ...] = ()
    details: tuple[tuple[str, int | str], ...] = field(default=())


# Effects


@dataclass(frozen=True, slots=True)
class Silence:
    """Discard what waits to be written and stop the output without waiting for an ack.

    `cut` also opens the relay or drops the line.
    """

    cut: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Say this to the world."""

    message: Answer | Event


@dataclass(frozen=True, slots=True)
class Note:
    """Record this when it can be; nothing waits for it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Commit:
    """Make this durable and answer Committed or Denied; what energises waits for the answer."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the device how it is; feeds nothing, energises nothing."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm the device with the envelope it shall enforce."""

    grant: Grant
    envelopes: tuple[Envelope, ...]
    lifetime_ms: int


class Drive(NamedTuple):
    """Make this the whole output."""

    grant: Grant
    picture: Picture


class Feed(NamedTuple):
    """Keep the output as it is for another dead-man period."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Probe:
    """Give one test pulse and measure it."""

    grant: Grant
    train: Train


Effect = Silence | Tell | Note | Commit | Ask | Arm | Drive | Feed | Probe
"""Every effect there is, in the order in which those of one step are performed."""
