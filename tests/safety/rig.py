"""A test rig around `step`: an ideal device, a journal that always agrees, a programme of its own.

`Rig` keeps the time, feeds events, answers effects, and records all that was said. Each part can be switched off or
bent by a test. It knows nothing of the controller; its programme and its device are written apart from the code under
test.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

from parts import (
    CAPS,
    IDENTITY,
    MONO_MS,
    SHIPPED_NMES,
    SHIPPED_TENS,
    THIGH,
    VOUCHED,
    WALL_MS,
    IdealDevice,
    config,
    envelope_ppm,
    plan,
    record,
    rx,
)

from safety import machine, messages
from safety.admit import admit
from safety.effects import (
    Answer,
    Arm,
    Ask,
    Body,
    Commit,
    Drive,
    Effect,
    Event,
    Feed,
    Note,
    PermitRequest,
    Probe,
    Silence,
    Tell,
)
from safety.history import History
from safety.limits import HARD, Limits, Modality, Sensation, meet
from safety.messages import (
    WELL,
    Adjust,
    ArmSession,
    Asked,
    Attest,
    Booted,
    CalibrationBegin,
    Check,
    Claim,
    ClearLatch,
    Command,
    Committed,
    Config,
    Denied,
    DeviceUp,
    Expect,
    Heard,
    Now,
    Pause,
    Present,
    Probed,
    Rate,
    Rated,
    Release,
    Renew,
    Resume,
    SkinCheck,
    Start,
    Stop,
    Tick,
    Verb,
)
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.state import Phase, Session, Station, Trial
from safety.verdict import Reason
from safety.waveform import OFF, Picture, Train

Prepare = partial(messages.Prepare, attestation=VOUCHED)
"""Prepare a patient for whom somebody has vouched lately."""


class Rig:
    """The heart on the bench."""

    def __init__(self, cfg: Config | None = None, device: IdealDevice | None = None) -> None:
        self.config = cfg or config()
        self.device = device or IdealDevice()
        self.station: Station = machine.fresh(self.config)._replace(health=WELL)
        self.trying = True
        self.mono_ms, self.wall_ms = MONO_MS, WALL_MS
        self.said: list[Answer | Event] = []
        self.log: list[Effect] = []
        self.last: tuple[Effect, ...] = ()
        self.steps: list[tuple[object, tuple[Effect, ...]]] = []
        self.answering = True
        self.committing = True
        self.held: list[int] = []
        self.history: History | None = None
        self.ids = itertools.count(1)
        self.give(Booted("b1", "", 0, (), 1))

    @property
    def now(self) -> Now:
        """The rig's time."""
        return Now(self.mono_ms, self.wall_ms)

    @property
    def phase(self) -> Phase:
        """Where the station stands."""
        return self.station.phase

    def give(self, event: object) -> tuple[Effect, ...]:
        """Feed one event and let journal and device answer; gives the effects of this one step."""
        done = machine.step(self.station, event, self.now)  # type: ignore[arg-type]
        self.station = done.station
        effects = done.effects
        energising = [e for e in effects if isinstance(e, Arm | Drive | Feed | Probe)]
        assert not (energising and any(isinstance(e, Commit) for e in effects)), "a step commits and energises"
        assert len(energising) <= 1, "two energising frames in one step"
        self.last = effects
        self.steps.append((event, effects))
        self.log.extend(effects)
        for effect in effects:
            self.perform(effect)
        return effects

    def perform(self, effect: Effect) -> None:
        """Be the shell for one effect."""
        if isinstance(effect, Tell):
            self.said.append(effect.message)
        elif isinstance(effect, Commit):
            if not self.committing:
                self.held.append(effect.entry.id)
                return
            reasons = self.judge(effect.entry.body)
            self.give(Denied(effect.entry.id, reasons) if reasons else Committed(effect.entry.id))
        elif isinstance(effect, Silence | Ask | Arm | Drive | Feed | Probe):
            self.device.obey(effect)
            if not self.answering:
                return
            if isinstance(effect, Probe):
                self.give(
                    Probed(
                        effect.grant.seq,
                        effect.train.channel,
                        self.device.ohm.get(effect.train.channel, 1_500),
                        False,
                        False,
                    )
                )
            else:
                self.hear(effect.grant.seq if isinstance(effect, Arm | Drive | Feed) else 0)

    def judge(self, body: Body) -> tuple[Reason, ...]:
        """Be the ledger: ask `admit`, where a test has given the patient a history."""
        if self.history is None or not isinstance(body, PermitRequest):
            return ()
        return admit(self.history, body, self.wall_ms)

    def hear(self, grant: int = 0) -> tuple[Effect, ...]:
        """Let the device speak."""
        return self.give(Heard(grant, self.device.status(self.mono_ms), self.device.samples()))

    def up(self) -> None:
        """Connect the device."""
        self.give(DeviceUp(self.device.identity, self.device.caps, self.device.status(self.mono_ms)))

    def wanted(self) -> Picture:
        """What the programme would like at this tick."""
        session = self.station.session
        if session is not None and session.trial is not None:
            return self.burst(session, session.trial)
        if session is None or self.phase is not Phase.RUNNING:
            return OFF
        late_ms = self.mono_ms - self.station.beat.tick_ms
        played_ms = session.course.played_ms + late_ms
        resumed_ms = session.course.since_resume_ms + late_ms
        programme, trains = session.rx.programme, []
        for setting in session.settings:
            ppm = envelope_ppm(programme, played_ms, setting.plan.delay_ms)
            ppm = min(ppm, resumed_ms * 1_000_000 // max(1, programme.ramp_up_ms))
            ua = setting.setpoint_ua * ppm // 1_000_000 // 100 * 100
            if ua:
                trains.append(setting.plan.train(ua))
        return Picture(tuple(trains))

    def burst(self, session: Session, trial: Trial) -> Picture:
        """What a held button would like at this tick."""
        ms = min(self.mono_ms - trial.began_ms, 1_000) if trial.began_ms else 0
        setting = next(setting for setting in session.settings if setting.plan.channel == trial.channel)
        ua = setting.setpoint_ua * ms // 1_000 // 100 * 100
        return Picture((setting.plan.train(ua),)) if ua else OFF

    def tick(self, count: int = 1, ms: int = 50, *, renew: bool = True) -> None:
        """Let time pass."""
        for _ in range(count):
            self.mono_ms += ms
            self.wall_ms += ms
            self.device.advance(ms)
            holder = self.station.holder
            if renew and holder and holder.expires_ms - self.mono_ms < 1_000:
                self.station = self.station._replace(holder=holder._replace(expires_ms=self.mono_ms + 5_000))
            self.give(Tick(self.wanted(), 0, WELL))

    def command(self, wish: object, **changes: object) -> Command:
        """Make a fresh command of the present state."""
        session = self.station.session
        values: dict[str, object] = {
            "id": f"c{next(self.ids)}",
            "principal": "physio-1",
            "role": "physio",
            "issued_wall_ms": self.wall_ms,
            "expires_wall_ms": self.wall_ms + 3_000,
            "retained": False,
            "wish": wish,
            "expect": Expect(
                boot_id="b1", session_id=session.id if session else "", state_version=self.station.tally.version
            ),
        }
        return Command(**(values | changes))  # type: ignore[arg-type]

    def ask(self, wish: object, **changes: object) -> Answer:
        """Ask for something and give the last answer to it."""
        command = self.command(wish, **changes)
        self.give(Asked(command))
        answer = self.answer(command.id)
        if self.trying and command.verb is Verb.PREPARE and answer.status == "succeeded" and self.answering:
            self.try_stop()
        return answer

    def try_stop(self) -> None:
        """Let the patient press the stop and let it go."""
        self.device.presses += 1
        self.hear()

    def answer(self, command_id: str) -> Answer:
        """Give the last answer to a command."""
        return [m for m in self.said if isinstance(m, Answer) and m.command.id == command_id][-1]

    def codes(self, wish: object, **changes: object) -> list[str]:
        """Ask, and give the rules (or codes, where no rule speaks) of the refusal."""
        return [reason.rule or reason.code for reason in self.ask(wish, **changes).reasons]

    def prepared(self, prescription: Prescription | None = None) -> Rig:
        """Bring the rig to PREPARED and checked."""
        prescription = prescription or rx()
        self.up()
        self.must(Claim())
        self.must(Prepare(prescription, prescription.ref, prescription.patient))
        self.must(Check(()))
        return self

    def armed(self, prescription: Prescription | None = None) -> Rig:
        """Bring the rig to ARMED."""
        self.prepared(prescription).must(ArmSession())
        assert self.phase is Phase.ARMED
        return self

    def calibrating(self, prescription: Prescription | None = None, channel: int = 1) -> Rig:
        """Bring the rig to CALIBRATING; the button is up."""
        self.prepared(prescription).must(CalibrationBegin(channel))
        assert self.phase is Phase.CALIBRATING
        return self

    def running(self, prescription: Prescription | None = None, ticks: int = 0) -> Rig:
        """Bring the rig to RUNNING, `ticks` into the programme."""
        self.armed(prescription).must(Start())
        self.tick(ticks)
        return self

    def plateau(self, prescription: Prescription | None = None) -> Rig:
        """Bring the rig onto the first plateau, the baseline taken."""
        self.running(prescription, ticks=45)
        assert self.station.beat.picture.trains
        return self

    def attend(self) -> None:
        """Do what people do at the bedside: be there, ask for the effort, look at the skin."""
        self.must(Present())
        self.must(Rate(Rated.EFFORT, 4))
        self.must(SkinCheck(ok=True))

    def prepare_again(self, prescription: Prescription | None = None) -> Answer:
        """Ask for a session again, after another has ended."""
        wanted = prescription or rx()
        return self.ask(Prepare(wanted, wanted.ref, wanted.patient))

    def give_pause(self) -> None:
        """Make a rule pause: the supply dips for one word."""
        self.device.changes["supply_mv"] = 10_000
        self.answering = False
        self.hear()
        del self.device.changes["supply_mv"]
        self.answering = True
        self.hear()

    def must(self, wish: object, **changes: object) -> Answer:
        """Ask for something that has to be granted."""
        answer = self.ask(wish, **changes)
        assert answer.status == "succeeded", answer
        return answer

    def silences(self) -> list[Silence]:
        """All Silence effects so far."""
        return [effect for effect in self.log if isinstance(effect, Silence)]

    def events(self, kind: str) -> list[Event]:
        """All events of a kind so far."""
        return [message for message in self.said if isinstance(message, Event) and message.kind == kind]

    def latched(self) -> list[str]:
        """The rules whose latches stand."""
        return [latch.rule for latch in self.station.latches]

    def notes(self, kind: str) -> list[object]:
        """Bodies of all journal entries of a kind so far, noted or committed."""
        return [e.entry.body for e in self.log if isinstance(e, Note | Commit) and e.entry.kind == kind]


def standing(phase: Phase) -> Rig:
    """Bring a fresh rig into a phase; in UNCERTAIN its device plays on and answers, and nothing stops it."""
    rig = Rig()
    if phase is Phase.IDLE:
        rig.up()
        rig.must(Claim())
    elif phase is Phase.PREPARED:
        rig.prepared()
    elif phase is Phase.CALIBRATING:
        rig.calibrating()
    elif phase is Phase.ARMED:
        rig.armed()
    elif phase in {Phase.RUNNING, Phase.PAUSED, Phase.UNCERTAIN}:
        rig.plateau()
    if phase is Phase.PAUSED:
        rig.must(Pause())
    elif phase is Phase.UNCERTAIN:
        rig.device.ignores_stop = True
        rig.must(Stop())
    assert rig.phase is phase
    return rig


def held_back(phase: Phase, wish: object) -> Rig:
    """Ask for something in this phase and let the journal keep its answer."""
    rig = standing(phase)
    rig.committing = False
    rig.give(Asked(rig.command(wish)))
    assert rig.station.waiting.entry == rig.held[-1]
    return rig


def on_the_way(phase: Phase, wish: object) -> Rig:
    """Ask for something that the device has to answer, and let it keep its answer."""
    rig = standing(phase)
    rig.answering = False
    rig.give(Asked(rig.command(wish)))
    assert rig.station.waiting.grant > 0
    return rig


def only(**fields: object) -> dict[str, object]:
    """Name changes of one sample."""
    return fields


__all__ = [
    "CAPS",
    "HARD",
    "IDENTITY",
    "MONO_MS",
    "OFF",
    "SHIPPED_NMES",
    "SHIPPED_TENS",
    "THIGH",
    "VOUCHED",
    "WALL_MS",
    "WELL",
    "Adjust",
    "ArmSession",
    "Attest",
    "Calibration",
    "CalibrationBegin",
    "Check",
    "Claim",
    "ClearLatch",
    "IdealDevice",
    "Limits",
    "Modality",
    "Pause",
    "Phase",
    "Picture",
    "Plan",
    "Prepare",
    "Present",
    "Programme",
    "Rate",
    "Rated",
    "Release",
    "Renew",
    "Resume",
    "Rig",
    "Sensation",
    "SkinCheck",
    "Start",
    "Stop",
    "Train",
    "Verb",
    "config",
    "held_back",
    "meet",
    "on_the_way",
    "only",
    "plan",
    "record",
    "replace",
    "rx",
    "standing",
]
