"""What a test holds in its hands: the device, the body, the line, the scope, the faults and the clock of its bench."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from hil.body import SETTINGS, Skin
from hil.devices.device import Button, NotThisDevice
from hil.evidence import Injection
from hil.fault_table import FAULTS
from hil.injections import Injection as Standing
from hil.measure import Base, Span
from hil.scope import Total, Trace
from hil.settings import BadSetting, Value, read
from hil.stand import Stand
from hil.tape import Chunk

LOOK_S = 0.001
"""How often a condition is looked at. Engineering default."""

Begin: TypeAlias = Callable[..., AbstractContextManager[Standing]]


class NeverCameError(AssertionError):
    """What a test waited for, or meant to inject, and what did not happen."""


class Clock:
    """The bench's clock, in microseconds."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    @property
    def base(self) -> Base:
        """Whose it is: virtual, the emulator's, or the host's beside a real device."""
        return self._stand.base

    @property
    def now_us(self) -> int:
        """What it shows."""
        return self._stand.touch()

    def span(self, begin_us: int, end_us: int) -> Span:
        """The time between two moments."""
        return Span(end_us - begin_us, self.base)

    def since(self, begin_us: int) -> Span:
        """The time since a moment."""
        return self.span(begin_us, self.now_us)

    async def until(self, happened: Callable[[], object], within_ms: int) -> None:
        """Wait until something has come about; raises NeverCameError."""
        end_us = self.now_us + within_ms * 1_000
        while not happened():
            if self.now_us >= end_us:
                raise NeverCameError(f"nothing of the kind within {within_ms} ms on the bench's clock")
            await asyncio.sleep(LOOK_S)


class DeviceProbe:
    """The emulated device from inside, and its button."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self._stand.core.device.kind

    @property
    def state(self) -> str:
        """The state that it is in, in its own word."""
        return self.badge()["state"]

    def badge(self) -> dict[str, str]:
        """Model, serial number, state."""
        self._stand.touch()
        return self._stand.core.device.badge()

    def inside(self) -> dict[str, Any]:
        """What it knows and believes."""
        self._stand.touch()
        return self._stand.core.device.inside(self._stand.core.own_us)

    def switch(self, **values: Value) -> None:
        """Choose what its documents leave open; raises BadSetting."""
        device = self._stand.core.device
        self._stand.touch()
        device.switches.update(read(device.switchable, values))
        self._stand.touch()

    def press(self) -> None:
        """The patient presses the button and holds it; raises NotThisDevice."""
        self._stand.touch()
        self._button.press(self._stand.core.own_us)
        self._stand.touch()

    def release(self) -> None:
        """The patient lets it go; raises NotThisDevice."""
        self._button.release()

    @property
    def _button(self) -> Button:
        device = self._stand.core.device
        if device.button is None:
            raise NotThisDevice(device.kind, "button", [])
        return device.button


class BodyProbe:
    """The electrodes and the skin."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def at(self, channel: int) -> Skin:
        """As it is now, faults included; raises BadSetting."""
        now_us = self._stand.touch()
        (index,) = self._stand.core.channels(channel)
        return self._stand.core.bodies[index].at(now_us)

    def set(self, channel: int | None = None, **values: Value) -> None:
        """Change settings of one channel or all; raises BadSetting."""
        changes: dict[str, Any] = read(SETTINGS, values)
        self._stand.touch()
        for index in self._stand.core.channels(channel):
            body = self._stand.core.bodies[index]
            body.skin = replace(body.skin, **changes)
        self._stand.touch()


class WireProbe:
    """The line: its tape, and its plug."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def chunks(self, since_us: int = 0) -> list[Chunk]:
        """What went over it, oldest first."""
        self._stand.touch()
        return self._stand.core.tape.since(since_us)

    @property
    def is_up(self) -> bool:
        """True while it is plugged in."""
        return self._stand.emulator.line.is_up

    def pull(self) -> None:
        """Pull the plug; raises NotHereError."""
        self._stand.must_reach("wire")
        self._stand.touch()
        self._stand.emulator.line.pull()

    def put(self) -> None:
        """Put it back; raises NotHereError."""
        self._stand.must_reach("wire")
        self._stand.touch()
        self._stand.emulator.line.put()


class ScopeProbe:
    """The current that reached the body. Every look raises DeafError where an instrument is silent."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def pulses(self, channel: int = 1, since_us: int = 0) -> list[Trace]:
        """The pulses that began at or after a time; raises BadSetting."""
        self._look(channel)
        return self._stand.core.scope.pulses(channel, since_us)

    def total(self, channel: int = 1) -> Total:
        """All that a channel delivered; raises BadSetting."""
        self._look(channel)
        return self._stand.core.scope.total(channel)

    def last_us(self, channel: int = 1) -> int:
        """When the last pulse began; raises NeverCameError where there was none."""
        last_us = self.total(channel).last_us
        if last_us is None:
            raise NeverCameError(f"no pulse on channel {channel}")
        return last_us

    def span(self, first: Trace, last: Trace) -> Span:
        """The time from one pulse to another: on a real device, by the instrument's own clock."""
        base: Base = "instrument" if self._stand.spec.is_real else self._stand.base
        return Span(last.at_us - first.at_us, base)

    def reset(self) -> None:
        """Forget the pulses and the totals."""
        self._look(1)
        self._stand.core.scope.reset()

    def _look(self, channel: int) -> None:
        self._stand.touch()
        self._stand.core.channels(channel)
        self._stand.check_scope()


class Faults:
    """Every fault of the table as a context: `with faults.peel(channel=1, end=0.2): ...`."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def __getattr__(self, name: str) -> Begin:
        if name not in FAULTS:
            raise AttributeError(f"no fault is called {name}; there are {', '.join(FAULTS)}")
        return lambda **settings: self._injected(name, settings)

    def has(self, name: str) -> bool:
        """True when a fault can be had on this bench; raises BadSetting for one that is not in the table."""
        if name not in FAULTS:
            raise BadSetting("fault", name, f"one of {', '.join(FAULTS)}")
        return any(entry.id == name for entry in self._stand.core.faults.possible())

    @contextmanager
    def _injected(self, name: str, settings: dict[str, object]) -> Iterator[Standing]:
        stand = self._stand
        stand.must_reach(FAULTS[name].layer)
        stand.touch()
        token = stand.core.faults.inject(name, **settings)
        (fault,) = (each for each in stand.core.faults.standing() if each.token == token)
        stand.touch()
        try:
            yield fault
            if stand.touch() < fault.at_us:
                raise NeverCameError(f"{name} was to come at {fault.at_us} us, and its block ended before")
        finally:
            end_us = stand.touch()
            if any(each is fault for each in stand.core.faults.standing()):
                stand.core.faults.clear(token)
                stand.touch()
            if fault.is_active:
                stand.notes.injections.append(_ended(fault, end_us, settings.get("for_ms")))


def _ended(fault: Standing, end_us: int, for_ms: object) -> Injection:
    if isinstance(for_ms, int):
        end_us = min(end_us, fault.at_us + for_ms * 1_000)
    return Injection(fault=fault.fault, settings=fault.params, at_us=fault.at_us, until_us=end_us)
