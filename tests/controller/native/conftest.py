"""Benches for the tests of the native driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.devices.native import open_native
from safety.messages import Event
from safety.times import Times
from tests.controller.native.bench import PATIENT, Bench, Make
from tests.controller.peer import Peer


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Give benches, connected unless told otherwise."""
    benches: list[Bench] = []

    async def build(peer: Peer | None = None, *, connected: bool = True, times: Times = PATIENT) -> Bench:
        peer = peer or Peer()
        events: list[Event] = []
        bench = Bench(peer, await open_native(peer.port, times, events.append), events)
        benches.append(bench)
        if connected:
            await bench.driver.connect()
            events.clear()
            peer.tape.clear()
        return bench

    yield build
    for bench in benches:
        await bench.driver.close()
        bench.peer.hang_up()


@pytest.fixture
async def bench(make: Make) -> Bench:
    built: Bench = await make()
    return built
