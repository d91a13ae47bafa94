"""The second door, walked: `admit` over every history of a stated, finite quotient, judged both ways.

A muscle on one site, whose session reserves what a light or a heavy programme needs. Two quotients, each the whole
product of its choices:

- What was given. Nothing older, one treatment older than a week, or two; the last treatment closed none, an hour, four
  hours, or two days ago, or a millisecond less; before it none to two more in the day and none, two, or eleven more in
  the week, all settled, the last one perhaps not (it then counts as reserved); the charge of the day, or of the week,
  or the on-time of the week at its cap with this reservation, or a unit over.
- What else is known. The amplitude at, or a microampere over, what the last completed session allows; the check's
  impedance at, or an ohm over, twice what it used to be, looked at or not; pads at and past their date and their last
  use, and unknown; harm reported a day ago, or a millisecond less, released or not; locks of the site, of another, of
  the patient; another patient's history, or a part of it.

What is dropped: a second channel, pair or site, a treatment that is continued, corrections, and the first share (G26)
in any but its charge; tests/safety has them. Every rule that must speak must, and no other may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from typing import Final, NamedTuple

from safety.admit import admit
from safety.effects import ChannelRequest, Permit, PermitRequest
from safety.history import AdverseLock, History, PadUse, Record
from safety.limits import Modality
from safety.prescription import Dose
from tests.safety.parts import WALL_MS, config, record

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
SITE: Final = "left-quadriceps"
ASKED: Final = Dose(nc=400_000_000, i2t=1_000, on_ms=1_000)
"""What is reserved: exactly the first share, half of the session's charge (G26)."""
GIVEN: Final = Dose(nc=1_000, i2t=10, on_ms=10)
OF_DAY, OF_WEEK, ON_WEEK = 1_600_000_000, 5_600_000_000, 4_270_000
RULES: Final = ("G26", "G27", "L01", "L02", "L03", "L04", "L05", "L06", "L09", "L10", "L11", "L12")
"""The rules that `admit` can name."""


class Case(NamedTuple):
    """A history, what is asked of it, and the rules that must refuse."""

    history: History
    request: PermitRequest
    must: frozenset[str]


def request(on_time_ms: int = 450_000, *, skin_checked: bool = False, **channel: object) -> PermitRequest:
    """Ask for one channel's reservation."""
    values: dict[str, object] = {"channel": 1, "site": SITE, "pair": "a", "reserve": ASKED, "ua": 20_000, "ohm": 1_500}
    return PermitRequest(
        permit=Permit(1, "now", "d1", (), (), 0), session="now", patient="p-1", rx="rx-9@1", rx_digest="d1",
        modality=Modality.NMES, on_time_ms=on_time_ms, probe=False, limits=config().limits[Modality.NMES],
        channels=(ChannelRequest(**(values | channel)),), skin_checked=skin_checked,  # type: ignore[arg-type]
    )  # fmt: skip


def history(*records: Record, **changes: object) -> History:
    """Make a patient's history, after two treatments that are older than a week."""
    values: dict[str, object] = {"patient": "p-1", "records": records, "locked_sites": (),
                                 "earlier": ((SITE, Modality.NMES, 2),)}  # fmt: skip
    return History(**(values | changes))  # type: ignore[arg-type]


def treatment(ago_ms: int, dose: Dose = GIVEN, *, is_settled: bool = True) -> Record:
    """Make a treatment of a minute that closed so long ago, under another prescription."""
    return record(
        ago_ms, rx="rx-1@1", opened_wall_ms=WALL_MS - ago_ms - MINUTE_MS, charged=dose if is_settled else None,
        reserved=replace(dose, nc=dose.nc + OF_WEEK) if is_settled else dose, ua=20_000,
    )  # fmt: skip


# What was given

LAST_MS: Final = tuple(ms - less for ms in (HOUR_MS, 4 * HOUR_MS, 2 * DAY_MS) for less in (1, 0))
FILLS: Final = tuple(
    (name, more) for name in ("day nC", "week nC", "week ms") for more in (0, 1)
)  # fmt: skip


def given(every: int = 1) -> Iterator[Case]:
    """Give every history of the first quotient, or each one in so many."""
    choices = product(
        (0, 1, 2), (None, *LAST_MS), (0, 1, 2), (0, 2, 11), (True, False), (450_000, 450_001), (None, *FILLS)
    )
    for earlier, last_ms, day, week, is_settled, on_time_ms, fill in islice(choices, 0, None, every):
        agos = [] if last_ms is None else [last_ms]
        agos += [20 * HOUR_MS + n * HOUR_MS for n in range(day)]
        agos += [3 * DAY_MS + n * 2 * HOUR_MS for n in range(week)]
        if last_ms is None and (day or week or not is_settled):
            continue
        if len(set(agos)) < len(agos) or (fill and not agos):
            continue
        agos.sort()
        doses = [GIVEN] * len(agos)
        if fill:
            at = 0 if fill[0] == "day nC" else -1
            if (agos[at] < DAY_MS) is not (fill[0] == "day nC"):
                continue
            doses[at] = filled(fill[0], fill[1], len([ago for ago in agos if fill[0] != "day nC" or ago < DAY_MS]))
        settled = [is_settled or index > 0 for index in range(len(agos))]
        records = [treatment(*each[:2], is_settled=each[2]) for each in zip(agos, doses, settled, strict=True)]
        told = history(*records, earlier=((SITE, Modality.NMES, earlier),))
        yield Case(told, request(on_time_ms), frozenset(owed(earlier, agos, doses, on_time_ms)))


def filled(what: str, more: int, count: int) -> Dose:
    """Give the dose that brings a total to its cap with this reservation and the other treatments, or past it."""
    cap_nc, others = (OF_DAY if what == "day nC" else OF_WEEK), count - 1
    if what == "week ms":
        return replace(GIVEN, on_ms=ON_WEEK - ASKED.on_ms - others * GIVEN.on_ms + more)
    return replace(GIVEN, nc=cap_nc - ASKED.nc - others * GIVEN.nc + more)


def owed(earlier: int, agos: list[int], doses: list[Dose], on_time_ms: int) -> Iterator[str]:
    """Say which rules must speak (safety reference 7.3): by counting what lies in the day and in the week."""
    light = on_time_ms <= 450_000
    today = [(ago, dose) for ago, dose in zip(agos, doses, strict=True) if ago < DAY_MS]
    begun_today = sum(ago + MINUTE_MS < DAY_MS for ago in agos)
    known = earlier + len(agos)
    if known < 2 and ASKED.nc > 400_000_000:
        yield "G26"
    if begun_today + 1 > 2:
        yield "L01"
    rest_ms = max(HOUR_MS if light else 4 * HOUR_MS, 2 * DAY_MS if known <= 2 else 0)
    if agos and agos[0] < rest_ms:
        yield "L02"
    if sum(dose.nc for _, dose in today) + ASKED.nc > OF_DAY:
        yield "L03"
    if sum(d.nc for d in doses) + ASKED.nc > OF_WEEK or sum(d.on_ms for d in doses) + ASKED.on_ms > ON_WEEK:
        yield "L04"
    if len(agos) + 1 > (14 if light else 5):
        yield "L05"


# What else is known

GROWTH: Final = ((23_000, ""), (23_001, "L06"))
"""From 20 mA on by a tenth, or by 3 mA, whichever is more."""
TREND: Final = ((3_000, False, ""), (3_001, False, "L12"), (3_001, True, ""))
PADS: Final = (
    ((), ""), ((PadUse("x", 14, WALL_MS),), ""), ((PadUse("x", 15, WALL_MS),), "L11"),
    ((PadUse("x", 14, WALL_MS - 1),), "L11"), ((PadUse("x", 0, None),), "L11"),
)  # fmt: skip
HARM: Final = (
    ((), ""), ((AdverseLock(SITE, WALL_MS - DAY_MS, True),), ""),
    ((AdverseLock(SITE, WALL_MS - DAY_MS + 1, True),), "L10"),
    ((AdverseLock(SITE, WALL_MS - DAY_MS, False),), "L10"), ((AdverseLock("left-calf", WALL_MS, False),), ""),
    ((AdverseLock("", WALL_MS, True),), "L10"),
)  # fmt: skip
LOCKS: Final = (((), ""), ((SITE,), "G27"), (("left-calf",), ""), (("",), "G27"))
WHOSE: Final = (("p-1", True, ""), ("p-2", True, "L09"), ("p-1", False, "L09"))
SHARE: Final = ((0, 0, ""), (0, 1, "G26"), (2, 1, ""))
"""How many treatments went before, how much more than the first share is asked, and what speaks."""


def known(every: int = 1) -> Iterator[Case]:
    """Give every history of the second quotient: one completed session three days ago, and what the choices say."""
    before = replace(treatment(3 * DAY_MS), ohm=1_500)
    choices = product(GROWTH, TREND, PADS, HARM, LOCKS, WHOSE, SHARE)
    for growth, trend, pads, harm, locks, whose, share in islice(choices, 0, None, every):
        told = history(
            before, patient=whose[0], whole=whose[1], pads=pads[0], adverse=harm[0], locked_sites=locks[0],
            earlier=((SITE, Modality.NMES, share[0]),),
        )  # fmt: skip
        asked = request(
            skin_checked=trend[1], ua=growth[0], ohm=trend[0], pads=tuple(pad.barcode for pad in pads[0]),
            reserve=replace(ASKED, nc=ASKED.nc + share[1]),
        )  # fmt: skip
        must = {each[-1] for each in (growth, trend, pads, harm, locks, share)} - {""}
        yield Case(told, asked, frozenset({"L09"} if whose[-1] else must))


class Door(NamedTuple):
    """What was judged: how many histories, which rules spoke, which were silent beside, and what was wrong."""

    histories: int
    admitted: int
    binding: Counter[str]
    wrong: tuple[str, ...]


def judged(*quotients: Iterator[Case]) -> Door:
    """Let `admit` judge every history, and hold its verdict against what must be said."""
    binding, wrong, histories, admitted = Counter[str](), [], 0, 0
    for quotient in quotients or (given(), known()):
        for case in quotient:
            histories += 1
            said = [reason.rule for reason in admit(case.history, case.request, WALL_MS)]
            binding.update(said[:1])
            admitted += not said
            if frozenset(said) != case.must:
                wrong.append(f"must be refused by {sorted(case.must)}, and is by {said}: {case.history}")
    wrong += [f"in no history does {rule} bind" for rule in RULES if not binding[rule]] if not quotients else []
    return Door(histories, admitted, binding, tuple(wrong[:5]))
