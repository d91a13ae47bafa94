"""The ledger's tables, and how its database is opened."""

import sqlite3
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

SCHEMA = 2
BUSY_S = 1.0
"""How long a transaction waits for another's (engineering default)."""

META = MetaData()
WHOLE = BigInteger().with_variant(Integer(), "sqlite")
RESERVATIONS = Table(
    "reservations",
    META,
    Column("session", Text, primary_key=True),
    Column("channel", WHOLE, primary_key=True, autoincrement=False),
    Column("device", Text, nullable=False),
    Column("permit", WHOLE, nullable=False),
    Column("patient", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("pair", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("rx", Text, nullable=False),
    Column("rx_digest", Text, nullable=False),
    Column("opened_wall_ms", WHOLE, nullable=False),
    Column("on_time_ms", WHOLE, nullable=False),
    Column("reserved_nc", WHOLE, nullable=False),
    Column("reserved_i2t", WHOLE, nullable=False),
    Column("reserved_on_ms", WHOLE, nullable=False),
    Column("charged_nc", WHOLE),
    Column("charged_i2t", WHOLE),
    Column("charged_on_ms", WHOLE),
    Column("evidence", Text),
    Column("closed_wall_ms", WHOLE),
    # Since schema 2; what was written before does not say.
    Column("ua", WHOLE, nullable=False, server_default="0"),
    Column("ohm", WHOLE, nullable=False, server_default="0"),
    Column("completed", WHOLE, nullable=False, server_default="0"),
    Column("played_ms", WHOLE, nullable=False, server_default="0"),
    Index("reservations_by_patient", "patient"),
    sqlite_strict=True,
)
LOCKS = Table(
    "locks",
    META,
    Column("device", Text, primary_key=True),
    Column("latch", WHOLE, primary_key=True, autoincrement=False),
    Column("patient", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("since_wall_ms", WHOLE, nullable=False),
    Column("released_wall_ms", WHOLE),
    sqlite_strict=True,
)
PADS = Table(
    "pads",
    META,
    Column("barcode", Text, primary_key=True),
    Column("expires_wall_ms", WHOLE, nullable=False),
    sqlite_strict=True,
)
PAD_USES = Table(
    "pad_uses",
    META,
    Column("barcode", Text, primary_key=True),
    Column("session", Text, primary_key=True),
    Column("used_wall_ms", WHOLE, nullable=False),
    sqlite_strict=True,
)
CORRECTIONS = Table(
    "corrections",
    META,
    Column("number", WHOLE, primary_key=True, autoincrement=True),
    Column("patient", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("pair", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("at_wall_ms", WHOLE, nullable=False),
    Column("nc", WHOLE, nullable=False),
    Column("i2t", WHOLE, nullable=False),
    Column("on_ms", WHOLE, nullable=False),
    Column("signed_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("entered_wall_ms", WHOLE, nullable=False),
    Index("corrections_by_patient", "patient"),
    sqlite_strict=True,
)
MERGES = Table(
    "merges",
    META,
    Column("patient", Text, primary_key=True),
    Column("same_as", Text, primary_key=True),
    Column("since_wall_ms", WHOLE, nullable=False),
    sqlite_strict=True,
)
HOLDS = Table(
    "holds",
    META,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("token", WHOLE, nullable=False),
    Column("session", Text, nullable=False),
    Column("ends_wall_ms", WHOLE, nullable=False),
    sqlite_strict=True,
)
"""Who may drive: for each patient and each device the last session, its token, and until when it holds them."""
FALLS = " OR ".join(
    f"NEW.{kind}_{unit} < OLD.{kind}_{unit}" for kind in ("reserved", "charged") for unit in ("nc", "i2t", "on_ms")
)
GUARDS = {
    "DELETE ON reservations": "what was reserved is never forgotten",
    f"UPDATE ON reservations WHEN {FALLS}": "what was counted only rises: append a correction",
    "UPDATE ON corrections": "a correction never changes: append another",
    "DELETE ON corrections": "a correction never changes: append another",
    "UPDATE ON holds WHEN NEW.token < OLD.token": "a token only rises",
    "DELETE ON holds": "a token only rises",
}
"""What the database refuses, also to another program that makes a mistake, and why (L13, X10)."""
SINCE_1 = (
    *(
        f"ALTER TABLE reservations ADD COLUMN {name} INTEGER DEFAULT '0' NOT NULL"
        for name in ("ua", "ohm", "completed", "played_ms")
    ),
    "ALTER TABLE locks ADD COLUMN released_wall_ms INTEGER",
)
"""What makes a ledger of schema 1 one of schema 2, besides the tables that it lacks."""
VERSION = Table("schema_version", META, Column("version", WHOLE, nullable=False), sqlite_strict=True)


class LedgerError(Exception):
    """The ledger did not do what it was asked; nothing was changed."""


class LedgerUnavailableError(LedgerError):
    """The database is missing, locked, damaged or not writable: DOSE.LEDGER_UNAVAILABLE."""


class LedgerRefusedError(LedgerError):
    """What was asked contradicts what is booked, or cannot be kept."""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file for durable commits; `mode` is rw, or rwc to make it. Raises sqlite3.Error."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", BUSY_S, isolation_level=None, uri=True)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        if mode == "rwc":
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_database(path: Path, *, may_create: bool) -> Engine:
    """Open the ledger's database, or make it.

    Raises LedgerUnavailableError; without `may_create` also where there is none, since an empty ledger in the place of
    a lost one would give every patient the whole dose once more.
    """
    # Each transaction opens the file anew: one that was moved or deleted is noticed, not written into the void.
    engine = create_engine("sqlite://", creator=lambda: connect(path, "rw"), poolclass=NullPool)
    event.listen(engine, "begin", begin)
    try:
        if may_create:
            connect(path, "rwc").close()
        with engine.begin() as connection:
            if may_create and not inspect(connection).get_table_names():
                make(connection)
                connection.execute(insert(VERSION).values(version=SCHEMA))
            damage = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            versions = connection.scalars(select(VERSION.c.version)).all()
            if damage == "ok" and versions == [1]:
                versions = upgraded(connection)
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise LedgerUnavailableError(f"{path}: {error}") from error
    if damage != "ok" or versions != [SCHEMA]:
        raise LedgerUnavailableError(f"{path}: integrity {damage}, schema {versions}, this program reads [{SCHEMA}]")
    return engine


def make(connection: Connection) -> None:
    """Make the tables that are not there, and what guards them."""
    META.create_all(connection)
    for number, (change, why) in enumerate(GUARDS.items()):
        connection.exec_driver_sql(
            f"CREATE TRIGGER guard_{number} BEFORE {change} BEGIN SELECT RAISE(ABORT, '{why}'); END"
        )


def upgraded(connection: Connection) -> list[int]:
    """Make a ledger of schema 1 one of this schema, in the transaction that looks at it; gives its versions."""
    for change in SINCE_1:
        connection.exec_driver_sql(change)
    make(connection)
    connection.execute(update(VERSION).values(version=SCHEMA))
    return [SCHEMA]


def begin(connection: Connection) -> None:
    """Take the write lock at once: what is read must still hold when the transaction writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
