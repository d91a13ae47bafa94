"""A ScienceMode 2 driver on a scripted device, and what it told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.devices.base import DeviceError, Order
from controller.devices.sciencemode2 import ScienceMode2Driver
from safety import messages
from safety.effects import Arm, Ask, Drive, Envelope, Grant
from safety.messages import DeviceState, Event, Heard, Sample
from safety.times import SCIENCEMODE2
from safety.waveform import Picture, Train
from tests.controller.peer import until
from tests.controller.sciencemode2 import rehastim
from tests.controller.sciencemode2.rehastim import RehaStim

PATIENT = replace(SCIENCEMODE2, init_ack_ms=10_000)
"""Where the device answers: a slow machine must not look like a silent device."""
BRISK = replace(SCIENCEMODE2, init_ack_ms=100)
"""Where it does not."""

ON = Train(1, 20_000, 300, 100, 25_000)
ALSO = Train(3, 12_000, 200, 100, 25_000)
ENVELOPE = Envelope(1, 40_000, 400, 25_000, 1_000_000_000)
OTHER = Envelope(3, 30_000, 250, 25_000, 1_000_000_000)
CONNECT = [rehastim.STOP, rehastim.STOP, rehastim.MODE]


class Bench:
    """A driver on a device, and what it told."""

    def __init__(self, device: RehaStim, driver: ScienceMode2Driver, events: list[Event]) -> None:
        self.device = device
        self.driver = driver
        self.events = events
        self.seq = 0
        self.made_ms = 0

    def grant(self, after_ms: int = 1_000) -> Grant:
        """A grant made so long after the last one."""
        self.seq += 1
        self.made_ms += after_ms
        return Grant(7, self.seq, self.made_ms)

    async def hears(self, *events: Event) -> None:
        """Exactly these, and nothing else, since the last time."""
        await until(lambda: len(self.events) >= len(events))
        assert self.events == list(events)
        self.events.clear()

    async def told(self) -> Event:
        """The one event that is told."""
        await until(lambda: self.events)
        (event,) = self.events
        self.events.clear()
        return event

    async def settled(self) -> None:
        """Whatever was on its way has arrived: a question asked now is answered."""
        before = len(self.device.tape)
        self.driver.send(Ask())
        await until(lambda: len(self.device.tape) > before)
        await until(lambda: any(isinstance(event, Heard) and event.grant == 0 for event in self.events))
        self.events.remove(next(event for event in self.events if isinstance(event, Heard) and event.grant == 0))

    async def sends(self, order: Order) -> Event:
        """Send an order, and give the one event that it brings."""
        self.driver.send(order)
        return await self.told()

    async def arm(self, *envelopes: Envelope) -> Event:
        return await self.sends(Arm(self.grant(), envelopes or (ENVELOPE, OTHER), 60_000))

    async def drive(self, *trains: Train) -> Event:
        return await self.sends(Drive(self.grant(), Picture(trains or (ON, ALSO))))


Make = Callable[..., Any]


def fails(code: str) -> Any:  # noqa: ANN401 - pytest's own type
    """Expect a DeviceError with this code."""
    return pytest.raises(DeviceError, check=lambda error: error.code == code)


def status(state: DeviceState, boot: int = 0, faults: int = 0) -> messages.Status:
    return messages.Status(boot, 0, 0, state, faults, False, 0, 0, 0, 0)


def heard(state: DeviceState, grant: int = 0, *, boot: int = 0, faults: int = 0, opened: tuple[int, ...] = ()) -> Heard:
    """A word of the device; the electrodes of these channels may be open."""
    nothing = (0, 0, 0, 0, 0)
    samples = tuple(Sample(n, *nothing, 4_294_967_295, 0, 0, 0, True, True, False, False) for n in opened)
    return Heard(grant, status(state, boot, faults), samples)
