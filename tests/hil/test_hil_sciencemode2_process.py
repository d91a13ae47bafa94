"""An emulated RehaStim2 as a process, and the vendor's client, unmodified, at its port: the whole way, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hil.control import Control, ControlError
from tests.hil.sciencemode2_host import (
    GET_MODE,
    INIT,
    INIT_ACK,
    INIT_LIST,
    OK,
    START_LIST,
    STOP_LIST,
    WATCHDOG,
    Heard,
    decoded,
    frame,
    list_data,
    row,
)
from tests.hil.test_hil_process import ROOT, SECONDS, Process, ended, said

pytestmark = pytest.mark.hazard("H35")

VENDOR = Path(__file__).with_name("sciencemode2_vendor.py")
WATCHDOG_US = 1_200_000


class Client:
    """The vendor's client in a process of its own."""

    def __init__(self, port: Path) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, str(VENDOR), str(port)],
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
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, "--device", "sciencemode2")
    yield process
    ended(process)


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


# --- the program ------------------------------------------------------------------------------------------------------


class Port:
    """The serial port as a host opens it, with the host of these tests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, link: Path) -> AsyncIterator[Port]:
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        with link.open("r+b", buffering=0) as there, link.open("r+b", buffering=0) as back:
            incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), there)
            outgoing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, back)
            yield cls(reader, outgoing)
            incoming.close()
            outgoing.close()

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def hear(self, command: int) -> Heard:
        """Wait for a frame with this command."""
        async with asyncio.timeout(SECONDS):
            while True:
                head = await self._reader.readexactly(5)
                (heard,) = decoded(head + await self._reader.readexactly((head[4] ^ 0x55) + 1))
                if heard.command == command:
                    return heard


async def test_a_host_of_our_own_on_the_wire(process: Process):
    async with Port.opened(process.link) as port, await Control.open(process.ctl) as control:
        init = await port.hear(INIT)
        port.say(frame(init.number, INIT_ACK, b"\x00"))
        for number, command, data in ((1, INIT_LIST, list_data(2)), (2, START_LIST, row()), (3, STOP_LIST, b"")):
            port.say(frame(number, command, data))
            assert await port.hear(command + 1) == (number, command + 1, b"\x00")
        (total,) = (await control.do("scope", channel=2))["channels"]
        assert total["pulses"] == total["charge_nc"] / 12_000 >= 1


async def test_the_back_door_of_this_device(process: Process):
    async with await Control.open(process.ctl) as control:
        ping = await control.do("ping")
        assert (ping["model"], ping["serial"], ping["state"]) == ("RehaStim2", "EMU-R2-1", "START")
        with pytest.raises(ControlError, match="not_this_device: fault='wrong_echo': a sciencemode2 device has none"):
            await control.do("fault.inject", fault="wrong_echo")
        assert set((await control.do("switch.get"))["switches"]) == {
            "before_init_ack",
            "init_while_initialised",
            "init_ack_number",
            "skin_low_ohm",
            "skin_high_ohm",
            "idle_switch",
        }
        await control.do("button.press")
        assert (await control.do("device"))["switch_pressed"]
        await control.do("button.release")
        assert not (await control.do("device"))["switch_pressed"]


@pytest.mark.parametrize("through", ["option", "control"])
async def test_a_switch_may_be_thrown_from_outside(tmp_path: Path, through: str):
    options = ["--set", "before_init_ack=answered"] if through == "option" else []
    process = Process(tmp_path, "--device", "sciencemode2", "--serial", "R2-BENCH", *options)
    try:
        assert process.ready["serial"] == "R2-BENCH"
        async with Port.opened(process.link) as port, await Control.open(process.ctl) as control:
            if through == "control":
                await control.do("switch.set", before_init_ack="answered")
            port.say(frame(240, GET_MODE))
            assert await port.hear(GET_MODE + 1) == (240, GET_MODE + 1, bytes((OK, 0)))
    finally:
        ended(process)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--channels", "2"], "channels=2: expected 8, as every RehaStim2 has"),
        (["--serial", "café"], "serial='café': expected printable ASCII characters"),
        (["--set", "before_init_ack=maybe"], "before_init_ack='maybe': expected one of ignored, answered"),
        (["--set", "before_init_ack"], "set='before_init_ack': expected KEY=VALUE"),
        (["--set", "volume=11"], "volume=11: expected a key out of before_init_ack, "),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: list[str], text: str):
    code, out, errors = said("emulate", "--device", "sciencemode2", "--link", str(tmp_path / "tty"), *arguments)
    assert (code, out) == (2, "")
    assert text in errors
    assert list(tmp_path.iterdir()) == []


def test_the_switches_are_printed():
    code, out, errors = said("switches", "--device", "sciencemode2")
    assert (code, errors) == (0, "")
    for line in ('before_init_ack="ignored"', 'init_while_initialised="wrong_mode"', 'init_ack_number="any"'):
        assert line in out
