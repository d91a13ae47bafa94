"""Each fault of the table does what its row says, and nothing of it is left when it ends: body, wire, and all."""

from __future__ import annotations

from typing import Any

import pytest

from hil.body import Skin
from hil.devices.device import NotThisDevice
from hil.faults import FAULTS
from hil.settings import BadSetting
from tests.hil.host import (
    ASK,
    CLIP,
    DEAD_MAN,
    FRESH,
    NO_OHM,
    OPEN,
    PLAIN,
    RUN_TRAIN,
    RUNNING,
    SHORT,
    STOP,
    STOPPED,
    Host,
    answers_normally,
    frame,
    silent,
)

pytestmark = pytest.mark.hazard("H35")

OTHERS_ONLY = ["blind_skin_check", "module_error", "wrong_answer", "channel_error"]
FITTING = [name for name, entry in FAULTS.items() if entry.layer != "host" and name not in OTHERS_ONLY]
"""What a native device can have, where the bench has no host."""


@pytest.fixture
def host() -> Host:
    """A device that runs 20 mA at 50 Hz on channel 1; its pulses are at 0, 20 and 40 ms; now is 45 ms."""
    host = Host()
    host.run(RUN_TRAIN)
    host.wait(45_000)
    return host


# --- body -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H04")
def test_peel(host: Host):
    with host.bench.faults.injected("peel", channel=1, end=0.2, over_ms=80):
        seen = []
        for _ in range(6):
            seen.append(host.bench.bodies[0].at(host.now_us).contact)
            host.wait(20_000)
        assert seen == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
        assert host.bench.bodies[1].at(host.now_us).contact == 1.0
        assert host.block()["ohm"] > 5_000
    assert host.bench.bodies[0].at(host.now_us) is PLAIN
    answers_normally(host)


def test_peel_from_a_given_start(host: Host):
    with host.bench.faults.injected("peel", start=0.5, end=0.7, over_ms=0):
        assert host.bench.bodies[1].at(host.now_us).contact == 0.7
    with host.bench.faults.injected("peel", start=0.5, end=0.7, over_ms=10):
        assert host.bench.bodies[1].at(host.now_us).contact == 0.5
    answers_normally(host)


@pytest.mark.hazard("H06")
def test_snap_off(host: Host):
    with host.bench.faults.injected("snap_off", channel=1):
        host.wait(20_000)
        block = host.block()
        assert (block["flags"], block["ohm"], block["measured_ua"]) == (OPEN | CLIP | FRESH, NO_OHM, 0)
        assert host.events[-1]["kind"] == 5
    host.wait(20_000)
    # The open pulse at 60 ms never reached the body; the one at 80 ms did, at full current.
    assert host.pulses() == [0, 20_000, 40_000, 80_000]
    answers_normally(host)


@pytest.mark.hazard("H06")
def test_intermittent(host: Host):
    with host.bench.faults.injected("intermittent", open_ms=30, every_ms=100):
        host.wait(180_000)
    # Open from 45 to 75 ms and from 145 to 175 ms.
    assert host.pulses() == [0, 20_000, 40_000, 80_000, 100_000, 120_000, 140_000, 180_000, 200_000, 220_000]
    answers_normally(host)


@pytest.mark.hazard("H17")
def test_short(host: Host):
    with host.bench.faults.injected("short", ohm=42):
        host.wait(20_000)
        block = host.block()
        assert (block["flags"], block["ohm"], block["measured_ua"]) == (SHORT | FRESH, 42, 20_000)
    answers_normally(host)


def test_dry_out(host: Host):
    with host.bench.faults.injected("dry_out", dryness=3.0, over_ms=100):
        host.wait(50_000)
        assert host.bench.bodies[0].at(host.now_us).dryness == 2.0
        host.wait(50_000)
        assert host.bench.bodies[0].at(host.now_us).dryness == 3.0
        assert host.block()["ohm"] > 2_500
    answers_normally(host)


@pytest.mark.hazard("H09")
def test_bridge(host: Host):
    with host.bench.faults.injected("bridge", scale=0.5, over_ms=100):
        host.wait(200_000)
        assert host.block()["ohm"] == 782
    host.wait(20_000)
    assert host.block()["ohm"] == 1_564
    answers_normally(host)


# --- wire -------------------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
def test_dead_line(host: Host):
    with host.bench.faults.injected("dead_line"):
        assert silent(host, STOP)
        host.wait(600_000)
        assert [event["kind"] for event in host.events] == [4]
    # Fed at 0; STOP never arrived; the dead man ended it.
    assert host.pulses()[-1] == 480_000
    assert host.status()["faults"] == DEAD_MAN
    answers_normally(host)


def test_drop_every_frame_to_the_device(host: Host):
    with host.bench.faults.injected("drop", direction="to_device"):
        assert silent(host, STOP)
        assert silent(host, ASK)
    assert host.status()["state"] == RUNNING
    answers_normally(host)


def test_drop_one_frame_to_the_host(host: Host):
    with host.bench.faults.injected("drop", direction="to_host", nth=2):
        assert host.ask(ASK)["state"] == RUNNING
        assert silent(host, STOP)
        # It was obeyed: only the answer is lost.
        assert host.ask(ASK)["state"] == STOPPED
    answers_normally(host)


def test_drop_counts_each_direction_by_itself(host: Host):
    with host.bench.faults.injected("drop", nth=1):
        assert silent(host, STOP)
        assert silent(host, ASK)
        assert host.ask(ASK)["state"] == RUNNING
    answers_normally(host)


@pytest.mark.hazard("H16")
def test_corrupt_to_the_device(host: Host):
    with host.bench.faults.injected("corrupt", direction="to_device"):
        for _ in range(3):
            assert silent(host, STOP)
    host.send(b"\x00")
    status = host.status()
    assert (status["state"], status["errors"]) == (RUNNING, 3)
    answers_normally(host)


@pytest.mark.hazard("H16")
def test_corrupt_the_nth_frame_to_the_host(host: Host):
    with host.bench.faults.injected("corrupt", direction="to_host", nth=2, byte=3, bit=5):
        clean = host.bench.receive(frame(ASK, 1), host.now_us)
        spoiled = host.bench.receive(frame(ASK, 1), host.now_us)
        assert host.ask(ASK)["state"] == RUNNING
    assert len(clean) == len(spoiled)
    assert spoiled[:1] == clean[:1]
    # Frame counter and CRC apart, one bit of byte 3 is turned.
    assert clean[3] ^ spoiled[3] == 1 << 5
    answers_normally(host)


def test_corrupt_by_chance_depends_on_the_seed_alone():
    def errors(**settings: Any) -> list[int]:  # noqa: ANN401 - settings
        found = []
        for seed in (1, 1, 2):
            host = Host(seed=seed)
            with host.bench.faults.injected("corrupt", direction="to_device", chance=0.5, **settings):
                for _ in range(60):
                    host.send(frame(ASK, 5) + b"\x00")
            found.append(host.status()["errors"])
        return found

    first, again, other = errors()
    assert first == again != 0
    assert first != other or other > 0
    assert len(set(errors(seed=7))) == 1


def test_split(host: Host):
    with host.bench.faults.injected("split", direction="both", size=4, gap_us=100):
        # 8 bytes go in two pieces; STATUS, more than 100, comes in many.
        assert silent(host, ASK)
        length = 0
        for _ in range(60):
            host.now_us += 100
            got = host.bench.advance(host.now_us)
            assert len(got) <= 4
            length += len(got)
    assert length > 100
    answers_normally(host)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FITTING)
def test_each_fault_is_restored_when_its_context_breaks(host: Host, fault: str):
    def breaking() -> None:
        with host.bench.faults.injected(fault):
            host.pass_by(50_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    host.send(b"\x00")
    answers_normally(host)


@pytest.mark.parametrize("fault", FITTING)
def test_each_fault_is_restored_by_its_token(host: Host, fault: str):
    token = host.bench.faults.inject(fault)
    assert [one.token for one in host.bench.faults.standing()] == [token]
    host.pass_by(50_000)
    host.bench.faults.clear(token)
    host.send(b"\x00")
    answers_normally(host)


def test_all_faults_at_once_and_none_is_left():
    host = Host()
    host.run(RUN_TRAIN)
    for fault in FITTING:
        host.bench.faults.inject(fault)
    host.pass_by(1_000_000)
    host.bench.receive(frame(ASK, 1), host.now_us)
    assert [one.fault for one in host.bench.faults.standing()] == FITTING
    host.bench.faults.clear_all()
    host.pass_by(1_000_000)
    host.send(b"\x00")
    answers_normally(host)


def test_every_row_of_the_table_is_complete():
    for name, entry in FAULTS.items():
        assert entry.id == name
        assert entry.text.endswith(".")
        assert entry.correct
        assert entry.hazards
        assert all(hazard[0] == "H" and 1 <= int(hazard[1:]) <= 50 for hazard in entry.hazards)
        for key, setting in entry.settings.items():
            assert setting.read(key, setting.default) == setting.default
    assert {entry.layer for entry in FAULTS.values()} == {"body", "wire", "device", "host"}


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_fault_at_a_time_and_for_a_while(host: Host):
    host.bench.faults.inject("snap_off", at_us=host.now_us + 30_000, for_ms=40)
    (waiting,) = host.bench.faults.standing()
    assert not waiting.is_active
    host.wait(30_000)
    assert host.bench.faults.standing()[0].is_active
    host.wait(40_000)
    assert host.bench.faults.standing() == []
    host.wait(30_000)
    # Open from 75 to 115 ms.
    assert host.pulses() == [0, 20_000, 40_000, 60_000, 120_000, 140_000]


def test_a_fault_acts_at_its_exact_time_when_time_is_told_late(host: Host):
    host.bench.faults.inject("snap_off", at_us=host.now_us + 30_000, for_ms=40)
    host.jump(100_000)
    assert host.pulses() == [0, 20_000, 40_000, 60_000, 120_000, 140_000]


def test_a_fault_that_waits_can_be_called_off(host: Host):
    token = host.bench.faults.inject("snap_off", at_us=host.now_us + 30_000, for_ms=40)
    host.bench.faults.clear(token)
    host.wait(100_000)
    assert len(host.pulses()) == 8


def test_a_time_that_has_passed_is_now(host: Host):
    host.bench.faults.inject("snap_off", at_us=0)
    assert host.bench.faults.standing()[0].is_active
    assert host.bench.faults.standing()[0].at_us == host.now_us


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_faults_of_a_kind_end_in_any_order(host: Host, order: tuple[int, int]):
    tokens = [host.bench.faults.inject("dac_gain", gain=gain) for gain in (1.5, 2.0)]
    host.wait(20_000)
    assert host.block()["measured_ua"] == 40_000
    host.bench.faults.clear(tokens[order[0]])
    host.wait(20_000)
    assert host.block()["measured_ua"] == (40_000 if order[0] == 0 else 30_000)
    host.bench.faults.clear(tokens[order[1]])
    host.wait(20_000)
    assert host.block()["measured_ua"] == 20_000
    answers_normally(host)


@pytest.mark.parametrize(
    ("fault", "settings", "text"),
    [
        ("peal", {}, "fault='peal': expected one of peel"),
        ("peel", {"end": 1.5}, "end=1.5: expected a number from 0 to 1"),
        ("peel", {"ends": 1}, "ends=1: expected a key out of channel, start, end, over_ms, at_us, for_ms"),
        ("peel", {"channel": 3}, "channel=3: expected a channel from 1 to 2"),
        ("drop", {"direction": "up"}, "direction='up': expected one of to_device, to_host, both"),
        ("peel", {"at_us": -1}, "at_us=-1: expected a whole number of at least 0 or null"),
        ("peel", {"for_ms": 0}, "for_ms=0: expected a whole number of at least 1 or null"),
    ],
)
def test_what_cannot_be_injected(host: Host, fault: str, settings: dict[str, Any], text: str):
    with pytest.raises(BadSetting) as caught:
        host.bench.faults.inject(fault, **settings)
    assert str(caught.value).startswith(text)
    assert host.bench.faults.standing() == []


@pytest.mark.parametrize("fault", OTHERS_ONLY)
def test_a_fault_that_a_native_device_cannot_have_is_refused(host: Host, fault: str):
    with pytest.raises(NotThisDevice) as caught:
        host.bench.faults.inject(fault)
    assert str(caught.value) == f"fault='{fault}': a native device has none; it has {', '.join(FITTING)}"
    assert host.bench.faults.standing() == []


def test_an_unknown_token(host: Host):
    token = host.bench.faults.inject("dead_line")
    with pytest.raises(BadSetting, match=f"token='x': expected all or one of {token}"):
        host.bench.faults.clear("x")
    host.bench.faults.clear(token)
    with pytest.raises(BadSetting, match="expected all or one of none"):
        host.bench.faults.clear(token)


def test_faults_see_a_body_that_is_changed_under_them(host: Host):
    with host.bench.faults.injected("peel", end=0.5, over_ms=0):
        host.bench.bodies[0].skin = Skin(area_cm2=50.0)
        assert host.bench.bodies[0].at(host.now_us) == Skin(area_cm2=50.0, contact=0.5)
    assert host.bench.bodies[0].at(host.now_us) == Skin(area_cm2=50.0)
