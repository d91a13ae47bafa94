"""What the documents say is there: links, commands, the newcomer's targets, pinned requirements, no machine of ours."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IDS = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)

# Put together from pieces, so that this file does not hold what it forbids.
OURS = re.compile(
    "|".join(
        [
            r"(?<![\w.])/" + "(?:work|root|home|Users)/",
            r"pypi" + r"\.org",
            r"python" + r"hosted",
            r"registry" + r"\.npmjs",
            r"(?m:^\s*--(?:extra-)?" + "index" + "-url)",
            r"(?m:^\s*--find" + "-links)",
        ]
    )
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def broken_links(document: Path, text: str) -> list[str]:
    """Relative links that lead nowhere, and anchors that no heading answers to."""
    broken = []
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(text if target == document else read(target))):
            broken.append(link)
    return broken


def anchors(text: str) -> set[str]:
    """The anchors that a hosting site makes of the headings."""
    plain = (re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in HEADING.findall(FENCE.sub("", text)))
    return {heading.replace(" ", "-") for heading in plain}


def commands(text: str) -> Iterator[list[str]]:
    """Words of each command line in the `console` blocks, comments taken off, continued lines joined."""
    for language, block in FENCE.findall(text):
        if language != "console":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ ") and (words := shlex.split(line[2:], comments=True)):
                yield words


def project_commands(program: str) -> list[list[str]]:
    """The different commands of one of our programs in all documents, without the program's name."""
    found = [words for path in DOCUMENTS for words in commands(read(path)) if Path(words[0]).name == program]
    return [list(words) for words in dict.fromkeys(tuple(words[1:]) for words in found)]


def unknown_word(module: str, words: list[str]) -> str | None:
    """The first word or option that the command line program does not know."""
    typer_main = import_module("typer.main")
    command = typer_main.get_command(import_module(module).app)
    for word in words:
        if word.startswith("-"):
            break
        if not hasattr(command, "commands"):
            break
        if word not in command.commands:
            return word
        command = command.commands[word]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = (word.partition("=")[0] for word in words if word.startswith("-") and word != "--help")
    return next((option for option in given if option not in options), None)


def tracked() -> list[Path]:
    """Every file of the repository, those not yet committed included."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def traces(text: str) -> list[str]:
    """Addresses of machines and package indexes in a text."""
    return OURS.findall(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_relative_link_resolves(document: Path) -> None:
    assert broken_links(document, read(document)) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    (tmp_path / "b.md").write_text("# One heading, `code`\n", encoding="utf-8")
    text = (
        "# Here\n[a](b.md) [b](b.md#one-heading-code) [c](#here) [d](https://example.org/x)\n"
        "[e](c.md) [f](b.md#two) [g](#there)\n```\n[h](d.md)\n```\n"
    )
    document.write_text(text, encoding="utf-8")
    assert broken_links(document, text) == ["c.md", "b.md#two", "#there"]


@pytest.mark.parametrize("words", project_commands("stimwarden"), ids=" ".join)
def test_every_documented_command_of_the_service_exists(words: list[str]) -> None:
    assert unknown_word("controller.cli", words) is None


@pytest.mark.parametrize("words", project_commands("stimwarden-hil"), ids=" ".join)
def test_every_documented_command_of_the_bench_exists(words: list[str]) -> None:
    assert unknown_word("hil.cli", words) is None


def test_the_readme_names_every_command_of_the_first_version() -> None:
    readme = read(ROOT / "README.md")
    named = {
        " ".join(word for word in words[:3] if word.isalpha() or word.startswith("stimwarden"))
        for words in commands(readme)
    }
    wanted = {
        "stimwarden serve",
        "stimwarden demo",
        "stimwarden send",
        "stimwarden watch",
        "stimwarden doctor",
        "stimwarden config show",
        "stimwarden audit verify",
        "stimwarden device selftest",
        "stimwarden rx import",
        "stimwarden rx list",
        "stimwarden rx show",
        "stimwarden-hil emulate",
        "stimwarden-hil faults",
    }
    assert wanted - named == set()


@pytest.mark.parametrize("words", [["fly"], ["config", "fly"], ["serve", "--fly"], ["config", "show", "--fly"]])
def test_an_invented_command_is_seen(words: list[str]) -> None:
    assert unknown_word("controller.cli", words) == words[-1]


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = read(ROOT / "README.md")
    first = next(block for language, block in FENCE.findall(readme) if language == "console")
    assert [line.partition("#")[0].split() for line in first.splitlines()] == [
        ["$", "make", "demo"],
        ["$", "make", "test"],
    ]


def test_the_makefile_has_the_documented_targets() -> None:
    targets = set(re.findall(r"^([a-z.]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {words[1] for path in DOCUMENTS for words in commands(read(path)) if words[0] == "make"}
    assert named - targets == set()
    assert targets >= {"demo", "test", "check", "bench", ".venv"}


def test_no_file_names_a_machine_or_a_package_index() -> None:
    found = {}
    for path in tracked():
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        if seen := traces(text):
            found[path.relative_to(ROOT).as_posix()] = seen
    assert found == {}


@pytest.mark.parametrize(
    "planted",
    [
        "see /" + "work/main/x.py",
        "cd /" + "root",
        "https://" + "pypi" + ".org/simple",
        "--index" + "-url https://example.org",
        "a\n  --extra-index" + "-url=x",
        "--find" + "-links wheels",
    ],
)
def test_a_planted_trace_is_seen(planted: str) -> None:
    assert len(traces(planted + "/")) == 1


def test_harmless_paths_are_left_alone() -> None:
    assert traces("network/work/item ./home/x docs/root/x --no-emit-index-url") == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    joined = read(ROOT / name).replace("\\\n", " ").splitlines()
    lines = [line for line in joined if line and not line.startswith("#")]
    assert [line for line in lines if not re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def pinned(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", read(ROOT / name), re.MULTILINE))


def test_the_locks_hold_what_the_project_declares() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    runtime = {re.split(r"[<>=~!\[ ;]", line)[0].lower() for line in project["project"]["dependencies"]}
    dev = {re.split(r"[<>=~!\[ ;]", line)[0].lower() for line in project["project"]["optional-dependencies"]["dev"]}
    build = {"hatchling", "editables"}
    assert runtime - pinned("requirements.txt") == set()
    assert (runtime | dev | build) - pinned("requirements-dev.txt") == set()
    assert pinned("requirements.txt") <= pinned("requirements-dev.txt")


def test_the_closing_line_adds_up_the_runs(tmp_path: Path) -> None:
    suite = '<testsuites><testsuite tests="{}" errors="{}" failures="{}" skipped="{}"/></testsuites>'
    (tmp_path / "a.xml").write_text(suite.format(10, 1, 2, 3), encoding="utf-8")
    (tmp_path / "b.xml").write_text(suite.format(5, 0, 0, 0), encoding="utf-8")
    names = [str(tmp_path / name) for name in ("a.xml", "b.xml", "missing.xml")]
    run = subprocess.run(
        [sys.executable, "tests/summary.py", *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "9 passed, 4 failed, 3 skipped\n"
