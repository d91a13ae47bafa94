"""The host of a real controller: one process by its number, acted on from outside by what the system permits."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from hil.host import Disk, NoHost

SMALL = 256 * 1024 * 1024
"""A file system is filled only if it is no larger: that of a test, and of nobody else. Engineering default."""

BALLAST = ".stimwarden-hil-ballast"


class ProcessHost:
    """A process. What it has no means for, a harness may give as functions; `close` restores everything.

    The disk: with `folder` the mount point of a small file system of its own, that is filled (ENOSPC) or mounted
    read-only (EROFS; refused by the system while a file in it is open for writing). Else no file of the process can
    grow: EFBIG, on whatever file it writes. `disk_error` tells which of them stands.
    """

    def __init__(
        self,
        pid: int,
        *,
        folder: Path | None = None,
        jump: Callable[[int], None] | None = None,
        broker: Callable[[bool], None] | None = None,
        flood: Callable[[int], None] | None = None,
    ) -> None:
        """Take hold of a process; raises NoHost when there is none, or when it is the bench itself."""
        if pid == os.getpid():
            raise NoHost(f"process {pid} is the bench itself")
        try:
            # Not the number: it may be another process's by the time that a fault begins.
            self._process = os.pidfd_open(pid)
        except OSError as error:
            raise NoHost(f"process {pid}: {error.strerror}") from error
        self.pid = pid
        self.disk_error: str | None = None
        self._folder = folder
        self._given: dict[str, Callable[..., None]] = {
            name: act for name, act in (("jump", jump), ("broker", broker), ("flood", flood)) if act
        }
        self._timer: threading.Timer | None = None
        self._usual: dict[int, tuple[int, int]] = {}

    @property
    def lacks(self) -> Mapping[str, str]:
        """What cannot be had for this process now."""
        lacks = {
            "jump": "no process has a wall clock of its own, and the machine's is left alone",
            "broker": "the harness gave no broker to take away",
            "flood": "the harness gave no broker to flood",
        }
        try:
            signal.pidfd_send_signal(self._process, 0)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        except ProcessLookupError:
            lacks |= dict.fromkeys(("stall", "disk", "press"), f"process {self.pid} has ended")
        except PermissionError:
            lacks |= dict.fromkeys(("stall", "disk", "press"), f"process {self.pid} is somebody else's")
        return {name: why for name, why in lacks.items() if name not in self._given}

    def stall(self, ms: int) -> None:
        """Stop the process, and let it go on in time; a stop does not end with this program."""
        if self._timer:
            self._timer.cancel()
        self._signal(signal.SIGSTOP if ms else signal.SIGCONT)
        self._timer = threading.Timer(ms / 1000, self._signal, [signal.SIGCONT]) if ms else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def jump(self, ms: int) -> None:
        """As the harness does it."""
        self._given["jump"](ms)

    def disk(self, state: Disk) -> None:
        """Mend what was broken before, then break it in this way."""
        self._mend()
        if state == "full" and self._is_ours():
            self._fill()
            self.disk_error = "ENOSPC"
        elif state == "read_only" and self._is_ours() and self._remounted("ro"):
            self.disk_error = "EROFS"
        elif state != "ok":
            self._limit(resource.RLIMIT_FSIZE, 0)
            self.disk_error = "EFBIG"

    def press(self, left: int | None) -> None:
        """Limit its address space."""
        self._unlimit(resource.RLIMIT_AS)
        if left is not None:
            self._limit(resource.RLIMIT_AS, self._held() + left)

    def broker(self, away: bool) -> None:
        """As the harness does it."""
        self._given["broker"](away)

    def flood(self, rate: int) -> None:
        """As the harness does it."""
        self._given["flood"](rate)

    def close(self) -> None:
        """Let the process go on as if nothing had been."""
        self.stall(0)
        self._mend()
        self._unlimit(resource.RLIMIT_AS)
        os.close(self._process)

    def _signal(self, number: signal.Signals) -> None:
        # A process that has ended in the meantime needs no fault.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    # --- limits -------------------------------------------------------------------------------------------------------

    def _held(self) -> int:
        """Bytes of its address space."""
        with suppress(FileNotFoundError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[0])
            return pages * resource.getpagesize()
        return 0

    def _limit(self, kind: int, soft: int) -> None:
        with suppress(ProcessLookupError):
            usual = resource.prlimit(self.pid, kind)
            self._usual.setdefault(kind, usual)
            resource.prlimit(self.pid, kind, (soft, usual[1]))

    def _unlimit(self, kind: int) -> None:
        if usual := self._usual.pop(kind, None):
            with suppress(ProcessLookupError):
                resource.prlimit(self.pid, kind, usual)

    # --- disk ---------------------------------------------------------------------------------------------------------

    def _is_ours(self) -> bool:
        """Whether the folder is a file system that nobody else needs."""
        if self._folder is None or not self._folder.is_mount():
            return False
        found = os.statvfs(self._folder)
        return found.f_blocks * found.f_frsize <= SMALL

    def _fill(self) -> None:
        with suppress(OSError), self._ballast().open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(65_536))

    def _mend(self) -> None:
        self._unlimit(resource.RLIMIT_FSIZE)
        if self.disk_error == "EROFS":
            self._remounted("rw")
        if self.disk_error == "ENOSPC":
            self._ballast().unlink(missing_ok=True)
        self.disk_error = None

    def _ballast(self) -> Path:
        return (self._folder or Path()) / BALLAST

    def _remounted(self, how: str) -> bool:
        command = ["mount", "-o", f"remount,{how}", str(self._folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
