"""The programs that the demo starts: each a child of its own that is watched, and ended on every way out."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

LAST_LINES = 12
"""Lines of a child's output that are kept to be shown when it dies."""
LONGEST_LINE = 2**20
PATIENCE_S = 30.0
"""How long a child may take to be ready: a slow machine with other work has to manage (engineering default)."""
FAREWELL_S = 5.0
"""How long a child that was asked to end may take before it is killed (engineering default)."""

Result = TypeVar("Result")


class ChildError(Exception):
    """A child could not be started, was not ready in time, or ended by itself; the text holds its last lines."""


def leashed(module: str, *arguments: str) -> list[str]:
    """Give the command that runs a module for as long as its standard input stays open."""
    return [sys.executable, "-m", "controller.demo.leashed", module, *arguments]


def emulator(kind: str, link: Path, control: Path, serial: str) -> list[str]:
    """Give the command of an emulated stimulator of a kind; it ends with its standard input."""
    script = Path(sys.executable).with_name("stimwarden-hil")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "hil.cli"]
    options = ["--device", kind, "--link", str(link), "--control", str(control), "--serial", serial]
    return [*program, "emulate", *options, "--until-eof"]


class Child:
    """A program that was started; what it says is read, and its last lines are kept."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._spoke = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def said(self, start: str) -> str:
        """Wait for a line that begins so, and give the rest of it. Raises ChildError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    for line in self._lines:
                        if line.startswith(start):
                            return line.removeprefix(start).strip()
                    if self._reading.done():
                        await self.ended()
                    self._spoke.clear()
                    await self._spoke.wait()
        raise ChildError(self._report(f"said no {start!r} within {PATIENCE_S:g} s"))

    async def ended(self) -> None:
        """Wait until it ends by itself, which is an error. Raises ChildError."""
        status = await self._process.wait()
        await self._reading
        raise ChildError(self._report(f"ended by itself with status {status}"))

    async def end(self) -> None:
        """Ask it to end, wait for that, and kill it where it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        if self._process.stdout is None:
            return
        async for line in self._process.stdout:
            self._lines.append(line.decode(errors="replace").rstrip())
            self._spoke.set()
        self._spoke.set()

    def _report(self, what: str) -> str:
        lines = "\n".join(f"    {line}" for line in self._lines)
        return f"{self.name} {what}" + (f"; its last lines:\n{lines}" if lines else " and said nothing.")


class Family:
    """All children of one demo."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    async def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a child out of reach of the terminal's Ctrl-C, so that all end in order. Raises ChildError."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LONGEST_LINE,
                env=environment(),
                process_group=0,
            )
        except OSError as error:
            raise ChildError(f"{name} could not be started: {error}") from error
        child = Child(name, process)
        self.children.append(child)
        return child

    async def while_alive(self, work: Coroutine[None, None, Result]) -> Result:
        """Do some work, and give it up as soon as a child ends by itself. Raises ChildError."""
        task = asyncio.create_task(work)
        watches = [asyncio.create_task(child.ended()) for child in self.children]
        try:
            await asyncio.wait([task, *watches], return_when=asyncio.FIRST_COMPLETED)
            for watch in watches:
                if watch.done():
                    await watch
            return await task
        finally:
            for each in (task, *watches):
                each.cancel()
            await asyncio.gather(task, *watches, return_exceptions=True)

    async def end(self) -> None:
        """End every child, the last one started first."""
        for child in reversed(self.children):
            await child.end()
        self.children.clear()


@asynccontextmanager
async def family() -> AsyncIterator[Family]:
    """Children that live no longer than the context."""
    found = Family()
    try:
        yield found
    finally:
        # A second Ctrl-C must not leave anybody behind.
        await asyncio.shield(found.end())


def end_on_signals() -> None:
    """Let SIGTERM and a terminal that is closed end this program as Ctrl-C does: by cancelling its task."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def environment() -> dict[str, str]:
    """Give the surroundings of a child: ours without settings of a service that is meant by them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STIMWARDEN_")}
