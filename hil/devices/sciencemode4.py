"""The wire face of the emulated P24, a stimulator that speaks ScienceMode 4: bytes in, bytes out, time passed in.

Requests are obeyed one after the other; while the device is busy (the high voltage comes on, a pulse is given) the
next ones wait. Each answer is one piece of bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from hil.body import Body
from hil.devices.device import Asked, Build, Kind, Twist
from hil.devices.output import OutputStage
from hil.devices.sciencemode4_frames import COMMANDS, NUMBERS, Damaged, Frame, Receiver, encode
from hil.devices.sciencemode4_model import COMPLIANCE_MV, FULL, Answer, Level, Model
from hil.devices.sciencemode4_switches import SWITCHES
from hil.devices.sciencemode4_words import (
    CHANNELS,
    GENERAL_ERROR,
    UNKNOWN_COMMAND,
    Ask,
    Command,
    CurrentData,
    Identity,
    LowInit,
    LowPulse,
    MidInit,
    MidUpdate,
    Pattern,
    Refused,
    Request,
    Result,
    battery_answer,
    parse,
    refusal,
    status_answer,
)
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import BadSetting, Setting, Value
from hil.way import Place, delimited

BATTERY = (87, 3_900)
"""Percent and millivolts, where the switch gives the device a battery."""


class ScienceMode4Device:
    """A P24 on a serial line; the same bytes at the same times give the same answers and pulses."""

    kind = "sciencemode4"
    switchable: Mapping[str, Setting] = SWITCHES
    button = None

    def __init__(self, model: Model, switches: dict[str, Value]) -> None:
        self.model = model
        self.stage = model.stage
        self.switches = switches
        self.twist = Knob(Twist())
        self.knobs: dict[str, Knob[Any]] = {
            "channel_errors": model.channel_errors,
            "claims": model.claims,
            "dead_man": model.dead_man,
            "hung": model.hung,
            "stop_answer": model.stop_answer,
            "supply_mv": model.supply_mv,
            "twist": self.twist,
        }
        self.frames = self.damaged = 0
        self._receiver = Receiver()
        self._waiting: deque[Frame] = deque()
        self._answer: tuple[int, bytes] | None = None

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that arrive now; gives all that the device sends up to now."""
        out = bytearray(self.advance(now_us))
        for found in self._receiver.push(data):
            if self._is_deaf():
                continue
            out += self._complain(found) if isinstance(found, Damaged) else self._accept(found, now_us)
        return bytes(out)

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives the answers that are ready."""
        out = b""
        while self._answer and self._answer[0] <= now_us:
            at_us, data = self._answer
            self.model.advance(at_us)
            self._answer = None
            if self._is_deaf():
                self._waiting.clear()
            else:
                out += data
            while self._waiting and not self._answer:
                out += self._obey(self._waiting.popleft(), at_us)
        self.model.advance(now_us)
        return out

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""
        times = (self._answer and self._answer[0], self.model.next_deadline_us())
        return min((at_us for at_us in times if at_us is not None), default=None)

    def reset(self, now_us: int, *, power: bool) -> None:
        """Start the firmware anew, which a loss of power does as well; half a frame and all that waits is forgotten."""
        del power
        self._clear()
        self.model.forget(now_us)

    def sense(self, now_us: int) -> None:
        """Look at the supply voltage."""
        self.model.sense_supply(now_us)
        if not self.model.is_powered:
            self._clear()

    def place(self) -> Place:
        """Frames stand between two delimiters."""
        return delimited()

    def lie(self, *, model: str | None, emulator: bool) -> Identity:
        """Another device id, ten characters; the protocol has no flag for an emulator."""
        del emulator
        true = self.model.claims.value
        name = "X" + true.device_id[1:] if model is None else model.encode("ascii", "replace").decode()
        return true._replace(device_id=name[:10].ljust(10))

    def badge(self) -> dict[str, str]:
        """Model, device id, state."""
        state = self.model.state.name if self.model.is_powered else "OFF"
        return {"model": "P24", "serial": self.model.claims.value.device_id, "state": state}

    def inside(self, now_us: int) -> dict[str, Any]:
        """State, picture, errors, counters; and whether the output stage is live."""
        model = self.model
        return {
            "state": self.badge()["state"],
            "high_voltage": model.high_voltage,
            "fed_ago_ms": model.fed_ago_ms(now_us),
            "picture": [
                {
                    "channel": pattern.channel,
                    "period_us": pattern.period_us,
                    "ramp": pattern.ramp,
                    "points": [{"us": point.us, "ua": point.ua} for point in pattern.points],
                    "given": channel.given,
                }
                for channel in model.channels
                if (pattern := channel.pattern)
            ],
            "errors": {str(number): one.error.name for number, one in enumerate(model.channels, 1) if one.error},
            "frames": self.frames,
            "damaged": self.damaged,
            "noise": self._receiver.noise,
            "supply_mv": model.supply_mv.value,
            "is_live": self.stage.is_live,
        }

    # --- frames ---------------------------------------------------------------------------------------------------

    def _is_deaf(self) -> bool:
        return self.model.hung.value or not self.model.is_powered

    def _clear(self) -> None:
        self._receiver = Receiver()
        self._waiting.clear()
        self._answer = None

    def _complain(self, found: Damaged) -> bytes:
        self.damaged += 1
        return self._error(GENERAL_ERROR, found.number, Result.TRANSFER)

    def _error(self, command: int, number: int | None, result: Result) -> bytes:
        echo = number if number is not None and self.switches["error_number"] == "echo" else 0
        return encode(Frame(echo, command, bytes((result,))))

    def _accept(self, frame: Frame, now_us: int) -> bytes:
        self.frames += 1
        if not self._answer:
            return self._obey(frame, now_us)
        if len(self._waiting) == self.switches["queue"]:
            return self._refuse(frame, Result.BUSY)
        self._waiting.append(frame)
        return b""

    def _obey(self, frame: Frame, now_us: int) -> bytes:
        """Obey a request; gives the answer, or keeps it for the time at which it is ready."""
        try:
            request = self._parsed(frame)
            if request in {Ask(Command.LOW_STOP), Ask(Command.MID_STOP)} and self.model.stop_answer.value == "silent":
                return b""
            if request == Ask(Command.RESET):
                self.model.forget(now_us)
                self._waiting.clear()
                return self._told(frame, Answer().payload) if self.switches["reset_ack"] else b""
            answer = self._done(request, now_us)
        except Refused as refused:
            return self._refuse(frame, refused.result)
        told = self._told(frame, answer.payload)
        if not answer.busy_us:
            return told
        self._answer = now_us + answer.busy_us, told
        return b""

    def _parsed(self, frame: Frame) -> Request:
        if frame.command == Command.BATTERY and not self.switches["battery"]:
            raise Refused(Result.INVALID_COMMAND)
        return parse(frame.command, frame.payload)

    def _done(self, request: Request, now_us: int) -> Answer:
        model = self.model
        match request:
            case LowInit():
                return model.low_init(request, now_us)
            case LowPulse():
                return model.low_pulse(request, now_us)
            case MidInit():
                return model.mid_init(request, now_us)
            case MidUpdate():
                return model.mid_update(request, now_us)
            case CurrentData(selection):
                return model.current_data(selection, now_us)
            case Ask(command):
                return self._about(command, now_us)

    def _about(self, command: Command, now_us: int) -> Answer:
        model = self.model
        match command:
            case Command.LOW_STOP:
                return model.stop(Level.LOW, now_us)
            case Command.MID_STOP:
                return model.stop(Level.MID, now_us)
            case Command.STATUS:
                return Answer(status_answer(model.status, model.high_voltage))
            case Command.DEVICE_ID:
                return Answer(model.claims.value.id_answer())
            case Command.VERSION:
                return Answer(model.claims.value.version_answer())
            case Command.BATTERY:
                return Answer(battery_answer(*BATTERY))
        raise Refused(Result.INVALID_COMMAND)

    def _refuse(self, frame: Frame, result: Result) -> bytes:
        if result is Result.INVALID_COMMAND:
            return self._error(UNKNOWN_COMMAND, frame.number, result)
        return self._told(frame, refusal(frame.command, result))

    def _told(self, frame: Frame, payload: bytes) -> bytes:
        twist = self.twist.value
        if twist.result is not None:
            payload = bytes((twist.result,)) + payload[1:]
        payload = payload[: len(payload) - twist.cut]
        command = (frame.command + 1 + twist.command) % COMMANDS
        return encode(Frame((frame.number + twist.number) % NUMBERS, command, payload))


def sciencemode4(identity: Identity, switches: Mapping[str, Value] | None = None) -> Build:
    """A P24 with this identity, and switches other than the usual."""
    chosen = {key: setting.default for key, setting in SWITCHES.items()} | dict(switches or {})

    def build(bodies: Sequence[Body], scope: Scope, now_us: int) -> ScienceMode4Device:
        stage = OutputStage[Pattern](bodies, scope, COMPLIANCE_MV[FULL])
        own = dict(chosen)
        return ScienceMode4Device(Model(identity, stage, now_us, own), own)

    return build


def _plan(asked: Asked) -> Build:
    if asked.channels != CHANNELS:
        raise BadSetting("channels", asked.channels, f"{CHANNELS}, as many as a P24 has")
    if len(asked.serial) != 10 or not asked.serial.isascii() or not asked.serial.isprintable():
        raise BadSetting("serial", asked.serial, "10 printable ASCII characters")
    if asked.clinical:
        raise BadSetting("clinical", asked.clinical, "nothing: ScienceMode 4 has no emulator flag; choose a serial")
    return sciencemode4(Identity(asked.serial), asked.switches)


SCIENCEMODE4 = Kind("sciencemode4", Identity().device_id, CHANNELS, SWITCHES, _plan)
