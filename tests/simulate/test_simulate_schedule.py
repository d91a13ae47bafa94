"""Schedules are data: drawn from a seed, written, read, and made smaller."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from controller.virtual import staff
from hil.faults import FAULTS
from hil.simulate.draw import CANNOT, OPEN_MS, draw
from hil.simulate.plan import Act, Schedule, from_json
from hil.simulate.shrink import AFTER_MS, shrunk
from tests.simulate.small import ask, clinic

pytestmark = pytest.mark.hazard("H35")
TIGHTER = staff("ward").tighter


def test_the_same_seed_and_number_give_the_same_clinic_and_others_give_others():
    assert draw(3, 5, TIGHTER) == draw(3, 5, TIGHTER)
    assert len({json.dumps(draw(seed, number, TIGHTER).to_json()) for seed in (3, 4) for number in (5, 6)}) == 4


def test_a_schedule_is_the_same_after_it_was_written_and_read():
    for number in range(5):
        schedule = draw(1, number, TIGHTER)
        assert from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


def test_acts_come_in_order_while_the_clinic_is_open_at_its_beds_and_use_its_prescriptions():
    for number in range(5):
        schedule = draw(1, number, TIGHTER)
        times = [act.at_ms for act in schedule.acts]
        assert times == sorted(times)
        assert times[-1] < schedule.open_ms == OPEN_MS
        assert {act.device for act in schedule.acts} <= {"", *(seat.device for seat in schedule.seats)}
        written = [rx.name for rx in schedule.prescriptions]
        assert len(written) == len(set(written))
        assert {act.of["rx"] for act in schedule.acts if act.kind == "visit"} <= set(written)


def test_every_fault_of_the_table_comes_up_in_twenty_hours_but_those_that_cannot():
    drawn = Counter(
        act.of["fault"] for number in range(80) for act in draw(0, number, TIGHTER).acts if act.kind == "fault"
    )
    assert drawn.keys() == FAULTS.keys() - CANNOT.keys()
    assert min(drawn.values()) >= 3
    assert sum(drawn.values()) > 500


def test_a_schedule_in_words_names_its_beds_prescriptions_and_acts():
    lines = clinic(ask(8_000, "stop")).words()
    assert lines[0] == "seed 7: 22.0 s; beds: bed-1 (native)"
    assert lines[1] == "  rx-1: tens, S0, 16 s, 14000/0 ms, channel 1 20000 of 21500 uA 300 us 25000 us"
    assert lines[2:] == ["      1.0 s  visit at bed-1: rx rx-1", "      8.0 s  ask at bed-1: wish stop"]


def test_shrinking_keeps_exactly_the_acts_that_break_it():
    acts = tuple(ask(1_000 * n, "status", n=n) for n in range(40))
    schedule = clinic(open_ms=50_000)._replace(acts=acts)
    tried: list[Schedule] = []

    def is_broken(schedule: Schedule) -> bool:
        tried.append(schedule)
        return {7, 22} <= {act.of["n"] for act in schedule.acts}

    small = shrunk(schedule, 25_000, is_broken, plays=200)
    assert [act.of["n"] for act in small.acts] == [7, 22]
    assert small.open_ms == 25_000 + AFTER_MS
    assert small.prescriptions == ()
    assert len(tried) < 60


def test_shrinking_ends_after_so_many_plays_with_something_that_is_broken():
    acts = tuple(ask(1_000 * n, "status", n=n) for n in range(40))

    def is_broken(schedule: Schedule) -> bool:
        return sum(act.of["n"] for act in schedule.acts) > 500

    small = shrunk(clinic()._replace(acts=acts), 50_000, is_broken, plays=10)
    assert is_broken(small)
    assert len(small.acts) < 40


def test_what_happens_after_a_violation_is_kept_where_it_matters():
    late = Act(30_000, "bed-1", "button", {"for_ms": 50})
    small = shrunk(clinic(late), 20_000, lambda schedule: late in schedule.acts, plays=20)
    assert small.acts == (late,)
