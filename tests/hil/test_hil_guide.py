"""Every command of the guide, as it stands there; in place of a real device an emulated one behind a terminal."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hil.inner import read
from tests.hil.process import ROOT, Start, starting
from tests.test_docs import FENCE, commands

pytestmark = pytest.mark.hazard("H35")

GUIDE = (ROOT / "docs" / "hil-guide.md").read_text(encoding="utf-8")
FIRST = next(block for language, block in FENCE.findall(GUIDE) if language == "python")
PORT = "/dev/ttyACM0"
INSTALL, VIRTUAL, PTY, REPORT, REAL, SCOPE = (shlex.join(words) for words in commands(GUIDE))

Run = Callable[[str], tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Type a command of the guide beside the file that it names; exit code and output."""
    (tmp_path / "test_first.py").write_text(FIRST, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "docs").symlink_to(ROOT / "docs")

    def run(command: str) -> tuple[int, str]:
        program, *words = shlex.split(command)
        beside = str(Path(sys.executable).with_name(program))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "-p no:hypothesispytest"}
        done = subprocess.run(
            [beside, *words], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start


def test_the_guide_has_the_commands_that_are_run_here():
    words = [command.split()[0] for command in (INSTALL, VIRTUAL, PTY, REPORT, REAL, SCOPE)]
    assert words == ["pip", "pytest", "pytest", "stimwarden-hil", "pytest", "pytest"]
    assert [PORT in command for command in (VIRTUAL, PTY, REAL, SCOPE)] == [False, False, True, True]


def test_what_is_to_be_installed_can_be(run: Run):
    # Nothing is fetched: the packages are those of this environment, and nothing is changed in it.
    offline = "--no-index --no-deps --no-build-isolation --dry-run"
    status, said = run(INSTALL.replace(".[hil]", f"{ROOT}[hil]").replace("install", f"install {offline}", 1))
    assert status == 0, said
    assert "Would install stimwarden-" in said
    assert "Requirement already satisfied: science-mode-4" in said


@pytest.mark.parametrize("command", [VIRTUAL, PTY])
def test_the_first_test_passes_on_an_emulated_bench(run: Run, command: str):
    status, said = run(command)
    assert (status, "1 passed" in said) == (0, True), said


def test_the_first_report_names_the_faults_of_the_script(run: Run, tmp_path: Path):
    status, said = run(REPORT)
    assert status == 1, said
    tests = read(tmp_path / "first-report" / "evidence.json").tests
    assert {test.id.partition("::")[2]: test.outcome for test in tests} == {
        "test_it_gives_what_was_asked": "passed",
        "test_it_stops_when_it_is_told": "passed",
        "test_the_current_ends_with_the_script": "passed",
        "test_it_falls_silent_when_nobody_answers": "failed",
        "test_it_stops_before_a_lifting_pad_burns": "failed",
        "test_it_does_not_begin_again_by_itself": "failed",
    }
    missed = {one.name: test.injections[0].fault for test in tests for one in test.measurements if not one.passed}
    assert missed == {
        "current without an answer": "half_open",
        "density": "peel",
        "pulses after it is back": "snap_off",
    }
    assert "no evidence" in said


def test_on_a_port_without_a_scope_it_is_protocol_evidence_only(run: Run, start: Start):
    port = str(start("--device", "sciencemode4").link.resolve())
    status, said = run(REAL.replace(PORT, port))
    assert status == 0, said
    assert f"bench: {port}, device sciencemode4, seed 0, scope none (protocol evidence only)" in said
    assert "1 skipped" in said
    assert "protocol evidence only: there is no scope on the delivered current (--bench-scope)" in said


class Instrument(threading.Thread):
    """An instrument that knows the current from the emulator's own scope, and appends samples of it to a file."""

    def __init__(self, control: Path, file: Path) -> None:
        super().__init__()
        self._control, self._file = control, file
        self.ended = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_UNIX) as line, self._file.open("a", encoding="ascii") as out:
            line.connect(str(self._control))
            answers = line.makefile()

            def ask(**words: object) -> dict[str, Any]:
                line.sendall(json.dumps(words).encode() + b"\n")
                answer: dict[str, Any] = json.loads(answers.readline())
                return answer

            told_us = ended_us = 0
            while not self.ended.wait(0.05):
                # What is younger may be told in the next round: the samples have to ascend.
                before_us = ask(do="ping")["now_us"] - 1_000
                for pulse in ask(do="pulses", since_us=told_us)["pulses"]:
                    if pulse["at_us"] < before_us:
                        told_us, ended_us = pulse["at_us"] + 1, pulse["at_us"] + 400
                        shape = (0, pulse["first_ua"]), (200, -pulse["second_ua"]), (400, 0)
                        out.writelines(f"{pulse['at_us'] + after_us},1,{ua}\n" for after_us, ua in shape)
                if ended_us < before_us - 1:
                    out.write(f"{before_us - 1},1,0\n")
                out.flush()
            answers.close()


def test_with_an_instrument_the_same_test_judges_the_current(run: Run, start: Start, tmp_path: Path):
    process = start("--device", "sciencemode4")
    (tmp_path / "scope.csv").touch()
    instrument = Instrument(process.ctl, tmp_path / "scope.csv")
    instrument.start()
    status, said = run(SCOPE.replace(PORT, str(process.link.resolve())))
    instrument.ended.set()
    instrument.join()
    assert (status, "1 passed" in said) == (0, True), said
    assert "scope csv" in said
    rows = (tmp_path / "scope.csv").read_text(encoding="ascii").splitlines()
    assert len([row for row in rows if row.endswith(",20000")]) == 100
