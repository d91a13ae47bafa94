"""What the emulated native stimulator measures and tells: probes, self-test, channel blocks, electrode events."""

from __future__ import annotations

import pytest

from hil.body import Skin
from hil.devices.native_model import imbalance
from hil.devices.output import Sensed
from tests.hil.host import (
    ARMED,
    CLIP,
    FRESH,
    HELLO,
    INTERNAL,
    NO_OHM,
    OPEN,
    PROBED,
    SELFTEST,
    SELFTESTED,
    SHORT,
    STOP,
    STOPPED,
    Host,
    refused,
)

pytestmark = pytest.mark.hazard("H35")

TRAIN = (1, 20_000, 300, 100, 20_000)


@pytest.fixture
def host() -> Host:
    return Host()


# --- probe and self-test ----------------------------------------------------------------------------------------------


def test_a_probe_measures_and_is_no_part_of_the_session(host: Host):
    # 1 mA for 300 us on the plain load of the table: 1,564 ohm.
    assert host.probe(1) == {"type": PROBED, "channel": 1, "ohm": 1_564, "measured_ua": 1_000, "flags": FRESH}
    assert host.bench.scope.charge_nc(1) == 600
    assert host.block()["pulses"] == 0
    assert host.status()["state"] == STOPPED


@pytest.mark.parametrize(
    ("skin", "expected"),
    [
        (Skin(lead_off=True), {"ohm": NO_OHM, "measured_ua": 0, "flags": OPEN | CLIP | FRESH}),
        (Skin(resistor_ohm=20.0), {"ohm": 20, "measured_ua": 1_000, "flags": SHORT | FRESH}),
        (Skin(resistor_ohm=99.4), {"ohm": 99, "measured_ua": 1_000, "flags": SHORT | FRESH}),
        (Skin(resistor_ohm=100.0), {"ohm": 100, "measured_ua": 1_000, "flags": FRESH}),
        (Skin(resistor_ohm=500.0), {"ohm": 500, "measured_ua": 1_000, "flags": FRESH}),
        # 150 V over 157,000 ohm: 955 uA, within 5 %; over 159,000: 943 uA.
        (Skin(resistor_ohm=157_000.0), {"ohm": 157_000, "measured_ua": 955, "flags": FRESH}),
        (Skin(resistor_ohm=159_000.0), {"ohm": 159_000, "measured_ua": 943, "flags": CLIP | FRESH}),
        (Skin(resistor_ohm=299_000.0), {"ohm": 299_000, "measured_ua": 502, "flags": CLIP | FRESH}),
        (Skin(resistor_ohm=301_000.0), {"ohm": 301_000, "measured_ua": 498, "flags": OPEN | CLIP | FRESH}),
    ],
)
def test_what_a_probe_says_of_loads(skin: Skin, expected: dict[str, int]):
    assert Host(skin).probe(1) == {"type": PROBED, "channel": 1, **expected}


@pytest.mark.parametrize(
    ("ua", "width_us", "fits"),
    [
        (2_000, 500, True),
        (2_100, 500, False),
        (2_001, 500, False),
        (2_000, 501, False),
        (100, 20, True),
        (100, 19, False),
        (0, 300, False),
        (1_050, 300, False),
    ],
)
def test_the_range_of_a_probe(host: Host, ua: int, width_us: int, *, fits: bool):
    answer = host.probe(1, ua=ua, width_us=width_us)
    if fits:
        assert answer["measured_ua"] == ua
    else:
        assert refused(answer) == 5
        assert (host.status()["state"], host.status()["faults"]) == (STOPPED, 0)
        assert host.pulses() == []
        # A refused probe has not used its grant up.
        assert host.probe(1)["type"] == PROBED


def test_a_probe_brings_its_own_permit(host: Host):
    assert host.probe(4)["type"] == PROBED
    assert refused(host.probe(4)) == 6
    assert refused(host.probe(3)) == 6
    assert host.probe(5)["type"] == PROBED
    assert host.probe(0, permit=9)["type"] == PROBED
    assert refused(host.probe(0, permit=9)) == 6


def test_a_device_that_fails_its_self_test_cannot_be_armed(host: Host):
    with host.bench.faults.injected("failed_self_test", result=5):
        assert host.ask(SELFTEST) == {"type": SELFTESTED, "result": 5}
    assert host.events[-1]["faults"] == INTERNAL
    assert host.status()["faults"] == INTERNAL
    for answer in (host.arm(), host.probe(1)):
        assert refused(answer) == 8
    host.ask(HELLO)
    assert host.status()["faults"] == 0
    assert refused(host.arm()) == 8
    assert host.ask(SELFTEST) == {"type": SELFTESTED, "result": 0}
    assert host.arm()["state"] == ARMED


# --- readback ---------------------------------------------------------------------------------------------------------


def test_the_block_of_a_running_channel(host: Host):
    host.run(TRAIN)
    host.wait(50_000)
    assert host.block() == {
        "channel": 1,
        "flags": FRESH,
        "set_ua": 20_000,
        "set_width_us": 300,
        "set_gap_us": 100,
        "set_period_us": 20_000,
        "measured_ua": 20_000,
        "ohm": 1_564,
        "pulses": 3,
        "charge_nc": 36_000,
        "clipped": 0,
        "imbalance": 0,
    }
    assert host.block(2) == dict.fromkeys(host.block(2), 0) | {"channel": 2, "ohm": NO_OHM}


@pytest.mark.hazard("H15")
@pytest.mark.parametrize(
    ("first_pc", "second_pc", "tells"),
    [
        (6_000_000, 6_000_000, 0),
        (6_000_000, 6_000_001, 1),
        (6_000_000, 5_994_000, 1),
        (6_000_000, 5_993_999, 2),
        (6_000_000, 7_524_000, 254),
        (6_000_000, 7_524_001, 255),
        (6_000_000, 0, 255),
        (0, 1, 255),
        (0, 0, 0),
    ],
)
def test_the_imbalance_is_told_in_thousandths_of_the_first_phase_rounded_up(first_pc: int, second_pc: int, tells: int):
    assert imbalance(Sensed(1, 1.0, 1.0, first_pc, second_pc)) == tells


def test_measurements_are_fresh_once(host: Host):
    host.run(TRAIN)
    host.wait(1_000)
    assert [host.block()["flags"] for _ in range(2)] == [FRESH, 0]
    host.wait(20_000)
    assert [host.block()["flags"] for _ in range(2)] == [FRESH, 0]


def test_counts_stay_after_stop_until_arm(host: Host):
    host.run(TRAIN)
    host.wait(30_000)
    host.ask(STOP)
    block = host.block()
    assert (block["pulses"], block["charge_nc"], block["set_ua"]) == (2, 24_000, 0)
    assert host.arm()["channels"][0] == block | dict.fromkeys(block, 0) | {"channel": 1, "ohm": NO_OHM}


def test_charge_is_rounded_up(host: Host):
    # 100 uA for 21 us twice is 4.2 nC.
    host.run((1, 100, 21, 0, 20_000))
    host.wait(0)
    assert host.block()["charge_nc"] == 5
    host.wait(20_000)
    assert host.block()["charge_nc"] == 9


def test_clipped_pulses_are_counted_in_a_row_up_to_255():
    host = Host(Skin(area_cm2=9.0, hydration=0.0, yield_ma_cm2=None))
    host.run((1, 45_000, 300, 0, 8_000))
    host.wait(16_000)
    block = host.block()
    # 806 ohm in series let the first moment pass unclipped: the peak is the set current.
    assert (block["flags"], block["measured_ua"], block["pulses"]) == (CLIP | FRESH, 45_000, 3)
    assert block["charge_nc"] < 3 * 27_000
    assert block["clipped"] == 3
    host.keep(range(2, 25))
    assert host.block()["clipped"] == 255
    host.drive(30, (1, 10_000, 300, 0, 8_000))
    host.wait(8_000)
    assert host.block()["clipped"] == 0


def test_an_electrode_that_opens_is_told_once_and_again_when_it_opens_again(host: Host):
    host.run(TRAIN)
    host.wait(30_000)
    for _ in range(2):
        token = host.bench.faults.inject("snap_off", channel=1)
        host.wait(40_000)
        assert host.block()["flags"] == OPEN | CLIP | FRESH
        host.bench.faults.clear(token)
        host.wait(40_000)
        assert host.block()["flags"] == FRESH
    kinds = [(event["kind"], event["channel"]) for event in host.events]
    assert kinds == [(4, 0), (5, 1), (5, 1)]


def test_a_short_is_told_within_the_pulse_that_saw_it(host: Host):
    host.run(TRAIN)
    host.wait(30_000)
    with host.bench.faults.injected("short", channel=1):
        host.wait(9_999)
        assert host.events[-1]["kind"] == 4
        host.wait(1)
        assert (host.events[-1]["kind"], host.events[-1]["channel"]) == (5, 1)
