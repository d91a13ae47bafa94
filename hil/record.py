"""A relay between a device and its controller that writes down what passes, with its time."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hil.clock import boottime_us
from hil.port import LINES, Setting, hang_up, opened
from hil.settings import BadSetting
from hil.start import ready, told_to_end
from hil.tape import Chunk, Direction
from hil.tape_file import Head, Writer
from hil.wire import READ_SIZE, Line, Pty


class Relay:
    """Passes bytes on as they come, each way, and notes them first. Times count from its beginning."""

    def __init__(
        self,
        device: asyncio.StreamWriter,
        host: Line,
        note: Callable[[Chunk], None],
        clock_us: Callable[[], int] = boottime_us,
    ) -> None:
        self._device = device
        self._host = host
        self._note = note
        self._clock_us = clock_us
        self._zero_us = clock_us()
        host.on_bytes = self._from_host

    async def run(self, device: asyncio.StreamReader) -> None:
        """Relay until the device is gone."""
        # How a line ends is the system's business: a port that is pulled is an error on one, an end on another.
        with suppress(OSError):
            while data := await device.read(READ_SIZE):
                self._write_down("to_host", data)
                self._host.write(data)

    def _from_host(self, data: bytes) -> None:
        self._write_down("to_device", data)
        self._device.write(data)

    def _write_down(self, direction: Direction, data: bytes) -> None:
        self._note(Chunk(self._clock_us() - self._zero_us, direction, data))


def line_of(device: str | None, baud: int | None) -> Setting:
    """How the line is set: as the kind of device has it, or at another rate. Raises BadSetting."""
    usual = LINES.get(device or "native", LINES["native"])
    if baud is not None and not hasattr(termios, f"B{baud}"):
        raise BadSetting("baud", baud, "a rate that the system knows")
    return usual if baud is None else usual._replace(baud=baud)


def run(port: Path, link: Path, tape: Path, line: Setting, *, device: str | None, seed: int | None, eof: bool) -> None:
    """Record until SIGTERM or SIGINT, the end of standard input, or of the device. Raises InUse and OSError."""
    is_pty = port.resolve().is_relative_to("/dev/pts")
    head = Head(device=device, baud=line.baud, seed=seed, origin="emulated" if is_pty else "real")
    asyncio.run(_record(port, link, tape, line, head, until_eof=eof))


async def _record(port: Path, link: Path, tape: Path, line: Setting, head: Head, *, until_eof: bool) -> None:
    ended = told_to_end(until_eof=until_eof)
    # What the device has said before its port is open here belongs to the tape as well.
    reader, device = await opened(str(port), line, keep=True)
    host = None
    try:
        host = Pty(link)
        with Writer(tape, head) as writer:
            relay = asyncio.create_task(Relay(device, host, writer.note).run(reader))
            relay.add_done_callback(lambda _: ended.set())
            host.put()
            ready(link, tape=str(tape), origin=head.origin)
            await ended.wait()
            relay.cancel()
    finally:
        await hang_up(device)
        if host:
            host.close()
