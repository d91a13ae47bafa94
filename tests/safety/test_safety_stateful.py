"""Hypothesis plays clinic, adversary and device against `step`, and shrinks what it finds."""

from __future__ import annotations

import pytest

from safety.effects import Silence
from safety.turn import Turn
from tests.proof import stateful

pytestmark = [pytest.mark.rule("X5"), pytest.mark.hazard("H40"), pytest.mark.timeout(300)]


def test_no_play_breaks_an_invariant() -> None:
    stateful.SEEN.clear()
    stateful.play(*stateful.QUICK)
    assert stateful.SEEN["flowing"] * 10 > stateful.SEEN["steps"]


def test_a_play_finds_a_stop_that_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Turn.stop

    def stop(self: Turn, *args: object, **more: object) -> None:
        shipped(self, *args, **more)  # type: ignore[arg-type]
        self.effects[:] = [effect for effect in self.effects if not isinstance(effect, Silence)]

    monkeypatch.setattr(Turn, "stop", stop)
    found = stateful.run(quick=True)
    assert not found["ok"]
    assert "a stop is not the first thing that is done" in str(found["finding"])
