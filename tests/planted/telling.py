"""What the stories of this folder share: how one begins, what was sent, what is on disk."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from hil.frame_names import Unit, units
from tests.virtual.nurse import Ward, in_virtual_time, prescribed

DEAD_MAN_US = 500_000
TICK_US = 50_000
PERIOD_US = 25_000
STEADY = {"modality": "tens", "on_ms": 58_000, "off_ms": 0}
PATIENCE_S = 60.0
"""A story whose defect keeps it waiting ends soon."""

Story: TypeAlias = Callable[[Ward], Coroutine[Any, Any, None]]


def told(story: Story, kind: str = "native") -> None:
    """Tell a story in a ward whose controller was never on."""

    async def main(folder: Path) -> None:
        ward = Ward(folder, kind=kind)
        ward.patience_s = PATIENCE_S
        await story(ward)

    with TemporaryDirectory() as name:
        in_virtual_time(main(Path(name)))


def played(story: Story, kind: str = "native", rx: str = "", **of: Any) -> None:  # noqa: ANN401 - of a prescription
    """Tell a story that begins with current that flows."""

    async def begun(ward: Ward) -> None:
        await ward.turned_on()
        ward.house.target.prescribe(rx or prescribed(**STEADY | of))
        await ward.running()
        await asyncio.sleep(3)
        await story(ward)

    told(begun, kind)


def sent(ward: Ward, since_us: int = 0) -> Counter[str]:
    """The frames that the device was sent, by name."""
    return Counter(unit.name for unit in spoken(ward) if unit.at_us >= since_us)


def spoken(ward: Ward) -> list[Unit]:
    """The frames that the device was sent."""
    return units(ward.bench.tape.since(), "to_device", ward.bench.device.kind)


def post(
    ward: Ward, verb: str, body: Mapping[str, Any] | None = None, *, retained: bool = False
) -> list[tuple[str, bytes]]:
    """Ask as the nurse does, maybe as a broker that had kept it; gives what was published."""
    hear, said = ward.house.hear, list[tuple[str, bytes]]()

    def listened(topic: str, payload: bytes) -> None:
        said.append((topic, payload))
        hear(topic, payload, retained=retained)

    ward.house.hear = listened  # type: ignore[method-assign,assignment]
    ward.send(verb, body)
    ward.house.hear = hear  # type: ignore[method-assign]
    return said


def rows(ward: Ward, query: str, name: str = "ledger") -> list[tuple[Any, ...]]:
    """What is on disk."""
    with closing(sqlite3.connect(ward.house.site.folder / f"{name}.sqlite")) as database:
        return database.execute(query).fetchall()


def codes(ward: Ward, kind: str) -> list[str]:
    """The codes of all events of a kind."""
    return [event["code"] for event in ward.events if event["kind"] == kind]


def changed(payload: bytes, **of: object) -> bytes:
    """A message with other fields."""
    return json.dumps(json.loads(payload) | of).encode()
