"""The targets of the fuzzer on bytes of Hypothesis and on the golden frames; atheris runs the same ones for longer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.devices.sciencemode4_switches import SWITCHES
from tests.fuzz.sciencemode4 import COMMANDS, device, receiver
from tests.hil.host4 import CURRENT_DATA, LOW_INIT, LOW_PULSE, MID_INIT, MID_UPDATE, pattern, pulse, update

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H16")]

GOLDEN = [
    bytes.fromhex(row["hex"])
    for row in json.loads(
        (Path(__file__).parent.parent / "golden" / "sciencemode4" / "frames.json").read_text(encoding="ascii")
    )
]
CHUNKS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(GOLDEN),
    st.lists(st.sampled_from([0xF0, 0x0F, 0x81]), max_size=20).map(bytes),
)


@given(st.lists(CHUNKS, max_size=8).map(b"".join))
def test_any_bytes_at_the_receiver(data: bytes):
    receiver(data)


def step(command: int, payload: bytes = b"") -> bytes:
    """What the target reads as one request."""
    return bytes((COMMANDS.index(command), len(payload))) + payload


def pause(twentieths: int) -> bytes:
    """What the target reads as time."""
    return bytes((15, twentieths))


MEANT = [
    step(MID_INIT, b"\x00"),
    step(MID_UPDATE, update(pattern(1, ramp=3), pattern(8, code=58))),
    step(MID_UPDATE, update()),
    step(LOW_INIT, b"\x10"),
    step(LOW_PULSE, pulse(6)),
    *(step(command) for command in COMMANDS),
    step(CURRENT_DATA, b"\x04"),
    pause(5),
    pause(120),
]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(MEANT), st.binary(max_size=12)), max_size=20).map(b"".join))
def test_any_requests_at_the_device(data: bytes):
    device(data)


def test_the_target_bites(monkeypatch: pytest.MonkeyPatch):
    """A session that the target can write: it passes, and with a device whose dead man is late it does not."""
    session = MEANT[0] + MEANT[1] + pause(50) + step(CURRENT_DATA, b"\x04") + pause(50)
    device(session)
    late = dataclasses.replace(SWITCHES["dead_man_ms"], default=3_000)
    monkeypatch.setitem(SWITCHES, "dead_man_ms", late)
    with pytest.raises(AssertionError):
        device(session)
