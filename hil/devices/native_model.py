"""The emulated native stimulator as a machine: states, supervisor, envelopes, readback. It knows no bytes.

Two parts share the device, as docs/native-protocol.md section 2 asks. The *firmware* obeys frames, keeps envelopes and
reports; it may hang. The *supervisor* owns the dead man, CUT and the patient stop, and works while the firmware hangs.
Everything happens at its own time, however late `advance` is called; in one microsecond the order is: supervisor and
envelope deadlines, pulses (by channel), frames. A pulse that has begun is finished: half of it would leave net charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from hil.devices.native_words import (
    U16,
    U32,
    Arm,
    Block,
    Code,
    Drive,
    Envelope,
    Event,
    Fault,
    Feed,
    Flag,
    Happening,
    Identity,
    Probe,
    Probed,
    Refused,
    State,
    Status,
)
from hil.devices.output import OutputStage, Sensed, Train
from hil.knob import Knob

SUPPLY_MV = 12_000
SUPPLY_BAND_MV = range(10_800, 13_201)
"""Nominal supply and its band of 10 %. Engineering default."""

PROBE_MAX_UA = 2_000
PROBE_MAX_US = 500
"""Limits of a test pulse: docs/native-protocol.md section 3."""

StopAnswer: TypeAlias = Literal["obeyed", "ignored", "silent"]


@dataclass(slots=True)
class Reading:
    """What a channel measured of itself since the last ARM."""

    flags: Flag = Flag.NONE
    measured_ua: int = 0
    ohm: int = U32
    pulses: int = 0
    charge_pc: int = 0
    clipped: int = 0
    imbalance: int = 0


def judged(set_ua: int, sensed: Sensed) -> tuple[Flag, int]:
    """Flags and ohms of a pulse, from voltage and current at the end of its first phase."""
    ohm = min(round(sensed.end_mv * 1000 / sensed.end_ua), U32 - 1) if sensed.end_ua else U32
    flags = Flag.FRESH
    if sensed.end_ua * 2 < set_ua:
        flags |= Flag.OPEN
    if ohm < 100:
        flags |= Flag.SHORT
    if sensed.end_ua * 100 < set_ua * 95:
        flags |= Flag.CLIP
    return flags, ohm


def imbalance(sensed: Sensed) -> int:
    """By how much the phases' charges differ, in thousandths of the first, rounded up; 255 is that or more."""
    apart = abs(sensed.first_pc - sensed.second_pc)
    return min(-(-1000 * apart // sensed.first_pc), 255) if sensed.first_pc else 255 * bool(apart)


class Model:
    """The device; each request is a method that returns nothing or a measurement, or raises Refused."""

    def __init__(self, identity: Identity, stage: OutputStage[Train], now_us: int) -> None:
        self.stage = stage
        self.hung = Knob(False)
        self.dead_man = Knob(True)
        self.stop_answer: Knob[StopAnswer] = Knob("obeyed")
        self.echo_offset_ua = Knob(0)
        self.supply_mv = Knob(SUPPLY_MV)
        self.self_test = Knob(0)
        self.claims = Knob(identity)
        self.events: list[Event] = []
        self._identity = identity
        self._pressed = False
        self._power_up(State.STOPPED, now_us)

    def _power_up(self, state: State, now_us: int) -> None:
        self.state = state
        self.faults = Fault.NONE
        self.frames = self.errors = 0
        self._booted_us = now_us
        self._presses = 0
        self._unfit = False
        self._probed = (0, -1)
        self._envelopes: dict[int, Envelope] = {}
        self._forget()
        self._tell(Happening.BOOTED)

    def _forget(self) -> None:
        self.permit = self.grant = 0
        self._fed_us = self._ends_us = 0
        self.picture: dict[int, Train] = {}
        self._readings = [Reading() for _ in range(self._identity.channels)]

    # --- time -----------------------------------------------------------------------------------------------------

    def next_deadline_us(self) -> int | None:
        """When the device does something next by itself."""
        due, deadline = self.stage.due(), self._deadline_us()
        if due is None or (deadline is not None and deadline <= due[0]):
            return deadline
        return due[0]

    def advance(self, now_us: int) -> None:
        """Do everything that is due up to and including now, each at its time."""
        while True:
            due, deadline_us = self.stage.due(), self._deadline_us()
            if deadline_us is not None and deadline_us <= now_us and (due is None or deadline_us <= due[0]):
                self._expire(deadline_us)
            elif due is not None and due[0] <= now_us:
                self._pulse(*due)
            else:
                return

    def _deadline_us(self) -> int | None:
        if self.state is not State.ARMED and self.state is not State.RUNNING:
            return None
        dead_us = self._dead_us() if self.dead_man.value else None
        if self.hung.value:
            return dead_us
        return self._ends_us if dead_us is None else min(dead_us, self._ends_us)

    def _dead_us(self) -> int:
        return self._fed_us + self._identity.dead_man_ms * 1000

    def _expire(self, at_us: int) -> None:
        starved = self.dead_man.value and at_us >= self._dead_us()
        self._trip(Fault.DEAD_MAN if starved else Fault.ENVELOPE_END, at_us)

    def _pulse(self, at_us: int, train: Train) -> None:
        if self.state is State.RUNNING and not self.hung.value and self._would_exceed(train):
            self._trip(Fault.ENVELOPE, at_us)
            return
        sensed = self.stage.step(at_us, train)
        reading = self._readings[train.channel - 1]
        before = reading.flags
        set_ua = self.picture[train.channel].ua if train.channel in self.picture else 0
        reading.flags, reading.ohm = judged(set_ua, sensed)
        reading.measured_ua = sensed.peak_ua
        reading.pulses += 1
        reading.charge_pc += sensed.first_pc + sensed.second_pc
        reading.imbalance = imbalance(sensed)
        reading.clipped = min(reading.clipped + 1, 255) if Flag.CLIP in reading.flags else 0
        if self.state is State.RUNNING and reading.flags & ~before & (Flag.OPEN | Flag.SHORT):
            self._tell(Happening.ELECTRODE, train.channel)

    def _would_exceed(self, train: Train) -> bool:
        # Picocoulombs, so that no rounding decides: uA times us.
        next_pc = 2 * train.ua * train.width_us
        envelope = self._envelopes.get(train.channel)
        spent_pc = self._readings[train.channel - 1].charge_pc
        return envelope is None or spent_pc + next_pc > envelope.max_charge_nc * 1000

    # --- supervisor -----------------------------------------------------------------------------------------------

    def press(self, now_us: int) -> None:
        """The patient's button goes down."""
        if self._pressed:
            return
        self._pressed = True
        self._presses = (self._presses + 1) % 128
        self.faults |= Fault.PATIENT_STOP
        self._halt(now_us)
        self._tell(Happening.PRESSED)

    def release(self) -> None:
        """The patient's button comes up."""
        if self._pressed:
            self._pressed = False
            self._tell(Happening.RELEASED)

    def cut(self, now_us: int) -> None:
        """CUT."""
        self._halt(now_us)
        self.state = State.CUT
        self.stage.relay_closed = False

    def sense_supply(self, now_us: int) -> None:
        """Look at the supply voltage."""
        if self.supply_mv.value not in SUPPLY_BAND_MV:
            self._trip(Fault.SUPPLY, now_us)

    def reset(self, now_us: int, *, power: bool) -> None:
        """Start anew with another boot number; only a loss of power closes a relay that CUT has opened."""
        self.stage.show((), now_us)
        if power:
            self.stage.relay_closed = True
        self._identity = replace(self._identity, boot=(self._identity.boot + 1) & U32)
        self._power_up(State.STOPPED if self.stage.relay_closed else State.CUT, now_us)

    def _trip(self, fault: Fault, now_us: int) -> None:
        self.faults |= fault
        self._halt(now_us)
        self._tell(Happening.FAULT)

    def _halt(self, now_us: int) -> None:
        self.stage.show((), now_us)
        self.picture = {}
        if self.state is not State.CUT:
            self.state = State.STOPPED

    def _tell(self, kind: Happening, channel: int = 0) -> None:
        if not self.hung.value:
            self.events.append(Event(kind, channel, self.faults))

    # --- firmware: requests, checked in the order of section 5 ------------------------------------------------------

    def hello(self, now_us: int) -> Identity:
        """HELLO."""
        self._halt(now_us)
        self.faults = Fault.NONE
        self._forget()
        return replace(self.claims.value, boot=self._identity.boot)

    def arm(self, asked: Arm, now_us: int) -> None:
        """ARM."""
        self._need(State.STOPPED)
        self._need_fit()
        self._need_channels([envelope.channel for envelope in asked.envelopes])
        if not asked.envelopes or asked.lifetime_ms == 0 or not all(map(self._can_keep, asked.envelopes)):
            raise Refused(Code.OUT_OF_RANGE)
        self._forget()
        self._envelopes = {envelope.channel: envelope for envelope in asked.envelopes}
        self.permit = asked.permit
        self.grant = -1
        self.faults = Fault.NONE
        self.state = State.ARMED
        self._fed_us = now_us
        self._ends_us = now_us + asked.lifetime_ms * 1000

    def drive(self, asked: Drive, now_us: int) -> None:
        """DRIVE."""
        self._need_grant(asked.permit, asked.grant)
        self._need_channels([train.channel for train in asked.trains])
        if not all(self._can_give(train) and self._may_give(train) for train in asked.trains):
            self._trip(Fault.ENVELOPE, now_us)
            raise Refused(Code.OUT_OF_RANGE)
        self._fed_us, self.grant = now_us, asked.grant
        self.picture = {train.channel: train for train in asked.trains}
        self.stage.show(asked.trains, now_us)
        self.state = State.RUNNING if asked.trains else State.ARMED

    def feed(self, asked: Feed, now_us: int) -> None:
        """FEED."""
        self._need_grant(asked.permit, asked.grant)
        self._fed_us, self.grant = now_us, asked.grant

    def stop(self, now_us: int) -> None:
        """STOP."""
        if self.stop_answer.value == "obeyed":
            self._halt(now_us)

    def probe(self, asked: Probe, now_us: int) -> Probed:
        """PROBE; its pulse has no gap, and it is not part of the session's pulses and charge."""
        self._need(State.STOPPED)
        self._need_fit()
        last_permit, last_grant = self._probed
        if asked.permit == last_permit and asked.grant <= last_grant:
            raise Refused(Code.GRANT_NOT_GREATER)
        self._need_channels([asked.channel])
        train = Train(asked.channel, asked.ua, asked.width_us, 0, self._identity.min_period_us)
        if not (0 < train.ua <= PROBE_MAX_UA and train.width_us <= PROBE_MAX_US and self._can_give(train)):
            raise Refused(Code.OUT_OF_RANGE)
        self._probed = (asked.permit, asked.grant)
        sensed = self.stage.give(now_us, train)
        flags, ohm = judged(train.ua, sensed)
        return Probed(train.channel, ohm, sensed.peak_ua, flags)

    def selftest(self, now_us: int) -> int:
        """SELFTEST; a device that failed refuses ARM and PROBE until it passes."""
        self._need(State.STOPPED)
        result = self.self_test.value | (2 if self.stage.is_live else 0)
        self._unfit = result != 0
        if result:
            self._trip(Fault.INTERNAL, now_us)
        return result

    def status(self, now_us: int) -> Status:
        """What STATUS tells."""
        live = self.state in {State.ARMED, State.RUNNING}
        return Status(
            boot=self._identity.boot,
            uptime_ms=(now_us - self._booted_us) // 1000 & U32,
            frames=self.frames & U32,
            errors=self.errors & U32,
            state=self.state,
            faults=self.faults,
            button=self._pressed | self._presses << 1,
            supply_mv=self.supply_mv.value,
            permit=self.permit,
            grant=max(self.grant, 0),
            fed_ago_ms=(now_us - self._fed_us) // 1000 if live else U16,
            channels=tuple(map(self._block, range(1, self._identity.channels + 1))),
        )

    def told(self) -> None:
        """The host has the measurements: they are no longer fresh."""
        for reading in self._readings:
            reading.flags &= ~Flag.FRESH

    def _block(self, channel: int) -> Block:
        reading = self._readings[channel - 1]
        train = self.picture.get(channel, Train(channel, 0, 0, 0, 0))
        echo_ua = train.ua + self.echo_offset_ua.value if channel in self.picture else 0
        return Block(
            channel,
            reading.flags,
            echo_ua,
            train.width_us,
            train.gap_us,
            train.period_us,
            min(reading.measured_ua, U32),
            reading.ohm,
            reading.pulses & U32,
            -(-reading.charge_pc // 1000),
            reading.clipped,
            reading.imbalance,
        )

    def _need(self, *states: State) -> None:
        if self.state is State.CUT:
            raise Refused(Code.CUT)
        if self.state not in states:
            raise Refused(Code.WRONG_STATE)

    def _need_fit(self) -> None:
        if self._unfit or self.supply_mv.value not in SUPPLY_BAND_MV:
            raise Refused(Code.SELF_TEST)
        if self._pressed:
            raise Refused(Code.PATIENT_STOP)

    def _need_grant(self, permit: int, grant: int) -> None:
        self._need(State.ARMED, State.RUNNING)
        if permit != self.permit:
            raise Refused(Code.WRONG_PERMIT)
        if grant <= self.grant:
            raise Refused(Code.GRANT_NOT_GREATER)

    def _need_channels(self, channels: Sequence[int]) -> None:
        ascending = all(low < high for low, high in pairwise(channels))
        if not ascending or any(not 1 <= channel <= self._identity.channels for channel in channels):
            raise Refused(Code.CHANNEL_LIST)

    def _can_keep(self, envelope: Envelope) -> bool:
        device = self._identity
        return (
            envelope.max_ua <= device.max_ua
            and envelope.max_width_us <= device.max_width_us
            and envelope.min_period_us >= device.min_period_us
        )

    def _can_give(self, train: Train) -> bool:
        device = self._identity
        return (
            train.ua <= device.max_ua
            and train.ua % device.step_ua == 0
            and device.min_width_us <= train.width_us <= device.max_width_us
            and train.width_us % device.width_step_us == 0
            and device.min_period_us <= train.period_us <= device.max_period_us
            and train.period_us % device.period_step_us == 0
            and 2 * train.width_us + train.gap_us <= train.period_us
        )

    def _may_give(self, train: Train) -> bool:
        envelope = self._envelopes.get(train.channel)
        return (
            envelope is not None
            and train.ua <= envelope.max_ua
            and train.width_us <= envelope.max_width_us
            and train.period_us >= envelope.min_period_us
        )
