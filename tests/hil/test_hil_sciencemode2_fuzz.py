"""The targets of the fuzzer on bytes of Hypothesis and on mutated golden frames; they find what is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.devices import sciencemode2_frames
from hil.devices.sciencemode2_frames import Deframer, Frame
from hil.devices.sciencemode2_model import Model
from tests.fuzz.sciencemode2 import TARGETS, device, receiver
from tests.hil.host2 import INIT_LIST, SINGLE, SINGLE_DATA, START_LIST, frame, list_data, row

pytestmark = [pytest.mark.hazard("H35"), pytest.mark.hazard("H16")]

GOLDEN = [
    bytes.fromhex(golden["hex"])
    for name in ("frames.json", "vendor.json")
    for golden in json.loads(
        (Path(__file__).parent.parent / "golden" / "sciencemode2" / name).read_text(encoding="ascii")
    )
]
RUN = frame(1, INIT_LIST, list_data(1)) + frame(2, START_LIST, row())
ONCE = frame(3, SINGLE, SINGLE_DATA)
TELLING = st.sampled_from([0xF0, 0x0F, 0x81, 0x55, 0xA5, 0x5A, 0xD4, 0, 1, 30, 32, 34, 36, 255])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Golden frames and whole sessions, cut, spliced and flipped."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from([*GOLDEN, RUN, ONCE]), min_size=1, max_size=6))))
    for at in draw(st.lists(st.integers(0, len(data)), max_size=8)):
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes((draw(TELLING),))
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=70))
            case 2:
                del data[at : at + draw(st.integers(1, 9))]
            case _:
                data[at : at + 1] = bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in data[at : at + 1])
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@given(data=st.binary(max_size=400) | mutated())
def test_no_bytes_do_harm(target: Callable[[bytes], None], data: bytes):
    target(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_no_golden_frame_does_harm(target: Callable[[bytes], None]):
    for data in [*GOLDEN, b"".join(GOLDEN), RUN, RUN + ONCE]:
        target(data)


def test_an_exception_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Deframer, "push", lambda _, data: [Frame(data[999], 0, b"")])
    for target in TARGETS.values():
        with pytest.raises(IndexError):
            target(b"\xf0")


def test_memory_without_a_bound_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sciencemode2_frames, "LONGEST_FRAME", 10_000)
    with pytest.raises(AssertionError):
        receiver(b"\xf0" + bytes(100))


def test_an_escape_that_is_read_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sciencemode2_frames, "unstuff", lambda stuffed: stuffed)
    with pytest.raises(AssertionError):
        receiver(frame(1, START_LIST, row(15)))


def test_an_output_that_nothing_ends_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Model, "_watchdog_us", lambda _: None)
    with pytest.raises(AssertionError):
        device(RUN)
