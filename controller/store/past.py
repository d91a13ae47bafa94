"""What the ledger knows of a patient, read for the rules: each part of a `History` by a query of its own."""

from sqlalchemy import Connection, distinct, func, or_, select

from safety.effects import PermitRequest
from safety.history import AdverseLock, History, PadUse
from safety.rules.ledger import ADVERSE, ADVERSE_MS, DAY_MS, TREND_OF, WEEK_MS

from .rows import correction_of, modality_of, record_of
from .tables import CORRECTIONS, LOCKS, MERGES, PAD_USES, PADS, RESERVATIONS

KEPT_MS = WEEK_MS + DAY_MS
"""How far back records are given one by one: the rules look at a week; a day more, for clocks that differ."""

ROW = RESERVATIONS.c


def barcodes_of(request: PermitRequest) -> tuple[str, ...]:
    """Name the pads that a permit would use."""
    return tuple(barcode for channel in request.channels for barcode in channel.pads)


def history_for(connection: Connection, request: PermitRequest, now_wall_ms: int) -> History:
    """Read what a permit is judged by: all that is known of its patient and pads, but its own session."""
    return history_of(connection, request.patient, now_wall_ms, request.session, barcodes_of(request))


def history_of(
    connection: Connection, patient: str, now_wall_ms: int, but_session: str = "", barcodes: tuple[str, ...] = ()
) -> History:
    """Read what is known of a patient and of these pads, without one session's own rows."""
    horizon_ms = now_wall_ms - KEPT_MS
    theirs = (ROW.patient == patient, ROW.session != but_session)
    recent = select(RESERVATIONS).where(*theirs, or_(ROW.closed_wall_ms.is_(None), ROW.closed_wall_ms >= horizon_ms))
    records = connection.execute(recent.order_by(ROW.opened_wall_ms, ROW.session, ROW.channel)).mappings()
    before = (*theirs, ROW.closed_wall_ms < horizon_ms, ROW.charged_nc > 0)
    # Days with a charge, not sessions: a treatment given in parts must not look like several.
    days = func.count(distinct(ROW.opened_wall_ms // DAY_MS))
    older = select(ROW.site, ROW.modality, days).where(*before, ROW.on_time_ms > 0)
    earlier = connection.execute(older.group_by(ROW.site, ROW.modality).order_by(ROW.site, ROW.modality)).all()
    # Apart for what was completed, so that the last completed one is among them.
    places = (ROW.site, ROW.pair, ROW.modality, ROW.completed)
    rank = func.row_number().over(partition_by=places, order_by=ROW.opened_wall_ms.desc()).label("rank")
    ranked = select(RESERVATIONS, rank).where(*before).subquery()
    last = connection.execute(
        select(ranked).where(ranked.c.rank <= TREND_OF).order_by(ranked.c.opened_wall_ms, ranked.c.session)
    ).mappings()
    corrected = select(CORRECTIONS).where(CORRECTIONS.c.patient == patient, CORRECTIONS.c.at_wall_ms >= horizon_ms)
    corrections = connection.execute(corrected.order_by(CORRECTIONS.c.number)).mappings()
    return History(
        patient=patient,
        records=tuple(record_of(row) for row in records),
        locked_sites=locked_sites(connection, patient),
        earlier=tuple((site, modality_of(modality), count) for site, modality, count in earlier),
        older=tuple(record_of(row) for row in last),
        adverse=adverse(connection, patient, now_wall_ms),
        pads=tuple(pad_use(connection, barcode, but_session) for barcode in barcodes),
        corrections=tuple(correction_of(row) for row in corrections),
        whole=is_whole(connection, patient),
    )


def locked_sites(connection: Connection, patient: str) -> tuple[str, ...]:
    """List the sites under a lock that holds until its latch is cleared."""
    held = select(LOCKS.c.site).distinct().where(LOCKS.c.patient == patient, LOCKS.c.rule != ADVERSE)
    return tuple(connection.scalars(held.order_by(LOCKS.c.site)))


def adverse(connection: Connection, patient: str, now_wall_ms: int) -> tuple[AdverseLock, ...]:
    """List the reports of harm that may still hold a site: not released, or younger than their least time."""
    of = LOCKS.c
    standing = or_(of.released_wall_ms.is_(None), of.since_wall_ms > now_wall_ms - ADVERSE_MS)
    found = select(of.site, of.since_wall_ms, of.released_wall_ms).where(
        of.patient == patient, of.rule == ADVERSE, standing
    )
    rows = connection.execute(found.order_by(of.since_wall_ms, of.site))
    return tuple(AdverseLock(site, since_ms, released_ms is not None) for site, since_ms, released_ms in rows)


def pad_use(connection: Connection, barcode: str, but_session: str) -> PadUse:
    """Say how often a pad was used in other sessions, and when it expires."""
    uses = select(func.count()).where(PAD_USES.c.barcode == barcode, PAD_USES.c.session != but_session)
    expires = select(PADS.c.expires_wall_ms).where(PADS.c.barcode == barcode)
    return PadUse(barcode, connection.scalar(uses) or 0, connection.scalar(expires))


def is_whole(connection: Connection, patient: str) -> bool:
    """Tell whether this reference is all that the patient is known by (L09)."""
    either = or_(MERGES.c.patient == patient, MERGES.c.same_as == patient)
    return connection.execute(select(MERGES).where(either)).first() is None
