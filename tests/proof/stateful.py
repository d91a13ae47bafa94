"""The same events and the same oracle under Hypothesis, which shrinks what it finds to the shortest way there.

python -m tests.proof.stateful
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from safety.state import Phase as Standing
from tests.proof import stage as moves
from tests.proof.search import WORST, Meter, patients
from tests.proof.stage import Move, next_answer
from tests.safety.parts import config

SEEN: Counter[str] = Counter()
"""Steps, and steps with current flowing, of all examples so far."""
UP: Final[dict[Standing, tuple[Move, ...]]] = {
    Standing.ARMED: (moves.START,),
    Standing.PAUSED: (moves.CHECK, moves.RESUME),
    Standing.CALIBRATING: (moves.press(1_000),),
    Standing.RUNNING: (moves.adjust(1_000),),
}
"""The next steps up from a phase."""
PATIENT: Final = st.integers(0, len(patients()) - 1)
QUICK: Final = (25, 30)
LONG: Final = (1_000, 60)
"""Examples, and rules in each."""


class Clinic(RuleBasedStateMachine):
    """A station whose steps Hypothesis chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = moves.begin(config(), patients())
        self.meter = Meter()

    def take(self, move: Move | None, *, answered: bool) -> None:
        """Let something happen, with the answers that the outside owes to it, and have both judges look."""
        what = move(self.stage) if move else None
        while what is not None:
            self.stage, judged, done = self.stage.after(what)
            faults = [*judged.faults, *self.meter.look(self.stage, what, done.effects)]
            SEEN.update(steps=1, flowing=bool(self.meter.picture.trains))
            assert not faults, faults
            answer = next_answer(self.stage, done.effects) if answered else None
            what = answer(self.stage) if answer else None

    @rule(name=st.sampled_from(sorted(WORST)), answered=st.booleans())
    def attack(self, name: str, answered: bool) -> None:
        """Do the worst."""
        self.take(WORST[name], answered=answered)

    @initialize(patient=PATIENT)
    def begin(self, patient: int) -> None:
        """Begin with a session that runs."""
        self.take(moves.up({}), answered=True)
        self.rise(patient, calibrates=False)

    @rule(patient=PATIENT, calibrates=st.booleans())
    def onward(self, patient: int, calibrates: bool) -> None:
        """Help the session on its way."""
        self.rise(patient, calibrates=calibrates)

    def rise(self, patient: int, *, calibrates: bool) -> None:
        """Settle what stands, then go up as far as it goes."""
        self.take(moves.up({}) if self.stage.station.device is None else moves.ANSWER, answered=True)
        self.take(moves.CLAIM, answered=True)
        for role in ("biomed", "prescriber") * len(self.stage.station.latches):
            self.take(moves.clear(role), answered=True)
        steps = {
            **UP,
            Standing.IDLE: (moves.prepare(patient),),
            Standing.PREPARED: (moves.TRY, moves.ANSWER, moves.CHECK, moves.CAL_BEGIN if calibrates else moves.ARM),
        }
        for _ in range(3):
            for move in steps.get(self.stage.station.phase, ()):
                self.take(move, answered=True)

    @rule(count=st.integers(1, 40), ms=st.sampled_from((49, 50, 51, 100)), answered=st.booleans())
    def wait(self, count: int, ms: int, answered: bool) -> None:
        """Let time pass."""
        for number in range(count if answered else min(count, 4)):
            self.take(moves.tick(ms), answered=answered)
            self.take(moves.RENEW if number % 20 == 0 else None, answered=answered)


def play(examples: int, rules: int) -> None:
    """Let Hypothesis play; raises the shortest way to whatever was wrong."""
    profile = settings(
        max_examples=examples, stateful_step_count=rules, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    run_state_machine_as_test(Clinic, settings=profile)


def run(quick: bool) -> dict[str, object]:
    """Let Hypothesis play; gives the figures, and whether they hold."""
    examples, rules = QUICK if quick else LONG
    began, found = time.monotonic(), ""
    SEEN.clear()
    try:
        play(examples, rules)
    except AssertionError as error:
        found = f"{error} {getattr(error, '__notes__', '')}"
    figures: dict[str, object] = {
        "examples": examples, "steps": SEEN["steps"], "flowing": round(SEEN["flowing"] / max(1, SEEN["steps"]), 3),
        "finding": found, "seconds": round(time.monotonic() - began, 1), "ok": not found,
    }  # fmt: skip
    print(
        f"stateful: {examples} examples, {SEEN['steps']:,} steps, {figures['flowing']:.0%} of them with current flowing"
    )
    return figures


if __name__ == "__main__":
    raise SystemExit(0 if run(quick=False)["ok"] else 1)
