"""`stimwarden ledger`: what it prints, what it enters, and what it refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import clock
from controller.cli import app
from controller.store.dose import Ledger
from safety.admit import admit
from safety.history import PadUse
from safety.messages import Latch
from safety.verdict import Clear, Scope
from tests.controller.bookings import channel, dose, request, settlement

SETTINGS = """
[site]
id = "ward3"
principals = "principals.toml"
[broker]
username = "svc"
password = "s3cret"
[storage]
journal = "journal.db"
ledger = "ledger.db"
[[device]]
id = "dev1"
driver = "native"
port = "dev1"
profile = "bench"
"""
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "stimwarden.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "principals.toml").write_text("", encoding="utf-8")
    return tmp_path


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.db", admit, may_create=True)


def said(*words: str) -> tuple[int, list[str], list[str]]:
    done = CliRunner().invoke(app, ["ledger", *words])
    return done.exit_code, [line.rstrip() for line in done.stdout.splitlines()], done.stderr.splitlines()


def correct(*more: str, **of: str) -> tuple[int, list[str], list[str]]:
    at = datetime.now(UTC) - HOUR
    usual = {"site": "calf-l", "pair": "a", "modality": "tens", "at": at.strftime("%Y-%m-%dT%H:%M:%S"), "by": "dr-1"}
    options = usual | {"why": "counted twice"} | of
    return said("correct", "p-1", *(word for name, value in options.items() for word in (f"--{name}", value)), *more)


@pytest.mark.rule("L07")
def test_what_counts_for_a_patient_is_shown(ledger: Ledger) -> None:
    now_ms = clock.now().wall_ms
    latches = [Latch(n, Scope.MONTAGE, rule, Clear.ACK_QUALIFIED, "", now_ms) for n, rule in ((5, "M24"), (6, "M08"))]
    asyncio.run(ledger.reserve("dev1", request("s-1", channel(1, dose(2_160_000_000, 0, 1_800_000))), now_ms))
    asyncio.run(ledger.lock("dev1", "p-1", "calf-l", latches[0]))
    asyncio.run(ledger.lock("dev1", "p-1", "thigh-r", latches[1]))
    status, printed, _ = said("show", "p-1")
    assert status == 0
    assert printed[0].split("  ")[0] == "site"
    assert [word in printed[0] for word in ("pair", "therapy", "charge, a day", "on-time, a week")] == [True] * 4
    assert printed[1].split() == ["calf-l", "a", "tens", "2160000", "µC", "2160000", "µC", "1800", "s"]
    assert printed[2] == "locked: thigh-r"
    assert printed[3].startswith("harm reported: calf-l, 20")
    assert printed[3].endswith(", not released")
    assert said("show", "p-2")[1][1:] == []


@pytest.mark.rule("L13")
@pytest.mark.hazard("H19")
def test_a_correction_is_appended_or_refused_with_its_rule(ledger: Ledger) -> None:
    now_ms = clock.now().wall_ms
    asyncio.run(ledger.reserve("dev1", request("s-1", channel(1, dose(5_000, 0, 9_000))), now_ms - 3_700_000))
    asyncio.run(ledger.settle(settlement("s-1", "applied", (1, dose(5_000, 0, 9_000))), now_ms - 3_600_000))
    assert correct("--nc", "1000") == (0, ["appended"], [])
    status, printed, wrong = correct("--nc", "-2000")
    assert (status, printed, wrong[0].split(":")[0]) == (1, [], "L13 DOSE.UNSIGNED")
    assert correct("--nc", "-2000", "--by", "dr-2") == (0, ["appended"], [])
    assert correct("--nc", "-5000", "--by", "dr-2")[2][0].startswith("L13 DOSE.CORRECTION: ")
    _, printed, _ = said("show", "p-1")
    assert printed[1].split() == ["calf-l", "a", "tens", "4", "µC", "4", "µC", "9", "s"]
    assert [line.partition(" by ")[2] for line in printed[2:]] == [
        "1 µC, 0 s; signed by dr-1: counted twice",
        "-2 µC, 0 s; signed by dr-1, dr-2: counted twice",
    ]


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ({"modality": "h-wave"}, "'h-wave' is neither nmes nor tens"),
        ({"by": "dr 1"}, "who signs is named by the login, without spaces"),
    ],
)
def test_a_correction_that_makes_no_sense_is_wrong_usage(ledger: Ledger, of: dict[str, str], why: str) -> None:
    assert correct(**of) == (2, [], [why])


@pytest.mark.rule("L09")
@pytest.mark.hazard("H47")
def test_two_references_of_one_person_are_kept(ledger: Ledger) -> None:
    assert said("merge", "p-1", "p-2")[0] == 0
    assert said("show", "p-2")[1][-1] == "known under another reference too: nothing is admitted"


@pytest.mark.rule("L11")
@pytest.mark.hazard("H34")
def test_a_pad_is_good_to_the_end_of_its_last_day(ledger: Ledger) -> None:
    assert said("pad", "x", "--expires", "2027-01-31") == (0, ["x is good until 2027-01-31"], [])
    padded = request("s-1", replace(channel(), pads=("x",)))
    end_ms = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()) * 1000
    assert asyncio.run(ledger.foresee("dev1", padded, 0)).history.pads == (PadUse("x", 0, end_ms - 1000),)


def test_without_a_ledger_nothing_is_shown_or_made(folder: Path) -> None:
    status, printed, wrong = said("show", "p-1")
    assert (status, printed) == (1, [])
    assert "unable to open" in wrong[0]
    assert not (folder / "ledger.db").exists()
