"""safety/dose.py to the last unit: what of two counts counts, and the currents that tire nobody."""

from __future__ import annotations

import pytest
from rig import Rig, plan, rx

from safety.dose import SLACK_MS, begin, given_by, overtaken, play, unheard
from safety.prescription import Dose
from safety.state import FRESH, Channel, Setting
from safety.waveform import Train

SETTING = Setting(plan(), 20_000, 0)
NMES = rx().programme


def mu_after(ua: int, setting: Setting = SETTING, **options: int) -> int:
    """Where the muscle stands after 50 ms at this current."""
    train: Train = plan().train(ua)
    channel: Channel = FRESH._replace(train=train, mu_ppm=1_000_000)
    return play(channel, setting, NMES, 100, 50, 50, **options).mu_ppm


@pytest.mark.rule("M20")
def test_a_rest_may_fall_short_by_two_tenths_of_a_second():
    assert SLACK_MS == 200


@pytest.mark.rule("M35")
@pytest.mark.hazard("H20")
def test_what_begins_is_one_contraction_unless_it_is_told_to_be_none():
    rested = FRESH._replace(rest_ms=NMES.off_ms)
    train = plan().train(20_000)
    assert begin(rested, SETTING, NMES, 100, train, 0).pulls == (1, 1)
    assert begin(rested, SETTING, NMES, 100, train, 0, 0).pulls == (0, 0)


@pytest.mark.rule("M18")
@pytest.mark.hazard("H18")
@pytest.mark.parametrize(("ours_nc", "given_nc"), [(119, 120), (120, 120), (121, 121)])
def test_what_was_given_is_the_larger_of_our_count_and_the_devices(ours_nc: int, given_nc: int):
    session = Rig().prepared().station.session
    assert session is not None
    session = session._replace(
        channels=(session.channels[0]._replace(spent=(ours_nc, 5, 6)),),
        course=session.course._replace(base_nc=(100,), seen_nc=(20,)),
    )
    assert given_by(session, 0) == Dose(nc=given_nc, i2t=5, on_ms=6)


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(("ua", "tires"), [(7_999, False), (8_000, False), (8_001, True)])
def test_a_current_below_the_motor_threshold_does_not_tire_and_one_above_does(ua: int, tires: bool):
    assert (mu_after(ua, quiet_ua=8_000) < 1_000_000) is tires


@pytest.mark.rule("M19")
@pytest.mark.hazard("H20")
def test_a_set_point_of_nothing_counts_any_current_as_all_of_it():
    assert mu_after(1, SETTING._replace(setpoint_ua=0)) == mu_after(20_000)


@pytest.mark.rule("M01")
@pytest.mark.hazard("H14")
def test_what_ends_leaves_the_highest_current_of_the_span_on_record():
    channel = FRESH._replace(train=plan().train(20_000), low_ua=5_000, high_ua=20_000)
    after = begin(channel, SETTING, NMES, 100, None, 50)
    assert (after.train, after.low_ua, after.high_ua) == (None, 0, 20_000)


# Orders to stop


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
def test_one_pulse_may_overtake_an_order_to_stop():
    channel = FRESH._replace(train=plan().train(20_000), spent=(1, 2, 3))
    assert overtaken(channel) == channel._replace(spent=(12_001, 240_000_000_002, 3))
    assert overtaken(FRESH) == FRESH


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
@pytest.mark.parametrize(("late_ms", "pulses"), [(1, 2), (25, 2), (26, 3), (100, 5)])
def test_what_flows_while_an_order_is_not_heard_is_counted_at_the_set_point(late_ms: int, pulses: int):
    channel = FRESH._replace(spent=(1, 2, 3))
    spent = (1 + pulses * 12_600, 2 + pulses * 252_000_000_000, 3 + late_ms)
    assert unheard(channel, SETTING, late_ms) == channel._replace(spent=spent)
