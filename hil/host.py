"""The controller's process and its surroundings, as far as faults act on them; a harness gives it as `Bench.host`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

Disk: TypeAlias = Literal["ok", "full", "read_only"]


class NoHost(Exception):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A fault of the controller's surroundings, where the bench has none or these cannot be had; the text says why."""


class Host(Protocol):
    """What runs the controller: a real process, or a simulated one. Each method takes effect at once."""

    @property
    def lacks(self) -> Mapping[str, str]:
        """Methods of this protocol that it cannot do, by name, and why."""

    def stall(self, ms: int) -> None:
        """Give the controller no processor for so long from now on, its timers and sockets included; 0: go on now."""

    def jump(self, ms: int) -> None:
        """Move the controller's wall clock by so much, back where negative; monotonic time goes on as it was."""

    def disk(self, state: Disk) -> None:
        """Where the controller keeps its files: writable, without room for another byte, or not writable at all."""

    def press(self, left: int | None) -> None:
        """Leave the controller so many bytes of memory more than it has; None: no limit."""

    def broker(self, away: bool) -> None:
        """Take the message broker away, connections and all, or put it back."""

    def flood(self, rate: int) -> None:
        """Let the broker carry so many messages a second to the controller that are no commands of it; 0: none."""


def lack(host: Host | None, method: str) -> str | None:
    """Why a method cannot be had; None: it can."""
    if host is None:
        return "it acts on the controller's process, and this bench was given none"
    return host.lacks.get(method)
