"""The quotients that the walk takes, each stated in prose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from safety.limits import Modality, Sensation
from safety.messages import Asked, DeviceState, Flaw, Start, Tick
from safety.prescription import Calibration, Plan, Prescription, Programme
from safety.state import Phase
from safety.verdict import Severity
from tests.proof import stage as m
from tests.proof.quotient import Keep
from tests.proof.stage import Happening, Move, Stage
from tests.proof.walk import Edge, Slice
from tests.safety.parts import CAPS, WALL_MS, config, plan, rx

SHORT: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=1_000, ramp_down_ms=0, off_ms=0, therapy_ms=1_000
)
"""One second of continuous current: ten ticks of 100 ms, half of them ramp."""
QUICK_RAMP: Final = {"ramp_ms": 500}


def walked_up(stage: Stage, *names: Move) -> Stage:
    """Take these moves, with all honest answers; each must be judged sound."""
    for move in names:
        what = move(stage)
        while what is not None:
            stage, judged, done = stage.after(what)
            if judged.faults:
                raise AssertionError(judged.faults)
            answer = m.next_answer(stage, done.effects)
            what = answer(stage) if answer else None
    return stage


def idle(*rxs: Prescription, policy: dict[str, int] | None = None, caps: object = CAPS) -> Stage:
    """Make a claimed station whose device stands by."""
    stage = m.begin(config(policy, policy), rxs, caps)  # type: ignore[arg-type]
    return walked_up(stage, m.up({}), m.CLAIM)


READY: Final = (m.prepare(0), m.TRY, m.ANSWER, m.CHECK)
GO: Final = (*READY, m.ARM, m.START)
ROLES: Final = {f"clear {role}": m.clear(role) for role in ("auditor", "physio", "prescriber", "biomed")}
JOURNAL: Final = {"committed": m.committed(), "denied": m.denied(), "committed wrong": m.committed(wrong=True)}
DAILY: Final = {
    "claim": m.CLAIM, "prepare": m.prepare(0), "check": m.CHECK, "arm": m.ARM, "start": m.START, "pause": m.PAUSE,
    "resume": m.RESUME, "stop": m.STOP, "patient": m.PRESS,
}  # fmt: skip


def short(**changes: object) -> Prescription:
    """Prescribe one second at 20 mA, in a window up to 21 mA."""
    return rx(plan(ua=20_000, max_ua=21_000), programme=SHORT, **changes)


def few(most: int) -> Callable[[Stage], bool]:
    """Walk on while no more than so many latches stand."""
    return lambda stage: len(stage.station.latches) <= most


def only(*phases: Phase) -> Callable[[Stage], bool]:
    """Walk on in these phases."""
    return lambda stage: stage.station.phase in phases


WISHES: Final = Slice(
    "wishes",
    """Everything that people can ask, and how the journal answers. One channel, a second of therapy; the
    device answers at once, honestly; ticks of 100 ms; wishes also stale, retained, blind, of others, of every role.
    Not beyond one latch.""",
    lambda: (idle(short(), policy=QUICK_RAMP),),
    {
        **DAILY, **ROLES, **JOURNAL,
        "tick": m.tick(100),
        "renew": m.RENEW,
        "release": m.RELEASE,
        "claim other": m.wish(m.Claim(), principal="physio-2"),
        "start other": m.wish(Start(), principal="physio-2"),
        "stop other": m.wish(m.Stop(), principal="physio-2", role="nobody", issued_wall_ms=0, retained=True),
        "start stale": m.wish(Start(), issued_wall_ms=lambda now: now - 3_001),
        "start early": m.wish(Start(), issued_wall_ms=lambda now: now + 2_001),
        "start retained": m.wish(Start(), retained=True),
        "start blind": m.wish(Start(), expect={"state_version": None}),
        "start past": m.wish(Start(), expect={"state_version": 0}),
        "clear in silence": m.clear("biomed", reason="  "),
    },
    scope=few(1),
)  # fmt: skip

ADJUST: Final = Slice(
    "set-point",
    """Every way to move a set-point: up, too far up, too soon, over the cap and the window, down, and while the journal
    has not answered yet. Starts where the ramp has just left zero; ticks of 100 ms, an honest device.""",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *GO, *[m.tick(100)] * 4),),
    {
        "tick": m.tick(100), "raise": m.adjust(1_000), "raise too far": m.adjust(1_001),
        "raise stale": m.adjust(1_000, issued_wall_ms=lambda now: now - 3_001), "lower": m.adjust(-15_000),
        "raise other": m.adjust(1_000, principal="physio-2"), "lower other": m.adjust(-400, principal="physio-2"),
        "nothing": m.adjust(0), "lower all": m.adjust(-20_000), "raise foreign": m.wish(m.Adjust(7, 1_000)),
        "committed": m.committed(), "denied": m.denied(),
    },
    scope=only(Phase.RUNNING),
    quick=False,
)  # fmt: skip

LINE: Final = Slice(
    "line",
    """The line comes and goes, the service is killed and starts again, at every point of the way up and of a second of
    therapy. Ticks of 100 ms; device and people are honest; latches are cleared by whoever may.""",
    lambda: (m.begin(config(QUICK_RAMP, QUICK_RAMP), (short(),)),),
    {
        "up": m.up({}), "up other": m.up({"model": "toaster"}), "down": m.down, "crash": m.crash, "claim": m.CLAIM,
        "prepare": m.prepare(0), "check": m.CHECK, "arm": m.ARM, "start": m.START, "resume": m.RESUME,
        "committed": m.committed(), "tick": m.tick(100), "clear": m.clear("prescriber"), "maintain": m.clear("biomed"),
    },
    scope=few(1),
    quick=False,
)  # fmt: skip

LIES: Final[dict[str, Move]] = {
    "answer": m.word(),
    "unasked": m.word(stale=True),
    **{f"says {state}": m.word(state=state) for state in DeviceState},
    "button": m.word(button=True),
    "press": m.word(presses=lambda n: n + 1),
    "reset": m.word(boot=9),
    "runs back": m.word(uptime_ms=lambda ms: ms - 100_000),
    "supply low": m.word(supply_mv=10_799),
    "supply at": m.word(supply_mv=10_800),
    "supply gone": m.word(supply_mv=9_719),
    "supply high": m.word(supply_mv=13_201),
    "open": m.word(sample={"open": True, "fresh": True}),
    "short": m.word(sample={"short": True, "fresh": True}),
    "over": m.word(sample={"measured_ua": lambda ua: ua * 2 + 3_000, "fresh": True}),
    "stray": m.word(sample={"measured_ua": 9_000, "fresh": True}),
    "echo": m.word(sample={"ua": lambda ua: ua + 100}),
    "clipped": m.word(sample={"clipped": 3, "fresh": True}),
    "clipped long": m.word(sample={"clipped": 10, "fresh": True}),
    **{f"{flaw} mine": m.garbled(flaw, mine=True) for flaw in Flaw},
    "damaged": m.garbled(Flaw.DAMAGED, mine=False),
}

DEVICE: Final = Slice(
    "device",
    """Everything that a device can say, late, lost, or wrong. One channel, one second of therapy, ticks of 100 ms; the
    journal agrees at once; the claim is kept; probes are measured as they should be, or as they should not.""",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *GO),),
    {
        **LIES,
        **{name: move for name, move in DAILY.items() if name != "patient"},
        "clear": m.clear("biomed"),
        "clear lock": m.clear("prescriber"),
        "committed": m.committed(),
        "tick": m.tick(100),
        "probed": m.probed(1_500),
        "probed wrong": m.probed(1_500, wrong=True),
        "down": m.down,
        "up": m.up({}),
        "up other": m.up({"model": "toaster"}),
    },
    prompt=False,
    scope=few(1),
    quick=False,
)  # fmt: skip


# Dose and rhythm

TIGHT: Final = {"ramp_ms": 500, "mu_hold_ppm": 985_000, "mu_pause_ppm": 970_000}
TRAINING: Final = Programme(
    modality=Modality.NMES, ramp_up_ms=500, on_ms=600, ramp_down_ms=0, off_ms=1_800, therapy_ms=5_800
)
DOSE: Final = Slice(
    "dose",
    """What a session has given and may still give. NMES, two contractions of 0.5 s ramp and 0.6 s plateau; the marks of
    fatigue are drawn close; the device counts up to, and one nC over, what was reserved; the picture may also be held
    at the set-point for longer than planned, or come back too early.""",
    lambda: (walked_up(idle(rx(plan(ua=20_000, max_ua=21_000), programme=TRAINING), policy=TIGHT), *GO),),
    {
        **DAILY,
        "clear": m.clear("physio"),
        "committed": m.committed(),
        "tick": m.tick(100),
        "held": m.twisted(100, m.TWISTS["full"]),
        "rest": m.tick(60_000),
        "counts all": m.word(sample={"charge_nc": 10**10}),
    },
    scope=few(1),
    quick=False,
)  # fmt: skip


def running(stage: Stage, what: Happening) -> bool:
    """Tell whether this is a tick of a session that runs."""
    return stage.station.phase is Phase.RUNNING and isinstance(what.event, Tick)


def counted(stage: Stage, what: Happening) -> int | None:
    """Give by how much the device has counted more than was reserved, at a tick of a session that runs."""
    session = stage.session
    if session is None or session.permit is None or not running(stage, what):
        return None
    return session.course.base_nc[0] + session.course.seen_nc[0] - session.permit.reserve[0].nc


def at_the_reservation() -> tuple[Stage, ...]:
    """Start on a first plateau, the device's count at the reservation, or a unit over it."""
    stage = walked_up(idle(short(), policy=QUICK_RAMP), *GO, *[m.tick(100)] * 6)
    permit = stage.session.permit if stage.session else None
    most = permit.reserve[0].nc if permit else 0
    return tuple(walked_up(stage, m.word(sample={"charge_nc": most + more})) for more in (0, 1))


ACCOUNT: Final = Slice(
    "account",
    "A session whose device has counted all that was reserved, or one nC more; one whose on-time ends at its share.",
    lambda: (
        *at_the_reservation(),
        walked_up(idle(short(limits=(("session_on_ms", 1_000_000 * 1_000 // 950_000 + 1),)), policy=QUICK_RAMP), *GO),
    ),
    {"tick": m.tick(100), "stop": m.STOP, "pause": m.PAUSE},
    Keep(dose=True),
    scope=only(Phase.RUNNING),
    edges=(Edge("what was reserved", "M18", 0, counted, Severity.STOP),),
)


# Time


def late(stage: Stage, what: Happening) -> int | None:
    """Give how late a tick of a session that runs is."""
    return stage.now.mono_ms + what.ms - stage.station.beat.tick_ms if running(stage, what) else None


def silent(*phases: Phase) -> Callable[[Stage, Happening], int | None]:
    """Give how old the device's last word is, at a tick in these phases."""
    return lambda stage, what: (
        stage.now.mono_ms + what.ms - stage.station.beat.heard_ms
        if isinstance(what.event, Tick) and stage.station.phase in phases
        else None
    )


def unclaimed(stage: Stage, what: Happening) -> int | None:
    """Give for how long the claim is over, at a tick of a session that runs."""
    holder = stage.station.holder
    return stage.now.mono_ms + what.ms - holder.expires_ms if holder and running(stage, what) else None


def unstarted(stage: Stage, what: Happening) -> int | None:
    """Give for how long a session is armed, at a tick."""
    if stage.station.phase is not Phase.ARMED or not isinstance(what.event, Tick) or stage.session is None:
        return None
    return stage.now.mono_ms + what.ms - stage.session.course.armed_ms


def unconfirmed(stage: Stage, what: Happening) -> int | None:
    """Give for how long a stop is not confirmed, at a tick."""
    stopping = stage.station.stopping
    if stopping is None or stopping.alarmed or not isinstance(what.event, Tick):
        return None
    return stage.now.mono_ms + what.ms - stopping.since_ms


def on_the_wall(stage: Stage, what: Happening) -> int | None:
    """Give how long a paused session has lasted since it first ran, at a tick."""
    if stage.station.phase is not Phase.PAUSED or not isinstance(what.event, Tick) or stage.session is None:
        return None
    first_ms = stage.session.course.first_run_ms
    return stage.now.mono_ms + what.ms - first_ms if first_ms else None


def aged(stage: Stage, what: Happening) -> int | None:
    """Give the age of a wish to start."""
    if not isinstance(what.event, Asked) or what.event.command.verb is not m.Verb.START:
        return None
    return (
        stage.now.wall_ms + what.ms - what.event.command.issued_wall_ms if stage.station.phase is Phase.ARMED else None
    )


def measured(stage: Stage, what: Happening) -> int | None:
    """Give the age of the skin's check at a wish to arm."""
    if not isinstance(what.event, Asked) or what.event.command.verb is not m.Verb.ARM or stage.session is None:
        return None
    waiting, readings = stage.station.waiting, stage.session.readings
    right = stage.station.phase is Phase.PREPARED and waiting is None and readings
    return stage.now.mono_ms + what.ms - readings[0].at_ms if right else None


def kept(stage: Stage, count: int) -> Stage:
    """Keep a session waiting for so many ticks of 100 ms, its claim renewed."""
    for number in range(count):
        stage = walked_up(stage, m.tick(100), *((m.RENEW,) if number % 40 == 0 else ()))
    return stage


TICKS: Final = {f"tick {ms}": m.tick(ms) for ms in (50, 100, 101)}

LOOP: Final = Slice(
    "loop",
    """The loop itself and the device's silence, to the millisecond: ticks on time and late, answered or not, in one
    second of therapy whose claim runs out on the way, and in a pause of it.""",
    lambda: (walked_up(kept(walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM), 44), m.START),),
    {
        **{f"tick {ms}": m.tick(ms) for ms in (100, 101, 200, 201, 250, 251)},
        "answer": m.word(), "pause": m.PAUSE,
    },
    prompt=False,
    scope=only(Phase.RUNNING),
    edges=(
        Edge("a late tick holds", "M25", 100, late, Severity.HOLD),
        Edge("a late tick pauses", "M25", 200, late, Severity.PAUSE),
        Edge("a late tick stops", "M25", 250, late, Severity.STOP),
        Edge("silence holds", "M04", 300, silent(Phase.RUNNING), Severity.HOLD),
        Edge("silence pauses", "M04", 500, silent(Phase.RUNNING), Severity.PAUSE),
        Edge("a claim runs out", "M05", 0, unclaimed, Severity.PAUSE),
    ),
    quick=False,
)  # fmt: skip

WAITS: Final = Slice(
    "waits",
    """Everything that waits on the way up: a session that is armed and not started, a check that grows old, a wish that
    comes late, a device that falls silent. Starts shortly before each of them is over.""",
    lambda: (
        kept(walked_up(idle(short(), policy=QUICK_RAMP), *READY, m.ARM), 598),
        kept(walked_up(idle(short(), policy=QUICK_RAMP), *READY), 1_198),
    ),
    {
        "tick 100": m.tick(100), "tick 101": m.tick(101), "answer": m.word(), "arm": m.ARM,
        "start 3000": m.wish(Start(), issued_wall_ms=lambda now: now - 3_000),
        "start 3001": m.wish(Start(), issued_wall_ms=lambda now: now - 3_001),
    },
    Keep(clocks=True),
    prompt=False,
    scope=lambda stage: few(0)(stage) and only(Phase.ARMED, Phase.PREPARED)(stage),
    edges=(
        Edge("armed and not started", "G03", 60_000, unstarted),
        Edge("a wish grows old", "G02", 3_000, aged),
        Edge("a check grows old", "G20", 120_000, measured),
        Edge("silence before a session runs", "M04", 500, silent(Phase.PREPARED), Severity.PAUSE),
    ),
    quick=False,
)  # fmt: skip

STOPPING: Final = Slice(
    "stopping",
    """A stop, or a pause, that the device confirms at once, late, or never: said again, cut, and somebody is called.
    Ticks of 100 and 99 ms.""",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *GO, *[m.tick(100)] * 3),),
    {
        "tick 100": m.tick(100), "tick 99": m.tick(99), "stop": m.STOP, "pause": m.PAUSE, "answer": m.word(),
        "maintain": m.clear("biomed"), "clear": m.clear("prescriber"),
        "not yet": m.word(state=DeviceState.RUNNING), "resume": m.RESUME,
    },
    prompt=False,
    scope=few(2),
    edges=(
        Edge("a stop is not confirmed", "M29", 499, unconfirmed),
        Edge("a pause on the wall", "M21", 1_500, on_the_wall),
    ),
    quick=False,
)  # fmt: skip


# Thresholds


def pushed(delta_ua: int) -> Move:
    """Press the button, while it stands for less than 3 mA."""

    def move(stage: Stage) -> Happening | None:
        level = max((setting.setpoint_ua for setting in stage.session.settings), default=0) if stage.session else 0
        return m.press(delta_ua)(stage) if stage.station.phase is not Phase.CALIBRATING or level < 2_500 else None

    return move


CALIBRATE: Final = Slice(
    "calibrate",
    """A calibration of one channel up to 2.5 mA: the button pressed, held, let go, pressed too far; thresholds marked,
    and found absent; its end. Ticks of 100 ms, an honest device.""",
    lambda: (walked_up(idle(short(), policy=QUICK_RAMP), *READY),),
    {
        "begin": m.CAL_BEGIN, "press": pushed(1_000), "too far": pushed(1_001), "hold": m.press(0),
        "less": m.press(-1_500), "tick": m.tick(100), "sensory": m.mark(m.Threshold.SENSORY),
        "no motor": m.mark(m.Threshold.MOTOR, absent=True), "end": m.CAL_END, "committed": m.committed(),
        "patient": m.PRESS, "over": m.twisted(100, m.TWISTS["above"]),
    },
    scope=only(Phase.PREPARED, Phase.CALIBRATING),
    quick=False,
)  # fmt: skip


# Contact

LONG: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=500, on_ms=400_000, ramp_down_ms=0, off_ms=0, therapy_ms=400_000
)


def felt(ohm: int) -> Move:
    """Let the device answer with this impedance; a pulse was given."""
    return m.word(ohm=ohm, sample={"fresh": True})


def on_plateau(ohm: int, readings: int, then: tuple[int, ...] = ()) -> Stage:
    """Start on a plateau that has read `ohm` so often, and then these."""
    stage = walked_up(idle(rx(plan(ua=20_000, max_ua=21_000), programme=LONG), policy=QUICK_RAMP), *GO)
    for each in (*[ohm] * readings, *then):
        stage = read(stage, each)
    return stage


def read(stage: Stage, ohm: int) -> Stage:
    """Take one tick, and the device's word on what the skin is."""
    for move in (m.tick(100), felt(ohm), m.RENEW):
        what = move(stage)
        if what is not None:
            stage = stage.after(what)[0]
    return stage


def drying() -> Stage:
    """Start after two minutes in which the skin has dried by a tenth and a little more each."""
    stage = on_plateau(1_500, 20)
    for ohm in (1_500, 1_660, 1_840):
        for _ in range(605):
            stage = read(stage, ohm)
    return stage


def skin(name: str, prose: str, start: tuple[int, int], *ohms: int, ticks: int = 11) -> Slice:
    """Make a slice of readings: a tick, and one of these impedances, for so many ticks."""

    def tick(stage: Stage) -> Happening | None:
        played_ms = stage.session.course.played_ms if stage.session else 0
        return m.tick(100)(stage) if played_ms < 500 + (start[1] + ticks) * 100 else None

    moves: dict[str, Move] = {"tick": tick, **{f"reads {ohm}": felt(ohm) for ohm in ohms}}
    return Slice(
        name, prose, lambda: (on_plateau(start[0], 5 + start[1]),), moves, Keep(skin=True), prompt=False,
        scope=only(Phase.RUNNING), quick=False,
    )  # fmt: skip


SKIN: Final = (
    skin("skin peels", "A pad that peels: readings a step apart, up to one and a half times the baseline.",
         (1_500, 20), 1_500, 1_860, 2_300),
    skin("skin is poor", "A pad near the absolute limit.", (3_300, 20), 3_300, 4_000, 4_001),
    skin("skin jumps", "A pad whose reading jumps, opens, or shorts.", (1_500, 12), 1_500, 1_876, 9_000, 50, ticks=5),
    skin("skin falls", "A pad under which a bridge forms.", (1_500, 20), 1_500, 1_150, 880),
)  # fmt: skip


DRYING: Final = Slice(
    "skin dries",
    "A pad that has dried for two minutes: what only holds goes on, and nothing rises.",
    lambda: (drying(),),
    {"tick": m.tick(100), "answer": felt(1_840), "raise": m.adjust(1_000), "pause": m.PAUSE},
    prompt=False,
    scope=only(Phase.RUNNING),
    quick=False,
)


# The gate

DAY_MS: Final = 86_400_000


def therapy(**changes: object) -> Programme:
    """Make an ordinary muscle programme, some of it changed."""
    values: dict[str, object] = {
        "modality": Modality.NMES, "ramp_up_ms": 1_000, "on_ms": 2_000, "ramp_down_ms": 1_000, "off_ms": 6_000,
        "therapy_ms": 60_000,
    }  # fmt: skip
    return Programme(**(values | changes))  # type: ignore[arg-type]


STEADY: Final = therapy(modality=Modality.TENS, on_ms=60_000, ramp_down_ms=0, off_ms=0)


def found(**changes: object) -> Calibration:
    """Make a calibration, some of it changed."""
    values: dict[str, object] = {
        "at_wall_ms": WALL_MS - 1_000, "pair": "a", "area_mm2": 2_500, "width_us": 300, "sensory_ua": 8_000,
        "motor_ua": 15_000, "maximal_ua": 60_000,
    }  # fmt: skip
    return Calibration(**(values | changes))  # type: ignore[arg-type]


def one(**changes: object) -> Plan:
    """Make one channel in a wide window."""
    return plan(max_ua=100_000, **changes)


PATIENTS: Final[tuple[tuple[str, Prescription, str], ...]] = (
    ("window at", rx(plan(ua=30_000)), ""),
    ("tolerance at", rx(one(ua=60_000)), ""),
    ("tolerance over", rx(one(ua=60_001)), "G08"),
    ("uncalibrated at", rx(one(ua=60_000, calibration=None)), ""),
    ("uncalibrated over", rx(one(ua=60_001, calibration=None)), ""),
    ("old calibration", rx(one(ua=60_001, calibration=found(at_wall_ms=WALL_MS - 8 * DAY_MS, maximal_ua=90_000))), ""),
    ("tens tolerance at", rx(one(ua=54_000), programme=STEADY), ""),
    ("tens tolerance over", rx(one(ua=54_001), programme=STEADY), "G08"),
    ("S1 twice motor at", rx(one(ua=30_000, area_mm2=3_000), sensation=Sensation.S1), ""),
    ("S1 twice motor over", rx(one(ua=30_001, area_mm2=3_000), sensation=Sensation.S1), "G08"),
    ("S1 no motor", rx(one(ua=1_000, calibration=None), sensation=Sensation.S1), ""),
    ("S2 motor at", rx(one(ua=18_000, area_mm2=6_000), sensation=Sensation.S2), ""),
    ("S2 motor over", rx(one(ua=18_001, area_mm2=6_000), sensation=Sensation.S2), "G08"),
    ("width at", rx(plan(width_us=400)), ""),
    ("width over", rx(plan(width_us=401)), "G09"),
    ("width least", rx(plan(width_us=50)), ""),
    ("width under", rx(plan(width_us=49)), "G09"),
    ("rate at", rx(plan(period_us=12_500)), ""),
    ("rate over", rx(plan(period_us=12_499)), "G10"),
    ("charge at", rx(one(ua=75_000, width_us=400, area_mm2=9_000, calibration=found(maximal_ua=80_000))), ""),
    ("charge over", rx(one(ua=75_001, width_us=400, area_mm2=9_000, calibration=found(maximal_ua=80_000))), "G11"),
    ("density over", rx(plan(ua=60_000, max_ua=60_000, area_mm2=900, small_pad_reason="a hand")), "G13"),
    ("rest at", rx(plan(), programme=therapy()), ""),
    ("rest under", rx(plan(), programme=therapy(off_ms=5_999)), "G17"),
    ("plateau over", rx(plan(), programme=therapy(on_ms=10_001, off_ms=30_003)), "G17"),
    ("ramp under", rx(plan(), programme=therapy(ramp_up_ms=999)), "G18"),
    ("expired", rx(plan(), valid_until_wall_ms=WALL_MS - 1), "G04"),
    ("valid", rx(plan(), valid_until_wall_ms=WALL_MS), ""),
    ("too long", rx(plan(), programme=therapy(therapy_ms=1_800_001)), "G04"),
    ("dose over", rx(plan(), limits=(("session_nc", 1_000_000),)), "G28"),
)  # fmt: skip
"""What is prepared, and which rule must refuse it: figures from safety reference 1.2, 3.3 and 7.1."""

GATE: Final = Slice(
    "gate",
    "Every prescription just inside and just outside of what may be given, on devices that suit and that do not.",
    lambda: (idle(*(each for _, each, _ in PATIENTS)),),
    {
        **{name: m.prepare(index) for index, (name, _, _) in enumerate(PATIENTS)},
    },
    expects={name: rule for name, _, rule in PATIENTS},
)


SLICES: Final = (WISHES, ADJUST, LINE, DEVICE, DOSE, ACCOUNT, LOOP, WAITS, STOPPING, CALIBRATE, *SKIN, DRYING, GATE)
