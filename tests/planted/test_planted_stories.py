"""Stories in virtual time: a computer that stalls, an old grant, a stop that has to go first, a press, a mistake."""

from __future__ import annotations

import asyncio
import json

import pytest

from hil.world import SYNC_US, Published
from tests.planted.telling import DEAD_MAN_US, PERIOD_US, TICK_US, codes, played, post, rows, sent, spoken, told
from tests.virtual.nurse import TOPICS, Ward, prescribed

CLAIM_US = 5_000_000
CHARGED = "SELECT charged_nc FROM reservations"
SETTLED = "SELECT count(*) FROM journal WHERE kind = 'settle'"


@pytest.mark.hazard("H25", "H11")
def test_a_grant_that_has_ended_before_its_frame_is_written_is_never_used():
    async def story(ward: Ward) -> None:
        await ward.must("session.pause")
        await asyncio.sleep(1)
        take, told_us = ward.house.take, ward.house.loop.now_us

        def held_up(message: Published) -> None:
            # Between what the heart decided and what is written the computer stands still, once.
            take(message)
            if TOPICS.levels(message.topic)[1] == "ack" and b"accepted" in message.payload:
                ward.house.take = take  # type: ignore[method-assign]
                ward.house.loop.now_us += 300_000

        ward.house.take = held_up  # type: ignore[method-assign]
        answer = await ward.ask("session.resume")
        assert answer["status"] == "failed"
        assert sent(ward, told_us)["ARM"] == 0
        assert ward.pulses(since_us=told_us) == []

    played(story)


@pytest.mark.hazard("H25", "H11")
def test_what_a_p24_is_asked_step_by_step_ends_where_the_grant_has_ended():
    async def story(ward: Ward) -> None:
        await ward.turned_on()
        ward.house.target.prescribe(prescribed())
        await ward.prepared()
        await ward.must("impedance.check", {})
        ward.bench.faults.inject("slow_answers", delay_ms=30)
        asked = ward.send("session.arm")
        await asyncio.sleep(SYNC_US / 1_000_000 * 5)
        stalled_us = ward.house.loop.now_us
        assert sent(ward, stalled_us - 5 * SYNC_US) == {"STATUS": 1}
        ward.house.stall(450)
        await ward.until(lambda: ward.final(asked))
        assert ward.house.loop.now_us >= stalled_us + 450_000
        assert sent(ward, stalled_us)["MID_INIT"] == 0

    told(story, "sciencemode4")


@pytest.mark.hazard("H11", "H49")
def test_a_console_that_is_gone_ends_it_when_its_claim_has_run_out():
    async def story(ward: Ward) -> None:
        renewing = ward._renewing
        assert renewing is not None
        renewing.cancel()
        gone_us = ward.house.loop.now_us
        await asyncio.sleep(8)
        assert ward.summary["phase"] == "paused"
        last_us = ward.pulses()[-1].at_us
        assert gone_us + CLAIM_US - 1_100_000 < last_us <= gone_us + CLAIM_US + TICK_US + PERIOD_US

    played(story)


@pytest.mark.hazard("H11", "H25")
def test_nothing_but_the_heart_keeps_a_device_fed():
    async def story(ward: Ward) -> None:
        since_us = ward.house.loop.now_us
        await asyncio.sleep(2)
        frames = sent(ward, since_us)
        assert (frames["FEED"], frames["DRIVE"]) == (20, 0)

    played(story)


@pytest.mark.hazard("H12", "H25")
def test_where_answers_are_lost_each_order_is_given_once_and_what_follows_is_a_stop():
    async def story(ward: Ward) -> None:
        before, lost_us = sent(ward), ward.house.loop.now_us
        ward.bench.faults.inject("drop", direction="to_host")
        await asyncio.sleep(1.5)
        orders = [unit.data for unit in spoken(ward) if unit.name in {"ARM", "PROBE", "DRIVE", "FEED"}]
        assert len(orders) == len(set(orders))
        assert (sent(ward) - before)["STOP"] >= 1
        assert codes(ward, "session.paused") == ["DEV.LOST"]
        assert ward.pulses()[-1].at_us <= lost_us + DEAD_MAN_US

    played(story)


@pytest.mark.hazard("H25", "H49")
def test_an_answer_that_comes_after_the_next_tick_is_waited_for():
    async def story(ward: Ward) -> None:
        ward.bench.faults.inject("slow_answers", delay_ms=45)
        told, since_us = len(ward.events), ward.house.loop.now_us
        asked = ward.send("session.adjust", {"channel": 1, "delta_ua": -500})
        await ward.until(lambda: ward.final(asked))
        await asyncio.sleep(2)
        assert (ward.summary["phase"], ward.events[told:]) == ("running", [])
        assert 78 <= len(ward.pulses(since_us=since_us)) <= 84

    played(story)


@pytest.mark.hazard("H08", "H06")
def test_what_was_paused_comes_back_by_its_ramp():
    async def story(ward: Ward) -> None:
        await ward.must("session.pause")
        await asyncio.sleep(1)
        await ward.must("session.resume")
        resumed_us = ward.house.loop.now_us
        await asyncio.sleep(2)
        for pulse in ward.bench.scope.pulses(1, resumed_us):
            risen_us = min(pulse.at_us - resumed_us + TICK_US, 1_000_000)
            assert pulse.first_ua <= 20_000 * risen_us // 1_000_000 + 500
        assert ward.pulses(since_us=resumed_us)[-1].first_ua == 20_000

    played(story)


@pytest.mark.hazard("H23")
def test_each_channel_gives_what_was_set_for_it():
    async def story(ward: Ward) -> None:
        await ward.must("session.adjust", {"channel": 2, "delta_ua": -5_000})
        await asyncio.sleep(1)
        heights = [{pulse.first_ua for pulse in ward.pulses(channel)[-10:]} for channel in (1, 2)]
        assert heights == [{20_000}, {15_000}]
        assert ward.summary["phase"] == "running"

    played(story, channels=2)


@pytest.mark.hazard("H10", "H48")
def test_a_stop_is_on_the_wire_before_it_is_answered_and_before_all_that_waits():
    async def story(ward: Ward) -> None:
        take, frames_then = ward.house.take, []

        def look(message: Published) -> None:
            take(message)
            if TOPICS.levels(message.topic)[1] in {"ack", "event", "state"} and stopping:
                frames_then.append(ward.cable.to_device.is_busy)

        stopping: list[str] = []
        ward.house.take = look  # type: ignore[method-assign]
        while ward.cable.to_device.is_busy:  # noqa: ASYNC110 - a line
            await asyncio.sleep(0.001)
        stopping.append(ward.send("session.stop"))
        asked_us = ward.house.loop.now_us
        await ward.until(lambda: ward.final(stopping[0]))
        assert frames_then[0]
        await asyncio.sleep(1)
        assert ward.pulses()[-1].at_us <= asked_us + PERIOD_US

    played(story)


@pytest.mark.hazard("H10")
def test_a_stop_does_not_stand_in_line_behind_what_was_to_be_sent():
    async def story(ward: Ward) -> None:
        frame = ward.cable.to_device
        while not frame.is_busy:  # noqa: ASYNC110 - a line
            await asyncio.sleep(0.000_1)
        asked_us = ward.house.loop.now_us
        ward.send("session.stop")
        await asyncio.sleep(0.05)
        # What was on its way is cut in half, and never arrives.
        arrived = sent(ward, asked_us)
        assert (arrived["STOP"], arrived["FEED"]) == (1, 0)

    played(story)


@pytest.mark.hazard("H33")
@pytest.mark.parametrize("held_ms", [5, 30, 400])
def test_a_press_however_short_ends_it(held_ms: int):
    async def story(ward: Ward) -> None:
        button = ward.bench.device.button
        assert button is not None
        pressed_us = ward.house.loop.now_us
        ward.house.beds["bed1"].emulator.touch()
        button.press(pressed_us)
        ward.house.beds["bed1"].emulator.touch()
        await asyncio.sleep(held_ms / 1_000)
        button.release()
        ward.house.beds["bed1"].emulator.touch()
        await ward.until(lambda: codes(ward, "session.stopped"))
        assert codes(ward, "session.stopped") == ["SES.PATIENT_STOP"]
        assert ward.pulses()[-1].at_us <= pressed_us + PERIOD_US

    played(story)


@pytest.mark.hazard("H40", "H31")
def test_a_mistake_of_the_controller_itself_ends_the_output_and_leaves_a_lock():
    async def story(ward: Ward) -> None:
        take = ward.house.take

        def breaks(message: Published) -> None:
            if TOPICS.levels(message.topic)[1] == "tele":
                ward.house.take = take  # type: ignore[method-assign]
                raise RuntimeError("a mistake")
            take(message)

        ward.house.take = breaks  # type: ignore[method-assign]
        since_us, before = ward.house.loop.now_us, sent(ward)
        await asyncio.sleep(2)
        stops = [unit.at_us for unit in spoken(ward) if unit.name == "STOP"]
        assert stops[before["STOP"]] <= since_us + 150_000
        assert ward.pulses()[-1].at_us <= since_us + 150_000
        assert "SYS" in [latch["rule"] for latch in ward.summary["latches"]]

    played(story)


@pytest.mark.hazard("H39", "H19")
def test_a_settlement_stands_in_the_journal_before_the_ledger_is_charged():
    async def story(ward: Ward) -> None:
        ward.house.disk_us = lambda whose: (500_000, 0) if whose == "journal" else (0, 0)
        await ward.must("session.stop")
        await asyncio.sleep(0.3)
        assert rows(ward, CHARGED) == [(None,)]
        assert rows(ward, SETTLED, "journal") == [(0,)]
        await asyncio.sleep(2)
        assert rows(ward, CHARGED) != [(None,)]
        assert rows(ward, SETTLED, "journal") == [(1,)]

    played(story)


@pytest.mark.hazard("H25", "H32")
def test_a_command_that_comes_twice_is_done_once_and_answered_twice_alike():
    async def story(ward: Ward) -> None:
        (said,) = post(ward, "session.adjust", {"channel": 1, "delta_ua": -500})
        asked = json.loads(said[1])["command_id"]
        await ward.until(lambda: ward.final(asked))
        ward.house.hear(*said)
        await asyncio.sleep(1)
        first, second = (said for said in ward.answers[asked] if said["status"] not in {"accepted", "in_progress"})
        assert first == second
        assert ward.summary["channels"][0]["setpoint_ua"] == 19_500

    played(story)
