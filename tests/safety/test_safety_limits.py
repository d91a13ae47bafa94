"""safety/limits.py: hard ceilings and classes against the safety reference, and layers that can only tighten."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import CAPS, SHIPPED_NMES, SHIPPED_TENS, WALL_MS, plan, rx

from safety.limits import (
    CLASS_CAPS,
    HARD,
    SENSE,
    LimitError,
    Limits,
    Modality,
    Sensation,
    canonical,
    meet,
    site_limits,
    spec_text,
)
from safety.prescription import Prescription
from safety.rules.tick import PULSE
from safety.rules.views import Lane

pytestmark = pytest.mark.rule("X1")

NAMES = [spec.name for spec in fields(Limits)]
SHIPPED = {Modality.NMES: SHIPPED_NMES, Modality.TENS: SHIPPED_TENS}

# The Hard columns of safety reference 7.1 to 7.3, written out again. At most:
CEILINGS = {
    "command_age_ms": 10_000,
    "clock_skew_ms": 2_000,
    "attest_age_ms": 604_800_000,
    "channels_at_once": 8,
    "pulse_share_ppm": 1_000_000,
    "arm_to_start_ms": 120_000,
    "amplitude_ua": 100_000,
    "uncalibrated_ua": 60_000,
    "width_us": 500,
    "period_max_us": 1_000_000,
    "phase_charge_nc": 50_000,
    "phase_base_nc": 50_000,
    "rms_ua": 50_000,
    "density_ua_cm2": 2_000,
    "power_uw_cm2": 250_000,
    "pulse_energy_uj": 20_000,
    "mismatch_ppm": 20_000,
    "direct_ua": 100,
    "on_ms": 20_000,
    "tens_tolerance_ppm": 900_000,
    "rise_ua": 1_000,
    "rise_ua_per_s": 2_000,
    "calibration_ms": 2_592_000_000,
    "calibration_ppm": 500_000,
    "check_high_ohm": 6_000,
    "check_spread_ppm": 200_000,
    "check_age_ms": 600_000,
    "rail_ppm": 950_000,
    "headroom_ppm": 950_000,
    "dose_share_ppm": 950_000,
    "silence_hold_ms": 300,
    "silence_pause_ms": 700,
    "silence_stop_ms": 1_000,
    "claim_ms": 15_000,
    "presence_ms": 600_000,
    "poor_ohm": 6_000,
    "ratio_ppm": 2_000_000,
    "jump_ppm": 400_000,
    "drift_ppm": 100_000,
    "fall_ppm": 600_000,
    "clip_hold": 20,
    "clip_pause": 20,
    "twin_ppm": 3_000_000,
    "contact_ua_cm2": 2_000,
    "session_nc": 10_000_000_000,
    "session_i2t": 500_000_000_000_000_000,
    "session_on_ms": 14_400_000,
    "therapy_ms": 7_200_000,
    "skin_hold_mdeg": 41_000,
    "skin_pause_mdeg": 41_000,
    "tick_hold_ms": 100,
    "tick_pause_ms": 200,
    "tick_stop_ms": 250,
    "clock_step_ms": 5_000,
    "journal_ms": 1_000,
    "pulls_set": 120,
    "pulls_session": 120,
    "effort_hold_ms": 600_000,
    "effort_pause_ms": 600_000,
    "skin_check_ms": 600_000,
    "treatments_day": 8,
    "day_nc": 20_000_000_000,
    "week_nc": 100_000_000_000,
    "week_on_ms": 100_800_000,
    "treatments_week": 28,
    "treatments_week_short": 28,
    "first_share_ppm": 500_000,
    "growth_ppm": 250_000,
    "growth_ua": 3_000,
    "pad_uses": 30,
    "trend_ppm": 3_000_000,
}
# At least:
FLOORS = {
    "width_min_us": 50,
    "period_min_us": 8_334,
    "area_mm2": 500,
    "small_area_mm2": 500,
    "spacing_mm": 20,
    "rest_ratio_ppm": 1_000_000,
    "ramp_ms": 500,
    "check_low_ohm": 150,
    "mu_hold_ppm": 500_000,
    "mu_pause_ppm": 500_000,
    "gap_ms": 3_600_000,
    "gap_short_ms": 3_600_000,
    "gap_first_ms": 3_600_000,
}
NMES_CEILINGS = {"therapy_ms": 3_600_000, "treatments_day": 4, "treatments_week": 14, "treatments_week_short": 14}

CLASSES = {
    ("nmes", "S0"): (80_000, 45_000, 1_000, 1_500_000, 1_800_000),
    ("nmes", "S1"): (50_000, 15_000, 500, 1_300_000, 1_200_000),
    ("nmes", "S2"): (30_000, 8_000, 250, 1_200_000, 900_000),
    ("tens", "S0"): (80_000, 45_000, 1_000, 1_500_000, 3_600_000),
    ("tens", "S1"): (50_000, 15_000, 500, 1_300_000, 1_800_000),
    ("tens", "S2"): (30_000, 8_000, 250, 1_200_000, 1_200_000),
}
"""Amplitude, phase charge, density, impedance ratio, session length of safety reference 3.3."""

CANONICAL_SHA256 = "bdbedb558e3f0c3de05900559222c3f16b0e8cd296c0a54fa3f57f003e50d663"


# The compiled tables


@pytest.mark.hazard("H29")
def test_the_hard_limits_are_those_of_the_safety_reference():
    hard = CEILINGS | FLOORS
    assert {name: getattr(HARD[Modality.TENS], name) for name in NAMES} == hard
    assert {name: getattr(HARD[Modality.NMES], name) for name in NAMES} == hard | NMES_CEILINGS


@pytest.mark.hazard("H29")
def test_each_limit_binds_on_its_own_side():
    assert {name for name in NAMES if SENSE[name] is min} == set(CEILINGS)
    assert {name for name in NAMES if SENSE[name] is max} == set(FLOORS)
    assert {name: spec_text(name) for name in NAMES} == dict.fromkeys(CEILINGS, "at most") | dict.fromkeys(
        FLOORS, "at least"
    )


@pytest.mark.rule("G08")
@pytest.mark.rule("G11")
@pytest.mark.rule("G13")
@pytest.mark.rule("M10")
@pytest.mark.hazard("H05")
def test_the_classes_are_those_of_the_safety_reference():
    names = ("amplitude_ua", "phase_charge_nc", "density_ua_cm2", "ratio_ppm", "therapy_ms")
    large = {"area_mm2": 5_000, "small_area_mm2": 5_000}
    looks = {"S0": {}, "S1": {"skin_check_ms": 600_000}, "S2": {"skin_check_ms": 300_000}}
    assert {(m.value, s.value): dict(caps) for (m, s), caps in CLASS_CAPS.items()} == {
        key: dict(zip(names, row, strict=True)) | looks[key[1]] | (large if key[1] == "S2" else {})
        for key, row in CLASSES.items()
    }


def test_every_limit_names_its_rule_and_its_source():
    for spec in fields(Limits):
        rule, _, source = spec.metadata["source"].partition("; ")
        assert rule[0] in "GML"
        assert rule[1:].isdigit()
        assert source


@pytest.mark.hazard("H29")
def test_the_canonical_text_is_pinned():
    lines = canonical().splitlines()
    assert len(lines) == 2 * len(NAMES) + 6 * 5 + 4 + 2 * 2 + 1
    assert "nmes amplitude_ua at most 100000" in lines
    assert "tens ramp_ms at least 500" in lines
    assert "tens S2 phase_charge_nc 8000" in lines
    assert lines[-1] == "unmeasured S1 density_ua_cm2 250"
    assert canonical().endswith("\n")
    assert hashlib.sha256(canonical().encode()).hexdigest() == CANONICAL_SHA256


def test_limits_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        HARD[Modality.NMES].amplitude_ua = 1  # type: ignore[misc]


# Meeting


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_moves_each_limit_only_to_its_safe_side(name: str):
    base = site_limits(Modality.NMES, SHIPPED_NMES)
    value = SHIPPED_NMES[name]
    met = [getattr(meet(base, {name: value + off}), name) for off in (-1, 0, 1)]
    assert met == ([value - 1, value, value] if name in CEILINGS else [value, value, value + 1])
    assert meet(base, {name: value}) == base
    tighter = value - 1 if name in CEILINGS else value + 1
    assert meet(base, {name: tighter}) == replace(base, **{name: tighter})


def test_no_layer_leaves_the_base_as_it_is():
    base = HARD[Modality.TENS]
    assert meet(base) == meet(base, {}) == base


layers = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2**60))


@pytest.mark.hazard("H29")
@given(st.lists(layers, max_size=5), layers)
def test_another_layer_never_loosens_a_limit(below: list[dict[str, int]], top: dict[str, int]):
    before, after = meet(HARD[Modality.TENS], *below), meet(HARD[Modality.TENS], *below, top)
    for name, ceiling in CEILINGS.items():
        assert getattr(after, name) <= getattr(before, name) <= ceiling
    for name, floor in FLOORS.items():
        assert getattr(after, name) >= getattr(before, name) >= floor


@pytest.mark.hazard("H29")
@given(st.lists(layers, max_size=4), st.randoms())
def test_the_order_of_layers_does_not_matter(stack: list[dict[str, int]], random):
    shuffled = list(stack)
    random.shuffle(shuffled)
    assert meet(HARD[Modality.NMES], *stack) == meet(HARD[Modality.NMES], *shuffled)


def near(value: int) -> st.SearchStrategy[int]:
    return st.integers(max(0, value // 2), value * 2)


PULSE_LIMITS = (
    "amplitude_ua", "uncalibrated_ua", "width_us", "width_min_us", "period_min_us", "period_max_us", "phase_charge_nc",
    "rms_ua", "density_ua_cm2", "power_uw_cm2", "pulse_energy_uj", "mismatch_ppm", "direct_ua", "tens_tolerance_ppm",
)  # fmt: skip


@st.composite
def prescriptions(draw: st.DrawFn) -> Prescription:
    """One channel on either side of the pulse limits."""
    ua, area_mm2 = draw(st.integers(1, 110_000)), draw(st.integers(400, 6_000))
    width_us, period_us = draw(st.integers(1, 600)), draw(st.integers(6_000, 1_100_000))
    channel = plan(ua=ua, max_ua=ua, width_us=width_us, period_us=period_us, area_mm2=area_mm2)
    shape = replace(rx().programme, modality=draw(st.sampled_from(Modality)))
    return rx(channel, programme=shape, sensation=draw(st.sampled_from(Sensation)))


@pytest.mark.hazard("H29")
@given(
    st.fixed_dictionaries({}, optional={name: near((CEILINGS | FLOORS)[name]) for name in PULSE_LIMITS}),
    prescriptions(),
)
def test_a_layer_never_enlarges_what_the_pulse_rules_accept(layer: dict[str, int], prescription: Prescription):
    channel, hard = prescription.channels[0], HARD[prescription.programme.modality]

    def refused(limits: Limits) -> set[str]:
        lane = Lane(prescription, channel, channel.train(channel.ua), limits, CAPS, WALL_MS)
        return {found.rule for judge in PULSE if (found := judge(lane)) is not None}

    assert refused(hard) <= refused(meet(hard, layer))


@pytest.mark.parametrize(
    ("layer", "name", "expected"),
    [
        ({"amplitude": 1}, "amplitude", "a name of the limits table"),
        ({"amplitude_ua": -1}, "amplitude_ua", "a whole number, not negative"),
        ({"amplitude_ua": 1.0}, "amplitude_ua", "a whole number, not negative"),
        ({"amplitude_ua": True}, "amplitude_ua", "a whole number, not negative"),
        ({"amplitude_ua": "1"}, "amplitude_ua", "a whole number, not negative"),
        ({"amplitude_ua": None}, "amplitude_ua", "a whole number, not negative"),
    ],
)
def test_a_layer_that_is_no_limit_is_refused(layer: dict[str, int], name: str, expected: str):
    with pytest.raises(LimitError) as caught:
        meet(HARD[Modality.NMES], layer)
    assert (caught.value.name, caught.value.value, caught.value.expected) == (name, layer[name], expected)
    assert str(caught.value) == f"limit {name} = {layer[name]!r}: expected {expected}"


def test_zero_is_a_limit():
    assert meet(HARD[Modality.NMES], {"amplitude_ua": 0}).amplitude_ua == 0


# The site's policy


@pytest.mark.parametrize("modality", Modality)
def test_the_shipped_policy_is_taken_as_it_is(modality: Modality):
    assert site_limits(modality, SHIPPED[modality]) == Limits(**SHIPPED[modality])


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("name", NAMES)
def test_a_policy_that_lacks_a_field_is_refused(name: str):
    policy = {key: value for key, value in SHIPPED_NMES.items() if key != name}
    with pytest.raises(LimitError) as caught:
        site_limits(Modality.NMES, policy)
    assert (caught.value.name, caught.value.value) == (name, None)
    assert caught.value.expected == "a value: a missing limit is never guessed"


def test_a_policy_with_an_unknown_field_is_refused():
    with pytest.raises(LimitError) as caught:
        site_limits(Modality.NMES, SHIPPED_NMES | {"amplitude_ma": 80})
    assert (caught.value.name, caught.value.expected) == ("amplitude_ma", "a name of the limits table")


@pytest.mark.hazard("H29")
@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("name", NAMES)
def test_a_policy_may_reach_each_hard_limit_and_not_pass_it(name: str, modality: Modality):
    hard = (CEILINGS | FLOORS | (NMES_CEILINGS if modality is Modality.NMES else {}))[name]
    past = hard + 1 if name in CEILINGS else hard - 1
    inside = hard - 1 if name in CEILINGS else hard + 1
    assert getattr(site_limits(modality, SHIPPED[modality] | {name: hard}), name) == hard
    assert getattr(site_limits(modality, SHIPPED[modality] | {name: inside}), name) == inside
    with pytest.raises(LimitError) as caught:
        site_limits(modality, SHIPPED[modality] | {name: past})
    side = "at most" if name in CEILINGS else "at least"
    assert (caught.value.name, caught.value.value) == (name, past)
    assert caught.value.expected == f"{side} {hard}, the hard limit"


def test_the_shipped_policy_file_is_the_one_restated_in_the_rig():
    text = (Path(__file__).parents[2] / "controller" / "policy.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text) == {"nmes": SHIPPED_NMES, "tens": SHIPPED_TENS}
