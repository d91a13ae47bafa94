"""Write docs/safety-case/; nothing else may lie there."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.safety_case.case import assemble
from tests.safety_case.collect import ROOT, collect
from tests.safety_case.prose import PAGES
from tests.safety_case.render import documents

FOLDER = ROOT / "docs" / "safety-case"


def stale(made: dict[str, str], folder: Path) -> list[str]:
    """Files of the folder that are not what was made: missing, different, or not made at all."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return sorted(
        name
        for name in made.keys() | there.keys()
        if name not in made or name not in there or there[name].read_text(encoding="utf-8") != made[name]
    )


def main() -> None:
    made = documents(assemble(collect("tests"), PAGES))
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, text in made.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(made)} files in {FOLDER.relative_to(ROOT)}")  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
