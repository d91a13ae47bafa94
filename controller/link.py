"""One byte pipe to a device: a serial port, a pty, or tcp://host:port.

The serial library opens, locks and configures the port. Bytes then move here, on the descriptor itself: a stop must be
able to throw away what waits in front of it, and the library's own transport neither gives that up nor says so when it
drops bytes after a failed write.
"""

import asyncio
import errno
import os
import socket
import termios
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from typing import Literal, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import serialx

BACKLOG = 4_096
"""Bytes that may wait for a device that does not drain: 0.36 s at 115,200 baud (engineering default)."""

SEND_BUFFER = 8_192
"""Bytes of a TCP line that the kernel may hold, where a stop must stand behind them (engineering default)."""

CHUNK = 4_096
CONNECT_S = 5

PTY_MAJORS = range(136, 144)
"""Device numbers of ptys (Linux, Documentation/admin-guide/devices.txt)."""

DENIED = ("LINK.DENIED", "access is refused; add this account to the group that owns the port")
REFUSALS = {
    errno.EBUSY: ("LINK.BUSY", "another program has it open; close that program, then connect again"),
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
}
GONE = "the line is gone; check the cable and the device's power, then connect again"


class LinkError(Exception):
    """The line cannot be opened or is gone.

    `code` is stable: LINK.BUSY, LINK.ABSENT, LINK.DENIED or LINK.LOST; the text is for people.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def refusal(port: str, error: Exception) -> LinkError:
    """Say why a port cannot be opened."""
    absent = f"it cannot be opened ({_words(error)}); check its name, the cable and the device's power"
    code, text = REFUSALS.get(getattr(error, "errno", 0), ("LINK.ABSENT", absent))
    return LinkError(code, f"{port}: {text}")


class Mode(NamedTuple):
    """How a serial line is set: 8 data bits and no flow control in any case."""

    baud: int
    even_parity: bool = False
    stop_bits: Literal[1, 2] = 1


class Handle(Protocol):
    """An open port of either kind."""

    def fileno(self) -> int:
        """Give the descriptor."""

    def close(self) -> None:
        """Release it."""


class Link:
    """An open line; made by `Link.open`."""

    def __init__(
        self, port: str, handle: Handle, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._port = port
        self._handle: Handle | None = handle
        self._fd = handle.fileno()
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._backlog = bytearray()
        self._waiting = False
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._readable)

    @classmethod
    async def open(
        cls, port: str, mode: Mode, *, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> Self:
        """Open a line that nobody else holds. Raises LinkError.

        `on_lost` is called once, soon after a loss, with a text for people, and never after `close`. A TCP line cannot
        be held against others from here: that is up to its far end.
        """
        opening = asyncio.get_running_loop().run_in_executor(None, _open_handle, port, mode)
        try:
            handle = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        except (OSError, ValueError, serialx.SerialException) as error:
            raise refusal(port, error) from error
        return cls(port, handle, on_bytes, on_lost)

    @property
    def is_pty(self) -> bool:
        """Tell whether a program stands at the far end for certain: no device was ever plugged into a pty."""
        return self._handle is not None and on_pty(self._fd)

    def write(self, data: bytes) -> None:
        """Hand bytes over without waiting. Raises LinkError when the line is gone, or goes now as it does not drain."""
        if self._handle is not None:
            self._backlog += data
            if not self._waiting:
                self._drain()
            if len(self._backlog) > BACKLOG:
                self._lose("the device takes no more bytes")
        if self._handle is None:
            raise LinkError("LINK.LOST", f"{self._port}: {GONE}")

    def discard(self) -> None:
        """Throw away what was not yet sent. It may cut a frame in half: begin the next one with its delimiter."""
        if self._handle is None:
            return
        self._backlog.clear()
        self._watch_for_room()
        if os.isatty(self._fd):
            with suppress(termios.error):
                termios.tcflush(self._fd, termios.TCOFLUSH)

    def drop(self, why: str) -> None:
        """Give the line up on purpose, reported like any other loss; what the kernel has taken is still sent."""
        if self._handle is not None:
            self._release(self._handle)
            self._loop.call_soon(self._report, why)

    async def close(self) -> None:
        """Release the port and wait for that; what the kernel has taken is still sent."""
        self._closed = True
        if self._handle is not None:
            self._release(self._handle)
        if self._closing is not None:
            await self._closing

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_words(error))
            return
        if data:
            self._on_bytes(data)
        else:
            self._lose("it was hung up")

    def _drain(self) -> None:
        try:
            sent = os.write(self._fd, self._backlog)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(_words(error))
            return
        del self._backlog[:sent]
        self._watch_for_room()

    def _watch_for_room(self) -> None:
        waiting = bool(self._backlog)
        if waiting and not self._waiting:
            self._loop.add_writer(self._fd, self._drain)
        elif self._waiting and not waiting:
            self._loop.remove_writer(self._fd)
        self._waiting = waiting

    def _lose(self, why: str) -> None:
        # What the kernel still holds is worth nothing now, and it can keep a port from closing for many seconds.
        self.discard()
        self.drop(why)

    def _release(self, handle: Handle) -> None:
        self._handle = None
        self._backlog.clear()
        self._waiting = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._closing = self._loop.run_in_executor(None, _close_handle, handle)

    def _report(self, why: str) -> None:
        if not self._closed:
            self._on_lost(f"{self._port}: the line is lost: {why}")


def _open_handle(port: str, mode: Mode) -> Handle:
    if "://" in port:
        return _open_tcp(port)
    serial = serialx.serial_for_url(
        f"device://{port}",
        baudrate=mode.baud,
        parity=serialx.PARITY_EVEN if mode.even_parity else serialx.PARITY_NONE,
        stopbits=mode.stop_bits,
        exclusive=True,
    )
    serial.open()
    # The library's lock keeps out those who ask for it, this mark the others. Not on a pty: there the mark outlives a
    # crash of this process for as long as the far end is open, and locks out whoever starts after it.
    if not on_pty(serial.fileno()):
        ioctl(serial.fileno(), termios.TIOCEXCL)
    return serial


def on_pty(fd: int) -> bool:
    """Tell whether a descriptor is the near end of a pty."""
    return os.major(os.fstat(fd).st_rdev) in PTY_MAJORS


def _open_tcp(port: str) -> Handle:
    url = urlsplit(port)
    if url.scheme != "tcp" or not url.hostname or not url.port:
        raise ValueError("expected a path or tcp://host:port")
    line = socket.create_connection((url.hostname, url.port), timeout=CONNECT_S)
    line.settimeout(0)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return line


def _close_handle(handle: Handle) -> None:
    # A port whose device is gone may complain when it is closed; it is released all the same.
    with suppress(OSError):
        handle.close()


def _close_unwanted(opening: asyncio.Future[Handle]) -> None:
    if opening.exception() is None:
        _close_handle(opening.result())


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
