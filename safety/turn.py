"""One turn of the heart: the station as it becomes, and the effects it asks for.

The ways down (pause, stop, close) live here. A Turn is local to one `step`: it is built from the station that came in
and gives the station that goes out. Nothing outside sees it change.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TypeVar

from safety.dose import charged, measured_nc, overtaken, play
from safety.effects import (
    Answer,
    Body,
    Closing,
    Commit,
    Effect,
    Entry,
    Event,
    Grant,
    Note,
    Settlement,
    Silence,
    Tell,
)
from safety.impedance import at_rest, doubted
from safety.messages import Command, EntryKind, Latch, Now
from safety.prescription import Dose
from safety.rules.registry import LOCK_SCOPE
from safety.state import RESTED_MS, Hold, Phase, Session, Station, Stopping
from safety.verdict import Asking, Judge, Reason, Scope, Severity, View, clear_class, found_by, put_to
from safety.waveform import OFF

PAUSES_MS = 600_000
PAUSES = 3
"""At most three pauses by rules in ten minutes; the fourth is a stop (against chatter; safety reference 7.5)."""

FLOWING = (Phase.RUNNING, Phase.CALIBRATING)
"""The phases in which a tick may drive."""
ENERGISED = (Phase.ARMED, *FLOWING)
TIRING = ("M19", "M35")
"""The rules whose pause is a rest of four minutes."""
SKIN = ("M09", "M10", "M11", "M13", "M17")
"""The rules whose pause puts a pad in doubt, until a check finds it back."""


Known = TypeVar("Known")


def sure(value: Known | None) -> Known:
    """Give what cannot be missing here; if it is, that is a defect, and the shell stops the output."""
    if value is None:
        raise TypeError(value)
    return value


def wished(command: Command, kind: type[Known]) -> Known:
    """Give the wish of a command, which is of this kind; any other is a defect."""
    if not isinstance(command.wish, kind):
        raise TypeError(command.wish)
    return command.wish


def raised(reason: Reason) -> Reason:
    """Make a stop of a pause; what only holds goes on holding."""
    return reason._replace(severity=Severity.STOP) if reason.severity is Severity.PAUSE else reason


class Turn:
    """The station so far, the time, the effects so far, and the rules that were asked about a wish."""

    __slots__ = ("asked", "effects", "next_id", "now", "station")

    def __init__(self, station: Station, now: Now) -> None:
        self.station = station
        self.now = now
        self.effects: list[Effect] = []
        self.asked: list[Asking] = []
        self.next_id = station.tally.next_id

    def new_id(self) -> int:
        """Take the next number; entries, grants and latches share one series."""
        self.next_id += 1
        return self.next_id - 1

    def entry(self, kind: EntryKind, body: Body) -> Entry:
        """Make a journal entry."""
        return Entry(self.new_id(), kind, body)

    def note(self, kind: EntryKind, body: Body) -> None:
        """Record without waiting."""
        self.effects.append(Note(self.entry(kind, body)))

    def commit(self, kind: EntryKind, body: Body) -> int:
        """Ask for a durable record; gives the entry's id to wait for."""
        entry = self.entry(kind, body)
        self.effects.append(Commit(entry))
        return entry.id

    def grant(self, permit: int) -> Grant:
        """Make a volatile permission under a permit."""
        return Grant(permit, self.new_id(), self.now.mono_ms + self.station.config.times.grant_ms)

    def answer(
        self, command: Command, status: str, code: str = "OK", reasons: tuple[Reason, ...] = (), **details: int | str
    ) -> None:
        """Answer a command."""
        self.effects.append(
            Tell(Answer(command=command, status=status, code=code, reasons=reasons, details=tuple(details.items())))
        )

    def refuse(self, command: Command, *reasons: Reason) -> None:
        """Answer a command with why not; the first reason binds."""
        self.answer(command, "rejected", reasons[0].code, reasons)

    def tell(self, kind: str, priority: str = "none", reasons: tuple[Reason, ...] = (), **details: int | str) -> None:
        """Say that something happened; the first reason names the rule."""
        rule, code = (reasons[0].rule, reasons[0].code) if reasons else ("", "OK")
        self.effects.append(
            Tell(
                Event(
                    kind=kind, rule=rule, code=code, priority=priority, reasons=reasons, details=tuple(details.items())
                )
            )
        )

    def ask(self, judges: Iterable[Judge[View]], view: View) -> list[Reason]:
        """Ask rules about a wish; gives what speaks against it. Who was asked is kept, for an explanation."""
        asked = put_to(judges, view)
        self.asked += asked
        return found_by(asked)

    # The ways down

    def judge(self, reasons: tuple[Reason, ...]) -> bool:
        """Act on what monitor rules say; tells whether the output had to go to zero."""
        worst = max(reason.severity for reason in reasons)
        if worst is Severity.HOLD:
            self.hold(reasons)
            return False
        if worst is Severity.PAUSE and self.station.phase in ENERGISED:
            self.pause(reasons)
        elif worst is Severity.PAUSE:
            self.stay(reasons)
        else:
            self.stop(reasons)
        return True

    def hold(self, reasons: tuple[Reason, ...]) -> None:
        """Forbid raising for as long as these rules speak, and two seconds more.

        A rule that begins to hold a channel is told once.
        """
        speaking = {(reason.rule, reason.channel) for reason in reasons}
        known = {(hold.reason.rule, hold.reason.channel) for hold in self.station.holds}
        kept = (hold for hold in self.station.holds if (hold.reason.rule, hold.reason.channel) not in speaking)
        holds = (*kept, *(Hold(reason, self.now.mono_ms) for reason in reasons))
        self.station = self.station._replace(holds=holds)
        fresh = tuple(reason for reason in reasons if (reason.rule, reason.channel) not in known)
        if fresh:
            self.tell("session.held", "low", fresh)

    def latch(self, reasons: tuple[Reason, ...]) -> None:
        """Raise a latch for each reason that pauses, stops or locks, unless the same one stands."""
        for reason in reasons:
            if reason.severity < Severity.PAUSE:
                continue
            scope = LOCK_SCOPE.get(reason.rule, Scope.SESSION) if reason.severity is Severity.LOCK else Scope.SESSION
            clear = clear_class(reason.severity, scope)
            key = self.key(scope, reason.channel)
            if any((x.scope, x.rule, x.clear, x.key) == (scope, reason.rule, clear, key) for x in self.station.latches):
                continue
            latch = Latch(self.new_id(), scope, reason.rule, clear, key, self.now.wall_ms)
            self.station = self.station._replace(latches=(*self.station.latches, latch))
            self.note(EntryKind.LATCH, latch)
            self.tell("fault.latched", "none", (reason,), latch=latch.id, clear=clear.value, scope=scope.value)

    def key(self, scope: Scope, number: int) -> str:
        """Name whom a lock is for: the patient, or the patient's site of a channel."""
        session = self.station.session
        if session is None:
            return ""
        patient = session.rx.patient
        sites = {s.plan.channel: f"{patient}/{s.plan.site}" for s in session.settings}
        return {Scope.PATIENT: patient, Scope.MONTAGE: sites.get(number, "")}.get(scope, "")

    def stay(self, reasons: tuple[Reason, ...]) -> None:
        """Stay at zero where nothing flows yet: latched, and the wish that was on its way up has failed.

        What stands already is not said again: a device answers each Silence, and its answer is judged like any word.
        """
        waiting, standing, now_ms = self.station.waiting, self.station.latches, self.now.mono_ms
        self.latch(reasons)
        if waiting is None and self.station.latches == standing:
            return
        self.effects.append(Silence(cut=False))
        self.drop_waiting("SES.PHASE_CHANGED")
        if waiting is not None and waiting.grant:
            stopping = Stopping(now_ms, 1, False, False, "", reasons[0].rule, "")
            self.station = self.station._replace(stopping=stopping, beat=self.station.beat._replace(unanswered=0))

    def pause(self, reasons: tuple[Reason, ...], asked_by: Command | None = None) -> None:
        """Zero on all channels; the session stays and may resume from zero. A calibration ends without a result."""
        station, now_ms = self.station, self.now.mono_ms
        session = sure(station.session)
        recent = tuple(at for at in session.course.pauses if now_ms - at < PAUSES_MS)
        if reasons and len(recent) >= PAUSES:
            self.stop(tuple(raised(reason) for reason in reasons))
            return
        self.effects.append(Silence(cut=False))
        rule = reasons[0].rule if reasons else ""
        course = session.course._replace(pauses=(*recent, now_ms) if reasons else recent)
        if any(reason.rule in TIRING for reason in reasons):
            course = course._replace(rest_from_ms=now_ms)
        calibrating = station.phase is Phase.CALIBRATING
        in_doubt = {reason.channel for reason in reasons if reason.rule in SKIN}
        self.station = station._replace(
            phase=Phase.PREPARED if calibrating else Phase.PAUSED,
            session=self.quieted(session, in_doubt)._replace(course=course),
            stopping=Stopping(now_ms, 1, False, False, "", rule, ""),
            beat=station.beat._replace(picture=OFF, unanswered=0, held_ms=0),
        )
        self.latch(reasons)
        self.drop_waiting("SES.PHASE_CHANGED")
        by = asked_by.principal if asked_by else ""
        kind = "calibration.ended" if calibrating else "session.paused"
        self.tell(kind, "medium" if reasons else "none", reasons, session_id=session.id, by=by)

    def stop(self, reasons: tuple[Reason, ...], outcome: str = "stopped", by: str = "") -> None:
        """Zero on all channels; the session is over, and closes when the device has confirmed."""
        station = self.station
        self.effects.append(Silence(cut=False))
        self.latch(reasons)
        self.drop_waiting("SES.PHASE_CHANGED")
        session, rule = station.session, reasons[0].rule if reasons else ""
        if session is not None:
            locked = any(reason.severity is Severity.LOCK for reason in reasons)
            priority = "high" if locked else "medium" if reasons else "none"
            self.tell(f"session.{outcome}", priority, reasons, session_id=session.id, by=by)
        flowing = station.phase in ENERGISED or station.stopping is not None or station.waiting is not None
        if station.device is None and not flowing:
            self.close(outcome, rule, self.evidence())
            return
        stopping = station.stopping
        if stopping is None:
            stopping = Stopping(self.now.mono_ms, 1, False, False, outcome, rule, self.evidence())
        elif not stopping.outcome:
            stopping = stopping._replace(outcome=outcome, rule=rule, evidence=self.evidence())
        if session is not None:
            self.station = self.station._replace(phase=Phase.UNCERTAIN, session=self.quieted(session))
        beat = station.beat._replace(picture=OFF, unanswered=0, held_ms=0)
        self.station = self.station._replace(stopping=stopping, beat=beat, holds=())

    def quieted(self, session: Session, in_doubt: AbstractSet[int] = frozenset()) -> Session:
        """Put every channel at zero, rested from the rhythm's point of view, the baseline kept.

        A stop need not wait for a tick: what flowed since the last one is counted first, and one pulse more, as one may
        fall while the order is on its way. The pads of those `in_doubt`
        have to be found back before anything resumes. A calibration is over: set-points stand again where the session
        starts.
        """
        shape, settings = session.programme, session.settings
        now_ms, since_ms = self.now.mono_ms, self.now.mono_ms - self.station.beat.tick_ms
        channels = []
        for was, setting in zip(session.channels, settings, strict=True):
            channel = overtaken(play(was, setting, shape, 0, since_ms, since_ms)) if was.train else was
            contact = at_rest(channel.contact)
            if setting.plan.channel in in_doubt:
                contact = doubted(contact, now_ms)
            channels.append(
                channel._replace(
                    train=None, low_ua=0, high_ua=0, remainder_us=0, since_zero_ms=0, pull_ms=0,
                    plateau_ms=0, rest_ms=RESTED_MS, contact=contact,
                )
            )  # fmt: skip
        if session.trial is not None:
            settings = tuple(setting._replace(setpoint_ua=setting.plan.ua, raised_ms=0) for setting in settings)
        return session._replace(trial=None, settings=settings, channels=tuple(channels))

    def drop_waiting(self, code: str) -> None:
        """Answer the wish that was on its way: it did not come to pass."""
        waiting = self.station.waiting
        if waiting is not None:
            self.answer(waiting.command, "failed", code, (Reason("", Severity.REFUSE, code),))
            self.station = self.station._replace(waiting=None)

    def evidence(self) -> str:
        """Tell by what the session can be charged: the device's own count, or what was applied."""
        device = self.station.device
        return "reservation" if device is None else "readback" if device.caps.readback else "applied"

    def close(self, outcome: str, rule: str, evidence: str) -> None:
        """Settle the dose and end the session's record."""
        session, device = self.station.session, self.station.device
        if session is None:
            return
        if session.course.armed_ms:
            amounts: tuple[tuple[int, Dose], ...] = ()
            if evidence != "reservation":
                accuracy_ppm = sure(device).caps.accuracy_ppm
                amounts = tuple(
                    (
                        setting.plan.channel,
                        charged(channel, measured_nc(base, seen, accuracy_ppm) if evidence == "readback" else None),
                    )
                    for setting, channel, base, seen in zip(
                        session.settings, session.channels, session.course.base_nc, session.course.seen_nc, strict=True
                    )
                )
            settlement = Settlement(
                session=session.id,
                evidence=evidence,
                charged=amounts,
                completed=outcome == "completed",
                played_ms=session.course.played_ms,
                ua=tuple((setting.plan.channel, setting.setpoint_ua) for setting in session.settings),
            )
            self.note(EntryKind.SETTLE, settlement)
        self.note(EntryKind.CLOSE, Closing(session=session.id, outcome=outcome, rule=rule))
        self.tell("session.closed", "none", (), session_id=session.id, outcome=outcome, evidence=evidence)
        phase = Phase.IDLE if device is not None else Phase.OFFLINE
        self.station = self.station._replace(phase=phase, session=None, holds=())
