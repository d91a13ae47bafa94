"""Counting what was given.

Pessimistic, pulse by pulse, the remainder carried from tick to tick, one pulse more for each train.
"""

from safety.fatigue import RESTED_PPM, STEP_MS, fatigue
from safety.limits import Modality
from safety.prescription import NMES_FAST_US, Dose, Programme, late_dose
from safety.state import Channel, Session, Setting
from safety.units import ceil_div
from safety.waveform import Train, pulse_i2t, pulse_nc

UNREAD_PERCENT = 102
"""What of the applied dose is charged where nobody reads back what was given: a device that begins its beat anew with
each picture gives a pulse more now and then (engineering default, inside the 5 % that a reservation lays on top)."""
SLACK_MS = 200
"""How far a plateau may run over, or a rest fall short, before M20 trips (compiled; safety reference 7.2)."""


def given_by(session: Session, index: int) -> Dose:
    """Give what a channel of a session was given so far: by our own count, or the device's where that is more."""
    nc, i2t, on_ms = session.channels[index].spent
    seen_nc = session.course.base_nc[index] + session.course.seen_nc[index]
    return Dose(nc=max(nc, seen_nc), i2t=i2t, on_ms=on_ms)


def play(
    channel: Channel,
    setting: Setting,
    programme: Programme,
    step_ua: int,
    played_ms: int,
    elapsed_ms: int,
    quiet_ua: int = 0,
) -> Channel:
    """Let `elapsed_ms` pass on one channel with the train that was in force.

    `played_ms` is the played time at its end, `step_ua` the device's step of current. A train of at most `quiet_ua`
    does not tire the muscle.
    """
    train, low_ua, high_ua, remainder_us, spent, mu_ppm, since_zero_ms, pull_ms, plateau_ms, rest_ms = channel[:10]
    steps = played_ms // STEP_MS - (played_ms - elapsed_ms) // STEP_MS
    if train is None:
        mu_ppm = fatigue(mu_ppm, 0, steps)
        return Channel(
            None, low_ua, high_ua, 0, spent, mu_ppm, 0, pull_ms, plateau_ms, rest_ms + elapsed_ms, *channel[10:]
        )
    pulses, remainder_us = divmod(remainder_us + elapsed_ms * 1000, train.period_us)
    nc, i2t, on_ms = spent
    drive_ppm = 0
    if programme.modality is Modality.NMES and train.period_us < NMES_FAST_US and train.ua > quiet_ua:
        drive_ppm = min(train.ua * RESTED_PPM // max(setting.setpoint_ua, 1), RESTED_PPM)
    return Channel(
        train,
        low_ua,
        high_ua,
        remainder_us,
        (nc + pulses * pulse_nc(train), i2t + pulses * pulse_i2t(train), on_ms + elapsed_ms),
        fatigue(mu_ppm, drive_ppm, steps),
        since_zero_ms + elapsed_ms,
        pull_ms + elapsed_ms,
        plateau_ms + elapsed_ms if is_plateau(train.ua, setting.setpoint_ua, step_ua) else plateau_ms,
        0,
        *channel[10:],
    )


def overtaken(channel: Channel) -> Channel:
    """Count the pulse that may fall while an order to stop is on its way."""
    train, (nc, i2t, on_ms) = channel.train, channel.spent
    return channel._replace(spent=(nc + pulse_nc(train), i2t + pulse_i2t(train), on_ms)) if train else channel


def unheard(channel: Channel, setting: Setting, late_ms: int) -> Channel:
    """Count what flows at most in the time that a device has not heard an order to stop."""
    late = late_dose(setting.plan.train(setting.setpoint_ua), late_ms)
    nc, i2t, on_ms = channel.spent
    return channel._replace(spent=(nc + late.nc, i2t + late.i2t, on_ms + late.on_ms))


def is_plateau(ua: int, setpoint_ua: int, step_ua: int) -> bool:
    """Tell whether a current stands at the set-point, as far as the device's step of current lets it."""
    return ua + step_ua > setpoint_ua


def near_ms(ramp_ms: int, setpoint_ua: int, step_ua: int) -> int:
    """Give how long a ramp stays within one device step of its end, or of zero."""
    return ceil_div(ramp_ms * step_ua, setpoint_ua)


def begin(
    channel: Channel,
    setting: Setting,
    programme: Programme,
    step_ua: int,
    train: Train | None,
    late_ms: int,
    pull: int = 1,
) -> Channel:
    """Put another train in force.

    A train that starts from zero counts one pulse at once. Its ramp has been rising since the last tick, `late_ms`
    ago, and before that for as long as it stayed below the device's first step. It begins a contraction of its own
    only after the planned rest: a ramp that a lower set-point put back to zero for a moment goes on where it was. It
    counts as `pull` contractions: a calibration's burst as none.
    """
    if train == channel.train:
        return channel
    ua = train.ua if train else 0
    low_ua, high_ua = min(channel.low_ua, ua), max(channel.high_ua, ua)
    if train is None:
        return channel._replace(train=None, low_ua=low_ua, high_ua=high_ua, remainder_us=0, since_zero_ms=0)
    if channel.train is None:
        nc, i2t, on_ms = channel.spent
        channel = channel._replace(
            spent=(nc + pulse_nc(train), i2t + pulse_i2t(train), on_ms),
            since_zero_ms=late_ms + near_ms(programme.ramp_up_ms, setting.setpoint_ua, step_ua),
        )
        if channel.rest_ms >= programme.off_ms - SLACK_MS:
            of_set, of_session = channel.pulls
            channel = channel._replace(pull_ms=0, plateau_ms=0, pulls=(of_set + pull, of_session + pull))
    return channel._replace(train=train, low_ua=low_ua, high_ua=high_ua)


def measured_nc(base_nc: int, seen_nc: int, accuracy_ppm: int) -> int:
    """Charge by the device's own measurement, with its accuracy laid on top."""
    return ceil_div((base_nc + seen_nc) * (1_000_000 + accuracy_ppm), 1_000_000)


def charged(channel: Channel, measured: int | None) -> Dose:
    """Charge a channel by the device's measurement where it has one, else by what was applied and a little more."""
    nc, i2t, on_ms = channel.spent
    if measured is None:
        return Dose(nc=ceil_div(nc * UNREAD_PERCENT, 100), i2t=ceil_div(i2t * UNREAD_PERCENT, 100), on_ms=on_ms)
    return Dose(nc=measured, i2t=i2t, on_ms=on_ms)
