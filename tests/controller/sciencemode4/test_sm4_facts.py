"""What a P24 can give: rounding at every boundary, patterns that balance, and ohms from samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.devices import sciencemode4_facts as facts
from controller.devices.base import DeviceError, NotRepresentable
from controller.devices.sciencemode4_acks import DeviceId, Level, Pulsed, Result, Version
from controller.devices.sciencemode4_frames import Measure, MidUpdate, Point, read_request
from safety.messages import DeviceState
from safety.waveform import OFF, Picture, Train

ON = Train(1, 20_000, 200, 100, 28_500)

trains = st.builds(
    Train,
    st.just(1),
    st.integers(0, 130_000),
    st.integers(10, 4_095),
    st.integers(0, 4_095),
    st.integers(20_000, 16_383_000),
)


def one(**changes: int) -> Train:
    """The train that a changed one is rounded to."""
    (train,) = facts.rounded(Picture((ON._replace(**changes),))).trains
    return train


@pytest.mark.parametrize(
    ("field", "asked", "given_"),
    [
        ("ua", 500, 500),
        ("ua", 999, 500),
        ("ua", 1_000, 1_000),
        ("ua", 129_999, 129_500),
        ("ua", 130_000, 130_000),
        ("width_us", 10, 10),
        ("width_us", 11, 11),
        ("width_us", 4_095, 4_095),
        ("gap_us", 0, 0),
        ("gap_us", 1, 10),
        ("gap_us", 9, 10),
        ("gap_us", 10, 10),
        ("gap_us", 11, 11),
        ("gap_us", 4_095, 4_095),
        ("period_us", 28_571, 28_750),
        ("period_us", 28_750, 28_750),
        ("period_us", 28_751, 29_000),
        ("period_us", 28_500, 28_500),
        ("period_us", 8_333, 8_500),
        ("period_us", 8_191_499, 8_191_500),
        ("period_us", 8_191_500, 8_191_500),
        ("period_us", 8_191_501, 8_192_000),
        ("period_us", 8_191_750, 8_192_000),
        ("period_us", 8_192_001, 8_192_500),
        ("period_us", 16_382_501, 16_383_000),
        ("period_us", 16_383_000, 16_383_000),
    ],
)
def test_a_train_is_rounded_to_less_current_and_a_longer_period(field: str, asked: int, given_: int) -> None:
    assert one(**{field: asked}) == ON._replace(**{field: given_})


@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channel", 0),
        ("channel", 9),
        ("ua", -1),
        ("ua", 130_001),
        ("ua", 150_000),
        ("width_us", 9),
        ("width_us", 4_096),
        ("gap_us", -1),
        ("gap_us", 4_096),
        ("period_us", 499),
        ("period_us", 16_383_001),
        ("period_us", 16_384_000),
        ("period_us", 20_000_000),
    ],
)
def test_what_does_not_fit_is_refused_never_wrapped(field: str, value: int) -> None:
    with pytest.raises(NotRepresentable, match=field):
        one(**{field: value})


def test_less_than_a_step_of_current_is_nothing() -> None:
    assert facts.rounded(Picture((ON._replace(ua=499),))) == OFF


@pytest.mark.parametrize(
    ("width_us", "period_us", "fits"), [(420, 1_000, False), (419, 1_000, True), (219, 500, True), (220, 500, False)]
)
def test_pulses_and_what_the_device_takes_for_itself_leave_time_over(width_us: int, period_us: int, fits: bool) -> None:
    # 2 * 420 + 100 + 60 us in a millisecond are all of it.
    train = ON._replace(width_us=width_us, gap_us=100 if period_us == 1_000 else 0, period_us=period_us)
    if fits:
        assert facts.rounded(Picture((train,))) == Picture((train,))
    else:
        with pytest.raises(NotRepresentable, match="share of the time"):
            facts.rounded(Picture((train,)))


def test_all_channels_share_the_time() -> None:
    # Eight channels of 1,000 us each in 8,000 us.
    full = tuple(Train(channel, 1_000, 420, 100, 8_000) for channel in range(1, 9))
    with pytest.raises(NotRepresentable, match="1000000 is not within 0 to 999999"):
        facts.rounded(Picture(full))
    assert facts.rounded(Picture((*full[:7], full[7]._replace(width_us=419)))).trains[:7] == full[:7]
    rising = [train.channel for train in facts.rounded(Picture(full[:7])).trains]
    assert rising == list(range(1, 8))


@given(trains)
def test_what_is_rounded_stays_as_it_is_and_is_written_and_read_alike(train: Train) -> None:
    try:
        picture = facts.rounded(Picture((train,)))
    except NotRepresentable:
        return
    assert facts.rounded(picture) == picture
    update = facts.update_of(picture)
    read = read_request(MidUpdate.COMMAND, update.to_payload())
    assert read == update
    assert isinstance(read, MidUpdate)
    for got, pattern in zip(picture.trains, read.patterns, strict=True):
        assert 0 <= got.period_us - train.period_us < 500
        assert (pattern.channel, pattern.period_us, pattern.ramp) == (got.channel, got.period_us, 0)


@pytest.mark.rule("G16")
@pytest.mark.hazard("H15")
@given(trains)
def test_every_pulse_is_biphasic_and_its_charge_is_balanced_to_the_last(train: Train) -> None:
    points = facts.points_of(train)
    assert len(points) == (3 if train.gap_us else 2)
    assert points[0] == Point(train.width_us, train.ua)
    assert sum(width_us * ua for width_us, ua in points) == 0


def test_the_points_of_a_pulse_are_a_phase_the_gap_and_the_phase_turned_round() -> None:
    assert facts.points_of(ON) == (Point(200, 20_000), Point(100, 0), Point(200, -20_000))
    assert facts.points_of(ON._replace(gap_us=0)) == (Point(200, 20_000), Point(200, -20_000))
    assert facts.update_of(OFF) == MidUpdate(())


# Who it is


def test_an_identity_is_told() -> None:
    version = Version(69, Result.OK, (1, 2, 3), (4, 1, 0))
    who = facts.identity_of(DeviceId(53, Result.OK, "P240000017"), version)
    assert (who.model, who.serial, who.firmware, who.protocol, who.emulator) == ("p24", "P240000017", "1.2.3", 4, False)
    assert facts.identity_of(DeviceId(53, Result.OK, "EMU0000001"), version).emulator


@pytest.mark.parametrize("protocol", [3, 5])
def test_another_protocol_is_refused(protocol: int) -> None:
    with pytest.raises(DeviceError, check=lambda error: error.code == "DEV.PROTOCOL"):
        facts.identity_of(DeviceId(53, Result.OK, "P240000017"), Version(69, Result.OK, (1, 2, 3), (protocol, 0, 0)))


@pytest.mark.parametrize(
    ("level", "state"),
    [
        (Level.NOTHING, DeviceState.STOPPED),
        (Level.LOW, DeviceState.ARMED),
        (Level.MID, DeviceState.ARMED),
        (Level.MID_RUNNING, DeviceState.RUNNING),
    ],
)
def test_a_level_with_high_voltage_is_not_stopped(level: Level, state: DeviceState) -> None:
    assert facts.state_of(level) is state


# Ohms


def pulsed(every_us: int) -> Pulsed:
    return Pulsed(3, Result.OK, 1, Measure.CURRENT, every_us, tuple(range(128)))


@pytest.mark.parametrize(
    ("every_us", "width_us", "index"), [(5, 300, 58), (5, 301, 59), (1, 128, 126), (10, 500, 48), (100, 201, 1)]
)
def test_the_end_of_a_phase_is_the_last_sample_that_lies_in_it_by_either_reading(
    every_us: int, width_us: int, index: int
) -> None:
    assert facts.at_phase_end(pulsed(every_us), width_us) == index
    assert (index + 1) * every_us < width_us


@pytest.mark.parametrize(("every_us", "width_us"), [(0, 300), (1, 130), (150, 150), (300, 300), (2, 300)])
def test_samples_that_do_not_show_the_end_of_a_phase_are_refused(every_us: int, width_us: int) -> None:
    with pytest.raises(ValueError, match="sample"):
        facts.at_phase_end(pulsed(every_us), width_us)
