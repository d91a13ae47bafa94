"""Stories in virtual time of what a stimulator says, and of what it does not do: each is borne, or ends the output."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.planted.telling import PERIOD_US, TICK_US, codes, played, rows, sent, spoken, told
from tests.virtual.nurse import KINDS, Ward, prescribed

READING_US = 100_000
"""A native device tells of its output ten times a second."""
LOCKED = "SELECT rule, released_wall_ms FROM locks"
EVIDENCE = "SELECT reserved_nc, charged_nc, evidence FROM reservations"


def ended(ward: Ward, since_us: int, within_us: int) -> None:
    """No pulse came later than that."""
    assert ward.pulses()[-1].at_us <= since_us + within_us


@pytest.mark.hazard("H23", "H49")
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_device_is_driven_in_its_own_language(kind: str):
    async def story(ward: Ward) -> None:
        await ward.turned_on()
        assert codes(ward, "device.online") == ["OK"]
        assert ward.summary["latches"] == []

    told(story, kind)


@pytest.mark.hazard("H35")
def test_a_device_that_is_no_emulator_is_locked_where_emulators_are_meant():
    async def story(ward: Ward) -> None:
        ward.bench.faults.inject("wrong_id", emulator=False)
        await ward.turned_on()
        assert [latch["rule"] for latch in ward.summary["latches"]] == ["G23"]

    told(story)


@pytest.mark.hazard("H11")
def test_a_device_whose_dead_man_is_too_slow_is_never_used():
    async def story(ward: Ward) -> None:
        claims = ward.bench.knob("claims")
        with claims.covered(replace(claims.value, dead_man_ms=501)):
            ward.house.start()
            await asyncio.sleep(5)
        assert codes(ward, "device.online") == []
        assert ward.summary.get("phase") == "offline"

    told(story)


@pytest.mark.hazard("H14")
def test_more_current_than_was_set_ends_it_at_the_second_reading():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        ward.bench.faults.inject("dac_gain", gain=1.4)
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert codes(ward, "session.stopped") == ["DEV.READBACK_MISMATCH"]
        ended(ward, began_us, 2 * READING_US + PERIOD_US + TICK_US)

    played(story)


@pytest.mark.hazard("H16")
def test_an_echo_of_another_picture_ends_it_at_once():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        ward.bench.faults.inject("wrong_echo", offset_ua=500)
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert codes(ward, "session.stopped") == ["DEV.READBACK_MISMATCH"]
        ended(ward, began_us, READING_US + PERIOD_US)

    played(story)


@pytest.mark.hazard("H06")
def test_an_open_lead_ends_it_on_one_reading():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        ward.bench.faults.inject("snap_off")
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert codes(ward, "session.stopped") == ["IMP.OPEN"]
        assert ward.house.loop.now_us <= began_us + READING_US + TICK_US

    played(story)


@pytest.mark.hazard("H16")
def test_a_word_with_a_turned_bit_is_not_believed_and_the_session_goes_on():
    async def story(ward: Ward) -> None:
        for byte in (12, 24, 40):
            ward.bench.faults.inject("corrupt", direction="to_host", nth=1, byte=byte, bit=3)
            await asyncio.sleep(2)
            ward.bench.faults.clear_all()
        assert ward.summary["phase"] == "running"
        assert codes(ward, "session.stopped") + codes(ward, "session.paused") == []

    played(story)


@pytest.mark.hazard("H13", "H31")
def test_a_device_that_starts_anew_ends_it_at_the_price_of_the_whole_reservation():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        ward.bench.faults.inject("device_reset")
        await ward.until(lambda: codes(ward, "session.closed"))
        assert codes(ward, "session.stopped") == ["DEV.RESET"]
        await asyncio.sleep(2)
        ((reserved_nc, charged_nc, evidence),) = rows(ward, EVIDENCE)
        assert (charged_nc, evidence) == (reserved_nc, "reservation")
        assert sent(ward, began_us)["ARM"] == 0
        ended(ward, began_us, 0)

    played(story)


@pytest.mark.hazard("H13", "H50")
def test_a_device_that_has_stopped_by_itself_ends_it_and_is_not_armed_again():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        ward.bench.faults.inject("supply", mv=8_000, for_ms=20)
        await ward.until(lambda: codes(ward, "session.closed"))
        await asyncio.sleep(1)
        assert codes(ward, "session.stopped") == ["DEV.WATCHDOG"]
        assert [latch["rule"] for latch in ward.summary["latches"]] == ["M04"]
        assert sent(ward, began_us)["ARM"] == 0
        ended(ward, began_us, 0)

    played(story)


@pytest.mark.hazard("H10")
def test_a_stop_that_is_not_obeyed_is_said_again_and_then_the_output_is_cut():
    async def story(ward: Ward) -> None:
        ward.bench.faults.inject("ignored_stop")
        asked_us = ward.house.loop.now_us
        ward.send("session.stop")
        await asyncio.sleep(1)
        said = [unit.name for unit in spoken(ward) if unit.at_us >= asked_us and unit.name in {"STOP", "CUT"}]
        assert said == ["STOP", "STOP", "STOP", "STOP", "CUT"]
        ended(ward, asked_us, 250_000 + TICK_US + PERIOD_US)

    played(story)


@pytest.mark.hazard("H33")
def test_a_short_press_in_a_pause_counts_though_the_message_of_it_is_lost():
    async def story(ward: Ward) -> None:
        await ward.must("session.pause")
        await asyncio.sleep(1.05)
        button = ward.bench.device.button
        assert button is not None
        pressed_us = ward.house.beds["bed1"].emulator.touch()
        ward.bench.faults.inject("drop", direction="to_host", nth=1)
        button.press(pressed_us)
        ward.house.beds["bed1"].emulator.touch()
        button.release()
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert codes(ward, "session.stopped") == ["SES.PATIENT_STOP"]

    played(story)


@pytest.mark.hazard("H33")
def test_a_press_is_heard_before_the_device_is_asked_the_next_time():
    async def story(ward: Ward) -> None:
        button = ward.bench.device.button
        assert button is not None
        answered = len(spoken(ward))
        while len(spoken(ward)) == answered:  # noqa: ASYNC110 - a tape
            await asyncio.sleep(0.01)
        pressed_us = ward.house.beds["bed1"].emulator.touch()
        button.press(pressed_us)
        ward.house.beds["bed1"].emulator.touch()
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert ward.house.loop.now_us <= pressed_us + 20_000

    played(story)


@pytest.mark.hazard("H17", "H31")
def test_a_short_locks_the_place_in_the_ledger_of_all_devices():
    async def story(ward: Ward) -> None:
        await ward.turned_on()
        ward.house.target.prescribe(prescribed())
        await ward.prepared()
        await ward.must("impedance.check", {})
        await ward.must("session.arm")
        ward.bench.faults.inject("short", ohm=20.0)
        await ward.must("session.start")
        await ward.until(lambda: codes(ward, "session.closed"))
        await asyncio.sleep(1)
        assert rows(ward, LOCKED) == [("M08", None)]

    told(story)


@pytest.mark.hazard("H05")
def test_somebody_has_to_be_with_whom_no_pad_can_be_measured():
    async def story(ward: Ward) -> None:
        began_us = ward.house.loop.now_us
        await asyncio.sleep(305)
        assert codes(ward, "session.paused") == ["SES.PRESENCE"]
        ended(ward, began_us, 300_000_000)

    played(story, "sciencemode2", therapy_ms=900_000, on_ms=898_000)
