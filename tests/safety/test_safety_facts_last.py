"""safety/facts.py: what a word of the device says first, what it leaves alone, and what a rest begins anew."""

from __future__ import annotations

import pytest
from rig import Check, Pause, Phase, Resume, Rig, only, plan, rx, standing

from safety import facts
from safety.messages import DeviceState, Heard
from safety.state import Stopping
from safety.turn import Turn

# What a word says first, and what it leaves alone


@pytest.mark.rule("M07", "M04")
@pytest.mark.hazard("H32")
def test_what_made_a_device_stop_by_itself_is_told_before_that_it_has() -> None:
    rig = Rig().plateau()
    rig.answering = False
    rig.device.changes = {"state": DeviceState.STOPPED}
    rig.device.sample_changes[1] = only(open=True)
    rig.hear()
    (event,) = rig.events("session.stopped")
    assert [(reason.rule, reason.code) for reason in event.reasons] == [("M07", "IMP.OPEN"), ("M04", "DEV.WATCHDOG")]


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_readings_of_a_session_that_does_not_run_are_no_readings_of_its_plateau() -> None:
    rig = standing(Phase.PAUSED)
    before = rig.station.session.channels
    rig.device.sample_changes[1] = only(fresh=True, ohm=2_000, measured_ua=20_000, ua=20_000)
    rig.answering = False
    rig.hear()
    assert rig.station.session.channels == before


@pytest.mark.rule("L08")
@pytest.mark.hazard("H19")
def test_what_the_device_tells_of_a_channel_stands_though_more_was_applied() -> None:
    rig = Rig().running(rx(plan(), plan(channel=4, site="right-calf", pair="b")), ticks=45)
    told_nc = rig.device.total_nc[1] - 1
    rig.device.sample_changes[1] = only(charge_nc=told_nc)
    rig.answering = False
    rig.tick(1)
    rig.ask(Pause())
    rig.answering = True
    samples = tuple(sample for sample in rig.device.samples() if sample.channel == 1)
    rig.give(Heard(0, rig.device.status(rig.mono_ms), samples))
    session = rig.station.session
    assert session.channels[0].spent[0] > told_nc
    assert session.course.seen_nc == (told_nc, rig.device.total_nc[4] + 12_000)


@pytest.mark.rule("M35")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("rest_from_ms", "pulls"), [(0, (2, 5)), (1, (0, 5))])
def test_only_a_rest_that_was_ordered_begins_a_new_set_of_contractions(
    rest_from_ms: int, pulls: tuple[int, int]
) -> None:
    rig = standing(Phase.PAUSED)
    session = rig.station.session
    course = session.course._replace(rest_from_ms=rest_from_ms)
    channels = tuple(channel._replace(pulls=(2, 5)) for channel in session.channels)
    rig.station = rig.station._replace(session=session._replace(course=course, channels=channels))
    rig.must(Check(()))
    rig.must(Resume())
    assert rig.phase is Phase.RUNNING
    assert [channel.pulls for channel in rig.station.session.channels] == [pulls]


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_a_stop_that_is_confirmed_late_where_no_session_is_left_locks_and_stops_nothing_anew() -> None:
    rig = standing(Phase.IDLE)
    stopping = Stopping(rig.mono_ms - 300, 3, True, False, "", "", "reservation")
    turn = Turn(rig.station._replace(stopping=stopping), rig.now)
    facts.confirm(turn)
    assert [type(effect).__name__ for effect in turn.effects].count("Silence") == 0
    assert [latch.rule for latch in turn.station.latches] == ["M29"]
    assert turn.station.stopping is None
