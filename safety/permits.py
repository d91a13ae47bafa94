"""Permissions: what they reserve and bound, and the wish that waits for one.

A permit is committed first; only when it is durable is the device armed with the bounds that it shall enforce by
itself.
"""

from dataclasses import replace

from safety.dose import given_by, measured_nc
from safety.effects import Arm, ChannelRequest, Envelope, Permit, PermitRequest, WishRecord
from safety.impedance import median
from safety.messages import Command, EntryKind
from safety.prescription import Dose, late_dose, worst_dose
from safety.state import Purpose, Session, Setting, Waiting
from safety.turn import Turn, sure
from safety.waveform import Train

PROBE_UA = 1_000
PROBES = 3
"""Test pulses per channel and their amplitude.

Below sensation, three so that their spread can be judged (safety reference 2.3).
"""


def probe_train(session: Session, number: int) -> Train:
    """Make the test pulse of a channel: the therapy's own width, so that the ohms can be compared with it."""
    plan = next(setting.plan for setting in session.settings if setting.plan.channel == number)
    return Train(number, PROBE_UA, min(plan.width_us, 500), 0, 1_000_000)


def permit_request(session: Session, permit: Permit, *, probe: bool = False, trial: bool = False) -> PermitRequest:
    """Say what a permit asks of the ledger; a calibration (`trial`) plans no time on a plateau."""
    settings = {setting.plan.channel: setting for setting in session.settings}
    ohms = {reading.channel: median(reading.ohms) for reading in session.readings}
    return PermitRequest(
        permit=permit,
        session=session.id,
        patient=session.rx.patient,
        rx=session.rx.ref,
        rx_digest=session.rx.digest,
        modality=session.rx.programme.modality,
        on_time_ms=0 if trial else session.rx.programme.plateau_ms,
        probe=probe,
        limits=session.limits,
        skin_checked=session.care.skin_ms > 0,
        channels=tuple(
            channel_request(settings[e.channel], dose, ohms.get(e.channel, 0))
            for e, dose in zip(permit.envelopes, permit.reserve, strict=True)
            if probe or dose != Dose()
        ),
    )


def channel_request(setting: Setting, reserve: Dose, ohm: int) -> ChannelRequest:
    """Say what one channel of a permit asks."""
    plan = setting.plan
    return ChannelRequest(
        channel=plan.channel, site=plan.site, pair=plan.pair, reserve=reserve, ua=setting.setpoint_ua, ohm=ohm,
        pads=setting.pads,
    )  # fmt: skip


def therapy_permit(turn: Turn, session: Session) -> Permit:
    """Make the permit for what is left of this session: what was given, the worst that may still be, a lost stop.

    The reservation is for the set-point; the device's own envelope reaches to the top of the prescribed window, so
    that a permitted rise needs no
    new arming. What was given is reserved as it will be charged: with the device's accuracy laid on top.
    """
    programme, accuracy_ppm = session.rx.programme, sure(turn.station.device).caps.accuracy_ppm
    left_ms, dead_man_ms = programme.therapy_ms - session.course.played_ms, turn.station.dead_man_ms
    envelopes, reserve = [], []
    for index, setting in enumerate(session.settings):
        plan, given = setting.plan, given_by(session, index)
        dose = worst_dose(plan, programme, setting.setpoint_ua, left_ms)
        late = late_dose(plan.train(setting.setpoint_ua), dead_man_ms)
        most = (
            given + worst_dose(plan, programme, plan.max_ua, left_ms) + late_dose(plan.train(plan.max_ua), dead_man_ms)
        )
        most_nc = min(most.nc, session.limits.session_nc)
        envelopes.append(Envelope(plan.channel, plan.max_ua, plan.width_us, plan.period_us, most_nc))
        reserve.append(replace(given, nc=measured_nc(given.nc, 0, accuracy_ppm)) + dose + late)
    lasts_ms = session.limits.arm_to_start_ms + programme.therapy_ms * 3 // 2
    return Permit(
        turn.next_id, session.id, session.rx.digest, tuple(envelopes), tuple(reserve), turn.now.mono_ms + lasts_ms
    )


def wait(
    turn: Turn,
    command: Command,
    purpose: Purpose,
    permit: Permit,
    *,
    entry: int = 0,
    grant: int = 0,
    channels: tuple[int, ...] = (),
    setpoint_ua: int = 0,
) -> None:
    """Keep the wish until what it waits for has come."""
    waiting = Waiting(command, purpose, entry, grant, turn.now.mono_ms, permit, channels, setpoint_ua)
    turn.station = turn.station._replace(waiting=waiting)


def rolled(session: Session) -> Session:
    """Add up what the device has counted, before the next arming lets it count anew."""
    course = session.course
    base = tuple(before + seen for before, seen in zip(course.base_nc, course.seen_nc, strict=True))
    return session._replace(course=course._replace(base_nc=base, seen_nc=(0,) * len(base)))


def arm_device(
    turn: Turn, session: Session, command: Command, purpose: Purpose, permit: Permit, channels: tuple[int, ...] = ()
) -> None:
    """Send the envelope that the device shall enforce by itself, for what is left of the permit.

    A channel that may give nothing is not armed at all.
    """
    session = rolled(session)._replace(permit=permit)
    left = tuple(
        envelope._replace(max_charge_nc=max(0, envelope.max_charge_nc - max(base, channel.spent[0])))
        for envelope, base, channel in zip(permit.envelopes, session.course.base_nc, session.channels, strict=True)
        if envelope.max_ua
    )
    grant = turn.grant(permit.id)
    turn.effects.append(Arm(grant, left, permit.ends_mono_ms - turn.now.mono_ms))
    wait(turn, command, purpose, permit, grant=grant.seq, channels=channels)
    beat = turn.station.beat._replace(unanswered=grant.seq, sent_ms=turn.now.mono_ms)
    turn.station = turn.station._replace(session=session, beat=beat)


def record(turn: Turn, command: Command, session_id: str, detail: str) -> None:
    """Note an obeyed wish in the journal."""
    turn.note(
        EntryKind.WISH,
        WishRecord(
            session=session_id, command=command.id, principal=command.principal, verb=command.verb, detail=detail
        ),
    )
