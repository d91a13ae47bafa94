"""The shell around MQTT, and the only file that knows its library.

A service has three connections: one for stops, so that a stop stands behind nothing else; one for commands, which hears
stops too, so that no stop hangs on one connection alone; one to publish, because a broker that keeps Nagle's algorithm
on (the embedded one) delays a delivery by 40 ms on a connection that also carries acknowledgements. Each connects again
by itself. What arrives is handled where it is read, one message a turn of the loop: no queue of ours can overflow, and
a flood is held up in the broker, not in us.

Measured of the library: its queue drops silently when it is full (so nothing is put there), it does not reconnect by
itself, and a publish that an access list refuses raises nothing.
"""

import asyncio
import itertools
import logging
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .contract.envelope import Arrival
from .contract.topics import Topics, is_stop
from .outbox import Outbox, Outgoing
from .presence import Presence

KEEPALIVE_S = 5
"""A silent broker is noticed within twice this time (engineering default)."""
TIMEOUT_S = 5
"""For the broker to accept a connection, a subscription or a message (engineering default)."""
BACKOFF_S = (0.1, 5.0)
"""First and longest wait before connecting again; it doubles in between (engineering default)."""
LISTEN_S = 0.3
"""How long a service listens, before it takes commands, for another one that bears its name (engineering default)."""
GOODBYE_S = 2
"""How long a service that ends tries to get its last messages out (engineering default)."""
WINDOW = 8
"""Messages that may be on their way to the broker, unconfirmed, at a time (engineering default)."""
TWIN_S = 10
"""How long after a stop its copy on the other connection is known for one (engineering default)."""
SIGNATURE = "sig"
"""The user property that holds a message's signature."""
MAX_PACKET = 1_048_576
"""Longest packet the broker may send us, far above what is accepted: what is too long is to be refused in words."""

log = structlog.get_logger()
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)


class BrokerError(Exception):
    """The broker cannot be reached, refused something, or is gone; the text says which."""


class InstanceTakenError(Exception):
    """Another live service bears this instance's name."""


def tls_context(
    ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Say whom to trust (None: the system's authorities) and who we are. Raises OSError where a file cannot be used."""
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the broker is, and how to log in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


class Connection:
    """One MQTT 5 connection for one life: clean start, no session, TCP_NODELAY. Every method may raise BrokerError."""

    def __init__(
        self, address: Address, client_id: str, deliver: Callable[[Arrival], None], will: Outgoing | None = None
    ) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = MAX_PACKET
        self._client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=client_id,
            logger=_library_log,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=properties,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will else None,
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            tls_context=address.tls,
            queue_type=_inline(deliver),
        )

    async def __aenter__(self) -> Self:
        try:
            with _library():
                await self._client.__aenter__()
        except BaseException:
            self._close_socket()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            with suppress(BrokerError), _library():
                await self._client.__aexit__(None, None, None)
        finally:
            self._close_socket()

    def _close_socket(self) -> None:
        """Close what the library leaves open, and watches on, where a connection broke in an unusual way."""
        self._client._client._sock_close()  # noqa: SLF001 - nothing public does it

    async def subscribe(self, filters: Iterable[str], *, commands: bool) -> None:
        """Subscribe at QoS 1: to commands with the sender's retain flag and nothing stored, else to the stored too."""
        options = SubscribeOptions(qos=1, retainAsPublished=commands, retainHandling=2 if commands else 0)
        wanted = list(filters)
        with _library():
            codes = await self._client.subscribe([(each, options) for each in wanted])
        refused = [each for each, code in zip(wanted, codes, strict=True) if getattr(code, "is_failure", False)]
        if refused:
            raise BrokerError(f"the broker refuses to let us read {', '.join(refused)}")

    async def publish(self, item: Outgoing) -> None:
        """Publish; at QoS 1, wait until the broker has it. It is handed to the socket before the first wait."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if item.correlation is not None:
            properties.CorrelationData = item.correlation
        if item.signature is not None:
            properties.UserProperty = [(SIGNATURE, item.signature)]
        with _library():
            await self._client.publish(item.topic, item.payload, item.qos, item.retain, properties)

    async def lost(self) -> None:
        """Wait until the connection is gone, and raise."""
        with _library():
            async for _ in self._client.messages:
                pass


@contextmanager
def _library() -> Iterator[None]:
    """Call the library: its errors become ours, and a cancellation that it swallows is raised after all.

    It waits with asyncio.wait_for, which before Python 3.12 drops a cancellation that comes together with the result; a
    service could then not be ended.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except aiomqtt.MqttError as error:
        raise BrokerError(str(error)) from error
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


def _inline(deliver: Callable[[Arrival], None]) -> type[asyncio.Queue[aiomqtt.Message]]:
    """Make the queue that is none: the library's only hook at which a message can be had while it is being read."""

    class Inline(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            reply = getattr(item.properties, "ResponseTopic", None)
            correlation = getattr(item.properties, "CorrelationData", None)
            try:
                signature = _signature(getattr(item.properties, "UserProperty", ()))
                deliver(Arrival(str(item.topic), bytes(item.payload), item.retain, reply, correlation, signature))
            except Exception:
                # The library would end the connection, and with it the way for the next stop.
                log.exception("message handler failed", topic=str(item.topic))

    return Inline


def _signature(properties: Iterable[tuple[str, str]]) -> str | None:
    """Find the signature; of two nobody knows which is meant, and an empty one holds for nothing."""
    found = [value for name, value in properties if name == SIGNATURE]
    return "" if len(found) > 1 else next(iter(found), None)


class Handler(Protocol):
    """What a service does with what arrives. All are called on the loop, while a message is read: none may wait."""

    def on_stop(self, arrival: Arrival) -> None:
        """Act on a stop; after a connection was lost, one may come twice."""

    def on_command(self, arrival: Arrival) -> None:
        """Act on anything else that is asked."""

    def on_up(self) -> None:
        """Hear that stops and commands can be heard, and answers sent."""

    def on_down(self, why: str) -> None:
        """Hear that one of these is no longer so."""

    def on_conflict(self, boot_id: str) -> None:
        """Hear that another service with this instance's name is online as well."""


class Counts(NamedTuple):
    """What happened so far: connections made, and what was dropped because the broker did not take it in time."""

    connects: int
    dropped_messages: int
    dropped_telemetry: int


class Broker:
    """A service's side of the broker. `boot_id` must differ at every start of any service."""

    def __init__(
        self, address: Address, topics: Topics, devices: Iterable[str], *, instance: str, boot_id: str, handler: Handler
    ) -> None:
        self._address = address
        self._topics = topics
        self._devices = tuple(devices)
        self._instance = instance
        self._presence = Presence(topics, instance, boot_id)
        self._handler = handler
        self._outbox = Outbox()
        self._unsaid = Outbox()
        self._connects = 0
        self._up: set[str] = set()
        self._first_copies: dict[int, tuple[str, float]] = {}

    @property
    def counts(self) -> Counts:
        """Tell what happened so far."""
        messages = self._unsaid.dropped_messages + self._outbox.dropped_messages
        telemetry = self._unsaid.dropped_telemetry + self._outbox.dropped_telemetry
        return Counts(self._connects, messages, telemetry)

    @property
    def is_up(self) -> bool:
        """Tell whether stops and commands can be heard, and answers sent."""
        return len(self._up) == 3

    def publish(self, item: Outgoing) -> None:
        """Have something published as soon as may be; never waits, and never raises."""
        # Before the name is ours another service may be speaking for our devices.
        outbox = self._outbox if self._presence.is_settled else self._unsaid
        outbox.put(item)

    def announce(self, state: Literal["online", "draining"]) -> None:
        """Say, retained, how this service is."""
        self._outbox.put(self._presence.say(state))

    async def run(self) -> None:
        """Keep the three connections up until cancelled; then say goodbye.

        Raises InstanceTakenError, having taken no command, where a live service bears this name.
        """
        try:
            async with asyncio.TaskGroup() as links:
                links.create_task(self._keep("stop", partial(self._hear_stop, "stop"), self._hear_stops))
                links.create_task(self._keep("command", self._sort, self._hear_commands))
                links.create_task(self._keep("out", lambda _: None, self._send_all))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _keep(
        self, name: str, deliver: Callable[[Arrival], None], serve: Callable[[Connection], Awaitable[None]]
    ) -> None:
        """Connect, serve, and when the connection is lost do so again, forever."""
        wait_s, longest_s = BACKOFF_S
        # Two clients of one id throw each other out; the random part keeps apart even services of one name.
        client_id = f"{self._instance}-{secrets.token_hex(4)}-{name}"
        will = self._presence.will() if name == "out" else None
        while True:
            try:
                async with Connection(self._address, client_id, deliver, will) as connection:
                    self._connects += 1
                    await serve(connection)
            except BrokerError as error:
                why = f"{name} connection: {error}"
            if name in self._up:
                wait_s = BACKOFF_S[0]
            self._mark_down(name, why)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, longest_s)

    def _mark_up(self, name: str) -> None:
        self._up.add(name)
        self._first_copies.clear()
        if self.is_up:
            log.info("broker up", instance=self._instance)
            self._handler.on_up()

    def _mark_down(self, name: str, why: str) -> None:
        was_up = self.is_up
        self._up.discard(name)
        self._first_copies.clear()
        if was_up:
            log.warning("broker down", instance=self._instance, why=why)
            self._handler.on_down(why)

    # Stops

    async def _hear_stops(self, connection: Connection) -> None:
        await connection.subscribe(self._topics.stop_filters(self._devices), commands=True)
        self._mark_up("stop")
        await connection.lost()

    def _hear_stop(self, link: str, arrival: Arrival) -> None:
        """Act on the first copy of a stop, whichever connection brings it; rather twice than not at all."""
        key, now_s = hash((arrival.topic, arrival.payload)), asyncio.get_running_loop().time()
        first_link, first_s = self._first_copies.pop(key, (link, now_s))
        if first_link != link and now_s - first_s < TWIN_S:
            return
        self._handler.on_stop(arrival)
        self._first_copies[key] = link, now_s

    # Commands

    async def _hear_commands(self, connection: Connection) -> None:
        await connection.subscribe([self._presence.topic], commands=False)
        if not self._presence.is_settled:
            await self._settle(connection)
        await connection.subscribe(self._topics.command_filters(self._devices), commands=True)
        self._mark_up("command")
        await connection.lost()

    def _sort(self, arrival: Arrival) -> None:
        """Hand on what the command connection reads."""
        if arrival.topic == self._presence.topic:
            self._hear_namesake(arrival)
        elif is_stop(arrival.topic):
            self._hear_stop("command", arrival)
        else:
            self._handler.on_command(arrival)

    async def _settle(self, connection: Connection) -> None:
        """Ask whether somebody bears our name, listen for a moment, then take the name."""
        await connection.publish(self._presence.ask())
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S):
                await connection.lost()
        if self._presence.rival:
            raise InstanceTakenError(f"instance {self._instance!r} is taken by boot {self._presence.rival}")
        self._outbox.put(self._presence.settle())
        while len(self._unsaid):
            self._outbox.put(await self._unsaid.get())

    def _hear_namesake(self, arrival: Arrival) -> None:
        reply = self._presence.hear(arrival)
        if reply:
            self._outbox.put(reply)
        if self._presence.rival and self._presence.is_settled:
            log.error("another service bears this name", instance=self._instance)
            self._handler.on_conflict(self._presence.rival)
            self._presence.rival = ""

    # Publishing

    async def _send_all(self, connection: Connection) -> None:
        flight: dict[int, Outgoing] = {}
        numbers = itertools.count()
        # No task group: one that is cancelled while a member fails would tell only of the failure, and we would go on.
        tasks = [asyncio.create_task(self._send(connection, flight, numbers)) for _ in range(WINDOW)]
        tasks.append(asyncio.create_task(connection.lost()))
        self._mark_up("out")
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._take_back(tasks, flight)
            await self._say_goodbye(connection)
            raise
        await self._take_back(tasks, flight)
        await done.pop()

    async def _take_back(self, tasks: Iterable[asyncio.Task[None]], flight: dict[int, Outgoing]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._outbox.give_back(flight.values())

    async def _send(self, connection: Connection, flight: dict[int, Outgoing], numbers: Iterator[int]) -> None:
        while True:
            item = await self._outbox.get()
            number = next(numbers)
            flight[number] = item
            await connection.publish(item)
            del flight[number]

    async def _say_goodbye(self, connection: Connection) -> None:
        """Get out what waits, and say that we are gone: a clean end keeps the last will from being sent."""
        if self._presence.is_settled:
            self._outbox.put(self._presence.say("offline"))
        with suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(GOODBYE_S):
                while len(self._outbox):
                    await connection.publish(await self._outbox.get())
