"""What a session has given and may still give: its rhythm, the muscle's bound, contractions, and the reservation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from safety.limits import Modality
from safety.messages import Tick, Verb
from safety.prescription import Programme
from safety.state import Channel, Phase, Station
from safety.verdict import Severity
from safety.waveform import OFF
from tests.proof import stage as m
from tests.proof.quotient import Keep
from tests.proof.slices.parts import (
    GO,
    QUICK_RAMP,
    READY,
    SHORT,
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
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import plan, rx

HOLD, PAUSE, STOP = Severity.HOLD, Severity.PAUSE, Severity.STOP

TRAINING: Final = Programme(
    modality=Modality.NMES, ramp_up_ms=500, on_ms=600, ramp_down_ms=0, off_ms=1_800, therapy_ms=5_800
)
"""Two contractions of half a second of ramp and 0.6 s of plateau."""


# Rhythm


def after_tick(stage: Stage, what: Happening) -> tuple[Channel, int] | None:
    """Give the first channel before a tick of a session that runs, and how long the tick is."""
    late_ms = at(stage, what) - stage.station.beat.tick_ms
    return (stage.session.channels[0], late_ms) if running(stage, what) and stage.session else None


def held_long(stage: Stage, what: Happening) -> int | None:
    """Give how long a plateau has lasted, beyond the planned one and the time that its ramp is within a device step."""
    found = after_tick(stage, what)
    if found is None or stage.session is None or found[0].train is None or found[0].pull_ms + found[1] > 1_300:
        return None
    setpoint_ua = stage.session.settings[0].setpoint_ua
    near_ms = -(-500 * 100 // setpoint_ua)
    return found[0].plateau_ms + found[1] - 600 - near_ms if found[0].train.ua == setpoint_ua else None


def pulled_long(stage: Stage, what: Happening) -> int | None:
    """Give how long a contraction has lasted beyond the planned one."""
    found = after_tick(stage, what)
    low = found is not None and found[0].train is not None and found[0].plateau_ms <= 600
    return found[0].pull_ms + found[1] - 1_100 if found and low else None


def rested_short(stage: Stage, what: Happening) -> int | None:
    """Give by how much a contraction begins before the planned rest is over."""
    found = after_tick(stage, what)
    if found is None or not isinstance(what.event, Tick) or what.event.wanted == OFF or found[0].train is not None:
        return None
    return 1_800 - found[0].rest_ms - found[1] if found[0].pull_ms > 500 else None


RHYTHM: Final = Slice(
    "rhythm",
    """A muscle's rhythm, kept and broken: two contractions, at every tick of which the picture may also be held at the
    set-point, held at half of it, or come back before the rest is over. NMES, 0.5 s of ramp, 0.6 s of plateau, 1.8 s of
    rest, at 20 mA, and lowered to 5 mA on the ramp; ticks of 100 ms and what comes between two of them; an honest
    device. What the muscle is like is not kept. While it runs and nothing is latched.""",
    lambda: (
        (trains := walked_up(idle(rx(plan(ua=20_000, max_ua=21_000), programme=TRAINING), policy=QUICK_RAMP), *GO)),
        walked_up(trains, *[m.tick(100)] * 2, m.adjust(-15_000)),
    ),
    {
        "tick": m.tick(100), "held": m.twisted(100, m.TWISTS["full"]), "half": m.twisted(100, m.TWISTS["half"]),
        **{f"held for {ms}": m.twisted(ms, m.TWISTS["full"]) for ms in (1, 10, 11, 99)},
        **{f"half for {ms}": m.twisted(ms, m.TWISTS["half"]) for ms in (1, 99)},
        "renew": m.RENEW,
    },
    scope=both(few(0), on_the_beat, only(Phase.RUNNING)),
    edges=(
        Edge("a plateau held", "M20", 200, held_long, STOP),
        Edge("a contraction held", "M20", 200, pulled_long, STOP),
        Edge("a rest cut short", "M20", 200, rested_short, STOP),
    ),
    quick=False,
)  # fmt: skip


# Pictures


def last_train(name: str) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: by how much a picture on the plateau differs from the set-point's own, in this alone."""

    def figure(stage: Stage, what: Happening) -> int | None:
        found = after_tick(stage, what)
        session, event = stage.session, what.event
        stands = found is not None and found[0].since_zero_ms >= 500
        if session is None or not stands or not isinstance(event, Tick) or len(event.wanted.trains) != 1:
            return None
        own = session.settings[0].plan.train(session.settings[0].setpoint_ua)
        train = event.wanted.trains[0]
        alone = own._replace(**{name: getattr(train, name)}) == train
        return int(getattr(train, name)) - int(getattr(own, name)) if alone else None

    return figure


PICTURES: Final = Slice(
    "pictures",
    """Every picture that is not the programme's: off, a device step or more above, at the set-point, a unit above it,
    above the window, above every device, none, backward, wider, faster, slower, on a channel of nobody, twice, half. Up
    to two ticks of 100 ms in a row, at the first tick of a session, on its ramp, on its plateau, under a calibration's
    burst; an honest device.""",
    lambda: (
        playing(0), playing(3), playing(7),
        walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.CAL_BEGIN, m.tick(100), m.press(1_000), m.tick(100)),
    ),
    {"tick": m.tick(100), **{name: m.twisted(100, twist) for name, twist in m.TWISTS.items()}},
    depth=2, scope=only(Phase.RUNNING, Phase.CALIBRATING),
    edges=(
        Edge("a set-point", "M03", 0, last_train("ua"), STOP),
        Edge("a width", "M02", 0, last_train("width_us"), Severity.LOCK),
    ),
)  # fmt: skip


# The muscle's bound


def tired(hold_ppm: int, pause_ppm: int) -> Stage:
    """Start a session whose marks of fatigue are drawn close."""
    policy = QUICK_RAMP | {"mu_hold_ppm": hold_ppm, "mu_pause_ppm": pause_ppm}
    what = rx(plan(ua=20_000, max_ua=21_000), programme=TRAINING, id=f"marks {hold_ppm} {pause_ppm}")
    return walked_up(idle(what, policy=policy), *GO)


def mu_at(ticks: int) -> int:
    """Give what is left of the muscle after so many ticks."""
    stage = walked_up(tired(500_000, 500_000), *[m.tick(100)] * ticks)
    return stage.session.channels[0].mu_ppm if stage.session else 0


def marks() -> tuple[Stage, ...]:
    """Start with each mark at what the muscle comes to in the sixth and ninth tick, a unit above, and one alone."""
    low, high = mu_at(9), mu_at(6)
    return tired(high, low), tired(high + 1, low + 1), tired(500_000, low + 1)


def short_of(name: str, *, fresh: bool) -> Callable[[Stage, Happening, Station], int | None]:
    """Make a figure: how far the muscle is below one of its marks; `fresh`: while nothing is held yet."""

    def figure(stage: Stage, what: Happening, after: Station) -> int | None:
        if not running(stage, what) or after.session is None or (fresh and stage.station.holds):
            return None
        mark_ppm: int = getattr(after.session.limits, name)
        return mark_ppm - after.session.channels[0].mu_ppm

    return figure


def unrested(stage: Stage, what: Happening) -> int | None:
    """Give by how much a wish to resume comes before four minutes of rest are over."""
    course = stage.session.course if stage.session else None
    if not asks(stage, what, Verb.RESUME, Phase.PAUSED) or course is None or not course.rest_from_ms:
        return None
    return 240_000 - (at(stage, what) - course.rest_from_ms)


def rest(ms: int) -> Move:
    """Let the device speak again after so long a pause."""

    def move(stage: Stage) -> Happening | None:
        young = stage.now.mono_ms - stage.station.beat.tick_ms < 1_000
        return m.word(ms=ms)(stage) if stage.station.phase is Phase.PAUSED and young else None

    return move


GO_ON: Final[dict[str, Move | tuple[Move, ...]]] = {
    "tick": (m.tick(100), m.RENEW), "rest": (rest(240_000), m.CLAIM), "clear": m.clear("physio"),
    "check": (m.CHECK, m.committed()), "resume": m.RESUME,
}  # fmt: skip

FATIGUE: Final = Slice(
    "fatigue",
    """A muscle that tires: two contractions whose course comes to each of the marks exactly, or one unit below; then
    the rest of four minutes, or a millisecond less, and its end. NMES, ticks of 100 ms, an honest device. Not beyond
    one latch.""",
    marks,
    {**GO_ON, "rest too short": (rest(239_999), m.CLAIM)},
    Keep(dose=True),
    scope=few(1),
    edges=(
        Edge("fatigue holds", "M19", 0, short_of("mu_hold_ppm", fresh=True), HOLD, after=True),
        Edge("fatigue pauses", "M19", 0, short_of("mu_pause_ppm", fresh=False), PAUSE, after=True),
        Edge("a rest of four minutes", "M19", 0, unrested),
    ),
    quick=False,
)  # fmt: skip


# Contractions

SETS: Final = replace(TRAINING, off_ms=1_800, therapy_ms=8_700)


def begun(index: int) -> Callable[[Stage, Happening], int | None]:
    """Count the contractions with the one that this tick begins: of the set (0), of the session (1)."""

    def figure(stage: Stage, what: Happening) -> int | None:
        found = after_tick(stage, what)
        if found is None or not isinstance(what.event, Tick) or what.event.wanted == OFF or found[0].train is not None:
            return None
        limits = stage.session.limits if stage.session else None
        most = (limits.pulls_set, limits.pulls_session)[index] if limits else 0
        other = (limits.pulls_set, limits.pulls_session)[1 - index] if limits else 0
        pulls = found[0].pulls
        return pulls[index] + 1 - most if pulls[1 - index] + 1 <= other else None

    return figure


def contracting(**policy: int) -> Stage:
    """Start a session of three contractions under this policy."""
    what = rx(plan(ua=20_000, max_ua=21_000), programme=SETS, id=f"most {policy}")
    return walked_up(idle(what, policy=QUICK_RAMP | policy), *GO)


CONTRACTIONS: Final = Slice(
    "contractions",
    """Three contractions where a set may have one, or two; where a session may have two. NMES, ticks of 100 ms, an
    honest device; after a set's last one a rest of four minutes, and its end. Not beyond one latch.""",
    lambda: (
        contracting(pulls_set=1), contracting(pulls_set=2), contracting(pulls_session=2),
        contracting(pulls_session=1),
    ),
    GO_ON,
    scope=few(1),
    edges=(
        Edge("contractions of a set", "M35", 0, begun(0), PAUSE),
        Edge("contractions of a session", "M35", 0, begun(1), STOP),
    ),
    quick=False,
)  # fmt: skip


# The account


def counted(stage: Stage, what: Happening) -> int | None:
    """Give by how much the device has counted more than was reserved, at a tick of a session that runs."""
    session = stage.session
    if session is None or session.permit is None or not running(stage, what):
        return None
    return session.course.base_nc[0] + session.course.seen_nc[0] - session.permit.reserve[0].nc


def at_the_reservation(stage: Stage) -> tuple[Stage, ...]:
    """Let the device count a unit less than was reserved, all of it, and a unit more."""
    permit = stage.session.permit if stage.session else None
    most = permit.reserve[0].nc if permit else 0
    return tuple(walked_up(stage, m.word(sample={"charge_nc": most + more})) for more in (-1, 0, 1))


FULL_NC: Final = 781_200
"""The cap of which the reservation of a second at 19 mA is 95 %, exactly: 41 and 21 pulses of 11.4 uC, 5 % more."""


def full(stage: Stage, what: Happening) -> int | None:
    """Give by how much the device's count has come to 95 % of a cap that the reservation just fits into."""
    over = counted(stage, what)
    session = stage.session
    return over + 1 if over is not None and session and session.limits.session_nc == FULL_NC and over < 1 else None


ACCOUNT: Final = Slice(
    "account",
    """A session whose device has counted all that was reserved, a nC less, or a nC more; the same where the reservation
    is 95 % of the session's cap to the nC; one whose on-time ends at its share. A plateau of a second, ticks of 100 ms,
    to its end. What was given is kept.""",
    lambda: (
        *at_the_reservation(playing(6)),
        *at_the_reservation(
            playing(6, rx(plan(ua=19_000, max_ua=21_000), programme=SHORT, limits=(("session_nc", FULL_NC),)))
        ),
        playing(0, short(limits=(("session_on_ms", 1_000_000 * 1_000 // 950_000 + 1),))),
    ),
    {"tick": m.tick(100), "stop": m.STOP, "pause": m.PAUSE},
    Keep(dose=True),
    scope=only(Phase.RUNNING),
    edges=(
        Edge("what was reserved", "M18", 0, counted, STOP),
        Edge("95 % of a cap", "M18", 0, full, PAUSE),
    ),
)  # fmt: skip

SLICES: Final = (PICTURES, RHYTHM, FATIGUE, CONTRACTIONS, ACCOUNT)
