"""A calibration: its button, its bursts above 20 mA, and the thresholds."""

from __future__ import annotations

from typing import Final

from safety.messages import CalibrationStep, Threshold, Verb
from safety.state import Phase, Trial
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.slices.parts import QUICK_RAMP, READY, asks, at, both, few, idle, only, short, walked_up
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice

PAUSE: Final = Severity.PAUSE
BEGUN: Final = (*READY, m.CAL_BEGIN)


def calibrating() -> Stage:
    """Start a calibration of one channel, at zero, a second after it was begun."""
    return walked_up(idle(short(), policy=QUICK_RAMP | {"rise_ua_per_s": 2_000}), *BEGUN, *[m.tick(100)] * 10)


def level_ua(stage: Stage) -> int:
    """Give what the button stands for."""
    return max((setting.setpoint_ua for setting in stage.session.settings), default=0) if stage.session else 0


def pushed(delta_ua: int, most_ua: int, **changes: object) -> Move:
    """Press the button, while it stands for less than this."""
    return lambda stage: (
        m.press(delta_ua, **changes)(stage)
        if stage.station.phase is not Phase.CALIBRATING or level_ua(stage) < most_ua
        else None
    )


def trial_of(stage: Stage, what: Happening, *, flows: bool | None = None, rises: bool | None = None) -> Trial | None:
    """Give the calibration that a press is about: one that flows or does not, one that rises or does not."""
    if not asks(stage, what, Verb.CAL_STEP, Phase.CALIBRATING) or stage.session is None:
        return None
    trial, wish = stage.session.trial, what.event.command.wish  # type: ignore[union-attr]
    if trial is None or not isinstance(wish, CalibrationStep) or wish.delta_ua < 0:
        return None
    wrong = (flows is not None and flows is not bool(trial.began_ms)) or (
        rises is not None and rises is not bool(wish.delta_ua)
    )
    return None if wrong else trial


def let_go_for(stage: Stage, what: Happening) -> int | None:
    """Give by how much a burst would begin before the button was up for a second."""
    trial = trial_of(stage, what, flows=False)
    return 1_000 - (at(stage, what) - trial.held_ms) if trial and trial.held_ms else None


def pressed_by(stage: Stage, what: Happening) -> int | None:
    """Give by how much a press raises, a second after the last."""
    trial = trial_of(stage, what, rises=True)
    if trial is None or stage.session is None or at(stage, what) - stage.session.settings[0].raised_ms < 501:
        return None
    return what.event.command.wish.delta_ua  # type: ignore[union-attr]


def pressed_soon(stage: Stage, what: Happening) -> int | None:
    """Give by how much a press of 1 mA comes too early."""
    trial = trial_of(stage, what, rises=True)
    if trial is None or stage.session is None or what.event.command.wish != CalibrationStep(1_000):  # type: ignore[union-attr]
        return None
    return 500 - (at(stage, what) - stage.session.settings[0].raised_ms)


def on_its_way(stage: Stage, what: Happening) -> int | None:
    """Give for how long a renewal of the button was under way."""
    if trial_of(stage, what, flows=True, rises=False) is None:
        return None
    return stage.now.wall_ms + what.ms - what.event.command.issued_wall_ms  # type: ignore[union-attr]


HALF: Final = [m.tick(100)] * 5
"""Half a second."""


def on_the_half(stage: Stage) -> bool:
    """Walk on at whole half seconds: what comes between two of them is judged, and ends there."""
    return stage.now.mono_ms % 500 == 0 and not stage.station.holds


BUTTON: Final = Slice(
    "button",
    """The button of a calibration, up to 2 mA: pressed, held, renewed late, let go, lowered, pressed too far and too
    soon; a picture above it; its end, the patient's stop. From zero, without thresholds; half seconds of ticks of
    100 ms, and wishes a millisecond before their end; an honest device. While it calibrates, no hold standing.""",
    lambda: (calibrating(),),
    {
        "press": pushed(1_000, 1_500), "too far": pushed(1_001, 1_500), "hold": m.press(0),
        "less": m.press(-1_000), "ticks": (*HALF, m.RENEW), "end": m.CAL_END, "patient": m.PRESS,
        "hold soon": (*HALF[1:], m.press(0, ms=99)), "press soon": (*HALF[1:], pushed(1_000, 1_500, ms=99)),
        "hold old": m.press(0, issued_wall_ms=lambda now: now - 999),
        "hold too old": m.press(0, issued_wall_ms=lambda now: now - 1_000),
        "over": m.twisted(100, m.TWISTS["above"]),
    },
    scope=both(only(Phase.CALIBRATING), on_the_half, few(0)),
    edges=(
        Edge("a button let go for a second", "G19", 0, let_go_for),
        Edge("a press of 1 mA", "G18", 1_000, pressed_by),
        Edge("a press within half a second", "G18", 0, pressed_soon),
        Edge("a renewal under way", "G02", 999, on_its_way),
    ),
    quick=False,
)  # fmt: skip


# Above 20 mA


REST: Final = [*[m.tick(100)] * 20, m.RENEW]
"""Two seconds in which the button is up, the claim kept."""


def risen_to(ua: int) -> Stage:
    """Search upwards, a burst for each step of 1 mA, to this level; then let go for six seconds."""
    stage = calibrating()
    while level_ua(stage) < ua:
        stage = walked_up(stage, m.press(min(1_000, ua - level_ua(stage))), *REST)
    return walked_up(stage, *REST, *REST)


def at_level(move: Move, *levels: int) -> Move:
    """Let this happen where the button stands for one of these."""
    return lambda stage: move(stage) if level_ua(stage) in levels else None


def apart(stage: Stage, what: Happening) -> int | None:
    """Give by how much a loud burst would begin before four seconds of rest are over."""
    trial = trial_of(stage, what, flows=False)
    held = trial is not None and at(stage, what) - trial.held_ms < 1_000
    return 4_000 - (at(stage, what) - trial.ended_ms) if trial and trial.is_loud and not held else None


def across(stage: Stage, what: Happening) -> int | None:
    """Give to what a burst that began at 20 mA or less would rise."""
    trial = trial_of(stage, what, flows=True, rises=True)
    right = trial is not None and not trial.is_loud
    return level_ua(stage) + what.event.command.wish.delta_ua if right else None  # type: ignore[union-attr]


LOUD: Final = Slice(
    "above 20 mA",
    """Bursts about 20 mA: begun at 19.5 mA and pushed to 20 mA or a unit over, or begun above it; held to their end,
    two seconds or three; and the rest of four seconds after a loud one, and a millisecond less. Half seconds of ticks
    of 100 ms, and wishes a millisecond before their end; an honest device. While it calibrates, no hold standing.""",
    lambda: (risen_to(19_500),),
    {
        "press": at_level(m.press(500), 19_500, 20_000), "a unit": at_level(m.press(1), 20_000),
        "over": at_level(m.press(501), 19_500), "hold": m.press(0), "hold soon": (*HALF[1:], m.press(0, ms=99)),
        "ticks": (*HALF, m.RENEW), "less": at_level(m.press(-1_000), 20_500, 20_001),
    },
    scope=both(only(Phase.CALIBRATING), on_the_half, few(0)),
    edges=(
        Edge("loud bursts apart", "G19", 0, apart),
        Edge("a burst that grows loud", "G19", 20_000, across),
    ),
    quick=False,
)  # fmt: skip


# The thresholds


def lowered_to(ua: int) -> Move:
    """Ask for less, down to this level."""
    return lambda stage: m.press(ua - level_ua(stage))(stage) if level_ua(stage) > ua else None


def raised_to(ua: int) -> Move:
    """Press the button, up to this level."""
    return lambda stage: m.press(max(0, ua - level_ua(stage)))(stage)


def burst(ua: int) -> tuple[Move, ...]:
    """Let the button go for a second, then hold it at this level until the current has stood there."""
    wait = *[m.tick(100)] * 10, m.RENEW
    return *wait, lowered_to(ua), raised_to(ua), *HALF, m.press(0), *[m.tick(100)] * 5


THRESHOLDS: Final = Slice(
    "thresholds",
    """The thresholds of one channel, each twice: marked where the current has stood (1 mA; 1.3 mA, which is too far
    from it) and where it has not, in their order and out of it, found absent; and what a calibration leaves at its end,
    whole and broken off. Bursts of a second, a second apart; an honest device. While it calibrates.""",
    lambda: (calibrating(),),
    {
        **{str(threshold): m.mark(threshold) for threshold in Threshold},
        **{f"no {threshold}": m.mark(threshold, absent=True) for threshold in Threshold},
        "burst": burst(1_000), "burst spread": burst(1_300), "end": m.CAL_END,
    },
    scope=only(Phase.CALIBRATING),
    quick=False,
)  # fmt: skip

SLICES: Final = (BUTTON, LOUD, THRESHOLDS)
