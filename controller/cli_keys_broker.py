"""`stimwarden keys broker`: what a site's broker and its clients log in with, made once, into a new directory."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import clock
from .broker_files import Authority, access_list, password, password_line, service_login
from .cli_errors import FailureError
from .contract.topics import Topics
from .identity import read_principals
from .settings import load

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of a broker on the service's own machine."""


def make(folder: Path, hosts: Sequence[str], config: Path) -> None:
    """Make everything, or nothing. Raises FailureError where the directory is there: nothing is ever overwritten."""
    settings = load(config)
    topics, service = Topics(settings.site.id), service_login(settings.site.id)
    principals = read_principals(settings.site.principals)
    if service in principals:
        raise FailureError(f"{settings.site.principals}: {service} is the service's own login, not a principal's")
    if folder.exists():
        raise FailureError(f"{folder} is there already; nothing is overwritten")
    authority = Authority(settings.site.id, datetime.fromtimestamp(clock.now().wall_ms / 1000, UTC))
    names = (service, *principals)
    words = {name: password() for name in names}
    broker = authority.server(hosts or LOCAL)
    files = {
        "ca.crt": authority.own.certificate,
        "ca.key": authority.own.key,
        "broker/passwords": "".join(password_line(name, word) for name, word in words.items()).encode(),
        "broker/acl": access_list(topics, principals.values(), service).encode(),
        "broker/ca.crt": authority.own.certificate,
        "broker/broker.crt": broker.certificate,
        "broker/broker.key": broker.key,
    }
    for name in names:
        client = authority.client(name)
        files |= {
            f"logins/{name}/password": f"{words[name]}\n".encode(),
            f"logins/{name}/ca.crt": authority.own.certificate,
            f"logins/{name}/client.crt": client.certificate,
            f"logins/{name}/client.key": client.key,
        }
    try:
        write(folder, files)
    except OSError as error:
        raise FailureError(f"{folder}: cannot be made: {error.filename}: {error.strerror}") from None
    print(
        f"{folder}/broker goes to the broker: passwords, access list, its certificate for {', '.join(hosts or LOCAL)}"
    )
    print(f"{folder}/logins/NAME goes to NAME: {', '.join(names)}")
    print(f"{folder}/ca.key goes to a safe place: who has it can pass for the broker and for everybody")


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files that nobody else may read into a directory that is not there yet; whole or not at all."""
    begun = folder.with_name(f".{folder.name}.begun")
    begun.mkdir(mode=0o700)
    try:
        for name, content in files.items():
            path = begun / name
            for level in reversed(path.relative_to(begun).parents[:-1]):
                (begun / level).mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(content)
        begun.rename(folder)
    except BaseException:
        shutil.rmtree(begun)
        raise
