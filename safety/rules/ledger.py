"""L rules: across sessions, judged by `admit` inside the transaction that reserves.

Doses are kept by patient, site, pair of pads and kind of therapy; what a rule counts on a site it counts over all its
pairs, since the skin and the muscle under them are one. The rules count *treatments*: sessions on one site whose gap
is at most 30 min and whose prescription is the same are one treatment continued, as long as the later ones give no
more than what was left of the first. A calibration gives a dose and is no treatment.
"""

from collections.abc import Iterable
from typing import NamedTuple

from safety.effects import ChannelRequest, PermitRequest
from safety.history import Correction, History, Record
from safety.impedance import median
from safety.limits import Limits, Modality
from safety.prescription import Dose
from safety.verdict import Reason, Severity

REFUSE = Severity.REFUSE
PPM = 1_000_000
CONTINUED_MS = 1_800_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
SHORT_ON_MS = 450_000
"""Time on the plateau up to which a programme counts as light (a trial in diabetic neuropathy: 2 x 30 min a day).

Protocols write on-time without ramps; as dose, ramps count in full (safety reference 7.3 and G17).
"""
ADVERSE = "M24"
"""The rule whose latch is a report of harm."""
ADVERSE_MS = DAY_MS
"""How long a report of harm holds its site at least, whoever has released it (L10; engineering default)."""
TREND_OF = 5
"""Sessions whose skin checks make the median of L12 (engineering default)."""
ANYWHERE = ""
"""The site of a lock that holds the whole patient."""


class Past(NamedTuple):
    """What `admit` looks at for one channel.

    The records of its site and modality, oldest first, grouped into treatments; `older` are those that no total counts.
    """

    channel: ChannelRequest
    request: PermitRequest
    limits: Limits
    history: History
    records: tuple[Record, ...]
    treatments: tuple[tuple[Record, ...], ...]
    earlier: int
    continues: bool
    now_ms: int


def counted(record: Record) -> Dose:
    """L07, L08: a record without a settlement counts in full, as reserved."""
    return record.reserved if record.charged is None else record.charged


def ended_ms(record: Record, now_ms: int) -> int:
    """Wall time at which a record's session ended; an open one lasts until now."""
    return now_ms if record.closed_wall_ms is None else record.closed_wall_ms


def past(history: History, request: PermitRequest, channel: ChannelRequest, now_ms: int) -> Past:
    """Gather one channel's history into treatments; a session that gave nothing was none."""
    place = (channel.site, request.modality)
    records = tuple(
        sorted(
            (
                r
                for r in history.records
                if (r.site, r.modality) == place and r.session != request.session and r.charged != Dose()
            ),
            key=lambda r: r.opened_wall_ms,
        )
    )
    sessions: dict[str, tuple[Record, ...]] = {}
    for record in filter(is_treatment, records):
        sessions[record.session] = (*sessions.get(record.session, ()), record)
    treatments: list[tuple[Record, ...]] = []
    for session in sessions.values():
        last, first = treatments[-1] if treatments else (), session[0]
        if continues(last, first.rx, first.opened_wall_ms, map(counted, session)):
            treatments[-1] = (*last, *session)
        else:
            treatments.append(session)
    latest = treatments[-1] if treatments else ()
    asked = [each.reserve for each in request.channels if each.site == channel.site]
    goes_on = continues(latest, request.rx, now_ms, asked)
    earlier = sum(n for site, modality, n in history.earlier if (site, modality) == place)
    return Past(channel, request, request.limits, history, records, tuple(treatments), earlier, goes_on, now_ms)


def is_treatment(what: Record | PermitRequest) -> bool:
    """Tell a treatment from a calibration, which plans no plateau: its dose counts, it is no treatment."""
    return what.on_time_ms > 0


def continues(treatment: tuple[Record, ...], rx: str, at_ms: int, doses: Iterable[Dose]) -> bool:
    """Tell whether doses at `at_ms` continue a treatment.

    It follows within 30 min under the same prescription, and gives no more than what the treatment's first session
    has reserved, which is the whole programme, and nobody has given since.
    """
    if not treatment or treatment[-1].rx != rx or at_ms - ended_ms(treatment[-1], at_ms) > CONTINUED_MS:
        return False
    whole = total(record.reserved for record in treatment if record.session == treatment[0].session)
    given = total([*map(counted, treatment), *doses])
    return given.nc <= whole.nc and given.i2t <= whole.i2t and given.on_ms <= whole.on_ms


def total(doses: Iterable[Dose]) -> Dose:
    """Add doses up."""
    nc = i2t = on_ms = 0
    for dose in doses:
        nc, i2t, on_ms = nc + dose.nc, i2t + dose.i2t, on_ms + dose.on_ms
    return Dose(nc=nc, i2t=i2t, on_ms=on_ms)


def since(p: Past, span_ms: int) -> int:
    """Count the treatments that began within the last span, this one included."""
    recent = sum(treatment[0].opened_wall_ms > p.now_ms - span_ms for treatment in p.treatments)
    return recent if p.continues and recent else recent + 1


def spent_since(p: Past, span_ms: int) -> tuple[int, int]:
    """Sum charge (nC) and on-time (ms) on the site.

    Of the sessions that ended within the span, as corrected, and of this reservation with all its channels on the site.
    """
    place = (p.channel.site, p.request.modality)
    given = given_since(p.records, p.history.corrections, place, p.now_ms, span_ms)
    asked = total(channel.reserve for channel in p.request.channels if channel.site == p.channel.site)
    return given.nc + asked.nc, given.on_ms + asked.on_ms


def given_since(
    records: Iterable[Record],
    corrections: Iterable[Correction],
    place: tuple[str, Modality],
    now_ms: int,
    span_ms: int,
) -> Dose:
    """Sum what was given at a place in sessions that ended within the span, as corrected; never less than nothing."""
    ended = [r for r in records if (r.site, r.modality) == place and ended_ms(r, now_ms) > now_ms - span_ms]
    corrected = [c.dose for c in corrections if (c.site, c.modality) == place and c.at_wall_ms > now_ms - span_ms]
    given = total([*map(counted, ended), *corrected])
    return Dose(nc=max(0, given.nc), i2t=max(0, given.i2t), on_ms=max(0, given.on_ms))


def g26(p: Past) -> Reason | None:
    """NMES: the first two treatments of a muscle give at most half of what a session may."""
    before = p.earlier + len(p.treatments) - p.continues
    if p.request.modality is not Modality.NMES or before >= 2:
        return None
    begun = p.treatments[-1] if p.continues else ()
    dose = total([p.channel.reserve, *(counted(record) for record in begun if record.pair == p.channel.pair)])
    limits, share = p.limits, p.limits.first_share_ppm
    for asked, cap, unit in (
        (dose.nc, limits.session_nc, "nC"),
        (dose.i2t, limits.session_i2t, "uA^2 us"),
        (dose.on_ms, limits.session_on_ms, "ms"),
    ):
        if asked * PPM > cap * share:
            return Reason("G26", REFUSE, "DOSE.FIRST", p.channel.channel, asked, cap * share // PPM, unit)
    return None


def g27_montage(p: Past) -> Reason | None:
    """The site, or the whole patient, is under a lock, whichever device raised it."""
    locked = {p.channel.site, ANYWHERE} & set(p.history.locked_sites)
    return Reason("G27", REFUSE, "FLT.LATCHED", p.channel.channel) if locked else None


def l01(p: Past) -> Reason | None:
    """Treatments a day on the site."""
    count = since(p, DAY_MS)
    if count <= p.limits.treatments_day or not is_treatment(p.request):
        return None
    return Reason("L01", REFUSE, "DOSE.DAY", p.channel.channel, count, p.limits.treatments_day, "treatments")


def l02(p: Past) -> Reason | None:
    """NMES: a muscle rests between treatments; longest after each of the first two."""
    if p.request.modality is not Modality.NMES or p.continues or not p.treatments or not is_treatment(p.request):
        return None
    short = p.request.on_time_ms <= SHORT_ON_MS
    needed = p.limits.gap_short_ms if short else p.limits.gap_ms
    if p.earlier + len(p.treatments) <= 2:
        needed = max(needed, p.limits.gap_first_ms)
    gap = p.now_ms - max(ended_ms(record, p.now_ms) for treatment in p.treatments for record in treatment)
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
    if count <= allowed or not is_treatment(p.request):
        return None
    return Reason("L05", REFUSE, "DOSE.WEEK", p.channel.channel, count, allowed, "treatments")


def l06(p: Past) -> Reason | None:
    """Amplitude rises only a little above the last session that was completed.

    On this pair of pads; where none was completed with it, on this site.
    """
    place = (p.channel.site, p.request.modality)
    known = [
        r
        for r in (*p.history.older, *p.history.records)
        if (r.site, r.modality) == place and r.completed and r.session != p.request.session
    ]
    known.sort(key=lambda r: (r.pair == p.channel.pair, r.opened_wall_ms))
    if not known:
        return None
    last_ua = known[-1].ua
    allowed_ua = last_ua + max(last_ua * p.limits.growth_ppm // PPM, p.limits.growth_ua)
    if p.channel.ua <= allowed_ua:
        return None
    return Reason("L06", REFUSE, "LIM.GROWTH", p.channel.channel, p.channel.ua, allowed_ua, "uA")


def l10(p: Past) -> Reason | None:
    """Harm was reported here: nothing for a day, and not before a clinician has released it."""
    for lock in p.history.adverse:
        if lock.site not in {p.channel.site, ANYWHERE}:
            continue
        waited_ms = p.now_ms - lock.since_wall_ms
        if not lock.released or waited_ms < ADVERSE_MS:
            return Reason("L10", REFUSE, "FLT.ADVERSE", p.channel.channel, waited_ms, ADVERSE_MS, "ms")
    return None


def l11(p: Past) -> Reason | None:
    """Each pad is known, in date, and was not used too often."""
    known = {pad.barcode: pad for pad in p.history.pads}
    for barcode in p.channel.pads:
        pad = known.get(barcode)
        if pad is None or pad.expires_wall_ms is None:
            return Reason("L11", REFUSE, "PAD.UNKNOWN", p.channel.channel)
        if p.now_ms > pad.expires_wall_ms:
            return Reason("L11", REFUSE, "PAD.EXPIRED", p.channel.channel, p.now_ms, pad.expires_wall_ms, "ms")
        if pad.uses + 1 > p.limits.pad_uses:
            return Reason("L11", REFUSE, "PAD.WORN", p.channel.channel, pad.uses + 1, p.limits.pad_uses, "uses")
    return None


def l12(p: Past) -> Reason | None:
    """The skin's check reads no more than twice what it used to, unless somebody has looked at the skin."""
    channel = p.channel
    known = [
        r
        for r in (*p.history.older, *p.history.records)
        if (r.site, r.pair) == (channel.site, channel.pair) and r.ohm > 0 and r.session != p.request.session
    ]
    known.sort(key=lambda r: r.opened_wall_ms)
    if not known or p.request.skin_checked:
        return None
    allowed = median(tuple(r.ohm for r in known[-TREND_OF:])) * p.limits.trend_ppm // PPM
    if channel.ohm <= allowed:
        return None
    return Reason("L12", REFUSE, "IMP.TREND", channel.channel, channel.ohm, allowed, "ohm")


LEDGER = (g26, g27_montage, l01, l02, l03, l04, l05, l06, l10, l11, l12)


def l09(history: History, request: PermitRequest) -> Reason | None:
    """The history is this patient's, and all of it."""
    if history.patient != request.patient:
        return Reason("L09", REFUSE, "RX.PATIENT_MISMATCH")
    return None if history.whole else Reason("L09", REFUSE, "DOSE.NOT_WHOLE")


def l13(history: History, correction: Correction, now_ms: int) -> tuple[Reason, ...]:
    """An entry that corrects what was counted; everything that speaks against it.

    Somebody signs it and says why; what would lower a total of the last seven days, two people sign; no total falls
    below nothing, and nothing is corrected that has not happened yet.
    """
    place, dose = (correction.site, correction.modality), correction.dose
    deltas = (dose.nc, dose.i2t, dose.on_ms)
    signed = {name.strip() for name in correction.signed_by} - {""}
    reasons = []
    if not signed or not correction.why.strip():
        reasons.append(Reason("L13", REFUSE, "DOSE.UNSIGNED", 0, len(signed), 1, "signatures"))
    if correction.at_wall_ms > now_ms:
        reasons.append(Reason("L13", REFUSE, "DOSE.CORRECTION", 0, correction.at_wall_ms, now_ms, "ms"))
    if min(deltas) < 0 and correction.at_wall_ms > now_ms - WEEK_MS:
        if len(signed) == 1:
            reasons.append(Reason("L13", REFUSE, "DOSE.UNSIGNED", 0, 1, 2, "signatures"))
        given = given_since(history.records, history.corrections, place, now_ms, WEEK_MS)
        known, units = (given.nc, given.i2t, given.on_ms), ("nC", "uA^2 us", "ms")
        for delta, most, unit in zip(deltas, known, units, strict=True):
            if most + delta < 0:
                reasons.append(Reason("L13", REFUSE, "DOSE.CORRECTION", 0, -delta, most, unit))
    return tuple(reasons)
