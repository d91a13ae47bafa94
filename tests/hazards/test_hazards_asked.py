"""What is asked, by whom, when and for whom: wishes that must do nothing, and their sound twins that are obeyed."""

from __future__ import annotations

import asyncio
import json

from controller.contract.envelope import utc_text
from tests.hazards.papers import CALM, channel, rx
from tests.hazards.story import story
from tests.hazards.ward import TOPICS, Said, Ward

START = TOPICS.command("dev1", "physio-1", "session.start")


def dated(ward: Ward, issued_ms: int, expires_ms: int = 5_000) -> Said:
    """When a command was made, and how long it is good, counted from now."""
    return {"issued_at": utc_text(ward.wall_ms + issued_ms), "expires_at": utc_text(ward.wall_ms + expires_ms)}


async def tried(ward: Ward, command: Said | bytes, code: str, topic: str | None = None, **how: bool) -> None:
    """Publish what must not be obeyed; see how it is answered, and that nothing flows."""
    said = await ward.answered(ward.post(command, topic, name="session.start", **how))
    assert (said["status"], said["code"]) == ("rejected", code)


# H08, H28


@story(
    "H08",
    rules="G01 G08 G18",
    golden="""
    session.adjust: rejected LIM.STEP [G18]
    session.adjust: rejected LIM.STEP [G18]
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    junk: rejected CMD.SCHEMA
    session.adjust: succeeded OK
""",
)
async def test_h08_no_wish_makes_the_current_jump_whatever_its_figure(ward: Ward) -> None:
    await ward.flowing()
    adjust = TOPICS.command("dev1", "physio-1", "session.adjust")
    for delta in (1_001, 10_000, 1_000_000, "1000", True, None):
        body = {"channel": 1, "delta_ua": delta}
        command = ward.command("session.adjust", {"channel": 1, "delta_ua": 1}) | {"body": body}
        said = await ward.answered(ward.post(command))
        code = "LIM.STEP" if delta in {1_001, 10_000} else "CMD.SCHEMA"
        assert (said["status"], said["code"]) == ("rejected", code)
    for text in ("1000.5", "1e3", "-0.1", "NaN", "Infinity", "1e400", "0x10"):
        raw = json.dumps(ward.command("session.adjust", {"channel": 1, "delta_ua": 12_345}))
        await ward.junk(raw.replace("12345", text).encode(), adjust)
        await asyncio.sleep(1)
    await ward.steady()
    await ward.must("session.adjust", {"channel": 1, "delta_ua": 1_000})
    await ward.flows(21_000)
    await ward.steady(ua=21_000)


@story(
    "H08",
    rules="G08 G09 G10 G11 G12 G15",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected RX.DEVICE_MISMATCH [G23]
    session.prepare: rejected LIM.CURRENT [G08]
    session.prepare: rejected LIM.PULSE_WIDTH [G09]
    session.prepare: rejected LIM.PULSE_WIDTH [G09]
    session.prepare: rejected LIM.FREQUENCY [G10]
    session.prepare: rejected RX.DEVICE_MISMATCH [G23 G10]
    session.prepare: rejected LIM.CHARGE [G11]
""",
)
async def test_h08_what_is_prescribed_in_the_wrong_unit_is_refused(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    high = {"sensory_ua": 8_000, "motor_ua": 15_000, "maximal_ua": 100_000}
    for number, wrong in enumerate((
        {"ua": 20, "max_ua": 30}, {"ua": 80_100, "max_ua": 100_000, "thresholds": high}, {"width_us": 401},
        {"width_us": 49}, {"period_us": 8_333}, {"period_us": 1_000_001},
        {"ua": 80_000, "max_ua": 80_000, "thresholds": high, "width_us": 400},
    ), 2):  # fmt: skip
        ref = ward.prescribe(rx(ward.wall_ms, version=number, **wrong))
        await ward.ask("session.prepare", {"prescription_id": ref, "patient_ref": "p-1"})
    assert ward.sent()["arm"] + ward.sent()["probe"] == 0
    ward.silent()
    await ward.running(ward.prescribe(rx(ward.wall_ms, width_us=400, period_us=10_000)), period_us=10_000)
    await ward.steady(period_us=10_000)


@story(
    "H28",
    rules="G01 X11",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected LIM.PULSE_WIDTH [G09]
    session.prepare: rejected LIM.FREQUENCY [G10]
    session.prepare: rejected LIM.TOLERANCE [G08]
""",
)
async def test_h28_a_limit_holds_to_the_last_unit_and_what_lies_on_it_is_given(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    ward.prescribe(at_most(ward, 33_334))
    for number, over in enumerate(({"width_us": 401}, {"period_us": 8_333}), 2):
        ref = ward.prescribe(rx(ward.wall_ms, version=number, **over))
        await ward.ask("session.prepare", {"prescription_id": ref, "patient_ref": "p-1"})
    over = ward.prescribe(at_most(ward, 33_333, version=4))
    await ward.ask("session.prepare", {"prescription_id": over, "patient_ref": "p-1"})
    ward.silent()
    await ward.running(ua=30_000)
    await ward.steady(ua=30_000)


def at_most(ward: Ward, maximal_ua: int, **of: int) -> str:
    """TENS may have nine tenths of what was tolerated: 30 mA of 33.334."""
    found = {"sensory_ua": 8_000, "motor_ua": 15_000, "maximal_ua": maximal_ua}
    return rx(ward.wall_ms, ua=30_000, max_ua=30_000, thresholds=found, **of)


@story(
    "H28",
    rules="G01",
    golden="""
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
    session.adjust: rejected CMD.SCHEMA
""",
)
async def test_h28_numbers_that_no_arithmetic_holds_are_refused(ward: Ward) -> None:
    await ward.flowing()
    for delta in (2**31, 2**63, -(2**63), 10**30):
        assert (await ward.refused("session.adjust", {"channel": 1, "delta_ua": delta}))[0] == "CMD.SCHEMA"
    for number in (0, 9, -1, 2**40):
        assert (await ward.refused("session.adjust", {"channel": number, "delta_ua": 100}))[0] == "CMD.SCHEMA"
    await ward.steady()


# H22, H23


@story(
    "H22",
    rules="G04",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected RX.PATIENT_MISMATCH [G04]
    session.prepare: rejected RX.UNKNOWN [G04]
    session.prepare: rejected RX.UNKNOWN [G04]
    session.prepare: rejected RX.EXPIRED [G04]
""",
)
async def test_h22_a_prescription_is_for_its_patient_in_its_version_and_its_time(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.claimed()
    for ref, patient in (("rx-1@1", "p-2"), ("rx-1@2", "p-1"), ("rx-9@1", "p-1")):
        await ward.ask("session.prepare", {"prescription_id": ref, "patient_ref": patient})
    old = ward.prescribe(rx(ward.wall_ms, id="rx-2", days=-1))
    await ward.ask("session.prepare", {"prescription_id": old, "patient_ref": "p-1"})
    ward.silent()
    await ward.running()
    await ward.steady()


@story("H22", rules="G04", golden="")
async def test_h22_a_new_version_is_another_prescription(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    newer = ward.prescribe(rx(ward.wall_ms, version=2, ua=10_000))
    assert newer == "rx-1@2"
    await ward.running(newer, ua=10_000)
    await ward.steady(ua=10_000)
    await ward.stopped()
    await ward.running("rx-1@1")
    await ward.steady()


@story(
    "H23",
    rules="G22",
    devices=("dev1", "dev2"),
    golden="""
    crossed: rejected CMD.TOPIC_MISMATCH
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    session.stop: succeeded OK
    stop.confirmed
    session.closed
""",
)
async def test_h23_what_is_asked_of_one_device_no_other_does(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.running()
    crossed = ward.command("session.stop") | {"device": "dev2"}
    said = await ward.answered(ward.post(crossed, TOPICS.command("dev2", "physio-1", "device.claim"), name="crossed"))
    assert (said["status"], said["code"]) == ("rejected", "CMD.TOPIC_MISMATCH")
    assert ward.pulses(device="dev2") == []
    await ward.steady()
    assert ward.pulses(2) == []
    ward.prescribe(rx(ward.wall_ms, id="rx-2", patient="p-2"))
    await ward.running("rx-2@1", "p-2", "dev2")
    await ward.steady(device="dev2")
    asked_us = ward.now_us
    await ward.must("session.stop", device="dev1")
    await ward.steady(device="dev2")
    await ward.zero(asked_us, 20_000)


@story(
    "H23",
    rules="G23 G22",
    golden="""
    device.claim: succeeded OK
    session.prepare: rejected RX.DEVICE_MISMATCH [G23]
""",
)
async def test_h23_a_channel_that_the_device_has_not_is_refused_and_the_other_one_is_treated(ward: Ward) -> None:
    await ward.turned_on()
    await ward.claimed()
    third = rx(ward.wall_ms, id="rx-3", channels=[channel(ward.wall_ms, 3)])
    body = {"prescription_id": ward.prescribe(third), "patient_ref": "p-1"}
    assert await ward.refused("session.prepare", body) == ("RX.DEVICE_MISMATCH", "G23")
    second = ward.prescribe(rx(ward.wall_ms, channels=[channel(ward.wall_ms, 2)]))
    await ward.running(second, channel=2)
    await ward.steady(channel=2)
    assert ward.pulses(1) == []


# H24, H25


@story(
    "H24",
    rules="G02 G03",
    golden="""
    session.start: rejected AUTH.ROLE
    session.start: rejected AUTH.ROLE
    session.start: rejected AUTH.ROLE
    session.start: rejected AUTH.ROLE
    session.start: rejected SES.CLAIM_HELD [-]
    session.start: rejected AUTH.UNKNOWN_KEY
    session.start: rejected AUTH.PRINCIPAL_MISMATCH
    session.start: rejected AUTH.ROLE
    session.start: rejected CMD.SCHEMA
    session.start: rejected CMD.RETAINED [G02]
""",
)
async def test_h24_whoever_may_not_start_starts_nothing(ward: Ward) -> None:
    """As far as this version knows a sender: by the name that the broker let in.

    Certificates and signatures, and so a wrong or forged one, come with the signed tiers; a broker that lets a stranger
    speak under a name is not covered.
    """
    await ward.turned_on()
    ward.prescribe()
    await ward.armed()
    for by in ("handset-1", "prescriber-1", "biomed-1", "auditor-1", "physio-2", "nobody-1"):
        await ward.ask("session.start", by=by)
    own = ward.command("session.start")
    await tried(ward, own | {"issuer": "physio-2"}, "AUTH.PRINCIPAL_MISMATCH", START)
    await tried(ward, ward.command("session.start") | {"role": "prescriber"}, "AUTH.ROLE")
    await tried(ward, ward.command("session.start") | {"signature": "MEUCIQ"}, "CMD.SCHEMA")
    await tried(ward, ward.command("session.start"), "CMD.RETAINED", retained=True)
    ward.silent()
    await ward.started()
    await ward.steady()


@story(
    "H25",
    rules="G02",
    golden="""
    session.start: rejected CMD.EXPIRED [G02]
    session.start: rejected CMD.EXPIRED [G02]
    session.start: rejected CMD.EXPIRED [G02]
    session.start: rejected CMD.CLOCK_SKEW [G02]
    session.start: rejected CMD.PRECONDITION [G02]
    session.start: rejected CMD.PRECONDITION [G02]
    session.start: rejected CMD.PRECONDITION [G02]
    session.start: rejected CMD.PRECONDITION [G02]
    session.start: succeeded OK
    session.started
""",
)
async def test_h25_a_start_that_is_late_or_blind_or_of_another_time_starts_nothing(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.armed()
    right = ward.command("session.start")["expect"]
    await tried(ward, ward.command("session.start") | dated(ward, -10_000), "CMD.EXPIRED")
    await tried(ward, ward.command("session.start") | dated(ward, -3_100), "CMD.EXPIRED")
    await tried(ward, ward.command("session.start") | dated(ward, -1_000, -500), "CMD.EXPIRED")
    await tried(ward, ward.command("session.start") | dated(ward, 10_000, 15_000), "CMD.CLOCK_SKEW")
    for expect in (
        {}, right | {"boot_id": "b-0"}, right | {"session_id": "s-0"},
        right | {"state_version": right["state_version"] - 1},
    ):  # fmt: skip
        await tried(ward, ward.command("session.start") | {"expect": expect}, "CMD.PRECONDITION")
    ward.silent()
    late = ward.command("session.start") | dated(ward, -2_500)
    said = await ward.answered(ward.post(late))
    assert said["status"] == "succeeded"
    await ward.flows()


@story(
    "H25",
    rules="G02",
    golden="""
    session.start: succeeded OK
    session.started
    session.paused
    session.pause: succeeded OK
    stop.confirmed
    session.start: succeeded OK
    session.resume: rejected CMD.ID_REUSED
    session.start: succeeded OK
""",
)
async def test_h25_a_start_that_comes_twice_starts_once(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.armed()
    start = ward.command("session.start")
    first = await ward.answered(ward.post(start))
    await ward.flows()
    paused_us = ward.now_us
    await ward.must("session.pause")
    await ward.hears("stop.confirmed")
    ward.post(start)
    await ward.until(lambda: len(ward.finals(start["command_id"])) == 2)
    assert ward.final(start["command_id"]) == first
    ward.post(ward.command("session.resume") | {"command_id": start["command_id"]})
    await ward.until(lambda: len(ward.finals(start["command_id"])) == 3)
    assert ward.finals(start["command_id"])[2]["code"] == "CMD.ID_REUSED"
    await ward.zero(paused_us, 20_000)
    await ward.stopped()
    await ward.armed()
    armed_us = ward.now_us
    ward.post(start)
    await asyncio.sleep(1)
    ward.silent(armed_us)


@story(
    "H25",
    rules="G03",
    virtual_only="a minute of waiting",
    golden="""
    fault.latched SES.STATE [G03]
    session.stopped (medium) SES.STATE [G03]
    stop.confirmed
    session.closed
    session.start: rejected SES.STATE [-]
""",
)
async def test_h25_whoever_armed_starts_within_a_minute_or_arms_again(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    await ward.armed()
    await asyncio.sleep(61)
    assert await ward.refused("session.start") == ("SES.STATE", None)
    ward.silent()
    await ward.reaches("idle")
    await ward.cleared()
    await ward.armed()
    await asyncio.sleep(55)
    await ward.started()
    await ward.steady()


# H32, H33, H38, H45


@story(
    "H32",
    rules="M05",
    golden="""
    fault.latched SES.CLAIM_EXPIRED [M05]
    session.paused (medium) SES.CLAIM_EXPIRED [M05]
    stop.confirmed
    session.resume: rejected SES.CLAIM_EXPIRED [-]
    device.claim: succeeded OK
    session.resume: succeeded OK
    session.resumed
""",
)
async def test_h32_a_console_that_is_gone_pauses_it_when_its_claim_has_run_out(ward: Ward) -> None:
    """A console that shows what was said, and notices that it hears nothing, comes with the console itself."""
    await ward.flowing()
    ward.unclaimed()
    gone_us = ward.now_us
    await ward.steady(3)
    await ward.hears("stop.confirmed")
    await ward.zero(gone_us, 5_200_000)
    assert await ward.refused("session.resume") == ("SES.CLAIM_EXPIRED", None)
    await ward.claimed()
    await ward.cleared()
    resumed_us = ward.now_us
    await ward.must("session.resume")
    await ward.flows(since_us=resumed_us)


@story(
    "H32",
    "H33",
    rules="M05 M23",
    golden="""
    fault.latched SES.PATIENT_STOP [M23]
    session.stopped (medium) SES.PATIENT_STOP [M23]
    stop.confirmed
    session.closed
""",
)
async def test_h32_without_a_broker_it_goes_on_for_a_claim_and_the_patients_button_works(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("broker_loss")
    await ward.steady(2)
    pressed_us = ward.press()
    await ward.hears("session.closed")
    await ward.zero(pressed_us, 0)


@story(
    "H33",
    rules="M23 G24",
    golden="""
    session.attest: succeeded OK
    session.arm: rejected SES.STOP_UNTRIED [G24]
    session.arm: rejected SES.STOP_HELD [G24]
    stop.tried
""",
)
async def test_h33_the_patient_stops_it_at_any_time(ward: Ward) -> None:
    await ward.turned_on()
    ward.prescribe()
    for wait_s in (0.013, 0.117, 0.449):
        await ward.running()
        await asyncio.sleep(wait_s)
        pressed_us = ward.press()
        await ward.hears("session.closed")
        ward.let_go()
        await ward.zero(pressed_us, 0)
        assert ward.latches() == ["M23 new_session"]
        await ward.cleared()
        ward.told()
    await ward.opened()
    await ward.must("session.attest", {"answers": CALM})
    await ward.measured()
    assert await ward.refused("session.arm") == ("SES.STOP_UNTRIED", "G24")
    ward.press()
    await asyncio.sleep(0.5)
    await ward.refused("session.arm")
    ward.let_go()


@story("H33", rules="M23", golden="")
async def test_h33_a_stop_gets_through_whatever_else_the_broker_carries(ward: Ward) -> None:
    await ward.flowing()
    ward.fault("broker_flood", rate=200)
    await asyncio.sleep(1)
    asked_us = ward.now_us
    await ward.must("stop")
    ward.mend()
    await ward.zero(asked_us, 20_000)
    ward.answers.pop("unknown", None)
    assert [line for line in ward.told() if not line.startswith("?")] == [
        "fault.latched SES.STOPPED [STOP]", "session.stopped (medium) SES.STOPPED [STOP]", "stop: succeeded OK",
        "stop.confirmed", "session.closed",
    ]  # fmt: skip


@story(
    "H38",
    rules="M24 L10",
    golden="""
    fault.latched SES.ADVERSE [M24]
    session.stopped (high) SES.ADVERSE [M24]
    adverse.report: succeeded OK
    stop.confirmed
    session.closed
    session.arm: rejected FLT.ADVERSE [L10]
""",
)
async def test_h38_whoever_reports_a_faint_is_believed(ward: Ward) -> None:
    await ward.flowing()
    told_us = ward.now_us
    await ward.must("adverse.report", {"kind": "syncope"}, by="handset-1")
    await ward.zero(told_us, 20_000)
    await ward.handed("prescriber-1")
    await ward.prepared()
    await ward.measured()
    assert await ward.refused("session.arm") == ("FLT.ADVERSE", "L10")
    await ward.stopped()
    await ward.running(ward.prescribe(rx(ward.wall_ms, id="rx-2", patient="p-2")), "p-2")
    await ward.steady()


@story(
    "H45",
    "H38",
    rules="M24 L10",
    golden="""
    session.rate: succeeded OK
    fault.latched SES.ADVERSE [M24]
    session.stopped (high) SES.ADVERSE [M24]
    session.rate: succeeded OK
    stop.confirmed
    session.closed
""",
)
async def test_h45_pain_ends_it_and_a_little_of_it_does_not(ward: Ward) -> None:
    await ward.flowing()
    await ward.must("session.rate", {"what": "pain", "score": 6})
    await ward.steady()
    told_us = ward.now_us
    await ward.must("session.rate", {"what": "pain", "score": 7})
    await ward.zero(told_us, 20_000)
    assert ward.latches() == ["M24 ack_qualified"]


@story(
    "H48",
    rules="M29 G02",
    golden="""
    fault.latched SES.STOPPED [STOP]
    session.stopped (medium) SES.STOPPED [STOP]
    session.stop: succeeded OK
    alarm.raised (high) DEV.STOP_UNCONFIRMED [M29]
    fault.latched DEV.STOP_UNCONFIRMED [M29]
    stop.confirmed
    session.closed
""",
)
async def test_h48_that_it_has_stopped_is_said_on_the_devices_word_alone(ward: Ward) -> None:
    """The controller itself shows no stop that the device has not confirmed.

    Summaries are not signed in this version: one that somebody forges on the broker is not covered.
    """
    await ward.flowing()
    ward.fault("half_open", direction="to_host")
    await ward.must("session.stop")
    await asyncio.sleep(2)
    assert ward.summary()["phase"] == "uncertain"
    assert not any(line.startswith("stop.confirmed") for line in ward._lines)
    ward.mend()
    await ward.hears("stop.confirmed")
    await ward.hears("session.closed")
    assert ward.summary()["phase"] == "idle"
