"""What a session's prescription and its patient's ledger say before it begins, read where the event loop does not wait.

A wish to prepare comes through the door with names only; here it gets what they stand for.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from safety.effects import PermitRequest
from safety.messages import Prepare
from safety.prescription import Prescription

from .host import Thread, Worker
from .store.clinic import Clinic
from .store.dose import Foreseen, Ledger
from .store.papers import Paper, Papers
from .store.tables import LedgerUnavailableError

T = TypeVar("T")
W = TypeVar("W")


class Records:
    """Looks things up for a session that shall begin."""

    def __init__(
        self, clinic: Clinic, papers: Papers, ledger: Ledger, worker: Callable[[str], Worker] = Thread
    ) -> None:
        self._clinic = clinic
        self._papers = papers
        self._ledger = ledger
        self._worker = worker("records")

    async def complete(self, wish: Prepare, now_wall_ms: int) -> Prepare:
        """Give a wish to prepare what it names.

        Its prescription (None where there is none), the newest thresholds of its channels, what was vouched for
        last, and how far the treatment came that it continues. Raises LedgerUnavailableError.
        """
        wish = await self._do(self._with_papers, wish)
        played_ms = 0
        if wish.rx is not None and wish.continues:
            played_ms = await self._played_ms(wish.patient, wish.rx, now_wall_ms)
        return replace(wish, played_ms=played_ms)

    def _with_papers(self, wish: Prepare) -> Prepare:
        rx = self._clinic.get(wish.asked)
        plans = rx.channels if rx is not None else ()
        found = [(plan.channel, self._papers.calibration(wish.patient, plan.site, plan.pair)) for plan in plans]
        known = tuple((channel, calibration) for channel, calibration in found if calibration is not None)
        return replace(wish, rx=rx, calibrations=known, attestation=self._papers.attestation(wish.patient))

    async def keep(self, record: Paper) -> None:
        """Write down what a session has found out about its patient. Raises LedgerUnavailableError."""
        await self._do(self._papers.keep, record)

    async def _do(self, call: Callable[[W], T], what: W) -> T:
        try:
            return await self._worker.do(call, what)
        except OSError as error:
            raise LedgerUnavailableError(str(error)) from error

    async def foresee(self, device: str, request: PermitRequest, now_wall_ms: int) -> Foreseen:
        """Give what the ledger would judge a reservation by; nothing is written. Raises LedgerError."""
        return await self._ledger.foresee(device, request, now_wall_ms)

    async def _played_ms(self, patient: str, rx: Prescription, now_wall_ms: int) -> int:
        """Tell how far the patient's last session came under this prescription, if there is something left of it."""
        history = await self._ledger.history(patient, now_wall_ms)
        own = [r for r in history.records if r.rx == rx.ref and r.closed_wall_ms is not None]
        last = max(own, key=lambda r: r.opened_wall_ms, default=None)
        if last is None or last.played_ms > rx.programme.latest_ms:
            return 0
        return last.played_ms
