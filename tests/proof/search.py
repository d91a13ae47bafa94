"""The adversarial search: can any sequence of events get more current out than is allowed?

    python -m tests.proof.search [--steps N] [--seed S]

Dice throw wishes (right, wrong, stale, of others), words of the device (honest, late, lost, lying), clocks that jump,
pictures other than the programme's, a journal that answers late, twice, out of order or never, and crashes. Between
them the session is helped on its way, because a search in which no current flows proves nothing: at least `FLOW` of
all steps are spent with current flowing, and this is asserted.

Two judges look at every step. The `Meter` here knows only what went over the wire: it integrates the current that a
device can have given, and compares it with the effective cap of truth.py and with what the journal had confirmed
before. The oracle (oracle.py) judges everything else. A finding names its seed and the events that led to it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safety.effects import Arm, Commit, Drive, Effect, Feed, PermitRequest, Silence
from safety.limits import Modality, Sensation
from safety.messages import (
    Adjust,
    Adverse,
    Committed,
    DeviceState,
    Fenced,
    Flaw,
    Present,
    Rate,
    Rated,
    Report,
    SkinCheck,
    Start,
    Threshold,
)
from safety.prescription import Calibration, Prescription, Programme
from safety.state import Phase
from safety.verdict import Clear
from safety.waveform import OFF, Picture
from tests.proof import stage as moves
from tests.proof.result import Result
from tests.proof.stage import Happening, Move, Stage
from tests.proof.truth import cap_ua
from tests.safety.parts import CAPS, WALL_MS, config, plan, rx

STEPS: Final = 1_000_000
QUICK_STEPS: Final = 30_000
FLOW: Final = 0.30
LIFE: Final = 3_000
"""Steps of one life: a search begins anew after so many, so that a finding stays short."""

TENS: Final = Programme(
    modality=Modality.TENS, ramp_up_ms=1_000, on_ms=40_000, ramp_down_ms=0, off_ms=0, therapy_ms=40_000
)
NMES: Final = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=3_000, ramp_down_ms=500, off_ms=9_000, therapy_ms=60_000
)


def thresholds(**changes: object) -> Calibration:
    """Make a calibration of an hour ago."""
    values: dict[str, object] = {
        "at_wall_ms": WALL_MS - 3_600_000, "pair": "a", "area_mm2": 2_500, "width_us": 300, "sensory_ua": 8_000,
        "motor_ua": 15_000, "maximal_ua": 40_000,
    }  # fmt: skip
    return Calibration(**(values | changes))  # type: ignore[arg-type]


def patients() -> tuple[Prescription, ...]:
    """Make prescriptions of every class, each starting just below what its effective cap allows."""
    second = plan(channel=3, site="right-calf", ua=19_000, max_ua=20_000, period_us=30_310, delay_ms=500)
    old = thresholds(at_wall_ms=WALL_MS - 8 * 86_400_000)
    small = plan(
        area_mm2=500, ua=20_000, max_ua=60_000, width_us=400, calibration=thresholds(area_mm2=500, width_us=400)
    )
    return (
        rx(plan(ua=29_000), second, programme=NMES),
        rx(plan(ua=35_000, max_ua=60_000, calibration=thresholds()), id="rx-2", programme=TENS),
        rx(plan(ua=58_000, max_ua=80_000, calibration=old), id="rx-3", programme=TENS,
           limits=(("uncalibrated_ua", 30_000),)),
        rx(plan(ua=29_500, max_ua=60_000, calibration=thresholds()), id="rx-4", programme=TENS, sensation=Sensation.S1),
        rx(plan(ua=17_000, max_ua=60_000, area_mm2=6_000, calibration=thresholds(maximal_ua=None, area_mm2=6_000)),
           id="rx-5", programme=TENS, sensation=Sensation.S2),
        rx(small, id="rx-6", programme=TENS),
        rx(plan(ua=28_000, max_ua=40_000), id="rx-7", programme=TENS, limits=(("amplitude_ua", 29_000),)),
        rx(plan(ua=25_000, max_ua=40_000), id="rx-8", programme=TENS, limits=(("session_nc", 40_000_000),)),
    )  # fmt: skip


class Meter:
    """Measures what a device can have given, from the wire alone.

    A frame may land or be lost; the meter believes the worse: that it landed. Current ends with a silence, or with the
    device's own dead man. A channel's cap is worked out from tables, its permission from what the journal confirmed.
    """

    def __init__(self) -> None:
        self.picture, self.fed_ms, self.at_ms = OFF, 0, 0
        self.asked: dict[int, PermitRequest] = {}
        self.reserve_nc: dict[int, int] = {}
        self.durable: set[int] = set()
        self.given: Counter[int] = Counter()
        self.session = ""
        self.most: Counter[int] = Counter()

    def pass_time(self, stage: Stage) -> None:
        """Integrate until now: charge in uA times us."""
        until_ms = min(stage.now.mono_ms, self.fed_ms + stage.caps.dead_man_ms)
        for train in self.picture.trains:
            self.given[train.channel] += (
                max(0, until_ms - self.at_ms) * 2_000 * train.ua * train.width_us // train.period_us
            )
        if until_ms < stage.now.mono_ms:
            self.picture = OFF
        self.at_ms = stage.now.mono_ms

    def look(self, stage: Stage, what: Happening, effects: tuple[Effect, ...]) -> list[str]:  # noqa: C901
        """Take in one step; gives what was wrong with it."""
        self.pass_time(stage)
        faults, event = [], what.event
        if isinstance(event, Committed) and event.entry in self.asked:
            body = self.asked.pop(event.entry)
            self.durable.add(body.permit.id)
            if not body.probe:
                self.reserve_nc = {each.channel: each.reserve.nc for each in body.channels}
        for effect in effects:
            if isinstance(effect, Commit) and isinstance(effect.entry.body, PermitRequest):
                self.asked[effect.entry.id] = effect.entry.body
            elif isinstance(effect, Silence):
                self.picture = OFF
            elif isinstance(effect, Arm | Feed | Drive):
                self.fed_ms = stage.now.mono_ms
                if effect.grant.permit not in self.durable:
                    faults.append("current without a grant inside a committed permit")
            if isinstance(effect, Drive):
                self.picture = effect.picture
                faults += self.measure(stage, effect.picture)
        session = stage.session.id if stage.session else ""
        if session != self.session:
            self.session, self.given = session, Counter()
        for number, reserved in self.reserve_nc.items():
            if self.session and self.given[number] > reserved * 1_000_000:
                faults.append("more charge than the ledger has reserved")
        return faults

    def measure(self, stage: Stage, picture: Picture) -> list[str]:
        """Compare what is driven with the cap of each channel."""
        session = stage.session
        if session is None:
            return ["current without a session"]
        plans = {each.channel: each for each in session.rx.channels}
        site = stage.station.config.limits[session.rx.programme.modality]
        armed_wall_ms = stage.now.wall_ms - (stage.now.mono_ms - session.course.armed_ms)
        faults = []
        for train in picture.trains:
            own = plans.get(train.channel)
            trial = stage.station.phase is Phase.CALIBRATING
            cap = cap_ua(site, session.rx, own, stage.caps, armed_wall_ms, trial=trial) if own else 0
            if not 0 < train.ua <= cap:
                faults.append("more current than the effective cap")
            elif own and (train.width_us > own.width_us or train.period_us < own.period_us):
                faults.append("another pulse than was prescribed")
            self.most[train.channel] = max(self.most[train.channel], train.ua)
        return faults


def up_to_cap(over_ua: int) -> Move:
    """Ask for the effective cap, and this much more, where a wish may reach so far."""

    def what(stage: Stage) -> Adjust | None:
        if stage.session is None or stage.station.device is None:
            return None
        setting = stage.session.settings[0]
        site = stage.station.config.limits[stage.session.rx.programme.modality]
        cap = cap_ua(site, stage.session.rx, setting.plan, stage.caps, stage.now.wall_ms)
        return Adjust(setting.plan.channel, min(1_000, max(1, cap - setting.setpoint_ua + over_ua)))

    return moves.wish(what)


# The dice

WORST: Final[dict[str, Move]] = {
    **{f"late {ms}": moves.tick(ms) for ms in (100, 101, 200, 201, 250, 251, 400, 600, 5_001)},
    **{f"wall {ms}": moves.tick(50, 0, 50 + ms) for ms in (-3_600_000, -5_001, 2_001, 5_001, 3_600_000)},
    **{f"picture {name}": moves.twisted(50, twist) for name, twist in moves.TWISTS.items()},
    **{f"device {state}": moves.word(state=state) for state in DeviceState},
    "button": moves.word(button=True),
    "press": moves.word(presses=lambda presses: presses + 1),
    "reset": moves.word(boot=9),
    "back": moves.word(uptime_ms=lambda ms: ms - 10_000),
    "supply low": moves.word(supply_mv=10_500),
    "supply gone": moves.word(supply_mv=5_000),
    "other permit": moves.word(permit=1),
    "stale word": moves.word(stale=True),
    "mute word": moves.word(still=True),
    "open": moves.word(sample={"open": True, "fresh": True}),
    "short": moves.word(sample={"short": True, "fresh": True}),
    "over": moves.word(sample={"measured_ua": lambda ua: ua * 2 + 3_000, "fresh": True}),
    "stray": moves.word(sample={"measured_ua": 9_000, "fresh": True}),
    "under": moves.word(sample={"measured_ua": lambda ua: ua // 3, "fresh": True}),
    "echo": moves.word(sample={"ua": lambda ua: ua + 100}),
    "clipped": moves.word(sample={"clipped": 4, "fresh": True}),
    "clipped long": moves.word(sample={"clipped": 12, "fresh": True}),
    "counts more": moves.word(sample={"charge_nc": lambda nc: nc * 2}),
    "counts all": moves.word(sample={"charge_nc": 2**40}),
    **{f"ohm {ohm}": moves.word(ohm=ohm) for ohm in (50, 900, 1_850, 2_400, 5_000, 9_000)},
    **{f"{flaw} mine": moves.garbled(flaw, mine=True) for flaw in Flaw},
    **{f"{flaw}": moves.garbled(flaw, mine=False) for flaw in Flaw},
    "gone": moves.down,
    "up": moves.up({}),
    "up again": moves.up({"boot": 8}),
    "other model": moves.up({"model": "toaster"}),
    "probe low": moves.probed(100),
    "probe high": moves.probed(9_000),
    "probe wrong": moves.probed(1_500, wrong=True),
    "committed wrong": moves.committed(wrong=True),
    "committed": moves.committed(),
    "denied": moves.denied(),
    "crash": moves.crash,
    "patient": moves.PRESS,
    "claim other": moves.wish(moves.Claim(), principal="physio-2"),
    "release": moves.RELEASE,
    "stop": moves.STOP,
    "pause": moves.PAUSE,
    "check": moves.CHECK,
    "arm": moves.ARM,
    "start": moves.START,
    "resume": moves.RESUME,
    "start old": moves.wish(Start(), issued_wall_ms=lambda now: now - 3_001),
    "start retained": moves.wish(Start(), retained=True),
    "start blind": moves.wish(Start(), expect={"state_version": None}),
    "start other": moves.wish(Start(), principal="physio-2"),
    "raise two": moves.adjust(1_001),
    "raise over": up_to_cap(1),
    "raise old": moves.adjust(1_000, issued_wall_ms=lambda now: now - 3_001),
    "raise other": moves.adjust(1_000, principal="physio-2"),
    "raise foreign": moves.wish(Adjust(7, 1_000)),
    "raise half": moves.wish(Adjust(1, 0)),
    "lower": moves.adjust(-1_500, 1),
    "lower all": moves.adjust(-90_000),
    "present": moves.wish(Present()),
    "effort": moves.wish(Rate(Rated.EFFORT, 6)),
    "pain": moves.wish(Rate(Rated.PAIN, 7)),
    "skin": moves.wish(SkinCheck(True)),
    "bad skin": moves.wish(SkinCheck(False)),
    "burning": moves.wish(Report(Adverse.BURNING), principal="anybody"),
    "fenced": lambda stage: Happening(Fenced(10**6)),
    "unsynced": moves.tick(50, 501),
    "unsynced long": moves.tick(50, 1_001),
    "hot": moves.word(sample={"skin_mdeg": 41_001, "fresh": True}),
    "unbalanced": moves.word(sample={"imbalance_ppm": 500_000, "fresh": True}),
    "calibrate": moves.CAL_BEGIN,
    "push": moves.press(1_000),
    "press too far": moves.press(1_001),
    "press late": moves.press(1_000, issued_wall_ms=lambda now: now - 900),
    "press other": moves.press(1_000, principal="physio-2"),
    "press down": moves.press(-3_000),
    "end": moves.CAL_END,
    **{f"mark {threshold}": moves.mark(threshold) for threshold in Threshold},
    **{f"no {threshold}": moves.mark(threshold, absent=True) for threshold in Threshold},
    **{f"clear {role}": moves.clear(role) for role in ("auditor", "physio", "prescriber", "biomed")},
}
"""Everything that the adversary has."""

DELAYS: Final = ("committed wrong", "denied", "late 100", "late 201", "late 5001", "patient", "stop", "gone", "press")
"""What may come between a wish and the journal's word on it."""
JITTER_MS: Final = (0, 0, 0, 0, 0, 1, 13)
"""How long everything may be on its way."""
RAISE: Final = (moves.adjust(1_000), moves.adjust(1_000, 1), up_to_cap(0), up_to_cap(1))


class Finding(NamedTuple):
    """What was found: the seed, the step of it, what was wrong, and the names of the last moves."""

    seed: int
    step: int
    faults: tuple[str, ...]
    trail: tuple[str, ...]


class Life:
    """One station under attack, from a seed: `steps` of it, until something is found."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - a search that can be repeated, no secret
        self.seed = seed
        caps = self.dice.choice((CAPS, CAPS, moves.replace(CAPS, readback=False)))
        self.stage = moves.begin(config(), patients(), caps)
        self.meter = Meter()
        self.trail: list[str] = []
        self.seen: Counter[str] = Counter()
        self.owed: list[Move] = []
        self.spoke: tuple[str, ...] = ()
        self.devotion = self.dice.choice((0.96, 0.98, 0.99))
        """How often the session is helped on its way rather than attacked."""

    def live(self, steps: int) -> Finding | None:
        """Take so many steps."""
        while self.seen["steps"] < steps:
            name, move = self.choose()
            what = move(later(self.stage, jitter)) if (jitter := self.dice.choice(JITTER_MS)) else move(self.stage)
            if what is None:
                continue
            if jitter:
                what = what._replace(
                    ms=what.ms + jitter, wall_ms=None if what.wall_ms is None else what.wall_ms + jitter
                )
            faults = self.take(name, what)
            if faults:
                return Finding(self.seed, self.seen["steps"], tuple(faults), tuple(self.trail[-12:]))
        return None

    def take(self, name: str, what: Happening) -> list[str]:
        """Let it happen, and have both judges look."""
        self.trail.append(name)
        self.stage, judged, done = self.stage.after(what)
        faults = [*judged.faults, *self.meter.look(self.stage, what, done.effects)]
        self.seen["steps"] += 1
        self.seen["flowing"] += bool(self.meter.picture.trains)
        self.seen[self.stage.station.phase] += 1
        self.spoke = tuple(judged.spoke)
        self.seen.update(self.spoke)
        answer = moves.next_answer(self.stage, done.effects)
        self.owed = [answer] if answer else []
        return faults

    def choose(self) -> tuple[str, Move]:
        """Choose what happens next: mostly what is owed and what helps, now and then the worst."""
        dice, stage = self.dice, self.stage
        if dice.random() > self.devotion:
            name = dice.choice(list(WORST))
            return name, WORST[name]
        waiting = stage.station.waiting
        if waiting is not None and waiting.entry and dice.random() < 0.03:
            name = dice.choice(DELAYS)
            return name, WORST[name]
        if self.owed and dice.random() < 0.97:
            return "answer", self.owed[0]
        return self.onward(stage, dice)

    def onward(self, stage: Stage, dice: random.Random) -> tuple[str, Move]:
        """Do what a clinician would, and let time pass."""
        station, late = stage.station, dice.choice((50, 50, 50, 50, 49, 51, 30, 70, 99))
        holder = station.holder
        if holder is None or holder.expires_ms - stage.now.mono_ms < 500:
            if dice.random() < 0.8:
                return "claim", moves.wish(moves.Claim(), ms=dice.choice((0, 7)))
        elif station.phase is Phase.RUNNING:
            if dice.random() < 0.03:
                return "raise", dice.choice(RAISE)
        elif station.phase is Phase.CALIBRATING:
            if dice.random() < 0.25:
                return self.search_on(dice)
        elif station.waiting is None and station.stopping is None and dice.random() < (0.3 if self.spoke else 0.9):
            return self.upward(stage, dice)
        return "tick", moves.tick(late)

    def search_on(self, dice: random.Random) -> tuple[str, Move]:
        """Look for a threshold: mostly hold the button, now and then press, mark, or make an end."""
        way = dice.random()
        if way > 0.05:
            return "hold", moves.press(1_000 if way > 0.5 else 0)
        if way > 0.01:
            return "mark", moves.mark(dice.choice(list(Threshold)), absent=dice.random() < 0.2)
        return "end", moves.CAL_END

    def upward(self, stage: Stage, dice: random.Random) -> tuple[str, Move]:
        """Take the next step up."""
        station = stage.station
        if station.device is None:
            return "up", moves.up({})
        if "G23" in self.spoke:
            return ("up", moves.up({})) if station.phase is Phase.IDLE else ("answer", moves.ANSWER)
        if station.latches:
            role = "biomed" if station.latches[0].clear is Clear.MAINTENANCE else "prescriber"
            if dice.random() < 0.1:
                role = dice.choice(("auditor", "physio", "prescriber", "biomed"))
            return "clear", moves.clear(role)
        if station.phase is Phase.IDLE:
            return "prepare", moves.prepare(dice.randrange(len(stage.rxs)))
        if station.phase in (Phase.PREPARED, Phase.PAUSED):
            return self.ready(stage, dice)
        return "start", moves.START

    def ready(self, stage: Stage, dice: random.Random) -> tuple[str, Move]:
        """Try the stop, check the skin, calibrate now and then; then arm, or resume."""
        station = stage.station
        tried = station.session is None or station.session.papers.stop_tried
        if not tried and dice.random() < 0.9:
            return "try", moves.TRY
        if station.device is not None and station.device.status.presses != stage.ghost.line.presses:
            return "answer", moves.ANSWER
        unread = not station.session or len(station.session.readings) < len(station.session.settings)
        if unread or "G20" in self.spoke or dice.random() < 0.1:
            return "check", moves.CHECK
        if station.phase is Phase.PREPARED and dice.random() < 0.1:
            return "calibrate", moves.CAL_BEGIN
        armed = station.phase is Phase.PAUSED
        return ("resume", moves.RESUME) if armed else ("arm", moves.ARM)


def later(stage: Stage, ms: int) -> Stage:
    """Give the stage as it will be after `ms` in which nothing happens."""
    return stage._replace(now=moves.Now(stage.now.mono_ms + ms, stage.now.wall_ms + ms))


class Haul(NamedTuple):
    """What a part of the search has seen."""

    seen: Counter[str]
    findings: list[Finding]


def part(seeds: range, steps: int, first_only: bool = True) -> Iterator[Haul]:
    """Search these seeds, a life each; gives each life's haul."""
    for seed in seeds:
        life = Life(seed)
        finding = life.live(steps)
        yield Haul(life.seen, [finding] if finding else [])
        if finding and first_only:
            return


def lives(args: tuple[int, int]) -> Haul:
    """Search one seed; the unit of work of a process."""
    return next(part(range(args[0], args[0] + 1), args[1]))


def search(steps: int, seed: int = 0, processes: int = 2, tell: Callable[[Haul], None] = lambda haul: None) -> Haul:
    """Search so many steps, in lives of LIFE; stops at the first finding."""
    seen: Counter[str] = Counter()
    work = [(seed + number, min(LIFE, steps - number * LIFE)) for number in range(-(-steps // LIFE))]
    if processes == 1:
        return gather(map(lives, work), seen, tell)
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return gather(pool.imap(lives, work), seen, tell)


def gather(hauls: Iterator[Haul], seen: Counter[str], tell: Callable[[Haul], None]) -> Haul:
    """Add up what was seen, until something is found."""
    for haul in hauls:
        seen.update(haul.seen)
        tell(haul)
        if haul.findings:
            return Haul(seen, haul.findings)
    return Haul(seen, [])


def stage(*, quick: bool) -> Result:
    """Search for more than may be given, or for current without a grant."""
    found = run(quick)
    steps, flowing = cast("int", found["steps"]), cast("float", found["flowing"])
    wrong = [str(finding) for finding in cast("list[object]", found["findings"])]
    if not found["ok"] and not wrong:
        wrong = [f"current flowed in {flowing} of the steps: too few to prove anything"]
    return Result("Adversary", {"steps": steps, "percent with current": round(flowing * 100)}, [], wrong)


def run(quick: bool, *, steps: int = 0, seed: int = 0) -> dict[str, object]:
    """Search, with a bar; gives the figures, and whether they hold."""
    steps = steps or (QUICK_STEPS if quick else STEPS)
    began = time.monotonic()
    columns = (TextColumn("search"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("search", total=steps)
        haul = search(steps, seed, tell=lambda haul: bar.advance(task, haul.seen["steps"]))
    flowing = haul.seen["flowing"] / max(1, haul.seen["steps"])
    figures = {
        "steps": haul.seen["steps"],
        "flowing": round(flowing, 3),
        "phases": {phase.value: haul.seen[phase] for phase in Phase},
        "rules": sorted(name for name in haul.seen if (name[:1] in "GMX" and name[1:3].isdigit()) or name == "X6"),
        "findings": [finding._asdict() for finding in haul.findings],
        "seconds": round(time.monotonic() - began, 1),
        "ok": not haul.findings and flowing >= FLOW and haul.seen["steps"] >= steps,
    }
    print(
        f"search: {figures['steps']:,} steps, {flowing:.0%} of them with current flowing, "
        f"{len(haul.findings)} findings, {figures['seconds']} s"
    )
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = run(quick=False, steps=given.steps, seed=given.seed)
    for each in found["findings"]:  # type: ignore[attr-defined]
        print(each)
    raise SystemExit(0 if found["ok"] else 1)
