"""The heart: `step(station, event, now)` says what the station becomes and what shall be done.

A station is one device, at most one session, one patient. It rests in one of these phases:

OFFLINE     no device is known on the line. Only the claim, a clear and a stop are heard.
IDLE        a device is there and its output is off; there is no session.
PREPARED    a session is open: patient, prescription and a snapshot of limits. The skin is measured here.
CALIBRATING thresholds of one channel are found, under a button that is held; calibrate.py has the way in it.
ARMED       the permit is durable, the dose is reserved, the device has taken its envelope; no current yet.
RUNNING     the programme plays; every tick asks the monitor rules, and only a step that they leave quiet drives or
feeds.
PAUSED      zero, latched where a rule paused; it resumes from zero, by ramp, for the rest of the dose.
UNCERTAIN   a stop was sent and the device has not yet said that its output is off. Nothing is settled, nothing but a
stop is obeyed (and a
            claim or a clear); it ends with the device's word, or with a qualified clear, which charges the whole
            reservation.

The way up is one step at a time, and each step that could let current flow first commits its permission:

    IDLE -prepare-> PREPARED -check-> PREPARED -arm-> ARMED -start-> RUNNING -(therapy played)-> UNCERTAIN -(device:
    off)-> IDLE
                                                                   RUNNING -pause-> PAUSED -resume-> RUNNING

The way down is open everywhere: a stop of any kind leads to UNCERTAIN (or straight to IDLE where nothing was
energised), a lost line to UNCERTAIN
and from there to OFFLINE or IDLE. Which wish is legal in which phase is the table `ALLOWED` in wishes.py. STOPPED is
no phase: it is IDLE with a latch.

Time comes in with each event. Ticks that were missed are not replayed. No step holds both a Commit and an energising
effect.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, get_args

from safety import calibrate, reprobe
from safety.dose import begin, play
from safety.effects import Ask, Drive, Effect, Feed, Silence
from safety.facts import (
    booted,
    committed,
    denied,
    device_down,
    device_up,
    fenced,
    garbled,
    heard,
    patient_stop,
    probed,
)
from safety.messages import (
    UNKNOWN,
    Asked,
    Booted,
    Committed,
    Config,
    Denied,
    DeviceDown,
    DeviceUp,
    Event,
    Fenced,
    Garbled,
    Heard,
    Now,
    PatientStop,
    Probed,
    Tick,
)
from safety.rules import line, monitor
from safety.rules.views import Watch
from safety.state import QUIET, Beat, Count, Course, Phase, Purpose, Session, Station, Stopping, Waiting
from safety.turn import SKIN, Turn, sure
from safety.verdict import Asking, Reason, Severity, worst_first
from safety.waveform import OFF
from safety.wishes import asked

IDLE_ASK_MS = 200
HELD_MS = 2_000
SILENT_MS = 1_000
"""Without a comparable reading for longer than this, a hold on a pad stays (two periods of the slowest train less)."""
COMMIT_MS = 5_000
"""How long a wish waits for the journal before it is given up (engineering default)."""


class Step(NamedTuple):
    """What the station becomes, what shall be done in this order, and when it wants to be woken at the latest."""

    station: Station
    effects: tuple[Effect, ...]
    wake_at_ms: int


def fresh(config: Config) -> Station:
    """Make a station that knows nothing yet; Booted tells it what the journal remembers."""
    return Station(config, "", Phase.OFFLINE, None, None, None, None, None, (), (), QUIET, Count(1, 0), UNKNOWN)


ORDER: Final = get_args(Effect)


def step(station: Station, event: Event, now: Now) -> Step:
    """Take in one event.

    Never raises for any event that its type allows; any exception is a defect, and the shell stops the output.
    """
    return taken(Turn(station, now), event)


def explained(station: Station, event: Asked, now: Now) -> tuple[Step, tuple[Asking, ...]]:
    """Tell what `step` would make of a wish, and every rule that it would ask; nobody has to do it."""
    turn = Turn(station, now)
    return taken(turn, event), tuple(turn.asked)


def taken(turn: Turn, event: Event) -> Step:
    """Take in an event on this turn, and give what has become of it."""
    before = turn.station
    HANDLERS[type(event)](turn, event)
    version = before.tally.version + (shown(before) != shown(turn.station))
    after = turn.station._replace(tally=Count(turn.next_id, version))
    effects = sorted(turn.effects, key=lambda effect: ORDER.index(type(effect)))
    return Step(after, tuple(effects), turn.now.mono_ms + before.config.times.tick_ms)


def shown(station: Station) -> tuple[object, ...]:
    """Give what people see of a station, and a sender may expect: with any change of it the state version rises."""
    holder, session = station.holder, station.session
    return (
        station.boot_id,
        station.phase,
        station.latches,
        station.device is None,
        holder.principal if holder else None,
        [setting.setpoint_ua for setting in session.settings] if session else [],
    )


def tick(turn: Turn, event: Tick) -> None:
    """Fifty ms have passed (or more: M25 says so)."""
    turn.station = turn.station._replace(health=event.health)
    stopping = turn.station.stopping
    if stopping is not None:
        insist(turn, stopping)
    if turn.station.phase is Phase.RUNNING:
        play_on(turn, event)
    elif turn.station.phase is Phase.CALIBRATING:
        late_ms = turn.now.mono_ms - turn.station.beat.tick_ms
        granted = calibrate.burst(turn, event, late_ms)
        if granted is not None:
            drive(turn, granted, late_ms)
    else:
        stand_by(turn, event)
    let_go(turn)
    waiting = turn.station.waiting
    if waiting is not None:
        give_up(turn, waiting)


def let_go(turn: Turn) -> None:
    """Let a hold go that no rule has spoken for in two seconds; without readings a pad says nothing for itself."""
    station, now_ms, kept = turn.station, turn.now.mono_ms, []
    for hold in station.holds:
        lasting = hold
        if hold.reason.rule in SKIN and station.phase is Phase.RUNNING:
            session = sure(station.session)
            numbers = [setting.plan.channel for setting in session.settings]
            contact = session.channels[numbers.index(hold.reason.channel)].contact
            if now_ms - contact.recent_ms[-1] > SILENT_MS:
                lasting = hold._replace(last_ms=now_ms)
        if now_ms - lasting.last_ms <= HELD_MS:
            kept.append(lasting)
    turn.station = station._replace(holds=tuple(kept))


def insist(turn: Turn, stopping: Stopping) -> None:
    """A stop is not confirmed: say it again at 100 and 200 ms, cut at 250, and call somebody at 500 (M29)."""
    waited_ms = turn.now.mono_ms - stopping.since_ms
    if waited_ms >= line.CUT_MS and not stopping.cut:
        turn.effects.append(Silence(cut=True))
        stopping = stopping._replace(cut=True, tries=3)
    elif waited_ms >= stopping.tries * line.STOP_AGAIN_MS and stopping.tries < 3:
        turn.effects.append(Silence(cut=False))
        stopping = stopping._replace(tries=stopping.tries + 1)
    found = line.m29(waited_ms)
    if found is not None and not stopping.alarmed:
        stopping = stopping._replace(alarmed=True)
        turn.station = turn.station._replace(stopping=stopping)
        turn.tell("alarm.raised", "high", (found,))
        turn.latch((found,))
        if turn.station.session is not None and turn.station.phase is not Phase.UNCERTAIN:
            turn.stop((found,))
        return
    turn.station = turn.station._replace(stopping=stopping)


def put(station: Station, session: Session, beat: Beat) -> Station:
    """Put in place the two groups that change at every tick, and share the rest."""
    config, boot_id, phase, device, _, holder, waiting, stopping, latches, holds, _, tally, health = station
    return Station(
        config, boot_id, phase, device, session, holder, waiting, stopping, latches, holds, beat, tally, health
    )


def play_on(turn: Turn, event: Tick) -> None:
    """Count what was given, ask the rules, and only if they are quiet let the programme go on."""
    station, now_ms = turn.station, turn.now.mono_ms
    session, beat = sure(station.session), station.beat
    step_ua = sure(station.device).caps.step_ua
    late_ms = now_ms - beat.tick_ms
    course, programme = session.course, session.rx.programme
    played_ms = course.played_ms + late_ms
    channels = tuple(
        [
            play(channel, setting, programme, step_ua, played_ms, late_ms)
            for channel, setting in zip(session.channels, session.settings, strict=True)
        ]
    )
    played = Course(
        min(played_ms, programme.therapy_ms),
        course.armed_ms,
        course.first_run_ms,
        course.since_resume_ms + late_ms,
        *course[4:],
    )
    session = Session(*session[:7], played, channels, session.papers, session.trial)
    turn.station = station = put(station, session, Beat(now_ms, *beat[1:]))
    watch = Watch(station, session, session.limits, event.wanted, now_ms, turn.now.wall_ms, late_ms, event.unsynced_ms)
    reasons = [found for judge in monitor.TICK if (found := judge(watch)) is not None]
    if reasons and turn.judge(worst_first(reasons)):
        return
    if played_ms >= programme.therapy_ms:
        turn.stop((), "completed")
        return
    drive(turn, event, late_ms)


def drive(turn: Turn, event: Tick, late_ms: int) -> None:
    """Send the picture if it changed or may not have arrived, else keep it alive.

    Never while a frame is unanswered inside its ack budget.
    """
    station, now_ms = turn.station, turn.now.mono_ms
    session, beat, times = sure(station.session), station.beat, station.config.times
    permit, programme, step_ua = sure(session.permit), session.programme, sure(station.device).caps.step_ua
    probing = reprobe.is_waiting(session)
    if beat.unanswered and now_ms - beat.sent_ms <= (times.init_ack_ms if probing else times.ack_ms):
        if event.wanted != beat.picture:
            turn.station = put(station, session, beat._replace(held_ms=beat.held_ms + late_ms))
        return
    if event.wanted != beat.picture or beat.unanswered:
        trains = {train.channel: train for train in event.wanted.trains}
        risen_ms, pull = late_ms + beat.held_ms, int(session.trial is None)
        channels = tuple(
            [
                begin(channel, setting, programme, step_ua, trains.get(setting.plan.channel), risen_ms, pull)
                for channel, setting in zip(session.channels, session.settings, strict=True)
            ]
        )
        session = session._replace(channels=channels)
        grant = turn.grant(permit.id)
        turn.effects.append(Drive(grant, event.wanted))
        beat = beat._replace(sent_ms=now_ms, unanswered=grant.seq, picture=event.wanted, held_ms=0)
    elif number := reprobe.due(station, session, now_ms):
        reprobe.ask(turn, session, number)
        return
    elif now_ms - beat.sent_ms + times.tick_ms // 2 >= times.keep_alive_ms:
        grant = turn.grant(permit.id)
        turn.effects.append(Feed(grant))
        beat = Beat(beat.tick_ms, beat.heard_ms, now_ms, grant.seq, beat.picture, beat.flaws, 0)
    else:
        return
    turn.station = put(station, session, beat)


def stand_by(turn: Turn, event: Tick) -> None:
    """Watch a session that does not run, keep an armed device fed, and otherwise ask the device how it is."""
    station, now_ms = turn.station, turn.now.mono_ms
    session, beat, times = station.session, station.beat, station.config.times
    late_ms = now_ms - beat.tick_ms if beat.tick_ms else times.tick_ms
    if session is not None and station.phase is Phase.PAUSED and station.stopping is None:
        rested = [
            play(channel, setting, session.rx.programme, 0, late_ms, late_ms)
            for channel, setting in zip(session.channels, session.settings, strict=True)
        ]
        session = session._replace(channels=tuple(rested))
    turn.station = station._replace(session=session, beat=beat._replace(tick_ms=now_ms))
    if session is not None and station.phase is not Phase.UNCERTAIN:
        watch = Watch(turn.station, session, session.limits, OFF, now_ms, turn.now.wall_ms, late_ms, event.unsynced_ms)
        rules = {Phase.ARMED: monitor.TICK_ARMED, Phase.PAUSED: monitor.TICK_PAUSED}.get(
            station.phase, monitor.TICK_PREPARED
        )
        reasons = [found for judge in rules if (found := judge(watch)) is not None]
        if reasons and turn.judge(worst_first(reasons)):
            return
        if overdue(turn, session):
            return
    if station.device is None or (
        beat.unanswered and now_ms - beat.sent_ms <= (times.init_ack_ms if station.waiting else times.ack_ms)
    ):
        return
    permit = session.permit if session is not None and station.phase is Phase.ARMED else None
    if permit is not None and now_ms - beat.sent_ms + times.tick_ms // 2 >= times.keep_alive_ms:
        grant = turn.grant(permit.id)
        turn.effects.append(Feed(grant))
        turn.station = turn.station._replace(beat=turn.station.beat._replace(sent_ms=now_ms, unanswered=grant.seq))
    elif permit is None and now_ms - beat.sent_ms >= (times.keep_alive_ms if station.stopping else IDLE_ASK_MS):
        turn.effects.append(Ask())
        turn.station = turn.station._replace(beat=turn.station.beat._replace(sent_ms=now_ms, unanswered=0))


def overdue(turn: Turn, session: Session) -> bool:
    """End a session that nobody goes on with: armed and not started (G03), or prepared and its claim gone."""
    station, now_ms = turn.station, turn.now.mono_ms
    waited_ms = now_ms - session.course.armed_ms
    if station.phase is Phase.ARMED and waited_ms > session.limits.arm_to_start_ms:
        turn.stop((Reason("G03", Severity.STOP, "SES.STATE", 0, waited_ms, session.limits.arm_to_start_ms, "ms"),))
        return True
    unclaimed = station.holder is None or now_ms > station.holder.expires_ms
    if station.phase is Phase.PREPARED and unclaimed and station.waiting is None and station.stopping is None:
        turn.tell("session.stopped", session_id=session.id)
        turn.close("abandoned", "", turn.evidence())
        return True
    return False


def give_up(turn: Turn, waiting: Waiting) -> None:
    """A wish has waited too long for the journal or the device."""
    times, waited_ms = turn.station.config.times, turn.now.mono_ms - waiting.since_ms
    if waiting.entry and waited_ms > COMMIT_MS:
        turn.drop_waiting("SYS.AUDIT_UNWRITABLE")
    elif not waiting.entry and waited_ms > times.init_ack_ms:
        turn.drop_waiting("DEV.LOST")
        if waiting.purpose is not Purpose.PROBES:
            turn.stop((Reason("M04", Severity.STOP, "DEV.LOST", 0, waited_ms, times.init_ack_ms, "ms"),))


HANDLERS: Final[dict[type, Callable[..., None]]] = {
    Tick: tick,
    Booted: booted,
    Asked: asked,
    DeviceUp: device_up,
    DeviceDown: device_down,
    Heard: heard,
    Probed: probed,
    Garbled: garbled,
    Committed: committed,
    Denied: denied,
    Fenced: fenced,
    PatientStop: patient_stop,
}
