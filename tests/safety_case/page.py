"""What a page about a rule is made of: prose, and examples that the shipped code answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from safety.verdict import Reason
from tests.safety_case.figures import named

Outcome = Reason | str | None
"""What a rule says; nothing is permission; a text is the outcome of a rule that speaks by counting."""


class Example(NamedTuple):
    """A situation in words, with the figures that it was run with, and how to run it."""

    text: str
    run: Callable[..., Outcome]
    figures: dict[str, object]

    @property
    def situation(self) -> str:
        shown = {name: named(name, value) if type(value) is int else str(value) for name, value in self.figures.items()}
        return self.text.format(**shown)

    def outcome(self) -> Outcome:
        return self.run(**self.figures)


def example(text: str, run: Callable[..., Outcome], **figures: object) -> Example:
    return Example(text, run, figures)


class Page(NamedTuple):
    """Prose about one rule: what it guards a patient from, the check as a formula, and examples."""

    id: str
    guards: str
    check: str
    examples: tuple[Example, ...]
    note: str = ""
