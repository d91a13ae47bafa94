"""What was measured to be wrong with pysciencemode 1.1.5 is right here (DRIVERS.md); the rest stands beside its kind.

Its keep-alive is a thread that outlives the application: here the device's watchdog ends the output. Check sum, length
and number of what it receives, its results and its silence: test_sciencemode2_hear.py, _send.py and _connect.py;
truncated currents: test_sciencemode2_station.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controller.devices.sciencemode2 import open_sciencemode2
from hil.bench import Bench
from hil.body import Skin
from hil.clock import boottime_us
from hil.devices.device import Asked
from hil.devices.sciencemode2 import SCIENCEMODE2
from hil.devices.sciencemode2_words import Mode
from hil.emulate import Emulator
from hil.wire import Pty
from safety.effects import Arm, Drive
from safety.messages import DeviceState, Event, Heard
from safety.waveform import Picture
from tests.controller.peer import until
from tests.controller.sciencemode2.bench import ENVELOPE, ON, PATIENT
from tests.controller.sciencemode2.bench import Bench as Script

WATCHDOG_US = 1_200_000
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    """An emulated RehaStim2 on a body, at the end of a pty."""
    bench = Bench(SCIENCEMODE2.plan(Asked("E2", 8)), [Skin()] * 8, boottime_us())
    emulator = Emulator(bench, Pty(tmp_path / "line"))
    emulator.start()
    yield emulator
    emulator.stop()


def last_frame_us(emulator: Emulator) -> int:
    """When the last bytes reached the device."""
    return max(at_us for at_us, direction, _ in emulator.bench.tape.since(0) if direction == "to_device")


def mode(emulator: Emulator) -> Mode:
    emulator.touch()
    found: Mode = emulator.bench.device.model.mode  # type: ignore[attr-defined]
    return found


async def crash(process: Process) -> None:
    """An error gets out of the loop that keeps the device alive; the process then ends by itself."""
    assert process.stdin
    process.stdin.write(b"raise\n")
    assert await process.wait() == 1


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def freeze(process: Process) -> None:
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0)


@pytest.mark.rule("X9")
@pytest.mark.hazard("H11")
@pytest.mark.parametrize("end", [crash, kill, freeze])
async def test_when_the_application_is_gone_the_watchdog_ends_the_output(
    emulator: Emulator, tmp_path: Path, end: Callable[[Process], AsyncIterator[None]]
) -> None:
    child = [sys.executable, "-m", "tests.controller.sciencemode2.application", str(tmp_path / "line")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *child, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT, env=environment
    )
    try:
        assert process.stdout
        assert await process.stdout.readline() == b"driving\n"
        await end(process)  # type: ignore[misc]
        await until(lambda: mode(emulator) is Mode.START)
        pulses = emulator.bench.scope.pulses(1, 0)
        assert max(trace.at_us for trace in pulses) <= last_frame_us(emulator) + WATCHDOG_US
        assert emulator.bench.device.inside(emulator.touch())["is_connected"] is False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.rule("X9")
@pytest.mark.hazard("H11")
async def test_nothing_in_the_driver_keeps_the_device_alive(emulator: Emulator, tmp_path: Path) -> None:
    events: list[Event] = []
    driver = await open_sciencemode2(str(tmp_path / "line"), PATIENT, events.append)
    await driver.connect()
    script = Script(None, driver, events)  # type: ignore[arg-type]
    driver.send(Arm(script.grant(), (ENVELOPE,), 60_000))
    armed = await script.told()
    assert isinstance(armed, Heard)
    assert armed.status.state is DeviceState.ARMED
    threads, tasks = threading.enumerate(), asyncio.all_tasks()
    driver.send(Drive(script.grant(), Picture((ON,))))
    await until(lambda: events)
    driven_us = last_frame_us(emulator)
    # It is not fed; the first thing that then happens on this line is the device's Init.
    await until(lambda: len(events) == 2)
    assert [event.status.state for event in events if isinstance(event, Heard)] == [
        DeviceState.RUNNING,
        DeviceState.STOPPED,
    ]
    frames = [at_us for at_us, direction, _ in emulator.bench.tape.since(0) if direction == "to_device"]
    assert [at_us for at_us in frames if driven_us < at_us < driven_us + WATCHDOG_US] == []
    assert (threading.enumerate(), asyncio.all_tasks()) == (threads, tasks)
    await driver.close()
