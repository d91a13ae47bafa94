"""An emulated stimulator, a process of its own, for the tests that every driver has to pass.

The judge is the emulator's scope, which measures what reached the body, and never looks at a frame.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from controller import clock
from controller.devices import DRIVERS
from controller.devices.base import DeviceError, Order, Stimulator
from hil.control import Control
from safety.effects import Arm, Ask, Drive, Envelope, Feed, Grant, Probe
from safety.messages import DeviceState, DeviceUp, Event, Heard, Probed
from safety.times import Times
from safety.waveform import Picture, Train
from tests.controller.peer import until

ROOT = Path(__file__).parents[2]
PERMIT = 7
TRIES = 60


class Way(NamedTuple):
    """How a line carries what is put on it: a fault of the bench, and how long an answer may take on it."""

    fault: str | None
    settings: dict[str, object]
    answer_s: float


WAYS = {
    "normal": Way(None, {}, 20),
    "one byte at a time": Way("split", {"size": 1, "gap_us": 20}, 20),
    "20 % loss": Way("drop", {"chance": 0.2, "seed": 4}, 0.2),
    "delayed": Way("slow_answers", {"delay_ms": 30}, 20),
}


@dataclass(frozen=True)
class Case:
    """A driver, and a train that its device can give: two currents apart, each a whole step of it."""

    driver: str
    times: Times
    train: Train
    step_ua: int


class Grants:
    """Grants as the core makes them, each a second after the one before, and good for as long as a test lasts."""

    def __init__(self) -> None:
        self.seq = 0
        self._made_ms = clock.now().mono_ms + 600_000

    def __call__(self) -> Grant:
        self.seq += 1
        self._made_ms += 1_000
        return Grant(PERMIT, self.seq, self._made_ms)


def emulate(driver: str, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start an emulated device, with options of its own, and wait until it is ready."""
    command = [sys.executable, "-m", "hil.cli", "emulate", "--device", driver, "--until-eof"]
    paths = ["--link", str(folder / "line"), "--control", str(folder / "control")]
    process = subprocess.Popen([*command, *paths, *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(b"ready "), line
    return process


class Emulated:
    """A driver on its emulated device."""

    def __init__(self, case: Case, way: Way, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.case = case
        self.way = way
        self.port = str(folder / "line")
        self._socket = folder / "control"
        self._process = process
        self.events: list[Event] = []
        self.grant = Grants()
        self.driver: Stimulator

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, case: Case, way: Way, folder: Path, *options: str) -> AsyncIterator[Self]:
        """Start the device and open its line; the driver is not connected."""
        here = cls(case, way, folder, emulate(case.driver, folder, *options))
        try:
            if way.fault is not None:
                await here.do("fault.inject", fault=way.fault, **way.settings)
            here.driver = await DRIVERS[case.driver](here.port, case.times, here.events.append)
            yield here
            await here.driver.close()
        finally:
            here.end()

    def end(self) -> None:
        """End the device's process, as a plug that is pulled."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    async def do(self, verb: str, **settings: object) -> dict[str, Any]:
        """Ask the bench for one thing."""
        async with await Control.open(self._socket) as control:
            return await control.do(verb, **settings)

    async def pulses(self) -> list[dict[str, Any]]:
        """What reached the body, pulse by pulse."""
        answer = await self.do("pulses", channel=self.case.train.channel, since_us=0, limit=10_000)
        return list(answer["pulses"])

    # As the core does it: one thing at a time, and where no answer comes, on with the next.

    async def connected(self) -> DeviceUp:
        for _ in range(TRIES):
            with contextlib.suppress(DeviceError):
                up = await self.driver.connect()
                self.events.clear()
                return up
        raise AssertionError("it does not connect")

    async def answered(self, order: Order, is_answer: Callable[[Event], bool]) -> Event | None:
        """Give the answer to an order; None where the line has lost it."""
        self.driver.send(order)
        try:
            await until(lambda: any(map(is_answer, self.events)), self.way.answer_s)
        except TimeoutError:
            return None
        return next(filter(is_answer, self.events))

    async def heard(self, order: Arm | Drive | Feed) -> Heard | None:
        """Give the device's word on an order."""
        found = await self.answered(order, lambda event: isinstance(event, Heard) and event.grant == order.grant.seq)
        assert found is None or isinstance(found, Heard)
        return found

    async def armed(self) -> None:
        """Connect and arm, from a stop on as often as the line needs it."""
        await self.connected()
        train = self.case.train
        envelope = Envelope(train.channel, 40_000, train.width_us, train.period_us, 1_000_000_000)
        for _ in range(TRIES):
            word = await self.heard(Arm(self.grant(), (envelope,), 60_000))
            if word is not None:
                assert word.status.state is DeviceState.ARMED
                return
            await self.stopped()
        raise AssertionError("it does not arm")

    async def running(self) -> Picture:
        """Arm, and let the first step flow until the scope sees it."""
        await self.armed()
        picture = self.picture(1)
        for _ in range(TRIES):
            if await self.heard(Drive(self.grant(), picture)) is not None:
                return picture
        raise AssertionError("it does not run")

    def picture(self, step: int) -> Picture:
        """The case's train at so many steps of current."""
        return Picture((self.case.train._replace(ua=self.case.train.ua + step * self.case.step_ua),))

    async def stopped(self) -> None:
        """Say stop as often as it needs, until the device says that it is."""

        def is_still(event: Event) -> bool:
            return isinstance(event, Heard) and event.grant == 0 and event.status.state is DeviceState.STOPPED

        for _ in range(TRIES):
            self.events.clear()
            self.driver.silence(cut=False)
            if await self.answered(Ask(), is_still) is not None:
                return
        raise AssertionError("it does not stop")

    async def probed(self, train: Train) -> Probed | None:
        """Give what a test pulse found."""
        grant = self.grant()
        answer = await self.answered(Probe(grant, train), lambda e: isinstance(e, Probed) and e.grant == grant.seq)
        assert answer is None or isinstance(answer, Probed)
        return answer
