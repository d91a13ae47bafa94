"""A bench for a bed of a clinic."""

from __future__ import annotations

from hil.bench import Bench
from hil.body import Skin
from hil.devices.device import Asked
from hil.devices.kinds import KINDS

START_US = 50_000_000
"""The computer of a clinic was switched on so long before its controller."""


def bench(name: str, seed: int) -> Bench:
    """An emulated device of a kind, before a clinic opens."""
    kind = KINDS[name]
    build = kind.plan(Asked(kind.serial, kind.channels, boot=seed % 60_000))
    return Bench(build, [Skin()] * kind.channels, START_US, seed)
