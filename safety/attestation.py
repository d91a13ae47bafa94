"""What a person vouches for before current flows: the contraindications, one answer each.

Every item is worded so that `no` lets a session begin. `yes` forbids it, `unknown` and a missing answer forbid it too:
what nobody has looked at is not assumed to be well. The list follows the warnings of published device manuals (Enraf
Endomed 484, Electromedic EVA), FDA label warnings, and hazards of this project; it is a proposal that a site's
clinicians sign off (safety reference 5.1, 5.3, 6.3).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from safety.limits import Modality, Sensation
from safety.montage import FOOT, Montage, Region
from safety.prescription import Prescription


class Kind(StrEnum):
    """What a `yes` does."""

    ABSOLUTE = "absolute"
    """Nothing is given to this patient until a clinician has released the lock that it raises."""
    SITE = "site"
    """Nothing is given at this place."""
    PLACE = "place"
    """Nothing is given here and now: the surroundings or the posture are wrong."""
    MODIFIER = "modifier"
    """A stricter class of sensation, or no muscle stimulation."""


class Item(NamedTuple):
    """One question of the attestation."""

    id: str
    kind: Kind
    text: str


ITEMS: Final = (
    Item("active_implant", Kind.ABSOLUTE, "A pacemaker, defibrillator or another active implant"),
    Item("thrombosis", Kind.ABSOLUTE, "A deep-vein thrombosis or an inflamed vein"),
    Item("malignancy", Kind.ABSOLUTE, "A tumour under or near the pads"),
    Item("pregnancy", Kind.ABSOLUTE, "A pregnancy"),
    Item("bleeding", Kind.ABSOLUTE, "A haemorrhage or an untreated bleeding disorder"),
    Item("cannot_report", Kind.ABSOLUTE, "The patient cannot understand or cannot report pain"),
    Item("dysreflexia", Kind.ABSOLUTE, "A spinal cord injury at T6 or above"),
    Item("infection", Kind.SITE, "An infection of skin or bone at the site"),
    Item("ulcer", Kind.SITE, "An open ulcer, a Charcot foot, or broken or inflamed skin under or near a pad"),
    Item("irradiated", Kind.SITE, "Radiation treatment of the site in the last six months"),
    Item("fracture", Kind.SITE, "A fracture, osteoporosis, sutures or a recent operation of the limb"),
    Item("growth_plate", Kind.SITE, "Growing bone ends at the site"),
    Item("regenerating_nerve", Kind.SITE, "A nerve that is growing back at the site"),
    Item("drug_patch", Kind.SITE, "A drug patch under or near a pad"),
    Item("poor_circulation", Kind.SITE, "An area without sufficient circulation under a pad"),
    Item("diathermy", Kind.PLACE, "Surgical or therapeutic high-frequency equipment within a metre, or in use"),
    Item("monitored", Kind.PLACE, "The patient's heart or breathing is being monitored by electrodes"),
    Item("wet_or_driving", Kind.PLACE, "The patient is in water, drives, or may fall asleep"),
    Item("standing", Kind.PLACE, "The patient is neither seated nor lying"),
    Item("ischaemic_leg", Kind.MODIFIER, "An ankle-brachial index below 0.5: no muscle stimulation at the foot"),
    Item("fragile_skin", Kind.MODIFIER, "Fragile skin, long steroid treatment or an age above 75: one class stricter"),
    Item("denervated", Kind.MODIFIER, "The muscle has lost its nerve: no muscle stimulation"),
)
IDS: Final = frozenset(item.id for item in ITEMS)
ANSWERS: Final = frozenset({"yes", "no", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Who answered what, and when; `answers` are pairs of item and yes, no or unknown."""

    at_wall_ms: int
    by: str
    answers: tuple[tuple[str, str], ...]

    def says(self, item: str) -> str:
        """Give the answer to an item; what was not answered is unknown."""
        return dict(self.answers).get(item, "unknown")


def is_answer(answers: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether these are answers to items that exist, each once."""
    items = [item for item, _ in answers]
    return len(set(items)) == len(items) and set(items) <= IDS and {answer for _, answer in answers} <= ANSWERS


STRICTER: Final = {Sensation.S0: Sensation.S1, Sensation.S1: Sensation.S2, Sensation.S2: Sensation.S2}


def class_of(rx: Prescription, attestation: Attestation | None) -> Sensation:
    """Give the class of sensation by which a session is judged; circumstances only make it stricter.

    Pads on a sole count as reduced sensation at least; fragile skin counts one class stricter (safety reference 3.3,
    engineering defaults).
    """
    sensation = rx.sensation
    on_sole = any(plan.montage is not None and Region.FOOT_SOLE in plan.montage.regions for plan in rx.channels)
    if on_sole and sensation is Sensation.S0:
        sensation = Sensation.S1
    if attestation is not None and attestation.says("fragile_skin") == "yes":
        sensation = STRICTER[sensation]
    return sensation


def forbids(attestation: Attestation, modality: Modality, montages: tuple[Montage, ...]) -> Item | None:
    """Name the first item whose answer forbids this therapy at these places; None where none does."""
    at_foot = any(region in FOOT for montage in montages for region in montage.regions)
    for item in ITEMS:
        answer = attestation.says(item.id)
        if answer == "no" or (item.id == "fragile_skin" and answer == "yes"):
            continue
        if item.kind is Kind.MODIFIER and answer == "yes" and modality is Modality.TENS:
            continue
        if item.id == "ischaemic_leg" and answer == "yes" and not at_foot:
            continue
        return item
    return None
