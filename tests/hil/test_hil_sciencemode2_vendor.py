"""The vendor's client, unmodified, at the port of an emulated RehaStim2: the whole way, and three ends."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hil.control import Control
from tests.hil.host2 import (
    INIT,
    INIT_ACK,
    INIT_LIST,
    START_LIST,
    STOP_LIST,
    WATCHDOG,
    Heard,
)
from tests.hil.process import ROOT, SECONDS, Process, Start, starting

pytestmark = pytest.mark.hazard("H35")

WATCHDOG_US = 1_200_000


class Client:
    """The vendor's client in a process of its own."""

    def __init__(self, port: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.hil.vendor2", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    async def until(self, word: str) -> None:
        """Wait until the client says a word."""
        assert self.popen.stdout is not None
        async with asyncio.timeout(SECONDS):
            while (line := await asyncio.to_thread(self.popen.stdout.readline)) != f"{word}\n":
                assert line, await asyncio.to_thread(lambda: self.popen.communicate()[1])

    async def do(self, word: str) -> None:
        """Have the client do something, and wait until it has."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{word}\n")
        self.popen.stdin.flush()
        await self.until(word)


class Bench:
    """The emulator's process, its back door, and the client."""

    def __init__(self, process: Process, control: Control, client: Client) -> None:
        self.process, self.control, self.client = process, control, client

    async def until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(SECONDS):
            while not await happened():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)

    async def until_state(self, **wanted: object) -> None:
        """Wait until the device's inside is so."""

        async def is_so() -> bool:
            inside = await self.control.do("device")
            return inside == inside | wanted

        await self.until(is_so)

    async def pulses(self, channel: int) -> list[dict[str, Any]]:
        """All pulses of a channel."""
        found: list[dict[str, Any]] = (await self.control.do("pulses", channel=channel, limit=10_000))["pulses"]
        return found

    async def frames(self, direction: str) -> list[tuple[int, Heard]]:
        """Every frame on the tape, with the time of the chunk that ended it."""
        found, held = [], b""
        for chunk in (await self.control.do("tape", limit=10_000))["tape"]:
            if chunk["direction"] == direction:
                held += bytes.fromhex(chunk["hex"])
                while len(held) > 4 and len(held) >= (length := 6 + (held[4] ^ 0x55)):
                    found.append((chunk["at_us"], Heard(held[5], held[6], held[7 : length - 1])))
                    held = held[length:]
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
def process(start: Start) -> Process:
    return start("--device", "sciencemode2")


@pytest.fixture
async def bench(process: Process) -> AsyncIterator[Bench]:
    async with await Control.open(process.ctl) as control:
        client = Client(process.link)
        try:
            await client.until("ready")
            yield Bench(process, control, client)
        finally:
            client.popen.kill()
            client.popen.communicate(timeout=SECONDS)


# --- the vendor's client ----------------------------------------------------------------------------------------------


async def test_the_vendors_client_goes_the_whole_way(bench: Bench):
    client = bench.client
    # Its keep-alive comes too late at times, and then it waits for ever; that is shown below.
    await bench.control.do("fault.inject", fault="lost_dead_man")
    await client.do("init")
    await bench.until_state(state="INITIALISED", is_connected=True)
    await client.do("start")
    await bench.until_state(state="STARTED")
    assert (await bench.control.do("device"))["picture"] == [
        {"channel": 1, "groups": 1, "width_us": 200, "ua": 12_000},
        {"channel": 3, "groups": 1, "width_us": 300, "ua": 20_000},
    ]
    await client.do("update")
    assert (await bench.control.do("device"))["picture"] == [
        {"channel": 1, "groups": 1, "width_us": 240, "ua": 15_000},
        {"channel": 3, "groups": 1, "width_us": 266, "ua": 85_000},
    ]

    async def is_given() -> bool:
        return any(pulse["first_ua"] == 85_000 for pulse in await bench.pulses(3))

    await bench.until(is_given)
    await client.do("pause")
    await client.do("stop")
    await bench.until_state(state="START", is_live=False)
    await client.do("leave")

    first, third = await bench.pulses(1), await bench.pulses(3)
    assert {pulse["first_ua"] for pulse in first} == {12_000, 15_000}
    assert {pulse["first_ua"] for pulse in third} == {20_000, 85_000}
    assert {pulse["net_nc"] for pulse in first + third} == {0}
    assert {later["at_us"] - earlier["at_us"] for earlier, later in pairwise(first)} <= {30_000}
    # Both are on the yellow source: one slot apart.
    assert {b["at_us"] - a["at_us"] for a, b in zip(first, third, strict=False)} == {1_500}
    assert len(first) - len(third) in {0, 1}
    # All that was heard had been understood.
    inside = await bench.control.do("device")
    assert (inside["errors"], inside["noise"]) == (0, 0)
    asked = [heard.command for _, heard in await bench.frames("to_device") if heard.command not in {WATCHDOG, INIT_ACK}]
    assert asked == [STOP_LIST, INIT_LIST, START_LIST, START_LIST, START_LIST, STOP_LIST]
    results = [heard.data for _, heard in await bench.frames("to_host") if heard.command != INIT]
    assert results == [b"\x00"] * 6


@pytest.mark.hazard("H11")
@pytest.mark.hazard("H31")
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
async def test_when_the_application_is_gone_the_watchdog_ends_the_output(bench: Bench, how: signal.Signals):
    await bench.client.do("init")
    await bench.client.do("start")
    bench.client.popen.send_signal(how)
    await bench.until_state(state="START", is_connected=False)

    last_us = (await bench.frames("to_device"))[-1][0]
    times = [pulse["at_us"] for pulse in await bench.pulses(1)]
    # Every 30 ms from the Start on, up to 1.2 s after the last frame; to the microsecond, whatever this machine does.
    assert times == list(range(times[0], last_us + WATCHDOG_US, 30_000))
    inits = [at_us for at_us, heard in await bench.frames("to_host") if heard.command == INIT]
    assert inits[-1] >= last_us + WATCHDOG_US

    bench.client.popen.send_signal(signal.SIGCONT)

    async def is_asking() -> bool:
        return [heard.command for _, heard in await bench.frames("to_host")].count(INIT) >= len(inits) + 3

    await bench.until(is_asking)
    # A client that wakes again feeds a device that has forgotten it: nothing resumes.
    heard = [one.command for at_us, one in await bench.frames("to_device") if at_us > last_us]
    assert set(heard) <= ({WATCHDOG} if how == signal.SIGSTOP else set())
    assert bool(heard) is (how == signal.SIGSTOP)
    assert [pulse["at_us"] for pulse in await bench.pulses(1)] == times
    assert not (await bench.control.do("device"))["is_live"]


@pytest.mark.hazard("H11")
async def test_a_keep_alive_without_its_application_feeds_on(bench: Bench):
    """Why this client drives nothing here: the thread that feeds outlives the one that thinks."""
    await bench.client.do("init")
    await bench.client.do("start")
    assert bench.client.popen.stdin is not None
    bench.client.popen.stdin.write("no such word\n")
    bench.client.popen.stdin.flush()
    first_us = (await bench.pulses(1))[0]["at_us"]

    async def is_fed_on() -> bool:
        return (await bench.frames("to_device"))[-1][0] >= first_us + 3 * WATCHDOG_US

    await bench.until(is_fed_on)
    told = [(at_us, heard.command) for at_us, heard in await bench.frames("to_device") if at_us >= first_us]
    assert [command for _, command in told] == [START_LIST] + [WATCHDOG] * (len(told) - 1)
    # Its frames come up to 1.6 s apart: where the gap is too wide, the output ends there, and nobody is told.
    gaps = pairwise(at_us for at_us, _ in told)
    end_us = next((before + WATCHDOG_US for before, after in gaps if after - before >= WATCHDOG_US), told[-1][0])
    given = [pulse["at_us"] for pulse in await bench.pulses(1) if pulse["at_us"] < told[-1][0]]
    assert given == list(range(first_us, end_us, 30_000))
