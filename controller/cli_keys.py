"""`stimwarden keys`: make a key, show what others need of it, list those that a site knows."""

import re
import secrets
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import clock
from .app import key_file_of
from .cli_errors import FailureError, MisuseError
from .contract.envelope import utc_text
from .identity import Principal, read_principals
from .identity.keys import KID, SEED_BYTES, Alg, Key, Secret, Span
from .settings import load

WIDTH = 120


def new(file: Path, alg: str, kid: str | None) -> None:
    """Make a key file that only its owner may read, and print what the principals file has to say of it."""
    kid = kid or file.stem
    if re.fullmatch(KID, kid) is None:
        raise MisuseError(f"--kid {kid}: expected 1 to 64 of letters, digits, dot, - and _")
    secret = Secret.of(kid, Alg(alg), secrets.token_bytes(SEED_BYTES))
    try:
        secret.write(file)
    except FileExistsError:
        raise FailureError(f"{file}: there is a file already; a key is never written over") from None
    except OSError as error:
        raise FailureError(f"{file}: cannot be written: {error.strerror}") from None
    print(table_of(secret, file))


def table_of(secret: Secret, file: Path) -> str:
    """Write the table that the principals file needs."""
    own = f'secret_file = "{file}"' if secret.alg is Alg.HS256 else f'public = "{secret.public}"'
    return f'[[principal.key]]\nkid = "{secret.kid}"\nalg = "{secret.alg.value}"\n{own}'


def show(file: Path | None, config: Path) -> None:
    """Print the public half of a key file, or of the key that the service of these settings signs with."""
    path = file or key_file_of(load(config))
    if file is None and not path.exists():
        raise FailureError(f"{path}: there is no key yet; the service makes it at its first start")
    secret = Secret.read(path)
    if secret.alg is Alg.HS256:
        raise FailureError(f"{path}: {secret.kid} is an HS256 key: it has no public half, and its secret is not shown")
    print(secret.public)


def list_all(config: Path) -> None:
    """List every key that the principals file knows, and how it is now."""
    found = Table("principal", "kid", "alg", "state", "from", "until", box=None, pad_edge=False)
    for principal in read_principals(load(config).site.principals).values():
        for key in principal.keys.values():
            found.add_row(principal.name, key.kid, key.alg.value, state_of(principal, key), *times(key.span))
    Console(width=WIDTH, highlight=False).print(found)


def state_of(principal: Principal, key: Key) -> str:
    """Say in a word whether a key can be used now."""
    if principal.revoked or key.revoked:
        return "revoked"
    now_ms = clock.now().wall_ms
    spans = (principal.span, key.span)
    if any(span.from_ms is not None and now_ms < span.from_ms for span in spans):
        return "not yet valid"
    return "valid" if all(span.holds(now_ms) for span in spans) else "run out"


def times(span: Span) -> tuple[str, str]:
    """Write from when until when."""
    first, last = ("" if ms is None else utc_text(ms) for ms in span)
    return first, last
