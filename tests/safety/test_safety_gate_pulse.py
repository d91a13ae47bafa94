"""safety/rules/pulse.py: the pulse rules G08 to G16 at each boundary and beside it, with the whole reason."""

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
    Calibration,
    Limits,
    Modality,
    Programme,
    Sensation,
    plan,
    rx,
)

from safety.limits import site_limits
from safety.rules import pulse
from safety.rules.tick import PULSE
from safety.rules.views import Lane
from safety.verdict import Reason, Severity
from safety.waveform import Train

NMES, TENS = site_limits(Modality.NMES, SHIPPED_NMES), site_limits(Modality.TENS, SHIPPED_TENS)
HARDEST = HARD[Modality.TENS]
CONTINUOUS = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000
)
DAY_MS = 86_400_000


def refuse(rule: str, code: str, *rest: object) -> Reason:
    return Reason(rule, Severity.REFUSE, code, *rest)  # type: ignore[arg-type]


# G08 to G16: the pulse


def lane(limits: Limits = HARDEST, **changes: object) -> Lane:
    """One channel of a calibrated S0 patient; a change finds its place (plan, train, caps or rx) by its name."""
    fields: dict[str, object] = {"max_ua": 200_000, "calibration": calibrated(maximal_ua=200_000)}
    fields |= {name: changes.pop(name) for name in ("max_ua", "area_mm2", "calibration", "channel") if name in changes}
    channel = plan(**fields)
    train = channel.train(20_000)._replace(
        **{name: changes.pop(name) for name in ("ua", "width_us", "period_us") if name in changes}  # type: ignore[arg-type]
    )
    caps = replace(CAPS, max_ua=200_000, **{name: changes.pop(name) for name in ("mismatch_ppm",) if name in changes})
    prescription = rx(channel, **changes)
    return Lane(prescription, channel, train, limits, caps, WALL_MS)


def calibrated(**changes: object) -> Calibration:
    values: dict[str, object] = {
        "at_wall_ms": WALL_MS,
        "pair": "a",
        "area_mm2": 2_500,
        "width_us": 300,
        "sensory_ua": None,
        "motor_ua": 15_000,
        "maximal_ua": 40_000,
    }
    return Calibration(**(values | changes))  # type: ignore[arg-type]


PULSE_EDGES = [
    # rule, limits, the train at the edge, what changes by one to pass it, the reason
    (pulse.g08, NMES, {"ua": 80_000}, ("ua", 1), ("G08", "LIM.CURRENT", 80_001, 80_000, "uA")),
    (pulse.g08, HARDEST, {"ua": 100_000}, ("ua", 1), ("G08", "LIM.CURRENT", 100_001, 100_000, "uA")),
    (pulse.g08, NMES, {"ua": 1}, ("ua", -1), ("G08", "LIM.CURRENT", 0, 80_000, "uA")),
    (pulse.g09, NMES, {"width_us": 400}, ("width_us", 1), ("G09", "LIM.PULSE_WIDTH", 401, 400, "us")),
    (pulse.g09, HARDEST, {"width_us": 500}, ("width_us", 1), ("G09", "LIM.PULSE_WIDTH", 501, 500, "us")),
    (pulse.g09, NMES, {"width_us": 50}, ("width_us", -1), ("G09", "LIM.PULSE_WIDTH", 49, 50, "us")),
    (pulse.g09, HARDEST, {"width_us": 50}, ("width_us", -1), ("G09", "LIM.PULSE_WIDTH", 49, 50, "us")),
    (pulse.g10, NMES, {"period_us": 12_500}, ("period_us", -1), ("G10", "LIM.FREQUENCY", 12_499, 12_500, "us")),
    (pulse.g10, TENS, {"period_us": 8_334}, ("period_us", -1), ("G10", "LIM.FREQUENCY", 8_333, 8_334, "us")),
    (pulse.g10, HARDEST, {"period_us": 8_334}, ("period_us", -1), ("G10", "LIM.FREQUENCY", 8_333, 8_334, "us")),
    (pulse.g10, NMES, {"period_us": 1_000_000}, ("period_us", 1), ("G10", "LIM.FREQUENCY", 1_000_001, 1_000_000, "us")),
    (
        pulse.g10, HARDEST, {"period_us": 1_000_000}, ("period_us", 1),
        ("G10", "LIM.FREQUENCY", 1_000_001, 1_000_000, "us"),
    ),
    (pulse.g11, NMES, {"ua": 75_000, "width_us": 400}, ("ua", 1), ("G11", "LIM.CHARGE", 30_001, 30_000, "nC")),
    (pulse.g11, HARDEST, {"ua": 100_000, "width_us": 500}, ("ua", 1), ("G11", "LIM.CHARGE", 50_001, 50_000, "nC")),
    (
        pulse.g12, NMES, {"ua": 100_000, "width_us": 400, "period_us": 20_000}, ("ua", 1),
        ("G12", "LIM.RMS", 20_001, 20_000, "uA"),
    ),
    (
        pulse.g12, HARDEST, {"ua": 145_000, "width_us": 500, "period_us": 8_410}, ("period_us", -1),
        ("G12", "LIM.RMS", 50_003, 50_000, "uA"),
    ),
    (
        pulse.g13, NMES, {"ua": 125_000, "width_us": 400, "period_us": 20_000}, ("ua", 1),
        ("G13", "LIM.CHARGE_DENSITY", 1_001, 1_000, "uA/cm2"),
    ),
    (
        pulse.g13, HARDEST, {"ua": 125_000, "width_us": 400, "period_us": 20_000, "area_mm2": 1_250}, ("area_mm2", -1),
        ("G13", "LIM.CHARGE_DENSITY", 2_002, 2_000, "uA/cm2"),
    ),
    (
        pulse.g14, NMES, {"ua": 250_000, "width_us": 400, "period_us": 20_000}, ("ua", 1),
        ("G14", "LIM.POWER", 50_001, 50_000, "uW/cm2"),
    ),
    (
        pulse.g14, HARDEST, {"ua": 250_000, "width_us": 400, "period_us": 20_000, "area_mm2": 500}, ("area_mm2", -1),
        ("G14", "LIM.POWER", 250_502, 250_000, "uW/cm2"),
    ),
    (pulse.g15, NMES, {"ua": 100_000, "width_us": 500}, ("ua", 1), ("G15", "LIM.ENERGY", 5_001, 5_000, "uJ")),
    (
        pulse.g15, HARDEST, {"ua": 200_000, "width_us": 500}, ("width_us", 1),
        ("G15", "LIM.ENERGY", 20_040, 20_000, "uJ"),
    ),
    (
        pulse.g16, NMES, {"mismatch_ppm": 10_000}, ("mismatch_ppm", 1),
        ("G16", "LIM.CHARGE_BALANCE", 10_001, 10_000, "ppm"),
    ),
    (
        pulse.g16, HARDEST, {"mismatch_ppm": 20_000}, ("mismatch_ppm", 1),
        ("G16", "LIM.CHARGE_BALANCE", 20_001, 20_000, "ppm"),
    ),
    (
        pulse.g16, NMES, {"ua": 100_000, "width_us": 400, "period_us": 8_000, "mismatch_ppm": 10_000}, ("ua", 1),
        ("G16", "LIM.CHARGE_BALANCE", 51, 50, "uA"),
    ),
    (
        pulse.g16, HARDEST, {"ua": 100_000, "width_us": 500, "period_us": 10_000, "mismatch_ppm": 20_000},
        ("period_us", -1), ("G16", "LIM.CHARGE_BALANCE", 101, 100, "uA"),
    ),
]  # fmt: skip


@pytest.mark.rule("G08")
@pytest.mark.rule("G09")
@pytest.mark.rule("G10")
@pytest.mark.rule("G11")
@pytest.mark.rule("G12")
@pytest.mark.rule("G13")
@pytest.mark.rule("G14")
@pytest.mark.rule("G15")
@pytest.mark.rule("G16")
@pytest.mark.rule("M02")
@pytest.mark.hazard("H08")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H15")
@pytest.mark.parametrize(("rule", "limits", "edge", "past", "expected"), PULSE_EDGES)
def test_a_pulse_rule_at_its_edge(
    rule: Callable[[Lane], Reason | None],
    limits: Limits,
    edge: dict[str, int],
    past: tuple[str, int],
    expected: tuple[str, str, int, int, str],
):
    name, off = past
    id_, code, asked, allowed, unit = expected
    assert rule(lane(limits, **edge)) is None
    assert rule(lane(limits, **edge | {name: edge[name] - off})) is None
    found = rule(lane(limits, **edge | {name: edge[name] + off}))
    assert found == refuse(id_, code, 1, asked, allowed, unit)


@pytest.mark.hazard("H08")
@pytest.mark.parametrize(
    ("rule", "changes", "asked"),
    [
        (pulse.g11, {"ua": 90_000, "width_us": 400}, 36_000),
        (pulse.g12, {"ua": 150_000, "width_us": 400, "period_us": 20_000}, 30_000),
        (pulse.g13, {"ua": 187_500, "width_us": 400, "period_us": 20_000}, 1_500),
        (pulse.g13, {"ua": 187_500, "width_us": 400, "period_us": 20_000, "area_mm2": 1_250}, 3_000),
        (pulse.g14, {"ua": 500_000, "width_us": 400, "period_us": 20_000}, 200_000),
        (pulse.g14, {"ua": 250_000, "width_us": 400, "period_us": 20_000, "area_mm2": 500}, 250_000),
        (pulse.g15, {"ua": 200_000, "width_us": 500}, 20_000),
        (pulse.g16, {"ua": 100_000, "width_us": 400, "period_us": 5_000}, 80),
    ],
)
def test_a_refusal_says_what_was_asked(rule: Callable[[Lane], Reason | None], changes: dict[str, int], asked: int):
    found = rule(lane(NMES, **changes))
    assert found is not None
    assert found.asked == asked


@pytest.mark.hazard("H23")
@pytest.mark.parametrize("rule", PULSE)
def test_a_pulse_rule_names_the_channel(rule: Callable[[Lane], Reason | None]):
    wild = lane(NMES, channel=5, ua=190_000, width_us=9_999, period_us=7_000, mismatch_ppm=30_000)
    found = rule(wild)
    assert found is not None
    assert found.channel == 5
    assert rule(lane(NMES)) is None


@pytest.mark.rule("G08")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("modality", "sensation", "calibration", "cap"),
    [
        # S0: min(class and site 80 mA, MTT); 60 mA without a calibration or without an MTT
        ("nmes", "S0", calibrated(maximal_ua=40_000), 40_000),
        ("nmes", "S0", calibrated(maximal_ua=80_000), 80_000),
        ("nmes", "S0", calibrated(maximal_ua=80_001), 80_000),
        ("nmes", "S0", calibrated(maximal_ua=None), 60_000),
        ("nmes", "S0", calibrated(motor_ua=None, maximal_ua=70_000), 70_000),
        ("nmes", "S0", None, 60_000),
        # S1: min(0.8 MTT, 2 MT), both needed for a muscle
        ("nmes", "S1", calibrated(), 30_000),
        ("nmes", "S1", calibrated(motor_ua=20_000), 32_000),
        ("nmes", "S1", calibrated(motor_ua=15_001, maximal_ua=37_503), 30_002),
        ("nmes", "S1", calibrated(motor_ua=15_001, maximal_ua=37_502), 30_001),
        ("nmes", "S1", calibrated(motor_ua=None), 0),
        ("nmes", "S1", calibrated(maximal_ua=None), 0),
        ("nmes", "S1", None, 0),
        # S2: min(1.2 MT, 30 mA, 0.8 MTT where there is one); no MT, no muscle
        ("nmes", "S2", calibrated(), 18_000),
        ("nmes", "S2", calibrated(maximal_ua=20_000), 16_000),
        ("nmes", "S2", calibrated(maximal_ua=None), 18_000),
        ("nmes", "S2", calibrated(motor_ua=25_000, maximal_ua=None), 30_000),
        ("nmes", "S2", calibrated(motor_ua=24_999, maximal_ua=None), 29_998),
        ("nmes", "S2", calibrated(motor_ua=None), 0),
        ("nmes", "S2", None, 0),
        # TENS: 0.9 MTT, and the class cap where no threshold exists
        ("tens", "S0", calibrated(), 36_000),
        ("tens", "S0", calibrated(maximal_ua=40_001), 36_000),
        ("tens", "S0", calibrated(maximal_ua=40_002), 36_001),
        ("tens", "S0", calibrated(maximal_ua=None), 60_000),
        ("tens", "S0", None, 60_000),
        ("tens", "S1", calibrated(), 30_000),
        ("tens", "S1", calibrated(motor_ua=None), 32_000),
        ("tens", "S1", calibrated(maximal_ua=None), 30_000),
        ("tens", "S1", None, 50_000),
        ("tens", "S2", calibrated(), 18_000),
        ("tens", "S2", calibrated(motor_ua=None), 30_000),
        ("tens", "S2", None, 30_000),
    ],
)
def test_g08_the_cap_of_each_class(modality: str, sensation: str, calibration: Calibration | None, cap: int):
    shape = rx().programme if modality == "nmes" else CONTINUOUS
    class_ua = {"S0": 80_000, "S1": 50_000, "S2": 30_000}[sensation]
    limits = replace(NMES if modality == "nmes" else TENS, amplitude_ua=class_ua)
    view = lane(limits, calibration=calibration, programme=shape, sensation=Sensation(sensation))
    assert pulse.cap_ua(view) == cap
    for off in (-1, 0, 1):
        ua = cap + off
        found = pulse.g08(view._replace(train=view.train._replace(ua=ua)))
        code = "LIM.TOLERANCE" if cap < class_ua else "LIM.CURRENT"
        assert found == (None if 0 < ua <= cap else refuse("G08", code, 1, ua, cap, "uA"))


@pytest.mark.rule("G08")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("modality", "sensation", "motor_ua", "maximal_ua", "cap"),
    [
        # S0: the site's ceiling.
        ("nmes", "S0", 80_000, 90_000, None),
        ("nmes", "S0", 80_001, 90_000, 80_000),
        # S1: eight tenths of what is tolerated do not move the muscle.
        ("nmes", "S1", 24_000, 30_000, None),
        ("nmes", "S1", 24_001, 30_000, 24_000),
        # S2: the ceiling of the class.
        ("nmes", "S2", 30_000, None, None),
        ("nmes", "S2", 30_001, None, 30_000),
        # A muscle that nobody moved has no threshold to lie below; TENS moves none.
        ("nmes", "S0", None, 40_000, None),
        ("tens", "S0", 80_001, 90_000, None),
    ],
)
def test_g08_a_cap_below_the_motor_threshold_leaves_no_therapeutic_window(
    modality: str, sensation: str, motor_ua: int | None, maximal_ua: int | None, cap: int | None
):
    calibration = calibrated(sensory_ua=None, motor_ua=motor_ua, maximal_ua=maximal_ua)
    shape = rx().programme if modality == "nmes" else CONTINUOUS
    class_ua = {"S0": 80_000, "S1": 50_000, "S2": 30_000}[sensation]
    limits = replace(NMES if modality == "nmes" else TENS, amplitude_ua=class_ua)
    view = lane(limits, calibration=calibration, programme=shape, sensation=Sensation(sensation))
    for max_ua in (1_000, 90_000):  # a prescription may stay below the threshold, where there is room above it
        view = view._replace(plan=replace(view.plan, ua=1_000, max_ua=max_ua))
        found = pulse.g08(view._replace(train=view.train._replace(ua=1_000)))
        assert found == (refuse("G08", "LIM.WINDOW", 1, motor_ua, cap, "uA") if cap else None)


@pytest.mark.rule("G08")
@pytest.mark.parametrize(
    ("changes", "cap"),
    [
        ({"device": 49_999}, 49_999),
        ({"site": 49_999}, 49_999),
        ({"window": 49_999}, 49_999),
        ({"tolerated": 49_999}, 49_999),
        ({}, 50_000),
    ],
)
def test_g08_each_layer_alone_lowers_the_cap(changes: dict[str, int], cap: int):
    figures = dict.fromkeys(("device", "site", "window", "tolerated"), 50_000) | changes
    view = lane(replace(NMES, amplitude_ua=figures["site"]), calibration=calibrated(maximal_ua=figures["tolerated"]))
    view = view._replace(
        caps=replace(CAPS, max_ua=figures["device"]), plan=replace(view.plan, max_ua=figures["window"])
    )
    assert pulse.cap_ua(view) == cap


@pytest.mark.rule("G08")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize("age_ms", [-2_001, 30 * DAY_MS + 1])
@pytest.mark.parametrize(
    ("modality", "sensation", "maximal_ua", "cap"),
    [
        ("nmes", "S0", 100_000, 60_000), ("nmes", "S0", 60_001, 60_000), ("nmes", "S0", 40_000, 40_000),
        ("nmes", "S1", 40_000, 0), ("nmes", "S2", 40_000, 0), ("tens", "S0", 40_000, 36_000),
        ("tens", "S0", 100_000, 60_000), ("tens", "S1", 40_000, 30_000), ("tens", "S2", 40_000, 18_000),
    ],
)  # fmt: skip
def test_g08_a_calibration_of_another_week_permits_nothing_more_and_still_binds(
    modality: str, sensation: str, maximal_ua: int, cap: int, age_ms: int
):
    shape = rx().programme if modality == "nmes" else CONTINUOUS
    calibration = calibrated(at_wall_ms=WALL_MS - age_ms, maximal_ua=maximal_ua)
    assert pulse.cap_ua(lane(calibration=calibration, programme=shape, sensation=Sensation(sensation))) == cap


@pytest.mark.rule("G08")
@pytest.mark.parametrize(
    ("age_ms", "cap"),
    [
        (-2_001, 60_000),
        (-2_000, 80_000),
        (0, 80_000),
        (7 * DAY_MS - 1, 80_000),
        (7 * DAY_MS, 80_000),
        (7 * DAY_MS + 1, 60_000),
    ],
)
def test_g08_a_calibration_counts_for_seven_days(age_ms: int, cap: int):
    calibration = calibrated(at_wall_ms=WALL_MS - age_ms, maximal_ua=100_000)
    assert pulse.cap_ua(lane(NMES, calibration=calibration)) == cap


# Whether the device can give it at all


@pytest.mark.rule("G23")
@pytest.mark.hazard("H23")
@pytest.mark.parametrize(
    ("field", "edge", "past", "unit"),
    [
        ("channel", 4, 5, "channel"), ("channel", 1, 0, "channel"), ("ua", 60_000, 60_001, "uA"), ("ua", 100, 99, "uA"),
        ("width_us", 450, 451, "us"), ("width_us", 20, 19, "us"), ("period_us", 8_000, 7_999, "us"),
        ("period_us", 900_000, 900_001, "us"), ("gap_us", 10, 9, "us"), ("gap_us", 4_000, 4_001, "us"),
    ],
)  # fmt: skip
def test_g23_the_device_can_give_the_train(field: str, edge: int, past: int, unit: str):
    caps = replace(
        CAPS, channels=4, max_ua=60_000, max_width_us=450, max_period_us=900_000, min_gap_us=10, max_gap_us=4_000
    )
    view = lane()._replace(caps=caps)
    inside = edge - (past - edge)
    for value in (inside, edge):
        assert pulse.g23_fit(view._replace(train=view.train._replace(**{field: value}))) is None
    train: Train = view.train._replace(**{field: past})
    assert pulse.g23_fit(view._replace(train=train)) == refuse(
        "G23", "RX.DEVICE_MISMATCH", train.channel, past, edge, unit
    )


@pytest.mark.hazard("H49")
def test_an_ordinary_pulse_is_quiet_everywhere():
    assert [rule(lane(NMES)) for rule in (*PULSE, pulse.g23_fit)] == [None] * 10
