"""A real device behind a port, in the place of an emulated one: the bench relays, tapes and can spoil its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hil.body import Body
from hil.devices.device import Asked, Build, Kind
from hil.devices.output import Output
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import Setting, Value
from hil.way import Place


class Beyond:
    """What the bench knows of a real device: its bytes. No fault can reach into it."""

    button = None
    knobs: Mapping[str, Knob[Any]] = {}
    switchable: Mapping[str, Setting] = {}

    def __init__(self, kind: str, stage: Output, place: Callable[[], Place]) -> None:
        self.kind = kind
        self.stage = stage
        self.place = place
        self.switches: dict[str, Value] = {}
        self.send: Callable[[bytes], None] = _nowhere
        self._heard = bytearray()

    def hear(self, data: bytes) -> None:
        """Bytes of the device have come; they pass at the next `advance`."""
        self._heard += data

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Pass bytes on to the device."""
        self.send(data)
        return self.advance(now_us)

    def advance(self, _: int) -> bytes:
        """What the device has sent since."""
        heard = bytes(self._heard)
        self._heard.clear()
        return heard

    def next_deadline_us(self) -> int | None:
        """Nothing: it has a clock of its own."""
        return None

    def reset(self, _: int, *, power: bool) -> None:
        """Out of reach."""

    def sense(self, _: int) -> None:
        """Out of reach."""

    def lie(self, *, model: str | None, emulator: bool) -> object:
        """Out of reach."""

    def badge(self) -> dict[str, str]:
        """Only its kind, and that as it was told."""
        return {"model": self.kind, "serial": "", "state": "unknown"}

    def inside(self, _: int) -> dict[str, Any]:
        """Nothing."""
        return {}


def beyond(kind: Kind) -> Build:
    """A real device of a kind; frames on its line are read as the emulated twin reads them."""

    def build(bodies: Sequence[Body], scope: Scope, now_us: int) -> Beyond:
        twin = kind.plan(Asked(kind.serial, len(bodies)))(bodies, scope, now_us)
        return Beyond(kind.name, twin.stage, twin.place)

    return build


def _nowhere(_: bytes) -> None:
    pass
