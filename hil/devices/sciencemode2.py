"""The wire face of the emulated RehaStim2: bytes in, bytes out, time passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hil.body import Body
from hil.devices.device import Asked, Build, Kind, Twist
from hil.devices.sciencemode2_frames import Deframer, Frame, encode
from hil.devices.sciencemode2_list import ListStage
from hil.devices.sciencemode2_model import MODES, SWITCHES, Model
from hil.devices.sciencemode2_words import (
    CHANNELS,
    VERSION,
    Command,
    Refused,
    Result,
    read_channels,
    read_pulses,
    read_single,
)
from hil.knob import Knob
from hil.scope import Scope
from hil.settings import BadSetting, Setting
from hil.way import Place, delimited


class ScienceMode2Device:
    """A stimulator on a serial line; the same bytes at the same times give the same answers and pulses."""

    kind = "sciencemode2"
    switchable: Mapping[str, Setting] = SWITCHES

    def __init__(self, model: Model, serial: str) -> None:
        self.model = model
        self.stage = model.stage
        self.button = model
        self.switches = model.switches
        self.twist = Knob(Twist())
        self.knobs: dict[str, Knob[Any]] = {
            "claims": model.version,
            "dead_man": model.dead_man,
            "hung": model.hung,
            "module_failed": model.module_failed,
            "skin_check": model.skin_check,
            "stop_answer": model.stop_answer,
            "supply_mv": model.supply_mv,
            "twist": self.twist,
        }
        self._serial = serial
        self.frames = self.errors = 0
        self._deframer = Deframer()

    def receive(self, data: bytes, now_us: int) -> bytes:
        """Take bytes that arrive now; gives all that the device sends up to now."""
        out = bytearray(self.advance(now_us))
        for frame in self._deframer.push(data):
            out += self._answer(frame, now_us) + self.advance(now_us)
        return bytes(out)

    def advance(self, now_us: int) -> bytes:
        """Let time pass; gives what the device sends without being asked."""
        self.model.advance(now_us)
        out = b"".join(encode(number, command, _signed(code)) for number, command, code in self.model.said)
        self.model.said.clear()
        return out

    def next_deadline_us(self) -> int | None:
        """When `advance` has something to do next."""
        return self.model.next_deadline_us()

    def reset(self, now_us: int, *, power: bool) -> None:  # noqa: ARG002 - there is nothing that outlives the firmware
        """Start anew; half a frame is forgotten."""
        self.frames = self.errors = 0
        self._deframer = Deframer()
        self.model.reset(now_us)

    def sense(self, now_us: int) -> None:
        """Look at the supply and at the stimulation module; half a frame does not outlive a loss of power."""
        was = self.model.is_powered
        self.model.sense(now_us)
        if was != self.model.is_powered:
            self._deframer = Deframer()

    def place(self) -> Place:
        """Frames stand between delimiters."""
        return delimited()

    def lie(self, *, model: str | None, emulator: bool) -> int:
        """Another version of the protocol: the device tells nothing else of itself."""
        del model, emulator
        return VERSION + 1

    def badge(self) -> dict[str, str]:
        """Model, serial number as the bench has it, mode. On its line the device tells neither model nor number."""
        state = self.model.mode.name if self.model.is_powered else "OFF"
        return {"model": "RehaStim2", "serial": self._serial, "state": state}

    def inside(self, now_us: int) -> dict[str, Any]:
        """Mode, handshake, list, counters; and whether the output stage is live."""
        model = self.model
        return {
            "state": self.badge()["state"],
            "is_connected": model.is_connected,
            "channels": list(model.active),
            "picture": [{"channel": channel} | pulse._asdict() for channel, pulse in model.pulses.items()],
            "fed_ago_ms": (now_us - model.fed_us) // 1000,
            "switch_pressed": model.is_pressed,
            "frames": self.frames,
            "errors": self.errors,
            "noise": self._deframer.noise,
            "is_live": self.stage.is_live,
        }

    def _answer(self, frame: Frame, now_us: int) -> bytes:
        model = self.model
        if model.hung.value or not model.is_powered:
            return b""
        if not frame.is_sound:
            self.errors += 1
            # What a damaged frame asked for is told by its command, as far as that is one.
            return self._ack(frame, Result.TRANSFER) if model.is_heeding and frame.command in MODES else b""
        self.frames += 1
        model.feed(now_us)
        if frame.command == Command.INIT_ACK and len(frame.data) == 1:
            model.init_ack(frame.number, frame.data[0])
        if not model.is_heeding or frame.command in {Command.INIT_ACK, Command.WATCHDOG}:
            return b""
        if frame.command not in MODES:
            return self._twisted(frame.number, Command.UNKNOWN, bytes((frame.command,)))
        if frame.command == Command.STOP_LIST and model.stop_answer.value == "silent":
            return b""
        try:
            return self._ack(frame, Result.OK, self._obey(Command(frame.command), frame.data, now_us))
        except Refused as refused:
            return self._ack(frame, refused.result)

    def _obey(self, command: Command, data: bytes, now_us: int) -> bytes:
        """Do what a command asks; gives what its acknowledgement tells beside the result."""
        model = self.model
        model.need_mode(command)
        match command:
            case Command.GET_MODE:
                # Its acknowledgement knows no parameter error.
                if data:
                    raise Refused(Result.TRANSFER)
                return bytes((model.mode,))
            case Command.INIT_LIST:
                model.init_list(read_channels(data))
            case Command.START_LIST:
                model.start_list(read_pulses(data, model.active), now_us)
            case Command.STOP_LIST:
                model.stop_list(now_us)
            case Command.SINGLE_PULSE:
                model.single_pulse(*read_single(data), now_us)
        return b""

    def _ack(self, frame: Frame, result: Result, more: bytes = b"") -> bytes:
        told = self.twist.value.result
        return self._twisted(frame.number, frame.command + 1, _signed(result if told is None else told) + more)

    def _twisted(self, number: int, command: int, data: bytes) -> bytes:
        twist = self.twist.value
        left = data[: max(len(data) - twist.cut, 0)]
        return encode((number + twist.number) % 256, (command + twist.command) % 256, left)


def _signed(code: int) -> bytes:
    return bytes((code & 0xFF,))


def _plan(asked: Asked) -> Build:
    if asked.channels != CHANNELS:
        raise BadSetting("channels", asked.channels, f"{CHANNELS}, as every RehaStim2 has")
    if not 1 <= len(asked.serial) <= 16 or not asked.serial.isascii() or not asked.serial.isprintable():
        raise BadSetting("serial", asked.serial, "1 to 16 printable ASCII characters")
    switches = {key: setting.default for key, setting in SWITCHES.items()} | dict(asked.switches)

    def build(bodies: Sequence[Body], scope: Scope, now_us: int) -> ScienceMode2Device:
        return ScienceMode2Device(Model(ListStage(bodies, scope), dict(switches), now_us), asked.serial)

    return build


SCIENCEMODE2 = Kind("sciencemode2", "EMU-R2-1", CHANNELS, SWITCHES, _plan)
