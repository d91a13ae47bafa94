"""The service as a process of its own, without a broker: what it hears and says goes through a pipe."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection
from pathlib import Path

from controller import clock, logs
from controller.app import run, wired
from controller.contract.envelope import Arrival
from controller.contract.topics import is_stop
from controller.host import HOST
from controller.outbox import Outgoing
from controller.settings import load
from controller.virtual import for_ever, nothing
from safety.messages import Now


def serve(pipe: Connection, folder: Path) -> None:
    """Serve until told to end; what is logged goes into a file."""
    with (folder / "service.log").open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    logs.configure()
    asyncio.run(served(pipe, folder))


async def served(pipe: Connection, folder: Path) -> None:
    """Wire the service to the pipe. What is said is (topic, payload, qos, retain, correlation)."""
    ahead_ms = 0
    ending = asyncio.Event()

    def now() -> Now:
        mono_ms, wall_ms = clock.now()
        return Now(mono_ms, wall_ms + ahead_ms)

    def publish(item: Outgoing) -> None:
        pipe.send(item[:5])

    def hear() -> None:
        nonlocal ahead_ms
        while pipe.poll():
            match pipe.recv():
                case "arrival", topic, payload, retained:
                    arrival = Arrival(topic, payload, retained, None, None)
                    (service.desk.on_stop if is_stop(topic) else service.desk.on_command)(arrival)
                case "ahead", ms:
                    ahead_ms = ms
                case _:
                    ending.set()

    async with wired(load(folder / "config.toml"), HOST._replace(clock=now), publish) as service:
        await service.boot()
        service.desk.on_up()
        asyncio.get_running_loop().add_reader(pipe.fileno(), hear)
        await run(service, ending, for_ever(), nothing)
