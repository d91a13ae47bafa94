"""The table of faults: what a row holds, and how a fault enters it.

A fault is a context: it changes the bench, or the controller's process beside it, and what it changed is restored when
the context ends. Hazard numbers and rules are those of the safety reference 6.3 and 7; default figures are engineering
defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hil.devices.device import Device
from hil.settings import Setting

Layer: TypeAlias = Literal["body", "wire", "device", "host"]
Fault: TypeAlias = Callable[..., Iterator[None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table; `needs` is the knob that a device must have for it, None where any device will do.

    Where the layer is the host, it is the method of `hil.host.Host` that the row acts through.
    """

    id: str
    layer: Layer
    text: str
    hazards: tuple[str, ...]
    correct: str
    needs: str | None
    settings: dict[str, Setting]
    act: Callable[..., AbstractContextManager[None]]

    def fits(self, device: Device) -> bool:
        """True when a device can have this fault."""
        return self.layer == "host" or self.needs is None or self.needs in device.knobs


FAULTS: dict[str, Entry] = {}


def fault(
    layer: Layer, hazards: str, correct: str, *, needs: str | None = None, **settings: Setting
) -> Callable[[Fault], Fault]:
    """Enter a function as a fault of its name; its docstring is the row's text."""

    def enter(act: Fault) -> Fault:
        name = act.__name__
        text = (act.__doc__ or "").strip()
        FAULTS[name] = Entry(name, layer, text, tuple(hazards.split()), correct, needs, settings, contextmanager(act))
        return act

    return enter


@contextmanager
def together(*contexts: AbstractContextManager[None]) -> Iterator[None]:
    """Several contexts as one."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
