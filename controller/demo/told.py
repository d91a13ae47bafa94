"""What a host tells a stimulator, read off the serial tape of each protocol: it is armed, driven, stopped."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import NamedTuple

from controller.devices import native_codec, sciencemode2_codec, sciencemode4_codec
from controller.devices import native_frames as native
from controller.devices import sciencemode2_frames as sm2
from controller.devices import sciencemode4_frames as sm4


class Said(Enum):
    """What a frame says that is no picture."""

    ARMED = auto()
    ENDED = auto()


Word = Said | Mapping[int, int]
"""One word of a host: as above, or the current of each channel in uA that a picture drives."""
Read = Callable[[bytes], Iterator[Word]]
"""Takes the bytes to a device as they came, and gives the words that end in them."""


class Command(NamedTuple):
    """What the host wanted from a moment of the boot clock on: a current, or (None) the end of all output by a stop."""

    at_us: int
    ua: int | None


def reads_native() -> Read:
    """Read the native protocol."""
    receiver = native_codec.Receiver(native.HOST)

    def read(data: bytes) -> Iterator[Word]:
        for item in receiver.feed(data):
            match item:
                case native_codec.Received(frame=native.Arm()):
                    yield Said.ARMED
                case native_codec.Received(frame=native.Drive(trains=trains)):
                    yield {train.channel: train.ua for train in trains}
                case native_codec.Received(frame=native.Stop() | native.Cut() | native.Hello()):
                    yield Said.ENDED

    return read


def reads_sciencemode4() -> Read:
    """Read ScienceMode 4; the test pulses of its low level are no pictures."""
    receiver = sciencemode4_codec.Receiver()

    def read(data: bytes) -> Iterator[Word]:
        for item in receiver.feed(data):
            if isinstance(item, sciencemode4_codec.Packet):
                match sm4.read_request(item.command, item.payload):
                    case sm4.MidInit():
                        yield Said.ARMED
                    case sm4.MidUpdate(patterns=patterns):
                        yield {each.channel: max(point.ua for point in each.points) for each in patterns}
                    case sm4.MidStop() | sm4.LowStop():
                        yield Said.ENDED

    return read


def reads_sciencemode2() -> Read:
    """Read ScienceMode 2; a picture names no channels, but those of the list that was made before it."""
    receiver = sciencemode2_codec.Receiver(sm2.HOST)
    channels: list[int] = []

    def read(data: bytes) -> Iterator[Word]:
        for item in receiver.feed(data):
            match item:
                case sciencemode2_codec.Received(frame=sm2.InitChannelListMode(mask=mask)):
                    channels[:] = [number for number in range(1, 9) if mask >> number - 1 & 1]
                    yield Said.ARMED
                case sciencemode2_codec.Received(frame=sm2.StartChannelListMode(settings=settings)):
                    yield {channel: each.current_ma * 1_000 for channel, each in zip(channels, settings, strict=False)}
                case sciencemode2_codec.Received(frame=sm2.StopChannelListMode()):
                    yield Said.ENDED

    return read


class Told:
    """What one channel was told from the first arming on; to be armed again is the end of what went before."""

    def __init__(self, read: Read, channel: int) -> None:
        self.commands: list[Command] = []
        self._read = read
        self._channel = channel

    def take(self, tape: Iterable[tuple[int, bytes]]) -> None:
        """Read on: (boot clock us, bytes to the device)."""
        for at_us, data in tape:
            for word in self._read(data):
                if word is Said.ARMED:
                    self.commands.append(Command(at_us, None if self.commands else 0))
                elif self.commands:
                    ua = word.get(self._channel, 0) if isinstance(word, Mapping) else None
                    self.commands.append(Command(at_us, ua))
