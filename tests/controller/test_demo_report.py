"""The report: one file, whole by itself, true to what was measured, harmless whatever the words in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from controller.demo.plot import LEFT, RIGHT, WIDTH, Frame, line, road, svg, trains
from controller.demo.recording import Command, Pulse
from controller.demo.report import html, phase_rows, story
from controller.demo.verdict import Accident, End, Trial
from tests.controller.demo_material import (
    ACCIDENT,
    AFTER_IT,
    BEFORE_IT,
    END_US,
    ONE,
    PULSE_PC,
    SHAPE,
    STOP,
    STOPPED,
    TRIAL,
    T,
    recording,
)

AT_MS = 1_795_372_260_123
VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "</td><script>alert('x')</script> & \"quoted\" <b>"


class Reader(HTMLParser):
    """Reads HTML strictly: every tag is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1][-1] += data

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.tags)


def read(trial: Trial) -> Reader:
    return Reader(html(trial, AT_MS))


# The file


def test_the_report_is_well_formed_and_has_three_plots() -> None:
    reader = read(TRIAL)
    assert (reader.count("svg"), reader.count("figure"), reader.count("h1")) == (3, 3, 1)
    assert [attrs["aria-label"] for tag, attrs in reader.tags if tag == "svg"] == [
        "A clean session", "With the interlock", "Without the interlock",
    ]  # fmt: skip
    assert all(attrs["role"] == "img" for tag, attrs in reader.tags if tag == "svg")


def test_the_report_needs_nothing_else() -> None:
    text = html(TRIAL, AT_MS)
    reader = Reader(text)
    assert {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object", "use", "image"} == set()
    assert {name for _, attrs in reader.tags for name in attrs} & {"src", "href", "style", "onclick"} == set()
    assert [found for found in ("http:", "https:", "url(", "@import", "$") if found in text] == []


def test_the_report_is_made_for_both_themes_and_for_paper() -> None:
    text = html(TRIAL, AT_MS)
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert re.findall(r"--[\w-]+", light) == re.findall(r"--[\w-]+", dark)


def test_the_time_and_what_it_is_not_are_said() -> None:
    text = html(TRIAL, AT_MS)
    assert "2026-11-22 18:31 UTC" in text
    assert "research software. It is not a medical device" in text


def test_hostile_words_stay_words() -> None:
    end = End("stopped", "M07", HOSTILE)
    trial = replace(TRIAL, guarded=TRIAL.guarded._replace(end=end), clean=TRIAL.clean._replace(end=end))
    reader = read(trial)
    assert reader.count("script") == 0
    assert any(HOSTILE in cell for row in reader.cells for cell in row)
    rule = replace(TRIAL, guarded=TRIAL.guarded._replace(end=End("stopped", HOSTILE, "")))
    assert read(rule).count("script") == 0
    assert 'aria-label="&lt;b&gt; &quot;"' in svg('<b> "', TRIAL.clean.recording)


# The verdict


def test_a_trial_that_holds_passes() -> None:
    text = html(TRIAL, AT_MS)
    assert "<title>stimwarden demo: Passed: the interlock stopped the current" in text
    assert 'class="verdict"' in text
    assert [row[0] for row in read(TRIAL).cells if row[0] in {"holds", "fails"}] == ["holds"] * 5


def test_a_claim_that_fails_is_said_in_words_and_marked() -> None:
    trial = replace(TRIAL, ledger_pc=None)
    text = html(trial, AT_MS)
    assert '<p class="verdict failed">Failed: 1 of 5 claims do not hold.</p>' in text
    rows = [row for row in read(trial).cells if row[0] == "fails"]
    assert rows == [["fails", "Planned, delivered and booked charge agree.", "The ledger has charged nothing."]]
    assert ["in the ledger", "–", "nothing was booked"] in read(trial).cells  # noqa: RUF001 - a dash for nothing


# The tables


def test_the_phases_of_the_clean_session_stand_in_their_table() -> None:
    assert list(phase_rows(TRIAL.clean.recording))[:4] == [
        ("1", "ramp up", "1.0 s", "1.0 mA", "0.0 mA", "0", "240.0 µC", "0.0 µC"),
        ("1", "on", "2.0 s", "20.0 mA", "20.0 mA", "80", "960.0 µC", "960.0 µC"),
        ("1", "ramp down", "1.0 s", "10.0 mA", "20.0 mA", "40", "240.0 µC", "480.0 µC"),
        ("1", "rest", "6.0 s", "0.0 mA", "0.0 mA", "0", "0.0 µC", "0.0 µC"),
    ]
    rows = read(TRIAL).cells
    assert [list(row) for row in phase_rows(TRIAL.clean.recording)] == [row for row in rows if len(row) == 8][1:]


def test_the_accident_stands_side_by_side_with_and_without_the_interlock() -> None:
    rows = [row for row in read(TRIAL).cells if len(row) == 9]
    none = ["–", "–", "–"]  # noqa: RUF001 - a dash for nothing
    assert rows[6:] == [
        ["2", "on", "960.0 µC", "20.0 mA", "20.0 mA", "192.0 µC", "20.0 mA", "20.0 mA", "480.0 µC"],
        ["2", "ramp down", "240.0 µC", *none, "10.0 mA", "0.0 mA", "0.0 µC"],
        ["2", "rest", "0.0 µC", *none, "0.0 mA", "0.0 mA", "0.0 µC"],
        ["", "after the stop", "0.0 µC", "0.0 mA", "0.0 mA", "0.0 µC", *none],
    ]


def test_the_dose_stands_thrice_each_against_the_one_before() -> None:
    assert [row[:2] for row in read(TRIAL).cells if row[0] in {"planned", "delivered", "in the ledger"}] == [
        ["planned", "2.880 mC"], ["delivered", "2.880 mC"], ["in the ledger", "2.909 mC"],
    ]  # fmt: skip


def test_the_accident_is_told_in_the_order_of_its_seconds() -> None:
    calm = "no current from the moment the electrode came off, also not after it was back."
    bare = "20.0 mA flow 0 ms after the electrode is back (24 pulses, 0.288 mC in all)."
    assert list(story(TRIAL)) == [
        ("0.00 s", "The programme starts from zero.", "The same."),
        ("11.40 s", "The electrode comes off in the second contraction.", "The same."),
        ("11.41 s", "Rule M07 stops the output. No contact.", "Nobody looks."),
        ("12.40 s", f"It is pressed on again: {calm}", f"It is pressed on again: {bare}"),
        ("18.00 s", "Watched until here: not one pulse above 2 mA.", "The programme ran to its end."),
    ]


def test_current_that_came_back_through_the_interlock_is_not_told_as_calm() -> None:
    late = Pulse(ACCIDENT.on_us + 25_000, 19_900, PULSE_PC)
    trial = replace(TRIAL, guarded=TRIAL.guarded._replace(recording=recording(*BEFORE_IT, late, commands=STOP)))
    told = [words for _, words, _ in story(trial)]
    assert "It is pressed on again: 19.9 mA flow 25 ms after the electrode is back (1 pulse, 0.012 mC in all)." in told
    assert "Watched until here: 1 pulse above 2 mA." in told
    assert html(trial, AT_MS).count('class="hazard"') == 2


def test_a_session_without_any_current_can_be_reported() -> None:
    empty = TRIAL.guarded._replace(recording=recording(commands=()), end=End("stopped", "M25", "Late."))
    read(replace(TRIAL, clean=empty, guarded=empty, bare=empty))


# The plots


def test_moments_and_currents_have_their_places() -> None:
    frame = Frame.of(TRIAL.clean.recording)
    assert (frame.start_us, frame.lasting_us, frame.top_ua) == (T, 18_000_000, 25_000)
    assert (frame.x(T), frame.x(END_US), frame.x(T + 9_000_000)) == (LEFT, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2)
    assert (frame.x(T - 1), frame.x(END_US + 1)) == (frame.x(T), frame.x(END_US))
    assert [frame.y(ua) for ua in (0, 5_000, 25_000)] == [216.0, 181.2, 42.0]


def test_the_road_is_level_between_commands_and_the_line_drops_between_trains() -> None:
    frame = Frame(T, 18_000_000, 25_000)
    some = recording(*ONE[:2], ONE[-1], commands=(Command(T + 1_000_000, 20_000), Command(T + 4_000_000, None)))
    zero, high = frame.y(0), frame.y(20_000)
    start, up, off, end = (frame.x(T + at_us) for at_us in (0, 1_000_000, 4_000_000, 18_000_000))
    assert road(frame, some) == f"M{start} {zero}H{start}V{zero}H{up}V{high}H{off}V{zero}H{end}"
    next_x, last = frame.x(ONE[1].at_us), frame.x(ONE[-1].at_us)
    assert line(frame, some) == (
        f"M{start} {zero}L{up} {zero}L{up} {high}L{next_x} {high}L{next_x} {zero}"
        f"L{last} {zero}L{last} {high}L{last} {zero}L{end} {zero}"
    )


@pytest.mark.parametrize(("apart_us", "number"), [(75_000, 1), (75_001, 2)])
def test_pulses_more_than_three_periods_apart_are_two_trains(apart_us: int, number: int) -> None:
    assert len(trains([Pulse(T, 1, 1), Pulse(T + apart_us, 1, 1)], 25_000)) == number


def test_the_moments_of_the_accident_are_marked() -> None:
    guarded = svg("x", TRIAL.guarded.recording, ACCIDENT, STOPPED.rule)
    assert re.findall(r"<g class=\"(\w+)\">.*?>([^<]+)</text>", guarded) == [
        ("moment", "electrode off"), ("moment", "pressed on again"), ("alarm", "stopped by M07 after 6 ms"),
    ]  # fmt: skip
    bare = svg("x", TRIAL.bare.recording, ACCIDENT)
    assert re.findall(r"<g class=\"(\w+)\">.*?>([^<]+)</text>", bare) == [
        ("moment", "electrode off"), ("alarm", "pressed on again: 20.0 mA at once"),
    ]  # fmt: skip
    assert (guarded.count('class="hazard"'), bare.count('class="hazard"')) == (0, 1)
    clean = svg("x", TRIAL.clean.recording)
    assert [name for name in ("moment", "alarm", "hazard", 'class="off"') if name in clean] == []


def test_the_time_without_a_pad_is_shaded_from_off_to_on() -> None:
    frame = Frame.of(TRIAL.bare.recording)
    left, right = frame.x(ACCIDENT.off_us), frame.x(ACCIDENT.on_us)
    drawn = svg("x", recording(*ONE, *BEFORE_IT, *AFTER_IT, commands=SHAPE), Accident(*ACCIDENT))
    assert f'<rect class="off" x="{left}"' in drawn
    assert f'width="{right - left:.1f}"' in drawn
