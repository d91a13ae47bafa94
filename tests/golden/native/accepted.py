"""Frames of every type in both directions: the rows of frames.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from layout import (
    ARM,
    ASK,
    CHANNEL,
    CUT,
    DRIVE,
    ENVELOPE,
    EVENT,
    FEED,
    HELLO,
    IDENTITY,
    NAK,
    PAYLOAD,
    PROBE,
    PROBED,
    SELFTEST,
    SELFTESTED,
    STATUS,
    STOP,
    TRAIN,
    U8,
    U16,
    U32,
    block,
    envelope,
    frame,
    largest,
    train,
)

RUNNING_BLOCK = {
    "flags": 0b1000,
    "set_ua": 20_000,
    "set_width_us": 300,
    "set_gap_us": 100,
    "set_period_us": 25_000,
    "measured_ua": 19_870,
    "ohm": 1_562,
    "pulses": 80,
    "charge_nc": 953_760,
}
QUIET = {
    "boot": 4,
    "uptime_ms": 61_250,
    "frames": 12,
    "errors": 0,
    "state": 0,
    "faults": 0,
    "button": 0,
    "supply_mv": 12_040,
    "permit": 0,
    "grant": 0,
    "fed_ago_ms": U16,
}
DEVICE = {
    "protocol_major": 1,
    "protocol_minor": 0,
    "model": "bench-2",
    "serial": "0001",
    "firmware": "1.0.0",
    "flags": 0b1111111,
    "channels": 2,
    "max_ua": 100_000,
    "step_ua": 500,
    "min_width_us": 50,
    "max_width_us": 500,
    "width_step_us": 10,
    "min_period_us": 8_334,
    "max_period_us": 1_000_000,
    "period_step_us": 1,
    "compliance_mv": 150_000,
    "dead_man_ms": 500,
    "accuracy_ppm": 20_000,
    "boot": 4,
}


def host_frames() -> Iterable[tuple[str, int, int, dict[str, Any]]]:
    """Every frame type of the host: name, type, seq, payload fields."""
    zeros = {"permit": 0x0100_0000, "grant": 0x0001_0000}
    yield "HELLO: first frame of a session", HELLO, 1, {}
    yield "HELLO: seq 0", HELLO, 0, {}
    yield "HELLO: seq 255", HELLO, 255, {}
    yield "ARM: one envelope", ARM, 5, {"permit": 7, "lifetime_ms": 60_000, "envelopes": [envelope(1)]}
    two = [envelope(1), envelope(2, max_ua=25_500, max_charge_nc=0x0123_4567_89AB_CDEF)]
    yield "ARM: two envelopes, charge beyond 32 bits", ARM, 6, {"permit": 8, "lifetime_ms": 1_800_000, "envelopes": two}
    eight = [largest(ENVELOPE, channel) for channel in range(1, 9)]
    yield "ARM: eight envelopes, greatest values", ARM, 254, {"permit": U32, "lifetime_ms": U32, "envelopes": eight}
    yield "DRIVE: one train", DRIVE, 8, {"permit": 7, "grant": 1, "trains": [train(1)]}
    yield "DRIVE: n = 0, everything off", DRIVE, 9, {"permit": 7, "grant": 2, "trains": []}
    pair = [train(1), train(2, ua=12_500, gap_us=0, period_us=28_572)]
    yield "DRIVE: two trains", DRIVE, 10, {"permit": 7, "grant": 3, "trains": pair}
    hollow = [train(1, ua=0x0001_0000, width_us=256, gap_us=0, period_us=0x0001_0000)]
    yield "DRIVE: zeros in the payload", DRIVE, 0, {**zeros, "trains": hollow}
    nothing = {**dict.fromkeys(TRAIN, 0), "channel": 1}
    yield "DRIVE: zero everywhere but the channel", DRIVE, 0, {"permit": 0, "grant": 0, "trains": [nothing]}
    full = [largest(TRAIN, channel) for channel in range(1, 9)]
    yield "DRIVE: eight trains, greatest values", DRIVE, 255, {"permit": U32, "grant": U32, "trains": full}
    # Of the frames of a host only a list longer than any device here takes has 254 bytes without a zero, a full block.
    wide = [largest(TRAIN, channel) for channel in range(1, 39)]
    yield "DRIVE: 38 trains, full COBS blocks, longest list", DRIVE, 11, {"permit": U32, "grant": U32, "trains": wide}
    yield "FEED: keep-alive", FEED, 12, {"permit": 7, "grant": 4}
    yield "FEED: zeros in the payload", FEED, 13, zeros
    yield "FEED: greatest values", FEED, 14, {"permit": U32, "grant": U32}
    yield "STOP", STOP, 15, {}
    yield "PROBE: test pulse", PROBE, 2, {"permit": 6, "grant": 1, "channel": 1, "ua": 1_000, "width_us": 300}
    yield "PROBE: largest pulse", PROBE, 3, {"permit": 6, "grant": 2, "channel": 8, "ua": 2_000, "width_us": 500}
    yield "ASK", ASK, 16, {}
    yield "CUT", CUT, 17, {}
    yield "SELFTEST", SELFTEST, 18, {}


def device_frames() -> Iterable[tuple[str, int, int, dict[str, Any]]]:
    """Every frame type of the device: name, type, seq, payload fields."""
    yield "IDENTITY: two channels", IDENTITY, 1, DEVICE
    texts: dict[str, Any] = {"model": "ABCDEFGHIJKLMNOP", "serial": "0123456789abcdef", "firmware": "release-10.20.30"}
    ends = {name: {"B": U8, "H": U16, "I": U32}[code] for name, code in PAYLOAD[IDENTITY].items() if code in "BHI"}
    texts |= {"protocol_major": 1, "protocol_minor": 0, "flags": 0b1111111, "channels": 8}
    yield "IDENTITY: texts of 16 bytes, greatest values", IDENTITY, 255, {**ends, **texts}
    empty = {"model": "", "serial": "", "firmware": "", "flags": 0, "channels": 1, "boot": 0}
    yield "IDENTITY: empty texts, nothing fitted", IDENTITY, 0, {**DEVICE, **empty}

    off = {**QUIET, "channels_status": [block(1), block(2)]}
    armed = {**QUIET, "state": 1, "permit": 7, "fed_ago_ms": 0, "channels_status": [block(1)]}
    running = {**QUIET, "state": 2, "permit": 7, "grant": 3, "fed_ago_ms": 47}
    on = block(1, **RUNNING_BLOCK)
    yield "STATUS: stopped, two channels", STATUS, 15, off
    yield "STATUS: armed, never driven", STATUS, 5, armed
    yield "STATUS: running, one channel on", STATUS, 8, {**running, "channels_status": [on, block(2)]}
    lost = block(1, **{**RUNNING_BLOCK, "flags": 0b1001, "measured_ua": 0, "ohm": U32})
    yield "STATUS: running, electrode open", STATUS, 9, {**running, "channels_status": [lost, block(2)]}
    clip = block(1, **{**RUNNING_BLOCK, "flags": 0b1100, "measured_ua": 11_200, "ohm": 13_392, "clipped": U8})
    yield "STATUS: running, clipped", STATUS, 10, {**running, "channels_status": [clip, block(2)]}
    uneven = block(1, **{**RUNNING_BLOCK, "imbalance": 21})
    yield "STATUS: running, the phases differ by 2.1 %", STATUS, 12, {**running, "channels_status": [uneven, block(2)]}
    short = block(1, **{**RUNNING_BLOCK, "flags": 0b1010, "ohm": 42})
    yield "STATUS: running, short", STATUS, 11, {**running, "channels_status": [short, block(2)]}
    yield "STATUS: cut", STATUS, 17, {**off, "state": 3}
    yield "STATUS: all fault bits, button held, 127 presses", STATUS, 18, {**off, "faults": 0b111111, "button": U8}
    for bit, name in enumerate(("DEAD_MAN", "PATIENT_STOP", "ENVELOPE", "ENVELOPE_END", "SUPPLY", "INTERNAL")):
        yield f"STATUS: fault {name}", STATUS, 20 + bit, {**off, "faults": 1 << bit}
    eight = [block(channel, **RUNNING_BLOCK) for channel in range(1, 9)]
    yield "STATUS: eight channels, longer than 254 bytes", STATUS, 30, {**running, "channels_status": eight}
    ends = {name: {"B": U8, "H": U16, "I": U32}[code] for name, code in PAYLOAD[STATUS].items() if code != "*"}
    full = [{**largest(CHANNEL, channel), "flags": 0b1111} for channel in range(1, 9)]
    yield (
        "STATUS: eight channels, greatest values",
        STATUS,
        255,
        {**ends, "state": 3, "faults": 0b111111, "channels_status": full},
    )
    yield "STATUS: seq 0, all fields zero", STATUS, 0, {**dict.fromkeys(QUIET, 0), "channels_status": [block(1)]}

    yield "PROBED: good contact", PROBED, 2, {"channel": 1, "ohm": 1_562, "measured_ua": 1_000, "flags": 0b1000}
    yield "PROBED: open", PROBED, 3, {"channel": 2, "ohm": U32, "measured_ua": 0, "flags": 0b1001}
    yield "PROBED: short", PROBED, 4, {"channel": 1, "ohm": 0, "measured_ua": 1_000, "flags": 0b1010}
    yield "SELFTESTED: passed", SELFTESTED, 18, {"result": 0}
    for bit, name in enumerate(("memory", "output stage", "relay", "measurement")):
        yield f"SELFTESTED: {name} failed", SELFTESTED, 19 + bit, {"result": 1 << bit}
    yield "SELFTESTED: all failed", SELFTESTED, 23, {"result": 0b1111}

    yield "EVENT: patient stop pressed", EVENT, 0, {"kind": 1, "channel": 0, "faults": 0b10}
    yield "EVENT: patient stop released", EVENT, 1, {"kind": 2, "channel": 0, "faults": 0b10}
    yield "EVENT: fault, dead man", EVENT, 2, {"kind": 3, "channel": 0, "faults": 0b1}
    yield "EVENT: fault, every bit", EVENT, 3, {"kind": 3, "channel": 0, "faults": 0b111111}
    yield "EVENT: booted", EVENT, 255, {"kind": 4, "channel": 0, "faults": 0}
    yield "EVENT: electrode, channel 1", EVENT, 4, {"kind": 5, "channel": 1, "faults": 0}
    yield "EVENT: electrode, channel 8", EVENT, 5, {"kind": 5, "channel": 8, "faults": 0}

    refused = {
        1: ("unknown type", 0x0A),
        2: ("wrong length", DRIVE),
        3: ("wrong state", FEED),
        4: ("wrong permit", DRIVE),
        5: ("outside the envelope", DRIVE),
        6: ("grant not greater", FEED),
        7: ("cut", ARM),
        8: ("self-test failed", ARM),
        9: ("patient stop pressed", ARM),
        10: ("channel list", DRIVE),
    }
    for code, (name, type_) in refused.items():
        yield f"NAK {code}: {name}", NAK, 100 + code, {"refused_type": type_, "code": code}


def frames() -> list[dict[str, Any]]:
    """The rows of frames.json."""
    return [
        {
            "name": name,
            "direction": direction,
            "fields": {"type": type_, "seq": seq, **fields},
            "hex": frame(type_, seq, **fields).hex(),
        }
        for direction, source in (("host", host_frames()), ("device", device_frames()))
        for name, type_, seq, fields in source
    ]
