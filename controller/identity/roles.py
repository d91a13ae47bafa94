"""What a principal can be, what each role may ask, and how well it must be proved."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from controller.contract.bodies import STATUS
from safety.messages import Adjust, Verb, Wish


class Role(StrEnum):
    """What a principal is."""

    HANDSET = "handset"
    AUTOMATION = "automation"
    PHYSIO = "physio"
    PRESCRIBER = "prescriber"
    BIOMED = "biomed"
    AUDITOR = "auditor"


class Tier(IntEnum):
    """How well it is proved who sent a message, weakest first."""

    T1 = 1
    """The broker let this login, and no other, publish under this topic."""
    T1_NONCE = 2
    """As T1, and the message holds a word that the service gave out a moment ago for this state of this device."""
    T2 = 3
    """Signed with a key that sender and service share (HS256)."""
    T3 = 4
    """Signed with a key that the sender alone has (Ed25519)."""

    @property
    def word(self) -> str:
        """Write it as the settings have it."""
        return "T1+nonce" if self is Tier.T1_NONCE else self.name


TIERS: Mapping[str, Tier] = {tier.word: tier for tier in Tier}

NEEDS: Mapping[Role, Tier] = {
    Role.HANDSET: Tier.T1,
    Role.AUTOMATION: Tier.T1_NONCE,
    Role.PHYSIO: Tier.T3,
    Role.PRESCRIBER: Tier.T3,
    Role.BIOMED: Tier.T3,
    Role.AUDITOR: Tier.T1,
}
"""How well each role is proved, at least (MQTT API, section 8); a site may ask for more."""
STAMPED: Mapping[Role, Tier] = dict.fromkeys(Role, Tier.T1)
"""The same on a bench whose people have no keys: the broker's word is enough."""

_CLAIMS = frozenset({Verb.CLAIM, Verb.RENEW, Verb.RELEASE})
MAY_ASK: Mapping[Role, frozenset[str]] = {
    Role.HANDSET: frozenset({Verb.PAUSE, Verb.ADJUST, Verb.REPORT}),
    Role.AUTOMATION: _CLAIMS | {Verb.PREPARE, Verb.START, Verb.PAUSE},
    Role.PHYSIO: frozenset(Verb),
    Role.PRESCRIBER: _CLAIMS | {Verb.CLEAR},
    Role.BIOMED: _CLAIMS | {Verb.CLEAR},
    Role.AUDITOR: frozenset(),
}
"""What each role may ask, besides the status, which anybody may, and a stop, which needs no leave. Most verbs need a
claim first, so who may use them may claim. No machine may arm: what an automation starts, a person has armed."""

HARMLESS = frozenset({Verb.PAUSE, Verb.RELEASE, Verb.REPORT, STATUS})
"""What needs no nonce: it can only lower, or only asks."""


def may_ask(role: Role, verb: str, wish: Wish | None) -> bool:
    """Tell whether a role covers a verb; a handset may lower, never raise. The status is no wish: None."""
    if role is Role.HANDSET and isinstance(wish, Adjust) and wish.delta_ua > 0:
        return False
    return verb == STATUS or verb in MAY_ASK[role]
