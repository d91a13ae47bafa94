"""safety/rules/gate.py: the rules about a wish and a session, at each boundary and beside it, with the whole reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rig import (
    CAPS,
    HARD,
    SHIPPED_NMES,
    SHIPPED_TENS,
    WALL_MS,
    Adjust,
    Limits,
    Modality,
    Programme,
    Rig,
    Start,
    config,
    plan,
    rx,
)

from safety.limits import site_limits
from safety.messages import DeviceState, Latch, Now
from safety.rules import gate
from safety.rules.views import Gate
from safety.rules.wish import g01, g02
from safety.state import Hold, Phase, Stopping
from safety.verdict import Clear, Reason, Scope, Severity

NMES, TENS = site_limits(Modality.NMES, SHIPPED_NMES), site_limits(Modality.TENS, SHIPPED_TENS)
HARDEST = HARD[Modality.TENS]
CONTINUOUS = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000
)


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def at(wish: object = None, **changes: object) -> Gate:
    """A wish on a rig that is armed and ready to start; `changes` are of the view."""
    rig = Rig().armed()
    view = Gate(rig.station, rig.command(wish or Start()), rig.station.session, rig.now, 0, 0)
    return view._replace(**changes)  # type: ignore[arg-type]


def shaped(view: Gate, **changes: object) -> Gate:
    """The same wish with another shape of the programme."""
    assert view.session is not None
    prescription = view.session.rx
    shape = replace(prescription.programme, **changes)
    return view._replace(session=view.session._replace(rx=replace(prescription, programme=shape)))


def limited(view: Gate, **changes: int) -> Gate:
    assert view.session is not None
    return view._replace(session=view.session._replace(limits=replace(view.session.limits, **changes)))


# G04


@pytest.mark.rule("G04")
@pytest.mark.hazard("H22")
@pytest.mark.parametrize(("late_ms", "is_refused"), [(-1, False), (0, False), (1, True)])
def test_g04_a_prescription_expires(late_ms: int, is_refused: bool):
    view = at()
    until_ms = view.now.wall_ms - late_ms
    prescription = replace(view.session.rx, valid_until_wall_ms=until_ms)  # type: ignore[union-attr]
    found = gate.g04(view._replace(session=view.session._replace(rx=prescription)))  # type: ignore[union-attr]
    assert found == (refuse("G04", "RX.EXPIRED", 0, until_ms + 1, until_ms, "ms") if is_refused else None)


@pytest.mark.rule("G04")
@pytest.mark.rule("M21")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("limits", "longest_ms"),
    [(NMES, 1_800_000), (TENS, 3_600_000), (HARD[Modality.NMES], 3_600_000), (HARDEST, 7_200_000)],
)
def test_g04_a_therapy_is_no_longer_than_allowed(limits: Limits, longest_ms: int):
    view = at()
    view = view._replace(session=view.session._replace(limits=limits))  # type: ignore[union-attr]
    for therapy_ms in (longest_ms - 1, longest_ms):
        assert gate.g04(shaped(view, therapy_ms=therapy_ms)) is None
    assert gate.g04(shaped(view, therapy_ms=longest_ms + 1)) == refuse(
        "G04", "LIM.DURATION", 0, longest_ms + 1, longest_ms, "ms"
    )


@pytest.mark.hazard("H49")
@pytest.mark.parametrize("rule", [gate.g04, gate.g17, gate.g18, gate.g28, gate.m19_rest])
def test_a_rule_about_the_session_is_quiet_without_one(rule: Callable[[Gate], Reason | None]):
    assert rule(at(session=None)) is None


# G17


@pytest.mark.rule("G17")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("limits", "on_ms", "off_ms"),
    [(NMES, 10_000, 30_000), (HARD[Modality.NMES], 20_000, 20_000)],
    ids=["shipped", "hard"],
)
def test_g17_the_duty_law(limits: Limits, on_ms: int, off_ms: int):
    view = at()
    view = view._replace(session=view.session._replace(limits=limits))  # type: ignore[union-attr]
    view = shaped(view, therapy_ms=1_200_000)
    assert gate.g17(shaped(view, on_ms=on_ms, off_ms=off_ms)) is None
    assert gate.g17(shaped(view, on_ms=on_ms - 1, off_ms=off_ms)) is None
    assert gate.g17(shaped(view, on_ms=on_ms, off_ms=off_ms + 1)) is None
    assert gate.g17(shaped(view, on_ms=on_ms, off_ms=off_ms - 1)) == refuse(
        "G17", "FAT.DUTY", 0, off_ms - 1, off_ms, "ms"
    )
    assert gate.g17(shaped(view, on_ms=on_ms + 1, off_ms=4 * off_ms)) == refuse(
        "G17", "FAT.ON_TIME", 0, on_ms + 1, on_ms, "ms"
    )


@pytest.mark.rule("G17")
def test_g17_a_broken_ratio_asks_for_rest_rounded_up():
    view = limited(at(), rest_ratio_ppm=2_500_001)
    assert gate.g17(shaped(view, on_ms=1_000, off_ms=2_501)) is None
    assert gate.g17(shaped(view, on_ms=1_000, off_ms=2_500)) == refuse("G17", "FAT.DUTY", 0, 2_500, 2_501, "ms")


@pytest.mark.rule("G17")
def test_g17_ramps_are_not_rest():
    shape = {"ramp_up_ms": 5_000, "ramp_down_ms": 5_000, "on_ms": 2_000, "off_ms": 5_999}
    assert gate.g17(shaped(at(), **shape)) == refuse("G17", "FAT.DUTY", 0, 5_999, 6_000, "ms")


@pytest.mark.rule("G17")
@pytest.mark.parametrize(
    ("periods", "is_judged"),
    [((99_999,), True), ((100_000,), False), ((100_000, 99_999), True), ((100_000, 100_000), False)],
)
def test_g17_judges_a_held_muscle_only(periods: tuple[int, ...], is_judged: bool):
    channels = tuple(plan(channel=number, period_us=period_us) for number, period_us in enumerate(periods, 1))
    view = shaped(at(), on_ms=10_001)
    prescription = replace(view.session.rx, channels=channels)  # type: ignore[union-attr]
    found = gate.g17(view._replace(session=view.session._replace(rx=prescription)))  # type: ignore[union-attr]
    assert (found is not None) is is_judged


@pytest.mark.rule("G17")
def test_g17_tens_may_be_continuous():
    view = at()
    assert gate.g17(view._replace(session=view.session._replace(rx=rx(programme=CONTINUOUS)))) is None  # type: ignore[union-attr]


# G18


@pytest.mark.rule("G18")
@pytest.mark.hazard("H42")
@pytest.mark.parametrize(("limits", "ramp_ms"), [(NMES, 1_000), (HARDEST, 500)], ids=["shipped", "hard"])
def test_g18_the_ramp_lasts(limits: Limits, ramp_ms: int):
    view = at()
    view = view._replace(session=view.session._replace(limits=limits))  # type: ignore[union-attr]
    assert gate.g18(shaped(view, ramp_up_ms=ramp_ms)) is None
    assert gate.g18(shaped(view, ramp_up_ms=ramp_ms + 1)) is None
    assert gate.g18(shaped(view, ramp_up_ms=ramp_ms - 1)) == refuse("G18", "LIM.STEP", 0, ramp_ms - 1, ramp_ms, "ms")


def rising(rise_ua: int, since_ms: int, ua: int, *, channel: int = 2, limits: Limits = NMES) -> Gate:
    """A rise on channel 2 of two, which now has `ua` of its 20 mA; channel 1 would refuse any."""
    rig = Rig().armed(rx(plan(), plan(channel=2, site="right-quadriceps")))
    session = rig.station.session
    assert session is not None
    one, two = session.settings
    raised = two._replace(raised_ms=rig.mono_ms - since_ms, setpoint_ua=20_000 + rise_ua)
    settings = (one._replace(raised_ms=rig.mono_ms), raised)
    channels = (session.channels[0], session.channels[1]._replace(train=two.plan.train(ua) if ua else None))
    session = session._replace(settings=settings, channels=channels, limits=limits)
    return Gate(rig.station, rig.command(Adjust(channel, rise_ua)), session, rig.now, channel, rise_ua)


@pytest.mark.rule("G18")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("rise_ua", "since_ms", "ua", "expected"),
    [
        (1_000, 1_000, 20_000, None),
        (999, 1_000, 20_000, None),
        (1_001, 9_000, 20_000, (1_001, 1_000, "uA")),
        (1_000, 999, 20_000, (999, 1_000, "ms")),
        (1_000, 1_001, 20_000, None),
        (500, 500, 20_000, None),
        (500, 499, 20_000, (499, 500, "ms")),
        (1, 0, 20_000, (0, 1, "ms")),
        (1_000, 1_000, 0, (0, 1, "ms on the plateau")),
        (1_000, 1_000, 19_900, (0, 1, "ms on the plateau")),
        (1_000, 1_000, 19_901, None),
    ],
)
def test_g18_a_set_point_rises_slowly_and_on_the_plateau(
    rise_ua: int, since_ms: int, ua: int, expected: tuple[int, int, str] | None
):
    found = gate.g18(rising(rise_ua, since_ms, ua))
    assert found == (refuse("G18", "LIM.STEP", 2, *expected) if expected else None)


@pytest.mark.rule("G18")
def test_g18_at_the_hard_rate_a_milliampere_may_follow_after_half_a_second():
    assert gate.g18(rising(1_000, 500, 20_000, limits=HARDEST)) is None
    assert gate.g18(rising(1_000, 499, 20_000, limits=HARDEST)) == refuse("G18", "LIM.STEP", 2, 499, 500, "ms")


@pytest.mark.rule("G18")
def test_g18_lowering_is_free():
    assert gate.g18(rising(0, 0, 0)) is None
    assert gate.g18(rising(-80_000, 0, 0)) is None


@pytest.mark.rule("G18")
def test_g18_judges_the_channel_that_rises():
    assert gate.g18(rising(1_000, 1_000, 1, channel=1)) == refuse("G18", "LIM.STEP", 1, 0, 1_000, "ms")
    assert gate.g18(rising(1_000, 0, 0, channel=3)) is None


# G23


@pytest.mark.rule("G23")
@pytest.mark.hazard("H07")
def test_g23_there_is_a_device():
    view = at()
    assert gate.g23(view) is None
    assert gate.g23(view._replace(station=view.station._replace(device=None))) == refuse("G23", "DEV.LOST")


@pytest.mark.rule("G23")
@pytest.mark.parametrize(("silent_ms", "is_refused"), [(0, False), (299, False), (300, False), (301, True)])
def test_g23_the_device_has_spoken_lately(silent_ms: int, is_refused: bool):
    view = at()
    beat = view.station.beat._replace(heard_ms=view.now.mono_ms - silent_ms)
    found = gate.g23(view._replace(station=view.station._replace(beat=beat)))
    assert found == (refuse("G23", "DEV.LOST", 0, 301, 300, "ms") if is_refused else None)


@pytest.mark.rule("G23")
@pytest.mark.hazard("H23")
@pytest.mark.hazard("H35")
def test_g23_the_device_is_of_the_kind_that_this_site_expects():
    view = at()
    other = config()
    clinic, bench = replace(other, emulator=False), replace(other, models=("stimwarden-native", "x"))
    strange = replace(other, models=("x",))
    assert gate.g23(view._replace(station=view.station._replace(config=clinic))) == refuse("G23", "RX.DEVICE_MISMATCH")
    assert gate.g23(view._replace(station=view.station._replace(config=bench))) is None
    assert gate.g23(view._replace(station=view.station._replace(config=strange))) == refuse("G23", "RX.DEVICE_MISMATCH")
    device = view.station.device
    assert device is not None
    real = view.station._replace(device=device._replace(identity=replace(device.identity, emulator=False)))
    assert gate.g23(view._replace(station=real)) == refuse("G23", "RX.DEVICE_MISMATCH")
    assert gate.g23(view._replace(station=real._replace(config=clinic))) is None


@pytest.mark.rule("G23")
@pytest.mark.hazard("H14")
@pytest.mark.parametrize(("accuracy_ppm", "is_refused"), [(199_999, False), (200_000, False), (200_001, True)])
def test_g23_a_device_that_measures_badly_would_blind_m01(accuracy_ppm: int, is_refused: bool):
    view = at()
    device = view.station.device._replace(caps=replace(CAPS, accuracy_ppm=accuracy_ppm))  # type: ignore[union-attr]
    found = gate.g23(view._replace(station=view.station._replace(device=device)))
    assert found == (refuse("G23", "RX.DEVICE_MISMATCH", 0, 200_001, 200_000, "ppm") if is_refused else None)


@pytest.mark.rule("G23")
@pytest.mark.hazard("H13")
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("state", DeviceState)
def test_g23_the_device_is_stopped_or_armed_by_us(phase: Phase, state: DeviceState):
    view = at()
    device = view.station.device
    assert device is not None
    station = view.station._replace(phase=phase, device=device._replace(status=device.status._replace(state=state)))
    is_fine = state is DeviceState.STOPPED or phase in {Phase.ARMED, Phase.RUNNING, Phase.CALIBRATING}
    assert gate.g23(view._replace(station=station)) == (None if is_fine else refuse("G23", "DEV.WATCHDOG"))


@pytest.mark.rule("G23")
@pytest.mark.hazard("H10")
def test_g23_no_stop_is_unconfirmed():
    view = at()
    stopping = Stopping(0, 1, False, False, "", "", "")
    assert gate.g23(view._replace(station=view.station._replace(stopping=stopping))) == refuse("G23", "DEV.WATCHDOG")


# G27


def latch(scope: Scope, key: str = "") -> Latch:
    return Latch(41, scope, "M07", Clear.NEW_SESSION, key, WALL_MS)


@pytest.mark.rule("G27")
@pytest.mark.hazard("H31")
@pytest.mark.parametrize(
    ("standing", "is_refused"),
    [
        (latch(Scope.SESSION), True),
        (latch(Scope.DEVICE), True),
        (latch(Scope.MONTAGE, "p-1/left-quadriceps"), True),
        (latch(Scope.MONTAGE, "p-1/right-quadriceps"), False),
        (latch(Scope.MONTAGE, "p-2/left-quadriceps"), False),
    ],
)
def test_g27_a_latch_refuses(standing: Latch, is_refused: bool):
    view = at()
    found = gate.g27(view._replace(station=view.station._replace(latches=(standing,))))
    assert found == (refuse("G27", "FLT.LATCHED", 0, 41, 0, "latch") if is_refused else None)


@pytest.mark.rule("G27")
def test_g27_any_of_several_latches_refuses():
    elsewhere = latch(Scope.MONTAGE, "p-2/left-quadriceps")
    view = at()
    station = view.station._replace(latches=(elsewhere, latch(Scope.DEVICE)._replace(id=42)))
    assert gate.g27(view._replace(station=station)) == refuse("G27", "FLT.LATCHED", 0, 42, 0, "latch")


@pytest.mark.rule("G27")
def test_g27_without_a_session_a_montage_latch_says_nothing():
    view = at(session=None)
    station = view.station._replace(latches=(latch(Scope.MONTAGE, "p-1/left-quadriceps"),))
    assert gate.g27(view._replace(station=station)) is None


@pytest.mark.rule("G27")
def test_g27_a_holding_rule_refuses_with_its_own_words():
    view = at()
    held = Hold(Reason("M14", Severity.HOLD, "IMP.CLIP", 1, 4, 3, "pulses"), 0)
    found = gate.g27(view._replace(station=view.station._replace(holds=(held,))))
    assert found == refuse("G27", "IMP.CLIP", 1, 4, 3, "pulses")
    assert gate.g27(view) is None


@pytest.mark.rule("G27")
def test_a_montage_is_a_patient_and_a_site():
    rig = Rig().prepared(rx(plan(), plan(channel=2, site="right-calf"), patient="p-9"))
    assert gate.montage_keys("p-9", rig.station.session) == ("p-9", "p-9/left-quadriceps", "p-9/right-calf")  # type: ignore[arg-type]


# G28 and the rest after a fatigue pause


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("index", "left", "cap", "unit"),
    [
        (0, 12_436_200, 760_000_000, "nC"),
        (1, 248_724_000_000_000, 95_000_000_000_000_000, "uA^2 us"),
        (2, 24_500, 579_500, "ms"),
    ],
)
def test_g28_given_and_reserved_stay_inside_95_percent_of_each_cap(index: int, left: int, cap: int, unit: str):
    view = at()
    for off in (-1, 0, 1):
        spent = tuple(cap - left + off if i == index else 0 for i in range(3))
        channel = view.session.channels[0]._replace(spent=spent)  # type: ignore[union-attr]
        found = gate.g28(view._replace(session=view.session._replace(channels=(channel,))))  # type: ignore[union-attr]
        expected = refuse("G28", "DOSE.SESSION", 1, cap + 1, cap, unit) if off > 0 else None
        assert found == expected


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("applied_nc", "before_nc", "now_nc", "given_nc"),
    [(500, 0, 0, 500), (500, 200, 299, 500), (500, 200, 301, 501), (0, 0, 7, 7), (0, 7, 0, 7)],
)
def test_g28_what_was_given_is_the_larger_of_applied_and_measured(
    applied_nc: int, before_nc: int, now_nc: int, given_nc: int
):
    view = at()
    session = view.session
    assert session is not None
    course = session.course._replace(base_nc=(before_nc,), seen_nc=(now_nc,))
    session = session._replace(course=course, channels=(session.channels[0]._replace(spent=(applied_nc, 0, 0)),))
    asked = 12_436_200 + given_nc
    enough = -(-asked * 100 // 95)
    for cap in (enough, enough + 1):
        limits = replace(session.limits, session_nc=cap)
        assert gate.g28(view._replace(session=session._replace(limits=limits))) is None
    found = gate.g28(view._replace(session=session._replace(limits=replace(session.limits, session_nc=enough - 1))))
    assert found == refuse("G28", "DOSE.SESSION", 1, asked, (enough - 1) * 95 // 100, "nC")


@pytest.mark.rule("G28")
def test_g28_what_was_played_is_not_reserved_again():
    view = limited(at(), session_on_ms=20_000 + 527)
    course = view.session.course  # type: ignore[union-attr]
    for played_ms, is_refused in ((0, True), (19_999, True), (20_000, False), (70_000, False)):
        session = view.session._replace(course=course._replace(played_ms=played_ms))  # type: ignore[union-attr]
        assert (gate.g28(view._replace(session=session)) is not None) is is_refused


@pytest.mark.rule("G28")
def test_g28_when_all_is_played_only_a_stop_that_is_not_heard_is_left_to_reserve():
    # 20 pulses of 12 uC in the half second to the dead man, one more, and 5 %
    view = limited(at(), session_nc=-(-264_600 * 100 // 95))
    course = view.session.course  # type: ignore[union-attr]
    for played_ms, asked in ((60_000, None), (60_001, None), (59_999, 264_600 + 2 * 12_600)):
        session = view.session._replace(course=course._replace(played_ms=played_ms))  # type: ignore[union-attr]
        found = gate.g28(view._replace(session=session))
        assert (found.asked if found else None) == asked
    found = gate.g28(
        limited(view._replace(session=view.session._replace(course=course._replace(played_ms=60_000))), session_nc=1)
    )  # type: ignore[union-attr]
    assert found == refuse("G28", "DOSE.SESSION", 1, 264_600, 0, "nC")


@pytest.mark.rule("G28")
def test_g28_judges_each_channel_at_its_set_point():
    rig = Rig().armed(rx(plan(), plan(channel=2, site="right-quadriceps")))
    session = rig.station.session
    assert session is not None
    session = session._replace(limits=replace(session.limits, session_nc=13_300_000))
    one, two = session.settings
    quiet = Gate(rig.station, rig.command(Start()), session, rig.now, 0, 0)
    assert gate.g28(quiet) is None
    high = quiet._replace(session=session._replace(settings=(one, two._replace(setpoint_ua=21_000))))
    assert gate.g28(high) == refuse("G28", "DOSE.SESSION", 2, 12_780_180 + 277_830, 12_635_000, "nC")


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("rested_ms", "is_refused"), [(0, True), (239_999, True), (240_000, False), (240_001, False)])
def test_m19_a_tired_muscle_rests_four_minutes(rested_ms: int, is_refused: bool):
    view = at()
    course = view.session.course._replace(rest_from_ms=view.now.mono_ms - rested_ms)  # type: ignore[union-attr]
    found = gate.m19_rest(view._replace(session=view.session._replace(course=course)))  # type: ignore[union-attr]
    assert found == (refuse("M19", "FAT.REST", 0, rested_ms, 240_000, "ms") if is_refused else None)


@pytest.mark.rule("M19")
def test_m19_a_muscle_that_was_never_tired_need_not_rest_however_young_the_boot():
    assert gate.m19_rest(at(now=Now(100, WALL_MS))) is None


@pytest.mark.hazard("H49")
def test_the_rig_of_these_tests_is_quiet_everywhere():
    rules = (g01, g02, gate.g04, gate.g17, gate.g18, gate.g23, gate.g27, gate.g28, gate.m19_rest)
    assert [rule(at()) for rule in rules] == [None] * 9
