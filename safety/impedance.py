"""How a pad sits on the skin, as far as plateau pulses can tell.

Skin is nonlinear: only pulses of the same width whose currents lie within 10 % of each other are compared (a first
ramp pulse reads half as much again
as the plateau). The baseline is the median of the first ten plateau pulses; it follows the median of the last 10 s
downwards at once and never
upwards, because hydration lowers impedance and a baseline left high would hide a peeling pad (safety reference 2.3).
"""

from typing import NamedTuple

from safety.messages import Sample

REFERENCE_MM2 = 2_500
"""Upper ohm limits are for pads of 25 cm2 and scale with 25/area; lower ones do not."""
OPEN_OHM = 8_000
SHORT_OHM = 100
NO_CURRENT_OHM = 4_294_967_295
WINDOW_MS = 10_000
MINUTE_MS = 60_000
BUCKET = 10


class Contact(NamedTuple):
    """What is remembered of one pad pair.

    `recent` are the last five comparable ohms, newest last. `bucket` collects ten
    for a median; `medians` are (ms, ohm) of the last 10 s, `minutes` (ms, ohm) at least a minute apart. `in_a_row`
    counts short and over-current readings. `learned` are the baselines (uA, ohm) of the currents before this one.
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


class Span(NamedTuple):
    """What the last pulse may have been told.

    The currents commanded since the device's last word, and the set-point.
    """

    low_ua: int
    high_ua: int
    setpoint_ua: int
    accuracy_ppm: int


UNSENSED = Contact(0, 0, (), (), (), (), (0, 0), 0, ())


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
        shorts + 1 if sample.short or sample.ohm < SHORT_OHM else 0,
        overs + 1 if is_over(sample.measured_ua, span.high_ua, span.accuracy_ppm) else 0,
    )
    if sample.ohm == NO_CURRENT_OHM or span.low_ua * 10 < span.setpoint_ua * 9:
        return Contact(*contact[:6], in_a_row, now_ms, *contact[8:])
    if abs(sample.ua - contact.baseline_ua) * 10 > contact.baseline_ua:
        # More current reads lower, so what less or like current has read bounds it; nothing bounds the least.
        learned = remember(contact.learned, contact.baseline_ua, contact.baseline_ohm)
        bound_ohm = min((ohm for ua, ohm in learned if ua * 10 <= sample.ua * 11), default=0)
        return Contact(bound_ohm, sample.ua, (sample.ohm,), (sample.ohm,), (), (), in_a_row, now_ms, learned)
    recent = (*contact.recent[-4:], sample.ohm)
    bucket = (*contact.bucket, sample.ohm)
    if len(bucket) < BUCKET:
        return Contact(*contact[:2], recent, bucket, *contact[4:6], in_a_row, now_ms, *contact[8:])
    middle = median(bucket)
    medians = (*(pair for pair in contact.medians if now_ms - pair[0] <= WINDOW_MS), (now_ms, middle))
    settled = median(tuple(ohm for _, ohm in medians))
    baseline = min(contact.baseline_ohm, settled) if contact.baseline_ohm else settled
    minutes = contact.minutes
    if not minutes or now_ms - minutes[-1][0] >= MINUTE_MS:
        minutes = (*minutes[-2:], (now_ms, middle))
    return Contact(baseline, contact.baseline_ua, recent, (), medians, minutes, in_a_row, now_ms, *contact[8:])


def at_rest(contact: Contact) -> Contact:
    """Forget what only neighbouring pulses can tell, after a pause; the baseline stays."""
    return contact._replace(recent=(), bucket=(), medians=(), in_a_row=(0, 0))
