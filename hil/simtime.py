"""An event loop on virtual time: whole microseconds, no thread, no selector; only the order of deadlines decides.

| there is               | the loop                                                                        |
|------------------------|---------------------------------------------------------------------------------|
| something ready        | runs it, first come, first served; no time passes                               |
| only deadlines         | jumps to the earliest; equal ones in the order in which they were set           |
| neither                | raises StandstillError: nobody would ever wake up who waits                     |
| no end of ready things | raises StandstillError: time would never pass                                   |

What runs in the context of a `Process` belongs to it, and so does all that it begins. A process that is held takes part
in nothing: its callbacks wait, in order, until it is let go, or until the loop ends.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Handle, TimerHandle
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, NoReturn, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TURNS = 1_000_000
"""Turns of the loop in one microsecond that nothing sensible ever takes. Engineering default."""


class StandstillError(RuntimeError):
    """Virtual time cannot go on."""


class Process:
    """What is held up, or dies, as one, while the rest of the world goes on."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._waiting: list[Handle] = []
        self.context = copy_context()
        self.context.run(_PROCESS.set, self)
        self.is_held = False
        loop.processes.append(self)

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Have something called in this process, soon; while it is held it waits."""
        self._loop.call_soon(callback, *args, context=self.context)

    def hold(self) -> None:
        """Let nothing of it run any more; without a release this is its death."""
        self.is_held = True

    def release(self) -> None:
        """Let it run on: all whose time has come meanwhile comes now, in order."""
        self.is_held = False
        self._loop.resume(self._waiting)

    def keep(self, handle: Handle) -> None:
        """Keep a callback whose time has come until the process is released."""
        self._waiting.append(handle)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class SimLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number. `speed`: how many times real time it may run at most."""

    def __init__(self, start_us: int = 0, speed: float = inf) -> None:
        super().__init__()
        self.now_us = start_us
        self._start_us, self._speed, self._started_s = start_us, speed, time.monotonic()
        self._ready: deque[Handle] = deque()
        self._deadlines: list[tuple[int, int, TimerHandle]] = []
        self._number = count()
        self._turns = 0
        self.processes: list[Process] = []
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], None] = WeakKeyDictionary()

    def time(self) -> float:
        """Give the time in seconds."""
        return self.now_us / 1_000_000

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Handle:
        """Call it before time goes on."""
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> TimerHandle:
        """Call it at a time in seconds, rounded to the microsecond; what lies behind is called now."""
        handle = TimerHandle(when, callback, args, self, context)
        heappush(self._deadlines, (max(self.now_us, round(when * 1_000_000)), next(self._number), handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> TimerHandle:
        """Call it after so many seconds, rounded to the microsecond."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **of: Any) -> asyncio.Task[T]:  # noqa: ANN401
        """Begin a task, and know in which order they were begun."""
        task = super().create_task(coro, **of)
        self._tasks[task] = None
        return task

    def resume(self, waiting: list[Handle]) -> None:
        """Take up what a process had to leave."""
        self._ready.extend(waiting)
        waiting.clear()

    def end(self) -> None:
        """Cancel all that still runs, in the order in which it began, and close; what is held is cancelled, too."""
        self._turns = 0
        for process in self.processes:
            process.release()
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        for task, result in zip(tasks, self.run_until_complete(_all(tasks)), strict=True):
            if isinstance(result, Exception):
                self.call_exception_handler({"message": "a task failed at the end", "exception": result, "task": task})
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()

    def _run_once(self) -> None:
        ready, deadlines = self._ready, self._deadlines
        if not ready:
            self._go_on()
        self._turns += 1
        if self._turns > TURNS:
            raise StandstillError(f"at {self.now_us} us something is always ready: time would never go on")
        while deadlines and deadlines[0][0] <= self.now_us:
            ready.append(heappop(deadlines)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]  # noqa: SLF001 - 3.12 has get_context
            if process is not None and process.is_held:
                process.keep(handle)
            else:
                handle._run()  # noqa: SLF001 - so does the loop of the standard library

    def _go_on(self) -> None:
        deadlines = self._deadlines
        while deadlines and deadlines[0][2].cancelled():
            heappop(deadlines)
        if not deadlines:
            raise StandstillError(f"at {self.now_us} us nothing is scheduled, and something still waits")
        if deadlines[0][0] > self.now_us:
            self.now_us, self._turns = deadlines[0][0], 0
        if self._speed < inf:
            due_s = self._started_s + (self.now_us - self._start_us) / 1_000_000 / self._speed
            time.sleep(max(0.0, due_s - time.monotonic()))

    # What would let the outside in, and with it chance

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        pass

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("virtual time knows no threads, descriptors or signals")

    call_soon_threadsafe = _refuse
    run_in_executor = _refuse
    add_reader = add_writer = _refuse
    add_signal_handler = _refuse


async def _all(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def run(main: Coroutine[Any, Any, T], *, start_us: int = 0, speed: float = inf) -> T:
    """Run a coroutine on virtual time from its start to its end, then end everything, as asyncio.run does."""
    loop = SimLoop(start_us, speed)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.end()
