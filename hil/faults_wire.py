"""Faults of the serial line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from hil.fault_table import fault, together
from hil.settings import Setting
from hil.way import (
    Choice,
    Manipulator,
    Overtaken,
    PerFrame,
    Spoil,
    Spot,
    Way,
    choice,
    each_bit,
    flipped,
    in_pieces,
    later,
    lost,
    misread,
    repeated,
    swallow,
)

if TYPE_CHECKING:
    from hil.bench import Bench

DIRECTION = Setting(str, "both", "which bytes", choices=("to_device", "to_host", "both"))
NTH = Setting(int, 0, "only the nth frame from now; 0: by chance", 0, 10**9)
CHANCE = Setting(float, 1.0, "chance of each frame", 0.0, 1.0)
SEED = Setting(int, None, "seed of the chance; null: the bench's", 0)

POUR_US = 10_000
"""A flood comes in gushes this far apart. Engineering default."""


def _manipulated(bench: Bench, direction: str, make: Callable[[], Manipulator]) -> AbstractContextManager[None]:
    # Each direction has a manipulator of its own: they count frames.
    return together(*(way.manipulated(make()) for way in bench.ways(direction)))


def _per_frame(bench: Bench, nth: int, chance: float, dice: Random, spoil: Spoil) -> PerFrame:
    return PerFrame(bench.device.place(), choice(nth, chance, dice), spoil)


def _dice(bench: Bench, seed: int | None) -> Random:
    return bench.random if seed is None else Random(seed)  # noqa: S311 - repeatable faults, no secrets


@fault("wire", "H10 H11", "pause on old telemetry, then STOP; the dead man ends the output (M04, M29)")
def dead_line(bench: Bench) -> Iterator[None]:
    """Nothing arrives, in either direction; the port itself stays open."""
    with _manipulated(bench, "both", lambda: swallow):
        yield


@fault(
    "wire",
    "H10 H11",
    "pause on old telemetry, then STOP; the dead man ends the output where no keep-alive arrives (M04, M29)",
    direction=Setting(str, "to_host", "which bytes are lost", choices=("to_device", "to_host")),
)
def half_open(bench: Bench, *, direction: str) -> Iterator[None]:
    """Nothing arrives in one direction, everything in the other; the port itself stays open."""
    with _manipulated(bench, direction, lambda: swallow):
        yield


@fault(
    "wire",
    "H10 H16",
    "no energising frame is sent twice; pause when telemetry gets old (M04, M26)",
    direction=DIRECTION,
    nth=NTH,
    chance=CHANCE,
    seed=SEED,
)
def drop(bench: Bench, *, direction: str, nth: int, chance: float, seed: int | None) -> Iterator[None]:
    """Whole frames are lost."""
    dice = _dice(bench, seed)
    with _manipulated(bench, direction, lambda: _per_frame(bench, nth, chance, dice, lost)):
        yield


@fault(
    "wire",
    "H16",
    "nothing damaged is ever obeyed; pause at two damaged frames in a second, STOP at three (M26)",
    direction=DIRECTION,
    nth=NTH,
    chance=CHANCE,
    byte=Setting(int, -1, "index of the byte in the frame; -1: one of the first seven, by chance", -1, 1_199),
    bit=Setting(int, 0, "which bit of it", 0, 7),
    seed=SEED,
)
def corrupt(
    bench: Bench, *, direction: str, nth: int, chance: float, byte: int, bit: int, seed: int | None
) -> Iterator[None]:
    """One bit of a frame is turned."""
    dice = _dice(bench, seed)
    with _manipulated(bench, direction, lambda: _per_frame(bench, nth, chance, dice, flipped(byte, bit, dice))):
        yield


@fault(
    "wire",
    "H16",
    "nothing changes: frames are put together whatever the pieces",
    direction=DIRECTION,
    size=Setting(int, 1, "bytes in a piece", 1, 1_200),
    gap_us=Setting(int, 87, "from one piece to the next; a byte takes 87 us at 115,200 baud", 0, 10**7),
)
def split(bench: Bench, *, direction: str, size: int, gap_us: int) -> Iterator[None]:
    """Bytes arrive in small pieces with gaps between them."""
    with _manipulated(bench, direction, lambda: in_pieces(size, gap_us)):
        yield


@fault(
    "wire",
    "H16",
    "nothing damaged is ever obeyed, whichever bit it is: no change of the output, none of what is believed (M26)",
    direction=DIRECTION,
    every=Setting(int, 1, "only every so many frames one", 1, 10**6),
)
def corrupt_each_bit(bench: Bench, *, direction: str, every: int) -> Iterator[None]:
    """A walk over all bits: the first frame has its first bit turned, the next its second; then it starts anew."""

    def in_turn() -> Choice:
        numbers = count(1)
        return lambda: next(numbers) % every == 0

    with _manipulated(bench, direction, lambda: PerFrame(bench.device.place(), in_turn(), each_bit())):
        yield


@fault(
    "wire",
    "H08 H16",
    "a frame that comes twice acts once; a second answer is no answer to anything (M26)",
    direction=DIRECTION,
    nth=NTH,
    chance=CHANCE,
    copies=Setting(int, 1, "copies behind the frame", 1, 1_000),
    seed=SEED,
)
def duplicate(
    bench: Bench, *, direction: str, nth: int, chance: float, copies: int, seed: int | None
) -> Iterator[None]:
    """Whole frames arrive more than once."""
    dice = _dice(bench, seed)
    with _manipulated(bench, direction, lambda: _per_frame(bench, nth, chance, dice, repeated(copies))):
        yield


@fault(
    "wire",
    "H10 H12",
    "an answer later than the ack budget is no answer; pause on old telemetry (M04)",
    direction=DIRECTION,
    delay_ms=Setting(int, 200, "how much later", 0, 60_000),
    jitter_ms=Setting(int, 0, "by chance up to so much more", 0, 60_000),
    seed=SEED,
)
def delay(bench: Bench, *, direction: str, delay_ms: int, jitter_ms: int, seed: int | None) -> Iterator[None]:
    """Everything arrives later, in its order."""
    dice = _dice(bench, seed)
    with _manipulated(bench, direction, lambda: later(delay_ms * 1000, jitter_ms * 1000, dice)):
        yield


@fault(
    "wire",
    "H08 H16",
    "an older frame is not obeyed behind a newer one; an answer to another request is no answer (M26)",
    direction=DIRECTION,
    nth=NTH,
    chance=CHANCE,
    late_ms=Setting(int, 150, "how much later the frame arrives", 1, 60_000),
    seed=SEED,
)
def reorder(bench: Bench, *, direction: str, nth: int, chance: float, late_ms: int, seed: int | None) -> Iterator[None]:
    """Whole frames arrive late, and what was sent behind them before them."""
    dice = _dice(bench, seed)
    late_us = late_ms * 1000
    with _manipulated(bench, direction, lambda: Overtaken(bench.device.place(), choice(nth, chance, dice), late_us)):
        yield


@fault(
    "wire",
    "H16",
    "no answer is ever understood: refuse to start, pause on old telemetry (M04, M26)",
    ratio=Setting(float, 2.0, "baud rate of the device over that of the host; 0.96 to 1.05 is still read", 0.1, 10.0),
)
def baud_mismatch(bench: Bench, *, ratio: float) -> Iterator[None]:
    """Host and device read each other's bits at the wrong times."""
    with together(bench.to_device.manipulated(misread(ratio)), bench.to_host.manipulated(misread(1 / ratio))):
        yield


@fault(
    "wire",
    "H10 H16",
    "STOP still gets through; only sound, expected frames are obeyed; pause, then STOP on damaged ones (M26, M04)",
    direction=DIRECTION,
    rate=Setting(int, 10_000, "bytes in a second", 100, 1_000_000),
    content=Setting(str, "noise", "random bytes, or the last frame again and again", choices=("noise", "frames")),
    seed=SEED,
)
def flood(bench: Bench, *, direction: str, rate: int, content: str, seed: int | None) -> Iterator[None]:
    """Bytes that nobody has sent arrive without end."""
    dice = _dice(bench, seed)
    with together(*(_Flood(bench, way, rate, dice, content).running() for way in bench.ways(direction))):
        yield


class _Flood:
    """Pours bytes onto one way."""

    def __init__(self, bench: Bench, way: Way, rate: int, dice: Random, content: str) -> None:
        self._bench = bench
        self._way = way
        self._size = rate * POUR_US // 1_000_000
        self._dice = dice
        self._content = content
        self._frame = bytearray()
        self._whole = b""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Pour while the context lasts."""
        self._is_over = False
        with self._way.manipulated(PerFrame(self._bench.device.place(), lambda: True, self._kept)):
            self._bench.at(self._bench.now_us, self._pour)
            try:
                yield
            finally:
                self._is_over = True

    def _kept(self, spot: Spot, byte: int) -> bytes:
        if spot.at == 0:
            self._frame.clear()
        self._frame.append(byte)
        if spot.is_last:
            self._whole = bytes(self._frame)
        return bytes((byte,))

    def _pour(self) -> None:
        if self._is_over:
            return
        now_us = self._bench.now_us
        whole = self._whole
        if self._content == "noise":
            self._way.push(self._dice.randbytes(self._size), now_us)
        elif whole:
            self._way.push(whole * -(-self._size // len(whole)), now_us)
        self._bench.at(now_us + POUR_US, self._pour)
