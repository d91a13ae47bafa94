"""An application of our driver, as a process of its own: it drives 20 mA and keeps that alive, until it ends somehow.

`python -m tests.controller.sciencemode2.application PORT`. It says `driving` once current may flow; then it obeys one
word on its standard input: `raise` lets an error out of the loop that keeps the device alive, as a mistake would.
"""

from __future__ import annotations

import asyncio
import sys

from controller.devices.sciencemode2 import open_sciencemode2
from safety.effects import Arm, Drive, Envelope, Feed, Grant
from safety.messages import Event, Heard
from safety.times import SCIENCEMODE2
from safety.waveform import Picture, Train


async def main() -> None:
    answers: asyncio.Queue[Event] = asyncio.Queue()
    driver = await open_sciencemode2(sys.argv[1], SCIENCEMODE2, answers.put_nowait)
    await driver.connect()
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    driver.send(Arm(Grant(1, 1, 1_000), (Envelope(1, 40_000, 400, 25_000, 1_000_000_000),), 60_000))
    await answers.get()
    driver.send(Drive(Grant(1, 2, 2_000), Picture((Train(1, 20_000, 300, 100, 25_000),))))
    await answers.get()
    for number in range(3, 1_000_000):
        driver.send(Feed(Grant(1, number, number * 1_000)))
        is_well = isinstance(await answers.get(), Heard)
        if not is_well:
            raise RuntimeError("the device complains")
        if number == 3:
            print("driving", flush=True)  # noqa: T201 - what the test waits for
        if told.done():
            raise RuntimeError(told.result())
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
