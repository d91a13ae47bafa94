"""Signatures: JSON Web Signatures (RFC 7515) that bind a payload to the topic on which it is published.

Detached, in the MQTT 5 user property `sig`: over the topic, a NUL and the payload, which stays plain JSON.
Compact, for MQTT 3.1.1: the payload itself is the signature's, and the topic stands in its protected header.

The library verifies. What it would let pass for the sake of others is refused here first: headers besides ours, keys
that a message brings along, and a second way to write the same bytes.
"""

import base64
import binascii
import json
import re
from typing import NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.registry import HeaderParameter

from controller.contract.envelope import Arrival, carries

from .keys import Key, Secret

LONGEST_HEADER = 512
"""Characters of a protected header: alg, kid and a topic of five levels fit (engineering default)."""
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_TOPIC = {"topic": HeaderParameter("The topic on which it is published", "str")}


class SealError(ValueError):
    """Something is no signature of this wire; the text says why, and holds nothing of it."""


class Seal(NamedTuple):
    """A signature that came with a message: what its header says, and over what it was made."""

    alg: str
    kid: str
    value: str
    content: bytes | None
    """What was signed, where the signature does not hold it."""


def sign(secret: Secret, topic: str, payload: bytes) -> str:
    """Sign a payload for one topic: the value of `sig`."""
    header = {"alg": secret.alg.value, "kid": secret.kid}
    whole = jws.serialize_compact(header, _bound(topic, payload), secret.jwk, algorithms=[secret.alg.value])
    return str(jws.detach_content(whole))


def seal(secret: Secret, topic: str, payload: bytes) -> bytes:
    """Sign a payload for one topic: what is published instead of it where there are no user properties."""
    header = {"alg": secret.alg.value, "kid": secret.kid, "topic": topic}
    return jws.serialize_compact(header, payload, secret.jwk, registry=_registry(secret.alg.value)).encode()


def found(arrival: Arrival) -> Seal | None:
    """Find a message's signature; None where it has none. Raises SealError."""
    if not carries(arrival.payload):
        return None if arrival.signature is None else detached(arrival.topic, arrival.payload, arrival.signature)
    if arrival.signature is not None:
        raise SealError("it is signed twice")
    try:
        value = arrival.payload.decode("ascii")
    except UnicodeDecodeError:
        raise SealError("it is not base64url") from None
    header = _header(value, {"alg", "kid", "topic"}, is_detached=False)
    if header["topic"] != arrival.topic:
        raise SealError("it was made for another topic")
    return Seal(header["alg"], header["kid"], value, None)


def detached(topic: str, payload: bytes, value: str) -> Seal:
    """Read the value of `sig`. Raises SealError."""
    header = _header(value, {"alg", "kid"}, is_detached=True)
    return Seal(header["alg"], header["kid"], value, _bound(topic, payload))


def holds(seal: Seal, key: Key) -> bool:
    """Tell whether this key has made this signature."""
    if seal.alg != key.alg.value:
        return False
    try:
        jws.deserialize_compact(seal.value, key.jwk, payload=seal.content, registry=_registry(key.alg.value))
    except (JoseError, ValueError):
        return False
    return True


def _bound(topic: str, payload: bytes) -> bytes:
    return topic.encode() + b"\0" + payload


def _registry(alg: str) -> jws.JWSRegistry:
    return jws.JWSRegistry(_TOPIC, [alg])


def _header(value: str, names: set[str], *, is_detached: bool) -> dict[str, str]:
    """Read a protected header that has exactly these texts. Raises SealError."""
    segments = value.split(".")
    if len(segments) != 3 or (segments[1] == "") != is_detached:
        raise SealError("it is no JSON Web Signature of the expected form")
    head, content, tail = segments
    if len(head) > LONGEST_HEADER:
        raise SealError("its header is too long")
    for segment in (tail,) if is_detached else (content, tail):
        _octets(segment)
    try:
        header = json.loads(_octets(head), object_pairs_hook=_each_once)
    except SealError:
        raise
    except ValueError:
        raise SealError("its header is no JSON") from None
    if not isinstance(header, dict) or header.keys() != names or not all(isinstance(t, str) for t in header.values()):
        raise SealError(f"its header has not exactly {', '.join(sorted(names))}")
    return header


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise SealError("its header says something twice")
    return dict(pairs)


def _octets(segment: str) -> bytes:
    """Decode base64url without padding, written in the one way that there is. Raises SealError."""
    try:
        if _SEGMENT.fullmatch(segment) is None:
            raise SealError("it is not base64url")
        octets = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise SealError("it is not base64url") from None
    if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != segment:
        raise SealError("it is not base64url as everybody writes it")
    return octets
