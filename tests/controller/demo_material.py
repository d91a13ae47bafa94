"""What the tests of the demo share: a prescription, an accident, and a trial in which every claim holds."""

from __future__ import annotations

from controller.demo.recording import Pulse, Recording
from controller.demo.told import Command
from controller.demo.verdict import Accident, End, Session, Trial
from safety.limits import Modality
from safety.prescription import Plan, Programme

T = 5_000_000
"""When every programme of these tests begins, on the boot clock in us."""
PLAN = Plan(
    channel=1,
    site="right-calf",
    pair="a",
    ua=20_000,
    max_ua=30_000,
    width_us=300,
    gap_us=100,
    period_us=25_000,
    area_mm2=2_500,
)
PROGRAMME = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=18_000
)
PULSE_PC = 2 * 20_000 * 300
PLATEAU_PC = 80 * PULSE_PC
"""Two seconds of pulses at 40 Hz and 20 mA."""

ACCIDENT = Accident(T + 11_400_000, T + 12_400_000)
COMPLETED = End("completed", "", "")
STOPPED = End("stopped", "M07", "No contact.")
END_US = T + 18_000_000
SHAPE = tuple(
    Command(T + cycle_us + at_us, ua)
    for cycle_us in (0, 10_000_000)
    for at_us, ua in ((50_000, 1_000), (1_000_000, 20_000), (3_000_000, 10_000), (4_000_000, 0))
)


def recording(*pulses: Pulse, commands: tuple[Command, ...] = SHAPE, end_us: int = END_US) -> Recording:
    """Make a session of two contractions in which these pulses were measured."""
    return Recording(PLAN, PROGRAMME, (Command(T, 0), *commands), pulses, end_us)


def plateau(begin_us: int, number: int) -> tuple[Pulse, ...]:
    """Make so many pulses of a plateau."""
    return tuple(Pulse(begin_us + place * 25_000, 20_000, PULSE_PC) for place in range(number))


ONE, TWO = plateau(T + 1_000_000, 80), plateau(T + 11_000_000, 80)
BEFORE_IT, AFTER_IT = plateau(T + 11_000_000, 16), plateau(ACCIDENT.on_us + 1, 24)
STOP = (*SHAPE[:6], Command(ACCIDENT.off_us + 6_000, None))

TRIAL = Trial(
    clean=Session(recording(*ONE, *plateau(T + 3_000_000, 40), *TWO, *plateau(T + 13_000_000, 40)), COMPLETED),
    guarded=Session(recording(*ONE, *BEFORE_IT, commands=STOP), STOPPED),
    accident=ACCIDENT,
    bare=Session(recording(*ONE, *BEFORE_IT, *AFTER_IT), COMPLETED),
    bare_accident=ACCIDENT,
    ledger_pc=3 * PLATEAU_PC * 101 // 100,
)
