"""A site that lasts as long as a demo: its files in a folder of its own, its programs as children."""

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from controller import clock
from controller.client import Client, NoAnswerError
from controller.identity.keys import SEED_BYTES, Alg, Secret
from controller.inputs import DOWN, KEY, RECORD
from controller.store.clinic import Clinic
from safety.prescription import Prescription

from .kinds import Kind
from .processes import PATIENCE_S, ChildError, Family, emulator, leashed
from .witness import Witness

ANSWER_S = 0.5
HOST = "127.0.0.1"
NAME = "demo"
SERVICE_KEY = "service"
BROKER = """
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10

[v5.1]
name = "demo"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 200
dynamic_filters = true
"""
SERVICE = """
[site]
id = "{site}"
principals = "principals.toml"

[broker]
host = "{host}"
port = {port}

[identity]
key_file = "{key}.jwk"

[storage]
journal = "journal.db"
ledger = "ledger.db"
"""
DEVICE = """
[[device]]
id = "{id}"
driver = "{driver}"
port = "{id}"
profile = "bench"
"""
PRINCIPAL = """
[[principal]]
name = "{name}"
role = "physio"
devices = ["*"]

[[principal.key]]
kid = "{name}"
alg = "Ed25519"
public = "{public}"
"""


class Bed(NamedTuple):
    """An emulated stimulator: its id, which is also its serial port's name, and its back door.

    `button` is the patient's stop at the bedside, for a stimulator that has none; None where it has.
    """

    device: str
    port: Path
    control: Path
    button: Path | None

    async def tries_stop(self) -> None:
        """Let the patient press the stop and let it go. Raises OSError."""
        if self.button is None:
            await Witness.tries_stop(self.control)
        else:
            # Opened to read as well: a button that nobody listens to is pressed in vain, not for ever.
            descriptor = os.open(self.button, os.O_RDWR | os.O_NONBLOCK)
            try:
                os.write(descriptor, RECORD.pack(0, 0, KEY, 0, DOWN))
            finally:
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs, and where it is."""

    folder: Path
    port: int
    beds: dict[str, Bed]

    @property
    def config(self) -> Path:
        """The service's settings."""
        return self.folder / "stimwarden.toml"

    @property
    def ledger(self) -> Path:
        """The service's ledger."""
        return self.folder / "ledger.db"

    def client(self, principal: str) -> Client:
        """Make a client of the service."""
        own, service = (Secret.read(self.key_file(name)) for name in (principal, SERVICE_KEY))
        return Client(HOST, self.port, site=NAME, principal=principal, key=own, service_key=service.key)

    def key_file(self, principal: str) -> Path:
        """Where somebody's key is, or the service's own."""
        return self.folder / f"{principal}.jwk"


async def opened(
    family: Family,
    folder: Path,
    kind: Kind,
    served: Sequence[str],
    others: Sequence[str],
    people: Sequence[str],
    prescriptions: Sequence[Prescription],
) -> Site:
    """Start a broker, a stimulator of each name, and a service of the `served` ones. Raises ChildError."""
    beds = {name: made(folder, name, kind) for name in (*served, *others)}
    site = Site(folder, free_port(), beds)
    write_files(site, kind, served, people)
    clinic = Clinic(site.ledger, may_create=True)
    for rx in prescriptions:
        clinic.add(rx, clock.now().wall_ms)
    await family.start("broker", leashed("iotcore", "--config", str(folder / "broker.toml"), "--log-level", "CRITICAL"))
    stimulators = [
        await family.start(bed.device, emulator(kind.name, bed.port, bed.control, serial(bed))) for bed in beds.values()
    ]
    await family.while_alive(listening(site.port))
    await asyncio.gather(*(stimulator.said("ready") for stimulator in stimulators))
    await family.start("service", leashed("controller.cli", "serve", "--config", str(site.config)))
    await family.while_alive(idle(site, served, people[0]))
    return site


def made(folder: Path, name: str, kind: Kind) -> Bed:
    """Make a bed, with a button beside it where the stimulator has none: a pipe that tells as an input device does."""
    button = None if kind.has_button else folder / f"{name}.button"
    if button is not None:
        os.mkfifo(button)
    return Bed(name, folder / name, folder / f"{name}.control", button)


def serial(bed: Bed) -> str:
    """Give a stimulator its serial number: a P24's has ten characters, an emulated one's begins with EMU."""
    return f"EMU-{bed.device:->6}"


def device_table(bed: Bed, kind: Kind) -> str:
    """Write the settings of one stimulator."""
    table = DEVICE.format(id=bed.device, driver=kind.name)
    return table if bed.button is None else f'{table}stop_button = "{bed.button.name}"\n'


def write_files(site: Site, kind: Kind, served: Sequence[str], people: Sequence[str]) -> None:
    """Write the settings of broker and service, and a key for everybody."""
    keys = {name: Secret.of(name, Alg.ED25519, secrets.token_bytes(SEED_BYTES)) for name in (*people, SERVICE_KEY)}
    for name, key in keys.items():
        key.write(site.key_file(name))
    texts = {
        "broker.toml": BROKER.format(host=HOST, port=site.port),
        "stimwarden.toml": SERVICE.format(site=NAME, host=HOST, port=site.port, key=SERVICE_KEY)
        + "".join(device_table(site.beds[name], kind) for name in served),
        "principals.toml": "".join(
            PRINCIPAL.format(name=name, public=key.public) for name, key in keys.items() if name in people
        ),
    }
    for name, text in texts.items():
        (site.folder / name).write_text(text, encoding="utf-8")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


async def listening(port: int) -> None:
    """Wait until somebody listens on a port. Raises ChildError."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    raise ChildError(f"the broker did not listen within {PATIENCE_S:g} s")


async def idle(site: Site, devices: Sequence[str], principal: str) -> None:
    """Wait until the service answers and has every device on its line. Raises ChildError, BrokerError."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S), site.client(principal) as client:
            while True:
                # What is asked before the service listens is lost, and asked again.
                with suppress(NoAnswerError):
                    known = (await client.ask(devices[0], "service.status", timeout_s=ANSWER_S)).details
                    if all(known.get(f"{device}.phase") == "idle" for device in devices):
                        return
                await asyncio.sleep(0.05)
    raise ChildError(f"the service did not have {', '.join(devices)} ready within {PATIENCE_S:g} s")
