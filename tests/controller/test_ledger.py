"""The ledger: judged and reserved in one transaction, never lowered, counted in full until it is settled."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.store.dose import Ledger
from controller.store.past import KEPT_MS
from controller.store.rows import Total, totals
from controller.store.tables import LedgerRefusedError
from safety.admit import admit
from safety.effects import ChannelRequest, PermitRequest, Settlement
from safety.history import History
from safety.limits import HARD, Modality
from safety.messages import Latch
from safety.prescription import Dose
from safety.verdict import Clear, Reason, Scope
from tests.controller.bookings import (
    CORRECTION,
    DAY_MS,
    FULL,
    HOUR_MS,
    NO,
    NOW,
    Judge,
    channel,
    count,
    dose,
    history,
    record,
    request,
    rows,
    settlement,
)


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, judge: Judge) -> Ledger:
    return Ledger(path, judge, may_create=True)


# Reserving


async def test_a_reservation_is_written_as_it_was_asked(ledger: Ledger, path: Path) -> None:
    asked = request("s-1", channel(1, dose(1, 10**18, 3)), channel(2, dose(4, 5, 6), "thigh-r", "b"))
    assert (await ledger.reserve("dev1", asked, NOW)).reasons == ()
    same = ("dev1", 9, "p-1", "tens", "rx-1@1", "ab", NOW, 1_800_000)
    assert rows(path, "session, channel, site, pair, reserved_nc, reserved_i2t, reserved_on_ms") == [
        ("s-1", 1, "calf-l", "a", 1, 10**18, 3),
        ("s-1", 2, "thigh-r", "b", 4, 5, 6),
    ]
    assert rows(path, "device, permit, patient, modality, rx, rx_digest, opened_wall_ms, on_time_ms") == [same, same]
    nothing = (None,) * 5
    assert rows(path, "charged_nc, charged_i2t, charged_on_ms, evidence, closed_wall_ms") == [nothing, nothing]


async def test_what_is_not_admitted_is_not_written(ledger: Ledger, path: Path, judge: Judge) -> None:
    judge.verdict = NO
    assert (await ledger.reserve("dev1", request(), NOW)).reasons == NO
    assert judge.asked == [(history(), request(), NOW)]
    assert rows(path, "session") == []


async def test_a_test_pulse_asks_nobody(ledger: Ledger, path: Path, judge: Judge) -> None:
    judge.verdict = NO
    assert (await ledger.reserve("dev1", request(probe=True), NOW)).reasons == ()
    assert (judge.asked, rows(path, "session")) == ([], [])


async def test_the_judge_sees_the_others_open_and_settled_but_not_the_session_itself(
    ledger: Ledger, judge: Judge
) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW)
    await ledger.reserve("dev2", request("s-2"), NOW + 1)
    await ledger.reserve("dev2", request("s-3", patient="p-2"), NOW + 2)
    await ledger.settle(settlement("s-2", "applied", (1, dose(7, 8, 9))), NOW + 5)
    await ledger.reserve("dev1", request("s-1", permit=10), NOW + 6)
    settled = record("s-2", opened_wall_ms=NOW + 1, closed_wall_ms=NOW + 5, charged=dose(7, 8, 9))
    assert judge.asked[-1] == (history(settled), request("s-1", permit=10), NOW + 6)
    await ledger.reserve("dev1", request("s-4"), NOW + 7)
    assert judge.asked[-1] == (history(record("s-1"), settled), request("s-4"), NOW + 7)
    assert await ledger.history("p-2", NOW) == history(record("s-3", opened_wall_ms=NOW + 2), patient="p-2")
    assert await ledger.history("p-3", NOW) == history(patient="p-3")


async def test_what_is_foreseen_is_what_the_judge_gets_and_is_not_written(
    ledger: Ledger, path: Path, judge: Judge
) -> None:
    await ledger.reserve("dev1", request("s-1"), NOW, 60_000)
    await ledger.reserve("dev2", request("s-2", patient="p-2"), NOW + 1)
    for device, asked in (
        ("dev1", request("s-1", channel(1, dose(1)), permit=12)), ("dev2", request("s-3")), ("dev1", request("s-4")),
    ):  # fmt: skip
        before = rows(path, "*")
        seen = await ledger.foresee(device, asked, NOW + 5)
        assert (rows(path, "*"), len(judge.asked)) == (before, len(judge.asked))
        reserved = await ledger.reserve(device, asked, NOW + 5)
        assert reserved.reasons == seen.held
        assert judge.asked[-1] == (seen.history, seen.request, NOW + 5)
    assert [reason.code for reason in seen.held] == ["SES.HELD"] * len(seen.held) != []
    with pytest.raises(LedgerRefusedError):
        await ledger.foresee("dev9", request("s-1"), NOW + 6)


async def test_a_later_permit_raises_and_never_lowers(ledger: Ledger, path: Path, judge: Judge) -> None:
    await ledger.reserve("dev1", request("s-1", channel(1, dose(100, 200, 300)), channel(2)), NOW)
    later = replace(request("s-1", channel(1, dose(150, 50, 300)), channel(3), permit=12), on_time_ms=1)
    assert (await ledger.reserve("dev1", later, NOW + 5)).reasons == ()
    judged = request("s-1", channel(1, dose(150, 200, 300)), channel(3), permit=12)
    assert judge.asked[-1] == (history(), judged, NOW + 5)
    assert rows(path, "channel, permit, opened_wall_ms, on_time_ms, reserved_nc, reserved_i2t, reserved_on_ms") == [
        (1, 12, NOW, 1_800_000, 150, 200, 300),
        (2, 9, NOW, 1_800_000, 100, 200, 300),
        (3, 12, NOW + 5, 1_800_000, 100, 200, 300),
    ]


async def test_a_later_permit_that_is_refused_leaves_the_first(ledger: Ledger, path: Path, judge: Judge) -> None:
    await ledger.reserve("dev1", request(), NOW)
    judge.verdict = NO
    assert (await ledger.reserve("dev1", request("s-1", channel(1, dose(500, 0, 0)), permit=12), NOW)).reasons == NO
    assert rows(path, "permit, reserved_nc") == [(9, 100)]


MISMATCHES: dict[str, Callable[[PermitRequest], PermitRequest]] = {
    "patient": lambda asked: replace(asked, patient="p-2"),
    "prescription": lambda asked: replace(asked, rx="rx-2@1"),
    "digest": lambda asked: replace(asked, rx_digest="cd"),
    "modality": lambda asked: replace(asked, modality=Modality.NMES),
    "site": lambda asked: replace(asked, channels=(channel(site="calf-r"),)),
    "pair": lambda asked: replace(asked, channels=(channel(pair="b"),)),
}


@pytest.mark.parametrize("name", MISMATCHES)
async def test_a_session_stays_what_it_was_booked_for(ledger: Ledger, path: Path, name: str) -> None:
    await ledger.reserve("dev1", request(), NOW)
    before = rows(path, "*")
    with pytest.raises(LedgerRefusedError, match="booked"):
        await ledger.reserve("dev1", MISMATCHES[name](request()), NOW + 1)
    assert rows(path, "*") == before


async def test_one_session_is_not_booked_by_two_devices(ledger: Ledger, path: Path) -> None:
    await ledger.reserve("dev1", request(), NOW)
    before = rows(path, "*")
    with pytest.raises(LedgerRefusedError, match="another device"):
        await ledger.reserve("dev2", request(), NOW + 1)
    assert rows(path, "*") == before


async def test_a_settled_session_reserves_no_more(ledger: Ledger, path: Path) -> None:
    await ledger.reserve("dev1", request(), NOW)
    await ledger.settle(settlement("s-1", "applied", (1, dose(1))), NOW + 1)
    before = rows(path, "*")
    with pytest.raises(LedgerRefusedError, match="settled"):
        await ledger.reserve("dev1", request(permit=10), NOW + 2)
    assert rows(path, "*") == before


LARGEST = 2**63 - 1


async def test_the_largest_number_is_kept_and_one_more_refused(ledger: Ledger, path: Path) -> None:
    await ledger.reserve("dev1", request("s-1", channel(1, dose(LARGEST, LARGEST, LARGEST))), NOW)
    assert await count(ledger) == [("s-1", dose(LARGEST, LARGEST, LARGEST), None)]
    for number, name in enumerate(("nc", "i2t", "on_ms")):
        for wrong in (LARGEST + 1, -1, 1.5, True):
            spoilt: Any = {**asdict(dose(1)), name: wrong}
            asked, charged = request(f"t-{number}", channel(1, Dose(**spoilt))), (1, Dose(**spoilt))
            with pytest.raises(LedgerRefusedError, match="cannot be kept"):
                await ledger.reserve("dev1", asked, NOW)
            with pytest.raises(LedgerRefusedError, match="cannot be kept"):
                await ledger.settle(settlement("s-1", "applied", charged), NOW)
    assert rows(path, "session, closed_wall_ms") == [("s-1", None)]


async def test_a_judge_that_fails_reserves_nothing(path: Path) -> None:
    def broken(_past: History, _asked: PermitRequest, _now_wall_ms: int) -> tuple[Reason, ...]:
        raise ArithmeticError("a bug")

    ledger = Ledger(path, broken, may_create=True)
    with pytest.raises(ArithmeticError):
        await ledger.reserve("dev1", request(), NOW)
    assert rows(path, "session") == []


# Settling

SETTLED: list[tuple[list[Settlement], Dose, str]] = [
    ([settlement("s-1", "readback", (1, dose(7, 8, 9)))], dose(7, 8, 9), "readback"),
    ([settlement("s-1", "applied", (1, dose(7, 8, 9)))], dose(7, 8, 9), "applied"),
    ([settlement("s-1", "applied", (1, Dose()))], Dose(), "applied"),
    ([settlement("s-1", "applied", (1, dose(700, 800, 900)))], dose(700, 800, 900), "applied"),
    ([settlement("s-1", "applied", (1, dose(7, 0, 9)), (1, dose(5, 8, 9)))], dose(7, 8, 9), "applied"),
    ([settlement("s-1", "reservation")], FULL, "reservation"),
    ([settlement("s-1", "reservation", (1, dose(7, 800, 9)))], dose(100, 800, 300), "reservation"),
    ([settlement("s-1", "a guess", (1, dose(7, 8, 9)))], FULL, "reservation"),
    ([settlement("s-1", "applied")], FULL, "reservation"),
    ([settlement("s-1", "applied", (2, Dose()))], FULL, "reservation"),
    ([settlement("s-1", "applied", (1, dose(7, 8, 9)))] * 2, dose(7, 8, 9), "applied"),
    ([settlement("s-1", "applied", (1, dose(7, 8, 9))), settlement("s-1", "readback", (1, dose(6, 7, 8)))],
     dose(7, 8, 9), "applied"),
    ([settlement("s-1", "applied", (1, dose(7, 8, 9))), settlement("s-1", "readback", (1, dose(6, 80, 8)))],
     dose(7, 80, 9), "readback"),
    ([settlement("s-1", "applied", (1, dose(7, 8, 9))), settlement("s-1", "reservation")], FULL, "reservation"),
    ([settlement("s-1", "reservation"), settlement("s-1", "readback", (1, dose(7, 8, 9)))], FULL, "reservation"),
    ([settlement("s-1", "reservation"), settlement("s-1", "readback", (1, dose(101, 0, 0)))],
     dose(101, 200, 300), "readback"),
]  # fmt: skip


@pytest.mark.parametrize(("settlements", "charged", "evidence"), SETTLED)
async def test_a_session_is_charged_what_its_evidence_says_and_never_less_later(
    ledger: Ledger, path: Path, settlements: list[Settlement], charged: Dose, evidence: str
) -> None:
    await ledger.reserve("dev1", request(), NOW)
    for number, settled in enumerate(settlements):
        await ledger.settle(settled, NOW + 1000 + number)
    expected = record(charged=charged, closed_wall_ms=NOW + 1000)
    assert await ledger.history("p-1", NOW) == history(expected)
    assert rows(path, "evidence, reserved_nc") == [(evidence, 100)]


async def test_each_channel_is_settled_by_itself(ledger: Ledger, path: Path) -> None:
    await ledger.reserve("dev1", request("s-1", channel(1), channel(2), channel(3)), NOW)
    await ledger.reserve("dev1", request("s-2"), NOW)
    await ledger.settle(settlement("s-1", "readback", (1, dose(7)), (3, dose(8))), NOW + 1)
    assert rows(path, "session, channel, charged_nc, evidence, closed_wall_ms") == [
        ("s-1", 1, 7, "readback", NOW + 1),
        ("s-1", 2, 100, "reservation", NOW + 1),
        ("s-1", 3, 8, "readback", NOW + 1),
        ("s-2", 1, None, None, None),
    ]


async def test_a_charge_without_a_reservation_is_refused_and_the_session_stays_open(ledger: Ledger) -> None:
    await ledger.reserve("dev1", request(), NOW)
    for session, charges in (("s-1", ((1, dose(7)), (2, dose(0, 0, 1)))), ("s-9", ((1, dose(1)),))):
        with pytest.raises(LedgerRefusedError, match="no reservation"):
            await ledger.settle(settlement(session, "applied", *charges), NOW + 1)
    assert await count(ledger) == [("s-1", FULL, None)]
    assert await ledger.open_sessions("dev1") == ("s-1",)


async def test_a_session_that_reserved_nothing_is_settled_with_nothing(ledger: Ledger, path: Path) -> None:
    await ledger.settle(settlement("s-1", "applied"), NOW)
    await ledger.settle(settlement("s-1", "reservation"), NOW)
    await ledger.settle(settlement("s-1", "applied", (1, Dose())), NOW)
    assert rows(path, "session") == []


async def test_a_clock_set_back_does_not_end_a_session_before_it_began(ledger: Ledger) -> None:
    await ledger.reserve("dev1", request(), NOW)
    await ledger.settle(settlement("s-1", "applied", (1, dose(7))), NOW - DAY_MS)
    assert await ledger.history("p-1", NOW) == history(record(charged=dose(7), closed_wall_ms=NOW))


async def test_open_sessions_are_listed_by_device(ledger: Ledger) -> None:
    await ledger.reserve("dev1", request("s-2", channel(1), channel(2)), NOW)
    await ledger.reserve("dev1", request("s-1"), NOW)
    await ledger.reserve("dev2", request("s-3"), NOW)
    await ledger.reserve("dev1", request("s-4"), NOW)
    await ledger.settle(settlement("s-4", "reservation"), NOW)
    assert await ledger.open_sessions("dev1") == ("s-1", "s-2")
    assert await ledger.open_sessions("dev2") == ("s-3",)
    assert await ledger.open_sessions("dev3") == ()


# What is remembered


async def test_records_of_eight_days_and_everything_open_are_given_one_by_one(ledger: Ledger) -> None:
    begun = NOW - 20 * DAY_MS
    for session, closed in (("old", NOW - KEPT_MS - 1), ("edge", NOW - KEPT_MS), ("new", NOW - 1), ("open", None)):
        await ledger.reserve("dev1", request(session), begun)
        if closed is not None:
            await ledger.settle(settlement(session, "applied", (1, dose(7))), closed)
    found = await ledger.history("p-1", NOW)
    assert [entry.session for entry in found.records] == ["edge", "new", "open"]
    assert found.earlier == (("calf-l", Modality.TENS, 1),)


async def test_what_is_older_is_counted_by_days_with_a_charge(ledger: Ledger) -> None:
    async def give(session: str, day: int, charge: int, *channels: ChannelRequest) -> None:
        opened = NOW // DAY_MS * DAY_MS - day * DAY_MS
        await ledger.reserve("dev1", request(session, *channels), opened)
        charges = [(entry.channel, dose(charge)) for entry in channels]
        await ledger.settle(settlement(session, "applied", *charges), opened + HOUR_MS)

    await give("a", 30, 5, channel(1), channel(2), channel(3, site="thigh-r"))
    await give("a, continued", 30, 5, channel(1))
    await give("b", 20, 5, channel(1))
    await give("never ran", 15, 0, channel(1))
    await give("recent", 2, 5, channel(1))
    assert (await ledger.history("p-1", NOW)).earlier == (("calf-l", Modality.TENS, 2), ("thigh-r", Modality.TENS, 1))
    assert (await ledger.history("p-2", NOW)).earlier == ()


async def test_a_lock_holds_a_site_until_its_own_latch_is_cleared(ledger: Ledger, judge: Judge) -> None:
    def latch(number: int) -> Latch:
        return Latch(number, Scope.MONTAGE, "M07", Clear.ACK_QUALIFIED, "p-1/calf-l", NOW)

    for _ in range(2):
        await ledger.lock("dev1", "p-1", "calf-l", latch(5))
    await ledger.lock("dev2", "p-1", "calf-l", latch(5))
    await ledger.lock("dev1", "p-1", "arm-r", latch(6))
    await ledger.lock("dev1", "p-2", "neck", latch(7))
    await ledger.reserve("dev3", request(), NOW)
    assert judge.asked[-1][0].locked_sites == ("arm-r", "calf-l")
    await ledger.unlock("dev1", 5, NOW)
    await ledger.unlock("dev1", 6, NOW)
    await ledger.unlock("dev9", 7, NOW)
    assert (await ledger.history("p-1", NOW)).locked_sites == ("calf-l",)
    await ledger.unlock("dev2", 5, NOW)
    await ledger.unlock("dev2", 5, NOW)
    assert (await ledger.history("p-1", NOW)).locked_sites == ()
    assert (await ledger.history("p-2", NOW)).locked_sites == ("neck",)


def test_totals_count_what_is_charged_and_what_is_only_reserved() -> None:
    past = history(
        record("open", reserved=dose(1, 0, 10)),
        record("today", closed_wall_ms=NOW - DAY_MS + 1, charged=dose(20, 0, 200)),
        record("a day ago", closed_wall_ms=NOW - DAY_MS, charged=dose(300, 0, 3_000)),
        record("in the week", closed_wall_ms=NOW - 7 * DAY_MS + 1, charged=dose(4_000, 0, 40_000)),
        record("a week ago", closed_wall_ms=NOW - 7 * DAY_MS, charged=dose(50_000, 0, 500_000)),
        record("nmes", modality=Modality.NMES, reserved=dose(6, 0, 7)),
        record("elsewhere", site="thigh-r", closed_wall_ms=NOW - 8 * DAY_MS, charged=dose(8, 0, 9)),
        record("another pair", pair="b", reserved=dose(70, 0, 700)),
    )
    assert totals(past, NOW) == (
        Total("calf-l", "a", Modality.TENS, 21, 4_321, 43_210),
        Total("calf-l", "a", Modality.NMES, 6, 6, 7),
        Total("thigh-r", "a", Modality.TENS, 0, 0, 0),
        Total("calf-l", "b", Modality.TENS, 70, 70, 700),
    )
    corrected = replace(past, corrections=(CORRECTION, CORRECTION._replace(pair="c")))
    assert totals(corrected, NOW)[0] == Total("calf-l", "a", Modality.TENS, 26, 4_326, 43_210)
    assert totals(corrected, NOW)[4:] == (Total("calf-l", "c", Modality.TENS, 5, 5, 0),)
    assert totals(history(), NOW) == ()


@pytest.mark.rule("L03")
async def test_the_real_judge_counts_an_open_reservation_in_full(path: Path) -> None:
    ledger = Ledger(path, admit, may_create=True)
    most = HARD[Modality.TENS].day_nc
    assert (await ledger.reserve("dev1", request("s-1", channel(1, dose(most))), NOW)).reasons == ()
    refused = await ledger.reserve("dev1", request("s-2", channel(1, dose(1))), NOW + 2 * HOUR_MS)
    assert [reason.rule for reason in refused.reasons] == ["L03"]
    await ledger.settle(settlement("s-1", "applied", (1, dose(most - 1))), NOW + HOUR_MS)
    assert (await ledger.reserve("dev1", request("s-3", channel(1, dose(1))), NOW + 3 * HOUR_MS)).reasons == ()


# Whatever happens in whatever order, the ledger says what a plain dictionary says


class Model:
    def __init__(self) -> None:
        self.reserved: dict[str, int] = {}
        self.charged: dict[str, int] = {}

    def reserve(self, session: str, nc: int) -> bool:
        if session not in self.charged:
            self.reserved[session] = max(nc, self.reserved.get(session, 0))
        return session not in self.charged

    def settle(self, session: str, nc: int | None) -> None:
        if session in self.reserved:
            charge = self.reserved[session] if nc is None else nc
            self.charged[session] = max(charge, self.charged.get(session, 0))


Step = tuple[bool, str, int | None]
STEPS = st.tuples(st.booleans(), st.sampled_from(["s-1", "s-2", "s-3"]), st.one_of(st.none(), st.integers(1, 9)))


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_the_ledger_agrees_with_a_plain_model(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    asyncio.run(walk(Ledger(tmp_path_factory.mktemp("walk") / "ledger.db", Judge(), may_create=True), steps))


async def walk(ledger: Ledger, steps: list[Step]) -> None:
    model = Model()
    for is_reserve, session, nc in steps:
        if is_reserve:
            taken = model.reserve(session, nc or 0)
            try:
                await ledger.reserve("dev1", request(session, channel(1, dose(nc or 0))), NOW)
            except LedgerRefusedError:
                assert not taken
            else:
                assert taken
        elif session in model.reserved:
            model.settle(session, nc)
            charged = () if nc is None else ((1, dose(nc)),)
            await ledger.settle(settlement(session, "applied" if charged else "reservation", *charged), NOW)
        found = {session: (kept.nc, charge and charge.nc) for session, kept, charge in await count(ledger)}
        assert found == {name: (kept, model.charged.get(name)) for name, kept in model.reserved.items()}
