"""One actor per device: an inbox, a step, its effects. The only caller of `step`.

Everything runs on the event loop and nothing here awaits between an event and its effects: what is posted is stepped
and performed at once, so a stop is on the wire before `post` returns. Any exception on that way stops the output
directly, leaves a lock behind, and begins again from the journal; it never arms by itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

import structlog

from safety import machine
from safety.effects import Answer, Effect, Entry, Settlement, Silence, Tell
from safety.effects import Event as Told
from safety.messages import (
    UNKNOWN,
    Asked,
    Booted,
    Command,
    Config,
    DeviceDown,
    DeviceUp,
    EntryKind,
    Event,
    Fenced,
    Health,
    Heard,
    Latch,
    Now,
    Tick,
)
from safety.state import Count, Station
from safety.turn import FLOWING
from safety.verdict import Clear, Reason, Scope, Severity
from safety.waveform import OFF, Picture

from . import metrics, programme
from .clock import is_right
from .devices.base import DeviceError, OpenDriver
from .host import HOST, Host
from .journal import Journal
from .link import LinkError
from .perform import Performer, Voice
from .recorder import Recorder, Recording, Tape
from .records import Records
from .store.dose import Ledger

log = structlog.get_logger()

BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to open a device's port; the last one repeats (engineering default)."""
LET_GO_S = 2.5
"""How long a line that was cut stays closed: whatever a device hears, a stop too, may feed its dead man. The longest of
those served here takes 2 s (docs/devices.md), and a quarter of that more (engineering default)."""
SILENT_MS = 3_000
"""A device that says nothing for so long outside a session is opened anew (engineering default)."""
SETTLE_S = 5.0
"""How long a station that ends waits for its ledger; what was not told then counts in full (engineering default)."""
WATCH_S = 1.0
"""How often a station looks whether its hold was taken over (engineering default)."""
UNSYNCED_MS = 1_000
"""A journal whose oldest record has waited longer than this for the disk cannot be written (engineering default)."""
TOLD = 20
"""Different mistakes of a station that are logged before it is whole again (engineering default)."""
FAILED = Reason("SYS", Severity.LOCK, "SYS.INTERNAL")


def unwatched(_device: str) -> None:
    """Watch over no ticks."""


class Audience(Voice, Protocol):
    """Who listens to a station: answers, events, and what people see of it."""

    def state(self, station: Station, now: Now) -> None:
        """Show the station as it is now."""

    def device(self, device: str, up: DeviceUp, now: Now) -> None:
        """Show what the device can do."""

    def readback(self, station: Station, heard: Heard, now: Now) -> None:
        """Show what flows."""


class Port(NamedTuple):
    """Where the device is, and how to talk to it."""

    name: str
    open_driver: OpenDriver
    host: Host = HOST


class Actor:
    """The station of one device."""

    def __init__(
        self,
        config: Config,
        boot_id: str,
        port: Port,
        journal: Journal,
        ledger: Ledger,
        records: Records,
        recorder: Recorder,
        audience: Audience,
        clock: Callable[[], Now],
    ) -> None:
        self._config = config
        self._boot_id = boot_id
        self._port = port
        self._journal = journal
        self._ledger = ledger
        self._recorder = recorder
        self._audience = audience
        self._clock = clock
        self._inbox: deque[Event] = deque()
        self._stepping = False
        self._told: set[str] = set()
        self._lost = asyncio.Event()
        self._tape: Tape | None = None
        self._closing: set[asyncio.Future[Recording]] = set()
        self._performer = Performer(
            config.device, config.times, journal, ledger, records, audience, clock, self.post, self.fail
        )
        self._has_failed = False
        self.health = UNKNOWN
        """How the service was at the last tick."""
        self.on_tick: Callable[[str], None] = unwatched
        """Hears of every tick that was whole; must neither wait nor raise."""
        self.station = machine.fresh(config)

    @property
    def is_at_rest(self) -> bool:
        """Tell whether the device has confirmed every stop, and the ledger knows what was given."""
        return self.station.stopping is None and self._performer.is_settled

    async def boot(self) -> None:
        """Begin with what the journal remembers; an open session becomes a stopped one. Raises LedgerUnavailableError.

        What the ledger still holds open besides was journalled as settled when the last run ended: it counts in full.
        A site that was locked then is locked again, for all devices, in case the ledger was never told; so is one
        unlocked whose latch was cleared.
        """
        facts = self._journal.facts(self._config.device)
        for session in await self._ledger.open_sessions(self._config.device):
            if session != facts.open_session:
                settlement = Settlement(session=session, evidence="reservation", charged=())
                await self._ledger.settle(settlement, self._clock().wall_ms)
        for latch in facts.latches:
            if latch.scope in {Scope.MONTAGE, Scope.PATIENT}:
                await self._performer.lock(latch)
        # A latch is journalled before its lock is made: one that is locked here and stands no more was cleared.
        standing = {latch.id for latch in facts.latches}
        for cleared in set(await self._ledger.locks(self._config.device)) - standing:
            await self._ledger.unlock(self._config.device, cleared, self._clock().wall_ms)
        self.station = machine.fresh(self._config)
        self.post(Booted(self._boot_id, facts.open_session, facts.open_permit, facts.latches, facts.next_id))

    def post(self, event: Event) -> None:
        """Step through this event, or queue it behind the one that is being stepped through; never raises."""
        self._inbox.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._stepping = False

    def _step(self, event: Event) -> None:
        try:
            now, before = self._clock(), self.station
            done = machine.step(before, event, now)
            self.station = done.station
            # After a stop, and before any answer: who reads an answer has then seen the state that it speaks of.
            stops = sum(isinstance(effect, Silence) for effect in done.effects)
            self._performer.perform(done.effects[:stops], now)
            self._show(before, event, now)
            self._performer.perform(done.effects[stops:], now)
            self._record(before, event, done.effects, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the output must stop
            self.fail(error, event.command if isinstance(event, Asked) else None)

    def _record(self, before: Station, event: Event, effects: tuple[Effect, ...], now: Now) -> None:
        session = self.station.session
        if self._tape is None and session is not None:
            self._tape = self._recorder.begin(self._config.device, session.id, before)
        if self._tape is None:
            return
        self._tape.write(now, event, effects)
        if session is None:
            self._end_tape()

    def _end_tape(self) -> None:
        if self._tape is not None:
            tape, self._tape = self._tape, None
            self._closing.add(task := asyncio.ensure_future(tape.close()))
            task.add_done_callback(self._closing.discard)

    def _show(self, before: Station, event: Event, now: Now) -> None:
        if isinstance(event, DeviceUp):
            self._told.clear()
            self._audience.device(self._config.device, event, now)
        elif isinstance(event, DeviceDown):
            self._lost.set()
        elif isinstance(event, Heard) and event.samples and self.station.session is not None:
            self._audience.readback(self.station, event, now)
        if self.station.tally.version != before.tally.version or isinstance(event, Booted | DeviceUp | DeviceDown):
            self._audience.state(self.station, now)

    # Failure

    def fail(self, error: Exception, command: Command | None = None) -> None:
        """Take a mistake of ours as what it is: zero first, then a lock, then begin again, disarmed; never raises.

        The device is let go of before anything else is tried, so nothing can be sent to it until it was opened anew
        and has said that it is stopped. Whatever else goes wrong on this way does not keep the rest from being done.
        """
        self._has_failed = True
        with self._going_on():
            self._performer.silence(cut=False)
        if self._performer.driver is not None:
            self._performer.driver = None
            self._lost.set()
        failed, self.station = self.station, machine.fresh(self._config)
        self._inbox.clear()
        self._log("station.failed", error)
        with self._going_on():
            self._end_tape()
        with self._going_on():
            self._begin_again(failed, command)

    def _begin_again(self, failed: Station, command: Command | None) -> None:
        now, facts = self._clock(), self._journal.facts(self._config.device)
        # Ids go on where they were: what the failed station has asked for may still be granted, and must not be taken
        # for something else.
        number = max(facts.next_id, failed.tally.next_id)
        latches, told = {latch.id: latch for latch in (*facts.latches, *failed.latches)}, list[Effect]()
        if not any(latch.rule == FAILED.rule for latch in latches.values()):
            lock = latches[number] = Latch(number, Scope.SESSION, FAILED.rule, Clear.ACK_QUALIFIED, "", now.wall_ms)
            with self._going_on():
                self._journal.append(self._config.device, Entry(number, EntryKind.LATCH, lock), now)
            alarm = Told(kind="alarm.raised", rule=FAILED.rule, code=FAILED.code, priority="high", reasons=(FAILED,))
            told.append(Tell(alarm))
        booted = Booted(self._boot_id, facts.open_session, facts.open_permit, tuple(latches.values()), number + 1)
        tally = Count(booted.next_id, failed.tally.version + 1)
        self.station = self.station._replace(boot_id=self._boot_id, latches=booted.latches, tally=tally)
        with self._going_on():
            done = machine.step(self.station, booted, now)
            self.station = done.station
            told += done.effects
        for asked in {one.id: one for one in (command, failed.waiting and failed.waiting.command) if one}.values():
            told.append(Tell(Answer(command=asked, status="failed", code=FAILED.code, reasons=(FAILED,))))
        with self._going_on():
            self._audience.state(self.station, now)
        for effect in told:
            with self._going_on():
                self._performer.perform((effect,), now)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the station has failed already; as much as can be is still done
            self._log("station.failing", error)

    def _log(self, event: str, error: Exception) -> None:
        # Once each until the device was opened anew: what fails at every tick must not fill the disk.
        if (text := repr(error)) not in self._told and len(self._told) < TOLD:
            self._told.add(text)
            log.error(event, device=self._config.device, error=text, exc_info=error)

    # Time

    async def run(self) -> None:
        """Keep the device connected and the ticks coming, until cancelled; then the device is let go of."""
        # Before anybody can ask for anything the heart knows how the service is.
        self.tick()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected())
            group.create_task(self._beat())
            group.create_task(self._watch_hold())

    async def _watch_hold(self) -> None:
        """Look now and then whether somebody else has the session's patient or device by now (M34)."""
        while True:
            await asyncio.sleep(WATCH_S)
            if (held := self.station.session) is None:
                continue
            newer = await self._performer.newer_token(held.id, held.rx.patient)
            session = self.station.session
            if newer and session is not None and session.id == held.id:
                self.post(Fenced(newer))

    async def _beat(self) -> None:
        loop, period_s = asyncio.get_running_loop(), self._config.times.tick_ms / 1000
        due = loop.time()
        while True:
            due = max(due + period_s, loop.time())
            await asyncio.sleep(due - loop.time())
            metrics.LATENESS.observe(max(0.0, loop.time() - due))
            self.tick()
            if not self._has_failed:
                self.on_tick(self._config.device)

    def tick(self) -> None:
        """Let the programme propose and the heart dispose; never raises."""
        self._has_failed = False
        try:
            now = self._clock()
            wanted, oldest_ms = self._wanted(now), self._journal.unsynced_since_ms()
        except Exception as error:  # noqa: BLE001 - whatever it is, the output must stop
            self.fail(error)
            return
        unsynced_ms = now.mono_ms - oldest_ms if oldest_ms is not None else 0
        self.health = self._health(now, unsynced_ms)
        self.post(Tick(wanted, unsynced_ms, self.health))
        silent_ms = now.mono_ms - self.station.beat.heard_ms
        if self.station.device is not None and self.station.session is None and silent_ms > SILENT_MS:
            self.post(DeviceDown("the device says nothing"))

    def _health(self, now: Now, unsynced_ms: int) -> Health:
        return Health(
            clock_synced=is_right(now, bench=self._config.emulator, is_disciplined=self._port.host.is_disciplined),
            ledger=not self._performer.is_failing,
            audit=unsynced_ms <= UNSYNCED_MS,
        )

    def _wanted(self, now: Now) -> Picture:
        session, driver = self.station.session, self._performer.driver
        if session is None or driver is None or self.station.phase not in FLOWING:
            return OFF
        if session.trial is not None:
            return driver.quantise(programme.burst(session, session.trial, now.mono_ms))
        late_ms = now.mono_ms - self.station.beat.tick_ms
        course = session.course
        wanted = programme.picture(session, course.played_ms + late_ms, course.since_resume_ms + late_ms)
        return driver.quantise(wanted)

    # The line

    async def _keep_connected(self) -> None:
        attempt, told = 0, ""
        while True:
            try:
                attempt, told = attempt if await self._fails_on_line() else 0, ""
            except (LinkError, DeviceError) as error:
                if told != error.code:
                    where = {"device": self._config.device, "port": self._port.name}
                    log.warning("device.absent", **where, code=error.code, why=str(error))
                told = error.code
            except Exception as error:  # noqa: BLE001 - whatever it is, the output must stop
                self.fail(error)
            wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            await asyncio.sleep(max(wait_s, LET_GO_S) if self._performer.has_cut else wait_s)
            attempt += 1

    async def _fails_on_line(self) -> bool:
        """Open the device's port and stay until the line is lost, or this station has failed: then it is true."""
        driver = await self._port.open_driver(self._port.name, self._config.times, self.post, self._port.host)
        try:
            self._lost.clear()
            try:
                up = await driver.connect()
            except DeviceError as error:
                if error.code == "DEV.NOT_STOPPED":
                    log.error("device.cut", device=self._config.device, why=str(error))
                    driver.silence(cut=True)
                    self._performer.has_cut = True
                raise
            self._performer.driver, self._performer.has_cut = driver, False
            self.post(up)
            await self._lost.wait()
            return self._performer.driver is not driver
        finally:
            self._performer.driver = None
            await driver.close()

    async def close(self) -> None:
        """Stop, then wait, but not for ever, for what is still being written."""
        self._performer.silence(cut=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._performer.settled()
        self._end_tape()
        await asyncio.gather(*self._closing, return_exceptions=True)
