"""What a programme plans, stretch by stretch, as exact fractions.

It is worked out from the prescription's fields alone, so that the code that plays a programme can be held against it.
"""

from fractions import Fraction
from typing import NamedTuple

from safety.prescription import Plan, Programme

RAMP_UP, ON, RAMP_DOWN, REST = "ramp up", "on", "ramp down", "rest"


class Stretch(NamedTuple):
    """One phase of one cycle, in ms of played time; its highest current, and the absolute charge of its pulses."""

    cycle: int
    phase: str
    begin_ms: int
    end_ms: int
    peak_ua: int
    pc: Fraction


def stretches(plan: Plan, programme: Programme) -> tuple[Stretch, ...]:
    """Give every phase of a therapy, the last one cut where the therapy ends.

    Raises ValueError for a programme that has more to it than cycles of ramp, plateau and rest.
    """
    if not programme.off_ms or programme.warm_up_ms or programme.cool_down_ms or plan.delay_ms:
        raise ValueError("expected a programme of plain cycles, without warm-up, cool-down or delay")
    shape = (
        (RAMP_UP, programme.ramp_up_ms, 0, plan.ua),
        (ON, programme.on_ms, plan.ua, plan.ua),
        (RAMP_DOWN, programme.ramp_down_ms, plan.ua, 0),
        (REST, programme.off_ms, 0, 0),
    )
    found: list[Stretch] = []
    begin_ms, cycle = 0, 0
    while begin_ms < programme.therapy_ms:
        cycle += 1
        for phase, length_ms, from_ua, to_ua in shape:
            end_ms = min(begin_ms + length_ms, programme.therapy_ms)
            if end_ms > begin_ms:
                last_ua = from_ua + Fraction((to_ua - from_ua) * (end_ms - begin_ms), length_ms)
                peak_ua = max(from_ua, int(last_ua))
                pc = charge_pc(plan, (from_ua + last_ua) / 2, end_ms - begin_ms)
                found.append(Stretch(cycle, phase, begin_ms, end_ms, peak_ua, pc))
            begin_ms = end_ms
    return tuple(found)


def charge_pc(plan: Plan, mean_ua: Fraction, lasting_ms: int) -> Fraction:
    """Give the charge of both phases of a train of this mean current; 1 uA for 1 us is 1 pC."""
    return 2 * mean_ua * plan.width_us * lasting_ms * 1000 / plan.period_us
