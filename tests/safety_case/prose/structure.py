"""Pages of the structural rules: X1 to X12. Their examples are what the construction itself gives."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from rig import SHIPPED_NMES, ClearLatch, Modality, Rig, Start

from controller.store.dose import Ledger
from safety.admit import admit
from safety.complete import gaps
from safety.effects import ChannelRequest, Settlement
from safety.limits import LimitError, meet, site_limits
from safety.messages import Booted
from safety.prescription import Dose
from safety.units import ceil_div
from tests.safety_case.bedside import WALL_MS, asking, bent, first, plan, rig_of, rx, said, without
from tests.safety_case.figures import named
from tests.safety_case.page import Outcome, Page, example


def site(amplitude_ua: int) -> str:
    """A site's policy with this ceiling of amplitude."""
    try:
        limits = site_limits(Modality.NMES, SHIPPED_NMES | {"amplitude_ua": amplitude_ua})
    except LimitError as error:
        return f"the service does not start: {error.expected.replace(str(100_000), named('ua', 100_000))}"
    return f"taken: at most {named('ua', limits.amplitude_ua)}"


def layered(rx_ua: int) -> str:
    """What a prescription's own ceiling comes to under a site of 80 mA."""
    base = site_limits(Modality.NMES, SHIPPED_NMES)
    return f"at most {named('ua', meet(base, {'amplitude_ua': rx_ua}).amplitude_ua)}"


def started(*, armed: bool) -> str:
    """A start in its own phase and in another."""
    rig = Rig()
    rig = rig.armed() if armed else rig.prepared()
    answer = rig.ask(Start())
    return answer.status + "".join(f" (`{reason.code}`)" for reason in answer.reasons)


def together() -> str:
    """A pad that comes off trips several rules in one word."""
    rig = Rig().plateau()
    mark = len(rig.said)
    rig.device.ohm[1] = 9_000
    rig.device.sample_changes[1] = {"clipped": 3}
    rig.tick(2)
    told = {reason.rule: reason.severity.name for message in rig.said[mark:] for reason in message.reasons}
    return "acts as " + rig.station.latches[0].rule + "; told: " + ", ".join(f"{k} {v}" for k, v in told.items())


def cleared() -> str:
    """Where the output is after a pause was acknowledged."""
    rig = Rig().plateau()
    rig.give_pause()
    for latch in rig.station.latches:
        rig.must(ClearLatch(latch.id, "supply mended"))
    rig.tick(20)
    return f"phase {rig.phase}, {len(rig.station.beat.picture.trains)} channels on"


def crashed() -> Outcome:
    """The service starts again while the journal shows a session without an end."""
    rig = Rig()
    mark = len(rig.said)
    rig.give(Booted("b2", "s-dev1-b1-1", 0, (), 2))
    return said(rig, "X6", mark)


def unfitted() -> str:
    """What is said at prepare of a device that reads nothing back."""
    rig = rig_of(numeric_impedance=False, readback=False)
    rig.prepared(rx(plan()))
    answer = next(m for m in rig.said if getattr(m, "details", ()) and dict(m.details).get("not_fitted"))
    return f"not fitted: {dict(answer.details)['not_fitted']}"


def frozen(ms: int) -> str:
    """How many words that keep the device alive leave a core that is not stepped for so long."""
    rig = Rig().plateau()
    mark = len(rig.log)
    rig.mono_ms += ms
    return f"{len(rig.log) - mark} frames sent; its dead man acts after {named('ms', rig.device.caps.dead_man_ms)}"


def recorded() -> str:
    """What the record says of a session that ran."""
    rig = Rig().running()
    (opening,), permits = rig.notes("open"), rig.notes("permit")
    ceiling = named("amplitude_ua", permits[-1].limits.amplitude_ua)
    return f"opened under policy `{opening.policy}`; its last permit holds every limit, such as at most {ceiling}"


def both(*, ended: bool) -> Outcome:
    """Two controllers ask the ledger for one patient, each on a device of its own."""

    async def ask(folder: Path) -> Outcome:
        ledger = Ledger(folder / "ledger.db", admit, may_create=True)
        reserve = (ChannelRequest(channel=1, site="right-calf", pair="b", reserve=Dose(nc=1)),)
        await ledger.reserve("stim-1", asking(session="s-1", channels=reserve), WALL_MS, 60_000)
        if ended:
            await ledger.settle(Settlement(session="s-1", evidence="readback", charged=((1, Dose()),)), WALL_MS)
        done = await ledger.reserve("stim-2", asking(session="s-2", channels=reserve), WALL_MS, 60_000)
        return first(done.reasons, "X10") or f"permitted, with token {done.token}"

    with TemporaryDirectory() as folder:
        return asyncio.run(ask(Path(folder)))


def counted(lost: str) -> str:
    """What the core says of its rules when one of them stands in no list."""
    with without(lost):
        return f"the service does not start: {'; '.join(gaps())}" if gaps() else "the service starts"


PAGES = (
    Page(
        "X1",
        guards="A ceiling that a file could raise would be raised one day. The outermost limits are compiled into one "
        "module; a digest of them is "
        "logged at every start, and a test fails when one changes unnoticed.",
        check="site limit on the safe side of the hard one, for each name, or the service does not start",
        examples=(
            example("A site allows {amplitude_ua}", site, amplitude_ua=100_000),
            example("A site allows {amplitude_ua}", site, amplitude_ua=100_001),
        ),
    ),
    Page(
        "X2",
        guards="A decision that nobody can check afterwards teaches nothing. Which policy was in force, and which "
        "limits came of it with prescription "
        "and class, stands beside what was decided.",
        check="each row of the journal, and the record of a session's opening, holds the digest of the site's policy; "
        "the record of each permit holds every limit by value",
        examples=(example("A session of the rig, whose policy has the digest `p1`", recorded),),
    ),
    Page(
        "X3",
        guards="What nobody thought of must not bring current. Phases, verbs, fields, device states and codes are "
        "lists of what is allowed; all else "
        "is refused.",
        check="verb in the list of the phase; every field known; every limit present",
        examples=(
            example("Start in the phase armed", lambda: started(armed=True)),
            example("Start in the phase prepared", lambda: started(armed=False)),
        ),
    ),
    Page(
        "X4",
        guards="When several things go wrong at once the hardest answer wins, and nobody has to guess at the others.",
        check="action = max(severity of all active reasons); all of them are told and kept",
        examples=(example("A pad comes off while pulses are clipped", together),),
    ),
    Page(
        "X5",
        guards="The first thing a stop does is to stop. Telling and writing come after, and nothing that is "
        "acknowledged brings the current back by "
        "itself: it begins again at zero, by an order of its own.",
        check="first effect of any latch = silence; a latch is removed by its class only; resume ramps from zero",
        examples=(example("A pause is acknowledged and a second passes", cleared),),
    ),
    Page(
        "X6",
        guards="A service that restarts does not go on where it was. The session is over, its whole reservation "
        "counts, and somebody looks first.",
        check="a session without an end in the journal at start = a latch",
        examples=(example("The journal shows a session that never ended", crashed),),
    ),
    Page(
        "X7",
        guards="A measurement that should be there and is not is the worst case. One that the device cannot make is "
        "no alarm, but it is said, and "
        "what stands in for it decides who may be treated.",
        check="missing: the rule's worst action. Not fitted: the rule is inactive and listed, in the answer to "
        "prepare and in the report",
        examples=(
            example("A device that measures nothing, at prepare", unfitted),
            example("Impedance is fitted, and no reading comes for 12 ticks", lambda: bent("M04", 12, fresh=False)),
        ),
    ),
    Page(
        "X8",
        guards="Hard ceiling, site, device, prescription, sensation class, calibration: each may narrow what the one "
        "before allowed, none can widen "
        "it. A session keeps the limits it began with, so that nothing changes under the current.",
        check="upper limits meet with min, lower ones with max; taken once, at prepare",
        examples=(
            example("Site 80 mA, prescription {rx_ua}", layered, rx_ua=40_000),
            example("Site 80 mA, prescription {rx_ua}", layered, rx_ua=95_000),
        ),
    ),
    Page(
        "X9",
        guards="When the safety core hangs, crashes or is switched off, nothing keeps the device alive, and its own "
        "dead man ends the output. No "
        "timer or thread runs beside the core that could do it instead.",
        check="every frame that energises carries a grant of one step of the core",
        examples=(example("The core is frozen for {ms}", frozen, ms=500),),
    ),
    Page(
        "X10",
        guards="Two controllers that treat one patient, or drive one device, at the same time would add up to what "
        "neither of them set.",
        check="the ledger gives a session its patient and its device together, for a time; a token that only rises "
        "tells the newer from the older; each "
        "journal and each line has one owner, and a second is turned away",
        examples=(
            example("Another service treats this patient until a minute from now", lambda: both(ended=False)),
            example("That session has ended and is settled", lambda: both(ended=True)),
        ),
        note="A session whose token is no longer the newest, or whose time is over, stops by itself: [M34](M34.md).",
    ),
    Page(
        "X11",
        guards="Rounding, overflow and figures that are no numbers have passed limits elsewhere. Here only whole "
        "numbers decide, in units that "
        "their names tell, and division rounds towards more dose.",
        check="no float and no division to one anywhere in the core; squares are compared, not roots",
        examples=(
            example(
                "A phase of {ua} and {width_us}",
                lambda ua, width_us: f"{ceil_div(ua * width_us, 1000)} nC",
                ua=13_700,
                width_us=217,
            ),
        ),
    ),
    Page(
        "X12",
        guards="A rule that nobody asks is silent, and silence looks like safety. The core counts its own rules "
        "before the service serves anybody.",
        check="every id of the reference is registered once; every registered rule stands in a list that is asked, or "
        "at a place that is named; nothing is asked "
        "that is not registered",
        examples=(
            example("All rules stand in their lists", lambda: counted("")),
            example("The rule that watches the loop itself (M25) stands in no list", lambda: counted("M25")),
        ),
    ),
)
