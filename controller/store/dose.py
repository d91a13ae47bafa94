"""The ledger: what each patient was given, and what is reserved and may still be given.

A reservation is judged and written in one transaction, so that two sessions cannot both be admitted on the same
history. What has no settlement counts in full, as reserved: a crash can only make a total too high.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import Connection, RowMapping, and_, delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from controller.host import Thread, Worker
from safety.admit import admit_correction
from safety.effects import PermitRequest, Settlement
from safety.history import Correction, History
from safety.messages import Latch
from safety.prescription import Dose
from safety.rules.ledger import ADVERSE
from safety.verdict import Reason, Severity

from .past import barcodes_of, history_for, history_of
from .rows import columns, correction_row, larger, raised, settled
from .tables import (
    CORRECTIONS,
    HOLDS,
    LOCKS,
    MERGES,
    PAD_USES,
    PADS,
    RESERVATIONS,
    LedgerRefusedError,
    LedgerUnavailableError,
    connect,
    open_database,
)

Admit = Callable[[History, PermitRequest, int], tuple[Reason, ...]]
"""The judge of a patient's history; an empty verdict admits."""

ROW = RESERVATIONS.c
HELD = HOLDS.c
PATIENT, DEVICE = "patient", "device"
"""What a session holds."""
NEWEST = "SELECT max(token) FROM holds WHERE kind = ? AND key = ? OR kind = ? AND key = ?"

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Reserved(NamedTuple):
    """The ledger's word on a permit: why not, or else the token of the session's hold.

    A newer token for its patient or its device means that somebody else holds them now (X10).
    """

    reasons: tuple[Reason, ...]
    token: int = 0


class Foreseen(NamedTuple):
    """What `reserve` would judge a permit by: who else holds patient or device, the history, the request as raised."""

    held: tuple[Reason, ...]
    history: History
    request: PermitRequest


def in_worker(
    method: Callable[Concatenate["Ledger", Params], Result],
) -> Callable[Concatenate["Ledger", Params], Coroutine[None, None, Result]]:
    """Make a method that blocks one that is awaited: the ledger's own worker does it, one call after the other."""

    @wraps(method)
    async def run(self: "Ledger", /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        call = partial(method, self, *args, **kwargs)
        try:
            return await self._worker.do(call)
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailableError(str(error)) from error

    return run


class Ledger:
    """The ledger of all devices. Each method is one transaction; LedgerUnavailableError says that it did not happen."""

    def __init__(self, path: Path, admit: Admit, *, may_create: bool, worker: Callable[[str], Worker] = Thread) -> None:
        """Open the database; `may_create` says that there may be none yet. Raises LedgerUnavailableError."""
        self._path = path
        self._engine = open_database(path, may_create=may_create)
        self._admit = admit
        self._worker = worker("ledger")

    @in_worker
    def reserve(self, device: str, request: PermitRequest, now_wall_ms: int, hold_ms: int = 0) -> Reserved:
        """Reserve what a permit asks, if the patient's history admits it: then there are no reasons.

        The session then holds its patient and its device for `hold_ms`; no other session gets either before that has
        passed or this one is settled. A later permit of the session raises its reservation, never lowers it, and may
        lengthen its hold; test pulses reserve and hold nothing. Raises LedgerRefusedError for a session that is
        settled, or is booked for something else.
        """
        if request.probe:
            return Reserved(())
        with self._transaction() as connection:
            booked = booked_by(connection, request.session)
            request = raised(device, request, booked)
            holds = holds_on(connection, request.patient, device)
            history = history_for(connection, request, now_wall_ms)
            reasons = held(holds, request.session, now_wall_ms) + self._admit(history, request, now_wall_ms)
            if reasons:
                return Reserved(reasons)
            write(connection, device, request, booked, now_wall_ms)
            for barcode in barcodes_of(request):
                use(connection, barcode, request.session, now_wall_ms)
            token = hold(connection, holds, request, device, now_wall_ms + hold_ms)
        return Reserved((), token)

    @in_worker
    def foresee(self, device: str, request: PermitRequest, now_wall_ms: int) -> Foreseen:
        """Give what `reserve` would judge this by now, and write nothing. Raises LedgerRefusedError as it does."""
        with self._transaction() as connection:
            request = raised(device, request, booked_by(connection, request.session))
            holds = held(holds_on(connection, request.patient, device), request.session, now_wall_ms)
            return Foreseen(holds, history_for(connection, request, now_wall_ms), request)

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
                values = settled(row, settlement, charged.get(channel), now_wall_ms)
                connection.execute(
                    update(RESERVATIONS).where(ROW.session == settlement.session, ROW.channel == channel).values(values)
                )
            connection.execute(update(HOLDS).where(HELD.session == settlement.session).values(ends_wall_ms=0))

    @in_worker
    def lock(self, device: str, patient: str, site: str, latch: Latch) -> None:
        """Lock a patient's site until the device's latch is cleared; again it changes nothing."""
        where = (LOCKS.c.device == device, LOCKS.c.latch == latch.id)
        values = {"device": device, "latch": latch.id, "patient": patient, "site": site, "rule": latch.rule}
        with self._transaction() as connection:
            if connection.execute(select(LOCKS).where(*where)).first() is None:
                connection.execute(insert(LOCKS).values(**values, since_wall_ms=latch.since_wall_ms))

    @in_worker
    def unlock(self, device: str, latch_id: int, now_wall_ms: int) -> None:
        """Remove the lock of a device's latch, if there is one; of a report of harm it is kept that it was released."""
        its = and_(LOCKS.c.device == device, LOCKS.c.latch == latch_id)
        with self._transaction() as connection:
            connection.execute(delete(LOCKS).where(its, LOCKS.c.rule != ADVERSE))
            unreleased = and_(its, LOCKS.c.released_wall_ms.is_(None))
            connection.execute(update(LOCKS).where(unreleased).values(released_wall_ms=now_wall_ms))

    @in_worker
    def locks(self, device: str) -> tuple[int, ...]:
        """List the device's latches whose lock stands here."""
        standing = select(LOCKS.c.latch).where(LOCKS.c.device == device, LOCKS.c.released_wall_ms.is_(None))
        with self._transaction() as connection:
            return tuple(connection.scalars(standing.order_by(LOCKS.c.latch)))

    @in_worker
    def token(self, patient: str, device: str) -> int:
        """Give the newest token of a patient or a device (0: none yet)."""
        # Every session asks each second, and a question alone needs no lock: the file is asked directly.
        with closing(connect(self._path, "rw")) as connection:
            (newest,) = connection.execute(NEWEST, (PATIENT, patient, DEVICE, device)).fetchone()
        return newest or 0

    @in_worker
    def correct(self, patient: str, correction: Correction, now_wall_ms: int) -> tuple[Reason, ...]:
        """Append a correction, if rule L13 admits it: then the verdict is empty."""
        with self._transaction() as connection:
            reasons = admit_correction(history_of(connection, patient, now_wall_ms), correction, now_wall_ms)
            if not reasons:
                connection.execute(insert(CORRECTIONS).values(correction_row(patient, correction, now_wall_ms)))
        return reasons

    @in_worker
    def merge(self, patient: str, same_as: str, now_wall_ms: int) -> None:
        """Keep that two references are one person: neither's history is whole any more (L09)."""
        with self._transaction() as connection:
            known = and_(MERGES.c.patient == patient, MERGES.c.same_as == same_as)
            if connection.execute(select(MERGES).where(known)).first() is None:
                values = {"patient": patient, "same_as": same_as, "since_wall_ms": now_wall_ms}
                connection.execute(insert(MERGES).values(values))

    @in_worker
    def register_pad(self, barcode: str, expires_wall_ms: int) -> None:
        """Keep when a pad expires; said twice, the earlier time counts."""
        with self._transaction() as connection:
            known = connection.scalar(select(PADS.c.expires_wall_ms).where(PADS.c.barcode == barcode))
            if known is None:
                connection.execute(insert(PADS).values(barcode=barcode, expires_wall_ms=expires_wall_ms))
            elif expires_wall_ms < known:
                pad = PADS.c.barcode == barcode
                connection.execute(update(PADS).where(pad).values(expires_wall_ms=expires_wall_ms))

    @in_worker
    def history(self, patient: str, now_wall_ms: int) -> History:
        """Give all of a patient's records that can matter now."""
        with self._transaction() as connection:
            return history_of(connection, patient, now_wall_ms)

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
            "ua": channel.ua,
            "ohm": channel.ohm,
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


def holds_on(connection: Connection, patient: str, device: str) -> list[RowMapping]:
    """Read the holds on a patient and on a device."""
    either = or_(and_(HELD.kind == PATIENT, HELD.key == patient), and_(HELD.kind == DEVICE, HELD.key == device))
    return list(connection.execute(select(HOLDS).where(either).order_by(HELD.kind)).mappings())


def held(holds: list[RowMapping], session: str, now_wall_ms: int) -> tuple[Reason, ...]:
    """X10, H47: one session at a time on a patient, and on a device."""
    left_ms = max((int(row["ends_wall_ms"]) - now_wall_ms for row in holds if row["session"] != session), default=0)
    return (Reason("X10", Severity.REFUSE, "SES.HELD", 0, left_ms, 0, "ms"),) if left_ms > 0 else ()


def hold(
    connection: Connection, holds: list[RowMapping], request: PermitRequest, device: str, ends_wall_ms: int
) -> int:
    """Hold patient and device for a session; gives the token.

    It is the one that the session has, or else one above every token that either ever had. A hold never ends sooner
    for being asked for again.
    """
    newest = max((int(row["token"]) for row in holds), default=0)
    mine = [row for row in holds if row["session"] == request.session]
    token = newest if len(mine) == 2 else newest + 1
    ends_wall_ms = max([ends_wall_ms, *(int(row["ends_wall_ms"]) for row in mine)])
    known = {row["kind"] for row in holds}
    for kind, key in ((PATIENT, request.patient), (DEVICE, device)):
        values = {"token": token, "session": request.session, "ends_wall_ms": ends_wall_ms}
        if kind in known:
            connection.execute(update(HOLDS).where(HELD.kind == kind, HELD.key == key).values(values))
        else:
            connection.execute(insert(HOLDS).values({**values, "kind": kind, "key": key}))
    return token


def use(connection: Connection, barcode: str, session: str, now_wall_ms: int) -> None:
    """Count a pad's use, once a session."""
    known = and_(PAD_USES.c.barcode == barcode, PAD_USES.c.session == session)
    if connection.execute(select(PAD_USES).where(known)).first() is None:
        connection.execute(insert(PAD_USES).values(barcode=barcode, session=session, used_wall_ms=now_wall_ms))
