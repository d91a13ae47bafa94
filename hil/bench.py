"""The bench without I/O: the emulated device, the bodies on its leads, the line to it, the scope, the tape."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from hil.body import Body, Skin
from hil.devices.device import Build, NotThisDevice
from hil.host import Host
from hil.injections import Injections
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import BadSetting
from hil.tape import Tape
from hil.way import Way


class Bench:
    """Everything that a controller meets on its serial line; deterministic: time comes in as an argument.

    `host` is the controller's process, for faults that act on it; a harness that has one puts it there.
    """

    def __init__(self, build: Build, skins: Sequence[Skin], now_us: int, seed: int = 0) -> None:
        self.now_us = now_us
        self.random = Random(seed)  # noqa: S311 - repeatable faults, no secrets
        self.scope = Scope(len(skins))
        self.bodies = [Body(skin, now_us) for skin in skins]
        self.device = build(self.bodies, self.scope, now_us)
        self.stage = self.device.stage
        self.clock = self.stage.clock
        self.host: Host | None = None
        self.surroundings = {"disk": Knob[Any]("ok"), "press": Knob(None), "broker": Knob(False), "flood": Knob(0)}
        self.to_device = Way()
        self.to_host = Way()
        self.tape = Tape()
        self.faults = Injections(self)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def own_us(self) -> int:
        """Now, as the device's clock has it: what its methods take."""
        return self.clock.own(self.now_us)

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that the host sends now; gives the bytes that the host gets up to now."""
        got = self.advance(now_us)
        self.tape.note(now_us, "to_device", data)
        self.to_device.push(data, now_us)
        return got + self.advance(now_us)

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives the bytes that the host gets."""
        while (at_us := self._next_act_us()) is not None and at_us <= now_us:
            self.now_us = max(self.now_us, at_us)
            self._let(self.device.advance(self.own_us))
            if self._agenda and self._agenda[0][0] == at_us:
                heapq.heappop(self._agenda)[2]()
            else:
                self._let(self.device.receive(self.to_device.pop(at_us), self.own_us))
        self.now_us = max(self.now_us, now_us)
        self._let(self.device.advance(self.own_us))
        got = self.to_host.pop(now_us)
        if got:
            self.tape.note(now_us, "to_host", got)
        return got

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""
        own_us = self.device.next_deadline_us()
        device_us = None if own_us is None else self.clock.true(own_us)
        times = (self._next_act_us(), device_us, self.to_host.next_us())
        return min((at_us for at_us in times if at_us is not None), default=None)

    def at(self, at_us: int, act: Callable[[], None]) -> None:
        """Do something to the bench at a time; acts of the same time happen in the order of their calls."""
        heapq.heappush(self._agenda, (at_us, next(self._order), act))

    def channels(self, channel: int | None) -> list[int]:
        """The indices meant by a channel number, or by None: all; raises BadSetting."""
        if channel is None:
            return list(range(len(self.bodies)))
        if not 1 <= channel <= len(self.bodies):
            raise BadSetting("channel", channel, f"a channel from 1 to {len(self.bodies)}")
        return [channel - 1]

    def knob(self, name: str) -> Knob[Any]:
        """A knob of the device; raises NotThisDevice."""
        if name not in self.device.knobs:
            raise NotThisDevice(self.device.kind, f"knob={name!r}", sorted(self.device.knobs))
        return self.device.knobs[name]

    def ways(self, direction: str) -> list[Way]:
        """The directions meant by `to_device`, `to_host` or `both`."""
        return {"to_device": [self.to_device], "to_host": [self.to_host]}.get(direction, [self.to_device, self.to_host])

    def _let(self, data: bytes) -> None:
        if data:
            self.to_host.push(data, self.now_us)

    def _next_act_us(self) -> int | None:
        act_us, arrival_us = self._agenda[0][0] if self._agenda else None, self.to_device.next_us()
        if act_us is None or (arrival_us is not None and arrival_us < act_us):
            return arrival_us
        return act_us
