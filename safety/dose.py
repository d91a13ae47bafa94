"""Counting what was given.

Pessimistic, pulse by pulse, the remainder carried from tick to tick, one pulse more for each train.
"""

from safety.fatigue import RESTED_PPM, STEP_MS, fatigue
from safety.limits import Modality
from safety.prescription import NMES_FAST_US, Dose, Programme
from safety.state import Channel, Setting
from safety.units import ceil_div
from safety.waveform import Train, pulse_i2t, pulse_nc


def play(channel: Channel, setting: Setting, programme: Programme, played_ms: int, elapsed_ms: int) -> Channel:
    """Let `elapsed_ms` pass on one channel with the train that was in force.

    `played_ms` is the played time at its end.
    """
    train, low_ua, high_ua, remainder_us, spent, mu_ppm, since_zero_ms, plateau_ms, rest_ms, contact = channel
    steps = played_ms // STEP_MS - (played_ms - elapsed_ms) // STEP_MS
    if train is None:
        mu_ppm = fatigue(mu_ppm, 0, steps)
        return Channel(None, low_ua, high_ua, 0, spent, mu_ppm, 0, 0, rest_ms + elapsed_ms, contact)
    pulses, remainder_us = divmod(remainder_us + elapsed_ms * 1000, train.period_us)
    nc, i2t, on_ms = spent
    drive_ppm = 0
    if programme.modality is Modality.NMES and train.period_us < NMES_FAST_US:
        drive_ppm = min(train.ua * RESTED_PPM // setting.setpoint_ua, RESTED_PPM)
    return Channel(
        train,
        low_ua,
        high_ua,
        remainder_us,
        (nc + pulses * pulse_nc(train), i2t + pulses * pulse_i2t(train), on_ms + elapsed_ms),
        fatigue(mu_ppm, drive_ppm, steps),
        since_zero_ms + elapsed_ms,
        plateau_ms + elapsed_ms if is_plateau(train, setting) else 0,
        0,
        contact,
    )


def is_plateau(train: Train, setting: Setting) -> bool:
    """Tell whether this train stands at the set-point, as far as the device's step of quantising allows (1 %)."""
    return train.ua * 100 >= setting.setpoint_ua * 99


def begin(channel: Channel, train: Train | None, late_ms: int) -> Channel:
    """Put another train in force.

    A train that starts from zero counts one pulse at once, and has been rising since the last tick, `late_ms` ago.
    """
    if train == channel.train:
        return channel
    ua = train.ua if train else 0
    low_ua, high_ua = min(channel.low_ua, ua), max(channel.high_ua, ua)
    if train is None:
        return channel._replace(
            train=None, low_ua=low_ua, high_ua=high_ua, remainder_us=0, since_zero_ms=0, plateau_ms=0
        )
    spent, since_zero_ms = channel.spent, channel.since_zero_ms
    if channel.train is None:
        since_zero_ms = late_ms
        spent = (spent[0] + pulse_nc(train), spent[1] + pulse_i2t(train), spent[2])
    return channel._replace(train=train, low_ua=low_ua, high_ua=high_ua, spent=spent, since_zero_ms=since_zero_ms)


def measured_nc(base_nc: int, seen_nc: int, accuracy_ppm: int) -> int:
    """Charge by the device's own measurement, with its accuracy laid on top."""
    return ceil_div((base_nc + seen_nc) * (1_000_000 + accuracy_ppm), 1_000_000)


def charged(channel: Channel, measured: int | None) -> Dose:
    """Charge a channel by the device's measurement where it has one, else by what was applied."""
    nc, i2t, on_ms = channel.spent
    return Dose(nc=nc if measured is None else measured, i2t=i2t, on_ms=on_ms)
