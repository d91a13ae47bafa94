"""The pseudo terminal as a host sees it, the claim on its link, and the line in memory."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import select
import stat
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hil.wire import Claim, InUse, NullModem, Pty

pytestmark = pytest.mark.hazard("H35")

EXPECTED_SECONDS = 20


async def until(is_so: Callable[[], bool]) -> None:
    """Wait, generously, until something is so."""
    async with asyncio.timeout(EXPECTED_SECONDS):
        while not is_so():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


def opened(link: Path) -> int:
    """What a host does: open the port without waiting for anything."""
    return os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


@pytest.fixture
async def pty(tmp_path: Path) -> AsyncIterator[Pty]:
    line = Pty(tmp_path / "tty")
    line.put()
    yield line
    line.close()


async def test_the_link_leads_to_a_private_raw_terminal(pty: Pty):
    assert pty.is_up
    assert pty.link.is_symlink()
    about = pty.link.stat()
    assert stat.S_ISCHR(about.st_mode)
    assert stat.S_IMODE(about.st_mode) == 0o600
    host = opened(pty.link)
    local_flags = termios.tcgetattr(host)[3]
    assert local_flags & (termios.ICANON | termios.ECHO | termios.ISIG) == 0
    os.close(host)
    assert [path.name for path in pty.link.parent.iterdir()] == ["tty"]


async def test_every_byte_passes_unchanged_in_both_directions(pty: Pty):
    everything = bytes(range(256))
    heard = bytearray()
    pty.on_bytes = heard.extend
    host = opened(pty.link)
    os.write(host, everything)
    await until(lambda: len(heard) == 256)
    assert heard == everything
    pty.write(everything)
    assert os.read(host, 1_000) == everything
    os.close(host)


async def test_a_host_may_come_and_go(pty: Pty):
    heard = bytearray()
    pty.on_bytes = heard.extend
    for round_ in range(3):
        host = opened(pty.link)
        os.write(host, b"hello")
        await until(lambda: len(heard) == 5 * (round_ + 1))  # noqa: B023 - awaited at once
        os.close(host)
        await asyncio.sleep(0.01)
    assert pty.is_up


async def test_bytes_that_a_host_flushes_are_gone_and_do_no_harm(pty: Pty):
    heard = bytearray()
    pty.on_bytes = heard.extend
    host = opened(pty.link)
    os.write(host, b"never")
    termios.tcflush(host, termios.TCOFLUSH)
    await asyncio.sleep(0.01)
    os.write(host, b"sent")
    await until(lambda: heard.endswith(b"sent"))
    os.close(host)


async def test_what_a_host_does_not_fetch_is_lost_and_blocks_nobody(pty: Pty):
    for _ in range(200):
        pty.write(b"x" * 1_000)
    host = opened(pty.link)
    got = 0
    while select.select([host], [], [], 0)[0]:
        got += len(os.read(host, 100_000))
    assert 0 < got < 200_000
    os.close(host)


async def test_pulling_hangs_up_and_putting_back_makes_a_new_line(pty: Pty):
    heard = bytearray()
    pty.on_bytes = heard.extend
    host = opened(pty.link)
    pty.pull()
    assert not pty.is_up
    assert not os.path.lexists(pty.link)  # noqa: ASYNC240 - a test may wait
    with pytest.raises(OSError, match="Input/output error") as caught:
        os.write(host, b"x")
    assert caught.value.errno == errno.EIO
    pty.write(b"into the void")
    pty.put()
    os.close(host)
    again = opened(pty.link)
    os.write(again, b"back")
    await until(lambda: heard == b"back")
    os.close(again)


async def test_pulling_and_putting_twice_is_once(pty: Pty):
    first = pty.link.readlink()
    pty.put()
    assert pty.link.readlink() == first
    pty.pull()
    pty.pull()
    assert not pty.is_up


async def test_pulling_and_putting_leaks_no_descriptors(pty: Pty):
    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(20):
        pty.pull()
        pty.put()
    assert count() == before


async def test_a_second_owner_of_a_link_is_refused(pty: Pty):
    with pytest.raises(InUse, match="another emulator serves it"):
        Pty(pty.link)
    # The path counts, not how it is written.
    with pytest.raises(InUse):
        Pty(pty.link.parent / ".." / pty.link.parent.name / pty.link.name)
    pty.pull()
    with pytest.raises(InUse):
        Pty(pty.link)
    pty.close()
    other = Pty(pty.link)
    other.put()
    other.close()


async def test_a_link_left_by_a_killed_process_is_replaced(tmp_path: Path):
    link = tmp_path / "tty"
    link.symlink_to("/dev/pts/99999")
    line = Pty(link)
    line.put()
    assert stat.S_ISCHR(link.stat().st_mode)
    line.close()
    assert not os.path.lexists(link)  # noqa: ASYNC240 - a test may wait


async def test_nothing_else_is_ever_replaced(tmp_path: Path):
    link = tmp_path / "tty"
    link.write_text("precious")
    with pytest.raises(InUse, match="is not a link to a pseudo terminal"):
        Pty(link)
    assert link.read_text() == "precious"
    link.unlink()
    link.symlink_to("/dev/null")
    with pytest.raises(InUse, match="is not a link to a pseudo terminal"):
        Pty(link)
    link.unlink()
    Pty(link).close()


def test_a_claim_ends_with_its_process(tmp_path: Path):
    program = (
        "import sys, pathlib, hil.wire; c = hil.wire.Claim(pathlib.Path(sys.argv[1])); print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "x")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        with pytest.raises(InUse):
            Claim(tmp_path / "x")
        holder.kill()
    Claim(tmp_path / "x").end()


def test_the_null_modem():
    to_host: list[bytes] = []
    to_device: list[bytes] = []
    line = NullModem(to_host.append)
    line.on_bytes = to_device.append
    with pytest.raises(OSError, match="pulled"):
        line.send(b"lost")
    line.write(b"lost")
    line.put()
    assert line.is_up
    line.send(b"down")
    line.write(b"up")
    line.pull()
    line.write(b"lost")
    line.put()
    line.close()
    with pytest.raises(OSError, match="pulled"):
        line.send(b"lost")
    assert (to_device, to_host) == ([b"down"], [b"up"])
