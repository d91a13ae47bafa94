"""Timings as ratios against a control measured in the same run, interleaved. Prints a table and JSON; asserts nothing.

P3: `step(Tick)` with every monitor rule on a plateau, for 1, 2 and 8 channels, against a strict pydantic parse of a
command of 437 bytes. P7: virtual.py. P8: roundtrip.py.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "safety"))

import roundtrip
import virtual
from rig import Modality, Programme, Rig, plan, rx

from controller.contract.envelope import read
from safety import machine
from safety.messages import WELL, Tick

REPETITIONS = 9
CALLS = 4_000


def command_bytes() -> bytes:
    """Make an ordinary command, padded in its text to 437 bytes."""
    body: dict[str, Any] = {
        "schema": "stim.command/1",
        "command_id": "0192f7c1-8a3e-7b10-9c55-0a1b2c3d4e5f",
        "verb": "latch.clear",
        "site": "ward3",
        "device": "dev1",
        "issuer": "clinician-1",
        "role": "physio",
        "issued_at": "2026-11-22T14:50:00.123Z",
        "expires_at": "2026-11-22T14:50:05.123Z",
        "expect": {"boot_id": "b-4", "session_id": "s-19", "state_version": 77},
        "body": {"latch_id": "l-204", "reason": ""},
    }
    short = len(json.dumps(body).encode())
    body["body"]["reason"] = "r" * (437 - short)
    return json.dumps(body).encode()


def parse() -> Callable[[], object]:
    """Give the control: one strict parse."""
    payload = command_bytes()
    assert len(payload) == 437
    return lambda: read(payload)


def tick(channels: int) -> Callable[[], object]:
    """Give one tick on the plateau of a running session; the state is the same at each call."""
    programme = Programme(
        modality=Modality.NMES, ramp_up_ms=1_000, on_ms=10_000, ramp_down_ms=1_000, off_ms=30_000, therapy_ms=600_000
    )
    plans = tuple(plan(channel=n, site=f"site-{n}", ua=10_000) for n in range(1, channels + 1))
    rig = Rig().plateau(rx(*plans, programme=programme))
    rig.mono_ms += 50
    event, now, station = Tick(rig.wanted(), 0, WELL), rig.now, rig.station
    assert event.wanted == station.beat.picture
    return lambda: machine.step(station, event, now)


def microseconds(call: Callable[[], object]) -> list[float]:
    """Time each of CALLS calls."""
    out = []
    for _ in range(CALLS):
        begin = time.perf_counter_ns()
        call()
        out.append((time.perf_counter_ns() - begin) / 1000)
    return out


def quantile(values: list[float], share: float) -> float:
    """Give the value below which this share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def ticks() -> dict[str, list[list[float]]]:
    """Time P3, cell by cell in turn."""
    cells = {"control: strict parse, 437 bytes": parse()} | {f"P3: tick, {n} channels": tick(n) for n in (1, 2, 8)}
    times: dict[str, list[list[float]]] = {name: [] for name in cells}
    gc.collect()
    gc.freeze()
    for _ in track(range(REPETITIONS), description="P3"):
        for name, call in cells.items():
            times[name].append(microseconds(call))
    return times


def compared(times: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Give a row for each cell; the first one is the control of the others."""
    control, results = next(iter(times)), []
    for name, runs in times.items():
        ratios = [median(mine) / median(base) for mine, base in zip(runs, times[control], strict=True)]
        every = [value for run in runs for value in run]
        results.append(
            {
                "what": name,
                "n": len(every),
                "p50_us": quantile(every, 0.5),
                "p99_us": quantile(every, 0.99),
                "p999_us": quantile(every, 0.999),
                "max_us": max(every),
                "ratio": median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
            }
        )
    return results


def main() -> None:
    """Measure and print."""
    console, kept = Console(width=120), []
    for measure, goal in (
        (ticks, "Goal of P3: 2 channels at most 3 x control."),
        (lambda: virtual.measured(parse()), "Goal of P7: at most 500 x control."),
        (lambda: roundtrip.measured(REPETITIONS), "Goal of P8: at most 0.1 x control."),
    ):
        results = compared(measure())
        table = Table("what", "n", "p50 us", "p99", "p99.9", "max", "x control (median of runs)", "range")
        for row in results:
            table.add_row(
                row["what"],
                str(row["n"]),
                *(f"{row[key]:.1f}" for key in ("p50_us", "p99_us", "p999_us", "max_us")),
                f"{row['ratio']:.3f}",
                f"{row['ratio_min']:.3f} to {row['ratio_max']:.3f}",
            )
        console.print(table)
        console.print(f"{goal} Trust the ratio, not the microseconds.")
        kept += results
    Path("bench.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    console.print("Kept in bench.json")


if __name__ == "__main__":
    main()
