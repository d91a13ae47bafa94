"""The page: what has to stand on it, whom it loads nothing from, and how it reads without colour, eyes or a screen."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from pypdf import PdfReader

from hil.evidence import Attachment, Chunk, Entry, Journal, Message, Run
from hil.report.kills import Kills
from hil.report.make import write
from hil.report.matrix import Hazard, Requirements, Rule
from hil.report.page import SHOWN, Extras, html, part
from hil.report.pdf import chromium, print_pdf
from tests.hil.runs import BEGIN_US, COMMIT, case_of, channel, measured, peel, pulse, run_of, step

pytestmark = pytest.mark.hazard("H35")

DEV = "DEV RUN: NO EVIDENCE"
PROTOCOL = "PROTOCOL EVIDENCE ONLY: no scope, delivered current was not measured"
PLAIN = Extras()

FULL = case_of(
    "test_full[a]",
    text="A pad that peels.",
    outcome="failed",
    failure="assert 1 == 2",
    reproduce="pytest 'test_x.py::test_full[a]' --bench=virtual",
    injections=(peel(10, 90, channel=1),),
    measurements=(measured(50), measured(150)),
    channels=(channel(pulse(0, 10_000), pulse(100, 40_000), commanded=(step(0, 10_000),)),),
    serial=(Chunk(at_us=BEGIN_US + 1_500, direction="to_device", data=b"\x00\xfe", words="stop"),),
    mqtt=(Message(at_us=BEGIN_US + 2_500_000, direction="sent", topic="stim/1", payload='{"verb": "stop"}'),),
    journal=Journal(chain="broken", text="row 5", entries=(Entry(number=5, at_us=BEGIN_US, text="stopped"),)),
    attachments=(Attachment(name="notes", data=b"kept"), Attachment(name="core", media_type="a/b", data=b"\xff")),
)


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.tags if each == tag]


def seen(*tests: object, extras: Extras = PLAIN, **more: object) -> Seen:
    return Seen(html(run_of(*tests, **more), extras))


EVERYTHING = Extras(
    Requirements(hazards=(Hazard(id="H01", text="Burn", rules=("G01", "G02")),), rules=(Rule(id="G02", text="Quiet"),)),
    Kills.model_validate_json(
        '{"format": "stimwarden-hil kills", "version": 1, "mutants": [{"id": "m1", "killed_by": null}]}'
    ),
    run_of(case_of("test_full[a]", measurements=(measured(50), measured(90)))),
    "report-1",
)


@pytest.fixture(scope="module")
def full() -> Seen:
    silent = case_of("test_silent", "")
    return seen(FULL, silent, extras=EVERYTHING, is_dev=True, scope="none", deselected=3)


def test_the_verdict_comes_first(full: Seen):
    assert full.text.index("Failed: of 2 tests 1 failed.") < full.text.index("Environment")


@pytest.mark.parametrize(
    "words",
    [
        "2 of 2 rows of the matrix have a gap.",
        "Tests that name neither a rule nor a hazard: 1.",
        "Tests of the suite that were left out of this run: 3.",
        "tests that ended otherwise: 2, figures that moved: 1.",
        "pytest 'test_x.py::test_full[a]' --bench=virtual",
        COMMIT,
        "pytest 9.0",
        "none: protocol evidence only",
        "gap: no test",
        "gap: 1 failed",
        "0 of 1 passed, 1 faults, 2 measurements, current seen in 1",
        "2 pulses of at most 40 mA, limit 30 mA, 1 pulses ABOVE THE LIMIT",
        "0.010000 0.090000",
        "channel=1",
        "stop latency 150 ms at most 100 beyond its limit",
        "Journal: chain broken, row 5, 1 rows",
        "0.001500 to device 00 fe stop",
        '2.500000 sent stim/1 {"verb": "stop"}',
        "Attachment: notes, text/plain, 4 bytes kept",
        "It is in evidence.json, in base64.",
        "stop latency ms 2 50 50 150 150 150 1",
        "0 of 1 planted defects were found by a test; 1 live",
        "Compared with report-1",
        "silent not there passed",
        "stop latency 90 150 (beyond) ms",
    ],
)
def test_what_the_page_says(words: str, full: Seen):
    assert words in full.text or words in " ".join(" ".join(full.words).split())


def test_the_page_needs_nothing_else(full: Seen):
    assert {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in full.tags} == set()
    for _, attributes in full.tags:
        assert not {"src", "srcset", "style", "onload", "onclick"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
    policies = [each["content"] for each in full.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in full.text.replace("url(#hatch)", "")
    assert "@import" not in full.text


def test_the_page_can_be_read_without_colour_and_without_eyes(full: Seen):
    levels = [int(tag[1]) for tag, _ in full.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(full.all("caption")) == len(full.all("table"))
    assert all(each.get("scope") in {"col", "row"} for each in full.all("th"))
    assert all(each.get("aria-label") or each.get("aria-hidden") == "true" for each in full.all("svg"))
    assert full.all("html") == [{"lang": "en"}]


def test_every_link_leads_somewhere(full: Seen):
    ids = [attributes["id"] for _, attributes in full.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(each["href"] or "")[1:] for each in full.all("a")}
    assert targets
    assert targets <= set(ids)


def test_what_tests_say_cannot_break_the_page():
    evil = '</style></pre><script>alert("1")</script>'
    test = case_of(
        f"test_a[{evil}]",
        f"H<b> {evil}",
        text=evil,
        outcome="failed",
        failure=evil,
        reproduce=evil,
        first_cause=evil,
        injections=(peel(0, 1, evil),),
        measurements=(measured(1, evil),),
        channels=(channel(pulse(0, 1)),),
        mqtt=(Message(at_us=0, direction="sent", topic=evil, payload=evil),),
        attachments=(Attachment(name=evil, data=evil.encode()),),
    )
    page = seen(test, suite=evil)
    assert page.all("script") == []
    assert len(page.all("style")) == 1
    assert page.text.count('alert("1")') >= 10


def test_a_long_transcript_is_shortened_in_words():
    rows = range(SHOWN + 5)
    shown = part(rows)
    assert (list(shown.first), shown.left_out, list(shown.last)) == (
        list(rows[: SHOWN // 2]), 5, list(rows[-(SHOWN // 2) :]),
    )  # fmt: skip
    assert part(rows[:SHOWN]) == (rows[:SHOWN], 0, ())
    serial = tuple(Chunk(at_us=number, direction="to_host", data=b"\x01") for number in rows)
    assert "5 rows are left out here; evidence.json has all of them." in seen(case_of(serial=serial)).text
    assert "are left out here" not in seen(case_of(serial=serial[:SHOWN])).text


def test_a_count_has_no_unit():
    pulses = measured(48, "pulses", at_most=0).model_copy(update={"unit": ""})
    assert "pulses 48, at most 0 (beyond)" in seen(case_of(measurements=(pulses,))).text


def test_a_silent_channel_is_told_and_not_drawn():
    page = seen(case_of(channels=(channel(),)))
    assert "Channel 1: no current was delivered." in page.text
    assert len(page.all("figure")) == 0
    assert len(seen(case_of(channels=(channel(commanded=(step(0, 1),)),))).all("figure")) == 1


def test_without_extras_the_page_says_so():
    text = seen(case_of("test_a", "H01 G01")).text
    for words in (
        "No baseline was given.",
        "No list of mutants was given.",
        "Nothing was measured.",
        "has no gap in 1 rows",
    ):
        assert words in text
    assert "gap: no test names a rule or a hazard" in seen().text


@pytest.mark.parametrize(
    ("kills", "words"),
    [('{"mutation": {"killed": 1234}}', "mutation killed 1,234"), ("{}", "No list of mutants was given.")],
)
def test_kills_of_the_other_shape(kills: str, words: str):
    page = seen(case_of(), extras=Extras(kills=Kills.model_validate_json(kills)))
    assert words in " ".join(" ".join(page.words).split())


# On every page


NOTICES = [
    (True, "emulator", [DEV]),
    (False, "none", [PROTOCOL]),
    (True, "none", [DEV, PROTOCOL]),
    (False, "emulator", []),
]


def many(is_dev: bool, scope: str) -> Run:
    """A run that fills several sheets."""
    return run_of(*(case_of(f"test_{number}") for number in range(150)), is_dev=is_dev, scope=scope)


@pytest.mark.parametrize(("is_dev", "scope", "notices"), NOTICES)
def test_what_is_no_evidence_says_so_above_everything(is_dev: bool, scope: str, notices: list[str]):
    text = html(many(is_dev, scope), PLAIN)
    body = text[text.index("<body>") :]
    assert [words for words in (DEV, PROTOCOL) if words in body] == notices
    assert all(body.index(words) < body.index("<h1>") for words in notices)
    assert ("Evidence: made from a committed tree." in body) is not is_dev
    assert ("(dev run, no evidence)" in text[: text.index("</title>")]) is is_dev


@pytest.mark.server("chromium")
@pytest.mark.parametrize(("is_dev", "scope", "notices"), NOTICES[2:])
def test_what_is_no_evidence_says_so_on_every_sheet(is_dev: bool, scope: str, notices: list[str], tmp_path: Path):
    assert write(tmp_path, many(is_dev, scope), PLAIN) == ""
    sheets = [" ".join(page.extract_text().split()) for page in PdfReader(tmp_path / "report.pdf").pages]
    assert len(sheets) > 2
    for number, sheet in enumerate(sheets, 1):
        assert [words for words in (DEV, PROTOCOL) if words in sheet] == notices
        assert f"{number} / {len(sheets)}" in sheet
        assert f"commit {COMMIT[:12]}" in sheet
    assert json.loads((tmp_path / "evidence.json").read_text(encoding="utf-8"))["is_dev"] is is_dev


def test_where_there_is_no_chromium_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() is None
    assert write(tmp_path, run_of(case_of()), EVERYTHING) == "no Chromium is installed"
    assert {path.name for path in tmp_path.iterdir()} == {
        "evidence.json", "evidence.schema.json", "hazards.json", "junit.xml", "kills.json", "report.html",
    }  # fmt: skip


def test_a_chromium_that_prints_nothing_is_told(tmp_path: Path):
    (tmp_path / "page.html").touch()
    assert "false ended with 1" in print_pdf("false", tmp_path / "page.html", tmp_path / "page.pdf")
    assert "true ended with 0" in print_pdf("true", tmp_path / "page.html", tmp_path / "page.pdf")
    assert "absent" in print_pdf(str(tmp_path / "absent"), tmp_path / "page.html", tmp_path / "page.pdf")
