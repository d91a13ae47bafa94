"""The search finds nothing in the shipped heart, and finds each defect that is planted into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safety import facts, machine, turn, wishes
from safety.effects import Silence
from safety.messages import Committed, PatientStop
from safety.rules import monitor, pulse
from safety.verdict import MAY_CLEAR
from tests.proof import search
from tests.proof.search import FLOW, QUICK_STEPS, WORST

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40"), pytest.mark.timeout(600)]

Patch = pytest.MonkeyPatch


@pytest.mark.hazard("H08")
@pytest.mark.hazard("H19")
def test_nothing_gets_more_out_than_is_allowed() -> None:
    haul = search.search(QUICK_STEPS)
    assert haul.findings == []
    assert haul.seen["steps"] == QUICK_STEPS
    assert haul.seen["flowing"] >= FLOW * QUICK_STEPS
    assert {"running", "paused", "calibrating", "uncertain", "armed"} <= set(haul.seen)


def test_the_figures_say_whether_they_hold(capsys: pytest.CaptureFixture[str], monkeypatch: Patch) -> None:
    monkeypatch.setattr(search, "FLOW", 2)
    figures = search.run(quick=True, steps=500)
    assert (figures["steps"], figures["ok"], figures["findings"]) == (500, False, [])
    assert "500 steps" in capsys.readouterr().out


def without(name: str) -> Callable[[Patch], None]:
    """Leave a rule out of everything that is asked at a tick."""

    def plant(monkeypatch: Patch) -> None:
        for table in ("TICK", "TICK_ARMED", "TICK_PAUSED"):
            rules = tuple(rule for rule in getattr(monitor, table) if rule.__name__ != name)
            monkeypatch.setattr(monitor, table, rules)

    return plant


def believes_any_commit(monkeypatch: Patch) -> None:
    """Take any word of the journal for the one that is waited for."""
    shipped = facts.committed

    def committed(turn: turn.Turn, event: Committed) -> None:
        waiting = turn.station.waiting
        shipped(turn, Committed(waiting.entry) if waiting is not None and waiting.entry else event)

    monkeypatch.setitem(machine.HANDLERS, Committed, committed)


def caps_one_more(monkeypatch: Patch) -> None:
    """Allow 1 uA more than the cap."""
    shipped = pulse.cap_ua
    monkeypatch.setattr(pulse, "cap_ua", lambda lane: shipped(lane) + 1)


def anybody_clears(monkeypatch: Patch) -> None:
    """Let an auditor clear every latch."""
    for clear in MAY_CLEAR:
        monkeypatch.setitem(MAY_CLEAR, clear, frozenset({"auditor", "physio", "prescriber", "biomed"}))


def deaf_to_the_patient(monkeypatch: Patch) -> None:
    """Hear the patient's button, and do nothing."""
    monkeypatch.setitem(machine.HANDLERS, PatientStop, lambda turn, event: None)


def stops_softly(monkeypatch: Patch) -> None:
    """Pause without telling the device."""
    shipped = turn.Turn.pause

    def pause(self: turn.Turn, *args: object) -> None:
        shipped(self, *args)  # type: ignore[arg-type]
        self.effects[:] = [effect for effect in self.effects if not isinstance(effect, Silence)]

    monkeypatch.setattr(turn.Turn, "pause", pause)


def anybody_starts(monkeypatch: Patch) -> None:
    """Let everybody start a session that somebody else has claimed."""
    monkeypatch.setattr(wishes, "UNCLAIMED", frozenset(wishes.OBEY) | wishes.UNCLAIMED)


def counts_half(monkeypatch: Patch) -> None:
    """Charge a session half of what was applied."""
    shipped = turn.charged

    def charged(channel: object, measured: int | None) -> object:
        dose = shipped(channel, measured)  # type: ignore[arg-type]
        return type(dose)(nc=dose.nc // 2, i2t=dose.i2t, on_ms=dose.on_ms)

    monkeypatch.setattr(turn, "charged", charged)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        pytest.param(without("m03"), "M03", id="no ramp line"),
        pytest.param(without("m02"), "M02", id="no pulse rules"),
        pytest.param(without("m05"), "M05", id="no claim"),
        pytest.param(without("m25"), "M25", id="no loop"),
        pytest.param(believes_any_commit, "durable", id="no durable permit"),
        pytest.param(caps_one_more, "effective cap", id="one more than the cap"),
        pytest.param(anybody_clears, "who may not", id="anybody clears"),
        pytest.param(deaf_to_the_patient, "stop", id="deaf to the patient"),
        pytest.param(stops_softly, "first thing", id="stops softly"),
        pytest.param(anybody_starts, "unclaimed", id="anybody starts"),
        pytest.param(counts_half, "charged less", id="counts half"),
    ],
)
def test_a_planted_defect_is_found(plant: Callable[[Patch], None], said: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    haul = search.search(200_000, seed=1_000, processes=1)
    assert [finding for finding in haul.findings if any(said in fault for fault in finding.faults)]


def test_the_adversary_has_every_kind_of_weapon() -> None:
    kinds = {name.split()[0] for name in WORST}
    assert {"late", "wall", "picture", "device", "crash", "committed", "denied", "stale", "clear", "gone"} <= kinds
