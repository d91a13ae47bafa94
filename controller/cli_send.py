"""`stimwarden send`: one command, one answer; and where a person at a terminal finds the broker."""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from .broker import BrokerError, tls_context
from .cli_errors import FailureError, MisuseError
from .client import Client
from .contract.answers import AnswerMessage, Explanation
from .contract.bodies import VERBS
from .contract.codes import quantity
from .contract.topics import ALL, is_id
from .identity.keys import Key, Secret
from .settings import load

HERE = Path("stimwarden.toml")
PASSWORD = "STIMWARDEN_PASSWORD"  # noqa: S105 - the variable's name
WIDTH = 120
"""Columns of an explanation's table."""
RENEW_S = 1.0
"""A claim lasts for 5 s (SAFETY reference M05); it is renewed often enough to lose three in a row."""


class Where(NamedTuple):
    """A site, and how to speak there: broker, login, and the devices that are known from settings."""

    host: str
    port: int
    site: str
    principal: str
    password: str | None
    tls: ssl.SSLContext | None
    devices: tuple[str, ...]
    key: Secret | None
    service_key: Key | None

    @asynccontextmanager
    async def client(self, *, telemetry: bool = False) -> AsyncIterator[Client]:
        """Speak as the principal, which is the login: the broker stamps it into the topics. Raises FailureError."""
        login = self.principal if self.password is not None else None
        client = Client(
            self.host,
            self.port,
            site=self.site,
            principal=self.principal,
            username=login,
            password=self.password,
            tls=self.tls,
            telemetry=telemetry,
            key=self.key,
            service_key=self.service_key,
        )
        try:
            async with client:
                yield client
        except BrokerError as error:
            raise FailureError(f"broker {self.host}:{self.port}: {error}") from error


class Wanted(NamedTuple):
    """What is asked of whom; `body` is JSON. `keep` renews a claim until Ctrl-C; `explain` only asks what would be."""

    verb: str
    device: str | None
    body: str
    keep: bool
    explain: bool
    as_json: bool


def reach(
    config: Path | None,
    host: str | None,
    port: int | None,
    site: str | None,
    principal: str,
    password_file: Path | None,
    key_file: Path | None = None,
    service_key: str | None = None,
) -> Where:
    """Find a site: the command line wins over the settings, which are those of this directory if there are any."""
    if not is_id(principal):
        raise MisuseError(f"--as {principal}: expected 1 to 32 of a-z, 0-9 and -")
    tls: ssl.SSLContext | None = None
    devices: tuple[str, ...] = ()
    if config is None and site is None and HERE.exists():
        config = HERE
    if config is not None:
        settings = load(config)
        # The broker's authority only: the certificate in the settings is the service's own.
        tls = tls_context(settings.broker.tls.ca_file) if settings.broker.tls else None
        host, port = host or settings.broker.host, port or settings.broker.port
        site = site or settings.site.id
        devices = tuple(device.id for device in settings.device)
    if site is None:
        raise MisuseError(f"no site: give --site, or --config FILE; there is no {HERE} here")
    if not is_id(site):
        raise MisuseError(f"--site {site}: expected 1 to 32 of a-z, 0-9 and -")
    key = Secret.read(key_file) if key_file else None
    known = known_service(service_key) if service_key else None
    return Where(
        host or "127.0.0.1", port or 1883, site, principal, password_of(password_file), tls, devices, key, known
    )


def known_service(text: str) -> Key:
    """Read the service's public key. Raises MisuseError."""
    try:
        return Key.public("service", text)
    except ValueError:
        raise MisuseError(f"--service-key {text}: expected what `stimwarden keys show` prints at the service") from None


def password_of(file: Path | None) -> str | None:
    """Read the password from the file's first line, else from the environment; None where there is none."""
    if file is None:
        return os.environ.get(PASSWORD)
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise MisuseError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MisuseError(f"{file}: cannot be read: it is not UTF-8 text") from None


async def send_one(where: Where, wanted: Wanted) -> int:
    """Send a command and print its answer; 0 where it was obeyed or is under way."""
    device, body = device_for(where, wanted), body_of(wanted)
    async with where.client() as client:
        answer = await (client.explain if wanted.explain else client.ask)(device, wanted.verb, body)
        tell(answer, as_json=wanted.as_json)
        if answer.explained is not None:
            return 0 if answer.explained.obeyed else 1
        if answer.status in {"rejected", "failed", "timed_out"}:
            return 1
        if wanted.keep:
            await keep(client, device)
    return 0


def device_for(where: Where, wanted: Wanted) -> str:
    """Say which device is meant. Raises MisuseError."""
    if wanted.verb not in VERBS:
        raise MisuseError(f"{wanted.verb}: no such verb; there are {', '.join(VERBS)}")
    if wanted.keep and wanted.verb != "device.claim":
        raise MisuseError("--keep goes with device.claim only")
    device = wanted.device or (ALL if wanted.verb == "stop" else None)
    if device is None and len(where.devices) == 1:
        device = where.devices[0]
    if device is None:
        known = f"; the settings name {', '.join(where.devices)}" if where.devices else ""
        raise MisuseError(f"which device? give --device{known}")
    if device != ALL and not is_id(device):
        raise MisuseError(f"--device {device}: expected 1 to 32 of a-z, 0-9 and -")
    return device


def body_of(wanted: Wanted) -> Mapping[str, Any]:
    """Read the body; what is in it is the service's to judge. Raises MisuseError."""
    try:
        body = json.loads(wanted.body)
    except ValueError as error:
        raise MisuseError(f"--body: not JSON: {error}") from None
    if not isinstance(body, dict):
        raise MisuseError(f"--body {wanted.body}: expected a JSON object")
    return body


def tell(answer: AnswerMessage, *, as_json: bool) -> None:
    """Print an answer: what became of the command by which rule, then every other reason, fault of form and detail."""
    if as_json:
        print(answer.to_bytes().decode())
        return
    rule = f" ({answer.rule})" if answer.rule else ""
    print(f"{answer.status} {answer.code}{rule}: {answer.text}")
    if answer.explained is not None:
        Console(width=WIDTH, highlight=False).print(table(answer.explained))
        return
    for reason in answer.reasons[1:]:
        print(f"  {reason.code} ({reason.rule}): {reason.text}")
    for fault in answer.fields:
        print(f"  {fault.field or 'payload'}: {fault.problem}")
    for name, value in answer.details.items():
        print(f"  {name} = {value}")


def table(explained: Explanation) -> Table:
    """Show the rules of an explanation, those against the wish first, in the order in which they came."""
    found = Table("rule", "channel", "asked or measured", "limit", "left", "what it guards", box=None, pad_edge=False)
    for rule in explained.rules:
        figures = [
            "" if value is None else quantity(value, rule.unit) for value in (rule.requested, rule.limit, rule.margin)
        ]
        words = rule.text if rule.passed else f"{rule.code}: {rule.text}"
        style = "" if rule.passed else "bold"
        found.add_row(rule.rule or "-", str(rule.channel or ""), *figures, words, style=style)
    return found


async def keep(client: Client, device: str) -> None:
    """Renew a claim until Ctrl-C, then give it back; a renewal that is refused ends it as well."""
    print(f"{device} is kept until Ctrl-C; what runs pauses when it is let go")
    ended = interrupted()
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), RENEW_S)
        verb = "device.release" if ended.is_set() else "device.renew"
        answer = await client.ask(device, verb)
        if answer.status != "succeeded":
            raise FailureError(f"{verb}: {answer.code}: {answer.text}")


def interrupted() -> asyncio.Event:
    """Give what Ctrl-C (or SIGTERM) sets from now on."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    return ended
