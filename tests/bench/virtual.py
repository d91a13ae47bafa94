"""P7: what a simulated second costs: a session of half an hour on two channels, whole stack, wire in memory.

A continuous programme, so that no rest makes it cheaper: 80 pulses a second reach the body. The control, a strict parse
of a command, is taken between the pieces of the same session.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.virtual.nurse import Ward, in_virtual_time, prescribed

SESSION_MS = 1_800_000
PIECE_S = 20
PARSES = 500
CONTROL, OURS = "control: strict parse, 437 bytes", "P7: a simulated second"


def measured(parse: Callable[[], object]) -> dict[str, list[list[float]]]:
    """Give the microseconds of processor time of a parse and of a simulated second, piece by piece of one session."""
    with TemporaryDirectory() as folder:
        return in_virtual_time(played(Path(folder), parse))


async def played(folder: Path, parse: Callable[[], object]) -> dict[str, list[list[float]]]:
    """Play the session to its end."""
    times: dict[str, list[list[float]]] = {CONTROL: [], OURS: []}
    ward = Ward(folder)
    await ward.turned_on()
    on_ms = SESSION_MS - 2_000
    rx = prescribed(modality="tens", on_ms=on_ms, off_ms=0, therapy_ms=SESSION_MS, channels=2)
    ward.house.target.prescribe(rx)
    await ward.running()
    while ward.summary["session_id"]:
        began_us = time.process_time_ns() / 1000
        for _ in range(PARSES):
            parse()
        parsed_us = time.process_time_ns() / 1000
        await asyncio.sleep(PIECE_S)
        times[CONTROL].append([(parsed_us - began_us) / PARSES])
        times[OURS].append([(time.process_time_ns() / 1000 - parsed_us) / PIECE_S])
        ward.send("presence.confirm")
    # A stack in which nothing happens would be fast, too.
    assert [event["kind"] for event in ward.events[-3:]] == ["session.completed", "stop.confirmed", "session.closed"]
    assert len(ward.pulses(1)) + len(ward.pulses(2)) > 140_000
    return times
