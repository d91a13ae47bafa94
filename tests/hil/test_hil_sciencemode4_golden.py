"""The codec of the emulated P24 against the golden frames, byte for byte and in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hil.devices import sciencemode4_words as words
from hil.devices.sciencemode4_frames import Frame, Receiver, encode
from hil.devices.sciencemode4_words import Ask, Command, Pattern, Point

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H16")]

GOLDEN = Path(__file__).parent.parent / "golden" / "sciencemode4"
FRAMES: list[dict[str, Any]] = json.loads((GOLDEN / "frames.json").read_text(encoding="ascii"))


def rows(direction: str | None = None) -> pytest.MarkDecorator:
    chosen = [row for row in FRAMES if direction in {None, row["direction"]}]
    return pytest.mark.parametrize("row", chosen, ids=[f"{row['row']}: {row['name']}" for row in chosen])


def pointed(pairs: list[list[int]]) -> tuple[Point, ...]:
    return tuple(Point(us, ua) for us, ua in pairs)


def request(command: int, fields: dict[str, Any]) -> words.Request:
    """What a host's row asks for."""
    match command:
        case 0:
            return words.LowInit(**fields)
        case 2:
            return words.LowPulse(fields["execute"], fields["channel"], pointed(fields["points"]))
        case 30:
            return words.MidInit(fields["stop_all"])
        case 32:
            return words.MidUpdate(
                tuple(
                    Pattern(one["channel"], one["ramp"], one["period_us"], pointed(one["points"]))
                    for one in fields["channels"]
                )
            )
        case 36:
            return words.CurrentData(fields["selection"])
        case _:
            return Ask(Command(command))


def answered(command: int, fields: dict[str, Any]) -> bytes:
    """The payload that the device makes for a row."""
    given = dict(fields)
    result = given.pop("result")
    match command:
        case 53:
            return words.Identity(given["device_id"]).id_answer()
        case 69:
            built = bytes.fromhex(given.pop("hash"))
            return words.Identity(**given, build_hash=built).version_answer()
        case 63:
            return words.status_answer(given["status"], given["high_voltage"])
        case 55:
            return words.battery_answer(**given)
        case 3:
            return words.pulse_answer(result, **given)
        case 37 if given["selection"] == 4:
            return words.current_data_answer(result, given["active"], given["errors"])
        case 37:
            return words.old_data_answer(given["selection"], is_running=given["running"], lifted=given["lifted"])
        case _:
            return bytes((result,))


def test_the_rows_are_those_of_the_reference():
    assert [row["row"] for row in FRAMES] == list(range(1, 33))
    assert {row["direction"] for row in FRAMES} == {"host", "device"}
    assert {row["source"] for row in FRAMES} == {"C", "P", "CP"}
    names = [row["name"] for row in FRAMES]
    # Five acknowledgements say no more than that all is well.
    assert len(set(names)) == len(names) - 4


@rows()
def test_a_frame_is_found_and_written(row: dict[str, Any]):
    whole = bytes.fromhex(row["hex"])
    (frame,) = Receiver().push(whole)
    assert isinstance(frame, Frame)
    assert frame[:2] == (row["number"], row["command"])
    assert encode(frame) == whole


@rows("host")
def test_a_request_is_read(row: dict[str, Any]):
    (frame,) = Receiver().push(bytes.fromhex(row["hex"]))
    assert isinstance(frame, Frame)
    assert words.parse(frame.command, frame.payload) == request(row["command"], row["fields"])


@rows("device")
def test_an_answer_is_written(row: dict[str, Any]):
    payload = answered(row["command"], row["fields"])
    assert encode(Frame(row["number"], row["command"], payload)).hex() == row["hex"]


def test_the_golden_frames_have_raw_delimiters_inside():
    """Without these rows a receiver that looks for the next 0F or F0 would pass."""
    inside = [bytes.fromhex(row["hex"])[1:-1] for row in FRAMES]
    assert sum(b"\x81\xf0" in one for one in inside) >= 1
    assert sum(b"\x81\x0f" in one or b"\x81\xf0" in one or b"\x81\x81" in one for one in inside) >= 1
