"""Faults of the serial line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from random import Random
from typing import TYPE_CHECKING

from hil.fault_table import fault, together
from hil.settings import Setting
from hil.way import Manipulator, PerFrame, choice, flipped, in_pieces, swallow

if TYPE_CHECKING:
    from hil.bench import Bench

DIRECTION = Setting(str, "both", "which bytes", choices=("to_device", "to_host", "both"))
NTH = Setting(int, 0, "only the nth frame from now; 0: by chance", 0, 10**9)
CHANCE = Setting(float, 1.0, "chance of each frame", 0.0, 1.0)
SEED = Setting(int, None, "seed of the chance; null: the bench's", 0)


def _manipulated(bench: Bench, direction: str, make: Callable[[], Manipulator]) -> AbstractContextManager[None]:
    # Each direction has a manipulator of its own: they count frames.
    return together(*(way.manipulated(make()) for way in bench.ways(direction)))


def _per_frame(bench: Bench, nth: int, chance: float, dice: Random, spoil: Callable[[int, int], bytes]) -> PerFrame:
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
    with _manipulated(bench, direction, lambda: _per_frame(bench, nth, chance, dice, lambda _, __: b"")):
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
