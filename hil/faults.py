"""Every fault of the bench in one table: what it does, the hazards it stands for, what a controller must do about it.

A fault is a context: it changes the bench, and what it changed is restored when the context ends. Hazard numbers and
rules are those of the safety reference 6.3 and 7; default figures are engineering defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias

from hil.body import Change, Skin
from hil.devices.native_words import Fitted
from hil.knob import Knob
from hil.settings import CHANNEL, Setting
from hil.way import Manipulator, PerFrame, choice, delay, flipped, in_pieces, swallow

if TYPE_CHECKING:
    from hil.bench import Bench

Layer: TypeAlias = Literal["body", "wire", "device"]
Fault: TypeAlias = Callable[..., Iterator[None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table."""

    id: str
    layer: Layer
    text: str
    hazards: tuple[str, ...]
    correct: str
    settings: dict[str, Setting]
    act: Callable[..., AbstractContextManager[None]]


FAULTS: dict[str, Entry] = {}


def _fault(layer: Layer, hazards: str, correct: str, **settings: Setting) -> Callable[[Fault], Fault]:
    def enter(act: Fault) -> Fault:
        name = act.__name__
        text = (act.__doc__ or "").strip()
        FAULTS[name] = Entry(name, layer, text, tuple(hazards.split()), correct, settings, contextmanager(act))
        return act

    return enter


@contextmanager
def _all(*contexts: AbstractContextManager[None]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def _changed(bench: Bench, channel: int | None, change: Change) -> AbstractContextManager[None]:
    return _all(*(bench.bodies[index].changed(change) for index in bench.channels(channel)))


def _covered(bench: Bench, channel: int | None, knobs: list[Knob[float]], value: float) -> AbstractContextManager[None]:
    return _all(*(knobs[index].covered(value) for index in bench.channels(channel)))


def _slide(bench: Bench, over_ms: int) -> Callable[[int], float]:
    start_us = bench.now_us
    return lambda now_us: min(1.0, (now_us - start_us) / (over_ms * 1000)) if over_ms else 1.0


OVER_MS = Setting(int, 10_000, "how long the change takes", 0, 86_400_000)
GAIN = Setting(float, 1.3, "current delivered over current meant", 0.0, 10.0)
DIRECTION = Setting(str, "both", "which bytes", choices=("to_device", "to_host", "both"))
NTH = Setting(int, 0, "only the nth frame from now; 0: by chance", 0, 10**9)
CHANCE = Setting(float, 1.0, "chance of each frame", 0.0, 1.0)
SEED = Setting(int, None, "seed of the chance; null: the bench's", 0)


# --- body -------------------------------------------------------------------------------------------------------------


@_fault(
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


@_fault("body", "H06 H07", "zero at once and STOP; start again from zero after a new check (M07, X5)", channel=CHANNEL)
def snap_off(bench: Bench, *, channel: int | None) -> Iterator[None]:
    """The pad falls off: an open circuit within one pulse."""
    with _changed(bench, channel, lambda skin, _: replace(skin, lead_off=True)):
        yield


@_fault(
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


@_fault(
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


@_fault(
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


@_fault(
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


# --- wire -------------------------------------------------------------------------------------------------------------


def _manipulated(bench: Bench, direction: str, make: Callable[[], Manipulator]) -> AbstractContextManager[None]:
    # Each direction has a manipulator of its own: they count frames.
    return _all(*(way.manipulated(make()) for way in bench.ways(direction)))


def _dice(bench: Bench, seed: int | None) -> Random:
    return bench.random if seed is None else Random(seed)  # noqa: S311 - repeatable faults, no secrets


@_fault("wire", "H10 H11", "pause on old telemetry, then STOP; the dead man ends the output (M04, M29)")
def dead_line(bench: Bench) -> Iterator[None]:
    """Nothing arrives, in either direction; the port itself stays open."""
    with _manipulated(bench, "both", lambda: swallow):
        yield


@_fault(
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
    with _manipulated(bench, direction, lambda: PerFrame(choice(nth, chance, dice), lambda _, __: b"")):
        yield


@_fault(
    "wire",
    "H16",
    "nothing damaged is ever obeyed; pause at two damaged frames in a second, STOP at three (M26)",
    direction=DIRECTION,
    nth=NTH,
    chance=CHANCE,
    byte=Setting(int, -1, "index of the byte in the frame; -1: one of the first seven, by chance", -1, 515),
    bit=Setting(int, 0, "which bit of it", 0, 7),
    seed=SEED,
)
def corrupt(
    bench: Bench, *, direction: str, nth: int, chance: float, byte: int, bit: int, seed: int | None
) -> Iterator[None]:
    """One bit of a frame is turned."""
    dice = _dice(bench, seed)
    with _manipulated(bench, direction, lambda: PerFrame(choice(nth, chance, dice), flipped(byte, bit, dice))):
        yield


@_fault(
    "wire",
    "H16",
    "nothing changes: frames are put together whatever the pieces",
    direction=DIRECTION,
    size=Setting(int, 1, "bytes in a piece", 1, 516),
    gap_us=Setting(int, 87, "from one piece to the next; a byte takes 87 us at 115,200 baud", 0, 10**7),
)
def split(bench: Bench, *, direction: str, size: int, gap_us: int) -> Iterator[None]:
    """Bytes arrive in small pieces with gaps between them."""
    with _manipulated(bench, direction, lambda: in_pieces(size, gap_us)):
        yield


# --- device -----------------------------------------------------------------------------------------------------------


@_fault(
    "device",
    "H14",
    "none can see it: the readback is upstream. Device limits and the rail bound it; only the scope tells",
    channel=CHANNEL,
    gain=GAIN,
)
def over_delivery(bench: Bench, *, channel: int | None, gain: float) -> Iterator[None]:
    """More current reaches the body than the sense resistor sees."""
    with _covered(bench, channel, bench.stage.over_delivery, gain):
        yield


@_fault("device", "H14", "STOP within two pulses and lock the device (M01)", channel=CHANNEL, gain=GAIN)
def dac_gain(bench: Bench, *, channel: int | None, gain: float) -> Iterator[None]:
    """The output stage gives another current than it was told; the readback sees it."""
    with _covered(bench, channel, bench.stage.dac_gain, gain):
        yield


@_fault("device", "H10 H12", "escalate to CUT, lock the device, high alarm within 500 ms (M29)")
def stuck_output(bench: Bench) -> Iterator[None]:
    """The output stage keeps its picture whatever STOP, dead man or firmware say; only the open relay ends it."""
    bench.stage.stick()
    try:
        yield
    finally:
        bench.stage.unstick(bench.now_us)


@_fault("device", "H10", "repeat STOP, then CUT; lock the device (M29)")
def ignored_stop(bench: Bench) -> Iterator[None]:
    """STOP is answered, but the device goes on running; the dead man still works."""
    with bench.model.stop_answer.covered("ignored"):
        yield


@_fault("device", "H10", "repeat STOP, then CUT; lock the device (M29)")
def silent_stop(bench: Bench) -> Iterator[None]:
    """STOP is neither answered nor obeyed; the dead man still works."""
    with bench.model.stop_answer.covered("silent"):
        yield


@_fault(
    "device",
    "H13 H50",
    "STOP; no re-arming by itself (M30, G23)",
    power_cycle=Setting(bool, False, "the power was gone, too: this closes a relay that CUT has opened"),
)
def device_reset(bench: Bench, *, power_cycle: bool) -> Iterator[None]:
    """The device starts anew once: another boot number, uptime from zero, output off."""
    bench.device.reset(bench.now_us, power=power_cycle)
    yield


@_fault("device", "H12 H11", "pause on old telemetry, STOP, CUT (M04, M29); the dead man ends the output")
def hung_firmware(bench: Bench) -> Iterator[None]:
    """The firmware answers nothing and its pulses go on; dead man, CUT and patient stop still work."""
    with bench.model.hung.covered(True):
        yield


@_fault(
    "device",
    "H15",
    "STOP and lock the device: net charge (M16)",
    channel=CHANNEL,
    fraction=Setting(float, 0.0, "part of the second phase that is given", 0.0, 1.0),
)
def missing_phase_2(bench: Bench, *, channel: int | None, fraction: float) -> Iterator[None]:
    """The second phase of each pulse is missing or too short."""
    with _covered(bench, channel, bench.stage.second_phase, fraction):
        yield


@_fault(
    "device",
    "H16",
    "STOP and lock the device (M27)",
    offset_ua=Setting(int, 1_000, "echo minus set current", -100_000, 100_000),
)
def wrong_echo(bench: Bench, *, offset_ua: int) -> Iterator[None]:
    """STATUS tells another set current than the one in force."""
    with bench.model.echo_offset_ua.covered(offset_ua):
        yield


@_fault(
    "device",
    "H50 H13",
    "pause, then STOP; no re-arming by itself (M28)",
    mv=Setting(int, 9_000, "supply voltage", 0, 65_535),
)
def supply(bench: Bench, *, mv: int) -> Iterator[None]:
    """The supply voltage leaves its band."""
    with bench.model.supply_mv.covered(mv):
        bench.model.sense_supply(bench.now_us)
        yield


@_fault(
    "device",
    "H22 H23 H35",
    "refuse the device (G23)",
    emulator=Setting(bool, False, "the emulator flag"),
    model=Setting(str, None, "another model name, at most 16 ASCII characters"),
)
def wrong_id(bench: Bench, *, model: str | None, emulator: bool) -> Iterator[None]:
    """HELLO is answered with another identity: the emulator flag, another model."""
    true = bench.model.claims.value
    flags = true.flags | Fitted.EMULATOR if emulator else true.flags & ~Fitted.EMULATOR
    name = true.model if model is None else model.encode("ascii", "replace").decode()[:16]
    with bench.model.claims.covered(replace(true, flags=flags, model=name)):
        yield


@_fault(
    "device",
    "H12",
    "refuse the device until it passes (G23)",
    result=Setting(int, 1, "bits of SELFTESTED: 1 memory, 2 output stage, 4 relay, 8 measurement", 1, 15),
)
def failed_self_test(bench: Bench, *, result: int) -> Iterator[None]:
    """SELFTEST finds something."""
    with bench.model.self_test.covered(result):
        yield


@_fault(
    "device",
    "H10 H12",
    "an answer later than the ack budget is no answer; pause on old telemetry (M04)",
    delay_ms=Setting(int, 200, "how much later", 0, 60_000),
)
def slow_answers(bench: Bench, *, delay_ms: int) -> Iterator[None]:
    """Everything that the device sends arrives late."""
    with bench.to_host.manipulated(delay(delay_ms * 1000)):
        yield
