"""The cable in memory: what it takes for bytes to arrive, what a discard leaves, a plug that is pulled; an emulator."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from hil import simtime
from hil.bench import Bench
from hil.cable import Cable, HostEnd, Pace
from hil.devices.native import native
from hil.devices.native_words import Identity
from hil.emulate import Emulator
from hil.simtime import SimLoop
from tests.hil.host import ASK, HELLO, PLAIN, START_US, STATUS, decoded, frame

pytestmark = pytest.mark.hazard("H35")

SLOW = Pace(10_000)
"""A byte takes 1 ms."""


def now_us() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop.now_us


class Ends:
    """A cable that is plugged in, and what arrives at each end of it, and when."""

    def __init__(self, pace: Pace = SLOW) -> None:
        self.at_device: list[tuple[int, bytes]] = []
        self.at_host: list[tuple[int, bytes]] = []
        self.lost: list[str] = []
        self.cable = Cable(pace)
        self.cable.on_bytes = lambda data: self.at_device.append((now_us(), data))
        self.cable.put()

    def open(self) -> HostEnd:
        return self.cable.open(lambda data: self.at_host.append((now_us(), data)), self.lost.append)


def run(main: Coroutine[Any, Any, None]) -> None:
    simtime.run(main)


@pytest.mark.parametrize(
    ("pace", "us"),
    [(Pace(115_200), 1_737), (Pace(460_800, 11), 478), (Pace(3_000_000, 11), 74), (Pace(10_000), 20_000)],
)
def test_twenty_bytes_take_what_their_bits_take_rounded_up(pace: Pace, us: int):
    assert pace.takes_us(20) == us
    assert pace.sends(us) == 20 + (us * pace.baud > 20 * pace.bits * 1_000_000)
    assert pace.sends(1) == 1
    assert pace.sends(0) == 0


def test_a_chunk_arrives_with_its_last_bit_and_chunks_queue_each_way_by_itself():
    async def main() -> None:
        ends = Ends()
        host = ends.open()
        host.write(b"four")
        host.write(b"xyz")
        ends.cable.write(b"12345")
        await asyncio.sleep(0.1)
        host.write(b"!")
        await asyncio.sleep(0.1)
        assert ends.at_device == [(4_000, b"four"), (7_000, b"xyz"), (101_000, b"!")]
        assert ends.at_host == [(5_000, b"12345")]

    run(main())


def test_a_discard_cuts_at_the_byte_that_is_on_the_wire_and_frees_it_behind_that():
    async def main() -> None:
        ends = Ends()
        host = ends.open()
        host.write(b"whole")
        host.write(b"halved")
        host.write(b"never")
        await asyncio.sleep(0.007_5)
        host.discard()
        host.write(b"stop")
        await asyncio.sleep(1)
        assert ends.at_device == [(5_000, b"whole"), (8_000, b"hal"), (12_000, b"stop")]
        host.discard()

    run(main())


def test_what_is_lost_never_arrives_and_holds_nothing_up():
    async def main() -> None:
        ends = Ends()
        host = ends.open()
        host.write(b"lost")
        ends.cable.to_device.lose()
        host.write(b"not")
        await asyncio.sleep(1)
        assert ends.at_device == [(3_000, b"not")]

    run(main())


def test_a_pulled_plug_loses_what_is_on_its_way_and_the_host_hears_of_it_once():
    async def main() -> None:
        ends = Ends()
        host = ends.open()
        host.write(b"lost")
        ends.cable.write(b"lost")
        ends.cable.pull()
        ends.cable.pull()
        assert not ends.cable.is_up
        assert ends.lost == []
        await asyncio.sleep(1)
        assert (ends.at_device, ends.at_host, ends.lost) == ([], [], ["it was hung up"])
        with pytest.raises(OSError, match="gone") as caught:
            host.write(b"x")
        assert caught.value.errno == errno.EIO
        host.discard()
        with pytest.raises(OSError, match="nothing is plugged in") as caught:
            ends.open()
        assert caught.value.errno == errno.ENOENT
        ends.cable.write(b"into the void")
        ends.cable.put()
        ends.open().write(b"back")
        await asyncio.sleep(1)
        assert [data for _, data in ends.at_device] == [b"back"]

    run(main())


def test_one_host_at_a_time_and_what_a_host_that_left_had_written_is_still_sent():
    async def main() -> None:
        ends = Ends()
        host = ends.open()
        with pytest.raises(OSError, match="open already") as caught:
            ends.open()
        assert caught.value.errno == errno.EBUSY
        host.write(b"last words")
        ends.cable.write(b"unheard")
        host.close()
        again = ends.open()
        ends.cable.write(b"heard")
        await asyncio.sleep(1)
        assert ends.at_device == [(10_000, b"last words")]
        assert ends.at_host == [(5_000, b"heard")]
        again.close()
        ends.cable.pull()
        await asyncio.sleep(1)
        assert ends.lost == []

    run(main())


def test_what_happens_to_a_host_happens_in_its_own_context():
    name = ContextVar("name", default="world")
    said: list[tuple[str, object]] = []

    async def main() -> None:
        cable = Cable(SLOW)
        cable.on_bytes = lambda _: said.append(("device", name.get()))
        cable.put()

        async def host() -> HostEnd:
            name.set("host")
            end = cable.open(lambda _: said.append(("host", name.get())), lambda _: said.append(("lost", name.get())))
            end.write(b"x")
            return end

        await asyncio.create_task(host())
        await asyncio.sleep(0.01)
        cable.write(b"y")
        await asyncio.sleep(0.01)
        cable.pull()
        await asyncio.sleep(0.01)

    run(main())
    assert said == [("device", "world"), ("host", "host"), ("lost", "host")]


# An emulator on it


def test_an_emulator_on_a_cable_answers_when_the_bits_have_passed_both_ways():
    hello, ask = frame(HELLO, 1), frame(ASK, 2)
    pace = Pace(115_200)

    async def main() -> None:
        bench = Bench(native(Identity(channels=1)), [PLAIN], START_US)
        ends = Ends(pace)
        emulator = Emulator(bench, ends.cable, now_us)
        emulator.start()
        host = ends.open()
        await asyncio.sleep(0.1)
        host.write(hello)
        await asyncio.sleep(0.1)
        ends.at_host.clear()
        asked_us = now_us()
        host.write(ask)
        await asyncio.sleep(0.1)
        ((at_us, data),) = ends.at_host
        assert decoded(data)[0]["type"] == STATUS
        heard_us = asked_us + pace.takes_us(len(ask))
        assert at_us == heard_us + pace.takes_us(len(data))
        assert [chunk.at_us for chunk in bench.tape.since(asked_us)] == [heard_us, heard_us]
        emulator.stop()

    simtime.run(main(), start_us=START_US)
