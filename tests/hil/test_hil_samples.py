"""Samples of an instrument: pulses and their charge, files that grow, serial ADCs, and a scope that is deaf."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Iterable
from pathlib import Path

import pytest

from hil.samples import FLOOR_UA, HEADING, LONGEST_US, QUIET_US, STALE_US, AdcScope, CsvScope, DeafError, Samples
from hil.scope import Scope, Trace
from tests.conftest import Until

pytestmark = pytest.mark.hazard("H35")

NOW_US = 50_000_000


class Ear:
    """Samples on a scope, with a clock that is moved by hand."""

    def __init__(self, channels: int = 2) -> None:
        self.now_us = NOW_US
        self.scope = Scope(channels)
        self.samples = Samples(self.scope, channels, lambda: self.now_us)

    def take(self, *lines: str) -> None:
        for line in lines:
            self.samples.take(line)

    def shape(self, *points: tuple[int, int], channel: int = 1) -> None:
        self.take(*(f"{at_us},{channel},{ua}" for at_us, ua in points))


@pytest.fixture
def ear() -> Ear:
    return Ear()


PULSE = [(0, 0), (1_000, 20_000), (1_300, 0), (1_400, -20_000), (1_700, 0)]
"""20 mA, 300 us, 100 us between the phases, a millisecond after the start."""


def test_a_pulse_is_put_together(ear: Ear):
    ear.shape(*PULSE, (1_700 + QUIET_US, 0))
    assert ear.scope.pulses(1) == [Trace(NOW_US + 1_000, 20_000, 20_000, 12_000.0, 0.0)]
    assert ear.scope.total(1).max_ua == 20_000
    assert ear.scope.pulses(2) == []


def test_a_pulse_that_may_not_have_ended_is_not_told_yet(ear: Ear):
    ear.shape(*PULSE, (1_700 + QUIET_US - 1, 0))
    assert ear.scope.pulses(1) == []
    ear.shape((1_700 + QUIET_US, 0))
    assert len(ear.scope.pulses(1)) == 1


def test_two_pulses_with_a_rest_between_them_are_two(ear: Ear):
    second = [(at_us + 10_000, ua) for at_us, ua in PULSE]
    ear.shape(*PULSE, *second, (20_000, 0))
    assert [trace.at_us - NOW_US for trace in ear.scope.pulses(1)] == [1_000, 11_000]


def test_the_direction_of_the_first_phase_is_the_first(ear: Ear):
    ear.shape((0, 0), (100, -30_000), (300, 15_000), (500, 0), (500 + QUIET_US, 0))
    (trace,) = ear.scope.pulses(1)
    assert (trace.first_ua, trace.second_ua, trace.charge_nc, trace.net_nc) == (30_000, 15_000, 9_000.0, 3_000.0)


def test_many_samples_of_a_curve_are_summed_up(ear: Ear):
    curve = [(1_000 + 10 * step, 1_000 * (step + 1)) for step in range(10)]
    ear.shape((0, 0), *curve, (1_100, 0), (1_100 + QUIET_US, 0))
    (trace,) = ear.scope.pulses(1)
    assert (trace.first_ua, trace.charge_nc) == (10_000, sum(10 * 1_000 * (step + 1) for step in range(10)) / 1_000)


@pytest.mark.parametrize(("ua", "pulses"), [(FLOOR_UA - 1, 0), (FLOOR_UA, 1), (-FLOOR_UA + 1, 0), (-FLOOR_UA, 1)])
def test_noise_is_no_current(ear: Ear, ua: int, pulses: int):
    ear.shape((0, 0), (100, ua), (400, 0), (400 + QUIET_US, 0))
    assert len(ear.scope.pulses(1)) == pulses


def test_a_current_that_never_ends_is_told_all_the_same(ear: Ear):
    ear.shape((0, 0), *((at_us, 5_000) for at_us in range(1_000, 1_000 + 3 * LONGEST_US, 1_000)))
    assert [trace.charge_nc for trace in ear.scope.pulses(1)] == [5.0 * LONGEST_US] * 2
    ear = Ear()
    ear.shape((0, 0), (1_000, 5_000), (1_000_000, 0))
    assert [trace.charge_nc for trace in ear.scope.pulses(1)] == [5.0 * 999_000]


def test_channels_have_pulses_of_their_own(ear: Ear):
    for at_us, ua in [*PULSE, (9_000, 0)]:
        ear.shape((at_us, ua))
        ear.shape((at_us, ua // 2), channel=2)
    assert [ear.scope.pulses(channel)[0].first_ua for channel in (1, 2)] == [20_000, 10_000]


def test_the_first_sample_falls_on_the_moment_at_which_it_came(ear: Ear):
    ear.shape((7_000_000, 0))
    ear.now_us += 400
    ear.shape((7_001_000, 10_000), (7_001_300, 0), (7_010_000, 0))
    assert ear.scope.pulses(1)[0].at_us == NOW_US + 1_000


def test_words_that_say_nothing(ear: Ear):
    ear.take("", "   ", "# a remark", HEADING, "time_us, channel, ua")
    with pytest.raises(DeafError, match="no sample since the test began"):
        ear.samples.check()
    ear.take(" 0 , 1 , 0 \r")
    ear.samples.check()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["0,1"], "the instrument says '0,1': expected time_us,channel,ua"),
        (["0,1,0.5"], "the instrument says '0,1,0.5': expected time_us,channel,ua"),
        (["0,1,2,3"], "the instrument says '0,1,2,3': expected"),
        (["0,0,0"], "the instrument tells of channel 0: expected one from 1 to 2"),
        (["0,3,0"], "the instrument tells of channel 3: expected one from 1 to 2"),
        (["5,1,0", "5,1,0"], "the instrument's time does not go on: 0 us back on channel 1"),
        (["5,1,0", "2,1,0"], "the instrument's time does not go on: 3 us back on channel 1"),
    ],
)
def test_an_instrument_that_makes_no_sense_is_not_believed_any_more(ear: Ear, lines: list[str], words: str):
    ear.shape((0, 0), channel=2)
    ear.take(*lines, "100,1,20000", "400,1,0", "9000,1,0", "nonsense")
    with pytest.raises(DeafError) as deaf:
        ear.samples.check()
    assert str(deaf.value).startswith(words)
    assert ear.scope.pulses(1) == []


def test_an_instrument_that_has_stopped_is_not_believed(ear: Ear):
    ear.shape((0, 0))
    ear.now_us += STALE_US
    ear.samples.check()
    ear.now_us += 1
    with pytest.raises(DeafError, match=r"has sent nothing for 2000 ms"):
        ear.samples.check()


def rows(points: Iterable[tuple[int, int]]) -> str:
    return "".join(f"{at_us},1,{ua}\n" for at_us, ua in points)


class TestFile:
    async def test_only_what_comes_after_the_test_began_counts(self, ear: Ear, tmp_path: Path):
        path = tmp_path / "scope.csv"
        path.write_text(f"{HEADING}\n{rows([*PULSE, (9_000, 0)])}")
        csv = CsvScope(ear.samples, path)
        csv.fetch()
        with pytest.raises(DeafError):
            ear.samples.check()
        with path.open("a") as file:
            file.write(rows((at_us + 20_000, ua) for at_us, ua in PULSE) + "30000,1")
        csv.fetch()
        assert ear.scope.pulses(1) == []
        with path.open("a") as file:
            file.write(",0\n")
        csv.fetch()
        ear.samples.check()
        assert [trace.at_us - NOW_US for trace in ear.scope.pulses(1)] == [1_000]
        csv.close()

    async def test_a_line_that_was_half_written_when_the_test_began_is_passed_over(self, ear: Ear, tmp_path: Path):
        path = tmp_path / "scope.csv"
        path.write_text("100,1,20")
        csv = CsvScope(ear.samples, path)
        with path.open("a") as file:
            file.write("000\n" + rows(PULSE) + "9000,1,0\n")
        csv.fetch()
        csv.close()
        ear.samples.check()
        assert len(ear.scope.pulses(1)) == 1

    async def test_an_empty_file_begins_with_its_first_line(self, ear: Ear, tmp_path: Path):
        path = tmp_path / "scope.csv"
        path.touch()
        csv = CsvScope(ear.samples, path)
        path.write_text("0,1,0\n")
        csv.begin()
        ear.samples.check()
        csv.close()
        with pytest.raises(ValueError, match="closed file"):
            csv.fetch()

    async def test_it_is_looked_at_while_nobody_asks(self, ear: Ear, until: Until, tmp_path: Path):
        path = tmp_path / "scope.csv"
        path.touch()
        csv = CsvScope(ear.samples, path)
        csv.begin()
        path.write_text(rows([*PULSE, (9_000, 0)]))
        await until(lambda: ear.scope.pulses(1))
        csv.close()

    async def test_a_file_that_is_not_there_is_an_error(self, ear: Ear, tmp_path: Path):
        with pytest.raises(FileNotFoundError):
            CsvScope(ear.samples, tmp_path / "none.csv")


class TestAdc:
    async def test_lines_from_a_terminal_the_first_passed_over(self, ear: Ear, until: Until):
        far, near = os.openpty()
        tty.setraw(near)
        adc = await AdcScope.open(ear.samples, os.ttyname(near))
        adc.fetch()
        os.write(far, f"0,1,0\n{rows(PULSE)}9000,1,0\n".encode())
        await until(lambda: ear.scope.pulses(1))
        ear.samples.check()
        os.close(near)
        os.close(far)
        await until(lambda: ear.samples._wrong)
        with pytest.raises(DeafError, match="the instrument has hung up"):
            ear.samples.check()
        await adc.close()

    async def test_lines_over_tcp_to_the_end(self, ear: Ear, until: Until):
        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"whole\n{rows(PULSE)}9000,1,0\n".encode())
            writer.close()

        async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
            adc = await AdcScope.open(ear.samples, f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            await until(lambda: ear.samples._wrong)
            await adc.close()
        assert len(ear.scope.pulses(1)) == 1
        with pytest.raises(DeafError, match="the instrument has hung up"):
            ear.samples.check()
