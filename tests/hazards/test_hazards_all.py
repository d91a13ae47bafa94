"""Every hazard of the safety case has a story, every story names a hazard that there is; and the stories bite."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from safety.rules.hazards import HAZARDS
from tests.hazards.page import imported, page
from tests.hazards.story import WINDOW_UA, Act, Story, told
from tests.hazards.ward import Options, Ward

ROOT = Path(__file__).parents[2]
KNOWN = {hazard.id for hazard in HAZARDS}


@pytest.fixture(scope="module")
def stories() -> dict[str, Story]:
    """All of this folder."""
    return dict(imported())


def gaps(stories: dict[str, Story]) -> list[str]:
    """What is wrong with the table that hazards and stories make."""
    told_of = {hazard for it in stories.values() for hazard in it.hazards}
    wrong = [f"{hazard}: has no story" for hazard in sorted(KNOWN - told_of)]
    for name, it in stories.items():
        wrong += [f"{name}: there is no hazard {hazard}" for hazard in it.hazards if hazard not in KNOWN]
        first = f"test_{it.hazards[0].lower()}_" if it.hazards else "a hazard"
        wrong += [f"{name}: its name does not begin with {first}"] * (not name.startswith(first))
    return wrong


@pytest.mark.hazard("H40")
def test_every_hazard_has_a_story_and_every_story_a_hazard(stories: dict[str, Story]):
    assert gaps(stories) == []
    assert len(stories) > len(KNOWN)


@pytest.mark.hazard("H40")
def test_a_hazard_that_loses_its_stories_is_seen(stories: dict[str, Story]):
    for hazard in KNOWN:
        left = {name: it for name, it in stories.items() if hazard not in it.hazards}
        assert f"{hazard}: has no story" in gaps(left)


@pytest.mark.hazard("H40")
def test_a_story_of_no_hazard_is_seen(stories: dict[str, Story]):
    it = next(iter(stories.values()))
    stray, nobody = it._replace(hazards=("H51",)), it._replace(hazards=())
    assert gaps(stories | {"test_h51_x": stray, "test_y": nobody}) == [
        "test_h51_x: there is no hazard H51", "test_y: its name does not begin with a hazard",
    ]  # fmt: skip


@pytest.mark.hazard("H40")
def test_the_page_is_fresh(stories: dict[str, Story]):
    assert (ROOT / "docs" / "stories.md").read_text(encoding="utf-8") == page(stories)


@pytest.mark.hazard("H40")
def test_the_page_tells_each_story_once_and_shows_all_that_is_said(stories: dict[str, Story]):
    text = page(stories)
    assert text.count("\n### ") == len(stories)
    name, it = next((name, it) for name, it in stories.items() if it.golden)
    assert page(stories | {name: it._replace(golden=("another word",))}) != text
    assert "\na: x  (2 times)\nb\n" in page(stories | {name: it._replace(golden=("a: x", "a: x", "b"))})


# What holds in every story, shown to bite


def plain(act: Act, over_ua: int = WINDOW_UA) -> Story:
    return Story(act, ("H40",), (), Options(), "", over_ua, is_counted=True)


async def quiet(ward: Ward) -> None:
    await ward.flowing()


async def unanswered(ward: Ward) -> None:
    await ward.flowing()
    ward.owed[next(iter(ward.asked))] += 1


async def short_changed(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("over_delivery", gain=4.0)
    await asyncio.sleep(56)


async def flows_on(ward: Ward) -> None:
    await ward.flowing()
    cause_us = ward.now_us
    await ward.zero(cause_us, 500_000)


async def never_flowed(ward: Ward) -> None:
    await ward.turned_on()
    await ward.zero(ward.now_us - 900_000, 500_000)


async def unsteady(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("over_delivery", gain=1.001)
    await ward.steady()


@pytest.mark.hazard("H35")
@pytest.mark.parametrize(
    ("it", "failure"),
    [
        (plain(quiet), ""),
        (plain(quiet, over_ua=19_999), "19999"),
        (plain(unanswered), "device.claim"),
        (plain(short_changed, over_ua=100_000), "delivered 1"),
        (plain(flows_on), "current after"),
        (plain(never_flowed), "nothing flowed before"),
        (plain(unsteady), "20020"),
    ],
)
def test_what_every_story_is_judged_by_bites(it: Story, failure: str):
    said = told(it, "virtual").failure
    assert failure in str(said)
    assert (said is None) is (failure == "")


@pytest.mark.hazard("H35")
def test_another_sequence_than_that_of_the_story_is_seen():
    async def paused(ward: Ward) -> None:
        await ward.flowing()
        await ward.must("session.pause")

    assert told(plain(paused), "virtual").lines == ("session.paused", "session.pause: succeeded OK", "stop.confirmed")
