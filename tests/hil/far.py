"""A device that stands in for a real one: behind a pseudo terminal, or behind a TCP port of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from hil.bench import Bench
from hil.clock import boottime_us
from hil.devices.native import native
from hil.devices.native_words import Identity
from hil.emulate import Emulator
from hil.port import Streams
from hil.wire import Pty
from tests.hil.host import ARM, DRIVE, HELLO, PLAIN, STOP, arm_payload, decoded, drive_payload, frame

WIDE = (1, 100_000, 500, 8_000, 10**12)
TRAIN = (1, 20_000, 300, 0, 20_000)


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Served:
    """A line to whoever is connected over TCP."""

    def __init__(self) -> None:
        self.on_bytes: Callable[[bytes], None] = lambda _: None
        self.is_up = False
        self.writer: asyncio.StreamWriter | None = None

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while data := await reader.read(4096):
            self.on_bytes(data)
        writer.close()

    def write(self, data: bytes) -> None:
        if self.writer is not None:
            self.writer.write(data)

    def put(self) -> None:
        self.is_up = True

    def pull(self) -> None:
        self.is_up = False
        if self.writer is not None:
            self.writer.close()

    close = pull


def _bench() -> Bench:
    return Bench(native(Identity(channels=2)), [PLAIN, PLAIN], boottime_us())


@asynccontextmanager
async def on_terminal(folder: Path) -> AsyncIterator[tuple[str, Emulator]]:
    """A native device with two channels behind a terminal; the path of that."""
    emulator = Emulator(_bench(), Pty(folder / "far"))
    emulator.start()
    try:
        yield str((folder / "far").resolve()), emulator
    finally:
        emulator.stop()


@asynccontextmanager
async def on_tcp() -> AsyncIterator[tuple[str, Emulator]]:
    """The same behind a TCP port; its address."""
    line = Served()
    emulator = Emulator(_bench(), line)
    server = await asyncio.start_server(line.hear, "127.0.0.1", 0)
    emulator.start()
    try:
        yield "tcp://127.0.0.1:" + str(server.sockets[0].getsockname()[1]), emulator
    finally:
        emulator.stop()
        server.close()
        if line.writer is not None:
            await line.writer.wait_closed()


class Talk:
    """Frames of the native protocol over a pair of streams, one answer each."""

    def __init__(self, streams: Streams) -> None:
        self.reader, self.writer = streams
        self._seq = 0

    async def ask(self, kind: int, payload: bytes = b"") -> dict[str, object]:
        """Send a frame and give its answer; what the device says by itself is passed over."""
        self._seq += 1
        self.writer.write(frame(kind, self._seq, payload))
        while True:
            (said,) = decoded(await self.reader.readuntil(b"\x00"))
            if said["seq"] == self._seq and said["type"] != 0x8E:
                return said

    async def run(self) -> None:
        """HELLO, ARM, DRIVE: 20 mA, 300 us, 50 Hz on channel 1."""
        await self.ask(HELLO)
        await self.ask(ARM, arm_payload(7, 3_600_000, WIDE))
        assert (await self.ask(DRIVE, drive_payload(7, 1, TRAIN)))["state"] == 2

    async def stop(self) -> None:
        """STOP."""
        assert (await self.ask(STOP))["state"] == 0

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        await self.writer.wait_closed()
