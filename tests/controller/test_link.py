"""One byte pipe: what it carries, who is kept out, and how its end is told. Real ptys, sockets and processes."""

from __future__ import annotations

import array
import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock, ioctl
from pathlib import Path

import pytest
import serialx

from controller import link as module
from controller.link import BACKLOG, Link, LinkError, Mode
from tests.controller.peer import Pty, until

ROOT = Path(__file__).parents[2]
TIOCGEXCL = 0x8004_5440

OPENER = """
import asyncio, sys
from controller.link import Link, LinkError, Mode
async def main():
    try:
        link = await Link.open(sys.argv[1], Mode(115_200), on_bytes=print, on_lost=print)
    except LinkError as error:
        print(error.code)
    else:
        print("open", flush=True)
        if sys.argv[2:] == ["stay"]:
            await asyncio.sleep(600)
        await link.close()
asyncio.run(main())
"""


class Ear:
    """What a link tells its owner."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.lost: list[str] = []

    async def open(self, port: str) -> Link:
        return await Link.open(port, Mode(115_200), on_bytes=self.got.extend, on_lost=self.lost.append)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def pty() -> AsyncIterator[Pty]:
    pty = Pty()
    yield pty
    pty.hang_up()


@pytest.fixture
async def link(pty: Pty, ear: Ear) -> AsyncIterator[Link]:
    link = await ear.open(pty.port)
    yield link
    await link.close()


def opener(port: str, *args: str) -> subprocess.Popen[str]:
    """Another process of ours that opens the port."""
    return subprocess.Popen([sys.executable, "-c", OPENER, port, *args], cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


def fill(link: Link) -> int:
    """Write until the kernel takes no more and something waits here; gives how many bytes were handed over."""
    handed = 0
    while not link._backlog:
        link.write(b"x" * 100)
        handed += 100
    return handed


# How it is set


@pytest.mark.parametrize(
    ("mode", "speed", "even", "two_stop_bits"),
    [
        (Mode(115_200), termios.B115200, False, False),
        (Mode(460_800, even_parity=True), termios.B460800, True, False),
        (Mode(3_000_000, stop_bits=2), termios.B3000000, False, True),
    ],
)
async def test_a_line_is_set_as_its_device_wants_it(
    pty: Pty, ear: Ear, monkeypatch: pytest.MonkeyPatch, mode: Mode, speed: int, even: bool, two_stop_bits: bool
) -> None:
    asked: list[object] = []

    def make(url: str, **how: object) -> object:
        asked.append(how["parity"])
        return serialx.Serial(url.removeprefix("device://"), **how)

    monkeypatch.setattr(serialx, "serial_for_url", make)
    link = await Link.open(pty.port, mode, on_bytes=ear.got.extend, on_lost=ear.lost.append)
    control, set_speed = termios.tcgetattr(pty.near)[2], termios.tcgetattr(pty.near)[5]
    await link.close()
    # A pty has no parity to set, so it is looked up in what was asked for.
    assert asked == [serialx.PARITY_EVEN if even else serialx.PARITY_NONE]
    assert (set_speed, bool(control & termios.CSTOPB)) == (speed, two_stop_bits)
    assert not control & termios.CRTSCTS


# What it carries


async def test_bytes_pass_both_ways_unchanged(link: Link, pty: Pty, ear: Ear) -> None:
    every = bytes(range(256))
    link.write(every)
    await until(lambda: len(pty.got) == 256)
    os.write(pty.far, every)
    await until(lambda: len(ear.got) == 256)
    assert (bytes(pty.got), bytes(ear.got), ear.lost) == (every, every, [])


async def test_what_waits_is_sent_in_order_when_there_is_room(link: Link, pty: Pty) -> None:
    pty.ignore()
    handed = fill(link)
    link.write(b"end")
    pty.listen()
    await until(lambda: pty.got.endswith(b"end"))
    assert bytes(pty.got) == b"x" * handed + b"end"
    assert not link._backlog
    # Nobody watches for room any more; a watch left behind would spin.
    assert asyncio.get_running_loop().remove_writer(link._fd) is False


async def test_what_is_discarded_is_overtaken(link: Link, pty: Pty) -> None:
    pty.ignore()
    handed = fill(link)
    link.discard()
    link.write(b"STOP")
    pty.listen()
    await until(lambda: pty.got.endswith(b"STOP"))
    # A pty's far end may already hold 4 KiB, out of reach; a serial port holds its chip's few bytes.
    assert pty.got.count(b"x") < handed - 4_096
    assert pty.got.count(b"STOP") == 1


async def test_a_discarded_line_goes_on(link: Link, pty: Pty) -> None:
    pty.ignore()
    fill(link)
    link.discard()
    handed = fill(link)
    link.write(b"end")
    pty.listen()
    await until(lambda: pty.got.endswith(b"end"))
    assert pty.got.count(b"x") >= handed - 4_096


async def test_a_discarded_line_does_not_watch_for_room(link: Link, pty: Pty) -> None:
    pty.ignore()
    fill(link)
    link.discard()
    assert asyncio.get_running_loop().remove_writer(link._fd) is False


async def test_a_wake_up_without_bytes_is_no_end(link: Link, pty: Pty, ear: Ear) -> None:
    link._readable()
    os.write(pty.far, b"x")
    await until(lambda: ear.got == b"x")
    assert ear.lost == []


async def test_discard_with_nothing_waiting_does_nothing(link: Link, pty: Pty) -> None:
    link.discard()
    link.write(b"a")
    await until(lambda: pty.got == b"a")


# Who is kept out


async def test_a_second_opener_of_this_process_is_refused(link: Link, pty: Pty) -> None:
    with pytest.raises(LinkError) as refused:
        await Ear().open(pty.port)
    assert refused.value.code == "LINK.BUSY"
    assert pty.port in str(refused.value)


async def test_a_second_process_is_refused_and_the_first_goes_on(link: Link, pty: Pty, ear: Ear) -> None:
    with opener(pty.port) as process:
        assert await said(process) == "LINK.BUSY"
    link.write(b"still here")
    await until(lambda: pty.got == b"still here")
    assert ear.lost == []


async def test_a_lock_of_another_program_is_respected(pty: Pty, ear: Ear) -> None:
    holder = os.open(pty.port, os.O_RDWR | os.O_NOCTTY)
    flock(holder, LOCK_EX)
    with pytest.raises(LinkError) as refused:
        await ear.open(pty.port)
    os.close(holder)
    assert refused.value.code == "LINK.BUSY"
    await (await ear.open(pty.port)).close()


async def test_a_closed_port_can_be_opened_again(pty: Pty, ear: Ear) -> None:
    for _ in range(3):
        await (await ear.open(pty.port)).close()
    assert ear.lost == []


async def test_a_port_is_free_when_its_holder_was_killed(pty: Pty, ear: Ear) -> None:
    with opener(pty.port, "stay") as process:
        assert await said(process) == "open"
        with pytest.raises(LinkError, match="close that program"):
            await ear.open(pty.port)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    await (await ear.open(pty.port)).close()


@pytest.mark.parametrize(("ptys", "marked"), [(module.PTY_MAJORS, 0), (range(0), 1)], ids=["pty", "as a serial port"])
async def test_a_serial_port_is_also_kept_from_those_who_ask_for_no_lock(
    pty: Pty, ear: Ear, monkeypatch: pytest.MonkeyPatch, ptys: range, marked: int
) -> None:
    monkeypatch.setattr(module, "PTY_MAJORS", ptys)
    link = await ear.open(pty.port)
    mark = array.array("i", [-1])
    ioctl(pty.near, TIOCGEXCL, mark)
    await link.close()
    assert mark[0] == marked


async def test_a_cancelled_open_holds_nothing(pty: Pty, ear: Ear) -> None:
    opening = asyncio.create_task(ear.open(pty.port))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(40):
        while True:
            try:
                link = await ear.open(pty.port)
            except LinkError:
                continue
            break
    await link.close()


async def test_a_cancelled_open_that_fails_is_no_trouble(ear: Ear) -> None:
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    opening = asyncio.create_task(ear.open("/dev/no such port"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await loop.shutdown_default_executor()
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


# What cannot be opened


@pytest.mark.parametrize(
    "port",
    [
        "/dev/no such port",
        "/etc/hostname",
        "/",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:x",
        "tcp://:1",
        "udp://127.0.0.1:1",
    ],
)
async def test_what_is_no_port_is_absent(port: str, ear: Ear) -> None:
    with pytest.raises(LinkError) as refused:
        await ear.open(port)
    assert refused.value.code == "LINK.ABSENT"
    assert str(refused.value).startswith(f"{port}: it cannot be opened (")


async def test_a_tcp_port_where_nobody_listens_is_absent(ear: Ear) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(LinkError) as refused:
            await ear.open(f"tcp://127.0.0.1:{unused.getsockname()[1]}")
    assert refused.value.code == "LINK.ABSENT"


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may do little, where we are one who may do all."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_a_port_that_is_not_ours_is_denied(pty: Pty, ear: Ear) -> None:
    await (await ear.open(pty.port)).close()
    os.chmod(pty.port, 0)  # noqa: PTH101 - a device
    with nobody(), pytest.raises(LinkError) as refused:
        await ear.open(pty.port)
    assert (refused.value.code, "group" in str(refused.value)) == ("LINK.DENIED", True)


# How its end is told


async def test_a_hang_up_is_told_once(link: Link, pty: Pty, ear: Ear) -> None:
    pty.hang_up()
    await until(lambda: ear.lost)
    for _ in range(3):
        with pytest.raises(LinkError) as gone:
            link.write(b"x")
        assert gone.value.code == "LINK.LOST"
        await asyncio.sleep(0.01)
    link.discard()
    link.drop("twice")
    await link.close()
    assert len(ear.lost) == 1
    assert ear.lost[0].startswith(f"{pty.port}: the line is lost: ")


async def test_what_was_said_before_the_hang_up_is_heard(link: Link, pty: Pty, ear: Ear) -> None:
    os.write(pty.far, b"last words")
    await until(lambda: ear.got)
    pty.hang_up()
    await until(lambda: ear.lost)
    assert bytes(ear.got) == b"last words"


async def test_a_write_that_finds_the_line_gone_raises_and_is_told_once(link: Link, pty: Pty, ear: Ear) -> None:
    pty.hang_up()
    with pytest.raises(LinkError) as gone:
        link.write(b"x")
    assert (gone.value.code, ear.lost) == ("LINK.LOST", [])
    await until(lambda: ear.lost)
    await asyncio.sleep(0.01)
    assert len(ear.lost) == 1


async def test_a_write_that_waited_and_finds_the_line_gone_is_told_once(link: Link, pty: Pty, ear: Ear) -> None:
    pty.ignore()
    fill(link)
    pty.hang_up()
    await until(lambda: ear.lost)
    await asyncio.sleep(0.01)
    assert len(ear.lost) == 1


async def test_a_closed_link_tells_nothing(pty: Pty, ear: Ear) -> None:
    link = await ear.open(pty.port)
    await link.close()
    pty.hang_up()
    with pytest.raises(LinkError):
        link.write(b"x")
    await asyncio.sleep(0.01)
    await link.close()
    assert ear.lost == []


async def test_a_loss_that_close_overtakes_is_not_told(link: Link, pty: Pty, ear: Ear) -> None:
    pty.hang_up()
    with pytest.raises(LinkError):
        link.write(b"x")
    await link.close()
    await asyncio.sleep(0.01)
    assert ear.lost == []


async def test_a_device_that_does_not_drain_is_lost_and_memory_is_bounded(link: Link, pty: Pty, ear: Ear) -> None:
    pty.ignore()
    fill(link)
    while len(link._backlog) + 100 <= BACKLOG:
        link.write(b"x" * 100)
    assert ear.lost == []
    with pytest.raises(LinkError) as gone:
        link.write(b"x" * 100)
    assert gone.value.code == "LINK.LOST"
    await until(lambda: ear.lost)
    assert (len(link._backlog), [text.partition("lost: ")[2] for text in ear.lost]) == (
        0,
        ["the device takes no more bytes"],
    )
    # Nor does the kernel hold the port until all of it is sent; a pty's far end keeps up to 4 KiB.
    await link.close()
    pty.listen()
    await asyncio.sleep(0.05)
    assert len(pty.got) <= 4_096


async def test_a_dropped_line_is_told_once_and_what_was_written_arrives(link: Link, pty: Pty, ear: Ear) -> None:
    link.write(b"STOP")
    link.drop("on purpose")
    link.drop("again")
    with pytest.raises(LinkError):
        link.write(b"more")
    await until(lambda: ear.lost and pty.got)
    await link.close()
    assert (ear.lost, bytes(pty.got)) == ([f"{pty.port}: the line is lost: on purpose"], b"STOP")


# TCP


class Server:
    """A TCP line's far end."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        self.line: socket.socket | None = None

    async def accepted(self) -> socket.socket:
        line, _ = await asyncio.to_thread(self.socket.accept)
        self.line = line
        return line


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.socket.close()
    if server.line:
        server.line.close()


async def test_tcp_carries_bytes_both_ways_and_tells_its_end(server: Server, ear: Ear) -> None:
    link = await ear.open(server.port)
    line = await server.accepted()
    link.write(b"question")
    assert await asyncio.to_thread(line.recv, 100) == b"question"
    line.sendall(b"answer")
    await until(lambda: ear.got == b"answer")
    line.close()
    await until(lambda: ear.lost)
    await link.close()
    assert ear.lost == [f"{server.port}: the line is lost: it was hung up"]


async def test_tcp_that_does_not_drain_is_lost(server: Server, ear: Ear) -> None:
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    link = await ear.open(server.port)
    await server.accepted()
    fill(link)
    link.discard()
    assert not link._backlog
    fill(link)
    with pytest.raises(LinkError):
        link.write(b"x" * BACKLOG)
    await until(lambda: ear.lost)
    await link.close()
    assert len(ear.lost) == 1


async def test_tcp_that_is_reset_is_lost(server: Server, ear: Ear) -> None:
    link = await ear.open(server.port)
    line = await server.accepted()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, array.array("i", [1, 0]).tobytes())
    line.close()
    await until(lambda: ear.lost)
    await link.close()
    assert len(ear.lost) == 1
