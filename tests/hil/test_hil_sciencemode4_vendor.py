"""The maker's own client, unmodified, drives the emulated P24 over a pseudo terminal; the scope says what flowed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from hil.control import Control, ControlError
from tests.hil.host import PLAIN
from tests.hil.process import ROOT, SECONDS, Process, Start, starting

pytestmark = pytest.mark.hazard("H35")

NO_ERRORS = ["NO_ERROR"] * 8
BODY = [option for pair in ("hydration=0", "yield_ma_cm2=1000000") for option in ("--body", pair)]


class Vendor:
    """The client as a process."""

    def __init__(self, process: Process, mode: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.hil.vendor4", str(process.link), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def hear(self) -> dict[str, Any]:
        """What it says next."""
        assert self.popen.stdout is not None
        said: dict[str, Any] = json.loads(self.popen.stdout.readline())
        return said

    def tell(self) -> None:
        """Let it go on."""
        assert self.popen.stdin is not None
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def ended(self) -> int:
        """Its exit code."""
        return self.popen.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()
        self.popen.wait(SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def bench(start: Start) -> AsyncIterator[tuple[Process, Control]]:
    process = start("--device", "sciencemode4", "--serial", "EMU4-00042", *BODY)
    assert process.ready["serial"] == "EMU4-00042"
    async with await Control.open(process.ctl) as control:
        yield process, control


async def pulses(control: Control, channel: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await control.do("pulses", channel=channel, limit=10_000))["pulses"]
    return found


def test_the_client_is_the_one_that_was_studied():
    assert version("science-mode-4") == "0.0.23"


async def test_a_session(bench: tuple[Process, Control]):
    process, control = bench
    # How long this test takes from one keep-alive to the next is the machine's business.
    await control.do("switch.set", dead_man_ms=60_000)
    with Vendor(process, "session") as vendor:
        assert vendor.hear() == {"id": "EMU4-00042", "firmware": "1.0.0", "protocol": "4.0.0"}
        assert vendor.hear() == {"status": "MID_LEVEL_RUNNING", "high_voltage": True}
        active = [True, False, True, False, False, False, False, False]
        while len(await pulses(control, 1)) < 5:
            assert (await control.do("device"))["state"] == "RUNNING"
        for _ in range(4):
            assert (await control.do("device"))["state"] == "RUNNING"
            vendor.tell()
            assert vendor.hear() == {"active": active, "errors": NO_ERRORS}
        assert vendor.hear() == {"status": "NO_LEVEL_INITIALIZED", "high_voltage": False}
        assert vendor.ended() == 0

    assert (await control.do("ping"))["state"] == "NONE"
    inside = await control.do("device")
    assert (inside["damaged"], inside["noise"], inside["is_live"]) == (0, 0, False)
    one, three = await pulses(control, 1), await pulses(control, 3)
    assert [pulse["first_ua"] for pulse in one[:5]] == [5_000, 10_000, 15_000, 20_000, 20_000]
    assert {later["at_us"] - earlier["at_us"] for earlier, later in pairwise(one)} == {20_000}
    assert {later["at_us"] - earlier["at_us"] for earlier, later in pairwise(three)} == {25_000}
    assert {pulse["first_ua"] for pulse in three} == {20_000}
    assert {pulse["net_nc"] for pulse in one + three} == {0.0}
    for channel in (2, 4, 5, 6, 7, 8):
        assert await pulses(control, channel) == []


@pytest.mark.hazard("H11")
async def test_a_client_that_stops_feeding(bench: tuple[Process, Control]):
    process, control = bench
    with Vendor(process, "silent") as vendor:
        assert vendor.hear() == {"updated": True}
        async with asyncio.timeout(SECONDS):
            while (await control.do("device"))["state"] == "RUNNING":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
        one, three = await pulses(control, 1), await pulses(control, 3)
        # The first pulse came with the update, which was the last feed: 2 s at 50 and at 40 Hz, to the microsecond.
        assert [pulse["at_us"] - one[0]["at_us"] for pulse in one] == list(range(0, 2_000_000, 20_000))
        assert [pulse["at_us"] - one[0]["at_us"] for pulse in three] == list(range(0, 2_000_000, 25_000))
        # Keep-alives that come too late bring nothing back.
        vendor.tell()
        for _ in range(5):
            assert vendor.hear() == {"active": [False] * 8, "errors": NO_ERRORS}
        assert (await control.do("device"))["state"] == "MID"
        assert (await pulses(control, 1), await pulses(control, 3)) == (one, three)
        vendor.tell()
        assert vendor.ended() == 0


@pytest.mark.hazard("H04")
async def test_single_pulses_are_measured(bench: tuple[Process, Control]):
    process, control = bench
    load = PLAIN.load(20_000, 150_000, 0)
    assert load is not None
    with Vendor(process, "low") as vendor:
        for mode in ("STIM_CURRENT", "STIM_VOLTAGE"):
            for connector, channel in ((0, 0), (1, 3)):
                said = vendor.hear()
                samples = said.pop("samples")
                assert said == {
                    "result": "NO_ERROR", "connector": connector, "channel": channel, "mode": mode, "every_us": 4,
                }  # fmt: skip
                if mode == "STIM_CURRENT":
                    assert samples == [20.0] * 50 + [0.0] * 25 + [20.0] * 50 + [0.0] * 3
                else:
                    # At the start of the pulse the capacity is empty: what is left is the series resistance.
                    assert samples[0] == pytest.approx(0.02 * load.series_ohm, rel=0.02)
                    assert samples[0] < samples[49]
        assert vendor.ended() == 0
    for number in (1, 8):
        assert [pulse["first_ua"] for pulse in await pulses(control, number)] == [20_000, 20_000]


async def test_the_back_door_of_a_p24(bench: tuple[Process, Control]):
    _, control = bench
    with pytest.raises(ControlError, match="button: a sciencemode4 device has none; it has ping, ") as caught:
        await control.do("button.press")
    assert caught.value.code == "not_this_device"
    with pytest.raises(
        ControlError, match="fault='wrong_echo': a sciencemode4 device has none; it has peel, "
    ) as caught:
        await control.do("fault.inject", fault="wrong_echo")
    assert caught.value.code == "not_this_device"
    listed = [row["fault"] for row in (await control.do("fault.list"))["faults"]]
    assert "wrong_echo" not in listed
    assert "channel_error" in listed

    rows = (await control.do("switch.get"))["switches"]
    assert rows["status_after_dead_man"] == {
        "default": 2,
        "expected": "a whole number from 0 to 3",
        "text": "level in the status answer after the dead man, until an update",
        "value": 2,
    }
    changed = (await control.do("switch.set", status_after_dead_man=3, ramp="reach"))["switches"]
    assert [changed[key]["value"] for key in ("status_after_dead_man", "ramp", "data_result")] == [3, "reach", "zero"]
    with pytest.raises(ControlError, match="bad_setting: status_after_dead_man=4"):
        await control.do("switch.set", status_after_dead_man=4)


def test_switches_from_the_command_line(start: Start):
    process = start("--device", "sciencemode4", "--set", "hv_ms=0", "--set", "dead_man_ms=300", "--until-eof",
                    stdin=subprocess.PIPE)  # fmt: skip
    with Vendor(process, "silent") as vendor:
        assert vendor.hear() == {"updated": True}

    async def seen() -> list[int]:
        async with await Control.open(process.ctl) as control:
            while (await control.do("device"))["state"] == "RUNNING":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            found = await pulses(control, 3)
            return [pulse["at_us"] - found[0]["at_us"] for pulse in found]

    assert asyncio.run(seen()) == list(range(0, 300_000, 25_000))
