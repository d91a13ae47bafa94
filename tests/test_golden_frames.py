"""The golden frames on disk are what their generator makes, and they cover the whole protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden" / "native"

HOST_TYPES = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09}
DEVICE_TYPES = {0x81, 0x82, 0x83, 0x84, 0x8E, 0x8F}
FIXED_PAYLOAD = {
    0x01: 0,
    0x04: 8,
    0x05: 0,
    0x06: 15,
    0x07: 0,
    0x08: 0,
    0x09: 0,
    0x81: 91,
    0x83: 10,
    0x84: 1,
    0x8E: 4,
    0x8F: 2,
}


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((GOLDEN / name).read_text(encoding="ascii"))


def unstuffed(encoded: bytes) -> bytes:
    """COBS taken off, written out once more so that the third-party encoder is not its own judge."""
    body = bytearray()
    while encoded:
        code, encoded = encoded[0], encoded[1:]
        assert 1 <= code <= len(encoded) + 1
        block, encoded = encoded[: code - 1], encoded[code - 1 :]
        body += block
        if code < 255 and encoded:
            body.append(0)
    return bytes(body)


def block_codes(encoded: bytes) -> list[int]:
    """The COBS code bytes of a frame without its delimiter."""
    codes = []
    while encoded:
        codes.append(encoded[0])
        encoded = encoded[encoded[0] :]
    return codes


FRAMES: list[dict[str, Any]] = read("frames.json")
MALFORMED: dict[str, list[dict[str, Any]]] = read("malformed.json")


@pytest.mark.parametrize("name", ["frames.json", "malformed.json"])
def test_the_file_on_disk_is_what_the_generator_makes(name: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GOLDEN / "make.py"), str(tmp_path)], check=True)
    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_the_generator_knows_neither_codec() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.py"))
    assert [
        word for word in ("controller", "hil", "safety") if f"import {word}" in sources or f"from {word}" in sources
    ] == []


def test_every_type_of_both_directions_is_there() -> None:
    types = {way: {row["fields"]["type"] for row in FRAMES if row["direction"] == way} for way in ("host", "device")}
    assert types == {"host": HOST_TYPES, "device": DEVICE_TYPES}


def test_every_nak_code_event_kind_and_fault_bit_is_there() -> None:
    fields = [row["fields"] for row in FRAMES]
    assert {one["code"] for one in fields if one["type"] == 0x8F} == set(range(1, 11))
    assert {one["kind"] for one in fields if one["type"] == 0x8E} == set(range(1, 6))
    assert {one["faults"] for one in fields if one["type"] == 0x82} >= {1, 2, 4, 8, 16, 32, 63}
    assert {one["seq"] for one in fields} >= {0, 255}


def test_names_are_unique() -> None:
    for rows in (FRAMES, *MALFORMED.values()):
        names = [row["name"] for row in rows]
        assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row["name"])
def test_a_frame_has_the_parts_that_the_specification_names(row: dict[str, Any]) -> None:
    wire = bytes.fromhex(row["hex"])
    assert wire.index(0) == len(wire) - 1
    body = unstuffed(wire[:-1])
    fields = row["fields"]
    lists = {"envelopes": (9, 19), "trains": (9, 13), "channels_status": (34, 36)}
    length = next(
        (fixed + each * len(fields[name]) for name, (fixed, each) in lists.items() if name in fields),
        FIXED_PAYLOAD.get(fields["type"]),
    )
    assert (body[0], body[1], len(body) - 6) == (fields["type"], fields["seq"], length)
    assert len(body) <= 512
    assert int.from_bytes(body[-4:], "little") == zlib.crc32(body[:-4])


def test_the_smallest_frame_by_hand() -> None:
    # STOP, seq 15: the CRC-32 reckoned bit by bit; no zero in the body, so a single COBS block of 6 bytes.
    crc = 0xFFFF_FFFF
    for byte in (0x05, 0x0F):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB8_8320 if crc & 1 else 0)
    body = bytes([0x05, 0x0F]) + (crc ^ 0xFFFF_FFFF).to_bytes(4, "little")
    assert 0 not in body
    stop = next(row for row in FRAMES if row["name"] == "STOP")
    assert stop["hex"] == (b"\x07" + body + b"\x00").hex()


def test_a_full_cobs_block_occurs_among_the_good_frames() -> None:
    assert [row["name"] for row in FRAMES if 0xFF in block_codes(bytes.fromhex(row["hex"])[:-1])] == [
        "DRIVE: 38 trains, full COBS blocks, longest list",
        "STATUS: eight channels, greatest values",
    ]
    assert {row["name"] for row in MALFORMED["to_device"]} >= {
        "STOP of one full COBS block",
        "the same with an empty block behind it",
    }


@pytest.mark.parametrize("row", MALFORMED["to_device"], ids=lambda row: row["name"])
def test_what_is_counted_damaged_is_damaged(row: dict[str, Any]) -> None:
    chunks = [chunk for chunk in bytes.fromhex(row["hex"]).split(b"\x00") if chunk]
    sound = [chunk for chunk in chunks if is_sound(chunk)]
    assert (row["errors"], row["frames"]) == (len(chunks) - len(sound), len(sound))
    assert len(row["answers"]) == row["frames"]


def is_sound(chunk: bytes) -> bool:
    try:
        body = unstuffed(chunk)
    except AssertionError:
        return False
    return 6 <= len(body) <= 512 and int.from_bytes(body[-4:], "little") == zlib.crc32(body[:-4])


def test_every_nak_but_a_failed_self_test_is_provoked() -> None:
    codes = {answer["code"] for row in MALFORMED["to_device"] for answer in row["answers"] if "code" in answer}
    assert codes == {1, 2, 3, 4, 5, 6, 7, 9, 10}


def test_every_row_tells_the_device_afterwards() -> None:
    wanted = {"name", "before", "pressed", "hex", "answers", "errors", "frames", "state", "faults"}
    assert {key for row in MALFORMED["to_device"] for key in row} == wanted | {"min_channels"}
    assert all(wanted <= row.keys() for row in MALFORMED["to_device"])


def test_the_host_reports_damage_and_the_unknown() -> None:
    assert {report for row in MALFORMED["to_host"] for report in row["reports"]} == {"damaged", "unknown"}
