"""What a test holds in its hands: clock, device, body, line, scope and faults, each on a virtual bench."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from hil import simtime
from hil.body import Skin
from hil.devices.device import NotThisDevice
from hil.devices.kinds import KINDS
from hil.fault_table import FAULTS
from hil.probe import BodyProbe, Clock, DeviceProbe, Faults, NeverCameError, ScopeProbe, WireProbe
from hil.settings import BadSetting
from hil.stand import Plan, Stand, VirtualStand, spec
from tests.hil.far import Talk
from tests.hil.host import PLAIN

pytestmark = pytest.mark.hazard("H35")

Story = Callable[[Stand], Awaitable[None]]


def told(story: Story, kind: str = "native") -> None:
    """Run a story on a virtual bench; native: with two plain bodies."""

    async def main() -> None:
        plan = Plan(channels=2, skins=[PLAIN, PLAIN]) if kind == "native" else Plan()
        async with VirtualStand(spec("virtual", kind, 0, None), plan) as stand:
            await story(stand)

    simtime.run(main())


async def running(stand: Stand) -> Talk:
    talk = Talk(await stand.connect())
    await talk.run()
    return talk


def test_the_clock_is_that_of_the_bench():
    async def story(stand: Stand) -> None:
        clock = Clock(stand)
        begin_us = clock.now_us
        await asyncio.sleep(0.25)
        assert clock.since(begin_us) == (250_000, "virtual")
        assert clock.span(3, 10) == (7, "virtual")

    told(story)


def test_waiting_ends_with_what_is_waited_for_or_says_that_it_never_came():
    async def story(stand: Stand) -> None:
        clock, device = Clock(stand), DeviceProbe(stand)
        talk = await running(stand)
        began_us = clock.now_us
        await clock.until(lambda: device.state == "STOPPED", within_ms=1_000)
        # The dead man of 500 ms began with the DRIVE that the answer came after.
        assert 480_000 < clock.now_us - began_us <= 500_000
        await clock.until(lambda: True, within_ms=0)
        with pytest.raises(NeverCameError, match="within 20 ms"):
            await clock.until(lambda: False, within_ms=20)
        assert clock.now_us - began_us <= 521_000
        await talk.close()

    told(story)


def test_the_device_is_seen_from_inside():
    async def story(stand: Stand) -> None:
        device = DeviceProbe(stand)
        assert (device.kind, device.state) == ("native", "STOPPED")
        talk = await running(stand)
        assert device.state == "RUNNING"
        assert device.badge()["model"] == "native-bench"
        assert device.inside()["is_live"]
        device.press()
        assert device.state == "STOPPED"
        await asyncio.sleep(0.1)
        assert len(ScopeProbe(stand).pulses(1)) == 1
        device.release()
        await talk.close()
        with pytest.raises(BadSetting):
            device.switch(dead_man_ms=300)

    told(story)


def test_a_device_without_a_button_has_none_to_press():
    async def story(stand: Stand) -> None:
        device = DeviceProbe(stand)
        for act in (device.press, device.release):
            with pytest.raises(NotThisDevice, match="button: a sciencemode4 device has none"):
                act()
        device.switch(dead_man_ms=300)
        assert stand.core.device.switches["dead_man_ms"] == 300
        with pytest.raises(BadSetting, match="dead_man_ms=-1"):
            device.switch(dead_man_ms=-1)

    told(story, "sciencemode4")


def test_the_body_may_be_changed_and_is_seen_through_faults():
    async def story(stand: Stand) -> None:
        body, faults = BodyProbe(stand), Faults(stand)
        body.set(1, contact=0.5)
        assert (body.at(1), body.at(2)) == (replace(PLAIN, contact=0.5), PLAIN)
        body.set(dryness=2.0)
        assert [body.at(channel).dryness for channel in (1, 2)] == [2.0, 2.0]
        with faults.peel(channel=2, end=0.5, over_ms=0):
            assert body.at(2).contact == 0.5
        assert body.at(2).contact == 1.0
        with pytest.raises(BadSetting, match="colour"):
            body.set(colour="red")
        with pytest.raises(BadSetting, match="a channel from 1 to 2"):
            body.at(3)

    told(story)


def test_a_body_is_that_of_the_plan_or_an_ordinary_one():
    async def story(stand: Stand) -> None:
        assert BodyProbe(stand).at(8) == Skin()
        assert len(stand.core.bodies) == KINDS["sciencemode4"].channels

    told(story, "sciencemode4")


@pytest.mark.hazard("H13")
def test_the_line_has_a_tape_and_a_plug():
    async def story(stand: Stand) -> None:
        wire = WireProbe(stand)
        talk = await running(stand)
        chunks = wire.chunks()
        assert [chunk.direction for chunk in chunks if chunk.direction == "to_device"] == ["to_device"] * 3
        assert wire.chunks(chunks[-1].at_us) == chunks[-2:]
        assert wire.is_up
        wire.pull()
        assert not wire.is_up
        assert await talk.reader.read() == b""
        wire.put()
        again = Talk(await stand.connect())
        await again.stop()
        await again.close()

    told(story)


def test_the_scope_tells_what_reached_the_body():
    async def story(stand: Stand) -> None:
        scope = ScopeProbe(stand)
        with pytest.raises(NeverCameError, match="no pulse on channel 1"):
            scope.last_us(1)
        talk = await running(stand)
        await asyncio.sleep(0.05)
        first, second, third = scope.pulses(1)
        assert scope.span(first, third) == (40_000, "virtual")
        assert scope.pulses(1, second.at_us) == [second, third]
        assert scope.total(1).charge_nc == 3 * 12_000
        assert scope.last_us(1) == third.at_us
        assert scope.pulses(2) == []
        await talk.stop()
        scope.reset()
        assert scope.pulses(1) == []
        with pytest.raises(BadSetting, match="a channel from 1 to 2"):
            scope.pulses(3)
        await talk.close()

    told(story)


@pytest.mark.hazard("H14")
def test_a_fault_stands_for_its_block_and_is_on_record():
    async def story(stand: Stand) -> None:
        faults, clock, scope = Faults(stand), Clock(stand), ScopeProbe(stand)
        talk = await running(stand)
        begin_us = clock.now_us
        with faults.over_delivery(gain=1.5):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.02)
        assert [trace.first_ua for trace in scope.pulses(1)] == [20_000, 30_000, 20_000]
        (noted,) = stand.notes.injections
        assert noted.model_dump() == {
            "fault": "over_delivery",
            "settings": stand.notes.injections[0].settings,
            "at_us": begin_us,
            "until_us": begin_us + 20_000,
        }
        assert noted.settings["gain"] == 1.5
        assert stand.core.faults.standing() == []
        await talk.close()

    told(story)


def test_a_fault_is_lifted_and_on_record_though_its_block_fails():
    async def story(stand: Stand) -> None:
        with pytest.raises(KeyError), Faults(stand).snap_off(channel=1):
            raise KeyError
        assert stand.core.faults.standing() == []
        assert [one.fault for one in stand.notes.injections] == ["snap_off"]
        assert not BodyProbe(stand).at(1).lead_off

    told(story)


def test_a_fault_may_come_later_and_end_by_itself():
    async def story(stand: Stand) -> None:
        now_us = Clock(stand).now_us
        with Faults(stand).snap_off(channel=1, at_us=now_us + 10_000, for_ms=5):
            assert not BodyProbe(stand).at(1).lead_off
            await asyncio.sleep(0.012)
            assert BodyProbe(stand).at(1).lead_off
            await asyncio.sleep(0.012)
            assert not BodyProbe(stand).at(1).lead_off
        (noted,) = stand.notes.injections
        assert (noted.at_us, noted.until_us) == (now_us + 10_000, now_us + 15_000)

    told(story)


def test_a_fault_that_never_came_is_a_failure_and_not_on_record():
    async def story(stand: Stand) -> None:
        now_us = Clock(stand).now_us
        with pytest.raises(NeverCameError, match=f"snap_off was to come at {now_us + 10_000} us"):  # noqa: SIM117
            with Faults(stand).snap_off(at_us=now_us + 10_000):
                await asyncio.sleep(0.009)
        with Faults(stand).snap_off(at_us=now_us + 20_000):
            await asyncio.sleep(0.011)
        assert [one.at_us for one in stand.notes.injections] == [now_us + 20_000]
        assert stand.core.faults.standing() == []

    told(story)


def test_two_faults_of_a_kind_are_two():
    async def story(stand: Stand) -> None:
        faults, body = Faults(stand), BodyProbe(stand)
        with faults.snap_off(channel=1), faults.snap_off(channel=2):
            assert [body.at(channel).lead_off for channel in (1, 2)] == [True, True]
        assert [body.at(channel).lead_off for channel in (1, 2)] == [False, False]
        assert [one.settings["channel"] for one in stand.notes.injections] == [2, 1]

    told(story)


def test_a_fault_that_a_device_cannot_have_is_refused_by_name():
    async def story(stand: Stand) -> None:
        faults = Faults(stand)
        with pytest.raises(NotThisDevice, match=r"fault='wrong_echo': a sciencemode4 device has none; it has peel, "):  # noqa: SIM117
            with faults.wrong_echo():
                pass
        assert (faults.has("wrong_echo"), faults.has("peel")) == (False, True)
        assert stand.notes.injections == []

    told(story, "sciencemode4")


def test_a_fault_that_there_is_not_is_refused_by_name():
    async def story(stand: Stand) -> None:
        faults = Faults(stand)
        with pytest.raises(AttributeError, match="no fault is called earthquake; there are peel, "):
            _ = faults.earthquake
        with pytest.raises(BadSetting, match="earthquake"):
            faults.has("earthquake")
        with pytest.raises(BadSetting, match="end=2"), faults.peel(end=2):
            pass

    told(story)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_table_is_to_be_had(name: str):
    async def story(stand: Stand) -> None:
        faults = Faults(stand)
        if faults.has(name):
            with getattr(faults, name)():
                assert [one.fault for one in stand.core.faults.standing()] == [name]
            assert [one.fault for one in stand.notes.injections] == [name]

    for kind in KINDS:
        told(story, kind)
