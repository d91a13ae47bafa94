"""The native driver against a scripted device on a real pty: stopping it, and losing it."""

from __future__ import annotations

import asyncio

from safety.effects import Ask, Drive, Feed
from safety.messages import DeviceDown, Heard
from safety.waveform import OFF, Picture
from tests.controller.native.bench import ON, Bench, Make
from tests.controller.peer import Peer, until
from tests.golden.native import layout


async def test_silence_overtakes_what_waits(bench: Bench) -> None:
    peer, sent = bench.peer, 0
    peer.mute(layout.ASK)
    peer.ignore()
    while not bench.driver._line._backlog:  # type: ignore[attr-defined]
        bench.driver.send(Ask())
        sent += 1
    bench.driver.silence(cut=False)
    peer.listen()
    await until(lambda: layout.STOP in peer.types())
    assert peer.types()[-1] == layout.STOP
    # A pty keeps 4 KiB out of reach: 512 questions of 8 bytes.
    assert peer.types().count(layout.ASK) <= 512 < sent
    assert peer.damaged <= 1


async def test_silence_is_legal_at_any_time_and_stops_each_time(bench: Bench) -> None:
    for _ in range(3):
        bench.driver.silence(cut=False)
        bench.driver.send(Feed(bench.grant()))
        bench.driver.silence(cut=False)
        await bench.settled()
        # What came before may have been overtaken, a first STOP among it; the last one never is.
        assert bench.peer.types()[-2:] == [layout.STOP, layout.ASK]


async def test_what_was_driven_before_the_silence_is_still_heard(bench: Bench) -> None:
    kept = bench.peer.mute(layout.DRIVE)
    bench.driver.send(Drive(bench.grant(), OFF))
    await until(lambda: kept)
    bench.driver.silence(cut=False)
    bench.peer.say(bench.peer.status(kept[0][1]))
    await until(lambda: len(bench.events) == 2)
    assert sorted(one.grant for one in bench.events if isinstance(one, Heard)) == [0, 1]


async def test_cut_opens_the_relay_where_there_is_one_and_keeps_the_line(bench: Bench) -> None:
    bench.driver.silence(cut=True)
    await until(lambda: len(bench.events) == 2)
    assert bench.peer.types() == [layout.STOP, layout.CUT]
    bench.events.clear()
    await bench.settled()
    assert bench.events == []


async def test_cut_gives_up_the_line_where_there_is_no_relay(make: Make) -> None:
    bench: Bench = await make(Peer(flags=0))
    bench.driver.silence(cut=True)
    bench.driver.silence(cut=True)
    bench.driver.silence(cut=False)
    down = await bench.told()
    await until(lambda: bench.peer.tape)
    await bench.driver.close()
    assert isinstance(down, DeviceDown)
    assert down.why.endswith("given up, to leave the device to its dead man")
    assert (bench.peer.types(), bench.events) == ([layout.STOP], [])


async def test_cut_does_all_it_can_to_a_device_that_is_not_known(make: Make) -> None:
    bench: Bench = await make(connected=False)
    bench.driver.silence(cut=True)
    assert isinstance(await bench.told(), DeviceDown)
    await until(lambda: len(bench.peer.tape) == 2)
    assert bench.peer.types() == [layout.STOP, layout.CUT]


# The end of the line


async def test_a_lost_line_is_told_once_and_nothing_raises(bench: Bench) -> None:
    bench.peer.hang_up()
    for number in range(3):
        bench.driver.send(Ask())
        bench.driver.send(Feed(bench.grant()))
        bench.driver.silence(cut=bool(number % 2))
        assert bench.driver.quantise(Picture((ON,))) == Picture((ON,))
    assert isinstance(await bench.told(), DeviceDown)
    bench.driver.silence(cut=True)
    await bench.driver.close()
    assert bench.events == []


async def test_a_device_that_does_not_drain_is_lost_not_hoarded_for(bench: Bench) -> None:
    bench.peer.ignore()
    for _ in range(10_000):
        bench.driver.send(Ask())
    assert isinstance(await bench.told(), DeviceDown)


async def test_close_stops_the_device_and_ends_the_hearing(bench: Bench) -> None:
    await bench.driver.close()
    await until(lambda: bench.peer.tape)
    bench.peer.hang_up()
    await asyncio.sleep(0.01)
    assert (bench.peer.types(), bench.events) == ([layout.STOP], [])
