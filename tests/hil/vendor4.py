"""The maker's own client of a P24, unmodified, as a program: it tells in lines of JSON what it has done and heard.

    python -m tests.hil.vendor4 PORT session|silent|low

Every step waits for a line on standard input where the test has something to look at in between.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from science_mode_4.device_p24 import DeviceP24
from science_mode_4.low_level.low_level_types import LowLevelHighVoltageSource, LowLevelMode
from science_mode_4.mid_level.mid_level_types import MidLevelChannelConfiguration
from science_mode_4.protocol.channel_point import ChannelPoint
from science_mode_4.protocol.types import Channel, Connector
from science_mode_4.utils.serial_port_connection import SerialPortConnection

POINTS = [ChannelPoint(200, 20), ChannelPoint(100, 0), ChannelPoint(200, -20)]
CHANNELS = [MidLevelChannelConfiguration(True, 3, 20, POINTS), None, MidLevelChannelConfiguration(True, 0, 25, POINTS)]


def say(**words: object) -> None:
    """One line to the test."""
    print(json.dumps(words), flush=True)  # noqa: T201 - this program's whole output


async def told() -> None:
    """Wait for one line of the test."""
    await asyncio.to_thread(sys.stdin.readline)


async def session(device: DeviceP24) -> None:
    """Init, update, keep alive, stop."""
    general, mid = device.get_layer_general(), device.get_layer_mid_level()
    await device.initialize()
    say(id=general.device_id, firmware=general.firmware_version, protocol=general.science_mode_version)
    await mid.init(True)
    await mid.update(CHANNELS)
    status = await general.get_stim_status()
    say(status=status.stim_status.name, high_voltage=status.high_voltage_on)
    for _ in range(4):
        await told()
        await kept(device)
    await mid.stop()
    status = await general.get_stim_status()
    say(status=status.stim_status.name, high_voltage=status.high_voltage_on)


async def kept(device: DeviceP24) -> None:
    """One keep-alive."""
    data = await device.get_layer_mid_level().get_current_data()
    errors = [error.name for error in data.channel_error]
    say(active=data.is_stimulation_active_per_channel, errors=errors)


async def silent(device: DeviceP24) -> None:
    """Init and update, and then nothing until the test says so; then ask again and again."""
    await device.initialize()
    await device.get_layer_mid_level().init(True)
    await device.get_layer_mid_level().update(CHANNELS)
    say(updated=True)
    await told()
    for _ in range(5):
        await kept(device)
    await told()


async def low(device: DeviceP24) -> None:
    """One pulse on each of two channels with the current measured, and then with the voltage."""
    await device.initialize()
    layer = device.get_layer_low_level()
    for mode in (LowLevelMode.STIM_CURRENT, LowLevelMode.STIM_VOLTAGE):
        await layer.init(mode, LowLevelHighVoltageSource.STANDARD)
        for connector, channel in ((Connector.YELLOW, Channel.RED), (Connector.GREEN, Channel.WHITE)):
            layer.send_channel_config(True, channel, connector, POINTS)
            while (ack := layer.packet_buffer.get_packet_from_buffer()) is None:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            say(
                result=ack.result.name, connector=ack.connector, channel=ack.channel, mode=ack.mode.name,
                every_us=ack.sampling_time_in_microseconds, samples=ack.measurement_samples,
            )  # fmt: skip
        await layer.stop()


MODES: dict[str, Callable[[DeviceP24], Awaitable[None]]] = {"session": session, "silent": silent, "low": low}


async def main(port: str, mode: str) -> None:
    """Open the port and do it."""
    connection = SerialPortConnection(port)
    connection.open()
    await MODES[mode](DeviceP24(connection))
    connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
