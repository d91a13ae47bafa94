"""The demo as people start it: the command line in a process of its own, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

PATIENCE_S = 60.0
ENDED = "Ended."


class Demo:
    """A demo that was started; `text` is all that it said so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.said = folder / "said.txt"
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "COLUMNS": "200"}
        (folder / "tmp").mkdir()
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controller.cli", "demo", *options],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.said.read_text(encoding="utf-8")

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def children(self) -> dict[int, str]:
        """The processes that it started, with their command lines."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [int(pid) for pid in task.read_text(encoding="ascii").split()]
        return {pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in pids}

    def child(self, word: str) -> int:
        """The one child whose command line holds a word."""
        (pid,) = [pid for pid, command in self.children().items() if word in command]
        return pid

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "tmp").iterdir())


def are_gone(pids: list[int]) -> bool:
    """Whether none of these processes runs any more (one that nobody has waited for does not run)."""
    states = []
    for pid in pids:
        try:
            states.append(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0])
        except FileNotFoundError:
            continue
    return set(states) <= {"Z"}


Start = Callable[..., Demo]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Demo] = []

    def begin(*options: str) -> Demo:
        started.append(Demo(tmp_path, *options))
        return started[-1]

    yield begin
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


class Report(HTMLParser):
    """The plots and the tables of a report."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.plots: list[str | None] = []
        self.rows: list[list[str]] = []
        self.verdict = ""
        self._in = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "svg":
            self.plots.append(found["aria-label"])
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        self._in = "verdict" if tag == "p" and "verdict" in (found.get("class") or "") else tag

    def handle_data(self, data: str) -> None:
        if self._in == "verdict":
            self.verdict += data
        elif self._in in {"td", "th"}:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the library's signature
        self._in = ""

    def beginning(self, *words: str) -> list[list[str]]:
        return [row for row in self.rows if tuple(row[: len(words)]) == words]


def figure(text: str) -> float:
    return float(text.split(maxsplit=1)[0])


@pytest.mark.timeout(150)
@pytest.mark.hazard("H06")
@pytest.mark.rule("M07")
@pytest.mark.parametrize("kind", ["native", "sciencemode4", "sciencemode2"])
def test_the_demo_proves_its_claims_and_writes_them_down(start: Start, tmp_path: Path, kind: str) -> None:
    demo = start("--once", "--report", "shown.html", "--device", kind)
    assert demo.ended() == 0, demo.text
    assert "Passed: the interlock stopped the current, and it stayed at zero" in demo.text
    assert demo.left_behind() == []

    report = Report(tmp_path / "shown.html")
    assert report.plots == ["A clean session", "With the interlock", "Without the interlock"]
    assert report.verdict.startswith("Passed")
    assert [row[0] for row in report.rows if row[0] in {"holds", "fails"}] == ["holds"] * 5
    # The clean session: at 24 mA in two contractions, as planned.
    for cycle in ("1", "2"):
        (on,) = [row for row in report.beginning(cycle, "on") if len(row) == 8]
        assert on[3:5] == ["24.0 mA", "24.0 mA"]
        (rest,) = [row for row in report.beginning(cycle, "rest") if len(row) == 8]
        assert rest[3:6] == ["0.0 mA", "0.0 mA", "0"]
    planned, delivered, ledger = (
        figure(report.beginning(name)[0][1]) for name in ("planned", "delivered", "in the ledger")
    )
    assert planned == 3.456
    assert 0.95 * planned <= delivered <= ledger <= 1.05 * delivered
    # The accident: no phase after it with the interlock, full current again without it. A device that stops by itself
    # when the electrode comes off is armed again by the loop without an interlock, which is after that stop then.
    (down,) = [row for row in report.beginning("2", "ramp down") if len(row) == 9]
    assert down[3:6] == ["–"] * 3  # noqa: RUF001 - a dash for nothing
    (after,) = [row for row in report.beginning("", "after the stop") if len(row) == 9]
    assert after[3:6] == ["0.0 mA", "0.0 mA", "0.0 µC"]
    assert figure((down if kind == "native" else after)[7]) > 2.0
    assert any(re.match(r"Rule M(07|11) stops the output\.", row[1]) for row in report.rows if len(row) == 3)


@pytest.mark.timeout(150)
@pytest.mark.rule("M25")
def test_a_machine_that_stalls_is_told_and_not_tried_again(start: Start, tmp_path: Path) -> None:
    demo = start("--once", "--report", "shown.html")
    demo.wait_for("clean session: armed, and started")
    demo.wait_for("with the interlock: armed, and started")
    service = demo.child("controller.cli")
    os.kill(service, signal.SIGSTOP)
    time.sleep(2)
    os.kill(service, signal.SIGCONT)
    assert demo.ended() == 1, demo.text
    assert re.search(
        r"FAILS  The clean session ran to its end\. This machine did not keep time: rule M(04|25)", demo.text
    )
    assert demo.text.count("armed, and started from zero") == 2
    assert Report(tmp_path / "shown.html").verdict.startswith("Failed: ")
    assert demo.left_behind() == []


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(start: Start, number: signal.Signals) -> None:
    demo = start("--once")
    demo.wait_for("clean session: armed, and started")
    pids = list(demo.children())
    assert len(pids) == 5
    demo.process.send_signal(number)
    assert demo.ended() == 130, demo.text
    assert demo.text.rstrip().endswith(ENDED)
    assert "Traceback" not in demo.text
    assert are_gone(pids)
    assert demo.left_behind() == []
    assert not (demo.folder / "demo-report.html").exists()


@pytest.mark.hazard("H40")
@pytest.mark.parametrize(("word", "name"), [("controller.cli", "service"), ("iotcore", "broker"), ("stim-3", "stim-3")])
def test_a_child_that_dies_ends_the_demo_with_its_name(start: Start, word: str, name: str) -> None:
    demo = start("--once")
    demo.wait_for("clean session: armed, and started")
    pids = list(demo.children())
    os.kill(demo.child(word), signal.SIGKILL)
    assert demo.ended() == 1, demo.text
    assert f"The demo failed: {name} ended by itself with status -9" in demo.text
    assert are_gone(pids)
    assert demo.left_behind() == []


@pytest.mark.hazard("H11")
def test_the_demo_to_play_with_says_what_to_type_and_ends_with_ctrl_c(start: Start) -> None:
    demo = start()
    demo.wait_for("stim-1: armed, and started from zero")
    assert "stimwarden send device.claim --as physio-2 --device stim-2" in demo.text
    pids = list(demo.children())
    assert len(pids) == 4
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 0, demo.text
    assert demo.text.rstrip().endswith(ENDED)
    assert are_gone(pids)
    assert demo.left_behind() == []


@pytest.mark.hazard("H11")
def test_a_demo_that_was_killed_takes_its_children_with_it(start: Start) -> None:
    demo = start()
    demo.wait_for("stim-1: armed, and started from zero")
    pids = list(demo.children())
    demo.process.kill()
    demo.ended()
    deadline = time.monotonic() + PATIENCE_S
    while not are_gone(pids):
        assert time.monotonic() < deadline, demo.text
        time.sleep(0.05)
