"""M03 and M20 through `step`: slow ramps, moved set-points and blips are legal, a muscle that gets no rest is not."""

from __future__ import annotations

import pytest
from rig import Adjust, Modality, Phase, Picture, Programme, Rig, plan, rx

pytestmark = pytest.mark.hazard("H20")

SLOW = Programme(
    modality=Modality.NMES, ramp_up_ms=10_000, on_ms=5_000, ramp_down_ms=10_000, off_ms=35_000, therapy_ms=180_000
)
QUICK = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=6_000, therapy_ms=60_000
)


def played(rig: Rig, until_ms: int) -> Rig:
    """Go on until so much was played, or the session is over."""
    while rig.station.session is not None and rig.station.session.course.played_ms < until_ms:
        rig.tick()
    return rig


def spoken(rig: Rig) -> list[str]:
    """The rules that stopped, paused or held."""
    return [e.rule for e in rig.said if getattr(e, "kind", "") in {"session.stopped", "session.paused", "session.held"}]


@pytest.mark.rule("M20")
@pytest.mark.rule("M03")
@pytest.mark.hazard("H49")
@pytest.mark.parametrize("ua", [20_000, 2_000, 2_050])
def test_a_slow_ramp_is_no_longer_plateau(ua: int) -> None:
    rig = Rig().running(rx(plan(ua=ua), programme=SLOW))
    played(rig, SLOW.therapy_ms)
    assert (rig.phase, spoken(rig)) == (Phase.IDLE, [])
    assert [closing.outcome for closing in rig.notes("close")] == ["completed"]


@pytest.mark.rule("M20")
@pytest.mark.rule("M03")
@pytest.mark.hazard("H49")
def test_a_set_point_lowered_in_the_ramp_may_put_it_back_to_zero_for_a_moment() -> None:
    rig = played(Rig().running(rx(plan(), programme=SLOW)), 250)
    assert rig.device.trains[1].ua == 500
    rig.must(Adjust(1, -18_500))
    rig.tick()
    assert (rig.device.trains, rig.station.session.channels[0].train) == ({}, None)
    played(rig, 64_000)
    assert spoken(rig) == []
    assert rig.device.trains[1].ua == 600, "the second contraction, in its ramp"
    assert rig.station.session.channels[0].pull_ms < 6_000


@pytest.mark.rule("M03")
@pytest.mark.hazard("H49")
def test_a_set_point_may_rise_as_soon_as_a_slow_ramp_has_reached_it() -> None:
    rig = played(Rig().running(rx(plan(ua=2_000), programme=SLOW)), 10_000)
    assert rig.device.trains[1].ua == 2_000
    rig.must(Adjust(1, 1_000))
    rig.tick()
    assert (rig.phase, rig.device.trains[1].ua, spoken(rig)) == (Phase.RUNNING, 3_000, [])


@pytest.mark.rule("M20")
def test_a_raised_set_point_does_not_begin_the_plateau_anew() -> None:
    rig = played(Rig().running(rx(programme=QUICK)), 2_500)
    rig.must(Adjust(1, 1_000))
    rig.tick(2)
    held = rig.station.beat.picture
    assert held.trains[0].ua == 21_000
    rig.wanted = lambda: held
    played(rig, 9_000)
    (stopped,) = rig.events("session.stopped")
    # The tick in which the old current flowed under the new set-point is not counted: 50 ms of 1.45 s.
    assert [(r.rule, r.code, r.asked, r.allowed) for r in stopped.reasons] == [("M20", "FAT.ON_TIME", 2_250, 2_210)]


@pytest.mark.rule("M20")
def test_ramps_that_turn_back_before_the_plateau_are_contractions_too() -> None:
    rig = Rig().running(rx(programme=QUICK))

    def sawtooth() -> Picture:
        at_ms = (rig.mono_ms - started_ms) % 900
        return Picture((plan().train(at_ms * 20),) if at_ms else ())

    started_ms, rig.wanted = rig.mono_ms, sawtooth
    played(rig, 9_000)
    (stopped,) = rig.events("session.stopped")
    assert [(r.rule, r.code) for r in stopped.reasons] == [("M20", "FAT.DUTY")]
    assert rig.station.session is None


@pytest.mark.rule("M20")
def test_a_contraction_has_an_end_even_where_it_never_reaches_its_plateau() -> None:
    rig = Rig().running(rx(programme=QUICK))
    rig.tick(10)
    held = rig.station.beat.picture
    assert held.trains[0].ua < 19_000
    rig.wanted = lambda: held
    played(rig, 9_000)
    (stopped,) = rig.events("session.stopped")
    assert [(r.rule, r.asked, r.allowed) for r in stopped.reasons] == [("M20", 4_250, 4_200)]
