"""safety/times.py: the table of the architecture, and the nesting that a profile must keep."""

from __future__ import annotations

import dataclasses

import pytest

from safety.times import NATIVE, SCIENCEMODE2, SCIENCEMODE4, NestingError, Times

pytestmark = pytest.mark.hazard("H11")

GOOD = {
    "tick_ms": 50, "keep_alive_ms": 100, "ack_ms": 50, "init_ack_ms": 500, "grant_ms": 200, "silence_hold_ms": 300,
    "silence_pause_ms": 500, "silence_stop_ms": 1_000, "dead_man_ms": 500, "claim_ms": 5_000, "presence_ms": 300_000,
    "hold_margin_ms": 60_000,
    "hold_early_ms": 5_000,
}  # fmt: skip


def test_the_profiles_are_the_table_of_the_architecture():
    slow = GOOD | {"keep_alive_ms": 200, "ack_ms": 100, "grant_ms": 400, "silence_pause_ms": 700}
    assert dataclasses.asdict(NATIVE) == GOOD
    assert dataclasses.asdict(SCIENCEMODE4) == slow | {"dead_man_ms": 2_000}
    assert dataclasses.asdict(SCIENCEMODE2) == slow | {"dead_man_ms": 1_200}


def test_the_times_of_a_profile_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        NATIVE.tick_ms = 51  # type: ignore[misc]


@pytest.mark.rule("M04")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ("tick_ms", "keep_alive_ms"),
        ("keep_alive_ms", "grant_ms"),
        ("grant_ms", "silence_pause_ms"),
        ("dead_man_ms", "claim_ms"),
        ("claim_ms", "presence_ms"),
        ("silence_hold_ms", "silence_pause_ms"),
        ("silence_pause_ms", "silence_stop_ms"),
    ],
)
def test_times_that_must_rise_may_not_be_equal(shorter: str, longer: str):
    spread = {
        "tick_ms": 10, "ack_ms": 1, "keep_alive_ms": 1_000, "grant_ms": 2_000, "silence_hold_ms": 2_500,
        "silence_pause_ms": 3_000, "silence_stop_ms": 5_000, "dead_man_ms": 4_000, "claim_ms": 5_000,
        "presence_ms": 6_000, "hold_early_ms": 20_000,
    }  # fmt: skip
    spread |= {"silence_hold_ms": 1} if shorter == "grant_ms" else {}
    low = spread[shorter]
    assert getattr(Times(**spread | {longer: low + 1}), longer) == low + 1
    for value in (low, low - 1):
        with pytest.raises(NestingError):
            Times(**spread | {longer: value})


@pytest.mark.rule("M04")
def test_the_pause_may_coincide_with_the_dead_man_and_not_pass_it():
    assert Times(**GOOD | {"dead_man_ms": 500}).dead_man_ms == 500
    assert Times(**GOOD | {"dead_man_ms": 501}).dead_man_ms == 501
    with pytest.raises(NestingError, match="silence_pause_ms = 500 ms does not lie below dead_man_ms = 499 ms"):
        Times(**GOOD | {"dead_man_ms": 499})


def test_an_ack_comes_before_the_next_keep_alive():
    assert Times(**GOOD | {"ack_ms": 100}).ack_ms == 100
    with pytest.raises(NestingError, match="ack_ms = 101 ms is longer than keep_alive_ms = 100 ms"):
        Times(**GOOD | {"ack_ms": 101})


@pytest.mark.rule("X10")
@pytest.mark.hazard("H26")
def test_a_hold_ends_two_dead_men_early():
    assert Times(**GOOD | {"dead_man_ms": 2_500}).hold_early_ms == 5_000
    with pytest.raises(NestingError, match="hold_early_ms = 5000 ms is shorter than two dead men"):
        Times(**GOOD | {"dead_man_ms": 2_501})


def test_the_steps_of_m04_rise():
    with pytest.raises(NestingError, match="the steps of M04 do not rise"):
        Times(**GOOD | {"silence_hold_ms": 500})


def test_a_profile_names_the_times_that_differ_between_devices():
    with pytest.raises(TypeError):
        Times(keep_alive_ms=100)  # type: ignore[call-arg]
