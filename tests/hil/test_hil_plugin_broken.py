"""A bench that cannot be begun, reset or ended stays broken and says why; and what was taken is always given back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.wire import Claim
from tests.hil.far import descriptors
from tests.hil.inner import HEAD, Inner, read

pytestmark = pytest.mark.hazard("H35")

THREE = """
async def test_one(bench): print("one ran")
async def test_two(bench): print("two ran")
async def test_beside(): pass
async def test_three(bench): print("three ran")
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Inner:
    return Inner(pytester)


@pytest.fixture
def port() -> Iterator[str]:
    """A serial port at which nobody answers."""
    far, near = os.openpty()
    yield os.ttyname(near)
    os.close(near)
    os.close(far)


def reset_that(inner: Inner, body: str) -> None:
    inner.pytester.makeconftest(f"""
calls = []
async def pytest_bench_reset(bench):
    calls.append(bench.port)
{body}
""")


def test_a_device_that_cannot_be_reset_is_broken_for_all_that_follow(inner: Inner, port: str):
    reset_that(inner, '    if len(calls) == 4: raise OSError("the relay does not answer")')
    result = inner.run(THREE, f"--bench={port}", "-s", "--bench-evidence=evidence.json")
    # Before and after each test: the fourth is the one after the second test.
    result.assert_outcomes(passed=3, errors=1, skipped=1)
    cause = "test_inner.py::test_two: OSError: the relay does not answer"
    result.stdout.fnmatch_lines([f"SKIPPED * the bench is broken: {cause}"])
    result.stdout.no_fnmatch_line("three ran*")
    tests = {test.id.partition("::")[2]: test for test in read(inner.path / "evidence.json").tests}
    assert {name: (test.outcome, test.first_cause) for name, test in tests.items()} == {
        "test_one": ("passed", ""),
        "test_two": ("error", cause),
        "test_beside": ("passed", ""),
        "test_three": ("skipped", cause),
    }


def test_the_first_cause_stays_the_first(inner: Inner, port: str):
    reset_that(inner, '    raise OSError(f"cause {len(calls)}")')
    result = inner.run(THREE, f"--bench={port}")
    result.assert_outcomes(passed=1, errors=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED * the bench is broken: test_inner.py::test_one: OSError: cause 1"] * 2)
    result.stdout.no_fnmatch_line("*cause 2*")


def test_a_reset_need_not_be_a_coroutine(inner: Inner, port: str):
    inner.pytester.makeconftest('def pytest_bench_reset(bench): raise OSError("no power")')
    inner.run(THREE, f"--bench={port}").assert_outcomes(passed=1, errors=1, skipped=2)


def test_a_device_is_reset_before_and_after_each_test_and_an_emulated_one_is_made_anew(inner: Inner, port: str):
    reset_that(inner, '    print("reset", bench.port)')
    body = 'async def test_one(bench): print("runs")\nasync def test_two(bench): assert False\n'
    said = inner.run(body, f"--bench={port}", "-s").stdout.str()
    assert re.findall(r"reset \S+|runs", said) == [f"reset {port}", "runs"] + [f"reset {port}"] * 3
    inner.run(body, "--bench=pty", "-s").stdout.no_fnmatch_line("reset /*")


def test_a_port_that_another_bench_has_is_the_first_cause(inner: Inner, port: str):
    claim = Claim(Path(port))
    result = inner.run(THREE, f"--bench={port}")
    claim.end()
    result.assert_outcomes(passed=1, errors=1, skipped=2)
    result.stdout.fnmatch_lines(
        [f"SKIPPED * the bench is broken: *test_one: InUse: {port}: another emulator serves it"]
    )
    inner.run(THREE, f"--bench={port}").assert_outcomes(passed=4)


def test_a_port_that_is_not_there_is_the_first_cause(inner: Inner):
    result = inner.run(THREE, f"--bench={inner.path}/none")
    result.assert_outcomes(passed=1, errors=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED * the bench is broken: * no serial port that can be read and written"])


@pytest.mark.parametrize("bench", ["virtual", "pty"])
def test_an_emulated_bench_that_cannot_be_ended_is_broken_and_still_gives_its_port_back(inner: Inner, bench: str):
    body = """
import pathlib
async def test_one(bench):
    bench.core.faults.clear_all = lambda: 1 / 0
    if bench.spec.kind == "pty":
        pathlib.Path("port").write_text(bench.port)
async def test_two(bench): pass
"""
    result = inner.run(body, f"--bench={bench}")
    result.assert_outcomes(passed=1, errors=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * the bench is broken: *test_one: ZeroDivisionError: division by zero"])
    if bench == "pty":
        link = Path((inner.path / "port").read_text())
        assert not link.is_symlink()
        Claim(link).end()


DIES = """
import pathlib
@pytest.fixture
def dies(bench):
    pathlib.Path("port").write_text(bench.port)
    {before}
    yield
    {after}
@pytest.fixture
async def dies_too(bench):
    pathlib.Path("port").write_text(bench.port)
    {before}
    yield
    {after}
async def test_one({name}): {test}
async def test_two(bench): pass
"""


@pytest.mark.parametrize("name", ["dies", "dies_too"])
@pytest.mark.parametrize(
    ("parts", "outcomes"),
    [
        ({"before": "1 / 0"}, {"errors": 1, "passed": 1}),
        ({"after": "1 / 0"}, {"errors": 1, "passed": 2}),
        ({"test": "1 / 0"}, {"failed": 1, "passed": 1}),
        ({"test": "pytest.skip('so')"}, {"skipped": 1, "passed": 1}),
    ],
    ids=["before", "after", "test", "skip"],
)
def test_a_port_is_given_back_whatever_dies(inner: Inner, name: str, parts: dict[str, str], outcomes: dict[str, int]):
    before = descriptors()
    body = DIES.format(name=name, **{"before": "pass", "after": "pass", "test": "pass"} | parts)
    inner.run(body, "--bench=pty").assert_outcomes(**outcomes)
    link = Path((inner.path / "port").read_text())
    assert not link.is_symlink()
    Claim(link).end()
    assert descriptors() == before


def test_a_real_port_is_given_back_when_a_test_dies_with_it_open(inner: Inner, port: str):
    before = descriptors()
    inner.run(
        """
async def test_one(bench):
    reader, writer = await bench.connect()
    1 / 0
async def test_two(bench):
    await bench.connect()
""",
        f"--bench={port}",
    ).assert_outcomes(failed=1, passed=1)
    Claim(Path(port)).end()
    assert descriptors() == before


def test_a_run_that_is_interrupted_gives_its_port_back(inner: Inner):
    body = """
import pathlib
async def test_one(bench):
    pathlib.Path("port").write_text(bench.port)
    raise KeyboardInterrupt
"""
    inner.pytester.makepyfile(test_inner=HEAD + body)
    result = inner.pytester.runpytest_inprocess("-p", "no:cacheprovider", "--bench=pty", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not Path((inner.path / "port").read_text()).is_symlink()
