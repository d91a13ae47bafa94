"""A driver of ScienceMode 4 on a scripted P24, and what it told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.devices.base import DeviceError
from controller.devices.sciencemode4 import ScienceMode4
from safety import messages
from safety.effects import Arm, Ask, Drive, Envelope, Grant, Probe
from safety.messages import DeviceState, Event, Garbled, Heard, Now
from safety.times import SCIENCEMODE4
from safety.waveform import Picture, Train
from tests.controller.sciencemode4.p24 import P24, MemoryLine

PATIENT = replace(SCIENCEMODE4, init_ack_ms=20_000)
"""Where the device answers: a slow machine must not look like a silent device."""
BRISK = replace(SCIENCEMODE4, init_ack_ms=30)
"""Where it does not."""

ON = Train(1, 20_000, 200, 100, 28_500)
TWO = Train(2, 12_500, 200, 100, 28_500)
PICTURE = Picture((ON, TWO))
ENVELOPES = tuple(Envelope(channel, 130_000, 500, 8_000, 1_000_000_000) for channel in range(1, 9))
PERMIT = 7


class Bench:
    """A driver on a device, what it told, and a clock that stands."""

    def __init__(self, device: P24, times: Any = PATIENT) -> None:  # noqa: ANN401 - Times
        self.device = device
        self.line = MemoryLine(device)
        self.events: list[Event] = []
        self.now_ms = 1_000_000
        self.driver = ScienceMode4(times, self.events.append, lambda: Now(self.now_ms, 0))
        self.line.received, self.line.lost = self.driver.received, self.driver.lost
        self.driver.attach(self.line)
        self.seq = 0

    def grant(self, lasts_ms: int = 400, permit: int = PERMIT) -> Grant:
        """A grant that is made now."""
        self.seq += 1
        return Grant(permit, self.seq, self.now_ms + lasts_ms)

    async def settled(self) -> None:
        """Whatever was on its way has arrived."""
        for _ in range(40):
            await asyncio.sleep(0)

    async def does(self, effect: Any) -> Event:  # noqa: ANN401 - any order
        """Send an order, and give the one event that it ends with; what takes long begins with the device's word."""
        self.events.clear()
        self.driver.send(effect)
        await self.settled()
        *before, event = self.events
        self.events.clear()
        if isinstance(effect, Arm | Probe) and before:
            (word,) = before
            assert isinstance(word, Heard)
            assert (word.grant, word.samples) == (0, ())
        else:
            assert before == []
        return event

    async def armed(self) -> Bench:
        heard = await self.does(Arm(self.grant(), ENVELOPES, 60_000))
        assert isinstance(heard, Heard)
        self.clear()
        return self

    async def running(self, picture: Picture = PICTURE) -> Bench:
        await self.armed()
        heard = await self.does(Drive(self.grant(), picture))
        assert isinstance(heard, Heard)
        assert heard.status.state is DeviceState.RUNNING
        self.clear()
        return self

    def clear(self) -> None:
        """Forget what has happened; time goes on past any ack budget."""
        self.events.clear()
        self.device.tape.clear()
        self.line.written.clear()
        self.now_ms += 1_000

    async def state(self) -> DeviceState:
        """What the device says when it is asked."""
        heard = await self.does(Ask())
        assert isinstance(heard, Heard)
        return heard.status.state


Make = Callable[..., Any]


def fails(code: str) -> Any:  # noqa: ANN401 - pytest's own type
    """Expect a DeviceError with this code."""
    return pytest.raises(DeviceError, check=lambda error: error.code == code)


def status(state: DeviceState, faults: int = 0) -> messages.Status:
    return messages.Status(
        boot=0, uptime_ms=0, frames=0, state=state, faults=faults, button=False, presses=0, supply_mv=0, permit=0,
        grant=0,
    )  # fmt: skip


def garbled(event: Event) -> Garbled:
    assert isinstance(event, Garbled), event
    return event
