"""What would become of a wish: the verdict is that of `step` and `admit`, the figures are the rules' own."""

# ruff: noqa: ARG002 - a ledger of a test knows what it knows

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig import CAPS, Adjust, ArmSession, Check, Claim, Phase, Rig, rx, standing
from structlog.testing import capture_logs

from controller import clock
from controller.contract.answers import AnswerMessage, RuleSaid
from controller.contract.bodies import WISHES
from controller.explain import explain
from controller.station import Actor
from controller.store.dose import Foreseen
from controller.store.tables import LedgerUnavailableError
from safety.effects import PermitRequest
from safety.history import History
from safety.messages import Pause, Prepare, Start, Stop
from safety.rules.pulse import cap_ua
from safety.rules.registry import RULES
from safety.rules.views import Lane
from safety.verdict import Reason, Severity
from tests.controller.peer import until
from tests.controller.reception import Reception, numbered
from tests.controller.ward import Ward
from tests.controller.wire import fields

pytestmark = pytest.mark.hazard("H40")


class Books:
    """A ledger that knows one history, and is only read."""

    def __init__(self, held: tuple[Reason, ...] = (), **of: Any) -> None:  # noqa: ANN401 - fields of a history
        self.held = held
        self.history = History(**({"patient": "p-1", "records": (), "locked_sites": ()} | of))
        self.asked: list[tuple[str, int]] = []

    async def complete(self, wish: Prepare, now_wall_ms: int) -> Prepare:
        return replace(wish, rx=rx() if wish.asked == "rx-1@1" else None)

    async def foresee(self, device: str, request: PermitRequest, now_wall_ms: int) -> Foreseen:
        self.asked.append((device, now_wall_ms))
        return Foreseen(self.held, self.history, request)


class Closed(Books):
    """A ledger that cannot be read."""

    async def complete(self, wish: Prepare, now_wall_ms: int) -> Prepare:
        raise LedgerUnavailableError("disk")

    async def foresee(self, device: str, request: PermitRequest, now_wall_ms: int) -> Foreseen:
        raise LedgerUnavailableError("disk")


def asked_of(rig: Rig, wish: object, books: Books | None = None) -> AnswerMessage:
    """The answer to a question about a wish."""
    command = rig.command(wish)
    return asyncio.run(explain(rig.station, command, rig.now, books or Books()))


def rules_of(answer: AnswerMessage) -> dict[str, RuleSaid]:
    """What is said of each rule, of the first channel that it was asked about."""
    assert answer.explained is not None
    return {rule.rule: rule for rule in reversed(answer.explained.rules)}


# The verdict


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
@pytest.mark.parametrize(
    "wish",
    [Claim(), Prepare(rx(), "rx-1@1", "p-1"), Check(()), Check((7,)), ArmSession(), Start(), Adjust(1, 9_000), Stop()],
    ids=lambda wish: type(wish).__name__,
)
def test_a_question_is_answered_as_the_wish_would_be(phase: Phase, wish: object) -> None:
    rig = standing(phase)
    answer = asked_of(rig, wish)
    real = rig.ask(wish)
    assert answer.explained is not None
    assert answer.explained.obeyed is (real.status != "rejected")
    assert [(one.rule, one.code, one.requested, one.limit) for one in answer.reasons] == [
        (one.rule, one.code, one.asked if one.unit else None, one.allowed if one.unit else None)
        for one in real.reasons
        if real.status == "rejected"
    ]
    assert (answer.status, answer.code, answer.explained.verb) == ("succeeded", "OK", real.command.verb.value)
    assert answer.explained.code == (real.code if real.status == "rejected" else "OK")


def test_the_binding_rule_stands_first_and_the_text_says_why() -> None:
    answer = asked_of(standing(Phase.RUNNING), Adjust(1, 9_000))
    assert answer.explained is not None
    first, *rest = answer.explained.rules
    assert (first.rule, first.code, first.requested, first.limit, first.unit, first.margin) == (
        "G18", "LIM.STEP", 9_000, 1_000, "uA", -8_000,
    )  # fmt: skip
    assert (answer.rule, answer.requested, answer.limit, answer.unit) == ("G18", 9_000, 1_000, "uA")
    assert answer.text.startswith(
        "This was a question; nothing was done. It would be refused. That is too fast a rise."
    )
    spoken = [rule.passed for rule in rest]
    assert spoken == sorted(spoken), "what is against the wish stands before what is not"


def test_a_wish_that_would_be_obeyed_has_no_reason_and_names_what_was_asked() -> None:
    answer = asked_of(standing(Phase.PREPARED), ArmSession())
    assert (answer.rule, answer.reasons, answer.limit, answer.requested, answer.unit) == (None, [], None, None, None)
    assert answer.text == "This was a question; nothing was done. It would be obeyed."
    assert all(rule.passed and rule.code is None for rule in rules_of(answer).values())


# The ledger


def test_an_arming_is_judged_by_the_history_that_the_ledger_has_now() -> None:
    rig, books = standing(Phase.PREPARED), Books(locked_sites=("left-quadriceps",))
    answer = asked_of(rig, ArmSession(), books)
    assert books.asked == [("dev1", rig.wall_ms)]
    assert answer.explained is not None
    assert (answer.explained.obeyed, answer.explained.code, answer.rule) == (False, "FLT.LATCHED", "G27")
    assert {"L01", "L03", "L04", "L05", "L09"} <= rules_of(answer).keys()


def test_whoever_else_holds_the_patient_is_named_before_the_history() -> None:
    held = Reason("X10", Severity.REFUSE, "SES.HELD")
    answer = asked_of(standing(Phase.PREPARED), ArmSession(), Books((held,), locked_sites=("left-quadriceps",)))
    assert [one.code for one in answer.reasons] == ["SES.HELD", "FLT.LATCHED"]


def test_a_ledger_that_cannot_be_read_would_refuse() -> None:
    answer = asked_of(standing(Phase.PREPARED), ArmSession(), Closed())
    assert [one.code for one in answer.reasons] == ["DOSE.LEDGER_UNAVAILABLE"]
    answer = asked_of(standing(Phase.IDLE), Prepare(None, "rx-1@1", "p-1"), Closed())
    assert [one.code for one in answer.reasons] == ["DOSE.LEDGER_UNAVAILABLE"]


def test_test_pulses_ask_nothing_of_the_ledger() -> None:
    answer = asked_of(standing(Phase.PREPARED), Check(()), Closed())
    assert answer.explained is not None
    assert answer.explained.obeyed


# The figures of what has nothing against the wish


def test_a_content_rule_tells_what_it_measured_and_what_is_left() -> None:
    rules = rules_of(asked_of(standing(Phase.PREPARED), ArmSession()))
    session = standing(Phase.PREPARED).station.session
    assert session is not None
    limits, train = session.limits, session.settings[0].plan.train(session.settings[0].setpoint_ua)
    assert (rules["G09"].requested, rules["G09"].limit, rules["G09"].unit) == (train.width_us, limits.width_us, "us")
    assert rules["G09"].margin == limits.width_us - train.width_us
    assert (rules["G12"].limit, rules["G12"].unit, rules["G12"].channel) == (limits.rms_ua, "uA", 1)
    assert (rules["L01"].requested, rules["L01"].limit, rules["L01"].margin) == (
        1, limits.treatments_day, limits.treatments_day - 1,
    )  # fmt: skip
    assert {rule.text for rule in rules.values()} <= {rule.text for rule in RULES}


def test_the_amplitude_is_told_against_the_cap_of_all_layers() -> None:
    rig = standing(Phase.PREPARED)
    session = rig.station.session
    assert session is not None
    asked = session.settings[0].plan
    cap = cap_ua(Lane(session.rx, asked, asked.train(asked.ua), session.limits, CAPS, rig.wall_ms))
    figures = rules_of(asked_of(rig, ArmSession()))["G08"]
    assert (figures.requested, figures.limit, figures.margin) == (asked.ua, cap, cap - asked.ua)


def test_a_lower_bound_leaves_what_lies_above_it() -> None:
    rig = standing(Phase.PREPARED)
    session = rig.station.session
    assert session is not None
    figures = rules_of(asked_of(rig, ArmSession()))["G18"]
    assert (figures.requested, figures.limit, figures.unit) == (
        session.rx.programme.ramp_up_ms, session.limits.ramp_ms, "ms",
    )  # fmt: skip
    assert figures.margin == session.rx.programme.ramp_up_ms - session.limits.ramp_ms


def test_a_rule_without_figures_says_that_it_is_content() -> None:
    figures = rules_of(asked_of(standing(Phase.PREPARED), ArmSession()))["L09"]
    assert (figures.passed, figures.requested, figures.limit, figures.margin, figures.unit) == (
        True, None, None, None, "",
    )  # fmt: skip


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
def test_every_rule_that_is_asked_is_a_rule_of_the_register(phase: Phase) -> None:
    wishes = (Claim(), Prepare(rx(), "rx-1@1", "p-1"), Check(()), ArmSession(), Start(), Adjust(1, 500), Pause())
    known = {rule.id for rule in RULES}
    for wish in wishes:
        answer = asked_of(standing(phase), wish)
        assert answer.explained is not None
        assert {rule.rule for rule in answer.explained.rules if rule.rule} <= known


# Nothing is done


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PREPARED, Phase.ARMED, Phase.RUNNING, Phase.PAUSED])
def test_a_question_leaves_the_station_as_it_was(phase: Phase) -> None:
    rig = standing(phase)
    before, steps, frames = rig.station, len(rig.steps), len(rig.log)
    for wish in (Claim(), Check(()), ArmSession(), Start(), Adjust(1, 500), Adjust(1, -500), Pause(), Stop()):
        asked_of(rig, wish)
    assert rig.station is before
    assert (len(rig.steps), len(rig.log)) == (steps, frames)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def desk(tmp_path: Path, logged: list[Any]) -> AsyncIterator[Reception]:
    made = Reception(tmp_path)
    await made.open()
    yield made
    await made.close()


def written(folder: Path) -> list[list[Any]]:
    """Everything that journal and ledger hold."""
    found = []
    for name in ("journal.db", "ledger.db"):
        with closing(sqlite3.connect(folder / name)) as reader:
            tables = [row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found.append([list(reader.execute(f"SELECT * FROM {table}")) for table in sorted(tables)])  # noqa: S608
    return found


@pytest.mark.parametrize("verb", sorted(set(WISHES) - {"session.prepare"}))
async def test_no_verb_that_is_asked_about_is_posted_written_or_remembered(desk: Reception, verb: str) -> None:
    """The same body that the verb itself would have; what does not fit is refused at the door."""
    bodies: dict[str, Any] = {
        "session.adjust": {"channel": 1, "delta_ua": 500}, "latch.clear": {"latch_id": "l-1", "reason": "seen"},
        "calibration.begin": {"channel": 1}, "calibration.step": {"delta_ua": 0},
        "calibration.mark": {"threshold": "motor"}, "session.rate": {"what": "effort", "score": 4},
        "session.skin_check": {"ok": True}, "adverse.report": {"kind": "pain"},
        "session.attest": {"answers": {"pregnancy": "no"}},
    }  # fmt: skip
    posted: list[object] = []
    actor: Actor = desk.actors["dev1"]
    actor.post = posted.append  # type: ignore[method-assign]
    before, files = actor.station, written(desk.folder)
    sent = desk.ask("service.explain", body={"verb": verb, "body": bodies.get(verb, {})})
    await until(lambda: sent.extend(desk.outbox.take()) or sent)
    assert [(one.topic, one.retain, one.said["explained"]["verb"]) for one in sent] == [
        ("stim/v1/ward3/dev1/ack/clinician-1/" + sent[0].said["command_id"], False, verb)
    ]
    assert (posted, actor.station) == ([], before)
    assert written(desk.folder) == files
    assert desk.journal.recall("clinician-1", sent[0].said["command_id"]) is None


async def test_a_question_about_what_one_may_not_ask_is_refused_as_the_wish_is(desk: Reception) -> None:
    (sent,) = desk.give(fields("service.explain", issuer="visitor", body={"verb": "session.start", "body": {}}))
    assert (sent.said["status"], sent.said["code"]) == ("rejected", "AUTH.ROLE")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "CMD.SCHEMA", "body.verb"),
        ({"verb": "session.fly", "body": {}}, "CMD.UNKNOWN_VERB", "body.verb"),
        ({"verb": "service.explain", "body": {}}, "CMD.UNKNOWN_VERB", "body.verb"),
        ({"verb": "service.status", "body": {}}, "CMD.UNKNOWN_VERB", "body.verb"),
        ({"verb": "session.adjust", "body": {"channel": 1}}, "CMD.SCHEMA", "body.body.delta_ua"),
        ({"verb": "session.start", "body": {}, "now": True}, "CMD.SCHEMA", "body.now"),
    ],
)
async def test_a_question_has_the_form_of_what_it_asks_about(
    desk: Reception, body: dict[str, Any], code: str, field: str
) -> None:
    (sent,) = desk.ask("service.explain", body=body)
    assert (sent.said["code"], [fault["field"] for fault in sent.said["fields"]]) == (code, [field])


async def test_a_flood_of_questions_is_not_answered_and_is_counted(desk: Reception, logged: list[Any]) -> None:
    for number in range(25):
        desk.ask("service.explain", command_id=numbered(number), body={"verb": "device.claim", "body": {}})
    await until(lambda: len(desk.outbox.under("ack")) >= 10)
    assert len(desk.outbox.under("ack")) == 10
    assert sum(line["event"] == "command.explained" for line in logged) == 10


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = Ward(tmp_path)
    await made.open()
    yield made
    await made.close()


async def test_explaining_an_arming_and_a_start_lets_nothing_reach_the_stimulator(ward: Ward, tmp_path: Path) -> None:
    await ward.prepared()
    frames, files = set(ward.types()), written(tmp_path)[1]
    for wish in (ArmSession(), Start(), Stop(), Check(())):
        assert (await explain(ward.actor.station, ward.command(wish), clock.now(), ward.records)).explained is not None
    assert ward.actor.station.phase is Phase.PREPARED
    assert set(ward.types()) == frames, "no frame of another kind than before"
    assert written(tmp_path)[1] == files
    assert ward.pulses() == []
