"""A ledger that the first schema wrote becomes one of this schema where it stands, whole or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from controller.store import tables
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.tables import LedgerUnavailableError
from safety.history import History
from safety.limits import Modality
from safety.messages import Latch
from safety.verdict import Clear, Scope
from tests.controller.bookings import FULL, NOW, Judge, dose, record, request, settlement

FIRST = """
PRAGMA journal_mode = WAL;
CREATE TABLE reservations (
    session TEXT NOT NULL, channel INTEGER NOT NULL, device TEXT NOT NULL, permit INTEGER NOT NULL,
    patient TEXT NOT NULL, site TEXT NOT NULL, pair TEXT NOT NULL, modality TEXT NOT NULL, rx TEXT NOT NULL,
    rx_digest TEXT NOT NULL, opened_wall_ms INTEGER NOT NULL, on_time_ms INTEGER NOT NULL,
    reserved_nc INTEGER NOT NULL, reserved_i2t INTEGER NOT NULL, reserved_on_ms INTEGER NOT NULL, charged_nc INTEGER,
    charged_i2t INTEGER, charged_on_ms INTEGER, evidence TEXT, closed_wall_ms INTEGER, PRIMARY KEY (session, channel)
) STRICT;
CREATE INDEX reservations_by_patient ON reservations (patient);
CREATE TABLE locks (
    device TEXT NOT NULL, latch INTEGER NOT NULL, patient TEXT NOT NULL, site TEXT NOT NULL, rule TEXT NOT NULL,
    since_wall_ms INTEGER NOT NULL, PRIMARY KEY (device, latch)
) STRICT;
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version VALUES (1);
"""
"""What the first version of this program made."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(FIRST)
        row = ("dev1", 9, "p-1", "calf-l", "a", "tens", "rx-1@1", "ab", NOW, 1_800_000, 100, 200, 300)
        marks = ", ".join("?" * 20)
        old.execute(f"INSERT INTO reservations VALUES ({marks})", ("s-1", 1, *row, 7, 8, 9, "applied", NOW + 5))  # noqa: S608
        old.execute(f"INSERT INTO reservations VALUES ({marks})", ("s-2", 1, *row, None, None, None, None, None))  # noqa: S608
        old.execute("INSERT INTO locks VALUES ('dev1', 5, 'p-1', 'calf-l', 'M08', ?)", (NOW,))
    return path


OLD = History(
    patient="p-1",
    records=(
        record("s-1", closed_wall_ms=NOW + 5, charged=dose(7, 8, 9), ua=0, ohm=0),
        record("s-2", ua=0, ohm=0),
    ),
    locked_sites=("calf-l",),
)


def layout(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's columns, and the names of all that stands in the file."""
    with closing(sqlite3.connect(path)) as reader:
        names = reader.execute("SELECT type, name FROM sqlite_schema ORDER BY type, name").fetchall()
        found = {
            name: reader.execute(f"PRAGMA table_info({name})").fetchall() for kind, name in names if kind == "table"
        }
        return {"": names} | found


@pytest.mark.hazard("H19")
@pytest.mark.parametrize("by_clinic", [False, True])
async def test_an_older_ledger_keeps_all_it_knew_and_goes_on(path: Path, by_clinic: bool) -> None:
    if by_clinic:
        Clinic(path)
    ledger = Ledger(path, Judge(), may_create=False)
    assert await ledger.history("p-1", NOW) == OLD
    assert await ledger.open_sessions("dev1") == ("s-2",)
    assert await ledger.locks("dev1") == (5,)
    await ledger.settle(settlement("s-2", "readback", (1, dose(3))), NOW + 6)
    assert (await ledger.reserve("dev1", request("s-3"), NOW + 7, 60_000)).token == 1
    assert [entry.session for entry in (await ledger.history("p-1", NOW)).records] == ["s-1", "s-2", "s-3"]


def test_an_older_ledger_comes_to_look_like_a_new_one(path: Path, tmp_path: Path) -> None:
    for _ in range(2):
        Ledger(path, Judge(), may_create=False)
        Ledger(tmp_path / "new.db", Judge(), may_create=True)
    assert layout(path) == layout(tmp_path / "new.db")


@pytest.mark.hazard("H19")
async def test_an_upgrade_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout(path)
    with monkeypatch.context() as planted:
        planted.setattr(tables, "SINCE_1", (*tables.SINCE_1, "ALTER TABLE nothing ADD COLUMN x INTEGER"))
        with pytest.raises(LedgerUnavailableError, match="nothing"):
            Ledger(path, Judge(), may_create=False)
    assert layout(path) == before
    assert await Ledger(path, Judge(), may_create=False).history("p-1", NOW) == OLD


DYING = """
import os, sys
from pathlib import Path
from controller.store import tables

made = tables.make
def dies(connection):
    made(connection)
    os._exit(9)
tables.make = dies
tables.open_database(Path(sys.argv[1]), may_create=False)
"""


@pytest.mark.hazard("H19")
def test_a_crash_in_the_middle_of_an_upgrade_leaves_the_older_ledger(path: Path) -> None:
    before = layout(path)
    assert subprocess.run([sys.executable, "-c", DYING, str(path)], check=False).returncode == 9
    assert layout(path) == before
    assert asyncio.run(Ledger(path, Judge(), may_create=False).history("p-1", NOW)) == OLD


async def test_what_an_older_ledger_never_knew_binds_nobody(path: Path) -> None:
    ledger = Ledger(path, Judge(), may_create=False)
    assert not any(entry.completed or entry.ua or entry.ohm for entry in (await ledger.history("p-1", NOW)).records)
    latch = Latch(6, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-1/calf-l", NOW)
    await ledger.lock("dev1", "p-1", "thigh-r", latch)
    assert await ledger.locks("dev1") == (5, 6)
    assert (await ledger.history("p-1", NOW)).records[0].modality is Modality.TENS
    assert (await ledger.history("p-1", NOW)).records[1].reserved == FULL
