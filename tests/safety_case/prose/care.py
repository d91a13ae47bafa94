"""Pages of the rules about the people and the state of a running session: M06, M15 to M17, M22, M24, M31 to M37."""

from rig import Rig, Sensation

from safety.messages import Adverse, Rate, Rated, Report, Tick
from tests.safety_case.bedside import calibrated, plan, remembers, rig_of, rx, said, watched
from tests.safety_case.page import Outcome, Page, example

FEELS_LITTLE = rx(plan(ua=20_000, calibration=calibrated(motor_ua=15_000, maximal_ua=38_000)), sensation=Sensation.S1)


def unattended(rule: str, what: str, ms: int, rig: Rig | None = None) -> Outcome:
    """A session in which something was last confirmed so long ago, and at its start."""

    def cause(rig: Rig) -> None:
        session, at_ms = rig.station.session, rig.mono_ms + 50 - ms
        care, course = session.care._replace(**{what: at_ms}), session.course._replace(first_run_ms=at_ms)
        rig.station = rig.station._replace(session=session._replace(care=care, course=course))
        rig.tick()

    return watched(rule, cause, rig or Rig().plateau())


def with_little_feeling(rule: str, what: str, ms: int) -> Outcome:
    """The same of a patient in class S1."""
    return unattended(rule, what, ms, Rig().plateau(FEELS_LITTLE))


def uneven(ms: int) -> Outcome:
    """A pair that has differed from its twin for so long."""

    def cause(rig: Rig) -> None:
        session = rig.station.session
        contact = session.channels[0].contact
        contact = contact._replace(past=contact.past._replace(uneven_ms=rig.mono_ms + 50 - ms))
        channels = (session.channels[0]._replace(contact=contact),)
        rig.station = rig.station._replace(session=session._replace(channels=channels))
        rig.tick()

    return watched("M15", cause)


def sensed(rule: str, start: dict[str, int], fitted: dict[str, bool], ticks: int, **reading: int | None) -> Outcome:
    """A device that can measure this reads so, after it has read `start` on the way up."""
    rig = rig_of(**fitted)
    rig.device.sample_changes[1] = start
    rig.plateau()
    return watched(rule, lambda rig: (rig.device.sample_changes.update({1: reading}), rig.tick(ticks)), rig)


def unbalanced(imbalance_ppm: int | None) -> Outcome:
    return sensed("M16", {"imbalance_ppm": 0}, {"balance": True}, 40, imbalance_ppm=imbalance_ppm)


def warmed(skin_mdeg: int) -> Outcome:
    return sensed("M22", {"skin_mdeg": 33_000}, {"temperature": True}, 4, skin_mdeg=skin_mdeg)


def crowded(ohm: int) -> Outcome:
    """A strong contraction on 25 cm2, whose impedance has risen to this from 1,500 ohm."""
    rig = Rig().plateau(rx(plan(ua=60_000, max_ua=60_000)))
    return watched("M17", lambda rig: (rig.device.ohm.update({1: ohm}), rig.tick(8)), rig)


def told(wish: object) -> Outcome:
    """What a report or a rating leads to."""
    rig = Rig().plateau()
    mark = len(rig.said)
    rig.ask(wish)
    return said(rig, "M24", mark)


def stepped(ms: int) -> Outcome:
    """The wall clock is set forward."""
    return watched("M31", lambda rig: (setattr(rig, "wall_ms", rig.wall_ms + ms), rig.tick()))


def unsynced(ms: int) -> Outcome:
    """The oldest entry of the journal waits for the disk."""

    def cause(rig: Rig) -> None:
        last = next(event for event, _ in reversed(rig.steps) if isinstance(event, Tick))
        rig.mono_ms += 50
        rig.wall_ms += 50
        rig.give(last._replace(unsynced_ms=ms))

    return watched("M32", cause)


def held_for(ms: int) -> Outcome:
    """A hold that ends so long after the next tick."""

    def cause(rig: Rig) -> None:
        session = rig.station.session
        care = session.care._replace(token=4, hold_ends_ms=rig.mono_ms + 50 + ms)
        rig.station = rig.station._replace(session=session._replace(care=care))
        rig.tick()

    return watched("M34", cause)


def contracted(times: int) -> Outcome:
    """The next contraction would begin after so many of this set."""
    return remembers("M35", pulls=(times, times), train=None, rest_ms=6_000)


PAGES = (
    Page(
        "M06",
        guards="Who cannot feel a burn is not left alone with one. Somebody says again and again that they are with "
        "the patient.",
        check="class S1 and S2, and every class on a device that cannot measure the electrode: time since the last "
        "confirmation, or since "
        "the start, <= the lesser of the limit and the time of the device's profile",
        examples=(
            example(
                "Class S1, confirmed {ms} ago",
                lambda ms: with_little_feeling("M06", "present_ms", ms),
                ms=300_000,
            ),
            example(
                "Class S1, confirmed {ms} ago",
                lambda ms: with_little_feeling("M06", "present_ms", ms),
                ms=300_050,
            ),
            example("Class S0, confirmed {ms} ago", lambda ms: unattended("M06", "present_ms", ms), ms=900_000),
        ),
    ),
    Page(
        "M15",
        guards="Two like pairs, left and right, age alike. When one departs from the other it is losing contact or is "
        "bridged.",
        check="the impedances of two pairs that the prescription calls twins differ by more than the ratio, for more "
        "than 10 s: class S0 holds, "
        "S1 and S2 pause",
        examples=(
            example("Class S0, apart for {ms}", uneven, ms=10_000),
            example("Class S0, apart for {ms}", uneven, ms=10_050),
        ),
    ),
    Page(
        "M16",
        guards="A second phase that is short or missing leaves direct current, and that burns by chemistry, without "
        "any warmth to warn.",
        check="measured over a second: phases differ by at most 2 %, and the direct current that this leaves is at "
        "most 0.1 mA",
        examples=(
            example("The phases differ by {imbalance_ppm}", unbalanced, imbalance_ppm=20_000),
            example("The phases differ by {imbalance_ppm}", unbalanced, imbalance_ppm=50_000),
            example("The device measures it, and the reading does not come", lambda: unbalanced(None)),
        ),
    ),
    Page(
        "M17",
        guards="As a pad peels, the same current goes through what still touches. How much does is estimated from the "
        "impedance, and the "
        "density there is judged by itself.",
        check="area left = area x (baseline - body) / (impedance - body); r.m.s. current over it <= limit; 2 mA/cm2 "
        "is the end. The body's share "
        "is taken as 250 ohm.",
        examples=(
            example("60 mA on 25 cm2, 1,500 ohm before, now {ohm}", crowded, ohm=4_000),
            example("60 mA on 25 cm2, 1,500 ohm before, now {ohm}", crowded, ohm=5_500),
            example("60 mA on 25 cm2, 1,500 ohm before, now {ohm}", crowded, ohm=7_500),
        ),
    ),
    Page(
        "M22",
        guards="Skin under a pad may warm up unnoticed, most of all under a cover.",
        check="skin temperature, where the device can measure it, in three steps",
        examples=(
            example("{skin_mdeg}", warmed, skin_mdeg=37_900),
            example("{skin_mdeg}", warmed, skin_mdeg=38_000),
            example("{skin_mdeg}", warmed, skin_mdeg=40_000),
            example("{skin_mdeg}", warmed, skin_mdeg=41_000),
        ),
    ),
    Page(
        "M24",
        guards="A patient who says that it burns, that it hurts badly, or who faints is believed at once, and the "
        "place is left alone until a "
        "clinician has looked.",
        check="a report of burning, pain, syncope, harmed skin or anything else; a pain rating of 7 of 10 or more; a "
        "look at the skin that was not well",
        examples=(
            example("Pain is rated 6 of 10", lambda: told(Rate(Rated.PAIN, 6))),
            example("Pain is rated 7 of 10", lambda: told(Rate(Rated.PAIN, 7))),
            example("Burning is reported", lambda: told(Report(Adverse.BURNING))),
        ),
        note="Across sessions the report is kept by [L10](L10.md).",
    ),
    Page(
        "M31",
        guards="A wall clock that jumps makes a rest look longer, or a dose look older, than it is.",
        check="wall clock and running clock have moved apart by at most the limit since the session last ran on",
        examples=(
            example("The clock is set forward by {ms}", stepped, ms=2_000),
            example("The clock is set forward by {ms}", stepped, ms=2_001),
        ),
    ),
    Page(
        "M32",
        guards="What cannot be recorded is not done. When the journal does not reach the disk, current ends.",
        check="age of the oldest entry that is not yet on the disk <= limit",
        examples=(
            example("The oldest entry waits for {ms}", unsynced, ms=500),
            example("The oldest entry waits for {ms}", unsynced, ms=501),
        ),
    ),
    Page(
        "M34",
        guards="Two controllers that both believe they treat this patient would add up. The one whose right has "
        "passed to the other, or has run "
        "out, stops by itself.",
        check="no newer token was seen, and now lies before the end of the hold",
        examples=(
            example("The hold ends in {ms}", held_for, ms=1),
            example("The hold ends now", lambda: held_for(0)),
        ),
        note="How a hold is given is [X10](X10.md).",
    ),
    Page(
        "M35",
        guards="Contractions are counted: a muscle that works on without a long rest is harmed, however gentle each "
        "of them is.",
        check="NMES: contractions of the set and of the session before the next begins < limits; after a full set the "
        "muscle rests for four minutes",
        examples=(
            example("59 contractions so far", lambda: contracted(59)),
            example("60 contractions so far", lambda: contracted(60)),
            example("90 contractions so far", lambda: contracted(90)),
        ),
    ),
    Page(
        "M36",
        guards="The patient is asked for the effort, because no sensor here feels a muscle tire.",
        check="NMES: time since the last rating, or since the start, <= limits: first nothing may be raised, then zero",
        examples=(
            example("Rated {ms} ago", lambda ms: unattended("M36", "effort_ms", ms), ms=300_000),
            example("Rated {ms} ago", lambda ms: unattended("M36", "effort_ms", ms), ms=300_050),
            example("Rated {ms} ago", lambda ms: unattended("M36", "effort_ms", ms), ms=600_050),
        ),
    ),
    Page(
        "M37",
        guards="Skin that cannot warn is looked at, the more often the less it feels.",
        check="class S1 and S2: time since somebody looked and found it well, or since the start, <= limit of the "
        "class",
        examples=(
            example(
                "Class S1, looked at {ms} ago",
                lambda ms: with_little_feeling("M37", "skin_ms", ms),
                ms=600_000,
            ),
            example(
                "Class S1, looked at {ms} ago",
                lambda ms: with_little_feeling("M37", "skin_ms", ms),
                ms=600_050,
            ),
            example("Class S0, looked at {ms} ago", lambda ms: unattended("M37", "skin_ms", ms), ms=1_200_000),
        ),
    ),
)
