"""The two benches on which a story is told: a house in memory and virtual time, and one on ptys and real time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

from hil.bench import Bench
from hil.clock import boottime_us
from hil.emulate import Emulator
from hil.process_host import ProcessHost
from hil.target import Site
from hil.wire import Pty
from hil.world import House, Published
from tests.hazards.served import serve

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.hazards.served"])
PATIENCE_S = 20.0
AHEAD = -10


class VirtualHouse(House):
    """A house in memory whose controller may end by itself."""

    @property
    def is_over(self) -> bool:
        """True when the controller that was started has ended; its failure is why."""
        return self.life is not None and self.life.running.done()

    def forget(self) -> None:
        """Be without the controller that has ended."""
        assert self.life is not None
        assert self.life.running.exception() is not None
        self.life = None


class VirtualHost:
    """A house in memory as the host of its controller, with a broker between who asks and who is asked."""

    lacks: Mapping[str, str] = {"press": House.lacks["press"]}

    def __init__(self, house: House) -> None:
        self._house = house
        self.stall, self.jump, self.disk, self.press = house.stall, house.jump, house.disk, house.press
        self.is_broker_away = False
        self._flooding: asyncio.Task[None] | None = None

    def broker(self, away: bool) -> None:
        """What is sent meanwhile does not arrive; who sends must ask."""
        self.is_broker_away = away

    def flood(self, rate: int) -> None:
        """Let messages arrive that nobody asked for."""
        self._flooding = flooded(self._house, self._flooding, rate)


class RealHost(ProcessHost):
    """The same of a process."""

    def __init__(self, house: RealHouse) -> None:
        self.is_broker_away = False
        self._flooding: asyncio.Task[None] | None = None
        super().__init__(house.pid, jump=house.jump, broker=self._broker, flood=lambda rate: self._flood(house, rate))

    def _broker(self, away: bool) -> None:
        self.is_broker_away = away

    def _flood(self, house: RealHouse, rate: int) -> None:
        self._flooding = flooded(house, self._flooding, rate)


def flooded(house: House | RealHouse, before: asyncio.Task[None] | None, rate: int) -> asyncio.Task[None] | None:
    """Let a house hear `rate` messages a second that are no commands, in place of what it heard before; 0: none."""

    async def flood() -> None:
        while True:
            for _ in range(max(1, rate // 100)):
                house.hear("stim/v1/ward3/dev1/cmd/physio-1/session.start", b'{"schema": "noise"}')
            await asyncio.sleep(0.01)

    if before is not None:
        before.cancel()
    return asyncio.create_task(flood()) if rate else None


class RealBed(NamedTuple):
    """A bench on a pty."""

    bench: Bench
    cable: Pty
    emulator: Emulator


@contextmanager
def ahead() -> Iterator[None]:
    """Go before others where that is allowed: a stimulator shares its processor with nobody."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, AHEAD)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


def beds(folder: Path, benches: Mapping[str, Bench]) -> dict[str, RealBed]:
    """Put benches on ptys."""
    found = {}
    for port, bench in benches.items():
        line = Pty(folder / port)
        found[port] = RealBed(bench, line, Emulator(bench, line))
        found[port].emulator.start()
    return found


class RealLoop:
    """The time of a real house, where a house in memory has its loop."""

    @property
    def now_us(self) -> int:
        return boottime_us()


class RealHouse:
    """The service as a process, with ptys to benches that are here; as far as a ward knows a house."""

    def __init__(self, site: Site, beds: Mapping[str, RealBed]) -> None:
        self.site = site
        self.beds = dict(beds)
        self.loop = RealLoop()
        self.published: list[Published] = []
        self.on_published: Callable[[Published], None] = _unheard
        self.life: ForkServerProcess | None = None
        self._jumped_us = 0

    @property
    def wall_ahead_us(self) -> int:
        """By how much the service's wall clock is ahead of the boot clock."""
        return time.time_ns() // 1_000 - boottime_us() + self._jumped_us

    def start(self) -> None:
        """Switch the service on."""
        assert self.life is None
        self._pipe, theirs = FORK.Pipe()
        self.life = FORK.Process(target=serve, args=(theirs, self.site.folder), daemon=True)
        self.life.start()
        theirs.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._read, self._pipe)
        if self._jumped_us:
            self._pipe.send(("ahead", self._jumped_us // 1_000))

    def _read(self, pipe: multiprocessing.connection.Connection) -> None:
        try:
            while pipe.poll():
                message = Published(boottime_us(), *pipe.recv())
                self.published.append(message)
                self.on_published(message)
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())

    def hear(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Publish something to the service; where none lives it is lost."""
        if self.life is not None:
            self._pipe.send(("arrival", topic, payload, retained))

    def jump(self, ms: int) -> None:
        """Set the service's wall clock."""
        self._jumped_us += ms * 1_000
        self._pipe.send(("ahead", self._jumped_us // 1_000))

    @property
    def pid(self) -> int:
        """The number of the service's process."""
        assert self.life is not None
        assert self.life.pid is not None
        return self.life.pid

    @property
    def is_over(self) -> bool:
        """True when the service that was started has ended."""
        return self.life is not None and not self.life.is_alive()

    def forget(self) -> None:
        """Be without the service that has ended; it must have failed."""
        assert self.life is not None
        assert self.life.exitcode
        self._gone()

    def kill(self) -> None:
        """End the service without a word."""
        assert self.life is not None
        self.life.kill()
        self._gone()

    async def end(self) -> None:
        """Tell the service to end in order, and wait for that."""
        assert self.life is not None
        self._pipe.send(("end",))
        async with asyncio.timeout(PATIENCE_S):
            while self.life.is_alive():  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
        self._gone()

    def _gone(self) -> None:
        assert self.life is not None
        self.life.join(PATIENCE_S)
        self.life.close()
        self.life = None
        self._read(self._pipe)
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._pipe.close()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.life is not None:
            self.kill()


def _unheard(_: Published) -> None:
    pass
