"""The journal's file: its tables, and the chain that makes an edit, a deletion or a reordering show.

A row's hash is taken over its fields and the hash of the row before. A cut at the very end leaves a whole chain: that
shows only by comparing the head with one that was kept elsewhere.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from safety.limits import canonical
from safety.messages import Now

from .entries import read_entry
from .words import WordError, dumps, form, loads

SCHEMA = 1
GENESIS = "genesis"
BEFORE_FIRST = "0" * 64
BUSY_S = 0.25
TABLES = (
    """CREATE TABLE journal (
        seq INTEGER PRIMARY KEY, device TEXT NOT NULL, entry INTEGER NOT NULL,
        mono_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL, policy TEXT NOT NULL,
        kind TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL) STRICT""",
    """CREATE TABLE answers (
        principal TEXT, command_id TEXT, digest TEXT NOT NULL, answer TEXT, wall_ms INTEGER NOT NULL,
        PRIMARY KEY (principal, command_id)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX answers_by_age ON answers (wall_ms)",
)
SELECT = "SELECT seq, device, entry, mono_ms, wall_ms, policy, kind, body, prev, hash FROM journal ORDER BY seq"
INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
REMEMBER = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)"
FORGET = "DELETE FROM answers WHERE wall_ms < ?"
ANSWERS_KEPT_MS = 24 * 3_600_000
NOT_NOW = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
"""Errors that say nothing about the file's content."""


class JournalError(Exception):
    """The journal cannot be used."""


class JournalInUseError(JournalError):
    """Another process has this journal."""


class JournalCorruptError(JournalError):
    """The chain is broken: `seq` is the first row that is not as it was written."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"row {seq}: {why}")
        self.seq = seq
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """The first row's body: the form of the file, whose it is, and the hard limits it began under."""

    schema: int
    instance: str
    limits_digest: str


GENESIS_FORM = form(Genesis, named=True)


class Draft(NamedTuple):
    """An entry that has no place in the chain yet, and the digest of the site's policy it was made under (X2)."""

    device: str
    entry: int
    mono_ms: int
    wall_ms: int
    policy: str
    kind: str
    body: str


class Row(NamedTuple):
    """A draft with its place in the chain."""

    seq: int
    device: str
    entry: int
    mono_ms: int
    wall_ms: int
    policy: str
    kind: str
    body: str
    prev: str
    hash: str


ROW_TYPES = (int, str, int, int, int, str, str, str, str, str)


class Remembered(NamedTuple):
    """What was answered to a command; None while it has only begun."""

    principal: str
    command_id: str
    digest: str
    answer: str | None
    wall_ms: int


class Verification(NamedTuple):
    """How many rows are sound, the hash of the last of them, and where and why the chain breaks."""

    rows: int
    head_hash: str
    first_bad_seq: int | None
    why: str


def link(seq: int, draft: Draft, prev: str) -> Row:
    """Make of a draft the row that follows the row with hash `prev`."""
    *head, body = draft
    # No line break stands inside JSON, so head and body can be cut apart in one way only.
    digest = sha256(f"{dumps([seq, *head, prev])}\n{body}".encode()).hexdigest()
    return Row(seq, *draft, prev, digest)


def chained(connection: sqlite3.Connection) -> Iterator[Row]:
    """Read all rows in order, each checked against the one before. Raises JournalCorruptError at the first bad one."""
    seq, prev = 1, BEFORE_FIRST
    try:
        for row in map(Row._make, connection.execute(SELECT)):
            if why := flaw(row, seq, prev):
                raise JournalCorruptError(seq, why)
            yield row
            seq, prev = seq + 1, row.hash
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in NOT_NOW:
            raise JournalError(f"the journal cannot be read now: {error}") from error
        raise JournalCorruptError(seq, str(error)) from error
    if seq == 1:
        raise JournalCorruptError(seq, "the row is missing, and all after it")


def flaw(row: Row, seq: int, prev: str) -> str:
    """Say what is wrong with the row that should be number `seq`; "" if nothing."""
    if tuple(map(type, row)) != ROW_TYPES:
        return "a field is of another type"
    if row.seq != seq:
        return f"the row is missing; row {row.seq} comes next"
    if row.prev != prev:
        return "it does not follow from the row before"
    if row != link(seq, Draft(*row[1:8]), prev):
        return "its content does not give its hash"
    return ""


def genesis_of(row: Row) -> Genesis:
    """Read the first row. Raises JournalCorruptError."""
    try:
        genesis = GENESIS_FORM.read(loads(row.body))
    except WordError as error:
        raise JournalCorruptError(row.seq, str(error)) from error
    if not isinstance(genesis, Genesis) or genesis.schema != SCHEMA or row.kind != GENESIS:
        raise JournalCorruptError(row.seq, f"{row.kind} {row.body} begins no journal of schema {SCHEMA}")
    return genesis


def verify(path: Path) -> Verification:
    """Check the whole journal and every entry in it, read-only, also while the service writes.

    Raises JournalError where there is no file to read.
    """
    rows, head = 0, ""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", BUSY_S, uri=True)) as connection:
            for row in chained(connection):
                if row.seq == 1:
                    genesis_of(row)
                else:
                    read_entry(row.entry, row.kind, row.body)
                rows, head = row.seq, row.hash
    except JournalCorruptError as error:
        return Verification(rows, head, error.seq, error.why)
    except WordError as error:
        return Verification(rows, head, rows + 1, str(error))
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    return Verification(rows, head, None, "")


class JournalFile:
    """The file in the hands of the one process that may write it, under one policy of the site."""

    def __init__(self, path: Path, instance: str, policy: str, now: Now) -> None:
        """Open the file, or make it and begin its chain.

        Raises JournalInUseError where another process has it, JournalError where it cannot be written.
        """
        self._path = path
        self._instance = instance
        self.policy = policy
        self._head = (0, BEFORE_FIRST)
        with ExitStack() as opened:
            try:
                opened.callback(os.close, locked(path))
                # Read by the thread that opens it, then left to the thread that writes.
                self._connection = sqlite3.connect(path, BUSY_S, isolation_level=None, check_same_thread=False)
                opened.callback(self._connection.close)
                self._inode = path.stat().st_ino
                self.is_new = self._prepare(now)
            except (OSError, sqlite3.Error) as error:
                raise JournalError(f"{path}: {error}") from error
            self._opened = opened.pop_all()

    def _prepare(self, now: Now) -> bool:
        execute = self._connection.execute
        (mode,) = execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise JournalError(f"{self._path}: its file system keeps no write-ahead log")
        execute("PRAGMA synchronous = FULL")
        with self._connection:
            execute("BEGIN IMMEDIATE")
            (tables,) = execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables == 0:
                for table in TABLES:
                    execute(table)
                digest = sha256(canonical().encode()).hexdigest()
                genesis = Genesis(schema=SCHEMA, instance=self._instance, limits_digest=digest)
                body = dumps(GENESIS_FORM.write(genesis))
                draft = Draft("", 0, now.mono_ms, now.wall_ms, self.policy, GENESIS, body)
                execute(INSERT, link(1, draft, BEFORE_FIRST))
        return bool(tables == 0)

    def replay(self) -> Iterator[Row]:
        """Read the whole chain, to go on from its end. Raises JournalCorruptError; JournalError for another's chain."""
        for row in chained(self._connection):
            if row.seq == 1 and (owner := genesis_of(row).instance) != self._instance:
                raise JournalError(f"{self._path} is the journal of {owner}, not of {self._instance}")
            yield row
            self._head = (row.seq, row.hash)

    def answers(self, since_wall_ms: int) -> list[Remembered]:
        """Read the answers that are kept, oldest first. Raises JournalError."""
        query = "SELECT * FROM answers WHERE wall_ms >= ? ORDER BY wall_ms"
        try:
            return [Remembered(*fields) for fields in self._connection.execute(query, (since_wall_ms,))]
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from error

    def write(self, records: Sequence[Draft | Remembered]) -> None:
        """Make all records durable in one transaction, or none. Raises sqlite3.Error, OSError or JournalError."""
        seq, prev = self._head
        rows, answers = [], []
        for record in records:
            if isinstance(record, Remembered):
                answers.append(record)
            else:
                seq, prev = seq + 1, (row := link(seq + 1, record, prev)).hash
                rows.append(row)
        # A file that was moved or deleted takes writes without complaint, and nobody will ever read them.
        if self._path.stat().st_ino != self._inode:
            raise JournalError(f"{self._path} is not the file that was opened")
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(INSERT, rows)
            if answers:
                self._connection.executemany(REMEMBER, answers)
                self._connection.execute(FORGET, (answers[-1].wall_ms - ANSWERS_KEPT_MS,))
        self._head = (seq, prev)

    def close(self) -> None:
        """Close the file, then let another process have it."""
        self._opened.close()


def locked(path: Path) -> int:
    """Take the lock beside the file; the kernel gives it back when the process ends, however it ends."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise JournalInUseError(f"{path} belongs to another process") from error
    return lock
