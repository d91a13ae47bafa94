"""The composition root: the only file that knows every room. It wires them, and ends them in order."""

import asyncio
import secrets
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing, suppress

import structlog

from safety.admit import admit
from safety.complete import gaps

from . import clock, logs
from .broker import Address, Broker, tls_context
from .contract.accept import Door
from .contract.topics import Topics
from .desk import Desk, memory
from .devices import DRIVERS
from .identity import BrokerStamp, read_principals
from .inputs import StopButton
from .journal import Journal
from .policy import Policy
from .recorder import Recorder
from .records import Records
from .settings import Settings
from .station import Actor, Port
from .store.clinic import Clinic
from .store.dose import Ledger
from .store.papers import Papers
from .tomlfile import FileError, Problem, shown
from .voice import Publish, Voice

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
    if wrong := gaps():
        raise IncompleteError("; ".join(wrong))
    boot_id, now = f"b-{secrets.token_hex(4)}", clock.now()
    instance = settings.site.instance or settings.site.id
    policy = Policy.read(settings.policy.file)
    principals, address = read_principals(settings.site.principals), checked_address(settings)
    log.info("service.starting", boot_id=boot_id, policy=policy.digest, hard_limits=policy.hard_digest)
    # First the ledger: it may be made only where nothing was ever journalled, also after a crash between the two.
    ledger = Ledger(settings.storage.ledger, admit, may_create=not settings.storage.journal.exists())
    journal = Journal.open(
        settings.storage.journal,
        instance,
        policy.digest,
        now,
        lambda error: log.error("journal.failing", error=str(error)),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(journal.close)
        records = Records(Clinic(settings.storage.ledger), Papers(settings.storage.ledger), ledger)
        recorder = Recorder(
            settings.storage.recordings, lambda error: log.warning("recorder.failing", error=str(error))
        )
        topics, devices = Topics(settings.site.id), frozenset(device.id for device in settings.device)
        outbox = Outlet()
        voice = Voice(topics, boot_id, outbox)
        actors = {
            device.id: Actor(
                policy.config(device),
                boot_id,
                Port(device.port, DRIVERS[device.driver]),
                journal,
                ledger,
                records,
                recorder,
                voice,
                clock.now,
            )
            for device in settings.device
        }
        door = Door(topics, devices, principals, BrokerStamp(), memory(journal))
        desk = Desk(door, journal, voice, actors, records, boot_id, clock.now)
        broker = Broker(address, topics, devices, instance=instance, boot_id=boot_id, handler=desk)
        outbox.publish = broker.publish
        desk.answer_orphans()
        stack.push_async_callback(desk.looked_up)
        for actor in actors.values():
            stack.push_async_callback(actor.close)
            await actor.boot()
        buttons = [
            StopButton(device.stop_button, actors[device.id].post) for device in settings.device if device.stop_button
        ]
        await run(broker, desk, actors, buttons)


class Outlet:
    """Closes a ring: the voice speaks to the broker, the broker is made with the desk, the desk with the voice."""

    publish: Publish

    def __call__(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> None:
        """Have something published."""
        self.publish(topic, payload, qos=qos, retain=retain, correlation=correlation)


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


async def run(broker: Broker, desk: Desk, actors: Mapping[str, Actor], buttons: list[StopButton]) -> None:
    """Keep everything going until a signal ends it, or a part fails; then stop every device and wait for its word."""
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    talking = asyncio.create_task(broker.run())
    working = [asyncio.create_task(actor.run()) for actor in actors.values()]
    working += [asyncio.create_task(button.run()) for button in buttons]
    working.append(asyncio.create_task(desk.report()))
    waiting = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([talking, waiting, *working], return_when=asyncio.FIRST_COMPLETED)
        desk.drain()
        broker.announce("draining")
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
