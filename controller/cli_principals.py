"""`stimwarden principals`: who may ask at a site. The file keeps its comments, and is replaced whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import tomlkit
from rich.console import Console
from rich.table import Table
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT
from tomlkit.items import Table as Toml

from . import clock
from .app import proof_of
from .cli_errors import FailureError, MisuseError
from .cli_keys import WIDTH, times
from .identity import Principal, read_principals
from .identity.keys import Alg, Secret
from .identity.principals import principals_of
from .identity.register import checked
from .settings import load

SOON = "A service that runs reads it within a second."


class Newcomer(NamedTuple):
    """Somebody to be added; `key` is a key file whose public half is taken over."""

    name: str
    role: str
    devices: tuple[str, ...]
    key: Path | None


def list_all(config: Path) -> None:
    """List everybody, and how each is now."""
    found = Table("name", "role", "devices", "keys", "state", "from", "until", "limits", box=None, pad_edge=False)
    for p in read_principals(load(config).site.principals).values():
        devices, limits = ", ".join(sorted(p.devices)), ", ".join(ceilings(p))
        found.add_row(p.name, p.role.value, devices, str(len(p.keys)), state_of(p), *times(p.span), limits)
    Console(width=WIDTH, highlight=False).print(found)


def state_of(principal: Principal) -> str:
    """Say in a word whether a principal may ask now."""
    if principal.revoked:
        return "revoked"
    return "valid" if principal.span.holds(clock.now().wall_ms) else "outside its time"


def ceilings(principal: Principal) -> Iterator[str]:
    """Say the limits of a principal's own."""
    for value, unit in zip(principal.limits, ("uA", "us", "ms"), strict=True):
        if value is not None:
            yield f"{value} {unit}"


def check(config: Path) -> None:
    """Say whether a service could start with the file. Raises FileError."""
    settings = load(config)
    known = checked(settings.site.principals, proof_of(settings))
    print(f"{settings.site.principals}: {len(known)} principals, and each can prove who it is")


def add(newcomer: Newcomer, config: Path) -> None:
    """Write somebody into the file. Raises FileError, FailureError, MisuseError."""
    path = load(config).site.principals
    table = tomlkit.table()
    table.add("name", newcomer.name)
    table.add("role", newcomer.role)
    table.add("devices", list(newcomer.devices))
    if newcomer.key is not None:
        secret = Secret.read(newcomer.key)
        if secret.alg is Alg.HS256:
            raise MisuseError(
                f"--key {newcomer.key}: name an HS256 key in the file by hand: its path is the site's own"
            )
        key = tomlkit.table()
        for name, value in (("kid", secret.kid), ("alg", secret.alg.value), ("public", secret.public)):
            key.add(name, value)
        keys = tomlkit.aot()
        keys.append(key)
        table.add("key", keys)
    document = parsed(path)
    principals = document.setdefault("principal", tomlkit.aot())
    principals.append(table)
    replace(path, document)
    print(f"{newcomer.name} added to {path}. {SOON}")


def revoke(name: str, kid: str | None, config: Path) -> None:
    """Take leave from somebody, or from one key of theirs. Raises FileError, FailureError."""
    path = load(config).site.principals
    document = parsed(path)
    entry = named(document.get("principal"), "name", name)
    if entry is None:
        raise FailureError(f"{path}: there is no {name}")
    wanted = entry if kid is None else named(entry.get("key"), "kid", kid)
    if wanted is None:
        raise FailureError(f"{path}: {name} has no key {kid}")
    wanted["revoked"] = True
    replace(path, document)
    print(f"{name if kid is None else f'key {kid} of {name}'} is revoked in {path}. {SOON}")


def named(tables: object, key: str, name: str) -> Toml | None:
    """Find the table of an array that bears a name."""
    found = tables if isinstance(tables, AoT) else ()
    return next((cast("Toml", each) for each in found if each.get(key) == name), None)


def parsed(path: Path) -> tomlkit.TOMLDocument:
    """Read a file with its comments. Raises FileError where it is wrong already."""
    read_principals(path)
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except TOMLKitError as error:
        raise FailureError(f"{path}: {error}") from None


def replace(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Put a file in another's place, if a service can use it. Raises FileError, FailureError."""
    principals_of(path, document.unwrap())
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(tomlkit.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise FailureError(f"{path}: cannot be written: {error.strerror}") from None
