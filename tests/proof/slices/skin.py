"""The skin under the pads: what is measured before current flows, and every rule that looks at it while it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from safety.impedance import Contact
from safety.messages import Heard, Probed, Verb
from safety.montage import Montage, Region, Side
from safety.state import Phase, Station
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.quotient import Keep
from tests.proof.slices.parts import (
    LONG,
    QUICK_RAMP,
    asks,
    at,
    both,
    few,
    idle,
    last_sample,
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
from tests.safety.parts import plan, rx

HOLD, PAUSE, LOCK = Severity.HOLD, Severity.PAUSE, Severity.LOCK
Figure = Callable[[Stage, Happening], int | None]


def felt(ohm: int, **sample: object) -> Move:
    """Let the device answer with this impedance; a pulse was given."""
    return m.word(ohm=ohm, sample={"fresh": True, **sample})


def read(stage: Stage, *ohms: int) -> Stage:
    """Take a tick of 100 ms for each of these readings, the claim renewed."""
    for ohm in ohms:
        stage = then(stage, m.tick(100), felt(ohm), m.RENEW)
    return stage


def on_plateau(*ohms: int, **policy: int) -> Stage:
    """Start on a long plateau that has just read these."""
    return read(playing(0, rx(plan(ua=20_000, max_ua=21_000), programme=LONG), **policy), *[ohms[0]] * 5, *ohms)


# What an edge measures


def recent(stage: Stage, what: Happening) -> list[int] | None:
    """Give a channel's last five readings, with this word's, where it is comparable."""
    found = last_sample(stage, what)
    comparable = found is not None and found[0].fresh and found[1].contact.recent != ()
    return [*found[1].contact.recent[-4:], found[0].ohm] if found and comparable else None


def third(sign: int = 1, *, fresh: bool = False) -> Figure:
    """Make a figure: the third highest of the last five; `fresh`: while nothing is held yet."""

    def figure(stage: Stage, what: Happening) -> int | None:
        found = recent(stage, what)
        if found is None or len(found) < 5 or (fresh and stage.station.holds):
            return None
        return sign * sorted(found)[2]

    return figure


def jumped(stage: Stage, what: Happening) -> int | None:
    """Give by how much more than a quarter a reading jumps."""
    found = recent(stage, what)
    return abs(found[-1] - found[-2]) - found[-2] // 4 if found and len(found) > 1 else None


def readings(
    name: str, prose: str, start: tuple[int, ...], ohms: tuple[int, ...], *edges: Edge, **policy: int
) -> Slice:
    """Make a slice of readings: six ticks of 100 ms, at each of which the pad reads one of these, or nothing."""
    said = f"""{prose} Six ticks of 100 ms on a plateau of 20 mA, each of them not answered, or reading one of
    {", ".join(map(str, ohms))} ohm. While it runs."""
    return Slice(
        name, said, lambda: (on_plateau(*start, **policy),),
        {"nothing": m.tick(100), **{f"reads {ohm}": (m.tick(100), felt(ohm)) for ohm in ohms}},
        Keep(skin=True), prompt=False, depth=6, scope=only(Phase.RUNNING), edges=edges, quick=False,
    )  # fmt: skip


READINGS: Final = (
    readings("skin is fair", "A pad that reads high.", (2_900,) * 20, (2_900, 3_000, 3_001),
             Edge("fair contact", "M09", 3_000, third(fresh=True), HOLD)),
    readings("skin is poor", "A pad near the absolute limit.", (3_300,) * 20, (3_300, 4_000, 4_001),
             Edge("poor contact", "M09", 4_000, third(), PAUSE)),
    readings("skin loosens", "A pad that begins to peel.", (*(1_500,) * 20, 1_850), (1_850, 1_950, 1_951),
             Edge("contact that worsens", "M10", 1_950, third(fresh=True), HOLD)),
    readings("skin peels", "A pad that peels.", (*(1_500,) * 20, 1_850), (1_850, 2_250, 2_251),
             Edge("contact worsened", "M10", 2_250, third(), PAUSE)),
    readings("skin falls", "A pad under which a bridge forms.", (*(1_500,) * 20, 1_150), (1_150, 900, 899),
             Edge("contact that falls", "M13", -900, third(-1), PAUSE)),
    readings("skin jumps", "A pad whose reading jumps, opens, or shorts.", (1_500,) * 12,
             (1_500, 1_875, 1_876, 9_000, 50), Edge("a jump", "M11", 0, jumped, PAUSE)),
    readings("skin thins", "A pad whose contact carries all of the current, the density's mark drawn close.",
             (1_500,) * 20, (1_500, 1_762, 1_763), Edge("density under what is left", "M17", 1_762, third(), PAUSE),
             contact_ua_cm2=150),
)  # fmt: skip
"""The marks: 3 and 4 kohm; 1.3 and 1.5 times a baseline of 1,500 ohm; 0.6 of it; a quarter; and the impedance at which
20 mA of 300 us at 40 Hz stand under so little of 25 cm2 that they pass 150 uA/cm2, worked out by hand."""


# What takes longer than a few readings


@cache
def two_minutes() -> Stage:
    """Read 1,500 ohm in the first minute and 1,660 in the second, until the third is about to be told."""
    stage = on_plateau(*(1_500,) * 20)

    def contact() -> Contact:
        assert stage.session is not None
        return stage.session.channels[0].contact

    while len(contact().minutes) < 2:
        stage = read(stage, 1_660 if contact().medians and len(contact().minutes) == 1 else 1_500)
    while contact().bucket or stage.now.mono_ms - contact().minutes[-1][0] < 59_000:
        stage = read(stage, 1_660)
    return stage


def drier(stage: Stage, what: Happening, after: Station) -> int | None:
    """Give by how much a third minute's reading has come above the mark of 1,826 ohm."""
    if not isinstance(what.event, Heard) or stage.session is None or after.session is None:
        return None
    before, now = (session.channels[0].contact.minutes for session in (stage.session, after.session))
    return now[-1][1] - 1_826 if len(now) == 3 and before != now else None


DRYING: Final = Slice(
    "skin dries",
    """A pad that dries by a tenth in a minute, twice, to the ohm: 1,500, 1,660, then 1,826 or 1,827. From the last
    reading of the third minute on, up to three ticks of 100 ms, what the clinician may still do, and what not: what
    only holds goes on, and nothing rises.""",
    lambda: tuple(read(two_minutes(), *(ohm,) * 9) for ohm in (1_826, 1_827)),
    {
        **{f"reads {ohm}": (m.tick(100), felt(ohm)) for ohm in (1_826, 1_827)}, "tick": m.tick(100),
        "raise": m.adjust(1_000), "pause": m.PAUSE, "lower": m.adjust(-1_000),
    },
    Keep(skin=True), prompt=False, depth=3, scope=only(Phase.RUNNING),
    edges=(Edge("a pad that dries", "M12", 0, drier, HOLD, after=True),),
    quick=False,
)  # fmt: skip

RIGHT: Final = Montage(Region.THIGH, Side.RIGHT, Region.THIGH, Side.RIGHT, 80)


def twins(ohm: int) -> Stage:
    """Let a pair on the right read this, and its twin on the left 1,500 ohm, until that has lasted for 10 s."""
    plans = (
        plan(ua=20_000, max_ua=21_000, twin=2),
        plan(ua=20_000, max_ua=21_000, channel=2, site="right-quadriceps", montage=RIGHT, twin=1),
    )
    stage = playing(5, rx(*plans, programme=LONG))
    for _ in range(111):
        stage = then(stage, m.tick(100), m.word(sample={"fresh": True, "ohm": ohm}), m.RENEW)
        past = stage.session.channels[1].contact.past if stage.session else None
        if past and past.uneven_ms and stage.now.mono_ms - past.uneven_ms >= 9_900:
            break
    return stage


def uneven_for(stage: Stage, what: Happening) -> int | None:
    """Give for how long a pair has differed from its twin, at a tick."""
    since_ms = stage.session.channels[1].contact.past.uneven_ms if stage.session else 0
    return at(stage, what) - since_ms if since_ms and running(stage, what) and not stage.station.holds else None


def uneven_by(stage: Stage, what: Happening) -> int | None:
    """Give how much more than 1.6 times as much as its twin a pair reads, at a tick after more than 10 s of it."""
    medians = stage.session.channels[1].contact.medians if stage.session else ()
    lasted = stage.session is not None and stage.session.course.played_ms + what.ms > 11_600
    return medians[-1][1] - 2_400 if medians and lasted and running(stage, what) else None


TWINS: Final = Slice(
    "twins",
    """A pair of pads that reads 1.6 times as much as its twin on the other side, or an ohm more, for 10 s and a
    millisecond more; then what the clinician may still do. Two channels of 20 mA; from 0.1 s before the 10 s are over,
    up to four ticks of 100 ms, and ticks a millisecond late.""",
    lambda: (twins(2_401), twins(2_400)),
    {
        **{
            f"reads {ohm}": (m.tick(100), m.word(sample={"fresh": True, "ohm": ohm}), m.RENEW)
            for ohm in (2_400, 2_401)
        },
        "tick": m.tick(100), "late": m.tick(101), "raise": m.adjust(1_000), "pause": m.PAUSE,
    },
    Keep(skin=True), prompt=False, depth=4, scope=both(only(Phase.RUNNING), on_the_beat),
    edges=(
        Edge("uneven for 10 s", "M15", 10_000, uneven_for, HOLD),
        Edge("uneven by more than 1.6", "M15", 0, uneven_by, HOLD),
    ),
    quick=False,
)  # fmt: skip


def mean(stage: Stage, what: Happening) -> int | None:
    """Give the mean imbalance, rounded up, of the second that this word ends."""
    found = last_sample(stage, what)
    since_ms, total_ppm, count, _ = found[1].contact.balance if found else (0, 0, 0, 0)
    return -(-total_ppm // count) if count and at(stage, what) - since_ms >= 1_000 else None


BALANCE: Final = Slice(
    "balance",
    """Two phases whose charges differ by 2 %, or a millionth more, in every order over two seconds: at each tick of
    100 ms on a plateau one of the two is measured.""",
    lambda: (playing(6, rx(plan(ua=20_000, max_ua=21_000), programme=LONG)),),
    {
        f"differs by {ppm}": (m.tick(100), felt(1_500, imbalance_ppm=ppm), m.RENEW) for ppm in (20_000, 20_001)
    },
    Keep(skin=True), prompt=False, depth=22, scope=only(Phase.RUNNING),
    edges=(Edge("phases that differ", "M16", 20_000, mean, LOCK),),
    quick=False,
)  # fmt: skip


# The check of the skin


def probes(stage: Stage, what: Happening) -> tuple[int, ...]:
    """Give the three test readings of a check, where this is the last of them and no check was before it."""
    waiting, session, event = stage.station.waiting, stage.session, what.event
    last = waiting is not None and len(waiting.channels) == 1 and isinstance(event, Probed)
    if not last or session is None or not isinstance(event, Probed):
        return ()
    return (*(session.readings[0].ohms if session.readings else ()), event.ohm)


def low(stage: Stage, what: Happening) -> int | None:
    """Give by how much the lowest of three steady test readings is below 300 ohm."""
    ohms = probes(stage, what)
    return 300 - min(ohms) if ohms and max(ohms) < 360 else None


def high(stage: Stage, what: Happening) -> int | None:
    """Give by how much the highest of three steady test readings is above 3 kohm."""
    ohms = probes(stage, what)
    return max(ohms) - 3_000 if ohms and min(ohms) >= 2_600 and not known(stage) else None


def spread(stage: Stage, what: Happening) -> int | None:
    """Give by how much three test readings from 1,500 ohm on lie further apart than a fifth."""
    ohms = probes(stage, what)
    return max(ohms) - 1_800 if ohms and min(ohms) == 1_500 else None


def known(stage: Stage) -> int:
    """Give what the last sound check of this session has read."""
    return stage.session.settings[0].check_ohm if stage.session else 0


def risen(stage: Stage, what: Happening) -> int | None:
    """Give by how much three equal test readings lie above twice the last check's 1,400 ohm."""
    ohms = probes(stage, what)
    return max(ohms) - 2_800 if ohms and known(stage) == 1_400 and max(ohms) == min(ohms) else None


def checked(*ohms: int) -> tuple[Move, ...]:
    """Measure the skin, with these readings."""
    return (m.CHECK, m.committed(), *(m.probed(ohm) for ohm in ohms))


CHECKS: Final = Slice(
    "checks",
    """The check before a session: every three test readings out of 299, 300, 1,500, 1,800, 1,801, 3,000 and 3,001 ohm,
    in every order, and an arming after each; then, after a first check of 1,400 ohm, twice as much, and an ohm more.
    One channel of 25 cm2.""",
    lambda: (
        then(walked_up(idle(short(), policy=QUICK_RAMP), m.prepare(0), m.TRY, m.ANSWER), m.CHECK, m.committed()),
        then(walked_up(idle(short(), policy=QUICK_RAMP), m.prepare(0), m.TRY, m.ANSWER), *checked(*(1_400,) * 3)),
    ),
    {
        **{f"reads {ohm}": m.probed(ohm) for ohm in (299, 300, 1_500, 1_800, 1_801, 3_000, 3_001)},
        "arm": m.ARM, "again": checked(2_800, 2_800, 2_800), "again over": checked(2_801, 2_801, 2_801),
    },
    prompt=False, depth=4, scope=lambda stage: stage.station.waiting is None or not stage.station.waiting.entry,
    edges=(
        Edge("a check reads low", "G20", 0, low),
        Edge("a check reads high", "G20", 0, high),
        Edge("a check spreads", "G20", 0, spread),
        Edge("a check has risen", "G20", 0, risen),
    ),
    quick=False,
)  # fmt: skip


def found_back(stage: Stage, what: Happening) -> int | None:
    """Give by how much a check after a pause by a rule of the skin reads above half of the way back."""
    if not asks(stage, what, Verb.RESUME, Phase.PAUSED) or stage.session is None or stage.station.latches:
        return None
    return max(stage.session.readings[0].ohms) - 1_875 if stage.session.readings else None


BACK: Final = Slice(
    "pad found back",
    """A pause by a jump of the skin's reading, cleared by whoever may; then checks that find the pad half of the way
    back, or an ohm further, or no check; and what a resume is told. Up to four happenings in a row; the claim is
    kept.""",
    lambda: (walked_up(read(on_plateau(*(1_500,) * 12), 1_900), m.ANSWER, m.RENEW),),
    {
        "clear": m.clear("physio"), "resume": m.RESUME, "answer": m.word(),
        "check": checked(1_875, 1_875, 1_875), "check over": checked(1_876, 1_876, 1_876),
    },
    prompt=False, depth=4, scope=few(1),
    edges=(Edge("a pad found back", "M10", 0, found_back),),
    quick=False,
)  # fmt: skip

SLICES: Final = (*READINGS, DRYING, TWINS, BALANCE, CHECKS, BACK)
