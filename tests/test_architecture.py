"""The house rules as code: what each room may import and do. Every guard is shown to bite on a planted violation.

A guard takes (path relative to the repository, source text) and gives its complaints as `path:line: text`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("safety", "controller", "hil")

Guard = Callable[[str, str], list[str]]

PURE_IMPORTS = {"__future__", "dataclasses", "enum", "typing", "collections.abc", "safety"}
IMPURE_NAMES = {
    "time",
    "datetime",
    "random",
    "os",
    "sys",
    "asyncio",
    "open",
    "print",
    "input",
    "eval",
    "exec",
    "compile",
    "globals",
    "__import__",
    "float",
    "complex",
}
MUTABLE_CALLS = {"dict", "list", "set", "bytearray"}
OWNERS = {"serialx": "controller/link.py", "aiomqtt": "controller/broker.py"}
LONGEST, LONG = 600, 400


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of each absolute import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def room(module: str) -> str:
    return module.partition(".")[0]


def purity(path: str, source: str) -> list[str]:
    """safety/: no I/O, clock, float, randomness, concurrency or hidden memory."""
    tree = ast.parse(source, path)
    complaints = [
        (line, f"imports {module}")
        for line, module in imported(tree)
        if module not in PURE_IMPORTS and room(module) != "safety"
    ]
    complaints += [complaint for node in ast.walk(tree) if (complaint := impurity(node))]
    complaints += [
        (node.lineno, "keeps a mutable collection in the module without Final")
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_mutable(node.value) and not is_final(node)
    ]
    return [f"{path}:{line}: {text}" for line, text in sorted(complaints)]


def impurity(node: ast.AST) -> tuple[int, str] | None:
    """What is wrong with this one node, if anything."""
    match node:
        case ast.Constant(value=float() | complex() as number):
            wrong = f"holds the number {number!r}"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            wrong = "divides to a float"
        case ast.BinOp(op=ast.Pow(), right=power) | ast.AugAssign(op=ast.Pow(), value=power) if not is_count(power):
            wrong = "raises to a power that may be negative"
        case ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_NAMES:
            wrong = f"uses {name}"
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            wrong = "is asynchronous"
        case ast.Global() | ast.Nonlocal():
            wrong = "rebinds a name of an outer scope"
        case _:
            return None
    return node.lineno, wrong


def is_count(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def is_mutable(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in MUTABLE_CALLS
    return isinstance(node, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)


def is_final(node: ast.Assign | ast.AnnAssign) -> bool:
    return isinstance(node, ast.AnnAssign) and "Final" in {
        part.id for part in ast.walk(node.annotation) if isinstance(part, ast.Name)
    }


def independence(path: str, source: str) -> list[str]:
    """The heart knows nobody, the shell knows the heart, the witness knows neither."""
    strangers = {"safety": {"controller", "hil"}, "controller": {"hil"}, "hil": {"controller", "safety"}}
    forbidden = strangers.get(path.partition("/")[0], set())
    return [
        f"{path}:{line}: imports {module}"
        for line, module in imported(ast.parse(source, path))
        if room(module) in forbidden
    ]


def single_owner(path: str, source: str) -> list[str]:
    """A library with traps of its own is known to one file."""
    return [
        f"{path}:{line}: imports {module}, which belongs to {OWNERS[room(module)]}"
        for line, module in imported(ast.parse(source, path))
        if OWNERS.get(room(module), path) != path
    ]


def one_clock(path: str, source: str) -> list[str]:
    """controller/: time is read in controller/clock.py alone, so that a test or a simulation can replace it."""
    if not path.startswith("controller/") or path == "controller/clock.py":
        return []
    tree = ast.parse(source, path)
    complaints = [(line, f"imports {module}") for line, module in imported(tree) if module == "time"]
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date")) if (
                node.attr in {"now", "utcnow", "today"}
            ):
                complaints.append((node.lineno, f"reads the clock by {ast.unparse(node)}"))
    return [f"{path}:{line}: {text}" for line, text in sorted(complaints)]


def length(path: str, source: str) -> list[str]:
    """No file that a reader cannot hold in mind."""
    lines = len(source.splitlines())
    return [f"{path}: {lines} lines, at most {LONGEST}"] if lines > LONGEST else []


def sources(root: Path, *rooms: str) -> Iterable[tuple[str, str]]:
    for name in rooms:
        for path in sorted((root / name).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def complaints_of(guard: Guard, root: Path, *rooms: str) -> list[str]:
    return [complaint for path, source in sources(root, *rooms) for complaint in guard(path, source)]


# The tree as it is.


def test_safety_is_pure() -> None:
    assert complaints_of(purity, ROOT, "safety") == []


def test_the_rooms_keep_apart() -> None:
    assert complaints_of(independence, ROOT, *ROOMS) == []


def test_the_serial_and_the_mqtt_library_have_one_owner_each() -> None:
    assert complaints_of(single_owner, ROOT, *ROOMS) == []


def test_the_shell_has_one_clock() -> None:
    assert complaints_of(one_clock, ROOT, "controller") == []


def test_no_file_is_too_long(record_property: Callable[[str, object], None]) -> None:
    everything = list(sources(ROOT, *ROOMS, "tests"))
    long_ones = {path: lines for path, source in everything if (lines := len(source.splitlines())) > LONG}
    record_property(f"files above {LONG} lines", long_ones)
    print(f"files above {LONG} lines: {long_ones}")  # noqa: T201 - shown by pytest -rP
    assert [complaint for path, source in everything for complaint in length(path, source)] == []


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, "0 broken" in run.stdout) == (0, True), run.stdout + run.stderr


# Each guard bites.

PLANTED: list[tuple[Guard, str, str, str]] = [
    (purity, "safety/x.py", "import json", "imports json"),
    (purity, "safety/x.py", "import collections", "imports collections"),
    (purity, "safety/x.py", "from math import sqrt", "imports math"),
    (purity, "safety/x.py", "def f():\n    import os.path\n", "imports os.path"),
    (purity, "safety/x.py", "from controller import clock", "imports controller"),
    (purity, "safety/x.py", "LIMIT = 0.5", "holds the number 0.5"),
    (purity, "safety/x.py", "LIMIT = 1e3", "holds the number 1000.0"),
    (purity, "safety/x.py", "LIMIT = 2j", "holds the number 2j"),
    (purity, "safety/x.py", "def f(a, b):\n    return a / b\n", "divides to a float"),
    (purity, "safety/x.py", "def f(a, b):\n    a /= b\n", "divides to a float"),
    (purity, "safety/x.py", "def f(a, b):\n    return a ** b\n", "raises to a power that may be negative"),
    (purity, "safety/x.py", "def f(a):\n    a **= -1\n", "raises to a power that may be negative"),
    (purity, "safety/x.py", "def f(a):\n    return float(a)\n", "uses float"),
    (purity, "safety/x.py", "def f(a: float):\n    return a\n", "uses float"),
    (purity, "safety/x.py", "def f():\n    return time.monotonic()\n", "uses time"),
    (purity, "safety/x.py", "def f():\n    return open('x')\n", "uses open"),
    (purity, "safety/x.py", "def f():\n    print(1)\n", "uses print"),
    (purity, "safety/x.py", "def f(a):\n    return eval(a)\n", "uses eval"),
    (purity, "safety/x.py", "def f(a):\n    return __import__(a)\n", "uses __import__"),
    (purity, "safety/x.py", "async def f():\n    pass\n", "is asynchronous"),
    (purity, "safety/x.py", "count = 0\ndef f():\n    global count\n", "rebinds a name of an outer scope"),
    (purity, "safety/x.py", "SEEN = {}", "keeps a mutable collection in the module without Final"),
    (purity, "safety/x.py", "SEEN: dict[int, int] = {}", "keeps a mutable collection in the module without Final"),
    (purity, "safety/x.py", "SEEN = [1, 2]", "keeps a mutable collection in the module without Final"),
    (purity, "safety/x.py", "SEEN = {n for n in (1, 2)}", "keeps a mutable collection in the module without Final"),
    (purity, "safety/x.py", "SEEN = set()", "keeps a mutable collection in the module without Final"),
    (independence, "hil/x.py", "import controller", "imports controller"),
    (independence, "hil/x.py", "from safety.units import charge_nc", "imports safety.units"),
    (independence, "controller/x.py", "def f():\n    from hil import scope\n", "imports hil"),
    (independence, "safety/x.py", "import hil.scope", "imports hil.scope"),
    (single_owner, "controller/station.py", "import serialx", "imports serialx, which belongs to controller/link.py"),
    (
        single_owner,
        "hil/wire.py",
        "import serialx.asyncio",
        "imports serialx.asyncio, which belongs to controller/link.py",
    ),
    (single_owner, "controller/app.py", "import aiomqtt", "imports aiomqtt, which belongs to controller/broker.py"),
    (one_clock, "controller/station.py", "import time", "imports time"),
    (one_clock, "controller/station.py", "from time import monotonic", "imports time"),
    (one_clock, "controller/x.py", "def f():\n    return datetime.now(UTC)\n", "reads the clock by datetime.now"),
    (
        one_clock,
        "controller/x.py",
        "def f():\n    return dt.datetime.utcnow()\n",
        "reads the clock by dt.datetime.utcnow",
    ),
    (one_clock, "controller/x.py", "def f():\n    return date.today()\n", "reads the clock by date.today"),
]


@pytest.mark.parametrize(("guard", "path", "source", "text"), PLANTED)
def test_a_planted_violation_is_seen(guard: Guard, path: str, source: str, text: str, tmp_path: Path) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(source, encoding="utf-8")
    found = complaints_of(guard, tmp_path, *ROOMS)
    assert [complaint.partition(": ")[2] for complaint in found] == [text]
    assert found[0].startswith(f"{path}:")


HARMLESS: list[tuple[Guard, str, str]] = [
    (
        purity,
        "safety/x.py",
        "from __future__ import annotations\nfrom collections.abc import Sequence\nfrom . import units",
    ),
    (
        purity,
        "safety/x.py",
        "from typing import Final\nRULES: Final = {1: 2}\nNAMES: Final[list[int]] = []\nPAIR = (1, 2)",
    ),
    (purity, "safety/x.py", "def f(a, b, /):\n    return a // b + a**2 % 7\n"),
    (purity, "safety/x.py", "class Contact:\n    open: bool\n    short: bool\n"),
    (independence, "controller/x.py", "from safety.units import charge_nc"),
    (independence, "tests/conftest.py", "import controller, hil, safety"),
    (single_owner, "controller/link.py", "import serialx"),
    (single_owner, "controller/broker.py", "from aiomqtt import Client"),
    (one_clock, "controller/clock.py", "import time\nfrom datetime import datetime\nNOW = datetime.now\n"),
    (
        one_clock,
        "controller/x.py",
        "from datetime import datetime\ndef f(text):\n    return datetime.fromisoformat(text)\n",
    ),
]


@pytest.mark.parametrize(("guard", "path", "source"), HARMLESS)
def test_what_is_allowed_passes(guard: Guard, path: str, source: str) -> None:
    assert guard(path, source) == []


@pytest.mark.parametrize(("lines", "seen"), [(LONGEST, 0), (LONGEST + 1, 1)])
def test_the_longest_file_ends_at_the_limit(lines: int, seen: int) -> None:
    assert len(length("hil/x.py", "a = 1\n" * lines)) == seen


def test_the_import_contracts_bite(tmp_path: Path) -> None:
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "hil" / "scope.py").write_text("import safety\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    # Started by -c with the planted tree in front: the tree that is installed must not be linted in its place.
    script = (
        "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.returncode, "1 broken" in run.stdout) == (1, True), run.stdout + run.stderr
