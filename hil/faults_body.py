"""Faults of the electrodes and the skin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from math import pi, sin
from random import Random
from typing import TYPE_CHECKING

from hil.body import Change, Skin
from hil.fault_table import fault, together
from hil.settings import CHANNEL, Setting

if TYPE_CHECKING:
    from hil.bench import Bench


OVER_MS = Setting(int, 10_000, "how long the change takes", 0, 86_400_000)


def _changed(bench: Bench, channel: int | None, change: Change) -> AbstractContextManager[None]:
    return together(*(bench.bodies[index].changed(change) for index in bench.channels(channel)))


def _slide(bench: Bench, over_ms: int) -> Callable[[int], float]:
    start_us = bench.now_us
    return lambda now_us: min(1.0, (now_us - start_us) / (over_ms * 1000)) if over_ms else 1.0


@fault(
    "body",
    "H04 H05",
    "trip on the relative rise of the impedance: zero before the true density passes its limit (M09 to M12, M17)",
    channel=CHANNEL,
    start=Setting(float, None, "contact fraction at the start; null: as it is", 0.0, 1.0),
    end=Setting(float, 0.2, "contact fraction at the end", 0.0, 1.0),
    over_ms=OVER_MS,
)
def peel(bench: Bench, *, channel: int | None, start: float | None, end: float, over_ms: int) -> Iterator[None]:
    """The pad lifts: its contact moves in a straight line from one fraction of the pad to another."""
    done = _slide(bench, over_ms)

    def change(skin: Skin, now_us: int) -> Skin:
        first = skin.contact if start is None else start
        return replace(skin, contact=first + (end - first) * done(now_us))

    with _changed(bench, channel, change):
        yield


@fault("body", "H06 H07", "zero at once and STOP; start again from zero after a new check (M07, X5)", channel=CHANNEL)
def snap_off(bench: Bench, *, channel: int | None) -> Iterator[None]:
    """The pad falls off: an open circuit within one pulse."""
    with _changed(bench, channel, lambda skin, _: replace(skin, lead_off=True)):
        yield


@fault(
    "body",
    "H06",
    "zero at the first open pulse and never again at full amplitude when contact returns (M07, X5)",
    channel=CHANNEL,
    open_ms=Setting(int, 100, "how long the lead is open", 1, 86_400_000),
    every_ms=Setting(int, 1_000, "from one opening to the next", 1, 86_400_000),
)
def intermittent(bench: Bench, *, channel: int | None, open_ms: int, every_ms: int) -> Iterator[None]:
    """A broken lead: open for a while, again and again, beginning now."""
    start_us = bench.now_us

    def change(skin: Skin, now_us: int) -> Skin:
        is_open = (now_us - start_us) % (every_ms * 1000) < open_ms * 1000
        return replace(skin, lead_off=True) if is_open else skin

    with _changed(bench, channel, change):
        yield


@fault(
    "body",
    "H17",
    "STOP and lock the montage after two short pulses (M08)",
    channel=CHANNEL,
    ohm=Setting(float, 20.0, "resistance of the short", 0.1, 1e6),
)
def short(bench: Bench, *, channel: int | None, ohm: float) -> Iterator[None]:
    """The leads touch: a small resistance instead of the skin."""
    with _changed(bench, channel, lambda skin, _: replace(skin, resistor_ohm=ohm)):
        yield


@fault(
    "body",
    "H04 H34",
    "hold on drift, pause on a poor electrode (M09, M10, M12)",
    channel=CHANNEL,
    dryness=Setting(float, 5.0, "dryness at the end", 1.0, 100.0),
    over_ms=OVER_MS,
)
def dry_out(bench: Bench, *, channel: int | None, dryness: float, over_ms: int) -> Iterator[None]:
    """The gel dries: the impedance rises slowly."""
    done = _slide(bench, over_ms)

    def change(skin: Skin, now_us: int) -> Skin:
        return replace(skin, dryness=skin.dryness + (dryness - skin.dryness) * done(now_us))

    with _changed(bench, channel, change):
        yield


@fault(
    "body",
    "H09 H17",
    "pause on a fast fall; a clipped channel may not jump when its load gets better (M13, M14)",
    channel=CHANNEL,
    scale=Setting(float, 0.5, "factor on the impedance at the end", 0.01, 1.0),
    over_ms=OVER_MS,
)
def bridge(bench: Bench, *, channel: int | None, scale: float, over_ms: int) -> Iterator[None]:
    """Sweat or gel bridges the pads, or a pad is pressed on: the impedance falls."""
    done = _slide(bench, over_ms)

    def change(skin: Skin, now_us: int) -> Skin:
        return replace(skin, scale=skin.scale * (1 + (scale - 1) * done(now_us)))

    with _changed(bench, channel, change):
        yield


@fault(
    "body",
    "H49 H04",
    "nothing, within a tenth of the impedance: no trip for a movement (M09 to M13); beyond, pause on a poor electrode",
    channel=CHANNEL,
    depth=Setting(float, 0.1, "greatest part of the impedance by which it is moved", 0.0, 0.9),
    hz=Setting(float, 1.0, "how often a second", 0.01, 10.0),
    seed=Setting(int, None, "seed of the movement; null: the bench's", 0),
)
def motion(bench: Bench, *, channel: int | None, depth: float, hz: float, seed: int | None) -> Iterator[None]:
    """The patient moves: the impedance wobbles slowly, on each channel in its own way."""
    dice = bench.random if seed is None else Random(seed)  # noqa: S311 - repeatable faults, no secrets
    with together(*(_changed(bench, index + 1, _wobble(depth, hz, dice)) for index in bench.channels(channel))):
        yield


def _wobble(depth: float, hz: float, dice: Random) -> Change:
    """Three tones around a frequency whose mean never leaves -1 to 1: close to a movement, and no two alike."""
    tones = [(hz * factor, dice.uniform(0, 2 * pi)) for factor in (0.6, 1.0, 1.7)]

    def change(skin: Skin, now_us: int) -> Skin:
        moved = sum(sin(2 * pi * tone * now_us / 1e6 + phase) for tone, phase in tones) / len(tones)
        return replace(skin, scale=skin.scale * (1 + depth * moved))

    return change


@fault(
    "body",
    "H23 H46",
    "none can see it where both pads are good: only what the operator and the patient see tells (G20, M23)",
    channel=Setting(int, 1, "one channel", 1, 8),
    other=Setting(int, 2, "the other", 1, 8),
)
def swapped_leads(bench: Bench, *, channel: int, other: int) -> Iterator[None]:
    """The leads of two channels are exchanged: each one's current flows through the other's pads, the scope's too."""
    leads = bench.stage.leads
    (one,), (two,) = bench.channels(channel), bench.channels(other)
    with together(leads[one].covered(leads[two].value), leads[two].covered(leads[one].value)):
        yield


@fault(
    "body",
    "H17 H35",
    "500 ohm look like good pads: only somebody there sees it; refuse to start below 300 (G20), STOP below 100 (M08)",
    channel=CHANNEL,
    ohm=Setting(float, 500.0, "its resistance", 0.1, 1e6),
)
def test_load(bench: Bench, *, channel: int | None, ohm: float) -> Iterator[None]:
    """A resistor hangs on the leads instead of a body."""
    with _changed(bench, channel, lambda skin, _: replace(skin, resistor_ohm=ohm)):
        yield
