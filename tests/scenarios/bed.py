"""One emulated stimulator, a process of its own, and what its bench knows: the scope, the tape, the faults."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from hil.control import Control

DEAD_MAN_US = 500_000
"""The device's own: after the host has fallen silent, or was told to be, nothing flows later than this."""


@dataclass
class Bed:
    """One emulated stimulator and the way to its back door."""

    name: str
    link: Path
    socket: Path
    process: subprocess.Popen[bytes]
    device: str = "native"

    @classmethod
    def start(cls, name: str, folder: Path, *arguments: str, device: str = "native") -> Self:
        """Start it, with options of its own, and wait until it is ready."""
        link, socket = folder / name, folder / f"{name}.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "hil.cli", "emulate", "--device", device, "--link", str(link), "--control",
             str(socket), "--until-eof", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"ready "), line
        return cls(name, link, socket, process, device)

    async def do(self, verb: str, **settings: object) -> dict[str, Any]:
        """Ask the bench for one thing."""
        async with await Control.open(self.socket) as control:
            return await control.do(verb, **settings)

    async def pulses(self, channel: int = 1, since_us: int = 0) -> list[dict[str, Any]]:
        """What flowed through the electrodes, pulse by pulse."""
        pulses: list[dict[str, Any]] = []
        while True:
            answer = await self.do("pulses", channel=channel, since_us=since_us, limit=10_000)
            pulses += answer["pulses"]
            if not answer["more"]:
                return pulses
            since_us = pulses[-1]["at_us"] + 1

    async def tape(self) -> list[dict[str, Any]]:
        """All that went over the serial line, chunk by chunk."""
        answer = await self.do("tape", limit=10_000)
        assert not answer["more"]
        return list(answer["tape"])

    async def delivered_nc(self, channel: int = 1) -> float:
        """Charge that reached the body since the bench began, test pulses and all."""
        return float((await self.do("scope", channel=channel))["channels"][0]["charge_nc"])

    async def rhythm(self, since_us: int, channel: int = 1) -> set[tuple[int, int]]:
        """Give each current and each distance to the next pulse, in us, that the scope has seen since a moment.

        A session of `steady` that nothing disturbs gives one pair.
        """
        pulses = await self.pulses(channel, since_us)
        return {(one["first_ua"], other["at_us"] - one["at_us"]) for one, other in pairwise(pulses)}

    async def therapy_after(self, moment_us: int, channel: int = 1) -> list[dict[str, Any]]:
        """Pulses above 2 mA that began after a moment: a test pulse is no therapy."""
        return [p for p in await self.pulses(channel, moment_us) if p["at_us"] > moment_us and p["first_ua"] > 2_000]
