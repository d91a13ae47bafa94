"""The ScienceMode 4 driver against a scripted P24: what it writes, and that it writes it once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.devices import sciencemode4 as module
from controller.devices.base import NotRepresentable, Order
from controller.devices.sciencemode4_codec import encode
from safety.effects import Arm, Ask, Drive, Envelope, Feed, Grant, Probe
from safety.messages import DeviceState, Flaw, Heard, Probed
from safety.times import SCIENCEMODE4
from safety.waveform import OFF, Picture, Train
from tests.controller.sciencemode4.bench import ENVELOPES, ON, PERMIT, PICTURE, TWO, Bench, Make, fails, garbled
from tests.controller.sciencemode4.golden import ROWS
from tests.controller.sciencemode4.p24 import (
    CURRENT_DATA,
    ENERGISING,
    LOW_INIT,
    LOW_PULSE,
    LOW_STOP,
    MID_INIT,
    MID_STOP,
    MID_UPDATE,
    NOTHING,
    RUNNING,
    STATUS,
    Frame,
)

PROBE = Train(6, 1_000, 300, 0, 1_000_000)
UPDATE = ROWS[13].payload.replace(b"\x23", b"\x20")
"""Golden frame 14 without its ramp: both channels of PICTURE."""


async def test_arming_goes_to_the_mid_level_where_any_error_stops_all(bench: Bench) -> None:
    heard = await bench.does(Arm(bench.grant(), ENVELOPES, 60_000))
    assert bench.device.tape == [Frame(4, STATUS, b""), Frame(5, MID_INIT, b"\x01")]
    assert isinstance(heard, Heard)
    assert (heard.grant, heard.status.state, heard.samples) == (1, DeviceState.ARMED, ())


async def test_a_picture_is_one_update_behind_a_look_at_the_electrodes(armed: Bench) -> None:
    heard = await armed.does(Drive(armed.grant(), PICTURE))
    assert [one[1:] for one in armed.device.tape] == [(CURRENT_DATA, b"\x04"), (MID_UPDATE, UPDATE)]
    assert isinstance(heard, Heard)
    assert (heard.grant, heard.status.state, len(heard.samples)) == (armed.seq, DeviceState.RUNNING, 8)
    assert armed.device.level == RUNNING


async def test_an_empty_picture_puts_every_channel_off_and_the_level_stays(running: Bench) -> None:
    heard = await running.does(Drive(running.grant(), OFF))
    assert [one[1:] for one in running.device.tape] == [(CURRENT_DATA, b"\x04"), (MID_UPDATE, b"\x00")]
    assert isinstance(heard, Heard)
    assert heard.status.state is DeviceState.ARMED
    again = await running.does(Feed(running.grant()))
    assert isinstance(again, Heard)
    assert again.status.state is DeviceState.ARMED


async def test_a_keep_alive_is_one_look_at_the_electrodes(running: Bench) -> None:
    heard = await running.does(Feed(running.grant()))
    assert [one[1:] for one in running.device.tape] == [(CURRENT_DATA, b"\x04")]
    assert isinstance(heard, Heard)
    assert (heard.grant, heard.status.state) == (running.seq, DeviceState.RUNNING)
    assert [sample.channel for sample in heard.samples if sample.fresh] == [1, 2]


async def test_a_question_feeds_nothing(running: Bench) -> None:
    assert await running.state() is DeviceState.RUNNING
    assert running.device.commands() == [STATUS]


# A test pulse


@pytest.mark.rule("G20")
async def test_a_test_pulse_is_given_twice_at_the_low_level_and_nothing_stays_on(bench: Bench) -> None:
    found = await bench.does(Probe(bench.grant(), PROBE))
    assert found == Probed(1, 6, 1_500, open=False, short=False)
    pulse = bytes.fromhex("b1 12c4b800 12c4a800")
    assert [one[1:] for one in bench.device.tape] == [
        (STATUS, b""),
        (LOW_INIT, b"\x10"),
        (LOW_PULSE, pulse),
        (LOW_STOP, b""),
        (LOW_INIT, b"\x20"),
        (LOW_PULSE, pulse),
        (LOW_STOP, b""),
    ]
    assert bench.device.level == NOTHING


@pytest.mark.rule("G29")
async def test_between_trains_the_mid_level_is_left_and_taken_up_again(running: Bench) -> None:
    await running.does(Drive(running.grant(), OFF))
    running.clear()
    found = await running.does(Probe(running.grant(), PROBE))
    assert found == Probed(running.seq, 6, 1_500, open=False, short=False)
    low = [LOW_INIT, LOW_PULSE, LOW_STOP]
    assert running.device.commands() == [STATUS, MID_STOP, *low, *low, MID_INIT]
    running.clear()
    heard = await running.does(Drive(running.grant(), PICTURE))
    assert isinstance(heard, Heard)
    assert heard.status.state is DeviceState.RUNNING


async def test_while_a_picture_flows_there_is_no_test_pulse(running: Bench) -> None:
    with fails("SYS.INTERNAL"):
        running.driver.send(Probe(running.grant(), PROBE))
    await running.settled()
    assert (running.device.tape, running.device.level) == ([], RUNNING)


@pytest.mark.rule("G20")
@pytest.mark.parametrize(
    ("ohm", "train"), [(100, PROBE), (1_240, PROBE), (10_000, PROBE), (1_240, PROBE._replace(ua=500))]
)
async def test_ohms_are_the_volts_at_the_end_of_the_phase_over_the_current_there(
    bench: Bench, ohm: int, train: Train
) -> None:
    # Both are sampled in hundredths: at 1 mA a step is 10 ohm, at 0.5 mA 20 ohm.
    bench.device.ohm = ohm
    assert await bench.does(Probe(bench.grant(), train)) == Probed(1, 6, ohm, open=False, short=False)


OPEN = 4_294_967_295


@pytest.mark.rule("M07")
@pytest.mark.hazard("H07")
@pytest.mark.parametrize(("share", "is_open"), [(51, False), (50, False), (49, True), (0, True)])
async def test_a_pulse_of_less_than_half_of_its_current_is_open(bench: Bench, share: int, is_open: bool) -> None:
    answer = bench.device.answer

    def weaker(asked: Frame) -> list[bytes]:
        if bench.device.measure == 2:
            return answer(asked)
        samples = share.to_bytes(2, "big") * 128
        return [bench.device.ack(asked, bytes([0, 0x11, 1, 0, 5]) + samples)]

    bench.device.says[LOW_PULSE] = weaker
    ohm = OPEN if is_open else -(-150 * 1_000 // share)
    assert await bench.does(Probe(bench.grant(), PROBE)) == Probed(1, 6, ohm, open=is_open, short=False)


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
@pytest.mark.parametrize("payload", [b"\x0a\x11\x00", b"\x0a"])
async def test_an_electrode_error_on_a_test_pulse_is_open(bench: Bench, payload: bytes) -> None:
    bench.device.says[LOW_PULSE] = lambda asked: [bench.device.ack(asked, payload)]
    assert await bench.does(Probe(bench.grant(), PROBE)) == Probed(1, 6, OPEN, open=True, short=False)
    assert bench.device.commands() == [STATUS, LOW_INIT, LOW_PULSE, LOW_STOP]


@pytest.mark.parametrize(
    "train",
    [
        PROBE._replace(channel=0),
        PROBE._replace(channel=9),
        PROBE._replace(ua=2_001),
        PROBE._replace(ua=499),
        PROBE._replace(width_us=9),
        PROBE._replace(width_us=501),
    ],
)
async def test_a_test_pulse_that_is_none_is_never_written(bench: Bench, train: Train) -> None:
    with pytest.raises(NotRepresentable):
        bench.driver.send(Probe(bench.grant(), train))
    await bench.settled()
    assert bench.device.tape == []


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("at", range(1, 5))
async def test_a_test_pulse_ends_with_its_grant_and_the_low_level_is_left(bench: Bench, at: int) -> None:
    answered = 0

    def late(asked: Frame) -> list[bytes]:
        nonlocal answered
        answered += 1
        bench.now_ms += 400 if answered == at else 0
        return bench.device.answer(asked)

    bench.device.says = dict.fromkeys((LOW_INIT, LOW_PULSE), late)
    grant = bench.grant()
    event = await bench.does(Probe(grant, PROBE))
    # To leave the level needs no grant, and what was about to be entered is left once more than it must be.
    frames = [[LOW_INIT], [LOW_INIT, LOW_PULSE, LOW_STOP], [LOW_INIT, LOW_PULSE, LOW_STOP, LOW_INIT]]
    frames.append([*frames[2], LOW_PULSE])
    assert bench.device.commands() == [STATUS, *frames[at - 1], LOW_STOP]
    if at < 4:
        assert (garbled(event).flaw, garbled(event).grant) == (Flaw.TIMEOUT, grant.seq)
    else:
        # The last pulse is measured.
        assert isinstance(event, Probed)


@pytest.mark.hazard("H11")
async def test_a_grant_that_has_just_ended_gives_no_update(armed: Bench) -> None:
    for late_ms, sent in ((399, True), (400, False)):
        armed.clear()

        def late(asked: Frame, late_ms: int = late_ms) -> list[bytes]:
            armed.now_ms += late_ms
            return armed.device.answer(asked)

        armed.device.says[CURRENT_DATA] = late
        event = await armed.does(Drive(armed.grant(400), PICTURE))
        assert (MID_UPDATE in armed.device.commands()) is sent
        assert isinstance(event, Heard) is sent


async def test_a_test_pulse_that_is_not_answered_is_given_up_by_the_next_question(bench: Bench) -> None:
    bench.device.mute(LOW_PULSE)
    bench.driver.send(Probe(bench.grant(), PROBE))
    await bench.settled()
    assert bench.device.commands() == [STATUS, LOW_INIT, LOW_PULSE]
    assert [type(event) for event in bench.events] == [Heard]
    assert await bench.state() is DeviceState.STOPPED
    assert bench.device.commands() == [STATUS, LOW_INIT, LOW_PULSE, LOW_STOP, STATUS]


async def test_after_a_lost_test_pulse_in_a_rest_the_next_picture_is_refused_by_the_device(running: Bench) -> None:
    await running.does(Drive(running.grant(), OFF))
    running.clear()
    running.device.mute(LOW_INIT)
    running.driver.send(Probe(running.grant(), PROBE))
    await running.settled()
    running.now_ms += 30_000
    event = garbled(await running.does(Drive(running.grant(), PICTURE)))
    assert (event.flaw, event.grant) == (Flaw.REFUSED, running.seq)
    assert (MID_UPDATE in running.device.commands(), running.device.active) == (False, 0)


# What is never written


@pytest.mark.parametrize(
    "picture",
    [
        Picture((ON._replace(ua=20_001),)),
        Picture((ON._replace(period_us=28_501),)),
        Picture((ON._replace(gap_us=5),)),
        Picture((ON._replace(ua=499),)),
    ],
)
async def test_a_picture_that_was_not_rounded_is_our_own_mistake(armed: Bench, picture: Picture) -> None:
    with fails("SYS.INTERNAL"):
        armed.driver.send(Drive(armed.grant(), picture))
    await armed.settled()
    assert armed.device.tape == []


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    "train",
    [
        ON._replace(ua=150_000),
        ON._replace(width_us=4_096),
        ON._replace(period_us=16_384_000),
        ON._replace(period_us=20_000_000),
        ON._replace(channel=9),
    ],
)
async def test_what_the_device_cannot_give_is_never_written(armed: Bench, train: Train) -> None:
    for picture in (Picture((train,)), Picture((ON, train))):
        with pytest.raises(NotRepresentable):
            armed.driver.send(Drive(armed.grant(), picture))
        with pytest.raises(NotRepresentable):
            armed.driver.quantise(picture)
    await armed.settled()
    assert armed.device.tape == []


BOUND = Envelope(1, 20_000, 200, 28_500, 1)


@pytest.mark.hazard("H14")
@pytest.mark.parametrize(
    ("envelope", "fits"),
    [
        (BOUND, True),
        (BOUND._replace(max_ua=19_999), False),
        (BOUND._replace(max_width_us=199), False),
        (BOUND._replace(min_period_us=28_501), False),
        (BOUND._replace(channel=2), False),
    ],
)
async def test_the_driver_holds_the_envelope_that_a_p24_does_not(bench: Bench, envelope: Envelope, fits: bool) -> None:
    await bench.does(Arm(bench.grant(), (envelope,), 60_000))
    bench.clear()
    if fits:
        assert isinstance(await bench.does(Drive(bench.grant(), Picture((ON,)))), Heard)
    else:
        with fails("SYS.INTERNAL"):
            bench.driver.send(Drive(bench.grant(), Picture((ON,))))
        await bench.settled()
        assert bench.device.tape == []


@pytest.mark.parametrize("order", [lambda grant: Drive(grant, PICTURE), Feed])
async def test_another_permit_than_the_armed_one_drives_nothing(armed: Bench, order: Callable[[Grant], Order]) -> None:
    with fails("SYS.INTERNAL"):
        armed.driver.send(order(armed.grant(permit=PERMIT + 1)))
    await armed.settled()
    assert armed.device.tape == []


async def test_a_frame_is_read_back_before_it_is_written(armed: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "encode", lambda packet: encode(packet._replace(command=packet.command + 2)))
    with fails("SYS.INTERNAL"):
        armed.driver.send(Feed(armed.grant()))
    assert armed.line.written == []


async def test_a_frame_that_cannot_be_read_back_is_not_written(armed: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "encode", lambda packet: encode(packet)[:-3] + encode(packet)[-1:])
    with fails("SYS.INTERNAL"):
        armed.driver.send(Feed(armed.grant()))
    assert armed.line.written == []


async def test_a_later_frame_of_a_script_that_reads_back_wrong_ends_it(
    armed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(packet: module.Packet) -> bytes:
        wrong = packet.command == MID_UPDATE
        return encode(packet._replace(payload=packet.payload[:-1] + b"\x04") if wrong else packet)

    monkeypatch.setattr(module, "encode", spoilt)
    event = garbled(await armed.does(Drive(armed.grant(), PICTURE)))
    assert (event.flaw, event.grant) == (Flaw.REFUSED, armed.seq)
    assert armed.device.commands() == [CURRENT_DATA]


# At most one energising frame without an answer


FIRST: list[tuple[Callable[[Grant], Order], int, int]] = [
    (lambda grant: Arm(grant, ENVELOPES, 60_000), MID_INIT, 500),
    (lambda grant: Drive(grant, PICTURE), CURRENT_DATA, 100),
    (lambda grant: Drive(grant, PICTURE), MID_UPDATE, 100),
    (Feed, CURRENT_DATA, 100),
    (lambda grant: Probe(grant, PROBE), LOW_INIT, 500),
    (lambda grant: Probe(grant, PROBE), LOW_PULSE, 500),
]


@pytest.mark.hazard("H11")
@pytest.mark.parametrize(("first", "muted", "budget_ms"), FIRST)
async def test_an_energising_frame_waits_for_the_answer_or_the_budget_of_the_one_before(
    make: Make, first: Callable[[Grant], Order], muted: int, budget_ms: int
) -> None:
    bench: Bench = await make(times=SCIENCEMODE4)
    await bench.armed()
    bench.device.mute(muted)
    bench.driver.send(first(bench.grant()))
    await bench.settled()
    before = list(bench.device.tape)
    for later_ms in (0, 1, budget_ms - 1):
        bench.now_ms += later_ms
        with fails("SYS.INTERNAL"):
            bench.driver.send(Feed(bench.grant()))
        bench.now_ms -= later_ms
    await bench.settled()
    assert bench.device.tape == before
    bench.now_ms += budget_ms + 1
    bench.driver.send(Feed(bench.grant()))
    await bench.settled()
    assert CURRENT_DATA in [one.command for one in bench.device.tape[len(before) :]]


async def test_an_answer_lets_the_next_frame_go(running: Bench) -> None:
    for _ in range(70):
        assert isinstance(await running.does(Feed(running.grant())), Heard)
    assert len({number for number, _, _ in running.device.tape}) == 64


@pytest.mark.hazard("H11")
async def test_nothing_that_energises_is_ever_written_twice(running: Bench) -> None:
    for step in range(1, 20):
        await running.does(Drive(running.grant(), Picture((ON._replace(ua=500 * step), TWO))))
        await running.does(Feed(running.grant()))
        running.driver.send(Ask())
        await running.settled()
    updates = [one for one in running.device.tape if one.command == MID_UPDATE]
    assert len(updates) == len({one.payload for one in updates}) == 19
    assert len([one for one in running.device.tape if one.command in ENERGISING]) == 19 * 3
