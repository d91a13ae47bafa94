"""A whole station on an emulated RehaStim2: what may be given, what is given, and each way in which it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hil.clock import boottime_us
from hil.devices.sciencemode2 import SCIENCEMODE2
from hil.devices.sciencemode2_words import Mode
from hil.settings import Value
from safety.limits import Sensation
from safety.messages import Adjust, ArmSession, Attest, Check, Claim, Pause, Prepare, Resume, Start, Stop
from safety.montage import Montage, Region, Side
from safety.prescription import Prescription
from safety.state import Phase
from tests.controller.peer import until
from tests.controller.sciencemode2.room import Room
from tests.controller.ward import WELL_ANSWERED, therapy

RIGHT = Montage(Region.THIGH, Side.RIGHT, Region.THIGH, Side.RIGHT, 80)
ALL_LACKING = "impedance, readback, echo, patient stop, supply, balance, temperature"


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A station that is idle."""
    room = Room(tmp_path)
    await room.open()
    yield room
    await room.close()


def reshaped(**changes: int) -> Prescription:
    rx = therapy()
    return replace(rx, channels=(replace(rx.channels[0], **changes),))


def doubled(**changes: int) -> Prescription:
    """A second channel besides the first."""
    rx = therapy()
    first = rx.channels[0]
    other = replace(first, channel=2, site="right-thigh", montage=RIGHT, **changes)
    return replace(rx, channels=(first, other))


# What may be given


@pytest.mark.rule("X7")
@pytest.mark.hazard("H40")
async def test_a_prepared_session_says_what_this_device_cannot_measure(room: Room) -> None:
    await room.must(Claim())
    rx = therapy()
    answer = await room.ask(Prepare(rx, rx.ref, rx.patient))
    assert (answer.status, dict(answer.details)["not_fitted"]) == ("succeeded", ALL_LACKING)
    assert (await room.ask(Check(()))).code == "IMP.UNMEASURED"


@pytest.mark.rule("G29", "X7")
@pytest.mark.hazard("H04", "H05")
@pytest.mark.parametrize("sensation", [Sensation.S1, Sensation.S2])
async def test_nobody_who_feels_little_is_treated(room: Room, sensation: Sensation) -> None:
    await room.must(Claim())
    rx = replace(therapy(), sensation=sensation)
    answer = await room.ask(Prepare(rx, rx.ref, rx.patient))
    assert answer.status == "rejected"
    assert [reason.code for reason in answer.reasons if reason.rule == "G29"] == ["IMP.UNMEASURED"]


@pytest.mark.rule("G23", "G22")
@pytest.mark.hazard("H16")
@pytest.mark.parametrize(
    ("rx", "rule"),
    [
        (reshaped(gap_us=0), "G23"),
        (reshaped(gap_us=101), "G23"),
        (reshaped(width_us=19), "G23"),
        (reshaped(width_us=501), "G23"),
        (reshaped(period_us=7_999), "G23"),
        (doubled(period_us=25_500), "G22"),
    ],
)
async def test_what_the_device_cannot_give_is_refused_when_it_is_prepared(
    room: Room, rx: Prescription, rule: str
) -> None:
    await room.must(Claim())
    answer = await room.ask(Prepare(rx, rx.ref, rx.patient))
    mismatches = [reason.rule for reason in answer.reasons if reason.code == "RX.DEVICE_MISMATCH"]
    assert (answer.status, mismatches) == ("rejected", [rule])


# What is given


@pytest.mark.rule("X11")
@pytest.mark.hazard("H16", "H18")
async def test_what_is_shown_and_booked_is_what_flows_and_nothing_is_truncated_on_the_way(room: Room) -> None:
    # pysciencemode makes whole milliamperes of a current after it was shown; here the picture is rounded first.
    await room.running(reshaped(ua=20_700))
    await until(lambda: any(trace.first_ua > 18_500 for trace in room.pulses()))
    shown = {train.ua for state in room.states for train in state.beat.picture.trains}
    shown |= {train.ua for train in room.actor.station.beat.picture.trains}
    await room.must(Stop())
    await room.reaches(Phase.IDLE)
    given = {round(trace.first_ua, -3) for trace in room.pulses()}
    assert given
    assert all(ua % 1_000 == 0 and ua <= 20_000 for ua in given | shown)
    await room.is_off()
    await room.actor._performer.settled()
    ((_, reserved, charged, evidence),) = room.charged()
    flowed_nc = sum(2 * trace.first_ua * 300 // 1_000 for trace in room.pulses())
    assert evidence == "applied"
    assert charged is not None
    # Nothing is read back: the last pulse may fall between the order to stop and its arrival.
    assert flowed_nc - 12_000 <= charged <= reserved


async def test_a_session_is_paused_resumed_lowered_and_stopped(room: Room) -> None:
    await room.running()
    await room.must(Adjust(1, -1_000), Pause())
    await until(lambda: room.actor.station.stopping is None)
    assert room.mode is Mode.START
    await room.must(Resume())
    await until(lambda: room.mode is Mode.STARTED)
    await room.must(Stop())
    await room.reaches(Phase.IDLE)
    await room.is_off()
    assert next(event.details for event in room.events("session.closed"))[1] == ("outcome", "stopped")


async def test_a_channel_at_rest_is_in_the_list_and_gives_nothing(room: Room) -> None:
    await room.prepared(doubled(delay_ms=20_000))
    await room.must(ArmSession(), Start())
    await until(room.pulses)
    assert room.bench.device.inside(boottime_us())["channels"] == [1, 2]
    assert [trace for trace in room.bench.scope.pulses(2, 0) if trace.first_ua] == []


SWITCHES: list[dict[str, Value]] = [
    {"before_init_ack": "answered"},
    {"init_while_initialised": "accepted"},
    {"init_ack_number": "last"},
    {"idle_switch": True},
]
"""What the document leaves open, the other way round."""


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda switches: next(iter(switches)))
async def test_what_the_document_leaves_open_makes_no_difference(tmp_path: Path, switches: dict[str, Value]) -> None:
    room = Room(tmp_path, **switches)
    await room.open()
    # Whatever it obeys before, the handshake is made, so no later Init is a restart.
    await until(lambda: room.bench.device.inside(room.emulator.touch())["is_connected"])
    await room.running()
    await room.must(Pause())
    await until(lambda: room.actor.station.stopping is None)
    await room.must(Resume())
    await until(lambda: room.mode is Mode.STARTED)
    await room.must(Stop())
    await room.reaches(Phase.IDLE)
    await room.is_off()
    assert [[reason.code for reason in event.reasons] for event in room.events("session.stopped")] == [["SES.STOPPED"]]
    await room.close()


def test_every_switch_was_turned() -> None:
    left = SCIENCEMODE2.switches.keys() - {name for switches in SWITCHES for name in switches}
    assert left == {"skin_low_ohm", "skin_high_ohm"}


# How it ends


@pytest.mark.rule("M07")
@pytest.mark.hazard("H06")
async def test_an_electrode_that_comes_off_stops_the_session_as_open(room: Room) -> None:
    await room.running()
    room.bench.faults.inject("snap_off", channel=1)
    room.emulator.touch()
    await room.reaches(Phase.IDLE)
    await room.is_off()
    assert "M07" in [latch.rule for latch in room.actor.station.latches]
    (stopped,) = room.events("session.stopped")
    assert ("M07", "IMP.OPEN") in [(reason.rule, reason.code) for reason in stopped.reasons]


@pytest.mark.rule("M23")
@pytest.mark.hazard("H33")
async def test_the_emergency_switch_is_the_patients_stop(room: Room) -> None:
    await room.running()
    room.bench.device.model.press(boottime_us())  # type: ignore[attr-defined]
    room.emulator.touch()
    await room.reaches(Phase.IDLE)
    await room.is_off()
    (stopped,) = room.events("session.stopped")
    assert [reason.rule for reason in stopped.reasons] == ["M23"]


@pytest.mark.rule("M04")
@pytest.mark.hazard("H14")
async def test_a_module_that_fails_stops_the_session(room: Room) -> None:
    await room.running()
    room.bench.faults.inject("module_error")
    room.emulator.touch()
    await room.reaches(Phase.IDLE)
    await room.is_off()
    (stopped,) = room.events("session.stopped")
    assert [(reason.rule, reason.asked) for reason in stopped.reasons] == [("M04", 1)]


@pytest.mark.rule("M30")
@pytest.mark.hazard("H13", "H50")
async def test_a_device_that_restarts_ends_the_session_and_is_not_armed_again(room: Room) -> None:
    await room.running()
    room.bench.faults.inject("device_reset")
    since_us = room.emulator.touch()
    await room.reaches(Phase.IDLE)
    await room.is_off()
    assert "M30" in [latch.rule for latch in room.actor.station.latches]
    assert room.pulses(since_us) == []
    assert room.bench.device.inside(boottime_us())["is_connected"] is True


@pytest.mark.rule("M29")
@pytest.mark.hazard("H12")
async def test_a_device_that_does_not_answer_a_stop_is_left_to_its_watchdog(tmp_path: Path) -> None:
    room = Room(tmp_path, watched=True)
    await room.open()
    await room.running()
    room.bench.faults.inject("hung_firmware")
    since_us = room.emulator.touch()
    room.begin(Stop())
    # The watchdog of the emulator hears no firmware that hangs: current ends although nothing is answered.
    await until(lambda: not room.bench.device.stage.is_live)
    assert max(trace.at_us for trace in room.pulses()) - since_us < 10_000_000
    await until(lambda: "M29" in [latch.rule for latch in room.actor.station.latches])
    room.bench.faults.clear_all()
    await room.close()


async def test_a_line_that_goes_ends_the_session_and_comes_back_stopped(room: Room) -> None:
    await room.running()
    room.emulator.line.pull()
    await until(lambda: room.events("device.lost"))
    room.emulator.line.put()
    await until(lambda: len(room.events("device.online")) == 2)
    await room.reaches(Phase.IDLE)
    await room.is_off()


async def test_an_attestation_is_asked_here_as_well(room: Room) -> None:
    rx = therapy()
    await room.must(Claim(), Prepare(rx, rx.ref, rx.patient))
    assert (await room.ask(ArmSession())).status == "rejected"
    await room.must(Attest(WELL_ANSWERED), ArmSession())
