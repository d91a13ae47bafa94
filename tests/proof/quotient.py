"""When two stages count as the same: the canonical key of the walk.

What is kept: the phase; what the device said last; claim (whose, expired or not); the session's prescription,
set-points, readings, permit (durable or not), played time, ramp, train, rhythm, pauses, and counts as far as they lie
near a boundary; the wish that waits and what it waits for; the stop under way; latches and holds; the picture and the
frame that is open; what the ghost's ideal device does.

What is dropped: ids (a grant, an entry, a latch, a state version) are replaced by what they name; absolute times by
ages, and an age is cut off where no rule looks any further; who asked, texts, digests, the charge so far (unless a
slice asks for it) and a muscle's state below a thousandth. Two stages with one key may thus differ in how much charge
has flowed, and in the readings of a pad before the last five (unless a slice asks for them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from safety.state import Channel, Session, Station, Trial, Waiting
from tests.proof.stage import Stage

FAR_MS: Final = 1_002
"""Ages of words and frames beyond this are alike: one second is the longest that a rule asks for."""


class Keep(NamedTuple):
    """What a slice keeps besides: `dose` (charge), `skin` (readings), `clocks` (claim and check to 1 ms)."""

    dose: bool = False
    skin: bool = False
    clocks: bool = False


def key(stage: Stage, keep: Keep) -> tuple[object, ...]:
    """Give what tells this stage from others."""
    station, ghost, now_ms = stage.station, stage.ghost, stage.now.mono_ms
    beat, holder = station.beat, station.holder
    device = station.device
    left_ms = holder.expires_ms - now_ms if holder else 0
    return (
        station.phase,
        device and (device.status[3:9], device.caps, device.identity.model, device.identity.boot),
        holder and (holder.principal, left_ms if keep.clocks else left_ms >= 0),
        station.session and played(station, station.session, ghost.durable, now_ms, keep),
        station.waiting and expected(station, station.waiting, now_ms),
        station.stopping and (cut(now_ms - station.stopping.since_ms, 501), *station.stopping[1:]),
        tuple(sorted((latch.scope, latch.rule, latch.clear) for latch in station.latches)),
        tuple(sorted((hold.reason.rule, cut((now_ms - hold.last_ms) // 100, 21)) for hold in station.holds)),
        tuple(cut(now_ms - at, FAR_MS) for at in beat.flaws[-3:]),
        (beat.picture, bool(beat.unanswered), beat.held_ms),
        tuple(cut(now_ms - at, FAR_MS) for at in (beat.tick_ms, beat.heard_ms, beat.sent_ms)),
        (ghost.line.state, ghost.line.picture == beat.picture, ghost.frame[0] == beat.unanswered),
        tuple((number, cut(over, 2), cut(short, 2)) for number, over, short in ghost.odd),
    )


def cut(age: int, far: int) -> int:
    """Let everything beyond `far` be alike."""
    return min(age, far)


def expected(station: Station, waiting: Waiting, now_ms: int) -> tuple[object, ...]:
    """Give what a wish waits for."""
    far = 5_001 if waiting.entry else station.config.times.init_ack_ms + 1
    age_ms = cut(now_ms - waiting.since_ms, far)
    return waiting.purpose, bool(waiting.entry), age_ms // 100 * 100, waiting.channels, waiting.setpoint_ua


def played(station: Station, session: Session, durable: tuple[int, ...], now_ms: int, keep: Keep) -> tuple[object, ...]:
    """Give how far a session has come."""
    course, shape, limits = session.course, session.rx.programme, session.limits
    ages = (
        cut(now_ms - course.armed_ms, limits.arm_to_start_ms + 1)
        if course.armed_ms and keep.clocks
        else bool(course.armed_ms),
        cut((now_ms - course.first_run_ms) // 100, shape.therapy_ms * 3 // 200 + 1) if course.first_run_ms else -1,
        cut(course.since_resume_ms, shape.ramp_up_ms),
        bool(course.rest_from_ms),
    )
    readings = tuple(
        (r.channel, r.ohms, now_ms - r.at_ms if keep.clocks else now_ms - r.at_ms <= limits.check_age_ms)
        for r in session.readings
    )
    return (
        session.rx.ref, course.played_ms, ages, readings, len(course.pauses),
        session.permit is not None and session.permit.id in durable,
        tuple((s.setpoint_ua, cut((now_ms - s.raised_ms) // 100, 11)) for s in session.settings),
        tuple(flowing(channel, shape, now_ms, keep) for channel in session.channels),
        (course.base_nc, course.seen_nc) if keep.dose else (),
        session.trial and trial(session.trial, now_ms),
    )  # fmt: skip


def trial(found: Trial, now_ms: int) -> tuple[object, ...]:
    """Give where a calibration stands."""
    ages = (cut(now_ms - at, 4_001) if at else -1 for at in (found.held_ms, found.began_ms, found.ended_ms))
    return (*ages, found.is_loud, found.felt_ua, found.marks)


def flowing(channel: Channel, shape: object, now_ms: int, keep: Keep) -> tuple[object, ...]:
    """Give what a channel does: its train, its rhythm, its muscle, and as much of its pad as a slice keeps."""
    contact = channel.contact
    skin: tuple[object, ...] = ()
    if keep.skin:
        medians = tuple(ohm for _, ohm in contact.medians)
        skin = contact.baseline_ohm, contact.recent, tuple(sorted(contact.bucket)), medians, contact.minutes[-3:]
    ramp_ms = getattr(shape, "ramp_up_ms", 0)
    return (
        channel.train, channel.low_ua, channel.high_ua, cut(channel.since_zero_ms, 2 * ramp_ms),
        cut(channel.pull_ms, 60_000), cut(channel.plateau_ms, 60_000), cut(channel.rest_ms, 60_000),
        channel.mu_ppm // 1_000, channel.spent if keep.dose else (), contact.in_a_row, skin,
    )  # fmt: skip


Key = Callable[[Stage], tuple[object, ...]]
