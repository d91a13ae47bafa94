"""Pages of the rules while a session is on: M01 to M37."""

from rig import Release, Rig, Stop

from safety.messages import Flaw, Garbled
from tests.safety_case.bedside import bent, loaded, proposed, remembers, said, says, watched
from tests.safety_case.page import Outcome, Page, example


def late(ms: int) -> Outcome:
    return watched("M25", lambda rig: rig.tick(ms=ms))


def silent(ms: int) -> Outcome:
    """The device says nothing more for so long."""
    return watched("M04", lambda rig: (rig.hear(), rig.tick(ms=ms)))


def fades(first_ohm: int, second_ohm: int, third_ohm: int) -> Outcome:
    """Three minutes' medians of impedance."""

    def cause(rig: Rig) -> None:
        contact = rig.station.session.channels[0].contact
        at = ((120_000, first_ohm), (60_000, second_ohm), (0, third_ohm))
        minutes = tuple((rig.mono_ms - ago, ohm) for ago, ohm in at)
        session = rig.station.session
        channels = (session.channels[0]._replace(contact=contact._replace(minutes=minutes)),)
        rig.station = rig.station._replace(session=session._replace(channels=channels))
        rig.tick(2)

    return watched("M12", cause)


def renewed(*, kept: bool) -> Outcome:
    """The client that claimed the device renews its claim, or leaves."""
    return watched("M05", lambda rig: (None if kept else rig.must(Release()), rig.tick()))


def overstays(ms: int) -> Outcome:
    """The programme stays on the plateau for so long."""

    def cause(rig: Rig) -> None:
        picture = rig.station.beat.picture
        rig.wanted = lambda: picture
        rig.tick((ms - rig.station.session.channels[0].plateau_ms) // 50)

    return watched("M20", cause)


def ran(since_ms: int) -> Outcome:
    """A session of one minute of therapy began so long ago."""

    def cause(rig: Rig) -> None:
        session = rig.station.session
        course = session.course._replace(first_run_ms=rig.mono_ms + 50 - since_ms)
        rig.station = rig.station._replace(session=session._replace(course=course))
        rig.tick()

    return watched("M21", cause)


def garbled(*flaws: Flaw) -> Outcome:
    return watched("M26", lambda rig: [rig.give(Garbled(flaw, 0, "noise")) for flaw in flaws])


def disobeys(ms: int) -> Outcome:
    """A stop that the device does not confirm for so long."""
    rig = Rig().plateau()
    rig.device.ignores_stop = True
    mark = len(rig.said)
    rig.must(Stop())
    rig.tick(ms // 50)
    return said(rig, "M29", mark)


PAGES = (
    Page(
        "M01",
        guards="An output stage that is damaged can give more than it was told. The device measures its own current; "
        "more than was set, twice "
        "running, ends the session and takes the device out of service.",
        check="measured <= set + max(2 mA, 10 % of it) + the accuracy of the device, on every pulse that was read back",
        examples=(
            example("20 mA set, {measured_ua} measured", lambda **s: bent("M01", **s), measured_ua=22_200),
            example("20 mA set, {measured_ua} measured", lambda **s: bent("M01", **s), measured_ua=22_201),
        ),
    ),
    Page(
        "M02",
        guards="Every picture of currents that would flow is judged once more by the rules of the pulse (G08 to G16) "
        "and against the "
        "prescription, whoever made it. If one of them speaks here, our own software is wrong; the device is locked "
        "until somebody knows why.",
        check="G08 to G16 hold for each train; its channel, width and period are those of the prescription; each "
        "channel once",
        examples=(
            example("The programme asks for {ua} in a window up to 30 mA", lambda ua: proposed("M02", ua), ua=30_000),
            example("The programme asks for {ua} in a window up to 30 mA", lambda ua: proposed("M02", ua), ua=30_100),
        ),
    ),
    Page(
        "M03",
        guards="A contraction that jumps instead of rising startles, hurts and can tear. The permitted line is known "
        "at every moment; nothing may "
        "stand above it.",
        check="I <= set-point x time since zero / ramp + one step of the device, and never above the set-point",
        examples=(
            example("Set-point 20 mA, past the ramp: {ua}", lambda ua: proposed("M03", ua), ua=20_000),
            example("Set-point 20 mA, past the ramp: {ua}", lambda ua: proposed("M03", ua), ua=20_100),
        ),
    ),
    Page(
        "M04",
        guards="Silence is not consent. A device that has not spoken lately may do anything; one that says it has "
        "stopped by itself has seen "
        "something that we have not.",
        check="age of the device's last word <= limits, stepwise; the same for each fitted measurement of a channel "
        "that is on; and it does not say "
        "that it has stopped while it was armed",
        examples=(
            example("Silent for {ms}", silent, ms=300),
            example("Silent for {ms}", silent, ms=301),
            example("Silent for {ms}", silent, ms=501),
            example("Silent for {ms}", silent, ms=1_001),
        ),
        note="The lesser of the limit and the time of the device's own profile counts. The device itself falls silent "
        "without us: its dead man ends "
        "the output.",
    ),
    Page(
        "M05",
        guards="Somebody has to be at the console while current flows. When the program that claimed the device "
        "closes, crashes or loses its "
        "network, the output goes to zero.",
        check="the claim has been renewed within its time",
        examples=(
            example("The client keeps renewing", lambda: renewed(kept=True)),
            example("The client has given its claim back", lambda: renewed(kept=False)),
        ),
    ),
    Page(
        "M07",
        guards="A pad or lead that is off leaves the source waiting at its full voltage; the next touch is a shock. "
        "So the output goes to zero "
        "before anything else, on a single reading.",
        check="open = impedance above max(8,000 ohm x 25 cm2 / area, 3 x baseline), or less than half of the set "
        "current flows, or the device says so",
        examples=(
            example("25 cm2, 1,500 ohm before, now {ohm}", lambda ohm: loaded("M07", ohm), ohm=8_000),
            example("25 cm2, 1,500 ohm before, now {ohm}", lambda ohm: loaded("M07", ohm), ohm=8_001),
            example("20 mA set, {measured_ua} flow", lambda **s: bent("M07", **s), measured_ua=9_999),
        ),
    ),
    Page(
        "M08",
        guards="Pads that touch, or a crushed lead, carry the current past the patient or through a narrow edge of "
        "skin.",
        check="impedance < 100 ohm on two readings running; it does not scale with the area",
        examples=(
            example("{ohm}", lambda ohm: loaded("M08", ohm), ohm=100),
            example("{ohm}", lambda ohm: loaded("M08", ohm), ohm=99),
        ),
    ),
    Page(
        "M09",
        guards="Contact this poor cannot be trusted to spread the current over the pad.",
        check="impedance > limit x 25 cm2 / area, in three of the last five readings on the plateau (class S2: all "
        "five are waited "
        "for). Above the upper limit of the skin's check (G20) nothing may be raised.",
        examples=(
            example("25 cm2, {ohm}", lambda ohm: loaded("M09", ohm), ohm=3_000),
            example("25 cm2, {ohm}", lambda ohm: loaded("M09", ohm), ohm=3_001),
            example("25 cm2, {ohm}", lambda ohm: loaded("M09", ohm), ohm=4_001),
        ),
    ),
    Page(
        "M10",
        guards="A pad that peels crowds the same current into what still touches: half the contact is twice the "
        "density. It shows as impedance "
        "above this pad's own baseline, long before it looks open.",
        check="impedance > baseline x ratio of the sensation class, in three of the last five readings on the "
        "plateau; from 0.6 of "
        "the way there nothing may be raised. The baseline follows the skin downwards as it gets moist and never "
        "upwards within a "
        "session. After a pause a fresh check has to find the pad back inside half of the way.",
        examples=(
            example("Class S0, baseline 1,500 ohm, now {ohm}", lambda ohm: loaded("M10", ohm), ohm=1_950),
            example("Class S0, baseline 1,500 ohm, now {ohm}", lambda ohm: loaded("M10", ohm), ohm=1_951),
            example("Class S0, baseline 1,500 ohm, now {ohm}", lambda ohm: loaded("M10", ohm), ohm=2_251),
        ),
    ),
    Page(
        "M11",
        guards="A sudden change of impedance is a pad that lifts, a lead that breaks, or a limb that moved the pad. "
        "It is not waited for.",
        check="change from one plateau reading to the next, or within 100 ms, > limit x the former; up or down",
        examples=(
            example("1,500 ohm, then {ohm}", lambda ohm: loaded("M11", ohm, 2), ohm=1_875),
            example("1,500 ohm, then {ohm}", lambda ohm: loaded("M11", ohm, 2), ohm=1_876),
            example("1,500 ohm, then {ohm}", lambda ohm: loaded("M11", ohm, 2), ohm=1_124),
        ),
    ),
    Page(
        "M12",
        guards="A gel that dries out concentrates the current slowly. Nothing is raised on such a pad.",
        check="impedance rises by more than the limit a minute, two minutes running; once it holds, by more than half "
        "of it",
        examples=(
            example(
                "Minute by minute: {first_ohm}, {second_ohm}, {third_ohm}",
                fades,
                first_ohm=1_000,
                second_ohm=1_100,
                third_ohm=1_220,
            ),
            example(
                "Minute by minute: {first_ohm}, {second_ohm}, {third_ohm}",
                fades,
                first_ohm=1_000,
                second_ohm=1_101,
                third_ohm=1_212,
            ),
        ),
    ),
    Page(
        "M13",
        guards="Impedance that falls fast means gel or sweat forming a bridge, or a short beginning.",
        check="a fall by more than the limit from the highest median of the last 10 s, in three of the last five "
        "readings",
        examples=(
            example("1,500 ohm, then {ohm}", lambda ohm: loaded("M13", ohm), ohm=900),
            example("1,500 ohm, then {ohm}", lambda ohm: loaded("M13", ohm), ohm=899),
        ),
    ),
    Page(
        "M14",
        guards="At the voltage limit the patient gets less than the screen shows. Press the pad on, and the current "
        "jumps to the set value. "
        "Such a case is in the public record of burns.",
        check="pulses running in which the set current was not reached: first nothing may be raised (a "
        "hold stays at half as many), then zero",
        examples=(
            example("{clipped} pulses running", lambda **s: bent("M14", **s), clipped=2),
            example("{clipped} pulses running", lambda **s: bent("M14", **s), clipped=3),
            example("{clipped} pulses running", lambda **s: bent("M14", **s), clipped=10),
        ),
    ),
    Page(
        "M18",
        guards="The dose of the session is counted while it is given, pulse by pulse and never too little. It ends at "
        "its cap, and never "
        "passes what the ledger has reserved.",
        check="charge, I2t and on-time of each channel: zero at share x cap, end at the cap or at the reservation. "
        "The larger of our count and "
        "the device's own counts.",
        examples=(
            example("{on_ms} of on-time", lambda on_ms: remembers("M18", spent=(0, 0, on_ms - 50)), on_ms=569_950),
            example("{on_ms} of on-time", lambda on_ms: remembers("M18", spent=(0, 0, on_ms - 50)), on_ms=570_000),
            example("{on_ms} of on-time", lambda on_ms: remembers("M18", spent=(0, 0, on_ms - 50)), on_ms=600_000),
        ),
    ),
    Page(
        "M19",
        guards="A muscle that is nearly exhausted lets the patient fall afterwards. A model that needs no sensor "
        "gives the least force that is left; "
        "it may only hold and rest. The current is never raised to make up for fatigue.",
        check="mu falls towards 0.2 with 30 s while the muscle is driven and recovers towards 1 with 50 s: mu >= both "
        "limits. After a pause for fatigue "
        "the muscle rests for four minutes.",
        examples=(
            example(
                "{mu_ppm} left before a tick of 50 ms at full drive",
                lambda mu_ppm: remembers("M19", mu_ppm=mu_ppm),
                mu_ppm=700_000,
            ),
            example(
                "{mu_ppm} left before a tick of 50 ms at full drive",
                lambda mu_ppm: remembers("M19", mu_ppm=mu_ppm),
                mu_ppm=600_000,
            ),
            example(
                "{mu_ppm} left before a tick of 50 ms at full drive",
                lambda mu_ppm: remembers("M19", mu_ppm=mu_ppm),
                mu_ppm=500_000,
            ),
        ),
    ),
    Page(
        "M20",
        guards="A rhythm that goes wrong turns rest into work. What was planned as a plateau may not last, and what "
        "was planned as rest may not be "
        "cut short.",
        check="NMES: plateau <= planned + 0.2 s; rest >= planned - 0.2 s",
        examples=(
            example("A plateau of 2 s lasts {ms}", overstays, ms=2_200),
            example("A plateau of 2 s lasts {ms}", overstays, ms=2_250),
        ),
    ),
    Page(
        "M21",
        guards="Every session ends, also one that is paused again and again, and one whose timer has stopped counting.",
        check="therapy played <= planned; and on the wall at most one and a half times that since it first ran",
        examples=(
            example("One minute of therapy, {since_ms} after it began", ran, since_ms=90_000),
            example("One minute of therapy, {since_ms} after it began", ran, since_ms=90_050),
        ),
    ),
    Page(
        "M23",
        guards="The patient can always end it. The button is obeyed before anything else, and a press that was over "
        "before we heard of it counts.",
        check="the button is down, or the device has counted a press since its last word",
        examples=(
            example("The button is up, nothing was pressed", lambda: says("M23", presses=0)),
            example("The button is down", lambda: says("M23", button=True)),
            example("It was pressed and let go", lambda: says("M23", presses=1)),
        ),
    ),
    Page(
        "M25",
        guards="A safety loop that runs late watches nothing. It measures its own lateness and takes the current away.",
        check="time since the last tick <= limits, stepwise; once it holds, <= halfway from the period to the first "
        "limit",
        examples=(
            example("A tick {ms} after the last", late, ms=100),
            example("A tick {ms} after the last", late, ms=101),
            example("A tick {ms} after the last", late, ms=201),
            example("A tick {ms} after the last", late, ms=251),
        ),
    ),
    Page(
        "M26",
        guards="What a device says with damage cannot be believed, and a device that refuses an order or uses an "
        "unknown word is not the one we know.",
        check="damaged or missing words within a second: one passes, two are zero, three the end; one unknown word, "
        "or one refusal of an order that "
        "energises, the end",
        examples=(
            example("One damaged word", lambda: garbled(Flaw.DAMAGED)),
            example("Two in a second", lambda: garbled(Flaw.DAMAGED, Flaw.DAMAGED)),
            example("One word that nobody knows", lambda: garbled(Flaw.UNKNOWN)),
        ),
    ),
    Page(
        "M27",
        guards="The device repeats what it was told, and we compare. A damaged order that was taken for a good one "
        "shows here.",
        check="current, width, gap and period as echoed = as sent; and a device to which nothing was granted is off",
        examples=(
            example("Gap of 100 us sent, {gap_us} echoed", lambda **s: bent("M27", 2, **s), gap_us=100),
            example("Gap of 100 us sent, {gap_us} echoed", lambda **s: bent("M27", 2, **s), gap_us=101),
        ),
    ),
    Page(
        "M28",
        guards="A stimulator whose supply is weak restarts at random, or gives what nobody set.",
        check="supply within the device's own band: zero outside it, the end beyond a tenth more",
        examples=(
            example("10.8 to 13.2 V allowed, {supply_mv}", lambda **s: says("M28", **s), supply_mv=10_800),
            example("10.8 to 13.2 V allowed, {supply_mv}", lambda **s: says("M28", **s), supply_mv=10_799),
            example("10.8 to 13.2 V allowed, {supply_mv}", lambda **s: says("M28", **s), supply_mv=9_719),
        ),
    ),
    Page(
        "M29",
        guards="A stop counts only when the device has confirmed it. Until then it is said again, then the output "
        "stage is cut, then somebody is "
        "called and the device is out of service. Current that flows without a grant is treated the same way.",
        check="confirmed within 500 ms (said again at 100 and 200 ms, cut at 250 ms); no measured current above that "
        "of a test pulse while nothing is "
        "granted",
        examples=(
            example("The device does not confirm for {ms}", disobeys, ms=450),
            example("The device does not confirm for {ms}", disobeys, ms=500),
        ),
    ),
    Page(
        "M30",
        guards="A device that has restarted has forgotten its bounds, and may have started with an amplitude of its "
        "own.",
        check="boot number the same; uptime and counted frames never run backwards",
        examples=(
            example("Uptime runs on", lambda: says("M30", faults=0)),
            example("Uptime is {uptime_ms}", lambda **s: says("M30", **s), uptime_ms=5),
        ),
    ),
)
