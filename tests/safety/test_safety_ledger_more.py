"""safety/rules/ledger.py: G26, G27, L06 and L09 to L13, each at its boundary and alone, through `admit`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import HARD, SHIPPED_NMES, SHIPPED_TENS, WALL_MS, ArmSession, Limits, Modality, Rig, record

from safety.admit import admit, admit_correction
from safety.effects import ChannelRequest, Permit, PermitRequest
from safety.history import AdverseLock, Correction, History, PadUse, Record
from safety.limits import site_limits
from safety.messages import SkinCheck
from safety.prescription import Dose
from safety.rules import ledger
from safety.verdict import Reason, Severity

NMES, TENS = site_limits(Modality.NMES, SHIPPED_NMES), site_limits(Modality.TENS, SHIPPED_TENS)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS
SITE = "left-quadriceps"
BEFORE = (record(3 * DAY_MS), record(6 * DAY_MS))
"""Two treatments at 20 mA, long enough ago for any rest."""


def refuse(rule: str, code: str, *rest: object) -> tuple[Reason, ...]:
    return (Reason(rule, Severity.REFUSE, code, *rest),)  # type: ignore[arg-type]


def history(*records: Record, **changes: object) -> History:
    values = {"patient": "p-1", "records": records or BEFORE, "locked_sites": ()}
    return History(**(values | changes))  # type: ignore[arg-type]


def channel(**changes: object) -> ChannelRequest:
    values = {"channel": 3, "site": SITE, "pair": "a", "reserve": Dose(nc=10, i2t=10, on_ms=10), "ua": 20_000}
    return ChannelRequest(**(values | {"ohm": 1_500} | changes))  # type: ignore[arg-type]


def request(*channels: ChannelRequest, **changes: object) -> PermitRequest:
    values = {
        "permit": Permit(1, "s-now", "d1", (), (), 0), "session": "s-now", "patient": "p-1", "rx": "rx-1@1",
        "rx_digest": "d1", "modality": Modality.NMES, "on_time_ms": 450_001, "probe": False, "limits": NMES,
        "channels": channels or (channel(),),
    }  # fmt: skip
    return PermitRequest(**(values | changes))  # type: ignore[arg-type]


def said(known: History, *channels: ChannelRequest, **changes: object) -> tuple[Reason, ...]:
    return admit(known, request(*channels, **changes), WALL_MS)


@pytest.mark.hazard("H49")
def test_this_files_ordinary_case_is_admitted():
    assert said(history()) == ()


# What G26 asks, the first two treatments


def first(*records: Record, **changes: object) -> tuple[Reason, ...]:
    """What G26 alone says."""
    known = (
        history(records=records)
        if "earlier" not in changes
        else history(records=records, earlier=changes.pop("earlier"))
    )
    seen = ledger.past(known, request(**changes), request(**changes).channels[0], WALL_MS)
    found = ledger.g26(seen)
    return () if found is None else (found,)


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize(
    ("unit", "cap", "name"),
    [("nc", 400_000_000, "nC"), ("i2t", 50_000_000_000_000_000, "uA^2 us"), ("on_ms", 305_000, "ms")],
)
def test_g26_the_first_treatment_gives_at_most_half_of_a_sessions_dose(unit: str, cap: int, name: str):
    for off in (-1, 0, 1):
        found = first(channels=(channel(reserve=Dose(**{unit: cap + off})),))
        assert found == (refuse("G26", "DOSE.FIRST", 3, cap + 1, cap, name) if off > 0 else ())


HEAVY = (channel(reserve=Dose(nc=400_000_001)),)


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
def test_g26_is_asked_at_the_ledgers_door():
    found = admit(history(records=()), request(channels=HEAVY), WALL_MS)
    assert found == refuse("G26", "DOSE.FIRST", 3, 400_000_001, 400_000_000, "nC")


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize(
    ("treatments", "earlier", "is_new"),
    [
        (0, (), True), (1, (), True), (2, (), False), (3, (), False),
        (0, ((SITE, Modality.NMES, 1),), True), (0, ((SITE, Modality.NMES, 2),), False),
        (1, ((SITE, Modality.NMES, 1),), False),
        (1, (("right-calf", Modality.NMES, 9), (SITE, Modality.TENS, 9)), True),
    ],
)  # fmt: skip
def test_g26_asks_the_first_two_treatments_of_a_muscle(
    treatments: int, earlier: tuple[tuple[str, Modality, int], ...], is_new: bool
):
    found = first(*(record((3 + n) * DAY_MS) for n in range(treatments)), earlier=earlier, channels=HEAVY)
    assert found == (refuse("G26", "DOSE.FIRST", 3, 400_000_001, 400_000_000, "nC") if is_new else ())


@pytest.mark.rule("G26")
def test_g26_does_not_ask_tens():
    assert first(channels=HEAVY, modality=Modality.TENS) == ()


@pytest.mark.rule("G26")
@pytest.mark.hazard("H21")
def test_g26_counts_a_first_treatment_that_goes_on_as_one():
    begun = record(MINUTE_MS, charged=Dose(nc=300_000_000), reserved=Dose(nc=800_000_000))
    other_pair = replace(begun, pair="b", charged=Dose(nc=50_000_000))
    more = (channel(reserve=Dose(nc=100_000_000)),)
    assert first(begun, other_pair, channels=more) == ()
    more = (channel(reserve=Dose(nc=100_000_001)),)
    assert first(begun, other_pair, channels=more) == refuse("G26", "DOSE.FIRST", 3, 400_000_001, 400_000_000, "nC")
    assert first(record(5 * DAY_MS), begun, channels=more) == refuse(
        "G26", "DOSE.FIRST", 3, 400_000_001, 400_000_000, "nC"
    )
    assert first(record(5 * DAY_MS), record(4 * DAY_MS), begun, channels=more) == ()


@pytest.mark.rule("G26")
def test_g26_a_site_may_ask_for_less_than_half():
    strict = replace(NMES, first_share_ppm=250_000)
    ask = (channel(reserve=Dose(nc=200_000_001)),)
    assert first(channels=ask, limits=strict) == refuse("G26", "DOSE.FIRST", 3, 200_000_001, 200_000_000, "nC")
    assert first(channels=(channel(reserve=Dose(nc=200_000_000)),), limits=strict) == ()


# What G27 asks, a lock of the whole patient


@pytest.mark.rule("G27")
@pytest.mark.hazard("H02")
def test_a_lock_of_the_whole_patient_holds_every_site():
    assert said(history(locked_sites=("",))) == refuse("G27", "FLT.LATCHED", 3)


# What L06 asks, amplitude from session to session


@pytest.mark.rule("L06")
@pytest.mark.hazard("H21")
@pytest.mark.parametrize(
    ("last_ua", "limits", "allowed_ua"),
    [
        (20_000, NMES, 23_000),
        (30_000, NMES, 33_000),
        (30_009, NMES, 33_009),
        (30_010, NMES, 33_011),
        (50_000, NMES, 55_000),
        (20_000, HARD[Modality.NMES], 25_000),
        (12_000, HARD[Modality.NMES], 15_000),
        (11_999, HARD[Modality.NMES], 14_999),
        (40_000, HARD[Modality.NMES], 50_000),
    ],
)
def test_l06_amplitude_rises_by_a_tenth_or_three_milliampere(last_ua: int, limits: Limits, allowed_ua: int):
    known = history(record(6 * DAY_MS), record(3 * DAY_MS, ua=last_ua))
    assert said(known, channel(ua=allowed_ua), limits=limits) == ()
    assert said(known, channel(ua=allowed_ua - 1), limits=limits) == ()
    assert said(known, channel(ua=allowed_ua + 1), limits=limits) == refuse(
        "L06", "LIM.GROWTH", 3, allowed_ua + 1, allowed_ua, "uA"
    )


LOW, HIGH = record(6 * DAY_MS, ua=10_000), record(5 * DAY_MS, ua=30_000)


@pytest.mark.rule("L06")
@pytest.mark.parametrize(
    ("records", "older", "allowed_ua"),
    [
        ((LOW, HIGH), (), 33_000),
        ((HIGH, LOW), (), 33_000),
        ((LOW, replace(HIGH, completed=False)), (), 13_000),
        ((LOW, replace(HIGH, pair="b")), (), 13_000),
        ((replace(LOW, pair="b"), replace(HIGH, pair="b")), (), 33_000),
        ((LOW, replace(HIGH, site="right-quadriceps")), (), 13_000),
        ((LOW, replace(HIGH, modality=Modality.TENS)), (), 13_000),
        ((LOW, replace(HIGH, session="s-now")), (), 13_000),
        ((replace(LOW, completed=False), replace(HIGH, completed=False)), (record(20 * DAY_MS, ua=9_000),), 12_000),
        ((LOW, record(5 * DAY_MS, completed=False)), (record(20 * DAY_MS, ua=9_000),), 13_000),
    ],
)  # fmt: skip
def test_l06_looks_at_the_last_completed_session_of_the_pair_else_of_the_site(
    records: tuple[Record, ...], older: tuple[Record, ...], allowed_ua: int
):
    seen = [
        ledger.l06(ledger.past(history(*records, older=older), request(channel(ua=ua)), channel(ua=ua), WALL_MS))
        for ua in (allowed_ua, allowed_ua + 1)
    ]
    assert seen == [None, *refuse("L06", "LIM.GROWTH", 3, allowed_ua + 1, allowed_ua, "uA")]


@pytest.mark.rule("L06")
def test_l06_without_a_completed_session_there_is_nothing_to_compare():
    known = history(*(replace(r, completed=False) for r in BEFORE))
    assert said(known, channel(ua=80_000)) == ()


# What L09 asks, whose history


@pytest.mark.rule("L09")
@pytest.mark.hazard("H19")
@pytest.mark.hazard("H22")
def test_l09_the_history_of_another_patient_admits_nothing_and_nothing_else_is_judged():
    assert said(history(patient="p-2", locked_sites=(SITE,))) == refuse("L09", "RX.PATIENT_MISMATCH")


@pytest.mark.rule("L09")
@pytest.mark.hazard("H47")
def test_l09_a_history_that_is_not_whole_admits_nothing():
    assert said(history(whole=False)) == refuse("L09", "DOSE.NOT_WHOLE")
    assert said(history(whole=True)) == ()


@pytest.mark.rule("L09")
@pytest.mark.hazard("H22")
def test_l09_is_what_step_refuses_with():
    rig = Rig().prepared()
    rig.history = History(patient="p-2", records=(), locked_sites=())
    assert rig.ask(ArmSession()).reasons == refuse("L09", "RX.PATIENT_MISMATCH")


# What L10 asks, harm


@pytest.mark.rule("L10")
@pytest.mark.hazard("H05")
@pytest.mark.hazard("H45")
@pytest.mark.parametrize(
    ("ago_ms", "released", "holds"),
    [
        (0, False, True),
        (0, True, True),
        (DAY_MS - 1, True, True),
        (DAY_MS, True, False),
        (DAY_MS + 1, True, False),
        (DAY_MS, False, True),
        (90 * DAY_MS, False, True),
    ],
)
@pytest.mark.parametrize("site", [SITE, ""])
def test_l10_harm_holds_a_site_for_a_day_and_until_it_is_released(ago_ms: int, released: bool, holds: bool, site: str):
    lock = AdverseLock(site, WALL_MS - ago_ms, released)
    expected = refuse("L10", "FLT.ADVERSE", 3, ago_ms, DAY_MS, "ms") if holds else ()
    assert said(history(adverse=(lock,))) == expected
    done = AdverseLock(SITE, WALL_MS - 2 * DAY_MS, released=True)
    assert said(history(adverse=(done, lock))) == expected


@pytest.mark.rule("L10")
def test_l10_holds_no_other_site():
    assert said(history(adverse=(AdverseLock("right-calf", WALL_MS, released=False),))) == ()


# What L11 asks, pads


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(("limits", "allowed"), [(NMES, 15), (TENS, 15), (HARD[Modality.NMES], 30)])
def test_l11_a_pad_is_used_only_so_often(limits: Limits, allowed: int):
    for uses in (0, allowed - 2, allowed - 1, allowed, allowed + 1):
        pads = (PadUse("fresh", 0, WALL_MS), PadUse("b-1", uses, WALL_MS))
        found = said(history(pads=pads), channel(pads=("fresh", "b-1")), limits=limits)
        assert found == (refuse("L11", "PAD.WORN", 3, uses + 1, allowed, "uses") if uses >= allowed else ())


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
def test_l11_a_pad_is_in_date_to_its_last_moment():
    for off in (-1, 0, 1):
        found = said(history(pads=(PadUse("b-1", 0, WALL_MS + off),)), channel(pads=("b-1",)))
        assert found == (refuse("L11", "PAD.EXPIRED", 3, WALL_MS, WALL_MS - 1, "ms") if off < 0 else ())


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize("pads", [(), (PadUse("b-2", 0, WALL_MS),), (PadUse("b-1", 0, None),)])
def test_l11_a_pad_of_which_nobody_knows_its_date_is_refused(pads: tuple[PadUse, ...]):
    assert said(history(pads=pads), channel(pads=("b-1",))) == refuse("L11", "PAD.UNKNOWN", 3)


@pytest.mark.rule("L11")
def test_l11_asks_only_for_the_pads_of_its_channel():
    worn = PadUse("b-1", 99, None)
    assert said(history(pads=(worn,)), channel()) == ()
    two = (channel(), channel(channel=4, pair="b", pads=("b-1",)))
    assert said(history(pads=(worn,)), *two) == refuse("L11", "PAD.UNKNOWN", 4)


# What L12 asks, the skin from session to session


def checked(*ohms: int, **changes: object) -> tuple[Record, ...]:
    """Sessions of earlier days, the last one three days ago."""
    days = range(len(ohms) + 2, 2, -1)
    return tuple(record(day * DAY_MS, ohm=ohm, **changes) for day, ohm in zip(days, ohms, strict=True))


@pytest.mark.rule("L12")
@pytest.mark.hazard("H34")
@pytest.mark.hazard("H46")
@pytest.mark.parametrize(("limits", "allowed"), [(NMES, 2_000), (HARD[Modality.NMES], 3_000)])
def test_l12_the_skin_reads_at_most_twice_what_it_used_to(limits: Limits, allowed: int):
    known = history(*checked(900, 1_000, 1_100))
    for off in (-1, 0, 1):
        found = said(known, channel(ohm=allowed + off), limits=limits)
        assert found == (refuse("L12", "IMP.TREND", 3, allowed + 1, allowed, "ohm") if off > 0 else ())


@pytest.mark.rule("L12")
@pytest.mark.hazard("H34")
def test_l12_until_somebody_has_looked_at_the_skin():
    known, ask = history(*checked(1_000, 1_000)), channel(ohm=2_001)
    assert said(known, ask) == refuse("L12", "IMP.TREND", 3, 2_001, 2_000, "ohm")
    assert said(known, ask, skin_checked=True) == ()


@pytest.mark.rule("L12")
@pytest.mark.parametrize(
    ("records", "older", "allowed"),
    [
        (checked(9_000, 1_000, 1_000, 1_000, 3_000, 3_000), (), 2_000),
        (checked(1_000, 1_000, 3_000, 3_000, 3_000), (), 6_000),
        (checked(1_000, 3_000), (), 6_000),
        (checked(1_000, 0, 0), (), 2_000),
        (checked(3_000, 3_000), (record(30 * DAY_MS, ohm=1_000),) * 3, 2_000),
        (checked(3_000, 3_000), tuple(record(day * DAY_MS, ohm=1_000) for day in (40, 30, 20)), 2_000),
        ((*checked(1_000, 1_000), record(DAY_MS, session="s-now", ohm=9_000)), (), 2_000),
        ((*checked(1_000, 1_000), *checked(9_000, 9_000, 9_000, pair="b")), (), 2_000),
        ((*checked(1_000, 1_000), *checked(9_000, 9_000, 9_000, site="right-calf")), (), 2_000),
        ((*checked(1_000), *checked(3_000, 3_000, modality=Modality.TENS)), (), 6_000),
    ],
)
def test_l12_compares_with_the_median_of_the_last_five_checks_of_the_pair(
    records: tuple[Record, ...], older: tuple[Record, ...], allowed: int
):
    seen = [
        ledger.l12(ledger.past(history(*records, older=older), request(), channel(ohm=ohm), WALL_MS))
        for ohm in (allowed, allowed + 1)
    ]
    assert seen == [None, *refuse("L12", "IMP.TREND", 3, allowed + 1, allowed, "ohm")]


@pytest.mark.rule("L12")
@pytest.mark.hazard("H34")
def test_l12_is_what_step_refuses_with_until_the_skin_was_looked_at():
    rig = Rig().prepared()
    rig.history = history(*checked(700, 700))
    assert rig.ask(ArmSession()).reasons == refuse("L12", "IMP.TREND", 1, 1_500, 1_400, "ohm")
    rig.must(SkinCheck(ok=True))
    assert rig.must(ArmSession()).status == "succeeded"


@pytest.mark.rule("L12")
def test_l12_without_earlier_checks_there_is_nothing_to_compare():
    assert said(history(*checked(0, 0)), channel(ohm=6_000)) == ()
    assert said(history(*checked(1_000, 1_000)), channel(ohm=0)) == ()


# What L13 asks, corrections


def correction(dose: Dose, ago_ms: int = DAY_MS, **changes: object) -> Correction:
    made = Correction(SITE, "a", Modality.NMES, WALL_MS - ago_ms, dose, ("dr-1",), "counted twice")
    return made._replace(**changes)  # type: ignore[arg-type]


def judged(entry: Correction, *records: Record, **changes: object) -> tuple[Reason, ...]:
    return admit_correction(history(*records, **changes), entry, WALL_MS)


GIVEN = record(2 * DAY_MS, charged=Dose(nc=100, i2t=200, on_ms=300))
UNSIGNED = refuse("L13", "DOSE.UNSIGNED", 0, 1, 2, "signatures")


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("dose", [Dose(nc=5), Dose(i2t=5), Dose(on_ms=5), Dose()])
def test_l13_one_person_may_raise_what_was_counted(dose: Dose):
    assert judged(correction(dose), GIVEN) == ()


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize("dose", [Dose(nc=-1), Dose(i2t=-1), Dose(on_ms=-1), Dose(nc=10**9, i2t=-1)])
def test_l13_two_people_sign_what_lowers_the_last_seven_days(dose: Dose):
    lowering = correction(dose)
    assert judged(lowering, GIVEN) == UNSIGNED
    assert judged(lowering._replace(signed_by=("dr-1", "dr-1")), GIVEN) == UNSIGNED
    assert judged(lowering._replace(signed_by=("dr-1", " dr-1 ", "")), GIVEN) == UNSIGNED
    assert judged(lowering._replace(signed_by=("dr-1", "dr-2")), GIVEN) == ()


@pytest.mark.rule("L13")
@pytest.mark.parametrize(("ago_ms", "is_counted"), [(WEEK_MS - 1, True), (WEEK_MS, False), (WEEK_MS + 1, False)])
def test_l13_what_no_total_counts_any_more_one_person_may_lower(ago_ms: int, is_counted: bool):
    assert judged(correction(Dose(nc=-1), ago_ms), GIVEN) == (UNSIGNED if is_counted else ())


@pytest.mark.rule("L13")
@pytest.mark.parametrize("changes", [{"signed_by": ()}, {"signed_by": (" ", "")}, {"why": " "}])
def test_l13_somebody_signs_and_says_why(changes: dict[str, object]):
    signed = len({name.strip() for name in changes.get("signed_by", ("dr-1",))} - {""})  # type: ignore[attr-defined]
    assert judged(correction(Dose(nc=5), **changes), GIVEN) == refuse(
        "L13", "DOSE.UNSIGNED", 0, signed, 1, "signatures"
    )


@pytest.mark.rule("L13")
@pytest.mark.hazard("H27")
@pytest.mark.parametrize(("ago_ms", "is_future"), [(0, False), (1, False), (-1, True)])
def test_l13_nothing_is_corrected_that_has_not_happened(ago_ms: int, is_future: bool):
    expected = refuse("L13", "DOSE.CORRECTION", 0, WALL_MS + 1, WALL_MS, "ms") if is_future else ()
    assert judged(correction(Dose(nc=5), ago_ms), GIVEN) == expected


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(("unit", "given_", "name"), [("nc", 100, "nC"), ("i2t", 200, "uA^2 us"), ("on_ms", 300, "ms")])
def test_l13_no_total_falls_below_nothing(unit: str, given_: int, name: str):
    two = {"signed_by": ("dr-1", "dr-2")}
    assert judged(correction(Dose(**{unit: -given_}), **two), GIVEN) == ()
    too_much = refuse("L13", "DOSE.CORRECTION", 0, given_ + 1, given_, name)
    assert judged(correction(Dose(**{unit: -given_ - 1}), **two), GIVEN) == too_much
    earlier = correction(Dose(**{unit: -1}))
    assert judged(correction(Dose(**{unit: -given_}), **two), GIVEN, corrections=(earlier,)) == refuse(
        "L13", "DOSE.CORRECTION", 0, given_, given_ - 1, name
    )


@pytest.mark.rule("L13")
def test_l13_says_all_that_is_wrong():
    wrong = correction(Dose(nc=-101, i2t=-201), -1, signed_by=())
    assert [reason.code for reason in judged(wrong, GIVEN)] == ["DOSE.UNSIGNED"] + ["DOSE.CORRECTION"] * 3


@pytest.mark.rule("L13")
@pytest.mark.rule("L03")
@pytest.mark.rule("L04")
@pytest.mark.hazard("H19")
@pytest.mark.parametrize(
    ("nc", "ago_ms", "changes", "rules"),
    [
        (1_600_000_000, DAY_MS - 1, {}, ["L03"]),
        (1_600_000_000 - 10, DAY_MS - 1, {}, []),
        (5_600_000_000, WEEK_MS - 1, {}, ["L04"]),
        (5_600_000_000, WEEK_MS, {}, []),
        (1_600_000_000, DAY_MS, {}, []),
        (1_600_000_000, HOUR_MS, {"site": "right-calf"}, []),
        (1_600_000_000, HOUR_MS, {"modality": Modality.TENS}, []),
        (1_600_000_000, HOUR_MS, {"pair": "b"}, ["L03"]),
    ],
)
def test_corrections_count_like_sessions(nc: int, ago_ms: int, changes: dict[str, object], rules: list[str]):
    entry = correction(Dose(nc=nc), ago_ms, **changes)
    known = history(*(replace(r, charged=Dose(i2t=1)) for r in BEFORE), corrections=(entry,))
    assert [reason.rule for reason in said(known)] == rules


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
def test_a_correction_lowers_a_total_but_never_below_nothing():
    full = record(3 * DAY_MS, charged=Dose(nc=5_600_000_000)), record(6 * DAY_MS)
    lower = correction(Dose(nc=-110), 2 * DAY_MS)
    assert [reason.rule for reason in said(history(*full))] == ["L04"]
    assert said(history(*full, corrections=(lower,))) == ()
    known = history(corrections=(correction(Dose(nc=-(10**12), on_ms=-(10**12))),))
    heavy = said(known, channel(reserve=Dose(nc=1_600_000_001, on_ms=4_270_001)))
    assert [reason.rule for reason in heavy] == ["L03", "L04"]


entries = st.builds(
    lambda nc, i2t, on_ms, ago, signed: correction(Dose(nc=nc, i2t=i2t, on_ms=on_ms), ago, signed_by=signed),
    *[st.integers(-200, 200)] * 3,
    st.integers(0, 8 * DAY_MS),
    st.sampled_from([("dr-1",), ("dr-1", "dr-2")]),
)


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
@given(st.lists(entries, max_size=8))
def test_no_single_person_ever_lowers_the_week(some: list[Correction]):
    def week(*corrections: Correction) -> Dose:
        return ledger.given_since((GIVEN,), corrections, (SITE, Modality.NMES), WALL_MS, WEEK_MS)

    kept: tuple[Correction, ...] = ()
    for entry in some:
        before = week(*kept)
        if admit_correction(history(GIVEN, corrections=kept), entry, WALL_MS):
            continue
        after = week(*kept, entry)
        lowered = after.nc < before.nc or after.i2t < before.i2t or after.on_ms < before.on_ms
        assert not lowered or len(entry.signed_by) == 2
        assert min(after.nc, after.i2t, after.on_ms) >= 0
        kept = (*kept, entry)
