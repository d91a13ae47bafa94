"""safety/care.py: what is said of the patient is recorded word for word, and what is not well stops and locks."""

from __future__ import annotations

import pytest
from clinic import NMES
from rig import Phase, Present, Rate, Rated, Rig, SkinCheck, standing

from safety import care
from safety.effects import Answer, Effect, Entry, Event, Note, Silence, Tell, WishRecord
from safety.messages import Adverse, Asked, Command, EntryKind, Latch, Report, Verb
from safety.verdict import Clear, Reason, Scope, Severity

pytestmark = [pytest.mark.rule("M24"), pytest.mark.hazard("H38")]

SESSION = "s-dev1-b1-1"


def own(rig: Rig, wish: object) -> tuple[Command, tuple[Effect, ...]]:
    """Ask for something; gives the command and what its own step said."""
    mark, command = len(rig.steps), rig.command(wish)
    rig.give(Asked(command))
    return command, rig.steps[mark][1]


def recorded(number: int, command: Command, detail: str) -> Note:
    body = WishRecord(session=SESSION, command=command.id, principal="physio-1", verb=command.verb, detail=detail)
    return Note(Entry(number, EntryKind.WISH, body))


@pytest.mark.rule("M06")
@pytest.mark.rule("M36")
@pytest.mark.rule("M37")
@pytest.mark.parametrize(
    ("wish", "kept", "detail"),
    [
        (Present(), "present_ms", ""),
        (Rate(Rated.EFFORT, 4), "effort_ms", "effort=4"),
        (Rate(Rated.EFFORT, 10), "effort_ms", "effort=10"),
        (SkinCheck(ok=True), "skin_ms", ""),
        (Rate(Rated.PAIN, 6), "", "pain=6"),
    ],
)
def test_what_is_well_is_kept_with_its_time_and_recorded(wish: object, kept: str, detail: str) -> None:
    rig = standing(Phase.RUNNING)
    rig.mono_ms += 9
    before, number = rig.station, rig.station.tally.next_id
    command, effects = own(rig, wish)
    assert effects == (
        Tell(Answer(command=command, status="succeeded", code="OK")), recorded(number, command, detail),
    )  # fmt: skip
    session = before.session
    times = {kept: rig.mono_ms} if kept else {}
    assert rig.station == before._replace(
        session=session._replace(care=session.care._replace(**times)),
        tally=before.tally._replace(next_id=number + 1),
    )


WRONG = [
    (Rate(Rated.PAIN, 7), "pain=7"),
    (SkinCheck(ok=False), "skin"),
    *((Report(kind), kind.value) for kind in Adverse),
]


@pytest.mark.parametrize(("wish", "detail"), WRONG)
def test_what_is_not_well_stops_at_once_and_locks_each_site(wish: object, detail: str) -> None:
    rig = Rig().running(NMES, ticks=45)
    rig.answering = False
    number = rig.station.tally.next_id
    command, effects = own(rig, wish)
    reasons = tuple(Reason("M24", Severity.LOCK, "SES.ADVERSE", channel) for channel in (1, 3))
    sites = ("left-quadriceps", "right-calf")
    latches = [
        Latch(number + 2 * n, Scope.MONTAGE, "M24", Clear.ACK_QUALIFIED, f"p-1/{site}", rig.wall_ms)
        for n, site in enumerate(sites)
    ]
    latched = [
        Tell(
            Event(
                kind="fault.latched", rule="M24", code="SES.ADVERSE", reasons=(reason,),
                details=(("latch", latch.id), ("clear", "ack_qualified"), ("scope", "montage")),
            )
        )
        for reason, latch in zip(reasons, latches, strict=True)
    ]  # fmt: skip
    ended = Event(
        kind="session.stopped", rule="M24", code="SES.ADVERSE", priority="high", reasons=reasons,
        details=(("session_id", SESSION), ("by", "physio-1")),
    )  # fmt: skip
    assert effects == (
        Silence(cut=False),
        *latched,
        Tell(ended),
        Tell(Answer(command=command, status="succeeded", code="OK")),
        *(Note(Entry(latch.id + 1, EntryKind.LATCH, latch)) for latch in latches),
        recorded(number + 4, command, detail),
    )
    assert rig.phase is Phase.UNCERTAIN


@pytest.mark.hazard("H45")
def test_a_report_after_a_stop_locks_and_stops_nothing_again() -> None:
    rig = standing(Phase.UNCERTAIN)
    before, number = rig.station, rig.station.tally.next_id
    command, effects = own(rig, Report(Adverse.BURNING))
    kinds = [e.message.kind for e in effects if isinstance(e, Tell) and isinstance(e.message, Event)]
    assert kinds == ["fault.latched"]
    assert effects[-1] == recorded(number + 2, command, "burning")
    assert (rig.phase, rig.station.stopping) == (Phase.UNCERTAIN, before.stopping)
    assert rig.latched() == ["STOP", "M24"]


def test_these_wishes_are_heard_of_the_patient() -> None:
    assert {Verb.PRESENT: care.confirm, Verb.RATE: care.confirm, Verb.SKIN: care.confirm} == care.HEED
