"""Small random faults in the shell: its station, performer, journal and drivers, edited as the proof edits the core.

What is logged is for people, and no test pins its words: they are left alone, as the proof leaves the words of an
exception. A log that is lost altogether is a fault like any other. That a class is frozen shows in no result.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.mutants import ROOT, Edit, Generator, Module, Mutant, Room, called_at_import, enums

MODULES: Final = (
    "controller/station.py",
    "controller/perform.py",
    "controller/journal.py",
    "controller/chain.py",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "controller/devices").glob("*.py")),
)


class Shell(Generator):
    """Walks a module of the shell, whose functions may be coroutines."""

    def _node(self, node: ast.AST, owner: ast.AST, slot: str, index: int | None, room: Room) -> Iterator[Edit]:
        match node:
            case ast.AsyncFunctionDef() if not room.function:
                yield from self._function(node, room)  # type: ignore[arg-type]
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))) | ast.keyword(arg="frozen"):
                return
            case _:
                yield from super()._node(node, owner, slot, index, room)


class ShellModule(Module):
    """A parsed module of the shell, and its edits."""

    def __init__(self, path: str, source: str, members: dict[str, list[str]]) -> None:
        self.path = path
        self.tree = ast.parse(source, path)
        self.edits = list(Shell(self.tree, members).edits())
        self.called_at_import = called_at_import(self.tree)


def load(paths: tuple[str, ...] = MODULES) -> dict[str, Module]:
    """Parse the modules."""
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}
    members = enums([ast.parse(source) for source in sources.values()])
    return {path: ShellModule(path, source, members) for path, source in sources.items()}


def drawn(rooms: Mapping[str, Module], number: int, seed: int) -> list[Mutant]:
    """Draw some of all mutants, each with the same chance; the same seed draws the same from the same code."""
    mutants = [mutant for room in rooms.values() for mutant in room.mutants()]
    return random.Random(seed).sample(mutants, number)  # noqa: S311 - repeatable, no secrets
