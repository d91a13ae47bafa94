"""Requests and answers by number, and one energising frame at a time, whatever the protocol."""

from __future__ import annotations

import asyncio

import pytest

from controller.devices.asked import Asked, Request, fail, fulfil
from controller.devices.base import DeviceError
from controller.link import LinkError

TURN, REMEMBERED = 64, 16


@pytest.fixture
def asked() -> Asked[str]:
    return Asked(TURN, REMEMBERED)


def test_numbers_rise_by_one_and_begin_again(asked: Asked[str]) -> None:
    numbers = []
    for _ in range(TURN + 2):
        following = asked.following
        asked.add("frame")
        assert asked.number == following
        numbers.append(asked.number)
    assert numbers == [*range(1, TURN), 0, 1, 2]


@pytest.mark.parametrize("before", [0, TURN - 3])
def test_an_answer_is_taken_once_and_only_while_it_is_remembered(asked: Asked[str], before: int) -> None:
    for _ in range(before):
        asked.add("old")
    asked.add("mine", 7)
    mine = asked.number
    for _ in range(REMEMBERED - 1):
        asked.add("newer")
    assert asked.is_open(mine)
    assert asked.take(mine) == Request("mine", 7, None)
    assert (asked.take(mine), asked.is_open(mine)) == (None, False)
    asked.add("mine")
    mine = asked.number
    for _ in range(REMEMBERED):
        asked.add("newer")
    assert (asked.is_open(mine), asked.take(mine)) == (False, None)


def test_what_is_forgotten_is_not_answered_but_its_number_is_not_used_again(asked: Asked[str]) -> None:
    asked.add("frame")
    asked.energised(1_000, 50)
    asked.damaged += 1
    asked.forget()
    asked.may_energise(1_000)
    assert (asked.take(1), asked.following, asked.damaged) == (None, 2, 0)


# One energising frame at a time


@pytest.mark.parametrize(("after_ms", "waits"), [(0, True), (50, True), (51, False)])
def test_the_next_energising_frame_waits_for_the_budget(asked: Asked[str], after_ms: int, waits: bool) -> None:
    asked.may_energise(1_000)
    asked.add("drive")
    asked.energised(1_000, 50)
    if waits:
        with pytest.raises(DeviceError, check=lambda error: error.code == "SYS.INTERNAL"):
            asked.may_energise(1_000 + after_ms)
    else:
        asked.may_energise(1_000 + after_ms)


def test_its_answer_or_one_to_a_later_request_ends_the_waiting_and_an_earlier_one_does_not(asked: Asked[str]) -> None:
    for answered, ends in ((0, False), (1, True), (2, True)):
        first = asked.following
        asked.add("ask")
        asked.add("drive")
        asked.energised(1_000, 50)
        asked.add("ask")
        asked.take((first + answered) % TURN)
        if ends:
            asked.may_energise(1_000)
        else:
            with pytest.raises(DeviceError):
                asked.may_energise(1_000)
        asked.silenced()


def test_a_stop_ends_the_waiting(asked: Asked[str]) -> None:
    asked.add("drive")
    asked.energised(1_000, 50)
    asked.silenced()
    asked.may_energise(1_000)


# Who waits


async def test_an_exchange_is_answered_and_writes_again_only_until_then(asked: Asked[str]) -> None:
    written = []

    def write(answer: asyncio.Future[str]) -> None:
        asked.add("hello", answer=answer)
        written.append(asked.number)
        if len(written) == 2:
            request = asked.take(written[0])
            assert request is not None
            assert fulfil(request, "here")

    assert await asked.exchange(write, "HELLO", 3, 1) == "here"
    assert written == [1, 2]


@pytest.mark.parametrize(("damaged", "found"), [(0, "DEV.SILENT"), (1, "DEV.DAMAGED")])
async def test_an_exchange_without_an_answer_says_whether_anything_came(
    asked: Asked[str], damaged: int, found: str
) -> None:
    tries: list[asyncio.Future[str]] = []

    def write(answer: asyncio.Future[str]) -> None:
        tries.append(answer)
        asked.damaged += damaged

    with pytest.raises(DeviceError, check=lambda error: error.code == found):
        await asked.exchange(write, "HELLO", 2, 1)
    assert len(tries) == 2
    assert tries[0].cancelled()


async def test_an_exchange_on_a_lost_line_says_so(asked: Asked[str]) -> None:
    def write(_: asyncio.Future[str]) -> None:
        raise LinkError("LINK.LOST", "it is gone")

    with pytest.raises(DeviceError, match="it is gone", check=lambda error: error.code == "DEV.LOST"):
        await asked.exchange(write, "HELLO", 2, 1)


async def test_a_lost_line_is_told_to_whoever_waits(asked: Asked[str]) -> None:
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asked.add("hello", answer=waiting)
    asked.add("ask")
    asked.lost("unplugged")
    asked.lost("unplugged")
    with pytest.raises(DeviceError, match="unplugged"):
        await waiting


async def test_only_the_first_word_counts(asked: Asked[str]) -> None:
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    request = Request("hello", 0, waiting)
    assert fulfil(request, "one")
    assert fulfil(request, "two")
    fail(request, DeviceError("DEV.NAK", "late"))
    assert await waiting == "one"
    assert not fulfil(Request("ask", 1, None), "nobody waits")
    fail(Request("ask", 1, None), DeviceError("DEV.NAK", "nobody waits"))
