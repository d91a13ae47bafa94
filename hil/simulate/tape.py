"""The tape of a clinic: its schedule, and everything that went over its lines and through its broker.

    {"format":"stimwarden-tape","version":1,"kind":"simulation","target":"module:factory","digest":"..."}
    {"schedule":{...}}
    {"at_us":50033863,"device":"bed-1","direction":"to_host","hex":"03ab00"}
    {"at_us":50033863,"topic":"...","text":"..."}
    {"violation":{...}}

Played again it is the same to the byte, as long as target and bench are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hil.simulate.clinic import Outcome, play
from hil.simulate.plan import Schedule, from_json
from hil.simulate.target import found
from hil.tape_file import FORMAT, VERSION, BadTape


class Played(NamedTuple):
    """A tape that was played again: the first of its lines that is another now (0: none), and how many there are."""

    differs_at: int
    lines: int
    violations: int


def write(path: Path, target: str, outcome: Outcome) -> None:
    """Write a clinic down; raises FileExistsError: a record is never written over."""
    with path.open("x", encoding="ascii") as file:
        for line in lines(target, outcome):
            file.write(line + "\n")


def lines(target: str, outcome: Outcome) -> Iterator[str]:
    """The lines of a tape."""
    head = {"format": FORMAT, "version": VERSION, "kind": "simulation", "target": target, "digest": outcome.digest}
    yield json.dumps(head)
    yield json.dumps({"schedule": outcome.schedule.to_json()})
    for device, chunks in outcome.chunks.items():
        for at_us, direction, data in chunks:
            yield json.dumps({"at_us": at_us, "device": device, "direction": direction, "hex": data.hex()})
    for message in outcome.published:
        payload = message.payload.decode("utf-8", "backslashreplace")
        yield json.dumps({"at_us": message.at_us, "topic": message.topic, "text": payload})
    for violation in outcome.violations:
        yield json.dumps({"violation": violation._asdict()})


def read(path: Path) -> tuple[str, Schedule, list[str]]:
    """The target of a tape, its schedule, and all of its lines; raises BadTape and OSError."""
    whole = path.read_text(encoding="ascii", errors="replace").splitlines()
    try:
        head, schedule = json.loads(whole[0]), from_json(json.loads(whole[1])["schedule"])
        target = str(head["target"])
    except (ValueError, LookupError, TypeError) as bad:
        raise BadTape(path, 1, "head", f"expected the head and the schedule of a simulation: {bad}") from bad
    return target, schedule, whole


def again(path: Path) -> Played:
    """Play a tape again, and compare every line; raises BadTape, OSError and target.BadTarget."""
    target, schedule, whole = read(path)
    make, hire = found(target)
    outcome = play(schedule, make, hire, keep=True)
    now = list(lines(target, outcome))
    pairs = enumerate(zip(whole, now, strict=False), 1)
    differs_at = next((at for at, (then, new) in pairs if then != new), 0)
    if not differs_at and len(whole) != len(now):
        differs_at = min(len(whole), len(now)) + 1
    return Played(differs_at, len(whole), len(outcome.violations))
