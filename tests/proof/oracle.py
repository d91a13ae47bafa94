"""The independent judge of a step: when current must flow, when it must not, and all that must hold besides.

It knows the safety reference, not the rules: its figures are in truth.py, its memory in ghost.py. What it cannot know
by itself it reads from the words of the step (a channel's muscle and contact, as the heart has counted them).

It is two-sided. Where nothing is wrong by its own truth, the programme's picture must flow, and nothing may speak.
Where something is wrong, the rule that guards it must speak (I13), as hard as it must, and the output must be zero in
the same step wherever that is more than a hold. `KNOWN` are the rules that it judges both ways; any other rule may
only make things stricter, and must then be named.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from safety.effects import (
    Arm,
    Ask,
    Closing,
    Commit,
    Drive,
    Effect,
    Feed,
    Note,
    Probe,
    Settlement,
    Silence,
    Tell,
)
from safety.limits import Sensation
from safety.machine import Step
from safety.messages import (
    Asked,
    Booted,
    ClearLatch,
    Committed,
    DeviceDown,
    DeviceState,
    DeviceUp,
    Event,
    Flaw,
    Garbled,
    Heard,
    Now,
    PatientStop,
    Probed,
    Report,
    Resume,
    Stop,
    Tick,
)
from safety.state import Phase, Station
from safety.verdict import Scope
from safety.waveform import OFF
from tests.proof.expect import AWAKE, HOLD, Verdicts, answered, held, stale, ticked, words
from tests.proof.ghost import Ghost
from tests.proof.picture import FLOWING, capped, moved, pictured
from tests.proof.truth import CLASSES, ROLES, WAYS, looser

RANK: Final = {Silence: 0, Tell: 1, Note: 2, Commit: 3, Ask: 4, Arm: 5, Drive: 5, Feed: 5, Probe: 5}
PROBE_UA: Final = 2_000
"""A test pulse stays below sensation (safety reference 2.3)."""
OFFLINE_PHASES: Final = (Phase.OFFLINE, Phase.IDLE)


class Judged(NamedTuple):
    """What the ghost has become, what was wrong with the step, and which rules spoke in it, each as hard as it did."""

    ghost: Ghost
    faults: tuple[str, ...]
    spoke: Verdicts


def judge(ghost: Ghost, before: Station, event: Event, now: Now, done: Step) -> Judged:
    """Hold one step against everything that is known."""
    after, effects = done.station, done.effects
    dead_man_ms = before.device.caps.dead_man_ms if before.device else before.config.times.dead_man_ms
    heard = ghost.heard(before, event, now.mono_ms, dead_man_ms)
    become = heard.told(effects, after, now.mono_ms)
    faults = [*form(before, after, effects), *stands(become, before, event, after)]
    faults += downward(ghost, before, event, after, effects)
    faults += latches(before, event, now, after, effects)
    for effect in effects:
        if isinstance(effect, Arm | Drive | Feed | Probe):
            faults += energised(ghost, heard, before, event, now, effect, after)
    spoke = said(before, after, effects, now)
    if isinstance(event, Asked):
        faults += answered(ghost, before, event, now, effects)
    elif isinstance(event, Tick) and before.phase is Phase.RUNNING:
        faults += ticked(ghost, heard, before, event, now, after, effects, spoke)
    elif isinstance(event, Tick) and before.phase is Phase.CALIBRATING:
        faults += held(become, before, event, now, after)
    elif isinstance(event, Heard):
        odd, found = words(ghost, before, event, after, effects, spoke, now)
        become, faults = become._replace(odd=odd), [*faults, *found]
    if moved(before, after) and not capped(after, now):
        faults.append("a set-point stands above its effective cap")
    if (
        after.session
        and after.session is not before.session
        and after.session.limits is not (before.session and before.session.limits)
    ):
        site = after.config.limits[after.session.rx.programme.modality]
        faults += [
            f"limit {name} is looser than a layer says" for name in looser(site, after.session.rx, after.session.limits)
        ]
    faults += settled(heard, before, effects)
    if isinstance(event, Tick) or (after.phase in FLOWING and before.phase not in FLOWING):
        become = become._replace(ticked_ms=now.mono_ms)
    return Judged(become, tuple(faults), spoke)


def said(before: Station, after: Station, effects: tuple[Effect, ...], now: Now) -> Verdicts:
    """Gather which rules spoke, each as hard as it did: in answers, in events, and in holds that were renewed."""
    spoke: Verdicts = {}
    for effect in effects:
        if isinstance(effect, Tell):
            for reason in effect.message.reasons:
                spoke[reason.rule] = max(reason.severity, spoke.get(reason.rule, reason.severity))
    for hold in after.holds:
        if hold.last_ms == now.mono_ms and hold not in before.holds:
            spoke.setdefault(hold.reason.rule, HOLD)
    spoke.pop("", None)
    return spoke


# The form of every step


def form(before: Station, after: Station, effects: tuple[Effect, ...]) -> list[str]:
    """Order of effects, one energising frame at most, never beside a Commit, and the version that people see."""
    ranks = [RANK[type(effect)] for effect in effects]
    faults = []
    if ranks != sorted(ranks):
        faults.append("effects are out of order")
    if ranks.count(5) > 1 or {3, 5} <= set(ranks):
        faults.append("more than one energising frame, or one beside a commit")
    if (after.tally.version - before.tally.version) != (shown(after) != shown(before)):
        faults.append("the state version does not tell whether what people see has changed")
    return faults


def shown(station: Station) -> tuple[object, ...]:
    """Give what people see, and a sender may expect."""
    session = station.session
    return (
        station.boot_id, station.phase, station.latches, station.device is None,
        station.holder and station.holder.principal,
        session and (session.id, [setting.setpoint_ua for setting in session.settings]),
    )  # fmt: skip


def stands(ghost: Ghost, before: Station, event: Event, after: Station) -> list[str]:  # noqa: C901
    """Judge what may stand together (I1, I4, I7, I8), and what led to it."""
    faults, session, line = [], after.session, ghost.line
    blocking = [latch for latch in after.latches if latch.scope is not Scope.MONTAGE]
    if (session is None) is not (after.phase in OFFLINE_PHASES):
        faults.append("a session stands exactly where the phase says so")
    ways = WAYS[before.phase] | ({Phase.IDLE} if isinstance(event, DeviceUp) else set())
    if after.phase not in {before.phase, *ways}:
        faults.append(f"no event leads from {before.phase} to {after.phase}")
    # After a crash nobody is left to stop the device but its own dead man.
    if line.picture.trains and after.phase not in (*FLOWING, Phase.OFFLINE) and not after.stopping:
        faults.append(f"current may flow in {after.phase}")
    if after.beat.picture.trains and after.phase not in FLOWING:
        faults.append(f"a picture stands in {after.phase}")
    if after.phase in FLOWING and blocking:
        faults.append("the programme runs under a latch")
    if after.phase in FLOWING and (after.device is None or after.stopping is not None):
        faults.append("the programme runs without a device, or beside a stop")
    if after.phase in FLOWING and before.phase not in FLOWING and (after.beat.picture != OFF or line.picture != OFF):
        faults.append("the programme does not begin at zero")
    if session is None or session.permit is None:
        return faults
    if session.permit.id not in ghost.durable:
        faults.append("the session relies on a permit that is not durable")
    for setting, channel, reserve in zip(session.settings, session.channels, session.permit.reserve, strict=True):
        number = setting.plan.channel
        if line.delivered_nc(number) > reserve.nc:
            faults.append(f"channel {number} had more than was reserved")
        old = before.session
        spent = dict(zip([s.plan.channel for s in old.settings], old.channels, strict=True)) if old else {}
        if old and old.id == session.id and any(n < o for n, o in zip(channel.spent, spent[number].spent, strict=True)):
            faults.append(f"a counter of channel {number} fell")
    return faults


# The way down


def downward(ghost: Ghost, before: Station, event: Event, after: Station, effects: tuple[Effect, ...]) -> list[str]:
    """Judge that what must stop stops in the same step (I5, I8, I9)."""
    faults = []
    silent = bool(effects) and isinstance(effects[0], Silence)
    fallen = after.phase is not before.phase and before.phase in (*FLOWING, Phase.ARMED) and after.phase not in (
        *FLOWING, Phase.ARMED
    )  # fmt: skip
    wish = event.command.wish if isinstance(event, Asked) else None
    reported = isinstance(wish, Report) and before.phase not in (*OFFLINE_PHASES, Phase.UNCERTAIN)
    # Where nothing flows and nothing is on its way a press is the trial of the button that the gate asks for.
    tried = before.phase is Phase.PREPARED and before.waiting is None and before.stopping is None
    stopped = (isinstance(event, PatientStop) and not tried) or isinstance(wish, Stop) or reported
    lost = (
        isinstance(event, DeviceDown | DeviceUp) and before.session is not None and before.phase is not Phase.UNCERTAIN
    )
    unknown = isinstance(event, Garbled) and event.flaw is Flaw.UNKNOWN and before.phase in (*FLOWING, Phase.ARMED)
    if (stopped or lost or unknown or fallen) and not silent:
        faults.append("a stop is not the first thing that is done")
    if (stopped or lost or unknown) and (
        after.beat.picture != OFF or after.waiting is not None or after.phase not in (*OFFLINE_PHASES, Phase.UNCERTAIN)
    ):
        faults.append("a stop leaves something standing")
    if silent and any(isinstance(effect, Arm | Drive | Feed | Probe) for effect in effects):
        faults.append("a step silences and energises")
    if isinstance(event, Booted) and (after.session is not None or after.phase is not Phase.OFFLINE):
        faults.append("a restart does not begin stopped")
    if ghost.line.picture.trains and after.phase not in FLOWING and before.phase in FLOWING and not silent:
        faults.append("the programme ends and the output is not silenced")
    return faults


def latches(before: Station, event: Event, now: Now, after: Station, effects: tuple[Effect, ...]) -> list[str]:
    """Judge that latches go one at a time, by their class, on request, and on record (I6); and what they may be."""
    faults = []
    gone = [latch for latch in before.latches if latch not in after.latches]
    if isinstance(event, Booted):
        expected = len(event.latches) + bool(event.open_session)
        if after.latches[: len(event.latches)] != event.latches or len(after.latches) != expected:
            faults.append("a restart forgets what was latched")
        return faults
    if gone:
        wish = event.command.wish if isinstance(event, Asked) else None
        asked = isinstance(wish, ClearLatch) and [latch.id for latch in gone] == [wish.latch] and wish.reason.strip()
        noted = [e.entry.body.latch for e in effects if isinstance(e, Note) and e.entry.kind == "clear"]
        if not asked or noted != gone:
            faults.append("a latch is gone that nobody cleared, or the journal does not say so")
        elif event.command.role not in ROLES[gone[0].clear] or stale(before, event, now):
            faults.append("a latch is cleared by somebody who may not")
        if after.phase in FLOWING or any(isinstance(effect, Arm | Drive | Feed | Probe) for effect in effects):
            faults.append("what clears a latch brings current back")
    faults += [
        f"{latch.rule} latches {latch.scope} with class {latch.clear}"
        for latch in after.latches
        if latch.clear not in CLASSES[latch.scope]
    ]
    added = [latch for latch in after.latches if latch not in before.latches]
    recorded = [effect.entry.body for effect in effects if isinstance(effect, Note) and effect.entry.kind == "latch"]
    if added != recorded:
        faults.append("a latch is raised and the journal does not say so, or the other way round")
    if any(latch.scope is not Scope.MONTAGE for latch in added) and after.beat.picture.trains:
        faults.append("something latches and current flows on")
    return faults


# The way up


def energised(  # noqa: C901, PLR0912 - one question a line
    ghost: Ghost, heard: Ghost, before: Station, event: Event, now: Now, effect: Arm | Drive | Feed | Probe,
    after: Station,
) -> list[str]:  # fmt: skip
    """Judge one frame that energises: who may send it, on which word, under which permit, with what in it."""
    grant, faults, waiting = effect.grant, [], before.waiting
    if grant.seq <= ghost.grant or grant.expires_mono_ms != now.mono_ms + before.config.times.grant_ms:
        faults.append("a grant is old, or lasts too long")
    if grant.permit not in heard.durable:
        faults.append("a grant names a permit that is not durable")
    if heard.frame[0] and now.mono_ms - heard.frame[1] <= heard.frame[2]:
        faults.append("a frame overtakes one that is not answered")
    if before.device is None or before.stopping is not None:
        faults.append("a frame is sent without a device, or beside a stop")
    if isinstance(effect, Probe):
        checks = before.phase in (Phase.PREPARED, Phase.PAUSED) and isinstance(event, Committed | Probed)
        if not (checks or between_trains(before, event, effect)) or not 0 < effect.train.ua <= PROBE_UA:
            faults.append("a test pulse is out of place, or can be felt")
    elif isinstance(effect, Arm):
        resumed = isinstance(event, Asked) and isinstance(event.command.wish, Resume)
        if before.phase not in (Phase.PREPARED, Phase.PAUSED) or not (isinstance(event, Committed) or resumed):
            faults.append("the device is armed out of place")
        if waiting is not None and not resumed and waiting.permit.id != grant.permit:
            faults.append("the device is armed under another permit than was asked for")
        faults += enveloped(effect, after)
    else:
        fed = isinstance(effect, Feed) and before.phase is Phase.ARMED
        if not isinstance(event, Tick) or not (fed or before.phase in FLOWING) or before.phase is not after.phase:
            faults.append("a frame is sent by something else than a tick of a session that runs")
        if heard.line.permit != grant.permit or heard.line.state not in (DeviceState.ARMED, DeviceState.RUNNING):
            faults += [] if before.device and before.device.status.state in AWAKE else ["a frame meets no armed device"]
        if before.holder is None or now.mono_ms > before.holder.expires_ms:
            faults.append("the output is fed and nobody holds the device")
        if after.session and after.session.permit and now.mono_ms > after.session.permit.ends_mono_ms:
            faults.append("the output is fed after its permit has ended")
        if isinstance(effect, Drive):
            faults += [text for text, _ in pictured(heard, effect.picture, after, now)]
    return faults


def between_trains(before: Station, event: Event, effect: Probe) -> bool:
    """Tell whether a test pulse falls into the rest of a session whose pulses do not show this electrode (G29)."""
    device, session = before.device, before.session
    rests = isinstance(event, Tick) and before.phase in FLOWING and before.beat.picture == OFF == event.wanted
    if not rests or device is None or session is None or session.rx.sensation is Sensation.S0:
        return False
    setpoints = [s.setpoint_ua for s in session.settings if s.plan.channel == effect.train.channel]
    flag_ua = device.caps.electrode_flag_from_ua
    blind = not device.caps.numeric_impedance and (flag_ua is None or setpoints < [flag_ua])
    return device.caps.reprobe and blind and bool(setpoints)


def enveloped(effect: Arm, after: Station) -> list[str]:
    """Judge the bounds that a device is armed with: never wider than its permit, never longer than it lasts."""
    session, waiting = after.session, after.waiting
    if session is None or waiting is None:
        return ["the device is armed and nothing waits for it"]
    bounds = {each.channel: each for each in waiting.permit.envelopes}
    wide = any(
        each.channel not in bounds
        or each.max_ua > bounds[each.channel].max_ua
        or each.max_charge_nc > bounds[each.channel].max_charge_nc
        for each in effect.envelopes
    )
    lasting = waiting.since_ms + effect.lifetime_ms > waiting.permit.ends_mono_ms
    return ["the device is armed wider or longer than its permit"] if wide or lasting else []


# The account


def settled(ghost: Ghost, before: Station, effects: tuple[Effect, ...]) -> list[str]:
    """Judge that a session is charged at least what flowed, or its whole reservation (I7)."""
    faults = []
    for effect in effects:
        body = effect.entry.body if isinstance(effect, Note) else None
        if isinstance(body, Settlement) and body.evidence != "reservation":
            faults += [
                f"channel {number} is charged less than it had"
                for number, dose in body.charged
                if before.session is not None and dose.nc < ghost.line.delivered_nc(number)
            ]
        if isinstance(body, Closing) and before.session is None and body.outcome != "crashed":
            faults.append("a session closes that nobody had opened")
    return faults
