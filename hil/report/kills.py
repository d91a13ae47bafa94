"""What became of mutants of the controller, from a file of one of two shapes.

Mutants by name, `{"format": "stimwarden-hil kills", "version": 1, "mutants": [{"id", "text", "killed_by"}]}`; or
figures by stage, `{"mutation": {"killed": 12, "survived": 0}}`, as the proof of this project writes them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, RootModel

Stages: TypeAlias = dict[str, dict[str, int]]


class Mutant(BaseModel):
    """A planted defect, and the test that failed with it; None: it lives."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: str
    text: str = ""
    killed_by: str | None


class Mutants(BaseModel):
    """The mutants one by one."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal["stimwarden-hil kills"]
    version: Literal[1]
    mutants: tuple[Mutant, ...]

    @property
    def alive(self) -> tuple[Mutant, ...]:
        """Those that no test found."""
        return tuple(mutant for mutant in self.mutants if mutant.killed_by is None)


class Kills(RootModel[Mutants | Stages]):
    """Either shape."""
