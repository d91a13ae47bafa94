"""From bytes and pulses to phases: what the demo makes of a serial tape and of the scope."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.demo.planned import ON, RAMP_DOWN, RAMP_UP, REST
from controller.demo.recording import BEFORE, GONE, Command, Measured, Pulse, Recording, commands, next_phase
from controller.devices import native_frames as wire
from controller.devices.native_codec import encode
from safety.effects import Envelope
from safety.waveform import Train
from tests.controller.demo_material import PLAN, PROGRAMME, T

ARM = wire.Arm(7, 60_000, (Envelope(2, 30_000, 300, 25_000, 10**9),))


def drive(ua: int, channel: int = 2) -> wire.Drive:
    return wire.Drive(7, 1, (Train(channel, ua, 300, 100, 25_000),))


def tape(*frames: tuple[int, wire.HostFrame]) -> list[tuple[int, bytes]]:
    return [(at_us, encode(seq, frame)) for seq, (at_us, frame) in enumerate(frames)]


# The tape


def test_every_drive_of_the_channel_is_a_command_and_every_stop_an_end() -> None:
    told = tape(
        (T, ARM), (T + 1, drive(500)), (T + 2, wire.Feed(7, 2)), (T + 3, drive(1_000)), (T + 4, wire.Drive(7, 3, ())),
        (T + 5, wire.Ask()), (T + 6, wire.Stop()), (T + 7, wire.Cut()), (T + 8, wire.Hello()),
    )  # fmt: skip
    assert commands(told, 2) == (
        Command(T, 0), Command(T + 1, 500), Command(T + 3, 1_000), Command(T + 4, 0),
        Command(T + 6, None), Command(T + 7, None), Command(T + 8, None),
    )  # fmt: skip


def test_a_drive_of_another_channel_is_a_command_to_be_off() -> None:
    assert commands(tape((T, ARM), (T + 1, drive(9_000, channel=1))), 2) == (Command(T, 0), Command(T + 1, 0))


def test_only_what_follows_the_last_arming_counts() -> None:
    told = tape(
        (T, wire.Probe(6, 1, 2, 1_000, 300)), (T + 1, ARM), (T + 2, drive(700)), (T + 3, ARM), (T + 4, drive(900))
    )
    assert commands(told, 2) == (Command(T + 3, 0), Command(T + 4, 900))


def test_a_frame_in_pieces_counts_when_it_is_whole_and_a_damaged_one_never() -> None:
    whole, damaged = encode(2, drive(700)), bytearray(encode(3, drive(900)))
    damaged[5] ^= 1
    told = [*tape((T, ARM)), (T + 1, whole[:9]), (T + 2, whole[9:] + bytes(damaged))]
    assert commands(told, 2) == (Command(T, 0), Command(T + 2, 700))


def test_an_empty_tape_holds_no_command() -> None:
    assert commands([], 1) == ()


# Phases


@pytest.mark.parametrize(
    ("before", "ua", "after"),
    [
        (BEFORE, 0, (0, REST)),
        (BEFORE, None, (0, REST)),
        (BEFORE, 100, (1, RAMP_UP)),
        (BEFORE, 20_000, (1, ON)),
        ((1, RAMP_UP), 19_799, (1, RAMP_UP)),
        ((1, RAMP_UP), 19_800, (1, ON)),
        ((1, ON), 20_000, (1, ON)),
        ((1, ON), 19_800, (1, ON)),
        ((1, ON), 19_799, (1, RAMP_DOWN)),
        ((1, RAMP_DOWN), 100, (1, RAMP_DOWN)),
        ((1, RAMP_DOWN), 0, (1, REST)),
        ((1, REST), 0, (1, REST)),
        ((1, REST), 100, (2, RAMP_UP)),
        ((2, ON), None, (2, GONE)),
        ((2, GONE), 0, (2, GONE)),
        ((2, GONE), 20_000, (2, GONE)),
    ],
)
def test_the_phase_follows_from_what_is_commanded(
    before: tuple[int, str], ua: int | None, after: tuple[int, str]
) -> None:
    assert next_phase(before, ua, 20_000) == after


STEPS = (
    Command(T, 0),
    Command(T + 50_000, 1_000),
    Command(T + 100_000, 2_000),
    Command(T + 1_000_000, 20_000),
    Command(T + 3_000_000, 10_000),
    Command(T + 4_000_000, 0),
)
PULSES = (
    Pulse(T - 1_000, 1_000, 600_000),
    Pulse(T + 50_000, 1_000, 600_000),
    Pulse(T + 999_999, 2_000, 1_200_000),
    Pulse(T + 1_000_000, 19_990, 11_994_000),
    Pulse(T + 2_999_999, 20_010, 12_006_000),
    Pulse(T + 3_500_000, 10_000, 6_000_000),
)
RECORDING = Recording(PLAN, PROGRAMME, STEPS, PULSES, T + 20_000_000)


def test_a_pulse_belongs_to_the_phase_of_the_command_it_obeyed() -> None:
    assert RECORDING.phases() == (
        Measured(0, REST, 0, 0, 0, 0),
        Measured(1, RAMP_UP, 2_000, 2_000, 2, 1_800_000),
        Measured(1, ON, 20_000, 20_010, 2, 24_000_000),
        Measured(1, RAMP_DOWN, 10_000, 10_000, 1, 6_000_000),
        Measured(1, REST, 0, 0, 0, 0),
    )


def test_test_pulses_before_the_arming_are_no_therapy() -> None:
    assert RECORDING.therapy == PULSES[1:]
    assert RECORDING.delivered_pc == 31_800_000 == sum(phase.pc for phase in RECORDING.phases())


def test_current_without_a_command_shows_in_the_phase_in_which_it_flows() -> None:
    stuck = replace(RECORDING, pulses=(*PULSES, Pulse(T + 9_000_000, 20_000, 12_000_000)))
    assert stuck.phases()[-1] == Measured(1, REST, 0, 20_000, 1, 12_000_000)


def test_current_after_a_stop_shows_there() -> None:
    stuck = replace(
        RECORDING,
        commands=(*STEPS[:4], Command(T + 2_000_000, None), Command(T + 2_100_000, None)),
        pulses=(Pulse(T + 2_000_000, 20_000, 12_000_000),),
    )
    assert stuck.phases()[-1] == Measured(1, GONE, 0, 20_000, 1, 12_000_000)
    assert stuck.rows()[-1].measured == stuck.phases()[-1]


def test_each_planned_phase_has_a_row_and_the_time_after_the_stop_another() -> None:
    rows = RECORDING.rows()
    assert [(row.planned.cycle, row.planned.phase) for row in rows] == [
        *((cycle, phase) for cycle in (1, 2) for phase in (RAMP_UP, ON, RAMP_DOWN, REST)),
        (0, GONE),
    ]
    assert [row.measured for row in rows] == [*RECORDING.phases()[1:], None, None, None, None, None]


# Moments


def test_the_programme_began_where_the_first_current_lies_on_its_ramp() -> None:
    assert RECORDING.start_us == T
    late = replace(RECORDING, commands=(Command(T, 0), Command(T + 130_000, 2_000)))
    assert late.start_us == T + 30_000


def test_a_session_without_current_has_neither_start_nor_stop() -> None:
    empty = replace(RECORDING, commands=(Command(T, 0), Command(T + 1, None)), pulses=())
    assert (empty.start_us, empty.stop_us, empty.delivered_pc) == (None, None, 0)
    nothing = replace(RECORDING, commands=(), pulses=PULSES)
    assert (nothing.start_us, nothing.therapy, nothing.phases()) == (None, (), ())


def test_the_first_stop_after_the_start_counts() -> None:
    stopped = replace(RECORDING, commands=(*STEPS, Command(T + 5_000_000, None), Command(T + 5_100_000, None)))
    assert (RECORDING.stop_us, stopped.stop_us) == (None, T + 5_000_000)


@pytest.mark.parametrize(("peak_ua", "counts"), [(2_000, False), (2_001, True)])
def test_a_therapy_pulse_lies_above_2_ma(peak_ua: int, counts: bool) -> None:
    pulse = Pulse(T + 10, peak_ua, 1)
    assert replace(RECORDING, pulses=(pulse,)).after(T) == ((pulse,) if counts else ())


@pytest.mark.parametrize(("at_us", "counts"), [(T, False), (T + 1, True)])
def test_a_pulse_after_a_moment_began_later_than_it(at_us: int, counts: bool) -> None:
    pulse = Pulse(at_us, 20_000, 1)
    assert replace(RECORDING, pulses=(pulse,)).after(T) == ((pulse,) if counts else ())
