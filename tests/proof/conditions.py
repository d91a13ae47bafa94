"""Which condition of the heart was ever seen to flip a decision all by itself (MC/DC)?

A decision is what `if`, `while`, a conditional expression or a comprehension's `if` asks, or a value made with `and`,
`or`, `not`; its conditions are the parts between those words, and each link of a chain such as `low <= value <= high`.
A condition is shown when two evaluations are on record in which it differs, the decision differs with it, and every
other condition was the same or was not asked. That is modified condition/decision coverage, as avionics standards ask
for (quoted from memory), in its form for languages that stop asking when the answer is known.

The shipped source is compiled with a recorder around each condition and runs under the suite of tests/safety, a share
of the tests in each of some processes, whose records are laid together:

    python -m pytest tests/safety -p tests.proof.conditions --conditions=FILE --share=1/2
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest

from tests.proof.result import Result, table

ROOT: Final = Path(__file__).resolve().parents[2]
RECORD, CLOSE, OPEN = "__condition__", "__decision__", "__begin__"


class Decision(NamedTuple):
    """Where a decision stands, and the text of its conditions."""

    file: str
    line: int
    column: int
    function: str
    conditions: tuple[str, ...]


Vector = tuple[bool | None, ...]
"""What each condition said: None where it was not asked."""


class Record:
    """All decisions there are, and the vectors that were seen, each with its outcome."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.seen: defaultdict[int, set[tuple[Vector, bool]]] = defaultdict(set)
        self._open: list[list[bool | None]] = []

    def begin(self, conditions: int) -> bool:
        """Open a decision of so many conditions; always true, so that it can stand in front of `and`."""
        self._open.append([None] * conditions)
        return True

    def condition(self, index: int, value: object) -> object:
        """Note what one condition said, and hand it on."""
        self._open[-1][index] = bool(value)
        return value

    def decision(self, number: int, value: object) -> object:
        """Note a decision's outcome with its vector, and hand it on."""
        self.seen[number].add((tuple(self._open.pop()), bool(value)))
        return value

    def written(self) -> list[object]:
        """Give every decision with what was seen of it, for a file."""
        return [[decision, sorted(self.seen[number], key=repr)] for number, decision in enumerate(self.decisions)]

    def add(self, rows: Iterable[tuple[list[Any], list[tuple[list[bool | None], bool]]]]) -> None:
        """Lay what another process has written over this record."""
        numbers = {decision: number for number, decision in enumerate(self.decisions)}
        for (*place, conditions), seen in rows:
            decision = Decision(*place, tuple(conditions))
            number = numbers.setdefault(decision, len(self.decisions))
            if number == len(self.decisions):
                self.decisions.append(decision)
            self.seen[number] |= {(tuple(vector), outcome) for vector, outcome in seen}

    def unshown(self) -> dict[str, list[str]]:
        """Give, for each function that has one, the conditions that were never seen to flip their decision alone."""
        open_ends: dict[str, list[str]] = {}
        for number, decision in enumerate(self.decisions):
            seen = self.seen[number]
            missing = [text for index, text in enumerate(decision.conditions) if not flips(index, seen)]
            if missing:
                key = f"{decision.file}:{decision.function}"
                open_ends.setdefault(key, []).extend(missing)
        return open_ends


def flips(index: int, seen: Iterable[tuple[Vector, bool]]) -> bool:
    """Tell whether two vectors differ in this condition, in the outcome, and in nothing else that was asked."""
    off = [(vector, outcome) for vector, outcome in seen if vector[index] is False]
    on = [(vector, outcome) for vector, outcome in seen if vector[index] is True]
    return any(
        was != became
        and all(
            a == b or a is None or b is None
            for place, (a, b) in enumerate(zip(one, other, strict=True))
            if place != index
        )
        for one, was in off
        for other, became in on
    )


class Recorder(ast.NodeTransformer):
    """Put a recorder around each condition of each decision of a module."""

    def __init__(self, file: str, record: Record) -> None:
        self.file = file
        self.record = record
        self.place: list[str] = []
        self.links = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.place.append(node.name)
        self.generic_visit(node)
        self.place.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.place.append(node.name)
        self.generic_visit(node)
        self.place.pop()
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        return self.asking(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self.asking(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self.asking(node)

    def asking(self, node: ast.If | ast.While | ast.IfExp) -> ast.AST:
        """Record the test of a statement; what it holds further down is visited as usual."""
        test = node.test
        node.test = ast.Constant(value=True)
        self.generic_visit(node)
        node.test = test if isinstance(test, ast.Constant) else self.recorded(test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        tests, node.ifs = node.ifs, []
        self.generic_visit(node)
        node.ifs = [self.recorded(test) for test in tests]
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Record a value made of conditions; `value or default` decides nothing."""
        if isinstance(node.values[-1], (ast.Constant, ast.Name, ast.Call)) and isinstance(node.op, ast.Or):
            self.generic_visit(node)
            return node
        return self.recorded(node)

    def recorded(self, test: ast.expr) -> ast.expr:
        """Make `decision(n, begin(m) and test)` of a test, with a recorder around each of its conditions."""
        texts: list[str] = []
        number = len(self.record.decisions)
        self.record.decisions.append(Decision(self.file, test.lineno, test.col_offset, ".".join(self.place), ()))
        inner = self.parted(test, texts)
        where = self.record.decisions[number]
        self.record.decisions[number] = where._replace(conditions=tuple(texts))
        value = ast.BoolOp(op=ast.And(), values=[call(OPEN, ast.Constant(value=len(texts))), inner])
        return ast.copy_location(call(CLOSE, ast.Constant(value=number), value), test)

    def parted(self, node: ast.expr, texts: list[str]) -> ast.expr:
        """Go down to the conditions of a test, in the order in which they are asked."""
        if isinstance(node, ast.BoolOp):
            node.values = [self.parted(value, texts) for value in node.values]
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self.parted(node.operand, texts)
            return node
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            return self.chain(node, texts)
        index = len(texts)
        texts.append(ast.unparse(node))
        return call(RECORD, ast.Constant(value=index), self.visit(node))

    def chain(self, node: ast.Compare, texts: list[str]) -> ast.expr:
        """Part `a < b < c` into `a < b and b < c`, with b evaluated once."""
        links: list[ast.expr] = []
        left: ast.expr = self.visit(node.left)
        shown = node.left
        for position, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            index = len(texts)
            texts.append(ast.unparse(ast.Compare(left=shown, ops=[op], comparators=[right])))
            shown = right
            name, value = f"__link_{self.links}__", self.visit(right)
            if position < len(node.ops) - 1:
                self.links += 1
                value = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=value)
            link = ast.Compare(left=left, ops=[op], comparators=[value])
            links.append(call(RECORD, ast.Constant(value=index), link))
            left = ast.Name(id=name, ctx=ast.Load())
        return ast.BoolOp(op=ast.And(), values=links)


def call(name: str, *arguments: ast.expr) -> ast.Call:
    """Make a call of one of the recorder's three functions."""
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(arguments), keywords=[])


def instrumented(source: str, file: str, record: Record) -> ast.Module:
    """Compile a module's source with recorders in it."""
    tree = Recorder(file, record).visit(ast.parse(source, file))
    ast.fix_missing_locations(tree)
    assert isinstance(tree, ast.Module)
    return tree


def equipped(record: Record) -> dict[str, Callable[..., object]]:
    """Give the names that an instrumented module needs."""
    return {OPEN: record.begin, RECORD: record.condition, CLOSE: record.decision}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import the heart with recorders in it."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "safety":
            return None
        base = ROOT.joinpath(*fullname.split("."))
        is_package = (base / "__init__.py").is_file()
        file = base / "__init__.py" if is_package else base.with_suffix(".py")
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(file), is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [str(base)]
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        file = Path(str(module.__spec__.origin)) if module.__spec__ else Path()
        module.__dict__.update(equipped(self.record))
        tree = instrumented(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix(), self.record)
        exec(compile(tree, str(file), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - our own source


RECORDED = Record()


EXCUSED: Final = Path(__file__).with_name("conditions.toml")


def objections(unshown: Mapping[str, list[str]], excused: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Say which conditions lack a proof and an excuse, and which excuses are no longer needed."""
    open_ends = {(place, text) for place, texts in unshown.items() for text in texts}
    known = {(place, text) for place, texts in excused.items() for text in texts}
    return [f"{place}: `{text}` never flipped its decision alone" for place, text in sorted(open_ends - known)] + [
        f"{place}: `{text}` is excused and needs no excuse" for place, text in sorted(known - open_ends)
    ]


def recorded(jobs: int) -> tuple[Record, str]:
    """Run the suite in so many processes; gives what was seen, and what failed."""
    command = [sys.executable, "-m", "pytest", "tests/safety", "-q", "-p", "tests.proof.conditions"]
    record, problem = Record(), ""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"share-{number}.json" for number in range(1, jobs + 1)]
        running = [
            subprocess.Popen(
                [*command, f"--conditions={file}", f"--share={number}/{jobs}"],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for number, file in enumerate(files, 1)
        ]  # fmt: skip
        for share, file in zip(running, files, strict=True):
            said, _ = share.communicate()
            if share.returncode:
                problem = said[-500:]
            else:
                record.add(json.loads(file.read_text(encoding="utf-8")))
    return record, problem


def stage(*, quick: bool) -> Result:
    """Run tests/safety with recorders in the heart; in a hurry nothing: a part of the suite proves nothing here."""
    title = "Conditions"
    if quick:
        return Result(title, {}, [], [])
    record, problem = recorded(os.cpu_count() or 1)
    if problem:
        return Result(title, {}, [], [f"the suite fails under the recorder: {problem}"])
    excused = tomllib.loads(EXCUSED.read_text(encoding="utf-8"))
    figures = {
        "decisions": len(record.decisions),
        "conditions": sum(len(decision.conditions) for decision in record.decisions),
        "excused": sum(len(texts) for texts in excused.values()),
    }
    rows = [(place, f"`{text}`", why) for place, texts in excused.items() for text, why in texts.items()]
    lines = table(("where", "condition that cannot flip its decision alone", "why"), rows) if rows else []
    return Result(title, figures, lines, objections(record.unshown(), excused))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conditions", default="", help="write what was seen of every condition to this file")
    parser.addoption("--share", default="1/1", help="run one share of the tests, such as 1/2")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--conditions"):
        already = sorted(name for name in sys.modules if name.partition(".")[0] == "safety")
        assert not already, f"{already} were imported before they could be recorded"
        sys.meta_path.insert(0, Finder(RECORDED))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number, shares = map(int, str(config.getoption("--share")).split("/"))
    items[:] = items[number - 1 :: shares]


def pytest_unconfigure(config: pytest.Config) -> None:
    target = str(config.getoption("--conditions"))
    if target:
        Path(target).write_text(json.dumps(RECORDED.written()) + "\n", encoding="utf-8")
