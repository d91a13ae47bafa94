"""docs/stories.md: what was told of each hazard, and what was said in it, for people who read no code.

python -m tests.hazards.page > docs/stories.md
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from itertools import groupby
from pathlib import Path

from safety.rules.hazards import HAZARDS, Hazard
from tests.hazards.papers import UA
from tests.hazards.story import STORIES, Story
from tests.hazards.ward import Options

HEAD = f"""# Stories of hazards

Made from `tests/hazards` by `make stories-page`; do not edit. For each [hazard of the safety
case](safety-case/hazards.md) something happens to a session on an emulated stimulator, and a scope on its leads
judges what reaches the body: that the current ends in time where it must, and flows where it may. Each story is told
in virtual time and, where it can be, again in real time, with the service as a process and the stimulator behind a
pseudo terminal; both must say the same, line for line.

A session here is {UA // 1_000} mA, 300 us, 40 Hz on a thigh, unless the story is about another. The block shows what
the service said besides the ordinary way to a session (claim, prepare, attest, measure, arm, start), in its order:
*command*: *outcome* *code* [rules], or *event* (priority of its alarm) *code* [rules]. Where nothing is said, nobody
is disturbed. Codes are explained in [the MQTT API](mqtt-api.md).
"""


def imported() -> Mapping[str, Story]:
    """All stories of this folder, by the names of their tests."""
    for file in sorted(Path(__file__).parent.glob("test_hazards_*.py")):
        importlib.import_module(f"tests.hazards.{file.stem}")
    return dict(STORIES)


def title(name: str) -> str:
    """The name of a test as a sentence."""
    words = name.split("_", 2)[2].replace("_", " ")
    return words[0].upper() + words[1:]


def setting(it: Story) -> str:
    """Where a story is told, and what is set there otherwise than usual."""
    parts = [f"In virtual time only: {it.virtual_only}." if it.virtual_only else "In virtual and in real time."]
    parts += [f"No pulse is above {it.over_ua / 1_000:g} mA."]
    parts += [f"The site's `{name}` is {value:,}." for name, value in it.options.limits.items() if value is not None]
    parts += ["The site is a clinic."] * (it.options.profile != Options().profile)
    return " ".join(parts)


def told(name: str, it: Story) -> Iterator[str]:
    """One story; what is said several times in a row is one line with its number."""
    yield f"### {title(name)}\n"
    if it.act.__doc__:
        yield cleandoc(it.act.__doc__) + "\n"
    yield setting(it) + "\n"
    if not it.golden:
        yield "Nothing is said.\n"
        return
    runs = [(line, len([*same])) for line, same in groupby(it.golden)]
    yield "\n".join(("```text", *(line + f"  ({count} times)" * (count > 1) for line, count in runs), "```\n"))


def chapter(hazard: Hazard, stories: Mapping[str, Story]) -> Iterator[str]:
    """All that is told of a hazard; a story of several is told under the first."""
    yield f"## {hazard.id} {hazard.situation}\n"
    yield f"Cause: {hazard.cause}. Harm: {hazard.harm}.\n"
    own = {name: it for name, it in stories.items() if it.hazards[0] == hazard.id}
    for name, it in own.items():
        yield from told(name, it)
    others = {name: it for name, it in stories.items() if hazard.id in it.hazards[1:]}
    if others:
        places = [f"*{title(name)}* ({it.hazards[0]})" for name, it in others.items()]
        yield f"{'See also' if own else 'See'}: {'; '.join(places)}.\n"


def page(stories: Mapping[str, Story]) -> str:
    """The page."""
    return "\n".join((HEAD, *(part for hazard in HAZARDS for part in chapter(hazard, stories))))


if __name__ == "__main__":
    sys.stdout.write(page(imported()))
