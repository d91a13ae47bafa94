"""The shell around MQTT, on real brokers: what arrives where, what a flood, a lost broker and a namesake do to it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from controller.broker import Address, Broker, BrokerError, Connection, InstanceTakenError, tls_context
from controller.contract.answers import ServiceMessage, ServiceState
from controller.contract.envelope import Arrival
from controller.contract.topics import Topics
from controller.outbox import MESSAGES, TELEMETRY, Outgoing
from tests.conftest import Mosquitto, Server, Until

TOPICS = Topics("ward3")
START = TOPICS.command("dev1", "plc7", "session.start")
STOP = TOPICS.command("dev1", "plc7", "session.stop")
STOP_ALL = TOPICS.command("_all", "plc7", "stop")
SERVICE = TOPICS.service("svc")
SUMMARY = TOPICS.summary("dev1")


class Ears:
    """A service's handler that remembers what it heard, in order."""

    def __init__(self) -> None:
        self.stops: list[Arrival] = []
        self.commands: list[Arrival] = []
        self.ups = 0
        self.downs: list[str] = []
        self.conflicts: list[str] = []

    def on_stop(self, arrival: Arrival) -> None:
        self.stops.append(arrival)

    def on_command(self, arrival: Arrival) -> None:
        self.commands.append(arrival)

    def on_up(self) -> None:
        self.ups += 1

    def on_down(self, why: str) -> None:
        self.downs.append(why)

    def on_conflict(self, boot_id: str) -> None:
        self.conflicts.append(boot_id)


def address_of(server: Server) -> Address:
    return Address(host=server.host, port=server.port)


def make(address: Address, ears: Ears, *, boot_id: str = "b-1", instance: str = "svc") -> Broker:
    return Broker(address, TOPICS, ["dev1"], instance=instance, boot_id=boot_id, handler=ears)


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(broker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def listening(address: Address) -> AsyncIterator[tuple[Connection, list[Arrival]]]:
    """Somebody at the same broker, who hears everything."""
    heard: list[Arrival] = []
    async with Connection(address, "somebody", heard.append) as connection:
        await connection.subscribe(["stim/#"], commands=False)
        yield connection, heard


def message(topic: str, payload: bytes = b"{}", **changes: Any) -> Outgoing:  # noqa: ANN401 - fields of several types
    return Outgoing(topic, payload)._replace(**changes)


def states(heard: list[Arrival], topic: str = SERVICE) -> list[tuple[str, str, bool]]:
    """What was said of a service: state, boot, will."""
    said = [json.loads(arrival.payload) for arrival in heard if arrival.topic == topic]
    return [(each["state"], each["boot_id"], each["will"]) for each in said]


# What arrives


async def test_commands_and_stops_arrive_once_each_with_all_that_came_with_them(
    any_broker: Server, until: Until
) -> None:
    address, ears = address_of(any_broker), Ears()
    broker = make(address, ears)
    async with running(broker), listening(address) as (somebody, _):
        await until(lambda: broker.is_up)
        for topic in (START, STOP, STOP_ALL, TOPICS.command("dev2", "plc7", "session.stop")):
            await somebody.publish(message(topic, topic.encode(), correlation=b"\0\xff"))
        await somebody.publish(message(TOPICS.command("dev1", "plc7", "last")))
        await until(lambda: len(ears.stops) == 2 and len(ears.commands) == 2 and not broker._first_copies)
        assert ears.stops == [Arrival(topic, topic.encode(), False, None, b"\0\xff") for topic in (STOP, STOP_ALL)]
        assert ears.commands[0] == Arrival(START, START.encode(), False, None, b"\0\xff")
        assert (ears.ups, ears.downs, broker.counts) == (1, [], (3, 0, 0))


async def test_what_is_stored_is_never_taken_for_live(any_broker: Server, until: Until) -> None:
    """The real broker sends a service nothing that is stored; the embedded one does, but flags it."""
    address, ears = address_of(any_broker), Ears()
    broker = make(address, ears)
    async with listening(address) as (somebody, _):
        await somebody.publish(message(START, b"stored", retain=True))
        async with running(broker):
            await until(lambda: broker.is_up)
            await somebody.publish(message(START, b"live"))
            await until(lambda: any(arrival.payload == b"live" for arrival in ears.commands))
    assert {(arrival.payload, arrival.retained) for arrival in ears.commands} <= {(b"stored", True), (b"live", False)}


@pytest.mark.server("mosquitto")
async def test_a_live_command_that_is_retained_is_flagged(mosquitto: Mosquitto, until: Until) -> None:
    address, ears = address_of(mosquitto), Ears()
    broker = make(address, ears)
    async with running(broker), listening(address) as (somebody, _):
        await until(lambda: broker.is_up)
        for topic in (START, STOP):
            await somebody.publish(message(topic, retain=True))
        await until(lambda: ears.commands and ears.stops)
        assert [arrival.retained for arrival in (*ears.commands, *ears.stops)] == [True, True]


def flood(server: Server, topic: str, count: int) -> None:
    """Publish junk at QoS 0 as fast as a bare socket takes it."""
    hello = b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x05flood"
    junk = len(topic).to_bytes(2, "big") + topic.encode() + b"\x00junk"
    with socket.create_connection((server.host, server.port)) as line:
        line.sendall(bytes([0x10, len(hello)]) + hello)
        assert line.recv(64)[0] == 0x20
        line.sendall((bytes([0x30, len(junk)]) + junk) * count)


async def test_a_stop_overtakes_a_flood(any_broker: Server, until: Until) -> None:
    """Each piece of junk costs the service 1 ms; a stop sent behind it is heard while junk is still waiting."""

    class Slow(Ears):
        def on_command(self, arrival: Arrival) -> None:
            time.sleep(0.001)
            super().on_command(arrival)

        def on_stop(self, arrival: Arrival) -> None:
            self.junk_before = len(self.commands)
            super().on_stop(arrival)

    address, ears = address_of(any_broker), Slow()
    broker = make(address, ears)
    async with running(broker), Connection(address, "x", lambda _: None) as sender:
        await until(lambda: broker.is_up)
        await asyncio.to_thread(flood, any_broker, START, 5_000)
        await sender.publish(message(STOP))
        await until(lambda: ears.stops)
        await until(lambda: len(ears.commands) > ears.junk_before)


async def test_a_handler_that_fails_costs_one_message_and_no_connection(any_broker: Server, until: Until) -> None:
    class Clumsy(Ears):
        def on_command(self, arrival: Arrival) -> None:
            super().on_command(arrival)
            raise RuntimeError("clumsy")

        def on_stop(self, arrival: Arrival) -> None:
            super().on_stop(arrival)
            raise RuntimeError("clumsy")

    address, ears = address_of(any_broker), Clumsy()
    broker = make(address, ears)
    async with running(broker), listening(address) as (somebody, _):
        await until(lambda: broker.is_up)
        for topic in (START, STOP, START, STOP):
            await somebody.publish(message(topic))
        # A stop that failed is tried again when its copy comes.
        await until(lambda: (len(ears.commands), len(ears.stops)) == (2, 4))
        assert (broker.counts.connects, ears.downs) == (3, [])


class Gate:
    """A wire to the broker on which one connection can be cut, and stays cut, or hold back what the broker sends."""

    def __init__(self, server: Server, victim: bytes) -> None:
        self._server = server
        self._victim = victim
        self._is_cut = False
        self._lines: list[asyncio.StreamWriter] = []
        self._flows = asyncio.Event()
        self._flows.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Address]:
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as listener:
            host, port = listener.sockets[0].getsockname()
            yield Address(host=host, port=port)

    def cut(self) -> None:
        self._is_cut = True
        for line in self._lines:
            line.transport.abort()

    def hold(self) -> None:
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(1024)
        is_victim = self._victim in hello
        if is_victim and self._is_cut:
            writer.transport.abort()
            return
        if is_victim:
            self._lines.append(writer)
        inner_reader, inner_writer = await asyncio.open_connection(self._server.host, self._server.port)
        inner_writer.write(hello)
        with suppress(ConnectionError):
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, inner_writer))
                both.create_task(self._copy(inner_reader, writer, holds=is_victim))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, holds: bool = False) -> None:
        while data := await reader.read(65_536):
            if holds:
                await self._flows.wait()
            writer.write(data)
        writer.transport.abort()


@pytest.mark.parametrize("victim", [b"-stop", b"-command"])
async def test_a_stop_is_heard_while_one_of_its_connections_is_down(
    broker: Server, until: Until, victim: bytes
) -> None:
    gate, ears = Gate(broker, victim), Ears()
    async with gate.open() as address, listening(address_of(broker)) as (somebody, _):
        service = make(address, ears)
        async with running(service):
            await until(lambda: service.is_up)
            gate.cut()
            await until(lambda: ears.downs)
            await somebody.publish(message(STOP))
            await until(lambda: ears.stops)
            assert (service.is_up, [arrival.topic for arrival in ears.stops]) == (False, [STOP])


@pytest.mark.parametrize("victim", [b"-stop", b"-command"])
async def test_a_stop_is_heard_once_while_one_of_its_connections_stalls(
    broker: Server, until: Until, victim: bytes
) -> None:
    gate, ears = Gate(broker, victim), Ears()
    async with gate.open() as address, listening(address_of(broker)) as (somebody, _):
        service = make(address, ears)
        async with running(service):
            await until(lambda: service.is_up)
            gate.hold()
            await somebody.publish(message(STOP))
            await until(lambda: ears.stops)
            gate.release()
            await until(lambda: not service._first_copies)
            assert ([arrival.topic for arrival in ears.stops], ears.downs) == ([STOP], [])


async def test_a_stop_that_is_pressed_again_is_heard_again(any_broker: Server, until: Until) -> None:
    address, ears = address_of(any_broker), Ears()
    service = make(address, ears)
    async with running(service), listening(address) as (somebody, _):
        await until(lambda: service.is_up)
        for presses in range(1, 4):
            await somebody.publish(message(STOP, b""))
            await until(lambda: not service._first_copies and len(ears.stops) >= presses)  # noqa: B023 - awaited here
            assert len(ears.stops) == presses


# A broker that goes away


async def test_when_the_broker_comes_back_all_is_heard_and_said_again(any_broker: Server, until: Until) -> None:
    address, ears = address_of(any_broker), Ears()
    broker = make(address, ears)
    async with running(broker):
        await until(lambda: broker.is_up)
        broker.publish(Outgoing(SUMMARY, b"one", retain=True))
        any_broker.kill()
        await until(lambda: ears.downs)
        assert not broker.is_up
        broker.publish(Outgoing(SUMMARY, b"two", retain=True))
        broker.publish(Outgoing(TOPICS.ack("dev1", "plc7", "x"), b"answer", correlation=b"c"))
        any_broker.start()
        async with listening(address) as (somebody, heard):
            await until(lambda: broker.is_up)
            for topic in (START, STOP):
                await somebody.publish(message(topic))
            await until(lambda: ears.commands and ears.stops)
            await until(lambda: {arrival.topic for arrival in heard} >= {SUMMARY, SERVICE})
            assert {arrival.payload for arrival in heard if arrival.topic == SUMMARY} == {b"two"}
            assert set(states(heard)) == {("online", "b-1", False)}
    assert (ears.ups, len(ears.downs), broker.counts) == (2, 1, (6, 0, 0))


async def test_what_is_said_while_the_broker_is_away_is_bounded_and_counted(broker: Server, until: Until) -> None:
    service = make(address_of(broker), Ears())
    for number in range(MESSAGES + 5):
        service.publish(Outgoing("event", b"%d" % number))
    for number in range(TELEMETRY + 7):
        service.publish(Outgoing("tele", b"%d" % number, qos=0))
    service.publish(Outgoing("event", b"x" * 20_000))
    assert service.counts == (0, 6, 7)
    heard: list[bytes] = []
    async with Connection(address_of(broker), "x", lambda arrival: heard.append(arrival.payload)) as ear:
        await ear.subscribe(["event", "tele"], commands=False)
        async with running(service):
            await until(lambda: len(heard) == MESSAGES + TELEMETRY)
    assert heard == [b"%d" % number for number in (*range(5, MESSAGES + 5), *range(7, TELEMETRY + 7))]


async def refuse_subscriptions(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker that lets everybody in and nobody read."""
    while head := await reader.read(2):
        packet = await reader.readexactly(head[1])
        if head[0] == 0x10:
            writer.write(b"\x20\x03\x00\x00\x00")
        elif head[0] == 0x82:
            writer.write(b"\x90\x04" + packet[:2] + b"\x00\x87")
    writer.close()


async def test_a_refused_subscription_is_no_connection() -> None:
    async with await asyncio.start_server(refuse_subscriptions, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        async with Connection(Address(host=host, port=port), "x", lambda _: None) as connection:
            with pytest.raises(BrokerError, match="refuses to let us read stim/#"):
                await connection.subscribe(["stim/#"], commands=True)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_broker_that_says_nothing_is_given_up_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.broker.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()
        connection = Connection(Address(host=host, port=port), "x", lambda _: None)
        before = open_files()
        with pytest.raises(BrokerError, match="timed out"):
            async with connection:
                pytest.fail("nobody answered")
        assert open_files() == before


async def test_a_cancellation_that_comes_with_the_result_is_not_lost(broker: Server) -> None:
    """Python 3.11's wait_for gives the result and forgets the cancellation; the service could then not be ended."""
    async with Connection(address_of(broker), "x", lambda _: None) as connection:
        publishing = asyncio.create_task(connection.publish(message(START)))
        await asyncio.sleep(0)
        for confirmation in connection._client._pending_publishes.values():
            confirmation.set()
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing


async def test_a_service_that_starts_before_its_broker_waits_for_it(broker: Server, until: Until) -> None:
    broker.kill()
    ears = Ears()
    service = make(address_of(broker), ears)
    async with running(service) as task:
        with pytest.raises(BrokerError):
            async with Connection(address_of(broker), "x", lambda _: None):
                pytest.fail("there is no broker")
        broker.start()
        await until(lambda: service.is_up)
        assert (ears.ups, ears.downs, task.done()) == (1, [], False)


# Coming and going


async def test_a_service_says_that_it_is_there_drains_and_goes(any_broker: Server, until: Until) -> None:
    address, broker = address_of(any_broker), make(address_of(any_broker), Ears())
    async with listening(address) as (_, heard):
        async with running(broker):
            await until(lambda: broker.is_up)
            broker.announce("draining")
            await until(lambda: ("draining", "b-1", False) in states(heard))
            broker.publish(Outgoing("stim/last", b"words"))
        await until(lambda: ("offline", "b-1", False) in states(heard))
        assert states(heard)[:3] == [(state, "b-1", False) for state in ("starting", "online", "draining")]
        assert b"words" in [arrival.payload for arrival in heard]
    async with listening(address) as (_, stored):
        await until(lambda: states(stored))
        assert states(stored) == [("offline", "b-1", False)]


CHILD = """
import asyncio, sys
from controller.broker import Address, Broker
from controller.contract.topics import Topics
from tests.controller.test_broker import Ears
address = Address(host="127.0.0.1", port=int(sys.argv[1]))
asyncio.run(Broker(address, Topics("ward3"), ["dev1"], instance="svc", boot_id="b-dead", handler=Ears()).run())
"""


async def test_a_killed_service_leaves_its_last_will_and_its_name(any_broker: Server, until: Until) -> None:
    address = address_of(any_broker)
    root = Path(__file__).parents[2]
    child = subprocess.Popen(  # noqa: ASYNC220 - it is started, not waited for
        [sys.executable, "-c", CHILD, str(any_broker.port)], cwd=root
    )
    try:
        async with listening(address) as (_, heard):
            await until(lambda: ("online", "b-dead", False) in states(heard))
            child.kill()
            await until(lambda: ("offline", "b-dead", True) in states(heard))
            assert json.loads(heard[-1].payload)["at"] is None
            broker = make(address, Ears())
            async with running(broker):
                await until(lambda: broker.is_up and states(heard)[-1] == ("online", "b-1", False))
    finally:
        child.kill()
        child.wait()


async def test_a_second_service_of_one_name_ends_and_the_first_goes_on(any_broker: Server, until: Until) -> None:
    address, ears, others = address_of(any_broker), Ears(), Ears()
    broker = make(address, ears)
    async with running(broker), listening(address) as (somebody, heard):
        await until(lambda: broker.is_up)
        with pytest.raises(InstanceTakenError, match="b-1"):
            await make(address, others, boot_id="b-2").run()
        await somebody.publish(message(START))
        await until(lambda: ears.commands)
        await until(lambda: states(heard)[-1] == ("online", "b-1", False))
        assert ("online", "b-2", False) not in states(heard)
        assert (ears.downs, ears.conflicts, others.ups, others.commands) == ([], [], 0, [])
    async with running(second := make(address, others, boot_id="b-2")):
        await until(lambda: second.is_up)


async def test_of_two_that_start_at_once_exactly_one_ends(any_broker: Server, until: Until) -> None:
    address = address_of(any_broker)
    first, second = (make(address, Ears(), boot_id=boot_id) for boot_id in ("b-1", "b-2"))
    async with running(first), running(second) as task:
        with pytest.raises(InstanceTakenError, match="b-1"):
            await task
        await until(lambda: first.is_up)


async def test_services_of_different_names_live_side_by_side(any_broker: Server, until: Until) -> None:
    first, second = (make(address_of(any_broker), Ears(), instance=name, boot_id=name) for name in ("a", "b"))
    async with running(first), running(second):
        await until(lambda: first.is_up and second.is_up)


def said(state: ServiceState, boot_id: str) -> Outgoing:
    statement = ServiceMessage(instance="svc", state=state, will=False, boot_id=boot_id, at=None)
    return message(SERVICE, statement.to_bytes(), retain=state != "starting")


async def test_a_settled_service_answers_who_uses_its_name(any_broker: Server, until: Until) -> None:
    address, ears = address_of(any_broker), Ears()
    broker = make(address, ears)
    async with running(broker), listening(address) as (somebody, heard):
        await until(lambda: broker.is_up)
        await somebody.publish(said("starting", "b-9"))
        await until(lambda: states(heard)[-2:] == [("starting", "b-9", False), ("online", "b-1", False)])
        await somebody.publish(said("offline", "b-9"))
        await until(lambda: states(heard)[-2:] == [("offline", "b-9", False), ("online", "b-1", False)])
        await somebody.publish(message(SERVICE, b"junk"))
        assert ears.conflicts == []
        await somebody.publish(said("online", "b-9"))
        await until(lambda: ears.conflicts)
        assert (ears.conflicts, ears.downs) == (["b-9"], [])


# Logging in

Start = Callable[[str], Mosquitto]


def shell(folder: Path, *words: str) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


@pytest.mark.server("mosquitto")
async def test_a_wrong_password_is_told_and_a_right_one_lets_in(
    tmp_path: Path, mosquitto_with: Start, until: Until
) -> None:
    shell(tmp_path, "mosquitto_passwd", "-b", "-c", "passwords", "stimsvc", "right")
    (tmp_path / "passwords").chmod(0o644)
    server = mosquitto_with(f"allow_anonymous false\npassword_file {tmp_path}/passwords")
    wrong, right = (
        Address(host=server.host, port=server.port, username="stimsvc", password=word) for word in ("wrong", "right")
    )
    with pytest.raises(BrokerError, match="Not authorized"):
        async with Connection(wrong, "x", lambda _: None):
            pytest.fail("the password was wrong")
    assert "wrong" not in repr(wrong)
    broker = make(right, Ears())
    async with running(broker):
        await until(lambda: broker.is_up)


# The library leaves the socket of a failed handshake to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.server("mosquitto")
async def test_the_connection_can_be_encrypted(tmp_path: Path, mosquitto_with: Start, until: Until) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    shell(tmp_path, "openssl", "req", "-x509", *key, *subject)
    (tmp_path / "key.pem").chmod(0o644)
    files = "\n".join(f"{name} {tmp_path}/{file}.pem" for name, file in (("certfile", "cert"), ("keyfile", "key")))
    server = mosquitto_with(f"allow_anonymous true\n{files}")
    context = tls_context(tmp_path / "cert.pem")
    broker = make(Address(host=server.host, port=server.port, tls=context), Ears())
    async with running(broker):
        await until(lambda: broker.is_up)
    with pytest.raises(BrokerError, match="certificate"):
        async with Connection(Address(host=server.host, port=server.port, tls=tls_context()), "x", lambda _: None):
            pytest.fail("nobody vouches for this broker")
    gc.collect()
    with pytest.raises(OSError, match="No such file"):
        tls_context(tmp_path / "absent.pem")
