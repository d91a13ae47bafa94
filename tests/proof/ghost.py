"""What the oracle remembers by itself: every frame, every durable permit, every pulse that flowed.

A ghost never looks at the heart's own counters. It follows the effects as the outside sees them, and with them an
ideal device: one that obeys at once, gives each pulse in full, and ends its output by its own dead man.
"""

from __future__ import annotations

from typing import NamedTuple

from safety.effects import Arm, Commit, Drive, Effect, Feed, PermitRequest, Probe, Silence
from safety.messages import (
    Asked,
    CalibrationStep,
    Committed,
    DeviceState,
    DeviceUp,
    Event,
    Garbled,
    Heard,
    Probed,
    Sample,
    Status,
    Tick,
)
from safety.state import Phase, Station
from safety.waveform import OFF, Picture
from tests.proof.truth import HELD_MS

SUPPLY_MV = 12_000
SKIN_MDEG = 33_000


class Line(NamedTuple):
    """An ideal device, as far as the frames that were sent make it.

    `given` is (channel, nC, us into the period) for each channel that had current since the session opened, `base`
    what it was at the last arming, `fresh` the channels that had a pulse since the device last spoke.
    """

    state: DeviceState = DeviceState.STOPPED
    picture: Picture = OFF
    permit: int = 0
    grant: int = 0
    frames: int = 0
    fed_ms: int = 0
    at_ms: int = 0
    boot: int = 7
    presses: int = 0
    given: tuple[tuple[int, int, int], ...] = ()
    fresh: tuple[int, ...] = ()
    base: tuple[tuple[int, int], ...] = ()

    def advanced(self, now_ms: int, dead_man_ms: int) -> Line:
        """Let time pass: pulses are given until now, or until nobody has fed the device for its dead man."""
        until_ms = min(now_ms, self.fed_ms + dead_man_ms)
        given = {number: (nc, us) for number, nc, us in self.given}
        fresh = set(self.fresh)
        for train in self.picture.trains:
            nc, us = given.get(train.channel, (0, 0))
            pulses, us = divmod(us + max(0, until_ms - self.at_ms) * 1_000, train.period_us)
            given[train.channel] = nc + pulses * 2 * train.ua * train.width_us // 1_000, us
            fresh |= {train.channel} if pulses else set()
        alive = self.state in (DeviceState.STOPPED, DeviceState.CUT) or now_ms <= self.fed_ms + dead_man_ms
        return self._replace(
            state=self.state if alive else DeviceState.STOPPED,
            picture=self.picture if alive else OFF,
            at_ms=now_ms,
            given=tuple((number, nc, us) for number, (nc, us) in sorted(given.items())),
            fresh=tuple(sorted(fresh)),
        )

    def obeyed(self, effect: Effect, now_ms: int) -> Line:
        """Take a frame as the wire would bring it."""
        if isinstance(effect, Silence):
            state = DeviceState.CUT if effect.cut else DeviceState.STOPPED
            return self._replace(state=state, picture=OFF, frames=self.frames + 1)
        if isinstance(effect, Arm):
            return self._replace(
                state=DeviceState.ARMED, permit=effect.grant.permit, grant=effect.grant.seq, fed_ms=now_ms,
                frames=self.frames + 1, base=tuple((number, nc) for number, nc, _ in self.given),
            )  # fmt: skip
        if isinstance(effect, Feed) and self.state is not DeviceState.STOPPED:
            return self._replace(grant=effect.grant.seq, fed_ms=now_ms, frames=self.frames + 1)
        if isinstance(effect, Drive) and self.state is not DeviceState.STOPPED:
            return self.driven(effect, now_ms)
        return self

    def driven(self, effect: Drive, now_ms: int) -> Line:
        """Put a picture in force; a train that starts gives a pulse at once."""
        flowing = {train.channel for train in self.picture.trains}
        given = {number: (nc, us) for number, nc, us in self.given}
        starting = [train for train in effect.picture.trains if train.channel not in flowing]
        for train in starting:
            given[train.channel] = given.get(train.channel, (0, 0))[0] + 2 * train.ua * train.width_us // 1_000, 0
        return self._replace(
            state=DeviceState.RUNNING if effect.picture.trains else DeviceState.ARMED,
            picture=effect.picture, grant=effect.grant.seq, fed_ms=now_ms, frames=self.frames + 1,
            given=tuple((number, nc, us) for number, (nc, us) in sorted(given.items())),
            fresh=tuple(sorted({*self.fresh, *(train.channel for train in starting)})),
        )  # fmt: skip

    def delivered_nc(self, channel: int) -> int:
        """Charge that this channel had since the session opened."""
        return next((nc for number, nc, _ in self.given if number == channel), 0)

    def status(self) -> Status:
        """Say how it is."""
        return Status(
            self.boot, self.at_ms, self.frames, self.state, 0, False, self.presses, SUPPLY_MV, self.permit, self.grant
        )

    def samples(self, channels: tuple[int, ...], ohm: int = 1_500) -> tuple[Sample, ...]:
        """Read back the channels of a session; every pulse meets the same skin."""
        trains, base, out = {train.channel: train for train in self.picture.trains}, dict(self.base), []
        for number in channels:
            train = trains.get(number)
            told = train[1:] if train else (0, 0, 0, 0)
            count_nc = self.delivered_nc(number) - base.get(number, 0)
            fresh = number in self.fresh
            ok = (False, False, False)
            out.append(
                Sample(number, *told, told[0], ohm, 0, count_nc, 0, fresh, *ok, imbalance_ppm=0, skin_mdeg=SKIN_MDEG)
            )
        return tuple(out)


class Ghost(NamedTuple):
    """What has happened so far, as the oracle saw it.

    `asked` is the entry that waits for the journal, with its permit and the set-points that it reserves for; `durable`
    the permits that the journal has confirmed, `ceiling` the set-points they are for. `frame` is the one that is not
    answered: its grant, when it was sent, how long its answer may take. `rises` says when each ramp left zero.
    `held_ms` is when a calibration's button was last said to be down, `down_ms` when it went down, `burst_ms` when its
    current left zero.
    `odd` counts, per channel, readings in a row with too much current, and with a short.
    """

    line: Line = Line()
    asked: tuple[int, int, tuple[tuple[int, int], ...]] = (0, 0, ())
    durable: tuple[int, ...] = ()
    ceiling: tuple[tuple[int, int], ...] = ()
    frame: tuple[int, int, int] = (0, 0, 0)
    grant: int = 0
    ticked_ms: int = 0
    heard_ms: int = 0
    rises: tuple[tuple[int, int], ...] = ()
    odd: tuple[tuple[int, int, int], ...] = ()
    session: str = ""
    held_ms: int = 0
    down_ms: int = 0
    burst_ms: int = 0

    def answers(self, event: Event, before: Station) -> bool:
        """Tell whether this word answers the frame that is open."""
        named = isinstance(event, Heard | Probed) or (isinstance(event, Garbled) and before.phase is not Phase.RUNNING)
        return named and event.grant != 0 and event.grant == self.frame[0]

    def heard(self, before: Station, event: Event, now_ms: int, dead_man_ms: int) -> Ghost:
        """Take in what has happened, before its effects."""
        ghost = self._replace(line=self.line.advanced(now_ms, dead_man_ms))
        if self.answers(event, before):
            ghost = ghost._replace(frame=(0, 0, 0))
        if isinstance(event, Heard | DeviceUp) and (before.device is not None or isinstance(event, DeviceUp)):
            ghost = ghost._replace(heard_ms=now_ms, line=ghost.line._replace(fresh=()))
        if isinstance(event, DeviceUp):
            stopped = ghost.line._replace(state=event.status.state, picture=OFF)
            ghost = ghost._replace(frame=(0, 0, 0), line=stopped)
        if isinstance(event, Probed) and self.answers(event, before):
            ghost = ghost._replace(heard_ms=now_ms)
        if isinstance(event, Committed) and event.entry == self.asked[0] != 0:
            ghost = ghost._replace(
                durable=(*ghost.durable, self.asked[1]), ceiling=self.asked[2] or self.ceiling, asked=(0, 0, ())
            )
        if isinstance(event, Asked) and isinstance(event.command.wish, CalibrationStep):
            is_new = now_ms - ghost.held_ms >= HELD_MS
            ghost = ghost._replace(held_ms=now_ms, down_ms=now_ms if is_new else ghost.down_ms)
        if isinstance(event, Tick):
            # A ramp begins with the tick before the programme first wants it, also where a frame has to wait; it goes
            # on for as long as its channel flows.
            risen = dict(self.rises) if before.phase in (Phase.RUNNING, Phase.CALIBRATING) else {}
            numbers = {train.channel for train in (*event.wanted.trains, *ghost.line.picture.trains)}
            rises = tuple((number, risen.get(number, self.ticked_ms)) for number in sorted(numbers))
            ghost = ghost._replace(rises=rises)
        return ghost

    def told(self, effects: tuple[Effect, ...], after: Station, now_ms: int) -> Ghost:
        """Take in what was asked of the outside."""
        ghost, times = self, after.config.times
        for effect in effects:
            ghost = ghost._replace(line=ghost.line.obeyed(effect, now_ms))
            if isinstance(effect, Commit) and isinstance(effect.entry.body, PermitRequest):
                body = effect.entry.body
                points = () if body.probe or not after.session else tuple(
                    (setting.plan.channel, setting.setpoint_ua) for setting in after.session.settings
                )  # fmt: skip
                waiting = after.waiting
                if waiting is not None and waiting.channels and waiting.setpoint_ua:
                    points = tuple((n, waiting.setpoint_ua if n in waiting.channels else ua) for n, ua in points)
                ghost = ghost._replace(asked=(effect.entry.id, body.permit.id, points))
            elif isinstance(effect, Silence):
                ghost = ghost._replace(frame=(0, 0, 0), rises=())
            if isinstance(effect, Drive):
                if not self.line.picture.trains:
                    ghost = ghost._replace(burst_ms=now_ms)
                driven = {train.channel for train in effect.picture.trains}
                ghost = ghost._replace(rises=tuple(rise for rise in ghost.rises if rise[0] in driven))
            if isinstance(effect, Arm | Probe | Drive | Feed):
                budget = times.init_ack_ms if isinstance(effect, Arm | Probe) else times.ack_ms
                ghost = ghost._replace(grant=effect.grant.seq, frame=(effect.grant.seq, now_ms, budget))
        session = after.session.id if after.session else ""
        if session != ghost.session:
            ghost = ghost._replace(session=session, ceiling=(), durable=(), line=ghost.line._replace(base=(), given=()))
        return ghost
