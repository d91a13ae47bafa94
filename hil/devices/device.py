"""What the bench knows of an emulated device, whatever it speaks; and what the command line knows of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from hil.body import Body
from hil.devices.output import Output
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import Setting, Value
from hil.way import Place


class NotThisDevice(Exception):  # noqa: N818 - the name a user reads in a message needs no suffix
    """Something that this kind of device cannot have or do; the text names what it has instead."""

    def __init__(self, kind: str, wanted: str, has: Sequence[str]) -> None:
        super().__init__(f"{wanted}: a {kind} device has none; it has {', '.join(has) or 'none at all'}")


class Twist(NamedTuple):
    """What a faulty device makes of its answers: numbers are added, a result is put in, bytes are cut off the end."""

    number: int = 0
    command: int = 0
    result: int | None = None
    cut: int = 0


class Button(Protocol):
    """The patient's stop button, on devices that have one."""

    def press(self, now_us: int) -> None:
        """Push it down and hold it."""

    def release(self) -> None:
        """Let it go."""


class Device(Protocol):
    """A device on a serial line; the same bytes at the same times give the same answers and pulses."""

    @property
    def kind(self) -> str:
        """The name of its kind."""

    @property
    def stage(self) -> Output:
        """Where its pulses come from."""

    @property
    def knobs(self) -> Mapping[str, Knob[Any]]:
        """What faults may cover, by name; a fault whose knob is not here does not fit the device."""

    @property
    def button(self) -> Button | None:
        """The patient's button; None: it has none."""

    @property
    def switches(self) -> dict[str, Value]:
        """Choices where the documents leave a choice, by their names in `Kind.switches`; may be changed at any time."""

    @property
    def switchable(self) -> Mapping[str, Setting]:
        """What each switch may be."""

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that arrive now; gives all that the device sends up to now."""

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives what the device sends without being asked."""

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""

    def reset(self, now_us: int, *, power: bool) -> None:
        """Start the firmware anew; `power`: its supply was gone, too."""

    def sense(self, now_us: int) -> None:
        """Look at what a knob has just changed under the device, its supply voltage for one."""

    def place(self) -> Place:
        """A fresh reader of where frames begin and end on its line, for faults that act on whole frames."""

    def lie(self, *, model: str | None, emulator: bool) -> object:
        """A value for the knob `claims`: another identity than the true one."""

    def badge(self) -> dict[str, str]:
        """Its model, serial number and state."""

    def inside(self, now_us: int) -> dict[str, Any]:
        """What it knows and believes, in words that JSON has; looking changes nothing."""


Build: TypeAlias = Callable[[Sequence[Body], Scope, int], Device]
"""Switches a device on: bodies on its leads, the scope on them, the time."""


class Asked(NamedTuple):
    """A device as somebody asks for it; `boot`: the number of its first start, where it has one. None: by chance."""

    serial: str
    channels: int
    clinical: bool = False
    switches: Mapping[str, Value] = {}
    boot: int | None = None


class Kind(NamedTuple):
    """A kind of device as the command line offers it; `plan` raises BadSetting."""

    name: str
    serial: str
    channels: int
    switches: Mapping[str, Setting]
    plan: Callable[[Asked], Build]
