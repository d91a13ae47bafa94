"""Time: the loop, silence, the claim, all that waits, a stop that is not confirmed, the clocks and the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from safety.messages import WELL, Asked, Committed, DeviceState, Fenced, Start, Tick, Verb
from safety.state import Phase, Purpose
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.quotient import Keep
from tests.proof.slices.parts import (
    QUICK_RAMP,
    READY,
    asks,
    at,
    both,
    few,
    idle,
    on_the_beat,
    only,
    playing,
    running,
    short,
    then,
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK


def late(stage: Stage, what: Happening) -> int | None:
    """Give how late a tick of a session that runs is."""
    return at(stage, what) - stage.station.beat.tick_ms if running(stage, what) else None


def silent(*phases: Phase) -> Callable[[Stage, Happening], int | None]:
    """Give how old the device's last word is, at a tick in these phases."""
    return lambda stage, what: (
        at(stage, what) - stage.station.beat.heard_ms
        if isinstance(what.event, Tick) and stage.station.phase in phases and stage.station.waiting is None
        else None
    )


def unclaimed(stage: Stage, what: Happening) -> int | None:
    """Give for how long the claim is over, at a tick of a session that runs."""
    holder = stage.station.holder
    return at(stage, what) - holder.expires_ms if holder and running(stage, what) else None


def unstarted(stage: Stage, what: Happening) -> int | None:
    """Give for how long a session is armed, at a tick or at a wish to start it."""
    tick = isinstance(what.event, Tick) and stage.station.phase is Phase.ARMED
    if stage.session is None or not (tick or asks(stage, what, Verb.START, Phase.ARMED)):
        return None
    return at(stage, what) - stage.session.course.armed_ms


def unconfirmed(stage: Stage, what: Happening) -> int | None:
    """Give for how long a stop is not confirmed, at a tick."""
    stopping = stage.station.stopping
    if stopping is None or stopping.alarmed or not isinstance(what.event, Tick):
        return None
    return at(stage, what) - stopping.since_ms


def on_the_wall(stage: Stage, what: Happening) -> int | None:
    """Give how long a paused session has lasted since it first ran, at a tick."""
    if stage.station.phase is not Phase.PAUSED or not isinstance(what.event, Tick) or stage.session is None:
        return None
    first_ms = stage.session.course.first_run_ms
    return at(stage, what) - first_ms if first_ms else None


def aged(stage: Stage, what: Happening) -> int | None:
    """Give the age of a wish to start, of which nobody says when it ends."""
    if not asks(stage, what, Verb.START, Phase.ARMED) or not isinstance(what.event, Asked):
        return None
    command, wall_ms = what.event.command, stage.now.wall_ms + what.ms
    return wall_ms - command.issued_wall_ms if command.expires_wall_ms >= wall_ms else None


def ahead(stage: Stage, what: Happening) -> int | None:
    """Give how far ahead of our clock a wish to start was issued."""
    age_ms = aged(stage, what)
    return None if age_ms is None else -age_ms


def ended(stage: Stage, what: Happening) -> int | None:
    """Give for how long a wish to start is over, that is young."""
    if not asks(stage, what, Verb.START, Phase.ARMED) or not isinstance(what.event, Asked):
        return None
    command, wall_ms = what.event.command, stage.now.wall_ms + what.ms
    return wall_ms - command.expires_wall_ms if command.issued_wall_ms == wall_ms else None


def measured(stage: Stage, what: Happening) -> int | None:
    """Give the age of the skin's check at a wish to arm."""
    if not asks(stage, what, Verb.ARM, Phase.PREPARED) or stage.session is None or not stage.session.readings:
        return None
    return at(stage, what) - stage.session.readings[0].at_ms


def unarmed(stage: Stage, what: Happening) -> int | None:
    """Give for how long a device has not answered an arming, at a tick."""
    waiting = stage.station.waiting
    spoken = isinstance(what.event, Tick) and at(stage, what) - stage.station.beat.heard_ms <= 300
    right = waiting is not None and waiting.purpose is Purpose.ARMED and not waiting.entry and spoken
    return at(stage, what) - waiting.since_ms if right and waiting else None


def kept(stage: Stage, count: int) -> Stage:
    """Keep a session waiting for so many ticks of 100 ms, its claim renewed."""
    for number in range(count):
        stage = walked_up(stage, m.tick(100), *((m.RENEW,) if number % 40 == 0 else ()))
    return stage


LOOP: Final = Slice(
    "loop",
    """The loop itself and the device's silence, to the millisecond: up to four happenings in a row, in every order:
    ticks on time and late, answered or not, a pause; from a plateau, from one that ran unanswered for 0.2 s,
    from one whose claim ends in 0.1 s, and from a pause that has been silent for 0.6 s.""",
    lambda: (
        playing(6), then(playing(6), *[m.tick(100)] * 2),
        walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM, *[m.tick(100)] * 43, m.START, *[m.tick(100)] * 6),
        then(walked_up(playing(6), m.PAUSE), *[m.tick(100)] * 6),
    ),
    {**{f"tick {ms}": m.tick(ms) for ms in (100, 101, 200, 201, 250, 251)}, "answer": m.word(), "pause": m.PAUSE},
    Keep(clocks=True),
    prompt=False, depth=4,
    scope=lambda stage: few(1)(stage) and only(Phase.RUNNING, Phase.PAUSED)(stage),
    edges=(
        Edge("a late tick holds", "M25", 100, late, HOLD),
        Edge("a late tick pauses", "M25", 200, late, PAUSE),
        Edge("a late tick stops", "M25", 250, late, STOP),
        Edge("silence holds", "M04", 300, silent(Phase.RUNNING), HOLD),
        Edge("silence pauses", "M04", 500, silent(Phase.RUNNING), PAUSE),
        Edge("silence stops", "M04", 1_000, silent(Phase.PAUSED), STOP),
        Edge("a claim runs out", "M05", 0, unclaimed, PAUSE),
    ),
    quick=False,
)  # fmt: skip


WAITS: Final = Slice(
    "waits",
    """Everything that waits on the way up, to the millisecond: a session that is armed and not started, a check that
    grows old, a wish that comes late, too early, or is over, a device that falls silent or does not answer an arming.
    Up to four happenings in a row, in every order, from shortly before each of them is over.""",
    lambda: (
        kept(walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM), 598),
        kept(walked_up(idle(short(), policy=QUICK_RAMP), *READY), 1_198),
        then(walked_up(idle(short(), policy=QUICK_RAMP), *READY), *[m.tick(100)] * 3),
        then(
            walked_up(idle(short(), policy=QUICK_RAMP), *READY), m.ARM, m.committed(),
            *[m.tick(100), m.word(stale=True)] * 3,
        ),
    ),
    {
        "tick 100": m.tick(100), "tick 101": m.tick(101), "answer": m.word(), "arm": m.ARM, "committed": m.committed(),
        "unasked": m.word(stale=True),
        "start": m.wish(Start()), "start 100": m.wish(Start(), ms=100), "start 101": m.wish(Start(), ms=101),
        **{
            f"start {age_ms}": m.wish(
                Start(), issued_wall_ms=lambda now, age_ms=age_ms: now - age_ms, expires_wall_ms=lambda now: now
            )
            for age_ms in (3_000, 3_001, -2_000, -2_001)
        },
        "start over": m.wish(Start(), expires_wall_ms=lambda now: now - 1),
        "start at its end": m.wish(Start(), expires_wall_ms=lambda now: now),
        "check": m.CHECK,
    },
    Keep(clocks=True),
    prompt=False, depth=4,
    scope=lambda stage: few(0)(stage) and only(Phase.ARMED, Phase.PREPARED)(stage),
    edges=(
        Edge("armed and not started", "G03", 60_000, unstarted),
        Edge("a wish grows old", "G02", 3_000, aged),
        Edge("a wish from the future", "G02", 2_000, ahead),
        Edge("a wish that is over", "G02", 0, ended),
        Edge("a check grows old", "G20", 120_000, measured),
        Edge("silence before a session runs", "M04", 500, silent(Phase.PREPARED), PAUSE),
        Edge("an arming is not answered", "M04", 500, unarmed, STOP),
    ),
    quick=False,
)  # fmt: skip


STOPPING: Final = Slice(
    "stopping",
    """A stop, or a pause, that the device confirms at once, late, or never: said again, cut, and somebody is called;
    then cleared by whoever may; and a pause that lasts until the session's time on the wall is over. Up to seven
    happenings in a row from a pause and from a stop that were just sent, and from a pause that was confirmed a second
    ago; ticks of 100 ms and what comes between two of them. Not beyond two latches.""",
    lambda: (
        then(playing(3), m.PAUSE), then(playing(3), m.STOP), walked_up(playing(3), m.PAUSE, *[m.tick(100)] * 10),
    ),
    {
        "tick": m.tick(100), "tick 99": m.tick(99), "tick 101": m.tick(101), "stop": m.STOP,
        "answer": m.word(), "maintain": m.clear("biomed"), "clear": m.clear("prescriber"),
        "not yet": m.word(state=DeviceState.RUNNING),
    },
    prompt=False, depth=7, scope=both(few(2), on_the_beat),
    edges=(
        Edge("a stop is not confirmed", "M29", 499, unconfirmed),
        Edge("a pause on the wall", "M21", 1_500, on_the_wall),
    ),
    quick=False,
)  # fmt: skip


# The service, its clocks and its disk


def fenced(more: int) -> Move:
    """Let another hold on the patient or device be seen: as old as ours, or newer."""
    return lambda stage: Happening(Fenced((stage.session.care.token if stage.session else 0) + more))


def holding(hold_ms: int) -> Stage:
    """Start a session whose hold on its patient ends so long after it was armed."""
    stage = then(walked_up(idle(short(), policy=QUICK_RAMP), *READY), m.ARM)
    waiting = stage.station.waiting
    entry = waiting.entry if waiting else 0
    ends_ms = stage.now.mono_ms + hold_ms
    return walked_up(stage, lambda _: Happening(Committed(entry, 4, ends_ms)), m.START, *[m.tick(100)] * 7)


def stepped(stage: Stage, what: Happening) -> int | None:
    """Give by how much the wall clock has left the boot clock, at a tick of a session that runs."""
    if stage.session is None or not running(stage, what):
        return None
    wall_ms = what.ms if what.wall_ms is None else what.wall_ms
    return abs(stage.now.wall_ms + wall_ms - at(stage, what) - stage.session.course.clock_ms)


def unsynced(stage: Stage, what: Happening) -> int | None:
    """Give the age of the oldest entry that is not on the disk, at a tick of a session that runs."""
    return what.event.unsynced_ms if isinstance(what.event, Tick) and running(stage, what) else None


def let_go(stage: Stage, what: Happening) -> int | None:
    """Give for how long the hold on the patient is over, at a tick."""
    ends_ms = stage.session.care.hold_ends_ms if stage.session else 0
    return at(stage, what) - ends_ms if ends_ms and isinstance(what.event, Tick) else None


def newer(stage: Stage, what: Happening) -> int | None:
    """Give by how much a token is newer than ours."""
    right = isinstance(what.event, Fenced) and stage.session is not None and stage.station.phase is not Phase.UNCERTAIN
    return what.event.token - stage.session.care.token if right and stage.session else None  # type: ignore[union-attr]


ILL: Final = {name: WELL._replace(**{name: False}) for name in WELL._fields}

SERVICE: Final = Slice(
    "service",
    """The service itself: a wall clock that steps, at once or bit by bit; a journal that falls behind; a hold on the
    patient that ends, or that somebody else has; a clock, a ledger, a journal that fail. Up to three happenings in
    a row from a plateau, from one whose hold ends in 0.1 s, from an armed session, from a pause, and from one whose
    hold ends in 0.1 s; ticks of 100 ms and what comes between two of them. Not beyond one latch.""",
    lambda: (
        playing(5), holding(800), walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM),
        walked_up(playing(7), m.PAUSE), walked_up(holding(800), m.PAUSE),
    ),
    {
        "tick": m.tick(100), "tick 99": m.tick(99),
        **{f"wall {step}": m.tick(100, 0, 100 + step) for step in (2_000, 2_001, -2_000, -2_001)},
        **{f"unsynced {ms}": m.tick(100, ms) for ms in (500, 501)},
        "as old": fenced(0), "newer": fenced(1), "start": m.START, "resume": m.RESUME, "pause": m.PAUSE,
        **{
            f"ill {name}": lambda stage, health=health: Happening(Tick(m.wanted(stage, 100), 0, health), 100)
            for name, health in ILL.items()
        },
    },
    depth=3,
    scope=both(few(1), on_the_beat),
    edges=(
        Edge("a wall clock that steps", "M31", 2_000, stepped, PAUSE),
        Edge("a journal behind", "M32", 500, unsynced, STOP),
        Edge("a hold that ends", "M34", -1, let_go, STOP),
        Edge("a newer hold", "M34", 0, newer, STOP),
    ),
    quick=False,
)  # fmt: skip

SLICES: Final = (LOOP, WAITS, STOPPING, SERVICE)
