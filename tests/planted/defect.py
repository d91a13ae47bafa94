"""Defects as people write them: each replaces a passage of one module of the controller, and says what it threatens.

A defect is put in force in a running process by giving every function that the passage touches the code of the altered
source, so that it is reached through every table that holds the function. It may touch functions only. What is no
defect at all (a passage that is not there, or code that is the same) is refused.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.proof.mutants import ROOT, Mutant, code_of, function_of

LIST: Final = Path(__file__).with_name("defects.toml")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Defect(NamedTuple):
    """One defect; `first` are the stories that are known to catch it."""

    id: str
    what: str
    hazard: str
    path: str
    before: str
    after: str
    first: tuple[str, ...]


class NoDefectError(Exception):
    """This cannot be planted, or changes nothing."""


def defects(text: str) -> list[Defect]:
    """Read a list of them."""
    found = []
    for each in tomllib.loads(text)["defect"]:
        before, after = each["before"].strip("\n"), each["after"].strip("\n")
        first = tuple(each["first"])
        found.append(Defect(each["id"], each["what"], each["hazard"], each["file"], before, after, first))
    if len({each.id for each in found}) != len(found):
        raise ValueError("two defects have one id")
    return found


def planted(defect: Defect) -> Callable[[], None]:
    """Make ready to put a defect in force. Raises NoDefectError."""
    shipped = (ROOT / defect.path).read_text(encoding="utf-8")
    if shipped.count(defect.before) != 1:
        raise NoDefectError(f"{defect.id}: its passage stands {shipped.count(defect.before)} times in {defect.path}")
    altered = shipped.replace(defect.before, defect.after)
    names = touched(defect, shipped, altered)
    compiled = compile(altered, defect.path, "exec", dont_inherit=True)
    swaps = []
    for name in names:
        function = function_of(Mutant("", defect.path, name, "", 0, 0, 0))
        code = code_of(compiled, name)
        if function is None or code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
            raise NoDefectError(f"{defect.id}: {name} cannot be given another code")
        swaps.append((function, code))

    def put() -> None:
        for function, code in swaps:
            function.__code__ = code

    return put


def touched(defect: Defect, shipped: str, altered: str) -> list[str]:
    """Name the functions in which two sources differ. Raises NoDefectError where that is all of none, or not all."""
    before, after = (ast.parse(source) for source in (shipped, altered))
    were, are = (dict(functions(tree)) for tree in (before, after))
    names = [name for name, node in were.items() if name in are and ast.dump(node) != ast.dump(are[name])]
    for node in (*were.values(), *are.values()):
        node.body = [ast.Pass()]
    if ast.dump(before) != ast.dump(after):
        raise NoDefectError(f"{defect.id}: it changes more than what functions do")
    if not names:
        raise NoDefectError(f"{defect.id}: it changes nothing")
    return names


def functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, Function]]:
    """The functions of a module and its classes, by their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield within + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{within}{node.name}.")
