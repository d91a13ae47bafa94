"""The list of channels of a RehaStim2: what an envelope makes of it, and what a picture tells it (ADR 0013).

The device has one list with one period, made once in an arming. Pictures then change its currents and widths alone; a
channel that a picture does not name has no current.
"""

from typing import NamedTuple

from safety.effects import Arm, Envelope
from safety.units import ceil_div
from safety.waveform import Picture

from . import sciencemode2_frames as wire
from .base import DeviceError, NotRepresentable
from .sciencemode2_facts import CAPABILITIES, PERIOD_STEP_US, STEP_UA

SLOT_US = 1_500
"""What each channel takes of a period."""
MAIN_BASE_US = 1_000
"""The period of code 0, which itself means something else: once."""
INTER_CODE = 0
"""1.5 ms between the pulses of a group, the least there is; the groups here have one pulse."""
FIXED_SLOTS = 0
SINGLE = 0
IDLE = wire.Setting(SINGLE, 0, 0)


class Armed(NamedTuple):
    """What the device was armed with: under which permit, an envelope for each channel, ascending, their one period."""

    permit: int
    envelopes: tuple[Envelope, ...]
    period_us: int


def armed_by(effect: Arm) -> Armed:
    """Tell what list an Arm asks for. Raises NotRepresentable where one list cannot give it, DeviceError for none."""
    envelopes = tuple(sorted(effect.envelopes))
    if not envelopes or len({envelope.channel for envelope in envelopes}) < len(envelopes):
        raise DeviceError("SYS.INTERNAL", "a list of no channel, or of one twice")
    first_us = period_of(envelopes[0])
    for envelope in envelopes:
        within(envelope.channel, "channel", envelope.channel, 1, CAPABILITIES.channels)
        within(envelope.channel, "period_us", period_of(envelope), first_us, first_us)
        lowest_us = max(CAPABILITIES.min_period_us, SLOT_US * len(envelopes))
        within(envelope.channel, "period_us", envelope.min_period_us, lowest_us, CAPABILITIES.max_period_us)
    return Armed(effect.grant.permit, envelopes, first_us)


def list_of(armed: Armed) -> wire.InitChannelListMode:
    """Give the command that makes this list."""
    mask = sum(1 << envelope.channel - 1 for envelope in armed.envelopes)
    main_code = (armed.period_us - MAIN_BASE_US) // PERIOD_STEP_US
    return wire.InitChannelListMode(0, mask, 0, INTER_CODE, main_code, FIXED_SLOTS)


def period_of(envelope: Envelope) -> int:
    """Give the period that a train of at least this one is rounded up to."""
    return ceil_div(envelope.min_period_us, PERIOD_STEP_US) * PERIOD_STEP_US


def start_of(picture: Picture, armed: Armed) -> wire.StartChannelListMode:
    """Give what each channel of the list shall do in this picture; what is not in it is off.

    The device enforces no envelope by itself, so this does. Raises NotRepresentable for what lies outside it.
    """
    trains = {train.channel: train for train in picture.trains}
    settings = []
    for envelope in armed.envelopes:
        train = trains.pop(envelope.channel, None)
        if train is None:
            settings.append(IDLE)
            continue
        within(train.channel, "ua", train.ua, 0, envelope.max_ua)
        within(train.channel, "width_us", train.width_us, 0, envelope.max_width_us)
        within(train.channel, "period_us", train.period_us, armed.period_us, armed.period_us)
        settings.append(wire.Setting(SINGLE, train.width_us, train.ua // STEP_UA))
    if trains:
        raise DeviceError("SYS.INTERNAL", f"channels {sorted(trains)} are not armed")
    return wire.StartChannelListMode(tuple(settings))


def within(channel: int, field: str, value: int, low: int, high: int) -> None:
    """Raise NotRepresentable for a figure out of bounds."""
    if not low <= value <= high:
        raise NotRepresentable(channel, field, value, low, high)
