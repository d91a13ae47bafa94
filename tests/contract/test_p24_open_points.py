"""What the documents of the P24 leave open: the driver lives with every answer to it that its emulator can give."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from safety.effects import Drive, Feed
from safety.messages import DeviceState, Flaw, Garbled
from safety.times import SCIENCEMODE4
from safety.waveform import OFF, Train
from tests.contract.emulated import WAYS, Case, Emulated

CASE = Case("sciencemode4", replace(SCIENCEMODE4, init_ack_ms=10_000), Train(1, 15_000, 300, 100, 20_000), 500)
PROBE = Train(1, 1_000, 300, 0, 1_000_000)
OTHERWISE = [
    "idle_stop=0",
    "idle_stop=7",
    "reinit=refuse",
    "hv_ms=0",
    "hv_ms=100",
    "queue=1",
    "error_number=zero",
    "data_result=error",
    "status_after_dead_man=0",
    "status_after_dead_man=3",
    "data_after_dead_man=7",
    "refused_feeds=true",
]

pytestmark = [pytest.mark.hazard("H23"), pytest.mark.hazard("H11")]


@pytest.fixture(params=OTHERWISE)
async def device(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Emulated]:
    async with Emulated.serve(CASE, WAYS["normal"], tmp_path, "--set", request.param) as emulated:
        yield emulated


async def test_a_session_with_a_measurement_in_its_rest_goes_its_way(device: Emulated) -> None:
    await device.do("body.set", resistor_ohm=1_500.0)
    await device.connected()
    checked = await device.probed(PROBE)
    assert checked is not None
    assert abs(checked.ohm - 1_500) <= 30
    await device.running()
    for order in (Drive(device.grant(), OFF), Feed(device.grant())):
        word = await device.heard(order)
        assert word is not None
        assert word.status.state is DeviceState.ARMED
    again = await device.probed(PROBE)
    assert again is not None
    assert again.ohm == checked.ohm
    word = await device.heard(Drive(device.grant(), device.picture(2)))
    assert word is not None
    assert word.status.state is DeviceState.RUNNING
    await device.stopped()
    assert [event for event in device.events if isinstance(event, Garbled)] == []


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_an_electrode_that_is_off_is_heard_and_not_driven_any_more(device: Emulated) -> None:
    await device.running()
    await device.do("fault.inject", fault="snap_off", channel=1)
    for step in range(2, 200):
        word = await device.heard(Drive(device.grant(), device.picture(step % 9 + 1)))
        assert word is not None
        if word.samples[0].open:
            break
    assert (word.samples[0].open, word.status.state) == (True, DeviceState.STOPPED)
    given = await device.pulses()
    assert await device.heard(Drive(device.grant(), device.picture(1))) is not None
    assert await device.pulses() == given
    await device.stopped()


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13")
async def test_a_device_that_has_restarted_refuses_everything_but_a_stop(device: Emulated) -> None:
    await device.running()
    await device.do("fault.inject", fault="device_reset")
    device.events.clear()
    grant = device.grant()
    refused = await device.answered(Drive(grant, device.picture(2)), lambda event: isinstance(event, Garbled))
    assert isinstance(refused, Garbled)
    assert (refused.flaw, refused.grant) == (Flaw.REFUSED, grant.seq)
    given = await device.pulses()
    await device.stopped()
    assert await device.pulses() == given
