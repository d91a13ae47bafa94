"""The way of a session, as it always is: what is said on it is checked here, and is no part of a story."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from controller.prescriptions import read_prescription
from controller.store.clinic import Clinic
from tests.hazards.bedside import DEAD_MAN_US, SETTLE_S, START_US, TICK_US, TOPICS, Bedside, Options, Said
from tests.hazards.papers import CALM, rx

__all__ = ["DEAD_MAN_US", "START_US", "TICK_US", "TOPICS", "Options", "Said", "Ward"]

OPENED = ("device.claim: succeeded OK", "session.prepare: succeeded OK", "session.prepared")
ARMED = ("session.arm: succeeded OK", "session.armed")
STARTED = ("session.start: succeeded OK", "session.started")
MEASURED = ("impedance.check: succeeded OK", "impedance.measured")
STOPPED = (
    "fault.latched SES.STOPPED [STOP]", "session.stopped (medium) SES.STOPPED [STOP]", "session.stop: succeeded OK",
    "stop.confirmed", "session.closed",
)  # fmt: skip
CLEARED = ("latch.clear: succeeded OK", "fault.cleared")
"""What is said, always, on the ways that are no story of their own."""


class Ward(Bedside):
    """A bedside, and somebody who knows the way."""

    def prescribe(self, text: str | None = None) -> str:
        """Import a prescription, as `stimwarden rx import` does; gives its reference."""
        path = self.folder / "rx.toml"
        path.write_text(text or rx(self.wall_ms), encoding="utf-8")
        found = read_prescription(path)
        is_new = not (self.folder / "journal.sqlite").exists()
        self.clinic = self.clinic or Clinic(self.ledger_path, may_create=is_new)
        self.clinic.add(found, self.wall_ms)
        return found.ref

    @asynccontextmanager
    async def as_ever(self, *lines: str, device: str = "dev1") -> AsyncIterator[None]:
        """See that exactly this is said meanwhile, and take it out of the story."""
        first, where = len(self._lines), "" if device == self.options.devices[0] else f"{device} "
        yield
        with suppress(TimeoutError):
            await self.until(lambda: len(self._lines) >= first + len(lines), SETTLE_S)
        assert self._lines[first:] == [line if ":" in line else where + line for line in lines]
        del self._lines[first:]

    async def opened(self, ref: str = "rx-1@1", patient: str = "p-1", device: str = "dev1", **body: Any) -> None:  # noqa: ANN401
        """Claim and prepare."""
        async with self.as_ever(*OPENED, device=device):
            await self.claimed(device)
            body = {"prescription_id": ref, "patient_ref": patient} | body
            await self.must("session.prepare", body, device=device)

    async def vouched(self, device: str = "dev1") -> None:
        """Vouch for the patient, who tries the stop where there is one."""
        async with self.as_ever("session.attest: succeeded OK", device=device):
            await self.must("session.attest", {"answers": CALM}, device=device)
        if self.options.kind == "native":
            await self.tries_stop(device)

    async def tries_stop(self, device: str = "dev1") -> None:
        """Have the patient press and let go."""
        async with self.as_ever("stop.tried", device=device):
            tried = sum(event["kind"] == "stop.tried" for event in self.events)
            self.press(device)
            self.let_go(device)
            await self.until(lambda: sum(event["kind"] == "stop.tried" for event in self.events) > tried)

    async def prepared(self, ref: str = "rx-1@1", patient: str = "p-1", device: str = "dev1", **body: Any) -> None:  # noqa: ANN401
        """To where nothing but the electrode check is missing."""
        await self.opened(ref, patient, device, **body)
        await self.vouched(device)

    async def measured(self, device: str = "dev1") -> None:
        """Measure the electrodes, where the device can, and find them good."""
        if self.options.kind == "sciencemode2":
            return
        async with self.as_ever(*MEASURED, device=device):
            await self.must("impedance.check", {}, device=device)

    async def armed(self, ref: str = "rx-1@1", patient: str = "p-1", device: str = "dev1", **body: Any) -> None:  # noqa: ANN401
        """To where nothing but the start is missing."""
        await self.prepared(ref, patient, device, **body)
        await self.measured(device)
        async with self.as_ever(*ARMED, device=device):
            await self.must("session.arm", device=device)

    async def started(self, device: str = "dev1", **to: Any) -> None:  # noqa: ANN401
        """Start, and see the current come; `to` says which."""
        async with self.as_ever(*STARTED, device=device):
            since_us = self.now_us
            await self.must("session.start", device=device)
            await self.flows(device=device, since_us=since_us, **to)

    async def running(self, ref: str = "rx-1@1", patient: str = "p-1", device: str = "dev1", **to: Any) -> None:  # noqa: ANN401
        """To where current flows."""
        await self.armed(ref, patient, device)
        await self.started(device, **to)

    async def stopped(self, device: str = "dev1") -> None:
        """Stop, and clear what stands."""
        async with self.as_ever(*STOPPED, device=device):
            await self.must("session.stop", device=device)
            await self.reaches("idle", device=device)
        await self.cleared(device=device)

    async def flowing(self, text: str | None = None, **to: Any) -> None:  # noqa: ANN401
        """From nothing to current that flows as it should; `to` says which."""
        await self.turned_on()
        await self.running(self.prescribe(text), **to)
        await self.steady(**to)

    async def again(self, ref: str = "rx-1@1", by: str = "physio-1", **to: Any) -> None:  # noqa: ANN401
        """Clear what stands, and go the whole way to current again."""
        await self.cleared(by)
        await self.running(ref, **to)
        await self.steady(**to)

    async def cleared(self, by: str = "physio-1", device: str = "dev1") -> None:
        """Clear every latch that stands, as somebody who may."""
        latches = list(self.summary(device)["latches"])
        async with self.as_ever(*CLEARED * len(latches), device=device):
            for latch in latches:
                body = {"latch_id": latch["latch_id"], "reason": "looked at it"}
                await self.must("latch.clear", body, by=by, device=device)
            await self.until(lambda: not self.summary(device)["latches"])

    async def handed(self, by: str, device: str = "dev1") -> None:
        """Have every latch cleared by somebody who may, who takes the claim for that and gives it back."""
        self.unclaimed(device)
        way = ("device.release: succeeded OK", "device.claim: succeeded OK")
        async with self.as_ever(*way, device=device):
            await self.must("device.release", device=device)
            await self.must("device.claim", device=device, by=by)
        await self.cleared(by, device)
        async with self.as_ever(way[0], device=device):
            await self.must("device.release", device=device, by=by)
