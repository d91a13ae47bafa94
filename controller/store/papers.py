"""What was found out about a patient besides the dose: thresholds, by place and pair. Rows are only added."""

from pathlib import Path

from sqlalchemy import Column, MetaData, NullPool, Table, Text, create_engine, insert, select

from controller.words import WordError, dumps, form, loads
from safety.effects import CalibrationRecord
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
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{change} BEFORE {change} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'what was found stays as it was written'); END"
    for table in META.tables
    for change in ("UPDATE", "DELETE")
)
CALIBRATION = form(Calibration, named=True)


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

    def keep(self, record: CalibrationRecord) -> None:
        """Write down what was found."""
        found = record.calibration
        values = {"at_wall_ms": found.at_wall_ms, "body": dumps(CALIBRATION.write(found))}
        with transaction(self._writing) as connection:
            connection.execute(
                insert(CALIBRATIONS).values(
                    **values,
                    patient=record.patient,
                    site=record.site,
                    pair=found.pair,
                    session=record.session,
                    principal=record.principal,
                )
            )

    def calibration(self, patient: str, site: str, pair: str) -> Calibration | None:
        """Give the newest thresholds of a patient at a place with this pair; None where none were found."""
        theirs = select(FOUND.body).where(FOUND.patient == patient, FOUND.site == site, FOUND.pair == pair)
        with transaction(self._reading) as connection:
            body = connection.scalars(theirs.order_by(FOUND.at_wall_ms.desc()).limit(1)).one_or_none()
        return None if body is None else read_calibration(body)


def read_calibration(body: str) -> Calibration:
    """Read a row. Raises LedgerUnavailableError where it is not as it was written."""
    try:
        found = CALIBRATION.read(loads(body))
    except WordError as error:
        raise LedgerUnavailableError(f"a calibration is damaged: {error}") from error
    return found  # type: ignore[return-value] # the form of a type reads that type
