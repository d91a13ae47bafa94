"""Where two tapes part is told by its byte, its time and the name of its frame; what agrees is not told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.devices.sciencemode2_words import Command as Command2
from hil.devices.sciencemode4_words import Command as Command4
from hil.frame_names import NATIVE, SPEECH, units
from hil.tape import Chunk
from hil.tape_diff import Difference, differences
from hil.tape_file import SerialTape, write
from tests.hil.host import FEED, frame
from tests.hil.process import said
from tests.hil.sessions import SESSIONS, golden, taped

pytestmark = pytest.mark.hazard("H35")

NAMES = {
    "native": {
        "to_device": ["HELLO", "SELFTEST", "PROBE", "ARM", "DRIVE", *["FEED"] * 6, "ASK", "STOP", "CUT"],
        "to_host": ["EVENT", "IDENTITY", "SELFTESTED", "PROBED", *["STATUS"] * 11],
    },
    "sciencemode4": {
        "to_device": [
            "DEVICE_ID", "VERSION", "LOW_INIT", "LOW_PULSE", "LOW_STOP", "MID_INIT", "MID_UPDATE", "CURRENT_DATA",
            "STATUS", "MID_STOP",
        ],
        "to_host": [
            "DEVICE_ID answer", "VERSION answer", "LOW_INIT answer", "LOW_PULSE answer", "LOW_STOP answer",
            "MID_INIT answer", "MID_UPDATE answer", "CURRENT_DATA answer", "STATUS answer", "MID_STOP answer",
        ],
    },
    "sciencemode2": {
        "to_device": ["INIT_ACK", "INIT_LIST", "START_LIST", "WATCHDOG", "GET_MODE", "STOP_LIST", "SINGLE_PULSE"],
        "to_host": [
            "INIT", "INIT_LIST answer", "START_LIST answer", "GET_MODE answer", "STOP_LIST answer",
            "SINGLE_PULSE answer",
        ],
    },
}  # fmt: skip


@pytest.fixture(params=SESSIONS)
def tape(request: pytest.FixtureRequest) -> SerialTape:
    return taped(request.param)


def changed(tape: SerialTape, at: int, change: Callable[[Chunk], Chunk]) -> SerialTape:
    """The tape with another chunk in its place."""
    chunks = list(tape.chunks)
    chunks[at] = change(chunks[at])
    return tape._replace(chunks=chunks)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SESSIONS)
def test_frames_have_their_names(kind: str):
    for direction in ("to_device", "to_host"):
        found = units(taped(kind).chunks, direction, kind)
        assert [unit.name for unit in found] == NAMES[kind][direction]
        assert [unit.offset for unit in found] == [
            sum(len(unit.data) for unit in found[:at]) for at in range(len(found))
        ]


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 9), min_size=1), kind=st.sampled_from(list(SESSIONS)))
def test_frames_are_the_same_whatever_the_pieces(sizes: list[int], kind: str):
    data = b"".join(chunk.data for chunk in taped(kind).chunks if chunk.direction == "to_host")
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(Chunk(len(pieces), "to_host", data[at : at + size]))
        at += size
    whole = units(taped(kind).chunks, "to_host", kind)
    assert [unit.data for unit in units(pieces, "to_host", kind)] == [unit.data for unit in whole]


def test_what_is_between_frames_and_what_is_damaged():
    good = frame(FEED, 1, bytes(8))
    bad = bytes((good[0] ^ 0x40,)) + good[1:]
    chunks = [Chunk(1, "to_device", b"\x00\x00" + good), Chunk(2, "to_device", bad + good[:3])]
    found = [(unit.at_us, unit.offset, unit.name, unit.data) for unit in units(chunks, "to_device", "native")]
    length = len(good)
    assert found == [
        (1, 0, "bytes", b"\x00\x00"),
        (1, 2, "FEED", good),
        (2, 2 + length, "damaged", bad),
        (2, 2 + 2 * length, "bytes", good[:3]),
    ]


def test_without_a_kind_the_units_are_the_chunks():
    chunks = taped("native").chunks
    found = units(chunks, "to_host", None)
    assert [(unit.at_us, unit.data) for unit in found] == [
        (chunk.at_us, chunk.data) for chunk in chunks if chunk.direction == "to_host"
    ]
    assert {unit.name for unit in found} == {"bytes"}


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        ("native", frame(0x77, 1), "type 0x77"),
        ("native", b"\x05a\x00", "damaged"),
        ("sciencemode4", b"\xf0\x0f", "damaged"),
        ("sciencemode2", b"\xf0\x0f", "damaged"),
    ],
)
def test_frames_that_nobody_knows(kind: str, data: bytes, name: str):
    assert SPEECH[kind].name(data) == name


def test_every_frame_of_a_protocol_has_a_name():
    assert len(NATIVE) == 15
    assert {command.name for command in Command4} >= set(NAMES["sciencemode4"]["to_device"])
    assert {command.name for command in Command2} >= set(NAMES["sciencemode2"]["to_device"])


# --- differences ------------------------------------------------------------------------------------------------------


def test_a_tape_agrees_with_itself_wherever_it_begins(tape: SerialTape):
    later = tape._replace(chunks=[chunk._replace(at_us=chunk.at_us + 12_345) for chunk in tape.chunks])
    assert differences(tape, tape, 0) == differences(tape, later, 0) == differences(later, tape, 0) == []


def test_a_byte_that_is_another(tape: SerialTape):
    for at, chunk in enumerate(tape.chunks):
        other = changed(
            tape, at, lambda old: old._replace(data=old.data[:-2] + bytes((old.data[-2] ^ 1,)) + old.data[-1:])
        )
        before = sum(len(each.data) for each in tape.chunks[:at] if each.direction == chunk.direction)
        first = differences(tape, other, 0)[0]
        assert (first.direction, first.offset) == (chunk.direction, before + len(chunk.data) - 2)
        assert first.at_us == chunk.at_us - tape.chunks[0].at_us


def test_a_frame_that_is_missing_or_too_much(tape: SerialTape):
    at = len(tape.chunks) // 2
    gone = tape.chunks[at]
    shorter = tape._replace(chunks=[*tape.chunks[:at], *tape.chunks[at + 1 :]])
    (missing,) = differences(tape, shorter, 0)
    (extra,) = differences(shorter, tape, 0)
    assert missing.one is not None
    assert missing.one.data == gone.data
    assert (missing.other, extra.one, extra.other) == (None, None, missing.one)
    assert missing.text == f"- {extra.text[2:]}"


@pytest.mark.parametrize(("tolerance_us", "seen"), [(0, True), (1_999, True), (2_000, False)])
@pytest.mark.parametrize("apart_us", [2_000, -2_000])
def test_times_differ_by_more_than_the_tolerance(tolerance_us: int, apart_us: int, *, seen: bool):
    tape = taped("native")
    at = len(tape.chunks) - 3
    other = changed(tape, at, lambda old: old._replace(at_us=old.at_us + apart_us))
    found = differences(tape, other, tolerance_us)
    assert [parted.text.splitlines()[1] for parted in found] == (
        [f"  2.000 ms {'later' if apart_us > 0 else 'earlier'}"] if seen else []
    )


def test_pieces_differ_and_the_frames_do_not(tape: SerialTape):
    pieces = [chunk._replace(data=data) for chunk in tape.chunks for data in (chunk.data[:2], chunk.data[2:]) if data]
    assert differences(tape, tape._replace(chunks=pieces), 0) == []
    # Of a device that nobody named, only the pieces are known.
    nameless = tape._replace(head=tape.head.model_copy(update={"device": None}), chunks=pieces)
    assert differences(tape, nameless, 0) != []


@pytest.mark.parametrize("chunks", [[], [Chunk(5, "to_host", b"\x02a\x00")]])
def test_tapes_of_nothing(chunks: list[Chunk]):
    nothing = taped("native")._replace(chunks=[])
    found = differences(nothing, nothing._replace(chunks=chunks), 0)
    assert [(parted.at_us, parted.one) for parted in found] == [(0, None)] * len(chunks)


def test_differences_come_in_the_order_of_time():
    tape = taped("native")
    other = tape._replace(chunks=[chunk._replace(data=chunk.data[:-2] + b"\x7f\x00") for chunk in tape.chunks])
    found = differences(tape, other, 0)
    assert len(found) == len(tape.chunks)
    assert [parted.at_us for parted in found] == sorted(parted.at_us for parted in found)


def test_a_long_frame_is_shown_by_its_beginning():
    tape = taped("native")
    (parted,) = differences(tape, tape._replace(chunks=tape.chunks[:-1]), 0)
    assert isinstance(parted, Difference)
    data = tape.chunks[-1].data
    assert parted.text.endswith(f"to_host    STATUS           {data[:24].hex()}... ({len(data)} bytes)")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path):
    tape = taped("native")
    assert said("diff", str(golden("native")), str(golden("native"))) == (0, "", "")
    late = changed(tape, -3, lambda old: old._replace(at_us=old.at_us + 300))
    write(tmp_path / "late", tape.head, late.chunks[:-2])
    code, out, errors = said("diff", str(golden("native")), str(tmp_path / "late"), "--limit", "2")
    assert (code, errors) == (1, "")
    *_, stopped, cut, _ = tape.chunks
    before = sum(len(chunk.data) for chunk in tape.chunks[:-2] if chunk.direction == "to_device")
    assert out.splitlines() == [
        f"first difference: to_device byte {before} at 600.000 ms",
        f"-      600.000 ms  to_device  CUT              {cut.data.hex()}",
        f"~      600.000 ms  to_host    STATUS           {stopped.data[:24].hex()}... ({len(stopped.data)} bytes)",
        "  0.300 ms later",
        "and 1 more",
    ]


def test_the_command_takes_a_tolerance_and_refuses_what_is_no_tape(tmp_path: Path):
    tape = taped("sciencemode4")
    write(tmp_path / "late", tape.head, changed(tape, -1, lambda old: old._replace(at_us=old.at_us + 300)).chunks)
    both = (str(golden("sciencemode4")), str(tmp_path / "late"))
    assert said("diff", *both)[0] == 1
    assert said("diff", *both, "--tolerance-ms", "0.3") == (0, "", "")
    (tmp_path / "none").write_text("{}\n", encoding="ascii")
    code, out, errors = said("diff", both[0], str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "none:1: no_tape: expected a JSON object" in errors
    assert said("diff", both[0], str(tmp_path / "nowhere"))[0] == 2
