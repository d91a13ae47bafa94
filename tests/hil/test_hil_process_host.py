"""Faults of a real process: a child that counts, writes and takes memory, and is none the worse when they end."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hil.control import Control, ControlError
from hil.host import NoHost
from hil.process_host import BALLAST, SMALL, ProcessHost
from tests.hil.process import SECONDS, Start, starting

pytestmark = pytest.mark.hazard("H35")

CHILD = """
import errno, json, sys
held = open(sys.argv[1], "ab", buffering=0) if sys.argv[1:] else None
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    try:
        if word == "write":
            left = held.write(bytes(int(rest)))
        elif word == "take":
            left = len(bytearray(int(rest)))
        elif word == "close":
            left = held.close()
        elif word == "open":
            held = open(sys.argv[1], "ab", buffering=0)
            left = None
        else:
            left = "here"
    except OSError as error:
        left = errno.errorcode[error.errno]
    except MemoryError:
        left = "MemoryError"
    print(json.dumps(left), flush=True)
"""


class Child:
    """A process that does what it is told, and tells what became of it."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.ask("hello") == "here"

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tell(self, words: str) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(words + "\n")
        self.popen.stdin.flush()

    def hear(self) -> Any:  # noqa: ANN401 - JSON
        assert self.popen.stdout
        return json.loads(self.popen.stdout.readline())

    def ask(self, words: str) -> Any:  # noqa: ANN401 - JSON
        self.tell(words)
        return self.hear()

    def await_stop(self) -> None:
        """Return when it stands still."""
        found, status = os.waitpid(self.pid, os.WUNTRACED)
        assert (found, os.WIFSTOPPED(status)) == (self.pid, True)

    def end(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=SECONDS)


Birth = Callable[..., Child]


@pytest.fixture
def born() -> Iterator[Birth]:
    children: list[Child] = []

    def bear(*arguments: object) -> Child:
        children.append(Child(*map(str, arguments)))
        return children[-1]

    yield bear
    for child in children:
        child.end()


class Folder(NamedTuple):
    """Where a child writes; `is_own`: a file system of a megabyte of its own, where the system let us mount one."""

    path: Path
    is_own: bool


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    is_own = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield Folder(path, is_own)
    if is_own:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
def test_a_stalled_process_stands_still_and_goes_on_by_itself(born: Birth):
    child, other = born(), born()
    host = ProcessHost(child.pid)
    host.stall(200)
    child.await_stop()
    assert other.ask("hello") == "here"
    child.tell("hello")
    # It hears only because the stall ends without anybody's doing.
    assert child.hear() == "here"
    host.close()


@pytest.mark.hazard("H11")
def test_a_stall_is_ended_early(born: Birth):
    child = born()
    host = ProcessHost(child.pid)
    host.stall(86_400_000)
    child.await_stop()
    host.stall(0)
    assert child.ask("hello") == "here"
    host.close()


def test_close_lets_a_stalled_process_go_on(born: Birth):
    child = born()
    host = ProcessHost(child.pid)
    host.stall(86_400_000)
    host.close()
    assert child.ask("hello") == "here"


# --- disk -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H39")
@pytest.mark.parametrize("state", ["full", "read_only"])
def test_without_a_file_system_of_its_own_no_file_can_grow(born: Birth, tmp_path: Path, state: Any):  # noqa: ANN401
    child, other = born(tmp_path / "a"), born(tmp_path / "b")
    host = ProcessHost(child.pid, folder=tmp_path)
    assert child.ask("write 3") == 3
    host.disk(state)
    assert host.disk_error == child.ask("write 1") == "EFBIG"
    assert other.ask("write 1") == 1
    host.disk("ok")
    assert host.disk_error is None
    assert child.ask("write 3") == 3
    assert (tmp_path / "a").stat().st_size == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    host.close()


@pytest.mark.hazard("H39")
def test_a_file_system_of_its_own_is_filled_and_emptied(born: Birth, folder: Folder):
    child = born(folder.path / "a")
    host = ProcessHost(child.pid, folder=folder.path)
    host.disk("full")
    assert host.disk_error == child.ask("write 4096") == ("ENOSPC" if folder.is_own else "EFBIG")
    host.disk("ok")
    assert child.ask("write 4096") == 4_096
    assert not (folder.path / BALLAST).exists()
    host.disk("full")
    host.close()
    assert child.ask("write 4096") == 4_096


@pytest.mark.hazard("H39")
def test_a_file_system_of_its_own_is_made_read_only_while_no_file_in_it_is_open(born: Birth, folder: Folder):
    child = born(folder.path / "a")
    host = ProcessHost(child.pid, folder=folder.path)
    host.disk("read_only")
    # The system refuses while the file is open: the limit stands in for it.
    assert host.disk_error == child.ask("write 1") == "EFBIG"
    host.disk("ok")
    assert child.ask("close") is None
    host.disk("read_only")
    assert host.disk_error == ("EROFS" if folder.is_own else "EFBIG")
    assert child.ask("open") == ("EROFS" if folder.is_own else None)
    host.disk("ok")
    assert child.ask("open") is None
    assert child.ask("write 1") == 1
    host.close()


def test_a_file_system_that_others_may_need_is_not_filled(born: Birth, tmp_path: Path):
    # The root is a mount point, and no small one.
    root = os.statvfs("/")
    assert root.f_blocks * root.f_frsize > SMALL
    child = born(tmp_path / "a")
    host = ProcessHost(child.pid, folder=Path("/"))
    host.disk("full")
    assert host.disk_error == "EFBIG"
    assert not (Path("/") / BALLAST).exists()
    host.close()


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H31")
def test_memory_is_short_and_comes_back(born: Birth):
    child = born()
    host = ProcessHost(child.pid)
    usual = resource.prlimit(child.pid, resource.RLIMIT_AS)
    host.press(2**20)
    assert child.ask(f"take {2**27}") == "MemoryError"
    host.press(2**30)
    assert child.ask(f"take {2**27}") == 2**27
    host.press(None)
    assert resource.prlimit(child.pid, resource.RLIMIT_AS) == usual
    host.press(0)
    host.close()
    assert resource.prlimit(child.pid, resource.RLIMIT_AS) == usual
    assert child.ask(f"take {2**27}") == 2**27


# --- what it cannot do ------------------------------------------------------------------------------------------------


def test_what_no_system_permits_comes_from_the_harness_or_is_lacking(born: Birth):
    child = born()
    host = ProcessHost(child.pid)
    assert set(host.lacks) == {"jump", "broker", "flood"}
    host.close()
    told: list[object] = []
    host = ProcessHost(child.pid, jump=told.append, broker=told.append, flood=told.append)
    assert host.lacks == {}
    host.jump(-5)
    host.broker(away=True)
    host.flood(7)
    assert told == [-5, True, 7]
    host.close()


def test_a_process_that_has_ended_can_be_done_nothing_to(born: Birth):
    child = born()
    host = ProcessHost(child.pid)
    child.end()
    assert host.lacks["stall"] == host.lacks["disk"] == host.lacks["press"] == f"process {child.pid} has ended"
    host.stall(100)
    host.disk("full")
    host.press(1)
    host.close()
    with pytest.raises(NoHost, match=f"process {child.pid}: {os.strerror(errno.ESRCH)}"):
        ProcessHost(child.pid)


def test_the_bench_does_not_stop_itself():
    with pytest.raises(NoHost, match="is the bench itself"):
        ProcessHost(os.getpid())


# --- from the back door -----------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


async def test_a_process_is_named_at_the_back_door_and_freed_when_the_bench_ends(start: Start, born: Birth):
    child = born()
    process = start()
    async with await Control.open(process.ctl) as control:
        with pytest.raises(ControlError, match="no_host: fault='late_tick': it acts on"):
            await control.do("fault.inject", fault="late_tick")
        with pytest.raises(ControlError, match=r"no_host: process .* is the bench itself"):
            await control.do("host.set", pid=process.ready["pid"])
        assert set((await control.do("host.set", pid=child.pid))["lacks"]) == {"jump", "broker", "flood"}
        with pytest.raises(ControlError, match="no_host: fault='clock_jump': no process has a wall clock"):
            await control.do("fault.inject", fault="clock_jump")
        await control.do("fault.inject", fault="late_tick", ms=86_400_000)
        child.await_stop()
        await control.do("host.set")
        assert child.ask("hello") == "here"
        await control.do("host.set", pid=child.pid)
        await control.do("fault.inject", fault="late_tick", ms=86_400_000)
        child.await_stop()
    assert process.end()[0] == 0
    assert child.ask("hello") == "here"
