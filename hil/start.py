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
from typing import Any

from rich.console import Console
from rich.table import Table

from hil.bench import Bench
from hil.body import SETTINGS, Skin
from hil.clock import boottime_us
from hil.control import served
from hil.devices.device import Build, Kind
from hil.devices.kinds import KINDS
from hil.emulate import Emulator
from hil.settings import BadSetting, Value, read, read_all
from hil.wire import Pty


def print_switches(kind: Kind) -> None:
    """Print what the documents of a kind of device leave open, and what the emulator does unless told otherwise."""
    table = Table(show_lines=True)
    table.add_column("switch", no_wrap=True)
    table.add_column("what it decides")
    table.add_column("expected")
    for key, setting in kind.switches.items():
        table.add_row(f"{key}={json.dumps(setting.default)}", setting.text, setting.expected)
    Console().print(table, markup=False)


def kind(name: str) -> Kind:
    """The kind of device of a name; raises BadSetting."""
    if name not in KINDS:
        raise BadSetting("device", name, ", ".join(KINDS))
    return KINDS[name]


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
    return indices, read(SETTINGS, {name: _value(text)})


def _value(text: str) -> object:
    try:
        return None if text == "none" else json.loads(text)
    except ValueError:
        return text


def switches(kind: Kind, given: Iterable[str]) -> dict[str, Value]:
    """The switches of a kind of device from KEY=VALUE, later ones winning; raises BadSetting."""
    values: dict[str, object] = {}
    for setting in given:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BadSetting("set", setting, "KEY=VALUE")
        values[name] = _value(text)
    return read_all(kind.switches, values)


def run(device: Build, bodies: list[Skin], link: Path, control: Path | None, *, seed: int, until_eof: bool) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends; raises InUse and OSError."""
    asyncio.run(_serve(Bench(device, bodies, boottime_us(), seed), link, control, until_eof=until_eof))


async def _serve(bench: Bench, link: Path, control: Path | None, *, until_eof: bool) -> None:
    ended = told_to_end(until_eof=until_eof)
    async with AsyncExitStack() as stack:
        emulator = Emulator(bench, Pty(link))
        stack.callback(emulator.stop)
        # A controller that a fault holds must not be left so.
        stack.callback(bench.faults.clear_all)
        if control:
            await stack.enter_async_context(served(emulator, control))
        emulator.start()
        ready(link, control=control and str(control), serial=bench.device.badge()["serial"])
        await ended.wait()


def ready(link: Path, **more: object) -> None:
    """Tell whoever started this program that the port is there: the one line that the starter waits for."""
    print("ready", json.dumps({"link": str(link), "pid": os.getpid(), **more}), flush=True)  # noqa: T201


def told_to_end(*, until_eof: bool) -> asyncio.Event:
    """What SIGTERM and SIGINT set, and the end of standard input where that counts; needs a running event loop."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until_eof:
        _at_eof(lambda: loop.call_soon_threadsafe(ended.set))
    return ended


def _at_eof(act: Callable[[], object]) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        act()

    # A thread, because an event loop cannot watch a file or /dev/null.
    threading.Thread(target=watch, daemon=True).start()
