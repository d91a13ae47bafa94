"""The emulated P24 as a machine: levels, high voltage, patterns, dead man, electrode check. It knows no bytes.

    level        next           by
    none         low            LOW_INIT; the high voltage comes on
    none         mid            MID_INIT; the high voltage comes on, in twice the time
    low          none           LOW_STOP
    mid          none           MID_STOP
    mid, silent  mid, running   MID_UPDATE with at least one channel
    running      mid, silent    MID_UPDATE with none; every channel has an error; the dead man

The levels exclude each other. The dead man stops the pulses, and only an update brings them back. Everything happens
at its own time, however late `advance` is called; in one microsecond the order is: dead man, pulses (by channel),
requests. Channels share nothing here: that the true device has one current source for all of them, and gives pulses of
the same moment one after the other, is not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from hil.devices.output import OutputStage, Sensed
from hil.devices.sciencemode4_words import (
    CHANNELS,
    SAMPLES,
    ChannelError,
    Identity,
    LowInit,
    LowPulse,
    MidInit,
    MidUpdate,
    Pattern,
    Point,
    Refused,
    Result,
    current_data_answer,
    old_data_answer,
    pulse_answer,
)
from hil.knob import Knob
from hil.settings import Value

SUPPLY_MV = 5_000
SUPPLY_BAND_MV = range(4_400, 5_501)
"""The USB supply and what the device works on. Engineering default."""

PERIODS_US = range(250, 16_383_001)
"""0.5 to 16383 ms, or half of both in quarter milliseconds."""

PULSE_GAP_US = 60
"""What a pulse takes beyond its points, by the duty check of the maker's C library."""

COMPLIANCE_MV = {2: 30_000, 3: 60_000, 4: 90_000, 5: 120_000, 6: 150_000}
STANDARD, OFF, FULL = 0, 1, 6
"""Codes of the high voltage; the standard one is the full one."""

StopAnswer: TypeAlias = Literal["obeyed", "ignored", "silent"]


class Level(IntEnum):
    """Levels, as the status tells them."""

    NONE = 0
    LOW = 1
    MID = 2
    RUNNING = 3


class Answer(NamedTuple):
    """The payload of an answer, and how long the device is busy before it gives it."""

    payload: bytes = bytes((Result.OK,))
    busy_us: int = 0


@dataclass(slots=True)
class Channel:
    """What the mid level keeps of a channel; `given` counts pulses since it was switched on."""

    pattern: Pattern | None = None
    given: int = 0
    error: ChannelError = ChannelError.NONE


def judged(pattern: Pattern, sensed: Sensed, from_ua: int) -> ChannelError:
    """What the device makes of a pulse: its period, and the current at the end of its first phase."""
    if pattern.period_us and pattern.width_us + PULSE_GAP_US > pattern.period_us:
        return ChannelError.PULSE_TIMEOUT
    flowing = [point.ua for point in pattern.points if point.ua]
    phase_ua = [abs(ua) for ua in flowing if (ua > 0) == (flowing[0] > 0)]
    if not phase_ua or max(phase_ua) < from_ua:
        return ChannelError.NONE
    if sensed.end_ua * 2 < phase_ua[-1]:
        return ChannelError.ELECTRODE
    return ChannelError.LOW_CURRENT if sensed.end_ua * 100 < phase_ua[-1] * 95 else ChannelError.NONE


class Model:
    """The device; each request is a method that gives an Answer or raises Refused."""

    def __init__(
        self, identity: Identity, stage: OutputStage[Pattern], now_us: int, switches: Mapping[str, Value]
    ) -> None:
        self.stage = stage
        self.switches = switches
        self.claims = Knob(identity)
        self.hung = Knob(False)
        self.dead_man = Knob(True)
        self.stop_answer: Knob[StopAnswer] = Knob("obeyed")
        self.supply_mv = Knob(SUPPLY_MV)
        self.channel_errors: Knob[Mapping[int, int]] = Knob({})
        self.is_powered = True
        self.forget(now_us)

    def forget(self, now_us: int) -> None:
        """Be as after the start: no pulses, no level, no high voltage."""
        self.stage.show((), now_us)
        self.level = Level.NONE
        self.high_voltage = OFF
        self.channels = [Channel() for _ in range(CHANNELS)]
        self._measure = 0
        self._stop_all = False
        self._is_starved = False
        self._fed_us = now_us

    def _number(self, switch: str) -> int:
        value = self.switches[switch]
        return value if isinstance(value, int) else 0

    # --- time -----------------------------------------------------------------------------------------------------

    def next_deadline_us(self) -> int | None:
        """When the device does something next by itself."""
        due = self.stage.due()
        times = (self._dead_us(), due and due[0])
        return min((at_us for at_us in times if at_us is not None), default=None)

    def advance(self, now_us: int) -> None:
        """Do everything that is due up to and including now, each at its time."""
        while (at_us := self.next_deadline_us()) is not None and at_us <= now_us:
            if at_us == self._dead_us():
                self._is_starved = True
                self._switch_off(range(CHANNELS), at_us)
            elif due := self.stage.due():
                self._pulse(at_us, due[1])

    def _dead_us(self) -> int | None:
        if not self.active or not self.dead_man.value:
            return None
        return self._fed_us + self._number("dead_man_ms") * 1000

    def _pulse(self, at_us: int, pattern: Pattern) -> None:
        channel = self.channels[pattern.channel - 1]
        if channel.pattern is not pattern:
            # A stage that is stuck gives what nobody tells it any more.
            self.stage.step(at_us, pattern)
            return
        rising = pattern.ramp + (self.switches["ramp"] == "below")
        told = pattern.weakened(channel.given + 1, rising) if channel.given < pattern.ramp else pattern
        channel.given += 1
        sensed = self.stage.step(at_us, told)
        found = judged(told, sensed, self._number("check_from_ma") * 1000)
        channel.error = ChannelError(self.channel_errors.value.get(pattern.channel, found))
        if channel.error:
            self._switch_off(range(CHANNELS) if self._stop_all else [pattern.channel - 1], at_us)

    def _switch_off(self, indices: Sequence[int], now_us: int) -> None:
        for index in indices:
            self.channels[index].pattern = None
        self._show(now_us)

    def _show(self, now_us: int) -> None:
        self.stage.show([channel.pattern for channel in self.channels if channel.pattern], now_us)

    # --- power ----------------------------------------------------------------------------------------------------

    def sense_supply(self, now_us: int) -> None:
        """Go down when the supply leaves its band, and start anew when it is back."""
        was, self.is_powered = self.is_powered, self.supply_mv.value in SUPPLY_BAND_MV
        if was != self.is_powered:
            self.forget(now_us)

    # --- what can be asked at any time ----------------------------------------------------------------------------

    @property
    def active(self) -> list[int]:
        """Channels that have a pattern."""
        return [number for number, channel in enumerate(self.channels, 1) if channel.pattern]

    @property
    def state(self) -> Level:
        """The level as it is."""
        return Level.RUNNING if self.active else self.level

    @property
    def status(self) -> int:
        """The level as the status tells it."""
        return self._number("status_after_dead_man") if self._is_starved else self.state

    def fed_ago_ms(self, now_us: int) -> int | None:
        """Since the last update or get-current-data; None when nothing waits for one."""
        return (now_us - self._fed_us) // 1000 if self.active else None

    # --- low level ------------------------------------------------------------------------------------------------

    def low_init(self, asked: LowInit, now_us: int) -> Answer:
        """LOW_INIT."""
        self._may_enter(Level.LOW)
        if asked.reserved or asked.high_voltage > FULL or asked.measure > 3:
            raise Refused(Result.PARAMETER)
        self.forget(now_us)
        self.level = Level.LOW
        self._measure = asked.measure
        self.high_voltage = FULL if asked.high_voltage == STANDARD else asked.high_voltage
        self.stage.compliance_mv = COMPLIANCE_MV.get(self.high_voltage, 0)
        return Answer(busy_us=0 if self.high_voltage == OFF else self._number("hv_ms") * 1000)

    def low_pulse(self, asked: LowPulse, now_us: int) -> Answer:
        """LOW_PULSE; the answer comes after the pulse."""
        if self.level is not Level.LOW:
            raise Refused(Result.NOT_INITIALISED)
        self._need_points(asked.points)
        if not asked.execute:
            return Answer(pulse_answer(Result.OK, asked.channel))
        if self.high_voltage == OFF:
            raise Refused(Result.HIGH_VOLTAGE)
        pulse = Pattern(asked.channel, 0, 0, asked.points)
        # The smallest whole interval whose 128 samples cover the pulse, each taken in the middle of its own.
        every_us = -(-pulse.width_us // SAMPLES)
        pairs = self.stage.samples(now_us, pulse, [(n + 0.5) * every_us for n in range(SAMPLES)])
        sensed = self.stage.give(now_us, pulse)
        found = judged(pulse, sensed, self._number("check_from_ma") * 1000)
        error = ChannelError(self.channel_errors.value.get(asked.channel, found))
        values = {
            1: [round(ua / 10) for ua, _ in pairs],
            2: [round(mv / 10) for _, mv in pairs],
            3: [self.stage.compliance_mv // 10] * SAMPLES,
        }
        samples = values.get(self._measure, [])
        payload = pulse_answer(error.result, asked.channel, self._measure, every_us, samples)
        return Answer(payload, pulse.width_us)

    # --- mid level ------------------------------------------------------------------------------------------------

    def mid_init(self, asked: MidInit, now_us: int) -> Answer:
        """MID_INIT."""
        self._may_enter(Level.MID)
        if asked.options > 1:
            raise Refused(Result.PARAMETER)
        self.forget(now_us)
        self.level = Level.MID
        self._stop_all = asked.options == 1
        self.high_voltage = FULL
        self.stage.compliance_mv = COMPLIANCE_MV[FULL]
        return Answer(busy_us=2 * self._number("hv_ms") * 1000)

    def mid_update(self, asked: MidUpdate, now_us: int) -> Answer:
        """MID_UPDATE; a channel that goes on keeps its rhythm and its place in the ramp, a new one begins both."""
        if self.level is not Level.MID:
            raise Refused(Result.NOT_INITIALISED)
        if self.switches["refused_feeds"]:
            self._fed_us = now_us
        for pattern in asked.patterns:
            self._need_points(pattern.points)
            if pattern.period_us not in PERIODS_US:
                raise Refused(Result.PARAMETER)
        duty = sum(Fraction(pattern.width_us + PULSE_GAP_US, pattern.period_us) for pattern in asked.patterns)
        if self.switches["duty_check"] and duty >= 1:
            raise Refused(Result.PARAMETER)
        told = {pattern.channel: pattern for pattern in asked.patterns}
        before, self.channels = self.channels, [Channel(told.get(number)) for number in range(1, CHANNELS + 1)]
        for was, now in zip(before, self.channels, strict=True):
            now.given = was.given if was.pattern and now.pattern else 0
        self._fed_us = now_us
        self._is_starved = False
        self._show(now_us)
        return Answer()

    def current_data(self, selection: int, now_us: int) -> Answer:
        """CURRENT_DATA, the keep-alive; after the dead man it brings nothing back."""
        if self.level is not Level.MID:
            raise Refused(Result.NOT_INITIALISED)
        is_old = selection in {2, 3} and bool(self.switches["old_selections"])
        if selection != 4 and not is_old:
            raise Refused(Result.PARAMETER)
        self._fed_us = now_us
        errors = [channel.error for channel in self.channels]
        if is_old:
            lifted = [number for number, error in enumerate(errors, 1) if error is ChannelError.ELECTRODE]
            return Answer(old_data_answer(selection, is_running=bool(self.active), lifted=lifted))
        result = self._number("data_after_dead_man") if self._is_starved else Result.OK
        if self.switches["data_result"] == "error" and not result:
            result = next((error.result for error in errors if error), Result.OK)
        return Answer(current_data_answer(result, self.active, errors))

    # --- both -----------------------------------------------------------------------------------------------------

    def stop(self, level: Level, now_us: int) -> Answer:
        """LOW_STOP and MID_STOP; the high voltage goes off."""
        if self.level is not level:
            return Answer(bytes((self._number("idle_stop"),)))
        if self.stop_answer.value == "obeyed":
            self.forget(now_us)
        return Answer()

    def _may_enter(self, level: Level) -> None:
        again = self.level is level and self.switches["reinit"] == "accept"
        if self.level is not Level.NONE and not again:
            raise Refused(Result.NOT_INITIALISED)

    def _need_points(self, points: Sequence[Point]) -> None:
        limit_ua = self._number("max_ma") * 1000
        if any(point.reserved or abs(point.ua) > limit_ua for point in points):
            raise Refused(Result.PARAMETER)
