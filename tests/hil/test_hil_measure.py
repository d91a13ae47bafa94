"""Measurements: units, limits and their edges, times that are refused, and what goes on record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hil.evidence import Measurement
from hil.measure import (
    Base,
    LimitMissedError,
    NotMeasurableError,
    Quantity,
    Sheet,
    Span,
    Unit,
    V,
    count,
    kohm,
    mA,
    mA_cm2,
    ms,
    mV,
    nC,
    ohm,
    percent,
    s,
    uA,
    uC,
    us,
)

pytestmark = pytest.mark.hazard("H35")

Limit = Callable[[Any], object]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, base: Base = "virtual") -> None:
        self.base = base
        self.now_us = 7


class Bed:
    """A sheet, its clock, and what it kept."""

    def __init__(self, base: Base = "virtual") -> None:
        self.clock = Hand(base)
        self.kept: list[Measurement] = []
        self.sheet = Sheet(self.clock, self.kept.append)


@pytest.fixture
def bed() -> Bed:
    return Bed()


@pytest.mark.parametrize(
    ("limit", "low", "high", "inside", "outside", "words"),
    [
        ("at_most", None, 20.0, [-5, 0, 20], [20.001, 21], "at most 20 mA"),
        ("at_least", 20.0, None, [20, 1e6], [19.999, -20], "at least 20 mA"),
        ("within", 19.0, 21.0, [19, 20, 21], [18.999, 21.001], "19 mA to 21 mA"),
        ("exactly", 20.0, 20.0, [20], [19.999, 20.001], "exactly 20 mA"),
    ],
)
def test_a_limit_and_both_its_sides(
    bed: Bed, limit: str, low: float | None, high: float | None, inside: list[float], outside: list[float], words: str
):
    def judge(value: float) -> None:
        gauge = bed.sheet("peak", mA, value)
        match limit:
            case "at_most":
                gauge.at_most(20)
            case "at_least":
                gauge.at_least(20)
            case "within":
                gauge.between(19, 21)
            case _:
                gauge.equals(20)

    for value in inside:
        judge(value)
    for value in outside:
        with pytest.raises(LimitMissedError) as missed:
            judge(value)
        assert str(missed.value) == f"peak: {value:.12g} mA, expected {words}"
    assert [one.model_dump() for one in bed.kept] == [
        {
            "name": "peak",
            "value": value,
            "unit": "mA",
            "limit": limit,
            "low": low,
            "high": high,
            "passed": value in inside,
        }
        for value in [*inside, *outside]
    ]
    assert bed.sheet.pending == []


def test_a_missed_limit_is_a_failure_and_not_an_error():
    assert issubclass(LimitMissedError, AssertionError)


def test_a_figure_that_is_only_noted_has_no_limit(bed: Bed):
    bed.sheet("pulses", count, 17).noted()
    (kept,) = bed.kept
    assert (kept.value, kept.unit, kept.limit, kept.passed) == (17.0, "", "none", True)


def test_a_number_without_unit_is_told_without_one(bed: Bed):
    with pytest.raises(LimitMissedError, match=r"^pulses: 17, expected exactly 16$"):
        bed.sheet("pulses", count, 17).equals(16)


@pytest.mark.parametrize(
    ("given", "unit", "value"),
    [
        (20_400 * uA, mA, 20.4),
        (20.4 * mA, uA, 20_400.0),
        (12_000.0 * nC, uC, 12.0),
        (0.5 * mA_cm2, mA_cm2, 0.5),
        (1_500 * ohm, kohm, 1.5),
        (2.5 * V, mV, 2_500.0),
        (98 * percent, percent, 98.0),
        (3 * count, count, 3.0),
    ],
)
def test_quantities_are_told_in_the_unit_that_was_asked_for(bed: Bed, given: Quantity, unit: Unit, value: float):
    bed.sheet("it", unit, given).equals(value)
    assert bed.kept[0].value == value


@pytest.mark.parametrize(
    ("given", "unit", "words"),
    [
        (3 * nC, mA, "it: nC is not told in mA"),
        (3 * mA_cm2, mA, "it: mA/cm2 is not told in mA"),
        (Span(3, "virtual"), mA, "it: a time is not told in mA"),
        (float("nan"), mA, "it: nan is no finite number"),
        (float("inf"), mA, "it: inf is no finite number"),
    ],
)
def test_what_is_no_such_figure_is_refused(bed: Bed, given: float | Quantity | Span, unit: Unit, words: str):
    with pytest.raises(NotMeasurableError) as refused:
        bed.sheet("it", unit, given).at_most(1e9)
    assert str(refused.value) == words
    assert bed.kept == []


@pytest.mark.parametrize(("unit", "value"), [(us, 137_250.0), (ms, 137.25), (s, 0.13725)])
@pytest.mark.parametrize("base", ["virtual", "emulator", "instrument"])
def test_a_time_of_a_clock_of_the_bench_counts(bed: Bed, base: Base, unit: Unit, value: float):
    bed.sheet("latency", unit, Span(137_250, base)).equals(value)
    assert (bed.kept[0].value, bed.kept[0].unit) == (value, unit.name)


@pytest.mark.parametrize("given", [3, 0.003, 3 * ms, 3_000 * us])
def test_a_time_that_may_be_the_walls_is_refused(bed: Bed, given: float | Quantity):
    with pytest.raises(
        NotMeasurableError, match=r"^latency: .* may be any clock's; a time comes from the bench's clock"
    ):
        bed.sheet("latency", ms, given).at_most(100)
    assert bed.kept == []


def test_what_a_stopwatch_says_is_refused(bed: Bed):
    with pytest.raises(NotMeasurableError):
        bed.sheet("latency", s, time.monotonic() - time.monotonic()).at_most(100)


def test_the_clock_of_a_host_beside_a_real_device_is_refused():
    bed = Bed("host")
    with pytest.raises(NotMeasurableError, match="a real port has only the clock of this host"):
        bed.sheet("latency", ms, Span(1, "host")).at_most(100)
    with pytest.raises(NotMeasurableError, match="a real port has only the clock of this host"):  # noqa: SIM117
        with bed.sheet("latency", ms).at_most(100):
            pass
    assert bed.kept == []


def test_a_block_is_measured_on_the_benchs_clock(bed: Bed):
    with bed.sheet("latency", ms).at_most(100):
        bed.clock.now_us += 100_000
    with pytest.raises(LimitMissedError, match=r"^latency: 100.001 ms, expected at most 100 ms$"):  # noqa: SIM117
        with bed.sheet("latency", ms).at_most(100):
            bed.clock.now_us += 100_001
    with bed.sheet("latency", ms):
        bed.clock.now_us += 5
    assert [(one.value, one.limit, one.passed) for one in bed.kept] == [
        (100.0, "at_most", True), (100.001, "at_most", False), (0.005, "none", True),
    ]  # fmt: skip
    assert bed.sheet.pending == []


def test_a_block_that_raises_is_not_measured(bed: Bed):
    with pytest.raises(KeyError), bed.sheet("latency", ms).at_most(100):
        raise KeyError
    assert (bed.kept, bed.sheet.pending) == ([], [])


@pytest.mark.parametrize(("unit", "value"), [(mA, None), (ms, Span(1, "virtual"))])
def test_a_block_gives_a_time_and_nothing_else(bed: Bed, unit: Unit, value: Span | None):
    with pytest.raises(NotMeasurableError, match="a block gives a time, and no other value"):
        bed.sheet("it", unit, value).__enter__()


def test_what_has_no_value_or_no_limit_yet_is_pending(bed: Bed):
    bed.sheet("no value", ms).at_most(100)
    bed.sheet("no limit", mA, 3)
    bed.sheet("whole", mA, 3).at_most(4)
    assert [str(one) for one in bed.sheet.pending] == ["no value", "no limit"]
    assert [one.name for one in bed.kept] == ["whole"]
