"""How a message proves who sent it."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from controller.contract.envelope import Arrival, Fault, RefusedError

from . import jws
from .principals import Principal
from .roles import NEEDS, STAMPED, Role, Tier


class Proven(NamedTuple):
    """What a message has proved, and with which key (empty: with none)."""

    tier: Tier
    kid: str


class Proof(Protocol):
    """Judges what a message brings as proof."""

    def proven(self, principal: Principal, arrival: Arrival, wall_ms: int) -> Proven:
        """Tell how well a message proves that it comes from its principal. Raises RefusedError where it does not."""

    def needed(self, principal: Principal) -> Tier:
        """Tell how well this principal has to be proved."""


class Signatures:
    """A signature where there is one; else the broker's word, whose access list lets nobody publish as somebody else.

    A signature that is there must hold, also where none is needed.
    """

    def __init__(self, needs: Mapping[Role, Tier] = NEEDS) -> None:
        self._needs = needs

    def needed(self, principal: Principal) -> Tier:
        """Tell how well this principal has to be proved."""
        return self._needs[principal.role]

    def proven(self, principal: Principal, arrival: Arrival, wall_ms: int) -> Proven:
        """Tell how well a message proves its sender. Raises RefusedError with one of the AUTH codes."""
        if not principal.is_good(wall_ms):
            raise RefusedError("AUTH.REVOKED", (Fault("issuer", "revoked, or outside the time for which it is valid"),))
        try:
            seal = jws.found(arrival)
        except jws.SealError as error:
            raise RefusedError("AUTH.BAD_SIGNATURE", (Fault("sig", str(error)),)) from None
        if seal is None:
            return Proven(Tier.T1, "")
        key = principal.keys.get(seal.kid)
        if key is None:
            raise RefusedError("AUTH.UNKNOWN_KEY", (Fault("sig", "kid is none of this sender's keys"),))
        if not key.is_good(wall_ms):
            raise RefusedError("AUTH.REVOKED", (Fault("sig", "the key is revoked, or outside its time"),))
        if not jws.holds(seal, key):
            raise RefusedError("AUTH.BAD_SIGNATURE")
        return Proven(key.alg.tier, key.kid)


class BrokerStamp(Signatures):
    """The broker's word is enough for everybody: for a bench whose people have no keys."""

    def __init__(self) -> None:
        super().__init__(STAMPED)
