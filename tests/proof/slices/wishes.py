"""People and the journal: what can be asked, what moves a set-point, and what a line or a service that goes leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from safety.messages import Adjust, Asked, Claim, Command, Start, Stop
from safety.state import Phase
from tests.proof import stage as m
from tests.proof.slices.parts import (
    DAILY,
    GO,
    JOURNAL,
    QUICK_RAMP,
    ROLES,
    SHORT,
    at,
    both,
    few,
    idle,
    on_the_beat,
    only,
    short,
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import config

WISHES: Final = Slice(
    "wishes",
    """Everything that people can ask in any phase but a calibration, and how the journal answers. One channel, a second
    of therapy; the device answers at once, honestly; ticks of 100 ms; wishes also stale, retained, blind, of others, of
    every role. Not beyond one latch.""",
    lambda: (idle(short(), policy=QUICK_RAMP),),
    {
        **DAILY, **ROLES, **JOURNAL,
        "tick": m.tick(100),
        "renew": m.RENEW,
        "release": m.RELEASE,
        "claim other": m.wish(Claim(), principal="physio-2"),
        "start other": m.wish(Start(), principal="physio-2"),
        "stop other": m.wish(Stop(), principal="physio-2", role="nobody", issued_wall_ms=0, retained=True),
        "start stale": m.wish(Start(), issued_wall_ms=lambda now: now - 3_001),
        "start early": m.wish(Start(), issued_wall_ms=lambda now: now + 2_001),
        "start retained": m.wish(Start(), retained=True),
        "start blind": m.wish(Start(), expect={"state_version": None}),
        "start past": m.wish(Start(), expect={"state_version": 0}),
        "clear in silence": m.clear("biomed", reason="  "),
    },
    scope=few(1),
    quick=False,
)  # fmt: skip


# The set-point


def wished(stage: Stage, what: Happening) -> Command | None:
    """Give a wish to raise that nothing but its own size or its own time speaks against: on the plateau, and alone."""
    event, session = what.event, stage.session
    if not isinstance(event, Asked) or not isinstance(event.command.wish, Adjust) or session is None:
        return None
    setting, channel, alone = session.settings[0], session.channels[0], stage.station.waiting is None
    plateau = channel.train is not None and channel.train.ua == setting.setpoint_ua
    fits = event.command.wish.channel == 1 and event.command.wish.delta_ua > 0
    return event.command if fits and plateau and alone and stage.station.phase is Phase.RUNNING else None


def too_far(stage: Stage, what: Happening) -> int | None:
    """Give by how much a set-point would rise, where it may."""
    command, session = wished(stage, what), stage.session
    if command is None or session is None or at(stage, what) - session.settings[0].raised_ms < 501:
        return None
    return command.wish.delta_ua if isinstance(command.wish, Adjust) else None


def too_soon(stage: Stage, what: Happening) -> int | None:
    """Give by how much a rise of 1 mA comes too early."""
    command, session = wished(stage, what), stage.session
    if command is None or session is None or command.wish != Adjust(1, 1_000):
        return None
    return 500 - (at(stage, what) - session.settings[0].raised_ms)


def over_window(stage: Stage, what: Happening) -> int | None:
    """Give by how much a rise would pass the prescribed window of 21 mA."""
    command, session = wished(stage, what), stage.session
    if command is None or session is None or not isinstance(command.wish, Adjust):
        return None
    return session.settings[0].setpoint_ua + command.wish.delta_ua


def lowered(delta_ua: int, **changes: object) -> Move:
    """Lower a set-point, once: from 20 mA and above."""

    def what(stage: Stage) -> Adjust | None:
        high = stage.session is not None and stage.session.settings[0].setpoint_ua >= 20_000
        return Adjust(1, delta_ua) if high else None

    return m.wish(what, **changes)


LONGER: Final = replace(SHORT, on_ms=1_500, therapy_ms=1_500)
SETPOINT: Final = Slice(
    "set-point",
    """Every way to move a set-point: up, too far up, too soon, over the window, down, and while the journal has not
    answered yet. One channel of 20 mA, a second and a half of therapy from where the ramp has just left zero; at most
    2 mA a second up, one step of 15 mA down; ticks of 100 ms, and a wish between two of them; an honest device. While
    it runs.""",
    lambda: (
        walked_up(idle(short(LONGER), policy=QUICK_RAMP | {"rise_ua_per_s": 2_000}), *GO, *[m.tick(100)] * 4),
    ),
    {
        "tick": m.tick(100), "raise": m.adjust(1_000), "raise too far": m.adjust(1_001),
        "raise soon": m.adjust(1_000, ms=99), "raise over": m.adjust(1), "raise other": m.adjust(1_000, principal="p2"),
        "raise stale": m.adjust(1_000, issued_wall_ms=lambda now: now - 3_001),
        "lower": lowered(-15_000), "lower other": lowered(-15_000, principal="physio-2"),
        "nothing": m.adjust(0), "lower all": m.adjust(-21_000), "raise foreign": m.wish(Adjust(7, 1_000)),
        "committed": m.committed(), "denied": m.denied(),
    },
    scope=both(only(Phase.RUNNING), on_the_beat),
    edges=(
        Edge("a rise of 1 mA", "G18", 1_000, too_far),
        Edge("a rise within half a second", "G18", 0, too_soon),
        Edge("a rise over the window", "G08", 21_000, over_window),
    ),
    quick=False,
)  # fmt: skip


# The line and the service

LINE: Final = Slice(
    "line",
    """The line comes and goes, the service is killed and starts again, at every point of the way up and of a second of
    therapy. Ticks of 100 ms; device and people are honest; latches are cleared by whoever may; a device of another kind
    comes, too. Not beyond one latch.""",
    lambda: (m.begin(config(QUICK_RAMP, QUICK_RAMP), (short(),)),),
    {
        "up": m.up({}), "up other": m.up({"model": "toaster"}), "down": m.down, "crash": m.crash, "claim": m.CLAIM,
        "prepare": m.prepare(0), "try": m.TRY, "check": m.CHECK, "arm": m.ARM, "start": m.START, "resume": m.RESUME,
        "committed": m.committed(), "tick": m.tick(100), "clear": m.clear("prescriber"), "maintain": m.clear("biomed"),
        "answer": m.ANSWER,
    },
    scope=few(1),
    quick=False,
)  # fmt: skip

SLICES: Final = (WISHES, SETPOINT, LINE)
