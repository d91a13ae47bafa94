"""What a wish to prepare names is looked up: its prescription, and what is left of a treatment that was broken off."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from controller.prescriptions import DEMO, instantiate, stamped
from controller.records import Records
from controller.store.clinic import Clinic
from controller.store.dose import Ledger
from controller.store.papers import Papers
from controller.store.tables import LedgerUnavailableError
from safety.attestation import ITEMS, Attestation
from safety.effects import AttestationRecord, CalibrationRecord, PermitRequest, Settlement
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
        self.papers = Papers(self.path)
        self.records = Records(self.clinic, self.papers, self.ledger)

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


# Thresholds

PLAN = LONG.channels[0]
assert PLAN.calibration is not None
FOUND = replace(PLAN.calibration, at_wall_ms=NOW - 60_000, motor_ua=17_000)


def found(**changes: object) -> CalibrationRecord:
    usual = {
        "session": "s-1", "patient": "p-1", "site": PLAN.site, "channel": 1, "principal": "physio-1",
        "calibration": FOUND,
    }  # fmt: skip
    return CalibrationRecord(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.rule("G19")
async def test_the_newest_thresholds_of_patient_place_and_pair_come_with_the_wish(shelf: Shelf) -> None:
    newest = replace(FOUND, at_wall_ms=NOW - 1, motor_ua=18_000)
    await shelf.records.keep(found(calibration=newest))
    for other in (
        found(), found(patient="p-2", calibration=replace(newest, at_wall_ms=NOW)),
        found(site="left-calf", calibration=replace(newest, at_wall_ms=NOW)),
        found(calibration=replace(newest, at_wall_ms=NOW, pair="z")),
    ):  # fmt: skip
        await shelf.records.keep(other)
    assert (await shelf.records.complete(ASKED, NOW)).calibrations == ((1, newest),)


async def test_where_no_thresholds_were_found_the_wish_has_none(shelf: Shelf) -> None:
    await shelf.records.keep(found(patient="p-2"))
    assert (await shelf.records.complete(ASKED, NOW)).calibrations == ()


async def test_what_was_found_is_there_after_a_restart_and_stays_as_it_was(shelf: Shelf) -> None:
    await shelf.records.keep(found())
    with closing(sqlite3.connect(shelf.path)) as database:
        for change in ("UPDATE calibrations SET body = '{}'", "DELETE FROM calibrations"):
            with pytest.raises(sqlite3.IntegrityError, match="stays as it was written"):
                database.execute(change)
    assert Papers(shelf.path).calibration("p-1", PLAN.site, PLAN.pair) == FOUND


async def test_thresholds_that_cannot_be_read_are_unavailable(shelf: Shelf) -> None:
    await shelf.records.keep(found())
    with closing(sqlite3.connect(shelf.path)) as database:
        database.execute("DROP TRIGGER calibrations_UPDATE")
        database.execute("UPDATE calibrations SET body = '{}'")
        database.commit()
    with pytest.raises(LedgerUnavailableError, match="a calibration is damaged"):
        await shelf.records.complete(ASKED, NOW)


# What was vouched for

CALM = Attestation(at_wall_ms=NOW - 60_000, by="physio-1", answers=tuple((item.id, "no") for item in ITEMS))


def vouched(attestation: Attestation, patient: str = "p-1") -> AttestationRecord:
    return AttestationRecord(session="s-1", patient=patient, attestation=attestation)


@pytest.mark.rule("G05")
@pytest.mark.hazard("H02")
async def test_what_was_vouched_for_last_comes_with_the_wish(shelf: Shelf) -> None:
    assert (await shelf.records.complete(ASKED, NOW)).attestation is None
    later = replace(CALM, at_wall_ms=NOW - 1, answers=(("pregnancy", "unknown"), *CALM.answers[1:]))
    for each in (later, CALM):
        await shelf.records.keep(vouched(each))
    await shelf.records.keep(vouched(replace(CALM, at_wall_ms=NOW), "p-2"))
    assert (await shelf.records.complete(ASKED, NOW)).attestation == later
    assert Papers(shelf.path).attestation("p-1") == later


@pytest.mark.hazard("H02")
async def test_what_was_vouched_for_stays_as_it_was_and_is_never_guessed(shelf: Shelf) -> None:
    await shelf.records.keep(vouched(CALM))
    with closing(sqlite3.connect(shelf.path)) as database:
        for change in ("UPDATE attestations SET body = '{}'", "DELETE FROM attestations"):
            with pytest.raises(sqlite3.IntegrityError, match="stays as it was written"):
                database.execute(change)
        database.execute("DROP TRIGGER attestations_UPDATE")
        database.execute("UPDATE attestations SET body = '{}'")
        database.commit()
    with pytest.raises(LedgerUnavailableError, match="an attestation is damaged"):
        await shelf.records.complete(ASKED, NOW)


def test_the_form_holds_every_question_and_answers_none() -> None:
    form = json.loads((DEMO / "attestation.json").read_text(encoding="utf-8"))
    assert form == {"answers": {item.id: "unknown" for item in ITEMS}}
