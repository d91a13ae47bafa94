"""The bench as a pytest plugin: its options, its markers, a bench that stays broken, evidence, and how to do it again.

What it hands to a test is in `hil/fixtures.py`. Where no test asks for a bench it only notes rules and hazards.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hil.evidence import Outcome, Test
from hil.recorder import Recorder
from hil.settings import BadSetting
from hil.simtime import SimLoop
from hil.stand import OutOfReachError, Spec, spec

if TYPE_CHECKING:
    from hil.stand import Stand

Factories: TypeAlias = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

HELD = "hil_bench"
"""The fixture behind all others: who has it in its closure runs on a bench."""

MARKERS = (
    "hazard(id, ...): the hazards that this test is evidence for",
    "rule(id, ...): the rules that this test is evidence for",
)
BEGIN_US = 1_000_000
"""When virtual time begins: no time of a test is 0, which reads as no time. Engineering default."""


@dataclass(slots=True)
class Session:
    """What one process of pytest knows of its bench; `broken` is the first cause."""

    bench: Spec
    broken: str = ""


@dataclass(slots=True)
class Account:
    """What is known of one test so far."""

    outcome: Outcome = "passed"
    took_s: float = 0.0
    failure: str = ""
    first_cause: str = ""
    told: dict[str, Any] = field(default_factory=dict)


SESSION = pytest.StashKey[Session]()
ACCOUNT = pytest.StashKey[Account]()


class Hooks:
    """What a conftest.py may say about its bench."""

    @staticmethod
    def pytest_bench_reset(bench: Stand) -> object:
        """Bring a real device to rest, before and after each test; may be a coroutine. Raises where it fails."""


class Loops:
    """Virtual time for the tests of a virtual bench, and the usual loop for all others."""

    @pytest.hookimpl(specname="pytest_asyncio_loop_factories", tryfirst=True)
    def pytest_loops_virtual(self, config: pytest.Config, item: pytest.Function) -> Factories | None:
        """Answer for tests of a virtual bench alone."""
        is_virtual = config.stash[SESSION].bench.kind == "virtual"
        return {"virtual": lambda: SimLoop(BEGIN_US)} if is_virtual and HELD in item.fixturenames else None

    @pytest.hookimpl(specname="pytest_asyncio_loop_factories", trylast=True)
    def pytest_loops_usual(self) -> Factories:
        """Answer where nobody else does: that is what pytest-asyncio asks for."""
        return {"asyncio": asyncio.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the bench."""
    group = parser.getgroup("bench", "stimulator bench")
    group.addoption(
        "--bench", metavar="WHERE", help="virtual (the default), pty, the path of a serial port, or tcp://HOST:PORT"
    )
    group.addoption("--bench-device", default="native", metavar="KIND", help="native, sciencemode4 or sciencemode2")
    group.addoption("--bench-seed", type=int, default=0, metavar="N", help="seed of whatever happens by chance")
    group.addoption(
        "--bench-scope",
        metavar="SCOPE",
        help="on a real port: none (protocol evidence only), csv:FILE or adc:PORT; else emulator or none",
    )
    group.addoption("--bench-evidence", type=Path, metavar="FILE", help="write what was seen as JSON")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hook of a conftest.py."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; raises UsageError."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    option = config.option
    try:
        bench = spec(option.bench or "virtual", option.bench_device, option.bench_seed, option.bench_scope)
    except BadSetting as bad:
        raise pytest.UsageError(f"--{bad}") from bad
    config.stash[SESSION] = Session(bench)
    config.pluginmanager.register(Recorder(bench, option.bench_evidence), "hil-recorder")
    if bench.is_real and getattr(option, "numprocesses", None):
        raise pytest.UsageError("--bench: one device serves one test at a time: run it without -n")
    if find_spec("pytest_asyncio"):
        config.pluginmanager.import_plugin("hil.fixtures")
    elif option.bench:
        raise pytest.UsageError("--bench needs pytest-asyncio: pip install 'stimwarden[hil]'")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say on what it runs, where that was asked for."""
    bench = config.stash[SESSION].bench
    if config.option.bench is None:
        return None
    words = f"bench: {bench.url}, device {bench.device}, seed {bench.seed}, scope {bench.scope}"
    return words + (" (protocol evidence only)" if bench.scope == "none" else "")


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Bring in virtual time with the first test that may need it, so that other suites are left alone."""
    plugins = metafunc.config.pluginmanager
    if HELD in metafunc.fixturenames and not plugins.has_plugin("hil-loops"):
        plugins.register(Loops(), "hil-loops")
    return (yield)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Put rules and hazards where --junit-xml finds them."""
    for item in items:
        for name in ("rule", "hazard"):
            item.user_properties += [(name, id_) for id_ in _ids(item, name)]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """A fault that cannot be had on this bench is no failure of the controller."""
    try:
        return (yield)
    except OutOfReachError as out:
        pytest.skip(str(out))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the reports carry what the process that writes them all has to know."""
    report = yield
    session, account = item.config.stash[SESSION], item.stash.setdefault(ACCOUNT, Account())
    account.took_s += call.duration
    if report.failed:
        if account.outcome != "failed":
            account.outcome = "failed" if report.when == "call" else "error"
        account.failure += report.longreprtext
        if HELD in getattr(item, "fixturenames", ()):
            report.bench_again = _again(item, session.bench)  # type: ignore[attr-defined]
    elif report.skipped and account.outcome == "passed":
        account.outcome = "skipped"
        account.failure = getattr(report, "wasxfail", "") or str(call.excinfo and call.excinfo.value)
    if report.when == "teardown" and item.config.option.bench_evidence:
        report.bench_test = _test(item, account, session.bench).model_dump_json()  # type: ignore[attr-defined]
    return report


def _ids(item: pytest.Item, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(id_) for mark in item.iter_markers(name) for id_ in mark.args))


def _again(item: pytest.Item, bench: Spec) -> str:
    path = os.path.relpath(item.path, item.config.invocation_params.dir)
    return shlex.join(["pytest", path + "".join(item.nodeid.partition("::")[1:]), *bench.options])


def _test(item: pytest.Item, account: Account, bench: Spec) -> Test:
    has_failed = account.outcome in {"failed", "error"}
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return Test(
        id=item.nodeid,
        text=text.strip().partition("\n\n")[0],
        hazards=_ids(item, "hazard"),
        rules=_ids(item, "rule"),
        outcome=account.outcome,
        took_ms=round(account.took_s * 1_000),
        failure=account.failure,
        first_cause=account.first_cause,
        reproduce=_again(item, bench) if has_failed else "",
        **account.told,
    )
