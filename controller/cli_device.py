"""`stimwarden device`: one stimulator, without the service."""

from pathlib import Path

from safety.messages import DeviceUp, Event

from .cli_errors import FailureError, MisuseError
from .devices import DRIVERS
from .policy import TIMES
from .settings import DeviceTable, Settings, load

PARTS = ("memory", "output stage (current with the output off)", "relay", "measurement")
"""What the bits of a self-test's result mean (docs/native-protocol.md, SELFTESTED)."""


async def selftest(config: Path, wanted: str | None) -> int:
    """Let a device test itself and say what it found."""
    device = device_of(load(config), wanted)
    driver = await DRIVERS[device.driver](device.port, TIMES[device.driver], ignore)
    try:
        up = await driver.connect()
        result = await driver.selftest()
    finally:
        await driver.close()
    print(f"{device.id}: {words_of(up)}")
    if result:
        failed = [part for bit, part in enumerate(PARTS) if result >> bit & 1] or ["something that it has no name for"]
        raise FailureError(f"{device.id}: the self-test FAILED: {', '.join(failed)}. Take it out of service.")
    print(f"{device.id}: the self-test passed")
    return 0


def device_of(settings: Settings, wanted: str | None) -> DeviceTable:
    """Find a device in the settings; none named means the only one. Raises MisuseError."""
    known = {device.id: device for device in settings.device}
    if wanted is None and len(known) == 1:
        return settings.device[0]
    if wanted not in known:
        asked = "which device?" if wanted is None else f"--device {wanted}: no such device;"
        raise MisuseError(f"{asked} the settings name {', '.join(known)}")
    return known[wanted]


def words_of(up: DeviceUp) -> str:
    """Say who a device is."""
    who, kind = up.identity, "emulator" if up.identity.emulator else "device"
    firmware = f"firmware {who.firmware}, {up.caps.channels} channels, dead man {up.caps.dead_man_ms} ms"
    return f"{kind} {who.model} {who.serial}, {firmware}"


def ignore(_event: Event) -> None:
    """Hear what a device says unasked; nothing flows here that it could be about."""
