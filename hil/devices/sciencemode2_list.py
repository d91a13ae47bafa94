"""When a list of channels gives its pulses: ScienceMode 2's slots, doublets, and channels that are passed over.

    time in a list = group * between_us + slot * 1500 us

Each of the two current sources serves its active channels one after the other, a slot each; the sources work at the
same time. A list that has begun is given as it was told when it began; an update counts from the next one on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hil.body import Body
from hil.devices.output import Output
from hil.devices.sciencemode2_words import Channels, Pulse
from hil.scope import Scope

COMPLIANCE_MV = 150_000
"""Not documented for this device; that of its successor's outputs. Engineering default."""

SLOT_US = 1_500
SOURCES = (range(1, 5), range(5, 9))
"""Channels of the yellow and of the green connector."""


class Due(NamedTuple):
    """One pulse of a list."""

    at_us: int
    channel: int
    pulse: Pulse


def slots(active: tuple[int, ...]) -> dict[int, int]:
    """The slot of each channel on its source."""
    shared = ([channel for channel in source if channel in active] for source in SOURCES)
    return {channel: slot for own in shared for slot, channel in enumerate(own)}


def fits(channels: Channels, pulses: Mapping[int, Pulse]) -> bool:
    """Whether all groups of a list have room before the next one, and all slots of a group before the next group."""
    groups = max(pulse.groups for pulse in pulses.values())
    busy_us = (1 + max(slots(channels.active).values())) * SLOT_US
    has_room = groups == 1 or busy_us <= channels.between_us
    return has_room and (not channels.every_us or groups * channels.between_us <= channels.every_us)


class ListStage(Output):
    """Gives the pulses of lists in the order of their times, and of their channels where the times are equal."""

    def __init__(self, bodies: Sequence[Body], scope: Scope) -> None:
        super().__init__(bodies, scope, COMPLIANCE_MV)
        self._told: tuple[Channels, Mapping[int, Pulse]] | None = None
        self._given: tuple[Channels, Mapping[int, Pulse]] | None = None
        self._queue: deque[Due] = deque()
        self._list_us: int | None = None
        self._lists = 0
        self._free_us = 0

    def play(self, channels: Channels, pulses: Mapping[int, Pulse], now_us: int) -> None:
        """Give these lists; the first one begins now, or when the next one of those that are given is due."""
        self._told = channels, pulses
        self._heed(now_us)

    def end(self, now_us: int) -> None:
        """Give nothing more, unless it is stuck."""
        self._told = None
        self._heed(now_us)

    @property
    def is_live(self) -> bool:
        """True while pulses are to come, whatever the device believes."""
        return bool(self._queue) or self._list_us is not None

    def is_busy(self, now_us: int) -> bool:
        """True until the last slot of a single list has ended."""
        return self._list_us is None and now_us < self._free_us

    def due_us(self) -> int | None:
        """When `step` has something to do next."""
        return self._queue[0].at_us if self._queue else self._list_us

    def step(self, at_us: int) -> Due | None:
        """The pulse that is due, if one is: at the beginning of a list all of its channels may be passed over."""
        if not self._queue:
            self._begin(at_us)
        return self._queue.popleft() if self._queue and self._queue[0].at_us == at_us else None

    def _heed(self, now_us: int) -> None:
        if not (self._stuck and self.is_live):
            self._follow(now_us)

    def _follow(self, now_us: int) -> None:
        self._given = self._told
        if not self._given:
            self._queue.clear()
            self._list_us, self._free_us = None, now_us
        elif not self.is_live:
            self._list_us, self._lists = now_us, 0

    def _begin(self, at_us: int) -> None:
        if not self._given:
            return
        channels, pulses = self._given
        slot = slots(channels.active)
        is_rare_turn = self._lists % (channels.skips + 1) == 0
        self._lists += 1
        self._list_us = at_us + channels.every_us if channels.every_us else None
        groups = max(pulse.groups for pulse in pulses.values())
        self._free_us = at_us + (groups - 1) * channels.between_us + (1 + max(slot.values())) * SLOT_US
        self._queue.extend(
            sorted(
                Due(at_us + group * channels.between_us + slot[channel] * SLOT_US, channel, pulse)
                for channel, pulse in pulses.items()
                for group in range(pulse.groups)
                if pulse.ua and (is_rare_turn or channel not in channels.rare)
            )
        )
