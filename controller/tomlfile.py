"""Files that people write: read as TOML, judged by a form, and every mistake named so that it can be mended.

A form is a pydantic model whose fields carry, as their description, what is expected of them.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date, time
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
"""Where a value stands: names of tables and keys; places in arrays, from 0."""

HIDDEN = "***"
LONGEST = 80
"""Characters of a value that a message repeats."""


class FileError(ValueError):
    """A file cannot be used; its text has one line for each problem, with file, key, value and what was expected."""

    def __init__(self, problems: Iterable[object]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))


class Problem(NamedTuple):
    """One mistake: in which file, at which key, what is there (`= 5`, `is missing`), and what was expected instead."""

    source: str
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.source}: {self.key}" if self.key else self.source
        return f"{where} {self.found}: expected {self.expected}"


class Fault(NamedTuple):
    """What a form refuses: where, what is there, and what it expected."""

    place: Place
    found: str
    expected: str


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises FileError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise FileError([f"{path}: cannot be read: it is not UTF-8 text"]) from error
    except tomllib.TOMLDecodeError as error:
        raise FileError([f"{path}: is not TOML: {error}"]) from error


def faults_of(error: ValidationError, form: type[BaseModel]) -> Iterator[Fault]:
    """Say what a form refuses, place by place. The value of an unknown key is not told: it may be a secret astray."""
    for item in error.errors(include_url=False, include_context=False):
        found = {
            "missing": "is missing",
            "extra_forbidden": "is unknown",
            "default_factory_not_called": "",
        }.get(item["type"], f"= {shown(item['input'])}")
        if found:
            yield Fault(item["loc"], found, expected_at(form, item["loc"]))


def expected_at(form: type[BaseModel], place: Place) -> str:
    """Say what a form expects at a place."""
    expected, inner = "", form
    for name in (part for part in place if isinstance(part, str)):
        field = inner.model_fields.get(name)
        if field is None:
            return f"one of {', '.join(inner.model_fields)}"
        expected = field.description or ""
        forms = list(_forms_in(field.annotation))
        if not forms:
            break
        inner = forms[0]
    return expected


def _forms_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _forms_in(part)


def key_text(place: Place) -> str:
    """Write a place for people, who count from 1: `broker.tls.ca_file`, `[[device]] 2: port`."""
    text, in_array = "", False
    for name in place:
        if isinstance(name, int):
            head, colon, last = text.rpartition(": ")
            text = f"{head}{colon}[[{last}]] {name + 1}"
        else:
            text += (": " if in_array else "." if text else "") + name
        in_array = isinstance(name, int)
    return text


def shown(value: object) -> str:
    """Write a value as TOML has it, on one line and not too long."""
    text = value.isoformat() if isinstance(value, date | time) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
