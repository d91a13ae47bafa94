"""How a story of a hazard is told: once, on both benches, each against the same sequence of what is said.

A story is a coroutine that is given a ward. What the controller has said since the ward was last looked at is then
compared, line for line, with the sequence that stands with the story; and whatever happens in it, some things hold:
every command is answered once, no more was delivered than the ledger knows, none of it above the window.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeAlias

import pytest

from hil import simtime
from tests.hazards.houses import ahead
from tests.hazards.ward import START_US, Options, Ward

Act: TypeAlias = Callable[[Ward], Coroutine[Any, Any, None]]

WINDOW_UA = 30_000
TRIES = 3
LATE = ("M25", "M04", "DEV.LOST", "DEV.WATCHDOG", "SYS.OVERLOAD")
"""What is said where a computer has kept its programs waiting; and how often a story is told then, in real time."""


LAST_S = 0.5
"""How long a story is listened to when all is said."""


class Story(NamedTuple):
    """A story; `virtual_only` says why it is not told in real time.

    `over_ua` is the most that reaches the body in it; `is_counted`: no more of it than the ledger knows.
    """

    act: Act
    hazards: tuple[str, ...]
    golden: tuple[str, ...]
    options: Options
    virtual_only: str
    over_ua: int
    is_counted: bool


class Telling(NamedTuple):
    """How a story went: what was said, and what went wrong."""

    lines: tuple[str, ...]
    failure: Exception | None


STORIES: dict[str, Story] = {}
"""All that were imported, by the names of their tests."""


def story(
    *hazards: str,
    golden: str,
    rules: str = "",
    virtual_only: str = "",
    over_ua: int = WINDOW_UA,
    is_counted: bool = True,
    **options: Any,  # noqa: ANN401 - of the ward
) -> Callable[[Act], Callable[[str], None]]:
    """Make a test of a story; `golden` is what is said in it, a line each."""
    lines = tuple(line.strip() for line in golden.strip().splitlines())

    def made(act: Act) -> Callable[[str], None]:
        it = Story(act, hazards, lines, Options(**options), virtual_only, over_ua, is_counted)
        STORIES[act.__name__] = it

        def test(place: str) -> None:
            telling = told(it, place)
            if telling.failure is not None:
                raise AssertionError("\n".join(("it was said:", *telling.lines))) from telling.failure
            assert telling.lines == it.golden

        test.__name__ = test.__qualname__ = act.__name__
        test.__doc__, test.__module__ = act.__doc__, act.__module__
        places = ["virtual"] if virtual_only else ["virtual", pytest.param("pty", marks=pytest.mark.pty)]
        marks = [pytest.mark.hazard(*hazards), *([pytest.mark.rule(*rules.split())] if rules else [])]
        for mark in (pytest.mark.parametrize("place", places), *marks):
            test = mark(test)
        return test

    return made


def told(it: Story, place: str) -> Telling:
    """Tell a story; on a pty again where controller or bench came too late, which a busy machine makes of both."""
    for _ in range(TRIES):
        telling = told_once(it, place)
        is_well = telling.failure is None and telling.lines == it.golden
        others = Counter(telling.lines) - Counter(it.golden)
        was_late = any(word in line for line in others for word in LATE)
        if place == "virtual" or is_well or not was_late:
            break
    return telling


def told_once(it: Story, place: str) -> Telling:
    """Tell a story in a ward of its own."""
    with TemporaryDirectory() as name:

        async def main() -> Telling:
            ward = Ward(Path(name), it.options, is_real=place == "pty")
            failure: Exception | None = None
            try:
                await it.act(ward)
                await ward.all_answered()
                await asyncio.sleep(LAST_S)
                judge(it, ward)
            except (AssertionError, TimeoutError) as error:
                failure = error
            finally:
                lines = tuple(ward.told())
                await ward.close()
            return Telling(lines, failure)

        if place == "virtual":
            return simtime.run(main(), start_us=START_US)
        with ahead():
            return asyncio.run(main())


def judge(it: Story, ward: Ward) -> None:
    """See that what holds in every story held in this one."""
    for command_id, verb in ward.asked.items():
        assert len(ward.finals(command_id)) == ward.owed[command_id], (verb, ward.answers.get(command_id))
    delivered_nc = 0.0
    for device, bed in ward.beds.items():
        for channel in range(1, len(bed.bench.bodies) + 1):
            found = ward.pulses(channel, device=device)
            assert max((pulse.first_ua for pulse in found), default=0) <= it.over_ua
            delivered_nc += sum(pulse.charge_nc for pulse in found)
    booked_nc = sum(row["reserved_nc"] if row["charged_nc"] is None else row["charged_nc"] for row in ward.ledger())
    assert delivered_nc <= booked_nc or not it.is_counted, f"delivered {delivered_nc} nC, booked {booked_nc}"
