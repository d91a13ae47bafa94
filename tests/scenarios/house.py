"""A whole house for scenario tests: a broker, emulated stimulators and the service, each a process of its own.

Everything is real: MQTT over loopback, a pty, SQLite files, signals. The witness is the emulator's scope, on its own
clock (boot clock, us).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bed import DEAD_MAN_US, Bed
from papers import PRINCIPALS, STEADY, steady, therapy

from controller.cli_rx import import_file
from controller.client import Client
from controller.contract.answers import AnswerMessage, EventMessage, SummaryMessage
from safety.attestation import ITEMS

__all__ = [
    "DEAD_MAN_US", "PATIENCE_S", "PRINCIPALS", "STEADY", "Bed", "House", "Server", "event", "held", "now_us", "steady",
    "therapy", "until",
]  # fmt: skip

PATIENCE_S = 40.0


class Server(Protocol):
    """A broker that may be taken away and brought back."""

    host: str
    port: int

    def start(self) -> None:
        """Begin, or begin again at the same port."""

    def kill(self) -> None:
        """End at once."""


def free_of(process: subprocess.Popen[bytes]) -> None:
    """End a process that this house started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdout, process.stderr, process.stdin):
        if pipe is not None:
            pipe.close()


CALM = {item.id: "no" for item in ITEMS}
"""What somebody answers for a patient in whom nothing forbids anything."""


async def sees(client: Client, device: str, version: float | None) -> None:
    """Wait until a client has seen so late a state of a device."""
    await until(lambda: (shown := client.summary(device)) is not None and shown.state_version >= (version or 0))


@dataclass
class House:
    """Everything that runs, and what it keeps on disk."""

    folder: Path
    host: str
    port: int
    beds: dict[str, Bed] = field(default_factory=dict)
    service: subprocess.Popen[bytes] | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    renewals: list[asyncio.Task[None]] = field(default_factory=list)
    starts: int = 0

    # Processes

    def add_bed(self, name: str = "dev1", *arguments: str, device: str = "native") -> Bed:
        """Start an emulated stimulator."""
        self.beds[name] = Bed.start(name, self.folder, *arguments, device=device)
        return self.beds[name]

    def configure(
        self,
        *,
        name: str = "config.toml",
        site: str = "ward3",
        journal: str = "journal.sqlite",
        more: str = "",
        http: str = "false",
    ) -> Path:
        """Write the service's files; `more` are further tables."""
        (self.folder / "principals.toml").write_text(PRINCIPALS, encoding="utf-8")
        devices = "".join(
            f'[[device]]\nid = "{bed.name}"\ndriver = "{bed.device}"\nport = "{bed.link}"\nprofile = "bench"\n'
            for bed in self.beds.values()
        )
        config = self.folder / name
        config.write_text(
            f'http = {http}\n[site]\nid = "{site}"\nprincipals = "principals.toml"\n'
            f'[broker]\nhost = "{self.host}"\nport = {self.port}\n'
            f'[storage]\njournal = "{journal}"\nledger = "ledger-{journal}"\n'
            f'[identity]\nproof = "broker"\n{devices}{more}',
            encoding="utf-8",
        )
        return config

    def prescribe(self, text: str, config: str = "config.toml") -> None:
        """Import a prescription."""
        path = self.folder / "rx.toml"
        path.write_text(text, encoding="utf-8")
        import_file(path, self.folder / config)

    def serve(self, config: str = "config.toml", log: str = "service.log") -> subprocess.Popen[bytes]:
        """Start a service; what it says goes into `log`."""
        with (self.folder / log).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "controller.cli", "serve", "--config", str(self.folder / config)],
                stdout=out, stderr=out,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def start(self) -> subprocess.Popen[bytes]:
        """Start the house's own service."""
        self.service = self.serve()
        self.starts += 1
        return self.service

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the service a signal; after SIGKILL it is gone when this returns."""
        assert self.service is not None
        self.service.send_signal(number)
        if number == signal.SIGKILL:
            self.service.wait()

    def log(self, name: str = "service.log") -> list[dict[str, Any]]:
        """What the service logged."""
        lines = (self.folder / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str, log: str = "service.log") -> int:
        """Count the lines of one event in a log."""
        return sum(line["event"] == event for line in self.log(log))

    async def close(self) -> None:
        """End everything."""
        for task in self.renewals:
            task.cancel()
        await asyncio.gather(*self.renewals, return_exceptions=True)
        for process in self.processes:
            free_of(process)
        for bed in self.beds.values():
            free_of(bed.process)

    # Over MQTT

    @contextlib.asynccontextmanager
    async def client(self, principal: str = "physio-1", site: str = "ward3") -> AsyncIterator[Client]:
        """Be a principal."""
        async with Client(self.host, self.port, site=site, principal=principal, telemetry=True) as client:
            yield client

    async def ready(self, client: Client, device: str = "dev1", *phases: str) -> None:
        """Wait until the service that was started last serves the device."""
        service = self.service
        assert service is not None
        await until(lambda: self.logged("service.ready") >= self.starts or service.poll() is not None)
        assert service.poll() is None, (self.folder / "service.log").read_text(encoding="utf-8")
        # What is retained may be the last word of the service before.
        boot_id = [line["boot_id"] for line in self.log() if line["event"] == "service.ready"][-1]
        await self.shows(client, device, *phases or ("idle",), boot_id=boot_id)

    async def shows(self, client: Client, device: str, *phases: str, boot_id: str = "") -> SummaryMessage:
        """Wait until a device is shown in one of these phases; gives how it is shown."""

        def shown() -> SummaryMessage | None:
            summary = client.summary(device)
            fits = summary is not None and summary.phase in phases and boot_id in {"", summary.boot_id}
            return summary if fits else None

        await until(shown)
        found = shown()
        assert found is not None
        return found

    def keep_claim(self, client: Client, device: str = "dev1") -> asyncio.Task[None]:
        """Renew the claim each second, until cancelled."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(1)
                with contextlib.suppress(Exception):
                    await client.ask(device, "device.renew", timeout_s=2)

        self.renewals.append(asyncio.create_task(renew()))
        return self.renewals[-1]

    async def must(self, client: Client, device: str, verb: str, body: dict[str, Any] | None = None) -> AnswerMessage:
        """Ask for something that has to be granted; where the device has changed meanwhile, look, and ask again."""
        answer = await client.ask(device, verb, body)
        while answer.code == "CMD.PRECONDITION":
            await sees(client, device, answer.limit)
            answer = await client.ask(device, verb, body)
        assert answer.status == "succeeded", (verb, answer, self.log()[-5:])
        return answer

    async def claimed(self, client: Client, device: str = "dev1") -> None:
        """Claim a device that is idle, and keep the claim."""
        await self.ready(client, device)
        await self.must(client, device, "device.claim")
        self.keep_claim(client, device)

    async def prepared(self, client: Client, device: str = "dev1", rx: str = "rx-1@1", patient: str = "p-1") -> None:
        """Claim, prepare, vouch for the patient, try the patient's stop, and check."""
        await self.opened(client, device, rx, patient)
        answer = await self.must(client, device, "impedance.check", {})
        assert answer.code == "OK", answer

    async def opened(self, client: Client, device: str = "dev1", rx: str = "rx-1@1", patient: str = "p-1") -> None:
        """Claim and prepare, vouch for the patient, and let the patient try the stop."""
        await self.claimed(client, device)
        await self.must(client, device, "session.prepare", {"prescription_id": rx, "patient_ref": patient})
        await self.must(client, device, "session.attest", {"answers": CALM})
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(client.events()) as events:
            for verb in ("button.press", "button.release"):
                await self.beds[device].do(verb)
            async for where, message in events:
                if where == device and isinstance(message, EventMessage) and message.kind == "stop.tried":
                    return

    async def armed(self, client: Client, device: str = "dev1", **of: str) -> None:
        """Bring a device to ARMED."""
        await self.prepared(client, device, **of)
        await self.must(client, device, "session.arm")

    async def running(self, client: Client, device: str = "dev1", **of: str) -> None:
        """Bring a device to RUNNING."""
        await self.armed(client, device, **of)
        await self.must(client, device, "session.start")

    async def cleared(self, client: Client, device: str = "dev1") -> None:
        """Clear every latch that stands."""
        summary = client.summary(device)
        assert summary is not None
        for latch in summary.latches:
            await self.must(client, device, "latch.clear", {"latch_id": latch.latch_id, "reason": "looked at it"})

    async def resumed(self, client: Client, device: str = "dev1") -> None:
        """Resume as soon as the device has confirmed the pause."""
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await client.ask(device, "session.resume")).code == "DEV.WATCHDOG":  # noqa: ASYNC110 - a poll
                await asyncio.sleep(0.05)
        assert answer.status == "succeeded", (answer, self.log()[-5:])

    async def raised(self, client: Client, delta_ua: int, device: str = "dev1") -> AnswerMessage:
        """Ask for a rise; give the first answer that no passing hold has given, as a late tick on a busy machine."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await client.ask(device, "session.adjust", {"channel": 1, "delta_ua": delta_ua})
                if answer.rule != "G27" and answer.unit != "ms on the plateau":
                    return answer
                await asyncio.sleep(0.2)

    async def flowing(
        self, device: str = "dev1", channel: int = 1, peak_ua: int = 19_000, since_us: int = 0
    ) -> list[dict[str, Any]]:
        """Wait until the scope sees the plateau; give all pulses since a moment."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                pulses: list[dict[str, Any]] = await self.beds[device].pulses(channel, since_us)
                if pulses and pulses[-1]["first_ua"] >= peak_ua:
                    return pulses
                await asyncio.sleep(0.05)

    # On disk

    def charged(self, ledger: str = "ledger-journal.sqlite") -> list[dict[str, Any]]:
        """Rows of the ledger."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / ledger}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [
                dict(row) for row in database.execute("SELECT * FROM reservations ORDER BY opened_wall_ms, channel")
            ]

    def journal(self, name: str = "journal.sqlite") -> list[dict[str, Any]]:
        """Rows of the journal."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder / name}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM journal ORDER BY seq")]
        return [row | {"body": json.loads(row["body"])} for row in rows]

    def remembered(self) -> set[str]:
        """Ids of the commands that the journal knows."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'journal.sqlite'}?mode=ro", uri=True)
        ) as database:
            return {command_id for (command_id,) in database.execute("SELECT command_id FROM answers")}

    def latched(self, device: str) -> list[dict[str, Any]]:
        """Rows of the latches that the journal has ever seen of a device."""
        return [row for row in self.journal() if row["kind"] == "latch" and row["device"] == device]

    def permits(self) -> list[dict[str, Any]]:
        """Permits of the journal."""
        return [row["body"]["permit"] for row in self.journal() if row["kind"] == "permit"]


@contextlib.contextmanager
def held(database: Path) -> Iterator[None]:
    """Keep a transaction open on a database, so that nobody else can commit."""
    with contextlib.closing(sqlite3.connect(database, PATIENCE_S, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


async def event(client: Client, kind: str) -> EventMessage:
    """Wait for an event of a kind."""
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(client.events()) as events:
        async for _, message in events:
            if isinstance(message, EventMessage) and message.kind == kind:
                return message
    raise AssertionError(kind)


async def until(happened: Callable[[], object]) -> None:
    """Wait until something has come about; how long that takes is no matter, that it never does is."""
    async with asyncio.timeout(PATIENCE_S):
        while not happened():  # noqa: ASYNC110 - whatever is waited for has no event to wait on
            await asyncio.sleep(0.02)


def now_us() -> int:
    """The scope's clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
