"""Pages of the gate's rules about patient, people and place: G03, G05 to G07, G19, G22, G24, G25."""

from dataclasses import replace

from rig import THIGH, WELL, ArmSession, Check, Claim, Prepare, Rig, Sensation, Start

from safety.attestation import ITEMS, Attestation
from safety.montage import Montage, Region, Side
from tests.safety_case.bedside import DAY_MS, HOUR_MS, WALL_MS, first, plan, rx, said
from tests.safety_case.page import Outcome, Page, example

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def way_up(rule: str, prescription: object = None, rig: Rig | None = None, **known: object) -> Outcome:
    """The first that the rule says on the ordinary way: prepare, check, arm, start."""
    rig = rig or Rig()
    prescription = prescription or rx()
    rig.up()
    rig.must(Claim())
    mark = len(rig.said)
    first_wish = Prepare(prescription, prescription.ref, prescription.patient, **known)
    for wish in (first_wish, Check(()), ArmSession(), Start()):
        rig.ask(wish)
    return said(rig, rule, mark)


def started(wait_ms: int = 0, role: str = "physio") -> Outcome:
    """A start so long after arming, by this role."""
    rig = Rig().armed()
    mark = len(rig.said)
    rig.tick(wait_ms // 50)
    rig.ask(Start(), role=role)
    return said(rig, "G03", mark)


def vouched(hours: int = 1, **answers: str) -> Outcome:
    """Answers that were given so long ago: no to every item but these."""
    given = tuple((item.id, answers.get(item.id, "no")) for item in ITEMS)
    attestation = Attestation(at_wall_ms=WALL_MS - hours * HOUR_MS, by="physio-1", answers=given)
    return way_up("G05", attestation=attestation)


def placed(one: Region, one_side: Side, other: Region, other_side: Side) -> Outcome:
    return way_up("G06", rx(plan(montage=Montage(one, one_side, other, other_side, 80))))


def padded(**changes: object) -> Outcome:
    spacing_mm = changes.pop("spacing_mm", 80)
    return way_up("G07", rx(plan(montage=THIGH._replace(spacing_mm=spacing_mm), **changes)))


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


def beside(region: Region, side: Side) -> Outcome:
    """A second channel here, beside one on the left thigh."""
    other = plan(channel=2, site="elsewhere", pair="b", montage=Montage(region, side, region, side, 80))
    return way_up("G22", rx(plan(), other))


def pressed(*, tried: bool) -> Outcome:
    rig = Rig()
    rig.trying = tried
    return way_up("G24", rig=rig)


def ailing(**health: bool) -> Outcome:
    """A service of which this is not well."""
    rig = Rig()
    rig.station = rig.station._replace(health=WELL._replace(**health))
    return way_up("G25", rig=rig)


PAGES = (
    Page(
        "G03",
        guards="Whoever arms a session is there when it starts, and may start it. A session that stays armed and "
        "forgotten does not come alive "
        "later by a slip.",
        check="the sender's role may start; time since arming <= limit",
        examples=(
            example("A physiotherapist starts {wait_ms} after arming", started, wait_ms=60_000),
            example("A physiotherapist starts {wait_ms} after arming", started, wait_ms=60_050),
            example("The patient's handset asks for the start", lambda: started(role="handset")),
        ),
        note="Who sends is known by the broker's login; what each role may ask at all is the site's list of "
        "principals.",
    ),
    Page(
        "G05",
        guards="Some people must not be stimulated at all, some not at this place, some not here and now: a "
        "pacemaker, a clot, a tumour, an "
        "open ulcer, a fresh fracture, a spinal injury, diathermy in the room. Each is asked by name. Nobody starts "
        "on an unknown.",
        check="every item answered no, within the limit's age; what was not answered counts as unknown",
        examples=(
            example("All items no, answered an hour ago", vouched),
            example("All items no, answered 25 h ago", lambda: vouched(25)),
            example("Open ulcer: unknown", lambda: vouched(ulcer="unknown")),
            example("Pacemaker or another active implant: yes", lambda: vouched(active_implant="yes")),
        ),
        note="A yes to an absolute item also locks the patient, on every device of the site, until a clinician has "
        "looked.",
    ),
    Page(
        "G06",
        guards="Where the pads lie decides where the current goes: never across the heart, at neck or head, or from "
        "limb to limb.",
        check="both pads on one limb of one side, or both on the lower back; head, neck, chest, upper back and "
        "genitals never; sides never mixed",
        examples=(
            example("Left thigh to left knee", lambda: placed(Region.THIGH, LEFT, Region.KNEE, LEFT)),
            example("Left forearm to right forearm", lambda: placed(Region.FOREARM, LEFT, Region.FOREARM, RIGHT)),
            example("Neck to shoulder", lambda: placed(Region.NECK, LEFT, Region.SHOULDER, LEFT)),
            example("Nobody said where the pads lie", lambda: way_up("G06", rx(plan(montage=None)))),
        ),
    ),
    Page(
        "G07",
        guards="Small pads burn, and pads too close together pass the current through the skin between them.",
        check="area of the smaller pad >= limit, or >= the lower limit where the prescriber names a reason; spacing "
        ">= limit. Uses and date are judged "
        "by [L11](L11.md).",
        examples=(
            example("{area_mm2}", padded, area_mm2=1_600),
            example("{area_mm2}", padded, area_mm2=1_599),
            example(
                "{area_mm2}, reason named: {small_pad_reason}",
                padded,
                area_mm2=900,
                small_pad_reason="small hand muscle",
            ),
            example("Pads {spacing_mm} apart", padded, spacing_mm=24),
        ),
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
        guards="Two channels at once can meet where neither should: from arm to arm or from arm to leg the way leads "
        "through the chest.",
        check="no two pairs whose cross path leads through the trunk; channels on at once <= limit; time that all "
        "pulses take <= share",
        examples=(
            example("Left thigh and right calf", lambda: beside(Region.LOWER_LEG, RIGHT)),
            example("Left thigh and left forearm", lambda: beside(Region.FOREARM, LEFT)),
        ),
    ),
    Page(
        "G24",
        guards="A stop button that was never tried may be unplugged. The patient presses it once in every session "
        "before current flows.",
        check="pressed and let go since the session was opened; it is not down now. Without a button on the device: "
        "S0 may go on, S1 and S2 need the one at the "
        "bedside",
        examples=(
            example("Pressed and let go after the session was opened", lambda: pressed(tried=True)),
            example("Never pressed in this session", lambda: pressed(tried=False)),
        ),
    ),
    Page(
        "G25",
        guards="A wrong clock miscounts rest and age; a ledger or journal that cannot be written lets dose go "
        "uncounted.",
        check="clock synchronised, ledger writable, journal writable, each by the shell's last word; what nobody has "
        "said counts as no",
        examples=(
            example("All is well", ailing),
            example("The clock is not synchronised", lambda: ailing(clock_synced=False)),
            example("The ledger cannot be written", lambda: ailing(ledger=False)),
        ),
    ),
)
