"""safety/rules/skin.py: the rules about the skin, G20, G21 and G29, at each boundary, with the whole reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rig import (
    CAPS,
    HARD,
    OFF,
    SHIPPED_NMES,
    ArmSession,
    Check,
    Claim,
    IdealDevice,
    Limits,
    Modality,
    Phase,
    Prepare,
    Programme,
    Rig,
    Sensation,
    plan,
    rx,
)

from safety.impedance import UNSENSED
from safety.limits import site_limits
from safety.messages import Probed
from safety.rules import skin
from safety.rules.views import Gate, Skin, Watch
from safety.state import Reading, Session, Setting, Trial
from safety.verdict import Reason, Severity

NMES = site_limits(Modality.NMES, SHIPPED_NMES)
HARDEST = HARD[Modality.TENS]


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


def under(ohms: tuple[int, ...] = (1_500, 1_500, 1_500), age_ms: int = 0, **changes: object) -> Skin:
    channel = plan(**{name: changes.pop(name) for name in ("area_mm2", "channel") if name in changes})
    setting = Setting(channel, int(changes.pop("setpoint_ua", 20_000)), 0)  # type: ignore[call-overload]
    limits = changes.pop("limits", NMES)
    sensation = changes.pop("sensation", Sensation.S0)
    caps = replace(CAPS, **changes)
    return Skin(
        setting, Reading(1, ohms, 500_000), limits, caps, rx(channel, sensation=sensation), 500_000 + age_ms, UNSENSED
    )  # type: ignore[arg-type]


@pytest.mark.rule("G20")
@pytest.mark.hazard("H07")
@pytest.mark.hazard("H46")
@pytest.mark.parametrize(
    ("ohms", "limits", "area_mm2", "expected"),
    [
        ((), NMES, 2_500, ("IMP.STALE", 0, 3, "readings")),
        ((1_500, 1_500), NMES, 2_500, ("IMP.STALE", 0, 3, "readings")),
        ((1_500, 1_500, 1_500), NMES, 2_500, None),
        ((1_500, 1_500, 1_500, 1_500), NMES, 2_500, None),
        # too high: 3 kohm for 25 cm2
        ((2_999, 2_999, 2_999), NMES, 2_500, None),
        ((3_000, 3_000, 3_000), NMES, 2_500, None),
        ((3_000, 3_001, 3_000), NMES, 2_500, ("IMP.HIGH", 3_001, 3_000, "ohm")),
        ((8_000, 8_000, 8_000), NMES, 2_500, ("IMP.HIGH", 8_000, 3_000, "ohm")),
        ((8_001, 8_000, 8_000), NMES, 2_500, ("IMP.OPEN", 8_001, 3_000, "ohm")),
        ((6_000, 6_000, 6_000), NMES, 1_250, None),
        ((6_001, 6_000, 6_000), NMES, 1_250, ("IMP.HIGH", 6_001, 6_000, "ohm")),
        ((16_000, 16_000, 16_000), NMES, 1_250, ("IMP.HIGH", 16_000, 6_000, "ohm")),
        ((16_001, 16_000, 16_000), NMES, 1_250, ("IMP.OPEN", 16_001, 6_000, "ohm")),
        ((6_000, 6_000, 6_000), HARDEST, 2_500, None),
        ((6_001, 6_000, 6_000), HARDEST, 2_500, ("IMP.HIGH", 6_001, 6_000, "ohm")),
        # too low: 300 ohm whatever the area
        ((301, 301, 301), NMES, 2_500, None),
        ((300, 300, 300), NMES, 2_500, None),
        ((300, 299, 300), NMES, 2_500, ("IMP.LOW", 299, 300, "ohm")),
        ((300, 299, 300), NMES, 10_000, ("IMP.LOW", 299, 300, "ohm")),
        ((100, 100, 100), NMES, 2_500, ("IMP.LOW", 100, 300, "ohm")),
        ((100, 99, 100), NMES, 2_500, ("IMP.SHORT", 99, 300, "ohm")),
        ((150, 150, 150), HARDEST, 2_500, None),
        ((150, 149, 150), HARDEST, 2_500, ("IMP.LOW", 149, 150, "ohm")),
        # unlike: 20 % of the lowest
        ((1_000, 1_200, 1_100), NMES, 2_500, None),
        ((1_000, 1_199, 1_100), NMES, 2_500, None),
        ((1_000, 1_201, 1_100), NMES, 2_500, ("IMP.UNSTEADY", 201_000, 200_000, "ppm")),
        ((1_501, 1_250, 1_300), NMES, 2_500, ("IMP.UNSTEADY", 200_800, 200_000, "ppm")),
    ],
)
def test_g20_three_test_readings_suit_the_pad(
    ohms: tuple[int, ...], limits: Limits, area_mm2: int, expected: tuple[str, int, int, str] | None
):
    found = skin.g20(under(ohms, limits=limits, area_mm2=area_mm2, channel=1))
    assert found == (refuse("G20", expected[0], 1, *expected[1:]) if expected else None)


@pytest.mark.rule("G20")
def test_g20_without_a_check_nothing_starts():
    assert skin.g20(under()._replace(reading=None)) == refuse("G20", "IMP.STALE", 1, 0, 3, "readings")


@pytest.mark.rule("G20")
@pytest.mark.parametrize(("limits", "longest_ms"), [(NMES, 120_000), (HARDEST, 600_000)], ids=["shipped", "hard"])
def test_g20_a_check_grows_old(limits: Limits, longest_ms: int):
    assert [skin.g20(under(age_ms=longest_ms + off, limits=limits)) for off in (-1, 0, 1)] == [
        None, None, refuse("G20", "IMP.STALE", 1, longest_ms + 1, longest_ms, "ms"),
    ]  # fmt: skip


@pytest.mark.rule("G21")
@pytest.mark.hazard("H09")
@pytest.mark.parametrize(
    ("setpoint_ua", "ohm", "limits", "expected"),
    [
        (80_000, 1_500, NMES, None),  # 120 V of 150 V x 0.8
        (79_999, 1_500, NMES, None),
        (80_001, 1_500, NMES, (120_002, 120_000)),
        (80_000, 1_501, NMES, (120_080, 120_000)),
        (95_000, 1_500, HARDEST, None),  # 142.5 V of 150 V x 0.95
        (95_001, 1_500, HARDEST, (142_502, 142_500)),
    ],
)
def test_g21_the_voltage_reaches_with_room(
    setpoint_ua: int, ohm: int, limits: Limits, expected: tuple[int, int] | None
):
    found = skin.g21(under((300, ohm, 300), setpoint_ua=setpoint_ua, limits=limits))
    assert found == (refuse("G21", "LIM.HEADROOM", 1, *expected, "mV") if expected else None)


@pytest.mark.rule("G21")
def test_g21_a_weaker_device_reaches_less():
    assert skin.g21(under(setpoint_ua=40_000, compliance_mv=75_000)) is None
    assert skin.g21(under(setpoint_ua=40_000, compliance_mv=74_999)) == refuse(
        "G21", "LIM.HEADROOM", 1, 60_000, 59_999, "mV"
    )


@pytest.mark.rule("G21")
def test_g21_has_nothing_to_say_before_the_check():
    high = under((60_000,), setpoint_ua=80_000)
    assert skin.g21(high) is not None
    assert skin.g21(high._replace(reading=None)) is None
    assert skin.g21(high._replace(reading=Reading(1, (), 0))) is None


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("numeric", "flag_ua", "setpoint_ua", "sensation", "expected"),
    [
        (False, 15_000, 14_999, "S1", (14_999, 15_000)),
        (False, 15_000, 15_000, "S1", None),
        (False, 15_000, 15_001, "S1", None),
        (False, 15_000, 14_999, "S0", None),
        (True, 15_000, 14_999, "S1", None),
        (False, None, 80_000, "S1", (80_000, 0)),
        (False, None, 80_000, "S0", None),
        (True, None, 1, "S2", None),
        (False, 0, 1, "S1", None),
    ],
)
def test_g29_skin_that_feels_little_needs_a_device_that_sees(
    numeric: bool, flag_ua: int | None, setpoint_ua: int, sensation: str, expected: tuple[int, int] | None
):
    view = under(
        setpoint_ua=setpoint_ua,
        sensation=Sensation(sensation),
        numeric_impedance=numeric,
        electrode_flag_from_ua=flag_ua,
    )
    assert skin.g29(view) == (refuse("G29", "IMP.BLIND", 1, *expected, "uA") if expected else None)


@pytest.mark.rule("G29", "X7")
@pytest.mark.hazard("H04", "H05")
@pytest.mark.parametrize("sensation", Sensation)
@pytest.mark.parametrize("pulses", [0, 1, 20])
def test_g29_a_device_that_measures_no_skin_treats_nobody_who_cannot_feel_a_pad_peel(pulses: int, sensation: Sensation):
    view = under(channel=4, sensation=sensation, probe_pulses=pulses, numeric_impedance=False, electrode_flag_from_ua=0)
    refused = sensation is Sensation.S2 or (pulses == 0 and sensation is Sensation.S1)
    assert skin.g29(view) == (refuse("G29", "IMP.UNMEASURED", 4) if refused else None)
    seen = view._replace(caps=replace(view.caps, numeric_impedance=True, probe_pulses=max(pulses, 1)))
    assert skin.g29(seen) is None


@pytest.mark.rule("G20", "X7")
@pytest.mark.hazard("H07")
@pytest.mark.parametrize(("pulses", "is_asked"), [(0, False), (1, True), (20, True)])
def test_g20_asks_no_reading_of_a_device_that_can_give_none(pulses: int, *, is_asked: bool):
    view = under((), probe_pulses=pulses)
    for unread in (view, view._replace(reading=None)):
        assert (skin.g20(unread) is not None) is is_asked
    rig = Rig(device=IdealDevice(caps=replace(CAPS, probe_pulses=pulses)))
    rig.up()
    gate = Gate(rig.station, rig.command(Check(())), None, rig.now, 0, 0)
    assert skin.g20_check(gate) == (None if is_asked else refuse("G20", "IMP.UNMEASURED"))
    assert skin.g20_check(gate._replace(station=rig.station._replace(device=None))) is None


@pytest.mark.rule("G20", "G29", "X7")
@pytest.mark.hazard("H05")
def test_without_a_measurement_of_the_skin_a_patient_who_feels_is_armed_and_watched():
    caps = replace(CAPS, probe_pulses=0, numeric_impedance=False, electrode_flag_from_ua=0, readback=False, echo=False)
    rig = Rig(device=IdealDevice(caps=caps))
    rig.up()
    rig.must(Claim())
    wanted = rx()
    prepared = rig.ask(Prepare(wanted, wanted.ref, wanted.patient))
    assert dict(prepared.details)["not_fitted"] == "impedance, readback, echo, temperature"
    assert rig.ask(Check(())).code == "IMP.UNMEASURED"
    rig.try_stop()
    rig.must(ArmSession())
    assert rig.phase is Phase.ARMED
    felt = rx(sensation=Sensation.S1)
    other = Rig(device=IdealDevice(caps=caps))
    other.up()
    other.must(Claim())
    refused = other.ask(Prepare(felt, felt.ref, felt.patient))
    assert [reason.code for reason in refused.reasons if reason.rule == "G29"] == ["IMP.UNMEASURED"]


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("off_ms", "on_ms", "therapy_ms", "is_refused"),
    [
        (0, 50_000, 59_999, True),
        (1, 50_000, 59_999, False),
        (1, 57_999, 600_000, False),
        (1, 58_000, 600_000, True),
    ],
)
def test_g29_a_device_that_measures_in_rests_needs_a_rest_at_least_once_a_minute(
    off_ms: int, on_ms: int, therapy_ms: int, *, is_refused: bool
):
    shape = Programme(
        modality=Modality.TENS, ramp_up_ms=1_000, on_ms=on_ms, ramp_down_ms=1_000, off_ms=off_ms, therapy_ms=therapy_ms
    )
    view = under(setpoint_ua=14_999, numeric_impedance=False, electrode_flag_from_ua=15_000, reprobe=True)
    view = view._replace(rx=rx(programme=shape, sensation=Sensation.S1))
    assert skin.g29(view) == (refuse("G29", "IMP.BLIND", 1, 14_999, 15_000, "uA") if is_refused else None)


BLIND = replace(CAPS, numeric_impedance=False, electrode_flag_from_ua=15_000, reprobe=True)


def two(one_ua: int, other_ua: int, sensation: Sensation = Sensation.S1) -> Session:
    """A session with channels 1 and 4 at these set-points."""
    pair = plan(ua=one_ua), plan(channel=4, site="right-calf", ua=other_ua)
    session = Rig().prepared(rx(*pair, sensation=sensation)).station.session
    assert session is not None
    return session


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
def test_g29_names_the_channels_that_may_flow_and_do_not_show_their_electrode():
    faint = two(14_999, 14_999)
    assert skin.unseen_channels(faint, BLIND) == (1, 4)
    assert skin.unseen_channels(two(15_000, 14_999), BLIND) == (4,)
    assert skin.unseen_channels(faint, CAPS) == ()
    assert skin.unseen_channels(two(14_999, 14_999, Sensation.S0), BLIND) == ()
    trial = Trial(4, faint.rx.programme, 0, 0, 0, is_loud=False, felt_ua=0, marks=())
    assert skin.unseen_channels(faint._replace(trial=trial), BLIND) == (4,)


@pytest.mark.rule("G29")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("ages_ms", "late"),
    [((60_000, 60_000), None), ((60_001, 60_000), None), ((0, 60_001), (4, 60_001)), ((0, 70_000), (4, 70_000))],
)
def test_g29_an_electrode_that_is_not_shown_is_measured_each_minute(
    ages_ms: tuple[int, int], late: tuple[int, int] | None
):
    session = two(15_000, 14_999)  # channel 1 is seen by its pulses, however old its reading
    now_ms = 500_000
    readings = tuple(r._replace(seen_ms=now_ms - age) for r, age in zip(session.readings, ages_ms, strict=True))
    rig = Rig(device=IdealDevice(caps=BLIND))
    rig.up()
    session = session._replace(readings=readings)
    watch = Watch(rig.station, session, NMES, OFF, now_ms, 0, 50, 0)
    expected = late and Reason("G29", Severity.PAUSE, "IMP.BLIND", *late, 60_000, "ms")
    assert skin.g29_overdue(watch) == expected
    assert skin.g29_overdue(watch._replace(station=rig.station._replace(device=None))) is None


@pytest.mark.hazard("H23")
@pytest.mark.parametrize("rule", [skin.g20, skin.g21, skin.g29])
def test_a_skin_rule_names_the_channel(rule: Callable[[Skin], Reason | None]):
    blind = {"numeric_impedance": False, "electrode_flag_from_ua": None, "sensation": Sensation.S2}
    found = rule(under((90_000,) * 3, channel=6, **blind))
    assert found is not None
    assert found.channel == 6


@pytest.mark.hazard("H49")
def test_an_ordinary_skin_is_quiet_everywhere():
    assert [rule(under()) for rule in (skin.g20, skin.g21, skin.g29)] == [None] * 3


@pytest.mark.rule("G20")
@pytest.mark.hazard("H46")
@pytest.mark.parametrize(
    ("before_ohm", "ohms", "is_risen"),
    [
        (0, (2_900,) * 3, False), (1_000, (2_000,) * 3, False), (1_000, (1_999, 2_001, 2_001), True),
        (1_000, (2_000, 2_000, 2_001), False), (2_000, (400,) * 3, False),
    ],
)  # fmt: skip
def test_g20_a_check_reads_at_most_twice_the_one_before(before_ohm: int, ohms: tuple[int, ...], *, is_risen: bool):
    view = under(ohms)
    view = view._replace(setting=view.setting._replace(check_ohm=before_ohm))
    expected = refuse("G20", "IMP.RISEN", 1, sorted(ohms)[1], 2 * before_ohm, "ohm") if is_risen else None
    assert skin.g20(view) == expected


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(("checked_ms", "is_known"), [(None, False), (499_999, False), (500_000, True)])
def test_m10_a_pad_in_doubt_is_found_back_by_a_check_made_since_then(checked_ms: int | None, *, is_known: bool):
    view = under()
    reading = None if checked_ms is None else Reading(1, (1_500,) * 3, checked_ms)
    past = view.contact.past._replace(probe_ohm=1_500, doubt_ms=500_000)
    found = skin.m10_back(view._replace(reading=reading, contact=view.contact._replace(past=past)))
    assert found == (None if is_known else refuse("M10", "IMP.STALE", 1, 0, 3, "readings"))


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("probe_ohm", "ohms", "allowed"),
    [
        (1_500, (1_500, 1_875, 1_500), None),
        (1_500, (1_500, 1_876, 1_500), 1_875),
        (2_900, (2_900, 3_200, 2_900), None),  # four fifths of what is poor contact
        (2_900, (2_900, 3_201, 2_900), 3_200),
    ],
)
def test_m10_a_pad_is_back_when_its_highest_reading_is_inside_half_of_the_way(
    probe_ohm: int, ohms: tuple[int, ...], allowed: int | None
):
    view = under(ohms, channel=6)
    past = view.contact.past._replace(probe_ohm=probe_ohm, doubt_ms=1)
    expected = None if allowed is None else refuse("M10", "IMP.DRIFT", 6, max(ohms), allowed, "ohm")
    assert skin.m10_back(view._replace(contact=view.contact._replace(past=past))) == expected


@pytest.mark.rule("G29")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H06")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize(
    ("ohm", "area_mm2", "expected"),
    [
        (1_950, 2_500, None),
        (1_951, 2_500, ("M10", Severity.PAUSE, "IMP.DRIFT", 1_950)),
        (4_000, 2_500, ("M10", Severity.PAUSE, "IMP.DRIFT", 1_950)),
        (4_001, 2_500, ("M09", Severity.PAUSE, "IMP.HIGH", 4_000)),
        (8_000, 2_500, ("M09", Severity.PAUSE, "IMP.HIGH", 4_000)),
        (8_001, 2_500, ("M07", Severity.STOP, "IMP.OPEN", 8_000)),
        (8_001, 1_250, ("M09", Severity.PAUSE, "IMP.HIGH", 8_000)),
        (16_001, 1_250, ("M07", Severity.STOP, "IMP.OPEN", 16_000)),
        (100, 2_500, None),
        (99, 2_500, ("M08", Severity.LOCK, "IMP.SHORT", 100)),
    ],
)
def test_g29_a_test_pulse_between_trains_is_judged_with_the_whole_reason(
    ohm: int, area_mm2: int, expected: tuple[str, Severity, str, int] | None
):
    view = under(channel=6, area_mm2=area_mm2)
    view = view._replace(setting=view.setting._replace(check_ohm=1_300))

    def found(*, is_open: bool = False, is_short: bool = False) -> Reason | None:
        return skin.g29_found(view, Probed(1, 6, ohm, is_open, is_short))

    assert found() == (Reason(*expected[:3], 6, ohm, expected[3], "ohm") if expected else None)
    assert found(is_open=True) == Reason("M07", Severity.STOP, "IMP.OPEN", 6, ohm, 8_000 * 2_500 // area_mm2, "ohm")
    if ohm <= 8_000:
        assert found(is_short=True) == Reason("M08", Severity.LOCK, "IMP.SHORT", 6, ohm, 100, "ohm")


@pytest.mark.rule("G20")
@pytest.mark.hazard("H46")
def test_g20_the_check_before_is_the_last_one_that_suited_the_pads():
    rig = Rig()
    rig.device.ohm[1] = 1_000
    rig.prepared(rx(plan(), plan(channel=2, site="right-calf")))
    for ohm, code in ((2_001, "IMP.RISEN"), (9_000, "IMP.OPEN"), (2_001, "IMP.RISEN"), (1_900, "OK"), (2_900, "OK")):
        rig.device.ohm[1] = ohm
        assert rig.must(Check((1,))).code == code
        assert [setting.check_ohm for setting in rig.station.session.settings] == [
            ohm if code == "OK" else 1_000, 1_500
        ]  # fmt: skip
    rig.device.ohm[1] = 5_801
    assert rig.must(Check(())).code == "IMP.HIGH"
    assert rig.codes(ArmSession()) == ["G20"]
