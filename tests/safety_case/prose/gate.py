"""Pages of the gate's rules about wish, session and device: G01 to G07, G17 to G19, G22 to G28."""

from dataclasses import replace

from rig import IDENTITY, Adjust, ClearLatch, IdealDevice, Rig, Stop

from tests.safety_case.bedside import DAY_MS, WALL_MS, first, opened, plan, rx, shaped
from tests.safety_case.page import Outcome, Page, example


def asked(rule: str, wish: object, rig: Rig | None = None, **changes: object) -> Outcome:
    """What the rule says to a wish on the first plateau of a session."""
    rig = rig or Rig().plateau()
    return first(rig.ask(wish, **changes).reasons, rule)


def aged(age_ms: int) -> Outcome:
    rig = Rig().plateau()
    return asked("G02", Adjust(1, 1_000), rig, issued_wall_ms=rig.wall_ms - age_ms)


def after(rest_ms: int) -> Outcome:
    """A second rise so long after the first."""
    rig = Rig().plateau()
    rig.must(Adjust(1, 1_000))
    rig.tick(rest_ms // 50)
    return asked("G18", Adjust(1, 1_000), rig)


def lasting(therapy_ms: int) -> Outcome:
    return shaped("G28", off_ms=5_000, on_ms=5_000, therapy_ms=therapy_ms)


def stopped_before(*, cleared: bool) -> Outcome:
    """A new session after somebody stopped the last."""
    rig = Rig().plateau()
    rig.must(Stop())
    for latch in rig.station.latches if cleared else ():
        rig.must(ClearLatch(latch.id, "asked the patient why"))
    return opened("G27", rx(), rig)


def valid(days: int) -> Outcome:
    return opened("G04", rx(valid_until_wall_ms=WALL_MS + days * DAY_MS))


def stranger() -> Outcome:
    """A session is opened on a device of another model."""
    rig = Rig(device=IdealDevice(identity=replace(IDENTITY, model="somebody-elses")))
    return opened("G23", rx(), rig)


PAGES = (
    Page(
        "G01",
        guards="A figure in the wrong unit, ten times too large or no number at all must not reach a patient. A wish "
        "is taken whole or not "
        "at all; nothing in it is guessed or rounded.",
        check="every figure a whole number in its range; every channel named belongs to the session",
        examples=(
            example(
                "Raise channel 1 by {delta_ua}", lambda delta_ua: asked("G01", Adjust(1, delta_ua)), delta_ua=1_000
            ),
            example(
                "Raise channel 1 by {delta_ua}", lambda delta_ua: asked("G01", Adjust(1, delta_ua)), delta_ua=1_000_000
            ),
            example("Raise channel 5 of a session that has one channel", lambda: asked("G01", Adjust(5, 1_000))),
        ),
    ),
    Page(
        "G02",
        guards="A start that was held up on its way, or one that a broker delivers again, would bring current nobody "
        "expects. So would a wish "
        "of somebody who looked at an old screen.",
        check="age of the wish <= limit; not dated ahead by more than the clocks' slack; not retained by the broker; "
        "and boot, session and "
        "version of the state are those that the sender saw",
        examples=(
            example("A rise that was sent {age_ms} ago", aged, age_ms=3_000),
            example("A rise that was sent {age_ms} ago", aged, age_ms=3_001),
            example("A rise that the broker kept", lambda: asked("G02", Adjust(1, 1_000), retained=True)),
        ),
    ),
    Page(
        "G04",
        guards="A prescription belongs to one patient, for a time. One that has expired, or that was written for "
        "somebody else, is not given.",
        check="now <= valid until; its patient is the one named; its length <= limit of the sensation class",
        examples=(
            example("Valid for another day", lambda: valid(1)),
            example("It expired a day ago", lambda: valid(-1)),
            example(
                "{therapy_ms} in class S0",
                lambda therapy_ms: shaped("G04", therapy_ms=therapy_ms),
                therapy_ms=1_800_000,
            ),
            example(
                "{therapy_ms} in class S0",
                lambda therapy_ms: shaped("G04", therapy_ms=therapy_ms),
                therapy_ms=1_801_000,
            ),
        ),
    ),
    Page(
        "G17",
        guards="A muscle that is held without rest tires within half a minute and may give way hours later, when the "
        "patient stands up.",
        check="NMES above 10 Hz: time on the plateau <= limit, and time at zero >= ratio x time on the plateau. TENS "
        "may be continuous.",
        examples=(
            example("{on_ms} on, {off_ms} off", lambda **t: shaped("G17", **t), on_ms=10_000, off_ms=30_000),
            example("{on_ms} on, {off_ms} off", lambda **t: shaped("G17", **t), on_ms=10_000, off_ms=29_999),
            example("{on_ms} on, {off_ms} off", lambda **t: shaped("G17", **t), on_ms=10_001, off_ms=40_000),
        ),
    ),
    Page(
        "G18",
        guards="Current that comes quickly startles and can tear. Every contraction rises from zero, and a person "
        "raises the set-point in small "
        "steps that the patient can answer to.",
        check="ramp >= limit; a rise of the set-point <= one step, and not before the last one has been felt for step "
        "/ speed, on the plateau. "
        "Lowering is free at any time.",
        examples=(
            example(
                "A ramp of {ramp_up_ms}", lambda ramp_up_ms: shaped("G18", ramp_up_ms=ramp_up_ms), ramp_up_ms=1_000
            ),
            example("A ramp of {ramp_up_ms}", lambda ramp_up_ms: shaped("G18", ramp_up_ms=ramp_up_ms), ramp_up_ms=999),
            example("A rise by {delta_ua}", lambda delta_ua: asked("G18", Adjust(1, delta_ua)), delta_ua=1_001),
            example("A second rise by 1 mA {rest_ms} after the first", after, rest_ms=500),
        ),
    ),
    Page(
        "G23",
        guards="Current goes only through a device that is known, of the kind this site expects, present, stopped and "
        "sound. An emulator is never "
        "taken for a device in a clinic, nor a device for an emulator on a bench.",
        check="model on the site's list; emulator exactly where the profile says so; heard within the silence limit; "
        "state stopped; every train "
        "within the device's own range; its accuracy at most 10 %",
        examples=(
            example("A device of the expected model, stopped", lambda: opened("G23", rx())),
            example(
                "A train of {ua} on a device that gives up to 100 mA",
                lambda ua: opened("G23", rx(plan(ua=ua, max_ua=ua))),
                ua=100_100,
            ),
            example("A device that the site does not list", stranger),
        ),
    ),
    Page(
        "G27",
        guards="What was stopped stays stopped until somebody who may do so has looked and said why it may go on.",
        check="no latch stands for the device, the session, the patient or the site under the pads, and no rule holds",
        examples=(
            example("Somebody stopped the last session; the latch is cleared", lambda: stopped_before(cleared=True)),
            example("The same, not cleared", lambda: stopped_before(cleared=False)),
        ),
    ),
    Page(
        "G28",
        guards="A session is begun only when all of it can be given within its caps. The worst dose is written to "
        "disk as reserved before the "
        "first pulse, so that a crash can only make the books show too much.",
        check="given + worst dose of what is left + what a stop that is not heard lets pass <= share x cap, "
        "for charge, for I2t and for on-time, on each channel",
        examples=(
            example("5 s on, 5 s off with ramps for {therapy_ms}", lasting, therapy_ms=900_000),
            example("5 s on, 5 s off with ramps for {therapy_ms}", lasting, therapy_ms=1_200_000),
        ),
    ),
)
