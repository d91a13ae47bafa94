"""What the shell needs of any stimulator."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from controller.host import HOST, Host
from safety.effects import Arm, Ask, Drive, Feed, Probe
from safety.messages import DeviceUp, Event
from safety.times import Times
from safety.waveform import Picture

Order = Ask | Arm | Drive | Feed | Probe
"""The effects that go to the device: one frame each, or a script that acknowledgements carry on (ADR 0012)."""

OnEvent = Callable[[Event], None]


class DeviceError(Exception):
    """The device, or the use made of its driver, is wrong.

    `code` is stable: DEV.SILENT, DEV.DAMAGED, DEV.LOST, DEV.NAK, DEV.PROTOCOL, DEV.UNFIT, DEV.NOT_STOPPED; SYS.INTERNAL
    where the fault is our own. The text is for people.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotRepresentable(Exception):  # noqa: N818 - it names what a picture is, not what went wrong
    """The device cannot give this train: `value` of `field` lies outside `low` to `high`."""

    def __init__(self, channel: int, field: str, value: int, low: int, high: int) -> None:
        super().__init__(f"channel {channel}: {field} = {value} is not within {low} to {high}")
        self.channel = channel
        self.field = field
        self.value = value
        self.low = low
        self.high = high


class Stimulator(Protocol):
    """A driver with an open line to one device. Everything it hears goes to the `on_event` it was made with."""

    async def connect(self) -> DeviceUp:
        """Stop the output, then learn who the device is. Raises DeviceError, with the output told to stop once more."""

    def quantise(self, picture: Picture) -> Picture:
        """Round a picture to the device's steps: current and width down, period up. Raises NotRepresentable."""

    def send(self, effect: Order) -> None:
        """Write the first or only frame of it, once; a lost line is told by DeviceDown.

        Nothing that energises was written when it raises. Raises NotRepresentable, DeviceError.
        """

    def silence(self, *, cut: bool) -> None:
        """Stop the output before anything else is sent, at once; `cut` also opens the relay or drops the line."""

    async def selftest(self) -> int:
        """Let the device test itself; 0 when passed. Raises DeviceError."""

    async def close(self) -> None:
        """Stop the output and release the line; nothing is heard any more."""


class OpenDriver(Protocol):
    """How a driver is made."""

    def __call__(self, port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> Awaitable[Stimulator]:
        """Open the line to a device on a computer. Raises LinkError."""
