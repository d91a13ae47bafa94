"""The wire face of the emulated RehaStim2: bytes in, bytes out, time passed in."""

from __future__ import annotations

from hil.devices.sciencemode2_frames import Deframer, Frame, encode
from hil.devices.sciencemode2_model import MODES, Model
from hil.devices.sciencemode2_words import (
    Command,
    Refused,
    Result,
    read_channels,
    read_pulses,
    read_single,
)


class ScienceMode2Device:
    """A stimulator on a serial line; the same bytes at the same times give the same answers and pulses."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.frames = self.errors = 0
        self._deframer = Deframer()

    @property
    def noise(self) -> int:
        """Bytes that belonged to no frame."""
        return self._deframer.noise

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

    def reset(self, now_us: int) -> None:
        """Start anew; half a frame is forgotten."""
        self.frames = self.errors = 0
        self._deframer = Deframer()
        self.model.reset(now_us)

    def _answer(self, frame: Frame, now_us: int) -> bytes:
        model = self.model
        if model.hung.value:
            return b""
        if not frame.is_sound:
            self.errors += 1
            # What a damaged frame asked for is told by its command, as far as that is one.
            return _ack(frame, Result.TRANSFER) if model.is_heeding and frame.command in MODES else b""
        self.frames += 1
        model.feed(now_us)
        if frame.command == Command.INIT_ACK and len(frame.data) == 1:
            model.init_ack(frame.number, frame.data[0])
        if not model.is_heeding or frame.command in {Command.INIT_ACK, Command.WATCHDOG}:
            return b""
        if frame.command not in MODES:
            return encode(frame.number, Command.UNKNOWN, bytes((frame.command,)))
        if frame.command == Command.STOP_LIST and model.stop_answer.value == "silent":
            return b""
        try:
            return _ack(frame, Result.OK, self._obey(Command(frame.command), frame.data, now_us))
        except Refused as refused:
            return _ack(frame, refused.result)

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


def _ack(frame: Frame, result: Result, more: bytes = b"") -> bytes:
    return encode(frame.number, frame.command + 1, _signed(result) + more)


def _signed(code: int) -> bytes:
    return bytes((code & 0xFF,))
