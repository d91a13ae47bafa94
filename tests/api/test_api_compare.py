"""What was released keeps its meaning: each kind of change is planted in a copy of the document, and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.api.compare import complaints
from controller.api.document import DOES, document
from controller.cli import app
from controller.contract.codes import TEXTS

Document = dict[str, Any]
Change = Callable[[Document], object]
KEPT_ONE = {"mqtt": {"qos": 1, "retain": True, "bindingVersion": "0.2.0"}}
STATES = ("starting", "online", "draining", "offline")
TEXT = "What happened; readers ignore kinds that they do not know."


@pytest.fixture(scope="module")
def kept() -> str:
    return json.dumps(document())


def form(whole: Document, name: str) -> Document:
    found: Document = whole["components"]["schemas"][name]
    return found


def field(name: str, *path: str, **change: object) -> Change:
    """Change what stands at a field; None takes a key away."""

    def plant(whole: Document) -> None:
        place = form(whole, name)["properties"]
        for level in path[:-1]:
            place = place[level]
        for key, value in change.items():
            place[path[-1]][key.replace("x_", "x-")] = value
            if value is None:
                del place[path[-1]][key]

    return plant


def gone(name: str, *names: str) -> Change:
    def plant(whole: Document) -> None:
        for each in names:
            form(whole, name)["properties"].pop(each)
            required = form(whole, name).get("required", [])
            form(whole, name)["required"] = [other for other in required if other != each]

    return plant


def new(name: str, added: str, *, required: bool) -> Change:
    def plant(whole: Document) -> None:
        form(whole, name)["properties"][added] = {"type": "integer", "description": "Something new.", "x-unit": "ms"}
        if required:
            form(whole, name)["required"] = [*form(whole, name).get("required", []), added]

    return plant


def required(name: str, *names: str) -> Change:
    return lambda whole: form(whole, name).update(required=list(names))


def operation(name: str, **change: object) -> Change:
    renamed = {key.replace("x_", "x-"): value for key, value in change.items()}
    return lambda whole: whole["operations"][name].update(renamed)


def without(table: str, name: str) -> Change:
    return lambda whole: whole[table].pop(name)


BROKEN: dict[str, tuple[Change, list[str]]] = {
    "a field of a command is gone": (
        gone("ReportBody", "kind"),
        ["adverse.report/body.kind: was released, and is gone"],
    ),
    "a field of a statement is gone": (
        gone("TelemetryMessage", "ohm"),
        ["tell.telemetry/ohm: was released, and is gone"],
    ),
    "a field below a list is gone": (
        gone("LatchSaid", "since"),
        ["tell.summary/latches[].since: was released, and is gone"],
    ),
    "a command takes another type": (
        field("SkinBody", "ok", type="string"),
        ["session.skin_check/body.ok: may not be boolean any more"],
    ),
    "a statement says another type": (
        field("TelemetryMessage", "sample", type="string"),
        ["tell.telemetry/sample: was integer, and is string"],
    ),
    "a statement may be null": (
        field("EventMessage", "event_seq", type=None, anyOf=[{"type": "integer"}, {"type": "null"}]),
        ["tell.event/event_seq: was integer, and is integer or null"],
    ),
    "a lower bound is higher": (
        field("RateBody", "score", minimum=1),
        ["session.rate/body.score: is narrower: minimum was 0, and is 1"],
    ),
    "an upper bound is lower": (
        field("RateBody", "score", maximum=9),
        ["session.rate/body.score: is narrower: maximum was 10, and is 9"],
    ),
    "a bound is new": (
        field("AttestBody", "answers", minProperties=1, maxProperties=63),
        ["session.attest/body.answers: is narrower: maxProperties was 64, and is 63"],
    ),
    "a pattern is another": (
        field("ClearBody", "latch_id", pattern="^x$"),
        ["latch.clear/body.latch_id: is narrower: pattern was ^l-[1-9][0-9]{0,15}$, and is ^x$"],
    ),
    "a value of a command is gone": (
        field("RateBody", "what", enum=["effort"]),
        ['session.rate/body.what: may not be "pain" any more'],
    ),
    "a command has fixed values": (
        field("SkinBody", "ok", enum=[True]),
        ["session.skin_check/body.ok: might be anything, and may now be true only"],
    ),
    "a value of a statement is gone": (
        field("ServiceMessage", "state", enum=["online", "offline", "starting"]),
        ['tell.service/state: does not say "draining" any more'],
    ),
    "a bound of a statement is another": (
        field("TelemetryMessage", "channel", maximum=16),
        ["tell.telemetry/channel: its maximum was 8, and is 16"],
    ),
    "a unit is another": (
        field("TelemetryMessage", "charge_nc", x_unit="uC"),
        ["tell.telemetry/charge_nc: was in nC, and is in uC"],
    ),
    "a meaning is another": (
        field("EventMessage", "kind", description="Who did it."),
        [f"tell.event/kind: meant {TEXT!r}, and now says: 'Who did it.'"],
    ),
    "a command needs more": (
        new("StepBody", "ramp_ms", required=True),
        ["calibration.step/body.ramp_ms: is new, and must be given"],
    ),
    "a command needs what might be left out": (
        required("MarkBody", "threshold", "absent"),
        ["calibration.mark/body.absent: might be left out, and must now be given"],
    ),
    "a statement leaves out what was always there": (
        lambda whole: form(whole, "TelemetryMessage")["required"].remove("sample"),
        ["tell.telemetry/sample: was always there, and may now be missing"],
    ),
    "a verb is gone": (lambda whole: whole["operations"].pop("stop"), ["stop: was released, and is gone"]),
    "a verb does something else": (
        operation("stop", summary="Pauses."),
        [
            f"stop: meant {DOES['stop']!r}, and now says: 'Pauses.'",
        ],
    ),
    "a verb needs more of what was seen": (
        operation("session.pause", x_expect="always"),
        ["session.pause: needed `expect` never, and now always"],
    ),
    "a role may ask no more": (
        operation("session.pause", x_roles=["physio"]),
        ["session.pause: may not be asked any more by automation, handset"],
    ),
    "a statement is kept no more": (
        lambda whole: whole["operations"]["tell.summary"]["bindings"]["mqtt"].update(retain=False),
        [
            f"tell.summary: its bindings was {KEPT_ONE}, and is {str(KEPT_ONE).replace('True', 'False')}",
        ],
    ),
    "a topic is another": (
        lambda whole: whole["channels"]["summary"].update(address="stim/v1/{site}/{device}/summary"),
        ["tell.summary: its topic was stim/v1/{site}/{device}/state/summary, and is stim/v1/{site}/{device}/summary"],
    ),
    "a code is gone": (without("x-codes", "RX.EXPIRED"), ["x-codes/RX.EXPIRED: was released, and is gone"]),
    "a code is used again for something else": (
        lambda whole: whole["x-codes"].update({"RX.EXPIRED": "The patient is too old."}),
        [
            f"x-codes/RX.EXPIRED: meant {TEXTS['RX.EXPIRED']!r}, and now says: 'The patient is too old.'",
        ],
    ),
    "a kind of event is gone": (without("x-kinds", "stop.tried"), ["x-kinds/stop.tried: was released, and is gone"]),
}
ALLOWED: dict[str, Change] = {
    "nothing": str,
    "a statement says more": new("TelemetryMessage", "late_ms", required=True),
    "a statement says more below a list": new("LatchSaid", "age_ms", required=True),
    "a statement has another value": field("ServiceMessage", "state", enum=[*STATES, "away"]),
    "a command takes more": new("StepBody", "ramp_ms", required=False),
    "a command takes wider ranges": field("RateBody", "score", minimum=-1, maximum=20),
    "a command takes what was bounded": field("RateBody", "score", maximum=None),
    "a command takes other values": field("RateBody", "what", enum=["effort", "pain", "itch"]),
    "a command takes null": field("SkinBody", "ok", type=None, anyOf=[{"type": "boolean"}, {"type": "null"}]),
    "a command may leave out more": required("AdjustBody", "channel"),
    "a verb needs less of what was seen": operation("session.start", x_expect="never"),
    "another role may ask": operation("session.pause", x_roles=["physio", "handset", "automation", "biomed"]),
    "a new code": lambda whole: whole["x-codes"].update({"RX.NEW": "Something new. Look."}),
    "a new kind of event": lambda whole: whole["x-kinds"].update({"dose.warned": "Nearly all was given."}),
    "a new version": lambda whole: whole["info"].update(version="1.1.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_change_that_breaks_somebody_is_told(name: str, kept: str) -> None:
    change, told = BROKEN[name]
    released, present = json.loads(kept), json.loads(kept)
    change(present)
    found = complaints(released, present, {})
    assert found == told


def test_a_user_property_that_is_gone_is_told_for_every_message(kept: str) -> None:
    released, present = json.loads(kept), json.loads(kept)
    form(present, "UserProperties")["properties"].pop("sig")
    assert complaints(released, present, {}) == [
        f"{name}/#sig: was released, and is gone" for name in released["operations"]
    ]


@pytest.mark.parametrize("name", ALLOWED)
def test_a_change_that_breaks_nobody_is_let_pass(name: str, kept: str) -> None:
    released, present = json.loads(kept), json.loads(kept)
    ALLOWED[name](present)
    assert complaints(released, present, {}) == []


def test_better_words_for_the_same_are_vouched_for_and_only_them(kept: str) -> None:
    released, present = json.loads(kept), json.loads(kept)
    present["x-codes"]["RX.EXPIRED"] = "The prescription has run out. Ask a prescriber for a new version."
    place, text = "x-codes/RX.EXPIRED", present["x-codes"]["RX.EXPIRED"]
    assert complaints(released, present, {place: text}) == []
    told = f"{place}: meant {released['x-codes']['RX.EXPIRED']!r}, and now says: {text!r}"
    idle = f"{place}: is listed as reworded, and is not"
    assert complaints(released, present, {place: "Other words."}) == [told, idle]
    assert complaints(released, released, {place: text}) == [idle]
    # What is gone cannot be talked away.
    present["x-codes"].pop("RX.EXPIRED")
    assert complaints(released, present, {place: text}) == [f"{place}: was released, and is gone", idle]


def test_the_command_compares_with_an_older_document(kept: str, tmp_path: Path) -> None:
    older = tmp_path / "older.json"
    older.write_text(kept, encoding="utf-8")
    result = CliRunner().invoke(app, ["asyncapi", "--against", str(older)])
    assert (result.exit_code, result.stdout) == (0, "")
    released = json.loads(kept)
    released["x-codes"]["RX.OLD"] = "Something old."
    older.write_text(json.dumps(released), encoding="utf-8")
    result = CliRunner().invoke(app, ["asyncapi", "--against", str(older)])
    assert (result.exit_code, result.stdout) == (1, "x-codes/RX.OLD: was released, and is gone\n")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"x-codes": {}, "x-kinds": {}}'])
def test_what_is_no_document_is_refused(content: str, tmp_path: Path) -> None:
    older = tmp_path / "older.json"
    older.write_text(content, encoding="utf-8")
    result = CliRunner().invoke(app, ["asyncapi", "--against", str(older)])
    assert (result.exit_code, result.stderr) == (1, f"{older}: is no document of this wire\n")
