"""safety/prescription.py: it refuses to exist incoherent, and its worst dose covers what an ideal device gives."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rig import WALL_MS, envelope_ppm, plan, rx

from safety.limits import LimitError, Modality
from safety.prescription import NMES_FAST_US, Calibration, Dose, Plan, PrescriptionError, Programme, need, worst_dose
from safety.waveform import Train

pytestmark = pytest.mark.hazard("H22")


def programme(**changes: object) -> Programme:
    values: dict[str, object] = {
        "modality": Modality.NMES, "ramp_up_ms": 1_000, "on_ms": 2_000, "ramp_down_ms": 1_000, "off_ms": 6_000,
        "therapy_ms": 60_000,
    }  # fmt: skip
    return Programme(**(values | changes))  # type: ignore[arg-type]


def calibration(**changes: object) -> Calibration:
    values: dict[str, object] = {
        "at_wall_ms": WALL_MS,
        "pair": "a",
        "area_mm2": 2_500,
        "width_us": 300,
        "sensory_ua": 8_000,
        "motor_ua": 15_000,
        "maximal_ua": 60_000,
    }
    return Calibration(**(values | changes))  # type: ignore[arg-type]


BUILDERS = {"plan": plan, "programme": programme, "calibration": calibration, "rx": rx}

RANGES = [
    ("plan", "channel", 1, 8),
    ("plan", "max_ua", 20_000, 200_000),
    ("plan", "ua", 1, 30_000),
    ("plan", "width_us", 1, 10_000),
    ("plan", "gap_us", 0, 10_000),
    ("plan", "area_mm2", 1, 1_000_000),
    ("plan", "delay_ms", 0, 600_000),
    ("programme", "ramp_up_ms", 0, 60_000),
    ("programme", "ramp_down_ms", 0, 60_000),
    ("programme", "off_ms", 1, 60_000),
    ("programme", "on_ms", 1, 60_000),
    ("programme", "warm_up_ms", 0, 60_000),
    ("programme", "cool_down_ms", 0, 60_000),
    ("programme", "warm_ppm", 1, 1_000_000),
    ("calibration", "at_wall_ms", 0, 2**53),
    ("calibration", "area_mm2", 1, 1_000_000),
    ("calibration", "width_us", 1, 10_000),
    ("calibration", "sensory_ua", 1, 15_000),
    ("calibration", "motor_ua", 8_000, 60_000),
    ("calibration", "maximal_ua", 15_000, 200_000),
    ("rx", "version", 1, 1_000_000),
    ("rx", "valid_until_wall_ms", 0, 2**53),
]
FAULT = {"sensory_ua": "calibration", "motor_ua": "calibration", "maximal_ua": "calibration"}


def spacious(builder: str, name: str) -> dict[str, object]:
    """Fields that make room for the whole range of the one under test."""
    return {"period_us": 60_000_000} if builder == "plan" and name in {"width_us", "gap_us"} else {}


@pytest.mark.rule("G01")
@pytest.mark.hazard("H28")
@pytest.mark.parametrize(("builder", "name", "low", "high"), RANGES)
def test_each_field_holds_its_range_and_not_one_more(builder: str, name: str, low: int, high: int):
    room = spacious(builder, name)
    for value in (low, low + 1, high - 1, high):
        assert getattr(BUILDERS[builder](**room, **{name: value}), name) == value
    for value in (low - 1, high + 1, True, 1.5, float("nan"), "1"):
        with pytest.raises(PrescriptionError) as caught:
            BUILDERS[builder](**room, **{name: value})
        fault = {"max_ua": {"max_ua", "ua"}, "off_ms": {"off_ms"}}.get(name, {FAULT.get(name, name)})
        assert caught.value.name in fault


def test_the_period_has_its_range():
    assert plan(width_us=1, gap_us=0, period_us=3).period_us == 3
    assert plan(period_us=60_000_000).period_us == 60_000_000
    for value in (0, 60_000_001, None):
        with pytest.raises(PrescriptionError) as caught:
            plan(width_us=1, gap_us=0, period_us=value)
        assert caught.value.name == "period_us"


def test_a_number_that_is_wrong_says_what_was_expected():
    with pytest.raises(PrescriptionError, match=r"^on_ms: 1\.5 is not a whole number from 1 to 9$"):
        need("on_ms", 1.5, 1, 9)
    need("on_ms", 9, 1, 9)


def test_a_period_too_short_for_any_pulse_says_so():
    with pytest.raises(PrescriptionError, match="the pulse does not fit into its period"):
        plan(width_us=1, gap_us=0, period_us=1)


# Calibration


@pytest.mark.parametrize(
    ("thresholds", "is_ordered"),
    [
        ((8_000, 15_000, 60_000), True), ((8_000, 8_000, 8_000), True), ((None, 15_000, 60_000), True),
        ((None, None, None), True), ((8_000, None, 60_000), True), ((8_000, 15_000, None), True),
        ((15_001, 15_000, 60_000), False),
        ((8_000, 60_001, 60_000), False), ((60_001, None, 60_000), False), ((15_001, 15_000, None), False),
        ((None, 60_001, 60_000), False),
    ],
)  # fmt: skip
def test_thresholds_are_in_the_order_sensory_motor_maximal(thresholds: tuple[int | None, ...], is_ordered: bool):
    names = dict(zip(("sensory_ua", "motor_ua", "maximal_ua"), thresholds, strict=True))
    if is_ordered:
        assert calibration(**names).motor_ua == thresholds[1]
        return
    with pytest.raises(PrescriptionError, match="the order is sensory <= motor <= maximal tolerated"):
        calibration(**names)


def test_a_calibration_names_its_pads():
    with pytest.raises(PrescriptionError) as caught:
        calibration(pair="")
    assert caught.value.name == "pair"


# One channel


def test_a_plan_gives_the_train_of_a_set_point():
    assert plan(channel=3, gap_us=50).train(12_300) == Train(3, 12_300, 300, 50, 25_000)


@pytest.mark.parametrize("name", ["site", "pair"])
def test_a_plan_names_its_site_and_its_pads(name: str):
    with pytest.raises(PrescriptionError) as caught:
        plan(**{name: ""})
    assert caught.value.name == "site"


@pytest.mark.parametrize(("period_us", "fits"), [(699, False), (700, False), (701, True)])
def test_a_pulse_fits_into_its_period(period_us: int, fits: bool):
    if fits:
        assert plan(width_us=300, gap_us=100, period_us=period_us).period_us == period_us
        return
    with pytest.raises(PrescriptionError) as caught:
        plan(width_us=300, gap_us=100, period_us=period_us)
    assert caught.value.name == "period_us"


# The shape


@pytest.mark.parametrize("modality", ["nmes", None, 1])
def test_a_programme_has_a_modality(modality: object):
    with pytest.raises(PrescriptionError) as caught:
        programme(modality=modality)
    assert caught.value.name == "modality"


def test_a_therapy_lasts_from_a_second_to_a_day():
    shape = {"ramp_up_ms": 0, "on_ms": 1, "ramp_down_ms": 0, "off_ms": 1}
    for therapy_ms in (1_000, 86_400_000):
        assert programme(therapy_ms=therapy_ms, **shape).therapy_ms == therapy_ms
    for therapy_ms in (999, 86_400_001, 60_000.0, True):
        with pytest.raises(PrescriptionError) as caught:
            programme(therapy_ms=therapy_ms, **shape)
        assert caught.value.name == "therapy_ms"


def test_what_a_programme_is_unless_it_says_otherwise():
    assert (programme().warm_up_ms, programme().cool_down_ms, programme().warm_ppm) == (0, 0, 500_000)
    assert NMES_FAST_US == 100_000


def test_warm_up_and_cool_down_fit_into_the_therapy():
    assert programme(warm_up_ms=20_000, cool_down_ms=40_000).cool_down_ms == 40_000
    with pytest.raises(PrescriptionError) as caught:
        programme(warm_up_ms=20_000, cool_down_ms=40_001)
    assert caught.value.name == "cool_down_ms"


@pytest.mark.rule("G17")
@pytest.mark.hazard("H20")
def test_only_tens_may_be_continuous():
    assert programme(modality=Modality.TENS, off_ms=0).off_ms == 0
    with pytest.raises(PrescriptionError) as caught:
        programme(off_ms=0)
    assert caught.value.name == "off_ms"


@pytest.mark.parametrize(
    ("changes", "cycle_ms", "active_ms", "cycles", "plateau_ms"),
    [
        ({}, 10_000, 4_000, 6, 12_000),
        ({"therapy_ms": 60_001}, 10_000, 4_000, 7, 14_000),
        ({"therapy_ms": 59_999}, 10_000, 4_000, 6, 12_000),
        ({"therapy_ms": 6_000}, 10_000, 4_000, 1, 2_000),
        ({"therapy_ms": 6_000, "on_ms": 6_000, "ramp_up_ms": 2_000}, 15_000, 9_000, 1, 6_000),
        ({"therapy_ms": 7_000, "on_ms": 5_000, "off_ms": 1}, 7_001, 7_000, 1, 5_000),
        (
            {"therapy_ms": 6_000, "on_ms": 4_000, "off_ms": 1, "ramp_up_ms": 0, "ramp_down_ms": 0},
            4_001,
            4_000,
            2,
            6_000,
        ),
        ({"modality": Modality.TENS, "off_ms": 0}, 60_000, 60_000, 1, 2_000),
        ({"modality": Modality.TENS, "off_ms": 0, "on_ms": 50_000}, 60_000, 60_000, 1, 50_000),
    ],
)
def test_cycles_and_on_time(changes: dict[str, object], cycle_ms: int, active_ms: int, cycles: int, plateau_ms: int):
    shape = programme(**changes)
    assert (shape.cycle_ms, shape.active_ms, shape.cycles) == (cycle_ms, active_ms, cycles)
    assert shape.plateau_ms == plateau_ms


# The whole


def test_a_prescription_is_asked_for_by_id_and_version():
    assert rx(id="rx-77", version=3).ref == "rx-77@3"


@pytest.mark.parametrize("name", ["id", "patient", "digest"])
def test_a_prescription_has_an_id_a_patient_and_a_digest(name: str):
    with pytest.raises(PrescriptionError) as caught:
        rx(**{name: ""})
    assert caught.value.name == "id"


@pytest.mark.parametrize("sensation", ["S0", None, 0])
def test_a_prescription_names_the_sensation(sensation: object):
    with pytest.raises(PrescriptionError) as caught:
        rx(sensation=sensation)
    assert caught.value.name == "sensation"


@pytest.mark.parametrize("numbers", [(), (2, 1), (1, 1), (1, 3, 2)])
def test_channels_ascend_each_once(numbers: tuple[int, ...]):
    with pytest.raises(PrescriptionError) as caught:
        rx(channels=tuple(plan(channel=number) for number in numbers))
    assert caught.value.name == "channels"


def test_channels_may_be_any_of_the_eight():
    assert [p.channel for p in rx(plan(channel=2), plan(channel=5), plan(channel=8)).channels] == [2, 5, 8]


@pytest.mark.parametrize(("delay_ms", "fits"), [(0, True), (9_999, True), (10_000, False)])
def test_a_delay_is_shorter_than_the_cycle(delay_ms: int, fits: bool):
    if fits:
        assert rx(plan(delay_ms=delay_ms)).channels[0].delay_ms == delay_ms
        return
    with pytest.raises(PrescriptionError) as caught:
        rx(plan(delay_ms=delay_ms))
    assert caught.value.name == "delay_ms"


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("value", [-1, 1.0, True, None, "80000"])
def test_a_limit_of_a_prescription_is_a_whole_number(value: object):
    assert rx(limits=(("amplitude_ua", 0),)).limits == (("amplitude_ua", 0),)
    with pytest.raises(LimitError) as caught:
        rx(limits=(("amplitude_ua", value),))
    assert caught.value.name == "amplitude_ua"


@pytest.mark.hazard("H29")
def test_a_limit_of_a_prescription_has_a_known_name():
    with pytest.raises(LimitError) as caught:
        rx(limits=(("amplitude_ma", 20),))
    assert (caught.value.name, caught.value.expected) == ("amplitude_ma", "a name of the limits table")


@pytest.mark.hazard("H29")
def test_a_limit_of_a_prescription_stands_once():
    with pytest.raises(LimitError) as caught:
        rx(limits=(("amplitude_ua", 10_000), ("amplitude_ua", 90_000)))
    assert (caught.value.name, caught.value.expected) == ("amplitude_ua", "each limit once")


@pytest.mark.parametrize(
    ("thing", "name"),
    [(plan(), "max_ua"), (programme(), "off_ms"), (calibration(), "maximal_ua"), (rx(), "limits"), (Dose(), "nc")],
)
def test_nothing_of_it_can_be_changed(thing: object, name: str):
    with pytest.raises(FrozenInstanceError):
        setattr(thing, name, 1)


# The worst dose


@pytest.mark.rule("G28")
@pytest.mark.parametrize(
    ("changes", "shape", "therapy_ms", "dose"),
    [
        # 6 cycles of 4 s at 40 Hz, 160 + 1 pulses of 12 uC each, and 5 %
        ({}, {}, 60_000, Dose(nc=12_171_600, i2t=243_432_000_000_000, on_ms=24_000)),
        ({}, {}, 60_001, Dose(nc=14_200_200, i2t=284_004_000_000_000, on_ms=28_000)),
        ({}, {}, 10_000, Dose(nc=2_028_600, i2t=40_572_000_000_000, on_ms=4_000)),
        ({}, {}, 10_001, Dose(nc=4_057_200, i2t=81_144_000_000_000, on_ms=8_000)),
        ({}, {}, 3_000, Dose(nc=1_524_600, i2t=30_492_000_000_000, on_ms=3_000)),
        ({}, {}, 0, Dose(nc=0, i2t=0, on_ms=0)),
        ({"delay_ms": 5_000}, {}, 60_000, Dose(nc=14_200_200, i2t=284_004_000_000_000, on_ms=28_000)),
        ({"period_us": 26_000}, {}, 10_000, Dose(nc=1_953_000, i2t=39_060_000_000_000, on_ms=4_000)),
        (
            {"width_us": 200, "period_us": 10_000, "ua": 30_000},
            {"modality": Modality.TENS, "off_ms": 0, "therapy_ms": 1_800_000},
            1_800_000,
            Dose(nc=2_268_012_600, i2t=68_040_378_000_000_000, on_ms=1_800_000),
        ),
    ],
)
def test_the_worst_dose_in_figures(changes: dict[str, object], shape: dict[str, object], therapy_ms: int, dose: Dose):
    channel = plan(**changes)
    assert worst_dose(channel, programme(**shape), channel.ua, therapy_ms) == dose


def delivered(channel: Plan, shape: Programme, ua: int, start_ms: int = 0) -> tuple[int, int, int]:
    """Charge (nC, unrounded in pC), I2t and on-time of a device that follows the programme exactly, pulse by pulse."""
    pc = i2t = on_ms = 0
    next_us: int | None = None
    for at in range(start_ms, shape.therapy_ms):
        height = ua * envelope_ppm(shape, at, channel.delay_ms) // 1_000_000
        if not height:
            next_us = None
            continue
        on_ms += 1
        next_us = at * 1000 if next_us is None else next_us
        while next_us < (at + 1) * 1000:
            pc += 2 * height * channel.width_us
            i2t += 2 * height * height * channel.width_us
            next_us += channel.period_us
    return pc, i2t, on_ms


@st.composite
def shapes(draw: st.DrawFn) -> Programme:
    """Programmes of up to 20 s, continuous ones among them."""
    modality = draw(st.sampled_from(Modality))
    least_off = 0 if modality is Modality.TENS else 1
    times = [draw(st.integers(low, 3_000)) for low in (0, 1, 0, least_off)]
    therapy_ms = draw(st.integers(max(1_000, *times), 20_000))
    return Programme(
        modality=modality,
        ramp_up_ms=times[0],
        on_ms=times[1],
        ramp_down_ms=times[2],
        off_ms=times[3],
        therapy_ms=therapy_ms,
    )


plans = st.builds(
    lambda ua, width_us, period_us, delay_ms: plan(
        ua=ua, max_ua=ua, width_us=width_us, period_us=period_us, delay_ms=delay_ms
    ),
    st.integers(1, 100_000),
    st.integers(20, 500),
    st.integers(8_000, 1_000_000),
    st.integers(0, 3_000),
)


@pytest.mark.rule("G28")
@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@given(plans, shapes())
def test_the_worst_dose_covers_every_programme(channel: Plan, shape: Programme):
    assume(channel.delay_ms < shape.cycle_ms)
    worst = worst_dose(channel, shape, channel.ua, shape.therapy_ms)
    pc, i2t, on_ms = delivered(channel, shape, channel.ua)
    assert worst.nc >= math.ceil(pc / 1000)
    assert worst.i2t >= i2t
    assert worst.on_ms >= on_ms


@pytest.mark.rule("G28")
@given(plans, shapes(), st.integers(0, 20_000), st.integers(1, 100_000))
def test_less_time_or_less_current_never_needs_more(channel: Plan, shape: Programme, less_ms: int, ua: int):
    whole = worst_dose(channel, shape, channel.ua, shape.therapy_ms)
    part = worst_dose(channel, shape, min(ua, channel.ua), max(0, shape.therapy_ms - less_ms))
    assert part.nc <= whole.nc
    assert part.i2t <= whole.i2t
    assert part.on_ms <= whole.on_ms


def test_a_dose_is_nothing_until_it_is_given():
    assert Dose() == Dose(nc=0, i2t=0, on_ms=0)
    assert replace(Dose(), nc=1) == Dose(nc=1)
