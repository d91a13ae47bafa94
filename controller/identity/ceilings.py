"""Limits of a credential: what one principal may not pass, though device, site, prescription and tolerance allow it.

They bind who asks, not the session: what another person may ask of the same session stays as it was. They are judged
before the heart and can only refuse, so the heart's own limits hold in any case.
"""

from typing import NamedTuple

from safety.messages import Adjust, ArmSession, CalibrationStep, Command, Prepare, Resume, Start
from safety.prescription import Prescription
from safety.state import Session, Station
from safety.verdict import Reason, Severity

CODE = "LIM.CREDENTIAL"


class Ceilings(NamedTuple):
    """The highest set-point, the widest phase of a pulse, the longest therapy; None: no limit of its own."""

    ua: int | None = None
    width_us: int | None = None
    therapy_ms: int | None = None


NONE = Ceilings()


def binds(ceilings: Ceilings, station: Station, command: Command) -> Reason | None:
    """Give the first limit of the sender's credential that a command would pass, or None."""
    if ceilings == NONE:
        return None
    wish, session = command.wish, station.session
    match wish:
        case Prepare(rx=Prescription() as rx):
            return _first(ceilings, rx, {plan.channel: plan.ua for plan in rx.channels})
        case ArmSession() | Start() | Resume() if session is not None:
            return _first(ceilings, session.rx, _set(session))
        case Adjust(channel=channel, delta_ua=delta_ua) if session is not None and delta_ua > 0:
            return _first(ceilings, session.rx, {channel: _set(session).get(channel, 0) + delta_ua})
        case CalibrationStep(delta_ua=delta_ua) if session is not None and session.trial and delta_ua > 0:
            channel = session.trial.channel
            return _first(ceilings, session.rx, {channel: _set(session).get(channel, 0) + delta_ua})
    return None


def _set(session: Session) -> dict[int, int]:
    return {setting.plan.channel: setting.setpoint_ua for setting in session.settings}


def _first(ceilings: Ceilings, rx: Prescription, currents: dict[int, int]) -> Reason | None:
    for channel, ua in currents.items():
        if ceilings.ua is not None and ua > ceilings.ua:
            return Reason("", Severity.REFUSE, CODE, channel, ua, ceilings.ua, "uA")
    for plan in rx.channels:
        if ceilings.width_us is not None and plan.channel in currents and plan.width_us > ceilings.width_us:
            return Reason("", Severity.REFUSE, CODE, plan.channel, plan.width_us, ceilings.width_us, "us")
    if ceilings.therapy_ms is not None and rx.programme.therapy_ms > ceilings.therapy_ms:
        return Reason("", Severity.REFUSE, CODE, 0, rx.programme.therapy_ms, ceilings.therapy_ms, "ms")
    return None
