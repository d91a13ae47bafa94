"""A device that cannot see its electrodes while it plays: where it may be used, and what it measures between trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from safety.limits import Modality, Sensation
from safety.messages import Probed
from safety.prescription import Programme
from safety.state import Phase
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.slices.parts import (
    GO,
    QUICK_RAMP,
    asked_for,
    at,
    both,
    few,
    idle,
    on_the_beat,
    only,
    running,
    then,
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import CAPS, plan, rx

PAUSE, STOP, LOCK = Severity.PAUSE, Severity.STOP, Severity.LOCK

BLIND: Final = replace(CAPS, numeric_impedance=False, electrode_flag_from_ua=30_000, reprobe=True)
STEADY: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=2_000, ramp_down_ms=0, off_ms=0, therapy_ms=2_000
)
RESTING: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=500, ramp_down_ms=0, off_ms=1_000, therapy_ms=4_000
)
LASTING: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=59_300, ramp_down_ms=0, off_ms=10_000, therapy_ms=69_800
)


def flag_from(stage: Stage, what: Happening) -> int | None:
    """Give how far the session's 20 mA are below what the device's electrode flag needs, where nothing else helps."""
    device = stage.station.device
    if device is None or asked_for(stage, what) != "steady" or device.caps.electrode_flag_from_ua is None:
        return None
    return device.caps.electrode_flag_from_ua - 20_000


def flagged(*, ua: int | None, reprobe: bool) -> Stage:
    """Make a station whose device says from this current on that an electrode is off, and cannot measure."""
    caps = replace(CAPS, numeric_impedance=False, electrode_flag_from_ua=ua, reprobe=reprobe)
    rxs = [
        rx(plan(ua=20_000, max_ua=21_000), programme=shape, sensation=sense, id=name)
        for name, shape, sense in (
            ("steady", STEADY, Sensation.S1), ("resting", RESTING, Sensation.S1), ("felt", STEADY, Sensation.S0)
        )
    ]  # fmt: skip
    return idle(*rxs, policy=QUICK_RAMP, caps=caps)


SEEING: Final = Slice(
    "seeing",
    """A device without numbers of its electrodes, whose flag speaks from 20 mA on, or a unit above, or never; with and
    without test pulses between trains; and the sessions prepared on it: with rests and without, for skin that feels and
    skin that does not.""",
    lambda: (*(flagged(ua=ua, reprobe=r) for ua in (20_000, 20_001, None) for r in (False, True)),),
    {name: m.prepare(index) for index, name in enumerate(("steady", "resting", "felt"))},
    depth=1,
    edges=(Edge("a flag that speaks", "G29", 0, flag_from),),
)


# Between trains


def reprobed(ohm: int, *, is_open: bool = False, short: bool = False) -> Move:
    """Let a test pulse between trains be measured."""

    def move(stage: Stage) -> Happening | None:
        readings = stage.session.readings if stage.session else ()
        asked = next((r for r in readings if r.asked), None)
        return Happening(Probed(asked.asked, asked.channel, ohm, is_open, short)) if asked else None

    return move


def pulse(stage: Stage, what: Happening) -> int | None:
    """Give what a test pulse between trains has measured."""
    runs = stage.station.phase is Phase.RUNNING
    clean = isinstance(what.event, Probed) and not (what.event.open or what.event.short)
    return what.event.ohm if runs and clean and isinstance(what.event, Probed) else None


def below(figure: Callable[[Stage, Happening], int | None]) -> Callable[[Stage, Happening], int | None]:
    """Turn a figure round."""

    def turned(stage: Stage, what: Happening) -> int | None:
        value = figure(stage, what)
        return None if value is None else -value

    return turned


BETWEEN: Final = Slice(
    "between trains",
    """Test pulses in the rests of a session whose pulses do not show the electrode: measured as they should be, on each
    bound and an ohm past it, open, short, or not at all. Skin that feels less; 0.5 s of ramp, 0.5 s of plateau, 1 s of
    rest, twice; ticks of 100 ms. Two channels. Not beyond one latch.""",
    lambda: (
        walked_up(idle(rx(plan(ua=20_000, max_ua=21_000), programme=RESTING, sensation=Sensation.S1),
                       policy=QUICK_RAMP, caps=BLIND), *GO, *[m.tick(100)] * 8),
    ),
    {
        "tick": m.tick(100), "answer": m.word(stale=True), "renew": m.RENEW,
        **{f"measures {ohm}": reprobed(ohm) for ohm in (99, 100, 1_500, 1_950, 1_951, 4_000, 4_001, 8_000, 8_001)},
        "measures open": reprobed(1_500, is_open=True), "measures short": reprobed(1_500, short=True),
    },
    scope=both(few(0), only(Phase.RUNNING)),
    edges=(
        Edge("between trains: open", "M07", 8_000, pulse, STOP),
        Edge("between trains: short", "M08", -100, below(pulse), LOCK),
        Edge("between trains: poor", "M09", 4_000, pulse, PAUSE),
        Edge("between trains: peeling", "M10", 1_950, pulse, PAUSE),
    ),
    quick=False,
)  # fmt: skip


def unseen() -> Stage:
    """Let a train flow for 59.9 s that does not show its electrode; the test pulse in the rest is not answered."""
    what = rx(plan(ua=20_000, max_ua=21_000), programme=LASTING, sensation=Sensation.S1)
    stage = walked_up(idle(what, policy=QUICK_RAMP, caps=BLIND), *GO)
    began_ms = stage.now.mono_ms
    while stage.now.mono_ms - began_ms < 59_900:
        stage = then(stage, m.tick(100), m.word(), m.RENEW)
    return stage


def unseen_for(stage: Stage, what: Happening) -> int | None:
    """Give for how long an electrode was not seen, at a tick."""
    right = stage.session is not None and running(stage, what)
    return at(stage, what) - stage.session.readings[0].seen_ms if right and stage.session else None


UNSEEN: Final = Slice(
    "unseen",
    """An electrode that was not seen for a minute, or a millisecond more: up to four happenings in a row from 0.1 s
    before, the test pulse answered or not; ticks of 100 ms and a millisecond late.""",
    lambda: (unseen(),),
    {
        "tick": m.tick(100), "late": m.tick(101), "answer": m.word(), "measures": reprobed(1_500), "pause": m.PAUSE,
        "renew": m.RENEW,
    },
    prompt=False, depth=4, scope=both(only(Phase.RUNNING), on_the_beat),
    edges=(Edge("unseen for a minute", "G29", 60_000, unseen_for, PAUSE),),
    quick=False,
)  # fmt: skip

SLICES: Final = (SEEING, BETWEEN, UNSEEN)
