"""What a wish to prepare names is looked up: its prescription, and what is left of a treatment that was broken off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.prescriptions import instantiate, stamped
from controller.records import Records
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.tables import LedgerUnavailableError
from safety.effects import PermitRequest, Settlement
from safety.messages import Prepare
from tests.controller.bookings import NOW, Judge, dose, request

CALF = instantiate("calf", "p-1", NOW)
LONG = stamped(replace(CALF, programme=replace(CALF.programme, therapy_ms=60_000)))
"""Cycles of 10 s."""
ASKED = Prepare(None, LONG.ref, "p-1", pads=((1, ("b",)),), continues=True)


class Shelf:
    """Records on files, and what was played before."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.ledger = Ledger(self.path, Judge(), may_create=True)
        self.clinic = Clinic(self.path)
        self.clinic.add(LONG, NOW)
        self.records = Records(self.clinic, self.ledger)

    async def play(self, session: str, played_ms: int, ago_ms: int, *, settled: bool = True, **changes: object) -> None:
        asked: PermitRequest = replace(request(session), **({"rx": LONG.ref} | changes))  # type: ignore[arg-type]
        await self.ledger.reserve("dev1", asked, NOW - ago_ms)
        charged = ((1, dose(5)),)
        if settled:
            played = Settlement(session=session, evidence="readback", charged=charged, played_ms=played_ms)
            await self.ledger.settle(played, NOW - ago_ms + 1)

    async def played_ms(self) -> int:
        return (await self.records.complete(ASKED, NOW)).played_ms


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_a_prescription_is_found_by_its_name_and_nothing_else_is_changed(shelf: Shelf) -> None:
    plain = replace(ASKED, continues=False)
    await shelf.play("s-1", 25_000, 60_000)
    assert await shelf.records.complete(plain, NOW) == replace(plain, rx=LONG)
    unknown = replace(ASKED, asked="calf@9")
    assert await shelf.records.complete(unknown, NOW) == unknown


@pytest.mark.rule("L01")
async def test_a_treatment_goes_on_where_its_last_session_came_to(shelf: Shelf) -> None:
    assert await shelf.played_ms() == 0
    await shelf.play("s-1", 25_000, 120_000)
    assert await shelf.played_ms() == 25_000
    await shelf.play("s-2", 41_000, 60_000)
    assert await shelf.played_ms() == 41_000
    await shelf.play("s-3", 3_000, 30_000, rx="calf@2")
    await shelf.play("s-4", 3_000, 30_000, patient="p-2")
    await shelf.play("s-5", 3_000, 30_000, settled=False)
    assert await shelf.played_ms() == 41_000


@pytest.mark.rule("L01")
@pytest.mark.parametrize(("played_ms", "left"), [(50_000, 50_000), (50_001, 0), (60_000, 0)])
async def test_what_has_no_whole_cycle_left_is_not_continued(shelf: Shelf, played_ms: int, left: int) -> None:
    await shelf.play("s-1", played_ms, 60_000)
    assert await shelf.played_ms() == left


@pytest.mark.parametrize("continues", [False, True])
async def test_records_that_cannot_be_read_are_unavailable(shelf: Shelf, continues: bool) -> None:
    shelf.path.rename(shelf.path.with_name("away.db"))
    with pytest.raises(LedgerUnavailableError):
        await shelf.records.complete(replace(ASKED, continues=continues), NOW)
