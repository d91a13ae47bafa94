"""Everything that a device can say, late, lost, or wrong; and each bound of what it may say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from safety.messages import DeviceState, Flaw, Garbled, Heard
from safety.state import Phase
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.slices.parts import (
    DAILY,
    QUICK_RAMP,
    READY,
    few,
    idle,
    last_sample,
    playing,
    short,
    then,
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import CAPS

PAUSE, STOP, LOCK = Severity.PAUSE, Severity.STOP, Severity.LOCK

LIES: Final[dict[str, Move]] = {
    "answer": m.word(),
    "unasked": m.word(stale=True),
    **{f"says {state}": m.word(state=state) for state in DeviceState},
    "button": m.word(button=True),
    "press": m.word(presses=lambda n: n + 1),
    "reset": m.word(boot=9),
    "runs back": m.word(uptime_ms=lambda ms: ms - 100_000),
    "supply low": m.word(supply_mv=10_799),
    "supply gone": m.word(supply_mv=9_719),
    "open": m.word(sample={"open": True, "fresh": True}),
    "short": m.word(sample={"short": True, "fresh": True}),
    "over": m.word(sample={"measured_ua": lambda ua: ua * 2 + 3_000, "fresh": True}),
    "stray": m.word(sample={"measured_ua": 2_001, "fresh": True}),
    "echo": m.word(sample={"ua": lambda ua: ua + 1}),
    "clipped": m.word(sample={"clipped": 3, "fresh": True}),
    **{f"{flaw} mine": m.garbled(flaw, mine=True) for flaw in Flaw},
    "damaged": m.garbled(Flaw.DAMAGED, mine=False),
}
LINE: Final = {"down": m.down, "up": m.up({}), "up other": m.up({"model": "toaster"})}

PLAYS: Final = Slice(
    "device plays",
    """Everything that a device can say while it plays: up to three happenings in a row, in every order, from the second
    tick of a plateau on, whose frame it has not answered. Words honest, unasked, and with one thing wrong each; noise,
    refusals, silence; the line lost and found; ticks of 100 ms; a pause, a stop, a resume. Not beyond two latches.""",
    lambda: (then(playing(7), m.tick(100)),),
    {
        **LIES, **LINE, "tick": m.tick(100), "pause": m.PAUSE, "stop": m.STOP, "resume": m.RESUME,
        "clear": m.clear("biomed"), "patient": m.PRESS,
    },
    prompt=False, depth=3, scope=few(2), quick=False,
)  # fmt: skip


def stood() -> tuple[Stage, ...]:
    """Give a stage of each place on the way up and down at which a device can speak."""
    station = idle(short(), policy=QUICK_RAMP)
    prepared, ready = walked_up(station, m.prepare(0)), walked_up(station, *READY)
    armed = walked_up(ready, m.ARM)
    paused = then(playing(7), m.PAUSE)
    calibrating = walked_up(ready, m.CAL_BEGIN)
    return (
        station, prepared, then(prepared, m.CHECK), then(prepared, m.CHECK, m.committed()), ready,
        then(ready, m.ARM), then(ready, m.ARM, m.committed()), armed, paused, walked_up(paused, m.ANSWER),
        then(walked_up(paused, m.ANSWER), m.RESUME), then(playing(7), m.STOP), then(calibrating, m.PAUSE), calibrating,
        walked_up(calibrating, m.tick(100), m.press(1_000), *[m.tick(100)] * 6),
        then(ready, m.CAL_BEGIN, m.committed()),
    )  # fmt: skip


STANDS: Final = Slice(
    "device stands",
    """Everything that a device can say where it does not play: up to two happenings in a row, in every order, from each
    of sixteen places of the way up and down (standing by, prepared, waiting for the journal, measuring, arming, armed,
    paused and not confirmed, paused, arming again, uncertain, calibrating, under a burst). The device's words as in
    the slice above, with test pulses measured, and with the journal's and the clinician's next words.""",
    stood,
    {
        **LIES, **LINE, **DAILY, "tick": m.tick(100), "clear": m.clear("biomed"), "clear lock": m.clear("prescriber"),
        "committed": m.committed(), "probed": m.probed(1_500), "probed wrong": m.probed(1_500, wrong=True),
        "probed open": m.probed(9_000, is_open=True), "press": m.press(0), "try": m.TRY,
    },
    prompt=False, depth=2, quick=False,
)  # fmt: skip


# The bounds of each word


def word_of(figure: Callable[[Stage, Heard], int | None]) -> Callable[[Stage, Happening], int | None]:
    """Read a figure off the device's word while it plays."""

    def read(stage: Stage, what: Happening) -> int | None:
        plays = stage.station.phase is Phase.RUNNING and stage.station.device is not None
        return figure(stage, what.event) if plays and isinstance(what.event, Heard) else None

    return read


def sample_of(name: str, sign: int = 1, *, twice: int | None = None) -> Callable[[Stage, Happening], int | None]:
    """Read a field off the last channel's readback; `twice`: where the one before it was odd, too (0 over, 1 short)."""

    def read(stage: Stage, what: Happening) -> int | None:
        found = last_sample(stage, what)
        odd = {number: counts for number, *counts in stage.ghost.odd}.get(1, [0, 0])
        if found is None or not found[0].fresh or (twice is not None and odd[twice] != 1):
            return None
        stands = found[1].train is not None and found[1].train.ua == 20_000
        value = getattr(found[0], name) if stands or name != "measured_ua" else None
        return sign * value if value is not None else None

    return read


def flaws(stage: Stage, what: Happening) -> int | None:
    """Count the flaws of the last second, this one too, of those that are not judged by themselves."""
    if not isinstance(what.event, Garbled) or what.event.flaw is not Flaw.DAMAGED:
        return None
    now_ms = stage.now.mono_ms + what.ms
    return 1 + sum(now_ms - at < 1_000 for at in stage.station.beat.flaws)


def back(stage: Stage, event: Heard) -> int | None:
    """Give by how much the device's clock ran back."""
    device = stage.station.device
    return device.status.uptime_ms - event.status.uptime_ms if device else None


def pressed(stage: Stage, event: Heard) -> int | None:
    """Count the presses since the last word."""
    device = stage.station.device
    return event.status.presses - device.status.presses if device else None


def echoed(stage: Stage, what: Happening) -> int | None:
    """Give by how much the echo of the current differs from what was sent."""
    found = last_sample(stage, what)
    return abs(found[0].ua - found[1].train.ua) if found and found[1].train else None


def stray(stage: Stage, what: Happening) -> int | None:
    """Give what flows where nothing was granted."""
    still = stage.station.phase in (Phase.PAUSED, Phase.PREPARED, Phase.IDLE) and stage.station.stopping is None
    event = what.event
    return event.samples[-1].measured_ua if still and isinstance(event, Heard) and event.samples else None


def fresh(**sample: object) -> Move:
    """Let the device answer with a new pulse, bent."""
    return m.word(sample={"fresh": True, **sample})


FEELING: Final = replace(CAPS, temperature=True)
BOUNDS: Final = Slice(
    "device bounds",
    """Each bound of what a device may say, on it and one unit past it: up to three happenings in a row, from a plateau,
    from a pause, and from a ramp: its supply, its clock, its button, its echo, its current, shorts and opens, clipping,
    warmth, and flaws. A device that feels the skin's temperature.""",
    lambda: (
        playing(7, caps=FEELING), walked_up(playing(7, caps=FEELING), m.PAUSE), playing(2, caps=FEELING),
    ),
    {
        "tick": m.tick(100), "answer": m.word(),
        **{f"supply {mv}": m.word(supply_mv=mv) for mv in (9_719, 9_720, 10_799, 10_800)},
        **{f"supply {mv}": m.word(supply_mv=mv) for mv in (13_200, 13_201, 14_520, 14_521)},
        "one back": m.word(uptime_ms=lambda ms: ms - 1), "press": m.word(presses=lambda n: n + 1),
        "echo": m.word(sample={"ua": lambda ua: ua + 1}),
        **{f"measures {ua}": fresh(measured_ua=ua) for ua in (2_000, 2_001, 9_999, 10_000, 22_200, 22_201)},
        **{f"reads {ohm}": fresh(ohm=ohm) for ohm in (99, 100, 8_000, 8_001)},
        **{f"clipped {pulses}": fresh(clipped=pulses) for pulses in (2, 3, 9, 10)},
        **{f"warm {mdeg}": fresh(skin_mdeg=mdeg) for mdeg in (37_999, 38_000, 39_999, 40_000, 40_999, 41_000)},
        "damaged": m.garbled(Flaw.DAMAGED, mine=False), "damaged later": m.garbled(Flaw.DAMAGED, mine=False, ms=100),
    },
    prompt=False, depth=3,
    scope=lambda stage: stage.station.phase in (Phase.RUNNING, Phase.PAUSED) and few(1)(stage),
    edges=(
        Edge("supply low", "M28", -10_800, word_of(lambda _, event: -event.status.supply_mv), PAUSE),
        Edge("supply gone", "M28", -9_720, word_of(lambda _, event: -event.status.supply_mv), STOP),
        Edge("supply high", "M28", 13_200, word_of(lambda _, event: event.status.supply_mv), PAUSE),
        Edge("supply wild", "M28", 14_520, word_of(lambda _, event: event.status.supply_mv), STOP),
        Edge("a clock that runs back", "M30", 0, word_of(back), STOP),
        Edge("a press", "M23", 0, word_of(pressed), STOP),
        Edge("an echo", "M27", 0, echoed, LOCK),
        Edge("too much current, twice", "M01", 22_200, sample_of("measured_ua", twice=0), LOCK),
        Edge("half of the current", "M07", -10_000, sample_of("measured_ua", -1), STOP),
        Edge("a short, twice", "M08", -100, sample_of("ohm", -1, twice=1), LOCK),
        Edge("an open", "M07", 8_000, sample_of("ohm"), STOP),
        Edge("clipping holds", "M14", 2, sample_of("clipped"), Severity.HOLD),
        Edge("clipping pauses", "M14", 9, sample_of("clipped"), PAUSE),
        Edge("warm skin holds", "M22", 37_999, sample_of("skin_mdeg"), Severity.HOLD),
        Edge("warm skin pauses", "M22", 39_999, sample_of("skin_mdeg"), PAUSE),
        Edge("warm skin stops", "M22", 40_999, sample_of("skin_mdeg"), STOP),
        Edge("two flaws in a second", "M26", 1, flaws, PAUSE),
        Edge("three flaws in a second", "M26", 2, flaws, STOP),
        Edge("current that nobody granted", "M29", 2_000, stray, LOCK),
    ),
    quick=False,
)  # fmt: skip

SLICES: Final = (PLAYS, STANDS, BOUNDS)
