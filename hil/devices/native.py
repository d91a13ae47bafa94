"""The wire face of the emulated native stimulator: bytes in, bytes out, time passed in."""

from __future__ import annotations

from hil.devices.native_frames import CUT_TYPE, Body, Deframer, encode, parse
from hil.devices.native_model import Model
from hil.devices.native_words import (
    Arm,
    Ask,
    Cut,
    Drive,
    Feed,
    Hello,
    Nak,
    Probe,
    Refused,
    Reply,
    Request,
    SelfTest,
    SelfTested,
    Stop,
)


class NativeDevice:
    """A stimulator on a serial line; the same bytes at the same times give the same answers and pulses."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._deframer = Deframer()
        self._event_seq = 0

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that arrive now; gives all that the device sends up to now."""
        out = bytearray(self.advance(now_us))
        for body in self._deframer.push(data):
            out += self._answer(body, now_us) + self.advance(now_us)
        return bytes(out)

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives what the device sends without being asked."""
        self.model.advance(now_us)
        out = b""
        for event in self.model.events:
            out += encode(event, self._event_seq)
            self._event_seq = (self._event_seq + 1) % 256
        self.model.events.clear()
        return out

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""
        return self.model.next_deadline_us()

    def reset(self, now_us: int, *, power: bool) -> None:
        """Start the firmware anew; half a frame is forgotten."""
        self._deframer = Deframer()
        self.model.reset(now_us, power=power)

    def _answer(self, body: Body | None, now_us: int) -> bytes:
        if self.model.hung.value:
            # The supervisor listens on the same line for the one frame that concerns it, and cannot speak.
            if body and body.type == CUT_TYPE:
                self.model.cut(now_us)
            return b""
        if body is None:
            self.model.errors += 1
            return b""
        self.model.frames += 1
        try:
            request = parse(body.type, body.payload)
            if isinstance(request, Stop) and self.model.stop_answer.value == "silent":
                return b""
            return encode(self._obey(request, now_us), body.seq)
        except Refused as refused:
            return encode(Nak(body.type, refused.code), body.seq)

    def _obey(self, request: Request, now_us: int) -> Reply:
        model = self.model
        match request:
            case Hello():
                return model.hello(now_us)
            case Probe():
                return model.probe(request, now_us)
            case SelfTest():
                return SelfTested(model.selftest(now_us))
            case Arm():
                model.arm(request, now_us)
            case Drive():
                model.drive(request, now_us)
            case Feed():
                model.feed(request, now_us)
            case Stop():
                model.stop(now_us)
            case Cut():
                model.cut(now_us)
            case Ask():
                pass
        status = model.status(now_us)
        model.told()
        return status
