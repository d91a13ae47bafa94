"""Plays a schedule: the house, its people and its troubles on one loop of virtual time; the judge looks on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hil import simtime
from hil.simulate.bedside import START_US, bench
from hil.simulate.computer import Computer
from hil.simulate.judge import Judge, Violation
from hil.simulate.people import Operator, People
from hil.simulate.plan import Act, Schedule, Seat
from hil.simulate.staff import Hire
from hil.tape import Chunk
from hil.target import Make, Person, Site
from hil.target import Seat as Plugged
from hil.world import House, Published

WALL_US = 1_795_000_000_000_000
"""2026-11-18: any day after the program was written."""
STAFF = ("physio", "prescriber", "biomed")
"""Who works there, each under the name of the role."""
SETTLE_S = 30
"""How long a clinic goes on after its last act: what was asked is answered, what was begun is over."""


class Outcome(NamedTuple):
    """What a clinic was like, and its digest: of every byte on the lines, everything published, every pulse."""

    schedule: Schedule
    began_us: int
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]
    tally: Counter[str]
    digest: str
    chunks: Mapping[str, tuple[Chunk, ...]]
    published: tuple[Published, ...]


def play(schedule: Schedule, make: Make, hire: Hire, *, keep: bool = False) -> Outcome:
    """Play a clinic from its opening to its end; `keep`: what was on the lines and published, too."""
    with TemporaryDirectory(prefix="clinic-") as folder:
        return simtime.run(Clinic(schedule, make, hire, Path(folder)).run(keep=keep), start_us=START_US)


class Clinic:
    """A clinic while it is open."""

    def __init__(self, schedule: Schedule, make: Make, hire: Hire, folder: Path) -> None:
        self._schedule = schedule
        self._make = make
        self._hire = hire
        self._folder = folder
        self._sum = sha256()
        self._refs: dict[str, str] = {}

    async def run(self, *, keep: bool) -> Outcome:
        """Open, let everything happen, and close."""
        schedule = self._schedule
        ports = {seat.device: f"port-{seat.device}" for seat in schedule.seats}
        site = Site(
            "ward",
            self._folder,
            tuple(Plugged(seat.device, seat.kind, ports[seat.device]) for seat in schedule.seats),
            tuple(Person(name, name) for name in STAFF),
        )
        benches = {ports[seat.device]: bench(seat.kind, schedule.seed) for seat in schedule.seats}
        house = House(self._make, site, benches, seed=schedule.seed, wall_us=WALL_US)
        staff = self._hire(site.name)
        by_device = {seat.device: house.beds[ports[seat.device]] for seat in schedule.seats}
        self.judge = judge = Judge(schedule, house, by_device, staff, self._folder)
        self.computer = computer = Computer(house, judge)
        people = People(house, staff, computer, judge)
        self.operators = {
            seat.device: Operator(people, seat, by_device[seat.device], _dice(schedule, seat))
            for seat in schedule.seats
        }
        published: list[Published] = []

        def take(message: Published) -> None:
            self._sum.update(repr(message).encode())
            if keep:
                published.append(message)
            judge.heard(message)
            people.heard(message)

        computer.beds, computer.on_published = by_device, take
        house.on_published = computer.take
        for bed in by_device.values():
            bed.bench.host = computer
        computer.start()
        for rx in schedule.prescriptions:
            self._refs[rx.name] = computer.prescribe(
                staff.prescription(rx.told(), house.loop.now_us + house.wall_ahead_us)
            )
        began_us = house.loop.now_us
        tasks = []
        for act in sorted(schedule.acts, key=lambda act: act.at_ms):
            wait_us = began_us + act.at_ms * 1000 - house.loop.now_us
            if wait_us > 0:
                await asyncio.sleep(wait_us / 1_000_000)
            if (done := self._do(act)) is not None:
                tasks.append(asyncio.get_running_loop().create_task(done))
        left_us = began_us + schedule.open_ms * 1000 - house.loop.now_us
        await asyncio.sleep(max(0, left_us) / 1_000_000)
        for operator in self.operators.values():
            operator.go_home()
        await asyncio.sleep(SETTLE_S)
        for task in tasks:
            task.cancel()
        await computer.end()
        judge.end()
        chunks = {device: tuple(bed.bench.tape.since()) for device, bed in by_device.items()}
        self._sum.update(repr(chunks).encode())
        self._sum.update(
            repr(
                [bed.bench.scope.total(index + 1) for bed in by_device.values() for index in bed.bench.channels(None)]
            ).encode()
        )
        tally = judge.tally + people.tally
        return Outcome(
            schedule,
            began_us,
            tuple(judge.violations),
            tuple(judge.notes),
            tally,
            self._sum.hexdigest(),
            chunks if keep else {},
            tuple(published),
        )

    def _do(self, act: Act) -> Any:  # noqa: ANN401 - a coroutine, or nothing
        """Do an act, or begin it."""
        self.judge.acted(act)
        match act.kind:
            case "fault":
                return self.computer.fault(self.operators[act.device].bed.bench, act)
            case "kill":
                return self.computer.kill(**act.of)
            case "restart":
                return self.computer.restart(**act.of)
            case "slow disk":
                return self.computer.slow(**act.of)
            case "pull":
                return self.computer.pull(self.operators[act.device].bed, **act.of)
            case _:
                return self.operators[act.device].act(act, self._refs)


def _dice(schedule: Schedule, seat: Seat) -> Random:
    return Random(f"{schedule.seed}/{seat.device}")  # noqa: S311 - repeatable, no secrets
