"""Driver of the RehaStim2 (ScienceMode 2; SCIENCEMODE.md B, ADR 0013).

The device knows a list of channels with one period. Arm makes the list (30), Drive starts it or changes its currents
(32), Feed asks where it stands (10), silence stops it (34):

    | the device says        | mode        | for the core | what this driver may still send   |
    |------------------------|-------------|--------------|-----------------------------------|
    | Init                   | START       | STOPPED, M30 | Arm; the list is gone             |
    | 35, 11 with START      | START       | STOPPED      | Arm; the list is gone             |
    | 31                     | INITIALISED | ARMED        | Drive, Feed                       |
    | 33                     | STARTED     | RUNNING      | Drive, Feed                       |
    | 11, once it was driven | INITIALISED | STOPPED      | its watchdog has acted            |
    | 38                     | START       | STOPPED      | Arm; the list is gone             |

There is no timer but in `connect`: whether an answer is late is judged by the safety core, and nothing but its own
Feed keeps the watchdog fed. A frame that can energise is written once. Answers are matched to commands by number and
by kind; whatever does not match is reported, not dropped.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from controller.host import HOST, Host, Line
from controller.link import LinkError, Mode
from safety import effects
from safety.messages import (
    Capabilities,
    DeviceDown,
    DeviceState,
    DeviceUp,
    Event,
    Flaw,
    Garbled,
    Heard,
    PatientStop,
    Status,
)
from safety.times import Times
from safety.waveform import OFF, Picture

from . import sciencemode2_frames as wire
from .asked import Asked, Request, fail, fulfil
from .base import DeviceError, NotRepresentable, OnEvent, Order
from .quantise import quantised
from .sciencemode2_codec import BEGIN, Flawed, Received, Receiver, encode
from .sciencemode2_facts import CAPABILITIES, VERSION, identity_of, opened, status_of
from .sciencemode2_list import Armed, armed_by, list_of, start_of

LINE = Mode(460_800, even_parity=True)
TRIES = 3
"""One that comes before the Init, one that goes with the answer to an old Init, one that counts."""
TURN, REMEMBERED = 256, 32
"""The last so many commands may still be answered: seconds at the usual pace, and far less than a turn of numbers."""

EXPECTED: Mapping[type[wire.HostFrame], type[wire.Ack]] = {
    wire.GetStimulationMode: wire.GetStimulationModeAck,
    wire.InitChannelListMode: wire.InitChannelListModeAck,
    wire.StartChannelListMode: wire.StartChannelListModeAck,
    wire.StopChannelListMode: wire.StopChannelListModeAck,
}


class Arming(NamedTuple):
    """A list that the device was told to take; it is in force when the command of this number is answered."""

    number: int
    armed: Armed


async def open_sciencemode2(port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> "ScienceMode2Driver":
    """Open a line to a RehaStim2. Raises LinkError."""
    driver = ScienceMode2Driver(times, on_event)
    line = await host.open_line(port, LINE, on_bytes=driver.received, on_lost=driver.lost)
    driver.attach(line, emulator=line.is_pty)
    return driver


class ScienceMode2Driver:
    """A RehaStim2 on a line, which hands its bytes to `received` and its loss to `lost`."""

    def __init__(self, times: Times, on_event: OnEvent) -> None:
        self._times = times
        self._on_event = on_event
        self._line: Line
        self._emulator = False
        self._asked: Asked[wire.HostFrame] = Asked(TURN, REMEMBERED)
        self._boot = 0
        self._forget()

    def attach(self, line: Line, *, emulator: bool) -> None:
        """Use this line; `emulator` tells that a program is at its far end for certain, as the device cannot say."""
        self._line = line
        self._emulator = emulator

    def _forget(self) -> None:
        self._receiver = Receiver(wire.DEVICE)
        self._asked.forget()
        self._owed = b""
        self._has_spoken = True
        self._again: Callable[[], None] | None = None
        self._stopping = False
        self._verifying = -1
        self._fault: wire.Fault | None = None
        self._caps: Capabilities | None = None
        self._disarm()

    def _disarm(self) -> None:
        self._arming: Arming | None = None
        self._armed: Armed | None = None
        self._starting = -1
        self._started = False
        self._picture = OFF

    async def connect(self) -> DeviceUp:
        """Stop the output, then see that the device is there. Raises DeviceError, after one more stop.

        A device that has just been switched on says Init and hears nothing before that is answered; one that was in
        use says nothing, and answers.
        """
        self._forget()
        try:
            up = await self._identify()
        except BaseException:
            self._forget()
            self.silence(cut=False)
            raise
        self._caps, self._stopping = up.caps, False
        return up

    def quantise(self, picture: Picture) -> Picture:
        """Round a picture to the device's steps: current and width down, period up. Raises NotRepresentable.

        All its channels must have one period.
        """
        rounded = quantised(picture, self._known())
        for train in rounded.trains:
            period_us = rounded.trains[0].period_us
            if train.period_us != period_us:
                raise NotRepresentable(train.channel, "period_us", train.period_us, period_us, period_us)
        return rounded

    def send(self, effect: Order) -> None:
        """Write one frame, once; a lost line is told by DeviceDown. Raises NotRepresentable, DeviceError.

        Nothing was written when it raises. An energising frame is refused while the one before it is unanswered inside
        its ack budget.
        """
        self._known()
        if isinstance(effect, effects.Ask):
            # Whatever it hears feeds its watchdog: until a stop is obeyed nothing is asked but to stop.
            self._write_checked(wire.StopChannelListMode() if self._stopping else wire.GetStimulationMode())
            return
        armed = armed_by(effect) if isinstance(effect, effects.Arm) else self._armed
        frame = self._frame(effect, armed)
        self._asked.may_energise(effect.grant.expires_mono_ms)
        self._write_checked(frame, effect.grant.seq)
        budget_ms = self._times.ack_ms
        if isinstance(effect, effects.Arm) and armed is not None:
            self._arming, budget_ms = Arming(self._asked.number, armed), self._times.init_ack_ms
        elif isinstance(effect, effects.Drive):
            self._starting, self._picture = self._asked.number, effect.picture
        self._asked.energised(effect.grant.expires_mono_ms, budget_ms)

    def silence(self, *, cut: bool) -> None:
        """Stop the output before anything else is sent, at once; `cut` also drops the line, as there is no relay.

        Legal in every state; a lost line is told by DeviceDown. The watchdog then ends what goes on all the same. To
        answer a stop is not to obey it: the device is then asked what it does.
        """
        self._asked.silenced()
        self._stopping, self._verifying = True, -1
        self._disarm()
        self._line.discard()
        # The discard may have cut a frame in half, even behind an escape, which would take the next byte blindly. A
        # second begin mends both; an end would let a frame count that lacks nothing but its end.
        data = bytes((BEGIN,)) + self._paid() + self._next(wire.StopChannelListMode())
        with suppress(LinkError):
            self._line.write(data)
        if cut:
            self._line.drop("given up, to leave the device to its watchdog")

    async def selftest(self) -> int:
        """Raise DeviceError: this device has none that could be asked for."""
        raise DeviceError("DEV.UNFIT", "a RehaStim2 cannot be asked to test itself")

    async def close(self) -> None:
        """Stop the output and release the line; nothing is heard any more."""
        self.silence(cut=False)
        await self._line.close()

    # What comes from the line

    def lost(self, why: str) -> None:
        """Take note that the line is gone."""
        self._asked.lost(why)
        self._on_event(DeviceDown(why))

    def received(self, data: bytes) -> None:
        """Take bytes from the device."""
        for item in self._receiver.feed(data):
            if isinstance(item, Flawed):
                self._asked.damaged += item.flaw is Flaw.DAMAGED
                self._garbled(item.flaw, None if item.number is None else self._asked.take(item.number), item.what)
            elif isinstance(item.frame, wire.Init):
                self._begun(item.number, item.frame)
            elif isinstance(item.frame, wire.StimulationError):
                self._stopped_itself(item.frame.fault)
            else:
                self._answered(item)
        self._greet()

    def _begun(self, number: int, init: wire.Init) -> None:
        self._disarm()
        known = init.version == VERSION
        self._owed = encode(number, wire.InitAck(wire.Result.OK if known else wire.Result.VERSION))
        if not known:
            what = f"it speaks version {init.version} of the protocol, this driver version {VERSION}"
            self._asked.give_up(DeviceError("DEV.PROTOCOL", what))
            self._garbled(Flaw.UNKNOWN, None, what)
            return
        self._boot += 1
        self._fault = None
        self._tell(Heard(0, self._status(DeviceState.STOPPED), ()))

    def _greet(self) -> None:
        # One answer for each command of ours: a device that babbles must not make this side babble too. What is not
        # answered now goes out ahead of the next command.
        if self._owed and self._has_spoken:
            with suppress(LinkError):
                self._line.write(self._paid())
                # What was asked before was not heard.
                if self._again is not None:
                    self._again()
            self._has_spoken = False

    def _stopped_itself(self, fault: wire.Fault) -> None:
        picture = self._picture
        self._disarm()
        if fault is wire.Fault.SWITCH:
            self._on_event(PatientStop())
            return
        self._fault = fault
        samples = opened(picture) if fault is wire.Fault.ELECTRODE else ()
        self._tell(Heard(0, self._status(DeviceState.STOPPED), samples))

    def _answered(self, item: Received) -> None:
        frame, request = item.frame, self._asked.take(item.number)
        name, asked = f"{type(frame).__name__} {item.number}", "" if request is None else type(request.frame).__name__
        if isinstance(frame, wire.UnknownCommand):
            self._garbled(Flaw.UNKNOWN, request, f"it does not know the command {frame.command}")
        elif isinstance(frame, wire.Ack) and frame.result is wire.Result.TRANSFER:
            self._garbled(Flaw.DAMAGED, request, f"{name}: what it heard was damaged")
        elif request is None:
            self._garbled(Flaw.UNKNOWN, None, f"{name} answers nothing that was asked")
        elif not isinstance(frame, wire.Ack) or type(frame) is not EXPECTED[type(request.frame)]:
            self._garbled(Flaw.UNKNOWN, request, f"{name} is no answer to {asked}")
        elif frame.result is not wire.Result.OK:
            self._garbled(Flaw.REFUSED, request, f"{asked} was refused: {frame.result.name}")
        elif not fulfil(request, frame):
            if self._stopping and self._caps is not None and isinstance(frame, wire.StopChannelListModeAck):
                self._write_checked(wire.GetStimulationMode())
                self._verifying = self._asked.number
                return
            self._tell(Heard(request.grant, self._status(self._state(item.number, frame)), ()))

    def _state(self, number: int, ack: wire.Ack) -> DeviceState:
        """Tell what the device's output is by its answer, and keep in mind what is in force from now on."""
        match ack:
            case wire.InitChannelListModeAck():
                if self._arming is not None and self._arming.number == number:
                    self._armed = self._arming.armed
                return DeviceState.ARMED
            case wire.StartChannelListModeAck():
                self._started = self._started or self._starting == number
                return DeviceState.RUNNING
            case wire.GetStimulationModeAck(mode=wire.Mode.STARTED):
                return DeviceState.RUNNING
            case wire.GetStimulationModeAck(mode=wire.Mode.INITIALISED) if not self._started:
                return DeviceState.ARMED
        self._stopping = self._stopping and number != self._verifying
        # A line keeps its order: had this been asked before the device was armed, that would not be known yet.
        if self._armed is not None:
            self._disarm()
        return DeviceState.STOPPED

    def _garbled(self, flaw: Flaw, request: Request[wire.HostFrame] | None, what: str) -> None:
        if request is not None and request.answer is not None:
            code = {Flaw.REFUSED: "DEV.NAK", Flaw.DAMAGED: "DEV.DAMAGED"}.get(flaw, "DEV.PROTOCOL")
            fail(request, DeviceError(code, what))
        else:
            self._tell(Garbled(flaw, 0 if request is None else request.grant, what))

    def _tell(self, event: Event) -> None:
        if self._caps is not None:
            self._on_event(event)

    def _status(self, state: DeviceState) -> Status:
        return status_of(self._boot, state, self._fault)

    # What goes to the line

    async def _identify(self) -> DeviceUp:
        self.silence(cut=False)
        await self._exchange(wire.StopChannelListMode())
        told = await self._exchange(wire.GetStimulationMode())
        if not isinstance(told, wire.GetStimulationModeAck) or told.mode is not wire.Mode.START:
            raise DeviceError("DEV.NOT_STOPPED", f"it was told to stop and says {told}")
        identity = identity_of(self._boot, emulator=self._emulator)
        return DeviceUp(identity, CAPABILITIES, self._status(DeviceState.STOPPED))

    def _frame(self, effect: Order, armed: Armed | None) -> wire.HostFrame:
        match effect:
            case effects.Probe():
                raise DeviceError("DEV.UNFIT", "a RehaStim2 cannot measure the skin")
            case effects.Arm() if armed is not None:
                return list_of(armed)
            case effects.Drive(grant, picture):
                if armed is None or armed.permit != grant.permit:
                    raise DeviceError("SYS.INTERNAL", f"the device is not armed under permit {grant.permit}")
                if picture != self.quantise(picture):
                    raise DeviceError("SYS.INTERNAL", "a picture that was not rounded to the device's steps")
                return start_of(picture, armed)
        return wire.GetStimulationMode()

    def _write_checked(self, frame: wire.HostFrame, grant: int = 0) -> None:
        try:
            data = self._next(frame, grant)
        except struct.error as error:
            raise DeviceError("SYS.INTERNAL", f"{frame} does not fit the wire: {error}") from error
        if Receiver(wire.HOST).feed(data) != [Received(self._asked.number, frame)]:
            raise DeviceError("SYS.INTERNAL", f"{frame} reads back as something else")
        with suppress(LinkError):
            self._line.write(self._paid() + data)

    async def _exchange(self, frame: wire.HostFrame) -> wire.Ack:
        def write(answer: asyncio.Future[Any]) -> None:
            self._again = lambda: self._line.write(self._next(frame, answer=answer))
            self._line.write(self._paid())
            self._again()

        try:
            ack: wire.Ack = await self._asked.exchange(write, type(frame).__name__, TRIES, self._times.init_ack_ms)
        finally:
            self._again = None
        return ack

    def _next(self, frame: wire.HostFrame, grant: int = 0, answer: asyncio.Future[Any] | None = None) -> bytes:
        data = encode(self._asked.following, frame)
        self._asked.add(frame, grant, answer)
        self._has_spoken = True
        return data

    def _paid(self) -> bytes:
        """Give the answer to an Init that is still owed."""
        owed, self._owed = self._owed, b""
        return owed

    def _known(self) -> Capabilities:
        if self._caps is None:
            raise DeviceError("SYS.INTERNAL", "the device is not connected")
        return self._caps
