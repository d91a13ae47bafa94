"""safety/attestation.py: the questions, what each answer forbids, and which class of sensation follows."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from rig import VOUCHED, Modality, Sensation, plan, rx
from test_safety_montage import pads

from safety.attestation import IDS, ITEMS, Attestation, Kind, class_of, forbids, is_answer

pytestmark = pytest.mark.rule("G05")

THIGH = (pads("left thigh", "left thigh"),)
ABSOLUTE = "active_implant thrombosis malignancy pregnancy bleeding cannot_report dysreflexia"
SITE = "infection ulcer irradiated fracture growth_plate regenerating_nerve drug_patch poor_circulation"
PLACE = "diathermy monitored wet_or_driving standing"
MODIFIERS = "ischaemic_leg fragile_skin denervated"


def said(**answers: str) -> Attestation:
    """All is well but for these."""
    calm = dict(VOUCHED.answers) | answers
    return Attestation(at_wall_ms=1, by="physio-1", answers=tuple(calm.items()))


def forbidden(attestation: Attestation, modality: Modality = Modality.NMES, where: str = "left thigh") -> str:
    """Name what forbids it."""
    item = forbids(attestation, modality, (pads(where, where),))
    return item.id if item else ""


@pytest.mark.hazard("H02")
@pytest.mark.hazard("H41")
def test_the_questions_are_these_and_a_yes_does_what_their_kind_says() -> None:
    kinds = {"absolute": ABSOLUTE, "site": SITE, "place": PLACE, "modifier": MODIFIERS}
    assert {kind.value: " ".join(item.id for item in ITEMS if item.kind is kind) for kind in Kind} == kinds


def test_what_a_person_has_vouched_for_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        said().by = "somebody-else"  # type: ignore[misc]


def test_each_question_is_asked_once_and_in_words() -> None:
    assert len(IDS) == len(ITEMS) == len({item.text for item in ITEMS})
    assert all(item.text for item in ITEMS)


def test_what_was_not_answered_is_unknown() -> None:
    assert (said().says("pregnancy"), said().says("never asked")) == ("no", "unknown")
    assert said(pregnancy="yes").says("pregnancy") == "yes"


def test_a_calm_patient_is_forbidden_nothing() -> None:
    for modality in Modality:
        assert forbids(said(), modality, THIGH) is None


@pytest.mark.hazard("H36")
@pytest.mark.hazard("H43")
@pytest.mark.hazard("H44")
@pytest.mark.parametrize("item", [item.id for item in ITEMS if item.kind is not Kind.MODIFIER])
@pytest.mark.parametrize("modality", list(Modality))
def test_each_question_alone_forbids_by_a_yes_whatever_the_therapy(item: str, modality: Modality) -> None:
    assert forbidden(said(**{item: "yes"}), modality) == item


@pytest.mark.parametrize("item", [item.id for item in ITEMS])
@pytest.mark.parametrize("modality", list(Modality))
def test_each_question_alone_forbids_by_an_unknown_or_a_missing_answer(item: str, modality: Modality) -> None:
    missing = tuple(pair for pair in VOUCHED.answers if pair[0] != item)
    assert forbidden(said(**{item: "unknown"}), modality) == item
    assert forbidden(Attestation(at_wall_ms=1, by="x", answers=missing), modality) == item


@pytest.mark.hazard("H42")
def test_a_muscle_without_its_nerve_gets_no_contraction() -> None:
    assert forbidden(said(denervated="yes"), Modality.NMES) == "denervated"
    assert forbidden(said(denervated="yes"), Modality.TENS) == ""


@pytest.mark.hazard("H44")
@pytest.mark.parametrize(
    ("where", "modality", "expected"),
    [
        ("left foot", Modality.NMES, "ischaemic_leg"),
        ("left foot-sole", Modality.NMES, "ischaemic_leg"),
        ("left lower-leg", Modality.NMES, ""),
        ("left foot", Modality.TENS, ""),
    ],
)
def test_an_ischaemic_leg_gets_no_contraction_at_the_foot(where: str, modality: Modality, expected: str) -> None:
    assert forbidden(said(ischaemic_leg="yes"), modality, where) == expected


def test_one_pad_at_the_foot_and_one_channel_of_several_is_enough() -> None:
    foot = pads("left lower-leg", "left foot")
    found = forbids(said(ischaemic_leg="yes"), Modality.NMES, (*THIGH, foot))
    assert found is not None
    assert found.id == "ischaemic_leg"


def test_fragile_skin_forbids_nothing_and_does_not_hide_what_does() -> None:
    assert forbidden(said(fragile_skin="yes")) == ""
    assert forbidden(said(fragile_skin="yes", denervated="yes")) == "denervated"


def test_the_first_question_that_forbids_is_named() -> None:
    assert forbidden(said(pregnancy="yes", thrombosis="unknown", standing="yes")) == "thrombosis"


# What is an answer at all


@pytest.mark.rule("G01")
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((), True),
        (VOUCHED.answers, True),
        ((("pregnancy", "no"), ("bleeding", "unknown"), ("infection", "yes")), True),
        ((("pregnancy", "no"), ("pregnancy", "no")), False),
        ((("pregnancy", "perhaps"),), False),
        ((("pregnancy", ""),), False),
        ((("hiccups", "no"),), False),
    ],
)
def test_only_known_questions_are_answered_each_once(answers: tuple[tuple[str, str], ...], expected: bool) -> None:
    assert is_answer(answers) is expected


# The class of sensation

CLASSES = (Sensation.S0, Sensation.S1, Sensation.S2)


@pytest.mark.hazard("H05")
@pytest.mark.parametrize(
    ("where", "fragile", "expected"),
    [
        ("left thigh", "no", (Sensation.S0, Sensation.S1, Sensation.S2)),
        ("left foot", "no", (Sensation.S0, Sensation.S1, Sensation.S2)),
        ("left foot-sole", "no", (Sensation.S1, Sensation.S1, Sensation.S2)),
        ("left thigh", "yes", (Sensation.S1, Sensation.S2, Sensation.S2)),
        ("left foot-sole", "yes", (Sensation.S2, Sensation.S2, Sensation.S2)),
    ],
)
def test_circumstances_only_make_the_class_stricter(where: str, fragile: str, expected: tuple[Sensation, ...]) -> None:
    pair = pads("left lower-leg" if where == "left foot-sole" else where, where)
    found = tuple(class_of(rx(plan(montage=pair), sensation=c), said(fragile_skin=fragile)) for c in CLASSES)
    assert found == expected
    assert all(after >= before for before, after in zip(CLASSES, found, strict=True))


def test_without_an_attestation_or_a_montage_the_class_is_the_prescriptions() -> None:
    for sensation in CLASSES:
        assert class_of(rx(plan(montage=None), sensation=sensation), None) is sensation
    assert class_of(rx(plan(montage=pads("left foot", "left foot-sole"))), None) is Sensation.S1


@pytest.mark.hazard("H05")
def test_one_pad_on_a_sole_is_enough_among_several_channels() -> None:
    sole = plan(channel=2, montage=pads("left foot", "left foot-sole"))
    assert class_of(rx(plan(), sole), None) is Sensation.S1
