"""Who asks, what that person or machine may ask, how it is proved, and how often it may be told no.

Now: broker login (tiers T0 and T1). The broker's access list lets a client publish only under its own user name, so the
topic's principal level is the broker's word. Signatures (T2, T3) will be other implementations of `Proof`.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from safety.effects import Event
from safety.messages import Adjust, Now, Verb, Wish

from .contract.bodies import STATUS
from .contract.envelope import Arrival
from .contract.topics import ID, is_id
from .tomlfile import FileError, Problem, faults_of, key_text, read_toml, shown

ANY_DEVICE = "*"
DEVICES_WORDS = f'a list of device ids, or ["{ANY_DEVICE}"] for every device'


class Role(StrEnum):
    """What a principal is."""

    HANDSET = "handset"
    AUTOMATION = "automation"
    PHYSIO = "physio"
    PRESCRIBER = "prescriber"
    BIOMED = "biomed"
    AUDITOR = "auditor"


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
claim first, so who may use them may claim."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that may ask: a name the broker knows, a role, and the devices it may use."""

    name: str
    role: Role
    devices: frozenset[str]

    def may_use(self, device: str) -> bool:
        """Tell whether the device lies in this principal's scope."""
        return device in self.devices or ANY_DEVICE in self.devices

    def may_ask(self, verb: str, wish: Wish | None) -> bool:
        """Tell whether the role covers the verb; a handset may lower, never raise. The status is no wish: None."""
        if self.role is Role.HANDSET and isinstance(wish, Adjust) and wish.delta_ua > 0:
            return False
        return verb == STATUS or verb in MAY_ASK[self.role]


def _device_ids(names: list[str]) -> list[str]:
    if not all(name == ANY_DEVICE or is_id(name) for name in names):
        raise ValueError(DEVICES_WORDS)
    return names


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: str = Field(pattern=f"^{ID}$", description="1 to 32 of a-z, 0-9 and -")
    role: Annotated[Role, Field(strict=False)] = Field(description=f"one of {', '.join(Role)}")
    devices: Annotated[list[str], AfterValidator(_device_ids)] = Field(description=DEVICES_WORDS)


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    principal: list[_Entry] = Field(min_length=1, description="[[principal]] tables of name, role and devices")


def read_principals(path: Path) -> dict[str, Principal]:
    """Read a file of `[[principal]]` tables: name, role, devices. Raises FileError, which names all that is wrong."""
    try:
        entries = _Table.model_validate(read_toml(path)).principal
    except ValidationError as error:
        found = faults_of(error, _Table)
        raise FileError(Problem(str(path), key_text(each.place), each.found, each.expected) for each in found) from None
    principals = {entry.name: Principal(entry.name, entry.role, frozenset(entry.devices)) for entry in entries}
    if len(principals) < len(entries):
        twice = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
        raise FileError(Problem(str(path), "name", f"= {shown(name)}", "each name once") for name in twice)
    return principals


class Proof(Protocol):
    """How a message proves that it comes from its principal."""

    def objection(self, principal: Principal, arrival: Arrival) -> str | None:
        """Give the code of what is wrong with the proof, or None where it holds."""


class BrokerStamp:
    """The broker's word: its access list let this principal, and no other, publish under this topic."""

    def objection(self, principal: Principal, arrival: Arrival) -> str | None:  # noqa: ARG002 - the topic is the proof
        """Object to nothing: who is named by the topic was let in by the broker."""
        return None


class Seen(NamedTuple):
    """A command that came before: the digest of its message, and its latest answer (None while there is none)."""

    digest: str
    answer: bytes | None


class Ration:
    """Refusals that may be answered: so many a second for each principal; the rest is counted.

    Without it a client that sends junk makes the service send as much. Names that nobody knows share one ration, so
    that the table stays as small as the list of principals.
    """

    PER_SECOND = 10

    def __init__(self, principals: Container[str]) -> None:
        self._principals = principals
        self._spent: dict[str, tuple[int, int]] = {}
        self._unanswered: Counter[str] = Counter()

    def allows(self, principal: str, now: Now) -> bool:
        """Spend one answer to this principal; False: count the refusal and stay silent."""
        name, second = principal if principal in self._principals else "", now.mono_ms // 1000
        since, spent = self._spent.get(name, (second, 0))
        spent = spent if since == second else 0
        self._spent[name] = second, spent + 1
        if spent >= self.PER_SECOND:
            self._unanswered[name] += 1
        return spent < self.PER_SECOND

    def report(self) -> tuple[Event, ...]:
        """Tell, once, how many refusals of each principal were not answered since the last report."""
        unanswered, self._unanswered = self._unanswered, Counter()
        return tuple(
            Event(
                kind="command.rejected",
                code="CMD.RATE",
                priority="low",
                details=(("principal", principal), ("count", count)),
            )
            for principal, count in unanswered.items()
        )
