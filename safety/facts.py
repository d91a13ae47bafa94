"""What has happened: the journal's and the device's words, and what they change."""

from collections.abc import Callable
from typing import Final

from safety import reprobe
from safety.calibrate import begun
from safety.dose import unheard
from safety.effects import Closing, Probe, Settlement, Silence
from safety.impedance import Span, doubted, median, observe, paired
from safety.impedance import probed as checked
from safety.messages import (
    Booted,
    Capabilities,
    Committed,
    Denied,
    DeviceDown,
    DeviceState,
    DeviceUp,
    EntryKind,
    Fenced,
    Flaw,
    Garbled,
    Heard,
    Latch,
    PatientStop,
    Probed,
    Status,
)
from safety.permits import arm_device, probe_train, record
from safety.rules import line, monitor
from safety.rules.skin import g20
from safety.rules.views import Look, Noise, Skin, Word
from safety.state import Channel, Device, Phase, Purpose, Reading, Session, Stopping, Waiting
from safety.turn import ENERGISED, FLOWING, Turn, sure
from safety.verdict import Clear, Reason, Scope, Severity
from safety.wishes import run

FLAWS_MS = 1_000
ARMING = (Purpose.ARMED, Purpose.REARMED, Purpose.TRIAL_ARMED)
"""The device has been sent an Arm and its answer is awaited."""
RESERVING: Final = {Purpose.ARM_PERMIT: Purpose.ARMED, Purpose.TRIAL_PERMIT: Purpose.TRIAL_ARMED}
"""What waits for a reservation, and what for once that is durable."""
STILL = (DeviceState.STOPPED, DeviceState.CUT)

# The journal


def booted(turn: Turn, event: Booted) -> None:
    """Begin with what the journal remembers; a session that was open is over, and counts as delivered."""
    turn.next_id = max(event.next_id, 1)
    turn.station = turn.station._replace(boot_id=event.boot_id, latches=event.latches)
    if not event.open_session:
        return
    crash = Latch(turn.new_id(), Scope.SESSION, "X6", Clear.NEW_SESSION, "", turn.now.wall_ms)
    turn.station = turn.station._replace(latches=(*event.latches, crash))
    turn.note(EntryKind.LATCH, crash)
    turn.note(EntryKind.SETTLE, Settlement(session=event.open_session, evidence="reservation", charged=()))
    turn.note(EntryKind.CLOSE, Closing(session=event.open_session, outcome="crashed", rule="X6"))
    reasons = (Reason("X6", Severity.STOP, "SYS.RESTARTED"),)
    turn.tell("session.stopped", "medium", reasons, session_id=event.open_session)


def committed(turn: Turn, event: Committed) -> None:
    """A permission is durable: now it may be used, if nothing has happened meanwhile."""
    waiting = turn.station.waiting
    if waiting is None or waiting.entry != event.entry:
        return
    session = sure(turn.station.session)
    if event.token:
        care = session.care._replace(token=event.token, hold_ends_ms=event.hold_ends_ms)
        session = session._replace(care=care)
        turn.station = turn.station._replace(session=session)
    if waiting.purpose is Purpose.CHECK_PERMIT:
        probe_next(turn, session, waiting, waiting.channels)
    elif waiting.purpose in RESERVING:
        arm_device(turn, session, waiting.command, RESERVING[waiting.purpose], waiting.permit, waiting.channels)
    elif turn.station.holds:
        turn.drop_waiting(turn.station.holds[0].reason.code)
    else:
        rise(turn, waiting, session)


def rise(turn: Turn, waiting: Waiting, session: Session) -> None:
    """Let the set-point rise inside its new permit."""
    settings = tuple(
        setting._replace(setpoint_ua=waiting.setpoint_ua, raised_ms=turn.now.mono_ms)
        if setting.plan.channel in waiting.channels
        else setting
        for setting in session.settings
    )
    old = sure(session.permit)
    # A rise asks for more current, never for more time: what the device is told stays inside the permit that it names.
    permit = waiting.permit._replace(id=old.id, ends_mono_ms=old.ends_mono_ms)
    turn.station = turn.station._replace(session=session._replace(settings=settings, permit=permit), waiting=None)
    record(turn, waiting.command, session.id, f"channel={waiting.channels[0]} setpoint_ua={waiting.setpoint_ua}")
    turn.answer(waiting.command, "succeeded", setpoint_ua=waiting.setpoint_ua)


def fenced(turn: Turn, event: Fenced) -> None:
    """Somebody else's hold on the patient or device is newer than ours: what we do is not ours to do any more (M34)."""
    session = turn.station.session
    if session is not None and turn.station.phase is not Phase.UNCERTAIN and event.token > session.care.token:
        turn.stop((Reason("M34", Severity.STOP, "SES.FENCED", 0, event.token, session.care.token, "token"),))


def denied(turn: Turn, event: Denied) -> None:
    """The ledger or the journal said no: the wish is refused with its reasons."""
    waiting = turn.station.waiting
    if waiting is None or waiting.entry != event.entry:
        return
    session = sure(turn.station.session)
    if waiting.purpose in RESERVING and session.permit is None:
        session = session._replace(course=session.course._replace(armed_ms=0))
    turn.station = turn.station._replace(waiting=None, session=session)
    turn.refuse(waiting.command, *event.reasons)


# The line


def device_up(turn: Turn, event: DeviceUp) -> None:
    """A device was identified and says that it is stopped.

    A session that was in doubt closes, at its full reservation.
    """
    if turn.station.session is not None and turn.station.phase is not Phase.UNCERTAIN:
        turn.stop((Reason("M30", Severity.STOP, "DEV.RESET"),))
    in_doubt(turn)
    station, now_ms = turn.station, turn.now.mono_ms
    beat = station.beat._replace(heard_ms=now_ms, sent_ms=now_ms, unanswered=0)
    device = Device(event.identity, event.caps, event.status)
    turn.station = station._replace(device=device, beat=beat)
    if turn.station.phase is Phase.OFFLINE:
        turn.station = turn.station._replace(phase=Phase.IDLE)
    config = station.config
    if event.identity.model not in config.models or event.identity.emulator is not config.emulator:
        turn.latch((Reason("G23", Severity.LOCK, "RX.DEVICE_MISMATCH"),))
    turn.tell(
        "device.online", model=event.identity.model, serial=event.identity.serial, firmware=event.identity.firmware
    )
    if event.status.state in STILL:
        confirm(turn)


def device_down(turn: Turn, event: DeviceDown) -> None:
    """The line is gone: what flowed is in doubt until the device speaks again."""
    station = turn.station
    reasons = (Reason("M04", Severity.STOP, "DEV.LOST"),)
    turn.station = station._replace(device=None)
    if station.session is not None:
        turn.stop(reasons)
    in_doubt(turn)
    turn.tell("device.lost", "medium" if station.session else "low", reasons, why=event.why)
    if turn.station.session is None:
        turn.station = turn.station._replace(phase=Phase.OFFLINE)


def in_doubt(turn: Turn) -> None:
    """A stop that is under way can no longer be charged by what the device has counted."""
    if turn.station.stopping is not None:
        turn.station = turn.station._replace(stopping=turn.station.stopping._replace(evidence="reservation"))


def heard(turn: Turn, event: Heard) -> None:
    """The device has spoken: take in what it says, then judge it."""
    station, status = turn.station, event.status
    device = station.device
    if device is None:
        return
    beat = station.beat
    answers = beat.unanswered in {0, event.grant}
    unanswered = 0 if event.grant == beat.unanswered else beat.unanswered
    turn.station = station._replace(
        device=Device(device.identity, device.caps, status),
        beat=beat._replace(heard_ms=turn.now.mono_ms, unanswered=unanswered),
    )
    # What has made a device stop by itself says more than that it has.
    found = words(turn, device, status) + look(turn, event, device.caps, answers)
    reasons = tuple(sorted(found, key=is_consequence))
    granted = turn.station.phase in FLOWING or turn.station.stopping is not None
    stray = None if granted else line.m29_stray(event.samples)
    if stray is not None:
        cut_off(turn, stray)
    elif reasons:
        turn.judge(reasons)
        if any(reason.rule == "M30" for reason in reasons):
            in_doubt(turn)
    elif status.state in STILL:
        account(turn, event)
        confirm(turn)
    waiting = turn.station.waiting
    if waiting is None or waiting.purpose not in ARMING or waiting.grant != event.grant:
        return
    if status.state is DeviceState.ARMED:
        armed(turn, waiting)


def is_consequence(reason: Reason) -> bool:
    """Tell whether a reason says only that the device has acted by itself."""
    return reason.code == "DEV.WATCHDOG"


def account(turn: Turn, event: Heard) -> None:
    """Take what was applied for what the device's last word does not count: another permit's word, or half a word."""
    session, stopping = turn.station.session, turn.station.stopping
    if session is None or session.permit is None or stopping is None:
        return
    told = {sample.channel for sample in event.samples} if event.status.permit == session.permit.id else set()
    if told >= {setting.plan.channel for setting in session.settings}:
        return
    course = session.course
    seen_nc = tuple(
        seen if setting.plan.channel in told else max(seen, channel.spent[0] - base)
        for setting, channel, base, seen in zip(
            session.settings, session.channels, course.base_nc, course.seen_nc, strict=True
        )
    )
    if stopping.evidence == "readback":
        stopping = stopping._replace(evidence="applied")
    session = session._replace(course=course._replace(seen_nc=seen_nc))
    turn.station = turn.station._replace(session=session, stopping=stopping)


def cut_off(turn: Turn, reason: Reason) -> None:
    """Current flows that nobody granted, and the device says that it is stopped: only its relay is left."""
    turn.effects.append(Silence(cut=True))
    stopping = Stopping(turn.now.mono_ms, 3, True, True, "stopped", reason.rule, "reservation")
    turn.station = turn.station._replace(stopping=stopping)
    turn.tell("alarm.raised", "high", (reason,))
    turn.stop((reason,))


def words(turn: Turn, device: Device, status: Status) -> tuple[Reason, ...]:
    """Judge what the device says of itself."""
    station, waiting = turn.station, turn.station.waiting
    word = Word(device.caps, device.status, status)
    if station.phase is Phase.UNCERTAIN:
        if line.m30(word) is not None:
            in_doubt(turn)
        return ()
    rules: list[Callable[[Word], Reason | None]] = []
    if station.phase in ENERGISED:
        rules += monitor.WORD
    else:
        if station.session is not None:
            rules += monitor.WORD_STILL
            if not can_be_tried(turn):
                rules.append(line.m23_button)
            elif line.is_let_go(word):
                tried(turn)
        arming = waiting is not None and waiting.purpose in ARMING
        rules += monitor.WORD_UNGRANTED if station.stopping is None and not arming else ()
    return tuple(found for judge in rules if (found := judge(word)) is not None)


def can_be_tried(turn: Turn) -> bool:
    """Tell whether a press of the stop is a trial of it: nothing flows, and nothing is on its way up."""
    station = turn.station
    return station.phase is Phase.PREPARED and station.waiting is None and station.stopping is None


def tried(turn: Turn) -> None:
    """The patient's stop was pressed while nothing flowed: it is in reach, and it works."""
    session = sure(turn.station.session)
    if not session.papers.stop_tried:
        turn.station = turn.station._replace(session=session._replace(papers=session.papers._replace(stop_tried=True)))
        turn.tell("stop.tried", session_id=session.id)


def look(turn: Turn, event: Heard, caps: Capabilities, answers: bool) -> tuple[Reason, ...]:
    """Take in the readback of every channel, and judge it while the session runs."""
    session = turn.station.session
    if session is None or not event.samples:
        return ()
    mine = session.permit is not None and event.status.permit == session.permit.id
    samples = {sample.channel: sample for sample in event.samples}
    running = turn.station.phase in FLOWING
    channels, seen_nc, reasons = [], [], []
    for setting, channel, seen in zip(session.settings, session.channels, session.course.seen_nc, strict=True):
        sample = samples.get(setting.plan.channel)
        if sample is None:
            channels.append(channel)
            seen_nc.append(seen)
            continue
        seen_nc.append(max(seen, sample.charge_nc) if mine else seen)
        if not running:
            channels.append(channel)
            continue
        span = Span(channel.low_ua, channel.high_ua, setting.setpoint_ua, caps.accuracy_ppm)
        contact = observe(channel.contact, sample, span, turn.now.mono_ms)
        view = Look(
            setting,
            channel.train,
            channel.low_ua,
            sample,
            channel.contact,
            contact,
            session.limits,
            caps,
            answers and caps.echo and event.status.state not in STILL,
            session.rx.sensation,
            turn.station.holds,
        )
        reasons += [found for judge in monitor.HEARD if (found := judge(view)) is not None]
        ua = channel.train.ua if channel.train else 0
        low_ua, high_ua = (ua, ua) if answers else (channel.low_ua, channel.high_ua)
        channels.append(channel._replace(low_ua=low_ua, high_ua=high_ua, contact=contact))
    if running:
        channels = twinned(session, channels, turn.now.mono_ms)
    course = session.course._replace(seen_nc=tuple(seen_nc))
    turn.station = turn.station._replace(session=session._replace(course=course, channels=tuple(channels)))
    return tuple(reasons)


def twinned(session: Session, channels: list[Channel], now_ms: int) -> list[Channel]:
    """Compare each pad pair that has a like one on the other side with it (M15)."""
    numbers = [setting.plan.channel for setting in session.settings]
    for index, setting in enumerate(session.settings):
        if setting.plan.twin:
            mine, other = channels[index], channels[numbers.index(setting.plan.twin)]
            contact = paired(mine.contact, other.contact, session.limits.twin_ppm, now_ms)
            channels[index] = mine._replace(contact=contact)
    return channels


def confirm(turn: Turn) -> None:
    """The device says that its output is off: a stop that was under way is done."""
    stopping = turn.station.stopping
    if stopping is None:
        return
    waited_ms = turn.now.mono_ms - stopping.since_ms
    turn.station = turn.station._replace(stopping=None)
    turn.tell("stop.confirmed", waited_ms=waited_ms)
    if stopping.cut and not stopping.alarmed:
        reasons = (Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, waited_ms, line.CUT_MS, "ms"),)
        turn.tell("alarm.raised", "high", reasons)
        turn.latch(reasons)
        if turn.station.session is not None and turn.station.phase is not Phase.UNCERTAIN:
            turn.stop(reasons)
            return
    session, device = turn.station.session, turn.station.device
    if session is not None and not stopping.outcome and stopping.tries > 1 and not sure(device).caps.readback:
        pairs = zip(session.channels, session.settings, strict=True)
        channels = tuple(unheard(channel, setting, waited_ms) for channel, setting in pairs)
        turn.station = turn.station._replace(session=session._replace(channels=channels))
    if turn.station.phase is Phase.UNCERTAIN:
        # What was applied after a stop that was not obeyed at once, nobody has counted.
        uncounted = stopping.evidence == "applied" and stopping.tries > 1
        turn.close(stopping.outcome, stopping.rule, "reservation" if uncounted else stopping.evidence)


def armed(turn: Turn, waiting: Waiting) -> None:
    """The device has taken the envelope: armed for the first time, or again after a pause."""
    session = sure(turn.station.session)
    if waiting.purpose is Purpose.REARMED:
        run_on(turn, waiting, session)
        return
    if waiting.purpose is Purpose.TRIAL_ARMED:
        begun(turn, waiting, session)
        return
    course = session.course._replace(armed_ms=turn.now.mono_ms)
    turn.station = turn.station._replace(
        phase=Phase.ARMED, waiting=None, session=session._replace(course=course),
        beat=turn.station.beat._replace(tick_ms=turn.now.mono_ms),
    )  # fmt: skip
    turn.answer(waiting.command, "succeeded", session_id=session.id)
    turn.tell("session.armed", session_id=session.id)


def run_on(turn: Turn, waiting: Waiting, session: Session) -> None:
    """Go on where the session stood, or begin it; after a long rest a new set of contractions begins."""
    kind = "session.resumed" if session.course.first_run_ms else "session.started"
    now_ms, rested = turn.now.mono_ms, session.course.rest_from_ms > 0
    course = session.course._replace(
        first_run_ms=session.course.first_run_ms or now_ms, since_resume_ms=0, rest_from_ms=0
    )
    channels = tuple(
        channel._replace(contact=doubted(channel.contact, 0), pulls=(0, channel.pulls[1]) if rested else channel.pulls)
        for channel in session.channels
    )
    run(turn, waiting.command, session._replace(course=course, channels=channels), kind)


# The skin


def probe_next(turn: Turn, session: Session, waiting: Waiting, channels: tuple[int, ...]) -> None:
    """Give the next test pulse, if its permit has not ended."""
    if turn.now.mono_ms >= waiting.permit.ends_mono_ms:
        turn.drop_waiting("CMD.EXPIRED")
        return
    grant = turn.grant(waiting.permit.id)
    turn.effects.append(Probe(grant, probe_train(session, channels[0])))
    turn.station = turn.station._replace(
        waiting=waiting._replace(
            purpose=Purpose.PROBES, entry=0, grant=grant.seq, channels=channels, since_ms=turn.now.mono_ms
        ),
        beat=turn.station.beat._replace(unanswered=grant.seq, sent_ms=turn.now.mono_ms),
    )


def probed(turn: Turn, event: Probed) -> None:
    """A test pulse was measured: keep the reading, go on to the next, answer after the last."""
    if reprobe.answered(turn, event):
        return
    station = turn.station
    waiting = station.waiting
    if waiting is None or waiting.purpose is not Purpose.PROBES:
        return
    if (waiting.grant, waiting.channels[0]) != (event.grant, event.channel):
        return
    session, caps, now_ms = sure(station.session), sure(station.device).caps, turn.now.mono_ms
    old = next((reading for reading in session.readings if reading.channel == event.channel), None)
    ohms = (*(old.ohms if old else ()), event.ohm)
    others = tuple(reading for reading in session.readings if reading.channel != event.channel)
    session = session._replace(readings=(*others, Reading(event.channel, ohms, now_ms)))
    beat = station.beat._replace(unanswered=0, heard_ms=now_ms)
    turn.station = station._replace(session=session, beat=beat)
    if waiting.channels[1:]:
        probe_next(turn, session, waiting, waiting.channels[1:])
        return
    found, settings, channels = [], [], []
    details: dict[str, int | str] = {}
    readings = {reading.channel: reading for reading in session.readings}
    for setting, channel in zip(session.settings, session.channels, strict=True):
        reading, sound_ohm, contact = readings.get(setting.plan.channel), setting.check_ohm, channel.contact
        if reading is not None:
            ohm = details[f"ohm_{reading.channel}"] = median(reading.ohms)
            contact = checked(contact, ohm)
            reason = g20(Skin(setting, reading, session.limits, caps, session.rx, now_ms, contact))
            found += [reason] if reason else []
            sound_ohm = sound_ohm if reason else ohm
        settings.append(setting._replace(check_ohm=sound_ohm))
        channels.append(channel._replace(contact=contact))
    session = session._replace(settings=tuple(settings), channels=tuple(channels))
    turn.station = turn.station._replace(waiting=None, session=session)
    turn.answer(waiting.command, "succeeded", found[0].code if found else "OK", tuple(found), **details)
    turn.tell("impedance.measured", "low" if found else "none", tuple(found), session_id=session.id, **details)


# What is wrong


def garbled(turn: Turn, event: Garbled) -> None:
    """The device sent something wrong, or refused."""
    station, now_ms = turn.station, turn.now.mono_ms
    times = (*(at for at in station.beat.flaws if now_ms - at < FLAWS_MS), now_ms)
    mine = event.grant != 0 and event.grant == station.beat.unanswered
    # Where current may flow the frame stays unanswered: what the device has in force is in doubt until it answers a
    # new one.
    freed = mine and station.phase not in FLOWING
    beat = station.beat._replace(flaws=times, unanswered=0 if freed else station.beat.unanswered)
    turn.station = station._replace(beat=beat)
    waiting = station.waiting
    if waiting is not None and event.grant != 0 and waiting.grant == event.grant and event.flaw is Flaw.REFUSED:
        turn.drop_waiting("DEV.NAK")
    if station.session is None or station.phase is Phase.UNCERTAIN:
        return
    energising = mine and station.phase in ENERGISED
    found = line.m26(Noise(event.flaw, times, energising))
    if found is not None:
        turn.judge((found,))


def patient_stop(turn: Turn, _event: PatientStop) -> None:
    """The patient has stopped it, or tries the button; where there is nothing to end, silence costs nothing."""
    if can_be_tried(turn):
        # A device's own stop is tried when its word says that it is up again; one at the bedside says only that it was
        # pressed.
        if not sure(turn.station.device).caps.patient_stop:
            tried(turn)
        turn.effects.append(Silence(cut=False))
    elif turn.station.session is not None:
        turn.stop((Reason("M23", Severity.STOP, "SES.PATIENT_STOP"),))
    else:
        turn.effects.append(Silence(cut=False))
