"""A small host for the tests of the witness: its own encoder and decoder, made with the third-party `cobs` package."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

from cobs import cobs

from hil.bench import Bench
from hil.body import Skin
from hil.devices.native import native
from hil.devices.native_words import Identity

HELLO, ARM, DRIVE, FEED, STOP, PROBE, ASK, CUT, SELFTEST = range(1, 10)
IDENTITY, STATUS, PROBED, SELFTESTED, EVENT, NAK = 0x81, 0x82, 0x83, 0x84, 0x8E, 0x8F
STOPPED, ARMED, RUNNING, CUT_OFF = range(4)
DEAD_MAN, PATIENT_STOP, ENVELOPE, ENVELOPE_END, SUPPLY, INTERNAL = (1 << bit for bit in range(6))
OPEN, SHORT, CLIP, FRESH = (1 << bit for bit in range(4))
NO_OHM = 0xFFFF_FFFF

START_US = 5_000_000
PLAIN = Skin(hydration=0.0, yield_ma_cm2=None)
"""A load that depends neither on time nor on current."""

HEAD = "boot uptime_ms frames errors state faults button supply_mv permit grant fed_ago_ms m reserved"
RUN_TRAIN = (1, 20_000, 300, 0, 20_000)
"""20 mA, 300 us, 50 Hz on channel 1."""

ROW = "channel flags set_ua set_width_us set_gap_us set_period_us measured_ua ohm pulses charge_nc clipped imbalance"


def frame(kind: int, seq: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    head = bytes((kind, seq)) + payload
    return bytes(cobs.encode(head + struct.pack("<I", zlib.crc32(head)))) + b"\x00"


def arm_payload(permit: int, lifetime_ms: int, *envelopes: tuple[int, int, int, int, int]) -> bytes:
    """Envelopes: channel, max_ua, max_width_us, min_period_us, max_charge_nc."""
    rows = b"".join(struct.pack("<BIHIQ", *envelope) for envelope in envelopes)
    return struct.pack("<IIB", permit, lifetime_ms, len(envelopes)) + rows


def drive_payload(permit: int, grant: int, *trains: tuple[int, int, int, int, int]) -> bytes:
    """Trains: channel, ua, width_us, gap_us, period_us."""
    rows = b"".join(struct.pack("<BIHHI", *train) for train in trains)
    return struct.pack("<IIB", permit, grant, len(trains)) + rows


def decoded(data: bytes) -> list[dict[str, Any]]:
    """The device's frames in some bytes; every one must be whole and sound."""
    assert data == b"" or data.endswith(b"\x00")
    return [_decoded(bytes(cobs.decode(piece))) for piece in data.split(b"\x00")[:-1]]


def _decoded(body: bytes) -> dict[str, Any]:
    assert zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]
    kind, seq, payload = body[0], body[1], body[2:-4]
    if kind == STATUS:
        said = dict(zip(HEAD.split(), struct.unpack("<IIIIBHBHIIHBB", payload[:34]), strict=True))
        rows = struct.iter_unpack("<BBIHHIIIIQBB", payload[34:])
        said["channels"] = [dict(zip(ROW.split(), row, strict=True)) for row in rows]
        assert len(said["channels"]) == said["m"]
    elif kind == IDENTITY:
        said = {"flags": struct.unpack_from("<H", payload, 50)[0], "boot": struct.unpack("<I", payload[-4:])[0]}
        said |= {"model": payload[2:18].rstrip(b"\x00").decode(), "serial": payload[18:34].rstrip(b"\x00").decode()}
        assert len(payload) == 91
    elif kind == PROBED:
        said = dict(zip(("channel", "ohm", "measured_ua", "flags"), struct.unpack("<BIIB", payload), strict=True))
    elif kind == SELFTESTED:
        said = {"result": payload[0]}
    elif kind == EVENT:
        said = dict(zip(("kind", "channel", "faults"), struct.unpack("<BBH", payload), strict=True))
    else:
        assert kind == NAK
        said = {"refused": payload[0], "code": payload[1]}
    return {"type": kind, "seq": seq, **said}


class Host:
    """Drives a bench in virtual time: `now_us` moves only by `wait` and `jump`."""

    def __init__(self, *skins: Skin, identity: Identity | None = None, seed: int = 0) -> None:
        skins = skins or (PLAIN, PLAIN)
        self.now_us = START_US
        self.bench = Bench(native(identity or Identity(channels=len(skins))), skins, START_US, seed)
        self.seq = 0
        self.events: list[dict[str, Any]] = []

    def send(self, data: bytes) -> list[dict[str, Any]]:
        """Send bytes; gives the answers, and keeps the events."""
        return self._heard(self.bench.receive(data, self.now_us))

    def ask(self, kind: int, payload: bytes = b"") -> dict[str, Any]:
        """Send one frame and expect one answer, with its number."""
        self.seq = (self.seq + 1) % 256
        (answer,) = self.send(frame(kind, self.seq, payload))
        assert answer.pop("seq") == self.seq
        return answer

    def arm(
        self,
        *envelopes: tuple[int, int, int, int, int],
        permit: int = 7,
        lifetime_ms: int = 3_600_000,
    ) -> dict[str, Any]:
        """ARM; wide envelopes on every channel unless told otherwise."""
        wide = [(channel, 100_000, 500, 8_000, 10**12) for channel in range(1, len(self.bench.bodies) + 1)]
        return self.ask(ARM, arm_payload(permit, lifetime_ms, *(envelopes or wide)))

    def drive(self, grant: int, *trains: tuple[int, int, int, int, int], permit: int = 7) -> dict[str, Any]:
        """DRIVE."""
        return self.ask(DRIVE, drive_payload(permit, grant, *trains))

    def feed(self, grant: int, permit: int = 7) -> dict[str, Any]:
        """FEED."""
        return self.ask(FEED, struct.pack("<II", permit, grant))

    def probe(
        self, grant: int, *, channel: int = 1, ua: int = 1_000, width_us: int = 300, permit: int = 6
    ) -> dict[str, Any]:
        """PROBE."""
        return self.ask(PROBE, struct.pack("<IIBIH", permit, grant, channel, ua, width_us))

    def run(self, *trains: tuple[int, int, int, int, int]) -> None:
        """ARM widely and DRIVE; grant 1 is used up."""
        assert self.arm()["state"] == ARMED
        assert self.drive(1, *(trains or [(1, 20_000, 300, 0, 20_000)]))["state"] == RUNNING

    def status(self) -> dict[str, Any]:
        """ASK."""
        return self.ask(ASK)

    def block(self, channel: int = 1) -> dict[str, Any]:
        """ASK, one channel."""
        block: dict[str, Any] = self.status()["channels"][channel - 1]
        return block

    def wait(self, us: int) -> list[dict[str, Any]]:
        """Let time pass as a prompt event loop does: woken at each deadline. Gives frames that are not events."""
        end_us = self.now_us + us
        heard = []
        while (due_us := self.bench.next_deadline_us()) is not None and due_us <= end_us:
            self.now_us = max(self.now_us, due_us)
            heard += self._heard(self.bench.advance(self.now_us))
        self.now_us = end_us
        return heard + self._heard(self.bench.advance(end_us))

    def jump(self, us: int) -> list[dict[str, Any]]:
        """Let time pass as for a process that was frozen: one late call."""
        self.now_us += us
        return self._heard(self.bench.advance(self.now_us))

    def pass_by(self, us: int) -> bytes:
        """Let time pass whatever the device says: its bytes may be no frames."""
        self.now_us += us
        return self.bench.advance(self.now_us)

    def keep(self, grants: Iterable[int], every_us: int = 100_000) -> None:
        """Feed at a pace."""
        for grant in grants:
            self.wait(every_us)
            assert self.feed(grant)["type"] == STATUS

    def pulses(self, channel: int = 1) -> list[int]:
        """Times of the pulses that reached the body, from the start of the test on."""
        return [trace.at_us - START_US for trace in self.bench.scope.pulses(channel)]

    def _heard(self, data: bytes) -> list[dict[str, Any]]:
        frames = decoded(data)
        self.events += [one for one in frames if one["type"] == EVENT]
        return [one for one in frames if one["type"] != EVENT]


def refused(answer: dict[str, Any]) -> int:
    """The code of a NAK."""
    assert answer["type"] == NAK
    code: int = answer["code"]
    return code


def silent(host: Host, kind: int, payload: bytes = b"") -> bool:
    """True when a frame gets no answer at once."""
    return host.send(frame(kind, 99, payload)) == []


def answers_normally(host: Host) -> None:
    """What every test ends with: the device is as it was before anything was injected."""
    host.wait(2_000_000)
    host.ask(HELLO)
    assert host.bench.faults.standing() == []
    assert host.bench.device.model.claims.value.model == "native-bench"
    host.bench.scope.reset()
    host.run(RUN_TRAIN)
    host.wait(45_000)
    assert host.block() == {
        "channel": 1,
        "flags": FRESH,
        "set_ua": 20_000,
        "set_width_us": 300,
        "set_gap_us": 0,
        "set_period_us": 20_000,
        "measured_ua": 20_000,
        "ohm": 1_564,
        "pulses": 3,
        "charge_nc": 36_000,
        "clipped": 0,
        "imbalance": 0,
    }
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000] * 3
    assert [trace.net_nc for trace in host.bench.scope.pulses(1)] == [0] * 3
    assert host.ask(STOP)["state"] == STOPPED
    host.wait(100_000)
    assert len(host.bench.scope.pulses(1)) == 3
