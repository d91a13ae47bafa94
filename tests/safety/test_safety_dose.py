"""safety/dose.py: what was given is counted pulse by pulse, and never too little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import plan, rx

from safety.dose import SLACK_MS, begin, charged, is_plateau, measured_nc, near_ms, play
from safety.limits import Modality
from safety.prescription import Dose, Programme
from safety.state import FRESH, Channel, Setting
from safety.waveform import Train

pytestmark = pytest.mark.hazard("H18")

SETTING = Setting(plan(), 20_000, 0)
FULL = plan().train(20_000)
NMES = rx().programme
TENS = Programme(modality=Modality.TENS, ramp_up_ms=1_000, on_ms=59_000, ramp_down_ms=0, off_ms=0, therapy_ms=60_000)


def on(train: Train = FULL, **changes: object) -> Channel:
    """A channel with this train in force, nothing counted yet."""
    return FRESH._replace(train=train, low_ua=train.ua, high_ua=train.ua, rest_ms=0)._replace(**changes)  # type: ignore[arg-type]


# A channel at zero


@pytest.mark.rule("M20")
def test_a_channel_at_zero_rests_and_recovers():
    channel = FRESH._replace(
        mu_ppm=500_000, rest_ms=100, remainder_us=7, since_zero_ms=9, pull_ms=8, plateau_ms=7, spent=(1, 2, 3)
    )
    assert play(channel, SETTING, NMES, 100, 50, 50) == channel._replace(
        mu_ppm=500_500, rest_ms=150, remainder_us=0, since_zero_ms=0
    )


# A channel with current


@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(
    ("elapsed_ms", "remainder_us", "pulses", "left_us"),
    [
        (24, 0, 0, 24_000),
        (25, 0, 1, 0),
        (50, 0, 2, 0),
        (50, 24_999, 2, 24_999),
        (51, 24_000, 3, 0),
        (0, 24_999, 0, 24_999),
    ],
)
def test_whole_periods_are_pulses_and_the_rest_is_carried(
    elapsed_ms: int, remainder_us: int, pulses: int, left_us: int
):
    after = play(on(remainder_us=remainder_us, spent=(5, 6, 7)), SETTING, NMES, 100, 1_000, elapsed_ms)
    assert after.spent == (5 + pulses * 12_000, 6 + pulses * 240_000_000_000, 7 + elapsed_ms)
    assert after.remainder_us == left_us


@pytest.mark.rule("M18")
@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(8_000, 400_000))
def test_ticks_of_any_length_count_the_same_pulses(ticks: list[int], period_us: int):
    channel, played_ms = on(FULL._replace(period_us=period_us)), 0
    for ms in ticks:
        played_ms += ms
        channel = play(channel, SETTING, NMES, 100, played_ms, ms)
    assert channel.spent[0] == sum(ticks) * 1000 // period_us * 12_000
    assert channel.spent[2] == channel.since_zero_ms == channel.pull_ms == sum(ticks)


@pytest.mark.rule("M03")
@pytest.mark.rule("M20")
def test_times_run_on():
    after = play(on(since_zero_ms=1_000, pull_ms=900, plateau_ms=500, rest_ms=77), SETTING, NMES, 100, 1_050, 50)
    assert after[6:10] == (1_050, 950, 550, 0)


@pytest.mark.rule("M20")
@pytest.mark.parametrize(
    ("ua", "step_ua", "plateau"),
    [
        (19_900, 100, False),
        (19_901, 100, True),
        (20_000, 100, True),
        (20_001, 100, True),
        (19_999, 0, False),
        (20_000, 0, False),
        (18_000, 2_000, False),
        (18_001, 2_000, True),
    ],
)
def test_the_plateau_is_the_set_point_as_far_as_the_devices_step_lets_it(ua: int, step_ua: int, plateau: bool):
    assert is_plateau(ua, 20_000, step_ua) is plateau
    after = play(on(FULL._replace(ua=ua), plateau_ms=500), SETTING, NMES, step_ua, 50, 50)
    assert after.plateau_ms == (550 if plateau else 500)


@pytest.mark.rule("M03")
@pytest.mark.rule("M20")
@pytest.mark.parametrize(
    ("ramp_ms", "setpoint_ua", "step_ua", "near"),
    [(1_000, 20_000, 100, 5), (10_000, 2_000, 100, 500), (1_000, 3_000, 100, 34), (0, 3_000, 100, 0), (500, 9, 0, 0)],
)
def test_a_ramp_stays_near_its_end_for_a_step_rounded_up(ramp_ms: int, setpoint_ua: int, step_ua: int, near: int):
    assert near_ms(ramp_ms, setpoint_ua, step_ua) == near


# Fatigue


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("shape", "ua", "period_us", "mu_ppm"),
    [
        (NMES, 20_000, 25_000, 1_000_000 - 1_334),
        (NMES, 30_000, 25_000, 1_000_000 - 1_334),
        (NMES, 10_000, 25_000, 1_000_000 - 667),
        (NMES, 20_000, 99_999, 1_000_000 - 1_334),
        (NMES, 20_000, 100_000, 1_000_000),
        (TENS, 20_000, 25_000, 1_000_000),
    ],
)
def test_a_held_muscle_tires_by_its_share_of_the_set_point(shape: Programme, ua: int, period_us: int, mu_ppm: int):
    channel = on(FULL._replace(ua=ua, period_us=period_us))
    assert play(channel, SETTING, shape, 100, 50, 50).mu_ppm == mu_ppm


@pytest.mark.rule("M19")
@pytest.mark.parametrize(
    ("played_ms", "elapsed_ms", "steps"),
    [(49, 49, 0), (50, 1, 1), (99, 49, 0), (100, 50, 1), (149, 100, 2), (1_000, 0, 0)],
)
def test_fatigue_steps_fall_on_whole_multiples_of_played_time(played_ms: int, elapsed_ms: int, steps: int):
    after = play(on(), SETTING, NMES, 100, played_ms, elapsed_ms)
    assert after.mu_ppm == {0: 1_000_000, 1: 998_666, 2: 997_334}[steps]


# Another train


def test_the_same_train_changes_nothing():
    channel = on()
    assert begin(channel, SETTING, NMES, 100, FULL, 50) is channel
    assert begin(FRESH, SETTING, NMES, 100, None, 50) is FRESH


@pytest.mark.rule("M18")
@pytest.mark.rule("M03")
def test_a_train_from_zero_counts_one_pulse_at_once_and_rises_since_the_last_tick():
    after = begin(FRESH._replace(spent=(1, 2, 3)), SETTING, NMES, 100, FULL, 50)
    assert after == FRESH._replace(
        train=FULL, low_ua=0, high_ua=20_000, spent=(12_001, 240_000_000_002, 3), since_zero_ms=55, pulls=(1, 1)
    )


@pytest.mark.rule("M20")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("rest_ms", "anew"), [(5_799, False), (5_800, True), (9_000, True)])
def test_a_contraction_begins_anew_after_the_planned_rest(rest_ms: int, anew: bool):
    assert SLACK_MS == 200
    channel = FRESH._replace(rest_ms=rest_ms, pull_ms=800, plateau_ms=300, pulls=(3, 9))
    after = begin(channel, SETTING, NMES, 100, FULL, 50)
    assert (after.pull_ms, after.plateau_ms) == ((0, 0) if anew else (800, 300))
    assert after.pulls == ((4, 10) if anew else (3, 9))


@pytest.mark.rule("M18")
def test_a_train_that_follows_another_counts_no_pulse_and_keeps_the_remainder():
    lower = FULL._replace(ua=10_000)
    channel = on(remainder_us=9_000, since_zero_ms=400, spent=(1, 2, 3))
    assert begin(channel, SETTING, NMES, 100, lower, 50) == channel._replace(train=lower, low_ua=10_000)
    assert begin(
        begin(channel, SETTING, NMES, 100, lower, 50), SETTING, NMES, 100, FULL._replace(ua=25_000), 50
    ) == channel._replace(train=FULL._replace(ua=25_000), low_ua=10_000, high_ua=25_000)


@pytest.mark.rule("M20")
def test_no_train_ends_the_ramp_and_remembers_what_the_last_pulse_may_have_been():
    channel = on(remainder_us=9_000, since_zero_ms=400, pull_ms=400, plateau_ms=300, spent=(1, 2, 3))
    assert begin(channel, SETTING, NMES, 100, None, 50) == channel._replace(
        train=None, low_ua=0, high_ua=20_000, remainder_us=0, since_zero_ms=0
    )


@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), max_size=40),
    st.integers(8_000, 300_000),
    st.integers(1, 100_000),
)
def test_what_is_counted_is_never_less_than_what_a_device_gives(
    schedule: list[tuple[int, int]], period_us: int, ua: int
):
    """The device gives a pulse as soon as a train starts from zero, then one each period."""
    channel, given_nc, carry_us, playing, played_ms = FRESH, 0, 0, 0, 0
    for quarter, ticks in schedule:
        train = Train(1, max(1, ua * quarter // 3), 300, 100, period_us) if quarter else None
        if train and not playing:
            given_nc, carry_us = given_nc + 2 * train.ua * 300 // 1000, 0
        channel, playing = begin(channel, SETTING, NMES, 100, train, 50), quarter
        for _ in range(ticks):
            played_ms += 50
            if train:
                pulses, carry_us = divmod(carry_us + 50_000, period_us)
                given_nc += pulses * 2 * train.ua * 300 // 1000
            channel = play(channel, SETTING, NMES, 100, played_ms, 50)
    assert channel.spent[0] >= given_nc


# What is charged


@pytest.mark.rule("L08")
@pytest.mark.parametrize(
    ("base_nc", "seen_nc", "accuracy_ppm", "expected"),
    [
        (0, 0, 10_000, 0),
        (100, 0, 0, 100),
        (60, 40, 10_000, 101),
        (60, 41, 10_000, 103),
        (0, 1, 1, 2),
        (10**9, 10**9, 50_000, 21 * 10**8),
    ],
)
def test_the_devices_measure_counts_with_its_accuracy_on_top(
    base_nc: int, seen_nc: int, accuracy_ppm: int, expected: int
):
    assert measured_nc(base_nc, seen_nc, accuracy_ppm) == expected


@pytest.mark.rule("L08")
def test_a_channel_is_charged_by_the_measurement_where_there_is_one():
    channel = FRESH._replace(spent=(1_000, 2_000, 3_000))
    assert charged(channel, None) == Dose(nc=1_020, i2t=2_040, on_ms=3_000)
    odd = channel._replace(spent=(1_001, 2_001, 3_000))
    assert charged(odd, None) == Dose(nc=1_022, i2t=2_042, on_ms=3_000)
    assert charged(channel, 700) == Dose(nc=700, i2t=2_000, on_ms=3_000)
    assert charged(channel, 0) == Dose(nc=0, i2t=2_000, on_ms=3_000)
