"""From bytes and pulses to phases: what the demo makes of a serial tape and of the scope."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.demo.planned import ON, RAMP_DOWN, RAMP_UP, REST
from controller.demo.recording import BEFORE, GONE, Measured, Pulse, Recording, next_phase
from controller.demo.told import Command
from tests.controller.demo_material import PLAN, PROGRAMME, T

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
