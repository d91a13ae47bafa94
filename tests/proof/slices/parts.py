"""What the slices are made of: short programmes, stages that were walked up, and what an edge measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from safety.limits import Modality
from safety.messages import Asked, Capabilities, Heard, Prepare, Sample, Tick, Verb
from safety.prescription import Prescription, Programme
from safety.state import Channel, Phase
from tests.proof import stage as m
from tests.proof.stage import Happening, Move, Stage
from tests.safety.parts import CAPS, config, plan, rx

SHORT: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=1_000, ramp_down_ms=0, off_ms=0, therapy_ms=1_000
)
"""One second of continuous current: ten ticks of 100 ms, half of them ramp."""
LONG: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=400_000, ramp_down_ms=0, off_ms=0, therapy_ms=400_000
)
QUICK_RAMP: Final = {"ramp_ms": 500}


def walked_up(stage: Stage, *names: Move) -> Stage:
    """Take these moves, with all honest answers; each must be judged sound."""
    for move in names:
        what = move(stage)
        while what is not None:
            stage, judged, done = stage.after(what)
            if judged.faults:
                raise AssertionError(judged.faults)
            answer = m.next_answer(stage, done.effects)
            what = answer(stage) if answer else None
    return stage


def then(stage: Stage, *names: Move) -> Stage:
    """Take these moves and nothing else: nobody answers."""
    for move in names:
        what = move(stage)
        if what is not None:
            stage = stage.after(what)[0]
    return stage


def idle(*rxs: Prescription, policy: dict[str, int] | None = None, caps: Capabilities = CAPS) -> Stage:
    """Make a claimed station whose device stands by."""
    return walked_up(m.begin(config(policy, policy), rxs, caps), m.up({}), m.CLAIM)


READY: Final = (m.prepare(0), m.TRY, m.ANSWER, m.CHECK)
GO: Final = (*READY, m.ARM, m.START)
ROLES: Final = {f"clear {role}": m.clear(role) for role in ("auditor", "physio", "prescriber", "biomed")}
JOURNAL: Final = {"committed": m.committed(), "denied": m.denied(), "committed wrong": m.committed(wrong=True)}
DAILY: Final = {
    "claim": m.CLAIM, "prepare": m.prepare(0), "check": m.CHECK, "arm": m.ARM, "start": m.START, "pause": m.PAUSE,
    "resume": m.RESUME, "stop": m.STOP, "patient": m.PRESS,
}  # fmt: skip


def short(programme: Programme = SHORT, **changes: object) -> Prescription:
    """Prescribe one second at 20 mA, in a window up to 21 mA."""
    return rx(plan(ua=20_000, max_ua=21_000), programme=programme, **changes)


def playing(ticks: int = 7, *rxs: Prescription, caps: Capabilities = CAPS, **policy: int) -> Stage:
    """Start so many ticks of 100 ms after a session has begun to run."""
    return walked_up(idle(*(rxs or (short(),)), policy=QUICK_RAMP | policy, caps=caps), *GO, *[m.tick(100)] * ticks)


# Which stages are walked on from


def few(most: int) -> Callable[[Stage], bool]:
    """Walk on while no more than so many latches stand."""
    return lambda stage: len(stage.station.latches) <= most


def only(*phases: Phase) -> Callable[[Stage], bool]:
    """Walk on in these phases."""
    return lambda stage: stage.station.phase in phases


def on_the_beat(stage: Stage) -> bool:
    """Walk on where the time is a whole number of ticks: what comes between two of them is judged, and ends there."""
    return stage.now.mono_ms % 100 == 0


def both(*scopes: Callable[[Stage], bool]) -> Callable[[Stage], bool]:
    """Walk on where all of these do."""
    return lambda stage: all(scope(stage) for scope in scopes)


# What an edge measures


def running(stage: Stage, what: Happening) -> bool:
    """Tell whether this is a tick of a session that runs."""
    return stage.station.phase is Phase.RUNNING and isinstance(what.event, Tick)


def asks(stage: Stage, what: Happening, verb: Verb, phase: Phase) -> bool:
    """Tell whether this is a wish of whoever holds the device, in this phase, with none on its way and no stop."""
    station = stage.station
    if not isinstance(what.event, Asked) or station.holder is None or station.stopping is not None:
        return False
    command, held = what.event.command, at(stage, what) <= station.holder.expires_ms
    mine = held and command.principal == station.holder.principal
    return mine and command.verb is verb and station.phase is phase and station.waiting is None


def at(stage: Stage, what: Happening) -> int:
    """Give when this happens, on the boot clock."""
    return stage.now.mono_ms + what.ms


def asked_for(stage: Stage, what: Happening) -> str:
    """Name the prescription that a wish to prepare asks for, while nothing has been prepared."""
    if not asks(stage, what, Verb.PREPARE, Phase.IDLE) or not isinstance(what.event, Asked):
        return ""
    wish = what.event.command.wish
    return wish.rx.id if isinstance(wish, Prepare) and wish.rx is not None and not stage.station.latches else ""


def last_sample(stage: Stage, what: Happening) -> tuple[Sample, Channel] | None:
    """Give what the device says of the last channel while it flows, and what is known of that channel."""
    event, session = what.event, stage.session
    if not isinstance(event, Heard) or session is None or stage.station.phase is not Phase.RUNNING:
        return None
    channel = session.channels[-1]
    awake = event.status.state.value == "running" and event.grant in (0, stage.station.beat.unanswered)
    return (event.samples[-1], channel) if event.samples and channel.train and awake else None
