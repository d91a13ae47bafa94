"""The native driver against a scripted device on a real pty: who it accepts, and its self-test."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.devices import DRIVERS
from controller.devices.base import DeviceError, Stimulator
from controller.devices.native import open_native
from controller.link import LinkError
from safety import messages
from safety.effects import Arm
from safety.messages import DeviceDown, DeviceState, DeviceUp
from safety.times import NATIVE
from safety.waveform import Picture
from tests.controller.native.bench import BRISK, CONNECT, ENVELOPE, ON, PATIENT, Bench, Make, fails, status
from tests.controller.peer import Frame, Peer, until
from tests.golden.native import layout
from tests.golden.native.layout import block, frame


async def test_a_good_device_is_connected_and_told_in_full(make: Make) -> None:
    bench: Bench = await make(connected=False)
    up = await bench.driver.connect()
    assert [seq for _, seq, _ in bench.peer.tape] == [1, 2, 3]
    assert (bench.peer.types(), bench.events) == (CONNECT, [])
    assert up == DeviceUp(
        messages.Identity(model="peer-2", serial="0001", firmware="1.0.0", protocol=1, emulator=True, boot=4),
        messages.Capabilities(
            channels=2,
            max_ua=100_000,
            step_ua=500,
            min_width_us=50,
            max_width_us=500,
            width_step_us=10,
            min_period_us=8_334,
            max_period_us=1_000_000,
            period_step_us=1,
            compliance_mv=150_000,
            dead_man_ms=500,
            accuracy_ppm=20_000,
            mismatch_ppm=10_000,
            numeric_impedance=True,
            electrode_flag_from_ua=0,
            readback=True,
            patient_stop=True,
            relay=True,
            supply_min_mv=10_800,
            supply_max_mv=13_200,
            balance=True,
        ),
        status(frames=3),
    )


FITTINGS: list[tuple[int, dict[str, object]]] = [
    (1, {"emulator": True}),
    (2, {"relay": True}),
    (4, {"patient_stop": True}),
    (8, {"numeric_impedance": True, "electrode_flag_from_ua": 0}),
    (16, {"readback": True}),
    (32, {"supply_min_mv": 10_800, "supply_max_mv": 13_200}),
    (64, {"balance": True}),
    (0xFF80, {}),
]
BARE: dict[str, object] = {
    "emulator": False,
    "relay": False,
    "patient_stop": False,
    "numeric_impedance": False,
    "electrode_flag_from_ua": None,
    "readback": False,
    "supply_min_mv": None,
    "supply_max_mv": None,
    "balance": False,
}


@pytest.mark.parametrize(("flags", "fitted"), FITTINGS)
async def test_each_flag_of_the_identity_says_what_is_fitted(make: Make, flags: int, fitted: dict[str, object]) -> None:
    bench: Bench = await make(Peer(flags=flags), connected=False)
    up = await bench.driver.connect()
    told = {name: getattr(up.identity if name == "emulator" else up.caps, name) for name in BARE}
    assert told == BARE | fitted


async def test_half_a_frame_on_the_line_does_not_swallow_the_first_stop(make: Make) -> None:
    bench: Bench = await make(Peer(), connected=False)
    bench.peer.heard(b"\x05half")
    await bench.driver.connect()
    assert (bench.peer.types(), bench.peer.damaged) == (CONNECT, 1)


async def test_a_device_that_is_deaf_at_first_is_asked_twice(make: Make) -> None:
    bench: Bench = await make(connected=False, times=replace(NATIVE, init_ack_ms=2_000))
    tries = iter([False, True])
    bench.peer.says[layout.HELLO] = lambda asked: bench.peer.answer(asked) if next(tries) else []
    await bench.driver.connect()
    assert bench.peer.types() == [layout.STOP, layout.HELLO, layout.HELLO, layout.ASK]


async def test_both_answers_of_two_tries_are_understood(make: Make) -> None:
    bench: Bench = await make(connected=False, times=replace(NATIVE, init_ack_ms=2_000))
    kept: list[Frame] = []

    def late(asked: Frame) -> list[bytes]:
        kept.append(asked)
        return [] if len(kept) == 1 else [one for each in kept for one in bench.peer.answer(each)]

    bench.peer.says[layout.HELLO] = late
    await bench.driver.connect()
    await bench.settled()
    assert bench.events == []


async def test_a_silent_device_is_named_and_told_to_stop_once_more(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.peer.mute(*range(1, 10))
    with fails("DEV.SILENT"):
        await bench.driver.connect()
    await until(lambda: len(bench.peer.tape) == 4)
    assert bench.peer.types() == [layout.STOP, layout.HELLO, layout.HELLO, layout.STOP]
    assert bench.events == []


async def test_a_device_that_only_gives_noise_is_damaged(make: Make) -> None:
    bench: Bench = await make(connected=False, times=BRISK)
    bench.peer.says = dict.fromkeys(range(1, 10), lambda _: [b"\x05noise\0"])
    with fails("DEV.DAMAGED"):
        await bench.driver.connect()
    assert bench.events == []


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ({"protocol_major": 2}, "DEV.PROTOCOL"),
        ({"protocol_major": 0}, "DEV.PROTOCOL"),
        ({"channels": 0}, "DEV.UNFIT"),
        ({"step_ua": 0}, "DEV.UNFIT"),
        ({"max_ua": 499}, "DEV.UNFIT"),
        ({"width_step_us": 0}, "DEV.UNFIT"),
        ({"min_width_us": 0}, "DEV.UNFIT"),
        ({"min_width_us": 501}, "DEV.UNFIT"),
        ({"period_step_us": 0}, "DEV.UNFIT"),
        ({"min_period_us": 0}, "DEV.UNFIT"),
        ({"max_period_us": 8_333}, "DEV.UNFIT"),
        ({"dead_man_ms": 0}, "DEV.UNFIT"),
        ({"dead_man_ms": 501}, "DEV.UNFIT"),
    ],
)
async def test_a_device_that_cannot_be_worked_with_is_refused_and_stopped(
    make: Make, identity: dict[str, int], code: str
) -> None:
    bench: Bench = await make(Peer(**identity), connected=False)
    with fails(code):
        await bench.driver.connect()
    await until(lambda: bench.peer.types() == [layout.STOP, layout.HELLO, layout.STOP])


@pytest.mark.parametrize("identity", [{"protocol_minor": 9}, {"dead_man_ms": 1}, {"max_ua": 500}, {"max_width_us": 50}])
async def test_figures_at_their_bounds_are_accepted(make: Make, identity: dict[str, int]) -> None:
    bench: Bench = await make(Peer(**identity), connected=False)
    await bench.driver.connect()


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"state": 1}, "DEV.NOT_STOPPED"),
        ({"state": 2}, "DEV.NOT_STOPPED"),
        ({"state": 9}, "DEV.PROTOCOL"),
        ({"boot": 5}, "DEV.PROTOCOL"),
        ({"channels_status": [block(1)]}, "DEV.PROTOCOL"),
        ({"channels_status": [block(2), block(1)]}, "DEV.PROTOCOL"),
    ],
)
async def test_a_device_whose_status_is_wrong_is_refused_and_stopped(
    make: Make, other: dict[str, Any], code: str
) -> None:
    bench: Bench = await make(connected=False)
    bench.peer.says[layout.ASK] = lambda asked: [bench.peer.status(asked[1], **other)]
    with fails(code):
        await bench.driver.connect()
    await until(lambda: bench.peer.types() == [*CONNECT, layout.STOP])


async def test_a_device_that_is_cut_is_connected_as_cut(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.peer.says[layout.ASK] = lambda asked: [bench.peer.status(asked[1], state=3)]
    assert (await bench.driver.connect()).status.state is DeviceState.CUT


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (lambda seq: frame(layout.NAK, seq, refused_type=layout.HELLO, code=3), "DEV.NAK"),
        (lambda seq: frame(layout.NAK, seq, refused_type=layout.ASK, code=3), "DEV.PROTOCOL"),
        (lambda seq: frame(layout.SELFTESTED, seq, result=0), "DEV.PROTOCOL"),
        (lambda seq: layout.stuffed(layout.sealed(layout.IDENTITY, seq, b"short")), "DEV.PROTOCOL"),
        (lambda seq: layout.stuffed(layout.sealed(0x99, seq, b"")), "DEV.PROTOCOL"),
    ],
)
async def test_a_wrong_answer_to_hello_is_refused(make: Make, said: Callable[[int], bytes], code: str) -> None:
    bench: Bench = await make(connected=False)
    bench.peer.says[layout.HELLO] = lambda asked: [said(asked[1])]
    with fails(code):
        await bench.driver.connect()


async def test_a_line_that_ends_while_connecting_is_told_both_ways(make: Make) -> None:
    bench: Bench = await make(connected=False)

    def gone(_: Frame) -> list[bytes]:
        bench.peer.hang_up()
        return []

    bench.peer.says[layout.HELLO] = gone
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert [type(event) for event in bench.events] == [DeviceDown]
    with fails("DEV.LOST"):
        await bench.driver.connect()
    assert len(bench.events) == 1


async def test_a_cancelled_connect_stops_the_device(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.peer.mute(layout.HELLO)
    connecting = asyncio.create_task(bench.driver.connect())
    await until(lambda: layout.HELLO in bench.peer.types())
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: bench.peer.types() == [layout.STOP, layout.HELLO, layout.STOP])


async def test_a_device_is_connected_again_on_the_same_line(bench: Bench) -> None:
    bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    await bench.told()
    bench.peer.tape.clear()
    up = await bench.driver.connect()
    assert (bench.peer.types(), up.status.state) == (CONNECT, DeviceState.STOPPED)
    bench.driver.send(Arm(bench.grant(0), (ENVELOPE,), 60_000))
    await until(lambda: layout.ARM in bench.peer.types())


async def test_a_device_that_is_being_identified_again_is_not_known(bench: Bench) -> None:
    bench.peer.mute(layout.HELLO)
    connecting = asyncio.create_task(bench.driver.connect())
    await until(lambda: layout.HELLO in bench.peer.types())
    with fails("SYS.INTERNAL"):
        bench.driver.send(Arm(bench.grant(), (ENVELOPE,), 60_000))
    with fails("SYS.INTERNAL"):
        bench.driver.quantise(Picture((ON,)))
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_a_second_driver_is_refused_the_port(bench: Bench) -> None:
    with pytest.raises(LinkError) as refused:
        await open_native(bench.peer.port, NATIVE, bench.events.append)
    assert refused.value.code == "LINK.BUSY"


async def test_the_registry_makes_drivers() -> None:
    peer = Peer()
    driver: Stimulator = await DRIVERS["native"](peer.port, PATIENT, lambda _: None)
    assert (await driver.connect()).identity.model == "peer-2"
    await driver.close()
    peer.hang_up()


# Self-test


@pytest.mark.parametrize("result", [0, 1, 8, 15])
async def test_the_self_test_gives_its_result(bench: Bench, result: int) -> None:
    bench.peer.says[layout.SELFTEST] = lambda asked: [frame(layout.SELFTESTED, asked[1], result=result)]
    assert await bench.driver.selftest() == result
    assert (bench.peer.types(), bench.events) == ([layout.SELFTEST], [])


async def test_a_self_test_that_is_refused_says_why(bench: Bench) -> None:
    bench.peer.says[layout.SELFTEST] = lambda asked: [frame(layout.NAK, asked[1], refused_type=9, code=3)]
    with pytest.raises(DeviceError, match="SELFTEST was refused: WRONG_STATE") as refused:
        await bench.driver.selftest()
    assert (refused.value.code, bench.events) == ("DEV.NAK", [])


@pytest.mark.parametrize(
    ("type_", "fields"), [(layout.SELFTESTED, {"result": 0}), (layout.NAK, {"refused_type": 9, "code": 3})]
)
async def test_a_self_test_without_answer_is_tried_once(bench: Bench, type_: int, fields: dict[str, int]) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    bench.driver._times = BRISK
    kept = bench.peer.mute(layout.SELFTEST)
    with fails("DEV.SILENT"):
        await bench.driver.selftest()
    # The late answer finds nobody waiting, and is no trouble.
    bench.peer.say(frame(type_, kept[0][1], **fields))
    await bench.settled()
    gc.collect()
    assert (bench.peer.types(), bench.events, complaints) == ([layout.SELFTEST, layout.ASK], [], [])


async def test_a_self_test_on_a_line_that_ends_is_lost(bench: Bench) -> None:
    def gone(_: Frame) -> list[bytes]:
        bench.peer.hang_up()
        return []

    bench.peer.says[layout.SELFTEST] = gone
    with fails("DEV.LOST"):
        await bench.driver.selftest()
