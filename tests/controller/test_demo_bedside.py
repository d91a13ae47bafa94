"""A session over MQTT, step by step, against the real service with an emulated stimulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from controller import clock
from controller.demo.bedside import Bedside, Press, SessionError
from controller.demo.kinds import KINDS
from controller.demo.once import booked
from controller.demo.processes import family
from controller.demo.site import Site, opened
from controller.demo.verdict import End
from controller.demo.witness import Witness
from controller.prescriptions import instantiate, stamped
from safety.prescription import Prescription

DEVICE = "stim-1"


@pytest.fixture
def rx() -> Prescription:
    """The calf's prescription, with a short rest and one contraction."""
    whole = instantiate("calf", "p-1", clock.now().wall_ms)
    return stamped(replace(whole, programme=replace(whole.programme, on_ms=1_000, off_ms=3_000, therapy_ms=3_500)))


@pytest.fixture
async def site(tmp_path: Path, rx: Prescription) -> AsyncIterator[Site]:
    async with family() as children:
        yield await opened(children, tmp_path, KINDS["native"], (DEVICE,), (), ("physio-1", "physio-2"), (rx,))


async def treated(site: Site, rx: Prescription, said: list[str], press: Press | None = None) -> End:
    press = press or site.beds[DEVICE].tries_stop
    async with site.client("physio-1") as client:
        return await Bedside(client, DEVICE, said.append, press).treat(rx)


async def test_a_session_runs_to_its_end_and_is_booked(site: Site, rx: Prescription) -> None:
    said: list[str] = []
    assert await treated(site, rx, said) == End("completed", "", "")
    assert [words.split()[0].rstrip(",") for words in said] == ["calf@1", "electrodes", "armed", "completed"]
    async with await Witness.open(site.beds[DEVICE].control) as scope:
        delivered_pc = (await scope.recording(KINDS["native"].reads(), rx.channels[0], rx.programme)).delivered_pc
    ledger_pc = await booked(site.ledger, rx.patient)
    assert ledger_pc is not None
    assert 0 < delivered_pc <= ledger_pc <= delivered_pc * 105 // 100
    async with site.client("physio-2") as client:
        assert (await client.ask(DEVICE, "device.claim")).status == "succeeded"


async def test_what_ends_a_session_is_told_with_its_rule_and_its_words(site: Site, rx: Prescription) -> None:
    treating = asyncio.create_task(treated(site, rx, []))
    async with await Witness.open(site.beds[DEVICE].control) as scope:
        while not (await scope.ask("device"))["picture"]:
            assert not treating.done()
            await asyncio.sleep(0.02)
        await scope.ask("button.press")
    end = await treating
    assert (end.outcome, end.rule) == ("stopped", "M23")
    assert end.words.startswith("The patient pressed the stop button.")


async def test_a_step_that_is_refused_is_told_with_its_code(site: Site, rx: Prescription) -> None:
    unknown = replace(rx, version=7)
    with pytest.raises(SessionError, match=r"^stim-1: session.prepare rejected: RX.UNKNOWN Nothing was done\."):
        await treated(site, unknown, [])


async def test_a_device_that_somebody_else_has_is_not_taken(site: Site, rx: Prescription) -> None:
    async with site.client("physio-2") as other:
        assert (await other.ask(DEVICE, "device.claim")).status == "succeeded"
        with pytest.raises(SessionError, match=r"^stim-1: device\.claim rejected: SES\.CLAIM_HELD"):
            await treated(site, rx, [])


async def test_an_electrode_that_is_off_from_the_beginning_ends_it_there(site: Site, rx: Prescription) -> None:
    async with await Witness.open(site.beds[DEVICE].control) as scope:
        await scope.ask("fault.inject", fault="snap_off", channel=1)
        with pytest.raises(SessionError, match=r"^stim-1: impedance\.check succeeded: IMP\.OPEN"):
            await treated(site, rx, [])
        assert await scope.pulses(1) == ()


async def test_a_step_that_fails_because_a_rule_ended_the_session_names_the_rule(site: Site, rx: Prescription) -> None:
    async with await Witness.open(site.beds[DEVICE].control) as scope:
        with pytest.raises(SessionError, match=r"The session was stopped by rule M04\. "):
            await treated(site, rx, [], partial(scope.ask, "line.pull"))
        assert [pulse for pulse in await scope.pulses(1) if pulse.peak_ua > 2_000] == []


async def test_a_patient_without_a_session_has_nothing_booked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.demo.once.BOOKED_S", 0.2)
    assert await booked(site.ledger, "p-nobody") is None
