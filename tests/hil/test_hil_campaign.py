"""Every bit of every frame of a session is turned once, on each kind of device: no codec takes any of them for a frame.

Towards the device it is the emulator's codec, towards the host the driver's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from controller.devices import (
    native_codec,
    sciencemode2_codec,
    sciencemode4_codec,
)
from controller.devices import native_frames as native_words
from controller.devices import sciencemode2_frames as sciencemode2_words
from hil.bench import Bench
from hil.devices import native_frames, sciencemode2_frames, sciencemode4_frames
from tests.hil import host2, host4
from tests.hil.host import (
    ARM,
    ASK,
    CUT,
    DRIVE,
    FEED,
    HELLO,
    PROBE,
    RUN_TRAIN,
    SELFTEST,
    STOP,
    Host,
    drive_payload,
    frame,
)

pytestmark = [pytest.mark.hazard("H16"), pytest.mark.rule("M26")]


def native_session() -> Bench:
    """Every request once at least, and what the device says to it."""
    host = Host()
    host.ask(HELLO)
    host.ask(SELFTEST)
    host.probe(1)
    host.run(RUN_TRAIN)
    host.keep(range(2, 8))
    host.status()
    host.ask(STOP)
    host.ask(CUT)
    return host.bench


def sciencemode4_session() -> Bench:
    host = host4.Host4()
    for command, payload in [
        (host4.DEVICE_ID, b""),
        (host4.VERSION, b""),
        (host4.LOW_INIT, b"\x06\x01"),
        (host4.LOW_PULSE, host4.pulse()),
        (host4.LOW_STOP, b""),
        (host4.MID_INIT, b"\x00"),
        (host4.MID_UPDATE, host4.update(host4.pattern(), host4.pattern(2))),
        (host4.CURRENT_DATA, b"\x04"),
        (host4.STATUS, b""),
        (host4.MID_STOP, b""),
    ]:
        host.ask(command, payload)
    return host.bench


def sciencemode2_session() -> Bench:
    host = host2.Host()
    host.run(host2.row(), host2.row(15))
    host.keep(1_000_000)
    host.mode()
    host.result(host2.STOP_LIST)
    host.result(host2.SINGLE, host2.SINGLE_DATA)
    return host.bench


def native_accepted(data: bytes) -> list[object]:
    return [body for body in native_frames.Deframer().push(data) if body]


def native_heard(data: bytes) -> list[object]:
    found = native_codec.Receiver(native_words.DEVICE).feed(data)
    return [one for one in found if isinstance(one, native_codec.Received)]


def sciencemode4_heard(data: bytes) -> list[object]:
    return [one for one in sciencemode4_codec.Receiver().feed(data) if isinstance(one, sciencemode4_codec.Packet)]


def sciencemode2_heard(data: bytes) -> list[object]:
    found = sciencemode2_codec.Receiver(sciencemode2_words.DEVICE).feed(data)
    return [one for one in found if isinstance(one, sciencemode2_codec.Received)]


def sciencemode4_accepted(data: bytes) -> list[object]:
    return [one for one in sciencemode4_frames.Receiver().push(data) if isinstance(one, sciencemode4_frames.Frame)]


def sciencemode2_accepted(data: bytes) -> list[object]:
    return [one for one in sciencemode2_frames.Deframer().push(data) if one.is_sound]


class Campaign(NamedTuple):
    session: Callable[[], Bench]
    direction: str
    accepted: Callable[[bytes], list[Any]]
    quiet: bytes


CAMPAIGNS = {
    "native to the device": Campaign(native_session, "to_device", native_accepted, b"\x00"),
    "native to the host": Campaign(native_session, "to_host", native_heard, b"\x00"),
    "sciencemode4 to the device": Campaign(sciencemode4_session, "to_device", sciencemode4_accepted, b""),
    "sciencemode4 to the host": Campaign(sciencemode4_session, "to_host", sciencemode4_heard, b""),
    "sciencemode2 to the device": Campaign(sciencemode2_session, "to_device", sciencemode2_accepted, b""),
    "sciencemode2 to the host": Campaign(sciencemode2_session, "to_host", sciencemode2_heard, b""),
}


def frames(campaign: Campaign) -> list[bytes]:
    """The frames of the session in one direction, one by one."""
    bench = campaign.session()
    place = bench.device.place()
    found, held = [], bytearray()
    for chunk in bench.tape.since():
        if chunk.direction == campaign.direction:
            for byte in chunk.data:
                held.append(byte)
                if place(byte).is_last:
                    found.append(bytes(held))
                    held.clear()
    assert not held
    return found


def turned(data: bytes) -> Iterator[bytes]:
    """The frame with each of its bits turned."""
    for bit in range(8 * len(data)):
        yield bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_no_bit_of_a_session_is_turned_unseen(campaign: Campaign, record_property: Callable[[str, object], None]):
    sent = frames(campaign)
    assert all(len(campaign.accepted(data + campaign.quiet)) == 1 for data in sent)
    tried = 0
    undetected = []
    for data in sent:
        for bad in turned(data):
            tried += 1
            undetected += [bad for _ in campaign.accepted(bad + campaign.quiet)]
    record_property("bits turned", tried)
    assert tried == 8 * sum(map(len, sent)) > 400
    assert undetected == []


REQUESTS = {
    "drive": frame(DRIVE, 9, drive_payload(7, 2, (1, 40_000, 300, 0, 20_000))),
    "feed": frame(FEED, 9, (7).to_bytes(4, "little") + (2).to_bytes(4, "little")),
    "stop": frame(STOP, 9),
    "ask": frame(ASK, 9),
    "cut": frame(CUT, 9),
    "probe": frame(PROBE, 9, bytes(15)),
    "arm": frame(ARM, 9, bytes(9)),
}


@pytest.mark.parametrize("whole", REQUESTS.values(), ids=REQUESTS)
def test_a_device_in_a_session_obeys_no_request_with_a_turned_bit(whole: bytes):
    host = Host()
    host.run(RUN_TRAIN)
    host.wait(45_000)

    def kept() -> dict[str, Any]:
        inside = host.bench.device.inside(host.now_us)
        return {key: value for key, value in inside.items() if key not in {"errors", "frames"}}

    before = kept()
    for bit in range(8 * len(whole)):
        settings = {"direction": "to_device", "nth": 1, "byte": bit // 8, "bit": bit % 8}
        with host.bench.faults.injected("corrupt", **settings):
            assert host.bench.receive(whole, host.now_us) == b""
        # A delimiter that was turned leaves the frame open.
        assert host.bench.receive(b"\x00", host.now_us) == b""
        assert kept() == before
    assert host.bench.device.inside(host.now_us)["errors"] >= 8 * len(whole)
    host.wait(100_000)
    assert {trace.first_ua for trace in host.bench.scope.pulses(1)} == {20_000}
