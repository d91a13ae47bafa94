"""The tape of the serial line, read by no codec of ours, and the check that every energising frame had its permit.

Tape and journal tell time by the same clock: boot clock, the tape in us, the journal in ms.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cobs import cobs

from tests.golden.native.layout import ARM, DRIVE, FEED, PAYLOAD, PROBE, ROWS

ENERGISING = {ARM: "ARM", DRIVE: "DRIVE", FEED: "FEED", PROBE: "PROBE"}
LATE_MS = 200
"""What a lifetime may overhang its permit: it is worked out when the grant is given, and a grant lives so long."""


class Frame(NamedTuple):
    """A frame of the host: when it was sent, its type, its fields, its bytes."""

    at_us: int
    kind: int
    fields: dict[str, Any]
    data: bytes


def frames(tape: Iterable[dict[str, Any]]) -> list[Frame]:
    """Read what the host sent; what a stop has cut in half is no frame."""
    found, held = [], b""
    for chunk in tape:
        if chunk["direction"] == "to_device":
            *ended, held = (held + bytes.fromhex(chunk["hex"])).split(b"\0")
            found += [frame for piece in ended if (frame := read(chunk["at_us"], piece)) is not None]
    return found


def energising(tape: Iterable[dict[str, Any]]) -> list[Frame]:
    """Read the frames that let current flow, or go on flowing."""
    return [frame for frame in frames(tape) if frame.kind in ENERGISING]


def read(at_us: int, piece: bytes) -> Frame | None:
    """Read the bytes between two zeros."""
    try:
        body = cobs.decode(piece)
    except cobs.DecodeError:
        return None
    if len(body) < 6 or struct.unpack("<I", body[-4:])[0] != zlib.crc32(body[:-4]):
        return None
    return Frame(at_us, body[0], dict(fields(body[0], body[2:-4])), piece)


def fields(kind: int, load: bytes) -> Iterator[tuple[str, Any]]:
    """Read a payload field by field."""
    at = 0
    for name, code in PAYLOAD[kind].items():
        if code == "*":
            row = struct.Struct("<" + "".join(ROWS[name].values()))
            yield name, [dict(zip(ROWS[name], values, strict=True)) for values in row.iter_unpack(load[at + 1 :])]
        else:
            yield name, struct.unpack_from("<" + code, load, at)[0]
            at += struct.calcsize("<" + code)


def complaints(sent: Iterable[Frame], journal: Iterable[dict[str, Any]]) -> list[str]:
    """Say of each energising frame what is wrong with it: permit, age, envelope, end, grant, repetition."""
    permits = {row["body"]["permit"]["id"]: row for row in journal if row["kind"] == "permit"}
    found: list[str] = []
    greatest, known = 0, set()
    for number, frame in enumerate(sent):
        wrong = list(against(frame, permits.get(frame.fields["permit"])))
        if "grant" in frame.fields:
            wrong += ["its grant does not rise"] if frame.fields["grant"] <= greatest else []
            greatest = max(greatest, frame.fields["grant"])
        wrong += ["its bytes were sent before"] if frame.data in known else []
        known.add(frame.data)
        found += [f"{number} {ENERGISING[frame.kind]}: {text}" for text in wrong]
    return found


def against(frame: Frame, row: dict[str, Any] | None) -> Iterator[str]:
    """Hold a frame against the journal's row of the permit that it names."""
    if row is None:
        yield "nobody wrote down its permit"
        return
    permit = row["body"]["permit"]
    if frame.at_us < row["mono_ms"] * 1000:
        yield "it is older than its permit"
    if frame.at_us > permit["ends_mono_ms"] * 1000:
        yield "its permit has ended"
    if frame.at_us + frame.fields.get("lifetime_ms", 0) * 1000 > (permit["ends_mono_ms"] + LATE_MS) * 1000:
        yield "it lasts longer than its permit"
    envelopes = {envelope["channel"]: envelope for envelope in permit["envelopes"]}
    for asked in frame.fields.get("envelopes", []) + frame.fields.get("trains", []) + pulse(frame):
        yield from outside(asked, envelopes.get(asked["channel"]))


def pulse(frame: Frame) -> list[dict[str, Any]]:
    """Give a test pulse as a train; it has no period."""
    return [frame.fields] if frame.kind == PROBE else []


def outside(asked: dict[str, Any], envelope: dict[str, Any] | None) -> Iterator[str]:
    """Hold a train, or an envelope for the device, against the permit's envelope of that channel."""
    if envelope is None:
        yield f"channel {asked['channel']} is not in its permit"
        return
    for name in ("max_ua", "max_width_us", "max_charge_nc"):
        if asked.get(name, asked.get(name.removeprefix("max_"), 0)) > envelope[name]:
            yield f"its {name.removeprefix('max_')} lies outside its permit"
    if asked.get("min_period_us", asked.get("period_us", envelope["min_period_us"])) < envelope["min_period_us"]:
        yield "its period_us lies outside its permit"
