"""What the plugin leaves as evidence: of a test what the bench knows, of a run what became of all its tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hil.evidence import Injection, Measurement, Test
from hil.recorder import Recorder
from hil.stand import spec
from tests.hil.inner import Inner

pytestmark = pytest.mark.hazard("H35")


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Inner:
    return Inner(pytester)


WHOLE = '''
from hil.evidence import Journal, Message, Step

@pytest.mark.rule("M09")
@pytest.mark.hazard("H04", "H14")
async def test_it(bench, scope, faults, measure, clock):
    """A pad lifts.

    At length.
    """
    talk = Talk(await bench.connect())
    await talk.run()
    with faults.over_delivery(gain=1.5):
        await asyncio.sleep(0.02)
    await talk.stop()
    measure("peak", mA, scope.total().max_ua * uA).equals(30)
    bench.attach("note.txt", b"kept")
    bench.notes.limits_ua[1] = 25_000
    bench.notes.commanded[2] = (Step(clock.now_us, 5_000),)
    bench.notes.messages.append(Message(at_us=1, direction="sent", topic="t", payload="p"))
    bench.notes.journal = Journal(chain="whole")
    await talk.close()
'''


def test_of_a_test_everything_that_the_bench_knows_is_kept(inner: Inner):
    test = inner.only(WHOLE)
    assert (test.id, test.text, test.outcome) == ("test_inner.py::test_it", "A pad lifts.", "passed")
    assert (test.hazards, test.rules, test.failure, test.reproduce) == (("H04", "H14"), ("M09",), "", "")
    (injection,) = test.injections
    assert injection == Injection(
        fault="over_delivery", settings=injection.settings, at_us=injection.at_us, until_us=injection.at_us + 20_000
    )
    assert injection.settings["gain"] == 1.5
    assert test.measurements == (
        Measurement(name="peak", value=30.0, unit="mA", limit="exactly", low=30.0, high=30.0, passed=True),
    )
    channel, other = test.channels
    assert [step.ua for step in other.commanded] == [5_000]
    assert (channel.number, channel.limit_ua, channel.dropped) == (1, 25_000, 0)
    assert [trace.first_ua for trace in channel.pulses] == [20_000, 30_000]
    assert [step.ua for step in channel.commanded] == [20_000, 0]
    assert [chunk.words for chunk in test.serial if chunk.direction == "to_device"] == ["HELLO", "ARM", "DRIVE", "STOP"]
    assert [chunk.direction for chunk in test.serial if chunk.direction == "to_device"] == ["to_device"] * 4
    assert test.serial[0].at_us <= injection.at_us <= test.serial[-1].at_us
    assert [(one.name, one.media_type, one.data) for one in test.attachments] == [("note.txt", "text/plain", b"kept")]
    assert [one.topic for one in test.mqtt] == ["t"]
    assert test.journal is not None
    assert test.journal.chain == "whole"


def test_the_same_suite_leaves_the_same_evidence_in_virtual_time(inner: Inner):
    first, again = inner.only(WHOLE), inner.only(WHOLE)
    assert first.model_dump(exclude={"took_ms"}) == again.model_dump(exclude={"took_ms"})


def test_what_a_test_had_seen_is_kept_though_it_fails(inner: Inner):
    test = inner.only(
        """
async def test_it(bench, faults, measure):
    measure("one", mA, 3).at_most(4)
    with faults.snap_off():
        measure("two", mA, 5).at_most(4)
""",
        "--bench=pty",
        "--bench-seed=3",
    )
    assert test.outcome == "failed"
    assert "two: 5 mA, expected at most 4 mA" in test.failure
    assert [(one.name, one.passed) for one in test.measurements] == [("one", True), ("two", False)]
    assert [one.fault for one in test.injections] == ["snap_off"]
    assert test.reproduce == "pytest test_inner.py::test_it --bench pty --bench-device native --bench-seed 3"


def test_every_outcome_has_its_word(inner: Inner):
    run = inner.evidence("""
@pytest.fixture
def broken(): raise OSError
@pytest.fixture
def breaks():
    yield
    raise OSError
def test_passes(): pass
def test_fails(): assert False
def test_skips(): pytest.skip("why")
@pytest.mark.skip(reason="marked")
def test_is_skipped(): pass
@pytest.mark.xfail(reason="known")
def test_fails_as_expected(): assert False
@pytest.mark.xfail(strict=True)
def test_passes_unexpectedly(): pass
def test_cannot_begin(broken): pass
def test_cannot_end(breaks): pass
def test_fails_and_cannot_end(breaks): assert False
""")
    assert {test.id.partition("::")[2]: test.outcome for test in run.tests} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_is_skipped": "skipped",
        "test_fails_as_expected": "skipped",
        "test_passes_unexpectedly": "failed",
        "test_cannot_begin": "error",
        "test_cannot_end": "error",
        "test_fails_and_cannot_end": "failed",
    }
    reasons = {test.id.partition("::")[2]: test.failure for test in run.tests if test.outcome == "skipped"}
    assert reasons == {"test_skips": "why", "test_is_skipped": "marked", "test_fails_as_expected": "known"}


def test_what_cannot_be_collected_is_an_error_on_record(inner: Inner):
    inner.pytester.makepyfile(test_other="import nothing_of_this_name\n")
    run = inner.evidence("def test_passes(): pass\n", "--continue-on-collection-errors")
    assert {test.id: test.outcome for test in run.tests} == {
        "test_other.py": "error", "test_inner.py::test_passes": "passed",
    }  # fmt: skip
    assert "nothing_of_this_name" in run.tests[0].failure
    assert run.exit_status == 1


def test_what_was_left_out_is_counted(inner: Inner):
    run = inner.evidence("def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass\n", "-k", "test_b")
    assert ([test.id for test in run.tests], run.deselected) == (["test_inner.py::test_b"], 2)
    assert run.exit_status == 0


@pytest.mark.parametrize(
    ("options", "bench", "clock"),
    [
        ([], ("virtual", "virtual", "native", "emulator"), "virtual"),
        (["--bench=pty", "--bench-scope=none"], ("pty", "pty", "native", "none"), "emulator"),
        (["--bench=/dev/null", "--bench-device=sciencemode4"], ("serial", "/dev/null", "sciencemode4", "none"), "host"),
        (["--bench=tcp://h:1"], ("tcp", "tcp://h:1", "native", "none"), "host"),
    ],
    ids=["virtual", "pty", "serial", "tcp"],
)
def test_a_run_says_on_what_it_was_made(inner: Inner, options: list[str], bench: tuple[str, ...], clock: str):
    run = inner.evidence("def test_passes(): pass\n", "--bench-seed=11", *options)
    assert (run.bench.kind, run.bench.url, run.bench.device, run.bench.scope) == bench
    assert (run.environment.clock, run.seed) == (clock, 11)
    assert {"python", "pytest", "pytest-asyncio", "stimwarden"} == run.environment.versions.keys()


def test_a_tree_of_which_nothing_is_known_makes_no_evidence(inner: Inner):
    run = inner.evidence("def test_passes(): pass\n")
    assert (run.environment.commit, run.environment.is_clean, run.is_dev) == (None, None, True)


def test_only_a_tree_that_is_committed_makes_evidence(inner: Inner, tmp_path_factory: pytest.TempPathFactory):
    def git(*words: str) -> str:
        told = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", *words]
        return subprocess.run(told, cwd=inner.path, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path_factory.mktemp("apart") / "evidence.json"
    body = "def test_passes(): pass\n"
    (inner.path / ".gitignore").write_text("__pycache__\n*.pyc\n.hypothesis\n")
    inner.run(body)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "all")
    run = inner.evidence_at(file, body)
    assert (run.environment.commit, run.environment.is_clean, run.is_dev) == (git("rev-parse", "HEAD"), True, False)
    (inner.path / "more").touch()
    run = inner.evidence_at(file, body)
    assert (run.environment.is_clean, run.is_dev) == (False, True)


def test_without_the_option_nothing_is_written(inner: Inner):
    inner.run("async def test_it(bench): pass\n")
    assert {path.name for path in Path(inner.path).glob("*.json")} == set()


PARALLEL = """
@pytest.mark.parametrize("n", range(4))
async def test_it(bench, scope, n):
    talk = Talk(await bench.connect())
    await talk.run()
    await asyncio.sleep(0.05)
    await talk.stop()
    bench.attach("port", bench.port.encode())
    assert len(scope.pulses()) >= 3
    await talk.close()
def test_left_out(): pass
"""


@pytest.mark.hazard("H22")
def test_workers_have_a_port_each_and_their_evidence_comes_together(inner: Inner):
    run = inner.evidence(PARALLEL, "--bench=pty", "-n2", "-k", "test_it")
    assert sorted(test.id for test in run.tests) == [f"test_inner.py::test_it[{n}]" for n in range(4)]
    assert {test.outcome for test in run.tests} == {"passed"}
    ports = [Path(test.attachments[0].data.decode()) for test in run.tests]
    assert {port.name for port in ports} == {"gw0", "gw1"}
    assert len(set(ports)) == 4
    assert not any(port.is_symlink() for port in ports)
    assert run.deselected == 1


def test_a_failure_in_a_worker_says_how_it_is_done_again(inner: Inner):
    result = inner.run("async def test_it(bench): assert False\n", "--bench=pty", "-n2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["pytest test_inner.py::test_it --bench pty --bench-device native --bench-seed 0"])


def test_of_a_test_that_was_tried_again_the_failure_stays(tmp_path: Path):
    recorder = Recorder(spec("virtual", "native", 0, None), tmp_path / "unused")
    for outcome in ("passed", "failed", "passed"):
        report = pytest.TestReport("a.py::test", ("a.py", 1, "test"), {}, "passed", None, "teardown")
        report.bench_test = Test(id="a.py::test", outcome=outcome).model_dump_json()
        recorder.pytest_runtest_logreport(report)
    assert [test.outcome for test in recorder._tests.values()] == ["failed"]
