"""A run: the same from the same seed, whatever the processes; a tape that plays again; and its end as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from controller.virtual import make, staff
from hil.cli import app
from hil.simulate import tape
from hil.simulate.clinic import play
from hil.simulate.run import Asked, simulate
from hil.simulate.target import BadTarget, found
from tests.simulate.planted import planted
from tests.simulate.small import AT_MS, ask, clinic, fault

pytestmark = pytest.mark.hazard("H35")
ROOT = Path(__file__).parents[2]
TARGET = "controller.virtual:make"
CAP = (ask(AT_MS, "adjust", channel=1, delta_ua=1_000), ask(10_000, "adjust", channel=1, delta_ua=501))


def hil(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hil.cli", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "COLUMNS": "200"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)


def test_the_same_seed_gives_the_same_digest_in_processes_with_different_hash_seeds_and_with_any_jobs():
    arguments = ("simulate", "--target", TARGET, "--hours", "0.01", "--seed", "4")
    one, two = hil(*arguments, hash_seed="1"), hil(*arguments, "--jobs", "2", hash_seed="2")
    assert (one.returncode, two.returncode) == (0, 0), one.stdout + one.stderr + two.stdout + two.stderr
    digests = [line for done in (one, two) for line in done.stdout.splitlines() if line.startswith("digest ")]
    assert len(digests) == 2
    assert digests[0] == digests[1]
    assert "seed 4: 0 clinics with violations" in one.stdout


def test_a_clinic_s_digest_is_that_of_all_that_happened():
    digests = [
        play(schedule, make, staff).digest
        for schedule in (
            clinic(),
            clinic(),
            clinic(ask(AT_MS, "pause")),
            clinic(fault("drop", 300)),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_what_is_broken_is_found_shrunk_told_and_written_and_plays_again_to_the_byte(tmp_path: Path):
    file = tmp_path / "tape"
    asked = ("simulate", "--target", "tests.simulate.planted:with_permit_early", "--hours", "0.01", "--tape", str(file))
    done = hil(*asked)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "violation: permit before current at bed-" in done.stdout
    assert "shrunk to 1:" in done.stdout
    assert sum("visit at bed-" in line for line in done.stdout.splitlines()) == 1
    again = hil("replay", str(file))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("the same to the byte: ")


def test_a_tape_of_another_controller_is_another(tmp_path: Path):
    with planted("cap_off_by_one") as broken:
        outcome = play(clinic(*CAP), broken, staff, keep=True)
    file = tmp_path / "tape"
    tape.write(file, TARGET, outcome)
    lines = file.read_text(encoding="ascii").splitlines()
    assert json.loads(lines[-1])["violation"]["invariant"] == "never above the cap"
    played = tape.again(file)
    assert played.differs_at == 1
    assert played.violations == 0
    done = CliRunner().invoke(app, ["replay", str(file)])
    assert done.exit_code == 1
    assert f"line 1 of {len(lines)} is another now" in done.stderr
    with pytest.raises(FileExistsError):
        tape.write(file, TARGET, outcome)


def test_one_byte_of_a_tape_that_is_another_is_found(tmp_path: Path):
    outcome = play(clinic(open_ms=3_000), make, staff, keep=True)
    file = tmp_path / "tape"
    tape.write(file, TARGET, outcome)
    assert tape.again(file) == (0, len(file.read_text(encoding="ascii").splitlines()), 0)
    lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if '"hex": "' in line)
    first = lines[at].index('"hex": "') + 8
    lines[at] = lines[at][:first] + ("1" if lines[at][first] == "0" else "0") + lines[at][first + 1 :]
    file.write_text("".join(lines), encoding="ascii")
    assert tape.again(file).differs_at == at + 1
    file.write_text("".join(lines[:-1]), encoding="ascii")
    assert tape.again(file).differs_at == at + 1


@pytest.mark.parametrize("target", ["nonsense", "no.such.module:make", "controller.virtual:none", "hil.world:House"])
def test_a_target_that_cannot_be_had_is_said(target: str):
    with pytest.raises(BadTarget, match=target.split(":", maxsplit=1)[0]):
        found(target)
    done = CliRunner().invoke(app, ["simulate", "--target", target])
    assert done.exit_code == 2


def test_a_run_goes_on_until_its_beds_were_open_for_so_long():
    result = simulate(Asked(TARGET, 0.01, 2), Console(quiet=True))
    assert result.tally["open ms"] >= 36_000
    assert result.tally["lives"] >= 1
    assert result.broken == ()
