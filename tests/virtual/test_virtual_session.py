"""Whole sessions of the whole controller in virtual time, on each kind of device, judged by the scope."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.virtual.nurse import Ward, in_virtual_time, prescribed

ROOT = Path(__file__).parents[2]
KINDS = ("native", "sciencemode4", "sciencemode2")
PERIOD_US = 25_000


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def rows(folder: Path, query: str, name: str = "journal") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / f"{name}.sqlite")) as database:
        return database.execute(query).fetchall()


EVENTS = {
    "native": ["device.online", "session.prepared", "stop.tried", "impedance.measured"],
    "sciencemode4": ["device.online", "session.prepared", "impedance.measured"],
    "sciencemode2": ["device.online", "session.prepared"],
}
THERAPY = ["session.armed", "session.started", "session.completed", "stop.confirmed", "session.closed"]


@pytest.mark.hazard("H35")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_runs_to_its_end_and_the_ledger_is_charged_what_the_scope_saw(folder: Path, kind: str):
    async def main() -> Ward:
        ward = Ward(folder, kind=kind)
        await ward.turned_on()
        ward.house.target.prescribe(prescribed(therapy_ms=60_000))
        await ward.running()
        await ward.until(lambda: not ward.summary["session_id"])
        await asyncio.sleep(1)
        assert [event["kind"] for event in ward.events] == EVENTS[kind] + THERAPY
        assert {event["code"] for event in ward.events} == {"OK"}
        await ward.house.end()
        return ward

    ward = in_virtual_time(main())
    # Six turns of 4 s in 10 s, the ramps among them; a first pulse less or more where a turn begins.
    pulses = ward.pulses()
    turns = [1 for before, after in pairwise(pulses) if after.at_us - before.at_us > 4_000_000]
    assert len(turns) == 5
    assert 880 <= len(pulses) <= 6 * 160
    distances = Counter(after.at_us - before.at_us for before, after in pairwise(pulses))
    assert distances[PERIOD_US] > 800
    ((reserved_nc, charged_nc, completed),) = rows(
        folder, "SELECT reserved_nc, charged_nc, completed FROM reservations", "ledger"
    )
    delivered_nc = ward.bench.scope.charge_nc(1)
    assert delivered_nc <= charged_nc <= 1.05 * delivered_nc
    assert charged_nc < reserved_nc
    assert completed == 1
    # Activity, so that a stack in which nothing happens is no success.
    kinds = Counter(kind for (kind,) in rows(folder, "SELECT kind FROM journal"))
    probes = 0 if kind == "sciencemode2" else 1
    assert kinds == Counter(genesis=1, open=1, attest=1, wish=2, permit=1 + probes, settle=1, close=1)
    chunks = Counter(chunk.direction for chunk in ward.bench.tape.since())
    assert min(chunks.values()) > 60_000 // (100 if kind == "native" else 200)
    finals = [ward.final(command_id) for command_id in ward.answers]
    assert Counter(final["status"] for final in finals if final) == {"succeeded": ward.asked}


@pytest.mark.hazard("H35")
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_in_processes_with_different_hash_seeds(kind: str):
    def played(hash_seed: str, seed: str) -> dict[str, list[Any]]:
        command = [sys.executable, "-m", "tests.virtual.digest", kind, seed]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        found: dict[str, list[Any]] = json.loads(done.stdout)
        return found

    first, second, other = played("1", "5"), played("2", "5"), played("1", "6")
    assert first == second
    assert first["published"] != other["published"]
    counts = {name: count for name, (count, _) in first.items()}
    assert counts["tape"] > 150
    assert counts["published"] > 30
    assert counts["scope"] > 150
    assert counts["journal"] >= 10
    assert counts["ledger"] == 1


@pytest.mark.hazard("H35")
def test_a_house_needs_virtual_time(folder: Path):
    async def main() -> None:
        with pytest.raises(TypeError, match="virtual time"):
            Ward(folder)

    asyncio.run(main())
