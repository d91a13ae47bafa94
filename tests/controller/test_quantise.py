"""Rounding to a device's steps: never more current or width, never a shorter period, never into range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.devices.base import NotRepresentable
from controller.devices.quantise import quantised
from safety.messages import Capabilities
from safety.waveform import OFF, Picture, Train

CAPS = Capabilities(
    channels=2,
    max_ua=100_000,
    step_ua=500,
    min_width_us=50,
    max_width_us=500,
    width_step_us=10,
    min_period_us=8_334,
    max_period_us=1_000_000,
    period_step_us=1,
    compliance_mv=150_000,
    dead_man_ms=500,
    accuracy_ppm=20_000,
    mismatch_ppm=10_000,
    numeric_impedance=True,
    electrode_flag_from_ua=0,
    readback=True,
    patient_stop=True,
    relay=True,
    supply_min_mv=10_800,
    supply_max_mv=13_200,
)
ON = Train(1, 20_000, 300, 100, 25_000)

devices = st.builds(
    lambda ua, step_ua, width, step_us, period, period_step: replace(
        CAPS,
        channels=8,
        max_ua=max(ua, step_ua),
        step_ua=step_ua,
        min_width_us=min(width),
        max_width_us=max(*width, min(width) + step_us),
        width_step_us=step_us,
        min_period_us=min(period),
        max_period_us=max(period) + period_step,
        period_step_us=period_step,
    ),
    st.integers(1, 130_000),
    st.integers(1, 3_000),
    st.tuples(st.integers(1, 4_000), st.integers(1, 4_000)),
    st.integers(1, 100),
    st.tuples(st.integers(10_000, 1_000_000), st.integers(10_000, 1_000_000)),
    st.integers(1, 5_000),
)


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Capabilities, Picture]:
    """A device, and a picture that it can give."""
    caps = draw(devices)
    first_us = -(-caps.min_width_us // caps.width_step_us) * caps.width_step_us
    last_us = caps.max_period_us // caps.period_step_us * caps.period_step_us
    channels = draw(st.sets(st.integers(1, 8)))
    return caps, Picture(
        tuple(
            Train(
                channel,
                draw(st.integers(0, caps.max_ua)),
                draw(st.integers(first_us, caps.max_width_us)),
                draw(st.integers(0, 1_000)),
                draw(st.integers(caps.min_period_us, last_us)),
            )
            for channel in sorted(channels)
        )
    )


@given(wishes())
def test_current_and_width_only_fall_the_period_only_rises_each_by_less_than_a_step(
    wish: tuple[Capabilities, Picture],
) -> None:
    caps, picture = wish
    got = {train.channel: train for train in quantised(picture, caps).trains}
    for train in picture.trains:
        if train.ua < caps.step_ua:
            assert train.channel not in got
            continue
        given_train = got.pop(train.channel)
        assert given_train.gap_us == train.gap_us
        assert 0 <= train.ua - given_train.ua < caps.step_ua
        assert 0 <= train.width_us - given_train.width_us < caps.width_step_us
        assert 0 <= given_train.period_us - train.period_us < caps.period_step_us
        assert (given_train.ua % caps.step_ua, given_train.width_us % caps.width_step_us) == (0, 0)
        assert given_train.period_us % caps.period_step_us == 0
        assert caps.min_width_us <= given_train.width_us
        assert given_train.period_us <= caps.max_period_us
    assert got == {}


@given(wishes())
def test_what_is_rounded_stays_as_it_is(wish: tuple[Capabilities, Picture]) -> None:
    caps, picture = wish
    once = quantised(picture, caps)
    assert quantised(once, caps) == once


@given(st.builds(Train, *(st.integers(-10, 1 << 33) for _ in range(5))))
def test_any_train_is_given_within_the_device_or_refused(train: Train) -> None:
    try:
        got = quantised(Picture((train,)), CAPS)
    except NotRepresentable:
        return
    for one in got.trains:
        assert 1 <= one.channel <= CAPS.channels
        assert 0 < one.ua <= min(train.ua, CAPS.max_ua)
        assert CAPS.min_width_us <= one.width_us <= min(train.width_us, CAPS.max_width_us)
        assert max(train.period_us, CAPS.min_period_us) <= one.period_us <= CAPS.max_period_us
        assert 2 * one.width_us + one.gap_us <= one.period_us


BOUNDS = [
    ("ua", 0, 100_000),
    ("width_us", 50, 500),
    ("period_us", 8_334, 1_000_000),
    ("gap_us", 0, 25_000 - 2 * 300),
    ("channel", 1, 2),
]


@pytest.mark.parametrize(("field", "low", "high"), BOUNDS)
def test_bounds_are_exact_and_named(field: str, low: int, high: int) -> None:
    for value in (low, high):
        quantised(Picture((ON._replace(**{field: value}),)), CAPS)
    for value in (low - 1, high + 1, -(1 << 40), 1 << 40):
        with pytest.raises(NotRepresentable) as refused:
            quantised(Picture((ON._replace(**{field: value}),)), CAPS)
        error = refused.value
        channel = value if field == "channel" else 1
        assert (error.channel, error.field, error.value, error.low, error.high) == (channel, field, value, low, high)
        assert str(error) == f"channel {channel}: {field} = {value} is not within {low} to {high}"


@pytest.mark.parametrize("field", Train._fields)
@pytest.mark.parametrize("value", [True, 1.0, 300.5, None, "300"])
def test_what_is_no_whole_number_is_refused(field: str, value: object) -> None:
    odd = ON._replace(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(NotRepresentable):
        quantised(Picture((odd,)), CAPS)


@pytest.mark.parametrize("channels", [(1, 1), (2, 1), (2, 2), (1, 2, 2), (1, 2, 3)])
def test_channels_ascend_each_at_most_once(channels: tuple[int, ...]) -> None:
    picture = Picture(tuple(ON._replace(channel=channel) for channel in channels))
    with pytest.raises(NotRepresentable, match="channel = "):
        quantised(picture, CAPS)


def test_an_order_that_is_wrong_in_a_channel_that_is_off_is_refused_too() -> None:
    with pytest.raises(NotRepresentable):
        quantised(Picture((ON, ON._replace(ua=0))), CAPS)


@pytest.mark.parametrize(
    ("asked", "given_train"),
    [
        (ON, ON),
        (ON._replace(ua=20_499), ON),
        (ON._replace(ua=19_999), ON._replace(ua=19_500)),
        (ON._replace(width_us=309), ON),
        (ON._replace(period_us=8_334), ON._replace(period_us=8_334)),
        (ON._replace(ua=500), ON._replace(ua=500)),
    ],
)
def test_by_hand(asked: Train, given_train: Train) -> None:
    assert quantised(Picture((asked,)), CAPS) == Picture((given_train,))


def test_a_frequency_never_rises() -> None:
    # 35 Hz is 28,571.4 us; in steps of half a millisecond 28.5 ms would be 35.09 Hz, above what was prescribed.
    caps = replace(CAPS, period_step_us=500)
    assert quantised(Picture((ON._replace(period_us=28_572),)), caps).trains[0].period_us == 29_000


@pytest.mark.parametrize("ua", [0, 1, 499])
def test_less_than_a_step_is_off(ua: int) -> None:
    two = Picture((ON._replace(ua=ua), ON._replace(channel=2)))
    assert quantised(two, CAPS) == Picture((ON._replace(channel=2),))
    assert quantised(Picture((ON._replace(ua=ua),)), CAPS) == OFF


def test_bounds_that_are_no_multiple_of_the_step_are_not_passed_by_rounding() -> None:
    caps = replace(
        CAPS, min_width_us=55, max_width_us=495, min_period_us=8_334, max_period_us=999_999, period_step_us=100
    )
    for field, low, high in (("width_us", 60, 495), ("period_us", 8_334, 999_900)):
        for value, fits in ((low - 1, False), (low, True), (high, True), (high + 1, False)):
            picture = Picture((ON._replace(**{field: value}),))
            if fits:
                quantised(picture, caps)
            else:
                with pytest.raises(NotRepresentable):
                    quantised(picture, caps)


def test_pulses_that_would_overlap_are_refused() -> None:
    caps = replace(CAPS, max_width_us=5_000)
    touching = ON._replace(width_us=4_000, gap_us=334, period_us=8_334)
    assert quantised(Picture((touching,)), caps) == Picture((touching,))
    for train in (touching._replace(gap_us=335), touching._replace(width_us=4_200, gap_us=0)):
        with pytest.raises(NotRepresentable, match="gap_us"):
            quantised(Picture((train,)), caps)


@pytest.mark.parametrize(("gap_us", "fits"), [(99, False), (100, True), (200, True), (201, False)])
def test_a_device_bounds_the_gap(gap_us: int, fits: bool) -> None:
    caps, picture = replace(CAPS, min_gap_us=100, max_gap_us=200), Picture((ON._replace(gap_us=gap_us),))
    if fits:
        assert quantised(picture, caps) == picture
    else:
        with pytest.raises(NotRepresentable, match=f"gap_us = {gap_us} is not within 100 to 200"):
            quantised(picture, caps)


def test_the_wire_bounds_the_gap() -> None:
    slow = ON._replace(period_us=1_000_000, gap_us=65_535)
    assert quantised(Picture((slow,)), CAPS) == Picture((slow,))
    with pytest.raises(NotRepresentable, match="gap_us = 65536 is not within 0 to 65535"):
        quantised(Picture((slow._replace(gap_us=65_536),)), CAPS)
