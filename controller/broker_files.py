"""What a site's broker needs to know who is who: passwords, an access list and certificates, made from the principals.

Pure: it gives the contents of files; cli_keys_broker.py writes them. Passwords are drawn at random, 144 bits each.
"""

import base64
import hashlib
import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .contract.topics import ALL, STOPS, Topics
from .identity import ANY_DEVICE, Principal

ROUNDS = 101
"""Rounds of PBKDF2 in a line of the password file: mosquitto's own number. Nobody guesses a random password at any."""
SALT_BYTES = 12
PASSWORD_BYTES = 18
CA_DAYS, DAYS = 3_650, 730
"""How long the authority and what it signs are good (engineering defaults)."""
SKEW = timedelta(minutes=5)
"""How much a clock may be behind ours and still take a new certificate for good (engineering default)."""


def service_login(site: str) -> str:
    """Give the name under which a site's service logs in."""
    return f"stimsvc-{site}"[:32]


# Passwords


def password() -> str:
    """Draw a password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def password_line(name: str, word: str) -> str:
    """Write a line of mosquitto's password file: PBKDF2 with SHA-512 (mosquitto_passwd(1), type 7)."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", word.encode(), salt, ROUNDS)
    return f"{name}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


# The access list


def access_list(topics: Topics, principals: Iterable[Principal], service: str) -> str:
    """Write mosquitto's access list: everybody writes under its own name only, and reads of its own devices only."""
    parts = [
        "# Made by `stimwarden keys broker` from the principals. A login's name is a level of each topic that it may",
        "# write: the broker itself stamps the sender into the topic.",
        "",
        "# Everybody who has logged in may stop everything, and reads what is for nobody else: the answers to its own",
        "# commands, and its own nonces where the service gives any out.",
        *(f"pattern write {topics.command(ALL, '%u', verb)}" for verb in sorted(STOPS)),
        *(f"pattern read {topics.all_of(branch)}" for branch in ("ack/%u", "state/challenge/%u")),
        "",
        "# The service.",
        f"user {service}",
        f"topic read {topics.command('+', '+', '+')}",
        f"topic write {topics.ack('+', '+', '#')}",
        *(f"topic write {topics.all_of(branch)}" for branch in ("state", "event", "tele")),
        f"topic readwrite {topics.service('+')}",
    ]
    for principal in principals:
        devices = ["+"] if ANY_DEVICE in principal.devices else sorted(principal.devices)
        parts += ["", f"# {principal.role.value}", f"user {principal.name}", f"topic read {topics.service('+')}"]
        parts += [line for device in devices for line in _device_lines(topics, device, principal.name)]
    return "\n".join(parts) + "\n"


def _device_lines(topics: Topics, device: str, name: str) -> Iterator[str]:
    yield f"topic write {topics.command(device, name, '+')}"
    for topic in (topics.summary(device), topics.capabilities(device), topics.event(device, "+")):
        yield f"topic read {topic}"
    yield f"topic read {topics.telemetry(device, 1).removesuffix('1')}+"


# Certificates


class Signed(NamedTuple):
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority of one site; its key signs the broker's and the clients' certificates."""

    def __init__(self, site: str, now: datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"stimwarden {site}")])
        builder = self._begun(self._name, self._key, CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.add_extension(_usage(is_authority=True), critical=True).sign(
            self._key, hashes.SHA256()
        )

    @property
    def own(self) -> Signed:
        """Give the authority's own certificate and key."""
        return _pem(self._certificate, self._key)

    def server(self, hosts: Sequence[str]) -> Signed:
        """Sign a certificate for a broker that is reached under these names and addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._leaf(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str) -> Signed:
        """Sign a certificate for a login; its common name is the name."""
        return self._leaf(name, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _leaf(self, name: str, use: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(is_authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _pem(builder.sign(self._key, hashes.SHA256()), key)

    def _begun(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - SKEW)
            .not_valid_after(self._now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority, critical=False)
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Signed(certificate.public_bytes(serialization.Encoding.PEM), secret)
