"""The ledger: what each patient was given, and what is reserved and may still be given.

A reservation is judged and written in one transaction, so that two sessions cannot both be admitted on the same
history. What has no settlement counts in full, as reserved: a crash can only make a total too high.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, RowMapping, delete, distinct, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from safety.effects import PermitRequest, Settlement
from safety.history import History
from safety.messages import Latch
from safety.prescription import Dose
from safety.rules.ledger import DAY_MS, WEEK_MS
from safety.verdict import Reason

from .rows import columns, larger, modality_of, raised, record_of, settled
from .tables import LOCKS, RESERVATIONS, LedgerRefusedError, LedgerUnavailableError, open_database

Admit = Callable[[History, PermitRequest, int], tuple[Reason, ...]]
"""The judge of a patient's history; an empty verdict admits."""

KEPT_MS = WEEK_MS + DAY_MS
"""How far back records are given one by one: the rules look at a week; a day more, for clocks that differ."""

ROW = RESERVATIONS.c
Params = ParamSpec("Params")
Result = TypeVar("Result")


def in_worker(
    method: Callable[Concatenate["Ledger", Params], Result],
) -> Callable[Concatenate["Ledger", Params], Coroutine[None, None, Result]]:
    """Make a method that blocks one that is awaited: it runs in the ledger's own thread, one call after the other."""

    @wraps(method)
    async def run(self: "Ledger", /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        call = partial(method, self, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    return run


class Ledger:
    """The ledger of all devices. Each method is one transaction; LedgerUnavailableError says that it did not happen."""

    def __init__(self, path: Path, admit: Admit, *, may_create: bool) -> None:
        """Open the database; `may_create` says that there may be none yet. Raises LedgerUnavailableError."""
        self._engine = open_database(path, may_create=may_create)
        self._admit = admit
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    @in_worker
    def reserve(self, device: str, request: PermitRequest, now_wall_ms: int) -> tuple[Reason, ...]:
        """Reserve what a permit asks, if the patient's history admits it: then the verdict is empty.

        A later permit of the session raises its reservation and never lowers it; test pulses reserve nothing. Raises
        LedgerRefusedError for a session that is settled, or is booked for something else.
        """
        if request.probe:
            return ()
        with self._transaction() as connection:
            booked = booked_by(connection, request.session)
            request = raised(device, request, booked)
            history = history_of(connection, request.patient, now_wall_ms, request.session)
            reasons = self._admit(history, request, now_wall_ms)
            if not reasons:
                write(connection, device, request, booked, now_wall_ms)
        return reasons

    @in_worker
    def settle(self, settlement: Settlement, now_wall_ms: int) -> None:
        """Charge a session what its evidence says, and close it; without evidence what was reserved.

        Again for the same session it changes nothing, or raises the charge. Raises LedgerRefusedError for a charge on a
        channel that has no reservation; the session then stays open, and its reservation counts.
        """
        charged: dict[int, Dose] = {}
        for channel, dose in settlement.charged:
            charged[channel] = larger(charged.get(channel, dose), dose)
        with self._transaction() as connection:
            booked = booked_by(connection, settlement.session)
            strangers = {channel for channel, dose in charged.items() if channel not in booked and dose != Dose()}
            if strangers:
                raise LedgerRefusedError(f"session {settlement.session} has no reservation for channels {strangers}")
            for channel, row in booked.items():
                values = settled(row, charged.get(channel), settlement.evidence, now_wall_ms)
                connection.execute(
                    update(RESERVATIONS).where(ROW.session == settlement.session, ROW.channel == channel).values(values)
                )

    @in_worker
    def lock(self, device: str, patient: str, site: str, latch: Latch) -> None:
        """Lock a patient's site until the device's latch is cleared; again it changes nothing."""
        where = (LOCKS.c.device == device, LOCKS.c.latch == latch.id)
        values = {"device": device, "latch": latch.id, "patient": patient, "site": site, "rule": latch.rule}
        with self._transaction() as connection:
            if connection.execute(select(LOCKS).where(*where)).first() is None:
                connection.execute(insert(LOCKS).values(**values, since_wall_ms=latch.since_wall_ms))

    @in_worker
    def unlock(self, device: str, latch_id: int) -> None:
        """Remove the lock of a device's latch, if there is one."""
        with self._transaction() as connection:
            connection.execute(delete(LOCKS).where(LOCKS.c.device == device, LOCKS.c.latch == latch_id))

    @in_worker
    def history(self, patient: str, now_wall_ms: int) -> History:
        """Give all of a patient's records that can matter now."""
        with self._transaction() as connection:
            return history_of(connection, patient, now_wall_ms, "")

    @in_worker
    def open_sessions(self, device: str) -> tuple[str, ...]:
        """List the device's sessions that have no settlement."""
        query = select(ROW.session).distinct().where(ROW.device == device, ROW.closed_wall_ms.is_(None))
        with self._transaction() as connection:
            return tuple(connection.scalars(query.order_by(ROW.session)))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerUnavailableError(str(error)) from error


def booked_by(connection: Connection, session: str) -> dict[int, RowMapping]:
    """Read a session's rows by channel."""
    rows = connection.execute(select(RESERVATIONS).where(ROW.session == session).order_by(ROW.channel)).mappings()
    return {row["channel"]: row for row in rows}


def write(
    connection: Connection, device: str, request: PermitRequest, booked: Mapping[int, RowMapping], now_wall_ms: int
) -> None:
    """Write a request's rows; a session keeps the time at which a channel was first booked."""
    for channel in request.channels:
        values = {
            "permit": request.permit.id,
            "on_time_ms": request.on_time_ms,
            **columns("reserved", channel.reserve),
        }
        if channel.channel in booked:
            where = (ROW.session == request.session, ROW.channel == channel.channel)
            connection.execute(update(RESERVATIONS).where(*where).values(values))
        else:
            connection.execute(
                insert(RESERVATIONS).values(
                    **values,
                    session=request.session,
                    channel=channel.channel,
                    device=device,
                    patient=request.patient,
                    site=channel.site,
                    pair=channel.pair,
                    modality=request.modality.value,
                    rx=request.rx,
                    rx_digest=request.rx_digest,
                    opened_wall_ms=now_wall_ms,
                )
            )


def history_of(connection: Connection, patient: str, now_wall_ms: int, but_session: str) -> History:
    """Read what is known of a patient, without one session's own rows."""
    horizon_ms = now_wall_ms - KEPT_MS
    theirs = (ROW.patient == patient, ROW.session != but_session)
    recent = select(RESERVATIONS).where(*theirs, or_(ROW.closed_wall_ms.is_(None), ROW.closed_wall_ms >= horizon_ms))
    records = connection.execute(recent.order_by(ROW.opened_wall_ms, ROW.session, ROW.channel)).mappings()
    # Days with a charge, not sessions: a treatment given in parts must not look like several.
    days = func.count(distinct(ROW.opened_wall_ms // DAY_MS))
    older = select(ROW.site, ROW.modality, days).where(*theirs, ROW.closed_wall_ms < horizon_ms, ROW.charged_nc > 0)
    earlier = connection.execute(older.group_by(ROW.site, ROW.modality).order_by(ROW.site, ROW.modality)).all()
    sites = connection.scalars(select(LOCKS.c.site).distinct().where(LOCKS.c.patient == patient).order_by(LOCKS.c.site))
    return History(
        patient=patient,
        records=tuple(record_of(row) for row in records),
        locked_sites=tuple(sites),
        earlier=tuple((site, modality_of(modality), count) for site, modality, count in earlier),
    )
