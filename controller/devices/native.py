"""Driver of the native protocol (docs/native-protocol.md).

It has no timer but in `connect` and `selftest`: whether an answer is late is judged by the safety core. A frame that
can energise is written once, never again. Answers are matched to requests by seq and by type; whatever does not match
is reported, not dropped.
"""

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from controller.host import HOST, Host, Line
from controller.link import LinkError, Mode
from safety import effects, messages
from safety.messages import Capabilities, DeviceDown, DeviceUp, Flaw, Garbled, Heard, PatientStop
from safety.times import Times
from safety.waveform import Picture

from . import native_frames as wire
from .asked import Asked, Request, fail, fulfil
from .base import DeviceError, OnEvent, Order
from .native_codec import Flawed, Received, Receiver, encode
from .native_facts import capabilities_of, identity_of, lists_channels, sample_of, status_of
from .quantise import down, quantised, require

LINE = Mode(115_200)
TRIES = 2
TURN, REMEMBERED = 256, 32
"""The last so many requests may still be answered: seconds at the usual pace, and far less than a turn of seq."""

PROBE_MAX_UA = 2_000
PROBE_MAX_WIDTH_US = 500


EXPECTED: Mapping[type[wire.HostFrame], type[wire.DeviceFrame]] = {
    wire.Hello: wire.Identity,
    wire.Probe: wire.Probed,
    wire.SelfTest: wire.SelfTested,
}
"""What answers a request; a STATUS, where nothing else is said."""


async def open_native(port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> "NativeDriver":
    """Open a line to a native device. Raises LinkError."""
    driver = NativeDriver(times, on_event)
    driver.attach(await host.open_line(port, LINE, on_bytes=driver.received, on_lost=driver.lost))
    return driver


class NativeDriver:
    """A native device on a line, which hands its bytes to `received` and its loss to `lost`."""

    def __init__(self, times: Times, on_event: OnEvent) -> None:
        self._times = times
        self._on_event = on_event
        self._line: Line
        self._asked: Asked[wire.HostFrame] = Asked(TURN, REMEMBERED)
        self._forget()

    def attach(self, line: Line) -> None:
        """Use this line."""
        self._line = line

    def _forget(self) -> None:
        self._receiver = Receiver(wire.DEVICE)
        self._asked.forget()
        self._ask_due = False
        self._caps: Capabilities | None = None

    async def connect(self) -> DeviceUp:
        """Stop the output, then learn who the device is. Raises DeviceError, with the output told to stop once more.

        The HELLO in it clears the device's fault bits and its counts of pulses and charge.
        """
        self._forget()
        try:
            up = await self._identify()
        except BaseException:
            self._forget()
            self.silence(cut=False)
            raise
        self._caps = up.caps
        return up

    def quantise(self, picture: Picture) -> Picture:
        """Round a picture to the device's steps: current and width down, period up. Raises NotRepresentable."""
        return quantised(picture, self._known())

    def send(self, effect: Order) -> None:
        """Write one frame, once; a lost line is told by DeviceDown. Raises NotRepresentable, DeviceError.

        Nothing was written when it raises. An energising frame is refused while the one before it is unanswered inside
        its ack budget.
        """
        frame = self._frame(effect, self._known())
        if isinstance(effect, effects.Ask):
            self._write_checked(frame, 0)
            return
        self._asked.may_energise(effect.grant.expires_mono_ms)
        self._write_checked(frame, effect.grant.seq)
        slow = isinstance(effect, effects.Arm | effects.Probe)
        self._asked.energised(effect.grant.expires_mono_ms, self._times.init_ack_ms if slow else self._times.ack_ms)

    def silence(self, *, cut: bool) -> None:
        """Stop the output before anything else is sent, at once; `cut` also opens the relay, or drops the line.

        Legal in every state; a lost line is told by DeviceDown. `cut` does both to a device that is not known yet.
        """
        self._asked.silenced()
        self._line.discard()
        # The zero ends a frame that the discard has cut in half.
        data = b"\0" + self._next(wire.Stop())
        if cut and (self._caps is None or self._caps.relay):
            data += self._next(wire.Cut())
        with suppress(LinkError):
            self._line.write(data)
        if cut and (self._caps is None or not self._caps.relay):
            self._line.drop("given up, to leave the device to its dead man")

    async def selftest(self) -> int:
        """Let the device test itself while stopped; 0 when passed, else the bits of SELFTESTED. Raises DeviceError."""
        self._known()
        tested: wire.SelfTested = await self._exchange(wire.SelfTest(), 1)
        return tested.result

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
                self._flawed(item)
            elif isinstance(item.frame, wire.Event):
                self._told(item.frame)
            else:
                self._answered(item)
            self._ask_if_due()

    def _flawed(self, item: Flawed) -> None:
        self._asked.damaged += item.flaw is Flaw.DAMAGED
        self._garbled(item.flaw, None if item.seq is None else self._asked.take(item.seq), item.what)

    def _told(self, event: wire.Event) -> None:
        if event.kind is wire.EventKind.PRESSED:
            self._on_event(PatientStop())
        elif event.kind is not wire.EventKind.RELEASED:
            self._ask_due = True

    def _ask_if_due(self) -> None:
        # One question at a time: a device that babbles events must not make this side babble too.
        if self._ask_due and self._caps is not None and not self._asked.is_open(self._asked.number):
            self._ask_due = False
            self.send(effects.Ask())

    def _answered(self, item: Received) -> None:
        frame, request = item.frame, self._asked.take(item.seq)
        name = f"{type(frame).__name__.upper()} {item.seq}"
        if request is None:
            self._garbled(Flaw.UNKNOWN, None, f"{name} answers nothing that was asked")
            return
        asked = type(request.frame).__name__.upper()
        if isinstance(frame, wire.Nak) and frame.refused_type == request.frame.TYPE:
            self._garbled(Flaw.REFUSED, request, f"{asked} was refused: {frame.code.name}")
        elif not isinstance(frame, EXPECTED.get(type(request.frame), wire.Status)):
            self._garbled(Flaw.UNKNOWN, request, f"{name} is no answer to {asked}")
        elif not fulfil(request, frame) and self._caps is not None:
            self._deliver(request, frame, self._caps)

    def _deliver(
        self, request: Request[wire.HostFrame], frame: wire.HostFrame | wire.DeviceFrame, caps: Capabilities
    ) -> None:
        match frame, request.frame:
            case wire.Status(), _ if lists_channels(frame, caps):
                samples = tuple([sample_of(block, balance=caps.balance) for block in frame.channels])
                self._on_event(Heard(request.grant, status_of(frame), samples))
            case wire.Probed(), wire.Probe(channel=channel) if frame.channel == channel:
                is_open, is_short = frame.flags & wire.Contact.OPEN, frame.flags & wire.Contact.SHORT
                self._on_event(messages.Probed(request.grant, channel, frame.ohm, bool(is_open), bool(is_short)))
            case _:
                self._garbled(Flaw.UNKNOWN, request, f"{type(frame).__name__.upper()} of the wrong channels")

    def _garbled(self, flaw: Flaw, request: Request[wire.HostFrame] | None, what: str) -> None:
        if request is not None and request.answer is not None:
            fail(request, DeviceError("DEV.NAK" if flaw is Flaw.REFUSED else "DEV.PROTOCOL", what))
        elif self._caps is not None:
            self._on_event(Garbled(flaw, 0 if request is None else request.grant, what))

    # What goes to the line

    async def _identify(self) -> DeviceUp:
        self.silence(cut=False)
        identity: wire.Identity = await self._exchange(wire.Hello(), TRIES)
        caps = capabilities_of(identity, self._times)
        status: wire.Status = await self._exchange(wire.Ask(), TRIES)
        if status.boot != identity.boot:
            raise DeviceError("DEV.PROTOCOL", "it restarted while it was being identified")
        if status.state not in {wire.State.STOPPED, wire.State.CUT}:
            raise DeviceError("DEV.NOT_STOPPED", f"it was told to stop and says {status.state.name}")
        if not lists_channels(status, caps):
            raise DeviceError("DEV.PROTOCOL", "its STATUS does not list each of its channels")
        return DeviceUp(identity_of(identity), caps, status_of(status))

    def _frame(self, effect: Order, caps: Capabilities) -> wire.HostFrame:
        match effect:
            case effects.Ask():
                return wire.Ask()
            case effects.Arm(grant, envelopes, lifetime_ms):
                return wire.Arm(grant.permit, lifetime_ms, envelopes)
            case effects.Drive(grant, picture):
                if picture != self.quantise(picture):
                    raise DeviceError("SYS.INTERNAL", "a picture that was not rounded to the device's steps")
                return wire.Drive(grant.permit, grant.seq, picture.trains)
            case effects.Feed(grant):
                return wire.Feed(grant.permit, grant.seq)
            case effects.Probe(grant, train):
                channel = require(train, "channel", 1, caps.channels)
                ua = down(train, "ua", caps.step_ua, min(caps.max_ua, PROBE_MAX_UA), caps.step_ua)
                max_width_us = min(caps.max_width_us, PROBE_MAX_WIDTH_US)
                width_us = down(train, "width_us", caps.min_width_us, max_width_us, caps.width_step_us)
                return wire.Probe(grant.permit, grant.seq, channel, ua, width_us)

    def _write_checked(self, frame: wire.HostFrame, grant: int) -> None:
        try:
            data = self._next(frame, grant)
        except struct.error as error:
            raise DeviceError("SYS.INTERNAL", f"{frame} does not fit the wire: {error}") from error
        if Receiver(wire.HOST).feed(data) != [Received(self._asked.number, frame)]:
            raise DeviceError("SYS.INTERNAL", f"{frame} reads back as something else")
        with suppress(LinkError):
            self._line.write(data)

    async def _exchange(self, frame: wire.HostFrame, tries: int) -> Any:  # noqa: ANN401 - what EXPECTED says of it
        def write(answer: asyncio.Future[Any]) -> None:
            self._line.write(self._next(frame, answer=answer))

        name = type(frame).__name__.upper()
        return await self._asked.exchange(write, name, tries, self._times.init_ack_ms)

    def _next(self, frame: wire.HostFrame, grant: int = 0, answer: asyncio.Future[Any] | None = None) -> bytes:
        data = encode(self._asked.following, frame)
        self._asked.add(frame, grant, answer)
        return data

    def _known(self) -> Capabilities:
        if self._caps is None:
            raise DeviceError("SYS.INTERNAL", "the device is not connected")
        return self._caps
