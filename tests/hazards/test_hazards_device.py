"""A stimulator that fails: it hangs, restarts, gives more or other than it was told, or is cut off from its supply."""

from __future__ import annotations

import asyncio

from tests.hazards.papers import PERIOD_US, PULSE_NC, nmes, rx
from tests.hazards.story import story
from tests.hazards.ward import DEAD_MAN_US, TICK_US, Ward

DEAD_MAN = DEAD_MAN_US["native"]
WORD_US = 100_000
"""The device is asked ten times a second how it is."""
SEEN_US = WORD_US + TICK_US
CUT_US = 250_000
SILENCE_US = 500_000
"""M04 pauses a native device that has said nothing for so long."""


async def comes_back(ward: Ward, by: str = "biomed-1") -> None:
    """Nothing flows when the fault is gone; cleared by whoever may, and begun anew, it does."""
    gone_us = ward.now_us
    ward.mend()
    await asyncio.sleep(2)
    ward.silent(gone_us)
    await ward.reaches("idle")
    await ward.handed(by)
    await ward.running()
    await ward.steady()


# H10


@story(
    "H10",
    rules="M29",
    golden="""
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    session.stop: succeeded OK
    stop.confirmed
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.closed
    session.prepare: rejected DEV.WATCHDOG [G23 G27]
""",
)
async def test_h10_a_stop_that_is_answered_and_not_obeyed_is_said_again_then_cut(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("ignored_stop")
    asked_us = ward.now_us
    await ward.must("session.stop")
    await ward.zero(asked_us, CUT_US + 2 * TICK_US)
    assert (ward.sent()["stop"] >= 3, ward.sent()["cut"] >= 1) == (True, True)
    assert "M29 maintenance" in ward.latches()
    await ward.refused("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"})


@story(
    "H10",
    rules="M29",
    golden="""
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    session.stop: succeeded OK
    stop.confirmed
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.closed
""",
)
async def test_h10_a_stop_that_is_neither_answered_nor_obeyed_is_cut(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("silent_stop")
    asked_us = ward.now_us
    await ward.must("session.stop")
    await ward.zero(asked_us, CUT_US + 2 * TICK_US)
    assert "M29 maintenance" in ward.latches()


@story(
    "H10",
    rules="M29",
    golden="""
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    session.stop: succeeded OK
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
""",
)
async def test_h10_a_stop_on_a_line_that_carries_nothing_is_the_dead_mans_and_somebody_is_called(ward: Ward) -> None:
    await ward.flowing()
    dead_us = ward.fault("dead_line")
    await ward.must("session.stop")
    await ward.zero(dead_us, DEAD_MAN)
    assert "M29 maintenance" in ward.latches()


@story(
    "H10",
    golden="""
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    stop: succeeded OK
    stop.confirmed
    session.closed
""",
)
async def test_h10_a_stop_is_obeyed_at_once_and_only_where_it_was_asked(ward: Ward) -> None:
    await ward.flowing()
    asked_us = ward.now_us
    await ward.must("stop", by="auditor-1")
    await ward.zero(asked_us, 20_000)
    await ward.again()


# H12


@story(
    "H12",
    rules="M04 M29",
    golden="""
    session.held (low) DEV.LOST [M04]
    fault.latched DEV.LOST [M04]
    session.paused (medium) DEV.LOST [M04]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.stopped (high) DEV.STOP_UNCONFIRMED [M29]
""",
)
async def test_h12_firmware_that_hangs_with_its_output_on_is_ended_by_the_dead_man(ward: Ward) -> None:
    await ward.flowing()
    hung_us = ward.fault("hung_firmware", output=True)
    await ward.zero(hung_us, DEAD_MAN)
    assert "M29 maintenance" in ward.latches()


@story(
    "H12",
    rules="M04 M29",
    golden="""
    session.held (low) DEV.LOST [M04]
    fault.latched DEV.LOST [M04]
    session.paused (medium) DEV.LOST [M04]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.stopped (high) DEV.STOP_UNCONFIRMED [M29]
""",
)
async def test_h12_without_a_dead_man_either_it_is_cut(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("lost_dead_man")
    hung_us = ward.fault("hung_firmware", output=True)
    await ward.zero(hung_us, SILENCE_US + TICK_US + CUT_US + TICK_US)
    assert ward.sent()["cut"] >= 1
    assert "M29 maintenance" in ward.latches()


@story(
    "H12",
    rules="M04",
    golden="""
    session.held (low) DEV.LOST [M04]
    fault.latched DEV.LOST [M04]
    session.paused (medium) DEV.LOST [M04]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.stopped (high) DEV.STOP_UNCONFIRMED [M29]
    stop.confirmed
    session.closed
""",
)
async def test_h12_answers_that_come_late_are_none_and_a_little_late_is_well(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("slow_answers", delay_ms=20)
    await ward.steady(2)
    slow_us = ward.fault("slow_answers", delay_ms=900)
    await ward.hears("session.paused")
    await ward.zero(slow_us, SILENCE_US + 2 * TICK_US + WORD_US)


# H13, H50


@story(
    "H13",
    rules="M30 G23",
    golden="""
    fault.latched DEV.RESET [M30]
    fault.latched DEV.WATCHDOG [M04]
    session.stopped (medium) DEV.RESET [M30 M04]
    stop.confirmed
    session.closed
    session.start: rejected SES.STATE [-]
""",
)
async def test_h13_a_device_that_restarts_stays_off_until_somebody_begins_anew(ward: Ward) -> None:
    await ward.flowing()
    reset_us = ward.fault("device_reset")
    await ward.zero(reset_us, 0)
    assert await ward.refused("session.start") == ("SES.STATE", None)
    await comes_back(ward)


@story(
    "H13",
    "H50",
    rules="M30 G23",
    golden="""
    fault.latched DEV.RESET [M30]
    fault.latched DEV.WATCHDOG [M04]
    session.stopped (medium) DEV.RESET [M30 M04]
    stop.confirmed
    session.closed
""",
)
async def test_h13_a_device_whose_power_was_gone_for_a_moment_stays_off(ward: Ward) -> None:
    await ward.flowing()
    reset_us = ward.fault("device_reset", power_cycle=True)
    await ward.zero(reset_us, 0)
    await comes_back(ward)


@story(
    "H50",
    rules="M28",
    golden="""
    fault.latched DEV.SUPPLY [M28]
    fault.latched DEV.WATCHDOG [M04]
    session.stopped (medium) DEV.SUPPLY [M28 M04]
    stop.confirmed
    session.closed
""",
)
async def test_h50_a_supply_below_its_band_pauses_and_far_below_it_stops(ward: Ward) -> None:
    await ward.flowing()
    low_us = ward.fault("supply", mv=9_000)
    await ward.hears("stop.confirmed")
    await ward.zero(low_us, SEEN_US)
    await comes_back(ward)


@story("H50", rules="M28", golden="")
async def test_h50_a_supply_at_the_edge_of_its_band_is_enough(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("supply", mv=10_800)
    await ward.steady(2)


@story(
    "H50",
    rules="M04 M29",
    golden="""
    session.held (low) DEV.LOST [M04]
    fault.latched DEV.LOST [M04]
    session.paused (medium) DEV.LOST [M04]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    session.stopped (high) DEV.STOP_UNCONFIRMED [M29]
    stop.confirmed
    session.closed
""",
)
async def test_h50_a_brown_out_ends_it_and_the_supply_that_is_back_begins_nothing(ward: Ward) -> None:
    await ward.flowing()
    out_us = ward.fault("brown_out", for_ms=1_500)
    await ward.hears("session.closed")
    await ward.zero(out_us, 0)
    await comes_back(ward)


# H14, H36


@story(
    "H14",
    rules="M01",
    over_ua=26_000,
    golden="""
    fault.latched DEV.READBACK_MISMATCH [M01]
    session.stopped (high) DEV.READBACK_MISMATCH [M01]
    stop.confirmed
    session.closed
    session.prepare: rejected FLT.LATCHED [G27]
""",
)
async def test_h14_a_third_more_than_was_set_locks_the_device_at_the_second_reading(ward: Ward) -> None:
    await ward.flowing()
    more_us = ward.fault("dac_gain", gain=1.3)
    await ward.hears("session.closed")
    await ward.zero(more_us, 2 * WORD_US + TICK_US)
    assert ward.latches() == ["M01 maintenance"]
    assert await ward.refused("session.prepare", {"prescription_id": "rx-1@1", "patient_ref": "p-1"}) == (
        "FLT.LATCHED", "G27",
    )  # fmt: skip
    await comes_back(ward)


@story(
    "H14",
    rules="M01",
    over_ua=40_000,
    golden="""
    fault.latched DEV.READBACK_MISMATCH [M01]
    session.stopped (high) DEV.READBACK_MISMATCH [M01]
    stop.confirmed
    session.closed
""",
)
async def test_h14_a_stage_that_sticks_high_locks_the_device(ward: Ward) -> None:
    await ward.flowing()
    stuck_us = ward.fault("stuck_dac", ua=40_000)
    await ward.hears("session.closed")
    await ward.zero(stuck_us, 2 * WORD_US + TICK_US)
    assert ward.latches() == ["M01 maintenance"]


@story("H14", "H36", rules="M01", over_ua=21_800, is_counted=False, golden="")
async def test_h14_a_little_more_inside_the_devices_own_accuracy_is_no_fault(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("dac_gain", gain=1.09)
    await ward.steady(3, ua=21_800)


@story("H14", over_ua=26_000, is_counted=False, golden="")
async def test_h14_what_no_readback_can_see_the_scope_sees(ward: Ward) -> None:
    """Over-delivery behind the sense resistor: nothing in the controller can know; the rail and the window bound it."""
    await ward.flowing()
    ward.fault("over_delivery", gain=1.3)
    await ward.steady(2, ua=26_000)


@story(
    "H36",
    rules="M01",
    over_ua=26_000,
    golden="""
    fault.latched DEV.READBACK_MISMATCH [M01]
    session.stopped (high) DEV.READBACK_MISMATCH [M01]
    stop.confirmed
    session.closed
""",
)
async def test_h36_an_output_that_something_nearby_lifts_again_and_again_is_ended(ward: Ward) -> None:
    """Noise of a third on the output, from 0.3 s to 0.3 s; how it comes about is G05's question (diathermy)."""
    await ward.flowing()
    first_us = ward.fault("dac_gain", gain=1.3, for_ms=300)
    for number in range(1, 5):
        ward.fault("dac_gain", gain=1.3 if number % 2 else 0.8, at_us=first_us + number * 300_000, for_ms=300)
    await ward.hears("session.closed")
    await ward.zero(first_us, 2 * WORD_US + TICK_US)


# H15


@story(
    "H15",
    rules="M16",
    golden="""
    fault.latched DEV.IMBALANCE [M16]
    session.stopped (high) DEV.IMBALANCE [M16]
    stop.confirmed
    session.closed
""",
)
async def test_h15_a_second_phase_that_is_missing_locks_the_device(ward: Ward) -> None:
    """Net charge is judged over a second; until then half pulses flow: up to 0.83 s, 34 pulses, 204 uC net."""
    await ward.flowing()
    cause_us = ward.fault("missing_phase_2")
    await ward.hears("session.closed")
    await ward.zero(cause_us, 1_000_000)
    if not ward.is_real:
        net_nc = sum(pulse.net_nc for pulse in ward.pulses(since_us=cause_us))
        assert 0 < net_nc <= PULSE_NC / 2 * (1_000_000 // PERIOD_US + 1)
    assert ward.latches() == ["M16 maintenance"]
    await comes_back(ward)


@story(
    "H15",
    rules="M16",
    golden="""
    fault.latched DEV.IMBALANCE [M16]
    session.stopped (high) DEV.IMBALANCE [M16]
    stop.confirmed
    session.closed
""",
)
async def test_h15_a_second_phase_that_is_a_little_short_is_seen_within_a_second(ward: Ward) -> None:
    await ward.flowing()
    cause_us = ward.fault("missing_phase_2", fraction=0.97)
    await ward.hears("session.closed")
    await ward.zero(cause_us, 1_000_000 + SEEN_US)


@story("H15", rules="M16", golden="")
async def test_h15_phases_that_are_alike_within_the_devices_accuracy_are_well(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("missing_phase_2", fraction=0.99)
    since_us = ward.now_us
    await ward.steady(3)
    assert 0 < sum(pulse.net_nc for pulse in ward.pulses(since_us=since_us)) < 3 * 40 * PULSE_NC / 2 * 0.011


# H16

PAUSED = ("fault.latched", "session.paused (medium)")
ZEROES = 30
"""More bits than there are whose turning makes a byte of a word zero, which ends a frame, or joins two words."""


def one_of_many(ward: Ward, number: int) -> str:
    """A prescription of its own for each session, so that no dose of another counts."""
    return rx(ward.wall_ms, id=f"rx-{number}", patient=f"p-{number}", on_ms=1_198_000, therapy_ms=1_200_000)


@story(
    "H16",
    rules="M27",
    golden="""
    fault.latched DEV.READBACK_MISMATCH [M27]
    session.stopped (high) DEV.READBACK_MISMATCH [M27]
    stop.confirmed
    session.closed
""",
)
async def test_h16_an_echo_of_another_current_locks_the_device(ward: Ward) -> None:
    await ward.flowing()
    cause_us = ward.fault("wrong_echo", offset_ua=1_000)
    await ward.hears("session.closed")
    await ward.zero(cause_us, SEEN_US)
    assert ward.latches() == ["M27 maintenance"]
    await comes_back(ward)


@story(
    "H16",
    rules="M26",
    golden="""
    fault.latched DEV.PROTOCOL [M26]
    session.paused (medium) DEV.PROTOCOL [M26]
    fault.latched DEV.PROTOCOL [M26]
    session.stopped (medium) DEV.PROTOCOL [M26]
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
""",
)
async def test_h16_words_that_are_all_damaged_end_it(ward: Ward) -> None:
    await ward.flowing()
    cause_us = ward.fault("corrupt", direction="to_host", byte=3, bit=2)
    await ward.hears("session.paused")
    await ward.zero(cause_us, SILENCE_US)


@story("H16", rules="M26", golden="")
async def test_h16_one_damaged_frame_now_and_then_is_borne_whichever_bit_it_is(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("corrupt_each_bit", direction="to_device", every=37)
    ward.fault("corrupt_each_bit", direction="to_host", every=41)
    await ward.steady(8)


@story("H16", rules="M26", golden="")
async def test_h16_bytes_in_pieces_change_nothing(ward: Ward) -> None:
    await ward.turned_on()
    ward.fault("split", size=3, gap_us=100)
    await ward.running(ward.prescribe())
    await ward.steady(2)


@story(
    "H16",
    rules="M26",
    golden="""
    fault.latched DEV.PROTOCOL [M26]
    session.stopped (medium) DEV.PROTOCOL [M26]
    stop.confirmed
    session.closed
""",
)
async def test_h16_an_answer_that_nobody_awaits_ends_it(ward: Ward) -> None:
    """A line that doubles bytes is not borne: one frame or answer too many stops it, measured within 0.1 s."""
    await ward.flowing()
    twice_us = ward.fault("duplicate", direction="both")
    await ward.hears("session.closed")
    await ward.zero(twice_us, 3 * WORD_US)


BITS = "every bit of a frame takes its second: minutes of real time"


@story("H16", rules="M26 M27", virtual_only=BITS, golden="")
async def test_h16_a_bit_of_each_byte_that_the_device_says_changes_nothing_that_flows(ward: Ward) -> None:
    """A bit of each byte in turn, each of the eight; every bit of every frame is a matter of tests/hil and tests/fuzz.

    Where a turned bit ends a frame too early, two pieces are damaged: that pauses, as two in a second do.
    """
    await ward.turned_on()
    paused = number = 0
    await ward.running(ward.prescribe(one_of_many(ward, number)), f"p-{number}")
    word = [chunk.data for chunk in ward.bench.tape.since() if chunk.direction == "to_host"][-1]
    for number_of_bit in range(0, 8 * len(word), 13):
        byte, bit = divmod(number_of_bit, 8)
        turned_us = ward.fault("corrupt", direction="to_host", nth=1, byte=byte, bit=bit)
        await asyncio.sleep(1.1)
        ward.mend()
        if ward.summary()["phase"] == "running":
            assert {pulse.first_ua for pulse in ward.pulses(since_us=turned_us)} == {20_000}
            assert len(ward.pulses(since_us=turned_us)) in {43, 44, 45}
        else:
            paused += 1
            assert ward.told() == [f"{what} DEV.PROTOCOL [M26]" for what in PAUSED] + ["stop.confirmed"]
            assert len(ward.pulses(since_us=turned_us)) <= 6
            await ward.cleared()
        if ward.summary()["phase"] != "running" or ward.summary()["played_ms"] > 1_000_000:
            number += 1
            await ward.stopped()
            await ward.running(ward.prescribe(one_of_many(ward, number)), f"p-{number}")
    assert len(word) == 114
    assert 1 <= paused <= ZEROES


@story(
    "H16",
    rules="M26 M27",
    virtual_only=BITS,
    golden="""
    session.completed
    stop.confirmed
    session.closed
""",
)
async def test_h16_no_bit_of_what_the_device_is_told_changes_what_flows(ward: Ward) -> None:
    """A muscle's ramps, so that pictures are turned and not only what keeps one alive; the session comes to its end."""
    await ward.turned_on()
    await ward.running(ward.prescribe(rx(ward.wall_ms, **nmes(therapy_ms=180_000))))
    ward.fault("corrupt_each_bit", direction="to_device", every=7)
    await ward.hears("session.closed", 200)
    pulses = ward.pulses()
    assert {round(pulse.charge_nc / pulse.first_ua, 3) for pulse in pulses} == {0.6}
    assert abs(len([pulse for pulse in pulses if pulse.first_ua == 20_000]) - 18 * 80) <= 36


@story(
    "H16",
    golden="""
    device.online
""",
)
async def test_h16_a_line_at_the_wrong_speed_is_never_taken_for_a_device(ward: Ward) -> None:
    ward.fault("baud_mismatch", ratio=2.0)
    await ward.on()
    await asyncio.sleep(3)
    assert ward.summary()["phase"] == "offline"
    assert ward.sent()["arm"] == 0
    ward.silent()
    ward.mend()
    await ward.hears("device.online")
    await ward.reaches("idle")
    await ward.running(ward.prescribe())
    await ward.steady()
