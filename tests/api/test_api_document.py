"""The document is what the code does: it is current, sound to others' tools, and what is sent is what it describes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from controller.api.compare import complaints
from controller.api.document import DOES, EXAMPLE_BODIES, KINDS, SAID, VERSION, document, example
from controller.api.forms import at, fields
from controller.api.schemas import STATEMENTS, all_schemas
from controller.cli import app
from controller.contract import codes
from controller.contract.accept import Accepted, Inquiry, StopNow, WhatIf
from controller.contract.answers import AnswerMessage, EventMessage
from controller.contract.bodies import QUESTION, STATUS, VERBS
from controller.contract.topics import STOPS
from tests.api.record import chosen, played
from tests.controller.test_contract import WISHES
from tests.controller.wire import NOW, arrival, door, malformed
from tests.virtual.nurse import in_virtual_time

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "api"
PARSER = Path("/usr/local/lib/asyncapi-parser")
COUNTS = {
    "channel", "requested", "limit", "margin", "audit_seq", "event_seq", "state_version", "schema_version",
    "channels[]", "channels", "sample", "score", "<>",
}  # fmt: skip
"""Whole numbers that have no unit, or whose unit stands beside them."""
NO_DATES = ("2026-02-30T00:00:00Z", "2026-11-22T24:50:00Z")
"""What looks like a time and is none: a schema cannot tell."""


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return document()


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    return all_schemas()


def matches(_validator: object, pattern: str, text: object, _schema: object) -> Iterator[jsonschema.ValidationError]:
    """A pattern as JSON Schema means it: in Python, `$` would let a line break pass at the end."""
    if isinstance(text, str) and not re.search(pattern.replace("$", r"\Z"), text):
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": matches})


def fits(schema: dict[str, Any], payload: object) -> bool:
    return Validator(schema).is_valid(payload)


# The copies that are kept


def test_the_kept_document_schemas_and_page_are_current(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    result = CliRunner().invoke(
        app, ["asyncapi", "--schemas", f"{tmp_path}/schemas", "--page", f"{tmp_path}/index.html"]
    )
    assert (result.exit_code, result.stdout) == (0, "")
    (tmp_path / "asyncapi.json").write_text(CliRunner().invoke(app, ["asyncapi"]).stdout, encoding="utf-8")

    def made(folder: Path) -> dict[str, str]:
        found = [*folder.glob("*.json"), *folder.glob("*.html"), *folder.glob("schemas/*")]
        return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}

    old, new = made(KEPT), made(tmp_path)
    assert sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)) == [], "run make api-docs"


# What others' tools say of it


def parsed(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    """What the official parser says of each document."""
    command = ["node", str(ROOT / "tests" / "api" / "parser.cjs"), str(PARSER)]
    found = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=True)
    said: list[dict[str, Any]] = json.loads(found.stdout)
    return said


@pytest.mark.server("asyncapi")
def test_the_official_parser_finds_nothing_wrong_and_sees_what_is_planted(whole: dict[str, Any]) -> None:
    planted = json.loads(json.dumps(whole))
    planted["operations"]["session.start"]["action"] = "obey"
    planted["channels"]["telemetry"]["parameters"].pop("channel")
    sound, wrong = parsed(whole, planted)
    assert sound == {"operations": len(whole["operations"]), "found": []}
    places = {place for _, place, _ in wrong["found"]}
    assert {"operations.session.start.action", "channels.telemetry.parameters"} <= places


@pytest.mark.parametrize("name", sorted(all_schemas()))
def test_every_schema_is_one(name: str, schemas: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas[name])
    assert schemas[name]["$id"] == f"urn:stimwarden:v1:{name}"


# Examples


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_every_verb_is_accepted(verb: str, schemas: dict[str, Any]) -> None:
    outcome = door().accept(arrival(example(verb)), NOW)
    kinds = {STATUS: Inquiry, QUESTION: WhatIf, **dict.fromkeys(STOPS, StopNow)}
    assert type(outcome) is kinds.get(verb, Accepted)
    assert not isinstance(outcome, StopNow) or outcome.irregular == ""
    assert fits(schemas[f"command.{verb}"], example(verb))


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, several in SAID.items() for said in several])
def test_the_example_of_every_statement_is_what_the_service_would_say(
    name: str, said: dict[str, Any], schemas: dict[str, Any]
) -> None:
    payload = json.dumps(said["payload"], separators=(",", ":"), ensure_ascii=False).encode()
    message = STATEMENTS[name].model_validate_json(payload)
    assert json.loads(message.model_dump_json()) == said["payload"]
    assert fits(schemas[name], said["payload"])
    if isinstance(message, AnswerMessage | EventMessage):
        assert message.code in codes.TEXTS
        assert codes.TEXTS[message.code] in message.text, "run python -m tests.api.record"


def test_there_is_an_example_of_every_statement() -> None:
    assert SAID.keys() == STATEMENTS.keys()


# What is sent


@pytest.fixture(scope="module")
def session() -> list[Any]:
    with TemporaryDirectory() as folder:
        return in_virtual_time(played(Path(folder)))


def channels_of(whole: dict[str, Any], topic: str) -> list[str]:
    """The channels whose address a topic has."""

    def pattern(address: str) -> str:
        return re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(address))

    return [name for name, each in whole["channels"].items() if re.fullmatch(pattern(each["address"]), topic)]


def test_all_that_a_session_says_is_described(
    session: list[Any], whole: dict[str, Any], schemas: dict[str, Any]
) -> None:
    told = set()
    for item in session:
        (name,) = channels_of(whole, item.topic)
        binding = whole["operations"][f"tell.{name}"]["bindings"]["mqtt"]
        assert (item.qos, item.retain) == (binding["qos"], binding["retain"]), item.topic
        jsonschema.validate(json.loads(item.payload), schemas[name], Validator)
        told.add(name)
    assert told == STATEMENTS.keys() - {"service", "challenge"}, "there is no broker, and no machine without a clock"


def test_the_examples_can_still_be_recorded(session: list[Any]) -> None:
    again = chosen(session)
    assert {name: [each["name"] for each in several] for name, several in again.items()} == {
        name: [each["name"] for each in several] for name, several in SAID.items()
    }


# What is accepted


@pytest.mark.parametrize(("verb", "body", "_wish"), WISHES)
def test_a_body_that_is_understood_fits_its_schema(
    verb: str, body: dict[str, Any], _wish: object, schemas: dict[str, Any]
) -> None:
    assert fits(schemas[f"command.{verb}"], example(verb) | {"body": body})


def seen(payload: bytes) -> dict[str, Any]:
    """A payload as a schema sees it.

    Raises ValueError for what is no JSON, and for what no schema can tell from right: a key that comes twice, a whole
    number that is written as a fraction.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    found: dict[str, Any] = json.loads(payload.decode(), object_pairs_hook=once, parse_float=int, parse_constant=int)
    return found


def test_what_is_malformed_fits_no_schema(schemas: dict[str, Any]) -> None:
    judged = 0
    for code, payload in malformed():
        try:
            content = seen(payload)
            schema = schemas[f"command.{content['verb']}"]
        except (ValueError, TypeError, KeyError):
            continue
        if code == "CMD.SCHEMA" and content.get("issued_at") not in NO_DATES:
            judged += 1
            assert not fits(schema, content), payload
    assert judged > 100


# Words


def test_every_verb_and_every_kind_of_event_has_words() -> None:
    assert DOES.keys() == set(VERBS) == EXAMPLE_BODIES.keys()
    assert KINDS.keys() == kinds_in_source()


def kinds_in_source() -> set[str]:
    """Every kind of event that the source tells."""
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ("safety", "controller")
        for path in sorted((ROOT / room).rglob("*.py"))
    )
    told = set(re.findall(r'\btell\(\s*"([a-z]+\.[a-z]+)"', source))
    told |= set(re.findall(r'(?:Told|Event)\(\s*kind="([a-z]+\.[a-z]+)"', source))
    told |= {
        kind
        for line in re.findall(r"^ +kind = .*$", source, re.MULTILINE)
        for kind in re.findall(r'"([a-z]+\.[a-z]+)"', line)
    }
    # `stop` says the outcome of the session: stopped, where nothing else is said.
    told |= {f"session.{outcome}" for outcome in {"stopped", *re.findall(r'turn\.stop\(\(\), "(\w+)"', source)}}
    return told - {"command.rejected"}  # a line of the log, not said on the wire


def test_every_field_says_what_it_means_and_every_figure_its_unit(whole: dict[str, Any]) -> None:
    silent, bare = [], []
    for operation in whole["operations"].values():
        message = at(whole, at(whole, operation["messages"][0]))
        for place, field in fields(whole, at(whole, message["payload"])):
            name = re.split(r"[.\]]", place)[-1] or place.rpartition(".")[2]
            if not field.meaning and not place.endswith(("]", ">")):
                silent.append(f"{message['name']}: {place}")
            if "integer" in field.types and not field.unit and name not in COUNTS and "[" not in name:
                bare.append(f"{message['name']}: {place}")
    assert (silent, bare) == ([], [])


def test_the_table_of_codes_is_in_the_document(whole: dict[str, Any]) -> None:
    assert whole["x-codes"] | whole["x-reserved-codes"] == codes.TEXTS
    assert whole["x-reserved-codes"].keys() == codes.RESERVED


def test_the_examples_of_the_guide_fit_the_schemas(schemas: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "mqtt-api.md").read_text(encoding="utf-8")
    found = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    names = {"stim.command/1": "command.{verb}", "stim.answer/1": "answer"}
    assert len(found) >= len(names)
    for payload in found:
        schema = schemas[names[payload["schema"]].format_map(payload)]
        # The guide shortens answers; what stands there must fit.
        schema = schema | ({"required": []} if payload["schema"] == "stim.answer/1" else {})
        jsonschema.validate(payload, schema, Validator)


# What was released


def test_what_was_released_has_kept_its_meaning(whole: dict[str, Any]) -> None:
    folder = KEPT / "released"
    kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("[0-9]*.json")}
    words = folder / "reworded.json"
    reworded = json.loads(words.read_text(encoding="utf-8")) if words.exists() else {}
    assert [name for name, released in kept.items() if released["info"]["version"] != name or "draft" in name] == []
    assert {name: found for name, released in kept.items() if (found := complaints(released, whole, reworded))} == {}
    # What is no draft was released, so it is kept; while nothing is kept, nothing may claim to be released.
    assert VERSION.endswith("-draft") or kept[VERSION] == whole
