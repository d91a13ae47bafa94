"""What the drivers that exist do wrong, measured on them (one bad outcome each), and what this one does instead."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from controller.devices.base import NotRepresentable
from controller.devices.sciencemode4 import open_sciencemode4
from safety.effects import Arm, Ask, Drive, Feed, Grant
from safety.messages import DeviceDown, DeviceState, Event, Flaw, Garbled, Heard
from safety.times import SCIENCEMODE4
from safety.waveform import OFF, Picture, Train
from tests.controller.peer import until
from tests.controller.sciencemode4.bench import ENVELOPES, ON, PATIENT, PERMIT, PICTURE, Bench, Make, fails
from tests.controller.sciencemode4.p24 import CURRENT_DATA, MID_STOP, MID_UPDATE, P24, STATUS, PtyP24

NOT_GIVEN = [
    ("a period of 20 s", ON._replace(period_us=20_000_000), "period_us"),
    ("a period of 16,384 ms", ON._replace(period_us=16_384_000), "period_us"),
    ("150 mA", ON._replace(ua=150_000), "ua"),
    ("4,096 us", ON._replace(width_us=4_096), "width_us"),
]


@pytest.mark.hazard("H11")
async def test_a_line_that_breaks_while_an_update_is_awaited_replays_nothing_and_the_output_stays_off() -> None:
    # Theirs reopened the line and sent the update again, a second after the device's dead man had ended the output.
    peer, events = PtyP24(P24()), list[Event]()
    driver = await open_sciencemode4(peer.port, PATIENT, events.append)
    await driver.connect()
    driver.send(Arm(Grant(PERMIT, 1, 1 << 60), ENVELOPES, 60_000))
    await until(lambda: events)
    peer.device.mute(MID_UPDATE)
    driver.send(Drive(Grant(PERMIT, 2, 1 << 60), PICTURE))
    await until(lambda: MID_UPDATE in peer.device.commands())
    told = len(events)
    peer.hang_up()
    await until(lambda: len(events) > told)
    assert [type(event) for event in events[told:]] == [DeviceDown]
    await driver.close()
    # The device is opened anew: it is stopped, nothing is sent again, and nothing may be driven.
    again = PtyP24(peer.device)
    peer.device.says.clear()
    peer.device.tape.clear()
    events.clear()
    driver = await open_sciencemode4(again.port, PATIENT, events.append)
    await driver.connect()
    with fails("SYS.INTERNAL"):
        driver.send(Drive(Grant(PERMIT, 3, 1 << 60), PICTURE))
    driver.send(Ask())
    await until(lambda: events)
    assert isinstance(events[0], Heard)
    assert events[0].status.state is DeviceState.STOPPED
    assert MID_UPDATE not in again.device.commands()
    assert again.device.active == 0
    await driver.close()
    again.hang_up()


@pytest.mark.hazard("H12")
async def test_a_silent_device_is_told_inside_the_ack_budget(make: Make) -> None:
    # Theirs took 5.2 s. While a session runs it is the core that counts (M04); here it is the wait of `connect`.
    assert 2 * SCIENCEMODE4.init_ack_ms <= 1_000
    bench: Bench = await make(connected=False, times=replace(SCIENCEMODE4, init_ack_ms=20))
    bench.device.mute(STATUS)
    with fails("DEV.SILENT"):
        await bench.driver.connect()
    assert bench.device.commands()[:3] == [STATUS, STATUS, MID_STOP]


async def test_an_unanswered_keep_alive_lets_the_next_one_go_after_its_budget_and_no_earlier(running: Bench) -> None:
    running.device.mute(CURRENT_DATA)
    running.driver.send(Feed(running.grant()))
    running.now_ms += SCIENCEMODE4.ack_ms
    with fails("SYS.INTERNAL"):
        running.driver.send(Feed(running.grant()))
    running.now_ms += 1
    running.driver.send(Feed(running.grant()))
    await running.settled()
    assert running.device.commands() == [CURRENT_DATA] * 2


@pytest.mark.hazard("H40")
async def test_a_vanished_line_is_one_typed_event_a_stop_is_tried_and_the_port_is_closed() -> None:
    # Theirs surfaced as an error of the terminal library.
    peer, events = PtyP24(P24()), list[Event]()
    driver = await open_sciencemode4(peer.port, PATIENT, events.append)
    await driver.connect()
    link = driver._line
    peer.hang_up()
    await until(lambda: events)
    driver.silence(cut=False)
    await driver.close()
    assert [type(event) for event in events] == [DeviceDown]
    assert link._handle is None  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(link._fd)  # type: ignore[attr-defined]


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(("train", "field"), [row[1:] for row in NOT_GIVEN], ids=[row[0] for row in NOT_GIVEN])
async def test_what_is_out_of_range_is_refused_and_never_wraps(armed: Bench, train: Train, field: str) -> None:
    # Theirs sent 3,616 ms for 20,000 ms, 0 for 16,384 ms, and 150 mA.
    for give in (armed.driver.quantise, lambda picture: armed.driver.send(Drive(armed.grant(), picture))):
        with pytest.raises(NotRepresentable, match=field):
            give(Picture((train,)))
    await armed.settled()
    assert armed.device.tape == []


@pytest.mark.rule("G16")
@pytest.mark.hazard("H15")
async def test_no_pulse_of_one_phase_can_be_said(armed: Bench) -> None:
    # A train has no way to name one, and what is written for it balances.
    await armed.does(Drive(armed.grant(), PICTURE))
    update = armed.device.tape[-1].payload
    for start in (4, 19):
        points = [int.from_bytes(update[at : at + 4], "big") for at in range(start, start + 12, 4)]
        charge = [(point >> 20) * ((point >> 10 & 1023) - 300) for point in points]
        assert charge[0] > 0
        assert (charge[1], sum(charge)) == (0, 0)


async def test_junk_before_a_frame_loses_nothing(running: Bench) -> None:
    answer = running.device.answer
    for junk in (
        b"\x00",
        b"\xf0",
        b"\x0f",
        b"\x81",
        b"junk",
        b"\xf0\x81",
        b"\xf0junk\x81",
        bytes(1_300),
        b"\xf0" + bytes(1_300),
    ):
        running.device.says[CURRENT_DATA] = lambda asked, junk=junk: [junk + answer(asked)[0]]  # type: ignore[misc]
        running.events.clear()
        running.driver.send(Feed(running.grant()))
        await running.settled()
        *before, word = running.events
        assert isinstance(word, Heard), junk
        assert {event.flaw for event in before if isinstance(event, Garbled)} <= {Flaw.DAMAGED}


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_an_electrode_error_reaches_the_core_with_its_channel(running: Bench) -> None:
    # Theirs returned it, and nobody looked.
    running.device.faults = {2: 1}
    for order in (Feed(running.grant()), Drive(running.grant(), OFF)):
        word = await running.does(order)
        assert isinstance(word, Heard)
        assert [sample.channel for sample in word.samples if sample.open] == [2]


@pytest.mark.rule("X9")
async def test_no_keep_alive_comes_but_from_the_core(running: Bench) -> None:
    # Theirs had a thread that went on feeding when the program had died.
    for _ in range(20):
        running.now_ms += 1_000
        await running.settled()
    assert running.device.tape == []
