"""Every word the heart can hear: wishes (commands) and facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

from safety.attestation import Attestation
from safety.limits import Limits, Modality
from safety.prescription import Calibration, Prescription
from safety.times import Times
from safety.verdict import Clear, Reason, Scope
from safety.waveform import Picture


class Now(NamedTuple):
    """The time of an event, read once by the shell: boot clock and UTC, in ms."""

    mono_ms: int
    wall_ms: int


class Verb(StrEnum):
    """What can be asked of a station."""

    CLAIM = "device.claim"
    RENEW = "device.renew"
    RELEASE = "device.release"
    PREPARE = "session.prepare"
    PRESENT = "presence.confirm"
    RATE = "session.rate"
    SKIN = "session.skin_check"
    REPORT = "adverse.report"
    CHECK = "impedance.check"
    ATTEST = "session.attest"
    CAL_BEGIN = "calibration.begin"
    CAL_STEP = "calibration.step"
    CAL_MARK = "calibration.mark"
    CAL_END = "calibration.end"
    ARM = "session.arm"
    START = "session.start"
    ADJUST = "session.adjust"
    PAUSE = "session.pause"
    RESUME = "session.resume"
    STOP = "session.stop"
    CLEAR = "latch.clear"


# Wishes


@dataclass(frozen=True, slots=True)
class Claim:
    """Take the device for this principal for 5 s."""

    verb: ClassVar[Verb] = Verb.CLAIM


@dataclass(frozen=True, slots=True)
class Renew:
    """Keep the claim for another 5 s."""

    verb: ClassVar[Verb] = Verb.RENEW


@dataclass(frozen=True, slots=True)
class Release:
    """Give the claim back; a session that runs is paused by it."""

    verb: ClassVar[Verb] = Verb.RELEASE


@dataclass(frozen=True, slots=True)
class Prepare:
    """Open a session for a patient under a prescription; `rx` is None where the shell knows no such version.

    `calibrations` are the newest known of this patient, by channel; each counts where it is newer than the
    prescription's. `pads` are the barcodes of the pads on the patient, by channel. Where it `continues` a treatment
    that was broken off, `played_ms` is how far that came (0: nothing of it is left). `attestation` is the latest of
    this patient.
    """

    verb: ClassVar[Verb] = Verb.PREPARE
    rx: Prescription | None
    asked: str
    patient: str
    calibrations: tuple[tuple[int, Calibration], ...] = ()
    pads: tuple[tuple[int, tuple[str, ...]], ...] = ()
    continues: bool = False
    played_ms: int = 0
    attestation: Attestation | None = None


@dataclass(frozen=True, slots=True)
class Attest:
    """Answer the questions about contraindications, as pairs of item and yes, no or unknown; the sender vouches."""

    verb: ClassVar[Verb] = Verb.ATTEST
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody is with the patient."""

    verb: ClassVar[Verb] = Verb.PRESENT


class Rated(StrEnum):
    """What the patient is asked to rate, from 0 to 10."""

    EFFORT = "effort"
    PAIN = "pain"


@dataclass(frozen=True, slots=True)
class Rate:
    """The patient's own rating; pain of 7 and more is an adverse event."""

    verb: ClassVar[Verb] = Verb.RATE
    what: Rated
    score: int


@dataclass(frozen=True, slots=True)
class SkinCheck:
    """Somebody looked at the skin around and under the pads; not `ok` is an adverse event."""

    verb: ClassVar[Verb] = Verb.SKIN
    ok: bool


class Adverse(StrEnum):
    """What went wrong with the patient."""

    BURNING = "burning"
    PAIN = "pain"
    SYNCOPE = "syncope"
    SKIN = "skin"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Report:
    """An adverse event: it ends the session and locks its sites. Never refused while a session is open."""

    verb: ClassVar[Verb] = Verb.REPORT
    kind: Adverse


@dataclass(frozen=True, slots=True)
class Check:
    """Measure the skin under these channels' pads with test pulses; none named means all of the session."""

    verb: ClassVar[Verb] = Verb.CHECK
    channels: tuple[int, ...]


class Threshold(StrEnum):
    """What a calibration looks for, in the order in which it looks."""

    SENSORY = "sensory"
    MOTOR = "motor"
    MAXIMAL = "maximal"


@dataclass(frozen=True, slots=True)
class CalibrationBegin:
    """Look for the thresholds of one channel: permit, armed device, no current yet."""

    verb: ClassVar[Verb] = Verb.CAL_BEGIN
    channel: int


@dataclass(frozen=True, slots=True)
class CalibrationStep:
    """The button is down: held (0), pressed for more (at most 1 mA), or for less (negative; lowers at once)."""

    verb: ClassVar[Verb] = Verb.CAL_STEP
    delta_ua: int


@dataclass(frozen=True, slots=True)
class CalibrationMark:
    """This threshold stands where the current is now, or the patient has none (`absent`)."""

    verb: ClassVar[Verb] = Verb.CAL_MARK
    threshold: Threshold
    absent: bool


@dataclass(frozen=True, slots=True)
class CalibrationEnd:
    """Zero; what was found is kept where it is whole."""

    verb: ClassVar[Verb] = Verb.CAL_END


@dataclass(frozen=True, slots=True)
class ArmSession:
    """Reserve the dose, write the permit, arm the device."""

    verb: ClassVar[Verb] = Verb.ARM


@dataclass(frozen=True, slots=True)
class Start:
    """Let the programme run from zero."""

    verb: ClassVar[Verb] = Verb.START


@dataclass(frozen=True, slots=True)
class Adjust:
    """Move a channel's set-point by delta_ua."""

    verb: ClassVar[Verb] = Verb.ADJUST
    channel: int
    delta_ua: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Zero, the session stays."""

    verb: ClassVar[Verb] = Verb.PAUSE


@dataclass(frozen=True, slots=True)
class Resume:
    """Run on from zero, by ramp, for the rest of the dose."""

    verb: ClassVar[Verb] = Verb.RESUME


@dataclass(frozen=True, slots=True)
class Stop:
    """Zero, the session is over. Never refused."""

    verb: ClassVar[Verb] = Verb.STOP


@dataclass(frozen=True, slots=True)
class ClearLatch:
    """Remove a latch by its clear class, with a reason in words."""

    verb: ClassVar[Verb] = Verb.CLEAR
    latch: int
    reason: str


Wish = (
    Claim
    | Renew
    | Release
    | Prepare
    | Attest
    | Present
    | Rate
    | SkinCheck
    | Report
    | Check
    | CalibrationBegin
    | CalibrationStep
    | CalibrationMark
    | CalibrationEnd
    | ArmSession
    | Start
    | Adjust
    | Pause
    | Resume
    | Stop
    | ClearLatch
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What the sender believed when it asked; None where it did not say."""

    boot_id: str | None = None
    session_id: str | None = None
    state_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A wish with its envelope, as the contract has checked its form."""

    id: str
    principal: str
    role: str
    issued_wall_ms: int
    expires_wall_ms: int
    retained: bool
    expect: Expect
    wish: Wish

    @property
    def verb(self) -> Verb:
        """What is asked."""
        return self.wish.verb


# Facts about the device


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers on the line; `boot` changes whenever the device restarts."""

    model: str
    serial: str
    firmware: str
    protocol: int
    emulator: bool
    boot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the device can do and what it can measure.

    A measurement that is not fitted is None or False, and its rules say so. `balance`: the difference of a pulse's
    phases; `temperature`: the skin's; `rails_mv`: voltages it can choose from; `reprobe`: ohms between trains;
    `echo`: the picture in force. `mute_us` is what it takes between two pulses for itself; `one_period`: all of its
    channels share one; `probe_pulses` is how many pulses a measurement takes.
    """

    channels: int
    max_ua: int
    step_ua: int
    min_width_us: int
    max_width_us: int
    width_step_us: int
    min_period_us: int
    max_period_us: int
    period_step_us: int
    compliance_mv: int
    dead_man_ms: int
    accuracy_ppm: int
    mismatch_ppm: int
    numeric_impedance: bool
    electrode_flag_from_ua: int | None
    readback: bool
    patient_stop: bool
    relay: bool
    supply_min_mv: int | None
    supply_max_mv: int | None
    balance: bool = False
    temperature: bool = False
    rails_mv: tuple[int, ...] = ()
    reprobe: bool = False
    echo: bool = True
    min_gap_us: int = 0
    max_gap_us: int = 65_535
    mute_us: int = 0
    one_period: bool = False
    probe_pulses: int = 1


class DeviceState(StrEnum):
    """What the device says of its output."""

    STOPPED = "stopped"
    ARMED = "armed"
    RUNNING = "running"
    CUT = "cut"


class Status(NamedTuple):
    """The device's word about itself, the answer to every frame that asks or drives."""

    boot: int
    uptime_ms: int
    frames: int
    state: DeviceState
    faults: int
    button: bool
    presses: int
    supply_mv: int
    permit: int
    grant: int


class Sample(NamedTuple):
    """One channel's readback: the picture in force and the last pulse's measurements.

    `pulses` and `charge_nc` count what was delivered since the last arming. `fresh` tells that a pulse was given
    since the last status; without one the measurements are old. `imbalance_ppm` is by how much the charges of the last
    pulse's phases differ, as a share of the first; `skin_mdeg` is in thousandths of a degree Celsius.
    """

    channel: int
    ua: int
    width_us: int
    gap_us: int
    period_us: int
    measured_ua: int
    ohm: int
    pulses: int
    charge_nc: int
    clipped: int
    fresh: bool
    open: bool
    short: bool
    clip: bool
    imbalance_ppm: int | None = None
    skin_mdeg: int | None = None


class Flaw(StrEnum):
    """What can be wrong with what the device sends."""

    DAMAGED = "damaged"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


class EntryKind(StrEnum):
    """What the journal records."""

    OPEN = "open"
    PERMIT = "permit"
    LATCH = "latch"
    CLEAR = "clear"
    SETTLE = "settle"
    CLOSE = "close"
    WISH = "wish"
    CALIBRATION = "calibration"
    ATTEST = "attest"


class Latch(NamedTuple):
    """Something that keeps the output at zero until it is cleared by its class.

    `key` is patient and site where the scope is a montage.
    """

    id: int
    scope: Scope
    rule: str
    clear: Clear
    key: str
    since_wall_ms: int


# Events


@dataclass(frozen=True, slots=True)
class Booted:
    """The service has started and read its journal."""

    boot_id: str
    open_session: str
    open_permit: int
    latches: tuple[Latch, ...]
    next_id: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A command arrived whose form and sender the shell has checked."""

    command: Command


class Health(NamedTuple):
    """How the service itself is: its clock is set, the dose ledger and the journal can be written."""

    clock_synced: bool
    ledger: bool
    audit: bool


WELL = Health(clock_synced=True, ledger=True, audit=True)
UNKNOWN = Health(clock_synced=False, ledger=False, audit=False)


class Tick(NamedTuple):
    """Fifty ms have passed.

    `wanted` is the programme's picture for now, `unsynced_ms` the age of the journal's oldest unsynced entry.
    """

    wanted: Picture
    unsynced_ms: int
    health: Health


@dataclass(frozen=True, slots=True)
class DeviceUp:
    """The device was identified and has stopped its output."""

    identity: Identity
    caps: Capabilities
    status: Status


@dataclass(frozen=True, slots=True)
class DeviceDown:
    """The line is gone."""

    why: str


class Heard(NamedTuple):
    """The device answered a frame that carried grant `grant` (0: it was asked only)."""

    grant: int
    status: Status
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Probed:
    """A test pulse was measured."""

    grant: int
    channel: int
    ohm: int
    open: bool
    short: bool


@dataclass(frozen=True, slots=True)
class Garbled:
    """The device sent something that is wrong, or refused, or nothing in time.

    `grant` is the one it answers, 0 if none.
    """

    flaw: Flaw
    grant: int
    what: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The entry is durable, and the ledger has reserved what it asks.

    `token` is the session's hold on its patient and device (0: none), good until `hold_ends_ms` on the boot clock.
    """

    entry: int
    token: int = 0
    hold_ends_ms: int = 0


@dataclass(frozen=True, slots=True)
class Fenced:
    """Somebody else holds this patient or device now: a token was seen that may be newer than ours."""

    token: int


@dataclass(frozen=True, slots=True)
class Denied:
    """The ledger or the journal said no."""

    entry: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class PatientStop:
    """The patient pressed the button (also told by a local input)."""


Event = (
    Booted | Asked | Tick | DeviceUp | DeviceDown | Heard | Probed | Garbled | Committed | Denied | Fenced | PatientStop
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What does not change while the service runs.

    The site's limits per modality, the tighter of both (`general`), the policy's digest, and what this device may be.
    """

    device: str
    policy: str
    limits: Mapping[Modality, Limits]
    general: Limits
    times: Times
    models: tuple[str, ...]
    emulator: bool
