"""X12: before it serves, the core counts its own rules.

A rule that was registered and is asked by nobody, or one that is asked and was never registered, is a defect that
nothing else would show: the rule would simply be silent.
"""

from collections.abc import Mapping
from typing import Final

from safety import wishes
from safety.rules import ledger, monitor
from safety.rules.registry import RULES

REFERENCE: Final = (
    *(f"G{number:02}" for number in range(1, 30)),
    *(f"M{number:02}" for number in range(1, 38) if number != 33),
    *(f"L{number:02}" for number in range(1, 14)),
    *(f"X{number}" for number in range(1, 13)),
)
"""Every id of the safety reference; M33 is not used."""

ELSEWHERE: Final = {
    "M24": "care.adverse: a person's report is no measurement that a list could ask",
    "M26": "facts.garbled: what cannot be read is an event of its own",
    "M29": "machine.insist: asked while a stop is not confirmed",
    "L07": "ledger.counted: it counts, and refuses nothing",
    "L08": "facts.settle: it counts, and refuses nothing",
    "L09": "admit: asked before any rule about one channel",
    "L13": "admit.admit_correction: asked before a correction",
}
"""Rules that stand in no list, and where they are asked."""


def asked() -> frozenset[str]:
    """Ids of all rules that stand in a list; a list is a tuple of functions, each called by its rule's id."""
    rooms: tuple[Mapping[str, object], ...] = (vars(wishes), vars(monitor), vars(ledger))
    lists = [value for room in rooms for name, value in room.items() if name.isupper() and isinstance(value, tuple)]
    names = {getattr(judge, "__name__", "") for each in lists for judge in each}
    return frozenset(name[:3].upper() for name in names if name[1:3].isdigit())


def gaps() -> tuple[str, ...]:
    """Say in words what is wrong with the rules; nothing is the answer of a whole core."""
    registered = [rule.id for rule in RULES]
    standing = asked() | ELSEWHERE.keys()
    return (
        *(f"{rule} is not registered" for rule in REFERENCE if rule not in registered),
        *(f"{rule} is registered and not in the reference" for rule in registered if rule not in REFERENCE),
        *(f"{rule} is registered twice" for rule in sorted({r for r in registered if registered.count(r) > 1})),
        *(f"nobody asks {rule}" for rule in registered if rule[0] != "X" and rule not in standing),
        *(f"{rule} is asked and not registered" for rule in sorted(standing - set(registered))),
    )
