"""What must become of a wish, of a tick, and of the device's word: both ways.

`KNOWN` are the rules whose silence is judged as well as their word; any other rule may only make things stricter.
"""

from __future__ import annotations

from typing import Final

from safety.effects import Answer, Commit, Drive, Effect, Feed, Probe, Silence, Tell
from safety.messages import Adjust, Asked, DeviceState, Heard, Now, Tick, Verb
from safety.state import Phase, Purpose, Session, Station
from safety.verdict import Scope, Severity
from safety.waveform import OFF, Picture
from tests.proof.ghost import Ghost
from tests.proof.picture import FLOWING, capped, pictured
from tests.proof.truth import BURST_MS, HELD_MS, LEGAL

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK
AWAKE: Final = (DeviceState.ARMED, DeviceState.RUNNING)
TICK_KNOWN: Final = frozenset({"M02", "M03", "M04", "M05", "M18", "M19", "M21", "M25"})
WORD_KNOWN: Final = frozenset({"M01", "M04", "M07", "M08", "M23", "M27", "M28", "M30"})
KNOWN: Final = TICK_KNOWN | WORD_KNOWN
Verdicts = dict[str, Severity]


# A wish


def stale(before: Station, event: Asked, now: Now) -> bool:
    """Tell whether a wish is too old, too new, retained, or of somebody who saw another state (G02)."""
    command, limits = event.command, before.config.general
    age_ms, seen = now.wall_ms - command.issued_wall_ms, command.expect
    session = before.session.id if before.session else ""
    raises = isinstance(command.wish, Adjust) and command.wish.delta_ua > 0
    must = raises or command.verb in (Verb.ARM, Verb.START, Verb.RESUME)
    return (
        command.retained
        or not -limits.clock_skew_ms <= age_ms <= limits.command_age_ms
        or now.wall_ms > command.expires_wall_ms
        or (must and None in (seen.boot_id, seen.session_id, seen.state_version))
        or seen.boot_id not in (None, before.boot_id)
        or seen.session_id not in (None, session)
        or seen.state_version not in (None, before.tally.version)
    )


def answered(ghost: Ghost, before: Station, event: Asked, now: Now, effects: tuple[Effect, ...]) -> list[str]:
    """Judge the answer to a wish: refused where it must be, obeyed where it must be; a stop always."""
    command, holder, verb = event.command, before.holder, event.command.verb
    answers = [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, Answer)]
    mine = [answer for answer in answers if answer.command == command]
    if not mine and (verb is Verb.CHECK or raises(event)) and any(isinstance(effect, Commit) for effect in effects):
        return []
    if len(mine) != 1:
        return [f"{verb} has {len(mine)} answers"]
    status, reasons = mine[0].status, mine[0].reasons
    refused = status == "rejected"
    if refused and (not reasons or len(effects) != 1):
        return [f"{verb} is refused without a reason, or not whole"]
    if verb is Verb.STOP:
        return ["a stop is refused"] if refused else []
    if verb not in LEGAL:
        return []
    held = holder is not None and now.mono_ms <= holder.expires_ms
    owner = held and holder is not None and holder.principal == command.principal
    lowers = isinstance(command.wish, Adjust) and command.wish.delta_ua < 0
    free = verb in (Verb.CLAIM, Verb.PAUSE) or lowers
    must_not = {
        "out of phase": before.phase not in LEGAL[verb],
        "stale": stale(before, event, now),
        "unclaimed": (held and not owner and verb is Verb.CLAIM) or (not owner and not free),
        "latched": verb in UPWARD and any(latch.scope is not Scope.MONTAGE for latch in before.latches),
        "held": (verb in UPWARD or raises(event)) and bool(before.holds),
        "busy": before.waiting is not None and (verb in UPWARD or raises(event)),
        "stopping": (verb in UPWARD or raises(event)) and before.stopping is not None,
        "silent": verb in UPWARD and now.mono_ms - ghost.heard_ms > before.config.times.silence_hold_ms,
        "no device": verb in UPWARD and before.device is None,
        "unchecked": verb in (Verb.ARM, Verb.START, Verb.RESUME) and not checked(before, now),
        "above its cap": verb in (Verb.ARM, Verb.START, Verb.RESUME) and not capped(before, now),
    }
    wrong = [name for name, value in must_not.items() if value]
    if wrong and not refused:
        return [f"{verb} is obeyed: {', '.join(wrong)}"]
    if refused and not wrong and verb in (Verb.CLAIM, Verb.RENEW, Verb.RELEASE, Verb.PAUSE):
        return [f"{verb} is refused with {reasons[0].rule} {reasons[0].code}, and nothing is wrong"]
    return []


UPWARD: Final = (Verb.PREPARE, Verb.CHECK, Verb.ARM, Verb.START, Verb.RESUME, Verb.CAL_BEGIN)


def raises(event: Asked) -> bool:
    """Tell whether a wish raises a set-point."""
    return isinstance(event.command.wish, Adjust) and event.command.wish.delta_ua > 0


def checked(before: Station, now: Now) -> bool:
    """Tell whether the skin under every channel was measured lately, steadily, and is as skin should be (G20)."""
    session = before.session
    if session is None:
        return False
    limits, readings = session.limits, {reading.channel: reading for reading in session.readings}
    for setting in session.settings:
        found = readings.get(setting.plan.channel)
        if found is None or len(found.ohms) < 3 or now.mono_ms - found.at_ms > limits.check_age_ms:
            return before.device is not None and not before.device.caps.numeric_impedance
        low, high = min(found.ohms), max(found.ohms)
        if low < limits.check_low_ohm or high > limits.check_high_ohm * 2_500 // setting.plan.area_mm2:
            return False
    return True


# A tick


def ticked(
    ghost: Ghost, heard: Ghost, before: Station, event: Tick, now: Now, after: Station,
    effects: tuple[Effect, ...], spoke: Verdicts,
) -> list[str]:  # fmt: skip
    """Judge a tick of a session that runs, both ways."""
    session, device = after.session or before.session, before.device
    if session is None or device is None or before.session is None:
        return ["a session runs without a session or a device"]
    expected, unsure = due(ghost, heard, before, event, now, session)
    faults = disagreement(expected, spoke, TICK_KNOWN - unsure, after, now)
    worst = max([*expected.values(), *spoke.values()], default=Severity.COUNT)
    played_ms = before.session.course.played_ms + now.mono_ms - ghost.ticked_ms
    drives = [effect for effect in effects if isinstance(effect, Drive)]
    if worst >= PAUSE or played_ms >= session.rx.programme.therapy_ms:
        wanted = (Phase.UNCERTAIN,) if worst >= STOP or worst < PAUSE else (Phase.PAUSED, Phase.UNCERTAIN)
        if after.phase not in wanted or after.beat.picture != OFF or not isinstance(effects[0], Silence):
            faults.append(f"current must not flow on: {sorted(expected)}")
        return faults
    if after.phase is not Phase.RUNNING:
        return [*faults, f"the programme ends and nothing is wrong: {sorted(spoke)}"]
    waits = heard.frame[0] != 0 and now.mono_ms - heard.frame[1] <= heard.frame[2]
    if waits:
        return faults if after.beat.picture == before.beat.picture else [*faults, "a picture changes without a frame"]
    if after.beat.picture != event.wanted:
        faults.append("what the programme wants must flow, and does not")
    if event.wanted != before.beat.picture and [drive.picture for drive in drives] != [event.wanted]:
        faults.append("a changed picture must be sent once, and is not")
    fed = now.mono_ms - before.beat.sent_ms >= before.config.times.keep_alive_ms
    if fed and not any(isinstance(effect, Drive | Feed | Probe) for effect in effects):
        faults.append("the device must be kept alive, and is not")
    return faults


def due(
    ghost: Ghost, heard: Ghost, before: Station, event: Tick, now: Now, session: Session
) -> tuple[Verdicts, frozenset[str]]:
    """Say which rules must speak at a tick, as hard as they must; and which of them cannot be judged from here."""
    limits, times, holder, course = session.limits, before.config.times, before.holder, session.course
    found: list[tuple[str, Severity]] = []
    late_ms, age_ms = now.mono_ms - ghost.ticked_ms, now.mono_ms - ghost.heard_ms
    held = any(hold.reason.rule == "M25" for hold in before.holds)
    hold_ms = (limits.tick_hold_ms + times.tick_ms) // 2 if held else limits.tick_hold_ms
    found += graded("M25", late_ms, hold_ms, limits.tick_pause_ms, limits.tick_stop_ms)
    found += graded(
        "M04", age_ms, min(times.silence_hold_ms, limits.silence_hold_ms),
        min(times.silence_pause_ms, limits.silence_pause_ms), min(times.silence_stop_ms, limits.silence_stop_ms),
    )  # fmt: skip
    for channel in session.channels:
        train = channel.train
        if train is not None and before.device and before.device.caps.numeric_impedance:
            unseen_ms = min(now.mono_ms - channel.contact.fresh_ms, channel.pull_ms)
            stale_ms = 2 * -(-train.period_us // 1_000) + times.silence_pause_ms
            found += [("M04", STOP)] if unseen_ms > stale_ms else []
        mu_ppm = channel.mu_ppm
        found += graded("M19", -mu_ppm, -limits.mu_hold_ppm, -limits.mu_pause_ppm, 1)
    if holder is None or now.mono_ms > holder.expires_ms:
        found.append(("M05", PAUSE))
    planned_ms = min(session.rx.programme.therapy_ms, limits.therapy_ms)
    run_ms = now.mono_ms - course.first_run_ms if course.first_run_ms else 0
    if run_ms * 2 > planned_ms * 3 or (session.permit and now.mono_ms > session.permit.ends_mono_ms):
        found.append(("M21", STOP))
    for index, channel in enumerate(session.channels):
        nc = max(channel.spent[0], course.base_nc[index] + course.seen_nc[index])
        caps = (limits.session_nc, limits.session_i2t, limits.session_on_ms)
        for have, cap in zip((nc, *channel.spent[1:]), caps, strict=True):
            found += graded(
                "M18", have, cap * limits.dose_share_ppm / 1e6 - 0.5, cap * limits.dose_share_ppm / 1e6 - 0.5, cap - 1
            )
        if session.permit and nc > session.permit.reserve[index].nc:
            found.append(("M18", STOP))
    # A picture that stands already was judged when it was sent; within one step of the line both answers are right.
    changed = event.wanted != before.beat.picture
    wrong = {rule for _, rule in pictured(heard, event.wanted, before, now)}
    found += [("M02", LOCK)] if "M02" in wrong and changed else []
    found += [("M03", STOP)] if "M03" in wrong else []
    step_ua = before.device.caps.step_ua if before.device else 0
    lowered = tuple(train._replace(ua=train.ua + step_ua + 200) for train in event.wanted.trains)
    near = "M03" not in wrong and any(
        rule == "M03" for _, rule in pictured(heard, Picture(lowered), before, now)
    )  # fmt: skip
    verdicts: Verdicts = {}
    for rule, severity in found:
        verdicts[rule] = max(severity, verdicts.get(rule, severity))
    return verdicts, frozenset({"M03"} if near else ())


def graded(rule: str, have: float, hold: float, pause: float, stop: float) -> list[tuple[str, Severity]]:
    """Say how hard a rule must speak whose figure may stand at, and not above, each of its marks."""
    for mark, severity in ((stop, STOP), (pause, PAUSE), (hold, HOLD)):
        if have > mark:
            return [(rule, severity)]
    return []


def disagreement(expected: Verdicts, spoke: Verdicts, known: frozenset[str], after: Station, now: Now) -> list[str]:
    """Name the known rules that should have spoken and did not, or should not have and did, or not as hard."""
    faults, holding = [], {hold.reason.rule for hold in after.holds if hold.last_ms == now.mono_ms}
    # Where nothing flows, what is latched already is not said again.
    standing = set() if after.phase in FLOWING else {latch.rule for latch in after.latches}
    for rule in known & (set(expected) | set(spoke)):
        must, did = expected.get(rule), spoke.get(rule)
        # The fourth pause in ten minutes is a stop.
        ended = must is HOLD and after.phase not in FLOWING
        if (
            must is not did
            and not ended
            and not (must is PAUSE and did is STOP)
            and not (did is None and rule in (holding if must is HOLD else standing if must is PAUSE else ()))
        ):
            faults.append(f"{rule} must say {must and must.name}, and says {did and did.name}")
    return faults


def held(ghost: Ghost, before: Station, event: Tick, now: Now, after: Station) -> list[str]:
    """Judge a tick of a calibration: current only under a button that is held, on one channel, and not for long."""
    trains = after.beat.picture.trains
    if after.phase is not Phase.CALIBRATING or not trains or after.session is None or after.session.trial is None:
        return []
    faults = []
    if [train.channel for train in trains] != [after.session.trial.channel]:
        faults.append("a calibration drives another channel than its own")
    waits = ghost.frame[0] != 0 and ghost.frame[1] < now.mono_ms
    if now.mono_ms - ghost.held_ms >= HELD_MS and not waits:
        faults.append("a calibration drives on without its button")
    if now.mono_ms - ghost.burst_ms >= BURST_MS and not waits:
        faults.append("a calibration's burst does not end")
    return faults


# A word of the device


def words(  # noqa: C901, PLR0912 - one question a line
    ghost: Ghost, before: Station, event: Heard, after: Station, effects: tuple[Effect, ...], spoke: Verdicts, now: Now
) -> tuple[tuple[tuple[int, int, int], ...], list[str]]:
    """Judge what is made of the device's word, both ways; gives the counts of odd readings, too."""
    device, session, phase = before.device, before.session, before.phase
    if device is None:
        return ghost.odd, []
    old, new, expected, odd = device.status, event.status, {}, dict.fromkeys((), (0, 0))
    known = set(WORD_KNOWN)
    awake = new.state in AWAKE
    if phase is Phase.UNCERTAIN or session is None:
        return (), []
    if new.boot != old.boot or new.uptime_ms < old.uptime_ms or new.frames < old.frames:
        expected["M30"] = STOP
    # In PREPARED, with nothing on its way, a press is the trial of the button that the gate asks for.
    is_trial = phase is Phase.PREPARED and before.waiting is None and before.stopping is None
    pressed = new.boot == old.boot and new.presses != old.presses
    if (new.button or pressed) and not is_trial:
        expected["M23"] = STOP
    low, high = device.caps.supply_min_mv, device.caps.supply_max_mv
    if low and high and not low <= new.supply_mv <= high:
        expected["M28"] = STOP if not low * 9 <= new.supply_mv * 10 <= high * 11 else PAUSE
    if phase in (*FLOWING, Phase.ARMED):
        if not awake:
            expected["M04"] = STOP
    else:
        waiting = before.waiting
        arming = waiting is not None and not waiting.entry and waiting.purpose is not Purpose.PROBES
        if awake and before.stopping is None and not arming:
            expected["M27"] = LOCK
    if phase in FLOWING:
        odd = readings(ghost, before, session, event, expected)
    else:
        known -= {"M29"}
    stray = (
        phase not in FLOWING
        and before.stopping is None
        and any(s.fresh and s.measured_ua > 2_000 for s in event.samples)
    )
    if stray:
        cut = any(isinstance(effect, Silence) and effect.cut for effect in effects)
        return tuple((n, *pair) for n, pair in odd.items()), [] if cut and "M29" in spoke else [
            "current that nobody granted is not cut off"
        ]
    faults = disagreement(expected, spoke, frozenset(known), after, now)
    worst = max([*expected.values(), *spoke.values()], default=Severity.COUNT)
    if worst >= PAUSE and (after.phase in (*FLOWING, Phase.ARMED) or after.beat.picture != OFF):
        faults.append(f"current must not flow on after this word: {sorted(expected)}")
    if worst < PAUSE and phase in FLOWING and (after.phase is not phase or after.beat.picture != before.beat.picture):
        faults.append("the programme ends by a word that says nothing wrong")
    return tuple((n, *pair) for n, pair in odd.items()), faults


def readings(
    ghost: Ghost, before: Station, session: Session, event: Heard, expected: Verdicts
) -> dict[int, tuple[int, int]]:
    """Judge the readback of every channel that plays, and count what was odd in it."""
    odd = {number: (over, short) for number, over, short in ghost.odd}
    caps = before.device.caps if before.device else None
    settled = before.beat.unanswered in {0, event.grant} and event.status.state in AWAKE
    channels = dict(zip([s.plan.channel for s in session.settings], session.channels, strict=True))
    settings = {setting.plan.channel: setting for setting in session.settings}
    found: list[tuple[str, Severity]] = []
    for sample in event.samples:
        channel = channels.get(sample.channel)
        if channel is None or caps is None:
            continue
        train = channel.train
        told = train[1:] if train else (0, 0, 0, 0)
        if settled and (sample.ua, sample.width_us, sample.gap_us, sample.period_us) != told:
            found.append(("M27", LOCK))
        over, short = odd.get(sample.channel, (0, 0))
        if sample.fresh:
            most = channel.high_ua + max(2_000, channel.high_ua * (100_000 + caps.accuracy_ppm) // 1_000_000)
            over = over + 1 if sample.measured_ua > most else 0
            # What reads between a short and what leaves it says nothing (safety reference 2.3).
            short = short + 1 if sample.short or sample.ohm < 100 else 0 if sample.ohm > 250 else short
            area, baseline = settings[sample.channel].plan.area_mm2, channel.contact.baseline_ohm
            open_ohm = max(8_000 * 2_500 // area, 3 * baseline)
            is_open = sample.open or (caps.numeric_impedance and sample.ohm > open_ohm)
            if train and (is_open or (caps.readback and 2 * sample.measured_ua < channel.low_ua)):
                found.append(("M07", STOP))
        found += [("M01", LOCK)] if over >= 2 else []
        found += [("M08", LOCK)] if short >= 2 else []
        odd[sample.channel] = (over, short)
    for rule, severity in found:
        expected[rule] = max(severity, expected.get(rule, severity))
    return odd
