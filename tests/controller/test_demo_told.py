"""What a host told a channel, read off the tape of each protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

import pytest

from controller.cli import Stimulator
from controller.demo.kinds import KINDS, Kind
from controller.demo.told import Command, Read, Told, reads_native, reads_sciencemode2, reads_sciencemode4
from controller.devices import DRIVERS
from controller.devices import native_frames as wire
from controller.devices.native_codec import encode
from safety.effects import Envelope
from safety.times import NATIVE, SCIENCEMODE2, SCIENCEMODE4
from safety.waveform import Train

T = 5_000_000
ARM = wire.Arm(7, 60_000, (Envelope(2, 30_000, 300, 25_000, 10**9),))


def drive(ua: int, channel: int = 2) -> wire.Drive:
    return wire.Drive(7, 1, (Train(channel, ua, 300, 100, 25_000),))


def native(*frames: wire.HostFrame) -> Iterator[bytes]:
    return (encode(seq, frame) for seq, frame in enumerate(frames))


def frames(text: str) -> Iterator[bytes]:
    """One frame a line, in hex; what stands behind it is for the reader."""
    return (bytes.fromhex(line.split()[0]) for line in text.strip().splitlines())


def commands(read: Read, tape: Iterable[bytes], channel: int) -> list[tuple[int, int | None]]:
    """Give place on the tape and current of each command."""
    told = Told(read, channel)
    told.take((T + place, data) for place, data in enumerate(tape))
    return [(at_us - T, ua) for at_us, ua in told.commands]


# The native protocol


def test_every_drive_of_the_channel_is_a_command_and_every_stop_an_end() -> None:
    tape = native(
        ARM, drive(500), wire.Feed(7, 2), drive(1_000), wire.Drive(7, 3, ()), wire.Ask(), wire.Stop(), wire.Cut(),
        wire.Hello(),
    )  # fmt: skip
    found = [(0, 0), (1, 500), (3, 1_000), (4, 0), (6, None), (7, None), (8, None)]
    assert commands(reads_native(), tape, 2) == found


def test_a_drive_of_another_channel_is_a_command_to_be_off() -> None:
    assert commands(reads_native(), native(ARM, drive(9_000, channel=1)), 2) == [(0, 0), (1, 0)]


def test_what_comes_before_the_first_arming_does_not_count_and_another_one_is_an_end() -> None:
    tape = native(wire.Hello(), wire.Stop(), wire.Probe(6, 1, 2, 1_000, 300), ARM, drive(700), ARM, drive(900))
    assert commands(reads_native(), tape, 2) == [(3, 0), (4, 700), (5, None), (6, 900)]


def test_a_frame_in_pieces_counts_when_it_is_whole_and_a_damaged_one_never() -> None:
    whole, damaged = encode(2, drive(700)), bytearray(encode(3, drive(900)))
    damaged[5] ^= 1
    tape = [*native(ARM), whole[:9], whole[9:] + bytes(damaged)]
    assert commands(reads_native(), tape, 2) == [(0, 0), (2, 700)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_empty_tape_holds_no_command(kind: Kind) -> None:
    assert commands(kind.reads(), [], 1) == []


# ScienceMode 4 (golden frames of its makers' library)

SM4_TAPE = """
f08155815981ef814604340f      what is your id
f08155815881ca81f61400000f    low level: a test pulse
f08155814c81f281201802b20c8550000644b0000c8410000f
f081558159819f810b18040f      low level off
f0815581588153810a1c1e010f    mid level
f08155817e8141817d2020032300720c8550000644b0000c8410002300720c8514000644b0000c844c000f  channel 1 20 mA, 2 12.5 mA
f08155815881f081942824040f    keep-alive
f081558149811081042420102000c80c8474000644b0000c84ec000f                                only channel 5, 7.5 mA
f081558159811281fe2c220f      mid level off
"""


@pytest.mark.parametrize(("channel", "currents"), [(1, (20_000, 0)), (2, (12_500, 0)), (5, (0, 7_500)), (8, (0, 0))])
def test_a_mid_level_update_is_a_command_and_a_test_pulse_is_none(channel: int, currents: tuple[int, int]) -> None:
    first, second = currents
    found = [(4, 0), (5, first), (7, second), (8, None)]
    assert commands(reads_sciencemode4(), frames(SM4_TAPE), channel) == found


def test_a_frame_that_is_damaged_tells_a_p24_nothing() -> None:
    tape = list(frames(SM4_TAPE))
    tape[5] = tape[5][:20] + bytes([tape[5][20] ^ 1]) + tape[5][21:]
    assert commands(reads_sciencemode4(), tape, 1) == [(4, 0), (7, 0), (8, None)]


# ScienceMode 2 (golden frames)

SM2_TAPE = """
f081fa815705220f                          stop
f081a8815c021e000500010038000f            the list: channels 1 and 3
f081f6815f03200000c80c00012c140f          12 mA, 20 mA
f081768157010a0f                          where do you stand
f081fa815705220f                          stop
"""


@pytest.mark.parametrize(("channel", "ua"), [(1, 12_000), (2, 0), (3, 20_000)])
def test_the_currents_of_a_start_belong_to_the_channels_of_the_list(channel: int, ua: int) -> None:
    assert commands(reads_sciencemode2(), frames(SM2_TAPE), channel) == [(1, 0), (2, ua), (4, None)]


# The kinds


def test_the_demo_knows_every_driver_under_its_own_name() -> None:
    assert [*KINDS] == [*get_args(Stimulator)]
    assert KINDS.keys() == DRIVERS.keys()
    assert {name: (kind.name, kind.open, kind.times) for name, kind in KINDS.items()} == {
        "native": ("native", DRIVERS["native"], NATIVE),
        "sciencemode4": ("sciencemode4", DRIVERS["sciencemode4"], SCIENCEMODE4),
        "sciencemode2": ("sciencemode2", DRIVERS["sciencemode2"], SCIENCEMODE2),
    }


def test_a_command_is_a_moment_and_a_current() -> None:
    told = Told(reads_native(), 2)
    told.take([(T, data) for data in native(ARM)])
    assert told.commands == [Command(T, 0)]
