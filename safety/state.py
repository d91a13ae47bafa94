"""All the memory there is, in groups by rate of change.

A step builds new groups only where something changed and shares the rest.
"""

from enum import StrEnum
from typing import NamedTuple

from safety.attestation import Attestation
from safety.effects import Permit
from safety.impedance import UNSENSED, Contact
from safety.limits import Limits
from safety.messages import Capabilities, Command, Config, Health, Identity, Latch, Status, Threshold
from safety.prescription import Plan, Prescription, Programme
from safety.verdict import Reason
from safety.waveform import OFF, Picture, Train


class Phase(StrEnum):
    """Where a station stands. Ramp, plateau and rest belong to the programme, not to the phase."""

    OFFLINE = "offline"
    IDLE = "idle"
    PREPARED = "prepared"
    CALIBRATING = "calibrating"
    ARMED = "armed"
    RUNNING = "running"
    PAUSED = "paused"
    UNCERTAIN = "uncertain"


class Device(NamedTuple):
    """The device on the line, and the last it said."""

    identity: Identity
    caps: Capabilities
    status: Status


class Holder(NamedTuple):
    """Who has claimed the device, until when."""

    principal: str
    expires_ms: int


class Reading(NamedTuple):
    """The impedance check of one channel: the test pulses' values, and when the last was taken.

    While a session runs: `seen_ms` is since when the electrode was last measured between trains, `asked` the grant of
    such a test pulse that is on its way (0: none).
    """

    channel: int
    ohms: tuple[int, ...]
    at_ms: int
    seen_ms: int = 0
    asked: int = 0


class Setting(NamedTuple):
    """One channel's slow side: what was prescribed, where the set-point stands, when it last rose, and its pads.

    `check_ohm` is the median of the session's last check that suited these pads (0: none yet).
    """

    plan: Plan
    setpoint_ua: int
    raised_ms: int
    pads: tuple[str, ...] = ()
    check_ohm: int = 0


class Channel(NamedTuple):
    """One channel's fast side.

    `train` is what was last commanded; `low_ua` and `high_ua` span the currents commanded since the device's last
    word, one of which its last pulse had.
    `remainder_us` is the part of a period not yet counted as a pulse; `spent` counts charge (nC), I2t (uA^2 us) and
    on-time (ms) of what was applied.
    The times are played times: `since_zero_ms` since the ramp left zero, `pull_ms` with current in this contraction,
    `plateau_ms` of it at the set-point, `rest_ms` without current since. `pulls` counts contractions: of this set, of
    the session.
    """

    train: Train | None
    low_ua: int
    high_ua: int
    remainder_us: int
    spent: tuple[int, int, int]
    mu_ppm: int
    since_zero_ms: int
    pull_ms: int
    plateau_ms: int
    rest_ms: int
    contact: Contact
    pulls: tuple[int, int]


RESTED_MS = 1_000_000_000
FRESH = Channel(None, 0, 0, 0, (0, 0, 0), 1_000_000, 0, 0, 0, RESTED_MS, UNSENSED, (0, 0))
"""A channel that has rested long enough for any programme."""


class Course(NamedTuple):
    """How far a session has come, in boot-clock ms where a name does not say otherwise.

    `seen_nc` is what the device has counted per channel since its last arming, `base_nc` what it had counted before.
    `rest_from_ms` is when a pause for fatigue began (0: none), `clock_ms` by how much the wall clock was ahead of the
    boot clock when the session last ran on.
    """

    played_ms: int
    armed_ms: int
    first_run_ms: int
    since_resume_ms: int
    pauses: tuple[int, ...]
    rest_from_ms: int
    base_nc: tuple[int, ...]
    seen_nc: tuple[int, ...]
    clock_ms: int


class Care(NamedTuple):
    """Who looks after the patient, and whose the patient is; in boot-clock ms.

    When presence was last confirmed, effort rated, the skin looked at and found well (0: not in this session); the
    fencing token of the hold on the patient, and when that hold ends by itself (0: none).
    """

    present_ms: int
    effort_ms: int
    skin_ms: int
    token: int
    hold_ends_ms: int


class Mark(NamedTuple):
    """One repeat of a threshold, in uA; None: the patient has none."""

    threshold: Threshold
    ua: int | None


class Trial(NamedTuple):
    """A calibration of one channel, whose set-point is what the button stands for; times in boot-clock ms.

    `held_ms` is when the button was last down, `began_ms` when the burst began that flows (0: none), `ended_ms` when
    the last one ended; `is_loud` tells that it was above 20 mA, `felt_ua` at which set-point it stood on its plateau.
    `shape` is a burst's own: a ramp from zero, and rest as long as it likes.
    """

    channel: int
    shape: Programme
    held_ms: int
    began_ms: int
    ended_ms: int
    is_loud: bool
    felt_ua: int
    marks: tuple[Mark, ...]


class Papers(NamedTuple):
    """What must be known before current flows: what somebody vouched for, and that the patient's stop was tried."""

    attestation: Attestation | None
    stop_tried: bool


class Session(NamedTuple):
    """A patient's session under one prescription and one snapshot of limits."""

    id: str
    rx: Prescription
    limits: Limits
    settings: tuple[Setting, ...]
    readings: tuple[Reading, ...]
    permit: Permit | None
    care: Care
    course: Course
    channels: tuple[Channel, ...]
    papers: Papers
    trial: Trial | None = None

    @property
    def programme(self) -> Programme:
        """What plays: the prescription's programme, or a calibration's burst."""
        return self.rx.programme if self.trial is None else self.trial.shape


class Purpose(StrEnum):
    """What a wish is waiting for."""

    CHECK_PERMIT = "check permit"
    PROBES = "probes"
    ARM_PERMIT = "arm permit"
    ARMED = "armed"
    RISE_PERMIT = "rise permit"
    REARMED = "rearmed"
    TRIAL_PERMIT = "trial permit"
    TRIAL_ARMED = "trial armed"


class Waiting(NamedTuple):
    """A wish on its way: the journal entry or the device's answer (`grant`) it waits for, and since when.

    `permit` is what it will act under; `channels` are still to be probed; for a rise they name the channel, and
    `setpoint_ua` what will stand.
    """

    command: Command
    purpose: Purpose
    entry: int
    grant: int
    since_ms: int
    permit: Permit
    channels: tuple[int, ...]
    setpoint_ua: int


class Stopping(NamedTuple):
    """A stop was sent and the device has not confirmed it: since when, how many tries, cut already, alarm already."""

    since_ms: int
    tries: int
    cut: bool
    alarmed: bool
    outcome: str
    rule: str
    evidence: str


class Beat(NamedTuple):
    """The fastest group.

    The times of the last tick, word and frame, the frame that is not answered yet, the picture that may flow, and for
    how long a change of it has been held back by an unanswered frame.
    """

    tick_ms: int
    heard_ms: int
    sent_ms: int
    unanswered: int
    picture: Picture
    flaws: tuple[int, ...]
    held_ms: int


class Count(NamedTuple):
    """Identities: the next entry id, grant and session number, and the version of what people see."""

    next_id: int
    version: int


class Hold(NamedTuple):
    """A rule that forbids raising, and when it last said so."""

    reason: Reason
    last_ms: int


class Station(NamedTuple):
    """Everything the heart remembers about one device."""

    config: Config
    boot_id: str
    phase: Phase
    device: Device | None
    session: Session | None
    holder: Holder | None
    waiting: Waiting | None
    stopping: Stopping | None
    latches: tuple[Latch, ...]
    holds: tuple[Hold, ...]
    beat: Beat
    tally: Count
    health: Health

    @property
    def dead_man_ms(self) -> int:
        """How long the device goes on by itself, as it says; as its kind has it while it is away."""
        return self.device.caps.dead_man_ms if self.device else self.config.times.dead_man_ms


QUIET = Beat(0, 0, 0, 0, OFF, (), 0)
