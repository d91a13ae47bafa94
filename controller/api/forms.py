"""The form of a message as a list of fields, each with its place: what people read, and what versions differ in."""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .schemas import Schema

LOWER = frozenset({"minimum", "minLength", "minItems"})
UPPER = frozenset({"maximum", "maxLength", "maxItems", "maxProperties"})
BOUNDS = LOWER | UPPER | {"pattern", "not", "uniqueItems", "additionalProperties", "exclusiveMinimum", "anyOf"}


class Field(NamedTuple):
    """A field of a message: its types, the values it may have, its bounds, whether it is always there, its meaning."""

    types: frozenset[str]
    values: frozenset[str] | None
    bounds: Mapping[str, object]
    required: bool
    unit: str
    meaning: str


def at(root: Schema, schema: Schema) -> Schema:
    """Follow references to what they mean, in the document `root`."""
    while "$ref" in schema:
        found = root
        for level in schema["$ref"].removeprefix("#/").split("/"):
            found = found[level]
        schema = found
    return schema


def fields(root: Schema, schema: Schema, place: str = "") -> Iterator[tuple[str, Field]]:
    """List the fields below a schema: `body.channel`; the items of a list are `[]`, or `[0]`, `[1]` of a fixed one."""
    above = f"{place}." if place else ""
    for branch in _branches(root, schema):
        required = branch.get("required", ())
        for name, below in branch.get("properties", {}).items():
            yield from _field(root, below, above + name, is_required=name in required)
        for name, below in branch.get("patternProperties", {}).items():
            yield from _field(root, below, f"{above}<{name}>", is_required=False)
        if isinstance(others := branch.get("additionalProperties"), dict):
            yield from _field(root, others, f"{above}<>", is_required=False)
        items = branch.get("items")
        for number, below in enumerate(items if isinstance(items, list) else [items] if items else []):
            where = f"{place}[{number if isinstance(items, list) else ''}]"
            yield from _field(root, below, where, is_required=False)


def _field(root: Schema, schema: Schema, place: str, *, is_required: bool) -> Iterator[tuple[str, Field]]:
    branches = _branches(root, schema)
    kinds = [branch.get("type", "null" if branch.get("const", 0) is None else "any") for branch in branches]
    solid = [branch for branch, kind in zip(branches, kinds, strict=True) if kind != "null"]
    only = solid[0] if len(solid) == 1 else {"anyOf": sorted(json.dumps(branch, sort_keys=True) for branch in solid)}
    said = [only["const"]] if "const" in only else only.get("enum")
    yield (
        place,
        Field(
            types=frozenset(kinds),
            values=None if said is None else frozenset(json.dumps(value) for value in said),
            bounds={bound: only[bound] for bound in BOUNDS if bound in only and not isinstance(only[bound], dict)}
            | ({"not": json.dumps(only["not"], sort_keys=True)} if "not" in only else {}),
            required=is_required,
            unit=schema.get("x-unit", ""),
            meaning=str(schema.get("description", at(root, schema).get("description", ""))),
        ),
    )
    yield from fields(root, schema, place)


def _branches(root: Schema, schema: Schema) -> list[Schema]:
    """List what a schema may be, one by one."""
    whole = at(root, schema)
    return [at(root, branch) for branch in whole["anyOf"]] if "anyOf" in whole else [whole]
