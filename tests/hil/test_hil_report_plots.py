"""A plot hides nothing: no pulse, no current above the limit, no fault; and what it shows lies where it belongs."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from hil.evidence import Channel, Chunk, Test
from hil.report.axis import INSIDE, LEFT, RIGHT, WIDTH, Panel, Span, columns, engineering, nice, panel
from hil.report.figures import Figures
from hil.report.plots import draw, histogram, span, words
from tests.hil.runs import BEGIN_US, case_of, channel, peel, pulse, step

pytestmark = pytest.mark.hazard("H35")


@pytest.mark.parametrize(
    ("rough", "step_"), [(1, 1), (1.1, 2), (2, 2), (2.1, 5), (5.1, 10), (0.03, 0.05), (700, 1000), (1e-6, 1e-6)]
)
def test_ticks_are_even(rough: float, step_: float):
    assert nice(rough) == pytest.approx(step_)


@pytest.mark.parametrize(
    ("values", "low", "high", "step_"),
    [((), 0, 1, 0.2), ((30,), 0, 30, 10), ((31,), 0, 40, 10), ((-3, 4), -4, 4, 2), ((0, 0), 0, 1, 0.2)],
)
def test_a_panel_holds_zero_and_every_value(values: tuple[float, ...], low: float, high: float, step_: float):
    made = panel(10, 100, values, 5)
    assert made == pytest.approx(Panel(10, 100, low, high, step_))
    assert (made.y(high), made.y(low), made.bottom) == (10, 110, 110)
    assert list(made.ticks()) == pytest.approx([low + step_ * i for i in range(round((high - low) / step_) + 1)])


def test_moments_lie_between_the_edges_and_outside_at_them():
    shown = Span(1_000, 2_000)
    assert [shown.x(at_us) for at_us in (0, 1_000, 1_500, 2_000, 9_000)] == [
        LEFT, LEFT, LEFT + INSIDE / 2, WIDTH - RIGHT, WIDTH - RIGHT,
    ]  # fmt: skip
    assert Span(5, 5).x(5) == LEFT


def test_columns_hold_every_value_in_order():
    shown = Span(0, INSIDE * 10)
    points = [(0, 1.0), (9, 5.0), (10, 2.0), (11, 0.0), (35, 3.0)]
    assert list(columns(shown, points)) == [(LEFT, [1.0, 5.0]), (LEFT + 1, [2.0, 0.0]), (LEFT + 3, [3.0])]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_171_600, "12.17 mC"), (-1_500, "-1.5 \u00b5C"), (999, "999 nC"), (0, "0 nC"), (-1e-9, "0 nC"), (2e9, "2 C")],
)
def test_charges_are_written_for_people(value: float, text: str):
    assert engineering(value, "C") == text


# One channel


def drawn(test: Test, number: int = 0) -> ET.Element:
    return ET.fromstring(draw(test, test.channels[number]))  # noqa: S314 - our own text


def bars(svg: ET.Element, kind: str) -> list[tuple[float, float, float]]:
    """Where each bar stands, from where and up to where."""
    path = "".join(each.get("d", "") for each in svg.iter("path") if each.get("class") == kind)
    return [tuple(map(float, found)) for found in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", path)]


def test_the_time_of_a_picture_holds_all_that_is_known():
    known = case_of(
        injections=(peel(-2, None),),
        channels=(channel(pulse(3, 1), commanded=(step(9, 1),)),),
        serial=(Chunk(at_us=BEGIN_US - 500, direction="to_device", data=b""),),
    )
    assert span(known) == Span(BEGIN_US - 2_000, BEGIN_US + 9_000)
    assert span(case_of(injections=(peel(0, 40),))) == Span(BEGIN_US, BEGIN_US + 40_000)
    assert span(case_of()) == Span(0, 0)


def test_each_pulse_stands_at_its_time_and_height():
    svg = drawn(case_of(channels=(channel(pulse(0, 10_000), pulse(500, 20_000), pulse(1_000, 30_000)),)))
    found = bars(svg, "delivered")
    assert [x for x, _, _ in found] == [LEFT + 0.5, LEFT + INSIDE / 2 + 0.5, WIDTH - RIGHT + 0.5]
    base = found[0][1]
    assert [(base - y) / (base - found[2][2]) for _, _, y in found] == pytest.approx([1 / 3, 2 / 3, 1], abs=0.01)
    assert bars(svg, "beyond") == []


def test_of_pulses_in_one_column_the_greatest_is_drawn_and_a_greater_second_phase_counts():
    many = [pulse(i, 1_000) for i in range(10_000)]
    many[5_000] = pulse(5_000, 1_000, second_ua=29_000)
    svg = drawn(case_of(channels=(channel(*many),)))
    found = bars(svg, "delivered")
    assert len(found) == INSIDE + 1
    assert sum(y < found[0][2] for _, _, y in found) == 1


def test_a_single_pulse_above_the_limit_among_many_is_seen_and_told():
    many = [pulse(i, 30_000) for i in range(10_000)]
    many[7_777] = pulse(7_777, 30_001)
    test = case_of(channels=(channel(*many),))
    svg = drawn(test)
    assert len(bars(svg, "beyond")) == 1
    assert "1 pulses ABOVE THE LIMIT" in words(test.channels[0])
    many[7_777] = pulse(7_777, 30_000)
    calm = case_of(channels=(channel(*many),))
    assert (bars(drawn(calm), "beyond"), "ABOVE" in words(calm.channels[0])) == ([], False)


def limits(svg: ET.Element) -> list[str | None]:
    return [each.findtext("text") for each in svg.iter("g") if each.get("class") == "limit"]


def test_the_limit_is_drawn_where_there_is_one():
    assert limits(drawn(case_of(channels=(channel(pulse(0, 1), limit_ua=12_500),)))) == ["limit 12.5 mA"]
    assert limits(drawn(case_of(channels=(channel(pulse(0, 1), limit_ua=None),)))) == []


def test_what_was_commanded_is_level_until_the_next_command():
    told = (step(0, 10_000), step(500, 20_000), step(1_000, 0))
    svg = drawn(case_of(channels=(channel(pulse(0, 20_000), commanded=told, limit_ua=20_000),)))
    (path,) = [each.get("d") for each in svg.iter("path") if each.get("class") == "commanded"]
    zero, full = bars(svg, "delivered")[0][1:]
    half = round((zero + full) / 2, 1)
    middle, right = LEFT + INSIDE // 2, WIDTH - RIGHT
    assert path == f"M{LEFT} {zero}H{LEFT}V{half}H{middle}V{full}H{right}V{zero}H{right}"


def test_where_nothing_is_known_of_commands_none_is_drawn():
    svg = drawn(case_of(channels=(channel(pulse(0, 1)),)))
    assert [each for each in svg.iter("path") if each.get("class") == "commanded"] == []


def test_a_missing_second_phase_is_a_residual():
    test = case_of(channels=(channel(pulse(0, 10_000), pulse(20, 10_000, second_ua=0)),))
    assert words(test.channels[0]) == (
        "Channel 1: 2 pulses of at most 10 mA, limit 30 mA, charge 9 \u00b5C, residual 3 \u00b5C."
    )
    (path,) = [each.get("d") for each in drawn(test).iter("path") if each.get("class") == "residual"]
    (start, *_, end) = re.findall(r"V([\d.]+)", path)
    assert float(end) < float(start)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (channel(), "Channel 1: no current was delivered."),
        (
            channel(pulse(0, 10_000), limit_ua=None, dropped=1_234),
            (
                "Channel 1: 1 pulses of at most 10 mA, no limit was told, charge 6 \u00b5C, residual 0 nC, "
                "1,234 earlier pulses were no longer held by the scope."
            ),
        ),
    ],
)
def test_a_channel_in_words(given: Channel, text: str):
    assert words(given) == text
    assert drawn(case_of(channels=(given,))).get("aria-label") == text


# Faults


def bands(svg: ET.Element) -> list[tuple[float, float]]:
    found = [each for each in svg.iter("rect") if each.get("class") == "fault"]
    return [(float(each.get("x", "")), float(each.get("width", ""))) for each in found]


def names(svg: ET.Element) -> list[tuple[str | None, float, float]]:
    found = [each for each in svg.iter("text") if each.get("class") == "fault-name"]
    return [(each.text, float(each.get("x", "")), float(each.get("y", ""))) for each in found]


def test_a_fault_is_a_band_from_its_beginning_to_its_end():
    faults = (peel(0, 250), peel(500, None, "drop"), peel(1_000, 1_000, "reset"))
    svg = drawn(case_of(channels=(channel(pulse(0, 1), pulse(1_000, 1)),), injections=faults))
    assert bands(svg) == [(LEFT, INSIDE / 4), (LEFT + INSIDE / 2, INSIDE / 2), (WIDTH - RIGHT, 2)]
    assert [name for name, _, _ in names(svg)] == ["1 peel", "2 drop", "3 reset"]


def test_the_names_of_faults_do_not_lie_on_each_other_nor_beyond_the_edge():
    faults = (*(peel(990 + i, None, "missing_second_phase") for i in range(4)), peel(0, 1))
    svg = drawn(case_of(channels=(channel(pulse(0, 1), pulse(1_000, 1)),), injections=faults))
    placed = names(svg)
    assert len({y for _, _, y in placed[:4]}) == 4
    assert placed[4][2] == placed[0][2]
    assert all(x + 7 * len(text or "") <= WIDTH - RIGHT for text, x, _ in placed)


def test_what_a_fault_is_called_cannot_break_the_page():
    svg = drawn(case_of(channels=(channel(pulse(0, 1)),), injections=(peel(0, 1, "<script>&"),)))
    assert [name for name, _, _ in names(svg)] == ["1 <script>&"]


# Histograms


def test_a_histogram_counts_every_value_and_shows_the_limit():
    svg = ET.fromstring(  # noqa: S314 - our own text
        histogram(Figures("stop <latency>", "ms", tuple(map(float, range(100))), ((None, 120.0), (5.0, 120.0)), 0))
    )
    assert svg.get("aria-label") == "100 values of stop <latency> from 0 to 99 ms"
    heights = [float(each.get("height", "")) for each in svg.iter("rect")]
    assert (len(heights), len(set(heights))) == (20, 1)
    assert limits(svg) == ["limit 5", "limit 120"]


@pytest.mark.parametrize("values", [(5.0,) * 7, (0.0,) * 5, (-3.0, -2.0, -2.0, -1.0, 4.0), (1e-9, 1.0, 1e9, 1e9, 1e9)])
def test_a_histogram_of_anything_can_be_drawn(values: tuple[float, ...]):
    svg = ET.fromstring(histogram(Figures("a", "ms", values, (), 0)))  # noqa: S314 - our own text
    edges = [(float(each.get("x", "")), float(each.get("width", ""))) for each in svg.iter("rect")]
    assert all(x >= LEFT and x + wide <= WIDTH - RIGHT + 1 for x, wide in edges)
