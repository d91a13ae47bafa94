"""Benches for the tests of the ScienceMode 2 driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.devices.sciencemode2 import open_sciencemode2
from safety.messages import Event
from safety.times import Times
from tests.controller.sciencemode2.bench import PATIENT, Bench, Make
from tests.controller.sciencemode2.rehastim import RehaStim


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Give benches, connected unless told otherwise."""
    benches: list[Bench] = []

    async def build(device: RehaStim | None = None, *, connected: bool = True, times: Times = PATIENT) -> Bench:
        device = device or RehaStim()
        events: list[Event] = []
        bench = Bench(device, await open_sciencemode2(device.port, times, events.append), events)
        benches.append(bench)
        if connected:
            await bench.driver.connect()
            events.clear()
            device.tape.clear()
        return bench

    yield build
    for bench in benches:
        await bench.driver.close()
        bench.device.hang_up()


@pytest.fixture
async def bench(make: Make) -> Bench:
    built: Bench = await make()
    return built
