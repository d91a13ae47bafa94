"""Ports as streams: terminals, TCP, cables in memory; what is lost when a line goes, and how a serial line is set."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil import simtime
from hil.cable import Cable
from hil.port import LINES, Setting, opened, plugged
from tests.hil.far import descriptors

pytestmark = pytest.mark.hazard("H35")


class Pair:
    """A pseudo terminal: its path, and the other end of it."""

    def __init__(self) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        self.path = os.ttyname(self.near)

    def hang_up(self) -> None:
        os.close(self.near)
        os.close(self.far)
        self.far = self.near = -1


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    if pair.far >= 0:
        pair.hang_up()


@pytest.mark.parametrize(
    ("kind", "speed", "two_stops", "even", "bits"),
    [
        ("native", termios.B115200, False, False, 10),
        ("sciencemode4", termios.B3000000, True, False, 11),
        ("sciencemode2", termios.B460800, False, True, 11),
    ],
)
async def test_a_line_is_set_as_the_documents_of_the_device_say(
    kind: str, speed: int, two_stops: bool, even: bool, bits: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
):
    asked: list[list[int]] = []
    really = termios.tcsetattr

    def noted(descriptor: int, when: int, mode: list[int]) -> None:
        asked.append(list(mode))
        really(descriptor, when, mode)

    monkeypatch.setattr(termios, "tcsetattr", noted)
    _, writer = await opened(pair.path, LINES[kind])
    writer.close()
    await writer.wait_closed()
    # A pseudo terminal keeps the speed and drops the parity bit: what was asked for is looked at.
    _, _, control, local, *speeds = asked[-1][:6]
    assert speeds == [speed, speed]
    assert control & termios.CSIZE == termios.CS8
    assert control & termios.CLOCAL
    assert bool(control & termios.CSTOPB) == two_stops
    assert bool(control & termios.PARENB) == even
    assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert LINES[kind].pace.bits == bits


async def test_bytes_pass_both_ways_and_none_is_changed(pair: Pair):
    reader, writer = await opened(pair.path, LINES["native"])
    every = bytes(range(256))
    writer.write(every)
    assert os.read(pair.far, 1_000) == every
    os.write(pair.far, every)
    assert await reader.readexactly(256) == every
    writer.close()
    await writer.wait_closed()


async def test_what_was_there_before_the_port_was_opened_is_thrown_away(pair: Pair):
    os.write(pair.far, b"old")
    reader, writer = await opened(pair.path, LINES["native"])
    os.write(pair.far, b"new")
    assert await reader.readexactly(3) == b"new"
    writer.close()
    await writer.wait_closed()


async def test_more_than_the_line_takes_at_once_is_sent_in_order(pair: Pair):
    _, writer = await opened(pair.path, LINES["native"])
    sent = os.urandom(200_000)
    writer.write(sent)
    writer.write(b"end")
    got = b""
    os.set_blocking(pair.far, False)
    while len(got) < len(sent) + 3:
        try:
            got += os.read(pair.far, 4_096)
        except BlockingIOError:
            await asyncio.sleep(0)
    assert got == sent + b"end"
    writer.close()
    await writer.wait_closed()


async def test_a_closed_port_is_free_and_swallows_what_comes_late(pair: Pair):
    _, first = await opened(pair.path, LINES["native"])
    first.close()
    first.close()
    first.transport.write(b"lost")
    await first.wait_closed()
    reader, second = await opened(pair.path, LINES["native"])
    os.write(pair.far, b"to the second")
    assert await reader.readexactly(13) == b"to the second"
    second.close()
    await second.wait_closed()


async def test_a_line_that_is_hung_up_is_the_end_for_the_reader(pair: Pair):
    reader, writer = await opened(pair.path, LINES["native"])
    os.write(pair.far, b"last words")
    assert await reader.read(10) == b"last words"
    pair.hang_up()
    assert await reader.read(1) == b""
    assert writer.transport.is_closing()
    await writer.wait_closed()


async def test_a_write_to_a_line_that_is_hung_up_closes_it(pair: Pair):
    _, writer = await opened(pair.path, LINES["native"])
    pair.hang_up()
    writer.write(b"nobody")
    assert writer.transport.is_closing()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        await writer.wait_closed()


async def test_what_is_no_port_is_said_to_be_none(tmp_path: Path):
    before = descriptors()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file: no serial port: "):
        await opened(str(tmp_path / "file"), LINES["native"])
    with pytest.raises(FileNotFoundError):
        await opened(str(tmp_path / "none"), LINES["native"])
    assert descriptors() == before


async def test_a_speed_that_no_line_has_leaves_nothing_open(pair: Pair):
    before = descriptors()
    with pytest.raises(AttributeError):
        await opened(pair.path, Setting(123))
    assert descriptors() == before


@pytest.mark.parametrize(("host", "written"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_a_tcp_port(host: str, written: str):
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    async with await asyncio.start_server(echo, host, 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await opened(f"tcp://{written}:{port}", LINES["native"])
        writer.write(b"ping")
        assert await reader.read() == b"ping"
        writer.close()
        await writer.wait_closed()


def test_a_cable_in_memory_is_a_pair_of_streams_at_the_pace_of_its_line():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, simtime.SimLoop)
        cable = Cable(LINES["sciencemode4"].pace)
        heard: list[tuple[int, bytes]] = []
        cable.on_bytes = lambda data: heard.append((loop.now_us, data))
        cable.put()
        reader, writer = plugged(cable)
        writer.write(bytes(20))
        cable.write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert loop.now_us == 22
        await asyncio.sleep(1)
        assert heard == [(74, bytes(20))]
        with pytest.raises(OSError, match="open already"):
            plugged(cable)
        writer.close()
        await writer.wait_closed()
        writer.transport.write(b"late")
        reader, writer = plugged(cable)
        cable.pull()
        assert await reader.read() == b""
        assert writer.transport.is_closing()
        with pytest.raises(OSError, match="nothing is plugged in"):
            plugged(cable)
        assert len(heard) == 1

    simtime.run(main())
