"""Bytes of ScienceMode 2: golden frames, escapes, damage, and that no bytes whatever do harm."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from crccheck.crc import Crc8
from hypothesis import given
from hypothesis import strategies as st

from hil.devices import sciencemode2_words as words
from hil.devices.sciencemode2_frames import LONGEST_FRAME, Deframer, Frame, crc8, encode, stuff, unstuff
from tests.hil.host2 import (
    GET_MODE,
    INIT_LIST,
    SINGLE,
    START_LIST,
    STARTED,
    STOP_LIST,
    TRANSFER,
    Host,
    decoded,
    escaped,
    frame,
    list_data,
    row,
    signed,
    wrapped,
)

pytestmark = pytest.mark.hazard("H35")

GOLDEN = Path(__file__).parent.parent / "golden" / "sciencemode2"
FRAMES: list[dict[str, Any]] = json.loads((GOLDEN / "frames.json").read_text(encoding="ascii"))
VENDOR: list[dict[str, Any]] = json.loads((GOLDEN / "vendor.json").read_text(encoding="ascii"))


def named(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("golden", rows, ids=[golden["name"] for golden in rows])


def meant(fields: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """What the codec and the words make of a frame, under the names of the golden fields."""
    active = tuple(range(1, 1 + len(fields.get("pulses", []))))
    made: dict[str, Any] = {"number": frame.number, "command": frame.command}
    match frame.command:
        case words.Command.INIT_LIST:
            channels = words.read_channels(frame.data)
            made |= {"low_frequency_factor": channels.skips, "execution": 0, "active": list(channels.active)}
            made |= {"low_frequency": sorted(channels.rare)}
            made |= {"t2_us": channels.between_us, "t1_us": channels.every_us}
        case words.Command.START_LIST:
            pulses = words.read_pulses(frame.data, active).values()
            made["pulses"] = [
                {"mode": pulse.groups - 1, "width_us": pulse.width_us, "ma": pulse.ua // 1000} for pulse in pulses
            ]
        case words.Command.SINGLE_PULSE:
            channel, pulse = words.read_single(frame.data)
            made |= {"index": channel - 1, "width_us": pulse.width_us, "ma": pulse.ua // 1000}
        case words.Command.INIT_ACK:
            made["result"] = signed(frame.data[0])
        case _:
            assert frame.data == b""
    return made


@named([golden for golden in FRAMES + VENDOR if golden["direction"] == "host"])
def test_a_host_frame_is_read(golden: dict[str, Any]):
    deframer = Deframer()
    (frame,) = deframer.push(bytes.fromhex(golden["hex"]))
    assert frame.is_sound
    assert deframer.noise == 0
    assert meant(golden["fields"], frame) == golden["fields"]


@named([golden for golden in FRAMES if golden["direction"] == "device"])
def test_a_device_frame_is_written(golden: dict[str, Any]):
    number, command, *data = golden["fields"].values()
    assert encode(number, command, bytes(value & 255 for value in data)).hex() == golden["hex"]


def test_every_row_of_the_document_is_there():
    assert len({golden["hex"] for golden in FRAMES}) == len(FRAMES) == 23
    assert len({golden["hex"] for golden in VENDOR} - {golden["hex"] for golden in FRAMES}) == len(VENDOR) == 3
    assert {golden["direction"] for golden in FRAMES} == {"host", "device"}


@named(FRAMES + VENDOR)
def test_the_host_of_these_tests_agrees(golden: dict[str, Any]):
    data = bytes.fromhex(golden["hex"])
    (found,) = Deframer().push(data)
    if golden in FRAMES:
        assert frame(found.number, found.command, found.data) == data
        assert decoded(data) == [found[:3]]


# --- round trips ------------------------------------------------------------------------------------------------------

BYTES = st.integers(0, 255) | st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0x0A, 0xA5, 0x5A, 0xD4])
BODIES = st.lists(BYTES, min_size=2, max_size=31).map(bytes)


@given(st.binary(max_size=80))
def test_the_checksum_is_that_of_the_third_party(data: bytes):
    assert crc8(data) == Crc8.calc(data)


@given(BODIES)
def test_a_frame_comes_back_as_it_was_sent(body: bytes):
    number, command, data = body[0], body[1], body[2:]
    sent = encode(number, command, data)
    assert sent == frame(number, command, data)
    assert Deframer().push(sent) == [Frame(number, command, data)]
    assert decoded(sent) == [(number, command, data)]
    assert unstuff(stuff(body)) == body
    assert stuff(body) == escaped(body)


@given(BODIES, st.data())
def test_any_byte_may_be_escaped(body: bytes, data: st.DataObject):
    """The vendor's client escapes 55 and 0A, too; a receiver takes every escape."""
    must = {0xF0, 0x0F, 0x81}
    coded = b"".join(
        bytes((0x81, byte ^ 0x55)) if byte in must or data.draw(st.booleans()) else bytes((byte,)) for byte in body
    )
    assert Deframer().push(wrapped(coded)) == [Frame(body[0], body[1], body[2:])]


@pytest.mark.parametrize("figure", [0xA5, 0x5A, 0xD4])
def test_a_raw_delimiter_in_the_header_is_no_delimiter(figure: int):
    found = {}
    for number in range(256):
        for more in range(256):
            sent = frame(number, STOP_LIST, bytes((more,)))
            if sent[2] == figure ^ 0x55:
                found[sent[2]] = Deframer().push(sent) == [Frame(number, STOP_LIST, bytes((more,)))]
    assert found == {figure ^ 0x55: True}


def test_the_longest_frame_is_the_longest():
    longest, longer = frame(1, STOP_LIST, bytes(61)), frame(1, STOP_LIST, bytes(62))
    assert (len(longest), len(longer)) == (LONGEST_FRAME, LONGEST_FRAME + 1)
    assert Deframer().push(longest) == [Frame(1, STOP_LIST, bytes(61))]
    deframer = Deframer()
    assert deframer.push(longer) == []
    assert deframer.noise == len(longer)
    assert deframer.push(frame(2, GET_MODE)) == [Frame(2, GET_MODE, b"")]


# --- damage -----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=600) | st.lists(BYTES, max_size=300).map(bytes), st.lists(st.integers(0, 600), max_size=20))
def test_pieces_make_no_difference_and_memory_is_bounded(data: bytes, cuts: list[int]):
    whole, pieces, bytewise = Deframer(), Deframer(), Deframer()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    expected = whole.push(data)
    assert [found for low, high in pairwise(edges) for found in pieces.push(data[low:high])] == expected
    for byte in data:
        found = bytewise.push(bytes((byte,)))
        assert found == expected[: len(found)]
        expected = expected[len(found) :]
        assert len(bytewise._held) < LONGEST_FRAME
    assert expected == []
    assert whole.noise == pieces.noise == bytewise.noise <= len(data)


@given(st.lists(st.sampled_from([frame(7, GET_MODE), frame(8, START_LIST, row(85))]) | st.binary(max_size=40)))
def test_every_byte_is_in_a_frame_in_hand_or_noise(parts: list[bytes]):
    data = b"".join(parts)
    deframer = Deframer()
    frames = deframer.push(data)
    # A frame that was found has at least five bytes of header, two of body and its stop byte.
    assert 8 * len(frames) <= len(data) - deframer.noise - len(deframer._held) <= LONGEST_FRAME * len(frames)


@given(st.binary(max_size=200))
def test_a_frame_behind_any_noise_is_found_at_the_second_try(noise: bytes):
    deframer = Deframer()
    deframer.push(noise)
    # An escape at the end of the noise may take the start byte of the first frame with it.
    found = deframer.push(frame(7, GET_MODE) + frame(8, GET_MODE))
    assert found[-1] == Frame(8, GET_MODE, b"")


@pytest.mark.parametrize(
    "cut",
    ["f00f", "f0810f", "f08147815600010f", "f0814781560f", "f0f00f", "f047815600010f0f", "f0814700560001010f"],
)
def test_what_is_no_frame_is_counted_as_noise(cut: str):
    deframer = Deframer()
    data = bytes.fromhex(cut)
    assert [found for found in deframer.push(data) if found.is_sound] == []
    assert deframer.push(frame(7, GET_MODE))[-1] == Frame(7, GET_MODE, b"")


def test_a_start_byte_begins_anew():
    deframer = Deframer()
    half = frame(7, GET_MODE)[:-1]
    assert deframer.push(half + half + frame(8, GET_MODE)) == [Frame(8, GET_MODE, b"")]
    assert deframer.noise == 2 * len(half)


def test_a_start_byte_that_was_taken_for_escaped_is_found_when_the_frame_gets_too_long():
    deframer = Deframer()
    junk = b"\xf0" + bytes(64) + b"\x81"
    assert deframer.push(junk + frame(9, STOP_LIST, bytes(10))) == [Frame(9, STOP_LIST, bytes(10))]
    assert deframer.noise == len(junk)


DRIVEN = frame(3, START_LIST, row(85, 240) + row(15, 300, 1))


@pytest.mark.hazard("H16")
@pytest.mark.parametrize("at", range(len(DRIVEN)))
def test_no_single_bit_of_a_start_can_be_turned_unseen(at: int):
    for bit in range(8):
        host = Host()
        host.ask(INIT_LIST, list_data(1, 2, t2=9))
        spoiled = bytearray(DRIVEN)
        spoiled[at] ^= 1 << bit
        answers = host.send(bytes(spoiled))
        # A frame whose end is gone waits for another one's.
        answers += host.send(b"\x0f" * 2)
        host.wait(50_000)
        assert host.mode() != STARTED
        assert host.pulses(1) == host.pulses(2) == []
        assert all(signed(heard.data[0]) == TRANSFER for heard in answers if heard.command == START_LIST + 1)


@pytest.mark.hazard("H16")
@pytest.mark.parametrize("command", [GET_MODE, INIT_LIST, START_LIST, STOP_LIST, SINGLE])
@pytest.mark.parametrize("at", [2, 4], ids=["checksum", "length"])
def test_a_damaged_command_is_told_and_not_obeyed(command: int, at: int):
    host = Host()
    host.run()
    spoiled = bytearray(frame(77, command, row() if command == START_LIST else b""))
    spoiled[at] ^= 0x04
    (answer,) = host.send(bytes(spoiled))
    assert (answer.number, answer.command, signed(answer.data[0]), len(answer.data)) == (77, command + 1, TRANSFER, 1)
    assert host.mode() == STARTED


def test_a_damaged_frame_that_asks_for_nothing_gets_nothing():
    host = Host()
    for command in (1, 2, 3, 4, 5, 11, 31, 38, 0x5F, 90, 255):
        spoiled = bytearray(frame(77, command))
        spoiled[2] ^= 0x04
        assert host.send(bytes(spoiled)) == []


def soiled(data: bytes) -> st.SearchStrategy[bytes]:
    """Real frames among junk, so that the device's deeper rooms are reached, too."""
    return st.lists(st.sampled_from([data]) | st.binary(max_size=40), max_size=12).map(b"".join)


SESSION = frame(2, INIT_LIST, list_data(1, 5)) + frame(3, START_LIST, row() + row(15)) + frame(4, GET_MODE)


@given(soiled(SESSION), st.integers(0, 2_000_000))
def test_no_bytes_ever_raise_and_bytewise_equals_whole(data: bytes, later_us: int):
    whole, bytewise = Host(), Host()
    said = whole.bench.receive(data, whole.now_us)
    assert b"".join(bytewise.bench.receive(bytes((byte,)), bytewise.now_us) for byte in data) == said
    decoded(said)
    whole.jump(later_us)
    bytewise.wait(later_us)
    assert whole.bench.device.inside(whole.now_us) == bytewise.bench.device.inside(bytewise.now_us)
    for channel in range(1, 9):
        assert whole.pulses(channel) == bytewise.pulses(channel)


@given(st.lists(st.tuples(BYTES, BYTES, st.binary(max_size=20)), min_size=1, max_size=8))
def test_every_sound_frame_has_one_answer_with_its_number(frames: list[tuple[int, int, bytes]]):
    host = Host()
    for number, command, data in frames:
        answers = host.send(frame(number, command, data))
        if command in {2, 4}:
            assert answers == []
            continue
        (answer,) = answers
        assert answer.number == number
        asks = {GET_MODE, INIT_LIST, START_LIST, STOP_LIST, SINGLE}
        assert (answer.command, answer.data) == (3, bytes((command,))) or command in asks
        assert answer.command == command + 1 or command not in asks
