"""An emulated RehaStim2 as a process: its port, its back door, its options."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hil.control import Control, ControlError
from tests.hil.host2 import (
    GET_MODE,
    INIT,
    INIT_ACK,
    INIT_LIST,
    OK,
    START_LIST,
    STOP_LIST,
    Heard,
    decoded,
    frame,
    list_data,
    row,
)
from tests.hil.process import SECONDS, Process, Start, said, starting

pytestmark = pytest.mark.hazard("H35")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
def process(start: Start) -> Process:
    return start("--device", "sciencemode2")


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
async def test_a_switch_may_be_thrown_from_outside(start: Start, through: str):
    options = ["--set", "before_init_ack=answered"] if through == "option" else []
    process = start("--device", "sciencemode2", "--serial", "R2-BENCH", *options)
    assert process.ready["serial"] == "R2-BENCH"
    async with Port.opened(process.link) as port, await Control.open(process.ctl) as control:
        if through == "control":
            await control.do("switch.set", before_init_ack="answered")
        port.say(frame(240, GET_MODE))
        assert await port.hear(GET_MODE + 1) == (240, GET_MODE + 1, bytes((OK, 0)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--channels", "2"], "channels=2: expected 8, as every RehaStim2 has"),
        (["--serial", "café"], "serial='café': expected 1 to 16 printable ASCII characters"),
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
