"""What a host said is told from its bytes: frames by name, and the currents that it commanded."""

from __future__ import annotations

import pytest

from hil.evidence import Step
from hil.spoken import commanded, words
from hil.tape import Chunk
from tests.hil import host2, host4
from tests.hil.host import ARM, ASK, CUT, DRIVE, HELLO, PROBE, STATUS, STOP, arm_payload, drive_payload, frame
from tests.hil.host2 import list_data
from tests.hil.host4 import SQUARE, Shape, frame4

pytestmark = pytest.mark.hazard("H35")


def told(*frames: bytes) -> list[Chunk]:
    """Frames of the host, a millisecond apart."""
    return [Chunk(1_000 * number, "to_device", data) for number, data in enumerate(frames, 1)]


def drive(*trains: tuple[int, int]) -> bytes:
    return frame(DRIVE, 1, drive_payload(1, 1, *((channel, ua, 300, 0, 20_000) for channel, ua in trains)))


def test_each_chunk_has_the_names_of_the_frames_that_end_in_it():
    first, second = frame(HELLO, 1), frame(ASK, 2)
    chunks = [
        Chunk(1, "to_device", first[:3]),
        Chunk(2, "to_host", frame(STATUS, 1, b"\x00")[:4]),
        Chunk(3, "to_device", first[3:] + second),
        Chunk(4, "to_host", frame(STATUS, 1, b"\x00")[4:]),
        Chunk(5, "to_device", first + second[:2]),
        Chunk(6, "to_device", second[2:]),
    ]
    assert words(chunks, "native") == ["", "", "HELLO, ASK", "STATUS", "HELLO", "ASK"]


def test_bytes_of_an_unknown_device_have_no_frames():
    chunks = told(drive((1, 20_000)))
    assert (words(chunks, "odd"), commanded(chunks, "odd")) == (["bytes"], {})


def test_a_native_drive_is_the_whole_output():
    chunks = told(
        frame(ARM, 1, arm_payload(1, 1_000, (1, 1, 1, 1, 1))),
        drive((1, 20_000), (2, 5_000)),
        drive((1, 20_000), (2, 5_000)),
        drive((1, 30_000)),
        drive((1, 30_000), (2, 5_000)),
        frame(STOP, 1),
        frame(ASK, 1),
    )
    assert commanded(chunks, "native") == {
        1: (Step(2_000, 20_000), Step(4_000, 30_000), Step(6_000, 0)),
        2: (Step(2_000, 5_000), Step(4_000, 0), Step(5_000, 5_000), Step(6_000, 0)),
    }


@pytest.mark.parametrize(("kind", "ends"), [(HELLO, True), (STOP, True), (CUT, True), (ASK, False), (PROBE, False)])
def test_what_ends_the_output_of_a_native_device(kind: int, ends: bool):
    steps = commanded(told(drive((1, 20_000)), frame(kind, 1)), "native")[1]
    assert steps == (Step(1_000, 20_000), *((Step(2_000, 0),) if ends else ()))


def test_a_damaged_or_refused_frame_commands_nothing():
    damaged = bytearray(drive((1, 30_000)))
    damaged[5] ^= 1
    short = frame(DRIVE, 1, drive_payload(1, 1, (1, 30_000, 300, 0, 20_000))[:-1])
    assert commanded(told(drive((1, 20_000)), bytes(damaged), short, frame(0x55, 1)), "native") == {
        1: (Step(1_000, 20_000),)
    }


def test_what_a_host_hears_is_no_command():
    assert commanded([Chunk(1, "to_host", drive((1, 20_000)))], "native") == {}


def update(*channels: int, shape: Shape = SQUARE) -> bytes:
    mask = sum(1 << channel - 1 for channel in channels)
    points = b"".join((us << 20 | half_ma + 300 << 10).to_bytes(4, "big") for us, half_ma in shape)
    rows = bytes((len(shape) - 1 << 4, *(40 << 1).to_bytes(2, "big"))) + points
    return frame4(host4.MID_UPDATE, bytes((mask,)) + rows * len(channels))


@pytest.mark.parametrize(("command", "ends"), [(host4.MID_STOP, True), (host4.RESET, True), (host4.STATUS, False)])
def test_patterns_of_the_mid_level_are_the_whole_output(command: int, ends: bool):
    chunks = told(frame4(host4.MID_UPDATE, b"\x01"), update(1, 3), update(3), frame4(command))
    assert commanded(chunks, "sciencemode4") == {
        1: (Step(2_000, 20_000), Step(3_000, 0)),
        3: (Step(2_000, 20_000), *((Step(4_000, 0),) if ends else ())),
    }


@pytest.mark.parametrize("shape", [((200, 60), (100, 0), (200, -40)), ((200, 40), (100, 0), (200, -60))])
def test_the_amplitude_of_a_pattern_is_its_greatest_current_either_way(shape: Shape):
    assert commanded(told(update(1, shape=shape)), "sciencemode4") == {1: (Step(1_000, 30_000),)}


def test_a_list_is_started_for_the_channels_that_it_was_made_for():
    pulse = bytes((0, 1, 44, 20))
    chunks = told(
        host2.frame(1, host2.START_LIST, pulse * 2),
        host2.frame(1, host2.INIT_LIST, list_data(2, 4)),
        host2.frame(2, host2.START_LIST, pulse * 2),
        host2.frame(3, host2.GET_MODE),
        host2.frame(4, host2.STOP_LIST),
    )
    assert commanded(chunks, "sciencemode2") == {
        2: (Step(3_000, 20_000), Step(5_000, 0)),
        4: (Step(3_000, 20_000), Step(5_000, 0)),
    }
