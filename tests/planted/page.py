"""The two tables, as text for a terminal and as docs/planted.md."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.table import Table

from safety.rules.hazards import HAZARDS
from tests.planted.defect import Defect
from tests.planted.trial import Outcome, is_story
from tests.proof.judge import KILLED, SURVIVED, TIMED_OUT
from tests.proof.mutants import ROOT, Mutant
from tests.proof.result import table

KEPT: Final = ROOT / "docs/planted.md"
EXPLAINED: Final = Path(__file__).with_name("survivors.toml")
NAMES: Final = {hazard.id: hazard.situation for hazard in HAZARDS}
LEAST_PERCENT: Final = 90

ABOUT: Final = """\
# Planted defects

Written by `make planted`; do not edit.

A test that never fails proves nothing. So defects were planted in the controller, one at a time, each of a kind that a
programmer might make one day: a stop that goes out late, a permit that is used before it is on disk, a figure in the
wrong unit. Then the stories of this project were told: whole sessions on an emulated stimulator and an emulated body,
in simulated time, with a scope on the current that reaches the skin. A story *catches* a defect when it fails with the
defect in place, and passes without. One change is planted that is no defect at all; it must not be caught, or the
stories would fail for anything.

The second table goes the other way: {drawn} small changes were drawn by chance (seed {seed}) from the {generated} that
can be made in the station, the performer, the journal and the drivers: a comparison turned round, a figure off by one,
a statement left out. Whether a change does harm nobody has chosen beforehand. It is *killed* when a story or one of the
controller's own tests fails. What survives is listed with its line.

What this does not show: that there are no defects. It shows how likely one of these kinds would have been seen."""


class Campaign(NamedTuple):
    """What was tried, and what became of it."""

    defects: Sequence[Defect]
    caught: Mapping[str, Outcome]
    mutants: Sequence[Mutant]
    killed: Mapping[str, Outcome]
    generated: int
    seed: int


def story_of(test: str) -> str:
    """A test's name as words, with its variant."""
    name, _, variant = test.rpartition("::")[2].removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" ({variant[:-1]})" if variant else "")


def explained(text: str) -> dict[str, str]:
    """Read why survivors are no gap: each key once, with a reason worth the name."""
    entries = tomllib.loads(text).get("survivor", [])
    found = {each["key"]: each["why"] for each in entries}
    if len(found) != len(entries) or any(len(why) < 20 for why in found.values()):
        raise ValueError("a survivor is explained twice, or not at all")
    return found


def percent(campaign: Campaign) -> int:
    """How many of a hundred mutants were killed, rounded down; explained ones count as survivors."""
    return 100 * sum(each.is_caught for each in campaign.killed.values()) // max(1, len(campaign.mutants))


def objections(campaign: Campaign) -> list[str]:
    """What does not hold."""
    wrong = [
        f"caught by no story: {each.id}" for each in campaign.defects
        if each.id in campaign.caught and not campaign.caught[each.id].is_caught and each.hazard
    ]  # fmt: skip
    wrong += [
        f"no defect, and yet caught: {each.id} by {campaign.caught[each.id].by}" for each in campaign.defects
        if not each.hazard and each.id in campaign.caught and campaign.caught[each.id].verdict != SURVIVED
    ]  # fmt: skip
    wrong += [f"was not tried: {each.id}" for each in campaign.defects if each.id not in campaign.caught]
    wrong += [f"was not tried: {each.key}" for each in campaign.mutants if each.key not in campaign.killed]
    if campaign.mutants and percent(campaign) < LEAST_PERCENT:
        wrong.append(f"{percent(campaign)} % of the mutants were killed, at least {LEAST_PERCENT} % should be")
    return wrong


def defect_rows(campaign: Campaign) -> list[list[str]]:
    """A row for each defect: what, which hazard, caught by which story."""
    rows = []
    for each in campaign.defects:
        outcome = campaign.caught.get(each.id)
        by = (
            story_of(outcome.by)
            if outcome and outcome.is_caught
            else "**no story**"
            if each.hazard
            else "no story, as it should be"
        )
        hazard = f"{each.hazard} {NAMES[each.hazard]}" if each.hazard else "none: the change does nothing"
        rows.append([each.id, each.what, hazard, by])
    return rows


def mutant_rows(campaign: Campaign) -> list[list[str]]:
    """A row for each module, and their sum: how many were drawn, and what became of them."""
    rows, paths = [], sorted({each.path for each in campaign.mutants})
    for path in (*paths, ""):
        mine = [
            campaign.killed[each.key]
            for each in campaign.mutants
            if path in {"", each.path} and each.key in campaign.killed
        ]
        ends = Counter(each.verdict for each in mine)
        by_story = sum(each.verdict == KILLED and is_story(each.by) for each in mine)
        row = [
            len(mine),
            by_story,
            ends[KILLED] - by_story,
            ends[TIMED_OUT],
            len(mine) - ends[KILLED] - ends[TIMED_OUT],
        ]
        rows.append([path or "all", *map(str, row)])
    return rows


def survivors(campaign: Campaign) -> list[tuple[str, str, str]]:
    """Each mutant that no test killed: where, what, and why it is no gap, if that is known."""
    reasons = explained(EXPLAINED.read_text(encoding="utf-8"))
    return [
        (f"{each.path}:{each.first}", each.key.partition(" ")[2], reasons.get(each.key, ""))
        for each in campaign.mutants
        if each.key in campaign.killed and not campaign.killed[each.key].is_caught
    ]  # fmt: skip


DEFECTS_HEAD: Final = ["defect", "what is wrong", "hazard", "caught by the story"]
MUTANTS_HEAD: Final = ["module", "drawn", "killed by a story", "by an own test", "ended by its time limit", "survived"]


def printed(campaign: Campaign) -> list[Table]:
    """Both tables for a terminal."""
    tables = []
    for title, head, rows in (
        ("Planted defects", DEFECTS_HEAD, defect_rows(campaign)),
        ("Random mutants", MUTANTS_HEAD, mutant_rows(campaign)),
        ("Survivors", ["where", "what", "why it is no gap"], [list(each) for each in survivors(campaign)]),
    ):
        if rows:
            shown = Table(*head, title=title)
            for row in rows:
                shown.add_row(*row)
            tables.append(shown)
    return tables


def page(campaign: Campaign) -> str:
    """Both tables as a page."""
    caught = sum(bool(each.hazard) for each in campaign.defects)
    about = ABOUT.format(drawn=len(campaign.mutants), seed=campaign.seed, generated=f"{campaign.generated:,}")
    lines = [about, "", "## Defects", "", f"{caught} defects, each caught by at least one story.", ""]
    lines += table(DEFECTS_HEAD, defect_rows(campaign))
    lines += [
        "",
        "## Random mutants",
        "",
        f"{percent(campaign)} % were killed.",
        "",
        *table(MUTANTS_HEAD, mutant_rows(campaign)),
    ]
    lines += ["", "### Survivors", ""]
    lines += [f"- {where} `{what}`: {why or 'not explained'}" for where, what, why in survivors(campaign)] or ["None."]
    return "\n".join(lines) + "\n"
