"""Signatures at the door: what they bind, who may make them, and what is no signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest
from joserfc import jws as library
from joserfc.jwk import OctKey

from controller.contract.accept import Accepted, Repeat, StopNow, digest_of
from controller.contract.envelope import Arrival
from controller.identity import Seen
from controller.identity.jws import SealError, detached, holds, seal, sign
from controller.identity.keys import Alg, Secret
from safety.messages import Now
from tests.controller.signed import (
    CLINICIAN,
    LINE,
    NEXT,
    OTHER,
    RUN_OUT,
    SHARED,
    TAKEN_BACK,
    sealed,
    secret,
    signed,
    signed_door,
)
from tests.controller.wire import ID, NOW, TOPICS, arrival, code_of, fields

TOPIC = TOPICS.command("dev1", "clinician-1", "session.start")

Way = Callable[..., Arrival]
WAYS = pytest.mark.parametrize("way", [signed, sealed])


def judged(message: Arrival, now: Now = NOW) -> str:
    return code_of(signed_door().accept(message, now))


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# What is let in


@WAYS
@pytest.mark.parametrize("by", [CLINICIAN, NEXT])
def test_each_of_a_principals_keys_opens(way: Way, by: Secret) -> None:
    outcome = signed_door().accept(way(fields(), by), NOW)
    assert isinstance(outcome, Accepted)
    assert (outcome.command.principal, outcome.asker.kid) == ("clinician-1", by.kid)


def test_a_signed_payload_stays_plain_and_means_the_same_either_way() -> None:
    one, other = (signed_door().accept(way(fields()), NOW) for way in (signed, sealed))
    assert isinstance(one, Accepted)
    assert isinstance(other, Accepted)
    assert one.command == other.command


def test_a_shared_key_is_enough_for_a_machine_and_none_for_a_handset() -> None:
    assert judged(signed(fields("device.claim", issuer="plc7"), LINE)) == "Accepted"
    assert judged(sealed(fields("device.claim", issuer="plc7"), LINE)) == "Accepted"
    assert judged(arrival(fields("session.pause", issuer="bedside"))) == "Accepted"


@WAYS
def test_the_same_signed_message_again_gets_its_stored_answer(way: Way) -> None:
    message = way(fields())
    here = signed_door({("clinician-1", ID): Seen(digest_of(message), b"stored")})
    outcome = here.accept(message, NOW)
    assert isinstance(outcome, Repeat)
    assert outcome.answer == b"stored"


def test_a_stored_answer_is_not_given_to_who_cannot_sign() -> None:
    message = arrival(fields())
    here = signed_door({("clinician-1", ID): Seen(digest_of(message), b"stored")})
    assert code_of(here.accept(message, NOW)) == "AUTH.BAD_SIGNATURE"


# What is not


def test_a_signature_that_is_not_there_is_missed() -> None:
    outcome = signed_door().accept(arrival(fields()), NOW)
    assert outcome.faults == (("sig", "there is no signature; this role needs T3"),)  # type: ignore[union-attr]
    assert code_of(outcome) == "AUTH.BAD_SIGNATURE"


@WAYS
def test_a_shared_key_is_too_weak_for_a_person(way: Way) -> None:
    outcome = signed_door().accept(way(fields(), SHARED), NOW)
    assert code_of(outcome) == "AUTH.BAD_SIGNATURE"
    assert outcome.faults == (("sig", "the signature is a shared key's; this role needs T3"),)  # type: ignore[union-attr]


@WAYS
def test_a_copy_on_another_topic_is_refused_even_where_the_body_agrees_with_it(way: Way) -> None:
    message = way(fields(device="dev2"))
    assert judged(message) == "Accepted"
    elsewhere = way(fields(device="dev2"), topic=TOPIC)
    assert judged(elsewhere._replace(topic=message.topic)) == "AUTH.BAD_SIGNATURE"


@WAYS
def test_a_key_of_another_principal_is_none_of_this_ones(way: Way) -> None:
    assert judged(way(fields(), OTHER)) == "AUTH.UNKNOWN_KEY"
    assert judged(way(fields(issuer="clinician-2"), CLINICIAN)) == "AUTH.UNKNOWN_KEY"
    named_as_ours = Secret.of(CLINICIAN.kid, Alg.ED25519, b"x" * 32)
    assert judged(way(fields(), named_as_ours)) == "AUTH.BAD_SIGNATURE"


@WAYS
@pytest.mark.parametrize(
    ("issuer", "by"),
    [
        ("clinician-1", RUN_OUT),
        ("clinician-1", TAKEN_BACK),
        ("dismissed", secret("dismissed")),
        ("temp", secret("temp")),
    ],
)
def test_what_was_revoked_or_has_run_out_opens_nothing(way: Way, issuer: str, by: Secret) -> None:
    assert judged(way(fields(issuer=issuer), by)) == "AUTH.REVOKED"


@WAYS
def test_a_key_opens_from_its_first_moment_to_its_last(way: Way) -> None:
    def at(by: Secret, wall_ms: int) -> str:
        return judged(way(fields(), by), Now(0, wall_ms))

    assert [at(NEXT, NOW.wall_ms + step) for step in (-1_001, -1_000)] == ["AUTH.REVOKED", "Accepted"]
    assert [at(RUN_OUT, NOW.wall_ms + step) for step in (-1, 0)] == ["Accepted", "AUTH.REVOKED"]


def flips(text: str) -> Iterator[str]:
    """Each text that differs in one bit."""
    data = text.encode()
    for at in range(len(data)):
        for bit in range(8):
            yield (data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]).decode("latin-1")


def test_no_bit_of_a_signature_can_be_another() -> None:
    message = signed(fields())
    assert message.signature is not None
    assert judged(message) == "Accepted"
    assert {judged(message._replace(signature=each)) for each in flips(message.signature)} <= {
        "AUTH.BAD_SIGNATURE", "AUTH.UNKNOWN_KEY",
    }  # fmt: skip


def test_no_bit_of_a_signed_payload_can_be_another() -> None:
    message = signed(fields())
    outcomes = {
        judged(message._replace(payload=each.encode("latin-1"))) for each in flips(message.payload.decode("ascii"))
    }
    assert "Accepted" not in outcomes
    assert {"AUTH.BAD_SIGNATURE", "CMD.SCHEMA"} <= outcomes


def test_no_bit_of_a_carried_command_can_be_another() -> None:
    message = sealed(fields())
    assert judged(message) == "Accepted"
    outcomes = {
        judged(message._replace(payload=each.encode("latin-1"))) for each in flips(message.payload.decode("ascii"))
    }
    assert "Accepted" not in outcomes
    assert {"AUTH.BAD_SIGNATURE", "CMD.SCHEMA"} <= outcomes


# What others might take for a signature


def forged(header: object, alg: str = "", key: bytes = b"", issuer: str = "clinician-1") -> str:
    """A detached signature of a command with any header, made with any shared secret."""
    head = segment(json.dumps(header).encode())
    if not alg:
        return f"{head}.."
    message = arrival(fields(issuer=issuer))
    registry = library.JWSRegistry(algorithms=[alg], strict_check_header=False)
    content = message.topic.encode() + b"\0" + message.payload
    whole = library.serialize_compact(dict(header), content, OctKey.import_key(key), registry=registry)  # type: ignore[call-overload]
    return str(library.detach_content(whole))


RAW = CLINICIAN.key.jwk.as_dict(private=False)["x"]


@pytest.mark.parametrize(
    "signature",
    [
        "",
        ".",
        "..",
        "...",
        forged({"alg": "none", "kid": CLINICIAN.kid}),
        forged({"alg": "None", "kid": CLINICIAN.kid}),
        forged({"kid": CLINICIAN.kid}),
        forged({"alg": "Ed25519"}),
        forged({"alg": "Ed25519", "kid": 7}),
        forged({"alg": ["Ed25519"], "kid": CLINICIAN.kid}),
        forged([]),
        forged("x"),
        # The public key taken for a shared secret: the algorithm is the key's, whatever the message names.
        forged({"alg": "HS256", "kid": CLINICIAN.kid}, "HS256", str(RAW).encode()),
        forged({"alg": "HS256", "kid": CLINICIAN.kid}, "HS256", base64.urlsafe_b64decode(f"{RAW}=")),
        forged({"alg": "HS256", "kid": "x" * 400}),
    ],
)
def test_what_is_no_signature_of_this_wire_is_refused(signature: str) -> None:
    assert judged(arrival(fields())._replace(signature=signature)) == "AUTH.BAD_SIGNATURE"


def of_line(alg: str = "HS256", **header: object) -> str:
    """A signature by the line's own shared secret, with a header of its own."""
    return forged({"alg": alg, "kid": LINE.kid, **header}, alg, RAW_LINE, "plc7")


RAW_LINE = LINE.jwk.raw_value
assert isinstance(RAW_LINE, bytes)


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (of_line(), "Accepted"),
        (of_line("HS384"), "AUTH.BAD_SIGNATURE"),
        (of_line("HS512"), "AUTH.BAD_SIGNATURE"),
        (of_line(jwk={"kty": "oct", "k": segment(RAW_LINE)}), "AUTH.BAD_SIGNATURE"),
        (of_line(jku="https://127.0.0.1/keys"), "AUTH.BAD_SIGNATURE"),
        (of_line(topic=TOPICS.command("dev1", "plc7", "session.start")), "AUTH.BAD_SIGNATURE"),
        (of_line(typ="JOSE"), "AUTH.BAD_SIGNATURE"),
    ],
)
def test_a_header_says_what_it_has_to_and_nothing_else(signature: str, code: str) -> None:
    assert judged(arrival(fields(issuer="plc7"))._replace(signature=signature)) == code


def test_a_signature_that_brings_its_own_content_signs_nothing_else() -> None:
    command = arrival(fields())
    whole = seal(CLINICIAN, command.topic, b"{}").decode()
    head, _, tail = sign(CLINICIAN, command.topic, b"{}").split(".")
    own = segment(command.topic.encode() + b"\0{}")
    for value in (whole, f"{head}.{own}.{tail}"):
        assert judged(command._replace(signature=value)) == "AUTH.BAD_SIGNATURE"


def test_two_signatures_of_one_message_are_none() -> None:
    message = sealed(fields())
    both = message._replace(signature=sign(CLINICIAN, message.topic, message.payload))
    assert judged(both) == "AUTH.BAD_SIGNATURE"


def test_a_header_that_says_something_twice_is_refused() -> None:
    message = arrival(fields())
    _, _, tail = sign(CLINICIAN, message.topic, message.payload).split(".")
    head = segment(f'{{"alg":"none","alg":"Ed25519","kid":"{CLINICIAN.kid}"}}'.encode())
    with pytest.raises(SealError, match="twice"):
        detached(message.topic, message.payload, f"{head}..{tail}")


def test_there_is_one_way_to_write_a_signature() -> None:
    message = signed(fields())
    head, _, tail = str(message.signature).split(".")
    ends = [f"{tail[:-1]}{last}" for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    opened = [end for end in ends if judged(message._replace(signature=f"{head}..{end}")) == "Accepted"]
    assert opened == [tail]
    # The same bytes: refused before the library that verifies has a say.
    same = [
        end
        for end in ends
        if end != tail and base64.urlsafe_b64decode(f"{end}==") == base64.urlsafe_b64decode(f"{tail}==")
    ]
    assert len(same) == 15
    for end in same:
        with pytest.raises(SealError, match="as everybody writes it"):
            detached(message.topic, message.payload, f"{head}..{end}")
    for other in (f"{head}..{tail}=", f"{head}=..{tail}", f"{head}..{tail}\n", f" {head}..{tail}"):
        assert judged(message._replace(signature=other)) == "AUTH.BAD_SIGNATURE"


@pytest.mark.parametrize("alg", Alg)
def test_a_signature_of_one_algorithm_is_none_of_anothers_key(alg: Alg) -> None:
    mine, others = secret("mine", alg), [secret("mine", other) for other in Alg if other is not alg]
    made = detached(TOPIC, b"{}", sign(mine, TOPIC, b"{}"))
    assert holds(made, mine.key)
    assert [holds(made, other.key) for other in others] == [False]
    relabelled = made._replace(alg=others[0].alg.value)
    assert [holds(relabelled, each.key) for each in (mine, *others)] == [False, False]


# Stop is different


@pytest.mark.parametrize(
    ("message", "irregular"),
    [
        (signed(fields("session.stop")), ""),
        (arrival(fields("session.stop")), "AUTH.BAD_SIGNATURE"),
        (signed(fields("session.stop"))._replace(signature="x"), "AUTH.BAD_SIGNATURE"),
        (signed(fields("session.stop"), OTHER), "AUTH.UNKNOWN_KEY"),
        (signed(fields("session.stop"), TAKEN_BACK), "AUTH.REVOKED"),
        (signed(fields("session.stop"))._replace(retained=True), "CMD.RETAINED"),
        (sealed(fields("session.stop"))._replace(payload=b"eyJ"), "CMD.SCHEMA"),
        (arrival(fields("session.stop", issuer="bedside")), ""),
        (arrival(fields("session.stop", issuer="plc7")), ""),
    ],
)
def test_a_stop_is_obeyed_however_it_is_signed_and_what_was_wrong_is_said(message: Arrival, irregular: str) -> None:
    outcome = signed_door().accept(message, NOW)
    assert isinstance(outcome, StopNow)
    assert outcome.irregular == irregular
