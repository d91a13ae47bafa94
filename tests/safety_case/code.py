"""What the code says about its rules: read from its syntax, so that it cannot differ from what runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

from safety.limits import Limits
from safety.verdict import Severity
from tests.safety_case.collect import ROOT

FIELDS = frozenset(spec.name for spec in fields(Limits))
NAMED = re.compile(r"([gml]\d\d)(_\w+)?$")
"""A rule's function is called by its id, with a word more where a rule has several."""


class Said(NamedTuple):
    """What a function may say under a rule's id: how hard that acts, and the words on the wire."""

    rule: str
    function: str
    severities: frozenset[Severity]
    codes: frozenset[str]


class Code(NamedTuple):
    """All that the code says: reasons by rule, limits by the rule whose function reads them, limits read anywhere."""

    said: tuple[Said, ...]
    limits: dict[str, frozenset[str]]
    read: frozenset[str]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def severities(node: ast.AST) -> frozenset[Severity]:
    """Every severity that is named inside a piece of code."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    names |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return frozenset(severity for severity in Severity if severity.name in names)


def reasons(function: ast.FunctionDef) -> Iterator[Said]:
    for call in ast.walk(function):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Reason"):
            continue
        if len(call.args) < 3 or not isinstance(call.args[0], ast.Constant) or not call.args[0].value:
            continue
        # A severity that is chosen before is any of those that the function names.
        hard = severities(call.args[1]) or severities(function)
        codes = words(call.args[2]) or words(function)
        yield Said(call.args[0].value, function.name, hard, codes)


def words(node: ast.AST) -> frozenset[str]:
    """Every wire code that is named inside a piece of code."""
    texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return frozenset(text for text in texts if re.fullmatch(r"[A-Z]{2,4}\.[A-Z_]+", text))


def limits_read(node: ast.AST) -> frozenset[str]:
    """Fields of the limits table that are read from something called limits (or general, the tighter of both)."""
    return frozenset(
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and part.attr in FIELDS
        and ast.unparse(part.value).rpartition(".")[2] in {"limits", "general"}
    )


def read(sources: list[str]) -> Code:
    """Read the sources; a rule reads also what the functions that it calls read."""
    trees = [ast.parse(source) for source in sources]
    named = {function.name: function for tree in trees for function in functions(tree)}
    said = tuple(each for tree in trees for function in functions(tree) for each in reasons(function))
    limits: dict[str, frozenset[str]] = {}
    for name, function in named.items():
        if match := NAMED.match(name):
            rule = match[1].upper()
            limits[rule] = limits.get(rule, frozenset()) | reached(function, named)
    everywhere = frozenset[str]().union(*(limits_read(tree) for tree in trees))
    return Code(said, limits, everywhere)


def reached(function: ast.FunctionDef, named: dict[str, ast.FunctionDef]) -> frozenset[str]:
    """Limits that a function reads, itself or through those that it calls."""
    todo, seen, found = [function], {function.name}, set[str]()
    while todo:
        node = todo.pop()
        found |= limits_read(node)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in named and part.id not in seen and not NAMED.match(part.id):
                seen.add(part.id)
                todo.append(named[part.id])
    return frozenset(found)


def shipped() -> Code:
    """Read safety/, and controller/, whose ledger speaks for X10."""
    paths = [path for room in ("safety", "controller") for path in sorted((ROOT / room).rglob("*.py"))]
    return read([path.read_text(encoding="utf-8") for path in paths])
