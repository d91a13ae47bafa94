"""The house in memory with a toy for a controller: what it takes from the world and what the world may do to it."""

# ruff: noqa: ARG002 - a toy is told more than it needs

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hil import simtime
from hil.bench import Bench
from hil.body import Skin
from hil.devices.device import Asked
from hil.devices.kinds import KINDS
from hil.host import NoHost
from hil.target import Person, Seat, Serial, Site, Target, World
from hil.world import PACES, SYNC_US, House, InFlight, Published

pytestmark = pytest.mark.hazard("H35")

START_US = 7_000_000
WALL_US = 1_795_000_000_000_000


class Toy:
    """A controller that writes a byte and says the time each second, and repeats what it hears."""

    def __init__(self, site: Site, world: World) -> None:
        self.site = site
        self.world = world
        self.lost: list[str] = []
        self.got = b""
        self.let_go = False
        self.wrote_last = False
        self.line: Serial
        self._ending = asyncio.Event()

    async def run(self) -> None:
        (seat,) = self.site.seats
        pace = PACES[seat.kind]
        self.line = self.world.open_line(seat.port, pace.baud, pace.bits, self._take, self.lost.append)
        self.world.log("it lives")
        try:
            while not self._ending.is_set():
                self.line.write(b"\0")
                self.world.publish("toy/time", str(self.world.now_us()).encode(), retain=True)
                await asyncio.sleep(1)
        finally:
            self.wrote_last = True
            self.world.publish("toy/last", b"")
            self.world.log("it ends")

    def _take(self, data: bytes) -> None:
        self.got += data

    def hear(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        self.world.publish(f"toy/{topic}", payload, qos=0, retain=retained)

    def end(self) -> None:
        self._ending.set()

    def die(self) -> None:
        self.let_go = True

    def prescribe(self, text: str) -> str:
        return text


def toy_of(house: House) -> Toy:
    target: Target = house.target
    assert isinstance(target, Toy)
    return target


def told(story: Callable[[House], Coroutine[Any, Any, None]], kind: str = "native") -> House:
    """Tell a story of a house with one bed."""

    async def main() -> House:
        asked = Asked(KINDS[kind].serial, KINDS[kind].channels, boot=1)
        bench = Bench(KINDS[kind].plan(asked), [Skin()] * asked.channels, START_US)
        site = Site("home", Path("nowhere"), (Seat("dev1", kind, "bed1"),), (Person("ann", "physio"),))
        house = House(Toy, site, {"bed1": bench}, seed=3, wall_us=WALL_US)
        await story(house)
        return house

    return simtime.run(main(), start_us=START_US)


def times(house: House) -> list[int]:
    return [int(message.payload) for message in house.published if message.topic == "toy/time"]


def test_what_it_says_is_kept_with_its_time_and_told_in_the_worlds_own_context():
    heard: list[Published] = []

    async def story(house: House) -> None:
        house.on_published = heard.append
        house.start()
        await asyncio.sleep(1.5)
        house.hear("word", b"again", retained=True)
        await asyncio.sleep(0)
        assert house.published[-1] == (START_US + 1_500_000, "toy/word", b"again", 0, True, None)
        # Told from the world's own process: it goes on while the controller is held.
        house.stall(1_000)
        await asyncio.sleep(0)
        assert heard == house.published

    house = told(story)
    assert [message.payload for message in heard[:2]] == [b"7000000", b"8000000"]
    assert house.logged[0] == "it lives"


def test_each_life_has_a_token_of_its_own_that_follows_from_the_seed():
    random = Random(3)  # noqa: S311 - the seed of the house
    tokens = (f"{random.getrandbits(32):08x}", f"{random.getrandbits(32):08x}")

    async def story(house: House) -> None:
        house.start()
        first = toy_of(house).world.token()
        house.kill()
        house.start()
        assert (first, toy_of(house).world.token()) == tokens

    told(story)


def test_the_wall_clock_may_be_set_and_the_boot_clock_goes_on():
    async def story(house: House) -> None:
        house.start()
        world = toy_of(house).world
        assert (world.now_us(), world.wall_us()) == (START_US, WALL_US)
        house.jump(-60_000)
        await asyncio.sleep(1)
        assert (world.now_us(), world.wall_us()) == (START_US + 1_000_000, WALL_US - 59_000_000)

    told(story)


def test_a_disk_takes_its_time_and_another_one_another_time():
    async def story(house: House) -> None:
        house.start()
        world = toy_of(house).world
        assert world.disk_us("journal") == (SYNC_US, 0)
        house.disk_us = lambda whose: (len(whose), 1)
        assert world.disk_us("journal") == (7, 1)

    told(story)


@pytest.mark.parametrize(("in_flight", "landed"), [("lands", 4), ("torn", 2), ("lost", 0)])
def test_a_kill_drops_the_handles_and_no_last_word_is_heard(in_flight: InFlight, landed: int):
    async def story(house: House) -> None:
        house.start()
        await asyncio.sleep(0.5)
        toy = toy_of(house)
        came = house.beds["bed1"].bench.tape.since()
        toy.line.write(b"\0\0\0\0")
        await asyncio.sleep(PACES["native"].takes_us(1) * 1.5e-6)
        house.kill(in_flight)
        assert toy.let_go
        await asyncio.sleep(10)
        chunks = [chunk.data for chunk in house.beds["bed1"].bench.tape.since()[len(came) :]]
        assert b"".join(chunks) == bytes(landed)
        assert times(house) == [START_US]
        assert not toy.wrote_last
        house.beds["bed1"].cable.pull()
        await asyncio.sleep(1)
        assert toy.lost == []
        house.hear("word", b"lost")
        with pytest.raises(RuntimeError, match="no controller lives"):
            house.kill()
        house.stall(1)

    house = told(story)
    # Its last words were said when the loop ended, and nobody heard them.
    assert "toy/last" not in {message.topic for message in house.published}
    assert house.logged == ["it lives"]


def test_a_disk_that_takes_nothing_says_why_until_it_is_well_again():
    async def story(house: House) -> None:
        house.start()
        world = toy_of(house).world
        for fault, number in (("disk_full", errno.ENOSPC), ("read_only_disk", errno.EROFS)):
            with (
                house.beds["bed1"].bench.faults.injected(fault),
                pytest.raises(OSError, match=os.strerror(number)) as caught,
            ):
                world.disk_us("journal")
            assert caught.value.errno == number
            assert world.disk_us("journal") == (SYNC_US, 0)

    told(story)


def test_what_a_house_in_memory_lacks_is_refused_by_name():
    async def story(house: House) -> None:
        bench = house.beds["bed1"].bench
        for fault in ("memory_pressure", "broker_loss", "broker_flood"):
            with pytest.raises(NoHost, match=r"no memory of its own|there is none"):
                bench.faults.inject(fault)
        for act in (lambda: house.press(1), lambda: house.broker(True), lambda: house.flood(1)):
            with pytest.raises(NoHost):
                act()

    told(story)


def test_the_next_life_has_the_line_to_itself():
    async def story(house: House) -> None:
        house.start()
        await asyncio.sleep(0.5)
        dead = toy_of(house)
        with pytest.raises(RuntimeError, match="it lives already"):
            house.start()
        house.kill()
        house.start()
        await asyncio.sleep(1)
        assert times(house) == [START_US, START_US + 500_000]
        with pytest.raises(OSError, match="gone"):
            dead.line.write(b"x")

    told(story)


def test_a_stall_holds_it_up_and_a_kill_ends_the_stall():
    async def story(house: House) -> None:
        house.start()
        await asyncio.sleep(0.5)
        house.stall(2_000)
        house.stall(3_000)
        await asyncio.sleep(4)
        assert times(house) == [START_US, START_US + 3_500_000]
        house.stall(1_000)
        house.kill()
        await asyncio.sleep(5)
        assert len(times(house)) == 2

    told(story)


def test_it_ends_in_order_when_it_is_told_to():
    async def story(house: House) -> None:
        house.start()
        await asyncio.sleep(0.5)
        await house.end()
        assert (house.published[-1].topic, house.logged) == ("toy/last", ["it lives", "it ends"])
        assert house.loop.now_us == START_US + 1_000_000

    told(story)


@pytest.mark.parametrize("kind", sorted(PACES))
def test_a_line_is_opened_at_the_pace_of_its_device_and_at_no_other(kind: str):
    async def story(house: House) -> None:
        house.start()
        await asyncio.sleep(0.5)
        world, pace = toy_of(house).world, PACES[kind]
        with pytest.raises(OSError, match="open already"):
            world.open_line("bed1", *pace, print, print)
        for wrong in (pace._replace(bits=12), pace._replace(baud=9_600)):
            with pytest.raises(ValueError, match="bed1 is at"):
                world.open_line("bed1", *wrong, print, print)

    assert sorted(PACES) == sorted(KINDS)
    told(story, kind)


def test_a_house_needs_a_loop_of_virtual_time():
    async def main() -> None:
        with pytest.raises(TypeError, match="virtual time"):
            House(Toy, Site("home", Path(), (), ()), {}, wall_us=0)

    asyncio.run(main())
