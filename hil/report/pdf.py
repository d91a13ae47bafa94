"""The page on paper, by a Chromium of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 180


def chromium() -> str | None:
    """The program, where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def print_pdf(program: str, page: Path, to: Path) -> str:
    """Print a page; gives what went wrong, "" if nothing did."""
    # The sandbox of Chromium refuses to start for root; the page has no script and loads nothing.
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="stimwarden-hil-") as profile:
        command = [
            program,
            "--headless",
            *alone,
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={profile}",
            f"--print-to-pdf={to.resolve()}",
            page.resolve().as_uri(),
        ]
        try:
            run = subprocess.run(  # noqa: S603 - a browser of the machine on a page of our own
                command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if run.returncode or not to.is_file():
        return f"{program} ended with {run.returncode}: {run.stderr.strip()[-500:]}"
    return ""
