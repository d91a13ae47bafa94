"""The AsyncAPI document of the wire, made from topics, models, the table of codes, and the words of words.toml.

It describes the service: it receives commands, and sends answers and everything else.
"""

import json
import tomllib
from importlib.resources import files
from typing import Any

from pydantic.json_schema import models_json_schema

from controller.contract import codes
from controller.contract.bodies import BODIES, QUESTION, STATUS, VERBS
from controller.contract.envelope import MAX_BYTES
from controller.contract.topics import ALL, ID, STOPS, Topics
from controller.identity import MAY_ASK, Role
from safety.rules.wish import MUST_EXPECT

from .schemas import STATEMENTS, Schema, class_name, command_model, parts, with_units

VERSION = "1.0.0-draft"
"""Of the wire, by Semantic Versioning. A draft until it is released; docs/api/released then keeps the document."""

_WORDS = tomllib.loads(files(__package__).joinpath("words.toml").read_text(encoding="utf-8"))
DOES: dict[str, str] = {verb: said["does"] for verb, said in _WORDS["verbs"].items()}
EXAMPLE_BODIES: dict[str, dict[str, Any]] = {verb: said.get("body", {}) for verb, said in _WORDS["verbs"].items()}
KINDS: dict[str, str] = _WORDS["kinds"]
SAID: dict[str, list[dict[str, Any]]] = json.loads(
    files(__package__).joinpath("examples.json").read_text(encoding="utf-8")
)
"""What a service has said in a recorded session, by message: name and payload."""

BINDING = {"bindingVersion": "0.2.0"}
EVERYBODY = "everybody"
SITE_WIDE = "site."
"""What stands before a verb in the name of the channel on which it is asked of every device of the site."""
OPEN = Topics("site")
PARAMETERS: dict[str, Schema] = {
    "site": {"description": f"The site, {ID}.", "examples": ["ward3"]},
    "device": {"description": f"The device, {ID}.", "examples": ["dev1"]},
    "principal": {
        "description": f"Who asks, {ID}: the login at the broker, whose access list lets nobody else write here.",
        "examples": ["clinician-1"],
    },
    "command_id": {
        "description": "The id of the command that is answered; `unknown` where it could not be read.",
        "examples": ["0198c2a4-1111-7222-8333-444455556666"],
    },
    "kind": {"description": "What happened.", "enum": sorted(KINDS)},
    "channel": {"description": "The number of the channel.", "enum": [str(number) for number in range(1, 9)]},
    "instance": {"description": f"The name of the service, {ID}.", "examples": ["ward3"]},
}
TOPIC_OF = {
    "answer": OPEN.ack("{device}", "{principal}", "{command_id}"),
    "event": OPEN.event("{device}", "{kind}"),
    "summary": OPEN.summary("{device}"),
    "capabilities": OPEN.capabilities("{device}"),
    "challenge": OPEN.challenge("{device}", "{principal}"),
    "telemetry": OPEN.telemetry("{device}", 1).removesuffix("1") + "{channel}",
    "service": OPEN.service("{instance}"),
}
USER_PROPERTIES = {
    "type": "object",
    "description": "The MQTT 5 user properties of a message.",
    "properties": {
        "sig": {
            "type": "string",
            "description": (
                "A detached JSON Web Signature over topic, NUL and payload: Ed25519, or HS256 where the role allows. "
                "Commands of clinicians must bear one; what the service says bears its own, but for telemetry."
            ),
        }
    },
}
RETAINED = frozenset({"summary", "capabilities", "challenge", "service"})
ANSWER = "#/channels/answer"


def document() -> Schema:
    """Make the document."""
    commands = {verb: OPEN.command("{device}", "{principal}", verb) for verb in VERBS}
    commands |= {SITE_WIDE + verb: OPEN.command(ALL, "{principal}", verb) for verb in sorted(STOPS)}
    verb_of = {name: name.removeprefix(SITE_WIDE) for name in commands}
    return {
        "asyncapi": "3.1.0",
        "id": "urn:stimwarden:v1",
        "info": info(),
        "defaultContentType": "application/json",
        "servers": {"broker": server()},
        "channels": {
            **{name: channel(topic, f"command.{verb_of[name]}") for name, topic in commands.items()},
            **{name: channel(topic, name) for name, topic in TOPIC_OF.items()},
        },
        "operations": {
            **{name: asked(name, verb_of[name]) for name in commands},
            **{f"tell.{name}": told(name) for name in TOPIC_OF},
        },
        "components": {
            "schemas": schemas(),
            "messages": {
                **{f"command.{verb}": command(verb) for verb in VERBS},
                **{name: statement(name) for name in STATEMENTS},
            },
            "parameters": PARAMETERS,
            "securitySchemes": security(),
        },
        "x-kinds": dict(sorted(KINDS.items())),
        "x-codes": {code: text for code, text in sorted(codes.TEXTS.items()) if code not in codes.RESERVED},
        "x-reserved-codes": {code: codes.TEXTS[code] for code in sorted(codes.RESERVED)},
    }


def info() -> Schema:
    """Say what this is."""
    return {
        "title": "stimwarden",
        "version": VERSION,
        "description": (
            "Safety-interlocked control of neuromuscular electrical stimulators: one command, one answer. Nothing is "
            "rounded to a limit, dropped or tried again behind the sender's back. Topics begin with `stim` unless the "
            "site says otherwise. Readers ignore fields that they do not know; commands are read strictly: at most "
            f"{MAX_BYTES} bytes of UTF-8, each key once, whole numbers only. What was released keeps its meaning."
        ),
        "license": {"name": "Apache-2.0"},
    }


def server() -> Schema:
    """Say where it is found."""
    return {
        "host": "{broker}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5",
        "description": "The site's broker. Commands of MQTT 3.1.1 clients are understood as well.",
        "variables": {"broker": {"default": "localhost:8883", "description": "Host and port of the site's broker."}},
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in security()],
    }


def security() -> Schema:
    """Say how a sender is known."""
    return {
        "login": {
            "type": "userPassword",
            "description": "A login at the broker; its name is the principal in every topic that it may write.",
        },
        "certificate": {
            "type": "X509",
            "description": "A client certificate, whose common name is the principal.",
        },
        "signature": {
            "type": "asymmetricEncryption",
            "description": "The user property `sig`; for MQTT 3.1.1 the payload is a JWS whose header names the topic.",
        },
    }


def channel(topic: str, message: str) -> Schema:
    """Describe a channel on which one kind of message is sent."""
    address = topic.replace("/site/", "/{site}/", 1)
    return {
        "address": address,
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS if f"{{{name}}}" in address
        },
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def asked(name: str, verb: str) -> Schema:
    """Describe what is asked of the service."""
    everywhere = " Of every device of the site." if name != verb else ""
    return {
        "action": "receive",
        "title": name,
        "summary": DOES[verb] + everywhere,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/command.{verb}"}],
        "reply": {"channel": {"$ref": ANSWER}, "messages": [{"$ref": f"{ANSWER}/messages/answer"}]},
        "bindings": {"mqtt": {"qos": 1, "retain": False, "messageExpiryInterval": 10, **BINDING}},
        "x-roles": roles(verb),
        "x-expect": expect(verb),
    }


def roles(verb: str) -> list[str]:
    """Tell who may ask for it; what a question is about must be the sender's to ask, too."""
    if verb in STOPS | {STATUS, QUESTION}:
        return [EVERYBODY]
    return [role.value for role in Role if verb in MAY_ASK[role]]


def expect(verb: str) -> str:
    """Tell when the sender must say what it saw (G02)."""
    if verb in MUST_EXPECT:
        return "always"
    if verb == QUESTION:
        return "as the command that is asked about"
    return "to raise" if "delta_ua" in BODIES[verb].model_fields else "never"


def told(name: str) -> Schema:
    """Describe what the service says."""
    qos = 0 if name == "telemetry" else 1
    return {
        "action": "send",
        "title": name,
        "summary": f"{STATEMENTS[name].__doc__}".partition("\n")[0],
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": qos, "retain": name in RETAINED, **BINDING}},
    }


def command(verb: str) -> Schema:
    """Describe a command's message; the response topic is the sender's to choose, below its own answers."""
    own = OPEN.ack("{device}", "{principal}", "x").replace("/site/", "/{site}/", 1).removesuffix("x")
    reply = f"Where to answer besides; it must lie below {own}, or the command is refused (CMD.BAD_RESPONSE_TOPIC)."
    return {
        "name": f"command.{verb}",
        "summary": DOES[verb],
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/command_id"},
        "headers": {"$ref": "#/components/schemas/UserProperties"},
        "payload": {"$ref": f"#/components/schemas/{class_name(verb)}"},
        "bindings": {
            "mqtt": {
                "contentType": "application/json",
                "responseTopic": {"type": "string", "description": reply},
                "correlationData": {"type": "string", "description": "Comes back with the answer as it was."},
                **BINDING,
            }
        },
        "examples": [{"name": verb, "payload": example(verb)}],
    }


def example(verb: str) -> Schema:
    """Give a command as a clinician's client sends it."""
    seen = {"expect": {"boot_id": "b-d82c07cd", "session_id": "s-dev1-b-d82c07cd-1", "state_version": 6}}
    return {
        "schema": "stim.command/1",
        "command_id": "0198c2a4-1111-7222-8333-444455556666",
        "verb": verb,
        "site": "ward3",
        "device": "dev1",
        "issuer": "clinician-1",
        "issued_at": "2026-11-22T14:50:00.123Z",
        "expires_at": "2026-11-22T14:50:05.123Z",
        **(seen if expect(verb) != "never" else {}),
        "body": EXAMPLE_BODIES[verb],
    }


def statement(name: str) -> Schema:
    """Describe a message of the service, with what one has said."""
    described: Schema = {
        "name": name,
        "summary": f"{STATEMENTS[name].__doc__}".partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/UserProperties"},
        "payload": {"$ref": f"#/components/schemas/{STATEMENTS[name].__name__}"},
        "examples": SAID[name],
    }
    if name == "answer":
        described["correlationId"] = {"location": "$message.payload#/command_id"}
    return described


def schemas() -> Schema:
    """Give every schema, each once, in the dialect of AsyncAPI: a list of fixed length is written as draft 7 has it."""
    models = [(command_model(verb), "validation") for verb in VERBS]
    models += [(model, "serialization") for model in STATEMENTS.values()]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    defined: Schema = found["$defs"] | {"UserProperties": USER_PROPERTIES}
    for schema in defined.values():
        for part in parts(with_units(schema)):
            if "prefixItems" in part:
                part["items"] = part.pop("prefixItems")
    return dict(sorted(defined.items()))
