"""Rows of the ledger: how a session's reservation is raised, settled, read as history and added up."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import NamedTuple

from sqlalchemy import RowMapping

from safety.effects import ChannelRequest, PermitRequest, Settlement
from safety.history import Correction, History, Record
from safety.limits import Modality
from safety.prescription import Dose
from safety.rules.ledger import DAY_MS, WEEK_MS, given_since
from safety.units import is_whole

from .tables import LedgerRefusedError, LedgerUnavailableError

EVIDENCE = frozenset({"readback", "applied"})
"""Evidence on which less than the reservation may be charged (L08)."""
LARGEST = 2**63 - 1
"""The largest integer that the database keeps."""


class Total(NamedTuple):
    """What counts at one place, by one pair of pads and kind of therapy.

    Charge in nC of the last day and week, on-time in ms of the last week.
    """

    site: str
    pair: str
    modality: Modality
    day_nc: int
    week_nc: int
    week_on_ms: int


def larger(one: Dose, other: Dose) -> Dose:
    """Take the larger of each field."""
    return Dose(nc=max(one.nc, other.nc), i2t=max(one.i2t, other.i2t), on_ms=max(one.on_ms, other.on_ms))


def columns(name: str, dose: Dose) -> dict[str, int]:
    """Write a dose into its columns. Raises LedgerRefusedError for a number that the database cannot keep."""
    values = {f"{name}_{spec.name}": getattr(dose, spec.name) for spec in fields(Dose)}
    if not all(is_whole(value, 0, LARGEST) for value in values.values()):
        raise LedgerRefusedError(f"{dose} cannot be kept")
    return values


def dose_of(row: RowMapping, name: str) -> Dose | None:
    """Read a dose from its columns; None where there is none yet."""
    values = {spec.name: row[f"{name}_{spec.name}"] for spec in fields(Dose)}
    return None if None in values.values() else Dose(**values)


def reserved_of(row: RowMapping) -> Dose:
    """Read what a row reserves."""
    return Dose(nc=row["reserved_nc"], i2t=row["reserved_i2t"], on_ms=row["reserved_on_ms"])


def raised(device: str, request: PermitRequest, booked: Mapping[int, RowMapping]) -> PermitRequest:
    """Give the request as it will stand: at least what the session has reserved already.

    Raises LedgerRefusedError for a session that is settled, or is booked for something else.
    """
    whose = (device, request.patient, request.modality, request.rx, request.rx_digest)
    for row in booked.values():
        if row["closed_wall_ms"] is not None:
            raise LedgerRefusedError(f"session {request.session} is settled")
        if whose != (row["device"], row["patient"], row["modality"], row["rx"], row["rx_digest"]):
            raise LedgerRefusedError(f"session {request.session} is booked for another device, patient or prescription")
    channels = tuple(raised_channel(channel, booked.get(channel.channel)) for channel in request.channels)
    on_time_ms = max([request.on_time_ms, *(row["on_time_ms"] for row in booked.values())])
    return replace(request, channels=channels, on_time_ms=on_time_ms)


def raised_channel(channel: ChannelRequest, row: RowMapping | None) -> ChannelRequest:
    """Raise one channel's request to what its row reserves. Raises LedgerRefusedError for another place on the body."""
    if row is None:
        return channel
    if (channel.site, channel.pair) != (row["site"], row["pair"]):
        raise LedgerRefusedError(f"channel {channel.channel} is booked for {row['site']} {row['pair']}")
    return replace(channel, reserve=larger(channel.reserve, reserved_of(row)))


def settled(row: RowMapping, settlement: Settlement, charged: Dose | None, now_wall_ms: int) -> dict[str, object]:
    """Give the columns that settle a row; a row that is settled already can only rise."""
    evidence = settlement.evidence
    if charged is None or evidence not in EVIDENCE:
        charged, evidence = larger(charged or Dose(), reserved_of(row)), "reservation"
    known = dose_of(row, "charged")
    if known is not None:
        charged = larger(known, charged)
        evidence = row["evidence"] if charged == known else evidence
    values: dict[str, object] = {**columns("charged", charged), "evidence": evidence}
    if row["closed_wall_ms"] is None:
        values |= {
            # A clock that was set back must not make a session end before it began.
            "closed_wall_ms": max(now_wall_ms, row["opened_wall_ms"]),
            "ua": dict(settlement.ua).get(row["channel"], row["ua"]),
            "completed": int(settlement.completed),
            "played_ms": settlement.played_ms,
        }
    return values


def modality_of(text: str) -> Modality:
    """Read a modality. Raises LedgerUnavailableError for one that nobody wrote."""
    try:
        return Modality(text)
    except ValueError as error:
        raise LedgerUnavailableError(f"a row is damaged: {error}") from error


def record_of(row: RowMapping) -> Record:
    """Read a row as the rules see it. Raises LedgerUnavailableError where it is damaged."""
    return Record(
        session=row["session"],
        rx=row["rx"],
        site=row["site"],
        pair=row["pair"],
        modality=modality_of(row["modality"]),
        opened_wall_ms=row["opened_wall_ms"],
        closed_wall_ms=row["closed_wall_ms"],
        on_time_ms=row["on_time_ms"],
        reserved=reserved_of(row),
        charged=dose_of(row, "charged"),
        ua=row["ua"],
        ohm=row["ohm"],
        completed=bool(row["completed"]),
        played_ms=row["played_ms"],
    )


def correction_of(row: RowMapping) -> Correction:
    """Read a correction. Raises LedgerUnavailableError where it is damaged."""
    return Correction(
        site=row["site"],
        pair=row["pair"],
        modality=modality_of(row["modality"]),
        at_wall_ms=row["at_wall_ms"],
        dose=Dose(nc=row["nc"], i2t=row["i2t"], on_ms=row["on_ms"]),
        signed_by=tuple(row["signed_by"].split()),
        why=row["why"],
    )


def correction_row(patient: str, correction: Correction, now_wall_ms: int) -> dict[str, object]:
    """Write a correction."""
    return {
        "patient": patient,
        "site": correction.site,
        "pair": correction.pair,
        "modality": correction.modality.value,
        "at_wall_ms": correction.at_wall_ms,
        **asdict(correction.dose),
        "why": correction.why,
        "signed_by": " ".join(correction.signed_by),
        "entered_wall_ms": now_wall_ms,
    }


def totals(history: History, now_wall_ms: int) -> tuple[Total, ...]:
    """Add up a patient's records and corrections by site, pair and modality: for people to see."""
    places = [(record.site, record.pair, record.modality) for record in history.records]
    places += [(correction.site, correction.pair, correction.modality) for correction in history.corrections]
    return tuple(total_of(history, place, now_wall_ms) for place in dict.fromkeys(places))


def total_of(history: History, place: tuple[str, str, Modality], now_wall_ms: int) -> Total:
    """Add up what was given by one pair of pads."""
    site, pair, modality = place
    records = [record for record in history.records if record.pair == pair]
    corrections = [correction for correction in history.corrections if correction.pair == pair]
    day, week = (
        given_since(records, corrections, (site, modality), now_wall_ms, span_ms) for span_ms in (DAY_MS, WEEK_MS)
    )
    return Total(*place, day_nc=day.nc, week_nc=week.nc, week_on_ms=week.on_ms)
