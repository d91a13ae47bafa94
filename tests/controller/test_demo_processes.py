"""The demo's children: started, watched, and ended on every way out. Real processes throughout."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from controller.demo import processes
from controller.demo.processes import Child, ChildError, Family, emulator, family, leashed

Until = Callable[[Callable[[], object]], Awaitable[None]]

PYTHON = [sys.executable, "-u", "-c"]
WAITS = "import sys; print('ready', 7); sys.stdin.read()"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(1000)"
DIES = "import time; print('first'); print('last'); time.sleep({}); raise SystemExit(3)"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def never() -> None:
    await asyncio.Event().wait()


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


# One child


async def test_a_child_is_ready_when_it_says_so() -> None:
    async with family() as children:
        child = await children.start("waiter", [*PYTHON, WAITS])
        assert await child.said("ready") == "7"
        assert is_alive(child.pid)
    assert not is_alive(child.pid)


async def test_a_child_that_dies_before_it_is_ready_is_told_with_its_last_lines() -> None:
    async with family() as children:
        child = await children.start("service", [*PYTHON, DIES.format(0)])
        with pytest.raises(ChildError) as told:
            await child.said("ready")
    assert str(told.value) == "service ended by itself with status 3; its last lines:\n    first\n    last"


async def test_what_a_child_says_on_standard_error_is_kept_too() -> None:
    async with family() as children:
        child = await children.start(
            "service", [*PYTHON, "import sys; sys.stderr.write('no such port\\n'); sys.exit(2)"]
        )
        with pytest.raises(ChildError, match="status 2; its last lines:\n    no such port"):
            await child.ended()


async def test_only_the_last_lines_are_kept() -> None:
    async with family() as children:
        child = await children.start("talker", [*PYTHON, "for n in range(100): print('line', n)"])
        with pytest.raises(ChildError) as told:
            await child.ended()
    lines = [f"    line {n}" for n in range(100 - processes.LAST_LINES, 100)]
    assert str(told.value).splitlines()[1:] == lines


async def test_a_child_that_says_nothing_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 0.1)
    async with family() as children:
        child = await children.start("mute", [*PYTHON, "import sys; sys.stdin.read()"])
        with pytest.raises(ChildError, match=r"mute said no 'ready' within 0\.1 s and said nothing"):
            await child.said("ready")


async def test_a_program_that_is_not_there_is_told() -> None:
    async with family() as children:
        with pytest.raises(ChildError, match="nobody could not be started"):
            await children.start("nobody", ["/nowhere/program"])


async def test_a_line_of_any_length_does_not_block_a_child() -> None:
    async with family() as children:
        child = await children.start("shouter", [*PYTHON, "print('x' * 500_000); print('ready')"])
        assert await child.said("ready") == ""


async def test_a_child_that_ignores_the_request_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FAREWELL_S", 0.2)
    async with family() as children:
        child = await children.start("stubborn", [*PYTHON, STUBBORN])
        await child.said("ready")
    assert not is_alive(child.pid)


async def test_a_child_is_out_of_reach_of_the_terminal_and_of_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STIMWARDEN_BROKER__PORT", "1")
    script = "import os; print('ready', os.getpgid(0), os.environ.get('STIMWARDEN_BROKER__PORT'), 'PATH' in os.environ)"
    async with family() as children:
        child = await children.start("child", [*PYTHON, script])
        assert (await child.said("ready")).split() == [str(child.pid), "None", "True"]


# A family


async def started(children: Family, *scripts: str) -> list[Child]:
    return [await children.start(f"child {place}", [*PYTHON, script]) for place, script in enumerate(scripts)]


async def test_work_gives_its_result_while_all_children_live() -> None:
    async with family() as children:
        await started(children, WAITS, WAITS)
        assert await children.while_alive(seven()) == 7


async def test_work_is_given_up_when_a_child_ends_by_itself() -> None:
    given_up = asyncio.Event()

    async def work() -> None:
        try:
            await never()
        finally:
            given_up.set()

    async with family() as children:
        await started(children, WAITS, DIES.format(0.1))
        with pytest.raises(ChildError, match="child 1 ended by itself with status 3"):
            await children.while_alive(work())
    assert given_up.is_set()


async def test_what_goes_wrong_in_the_work_is_told_as_it_is() -> None:
    async def work() -> None:
        raise EOFError("gone")

    async with family() as children:
        await started(children, WAITS)
        with pytest.raises(EOFError, match="gone"):
            await children.while_alive(work())


@pytest.mark.parametrize("cancelled", [False, True])
async def test_no_child_outlives_its_family(cancelled: bool, until: Until) -> None:
    pids: list[int] = []

    async def live() -> None:
        async with family() as children:
            pids.extend(child.pid for child in await started(children, WAITS, WAITS, WAITS))
            if not cancelled:
                raise RuntimeError
            await children.while_alive(never())

    task = asyncio.create_task(live())
    await until(lambda: len(pids) == 3)
    if cancelled:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [is_alive(pid) for pid in pids] == [False] * 3


async def test_the_last_one_started_is_ended_first() -> None:
    ended: list[str] = []

    class Noting(Child):
        async def end(self) -> None:
            ended.append(self.name)
            await super().end()

    async with family() as children:
        await started(children, WAITS, WAITS)
        for child in children.children:
            child.__class__ = Noting
    assert ended == ["child 1", "child 0"]


# The leash


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], list[str]]:
    """Put a module on the path; gives the command that runs it on a leash."""

    def write(script: str) -> list[str]:
        (tmp_path / "leashed_sample.py").write_text(script, encoding="utf-8")
        return ["env", f"PYTHONPATH={tmp_path}", *leashed("leashed_sample", "--word", "x")]

    return write


def test_a_leashed_module_gets_its_arguments_and_gives_its_status(module: Callable[[str], list[str]]) -> None:
    command = module("import sys\nprint(__name__, *sys.argv[1:])\nsys.exit(4)\n")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.read() == "__main__ --word x\n"
        assert child.wait(30) == 4


def test_a_leashed_module_is_asked_to_end_when_its_input_ends(module: Callable[[str], list[str]]) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    with subprocess.Popen(module(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.stdin.close()
        assert child.wait(30) == 5


def test_a_leashed_module_ends_with_a_parent_that_was_killed(module: Callable[[str], list[str]]) -> None:
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [*PYTHON, parent, *module("import time\nwhile True: time.sleep(0.05)\n")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as family_head:
        assert family_head.stdout is not None
        pid = int(family_head.stdout.readline())
        leash = os.pidfd_open(pid)
        family_head.send_signal(signal.SIGKILL)
    # The pipe to the child closes with its parent; its descriptor becomes readable when the child is gone.
    with os.fdopen(leash) as handle:
        assert select.select([handle], [], [], 30)[0] == [handle]


def test_the_emulator_is_found_beside_the_interpreter_or_as_a_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ["emulate", "--device", "native", "--link", "a", "--control", "b", "--serial", "c", "--until-eof"]
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    command = emulator("native", Path("a"), Path("b"), "c")
    assert command == [str(tmp_path / "python"), "-m", "hil.cli", *options]
    (tmp_path / "stimwarden-hil").touch()
    command = emulator("native", Path("a"), Path("b"), "c")
    assert command == [str(tmp_path / "stimwarden-hil"), *options]
