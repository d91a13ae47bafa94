"""Does each rule bite? Its function is replaced by "allow", the tables left intact, and a named test must then fail.

The named test must reach the rule through a door that the service uses, `step` and `admit` most of all: a test that
calls the rule itself would notice nothing if nobody else did. bite.toml names the test of each rule; for the structural
rules, which have no function that judges, it says which function is sabotaged and how.

    python -m tests.proof.bite          print bite.toml's table of tests anew, keeping each entry that still bites
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Final, NamedTuple

import pytest

from tests.proof.judge import collected, exact, hushed, in_child, passes
from tests.proof.mutants import dotted, modules
from tests.proof.result import Result, table

TABLE: Final = Path(__file__).with_name("bite.toml")
TESTS: Final = "tests/safety"
LIMIT_S: Final = 5
DOORS: Final = {
    "step": "safety.machine:step",
    "admit": "safety.admit:admit",
    "admit_correction": "safety.admit:admit_correction",
    "site_limits": "safety.limits:site_limits",
    "gaps": "safety.complete:gaps",
}
"""What the service calls: for each event, reservation and correction, and once, before it serves."""


class Fault(NamedTuple):
    """How a rule is silenced: the functions that are replaced, and the source of what stands there instead."""

    functions: tuple[FunctionType, ...]
    instead: str
    door: str


def named(where: str) -> FunctionType:
    """Find a function by `module:qualified.name`."""
    module, _, name = where.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{where} is no function")
    return found


def judges(rule: str) -> tuple[FunctionType, ...]:
    """Give the functions that judge a rule: those named after it, in whatever room."""
    stem = rule.lower()
    found = {}
    for path in modules():
        room = importlib.import_module(dotted(path))
        for name, value in vars(room).items():
            own = isinstance(value, FunctionType) and value.__module__ == room.__name__
            if own and (name == stem or name.startswith(f"{stem}_")):
                found[path, name] = value
    return tuple(found.values())


def fault(rule: str, sabotage: dict[str, dict[str, str]]) -> Fault | None:
    """How to silence a rule; None if nobody knows."""
    if rule in sabotage:
        entry = sabotage[rule]
        return Fault((named(entry["function"]),), entry["instead"], entry.get("door", "step"))
    functions = judges(rule)
    if not functions:
        return None
    at_ledger = all(each.__module__ == "safety.rules.ledger" for each in functions)
    return Fault(functions, "lambda *_, **__: None", "admit" if at_ledger else "step")


def silence(one: Fault) -> None:
    """Put the fault in force, for this process."""
    for function in one.functions:
        names = function.__globals__
        instead = eval(one.instead, names)  # noqa: S307 - our own table of faults
        function.__code__ = instead.__code__
        function.__defaults__, function.__kwdefaults__ = instead.__defaults__, instead.__kwdefaults__


Note = Callable[[str], None]
"""Told the file of the caller, each time a watched function is called."""


def watch(function: FunctionType, note: Note) -> None:
    """Let a function tell who calls it, for this process; it works as before."""
    shipped = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    shipped.__kwdefaults__ = function.__kwdefaults__

    def call(args: tuple[object, ...], named: dict[str, object]) -> object:
        note(sys._getframe(2).f_code.co_filename)
        return shipped(*args, **named)

    hook = f"__watch_{function.__name__}__"
    function.__globals__[hook] = call
    source = f"lambda *args, **named: {hook}(args, named)"
    function.__code__ = eval(source, function.__globals__).__code__  # noqa: S307 - the line above


def goes_through(item: pytest.Item, one: Fault) -> bool:
    """Run a test without a fault: it passes, enters by the door, and calls none of the functions by itself."""
    entered: list[str] = []
    callers: list[str] = []
    watch(named(DOORS[one.door]), entered.append)
    for function in one.functions:
        watch(function, callers.append)
    return passes(item) and bool(entered) and not any("/tests/" in caller for caller in callers)


def asked_child(work: Callable[[], object]) -> object:
    """Do something in a child and give its answer; None if the child did not end well."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"

        def write() -> int:
            answer.write_text(json.dumps(work()), encoding="utf-8")
            return 0

        _, status = os.waitpid(in_child(write), 0)
        return None if status else json.loads(answer.read_text(encoding="utf-8"))


def silenced_fails(item: pytest.Item, one: Fault) -> bool:
    """Tell whether a test fails when the rule is silent; one that does not end has failed to tell."""

    def work() -> bool:
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        silence(one)
        return not passes(item)

    return bool(asked_child(work))


def bites(item: pytest.Item, one: Fault) -> str:
    """Try a rule's test; empty if it bites, else what is wrong."""
    if not asked_child(lambda: goes_through(item, one)):
        return f"does not pass, or does not reach the rule through {one.door} alone"
    return "" if silenced_fails(item, one) else "passes although the rule is silent"


def find(rule: str, one: Fault, items: Sequence[pytest.Item]) -> str:
    """Look for a test that bites among those that say they prove the rule."""
    for item in items:
        marked = any(rule in mark.args for mark in item.iter_markers("rule"))
        if marked and silenced_fails(item, one) and not bites(item, one):
            return item.nodeid
    return ""


def rules() -> list[str]:
    """Every rule that is built."""
    registry = importlib.import_module("safety.rules.registry")
    return [rule.id for rule in registry.RULES]


def tried(
    items: list[pytest.Item], entries: dict[str, dict[str, str]], sabotage: dict[str, dict[str, str]]
) -> list[str]:
    """What is wrong with each rule's entry."""
    by_id = {each.nodeid: each for each in items}
    built = rules()
    wrong = [f"{rule}: no such rule is built" for rule in sorted({*entries["tests"], *sabotage} - {*built})]
    for rule in built:
        one, test = fault(rule, sabotage), entries["tests"].get(rule, "")
        if one is None:
            wrong.append(f"{rule}: nothing is named after it, and no sabotage is known")
        elif test not in by_id:
            wrong.append(f"{rule}: no test is named, or it is gone: {test}")
        elif problem := bites(by_id[test], one):
            wrong.append(f"{rule}: {test} {problem}")
    return wrong


def stage(*, quick: bool) -> Result:
    """The stage of the proof; a quick run leaves rules without a named test to the full one."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    found: list[str] = []

    def work(items: list[pytest.Item]) -> None:
        found.extend(tried(items, entries, entries["sabotage"]))
        found.append("")

    files = sorted({test.partition("::")[0] for test in entries["tests"].values()})
    with hushed():
        collected(files, work)
    if not found:
        return Result("bite", {}, [], ["the tests of bite.toml could not be collected"])
    built, tests = rules(), entries["tests"]
    wrong = [each for each in found[:-1] if not (quick and each.partition(":")[0] not in tests)]
    rows = [(rule, f"`{tests[rule]}`" if rule in tests else "") for rule in built]
    failed = {each.partition(":")[0] for each in found}
    figures = {
        "rules": len(built),
        "with a test that bites": sum(rule in tests and rule not in failed for rule in built),
        "without a test that bites": len(failed & {*built}),
    }
    return Result("bite", figures, table(["rule", "test that fails when the rule is silent"], rows), wrong)


def main() -> None:
    """Print the table anew."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))

    def work(items: list[pytest.Item]) -> None:
        by_id = {each.nodeid: each for each in items}
        for rule in rules():
            one, test = fault(rule, entries["sabotage"]), entries["tests"].get(rule, "")
            if one is None:
                continue
            if test not in by_id or bites(by_id[test], one):
                test = find(rule, one, exact(items))
            os.write(out, f"{rule} = {json.dumps(test, ensure_ascii=False)}\n".encode())

    out = os.dup(1)
    with hushed():
        collected([TESTS], work)


if __name__ == "__main__":
    main()
