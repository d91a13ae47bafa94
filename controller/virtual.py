"""The service in a world of its own: everything but the broker as app.py wires it, on a clock, lines and a disk given.

It runs on whatever event loop it is on, without a thread: on a loop of virtual time the same world gives the same
bytes. `make` is the factory that a simulation names; what it gives and takes is stated by protocols, here and there.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, TypeVarTuple

import structlog

from safety.messages import Now

from .app import Service, run, wired
from .contract.envelope import Arrival
from .contract.topics import is_stop
from .host import Host, Worker
from .link import GONE, LinkError, Mode, refusal
from .logs import only_known
from .outbox import Outgoing
from .prescriptions import read_prescription
from .settings import load
from .staff import Staff
from .store.clinic import Clinic

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_WORLD: ContextVar["World"] = ContextVar("world")


class Serial(Protocol):
    """A serial port that is open."""

    def write(self, data: bytes) -> None:
        """Hand bytes over. Raises OSError when the line is gone."""

    def discard(self) -> None:
        """Throw away what was not yet sent."""

    def close(self) -> None:
        """Release it."""


class World(Protocol):
    """What the service has of the world around it."""

    def now_us(self) -> int:
        """Tell the time since the computer was switched on."""

    def wall_us(self) -> int:
        """Tell the time of day, since 1970."""

    def token(self) -> str:
        """Give a word that no other has, of a-f and 0-9."""

    def disk_us(self, whose: str) -> tuple[int, int]:
        """Say how long the next write takes until it will survive, and from then until that is known.

        Raises OSError where it cannot be done at all.
        """

    def open_line(
        self, port: str, baud: int, bits: int, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> Serial:
        """Open a port, `bits` a byte. Raises OSError."""

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> None:
        """Take a message for the broker."""

    def log(self, line: str) -> None:
        """Take a line of the log."""


class Seat(Protocol):
    """A device of the site, its driver, and its port."""

    @property
    def device(self) -> str: ...  # noqa: D102 - as the class says
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> str: ...  # noqa: D102


class Person(Protocol):
    """Somebody who may ask, and as what."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as the class says
    @property
    def role(self) -> str: ...  # noqa: D102


class Site(Protocol):
    """A site: its name, its devices, its people, and the directory in which it keeps everything."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as the class says
    @property
    def folder(self) -> Path: ...  # noqa: D102
    @property
    def seats(self) -> Sequence[Seat]: ...  # noqa: D102
    @property
    def people(self) -> Sequence[Person]: ...  # noqa: D102


class Turns(NamedTuple):
    """A worker that needs no thread: each call is done at once, between the two waits that its disk asks for."""

    world: World
    name: str
    lock: asyncio.Lock

    async def do(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Give what the call gives, or raise what it raises."""
        async with self.lock:
            before_us, after_us = self.world.disk_us(self.name)
            await asyncio.sleep(before_us / 1_000_000)
            result = call(*args)
            await asyncio.sleep(after_us / 1_000_000)
            return result


class MemoryLine:
    """A line of the world as the drivers know one."""

    is_pty = True

    def __init__(self, port: str, on_lost: Callable[[str], None]) -> None:
        self._port = port
        self._on_lost = on_lost
        self._is_closed = False
        self.serial: Serial

    def write(self, data: bytes) -> None:
        """Hand bytes over without waiting. Raises LinkError when the line is gone."""
        try:
            self.serial.write(data)
        except OSError as error:
            raise LinkError("LINK.LOST", f"{self._port}: {GONE}") from error

    def discard(self) -> None:
        """Throw away what was not yet sent."""
        self.serial.discard()

    def drop(self, why: str) -> None:
        """Give the line up on purpose; it is reported like any other loss."""
        self.serial.close()
        asyncio.get_running_loop().call_soon(self.lost, why)

    async def close(self) -> None:
        """Release the line; nothing is reported."""
        self._is_closed = True
        self.serial.close()

    def lost(self, why: str) -> None:
        """Report that the line is gone."""
        if not self._is_closed:
            self._on_lost(f"{self._port}: the line is lost: {why}")


class VirtualService:
    """One life of the service, from power on to its end."""

    def __init__(self, site: Site, world: World) -> None:
        self._world = world
        settings = load(configured(site))
        # Settings let a port's path start somewhere; the world knows a port by its name.
        devices = tuple(
            device.model_copy(update={"port": seat.port})
            for device, seat in zip(settings.device, site.seats, strict=True)
        )
        self._settings = settings.model_copy(update={"device": devices})
        self._folder = site.folder
        self._ending = asyncio.Event()
        self._service: Service | None = None
        # A world's time of day is right until the world sets it; the key of a simulation is no secret.
        seed = sha256(site.name.encode()).digest
        self._host = Host(self._now, self._worker, self._open_line, world.token, lambda: True, seed)

    async def run(self) -> None:
        """Serve until `end`. Raises what keeps the service from starting, or ends it."""
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                only_known,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=lambda *_: Log(),
            cache_logger_on_first_use=False,
        )
        async with wired(self._settings, self._host, self._publish) as self._service:
            await self._service.boot()
            self._service.desk.on_up()
            await run(self._service, self._ending, for_ever(), nothing)

    def hear(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Take a message from the broker, as its stop connection or its command connection does."""
        if self._service is None:
            return
        arrival = Arrival(topic, payload, retained, response_topic, correlation)
        if is_stop(topic):
            self._service.desk.on_stop(arrival)
        else:
            self._service.desk.on_command(arrival)

    def end(self) -> None:
        """Stop every device, write what is known, and let `run` return."""
        self._ending.set()

    def die(self) -> None:
        """Let go of what an operating system takes from a process that it has killed: files and their locks."""
        if self._service is not None:
            self._service.journal.abandon()

    def prescribe(self, text: str) -> str:
        """Import a prescription, as `stimwarden rx import` does; gives its reference."""
        path = self._folder / "rx.toml"
        path.write_text(text, encoding="utf-8")
        rx = read_prescription(path)
        storage = self._settings.storage
        Clinic(storage.ledger, may_create=not storage.journal.exists()).add(rx, self._now().wall_ms)
        return rx.ref

    def _publish(self, item: Outgoing) -> None:
        # A world has no user properties: it hears no signature.
        self._world.publish(item.topic, item.payload, qos=item.qos, retain=item.retain, correlation=item.correlation)

    def _now(self) -> Now:
        return Now(self._world.now_us() // 1_000, self._world.wall_us() // 1_000)

    def _worker(self, name: str) -> Worker:
        return Turns(self._world, name, asyncio.Lock())

    async def _open_line(
        self, port: str, mode: Mode, *, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> MemoryLine:
        line = MemoryLine(port, on_lost)
        bits = 1 + 8 + mode.even_parity + mode.stop_bits
        try:
            line.serial = self._world.open_line(port, mode.baud, bits, on_bytes, line.lost)
        except OSError as error:
            raise refusal(port, error) from error
        return line


def make(site: Site, world: World) -> VirtualService:
    """Put the service of a site into a world; needs a running event loop."""
    _WORLD.set(world)
    return VirtualService(site, world)


def staff(site: str) -> Staff:
    """Give the people of a site, as a simulation asks for them beside `make`."""
    return Staff(site)


def configured(site: Site) -> Path:
    """Write a site's settings as its people would, where they have written none; gives the path."""
    path = site.folder / "config.toml"
    if path.exists():
        return path
    people = "".join(f'[[principal]]\nname = "{p.name}"\nrole = "{p.role}"\ndevices = ["*"]\n' for p in site.people)
    (site.folder / "principals.toml").write_text(people, encoding="utf-8")
    seats = "".join(
        f'[[device]]\nid = "{s.device}"\ndriver = "{s.kind}"\nport = "{s.port}"\nprofile = "bench"\n'
        for s in site.seats
    )
    tables = (
        f'[site]\nid = "{site.name}"\nprincipals = "principals.toml"\n'
        f'[storage]\njournal = "journal.sqlite"\nledger = "ledger.sqlite"\n'
        # The people of a simulation have no keys: whoever it lets speak is who it says.
        f'[identity]\nproof = "broker"\n{seats}'
    )
    path.write_text(tables, encoding="utf-8")
    return path


class Log:
    """Hands on what the service of the present context logs; outside of any world it prints, as without this module."""

    def msg(self, line: str) -> None:
        """Take a line."""
        world = _WORLD.get(None)
        (structlog.PrintLogger().msg if world is None else world.log)(line)

    debug = info = warning = error = critical = msg


async def for_ever() -> None:
    """Be a broker that is never lost."""
    await asyncio.Event().wait()


def nothing() -> None:
    """Say nothing: nobody looks whether the service is about to end."""
