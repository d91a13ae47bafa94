"""A button at the bedside: each press is a patient's stop; whatever else it sends is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.inputs import RECORD, StopButton, is_press
from safety.messages import PatientStop

KEY, SYNC, MOVE = 1, 0, 2


def record(kind: int = KEY, value: int = 1, code: int = 30) -> bytes:
    return RECORD.pack(1, 2, kind, code, value)


@pytest.mark.parametrize(
    ("kind", "value", "press"),
    [(KEY, 1, True), (KEY, 0, False), (KEY, 2, False), (SYNC, 1, False), (MOVE, 1, False), (KEY, -1, False)],
)
def test_only_a_key_that_goes_down_is_a_press(kind: int, value: int, press: bool):
    assert is_press(record(kind, value)) is press


class Bedside:
    """A pipe in the place of the input device, and what was posted."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.posted: list[PatientStop] = []
        self.end = os.open(path, os.O_RDWR)
        self.task = asyncio.ensure_future(StopButton(path, self.posted.append).run())

    def send(self, data: bytes) -> None:
        os.write(self.end, data)


@pytest.fixture
async def bedside(tmp_path: Path) -> AsyncIterator[Bedside]:
    side = Bedside(tmp_path / "button")
    yield side
    side.task.cancel()
    await asyncio.gather(side.task, return_exceptions=True)
    os.close(side.end)


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
async def test_each_press_is_posted(bedside: Bedside, until):
    bedside.send(record(value=1) + record(SYNC, 0) + record(value=0) + record(value=1))
    await until(lambda: len(bedside.posted) == 2)
    assert bedside.posted == [PatientStop(), PatientStop()]


async def test_a_record_may_come_in_pieces(bedside: Bedside, until):
    whole = record()
    for at in range(len(whole)):
        bedside.send(whole[at : at + 1])
        await asyncio.sleep(0)
    await until(lambda: len(bedside.posted) == 1)


async def test_a_button_that_comes_back_is_heard_again(bedside: Bedside, tmp_path: Path, until):
    bedside.send(record())
    await until(lambda: len(bedside.posted) == 1)
    (tmp_path / "button").unlink()
    os.close(bedside.end)
    os.mkfifo(tmp_path / "button")
    bedside.end = os.open(tmp_path / "button", os.O_RDWR)
    bedside.send(record())
    await until(lambda: len(bedside.posted) == 2)


async def test_a_button_that_is_not_there_yet_is_waited_for(tmp_path: Path, until):
    posted: list[PatientStop] = []
    task = asyncio.ensure_future(StopButton(tmp_path / "late", posted.append).run())
    await asyncio.sleep(0.05)
    os.mkfifo(tmp_path / "late")
    end = os.open(tmp_path / "late", os.O_RDWR)
    os.write(end, record())
    await until(lambda: len(posted) == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    os.close(end)
