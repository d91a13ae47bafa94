"""What the ledger keeps besides doses: pads, corrections, reports of harm, merged references, the last of the older."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from controller.store.dose import Ledger
from controller.store.past import KEPT_MS
from safety.admit import admit
from safety.effects import Settlement
from safety.history import AdverseLock, PadUse, Record
from safety.limits import Modality
from safety.messages import Latch
from safety.prescription import Dose
from safety.verdict import Clear, Scope
from tests.controller.bookings import CORRECTION, DAY_MS, NOW, Judge, channel, dose, request, rows, settlement


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, judge: Judge) -> Ledger:
    return Ledger(path, judge, may_create=True)


# What a session was


@pytest.mark.rule("L06")
@pytest.mark.rule("L12")
async def test_set_point_and_skin_check_are_those_of_the_last_permit_until_the_end_says_better(
    ledger: Ledger, path: Path
) -> None:
    await ledger.reserve("dev1", request("s-1", channel(1), channel(2)), NOW)
    risen = replace(channel(1), ua=24_000, ohm=1_600)
    await ledger.reserve("dev1", request("s-1", risen, permit=12), NOW + 1)
    assert rows(path, "channel, ua, ohm, completed, played_ms") == [(1, 24_000, 1_600, 0, 0), (2, 20_000, 1_500, 0, 0)]
    end = Settlement(
        session="s-1", evidence="readback", charged=((1, dose(5)),), completed=True, played_ms=900, ua=((1, 22_000),)
    )
    await ledger.settle(end, NOW + 2)
    expected = [(1, 22_000, 1_600, 1, 900), (2, 20_000, 1_500, 1, 900)]
    assert rows(path, "channel, ua, ohm, completed, played_ms") == expected
    await ledger.settle(settlement("s-1", "reservation"), NOW + 3)
    assert rows(path, "channel, ua, ohm, completed, played_ms") == expected
    found = (await ledger.history("p-1", NOW)).records
    assert [(r.ua, r.ohm, r.completed, r.played_ms) for r in found] == [row[1:] for row in expected]


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM reservations",
        *(
            f"UPDATE reservations SET {kind}_{unit} = {kind}_{unit} - 1"  # noqa: S608
            for kind in ("reserved", "charged")
            for unit in ("nc", "i2t", "on_ms")
        ),
        "DELETE FROM corrections",
        "UPDATE corrections SET nc = 0",
    ],
)
async def test_the_database_itself_lets_nothing_that_was_counted_fall(ledger: Ledger, path: Path, change: str) -> None:
    await ledger.reserve("dev1", request(), NOW)
    await ledger.settle(settlement("s-1", "applied", (1, dose(7, 8, 9))), NOW)
    assert await ledger.correct("p-1", CORRECTION, NOW) == ()
    before = await ledger.history("p-1", NOW)
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(change)
    assert await ledger.history("p-1", NOW) == before


# Older than a week


async def give(ledger: Ledger, session: str, days: int, *, completed: bool = True, **of: object) -> None:
    """A session so many days ago."""
    begun = NOW - days * DAY_MS
    asked = replace(request(session, replace(channel(), **of)))  # type: ignore[arg-type]
    await ledger.reserve("dev1", asked, begun)
    end = Settlement(session=session, evidence="readback", charged=((1, dose(5)),), completed=completed)
    await ledger.settle(end, begun + 1)


def named(records: tuple[Record, ...]) -> list[str]:
    return [record.session for record in records]


@pytest.mark.rule("L06")
@pytest.mark.rule("L12")
async def test_the_last_five_of_what_is_older_are_known_and_the_last_completed_among_them(ledger: Ledger) -> None:
    for days in range(40, 30, -1):
        await give(ledger, f"broken-{days}", days, completed=False)
    await give(ledger, "done-50", 50)
    await give(ledger, "done-90", 90)
    await give(ledger, "other-pair", 60, pair="b")
    await give(ledger, "other-site", 60, site="thigh-r")
    await give(ledger, "recent", 2)
    history = await ledger.history("p-1", NOW)
    assert sorted(named(history.older)) == [
        "broken-31", "broken-32", "broken-33", "broken-34", "broken-35", "done-50", "done-90", "other-pair",
        "other-site",
    ]  # fmt: skip
    assert named(history.records) == ["recent"]
    assert (await ledger.history("p-2", NOW)).older == ()


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
async def test_a_calibration_of_long_ago_was_no_treatment(ledger: Ledger) -> None:
    for session, on_time_ms in (("found", 0), ("given", 1)):
        asked = replace(request(session), on_time_ms=on_time_ms)
        await ledger.reserve("dev1", asked, NOW - (40 + on_time_ms) * DAY_MS)
        await ledger.settle(settlement(session, "applied", (1, dose(5))), NOW - (40 + on_time_ms) * DAY_MS)
    assert (await ledger.history("p-1", NOW)).earlier == (("calf-l", Modality.TENS, 1),)


@pytest.mark.rule("L06")
@pytest.mark.parametrize(("off_ms", "is_older"), [(-1, True), (0, False)])
async def test_a_session_is_either_counted_or_older(ledger: Ledger, off_ms: int, is_older: bool) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW - 20 * DAY_MS)
    await ledger.settle(settlement("s-1", "applied", (1, dose(5))), NOW - KEPT_MS + off_ms)
    history = await ledger.history("p-1", NOW)
    assert (named(history.older), named(history.records)) == ((["s-1"], []) if is_older else ([], ["s-1"]))


# Pads


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
async def test_a_pad_is_counted_once_a_session_when_it_is_armed(ledger: Ledger, judge: Judge) -> None:
    padded = replace(channel(), pads=("x", "y"))
    for permit in (9, 12):
        await ledger.reserve("dev1", request("s-1", padded, permit=permit), NOW)
        assert judge.asked[-1][0].pads == (PadUse("x", 0, None), PadUse("y", 0, None))
    await ledger.register_pad("y", NOW + 5)
    await ledger.reserve("dev2", request("s-2", replace(channel(), pads=("y", "z")), patient="p-2"), NOW)
    assert judge.asked[-1][0].pads == (PadUse("y", 1, NOW + 5), PadUse("z", 0, None))
    await ledger.reserve(
        "dev2", request("s-3", replace(channel(2), pads=("y",)), replace(channel(3), pads=("x",))), NOW
    )
    assert judge.asked[-1][0].pads == (PadUse("y", 2, NOW + 5), PadUse("x", 1, None))


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
async def test_a_pad_that_was_not_armed_was_not_used(ledger: Ledger, judge: Judge, path: Path) -> None:
    await ledger.register_pad("x", NOW + 5)
    real = Ledger(path, admit, may_create=False)
    worn = replace(channel(), pads=("x",))
    assert (await real.reserve("dev1", request("s-1", worn, patient="p-2"), NOW + 6)).reasons != ()
    await real.reserve("dev1", request("s-2", worn, probe=True), NOW)
    await ledger.reserve("dev1", request("s-3", worn), NOW)
    assert judge.asked[-1][0].pads == (PadUse("x", 0, NOW + 5),)


@pytest.mark.rule("L11")
async def test_of_two_dates_the_earlier_counts(ledger: Ledger, judge: Judge) -> None:
    for expires in (NOW + 5, NOW + 9, NOW + 3, NOW + 4):
        await ledger.register_pad("x", expires)
    await ledger.reserve("dev1", request("s-1", replace(channel(), pads=("x",))), NOW)
    assert judge.asked[-1][0].pads == (PadUse("x", 0, NOW + 3),)


# Corrections


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
async def test_a_correction_is_appended_and_counts_for_its_patient_and_place(ledger: Ledger) -> None:
    second = CORRECTION._replace(dose=Dose(nc=-5, i2t=0, on_ms=0), signed_by=("dr-1", "dr-2"))
    assert await ledger.correct("p-1", CORRECTION, NOW) == ()
    assert [reason.code for reason in await ledger.correct("p-1", second._replace(signed_by=("dr-1",)), NOW)] == [
        "DOSE.UNSIGNED"
    ]
    assert await ledger.correct("p-1", second, NOW) == ()
    assert [reason.code for reason in await ledger.correct("p-1", second, NOW)] == ["DOSE.CORRECTION"]
    assert (await ledger.history("p-1", NOW)).corrections == (CORRECTION, second)
    assert (await ledger.history("p-2", NOW)).corrections == ()


@pytest.mark.rule("L13")
@pytest.mark.parametrize(("off_ms", "is_known"), [(0, True), (1, False)])
async def test_a_correction_is_forgotten_with_what_it_corrects(ledger: Ledger, off_ms: int, is_known: bool) -> None:
    await ledger.correct("p-1", CORRECTION, NOW)
    later = CORRECTION.at_wall_ms + KEPT_MS + off_ms
    assert (await ledger.history("p-1", later)).corrections == ((CORRECTION,) if is_known else ())


# Harm


def latch(number: int, rule: str = "M24") -> Latch:
    return Latch(number, Scope.MONTAGE, rule, Clear.ACK_QUALIFIED, "p-1/calf-l", NOW)


@pytest.mark.rule("L10")
@pytest.mark.hazard("H05")
async def test_a_report_of_harm_holds_a_day_at_least_and_until_it_is_released(ledger: Ledger) -> None:
    async def known(now_wall_ms: int) -> tuple[tuple[AdverseLock, ...], tuple[str, ...]]:
        history = await ledger.history("p-1", now_wall_ms)
        return history.adverse, history.locked_sites

    await ledger.lock("dev1", "p-1", "calf-l", latch(5))
    standing = AdverseLock("calf-l", NOW, released=False)
    assert await known(NOW) == await known(NOW + 90 * DAY_MS) == ((standing,), ())
    assert await ledger.locks("dev1") == (5,)
    for later in (7, 8):
        await ledger.unlock("dev1", 5, NOW + later)
    assert await known(NOW + DAY_MS - 1) == ((standing._replace(released=True),), ())
    assert await known(NOW + DAY_MS) == ((), ())
    assert await ledger.locks("dev1") == ()


@pytest.mark.rule("L10")
@pytest.mark.hazard("H31")
async def test_a_released_report_that_is_told_again_stays_released(ledger: Ledger) -> None:
    await ledger.lock("dev1", "p-1", "calf-l", latch(5))
    await ledger.unlock("dev1", 5, NOW)
    await ledger.lock("dev1", "p-1", "calf-l", latch(5))
    assert (await ledger.history("p-1", NOW)).adverse == (AdverseLock("calf-l", NOW, released=True),)


@pytest.mark.rule("G27")
async def test_locks_are_listed_by_device(ledger: Ledger) -> None:
    for device, number, rule in (("dev1", 7, "M08"), ("dev1", 5, "M24"), ("dev2", 6, "M08")):
        await ledger.lock(device, "p-1", "calf-l", latch(number, rule))
    assert [await ledger.locks(device) for device in ("dev1", "dev2", "dev3")] == [(5, 7), (6,), ()]


# One person under two references


@pytest.mark.rule("L09")
@pytest.mark.hazard("H47")
async def test_the_history_of_merged_references_is_not_whole(path: Path) -> None:
    ledger = Ledger(path, admit, may_create=True)
    for _ in range(2):
        await ledger.merge("p-1", "p-2", NOW)
    whole = [(await ledger.history(patient, NOW)).whole for patient in ("p-1", "p-2", "p-3")]
    assert whole == [False, False, True]
    refused = await ledger.reserve("dev1", request("s-1", patient="p-2"), NOW)
    assert [(reason.rule, reason.code) for reason in refused.reasons] == [("L09", "DOSE.NOT_WHOLE")]
