"""Right and wrong commands, and a door to put them through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from controller.contract.accept import Door, Refusal
from controller.contract.envelope import MAX_BYTES, Arrival, utc_ms
from controller.contract.topics import Topics
from controller.identity import BrokerStamp, Principal, Role, Seen
from safety.messages import Capabilities, Identity, Now

TOPICS = Topics("ward3")
NOW = Now(1_000_000, utc_ms("2026-11-22T14:50:01.000Z"))
ID = "0198c2a4-1111-7222-8333-444455556666"
PRINCIPALS = {
    principal.name: principal
    for principal in (
        Principal("clinician-1", Role.PHYSIO, frozenset({"dev1", "dev2"})),
        Principal("visitor", Role.AUDITOR, frozenset({"*"})),
        Principal("bedside", Role.HANDSET, frozenset({"dev1"})),
    )
}

IDENTITY = Identity(model="demo", serial="7", firmware="1.0", protocol=1, emulator=True, boot=1)
CAPS = Capabilities(
    channels=2,
    max_ua=100_000,
    step_ua=100,
    min_width_us=50,
    max_width_us=500,
    width_step_us=1,
    min_period_us=8_334,
    max_period_us=1_000_000,
    period_step_us=1,
    compliance_mv=150_000,
    dead_man_ms=500,
    accuracy_ppm=1,
    mismatch_ppm=1,
    numeric_impedance=True,
    electrode_flag_from_ua=None,
    readback=True,
    patient_stop=True,
    relay=True,
    supply_min_mv=None,
    supply_max_mv=None,
)

Fields = dict[str, Any]


def door(seen: dict[tuple[str, str], Seen] | None = None) -> Door:
    known = seen or {}
    return Door(
        topics=TOPICS,
        devices=frozenset({"dev1", "dev2", "dev3"}),
        principals=PRINCIPALS,
        proof=BrokerStamp(),
        seen=lambda principal, command_id: known.get((principal, command_id)),
    )


def fields(verb: str = "session.start", /, **changes: object) -> Fields:
    """A right command, changed."""
    return {
        "schema": "stim.command/1",
        "command_id": ID,
        "verb": verb,
        "site": "ward3",
        "device": "dev1",
        "issuer": "clinician-1",
        "issued_at": "2026-11-22T14:50:00.123Z",
        "expires_at": "2026-11-22T14:50:05.123Z",
        "body": {},
    } | changes


def arrival(
    content: Fields | bytes,
    topic: str | None = None,
    *,
    retained: bool = False,
    reply: str | None = None,
    correlation: bytes | None = None,
) -> Arrival:
    """A message as it arrives; where no topic is given, the one that belongs to it."""
    if topic is None:
        levels = content if isinstance(content, dict) else fields()
        topic = TOPICS.command(levels["device"], levels["issuer"], levels["verb"])
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Arrival(topic, payload, retained, reply, correlation)


def code_of(outcome: object) -> str:
    """The code of a refusal, else the kind of outcome."""
    return outcome.code if isinstance(outcome, Refusal) else type(outcome).__name__


def encoded(content: Fields) -> bytes:
    return json.dumps(content).encode()


def malformed() -> Iterator[tuple[str, bytes]]:
    """Payloads that are no commands, each with the code it gets."""
    right = json.dumps(fields("session.adjust", body={"channel": 1, "delta_ua": -1000})).encode()
    schema = "CMD.SCHEMA"
    raw = [b"", b" ", b"null", b"true", b"7", b'"x"', b"[]", b"{}", b"[" * 65, b'{"a":' * 40 + b"1" + b"}" * 40]
    raw += [
        b"\xff\xfe",
        b"\x00",
        b"\xef\xbb\xbf" + right,
        right + right,
        right + b",",
        b"PAUSE",
        b"eyJhbGciOiJub25lIn0.e30.",
    ]
    raw += [right[:length] for length in range(1, len(right), 7)]
    raw += [right.replace(b'"channel"', b'"channel": 1, "channel"'), right.replace(b"{", b'{"site":"ward3",', 1)]
    for number in (
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1.0",
        b"1e3",
        b"-0.5",
        b"9" * 5000,
        b"0x10",
        b"+1",
        b"01",
    ):
        raw.append(right.replace(b"-1000", number))
    yield from ((schema, payload) for payload in raw)
    for length in (MAX_BYTES + 1, 20_000, 60_000):
        yield "CMD.TOO_LARGE", right + b" " * (length - len(right))
    wrong: list[object] = [None, True, False, 0, 1, -1, [], {}, "", "\ud800", "x" * 65, 10**30]
    for name in ("schema", "command_id", "site", "device", "issuer", "issued_at", "expires_at"):
        yield from ((schema, encoded(fields() | {name: value})) for value in wrong)
        yield schema, encoded({key: value for key, value in fields().items() if key != name})
    strange: dict[str, list[object]] = {
        "verb": [None, True, 1, [], {}, "x" * 65, "\ud800"],
        "body": [None, True, 1, [], "", [{}]],
        "expect": [True, 1, [], "", {"boot": "b"}, {"state_version": -1}, {"state_version": True}, {"boot_id": ""}],
        "role": ["", 1, [], "Physio", "a b"],
        "nonce": [1, [], "x" * 65],
        "command_id": [ID.upper(), ID + "\n", ID.replace("-", ""), "0198c2a4-1111-4222-8333-444455556666"],
        "issued_at": [
            "2026-11-22",
            "2026-11-22T14:50:00",
            "2026-11-22T14:50:00+00:00",
            "2026-02-30T00:00:00Z",
            "2026-11-22T24:50:00Z",
        ],
        "schema": ["stim.command/2", "stim.answer/1"],
        "\ud800": [1],
        "sequence": [1],
    }
    for name, values in strange.items():
        yield from ((schema, encoded(fields() | {name: value})) for value in values)
    bodies: dict[str, list[Fields]] = {
        "session.start": [{"amplitude_ua": 1}],
        "session.prepare": [
            {},
            {"prescription_id": "rx-77", "patient_ref": "p"},
            {"prescription_id": "rx-77@0", "patient_ref": "p"},
            {"prescription_id": "../rx@1", "patient_ref": "p"},
            {"prescription_id": "rx-77@3", "patient_ref": "Ann Example"},
            {"prescription_id": "rx-77@3"},
            *(
                {"prescription_id": "rx-77@3", "patient_ref": "p"} | wrong
                for wrong in (
                    {"continues": 1},
                    {"pads": {}},
                    {"pads": [{"channel": 1}]},
                    {"pads": [{"channel": 0, "barcodes": ["b"]}]},
                    {"pads": [{"channel": 9, "barcodes": ["b"]}]},
                    {"pads": [{"channel": 1, "barcodes": []}]},
                    {"pads": [{"channel": 1, "barcodes": ["b"] * 5}]},
                    {"pads": [{"channel": 1, "barcodes": [""]}]},
                    {"pads": [{"channel": 1, "barcodes": ["a b"]}]},
                    {"pads": [{"channel": 1, "barcodes": ["x" * 65]}]},
                    {"pads": [{"channel": 1, "barcodes": ["b"]}] * 9},
                    {"played_ms": 5},
                )
            ),
        ],
        "impedance.check": [
            {"channels": channels} for channels in ([0], [9], [1, 1], ["1"], [1.5], [True], 1, None, [[1]])
        ],
        "session.adjust": [
            {"channel": 1},
            {"delta_ua": 1},
            {"channel": 0, "delta_ua": 1},
            {"channel": 9, "delta_ua": 1},
            {"channel": 1, "delta_ua": 0},
            {"channel": 1, "delta_ua": 200_001},
            {"channel": 1, "delta_ua": -200_001},
            {"channel": 1, "delta_ua": "1000"},
            {"channel": 1, "delta_ua": True},
            {"channel": 1, "delta_ma": 1},
            {"channel": 1, "delta_ua": 1, "unit": "mA"},
        ],
        "latch.clear": [
            {"latch_id": "l-204"},
            {"latch_id": 204, "reason": "x"},
            {"latch_id": "l-0", "reason": "x"},
            {"latch_id": "l-204", "reason": " "},
            {"latch_id": "l-204", "reason": "a\nb"},
            {"latch_id": "l-204", "reason": "x" * 201},
        ],
    }
    for verb, several in bodies.items():
        yield from ((schema, encoded(fields(verb, body=body))) for body in several)
    for verb in ("session.begin", "SESSION.START", "start", "", "session.start ", "device.claim/x"):
        yield "CMD.UNKNOWN_VERB", encoded(fields(verb))
