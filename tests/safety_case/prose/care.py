"""Pages of the rules about the people and the state of a running session: M06, M15 to M17, M22, M24, M31 to M37."""

from tests.safety_case.page import Page

PAGES = (
    Page(
        "M06",
        guards="Who cannot feel a burn is not left alone with one. Somebody confirms again and again that they are "
        "with the patient.",
        check="class S1 and S2: time since the last confirmation <= limit",
        examples=(),
    ),
    Page(
        "M15",
        guards="Two like pairs, left and right, age alike. When one departs from the other, something is wrong with "
        "it.",
        check="ratio of the impedances of the two pairs <= limit, for 10 s; class S0 holds, S1 and S2 pause",
        examples=(),
    ),
    Page(
        "M16",
        guards="A second phase that is short or missing leaves direct current, and direct current burns by chemistry, "
        "without warmth.",
        check="measured imbalance of the phases <= limit, and imbalance x charge x rate <= limit of direct current, "
        "over a second",
        examples=(),
    ),
    Page(
        "M17",
        guards="As a pad peels, the density under what still touches rises. It is estimated from the impedance and "
        "judged by itself.",
        check="r.m.s. current over area x estimated contact <= limits",
        examples=(),
    ),
    Page(
        "M22",
        guards="Skin under a pad may warm up unnoticed, most of all under a cover.",
        check="skin temperature, where it is measured: three steps",
        examples=(),
    ),
    Page(
        "M24",
        guards="A patient who says that it burns, that it hurts badly, or who faints is believed at once.",
        check="a report of burning, of pain at or above 7 of 10, of syncope or of harmed skin",
        examples=(),
    ),
    Page(
        "M31",
        guards="A wall clock that jumps makes rest look longer or a dose look older than it is.",
        check="wall clock and running clock, since the session began, differ by at most the limit; the ledger counts "
        "with the later",
        examples=(),
    ),
    Page(
        "M32",
        guards="What cannot be recorded is not done. When the journal does not reach the disk, current ends.",
        check="age of the oldest entry that is not on the disk <= limits",
        examples=(),
    ),
    Page(
        "M34",
        guards="Two controllers that both believe they treat this patient would add up. The one whose right has "
        "passed to the other, or has "
        "run out, stops by itself.",
        check="no newer token was seen; the hold's own deadline has not passed",
        examples=(),
    ),
    Page(
        "M35",
        guards="Contractions are counted, because a muscle that works without rest or without end is harmed however "
        "gentle each of them is.",
        check="NMES: contractions since the last long rest, and in the session <= limits",
        examples=(),
    ),
    Page(
        "M36",
        guards="Effort is asked of the patient, because no sensor here sees fatigue.",
        check="NMES: time since the last rating <= limits",
        examples=(),
    ),
    Page(
        "M37",
        guards="Skin that cannot warn is looked at, more often the less it feels.",
        check="class S1 and S2: time since the last look at the skin <= limit of the class",
        examples=(),
    ),
)
