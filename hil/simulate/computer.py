"""The controller's computer and its broker: what faults of the host act on, what dies, and what is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar, NoReturn, Protocol

from hil.bench import Bench
from hil.faults import FAULTS
from hil.host import Disk, NoHost
from hil.simulate.judge import ENDED
from hil.simulate.plan import Act
from hil.simulate.staff import Order
from hil.world import SYNC_US, Bed, House, InFlight, Life, Published

AGAIN_S = 5.0
"""A supervisor starts a controller that has ended by itself after so long. Engineering default."""
GUSH_MS = 100
"""A flood comes in gushes this far apart. Engineering default."""
NOISE = b'{"schema": "stim.noise/1", "text": "none of your business"}'


class Watcher(Protocol):
    """Who has to know what happens to the computer."""

    def born(self) -> None:
        """A controller was started."""

    def ending(self) -> None:
        """It is told to end."""

    def died(self, why: str) -> None:
        """It is gone."""

    def injected(self, device: str, fault: str, of: Mapping[str, object]) -> None:
        """A fault is in force."""

    def cleared(self, device: str, fault: str) -> None:
        """It is not any more."""


class Computer:
    """A computer with one controller on it: the `host.Host` of every bench, and the way to the controller."""

    lacks: ClassVar[Mapping[str, str]] = {"press": "a controller in memory has no memory of its own"}

    def __init__(self, house: House, watcher: Watcher) -> None:
        self._house = house
        self._watcher = watcher
        self._away = 0
        self._rate = 0
        self._held: list[Published] = []
        self.on_published: Callable[[Published], None] = _unheard
        self.flood_topic = "noise/cmd/nobody/noise"
        self.beds: Mapping[str, Bed] = {}
        self._is_ending = False
        self._pouring: asyncio.Task[None] | None = None

    # What a host of a bench does

    def stall(self, ms: int) -> None:
        """Give the controller no processor for so long."""
        self._house.stall(ms)

    def jump(self, ms: int) -> None:
        """Move its wall clock."""
        self._house.jump(ms)

    def disk(self, state: Disk) -> None:
        """Break or mend its disk."""
        self._house.disk(state)

    def press(self, left: int | None) -> NoReturn:  # noqa: ARG002 - the protocol's signature
        """Refuse: raises NoHost."""
        raise NoHost(self.lacks["press"])

    def broker(self, away: bool) -> None:
        """Take the broker away: what is sent to the controller is lost, what it says waits until there is one again."""
        self._away = away
        if not away:
            held, self._held = self._held, []
            for message in held:
                self.on_published(message)

    def flood(self, rate: int) -> None:
        """Let so many messages a second come that are no commands."""
        was, self._rate = self._rate, rate
        if rate and not was:
            self._pouring = asyncio.get_running_loop().create_task(self._pour())

    async def _pour(self) -> None:
        while self._rate:
            for _ in range(self._rate * GUSH_MS // 1000):
                self._house.hear(self.flood_topic, NOISE)
            await asyncio.sleep(GUSH_MS / 1000)

    # The broker

    @property
    def is_reachable(self) -> bool:
        """True while an order would come to a controller that lives."""
        return self._house.life is not None and not self._away

    def send(self, order: Order, *, retained: bool = False) -> None:
        """Bring an order to the controller, if there is one, and a broker."""
        if not self._away:
            self._house.hear(order.topic, order.payload, retained=retained)

    def take(self, message: Published) -> None:
        """Hand on what the controller publishes, when there is a broker."""
        if self._away:
            self._held.append(message)
        else:
            self.on_published(message)

    # Lives

    @property
    def is_on(self) -> bool:
        """True while a controller lives."""
        return self._house.life is not None

    def start(self) -> None:
        """Switch the controller on, if it is off."""
        if not self.is_on:
            self._house.start()
            self._watcher.born()
            self._watch()

    def _watch(self) -> None:
        if (life := self._house.life) is not None:
            life.running.add_done_callback(lambda task: self._ended(task, life))

    def _ended(self, task: asyncio.Task[None], life: Life) -> None:
        if task.cancelled() or self._house.life is not life or self._is_ending:
            return
        why = task.exception()
        self._house.kill()
        self._watcher.died(f"it ended by itself: {why!r}")
        asyncio.get_running_loop().call_later(AGAIN_S, self.start)

    def prescribe(self, text: str) -> str:
        """Import a prescription."""
        return self._house.target.prescribe(text)

    async def kill(self, in_flight: InFlight, down_ms: int) -> None:
        """Kill the controller, and start it again after a while."""
        if self._house.life is None:
            return
        self._house.kill(in_flight)
        self._watcher.died(f"killed, bytes in flight: {in_flight}")
        await asyncio.sleep(down_ms / 1000)
        self.start()

    async def restart(self, hours: int) -> None:
        """End the controller in order, let the wall clock go on for so many hours, and start it again."""
        await self.end()
        self._house.jump(hours * 3_600_000)
        self.start()

    async def end(self) -> None:
        """End the controller in order, if it lives."""
        life = self._house.life
        if life is None or life.running.done():
            return
        self._is_ending = True
        self._watcher.ending()
        try:
            async with asyncio.timeout(30):
                await self._house.end()
            self._watcher.died(ENDED)
        except TimeoutError:
            self._house.kill()
            self._watcher.died("it did not end in order")
        finally:
            self._is_ending = False

    async def slow(self, before_ms: int, after_ms: int, for_ms: int) -> None:
        """Let each write to the disk take longer for a while."""
        self._house.disk_us = lambda _: (before_ms * 1000, after_ms * 1000)
        self._watcher.injected("", "slow disk", {"before_ms": before_ms, "after_ms": after_ms})
        await asyncio.sleep(for_ms / 1000)
        self._house.disk_us = lambda _: (SYNC_US, 0)
        self._watcher.cleared("", "slow disk")

    async def pull(self, bed: Bed, for_ms: int) -> None:
        """Pull a line out, and put it back after a while."""
        device = next(name for name, each in self.beds.items() if each is bed)
        self._watcher.injected(device, "pull", {})
        bed.cable.pull()
        await asyncio.sleep(for_ms / 1000)
        bed.cable.put()
        self._watcher.cleared(device, "pull")

    async def fault(self, bench: Bench, act: Act) -> None:
        """Have a fault of the table for a while."""
        name, for_ms = act.of["fault"], act.of["for_ms"]
        params = {key: value for key, value in act.of.items() if key not in {"fault", "for_ms"}}
        bed = self.beds[act.device]
        bed.emulator.touch()
        token = bench.faults.inject(name, **params)
        bed.emulator.touch()
        whose = "" if FAULTS[name].layer == "host" else act.device
        self._watcher.injected(whose, name, params)
        await asyncio.sleep(for_ms / 1000)
        bed.emulator.touch()
        bench.faults.clear(token)
        bed.emulator.touch()
        self._watcher.cleared(whose, name)


def _unheard(_: Published) -> None:
    pass
