"""What was found out about a patient besides the dose. Rows are only added.

Thresholds by place and pair, and what somebody has vouched for.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData, NullPool, Table, Text, create_engine, insert, select

from controller.words import Form, WordError, dumps, form, loads
from safety.attestation import Attestation
from safety.effects import AttestationRecord, CalibrationRecord
from safety.prescription import Calibration

from .clinic import transaction
from .tables import WHOLE, LedgerUnavailableError, connect, open_database

META = MetaData()
CALIBRATIONS = Table(
    "calibrations",
    META,
    Column("patient", Text, nullable=False, index=True),
    Column("site", Text, nullable=False),
    Column("pair", Text, nullable=False),
    Column("at_wall_ms", WHOLE, nullable=False),
    Column("session", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_strict=True,
)
FOUND = CALIBRATIONS.c
ATTESTATIONS = Table(
    "attestations",
    META,
    Column("patient", Text, nullable=False, index=True),
    Column("at_wall_ms", WHOLE, nullable=False),
    Column("session", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_strict=True,
)
VOUCHED = ATTESTATIONS.c
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{change} BEFORE {change} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'what was found stays as it was written'); END"
    for table in META.tables
    for change in ("UPDATE", "DELETE")
)
CALIBRATION = form(Calibration, named=True)
ATTESTATION = form(Attestation, named=True)

Paper = CalibrationRecord | AttestationRecord


class Papers:
    """The papers of all patients. Each method is one transaction and raises LedgerUnavailableError."""

    def __init__(self, path: Path) -> None:
        """Open the ledger's database, which holds them too."""
        self._writing = open_database(path, may_create=False)
        self._reading = create_engine("sqlite://", creator=lambda: connect(path, "rw"), poolclass=NullPool)
        with transaction(self._writing) as connection:
            META.create_all(connection)
            for guard in GUARDS:
                connection.exec_driver_sql(guard)

    def keep(self, record: Paper) -> None:
        """Write down what was found, or vouched for."""
        row = {"patient": record.patient, "session": record.session}
        if isinstance(record, AttestationRecord):
            vouched = record.attestation
            row |= {"principal": vouched.by, "body": dumps(ATTESTATION.write(vouched))}
            query = insert(ATTESTATIONS).values(**row, at_wall_ms=vouched.at_wall_ms)
        else:
            found = record.calibration
            row |= {"site": record.site, "pair": found.pair, "principal": record.principal}
            query = insert(CALIBRATIONS).values(
                **row, at_wall_ms=found.at_wall_ms, body=dumps(CALIBRATION.write(found))
            )
        with transaction(self._writing) as connection:
            connection.execute(query)

    def attestation(self, patient: str) -> Attestation | None:
        """Give what somebody vouched for last; None where nobody ever did."""
        theirs = select(VOUCHED.body).where(VOUCHED.patient == patient).order_by(VOUCHED.at_wall_ms.desc()).limit(1)
        with transaction(self._reading) as connection:
            body = connection.scalars(theirs).one_or_none()
        return None if body is None else read_body(ATTESTATION, body, "an attestation")

    def calibration(self, patient: str, site: str, pair: str) -> Calibration | None:
        """Give the newest thresholds of a patient at a place with this pair; None where none were found."""
        theirs = select(FOUND.body).where(FOUND.patient == patient, FOUND.site == site, FOUND.pair == pair)
        with transaction(self._reading) as connection:
            body = connection.scalars(theirs.order_by(FOUND.at_wall_ms.desc()).limit(1)).one_or_none()
        return None if body is None else read_body(CALIBRATION, body, "a calibration")


def read_body(form_of: Form, body: str, what: str) -> Any:  # noqa: ANN401 - the type whose form it is
    """Read a row. Raises LedgerUnavailableError where it is not as it was written."""
    try:
        return form_of.read(loads(body))
    except WordError as error:
        raise LedgerUnavailableError(f"{what} is damaged: {error}") from error
