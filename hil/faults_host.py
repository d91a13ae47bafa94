"""Faults of the controller's process and its surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.fault_table import fault
from hil.host import Host, NoHost
from hil.settings import Setting

if TYPE_CHECKING:
    from hil.bench import Bench


def _host(bench: Bench) -> Host:
    if bench.host is None:
        raise NoHost("the host went away before its fault began")
    return bench.host


@contextmanager
def _surrounded(bench: Bench, method: str, value: object) -> Iterator[None]:
    act, knob = getattr(_host(bench), method), bench.surroundings[method]
    try:
        with knob.covered(value):
            act(value)
            yield
    finally:
        act(knob.value)


@fault(
    "host",
    "H11",
    "hold at two periods late, pause at four, STOP at 250 ms (M25); the dead man ends what a frozen process left on",
    needs="stall",
    ms=Setting(int, 300, "how long it stands still", 1, 86_400_000),
    every_ms=Setting(int, None, "again after so long, from one beginning to the next; null: once", 1, 86_400_000),
)
def late_tick(bench: Bench, *, ms: int, every_ms: int | None) -> Iterator[None]:
    """The controller's process gets no processor for a while: a late tick, or a frozen process."""
    host = _host(bench)
    is_over = False

    def stall() -> None:
        if not is_over:
            host.stall(ms)
            if every_ms:
                bench.at(bench.now_us + every_ms * 1000, stall)

    stall()
    try:
        yield
    finally:
        is_over = True
        host.stall(0)


@fault(
    "host",
    "H27",
    "hold or pause when wall and monotonic time part (M31); the ledger takes the larger; no start unsynced (G25)",
    needs="jump",
    ms=Setting(int, 3_600_000, "by how much; negative: back", -(10**12), 10**12),
)
def clock_jump(bench: Bench, *, ms: int) -> Iterator[None]:
    """The wall clock of the controller jumps, and back when this ends."""
    host = _host(bench)
    host.jump(ms)
    try:
        yield
    finally:
        host.jump(-ms)


@fault(
    "host",
    "H39",
    "STOP at most a second after the oldest entry that is not durable (M32); refuse to start (G25)",
    needs="disk",
)
def disk_full(bench: Bench) -> Iterator[None]:
    """There is no room for another byte where the controller keeps its files."""
    with _surrounded(bench, "disk", "full"):
        yield


@fault(
    "host",
    "H39",
    "STOP at most a second after the oldest entry that is not durable (M32); refuse to start (G25)",
    needs="disk",
)
def read_only_disk(bench: Bench) -> Iterator[None]:
    """Nothing can be written where the controller keeps its files."""
    with _surrounded(bench, "disk", "read_only"):
        yield


@fault(
    "host",
    "H11 H31",
    "go on, or end as by a crash: the dead man ends the output, and nothing starts again by itself (X5, X6)",
    needs="press",
    left=Setting(int, 1_048_576, "bytes more than it has now", 0, 2**40),
)
def memory_pressure(bench: Bench, *, left: int) -> Iterator[None]:
    """The controller gets hardly any more memory."""
    with _surrounded(bench, "press", left):
        yield


@fault(
    "host",
    "H32 H33",
    "the session goes on while its claim holds, then it pauses (M05); stop buttons work without a broker (M23)",
    needs="broker",
)
def broker_loss(bench: Bench) -> Iterator[None]:
    """The message broker is gone."""
    with _surrounded(bench, "broker", True):
        yield


@fault(
    "host",
    "H33 H25",
    "STOP gets through on its own connection; the tick is not late (M25); no old message is taken for a command (G02)",
    needs="flood",
    rate=Setting(int, 1_000, "messages in a second", 1, 1_000_000),
)
def broker_flood(bench: Bench, *, rate: int) -> Iterator[None]:
    """The broker carries messages to the controller without end."""
    with _surrounded(bench, "flood", rate):
        yield
