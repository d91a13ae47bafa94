"""P8: a keep-alive and its answer on an emulated P24 over a pty, by our driver and by the maker's own client.

The emulator is a process of its own; both hosts run in this one and take turns, so whatever slows one slows the other.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from science_mode_4.device_p24 import DeviceP24
from science_mode_4.mid_level.mid_level_types import MidLevelChannelConfiguration
from science_mode_4.protocol.channel_point import ChannelPoint
from science_mode_4.utils.serial_port_connection import SerialPortConnection

sys.path.insert(0, str(Path(__file__).parents[2]))

from controller.devices.base import Order
from controller.devices.sciencemode4 import open_sciencemode4
from safety.effects import Arm, Drive, Envelope, Feed, Grant
from safety.messages import Event, Heard
from safety.times import SCIENCEMODE4
from safety.waveform import Picture, Train
from tests.hil.process import starting

CALLS = 200
VENDOR, OURS = "control: the maker's client", "P8: our driver"
POINTS = [ChannelPoint(200, 20), ChannelPoint(100, 0), ChannelPoint(200, -20)]
FOR_EVER_MS = 1 << 60


def measured(repetitions: int) -> dict[str, list[list[float]]]:
    """Give the microseconds of each call, by host and by repetition."""
    times: dict[str, list[list[float]]] = {VENDOR: [], OURS: []}
    # Theirs logs every call; what that costs is not what is measured.
    logging.getLogger("science_mode_4").setLevel(logging.WARNING)
    with TemporaryDirectory() as folder, starting(Path(folder)) as start:
        port = str(start("--device", "sciencemode4").link)
        for _ in range(repetitions):
            times[VENDOR].append(asyncio.run(vendors(port)))
            times[OURS].append(asyncio.run(ours(port)))
    return times


async def vendors(port: str) -> list[float]:
    """Time the maker's client, from its request to its parsed answer."""
    connection = SerialPortConnection(port)
    connection.open()
    device = DeviceP24(connection)
    await device.initialize()
    layer = device.get_layer_mid_level()
    await layer.init(True)
    await layer.update([MidLevelChannelConfiguration(True, 0, 29, POINTS)])
    times = await timed(layer.get_current_data)
    await layer.stop()
    connection.close()
    return times


async def ours(port: str) -> list[float]:
    """Time our driver, from the core's effect to the core's event."""
    events: asyncio.Queue[Event] = asyncio.Queue()
    driver = await open_sciencemode4(port, SCIENCEMODE4, events.put_nowait)
    await driver.connect()
    seq = 0

    async def does(order: Callable[[Grant], Order]) -> None:
        nonlocal seq
        seq += 1
        driver.send(order(Grant(1, seq, FOR_EVER_MS)))
        while True:
            answer = await events.get()
            assert isinstance(answer, Heard), answer
            if answer.grant == seq:
                return

    await does(lambda grant: Arm(grant, (Envelope(1, 20_000, 200, 29_000, 1 << 40),), 60_000))
    await does(lambda grant: Drive(grant, Picture((Train(1, 20_000, 200, 100, 29_000),))))
    times = await timed(lambda: does(Feed))
    await driver.close()
    return times


async def timed(call: Callable[[], Awaitable[object]]) -> list[float]:
    """Time each of CALLS calls, one after the other."""
    out = []
    for _ in range(CALLS):
        begin = time.perf_counter_ns()
        await call()
        out.append((time.perf_counter_ns() - begin) / 1000)
    return out
