"""The electrode-skin load against the table of the safety reference 2.2, and its clipping against brute force."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.body import NOTHING, Body, Load, Phase, Skin, Step, drive
from hil.devices.output import Train
from tests.hil.host import PLAIN

pytestmark = pytest.mark.hazard("H35")

RAIL = 150_000.0
AMPLE = 1e9


def apparent(skin: Skin, ua: float, width_us: float, worn_us: int = 0, compliance_mv: float = AMPLE) -> float:
    """Ohms at the end of a phase."""
    phase = drive(skin.load(ua, compliance_mv, worn_us), ua, width_us, compliance_mv)
    return phase.end_mv * 1e3 / phase.end_ua


@pytest.mark.parametrize(
    ("area", "series", "parallel_k", "nf", "ohms", "volts"),
    [
        (9.0, 806, 22.2, 90, (1889, 3901, 5721), 156),
        (12.5, 650, 16.0, 125, (1430, 2879, 4189), 115),
        (25.0, 450, 8.0, 250, (840, 1564, 2220), 63),
        (50.0, 350, 4.0, 500, (545, 907, 1235), 36),
        (100.0, 300, 2.0, 1000, (398, 579, 742), 23),
    ],
)
def test_table_of_the_safety_reference(
    *, area: float, series: int, parallel_k: float, nf: int, ohms: tuple[int, int, int], volts: int
):
    skin = Skin(area_cm2=area, yield_ma_cm2=None)
    load = skin.load(40_000, AMPLE, 0)
    assert load is not None
    assert round(load.series_ohm) == series
    assert round(load.parallel_ohm / 1e3, 1) == parallel_k
    assert round(load.farad * 1e9) == nf
    assert tuple(round(apparent(skin, 40_000, width)) for width in (100, 300, 500)) == ohms
    assert round(drive(load, 40_000, 300, AMPLE).end_mv / 1e3) == volts


@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("contact", "ratio"),
    [(1.0, 1.00), (0.9, 1.09), (0.8, 1.21), (0.7, 1.36), (0.63, 1.49), (0.5, 1.84), (0.25, 3.5), (0.1, 8.6)],
)
def test_peel_row(contact: float, ratio: float):
    digits = 2 if contact >= 0.5 else 1
    whole = apparent(PLAIN, 40_000, 300)
    skin = Skin(contact=contact, yield_ma_cm2=None)
    assert round(apparent(skin, 40_000, 300) / whole, digits) == ratio
    assert skin.contact_cm2 == 25 * contact


@pytest.mark.parametrize(("contact", "limit_ma"), [(1.0, 96), (0.5, 52), (0.25, 27), (0.1, 11)])
def test_greatest_current_before_the_rail(contact: float, limit_ma: int):
    skin = Skin(contact=contact, yield_ma_cm2=None)
    first_clipped = next(ua for ua in range(0, 200_000, 100) if clipped(skin, ua))
    assert round(first_clipped / 1e3) == limit_ma


def clipped(skin: Skin, ua: float) -> bool:
    return drive(skin.load(ua, RAIL, 0), ua, 300, RAIL).clipped


@pytest.mark.parametrize(("dryness", "kilohm"), [(2.0, 2.26), (5.0, 3.85), (10.0, 5.96)])
def test_dry_row(dryness: float, kilohm: float):
    assert round(apparent(Skin(dryness=dryness, yield_ma_cm2=None), 1_000, 300) / 1e3, 2) == kilohm


@pytest.mark.parametrize(("ua", "ohm"), [(60_000, 1506), (1_500, 2194)])
def test_the_outer_skin_gives_way_to_current(ua: int, ohm: int):
    # Plateau and first pulse of a ramp in 2.3 of the reference.
    assert abs(apparent(Skin(), ua, 500) - ohm) < 1


@pytest.mark.parametrize("seconds", [0, 60, 180, 600, 100_000])
def test_hydration_lowers_the_whole_impedance(seconds: int):
    dry = apparent(PLAIN, 1_000, 300)
    wet = apparent(Skin(yield_ma_cm2=None), 1_000, 300, worn_us=seconds * 1_000_000)
    assert wet / dry == pytest.approx(1 - 0.3 * (1 - exp(-seconds / 180)), rel=1e-12)


def test_no_contact_or_an_open_lead_is_no_load():
    for skin in (Skin(contact=0.0), Skin(lead_off=True), Skin(lead_off=True, resistor_ohm=500.0)):
        assert skin.load(1_000, RAIL, 0) is None
    assert drive(None, 1_000, 300, RAIL) == NOTHING._replace(end_mv=RAIL, clipped=True)


@pytest.mark.parametrize(("ohm", "ua", "peak"), [(500.0, 40_000, 40_000), (20.0, 100_000, 100_000)])
def test_a_test_load_is_a_pure_resistor(ohm: float, ua: int, peak: int):
    skin = Skin(resistor_ohm=ohm)
    phase = drive(skin.load(ua, RAIL, 0), ua, 300, RAIL)
    assert phase == Phase(peak, peak, ua * 300 / 1e3, ua * ohm / 1e3, ua * ua * 300.0, 0.0, clipped=False)
    assert skin.contact_cm2 is None


def test_a_resistor_clips_flat():
    phase = drive(Load(5_000.0, 0.0, 0.0), 40_000, 200, RAIL)
    assert phase.clipped
    assert phase.peak_ua == phase.end_ua == pytest.approx(30_000)
    assert phase.charge_nc == pytest.approx(6_000)
    assert phase.end_mv == pytest.approx(RAIL)


def test_no_current_is_no_phase():
    load = PLAIN.load(0, RAIL, 0)
    assert drive(load, 0, 300, RAIL) == NOTHING
    assert drive(load, 10_000, 0, RAIL, -1.5) == NOTHING._replace(cap_v=-1.5)


def brute(load: Load, ua: float, width_us: float, rail_mv: float, cap_v: float) -> Phase:
    """The same phase by the midpoint rule, knowing nothing of exponentials."""
    steps = 20_000
    dt = width_us * 1e-6 / steps
    coulomb = square = peak = now = 0.0

    def current(volt: float) -> float:
        return min(ua * 1e-6, (rail_mv / 1e3 - volt) / load.series_ohm)

    for _ in range(steps):
        slope = (current(cap_v) - cap_v / load.parallel_ohm) / load.farad
        middle = cap_v + slope * dt / 2
        now = current(middle)
        cap_v += (now - middle / load.parallel_ohm) / load.farad * dt
        coulomb += now * dt
        square += now * now * dt
        peak = max(peak, now)
    volt = current(cap_v) * load.series_ohm + cap_v
    is_clipped = current(cap_v) < ua * 1e-6
    return Phase(peak * 1e6, current(cap_v) * 1e6, coulomb * 1e9, volt * 1e3, square * 1e18, cap_v, is_clipped)


@pytest.mark.parametrize(
    ("area", "ua", "width_us", "cap_v"),
    [
        (25.0, 40_000, 300, 0.0),  # holds
        (9.0, 40_000, 300, 0.0),  # clips on the way
        (9.0, 40_000, 300, -60.0),  # the second phase holds longer
        (2.5, 100_000, 500, 0.0),  # clips from the first moment
        (2.5, 100_000, 500, -80.0),
        (25.0, 100_000, 500, 0.0),
        (9.0, 20_000, 300, 60.0),  # behind a stronger step of the same direction: holds
        (9.0, 40_000, 300, 100.0),  # behind one, and clips on the way
        (2.5, 60_000, 300, 120.0),  # clips from the first moment
        (2.5, 5_000, 500, 140.0),  # clips at first, lets go, and falls
    ],
)
def test_exact_phase_equals_brute_force(area: float, ua: int, width_us: int, cap_v: float):
    load = Skin(area_cm2=area, yield_ma_cm2=None).load(ua, RAIL, 0)
    assert load is not None
    exact, rough = drive(load, ua, width_us, RAIL, cap_v), brute(load, ua, width_us, RAIL, cap_v)
    load_v = ua * 1e-6 * load.series_ohm + cap_v
    assert exact.clipped == (rough.clipped or load_v > RAIL / 1e3)
    assert exact[:-1] == pytest.approx(rough[:-1], rel=5e-4)


@given(
    st.lists(st.tuples(st.integers(-260, 260), st.integers(10, 400)), min_size=1, max_size=16),
    st.sampled_from([2.5, 9.0, 25.0]),
)
def test_any_pulse_is_the_sum_of_its_steps(shape: list[tuple[int, int]], area: float):
    """Step after step through `drive`, one long pulse, and samples at the end of every step: all say the same."""
    steps = [Step(half_ma * 500, us) for half_ma, us in shape]
    body = Body(Skin(area_cm2=area, hydration=0.0), 0)
    pulse = body.pulse(0, steps, RAIL)
    load = body.skin.load(max(abs(step.ua) for step in steps), RAIL, 0)
    cap_v, ends, up_nc, down_nc, at_us = 0.0, [], 0.0, 0.0, 0
    for ua, us in steps:
        sign = -1 if ua < 0 else 1
        phase = drive(load, abs(ua), us, RAIL, sign * cap_v)
        cap_v = sign * phase.cap_v
        at_us += us
        ends.append((at_us, phase.end_ua, abs(phase.end_mv)))
        up_nc, down_nc = up_nc + phase.charge_nc * (ua > 0), down_nc + phase.charge_nc * (ua < 0)
        assert abs(cap_v) <= RAIL / 1e3 * (1 + 1e-9)
    flowing = [ua for ua, _ in steps if ua]
    first, second = (up_nc, down_nc) if flowing and flowing[0] > 0 else (down_nc, up_nc)
    assert (pulse.first.charge_nc, pulse.second.charge_nc) == pytest.approx((first, second))
    sampled = body.samples(0, steps, RAIL, [at for at, _, _ in ends] + [at_us + 1])
    assert sampled[-1] == (0.0, 0.0)
    assert sampled[:-1] == [pytest.approx((ua, mv)) for _, ua, mv in ends]


@given(
    area=st.floats(0.5, 200),
    contact=st.floats(0.01, 1),
    dryness=st.floats(1, 20),
    ua=st.integers(1, 130_000),
    width_us=st.integers(20, 500),
    rail_v=st.integers(30, 150),
)
def test_whatever_the_load(*, area: float, contact: float, dryness: float, ua: int, width_us: int, rail_v: int):
    load = Skin(area_cm2=area, contact=contact, dryness=dryness).load(ua, rail_v * 1e3, 0)
    phase = drive(load, ua, width_us, rail_v * 1e3)
    least = 1 - 1e-9
    assert 0 < phase.end_ua <= phase.peak_ua <= ua
    assert phase.charge_nc * least <= ua * width_us / 1e3
    assert phase.end_mv * least <= rail_v * 1e3
    assert phase.clipped or phase.end_ua == phase.peak_ua == ua
    # A mean square is never below the square of the mean.
    assert phase.square >= (phase.charge_nc * 1e3) ** 2 / width_us * least


def test_a_pulse_that_does_not_clip_is_balanced_exactly():
    body = Body(PLAIN, 0)
    pulse = body.pulse(0, Train(1, 20_000, 300, 100, 20_000).steps, RAIL)
    assert pulse.first.charge_nc == pulse.second.charge_nc == 6_000.0
    assert pulse.area_cm2 == 25.0


def test_a_clipped_first_phase_leaves_net_charge_because_the_second_starts_from_its_voltage():
    body = Body(Skin(area_cm2=9.0, yield_ma_cm2=None), 0)
    pulse = body.pulse(0, Train(1, 45_000, 300, 0, 20_000).steps, RAIL)
    assert pulse.first.clipped
    assert not pulse.second.clipped
    assert pulse.first.charge_nc < pulse.second.charge_nc == 13_500.0


def test_the_gap_discharges_the_skin():
    body = Body(Skin(area_cm2=9.0, yield_ma_cm2=None), 0)
    ends = [
        body.pulse(0, Train(1, 30_000, 300, gap_us, 100_000).steps, RAIL).second.end_mv for gap_us in (0, 100, 60_000)
    ]
    first = body.pulse(0, Train(1, 30_000, 300, 0, 20_000).steps, RAIL).first
    assert ends[0] < ends[1] < ends[2] == pytest.approx(first.end_mv, rel=1e-9)


def test_changes_act_in_order_and_are_lifted_in_any_order():
    body = Body(Skin(contact=1.0), 0)
    first = body.changed(lambda skin, _: Skin(contact=skin.contact / 2))
    second = body.changed(lambda skin, now_us: Skin(contact=skin.contact - now_us / 1e6))
    with first:
        second.__enter__()
        assert body.at(100_000).contact == 0.4
    assert body.at(100_000).contact == 0.9
    second.__exit__(None, None, None)
    assert body.at(100_000) is body.skin
