"""Add up the JUnit files of several pytest runs and print one closing line."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def summary(reports: list[Path]) -> str:
    """The closing line; a report that is missing counts as one failure, since its run never finished."""
    total, failed, skipped = 0, 0, 0
    for report in reports:
        if not report.exists():
            total, failed = total + 1, failed + 1
            continue
        tree = ET.parse(report)  # noqa: S314 - our own pytest wrote it a moment ago
        for suite in tree.iter("testsuite"):
            total += int(suite.attrib["tests"])
            failed += int(suite.attrib["errors"]) + int(suite.attrib["failures"])
            skipped += int(suite.attrib["skipped"])
    return f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    sys.stdout.write(summary([Path(name) for name in sys.argv[1:]]) + "\n")
