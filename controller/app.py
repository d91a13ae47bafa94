"""The composition root: the only file that knows every room. It wires them, and ends them in order."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from safety.admit import admit
from safety.complete import gaps

from . import logs
from .broker import Address, Broker, tls_context
from .contract.accept import Door
from .contract.topics import Topics
from .desk import Desk, memory
from .devices import DRIVERS
from .host import HOST, Host, keep_turns_short
from .identity import BrokerStamp, Signatures
from .identity.challenge import Challenges
from .identity.register import Register
from .identity.roles import NEEDS, TIERS, Role
from .identity.statement import Signing, own_secret
from .inputs import StopButton
from .journal import Journal
from .outbox import Outgoing, Publish
from .oversight import overseen
from .policy import Policy
from .recorder import Recorder
from .records import Records
from .settings import Settings
from .station import Actor, Port
from .store.clinic import Clinic
from .store.dose import Ledger
from .store.papers import Papers
from .tomlfile import FileError, Problem, shown
from .voice import Voice

log = structlog.get_logger()

DRAIN_S = 2.0
"""How long a service that ends waits for its devices to confirm that they have stopped, and for the ledger to know what
they gave (engineering default); what it does not wait for counts as delivered in full at the next start."""


class IncompleteError(RuntimeError):
    """The safety core lacks a rule (X12): nothing may start."""


async def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT. Raises what keeps it from starting."""
    with closing(logs.configure()):
        await keep(settings)
    return 0


async def keep(settings: Settings) -> None:
    """Wire everything and keep it going."""
    address, outlet = checked_address(settings), Outlet()
    async with wired(settings, HOST, outlet) as service:
        topics, devices, instance = Topics(settings.site.id), frozenset(service.actors), instance_of(settings)
        desk, boot_id = service.desk, service.boot_id
        broker = Broker(address, topics, devices, instance=instance, boot_id=boot_id, handler=desk)
        outlet.publish = broker.publish
        await service.boot()
        ending, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        loop.add_signal_handler(signal.SIGHUP, partial(desk.mind, anyway=True))
        besides: list[Coroutine[None, None, None]] = [
            StopButton(device.stop_button, service.actors[device.id].post).run()
            for device in settings.device
            if device.stop_button
        ]
        besides.append(desk.minding())
        keep_turns_short()
        with overseen(settings.http, service.actors, lambda: broker.is_up) as leaving:

            def draining() -> None:
                leaving()
                broker.announce("draining")

            await run(service, ending, broker.run(), draining, besides)


def instance_of(settings: Settings) -> str:
    """Name the service."""
    return settings.site.instance or settings.site.id


class Service(NamedTuple):
    """All that serves a site, but for the broker: it calls the desk, and hears what is published."""

    boot_id: str
    desk: Desk
    actors: Mapping[str, Actor]
    journal: Journal

    async def boot(self) -> None:
        """Begin with what the records remember. Raises LedgerUnavailableError."""
        self.desk.answer_orphans()
        for actor in self.actors.values():
            await actor.boot()


@asynccontextmanager
async def wired(settings: Settings, host: Host, publish: Publish) -> AsyncIterator[Service]:
    """Open a site's records and wire everything to them; at the end all that is known has been written."""
    if wrong := gaps():
        raise IncompleteError("; ".join(wrong))
    boot_id, now, site = f"b-{host.token()}", host.clock(), settings.site.id
    policy = Policy.read(settings.policy.file)
    proof = proof_of(settings)
    principals = Register(settings.site.principals, proof)
    secret = own_secret(key_file_of(settings), instance_of(settings), host.seed())
    log.info("service.starting", boot_id=boot_id, policy=policy.digest, hard_limits=policy.hard_digest)
    # First the ledger: it may be made only where nothing was ever journalled, also after a crash between the two.
    storage, worker = settings.storage, host.worker
    ledger = Ledger(storage.ledger, admit, may_create=not storage.journal.exists(), worker=worker)
    journal = Journal.open(
        storage.journal,
        instance_of(settings),
        policy.digest,
        now,
        lambda error: log.error("journal.failing", error=str(error)),
        worker,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(journal.close)
        records = Records(Clinic(storage.ledger), Papers(storage.ledger), ledger, worker)
        recorder = Recorder(storage.recordings, lambda error: log.warning("recorder.failing", error=str(error)), worker)
        topics, devices = Topics(site), frozenset(device.id for device in settings.device)
        challenges = Challenges(principals, host.token)
        voice = Voice(topics, boot_id, Signing(publish, secret), challenges)
        actors = {
            device.id: Actor(
                policy.config(device),
                boot_id,
                Port(device.port, DRIVERS[device.driver], host),
                journal,
                ledger,
                records,
                recorder,
                voice,
                host.clock,
            )
            for device in settings.device
        }
        door = Door(topics, devices, principals, proof, memory(journal), challenges.seen_by)
        desk = Desk(door, journal, voice, actors, records, boot_id, host.clock, challenges, principals.refresh)
        stack.push_async_callback(desk.looked_up)
        for actor in actors.values():
            stack.push_async_callback(actor.close)
        yield Service(boot_id, desk, actors, journal)


def proof_of(settings: Settings) -> Signatures:
    """Say how senders are proved at this site."""
    if settings.identity.proof == "broker":
        return BrokerStamp()
    asked = {Role(name): TIERS[word] for name, word in settings.identity.tiers if word is not None}
    return Signatures({**NEEDS, **asked})


def key_file_of(settings: Settings) -> Path:
    """Say where the key is that the service signs with."""
    return settings.identity.key_file or settings.storage.journal.with_name("service.jwk")


class Outlet:
    """Closes a ring: the voice speaks to the broker, the broker is made with the desk, the desk with the voice."""

    publish: Publish

    def __call__(self, item: Outgoing) -> None:
        """Have something published."""
        self.publish(item)


def checked_address(settings: Settings) -> Address:
    """Say where the broker is and how to log in. Raises FileError."""
    try:
        return address_of(settings)
    except OSError as error:
        files = {name: str(path) for name, path in settings.broker.tls or () if path}
        problem = Problem("settings", "broker.tls", f"= {shown(files)}", f"PEM files that fit; {error}")
        raise FileError([problem]) from error


def address_of(settings: Settings) -> Address:
    """Say where the broker is and how to log in. Raises OSError where a file of [broker.tls] cannot be used."""
    table, tls = settings.broker, settings.broker.tls
    return Address(
        host=table.host,
        port=table.port,
        username=table.username,
        password=table.password.get_secret_value() if table.password else None,
        tls=tls_context(tls.ca_file, tls.cert_file, tls.key_file) if tls else None,
    )


async def run(
    service: Service,
    ending: asyncio.Event,
    broker: Coroutine[None, None, None],
    draining: Callable[[], None],
    besides: Iterable[Coroutine[None, None, None]] = (),
) -> None:
    """Keep everything going until it is told to end, or a part fails; then stop every device and wait for its word."""
    desk, actors = service.desk, service.actors
    talking = asyncio.create_task(broker)
    working = [asyncio.create_task(actor.run()) for actor in actors.values()]
    working += [asyncio.create_task(each) for each in besides]
    working.append(asyncio.create_task(desk.report()))
    waiting = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([talking, waiting, *working], return_when=asyncio.FIRST_COMPLETED)
        desk.drain()
        draining()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not all(actor.is_at_rest for actor in actors.values()):  # noqa: ASYNC110 - a poll
                    await asyncio.sleep(0.01)
    finally:
        ended = [task for task in (talking, *working) if task.done()]
        for task in (waiting, *working, talking):
            task.cancel()
        await asyncio.gather(waiting, talking, *working, return_exceptions=True)
    for task in ended:
        task.result()
