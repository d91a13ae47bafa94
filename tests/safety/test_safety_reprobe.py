"""safety/reprobe.py: an electrode that its pulses cannot show is measured in the rests, on a device that can."""

from __future__ import annotations

import pytest
from button import at_level, hold, rest
from rig import (
    CAPS,
    OFF,
    Check,
    IdealDevice,
    Modality,
    Pause,
    Phase,
    Programme,
    Resume,
    Rig,
    Sensation,
    plan,
    replace,
    rx,
    standing,
)

from safety import reprobe
from safety.effects import Drive, Feed, Probe
from safety.impedance import UNSENSED
from safety.messages import Adjust, Flaw, Garbled, Heard, Probed
from safety.rules import skin
from safety.rules.views import Skin, Watch
from safety.turn import Turn
from safety.verdict import Severity

pytestmark = [pytest.mark.rule("G29"), pytest.mark.hazard("H04"), pytest.mark.hazard("H05")]

LOW = {"numeric_impedance": False, "electrode_flag_from_ua": 15_000, "reprobe": True}
CYCLE = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=120_000
)


def quiet(*plans: object, programme: Programme = CYCLE, sensation: Sensation = Sensation.S1) -> object:
    """A session of 12 mA, which a flag from 15 mA on does not see."""
    return rx(*(plans or (plan(ua=12_000),)), programme=programme, sensation=sensation)  # type: ignore[arg-type]


def rig_of(**caps: object) -> Rig:
    return Rig(device=IdealDevice(caps=replace(CAPS, **(LOW | caps))))


def probes(rig: Rig) -> list[Probe]:
    return [effect for effect in rig.log if isinstance(effect, Probe)]


def resting(**caps: object) -> Rig:
    """Into the first rest, the test pulse not answered yet."""
    rig = rig_of(**caps).running(quiet())
    rig.answering = True
    while not rig.station.beat.picture.trains:
        rig.tick()
    while rig.station.beat.picture.trains:
        rig.tick()
    rig.answering = False
    before = len(probes(rig))
    while len(probes(rig)) == before:
        rig.tick()
        rig.give(Heard(rig.device.grant, rig.device.status(rig.mono_ms), ())) if len(probes(rig)) == before else None
    return rig


def test_each_rest_has_one_test_pulse_inside_the_sessions_permit():
    rig = rig_of().running(quiet())
    checks = len(probes(rig))
    rig.tick(600)
    pulses = probes(rig)[checks:]
    assert len(pulses) == 3
    permit = rig.station.session.permit
    assert {pulse.grant.permit for pulse in pulses} == {permit.id}
    assert {(pulse.train.ua, pulse.train.channel) for pulse in pulses} == {(1_000, 1)}
    assert (rig.phase, rig.latched()) == (Phase.RUNNING, [])
    for index, effect in enumerate(rig.log):
        if isinstance(effect, Probe) and effect in pulses:
            assert [e.picture for e in rig.log[:index] if isinstance(e, Drive)][-1] == OFF


@pytest.mark.rule("M18")
def test_a_test_pulse_is_counted():
    rig = resting()
    spent = rig.station.session.channels[0].spent
    assert spent[0] >= rig.device.total_nc[1] + 600


@pytest.mark.parametrize("caps", [{"reprobe": False, "electrode_flag_from_ua": 0}, {"numeric_impedance": True}])
def test_a_device_that_sees_the_electrode_is_not_asked(caps: dict[str, object]):
    rig = rig_of(**caps).running(quiet())
    checks = len(probes(rig))
    rig.tick(300)
    assert len(probes(rig)) == checks


def test_skin_that_feels_is_not_measured_in_rests():
    rig = rig_of().running(quiet(sensation=Sensation.S0))
    checks = len(probes(rig))
    rig.tick(300)
    assert len(probes(rig)) == checks


@pytest.mark.parametrize(
    ("shape", "is_refused"),
    [
        (CYCLE, False),
        (replace(CYCLE, modality=Modality.TENS, off_ms=0, on_ms=100_000), True),
        (replace(CYCLE, modality=Modality.TENS, on_ms=57_999), False),
        (replace(CYCLE, modality=Modality.TENS, on_ms=58_000), True),
    ],
)
def test_a_programme_needs_a_rest_at_least_once_a_minute(shape: Programme, *, is_refused: bool):
    rig = rig_of()
    rig.up()
    view = Skin(
        Rig().prepared().station.session.settings[0]._replace(setpoint_ua=12_000),
        None, rig.config.general, rig.device.caps, quiet(programme=shape), 0, UNSENSED,  # type: ignore[arg-type]
    )  # fmt: skip
    assert (skin.g29(view) is not None) is is_refused


@pytest.mark.rule("M04")
def test_nothing_is_sent_until_the_test_pulse_is_answered_and_silence_is_judged():
    rig = resting()
    sent = len(rig.log)
    rig.tick(9)
    assert not [effect for effect in rig.log[sent:] if isinstance(effect, Drive | Feed | Probe)]
    rig.tick(2)
    assert (rig.latched(), rig.phase) == (["M04"], Phase.PAUSED)


@pytest.mark.parametrize(
    ("ohm", "is_open", "is_short", "rule"),
    [
        (1_500, False, False, ""), (1_950, False, False, ""),
        (1_951, False, False, "M10"), (4_000, False, False, "M10"),
        (4_001, False, False, "M09"), (8_000, False, False, "M09"), (8_001, False, False, "M07"),
        (1_500, True, False, "M07"), (100, False, False, ""), (99, False, False, "M08"), (1_500, False, True, "M08"),
    ],
)  # fmt: skip
def test_what_it_reads_is_judged_as_a_trains_pulses_are(ohm: int, is_open: bool, is_short: bool, rule: str):
    rig = resting()
    grant = probes(rig)[-1].grant.seq
    rig.answering = True
    rig.give(Probed(grant, 1, ohm, is_open, is_short))
    assert rig.latched() == ([rule] if rule else [])
    reading = rig.station.session.readings[0] if rig.station.session else None
    assert reading is None or (reading.asked, reading.seen_ms, reading.ohms) == (0, rig.mono_ms, (1_500,) * 3)
    assert rig.phase is {"": Phase.RUNNING, "M09": Phase.PAUSED, "M10": Phase.PAUSED}.get(rule, Phase.IDLE)


def test_a_stray_answer_is_none():
    rig = resting()
    grant = probes(rig)[-1].grant.seq
    for event in (
        Probed(0, 1, 99, False, True),
        Probed(grant + 1, 1, 99, False, True),
        Probed(grant, 2, 99, False, True),
    ):
        rig.give(event)
    assert (rig.phase, rig.latched(), rig.station.session.readings[0].asked) == (Phase.RUNNING, [], grant)


@pytest.mark.rule("M26")
def test_a_refused_test_pulse_stops():
    rig = resting()
    rig.give(Garbled(Flaw.REFUSED, probes(rig)[-1].grant.seq, "PROBE was refused"))
    assert rig.latched() == ["M26"]


def test_an_electrode_that_was_not_seen_for_a_minute_pauses():
    rig = rig_of().running(quiet(programme=replace(CYCLE, off_ms=6_000)))
    reading = rig.station.session.readings[0]
    rig.tick(30)
    old = reading._replace(seen_ms=rig.mono_ms + 50 - 60_000)
    rig.station = rig.station._replace(session=rig.station.session._replace(readings=(old,)))
    rig.tick()
    assert rig.latched() == []
    rig.tick()
    assert (rig.latched(), rig.phase) == (["G29"], Phase.PAUSED)
    (reason,) = rig.events("session.paused")[-1].reasons
    assert reason == ("G29", Severity.PAUSE, "IMP.BLIND", 1, 60_050, 60_000, "ms")


def test_a_resumed_session_begins_to_count_anew():
    rig = rig_of().running(quiet(), ticks=40)
    rig.must(Pause())
    rig.tick(100)
    rig.must(Check(()))
    rig.must(Resume())
    assert [reading.seen_ms for reading in rig.station.session.readings] == [rig.mono_ms]


def test_a_set_point_that_is_lowered_below_what_can_be_seen_is_noticed():
    rig = rig_of(reprobe=False).plateau(quiet(plan(ua=15_000)))
    rig.must(Adjust(1, -1_000))
    rig.tick(1_300)
    assert rig.latched() == ["G29"]


def test_in_a_calibration_only_its_own_channel_is_measured():
    rig = rig_of().calibrating(quiet(plan(ua=12_000), plan(channel=2, site="right-calf", ua=12_000)))
    checks = len(probes(rig))
    for _ in range(3):
        at_level(rig, 10_000)
        hold(rig, 30)
        rest(rig, 3_000)
    assert {pulse.train.channel for pulse in probes(rig)[checks:]} == {1}
    rest(rig, 300_000)
    assert (rig.phase, rig.latched()) == (Phase.CALIBRATING, [])


@pytest.mark.hazard("H40")
def test_without_a_permit_or_a_device_nothing_is_asked():
    rig = standing(Phase.PREPARED)
    session = rig.station.session
    turn = Turn(rig.station, rig.now)
    reprobe.ask(turn, session, 1)
    assert turn.effects == []
    assert reprobe.due(rig.station._replace(device=None), session, rig.mono_ms) == 0
    assert not reprobe.answered(Turn(rig.station._replace(device=None), rig.now), Probed(1, 1, 1, False, False))
    assert not reprobe.answered(Turn(rig.station, rig.now), Probed(1, 1, 1, False, False))
    assert not reprobe.is_waiting(session)
    running = rig_of().running(quiet())
    watch = Watch(
        running.station._replace(device=None), running.station.session, running.config.general, OFF,
        running.mono_ms + 10**9, running.wall_ms, 50, 0,
    )  # fmt: skip
    assert skin.g29_overdue(watch) is None
    assert skin.g29_overdue(watch._replace(station=running.station)) is not None
