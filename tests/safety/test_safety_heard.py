"""safety/rules/heard.py: each edge by one unit, and each condition alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import CAPS, Rig, Sensation, Train, plan

from safety.impedance import NO_CURRENT_OHM, Span, observe
from safety.messages import Sample
from safety.rules import heard, monitor
from safety.rules.views import Look
from safety.state import Hold, Setting
from safety.verdict import Reason, Severity

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK

RUNNING = Rig().plateau()
TRAIN = Train(1, 20_000, 300, 100, 25_000)

# What the device measures

SAMPLE = Sample(1, 20_000, 300, 100, 25_000, 20_000, 1_500, 100, 1_000, 0, True, False, False, False, 0)
CONTACT = RUNNING.station.session.channels[0].contact._replace(baseline_ohm=1_500, baseline_ua=20_000, in_a_row=(0, 0))
AT_20_MA = Span(20_000, 20_000, 20_000, 10_000)


def look(sample: dict[str, object] | None = None, **changes: object) -> Look:
    """Look at one ordinary reading on the plateau, with parts of it replaced."""
    reading = SAMPLE._replace(**sample or {})
    setting = Setting(plan(), 20_000, 0)
    after = observe(CONTACT, reading, AT_20_MA, RUNNING.mono_ms)
    view = Look(
        setting, TRAIN, 20_000, reading, CONTACT, after, RUNNING.station.session.limits, CAPS, True, Sensation.S0, ()
    )
    return view._replace(**changes)


def padded(area_mm2: int) -> Setting:
    return Setting(plan(area_mm2=area_mm2), 20_000, 0)


@pytest.mark.hazard("H49")
def test_all_rules_are_quiet_about_an_ordinary_word() -> None:
    assert [rule(look()) for rule in monitor.HEARD] == [None] * 13


@pytest.mark.rule("M01")
@pytest.mark.hazard("H14")
@pytest.mark.parametrize(("high_ua", "edge_ua"), [(20_000, 22_200), (5_000, 7_000), (18_181, 20_181), (18_200, 20_202)])
def test_m01_trips_at_the_second_reading_above_2_ma_or_10_percent_and_the_accuracy(high_ua: int, edge_ua: int) -> None:
    span = Span(high_ua, high_ua, 20_000, 10_000)

    def twice(measured_ua: int) -> Reason | None:
        reading = SAMPLE._replace(ua=high_ua, measured_ua=measured_ua)
        once = observe(CONTACT, reading, span, 0)
        assert heard.m01(look(before=CONTACT, after=once)) is None
        again = observe(once, reading, span, 0)
        return heard.m01(look({"ua": high_ua, "measured_ua": measured_ua}, after=again))

    assert twice(edge_ua) is None
    assert twice(edge_ua + 1) == Reason("M01", LOCK, "DEV.READBACK_MISMATCH", 1, edge_ua + 1, high_ua, "uA")


@pytest.mark.rule("M01")
def test_m01_starts_its_count_again_after_a_good_reading() -> None:
    contact = CONTACT
    for measured_ua in (30_000, 20_000, 30_000):
        contact = observe(contact, SAMPLE._replace(measured_ua=measured_ua), AT_20_MA, 0)
        assert heard.m01(look(after=contact)) is None


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
@pytest.mark.parametrize(
    ("sample", "changes", "found"),
    [
        ({"ohm": 8_000}, {}, None),
        ({"ohm": 8_001}, {}, (8_001, 8_000)),
        ({"ohm": NO_CURRENT_OHM}, {}, (NO_CURRENT_OHM, 8_000)),
        ({"ohm": 4_000}, {"setting": padded(5_000)}, None),
        ({"ohm": 4_501}, {"setting": padded(5_000)}, (4_501, 4_500)),
        ({"ohm": 9_000}, {"before": CONTACT._replace(baseline_ohm=3_000)}, None),
        ({"ohm": 9_001}, {"before": CONTACT._replace(baseline_ohm=3_000)}, (9_001, 9_000)),
        ({"ohm": 8_001}, {"before": CONTACT._replace(baseline_ohm=0)}, (8_001, 8_000)),
        ({"ohm": 8_001}, {"caps": replace(CAPS, numeric_impedance=False)}, None),
        ({"open": True}, {}, (1_500, 8_000)),
        ({"open": True, "fresh": False}, {}, None),
        ({"open": True}, {"train": None}, None),
        ({"measured_ua": 10_000}, {}, None),
        ({"measured_ua": 9_999}, {}, (1_500, 8_000)),
        ({"measured_ua": 9_999}, {"low_ua": 19_998}, None),
        ({"measured_ua": 9_999}, {"caps": replace(CAPS, readback=False)}, None),
    ],
)
def test_m07_opens_on_one_reading(
    sample: dict[str, object], changes: dict[str, object], found: tuple[int, int] | None
) -> None:
    expected = Reason("M07", STOP, "IMP.OPEN", 1, *found, "ohm") if found else None
    assert heard.m07(look(sample, **changes)) == expected


@pytest.mark.rule("M08")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(("ohm", "short", "trips"), [(99, False, True), (100, False, False), (1_500, True, True)])
def test_m08_trips_at_the_second_short_reading(ohm: int, short: bool, trips: bool) -> None:
    reading = SAMPLE._replace(ohm=ohm, short=short)
    once = observe(CONTACT, reading, AT_20_MA, 0)
    assert heard.m08(look({"ohm": ohm}, after=once)) is None
    again = observe(once, reading, AT_20_MA, 0)
    expected = Reason("M08", LOCK, "IMP.SHORT", 1, ohm, 100, "ohm") if trips else None
    assert heard.m08(look({"ohm": ohm}, after=again)) == expected
    between = observe(observe(once, SAMPLE, AT_20_MA, 0), reading, AT_20_MA, 0)
    assert heard.m08(look({"ohm": ohm}, after=between)) is None


def recent(*ohms: int, **changes: object) -> dict[str, object]:
    """Readings that came one each 100 ms, newest last."""
    times = {"recent_ms": tuple(range(0, 100 * len(ohms), 100))}
    return {"after": CONTACT._replace(**{"recent": ohms} | times | changes)}


def held(rule: str, channel: int) -> Hold:
    return Hold(Reason(rule, HOLD, "IMP.HIGH", channel), 0)


HELD = {"holds": (held("M09", 1),)}
NUMB = {"sensation": Sensation.S2}


@pytest.mark.rule("M09")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        (recent(4_000, 4_000, 4_000, 4_000, 4_000), 3_000),
        (recent(4_001, 1_500, 4_001, 1_500, 4_001), 4_000),
        (recent(4_001, 1_500, 4_001, 1_500, 4_000), 3_000),
        (recent(4_001, 4_001, 4_001), 4_000),
        (recent(3_001, 1_500, 3_001, 1_500, 3_001), 3_000),
        (recent(3_001, 1_500, 3_001, 1_500, 3_000), None),
        (recent(3_000, 3_000, 3_000, 3_000, 3_000), None),
        (recent(2_001, 2_001, 2_001) | {"setting": padded(5_000)}, 2_000),
        (recent(2_000, 2_000, 2_000) | {"setting": padded(5_000)}, 1_500),
        (recent(1_500, 1_500, 1_500) | {"setting": padded(5_000)}, None),
        ({"before": CONTACT._replace(recent=(9_000,) * 5), "after": CONTACT._replace(recent=(9_000,) * 5)}, 4_000),
        # Class S2 waits for five readings.
        (recent(4_001, 4_001, 4_001, 1_500) | NUMB, None),
        (recent(4_001, 4_001, 4_001, 1_500, 1_500) | NUMB, 4_000),
        (recent(3_001, 3_001, 3_001, 1_500, 1_500) | NUMB, 3_000),
        # A hold lets go inside 2.4 kohm.
        (recent(2_401) | HELD, 3_000),
        (recent(2_401, 2_400) | HELD, None),
        (recent(2_401) | {"holds": (held("M10", 1),)}, None),
        (recent(2_401) | {"holds": (held("M09", 2),)}, None),
        (recent() | HELD, None),
    ],
)
def test_m09_pauses_above_4_kilohm_and_holds_above_3_for_25_cm2(changes: dict[str, object], limit: int | None) -> None:
    severity = PAUSE if limit in {4_000, 2_000} else HOLD
    expected = Reason("M09", severity, "IMP.HIGH", 1, 1_500, limit, "ohm") if limit else None
    assert heard.m09(look(**changes)) == expected


@pytest.mark.hazard("H49")
def test_three_of_five_rules_wait_for_a_new_reading() -> None:
    old = CONTACT._replace(recent=(9_000, 9_000, 9_000, 5_000), recent_ms=(0, 1, 2, 3), medians=((0, 20_000),))
    for rule in (heard.m09, heard.m10, heard.m11, heard.m13):
        assert rule(look(before=CONTACT, after=old)) is not None
        assert rule(look(before=old, after=old)) is None


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("sensation", "limit", "fair", "inner"),
    [
        (Sensation.S0, 2_250, 1_950, 1_725),
        (Sensation.S1, 1_950, 1_770, 1_635),
        (Sensation.S2, 1_800, 1_680, 1_590),
    ],
)
def test_m10_compares_with_the_baseline_by_the_class_of_sensation(
    sensation: Sensation, limit: int, fair: int, inner: int
) -> None:
    ppm = {Sensation.S0: 1_500_000, Sensation.S1: 1_300_000, Sensation.S2: 1_200_000}[sensation]
    limits = replace(RUNNING.station.session.limits, ratio_ppm=ppm)
    high = (limit + 1,) * 3
    expected = Reason("M10", PAUSE, "IMP.DRIFT", 1, 1_500, limit, "ohm")
    holding = Reason("M10", HOLD, "IMP.DRIFT", 1, 1_500, fair, "ohm")
    others = {"limits": limits, "sensation": sensation}
    assert heard.m10(look(**recent(1_500, 1_500, *high), **others)) == expected
    assert heard.m10(look(**recent(1_500, 1_500, limit, *high[1:]), **others)) == holding
    assert heard.m10(look(**recent(1_500, 1_500, *(fair + 1,) * 3), **others)) == holding
    assert heard.m10(look(**recent(1_500, 1_500, fair, fair + 1, fair + 1), **others)) is None
    assert heard.m10(look(**recent(*high, baseline_ohm=0), **others)) is None
    assert (heard.m10(look(**recent(*high), **others)) is None) is (sensation is Sensation.S2)
    stands = {"holds": (held("M10", 1),)}
    assert heard.m10(look(**recent(1_500, inner + 1), **others, **stands)) == holding
    assert heard.m10(look(**recent(inner + 1, inner), **others, **stands)) is None
    old = CONTACT._replace(recent=(inner + 1,))
    assert heard.m10(look(before=old, after=old, **others, **stands)) is None


@pytest.mark.rule("M11")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("ohms", "found"),
    [
        ((1_000, 1_250), None),
        ((1_000, 1_251), (251, 250)),
        ((1_000, 750), None),
        ((1_000, 749), (251, 250)),
        ((2_000, 1_000, 1_250), None),
        ((1_251,), None),
        ((), None),
    ],
)
def test_m11_sees_a_step_of_more_than_a_quarter(ohms: tuple[int, ...], found: tuple[int, int] | None) -> None:
    expected = Reason("M11", PAUSE, "IMP.DRIFT", 1, *found, "ohm") if found else None
    assert heard.m11(look(**recent(*ohms))) == expected


@pytest.mark.rule("M11")
def test_m11_judges_a_pair_once() -> None:
    stepped = (1_000, 2_000)
    before, after = CONTACT._replace(recent=stepped), CONTACT._replace(recent=stepped, fresh_ms=1)
    assert heard.m11(look(before=before, after=after)) is None


@pytest.mark.rule("M12")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(
    ("ohms", "found"),
    [
        ((1_000, 1_101, 1_212), (1_212, 1_211)),
        ((1_000, 1_100, 1_212), None),
        ((1_000, 1_101, 1_211), None),
        ((1_101, 1_212), None),
        ((1_000, 1_110, 1_221), None),
        ((1_000, 1_100, 1_211), None),
    ],
)
def test_m12_wants_two_steep_minutes_running(ohms: tuple[int, ...], found: tuple[int, int] | None) -> None:
    minutes = tuple((index * 60_000, ohm) for index, ohm in enumerate(ohms))
    expected = Reason("M12", HOLD, "IMP.DRIFT", 1, *found, "ohm") if found else None
    assert heard.m12(look(after=CONTACT._replace(minutes=minutes))) == expected


@pytest.mark.rule("M12")
@pytest.mark.hazard("H34")
@pytest.mark.parametrize(
    ("holds", "ohms", "found"),
    [
        ((held("M12", 1),), (1_000, 1_051, 1_104), (1_104, 1_103)),
        ((held("M12", 1),), (1_000, 1_050, 1_104), None),
        ((held("M12", 1),), (1_000, 1_051, 1_103), None),
        ((held("M12", 2),), (1_000, 1_051, 1_104), None),
        ((held("M14", 1),), (1_000, 1_051, 1_104), None),
    ],
)
def test_m12_lets_go_where_the_skin_dries_half_as_fast(
    holds: tuple[Hold, ...], ohms: tuple[int, ...], found: tuple[int, int] | None
) -> None:
    minutes = tuple((index * 60_000, ohm) for index, ohm in enumerate(ohms))
    expected = Reason("M12", HOLD, "IMP.DRIFT", 1, *found, "ohm") if found else None
    assert heard.m12(look(after=CONTACT._replace(minutes=minutes), holds=holds)) == expected


@pytest.mark.rule("M13")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(
    ("ohms", "medians", "floor"),
    [
        ((2_000, 2_000, 1_199, 1_199, 1_199), ((0, 2_000), (1, 1_500)), 1_200),
        ((2_000, 2_000, 1_200, 1_199, 1_199), ((0, 2_000), (1, 1_500)), None),
        ((1_199, 1_199, 1_199), ((0, 1_998),), None),
        ((1_199, 1_199, 1_199), (), None),
    ],
)
def test_m13_sees_a_fall_of_more_than_40_percent_from_the_highest_median(
    ohms: tuple[int, ...], medians: tuple[tuple[int, int], ...], floor: int | None
) -> None:
    expected = Reason("M13", PAUSE, "IMP.FALL", 1, 1_500, floor, "ohm") if floor else None
    assert heard.m13(look(**recent(*ohms, medians=medians))) == expected


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
@pytest.mark.parametrize(
    ("clipped", "severity", "allowed"), [(2, None, 0), (3, HOLD, 3), (9, HOLD, 3), (10, PAUSE, 10), (11, PAUSE, 10)]
)
def test_m14_holds_at_three_clipped_pulses_and_pauses_at_ten(
    clipped: int, severity: Severity | None, allowed: int
) -> None:
    expected = Reason("M14", severity, "IMP.CLIP", 1, clipped, allowed, "pulses") if severity else None
    assert heard.m14(look({"clipped": clipped})) == expected
    assert heard.m14(look({"clipped": clipped, "fresh": False})) is None


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
@pytest.mark.parametrize(
    ("holds", "limit", "clipped", "allowed"),
    [
        ((held("M14", 1),), 3, 1, None),
        ((held("M14", 1),), 3, 2, 2),
        ((held("M14", 1),), 4, 1, None),
        ((held("M14", 1),), 4, 2, 2),
        ((held("M14", 2),), 3, 2, None),
        ((held("M12", 1),), 3, 2, None),
    ],
)
def test_m14_lets_go_below_half_of_the_clipped_pulses_that_held(
    holds: tuple[Hold, ...], limit: int, clipped: int, allowed: int | None
) -> None:
    view = look({"clipped": clipped}, holds=holds)
    found = heard.m14(view._replace(limits=replace(view.limits, clip_hold=limit)))
    assert found == (Reason("M14", HOLD, "IMP.CLIP", 1, clipped, allowed, "pulses") if allowed else None)


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
@pytest.mark.parametrize(("clip_hold", "holds"), [(0, True), (1, False)])
def test_m14_an_old_reading_is_one_without_a_clipped_pulse(clip_hold: int, holds: bool) -> None:
    view = look({"clipped": 9, "fresh": False})
    found = heard.m14(view._replace(limits=replace(view.limits, clip_hold=clip_hold)))
    assert found == (Reason("M14", HOLD, "IMP.CLIP", 1, 0, 0, "pulses") if holds else None)


@pytest.mark.rule("M27")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize("echo", [{"ua": 20_001}, {"width_us": 299}, {"gap_us": 101}, {"period_us": 25_010}])
def test_m27_compares_every_field_of_the_echo(echo: dict[str, int]) -> None:
    ua = echo.get("ua", 20_000)
    assert heard.m27(look(echo)) == Reason("M27", LOCK, "DEV.READBACK_MISMATCH", 1, ua, 20_000, "uA")
    assert heard.m27(look(echo, settled=False)) is None


@pytest.mark.rule("M27")
def test_m27_wants_nothing_in_force_where_nothing_was_sent() -> None:
    assert heard.m27(look({"ua": 0, "width_us": 0, "gap_us": 0, "period_us": 0}, train=None)) is None
    assert heard.m27(look({}, train=None)) == Reason("M27", LOCK, "DEV.READBACK_MISMATCH", 1, 20_000, 0, "uA")


@pytest.mark.rule("M11")
@pytest.mark.hazard("H06")
@pytest.mark.parametrize(
    ("ohms", "times", "found"),
    [
        ((1_000, 1_150, 1_251), (0, 50, 100), (251, 250)),
        ((1_000, 1_150, 1_250), (0, 50, 100), None),
        ((1_000, 1_150, 1_251), (0, 51, 101), None),
        ((1_000, 1_090, 1_180, 1_251), (0, 30, 60, 90), (251, 250)),
        ((2_000, 1_000, 1_250), (0, 1, 60_000), None),
        ((1_000, 1_251), (0, 60_000), (251, 250)),
    ],
)
def test_m11_sees_a_step_that_takes_a_tenth_of_a_second(
    ohms: tuple[int, ...], times: tuple[int, ...], found: tuple[int, int] | None
) -> None:
    expected = Reason("M11", PAUSE, "IMP.DRIFT", 1, *found, "ohm") if found else None
    assert heard.m11(look(**recent(*ohms, recent_ms=times))) == expected


# The charge of the phases, the density that is left, the warmth

FITTED = replace(CAPS, balance=True, temperature=True)


def balanced(mean_ppm: int, sample: Sample = SAMPLE, **changes: object) -> Look:
    view = look(after=CONTACT._replace(balance=(0, 0, 1, mean_ppm)), **{"caps": FITTED} | changes)
    return view._replace(sample=sample)


@pytest.mark.rule("M16")
@pytest.mark.hazard("H15")
@pytest.mark.parametrize(
    ("mean_ppm", "train", "found"),
    [
        (20_000, TRAIN, None),
        (20_001, TRAIN, (20_001, 20_000, "ppm")),
        (20_001, None, (20_001, 20_000, "ppm")),
        # 100 mA x 500 us x 100 Hz = 5 mA, of which 2 % are 100 uA.
        (20_000, Train(1, 100_000, 500, 0, 10_000), None),
        (20_000, Train(1, 100_000, 500, 0, 9_999), (101, 100, "uA")),
        (0, Train(1, 100_000, 500, 0, 9_999), None),
        (20_000, None, None),
    ],
)
def test_m16_locks_a_device_whose_phases_differ(
    mean_ppm: int, train: Train | None, found: tuple[int, int, str] | None
) -> None:
    expected = Reason("M16", LOCK, "DEV.IMBALANCE", 1, *found) if found else None
    assert heard.m16(balanced(mean_ppm, train=train)) == expected
    assert heard.m16(balanced(mean_ppm, train=train, caps=replace(FITTED, balance=False))) is None
    assert heard.m16(balanced(mean_ppm, train=train, sample=SAMPLE._replace(fresh=False))) is None


@pytest.mark.rule("M16")
@pytest.mark.rule("X7")
def test_m16_takes_a_fitted_measurement_that_is_missing_for_the_worst() -> None:
    missing = SAMPLE._replace(imbalance_ppm=None)
    assert heard.m16(balanced(0, sample=missing)) == Reason("M16", LOCK, "DEV.IMBALANCE", 1)
    assert heard.m16(balanced(0, sample=missing._replace(fresh=False))) is None
    assert heard.m16(balanced(0, sample=missing, caps=replace(FITTED, balance=False))) is None


def peeled(*ohms: int, ua: int = 100_000, **changes: object) -> Look:
    """100 mA, 500 us, 100 Hz: 31.623 mA r.m.s.; baseline 1,250 ohm, of which 1,000 are the pad's."""
    after = CONTACT._replace(recent=ohms, baseline_ohm=1_250)
    whole = {"setting": Setting(plan(area_mm2=10_000), ua, 0), "after": after, "train": Train(1, ua, 500, 0, 10_000)}
    return look(**whole | changes)


@pytest.mark.rule("M17")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("ohms", "found"),
    [
        ((1_250,) * 3, None),
        ((1_000,) * 3, None),
        # 316.23 uA/cm2 at full contact: 1,500 at a contact of 0.2108, which is 1,000 of 4,742 ohm beyond the body's.
        ((4_991,) * 3, None),
        ((4_992,) * 3, (PAUSE, 1_501, 1_500)),
        ((4_992, 4_992), None),
        ((4_992, 4_992, 1_250, 1_250, 1_250), None),
        ((4_992, 4_992, 4_992, 1_250, 1_250), (PAUSE, 1_501, 1_500)),
        ((6_571,) * 3, (PAUSE, 1_999, 1_500)),
        ((6_572,) * 3, (STOP, 2_001, 2_000)),
        ((9_999_999,) * 3, (STOP, 3_162_278, 2_000)),
        # The least contact is one square millimetre.
        ((10_000_251,) * 3, (STOP, 3_162_278, 2_000)),
    ],
)
def test_m17_judges_density_by_the_contact_that_is_left(
    ohms: tuple[int, ...], found: tuple[Severity, int, int] | None
) -> None:
    expected = Reason("M17", found[0], "IMP.DENSITY", 1, *found[1:], "uA/cm2") if found else None
    assert heard.m17(peeled(*ohms)) == expected
    assert heard.m17(peeled(*ohms, train=None)) is None
    after = CONTACT._replace(recent=ohms, baseline_ohm=0)
    assert heard.m17(peeled(*ohms, after=after)) is None
    same = CONTACT._replace(recent=ohms, baseline_ohm=1_250)
    assert heard.m17(peeled(*ohms, before=same, after=same)) is None


@pytest.mark.rule("M17")
def test_m17_takes_at_most_half_of_an_impedance_for_the_bodys() -> None:
    # 300 ohm of which 150 are the pad's; at 1,500 ohm its contact is 150/1,350, so 316.23 uA/cm2 become 2,846.
    low = CONTACT._replace(recent=(1_500,) * 3, baseline_ohm=300)
    assert heard.m17(peeled(after=low)).asked == 2_847


@pytest.mark.rule("M17")
@pytest.mark.parametrize(("ohm", "judged"), [(250, False), (1_249, False), (1_250, False), (1_251, True)])
def test_m17_a_pad_that_reads_no_more_than_its_baseline_has_all_its_contact(ohm: int, *, judged: bool) -> None:
    small = Setting(plan(area_mm2=1_000), 100_000, 0)  # 3,163 uA/cm2 under the whole of it, which is G13's business
    assert (heard.m17(peeled(*(ohm,) * 3, setting=small)) is not None) is judged


@pytest.mark.rule("M17")
@pytest.mark.rule("X11")
def test_m17_says_a_density_rounded_up() -> None:
    # 96 mA, 500 us, 100 Hz on the 1,979 mm2 that are left of a pad: 1,534.0003 uA/cm2.
    assert heard.m17(peeled(*(5_301,) * 3, ua=96_000)).asked == 1_535


@pytest.mark.rule("M22")
@pytest.mark.hazard("H37")
@pytest.mark.parametrize(
    ("mdeg", "severity", "allowed"),
    [
        (37_999, None, 0),
        (38_000, HOLD, 38_000),
        (39_999, HOLD, 38_000),
        (40_000, PAUSE, 40_000),
        (40_999, PAUSE, 40_000),
        (41_000, STOP, 41_000),
    ],
)
def test_m22_has_three_steps(mdeg: int, severity: Severity | None, allowed: int) -> None:
    expected = Reason("M22", severity, "IMP.WARM", 1, mdeg, allowed, "mdeg") if severity else None
    assert heard.m22(look({"skin_mdeg": mdeg, "fresh": False}, caps=FITTED)) == expected
    assert heard.m22(look({"skin_mdeg": mdeg})) is None


@pytest.mark.rule("M22")
@pytest.mark.rule("X7")
def test_m22_takes_a_fitted_sensor_that_says_nothing_for_the_worst_and_lets_go_half_of_the_way() -> None:
    assert heard.m22(look(caps=FITTED)) == Reason("M22", STOP, "IMP.WARM", 1)
    assert heard.m22(look({"fresh": False}, caps=FITTED)) is None
    stands = {"caps": FITTED, "holds": (held("M22", 1),)}
    assert heard.m22(look({"skin_mdeg": 35_500}, **stands)).allowed == 35_500
    assert heard.m22(look({"skin_mdeg": 35_499}, **stands)) is None
    assert heard.m22(look({"skin_mdeg": 37_999}, caps=FITTED, holds=(held("M09", 1),))) is None
    odd = stands | {"limits": replace(look().limits, skin_hold_mdeg=37_999)}
    assert heard.m22(look({"skin_mdeg": 35_499}, **odd)).allowed == 35_499
