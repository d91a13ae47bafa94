"""How a pad sits on the skin, as far as plateau pulses can tell.

Skin is nonlinear: only pulses of the same width whose currents lie within 10 % of each other are compared (a first
ramp pulse reads half as much again
as the plateau). The baseline is the median of the first ten plateau pulses; it follows the median of the last 10 s
downwards at once and never
upwards, because hydration lowers impedance and a baseline left high would hide a peeling pad (safety reference 2.3).
"""

from typing import NamedTuple, TypeAlias

from safety.messages import Sample
from safety.units import ceil_div

REFERENCE_MM2 = 2_500
"""Upper ohm limits are for pads of 25 cm2 and scale with 25/area; lower ones do not."""
OPEN_OHM = 8_000
SHORT_OHM = 100
SHORT_LEFT_OHM = 250
"""A reading above this is no sign of a short any more; one between this and a short says nothing."""
BACK_PERCENT = 80
"""Inner threshold of the absolute limits (3.2 of 4 kohm; safety reference 2.3)."""
NO_CURRENT_OHM = 4_294_967_295
WINDOW_MS = 10_000
MINUTE_MS = 60_000
BUCKET = 10
SECOND_MS = 1_000
Balance: TypeAlias = tuple[int, int, int, int]
EVEN: Balance = (0, 0, 0, 0)


class Past(NamedTuple):
    """What changes seldom: the lowest median of the skin's checks, and two boot-clock times, 0 where there is none.

    `doubt_ms`: a rule of the skin has paused here, and no check since has found the pad back. `uneven_ms`: since then
    it differs from its twin on the other side.
    """

    probe_ohm: int
    doubt_ms: int
    uneven_ms: int


class Contact(NamedTuple):
    """What is remembered of one pad pair.

    `recent` are the last five comparable ohms, newest last, and `recent_ms` when they came. `bucket` collects ten
    for a median; `medians` are (ms, ohm) of the last 10 s, `minutes` (ms, ohm) at least a minute apart. `in_a_row`
    counts short and over-current readings. `learned` are the baselines (uA, ohm) of the currents before this one.
    `balance` sums the imbalance of the phases over a second: since when (ms), ppm, readings, and the last whole
    second's mean.
    """

    baseline_ohm: int
    baseline_ua: int
    recent: tuple[int, ...]
    bucket: tuple[int, ...]
    medians: tuple[tuple[int, int], ...]
    minutes: tuple[tuple[int, int], ...]
    in_a_row: tuple[int, int]
    fresh_ms: int
    learned: tuple[tuple[int, int], ...]
    recent_ms: tuple[int, ...]
    balance: Balance
    past: Past


class Span(NamedTuple):
    """What the last pulse may have been told.

    The currents commanded since the device's last word, and the set-point.
    """

    low_ua: int
    high_ua: int
    setpoint_ua: int
    accuracy_ppm: int


UNSENSED = Contact(0, 0, (), (), (), (), (0, 0), 0, (), (), EVEN, Past(0, 0, 0))


def median(values: tuple[int, ...]) -> int:
    """Middle value, the upper one of two."""
    return sorted(values)[len(values) // 2]


def scaled_ohm(ohm: int, area_mm2: int) -> int:
    """Scale an upper limit for 25 cm2 to this pad area."""
    return ohm * REFERENCE_MM2 // area_mm2


def remember(learned: tuple[tuple[int, int], ...], ua: int, ohm: int) -> tuple[tuple[int, int], ...]:
    """Keep the baseline of a current that is left, and of the others those that say more than this one."""
    if not ohm or any(other_ua <= ua and other_ohm <= ohm for other_ua, other_ohm in learned):
        return learned
    return (*(other for other in learned if other[0] < ua or other[1] < ohm), (ua, ohm))


def is_over(measured_ua: int, high_ua: int, accuracy_ppm: int) -> bool:
    """Tell whether more current flows than was set.

    Above the larger of 2 mA and 10 % plus the device's own accuracy (M01).
    """
    return measured_ua > high_ua + max(2_000, high_ua * (100_000 + accuracy_ppm) // 1_000_000)


def observe(contact: Contact, sample: Sample, span: Span, now_ms: int) -> Contact:
    """Take in one reading; an old one (not fresh) changes nothing."""
    if not sample.fresh:
        return contact
    shorts, overs = contact.in_a_row
    in_a_row = (
        shorts + 1 if sample.short or sample.ohm < SHORT_OHM else 0 if sample.ohm > SHORT_LEFT_OHM else shorts,
        overs + 1 if is_over(sample.measured_ua, span.high_ua, span.accuracy_ppm) else 0,
    )
    balance = weighed(contact.balance, sample.imbalance_ppm, now_ms)
    if sample.ohm == NO_CURRENT_OHM or span.low_ua * 10 < span.setpoint_ua * 9:
        return Contact(*contact[:6], in_a_row, now_ms, *contact[8:10], balance, contact.past)
    if abs(sample.ua - contact.baseline_ua) * 10 > contact.baseline_ua:
        # More current reads lower, so what less or like current has read bounds it; nothing bounds the least.
        learned = remember(contact.learned, contact.baseline_ua, contact.baseline_ohm)
        bound_ohm = min((ohm for ua, ohm in learned if ua * 10 <= sample.ua * 11), default=0)
        ohms = (sample.ohm,)
        return Contact(
            bound_ohm, sample.ua, ohms, ohms, (), (), in_a_row, now_ms, learned, (now_ms,), balance, contact.past
        )
    recent, recent_ms = (*contact.recent[-4:], sample.ohm), (*contact.recent_ms[-4:], now_ms)
    learned, past = contact.learned, contact.past
    bucket = (*contact.bucket, sample.ohm)
    if len(bucket) < BUCKET:
        return Contact(*contact[:2], recent, bucket, *contact[4:6], in_a_row, now_ms, learned, recent_ms, balance, past)
    middle = median(bucket)
    medians = (*(pair for pair in contact.medians if now_ms - pair[0] <= WINDOW_MS), (now_ms, middle))
    settled = median(tuple(ohm for _, ohm in medians))
    baseline = min(contact.baseline_ohm, settled) if contact.baseline_ohm else settled
    minutes = contact.minutes
    if not minutes or now_ms - minutes[-1][0] >= MINUTE_MS:
        minutes = (*minutes[-2:], (now_ms, middle))
    return Contact(
        baseline, contact.baseline_ua, recent, (), medians, minutes, in_a_row, now_ms, learned, recent_ms, balance, past
    )


def at_rest(contact: Contact) -> Contact:
    """Forget what only neighbouring pulses can tell, after a pause; the baseline stays."""
    return contact._replace(recent=(), recent_ms=(), bucket=(), medians=(), in_a_row=(0, 0), balance=EVEN)


def weighed(balance: Balance, imbalance_ppm: int | None, now_ms: int) -> Balance:
    """Sum up the imbalance of the phases, where it is measured; each second gives its mean, rounded up."""
    if imbalance_ppm is None:
        return balance
    since_ms, total, count, mean = balance
    if count and now_ms - since_ms < SECOND_MS:
        return since_ms, total + imbalance_ppm, count + 1, mean
    return now_ms, imbalance_ppm, 1, ceil_div(total, count) if count else 0


def probed(contact: Contact, ohm: int) -> Contact:
    """Take in the median of a check of the skin; like the baseline, the lowest counts."""
    known = contact.past.probe_ohm
    return contact._replace(past=contact.past._replace(probe_ohm=min(known, ohm) if known else ohm))


def doubted(contact: Contact, now_ms: int) -> Contact:
    """Remember that a rule of the skin has paused here."""
    return contact._replace(past=contact.past._replace(doubt_ms=now_ms))


def is_uneven(one: Contact, other: Contact, ratio_ppm: int) -> bool:
    """Tell whether this pair reads higher than its twin by more than a ratio, and not because it has less current."""
    if not one.medians or not other.medians or one.baseline_ua * 10 < other.baseline_ua * 9:
        return False
    return one.medians[-1][1] * 1_000_000 > other.medians[-1][1] * ratio_ppm


def paired(contact: Contact, twin: Contact, trip_ppm: int, now_ms: int) -> Contact:
    """Compare a pad pair with its twin, either way round; once uneven, they have to come back half of the way."""
    since_ms = contact.past.uneven_ms
    limit_ppm = (1_000_000 + trip_ppm) // 2 if since_ms else trip_ppm
    if not is_uneven(contact, twin, limit_ppm) and not is_uneven(twin, contact, limit_ppm):
        return contact._replace(past=contact.past._replace(uneven_ms=0)) if since_ms else contact
    return contact if since_ms else contact._replace(past=contact.past._replace(uneven_ms=now_ms))
