"""One real station whose stimulator is an emulated RehaStim2, behind our own driver and a pty."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from controller.devices.base import OnEvent, Stimulator
from controller.devices.sciencemode2 import open_sciencemode2
from controller.host import HOST, Host
from hil.clock import boottime_us
from hil.devices.device import Asked
from hil.devices.sciencemode2 import SCIENCEMODE2
from hil.devices.sciencemode2_words import Mode
from hil.settings import Value
from safety.messages import Attest, Claim, Config, Prepare
from safety.prescription import Prescription
from safety.times import Times
from tests.controller.peer import until
from tests.controller.ward import WELL_ANSWERED, Ward, config, therapy


class Room(Ward):
    """A ward whose device has no button that can be tried, no probe, no readback, and a watchdog.

    That is switched off unless a test is about it: a slow machine looks like nothing worse.
    """

    def __init__(self, folder: Path, *, watched: bool = False, **switches: Value) -> None:
        super().__init__(folder, build=SCIENCEMODE2.plan(Asked("E2", 8, switches=switches)), channels=8)
        if not watched:
            self.bench.faults.inject("lost_dead_man")

    def config(self) -> Config:
        return replace(config(), models=("rehastim2",))

    async def open_driver(self, port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> Stimulator:
        self.opened += 1
        return await open_sciencemode2(port, times, on_event, host)

    async def prepared(self, rx: Prescription | None = None) -> None:
        """Claim, prepare, vouch for the patient; there is nothing to measure."""
        rx = rx or therapy()
        await self.must(Claim(), Prepare(rx, rx.ref, rx.patient), Attest(WELL_ANSWERED))

    @property
    def mode(self) -> Mode:
        """Where the device stands now."""
        self.emulator.touch()
        mode: Mode = self.bench.device.model.mode  # type: ignore[attr-defined]
        return mode

    async def is_off(self) -> None:
        """The device has stopped, and from then on nothing flows, for as long as we look."""
        await until(lambda: self.mode is Mode.START)
        since_us = boottime_us()
        await asyncio.sleep(0.5)
        assert self.pulses(since_us) == []
