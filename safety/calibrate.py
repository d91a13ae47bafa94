"""Thresholds: a calibration of one channel, under a button that is held.

    CALIBRATING: begin -> (press, hold, let go)* -> mark sensory, motor, maximal, each twice -> end -> PREPARED

BEGIN commits a permit with a reservation of its own, and arms the device with it. Each press raises the set-point by
at most 1 mA; while the button is held the output ramps to it from zero, for 3 s at most. A second without a renewal,
the burst's own end, a mark, the end of all, and whatever a rule says: zero. What was found is kept when it is whole.
"""

from dataclasses import replace

from safety.dose import given_by, is_plateau, play
from safety.effects import CalibrationRecord, Envelope, Permit
from safety.messages import CalibrationMark, Command, EntryKind, Threshold, Tick
from safety.permits import permit_request, record, wait
from safety.prescription import Calibration, Programme
from safety.reprobe import from_now
from safety.rules import monitor
from safety.rules.trial import (
    BURST_MS,
    HELD_MS,
    LOUD_BURST_MS,
    LOUD_UA,
    REPEATS,
    age_ms,
    is_spread,
    of,
    sought,
    threshold_ua,
    trial_dose,
)
from safety.rules.views import Watch
from safety.state import Mark, Phase, Purpose, Session, Trial, Waiting
from safety.turn import Turn
from safety.verdict import worst_first
from safety.waveform import OFF

FIRST_UA = 1_000
"""What a calibration is judged by before it begins: its first press (engineering default)."""
AGAIN_PERCENT = 70
"""Where the second ascent of a threshold begins, in percent of the first (safety reference 3.3)."""
LASTS_MS = 900_000
"""How long a calibration may last, which is how long the device stays armed for it (engineering default)."""


def at(session: Session, number: int, ua: int, raised_ms: int | None = None) -> Session:
    """Give the session with a channel's set-point at `ua`; a rise says when it happened."""
    settings = tuple(
        s._replace(setpoint_ua=ua, raised_ms=s.raised_ms if raised_ms is None else raised_ms)
        if s.plan.channel == number
        else s
        for s in session.settings
    )
    return session._replace(settings=settings)


def begin(turn: Turn, command: Command, session: Session, number: int) -> None:
    """Reserve a calibration's share of the session's caps, and write its permit; the device is armed when it stands.

    The other channels get nothing.
    """
    share, device, envelopes, reserve = trial_dose(session.limits), turn.station.device, [], []
    most_ua = min(session.limits.amplitude_ua, device.caps.max_ua) if device else 0
    for index, setting in enumerate(session.settings):
        plan, dose = setting.plan, given_by(session, index)
        mine = plan.channel == number
        if mine:
            dose = replace(dose, nc=dose.nc + share.nc, i2t=dose.i2t + share.i2t, on_ms=dose.on_ms + share.on_ms)
        envelopes.append(Envelope(plan.channel, most_ua if mine else 0, plan.width_us, plan.period_us, dose.nc))
        reserve.append(dose)
    permit = Permit(
        turn.next_id, session.id, session.rx.digest, tuple(envelopes), tuple(reserve), turn.now.mono_ms + LASTS_MS
    )
    entry = turn.commit(EntryKind.PERMIT, permit_request(at(session, number, 0), permit, trial=True))
    wait(turn, command, Purpose.TRIAL_PERMIT, permit, entry=entry, channels=(number,))
    armed = session._replace(course=session.course._replace(armed_ms=turn.now.mono_ms))
    turn.station = turn.station._replace(session=armed)
    turn.answer(command, "accepted", permit=permit.id)


def begun(turn: Turn, waiting: Waiting, session: Session) -> None:
    """The device is armed: the button may be pressed."""
    (number,) = waiting.channels
    shape = Programme(
        modality=session.rx.programme.modality,
        ramp_up_ms=session.limits.ramp_ms,
        on_ms=BURST_MS,
        ramp_down_ms=0,
        off_ms=1,
        therapy_ms=LASTS_MS,
    )
    trial = Trial(number, shape, held_ms=0, began_ms=0, ended_ms=0, is_loud=False, felt_ua=0, marks=())
    session = from_now(at(session, number, 0, 0)._replace(trial=trial), turn.now.mono_ms)
    turn.station = turn.station._replace(
        phase=Phase.CALIBRATING, waiting=None, session=session,
        beat=turn.station.beat._replace(tick_ms=turn.now.mono_ms),
    )  # fmt: skip
    record(turn, waiting.command, session.id, f"channel={number}")
    turn.answer(waiting.command, "succeeded", session_id=session.id)
    turn.tell("calibration.begun", session_id=session.id, channel=number)


# The button


def press(turn: Turn, command: Command, session: Session, delta_ua: int) -> None:
    """The button is down: the burst goes on or begins, at a set-point that a press has raised."""
    trial, now_ms = session.trial, turn.now.mono_ms
    if trial is None:
        return
    ua = level_ua(session, trial)
    if not trial.began_ms:
        trial = trial._replace(began_ms=now_ms, is_loud=ua > LOUD_UA, felt_ua=0)
    trial = trial._replace(held_ms=max(trial.held_ms, now_ms - age_ms(turn.now, command)))
    if delta_ua:
        session = at(session, trial.channel, ua, now_ms)
        record(turn, command, session.id, f"channel={trial.channel} setpoint_ua={ua}")
    turn.station = turn.station._replace(session=session._replace(trial=trial))
    turn.answer(command, "succeeded", setpoint_ua=ua)


def still_down(turn: Turn, command: Command) -> None:
    """A button that is down when no burst may begin has not been let go."""
    session = turn.station.session
    if session is None or session.trial is None or session.trial.began_ms:
        return
    held_ms = max(session.trial.held_ms, turn.now.mono_ms - age_ms(turn.now, command))
    trial = session.trial._replace(held_ms=held_ms)
    turn.station = turn.station._replace(session=session._replace(trial=trial))


def lower(turn: Turn, command: Command, session: Session, delta_ua: int) -> None:
    """Less, at once; what would be below zero is zero, and ends the burst."""
    trial = session.trial
    if trial is None:
        return
    ua = max(0, level_ua(session, trial) + delta_ua)
    if not ua:
        trial = let_go(trial, turn.now.mono_ms)
    turn.station = turn.station._replace(session=at(session, trial.channel, ua)._replace(trial=trial))
    record(turn, command, session.id, f"channel={trial.channel} setpoint_ua={ua}")
    turn.answer(command, "succeeded", setpoint_ua=ua)


def level_ua(session: Session, trial: Trial) -> int:
    """Give the set-point that the button stands for."""
    return next(s.setpoint_ua for s in session.settings if s.plan.channel == trial.channel)


def let_go(trial: Trial, now_ms: int) -> Trial:
    """End the burst that flows, if one does."""
    return trial._replace(began_ms=0, ended_ms=now_ms) if trial.began_ms else trial


def burst(turn: Turn, event: Tick, late_ms: int) -> Tick | None:
    """Count what was given, end a burst whose time is over, ask the rules; gives what may be driven, if anything."""
    station, now_ms = turn.station, turn.now.mono_ms
    session, device = station.session, station.device
    if session is None or session.trial is None or device is None:
        return None
    trial, step_ua = session.trial, device.caps.step_ua
    channels = tuple(
        [
            play(channel, setting, trial.shape, step_ua, now_ms, late_ms, LOUD_UA)
            for channel, setting in zip(session.channels, session.settings, strict=True)
        ]
    )
    lasts_ms = LOUD_BURST_MS if trial.is_loud else BURST_MS
    if now_ms - trial.held_ms >= HELD_MS or now_ms - trial.began_ms >= lasts_ms:
        trial = let_go(trial, now_ms)
    if not trial.began_ms:
        event = event._replace(wanted=OFF)
    ua = level_ua(session, trial)
    train = next(c.train for c, s in zip(channels, session.settings, strict=True) if s.plan.channel == trial.channel)
    if trial.began_ms and train is not None and is_plateau(train.ua, ua, step_ua):
        trial = trial._replace(felt_ua=ua)
    session = session._replace(channels=channels, trial=trial)
    turn.station = station = station._replace(session=session, beat=station.beat._replace(tick_ms=now_ms))
    watch = Watch(station, session, session.limits, event.wanted, now_ms, turn.now.wall_ms, late_ms, event.unsynced_ms)
    reasons = [found for judge in monitor.TICK_CALIBRATING if (found := judge(watch)) is not None]
    if reasons and turn.judge(worst_first(reasons)):
        return None
    return event


# The thresholds


def mark(turn: Turn, command: Command, session: Session, wish: CalibrationMark) -> None:
    """Keep a repeat of a threshold; zero, and the second ascent begins lower.

    Where two repeats lie too far apart the later one counts as the first.
    """
    trial = session.trial
    if trial is None:
        return
    ua, code, marks = level_ua(session, trial), "OK", trial.marks
    said = "absent" if wish.absent else str(ua)
    before = threshold_ua(marks, wish.threshold)
    if not wish.absent and before is not None and is_spread(before, ua):
        marks, code = tuple(mark for mark in marks if mark.threshold is not wish.threshold), "CAL.SPREAD"
    marks = (*marks, Mark(wish.threshold, None if wish.absent else ua))
    repeats = len(of(marks, wish.threshold))
    if not wish.absent and repeats < REPEATS:
        ua = ua * AGAIN_PERCENT // 100
    trial = let_go(trial, turn.now.mono_ms)._replace(marks=marks, felt_ua=0)
    turn.station = turn.station._replace(session=at(session, trial.channel, ua)._replace(trial=trial))
    record(turn, command, session.id, f"channel={trial.channel} {wish.threshold}={said}")
    following = sought(marks)
    turn.answer(
        command, "succeeded", code, repeats=repeats, setpoint_ua=ua, next=following.value if following else "end"
    )


def end(turn: Turn, command: Command, session: Session) -> None:
    """Zero; where every threshold was found, they hold from now on, here and in later sessions."""
    trial = session.trial
    if trial is None:
        return
    found = found_by(turn, session, trial)
    if found is not None:
        turn.station = turn.station._replace(session=relying_on(session, ((trial.channel, found),)))
    turn.pause((), command)
    record(turn, command, session.id, f"channel={trial.channel}")
    if found is None:
        turn.answer(command, "succeeded", "CAL.INCOMPLETE")
        return
    turn.note(
        EntryKind.CALIBRATION,
        CalibrationRecord(
            session=session.id,
            patient=session.rx.patient,
            site=next(s.plan.site for s in session.settings if s.plan.channel == trial.channel),
            channel=trial.channel,
            principal=command.principal,
            calibration=found,
        ),
    )
    turn.answer(
        command,
        "succeeded",
        sensory_ua=found.sensory_ua or 0,
        motor_ua=found.motor_ua or 0,
        maximal_ua=found.maximal_ua or 0,
    )


def relying_on(session: Session, calibrations: tuple[tuple[int, Calibration], ...]) -> Session:
    """Give the session with these calibrations, each where its channel has none or an older one."""
    settings = list(session.settings)
    for number, found in calibrations:
        for index, setting in enumerate(settings):
            known = setting.plan.calibration
            if setting.plan.channel == number and (known is None or known.at_wall_ms <= found.at_wall_ms):
                settings[index] = setting._replace(plan=replace(setting.plan, calibration=found))
    return session._replace(settings=tuple(settings))


def found_by(turn: Turn, session: Session, trial: Trial) -> Calibration | None:
    """Give the thresholds that a calibration has found; None while one is still sought."""
    if sought(trial.marks) is not None:
        return None
    plan = next(s.plan for s in session.settings if s.plan.channel == trial.channel)
    return Calibration(
        at_wall_ms=turn.now.wall_ms,
        pair=plan.pair,
        area_mm2=plan.area_mm2,
        width_us=plan.width_us,
        sensory_ua=threshold_ua(trial.marks, Threshold.SENSORY),
        motor_ua=threshold_ua(trial.marks, Threshold.MOTOR),
        maximal_ua=threshold_ua(trial.marks, Threshold.MAXIMAL),
    )
