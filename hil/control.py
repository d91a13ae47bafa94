"""The back door: a unix socket, one JSON object a line in, one a line out, in order; and the client of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from hil.emulate import Emulator
from hil.verbs import answer
from hil.wire import Claim, InUse

LONGEST_LINE = 65_536
LONGEST_ANSWER = 16 * 1024 * 1024


class _Session(asyncio.Protocol):
    """One client."""

    def __init__(self, emulator: Emulator, transports: set[asyncio.Transport]) -> None:
        self._emulator = emulator
        self._transports = transports
        self._held = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transports.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport:
            self._transports.discard(self._transport)

    def pause_writing(self) -> None:
        # A client that does not read its answers is not listened to.
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._held += data
        *lines, rest = self._held.split(b"\n")
        self._held = rest
        for line in lines:
            self._say(answer(self._emulator, bytes(line)))
        if len(rest) > LONGEST_LINE and self._transport:
            self._say({"id": None, "ok": False, "code": "too_long", "text": f"a line has at most {LONGEST_LINE} bytes"})
            self._transport.close()

    def _say(self, said: dict[str, Any]) -> None:
        if self._transport:
            self._transport.write(json.dumps(said).encode() + b"\n")


@asynccontextmanager
async def served(emulator: Emulator, path: Path) -> AsyncIterator[None]:
    """Serve the control socket at a path while the context lasts; raises InUse."""
    transports: set[asyncio.Transport] = set()
    with _listener(path) as listener:
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Session(emulator, transports), sock=listener
        )
        try:
            yield
        finally:
            server.close()
            for transport in list(transports):
                transport.abort()


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    claim = Claim(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        if os.path.lexists(path):
            # Only a socket at which nobody answers may be replaced.
            if not path.is_socket() or listener.connect_ex(os.fspath(path)) == 0:
                raise InUse(f"{path}: exists and is not a dead socket")
            path.unlink()
        mask = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(mask)
        yield listener
        path.unlink(missing_ok=True)
    finally:
        listener.close()
        claim.end()


class ControlError(Exception):
    """The bench said no: a code for programs, a text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Control:
    """A client of the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Connect to a bench; raises OSError when there is none."""
        return cls(*await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER))

    async def do(self, verb: str, **settings: object) -> dict[str, Any]:
        """Ask for one thing; raises ControlError, or EOFError when the bench is gone."""
        async with self._lock:
            number = next(self._numbers)
            self._writer.write(json.dumps({"id": number, "do": verb, **settings}).encode() + b"\n")
            await self._writer.drain()
            # Answers come in order; one whose caller was cancelled is still to come and is passed over.
            while True:
                line = await self._reader.readline()
                if not line:
                    raise EOFError("the bench is gone")
                said: dict[str, Any] = json.loads(line)
                if said.pop("id") == number:
                    break
        if not said.pop("ok"):
            raise ControlError(said["code"], said["text"])
        return said

    @asynccontextmanager
    async def injected(self, fault: str, **settings: object) -> AsyncIterator[str]:
        """A fault for as long as the context lasts; its token."""
        token: str = (await self.do("fault.inject", fault=fault, **settings))["token"]
        try:
            yield token
        finally:
            standing = (await self.do("fault.list"))["standing"]
            if any(one["token"] == token for one in standing):
                await self.do("fault.clear", token=token)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
