"""The native protocol's frames as docs/native-protocol.md lays them out, by struct, zlib and the `cobs` package."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from cobs import cobs

HELLO, ARM, DRIVE, FEED, STOP, PROBE, ASK, CUT, SELFTEST = range(1, 10)
IDENTITY, STATUS, PROBED, SELFTESTED, EVENT, NAK = 0x81, 0x82, 0x83, 0x84, 0x8E, 0x8F

U8, U16, U32, U64 = 0xFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF

# One character of struct a field, in the order of the specification; "*" is a list of rows preceded by its count.
ENVELOPE = {"channel": "B", "max_ua": "I", "max_width_us": "H", "min_period_us": "I", "max_charge_nc": "Q"}
TRAIN = {"channel": "B", "ua": "I", "width_us": "H", "gap_us": "H", "period_us": "I"}
CHANNEL = {
    "channel": "B",
    "flags": "B",
    "set_ua": "I",
    "set_width_us": "H",
    "set_gap_us": "H",
    "set_period_us": "I",
    "measured_ua": "I",
    "ohm": "I",
    "pulses": "I",
    "charge_nc": "Q",
    "clipped": "B",
    "imbalance": "B",
}
PERMIT = {"permit": "I", "grant": "I"}
PAYLOAD: dict[int, dict[str, str]] = {
    HELLO: {},
    ARM: {"permit": "I", "lifetime_ms": "I", "envelopes": "*"},
    DRIVE: {**PERMIT, "trains": "*"},
    FEED: PERMIT,
    STOP: {},
    PROBE: {**PERMIT, "channel": "B", "ua": "I", "width_us": "H"},
    ASK: {},
    CUT: {},
    SELFTEST: {},
    IDENTITY: {
        "protocol_major": "B",
        "protocol_minor": "B",
        "model": "16s",
        "serial": "16s",
        "firmware": "16s",
        "flags": "H",
        "channels": "B",
        "max_ua": "I",
        "step_ua": "I",
        "min_width_us": "H",
        "max_width_us": "H",
        "width_step_us": "H",
        "min_period_us": "I",
        "max_period_us": "I",
        "period_step_us": "H",
        "compliance_mv": "I",
        "dead_man_ms": "H",
        "accuracy_ppm": "I",
        "boot": "I",
    },
    STATUS: {
        "boot": "I",
        "uptime_ms": "I",
        "frames": "I",
        "errors": "I",
        "state": "B",
        "faults": "H",
        "button": "B",
        "supply_mv": "H",
        "permit": "I",
        "grant": "I",
        "fed_ago_ms": "H",
        "channels_status": "*",
    },
    PROBED: {"channel": "B", "ohm": "I", "measured_ua": "I", "flags": "B"},
    SELFTESTED: {"result": "B"},
    EVENT: {"kind": "B", "channel": "B", "faults": "H"},
    NAK: {"refused_type": "B", "code": "B"},
}
ROWS = {"envelopes": ENVELOPE, "trains": TRAIN, "channels_status": CHANNEL}


def pack(code: str, value: Any) -> bytes:  # noqa: ANN401 - an integer or a text
    """Bytes of one field, little endian; texts in ASCII, padded with zeros."""
    return struct.pack("<" + code, value.encode("ascii") if code.endswith("s") else value)


def pack_list(field: str, rows: list[dict[str, int]]) -> bytes:
    """The count byte (STATUS: and its reserved byte) and the rows."""
    count = struct.pack("<BB", len(rows), 0) if field == "channels_status" else struct.pack("<B", len(rows))
    return count + b"".join(pack(code, row.get(name, 0)) for row in rows for name, code in ROWS[field].items())


def payload(type_: int, **fields: Any) -> bytes:  # noqa: ANN401 - integers, texts, lists of rows
    """Bytes of a payload; the fields must be exactly those of the type."""
    layout = PAYLOAD[type_]
    if fields.keys() != layout.keys():
        raise ValueError(f"type {type_}: fields {sorted(fields.keys() ^ layout.keys())}")
    return b"".join(
        pack_list(name, fields[name]) if code == "*" else pack(code, fields[name]) for name, code in layout.items()
    )


def sealed(type_: int, seq: int, load: bytes) -> bytes:
    """The body of a frame: type, sequence number, payload, CRC-32."""
    head = struct.pack("<BB", type_, seq) + load
    return head + struct.pack("<I", zlib.crc32(head))


def stuffed(body: bytes) -> bytes:
    """A body on the wire."""
    return bytes(cobs.encode(body)) + b"\x00"


def frame(type_: int, seq: int, **fields: Any) -> bytes:  # noqa: ANN401 - integers, texts, lists of rows
    """A whole frame."""
    return stuffed(sealed(type_, seq, payload(type_, **fields)))


def envelope(channel: int, **other: int) -> dict[str, int]:
    """An envelope of 40 mA, 400 us, 40 Hz and 1 C."""
    usual = {"max_ua": 40_000, "max_width_us": 400, "min_period_us": 25_000, "max_charge_nc": 1_000_000_000}
    return {"channel": channel, **usual, **other}


def train(channel: int, **other: int) -> dict[str, int]:
    """A train of 20 mA, 300 us, 40 Hz."""
    return {"channel": channel, "ua": 20_000, "width_us": 300, "gap_us": 100, "period_us": 25_000, **other}


def block(channel: int, **other: int) -> dict[str, int]:
    """A channel block of STATUS: off unless told otherwise."""
    return {"channel": channel, **{name: 0 for name in CHANNEL if name != "channel"}, **other}


def largest(layout: dict[str, str], channel: int) -> dict[str, int]:
    """A row with every field at its greatest value, on one channel."""
    top = {"B": U8, "H": U16, "I": U32, "Q": U64}
    return {name: channel if name == "channel" else top[code] for name, code in layout.items()}
