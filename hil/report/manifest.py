"""The manifest: the digest of every file of a report, signed with Ed25519 (RFC 8032), and the check of both.

`manifest.sig` is the bare signature of the bytes of `manifest.json`: 64 bytes, as `openssl pkeyutl -rawin` reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from hil.report.refused import Refused

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"

Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Manifest(BaseModel):
    """What was signed: SHA-256 by file name, and the public key (its 32 bytes in hex; None: not signed)."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal["stimwarden-hil manifest"] = "stimwarden-hil manifest"
    version: Literal[1] = 1
    is_dev: bool
    public_key: Hex | None
    files: dict[Name, Hex]


class Fault(Exception):  # noqa: N818 - what verify says
    """The first file of a report that is not what was signed, and what is wrong with it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def make_key(path: Path) -> Path:
    """Write a new private key (PEM, mode 0600) and its public half beside it; gives that. Raises FileExistsError."""
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    public = path.with_name(path.name + ".pub")
    private_bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public_bytes = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for file, mode, data in ((path, 0o600, private_bytes), (public, 0o644, public_bytes)):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(data)
    return public


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key that nobody else may read; raises Refused."""
    try:
        with path.open("rb") as file:
            if (mode := os.fstat(file.fileno()).st_mode & 0o777) & 0o077:
                raise Refused("key_bad", f"{path}: its mode is {mode:04o}, others may use it; chmod 600 it")
            key = serialization.load_pem_private_key(file.read(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused("key_bad", f"{path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused("key_bad", f"{path}: no Ed25519 key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key; raises Refused."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise Refused("key_bad", f"{path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Refused("key_bad", f"{path}: no Ed25519 key")
    return key


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def seal(folder: Path, key: Ed25519PrivateKey | None, *, is_dev: bool) -> None:
    """Write the manifest of all that lies in a folder, and sign it where there is a key."""
    public = key.public_key().public_bytes_raw().hex() if key else None
    files = {path.name: digest(path) for path in sorted(folder.iterdir())}
    data = Manifest(is_dev=is_dev, public_key=public, files=files).model_dump_json(indent=2).encode() + b"\n"
    (folder / MANIFEST).write_bytes(data)
    if key:
        (folder / SIGNATURE).write_bytes(key.sign(data))


def verify(folder: Path, public: Ed25519PublicKey | None = None) -> Manifest:
    """Check signature and digests of a report; without a key, with that which the report names. Raises Fault."""
    data, signature = _bytes(folder, MANIFEST), _bytes(folder, SIGNATURE)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise Fault(MANIFEST, f"is no manifest: {error.errors()[0]['msg']}") from error
    if manifest.public_key is None:
        raise Fault(MANIFEST, "names no key, the report is not signed")
    if public and public.public_bytes_raw().hex() != manifest.public_key:
        raise Fault(MANIFEST, "was signed with another key")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest.public_key)).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise Fault(MANIFEST, f"{SIGNATURE} is not its signature") from error
    for fault in _faults(folder, manifest):
        raise fault
    return manifest


def _bytes(folder: Path, name: str) -> bytes:
    if not _is_plain(folder / name):
        raise Fault(name, "missing")
    return (folder / name).read_bytes()


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _faults(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    there = {path.name for path in folder.iterdir()} - {MANIFEST, SIGNATURE}
    for name in sorted(there | manifest.files.keys()):
        if name not in manifest.files:
            yield Fault(name, "extra, it is not in the manifest")
        elif not _is_plain(folder / name):
            yield Fault(name, "missing")
        elif digest(folder / name) != manifest.files[name]:
            yield Fault(name, "is not what was signed")
