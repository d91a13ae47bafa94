"""A site in memory: its beds on cables, and one controller at a time, which may be held up, killed and started again.

All of it runs on one loop of virtual time. What happened can be read afterwards: what the controller published and
logged here, what went over a line and what reached the body at each bed's bench.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Mapping
from contextvars import copy_context
from random import Random
from typing import ClassVar, Literal, NamedTuple, NoReturn, TypeAlias

from hil.bench import Bench
from hil.cable import Cable, HostEnd, Pace
from hil.emulate import Emulator
from hil.host import Disk, NoHost
from hil.simtime import Process, SimLoop
from hil.target import Make, Site, Target

PACES = {"native": Pace(115_200), "sciencemode4": Pace(3_000_000, 11), "sciencemode2": Pace(460_800, 11)}
"""Baud and bits a byte of each kind of device: docs/native-protocol.md, IFU 1.1 of the P24, ScienceMode 2."""
SYNC_US = 2_000
"""How long a disk takes to sync, unless told otherwise. Engineering default: a solid state disk."""

NUMBERS: Mapping[Disk, int] = {"ok": 0, "full": errno.ENOSPC, "read_only": errno.EROFS}

InFlight: TypeAlias = Literal["lands", "torn", "lost"]
"""What becomes of the bytes that a process had handed over when it was killed."""


class Published(NamedTuple):
    """A message that the controller handed to its broker."""

    at_us: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None


class Bed:
    """A bench on a cable."""

    def __init__(self, kind: str, bench: Bench, now_us: Callable[[], int]) -> None:
        self.bench = bench
        self.pace = PACES[kind]
        self.cable = Cable(self.pace)
        self.emulator = Emulator(bench, self.cable, now_us)
        self.emulator.start()


class Life:
    """What one life of the controller has of the world: a `target.World`. When it is over, nothing of it is heard."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ends: list[HostEnd] = []
        self.process = Process(house.loop)
        self.is_over = False
        self.target: Target
        self.running: asyncio.Task[None]

    def now_us(self) -> int:
        """The boot clock."""
        return self._house.loop.now_us

    def wall_us(self) -> int:
        """The time of day."""
        return self._house.loop.now_us + self._house.wall_ahead_us

    def token(self) -> str:
        """A word that no other life gets."""
        return f"{self._house.random.getrandbits(32):08x}"

    def disk_us(self, whose: str) -> tuple[int, int]:
        """How long the next write takes; raises OSError where the disk is full, or read-only."""
        if number := NUMBERS[self._house.disk_state]:
            raise OSError(number, os.strerror(number))
        return self._house.disk_us(whose)

    def open_line(
        self, port: str, baud: int, bits: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> HostEnd:
        """Open the cable of a bed; raises OSError, and ValueError at another pace than the device's."""
        bed = self._house.beds[port]
        if Pace(baud, bits) != bed.pace:
            raise ValueError(f"{port} is at {bed.pace}, and not at {Pace(baud, bits)}")
        self._ends.append(end := bed.cable.open(on_bytes, on_lost))
        return end

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> None:
        """Take a message."""
        if not self.is_over:
            self._house.take(Published(self.now_us(), topic, payload, qos, retain, correlation))

    def log(self, line: str) -> None:
        """Take a line of the log."""
        if not self.is_over:
            self._house.logged.append(line)

    def begin(self, target: Target) -> None:
        """Let it run; in its own process."""
        self.target, self.running = target, asyncio.create_task(target.run())

    def over(self, in_flight: InFlight) -> None:
        """Be dead: its handles are dropped, nothing of it runs any more."""
        self.is_over = True
        self.process.hold()
        for end in self._ends:
            if in_flight == "torn":
                end.discard()
            elif in_flight == "lost":
                end.lose()
            end.close()
        self.target.die()


class House:
    """The site's world, and the `host.Host` of its benches; needs a running loop of virtual time."""

    lacks: ClassVar[Mapping[str, str]] = {
        "press": "a controller in memory has no memory of its own",
        "broker": "the controller is called as its broker would call it, and there is none",
        "flood": "the controller is called as its broker would call it, and there is none",
    }

    def __init__(self, make: Make, site: Site, benches: Mapping[str, Bench], *, seed: int = 0, wall_us: int) -> None:
        """Plug a bench into the port of each seat; `wall_us` is the time of day at the start."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimLoop):
            raise TypeError("a house in memory needs a loop of virtual time")
        self.loop = loop
        self.site = site
        self.random = Random(seed)  # noqa: S311 - repeatable, no secrets
        self.wall_ahead_us = wall_us - loop.now_us
        self.disk_state: Disk = "ok"
        self.disk_us: Callable[[str], tuple[int, int]] = lambda _: (SYNC_US, 0)
        self.published: list[Published] = []
        self.logged: list[str] = []
        self.beds = {seat.port: Bed(seat.kind, benches[seat.port], lambda: loop.now_us) for seat in site.seats}
        for bed in self.beds.values():
            bed.bench.host = self
        self.on_published: Callable[[Published], None] = _unheard
        self.life: Life | None = None
        self._make = make
        self._context = copy_context()
        self._release: asyncio.TimerHandle | None = None

    @property
    def target(self) -> Target:
        """The controller that lives; raises RuntimeError where none does."""
        return self._living.target

    @property
    def _living(self) -> Life:
        if self.life is None:
            raise RuntimeError("no controller lives")
        return self.life

    def start(self) -> None:
        """Switch the controller on."""
        if self.life is not None:
            raise RuntimeError("it lives already")
        life = self.life = Life(self)
        life.process.context.run(lambda: life.begin(self._make(self.site, life)))

    def kill(self, in_flight: InFlight = "lands") -> None:
        """End the controller between two of its callbacks, without a word."""
        self._let_run()
        self._living.over(in_flight)
        self.life = None

    async def end(self) -> None:
        """Tell the controller to end in order, and wait for that."""
        life = self._living
        life.process.call(life.target.end)
        await life.running
        self.life = None

    def stall(self, ms: int) -> None:
        """Hold the controller up, as a busy computer or SIGSTOP does; what comes to it meanwhile comes afterwards."""
        if self.life is None:
            return
        self._let_run()
        process = self.life.process
        process.hold()
        self._release = self.loop.call_later(ms / 1_000, process.release)

    def jump(self, ms: int) -> None:
        """Set the controller's wall clock."""
        self.wall_ahead_us += ms * 1_000

    def disk(self, state: Disk) -> None:
        """Let the controller's disk take no write, or take them again."""
        self.disk_state = state

    def press(self, left: int | None) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """Refuse: raises NoHost."""
        raise NoHost(self.lacks["press"])

    def broker(self, away: bool) -> NoReturn:  # noqa: ARG002
        """Refuse: raises NoHost."""
        raise NoHost(self.lacks["broker"])

    def flood(self, rate: int) -> NoReturn:  # noqa: ARG002
        """Refuse: raises NoHost."""
        raise NoHost(self.lacks["flood"])

    def _let_run(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None

    def hear(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Publish something to the controller; where none lives it is lost."""
        if self.life is not None:
            target = self.life.target
            self.life.process.call(lambda: target.hear(topic, payload, retained=retained))

    def take(self, message: Published) -> None:
        """Take what the controller publishes, and tell it in the world's own context, not in the controller's."""
        self.published.append(message)
        self.loop.call_soon(self.on_published, message, context=self._context)


def _unheard(_: Published) -> None:
    pass
