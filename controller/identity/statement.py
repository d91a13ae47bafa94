"""What a service says: signed before it is published, and told from what anybody else might publish in its place."""

from pathlib import Path

from controller.contract.envelope import Arrival
from controller.outbox import Outgoing, Publish

from . import jws
from .keys import Alg, Key, Secret


class Signing:
    """Signs what goes out. Telemetry goes as it is: it is for display only, and comes ten times a second."""

    def __init__(self, publish: Publish, secret: Secret) -> None:
        self._publish = publish
        self._secret = secret

    def __call__(self, item: Outgoing) -> None:
        """Have something signed and published."""
        signature = jws.sign(self._secret, item.topic, item.payload) if item.qos else None
        self._publish(item._replace(signature=signature))


def own_secret(path: Path, kid: str, seed: bytes) -> Secret:
    """Read the service's own key, or make it of a seed where there is none yet. Raises FileError, OSError."""
    if not path.exists():
        Secret.of(kid, Alg.ED25519, seed).write(path)
    return Secret.read(path)


def is_said_by(key: Key, arrival: Arrival) -> bool:
    """Tell whether the owner of this key has published this message under this topic."""
    if arrival.signature is None:
        return False
    try:
        return jws.holds(jws.detached(arrival.topic, arrival.payload, arrival.signature), key)
    except jws.SealError:
        return False
