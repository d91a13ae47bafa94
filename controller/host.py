"""What the service takes from the computer that it runs on: the time, threads for what blocks, ports, and chance.

All that could make two runs differ comes in here; virtual.py gives the service another computer.
"""

import asyncio
import gc
import secrets
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, TypeVarTuple

from safety.messages import Now

from . import clock
from .clock import is_disciplined
from .link import Link, Mode

SWITCH_S = 0.001
"""How long a thread may go on while another wants to; Python's 5 ms would be most of a stop's way (ADR 0016)."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def keep_turns_short() -> None:
    """Prepare this process for work in time, once all is loaded; for a process that does nothing else.

    What is loaded stays, so it is no garbage: looking through it would hold everything up for 50 ms now and then.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


class Worker(Protocol):
    """Does what blocks, one call after the other, while the event loop goes on."""

    async def do(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Give what the call gives, or raise what it raises."""


class Thread:
    """A worker that is a thread."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def do(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Give what the call gives, or raise what it raises; a call that has begun goes on when this is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)


class Line(Protocol):
    """An open line as `link.Link` gives it, or one in memory."""

    @property
    def is_pty(self) -> bool:
        """Tell whether a program stands at the far end for certain."""

    def write(self, data: bytes) -> None:
        """Hand bytes over without waiting. Raises LinkError when the line is gone."""

    def discard(self) -> None:
        """Throw away what was not yet sent."""

    def drop(self, why: str) -> None:
        """Give the line up on purpose; it is reported like any other loss."""

    async def close(self) -> None:
        """Release the line; nothing is reported."""


class OpenLine(Protocol):
    """How a line is opened."""

    def __call__(
        self, port: str, mode: Mode, *, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> Awaitable[Line]:
        """Open a line that nobody else holds. Raises LinkError."""


class Host(NamedTuple):
    """A computer."""

    clock: Callable[[], Now] = clock.now
    worker: Callable[[str], Worker] = Thread
    open_line: OpenLine = Link.open
    token: Callable[[], str] = partial(secrets.token_hex, 4)
    is_disciplined: Callable[[], bool] = is_disciplined
    seed: Callable[[], bytes] = partial(secrets.token_bytes, 32)


HOST = Host()
"""This one."""
