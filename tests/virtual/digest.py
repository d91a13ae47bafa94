"""One session as a process of its own: `python -m tests.virtual.digest KIND SEED` prints digests and counts as JSON."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.virtual.nurse import Ward, in_virtual_time, prescribed


async def played(folder: Path, kind: str, seed: int) -> Ward:
    """Play a session with a pause, a stall, a kill and a second life; gives the ward as it was left."""
    ward = Ward(folder, kind=kind, seed=seed)
    await ward.turned_on()
    ward.house.target.prescribe(prescribed(therapy_ms=30_000))
    await ward.running()
    await asyncio.sleep(5)
    ward.house.stall(120)
    await asyncio.sleep(2)
    await ward.must("session.pause")
    await asyncio.sleep(2)
    ward.house.kill("torn")
    await asyncio.sleep(3)
    await ward.turned_on()
    await ward.house.end()
    return ward


def main() -> None:
    """Print what came out of it."""
    kind, seed = sys.argv[1], int(sys.argv[2])
    with TemporaryDirectory() as folder:
        ward = in_virtual_time(played(Path(folder), kind, seed))
        tape, said = ward.bench.tape.since(), ward.house.published
        with closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as database:
            rows = database.execute("SELECT * FROM journal ORDER BY seq").fetchall()
            answers = database.execute("SELECT * FROM answers ORDER BY principal, command_id").fetchall()
        with closing(sqlite3.connect(Path(folder) / "ledger.sqlite")) as database:
            charged = database.execute("SELECT * FROM reservations").fetchall()
        scope = ward.bench.scope.pulses(1)
    parts: dict[str, list[Any]] = {
        "tape": tape, "published": said, "logged": ward.house.logged, "journal": rows, "answers": answers,
        "ledger": charged, "scope": scope,
    }  # fmt: skip
    found = {name: [len(part), sha256(repr(part).encode()).hexdigest()] for name, part in parts.items()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
