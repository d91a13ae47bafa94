"""The reference page needs nothing else, leads nowhere wrong, and has every verb, field, unit and code there is."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from typing import Any

import pytest

from controller.api.document import document
from controller.api.page import coded, html, operations
from controller.contract import codes


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return document()


@pytest.fixture(scope="module")
def page(whole: dict[str, Any]) -> str:
    return html(whole)


def words(page: str) -> str:
    """The page as it reads."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "default-src 'none'" in page
    assert re.findall(r"<(?:script|img|link|iframe)\b|\bsrc=|@import|url\(", page) == []


def test_every_link_of_the_page_leads_to_one_place(page: str) -> None:
    links, places = re.findall(r'href="([^"]*)"', page), Counter(re.findall(r'\bid="([^"]*)"', page))
    assert [link for link in links if not link.startswith("#") or link[1:] not in places] == []
    assert [place for place, count in places.items() if count > 1] == []


def test_every_verb_and_statement_has_its_topic_fields_and_an_example(page: str, whole: dict[str, Any]) -> None:
    for name, operation in operations(whole).items():
        part = page.partition(f'<h3 id="{operation["id"]}">')[2].partition("<h3 ")[0]
        assert part, name
        assert operation["topic"] in part
        assert part.count("<details") == len(operation["message"]["examples"]) >= 1
        shown = operation["body"] if operation["action"] == "receive" else operation["rows"]
        for row in shown:
            cells = f"{row.place} {row.kind} {row.unit} {row.need}"
            assert " ".join(cells.split()) in words(part), (name, row)
            assert words(str(coded(row.meaning))).strip() in words(part)


def test_every_code_has_its_text(page: str) -> None:
    read = words(page)
    for code, text in codes.TEXTS.items():
        assert code in read
        if code not in codes.RESERVED:
            assert words(str(coded(text))).strip() in read


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert str(coded("set `a<b` & <i>")) == "set <code>a&lt;b</code> &amp; &lt;i&gt;"
