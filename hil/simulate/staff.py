"""What a simulation must know of a controller to work with it: how its people speak, and how it is read.

A target's module gives `staff(site) -> Staff` beside its factory. Nothing is inherited: what has the shape will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Stage: TypeAlias = Literal[
    "away", "idle", "open", "armed", "running", "paused", "calibrating", "doubt",
]  # fmt: skip
"""Where a device is: not there, without session, with one, permitted, with current, at zero, not known to be off."""

Wish: TypeAlias = Literal[
    "claim", "renew", "release", "prepare", "attest", "check", "arm", "start", "adjust", "pause", "resume", "stop",
    "clear", "present", "rate", "look", "report", "status", "begin", "step", "mark", "end",
]  # fmt: skip
"""What people ask for; `begin` to `end` are a calibration, `look` is a look at the skin, `report` one of harm."""


class Order(Protocol):
    """A message to the controller; `id` is what its answers are told by."""

    @property
    def id(self) -> str: ...  # noqa: D102 - as the class says
    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def payload(self) -> bytes: ...  # noqa: D102


class Answer(Protocol):
    """What became of an order. `seen_old`: it was refused because its sender had not seen the newest state."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def is_final(self) -> bool: ...  # noqa: D102
    @property
    def is_done(self) -> bool: ...  # noqa: D102
    @property
    def seen_old(self) -> bool: ...  # noqa: D102
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def rules(self) -> Sequence[str]: ...  # noqa: D102


class Told(Protocol):
    """Something happened at a device; the rule that made it, if one did, stands first of `rules`."""

    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def rules(self) -> Sequence[str]: ...  # noqa: D102


class Latch(Protocol):
    """Something that keeps an output at zero, and the role of who may clear it; `stops`: here, whoever lies there."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def who(self) -> str: ...  # noqa: D102
    @property
    def stops(self) -> bool: ...  # noqa: D102


class Shown(Protocol):
    """How a device is: `caps_ua` and `set_ua` by channel are the top of the set-point, and where it stands."""

    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def stage(self) -> Stage: ...  # noqa: D102
    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def latches(self) -> Sequence[Latch]: ...  # noqa: D102
    @property
    def set_ua(self) -> Mapping[int, int]: ...  # noqa: D102
    @property
    def caps_ua(self) -> Mapping[int, int]: ...  # noqa: D102
    @property
    def expect(self) -> Mapping[str, object]: ...  # noqa: D102


class Charge(Protocol):
    """What the ledger counts for a channel of a session: what was charged, or else what is reserved."""

    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def channel(self) -> int: ...  # noqa: D102
    @property
    def counted_nc(self) -> int: ...  # noqa: D102


class Staff(Protocol):
    """The people of a clinic, as this controller knows them, and what may be read of it.

    `rules` are all that it has; `beyond` says of those that no simulation can reach why not. `completed` is the kind of
    event that tells of a session that came to its end. `tighter` has limits that a prescription may draw closer, with
    values to choose from, and `kinds` of devices on which a session needs a word of the patient's button first.
    """

    @property
    def rules(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def beyond(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def completed(self) -> str: ...  # noqa: D102
    @property
    def tighter(self) -> Mapping[str, Sequence[int]]: ...  # noqa: D102

    def prescription(self, rx: Mapping[str, object], wall_us: int) -> str:
        """Write a prescription (`plan.Rx` as a mapping) as its people would."""

    def order(
        self, who: str, device: str, wish: Wish, number: int, wall_us: int, seen: Shown | None, of: Mapping[str, object]
    ) -> Order:
        """Give the message that asks for something; `seen` is the state that its sender has seen last."""

    def answer(self, topic: str, payload: bytes) -> Answer | None:
        """Read it as an answer."""

    def told(self, topic: str, payload: bytes) -> Told | None:
        """Read it as an event."""

    def shown(self, topic: str, payload: bytes) -> Shown | None:
        """Read it as a device's state."""

    def charges(self, folder: Path) -> Sequence[Charge]:
        """Read the ledger."""

    def permitted(self, folder: Path) -> frozenset[str]:
        """Give the sessions whose permission to drive would survive a crash now."""


Hire: TypeAlias = Callable[[str], Staff]
