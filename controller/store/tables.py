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
)
from sqlalchemy.exc import SQLAlchemyError

SCHEMA = 1
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
    sqlite_strict=True,
)
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
                META.create_all(connection)
                connection.execute(insert(VERSION).values(version=SCHEMA))
            damage = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            versions = connection.scalars(select(VERSION.c.version)).all()
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise LedgerUnavailableError(f"{path}: {error}") from error
    if damage != "ok" or versions != [SCHEMA]:
        raise LedgerUnavailableError(f"{path}: integrity {damage}, schema {versions}, this program reads [{SCHEMA}]")
    return engine


def begin(connection: Connection) -> None:
    """Take the write lock at once: what is read must still hold when the transaction writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
