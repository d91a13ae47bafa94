"""What a picture may be: under cap, set-point and ramp line, and nothing but what was prescribed (I2, I3)."""

from __future__ import annotations

from typing import Final

from safety.messages import Now
from safety.state import Phase, Session, Station
from safety.waveform import Picture, Train
from tests.proof.ghost import Ghost
from tests.proof.truth import cap_ua

FLOWING: Final = (Phase.RUNNING, Phase.CALIBRATING)


def pictured(ghost: Ghost, picture: Picture, after: Station, now: Now) -> list[tuple[str, str]]:
    """Judge a picture against cap, set-point, prescription and ramp line (I2, I3); each fault with its rule."""
    session = after.session
    if session is None or after.device is None:
        return [("a picture stands without a session", "M02")]
    faults, settings, last = [], {setting.plan.channel: setting for setting in session.settings}, 0
    for train in picture.trains:
        setting = settings.get(train.channel)
        if setting is None or train.channel <= last:
            faults.append((f"channel {train.channel} is none of the session's, or stands twice", "M02"))
            continue
        last, plan = train.channel, setting.plan
        if train.width_us > plan.width_us or train.period_us < plan.period_us:
            faults.append((f"channel {last} has another pulse than was prescribed", "M02"))
        if not 0 < train.ua <= effective_ua(after, session, train, now):
            faults.append((f"channel {last} stands above its effective cap", "M02"))
        if train.ua > line_ua(ghost, after, session, train, now):
            faults.append((f"channel {last} stands above its ramp line or its committed set-point", "M03"))
    return faults


def effective_ua(after: Station, session: Session, train: Train, now: Now) -> int:
    """Give the effective cap of a train's channel, by truth.py; ages are judged as of arming."""
    plan = next(setting.plan for setting in session.settings if setting.plan.channel == train.channel)
    armed_wall_ms = now.wall_ms - (now.mono_ms - session.course.armed_ms)
    site = after.config.limits[session.rx.programme.modality]
    trial = session.trial is not None
    return cap_ua(site, session.rx, plan, after.device.caps, armed_wall_ms, trial=trial) if after.device else 0


def line_ua(ghost: Ghost, after: Station, session: Session, train: Train, now: Now) -> int:
    """Give the highest current that the ramp line allows now: one device step above it is within, and its last ms."""
    setpoint = next(setting.setpoint_ua for setting in session.settings if setting.plan.channel == train.channel)
    if session.trial is None:
        setpoint = min(setpoint, dict(ghost.ceiling).get(train.channel, 0))
    risen_ms = now.mono_ms - dict(ghost.rises).get(train.channel, now.mono_ms)
    step_ua = after.device.caps.step_ua if after.device else 0
    if session.trial is not None:
        # A press raises the set-point on the ramp, which has been rising since the button went down.
        risen_ms = now.mono_ms - ghost.down_ms
    return min(setpoint, setpoint * (risen_ms + 1) // session.programme.ramp_up_ms + step_ua)


def moved(before: Station, after: Station) -> bool:
    """Tell whether a set-point that current may follow has moved."""
    old, new = before.session, after.session
    return new is not None and old is not None and after.phase is Phase.RUNNING and old.settings is not new.settings


def capped(before: Station, now: Now) -> bool:
    """Tell whether every set-point lies within its effective cap (G08 and the pulse rules)."""
    session, device = before.session, before.device
    if session is None or device is None:
        return False
    site = before.config.limits[session.rx.programme.modality]
    return all(
        0 < setting.setpoint_ua <= cap_ua(site, session.rx, setting.plan, device.caps, now.wall_ms)
        for setting in session.settings
    )
