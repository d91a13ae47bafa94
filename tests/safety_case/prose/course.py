"""Pages of the rules that look at a whole course of treatment: G26, L06, L09 to L13."""

from safety.admit import admit_correction
from safety.effects import ChannelRequest
from safety.history import AdverseLock, Correction, History, PadUse
from safety.prescription import Dose
from tests.safety_case.bedside import DAY_MS, HOUR_MS, WALL_MS, Modality, admitted, asking, first, past
from tests.safety_case.page import Outcome, Page, example

BEFORE = past(5 * DAY_MS, completed=True, ua=30_000, ohm=1_000)
"""A session five days ago, completed at 30 mA, its skin check at 1,000 ohm."""


def one(rule: str, *records: object, **wanted: object) -> Outcome:
    """A session with one channel that is wanted so."""
    values: dict[str, object] = {"channel": 1, "site": "left-quadriceps", "pair": "a", "reserve": Dose(nc=100_000_000)}
    known = {name: wanted.pop(name) for name in ("adverse", "pads_known", "whole") if name in wanted}
    if "pads_known" in known:
        known["pads"] = known.pop("pads_known")
    return admitted(rule, *records, request=asking(channels=(ChannelRequest(**(values | wanted)),)), **known)


def given(nc: int, sessions: int = 0) -> Outcome:
    records = tuple(past(4 * DAY_MS + n * DAY_MS) for n in range(sessions))
    return one("G26", *records, reserve=Dose(nc=nc))


def reported(hours: int, *, released: bool) -> Outcome:
    lock = AdverseLock("left-quadriceps", WALL_MS - hours * HOUR_MS, released)
    return one("L10", adverse=(lock,))


def pad(uses: int, days: int) -> Outcome:
    return one("L11", pads=("p-77",), pads_known=(PadUse("p-77", uses, WALL_MS + days * DAY_MS),))


def corrected(nc: int, *signed_by: str) -> Outcome:
    """An entry that corrects yesterday's session of 100 mC."""
    at_ms = WALL_MS - DAY_MS
    entry = Correction("left-quadriceps", "a", Modality.NMES, at_ms, Dose(nc=nc), signed_by, "read off the device")
    history = History(patient="p-1", records=(past(DAY_MS),), locked_sites=())
    return first(admit_correction(history, entry, WALL_MS), "L13")


PAGES = (
    Page(
        "G26",
        guards="Breakdown of muscle after electrical training happens after the first sessions, when the muscle is "
        "not used to it. "
        "They get half a dose.",
        check="NMES, fewer than two treatments behind on this site: reserved dose <= share x each cap of the session "
        "(charge, I2t, on-time)",
        examples=(
            example("A first treatment that reserves {nc}", given, nc=400_000_000),
            example("A first treatment that reserves {nc}", given, nc=400_000_001),
            example("Two treatments behind, {nc}", lambda nc: given(nc, sessions=2), nc=700_000_000),
        ),
    ),
    Page(
        "L06",
        guards="A set-point far above that of last time is more often a slip than progress.",
        check="set-point <= that of the last completed session + the larger of a share of it and a fixed step; on the "
        "same pair of pads, or else "
        "on the same site",
        examples=(
            example("Last time 30 mA, now {ua}", lambda ua: one("L06", BEFORE, ua=ua), ua=33_000),
            example("Last time 30 mA, now {ua}", lambda ua: one("L06", BEFORE, ua=ua), ua=33_100),
        ),
    ),
    Page(
        "L09",
        guards="A history with a part missing makes too much look permissible, and so does the history of somebody "
        "else.",
        check="the history is of the patient named, under one name only, and every part of the ledger could be read",
        examples=(
            example("The whole history of this patient", lambda: one("L09")),
            example(
                "A part of the ledger cannot be read, or the patient is known by another name too",
                lambda: one("L09", whole=False),
            ),
        ),
    ),
    Page(
        "L10",
        guards="Where it burned, hurt badly or harmed the skin yesterday, nothing is given today, and not before a "
        "clinician has looked.",
        check="no report of harm on this site, or on the whole patient, that is younger than 24 h or that no "
        "clinician has released",
        examples=(
            example("A burn was reported 25 h ago, a clinician has released it", lambda: reported(25, released=True)),
            example("A burn was reported 25 h ago, nobody has released it", lambda: reported(25, released=False)),
            example("A burn was reported 23 h ago, a clinician has released it", lambda: reported(23, released=True)),
        ),
    ),
    Page(
        "L11",
        guards="Gel that has lost its tack peels, and gel past its date has dried. Both burn at the edge.",
        check="every pad whose barcode is given is known, in date, and its uses with this one <= limit",
        examples=(
            example("A pad in date, 14 uses behind it", lambda: pad(14, 30)),
            example("A pad in date, 15 uses behind it", lambda: pad(15, 30)),
            example("A pad whose date passed yesterday", lambda: pad(3, -1)),
        ),
    ),
    Page(
        "L12",
        guards="Skin that reads much worse than it used to is dry, harmed, or not the place that was entered.",
        check="the check's median <= ratio x the median of the last five sessions on the same pads; or somebody has "
        "looked at the skin in this "
        "session and found it well",
        examples=(
            example("1,000 ohm before, now {ohm}", lambda ohm: one("L12", BEFORE, ohm=ohm), ohm=2_000),
            example("1,000 ohm before, now {ohm}", lambda ohm: one("L12", BEFORE, ohm=ohm), ohm=2_001),
        ),
    ),
    Page(
        "L13",
        guards="The count of what was given cannot be talked down. It is only added to; what lowers a recent total "
        "two people stand for.",
        check="a correction is signed, says why, and lies in the past; one that lowers a total of the last 7 d has "
        "two signatures; no total falls "
        "below nothing",
        examples=(
            example("{nc} added, signed by one", lambda nc: corrected(nc, "dr-1"), nc=50_000_000),
            example("{nc}, signed by one", lambda nc: corrected(nc, "dr-1"), nc=-50_000_000),
            example("{nc}, signed by two", lambda nc: corrected(nc, "dr-1", "dr-2"), nc=-50_000_000),
            example("{nc} of 100 mC, signed by two", lambda nc: corrected(nc, "dr-1", "dr-2"), nc=-150_000_000),
        ),
    ),
)
