"""The desk behind the door.

Hands on what arrives from the broker. Every message gets one outcome; a stop goes before all else.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Protocol

import structlog

from safety.effects import Answer
from safety.effects import Event as Told
from safety.messages import (
    Asked,
    CalibrationStep,
    Claim,
    Command,
    Event,
    Expect,
    Now,
    Prepare,
    Release,
    Renew,
    Stop,
    Wish,
)
from safety.state import Station
from safety.verdict import Reason, Severity

from . import clock, metrics
from .chain import JournalError
from .contract import codes
from .contract.accept import Accepted, Asker, Door, Inquiry, Refusal, Repeat, StopNow, WhatIf
from .contract.answers import AnswerMessage
from .contract.envelope import FRESH_MS, Arrival, utc_text
from .contract.topics import ALL
from .explain import explain
from .identity import Ration, Seen
from .identity.ceilings import NONE, Ceilings, binds
from .identity.challenge import Challenges
from .identity.ration import Seconds
from .journal import Journal
from .records import Records
from .store.tables import LedgerUnavailableError
from .tomlfile import FileError
from .voice import Voice

log = structlog.get_logger()

SERVICE = "service"
"""Who stops the devices when the service ends, or cannot make out who asked."""
COMMANDS_PER_SECOND = 200
"""What one principal may ask: a hundred times what a console with a held button sends (engineering default)."""
MIND_S = 1.0
"""How long it may take until a change of the principals file counts (engineering default)."""
RESTATE_EVERY = 5
"""After how many of these the state of every device is said anew (engineering default)."""
REPORT_S = 10.0
"""How often refusals that were not answered are told (MQTT API: one summary a principal in 10 s)."""


class Post(Protocol):
    """A station, as far as the desk knows it."""

    station: Station

    def post(self, event: Event) -> None:
        """Step through this event now."""


def unchanged(_anyway: bool) -> bool:
    """Have no principals file that could change."""
    return False


def is_meant(rx: str, station: Station) -> bool:
    """Tell whether a prescription that a sender has named, with its version or without, is the session's."""
    return not rx or (station.session is not None and rx in {station.session.rx.ref, station.session.rx.id})


def is_renewal(wish: Wish) -> bool:
    """Tell a wish that only says that somebody is still there: a claim's renewal, a button that is held."""
    return isinstance(wish, Renew) or wish == CalibrationStep(0)


def forget(_answer: bytes) -> None:
    """Keep no answer: a renewal is not worth a record, and a stop that comes again is obeyed again.

    A held button's renewal counts from when it was sent: one that comes again is no younger for it.
    """


class Desk:
    """What the broker calls."""

    def __init__(
        self,
        door: Door,
        journal: Journal,
        voice: Voice,
        actors: Mapping[str, Post],
        records: Records,
        boot_id: str,
        clock: Callable[[], Now],
        challenges: Challenges | None = None,
        reread: Callable[[bool], bool] = unchanged,
    ) -> None:
        self._challenges = challenges or Challenges({}, str)
        self._reread = reread
        self._kids: dict[str, str] = {}
        self._intake = Seconds(door.principals, COMMANDS_PER_SECOND)
        self._records = records
        self._looking_up: set[asyncio.Task[None]] = set()
        self._door = door
        self._journal = journal
        self._voice = voice
        self._actors = actors
        self._boot_id = boot_id
        self._clock = clock
        self._ration = Ration(door.principals)
        self._is_draining = False

    def on_stop(self, arrival: Arrival) -> None:
        """Stop, at once; what was wrong with the message is told afterwards."""
        arrived_s = clock.running_s()
        try:
            self.on_command(arrival)
            metrics.STOP_LATENCY.observe(clock.running_s() - arrived_s)
        except Exception:
            # A mistake of ours must not keep a stop from anybody: which device was meant is not worth a second look.
            self.stop_all()
            raise

    def on_command(self, arrival: Arrival) -> None:
        """Judge a message at the door and hand it on."""
        now = self._clock()
        outcome = self._door.accept(arrival, now)
        if not isinstance(outcome, StopNow | Refusal) and not self._intake.take(outcome.asker.principal, now):
            outcome = Refusal(outcome.asker, "CMD.RATE")
        match outcome:
            case StopNow() as stop:
                self._stop(stop, now)
            case Accepted() as accepted:
                self._accept(accepted, now)
            case Refusal() as refusal:
                self._refuse(refusal, now)
            case Repeat(asker=asker, answer=answer) if answer is not None:
                self._voice.send(asker, answer)
            case WhatIf(asker=asker, command=command) if self._ration.allows(asker.principal, now):
                self._look_up(self._explain(asker, command, now))
            case Inquiry(asker=asker):
                self._status(asker, now)

    def on_up(self) -> None:
        """Hear that stops and commands can be heard, and answers sent."""
        log.info("service.ready", boot_id=self._boot_id, devices=sorted(self._actors))

    def on_down(self, why: str) -> None:
        """Hear that the broker is away; claims that are not renewed will pause what runs (M05)."""
        log.warning("service.deaf", why=why)

    def on_conflict(self, boot_id: str) -> None:
        """Hear that another service bears our name; our devices stay ours by their locked ports."""
        log.error("service.conflict", other_boot_id=boot_id)

    def _stop(self, stop: StopNow, now: Now) -> None:
        everywhere = stop.asker.device == ALL
        devices = list(self._actors) if everywhere else [stop.asker.device]
        for device in devices:
            self._voice.expect(device, stop.asker._replace(device=device), forget)
            self._actors[device].post(Asked(stop.command))
        if everywhere:
            details = (("devices", len(devices)),)
            answer = Answer(command=stop.command, status="succeeded", code="OK", details=details)
            self._voice.send(stop.asker, AnswerMessage.of(answer, boot_id=self._boot_id, now=now).to_bytes())
        if stop.irregular:
            log.warning("stop.irregular", code=stop.irregular, principal=stop.asker.principal)
            details_of = (("principal", stop.asker.principal),)
            for device in devices:
                event = Told(kind="alarm.raised", code=stop.irregular, priority="medium", details=details_of)
                self._voice.event(device, event, now)

    def _accept(self, accepted: Accepted, now: Now) -> None:
        asker, command = accepted.asker, accepted.command
        self._kids[command.principal] = asker.kid
        if self._is_draining:
            self._refuse(Refusal(asker, "SYS.DRAINING"), now)
            return
        keep = forget
        if not is_renewal(command.wish):
            try:
                self._journal.remember(command.principal, command.id, accepted.digest, None, now)
            except JournalError:
                self._refuse(Refusal(asker, "SYS.AUDIT_UNWRITABLE"), now)
                return
            keep = partial(self._keep, command.principal, command.id, accepted.digest)
        self._voice.expect(asker.device, asker, keep)
        if isinstance(command.wish, Prepare):
            self._look_up(self._prepare(asker.device, command, command.wish))
        elif not is_meant(accepted.rx, self._actors[asker.device].station):
            self._reject(asker.device, command, Reason("", Severity.REFUSE, "CMD.PRECONDITION"))
        else:
            self._hand_over(asker.device, command, accepted.heir, now)
        if accepted.nonce and not is_renewal(command.wish):
            self._challenges.spend(asker.device, command.principal)
            self._voice.challenge(self._actors[asker.device].station, now)

    def _hand_over(self, device: str, command: Command, heir: str, now: Now) -> None:
        """Put a command to its station; where it has given a claim back, its heir has it in the same turn of the loop.

        A tick in between would pause what nobody holds (M05).
        """
        actor = self._actors[device]
        was_held = actor.station.holder is not None
        self._post(device, command)
        if heir and was_held and actor.station.holder is None:
            actor.post(Asked(self._own(heir, Claim(), now)))

    def _look_up(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._looking_up.add(task)
        task.add_done_callback(self._looking_up.discard)

    async def _explain(self, asker: Asker, command: Command, now: Now) -> None:
        """Answer what would become of a command, from what the station and the records are now."""
        log.info("command.explained", verb=command.verb.value, principal=asker.principal)
        station, ceilings = self._actors[asker.device].station, self._ceilings(command)
        answer = await explain(station, command, now, self._records, ceilings)
        self._voice.send(asker, answer.to_bytes())

    async def _prepare(self, device: str, command: Command, wish: Prepare) -> None:
        """Look up what a wish to prepare names, then ask it; the rest of the world does not wait for that."""
        try:
            completed = await self._records.complete(wish, self._clock().wall_ms)
        except LedgerUnavailableError as error:
            log.error("records.unavailable", error=str(error))
            self._reject(device, command, Reason("", Severity.REFUSE, "DOSE.LEDGER_UNAVAILABLE"))
            return
        except Exception as error:
            log.error("records.failed", error=repr(error), exc_info=error)
            self._reject(device, command, Reason("", Severity.REFUSE, "SYS.INTERNAL"))
            return
        if self._is_draining:
            self._reject(device, command, Reason("", Severity.REFUSE, "SYS.DRAINING"))
        else:
            self._post(device, replace(command, wish=completed))

    def _post(self, device: str, command: Command) -> None:
        """Put a command to its station, unless the sender's own limits forbid it."""
        actor = self._actors[device]
        reason = binds(self._ceilings(command), actor.station, command)
        if reason:
            self._reject(device, command, reason)
        else:
            actor.post(Asked(command))

    def _ceilings(self, command: Command) -> Ceilings:
        principal = self._door.principals.get(command.principal)
        return principal.limits if principal else NONE

    def _reject(self, device: str, command: Command, reason: Reason) -> None:
        answer = Answer(command=command, status="rejected", code=reason.code, reasons=(reason,))
        self._voice.answer(device, answer, self._clock())

    async def looked_up(self) -> None:
        """Wait until everything was looked up that is wanted so far."""
        await asyncio.gather(*self._looking_up, return_exceptions=True)

    def _keep(self, principal: str, command_id: str, digest: str, answer: bytes) -> None:
        try:
            self._journal.remember(principal, command_id, digest, answer.decode(), self._clock())
        except JournalError as error:
            log.error("answer.not_kept", principal=principal, error=str(error))

    def _refuse(self, refusal: Refusal, now: Now) -> None:
        metrics.refused(refusal.code)
        # What is beyond the ration is counted only: a flood of junk must fill neither the broker nor the disk.
        if self._ration.allows(refusal.asker.principal, now):
            log.info("command.refused", code=refusal.code, principal=refusal.asker.principal)
            message = AnswerMessage.refusing(refusal, boot_id=self._boot_id, now=now)
            self._voice.send(refusal.asker, message.to_bytes())

    def _status(self, asker: Asker, now: Now) -> None:
        details: dict[str, int | str] = {"devices": len(self._actors)}
        for device, actor in self._actors.items():
            holder = actor.station.holder
            details[f"{device}.phase"] = actor.station.phase.value
            details[f"{device}.claimed_by"] = holder.principal if holder else ""
            details[f"{device}.latches"] = len(actor.station.latches)
        message = AnswerMessage(
            command_id=asker.command_id,
            status="succeeded",
            code="OK",
            text=codes.text("OK"),
            details=details,
            boot_id=self._boot_id,
            at=utc_text(now.wall_ms),
        )
        self._voice.send(asker, message.to_bytes())

    def mind(self, *, anyway: bool = False) -> None:
        """Look after what changes without a command: who may ask, claims of who may not any more, nonces.

        `anyway`: read the principals file even if it looks unchanged. Never raises.
        """
        now = self._clock()
        try:
            if self._reread(anyway):
                log.info("principals.read", count=len(self._door.principals))
        except FileError as error:
            # Nobody's leave changes by a mistake; but who was to be revoked by this file is not, so a person must look.
            log.error("principals.wrong", error=str(error))
            for device in self._actors:
                self._voice.event(device, Told(kind="alarm.raised", code="SYS.PRINCIPALS", priority="medium"), now)
        for device, actor in self._actors.items():
            self._dismiss(device, actor, now)
            self._voice.challenge(actor.station, now)

    def _dismiss(self, device: str, actor: Post, now: Now) -> None:
        """Take a claim from a holder who may not ask any more: what runs is paused by it (M05)."""
        holder = actor.station.holder
        if holder is None or now.mono_ms > holder.expires_ms or self._may_hold(holder.principal, now):
            return
        log.warning("principal.dismissed", device=device, principal=holder.principal)
        actor.post(Asked(self._own(holder.principal, Release(), now)))
        details = (("principal", holder.principal),)
        self._voice.event(
            device, Told(kind="alarm.raised", code="AUTH.REVOKED", priority="medium", details=details), now
        )

    def _may_hold(self, name: str, now: Now) -> bool:
        """Tell whether a principal may ask, and the key with which it asked last is still good."""
        principal, kid = self._door.principals.get(name), self._kids.get(name, "")
        if principal is None or not principal.is_good(now.wall_ms):
            return False
        key = principal.keys.get(kid)
        return not kid or (key is not None and key.is_good(now.wall_ms))

    def restate(self) -> None:
        """Say how every device is, so that whoever listens knows that it is so still."""
        now = self._clock()
        for actor in self._actors.values():
            self._voice.state(actor.station, now)

    async def minding(self) -> None:
        """Look after these, and say how the devices are, until cancelled."""
        for second in count(1):
            await asyncio.sleep(MIND_S)
            try:
                self.mind()
                if second % RESTATE_EVERY == 0:
                    self.restate()
            except Exception:
                # A mistake of ours in this must not end the service, and with it every session.
                log.exception("desk.failing")

    def drain(self) -> None:
        """Stop every device because the service ends, and let nothing begin any more."""
        self._is_draining = True
        self.stop_all()

    def stop_all(self) -> None:
        """Stop every device in the service's own name."""
        now = self._clock()
        for device, actor in self._actors.items():
            actor.post(Asked(self._own(SERVICE, Stop(), now)))
            log.info("device.stopping", device=device)

    def _own(self, principal: str, wish: Wish, now: Now) -> Command:
        """Make a wish of the service itself, in a name."""
        return Command(
            id="",
            principal=principal,
            role="",
            issued_wall_ms=now.wall_ms,
            expires_wall_ms=now.wall_ms + FRESH_MS,
            retained=False,
            expect=Expect(),
            wish=wish,
        )

    def answer_orphans(self) -> None:
        """Answer, for good, the commands that had begun when the service ended without a word."""
        now = self._clock()
        for principal, command_id in self._journal.unanswered():
            known = self._journal.recall(principal, command_id)
            if known is None:
                continue
            message = AnswerMessage(
                command_id=command_id,
                status="failed",
                code="SYS.RESTARTED",
                text=codes.text("SYS.RESTARTED", "failed"),
                boot_id=self._boot_id,
                at=utc_text(now.wall_ms),
            )
            self._journal.remember(principal, command_id, known[0], message.to_bytes().decode(), now)

    async def report(self) -> None:
        """Tell now and then how many refusals were not answered, until cancelled."""
        while True:
            await asyncio.sleep(REPORT_S)
            for event in self._ration.report():
                log.warning("commands.unanswered", **dict(event.details))


def memory(journal: Journal) -> Callable[[str, str], Seen | None]:
    """Give the door's memory of commands: the journal's."""

    def seen(principal: str, command_id: str) -> Seen | None:
        known = journal.recall(principal, command_id)
        return None if known is None else Seen(known[0], known[1].encode() if known[1] is not None else None)

    return seen
