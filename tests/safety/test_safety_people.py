"""safety/rules/people.py and safety/care.py: who is there, who asks, who looks, and what a report of harm does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rig import (
    CAPS,
    Adjust,
    ArmSession,
    Check,
    Claim,
    ClearLatch,
    Modality,
    Phase,
    Prepare,
    Present,
    Programme,
    Rate,
    Rated,
    Resume,
    Rig,
    Sensation,
    SkinCheck,
    Stop,
    held_back,
    plan,
    rx,
    standing,
)

from safety import care
from safety.effects import PermitRequest, Silence, WishRecord
from safety.messages import Adverse, Command, Now, Report, Verb
from safety.prescription import PrescriptionError
from safety.rules import people
from safety.rules.ledger import ADVERSE
from safety.rules.views import Gate, Watch
from safety.state import Holder
from safety.turn import Turn
from safety.verdict import Clear, Reason, Scope, Severity
from safety.waveform import OFF

HOLD, PAUSE, LOCK = Severity.HOLD, Severity.PAUSE, Severity.LOCK
MINUTE_MS = 60_000
LONG = Programme(
    modality=Modality.NMES, ramp_up_ms=1_000, on_ms=2_000, ramp_down_ms=1_000, off_ms=30_000, therapy_ms=900_000
)


def watch(sensation: Sensation = Sensation.S1, *, first_ms: int = 1, **care_ms: int) -> Watch:
    """A session that has run for 20 minutes; `care_ms` says how long ago each thing was done."""
    rig = Rig().plateau(rx(programme=LONG, sensation=sensation, channels=(plan(ua=15_000, area_mm2=5_000),)))
    session, now_ms = rig.station.session, rig.mono_ms + 1_200_000
    care = session.care._replace(**{name: now_ms - ago_ms for name, ago_ms in care_ms.items()})
    session = session._replace(care=care, course=session.course._replace(first_run_ms=first_ms and now_ms - 1_200_000))
    return Watch(rig.station, session, session.limits, OFF, now_ms, rig.wall_ms, 50, 0)


# The rules


@pytest.mark.rule("M05")
@pytest.mark.hazard("H32")
@pytest.mark.parametrize(
    ("left_ms", "late_ms"), [(1, None), (0, None), (-1, 1), (None, 0)], ids=["young", "just", "expired", "none"]
)
def test_m05_wants_a_claim_that_has_not_expired(left_ms: int | None, late_ms: int | None) -> None:
    view = watch()
    holder = None if left_ms is None else Holder("a", view.now_ms + left_ms)
    found = None if late_ms is None else Reason("M05", PAUSE, "SES.CLAIM_EXPIRED", 0, late_ms, 0, "ms")
    assert people.m05(view._replace(station=view.station._replace(holder=holder))) == found


@pytest.mark.rule("M06")
@pytest.mark.hazard("H05")
@pytest.mark.hazard("H38")
@pytest.mark.parametrize("sensation", [Sensation.S1, Sensation.S2])
@pytest.mark.parametrize(("ago_ms", "trips"), [(299_999, False), (300_000, False), (300_001, True)])
def test_m06_wants_somebody_there_every_five_minutes(sensation: Sensation, ago_ms: int, trips: bool) -> None:
    found = Reason("M06", PAUSE, "SES.PRESENCE", 0, 300_001, 300_000, "ms") if trips else None
    assert people.m06(watch(sensation, present_ms=ago_ms)) == found


@pytest.mark.rule("M06")
@pytest.mark.rule("M36")
@pytest.mark.rule("M37")
def test_all_times_run_from_the_last_time_or_from_the_start_and_not_before_it() -> None:
    view, never = watch(), watch(first_ms=0)
    assert people.since_ms(view, view.now_ms - 5) == 5
    assert people.since_ms(view, 0) == 1_200_000
    assert people.since_ms(never, never.now_ms - 5) == 0


@pytest.mark.rule("M06")
def test_m06_runs_from_the_start_of_the_session_and_not_before() -> None:
    assert people.m06(watch(present_ms=9_999_999)).asked == 1_200_000
    assert people.m06(watch(present_ms=9_999_999, first_ms=0)) is None


@pytest.mark.rule("M06")
def test_m06_takes_the_tighter_time_and_asks_for_skin_that_feels_only_where_the_device_is_blind() -> None:
    view = watch(Sensation.S0, present_ms=300_001)
    assert people.m06(view) is None
    assert people.m06(view._replace(station=view.station._replace(device=None))) is None
    blind = view.station.device._replace(caps=replace(CAPS, numeric_impedance=False))
    assert people.m06(view._replace(station=view.station._replace(device=blind))).asked == 300_001
    tight = watch(present_ms=200_001)
    assert people.m06(tight._replace(limits=replace(tight.limits, presence_ms=200_000))).allowed == 200_000
    times = replace(tight.station.config.times, presence_ms=200_000)
    station = tight.station._replace(config=replace(tight.station.config, times=times))
    assert people.m06(tight._replace(station=station)).allowed == 200_000


@pytest.mark.rule("M36")
@pytest.mark.hazard("H20")
@pytest.mark.parametrize(
    ("ago_ms", "found"),
    [
        (300_000, None),
        (300_001, Reason("M36", HOLD, "FAT.RATING", 0, 300_001, 300_000, "ms")),
        (600_000, Reason("M36", HOLD, "FAT.RATING", 0, 600_000, 300_000, "ms")),
        (600_001, Reason("M36", PAUSE, "FAT.RATING", 0, 600_001, 600_000, "ms")),
    ],
)
def test_m36_asks_for_the_effort(ago_ms: int, found: Reason | None) -> None:
    view = watch(Sensation.S0, effort_ms=ago_ms)
    assert people.m36(view) == found
    tens = Programme(
        modality=Modality.TENS, ramp_up_ms=1_000, on_ms=600_000, ramp_down_ms=0, off_ms=0, therapy_ms=600_000
    )
    assert people.m36(view._replace(session=view.session._replace(rx=rx(programme=tens)))) is None


@pytest.mark.rule("M37")
@pytest.mark.hazard("H05")
@pytest.mark.hazard("H37")
@pytest.mark.parametrize(
    ("sensation", "ago_ms", "trips"),
    [
        (Sensation.S0, 9_999_999, False),
        (Sensation.S1, 600_000, False),
        (Sensation.S1, 600_001, True),
        (Sensation.S2, 300_000, False),
        (Sensation.S2, 300_001, True),
    ],
)
def test_m37_wants_skin_looked_at_the_more_often_the_less_it_feels(
    sensation: Sensation, ago_ms: int, trips: bool
) -> None:
    found = Reason("M37", PAUSE, "SES.SKIN_CHECK", 0, ago_ms, ago_ms - 1, "ms") if trips else None
    assert people.m37(watch(sensation, skin_ms=ago_ms)) == found


@pytest.mark.rule("M06")
@pytest.mark.rule("M36")
@pytest.mark.rule("M37")
@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("late", "found"),
    [
        ({}, None),
        ({"present_ms": 300_001}, ("M06", "SES.PRESENCE", 300_000)),
        ({"effort_ms": 600_000}, None),  # which only holds
        ({"effort_ms": 600_001}, ("M36", "FAT.RATING", 600_000)),
        ({"skin_ms": 600_001}, ("M37", "SES.SKIN_CHECK", 600_000)),
        ({"present_ms": 300_001, "skin_ms": 600_001}, ("M06", "SES.PRESENCE", 300_000)),
    ],
)
def test_nothing_is_resumed_while_something_is_due_that_would_pause_it(
    late: dict[str, int], found: tuple[str, str, int] | None
) -> None:
    view = watch(**{"present_ms": 0, "effort_ms": 0, "skin_ms": 0} | late)
    gate = Gate(view.station, Rig().command(Resume()), view.session, Now(view.now_ms, view.wall_ms), 0, 0)
    expected = found and Reason(found[0], Severity.REFUSE, found[1], 0, found[2] + 1, found[2], "ms")
    assert people.m06_resume(gate) == expected


# Through `step`


def after(rig: Rig, minutes: int) -> list[tuple[str, str]]:
    """Let so many minutes pass; gives rule and kind of what was said of the session."""
    mark = len(rig.said)
    rig.tick(minutes * MINUTE_MS // 100, ms=100)
    return [(m.rule, m.kind) for m in rig.said[mark:] if getattr(m, "kind", "").startswith("session.")]


@pytest.mark.rule("M06")
@pytest.mark.rule("M36")
@pytest.mark.rule("M37")
@pytest.mark.hazard("H49")
def test_a_session_that_is_looked_after_runs_on() -> None:
    rig = Rig().running(rx(plan(ua=15_000, area_mm2=5_000), programme=LONG, sensation=Sensation.S2))
    for _ in range(3):
        assert after(rig, 4) == []
        rig.attend()
    assert (rig.phase, rig.latched()) == (Phase.RUNNING, [])


@pytest.mark.rule("M06")
@pytest.mark.hazard("H38")
def test_a_session_that_nobody_looks_after_pauses_and_is_not_resumed_before_somebody_has() -> None:
    rig = Rig().running(rx(plan(ua=15_000, area_mm2=5_000), programme=LONG, sensation=Sensation.S1))
    assert after(rig, 5) == []
    assert after(rig, 1)[0] == ("M06", "session.paused")
    assert (rig.phase, rig.device.trains, rig.latched()) == (Phase.PAUSED, {}, ["M06"])
    rig.must(ClearLatch(rig.station.latches[0].id, "was away"))
    rig.must(Check(()))
    refused = rig.ask(Resume())
    assert [(r.rule, r.severity) for r in refused.reasons] == [("M06", Severity.REFUSE)]
    rig.must(Present())
    rig.must(Resume())
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("M36")
@pytest.mark.hazard("H20")
def test_an_effort_that_is_not_rated_holds_then_pauses() -> None:
    rig = Rig().running(rx(programme=replace(LONG, therapy_ms=1_500_000)))
    assert after(rig, 6) == [("M36", "session.held")]
    assert "G27" in rig.codes(Adjust(1, 1_000))
    rig.must(Rate(Rated.EFFORT, 3))
    rig.tick(42)
    assert rig.station.holds == ()
    assert after(rig, 11)[-1] == ("M36", "session.paused")


@pytest.mark.rule("M37")
@pytest.mark.hazard("H05")
def test_skin_that_is_not_looked_at_pauses() -> None:
    rig = Rig().running(rx(plan(ua=15_000, area_mm2=5_000), programme=LONG, sensation=Sensation.S2))
    after(rig, 4)
    rig.must(Present())
    assert after(rig, 2) == [("M37", "session.paused"), ("M36", "session.held")][:1]
    rig.must(ClearLatch(rig.station.latches[0].id, "looked"))
    rig.must(Check(()))
    assert [reason.rule for reason in rig.ask(Resume()).reasons] == ["M37"]
    rig.must(SkinCheck(ok=True))
    rig.must(Resume())


# What is said


@pytest.mark.rule("M06")
@pytest.mark.parametrize(
    ("wish", "field", "detail"),
    [
        (Present(), "present_ms", ""),
        (Rate(Rated.EFFORT, 10), "effort_ms", "effort=10"),
        (SkinCheck(ok=True), "skin_ms", ""),
        (Rate(Rated.PAIN, 6), None, "pain=6"),
        (Rate(Rated.PAIN, 0), None, "pain=0"),
    ],
)
def test_what_is_confirmed_is_remembered_and_recorded(wish: object, field: str | None, detail: str) -> None:
    rig = standing(Phase.RUNNING)
    before = rig.station.session
    answer = rig.must(wish)
    changed = {field: rig.mono_ms} if field else {}
    assert rig.station.session == before._replace(care=before.care._replace(**changed))
    record = rig.notes("wish")[-1]
    assert record == WishRecord(
        session=before.id, command=answer.command.id, principal="physio-1", verb=wish.verb, detail=detail
    )


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("score", "refused"), [(-1, True), (0, False), (10, False), (11, True), (True, True), ("3", True)]
)
def test_a_rating_is_a_whole_number_up_to_ten(score: object, refused: bool) -> None:
    rig = standing(Phase.RUNNING)
    answer = rig.ask(Rate(Rated.EFFORT, score))  # type: ignore[arg-type]
    expected = (Reason("G01", Severity.REFUSE, "CMD.SCHEMA", 0, 0, 10, "of 10"),) if refused else ()
    assert answer.reasons == expected


@pytest.mark.rule("M24")
def test_what_is_said_of_the_patient_is_heard_while_another_wish_is_on_its_way() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    waiting = rig.station.waiting
    for wish in (Present(), Rate(Rated.PAIN, 1), SkinCheck(ok=True)):
        rig.must(wish)
    assert rig.station.waiting is waiting


@pytest.mark.rule("M06")
@pytest.mark.parametrize("wish", [Present(), Rate(Rated.EFFORT, 1), Rate(Rated.PAIN, 9), SkinCheck(ok=False)])
def test_who_has_no_claim_confirms_nothing(wish: object) -> None:
    rig = standing(Phase.RUNNING)
    assert rig.ask(wish, principal="somebody").code == "SES.CLAIM_HELD"
    assert rig.phase is Phase.RUNNING


@pytest.mark.rule("L12")
def test_the_ledger_is_told_that_the_skin_was_looked_at() -> None:
    for looks in (False, True):
        rig = Rig().prepared()
        if looks:
            rig.must(SkinCheck(ok=True))
        rig.must(ArmSession())
        request = rig.notes("permit")[-1]
        assert isinstance(request, PermitRequest)
        assert request.skin_checked is looks


# A report of harm

HARM = [
    *((Report(kind), kind.value) for kind in Adverse),
    *((Rate(Rated.PAIN, score), f"pain={score}") for score in (7, 10)),
    (SkinCheck(ok=False), "skin"),
]


@pytest.mark.rule("M24")
@pytest.mark.hazard("H04")
@pytest.mark.hazard("H38")
@pytest.mark.hazard("H45")
@pytest.mark.parametrize(("wish", "detail"), HARM)
def test_harm_that_is_reported_stops_at_once_and_locks_every_site(wish: object, detail: str) -> None:
    rig = Rig().plateau(rx(plan(), plan(channel=3, site="right-calf"), programme=LONG))
    command = rig.command(wish)
    rig.ask(wish, id=command.id)
    assert rig.steps[-2][1][0] == Silence(cut=False) or rig.last[0] == Silence(cut=False)
    assert (rig.phase, rig.device.trains) == (Phase.IDLE, {})
    assert [latch[1:5] for latch in rig.station.latches] == [
        (Scope.MONTAGE, "M24", Clear.ACK_QUALIFIED, "p-1/left-quadriceps"),
        (Scope.MONTAGE, "M24", Clear.ACK_QUALIFIED, "p-1/right-calf"),
    ]
    (stopped,) = rig.events("session.stopped")
    assert stopped.reasons == tuple(Reason("M24", LOCK, "SES.ADVERSE", number) for number in (1, 3))
    assert stopped.priority == "high"
    assert {latch.rule for latch in rig.station.latches} == {ADVERSE}, "by which the ledger knows them (L10)"
    assert rig.notes("wish")[-1].detail == detail
    assert rig.answer(command.id).status == "succeeded"


@pytest.mark.rule("M24")
@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
def test_a_report_is_believed_wherever_a_session_is_open_from_whomever_it_comes(phase: Phase) -> None:
    rig = standing(phase)
    answer = rig.ask(Report(Adverse.SYNCOPE), principal="handset-1", role="handset", issued_wall_ms=0, retained=True)
    assert answer.status == "succeeded"
    assert (rig.phase, rig.station.session, rig.latched()) == (Phase.IDLE, None, ["M24"])


@pytest.mark.rule("M24")
def test_a_report_is_heard_while_a_wish_is_on_its_way_and_ends_it() -> None:
    rig = held_back(Phase.RUNNING, Adjust(1, 1_000))
    command = rig.station.waiting.command
    rig.must(Report(Adverse.PAIN), principal="handset-1")
    assert rig.answer(command.id).status == "failed"
    assert rig.phase is Phase.IDLE


@pytest.mark.rule("M24")
def test_a_report_while_a_stop_is_under_way_still_locks() -> None:
    rig = standing(Phase.UNCERTAIN)
    silences, since = len(rig.silences()), rig.station.stopping
    rig.must(Report(Adverse.BURNING))
    assert rig.latched() == ["STOP", "M24"]
    assert (len(rig.silences()), rig.station.stopping, rig.phase) == (silences, since, Phase.UNCERTAIN)


@pytest.mark.rule("M24")
@pytest.mark.parametrize("phase", [Phase.OFFLINE, Phase.IDLE])
def test_without_a_session_there_is_nobody_to_report_for(phase: Phase) -> None:
    rig = standing(phase)
    assert rig.ask(Report(Adverse.BURNING)).code == "SES.STATE"


@pytest.mark.rule("M24")
@pytest.mark.rule("G27")
@pytest.mark.hazard("H05")
def test_the_site_stays_locked_until_a_clinician_releases_it() -> None:
    rig = standing(Phase.RUNNING)
    rig.must(Report(Adverse.SKIN))
    refused = rig.prepare_again()
    assert [r.rule for r in refused.reasons] == ["G27"]
    (latch,) = rig.station.latches
    assert rig.ask(ClearLatch(latch.id, "fine"), role="physio").code == "AUTH.ROLE"
    rig.must(ClearLatch(latch.id, "seen, healed"), role="prescriber")
    assert rig.prepare_again().status == "succeeded"


@pytest.mark.rule("M06")
def test_care_begins_anew_with_each_session() -> None:
    rig = standing(Phase.RUNNING)
    rig.attend()
    assert min(rig.station.session.care[:3]) == rig.mono_ms
    rig.must(Stop())
    rig.must(ClearLatch(rig.station.latches[0].id, "again"))
    assert rig.prepare_again().status == "succeeded"
    assert rig.station.session.care[:3] == (0, 0, 0)


@pytest.mark.rule("X3")
@pytest.mark.parametrize("verb", [Verb.PRESENT, Verb.RATE, Verb.SKIN, Verb.REPORT])
def test_the_verbs_are_those_of_the_wire(verb: Verb) -> None:
    assert verb.value in {"presence.confirm", "session.rate", "session.skin_check", "adverse.report"}


@pytest.mark.parametrize("hear", [care.confirm, care.report])
@pytest.mark.rule("M06")
@pytest.mark.rule("M24")
def test_nothing_is_said_of_a_patient_where_there_is_no_session(hear: Callable[[Turn, Command], None]) -> None:
    rig = standing(Phase.IDLE)
    for wish in (Report(Adverse.PAIN), Present()):
        with pytest.raises(TypeError):
            hear(Turn(rig.station, rig.now), rig.command(wish))


@pytest.mark.rule("M06")
def test_without_a_session_nothing_is_due() -> None:
    rig = standing(Phase.IDLE)
    assert people.m06_resume(Gate(rig.station, rig.command(Resume()), None, rig.now, 0, 0)) is None


@pytest.mark.rule("G20")
def test_a_check_of_one_channel_leaves_the_other_unmeasured() -> None:
    rig = Rig()
    rig.up()
    rig.must(Claim())
    two = rx(plan(), plan(channel=2, site="right-quadriceps"))
    rig.must(Prepare(two, two.ref, two.patient))
    assert dict(rig.must(Check((2,))).details) == {"ohm_2": 1_500}
    assert [channel.contact.past.probe_ohm for channel in rig.station.session.channels] == [0, 1_500]


@pytest.mark.rule("M15")
@pytest.mark.parametrize(("twin", "is_one"), [(0, True), (2, True), (1, False), (3, False)])
def test_a_twin_is_another_channel_of_the_prescription(twin: int, is_one: bool) -> None:
    pair = plan(twin=twin), plan(channel=2, site="right-quadriceps")
    if is_one:
        assert rx(*pair).channels[0].twin == twin
        return
    with pytest.raises(PrescriptionError, match="twin"):
        rx(*pair)
