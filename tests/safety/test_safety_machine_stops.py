"""A stop that is not obeyed, in safety/machine.py: said again, cut, called about, and how UNCERTAIN ends (M29)."""

from __future__ import annotations

import pytest
from rig import (
    ClearLatch,
    Pause,
    Phase,
    Rig,
    Stop,
    standing,
)

from safety.effects import Closing, Effect, Settlement, Silence
from safety.messages import (
    DeviceState,
)
from safety.verdict import Clear, Reason, Scope, Severity


def ticked(rig: Rig, ms: int = 50) -> list[Effect]:
    """Let one tick pass; gives the effects of its own step."""
    mark = len(rig.steps)
    rig.tick(ms=ms)
    return list(rig.steps[mark][1])


def stops(rig: Rig, ticks: int) -> list[tuple[int, bool]]:
    """Let time pass after a stop; gives each further Silence: how many ms after the stop, and whether it cuts."""
    since_ms, found = rig.mono_ms, []
    for _ in range(ticks):
        found += [(rig.mono_ms - since_ms, e.cut) for e in ticked(rig) if isinstance(e, Silence)]
    return found


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H12")
def test_m29_stops_again_at_100_and_200_cuts_at_250_and_calls_at_500() -> None:
    rig = standing(Phase.UNCERTAIN)
    assert stops(rig, 9) == [(100, False), (200, False), (250, True)]
    assert (rig.events("alarm.raised"), rig.latched()) == ([], ["STOP"])
    assert not [effect for effect in ticked(rig) if isinstance(effect, Silence)]
    assert len(rig.events("session.stopped")) == 1
    (alarm,) = rig.events("alarm.raised")
    assert (alarm.priority, alarm.rule, alarm.code) == ("high", "M29", "DEV.STOP_UNCONFIRMED")
    assert alarm.reasons == (Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, 500, 500, "ms"),)
    assert [latch[1:4] for latch in rig.station.latches][1:] == [(Scope.DEVICE, "M29", Clear.MAINTENANCE)]
    assert stops(rig, 40) == []
    assert (rig.phase, len(rig.events("alarm.raised")), rig.notes("close")) == (Phase.UNCERTAIN, 1, [])


@pytest.mark.rule("M29")
def test_m29_goes_by_time_and_not_by_ticks() -> None:
    rig = standing(Phase.UNCERTAIN)
    assert [e for e in ticked(rig, 99) if isinstance(e, Silence)] == []
    assert [e for e in ticked(rig, 1) if isinstance(e, Silence)] == [Silence(cut=False)]
    assert [e for e in ticked(rig, 149) if isinstance(e, Silence)] == [Silence(cut=False)]
    assert [e for e in ticked(rig, 1) if isinstance(e, Silence)] == [Silence(cut=True)]
    rig.tick(ms=249)
    assert rig.events("alarm.raised") == []
    rig.tick(ms=1)
    assert len(rig.events("alarm.raised")) == 1
    late = standing(Phase.UNCERTAIN)
    assert [e for e in ticked(late, 260) if isinstance(e, Silence)] == [Silence(cut=True)]


@pytest.mark.rule("M29")
@pytest.mark.parametrize("after", [1, 4, 5, 9, 10, 60])
def test_uncertain_ends_with_the_devices_word_whenever_it_comes(after: int) -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.tick(after)
    assert (rig.phase, rig.notes("settle")) == (Phase.UNCERTAIN, [])
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=True))
    rig.hear()
    assert (rig.phase, rig.station.session, rig.station.stopping) == (Phase.IDLE, None, None)
    assert [note.evidence for note in rig.notes("settle")] == ["readback"]
    assert rig.events("stop.confirmed")[-1].details == (("waited_ms", after * 50),)
    assert ("M29" in rig.latched()) is (after >= 5)  # a device that had to be cut is locked, whatever it says then
    waited_ms, allowed_ms = (after * 50, 250) if after < 10 else (500, 500)
    reason = Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, waited_ms, allowed_ms, "ms")
    assert [alarm.reasons for alarm in rig.events("alarm.raised")] == ([(reason,)] if after >= 5 else [])


@pytest.mark.rule("M29")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
def test_uncertain_ends_otherwise_only_by_a_maintenance_clear_that_charges_the_reservation() -> None:
    rig = standing(Phase.UNCERTAIN)
    rig.tick(9)
    stop_latch = rig.station.latches[0].id
    assert rig.ask(ClearLatch(stop_latch, "early"), role="biomed").code == "FLT.STANDING"
    rig.tick()
    lock = rig.station.latches[1].id
    assert rig.ask(ClearLatch(stop_latch, "the other"), role="biomed").code == "FLT.STANDING"
    for role in ("physio", "prescriber"):
        assert rig.ask(ClearLatch(lock, "not mine"), role=role).code == "AUTH.ROLE"
    assert (rig.phase, rig.notes("settle")) == (Phase.UNCERTAIN, [])
    rig.must(ClearLatch(lock, "unplugged it"), role="biomed")
    assert rig.notes("settle") == [
        Settlement(session="s-dev1-b1-1", evidence="reservation", charged=(), played_ms=2_250, ua=((1, 20_000),))
    ]
    assert rig.notes("close") == [Closing(session="s-dev1-b1-1", outcome="stopped", rule="STOP")]
    assert (rig.phase, rig.station.stopping, rig.latched()) == (Phase.IDLE, None, ["STOP"])


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_a_pause_that_is_not_obeyed_becomes_a_stop() -> None:
    rig = standing(Phase.RUNNING)
    rig.device.ignores_stop = True
    rig.must(Pause())
    assert stops(rig, 9) == [(100, False), (200, False), (250, True)]
    assert rig.phase is Phase.PAUSED
    assert ticked(rig)[0] == Silence(cut=False)
    assert (rig.phase, rig.latched()) == (Phase.UNCERTAIN, ["M29"])
    assert rig.events("session.stopped")[0].priority == "high"
    assert (rig.station.stopping.outcome, rig.station.stopping.rule) == ("stopped", "M29")


@pytest.mark.rule("M29")
def test_a_pause_that_is_confirmed_waits_for_nobody() -> None:
    rig = standing(Phase.PAUSED)
    assert rig.station.stopping is None
    assert stops(rig, 40) == []
    assert (rig.phase, rig.latched()) == (Phase.PAUSED, [])


@pytest.mark.rule("M29")
def test_an_idle_device_that_had_to_be_cut_is_locked_when_it_has_stopped_and_ends_no_session() -> None:
    rig = standing(Phase.IDLE)
    rig.device.ignores_stop, rig.device.state = True, DeviceState.RUNNING
    rig.must(Stop())
    assert stops(rig, 6) == [(100, False), (200, False), (250, True)]
    rig.device.ignores_stop = False
    rig.device.obey(Silence(cut=True))
    rig.hear()
    assert not [effect for effect in rig.last if isinstance(effect, Silence)]
    assert (rig.phase, rig.station.stopping, rig.latched()) == (Phase.IDLE, None, ["M29"])
    reason = Reason("M29", Severity.LOCK, "DEV.STOP_UNCONFIRMED", 0, 300, 250, "ms")
    assert [alarm.reasons for alarm in rig.events("alarm.raised")] == [(reason,)]
    assert rig.events("session.stopped") == []


@pytest.mark.rule("M29")
def test_an_idle_device_that_ignores_a_stop_is_locked_too() -> None:
    rig = standing(Phase.IDLE)
    rig.device.ignores_stop, rig.device.state = True, DeviceState.RUNNING
    rig.must(Stop())
    assert rig.phase is Phase.IDLE
    assert stops(rig, 10) == [(100, False), (200, False), (250, True)]
    assert (rig.phase, rig.latched()) == (Phase.IDLE, ["M29"])
    rig.must(ClearLatch(rig.station.latches[0].id, "replaced it"), role="biomed")
    assert (rig.station.stopping, rig.latched()) == (None, [])
