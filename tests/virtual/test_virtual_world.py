"""What a world may do to the controller in it: kill it, hold it up, pull its line, set its clock, slow its disk."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from hil.world import SYNC_US, InFlight
from tests.virtual.nurse import Ward, in_virtual_time, prescribed

DEAD_MAN_US = 500_000
KEEP_ALIVE_US = 100_000
TICK_US = 50_000
PERIOD_US = 25_000


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def journal(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        return Counter(kind for (kind,) in database.execute("SELECT kind FROM journal"))


def played(folder: Path, story: Callable[[Ward], Coroutine[Any, Any, None]]) -> Ward:
    """Tell a story that begins with current that flows."""

    async def main() -> Ward:
        ward = Ward(folder)
        await ward.turned_on()
        ward.house.target.prescribe(prescribed(modality="tens", on_ms=58_000, off_ms=0))
        await ward.running()
        await asyncio.sleep(3)
        assert len(ward.pulses()) > 100
        await story(ward)
        return ward

    return in_virtual_time(main())


@pytest.mark.hazard("H20")
@pytest.mark.hazard("H35")
@pytest.mark.parametrize("in_flight", ["lands", "torn", "lost"])
def test_a_killed_controller_says_nothing_more_and_the_device_stops_by_itself(folder: Path, in_flight: InFlight):
    async def story(ward: Ward) -> None:
        frame = ward.cable.to_device
        # Killed while a keep-alive is on the wire.
        heard_us = ward.bench.tape.since()[-1].at_us
        while ward.house.loop.now_us < heard_us + 3 * KEEP_ALIVE_US and not frame.is_busy:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.000_1)
        assert frame.is_busy
        ward.house.kill(in_flight)
        killed_us, said = ward.house.loop.now_us, len(ward.house.published)
        frames = Counter(chunk.direction for chunk in ward.bench.tape.since())["to_device"]
        assert frame.is_busy is (in_flight != "lost")
        await asyncio.sleep(60)
        assert len(ward.house.published) == said
        after = Counter(chunk.direction for chunk in ward.bench.tape.since())["to_device"]
        assert after - frames == (in_flight != "lost")
        last_us = ward.pulses()[-1].at_us
        assert killed_us + DEAD_MAN_US - 2 * KEEP_ALIVE_US < last_us <= killed_us + DEAD_MAN_US + 5_000

    played(folder, story)


@pytest.mark.hazard("H20")
@pytest.mark.hazard("H35")
def test_the_next_life_finds_what_the_last_one_wrote_and_answers_what_it_left_open(folder: Path):
    async def story(ward: Ward) -> None:
        asked = ward.send("session.adjust", {"channel": 1, "delta_ua": 500})
        await asyncio.sleep(SYNC_US / 1_000_000 / 2)
        ward.house.kill()
        await asyncio.sleep(5)
        assert ward.final(asked) is None
        await ward.turned_on()
        assert [latch["rule"] for latch in ward.summary["latches"]] != []
        assert ward.summary["session_id"] is None
        ((reserved_nc, charged_nc, evidence),) = charged(folder)
        assert (charged_nc, evidence) == (reserved_nc, "reservation")
        assert ward.bench.scope.charge_nc(1) < charged_nc
        boots = {json.loads(message.payload)["boot_id"] for message in ward.house.published}
        assert len(boots) == 2

    played(folder, story)
    kinds = journal(folder)
    assert (kinds["open"], kinds["settle"], kinds["close"]) == (1, 1, 1)


def charged(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
        return database.execute("SELECT reserved_nc, charged_nc, evidence FROM reservations").fetchall()


@pytest.mark.hazard("H35")
@pytest.mark.parametrize(("before_us", "after_us", "written"), [(50_000, 0, 0), (0, 50_000, 1)])
def test_what_a_kill_finds_before_it_is_synced_is_lost_and_after_that_it_is_kept(
    folder: Path, before_us: int, after_us: int, written: int
):
    async def main() -> None:
        ward = Ward(folder)
        await ward.turned_on()
        ward.house.target.prescribe(prescribed())
        await ward.prepared()
        await ward.must("impedance.check", {})
        assert journal(folder)["permit"] == 1
        ward.house.disk_us = lambda whose: (before_us, after_us) if whose == "journal" else (0, 0)
        ward.send("session.arm")
        await asyncio.sleep(0.03)
        armed = ward.summary["phase"]
        ward.house.kill()
        assert (journal(folder)["permit"], armed) == (1 + written, "prepared")
        await ward.turned_on()
        await ward.house.end()

    in_virtual_time(main())


@pytest.mark.hazard("H35")
@pytest.mark.hazard("H49")
def test_a_short_stall_is_borne_and_a_long_one_ends_by_the_dead_man_and_a_stop(folder: Path):
    async def story(ward: Ward) -> None:
        told = len(ward.events)
        ward.house.stall(50)
        await asyncio.sleep(2)
        assert (ward.summary["phase"], ward.events[told:]) == ("running", [])
        stalled_us = ward.house.loop.now_us
        ward.house.stall(3_000)
        await asyncio.sleep(2.9)
        assert (ward.summary["phase"], ward.events[told:]) == ("running", [])
        assert ward.pulses()[-1].at_us <= stalled_us + DEAD_MAN_US + KEEP_ALIVE_US
        await ward.until(lambda: ward.summary["phase"] != "running", 1)
        await asyncio.sleep(5)
        assert ward.pulses()[-1].at_us <= stalled_us + DEAD_MAN_US + KEEP_ALIVE_US
        assert "session.stopped" in [event["kind"] for event in ward.events[told:]]

    played(folder, story)


@pytest.mark.hazard("H35")
def test_a_kill_of_a_stalled_controller_is_final(folder: Path):
    async def story(ward: Ward) -> None:
        ward.house.stall(200)
        await asyncio.sleep(0.1)
        ward.house.kill()
        said = len(ward.house.published)
        await asyncio.sleep(5)
        assert len(ward.house.published) == said
        with pytest.raises(RuntimeError, match="no controller lives"):
            ward.house.kill()
        ward.send("session.stop")
        await ward.turned_on()
        with pytest.raises(RuntimeError, match="lives already"):
            ward.house.start()

    played(folder, story)


@pytest.mark.hazard("H35")
def test_a_line_that_is_pulled_ends_the_session_and_comes_back(folder: Path):
    async def story(ward: Ward) -> None:
        ward.cable.pull()
        pulled_us = ward.house.loop.now_us
        await ward.until(lambda: ward.events[-1]["kind"] == "device.lost")
        assert ward.house.loop.now_us == pulled_us
        await asyncio.sleep(5)
        assert ward.pulses()[-1].at_us <= pulled_us + DEAD_MAN_US
        ward.cable.put()
        await ward.reaches("idle")
        assert Counter(event["kind"] for event in ward.events)["device.online"] == 2

    ward = played(folder, story)
    assert sum('"LINK.ABSENT"' in line for line in ward.house.logged) == 1


@pytest.mark.hazard("H35")
@pytest.mark.hazard("H49")
def test_a_jump_of_the_wall_clock_is_seen_at_the_next_tick_and_moves_no_deadline(folder: Path):
    async def story(ward: Ward) -> None:
        ward.house.jump(3_600_000)
        jumped_us, told = ward.house.loop.now_us, len(ward.events)
        await asyncio.sleep(3)
        assert [event["kind"] for event in ward.events[told:]] == ["fault.latched", "session.paused", "stop.confirmed"]
        assert ward.events[told]["code"] == "SYS.CLOCK"
        assert "T12:06:" in ward.events[told]["at"]
        assert ward.pulses()[-1].at_us <= jumped_us + TICK_US + PERIOD_US
        assert ward.house.loop.now_us == jumped_us + 3_000_000

    played(folder, story)


@pytest.mark.hazard("H35")
@pytest.mark.hazard("H39")
def test_a_slow_disk_delays_what_must_be_durable_and_no_tick(folder: Path):
    async def story(ward: Ward) -> None:
        ward.house.disk_us = lambda _: (300_000, 0)
        before, asked_us = len(ward.pulses()), ward.house.loop.now_us
        await ward.must("session.adjust", {"channel": 1, "delta_ua": 500})
        raised_us = ward.house.loop.now_us - asked_us
        assert raised_us >= 300_000
        await asyncio.sleep(3 - raised_us / 1_000_000)
        assert len(ward.pulses()) - before in {119, 120, 121}

    played(folder, story)


@pytest.mark.hazard("H35")
def test_a_driver_that_opens_its_line_at_another_pace_is_found_out(folder: Path):
    async def main() -> None:
        ward = Ward(folder)
        ward.house.beds["bed1"].pace = ward.house.beds["bed1"].pace._replace(bits=11)
        ward.house.start()
        await asyncio.sleep(1)
        assert any("and not at Pace(baud=115200, bits=10)" in line for line in ward.house.logged)

    in_virtual_time(main())


@pytest.mark.hazard("H35")
def test_a_prescription_may_be_imported_before_the_first_life(folder: Path):
    async def main() -> None:
        ward = Ward(folder)
        ward.house.start()
        ward.house.target.prescribe(prescribed())
        await ward.reaches("idle")
        await ward.prepared()

    in_virtual_time(main())


@pytest.mark.hazard("H35")
@pytest.mark.hazard("H39")
@pytest.mark.parametrize("fault", ["disk_full", "read_only_disk"])
def test_a_disk_that_takes_nothing_ends_the_session_in_a_second_and_loses_no_entry(folder: Path, fault: str):
    async def story(ward: Ward) -> None:
        told, rows = len(ward.events), journal(folder)
        with ward.bench.faults.injected(fault):
            began_us = ward.house.loop.now_us
            ward.send("session.adjust", {"channel": 1, "delta_ua": -500})
            await ward.until(lambda: "session.stopped" in [event["kind"] for event in ward.events[told:]], 2)
            assert {event["rule"] for event in ward.events[told:] if event["rule"]} == {"M32"}
            assert ward.pulses()[-1].at_us <= began_us + 1_000_000 + 2 * TICK_US
            await asyncio.sleep(5)
            assert journal(folder) == rows
            assert charged(folder)[0][1] is None
        await asyncio.sleep(2)
        kinds = journal(folder) - rows
        assert (kinds["latch"], kinds["settle"], kinds["close"]) == (1, 1, 1)
        assert charged(folder)[0][1] is not None

    ward = played(folder, story)
    assert sum('"journal.failing"' in line for line in ward.house.logged) == 1


@pytest.mark.hazard("H35")
def test_faults_of_the_controllers_surroundings_act_on_the_controller_in_memory(folder: Path):
    async def story(ward: Ward) -> None:
        told = len(ward.events)
        ward.bench.faults.inject("late_tick", ms=160)
        await asyncio.sleep(1)
        assert ward.events[told]["rule"] == "M25"

    played(folder, story)
