"""safety/rules/tick.py: one unit below, at and above each edge, and each condition alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import (
    CAPS,
    WALL_MS,
    Calibration,
    Modality,
    Picture,
    Programme,
    Rig,
    Sensation,
    Train,
    plan,
    rx,
)

from safety.impedance import UNSENSED
from safety.rules import monitor, tick
from safety.rules.views import Watch
from safety.state import Channel, Hold, Setting
from safety.times import SCIENCEMODE4
from safety.verdict import Reason, Severity

HOLD, PAUSE, STOP, LOCK = Severity.HOLD, Severity.PAUSE, Severity.STOP, Severity.LOCK

RUNNING = Rig().plateau()
TRAIN = Train(1, 20_000, 300, 100, 25_000)
TENS = Programme(modality=Modality.TENS, ramp_up_ms=1_000, on_ms=60_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000)


def watch(**changes: object) -> Watch:
    """Look at the plateau of 20 mA, with parts of it replaced: channel, course, session, beat, station, or the view."""
    station, now = RUNNING.station, RUNNING.now
    session = station.session
    channel = session.channels[0]._replace(train=TRAIN, **changes.pop("channel", {}))
    course = session.course._replace(**changes.pop("course", {}))
    session = session._replace(**{"channels": (channel,), "course": course} | changes.pop("session", {}))
    beat = station.beat._replace(heard_ms=now.mono_ms, **changes.pop("beat", {}))
    station = station._replace(**{"session": session, "beat": beat} | changes.pop("station", {}))
    limits = replace(session.limits, **changes.pop("limits", {}))
    view = Watch(station, session, limits, Picture((TRAIN,)), now.mono_ms, now.wall_ms, 50, 0)
    return view._replace(**changes)


def prescribed(programme: Programme) -> dict[str, object]:
    return {"rx": rx(programme=programme)}


@pytest.mark.hazard("H49")
def test_all_rules_are_quiet_on_an_ordinary_plateau() -> None:
    assert [rule(watch()) for rule in monitor.TICK] == [None] * 18


# M02


def pulse(**changes: object) -> Picture:
    return Picture((TRAIN._replace(**changes),))


def locked(code: str, asked: int, allowed: int, unit: str, channel: int = 1) -> Reason:
    return Reason("M02", LOCK, code, channel, asked, allowed, unit)


@pytest.mark.rule("M02")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("limits", "wanted", "found"),
    [
        ({}, pulse(ua=30_000), None),
        ({}, pulse(ua=30_001), locked("LIM.TOLERANCE", 30_001, 30_000, "uA")),
        ({"amplitude_ua": 25_000}, pulse(ua=25_000), None),
        ({"amplitude_ua": 25_000}, pulse(ua=25_001), locked("LIM.CURRENT", 25_001, 25_000, "uA")),
        ({}, pulse(ua=0), locked("LIM.TOLERANCE", 0, 30_000, "uA")),
        ({}, pulse(ua=-1), locked("LIM.TOLERANCE", -1, 30_000, "uA")),
        ({}, pulse(width_us=299), None),
        ({}, pulse(width_us=301), locked("LIM.PULSE_WIDTH", 301, 300, "us")),
        ({"width_us": 250}, pulse(width_us=250), None),
        ({"width_us": 250}, pulse(width_us=251), locked("LIM.PULSE_WIDTH", 251, 250, "us")),
        ({}, pulse(width_us=50), None),
        ({}, pulse(width_us=49), locked("LIM.PULSE_WIDTH", 49, 50, "us")),
        ({}, pulse(period_us=25_001), None),
        ({}, pulse(period_us=24_999), locked("LIM.FREQUENCY", 24_999, 25_000, "us")),
        ({"period_min_us": 25_001}, pulse(period_us=25_001), None),
        ({"period_min_us": 25_001}, pulse(ua=19_999), locked("LIM.FREQUENCY", 25_000, 25_001, "us")),
        ({}, pulse(period_us=1_000_000), None),
        ({}, pulse(period_us=1_000_001), locked("LIM.FREQUENCY", 1_000_001, 1_000_000, "us")),
        # 19,999 uA x 300 us = 5,999.7 nC, up to 6,000; r.m.s. 3,098.2 uA; 123.9 uA/cm2; 192 uW/cm2; 120 uJ; 2.4 uA d.c.
        ({"phase_charge_nc": 6_000}, pulse(ua=19_999), None),
        ({"phase_charge_nc": 5_999}, pulse(ua=19_999), locked("LIM.CHARGE", 6_000, 5_999, "nC")),
        ({"rms_ua": 3_099}, pulse(ua=19_999), None),
        ({"rms_ua": 3_098}, pulse(ua=19_999), locked("LIM.RMS", 3_099, 3_098, "uA")),
        ({"density_ua_cm2": 124}, pulse(ua=19_999), None),
        ({"density_ua_cm2": 123}, pulse(ua=19_999), locked("LIM.CHARGE_DENSITY", 124, 123, "uA/cm2")),
        ({"power_uw_cm2": 192}, pulse(ua=19_999), None),
        ({"power_uw_cm2": 191}, pulse(ua=19_999), locked("LIM.POWER", 192, 191, "uW/cm2")),
        ({"pulse_energy_uj": 120}, pulse(ua=19_999), None),
        ({"pulse_energy_uj": 119}, pulse(ua=19_999), locked("LIM.ENERGY", 120, 119, "uJ")),
        ({"mismatch_ppm": 10_000}, pulse(ua=19_999), None),
        ({"mismatch_ppm": 9_999}, pulse(ua=19_999), locked("LIM.CHARGE_BALANCE", 10_000, 9_999, "ppm")),
        ({"direct_ua": 3}, pulse(ua=19_999), None),
        ({"direct_ua": 2}, pulse(ua=19_999), locked("LIM.CHARGE_BALANCE", 3, 2, "uA")),
        ({}, pulse(channel=2), locked("SYS.INTERNAL", 2, 0, "channel", 2)),
        ({}, Picture((TRAIN, TRAIN)), locked("SYS.INTERNAL", 1, 1, "channel")),
        ({}, Picture(()), None),
    ],
)
def test_m02_judges_each_new_picture_by_every_pulse_rule(
    limits: dict[str, int], wanted: Picture, found: Reason | None
) -> None:
    assert tick.m02(watch(limits=limits, wanted=wanted, beat={"picture": Picture((TRAIN,))})) == found


@pytest.mark.rule("M02")
@pytest.mark.hazard("H49")
def test_m02_judges_the_age_of_a_calibration_as_of_arming() -> None:
    week_ms = 7 * 86_400_000
    for age_ms, found in ((week_ms, None), (week_ms + 1, locked("LIM.TOLERANCE", 19_999, 0, "uA"))):
        calibration = Calibration(
            at_wall_ms=WALL_MS - age_ms,
            pair="a",
            area_mm2=2_500,
            width_us=300,
            sensory_ua=8_000,
            motor_ua=15_000,
            maximal_ua=60_000,
        )
        own = plan(calibration=calibration)
        session = {"rx": rx(own, sensation=Sensation.S1), "settings": (Setting(own, 20_000, 0),)}
        assert tick.m02(watch(session=session, wanted=pulse(ua=19_999))) == found


@pytest.mark.rule("M02")
def test_m02_asks_only_when_the_picture_changes_and_a_device_is_there() -> None:
    bad = pulse(ua=30_001)
    assert tick.m02(watch(wanted=bad)) is not None
    assert tick.m02(watch(wanted=bad, beat={"picture": bad})) is None
    assert tick.m02(watch(wanted=bad, beat={"picture": Picture((TRAIN._replace(ua=30_001),))})) is None
    assert tick.m02(watch(wanted=bad, station={"device": None})) is None


@pytest.mark.rule("M02")
def test_m02_refuses_channels_out_of_order() -> None:
    two = Rig().plateau(rx(plan(), plan(channel=2, site="right-quadriceps")))
    session = two.station.session
    first, second = TRAIN, TRAIN._replace(channel=2)
    view = Watch(two.station, session, session.limits, Picture((second, first)), two.mono_ms, two.wall_ms, 50, 0)
    assert tick.m02(view._replace(wanted=Picture((first._replace(ua=19_900), second)))) is None
    assert tick.m02(view) == locked("SYS.INTERNAL", 1, 2, "channel")


@pytest.mark.rule("M02")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("train", "found"),
    [
        (TRAIN._replace(ua=80_000), None),  # what G08 would bind by is what a calibration is looking for
        (TRAIN._replace(ua=80_001), locked("LIM.CURRENT", 80_001, 80_000, "uA")),
        (TRAIN._replace(width_us=49), locked("LIM.PULSE_WIDTH", 49, 50, "us")),
        (TRAIN._replace(channel=2), locked("SYS.INTERNAL", 2, 0, "channel", 2)),
    ],
)
def test_m02_lets_a_calibration_drive_its_own_channel_beyond_the_thresholds(train: Train, found: Reason | None) -> None:
    rig = Rig().calibrating(rx(plan(), plan(channel=2, site="right-quadriceps")))
    session = rig.station.session
    view = Watch(rig.station, session, session.limits, Picture((train,)), rig.mono_ms, rig.wall_ms, 50, 0)
    assert tick.m02(view) == found


# M03


def above(asked: int, allowed: int) -> Reason:
    return Reason("M03", STOP, "LIM.STEP", 1, asked, allowed, "uA")


@pytest.mark.rule("M03")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("since_zero_ms", "late_ms", "ua", "found"),
    [
        (None, 50, 1_100, None),
        (None, 50, 1_101, above(1_101, 1_100)),
        (None, 100, 2_100, None),
        (None, 100, 2_101, above(2_101, 2_100)),
        (505, 50, 10_100, None),
        (505, 50, 10_101, above(10_101, 10_100)),
        (505, 5_000, 10_101, above(10_101, 10_100)),
        (999, 50, 19_980, None),
        (999, 50, 19_981, above(19_981, 19_980)),
        (1_000, 50, 20_000, None),
        (1_000, 50, 20_001, above(20_001, 20_000)),
        (9_999, 50, 20_000, None),
        (9_999, 50, 20_001, above(20_001, 20_000)),
    ],
)
def test_m03_draws_the_ramp_line_through_zero(
    since_zero_ms: int | None, late_ms: int, ua: int, found: Reason | None
) -> None:
    view = watch(channel={"since_zero_ms": since_zero_ms or 0}, late_ms=late_ms, wanted=pulse(ua=ua))
    if since_zero_ms is None:
        channel = view.session.channels[0]._replace(train=None)
        view = view._replace(session=view.session._replace(channels=(channel,)))
    assert tick.m03(view) == found


@pytest.mark.rule("M03")
def test_m03_counts_the_time_for_which_a_picture_was_held_back() -> None:
    view = watch(beat={"held_ms": 30})
    rising = view._replace(session=view.session._replace(channels=(view.session.channels[0]._replace(train=None),)))
    assert tick.m03(rising._replace(wanted=pulse(ua=1_700))) is None
    assert tick.m03(rising._replace(wanted=pulse(ua=1_701))) == above(1_701, 1_700)


@pytest.mark.rule("M03")
def test_m03_judges_a_picture_that_flows_already_against_a_set_point_that_was_lowered() -> None:
    view = watch(channel={"since_zero_ms": 5_000})
    same = view.station.beat.picture
    lowered = view.session.settings[0]._replace(setpoint_ua=15_000)
    low = view._replace(session=view.session._replace(settings=(lowered,)), wanted=same)
    assert tick.m03(view._replace(wanted=same)) is None
    assert tick.m03(low) == above(20_000, 15_000)


@pytest.mark.rule("M03")
def test_m03_needs_a_device_and_a_train() -> None:
    high = pulse(ua=20_001)
    assert tick.m03(watch(channel={"since_zero_ms": 5_000}, wanted=high)) == above(20_001, 20_000)
    assert tick.m03(watch(channel={"since_zero_ms": 5_000}, wanted=high, station={"device": None})) is None
    assert tick.m03(watch(channel={"since_zero_ms": 5_000}, wanted=Picture(()))) is None


@pytest.mark.rule("M03")
def test_m03_lets_a_programme_without_a_ramp_rise_in_one_ms() -> None:
    flat = replace(TENS, ramp_up_ms=0)
    assert tick.m03(watch(channel={"since_zero_ms": 1}, session=prescribed(flat))) is None
    assert tick.m03(watch(channel={"since_zero_ms": 0}, session=prescribed(flat))) == above(20_000, 0)


# M04


def silent(severity: Severity, age_ms: int, allowed: int, code: str = "DEV.LOST", channel: int = 0) -> Reason:
    return Reason("M04", severity, code, channel, age_ms, allowed, "ms")


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("age_ms", "found"),
    [
        (299, None),
        (300, None),
        (301, silent(HOLD, 301, 300)),
        (500, silent(HOLD, 500, 300)),
        (501, silent(PAUSE, 501, 500)),
        (1_000, silent(PAUSE, 1_000, 500)),
        (1_001, silent(STOP, 1_001, 1_000)),
    ],
)
def test_m04_ages_the_last_word(age_ms: int, found: Reason | None) -> None:
    view = watch()
    assert tick.m04(view._replace(now_ms=view.station.beat.heard_ms + age_ms, limits=view.limits)) == found


@pytest.mark.rule("M04")
@pytest.mark.parametrize(
    ("name", "value", "age_ms", "found"),
    [
        ("silence_hold_ms", 250, 251, silent(HOLD, 251, 250)),
        ("silence_pause_ms", 400, 401, silent(PAUSE, 401, 400)),
        ("silence_stop_ms", 800, 801, silent(STOP, 801, 800)),
    ],
)
def test_m04_takes_the_tighter_of_device_times_and_limits(name: str, value: int, age_ms: int, found: Reason) -> None:
    view = watch(limits={name: value})
    heard_ms = view.station.beat.heard_ms
    assert tick.m04(view._replace(now_ms=heard_ms + age_ms)) == found
    slow = watch(station={"config": replace(view.station.config, times=SCIENCEMODE4)})
    assert tick.m04(slow._replace(now_ms=heard_ms + 700)) == silent(HOLD, 700, 300)
    assert tick.m04(slow._replace(now_ms=heard_ms + 701)) == silent(PAUSE, 701, 700)


@pytest.mark.rule("M04")
@pytest.mark.parametrize(
    ("fresh_age_ms", "pull_ms", "found"),
    [
        (550, 9_999, None),
        (551, 9_999, silent(STOP, 551, 550, "IMP.STALE", 1)),
        (9_999, 550, None),
        (9_999, 551, silent(STOP, 551, 550, "IMP.STALE", 1)),
    ],
)
def test_m04_misses_a_fitted_measurement_after_two_pulses_and_half_a_second(
    fresh_age_ms: int, pull_ms: int, found: Reason | None
) -> None:
    contact = UNSENSED._replace(fresh_ms=RUNNING.mono_ms - fresh_age_ms)
    view = watch(channel={"contact": contact, "pull_ms": pull_ms})
    assert tick.m04(view) == found
    off = view.session.channels[0]._replace(train=None)
    assert tick.m04(view._replace(session=view.session._replace(channels=(off,)))) is None
    blind = view.station.device._replace(caps=replace(CAPS, numeric_impedance=False))
    assert tick.m04(view._replace(station=view.station._replace(device=blind))) is None
    assert tick.m04(view._replace(station=view.station._replace(device=None))) is None


# M18


def dosed(severity: Severity, asked: int, allowed: int, unit: str) -> Reason:
    return Reason("M18", severity, "DOSE.SESSION", 1, asked, allowed, unit)


AMPERE2_S = 10**18


@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("spent", "found"),
    [
        ((759_999_999, 0, 0), None),
        ((760_000_000, 0, 0), dosed(PAUSE, 760_000_000, 760_000_000, "nC")),
        ((799_999_999, 0, 0), dosed(PAUSE, 799_999_999, 760_000_000, "nC")),
        ((800_000_000, 0, 0), dosed(STOP, 800_000_000, 800_000_000, "nC")),
        ((0, AMPERE2_S * 95 // 1000 - 1, 0), None),
        ((0, AMPERE2_S * 95 // 1000, 0), dosed(PAUSE, AMPERE2_S * 95 // 1000, AMPERE2_S * 95 // 1000, "uA^2 us")),
        ((0, AMPERE2_S // 10 - 1, 0), dosed(PAUSE, AMPERE2_S // 10 - 1, AMPERE2_S * 95 // 1000, "uA^2 us")),
        ((0, AMPERE2_S // 10, 0), dosed(STOP, AMPERE2_S // 10, AMPERE2_S // 10, "uA^2 us")),
        ((0, 0, 579_499), None),
        ((0, 0, 579_500), dosed(PAUSE, 579_500, 579_500, "ms")),
        ((0, 0, 609_999), dosed(PAUSE, 609_999, 579_500, "ms")),
        ((0, 0, 610_000), dosed(STOP, 610_000, 610_000, "ms")),
    ],
)
def test_m18_pauses_at_95_percent_of_a_cap_and_stops_at_it(spent: tuple[int, int, int], found: Reason | None) -> None:
    assert tick.m18(watch(channel={"spent": spent}, session={"permit": None})) == found


@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
def test_m18_stops_beyond_the_reservation_by_what_was_applied_or_by_what_the_device_counted() -> None:
    reserve = RUNNING.station.session.permit.reserve[0].nc
    beyond = Reason("M18", STOP, "DOSE.SESSION", 1, reserve + 1, reserve, "nC")
    none = {"base_nc": (0,), "seen_nc": (0,)}
    assert tick.m18(watch(channel={"spent": (reserve, 0, 0)}, course=none)) is None
    assert tick.m18(watch(channel={"spent": (reserve + 1, 0, 0)}, course=none)) == beyond
    counted = {"base_nc": (reserve - 5,), "seen_nc": (5,)}
    assert tick.m18(watch(channel={"spent": (0, 0, 0)}, course=counted)) is None
    assert tick.m18(watch(channel={"spent": (0, 0, 0)}, course=counted | {"seen_nc": (6,)})) == beyond
    assert tick.m18(watch(channel={"spent": (0, 0, 0)}, course=counted | {"base_nc": (reserve - 4,)})) == beyond


# M19


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("mu_ppm", "found"),
    [
        (600_001, None),
        (600_000, None),
        (599_999, Reason("M19", HOLD, "FAT.REST", 1, 599_999, 600_000, "ppm")),
        (500_000, Reason("M19", HOLD, "FAT.REST", 1, 500_000, 600_000, "ppm")),
        (499_999, Reason("M19", PAUSE, "FAT.REST", 1, 499_999, 500_000, "ppm")),
    ],
)
def test_m19_has_two_marks(mu_ppm: int, found: Reason | None) -> None:
    assert tick.m19(watch(channel={"mu_ppm": mu_ppm})) == found


# M20


@pytest.mark.rule("M20")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("channel", "found"),
    [
        ({"plateau_ms": 2_209}, None),
        ({"plateau_ms": 2_210}, None),
        ({"plateau_ms": 2_211}, Reason("M20", STOP, "FAT.ON_TIME", 1, 2_211, 2_210, "ms")),
        ({"pull_ms": 4_200}, None),
        ({"pull_ms": 4_201}, Reason("M20", STOP, "FAT.ON_TIME", 1, 4_201, 4_200, "ms")),
        ({"train": None, "rest_ms": 0, "pull_ms": 1_000}, None),
        ({"train": None, "rest_ms": 0, "pull_ms": 1_001}, Reason("M20", STOP, "FAT.DUTY", 1, 0, 5_800, "ms")),
        ({"train": None, "rest_ms": 5_801}, None),
        ({"train": None, "rest_ms": 5_800}, None),
        ({"train": None, "rest_ms": 5_799}, Reason("M20", STOP, "FAT.DUTY", 1, 5_799, 5_800, "ms")),
        ({"rest_ms": 5_799}, None),
    ],
)
def test_m20_knows_the_rhythm(channel: dict[str, object], found: Reason | None) -> None:
    view = watch()
    channels = (view.session.channels[0]._replace(plateau_ms=0, pull_ms=4_000)._replace(**channel),)
    view = view._replace(session=view.session._replace(channels=channels))
    assert tick.m20(view) == found
    tens = replace(view.session.rx.programme, modality=Modality.TENS)
    assert tick.m20(view._replace(session=view.session._replace(rx=rx(programme=tens)))) is None
    assert tick.m20(view._replace(station=view.station._replace(device=None))) is None
    if "train" in channel:
        assert tick.m20(view._replace(wanted=Picture(()))) is None


# M21


def over(asked: int, allowed: int) -> Reason:
    return Reason("M21", STOP, "DOSE.TIME", 0, asked, allowed, "ms")


@pytest.mark.rule("M21")
@pytest.mark.hazard("H18")
def test_m21_ends_by_played_time_by_the_permit_and_by_the_wall() -> None:
    now_ms, ends_ms = RUNNING.mono_ms, RUNNING.station.session.permit.ends_mono_ms
    assert tick.m21(watch(course={"played_ms": 60_000})) is None
    assert tick.m21(watch(course={"played_ms": 60_001})) == over(60_001, 60_000)
    assert tick.m21(watch(course={"played_ms": 59_000}, limits={"therapy_ms": 59_000})) is None
    assert tick.m21(watch(course={"played_ms": 59_001}, limits={"therapy_ms": 59_000})) == over(59_001, 59_000)
    assert tick.m21(watch(course={"first_run_ms": now_ms - 90_000})) is None
    assert tick.m21(watch(course={"first_run_ms": now_ms - 90_001})) == over(90_001, 90_000)
    assert tick.m21(watch(course={"first_run_ms": 0})) is None
    never = {"first_run_ms": 0}
    assert tick.m21(watch(course=never, now_ms=ends_ms)) is None
    assert tick.m21(watch(course=never, now_ms=ends_ms + 1)) == over(ends_ms + 1, ends_ms)
    assert tick.m21(watch(course=never, session={"permit": None}, now_ms=ends_ms + 1)) is None


# M25


@pytest.mark.rule("M25")
@pytest.mark.hazard("H40")
@pytest.mark.parametrize(
    ("late_ms", "found"),
    [
        (99, None),
        (100, None),
        (101, Reason("M25", HOLD, "SYS.OVERLOAD", 0, 101, 100, "ms")),
        (200, Reason("M25", HOLD, "SYS.OVERLOAD", 0, 200, 100, "ms")),
        (201, Reason("M25", PAUSE, "SYS.OVERLOAD", 0, 201, 200, "ms")),
        (250, Reason("M25", PAUSE, "SYS.OVERLOAD", 0, 250, 200, "ms")),
        (251, Reason("M25", STOP, "SYS.OVERLOAD", 0, 251, 250, "ms")),
    ],
)
def test_m25_wants_every_tick_in_time(late_ms: int, found: Reason | None) -> None:
    assert tick.m25(watch(late_ms=late_ms)) == found


@pytest.mark.rule("M25")
@pytest.mark.hazard("H40")
@pytest.mark.parametrize(
    ("rule", "channel", "late_ms", "allowed_ms"),
    [
        ("M25", 0, 75, None),
        ("M25", 0, 76, 75),
        ("M25", 0, 101, 75),
        ("M25", 1, 76, None),
        ("M04", 0, 76, None),
    ],
)
def test_m25_lets_go_where_a_tick_is_half_as_late(
    rule: str, channel: int, late_ms: int, allowed_ms: int | None
) -> None:
    hold = Hold(Reason(rule, HOLD, "SYS.OVERLOAD", channel), 0)
    found = Reason("M25", HOLD, "SYS.OVERLOAD", 0, late_ms, allowed_ms, "ms") if allowed_ms else None
    assert tick.m25(watch(late_ms=late_ms, station={"holds": (hold,)})) == found


@pytest.mark.rule("M04")
@pytest.mark.parametrize(("fresh_age_ms", "is_stale"), [(552, False), (553, True)])
def test_m04_waits_for_two_whole_periods_rounded_up(fresh_age_ms: int, is_stale: bool) -> None:
    view = watch()
    channel = view.session.channels[0]
    odd = channel._replace(
        train=TRAIN._replace(period_us=25_001), pull_ms=9_999,
        contact=channel.contact._replace(fresh_ms=view.now_ms - fresh_age_ms),
    )  # fmt: skip
    found = tick.m04(view._replace(session=view.session._replace(channels=(odd,))))
    assert found == (silent(STOP, 553, 552, "IMP.STALE", 1) if is_stale else None)


@pytest.mark.hazard("H23")
def test_the_rules_look_at_every_channel() -> None:
    two = Rig().plateau(rx(plan(), plan(channel=2, site="right-quadriceps")))
    session = two.station.session

    def second(**changes: object) -> Watch:
        channel: Channel = session.channels[1]._replace(**changes)
        own = session._replace(channels=(session.channels[0], channel))
        return Watch(two.station, own, own.limits, Picture(()), two.mono_ms, two.wall_ms, 50, 0)

    assert tick.m18(second(spent=(800_000_000, 0, 0))).channel == 2
    assert tick.m19(second(mu_ppm=499_999)).channel == 2
    assert tick.m20(second(plateau_ms=2_211)).channel == 2
    stale = second(contact=UNSENSED, pull_ms=551)
    assert tick.m04(stale) == silent(STOP, 551, 550, "IMP.STALE", 2)
    rising = second(train=None)._replace(wanted=Picture((TRAIN._replace(channel=2, ua=1_101),)))
    assert tick.m03(rising) == above(1_101, 1_100)._replace(channel=2)


# M15


def uneven(sensation: Sensation, since_ms: int) -> Watch:
    view = watch(session={"rx": rx(sensation=sensation)})
    contact = view.session.channels[0].contact
    past = contact.past._replace(uneven_ms=since_ms)
    channel = view.session.channels[0]._replace(contact=contact._replace(past=past))
    return view._replace(session=view.session._replace(channels=(channel,)))


@pytest.mark.rule("M15")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("sensation", "severity"), [(Sensation.S0, HOLD), (Sensation.S1, PAUSE), (Sensation.S2, PAUSE)]
)
def test_m15_gives_a_pair_ten_seconds_to_be_like_its_twin(sensation: Sensation, severity: Severity) -> None:
    now_ms = RUNNING.mono_ms
    assert tick.m15(uneven(sensation, 0)) is None
    assert tick.m15(uneven(sensation, now_ms - 10_000)) is None
    found = Reason("M15", severity, "IMP.UNEVEN", 1, 10_001, 10_000, "ms")
    assert tick.m15(uneven(sensation, now_ms - 10_001)) == found


# M31, M32, M34


@pytest.mark.rule("M31")
@pytest.mark.hazard("H27")
@pytest.mark.parametrize(
    ("off_ms", "trips"), [(0, False), (2_000, False), (2_001, True), (-2_000, False), (-2_001, True)]
)
def test_m31_compares_the_clocks(off_ms: int, trips: bool) -> None:
    view = watch()
    found = Reason("M31", PAUSE, "SYS.CLOCK", 0, 2_001, 2_000, "ms") if trips else None
    assert tick.m31(view._replace(wall_ms=view.wall_ms + off_ms)) == found


@pytest.mark.rule("M32")
@pytest.mark.hazard("H39")
@pytest.mark.parametrize(("unsynced_ms", "trips"), [(0, False), (500, False), (501, True)])
def test_m32_wants_the_journal_on_the_disk(unsynced_ms: int, trips: bool) -> None:
    found = Reason("M32", STOP, "SYS.AUDIT_UNWRITABLE", 0, 501, 500, "ms") if trips else None
    assert tick.m32(watch(unsynced_ms=unsynced_ms)) == found


@pytest.mark.rule("M34")
@pytest.mark.hazard("H26")
@pytest.mark.parametrize(("left_ms", "trips"), [(1, False), (0, True), (-1, True), (None, False)])
def test_m34_ends_with_the_hold_on_the_patient(left_ms: int | None, trips: bool) -> None:
    view = watch()
    ends_ms = 0 if left_ms is None else view.now_ms + left_ms
    care = view.session.care._replace(hold_ends_ms=ends_ms)
    found = Reason("M34", STOP, "SES.FENCED", 0, view.now_ms, ends_ms, "ms") if trips else None
    assert tick.m34(view._replace(session=view.session._replace(care=care))) == found
