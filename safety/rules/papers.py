"""G rules about what must be known before current flows.

Who asks, what was vouched for, where the pads sit, that the patient's stop was tried, that the service itself is well.
"""

from safety.attestation import ITEMS, Kind, forbids, is_answer
from safety.limits import Sensation
from safety.messages import Attest, Verb
from safety.montage import Montage, crosses, is_denied, is_listed
from safety.prescription import Plan, Programme
from safety.rules.views import Gate, Lane
from safety.units import ceil_div
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
MAY_START = frozenset({"physio", "automation"})
"""Roles that may let a programme run (engineering default; the site's access list may be narrower)."""


def g01_answers(g: Gate) -> Reason | None:
    """An attestation answers questions that exist, each once, with yes, no or unknown."""
    if isinstance(g.command.wish, Attest) and not is_answer(g.command.wish.answers):
        return Reason("G01", REFUSE, "CMD.SCHEMA", 0, 0, 0, "answers")
    return None


def g03(g: Gate) -> Reason | None:
    """The sender's role may start, and the start follows arming soon enough that the same person is still there."""
    if g.command.verb is not Verb.START or g.session is None:
        return None
    if g.command.role not in MAY_START:
        return Reason("G03", REFUSE, "AUTH.ROLE")
    waited_ms, allowed_ms = g.now.mono_ms - g.session.course.armed_ms, g.session.limits.arm_to_start_ms
    if waited_ms > allowed_ms:
        return Reason("G03", REFUSE, "SES.OVERDUE", 0, waited_ms, allowed_ms, "ms")
    return None


def g05(g: Gate) -> Reason | None:
    """Somebody has answered every question about contraindications, lately, and no answer forbids this therapy."""
    if g.session is None:
        return None
    attestation, limits, programme = g.session.papers.attestation, g.session.limits, g.session.rx.programme
    if attestation is None:
        return Reason("G05", REFUSE, "ATT.MISSING")
    age_ms = g.now.wall_ms - attestation.at_wall_ms
    if not -limits.clock_skew_ms <= age_ms <= limits.attest_age_ms:
        return Reason("G05", REFUSE, "ATT.EXPIRED", 0, age_ms, limits.attest_age_ms, "ms")
    montages = tuple(plan.montage for plan in g.session.rx.channels if plan.montage is not None)
    item = forbids(attestation, programme.modality, montages)
    if item is None:
        return None
    code = "ATT.UNKNOWN" if attestation.says(item.id) == "unknown" else "ATT.CONTRAINDICATED"
    return Reason("G05", REFUSE, code, unit=item.id)


def g05_absolute(g: Gate) -> Reason | None:
    """An absolute contraindication locks the patient: no other device and no other day forgets it."""
    attestation = g.session.papers.attestation if g.session else None
    if attestation is None:
        return None
    for item in ITEMS:
        if item.kind is Kind.ABSOLUTE and attestation.says(item.id) == "yes":
            return Reason("G05", Severity.LOCK, "ATT.CONTRAINDICATED", unit=item.id)
    return None


def g06(lane: Lane) -> Reason | None:
    """Both pads sit where a pair may: on one limb of one side, never so that current passes heart, neck or head."""
    montage = lane.plan.montage
    if montage is None:
        return Reason("G06", REFUSE, "MON.MISSING", lane.plan.channel)
    if is_denied(montage):
        return Reason("G06", REFUSE, "MON.DENIED", lane.plan.channel)
    if not is_listed(montage):
        return Reason("G06", REFUSE, "MON.NOT_LISTED", lane.plan.channel)
    return None


def g07(lane: Lane) -> Reason | None:
    """Pads large enough and far enough apart; smaller ones only with a reason in words."""
    plan, limits = lane.plan, lane.limits
    needed_mm2 = limits.small_area_mm2 if plan.small_pad_reason.strip() else limits.area_mm2
    if plan.area_mm2 < needed_mm2:
        return Reason("G07", REFUSE, "PAD.SMALL", plan.channel, plan.area_mm2, needed_mm2, "mm2")
    if plan.montage is not None and plan.montage.spacing_mm < limits.spacing_mm:
        return Reason("G07", REFUSE, "PAD.CLOSE", plan.channel, plan.montage.spacing_mm, limits.spacing_mm, "mm")
    return None


def g22(g: Gate) -> Reason | None:
    """Channels together: no path through the chest, not too many at once, and the device has time for every pulse."""
    device = g.station.device
    if g.session is None or device is None:
        return None
    limits, plans, caps = g.session.limits, g.session.rx.channels, device.caps
    for index, plan in enumerate(plans):
        if any(is_crossing(plan.montage, other.montage) for other in plans[:index]):
            return Reason("G22", REFUSE, "MON.CROSSING", plan.channel)
    at_once = together(plans, g.session.rx.programme)
    if at_once > limits.channels_at_once:
        return Reason("G22", REFUSE, "LIM.CHANNELS", 0, at_once, limits.channels_at_once, "channels")
    first_us = plans[0].period_us
    for plan in plans:
        if caps.one_period and plan.period_us != first_us:
            return Reason("G22", REFUSE, "RX.DEVICE_MISMATCH", plan.channel, plan.period_us, first_us, "us")
    times_us = [(2 * plan.width_us + plan.gap_us + caps.mute_us, plan.period_us) for plan in plans]
    share_ppm = sum(ceil_div(pulse_us * 1_000_000, period_us) for pulse_us, period_us in times_us)
    if share_ppm > limits.pulse_share_ppm:
        return Reason("G22", REFUSE, "LIM.PULSE_TIME", 0, share_ppm, limits.pulse_share_ppm, "ppm")
    return None


def is_crossing(one: Montage | None, other: Montage | None) -> bool:
    """Tell whether two pairs cross; where nobody said where they sit, G06 speaks."""
    return one is not None and other is not None and crosses(one, other)


def together(plans: tuple[Plan, ...], programme: Programme) -> int:
    """Count the channels that have current at the same time at most, in a cycle that repeats.

    A window begins where a channel's delay ends; the most stand open when one has just begun.
    """
    cycle_ms, active_ms = programme.cycle_ms, programme.active_ms
    return max(sum((plan.delay_ms - other.delay_ms) % cycle_ms < active_ms for other in plans) for plan in plans)


def g24(g: Gate) -> Reason | None:
    """The patient's stop was pressed and let go in this session, so that it is known to be in reach and to work.

    A device without one asks for nothing where the skin feels; where it does not, the button at the bedside must do.
    """
    device = g.station.device
    if g.session is None or device is None:
        return None
    if device.status.button:
        return Reason("G24", REFUSE, "SES.STOP_HELD")
    needed = device.caps.patient_stop or g.session.rx.sensation is not Sensation.S0
    if needed and not g.session.papers.stop_tried:
        return Reason("G24", REFUSE, "SES.STOP_UNTRIED")
    return None


def g25(g: Gate) -> Reason | None:
    """The service is well: its clock is set, and ledger and journal take what is to be remembered."""
    health = g.station.health
    for is_well, code in (
        (health.clock_synced, "SYS.CLOCK_UNSET"),
        (health.ledger, "DOSE.LEDGER_UNAVAILABLE"),
        (health.audit, "SYS.AUDIT_UNWRITABLE"),
    ):
        if not is_well:
            return Reason("G25", REFUSE, code)
    return None
