"""The emulator as a process of its own, for tests that meet it as a user does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "hil.cli"]
SECONDS = 30
"""Far more than anything here takes."""


class Running:
    """A command that serves a port and has said that it is ready."""

    def __init__(self, *words: str, stdin: int = subprocess.DEVNULL) -> None:
        self.popen = subprocess.Popen(
            [*COMMAND, *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.popen.stdout is not None
        word, _, rest = self.popen.stdout.readline().partition(" ")
        assert word == "ready"
        self.ready: dict[str, Any] = json.loads(rest)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and wait; gives exit code, the rest of the output, and the errors."""
        self.popen.send_signal(how)
        out, errors = self.popen.communicate(timeout=SECONDS)
        return self.popen.returncode, out, errors

    def kill(self) -> None:
        """Leave nothing of it."""
        if self.popen.poll() is None:
            self.popen.kill()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                pipe.close()
        self.popen.wait(SECONDS)


class Process(Running):
    """A running emulator."""

    def __init__(self, folder: Path, *options: str, stdin: int = subprocess.DEVNULL) -> None:
        self.link, self.ctl = folder / "tty", folder / "ctl"
        super().__init__("emulate", "--link", str(self.link), "--control", str(self.ctl), *options, stdin=stdin)


Start = Callable[..., Process]


@contextmanager
def starting(usual: Path) -> Iterator[Start]:
    """A function that starts emulators, in this folder unless told; none outlives the context."""
    with ExitStack() as stack:

        def start(*options: str, folder: Path = usual, stdin: int = subprocess.DEVNULL) -> Process:
            process = Process(folder, *options, stdin=stdin)
            stack.callback(process.kill)
            return process

        yield start


def said(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a short command, frames and line breaks taken out."""
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT
    )
    return done.returncode, done.stdout, " ".join(done.stderr.translate(dict.fromkeys(map(ord, "│╭╮╰╯─"), " ")).split())
