"""safety/effects.py: what energises carries a grant, and nothing that was said can be changed."""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from typing import get_args, get_type_hints

import pytest
from rig import Rig

from safety import effects
from safety.effects import Answer, Arm, Commit, Drive, Effect, Entry, Feed, Grant, Probe, Silence
from safety.effects import Event as Said
from safety.messages import Claim, EntryKind
from safety.prescription import Dose

pytestmark = pytest.mark.rule("X9")


ENERGISING = (Arm, Drive, Feed, Probe)
OPENING = effects.Opening(session="s", rx="r@1", rx_digest="d", patient="p", principal="u", policy="p1")


def test_the_effects_of_a_step_are_performed_in_this_order():
    assert get_args(Effect) == (
        Silence, effects.Tell, effects.Note, Commit, effects.Ask, Arm, Drive, Feed, Probe,
    )  # fmt: skip


@pytest.mark.hazard("H11")
@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: kind.__name__)
def test_what_energises_carries_a_grant_and_nothing_else_does(kind: type):
    assert ("grant" in get_type_hints(kind)) is (kind in ENERGISING)
    assert get_type_hints(kind).get("grant", Grant) is Grant


@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: kind.__name__)
def test_every_effect_is_frozen_or_a_tuple(kind: type):
    assert issubclass(kind, tuple) or (is_dataclass(kind) and kind.__dataclass_params__.frozen)


def test_a_grant_expires_and_names_its_permit():
    assert Grant(7, 12, 1_000_200)._asdict() == {"permit": 7, "seq": 12, "expires_mono_ms": 1_000_200}


def test_an_answer_and_an_event_carry_no_reasons_unless_given():
    command = Rig().command(Claim())
    answer = Answer(command=command, status="succeeded", code="OK")
    assert (answer.reasons, answer.details) == ((), ())
    event = Said(kind="device.online")
    assert (event.rule, event.code, event.priority, event.reasons, event.details) == ("", "OK", "none", (), ())


def test_what_was_decided_cannot_be_changed():
    entry = Entry(1, EntryKind.OPEN, OPENING)
    for thing in (entry, entry.body, Commit(entry), Silence(cut=False)):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, fields(thing)[0].name, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", get_args(effects.Body), ids=lambda kind: kind.__name__)
def test_each_body_of_an_entry_names_all_its_fields(body: type):
    with pytest.raises(TypeError):
        body()


def test_every_word_of_the_heart_is_frozen_or_a_tuple():
    made_here = [kind for kind in vars(effects).values() if getattr(kind, "__module__", "") == effects.__name__]
    for kind in (kind for kind in made_here if is_dataclass(kind)):
        assert kind.__dataclass_params__.frozen, kind


def test_what_a_request_or_a_settlement_does_not_say_is_nothing():
    asked = effects.ChannelRequest(channel=1, site="s", pair="a", reserve=Dose())
    assert (asked.ua, asked.ohm, asked.pads) == (0, 0, ())
    settled = effects.Settlement(session="s", evidence="reservation", charged=())
    assert (settled.completed, settled.played_ms, settled.ua) == (False, 0, ())
    names = [spec.name for spec in fields(effects.PermitRequest) if spec.name != "skin_checked"]
    assert effects.PermitRequest(**dict.fromkeys(names)).skin_checked is False


def test_what_is_not_said_is_nothing():
    silent = {
        kind: {spec.name: spec.default for spec in fields(kind) if spec.default is not MISSING}
        for kind in (effects.ChannelRequest, effects.PermitRequest, effects.Settlement, Answer, Said)
    }
    assert silent == {
        effects.ChannelRequest: {"ua": 0, "ohm": 0, "pads": ()},
        effects.PermitRequest: {"skin_checked": False},
        effects.Settlement: {"completed": False, "played_ms": 0, "ua": ()},
        Answer: {"reasons": (), "details": ()},
        Said: {"rule": "", "code": "OK", "priority": "none", "reasons": (), "details": ()},
    }
