"""X10: one session at a time holds a patient and a device, with a token that only rises."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controller.store.dose import Ledger, Reserved
from safety.verdict import Reason, Severity
from tests.controller.bookings import NO, NOW, Judge, channel, dose, request, rows, settlement

pytestmark = [pytest.mark.rule("X10"), pytest.mark.hazard("H26")]
MINUTE_MS = 60_000


def held(left_ms: int) -> Reserved:
    return Reserved((Reason("X10", Severity.REFUSE, "SES.HELD", 0, left_ms, 0, "ms"),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    return Ledger(path, Judge(), may_create=True)


@pytest.mark.hazard("H47")
@pytest.mark.parametrize(
    ("device", "patient", "is_held"),
    [("dev2", "p-1", True), ("dev1", "p-2", True), ("dev1", "p-1", True), ("dev2", "p-2", False)],
)
async def test_nobody_else_gets_a_patient_or_a_device_that_is_held(
    ledger: Ledger, path: Path, device: str, patient: str, is_held: bool
) -> None:
    assert await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS) == Reserved((), 1)
    asked = request("s-2", patient=patient)
    assert await ledger.reserve(device, asked, NOW + 1, MINUTE_MS) == (
        held(MINUTE_MS - 1) if is_held else Reserved((), 1)
    )
    assert [session for (session,) in rows(path, "session")] == (["s-1"] if is_held else ["s-1", "s-2"])


@pytest.mark.parametrize(("off_ms", "is_held"), [(-1, True), (0, False), (1, False)])
async def test_a_hold_ends_by_itself(ledger: Ledger, off_ms: int, is_held: bool) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS)
    found = await ledger.reserve("dev2", request("s-2"), NOW + MINUTE_MS + off_ms, MINUTE_MS)
    assert found == (held(1) if is_held else Reserved((), 2))


async def test_a_session_that_is_settled_gives_its_hold_back_and_the_token_rises(ledger: Ledger) -> None:
    for number in range(1, 4):
        session = f"s-{number}"
        assert await ledger.reserve("dev1", request(session), NOW + number, MINUTE_MS) == Reserved((), number)
        await ledger.settle(settlement(session, "reservation"), NOW + number)
    assert await ledger.reserve("dev2", request("s-4"), NOW + 9, MINUTE_MS) == Reserved((), 4)


@pytest.mark.parametrize(("hold_ms", "ends_ms"), [(1, MINUTE_MS), (40_000, 70_000)])
async def test_a_later_permit_of_the_session_has_the_same_token_and_no_sooner_end(
    ledger: Ledger, hold_ms: int, ends_ms: int
) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS)
    again = request("s-1", channel(1, dose(500)), permit=12)
    assert await ledger.reserve("dev1", again, NOW + 30_000, hold_ms) == Reserved((), 1)
    for asked in (request("s-2"), request("s-3", patient="p-2")):
        assert await ledger.reserve("dev1", asked, NOW + ends_ms - 1, MINUTE_MS) == held(1)
    assert (await ledger.reserve("dev2", request("s-2"), NOW + ends_ms, MINUTE_MS)).reasons == ()


async def test_a_session_whose_patient_was_somebody_elses_meanwhile_gets_a_new_token(ledger: Ledger) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW, 0)
    await ledger.reserve("dev2", request("s-2"), NOW, 0)
    assert (await ledger.reserve("dev1", request("s-1", permit=12), NOW, MINUTE_MS)).token == 3
    assert [await ledger.token("p-1", "none"), await ledger.token("none", "dev1")] == [3, 3]


async def test_a_token_is_above_all_that_patient_and_device_ever_had(ledger: Ledger) -> None:
    for number in range(3):
        await ledger.reserve("dev1", request(f"a-{number}", patient=f"p-{number}"), NOW, 0)
    assert await ledger.token("p-2", "dev1") == 3
    assert await ledger.token("p-9", "dev9") == 0
    assert (await ledger.reserve("dev2", request("b", patient="p-9"), NOW, 0)).token == 1
    assert (await ledger.reserve("dev1", request("c", patient="p-9"), NOW, 0)).token == 4
    assert (await ledger.reserve("dev2", request("d", patient="p-9"), NOW, 0)).token == 5
    assert [await ledger.token("p-9", "none"), await ledger.token("none", "dev1")] == [5, 4]


async def test_whoever_lost_its_hold_sees_a_newer_token_and_gets_no_more(ledger: Ledger) -> None:
    mine = await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS)
    await ledger.reserve("dev2", request("s-2"), NOW + MINUTE_MS, MINUTE_MS)
    assert await ledger.token("p-1", "dev1") > mine.token
    assert await ledger.reserve("dev1", request("s-1", permit=12), NOW + MINUTE_MS + 1, MINUTE_MS) == held(
        MINUTE_MS - 1
    )


async def test_what_is_refused_or_only_a_test_pulse_holds_nothing(path: Path) -> None:
    judge = Judge()
    ledger = Ledger(path, judge, may_create=True)
    judge.verdict = NO
    assert await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS) == Reserved(NO)
    assert await ledger.reserve("dev1", request("s-2", probe=True), NOW, MINUTE_MS) == Reserved(())
    assert await ledger.token("p-1", "dev1") == 0


@pytest.mark.hazard("H19")
async def test_a_refusal_names_both_the_hold_and_what_the_history_says(path: Path) -> None:
    judge = Judge()
    ledger = Ledger(path, judge, may_create=True)
    await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS)
    judge.verdict = NO
    assert (await ledger.reserve("dev2", request("s-2"), NOW, MINUTE_MS)).reasons == held(MINUTE_MS).reasons + NO


@pytest.mark.parametrize("change", ["UPDATE holds SET token = token - 1", "DELETE FROM holds"])
async def test_the_database_itself_lets_no_token_fall(ledger: Ledger, path: Path, change: str) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW, MINUTE_MS)
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError, match="a token only rises"):
        raw.execute(change)
    assert await ledger.token("p-1", "dev1") == 1
