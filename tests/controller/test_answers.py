"""What the service says on the wire, and the words of every code."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from controller.contract import codes
from controller.contract.accept import Refusal
from controller.contract.answers import (
    AnswerMessage,
    CapabilitiesMessage,
    EventMessage,
    LatchSaid,
    ServiceMessage,
)
from controller.contract.bodies import VERBS
from controller.contract.envelope import utc_ms, utc_text
from safety.effects import Answer, Event
from safety.messages import Command, Expect, Latch, Start
from safety.rules.registry import RULES
from safety.verdict import Clear, Reason, Scope, Severity
from tests.controller.wire import CAPS, ID, IDENTITY, NOW, arrival, door, fields

ROOT = Path(__file__).parents[2]

# Times


def test_times_are_read_and_written_to_the_millisecond() -> None:
    assert utc_ms("1970-01-01T00:00:00.000Z") == 0
    assert utc_ms("2026-11-22T14:50:00.1Z") - utc_ms("2026-11-22T14:50:00Z") == 100
    for wall_ms in (0, 1, 999, 1_000, 1_763_823_000_123, 4_102_444_799_999):
        assert utc_ms(utc_text(wall_ms)) == wall_ms


# What the service says

COMMAND = Command(
    id=ID,
    principal="clinician-1",
    role="physio",
    issued_wall_ms=0,
    expires_wall_ms=0,
    retained=False,
    expect=Expect(),
    wish=Start(),
)
OVER = Reason("M18", Severity.STOP, "DOSE.SESSION", 2, 846_200, 800_000, "nC")
STALE = Reason("G02", Severity.REFUSE, "CMD.PRECONDITION")


def test_an_answer_names_the_binding_rule_and_all_reasons() -> None:
    answer = Answer(
        command=COMMAND, status="rejected", code="DOSE.SESSION", reasons=(OVER, STALE), details=(("permit", 7),)
    )
    assert json.loads(AnswerMessage.of(answer, boot_id="b-4", now=NOW, audit_seq=9912).to_bytes()) == {
        "schema": "stim.answer/1",
        "command_id": ID,
        "status": "rejected",
        "code": "DOSE.SESSION",
        "text": "Nothing was done. The session's dose is used up or would not suffice. It ends here; what was given is "
        "recorded. Asked or measured: 846.2 µC; limit: 800 µC (channel 2).",
        "rule": "M18",
        "limit": 800_000,
        "requested": 846_200,
        "unit": "nC",
        "reasons": [
            {
                "rule": "M18",
                "code": "DOSE.SESSION",
                "severity": "stop",
                "channel": 2,
                "requested": 846_200,
                "limit": 800_000,
                "unit": "nC",
                "text": "The session's dose is used up or would not suffice. It ends here; what was given is recorded. "
                "Asked or measured: 846.2 µC; limit: 800 µC (channel 2).",
            },
            {
                "rule": "G02",
                "code": "CMD.PRECONDITION",
                "severity": "refuse",
                "channel": 0,
                "requested": None,
                "limit": None,
                "unit": "",
                "text": codes.TEXTS["CMD.PRECONDITION"],
            },
        ],
        "fields": [],
        "details": {"permit": 7},
        "explained": None,
        "audit_seq": 9912,
        "boot_id": "b-4",
        "at": "2026-11-22T14:50:01.000Z",
    }


def test_an_answer_without_reasons_says_what_became_of_it() -> None:
    for status, text in codes.LEADS.items():
        message = AnswerMessage.of(Answer(command=COMMAND, status=status, code="OK"), boot_id="b-4", now=NOW)
        assert (message.text, message.rule, message.limit, message.requested, message.unit) == (
            text,
            None,
            None,
            None,
            None,
        )
        assert message.is_final is (status not in {"accepted", "in_progress"})


def test_a_status_of_our_own_invention_does_not_get_out() -> None:
    with pytest.raises(ValueError, match="status"):
        AnswerMessage.of(Answer(command=COMMAND, status="maybe", code="OK"), boot_id="b-4", now=NOW)


def test_a_refusal_lists_the_fields_at_fault() -> None:
    outcome = door().accept(arrival(fields(colour="red", site=7)), NOW)
    assert isinstance(outcome, Refusal)
    said = json.loads(AnswerMessage.refusing(outcome, boot_id="b-4", now=NOW).to_bytes())
    assert (said["command_id"], said["status"], said["code"]) == (ID, "rejected", "CMD.SCHEMA")
    assert [fault["field"] for fault in said["fields"]] == ["site", "colour"]
    assert "red" not in json.dumps(said)


def test_an_event_is_said_with_its_number() -> None:
    event = Event(
        kind="session.stopped",
        rule="M18",
        code="DOSE.SESSION",
        priority="medium",
        reasons=(OVER,),
        details=(("by", "M18"),),
    )
    said = json.loads(
        EventMessage.of(event, site="ward3", device="dev1", event_seq=5, boot_id="b-4", now=NOW).to_bytes()
    )
    reasons = said.pop("reasons")
    assert [reason["rule"] for reason in reasons] == ["M18"]
    assert said.pop("text") == codes.text("DOSE.SESSION", reason=OVER)
    assert said == {
        "schema": "stim.event/1",
        "event_seq": 5,
        "site": "ward3",
        "device": "dev1",
        "kind": "session.stopped",
        "priority": "medium",
        "rule": "M18",
        "code": "DOSE.SESSION",
        "details": {"by": "M18"},
        "boot_id": "b-4",
        "at": "2026-11-22T14:50:01.000Z",
    }


def test_a_latch_is_said_without_its_patient() -> None:
    latch = Latch(204, Scope.MONTAGE, "M08", Clear.ACK_QUALIFIED, "p-8c1d/quadriceps-l", NOW.wall_ms)
    assert json.loads(LatchSaid.of(latch).to_bytes()) == {
        "latch_id": "l-204",
        "scope": "montage",
        "rule": "M08",
        "clear": "ack_qualified",
        "since": "2026-11-22T14:50:01.000Z",
    }


def test_capabilities_tell_ranges_verbs_and_the_dead_man() -> None:
    said = CapabilitiesMessage.of(IDENTITY, CAPS, site="ward3", device="dev1", boot_id="b-4", now=NOW)
    assert (said.dead_man_ms, said.width_us, said.period_us, said.verbs) == (
        500,
        (50, 500),
        (8_334, 1_000_000),
        list(VERBS),
    )
    assert CapabilitiesMessage.read(said.to_bytes()) == said


@pytest.mark.rule("X7")
@pytest.mark.hazard("H40")
def test_capabilities_tell_what_is_not_fitted_and_which_rules_are_silent_for_it() -> None:
    bare = replace(CAPS, readback=False, numeric_impedance=False, patient_stop=False, supply_min_mv=None)
    said = CapabilitiesMessage.of(IDENTITY, bare, site="ward3", device="dev1", boot_id="b-4", now=NOW)
    assert {"readback", "impedance", "electrode", "patient stop", "supply"} <= set(said.not_fitted)
    assert {"M01", "M07", "M08", "M10", "M23", "M28", "G20", "G21"} <= set(said.inactive)
    assert {rule.id for rule in RULES if not rule.needs} & set(said.inactive) == set()
    none = {"balance": False, "temperature": False, "electrode_flag_from_ua": None, "echo": False}
    said = CapabilitiesMessage.of(IDENTITY, replace(bare, **none), site="ward3", device="dev1", boot_id="b-4", now=NOW)
    unfelt = {rule.needs for rule in RULES if rule.needs} - {"clip"}
    assert unfelt == set(said.not_fitted), "the register and the heart name measurements alike"
    full = CapabilitiesMessage.of(
        IDENTITY, replace(CAPS, supply_min_mv=9_000, supply_max_mv=15_000, balance=True, temperature=True),
        site="ward3", device="dev1", boot_id="b-4", now=NOW,
    )  # fmt: skip
    assert (full.not_fitted, full.inactive) == ([], [])


def test_what_is_said_later_does_not_break_a_reader() -> None:
    said = ServiceMessage(instance="a", state="online", will=False, boot_id="b-4", at=None)
    longer = said.to_bytes().replace(b"{", b'{"mood":"fine",', 1)
    assert ServiceMessage.read(longer) == said
    with pytest.raises(ValueError, match="state"):
        ServiceMessage.read(said.to_bytes().replace(b"online", b"elsewhere"))


# Codes

CODE = re.compile(r"""["']([A-Z]{2,4}\.[A-Z_]+)["']""")


def codes_used() -> set[str]:
    """Every code that the source of the heart and of the shell writes."""
    return {
        code
        for room in ("safety", "controller")
        for path in (ROOT / room).rglob("*.py")
        for code in CODE.findall(path.read_text(encoding="utf-8"))
    }


def test_every_code_in_use_has_words_and_every_other_is_reserved() -> None:
    assert codes.TEXTS.keys() - codes_used() - {"OK"} == codes.RESERVED
    assert codes_used() - codes.TEXTS.keys() == set()


def test_words_are_sentences_that_say_what_to_do() -> None:
    for code, text in codes.TEXTS.items():
        if code != "OK":
            assert text.endswith("."), code
            assert len(text.split(". ")) >= 2 or ";" in text or "," in text, code


def test_a_code_without_words_still_gets_out() -> None:
    assert codes.text("NEW.CODE", "failed") == f"{codes.LEADS['failed']} NEW.CODE"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (24_500, "uA", "24.5 mA"),
        (-24_500, "uA", "-24.5 mA"),
        (-1, "uA", "-0.001 mA"),
        (0, "uA", "0 mA"),
        (20_000, "uA", "20 mA"),
        (846_200, "nC", "846.2 µC"),
        (1_500, "ms", "1.5 s"),
        (999_999_999_999, "ms", "999999999.999 s"),
        (1_763_823_000_123, "ms", "2025-11-22T14:50:00.123Z"),
        (4_000, "ohm", "4000 ohm"),
        (4_294_967_294, "ohm", "4294967294 ohm"),
        (4_294_967_295, "ohm", "no current"),
        (3, "readings", "3 readings"),
    ],
)
def test_figures_are_written_for_people_without_losing_a_digit(value: int, unit: str, text: str) -> None:
    assert codes.quantity(value, unit) == text


def test_figures_name_the_channel_where_there_is_one() -> None:
    assert codes.figures(STALE) == ""
    assert codes.figures(STALE._replace(channel=3)) == "It concerns channel 3."
    assert codes.figures(OVER._replace(channel=0)) == "Asked or measured: 846.2 µC; limit: 800 µC."
