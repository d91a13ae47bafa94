"""Plays the device's side of a tape to a controller, as long as the controller says what it said on the tape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from hil.clock import boottime_us
from hil.emulate import OnLine
from hil.start import ready, told_to_end
from hil.tape import Chunk, agreed
from hil.tape_file import read
from hil.wire import Pty

SHOWN = 16
"""Bytes of either side that a difference shows."""


class Departure(NamedTuple):
    """The host's first byte that is not the tape's: its place among all of the host's, and its time on the tape."""

    offset: int
    at_us: int
    expected: bytes
    got: bytes

    @property
    def text(self) -> str:
        """As a person reads it."""
        expected = self.expected.hex() or "nothing more"
        return f"byte {self.offset} at {self.at_us / 1000:.3f} ms: expected {expected}, got {self.got.hex()}"


class Player:
    """The device's end of a tape, without I/O. What it says keeps its distance on the tape from what came before it.

    The first chunk is due at the beginning; one behind bytes of the host, when these have come. `told` is called when
    all was played, and at the first byte that differs: after that it is silent.
    """

    def __init__(self, chunks: Sequence[Chunk], now_us: int) -> None:
        self.told: Callable[[], None] = _untold
        self.departure: Departure | None = None
        self._chunks = chunks
        said = [chunk for chunk in chunks if chunk.direction == "to_device"]
        self._expected = b"".join(chunk.data for chunk in said)
        self._ends = list(accumulate(len(chunk.data) for chunk in said))
        self._times = [chunk.at_us for chunk in said]
        self._heard = 0
        self._heard_chunks = 0
        self._at = 0
        self._anchor_us = now_us, chunks[0].at_us if chunks else 0

    @property
    def is_played(self) -> bool:
        """True when all was said by both."""
        return self._at == len(self._chunks)

    @property
    def standing(self) -> dict[str, int]:
        """How far it is: bytes of the host, of how many; chunks, of how many."""
        return {
            "heard": self._heard,
            "expected": len(self._expected),
            "played": self._at,
            "chunks": len(self._chunks),
        }

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that the host sends now; gives what the device says up to now."""
        out = self.advance(now_us)
        if self.departure:
            return out
        same = agreed(data, self._expected[self._heard :])
        self._heard += same
        if same < len(data):
            expected = self._expected[self._heard : self._heard + SHOWN]
            self.departure = Departure(self._heard, self._time_of(self._heard), expected, data[same : same + SHOWN])
            self.told()
            return out
        self._skip(now_us)
        return out + self.advance(now_us)

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives what the device says."""
        out = b""
        while (due_us := self.next_deadline_us()) is not None and due_us <= now_us:
            chunk = self._chunks[self._at]
            out += chunk.data
            self._step(due_us)
            self._skip(due_us)
        return out

    def next_deadline_us(self) -> int | None:
        """When the device says something next, unless it waits for the host."""
        if self.departure or self.is_played or self._chunks[self._at].direction == "to_device":
            return None
        now_us, tape_us = self._anchor_us
        return now_us + self._chunks[self._at].at_us - tape_us

    def _skip(self, now_us: int) -> None:
        """Go past chunks of the host that have come; they may have come before their turn."""
        while not self.is_played and self._chunks[self._at].direction == "to_device":
            if self._heard < self._ends[self._heard_chunks]:
                return
            self._heard_chunks += 1
            self._step(now_us)

    def _step(self, now_us: int) -> None:
        self._anchor_us = now_us, self._chunks[self._at].at_us
        self._at += 1
        if self.is_played:
            self.told()

    def _time_of(self, offset: int) -> int:
        """When the host said a byte on the tape; behind the last one, when the tape ended."""
        times = (at_us for at_us, end in zip(self._times, self._ends, strict=True) if offset < end)
        end_us = self._chunks[-1].at_us if self._chunks else 0
        return next(times, end_us) - (self._chunks[0].at_us if self._chunks else 0)


def _untold() -> None:
    pass


def run(tape: Path, link: Path, *, until_eof: bool) -> str | None:
    """Play a tape until told to end, or until the host departs from it; gives what is wrong. Raises BadTape, InUse."""
    return asyncio.run(_play(read(tape).chunks, link, until_eof=until_eof))


async def _play(chunks: Sequence[Chunk], link: Path, *, until_eof: bool) -> str | None:
    ended = told_to_end(until_eof=until_eof)
    player = Player(chunks, boottime_us())

    def told() -> None:
        if player.departure:
            ended.set()
        else:
            print("played", json.dumps(player.standing), flush=True)  # noqa: T201 - what a starter may wait for

    player.told = told
    running = OnLine(player, Pty(link))
    try:
        running.start()
        ready(link, **player.standing)
        await ended.wait()
    finally:
        running.stop()
    if player.departure:
        return player.departure.text
    return None if player.is_played else f"not played to the end: {json.dumps(player.standing)}"
