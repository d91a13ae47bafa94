"""The same short session in virtual time and in real time: there over a cable in memory, here over a pty."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from controller.app import Service, run, wired
from controller.cli_rx import import_file
from controller.contract.envelope import Arrival
from controller.host import HOST
from controller.outbox import Outgoing
from controller.settings import load
from controller.virtual import configured, for_ever, nothing
from hil.bench import Bench
from hil.clock import boottime_us
from hil.emulate import Emulator
from hil.target import Site
from hil.wire import Pty
from hil.world import House, Published
from tests.virtual.nurse import WALL_US, Ward, bench, in_virtual_time, prescribed

THERAPY_MS = 8_000


class Bed(NamedTuple):
    """A bench on a pty."""

    bench: Bench
    cable: Pty
    emulator: Emulator


class RealHouse:
    """The service on this computer, as far as a ward knows its house."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.wall_ahead_us = time.time_ns() // 1_000 - boottime_us()
        made, line = bench(site.seats[0].kind, seed, boottime_us()), Pty(site.folder / "bed1")
        self.beds = {"bed1": Bed(made, line, Emulator(made, line))}
        self.beds["bed1"].emulator.start()
        self.published: list[Published] = []
        self.service: Service
        self._ending = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def loop(self) -> RealHouse:
        return self

    @property
    def now_us(self) -> int:
        return boottime_us()

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with wired(load(configured(self.site)), HOST, self._take) as self.service:
            await self.service.boot()
            await run(self.service, self._ending, for_ever(), nothing)

    def _take(self, item: Outgoing) -> None:
        # The other world has no signatures.
        self.published.append(Published(boottime_us(), *item[:5]))
        asyncio.get_running_loop().call_soon(self.on_published, self.published[-1])

    def on_published(self, message: Published) -> None:
        raise NotImplementedError

    def hear(self, topic: str, payload: bytes) -> None:
        self.service.desk.on_command(Arrival(topic, payload, False, None, None))

    async def end(self) -> None:
        self._ending.set()
        assert self._running is not None
        await self._running
        self.beds["bed1"].emulator.stop()


class RealWard(Ward):
    """A ward of such a house."""

    patience_s = 60.0

    def built(self, site: Site, seed: int) -> House:
        return cast("House", RealHouse(site, seed))


class Told(NamedTuple):
    """What happened, without its times."""

    events: list[tuple[str, str]]
    phases: list[str]
    answers: list[list[tuple[str, str]]]
    journal: list[tuple[str]]
    pulses: int


async def told(ward: Ward, folder: Path, text: str) -> Told:
    """Play a session, with a rise, a pause and its end."""
    phases: list[str] = []
    hear = ward._heard

    def look(message: Published) -> None:
        hear(message)
        phases.append(ward.summary.get("phase", ""))

    ward.house.on_published = look  # type: ignore[method-assign]
    await ward.turned_on()
    prescribe(folder, text)
    await ward.running()
    await asyncio.sleep(4)
    await ward.must("session.pause")
    await ward.must("presence.confirm")
    await asyncio.sleep(0.5)
    await ward.must("session.resume")
    await ward.until(lambda: not ward.summary["session_id"])
    await asyncio.sleep(0.2)
    # What comes of renewals is no part of the story; how many there were is a matter of time.
    finals = [[(said["status"], said["code"]) for said in ward.answers[c]] for c in sorted(ward.answers)]
    answers = [each for each in finals if each != [("succeeded", "OK")]]
    # A tick that a busy machine lets come late is held against nobody: whether there is one is a matter of time, too.
    events = [(event["kind"], event["code"]) for event in ward.events if event["kind"] != "session.held"]
    pulses = len(ward.pulses())
    await ward.house.end()
    with closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        rows = database.execute("SELECT kind FROM journal ORDER BY seq").fetchall()
    return Told(events, [phase for phase, _ in groupby(phases) if phase], answers, rows, pulses)


def prescribe(folder: Path, text: str) -> None:
    (folder / "rx.toml").write_text(text, encoding="utf-8")
    import_file(folder / "rx.toml", folder / "config.toml")


@pytest.mark.hazard("H35")
def test_the_same_story_happens_in_virtual_time_and_over_a_pty_in_real_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    def text(wall_us: int) -> str:
        return prescribed(modality="tens", on_ms=THERAPY_MS - 2_000, off_ms=0, therapy_ms=THERAPY_MS, wall_us=wall_us)

    async def virtual() -> Told:
        return await told(Ward(here), here, text(WALL_US))

    async def real() -> Told:
        return await told(RealWard(there), there, text(time.time_ns() // 1_000))

    here, there = folder("virtual"), folder("real")
    found, expected = in_virtual_time(virtual()), asyncio.run(real())
    assert found._replace(pulses=0) == expected._replace(pulses=0)
    assert [kind for kind, _ in found.events][-5:] == [
        "stop.confirmed", "session.resumed", "session.completed", "stop.confirmed", "session.closed",
    ]  # fmt: skip
    assert len(found.journal) >= 9
    # 8 s at 40 Hz less what lies below the threshold of the scope; real time may be a tick late at each end.
    assert min(found.pulses, expected.pulses) > 200
    assert abs(found.pulses - expected.pulses) <= 20
