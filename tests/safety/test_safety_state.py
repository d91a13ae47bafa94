"""safety/state.py: what a station begins with, that nobody changes it in place, what a step shares."""

from __future__ import annotations

import copy
import pickle

import pytest
from rig import CAPS, MONO_MS, OFF, WELL, Adjust, IdealDevice, Phase, Rig, Verb, config, replace, standing

from safety import state
from safety.impedance import UNSENSED
from safety.machine import fresh, step
from safety.messages import Asked, Heard, Now, PatientStop, Tick
from safety.state import FRESH, QUIET, RESTED_MS, Beat, Channel, Purpose, Station
from safety.wishes import ALLOWED, EVERYWHERE

pytestmark = pytest.mark.hazard("H40")

GROUPS = (
    state.Device,
    state.Holder,
    state.Reading,
    state.Setting,
    state.Channel,
    state.Course,
    state.Session,
    state.Waiting,
    state.Stopping,
    state.Beat,
    state.Count,
    state.Hold,
    state.Station,
)


def test_the_phases_are_those_of_the_plan_and_each_has_its_wishes() -> None:
    names = "offline idle prepared calibrating armed running paused uncertain"
    assert [phase.value for phase in Phase] == names.split()
    assert set(ALLOWED) == set(Phase)
    assert all(wishes >= EVERYWHERE for wishes in ALLOWED.values())
    assert Verb.STOP in EVERYWHERE
    assert [phase for phase, wishes in ALLOWED.items() if Verb.START in wishes] == [Phase.ARMED]
    assert [phase for phase, wishes in ALLOWED.items() if Verb.RESUME in wishes] == [Phase.PAUSED]


def test_a_wish_waits_for_the_journal_or_for_the_device() -> None:
    assert [purpose.value for purpose in Purpose] == [
        *("check permit", "probes", "arm permit"),
        *("armed", "rise permit", "rearmed"),
        *("trial permit", "trial armed"),
    ]


def test_a_fresh_channel_is_off_unspent_unsensed_and_rested() -> None:
    assert Channel(None, 0, 0, 0, (0, 0, 0), 1_000_000, 0, 0, 0, 1_000_000_000, UNSENSED, (0, 0)) == FRESH
    assert RESTED_MS == 1_000_000_000
    assert Beat(0, 0, 0, 0, OFF, (), 0) == QUIET


def test_nothing_in_a_station_can_be_changed_in_place() -> None:
    station = standing(Phase.RUNNING).station
    groups = {type(station): station}
    parts = [station]
    while parts:
        part = parts.pop()
        if isinstance(part, tuple):
            groups.setdefault(type(part), part)
            parts += part
        assert not isinstance(part, list | dict | set)
    for kind in (Station, state.Device, state.Session, state.Setting, state.Channel, state.Course, state.Beat):
        with pytest.raises(AttributeError):
            setattr(groups[kind], kind._fields[0], None)


def test_a_step_leaves_the_station_that_it_was_given() -> None:
    for phase in (Phase.IDLE, Phase.ARMED, Phase.RUNNING, Phase.PAUSED, Phase.UNCERTAIN):
        rig = standing(phase)
        before, kept = rig.station, copy.deepcopy(rig.station._replace(config=None))
        events = (
            Tick(OFF, 0, WELL),
            PatientStop(),
            Heard(0, rig.device.status(rig.mono_ms), rig.device.samples()),
            Asked(rig.command(Adjust(1, -1_000))),
        )
        for event in events:
            step(before, event, Now(rig.mono_ms + 50, rig.wall_ms + 50))
            assert before._replace(config=None) == kept


@pytest.mark.rule("X9")
def test_the_same_station_event_and_time_give_the_same_step() -> None:
    rig = standing(Phase.RUNNING)
    for event in (Tick(rig.station.beat.picture, 0, WELL), PatientStop(), Heard(0, rig.device.status(5), ())):
        now = Now(rig.mono_ms + 50, rig.wall_ms + 50)
        again = pickle.loads(pickle.dumps(rig.station._replace(config=None)))._replace(config=rig.station.config)  # noqa: S301 - our own
        assert step(again, event, now) == step(rig.station, event, now)


def test_a_quiet_tick_shares_every_group_but_those_that_time_moves() -> None:
    rig = standing(Phase.RUNNING)
    rig.tick()
    before = rig.station
    rig.tick()
    after = rig.station
    shared = [name for name in Station._fields if getattr(before, name) is getattr(after, name)]
    assert set(Station._fields) - set(shared) <= {"session", "beat", "device", "tally", "holder"}
    kept = [name for name in state.Session._fields if getattr(before.session, name) is getattr(after.session, name)]
    assert kept == ["id", "rx", "limits", "settings", "readings", "permit", "care", "papers", "trial"]


def test_a_tick_of_an_idle_station_keeps_all_but_the_beat() -> None:
    rig = standing(Phase.IDLE)
    before = rig.station
    rig.tick()
    changed = [name for name in Station._fields if getattr(before, name) != getattr(rig.station, name)]
    assert changed == ["beat"]
    assert rig.station.beat == before.beat._replace(tick_ms=MONO_MS + 50)


def test_groups_are_small() -> None:
    assert max(len(group._fields) for group in GROUPS) == len(Station._fields) == 13
    assert all(len(group._fields) <= 12 for group in GROUPS if group is not Station)


def test_stations_do_not_know_of_each_other() -> None:
    one, other = Rig(), Rig()
    one.plateau()
    assert other.station == fresh(config())._replace(boot_id="b1", tally=other.station.tally, health=WELL)


def test_what_a_group_does_not_say_is_nothing() -> None:
    assert state.Reading(1, (1_500,), 7) == (1, (1_500,), 7, 0, 0)
    assert state.Setting(None, 20_000, 0) == (None, 20_000, 0, (), 0)
    assert state.Session._field_defaults == {"trial": None}


def test_what_plays_is_the_prescriptions_programme_or_a_calibrations_burst() -> None:
    session = Rig().calibrating().station.session
    assert session.programme is session.trial.shape
    assert session._replace(trial=None).programme is session.rx.programme


@pytest.mark.rule("G28")
@pytest.mark.hazard("H11")
def test_how_long_a_device_goes_on_by_itself_is_its_own_word_or_that_of_its_kind():
    rig = Rig(device=IdealDevice(caps=replace(CAPS, dead_man_ms=430))).prepared()
    assert rig.station.dead_man_ms == 430
    assert rig.station._replace(device=None).dead_man_ms == 500
