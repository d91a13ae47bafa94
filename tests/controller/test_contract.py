"""Topics, and the door: every command becomes its wish or is refused by the first step that finds something wrong."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from controller.contract.accept import Accepted, Asker, Door, Inquiry, Refusal, Repeat, digest_of
from controller.contract.bodies import BODIES
from controller.contract.envelope import MAX_BYTES, utc_ms
from controller.contract.topics import Topics, is_stop
from controller.identity import Seen, Signatures
from safety.messages import (
    Adjust,
    Adverse,
    ArmSession,
    Attest,
    CalibrationBegin,
    CalibrationEnd,
    CalibrationMark,
    CalibrationStep,
    Check,
    Claim,
    ClearLatch,
    Command,
    Expect,
    Now,
    Pause,
    Prepare,
    Present,
    Rate,
    Rated,
    Release,
    Renew,
    Report,
    Resume,
    SkinCheck,
    Start,
    Threshold,
    Verb,
    Wish,
)
from tests.controller.wire import ID, NOW, PRINCIPALS, TOPICS, Fields, arrival, code_of, door, fields

# Topics


def test_topics_are_built_as_the_protocol_says() -> None:
    assert [
        TOPICS.command("dev1", "plc7", "session.start"),
        TOPICS.ack("dev1", "plc7", ID),
        TOPICS.ack("dev1", "plc7", ""),
        TOPICS.summary("dev1"),
        TOPICS.capabilities("dev1"),
        TOPICS.telemetry("dev1", 2),
        TOPICS.event("dev1", "alarm.raised"),
        TOPICS.service("a"),
        TOPICS.all_of("state"),
        Topics("ward3", "other").summary("dev1"),
    ] == [
        "stim/v1/ward3/dev1/cmd/plc7/session.start",
        f"stim/v1/ward3/dev1/ack/plc7/{ID}",
        "stim/v1/ward3/dev1/ack/plc7/unknown",
        "stim/v1/ward3/dev1/state/summary",
        "stim/v1/ward3/dev1/state/capabilities",
        "stim/v1/ward3/dev1/tele/2",
        "stim/v1/ward3/dev1/event/alarm.raised",
        "stim/v1/ward3/_service/a/state",
        "stim/v1/ward3/+/state/#",
        "other/v1/ward3/dev1/state/summary",
    ]


def test_filters_take_commands_and_stops_of_the_served_devices_and_the_sites_stop() -> None:
    assert TOPICS.command_filters(["dev1", "dev2"]) == (
        "stim/v1/ward3/dev1/cmd/#",
        "stim/v1/ward3/dev2/cmd/#",
        "stim/v1/ward3/_all/cmd/#",
    )
    assert TOPICS.stop_filters(["dev1"]) == (
        "stim/v1/ward3/dev1/cmd/+/session.stop",
        "stim/v1/ward3/dev1/cmd/+/stop",
        "stim/v1/ward3/_all/cmd/+/session.stop",
        "stim/v1/ward3/_all/cmd/+/stop",
    )


@pytest.mark.parametrize("word", ["", "Ward3", "ward 3", "w/3", "+", "#", "_all", "a" * 33, "ward3\n", "wärd"])
def test_a_site_or_prefix_that_is_no_id_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="site"):
        Topics(word)
    with pytest.raises(ValueError, match="prefix"):
        Topics("ward3", word)


@pytest.mark.parametrize(
    ("topic", "levels"),
    [
        ("stim/v1/ward3/dev1/cmd/plc7/stop", ("dev1", "plc7", "stop")),
        ("stim/v1/ward3/_all/cmd/plc7/stop", ("_all", "plc7", "stop")),
        ("stim/v1/ward3/dev1/cmd/plc7/a/b", None),
        ("stim/v1/ward3/dev1/cmd/plc7", None),
        ("stim/v1/ward3/dev1/ack/plc7/stop", None),
        ("stim/v1/ward4/dev1/cmd/plc7/stop", None),
        ("stim/v2/ward3/dev1/cmd/plc7/stop", None),
        ("xstim/v1/ward3/dev1/cmd/plc7/stop", None),
        ("stim/v1/ward3", None),
        ("", None),
    ],
)
def test_a_command_topic_is_read_back_or_not_at_all(topic: str, levels: tuple[str, str, str] | None) -> None:
    assert TOPICS.read_command(topic) == levels


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("stim/v1/ward3/dev1/ack/plc7/a", True),
        ("stim/v1/ward3/dev1/ack/plc7/line-4/step_2.x", True),
        ("stim/v1/ward3/dev1/ack/plc7/", False),
        ("stim/v1/ward3/dev1/ack/plc7", False),
        ("stim/v1/ward3/dev1/ack/plc7//a", False),
        ("stim/v1/ward3/dev1/ack/plc7/+", False),
        ("stim/v1/ward3/dev1/ack/plc7/a/#", False),
        ("stim/v1/ward3/dev1/ack/plc7/a\n", False),
        ("stim/v1/ward3/dev1/ack/plc7/\0", False),
        ("stim/v1/ward3/dev1/ack/plc7/" + "a" * 65, False),
        ("stim/v1/ward3/dev1/ack/plc7/a/b/c/d/e", False),
        ("stim/v1/ward3/dev1/ack/plc77/a", False),
        ("stim/v1/ward3/dev2/ack/plc7/a", False),
        ("stim/v1/ward3/dev1/cmd/plc7/session.start", False),
        ("stim/v1/ward3/dev1/state/summary", False),
    ],
)
def test_a_response_topic_lies_under_the_askers_own_answers(topic: str, *, may: bool) -> None:
    assert TOPICS.may_reply(topic, "dev1", "plc7") is may


def test_only_the_two_stop_words_are_stops() -> None:
    stops = {verb for verb in BODIES if is_stop(TOPICS.command("dev1", "plc7", verb))}
    assert stops == {"session.stop", "stop"}
    assert not is_stop("stim/v1/ward3/dev1/cmd/plc7/stop/x")


# Commands

WISHES: list[tuple[str, Fields, Wish]] = [
    ("device.claim", {}, Claim()),
    ("device.renew", {}, Renew()),
    ("device.release", {}, Release()),
    ("session.prepare", {"prescription_id": "rx-77@3", "patient_ref": "p-8c1d"}, Prepare(None, "rx-77@3", "p-8c1d")),
    (
        "session.prepare",
        {
            "prescription_id": "rx-77@3",
            "patient_ref": "p-8c1d",
            "pads": [{"channel": 2, "barcodes": ["(01)0401", "b"]}, {"channel": 1, "barcodes": ["c"]}],
            "continues": True,
        },
        Prepare(None, "rx-77@3", "p-8c1d", pads=((2, ("(01)0401", "b")), (1, ("c",))), continues=True),
    ),
    ("presence.confirm", {}, Present()),
    ("session.rate", {"what": "effort", "score": 0}, Rate(Rated.EFFORT, 0)),
    ("session.rate", {"what": "pain", "score": 10}, Rate(Rated.PAIN, 10)),
    ("session.skin_check", {"ok": True}, SkinCheck(ok=True)),
    ("session.skin_check", {"ok": False}, SkinCheck(ok=False)),
    *(("adverse.report", {"kind": kind.value}, Report(kind)) for kind in Adverse),
    ("session.attest", {"answers": {}}, Attest(())),
    (
        "session.attest",
        {"answers": {"pregnancy": "no", "bleeding": "unknown", "infection": "yes"}},
        Attest((("pregnancy", "no"), ("bleeding", "unknown"), ("infection", "yes"))),
    ),
    ("impedance.check", {}, Check(())),
    ("impedance.check", {"channels": [2, 1]}, Check((2, 1))),
    ("calibration.begin", {"channel": 3}, CalibrationBegin(3)),
    ("calibration.step", {"delta_ua": 0}, CalibrationStep(0)),
    ("calibration.step", {"delta_ua": 1_000}, CalibrationStep(1_000)),
    ("calibration.mark", {"threshold": "motor"}, CalibrationMark(Threshold.MOTOR, absent=False)),
    ("calibration.mark", {"threshold": "sensory", "absent": True}, CalibrationMark(Threshold.SENSORY, absent=True)),
    ("calibration.end", {}, CalibrationEnd()),
    ("session.arm", {}, ArmSession()),
    ("session.start", {}, Start()),
    ("session.adjust", {"channel": 1, "delta_ua": -200_000}, Adjust(1, -200_000)),
    ("session.adjust", {"channel": 8, "delta_ua": 200_000}, Adjust(8, 200_000)),
    ("session.pause", {}, Pause()),
    ("session.resume", {}, Resume()),
    ("latch.clear", {"latch_id": "l-204", "reason": " electrode replaced "}, ClearLatch(204, "electrode replaced")),
]


@pytest.mark.parametrize(("verb", "body", "wish"), WISHES)
def test_every_verb_becomes_its_wish(verb: str, body: Fields, wish: Wish) -> None:
    expect = {"boot_id": "b-4", "session_id": "s-19", "state_version": 77}
    message = arrival(fields(verb, body=body, expect=expect, role="physio"))
    assert door().accept(message, NOW) == Accepted(
        asker=Asker("dev1", "clinician-1", ID, None, None),
        command=Command(
            id=ID,
            principal="clinician-1",
            role="physio",
            issued_wall_ms=utc_ms("2026-11-22T14:50:00.123Z"),
            expires_wall_ms=utc_ms("2026-11-22T14:50:05.123Z"),
            retained=False,
            expect=Expect(boot_id="b-4", session_id="s-19", state_version=77),
            wish=wish,
        ),
        digest=digest_of(message),
    )


def test_the_table_of_wishes_has_every_verb_but_the_stops() -> None:
    assert (
        {verb for verb, _, _ in WISHES}
        == set(Verb) - {Verb.STOP}
        == set(BODIES)
        - {
            "session.stop",
            "stop",
            "service.status",
        }
    )


def test_what_the_sender_leaves_out_is_not_made_up() -> None:
    outcome = door().accept(arrival(fields(expect={"session_id": "s-19"})), NOW)
    assert isinstance(outcome, Accepted)
    assert outcome.command.expect == Expect(session_id="s-19")


def test_an_inquiry_needs_no_more_than_being_known() -> None:
    message = arrival(fields("service.status", issuer="visitor"))
    asker = Asker("dev1", "visitor", ID, None, None)
    assert door().accept(message, NOW) == Inquiry(asker=asker, digest=digest_of(message))


def test_a_retained_command_is_flagged_for_the_heart_to_refuse() -> None:
    kept, live = (door().accept(arrival(fields(), retained=retained), NOW) for retained in (True, False))
    assert isinstance(kept, Accepted)
    assert isinstance(live, Accepted)
    assert (kept.command.retained, live.command.retained) == (True, False)


def test_age_is_the_hearts_business() -> None:
    assert isinstance(door().accept(arrival(fields()), Now(0, NOW.wall_ms + 86_400_000)), Accepted)


def test_the_answer_goes_where_it_may() -> None:
    own = TOPICS.ack("dev1", "clinician-1", ID)
    for reply, topics in [
        (None, (own,)),
        ("stim/v1/ward3/dev1/ack/clinician-1/desk", (own, "stim/v1/ward3/dev1/ack/clinician-1/desk")),
        (own, (own,)),
    ]:
        outcome = door().accept(arrival(fields(), reply=reply, correlation=b"\0c"), NOW)
        assert isinstance(outcome, Accepted)
        assert outcome.asker.answer_topics(TOPICS) == topics
        assert outcome.asker.correlation == b"\0c"


def test_a_refusal_never_answers_to_a_foreign_topic() -> None:
    for content in (b"junk", fields(issuer="clinician-1")):
        outcome = door().accept(arrival(content, reply="stim/v1/ward3/dev1/state/summary"), NOW)
        assert isinstance(outcome, Refusal)
        assert [topic.rpartition("/")[0] for topic in outcome.asker.answer_topics(TOPICS)] == [
            "stim/v1/ward3/dev1/ack/clinician-1"
        ]


# Ids that came before


def test_the_same_message_again_gets_the_stored_answer() -> None:
    message = arrival(fields())
    for answer in (b"stored", None):
        here = door({("clinician-1", ID): Seen(digest_of(message), answer)})
        assert here.accept(message, NOW) == Repeat(asker=Asker("dev1", "clinician-1", ID, None, None), answer=answer)


def test_a_redelivery_after_everything_expired_still_gets_the_stored_answer() -> None:
    message = arrival(fields(), retained=True)
    here = door({("clinician-1", ID): Seen(digest_of(message), b"stored")})
    assert isinstance(here.accept(message, Now(0, NOW.wall_ms + 86_400_000)), Repeat)


def test_an_id_belongs_to_one_message() -> None:
    here = door({("clinician-1", ID): Seen(digest_of(arrival(fields())), b"stored")})
    other = here.accept(arrival(fields(expect={"session_id": "s-2"})), NOW)
    elsewhere = here.accept(arrival(fields(device="dev2")), NOW)
    of_another = here.accept(arrival(fields("session.pause", issuer="bedside")), NOW)
    assert (code_of(other), code_of(elsewhere)) == ("CMD.ID_REUSED", "CMD.ID_REUSED")
    assert isinstance(of_another, Accepted)


# Refusals


REUSED = {("clinician-1", ID): Seen("another", None)}

# Each step of the door in its order, and a fault that it finds: in the fields, the topic, the reply, what is known.
STEPS: list[tuple[str, Fields]] = [
    ("CMD.TOO_LARGE", {"pad": True}),
    ("CMD.SCHEMA", {"fields": {"colour": "red"}}),
    ("CMD.UNKNOWN_VERB", {"fields": {"verb": "session.begin"}, "verb": "session.begin"}),
    ("CMD.TOPIC_MISMATCH", {"fields": {"site": "ward4"}}),
    ("AUTH.PRINCIPAL_MISMATCH", {"fields": {"issuer": "somebody"}}),
    ("CMD.BAD_RESPONSE_TOPIC", {"reply": "stim/v1/ward3/dev1/state/summary"}),
    ("AUTH.UNKNOWN_KEY", {"principal": "stranger"}),
    ("CMD.ID_REUSED", {"seen": REUSED}),
    ("AUTH.ROLE", {"fields": {"role": "biomed"}}),
    ("AUTH.SCOPE", {"device": "dev3"}),
    ("CMD.NONCE", {"fields": {"nonce": "7F3K-91"}}),
]


def faulty(*faults: Fields) -> str:
    """The code that a message with these faults gets."""
    fault: Fields = {}
    for each in faults:
        fault = {**fault, **each, "fields": {**fault.get("fields", {}), **each.get("fields", {})}}
    verb, device = fault.get("verb", "session.start"), fault.get("device", "dev1")
    principal = fault.get("principal", "clinician-1")
    content = fields(verb, **{"device": device, "issuer": principal, **fault["fields"]})
    payload = json.dumps(content).encode() + b" " * (MAX_BYTES if "pad" in fault else 0)
    seen = {(principal, ID): next(iter(REUSED.values()))} if "seen" in fault else None
    topic = TOPICS.command(device, principal, verb)
    return code_of(door(seen).accept(arrival(payload, topic, reply=fault.get("reply")), NOW))


@pytest.mark.parametrize(("code", "fault"), STEPS)
def test_each_step_has_its_code(code: str, fault: Fields) -> None:
    assert faulty(fault) == code


@pytest.mark.parametrize(("first", "second"), list(combinations(STEPS, 2)), ids=lambda step: step[0])
def test_of_two_faults_the_earlier_step_speaks(first: tuple[str, Fields], second: tuple[str, Fields]) -> None:
    assert faulty(first[1], second[1]) == first[0]


def test_every_part_of_the_topic_must_agree_and_all_that_do_not_are_named() -> None:
    message = arrival(
        fields(site="ward4", device="dev2", verb="session.arm"), TOPICS.command("dev1", "clinician-1", "session.start")
    )
    outcome = door().accept(message, NOW)
    assert isinstance(outcome, Refusal)
    assert outcome.code == "CMD.TOPIC_MISMATCH"
    assert outcome.faults == (
        ("site", "the topic says ward3"),
        ("device", "the topic says dev1"),
        ("verb", "the topic says session.start"),
    )


def test_a_proof_that_does_not_hold_comes_before_what_is_known_of_the_id() -> None:
    message = arrival(fields())
    seen = Seen(digest_of(message), b"stored")
    here = Door(TOPICS, frozenset({"dev1"}), PRINCIPALS, Signatures(), lambda *_: seen)
    assert code_of(here.accept(message, NOW)) == "AUTH.BAD_SIGNATURE"


def test_a_handset_lowers_and_pauses_and_nothing_else() -> None:
    def ask(verb: str, **body: int) -> str:
        return code_of(door().accept(arrival(fields(verb, issuer="bedside", body=body)), NOW))

    assert ask("session.adjust", channel=1, delta_ua=-1) == "Accepted"
    assert ask("session.adjust", channel=1, delta_ua=1) == "AUTH.ROLE"
    assert ask("session.pause") == "Accepted"
    assert ask("session.start") == "AUTH.ROLE"


@pytest.mark.parametrize(
    "topic",
    [
        "stim/v1/ward3/dev9/cmd/clinician-1/session.start",
        "stim/v1/ward3/_all/cmd/clinician-1/session.start",
        "stim/v1/ward3/_service/cmd/clinician-1/session.start",
        "stim/v1/ward4/dev1/cmd/clinician-1/session.start",
        "stim/v1/ward3/dev1/cmd/clinician-1/x/session.start",
        "stim/v1/ward3/dev9/cmd/clinician-1/session.stop",
    ],
)
def test_what_is_not_for_us_is_refused_and_not_answered(topic: str) -> None:
    outcome = door().accept(arrival(fields(), topic), NOW)
    assert (code_of(outcome), outcome.asker.answer_topics(TOPICS)) == ("CMD.TOPIC_MISMATCH", ())


def test_a_sender_whose_name_is_no_id_is_refused_and_not_answered() -> None:
    outcome = door().accept(arrival(fields(), "stim/v1/ward3/dev1/cmd/Clinician_1/session.start"), NOW)
    assert (code_of(outcome), outcome.asker.answer_topics(TOPICS)) == ("AUTH.PRINCIPAL_MISMATCH", ())
