"""Pages of the rules across sessions: L01 to L13."""

from rig import Rig, Stop

from safety.prescription import Dose
from tests.safety_case.bedside import DAY_MS, HOUR_MS, Modality, admitted, asking, past
from tests.safety_case.figures import human
from tests.safety_case.page import Outcome, Page, example


def often(rule: str, times: int, every_ms: int, modality: Modality = Modality.NMES) -> Outcome:
    """So many sessions behind the patient, one each `every_ms`, the last so long ago."""
    return admitted(
        rule, *(past(every_ms * (n + 1), modality=modality) for n in range(times)), request=asking(modality)
    )


def rested(hours: int, earlier: int = 2, on_time_ms: int = 600_000) -> Outcome:
    """The last session so many hours ago, with so many older ones."""
    return admitted(
        "L02",
        *(past(hours * HOUR_MS + n * 5 * DAY_MS) for n in range(earlier + 1)),
        request=asking(on_time_ms=on_time_ms),
    )


def charged(rule: str, days: int, nc: int) -> Outcome:
    """Sessions of this charge, one a day, yesterday's evening the last."""
    return admitted(rule, *(past(12 * HOUR_MS + n * DAY_MS, nc=nc) for n in range(days)))


def crashed(*, settled: bool) -> Outcome:
    """A session of this morning that reserved 1.2 C and gave 0.3 C, settled or not."""
    reserved, given = Dose(nc=1_200_000_000, on_ms=500_000), Dose(nc=300_000_000, on_ms=150_000)
    end = {} if settled else {"closed_wall_ms": None}
    return admitted("L03", past(6 * HOUR_MS, reserved=reserved, charged=given if settled else None, **end))


def settled(*, confirmed: bool) -> Outcome:
    """A session stopped on its first plateau, by a device that confirms it or is silent for good."""
    rig = Rig().plateau()
    permit = rig.station.session.permit
    rig.answering = confirmed
    rig.must(Stop())
    rig.tick(20)
    body = rig.notes("settle")
    given = next((dose for each in body for _, dose in each.charged), None)
    reserved = human(permit.reserve[0].nc, "nC")
    return f"{reserved} reserved, {human(given.nc, 'nC') if given else 'all of it'} charged"


PAGES = (
    Page(
        "L01",
        guards="More treatments a day than the course plans for add up in muscle and skin, also when each of them is "
        "harmless.",
        check="treatments on this site in the last 24 h, this one included <= limit. Going on within half an hour "
        "under the same prescription, with "
        "what was left of its dose, is the same treatment.",
        examples=(
            example("NMES: one treatment 5 h ago", lambda: often("L01", 1, 5 * HOUR_MS)),
            example("NMES: treatments 5 h and 10 h ago", lambda: often("L01", 2, 5 * HOUR_MS)),
            example("TENS: treatments 5 h and 10 h ago", lambda: often("L01", 2, 5 * HOUR_MS, Modality.TENS)),
        ),
    ),
    Page(
        "L02",
        guards="A muscle needs hours to recover, and an untrained one days: breakdown of muscle after a first session "
        "peaks on the third day.",
        check="NMES: time since the last treatment >= limit; a shorter one for programmes with little on-time; two "
        "days after each of the first two",
        examples=(
            example("Three or more treatments behind, the last 4 h ago", lambda: rested(4)),
            example("Three or more treatments behind, the last 3 h ago", lambda: rested(3)),
            example("A first treatment 47 h ago", lambda: rested(47, earlier=0)),
            example("450 s of on-time, the last 2 h ago", lambda: rested(2, on_time_ms=450_000)),
        ),
    ),
    Page(
        "L03",
        guards="The charge of a day on one site is bounded, however many sessions, devices or clinics it is spread "
        "over.",
        check="charge on this site in the last 24 h + what this session reserves <= limit",
        examples=(
            example("{nc} today, and 500 mC are asked for", lambda nc: charged("L03", 1, nc), nc=1_100_000_000),
            example("{nc} today, and 500 mC are asked for", lambda nc: charged("L03", 1, nc), nc=1_100_000_001),
        ),
    ),
    Page(
        "L04",
        guards="Skin and muscle that get a little too much each day are harmed by the week.",
        check="charge, and on-time, on this site in the last 7 d + what this session reserves <= limits",
        examples=(
            example("Six days of {nc}, and 500 mC are asked for", lambda nc: charged("L04", 6, nc), nc=850_000_000),
            example("Six days of {nc}, and 500 mC are asked for", lambda nc: charged("L04", 6, nc), nc=850_000_001),
        ),
    ),
    Page(
        "L05",
        guards="Strength training needs days without training. Light programmes, as the trials in neuropathy use "
        "them, may come twice a day.",
        check="treatments on this site in the last 7 d, this one included <= limit; a higher one for programmes of at "
        "most 450 s of on-time",
        examples=(
            example("NMES: four treatments in the last six days", lambda: often("L05", 4, 30 * HOUR_MS)),
            example("NMES: five treatments in the last seven days", lambda: often("L05", 5, 30 * HOUR_MS)),
        ),
    ),
    Page(
        "L07",
        guards="After a crash nobody knows how much was given. So all that was reserved counts.",
        check="dose of a session = what was settled; without a settlement, what was reserved",
        examples=(
            example(
                "This morning 1.2 C was reserved and 0.3 C settled; 0.5 C is asked for (L03)",
                lambda: crashed(settled=True),
            ),
            example("The same, but the service crashed before it settled", lambda: crashed(settled=False)),
        ),
    ),
    Page(
        "L08",
        guards="A session is charged less than it reserved only when the device itself says what it gave and that it "
        "has stopped. A screen that "
        "shows zero is no evidence.",
        check="settled = the larger of what was played and what the device counted; only after the device confirmed "
        "its stop, else the reservation",
        examples=(
            example("The device confirmed the stop", lambda: settled(confirmed=True)),
            example("The device never answered again", lambda: settled(confirmed=False)),
        ),
    ),
)
