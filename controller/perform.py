"""What the heart asks for, done in its order: the only writer to a device, and to the records of its station.

A stop goes out first and waits for nothing. What energises goes out last, after one more look at the clock: a grant
that has expired while this process was held up is dropped. Nothing here decides; what could not be done is told to
the heart as an event.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog

from safety.effects import (
    Answer,
    Arm,
    Ask,
    AttestationRecord,
    CalibrationRecord,
    Clearing,
    Commit,
    Drive,
    Effect,
    Entry,
    Event,
    Feed,
    Note,
    PermitRequest,
    Probe,
    Settlement,
    Silence,
    Tell,
)
from safety.messages import Committed, Denied, Flaw, Garbled, Latch, Now
from safety.messages import Event as Fact
from safety.times import Times
from safety.verdict import Reason, Scope, Severity

from .chain import JournalError
from .devices.base import DeviceError, NotRepresentable, Stimulator
from .journal import Journal
from .records import Records
from .store.dose import Ledger
from .store.tables import LedgerError, LedgerRefusedError, LedgerUnavailableError

log = structlog.get_logger()

RETRY_S = 1.0
"""Between attempts to tell a ledger that cannot be reached what it is owed (engineering default)."""


class Job(NamedTuple):
    """Something to be told to the ledger; `entry` is the permit that waits for its answer, 0 where nobody waits."""

    do: Callable[[], Awaitable[None]]
    entry: int = 0


class Hold(NamedTuple):
    """A session's hold on its patient and device, as the ledger gave it, and its end on the boot clock."""

    session: str
    token: int
    ends_mono_ms: int


class Voice(Protocol):
    """How a station speaks to the world."""

    def answer(self, device: str, answer: Answer, now: Now) -> None:
        """Send a command's answer."""

    def event(self, device: str, event: Event, now: Now) -> None:
        """Send an event."""


class Performer:
    """Does the effects of one station. `fail` is told of what went wrong where nobody waits for it."""

    def __init__(
        self,
        device: str,
        times: Times,
        journal: Journal,
        ledger: Ledger,
        records: Records,
        voice: Voice,
        clock: Callable[[], Now],
        post: Callable[[Fact], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._device = device
        self._times = times
        self._journal = journal
        self._ledger = ledger
        self._records = records
        self._voice = voice
        self._clock = clock
        self._post = post
        self._fail = fail
        self._jobs: deque[Job] = deque()
        self._hold = Hold("", 0, 0)
        self.is_failing = False
        """Tells that the ledger could not be told what it is owed; it is being tried again."""
        self._worker: asyncio.Task[None] | None = None
        self.driver: Stimulator | None = None
        self.has_cut = False
        """Tells that the device was left to its dead man, and was not seen stopped since."""
        self.expired = 0

    def perform(self, effects: tuple[Effect, ...], now: Now) -> None:
        """Do these effects in their order."""
        for effect in effects:
            match effect:
                case Silence(cut):
                    self.silence(cut=cut)
                case Tell(Answer() as answer):
                    self._voice.answer(self._device, answer, now)
                case Tell(Event() as event):
                    self._voice.event(self._device, event, now)
                case Note(entry):
                    self._note(entry, now)
                case Commit(entry):
                    self._commit(entry, now)
                case Ask():
                    self._send(effect, 0)
                case Arm() | Drive() | Feed() | Probe():
                    self._energise(effect)

    def silence(self, *, cut: bool) -> None:
        """Stop the output now, whatever else is going on."""
        self.has_cut |= cut
        if self.driver is not None:
            self.driver.silence(cut=cut)

    def _energise(self, effect: Arm | Drive | Feed | Probe) -> None:
        late_ms = self._clock().mono_ms - effect.grant.expires_mono_ms
        if late_ms < 0:
            self._send(effect, effect.grant.seq)
        else:
            self.expired += 1
            log.warning("grant.expired", device=self._device, why=f"{late_ms} ms after its end")

    def _send(self, effect: Ask | Arm | Drive | Feed | Probe, grant: int) -> None:
        if self.driver is None:
            return
        try:
            self.driver.send(effect)
        except (DeviceError, NotRepresentable) as error:
            self._post(Garbled(Flaw.REFUSED, grant, str(error)))

    # A permit is reserved in the ledger, then journalled; a settlement is journalled, then charged in the ledger. The
    # ledger is told everything in the order in which the heart said it: of two sessions of a patient, the first is
    # settled before the second is judged.

    def _note(self, entry: Entry, now: Now) -> None:
        job, durable = self._owed(entry), asyncio.Event()
        try:
            self._journal.append(self._device, entry, now, durable.set)
        except JournalError as error:
            reasons = (Reason("", Severity.REFUSE, "SYS.AUDIT_UNWRITABLE"),)
            details = (("why", str(error)),)
            event = Event(
                kind="alarm.raised", code=reasons[0].code, priority="medium", reasons=reasons, details=details
            )
            self._voice.event(self._device, event, now)
        else:
            if job is not None:
                self._put(Job(partial(self._when, durable, job)))

    def _owed(self, entry: Entry) -> Callable[[], Awaitable[None]] | None:
        match entry.body:
            case CalibrationRecord() | AttestationRecord() as record:
                return partial(self._records.keep, record)
            case Settlement() as settlement:
                return lambda: self._ledger.settle(settlement, self._clock().wall_ms)
            case Latch(scope=Scope.MONTAGE | Scope.PATIENT) as latch:
                return partial(self.lock, latch)
            case Clearing(latch=Latch(scope=Scope.MONTAGE | Scope.PATIENT) as latch):
                return lambda: self._ledger.unlock(self._device, latch.id, self._clock().wall_ms)
        return None

    async def _when(self, durable: asyncio.Event, job: Callable[[], Awaitable[None]]) -> None:
        await durable.wait()
        await job()

    async def lock(self, latch: Latch) -> None:
        """Lock the patient's site of a montage latch, or all of the patient, for every device.

        Raises LedgerUnavailableError.
        """
        patient, _, site = latch.key.partition("/")
        await self._ledger.lock(self._device, patient, site, latch)

    def _commit(self, entry: Entry, now: Now) -> None:
        request = entry.body
        if isinstance(request, PermitRequest) and not request.probe:
            if self.is_failing:
                self._deny(entry.id, LedgerUnavailableError("it has not been told what it is owed"))
            else:
                self._put(Job(partial(self._reserve, entry, request), entry.id))
        else:
            self._make_durable(entry, now, Hold("", 0, 0))

    async def _reserve(self, entry: Entry, request: PermitRequest) -> None:
        # The end of a hold is reckoned from before it was asked for, on the clock that nobody sets.
        now = self._clock()
        lasts_ms = request.permit.ends_mono_ms - now.mono_ms + self._times.hold_margin_ms
        try:
            reasons, token = await self._ledger.reserve(self._device, request, now.wall_ms, lasts_ms)
        except LedgerError as error:
            self._deny(entry.id, error)
            return
        if reasons:
            self._post(Denied(entry.id, reasons))
            return
        known_ms = self._hold.ends_mono_ms if self._hold.session == request.session else 0
        self._hold = Hold(request.session, token, max(known_ms, now.mono_ms + lasts_ms - self._times.hold_early_ms))
        self._make_durable(entry, self._clock(), self._hold)

    async def newer_token(self, session: str, patient: str) -> int:
        """Give the token of whoever has taken this session's patient or device from it.

        0 where nobody has, and where it has no hold; also where the ledger cannot say, for that is no reason to stop:
        the hold ends by itself.
        """
        if self._hold.session != session:
            return 0
        try:
            newest = await self._ledger.token(patient, self._device)
        except LedgerUnavailableError:
            return 0
        return newest if newest > self._hold.token else 0

    def _deny(self, entry: int, error: LedgerError) -> None:
        log.error("ledger.refused", device=self._device, error=str(error))
        self._post(Denied(entry, (Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE"),)))

    def _make_durable(self, entry: Entry, now: Now, hold: Hold) -> None:
        done = Committed(entry.id, hold.token, hold.ends_mono_ms)
        try:
            self._journal.append(self._device, entry, now, lambda: self._post(done))
        except JournalError:
            self._post(Denied(entry.id, (Reason("", Severity.REFUSE, "SYS.AUDIT_UNWRITABLE"),)))

    def _put(self, job: Job) -> None:
        self._jobs.append(job)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Do what the ledger is owed, one after the other; what it cannot take now is tried again.

        A permit does not wait for that: nobody may be kept waiting for a ledger that is away, nor be given later what
        was asked for long ago.
        """
        while self._jobs:
            try:
                await self._jobs[0].do()
            except LedgerUnavailableError as error:
                if not self.is_failing:
                    log.error("ledger.unavailable", device=self._device, error=str(error))
                self.is_failing = True
                self._deny_waiting(error)
                await asyncio.sleep(RETRY_S)
                continue
            except LedgerRefusedError as error:
                log.error("ledger.refused", device=self._device, error=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the output must stop
                self._fail(error)
            self.is_failing = False
            self._jobs.popleft()

    def _deny_waiting(self, error: LedgerError) -> None:
        waiting = [job.entry for job in self._jobs if job.entry]
        self._jobs = deque(job for job in self._jobs if not job.entry)
        for entry in waiting:
            self._deny(entry, error)

    @property
    def is_settled(self) -> bool:
        """Tell whether the ledger has been told everything so far."""
        return not self._jobs

    async def settled(self) -> None:
        """Wait until the ledger has been told everything so far; cancelled, it is told no more."""
        if self._worker is not None:
            await self._worker
