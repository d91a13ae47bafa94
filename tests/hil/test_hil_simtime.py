"""The event loop on virtual time: its order, its end, what it refuses, and processes that are held or die."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from hil import simtime
from hil.simtime import Process, SimLoop, StandstillError

pytestmark = pytest.mark.hazard("H35")

HOUR_S = 3_600


def sim() -> SimLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


def test_an_hour_passes_at_once_and_to_the_microsecond():
    async def main() -> tuple[int, float]:
        await asyncio.sleep(HOUR_S)
        await asyncio.sleep(0.000_001)
        return sim().now_us, sim().time()

    assert simtime.run(main(), start_us=7) == (HOUR_S * 1_000_000 + 8, HOUR_S + 8e-6)


def test_what_is_ready_comes_first_then_deadlines_by_time_and_equal_ones_as_they_were_set():
    said: list[object] = []

    async def main() -> None:
        loop = sim()
        for name in "abc":
            loop.call_later(0.002, said.append, name)
        loop.call_at(0.001, said.append, "early")
        loop.call_at(-5, said.append, "past")
        loop.call_soon(said.append, "soon")
        await asyncio.sleep(0.002)
        said.append(loop.now_us)

    simtime.run(main())
    assert said == ["soon", "past", "early", "a", "b", "c", 2_000]


def test_many_equal_deadlines_keep_their_order_among_others():
    numbers = random.Random(4).choices(range(20), k=2_000)  # noqa: S311 - an order, no secret
    said: list[tuple[int, int]] = []

    async def main() -> None:
        for nth, ms in enumerate(numbers):
            sim().call_later(ms / 1_000, lambda ms=ms, nth=nth: said.append((ms, nth)))
        await asyncio.sleep(1)

    simtime.run(main())
    assert said == sorted((ms, nth) for nth, ms in enumerate(numbers))


def test_a_cancelled_deadline_neither_calls_nor_moves_the_time():
    async def main() -> int:
        for wait_s in (5, 0.5):
            sim().call_later(wait_s, pytest.fail, "it was cancelled").cancel()
        await asyncio.sleep(1)
        return sim().now_us

    assert simtime.run(main()) == 1_000_000


def test_timeouts_queues_and_groups_work_as_on_any_loop():
    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        said: list[object] = []

        async def feed() -> None:
            for n in range(3):
                await asyncio.sleep(1)
                queue.put_nowait(n)

        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            said += [await queue.get() for _ in range(3)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await queue.get()
        return [*said, sim().now_us]

    assert simtime.run(main()) == [0, 1, 2, 13_000_000]


def test_the_result_and_the_error_of_the_main_coroutine_come_back():
    async def right() -> str:
        return "right"

    async def wrong() -> None:
        raise KeyError("wrong")

    assert simtime.run(right()) == "right"
    with pytest.raises(KeyError, match="wrong"):
        simtime.run(wrong())


def test_a_standstill_is_an_error_that_says_when():
    async def main() -> None:
        await asyncio.sleep(1)
        await asyncio.Event().wait()

    with pytest.raises(StandstillError, match="at 1000000 us nothing is scheduled"):
        simtime.run(main())


@pytest.mark.parametrize("wait_s", [0, 1e-9])
def test_a_poll_without_an_end_is_an_error_too(monkeypatch: pytest.MonkeyPatch, wait_s: float):
    monkeypatch.setattr(simtime, "TURNS", 100)

    async def main() -> None:
        while True:  # noqa: ASYNC110 - that is the mistake
            await asyncio.sleep(wait_s)

    with pytest.raises(StandstillError, match="at 0 us something is always ready"):
        simtime.run(main())


def outside() -> list[tuple[str, Callable[[SimLoop], object]]]:
    return [
        ("executor", lambda loop: loop.run_in_executor(None, print)),
        ("threadsafe", lambda loop: loop.call_soon_threadsafe(print)),
        ("reader", lambda loop: loop.add_reader(0, print)),
        ("writer", lambda loop: loop.add_writer(0, print)),
        ("signal", lambda loop: loop.add_signal_handler(signal.SIGTERM, print)),
    ]


@pytest.mark.parametrize("use", [use for _, use in outside()], ids=[name for name, _ in outside()])
def test_what_would_let_chance_in_is_refused(use: Callable[[SimLoop], object]):
    async def main() -> None:
        with pytest.raises(RuntimeError, match="knows no threads, descriptors or signals"):
            use(sim())

    simtime.run(main())


def test_at_the_end_tasks_are_cancelled_in_the_order_in_which_they_began():
    ended: list[int] = []

    async def waits(n: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(n)

    async def main() -> None:
        main.tasks = [asyncio.create_task(waits(n)) for n in range(100)]  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    simtime.run(main())
    assert ended == list(range(100))


def test_a_task_that_fails_while_it_is_cancelled_is_told(caplog: pytest.LogCaptureFixture):
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("on the way out")

    async def main() -> None:
        main.task = asyncio.create_task(fails())  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    simtime.run(main())
    assert "a task failed at the end" in caplog.text
    assert "on the way out" in caplog.text


def test_real_time_is_one_option():
    async def main() -> None:
        for _ in range(5):
            await asyncio.sleep(0.01)

    began_s = time.monotonic()
    simtime.run(main(), speed=1.0)
    assert time.monotonic() - began_s >= 0.05


# Processes


async def ticks(said: list[int], period_s: float = 1) -> None:
    while True:
        await asyncio.sleep(period_s)
        said.append(sim().now_us // 1_000_000)


def test_a_process_that_is_held_does_nothing_and_then_goes_on_late_while_the_world_goes_on():
    held: list[int] = []
    free: list[int] = []

    async def main() -> None:
        process, tasks = Process(sim()), set[asyncio.Task[None]]()
        process.call(lambda: tasks.add(asyncio.create_task(ticks(held))))
        tasks.add(asyncio.create_task(ticks(free)))
        await asyncio.sleep(2.5)
        process.hold()
        await asyncio.sleep(3)
        process.release()
        await asyncio.sleep(2)

    simtime.run(main())
    assert free == [1, 2, 3, 4, 5, 6, 7]
    assert held == [1, 2, 5, 6, 7]


def test_what_comes_to_a_process_while_it_is_held_comes_afterwards_and_in_order():
    said: list[int] = []

    async def main() -> None:
        process = Process(sim())
        process.hold()
        for n in range(5):
            process.call(said.append, n)
            await asyncio.sleep(1)
        assert said == []
        process.release()
        await asyncio.sleep(0)

    simtime.run(main())
    assert said == [0, 1, 2, 3, 4]


def test_a_process_that_dies_runs_not_even_what_it_would_do_last():
    said: list[str] = []

    async def lives() -> None:
        try:
            await asyncio.sleep(HOUR_S)
        finally:
            said.append("last words")

    async def main() -> list[str]:
        process, tasks = Process(sim()), list[asyncio.Task[None]]()
        process.call(lambda: tasks.append(asyncio.create_task(lives())))
        await asyncio.sleep(1)
        process.hold()
        tasks[0].cancel()
        await asyncio.sleep(2 * HOUR_S)
        return [*said, repr(tasks[0].done())]

    assert simtime.run(main()) == ["False"]
    assert said == ["last words"]


CHANCE = """
import asyncio, random
from hil import simtime

said = []

async def worker(name):
    while True:
        await asyncio.sleep(random.choice((0.001, 0.002)))
        said.append(f"{name} {asyncio.get_running_loop().now_us}")

async def main():
    random.seed(3)
    tasks = [asyncio.create_task(worker(f"w{n}")) for n in range(20)]
    await asyncio.sleep(1)

simtime.run(main())
print("\\n".join(said))
"""


def test_the_same_seed_gives_the_same_order_in_processes_with_different_hash_seeds():
    def said(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", CHANCE]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    first, second = said("1"), said("2")
    assert first == second
    assert len(first.splitlines()) > 12_000
