"""Where the two pads of a pair may sit: an allow-list, and before it rules that no list can lift.

Current flows between the pads. What lies between them must be one limb of one side, or the small of the back: never
the heart, the neck or the head. The deny rules follow the warnings that IEC 60601-2-10 asks manuals to give (seen in
the excerpt AS 60601.2.10:2018) and the Neotek manual; the allow-list is an engineering default that a clinician signs
off.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Region(StrEnum):
    """Where on the body a pad sits."""

    HEAD = "head"
    EYE = "eye"
    MOUTH = "mouth"
    NECK = "neck"
    CHEST = "chest"
    UPPER_BACK = "upper-back"
    ABDOMEN = "abdomen"
    LOWER_BACK = "lower-back"
    GENITAL = "genital"
    SHOULDER = "shoulder"
    UPPER_ARM = "upper-arm"
    FOREARM = "forearm"
    HAND = "hand"
    BUTTOCK = "buttock"
    THIGH = "thigh"
    KNEE = "knee"
    LOWER_LEG = "lower-leg"
    FOOT = "foot"
    FOOT_SOLE = "foot-sole"


class Side(StrEnum):
    """Which side of the body; what lies on the midline is on neither."""

    LEFT = "left"
    RIGHT = "right"
    MIDDLE = "middle"


class Montage(NamedTuple):
    """A pair of pads: the region and side of each, and the shortest distance between their edges in mm."""

    region_a: Region
    side_a: Side
    region_b: Region
    side_b: Side
    spacing_mm: int

    @property
    def regions(self) -> tuple[Region, Region]:
        """Both regions."""
        return self.region_a, self.region_b


ARM: Final = frozenset({Region.SHOULDER, Region.UPPER_ARM, Region.FOREARM, Region.HAND})
LEG: Final = frozenset(
    {Region.BUTTOCK, Region.THIGH, Region.KNEE, Region.LOWER_LEG, Region.FOOT, Region.FOOT_SOLE}
)  # fmt: skip
FOOT: Final = frozenset({Region.FOOT, Region.FOOT_SOLE})
NEVER: Final = frozenset({Region.HEAD, Region.EYE, Region.MOUTH, Region.NECK, Region.GENITAL})
"""Brain, eye, airway and the carotid sinus: no pad, whatever a prescription says."""
THORAX: Final = frozenset({Region.CHEST, Region.UPPER_BACK})
"""The heart lies between; no pad on the chest or behind it."""


def is_denied(montage: Montage) -> bool:
    """Tell whether a compiled rule forbids a pair: head, neck, through the heart, from limb to limb, side to side."""
    a, b = montage.regions
    if {a, b} & (NEVER | THORAX):
        return True
    if {montage.side_a, montage.side_b} == {Side.LEFT, Side.RIGHT}:
        return True
    return (a in ARM) is not (b in ARM)


def is_listed(montage: Montage) -> bool:
    """Tell whether the pair stands on the allow-list: both pads on one limb of one side, or both on the lower back."""
    a, b = montage.regions
    if a is b is Region.LOWER_BACK:
        return True
    same_side = montage.side_a is montage.side_b is not Side.MIDDLE
    return same_side and any(limb.issuperset(montage.regions) for limb in (ARM, LEG))


def crosses(one: Montage, other: Montage) -> bool:
    """Tell whether current could pass from one pair to the other through the trunk.

    Two arms, an arm and anything but the same arm: their cross path leads through the chest. Legs and the lower back
    may go together (both calves, the usual case in neuropathy).
    """
    arms = [pair for pair in (one, other) if pair.region_a in ARM]
    return len(arms) == 1 or (len(arms) == 2 and one.side_a is not other.side_a)
