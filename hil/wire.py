"""The line between host and device as the operating system knows it: a pseudo terminal, or memory for tests."""

from __future__ import annotations

import asyncio
import os
import socket
import tty
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Protocol

READ_SIZE = 4096


class InUse(Exception):  # noqa: N818 - the name a user reads in a message needs no suffix
    """A path that another bench serves, or that holds something which is not ours to replace."""


class Claim:
    """A path claimed by one process; the claim ends with the process, however it ends.

    A name in the abstract socket space is the lock: it needs no file that a killed process would leave behind.
    """

    def __init__(self, path: Path) -> None:
        real = path.parent.resolve() / path.name
        self._lock = socket.socket(socket.AF_UNIX)
        try:
            self._lock.bind(b"\0stimwarden-hil-" + sha256(os.fsencode(real)).hexdigest().encode())
        except OSError as taken:
            self._lock.close()
            raise InUse(f"{path}: another emulator serves it") from taken

    def end(self) -> None:
        """Give the path free."""
        self._lock.close()


class Line(Protocol):
    """What the emulator needs of a line."""

    on_bytes: Callable[[bytes], None]

    @property
    def is_up(self) -> bool:
        """True while the host is connected, or can be."""

    def write(self, data: bytes) -> None:
        """Send bytes to the host; what it does not fetch is lost, as on a serial line without flow control."""

    def put(self) -> None:
        """Connect the line."""

    def pull(self) -> None:
        """Take the line away, as a pulled plug does."""

    def close(self) -> None:
        """Leave nothing behind."""


def _unheard(_: bytes) -> None:
    pass


class NullModem:
    """A line in memory: bytes are at the other end at once."""

    def __init__(self, on_host_bytes: Callable[[bytes], None]) -> None:
        self.on_bytes: Callable[[bytes], None] = _unheard
        self.is_up = False
        self._on_host_bytes = on_host_bytes

    def send(self, data: bytes) -> None:
        """Send bytes from the host; raises OSError when the line is pulled."""
        if not self.is_up:
            raise OSError("the line is pulled")
        self.on_bytes(data)

    def write(self, data: bytes) -> None:
        """Send bytes to the host."""
        if self.is_up:
            self._on_host_bytes(data)

    def put(self) -> None:
        """Connect the line."""
        self.is_up = True

    def pull(self) -> None:
        """Take the line away."""
        self.is_up = False

    close = pull


class Pty:
    """A pseudo terminal behind a symbolic link, for a host that wants a serial port; needs a running event loop."""

    def __init__(self, link: Path) -> None:
        """Claim the link; raises InUse."""
        self.on_bytes: Callable[[bytes], None] = _unheard
        self.link = link
        self._claim = Claim(link)
        self._ends: tuple[int, int] | None = None
        ours = link.is_symlink() and link.readlink().is_relative_to("/dev/pts")
        if os.path.lexists(link) and not ours:
            self._claim.end()
            raise InUse(f"{link}: exists and is not a link to a pseudo terminal")

    @property
    def is_up(self) -> bool:
        """True while a host can open the link."""
        return self._ends is not None

    def put(self) -> None:
        """Make a new pseudo terminal and point the link at it."""
        if self._ends:
            return
        master, slave = os.openpty()
        # The slave stays open here: a host may close it and come back without an error on this side.
        tty.setraw(slave)
        os.fchmod(slave, 0o600)
        os.set_blocking(master, False)
        self._ends = master, slave
        fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.link)
        asyncio.get_running_loop().add_reader(master, self._read, master)

    def pull(self) -> None:
        """Hang up: the host's reads end, its writes fail, the link is gone."""
        if not self._ends:
            return
        master, slave = self._ends
        self._ends = None
        self.link.unlink(missing_ok=True)
        asyncio.get_running_loop().remove_reader(master)
        os.close(slave)
        os.close(master)

    def close(self) -> None:
        """Hang up and give the link free."""
        self.pull()
        self._claim.end()

    def write(self, data: bytes) -> None:
        """Send bytes to the host."""
        if not self._ends:
            return
        try:
            os.write(self._ends[0], data)
        except BlockingIOError:
            # The host does not read and the terminal's buffer is full.
            return

    def _read(self, master: int) -> None:
        try:
            data = os.read(master, READ_SIZE)
        except BlockingIOError:
            # The host flushed what it had written.
            return
        self.on_bytes(data)
