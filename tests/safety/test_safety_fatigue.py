"""safety/fatigue.py: the bound of Riener in integer steps, never above the closed form, and the reference's figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.fatigue import FALL_MS, FLOOR_PPM, RECOVERY_MS, REST_MS, RESTED_PPM, STEP_MS, fatigue

pytestmark = pytest.mark.rule("M19")

mu_ppms = st.integers(200_000, 1_000_000)
drives = st.integers(0, 1_000_000)


def closed_form(mu: float, drive: float, seconds: float) -> float:
    """Solution of dmu/dt = (0.2 - mu) a / 30 + (1 - mu)(1 - a) / 50 for a constant drive a."""
    rate = drive / 30 + (1 - drive) / 50
    final = (0.2 * drive / 30 + (1 - drive) / 50) / rate
    return final + (mu - final) * math.exp(-rate * seconds)


def test_the_figures_of_the_model():
    assert (STEP_MS, RESTED_PPM, FLOOR_PPM, FALL_MS, RECOVERY_MS) == (50, 1_000_000, 200_000, 30_000, 50_000)
    assert REST_MS == 240_000


@pytest.mark.rule("M19")
@pytest.mark.parametrize(
    ("mu_ppm", "drive_ppm", "expected"),
    [
        (1_000_000, 1_000_000, 1_000_000 - 1_334),  # 0.8 x 50/30000 rounded up
        (1_000_000, 500_000, 1_000_000 - 667),
        (1_000_000, 1, 1_000_000 - 1),  # any drive costs at least 1 ppm
        (1_000_000, 0, 1_000_000),
        (500_000, 0, 500_500),
        (999_001, 0, 999_001),  # 999 ppm x 50/50000 rounds down to nothing
        (999_000, 0, 999_001),
        (200_000, 1_000_000, 200_000),
        (600_000, 500_000, 600_000 - 334 + 200),
    ],
)
def test_one_step(mu_ppm: int, drive_ppm: int, expected: int):
    assert fatigue(mu_ppm, drive_ppm, 1) == expected


@pytest.mark.rule("M19")
@given(mu_ppms, drives, st.integers(0, 30), st.integers(0, 30))
def test_steps_add_up(mu_ppm: int, drive_ppm: int, first: int, second: int):
    assert fatigue(fatigue(mu_ppm, drive_ppm, first), drive_ppm, second) == fatigue(mu_ppm, drive_ppm, first + second)


def test_no_time_changes_nothing():
    assert fatigue(777_777, 1_000_000, 0) == 777_777


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@given(mu_ppms, drives, st.integers(0, 2_000))
def test_mu_stays_between_exhausted_and_rested_and_below_the_model(mu_ppm: int, drive_ppm: int, steps: int):
    mu = fatigue(mu_ppm, drive_ppm, steps)
    assert 200_000 <= mu <= 1_000_000
    exact = closed_form(mu_ppm / 1e6, drive_ppm / 1e6, steps * 0.05) * 1e6
    assert exact - 2_500 <= mu <= exact + 1_000


@pytest.mark.rule("M19")
@given(mu_ppms, mu_ppms, drives, drives, st.integers(0, 200))
def test_a_fresher_muscle_or_less_drive_is_never_more_tired(one: int, other: int, drive: int, harder: int, steps: int):
    tired, fresh = sorted((one, other))
    light, hard = sorted((drive, harder))
    assert fatigue(tired, hard, steps) <= fatigue(fresh, light, steps)


@pytest.mark.rule("M19")
@pytest.mark.parametrize(("level_ppm", "seconds"), [(700_000, 14.1), (500_000, 29.4)])
def test_the_reference_says_when_a_driven_muscle_falls_below(level_ppm: int, seconds: float):
    steps = next(n for n in range(1_000) if fatigue(1_000_000, 1_000_000, n) < level_ppm)
    assert steps * 0.05 == pytest.approx(seconds, abs=0.1)


@pytest.mark.rule("M19")
@pytest.mark.parametrize(
    ("on_s", "off_s", "floor_ppm"),
    [(5, 25, 750_000), (5, 15, 670_000), (10, 50, 690_000), (10, 30, 630_000), (10, 20, 560_000)],
)
def test_the_reference_says_how_low_mu_gets(on_s: int, off_s: int, floor_ppm: int):
    mu, lowest = 1_000_000, 1_000_000
    for _ in range(600 // (on_s + off_s)):
        mu = fatigue(mu, 1_000_000, on_s * 20)
        lowest = min(lowest, mu)
        mu = fatigue(mu, 0, off_s * 20)
    assert lowest == pytest.approx(floor_ppm, abs=8_000)


@pytest.mark.rule("M19")
def test_four_minutes_of_rest_bring_an_exhausted_muscle_back_above_ninety_nine_hundredths():
    assert fatigue(500_000, 0, REST_MS // STEP_MS) >= 990_000
    assert fatigue(500_000, 0, 80_000 // STEP_MS) == pytest.approx(900_000, abs=2_000)
