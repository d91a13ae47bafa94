"""What every driver must do, on its own emulated device and on four kinds of line.

A new driver is one more line in CASES.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from controller.devices import DRIVERS
from controller.devices.base import DeviceError, NotRepresentable
from controller.policy import MODELS, TIMES
from safety.effects import Drive, Feed
from safety.messages import DeviceDown, DeviceState, Garbled, Heard
from safety.times import NATIVE, SCIENCEMODE2, SCIENCEMODE4
from safety.waveform import OFF, Picture, Train
from tests.contract.emulated import TRIES, WAYS, Case, Emulated
from tests.controller.peer import until

CASES = [
    Case("native", NATIVE, Train(1, 5_000, 300, 100, 20_000), 500),
    Case("sciencemode4", SCIENCEMODE4, Train(1, 5_000, 300, 100, 20_000), 500),
    Case("sciencemode2", SCIENCEMODE2, Train(1, 5_000, 300, 100, 20_000), 1_000),
]

OHM = 1_500
"""A test load in the place of the skin."""

pytestmark = [pytest.mark.hazard("H11"), pytest.mark.hazard("H16")]


@pytest.fixture(params=CASES, ids=[case.driver for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    """Each driver; where an answer does come, a busy machine may take its time with it."""
    one: Case = request.param
    return replace(one, times=replace(one.times, init_ack_ms=10_000))


@pytest.fixture(params=WAYS)
async def device(request: pytest.FixtureRequest, case: Case, tmp_path: Path) -> AsyncIterator[Emulated]:
    """Each driver on each kind of line."""
    way = WAYS[request.param]
    times = replace(case.times, init_ack_ms=300) if way.answer_s < 1 else case.times
    async with Emulated.serve(replace(case, times=times), way, tmp_path) as emulated:
        yield emulated


@pytest.fixture
async def good(case: Case, tmp_path: Path) -> AsyncIterator[Emulated]:
    """Each driver on a line that does nothing to what it carries."""
    async with Emulated.serve(case, WAYS["normal"], tmp_path) as emulated:
        yield emulated


def test_every_driver_is_held_to_the_contract() -> None:
    assert [case.driver for case in CASES] == list(DRIVERS)


@pytest.mark.rule("G23")
@pytest.mark.hazard("H23")
async def test_a_device_is_identified_and_stopped(device: Emulated) -> None:
    up = await device.connected()
    assert up.identity.model in MODELS[device.case.driver]
    assert up.identity.emulator
    assert up.status.state is DeviceState.STOPPED
    assert up.caps.dead_man_ms <= TIMES[device.case.driver].dead_man_ms
    assert device.driver.quantise(OFF) == OFF
    assert await device.pulses() == []


async def test_what_reaches_the_body_is_what_was_driven_and_nothing_comes_twice(device: Emulated) -> None:
    await device.armed()
    allowed, answered = [], 0
    for step in range(1, 13):
        picture = device.picture(step)
        assert device.driver.quantise(picture) == picture
        allowed.append(picture.trains[0].ua)
        answered += await device.heard(Drive(device.grant(), picture)) is not None
        for _ in range(2):
            answered += await device.heard(Feed(device.grant())) is not None
    await device.stopped()
    assert answered == 36 if device.way.answer_s > 1 else answered > 0
    peaks = [pulse["first_ua"] for pulse in await device.pulses()]
    # Each picture is higher than the one before it: an older one that came back would show as a fall.
    assert peaks
    assert all(earlier <= later for earlier, later in pairwise(peaks))
    assert set(peaks) <= set(allowed)
    grants = [event.grant for event in device.events if isinstance(event, Heard) and event.grant]
    assert len(grants) == len(set(grants))


@pytest.mark.rule("M29")
@pytest.mark.hazard("H10")
async def test_a_stop_is_confirmed_by_the_device_and_nothing_flows_after_it(device: Emulated) -> None:
    await device.running()
    await until_flowing(device)
    await device.stopped()
    given = await device.pulses()
    # The device has said so itself, so the time that the next questions take is time in which nothing flows.
    for _ in range(5):
        await device.stopped()
    assert await device.pulses() == given
    # Without a new arming the driver or the device refuses.
    for order in (Drive(device.grant(), device.picture(1)), Feed(device.grant())):
        device.events.clear()
        with suppress(DeviceError, TimeoutError):
            device.driver.send(order)
            await until(lambda: any(isinstance(event, Garbled) for event in device.events), device.way.answer_s)
    assert await device.pulses() == given


@pytest.mark.rule("X9")
async def test_a_host_that_falls_silent_ends_the_output(good: Emulated) -> None:
    await good.running()
    await until_flowing(good)
    dead_man_us = TIMES[good.case.driver].dead_man_ms * 1_000
    fed_us = max(chunk["at_us"] for chunk in (await good.do("tape", limit=10_000))["tape"])
    await silent_for_a_dead_man(good)
    last_us = (await good.pulses())[-1]["at_us"]
    assert fed_us < last_us <= fed_us + dead_man_us


@pytest.mark.rule("M04")
async def test_what_the_dead_man_has_ended_is_told_and_does_not_come_back(good: Emulated) -> None:
    await good.running()
    await until_flowing(good)
    await silent_for_a_dead_man(good)
    given = await good.pulses()
    word = await good.heard(Feed(good.grant()))
    assert word is not None or any(isinstance(event, Garbled) for event in good.events)
    assert word is None or word.status.state is DeviceState.STOPPED
    assert await good.pulses() == given


@pytest.mark.rule("G20")
async def test_ohms_are_those_of_the_body(device: Emulated) -> None:
    up = await device.connected()
    if not (up.caps.numeric_impedance or up.caps.reprobe):
        return
    await device.do("body.set", resistor_ohm=float(OHM))
    train = Train(1, 1_000, 300, 0, 1_000_000)
    for _ in range(TRIES):
        found = await device.probed(train)
        if found is not None:
            break
    assert found is not None
    assert abs(found.ohm - OHM) <= OHM // 50
    assert (found.open, found.short) == (False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"ua": 10_000_000},
        {"width_us": 60_000},
        {"period_us": 1},
        {"period_us": 100_000_000},
        {"channel": 9},
        {"ua": -1},
    ],
)
async def test_what_no_device_can_give_is_refused_before_it_is_written(good: Emulated, changes: dict[str, int]) -> None:
    await good.armed()
    picture = Picture((good.case.train._replace(**changes),))
    before = len((await good.do("tape", limit=10_000))["tape"])
    with pytest.raises(NotRepresentable):
        good.driver.quantise(picture)
    with pytest.raises(NotRepresentable):
        good.driver.send(Drive(good.grant(), picture))
    assert len((await good.do("tape", limit=10_000))["tape"]) == before


@pytest.mark.hazard("H40")
async def test_a_line_that_ends_is_told_once_and_nothing_raises(good: Emulated) -> None:
    await good.running()
    good.events.clear()
    good.end()
    await until(lambda: good.events)
    good.driver.silence(cut=False)
    good.driver.silence(cut=True)
    assert [type(event) for event in good.events] == [DeviceDown]
    with pytest.raises(DeviceError):
        await good.driver.connect()
    assert len(good.events) == 1


async def until_flowing(device: Emulated) -> None:
    """Keep it fed until the scope sees a pulse."""
    for _ in range(1_000):
        if await device.pulses():
            return
        await device.heard(Feed(device.grant()))
    raise AssertionError("nothing flows")


async def silent_for_a_dead_man(device: Emulated) -> None:
    """Say nothing until the device's own clock is a dead man further."""
    since_us = (await device.do("ping"))["now_us"]
    wait_us = TIMES[device.case.driver].dead_man_ms * 1_000 + 200_000
    while (await device.do("ping"))["now_us"] - since_us < wait_us:  # noqa: ASYNC110 - another process's clock
        await asyncio.sleep(0.05)
