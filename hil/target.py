"""What a simulation and the controller under it know of each other: nothing but these protocols.

A factory `make(site, world) -> Target` is named on the command line as `module:factory`. Everything runs on one event
loop, and everything that the controller does it does in the context of its own `simtime.Process`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias


class Seat(NamedTuple):
    """A device of the site: its id, its kind as `hil.devices.kinds` has it, and the port that it is plugged into."""

    device: str
    kind: str
    port: str


class Person(NamedTuple):
    """Somebody whom the broker knows, and as what, such as `physio`; anybody may use every device."""

    name: str
    role: str


class Site(NamedTuple):
    """A site, and the directory in which its controller keeps what it must remember from one life to the next."""

    name: str
    folder: Path
    seats: tuple[Seat, ...]
    people: tuple[Person, ...]


class Serial(Protocol):
    """A serial port that is open."""

    def write(self, data: bytes) -> None:
        """Hand bytes over; raises OSError when the line is gone."""

    def discard(self) -> None:
        """Throw away what is not on the wire yet."""

    def close(self) -> None:
        """Release it; what was handed over is still sent."""


class World(Protocol):
    """What a controller has of the world around it; it must use no other clock, disk, port, chance or broker."""

    def now_us(self) -> int:
        """The boot clock: it never jumps."""

    def wall_us(self) -> int:
        """The time of day since 1970: it may jump."""

    def token(self) -> str:
        """A word of eight hexadecimal digits that no other life gets."""

    def disk_us(self, whose: str) -> tuple[int, int]:
        """How long the next write takes until it will survive a crash, and from then until its writer knows.

        Raises OSError where the disk takes none.
        """

    def open_line(
        self, port: str, baud: int, bits: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> Serial:
        """Open a port, `bits` a byte with start and stop; raises OSError. `on_lost` is called once, if ever."""

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> None:
        """Take a message for the broker."""

    def log(self, line: str) -> None:
        """Take a line of the log."""


class Target(Protocol):
    """One life of a controller."""

    async def run(self) -> None:
        """Serve until told to end; raises what keeps it from that."""

    def hear(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Take a message from the broker."""

    def end(self) -> None:
        """Be told to end in order, as by SIGTERM: `run` returns when that is done."""

    def die(self) -> None:
        """Let go of files and locks as the operating system does for the dead, and do nothing else."""

    def prescribe(self, text: str) -> str:
        """Import a prescription, a TOML file's text, and give the reference by which it is asked for."""


Make: TypeAlias = Callable[[Site, World], Target]
