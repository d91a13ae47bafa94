"""Permits, settlements, records and a judge: for the tests of the ledger."""

import sqlite3
from dataclasses import replace
from pathlib import Path

from controller.store.dose import Ledger
from safety.effects import ChannelRequest, Permit, PermitRequest, Settlement
from safety.history import Correction, History, Record
from safety.limits import HARD, Modality
from safety.prescription import Dose
from safety.verdict import Reason, Severity

NOW = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NO = (Reason("L03", Severity.REFUSE, "DOSE.DAY", 1, 3, 2, "nC"),)


def dose(nc: int, i2t: int = 0, on_ms: int = 0) -> Dose:
    return Dose(nc=nc, i2t=i2t, on_ms=on_ms)


FULL = dose(100, 200, 300)


def channel(number: int = 1, reserve: Dose = FULL, site: str = "calf-l", pair: str = "a") -> ChannelRequest:
    return ChannelRequest(channel=number, site=site, pair=pair, reserve=reserve, ua=20_000, ohm=1_500)


def request(
    session: str = "s-1", *channels: ChannelRequest, permit: int = 9, patient: str = "p-1", probe: bool = False
) -> PermitRequest:
    return PermitRequest(
        permit=Permit(permit, session, "ab", (), (), 1),
        session=session,
        patient=patient,
        rx="rx-1@1",
        rx_digest="ab",
        modality=Modality.TENS,
        on_time_ms=1_800_000,
        probe=probe,
        limits=HARD[Modality.TENS],
        channels=channels or (channel(),),
    )


def settlement(session: str, evidence: str, *charged: tuple[int, Dose]) -> Settlement:
    return Settlement(session=session, evidence=evidence, charged=charged)


def record(session: str = "s-1", **changed: object) -> Record:
    usual = Record(
        session=session,
        rx="rx-1@1",
        site="calf-l",
        pair="a",
        modality=Modality.TENS,
        opened_wall_ms=NOW,
        closed_wall_ms=None,
        on_time_ms=1_800_000,
        reserved=dose(100, 200, 300),
        charged=None,
        ua=20_000,
        ohm=1_500,
        completed=False,
        played_ms=0,
    )
    return replace(usual, **changed)  # type: ignore[arg-type]


def history(*records: Record, patient: str = "p-1") -> History:
    return History(patient=patient, records=records, locked_sites=())


CORRECTION = Correction("calf-l", "a", Modality.TENS, NOW - HOUR_MS, Dose(nc=5), ("dr-1",), "a reading was missed")


class Judge:
    """An admit that says what it is told to say, and remembers what it was asked."""

    def __init__(self) -> None:
        self.verdict: tuple[Reason, ...] = ()
        self.asked: list[tuple[History, PermitRequest, int]] = []

    def __call__(self, past: History, asked: PermitRequest, now_wall_ms: int) -> tuple[Reason, ...]:
        self.asked.append((past, asked, now_wall_ms))
        return self.verdict


def rows(path: Path, columns: str) -> list[tuple[object, ...]]:
    reader = sqlite3.connect(path)
    found = reader.execute(f"SELECT {columns} FROM reservations ORDER BY session, channel").fetchall()  # noqa: S608
    reader.close()
    return found


async def count(ledger: Ledger, patient: str = "p-1") -> list[tuple[str, Dose, Dose | None]]:
    return [(r.session, r.reserved, r.charged) for r in (await ledger.history(patient, NOW)).records]
