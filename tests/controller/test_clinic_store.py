"""Prescriptions in the ledger's database: each version for good, and read anew each time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from controller.prescriptions import instantiate, stamped, to_json
from controller.store.clinic import Clinic, ImmutableError, Stored
from controller.store.dose import Ledger
from controller.store.tables import LedgerUnavailableError
from safety.admit import admit
from safety.prescription import Prescription

NOW_MS = 1_800_000_000_000
CALF = instantiate("calf", "p-1", NOW_MS)
QUADS = instantiate("quadriceps", "p-2", NOW_MS)
CHANGED = stamped(replace(CALF, patient="p-3"))
SECOND = stamped(replace(CALF, version=2))
TENTH = stamped(replace(CALF, version=10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def clinic(path: Path) -> Clinic:
    return Clinic(path, may_create=True)


@pytest.fixture
def raw(clinic: Clinic, path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_what_was_added_is_found(clinic: Clinic) -> None:
    assert clinic.add(CALF, NOW_MS) is True
    assert clinic.get("calf@1") == CALF


def test_adding_it_again_changes_nothing(clinic: Clinic) -> None:
    clinic.add(CALF, NOW_MS)
    assert clinic.add(CALF, NOW_MS + 1) is False
    assert clinic.list() == (Stored(CALF, NOW_MS),)


def test_a_version_never_changes(clinic: Clinic) -> None:
    clinic.add(CALF, NOW_MS)
    with pytest.raises(ImmutableError) as raised:
        clinic.add(CHANGED, NOW_MS)
    assert str(raised.value) == "calf@1 exists with other content: give the changed one a version of its own"
    assert clinic.get("calf@1") == CALF


def test_versions_stand_side_by_side_in_order(clinic: Clinic) -> None:
    for number, rx in enumerate((TENTH, QUADS, SECOND, CALF)):
        clinic.add(rx, NOW_MS + number)
    assert clinic.list() == (
        Stored(CALF, NOW_MS + 3),
        Stored(SECOND, NOW_MS + 2),
        Stored(TENTH, NOW_MS),
        Stored(QUADS, NOW_MS + 1),
    )
    assert [clinic.get(ref) for ref in ("calf@1", "calf@2", "calf@10")] == [CALF, SECOND, TENTH]


@pytest.mark.parametrize(
    "ref",
    ["calf@2", "calf@01", "calf@", "calf", "@1", "", "calf@-1", "calf@1.0", "CALF@1", f"calf@{10**20}", "calf@1@1"],
)
def test_what_is_not_there_is_none(clinic: Clinic, ref: str) -> None:
    clinic.add(CALF, NOW_MS)
    assert clinic.get(ref) is None


def test_an_import_by_another_program_shows_at_once(clinic: Clinic, path: Path) -> None:
    assert clinic.get("calf@1") is None
    script = (
        "import sys; from pathlib import Path; from controller.store.clinic import Clinic;"
        "from controller.prescriptions import instantiate;"
        f"Clinic(Path(sys.argv[1])).add(instantiate('calf', 'p-1', {NOW_MS}), 5)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert clinic.get("calf@1") == CALF


def test_reading_waits_for_no_writer(clinic: Clinic, raw: sqlite3.Connection) -> None:
    clinic.add(CALF, NOW_MS)
    raw.execute("BEGIN IMMEDIATE")
    assert clinic.get("calf@1") == CALF
    with pytest.raises(LedgerUnavailableError, match="locked"):
        clinic.add(QUADS, NOW_MS)
    raw.execute("ROLLBACK")
    assert clinic.add(QUADS, NOW_MS) is True


@pytest.mark.parametrize("change", ["UPDATE prescriptions SET digest = 'x'", "DELETE FROM prescriptions"])
def test_the_database_itself_refuses_a_change(clinic: Clinic, raw: sqlite3.Connection, change: str) -> None:
    clinic.add(CALF, NOW_MS)
    with pytest.raises(sqlite3.IntegrityError, match="a version of a prescription never changes"):
        raw.execute(change)
    assert clinic.get("calf@1") == CALF


def insert(raw: sqlite3.Connection, rx: Prescription, **changes: object) -> None:
    row = {
        "id": rx.id,
        "version": rx.version,
        "digest": rx.digest,
        "body": to_json(rx),
        "imported_wall_ms": 1,
    } | changes
    raw.execute("INSERT INTO prescriptions VALUES (:id, :version, :digest, :body, :imported_wall_ms)", row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"body": to_json(CALF).replace('"max_ua":30000', '"max_ua":80000')},
            "prescription calf@1 is damaged: the prescription's content does not give its digest",
        ),
        ({"version": 7}, "prescription calf@7 is damaged: it is calf@1"),
        ({"digest": "0" * 64}, "prescription calf@1 is damaged: it is calf@1"),
        ({"id": "quadriceps"}, "prescription quadriceps@1 is damaged: it is calf@1"),
    ],
)
def test_a_row_that_is_not_as_it_was_written_treats_nobody(
    clinic: Clinic, raw: sqlite3.Connection, changes: dict[str, object], said: str
) -> None:
    insert(raw, CALF, **changes)
    ref = f"{changes.get('id', 'calf')}@{changes.get('version', 1)}"
    for look in (lambda: clinic.get(ref), clinic.list):
        with pytest.raises(LedgerUnavailableError) as raised:
            look()
        assert str(raised.value) == said


def test_no_database_is_made_where_one_should_be(path: Path) -> None:
    with pytest.raises(LedgerUnavailableError):
        Clinic(path)
    assert not path.exists()


def test_a_database_that_went_away_is_noticed(clinic: Clinic, path: Path) -> None:
    clinic.add(CALF, NOW_MS)
    path.rename(path.with_name("elsewhere"))
    for look in (lambda: clinic.get("calf@1"), clinic.list, lambda: clinic.add(QUADS, NOW_MS)):
        with pytest.raises(LedgerUnavailableError):
            look()
    assert not path.exists()


@pytest.mark.parametrize("ledger_first", [True, False])
def test_it_shares_the_file_with_the_doses(path: Path, ledger_first: bool) -> None:
    if ledger_first:
        Ledger(path, admit, may_create=True)
    clinic = Clinic(path, may_create=not ledger_first)
    Ledger(path, admit, may_create=False)
    assert clinic.add(CALF, NOW_MS) is True
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables - {"sqlite_sequence"} == {
        "reservations", "locks", "pads", "pad_uses", "corrections", "merges", "holds", "schema_version",
        "prescriptions",
    }  # fmt: skip


def test_opening_it_again_keeps_everything(clinic: Clinic, path: Path) -> None:
    clinic.add(CALF, NOW_MS)
    assert Clinic(path).list() == (Stored(CALF, NOW_MS),)
    assert Clinic(path, may_create=True).list() == (Stored(CALF, NOW_MS),)
