"""safety/machine.py: what a tick does not say any more, and a rest in which an electrode is measured."""

from __future__ import annotations

import pytest
from rig import (
    CAPS,
    OFF,
    ArmSession,
    Check,
    IdealDevice,
    Modality,
    Phase,
    Programme,
    Release,
    Rig,
    Sensation,
    config,
    on_the_way,
    plan,
    replace,
    rx,
    standing,
)

from safety.effects import Answer, Ask, Drive, Effect, Event, Feed, Grant, Note, Probe, Silence, Tell
from safety.permits import probe_train
from safety.times import Times
from safety.verdict import Reason, Severity

SLOW = Times(keep_alive_ms=300, ack_ms=100, grant_ms=400, silence_pause_ms=600, dead_man_ms=600)
"""A device that is fed so seldom that an idle one would be asked in between."""


def ticked(rig: Rig, ms: int = 50) -> tuple[Effect, ...]:
    """Let one tick pass; gives the effects of its own step."""
    mark = len(rig.steps)
    rig.tick(ms=ms)
    return rig.steps[mark][1]


def in_a_rest() -> Rig:
    """Into the first rest of a session of 12 mA, on a device whose pulses show an electrode from 15 mA on.

    The device has obeyed the picture without current, and answers nothing more.
    """
    caps = replace(CAPS, numeric_impedance=False, electrode_flag_from_ua=15_000, reprobe=True)
    shape = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
    )
    rig = Rig(device=IdealDevice(caps=caps))
    rig.running(rx(plan(ua=12_000), programme=shape, sensation=Sensation.S1), ticks=80)
    assert [effect.picture for effect in rig.steps[-2][1] if isinstance(effect, Drive)] == [OFF]
    rig.answering = False
    return rig


# What is over


@pytest.mark.rule("G03")
@pytest.mark.hazard("H40")
@pytest.mark.parametrize(("over_ms", "kinds"), [(0, [Feed]), (1, [Silence, Tell, Tell, Note])])
def test_a_device_that_was_armed_and_not_started_is_stopped_and_not_fed_in_the_same_breath(
    over_ms: int, kinds: list[type[Effect]]
) -> None:
    rig = standing(Phase.ARMED)
    rig.tick(3)
    session = rig.station.session
    armed_ms = rig.mono_ms + 50 - session.limits.arm_to_start_ms - over_ms
    rig.station = rig.station._replace(session=session._replace(course=session.course._replace(armed_ms=armed_ms)))
    assert rig.mono_ms + 50 - rig.station.beat.sent_ms == rig.config.times.keep_alive_ms
    assert [type(effect) for effect in ticked(rig)] == kinds


@pytest.mark.rule("M05")
@pytest.mark.hazard("H40")
def test_the_tick_that_ends_an_abandoned_session_asks_its_device_nothing() -> None:
    rig = standing(Phase.PREPARED)
    rig.must(Release())
    effects = ticked(rig, 250)
    assert rig.mono_ms - rig.station.beat.sent_ms >= 200
    assert [type(effect) for effect in effects] == [Tell, Tell, Note]
    assert (rig.phase, rig.station.session) == (Phase.IDLE, None)
    assert ticked(rig) == (Ask(),)


@pytest.mark.rule("M04")
@pytest.mark.hazard("H40")
def test_a_device_that_is_asked_how_it_is_owes_no_answer_to_the_frame_before() -> None:
    rig = on_the_way(Phase.PREPARED, Check(()))
    probe = rig.station.beat.unanswered
    for _ in range(10):
        assert ticked(rig) == ()
        rig.hear()
    assert rig.station.beat.unanswered == probe > 0
    answer, *sent = ticked(rig)
    assert (answer.message.code, sent) == ("DEV.LOST", [Ask()])
    assert (rig.phase, rig.station.beat.unanswered) == (Phase.PREPARED, 0)


@pytest.mark.rule("M04")
@pytest.mark.hazard("H40")
def test_a_wish_that_waits_for_the_device_is_never_the_journals_to_give_up_however_late_the_tick() -> None:
    rig = on_the_way(Phase.PREPARED, ArmSession())
    command = rig.station.waiting.command
    rig.station = rig.station._replace(waiting=rig.station.waiting._replace(since_ms=rig.mono_ms + 50 - 5_001))
    effects = ticked(rig)
    why = (Reason("", Severity.REFUSE, "DEV.LOST"),)
    assert Tell(Answer(command=command, status="failed", code="DEV.LOST", reasons=why)) in effects
    lost = Reason("M04", Severity.STOP, "DEV.LOST", 0, 5_001, 500, "ms")
    assert [e.message.reasons for e in effects if isinstance(e, Tell) and isinstance(e.message, Event)] == [(lost,)] * 2
    assert rig.phase is Phase.UNCERTAIN


# What is armed


@pytest.mark.rule("M04")
@pytest.mark.hazard("H40")
def test_an_armed_device_is_fed_and_not_asked_however_seldom_it_wants_to_be_fed() -> None:
    rig = Rig(replace(config(), times=SLOW)).armed()
    assert rig.station.beat.sent_ms == rig.mono_ms
    assert [ticked(rig) for _ in range(5)] == [()] * 5
    assert [type(effect) for effect in ticked(rig)] == [Feed]


@pytest.mark.rule("M25")
@pytest.mark.hazard("H40")
def test_a_loop_that_has_not_ticked_yet_is_not_late() -> None:
    rig = standing(Phase.ARMED)
    rig.station = rig.station._replace(beat=rig.station.beat._replace(tick_ms=0))
    assert (ticked(rig), rig.phase, rig.station.beat.tick_ms) == ((), Phase.ARMED, rig.mono_ms)


# A rest


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04")
def test_a_rest_begins_with_one_test_pulse_and_nothing_is_sent_until_it_is_answered() -> None:
    rig = in_a_rest()
    before, number, session = rig.station.beat, rig.station.tally.next_id, rig.station.session
    effects = ticked(rig)
    assert effects == (Probe(Grant(session.permit.id, number, rig.mono_ms + 200), probe_train(session, 1)),)
    assert rig.station.beat == before._replace(tick_ms=rig.mono_ms, sent_ms=rig.mono_ms, unanswered=number)
    assert [reading.asked for reading in rig.station.session.readings] == [number]
    for _ in range(9):
        assert not [effect for effect in ticked(rig) if not isinstance(effect, Tell)]
    assert rig.station.beat.unanswered == number
