"""The alphabet of the proofs: a station with its ghost and its time, and the moves that can happen to it.

A stage is immutable: the walk keeps thousands, the search throws one after another away. A move looks at a stage and
gives what happens next (an event, and how far both clocks go), or nothing where it has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from safety import machine
from safety.effects import Arm, Ask, Drive, Effect, Feed, Note, Probe, Silence
from safety.messages import (
    WELL,
    Adjust,
    ArmSession,
    Asked,
    Booted,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Capabilities,
    Check,
    Claim,
    ClearLatch,
    Command,
    Committed,
    Config,
    Denied,
    DeviceDown,
    DeviceState,
    DeviceUp,
    Event,
    Expect,
    Flaw,
    Garbled,
    Heard,
    Identity,
    Now,
    PatientStop,
    Pause,
    Prepare,
    Probed,
    Release,
    Renew,
    Resume,
    Start,
    Stop,
    Threshold,
    Tick,
    Wish,
)
from safety.prescription import Prescription
from safety.state import Phase, Purpose, Session, Station, Trial
from safety.verdict import Reason, Severity
from safety.waveform import OFF, Picture, Train
from tests.proof.ghost import Ghost
from tests.proof.oracle import Judged, judge
from tests.safety.parts import CAPS, IDENTITY, MONO_MS, VOUCHED, WALL_MS, envelope_ppm

BOOT: Final = "b1"


class Happening(NamedTuple):
    """What happens next: an event, and how far the boot clock and the wall clock go before it."""

    event: Event
    ms: int = 0
    wall_ms: int | None = None


class Stage(NamedTuple):
    """A station, the oracle's memory of it, and the time. `journal` is (session open, latches) as it is on disk."""

    station: Station
    ghost: Ghost
    now: Now
    rxs: tuple[Prescription, ...]
    caps: Capabilities = CAPS
    identity: Identity = IDENTITY

    def after(self, what: Happening) -> tuple[Stage, Judged, machine.Step]:
        """Let something happen, and have it judged."""
        wall_ms = what.ms if what.wall_ms is None else what.wall_ms
        now = Now(self.now.mono_ms + what.ms, self.now.wall_ms + wall_ms)
        station = fresh(self.station.config) if isinstance(what.event, Booted) else self.station
        done = machine.step(station, what.event, now)
        judged = judge(self.ghost, station, what.event, now, done)
        return self._replace(station=done.station, ghost=judged.ghost, now=now), judged, done

    @property
    def session(self) -> Session | None:
        """The session that is on."""
        return self.station.session

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels of the session that is on."""
        return tuple(setting.plan.channel for setting in self.session.settings) if self.session else ()


Move = Callable[[Stage], Happening | None]


def fresh(config: Config) -> Station:
    """Make a station whose service is well."""
    return machine.fresh(config)._replace(health=WELL)


def begin(config: Config, rxs: tuple[Prescription, ...], caps: Capabilities = CAPS) -> Stage:
    """Make a stage with a service that has just started, and an empty journal."""
    stage = Stage(fresh(config), Ghost(), Now(MONO_MS, WALL_MS), rxs, caps)
    return stage.after(Happening(Booted(BOOT, "", 0, (), 1)))[0]


# Time


def wanted(stage: Stage, late_ms: int) -> Picture:
    """Give what the programme asks for, by its own arithmetic."""
    session = stage.session
    if session is not None and session.trial is not None and stage.station.phase is Phase.CALIBRATING:
        return burst(stage, session, session.trial, late_ms)
    if session is None or stage.station.phase is not Phase.RUNNING:
        return OFF
    programme, trains, step_ua = session.rx.programme, [], stage.caps.step_ua
    elapsed_ms = stage.now.mono_ms + late_ms - stage.station.beat.tick_ms
    played_ms, resumed_ms = session.course.played_ms + elapsed_ms, session.course.since_resume_ms + elapsed_ms
    for setting in session.settings:
        ppm = envelope_ppm(programme, played_ms, setting.plan.delay_ms)
        ppm = min(ppm, resumed_ms * 1_000_000 // max(1, programme.ramp_up_ms))
        ua = setting.setpoint_ua * ppm // 1_000_000 // step_ua * step_ua
        trains += [setting.plan.train(ua)] if ua else []
    return Picture(tuple(trains))


def burst(stage: Stage, session: Session, trial: Trial, late_ms: int) -> Picture:
    """Give what a calibration asks for: a ramp from zero to what the button stands for."""
    setting = next(setting for setting in session.settings if setting.plan.channel == trial.channel)
    risen_ms, ramp_ms = stage.now.mono_ms + late_ms - trial.began_ms, session.limits.ramp_ms
    ua = setting.setpoint_ua * min(risen_ms, ramp_ms) // ramp_ms // stage.caps.step_ua * stage.caps.step_ua
    return Picture((setting.plan.train(ua),)) if trial.began_ms and ua > 0 else OFF


def tick(ms: int, unsynced_ms: int = 0, wall_ms: int | None = None) -> Move:
    """Let a tick come after `ms` with what the programme asks for."""
    return lambda stage: Happening(Tick(wanted(stage, ms), unsynced_ms, WELL), ms, wall_ms)


def twisted(ms: int, twist: Callable[[Train, Stage], tuple[Train, ...]]) -> Move:
    """Let a tick come whose picture is not what the programme asks for: its last train is twisted."""

    def move(stage: Stage) -> Happening | None:
        if stage.session is None or stage.station.phase not in (Phase.RUNNING, Phase.CALIBRATING):
            return None
        trains = wanted(stage, ms).trains or (
            stage.session.settings[0].plan.train(stage.session.settings[0].setpoint_ua),
        )
        return Happening(Tick(Picture((*trains[:-1], *twist(trains[-1], stage))), 0, WELL), ms)

    return move


TWISTS: Final[dict[str, Callable[[Train, Stage], tuple[Train, ...]]]] = {
    "off": lambda train, stage: (),
    "step": lambda train, stage: (train._replace(ua=train.ua + stage.caps.step_ua),),
    "more": lambda train, stage: (train._replace(ua=train.ua + stage.caps.step_ua + 1),),
    "full": lambda train, stage: (train._replace(ua=setpoint(stage, train.channel)),),
    "above": lambda train, stage: (train._replace(ua=setpoint(stage, train.channel) + 1),),
    "top": lambda train, stage: (train._replace(ua=next(s.plan.max_ua for s in settings(stage, train.channel)) + 1),),
    "huge": lambda train, stage: (train._replace(ua=100_001),),
    "none": lambda train, stage: (train._replace(ua=0),),
    "backward": lambda train, stage: (train._replace(ua=-train.ua),),
    "wide": lambda train, stage: (train._replace(width_us=train.width_us + 1),),
    "fast": lambda train, stage: (train._replace(period_us=train.period_us - 1),),
    "slow": lambda train, stage: (train._replace(period_us=train.period_us + 10),),
    "foreign": lambda train, stage: (train._replace(channel=7),),
    "twice": lambda train, stage: (train, train),
    "half": lambda train, stage: (train._replace(ua=max(1, train.ua // 2)),),
}
"""What can be wrong with a picture, or only other than asked."""


def settings(stage: Stage, channel: int) -> list:
    """Give a channel's setting, if the session has it."""
    return [setting for setting in (stage.session.settings if stage.session else ()) if setting.plan.channel == channel]


def setpoint(stage: Stage, channel: int) -> int:
    """Give a channel's set-point."""
    return next(setting.setpoint_ua for setting in settings(stage, channel))


# The device


def up(changes: dict[str, object] | None = None, **caps: object) -> Move:
    """Let a device be identified that has stopped its output."""

    def move(stage: Stage) -> Happening:
        status = stage.ghost.line._replace(state=DeviceState.STOPPED, at_ms=stage.now.mono_ms).status()
        identity = (
            stage.identity._replace(**changes)
            if hasattr(stage.identity, "_replace")
            else replace(stage.identity, **(changes or {}))
        )
        return Happening(DeviceUp(identity, replace(stage.caps, **caps) if caps else stage.caps, status))

    return move


def down(stage: Stage) -> Happening | None:
    """Lose the line."""
    return Happening(DeviceDown("unplugged")) if stage.station.device else None


def word(
    *,
    ms: int = 0,
    stale: bool = False,
    still: bool = False,
    ohm: int = 1_500,
    sample: dict[str, object] | None = None,
    **status: object,
) -> Move:
    """Let the device answer the frame that is open, or speak unasked; what it says may be bent, one thing at a time."""

    def move(stage: Stage) -> Happening | None:
        if stage.station.device is None:
            return None
        line = stage.ghost.line.advanced(stage.now.mono_ms + ms, stage.caps.dead_man_ms)
        said = line.status()
        changes = {key: value(getattr(said, key)) if callable(value) else value for key, value in status.items()}
        samples = line.samples(stage.channels, ohm)
        if sample and samples:
            bent = {
                key: value(getattr(samples[-1], key)) if callable(value) else value for key, value in sample.items()
            }
            samples = (*samples[:-1], samples[-1]._replace(**bent))
        grant = 0 if stale else stage.ghost.frame[0] or stage.station.beat.unanswered
        return Happening(Heard(grant, said._replace(**changes), () if still else samples), ms)

    return move


def probed(ohm: int, *, ms: int = 0, wrong: bool = False, is_open: bool = False) -> Move:
    """Let a test pulse be measured that waits to be; or another one, which nobody waits for."""

    def move(stage: Stage) -> Happening | None:
        waiting = stage.station.waiting
        if waiting is None or waiting.purpose is not Purpose.PROBES:
            return None
        return Happening(Probed(waiting.grant + wrong, waiting.channels[0], ohm, is_open, False), ms)

    return move


def garbled(flaw: Flaw, *, mine: bool, ms: int = 0) -> Move:
    """Let the device send something wrong."""
    return lambda stage: (
        Happening(Garbled(flaw, stage.station.beat.unanswered if mine else 0, "noise"), ms)
        if stage.station.device and (stage.station.beat.unanswered or not mine)
        else None
    )


# The journal


def committed(*, ms: int = 0, wrong: bool = False) -> Move:
    """Let the journal confirm the entry that waits; or another one."""

    def move(stage: Stage) -> Happening | None:
        waiting = stage.station.waiting
        if wrong:
            return Happening(Committed(stage.station.tally.next_id + 5), ms)
        if waiting is None or not waiting.entry:
            return None
        return Happening(Committed(waiting.entry), ms)

    return move


def denied(rule: str = "", code: str = "DOSE.LEDGER_UNAVAILABLE") -> Move:
    """Let the ledger say no to the entry that waits."""

    def move(stage: Stage) -> Happening | None:
        waiting = stage.station.waiting
        if waiting is None or not waiting.entry:
            return None
        return Happening(Denied(waiting.entry, (Reason(rule, Severity.REFUSE, code),)))

    return move


def crash(stage: Stage) -> Happening:
    """Kill the service and start it again: it reads its journal, and the device is left to its dead man."""
    station = stage.station
    return Happening(
        Booted(BOOT, station.session.id if station.session else "", 0, station.latches, station.tally.next_id), 400
    )


# People


def wish(
    what: Wish | Callable[[Stage], Wish | None],
    *,
    ms: int = 0,
    expect: dict[str, object] | None = None,
    **changes: object,
) -> Move:
    """Ask for something, as somebody who sees the present state; `changes` and `expect` bend the command."""

    def move(stage: Stage) -> Happening | None:
        wished = what(stage) if callable(what) else what
        if wished is None:
            return None
        station, wall_ms = stage.station, stage.now.wall_ms + ms
        seen = {
            "boot_id": station.boot_id,
            "session_id": station.session.id if station.session else "",
            "state_version": station.tally.version,
        }
        values: dict[str, object] = {
            "id": "c", "principal": "physio-1", "role": "physio", "issued_wall_ms": wall_ms,
            "expires_wall_ms": wall_ms + 3_000, "retained": False, "expect": Expect(**(seen | (expect or {}))),
        }  # fmt: skip
        bent = {key: value(wall_ms) if callable(value) else value for key, value in changes.items()}
        return Happening(Asked(Command(**(values | bent), wish=wished)), ms)

    return move


def prepare(index: int) -> Move:
    """Ask for a session under one of the stage's prescriptions, for a patient whom somebody has just vouched for."""

    def what(stage: Stage) -> Wish:
        rx, vouched = stage.rxs[index], replace(VOUCHED, at_wall_ms=stage.now.wall_ms)
        return Prepare(rx, rx.ref, rx.patient, attestation=vouched)

    return wish(what)


def clear(role: str, index: int = 0, reason: str = "looked at it") -> Move:
    """Ask for a latch to be removed."""

    def what(stage: Stage) -> Wish | None:
        latches = stage.station.latches
        return ClearLatch(latches[index % len(latches)].id, reason) if latches else None

    return wish(what, role=role)


def adjust(delta_ua: int, index: int = 0, **changes: object) -> Move:
    """Ask for a channel's set-point to be moved."""
    return wish(
        lambda stage: Adjust(stage.channels[index % len(stage.channels)], delta_ua) if stage.session else None,
        **changes,
    )


CAL_BEGIN: Final = wish(lambda stage: CalibrationBegin(stage.channels[0]) if stage.session else None)
CAL_END: Final = wish(CalibrationEnd())


def press(delta_ua: int, **changes: object) -> Move:
    """Say that a calibration's button is down."""
    return wish(CalibrationStep(delta_ua), **changes)


def mark(threshold: Threshold, *, absent: bool = False) -> Move:
    """Say that a threshold stands here, or that the patient has none."""
    return wish(CalibrationMark(threshold, absent))


CLAIM, RENEW, RELEASE = wish(Claim()), wish(Renew()), wish(Release())
CHECK, ARM, START, PAUSE, RESUME, STOP = (
    wish(w) for w in (Check(()), ArmSession(), Start(), Pause(), Resume(), Stop())
)
ANSWER: Final = word()
TRY: Final = word(presses=lambda presses: presses + 1)
"""The patient presses the stop and lets it go, while nothing flows; the count in the next word is the old one again."""


def PRESS(_stage: Stage) -> Happening:  # noqa: N802 - a move like the constants above
    """Let the patient press the button."""
    return Happening(PatientStop())


def next_answer(stage: Stage, effects: tuple[Effect, ...], ohm: int = 1_500, *, journal: bool = True) -> Move | None:
    """Give the honest answer that the outside owes to these effects, if it owes one."""
    for effect in reversed(effects):
        if isinstance(effect, Probe):
            return probed(ohm)
        if isinstance(effect, Arm | Drive | Feed | Silence | Ask) and stage.station.device is not None:
            return word(ohm=ohm)
    return committed() if journal and stage.station.waiting is not None and stage.station.waiting.entry else None


def written(effects: tuple[Effect, ...], kind: str) -> list[object]:
    """Give the bodies of the journal entries of a kind among these effects."""
    return [effect.entry.body for effect in effects if isinstance(effect, Note) and effect.entry.kind == kind]
