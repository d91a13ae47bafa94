"""Rounding to the steps of a device, never towards more current: current and width down, period up.

Bounds are checked before rounding, so that nothing is moved into range. Steps count from zero.
"""

from safety.messages import Capabilities
from safety.units import ceil_div, is_whole
from safety.waveform import Picture, Train

from .base import NotRepresentable


def quantised(picture: Picture, caps: Capabilities) -> Picture:
    """Round a picture; a train whose current becomes 0 is left out. Raises NotRepresentable."""
    trains, channel = [], 0
    for train in picture.trains:
        require(train, "channel", channel + 1, caps.channels)
        channel = train.channel
        ua = down(train, "ua", 0, caps.max_ua, caps.step_ua)
        width_us = down(train, "width_us", caps.min_width_us, caps.max_width_us, caps.width_step_us)
        step_us = caps.period_step_us
        period_us = (
            ceil_div(require(train, "period_us", caps.min_period_us, caps.max_period_us // step_us * step_us), step_us)
            * step_us
        )
        gap_us = require(train, "gap_us", caps.min_gap_us, min(caps.max_gap_us, period_us - 2 * width_us))
        if ua:
            trains.append(Train(channel, ua, width_us, gap_us, period_us))
    return Picture(tuple(trains))


def down(train: Train, field: str, low: int, high: int, step: int) -> int:
    """Round a field down to its step. Raises NotRepresentable when it, or what it rounds to, is out of bounds."""
    return require(train, field, ceil_div(low, step) * step, high) // step * step


def require(train: Train, field: str, low: int, high: int) -> int:
    """Give a field as it is. Raises NotRepresentable when it is no whole number within bounds."""
    value: int = getattr(train, field)
    if not is_whole(value, low, high):
        raise NotRepresentable(train.channel, field, value, low, high)
    return value
