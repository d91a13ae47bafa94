"""The tree that a suite lies in: its commit, and whether everything is committed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple


class Tree(NamedTuple):
    """A commit, and the paths that differ from it; both None where git cannot tell."""

    commit: str | None = None
    changed: tuple[str, ...] | None = None

    @property
    def is_clean(self) -> bool | None:
        """True when everything is committed."""
        return None if self.changed is None else not self.changed


def look(suite: Path, apart: Path | None = None) -> Tree:
    """Ask git about the tree of a suite; a folder `apart` is not looked at: it holds the report itself."""
    folder = suite if suite.is_dir() else suite.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "--verify", "HEAD^{commit}")
    if top is None or commit is None:
        return Tree()
    root = Path(top.rstrip("\n"))
    inside = apart is not None and apart.resolve().is_relative_to(root.resolve())
    but = [f":(top,exclude,literal){apart.resolve().relative_to(root.resolve())}"] if apart and inside else []
    rows = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".", *but)
    changed = None if rows is None else tuple(row[3:] for row in rows.split("\0") if row)
    return Tree(commit.strip(), changed)


def _git(folder: Path, *arguments: str) -> str | None:
    # A hook of git sets variables that would point this at another tree.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        run = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", folder, *arguments],  # noqa: S607 - as found on the path
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return None
    return run.stdout if run.returncode == 0 else None
