"""`stimwarden-hil run`: what it refuses before a test has run, and the report it leaves behind."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hil.cli import app
from hil.evidence import Run
from hil.report.manifest import make_key, public_key, verify
from hil.report.play import Asked
from tests.hil.test_hil_tree import git

pytestmark = pytest.mark.hazard("H35")

SUITE = """
import pytest
pytestmark = [pytest.mark.hazard("H01"), pytest.mark.rule("G01")]

def test_one():
    pass

@pytest.mark.rule("G02")
def test_two():
    assert {holds}
"""
FILES = {"evidence.json", "evidence.schema.json", "junit.xml", "manifest.json", "pytest.txt", "report.html"}


class Place:
    """A committed tree with a suite, a key, and the command."""

    def __init__(self, root: Path) -> None:
        self.root = root / "tree"
        self.suite = self.root / "suite"
        self.out = root / "out"
        self.key = root / "bench.key"
        self.suite.mkdir(parents=True)
        make_key(self.key)
        git(self.root, "init", "--quiet")
        self.commit(holds=True)

    def commit(self, *, holds: bool, more: str = "") -> None:
        (self.suite / "test_it.py").write_text(SUITE.format(holds=holds) + more, encoding="ascii")
        git(self.root, "add", ".")
        git(self.root, "commit", "--quiet", "--allow-empty", "-m", "suite")

    def run(self, *arguments: object, suite: Path | None = None) -> tuple[int, str]:
        words = ["run", suite or self.suite, "--report", self.out, *arguments]
        result = CliRunner().invoke(app, [str(word) for word in words])
        return result.exit_code, result.output

    def evidence(self, folder: Path | None = None) -> Run:
        return Run.model_validate_json(((folder or self.out) / "evidence.json").read_bytes())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Nothing but git on the path, and no Hypothesis: printing and its start take longer than all the rest."""
    program = shutil.which("git")
    assert program is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    return Place(tmp_path)


def test_a_committed_suite_leaves_signed_evidence(place: Place):
    code, text = place.run("--key", place.key, "--seed", "7")
    assert (code, text.splitlines()[-3:]) == (
        0,
        ["Passed: 2 of 2 tests, 0 skipped.", f"{place.out}/report.html", "no report.pdf: no Chromium is installed"],
    )
    assert {path.name for path in place.out.iterdir()} == FILES | {"manifest.sig"}
    assert verify(place.out, public_key(place.key.with_name("bench.key.pub"))).is_dev is False
    run = place.evidence()
    assert (run.is_dev, run.environment.is_clean, run.exit_status, run.seed) == (False, True, 0, 7)
    assert run.environment.commit == git(place.root, "rev-parse", "HEAD")
    assert [(test.id.rpartition("::")[2], test.rules, test.hazards) for test in run.tests] == [
        ("test_one", ("G01",), ("H01",)),
        ("test_two", ("G02", "G01"), ("H01",)),
    ]
    schema = json.loads((place.out / "evidence.schema.json").read_text(encoding="utf-8"))
    assert schema["title"] == "Run"


@pytest.mark.server("chromium")
def test_the_pdf_is_part_of_what_is_signed(tmp_path: Path):
    place = Place(tmp_path)
    assert place.run("--key", place.key)[0] == 0
    assert "report.pdf" in verify(place.out).files
    assert (place.out / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_suite_that_fails_is_reported_and_ends_with_1(place: Place):
    place.commit(holds=False)
    code, text = place.run("--key", place.key)
    assert (code, "Failed: of 2 tests 1 failed." in text) == (1, True)
    verify(place.out)
    assert [test.outcome for test in place.evidence().tests] == ["passed", "failed"]
    assert "1 failed, 1 passed" in (place.out / "pytest.txt").read_text(encoding="utf-8")


def test_a_run_that_ends_badly_after_its_last_test_has_not_passed(place: Place):
    end = "import os\ndef pytest_unconfigure():\n    os._exit(7)\n"
    (place.suite / "conftest.py").write_text(end, encoding="ascii")
    code, text = place.run("--dev")
    assert (code, "Failed: no test failed, but pytest ended with status 7." in text) == (1, True)


# Refused


def refused(place: Place, code: str, *arguments: object, suite: Path | None = None) -> str:
    exit_code, text = place.run(*arguments, suite=suite)
    assert (exit_code, text.startswith(f"stimwarden-hil: {code}: ")) == (3, True), text
    return text


def test_evidence_of_an_uncommitted_tree_is_refused(place: Place):
    for number in range(7):
        (place.root / f"new{number}.txt").touch()
    text = refused(place, "tree_not_clean", "--key", place.key)
    assert "not committed: new0.txt, new1.txt, new2.txt, new3.txt, new4.txt and 2 more;" in text
    assert not place.out.exists()


def test_evidence_of_a_tree_without_a_commit_is_refused(place: Place, tmp_path: Path):
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "test_it.py").write_text("def test_one():\n    pass\n", encoding="ascii")
    refused(place, "tree_unknown", "--key", place.key, suite=tmp_path / "loose")
    assert not place.out.exists()


def test_evidence_without_a_key_or_with_an_open_one_is_refused(place: Place):
    assert "stimwarden-hil key FILE" in refused(place, "key_needed")
    place.key.chmod(0o644)
    refused(place, "key_bad", "--key", place.key)
    refused(place, "key_bad", "--key", place.key, "--dev")
    assert not place.out.exists()


def test_a_report_is_never_written_over_another(place: Place):
    place.out.mkdir()
    (place.out / "report.html").touch()
    refused(place, "report_exists", "--dev")
    assert [path.name for path in place.out.iterdir()] == ["report.html"]
    (place.out / "report.html").unlink()
    assert place.run("--dev")[0] == 0


def test_a_tree_that_changes_while_the_tests_run_is_no_evidence(place: Place):
    place.commit(holds=True, more="def test_three():\n    open(__file__, 'a').write('#')\n")
    refused(place, "tree_changed", "--key", place.key)
    assert not (place.out / "manifest.json").exists()


def test_where_pytest_leaves_nothing_behind_there_is_no_report(place: Place):
    text = refused(place, "no_evidence", "--key", place.key, "--", "--no-such-option")
    assert "unrecognized arguments" in text
    assert not (place.out / "manifest.json").exists()


@pytest.mark.parametrize("option", ["--requirements", "--kills"])
def test_a_file_that_is_not_what_it_has_to_be_is_refused(option: str, place: Place, tmp_path: Path):
    (tmp_path / "bad.json").write_text('{"odd": 1}', encoding="ascii")
    for name in ("bad.json", "absent.json"):
        assert name in refused(place, "file_bad", "--dev", option, tmp_path / name)
    assert not place.out.exists()


# --dev


def test_a_dev_run_takes_any_tree_and_says_so(place: Place):
    (place.root / "new.txt").touch()
    code, text = place.run("--dev")
    assert (code, f"{place.out}/report.html, not signed, no evidence" in text) == (0, True)
    run = place.evidence()
    assert (run.is_dev, run.environment.is_clean) == (True, False)
    assert "DEV RUN: NO EVIDENCE" in (place.out / "report.html").read_text(encoding="utf-8")
    assert json.loads((place.out / "manifest.json").read_text(encoding="ascii"))["is_dev"] is True
    assert {path.name for path in place.out.iterdir()} == FILES


def test_a_report_inside_its_own_tree_does_not_make_it_unclean(place: Place):
    place.out = place.root / "out"
    assert place.run("--key", place.key)[0] == 0
    assert place.evidence().environment.is_clean is True


# The baseline


def test_a_run_is_compared_with_a_signed_baseline(place: Place, tmp_path: Path):
    assert place.run("--key", place.key)[0] == 0
    before = place.out
    place.out = tmp_path / "second"
    place.commit(holds=False)
    assert place.run("--key", place.key, "--baseline", before)[0] == 1
    page = (place.out / "report.html").read_text(encoding="utf-8")
    assert "Compared with out:" in page
    assert "tests that ended otherwise: 1, figures that moved: 0" in page


def test_a_baseline_that_was_touched_or_signed_by_another_is_refused(place: Place, tmp_path: Path):
    assert place.run("--key", place.key)[0] == 0
    before = place.out
    place.out = tmp_path / "second"
    make_key(tmp_path / "other.key")
    text = refused(place, "baseline_bad", "--key", tmp_path / "other.key", "--baseline", before)
    assert "was signed with another key" in text
    (before / "pytest.txt").write_text("all is well", encoding="ascii")
    for how in (("--key", place.key), ("--dev",)):
        assert "pytest.txt: is not what was signed" in refused(place, "baseline_bad", *how, "--baseline", before)
    assert not place.out.exists()


def test_a_dev_run_is_no_baseline_of_evidence(place: Place, tmp_path: Path):
    assert place.run("--key", place.key, "--dev")[0] == 0
    before = place.out
    place.out = tmp_path / "second"
    assert "no evidence" in refused(place, "baseline_bad", "--key", place.key, "--baseline", before)
    assert place.run("--dev", "--baseline", before)[0] == 0


# What is required


def required(*rules: str) -> str:
    return json.dumps({"hazards": [{"id": "H01", "rules": rules}]})


def test_the_requirements_beside_the_suite_are_used_unless_told(place: Place, tmp_path: Path):
    (place.suite / "hazards.json").write_text(required("G01", "G88"), encoding="ascii")
    assert place.run("--dev")[0] == 0
    assert "1 of 3 rows of the matrix have a gap" not in (place.out / "report.html").read_text(encoding="utf-8")
    assert "2 of 3 rows of the matrix have a gap" in (place.out / "report.html").read_text(encoding="utf-8")
    assert "G88" in (place.out / "hazards.json").read_text(encoding="utf-8")
    (tmp_path / "other.json").write_text(required("G01", "G02"), encoding="ascii")
    place.out = tmp_path / "second"
    assert place.run("--dev", "--requirements", tmp_path / "other.json")[0] == 0
    assert "The matrix has no gap in 2 rows." in (place.out / "report.html").read_text(encoding="utf-8")


# What pytest is told


def test_what_follows_two_dashes_is_for_pytest(place: Place):
    assert place.run("--dev", "--", "-k", "test_one")[0] == 0
    run = place.evidence()
    assert ([test.id.rpartition("::")[2] for test in run.tests], run.deselected) == (["test_one"], 1)


def test_the_command_of_pytest():
    assert Asked(Path("suite"), "pty", "native").command(Path("e.json")) == [
        sys.executable, "-m", "pytest", "suite", "-v", "--color=no", "--bench=pty", "--bench-device=native",
        "--bench-seed=0", "--bench-evidence=e.json",
    ]  # fmt: skip
    asked = Asked(Path("suite"), "/dev/ttyUSB0", "sciencemode4", 3, "none", ["-x"])
    assert asked.command(Path("e.json"))[6:] == [
        "--bench=/dev/ttyUSB0", "--bench-device=sciencemode4", "--bench-seed=3", "--bench-scope=none",
        "--bench-evidence=e.json", "-x",
    ]  # fmt: skip
