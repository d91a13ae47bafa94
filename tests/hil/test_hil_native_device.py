"""The emulated native stimulator, driven by frames in virtual time: docs/native-protocol.md sections 2 to 4."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil.body import Skin
from hil.devices.native_words import Identity
from tests.hil.host import (
    ARMED,
    ASK,
    CUT,
    CUT_OFF,
    DEAD_MAN,
    ENVELOPE,
    ENVELOPE_END,
    HELLO,
    IDENTITY,
    NAK,
    NO_OHM,
    PATIENT_STOP,
    PLAIN,
    RUNNING,
    STATUS,
    STOP,
    STOPPED,
    SUPPLY,
    Host,
    frame,
    refused,
)

pytestmark = pytest.mark.hazard("H35")

TRAIN = (1, 20_000, 300, 100, 20_000)


@pytest.fixture
def host() -> Host:
    return Host()


# --- states -----------------------------------------------------------------------------------------------------------


def test_hello_identifies(host: Host):
    assert host.ask(HELLO) == {"type": IDENTITY, "flags": 127, "boot": 1, "model": "native-bench", "serial": "EMU-0001"}
    assert [event["kind"] for event in host.events] == [4]


def test_the_way_through_the_states(host: Host):
    assert host.status()["state"] == STOPPED
    assert host.arm()["state"] == ARMED
    assert host.drive(1, TRAIN)["state"] == RUNNING
    assert host.drive(2)["state"] == ARMED
    assert host.drive(3, TRAIN)["state"] == RUNNING
    assert host.ask(STOP)["state"] == STOPPED
    assert host.ask(STOP)["state"] == STOPPED
    assert host.ask(CUT)["state"] == CUT_OFF


def test_an_armed_device_gives_nothing(host: Host):
    host.arm()
    host.wait(400_000)
    assert host.pulses() == []


@pytest.mark.parametrize("end", [STOP, HELLO, CUT])
def test_every_way_to_end_the_output(host: Host, end: int):
    host.run(TRAIN)
    host.wait(50_000)
    host.ask(end)
    host.wait(2_000_000)
    assert host.pulses() == [0, 20_000, 40_000]


def test_hello_clears_faults_and_counters_and_disarms(host: Host):
    host.run(TRAIN)
    host.wait(600_000)
    assert host.status()["faults"] == DEAD_MAN
    host.ask(HELLO)
    status = host.status()
    assert (status["faults"], status["state"], status["permit"], status["grant"]) == (0, STOPPED, 0, 0)
    assert host.block() == dict.fromkeys(host.block(), 0) | {"channel": 1, "ohm": NO_OHM}


def test_cut_is_left_by_a_power_cycle_only(host: Host):
    host.run(TRAIN)
    assert host.ask(CUT)["state"] == CUT_OFF
    host.ask(HELLO)
    assert host.status()["state"] == CUT_OFF
    assert host.ask(STOP)["state"] == CUT_OFF
    assert refused(host.arm()) == 7
    host.bench.device.reset(host.now_us, power=False)
    assert host.status()["state"] == CUT_OFF
    host.bench.device.reset(host.now_us, power=True)
    assert host.status()["state"] == STOPPED
    host.run(TRAIN)


# --- pulses -----------------------------------------------------------------------------------------------------------


def test_a_train_is_what_was_asked_for(host: Host):
    host.run((1, 20_000, 300, 100, 20_000), (2, 12_500, 200, 0, 30_000))
    host.wait(60_000)
    assert host.pulses(1) == [0, 20_000, 40_000, 60_000]
    assert host.pulses(2) == [0, 30_000, 60_000]
    first, second = host.bench.scope.pulses(1)[0], host.bench.scope.pulses(2)[0]
    assert (first.first_ua, first.second_ua, first.charge_nc, first.net_nc) == (20_000, 20_000, 12_000, 0)
    assert (second.first_ua, second.second_ua, second.charge_nc, second.net_nc) == (12_500, 12_500, 5_000, 0)


def test_a_running_channel_keeps_its_rhythm(host: Host):
    host.run(TRAIN)
    host.wait(10_000)
    host.drive(2, (1, 30_000, 300, 100, 25_000), (2, 5_000, 300, 0, 25_000))
    host.wait(70_000)
    # The next pulse stays where it was; the new period counts from there.
    assert host.pulses(1) == [0, 20_000, 45_000, 70_000]
    assert [trace.first_ua for trace in host.bench.scope.pulses(1)] == [20_000, 30_000, 30_000, 30_000]
    assert host.pulses(2) == [10_000, 35_000, 60_000]


def test_a_channel_that_is_not_named_is_off_and_starts_at_once_when_named_again(host: Host):
    host.run(TRAIN, (2, 5_000, 300, 0, 20_000))
    host.wait(5_000)
    host.drive(2, (2, 5_000, 300, 0, 20_000))
    host.wait(40_000)
    host.drive(3, TRAIN, (2, 5_000, 300, 0, 20_000))
    host.wait(5_000)
    assert host.pulses(1) == [0, 45_000]
    assert host.pulses(2) == [0, 20_000, 40_000]


def test_a_train_without_current_keeps_the_rhythm_of_a_ramp(host: Host):
    host.run((1, 0, 300, 0, 20_000))
    host.wait(30_000)
    host.drive(2, TRAIN)
    host.wait(30_000)
    assert host.pulses() == [40_000, 60_000]
    assert host.block()["pulses"] == 4


@pytest.mark.parametrize("step_us", [1_000_000, 7_919, 20_000, 1])
def test_pulses_are_at_their_times_however_late_time_is_told(step_us: int):
    host = Host()
    host.run(TRAIN, (2, 5_000, 300, 0, 33_330))
    for _ in range(100_000 // step_us + 1):
        host.jump(step_us)
    assert [at for at in host.pulses(1) if at <= 100_000] == [0, 20_000, 40_000, 60_000, 80_000, 100_000]
    assert [at for at in host.pulses(2) if at <= 100_000] == [0, 33_330, 66_660, 99_990]


# --- dead man and lifetime --------------------------------------------------------------------------------------------


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("how", ["wait", "jump"])
def test_the_dead_man_acts_at_its_exact_time(host: Host, how: str):
    host.run((1, 20_000, 300, 0, 10_000))
    host.wait(3_000)
    host.feed(2)
    getattr(host, how)(10_000_000)
    # Fed at 3 ms: the pulse at 500 ms is given, the one at 510 ms is not.
    assert host.pulses()[-1] == 500_000
    assert host.status()["state"] == STOPPED
    assert host.status()["faults"] == DEAD_MAN
    assert host.events[1:] == [{"type": 0x8E, "seq": 1, "kind": 3, "channel": 0, "faults": DEAD_MAN}]


@pytest.mark.parametrize(("after_us", "type_", "state"), [(499_999, STATUS, RUNNING), (500_000, NAK, STOPPED)])
def test_the_last_moment_to_feed(host: Host, after_us: int, type_: int, state: int):
    host.run((1, 20_000, 300, 0, 250_000))
    host.wait(after_us)
    assert host.feed(2)["type"] == type_
    assert host.status()["state"] == state
    # A pulse due in the very microsecond of the dead man is not given.
    assert host.pulses() == [0, 250_000]


def test_an_armed_device_starves_too(host: Host):
    host.arm()
    host.wait(499_999)
    assert host.status()["state"] == ARMED
    host.wait(1)
    assert (host.status()["state"], host.status()["faults"]) == (STOPPED, DEAD_MAN)


def test_arm_drive_and_feed_feed_and_nothing_else_does(host: Host):
    host.arm()
    host.wait(400_000)
    host.drive(1, TRAIN)
    host.wait(400_000)
    host.feed(2)
    assert host.status()["fed_ago_ms"] == 0
    host.wait(200_000)
    host.ask(ASK)
    assert refused(host.feed(2)) == 6
    assert refused(host.feed(3, permit=8)) == 4
    assert refused(host.drive(3, (9, 1, 1, 1, 1))) == 10
    assert refused(host.arm()) == 3
    host.wait(299_999)
    assert host.status()["state"] == RUNNING
    assert host.status()["fed_ago_ms"] == 499
    host.wait(1)
    assert host.status()["state"] == STOPPED
    assert host.status()["fed_ago_ms"] == 65_535


def test_nothing_but_arm_brings_output_back(host: Host):
    host.run(TRAIN)
    host.wait(500_000)
    for answer in (host.feed(2), host.drive(3, TRAIN)):
        assert refused(answer) == 3
    host.ask(STOP)
    assert host.status()["faults"] == DEAD_MAN
    assert host.arm()["faults"] == 0
    assert host.drive(1, TRAIN)["state"] == RUNNING


@pytest.mark.parametrize("how", ["wait", "jump"])
def test_the_lifetime_ends_at_its_exact_time(host: Host, how: str):
    host.arm(lifetime_ms=90)
    host.drive(1, (1, 20_000, 300, 0, 10_000))
    getattr(host, how)(1_000_000)
    assert host.pulses() == list(range(0, 90_000, 10_000))
    assert (host.status()["state"], host.status()["faults"]) == (STOPPED, ENVELOPE_END)


def test_feeding_does_not_stretch_the_lifetime(host: Host):
    host.arm(lifetime_ms=1_000)
    host.drive(1, TRAIN)
    host.keep(range(2, 11))
    assert host.status()["state"] == RUNNING
    host.wait(100_000)
    assert (host.status()["state"], host.status()["faults"]) == (STOPPED, ENVELOPE_END)
    assert host.pulses()[-1] == 980_000


# --- envelopes --------------------------------------------------------------------------------------------------------

ENVELOPED = (1, 40_000, 400, 25_000, 10**9)
INSIDE = (1, 40_000, 400, 0, 25_000)


@pytest.mark.parametrize("armed_only", [True, False])
@pytest.mark.parametrize(
    "train",
    [
        (1, 40_100, 400, 0, 25_000),
        (1, 40_001, 400, 0, 25_000),
        (1, 40_000, 401, 0, 25_000),
        (1, 40_000, 400, 0, 24_990),
        (1, 40_000, 400, 0, 24_999),
        (2, 1_000, 400, 0, 25_000),
    ],
)
@pytest.mark.hazard("H28")
def test_one_unit_outside_the_envelope_stops_the_device(*, train: tuple[int, int, int, int, int], armed_only: bool):
    host = Host()
    host.arm(ENVELOPED)
    if not armed_only:
        host.drive(1, INSIDE)
    assert refused(host.drive(2, train)) == 5
    status = host.status()
    assert (status["state"], status["faults"]) == (STOPPED, ENVELOPE)
    assert host.events[-1]["kind"] == 3
    assert host.events[-1]["faults"] == ENVELOPE
    host.wait(1_000_000)
    assert len(host.pulses()) == (0 if armed_only else 1)


@pytest.mark.parametrize(
    "train",
    [
        INSIDE,
        (1, 39_900, 400, 0, 25_000),
        (1, 40_000, 399, 0, 25_000),
        (1, 40_000, 400, 0, 25_010),
        (1, 0, 20, 0, 1_000_000),
    ],
)
def test_the_envelope_itself_is_inside(host: Host, train: tuple[int, int, int, int, int]):
    host.arm(ENVELOPED)
    assert host.drive(1, train)["state"] == RUNNING


@pytest.mark.parametrize(
    ("train", "fits"),
    [
        ((1, 100_000, 500, 7_000, 8_000), True),  # 500 + 7,000 + 500 fills the period
        ((1, 100_000, 500, 7_001, 8_000), False),
        ((1, 100_100, 500, 0, 8_000), False),
        ((1, 50, 300, 0, 20_000), False),  # half a step
        ((1, 100, 20, 0, 20_000), True),
        ((1, 100, 19, 0, 20_000), False),
        ((1, 100, 501, 0, 20_000), False),
        ((1, 100, 300, 0, 7_990), False),
        ((1, 100, 300, 0, 20_005), False),
        ((1, 100, 300, 0, 1_000_010), False),
    ],
)
def test_the_devices_own_range(host: Host, train: tuple[int, int, int, int, int], *, fits: bool):
    host.arm()
    answer = host.drive(1, train)
    if fits:
        assert answer["state"] == RUNNING
    else:
        assert refused(answer) == 5
        assert host.status()["state"] == STOPPED


@pytest.mark.parametrize(
    ("envelope", "fits"),
    [
        ((1, 100_000, 500, 8_000, 2**64 - 1), True),
        ((1, 100_001, 500, 8_000, 1), False),
        ((1, 100_000, 501, 8_000, 1), False),
        ((1, 100_000, 500, 7_999, 1), False),
        ((1, 0, 0, 2**32 - 1, 0), True),
    ],
)
def test_an_envelope_above_the_device_changes_nothing(
    host: Host, envelope: tuple[int, int, int, int, int], *, fits: bool
):
    answer = host.arm(envelope)
    if fits:
        assert answer["state"] == ARMED
    else:
        assert refused(answer) == 5
        assert (host.status()["state"], host.status()["faults"]) == (STOPPED, 0)


def test_arm_without_time_changes_nothing(host: Host):
    assert refused(host.arm(lifetime_ms=0)) == 5
    assert host.status()["state"] == STOPPED


@pytest.mark.hazard("H18")
@pytest.mark.parametrize(("budget_nc", "pulses"), [(11_999, 0), (12_000, 1), (35_999, 2), (36_000, 3)])
def test_the_charge_budget_ends_before_the_pulse_that_would_exceed_it(host: Host, budget_nc: int, pulses: int):
    host.arm((1, 100_000, 500, 8_000, budget_nc), (2, 100_000, 500, 8_000, 10**12))
    host.drive(1, TRAIN, (2, 20_000, 300, 0, 10_000))
    host.wait(400_000)
    status = host.status()
    assert (status["state"], status["faults"]) == (STOPPED, ENVELOPE)
    assert len(host.pulses(1)) == pulses
    assert host.bench.scope.charge_nc(1) == pulses * 12_000
    assert status["channels"][0]["charge_nc"] == pulses * 12_000
    # The whole device stops with it, in the same microsecond.
    assert all(at < 20_000 * pulses for at in host.pulses(2))


def test_the_budget_counts_what_was_delivered_and_starts_anew_with_arm(host: Host):
    host = Host(Skin(lead_off=True), PLAIN)
    host.arm((1, 100_000, 500, 8_000, 12_000))
    host.drive(1, TRAIN)
    host.wait(100_000)
    assert host.status()["state"] == RUNNING
    assert host.block()["charge_nc"] == 0
    host.ask(STOP)
    host.bench.bodies[0].skin = PLAIN
    for _ in range(2):
        host.arm((1, 100_000, 500, 8_000, 12_000))
        host.drive(1, TRAIN)
        host.wait(100_000)
        assert (host.status()["faults"], host.block()["charge_nc"]) == (ENVELOPE, 12_000)
    assert len(host.pulses()) == 2


# --- permit and grant -------------------------------------------------------------------------------------------------


def test_any_grant_is_greater_after_arm(host: Host):
    host.arm()
    assert host.feed(0)["grant"] == 0
    assert refused(host.feed(0)) == 6
    host.ask(STOP)
    host.arm()
    assert host.drive(0, TRAIN)["state"] == RUNNING


def test_a_late_frame_never_energises(host: Host):
    host.run(TRAIN)
    host.drive(5)
    for grant in (5, 4, 1, 0):
        assert refused(host.drive(grant, TRAIN)) == 6
    assert host.status()["state"] == ARMED
    assert host.status()["grant"] == 5
    assert host.drive(6, TRAIN)["state"] == RUNNING


# --- patient stop -----------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H33")
def test_the_patient_stop(host: Host):
    host.run(TRAIN)
    host.wait(30_000)
    host.bench.device.model.press(host.now_us)
    host.wait(0)
    assert [event["kind"] for event in host.events] == [4, 1]
    assert host.events[-1]["faults"] == PATIENT_STOP
    status = host.status()
    assert (status["state"], status["faults"], status["button"]) == (STOPPED, PATIENT_STOP, 0b11)
    assert refused(host.arm()) == 9
    assert refused(host.probe(1)) == 9
    assert refused(host.drive(2, TRAIN)) == 3
    host.bench.device.model.release()
    host.wait(0)
    assert host.events[-1]["kind"] == 2
    assert host.status()["button"] == 0b10
    assert host.arm()["faults"] == 0
    assert host.pulses() == [0, 20_000]


def test_presses_are_counted_modulo_128(host: Host):
    for _ in range(130):
        host.bench.device.model.press(host.now_us)
        host.bench.device.model.press(host.now_us)
        host.bench.device.model.release()
        host.bench.device.model.release()
    host.wait(0)
    assert host.status()["button"] == 2 << 1
    assert len(host.events) == 1 + 260


# --- supply and reset -------------------------------------------------------------------------------------------------


@pytest.mark.hazard("H50")
@pytest.mark.parametrize(("mv", "is_good"), [(10_799, False), (10_800, True), (13_200, True), (13_201, False)])
def test_the_supply_band(host: Host, mv: int, *, is_good: bool):
    host.run(TRAIN)
    with host.bench.faults.injected("supply", mv=mv):
        host.wait(0)
        status = host.status()
        assert status["supply_mv"] == mv
        assert (status["state"], status["faults"]) == ((RUNNING, 0) if is_good else (STOPPED, SUPPLY))
        host.ask(STOP)
        assert host.arm().get("code") == (None if is_good else 8)
    host.ask(STOP)
    assert host.status()["supply_mv"] == 12_000
    assert host.arm()["state"] == ARMED


@pytest.mark.hazard("H13")
def test_a_reset_starts_everything_anew(host: Host):
    host.run(TRAIN)
    host.wait(250_000)
    host.bench.device.reset(host.now_us, power=True)
    host.wait(3_000)
    status = host.status()
    assert (status["boot"], status["uptime_ms"], status["frames"], status["errors"]) == (2, 3, 1, 0)
    assert (status["state"], status["faults"], status["permit"], status["button"]) == (STOPPED, 0, 0, 0)
    assert [event["kind"] for event in host.events] == [4, 4]
    assert host.ask(HELLO)["boot"] == 2
    host.wait(1_000_000)
    assert host.pulses()[-1] == 240_000


def test_a_reset_forgets_half_a_frame(host: Host):
    stop = frame(STOP, 9)
    host.send(stop[:5])
    host.bench.device.reset(host.now_us, power=True)
    assert host.send(stop[5:]) == []
    status = host.status()
    assert (status["frames"], status["errors"]) == (1, 1)


def test_the_boot_number_wraps():
    host = Host(identity=Identity(boot=2**32 - 1))
    host.bench.device.reset(host.now_us, power=True)
    assert host.status()["boot"] == 0


def test_uptime_and_counters(host: Host):
    host.wait(61_250_999)
    status = host.status()
    assert (status["uptime_ms"], status["frames"], status["errors"]) == (61_250, 1, 0)
    host.send(b"\x05\x00\x02\x00")
    status = host.status()
    assert (status["frames"], status["errors"]) == (2, 2)


def test_up_to_eight_channels():
    host = Host(*[PLAIN] * 8)
    host.run(*((channel, 1_000 * channel, 300, 0, 20_000) for channel in range(1, 9)))
    host.wait(1_000)
    assert [block["measured_ua"] for block in host.status()["channels"]] == [1_000 * n for n in range(1, 9)]


def test_the_same_story_twice_gives_the_same_bytes():
    def story() -> tuple[list[object], list[object]]:
        host = Host(Skin(), replace(PLAIN, area_cm2=9.0), seed=3)
        host.run(TRAIN, (2, 50_000, 500, 50, 10_000))
        host.bench.faults.inject("corrupt", chance=0.3)
        host.bench.faults.inject("peel", over_ms=200)
        for grant in range(2, 12):
            host.wait(31_000)
            host.send(b"\x00" + grant.to_bytes())
        return list(host.bench.tape.since()), list(host.bench.scope.pulses(2))

    first, second = story(), story()
    assert first == second
    assert len(first[0]) > 10
    assert len(first[1]) > 20
