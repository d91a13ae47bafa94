"""L rules: across sessions, judged by `admit` inside the transaction that reserves.

They count *treatments*: sessions on one site whose gap is at most 30 min and whose prescription is the same are one
treatment continued, as long as all of it together is no more than one session may give.
"""

from typing import NamedTuple

from safety.effects import ChannelRequest, PermitRequest
from safety.history import History, Record
from safety.limits import Limits, Modality
from safety.prescription import Dose
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
CONTINUED_MS = 1_800_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
SHORT_ON_MS = 450_000
"""On-time up to which a programme counts as light (the trial in diabetic neuropathy gives 2 x 30 min a day.

Safety reference 7.3).
"""


class Past(NamedTuple):
    """What `admit` looks at for one channel.

    The records of its site and modality, oldest first, grouped into treatments.
    """

    channel: ChannelRequest
    request: PermitRequest
    limits: Limits
    records: tuple[Record, ...]
    treatments: tuple[tuple[Record, ...], ...]
    earlier: int
    continues: bool
    locked: bool
    now_ms: int


def counted(record: Record) -> Dose:
    """L07, L08: a record without a settlement counts in full, as reserved."""
    return record.reserved if record.charged is None else record.charged


def ended_ms(record: Record, now_ms: int) -> int:
    """Wall time at which a record's session ended; an open one lasts until now."""
    return now_ms if record.closed_wall_ms is None else record.closed_wall_ms


def continuable_ms(record: Record) -> int:
    """Wall time from which a continuation is counted; an open session may have ended as soon as it began."""
    return record.opened_wall_ms if record.closed_wall_ms is None else record.closed_wall_ms


def past(history: History, request: PermitRequest, channel: ChannelRequest, now_ms: int) -> Past:
    """Gather one channel's history into treatments; a session that gave nothing was none."""
    records = tuple(
        sorted(
            (
                r
                for r in history.records
                if r.site == channel.site
                and r.modality is request.modality
                and r.session != request.session
                and r.charged != Dose()
            ),
            key=lambda r: r.opened_wall_ms,
        )
    )
    treatments: list[tuple[Record, ...]] = []
    for record in records:
        last = treatments[-1] if treatments else ()
        same = bool(last) and last[-1].session == record.session
        if same or continues(last, record.rx, record.opened_wall_ms, counted(record), request.limits):
            treatments[-1] = (*last, record)
        else:
            treatments.append((record,))
    latest = treatments[-1] if treatments else ()
    goes_on = continues(latest, request.rx, now_ms, channel.reserve, request.limits)
    locked = channel.site in history.locked_sites
    earlier = sum(n for site, modality, n in history.earlier if (site, modality) == (channel.site, request.modality))
    return Past(channel, request, request.limits, records, tuple(treatments), earlier, goes_on, locked, now_ms)


def continues(treatment: tuple[Record, ...], rx: str, at_ms: int, dose: Dose, limits: Limits) -> bool:
    """Tell whether a dose at `at_ms` continues a treatment.

    It follows within 30 min under the same prescription, and all of it together is no more than one session may give.
    """
    if not treatment or treatment[-1].rx != rx or at_ms - continuable_ms(treatment[-1]) > CONTINUED_MS:
        return False
    doses = [counted(record) for record in treatment] + [dose]
    nc, on_ms = sum(each.nc for each in doses), sum(each.on_ms for each in doses)
    share = limits.dose_share_ppm
    return nc * PPM <= limits.session_nc * share and on_ms * PPM <= limits.session_on_ms * share


def since(p: Past, span_ms: int) -> int:
    """Count the treatments that began within the last span, this one included."""
    recent = sum(treatment[0].opened_wall_ms > p.now_ms - span_ms for treatment in p.treatments)
    return recent if p.continues and recent else recent + 1


def spent_since(p: Past, span_ms: int) -> tuple[int, int]:
    """Sum charge (nC) and on-time (ms) on the site.

    Of the sessions that ended within the span, and of this reservation with all its channels on the site.
    """
    doses = [counted(record) for record in p.records if ended_ms(record, p.now_ms) > p.now_ms - span_ms]
    doses += [channel.reserve for channel in p.request.channels if channel.site == p.channel.site]
    return sum(dose.nc for dose in doses), sum(dose.on_ms for dose in doses)


def g27_montage(p: Past) -> Reason | None:
    """The site is under a montage lock, whichever device raised it."""
    return Reason("G27", REFUSE, "FLT.LATCHED", p.channel.channel) if p.locked else None


def l01(p: Past) -> Reason | None:
    """Treatments a day on the site."""
    count = since(p, DAY_MS)
    if count <= p.limits.treatments_day:
        return None
    return Reason("L01", REFUSE, "DOSE.DAY", p.channel.channel, count, p.limits.treatments_day, "treatments")


def l02(p: Past) -> Reason | None:
    """NMES: a muscle rests between treatments; longest after each of the first two."""
    if p.request.modality is not Modality.NMES or p.continues or not p.records:
        return None
    short = p.request.on_time_ms <= SHORT_ON_MS
    needed = p.limits.gap_short_ms if short else p.limits.gap_ms
    if p.earlier + len(p.treatments) <= 2:
        needed = max(needed, p.limits.gap_first_ms)
    gap = p.now_ms - max(ended_ms(record, p.now_ms) for record in p.records)
    if gap >= needed:
        return None
    return Reason("L02", REFUSE, "FAT.REST", p.channel.channel, gap, needed, "ms")


def l03(p: Past) -> Reason | None:
    """Charge a day on the site."""
    asked, _ = spent_since(p, DAY_MS)
    if asked <= p.limits.day_nc:
        return None
    return Reason("L03", REFUSE, "DOSE.DAY", p.channel.channel, asked, p.limits.day_nc, "nC")


def l04(p: Past) -> Reason | None:
    """Charge and on-time in seven days."""
    nc, on_ms = spent_since(p, WEEK_MS)
    if nc > p.limits.week_nc:
        return Reason("L04", REFUSE, "DOSE.WEEK", p.channel.channel, nc, p.limits.week_nc, "nC")
    if on_ms > p.limits.week_on_ms:
        return Reason("L04", REFUSE, "DOSE.WEEK", p.channel.channel, on_ms, p.limits.week_on_ms, "ms")
    return None


def l05(p: Past) -> Reason | None:
    """Treatments in seven days; light programmes may come more often."""
    count = since(p, WEEK_MS)
    light = p.request.on_time_ms <= SHORT_ON_MS
    allowed = p.limits.treatments_week_short if light else p.limits.treatments_week
    if count <= allowed:
        return None
    return Reason("L05", REFUSE, "DOSE.WEEK", p.channel.channel, count, allowed, "treatments")


LEDGER = (g27_montage, l01, l02, l03, l04, l05)
