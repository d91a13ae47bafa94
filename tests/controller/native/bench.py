"""A native driver on a scripted device, and what it told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.devices.base import DeviceError
from controller.devices.native import NativeDriver
from safety import messages
from safety.effects import Ask, Envelope, Grant
from safety.messages import DeviceState, Event, Heard
from safety.times import NATIVE
from safety.waveform import Train
from tests.controller.peer import Peer, until
from tests.golden.native import layout

PATIENT = replace(NATIVE, init_ack_ms=20_000)
"""Where the device answers: a slow machine must not look like a silent device."""
BRISK = replace(NATIVE, init_ack_ms=50)
"""Where it does not."""

ON = Train(1, 20_000, 300, 100, 25_000)
ENVELOPE = Envelope(1, 40_000, 400, 25_000, 1_000_000_000)
ENERGISING = {layout.ARM, layout.DRIVE, layout.FEED, layout.PROBE}
CONNECT = [layout.STOP, layout.HELLO, layout.ASK]


class Bench:
    """A driver on a peer, and what it told."""

    def __init__(self, peer: Peer, driver: NativeDriver, events: list[Event]) -> None:
        self.peer = peer
        self.driver = driver
        self.events = events
        self.seq = 0

    def grant(self, after_ms: int = 1_000) -> Grant:
        """A grant made so long after the last one."""
        self.seq += 1
        self.made_ms = getattr(self, "made_ms", 0) + after_ms
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
        before = len(self.peer.tape)
        self.driver.send(Ask())
        await until(lambda: len(self.peer.tape) > before)
        await until(lambda: any(isinstance(event, Heard) and event.grant == 0 for event in self.events))
        self.events.remove(next(event for event in self.events if isinstance(event, Heard) and event.grant == 0))


Make = Callable[..., Any]


def fails(code: str) -> Any:  # noqa: ANN401 - pytest's own type
    """Expect a DeviceError with this code."""
    return pytest.raises(DeviceError, check=lambda error: error.code == code)


def status(**other: Any) -> messages.Status:  # noqa: ANN401 - integers and states
    usual: dict[str, Any] = {
        "boot": 4,
        "uptime_ms": 61_250,
        "frames": 0,
        "state": DeviceState.STOPPED,
        "faults": 0,
        "button": False,
        "presses": 0,
        "supply_mv": 12_040,
        "permit": 0,
        "grant": 0,
    }
    return messages.Status(**{**usual, **other})
