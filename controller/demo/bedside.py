"""A clinician at one device, who knows the service only over MQTT: one session, step by step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from controller.client import Client, NoAnswerError
from controller.contract.answers import AnswerMessage, EventMessage
from safety.attestation import ITEMS
from safety.prescription import Prescription

from .verdict import End

RENEW_S = 1.5
"""A claim lasts 5 s: two renewals may be lost before it does."""
SPARE_S = 30.0
"""How much longer than its therapy a session may take in all, on a slow machine (engineering default)."""
CAUSE_S = 1.0
"""How long a refused step waits to hear of a rule that has ended its session (engineering default)."""
ENDS = {"session.completed": "completed", "session.stopped": "stopped", "session.paused": "paused"}

CALM = {item.id: "no" for item in ITEMS}
"""The demo's patients have nothing that forbids anything."""

Say = Callable[[str], None]
Press = Callable[[], Awaitable[object]]
Found = TypeVar("Found")


class SessionError(Exception):
    """A step of a session was refused, or nothing came of it in time; the text holds the service's words."""


class Bedside:
    """One client at one device; `say` hears what happens, in words for people.

    `press` has the patient press the stop and let it go; a device that does not measure the skin is asked for no check.
    """

    def __init__(self, client: Client, device: str, say: Say, press: Press, *, measures_skin: bool = True) -> None:
        self._client = client
        self._device = device
        self._say = say
        self._press = press
        self._measures_skin = measures_skin
        self._events: list[EventMessage] = []
        self._news = asyncio.Event()

    async def treat(self, rx: Prescription) -> End:
        """Give one whole session and tell how it ended. Raises SessionError, BrokerError."""
        try:
            async with asyncio.timeout(rx.programme.therapy_ms / 1000 + SPARE_S), self._claimed():
                await self._open(rx)
                return await self._close()
        except TimeoutError as error:
            raise SessionError(f"{self._device}: {error or 'the session did not end in time'}") from error

    async def _open(self, rx: Prescription) -> None:
        await self._ask("session.prepare", "prepared", prescription_id=rx.ref, patient_ref=rx.patient)
        await self._ask("session.attest", answers=CALM)
        await self._press()
        await self._until(lambda: self._end() or self._told({"stop.tried"}))
        self._say(f"{rx.ref} prepared, nothing forbids it, the patient's stop was tried")
        if self._measures_skin:
            checked = await self._ask("impedance.check", "prepared")
            ohms = ", ".join(f"{value} ohm" for name, value in checked.details.items() if name.startswith("ohm"))
            self._say(f"electrodes measured: {ohms}")
        await self._ask("session.arm", "armed")
        await self._ask("session.start", "running")
        self._say("armed, and started from zero")

    async def _close(self) -> End:
        end = await self._until(self._end)
        self._say(f"{end.outcome} by rule {end.rule}. {end.words}" if end.rule else end.outcome)
        if end.outcome == "paused":
            await self._ask("session.stop")
        await self._until(lambda: self._told({"session.closed"}))
        return end

    async def _ask(self, verb: str, phase: str = "", **body: object) -> AnswerMessage:
        """Ask for something and wait for the phase that it leads to. Raises SessionError where it is refused."""
        answer = await self._client.ask(self._device, verb, body)
        if answer.status != "succeeded" or answer.code != "OK":
            raise SessionError(
                f"{self._device}: {verb} {answer.status}: {answer.code} {answer.text}{await self._cause()}"
            )
        # The state follows its answer, and the next command must say which state it expects.
        if phase:
            await self._until(lambda: self._end() or self._shows(phase) or None)
        return answer

    async def _cause(self) -> str:
        """Tell what ended the session, if something did: that is told just after the answer of the wish that failed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CAUSE_S):
                end = await self._until(self._end)
                return f" The session was {end.outcome} by rule {end.rule}. {end.words}"
        return ""

    def _shows(self, phase: str) -> bool:
        summary = self._client.summary(self._device)
        return summary is not None and summary.phase == phase

    def _end(self) -> End | None:
        told = self._told(ENDS)
        if told is None:
            return None
        return End(ENDS[told.kind], told.rule or "", told.reasons[0].text if told.reasons else "")

    def _told(self, kinds: Iterable[str]) -> EventMessage | None:
        return next((event for event in self._events if event.kind in kinds), None)

    async def _until(self, find: Callable[[], Found | None]) -> Found:
        """Wait until something is found in what the device's station says."""
        while (found := find()) is None:
            self._news.clear()
            await self._news.wait()
        return found

    @asynccontextmanager
    async def _claimed(self) -> AsyncIterator[None]:
        """Listen to the device, and keep the claim on it."""
        tasks = [asyncio.create_task(self._listen())]
        try:
            await self._ask("device.claim")
            tasks.append(asyncio.create_task(self._renew()))
            yield
            await self._client.ask(self._device, "device.release")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for said in self._client.events():
            if said.device == self._device:
                if isinstance(said.message, EventMessage):
                    self._events.append(said.message)
                self._news.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            # A claim that is lost pauses the session (M05), and that is told.
            with suppress(NoAnswerError):
                await self._client.ask(self._device, "device.renew")
