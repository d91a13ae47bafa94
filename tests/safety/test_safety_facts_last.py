"""safety/facts.py: what a word of the device says first, what it leaves alone, and what a rest begins anew."""

from __future__ import annotations

import pytest
from rig import CAPS, Check, IdealDevice, Pause, Phase, Resume, Rig, only, plan, replace, rx, standing

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


# What a stop that had to be repeated costs


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize(
    ("tries", "outcome", "readback", "is_charged"),
    [(2, "", False, True), (1, "", False, False), (2, "stopped", False, False), (2, "", True, False)],
)
def test_only_a_pause_that_was_repeated_on_a_device_that_counts_nothing_is_charged_more(
    tries: int, outcome: str, *, readback: bool, is_charged: bool
) -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=readback))).plateau()
    rig.must(Pause())
    before = rig.station.session.channels
    turn = Turn(
        rig.station._replace(stopping=Stopping(rig.mono_ms - 50, tries, False, False, outcome, "", "")), rig.now
    )
    facts.confirm(turn)
    nc, i2t, on_ms = before[0].spent
    more = (nc + 3 * 12_600, i2t + 3 * 252_000_000_000, on_ms + 50) if is_charged else before[0].spent
    assert turn.station.session.channels == (before[0]._replace(spent=more),)


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
def test_a_stop_without_a_session_is_confirmed_and_costs_nobody_anything() -> None:
    rig = Rig(device=IdealDevice(caps=replace(CAPS, readback=False))).prepared()
    stopping = Stopping(rig.mono_ms - 50, 2, False, False, "", "", "")
    turn = Turn(rig.station._replace(stopping=stopping, session=None, phase=Phase.IDLE), rig.now)
    facts.confirm(turn)
    assert (turn.station.session, turn.station.stopping) == (None, None)
    assert [effect.message.kind for effect in turn.effects] == ["stop.confirmed"]
