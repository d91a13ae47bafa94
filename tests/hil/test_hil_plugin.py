"""The plugin as a suite meets it: every kind of bench, what it refuses, a bench that breaks, how to do it again."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from hil.emulate import Emulator
from tests.hil.far import on_tcp, on_terminal
from tests.hil.inner import HEAD, Inner, properties

pytestmark = pytest.mark.hazard("H35")

SESSION = """
async def test_a_session(bench, scope, clock, measure):
    talk = Talk(await bench.connect())
    await talk.run()
    await asyncio.sleep(0.05)
    asked_us = clock.now_us
    await talk.stop()
    await asyncio.sleep(0.1)
    measure("stop_latency", ms, clock.span(asked_us, scope.last_us())).at_most(20)
    measure("peak", mA, scope.total().max_ua * uA).equals(20)
    await talk.close()
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Inner:
    return Inner(pytester)


@pytest.mark.parametrize("options", [[], ["--bench=virtual"], ["--bench", "pty"]], ids=" ".join)
def test_one_suite_runs_in_virtual_time_and_on_a_pseudo_terminal(inner: Inner, options: list[str]):
    inner.run(SESSION, *options).assert_outcomes(passed=1)


def test_virtual_time_is_for_the_tests_of_a_virtual_bench_alone(inner: Inner):
    body = """
def loop():
    return type(asyncio.get_running_loop()).__name__

async def test_on_the_bench(bench):
    before = time.monotonic()
    await asyncio.sleep(86_400)
    assert loop() == "SimLoop"
    assert asyncio.get_running_loop().time() == 86_401

async def test_beside_it():
    assert loop() != "SimLoop"

@pytest.mark.parametrize("bench", [1])
async def test_whose_bench_is_another(bench):
    assert loop() != "SimLoop"
"""
    inner.run(body).assert_outcomes(passed=3)
    result = inner.run(body, "--bench=pty", "-k", "not on_the_bench")
    result.assert_outcomes(passed=2, deselected=1)


def test_names_of_tests_are_not_changed_by_the_loop_they_run_on(inner: Inner):
    result = inner.run(SESSION + "async def test_beside_it(): pass\n", "--collect-only", "-q")
    assert result.outlines[:2] == ["test_inner.py::test_a_session", "test_inner.py::test_beside_it"]


def test_a_loop_of_the_users_own_is_left_to_his_other_tests(inner: Inner):
    inner.pytester.makeconftest("""
import asyncio
class Own(asyncio.SelectorEventLoop): pass
def pytest_asyncio_loop_factories(config, item):
    return {"own": Own}
""")
    inner.run("""
async def test_on_the_bench(bench):
    assert type(asyncio.get_running_loop()).__name__ == "SimLoop"
async def test_beside_it():
    assert type(asyncio.get_running_loop()).__name__ == "Own"
""").assert_outcomes(passed=2)


def test_strict_mode_will_do(inner: Inner):
    inner.pytester.makefile(".ini", pytest="[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    inner.run("@pytest.mark.asyncio" + SESSION).assert_outcomes(passed=1)


def test_a_test_that_is_no_coroutine_is_told_so(inner: Inner):
    result = inner.run("def test_it(bench): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a test on a bench is a coroutine: async def*"])


def test_a_bench_that_is_fetched_by_name_has_no_virtual_time_and_breaks_nothing(inner: Inner):
    result = inner.run("""
@pytest.fixture
def fetched(request):
    return request.getfixturevalue("bench")
async def test_by_name(fetched):
    pass
async def test_next(bench):
    pass
""")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*the virtual bench needs a test that names its fixtures in its arguments*"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bench=usb"], "--bench='usb': expected virtual, pty, the path of a port, or tcp://HOST:PORT"),
        (["--bench-device=toaster"], "--bench-device='toaster': expected native, sciencemode4, sciencemode2"),
        (["--bench=pty", "--bench-scope=csv:x"], "--bench-scope='csv:x': expected emulator or none"),
        (["--bench=/dev/null", "-n1"], "--bench: one device serves one test at a time: run it without -n"),
    ],
)
def test_options_that_make_no_sense_are_refused(inner: Inner, options: list[str], words: str):
    result = inner.run(SESSION, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words.replace('[', '[[]')}*"])


def test_without_pytest_asyncio_there_is_no_bench_and_nothing_breaks(inner: Inner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hil.plugin.find_spec", lambda _: None)
    plain = ["-p", "no:asyncio", "-o", "addopts="]
    inner.pytester.makefile(".ini", pytest="[pytest]\n")
    inner.run("def test_it(): pass\n", *plain).assert_outcomes(passed=1)
    result = inner.run("def test_it(): pass\n", "--bench=pty", *plain)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--bench needs pytest-asyncio: pip install 'stimwarden[[]hil]'"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--bench=pty", "--bench-seed=5"], "bench: pty, device native, seed 5, scope emulator"),
        (
            ["--bench=pty", "--bench-scope=none"],
            "bench: pty, device native, seed 0, scope none (protocol evidence only)",
        ),
    ],
)
def test_the_head_of_a_run_says_on_what_it_runs(inner: Inner, options: list[str], line: str):
    inner.run(SESSION, *options).stdout.fnmatch_lines([line])


def test_a_run_that_asks_for_no_bench_says_nothing_of_it(inner: Inner):
    inner.run("def test_it(): pass\n").stdout.no_fnmatch_line("bench: *")


def test_a_failure_says_how_it_is_done_again(inner: Inner):
    body = """
@pytest.mark.parametrize("word", ["a b"])
async def test_it(bench, measure, word):
    measure("peak", mA, 21).at_most(20)
"""
    result = inner.run(body, "--bench=pty", "--bench-seed=7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*peak: 21 mA, expected at most 20 mA"])
    again = "pytest 'test_inner.py::test_it[a b]' --bench pty --bench-device native --bench-seed 7"
    assert result.outlines.count(again) == 1


def test_how_it_is_done_again_is_said_from_where_the_user_stands(inner: Inner, monkeypatch: pytest.MonkeyPatch):
    folder = inner.pytester.mkdir("elsewhere")
    inner.pytester.makepyfile("async def test_it(bench): assert False\n")
    monkeypatch.chdir(folder)
    result = inner.pytester.runpytest_inprocess("-p", "no:cacheprovider", "--rootdir", str(inner.path), "..")
    again = next(line for line in result.outlines if line.startswith("pytest "))
    assert again.split()[1].endswith("::test_it")
    assert (folder / again.split()[1].partition("::")[0]).is_file()


def test_chance_has_the_seed_that_was_asked_for(inner: Inner):
    body = """
async def test_it(bench):
    print("dice", bench.core.random.random())
"""

    def dice(*options: str) -> str:
        return next(line for line in inner.run(body, "-s", *options).outlines if "dice" in line)

    assert dice("--bench-seed=1") == dice("--bench-seed=1") != dice("--bench-seed=2")


def test_a_measurement_that_is_never_taken_is_an_error(inner: Inner):
    result = inner.run("""
async def test_it(measure):
    measure("stop_latency", ms).at_most(100)
    measure("peak", mA, 3)
""")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["begun and never measured: stop_latency, peak"])


def test_a_test_that_failed_is_not_blamed_for_what_it_did_not_measure(inner: Inner):
    inner.run("""
async def test_it(measure):
    measure("stop_latency", ms).at_most(100)
    assert False
""").assert_outcomes(failed=1)


def test_a_time_by_the_walls_clock_fails(inner: Inner):
    result = inner.run("""
async def test_it(measure):
    measure("stop_latency", ms, time.monotonic()).at_most(1e9)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a time comes from the bench's clock: clock.since,*"])


def test_rules_hazards_and_measurements_stand_in_the_junit_file(inner: Inner):
    inner.run(
        """
pytestmark = pytest.mark.hazard("H05")

@pytest.mark.rule("M06", "M09")
@pytest.mark.hazard("H04", "H05")
async def test_it(measure):
    measure("peak", mA, 20.4).at_most(21)
    measure("pulses", count, 3).noted()

def test_that_needs_no_bench():
    pass
""",
        "--junit-xml=junit.xml",
        "--strict-markers",
    ).assert_outcomes(passed=2)
    assert properties(inner.path / "junit.xml") == {
        "test_it": [
            ("rule", "M06"), ("rule", "M09"), ("hazard", "H04"), ("hazard", "H05"),
            ("measurement", "peak=20.4 mA"), ("measurement", "pulses=3"),
        ],
        "test_that_needs_no_bench": [("hazard", "H05")],
    }  # fmt: skip


NEEDS_SCOPE = """
async def test_that_needs_current(scope): pass
async def test_that_does_not(bench, wire, clock): pass
"""


def test_without_a_scope_what_needs_it_is_skipped_with_the_reason(inner: Inner):
    result = inner.run(NEEDS_SCOPE, "--bench=pty", "--bench-scope=none")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * protocol evidence only: there is no scope on the delivered current*"])


async def test_a_real_port_on_a_terminal(inner: Inner, tmp_path: Path):
    await on_real_port(inner, on_terminal(tmp_path))


async def test_a_real_port_on_tcp(inner: Inner):
    await on_real_port(inner, on_tcp())


async def on_real_port(inner: Inner, far: AbstractAsyncContextManager[tuple[str, Emulator]]) -> None:
    body = """
async def test_talk(bench, wire, faults):
    talk = Talk(await bench.connect())
    await talk.stop()
    assert wire.chunks()
    with faults.split(direction="to_device", size=1, gap_us=0):
        await talk.stop()
    await talk.close()
async def test_name(bench):
    print("port", bench.port)
async def test_scope(scope): pass
async def test_body(body): pass
async def test_device(device): pass
async def test_fault_of_the_body(faults):
    with faults.peel(): assert False
async def test_fault_of_the_wire(faults):
    with faults.dead_line(): assert False
async def test_latency(measure, clock):
    measure("stop_latency", ms, clock.since(0)).at_most(1e12)
"""
    async with far as (url, _):
        # The far device lives on this loop: the suite is a process of its own.
        inner.pytester.makepyfile(test_inner=HEAD + body)
        result = await run_apart(inner, f"--bench={url}", "-p", "no:xdist")
    reasons = [
        "SKIPPED * protocol evidence only: there is no scope on the delivered current (--bench-scope)",
        "SKIPPED * body: out of the bench's reach on a real device; run it with --bench=virtual or pty",
        "SKIPPED * device: out of the bench's reach on a real device; run it with --bench=virtual or pty",
        "SKIPPED * a body fault is out of the bench's reach on a real device; run it with --bench=virtual or pty",
        "SKIPPED * a wire fault is out of the bench's reach where the controller opens the port by itself;*",
        "FAILED *::test_latency *",
        "*1 failed, 2 passed, 5 skipped*",
    ]
    lines = pytest.LineMatcher(result.splitlines())
    for reason in reasons:
        lines.fnmatch_lines_random([reason])
    lines.fnmatch_lines_random([f"*port {url}*", "*a real port has only the clock of this host*"])


async def run_apart(inner: Inner, *options: str) -> str:
    """Run the suite as a process, while this loop goes on; gives its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "-s", *options,
        stdout=asyncio.subprocess.PIPE, cwd=inner.path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()
