"""The reference page: one HTML file that needs nothing else, made from the AsyncAPI document."""

import json
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .forms import BOUNDS, Field, at, fields
from .schemas import Schema

WORDS = {
    "minimum": "at least {}", "maximum": "at most {}", "minLength": "at least {} characters",
    "maxLength": "at most {} characters", "minItems": "at least {} items", "maxItems": "at most {} items",
    "maxProperties": "at most {} entries", "pattern": "matches {}", "not": "", "uniqueItems": "each once",
    "additionalProperties": "", "exclusiveMinimum": "more than {}", "anyOf": "",
}  # fmt: skip


class Row(NamedTuple):
    """A field as people read it; `unit` is empty for what has none."""

    place: str
    kind: str
    unit: str
    need: str
    meaning: str


def html(document: Schema) -> str:
    """Write the page."""
    environment = Environment(
        loader=PackageLoader("controller.api", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["coded"] = coded
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("page.html").render(
        doc=document,
        asked=[told for name, told in operations(document).items() if told["action"] == "receive"],
        said=[told for name, told in operations(document).items() if told["action"] == "send"],
        envelope=envelope(document),
        properties=table(document, document["components"]["schemas"]["UserProperties"]),
        groups=groups(document["x-codes"]),
    )


def operations(document: Schema) -> dict[str, dict[str, Any]]:
    """Give each operation with what stands elsewhere in the document: its topic, its message and the message's form."""
    found = {}
    for name, operation in document["operations"].items():
        message = at(document, at(document, operation["messages"][0]))
        found[name] = operation | {
            "id": name.replace(".", "-"),
            "topic": at(document, operation["channel"])["address"],
            "message": message,
            "rows": (listed := rows(document, message["name"])),
            "body": [row for row in listed if row.place.startswith("body.")],
        }
    return found


def envelope(document: Schema) -> list[Row]:
    """List the fields that every command has, with those of `expect`; what its verb may be says each command itself."""
    listed = {name: rows(document, name) for name in document["components"]["messages"] if name.startswith("command.")}
    first, *others = listed.values()
    own = {"verb": "the name of a command below", "body": "an object"}
    shared = (row._replace(kind=own[row.place]) if row.place in own else row for row in first)
    return [row for row in shared if row.place in own or all(row in other for other in others)]


def rows(document: Schema, message: str) -> list[Row]:
    """List a message's fields."""
    return table(document, at(document, document["components"]["messages"][message]["payload"]))


def table(document: Schema, form: Schema) -> list[Row]:
    """List the fields of a form."""
    return [
        Row(place, kind_of(field), field.unit, need_of(field), field.meaning) for place, field in fields(document, form)
    ]


def coded(text: str) -> Markup:
    """Write what stands between backticks as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(text.split("`"))
    )


def kind_of(field: Field) -> str:
    """Say what a field may be: type, values, bounds."""
    types = " or ".join(sorted(field.types - {"null"}) + sorted(field.types & {"null"}))
    if field.values is not None:
        types = " or ".join(sorted(field.values)) + (" or null" if "null" in field.types else "")
    bounds = (WORDS[bound].format(field.bounds[bound]) for bound in sorted(BOUNDS) if bound in field.bounds)
    return ", ".join(part for part in (types, *bounds) if part)


def need_of(field: Field) -> str:
    """Say whether a field is always there."""
    return "always" if field.required else ""


def groups(codes: dict[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sort codes by what they are about, the part before the dot."""
    return [(group, list(each)) for group, each in groupby(codes.items(), lambda item: item[0].partition(".")[0])]
