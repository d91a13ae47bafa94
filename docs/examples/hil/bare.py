"""A script as one writes it on a P24 in an afternoon: 20 mA on channel 1 until a line comes. It has three faults.

    python bare.py PORT

It works on the desk. `test_bare.py` shows what it does when something goes wrong. Connect nobody to it.
"""

from __future__ import annotations

import asyncio
import sys

from science_mode_4.device_p24 import DeviceP24
from science_mode_4.mid_level.mid_level_types import MidLevelChannelConfiguration
from science_mode_4.protocol.channel_point import ChannelPoint
from science_mode_4.protocol.exceptions import ProtocolError
from science_mode_4.utils.serial_port_connection import SerialPortConnection

PULSE = [ChannelPoint(200, 20), ChannelPoint(100, 0), ChannelPoint(200, -20)]
CHANNELS = [MidLevelChannelConfiguration(True, 3, 20, PULSE)]


async def main(port: str) -> None:
    """Stimulate until somebody presses Enter."""
    connection = SerialPortConnection(port)
    connection.open()
    device = DeviceP24(connection)
    mid = device.get_layer_mid_level()
    await device.initialize()
    await mid.init(True)
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    print("running", flush=True)  # noqa: T201 - the starter waits for it
    while not told.done():
        try:
            async with asyncio.timeout(0.5):
                # "So that it never times out": every turn sends the current anew, and never asks how the pads are.
                await mid.update(CHANNELS)
        except (ProtocolError, TimeoutError):
            # "It works the second time."
            continue
        await asyncio.sleep(0.2)
    await mid.stop()
    connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
