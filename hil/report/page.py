"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hil.evidence import Run, Test
from hil.report import figures, plots
from hil.report.kills import Kills, Mutants
from hil.report.matrix import Requirements, matrix, named, silent
from hil.report.verdict import count, judge

SHOWN = 400
"""Rows of a transcript on the page, half from its beginning and half from its end. Engineering default."""
LISTED = 6
"""Tests that a row of the matrix names before it folds the others away. Engineering default."""
DISTRIBUTED = 5
"""Values of one name from which a histogram says more than a list. Engineering default."""


class Extras(NamedTuple):
    """What a report may hold besides its run; `baseline_name` says which run it is compared with."""

    requirements: Requirements | None = None
    kills: Kills | None = None
    baseline: Run | None = None
    baseline_name: str = ""


class Part(NamedTuple):
    """The rows of a transcript that the page shows, and how many it leaves out between them."""

    first: Sequence[Any]
    left_out: int
    last: Sequence[Any]


def html(run: Run, extras: Extras) -> str:
    """Write the page."""
    environment = Environment(
        loader=PackageLoader("hil.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "second": second,
        "part": part,
        "breakable": breakable,
    }
    rows = matrix(run, extras.requirements or named(run))
    kills = extras.kills.root if extras.kills else None
    before = extras.baseline
    told = [test for test in run.tests if tells(test)]
    texts = {
        each.id: each.text
        for kind in ((extras.requirements.hazards, extras.requirements.rules) if extras.requirements else ())
        for each in kind
    }
    return environment.get_template("page.html").render(
        run=run,
        verdict=judge(run),
        notices=notices(run),
        counts={outcome: count(run, outcome) for outcome in ("passed", "failed", "error", "skipped")},
        rows=rows,
        gaps=sum(bool(row.gaps) for row in rows),
        silent=silent(run),
        texts=texts,
        required=extras.requirements is not None,
        listed=LISTED,
        told=told,
        names={test.id: f"test-{number}" for number, test in enumerate(told, 1)},
        pictures=lambda test: [
            # Made of numbers, and of texts that are escaped. Of a silent channel there is nothing to draw.
            (Markup(plots.draw(test, channel)) if channel.pulses or channel.commanded else "", plots.words(channel))  # noqa: S704
            for channel in test.channels
        ],
        begin_us=lambda test: plots.span(test).begin_us,
        figures=[
            (each, Markup(plots.histogram(each)) if len(each.values) >= DISTRIBUTED else "")  # noqa: S704 - as above
            for each in figures.figures(run)
        ],
        mutants=kills if isinstance(kills, Mutants) else None,
        stages=kills if isinstance(kills, dict) else None,
        before=before,
        baseline_name=extras.baseline_name,
        changed=figures.changed(before, run) if before else [],
        moved=figures.moved(before, run) if before else [],
    )


def notices(run: Run) -> list[str]:
    """What has to stand on every page."""
    found = []
    if run.is_dev:
        found.append("DEV RUN: NO EVIDENCE")
    if run.bench.scope == "none":
        found.append("PROTOCOL EVIDENCE ONLY: no scope, delivered current was not measured")
    return found


def tells(test: Test) -> bool:
    """Whether there is more to say of a test than how it ended and what it measured."""
    return bool(
        test.failure
        or test.first_cause
        or test.injections
        or test.channels
        or test.serial
        or test.mqtt
        or test.journal
        or test.attachments
    )


def second(at_us: int, begin_us: int) -> str:
    """A moment in seconds since a test began, to the microsecond that the bench knows."""
    return f"{(at_us - begin_us) / 1e6:.6f}"


def part(rows: Sequence[Any]) -> Part:
    """The rows of a transcript that are shown."""
    if len(rows) <= SHOWN:
        return Part(rows, 0, ())
    return Part(rows[: SHOWN // 2], len(rows) - SHOWN, rows[-SHOWN // 2 :])


def breakable(id_: str) -> Markup:
    """The id of a test, with the places where a line may end."""
    return Markup("<wbr>").join(map(escape, re.split(r"(?<=[/_])|(?<=::)|(?=\[)", id_)))
