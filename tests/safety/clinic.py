"""A rig that judges each of its steps by what it knows by itself: I1 to I10 of the safety reference, 8.3.

It keeps its own memory (what was committed, where each ramp began, what the device delivered) and says where it can
what must be, not only what must not be.
"""

from __future__ import annotations

from collections import Counter

from rig import (
    OFF,
    ClearLatch,
    Modality,
    Phase,
    Picture,
    Programme,
    Resume,
    Rig,
    Stop,
    plan,
    rx,
)

from safety import machine
from safety.effects import Arm, Ask, Closing, Commit, Drive, Effect, Feed, Note, Probe, Settlement, Silence, Tell
from safety.messages import (
    Asked,
    Booted,
    Committed,
    Garbled,
    Heard,
    Latch,
    PatientStop,
    Probed,
    Tick,
)
from safety.montage import Montage, Region, Side
from safety.state import Station
from safety.verdict import Clear, Scope

ENERGISING = Arm | Drive | Feed | Probe
RANK = {Silence: 0, Tell: 1, Note: 2, Commit: 3, Ask: 4, Arm: 5, Drive: 5, Feed: 5, Probe: 5}
MAY = {
    Clear.ACK_OPERATOR: {"physio", "prescriber", "biomed"},
    Clear.NEW_SESSION: {"physio", "prescriber", "biomed"},
    Clear.ACK_QUALIFIED: {"prescriber"},
    Clear.MAINTENANCE: {"biomed"},
}
CALF_PADS = Montage(Region.LOWER_LEG, Side.RIGHT, Region.LOWER_LEG, Side.RIGHT, 40)
CALF = plan(
    channel=3,
    site="right-calf",
    montage=CALF_PADS,
    pair="b",
    ua=12_300,
    max_ua=18_000,
    width_us=210,
    period_us=30_310,
    delay_ms=500,
)
NMES = rx(plan(), CALF)
TENS = rx(
    plan(),
    CALF,
    id="rx-2",
    programme=Programme(
        modality=Modality.TENS, ramp_up_ms=1_500, on_ms=90_000, ramp_down_ms=0, off_ms=0, therapy_ms=90_000
    ),
)
CAP_UA = {1: 30_000, 3: 18_000}
"""The prescribed window binds: device 100 mA, class S0 and site 80 mA, calibration 60 mA."""


def up(nc: int) -> int:
    return (nc * 1_010_000 + 999_999) // 1_000_000


def shown(station: Station) -> tuple[object, ...]:
    session = station.session
    return (
        station.boot_id,
        station.phase,
        station.latches,
        station.device is None,
        station.holder and station.holder.principal,
        session and (session.id, [setting.setpoint_ua for setting in session.settings]),
    )


class Clinic(Rig):
    """A rig that judges each of its steps."""

    def __init__(self) -> None:
        self.permits: dict[int, int] = {}
        self.durable: set[int] = set()
        self.grant = 0
        self.armed = False
        self.open_frame: tuple[int, int, int] | None = None
        self.rises_from: dict[int, int] = {}
        self.ticked_ms = 0
        self.delivered_before: dict[int, int] = {}
        self.counted: dict[str, tuple[int, ...]] = {}
        self.depth = 0
        self.seen: Counter[object] = Counter()
        super().__init__()

    def give(self, event: object) -> tuple[Effect, ...]:
        """Step, judge the step, perform it, and compare the device once all answers are in."""
        before = self.station
        self.depth += 1
        done = machine.step(before, event, self.now)  # type: ignore[arg-type]
        self.judge_step(before, event, done.effects, done.station)
        effects = super().give(event)
        assert self.station.boot_id == "b1"
        self.depth -= 1
        if self.depth == 0:
            self.judge_device()
        return effects

    # One step

    def judge_step(self, before: Station, event: object, effects: tuple[Effect, ...], after: Station) -> None:
        """Hold one step against every invariant."""
        ranks = [RANK[type(effect)] for effect in effects]
        assert ranks == sorted(ranks)
        assert ranks.count(5) <= 1
        assert not {3, 5} <= set(ranks)
        assert after.tally.version - before.tally.version == (shown(after) != shown(before))
        self.judge_words(before, event, effects, after)
        if isinstance(event, Committed) and event.entry in self.permits:
            self.durable.add(self.permits[event.entry])
        answers = isinstance(event, Heard | Probed) or (
            isinstance(event, Garbled) and before.phase is not Phase.RUNNING
        )
        if answers and self.open_frame and event.grant == self.open_frame[0]:
            self.open_frame = None
        if isinstance(event, Tick):
            # A ramp begins with the tick before the programme first wants it, also where a frame has to wait.
            risen = self.rises_from if before.phase is Phase.RUNNING else {}
            self.rises_from = {t.channel: risen.get(t.channel, self.ticked_ms) for t in event.wanted.trains}
        for effect in effects:
            if isinstance(effect, Commit):
                self.permits[effect.entry.id] = effect.entry.body.permit.id
            elif isinstance(effect, Silence):
                self.armed, self.open_frame = False, None
            elif isinstance(effect, ENERGISING):
                self.judge_frame(before, event, effect, after)
        self.judge_state(before, after)
        if isinstance(event, Tick) or (after.phase is Phase.RUNNING and before.phase is not Phase.RUNNING):
            self.ticked_ms = self.mono_ms
        self.seen[after.phase] += 1
        self.seen["steps"] += 1
        self.seen["flows"] += bool(after.beat.picture.trains)

    def judge_words(self, before: Station, event: object, effects: tuple[Effect, ...], after: Station) -> None:
        """I5, I6, I8: stops act at once, latches stay, and the tick's picture flows exactly while nothing speaks."""
        stops = isinstance(event, PatientStop) or (isinstance(event, Asked) and isinstance(event.command.wish, Stop))
        opens = (
            isinstance(event, Heard)
            and before.phase is Phase.RUNNING
            and any(
                sample.open and sample.fresh and channel.train
                for sample in event.samples
                for setting, channel in zip(before.session.settings, before.session.channels, strict=True)
                if sample.channel == setting.plan.channel
            )
        )
        cleared = isinstance(event, Asked) and isinstance(event.command.wish, ClearLatch)
        kept = after.latches[: len(before.latches)] == before.latches
        assert kept or cleared or isinstance(event, Booted)
        if stops or opens:
            assert effects[0] == Silence(cut=False)
            assert (after.beat.picture, after.waiting) == (OFF, None)
            tried = isinstance(event, PatientStop) and before.phase is Phase.PREPARED and before.waiting is None
            assert after.phase in ({Phase.PREPARED} if tried else {Phase.UNCERTAIN, Phase.IDLE, Phase.OFFLINE})
        if isinstance(event, Tick) and before.phase is after.phase is Phase.RUNNING and not before.beat.unanswered:
            assert after.beat.picture == event.wanted

    def judge_frame(self, before: Station, event: object, effect: ENERGISING, after: Station) -> None:
        """I1, I2, I3, I10: who may energise, when, how much, and from what it rose."""
        grant, now_ms = effect.grant, self.mono_ms
        assert grant.seq > self.grant
        assert (grant.expires_mono_ms, grant.permit in self.durable) == (now_ms + 200, True)
        if self.open_frame is not None:
            assert now_ms - self.open_frame[1] > self.open_frame[2]
        self.grant = grant.seq
        slow = isinstance(effect, Arm | Probe)
        self.open_frame = (grant.seq, now_ms, 500 if slow else 50)
        if slow:
            assert before.phase in {Phase.PREPARED, Phase.PAUSED}
            assert isinstance(event, Committed | Probed) or event.command.wish == Resume()
            self.armed = isinstance(effect, Arm)
            return
        assert isinstance(event, Tick)
        assert self.armed
        assert before.phase is after.phase
        assert after.phase is Phase.RUNNING or (after.phase is Phase.ARMED and isinstance(effect, Feed))
        if isinstance(effect, Drive):
            self.judge_picture(effect.picture, after)

    def judge_picture(self, picture: Picture, after: Station) -> None:
        """I2, I3: every train lies inside its cap, its set-point, its prescription, and under its ramp line."""
        ramp_ms = after.session.rx.programme.ramp_up_ms
        settings = {setting.plan.channel: setting for setting in after.session.settings}
        for train in picture.trains:
            setting = settings[train.channel]
            risen_ms = self.mono_ms - self.rises_from[train.channel]
            assert 0 < train.ua <= min(CAP_UA[train.channel], setting.setpoint_ua)
            assert train.ua <= setting.setpoint_ua * risen_ms // ramp_ms + 100
            assert train == setting.plan.train(train.ua)

    def judge_state(self, before: Station, after: Station) -> None:
        """I1, I4, I6, I7: what may stand together, what may be taken away and by whom, what never shrinks."""
        session = after.session
        if after.beat.picture.trains:
            assert after.phase is Phase.RUNNING
            assert session.permit.id in self.durable
        if after.phase is Phase.RUNNING:
            assert [x for x in after.latches if x.scope is not Scope.MONTAGE] == []
        if after.phase is Phase.RUNNING and before.phase is not Phase.RUNNING:
            assert (before.phase in {Phase.ARMED, Phase.PAUSED}, before.beat.picture, after.beat.picture) == (
                True,
                OFF,
                OFF,
            )
        assert (session is None) is (after.phase in {Phase.OFFLINE, Phase.IDLE})
        if session is not None:
            counted = tuple(
                max(channel.spent[0], base + seen)
                for channel, base, seen in zip(
                    session.channels, session.course.base_nc, session.course.seen_nc, strict=True
                )
            )
            last = self.counted.get(session.id, (0, 0))
            assert all(now >= then for now, then in zip(counted, last, strict=True))
            self.counted = {session.id: counted}

    def perform(self, effect: Effect) -> None:
        """Perform it; the journal's entries are judged as they are written."""
        if isinstance(effect, Note):
            self.judge_entry(effect.entry.body)
        super().perform(effect)

    def judge_entry(self, body: object) -> None:
        """I7: a session is charged exactly what the device delivered and its accuracy, or its whole reservation."""
        if isinstance(body, Settlement):
            self.seen[body.evidence] += 1
            assert [dose.nc for _, dose in body.charged] == (
                [up(self.delivered(number)) for number in (1, 3)] if body.evidence == "readback" else []
            )
        elif isinstance(body, Closing):
            self.seen["closed"] += 1
            self.delivered_before = dict(self.device.total_nc)

    def delivered(self, number: int) -> int:
        """Charge that the device gave on this channel since the last session closed."""
        return self.device.total_nc.get(number, 0) - self.delivered_before.get(number, 0)

    # When all answers are in

    def judge_device(self) -> None:
        """I1, I4, I5, I7: the device gives exactly the picture that stands, inside the reservation."""
        picture, session = self.station.beat.picture, self.station.session
        if not self.device.ignores_stop and not self.station.beat.unanswered and self.station.device is not None:
            assert self.device.trains == {train.channel: train for train in picture.trains}
        if session is not None and session.permit is not None:
            for dose, number in zip(session.permit.reserve, (1, 3), strict=True):
                assert dose.nc >= self.delivered(number)

    def wish(self, wish: object) -> None:
        """Ask for something; whether it is granted, refused or kept waiting is no matter here."""
        self.give(Asked(self.command(wish)))

    def give_clear(self, latch: Latch, role: str) -> None:
        """I6: a latch leaves only by its class, on request, alone, and the journal says so."""
        before = self.station.latches
        mark = len(self.log)
        answer = self.ask(ClearLatch(latch.id, "looked at it"), role=role)
        gone = latch not in self.station.latches
        assert gone is (answer.status == "succeeded")
        assert not gone or role in MAY[latch.clear]
        assert gone is any(isinstance(e, Note) and e.entry.kind == "clear" for e in self.log[mark:])
        assert self.station.latches == tuple(x for x in before if not gone or x != latch)
