"""Ports as pairs of asyncio streams: a serial line of this machine, a TCP address, one end of a cable in memory."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from hil.cable import Cable, Pace
from hil.wire import READ_SIZE

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Setting(NamedTuple):
    """How a serial line is set: eight data bits, no flow control, and this."""

    baud: int
    parity: Literal["none", "even"] = "none"
    stop_bits: Literal[1, 2] = 1

    @property
    def pace(self) -> Pace:
        """What its bytes take."""
        return Pace(self.baud, 9 + (self.parity != "none") + self.stop_bits)


LINES = {
    "native": Setting(115_200),
    "sciencemode4": Setting(3_000_000, stop_bits=2),
    "sciencemode2": Setting(460_800, parity="even"),
}
"""By the kind of device, as its documents have it."""


class _Transport(asyncio.Transport):
    """What both kinds of line have in common: closed once, and the reader hears of it."""

    def __init__(self, protocol: asyncio.StreamReaderProtocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._is_closing = False

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self.lose(None)

    abort = close

    def lose(self, why: Exception | None) -> None:
        """End it; the reader gets what has come so far, and then the reason, or the end."""
        if not self._is_closing:
            self._is_closing = True
            self.let_go()
            self._loop.call_soon(self._protocol.connection_lost, why)

    def let_go(self) -> None:
        """Give back what the line holds of the system."""
        raise NotImplementedError


class CableEnd(_Transport):
    """The host's end of a cable in memory."""

    def __init__(self, protocol: asyncio.StreamReaderProtocol, cable: Cable) -> None:
        super().__init__(protocol)
        self._end = cable.open(protocol.data_received, lambda _: self.lose(None))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; once it is closed they are lost."""
        if not self._is_closing:
            self._end.write(bytes(data))

    def let_go(self) -> None:
        """Leave the cable to the next host."""
        self._end.close()


class Terminal(_Transport):
    """An open terminal: a serial port, or a pseudo terminal."""

    def __init__(self, protocol: asyncio.StreamReaderProtocol, descriptor: int) -> None:
        super().__init__(protocol)
        self._descriptor = descriptor
        self._left = bytearray()
        self._loop.add_reader(descriptor, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; once it is closed they are lost."""
        if self._is_closing:
            return
        self._left += data
        self._push()

    def let_go(self) -> None:
        """Close the descriptor."""
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)

    def _push(self) -> None:
        try:
            del self._left[: os.write(self._descriptor, self._left)]
        except BlockingIOError:
            pass
        except OSError as lost:
            self.lose(lost)
            return
        if self._left:
            self._loop.add_writer(self._descriptor, self._push)
        else:
            self._loop.remove_writer(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as lost:
            self.lose(lost)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self.lose(None)


def plugged(cable: Cable) -> Streams:
    """Open the host's end of a cable in memory; raises OSError."""
    return _streams(lambda protocol: CableEnd(protocol, cable))


async def opened(url: str, line: Setting, *, keep: bool = False) -> Streams:
    """Open a path or a `tcp://HOST:PORT`; `keep` what has arrived at the path before. Raises OSError."""
    if url.startswith("tcp://"):
        host, _, port = url.removeprefix("tcp://").rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))
    return _streams(lambda protocol: Terminal(protocol, _terminal(Path(url), line, keep=keep)))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a line, and wait until it is closed; that it was gone already is no matter."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _terminal(path: Path, line: Setting, *, keep: bool) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        mode = termios.tcgetattr(descriptor)
        mode[2] |= termios.CLOCAL | termios.CREAD
        mode[2] |= (line.stop_bits == 2) * termios.CSTOPB | (line.parity == "even") * termios.PARENB
        mode[4] = mode[5] = getattr(termios, f"B{line.baud}")
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)
        if not keep:
            termios.tcflush(descriptor, termios.TCIOFLUSH)
    except termios.error as failed:
        os.close(descriptor)
        raise OSError(f"{path}: no serial port: {failed.args[-1]}") from failed
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _streams(begin: Callable[[asyncio.StreamReaderProtocol], asyncio.Transport]) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = begin(protocol)
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
