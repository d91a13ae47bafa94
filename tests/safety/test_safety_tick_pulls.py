"""safety/rules/tick.py: contractions of a set and of a session (M35)."""

from __future__ import annotations

import pytest
from rig import (
    Picture,
    rx,
)
from test_safety_tick import HOLD, PAUSE, STOP, TENS, TRAIN, watch

from safety.rules import tick
from safety.state import Hold
from safety.verdict import Reason, Severity

# M35


@pytest.mark.rule("M35")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("pulls", "channel", "severity"),
    [
        ((59, 59), {}, None),
        ((60, 60), {}, PAUSE),
        ((0, 89), {}, None),
        ((0, 90), {}, STOP),
        ((60, 90), {}, STOP),
        ((60, 90), {"train": TRAIN}, None),
        ((60, 90), {"rest_ms": 5_799}, None),
        ((60, 90), {"rest_ms": 5_800}, STOP),
    ],
)
def test_m35_lets_no_contraction_begin_beyond_those_of_a_set_or_of_a_session(
    pulls: tuple[int, int], channel: dict[str, object], severity: Severity | None
) -> None:
    view = watch()
    own = view.session.channels[0]._replace(**{"train": None, "rest_ms": 6_000, "pulls": pulls} | channel)
    view = view._replace(session=view.session._replace(channels=(own,)))
    asked, allowed = (pulls[1] + 1, 90) if severity is STOP else (pulls[0] + 1, 60)
    found = Reason("M35", severity, "FAT.SET", 1, asked, allowed, "contractions") if severity else None
    assert tick.m35(view) == found
    assert tick.m35(view._replace(wanted=Picture(()))) is None
    assert tick.m35(view._replace(wanted=Picture((TRAIN._replace(channel=2),)))) is None
    assert tick.m35(view._replace(session=view.session._replace(rx=rx(programme=TENS)))) is None


@pytest.mark.rule("M19")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize(("mu_ppm", "stays"), [(799_999, True), (800_000, False)])
def test_a_hold_of_m19_lets_go_half_of_the_way_to_rest(mu_ppm: int, stays: bool) -> None:
    found = Reason("M19", HOLD, "FAT.REST", 1, mu_ppm, 800_000, "ppm")
    hold = Hold(found, 0)
    assert tick.m19(watch(channel={"mu_ppm": mu_ppm}, station={"holds": (hold,)})) == (found if stays else None)
    other = Hold(found._replace(channel=2), 0)
    assert tick.m19(watch(channel={"mu_ppm": mu_ppm}, station={"holds": (other,)})) is None
