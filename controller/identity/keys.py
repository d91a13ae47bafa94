"""Keys: what the service knows to check with (`Key`), what a sender has to sign with (`Secret`), and their files.

A key has one algorithm for life. Which one a message names is compared with that, and decides nothing.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from controller.tomlfile import FileError, Problem

from .roles import Tier

KID = r"[A-Za-z0-9._-]{1,64}"
"""What names a key."""
SEED_BYTES = 32
"""Length of an Ed25519 seed (RFC 8032) and of an HS256 secret: at least that of the hash (RFC 7518, 3.2)."""
PRIVATE = 0o600


class Alg(StrEnum):
    """The algorithms there are, by their names in a JWS header (RFC 7518, RFC 9864)."""

    HS256 = "HS256"
    ED25519 = "Ed25519"

    @property
    def tier(self) -> Tier:
        """What a signature proves."""
        return Tier.T3 if self is Alg.ED25519 else Tier.T2


class Span(NamedTuple):
    """From when until when something is valid, in ms since 1970; None: no bound."""

    from_ms: int | None = None
    until_ms: int | None = None

    def holds(self, wall_ms: int) -> bool:
        """Tell whether it is valid at a time."""
        return (self.from_ms or 0) <= wall_ms and (self.until_ms is None or wall_ms < self.until_ms)


ALWAYS = Span()


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signatures are checked with."""

    kid: str
    alg: Alg
    jwk: OKPKey | OctKey = field(repr=False, compare=False)
    print: str
    """What the key is, without telling it: the thumbprint of RFC 7638."""
    span: Span = ALWAYS
    revoked: bool = False

    @classmethod
    def public(cls, kid: str, text: str, span: Span = ALWAYS, *, revoked: bool = False) -> Self:
        """Make an Ed25519 key of its public half in base64url. Raises ValueError."""
        try:
            jwk = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": text})
            jwk.get_op_key("verify")
        except (JoseError, ValueError) as error:
            raise ValueError("no Ed25519 public key") from error
        return cls(kid, Alg.ED25519, jwk, jwk.thumbprint(), span, revoked)

    def is_good(self, wall_ms: int) -> bool:
        """Tell whether it may be used at a time."""
        return not self.revoked and self.span.holds(wall_ms)


@dataclass(frozen=True, slots=True)
class Secret:
    """A key to sign with. It is never shown: neither its repr nor an error holds it."""

    kid: str
    alg: Alg
    jwk: OKPKey | OctKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, kid: str, alg: Alg, seed: bytes) -> Self:
        """Make a key of `SEED_BYTES` that nobody can guess."""
        if alg is Alg.HS256:
            return cls(kid, alg, OctKey.import_key(seed))
        return cls(kid, alg, OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file: one JSON Web Key, which nobody but its owner may read. Raises FileError."""
        try:
            data = json.loads(_private_text(path))
            kid, alg = str(data["kid"]), Alg(data["alg"])
            return cls.of(kid, alg, _seed(data, alg))
        except FileError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            # What was found there may be a secret.
            raise FileError([Problem(str(path), "", "cannot be used", EXPECTED)]) from None

    def write(self, path: Path) -> None:
        """Write a new key file. Raises OSError; FileExistsError where there is a file already."""
        data = {**self.jwk.as_dict(private=True), "kid": self.kid, "alg": self.alg.value}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, PRIVATE)
            file.write(json.dumps(data) + "\n")
            file.flush()
            os.fsync(descriptor)

    @property
    def public(self) -> str:
        """Give the public half in base64url. Raises ValueError for a key that has none."""
        if self.alg is Alg.HS256:
            raise ValueError(f"{self.kid} is shared: all of it is secret")
        return str(self.jwk.as_dict(private=False)["x"])

    @property
    def key(self) -> Key:
        """Give what its signatures are checked with."""
        if self.alg is Alg.HS256:
            return Key(self.kid, self.alg, self.jwk, self.jwk.thumbprint())
        return Key.public(self.kid, self.public)


EXPECTED = 'a key that `stimwarden keys new` made: a JSON Web Key with "kid" and "alg"'


def _private_text(path: Path) -> str:
    """Read a file that nobody but its owner may read or write. Raises FileError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError([f"{path}: cannot be read: {error.strerror}"]) from error
    # The mode of what was opened, not of what bears its name a moment later.
    with os.fdopen(descriptor, encoding="utf-8") as file:
        mode = S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            found = f"is open to others (mode {mode:04o})"
            raise FileError([Problem(str(path), "", found, f"mode 0600, as `chmod 600 {path.name}` gives it")])
        try:
            return file.read()
        except OSError as error:
            raise FileError([f"{path}: cannot be read: {error.strerror}"]) from error


def _seed(data: Mapping[str, str], alg: Alg) -> bytes:
    """Take the secret out of a JSON Web Key. Raises ValueError, KeyError, AttributeError."""
    if alg is Alg.HS256:
        shared = urlsafe_b64decode(data["k"].encode())
        if data["kty"] != "oct" or len(shared) < SEED_BYTES:
            raise ValueError("no secret of the length that is needed")
        return shared
    own = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(data["d"].encode()))
    public = urlsafe_b64encode(own.public_key().public_bytes_raw()).decode()
    if (data["kty"], data["crv"], data["x"]) != ("OKP", "Ed25519", public):
        raise ValueError("no Ed25519 key whose halves belong together")
    return own.private_bytes_raw()
