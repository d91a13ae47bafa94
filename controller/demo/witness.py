"""The back door of an emulated stimulator: a unix socket that takes and gives one JSON object a line."""

import asyncio
import json
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safety.prescription import Plan, Programme

from .recording import Pulse, Recording
from .told import Read, Told
from .verdict import Accident

LONGEST_ANSWER = 16 * 2**20
ROWS = 10_000
"""Pulses or chunks of the tape in one answer: minutes of them, where a demo needs seconds."""


class WitnessError(Exception):
    """The emulator refused a request, or has no whole record of the session any more."""


class Witness:
    """Asks an emulated stimulator what came out of it, and takes its electrodes off."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._numbers = count(1)

    @classmethod
    async def open(cls, control: Path) -> Self:
        """Connect to a control socket. Raises OSError."""
        return cls(*await asyncio.open_unix_connection(control, limit=LONGEST_ANSWER))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    @classmethod
    async def tries_stop(cls, control: Path) -> None:
        """Let the patient press the stop and let it go. Raises OSError."""
        async with await cls.open(control) as witness:
            await witness.ask("button.press")
            await witness.ask("button.release")

    async def ask(self, do: str, **settings: object) -> dict[str, Any]:
        """Ask for one thing. Raises WitnessError where it is refused, EOFError where nobody is there any more."""
        async with self._turn:
            number = next(self._numbers)
            self._writer.write(json.dumps({"id": number, "do": do, **settings}).encode() + b"\n")
            answer: dict[str, Any] = {}
            # The answer to a question that was given up comes first, and is passed over.
            while answer.get("id") != number:
                line = await self._reader.readline()
                if not line:
                    raise EOFError("the emulated stimulator is gone")
                answer = json.loads(line)
        if not answer["ok"]:
            raise WitnessError(f"{do}: {answer['text']}")
        return answer

    async def now_us(self) -> int:
        """Read the boot clock as the emulator does."""
        now_us: int = (await self.ask("ping"))["now_us"]
        return now_us

    async def pulses(self, channel: int, since_us: int = 0) -> tuple[Pulse, ...]:
        """Give the pulses that reached the body. Raises WitnessError where some are no longer known."""
        answer = await self._whole("pulses", channel=channel, since_us=since_us)
        return tuple(
            Pulse(each["at_us"], max(each["first_ua"], each["second_ua"]), round(each["charge_nc"] * 1000))
            for each in answer["pulses"]
        )

    async def tape(self, since_us: int = 0) -> list[tuple[int, bytes]]:
        """Give the bytes to the device with their times on the boot clock. Raises WitnessError."""
        answer = await self._whole("tape", since_us=since_us)
        return [
            (each["at_us"], bytes.fromhex(each["hex"])) for each in answer["tape"] if each["direction"] == "to_device"
        ]

    async def recording(self, read: Read, plan: Plan, programme: Programme) -> Recording:
        """Give what was commanded and what came out since the first arming. Raises WitnessError."""
        told = Told(read, plan.channel)
        told.take(await self.tape())
        pulses = await self.pulses(plan.channel)
        return Recording(plan, programme, tuple(told.commands), pulses, await self.now_us())

    async def snap_off(self, channel: int, at_us: int, lasting_ms: int) -> Accident:
        """Let the pad fall off at a moment of the boot clock and be pressed on again; gives the moments it will be."""
        token = (await self.ask("fault.inject", fault="snap_off", channel=channel, at_us=at_us, for_ms=lasting_ms))[
            "token"
        ]
        standing = (await self.ask("fault.list"))["standing"]
        off_us = next(each["at_us"] for each in standing if each["token"] == token)
        return Accident(off_us, off_us + lasting_ms * 1000)

    async def _whole(self, do: str, **settings: object) -> dict[str, Any]:
        answer = await self.ask(do, limit=ROWS, **settings)
        if answer["more"] or answer["dropped"]:
            raise WitnessError(f"{do}: the record is not whole")
        return answer
