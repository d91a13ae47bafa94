"""`stimwarden ledger`: what patients were given, and the entries that people make beside the service."""

import asyncio
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from safety.admit import admit
from safety.history import Correction, History
from safety.limits import Modality
from safety.prescription import Dose

from . import clock
from .cli_errors import FailureError, MisuseError
from .contract import codes
from .contract.codes import quantity
from .contract.envelope import utc_text
from .settings import load
from .store.dose import Ledger
from .store.rows import totals


class Wrong(NamedTuple):
    """What somebody corrects: where and when, by how much, who stands for it and why."""

    site: str
    pair: str
    modality: str
    at: datetime
    dose: Dose
    signed_by: tuple[str, ...]
    why: str


def ledger_of(config: Path) -> Ledger:
    """Open the site's ledger. Raises LedgerUnavailableError where there is none."""
    return Ledger(load(config).storage.ledger, admit, may_create=False)


def show(patient: str, config: Path) -> None:
    """Print what counts for a patient now, place by place, and what holds them."""
    now_wall_ms = clock.now().wall_ms
    history = asyncio.run(ledger_of(config).history(patient, now_wall_ms))
    table = Table(
        "site", "pair", "therapy", "charge, a day", "charge, a week", "on-time, a week", box=None, pad_edge=False
    )
    for total in totals(history, now_wall_ms):
        amounts = (quantity(total.day_nc, "nC"), quantity(total.week_nc, "nC"), quantity(total.week_on_ms, "ms"))
        table.add_row(total.site, total.pair, total.modality.value, *amounts)
    console = Console(highlight=False)
    console.print(table)
    for line in holding(history):
        console.print(line)


def holding(history: History) -> list[str]:
    """Say what keeps a patient from being treated, and what was corrected."""
    lines = [f"locked: {site or 'every site'}" for site in history.locked_sites]
    for site, since_wall_ms, released in history.adverse:
        how = "released" if released else "not released"
        lines.append(f"harm reported: {site or 'every site'}, {utc_text(since_wall_ms)[:16]}, {how}")
    lines += [
        f"corrected: {c.site} {c.pair} {c.modality.value} at {utc_text(c.at_wall_ms)[:16]} by "
        f"{quantity(c.dose.nc, 'nC')}, {quantity(c.dose.on_ms, 'ms')}; signed by {', '.join(c.signed_by)}: {c.why}"
        for c in history.corrections
    ]
    return lines if history.whole else [*lines, "known under another reference too: nothing is admitted"]


def correct(patient: str, wrong: Wrong, config: Path) -> None:
    """Append a correction, if rule L13 admits it."""
    try:
        modality = Modality(wrong.modality)
    except ValueError:
        raise MisuseError(f"{wrong.modality!r} is neither nmes nor tens") from None
    if any(" " in name for name in wrong.signed_by):
        raise MisuseError("who signs is named by the login, without spaces")
    at_wall_ms = int(wrong.at.replace(tzinfo=UTC).timestamp()) * 1000
    entry = Correction(
        wrong.site, wrong.pair, modality, at_wall_ms, wrong.dose, tuple(dict.fromkeys(wrong.signed_by)), wrong.why
    )
    reasons = asyncio.run(ledger_of(config).correct(patient, entry, clock.now().wall_ms))
    if reasons:
        raise FailureError("\n".join(f"{reason.rule} {reason.code}: {codes.text(reason.code)}" for reason in reasons))
    print("appended")


def merge(patient: str, same_as: str, config: Path) -> None:
    """Keep that two references are one person."""
    asyncio.run(ledger_of(config).merge(patient, same_as, clock.now().wall_ms))
    print(
        f"{patient} and {same_as} are kept as one person: neither is admitted to any treatment until that is resolved"
    )


def register(barcode: str, expires: date, config: Path) -> None:
    """Keep when a pad expires: at the end of that day, UTC."""
    end_ms = int(datetime.combine(expires, time.max, UTC).timestamp()) * 1000
    asyncio.run(ledger_of(config).register_pad(barcode, end_ms))
    print(f"{barcode} is good until {expires.isoformat()}")
