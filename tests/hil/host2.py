"""A small ScienceMode 2 host for the tests of the witness: its own encoder and decoder, a third party's checksum."""

from __future__ import annotations

from typing import NamedTuple

from crccheck.crc import Crc8

from hil.bench import Bench
from hil.body import Skin
from hil.devices.device import Asked
from hil.devices.sciencemode2 import SCIENCEMODE2, ScienceMode2Device
from tests.hil.host import PLAIN, START_US

INIT, INIT_ACK, UNKNOWN, WATCHDOG, GET_MODE, INIT_LIST, START_LIST, STOP_LIST, SINGLE, ERROR = (
    1, 2, 3, 4, 10, 30, 32, 34, 36, 38,
)  # fmt: skip
OK, TRANSFER, PARAMETER, WRONG_MODE, VERSION, BUSY = 0, -1, -2, -3, -5, -8
SWITCH, ELECTRODE, MODULE = -1, -2, -3
START, INITIALISED, STARTED = 0, 1, 2


class Heard(NamedTuple):
    """A frame of the device."""

    number: int
    command: int
    data: bytes


def escaped(body: bytes) -> bytes:
    """Only what must be escaped is."""
    return body.replace(b"\x81", b"\x81\xd4").replace(b"\xf0", b"\x81\xa5").replace(b"\x0f", b"\x81\x5a")


def wrapped(coded: bytes) -> bytes:
    """A frame around a body that is escaped already."""
    return bytes((0xF0, 0x81, Crc8.calc(coded) ^ 0x55, 0x81, len(coded) ^ 0x55, *coded, 0x0F))


def frame(number: int, command: int, data: bytes = b"") -> bytes:
    """A whole frame."""
    return wrapped(escaped(bytes((number, command)) + data))


def decoded(data: bytes) -> list[Heard]:
    """The device's frames in some bytes; every one must be whole and sound, and none may need more escapes."""
    found = []
    while data:
        assert data[0] == 0xF0
        length = data[4] ^ 0x55
        whole, data = data[: 6 + length], data[6 + length :]
        coded = whole[5:-1]
        body = coded.replace(b"\x81\x5a", b"\x0f").replace(b"\x81\xa5", b"\xf0").replace(b"\x81\xd4", b"\x81")
        assert whole == wrapped(coded)
        assert coded == escaped(body)
        found.append(Heard(body[0], body[1], body[2:]))
    return found


def signed(code: int) -> int:
    return code - 256 if code > 127 else code


def list_data(*channels: int, skips: int = 0, rare: int = 0, t2: int = 1, t1: int = 38, execution: int = 0) -> bytes:
    """InitChannelListMode: t2 and t1 are codes; 38 is 20 ms."""
    mask = sum(1 << channel - 1 for channel in channels)
    return bytes((skips, mask, rare, t2, t1 >> 8, t1 & 255, execution))


def row(ma: int = 20, width_us: int = 300, mode: int = 0) -> bytes:
    """A channel of StartChannelListMode."""
    return bytes((mode, width_us >> 8, width_us & 255, ma))


SINGLE_DATA = b"\x00" + row()[1:]
EVERYTHING = {
    GET_MODE: b"",
    INIT_LIST: list_data(1),
    START_LIST: row(),
    STOP_LIST: b"",
    SINGLE: SINGLE_DATA,
    WATCHDOG: b"",
    0x5F: b"",
}
"""Every command of a host, and one that is unknown, with data that would be obeyed."""


class Host:
    """Drives a bench in virtual time: `now_us` moves only by `wait` and `jump`."""

    def __init__(self, *skins: Skin, seed: int = 0, connect: bool = True, **switches: str) -> None:
        self.now_us = START_US
        build = SCIENCEMODE2.plan(Asked("EMU-R2-1", 8, switches=switches))
        self.bench = Bench(build, (list(skins) + [PLAIN] * 8)[:8], START_US, seed)
        assert isinstance(self.bench.device, ScienceMode2Device)
        self.model = self.bench.device.model
        self.number = 0
        self.said: list[tuple[int, Heard]] = []
        if connect:
            self.connect()

    def send(self, data: bytes) -> list[Heard]:
        """Send bytes; gives the answers, and keeps what the device says unasked, with its time."""
        return self._heard(self.bench.receive(data, self.now_us))

    def connect(self) -> None:
        """Wait for Init and accept it."""
        self.wait(0)
        assert self.send(frame(self.said[-1][1].number, INIT_ACK, b"\x00")) == []
        assert self.model.is_connected

    def ask(self, command: int, data: bytes = b"") -> bytes:
        """Send one command and expect its acknowledgement, with its number; gives the data."""
        self.number = (self.number + 1) % 256
        (answer,) = self.send(frame(self.number, command, data))
        assert (answer.number, answer.command) == (self.number, command + 1)
        return answer.data

    def result(self, command: int, data: bytes = b"") -> int:
        """The result of a command."""
        return signed(self.ask(command, data)[0])

    def mode(self) -> int:
        """GetStimulationMode."""
        result, mode = self.ask(GET_MODE)
        assert result == OK
        return mode

    def run(self, *rows: bytes, **settings: int) -> None:
        """Initialise channels from 1 on, as many as there are rows, and start them."""
        rows = rows or (row(),)
        assert self.result(INIT_LIST, list_data(*range(1, len(rows) + 1), **settings)) == OK
        assert self.result(START_LIST, b"".join(rows)) == OK

    def press(self) -> None:
        """Push the emergency switch down and hold it."""
        self.model.press(self.now_us)
        self.wait(0)

    def keep(self, us: int) -> None:
        """Let time pass with a watchdog frame every second."""
        while us > 0:
            step_us = min(us, 1_000_000)
            self.wait(step_us)
            assert self.send(frame(0, WATCHDOG)) == []
            us -= step_us

    def wait(self, us: int) -> None:
        """Let time pass as a prompt event loop does: woken at each deadline."""
        end_us = self.now_us + us
        while (due_us := self.bench.next_deadline_us()) is not None and due_us <= end_us:
            self.now_us = max(self.now_us, due_us)
            assert self._heard(self.bench.advance(self.now_us)) == []
        self.now_us = end_us
        assert self._heard(self.bench.advance(end_us)) == []

    def jump(self, us: int) -> None:
        """Let time pass as for a process that was frozen: one late call."""
        self.now_us += us
        assert self._heard(self.bench.advance(self.now_us)) == []

    def pass_by(self, us: int) -> bytes:
        """Let time pass whatever the device says: its bytes may be no frames."""
        self.now_us += us
        return self.bench.advance(self.now_us)

    def pulses(self, channel: int = 1) -> list[int]:
        """Times of the pulses that reached the body, from the start of the test on."""
        return [trace.at_us - START_US for trace in self.bench.scope.pulses(channel)]

    def unasked(self, command: int) -> list[tuple[int, int]]:
        """What the device said unasked with this command: the times from the start of the test on, and the codes."""
        return [(at - START_US, signed(heard.data[0])) for at, heard in self.said if heard.command == command]

    def _heard(self, data: bytes) -> list[Heard]:
        frames = decoded(data)
        self.said += [(self.now_us, one) for one in frames if one.command in {INIT, ERROR}]
        return [one for one in frames if one.command not in {INIT, ERROR}]


def into(mode: int, **switches: str) -> Host:
    """A connected device in a mode, with channel 1 in its list."""
    host = Host(**switches)
    if mode != START:
        host.result(INIT_LIST, list_data(1))
    if mode == STARTED:
        host.result(START_LIST, row())
    assert host.mode() == mode
    return host
