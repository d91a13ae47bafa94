"""A tape in a file is the tape, to the byte; a file that is none is refused with a code and its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.tape import Chunk, agreed
from hil.tape_file import BadTape, Head, SerialTape, Writer, kind_of, read, write
from tests.hil.sessions import SESSIONS, golden, taped

pytestmark = pytest.mark.hazard("H35")

HEAD = Head(device="native", baud=115_200, seed=3, origin="emulated")
FIRST = (
    '{"format":"stimwarden-tape","version":1,"kind":"serial",'
    '"device":"native","baud":115200,"seed":3,"origin":"emulated"}'
)
CHUNKS = [Chunk(0, "to_host", b"\x00\xff"), Chunk(7, "to_device", b"\x0a\x0d"), Chunk(7, "to_host", b"\x80")]
LINES = [
    FIRST,
    '{"at_us":0,"direction":"to_host","hex":"00ff"}',
    '{"at_us":7,"direction":"to_device","hex":"0a0d"}',
    '{"at_us":7,"direction":"to_host","hex":"80"}',
]


def test_a_file_line_by_line(tmp_path: Path):
    write(tmp_path / "tape", HEAD, CHUNKS)
    assert (tmp_path / "tape").read_text(encoding="ascii") == "".join(f"{line}\n" for line in LINES)
    assert read(tmp_path / "tape") == SerialTape(HEAD, CHUNKS)
    assert kind_of(tmp_path / "tape") == "serial"


@given(
    times=st.lists(st.integers(0, 2**50), max_size=20).map(sorted),
    data=st.data(),
    head=st.builds(
        Head,
        device=st.none() | st.sampled_from(list(SESSIONS)),
        baud=st.none() | st.integers(1, 10**7),
        seed=st.none() | st.integers(0, 2**64),
        origin=st.sampled_from(["emulated", "real"]),
    ),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], data: st.DataObject, head: Head
):
    chunk = st.builds(Chunk, st.just(0), st.sampled_from(["to_host", "to_device"]), st.binary(min_size=1, max_size=40))
    chunks = [data.draw(chunk)._replace(at_us=at_us) for at_us in times]
    path = tmp_path_factory.mktemp("tape") / "tape"
    write(path, head, chunks)
    assert read(path) == SerialTape(head, chunks)


def test_each_chunk_is_in_the_file_when_it_has_happened(tmp_path: Path):
    with Writer(tmp_path / "tape", HEAD) as writer:
        assert read(tmp_path / "tape").chunks == []
        for number, chunk in enumerate(CHUNKS, 1):
            writer.note(chunk)
            assert read(tmp_path / "tape").chunks == CHUNKS[:number]


def test_a_tape_is_never_written_over(tmp_path: Path):
    (tmp_path / "tape").write_text("mine", encoding="ascii")
    with pytest.raises(FileExistsError):
        Writer(tmp_path / "tape", HEAD)
    assert (tmp_path / "tape").read_text(encoding="ascii") == "mine"


BAD: list[tuple[str, bytes, int, str, str]] = [
    ("empty", b"", 1, "no_tape", "expected a JSON object with format='stimwarden-tape'"),
    ("a picture", b"\x89PNG\n\xff\n", 1, "no_tape", "expected a JSON object"),
    ("another list", b"[]\n", 1, "no_tape", "expected a JSON object"),
    ("deep", b"[" * 100_000 + b"\n", 1, "no_tape", "expected a JSON object"),
    ("another format", FIRST.replace("stimwarden-tape", "tape").encode() + b"\n", 1, "no_tape", "expected a JSON"),
    (
        "a newer one",
        FIRST.replace('"version":1', '"version":2').encode() + b"\n",
        1,
        "version",
        "version=2: expected 1",
    ),
    ("another kind", FIRST.replace("serial", "simulation").encode() + b"\n", 1, "kind", "kind='simulation': expected"),
    ("no baud", FIRST.replace('"baud":115200,', "").encode() + b"\n", 1, "head", "baud: Field required"),
    ("baud 0", FIRST.replace("115200", "0").encode() + b"\n", 1, "head", "baud: Input should be greater than 0"),
    ("origin", FIRST.replace("emulated", "dreamt").encode() + b"\n", 1, "head", "origin: Input should be 'emulated'"),
    ("more", FIRST.replace("{", '{"x":1,').encode() + b"\n", 1, "head", "x: Extra inputs"),
    ("no end", FIRST.encode(), 1, "cut", "expected an end of line"),
]
BAD_LINES = [
    ("nothing", "", "chunk", "Invalid JSON"),
    ("a number", "1", "chunk", "Input should be an object"),
    ("half", LINES[1][:-1], "chunk", "Invalid JSON"),
    ("time as text", LINES[3].replace("7", '"7"'), "chunk", "at_us: Input should be a valid integer"),
    ("time below zero", LINES[3].replace("7", "-7"), "chunk", "at_us: Input should be greater than or equal to 0"),
    ("direction", LINES[3].replace("to_host", "up"), "chunk", "direction: Input should be 'to_device' or 'to_host'"),
    ("no bytes", LINES[3].replace("80", ""), "chunk", "hex: String should match"),
    ("half a byte", LINES[3].replace("80", "8"), "chunk", "hex: String should match"),
    ("capitals", LINES[3].replace("80", "AF"), "chunk", "hex: String should match"),
    ("a line break in it", LINES[3].replace("80", "80\\n"), "chunk", "hex: String should match"),
    ("no ASCII", LINES[3].replace("80", "8é"), "chunk", "hex: String should match"),
    ("more", LINES[3].replace("}", ',"x":1}'), "chunk", "x: Extra inputs"),
    ("back in time", LINES[3].replace("7", "6"), "order", "at_us=6: expected at least 7"),
]
BAD += [
    (name, "".join(f"{each}\n" for each in [*LINES[:3], line, LINES[3]]).encode(), 4, code, text)
    for name, line, code, text in BAD_LINES
]
BAD.append(("the recorder was killed", "\n".join(LINES)[:-9].encode(), 4, "cut", "expected an end of line"))


@pytest.mark.parametrize(("data", "line", "code", "text"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_tape(tmp_path: Path, data: bytes, line: int, code: str, text: str):
    path = tmp_path / "tape"
    path.write_bytes(data)
    with pytest.raises(BadTape) as caught:
        read(path)
    assert (caught.value.line, caught.value.code) == (line, code)
    assert str(caught.value).startswith(f"{path}:{line}: {code}: {text}")


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_tape_by_accident(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    path = tmp_path_factory.mktemp("tape") / "tape"
    path.write_bytes(data)
    with pytest.raises(BadTape) as caught:
        read(path)
    assert caught.value.code in {"no_tape", "cut"}


def test_a_tape_of_another_kind_is_known_by_its_head(tmp_path: Path):
    head = {"format": "stimwarden-tape", "version": 1, "kind": "simulation", "whatever": [1, 2]}
    (tmp_path / "tape").write_text(json.dumps(head) + "\nanything\n", encoding="ascii")
    assert kind_of(tmp_path / "tape") == "simulation"


@pytest.mark.parametrize(
    ("one", "other", "same"), [(b"", b"", 0), (b"abc", b"abc", 3), (b"abc", b"ab", 2), (b"abc", b"axc", 1)]
)
def test_how_many_bytes_agree(one: bytes, other: bytes, same: int):
    assert agreed(one, other) == agreed(other, one) == same


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_session_is_what_its_golden_tape_says(kind: str):
    assert read(golden(kind)) == taped(kind)
