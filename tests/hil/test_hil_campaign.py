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
from hil.devices import native_frames, sciencemode2_frames, sciencemode4_frames
from hil.frame_names import units
from hil.tape import Direction
from tests.hil.host import ARM, ASK, CUT, DRIVE, FEED, PROBE, RUN_TRAIN, STOP, Host, drive_payload, frame
from tests.hil.sessions import taped

pytestmark = [pytest.mark.hazard("H16"), pytest.mark.rule("M26")]


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
    kind: str
    direction: Direction
    accepted: Callable[[bytes], list[Any]]

    @property
    def frames(self) -> list[bytes]:
        """The frames of a session in one direction."""
        return [unit.data for unit in units(taped(self.kind).chunks, self.direction, self.kind)]


CAMPAIGNS = [
    Campaign("native", "to_device", native_accepted),
    Campaign("native", "to_host", native_heard),
    Campaign("sciencemode4", "to_device", sciencemode4_accepted),
    Campaign("sciencemode4", "to_host", sciencemode4_heard),
    Campaign("sciencemode2", "to_device", sciencemode2_accepted),
    Campaign("sciencemode2", "to_host", sciencemode2_heard),
]
IDS = [f"{campaign.kind} {campaign.direction}" for campaign in CAMPAIGNS]


def turned(data: bytes) -> Iterator[bytes]:
    """The frame with each of its bits turned."""
    for bit in range(8 * len(data)):
        yield bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=IDS)
def test_no_bit_of_a_session_is_turned_unseen(campaign: Campaign, record_property: Callable[[str, object], None]):
    sent = campaign.frames
    # A delimiter that was turned leaves the frame open: a zero ends it.
    end = b"\x00" if campaign.kind == "native" else b""
    assert all(len(campaign.accepted(data + end)) == 1 for data in sent)
    tried = [bad for data in sent for bad in turned(data)]
    record_property("bits turned", len(tried))
    assert len(tried) == 8 * sum(map(len, sent)) > 400
    assert [bad for bad in tried if campaign.accepted(bad + end)] == []


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
