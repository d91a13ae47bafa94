"""What a script has to do, whatever happens: three tests that `bare.py` passes, and three that find its faults.

pytest --bench=pty --bench-device=sciencemode4 test_bare.py
"""

from __future__ import annotations

import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hil.measure import Sheet, count, mA, mA_cm2, ms, nC, uA
from hil.probe import Clock, DeviceProbe, Faults, ScopeProbe, WireProbe
from hil.stand import Stand

SCRIPT = Path(__file__).with_name("bare.py")
PATIENCE_MS = 60_000
"""Of a test for what comes in any case; how long it takes is no matter."""


@pytest_asyncio.fixture
async def script(bench: Stand) -> AsyncIterator[Process]:
    """The script as a program of its own, that has begun."""
    process = await create_subprocess_exec(sys.executable, SCRIPT, bench.port, stdin=PIPE, stdout=PIPE)
    assert process.stdout
    assert await process.stdout.readline() == b"running\n"
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


def sent_us(wire: WireProbe) -> int:
    """When the script sent its last word."""
    return [chunk.at_us for chunk in wire.chunks() if chunk.direction == "to_device"][-1]


@pytest.mark.asyncio
@pytest.mark.hazard("H08")
async def test_it_gives_what_was_asked(script: Process, scope: ScopeProbe, clock: Clock, measure: Sheet) -> None:
    """20 mA, 50 Hz, as much charge back as forth."""
    await clock.until(lambda: len(scope.pulses(1)) >= 20, PATIENCE_MS)
    *_, before, last = scope.pulses(1)
    measure("peak", mA, scope.total(1).max_ua * uA).equals(20)
    measure("period", ms, scope.span(before, last)).equals(20)
    measure("net charge", nC, max(abs(pulse.net_nc) for pulse in scope.pulses(1))).at_most(1)


@pytest.mark.asyncio
@pytest.mark.hazard("H10")
async def test_it_stops_when_it_is_told(
    script: Process, scope: ScopeProbe, wire: WireProbe, clock: Clock, measure: Sheet
) -> None:
    """After the word to stop there is no whole period with current."""
    await clock.until(lambda: scope.pulses(1), PATIENCE_MS)
    await script.communicate(b"\n")
    measure("current after the stop", ms, clock.span(sent_us(wire), scope.last_us(1))).at_most(20)


@pytest.mark.asyncio
@pytest.mark.hazard("H11")
async def test_the_current_ends_with_the_script(
    script: Process, scope: ScopeProbe, wire: WireProbe, device: DeviceProbe, clock: Clock, measure: Sheet
) -> None:
    """A script that dies leaves the rest to the device's dead man: 2 s."""
    await clock.until(lambda: scope.pulses(1), PATIENCE_MS)
    script.kill()
    await script.wait()
    await clock.until(lambda: device.state != "RUNNING", PATIENCE_MS)
    measure("current after the last word", ms, clock.span(sent_us(wire), scope.last_us(1))).at_most(2_000)


@pytest.mark.asyncio
@pytest.mark.hazard("H10", "H16")
async def test_it_falls_silent_when_nobody_answers(
    script: Process, scope: ScopeProbe, faults: Faults, clock: Clock, measure: Sheet
) -> None:
    """Who gets no answers knows nothing: one dead man and half a second later no current may flow."""
    await clock.until(lambda: scope.pulses(1), PATIENCE_MS)
    with faults.half_open(direction="to_host") as fault:
        await clock.until(lambda: clock.now_us > fault.at_us + 4_000_000, PATIENCE_MS)
        measure("current without an answer", ms, clock.span(fault.at_us, scope.last_us(1))).at_most(2_500)


@pytest.mark.asyncio
@pytest.mark.hazard("H04", "H05")
async def test_it_stops_before_a_lifting_pad_burns(
    script: Process, scope: ScopeProbe, faults: Faults, clock: Clock, measure: Sheet
) -> None:
    """The current crowds under what is left of the pad: never more than 0.5 mA/cm2."""
    await clock.until(lambda: scope.pulses(1), PATIENCE_MS)
    with faults.peel(channel=1, end=0.2, over_ms=500) as fault:
        await clock.until(lambda: clock.now_us > fault.at_us + 1_500_000, PATIENCE_MS)
    measure("density", mA_cm2, scope.total(1).density).at_most(0.5)


@pytest.mark.asyncio
@pytest.mark.hazard("H06")
async def test_it_does_not_begin_again_by_itself(
    script: Process, scope: ScopeProbe, faults: Faults, clock: Clock, measure: Sheet
) -> None:
    """A pad that fell off and is back meets no current that nobody has asked for."""
    await clock.until(lambda: scope.pulses(1), PATIENCE_MS)
    with faults.snap_off(channel=1) as fault:
        await clock.until(lambda: clock.now_us > fault.at_us + 1_000_000, PATIENCE_MS)
    back_us = clock.now_us
    await clock.until(lambda: clock.now_us > back_us + 1_000_000, PATIENCE_MS)
    measure("pulses after it is back", count, len(scope.pulses(1, back_us))).equals(0)
