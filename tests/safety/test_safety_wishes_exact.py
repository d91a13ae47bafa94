"""safety/wishes.py and safety/permits.py: what each wish that is obeyed says and leaves behind, word for word."""

from __future__ import annotations

import pytest
from clinic import NMES
from rig import (
    CAPS,
    MONO_MS,
    OFF,
    VOUCHED,
    WALL_MS,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    Modality,
    Pause,
    Phase,
    Prepare,
    Release,
    Renew,
    Resume,
    Rig,
    Start,
    Stop,
    config,
    replace,
    standing,
)

from safety import wishes
from safety.effects import (
    Answer,
    Arm,
    ChannelRequest,
    Clearing,
    Closing,
    Commit,
    Effect,
    Entry,
    Envelope,
    Event,
    Grant,
    Note,
    Opening,
    Permit,
    PermitRequest,
    Settlement,
    Silence,
    Tell,
    WishRecord,
)
from safety.messages import Asked, Command, Committed, EntryKind, Latch, Verb
from safety.prescription import Dose
from safety.state import FRESH, Care, Course, Holder, Papers, Purpose, Reading, Session, Setting, Stopping, Waiting
from safety.times import NATIVE
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("X4"), pytest.mark.rule("X10"), pytest.mark.hazard("H40")]

SESSION = "s-dev1-b1-1"
THIGH_DOSE = Dose(nc=12_436_200, i2t=248_724_000_000_000, on_ms=24_500)
"""6 cycles x 161 pulses x 2 x 20 mA x 300 us, 21 pulses in the half second of a stop that is not heard, and 5 %; the
same squared; 6 x 4 s and that half second with current."""
CALF_DOSE = Dose(nc=5_147_662, i2t=63_316_226_610_000, on_ms=28_500)
"""Of 12.3 mA and 210 us at 33 Hz, which begins half a second later and so may have begun a seventh time."""
THIGH_ENVELOPE = Envelope(1, 30_000, 300, 25_000, 18_654_300)
CALF_ENVELOPE = Envelope(3, 18_000, 210, 30_310, 7_533_162)
"""What the device may give at the top of the window."""


def own(rig: Rig, wish: object, **changes: object) -> tuple[Command, tuple[Effect, ...]]:
    """Ask for something; gives the command and what its own step said."""
    mark, command = len(rig.steps), rig.command(wish, **changes)
    rig.give(Asked(command))
    return command, rig.steps[mark][1]


def later(rig: Rig, ms: int) -> None:
    """Let time pass between two ticks."""
    rig.mono_ms += ms
    rig.device.advance(ms)


def succeeded(command: Command, **details: int | str) -> Tell:
    return Tell(Answer(command=command, status="succeeded", code="OK", details=tuple(details.items())))


def accepted(command: Command, **details: int | str) -> Tell:
    return Tell(Answer(command=command, status="accepted", code="OK", details=tuple(details.items())))


def told(kind: str, **details: int | str) -> Tell:
    return Tell(Event(kind=kind, details=tuple(details.items())))


def wrote(number: int, command: Command, detail: str) -> Note:
    body = WishRecord(session=SESSION, command=command.id, principal="physio-1", verb=command.verb, detail=detail)
    return Note(Entry(number, EntryKind.WISH, body))


def claimed() -> Rig:
    rig = Rig()
    rig.up()
    rig.must(Claim())
    return rig


def checked() -> Rig:
    """Two channels, prepared and checked at the rig's first moment."""
    return Rig().prepared(NMES)


def reserving() -> tuple[Rig, Command]:
    """Arming, 100 ms later; the journal has not answered."""
    rig = checked()
    rig.committing = rig.answering = False
    rig.mono_ms += 100
    return rig, own(rig, ArmSession())[0]


def ramped() -> Rig:
    """Both channels on their first plateau; the last tick was 20 ms ago."""
    rig = Rig().running(NMES, ticks=45)
    rig.committing = False
    later(rig, 20)
    return rig


# The claim


@pytest.mark.parametrize("wish", [Claim(), Renew()])
@pytest.mark.parametrize(
    ("times_ms", "limit_ms", "lasts_ms"), [(5_000, 5_000, 5_000), (4_000, 5_000, 4_000), (5_000, 3_000, 3_000)]
)
def test_a_claim_lasts_as_long_as_the_line_and_the_site_allow(
    wish: object, times_ms: int, limit_ms: int, lasts_ms: int
) -> None:
    rig = Rig(replace(config({"claim_ms": limit_ms}), times=replace(NATIVE, claim_ms=times_ms)))
    rig.up()
    rig.must(Claim())
    rig.mono_ms += 9
    command, effects = own(rig, wish)
    assert effects == (succeeded(command, expires_in_ms=lasts_ms),)
    assert rig.station.holder == Holder("physio-1", rig.mono_ms + lasts_ms)


def test_a_claim_that_is_given_back_is_nobodys() -> None:
    rig = claimed()
    command, effects = own(rig, Release())
    assert effects == (succeeded(command),)
    assert rig.station.holder is None


# Before current flows


def test_a_prepared_session_is_this_and_nothing_has_happened_in_it() -> None:
    rig = claimed()
    rig.mono_ms += 7
    command, effects = own(rig, Prepare(NMES, NMES.ref, "p-1", pads=((3, ("x", "y")),)))
    opening = Opening(session=SESSION, rx="rx-1@1", rx_digest="d1", patient="p-1", principal="physio-1", policy="p1")
    assert effects == (
        succeeded(command, session_id=SESSION, not_fitted="temperature"),
        told("session.prepared", session_id=SESSION, rx="rx-1@1"),
        Note(Entry(2, EntryKind.OPEN, opening)),
    )
    assert rig.phase is Phase.PREPARED
    assert rig.station.session == Session(
        id=SESSION,
        rx=NMES,
        limits=rig.station.session.limits,
        settings=(Setting(NMES.channels[0], 20_000, 0, (), 0), Setting(NMES.channels[1], 12_300, 0, ("x", "y"), 0)),
        readings=(),
        permit=None,
        care=Care(0, 0, 0, 0, 0),
        course=Course(0, 0, 0, 0, (), 0, (0, 0), (0, 0), WALL_MS - MONO_MS - 7),
        channels=(FRESH, FRESH),
        papers=Papers(VOUCHED, stop_tried=False),
        trial=None,
    )


@pytest.mark.parametrize(
    ("caps", "missing"),
    [
        ({}, "temperature"),
        ({"temperature": True}, ""),
        ({"numeric_impedance": False}, "impedance, temperature"),
        ({"numeric_impedance": False, "electrode_flag_from_ua": None}, "impedance, electrode, temperature"),
        ({"electrode_flag_from_ua": None}, "temperature"),
        ({"readback": False, "balance": False}, "readback, balance, temperature"),
        ({"supply_min_mv": None}, "supply, temperature"),
        ({"patient_stop": False}, "patient stop, temperature"),
    ],
)
@pytest.mark.rule("X7")
def test_what_the_device_cannot_measure_is_said_when_a_session_is_prepared(
    caps: dict[str, object], missing: str
) -> None:
    assert ", ".join(wishes.missing(replace(CAPS, **caps))) == missing


@pytest.mark.rule("G20")
@pytest.mark.parametrize(("asked", "numbers"), [((), (1, 3)), ((3,), (3,))])
def test_a_check_commits_a_permit_for_three_test_pulses_on_each_channel(
    asked: tuple[int, ...], numbers: tuple[int, ...]
) -> None:
    rig = checked()
    rig.committing = False
    before = rig.station.session
    first = rig.station.tally.next_id
    command, effects = own(rig, Check(asked))
    envelopes = {1: Envelope(1, 1_000, 300, 1_000_000, 1_800), 3: Envelope(3, 1_000, 210, 1_000_000, 1_260)}
    permit = Permit(
        first, SESSION, "d1", tuple(envelopes[n] for n in numbers), (Dose(),) * len(numbers), MONO_MS + 10_000
    )
    channels = {
        1: ChannelRequest(channel=1, site="left-quadriceps", pair="a", reserve=Dose(), ua=20_000, ohm=1_500),
        3: ChannelRequest(channel=3, site="right-calf", pair="b", reserve=Dose(), ua=12_300, ohm=1_500),
    }
    request = PermitRequest(
        permit=permit, session=SESSION, patient="p-1", rx="rx-1@1", rx_digest="d1", modality=Modality.NMES,
        on_time_ms=12_000, probe=True, limits=before.limits, channels=tuple(channels[n] for n in numbers),
    )  # fmt: skip
    assert effects == (Commit(Entry(first, EntryKind.PERMIT, request)),)
    pulses = tuple(n for n in numbers for _ in range(3))
    assert rig.station.waiting == Waiting(command, Purpose.CHECK_PERMIT, first, 0, MONO_MS, permit, pulses, 0)
    kept = tuple(reading for reading in before.readings if reading.channel not in numbers)
    assert rig.station.session == before._replace(readings=kept)


# Arming


@pytest.mark.rule("G28")
def test_arming_reserves_the_whole_dose_and_says_so_first() -> None:
    rig = checked()
    rig.committing = False
    rig.mono_ms += 100
    before, number = rig.station.session, rig.station.tally.next_id
    command, effects = own(rig, ArmSession())
    permit = Permit(
        number, SESSION, "d1", (THIGH_ENVELOPE, CALF_ENVELOPE), (THIGH_DOSE, CALF_DOSE), MONO_MS + 100 + 60_000 + 90_000
    )
    request = PermitRequest(
        permit=permit, session=SESSION, patient="p-1", rx="rx-1@1", rx_digest="d1", modality=Modality.NMES,
        on_time_ms=12_000, probe=False, limits=before.limits,
        channels=(
            ChannelRequest(channel=1, site="left-quadriceps", pair="a", reserve=THIGH_DOSE, ua=20_000, ohm=1_500),
            ChannelRequest(channel=3, site="right-calf", pair="b", reserve=CALF_DOSE, ua=12_300, ohm=1_500),
        ),
    )  # fmt: skip
    assert effects == (accepted(command, permit=number), Commit(Entry(number, EntryKind.PERMIT, request)))
    assert rig.station.waiting == Waiting(command, Purpose.ARM_PERMIT, number, 0, MONO_MS + 100, permit, (), 0)
    assert rig.station.session == before._replace(course=before.course._replace(armed_ms=MONO_MS + 100))


@pytest.mark.rule("G28")
@pytest.mark.hazard("H18")
def test_a_durable_permit_arms_the_device_for_what_is_left_of_it() -> None:
    rig, command = reserving()
    before, waited = rig.station, rig.station.waiting
    rig.mono_ms += 4
    effects = rig.give(Committed(rig.held[-1], 7, MONO_MS + 9_000))
    grant = Grant(waited.permit.id, waited.entry + 1, MONO_MS + 104 + 200)
    assert effects == (Arm(grant, (THIGH_ENVELOPE, CALF_ENVELOPE), 149_996),)
    assert rig.station.waiting == Waiting(command, Purpose.ARMED, 0, grant.seq, MONO_MS + 104, waited.permit, (), 0)
    session = before.session
    care = session.care._replace(token=7, hold_ends_ms=MONO_MS + 9_000)
    assert rig.station.session == session._replace(permit=waited.permit, care=care)
    assert rig.station.beat == before.beat._replace(sent_ms=MONO_MS + 104, unanswered=grant.seq)
    rig.mono_ms += 5
    effects = rig.hear(grant.seq)
    assert effects == (succeeded(command, session_id=SESSION), told("session.armed", session_id=SESSION))
    course = session.course._replace(armed_ms=MONO_MS + 109)
    assert (rig.phase, rig.station.waiting, rig.station.session.course) == (Phase.ARMED, None, course)
    now_ms = rig.mono_ms
    assert rig.station.beat == before.beat._replace(tick_ms=now_ms, heard_ms=now_ms, sent_ms=now_ms - 5, unanswered=0)


def test_a_start_runs_from_zero_and_counts_the_electrodes_as_seen() -> None:
    rig = Rig().armed(NMES)
    rig.mono_ms += 6
    before, number = rig.station, rig.station.tally.next_id
    command, effects = own(rig, Start())
    assert effects == (
        succeeded(command, session_id=SESSION),
        told("session.started", session_id=SESSION),
        wrote(number, command, "played_ms=0"),
    )
    course = before.session.course._replace(first_run_ms=MONO_MS + 6, since_resume_ms=0, clock_ms=WALL_MS - MONO_MS - 6)
    readings = tuple(Reading(n, (1_500,) * 3, MONO_MS, MONO_MS + 6, 0) for n in (1, 3))
    assert rig.station.session == before.session._replace(course=course, readings=readings)
    assert rig.station.beat == before.beat._replace(tick_ms=MONO_MS + 6)
    assert (rig.phase, rig.station.waiting) == (Phase.RUNNING, None)


# On the way


@pytest.mark.rule("G28")
@pytest.mark.rule("L06")
def test_a_rise_reserves_what_was_given_and_the_worst_of_what_is_left() -> None:
    rig = ramped()
    before, number = rig.station.session, rig.station.tally.next_id
    assert [channel.spent[0] for channel in before.channels] == [828_600, 210_378]
    command, effects = own(rig, Adjust(3, 1_000))
    assert effects == (Commit(rig.last[0].entry),)
    (commit,) = effects
    waiting, now_ms = rig.station.waiting, rig.mono_ms
    assert (commit.entry.id, commit.entry.kind, commit.entry.body.permit) == (number, EntryKind.PERMIT, waiting.permit)
    assert [each.ua for each in commit.entry.body.channels] == [20_000, 13_300]
    assert waiting == Waiting(command, Purpose.RISE_PERMIT, number, 0, now_ms, waiting.permit, (3,), 13_300)
    assert waiting.permit.reserve[0].nc == -(-828_600 * 101 // 100) + THIGH_DOSE.nc
    assert waiting.permit.envelopes[0] == THIGH_ENVELOPE._replace(max_charge_nc=THIGH_ENVELOPE.max_charge_nc + 828_600)
    assert rig.station.session == before
    rig.mono_ms += 1
    effects = rig.give(Committed(rig.held[-1]))
    assert effects == (
        succeeded(command, setpoint_ua=13_300), wrote(number + 1, command, "channel=3 setpoint_ua=13300"),
    )  # fmt: skip
    risen = before.settings[1]._replace(setpoint_ua=13_300, raised_ms=now_ms + 1)
    permit = waiting.permit._replace(id=before.permit.id, ends_mono_ms=before.permit.ends_mono_ms)
    assert rig.station.session == before._replace(settings=(before.settings[0], risen), permit=permit)
    assert rig.station.waiting is None


def test_less_is_given_at_once() -> None:
    rig = ramped()
    before, number = rig.station.session, rig.station.tally.next_id
    command, effects = own(rig, Adjust(1, -500))
    assert effects == (
        succeeded(command, setpoint_ua=19_500), wrote(number, command, "channel=1 setpoint_ua=19500"),
    )  # fmt: skip
    lowered = before.settings[0]._replace(setpoint_ua=19_500)
    assert rig.station.session == before._replace(settings=(lowered, before.settings[1]))


@pytest.mark.rule("G01")
@pytest.mark.parametrize(("delta_ua", "said"), [(0, Tell), (1, Commit)])
def test_the_least_rise_has_to_be_durable_and_none_is_no_wish(delta_ua: int, said: type) -> None:
    rig = ramped()
    _, effects = own(rig, Adjust(1, delta_ua))
    assert [type(effect) for effect in effects] == [said]
    assert (rig.station.waiting is not None) is (delta_ua > 0)


@pytest.mark.rule("G08")
@pytest.mark.parametrize(("delta_ua", "left_ua"), [(-20_000, 0), (-20_001, -1), (-19_999, 1)])
def test_a_set_point_stays_above_zero(delta_ua: int, left_ua: int) -> None:
    rig = ramped()
    before = rig.station
    command, effects = own(rig, Adjust(1, delta_ua))
    if left_ua > 0:
        assert rig.station.session.settings[0].setpoint_ua == left_ua
        return
    reason = Reason("G08", Severity.REFUSE, "LIM.CURRENT", 1, left_ua, 1, "uA")
    assert effects == (Tell(Answer(command=command, status="rejected", code="LIM.CURRENT", reasons=(reason,))),)
    assert rig.station == before


@pytest.mark.rule("X5")
@pytest.mark.hazard("H06")
def test_a_pause_that_is_asked_for_leaves_every_channel_at_zero_and_what_it_knows() -> None:
    rig = ramped()
    rig.answering = False
    before, number, now_ms = rig.station, rig.station.tally.next_id, rig.mono_ms
    command, effects = own(rig, Pause())
    assert effects == (
        Silence(cut=False),
        told("session.paused", session_id=SESSION, by="physio-1"),
        succeeded(command),
        wrote(number, command, ""),
    )
    assert (rig.phase, rig.station.latches) == (Phase.PAUSED, ())
    assert rig.station.stopping == Stopping(now_ms, 1, False, False, "", "", "")
    assert rig.station.beat == before.beat._replace(picture=OFF, unanswered=0, held_ms=0)
    # In 20 ms the thigh has had none of its pulses, 25 ms apart, and the calf none of its own; each may have one yet.
    assert [channel.spent for channel in rig.station.session.channels] == [
        (840_600, 15_204_600_000_000, 2_220), (215_544, 2_298_030_000_000, 1_720),
    ]  # fmt: skip
    assert rig.station.session.course == before.session.course
    rig.mono_ms += 3
    assert rig.hear() == (told("stop.confirmed", waited_ms=3),)


@pytest.mark.rule("X5")
@pytest.mark.hazard("H18")
def test_a_resume_arms_for_the_rest_of_the_same_permit() -> None:
    rig = ramped()
    rig.must(Pause())
    rig.committing = True
    rig.must(Check(()))
    later(rig, 30)
    rig.answering = False
    before, number, now_ms = rig.station, rig.station.tally.next_id, rig.mono_ms
    command, effects = own(rig, Resume())
    permit, session = before.session.permit, before.session
    counted = session.course.seen_nc
    left = (
        THIGH_ENVELOPE._replace(max_charge_nc=THIGH_ENVELOPE.max_charge_nc - session.channels[0].spent[0]),
        CALF_ENVELOPE._replace(max_charge_nc=CALF_ENVELOPE.max_charge_nc - session.channels[1].spent[0]),
    )
    grant = Grant(permit.id, number, now_ms + 200)
    assert effects == (accepted(command), Arm(grant, left, permit.ends_mono_ms - now_ms))
    assert rig.station.waiting == Waiting(command, Purpose.REARMED, 0, number, now_ms, permit, (), 0)
    course = session.course._replace(base_nc=counted, seen_nc=(0, 0))
    assert rig.station.session == session._replace(course=course)
    rig.mono_ms += 2
    assert rig.hear(number) == (
        succeeded(command, session_id=SESSION),
        told("session.resumed", session_id=SESSION),
        wrote(number + 1, command, "played_ms=2250"),
    )
    assert rig.station.session.course == course._replace(since_resume_ms=0, clock_ms=rig.wall_ms - rig.mono_ms)


# The end


@pytest.mark.rule("L08")
@pytest.mark.hazard("H10")
def test_a_stop_is_latched_told_recorded_settled_and_cleared() -> None:
    rig = ramped()
    rig.answering = False
    before, number, now_ms = rig.station, rig.station.tally.next_id, rig.mono_ms
    command, effects = own(rig, Stop())
    why = (Reason("STOP", Severity.STOP, "SES.STOPPED"),)
    latch = Latch(number, Scope.SESSION, "STOP", Clear.NEW_SESSION, "", rig.wall_ms)
    latched = (("latch", number), ("clear", "new_session"), ("scope", "session"))
    stopped = (("session_id", SESSION), ("by", "physio-1"))
    assert effects == (
        Silence(cut=False),
        Tell(Event(kind="fault.latched", rule="STOP", code="SES.STOPPED", reasons=why, details=latched)),
        Tell(
            Event(
                kind="session.stopped", rule="STOP", code="SES.STOPPED", priority="medium", reasons=why, details=stopped
            )
        ),
        succeeded(command),
        Note(Entry(number + 1, EntryKind.LATCH, latch)),
        wrote(number + 2, command, ""),
    )
    assert rig.phase is Phase.UNCERTAIN
    assert rig.station.stopping == Stopping(now_ms, 1, False, False, "stopped", "STOP", "readback")
    assert rig.station.beat == before.beat._replace(picture=OFF, unanswered=0, held_ms=0)
    rig.mono_ms += 3
    spent = [channel.spent for channel in rig.station.session.channels]
    assert rig.hear() == (
        told("stop.confirmed", waited_ms=3),
        told("session.closed", session_id=SESSION, outcome="stopped", evidence="readback"),
        Note(
            Entry(
                number + 3,
                EntryKind.SETTLE,
                Settlement(
                    session=SESSION,
                    evidence="readback",
                    charged=(
                        (1, Dose(nc=-(-828_600 * 101 // 100), i2t=spent[0][1], on_ms=2_220)),
                        (3, Dose(nc=-(-210_378 * 101 // 100), i2t=spent[1][1], on_ms=1_720)),
                    ),
                    played_ms=2_250,
                    ua=((1, 20_000), (3, 12_300)),
                ),
            )
        ),
        Note(Entry(number + 4, EntryKind.CLOSE, Closing(session=SESSION, outcome="stopped", rule="STOP"))),
    )
    assert (rig.phase, rig.station.session, rig.station.stopping) == (Phase.IDLE, None, None)
    command, effects = own(rig, ClearLatch(number, "well"))
    assert effects == (
        succeeded(command, latch=number),
        told("fault.cleared", latch=number, by="physio-1"),
        Note(Entry(number + 5, EntryKind.CLEAR, Clearing(latch=latch, principal="physio-1", reason="well"))),
    )
    assert rig.station.latches == ()


def test_a_stop_without_a_session_names_none() -> None:
    rig = standing(Phase.IDLE)
    number = rig.station.tally.next_id
    rig.answering = False
    command, effects = own(rig, Stop())
    record = WishRecord(session="", command=command.id, principal="physio-1", verb=Verb.STOP, detail="")
    assert effects == (Silence(cut=False), succeeded(command), Note(Entry(number, EntryKind.WISH, record)))
    assert rig.station.stopping == Stopping(rig.mono_ms, 1, False, False, "stopped", "", "readback")
    assert rig.phase is Phase.IDLE
