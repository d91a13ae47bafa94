"""A small host for the tests of the emulated P24: its own bytes, from the tables of the protocol, and virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hil.bench import Bench
from hil.body import Skin
from hil.devices.sciencemode4 import sciencemode4
from hil.devices.sciencemode4_words import Identity
from tests.hil.host import PLAIN, START_US

LOW_INIT, LOW_PULSE, LOW_STOP = 0, 2, 4
MID_INIT, MID_UPDATE, MID_STOP, CURRENT_DATA = 30, 32, 34, 36
DEVICE_ID, BATTERY, RESET, STATUS, VERSION = 52, 54, 58, 62, 68
GENERAL_ERROR, UNKNOWN = 66, 67
OK, TRANSFER, PARAMETER, NOT_INITIALISED, HIGH_VOLTAGE, ELECTRODE, INVALID = 0, 1, 2, 7, 8, 10, 11
PULSE_TIMEOUT, BUSY, LOW_CURRENT = 16, 21, 28

Shape = Sequence[tuple[int, int]]

SQUARE = ((200, 40), (100, 0), (200, -40))
"""Points as time in us and current in half milliamperes: +-20 mA, 200/100/200 us."""

CHARGE_NC = 8_000.0
"""Of both phases of SQUARE."""


class Said(NamedTuple):
    """A frame of the device."""

    number: int
    command: int
    payload: bytes


def crc(data: bytes) -> int:
    """CRC-16/XMODEM, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def stuffed(data: bytes, always: bool = False) -> bytes:
    """Escapes put in: where they must be, or everywhere."""
    return b"".join(
        bytes((0x81, byte ^ 0x55)) if always or byte in b"\xf0\x0f\x81" else bytes((byte,)) for byte in data
    )


def frame4(command: int, payload: bytes = b"", number: int = 1, *, always: bool = False) -> bytes:
    """A whole frame."""
    body = stuffed(bytes((number << 2 | command >> 8, command & 0xFF)) + payload, always)
    length = len(body) + 10
    head = bytes((length >> 8, length & 0xFF, crc(body) >> 8, crc(body) & 0xFF))
    return b"\xf0" + stuffed(head, always=True) + body + b"\x0f"


def decoded4(data: bytes) -> list[Said]:
    """The device's frames in some bytes; every one must be whole and sound."""
    found = []
    at = 0
    while at < len(data):
        assert data[at] == 0xF0
        assert data[at + 1 : at + 9 : 2] == b"\x81" * 4
        high, low, crc_high, crc_low = (data[at + offset] ^ 0x55 for offset in (2, 4, 6, 8))
        end = at + (high << 8 | low)
        assert data[end - 1] == 0x0F
        body = data[at + 9 : end - 1]
        assert crc(body) == crc_high << 8 | crc_low
        plain = bytearray()
        rest = iter(body)
        for byte in rest:
            assert byte not in b"\xf0\x0f"
            plain.append(next(rest) ^ 0x55 if byte == 0x81 else byte)
        found.append(Said(plain[0] >> 2, (plain[0] & 3) << 8 | plain[1], bytes(plain[2:])))
        at = end
    return found


def points(shape: Iterable[tuple[int, int]]) -> bytes:
    """Points of time in us and half milliamperes."""
    return b"".join((us << 20 | (half_ma + 300) << 10).to_bytes(4, "big") for us, half_ma in shape)


def pattern(
    channel: int = 1, shape: Shape = SQUARE, *, code: int = 40, quarters: bool = False, ramp: int = 0
) -> tuple[int, bytes]:
    """A channel of an update; the period is `code` half milliseconds, or quarters: 20 ms as it stands."""
    head = bytes(((len(shape) - 1) << 4 | ramp,)) + (code << 1 | quarters).to_bytes(2, "big")
    return channel, head + points(shape)


def update(*patterns: tuple[int, bytes]) -> bytes:
    """The payload of MID_UPDATE."""
    mask = sum(1 << (channel - 1) for channel, _ in patterns)
    return bytes((mask,)) + b"".join(data for _, data in sorted(patterns))


def pulse(channel: int = 1, shape: Shape = SQUARE, *, execute: bool = True) -> bytes:
    """The payload of LOW_PULSE."""
    index = channel - 1
    return bytes((execute << 7 | index % 4 << 5 | index // 4 << 4 | (len(shape) - 1),)) + points(shape)


class Host4:
    """Drives a bench with a P24 in virtual time."""

    def __init__(self, *skins: Skin, identity: Identity | None = None, **switches: Any) -> None:  # noqa: ANN401
        bodies = [*skins, *[PLAIN] * (8 - len(skins))]
        self.now_us = START_US
        self.bench = Bench(sciencemode4(identity or Identity(), switches), bodies, START_US)
        self.number = 0
        self.heard: list[Said] = []

    def send(self, data: bytes) -> list[Said]:
        """Send bytes; gives the frames that come at once."""
        return decoded4(self.bench.receive(data, self.now_us))

    def ask(self, command: int, payload: bytes = b"") -> bytes:
        """Send one request, wait for its answer as long as it takes; gives the payload."""
        self.number = (self.number + 1) % 64
        said = self.send(frame4(command, payload, self.number))
        while not said:
            due_us = self.bench.next_deadline_us()
            assert due_us is not None, "the device is silent"
            said = self.wait(due_us - self.now_us)
        (answer,) = said
        assert answer[:2] == (self.number, command + 1)
        return answer.payload

    def result(self, command: int, payload: bytes = b"") -> int:
        """The result of a request."""
        return self.ask(command, payload)[0]

    def is_silent(self, command: int, payload: bytes = b"") -> bool:
        """True when a request gets no answer at once."""
        return self.send(frame4(command, payload, 63)) == []

    def run(self, *patterns: tuple[int, bytes], stop_all: bool = False) -> int:
        """Init the mid level and update; gives the time of the update. 20 mA, 50 Hz on channel 1 unless told."""
        assert self.result(MID_INIT, bytes((stop_all,))) == OK
        assert self.result(MID_UPDATE, update(*(patterns or [pattern()]))) == OK
        return self.now_us

    def status(self) -> tuple[int, int]:
        """Level and high voltage."""
        result, level, high_voltage = self.ask(STATUS)
        assert result == OK
        return level, high_voltage

    def data(self) -> tuple[int, list[int], list[int]]:
        """Result, active channels, and errors of all eight; feeds the dead man."""
        payload = self.ask(CURRENT_DATA, b"\x04")
        assert (len(payload), payload[1]) == (7, 4)
        nibbles = [payload[3 + index // 2] >> 4 * (index % 2) & 15 for index in range(8)]
        return payload[0], [index + 1 for index in range(8) if payload[2] >> index & 1], nibbles

    def wait(self, us: int) -> list[Said]:
        """Let time pass as a prompt event loop does."""
        end_us = self.now_us + us
        heard = []
        while (due_us := self.bench.next_deadline_us()) is not None and due_us <= end_us:
            self.now_us = max(self.now_us, due_us)
            heard += decoded4(self.bench.advance(self.now_us))
        self.now_us = end_us
        return heard + decoded4(self.bench.advance(end_us))

    def jump(self, us: int) -> list[Said]:
        """Let time pass as for a process that was frozen."""
        self.now_us += us
        return decoded4(self.bench.advance(self.now_us))

    def pass_by(self, us: int) -> bytes:
        """Let time pass whatever the device says: its bytes may be no frames."""
        self.now_us += us
        return self.bench.advance(self.now_us)

    def pulses(self, since_us: int, channel: int = 1) -> list[tuple[int, int]]:
        """Pulses that reached the body: microseconds after a moment, and the peak of the first phase in uA."""
        return [(trace.at_us - since_us, trace.first_ua) for trace in self.bench.scope.pulses(channel, since_us)]

    def times(self, since_us: int, channel: int = 1) -> list[int]:
        """Only when."""
        return [at_us for at_us, _ in self.pulses(since_us, channel)]
