"""Benches for the tests of the ScienceMode 4 driver."""

from __future__ import annotations

import pytest

from safety.times import Times
from tests.controller.sciencemode4.bench import PATIENT, Bench, Make
from tests.controller.sciencemode4.p24 import P24


@pytest.fixture
def make() -> Make:
    """Give benches, connected unless told otherwise."""

    async def build(device: P24 | None = None, *, connected: bool = True, times: Times = PATIENT) -> Bench:
        bench = Bench(device or P24(), times)
        if connected:
            await bench.driver.connect()
            bench.clear()
        return bench

    return build


@pytest.fixture
async def bench(make: Make) -> Bench:
    built: Bench = await make()
    return built


@pytest.fixture
async def armed(bench: Bench) -> Bench:
    return await bench.armed()


@pytest.fixture
async def running(bench: Bench) -> Bench:
    return await bench.running()
