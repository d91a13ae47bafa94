"""safety/rules/pulse.py to the last unit: a refusal never names a figure that lies inside the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from parts import CAPS
from rig import WALL_MS, plan, rx

from safety.limits import HARD, Modality
from safety.rules import pulse
from safety.rules.views import Lane
from safety.waveform import Train


def lane(train: Train, area_mm2: int = 2_500, **limits: int) -> Lane:
    one = plan(area_mm2=area_mm2, calibration=None)
    return Lane(rx(one), one, train, replace(HARD[Modality.NMES], **limits), CAPS, WALL_MS)


@pytest.mark.rule("G13")
@pytest.mark.hazard("H04")
def test_a_density_just_past_the_limit_is_named_as_more_than_the_limit():
    found = pulse.g13(lane(Train(1, 105_477, 316, 0, 20_000), 1_250, density_ua_cm2=1_500))
    assert found is not None
    assert (found.asked, found.allowed) == (1_501, 1_500)


@pytest.mark.rule("G15")
@pytest.mark.hazard("H04")
def test_an_energy_just_past_a_whole_microjoule_is_rounded_up():
    width_us = 6_000 * 10**9 + 1  # one microampere for so long: 500 ohm x 2 x width = 6000 uJ and a thousandth of a nJ
    found = pulse.g15(lane(Train(1, 1, width_us, 0, width_us * 3), pulse_energy_uj=6_000))
    assert found is not None
    assert (found.asked, found.allowed) == (6_001, 6_000)


@pytest.mark.rule("G11")
@pytest.mark.hazard("H15")
@pytest.mark.parametrize(("ua", "refused"), [(128_000, False), (128_001, True)])
def test_a_phase_may_carry_28_nanocoulomb_more_for_each_microsecond(ua: int, refused: bool):
    found = pulse.g11(lane(Train(1, ua, 100, 0, 20_000), phase_charge_nc=50_000, phase_base_nc=10_000))
    assert (found is not None and (found.asked, found.allowed) == (12_801, 12_800)) is refused


@pytest.mark.rule("G08")
@pytest.mark.hazard("H08")
def test_a_share_of_what_is_tolerated_is_rounded_down():
    # 85 % of 70,007 uA are 59,505.95 uA.
    base = plan()
    assert base.calibration is not None
    one = replace(base, max_ua=90_000, calibration=replace(base.calibration, maximal_ua=70_007))
    wanted = rx(one, programme=replace(rx().programme, modality=Modality.TENS))
    limits = replace(HARD[Modality.TENS], tens_tolerance_ppm=850_000, uncalibrated_ua=90_000)
    assert pulse.cap_ua(Lane(wanted, one, one.train(20_000), limits, CAPS, WALL_MS)) == 59_505


@pytest.mark.rule("G08")
@pytest.mark.hazard("H08")
@pytest.mark.parametrize(("most_ua", "found"), [(0, "LIM.CURRENT"), (1, "LIM.WINDOW"), (2, "LIM.CURRENT")])
def test_a_window_of_one_microampere_below_the_motor_threshold_is_none(most_ua: int, found: str):
    base = plan()
    assert base.calibration is not None
    one = replace(base, calibration=replace(base.calibration, sensory_ua=None, motor_ua=2, maximal_ua=70_000))
    limits = replace(HARD[Modality.NMES], amplitude_ua=most_ua)
    reason = pulse.g08(Lane(rx(one), one, one.train(20_000), limits, CAPS, WALL_MS))
    assert reason is not None
    assert reason.code == found
