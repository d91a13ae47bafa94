"""The loop without an interlock, and the witness that measures it: a real emulator, on a real pty and a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.demo import bare, witness
from controller.demo.kinds import KINDS, Kind
from controller.demo.planned import ON, RAMP_DOWN, RAMP_UP, REST
from controller.demo.processes import emulator, family
from controller.demo.recording import GONE
from controller.demo.verdict import returned
from controller.demo.witness import Witness, WitnessError
from controller.devices.sciencemode4_facts import status_of
from controller.link import LinkError
from safety.messages import DeviceState, Heard
from tests.controller.demo_material import PLAN, PROGRAMME

SHORT = replace(PROGRAMME, ramp_up_ms=500, on_ms=1_500, ramp_down_ms=500, off_ms=500, therapy_ms=3_000)


SERIAL = "EMU-bare-1"


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
async def bench(tmp_path: Path, kind: Kind) -> AsyncIterator[Path]:
    """An emulated stimulator; gives its folder."""
    async with family() as children:
        child = await children.start("stim", emulator(kind.name, tmp_path / "stim", tmp_path / "control", SERIAL))
        await child.said("ready")
        yield tmp_path


@pytest.fixture
async def scope(bench: Path) -> AsyncIterator[Witness]:
    async with await Witness.open(bench / "control") as found:
        yield found


# The loop


async def test_the_bare_loop_plays_the_programme_and_ends_it(bench: Path, scope: Witness, kind: Kind) -> None:
    await bare.play(kind, str(bench / "stim"), PLAN, SHORT)
    # The last frame may still be on its way when the line is closed.
    async with asyncio.timeout(30):
        is_live = True
        while is_live:
            await asyncio.sleep(0.02)
            is_live = (await scope.ask("device"))["is_live"]
    measured = await scope.recording(kind.reads(), PLAN, SHORT)
    assert [(row.planned.phase, row.measured is not None) for row in measured.rows()] == [
        (RAMP_UP, True), (ON, True), (RAMP_DOWN, True), (REST, True), (GONE, True),
    ]  # fmt: skip
    on = measured.rows()[1].measured
    assert on is not None
    assert (on.commanded_ua, on.measured_ua) == (20_000, 20_000)
    assert measured.stop_us is not None
    assert measured.after(measured.stop_us) == ()


async def test_the_bare_loop_gives_full_current_to_an_electrode_that_comes_back(
    bench: Path, scope: Witness, kind: Kind
) -> None:
    playing = asyncio.create_task(bare.play(kind, str(bench / "stim"), PLAN, SHORT))
    while (start_us := (await scope.recording(kind.reads(), PLAN, SHORT)).start_us) is None:
        assert not playing.done()
        await asyncio.sleep(0.02)
    accident = await scope.snap_off(PLAN.channel, start_us + 712_000, 500)
    assert accident.on_us - accident.off_us == 500_000
    await playing
    measured = await scope.recording(kind.reads(), PLAN, SHORT)
    off = [pulse for pulse in measured.pulses if accident.off_us <= pulse.at_us < accident.on_us]
    assert off == []
    assert returned(measured, accident).holds is True


def test_only_a_device_that_stops_after_it_was_driven_is_armed_again() -> None:
    restart = bare.Restart()
    stopped = Heard(0, status_of(DeviceState.STOPPED), ())
    assert restart.is_due
    restart.armed()
    restart.hear(stopped)  # the late answer to the stop with which every driver begins
    assert not restart.is_due
    restart.driven()
    restart.hear(Heard(0, status_of(DeviceState.RUNNING), ()))
    assert not restart.is_due
    restart.hear(stopped)
    assert restart.is_due


async def test_the_bare_loop_says_when_there_is_no_line(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(LinkError):
        await bare.play(kind, str(tmp_path / "nothing"), PLAN, SHORT)


# The witness


async def test_an_accident_in_the_past_begins_now(scope: Witness) -> None:
    before_us = await scope.now_us()
    accident = await scope.snap_off(1, before_us - 1_000_000, 100)
    assert before_us <= accident.off_us <= await scope.now_us()


async def test_a_request_that_is_refused_is_told(scope: Witness) -> None:
    with pytest.raises(WitnessError, match="fault\\.inject: fault='melt'"):
        await scope.ask("fault.inject", fault="melt")
    assert await scope.pulses(1) == ()


async def test_the_answer_to_a_question_that_was_given_up_is_passed_over(scope: Witness) -> None:
    async def give_up() -> None:
        asking = asyncio.create_task(scope.ask("device"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    for _ in range(5):
        await give_up()
    assert (await scope.ask("ping"))["serial"] == SERIAL


async def test_a_record_that_is_not_whole_is_refused(
    bench: Path, scope: Witness, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bare.play(kind, str(bench / "stim"), PLAN, replace(SHORT, therapy_ms=1_600))
    monkeypatch.setattr(witness, "ROWS", 1)
    with pytest.raises(WitnessError, match="tape: the record is not whole"):
        await scope.recording(kind.reads(), PLAN, SHORT)


async def test_a_bench_that_is_gone_is_told(tmp_path: Path) -> None:
    async with family() as children:
        child = await children.start("stim", emulator("native", tmp_path / "stim", tmp_path / "control", SERIAL))
        await child.said("ready")
        async with await Witness.open(tmp_path / "control") as scope:
            assert await scope.now_us() > 0
            await child.end()
            with pytest.raises((EOFError, ConnectionError)):
                await scope.now_us()
        children.children.clear()
    with pytest.raises(FileNotFoundError):
        await Witness.open(tmp_path / "control")
