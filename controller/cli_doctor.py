"""`stimwarden doctor`: what keeps a service from working, and what to do about it. Every check really tries.

It may be run beside the service: it commands nothing, and a device that nobody else has open is told to stop first.
"""

import asyncio
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from safety.messages import DeviceUp

from . import clock
from .app import address_of
from .broker import Address, BrokerError, Connection
from .chain import JournalError, verify
from .cli_device import ignore, words_of
from .contract.bodies import STATUS
from .contract.envelope import Arrival, utc_text
from .contract.topics import Topics, is_id
from .devices import DRIVERS
from .devices.base import DeviceError
from .identity import read_principals
from .link import LinkError
from .outbox import Outgoing
from .policy import MODELS, TIMES, Policy
from .settings import DeviceTable, Settings, load
from .store.tables import LedgerError, open_database
from .tomlfile import read_toml

OK, WARN, FAIL = "ok", "WARN", "FAIL"
SKEW_MS = 2_000
"""By how much the journal may be ahead of the clock (G02's clock skew)."""
SCARCE, LOW = 100_000_000, 1_000_000_000
"""Free bytes below which the disk is a fault, or worth a warning (engineering defaults)."""
ECHO_S = 3.0
"""How long an echo of the broker may take (engineering default)."""
ROUNDS = 5
"""Echoes of which the fastest counts: a busy machine makes some late, Nagle's algorithm all of them."""
SLOW_S = 0.02
"""From here on an echo waited for an acknowledgement that was held back: that is 40 ms and more (measured)."""


class Finding(NamedTuple):
    """How one thing is, and what to do about it where something is."""

    mark: str
    what: str
    text: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.mark:4}  {self.what}: {self.text}" + (f"\n      -> {self.todo}" if self.todo else "")


async def examine(config: Path) -> int:
    """Print every finding; 1 where one is a fault."""
    settings = load(config)
    policy = Policy.read(settings.policy.file)
    principals = read_principals(settings.site.principals)
    text = f"{config} is sound; principals: {len(principals)}, devices: {len(settings.device)}"
    print(Finding(OK, "settings", f"{text}, policy {policy.digest[:12]}"))
    marks = []
    for finding in of_files(config, settings):
        print(finding)
        marks.append(finding.mark)
    async for finding in findings(settings):
        print(finding, flush=True)
        marks.append(finding.mark)
    return 1 if FAIL in marks else 0


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything, one after the other."""
    yield of_clock(settings.storage.journal, bench=all(device.profile == "bench" for device in settings.device))
    async for finding in of_broker(settings):
        yield finding
    storage = settings.storage
    for folder in dict.fromkeys((storage.journal.parent, storage.ledger.parent, nearest(storage.recordings))):
        yield of_folder(folder)
    yield await asyncio.to_thread(of_journal, storage.journal)
    yield of_ledger(storage.ledger, may_be_new=not storage.journal.exists())
    for device in settings.device:
        yield await of_device(device)


# Files with secrets


def of_files(config: Path, settings: Settings) -> Iterator[Finding]:
    """See who may read what only the service should."""
    tls = settings.broker.tls
    secret = [config] if settings.broker.password and holds_password(config) else []
    secret += [tls.key_file] if tls and tls.key_file else []
    for path in secret:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            text = f"{path} holds a secret, and others may read it (mode {mode:04o})"
            yield Finding(FAIL, "files", text, f"Give it to the service's account, and: chmod 0600 {path}")
        else:
            yield Finding(OK, "files", f"{path} is the service's alone")


def holds_password(config: Path) -> bool:
    """Tell whether the file itself holds the broker's password; from the environment it is nobody else's to read."""
    return "password" in read_toml(config).get("broker", {})


# The clock


def of_clock(journal: Path, *, bench: bool) -> Finding:
    """See whether the clock was set, and never set back, and whether something keeps it right (G25)."""
    now_ms = clock.now().wall_ms
    if now_ms < clock.EARLIEST_MS:
        return Finding(FAIL, "clock", f"it says {utc_text(now_ms)}", "Set it, and let it be kept by NTP.")
    newest_ms = newest_entry_ms(journal)
    if newest_ms > now_ms + SKEW_MS:
        text = f"it says {utc_text(now_ms)}, and the journal's newest entry is of {utc_text(newest_ms)}"
        return Finding(FAIL, "clock", text, "It was set back, so doses would be counted wrongly: set it right.")
    if not (bench or clock.is_disciplined()):
        text = f"it says {utc_text(now_ms)}, and the kernel knows of nothing that keeps it right"
        return Finding(FAIL, "clock", text, "Run an NTP client such as chrony: nobody is treated before that.")
    return Finding(OK, "clock", f"it says {utc_text(now_ms)}")


def newest_entry_ms(journal: Path) -> int:
    """Read when the journal was last written; 0 where it cannot be read, which is another check's finding."""
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (newest_ms,) = connection.execute("SELECT max(wall_ms) FROM journal").fetchone()
    except sqlite3.Error:
        return 0
    return int(newest_ms or 0)


# The broker


async def of_broker(settings: Settings) -> AsyncIterator[Finding]:
    """Log in as the service, and try what must work and what must not."""
    try:
        address = address_of(settings)
    except OSError as error:
        yield Finding(FAIL, "broker", f"a file of [broker.tls] cannot be used: {error}", "Mend the file or its path.")
        return
    name = f"{address.host}:{address.port}"
    echoes = Echoes()
    try:
        async with Connection(address, f"doctor-{echoes.word}", echoes.hear) as connection:
            yield Finding(OK, "broker", f"{name} speaks MQTT 5 and takes the login {address.username or '(none)'}")
            for finding in of_login(address):
                yield finding
            for finding in await echoes.listen(connection, Topics(settings.site.id), settings.device[0].id, address):
                yield finding
    except BrokerError as error:
        todo = "See that it runs there, speaks MQTT 5, and knows this login; [broker] says how it is reached."
        yield Finding(FAIL, "broker", f"{name}: {error}", todo)


def of_login(address: Address) -> Iterator[Finding]:
    """Judge how we logged in."""
    if address.username is None:
        todo = "Give the service a login of its own: topics name their senders only if the broker knows them."
        yield Finding(WARN, "login", "the broker takes us without a name", todo)
    elif not is_id(address.username):
        yield Finding(FAIL, "login", f"{address.username} is no name for a topic", "Use 1 to 32 of a-z, 0-9 and -.")
    if address.password and address.tls is None and address.host not in {"127.0.0.1", "::1", "localhost"}:
        yield Finding(WARN, "login", "the password crosses the network unencrypted", "Set [broker.tls].")


class Echoes:
    """What comes back of what the doctor publishes."""

    def __init__(self) -> None:
        self.word = secrets.token_hex(4)
        self._heard: dict[str, Arrival] = {}
        self._news = asyncio.Event()

    def hear(self, arrival: Arrival) -> None:
        """Take an echo in."""
        self._heard[arrival.topic] = arrival
        self._news.set()

    async def listen(
        self, connection: Connection, topics: Topics, device: str, address: Address
    ) -> tuple[Finding, ...]:
        """Publish what is forbidden, then what is allowed: the order tells that the first was really refused."""
        # What gets through does no harm: nobody has this name, and there is no such site.
        forbidden = (
            topics.command(device, f"doctor-{self.word}", STATUS),
            Topics(f"doctor-{self.word}", topics.prefix).summary(device),
        )
        allowed = topics.ack(device, address.username or "doctor", f"doctor-{self.word}")
        for topic in (*forbidden, allowed):
            with suppress(BrokerError):  # what we may not even read does not come back, and that is judged below
                await connection.subscribe([topic], commands=True)
        for topic in forbidden:
            await connection.publish(Outgoing(topic, b"{}"))
        await connection.publish(Outgoing(allowed, b"{}", retain=True))
        await self._comes_back(allowed, b"{}")
        await connection.publish(Outgoing(allowed, b"", retain=True))
        found = (self._on_access(forbidden, allowed), self._on_retain(allowed))
        if allowed not in self._heard:
            return found
        return (*found, of_delay(min([await self._delay_s(connection, allowed, turn) for turn in range(ROUNDS)])))

    async def _delay_s(self, connection: Connection, topic: str, turn: int) -> float:
        """Measure how long the broker takes to give back what it was given."""
        payload, began_s = b"%d" % turn, clock.running_s()
        await connection.publish(Outgoing(topic, payload))
        await self._comes_back(topic, payload)
        return clock.running_s() - began_s

    async def _comes_back(self, topic: str, payload: bytes) -> None:
        """Wait for an echo, but not for long."""
        try:
            async with asyncio.timeout(ECHO_S):
                while topic not in self._heard or self._heard[topic].payload != payload:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    def _on_access(self, forbidden: tuple[str, ...], allowed: str) -> Finding:
        if through := [topic for topic in forbidden if topic in self._heard]:
            text = f"the broker let us publish as somebody else, to {through[0]}"
            todo = "Put an access list in force such as deploy/acl: without one anybody can command under any name."
            return Finding(FAIL, "access list", text, todo)
        if allowed not in self._heard:
            todo = f"Let the service's login read and write {allowed.rpartition('/')[0]}/#, or trust the list unseen."
            return Finding(WARN, "access list", "cannot be judged: what is allowed does not come back either", todo)
        return Finding(OK, "access list", "the broker refuses to publish for us as somebody else")

    def _on_retain(self, allowed: str) -> Finding:
        echo = self._heard.get(allowed)
        if echo is None:
            return Finding(WARN, "retain flag", "cannot be judged: what is allowed does not come back")
        if not echo.retained:
            text = "the broker drops the flag, so a stored command looks like a fresh one"
            return Finding(FAIL, "retain flag", text, "Use a broker that serves MQTT 5's retain-as-published.")
        return Finding(OK, "retain flag", "the broker passes it on as published")


def of_delay(fastest_s: float) -> Finding:
    """Judge the fastest echo."""
    text = f"an echo takes {fastest_s * 1000:.1f} ms"
    if fastest_s >= SLOW_S:
        return Finding(WARN, "delay", text, "Set `set_tcp_nodelay true` in mosquitto; another broker, or a nearer one.")
    return Finding(OK, "delay", text)


# The disk


def nearest(folder: Path) -> Path:
    """Give the nearest directory that exists: the service makes the rest."""
    return folder if folder.exists() else nearest(folder.parent)


def of_folder(folder: Path) -> Finding:
    """Write a file, make it durable, and see how much room there is."""
    what = f"disk at {folder}"
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"stimwarden")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(FAIL, what, f"cannot be written: {error.strerror}", "Let the service's account write there.")
    room = f"{free // 1_000_000} MB are free"
    if free < LOW:
        return Finding(
            FAIL if free < SCARCE else WARN, what, room, "Make room: without a journal no current is permitted."
        )
    return Finding(OK, what, f"can be written; {room}")


def of_journal(journal: Path) -> Finding:
    """Check the whole chain."""
    if not journal.exists():
        return Finding(OK, "journal", f"there is none yet; the service will make {journal}")
    try:
        found = verify(journal)
    except JournalError as error:
        return Finding(FAIL, "journal", str(error), "Let this account read it.")
    if found.first_bad_seq is None:
        return Finding(OK, "journal", f"{found.rows} entries, every one as it was written")
    todo = "Keep the file as evidence. The service does not start on it."
    return Finding(FAIL, "journal", f"broken at entry {found.first_bad_seq}: {found.why}", todo)


def of_ledger(ledger: Path, *, may_be_new: bool) -> Finding:
    """Open the database as the service does."""
    if may_be_new and not ledger.exists():
        return Finding(OK, "ledger", f"there is none yet; the service will make {ledger}")
    try:
        open_database(ledger, may_create=False).dispose()
    except LedgerError as error:
        todo = "Bring it back from a copy: without it nobody knows what patients were given."
        return Finding(FAIL, "ledger", str(error).splitlines()[0], todo)
    return Finding(OK, "ledger", "opens and is whole")


# The devices


async def of_device(device: DeviceTable) -> Finding:
    """Open a device's port and ask who is there."""
    what = f"device {device.id}"
    try:
        driver = await DRIVERS[device.driver](device.port, TIMES[device.driver], ignore)
    except LinkError as error:
        if error.code == "LINK.BUSY":
            return Finding(WARN, what, str(error), "If it is this service that has it open, all is well.")
        return Finding(FAIL, what, f"{error.code}: {error}", "Check its name in the settings, its cable and its power.")
    try:
        up = await driver.connect()
    except DeviceError as error:
        return Finding(FAIL, what, f"{error.code}: {error}", "See that the right kind of device is on this port.")
    finally:
        await driver.close()
    return of_identity(device, up)


def of_identity(device: DeviceTable, up: DeviceUp) -> Finding:
    """Judge what a device says of itself against the settings."""
    what, text = f"device {device.id}", words_of(up)
    if up.identity.model not in MODELS[device.driver]:
        return Finding(FAIL, what, text, f"The driver {device.driver} drives {', '.join(MODELS[device.driver])} only.")
    if up.identity.emulator is not (device.profile == "bench"):
        return Finding(FAIL, what, text, f"Profile {device.profile} forbids it: bench is for emulators, and only they.")
    return Finding(OK, what, text)
