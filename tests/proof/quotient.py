"""When two stages count as the same: the canonical key of the walk.

What is kept: the phase; what the device said last, as far as its next word can contradict it; the claim (whose, over
or not); the session's prescription, what was vouched for, set-points, readings, permit (durable or not), played time,
ramp, train, rhythm, pauses; the wish that waits and what it waits for; the stop under way; latches and holds; the
picture and the frame that is open; what the ghost's ideal device does.

What is dropped, and why:

- Ids (a session, a grant, an entry, a latch, a state version) are replaced by what they name: no rule compares them
  but for being equal or newer, and the moves name them by what they are.
- Absolute times are replaced by ages, and an age is cut off where no rule looks any further: what is older is alike.
  The ages of a pause (ten minutes), of a permit and of the check are only told as young or old, unless a slice asks
  for `clocks`: which of two stages of one key comes first to such an end is left to the slices that ask.
- Who asked, texts and digests: no rule looks at them after the wish is judged.
- The charge so far, a muscle's state (`dose`), the readings of a pad (`skin`), the times of care (`care`), unless a
  slice asks for them: two stages of one key may differ in them, and the walk goes on from the first that it met. What
  depends on them is walked in the slices that ask.
- How far the device's next pulse is away: ticks of whole periods make it the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from safety.limits import Modality
from safety.messages import DeviceState
from safety.prescription import Programme
from safety.state import Channel, Session, Station, Trial, Waiting
from tests.proof.ghost import Line
from tests.proof.stage import Stage

FAR_MS: Final = 1_002
"""Ages of words and flaws beyond this are alike: one second is the longest that a rule asks for."""
LATE_MS: Final = 252
"""Ages of the last tick beyond this are alike: a loop later than that is stopped (M25)."""
SENT_MS: Final = 502
"""Ages of frames beyond this are alike: the answer to an arming may take half a second."""
UNSEEN_MS: Final = 602
"""Ages of a channel's measurements beyond this are alike: a period of 50 ms twice, and half a second (M04)."""


class Keep(NamedTuple):
    """What a slice keeps besides: `dose` (charge, muscle), `skin` (readings), `care`, `clocks` (ages to 1 ms)."""

    dose: bool = False
    skin: bool = False
    care: bool = False
    clocks: bool = False


def key(stage: Stage, keep: Keep) -> tuple[object, ...]:
    """Give what tells this stage from others."""
    station, ghost, now_ms = stage.station, stage.ghost, stage.now.mono_ms
    beat, holder, line = station.beat, station.holder, ghost.line
    left_ms = holder.expires_ms - now_ms if holder else 0
    return (
        station.phase,
        said(station, line, now_ms),
        holder and (holder.principal, max(left_ms, -1) if keep.clocks else left_ms >= 0),
        station.session and played(station, station.session, ghost.durable, stage, keep),
        station.waiting and expected(station, station.waiting, ghost.asked[0], now_ms),
        station.stopping and (cut(now_ms - station.stopping.since_ms, SENT_MS), *station.stopping[1:5]),
        tuple(sorted((latch.scope, latch.rule, latch.clear) for latch in station.latches)),
        tuple(sorted((reason.rule, reason.channel, cut(now_ms - at, 2_001)) for reason, at in station.holds)),
        tuple(cut(now_ms - at, FAR_MS) for at in beat.flaws[-2:] if now_ms - at < FAR_MS),
        (beat.picture, bool(beat.unanswered), cut(beat.held_ms, SENT_MS)),
        (cut(now_ms - beat.tick_ms, LATE_MS), cut(now_ms - beat.heard_ms, FAR_MS), cut(now_ms - beat.sent_ms, SENT_MS)),
        station.health,
        alive(stage, line),
        (ghost.frame[0] == beat.unanswered, bool(ghost.frame[0])),
        tuple((number, cut(over, 2), cut(short, 2)) for number, over, short in ghost.odd),
    )  # fmt: skip


def cut(age: int, far: int) -> int:
    """Let everything beyond `far` be alike."""
    return min(age, far)


def said(station: Station, line: Line, now_ms: int) -> tuple[object, ...] | None:
    """Give what the device has said last, as far as an honest next word could contradict it."""
    device = station.device
    if device is None:
        return None
    status = device.status
    return (
        device.caps, device.identity.model in station.config.models, status.state, status.button,
        status.presses == line.presses, status.boot == line.boot, status.uptime_ms > now_ms,
    )  # fmt: skip


def alive(stage: Stage, line: Line) -> tuple[object, ...]:
    """Give what the ideal device does, and for how long it still would if nobody fed it."""
    session, off = stage.station.session, line.state in (DeviceState.STOPPED, DeviceState.CUT)
    mine = session is not None and session.permit is not None and line.permit == session.permit.id
    fed_ms = -1 if off else cut(stage.now.mono_ms - line.fed_ms, stage.caps.dead_man_ms + 1)
    return line.state, line.picture == stage.station.beat.picture, bool(line.picture.trains), mine, fed_ms, line.fresh


def expected(station: Station, waiting: Waiting, asked: int, now_ms: int) -> tuple[object, ...]:
    """Give what a wish waits for."""
    far = 5_001 if waiting.entry else station.config.times.init_ack_ms + 1
    entry = bool(waiting.entry), waiting.entry == asked
    return waiting.purpose, entry, cut(now_ms - waiting.since_ms, far), waiting.channels, waiting.setpoint_ua


def played(
    station: Station, session: Session, durable: tuple[int, ...], stage: Stage, keep: Keep
) -> tuple[object, ...]:
    """Give how far a session has come."""
    course, shape, limits, now_ms = session.course, session.rx.programme, session.limits, stage.now.mono_ms
    wall_ms = shape.therapy_ms * 3 // 2
    permit, papers = session.permit, session.papers
    rise_ms = 1_000 * limits.rise_ua // limits.rise_ua_per_s + 1
    ages = (
        cut(now_ms - course.armed_ms, limits.arm_to_start_ms + 1)
        if course.armed_ms and keep.clocks
        else bool(course.armed_ms),
        cut((now_ms - course.first_run_ms) // (1 if keep.clocks else 100), wall_ms + 1) if course.first_run_ms else -1,
        cut(course.since_resume_ms, shape.ramp_up_ms),
        (cut(now_ms - course.rest_from_ms, 240_001) if keep.dose else 0) if course.rest_from_ms else -1,
        stage.now.wall_ms - now_ms - course.clock_ms,
    )
    readings = tuple(
        (r.channel, r.ohms, now_ms - r.at_ms if keep.clocks else now_ms - r.at_ms <= limits.check_age_ms, bool(r.asked))
        for r in session.readings
    )
    return (
        session.rx.ref, session.rx.sensation, course.played_ms, ages, readings, len(course.pauses),
        permit and (permit.id in durable, now_ms > permit.ends_mono_ms),
        (papers.stop_tried, papers.attestation and papers.attestation.answers),
        tuple((s.setpoint_ua, cut(now_ms - s.raised_ms, rise_ms), s.check_ohm) for s in session.settings),
        tuple(flowing(channel, shape, now_ms, keep) for channel in session.channels),
        (course.base_nc, course.seen_nc) if keep.dose else (),
        cared(session, now_ms, keep),
        session.trial and trial(session.trial, now_ms),
    )  # fmt: skip


def cared(session: Session, now_ms: int, keep: Keep) -> tuple[int, ...]:
    """Give when the patient was last looked after, and what is left of the hold on the patient."""
    care, limits = session.care, session.limits
    ends = cut(now_ms - care.hold_ends_ms, 0) if care.hold_ends_ms else 1
    if not keep.care:
        return care.token, ends >= 0
    furthest = limits.presence_ms, limits.effort_pause_ms, limits.skin_check_ms
    return (care.token, ends, *(cut(now_ms - at, far + 1) for at, far in zip(care[:3], furthest, strict=True)))


def trial(found: Trial, now_ms: int) -> tuple[object, ...]:
    """Give where a calibration stands: a burst lasts three seconds, above 20 mA the next waits for four."""
    ended_ms = cut(now_ms - found.ended_ms, 4_000 if found.is_loud else 0) if found.ended_ms else -1
    ages = cut(now_ms - found.held_ms, 1_001), cut(now_ms - found.began_ms, 3_001) if found.began_ms else -1, ended_ms
    return (*ages, found.is_loud, found.felt_ua, found.marks)


def flowing(channel: Channel, shape: Programme, now_ms: int, keep: Keep) -> tuple[object, ...]:
    """Give what a channel does: its train, its rhythm, its muscle, and as much of its pad as a slice keeps."""
    contact, ramp_ms = channel.contact, shape.ramp_up_ms
    skin: tuple[object, ...] = ()
    if keep.skin:
        uneven_ms = cut(now_ms - contact.past.uneven_ms, 10_001) if contact.past.uneven_ms else -1
        balance = now_ms - contact.balance[0], *contact.balance[1:]
        skin = (
            contact.baseline_ohm, contact.recent, tuple(sorted(contact.bucket)),
            tuple(ohm for _, ohm in contact.medians), tuple(ohm for _, ohm in contact.minutes[-3:]), uneven_ms, balance,
        )  # fmt: skip
    rhythm: tuple[int, ...] = (cut(channel.pull_ms, UNSEEN_MS),)
    if shape.modality is Modality.NMES:
        far_ms = shape.active_ms + 1_000
        times = channel.pull_ms, channel.plateau_ms, channel.rest_ms
        rhythm = (*(cut(ms, far_ms + shape.off_ms) for ms in times), *channel.pulls)
    return (
        channel.train, channel.low_ua, channel.high_ua, cut(channel.since_zero_ms, 2 * ramp_ms), rhythm,
        (channel.mu_ppm // 1_000, channel.spent) if keep.dose else (), contact.in_a_row,
        cut(now_ms - contact.fresh_ms, UNSEEN_MS) if channel.train else 0, bool(contact.past.doubt_ms), skin,
    )  # fmt: skip
