"""The emulated RehaStim2 as a machine: handshake, modes, watchdog, channel lists, skin check. It knows no bytes.

    mode         30              32         34      36             watchdog, trouble
    start        -> initialised  -3         stays   one pulse      stays
    initialised  -3 (a choice)   -> started -> start  -3           -> start
    started      -3              update     -> start  -3           -> start

The device says Init every 500 ms until a host answers; the watchdog ends the handshake, too. Everything happens at its
own time, however late `advance` is called; in one microsecond the order is: watchdog, Init, pulses (by channel),
frames. What the document leaves open is one of SWITCHES, or said where it is decided.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, cast

from hil.devices.output import Train
from hil.devices.sciencemode2_list import ListStage, fits
from hil.devices.sciencemode2_words import (
    VERSION,
    Channels,
    Command,
    Mode,
    Pulse,
    Refused,
    Result,
    Trouble,
)
from hil.knob import Knob
from hil.settings import Setting, Value

INIT_EVERY_US = 500_000
WATCHDOG_US = 1_200_000
GAP_US = 100
"""Between the phases of a pulse."""

SUPPLY_MV = 12_000
SUPPLY_BAND_MV = range(10_800, 13_201)
"""Not documented: a brown-out is a loss of power. Engineering default."""

TEST_UA, TEST_US = 1_000, 100
"""The skin check. The document gives no figure for the test pulse: engineering defaults."""

MODES: dict[Command, frozenset[Mode]] = {
    Command.GET_MODE: frozenset(Mode),
    Command.INIT_LIST: frozenset((Mode.START,)),
    Command.START_LIST: frozenset((Mode.INITIALISED, Mode.STARTED)),
    Command.STOP_LIST: frozenset(Mode),
    Command.SINGLE_PULSE: frozenset((Mode.START,)),
}
"""Commands with an acknowledgement, whose number is the next one, and the modes in which they are obeyed."""

StopAnswer: TypeAlias = Literal["obeyed", "ignored", "silent"]


SWITCHES = {
    "before_init_ack": Setting(
        str, "ignored", "what becomes of commands before InitAck", choices=("ignored", "answered")
    ),
    "init_while_initialised": Setting(
        str, "wrong_mode", "what becomes of InitChannelListMode while initialised", choices=("wrong_mode", "accepted")
    ),
    "init_ack_number": Setting(
        str, "any", "which number an InitAck must carry: any, or that of the last Init", choices=("any", "last")
    ),
    "skin_low_ohm": Setting(int, 100, "a smaller load fails the skin check", 0, 1_000_000),
    "skin_high_ohm": Setting(int, 10_000, "a greater load fails the skin check", 0, 1_000_000),
    "idle_switch": Setting(bool, False, "the emergency switch is told in start mode, too"),
}
"""What the document does not say, and what the emulator does unless told otherwise."""


class Said(NamedTuple):
    """What the device says unasked, under a count of its own."""

    number: int
    command: Command
    code: int


class Model:
    """The device; a command is a method that raises Refused, or gives what its acknowledgement tells."""

    def __init__(self, stage: ListStage, switches: dict[str, Value], now_us: int) -> None:
        self.stage = stage
        self.switches = switches
        self.dead_man = Knob(True)
        self.hung = Knob(False)
        self.stop_answer: Knob[StopAnswer] = Knob("obeyed")
        self.skin_check = Knob(True)
        self.supply_mv = Knob(SUPPLY_MV)
        self.is_powered = True
        self.version = Knob(VERSION)
        self.module_failed = Knob(False)
        self.said: list[Said] = []
        self.is_pressed = False
        self._power_up(now_us)

    def _power_up(self, now_us: int) -> None:
        self.mode = Mode.START
        self.is_connected = False
        self.channels: Channels | None = None
        self.pulses: dict[int, Pulse] = {}
        self.fed_us = now_us
        self._init_us = now_us
        self._number = self._init_number = 0

    # --- time -----------------------------------------------------------------------------------------------------

    def next_deadline_us(self) -> int | None:
        """When the device does something next by itself."""
        init_us = self._init_us if self.is_powered and not self.is_connected else None
        times = (self._watchdog_us(), init_us, self.stage.due_us())
        return min((at_us for at_us in times if at_us is not None), default=None)

    def advance(self, now_us: int) -> None:
        """Do everything that is due up to and including now, each at its time."""
        while (at_us := self.next_deadline_us()) is not None and at_us <= now_us:
            if at_us == self._watchdog_us():
                self._starve(at_us)
            elif self.is_powered and not self.is_connected and at_us == self._init_us:
                self._init_number = self._number
                self._say(Command.INIT, self.version.value)
                self._init_us = at_us + INIT_EVERY_US
            elif due := self.stage.step(at_us):
                self._pulse(at_us, due.channel, due.pulse)

    def _watchdog_us(self) -> int | None:
        # A device that obeys before InitAck is watched while there is something to end.
        is_watched = self.dead_man.value and (self.is_connected or self.mode is not Mode.START)
        return self.fed_us + WATCHDOG_US if is_watched else None

    def _starve(self, at_us: int) -> None:
        self._halt(at_us)
        self.is_connected = False
        self._init_us = at_us

    def _pulse(self, at_us: int, channel: int, pulse: Pulse) -> None:
        # A stuck output is past asking.
        trouble = None if self.stage.is_stuck else self._trouble(at_us, channel)
        if trouble:
            self._stop_for(trouble, at_us)
        else:
            self.stage.give(at_us, Train(channel, pulse.ua, pulse.width_us, GAP_US, 0))

    def _trouble(self, at_us: int, channel: int) -> Trouble | None:
        """What stands against a pulse. The skin's test pulse is judged without being given: its size is not known."""
        if self.module_failed.value:
            return Trouble.MODULE
        if self.is_pressed:
            return Trouble.EMERGENCY_SWITCH
        if not self.skin_check.value:
            return None
        low, high = (cast("int", self.switches[name]) for name in ("skin_low_ohm", "skin_high_ohm"))
        ((ua, mv),) = self.stage.samples(at_us, Train(channel, TEST_UA, TEST_US, GAP_US, 0), (TEST_US,))
        return None if ua and low * ua <= mv * 1000 <= high * ua else Trouble.ELECTRODE

    # --- what happens to the device -----------------------------------------------------------------------------------

    def press(self, now_us: int) -> None:
        """The emergency switch goes down; in start mode that is told when a pulse would be given, unless switched."""
        self.is_pressed = True
        if self.mode is not Mode.START or self.switches["idle_switch"]:
            self._stop_for(Trouble.EMERGENCY_SWITCH, now_us)

    def release(self) -> None:
        """The emergency switch comes up."""
        self.is_pressed = False

    def sense(self, now_us: int) -> None:
        """Look at the supply and at the stimulation module; an error of the latter is told if it is in use."""
        was, self.is_powered = self.is_powered, self.supply_mv.value in SUPPLY_BAND_MV
        if was != self.is_powered:
            self.reset(now_us)
        elif self.module_failed.value and self.mode is not Mode.START:
            self._stop_for(Trouble.MODULE, now_us)

    def reset(self, now_us: int) -> None:
        """Start anew, as after a loss of power."""
        self._halt(now_us)
        self._power_up(now_us)

    def _stop_for(self, trouble: Trouble, now_us: int) -> None:
        self._halt(now_us)
        self._say(Command.STIMULATION_ERROR, trouble)

    def _halt(self, now_us: int) -> None:
        self.stage.end(now_us)
        self.mode = Mode.START
        self.channels = None
        self.pulses = {}

    def _say(self, command: Command, code: int) -> None:
        if not self.hung.value:
            self.said.append(Said(self._number, command, code))
            self._number = (self._number + 1) % 256

    # --- commands ---------------------------------------------------------------------------------------------------

    @property
    def is_heeding(self) -> bool:
        """Whether commands count now."""
        return self.is_connected or self.switches["before_init_ack"] == "answered"

    @property
    def active(self) -> tuple[int, ...]:
        """The channels of the list."""
        return self.channels.active if self.channels else ()

    def feed(self, now_us: int) -> None:
        """A frame without error came, whatever it says."""
        self.fed_us = now_us

    def init_ack(self, number: int, code: int) -> None:
        """InitAck; after one that refuses the version the device goes on asking."""
        is_ours = self.switches["init_ack_number"] == "any" or number == self._init_number
        self.is_connected |= is_ours and code == Result.OK

    def need_mode(self, command: Command) -> None:
        """Whether a command is for this mode; checked before its parameters."""
        allowed = MODES[command]
        if self.switches["init_while_initialised"] == "accepted" and command is Command.INIT_LIST:
            allowed |= {Mode.INITIALISED}
        if self.mode not in allowed:
            raise Refused(Result.WRONG_MODE)

    def init_list(self, channels: Channels) -> None:
        """InitChannelListMode."""
        self.channels = channels
        self.mode = Mode.INITIALISED

    def start_list(self, pulses: dict[int, Pulse], now_us: int) -> None:
        """StartChannelListMode; a single list that still runs is not begun again."""
        if self.channels is None or not fits(self.channels, pulses):
            raise Refused(Result.PARAMETER)
        if self.stage.is_busy(now_us):
            raise Refused(Result.BUSY)
        self.pulses = pulses
        self.stage.play(self.channels, pulses, now_us)
        self.mode = Mode.STARTED

    def stop_list(self, now_us: int) -> None:
        """StopChannelListMode."""
        if self.stop_answer.value == "obeyed":
            self._halt(now_us)

    def single_pulse(self, channel: int, pulse: Pulse, now_us: int) -> None:
        """SinglePulse; one without current is none."""
        if pulse.ua:
            self._pulse(now_us, channel, pulse)
