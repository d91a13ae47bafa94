"""What must be known before current flows, and who must be there while it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Final

from safety.attestation import ITEMS
from safety.limits import Modality, Sensation
from safety.messages import Adverse, Asked, Attest, Prepare, Present, Rate, Rated, Report, SkinCheck, Start, Verb
from safety.montage import Montage, Region, Side
from safety.prescription import Prescription, Programme
from safety.state import Phase
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.quotient import Keep
from tests.proof.slices.dose import SETS
from tests.proof.slices.parts import (
    GO,
    QUICK_RAMP,
    READY,
    SHORT,
    asks,
    at,
    both,
    idle,
    on_the_beat,
    only,
    running,
    short,
    walked_up,
)
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import CAPS, VOUCHED, plan, rx

HOLD, PAUSE, LOCK = Severity.HOLD, Severity.PAUSE, Severity.LOCK

# Where pads sit

OFF_LIMITS: Final = {"head", "eye", "mouth", "neck", "genital", "chest", "upper-back", "abdomen"}
ARMS: Final = {"shoulder", "upper-arm", "forearm", "hand"}
LEGS: Final = {"buttock", "thigh", "knee", "lower-leg", "foot", "foot-sole"}


def may_sit(a: str, b: str, one: str, other: str) -> bool:
    """Say where two pads may sit (safety reference 5.2): on one limb of one side, or on the lower back, not across."""
    if a == b == "lower-back":
        return {one, other} != {"left", "right"}
    return one == other != "middle" and ({a, b} <= ARMS or {a, b} <= LEGS)


PLACES: Final = tuple(
    (f"{one} {a} to {other} {b}", Montage(a, one, b, other, 80), may_sit(a, b, one, other))
    for a, one, b, other in product(Region, Side, Region, Side)
)

MONTAGES: Final = Slice(
    "montages",
    """Every pair of places on the body, each on the left, on the right and in the middle: prepared where both pads may
    sit there, refused where not.""",
    lambda: (idle(*(rx(plan(montage=montage)) for _, montage, _ in PLACES)),),
    {name: m.prepare(index) for index, (name, _, _) in enumerate(PLACES)},
    expects={name: "" if may else "G06" for name, _, may in PLACES},
    scope=only(Phase.IDLE),
    quick=False,
)


# What was vouched for


def answered(item: str, answer: str) -> Move:
    """Vouch for a patient with one answer that is not `no`, or is missing."""
    answers = tuple((each.id, answer if each.id == item else "no") for each in ITEMS if answer or each.id != item)
    return m.wish(Attest(answers))


def forbidden(item: str, answer: str, modality: Modality, region: Region) -> bool:
    """Say what one answer forbids (safety reference 5.1, 5.3): all but `no`, with four exceptions for a `yes`."""
    if answer == "yes":
        return {
            "fragile_skin": False,
            "ischaemic_leg": modality is Modality.NMES and region is Region.FOOT,
            "denervated": modality is Modality.NMES,
        }.get(item, True)
    return answer != "no"


def vouching(modality: Modality, region: Region) -> Slice:
    """Make a slice of every single answer, for one therapy at one place."""
    programme = SHORT if modality is Modality.TENS else SETS
    montage = Montage(region, Side.LEFT, region, Side.LEFT, 80)
    answers = {
        f"{item.id} {answer or 'missing'}": (item.id, answer) for item in ITEMS for answer in ("yes", "unknown", "")
    }
    return Slice(
        f"vouched {modality.value} {region.value}",
        f"""Each question of the attestation answered with yes, unknown, or not at all, all others with no; then an
        arming. {modality.value.upper()}, both pads on the {region.value}.""",
        lambda: (walked_up(idle(rx(plan(montage=montage), programme=programme), policy=QUICK_RAMP), *READY),),
        {"all no": (answered("", "no"), m.ARM), **{name: (answered(*said), m.ARM) for name, said in answers.items()}},
        expects={"all no": ""} | {
            name: "G05" if forbidden(*said, modality, region) else "" for name, said in answers.items()
        },
        asked_in=Phase.PREPARED, depth=1,
    )  # fmt: skip


def vouched_for(age_ms: int | None) -> tuple[Move, ...]:
    """Prepare a patient for whom somebody has vouched so long ago, or nobody, and go on until the arming."""

    def what(stage: Stage) -> Prepare:
        told = None if age_ms is None else replace(VOUCHED, at_wall_ms=stage.now.wall_ms - age_ms)
        return Prepare(stage.rxs[0], stage.rxs[0].ref, stage.rxs[0].patient, attestation=told)

    return (m.wish(what), m.TRY, m.ANSWER, m.CHECK, m.committed(), m.ARM)


def vouched_age(sign: int) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: how long ago somebody vouched for the patient, as the session is armed."""

    def figure(stage: Stage, what: Happening) -> int | None:
        known = stage.session.papers.attestation if stage.session else None
        right = asks(stage, what, Verb.ARM, Phase.PREPARED) and known is not None
        return sign * (stage.now.wall_ms - known.at_wall_ms) if right and known else None

    return figure


VOUCHED_WHEN: Final = Slice(
    "vouched when",
    """Somebody has vouched for the patient a day ago, or a millisecond more; two seconds ahead of our clock, or a
    millisecond more; or nobody has.""",
    lambda: (idle(short(), policy=QUICK_RAMP),),
    {str(age_ms): vouched_for(age_ms) for age_ms in (None, 86_400_000, 86_400_001, -2_000, -2_001)},
    depth=1,
    edges=(
        Edge("vouched a day ago", "G05", 86_400_000, vouched_age(1)),
        Edge("vouched in the future", "G05", 2_000, vouched_age(-1)),
    ),
)


# Who starts, and the patient's stop

ROLES: Final = {"physio": "", "automation": "", "prescriber": "G03", "biomed": "G03", "auditor": "G03", "": "G03"}

STARTERS: Final = Slice(
    "starters",
    "Every role that may ask for the start of an armed session, and every one that may not.",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM),),
    {f"start {role}": m.wish(Start(), role=role) for role in ROLES},
    expects={f"start {role}": rule for role, rule in ROLES.items()},
    asked_in=Phase.ARMED, depth=1,
)  # fmt: skip


def untried(stage: Stage, what: Happening) -> int | None:
    """Tell, as a session is armed, whether the stop was not tried that a patient has (1) or was (0)."""
    device = stage.station.device
    if not asks(stage, what, Verb.ARM, Phase.PREPARED) or stage.session is None or device is None:
        return None
    numb = stage.session.rx.sensation is not Sensation.S0
    needed = device.caps.patient_stop or numb
    return int(needed and not stage.session.papers.stop_tried) if not device.status.button else None


def held_down(stage: Stage, what: Happening) -> int | None:
    """Tell, as a session is armed whose stop was tried, whether it is down."""
    device = stage.station.device
    if not asks(stage, what, Verb.ARM, Phase.PREPARED) or stage.session is None or device is None:
        return None
    return int(device.status.button) if stage.session.papers.stop_tried else None


def measured(rx_: Prescription, **caps: object) -> Stage:
    """Prepare a session and measure its skin; nobody has tried the stop."""
    return walked_up(idle(rx_, policy=QUICK_RAMP, caps=replace(CAPS, **caps)), m.prepare(0), m.CHECK)


TRYING: Final = Slice(
    "stop tried",
    """The patient's stop before a session: pressed, let go, held, pressed at the bedside, or not at all, and an arming;
    up to five happenings in a row. A device with a stop of its own and one without, for skin that feels and skin that
    does not.""",
    lambda: (
        measured(short()), measured(short(), patient_stop=False),
        measured(short(sensation=Sensation.S1), patient_stop=False), measured(short(sensation=Sensation.S1)),
    ),
    {
        "try": m.TRY, "answer": m.ANSWER, "down": m.word(button=True), "patient": m.PRESS, "arm": m.ARM,
        "tick": m.tick(100),
    },
    prompt=False, depth=5,
    scope=lambda stage: stage.station.phase is Phase.PREPARED and stage.station.waiting is None,
    edges=(
        Edge("the stop was tried", "G24", 0, untried),
        Edge("the stop is held", "G24", 0, held_down),
    ),
)  # fmt: skip


# Who is there


def since(name: str) -> Callable[[Stage, Happening], int | None]:
    """Make a figure: how long ago somebody cared for the patient, at a tick of a session that runs."""

    def figure(stage: Stage, what: Happening) -> int | None:
        session = stage.session
        if session is None or not running(stage, what):
            return None
        return at(stage, what) - max(getattr(session.care, name), session.course.first_run_ms)

    return figure


def of_class(feels: bool, figure: Callable[[Stage, Happening], int | None]) -> Callable[[Stage, Happening], int | None]:
    """Ask for a figure only where the skin feels well, or does not."""
    return lambda stage, what: (
        figure(stage, what) if stage.session and (stage.session.rx.sensation is Sensation.S0) is feels else None
    )


def pain(stage: Stage, what: Happening) -> int | None:
    """Give how much it hurts."""
    wish = what.event.command.wish if isinstance(what.event, Asked) else None
    right = isinstance(wish, Rate) and wish.what is Rated.PAIN and stage.session is not None
    legal = stage.station.phase is not Phase.UNCERTAIN and 0 <= wish.score <= 10 if isinstance(wish, Rate) else False
    return wish.score if right and legal and isinstance(wish, Rate) else None


def score(stage: Stage, what: Happening) -> int | None:
    """Give a rating that is heard."""
    wish = what.event.command.wish if isinstance(what.event, Asked) else None
    return wish.score if isinstance(wish, Rate) and stage.station.phase is Phase.RUNNING else None


def where(numb: bool, move: Move) -> Move:
    """Let this happen only where the skin does not feel well, or does."""
    return lambda stage: (
        move(stage) if stage.session and (stage.session.rx.sensation is not Sensation.S0) is numb else None
    )


CARING: Final[dict[str, Move]] = {
    "tick": m.tick(100), "tick 1": m.tick(1), "renew": m.RENEW, "present": where(True, m.wish(Present())),
    "skin well": where(True, m.wish(SkinCheck(True))), "skin bad": m.wish(SkinCheck(False)),
    "effort": where(False, m.wish(Rate(Rated.EFFORT, 3))), "pause": m.PAUSE,
    **{f"pain {n}": m.wish(Rate(Rated.PAIN, n)) for n in (6, 7, 10, 11)}, "report": m.wish(Report(Adverse.PAIN)),
}  # fmt: skip
NUMB: Final = replace(SHORT, on_ms=1_500, therapy_ms=1_500)
CONTRACTION: Final = Programme(
    modality=Modality.NMES, ramp_up_ms=500, on_ms=400, ramp_down_ms=0, off_ms=1_200, therapy_ms=1_500
)
SOON: Final = QUICK_RAMP | {"presence_ms": 400, "skin_check_ms": 600, "effort_hold_ms": 300, "effort_pause_ms": 500}

CARE: Final = Slice(
    "care",
    """Somebody is with the patient, or not: presence, the skin, effort and pain are told in time, late, or never, and
    harm is reported. Skin that feels less, 1.5 s of TENS: presence every 0.4 s, a look every 0.6 s; a muscle, one
    contraction: a rating every 0.3 s, or 0.5 s. Ticks of 100 ms and a millisecond after each; an honest device; the
    times of care are kept. While it runs.""",
    lambda: (
        walked_up(idle(short(NUMB, sensation=Sensation.S1), policy=SOON), *GO),
        walked_up(idle(rx(plan(ua=20_000, max_ua=21_000), programme=CONTRACTION), policy=SOON), *GO),
    ),
    CARING,
    Keep(care=True),
    scope=both(on_the_beat, only(Phase.RUNNING)),
    edges=(
        Edge("presence", "M06", 400, of_class(False, since("present_ms")), PAUSE),
        Edge("a look at the skin", "M37", 600, of_class(False, since("skin_ms")), PAUSE),
        Edge("a rating holds", "M36", 300, of_class(True, since("effort_ms")), HOLD),
        Edge("a rating pauses", "M36", 500, of_class(True, since("effort_ms")), PAUSE),
        Edge("pain", "M24", 6, pain, LOCK),
        Edge("a score", "G01", 10, score),
    ),
    quick=False,
)  # fmt: skip

SLICES: Final = (
    MONTAGES, *(vouching(modality, region) for modality in Modality for region in (Region.THIGH, Region.FOOT)),
    VOUCHED_WHEN, STARTERS, TRYING, CARE,
)  # fmt: skip
