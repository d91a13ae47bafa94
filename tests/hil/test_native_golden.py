"""The device's codec and its behaviour against the golden frames, which were made from the specification alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.devices import native_words as words
from hil.devices.native import native
from hil.devices.native_frames import Body, Deframer, encode, parse
from hil.devices.output import Train
from tests.hil.host import ASK, EVENT, PLAIN, START_US, decoded, frame

pytestmark = pytest.mark.hazard("H35")

GOLDEN = Path(__file__).parent.parent / "golden" / "native"
FRAMES: list[dict[str, Any]] = json.loads((GOLDEN / "frames.json").read_text(encoding="ascii"))
MALFORMED: list[dict[str, Any]] = json.loads((GOLDEN / "malformed.json").read_text(encoding="ascii"))["to_device"]
BARE: dict[int, words.Request] = {
    0x01: words.Hello(),
    0x05: words.Stop(),
    0x07: words.Ask(),
    0x08: words.Cut(),
    0x09: words.SelfTest(),
}
REPLIES: dict[int, Callable[..., words.Reply]] = {
    0x81: words.Identity,
    0x83: words.Probed,
    0x84: words.SelfTested,
    0x8E: words.Event,
    0x8F: words.Nak,
}


def named(direction: str) -> pytest.MarkDecorator:
    rows = [row for row in FRAMES if row["direction"] == direction]
    return pytest.mark.parametrize("row", rows, ids=[row["name"] for row in rows])


def request(fields: dict[str, Any]) -> words.Request:
    kind = fields.pop("type")
    if kind == 0x02:
        envelopes = tuple(words.Envelope(**one) for one in fields.pop("envelopes"))
        return words.Arm(**fields, envelopes=envelopes)
    if kind == 0x03:
        trains = tuple(Train(**one) for one in fields.pop("trains"))
        return words.Drive(**fields, trains=trains)
    if kind == 0x04:
        return words.Feed(**fields)
    return words.Probe(**fields) if kind == 0x06 else BARE[kind]


def reply(fields: dict[str, Any]) -> words.Reply:
    kind = fields.pop("type")
    if kind == 0x82:
        blocks = tuple(words.Block(**one) for one in fields.pop("channels_status"))
        return words.Status(**fields, channels=blocks)
    return REPLIES[kind](**fields)


@named("host")
def test_a_host_frame_is_read(row: dict[str, Any]):
    fields = dict(row["fields"])
    (body,) = Deframer().push(bytes.fromhex(row["hex"]))
    assert body is not None
    assert (body.type, body.seq) == (fields["type"], fields.pop("seq"))
    assert parse(body.type, body.payload) == request(fields)


@named("device")
def test_a_device_frame_is_written(row: dict[str, Any]):
    fields = dict(row["fields"])
    seq = fields.pop("seq")
    assert encode(reply(fields), seq).hex() == row["hex"]


def test_both_directions_are_there():
    assert {row["direction"] for row in FRAMES} == {"host", "device"}
    assert len(FRAMES) > 50
    assert len(MALFORMED) > 80


def sent(bench: Bench, data: bytes) -> list[dict[str, Any]]:
    return [one for one in decoded(bench.receive(data, START_US)) if one["type"] != EVENT]


@pytest.mark.parametrize("in_bytes", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("row", MALFORMED, ids=[row["name"] for row in MALFORMED])
def test_what_every_malformed_frame_gets(row: dict[str, Any], *, in_bytes: bool):
    bench = Bench(native(words.Identity()), [PLAIN, PLAIN], START_US)
    for one in row["before"]:
        sent(bench, bytes.fromhex(one))
    if row["pressed"]:
        bench.device.model.press(START_US)
    before = sent(bench, frame(ASK, 200))[0]
    data = bytes.fromhex(row["hex"])
    pieces = [bytes((byte,)) for byte in data] if in_bytes else [data]
    answers = [one for piece in pieces for one in sent(bench, piece)]
    after = sent(bench, frame(ASK, 201))[0]

    assert len(answers) == len(row["answers"])
    for answer, expected in zip(answers, row["answers"], strict=True):
        if answer["type"] == 0x8F:
            answer["refused_type"] = answer.pop("refused")
        assert answer | expected == answer
    assert after["errors"] - before["errors"] == row["errors"]
    # The second ASK counts itself.
    assert after["frames"] - before["frames"] - 1 == row["frames"]
    assert (after["state"], after["faults"]) == (row["state"], row["faults"])


def test_a_body_is_what_the_frame_says():
    assert Deframer().push(frame(0x04, 12, b"abcdefgh")) == [Body(0x04, 12, b"abcdefgh")]


def test_the_fields_of_the_specification_are_those_of_the_words():
    blocks = [row for row in FRAMES if row["fields"]["type"] == 0x82]
    assert set(blocks[0]["fields"]["channels_status"][0]) == set(words.Block._fields)
    identities = [row for row in FRAMES if row["fields"]["type"] == 0x81]
    assert set(identities[0]["fields"]) == {"type", "seq", *asdict(replace(words.Identity()))}
