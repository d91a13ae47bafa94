"""safety/rules/line.py: what the device says of itself, each edge by one unit, and each condition alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import CAPS, IDENTITY

from safety.impedance import NO_CURRENT_OHM
from safety.messages import DeviceState, Flaw, Sample, Status
from safety.rules import line, monitor
from safety.rules.views import Noise, Word
from safety.verdict import Reason, Severity

PAUSE, STOP, LOCK = Severity.PAUSE, Severity.STOP, Severity.LOCK
SAMPLE = Sample(1, 20_000, 300, 100, 25_000, 20_000, 1_500, 100, 1_000, 0, True, False, False, False, 0)

STATUS = Status(IDENTITY.boot, 1_000, 50, DeviceState.RUNNING, 0, False, 3, 12_000, 5, 9)


def word(before: dict[str, object] | None = None, **after: object) -> Word:
    first = STATUS._replace(**before or {})
    return Word(CAPS, first, first._replace(**after))


@pytest.mark.hazard("H49")
def test_all_rules_are_quiet_about_an_ordinary_word() -> None:
    assert [rule(word()) for rule in monitor.WORD] == [None] * 4


@pytest.mark.rule("M04")
@pytest.mark.rule("M27")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H12")
def test_a_device_is_on_exactly_when_it_was_granted() -> None:
    stopped = Reason("M04", STOP, "DEV.WATCHDOG", 0, 1, 0, "fault bits")
    running = Reason("M27", LOCK, "DEV.READBACK_MISMATCH")
    on = {state: line.m04_stopped(word(state=state, faults=1)) for state in DeviceState}
    off = {state: line.m27_still(word(state=state)) for state in DeviceState}
    assert on == {
        DeviceState.STOPPED: stopped,
        DeviceState.ARMED: None,
        DeviceState.RUNNING: None,
        DeviceState.CUT: stopped,
    }
    assert off == {
        DeviceState.STOPPED: None,
        DeviceState.ARMED: running,
        DeviceState.RUNNING: running,
        DeviceState.CUT: None,
    }


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
def test_m23_hears_the_button_down_and_a_press_that_was_missed() -> None:
    pressed = Reason("M23", STOP, "SES.PATIENT_STOP")
    assert line.m23_button(word()) is None
    assert line.m23_button(word(button=True)) == pressed
    assert line.m23_button(word({"button": True}, button=True)) == pressed
    assert line.m23_button(word({"button": True}, button=False)) is None
    assert line.m23_button(word(presses=4)) == pressed
    assert line.m23_button(word(boot=99, presses=4)) is None
    assert line.m23_button(word(boot=99, button=True)) == pressed
    assert line.m23_button(word({"presses": 127}, presses=0)) == pressed


@pytest.mark.rule("M28")
@pytest.mark.hazard("H50")
@pytest.mark.parametrize(
    ("supply_mv", "severity", "allowed"),
    [
        (9_719, STOP, 10_800),
        (9_720, PAUSE, 10_800),
        (10_799, PAUSE, 10_800),
        (10_800, None, 0),
        (13_200, None, 0),
        (13_201, PAUSE, 13_200),
        (14_520, PAUSE, 13_200),
        (14_521, STOP, 13_200),
    ],
)
def test_m28_pauses_outside_the_band_and_stops_a_tenth_further(
    supply_mv: int, severity: Severity | None, allowed: int
) -> None:
    expected = Reason("M28", severity, "DEV.SUPPLY", 0, supply_mv, allowed, "mV") if severity else None
    said = word(supply_mv=supply_mv)
    assert line.m28(said) == expected
    assert line.m28(said._replace(caps=replace(CAPS, supply_min_mv=None))) is None
    assert line.m28(said._replace(caps=replace(CAPS, supply_max_mv=None))) is None


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13")
@pytest.mark.parametrize(
    ("after", "trips"),
    [
        ({}, False),
        ({"uptime_ms": 1_001, "frames": 51}, False),
        ({"uptime_ms": 999}, True),
        ({"frames": 49}, True),
        ({"boot": 8}, True),
        ({"boot": 6, "uptime_ms": 2_000, "frames": 99}, True),
    ],
)
def test_m30_sees_each_counter_run_back_alone(after: dict[str, int], trips: bool) -> None:
    expected = Reason("M30", STOP, "DEV.RESET", 0, after.get("uptime_ms", 1_000), 1_000, "ms") if trips else None
    assert line.m30(word(**after)) == expected


@pytest.mark.rule("M26")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("flaw", "count", "energising", "severity", "code"),
    [
        (Flaw.DAMAGED, 1, True, None, ""),
        (Flaw.TIMEOUT, 1, True, None, ""),
        (Flaw.DAMAGED, 2, False, PAUSE, "DEV.PROTOCOL"),
        (Flaw.TIMEOUT, 3, False, STOP, "DEV.PROTOCOL"),
        (Flaw.DAMAGED, 4, False, STOP, "DEV.PROTOCOL"),
        (Flaw.REFUSED, 1, False, None, ""),
        (Flaw.REFUSED, 1, True, STOP, "DEV.NAK"),
        (Flaw.UNKNOWN, 1, False, STOP, "DEV.PROTOCOL"),
    ],
)
def test_m26_counts_flaws_and_forgives_no_unknown_word(
    flaw: Flaw, count: int, energising: bool, severity: Severity | None, code: str
) -> None:
    found = line.m26(Noise(flaw, tuple(range(count)), energising))
    outright = flaw in {Flaw.REFUSED, Flaw.UNKNOWN}
    asked, allowed = (1, 0) if outright else (count, 1 if severity is PAUSE else 2)
    assert found == (Reason("M26", severity, code, 0, asked, allowed, "words") if severity else None)


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
def test_m29_calls_somebody_at_500_ms() -> None:
    assert (line.STOP_AGAIN_MS, line.CUT_MS, line.ALARM_MS) == (100, 250, 500)
    assert line.m29(499) is None
    assert line.m29(500) == Reason("M29", LOCK, "DEV.STOP_UNCONFIRMED", 0, 500, 500, "ms")


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
@pytest.mark.hazard("H12")
@pytest.mark.parametrize(
    ("sample", "asked"),
    [
        ({"measured_ua": 2_000}, None),
        ({"measured_ua": 2_001}, 2_001),
        ({"measured_ua": 2_001, "fresh": False}, None),
        ({"measured_ua": 2_001, "ua": 0, "ohm": NO_CURRENT_OHM}, 2_001),
    ],
)
def test_m29_sees_current_that_nobody_granted(sample: dict[str, object], asked: int | None) -> None:
    expected = Reason("M29", LOCK, "DEV.STRAY_CURRENT", 2, asked, 2_000, "uA") if asked else None
    quiet = SAMPLE._replace(channel=1, fresh=False)
    stray = SAMPLE._replace(channel=2, **sample)
    assert line.m29_stray((quiet, stray, stray._replace(channel=3))) == expected
    assert line.m29_stray((quiet,)) is None
    assert line.m29_stray(()) is None
