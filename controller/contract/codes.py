"""What a code says to people: the texts of codes.toml, and the figures of a reason in the units that people use."""

import tomllib
from importlib.resources import files

from safety.impedance import NO_CURRENT_OHM
from safety.verdict import Reason

from .envelope import utc_text

_FILE = tomllib.loads(files(__package__).joinpath("codes.toml").read_text(encoding="utf-8"))
TEXTS: dict[str, str] = _FILE["codes"]
LEADS: dict[str, str] = _FILE["leads"]
RESERVED: frozenset[str] = frozenset(_FILE["reserved"])

_THOUSANDS = {"uA": "mA", "nC": "µC", "ms": "s", "mV": "V", "uJ": "mJ", "uA/cm2": "mA/cm2", "uW/cm2": "mW/cm2"}
_A_DATE_MS = 10**12
"""From here on (2001) a figure in ms is a time of day, not a length of time: no length on this wire is 31 years."""


def text(code: str, status: str = "", reason: Reason | None = None) -> str:
    """Say in words what became of a command, why, what to do, and the figures.

    A code without a text says itself: an alarm must get out even if its words were forgotten.
    """
    parts = (LEADS.get(status, ""), TEXTS.get(code, code), figures(reason) if reason else "")
    return " ".join(part for part in parts if part)


def figures(reason: Reason) -> str:
    """Say what was asked or measured and where the limit is; empty where the reason has no figures."""
    if not reason.unit:
        return f"It concerns channel {reason.channel}." if reason.channel else ""
    asked, allowed = quantity(reason.asked, reason.unit), quantity(reason.allowed, reason.unit)
    where = f" (channel {reason.channel})" if reason.channel else ""
    return f"Asked or measured: {asked}; limit: {allowed}{where}."


def quantity(value: int, unit: str) -> str:
    """Write an integer of the wire in the unit people use, with every digit it has: 24500 uA is 24.5 mA."""
    if unit == "ms" and value >= _A_DATE_MS:
        return utc_text(value)
    if unit == "ohm" and value >= NO_CURRENT_OHM:
        return "no current"
    if unit not in _THOUSANDS:
        return f"{value} {unit}"
    whole, rest = divmod(abs(value), 1000)
    digits = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"{'-' if value < 0 else ''}{digits} {_THOUSANDS[unit]}"
