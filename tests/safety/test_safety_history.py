"""safety/history.py: the words of the ledger."""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields

import pytest

from safety.history import History, Record
from safety.limits import Modality
from safety.prescription import Dose

pytestmark = pytest.mark.hazard("H19")

RECORD = Record(
    session="s-1", rx="rx-1@1", site="left-quadriceps", pair="a", modality=Modality.NMES, opened_wall_ms=1,
    closed_wall_ms=None, on_time_ms=24_000, reserved=Dose(nc=5), charged=None,
    ua=20_000, ohm=1_500, completed=False, played_ms=0,
)  # fmt: skip


def test_a_record_says_all_that_the_ledger_rules_ask():
    assert [spec.name for spec in fields(Record)] == [
        "session", "rx", "site", "pair", "modality", "opened_wall_ms", "closed_wall_ms", "on_time_ms", "reserved",
        "charged", "ua", "ohm", "completed", "played_ms",
    ]  # fmt: skip
    assert (RECORD.charged, RECORD.closed_wall_ms) == (None, None)


def test_a_history_without_older_sessions_says_so():
    history = History(patient="p-1", records=(RECORD,), locked_sites=())
    assert history.earlier == ()
    silent = {spec.name: spec.default for spec in fields(History) if spec.default is not MISSING}
    assert silent == {"earlier": (), "older": (), "adverse": (), "pads": (), "corrections": (), "whole": True}
    assert history == History(patient="p-1", records=(RECORD,), locked_sites=(), earlier=())


@pytest.mark.rule("L07")
@pytest.mark.parametrize("name", [spec.name for spec in fields(Record)])
def test_a_record_must_name_every_field(name: str):
    values = {spec.name: getattr(RECORD, spec.name) for spec in fields(Record) if spec.name != name}
    with pytest.raises(TypeError):
        Record(**values)


@pytest.mark.parametrize(
    ("thing", "name"), [(RECORD, "charged"), (History(patient="", records=(), locked_sites=()), "records")]
)
def test_history_cannot_be_rewritten(thing: object, name: str):
    with pytest.raises(FrozenInstanceError):
        setattr(thing, name, None)


def test_a_record_and_a_history_are_frozen_and_a_history_is_whole_unless_told():
    assert all(kind.__dataclass_params__.frozen for kind in (Record, History))
    told = History(patient="p-1", records=(), locked_sites=())
    assert (told.earlier, told.older, told.adverse, told.pads, told.corrections, told.whole) == (
        (),
        (),
        (),
        (),
        (),
        True,
    )
