"""The journal's chain: no change of the file goes unseen, and what is sound is said to be sound."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.chain import (
    BEFORE_FIRST,
    INSERT,
    Draft,
    JournalCorruptError,
    JournalError,
    Verification,
    link,
    verify,
)
from controller.entries import body_json
from tests.controller.logbook import (
    Bench,
    Until,
    closing,
    latch,
    opening,
    permit,
    settling,
    wish,
)


async def filled(path: Path) -> None:
    """Write a journal of ten rows: genesis, a session of dev1, wishes."""
    bench = Bench(path)
    for entry in (
        opening(1),
        wish(2),
        permit(3, "s-1", 3),
        latch(4),
        wish(5),
        wish(6),
        settling(7),
        closing(8),
        wish(9),
    ):
        bench.append(entry)
    await bench.journal.close()
    assert verify(path)[::2] == (10, None)


Corruption = Callable[[sqlite3.Connection], None]


def run(*statements: str) -> Corruption:
    def corrupt(database: sqlite3.Connection) -> None:
        for statement in statements:
            database.execute(statement)

    return corrupt


def renumbered(*moves: tuple[int, int]) -> Corruption:
    def corrupt(database: sqlite3.Connection) -> None:
        for before, after in moves:
            database.execute("UPDATE journal SET seq = ? WHERE seq = ?", (after, before))

    return corrupt


def swapped(one: int, other: int) -> Corruption:
    return renumbered((one, -1), (other, one), (-1, other))


def closed_up(database: sqlite3.Connection) -> None:
    """Delete a row and let those after it move up."""
    database.execute("DELETE FROM journal WHERE seq = 5")
    renumbered(*((seq, seq - 1) for seq in range(6, 11)))(database)


def rewritten(seq: int, kind: str, body: str) -> Corruption:
    """Replace a row's content and make the chain whole again, as somebody could who knows the code."""

    def corrupt(database: sqlite3.Connection) -> None:
        rows = database.execute("SELECT * FROM journal ORDER BY seq").fetchall()
        database.execute("DELETE FROM journal")
        prev = BEFORE_FIRST
        for number, device, entry, mono, wall, policy, *content in rows:
            made = link(
                number,
                Draft(device, entry, mono, wall, policy, *((kind, body) if number == seq else content[:2])),
                prev,
            )
            database.execute(INSERT, made)
            prev = made.hash

    return corrupt


CONTENT, PLACE = "its content does not give its hash", "it does not follow from the row before"
CLOSE = '{"outcome":"completed","rule":"","session":"s-1"}'
GENESIS = '{"instance":"ward3","limits_digest":"","schema":1}'
CORRUPTIONS: dict[str, tuple[Corruption, int, str]] = {
    "device": (run("UPDATE journal SET device = 'dev2' WHERE seq = 5"), 5, CONTENT),
    "entry": (run("UPDATE journal SET entry = 99 WHERE seq = 5"), 5, CONTENT),
    "mono": (run("UPDATE journal SET mono_ms = mono_ms + 1 WHERE seq = 5"), 5, CONTENT),
    "wall": (run("UPDATE journal SET wall_ms = wall_ms - 1 WHERE seq = 5"), 5, CONTENT),
    "policy": (run("UPDATE journal SET policy = 'p2' WHERE seq = 5"), 5, CONTENT),
    "kind": (run("UPDATE journal SET kind = 'clear' WHERE seq = 5"), 5, CONTENT),
    "body": (run("UPDATE journal SET body = replace(body, 'device', 'session') WHERE seq = 5"), 5, CONTENT),
    "a space": (run("UPDATE journal SET body = body || ' ' WHERE seq = 5"), 5, CONTENT),
    "hash": (run("UPDATE journal SET hash = upper(hash) WHERE seq = 5"), 5, CONTENT),
    "prev": (run("UPDATE journal SET prev = hash WHERE seq = 5"), 5, PLACE),
    "prev and hash": (run("UPDATE journal SET prev = lower(hash), hash = prev WHERE seq = 5"), 5, PLACE),
    "the last row": (run("UPDATE journal SET body = '{}' WHERE seq = 10"), 10, CONTENT),
    "the genesis": (run("UPDATE journal SET body = '{}' WHERE seq = 1"), 1, CONTENT),
    "broken json": (run("UPDATE journal SET body = substr(body, 2) WHERE seq = 5"), 5, CONTENT),
    "bad utf-8": (run("UPDATE journal SET body = CAST(x'ff' AS TEXT) WHERE seq = 5"), 5, "Could not decode"),
    "one deleted": (run("DELETE FROM journal WHERE seq = 5"), 5, "the row is missing; row 6 comes next"),
    "deleted and closed up": (closed_up, 5, PLACE),
    "the first deleted": (run("DELETE FROM journal WHERE seq = 1"), 1, "the row is missing; row 2 comes next"),
    "the middle cut out": (run("DELETE FROM journal WHERE seq BETWEEN 4 AND 9"), 4, "the row is missing; row 10"),
    "all deleted": (run("DELETE FROM journal"), 1, "the row is missing, and all after it"),
    "neighbours swapped": (swapped(5, 6), 5, PLACE),
    "far rows swapped": (swapped(3, 9), 3, PLACE),
    "first and second swapped": (swapped(1, 2), 1, PLACE),
    "a row twice": (
        run(
            "CREATE TEMP TABLE twice AS SELECT * FROM journal WHERE seq = 5",
            "UPDATE twice SET seq = 11",
            "INSERT INTO journal SELECT * FROM twice",
        ),
        11,
        PLACE,
    ),
    "no table": (run("DROP TABLE journal"), 1, "no such table"),
    "no column": (run("ALTER TABLE journal DROP COLUMN wall_ms"), 1, "no such column"),
    "a looser table": (
        run(
            "CREATE TABLE loose (seq, device, entry, mono_ms, wall_ms, policy, kind, body, prev, hash)",
            "INSERT INTO loose SELECT * FROM journal",
            "DROP TABLE journal",
            "ALTER TABLE loose RENAME TO journal",
            "UPDATE journal SET mono_ms = CAST(mono_ms AS REAL) WHERE seq = 5",
        ),
        5,
        "a field is of another type",
    ),
    "another schema": (rewritten(1, "genesis", GENESIS.replace("1}", "2}")), 1, "no journal of schema 1"),
    "a genesis that is none": (rewritten(1, "genesis", CLOSE), 1, "is not Genesis"),
    "a genesis of another kind": (rewritten(1, "close", GENESIS), 1, "no journal of schema 1"),
}
UNREADABLE: dict[str, tuple[Corruption, str]] = {
    "broken json, chained": (rewritten(5, "latch", "{"), "no JSON"),
    "a float, chained": (rewritten(5, "latch", body_json(latch(4)).replace('"id":4', '"id":4.0')), "no JSON"),
    "another body, chained": (rewritten(5, "latch", CLOSE), "is not Latch"),
    "an unknown kind, chained": (rewritten(5, "answer", CLOSE), "is not a valid EntryKind"),
    "a second genesis, chained": (rewritten(5, "genesis", GENESIS), "is not a valid EntryKind"),
}


def spoil(path: Path, corruption: Corruption) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    corruption(database)
    database.close()


@pytest.mark.parametrize("name", CORRUPTIONS)
async def test_a_planted_corruption_is_found_where_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.db"
    await filled(path)
    corruption, seq, why = CORRUPTIONS[name]
    spoil(path, corruption)
    found = verify(path)
    assert (found.rows, found.first_bad_seq, why in found.why) == (seq - 1, seq, True), found
    with pytest.raises(JournalCorruptError) as refused:
        Bench(path)
    assert (refused.value.seq, refused.value.why) == (seq, found.why)


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_chained_row_that_is_no_entry_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.db"
    await filled(path)
    corruption, why = UNREADABLE[name]
    spoil(path, corruption)
    found = verify(path)
    assert (found.rows, found.first_bad_seq, why in found.why) == (4, 5, True), found


@pytest.mark.parametrize("name", ["broken json, chained", "a float, chained", "another body, chained"])
async def test_the_service_does_not_start_on_a_latch_that_it_cannot_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.db"
    await filled(path)
    spoil(path, UNREADABLE[name][0])
    with pytest.raises(JournalCorruptError) as refused:
        Bench(path)
    assert refused.value.seq == 5


async def test_a_cut_at_the_end_shows_in_the_head_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await filled(path)
    before = verify(path)
    spoil(path, run("DELETE FROM journal WHERE seq > 8"))
    after = verify(path)
    assert (after.rows, after.first_bad_seq) == (8, None)
    assert after.head_hash != before.head_hash


@pytest.mark.parametrize("content", [b"", b"no database", os.urandom(8192)])
async def test_a_file_that_is_no_journal_is_not_sound(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    found = verify(path)
    assert (found.rows, found.head_hash, found.first_bad_seq) == (0, "", 1)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match="not a database"):
        Bench(path)


async def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    bench = Bench(path)
    for number in range(1, 400):
        bench.append(wish(number))
    await bench.journal.close()
    content = bytearray(path.read_bytes())
    # The page that holds row 200's body: its bytes are all turned over.
    place = content.index(b'"c-200"') // 4096 * 4096
    content[place : place + 4096] = bytes(byte ^ 0xFF for byte in content[place : place + 4096])
    path.write_bytes(content)
    found = verify(path)
    assert found.first_bad_seq is not None
    assert 1 <= found.first_bad_seq <= 201
    assert found.rows == found.first_bad_seq - 1
    with pytest.raises(JournalCorruptError):
        Bench(path)


def test_a_missing_file_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        verify(tmp_path / "journal.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_journal_that_is_locked_is_not_called_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await filled(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="locked") as refused:
        await asyncio.to_thread(verify, path)
    holder.close()
    assert not isinstance(refused.value, JournalCorruptError)


async def test_the_journal_can_be_verified_while_the_service_writes(tmp_path: Path, until: Until) -> None:
    bench = Bench(tmp_path / "journal.db")
    seen: list[Verification] = []
    for number in range(1, 1001):
        bench.append(wish(number))
        if number % 100 == 0:
            seen.append(await asyncio.to_thread(verify, bench.path))
    await until(lambda: len(bench.done) == 1000)
    seen.append(verify(bench.path))
    assert [found.first_bad_seq for found in seen] == [None] * 11
    assert [found.rows for found in seen] == sorted(found.rows for found in seen)
    assert seen[-1].rows == 1001
    await bench.journal.close()
