"""The patient's stop at the bedside: a button on the computer, next to the one on the stimulator.

A Linux input device (a foot switch, a large red USB button) sends records of 24 bytes; any key that goes down stops the
stations that it is for. The file is opened again when it comes back. That the button is there and was tried is the
operator's duty until rule G24 asks for it.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

import structlog

from safety.messages import PatientStop

log = structlog.get_logger()

RECORD = struct.Struct("llHHi")
"""struct input_event of 64-bit Linux: seconds, microseconds, type, code, value (linux/input.h)."""
KEY = 1
DOWN = 1
RETRY_S = 1.0


def is_press(record: bytes) -> bool:
    """Tell whether a record says that a key went down."""
    _, _, kind, _, value = RECORD.unpack(record)
    return bool(kind == KEY and value == DOWN)


class StopButton:
    """One input device; `post` is called for each press."""

    def __init__(self, path: Path, post: Callable[[PatientStop], None]) -> None:
        self._path = path
        self._post = post
        self._held = b""
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled, and open the device anew whenever it is lost."""
        told = ""
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if told != str(error.strerror):
                    told = str(error.strerror)
                    log.error("stop_button.absent", port=str(self._path), error=told)
                await asyncio.sleep(RETRY_S)
                continue
            told = ""
            log.info("stop_button.ready", port=str(self._path))
            await self._listen(descriptor)

    async def _listen(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        self._held = b""
        self._gone.clear()
        loop.add_reader(descriptor, self._read, descriptor)
        try:
            await self._gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        log.error("stop_button.lost", port=str(self._path))
        await asyncio.sleep(RETRY_S)

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, RECORD.size * 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone.set()
            return
        data = self._held + data
        whole = len(data) - len(data) % RECORD.size
        self._held = data[whole:]
        for at in range(0, whole, RECORD.size):
            if is_press(data[at : at + RECORD.size]):
                log.warning("stop_button.pressed", port=str(self._path))
                self._post(PatientStop())
