"""What may be asked: each verb's way from the phase table through the gate to its effect.

A wish is refused whole, with every reason, or obeyed. Where it needs permission, the permission is committed first
and `Waiting` keeps the wish
until the journal, and then the device, has answered.
"""

from typing import Final

from safety import calibrate, care, reprobe
from safety.attest import attest, limits_of, treated_as
from safety.effects import Clearing, Envelope, Opening, Permit
from safety.messages import (
    Adjust,
    Asked,
    CalibrationBegin,
    CalibrationMark,
    CalibrationStep,
    Capabilities,
    Check,
    ClearLatch,
    Command,
    EntryKind,
    Prepare,
    Verb,
)
from safety.permits import PROBES, arm_device, permit_request, probe_train, record, therapy_permit, wait
from safety.prescription import Dose, Prescription
from safety.rules import gate, papers, people, pulse, skin, trial, wish
from safety.rules.tick import PULSE, PULSE_TRIAL
from safety.rules.views import Gate, Lane, Skin
from safety.state import FRESH, Care, Course, Holder, Papers, Phase, Purpose, Session, Setting
from safety.turn import Turn, sure, wished
from safety.verdict import MAY_CLEAR, Judge, Reason, Severity

V = Verb
EVERYWHERE = frozenset({V.CLAIM, V.RENEW, V.RELEASE, V.CLEAR, V.STOP})
CARING = frozenset({*care.HEED, V.REPORT})
ALLOWED: Final[dict[Phase, frozenset[Verb]]] = {
    Phase.OFFLINE: EVERYWHERE,
    Phase.IDLE: EVERYWHERE | {V.PREPARE},
    Phase.PREPARED: EVERYWHERE | CARING | {V.ATTEST, V.CHECK, V.CAL_BEGIN, V.ARM},
    Phase.CALIBRATING: EVERYWHERE | CARING | {V.CAL_STEP, V.CAL_MARK, V.CAL_END, V.PAUSE},
    Phase.ARMED: EVERYWHERE | CARING | {V.START, V.PAUSE},
    Phase.RUNNING: EVERYWHERE | CARING | {V.ADJUST, V.PAUSE},
    Phase.PAUSED: EVERYWHERE | CARING | {V.ATTEST, V.CHECK, V.RESUME},
    Phase.UNCERTAIN: EVERYWHERE | {V.REPORT},
}
"""The phase table.

Which wish is legal where. Whatever is not here is refused with SES.STATE; a stop is legal everywhere.
"""

UNCLAIMED = frozenset({V.PAUSE, V.REPORT})
"""Wishes that like a stop need no claim on the device, because they lead towards zero; so does one for less."""

BUSY_OK = frozenset({V.CLAIM, V.RENEW, V.RELEASE, V.PAUSE, V.CLEAR, *CARING})
"""Wishes that like a stop are heard while another is on its way; so is one for less."""

WISH_RULES = (wish.g01, papers.g01_answers, wish.g01_rating, wish.g02)
SESSION_RULES = (gate.g23, gate.g27)
ENERGISE_RULES = (
    gate.g04, gate.g17, gate.g18, gate.g28, gate.m19_rest, people.m06_resume, papers.g22, papers.g25,
)  # fmt: skip
PAPER_RULES = (papers.g03, papers.g05, papers.g24)
CHECK_RULES = (skin.g20_check,)
SKIN_RULES = (skin.g20, skin.m10_back)
BLIND_RULES = (skin.g29, skin.g21)
FIT_RULES = (pulse.g23_fit, papers.g06, papers.g07)
CALIBRATED_RULES = (trial.g19,)
PULSE_PREPARED = (trial.g08_window, *PULSE[1:])
"""A session may be prepared whose thresholds are still to be found; what they bind is judged before it is armed."""
TRIAL_RULES = tuple(judge for judge in ENERGISE_RULES if judge not in (gate.g17, gate.g18, gate.g28))
"""A calibration has no programme: no rhythm, no ramp and no dose of one."""


def asked(turn: Turn, event: Asked) -> None:
    """Obey or refuse a wish."""
    command, station = event.command, turn.station
    verb = command.verb
    if verb is V.STOP:
        stop(turn, command)
        return
    if verb not in ALLOWED[station.phase]:
        turn.refuse(command, Reason("", Severity.REFUSE, "SES.STATE"))
        return
    delta_ua = command.wish.delta_ua if isinstance(command.wish, Adjust | CalibrationStep) else 0
    lowering = type(delta_ua) is int and delta_ua < 0
    if station.waiting is not None and verb not in BUSY_OK and not lowering:
        turn.refuse(command, Reason("", Severity.REFUSE, "SES.PHASE_CHANGED"))
        return
    holder = station.holder.principal if station.holder and turn.now.mono_ms <= station.holder.expires_ms else None
    barred = holder is not None if verb is V.CLAIM else verb not in UNCLAIMED and not lowering
    if barred and holder != command.principal:
        turn.refuse(command, Reason("", Severity.REFUSE, "SES.CLAIM_EXPIRED" if holder is None else "SES.CLAIM_HELD"))
        return
    OBEY[verb](turn, command)


def judged(turn: Turn, command: Command, session: Session | None, *, channel: int = 0, rise_ua: int = 0) -> bool:
    """Ask every gate rule that this verb calls for; refuse with all that speak. Tells whether the wish may go on."""
    g = Gate(turn.station, command, session, turn.now, channel, rise_ua)
    reasons = turn.ask(WISH_RULES, g)
    flows = command.verb in (V.PREPARE, V.ARM, V.START, V.RESUME) or rise_ua > 0
    if flows or command.verb is V.CHECK:
        reasons += turn.ask(SESSION_RULES, g)
    if command.verb is V.CHECK:
        reasons += turn.ask(CHECK_RULES, g)
    if flows:
        session = sure(session)
        reasons += turn.ask(ENERGISE_RULES, g)
        if command.verb is not V.PREPARE:
            reasons += turn.ask(PAPER_RULES, g)
        for setting in session.settings:
            lane, view = seen(turn, session, setting)
            all_known = command.verb is not V.PREPARE or trial.is_calibrated(lane)
            rules = CALIBRATED_RULES + PULSE if all_known else PULSE_PREPARED
            reasons += turn.ask(FIT_RULES + rules, lane)
            checked = command.verb in (V.ARM, V.START, V.RESUME)
            reasons += turn.ask(BLIND_RULES + SKIN_RULES if checked else BLIND_RULES, view)
    if reasons:
        turn.refuse(command, *reasons)
    return not reasons


def seen(turn: Turn, session: Session, setting: Setting) -> tuple[Lane, Skin]:
    """Look at one channel as it would be."""
    train, caps = setting.plan.train(setting.setpoint_ua), sure(turn.station.device).caps
    lane = Lane(session.rx, setting.plan, train, session.limits, caps, turn.now.wall_ms)
    reading = next((r for r in session.readings if r.channel == setting.plan.channel), None)
    contact = next(c.contact for s, c in zip(session.settings, session.channels, strict=True) if s is setting)
    return lane, Skin(setting, reading, session.limits, caps, session.rx, turn.now.mono_ms, contact)


def tried(
    turn: Turn,
    command: Command,
    session: Session,
    rules: tuple[Judge[Gate], ...],
    channel: int,
    rise_ua: int | None = None,
) -> bool:
    """Ask every rule that a wish of a calibration calls for; `rise_ua` is None where it can let no current flow."""
    g = Gate(turn.station, command, session, turn.now, channel, rise_ua or 0)
    reasons = turn.ask(WISH_RULES + rules, g)
    if rise_ua is not None:
        reasons += turn.ask(SESSION_RULES + TRIAL_RULES + PAPER_RULES, g)
    for setting in session.settings:
        if rise_ua is not None and setting.plan.channel == channel:
            lane, view = seen(turn, session, setting)
            reasons += turn.ask(FIT_RULES + PULSE_TRIAL, lane)
            reasons += turn.ask(BLIND_RULES + SKIN_RULES if command.verb is V.CAL_BEGIN else BLIND_RULES, view)
    if reasons:
        turn.refuse(command, *reasons)
    return not reasons


# The claim


def claim(turn: Turn, command: Command) -> None:
    """Take or renew the claim."""
    if judged(turn, command, turn.station.session):
        times, limits = turn.station.config.times, turn.station.config.general
        expires_ms = turn.now.mono_ms + min(times.claim_ms, limits.claim_ms)
        turn.station = turn.station._replace(holder=Holder(command.principal, expires_ms))
        turn.answer(command, "succeeded", expires_in_ms=expires_ms - turn.now.mono_ms)


def heed(turn: Turn, command: Command) -> None:
    """Hear what is said of the patient."""
    if judged(turn, command, turn.station.session):
        care.HEED[command.verb](turn, command)


def release(turn: Turn, command: Command) -> None:
    """Give the claim back; M05 pauses what runs, at the next tick."""
    if judged(turn, command, turn.station.session):
        turn.station = turn.station._replace(holder=None)
        turn.answer(command, "succeeded")


# The way up


def prepare(turn: Turn, command: Command) -> None:
    """Open a session."""
    wish = wished(command, Prepare)
    if wish.rx is None:
        turn.refuse(command, Reason("G04", Severity.REFUSE, "RX.UNKNOWN"))
        return
    if wish.rx.patient != wish.patient:
        turn.refuse(command, Reason("G04", Severity.REFUSE, "RX.PATIENT_MISMATCH"))
        return
    if wish.continues and wish.played_ms == 0:
        turn.refuse(command, Reason("", Severity.REFUSE, "SES.NOTHING_LEFT"))
        return
    session = opened(turn, wish.rx, wish)
    if not judged(turn, command, session):
        return
    turn.station = turn.station._replace(phase=Phase.PREPARED, session=session, holds=())
    turn.note(
        EntryKind.OPEN,
        Opening(
            session=session.id,
            rx=wish.rx.ref,
            rx_digest=wish.rx.digest,
            patient=wish.patient,
            principal=command.principal,
            policy=turn.station.config.policy,
        ),
    )
    not_fitted = ", ".join(missing(sure(turn.station.device).caps))
    turn.answer(command, "succeeded", session_id=session.id, not_fitted=not_fitted)
    turn.tell("session.prepared", session_id=session.id, rx=wish.rx.ref)


def missing(caps: Capabilities) -> tuple[str, ...]:
    """Name the measurements that this device cannot make; the rules that need them are inactive (X7)."""
    fitted = {
        "impedance": caps.numeric_impedance,
        "electrode": caps.numeric_impedance or caps.electrode_flag_from_ua is not None,
        "readback": caps.readback,
        "echo": caps.echo,
        "patient stop": caps.patient_stop,
        "supply": caps.supply_min_mv is not None,
        "balance": caps.balance,
        "temperature": caps.temperature,
    }
    return tuple(name for name, is_fitted in fitted.items() if not is_fitted)


def opened(turn: Turn, rx: Prescription, wish: Prepare) -> Session:
    """Make the session that this prescription would be, with its snapshot of limits."""
    pads = dict(wish.pads)
    rx = treated_as(rx, wish.attestation)
    zeros = (0,) * len(rx.channels)
    session = Session(
        id=f"s-{turn.station.config.device}-{turn.station.boot_id}-{turn.new_id()}",
        rx=rx,
        limits=limits_of(turn, rx),
        settings=tuple(Setting(plan, plan.ua, 0, pads.get(plan.channel, ())) for plan in rx.channels),
        readings=(),
        permit=None,
        care=Care(0, 0, 0, 0, 0),
        course=Course(
            rx.programme.onward_ms(wish.played_ms), 0, 0, 0, (), 0, zeros, zeros, turn.now.wall_ms - turn.now.mono_ms
        ),
        channels=(FRESH,) * len(rx.channels),
        papers=Papers(wish.attestation, stop_tried=False),
    )
    return calibrate.relying_on(session, wish.calibrations)


def attested(turn: Turn, command: Command) -> None:
    """Let a person vouch for the patient."""
    if judged(turn, command, turn.station.session):
        attest(turn, command)


def check(turn: Turn, command: Command) -> None:
    """Measure the skin: first a permit whose ceiling is the test pulse, then the pulses one by one."""
    session, wish = sure(turn.station.session), wished(command, Check)
    if not judged(turn, command, session):
        return
    numbers = wish.channels or tuple(setting.plan.channel for setting in session.settings)
    trains = [probe_train(session, number) for number in numbers]
    permit = Permit(
        id=turn.next_id,
        session=session.id,
        rx_digest=session.rx.digest,
        envelopes=tuple(
            Envelope(t.channel, t.ua, t.width_us, t.period_us, PROBES * 2 * t.ua * t.width_us // 1000) for t in trains
        ),
        reserve=(Dose(),) * len(trains),
        ends_mono_ms=turn.now.mono_ms + 10_000,
    )
    entry = turn.commit(EntryKind.PERMIT, permit_request(session, permit, probe=True))
    channels = tuple(number for number in numbers for _ in range(PROBES))
    wait(turn, command, Purpose.CHECK_PERMIT, permit, entry=entry, channels=channels)
    kept = tuple(reading for reading in session.readings if reading.channel not in numbers)
    turn.station = turn.station._replace(session=session._replace(readings=kept))


def calibration_begin(turn: Turn, command: Command) -> None:
    """Look for the thresholds of a channel, whose first press is judged before anything is reserved."""
    session, wish = sure(turn.station.session), wished(command, CalibrationBegin)
    would_be = calibrate.at(session, wish.channel, calibrate.FIRST_UA)
    if tried(turn, command, would_be, trial.TRIAL_BEGIN, wish.channel, 0):
        calibrate.begin(turn, command, session, wish.channel)


def calibration_step(turn: Turn, command: Command) -> None:
    """The button is down, or asks for less."""
    session, wish = sure(turn.station.session), wished(command, CalibrationStep)
    trial_of = sure(session.trial)
    number, flows = trial_of.channel, trial_of.began_ms > 0
    delta_ua = wish.delta_ua if type(wish.delta_ua) is int else 0
    would_be = calibrate.at(session, number, calibrate.level_ua(session, trial_of) + delta_ua)
    if delta_ua < 0:
        if tried(turn, command, session, trial.TRIAL_LOWER, number):
            calibrate.lower(turn, command, session, delta_ua)
        return
    held = flows and delta_ua == 0
    rules, rise_ua = (trial.TRIAL_HOLD, None) if held else (trial.TRIAL_STEP, delta_ua)
    if tried(turn, command, would_be, rules, number, rise_ua):
        calibrate.press(turn, command, would_be, delta_ua)
    else:
        calibrate.still_down(turn, command)


def calibration_mark(turn: Turn, command: Command) -> None:
    """A threshold stands here."""
    session, wish = sure(turn.station.session), wished(command, CalibrationMark)
    if tried(turn, command, session, trial.TRIAL_MARK, sure(session.trial).channel):
        calibrate.mark(turn, command, session, wish)


def calibration_end(turn: Turn, command: Command) -> None:
    """Enough: zero, and back to where the session was prepared."""
    session = sure(turn.station.session)
    if tried(turn, command, session, (), 0):
        calibrate.end(turn, command, session)


def arm(turn: Turn, command: Command) -> None:
    """Reserve the whole dose and write the permit; the device is armed when that is durable."""
    session = sure(turn.station.session)
    if not judged(turn, command, session):
        return
    permit = therapy_permit(turn, session)
    entry = turn.commit(EntryKind.PERMIT, permit_request(session, permit))
    wait(turn, command, Purpose.ARM_PERMIT, permit, entry=entry)
    armed = session._replace(course=session.course._replace(armed_ms=turn.now.mono_ms))
    turn.station = turn.station._replace(session=armed)
    if chosen := rails(turn, session):
        turn.answer(command, "accepted", permit=permit.id, rails=chosen)
    else:
        turn.answer(command, "accepted", permit=permit.id)


def rails(turn: Turn, session: Session) -> str:
    """Name the voltage in mV that each channel needs, where the device has a choice (G21)."""
    if not sure(turn.station.device).caps.rails_mv:
        return ""
    views = [seen(turn, session, setting)[1] for setting in session.settings]
    return ", ".join(f"{view.setting.plan.channel}: {skin.rail_mv(view)}" for view in views)


def start(turn: Turn, command: Command) -> None:
    """Let the programme run from zero, inside the permit that arming committed."""
    session = sure(turn.station.session)
    if not judged(turn, command, session):
        return
    course = session.course._replace(first_run_ms=turn.now.mono_ms)
    run(turn, command, session._replace(course=course), "session.started")


def run(turn: Turn, command: Command, session: Session, kind: str) -> None:
    """Enter RUNNING at zero; the next tick may drive."""
    now = turn.now
    session = session._replace(course=session.course._replace(clock_ms=now.wall_ms - now.mono_ms))
    session = reprobe.from_now(session, now.mono_ms)
    beat = turn.station.beat._replace(tick_ms=now.mono_ms)
    turn.station = turn.station._replace(phase=Phase.RUNNING, session=session, beat=beat, waiting=None)
    record(turn, command, session.id, f"played_ms={session.course.played_ms}")
    turn.answer(command, "succeeded", session_id=session.id)
    turn.tell(kind, session_id=session.id)


def resume(turn: Turn, command: Command) -> None:
    """Arm the device again for the rest of the same permit; the programme ramps from zero.

    A session that was paused before it ever ran is begun by it.
    """
    session = sure(turn.station.session)
    if session.permit is None:
        turn.refuse(command, Reason("", Severity.REFUSE, "SES.STATE"))
        return
    if judged(turn, command, session):
        arm_device(turn, session, command, Purpose.REARMED, session.permit)
        turn.answer(command, "accepted")


# On the way


def adjust(turn: Turn, command: Command) -> None:
    """Lower a set-point at once, and give up a rise on its way; raise it when the larger reservation is durable."""
    session, wish = sure(turn.station.session), wished(command, Adjust)
    settings = tuple(
        setting._replace(setpoint_ua=setting.setpoint_ua + wish.delta_ua)
        if setting.plan.channel == wish.channel and type(wish.delta_ua) is int
        else setting
        for setting in session.settings
    )
    would_be = session._replace(settings=settings)
    rise_ua = wish.delta_ua if type(wish.delta_ua) is int else 0
    if not judged(turn, command, would_be, channel=wish.channel, rise_ua=rise_ua):
        return
    setpoint_ua = next(s.setpoint_ua for s in settings if s.plan.channel == wish.channel)
    if rise_ua > 0:
        permit = therapy_permit(turn, would_be)
        entry = turn.commit(EntryKind.PERMIT, permit_request(would_be, permit))
        wait(turn, command, Purpose.RISE_PERMIT, permit, entry=entry, channels=(wish.channel,), setpoint_ua=setpoint_ua)
        return
    if setpoint_ua <= 0:
        turn.refuse(command, Reason("G08", Severity.REFUSE, "LIM.CURRENT", wish.channel, setpoint_ua, 1, "uA"))
        return
    turn.drop_waiting("SES.PHASE_CHANGED")
    turn.station = turn.station._replace(session=would_be)
    record(turn, command, session.id, f"channel={wish.channel} setpoint_ua={setpoint_ua}")
    turn.answer(command, "succeeded", setpoint_ua=setpoint_ua)


def pause(turn: Turn, command: Command) -> None:
    """Zero; the session stays."""
    session = sure(turn.station.session)
    if judged(turn, command, session):
        turn.pause((), command)
        record(turn, command, session.id, "")
        turn.answer(command, "succeeded")


def stop(turn: Turn, command: Command) -> None:
    """Zero; the session is over. Whoever asks, whenever."""
    session = turn.station.session
    reasons = () if session is None else (Reason("STOP", Severity.STOP, "SES.STOPPED"),)
    turn.stop(reasons, by=command.principal)
    record(turn, command, session.id if session else "", "")
    turn.answer(command, "succeeded")


def clear(turn: Turn, command: Command) -> None:
    """Remove a latch by its class, by somebody whose role may."""
    wish = wished(command, ClearLatch)
    if not judged(turn, command, turn.station.session):
        return
    latch = next((latch for latch in turn.station.latches if latch.id == wish.latch), None)
    if latch is None:
        turn.refuse(command, Reason("", Severity.REFUSE, "FLT.UNKNOWN", asked=wish.latch))
        return
    if command.role not in MAY_CLEAR[latch.clear]:
        turn.refuse(command, Reason(latch.rule, Severity.REFUSE, "AUTH.ROLE", asked=latch.id))
        return
    stopping = turn.station.stopping
    if stopping is not None and not (stopping.alarmed and latch.rule == "M29"):
        turn.refuse(command, Reason(latch.rule, Severity.REFUSE, "FLT.STANDING", asked=latch.id))
        return
    if stopping is not None:
        turn.station = turn.station._replace(stopping=None)
        turn.close(stopping.outcome, stopping.rule, "reservation")
    latches = tuple(other for other in turn.station.latches if other.id != latch.id)
    turn.station = turn.station._replace(latches=latches)
    turn.note(EntryKind.CLEAR, Clearing(latch=latch, principal=command.principal, reason=wish.reason))
    turn.answer(command, "succeeded", latch=latch.id)
    turn.tell("fault.cleared", latch=latch.id, by=command.principal)


OBEY: Final = {
    V.CLAIM: claim,
    V.RENEW: claim,
    V.RELEASE: release,
    **dict.fromkeys(care.HEED, heed),
    V.REPORT: care.report,
    V.PREPARE: prepare,
    V.ATTEST: attested,
    V.CHECK: check,
    V.CAL_BEGIN: calibration_begin,
    V.CAL_STEP: calibration_step,
    V.CAL_MARK: calibration_mark,
    V.CAL_END: calibration_end,
    V.ARM: arm,
    V.START: start,
    V.ADJUST: adjust,
    V.PAUSE: pause,
    V.RESUME: resume,
    V.CLEAR: clear,
}
