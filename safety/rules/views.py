"""What a rule may look at: one small picture of the situation for each kind of rule."""

from typing import NamedTuple

from safety.impedance import Contact
from safety.limits import Limits, Sensation
from safety.messages import Capabilities, Command, Flaw, Now, Sample, Status
from safety.prescription import Plan, Prescription
from safety.state import Hold, Reading, Session, Setting, Station
from safety.waveform import Picture, Train


class Gate(NamedTuple):
    """A wish before it is obeyed.

    `session` is the session as it would be; `rise_ua` is by how much the wish raises a set-point.
    """

    station: Station
    command: Command
    session: Session | None
    now: Now
    channel: int
    rise_ua: int


class Lane(NamedTuple):
    """One channel of a picture that would flow or flows."""

    rx: Prescription
    plan: Plan
    train: Train
    limits: Limits
    caps: Capabilities
    wall_ms: int


class Skin(NamedTuple):
    """One channel's impedance check before current may flow."""

    setting: Setting
    reading: Reading | None
    limits: Limits
    caps: Capabilities
    rx: Prescription
    now_ms: int
    contact: Contact


class Watch(NamedTuple):
    """A tick in a session.

    `wanted` is what the programme would like, `late_ms` the time since the last tick, `unsynced_ms` the age of the
    oldest entry that the journal has not on its disk.
    """

    station: Station
    session: Session
    limits: Limits
    wanted: Picture
    now_ms: int
    wall_ms: int
    late_ms: int
    unsynced_ms: int


class Look(NamedTuple):
    """One channel's readback against what was commanded: `train` now, `low_ua` the least since the device's last word.

    `before` is the contact as it was before this sample; `settled` tells that the echo answers the last picture that
    was sent; `holds` are those that stand.
    """

    setting: Setting
    train: Train | None
    low_ua: int
    sample: Sample
    before: Contact
    after: Contact
    limits: Limits
    caps: Capabilities
    settled: bool
    sensation: Sensation
    holds: tuple[Hold, ...]


class Word(NamedTuple):
    """The device's word about itself against its last."""

    caps: Capabilities
    before: Status
    after: Status


class Noise(NamedTuple):
    """Something wrong from the device: the times of the flaws of the last second, this one last."""

    flaw: Flaw
    times: tuple[int, ...]
    energising: bool


def is_held(holds: tuple[Hold, ...], rule: str, channel: int) -> bool:
    """Tell whether a rule holds on a channel: it then lets go only inside its inner threshold."""
    return any(hold.reason.rule == rule and hold.reason.channel == channel for hold in holds)
