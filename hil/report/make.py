"""From a suite to a signed report: what is refused beforehand, the run, and the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ValidationError
from rich.console import Console

from hil.evidence import Run
from hil.report.junit import junit
from hil.report.kills import Kills
from hil.report.manifest import Fault, private_key, seal, verify
from hil.report.matrix import Requirements
from hil.report.page import Extras, html
from hil.report.pdf import chromium, print_pdf
from hil.report.play import Asked, play
from hil.report.refused import Refused
from hil.report.tree import Tree, look
from hil.report.verdict import Verdict, judge

REQUIREMENTS = "hazards.json"
NAMED = 5
"""Changed files that a refusal names."""

Read = TypeVar("Read", bound=BaseModel)


class Order(NamedTuple):
    """A report to be made: of what, where, and what goes into it."""

    asked: Asked
    report: Path
    is_dev: bool
    key: Path | None = None
    baseline: Path | None = None
    requirements: Path | None = None
    kills: Path | None = None


class Made(NamedTuple):
    """How the run ended, and why there is no PDF; "" where there is one."""

    verdict: Verdict
    no_pdf: str


def make(order: Order, console: Console) -> Made:
    """Run the suite and write the report; raises Refused."""
    tree = allowed(order)
    key = private_key(order.key) if order.key else None
    extras = read_extras(order, key)
    order.report.mkdir(parents=True, exist_ok=True)
    run = play(order.asked, order.report / "pytest.txt", console)
    after = look(order.asked.suite, order.report)
    if not order.is_dev and after != tree:
        raise Refused("tree_changed", f"{order.asked.suite}: the tree is not what it was before the tests ran")
    environment = run.environment.model_copy(update={"commit": after.commit, "is_clean": after.is_clean})
    run = run.model_copy(update={"is_dev": order.is_dev, "environment": environment})
    no_pdf = write(order.report, run, extras)
    seal(order.report, key, is_dev=order.is_dev)
    return Made(judge(run), no_pdf)


def allowed(order: Order) -> Tree:
    """The tree of the suite, where a report may be made of it; raises Refused."""
    if order.report.exists() and (not order.report.is_dir() or any(order.report.iterdir())):
        raise Refused(
            "report_exists", f"{order.report}: is not an empty folder; a report is never written over another"
        )
    tree = look(order.asked.suite, order.report)
    if order.is_dev:
        return tree
    if tree.commit is None or tree.changed is None:
        raise Refused(
            "tree_unknown", f"{order.asked.suite}: its commit cannot be told; --dev runs without, as no evidence"
        )
    if tree.changed:
        more = f" and {len(tree.changed) - NAMED} more" if len(tree.changed) > NAMED else ""
        names = ", ".join(tree.changed[:NAMED])
        raise Refused("tree_not_clean", f"not committed: {names}{more}; commit them, or run with --dev, as no evidence")
    if order.key is None:
        raise Refused("key_needed", "evidence is signed: --key FILE (`stimwarden-hil key FILE` makes one), or --dev")
    return tree


def read_extras(order: Order, key: Ed25519PrivateKey | None) -> Extras:
    """The files that go into the report; raises Refused for one that is not what it has to be."""
    beside = order.asked.suite / REQUIREMENTS
    path = order.requirements or (beside if beside.is_file() else None)
    baseline = None
    if order.baseline:
        try:
            manifest = verify(order.baseline, key.public_key() if key else None)
        except Fault as fault:
            raise Refused("baseline_bad", f"{order.baseline}: {fault}") from fault
        if manifest.is_dev and not order.is_dev:
            raise Refused("baseline_bad", f"{order.baseline}: was made with --dev, it is no evidence")
        baseline = _read(Run, order.baseline / "evidence.json")
    return Extras(
        requirements=_read(Requirements, path) if path else None,
        kills=_read(Kills, order.kills) if order.kills else None,
        baseline=baseline,
        baseline_name=order.baseline.name if order.baseline else "",
    )


def write(folder: Path, run: Run, extras: Extras) -> str:
    """Write everything but the manifest; gives why there is no PDF."""
    schema = json.dumps(Run.model_json_schema(), indent=2)
    files: dict[str, str | bytes] = {
        "evidence.json": run.model_dump_json(indent=1) + "\n",
        "evidence.schema.json": schema + "\n",
        "junit.xml": junit(run),
        "report.html": html(run, extras),
    }
    if extras.requirements:
        files[REQUIREMENTS] = extras.requirements.model_dump_json(indent=1) + "\n"
    if extras.kills:
        files["kills.json"] = extras.kills.model_dump_json(indent=1) + "\n"
    for name, data in files.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    program = chromium()
    if program is None:
        return "no Chromium is installed"
    return print_pdf(program, folder / "report.html", folder / "report.pdf")


def _read(model: type[Read], path: Path) -> Read:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Refused("file_bad", f"{path}: {error}") from error
