"""Driver of ScienceMode 4, for a P24 (ADR 0012).

What the core asks takes one request after the other: a script (sciencemode4_scripts.py) that is taken one step further
by each acknowledgement. Each frame of it is written once, and only while the script's grant lasts. There is one script
at a time. A stop ends it and is written before it, and the stop's own script asks the device how it is. The driver has
no timer but in `connect`: whether an answer is late is judged by the core.
"""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from controller import clock
from controller.host import HOST, Host, Line
from controller.link import LinkError, Mode
from safety import effects
from safety.effects import Grant
from safety.messages import DeviceDown, DeviceState, DeviceUp, Event, Flaw, Garbled, Now
from safety.times import Times
from safety.waveform import OFF, Picture, Train

from . import sciencemode4_acks as acks
from . import sciencemode4_facts as facts
from . import sciencemode4_frames as wire
from .asked import Asked, fail, fulfil
from .asked import Request as Sent
from .base import DeviceError, OnEvent, Order
from .quantise import down, require
from .sciencemode4_codec import NUMBERS, START, Damaged, Packet, Receiver, encode
from .sciencemode4_scripts import IDLE, STOPS, Armed, Desk, Script, WrongError, accepted

LINE = Mode(3_000_000, stop_bits=2)
"""P24's IFU 1.1, but without flow control: behind USB none of it matters."""
TRIES = 2
REMEMBERED = 16
"""The last so many requests may still be answered: less than a turn of the 64 numbers."""


class Course(NamedTuple):
    """The script under way, its grant (none: it only asks or stops), and the ack budget of each of its frames."""

    script: Script
    grant: Grant | None
    budget_ms: int


async def open_sciencemode4(port: str, times: Times, on_event: OnEvent, host: Host = HOST) -> "ScienceMode4":
    """Open a line to a P24. Raises LinkError."""
    driver = ScienceMode4(times, on_event, host.clock)
    driver.attach(await host.open_line(port, LINE, on_bytes=driver.received, on_lost=driver.lost))
    return driver


class ScienceMode4:
    """A P24 on a line, which hands its bytes to `received` and its loss to `lost`."""

    def __init__(self, times: Times, on_event: OnEvent, now: Callable[[], Now] = clock.now) -> None:
        self._times = times
        self._on_event = on_event
        self._now = now
        self._line: Line
        self._asked: Asked[wire.Request] = Asked(NUMBERS, REMEMBERED)
        self._forget()

    def attach(self, line: Line) -> None:
        """Use this line."""
        self._line = line

    def _forget(self) -> None:
        self._receiver = Receiver()
        self._asked.forget()
        self._course: Course | None = None
        self._awaited = -1
        self._is_known = False
        self._desk = Desk(lambda: self._now().mono_ms, self._tell)

    async def connect(self) -> DeviceUp:
        """Stop the output, then learn who the device is. Raises DeviceError, with the output told to stop once more."""
        self._forget()
        try:
            up = await self._identify()
        except BaseException:
            self._forget()
            self.silence(cut=False)
            raise
        self._is_known = True
        return up

    def quantise(self, picture: Picture) -> Picture:
        """Round a picture to the device's steps: current and width down, gap and period up. Raises NotRepresentable."""
        self._require_known()
        return facts.rounded(picture)

    def send(self, effect: Order) -> None:
        """Begin the script of this effect: its first frame is written. Raises NotRepresentable, DeviceError.

        Nothing that energises was written when it raises. A lost line is told by DeviceDown. An energising effect is
        refused while a frame of the one before it is unanswered inside its ack budget.
        """
        self._require_known()
        course = self._course_of(effect)
        if course.grant is not None:
            self._asked.may_energise(course.grant.expires_mono_ms)
        self._leave()
        self._begin(course)

    def silence(self, *, cut: bool) -> None:
        """Stop both levels as far as they may be on, before anything else is sent, at once; `cut` drops the line too.

        Legal in every state; a lost line is told by DeviceDown. When the stop is acknowledged the device is asked how
        it is.
        """
        self._course = None
        self._asked.silenced()
        self._desk.disarm()
        self._line.discard()
        stops = self._desk.stops()
        # If the discard has cut a frame in half, right behind an escape, this start is lost to it, not the stop's own.
        data = bytes((START,)) + b"".join([self._next(stop) for stop in stops])
        with suppress(LinkError):
            self._line.write(data)
        self._course = Course(self._desk.confirming(stops[-1]), None, 0)
        next(self._course.script)
        self._awaited = self._asked.number
        if cut:
            self._line.drop("given up, to leave the device to its dead man")

    async def selftest(self) -> int:
        """Refuse: there is none that could be asked for. Raises DeviceError."""
        raise DeviceError("DEV.UNFIT", "a P24 has no self-test")

    async def close(self) -> None:
        """Stop the output and release the line; nothing is heard any more."""
        self.silence(cut=False)
        await self._line.close()

    # What comes from the line

    def lost(self, why: str) -> None:
        """Take note that the line is gone: whatever the device was granted, it has lost."""
        self._course = None
        self._desk.disarm()
        self._asked.lost(why)
        self._on_event(DeviceDown(why))

    def received(self, data: bytes) -> None:
        """Take bytes from the device."""
        for item in self._receiver.feed(data):
            if isinstance(item, Damaged):
                self._asked.damaged += 1
                self._garbled(Flaw.DAMAGED, 0, item.what)
            else:
                self._answered(item)

    def _answered(self, packet: Packet) -> None:
        sent, is_awaited = self._asked.take(packet.number), packet.number == self._awaited
        course = self._course if is_awaited else None
        try:
            ack = answer_of(packet, sent)
            if course is not None:
                self._advance(course, ack)
            elif sent is not None and not fulfil(sent, ack):
                # It belongs to a script that was left, or is the first of two stops; a refusal is told all the same.
                accepted(ack, sent.frame)
        except WrongError as wrong:
            self._wrong(wrong, sent, course)

    def _wrong(self, wrong: WrongError, sent: Sent[wire.Request] | None, course: Course | None) -> None:
        if course is not None and course is self._course:
            self._leave()
        if sent is not None and sent.answer is not None:
            fail(sent, DeviceError("DEV.NAK" if wrong.flaw is Flaw.REFUSED else "DEV.PROTOCOL", str(wrong)))
        else:
            self._garbled(wrong.flaw, 0 if sent is None else sent.grant, str(wrong))

    def _tell(self, event: Event) -> None:
        if self._is_known:
            self._on_event(event)

    def _garbled(self, flaw: Flaw, grant: int, what: str) -> None:
        self._tell(Garbled(flaw, grant, what))

    # Scripts: how they go on, and how they are left

    def _begin(self, course: Course) -> None:
        self._course = course
        try:
            self._put(next(course.script), course)
        except DeviceError:
            self._course = None
            raise

    def _advance(self, course: Course, ack: acks.Ack) -> None:
        """Take a script one step further. Raises WrongError, which ends it."""
        try:
            frame = course.script.send(ack)
            if self._course is not course:
                # The core has heard something in this step, and has answered with a stop.
                course.script.close()
                return
            if course.grant is not None and not isinstance(frame, STOPS):
                late_ms = self._now().mono_ms - course.grant.expires_mono_ms
                if late_ms >= 0:
                    raise WrongError(Flaw.TIMEOUT, f"{name_of(frame)} would come {late_ms} ms after its grant's end")
            self._put(frame, course)
        except StopIteration as done:
            self._course = None
            self._tell(done.value)
        except DeviceError as error:
            raise WrongError(Flaw.REFUSED, str(error)) from error

    def _leave(self) -> None:
        """Leave the script that is under way, if any; what it has put on at the low level is put off."""
        course, self._course = self._course, None
        if course is not None and self._desk.low:
            with suppress(LinkError):
                self._line.write(self._next(wire.LowStop()))

    # What goes to the line

    async def _identify(self) -> DeviceUp:
        state = self._desk.heard_level(await self._exchange(wire.GetStimStatus()))
        if state is not DeviceState.STOPPED:
            await self._exchange(wire.LowStop() if self._desk.low else wire.MidStop())
            state = self._desk.heard_level(await self._exchange(wire.GetStimStatus()))
        if state is not DeviceState.STOPPED:
            raise DeviceError("DEV.NOT_STOPPED", f"it was told to stop and says {state.name}")
        identity = facts.identity_of(await self._exchange(wire.GetDeviceId()), await self._exchange(wire.GetVersion()))
        return DeviceUp(identity, facts.CAPABILITIES, facts.status_of(state))

    def _course_of(self, effect: Order) -> Course:
        times = self._times
        match effect:
            case effects.Ask():
                return Course(self._desk.asking(), None, 0)
            case effects.Arm(grant, envelopes, _):
                armed = Armed(grant.permit, {envelope.channel: envelope for envelope in envelopes})
                return Course(self._desk.arming(grant, armed), grant, times.init_ack_ms)
            case effects.Drive(grant, picture):
                self._require_inside(grant, picture)
                return Course(self._desk.driving(grant, picture), grant, times.ack_ms)
            case effects.Feed(grant):
                self._require_inside(grant, OFF)
                return Course(self._desk.feeding(grant), grant, times.ack_ms)
            case effects.Probe(grant, train):
                return Course(self._desk.probing(grant, self._probe(train)), grant, times.init_ack_ms)

    def _require_inside(self, grant: Grant, picture: Picture) -> None:
        """Keep what a P24 does not: what was armed bounds what is driven. Raises NotRepresentable, DeviceError."""
        armed = self._desk.armed
        if armed is None or armed.permit != grant.permit:
            raise DeviceError("SYS.INTERNAL", f"permit {grant.permit} is not the one that the device was armed with")
        if picture != self.quantise(picture):
            raise DeviceError("SYS.INTERNAL", "a picture that was not rounded to the device's steps")
        for train in picture.trains:
            envelope = armed.envelopes.get(train.channel)
            if (
                envelope is None
                or train.ua > envelope.max_ua
                or train.width_us > envelope.max_width_us
                or train.period_us < envelope.min_period_us
            ):
                raise DeviceError("SYS.INTERNAL", f"channel {train.channel} outside of what was armed")

    def _probe(self, train: Train) -> Train:
        if self._desk.masks != IDLE:
            raise DeviceError("SYS.INTERNAL", "a test pulse while a picture is driven")
        caps = facts.CAPABILITIES
        channel = require(train, "channel", 1, caps.channels)
        ua = down(train, "ua", caps.step_ua, facts.PROBE_MAX_UA, caps.step_ua)
        width_us = down(train, "width_us", caps.min_width_us, facts.PROBE_MAX_WIDTH_US, caps.width_step_us)
        return Train(channel, ua, width_us, 0, 0)

    def _put(self, frame: wire.Request, course: Course) -> None:
        """Write a frame of a script. Raises DeviceError where it is our own mistake: then nothing was written."""
        grant = course.grant
        try:
            data = self._next(frame, 0 if grant is None else grant.seq)
            (packet,) = Receiver().feed(data)
            is_right = (
                isinstance(packet, Packet)
                and packet.number == self._asked.number
                and (wire.read_request(packet.command, packet.payload) == frame)
            )
        except (ValueError, struct.error) as error:
            raise DeviceError("SYS.INTERNAL", f"{frame} does not fit the wire: {error}") from error
        if not is_right:
            raise DeviceError("SYS.INTERNAL", f"{frame} reads back as something else")
        if grant is not None:
            self._asked.energised(grant.expires_mono_ms, course.budget_ms)
        self._awaited = self._asked.number
        with suppress(LinkError):
            self._line.write(data)

    async def _exchange(self, frame: wire.Request) -> Any:  # noqa: ANN401 - what ACKS says of it
        def write(answer: asyncio.Future[Any]) -> None:
            # The start before its own: half a frame of whoever had the line before may end in an escape.
            self._line.write(bytes((START,)) + self._next(frame, answer=answer))

        return await self._asked.exchange(write, name_of(frame), TRIES, self._times.init_ack_ms)

    def _next(self, frame: wire.Request, grant: int = 0, answer: asyncio.Future[Any] | None = None) -> bytes:
        data = encode(Packet(self._asked.following, frame.COMMAND, frame.to_payload()))
        self._asked.add(frame, grant, answer)
        return data

    def _require_known(self) -> None:
        if not self._is_known:
            raise DeviceError("SYS.INTERNAL", "the device is not connected")


def name_of(frame: wire.Request) -> str:
    """Name a request as people read it."""
    return type(frame).__name__


def answer_of(packet: Packet, sent: Sent[wire.Request] | None) -> acks.Ack:
    """Read what answers a request. Raises WrongError for anything else."""
    try:
        answer = acks.read_answer(packet.command, packet.payload)
    except (ValueError, struct.error) as error:
        raise WrongError(Flaw.UNKNOWN, f"command {packet.command}, packet {packet.number}: {error}") from error
    if isinstance(answer, acks.Complaint):
        asked = "nothing" if sent is None else name_of(sent.frame)
        flaw = Flaw.UNKNOWN if sent is None else Flaw.REFUSED
        raise WrongError(flaw, f"{asked} was answered with command {answer.command}: {answer.result.name}")
    if sent is None:
        raise WrongError(
            Flaw.UNKNOWN, f"command {packet.command}, packet {packet.number} answers nothing that was asked"
        )
    if answer.command != sent.frame.COMMAND + 1:
        raise WrongError(Flaw.UNKNOWN, f"command {answer.command} is no answer to {name_of(sent.frame)}")
    if sent.answer is not None:
        accepted(answer, sent.frame)
    return answer
