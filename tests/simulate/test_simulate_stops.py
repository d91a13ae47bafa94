"""A stimulator that answers a stop and goes on: only silence on its line ends what flows."""

from __future__ import annotations

import pytest

from controller import station
from controller.devices.sciencemode2 import ScienceMode2Driver
from controller.virtual import make, staff
from hil.simulate.clinic import play
from tests.simulate.small import AT_MS, ask, clinic, fault

pytestmark = [pytest.mark.rule("M29"), pytest.mark.hazard("H10")]


def broken(kind: str) -> set[str]:
    """The invariants that are broken where stops are answered and ignored for long."""
    schedule = clinic(fault("ignored_stop", 9_000), ask(AT_MS + 30, "stop"), kind=kind, open_ms=30_000)
    return {violation.invariant for violation in play(schedule, make, staff).violations}


@pytest.mark.parametrize("kind", ["native", "sciencemode4", "sciencemode2"])
def test_a_stop_that_is_not_obeyed_ends_in_the_dead_man(kind: str) -> None:
    assert broken(kind) == set()


def test_a_line_that_is_opened_again_at_once_feeds_the_dead_man(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "LET_GO_S", 0.0)
    assert broken("sciencemode2") != set()


def test_an_answer_that_is_taken_for_obedience_feeds_the_dead_man(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = ScienceMode2Driver.silence

    def trusting(driver: ScienceMode2Driver, *, cut: bool) -> None:
        silence(driver, cut=cut)
        driver._stopping = False

    monkeypatch.setattr(ScienceMode2Driver, "silence", trusting)
    assert broken("sciencemode2") != set()
