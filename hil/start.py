"""Puts a bench together from the options of the command line, and runs it until it is told to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from secrets import randbits
from typing import Any

from rich.console import Console
from rich.table import Table

from hil.bench import Bench
from hil.body import SETTINGS, Skin
from hil.clock import boottime_us
from hil.control import served
from hil.devices.native_words import Fitted, Identity
from hil.emulate import Emulator
from hil.faults import FAULTS
from hil.settings import BadSetting, read
from hil.wire import Pty


def print_faults() -> None:
    """Print the table of faults."""
    table = Table(show_lines=True)
    table.add_column("fault, settings", no_wrap=True)
    table.add_column("what it does")
    table.add_column("what a correct controller does")
    for entry in FAULTS.values():
        settings = [f"  {key}={json.dumps(setting.default)}" for key, setting in entry.settings.items()]
        name = "\n".join([f"{entry.id} ({entry.layer})", *settings])
        table.add_row(name, entry.text, f"{entry.correct} [{', '.join(entry.hazards)}]")
    Console().print(table, markup=False)


def skins(given: Iterable[str], channels: int) -> list[Skin]:
    """Bodies from KEY=VALUE and CHANNEL.KEY=VALUE, later ones winning; raises BadSetting."""
    made = [Skin()] * channels
    for setting in given:
        indices, changes = _change(setting, channels)
        for index in indices:
            made[index] = replace(made[index], **changes)
    return made


def _change(setting: str, channels: int) -> tuple[Iterable[int], dict[str, Any]]:
    name, equals, text = setting.partition("=")
    if not equals:
        raise BadSetting("body", setting, "KEY=VALUE or CHANNEL.KEY=VALUE")
    indices: Iterable[int] = range(channels)
    head, point, tail = name.partition(".")
    if point:
        if head not in map(str, range(1, channels + 1)):
            raise BadSetting("body", setting, f"a channel from 1 to {channels} before the point")
        indices, name = [int(head) - 1], tail
    try:
        value = None if text == "none" else json.loads(text)
    except ValueError:
        value = text
    return indices, read(SETTINGS, {name: value})


def identity(serial: str, channels: int, *, clinical: bool) -> Identity:
    """The device that the emulator plays; raises BadSetting."""
    if not 1 <= channels <= 8:
        raise BadSetting("channels", channels, "a whole number from 1 to 8")
    if not 1 <= len(serial) <= 16 or not serial.isascii() or not serial.isprintable():
        raise BadSetting("serial", serial, "1 to 16 printable ASCII characters")
    # The boot number follows no seed: it must differ from one start to the next.
    usual = Identity(serial=serial, channels=channels, boot=randbits(32))
    return replace(usual, flags=usual.flags & ~Fitted.EMULATOR) if clinical else usual


def run(device: Identity, bodies: list[Skin], link: Path, control: Path | None, *, seed: int, until_eof: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends; raises InUse and OSError."""
    asyncio.run(_serve(Bench(device, bodies, boottime_us(), seed), link, control, device.serial, until_eof=until_eof))


async def _serve(bench: Bench, link: Path, control: Path | None, serial: str, *, until_eof: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        emulator = Emulator(bench, Pty(link))
        stack.callback(emulator.stop)
        if control:
            await stack.enter_async_context(served(emulator, control))
        emulator.start()
        ready = {"link": str(link), "control": control and str(control), "pid": os.getpid(), "serial": serial}
        print("ready", json.dumps(ready), flush=True)  # noqa: T201 - the one line that the starter waits for
        if until_eof:
            _at_eof(lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()


def _at_eof(act: Callable[[], object]) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    # A thread, because an event loop cannot watch a file or /dev/null.
    threading.Thread(target=watch, daemon=True).start()
