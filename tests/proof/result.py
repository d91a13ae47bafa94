"""What a stage of the proof says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Result(NamedTuple):
    """Figures for the summary, lines of Markdown for the file, and what is wrong; nothing wrong is a pass."""

    title: str
    figures: dict[str, int]
    lines: list[str]
    wrong: list[str]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown; a bar inside a cell is escaped."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (list(head), ["---"] * len(head), *cells)]
