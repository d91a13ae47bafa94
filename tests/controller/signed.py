"""People with keys, a door that asks for signatures, and messages that bear them."""

from __future__ import annotations

from typing import Any

from controller.contract.accept import Door, Nonces, no_nonces
from controller.contract.envelope import Arrival
from controller.identity import Principal, Role, Seen, Signatures
from controller.identity.jws import seal, sign
from controller.identity.keys import Alg, Key, Secret, Span
from tests.controller.wire import NOW, TOPICS, Fields, arrival

DEVICES = frozenset({"dev1", "dev2"})


def secret(kid: str, alg: Alg = Alg.ED25519) -> Secret:
    """A key that is the same in every run."""
    return Secret.of(kid, alg, kid.encode().ljust(32, b"."))


CLINICIAN, NEXT, OTHER = secret("clinician-1-a"), secret("clinician-1-b"), secret("clinician-2-a")
SHARED, LINE = secret("clinician-1-shared", Alg.HS256), secret("plc7-a", Alg.HS256)
RUN_OUT, TAKEN_BACK = secret("clinician-1-old"), secret("clinician-1-lost")


def key(of: Secret, **changes: Any) -> Key:  # noqa: ANN401 - the key's own fields
    """What the service knows of a key."""
    known = {name: getattr(of.key, name) for name in ("kid", "alg", "jwk", "print")}
    return Key(**(known | changes))


def keys(*of: Key) -> dict[str, Key]:
    return {each.kid: each for each in of}


PEOPLE = {
    principal.name: principal
    for principal in (
        Principal(
            "clinician-1",
            Role.PHYSIO,
            DEVICES,
            keys(
                key(CLINICIAN),
                key(NEXT, span=Span(NOW.wall_ms - 1_000, None)),
                key(SHARED),
                key(RUN_OUT, span=Span(None, NOW.wall_ms)),
                key(TAKEN_BACK, revoked=True),
            ),
        ),
        Principal("clinician-2", Role.PHYSIO, DEVICES, keys(key(OTHER))),
        Principal("dismissed", Role.PHYSIO, DEVICES, keys(key(secret("dismissed"))), revoked=True),
        Principal("temp", Role.PHYSIO, DEVICES, keys(key(secret("temp"))), span=Span(0, NOW.wall_ms)),
        Principal("plc7", Role.AUTOMATION, DEVICES, keys(key(LINE))),
        Principal("bedside", Role.HANDSET, DEVICES),
    )
}


def signed_door(seen: dict[tuple[str, str], Seen] | None = None, nonces: Nonces = no_nonces) -> Door:
    """A door to which the broker's word alone is not enough."""
    known = seen or {}
    return Door(
        topics=TOPICS,
        devices=frozenset({"dev1", "dev2", "dev3"}),
        principals=PEOPLE,
        proof=Signatures(),
        seen=lambda *of: known.get(of),
        nonces=nonces,
    )


def signed(content: Fields, by: Secret = CLINICIAN, topic: str | None = None, **of: Any) -> Arrival:  # noqa: ANN401
    """A message whose signature stands beside it."""
    plain = arrival(content, topic, **of)
    return plain._replace(signature=sign(by, plain.topic, plain.payload))


def sealed(content: Fields, by: Secret = CLINICIAN, topic: str | None = None, **of: Any) -> Arrival:  # noqa: ANN401
    """A message that is carried by its signature, as MQTT 3.1.1 has to have it."""
    plain = arrival(content, topic, **of)
    return plain._replace(payload=seal(by, plain.topic, plain.payload))
