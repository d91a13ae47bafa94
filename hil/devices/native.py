"""The wire face of the emulated native stimulator: bytes in, bytes out, time passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from secrets import randbits
from typing import Any

from hil.body import Body as Electrodes
from hil.devices.device import Asked, Build, Kind
from hil.devices.native_frames import CUT_TYPE, Body, Deframer, encode, parse
from hil.devices.native_model import Model
from hil.devices.native_words import (
    Arm,
    Ask,
    Cut,
    Drive,
    Fault,
    Feed,
    Fitted,
    Hello,
    Identity,
    Nak,
    Probe,
    Refused,
    Reply,
    Request,
    SelfTest,
    SelfTested,
    State,
    Stop,
)
from hil.devices.output import OutputStage, Train
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import BadSetting, Setting, Value
from hil.way import Place, zero_ended


class NativeDevice:
    """A stimulator on a serial line; the same bytes at the same times give the same answers and pulses."""

    kind = "native"
    switchable: Mapping[str, Setting] = {}

    def __init__(self, model: Model) -> None:
        self.model = model
        self.stage = model.stage
        self.button = model
        self.switches: dict[str, Value] = {}
        self.knobs: dict[str, Knob[Any]] = {
            "claims": model.claims,
            "dead_man": model.dead_man,
            "echo_offset_ua": model.echo_offset_ua,
            "hung": model.hung,
            "self_test": model.self_test,
            "stop_answer": model.stop_answer,
            "supply_mv": model.supply_mv,
        }
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

    def sense(self, now_us: int) -> None:
        """Look at the supply voltage."""
        self.model.sense_supply(now_us)

    def place(self) -> Place:
        """Frames end with a zero."""
        return zero_ended()

    def lie(self, *, model: str | None, emulator: bool) -> Identity:
        """The identity with another emulator flag and, unless None, another model name, cut to fit."""
        true = self.model.claims.value
        flags = true.flags | Fitted.EMULATOR if emulator else true.flags & ~Fitted.EMULATOR
        name = true.model if model is None else model.encode("ascii", "replace").decode()[:16]
        return replace(true, flags=flags, model=name)

    def badge(self) -> dict[str, str]:
        """Model, serial number, state."""
        true = self.model.claims.value
        return {"model": true.model, "serial": true.serial, "state": State(self.model.state).name}

    def inside(self, now_us: int) -> dict[str, Any]:
        """State, picture, counters, faults; and whether the output stage is live."""
        status = asdict(self.model.status(now_us))
        blocks = status.pop("channels")
        return status | {
            "state": State(status["state"]).name,
            "faults": [fault.name for fault in Fault(status["faults"])],
            "picture": [train._asdict() for train in self.model.picture.values()],
            "channels": [block._asdict() for block in blocks],
            "is_live": self.stage.is_live,
            "relay_closed": self.stage.relay_closed,
        }

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


def native(identity: Identity) -> Build:
    """A native device with this identity."""

    def build(bodies: Sequence[Electrodes], scope: Scope, now_us: int) -> NativeDevice:
        return NativeDevice(Model(identity, OutputStage[Train](bodies, scope, identity.compliance_mv), now_us))

    return build


def _plan(asked: Asked) -> Build:
    if not 1 <= asked.channels <= 8:
        raise BadSetting("channels", asked.channels, "a whole number from 1 to 8")
    if not 1 <= len(asked.serial) <= 16 or not asked.serial.isascii() or not asked.serial.isprintable():
        raise BadSetting("serial", asked.serial, "1 to 16 printable ASCII characters")
    # Unless it is given, the boot number follows no seed: it must differ from one start to the next.
    boot = randbits(32) if asked.boot is None else asked.boot
    usual = Identity(serial=asked.serial, channels=asked.channels, boot=boot)
    return native(replace(usual, flags=usual.flags & ~Fitted.EMULATOR) if asked.clinical else usual)


_USUAL = Identity()

NATIVE = Kind("native", _USUAL.serial, _USUAL.channels, NativeDevice.switchable, _plan)
