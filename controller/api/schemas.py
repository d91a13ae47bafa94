"""JSON Schemas (draft 2020-12) of everything that crosses the wire, made from the models that read and write it."""

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from controller.contract.answers import (
    AnswerMessage,
    CapabilitiesMessage,
    ChallengeMessage,
    EventMessage,
    ServiceMessage,
    SummaryMessage,
    TelemetryMessage,
)
from controller.contract.bodies import BODIES, QUESTION, VERBS
from controller.contract.envelope import Envelope, QuestionBody

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UNITS = {
    "ua": "uA", "nc": "nC", "us": "us", "ms": "ms", "mv": "mV", "ohm": "ohm", "ppm": "ppm", "i2t": "uA2s",
}  # fmt: skip
"""The unit that the last part of a field's name says: `setpoint_ua` is in uA."""
STATEMENTS: dict[str, type[BaseModel]] = {
    "answer": AnswerMessage,
    "event": EventMessage,
    "summary": SummaryMessage,
    "capabilities": CapabilitiesMessage,
    "challenge": ChallengeMessage,
    "telemetry": TelemetryMessage,
    "service": ServiceMessage,
}
"""What the service says, by the name of its message."""

Schema = dict[str, Any]


def command_model(verb: str) -> type[BaseModel]:
    """Give the form of one verb's command: the envelope with that verb and its body."""
    body: type[BaseModel] = QuestionBody if verb == QUESTION else BODIES[verb]
    may_be_left_out = all(not field.is_required() for field in body.model_fields.values())
    description = Envelope.model_fields["body"].description
    default = Field(default=body(), description=description) if may_be_left_out else Field(description=description)
    said = Envelope.model_fields["verb"].description
    # A verb is known at run time only: the type checker cannot follow.
    fields: dict[str, Any] = {"verb": (Literal[verb], Field(description=said)), "body": (body, default)}
    return create_model(class_name(verb), __base__=Envelope, __doc__=f"The command `{verb}`.", **fields)


def class_name(word: str) -> str:
    """Write a verb or a message's name as the name of a schema: `session.skin_check` is SessionSkinCheck."""
    return "".join(part.capitalize() for part in re.split(r"[._]", word))


def all_schemas() -> dict[str, Schema]:
    """Give a schema for each message, each whole in itself, by the name of its file."""
    found = {f"command.{verb}": command_model(verb).model_json_schema() for verb in VERBS}
    for name, model in STATEMENTS.items():
        found[name] = model.model_json_schema(mode="serialization")
    return {
        name: {"$schema": DIALECT, "$id": f"urn:stimwarden:v1:{name}", **with_units(schema)}
        for name, schema in found.items()
    }


def with_units(schema: Schema) -> Schema:
    """Say at each field which unit it is in, and leave out the titles that repeat its name; changes its argument."""
    for part in parts(schema):
        part.pop("title", None)
        for name, field in part.get("properties", {}).items():
            unit = UNITS.get(name.rpartition("_")[2])
            if unit and "integer" in str(field):
                field["x-unit"] = unit
    return schema


def parts(schema: object) -> Iterator[Schema]:
    """Walk through a schema and everything below it."""
    if isinstance(schema, dict):
        yield schema
        for below in schema.values():
            yield from parts(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from parts(below)
