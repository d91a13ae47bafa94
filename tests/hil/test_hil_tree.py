"""Whether a tree is committed is asked of git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hil.report.tree import Tree, look

pytestmark = pytest.mark.hazard("H35")


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", "-C", folder, *settings, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "suite").mkdir(parents=True)
    (root / "suite" / "test_one.py").write_text("def test_one():\n    pass\n", encoding="ascii")
    (root / ".gitignore").write_text("*.log\n", encoding="ascii")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def test_a_committed_tree_is_clean_wherever_in_it_the_suite_lies(tree: Path):
    commit = git(tree, "rev-parse", "HEAD")
    for suite in (tree, tree / "suite", tree / "suite" / "test_one.py"):
        assert look(suite) == Tree(commit, ())
        assert look(suite).is_clean is True


@pytest.mark.parametrize(
    ("name", "is_staged", "changed"),
    [
        ("suite/test_one.py", False, ("suite/test_one.py",)),
        ("suite/test_one.py", True, ("suite/test_one.py",)),
        ("elsewhere/new.py", False, ("elsewhere/new.py",)),
        ("elsewhere/new.py", True, ("elsewhere/new.py",)),
        ("notes.log", False, ()),
    ],
)
def test_a_change_anywhere_in_the_tree_is_seen(name: str, is_staged: bool, changed: tuple[str, ...], tree: Path):
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("changed\n", encoding="ascii")
    if is_staged:
        git(tree, "add", name)
    assert look(tree / "suite").changed == changed
    assert look(tree / "suite").is_clean is not bool(changed)


def test_a_file_that_is_gone_or_renamed_is_seen(tree: Path):
    git(tree, "mv", "suite/test_one.py", "suite/test_two.py")
    assert look(tree).changed == ("suite/test_one.py", "suite/test_two.py")


def test_the_report_itself_is_not_looked_at(tree: Path):
    (tree / "out").mkdir()
    (tree / "out" / "report.html").touch()
    assert look(tree, tree / "out").changed == ()
    assert look(tree, tree / "suite").changed == ("out/report.html",)
    assert look(tree, tree.parent).changed == ("out/report.html",)


def test_a_tree_without_a_commit_cannot_be_told(tmp_path: Path):
    assert look(tmp_path) == Tree(None, None)
    assert look(tmp_path).is_clean is None
    git(tmp_path, "init", "--quiet")
    assert look(tmp_path) == Tree(None, None)


def test_no_git_cannot_tell(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tree))
    assert look(tree) == Tree(None, None)


def test_what_a_hook_of_git_sets_does_not_lead_to_another_tree(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert look(tree).is_clean is True
