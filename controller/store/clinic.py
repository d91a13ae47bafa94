"""What clinicians have set down: prescriptions, each version for good, in the ledger's database."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    RowMapping,
    Table,
    Text,
    create_engine,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from controller.contract.topics import ID
from controller.prescriptions import from_json, to_json
from controller.words import WordError
from safety.prescription import Prescription

from .tables import WHOLE, LedgerError, LedgerUnavailableError, connect, open_database

META = MetaData()
PRESCRIPTIONS = Table(
    "prescriptions",
    META,
    Column("id", Text, primary_key=True),
    Column("version", WHOLE, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("imported_wall_ms", WHOLE, nullable=False),
    sqlite_strict=True,
)
RX = PRESCRIPTIONS.c
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS prescriptions_{change} BEFORE {change} ON prescriptions "
    "BEGIN SELECT RAISE(ABORT, 'a version of a prescription never changes'); END"
    for change in ("UPDATE", "DELETE")
)
"""Not even another program may change, by accident, what somebody was treated under."""
REF = re.compile(rf"({ID})@([1-9][0-9]{{0,6}})")


class ImmutableError(LedgerError):
    """This version exists with other content; a change needs a version number of its own. Its code is RX.IMMUTABLE."""


class Stored(NamedTuple):
    """A prescription and when it was imported (UTC, in ms)."""

    rx: Prescription
    imported_wall_ms: int


class Clinic:
    """The prescriptions. Every method looks into the database anew, so that an import shows in a service that runs.

    Each raises LedgerUnavailableError where the database cannot be used or a row is not as it was written.
    """

    def __init__(self, path: Path, *, may_create: bool = False) -> None:
        """Open the ledger's database; `may_create` says that there may be none yet."""
        self._writing = open_database(path, may_create=may_create)
        # A reader takes no lock: the service looks things up on its event loop, which must not wait for a writer.
        self._reading = create_engine("sqlite://", creator=lambda: connect(path, "rw"), poolclass=NullPool)
        with transaction(self._writing) as connection:
            META.create_all(connection)
            for guard in GUARDS:
                connection.exec_driver_sql(guard)

    def add(self, rx: Prescription, now_wall_ms: int) -> bool:
        """Store a version; False: it was there already, the same. Raises ImmutableError where another one was."""
        with transaction(self._writing) as connection:
            query = select(RX.digest).where(RX.id == rx.id, RX.version == rx.version)
            digest = connection.execute(query).scalar_one_or_none()
            if digest is None:
                values = {"digest": rx.digest, "body": to_json(rx), "imported_wall_ms": now_wall_ms}
                connection.execute(insert(PRESCRIPTIONS).values(id=rx.id, version=rx.version, **values))
        if digest not in {None, rx.digest}:
            raise ImmutableError(f"{rx.ref} exists with other content: give the changed one a version of its own")
        return digest is None

    def get(self, ref: str) -> Prescription | None:
        """Find a version by its `id@version`; None where there is none."""
        found = REF.fullmatch(ref)
        if found is None:
            return None
        query = select(PRESCRIPTIONS).where(RX.id == found[1], RX.version == int(found[2]))
        with transaction(self._reading) as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else stored(row).rx

    def list(self) -> tuple[Stored, ...]:
        """Give all versions, by id and version."""
        with transaction(self._reading) as connection:
            rows = connection.execute(select(PRESCRIPTIONS).order_by(RX.id, RX.version)).mappings().all()
        return tuple(stored(row) for row in rows)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Do all of it or nothing. Raises LedgerUnavailableError."""
    try:
        with engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise LedgerUnavailableError(str(error)) from error


def stored(row: RowMapping) -> Stored:
    """Read a row. Raises LedgerUnavailableError where it is not as it was written."""
    try:
        rx = from_json(row["body"])
    except WordError as error:
        raise LedgerUnavailableError(f"prescription {row['id']}@{row['version']} is damaged: {error}") from error
    if (rx.id, rx.version, rx.digest) != (row["id"], row["version"], row["digest"]):
        raise LedgerUnavailableError(f"prescription {row['id']}@{row['version']} is damaged: it is {rx.ref}")
    return Stored(rx, row["imported_wall_ms"])
