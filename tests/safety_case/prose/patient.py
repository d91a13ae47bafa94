"""Pages of the gate's rules about patient, people and place: G03, G05 to G07, G19, G22, G24 to G26."""

from dataclasses import replace

from rig import ArmSession, Rig, Sensation

from tests.safety_case.bedside import DAY_MS, WALL_MS, first, plan, rx
from tests.safety_case.page import Outcome, Page, example

WEEK_MS = 7 * DAY_MS


def relying(**found: int) -> Outcome:
    """A session is armed on thresholds that were found like this."""
    known = replace(plan().calibration, **found)
    rig = Rig().prepared(rx(replace(plan(), calibration=known), sensation=Sensation.S1))
    return first(rig.ask(ArmSession()).reasons, "G19")


def found_ago(age_ms: int) -> Outcome:
    return relying(at_wall_ms=WALL_MS - age_ms)


def found_under(area_mm2: int) -> Outcome:
    return relying(area_mm2=area_mm2)


PAGES = (
    Page(
        "G03",
        guards="Whoever arms a session is there when it starts, and has the right to start it. An armed device that "
        "nobody starts "
        "is put back to rest.",
        check="start follows arm within the limit; sender, role and device by the site's own list",
        examples=(),
    ),
    Page(
        "G05",
        guards="Some people must not be stimulated at all, and some only under conditions: pacemakers, clots, "
        "tumours, pregnancy, "
        "open ulcers, weak bone, spinal injury. Each question is asked and answered by name; nobody starts on an "
        "unknown.",
        check="every item answered no (or, of posture and surroundings, yes); no absolute item yes; answers younger "
        "than the limit",
        examples=(),
        note="A yes to an absolute item also locks the patient: no device of the site starts until a clinician has "
        "looked.",
    ),
    Page(
        "G06",
        guards="Where the pads lie decides where the current goes: not across the heart, not at neck or head, not "
        "over an open foot. "
        "Montages are allowed by name, and some are denied whatever anybody allows.",
        check="montage named and on the list; both pads on one limb; no path of the compiled deny list",
        examples=(),
    ),
    Page(
        "G07",
        guards="Small pads burn, worn ones too, and pads too close together pass the current through the skin between "
        "them.",
        check="smaller pad's area >= limit (a smaller one, with a reason that the prescriber gives); spacing >= "
        "limit; uses and date of the pad",
        examples=(),
    ),
    Page(
        "G19",
        guards="What somebody tolerates depends on the place, the pad and the day. A calibration of other pads, "
        "another width or another "
        "month says nothing, and a missing one leaves only what is safe without.",
        check="a calibration where the class needs one; same pair, same area, same width as it was found with; "
        "its age <= limit",
        examples=(
            example("A muscle under skin that feels little, thresholds of {age_ms} ago", found_ago, age_ms=WEEK_MS),
            example("The same, thresholds of {age_ms} ago", found_ago, age_ms=WEEK_MS + DAY_MS),
            example("The same, found with a pad of {area_mm2}", found_under, area_mm2=5_000),
        ),
    ),
    Page(
        "G22",
        guards="Two channels at once can meet where neither should: their paths may cross the trunk, and their pulses "
        "may overlap.",
        check="no two paths cross; channels on at once <= limit; share of time that pulses take, summed over channels "
        "<= limit",
        examples=(),
    ),
    Page(
        "G24",
        guards="A stop button that was never tried may be unplugged. The patient presses it once in every session "
        "before current flows.",
        check="a button is fitted; it was pressed since the session was opened, and it is up again",
        examples=(),
    ),
    Page(
        "G25",
        guards="A wrong clock miscounts rest and age; a ledger or journal that cannot be written to lets dose go "
        "uncounted.",
        check="clock synchronised; ledger reachable; journal writable; each by the last word of the shell, and "
        "unknown is no",
        examples=(),
    ),
)
