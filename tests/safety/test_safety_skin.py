"""Pads that come off, dry, bridge and clip: what `step` makes of it with all rules switched on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from rig import (
    Adjust,
    Check,
    ClearLatch,
    IdealDevice,
    Modality,
    Phase,
    Programme,
    Resume,
    Rig,
    Sensation,
    only,
    plan,
    rx,
)

from safety.effects import Silence
from safety.impedance import NO_CURRENT_OHM, Contact
from safety.messages import Heard, Sample
from safety.verdict import Reason, Severity

pytestmark = pytest.mark.hazard("H04")

CONTINUOUS = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=600_000, ramp_down_ms=0, off_ms=0, therapy_ms=600_000
)
"""Ten minutes without a rest: what a pad does, not what a rhythm does."""


def running(**changes: object) -> Rig:
    """Bring a session onto an endless plateau of 20 mA at 1,500 ohm, the baseline taken."""
    return Rig().plateau(rx(programme=CONTINUOUS, **changes))


def contact(rig: Rig, channel: int = 0) -> Contact:
    return rig.station.session.channels[channel].contact


def reads(rig: Rig, ohms: Iterable[int], channel: int = 1) -> list[int]:
    """Let the pad read these, one each 100 ms; gives those it took until the output was off."""
    taken = []
    for ohm in ohms:
        rig.device.ohm[channel] = ohm
        mark = len(rig.steps)
        while rig.phase is Phase.RUNNING:
            rig.tick()
            if any(isinstance(event, Heard) for event, _ in rig.steps[mark:]):
                break
        taken.append(ohm)
        if rig.phase is not Phase.RUNNING:
            break
    return taken


def stopped_by(rig: Rig) -> tuple[Reason, ...]:
    """Give the reasons of the one event that ended or paused the session."""
    (event,) = rig.events("session.paused") + rig.events("session.stopped")
    return event.reasons


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
def test_a_pad_that_comes_off_is_zero_in_the_step_that_hears_of_it_and_stays_zero_when_it_is_back() -> None:
    rig = running()
    rig.device.sample_changes[1] = only(ohm=NO_CURRENT_OHM, measured_ua=0, open=True)
    mark = len(rig.steps)
    rig.tick(2)
    event, effects = next(step for step in rig.steps[mark:] if any(isinstance(e, Silence) for e in step[1]))
    assert isinstance(event, Heard)
    assert effects[0] == Silence(cut=False)
    assert stopped_by(rig)[0] == Reason("M07", Severity.STOP, "IMP.OPEN", 1, NO_CURRENT_OHM, 8_000, "ohm")
    assert rig.device.trains == {}
    delivered_nc = rig.device.total_nc[1]
    rig.device.sample_changes.clear()
    rig.tick(40)
    assert (rig.phase, rig.device.trains, rig.device.total_nc[1]) == (Phase.IDLE, {}, delivered_nc)


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
def test_half_the_current_is_open_also_where_no_flag_says_so() -> None:
    rig = running()
    rig.device.sample_changes[1] = only(measured_ua=10_000)
    rig.tick(4)
    assert rig.phase is Phase.RUNNING
    rig.device.sample_changes[1] = only(measured_ua=9_999)
    rig.tick(2)
    assert stopped_by(rig) == (Reason("M07", Severity.STOP, "IMP.OPEN", 1, 1_500, 8_000, "ohm"),)


@pytest.mark.rule("M11")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(("ohm", "trips"), [(1_875, False), (1_876, True), (1_125, False), (1_124, True)])
def test_a_step_pauses_at_once(ohm: int, trips: bool) -> None:
    rig = running()
    assert reads(rig, [ohm]) == [ohm]
    assert rig.phase is (Phase.PAUSED if trips else Phase.RUNNING)
    if trips:
        assert stopped_by(rig) == (Reason("M11", Severity.PAUSE, "IMP.DRIFT", 1, abs(ohm - 1_500), 375, "ohm"),)


@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_a_pad_that_peels_slowly_pauses_at_the_third_reading_above_one_and_a_half_baselines() -> None:
    rig = running()
    ramp = range(1_500, 4_000, 30)
    taken = reads(rig, ramp)
    assert taken[-1] == 2_250 + 3 * 30
    assert stopped_by(rig) == (Reason("M10", Severity.PAUSE, "IMP.DRIFT", 1, 2_340, 2_250, "ohm"),)
    assert contact(rig).baseline_ohm == 1_500


@pytest.mark.rule("M10")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("sensation", "ua", "limit"),
    [(Sensation.S0, 20_000, 2_250), (Sensation.S1, 20_000, 1_950), (Sensation.S2, 15_000, 900)],
)
def test_the_trip_is_tighter_where_the_skin_feels_less(sensation: Sensation, ua: int, limit: int) -> None:
    large = sensation is Sensation.S2
    rig, ohm = Rig(), 750 if large else 1_500
    rig.device.ohm[1] = ohm
    channels = (plan(ua=ua, area_mm2=5_000 if large else 2_500),)
    rig.plateau(rx(programme=CONTINUOUS, channels=channels, sensation=sensation))
    taken = reads(rig, range(ohm, 4_000, 10))
    assert taken[-1] == limit + 3 * 10
    assert stopped_by(rig)[0] == Reason("M10", Severity.PAUSE, "IMP.DRIFT", 1, limit + 30, limit, "ohm")


@pytest.mark.rule("M09")
@pytest.mark.hazard("H04")
def test_poor_contact_pauses_before_its_ratio_does() -> None:
    rig = Rig()
    rig.device.ohm[1] = 2_900
    rig.plateau(rx(programme=CONTINUOUS))
    taken = reads(rig, range(2_900, 6_000, 50))
    assert taken[-1] == 4_000 + 3 * 50
    assert stopped_by(rig)[0] == Reason("M09", Severity.PAUSE, "IMP.HIGH", 1, 4_150, 4_000, "ohm")


@pytest.mark.rule("M13")
@pytest.mark.hazard("H17")
def test_a_gel_bridge_pauses_when_it_falls_fast() -> None:
    rig = running()
    taken = reads(rig, range(1_500, 300, -75))
    assert taken[-3:] == [825, 750, 675]
    assert stopped_by(rig) == (Reason("M13", Severity.PAUSE, "IMP.FALL", 1, 675, 900, "ohm"),)


@pytest.mark.rule("M13")
@pytest.mark.rule("M10")
@pytest.mark.hazard("H04")
def test_hydration_is_followed_downwards_at_once_and_never_upwards() -> None:
    rig = running()
    reads(rig, range(1_500, 1_000, -2))
    assert rig.phase is Phase.RUNNING
    followed = contact(rig).baseline_ohm
    assert 1_000 < followed < 1_200
    reads(rig, [1_002] * 200)
    assert contact(rig).baseline_ohm == 1_002
    reads(rig, range(1_002, 1_450, 10))
    reads(rig, [1_450] * 200)
    assert (rig.phase, contact(rig).baseline_ohm) == (Phase.RUNNING, 1_002)
    taken = reads(rig, range(1_450, 2_000, 10))
    assert taken[-1] == 1_500 + 3 * 10
    assert stopped_by(rig) == (Reason("M10", Severity.PAUSE, "IMP.DRIFT", 1, 1_530, 1_503, "ohm"),)


@pytest.mark.rule("M12")
@pytest.mark.hazard("H34")
def test_a_pad_that_dries_by_more_than_a_tenth_a_minute_holds_after_two_minutes() -> None:
    rig = running()
    for tenth in range(1_300):
        reads(rig, [1_500 * (1_000 + tenth // 5) // 1_000])
    (held,) = rig.events("session.held")
    assert [reason.rule for reason in held.reasons] == ["M12"]
    assert (rig.phase, rig.silences()) == (Phase.RUNNING, [])
    minutes = contact(rig).minutes
    assert len(minutes) == 3
    assert all(60_000 <= late[0] - early[0] < 62_000 for early, late in itertools.pairwise(minutes))


@pytest.mark.rule("M08")
@pytest.mark.hazard("H17")
def test_a_short_locks_the_montage_at_its_second_reading() -> None:
    rig = running()
    rig.device.sample_changes[1] = only(short=True)
    assert reads(rig, [1_500, 1_500]) == [1_500, 1_500]
    assert stopped_by(rig) == (Reason("M08", Severity.LOCK, "IMP.SHORT", 1, 1_500, 100, "ohm"),)
    assert rig.station.latches[0].key == "p-1/left-quadriceps"


@pytest.mark.rule("M08")
def test_one_short_reading_alone_is_forgiven() -> None:
    rig = running()
    for _ in range(3):
        rig.device.sample_changes[1] = only(short=True)
        reads(rig, [1_500])
        rig.device.sample_changes.clear()
        reads(rig, [1_500])
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("M14")
@pytest.mark.hazard("H09")
def test_clipping_holds_at_three_pulses_and_pauses_at_ten() -> None:
    rig = running()
    for clipped in range(1, 10):
        rig.device.sample_changes[1] = only(clipped=clipped, clip=True)
        reads(rig, [1_500])
        held = [event.reasons for event in rig.events("session.held")]
        assert held == ([] if clipped < 3 else [(Reason("M14", Severity.HOLD, "IMP.CLIP", 1, 3, 3, "pulses"),)])
    assert rig.codes(Adjust(1, 1_000)) == ["G27"]
    rig.device.sample_changes[1] = only(clipped=10, clip=True)
    reads(rig, [1_500])
    assert stopped_by(rig) == (Reason("M14", Severity.PAUSE, "IMP.CLIP", 1, 10, 10, "pulses"),)


@pytest.mark.rule("M14")
def test_a_hold_ends_two_seconds_after_its_cause() -> None:
    rig = running()
    rig.device.sample_changes[1] = only(clipped=3)
    reads(rig, [1_500])
    rig.device.sample_changes.clear()
    last_ms = rig.station.holds[0].last_ms
    while rig.station.holds:
        rig.tick()
    assert rig.mono_ms - last_ms == 2_050
    assert rig.must(Adjust(1, 1_000)).status == "succeeded"


@dataclass
class Skin(IdealDevice):
    """Skin reads higher at less current: half as much again where the ramp begins."""

    def samples(self) -> tuple[Sample, ...]:
        """Read back with the ohms of the current that flows."""
        return tuple(s._replace(ohm=s.ohm * 3 // 2 - s.ohm * s.ua // 40_000) for s in super().samples())


@pytest.mark.rule("M11")
@pytest.mark.hazard("H49")
def test_ramps_are_not_compared_with_plateaus() -> None:
    rig = Rig(device=Skin()).running(ticks=500)
    assert rig.phase is Phase.RUNNING
    assert rig.events("session.held") == []
    assert (contact(rig).baseline_ohm, contact(rig).baseline_ua) == (1_500, 19_000)


@pytest.mark.rule("M10")
@pytest.mark.hazard("H49")
def test_a_new_set_point_gets_a_baseline_of_its_own() -> None:
    rig = Rig(device=Skin()).plateau(rx(programme=CONTINUOUS))
    assert (contact(rig).baseline_ua, contact(rig).baseline_ohm) == (19_000, 1_500)
    rig.must(Adjust(1, -1_500))
    reads(rig, [1_500])
    assert (contact(rig).baseline_ua, contact(rig).baseline_ohm) == (19_000, 1_500)
    rig.must(Adjust(1, -6_500))
    reads(rig, [1_500])
    assert (contact(rig).baseline_ua, contact(rig).baseline_ohm) == (12_000, 0)
    assert contact(rig).recent == (1_800,)
    reads(rig, [1_500] * 9)
    assert (contact(rig).baseline_ua, contact(rig).baseline_ohm) == (12_000, 1_800)
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("M11")
def test_a_pad_that_moves_during_the_rest_is_seen_on_the_next_plateau() -> None:
    rig = Rig().plateau()
    rig.tick(60)
    assert rig.device.trains == {}
    rig.device.ohm[1] = 1_900
    rig.tick(120)
    assert rig.phase is Phase.PAUSED
    assert stopped_by(rig) == (Reason("M11", Severity.PAUSE, "IMP.DRIFT", 1, 400, 375, "ohm"),)
    assert rig.station.session.course.played_ms == 10_950


@pytest.mark.rule("M11")
def test_after_a_pause_neighbours_are_forgotten_and_the_baseline_stays() -> None:
    rig = running()
    reads(rig, [1_900])
    assert contact(rig)[2:5] == ((), (), ())
    assert contact(rig).baseline_ohm == 1_500
    rig.must(ClearLatch(rig.station.latches[0].id, "pressed on"))
    rig.device.ohm[1] = 1_870
    rig.must(Check(()))
    rig.must(Resume())
    rig.device.ohm[1] = 1_900
    rig.tick(60)
    assert rig.phase is Phase.RUNNING
    taken = reads(rig, range(1_900, 3_000, 20))
    assert taken[-1] == 2_300
    assert rig.events("session.paused")[-1].reasons == (
        Reason("M10", Severity.PAUSE, "IMP.DRIFT", 1, 2_300, 2_250, "ohm"),
    )


def test_each_channel_has_a_skin_of_its_own() -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=3, site="right-quadriceps", pair="b"), programme=CONTINUOUS))
    reads(rig, [3_000], channel=3)
    assert stopped_by(rig) == (Reason("M11", Severity.PAUSE, "IMP.DRIFT", 3, 1_500, 375, "ohm"),)
    assert rig.device.trains == {}
    assert [channel.train for channel in rig.station.session.channels] == [None, None]


@pytest.mark.hazard("H49")
def test_ordinary_noise_trips_nothing() -> None:
    rig = running()
    taken = reads(rig, [1_500 + (index * 37 % 21 - 10) * 15 for index in range(300)])
    assert (len(taken), rig.phase, rig.events("session.held")) == (300, Phase.RUNNING, [])


# Fair contact, and the way back


@pytest.mark.rule("M10")
@pytest.mark.hazard("H49")
def test_fair_contact_holds_until_it_has_been_back_inside_for_two_seconds() -> None:
    rig = running()
    reads(rig, [1_600, 1_700, 1_800, 1_951, 1_951, 1_951])
    assert [(hold.reason.rule, hold.reason.allowed) for hold in rig.station.holds] == [("M10", 1_950)]
    assert "G27" in rig.codes(Adjust(1, 1_000))
    reads(rig, [1_726] * 40)
    assert [hold.reason.rule for hold in rig.station.holds] == ["M10"], "inside the outer, outside the inner threshold"
    reads(rig, [1_725] * 20)
    assert [hold.reason.rule for hold in rig.station.holds] == ["M10"]
    reads(rig, [1_725] * 3)
    assert rig.station.holds == ()


@pytest.mark.rule("M10")
def test_a_hold_of_the_skin_outlasts_a_rest_in_which_nothing_is_measured() -> None:
    rig = Rig().plateau()
    reads(rig, [1_750, 1_960, 1_960, 1_960])
    assert [hold.reason.rule for hold in rig.station.holds] == ["M10"]
    while rig.station.session.course.played_ms < 9_900:
        rig.tick()
    assert [hold.reason.rule for hold in rig.station.holds] == ["M10"], "six seconds of rest"
    rig.device.ohm[1] = 1_500
    while rig.station.session.course.played_ms < 13_050:
        rig.tick()
    assert rig.station.holds == ()


@pytest.mark.rule("M10")
def test_a_hold_on_one_channel_leaves_that_on_another_standing() -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=3, site="right-quadriceps", pair="b"), programme=CONTINUOUS))
    for ohm in (1_750, 1_960, 1_960, 1_960):
        rig.device.ohm[3] = ohm
        reads(rig, [ohm])
    assert [hold.reason.channel for hold in rig.station.holds] == [1, 3]
    assert [event.reasons[0].channel for event in rig.events("session.held")] == [1]
    assert [reason.channel for event in rig.events("session.held") for reason in event.reasons] == [1, 3]
    reads(rig, [1_500] * 25)
    assert [hold.reason.channel for hold in rig.station.holds] == [3]


@pytest.mark.rule("M09")
@pytest.mark.rule("M10")
@pytest.mark.rule("M11")
@pytest.mark.rule("M13")
@pytest.mark.hazard("H04")
@pytest.mark.parametrize(
    ("ohms", "rule"),
    [((2_300,) * 5, "M11"), (tuple(range(1_500, 2_600, 50)), "M10"), (tuple(range(1_500, 700, -50)), "M13")],
)
def test_after_a_pause_of_the_skin_a_check_has_to_find_the_pad_back(ohms: tuple[int, ...], rule: str) -> None:
    rig = running()
    reads(rig, ohms)
    assert (rig.phase, rig.latched()[0]) == (Phase.PAUSED, rule)
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "pressed on"))
    rig.tick(45)
    assert contact(rig).past.doubt_ms < rig.mono_ms
    assert [reason.rule for reason in rig.ask(Resume()).reasons] == ["M10"], "the check before the session is too old"
    rig.device.ohm[1] = 1_876
    rig.must(Check(()))
    assert rig.ask(Resume()).reasons == (Reason("M10", Severity.REFUSE, "IMP.DRIFT", 1, 1_876, 1_875, "ohm"),)
    rig.device.ohm[1] = 1_875
    rig.must(Check(()))
    rig.must(Resume())
    assert (rig.phase, contact(rig).past) == (Phase.RUNNING, (1_500, 0, 0))


@pytest.mark.rule("M10")
def test_only_the_pads_in_doubt_are_asked_for() -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=3, site="right-quadriceps", pair="b"), programme=CONTINUOUS))
    reads(rig, [3_000], channel=3)
    assert [contact(rig, index).past.doubt_ms for index in (0, 1)] == [0, rig.mono_ms]


@pytest.mark.rule("M09")
def test_the_way_back_is_bounded_in_ohms_too() -> None:
    rig = Rig()
    rig.device.ohm[1] = 2_900
    rig.plateau(rx(programme=CONTINUOUS))
    reads(rig, range(2_900, 6_000, 50))
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "pressed on"))
    rig.tick(45)
    rig.device.ohm[1] = 3_201
    rig.must(Check(()))
    assert rig.ask(Resume()).reasons[-1] == Reason("M10", Severity.REFUSE, "IMP.DRIFT", 1, 3_201, 3_200, "ohm")


# Like pairs on both sides


def two_sided(sensation: Sensation = Sensation.S0) -> Rig:
    left, right = plan(ua=15_000, twin=2), plan(ua=15_000, channel=2, site="right-quadriceps")
    return Rig().plateau(rx(left, right, programme=CONTINUOUS, sensation=sensation))


@pytest.mark.rule("M15")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H17")
@pytest.mark.parametrize("worse", [1, 2])
@pytest.mark.parametrize(("sensation", "severity"), [(Sensation.S0, "held"), (Sensation.S1, "paused")])
def test_a_pad_that_falls_behind_its_twin_is_seen_after_ten_seconds(
    worse: int, sensation: Sensation, severity: str
) -> None:
    rig = two_sided(sensation)
    better = 3 - worse
    for ohm in (*range(1_500, 900, -10), *[900] * 15):  # it hydrates; no rule of one pad alone says anything
        reads(rig, [ohm], channel=better)
    assert rig.phase is Phase.RUNNING
    since = next(c.contact.past.uneven_ms for c in rig.station.session.channels if c.contact.past.uneven_ms)
    while not rig.events(f"session.{severity}"):
        rig.tick()
    (event,) = rig.events(f"session.{severity}")
    assert (event.rule, event.reasons[0].channel) == ("M15", 1)
    assert rig.mono_ms - since == 10_050


@pytest.mark.rule("M15")
def test_without_a_twin_nothing_is_compared() -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=2, site="right-quadriceps"), programme=CONTINUOUS))
    for ohm in (*range(1_500, 900, -10), *[900] * 15):
        reads(rig, [ohm], channel=2)
    rig.tick(300)
    assert (rig.phase, rig.station.holds) == (Phase.RUNNING, ())


# Motion


@pytest.mark.rule("M10")
@pytest.mark.rule("M11")
@pytest.mark.hazard("H49")
def test_motion_of_ten_percent_trips_nothing_where_the_trip_is_tightest() -> None:
    rig = Rig()
    rig.device.ohm[1] = 750
    channels = (plan(ua=15_000, area_mm2=5_000),)
    rig.plateau(rx(programme=CONTINUOUS, channels=channels, sensation=Sensation.S2))
    swing = itertools.cycle((750, 788, 825, 788, 750, 712, 675, 712))
    reads(rig, itertools.islice(swing, 400))
    assert (rig.phase, rig.events("session.paused")) == (Phase.RUNNING, [])
