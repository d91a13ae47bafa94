"""safety/rules/ledger.py: how sessions become treatments, and every L rule at its boundary, with the whole reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import HARD, SHIPPED_NMES, SHIPPED_TENS, WALL_MS, Limits, Modality, record

from safety.effects import ChannelRequest, Permit, PermitRequest
from safety.history import History, Record
from safety.limits import site_limits
from safety.prescription import Dose
from safety.rules import ledger
from safety.rules.ledger import Past, past
from safety.verdict import Reason, Severity

pytestmark = pytest.mark.hazard("H19")

NMES, TENS = site_limits(Modality.NMES, SHIPPED_NMES), site_limits(Modality.TENS, SHIPPED_TENS)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LENGTH_MS = 15 * MINUTE_MS  # of a record of the rig
SITE = "left-quadriceps"


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def asking(**changes: object) -> PermitRequest:
    """A request of one channel for a programme with more than 450 s of on-time."""
    values: dict[str, object] = {
        "permit": Permit(1, "s-now", "d1", (), (), 0), "session": "s-now", "patient": "p-1", "rx": "rx-1@1",
        "rx_digest": "d1", "modality": Modality.NMES, "on_time_ms": 450_001, "probe": False, "limits": NMES,
        "channels": (ChannelRequest(channel=3, site=SITE, pair="a", reserve=Dose(nc=10, i2t=10, on_ms=10)),),
    }  # fmt: skip
    return PermitRequest(**(values | changes))  # type: ignore[arg-type]


def seen(*records: Record, history: History | None = None, **changes: object) -> Past:
    """What the rules look at for the request's first channel."""
    request = asking(**changes)
    known = history or History(patient="p-1", records=records, locked_sites=())
    return past(known, request, request.channels[0], WALL_MS)


def sessions(p: Past) -> list[list[str]]:
    return [[r.session for r in treatment] for treatment in p.treatments]


# Treatments


@pytest.mark.rule("L01")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("gap_ms", "changes", "is_one"),
    [
        (0, {}, True),
        (1_799_999, {}, True),
        (1_800_000, {}, True),
        (1_800_001, {}, False),
        (60_000, {"rx": "rx-1@2"}, False),
        (60_000, {"rx": "rx-2@1"}, False),
        (60_000, {"pair": "b"}, True),
    ],
)
def test_sessions_at_most_half_an_hour_apart_under_one_prescription_are_one_treatment(
    gap_ms: int, changes: dict[str, object], is_one: bool
):
    later = record(10 * HOUR_MS, **changes)
    earlier = record(10 * HOUR_MS + LENGTH_MS + gap_ms)
    joined = [[earlier.session, later.session]] if is_one else [[earlier.session], [later.session]]
    assert sessions(seen(later, earlier)) == joined


@pytest.mark.rule("L01")
def test_a_treatment_may_be_continued_more_than_once():
    ends = [10 * HOUR_MS - n * (LENGTH_MS + 20 * MINUTE_MS) for n in range(3)]
    assert sessions(seen(*(record(end) for end in ends))) == [[f"s-{end}" for end in ends]]


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.parametrize(
    ("ago_ms", "changes", "continues"),
    [
        (0, {}, True),
        (1_799_999, {}, True),
        (1_800_000, {}, True),
        (1_800_001, {}, False),
        (60_000, {"rx": "rx-1@2"}, False),
    ],
)
def test_this_session_may_continue_the_last_treatment(ago_ms: int, changes: dict[str, object], continues: bool):
    assert seen(record(ago_ms, **changes)).continues is continues


@pytest.mark.rule("L01")
def test_only_the_last_session_can_be_continued():
    between = record(20 * MINUTE_MS, rx="rx-2@1")
    assert not seen(record(28 * MINUTE_MS + LENGTH_MS), between).continues
    assert seen(record(25 * MINUTE_MS + LENGTH_MS, rx="rx-2@1"), record(20 * MINUTE_MS)).continues
    assert not seen().continues


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("opened_ago_ms", [0, MINUTE_MS, 3 * DAY_MS])
def test_a_session_that_never_closed_has_left_nothing_to_continue(opened_ago_ms: int):
    lost = record(0, opened_wall_ms=WALL_MS - opened_ago_ms, closed_wall_ms=None, charged=None)
    assert not seen(lost).continues


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
def test_a_session_that_never_closed_does_not_swallow_later_treatments():
    lost = record(0, session="lost", opened_wall_ms=WALL_MS - 3 * DAY_MS, closed_wall_ms=None, charged=None)
    assert sessions(seen(lost, record(2 * DAY_MS), record(DAY_MS))) == [
        ["lost"], [f"s-{2 * DAY_MS}"], [f"s-{DAY_MS}"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"site": "right-quadriceps"}, {"modality": Modality.TENS}, {"session": "s-now"}],
    ids=lambda c: next(iter(c)),
)
def test_another_site_another_kind_of_therapy_and_this_very_session_do_not_count(changes: dict[str, object]):
    assert seen(record(HOUR_MS)).records == (record(HOUR_MS),)
    assert seen(record(HOUR_MS, **changes)).records == ()


WHOLE = Dose(nc=900, i2t=90_000, on_ms=9_000)


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize("unit", ["nc", "i2t", "on_ms"])
@pytest.mark.parametrize(("off", "is_one"), [(-1, True), (0, True), (1, False)])
def test_what_continues_a_treatment_gives_only_what_was_left_of_it(unit: str, off: int, is_one: bool):
    before = Dose(nc=300, i2t=30_000, on_ms=3_000)
    left = {"nc": 600, "i2t": 60_000, "on_ms": 6_000}
    now = Dose(**(left | {unit: left[unit] + off}))
    ask = (ChannelRequest(channel=3, site=SITE, pair="a", reserve=now),)
    first = record(MINUTE_MS, charged=before, reserved=WHOLE)
    assert seen(first, channels=ask).continues is is_one
    later = record(5 * HOUR_MS, charged=now)
    earlier = record(5 * HOUR_MS + LENGTH_MS + MINUTE_MS, charged=before, reserved=WHOLE)
    assert len(seen(earlier, later).treatments) == (1 if is_one else 2)
    part = record(MINUTE_MS, charged=Dose(nc=100, i2t=10_000, on_ms=1_000), reserved=replace(WHOLE, nc=10**12))
    begun = record(MINUTE_MS + LENGTH_MS + MINUTE_MS, charged=Dose(nc=200, i2t=20_000, on_ms=2_000), reserved=WHOLE)
    assert seen(begun, part, channels=ask).continues is is_one


@pytest.mark.rule("L01")
@pytest.mark.hazard("H19")
def test_the_whole_programme_once_more_is_a_treatment_of_its_own():
    ask = (ChannelRequest(channel=3, site=SITE, pair="a", reserve=WHOLE),)
    assert not seen(record(MINUTE_MS, charged=Dose(nc=1), reserved=WHOLE), channels=ask).continues


@pytest.mark.rule("L01")
def test_what_is_left_is_counted_over_all_pairs_of_the_site():
    half = {"session": "s-2", "reserved": WHOLE}
    begun = (
        record(MINUTE_MS, pair="a", charged=Dose(nc=500), **half),
        record(MINUTE_MS, pair="b", charged=Dose(nc=300), **half),
    )

    def goes_on(*doses: int) -> bool:
        ask = tuple(
            ChannelRequest(channel=3 + n, site=SITE, pair="ab"[n], reserve=Dose(nc=nc)) for n, nc in enumerate(doses)
        )
        elsewhere = ChannelRequest(channel=7, site="right-quadriceps", pair="a", reserve=Dose(nc=10**9))
        return seen(*begun, channels=(*ask, elsewhere)).continues

    assert goes_on(400, 600)
    assert not goes_on(400, 601)
    later = [record(-MINUTE_MS, session="s-3", pair=pair, charged=Dose(nc=500 + n)) for n, pair in enumerate("ab")]
    assert [len(treatment) for treatment in seen(*begun, *later).treatments] == [2, 2]
    assert [len(treatment) for treatment in seen(*begun, later[0]).treatments] == [3]


@pytest.mark.rule("L01")
def test_one_session_on_two_pairs_of_a_site_is_one_treatment():
    full = {"session": "s-2", "charged": Dose(nc=760_000_000, on_ms=570_000)}
    one, two = record(5 * HOUR_MS, pair="a", **full), record(5 * HOUR_MS, pair="b", **full)
    assert sessions(seen(one, two)) == [["s-2", "s-2"]]
    assert ledger.since(seen(one, two), DAY_MS) == 2


@pytest.mark.rule("L01")
@pytest.mark.rule("L08")
@pytest.mark.parametrize(
    ("charged", "counts"),
    [(Dose(), False), (Dose(nc=1), True), (Dose(i2t=1), True), (Dose(on_ms=1), True), (None, True)],
)
def test_a_session_that_gave_nothing_was_no_treatment(charged: Dose | None, counts: bool):
    assert len(seen(record(HOUR_MS, charged=charged)).records) == counts


@pytest.mark.rule("L01")
@pytest.mark.rule("L02")
@pytest.mark.rule("L03")
@pytest.mark.hazard("H18")
def test_looking_for_thresholds_is_no_treatment_and_its_dose_counts():
    found = record(HOUR_MS, on_time_ms=0, charged=Dose(nc=1_600_000_000))
    assert sessions(seen(found)) == []
    assert ledger.since(seen(found), DAY_MS) == 1
    assert ledger.l02(seen(found, record(5 * DAY_MS))) is None
    assert ledger.l02(seen(found)) is None
    assert ledger.l03(seen(found)) == refuse("L03", "DOSE.DAY", 3, 1_600_000_010, 1_600_000_000, "nC")
    planned = replace(found, on_time_ms=1)
    assert sessions(seen(planned)) == [[found.session]]
    assert ledger.l02(seen(planned)) == refuse("L02", "FAT.REST", 3, HOUR_MS, 2 * DAY_MS, "ms")


def test_older_sessions_are_counted_by_site_and_kind():
    earlier = (
        (SITE, Modality.NMES, 2), (SITE, Modality.TENS, 4), ("right-quadriceps", Modality.NMES, 8),
        (SITE, Modality.NMES, 16),
    )  # fmt: skip
    history = History(patient="p-1", records=(), locked_sites=(), earlier=earlier)
    assert seen(history=history).earlier == 18
    assert seen(history=history, modality=Modality.TENS).earlier == 4


# G27, from the ledger's side


@pytest.mark.rule("G27")
@pytest.mark.hazard("H31")
@pytest.mark.parametrize(("sites", "is_locked"), [((), False), (("right-quadriceps",), False), (("x", SITE), True)])
def test_a_locked_site_is_refused_whichever_device_locked_it(sites: tuple[str, ...], is_locked: bool):
    found = ledger.g27_montage(seen(history=History(patient="p-1", records=(), locked_sites=sites)))
    assert found == (refuse("G27", "FLT.LATCHED", 3) if is_locked else None)


# L01, L05: how often


def spread(count: int, within_ms: int, **changes: object) -> tuple[Record, ...]:
    """Treatments of their own, the oldest just inside the span, at least an hour apart."""
    return tuple(record(within_ms - LENGTH_MS - 1 - n * HOUR_MS, session=f"t-{n}", **changes) for n in range(count))


@pytest.mark.rule("L01")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("modality", "limits", "allowed"),
    [
        (Modality.NMES, NMES, 2),
        (Modality.TENS, TENS, 4),
        (Modality.NMES, HARD[Modality.NMES], 4),
        (Modality.TENS, HARD[Modality.TENS], 8),
    ],
)
def test_l01_treatments_a_day(modality: Modality, limits: Limits, allowed: int):
    def found(count: int) -> Reason | None:
        return ledger.l01(seen(*spread(count, DAY_MS, modality=modality), modality=modality, limits=limits))

    assert [found(count) for count in (0, allowed - 1)] == [None, None]
    assert found(allowed) == refuse("L01", "DOSE.DAY", 3, allowed + 1, allowed, "treatments")
    assert found(allowed + 1) == refuse("L01", "DOSE.DAY", 3, allowed + 2, allowed, "treatments")


@pytest.mark.rule("L01")
@pytest.mark.parametrize(("age_ms", "counts"), [(DAY_MS - 1, True), (DAY_MS, False), (DAY_MS + 1, False)])
def test_l01_a_treatment_counts_for_a_day_from_its_beginning(age_ms: int, counts: bool):
    fresh = record(5 * HOUR_MS)
    found = ledger.l01(seen(record(age_ms - LENGTH_MS), fresh))
    assert found == (refuse("L01", "DOSE.DAY", 3, 3, 2, "treatments") if counts else None)


@pytest.mark.rule("L01")
def test_l01_a_continuation_is_no_treatment_of_its_own():
    two = (record(5 * HOUR_MS), record(10 * MINUTE_MS))
    assert ledger.l01(seen(*two)) is None
    assert ledger.l01(seen(*two, rx="rx-1@2")) == refuse("L01", "DOSE.DAY", 3, 3, 2, "treatments")
    assert ledger.l01(seen(record(20 * HOUR_MS), *two)) == refuse("L01", "DOSE.DAY", 3, 3, 2, "treatments")


@pytest.mark.rule("L01")
def test_l01_a_treatment_that_began_before_the_day_and_goes_on_counts_now():
    begun = record(10 * MINUTE_MS, opened_wall_ms=WALL_MS - DAY_MS)
    assert ledger.since(seen(begun), DAY_MS) == 1


@pytest.mark.rule("L05")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("modality", "on_time_ms", "limits", "allowed"),
    [
        (Modality.NMES, 450_001, NMES, 5),
        (Modality.NMES, 450_000, NMES, 14),
        (Modality.NMES, 449_999, NMES, 14),
        (Modality.TENS, 450_001, TENS, 14),
        (Modality.TENS, 450_000, TENS, 14),
        (Modality.NMES, 450_001, HARD[Modality.NMES], 14),
        (Modality.NMES, 450_000, HARD[Modality.NMES], 14),
        (Modality.TENS, 450_001, HARD[Modality.TENS], 28),
        (Modality.TENS, 450_000, HARD[Modality.TENS], 28),
    ],
)
def test_l05_treatments_a_week(modality: Modality, on_time_ms: int, limits: Limits, allowed: int):
    def found(count: int) -> Reason | None:
        records = spread(count, 7 * DAY_MS, modality=modality)
        return ledger.l05(seen(*records, modality=modality, limits=limits, on_time_ms=on_time_ms))

    assert [found(count) for count in (0, allowed - 1)] == [None, None]
    assert found(allowed) == refuse("L05", "DOSE.WEEK", 3, allowed + 1, allowed, "treatments")


@pytest.mark.rule("L05")
@pytest.mark.parametrize(("age_ms", "counts"), [(7 * DAY_MS - 1, True), (7 * DAY_MS, False)])
def test_l05_a_treatment_counts_for_a_week_from_its_beginning(age_ms: int, counts: bool):
    rest = spread(4, 6 * DAY_MS)
    found = ledger.l05(seen(record(age_ms - LENGTH_MS), *rest))
    assert found == (refuse("L05", "DOSE.WEEK", 3, 6, 5, "treatments") if counts else None)


@pytest.mark.rule("L05")
def test_l05_a_continuation_is_no_treatment_of_its_own():
    five = (*spread(4, 7 * DAY_MS), record(10 * MINUTE_MS))
    assert ledger.l05(seen(*five)) is None
    assert ledger.l05(seen(*five, rx="rx-9@1")) == refuse("L05", "DOSE.WEEK", 3, 6, 5, "treatments")


# L02: how soon


OLD = (("left-quadriceps", Modality.NMES, 9),)


def gap(
    gap_ms: int, *, treatments: int = 1, earlier: tuple[tuple[str, Modality, int], ...] = OLD, **changes: object
) -> Reason | None:
    """Ask L02 with the last of so many treatments `gap_ms` ago, and older sessions."""
    records = tuple(record(gap_ms + n * DAY_MS) for n in range(treatments))
    return ledger.l02(
        seen(history=History(patient="p-1", records=records, locked_sites=(), earlier=earlier), **changes)
    )


@pytest.mark.rule("L02")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("on_time_ms", "limits", "needed_ms"),
    [
        (450_001, NMES, 4 * HOUR_MS),
        (450_000, NMES, HOUR_MS),
        (449_999, NMES, HOUR_MS),
        (450_001, HARD[Modality.NMES], HOUR_MS),
        (450_000, HARD[Modality.NMES], HOUR_MS),
    ],
)
def test_l02_a_muscle_rests_between_treatments(on_time_ms: int, limits: Limits, needed_ms: int):
    for gap_ms in (needed_ms, needed_ms + 1):
        assert gap(gap_ms, on_time_ms=on_time_ms, limits=limits) is None
    assert gap(needed_ms - 1, on_time_ms=on_time_ms, limits=limits) == refuse(
        "L02", "FAT.REST", 3, needed_ms - 1, needed_ms, "ms"
    )


@pytest.mark.rule("L02")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize("on_time_ms", [450_000, 450_001])
@pytest.mark.parametrize(
    ("treatments", "earlier", "is_new"),
    [
        (1, (), True), (2, (), True), (3, (), False), (1, ((SITE, Modality.NMES, 1),), True),
        (2, ((SITE, Modality.NMES, 1),), False), (1, ((SITE, Modality.NMES, 2),), False),
        (1, (("right-quadriceps", Modality.NMES, 9), (SITE, Modality.TENS, 9)), True),
    ],
)  # fmt: skip
def test_l02_two_days_lie_after_each_of_the_first_two_treatments(
    treatments: int, earlier: tuple[tuple[str, Modality, int], ...], is_new: bool, on_time_ms: int
):
    usual_ms = HOUR_MS if on_time_ms == 450_000 else 4 * HOUR_MS
    needed_ms = 2 * DAY_MS if is_new else usual_ms
    options = {"treatments": treatments, "earlier": earlier, "on_time_ms": on_time_ms}
    assert gap(needed_ms, **options) is None
    assert gap(needed_ms - 1, **options) == refuse("L02", "FAT.REST", 3, needed_ms - 1, needed_ms, "ms")


@pytest.mark.rule("L02")
def test_l02_the_longer_of_the_two_gaps_counts():
    limits = replace(NMES, gap_ms=3 * DAY_MS)
    assert gap(3 * DAY_MS - 1, earlier=(), limits=limits) == refuse(
        "L02", "FAT.REST", 3, 3 * DAY_MS - 1, 3 * DAY_MS, "ms"
    )
    assert gap(3 * DAY_MS, earlier=(), limits=limits) is None


@pytest.mark.rule("L02")
def test_l02_does_not_ask_a_first_treatment_nor_a_continuation_nor_tens():
    assert ledger.l02(seen()) is None
    assert ledger.l02(seen(record(30 * MINUTE_MS))) is None
    assert ledger.l02(seen(record(30 * MINUTE_MS), rx="rx-1@2")) == refuse(
        "L02", "FAT.REST", 3, 30 * MINUTE_MS, 2 * DAY_MS, "ms"
    )
    assert ledger.l02(seen(record(1, modality=Modality.TENS), modality=Modality.TENS, rx="rx-1@2")) is None


@pytest.mark.rule("L02")
@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
def test_l02_an_open_session_ends_now():
    lost = record(0, opened_wall_ms=WALL_MS - 3 * DAY_MS, closed_wall_ms=None, charged=None)
    assert ledger.l02(seen(lost, record(3 * DAY_MS))) == refuse("L02", "FAT.REST", 3, 0, 2 * DAY_MS, "ms")


@pytest.mark.rule("L02")
def test_l02_counts_from_the_end_that_came_last():
    long_one = record(HOUR_MS, session="long", opened_wall_ms=WALL_MS - 9 * DAY_MS)
    assert ledger.l02(seen(long_one, record(4 * DAY_MS))) == refuse("L02", "FAT.REST", 3, HOUR_MS, 2 * DAY_MS, "ms")


# L03, L04: how much


@pytest.mark.rule("L03")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("limits", "cap_nc"),
    [
        (NMES, 1_600_000_000),
        (TENS, 8_000_000_000),
        (HARD[Modality.NMES], 20_000_000_000),
        (HARD[Modality.TENS], 20_000_000_000),
    ],
)
def test_l03_charge_a_day(limits: Limits, cap_nc: int):
    for off in (-1, 0, 1):
        given_nc = record(HOUR_MS, charged=Dose(nc=cap_nc - 110 + off)), record(3 * HOUR_MS, charged=Dose(nc=100))
        found = ledger.l03(seen(*given_nc, limits=limits))
        assert found == (refuse("L03", "DOSE.DAY", 3, cap_nc + 1, cap_nc, "nC") if off > 0 else None)


@pytest.mark.rule("L03")
@pytest.mark.parametrize(("ago_ms", "counts"), [(DAY_MS - 1, True), (DAY_MS, False), (DAY_MS + 1, False)])
def test_l03_a_session_counts_for_a_day_from_its_end(ago_ms: int, counts: bool):
    found = ledger.l03(seen(record(ago_ms, charged=Dose(nc=1_600_000_000))))
    assert found == (refuse("L03", "DOSE.DAY", 3, 1_600_000_010, 1_600_000_000, "nC") if counts else None)


@pytest.mark.rule("L03")
@pytest.mark.hazard("H18")
def test_l03_bounds_a_continuation_too():
    full = Dose(nc=800_000_000)
    ask = (ChannelRequest(channel=3, site=SITE, pair="a", reserve=full),)
    assert ledger.l03(seen(record(MINUTE_MS, charged=full), channels=ask)) is None
    again = record(MINUTE_MS, charged=full), record(LENGTH_MS + 2 * MINUTE_MS, charged=Dose(nc=1))
    assert ledger.l03(seen(*again, channels=ask)) == refuse("L03", "DOSE.DAY", 3, 1_600_000_001, 1_600_000_000, "nC")


@pytest.mark.rule("L03")
@pytest.mark.rule("L04")
@pytest.mark.hazard("H18")
def test_all_channels_of_a_request_on_one_site_count_together():
    one = ChannelRequest(channel=3, site=SITE, pair="a", reserve=Dose(nc=800_000_000, on_ms=2_135_000))
    two = replace(one, channel=4, pair="b")
    elsewhere = replace(one, channel=5, site="right-quadriceps")
    assert ledger.l03(seen(channels=(one, two, elsewhere))) is None
    assert ledger.l04(seen(channels=(one, two, elsewhere))) is None
    more = replace(two, reserve=Dose(nc=800_000_001, on_ms=2_135_001))
    assert ledger.l03(seen(channels=(one, more))) == refuse("L03", "DOSE.DAY", 3, 1_600_000_001, 1_600_000_000, "nC")
    assert ledger.l04(seen(channels=(one, more))) == refuse("L04", "DOSE.WEEK", 3, 4_270_001, 4_270_000, "ms")


@pytest.mark.rule("L04")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("limits", "cap_nc", "cap_ms"),
    [
        (NMES, 5_600_000_000, 4_270_000),
        (TENS, 56_000_000_000, 50_400_000),
        (HARD[Modality.NMES], 100_000_000_000, 100_800_000),
        (HARD[Modality.TENS], 100_000_000_000, 100_800_000),
    ],
)
def test_l04_charge_and_on_time_in_seven_days(limits: Limits, cap_nc: int, cap_ms: int):
    def found(nc: int, on_ms: int) -> Reason | None:
        older, newer = (
            record(6 * DAY_MS, charged=Dose(nc=100, on_ms=100)),
            record(DAY_MS, charged=Dose(nc=nc, on_ms=on_ms)),
        )
        return ledger.l04(seen(older, newer, limits=limits))

    charge = refuse("L04", "DOSE.WEEK", 3, cap_nc + 1, cap_nc, "nC")
    time = refuse("L04", "DOSE.WEEK", 3, cap_ms + 1, cap_ms, "ms")
    assert [found(cap_nc - 110 + off, 0) for off in (-1, 0, 1)] == [None, None, charge]
    assert [found(0, cap_ms - 110 + off) for off in (-1, 0, 1)] == [None, None, time]
    assert found(cap_nc - 109, cap_ms - 109) == charge


@pytest.mark.rule("L04")
@pytest.mark.parametrize(("ago_ms", "counts"), [(7 * DAY_MS - 1, True), (7 * DAY_MS, False)])
def test_l04_a_session_counts_for_a_week_from_its_end(ago_ms: int, counts: bool):
    found = ledger.l04(seen(record(ago_ms, charged=Dose(nc=5_600_000_000))))
    assert found == (refuse("L04", "DOSE.WEEK", 3, 5_600_000_010, 5_600_000_000, "nC") if counts else None)


# L07, L08: what counts


@pytest.mark.rule("L07")
@pytest.mark.rule("L08")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("charged", "counts"), [(None, Dose(nc=500, i2t=500, on_ms=500)), (Dose(nc=100), Dose(nc=100)), (Dose(), Dose())]
)
def test_a_session_without_a_settlement_counts_its_whole_reservation(charged: Dose | None, counts: Dose):
    assert ledger.counted(record(HOUR_MS, charged=charged)) == counts


@pytest.mark.rule("L07")
@pytest.mark.rule("L03")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("closed_wall_ms", [None, WALL_MS - HOUR_MS])
def test_an_open_reservation_counts_in_full_however_old(closed_wall_ms: int | None):
    lost = record(
        0, opened_wall_ms=WALL_MS - 6 * DAY_MS, closed_wall_ms=closed_wall_ms, charged=None,
        reserved=Dose(nc=1_599_999_991, on_ms=4_269_991),
    )  # fmt: skip
    assert ledger.l03(seen(lost)) == refuse("L03", "DOSE.DAY", 3, 1_600_000_001, 1_600_000_000, "nC")
    assert ledger.l04(seen(lost)) == refuse("L04", "DOSE.WEEK", 3, 4_270_001, 4_270_000, "ms")
    settled = replace(lost, charged=Dose(nc=1_599_999_990, on_ms=4_269_990))
    assert [ledger.l03(seen(settled)), ledger.l04(seen(settled))] == [None, None]


records = st.lists(
    st.builds(
        lambda ago, rx, is_open, dose: record(
            ago, session=f"r-{ago}-{rx}", rx=rx, charged=None if is_open else Dose(nc=dose, on_ms=dose),
            reserved=Dose(nc=dose), closed_wall_ms=None if is_open else WALL_MS - ago,
        ),
        st.integers(0, 8 * DAY_MS), st.sampled_from(["rx-1@1", "rx-2@1"]), st.booleans(), st.integers(0, 10**9),
    ),
    max_size=8,
)  # fmt: skip


@pytest.mark.rule("L07")
@pytest.mark.hazard("H19")
@given(records, records)
def test_more_history_never_charges_less(some: list[Record], more: list[Record]):
    few, many = seen(*some), seen(*some, *more)
    for span_ms in (DAY_MS, 7 * DAY_MS):
        assert ledger.spent_since(few, span_ms)[0] <= ledger.spent_since(many, span_ms)[0]
        assert ledger.spent_since(few, span_ms)[1] <= ledger.spent_since(many, span_ms)[1]


@pytest.mark.rule("L01")
@given(records)
def test_every_session_belongs_to_exactly_one_treatment(some: list[Record]):
    p, given = seen(*some), [r for r in some if r.charged != Dose()]
    assert sorted((r for treatment in p.treatments for r in treatment), key=repr) == sorted(p.records, key=repr)
    assert sorted(r.opened_wall_ms for r in given) == [r.opened_wall_ms for r in p.records]
    assert 1 <= ledger.since(p, DAY_MS) <= ledger.since(p, 7 * DAY_MS) <= len(p.treatments) + 1


def test_the_order_of_the_rules():
    order = [rule.__name__ for rule in ledger.LEDGER]
    assert order == ["g26", "g27_montage", "l01", "l02", "l03", "l04", "l05", "l06", "l10", "l11", "l12"]
