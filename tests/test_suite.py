"""`make test` runs every test once, and fails where one of its parts does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite import AFTERWARDS, PARTS, PYTEST, ROOT, main

pytestmark = [pytest.mark.rule("X12"), pytest.mark.hazard("H40")]


def chosen(arguments: tuple[str, ...]) -> set[Path]:
    """The test files that a part runs, by its folders."""
    words = arguments[arguments.index("pytest") + 1 :]
    ignored = [ROOT / word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")]
    folders = [ROOT / word for word in words if not word.startswith("-")]
    files = {file for folder in folders for file in ([folder] if folder.is_file() else folder.rglob("test_*.py"))}
    return {file for file in files if not any(file.is_relative_to(each) for each in ignored)}


def test_every_test_file_belongs_to_one_part() -> None:
    parts = [chosen(arguments) for arguments in PARTS.values()]
    assert sum(len(part) for part in parts) == len(set.union(*parts))
    assert set.union(*parts) == {*(ROOT / "tests").rglob("test_*.py")}
    assert all(parts)


def test_the_safety_tests_are_counted_and_nothing_less_than_all_of_it_will_do() -> None:
    assert PARTS["safety"][:4] == ("-m", "coverage", "run", "-m")
    assert AFTERWARDS[0] == ("-m", "coverage", "report", "--fail-under=100")


@pytest.fixture
def tests(tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """Two parts: one with a test that passes, one with a test that fails."""
    for name, body in (("good", "assert True"), ("bad", "assert False")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(f"def test_{name}():\n    {body}\n", encoding="utf-8")
    alone = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-c", "/dev/null", f"--rootdir={tmp_path}")
    return {name: (*PYTEST, *alone, str(tmp_path / name)) for name in ("good", "bad")}


def test_a_part_that_fails_fails_all_and_the_others_are_shown_too(
    tests: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(tests, ()) == 1
    said = capfd.readouterr().out
    assert "--- good ---" in said
    assert "--- bad ---" in said
    assert "def test_bad" in said
    assert said.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


def test_all_is_well_where_every_part_and_all_that_follows_is(
    tests: dict[str, tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    good = {"good": tests["good"]}
    assert main(good, (("-c", "pass"),)) == 0
    assert main(good, (("-c", "pass"), ("-c", "raise SystemExit(3)"), ("-c", "print('goes on')"))) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_a_part_that_never_came_to_its_tests_counts_as_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    assert main({"broken": ("-c", "raise SystemExit(1)")}, ()) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
