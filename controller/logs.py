"""What the service logs: one JSON object a line on standard error.

Only keys that are known to hold no patient's data pass; a key that nobody has listed is named, and its value is not.
Lines are written by a thread of their own: a terminal or pipe that nobody reads must not hold up a stop, and one whose
reader is gone must not break it.
"""

import atexit
import os
import queue
import sys
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog

KEYS = frozenset(
    {"event", "level", "timestamp", "exception", "exc_info"}
    | {"boot_id", "other_boot_id", "instance", "policy", "hard_limits", "device", "devices", "port", "topic"}
    | {"principal", "verb", "code", "count", "error", "why", "trigger"}
)
"""The allow-list. `error` and `why` are texts of our own, made of codes, paths and figures."""
WAITING = 4096
"""Lines that may wait to be written; further ones are lost (engineering default)."""
CLOSE_S = 1.0
"""How long a service that ends waits for its last lines to be written (engineering default)."""


def only_known(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what is on the allow-list, and name what was held back."""
    held_back = sorted(line.keys() - KEYS)
    known = {key: value for key, value in line.items() if key in KEYS}
    return known | {"held_back": held_back} if held_back else known


class LineWriter:
    """Writes lines to a descriptor; what cannot be written is lost. Only `close` waits, and nothing raises."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def msg(self, line: str | None) -> None:
        """Have a line written; None ends the writer."""
        with suppress(queue.Full):
            self._lines.put_nowait(line)

    debug = info = warning = error = critical = msg

    def close(self) -> None:
        """Wait, but not for long, until all is written."""
        self.msg(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            data = f"{line}\n".encode(errors="backslashreplace")
            with suppress(OSError):
                while data:
                    data = data[os.write(self._descriptor, data) :]


def configure() -> LineWriter:
    """Set logging up for a service; the writer is to be closed before anything else is said on standard error."""
    writer = LineWriter(sys.stderr.fileno())
    atexit.register(writer.close)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            only_known,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    return writer
