"""Makes the schedule of a violation small: acts are left out as long as the same invariant stays broken."""

from __future__ import annotations

from collections.abc import Callable

from hil.simulate.plan import Act, Schedule

AFTER_MS = 5_000
"""How much longer than the last act a shrunk clinic stays open. Engineering default."""
PLAYS = 60
"""How often a schedule is played to make it smaller. Engineering default."""


def shrunk(schedule: Schedule, at_ms: int, is_broken: Callable[[Schedule], bool], plays: int = PLAYS) -> Schedule:
    """Give a smaller schedule that is broken as well; `at_ms`: when it was seen to be. Every try is a whole clinic."""
    left = plays

    def breaks(acts: tuple[Act, ...]) -> bool:
        nonlocal left
        left -= 1
        return is_broken(schedule._replace(acts=acts))

    sooner = schedule._replace(open_ms=min(schedule.open_ms, at_ms + AFTER_MS))
    if is_broken(sooner):
        schedule = sooner
    acts = tuple(act for act in schedule.acts if act.at_ms <= at_ms)
    if not breaks(acts):
        acts = schedule.acts
    size = max(1, len(acts) // 2)
    while left > 0:
        for start in range(len(acts) - 1, -1, -size):
            rest = acts[: max(0, start - size + 1)] + acts[start + 1 :]
            if left > 0 and breaks(rest):
                acts = rest
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
        size = min(size, max(1, len(acts)))
    used = {act.of["rx"] for act in acts if "rx" in act.of}
    return schedule._replace(acts=acts, prescriptions=tuple(rx for rx in schedule.prescriptions if rx.name in used))
