"""Small clinics, written by hand."""

from __future__ import annotations

from hil.simulate.plan import Act, Pad, Rx, Schedule, Seat

PAD = Pad(
    1, "site-1", "pair-1", 20_000, 21_500, 300, 100, 25_000, 2_500, "thigh", "left", "thigh", "left", 80, 8_000, 15_000,
    60_000,
)  # fmt: skip
RX = Rx("rx-1", "p-1", "S0", "tens", 1_000, 14_000, 1_000, 0, 16_000, (PAD,))
VISIT_MS = 1_000
AT_MS = 8_000
"""Current flows since a while."""


def clinic(*acts: Act, kind: str = "native", open_ms: int = 22_000, **of: object) -> Schedule:
    """A bed, a visit, and what else is done."""
    visit = Act(VISIT_MS, "bed-1", "visit", {"rx": "rx-1"} | of)
    return Schedule(7, open_ms, (Seat("bed-1", kind),), (RX,), (visit, *acts))


def fault(name: str, for_ms: int, **of: object) -> Act:
    """A fault while current flows."""
    return Act(AT_MS, "bed-1", "fault", {"fault": name, "for_ms": for_ms} | of)


def ask(at_ms: int, wish: str, **of: object) -> Act:
    """A wish."""
    return Act(at_ms, "bed-1", "ask", {"wish": wish} | of)
